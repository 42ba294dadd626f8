"""Batches from the pool of phantoms, loaded by threads beside the training, and the schedule of a timed run."""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from mmedagent.training.pool import Pool, Row

REFRESH_SECONDS = 5.0
WAIT_SECONDS = 0.5
LOADERS = 2
SAVE_SECONDS = 120

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """Images of the pool.

    Attributes:
        images: uint8 (n, 3, S, S).
        bits: int32 (n, S, S), bit k set where structure k of the row's names is.
        rows: what is true of each image.
    """

    images: Tensor
    bits: Tensor
    rows: tuple[Row, ...]

    def to(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Images as float32 in [0, 1] and bits, on the device."""
        return self.images.to(device, non_blocking=True).float() / 255, self.bits.to(device, non_blocking=True)


def batches(folder: Path, shares: Mapping[str, float], size: int, seed: int, masks: bool = True) -> Iterator[Batch]:
    """Endless batches of `size` images, kinds drawn by their shares; waits until the pool has every kind.

    Without `masks`, the bits of a batch are empty, (n, 0, 0).
    """
    full: queue.Queue[Batch] = queue.Queue(maxsize=6)
    for number in range(LOADERS):
        thread = threading.Thread(target=_load, args=(folder, shares, size, [seed, number], masks, full), daemon=True)
        thread.start()
    while True:
        yield full.get()


def _load(
    folder: Path, shares: Mapping[str, float], size: int, seed: list[int], masks: bool, full: queue.Queue[Batch]
) -> None:
    rng = np.random.default_rng(seed)
    pool = Pool(folder, tuple(shares))
    while pool.refresh() == 0 or len(pool.kinds) < len(shares):
        time.sleep(WAIT_SECONDS)
    seen = time.monotonic()
    kinds, weights = list(shares), np.array(list(shares.values()))
    while True:
        if time.monotonic() - seen > REFRESH_SECONDS:
            pool.refresh()
            seen = time.monotonic()
        examples = [pool.pick(rng, str(kind)) for kind in rng.choice(kinds, size, p=weights / weights.sum())]
        images = np.empty((size, *examples[0].bits.shape, 3), np.uint8)
        for place, example in enumerate(examples):
            images[place] = example.image if example.image.ndim == 3 else example.image[..., None]
        bits = np.stack([example.bits for example in examples]) if masks else np.empty((size, 0, 0), np.uint32)
        planes = torch.from_numpy(images).permute(0, 3, 1, 2)
        full.put(Batch(planes, torch.from_numpy(bits.view(np.int32)), tuple(example.row for example in examples)))


@dataclass
class Clock:
    """The time budget of a run, counted over interruptions.

    Attributes:
        seconds: the budget.
        before: spent by earlier parts of the run.
    """

    seconds: float
    before: float = 0.0
    started: float = 0.0

    def __post_init__(self) -> None:
        self.started = time.monotonic()

    @property
    def spent(self) -> float:
        return self.before + time.monotonic() - self.started

    @property
    def done(self) -> float:
        """The share of the budget that is spent, in [0, 1]."""
        return min(1.0, self.spent / self.seconds)

    def rate(self, peak: float, step: int, warm_up: int) -> float:
        """Warm-up by steps, then a cosine over the time budget, down to 1 % of `peak`."""
        return peak * min(1.0, (step + 1) / warm_up) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * self.done)))


class Average:
    """A running average of a network's tensors, which is what is shipped."""

    def __init__(self, network: nn.Module, keep: float = 0.998) -> None:
        self._keep, self._count = keep, 0
        self.state = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def follow(self, network: nn.Module) -> None:
        self._count += 1
        keep = min(self._keep, self._count / (self._count + 10))
        mine: list[Tensor] = []
        theirs: list[Tensor] = []
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                mine.append(self.state[name])
                theirs.append(value)
            else:
                self.state[name].copy_(value)
        torch._foreach_lerp_(mine, theirs, 1 - keep)


def mix(state: dict[str, Tensor], start: Mapping[str, Tensor], keep: float) -> None:
    """Mix a share of the weights of the start into what was trained from them, in place.

    Keeps what the start knew of images unlike those of the second training (Wortsman et al., Robust fine-tuning of
    zero-shot models, arXiv 2109.01903).
    """
    for name, value in start.items():
        if value.is_floating_point():
            state[name].lerp_(value.to(state[name]), keep)


def optimizer_of(network: nn.Module, rate: float, decay: float) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices only."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [one for one in trained if one.ndim > 1], "weight_decay": decay},
        {"params": [one for one in trained if one.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), fused=True)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def save_run(path: Path, **parts: Any) -> None:
    """Write plain tensors and numbers in one step, to resume from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(parts, partial)
    partial.replace(path)


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 where the hardware multiplies matrices in it; elsewhere it would only cost precision."""
    fast = device.type == "cuda" or torch.cpu._is_amx_tile_supported()  # noqa: SLF001 - there is no public question
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)


