"""How a consultation went, in the form that the tool's card promises."""

from __future__ import annotations

from mmedagent.protocol.errors import MMedAgentError
from mmedagent.protocol.types import JsonObject
from mmedagent.tool_workers.consultation.agreement import agreement, answer_of
from mmedagent.tool_workers.consultation.consultation import Absence, Course, Decision
from mmedagent.tool_workers.consultation.doctors import Opinion

ALONE = "No specialist gave an opinion, so the attending physician answered alone."
UNDECIDED = "The attending physician gave no answer: {reason}"
NO_OPTION = "The attending physician's answer names none of the options."
DIGITS = 3


def result_data(course: Course) -> JsonObject:
    """The data of a result of which at least one doctor gave an answer."""
    triage, decision = course.triage, course.decision
    share, summary = agreement(course.opinions)
    decided = decision if isinstance(decision, Decision) else None
    overruled = [one.specialist for one in course.opinions if _agrees(one, decided) is False]
    return {
        "specialty": triage.specialty,
        "triage": {"reason": triage.reason, "model": triage.model, "seconds": round(triage.seconds, DIGITS)},
        "opinions": [_opinion(one, decided) for one in course.opinions],
        "absent": [_absence(one) for one in course.absences],
        "agreement": {"share": None if share is None else round(share, DIGITS), "summary": summary},
        "answer": decided.answer.text if decided else "",
        "choice": decided.answer.choice if decided else None,
        "rationale": decided.rationale if decided else "",
        "attending": _attending(decided) if decided else None,
        "overruled": list(overruled),
        "votes": [{"answer": text, "count": count} for text, count in (decided.votes if decided else ())],
        "note": " ".join(_notes(course)),
    }


def _notes(course: Course) -> list[str]:
    notes = [] if course.opinions else [ALONE]
    if isinstance(course.decision, MMedAgentError):
        return [*notes, UNDECIDED.format(reason=course.decision.detail)]
    return [*notes, NO_OPTION] if course.case.options and course.decision.answer.choice is None else notes


def _agrees(one: Opinion, decided: Decision | None) -> bool | None:
    return answer_of(one).agrees_with(decided.answer) if decided else None


def _opinion(one: Opinion, decided: Decision | None) -> JsonObject:
    return {
        "specialist": one.specialist,
        "specialty": one.specialty,
        "answer": one.answer,
        "choice": one.choice,
        "rationale": one.rationale,
        "agrees": _agrees(one, decided),
        "model": one.model,
        "checkpoint_sha256": one.checkpoint_sha256,
        "seconds": round(one.seconds, DIGITS),
        "cached": one.cached,
    }


def _absence(one: Absence) -> JsonObject:
    return {"doctor": one.doctor, "code": one.code, "reason": one.reason, "seconds": round(one.seconds, DIGITS)}


def _attending(decided: Decision) -> JsonObject:
    return {
        "model": decided.model,
        "checkpoint_sha256": decided.checkpoint_sha256,
        "seconds": round(decided.seconds, DIGITS),
    }
