"""Which figures belong to which tool, with their ablations: the same figures with something taken away."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mmedagent.evaluation.real_images.registry import Split
from mmedagent.evaluation.tool_quality import (
    classification,
    grounded_segmentation,
    grounding,
    reports,
    retrieval,
    segmentation,
)
from mmedagent.evaluation.tool_quality.cases import Case, Pixels
from mmedagent.evaluation.tool_quality.driver import Driver, FindTool, blank
from mmedagent.evaluation.tool_quality.figures import Figure, ToolFigures
from mmedagent.evaluation.tool_quality.grounding import Vocabulary, without_text
from mmedagent.evaluation.tool_quality.retrieval import Question
from mmedagent.serving.tool import Tool

NO_IMAGE, NO_TEXT, SHUFFLED = "no image", "no text", "shuffled weights"
_SPEED_IMAGES = 8
_OTHER_IMAGES = 60
_GROUNDING_STEP = 2
"""Grounding is asked many things about an image, and so about every so many images."""


@dataclass(frozen=True)
class Material:
    """What the tools are measured on.

    Attributes:
        cases: held-out phantoms of every kind.
        chests: held-out chest radiographs, for reports.
        vocabulary: the names of grounding.
        skipped: structures that a box does not single out.
        questions: for retrieval.
        splits: the halves of the real images that may be opened.
    """

    cases: Sequence[Case] = ()
    chests: Sequence[Case] = ()
    vocabulary: Vocabulary = field(default_factory=lambda: Vocabulary(()))
    skipped: Collection[str] = ()
    questions: Sequence[Question] = ()
    splits: Sequence[Split] = ("development", "final")

    def thinned(self, step: int) -> Material:
        """Every `step`-th case and no real image, for ablations."""
        return replace(self, cases=self.cases[::step], chests=self.chests[::step], splits=())


Measure = Callable[[Driver, Material], list[Figure]]


def _grounding(driver: Driver, material: Material) -> list[Figure]:
    return grounding.measure(driver, material.cases[::_GROUNDING_STEP], material.vocabulary)


def _grounding_without_text(driver: Driver, material: Material) -> list[Figure]:
    return grounding.measure(driver, material.cases[::_GROUNDING_STEP], material.vocabulary, without_text)


def _segmentation(driver: Driver, material: Material) -> list[Figure]:
    figures = segmentation.measure_phantoms(driver, material.cases, material.skipped)
    for split in material.splits:
        figures += segmentation.measure_real(driver, split)
    step = max(1, len(material.cases) // _SPEED_IMAGES)
    return [*figures, segmentation.measure_speed(driver, material.cases[::step][:_SPEED_IMAGES])]


def _segmentation_ablated(driver: Driver, material: Material) -> list[Figure]:
    return segmentation.measure_phantoms(driver, material.cases, material.skipped)


def _grounded_segmentation(driver: Driver, material: Material) -> list[Figure]:
    return grounded_segmentation.measure(driver, material.cases[::_GROUNDING_STEP], material.vocabulary)


def _classification(driver: Driver, material: Material) -> list[Figure]:
    figures = classification.measure(driver, material.cases)
    for split in material.splits:
        figures += classification.measure_real(driver, split)
        figures += classification.measure_abstention(driver, split)
    return figures


def _reports(driver: Driver, material: Material) -> list[Figure]:
    others = [case for case in material.cases if case.view != reports.CHEST_RADIOGRAPH]
    step = max(1, len(others) // _OTHER_IMAGES)
    return reports.measure(driver, [*material.chests, *others[::step]])


def _retrieval(driver: Driver, material: Material) -> list[Figure]:
    return retrieval.measure(driver, material.questions)


MEASURES: Mapping[str, Measure] = {
    "grounding": _grounding,
    "segmentation": _segmentation,
    "grounded_segmentation": _grounded_segmentation,
    "classification": _classification,
    "report_generation": _reports,
    "retrieval": _retrieval,
}
"""The tools that have figures, in the order of the table."""

_ABLATED: Mapping[str, Measure] = {**MEASURES, "segmentation": _segmentation_ablated}
_WITHOUT_TEXT: Mapping[str, Measure] = {"grounding": _grounding_without_text}


@dataclass(frozen=True)
class Conditions:
    """How to measure one tool.

    Attributes:
        find: finds the tools that it may call.
        shuffled: the same tool with its weights shuffled, if that is wanted.
        step: ablations take every `step`-th case; 0 for no ablations.
        on_image: hears of every image.
    """

    find: FindTool | None = None
    shuffled: Tool | None = None
    step: int = 3
    on_image: Callable[[], None] | None = None


def measure_tool(tool: Tool, material: Material, conditions: Conditions) -> ToolFigures:
    """All figures of a loaded tool. Raises what the tool raises."""
    started = time.perf_counter()
    name = tool.card.name
    figures = MEASURES[name](Driver(tool, conditions.find, on_image=conditions.on_image), material)
    for label, others in _ablations(tool, material, conditions):
        figures = [figure.with_ablation(label, others) for figure in figures]
    return ToolFigures(
        tool=name,
        version=tool.card.version,
        checkpoint_sha256=tool.card.checkpoint_sha256,
        seconds=round(time.perf_counter() - started, 1),
        figures=tuple(figures),
    )


def _ablations(tool: Tool, material: Material, conditions: Conditions) -> list[tuple[str, list[Figure]]]:
    if not conditions.step:
        return []
    name, few, found = tool.card.name, material.thinned(conditions.step), []

    def driver(other: Tool, frames: Callable[[Pixels], Pixels] | None = None) -> Driver:
        return Driver(other, conditions.find, frames, conditions.on_image)

    if tool.card.needs_image:
        found.append((NO_IMAGE, _ABLATED[name](driver(tool, blank), few)))
    if name in _WITHOUT_TEXT:
        found.append((NO_TEXT, _WITHOUT_TEXT[name](driver(tool), few)))
    if conditions.shuffled is not None:
        found.append((SHUFFLED, _ABLATED[name](driver(conditions.shuffled), few)))
    return found
