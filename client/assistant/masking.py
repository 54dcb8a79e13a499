"""Takes out of a text what says who somebody is, before it leaves this device. Deterministic; rather too much than too little."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

NAME, NUMBER, PHONE, EMAIL, DATE, LINK = "[name]", "[number]", "[phone]", "[email]", "[date]", "[link]"
PLACEHOLDERS = (NAME, NUMBER, PHONE, EMAIL, DATE, LINK)

_EMAIL = re.compile(r"[^\s@<>()\[\],;:]+\s?@\s?[^\s@<>()\[\],;:]+\.[^\s@<>()\[\],;:.]+")
_LINK = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_DATES = re.compile(
    r"(?<!\d)(?:\d{1,2}\s?[./-]\s?\d{1,2}\s?[./-]\s?(?:\d{4}|\d{2})|\d{4}\s?[./-]\s?\d{1,2}\s?[./-]\s?\d{1,2})(?!\d)"
    r"|(?:\d{2,4}\s?\u5e74\s?)\d{1,2}\s?\u6708(?:\s?\d{1,2}\s?[\u65e5\u53f7\u865f])?"
    r"|(?<!\d)\d{1,2}(?:\.|st|nd|rd|th|er|\u00ba)?\s+(?:de\s+|of\s+)?[^\s\d.,;:]{3,12}\.?,?\s+(?:de\s+|del\s+|of\s+)?(?:19|20)\d{2}(?!\d)"
    r"|(?<![^\W\d_])[^\s\d.,;:]{3,12}\.?\s+\d{1,2}(?:st|nd|rd|th)?,?\s+(?:19|20)\d{2}(?!\d)",
    re.IGNORECASE,
)
_BORN = re.compile(
    r"(?P<word>\b(?:born|birth\w*|dob|geboren\w*|geburts\w*|nac[i\u00ed]\w*|nascid\w*|nasc[i\u00ed]\w*|naissance|n\u00e9e?)\b"
    r"|\u51fa\u751f|\u751f\u65e5|\u751f\u4e8e|\u091c\u0928\u094d\u092e\S*|\u0645\u0648\u0627\u0644\u064a\u062f|\u0648\u0644\u062f\u062a|\u0627\u0644\u0645\u064a\u0644\u0627\u062f)"
    r"(?P<between>[^\d\n]{0,30})(?P<when>\d[^\n;!?]{0,24}\d|\d)",
    re.IGNORECASE,
)
_PHONE = re.compile(r"(?<![\w.,])(?:\+|\(\+?)?\d(?:[ .\-/()\u00a0\u2011]{0,3}\d){5,}")
_CODE = re.compile(
    r"(?<![\w-])(?=[\w-]*\d)(?=[\w-]*[A-Za-z])(?=(?:[^\d\s]*\d){3})[A-Za-z0-9][A-Za-z0-9-]{4,}(?![\w-])"
)
_CALLED = re.compile(
    r"\b(?P<word>(?:(?i:mrn|nhs|ssn|dni|nie|nif|cpf|curp|aadhaar|iqama)|(?i:(?:record|patient|hospital|file|chart|case|insurance|passport|id)\s+(?:number|no\.?|id)|"
    r"(?:patienten|akten|fall|versicherten|kranken)\w*nummer|n(?:\u00fa|u)mero de \w+|num(?:\u00e9|e)ro de \w+))[\s:#is=-]{0,6})(?P<code>[A-Za-z0-9][A-Za-z0-9./-]*\d[A-Za-z0-9./-]*)"
)
_INTRODUCED = re.compile(
    r"(?P<word>\b(?i:my name is|my name's|i am called|call me|this is|me llamo|mi nombre es|je m['\u2019]appelle|mon nom est|ich hei(?:\u00df|ss)e|mein name ist"
    r"|meu nome (?:\u00e9|e)|(?:eu )?me chamo|chamo-me)\s+)(?P<name>(?:[^\W\d_][\w'\u2019-]*)(?:\s+[^\W\d_a-z][\w'\u2019-]*){0,3})"
)
_TITLED = re.compile(
    r"\b(?P<word>(?:Mr|Mrs|Ms|Miss|Dr|Prof|Sr|Sra|Srta|Herr|Herrn|Frau|Mme|Mlle|M|Don|Do\u00f1a|Dona|Se\u00f1ora?|Senhora?|Madame|Monsieur)\.?\s+)"
    r"(?P<name>[^\W\d_a-z][\w'\u2019-]+(?:\s+[^\W\d_a-z][\w'\u2019-]+){0,2})"
)
_CHINESE_NAME = re.compile(
    r"(?P<word>\u6211\u53eb|\u6211\u7684\u540d\u5b57\u662f|\u6211\u540d\u53eb|\u6211\u59d3)(?P<name>[\u4e00-\u9fff]{1,4})"
)
_HINDI_NAME = re.compile(
    r"(?P<word>\u092e\u0947\u0930\u093e \u0928\u093e\u092e )(?P<name>\S+(?: (?!\u0939\u0948)\S+){0,2})(?= \u0939\u0948)"
)
_ARABIC_NAME = re.compile(r"(?P<word>\u0627\u0633\u0645\u064a )(?P<name>\S+(?: \S+)?)")
_NO_NAMES = {
    "is",
    "the",
    "my",
    "a",
    "an",
    "not",
    "it",
    "about",
    "what",
    "because",
    "how",
    "normal",
    "really",
    "all",
    "very",
    "so",
    "too",
    "bad",
    "why",
}


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the person, to be taken out wherever it stands. names: also of relatives; each part counts by itself."""

    names: tuple[str, ...] = field(default=(), repr=False)
    numbers: tuple[str, ...] = field(default=(), repr=False)


