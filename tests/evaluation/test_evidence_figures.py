"""The figures of evidence: what counts as resolved, as repeated and as marked, and the command."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from typer.testing import CliRunner

from mmedagent.cli.main import app
from mmedagent.evaluation.evidence import (
    Call,
    EvidenceCount,
    EvidenceFigures,
    EvidenceTurn,
    planted,
    tool_numbers,
    written,
)
from mmedagent.evaluation.evidence_asks import generated
from mmedagent.protocol.claims import Claim
from mmedagent.protocol.invocation import ToolFailure, ToolResult
from support.results import provenance
from support.script import action, answer, plan, rule
from support.system import running_system
from support.tools import EchoTool

TEXT = "It covers 61.7 mm². [1]"
DATA: dict[str, Any] = {"masks": [{"area_mm2": 61.694}], "note": "up to 5 days"}


def claim(text: str = "61.7 mm²", field: str | None = "/masks/0/area_mm2", **fields: Any) -> Claim:
    start = TEXT.find(text)
    made = {"kind": "number", "supported": True, "call_id": "call_1", "field": field, **fields}
    return Claim(start=start, end=start + len(text), text=text, **made)


def turn(*claims: Claim, text: str = TEXT, **fields: Any) -> EvidenceTurn:
    outcome = ToolResult(call_id="call_1", tool="segmentation", data=DATA, provenance=provenance("segmentation"))
    calls = [Call({"boxes": [[0.1, 0.2, 0.3, 61.7]]}, outcome)]
    return EvidenceTurn(
        **{"name": "t", "question": "How big?", "text": text, "claims": claims, "calls": calls, **fields}
    )


def counted(*turns: EvidenceTurn, marks: bool = True) -> EvidenceFigures:
    """Figures with a claimer that marks every number, or none."""

    def claims_of(turn: EvidenceTurn, text: str) -> Sequence[Claim]:
        return [
            Claim(start=one.start, end=one.end, text=text[one.start : one.end], kind="number", supported=not marks)
            for one in written(text)
        ]

    count = EvidenceCount(claims_of, Random(1))  # noqa: S311 - no secret
    for one in turns:
        count.add(one)
    return count.figures


def test_a_number_resolves_where_the_stored_field_has_it() -> None:
    figures = counted(turn(claim()))
    assert (figures.tool_numbers, figures.resolved, figures.unresolved) == (1, 1, [])


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        [claim(field="/masks/0/area_px")],
        [claim(field="/masks/1/area_mm2")],
        [claim(field="/note")],
        [claim(supported=False)],
        [claim(call_id="call_2")],
        [claim("61")],
        [claim(field=None, call_id=None)],
    ],
)
def test_anything_else_does_not_resolve(wrong: list[Claim]) -> None:
    figures = counted(turn(*wrong))
    assert (figures.tool_numbers, figures.resolved, figures.repeated) == (1, 0, 0)
    assert figures.unresolved == ["t: 61.7"]


def test_what_repeats_a_parameter_or_the_question_is_counted_by_itself() -> None:
    asked = turn(claim(field=None, call_id=None), question="Is it 61.7 mm²?")
    assert [counted(one).repeated for one in (turn(claim(field=None)), asked)] == [1, 1]


def test_what_is_repeated_from_an_earlier_turn_must_resolve_there() -> None:
    later = turn(claim(), text=TEXT.removesuffix(" [1]"), calls=[], earlier=[turn(claim())])
    assert counted(later).resolved == 1
    assert counted(turn(text=TEXT.removesuffix(" [1]"), calls=[], earlier=[turn(claim())])).resolved == 0


def test_numbers_of_a_suggested_ask_come_from_no_tool() -> None:
    said = "It overlaps by 0.75. [1]"
    again = 'Say for example "Segment the structure in the box [0.25, 0.05, 0.75, 0.70] and give me its area."'
    assert tool_numbers(turn(text=again, calls=[], earlier=[turn(text=said)])) == []
    assert len(tool_numbers(turn(text=f"{again} It was 0.75.", calls=[], earlier=[turn(text=said)]))) == 1


def test_planted_and_changed_numbers_count_as_marked_only_when_they_are() -> None:
    good, bad = counted(turn(claim())), counted(turn(claim()), marks=False)
    assert (good.planted, good.planted_marked, good.changed, good.changed_marked, good.missed) == (1, 1, 1, 1, [])
    assert (bad.planted, bad.planted_marked, bad.changed, bad.changed_marked) == (1, 0, 1, 0)
    assert len(bad.missed) == 2


def test_planted_numbers_are_not_true() -> None:
    random = Random(2)  # noqa: S311 - no secret
    for _ in range(50):
        text, number = planted(turn(), random)
        assert text[number.start : number.end] not in TEXT
        assert not number.rounds(61.694)


def test_a_failure_that_nobody_tells_of_is_listed() -> None:
    failed = [Call({}, ToolFailure(call_id="call_1", tool="echo", code="x", message="It broke."))]
    silent = turn(text="Fine.", calls=failed)
    open_turn = turn(claim("It", field=None, kind="failure"), text="It covers", calls=failed)
    assert counted(silent).undisclosed == ["t"]
    assert counted(open_turn).undisclosed == []


def test_generated_dialogues_have_so_many_turns() -> None:
    dialogues = generated(Random(3), 40, ["a.dcm"])  # noqa: S311 - no secret
    assert sum(len(one.turns) for one in dialogues) == 40
    assert len({one.id for one in dialogues}) == len(dialogues)


def test_the_command_asks_a_server(tmp_path: Path) -> None:
    rules = [
        rule(
            "",
            plan(action("echo", boxes=[[0.125, 0.25, 0.5, 0.75]])),
            answer("Found 1 box at [0.12, 0.25, 0.50, 0.75]. [1]"),
        )
    ]
    with running_system(tmp_path, rules, [EchoTool()]) as system:
        arguments = ["evaluate", "evidence", "--turns", "4", "--url", system.url, "--json", str(tmp_path / "f.json")]
        ended = CliRunner().invoke(app, arguments)
    assert ended.exit_code == 0, ended.output
    figures = json.loads((tmp_path / "f.json").read_text())
    assert (figures["turns"], figures["tool_numbers"], figures["resolved"]) == (4, 20, 20)
    assert figures["planted_marked"] == figures["planted"] == 4
