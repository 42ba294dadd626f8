"""Train the two networks of the report tool on phantoms, and write their checkpoint folder.

    python -m mmedagent.training.report --minutes 8 --device cuda --workers 3 --out models/report_generation --work DIR

Classifier and generator learn from the same batches in one loop. Worker processes draw phantoms; a shelf on the device
keeps them, so that each is used several times under different exposures and framings. The run can be stopped and
continued: its state lies in --work and is saved every minute, and --minutes counts over all parts of it.
"""

from __future__ import annotations

import argparse
import logging
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from tokenizers import Tokenizer
from torch import Tensor

from mmedagent.networks.report_classifier import ClassifierConfig, normalised
from mmedagent.networks.report_file import save_report_networks
from mmedagent.networks.report_generator import PAD, special_id
from mmedagent.training.feed import Average, Clock, optimizer_of, save_run, set_rate
from mmedagent.training.report_augment import augmented
from mmedagent.training.report_data import Samples, Shelf, feed
from mmedagent.training.report_learner import WEIGHTS, Learner, binary_loss, generator_config
from mmedagent.training.report_text import build_tokenizer

PEAK_RATE, DECAY, WARM_UP = 1.2e-3, 0.05, 200
SAVE_SECONDS = 60
LEAST_SAMPLES = 256

logger = logging.getLogger(__name__)


class Drawer(threading.Thread):
    """Fetches chunks of samples beside the training."""

    def __init__(self, chunks: Iterator[Samples]) -> None:
        super().__init__(daemon=True)
        self._chunks, self._full = chunks, queue.Queue[Samples](maxsize=32)
        self._stopped, self._ended = threading.Event(), threading.Event()

    def run(self) -> None:
        try:
            for chunk in self._chunks:
                if not self._keep(chunk):
                    return
        finally:
            self._ended.set()

    def _keep(self, chunk: Samples) -> bool:
        """Wait for room; false when nobody wants the chunk any more."""
        while not self._stopped.is_set():
            try:
                self._full.put(chunk, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def ready(self) -> Iterator[Samples]:
        """The chunks that are there."""
        while not self._full.empty():
            yield self._full.get()

    def wait(self) -> Samples:
        """The next chunk. Raises `RuntimeError` when drawing has failed or ended."""
        while True:
            try:
                return self._full.get(timeout=1.0)
            except queue.Empty:
                if self._ended.is_set():
                    raise RuntimeError("no more phantoms are drawn") from None

    def stop(self) -> None:
        self._stopped.set()
        self.join()


class Run:
    """Weights, their average, optimizer and counts, which survive an interruption."""

    def __init__(self, options: argparse.Namespace, tokenizer: Tokenizer) -> None:
        self.device, self.tokenizer = torch.device(options.device), tokenizer
        self.seen = ClassifierConfig(size=options.size)
        self.written = generator_config(tokenizer, options.size)
        self.learner = Learner(self.seen, self.written, special_id(tokenizer, PAD)).to(self.device)
        self.average = Average(self.learner, keep=0.998)
        self.optimizer = optimizer_of(self.learner, PEAK_RATE, DECAY)
        self.state, self.count, before = options.work / "state.pt", 0, 0.0
        self.shelf = Shelf(options.shelf, options.size, self.device)
        self.drawn = 0
        if self.state.is_file():
            saved = torch.load(self.state, weights_only=True, map_location=self.device)
            self.learner.load_state_dict(saved["learner"])
            self.average.state = saved["average"]
            self.optimizer.load_state_dict(saved["optimizer"])
            self.count, self.drawn, before = saved["count"], saved["drawn"], saved["spent"]
        self._budget = (60 * options.minutes, before)
        self.clock = Clock(*self._budget)

    def begin(self, drawer: Drawer) -> None:
        """Wait for the first samples, which does not count as training."""
        self.take(drawer)
        self.clock = Clock(*self._budget)

    def save(self) -> None:
        save_run(
            self.state, learner=self.learner.state_dict(), average=self.average.state,
            optimizer=self.optimizer.state_dict(), count=self.count, drawn=self.drawn, spent=self.clock.spent,
        )  # fmt: skip

    def step(self, batch: int) -> dict[str, Tensor]:
        """One update; returns the losses."""
        set_rate(self.optimizer, self.clock.rate(PEAK_RATE, self.count, WARM_UP))
        images, labels, maps, tokens = self.shelf.draw(batch)
        images, maps = augmented(images, maps)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            losses = self.learner.train()(normalised(images), labels, maps, tokens)
        total = torch.stack([WEIGHTS[name] * loss for name, loss in losses.items()]).sum()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.learner.parameters(), 1.0)
        self.optimizer.step()
        self.average.follow(self.learner)
        self.count += 1
        return {name: loss.detach() for name, loss in losses.items()}

    def take(self, drawer: Drawer) -> None:
        """Put what has been drawn meanwhile on the shelf; wait for the first samples."""
        for chunk in drawer.ready():
            self._keep(chunk)
        while self.shelf.seen < min(LEAST_SAMPLES, self.shelf.capacity):
            self._keep(drawer.wait())

    def _keep(self, chunk: Samples) -> None:
        self.shelf.add(chunk)
        self.drawn += len(chunk.images)

    def averaged(self) -> Learner:
        """The network of averaged weights."""
        learner = Learner(self.seen, self.written, special_id(self.tokenizer, PAD)).to(self.device)
        learner.load_state_dict(self.average.state)
        return learner.eval()

    def export(self, folder: Path, temperatures: list[float]) -> None:
        learner = self.averaged()
        save_report_networks(
            folder, (learner.classifier, self.seen), temperatures, (learner.generator, self.written), self.tokenizer
        )


