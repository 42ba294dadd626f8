"""One consultation: triage, the specialists at the same time, and the attending physician, each as it comes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from mmedagent.protocol.consultation import SPECIALTIES, Reply, chosen_option, read_reply, salvage_reply
from mmedagent.protocol.errors import MMedAgentError, WorkerError
from mmedagent.protocol.invocation import ImageRef
from mmedagent.serving.blobs import sha256_of
from mmedagent.serving.tool import CallContext, ToolContext
from mmedagent.tool_workers.consultation.agreement import Answer, groups
from mmedagent.tool_workers.consultation.doctors import Case, Opinion, Said, Task, Visit
from mmedagent.tool_workers.consultation.panel import Panel, Role, Seat
from mmedagent.tool_workers.consultation.waiting import Came, as_they_come

log = logging.getLogger(__name__)
T = TypeVar("T")

MAX_ANSWER, MAX_RATIONALE, MAX_PROGRESS = 500, 1_500, 500
TRIAGE_SHARE, ATTENDING_SHARE = 0.2, 0.4
"""Of the time that is left: what triage may take at most, and what is kept for the attending physician."""

TRIAGED, HEARD = 0.15, 0.7
"""How much of a call is done after triage, and after all opinions."""

NO_ANSWER = "The reply holds no answer."
TRIAGE, ATTENDING = "triage doctor", "attending physician"
FALLBACKS = {"SM": "pathologist", "GM": "pathologist", "OP": "ophthalmologist", "OPT": "ophthalmologist"}
"""By DICOM modality (PS3.3 section C.7.3.1.1.1), where triage fails; any other image is a radiologist's."""


@dataclass(frozen=True)
class Triage:
    """The specialty, why, and who chose it: a model, or nobody (None) when it was chosen by the image's modality."""

    specialty: str
    reason: str
    model: str | None
    seconds: float


@dataclass(frozen=True)
class Absence:
    """A doctor of the panel who gave no answer, and why, in a sentence."""

    doctor: str
    code: str
    reason: str
    seconds: float


@dataclass(frozen=True)
class Decision:
    """What the attending physician answered: the reply that stands for all that agree with it, and the votes."""

    answer: Answer
    rationale: str
    model: str
    checkpoint_sha256: str | None
    votes: tuple[tuple[str, int], ...]
    seconds: float


@dataclass(frozen=True)
class Course:
    """How a consultation went. Without a decision there is the error that the attending physician ended with."""

    case: Case
    triage: Triage
    opinions: tuple[Opinion, ...]
    absences: tuple[Absence, ...]
    decision: Decision | MMedAgentError


@dataclass(frozen=True)
class Read:
    """A reply as it was understood."""

    said: Said
    answer: Answer
    rationale: str


