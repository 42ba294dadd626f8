"""Dice, and the two baselines of a box prompt: its inscribed ellipse, and OpenCV's GrabCut."""

from __future__ import annotations

import numpy as np

from mmedagent.evaluation.tool_quality.cases import Box, Mask, Pixels
from mmedagent.protocol.errors import InvalidRequestError

_GRABCUT_ROUNDS = 5


def dice(found: Mask, truth: Mask) -> float:
    """Overlap in [0, 1]; 1 for two empty masks (Dice, 1945)."""
    total = int(found.sum()) + int(truth.sum())
    return 1.0 if total == 0 else 2 * int((found & truth).sum()) / total


def box_of(mask: Mask) -> Box:
    """The tight normalised box of a mask that is not empty, pixel edges included."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = mask.shape
    left, right = int(columns[0]) / width, (int(columns[-1]) + 1) / width
    return left, int(rows[0]) / height, right, (int(rows[-1]) + 1) / height


def loosened(box: Box, rng: np.random.Generator, most: float = 0.1) -> Box:
    """The box as a hurried hand draws it: every edge up to `most` of its side away, within the image."""
    sides = np.array([box[2] - box[0], box[3] - box[1]] * 2)
    moved = np.clip(np.array(box) + rng.uniform(-most, most, 4) * sides, 0, 1)
    return float(moved[0]), float(moved[1]), float(moved[2]), float(moved[3])


def ellipse(box: Box, height: int, width: int) -> Mask:
    """The ellipse inscribed in a box: what a box says without a look at the image."""
    x1, y1, x2, y2 = box
    columns, rows = (np.arange(width)[None] + 0.5) / width, (np.arange(height)[:, None] + 0.5) / height
    inside: Mask = ((2 * columns - x1 - x2) / (x2 - x1)) ** 2 + ((2 * rows - y1 - y2) / (y2 - y1)) ** 2 <= 1
    return inside


def grabcut(pixels: Pixels, box: Box) -> Mask:
    """GrabCut from a box (Rother et al., 2004) as OpenCV has it, with its usual five rounds.

    The whole box where OpenCV cannot start, because nothing is left outside the box. Raises `InvalidRequestError`
    without OpenCV.
    """
    try:
        import cv2
    except ImportError as error:
        raise InvalidRequestError("GrabCut needs OpenCV: install mmedagent with its extra `dev`.") from error
    height, width = pixels.shape[:2]
    left, top = round(box[0] * width), round(box[1] * height)
    right, bottom = round(box[2] * width), round(box[3] * height)
    rgb = np.ascontiguousarray(pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2))
    mask, back, fore = np.zeros((height, width), np.uint8), np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    try:
        rectangle = (left, top, right - left, bottom - top)
        cv2.grabCut(rgb, mask, rectangle, back, fore, _GRABCUT_ROUNDS, cv2.GC_INIT_WITH_RECT)
    except cv2.error:
        mask[top:bottom, left:right] = cv2.GC_FGD
    inside: Mask = (mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)
    return inside
