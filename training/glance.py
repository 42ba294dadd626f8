"""Train the planner's image tower on the pool of phantoms: what a frame shows, for questions without a tool.

    python -m mmedagent.training.pool --out build/pool &
    python -m mmedagent.training.glance --pool build/pool --minutes 30

Writes `glance.safetensors` and `glance.json` into the planner's folder. Learns modality, anatomy, view and technique
(one of each), and which structures and findings are there and on which side (any number of each). Its vocabulary is
what the pool shows when the training starts. Thresholds and temperatures are fitted on a held-out pool.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from mmedagent.networks.checkpoints import save_fp16
from mmedagent.networks.glance import ANY_OF, CONFIG, GLANCE_SIZE, ONE_OF, WEIGHTS, GlanceConfig, GlanceNet
from mmedagent.training.feed import Batch, Run, autocast, batches
from mmedagent.training.pool import SIZE, Pool, Row, main_pieces
from mmedagent.training.variation import Frames, Geometry, vary

SHARES = {
    "ct": 0.22, "mr": 0.2, "xray": 0.18, "ultrasound": 0.12, "fundus": 0.08, "histology": 0.08, "photograph": 0.04,
    "other": 0.08,
}  # fmt: skip
NOT_MEDICAL = "not a medical image"
NO_NAME = ""
SIDED = ("left ", "right ")
"""How the names begin that tell their side themselves."""

RARE = 12
"""Names that fewer images of the pool show are left out."""

PEAK_RATE, WARM_UP, DECAY, CLIP = 2e-3, 200, 0.05, 1.0
VIEW = Geometry(zoom=(0.8, 1.25), stretch=0.12, turn=0.08)
FITTED_BATCHES = 12

logger = logging.getLogger(__name__)


def sides_of(row: Row) -> set[str]:
    """ "left X" and "right X" for each finding with a mask: the patient's side, which is the other one in the image."""
    sides = set()
    for one in main_pieces(row.objects):
        name = row.names[one.structure]
        if name.startswith(SIDED):
            continue
        if name in row.findings and row.view in ("axial", "coronal", "frontal"):
            middle = (one.box[0] + one.box[2]) / 2
            if abs(middle - SIZE / 2) > SIZE / 16:
                sides.add(f"{'right' if middle < SIZE / 2 else 'left'} {name}")
    return sides


def facts(row: Row) -> dict[str, set[str]]:
    """What is true of an image, by head."""
    return {
        "modality": {row.modality or NOT_MEDICAL},
        "anatomy": {row.anatomy or NO_NAME},
        "view": {row.view or NO_NAME},
        "technique": {row.technique or NO_NAME},
        "structures": {row.names[one.structure] for one in row.objects} if row.modality else set(),
        "findings": set(row.findings),
        "sides": sides_of(row),
    }


def vocabulary(rows: Iterable[Row]) -> dict[str, tuple[str, ...]]:
    """The names of each head that are not rare, sorted."""
    counts: dict[str, Counter[str]] = {head: Counter() for head in (*ONE_OF, *ANY_OF)}
    for row in rows:
        for head, names in facts(row).items():
            counts[head].update(names)
    return {
        head: tuple(sorted(name for name, times in count.items() if times >= RARE)) for head, count in counts.items()
    }


def targets_of(rows: Iterable[Row], names: dict[str, tuple[str, ...]]) -> dict[str, Tensor]:
    """float32 (n, names) of each head, 1 where a name is true."""
    shown = [facts(row) for row in rows]
    return {
        head: torch.tensor([[float(name in one[head]) for name in known] for one in shown])
        for head, known in names.items()
    }


def seen(batch: Batch, device: torch.device) -> Tensor:
    """Varied views, float32 (n, 3, GLANCE_SIZE, GLANCE_SIZE); never mirrored, because sides are asked for."""
    images, _ = batch.to(device)
    still = torch.zeros(len(images), dtype=torch.bool, device=device)
    size = (GLANCE_SIZE, GLANCE_SIZE)
    viewed = Frames.draw(VIEW, still, still).apply(images)
    return vary(functional.interpolate(viewed, size, mode="bilinear", antialias=True))


