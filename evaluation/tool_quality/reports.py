"""Report generation: F1 of the findings that its text states, contradictions in it, and refusal of other images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from mmedagent.evaluation.tool_quality.cases import Case
from mmedagent.evaluation.tool_quality.driver import Driver
from mmedagent.evaluation.tool_quality.figures import Figure, Target, mean, share
from mmedagent.evaluation.tool_quality.report_reader import TERMS, Statement, disagreements, read_report, stated
from mmedagent.protocol.types import JsonObject

LEAST_F1 = 0.85
CHEST_RADIOGRAPH = "X-ray chest"
EVEN = 0.5
_REFUSAL = "not a chest"


@dataclass(frozen=True)
class Reading:
    """A report and what is true."""

    truth: frozenset[str]
    statements: tuple[Statement, ...]
    probabilities: Mapping[str, float]

    @property
    def contradictions(self) -> int:
        """Sentences that say the opposite of the classifier's more probable side, and findings said and denied."""
        against = sum(
            (one.stance == "stated" and self.probabilities[one.finding] < EVEN)
            or (one.stance == "denied" and self.probabilities[one.finding] >= EVEN)
            for one in self.statements
            if one.finding in self.probabilities
        )
        return against + len(disagreements(self.statements))


def measure(driver: Driver, cases: Sequence[Case]) -> list[Figure]:
    """The figures over phantoms: chest radiographs for what is stated, all others for the refusal."""
    chests = [case for case in cases if case.view == CHEST_RADIOGRAPH]
    others = [case for case in cases if case.view != CHEST_RADIOGRAPH]
    answers = [(case, driver.ask({}, driver.show(case.pixels)).data) for case in chests]
    readings = [read(case, data) for case, data in answers]
    refused = [refuses(driver.ask({}, driver.show(case.pixels)).data) for case in others]
    wrong = sum(reading.contradictions for reading in readings)
    written = [not refuses(data) for _, data in answers]
    return [
        *scores(readings),
        Figure(
            name="contradictions with the classifier or in the text",
            value=float(wrong) if readings else None,
            unit="count",
            count=len(readings),
            target=Target(bound=0, at_least=False),
        ),
        Figure(name="chest radiographs reported", value=share(written), count=len(written)),
        Figure(name="other images refused", value=share(refused), count=len(refused)),
    ]


def scores(readings: Sequence[Reading]) -> list[Figure]:
    """Macro F1 over the findings that occur, and F1 of each."""
    label = "macro F1 of stated findings"
    names = [name for name in TERMS if any(name in reading.truth for reading in readings)]
    by_name = {name: f1([(name in one.truth, name in stated(one.statements)) for one in readings]) for name in names}
    whole = Figure(
        name=label,
        value=mean(list(by_name.values())),
        unit="F1",
        count=len(readings),
        target=Target(bound=LEAST_F1),
    )
    return [
        whole,
        *(
            Figure(
                name=name,
                value=by_name[name],
                unit="F1",
                count=sum(name in one.truth for one in readings),
                part_of=label,
            )
            for name in names
        ),
    ]


def f1(pairs: Sequence[tuple[bool, bool]]) -> float:
    """F1 of (true, said) pairs; 0 when nothing is said rightly."""
    both = sum(true and said for true, said in pairs)
    either = sum(true for true, _ in pairs) + sum(said for _, said in pairs)
    return 2 * both / either if both else 0.0


def read(case: Case, data: JsonObject) -> Reading:
    """A report as statements. A refusal states nothing."""
    texts = () if refuses(data) else (str(data["findings"]), str(data["impression"]))
    chances = cast("dict[str, float]", data["probabilities"])
    return Reading(case.findings, tuple(read_report(*texts)), chances)


def refuses(data: JsonObject) -> bool:
    """Whether the report says that the image is not a chest radiograph."""
    return _REFUSAL in f"{data['findings']} {data['impression']}".casefold()