class Run:
    """A training that survives interruption: weights, their average, optimizer, steps and the time spent.

    Attributes:
        count: updates made, over all parts of the run.
        average: of the tensors of `shipped`, which is what is exported.
    """

    def __init__(
        self, name: str, path: Path, trained: nn.Module, shipped: nn.Module, rate: float, decay: float, seconds: float
    ) -> None:
        self.name, self.path, self.trained, self.shipped, self.rate = name, path, trained, shipped, rate
        self.average, self.optimizer = Average(shipped), optimizer_of(trained, rate, decay)
        self.count, before = 0, 0.0
        if path.is_file():
            device = next(trained.parameters()).device
            stored = torch.load(path, weights_only=True, map_location=device)
            trained.load_state_dict(stored["trained"])
            self.average.state = stored["average"]
            self.optimizer.load_state_dict(stored["optimizer"])
            self.count, before = stored["count"], stored["spent"]
        self.clock = Clock(seconds, before)

    def save(self) -> None:
        """Write everything in one step."""
        save_run(
            self.path, trained=self.trained.state_dict(), average=self.average.state,
            optimizer=self.optimizer.state_dict(), count=self.count, spent=self.clock.spent,
        )  # fmt: skip

    def step(self, losses: Mapping[str, Tensor], warm_up: int, clip: float) -> dict[str, float]:
        """One update by the sum of the losses; returns them as numbers."""
        set_rate(self.optimizer, self.clock.rate(self.rate, self.count, warm_up))
        self.optimizer.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.trained.parameters(), clip)
        self.optimizer.step()
        self.average.follow(self.shipped)
        self.count += 1
        return {part: value.item() for part, value in losses.items()}

    def train(
        self, losses: Callable[[], Mapping[str, Tensor]], warm_up: int, clip: float,
        export: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """Train until the budget, counted over all parts of the run, is spent; save and export every two minutes."""
        saved = time.monotonic()
        recent: dict[str, float] = {}
        columns = (TextColumn(self.name), BarColumn(), TextColumn("{task.fields[state]}"), TimeRemainingColumn())
        with Progress(*columns) as progress:
            bar = progress.add_task("", total=self.clock.seconds, state="")
            while self.clock.done < 1:
                for part, value in self.step(losses(), warm_up, clip).items():
                    recent[part] = 0.98 * recent.get(part, value) + 0.02 * value
                state = f"step {self.count} " + " ".join(f"{part} {value:.3f}" for part, value in recent.items())
                progress.update(bar, completed=self.clock.spent, state=state)
                if self.count % 100 == 0:
                    logger.info("%.0f s, %s", self.clock.spent, state)
                if time.monotonic() - saved > SAVE_SECONDS:
                    self.save()
                    export()
                    saved = time.monotonic()
        self.save()
        export()
