"""Fit the image tower on phantoms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from rich.progress import Progress, track
from torch import Tensor, nn

from mmedagent.networks.planner_glance import GlanceNet, glance_input
from mmedagent.training.phantoms import KINDS, generate

PHANTOM_SIZE = 128
HELD_OUT_SHARE = 0.1


@dataclass(frozen=True)
class GlanceFit:
    """A fitted tower, its label sets, its temperature, and its accuracies in [0, 1] on phantoms that it never saw."""

    net: GlanceNet
    modalities: tuple[str, ...]
    anatomies: tuple[str, ...]
    temperature: float
    modality_accuracy: float
    anatomy_accuracy: float


@dataclass(frozen=True)
class _Pictures:
    """uint8 frames (n, 3, 96, 96) with int64 labels (n,)."""

    frames: Tensor
    modality: Tensor
    anatomy: Tensor


def fit_glance(phantoms: int, epochs: int, seed: int, batch_size: int = 64) -> GlanceFit:
    """Draw phantoms of every kind and train; a tenth of them is held out for temperature and accuracy."""
    torch.manual_seed(seed)
    pictures, modalities, anatomies = _draw(phantoms, seed)
    held_out = int(len(pictures.frames) * HELD_OUT_SHARE)
    net = GlanceNet(len(modalities), len(anatomies)).train()
    steps = epochs * ((len(pictures.frames) - held_out) // batch_size)
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=max(steps, 1))
    with Progress() as progress:
        bar = progress.add_task("glance", total=steps)
        for _ in range(epochs):
            order = torch.randperm(len(pictures.frames) - held_out) + held_out
            for chosen in torch.split(order, batch_size)[: (len(pictures.frames) - held_out) // batch_size]:
                modality, anatomy = net(_varied(pictures.frames[chosen].float() / 255))
                loss = nn.functional.cross_entropy(modality, pictures.modality[chosen], label_smoothing=0.05)
                loss = loss + nn.functional.cross_entropy(anatomy, pictures.anatomy[chosen], label_smoothing=0.05)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
                progress.update(bar, advance=1, description=f"glance, loss {float(loss.detach()):.3f}")
    return _measured(net.eval(), pictures, held_out, modalities, anatomies)


def _draw(count: int, seed: int) -> tuple[_Pictures, tuple[str, ...], tuple[str, ...]]:
    random = np.random.default_rng(seed)
    drawn = [generate(KINDS[index % len(KINDS)], random, PHANTOM_SIZE) for index in track(range(count), "phantoms")]
    modalities = tuple(sorted({phantom.modality for phantom in drawn}))
    anatomies = tuple(sorted({phantom.anatomy for phantom in drawn}))
    frames = torch.stack([(glance_input(phantom.image) * 255).to(torch.uint8) for phantom in drawn])
    return (
        _Pictures(
            frames,
            torch.tensor([modalities.index(phantom.modality) for phantom in drawn]),
            torch.tensor([anatomies.index(phantom.anatomy) for phantom in drawn]),
        ),
        modalities,
        anatomies,
    )


def _varied(frames: Tensor) -> Tensor:
    """Shifts, flips, brightness, contrast and noise, one draw a batch for shape and one a frame for grey values."""
    shift = [int(value) for value in torch.randint(-8, 9, (2,))]
    frames = frames.roll(shift, dims=(2, 3))
    if bool(torch.rand(()) < 0.5):
        frames = frames.flip(3)
    count = len(frames)
    gain = 0.7 + 0.6 * torch.rand(count, 1, 1, 1)
    offset = 0.2 * torch.rand(count, 1, 1, 1) - 0.1
    noise = 0.05 * torch.rand(count, 1, 1, 1) * torch.randn_like(frames)
    return (frames * gain + offset + noise).clamp(0, 1)


@torch.inference_mode()
def _measured(
    net: GlanceNet, pictures: _Pictures, held_out: int, modalities: tuple[str, ...], anatomies: tuple[str, ...]
) -> GlanceFit:
    modality, anatomy = net(pictures.frames[:held_out].float() / 255)
    wanted = pictures.modality[:held_out]
    candidates = torch.linspace(0.5, 4.0, 71).tolist()
    return GlanceFit(
        net=net,
        modalities=modalities,
        anatomies=anatomies,
        temperature=float(min(candidates, key=lambda t: float(nn.functional.cross_entropy(modality / t, wanted)))),
        modality_accuracy=float((modality.argmax(-1) == wanted).float().mean()),
        anatomy_accuracy=float((anatomy.argmax(-1) == pictures.anatomy[:held_out]).float().mean()),
    )