NOBODY = Known()


def masked(text: str, known: Known = NOBODY) -> str:
    """The text with placeholders for names, record and telephone numbers, addresses and full dates."""
    text = "".join(one for one in unicodedata.normalize("NFC", text) if unicodedata.category(one) != "Cf")
    text = _EMAIL.sub(EMAIL, text)
    text = _LINK.sub(LINK, text)
    for number in sorted(known.numbers, key=len, reverse=True):
        signs = [re.escape(one) for one in number if one.isalnum()]
        if len(signs) >= 2:
            spread = r"[\W_]{0,2}".join(signs)
            text = re.sub(rf"(?<![^\W_]){spread}(?![^\W_])", NUMBER, text, flags=re.IGNORECASE)
    text = _DATES.sub(DATE, text)
    text = _BORN.sub(lambda one: f"{one['word']}{one['between']}{DATE}", text)
    text = _CALLED.sub(lambda one: f"{one['word']}{NUMBER}", text)
    text = _PHONE.sub(_phone, text)
    text = _CODE.sub(NUMBER, text)
    for pattern in (_INTRODUCED, _TITLED, _CHINESE_NAME, _HINDI_NAME, _ARABIC_NAME):
        text = pattern.sub(_name, text)
    return _without_names(text, known)


def _phone(found: re.Match[str]) -> str:
    """Nine digits and more whatever they are; fewer where they are written as a telephone's or a record's number is."""
    digits = re.findall(r"\d+", found[0])
    count = sum(map(len, digits))
    written = found[0].startswith(("+", "(", "0")) or any(len(one) >= 4 for one in digits)
    return PHONE if count >= 9 or (count >= 6 and written) else found[0]


def _name(found: re.Match[str]) -> str:
    first = found["name"].split()[0].casefold()
    return found[0] if first in _NO_NAMES else f"{found['word']}{NAME}"


def _without_names(text: str, known: Known) -> str:
    parts = {part for name in known.names for part in (name, *re.split(r"[\s,]+", name)) if len(part) >= 2}
    if not parts:
        return text
    plain, places = _plain(text)
    spans: list[tuple[int, int]] = []
    for part in parts:
        wanted = _plain(part)[0]
        if not wanted:
            continue
        whole = r"{}" if _is_unspaced(part) else r"(?<![^\W_]){}(?:s|'s|\u2019s)?(?![^\W_])"
        spans += [found.span() for found in re.finditer(whole.replace("{}", re.escape(wanted), 1), plain)]
    for start, end in sorted(_joined(spans), reverse=True):
        text = text[: places[start]] + NAME + text[places[end - 1] + 1 :]
    return text


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _plain(text: str) -> tuple[str, list[int]]:
    """Without accents and case, and where each letter was."""
    letters: list[str] = []
    places: list[int] = []
    for at, sign in enumerate(text):
        for letter in unicodedata.normalize("NFKD", sign).casefold():
            if unicodedata.category(letter) != "Mn":
                letters.append(letter)
                places.append(at)
    return "".join(letters), places


def _is_unspaced(name: str) -> bool:
    return any("\u3400" <= one <= "\u9fff" for one in name)
