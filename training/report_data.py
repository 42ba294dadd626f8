"""What the report networks learn from: chest phantoms with labels, masks and report text, and images of other kinds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from mmedagent.networks.report_classifier import FINDINGS, MAP_STRIDE, prepare
from mmedagent.training.phantoms import KINDS, generate
from mmedagent.training.phantoms.base import Mask, Phantom
from mmedagent.training.report_text import LENGTH, encoded

HELD_OUT = 900_000
"""Seeds from here on are for evaluation only."""

OTHER_SHARE = 0.16
"""Images that are no radiograph. Another 15 % of the radiographs are limbs."""

SIZES = (192, 256)
CHUNK = 16


class Samples(NamedTuple):
    """n samples.

    Attributes:
        images: uint8 (n, S, S).
        labels: uint8 (n, k + 1), 1 for each finding that is there; the last is 1 for a frontal chest radiograph.
        maps: uint8 (n, k, S/8, S/8), share of each place that a finding covers, 0 to 255.
        tokens: int16 (n, LENGTH); all padding where there is no report.
    """

    images: Any
    labels: Any
    maps: Any
    tokens: Any


def phantom_of(seed: int) -> Phantom:
    """The phantom that a seed stands for."""
    rng = np.random.default_rng(seed)
    other = rng.random() < OTHER_SHARE
    kind = str(rng.choice([kind for kind in KINDS if kind != "xray"])) if other else "xray"
    return generate(kind, rng, int(rng.choice(SIZES)))


def is_frontal_chest(phantom: Phantom) -> bool:
    return (phantom.modality, phantom.anatomy, phantom.view) == ("X-ray", "chest", "frontal")


def _shrunk(mask: Mask | None, side: int) -> NDArray[np.uint8]:
    """Share of each of side x side places that a mask covers, 0 to 255."""
    if mask is None:
        return np.zeros((side, side), np.uint8)
    return prepare(mask.astype(np.uint8) * np.uint8(255), side)


def sample_of(phantom: Phantom, size: int, tokenizer: Tokenizer) -> Samples:
    """One phantom as arrays without the leading axis."""
    frontal = is_frontal_chest(phantom)
    labels = [frontal and name in phantom.findings for name in FINDINGS] + [frontal]
    side = size // MAP_STRIDE
    maps = np.stack([_shrunk(phantom.masks.get(name) if frontal else None, side) for name in FINDINGS])
    report = phantom.report if frontal else None
    tokens = encoded(tokenizer, report) if report is not None else np.zeros(LENGTH, np.int16)
    return Samples(prepare(phantom.image, size), np.asarray(labels, np.uint8), maps, tokens)


class Stream(IterableDataset[Samples]):
    """Chunks of `CHUNK` samples from the seeds `start`, `start` + 1, …, shared out among the workers."""

    def __init__(self, start: int, size: int, tokenizer: str) -> None:
        self._start, self._size, self._tokenizer = start, size, tokenizer

    def __iter__(self) -> Iterator[Samples]:
        info = get_worker_info()
        number, count = (info.id, info.num_workers) if info is not None else (0, 1)
        torch.set_num_threads(1)
        tokenizer = Tokenizer.from_str(self._tokenizer)
        seeds = itertools.takewhile(lambda seed: seed < HELD_OUT, itertools.count(self._start + number, count))
        while chunk := list(itertools.islice(seeds, CHUNK)):
            rows = [sample_of(phantom_of(seed), self._size, tokenizer) for seed in chunk]
            yield Samples(*(np.stack(column) for column in zip(*rows, strict=True)))


def _as_it_is(samples: Any) -> Any:
    return samples


def feed(start: int, size: int, tokenizer: Tokenizer, workers: int) -> Iterator[Samples]:
    """Chunks drawn by worker processes, which are started here; without workers they are drawn when asked for."""
    stream = Stream(start, size, tokenizer.to_str())
    loader = DataLoader(
        stream, batch_size=None, num_workers=workers, collate_fn=_as_it_is,
        multiprocessing_context="fork" if workers else None, prefetch_factor=4 if workers else None,
    )  # fmt: skip
    return iter(loader)


class Shelf:
    """Samples kept on the device to be used again, the oldest replaced by fresh ones."""

    def __init__(self, capacity: int, size: int, device: torch.device) -> None:
        side, count = size // MAP_STRIDE, len(FINDINGS)
        self._parts = Samples(
            torch.zeros((capacity, size, size), dtype=torch.uint8, device=device),
            torch.zeros((capacity, count + 1), dtype=torch.uint8, device=device),
            torch.zeros((capacity, count, side, side), dtype=torch.uint8, device=device),
            torch.zeros((capacity, LENGTH), dtype=torch.int16, device=device),
        )
        self.capacity, self.seen = capacity, 0

    @property
    def filled(self) -> int:
        return min(self.seen, self.capacity)

    def add(self, samples: Samples) -> None:
        count = len(samples.images)
        places = (torch.arange(count) + self.seen) % self.capacity
        for kept, new in zip(self._parts, samples, strict=True):
            kept[places.to(kept.device)] = torch.from_numpy(new).to(kept.device)
        self.seen += count

    def draw(self, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A batch: images (n, 1, S, S) and maps in [0, 1], labels as float, tokens as int64."""
        images, labels, maps, tokens = self._parts
        places = torch.randint(self.filled, (count,), device=images.device)
        return (
            images[places, None].float() / 255,
            labels[places].float(),
            maps[places].float() / 255,
            tokens[places].long(),
        )
