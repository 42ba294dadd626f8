"""Segmentation: Dice of box prompts on phantoms and on real objects against baselines, and speed of later prompts."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import numpy as np

from mmedagent.evaluation.real_images.frames import load_frame
from mmedagent.evaluation.real_images.marked import load_marked_objects
from mmedagent.evaluation.real_images.registry import Split, load_registry
from mmedagent.evaluation.tool_quality.cases import Box, Case, Mask, Piece, Pixels, pieces
from mmedagent.evaluation.tool_quality.driver import Driver
from mmedagent.evaluation.tool_quality.figures import Figure, Target, mean
from mmedagent.evaluation.tool_quality.overlap import box_of, dice, ellipse, grabcut, loosened
from mmedagent.protocol.errors import WorkerError

LEAST_DICE, LEAST_SPEED_UP = 0.9, 2.0
OBJECTS_AN_IMAGE = 6
_PIECES_A_STRUCTURE = 3
_SPEED_PROMPTS = 5

Segment = Callable[[Pixels, Sequence[Box]], Sequence[Mask]]
"""From an image and boxes to a mask a box."""


def measure_phantoms(driver: Driver, cases: Sequence[Case], skipped: Collection[str] = ()) -> list[Figure]:
    """Mean Dice over the kinds, and of each kind, with the ellipse's beside it; `skipped` structures are left out."""
    figures: list[Figure] = []
    for label, segment, target in (
        ("Dice on phantoms", by_tool(driver), Target(bound=LEAST_DICE)),
        ("Dice of the inscribed ellipse on phantoms", by_ellipse, None),
    ):
        by_kind = _dice_by_kind(segment, cases, skipped)
        means = {kind: mean(values) for kind, values in by_kind.items()}
        known = [value for value in means.values() if value is not None]
        count = sum(len(values) for values in by_kind.values())
        figures.append(Figure(name=label, value=mean(known), unit="Dice", count=count, target=target))
        figures += [
            Figure(name=kind, value=means[kind], unit="Dice", count=len(values), part_of=label)
            for kind, values in by_kind.items()
        ]
    return figures


def measure_real(driver: Driver, split: Split) -> list[Figure]:
    """Dice on the objects that were marked on one half of the real images, with the same tight box given to GrabCut."""
    label = f"Dice on real objects, {split} half"
    names, boxes, truths, frames = _marked(split)
    own = _real_scores(by_tool(driver), frames, boxes, truths)
    cut = _real_scores(by_grabcut, frames, boxes, truths)
    round_boxes = _real_scores(by_ellipse, frames, boxes, truths)
    won = sum(mine > theirs for mine, theirs in zip(own, cut, strict=True))
    whole = Figure(
        name=label,
        value=mean(own),
        unit="Dice",
        count=len(own),
        target=Target(bound=mean(cut) or 0.0),
        note=f"the target is GrabCut's; better on {won} of {len(own)} objects",
    )
    parts = [
        Figure(name=name, value=value, unit="Dice", count=1, part_of=label, note=f"GrabCut {other:.3f}")
        for name, value, other in zip(names, own, cut, strict=True)
    ]
    baselines = [
        Figure(name=f"Dice of {name} on real objects, {split} half", value=mean(scores), unit="Dice", count=len(scores))
        for name, scores in (("GrabCut", cut), ("the inscribed ellipse", round_boxes))
    ]
    return [whole, *parts, *baselines]


def measure_speed(driver: Driver, cases: Sequence[Case]) -> Figure:
    """How many times faster later prompts on an image are than the first: a ratio of medians."""
    first, later = [], []
    for case in cases:
        image = driver.show(case.pixels)
        boxes = [[0.1 + 0.02 * number, 0.2, 0.6, 0.7] for number in range(_SPEED_PROMPTS)]
        seconds = [driver.ask({"boxes": [list(box)]}, image).seconds for box in boxes]
        first.append(seconds[0])
        later += seconds[1:]
    return Figure(
        name="later prompts on an image, against the first",
        value=statistics.median(first) / statistics.median(later) if later else None,
        unit="times",
        count=len(later),
        target=Target(bound=LEAST_SPEED_UP),
    )


def by_tool(driver: Driver) -> Segment:
    """One call of the tool an image."""

    def segment(pixels: Pixels, boxes: Sequence[Box]) -> list[Mask]:
        rows: list[Any] = [list(box) for box in boxes]
        masks = driver.masks(driver.ask({"boxes": rows}, driver.show(pixels)))
        if len(masks) != len(boxes):
            raise WorkerError(f"The segmentation tool gave {len(masks)} masks for {len(boxes)} boxes.")
        return masks

    return segment


def by_ellipse(pixels: Pixels, boxes: Sequence[Box]) -> list[Mask]:
    return [ellipse(box, *pixels.shape[:2]) for box in boxes]


def by_grabcut(pixels: Pixels, boxes: Sequence[Box]) -> list[Mask]:
    return [grabcut(pixels, box) for box in boxes]


def prompted(case: Case, rng: np.random.Generator, skipped: Collection[str] = ()) -> list[tuple[Piece, Box]]:
    """Objects of an image with loosely drawn boxes: every structure in turn, large pieces rather than small ones."""
    queues = []
    for name, mask in case.masks.items():
        alone = [piece for piece in pieces(name, mask) if piece.alone] if name not in skipped else []
        if alone:
            weights = np.sqrt([piece.area for piece in alone])
            count = min(len(alone), _PIECES_A_STRUCTURE)
            order = rng.choice(len(alone), count, replace=False, p=weights / weights.sum())
            queues.append([alone[place] for place in order])
    rng.shuffle(queues)
    return [(piece, loosened(piece.box, rng)) for piece in list(_in_turn(queues))[:OBJECTS_AN_IMAGE]]


def _in_turn(queues: Sequence[Sequence[Piece]]) -> Iterator[Piece]:
    for turn in range(_PIECES_A_STRUCTURE):
        yield from (queue[turn] for queue in queues if turn < len(queue))


def _dice_by_kind(segment: Segment, cases: Sequence[Case], skipped: Collection[str]) -> dict[str, list[float]]:
    by_kind: dict[str, list[float]] = {}
    for number, case in enumerate(cases):
        chosen = prompted(case, np.random.default_rng(number), skipped)
        if chosen:
            found = segment(case.pixels, [box for _, box in chosen])
            scores = [dice(mask, piece.mask) for mask, (piece, _) in zip(found, chosen, strict=True)]
            by_kind.setdefault(case.kind, []).extend(scores)
    return by_kind


def _marked(split: Split) -> tuple[list[str], list[Box], list[Mask], list[Pixels]]:
    """Names, tight boxes, masks and images of the objects that were marked on a half of the images."""
    registry, names, boxes, truths, frames = load_registry(), [], [], [], []
    for row in load_marked_objects().objects:
        image = registry.medical_named(row.image)
        if image.split == split:
            frame = load_frame(image.source)
            height, width = frame.shape[:2]
            mask = row.mask(height, width)
            names.append(f"{row.name}, {row.image}")
            boxes.append(box_of(mask))
            truths.append(mask)
            frames.append(frame)
    return names, boxes, truths, frames


def _real_scores(
    segment: Segment, frames: Sequence[Pixels], boxes: Sequence[Box], truths: Sequence[Mask]
) -> list[float]:
    rows = zip(frames, boxes, truths, strict=True)
    return [dice(segment(frame, [box])[0], truth) for frame, box, truth in rows]
