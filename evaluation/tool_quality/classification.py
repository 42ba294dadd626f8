"""Classification: accuracy and calibration by task, modality of real images, and silence on what is not medical."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from mmedagent.evaluation.real_images.drawn import drawn_images
from mmedagent.evaluation.real_images.frames import load_frame
from mmedagent.evaluation.real_images.registry import Split, load_registry
from mmedagent.evaluation.tool_quality.cases import Case, Pixels
from mmedagent.evaluation.tool_quality.driver import Driver
from mmedagent.evaluation.tool_quality.figures import Figure, Target, share
from mmedagent.protocol.types import JsonObject

TASKS = ("modality", "anatomy", "histology", "finding")
TARGETS: Mapping[str, Target] = {"modality": Target(bound=0.98), "anatomy": Target(bound=0.95)}
LEAST_ABSTENTION = 0.95
NOT_MEDICAL = "not a medical image"
_BINS = 10


@dataclass(frozen=True)
class Choice:
    """The tool's first label, its probability, and whether the tool would rather not say."""

    label: str
    probability: float
    abstained: bool


def measure(driver: Driver, cases: Sequence[Case]) -> list[Figure]:
    """Accuracy of every task on the phantoms that have a truth for it, with the calibration error as a part."""
    figures: list[Figure] = []
    for task in TASKS:
        asked = [case for case in cases if case.labels.get(task)]
        choices = [choose(driver, case.pixels, task) for case in asked]
        right = [choice.label in case.labels[task] for choice, case in zip(choices, asked, strict=True)]
        name = f"{task} on phantoms"
        figures.append(Figure(name=name, value=share(right), count=len(right), target=TARGETS.get(task)))
        sure = [(choice.probability, hit) for choice, hit in zip(choices, right, strict=True) if not choice.abstained]
        error = calibration_error([chance for chance, _ in sure], [hit for _, hit in sure])
        figures.append(Figure(name="calibration error", value=error, count=len(sure), part_of=name))
        if task == "modality":
            answered = [not choice.abstained for choice in choices]
            figures.append(Figure(name="answered at all", value=share(answered), count=len(answered), part_of=name))
            figures += _by_kind(name, asked, right)
    return figures


def measure_real(driver: Driver, split: Split) -> list[Figure]:
    """Modality of one half of the real images; those of a modality that the tool has no label for stand apart."""
    images = [image for image in load_registry().medical if image.split == split]
    answers = [_answer(driver, load_frame(image.source), "modality") for image in images]
    known = {label for answer in answers for label in cast("list[str]", answer["labels"])} or {
        image.modality for image in images
    }
    name, unknown = f"modality on real images, {split} half", f"abstention on other modalities, {split} half"
    right: list[bool] = []
    silent: list[bool] = []
    parts: list[Figure] = []
    for image, answer in zip(images, answers, strict=True):
        choice = _first(answer)
        note = f"{image.modality}: {choice.label or 'abstained'}, {choice.probability:.2f}"
        has_label = image.modality in known
        hit = choice.label == image.modality and not choice.abstained if has_label else choice.abstained
        (right if has_label else silent).append(hit)
        parts.append(
            Figure(name=image.name, value=float(hit), count=1, part_of=name if has_label else unknown, note=note)
        )
    figures = [Figure(name=name, value=share(right), count=len(right), target=Target(bound=1.0))]
    if silent:
        figures.append(Figure(name=unknown, value=share(silent), count=len(silent)))
    return [*figures, *parts]


def measure_abstention(driver: Driver, split: Split) -> list[Figure]:
    """How often the tool would rather not say what one half of the pictures is that are not medical."""
    name, by_kind = f"abstention on non-medical images, {split} half", dict[str, list[bool]]()
    pictures: list[tuple[str, Pixels]] = [
        (row.kind, load_frame(row.source)) for row in load_registry().other if row.split == split
    ]
    pictures += [(one.kind, one.pixels) for one in drawn_images() if one.split == split]
    for kind, pixels in pictures:
        by_kind.setdefault(kind, []).append(choose(driver, pixels, "modality").abstained)
    flat = [hit for hits in by_kind.values() for hit in hits]
    whole = Figure(name=name, value=share(flat), count=len(flat), target=Target(bound=LEAST_ABSTENTION))
    parts = [Figure(name=kind, value=share(hits), count=len(hits), part_of=name) for kind, hits in by_kind.items()]
    return [whole, *parts]


def choose(driver: Driver, pixels: Pixels, task: str) -> Choice:
    """What the tool says about an image."""
    return _first(_answer(driver, pixels, task))


def calibration_error(probabilities: Sequence[float], right: Sequence[bool]) -> float | None:
    """Expected calibration error over ten bins of equal width (Guo et al., 2017); None without answers."""
    if not right:
        return None
    sure, hit = np.asarray(probabilities), np.asarray(right, np.float64)
    bins = np.minimum((sure * _BINS).astype(int), _BINS - 1)
    gaps = [abs(float((sure[bins == one] - hit[bins == one]).sum())) for one in range(_BINS)]
    return sum(gaps) / len(right)


def _answer(driver: Driver, pixels: Pixels, task: str) -> JsonObject:
    return driver.ask({"task": task}, driver.show(pixels)).data


def _first(data: JsonObject) -> Choice:
    """An answer without labels, or one that says that the image is not medical, is an abstention."""
    labels, chances = cast("list[str]", data["labels"]), cast("list[float]", data["probabilities"])
    if not labels:
        return Choice("", 0.0, abstained=True)
    return Choice(labels[0], chances[0], data.get("abstained") is True or labels[0] == NOT_MEDICAL)


def _by_kind(name: str, cases: Sequence[Case], right: Sequence[bool]) -> list[Figure]:
    by_kind: dict[str, list[bool]] = {}
    for case, hit in zip(cases, right, strict=True):
        by_kind.setdefault(case.kind, []).append(hit)
    return [Figure(name=kind, value=share(hits), count=len(hits), part_of=name) for kind, hits in by_kind.items()]