@torch.no_grad()
def fit_temperatures(run: Run, drawer: Drawer, least: int) -> list[float]:
    """For each output the temperature of least loss on phantoms not trained on, from 1 to 4.

    Findings of phantoms can be told apart so well that a temperature below 1 would fit best; on other images it would
    only overstate.
    """
    classifier = run.averaged().classifier
    logits: list[Tensor] = []
    truth: list[Tensor] = []
    while sum(len(rows) for rows in truth) < least:
        chunk = drawer.wait()
        run.drawn += len(chunk.images)
        images = torch.from_numpy(chunk.images)[:, None].to(run.device).float() / 255
        seen = classifier(normalised(images))
        logits.append(torch.cat([seen.findings, seen.frontal[:, None]], dim=1).float().cpu())
        truth.append(torch.from_numpy(chunk.labels).float())
    every, real = torch.cat(logits), torch.cat(truth)
    chest = real[:, -1] > 0.5
    grid = torch.exp(torch.linspace(0, 1.386, 81))
    chosen = []
    for place in range(every.shape[1]):
        rows = chest if place < every.shape[1] - 1 else torch.ones_like(chest)
        losses = [binary_loss(every[rows, place] / value, real[rows, place]).item() for value in grid]
        chosen.append(float(grid[int(torch.tensor(losses).argmin())]))
    return chosen


def train(run: Run, drawer: Drawer, options: argparse.Namespace) -> None:
    """Train until the budget is spent, and write the checkpoint."""
    run.begin(drawer)
    saved, smooth = time.monotonic(), dict.fromkeys(WEIGHTS, float("nan"))
    columns = (TextColumn("report networks"), BarColumn(), TextColumn("{task.fields[state]}"), TimeRemainingColumn())
    untempered = [1.0] * (len(run.seen.findings) + 1)
    with Progress(*columns, refresh_per_second=1) as progress:
        bar = progress.add_task("", total=run.clock.seconds, state="")
        while run.clock.done < 1:
            run.take(drawer)
            losses = run.step(options.batch)
            if run.count % 20 == 0:
                for name, loss in losses.items():
                    value = float(loss)
                    smooth[name] = value if smooth[name] != smooth[name] else 0.8 * smooth[name] + 0.2 * value
                shown = " ".join(f"{name} {value:.3f}" for name, value in smooth.items())
                state = f"step {run.count}, {run.drawn} phantoms, {shown}"
                progress.update(bar, completed=run.clock.spent, state=state)
                if run.count % 200 == 0:
                    logger.info("%.0f s, %s", run.clock.spent, state)
            if time.monotonic() - saved > SAVE_SECONDS:
                run.save()
                run.export(options.out, untempered)
                saved = time.monotonic()
    run.save()
    logger.info("%d steps in %.0f s on %d phantoms; fitting temperatures", run.count, run.clock.spent, run.drawn)
    run.export(options.out, fit_temperatures(run, drawer, options.fit))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw phantoms")
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--shelf", type=int, default=40_000, help="samples kept on the device, 38 kB each")
    parser.add_argument("--fit", type=int, default=640, help="fresh samples for the temperatures")
    parser.add_argument("--size", type=int, default=192, help="side of the image that the networks see")
    parser.add_argument("--threads", type=int, default=1, help="of torch on the CPU")
    parser.add_argument("--out", type=Path, default=Path("models/report_generation"))
    parser.add_argument("--work", type=Path, default=Path("build/report_generation"))
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    start = _drawn_before(options.work / "state.pt")
    drawer = Drawer(feed(start, options.size, tokenizer, options.workers))
    run = Run(options, tokenizer)
    drawer.start()
    try:
        train(run, drawer, options)
    finally:
        drawer.stop()


def _drawn_before(state: Path) -> int:
    """The first seed that no earlier part of the run has used."""
    return int(torch.load(state, weights_only=True, map_location="cpu")["drawn"]) if state.is_file() else 0


if __name__ == "__main__":
    main()
