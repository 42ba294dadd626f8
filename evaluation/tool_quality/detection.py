"""Average precision of boxes: the area under the interpolated precision-recall curve over all its points.

Source: Everingham et al., The PASCAL Visual Object Classes Challenge (2010), section 4.2, with the all-point
interpolation in use since 2010. Boxes are matched best score first, each to the free true box that it overlaps most,
if by an IoU of at least 0.5; true boxes that are ignored excuse the boxes on them (Lin et al., COCO, 2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mmedagent.evaluation.tool_quality.cases import Box

LEAST_IOU = 0.5


@dataclass(frozen=True)
class Detections:
    """Of one class in one image: boxes with scores, true boxes, and true boxes too small to count either way."""

    boxes: Sequence[Box] = ()
    scores: Sequence[float] = ()
    truth: Sequence[Box] = ()
    ignored: Sequence[Box] = ()


@dataclass
class Ranking:
    """The detections of one class over many images."""

    total: int = 0
    marks: list[tuple[float, bool]] = field(default_factory=list)

    def add(self, found: Detections) -> None:
        """Match the boxes of an image, best first."""
        self.total += len(found.truth)
        open_boxes = list(found.truth)
        for score, box in sorted(zip(found.scores, found.boxes, strict=True), reverse=True):
            overlaps = [iou(box, one) for one in open_boxes]
            best = int(np.argmax(overlaps)) if overlaps else -1
            if best >= 0 and overlaps[best] >= LEAST_IOU:
                open_boxes.pop(best)
                self.marks.append((score, True))
            elif not any(iou(box, one) >= LEAST_IOU for one in found.ignored):
                self.marks.append((score, False))

    def with_more(self, other: Ranking) -> Ranking:
        """The ranking over the images of both."""
        return Ranking(self.total + other.total, [*self.marks, *other.marks])

    def average_precision(self) -> float | None:
        """In [0, 1]; None when the class has no true box."""
        if not self.total:
            return None
        hits = np.array([hit for _, hit in sorted(self.marks, key=lambda mark: -mark[0])], np.float64)
        found = np.cumsum(hits)
        recall = np.concatenate([[0.0], found / self.total])
        precision = np.concatenate([found / np.arange(1, len(hits) + 1), [0.0]])
        envelope = np.maximum.accumulate(precision[::-1])[::-1][: len(hits)]
        return float(np.sum(np.diff(recall) * envelope))


def iou(first: Box, second: Box) -> float:
    """Intersection over union of two boxes, in [0, 1]."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / (_area(first) + _area(second) - both)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
