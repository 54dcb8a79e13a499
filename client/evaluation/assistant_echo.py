"""Whether a person can interrupt our voice, and our voice never interrupts itself: in simulated rooms, one canceller and one net a trial.

In each trial our voice is heard alone for 3 to 5 s and must not be taken for somebody; then a person speaks over it. Our voice is at −20 to
−6 dB of the person's in the microphone, where each is active, in a room of T60 0.1 to 0.45 s, 20 to 200 ms late, with noise of several
kinds 15 to 40 dB below the person. The person begins with the first 20 ms that are within 20 dB of how loud they speak. A block counts at its end, and what
the loudspeaker still holds back is added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from client.evaluation import sounds
from client.evaluation.metrics import Share
from client.evaluation.report import table
from client.evaluation.sounds import RATE_HZ, Voice
from edge_models.echo import BLOCK, EchoCanceller
from edge_models.nets import SpeechNet
from edge_models.speech import BargeIn, BargeInRules
from edge_models.types import FloatArray

TRIALS = 200
STOPPED_WITHIN_S = 0.2
LEAST_STOPPED, MOST_SELF = 0.95, 0
LOUDSPEAKER_S = 0.02
"""A block of the loudspeaker is under way when it is told to stop (client.devices.speakers)."""
_LENGTH_S = 8.0
_ALONE_S = (3.0, 5.0)
_OWN_DBFS = -20.0
_PERSON_DBFS = (-32.0, -22.0)
_ECHO_DB, _NOISE_DB = (-20.0, -6.0), (-40.0, -15.0)
_KINDS = ("white", "pink", "brown", "hum")
_T60_S, _DELAY_S = (0.1, 0.45), (0.02, 0.2)
_ONSET_DB, _ONSET_FRAME = -20.0, 320
_OWN_TEXTS = {
    "en-us": "Your last heart rate was seventy two beats per minute. The breathing rate was not shown, because it was too dark. "
    "At rest most adults have between sixty and one hundred beats per minute. You can ask the staff about it at any time.",
    "es-419": "Su última frecuencia cardíaca fue de setenta y dos latidos por minuto. La respiración no se muestra porque había poca "
    "luz. Puede preguntar al personal en cualquier momento.",
    "de": "Ihr letzter Puls war zweiundsiebzig Schläge in der Minute. Die Atmung wird nicht gezeigt, denn es war zu dunkel. Sie können "
    "jederzeit das Personal fragen.",
    "fr-fr": "Votre dernière fréquence cardiaque était de soixante-douze battements par minute. La respiration n'est pas montrée, car il "
    "faisait trop sombre. Vous pouvez demander au personnel.",
    "pt-br": "A sua última frequência cardíaca foi de setenta e dois batimentos por minuto. A respiração não é mostrada, porque estava "
    "muito escuro. Pode perguntar à equipe a qualquer momento.",
    "hi": "आपकी पिछली हृदय गति बहत्तर प्रति मिनट थी। साँस की गति नहीं दिखाई गई, क्योंकि बहुत अँधेरा था। आप किसी भी समय कर्मचारियों से पूछ सकते हैं।",
    "cmn": "您上次的心率是每分钟七十二次。没有显示呼吸频率，因为光线太暗。成年人安静时的心率大多在六十到一百之间。您可以随时询问工作人员。",
    "ar": "كان معدل نبضك الأخير اثنتين وسبعين نبضة في الدقيقة. لم يظهر معدل التنفس لأن الضوء كان ضعيفا. يمكنك أن تسأل الموظفين في أي وقت.",
}
_PEOPLE = {
    "tune": ("en-gb+f2", "en-us+m7", "es-419+f4", "de+m3"),
    "judge": ("en-us+f5", "en-gb+m4", "fr-fr+f3", "pt-br+m2"),
}
_SAID = (
    "Wait, stop, I wanted to ask you something else about my heart.",
    "Excuse me, can you say that again, please?",
    "No, that is not what I meant at all, listen to me.",
    "Hold on a moment. My chest hurts.",
)


class Part(StrEnum):
    """TUNE: what the rules were set on. JUDGE: other people, other rooms, other chance."""

    TUNE = "tune"
    JUDGE = "judge"


_FIRST_SEED = {Part.TUNE: 100_000, Part.JUDGE: 700_000}


@dataclass(frozen=True, slots=True)
class Cast:
    """own: what our voice says. people: who interrupts, each from the moment they begin."""

    own: tuple[Voice, ...]
    people: tuple[Voice, ...]


def cast(part: Part, real: Sequence[Voice]) -> Cast:
    """Every other recording belongs to each part. Raises EnvironmentFault without espeak-ng, whose voice is ours."""
    own = [
        Voice(f"ours, {voice}", sounds.spoken(text, voice), real=False) for voice, text in _OWN_TEXTS.items()
    ]
    people = [
        Voice(voice, sounds.spoken(text, voice, 150 + 10 * at), real=False)
        for voice in _PEOPLE[part.value]
        for at, text in enumerate(_SAID)
    ]
    people += real[0 if part is Part.TUNE else 1 :: 2]
    return Cast(
        tuple(own), tuple(Voice(one.name, one.samples[_onset(one.samples) :], one.real) for one in people)
    )


def _onset(samples: FloatArray) -> int:
    """The first sample of the first 20 ms within 20 dB of the active level."""
    wanted = sounds.active_power(samples) * 10 ** (_ONSET_DB / 10)
    quarter = _ONSET_FRAME // 4
    powers = np.convolve(sounds.powers_of(samples, quarter), np.full(4, 0.25), "valid")
    return int(np.argmax(powers >= wanted)) * quarter


@dataclass(frozen=True, slots=True)
class Scene:
    """played, heard: the same seconds at loudspeaker and microphone [shape=(n,)]. begins_s: the person's first sound. level_db: of our voice."""

    played: FloatArray
    heard: FloatArray
    begins_s: float
    level_db: float
    person: str


