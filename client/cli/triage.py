"""`triage`: what the safety rules notice in a person's words. Needs no store, no camera, no network.

Exit status: 0 judged, whatever was found · 2 bad input or usage · 4 this installation lacks its rules.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from client.errors import BadInput
from client.language import said
from client.parts import Parts

if TYPE_CHECKING:
    from client.assistant.triage import Triage, Verdict

_FROM_INPUT = "-"


def add(app: typer.Typer, parts: Parts) -> None:
    """Register the command."""
    del parts

    @app.command()
    def triage(
        text: Annotated[
            str,
            typer.Argument(
                metavar="TEXT",
                help='What was said; -: lines of {"language", "text"} from standard input, a JSON line for each.',
            ),
        ],
        language: Annotated[
            str, typer.Option(metavar="CODE", help="Of the person, such as en or es.")
        ] = "en",
        as_json: Annotated[
            bool, typer.Option("--json", help="Print one JSON object on standard output.")
        ] = False,
    ) -> None:
        """Whether words sound like an emergency. Rules on this device; not a diagnosis."""
        gc.disable()  # the rules are many small things, none of which is ever garbage
        from client.assistant.triage import shipped

        rules = shipped()
        if text == _FROM_INPUT:
            for spoken, words in _lines(language):
                print(json.dumps(_row(_judged(rules, words, spoken))), flush=True)
            return
        verdict = _judged(rules, text, language)
        print(json.dumps(_row(verdict)) if as_json else _told(rules, verdict, language))


def _judged(rules: Triage, text: str, language: str) -> Verdict:
    known = rules.languages
    if language.replace("_", "-").split("-")[0].lower() not in known:
        raise BadInput(
            title=said("There are no rules for the language {code}", code=json.dumps(language[:20])),
            remedy=said("Choose one of: {codes}.", codes=", ".join(known)),
        )
    return rules.judge(text, language)


def _row(verdict: Verdict) -> dict[str, Any]:
    return {"level": verdict.level.value, "category": verdict.category, "language": verdict.language}


def _told(rules: Triage, verdict: Verdict, language: str) -> str:
    from client import policy
    from client.assistant.triage import Level

    if verdict.level is Level.NONE:
        return said("Nothing was noticed. That does not mean that nothing is wrong.")
    place = rules.place_of(policy.load().country)
    return f"{verdict.level.value} ({verdict.category}). {rules.say(verdict, language, place)}"


def _lines(language: str) -> Iterator[tuple[str, str]]:
    """Language and text of each line. Raises BadInput, which names the line and nothing that is in it."""
    for number, line in enumerate(sys.stdin.buffer, 1):
        if not line.strip():
            continue
        try:
            given = json.loads(line)
        except (ValueError, RecursionError):
            given = None
        if not isinstance(given, dict) or not isinstance(given.get("text"), str):
            raise _not_as_agreed(number)
        spoken = given.get("language", language)
        if not isinstance(spoken, str):
            raise _not_as_agreed(number)
        yield spoken, given["text"]


def _not_as_agreed(number: int) -> BadInput:
    return BadInput(
        title=said("Line {number} of standard input is not as agreed", number=number),
        remedy=said("Give lines such as {example}.", example='{"language": "en", "text": "…"}'),
    )
