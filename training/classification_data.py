"""Image and label pairs for the classifier: phantoms drawn once into shards on disk, each shard from its own seed.

A shard is a `.npz` of RGB images and a JSON text of their labels; a run that was stopped goes on with the first shard
that is missing. Some histology phantoms are shown in another stain, so that the stain is a label and the network does
not take one colour for the modality.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

from mmedagent.training.phantoms import generate
from mmedagent.training.phantoms.histology import STAINS

SIDE = 192
"""Height and width of the stored images in pixels."""

SHARD = 200
SHARES = {"ct": 0.21, "mr": 0.23, "xray": 0.15, "ultrasound": 0.16, "fundus": 0.11, "histology": 0.14}
_SIZES = (160, 192, 256)
_HE, _DAB = "h&e", "dab"
_MASSON = ("masson", (0.55, 0.85, 0.45), (0.80, 0.45, 0.15))
"""Masson's trichrome: the optical densities that take the place of haematoxylin's and eosin's."""


@dataclass(frozen=True)
class Labels:
    """What is true of an image. `stain` is None where there is none or where it cannot be told."""

    modality: str
    anatomy: str
    findings: tuple[str, ...]
    stain: str | None


@dataclass(frozen=True)
class Dataset:
    """Images uint8 (n, SIDE, SIDE, 3) and their labels in the same order."""

    images: NDArray[np.uint8]
    labels: tuple[Labels, ...]


def draw(rng: np.random.Generator) -> tuple[NDArray[np.uint8], Labels]:
    """One phantom of a random kind as RGB (SIDE, SIDE, 3), with its labels."""
    kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
    phantom = generate(kind, rng, int(rng.choice(_SIZES)))
    picture = Image.fromarray(phantom.image).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    image, stain = np.asarray(picture), None
    if phantom.modality == "histology":
        stain = stain_of(image)
        if stain == _HE and rng.random() < 0.25:
            stain, nuclear, counter = _MASSON
            image = restain(image, rng, nuclear, counter)
    return image, Labels(phantom.modality, phantom.anatomy, phantom.findings, stain)


def dyes(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Amount of haematoxylin, eosin and DAB at each pixel, (H, W, 3), by colour deconvolution.

    Source: Ruifrok and Johnston, Quantification of histochemical staining by color deconvolution (2001).
    """
    density = -np.log((image.astype(np.float64) + 1) / 256)
    amounts: NDArray[np.float64] = density @ np.linalg.inv(np.array(list(STAINS.values())))
    return amounts


def stain_of(image: NDArray[np.uint8]) -> str | None:
    """The stain of a histology phantom, or None when neither eosin nor DAB is in the field."""
    _, eosin, brown = np.moveaxis(dyes(image), -1, 0)
    if float((brown > 0.45).mean()) > 0.02:
        return _DAB
    return _HE if float(np.median(eosin)) > 0.08 else None


def restain(
    image: NDArray[np.uint8], rng: np.random.Generator, nuclear: tuple[float, ...], counter: tuple[float, ...]
) -> NDArray[np.uint8]:
    """The same H&E tissue with its two dyes given other optical densities, jittered from slide to slide."""
    amounts = np.maximum(dyes(image)[..., :2], 0)
    vectors = np.array([nuclear, counter]) * np.exp(rng.normal(0, 0.12, (2, 3)))
    density = (amounts * np.array([1.0, rng.uniform(1.0, 2.0)])) @ vectors
    restained: NDArray[np.uint8] = np.clip(256 * np.exp(-density) - 1, 0, 255).astype(np.uint8)
    return restained


def make_shards(folder: Path, count: int, seed: int) -> None:
    """Draw at least `count` images into `folder`; shards that are there are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in track(range(-(-count // SHARD)), description=f"drawing {folder.name}"):
        path = _shard(folder, index)
        if path.is_file():
            continue
        rng = np.random.default_rng([seed, index])
        pairs = [draw(rng) for _ in range(SHARD)]
        labels = json.dumps([asdict(pair[1]) for pair in pairs])
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, images=np.stack([pair[0] for pair in pairs]), labels=np.array(labels))
        partial.replace(path)


def read_shards(folder: Path, count: int) -> Dataset:
    """The first `count` images of a folder. Raises `FileNotFoundError` when a shard is missing."""
    images = np.empty((count, SIDE, SIDE, 3), np.uint8)
    labels: list[Labels] = []
    for pixels, rows in _shards(folder, -(-count // SHARD)):
        part = pixels[: count - len(labels)]
        images[len(labels) : len(labels) + len(part)] = part
        labels += rows[: len(part)]
    return Dataset(images, tuple(labels))


def _shards(folder: Path, count: int) -> Iterator[tuple[NDArray[np.uint8], list[Labels]]]:
    for index in range(count):
        with np.load(_shard(folder, index), allow_pickle=False) as shard:
            rows = json.loads(str(shard["labels"]))
            yield (
                shard["images"],
                [Labels(row["modality"], row["anatomy"], tuple(row["findings"]), row["stain"]) for row in rows],
            )


def _shard(folder: Path, index: int) -> Path:
    return folder / f"shard-{index:04d}.npz"
