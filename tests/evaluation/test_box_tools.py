"""Grounding and segmentation, measured on tools whose answers are written by hand and whose figures are thus known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mmedagent.evaluation.tool_quality import grounded_segmentation, grounding, segmentation
from mmedagent.evaluation.tool_quality.cases import Case
from mmedagent.evaluation.tool_quality.driver import Driver, blank
from mmedagent.evaluation.tool_quality.overlap import dice, ellipse
from mmedagent.imaging.masks import encode_mask
from mmedagent.protocol.errors import UnavailableError, WorkerError
from mmedagent.protocol.invocation import ToolCall
from mmedagent.serving.tool import ToolContext, ToolOutput
from support.quality_tools import WrittenTool, value

SIZE = 64
SQUARES: Mapping[str, tuple[slice, slice]] = {
    "liver": (slice(8, 32), slice(8, 32)),
    "spleen": (slice(36, 56), slice(40, 60)),
}
VOCABULARY = """
alike = [["liver", "liver lesion"]]
[[structure]]
name = "liver"
seen = ["hepar"]
held_out = ["hepatic tissue"]
[[structure]]
name = "spleen"
seen = []
held_out = ["splenic tissue"]
[[structure]]
name = "liver lesion"
size = "small"
seen = []
held_out = []
[[structure]]
name = "optic disc"
seen = []
held_out = []
"""


def abdomen(number: int, *names: str) -> Case:
    """A picture with bright squares, one a structure, that differs from number to number."""
    pixels = np.full((SIZE, SIZE), number, np.uint8)
    masks = {}
    for name in names:
        masks[name] = np.zeros((SIZE, SIZE), np.bool_)
        masks[name][SQUARES[name]] = True
        pixels[SQUARES[name]] = 150 + 50 * list(SQUARES).index(name)
    return Case("ct", pixels, masks, {"modality": frozenset({"CT"})})


def box_in(name: str) -> list[float]:
    rows, columns = SQUARES[name]
    return [columns.start / SIZE, rows.start / SIZE, columns.stop / SIZE, rows.stop / SIZE]


def grounded(understood: Mapping[str, str]) -> WrittenTool:
    """Finds the bright squares of the structures that its prompts mean."""

    def answer(call: ToolCall, context: ToolContext) -> ToolOutput:
        assert call.image is not None
        pixels = context.frame(call.image)
        prompts: Any = call.parameters["prompts"]
        rows = [
            (prompt, box_in(understood[prompt]))
            for prompt in prompts
            if prompt in understood and pixels[SQUARES[understood[prompt]]].mean() > 140
        ]
        data: Any = {
            "boxes": [box for _, box in rows], "scores": [0.9] * len(rows), "phrases": [text for text, _ in rows],
        }  # fmt: skip
        return ToolOutput(data)

    return WrittenTool("grounding", answer)


def test_grounding_of_a_tool_that_knows_names_and_one_synonym() -> None:
    cases = [abdomen(number, "liver", "spleen") for number in range(6)] + [abdomen(9, "spleen")]
    vocabulary = grounding.read_vocabulary(VOCABULARY)
    tool = grounded({"liver": "liver", "spleen": "spleen", "hepatic tissue": "liver"})
    figures = grounding.measure(Driver(tool), cases, vocabulary)
    assert value(figures, "AP50 of organs") == 1.0
    assert value(figures, "liver", "AP50 of organs") == 1.0
    assert value(figures, "AP50 of small and crowded") is None
    assert value(figures, "AP50 of held-out synonyms, of that of their names") == 0.5
    assert value(figures, "absent objects without a box") == 1.0
    assert [one.met for one in figures if one.target and not one.part_of] == [True, False, True]


def test_grounding_asks_for_nothing_that_is_like_something_shown() -> None:
    vocabulary = grounding.read_vocabulary(VOCABULARY)
    assert vocabulary.absent(abdomen(0, "liver")) == ("spleen", "optic disc")
    assert vocabulary.absent(abdomen(0, "spleen")) == ("liver", "liver lesion", "optic disc")


def test_grounding_that_talks_about_everything_fails_silence() -> None:
    def answer(call: ToolCall, context: ToolContext) -> ToolOutput:
        prompts: Any = call.parameters["prompts"]
        rows: Any = [[0.0, 0.0, 1.0, 1.0]] * len(prompts)
        return ToolOutput({"boxes": rows, "scores": [0.5] * len(prompts), "phrases": prompts})

    cases = [abdomen(number, "liver") for number in range(6)]
    figures = grounding.measure(Driver(WrittenTool("grounding", answer)), cases, grounding.read_vocabulary(VOCABULARY))
    assert value(figures, "AP50 of organs") == 0.0
    assert value(figures, "absent objects without a box") == 0.0


def test_grounding_without_text_asks_one_word() -> None:
    tool = grounded({"object": "liver"})
    cases = [abdomen(number, "liver", "spleen") for number in range(6)]
    figures = grounding.measure(Driver(tool), cases, grounding.read_vocabulary(VOCABULARY), grounding.without_text)
    assert value(figures, "AP50 of organs") == 0.5
    assert {text for call in tool.calls for text in call.parameters["prompts"]} == {"object"}  # type: ignore[union-attr]


def test_names_that_may_clash_are_asked_apart() -> None:
    vocabulary = grounding.read_vocabulary(VOCABULARY)
    texts = {"liver": "liver", "hepatic tissue": "liver", "liver lesion": "liver lesion", "spleen": "spleen"}
    apart = grounding.without_clashes(texts, vocabulary, frozenset({"liver"}))
    assert apart == [["liver", "spleen"], ["hepatic tissue"], ["liver lesion"]]
    assert grounding.without_clashes(texts, vocabulary, frozenset()) == [list(texts)]
    many = {f"spleen {number}": f"spleen {number}" for number in range(24)}
    assert [len(call) for call in grounding.without_clashes(many, vocabulary, frozenset())] == [10, 10, 4]


def test_crumbs_of_a_structure_need_not_be_found() -> None:
    cases = [abdomen(number, "liver") for number in range(6)]
    for case in cases:
        case.masks["liver"][58:62, 2:6] = True
    figures = grounding.measure(Driver(grounded({"liver": "liver"})), cases, grounding.read_vocabulary(VOCABULARY))
    assert value(figures, "AP50 of organs") == 1.0


def test_grounded_segmentation_takes_the_outlines_of_a_name_together() -> None:
    def answer(call: ToolCall, context: ToolContext) -> ToolOutput:
        found: Any = context.of(call).call("grounding", call.parameters, call.image).data
        files = [
            context.store(encode_mask(ellipse(tuple(box), SIZE, SIZE) | (box[0] < 0.5)), "mask", "image/png", "mask")
            for box in found["boxes"]
        ]
        return ToolOutput({"phrases": found["phrases"]}, tuple(files))

    tool = WrittenTool("grounded_segmentation", answer)
    driver = Driver(tool, find=lambda name: grounded({"liver": "liver", "spleen": "spleen"}))
    cases = [abdomen(0, "liver", "spleen"), Case("mr", np.zeros((8, 8), np.uint8))]
    figures = grounded_segmentation.measure(driver, cases, grounding.read_vocabulary(VOCABULARY))
    everywhere = 2 * 24 * 24 / (SIZE * SIZE + 24 * 24)
    round_one = dice(ellipse((40 / 64, 36 / 64, 60 / 64, 56 / 64), SIZE, SIZE), cases[0].masks["spleen"])
    assert value(figures, "Dice of named organs on phantoms") == pytest.approx((everywhere + round_one) / 2)
    assert figures[0].count == 2


def segmenter(fill: Any) -> WrittenTool:
    """Answers every box with what `fill` makes of pixels and box."""

    def answer(call: ToolCall, context: ToolContext) -> ToolOutput:
        assert call.image is not None
        pixels = context.frame(call.image)
        boxes: Any = call.parameters["boxes"]
        files = [context.store(encode_mask(fill(pixels, tuple(box))), "mask", "image/png", "mask") for box in boxes]
        overlay = context.store(b"overlay", "overlay", "image/png", "overlay")
        return ToolOutput({"masks": []}, (*files, overlay))

    return WrittenTool("segmentation", answer)


def bright(pixels: NDArray[np.uint8], box: tuple[float, ...]) -> NDArray[np.bool_]:
    """Bright pixels near the box."""
    rows, columns = (np.arange(SIZE)[:, None] + 0.5) / SIZE, (np.arange(SIZE)[None] + 0.5) / SIZE
    near: NDArray[np.bool_] = (
        (columns > box[0] - 0.05) & (columns < box[2] + 0.05) & (rows > box[1] - 0.05) & (rows < box[3] + 0.05)
    )
    return near & (pixels > 140)


def test_segmentation_on_phantoms_beside_the_ellipse_and_without_the_image() -> None:
    cases = [abdomen(number, "liver", "spleen") for number in range(4)]
    driver = Driver(segmenter(bright))
    figures = segmentation.measure_phantoms(driver, cases)
    assert value(figures, "Dice on phantoms") == 1.0
    ellipse_dice = value(figures, "Dice of the inscribed ellipse on phantoms")
    assert ellipse_dice is not None
    assert 0.8 < ellipse_dice < 0.93
    blind = segmentation.measure_phantoms(Driver(segmenter(bright), frames=blank), cases)
    assert value(blind, "Dice on phantoms") == 0.0
    only = segmentation.measure_phantoms(driver, cases, skipped=("liver",))
    assert value(only, "ct", "Dice on phantoms") == 1.0
    assert [one.count for one in only if one.name == "Dice on phantoms"] == [4]


def test_segmentation_of_real_objects_is_held_against_grabcut() -> None:
    def fill(pixels: NDArray[np.uint8], box: Any) -> NDArray[np.bool_]:
        return ellipse(box, *pixels.shape[:2])

    figures = segmentation.measure_real(Driver(segmenter(fill)), "development")
    own = value(figures, "Dice on real objects, development half")
    assert own == value(figures, "Dice of the inscribed ellipse on real objects, development half")
    grabcut = value(figures, "Dice of GrabCut on real objects, development half")
    assert grabcut is not None
    assert own is not None
    assert figures[0].target is not None
    assert figures[0].target.bound == grabcut
    assert figures[0].met == (own >= grabcut)


def test_a_mask_too_few_is_an_error() -> None:
    tool = WrittenTool("segmentation", lambda call, context: ToolOutput({"masks": []}))
    with pytest.raises(WorkerError, match="0 masks for 2 boxes"):
        segmentation.measure_phantoms(Driver(tool), [abdomen(0, "liver", "spleen")])


def test_later_prompts_are_faster_when_the_tool_keeps_its_embedding() -> None:
    def answer(call: ToolCall, context: ToolContext) -> ToolOutput:
        assert call.image is not None
        context.cached((call.image.sha256,), slow)
        return ToolOutput({"masks": []})

    def slow() -> NDArray[np.floating[Any]]:
        inverse: NDArray[np.floating[Any]] = np.linalg.inv(np.random.default_rng(0).normal(size=(300, 300)))
        return inverse

    figure = segmentation.measure_speed(Driver(WrittenTool("segmentation", answer)), [abdomen(0), abdomen(1)])
    assert figure.value is not None
    assert figure.value > 2
    assert figure.count == 8


def test_a_tool_that_fails_or_calls_another_one() -> None:
    def fails(call: ToolCall, context: ToolContext) -> ToolOutput:
        raise UnavailableError("busy", retry_after=1)

    with pytest.raises(UnavailableError):
        Driver(WrittenTool("retrieval", fails)).ask({"query": "x"})

    def calls(call: ToolCall, context: ToolContext) -> ToolOutput:
        inner = context.of(call).call("grounding", {"prompts": ["liver"]}, call.image)
        context.of(call).progress(1, "done")
        context.raise_if_cancelled()
        return ToolOutput(inner.data)

    case = abdomen(0, "liver")
    driver = Driver(WrittenTool("grounded_segmentation", calls), find=lambda name: grounded({"liver": "liver"}))
    assert driver.ask({"prompts": ["liver"]}, driver.show(case.pixels)).data["phrases"] == ["liver"]
    alone = Driver(WrittenTool("grounded_segmentation", calls))
    with pytest.raises(WorkerError, match="no grounding to call"):
        alone.ask({"prompts": ["liver"]}, alone.show(case.pixels))
