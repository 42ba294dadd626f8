"""Tools that a planner learnt later: their parameters are copied from the ask, and parts of one tool join."""

import pytest

from mmedagent.networks.planner_added import AddedOutcome
from mmedagent.networks.planner_parts import Part, merged, plan_parts
from mmedagent.networks.planner_text import read_ask_text
from mmedagent.protocol.types import JsonObject

VESSELS = AddedOutcome(tool="stenosis", copied={"vessels": "names"}, required=("vessels",), most=2)
LANGUAGE = AddedOutcome(tool="translate", copied={"language": "name"}, required=("language",))
STAGE = AddedOutcome(tool="stage", copied={"description": "passage"}, required=("description",))
BOXED = AddedOutcome(tool="boxed", fixed={"mode": "fast"}, copied={"boxes": "boxes", "points": "points"})
PLAIN, FEMALE = AddedOutcome(tool="bone_age"), AddedOutcome(tool="bone_age", fixed={"sex": "female"})


def planned(added: AddedOutcome, ask: str, **copied: tuple[str, ...]) -> JsonObject | str | None:
    part = Part(added.tool, ask, added=added, **copied)  # type: ignore[arg-type]
    (found,) = plan_parts((part,), read_ask_text(ask), {added.tool})
    return found.action.API_params if found.action is not None else found.missing


@pytest.mark.parametrize(
    ("added", "ask", "copied", "expected"),
    [
        (VESSELS, "grade LAD, RCA, LCx", {"names": ("LAD", "RCA", "LCx")}, {"vessels": ["LAD", "RCA"]}),
        (VESSELS, "grade it", {}, "its vessels"),
        (LANGUAGE, "into Polish", {"names": ("Polish",)}, {"language": "Polish"}),
        (STAGE, "stage: 3 cm, no nodes", {"passages": ("3 cm, no nodes",)}, {"description": "3 cm, no nodes"}),
        (BOXED, "this [0.1, 0.2, 0.3, 0.4]", {}, {"mode": "fast", "boxes": [[0.1, 0.2, 0.3, 0.4]]}),
        (PLAIN, "how old is she", {}, {}),
    ],
)
def test_parameters_come_from_the_ask(
    added: AddedOutcome, ask: str, copied: dict[str, tuple[str, ...]], expected: JsonObject | str
) -> None:
    assert planned(added, ask, **copied) == expected


def test_a_part_without_a_choice_joins_the_one_that_chooses() -> None:
    parts = (Part("bone_age", "bone age?", added=PLAIN), Part("bone_age", "a girl", added=FEMALE, confidence=0.6))
    (one,) = merged(parts)
    assert (one.added, one.confidence, one.words) == (FEMALE, 0.6, "bone age? a girl")
    assert (
        len(merged((parts[1], Part("bone_age", "a boy", added=AddedOutcome(tool="bone_age", fixed={"sex": "male"})))))
        == 2
    )


def test_a_tool_that_is_not_registered_has_no_action() -> None:
    (found,) = plan_parts((Part("bone_age", "x", added=PLAIN),), read_ask_text("x"), {"grounding"})
    assert found.action is None
