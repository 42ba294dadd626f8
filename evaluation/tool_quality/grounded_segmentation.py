"""Grounded segmentation: Dice of what is outlined under a name, on the organs that an image shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from mmedagent.evaluation.tool_quality.cases import Case, Mask
from mmedagent.evaluation.tool_quality.driver import Driver
from mmedagent.evaluation.tool_quality.figures import Figure, mean
from mmedagent.evaluation.tool_quality.grounding import Structure, Vocabulary, without_clashes
from mmedagent.evaluation.tool_quality.overlap import dice

_MOST_NAMES = 4


def measure(driver: Driver, cases: Sequence[Case], vocabulary: Vocabulary) -> list[Figure]:
    """Mean Dice over named organs, each name's outlines together against all of its structure, and the mean by kind."""
    by_kind: dict[str, list[float]] = {}
    for case in cases:
        asked = _organs(case, vocabulary)
        if asked:
            found = _outlines(driver, case, [one.name for one in asked])
            scores = [dice(found[one.name], _together(case, one)) for one in asked]
            by_kind.setdefault(case.kind, []).extend(scores)
    label = "Dice of named organs on phantoms"
    flat = [score for scores in by_kind.values() for score in scores]
    return [
        Figure(name=label, value=mean(flat), unit="Dice", count=len(flat)),
        *(
            Figure(name=kind, value=mean(scores), unit="Dice", count=len(scores), part_of=label)
            for kind, scores in by_kind.items()
        ),
    ]


def _organs(case: Case, vocabulary: Vocabulary) -> list[Structure]:
    """Organs of the image that may be asked for in one call."""
    shown = {one.name: one for one in vocabulary.structures if one.masks & case.masks.keys() and not one.small}
    calls = without_clashes({name: name for name in shown}, vocabulary, frozenset(shown))
    return [shown[name] for name in calls[0][:_MOST_NAMES]] if calls else []


def _outlines(driver: Driver, case: Case, names: Sequence[str]) -> dict[str, Mask]:
    """What is outlined under each name, taken together; nothing where nothing was found."""
    prompts: Any = list(names)
    answer = driver.ask({"prompts": prompts}, driver.show(case.pixels))
    outlines = {name: np.zeros(case.pixels.shape[:2], np.bool_) for name in names}
    phrases = cast("list[str]", answer.data["phrases"])
    for phrase, mask in zip(phrases, driver.masks(answer), strict=True):
        if phrase in outlines:
            outlines[phrase] |= mask
    return outlines


def _together(case: Case, structure: Structure) -> Mask:
    masks: Mask = np.logical_or.reduce([mask for name, mask in case.masks.items() if name in structure.masks])
    return masks
