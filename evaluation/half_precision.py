"""Does a segmentation network outline the same in half precision, and compiled, as in fp32?

    python -m mmedagent.evaluation.half_precision models/segmentation --device cuda

Outlines discs on noise in every way that a profile can ask for, and compares the masks with those of fp32 on the same
device: the least overlap (intersection over union), the largest difference of a score, and milliseconds an image for
encoder and decoder. Exit code 1 when an overlap is below 0.97.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from mmedagent.networks.precision import computing
from mmedagent.networks.sam import load_sam

Precision = Literal["fp32", "bf16", "fp16"]
WAYS: tuple[tuple[Precision, bool], ...] = (
    ("fp32", False),
    ("bf16", False),
    ("fp16", False),
    ("fp32", True),
    ("bf16", True),
)
"""Precision, and whether the encoder is compiled; the first is what the others are compared with."""

LEAST_OVERLAP = 0.97
IMAGES, SIDE = 16, 256
BOXES = np.array([[0.1, 0.15, 0.45, 0.55], [0.5, 0.4, 0.9, 0.85], [0.55, 0.05, 0.85, 0.3]], np.float32)


@dataclass(frozen=True)
class Comparison:
    """One way to compute against fp32."""

    precision: Precision
    compiled: bool
    least_overlap: float
    score_difference: float
    encoder_ms: float
    decoder_ms: float

    @property
    def good(self) -> bool:
        return self.least_overlap >= LEAST_OVERLAP


def discs(seed: int) -> NDArray[np.uint8]:
    """A noisy image (256, 256) with a bright disc in each of `BOXES`."""
    rng = np.random.default_rng(seed)
    pixels = rng.normal(60, 10, (SIDE, SIDE))
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    for x1, y1, x2, y2 in BOXES:
        inside = ((columns - (x1 + x2) / 2) / (x2 - x1)) ** 2 + ((rows - (y1 + y2) / 2) / (y2 - y1)) ** 2 < 0.21
        pixels[inside] += rng.uniform(50, 120)
    return pixels.clip(0, 255).astype(np.uint8)


def compare(
    folder: Path, device: str, ways: Sequence[tuple[Precision, bool]] = WAYS, images: int = IMAGES
) -> list[Comparison]:
    """Every way against the first, on at least two images. Raises `CheckpointError`."""
    outlined = [_outline(folder, device, precision, compiled, images) for precision, compiled in ways]
    masks, scores = outlined[0][:2]
    return [
        Comparison(
            precision,
            compiled,
            min(_overlap(one, other) for one, other in zip(masks, own_masks, strict=True)),
            float(np.abs(scores - own_scores).max()),
            encoder_ms,
            decoder_ms,
        )
        for (precision, compiled), (own_masks, own_scores, encoder_ms, decoder_ms) in zip(ways, outlined, strict=True)
    ]


def _outline(
    folder: Path, device: str, precision: Precision, compiled: bool, images: int
) -> tuple[list[NDArray[np.bool_]], NDArray[np.float32], float, float]:
    """Masks, scores, and median milliseconds of encoder and decoder after the first image, which warms up."""
    network = load_sam(folder, device)
    if compiled:
        network.sam.image_encoder = torch.compile(network.sam.image_encoder)
    masks: list[NDArray[np.bool_]] = []
    scores: list[NDArray[np.float32]] = []
    moments: list[tuple[float, float, float]] = []
    with computing(network.device, precision):
        for seed in range(images):
            pixels, started = discs(seed), time.perf_counter()
            embedding = network.embed(pixels)
            embedding.features.flatten()[0].item()
            encoded = time.perf_counter()
            found, certain = network.segment(embedding, (SIDE, SIDE), boxes=BOXES)
            moments.append((started, encoded, time.perf_counter()))
            masks += list(found)
            scores.append(certain)
    encoder = statistics.median(encoded - started for started, encoded, _ in moments[1:])
    decoder = statistics.median(ended - encoded for _, encoded, ended in moments[1:])
    return masks, np.concatenate(scores), 1000 * encoder, 1000 * decoder


def _overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cuda")
    given = parser.parse_args()
    rows = compare(given.folder, given.device)
    table = Table("precision", "compiled", "least overlap", "score difference", "encoder ms", "decoder ms")
    for row in rows:
        figures = (f"{row.least_overlap:.4f}", f"{row.score_difference:.4f}")
        table.add_row(row.precision, str(row.compiled), *figures, f"{row.encoder_ms:.1f}", f"{row.decoder_ms:.1f}")
    Console().print(table)
    sys.exit(not all(row.good for row in rows))


if __name__ == "__main__":
    main()