def loss_of(logits: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
    """Cross-entropy of the heads with one true name, and of each name of the others; both weigh like one head."""
    total = next(iter(logits.values())).new_zeros(())
    for head in ONE_OF:
        truth = targets[head]
        known = truth.sum(dim=1) > 0
        if bool(known.any()):
            total = total + functional.cross_entropy(logits[head][known], truth[known], label_smoothing=0.02)
    for head in ANY_OF:
        total = total + 8 * functional.binary_cross_entropy_with_logits(logits[head], targets[head])
    return total


def train(net: GlanceNet, names: dict[str, tuple[str, ...]], options: argparse.Namespace) -> GlanceNet:
    """Train until the time is spent; returns the network with its averaged weights."""
    device = torch.device(options.device)
    net.to(device).train()
    run = Run("glance", options.work / "last.pt", net, net, PEAK_RATE, DECAY, 60 * options.minutes)
    source = batches(options.pool, SHARES, options.images, seed=4000 + run.count, masks=False)

    def losses() -> dict[str, Tensor]:
        batch = next(source)
        targets = {head: target.to(device) for head, target in targets_of(batch.rows, names).items()}
        with autocast(device):
            logits = net(seen(batch, device))
        return {"loss": loss_of({head: value.float() for head, value in logits.items()}, targets)}

    run.train(losses, WARM_UP, CLIP)
    net.load_state_dict(run.average.state)
    return net.eval()


@torch.inference_mode()
def measure(net: GlanceNet, names: dict[str, tuple[str, ...]], pool: Path, options: argparse.Namespace) -> GlanceConfig:
    """Temperature of each head by maximum likelihood, and its accuracy, on varied images of a held-out pool."""
    device = torch.device(options.device)
    source = batches(pool, SHARES, options.images, seed=78, masks=False)
    found: dict[str, list[Tensor]] = {head: [] for head in names}
    wanted: dict[str, list[Tensor]] = {head: [] for head in names}
    for _ in range(FITTED_BATCHES):
        batch = next(source)
        for head, value in net(seen(batch, device)).items():
            found[head].append(value.float().cpu())
        for head, value in targets_of(batch.rows, names).items():
            wanted[head].append(value)
    temperatures, accuracies = {}, {}
    for head in names:
        logits, truth = torch.cat(found[head]), torch.cat(wanted[head])
        temperatures[head] = _temperature(logits, truth, head in ONE_OF)
        if head in ONE_OF:
            known = truth.sum(dim=1) > 0
            right = truth[known].gather(1, logits[known].argmax(1, keepdim=True)) > 0
        else:
            right = (logits > 0) == (truth > 0)
        accuracies[head] = float(right.float().mean())
    return GlanceConfig(sha256="0" * 64, names=names, temperatures=temperatures, accuracies=accuracies)


def _temperature(logits: Tensor, truth: Tensor, one: bool) -> float:
    fit = functional.cross_entropy if one else functional.binary_cross_entropy_with_logits
    choices = torch.linspace(0.5, 4.0, 71).tolist()
    return float(min(choices, key=lambda value: float(fit(logits / value, truth))))


def export(net: GlanceNet, config: GlanceConfig, folder: Path) -> None:
    """Write the two files that `networks.glance.load_glance` reads."""
    sha256 = save_fp16(net, folder / WEIGHTS)
    document = config.model_copy(update={"sha256": sha256}).model_dump(mode="json")
    (folder / CONFIG).write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, required=True, help="folder that mmedagent.training.pool fills")
    parser.add_argument("--held-out", type=Path, help="a pool that is not trained on, for temperatures")
    parser.add_argument("--names", type=Path, help="a pool whose images give the vocabulary; by default the pool")
    parser.add_argument("--work", type=Path, default=Path("build/glance"))
    parser.add_argument("--out", type=Path, default=Path("models/planner"))
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--images", type=int, default=32, help="images a step")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    shown = Pool(options.names or options.pool, tuple(SHARES))
    shown.refresh()
    names = vocabulary(shown.rows())
    net = train(GlanceNet({head: len(known) for head, known in names.items()}), names, options)
    config = measure(net, names, options.held_out or options.pool, options)
    export(net, config, options.out)
    logger.info("accuracies %s", {head: round(value, 4) for head, value in config.accuracies.items()})


if __name__ == "__main__":
    main()