class Consultation:
    """The panel at work on one call. Who fails or is late is noted as absent, and the panel goes on."""

    def __init__(self, panel: Panel, case: Case, context: ToolContext, call: CallContext) -> None:
        self._panel = panel
        self._settings = panel.settings
        self._case = case
        self._context = context
        self._call = call
        self._identity = sha256_of(repr((panel.prompts.identity, case.question, case.options)).encode())
        self._absences: list[Absence] = []

    def hold(self) -> Course:
        """From triage to decision. Raises `CancelledError` and `DeadlineError` of the call."""
        triage = self._triage()
        opinions = self._opinions(triage.specialty)
        decision = self._decision(opinions)
        self._call.progress(1.0, "The panel is done.")
        return Course(self._case, triage, tuple(opinions), tuple(self._absences), decision)

    def _triage(self) -> Triage:
        """The specialty that the triage doctor chose, or the one that the image's modality suggests."""
        self._call.progress(0.0, "The triage doctor chooses a specialty.")
        limit_s = min(self._settings.deadlines.triage_s, self._call.remaining_s * TRIAGE_SHARE)
        task = Task("triage", self._case)
        (came,) = self._heard([self._asking(self._settings.triage, task, limit_s, 0)], limit_s)
        if isinstance(came.outcome, MMedAgentError):
            self._miss(TRIAGE, came.outcome, came.seconds)
        else:
            read = _read(came.outcome, SPECIALTIES)
            if read.answer.choice is not None:
                specialty = SPECIALTIES[read.answer.choice]
                self._call.progress(TRIAGED, f"Triage chose the {specialty}.")
                return Triage(specialty, read.rationale, came.outcome.model, came.seconds)
            self._miss(TRIAGE, WorkerError("The reply names none of the specialties."), came.seconds)
        specialty = fallback_specialty(self._case.image)
        self._call.progress(TRIAGED, f"Triage failed; the {specialty} is asked because of the kind of image.")
        return Triage(specialty, "Chosen by the kind of image, because triage failed.", None, came.seconds)

    def _opinions(self, specialty: str) -> list[Opinion]:
        """The opinions of those who answered in time, in the order of their seats, as are those who did not."""
        left_s = self._call.remaining_s * (1 - ATTENDING_SHARE)
        limit_s = min(self._settings.deadlines.opinion_s, left_s)
        fields = self._settings.specialties(specialty)
        seats = list(zip(_names(self._settings.specialists, fields), self._settings.specialists, fields, strict=True))
        asking = [partial(self._opinion, *seat, limit_s, place) for place, seat in enumerate(seats)]
        given: dict[int, Opinion] = {}
        missed: dict[int, Absence] = {}
        told: list[str] = []
        for count, came in enumerate(self._heard(asking, limit_s), 1):
            name = seats[came.place][0]
            if isinstance(came.outcome, MMedAgentError):
                missed[came.place] = _absence(name, came.outcome, came.seconds)
                told.append(f"{name}: no answer.")
            else:
                given[came.place] = came.outcome
                told.append(f"{name}: {came.outcome.answer}.")
            # All so far, because news that come fast replace each other.
            self._call.progress(TRIAGED + (HEARD - TRIAGED) * count / len(seats), " ".join(told)[:MAX_PROGRESS])
        self._absences += [missed[place] for place in sorted(missed)]
        return [given[place] for place in sorted(given)]

    def _decision(self, opinions: Sequence[Opinion]) -> Decision | MMedAgentError:
        """What the attending physician makes of it, or why there is no answer. Replies that failed do not vote."""
        self._call.progress(HEARD, "The attending physician weighs the opinions.")
        role = self._settings.attending
        limit_s = min(self._settings.deadlines.attending_s, self._call.remaining_s)
        task = Task("attending", self._case, opinions=tuple(opinions))
        asking = [self._asking(role, task, limit_s, place) for place in range(role.samples)]
        replies: dict[int, Read] = {}
        failure: MMedAgentError = WorkerError(NO_ANSWER)
        seconds = 0.0
        for came in self._heard(asking, limit_s):
            seconds = came.seconds
            read = _read(came.outcome, self._case.options) if isinstance(came.outcome, Said) else None
            if read is not None and read.answer.text:
                replies[came.place] = read
            else:
                failure = came.outcome if isinstance(came.outcome, MMedAgentError) else failure
                self._miss(_sample_name(came.place, role.samples), failure, came.seconds)
        if not replies:
            return failure
        return _decided([replies[place] for place in sorted(replies)], seconds)

    def _opinion(self, name: str, seat: Seat, specialty: str, limit_s: float, place: int) -> Opinion:
        """Raises `MMedAgentError`."""
        started, made = time.monotonic(), False
        ask = self._asking(seat, Task("opinion", self._case, specialty), limit_s, place)

        def make() -> Said:
            nonlocal made
            made = True
            said = ask()
            if not _read(said, self._case.options).answer.text:
                raise WorkerError(NO_ANSWER)
            return said

        said = self._context.cached(self._key(seat, specialty, place), make)
        read = _read(said, self._case.options)
        return Opinion(
            specialist=name,
            specialty=specialty,
            answer=read.answer.text,
            rationale=read.rationale,
            choice=read.answer.choice,
            model=said.model,
            checkpoint_sha256=said.checkpoint_sha256,
            seconds=time.monotonic() - started,
            cached=not made,
        )

    def _key(self, seat: Seat, specialty: str, place: int) -> tuple[str, ...]:
        image = self._case.image.sha256 if self._case.image else "none"
        doctor = self._panel.doctors[seat.backend].identity
        return ("opinion", image, self._identity, specialty, doctor, repr(seat.manner(place)))

    def _asking(self, role: Role, task: Task, limit_s: float, seed: int) -> Callable[[], Said]:
        doctor, manner = self._panel.doctors[role.backend], role.manner(seed)
        visit = Visit(self._context, self._call, limit_s, manner)
        return lambda: doctor.answer(task, visit)

    def _heard(self, asking: Sequence[Callable[[], T]], limit_s: float) -> Iterator[Came[T]]:
        return as_they_come(asking, limit_s, self._call.raise_if_cancelled, self._panel.threads)

    def _miss(self, doctor: str, error: MMedAgentError, seconds: float) -> None:
        self._absences.append(_absence(doctor, error, seconds))


def _absence(doctor: str, error: MMedAgentError, seconds: float) -> Absence:
    log.info("a doctor of the panel gave no answer", extra={"code": error.code})
    return Absence(doctor, error.code, error.detail, seconds)


def fallback_specialty(image: ImageRef | None) -> str:
    """Whose case it is, as far as the header says."""
    return FALLBACKS.get(image.modality or "", "radiologist") if image else "radiologist"


def _names(seats: Sequence[Seat], specialties: Sequence[str]) -> list[str]:
    """What the specialists are called: their own name, or their specialty, numbered where several share it."""
    plain = [seat.name or specialty for seat, specialty in zip(seats, specialties, strict=True)]
    return [
        name if plain.count(name) == 1 else f"{name} {plain[: place + 1].count(name)}"
        for place, name in enumerate(plain)
    ]


def _read(said: Said, options: Sequence[str]) -> Read:
    """A reply that broke off while it was thinking has no answer."""
    unfinished = "<think>" in said.text and "</think>" not in said.text and "<answer>" not in said.text
    reply = Reply(said.text, "") if unfinished else read_reply(said.text) or salvage_reply(said.text)
    choice = chosen_option(reply.answer, options) if options else None
    text = options[choice] if choice is not None else " ".join(reply.answer.split())
    return Read(said, Answer(text[:MAX_ANSWER], choice), (reply.rationale or said.reasoning)[:MAX_RATIONALE])


def _decided(replies: Sequence[Read], seconds: float) -> Decision:
    """The answer that most replies give, in the words of the first of them; the first answer where as many give two.

    Where some name an option, the others have no vote.
    """
    replies = [reply for reply in replies if reply.answer.choice is not None] or replies
    grouped = groups([reply.answer for reply in replies])
    first = replies[grouped[0][0]]
    votes = tuple((replies[group[0]].answer.text, len(group)) for group in grouped)
    return Decision(first.answer, first.rationale, first.said.model, first.said.checkpoint_sha256, votes, seconds)


def _sample_name(place: int, samples: int) -> str:
    return ATTENDING if samples == 1 else f"{ATTENDING}, reply {place + 1}"