def scene(of: Cast, seed: int) -> Scene:
    """One trial's sound."""
    rng = np.random.default_rng(seed)
    length = int(_LENGTH_S * RATE_HZ)
    own = of.own[int(rng.integers(len(of.own)))].samples
    played = sounds.at_level(np.tile(own, length // len(own) + 1)[:length], _OWN_DBFS)
    person = of.people[int(rng.integers(len(of.people)))]
    loud_dbfs = rng.uniform(*_PERSON_DBFS)
    voice = sounds.at_level(person.samples, loud_dbfs)
    way = sounds.room(rng.uniform(*_T60_S), rng.uniform(*_DELAY_S), rng)
    level_db = rng.uniform(*_ECHO_DB)
    heard = sounds.at_level(sounds.heard_through(played, way), loud_dbfs + level_db)
    begins = int(rng.uniform(*_ALONE_S) * RATE_HZ)
    end = min(length, begins + len(voice))
    heard[begins:end] += voice[: end - begins]
    noise = sounds.noise(str(rng.choice(_KINDS)), length, rng)
    heard += noise * 10 ** ((loud_dbfs + rng.uniform(*_NOISE_DB)) / 20)
    return Scene(played, heard.clip(-1.0, 1.0), begins / RATE_HZ, level_db, person.name)


@dataclass(frozen=True, slots=True)
class Heard:
    """Of one block: when it ended, what the net makes of what is left, and the canceller's figures."""

    t_s: float
    probability: float
    left_db: float
    rises_db: float
    noise_db: float


def blocks(one: Scene, net: SpeechNet) -> Iterator[Heard]:
    """What ears make of a trial, block after block."""
    net.reset()
    canceller = EchoCanceller()
    heard, played = one.heard.astype(np.float32), one.played.astype(np.float32)
    for at in range(0, len(heard) - BLOCK + 1, BLOCK):
        cleaned = canceller.clean(heard[at : at + BLOCK], played[at : at + BLOCK])
        probability = net.probability(cleaned.samples)
        yield Heard((at + BLOCK) / RATE_HZ, probability, cleaned.left_db, cleaned.rises_db, cleaned.noise_db)


@dataclass(frozen=True, slots=True)
class Trial:
    """after_s: from the person's first sound until our voice is silent; negative: we interrupted ourselves; None: never."""

    seed: int
    person: str
    level_db: float
    after_s: float | None

    @property
    def stopped(self) -> bool:
        """In time."""
        return self.after_s is not None and 0.0 <= self.after_s <= STOPPED_WITHIN_S

    @property
    def by_itself(self) -> bool:
        """Before anybody spoke."""
        return self.after_s is not None and self.after_s < 0.0

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        after_s = None if self.after_s is None else round(self.after_s, 3)
        return {
            "seed": self.seed,
            "person": self.person,
            "own_voice_db": round(self.level_db, 1),
            "after_s": after_s,
        }


def judged(one: Scene, seed: int, ears: Iterator[Heard] | Sequence[Heard], rules: BargeInRules) -> Trial:
    """What the rules make of it."""
    barge_in = BargeIn(rules)
    for heard in ears:
        if barge_in.interrupts(heard.probability, heard.left_db, heard.rises_db, heard.t_s, heard.noise_db):
            since_s = heard.t_s - one.begins_s
            # Before the person's first sound the block can only be our own; what the loudspeaker holds is heard on
            return Trial(seed, one.person, one.level_db, since_s + LOUDSPEAKER_S if since_s > 0 else since_s)
    return Trial(seed, one.person, one.level_db, None)


def trials(
    of: Cast,
    weights: bytes,
    part: Part = Part.JUDGE,
    many: int = TRIALS,
    rules: BargeInRules | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Trial]:
    """One after the other. tell: is told how far it is."""
    net, found = SpeechNet(weights), []
    for at in range(many):
        seed = _FIRST_SEED[part] + at
        one = scene(of, seed)
        found.append(judged(one, seed, blocks(one, net), rules or BargeInRules()))
        tell(f"interrupting: {at + 1} of {many}")
    return found


def misses(found: Sequence[Trial]) -> list[str]:
    """What is short of the target, in words."""
    stopped, own = Share(sum(one.stopped for one in found), len(found)), sum(one.by_itself for one in found)
    told = []
    if (stopped.share or 0.0) < LEAST_STOPPED:
        told.append(f"stopped within {1000 * STOPPED_WITHIN_S:.0f} ms: {stopped.count} of {stopped.whole}")
    if own > MOST_SELF:
        told.append(f"interrupted by its own voice: {own}")
    return told


def markdown(found: Sequence[Trial]) -> str:
    """By how loud our voice is in the microphone."""
    rows = []
    for name, low, high in (
        ("all", -99.0, 0.0),
        ("−20 to −15", -20.0, -15.0),
        ("−15 to −10", -15.0, -10.0),
        ("−10 to −6", -10.0, -6.0),
    ):
        members = [one for one in found if low <= one.level_db < high]
        if not members:
            continue
        after_s = [one.after_s for one in members if one.after_s is not None and one.after_s >= 0.0]
        p50, p95 = np.percentile(after_s, [50, 95]) if after_s else (np.nan, np.nan)
        stopped = Share(sum(one.stopped for one in members), len(members))
        low_, high_ = stopped.interval or (0.0, 0.0)
        rows.append(
            [
                name,
                str(len(members)),
                f"{100 * (stopped.share or 0.0):.1f} % ({100 * low_:.1f}–{100 * high_:.1f})",
                f"{1000 * p50:.0f} / {1000 * p95:.0f}" if after_s else "–",
                str(sum(one.after_s is None for one in members)),
                str(sum(one.by_itself for one in members)),
            ]
        )
    heading = [
        "our voice, dB of the person's",
        "trials",
        "silent ≤ 200 ms",
        "ms, p50 / p95",
        "never",
        "self-triggered",
    ]
    return table(heading, rows)


def to_json(found: Sequence[Trial]) -> dict[str, Any]:
    """Everything, as plain values."""
    return {"trials": [one.to_json() for one in found], "misses": misses(found)}
