"""A pool of phantoms on disk that several trainings read while it still grows.

    python -m mmedagent.training.pool --out build/pool --images 100000 --workers 2

A shard is a folder of `SHARD` images of one kind: `images.npy` (n, S, S) or (n, S, S, 3) uint8, `bits.npy` (n, S, S)
uint32 with one bit for each structure, and `rows.json` with what is true of each image. Each shard is drawn from a seed
of its own and appears in one step, so a run that was stopped goes on with the first shard that is missing.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress
from scipy import ndimage

from mmedagent.training.phantoms import generate
from mmedagent.training.phantoms.base import Mask, Phantom

SHARD = 64
SIZE = 256
ABSTRACT, OTHER = "abstract", "other"
SHARES: dict[str, float] = {
    "ct": 0.21, "mr": 0.19, "xray": 0.12, "ultrasound": 0.12, "fundus": 0.07, "histology": 0.08, "photograph": 0.04,
    OTHER: 0.07, ABSTRACT: 0.10,
}  # fmt: skip
"""How much of the pool each kind makes up."""

MOST_STRUCTURES = 32
MOST_OBJECTS = 48
LEAST_PIXELS = 12
CRUMB = 0.1
_SEED = 1
"""First word of the pool's seeds. Evaluation draws from single-word seeds, so the two never meet."""


@dataclass(frozen=True)
class Object:
    """A connected piece of a structure.

    Attributes:
        structure: place of its name in `Row.names`, which is also its bit.
        box: x1, y1, x2, y2 in pixels, the upper ends exclusive.
        area: pixels.
        alone: whether its box holds next to nothing of other pieces of the same structure, so that the bits inside the
            box are the object's mask.
    """

    structure: int
    box: tuple[int, int, int, int]
    area: int
    alone: bool


@dataclass(frozen=True)
class Row:
    """What is true of one image; the fields are those of `Phantom`."""

    modality: str
    anatomy: str
    view: str
    technique: str
    findings: tuple[str, ...]
    names: tuple[str, ...]
    objects: tuple[Object, ...]


@dataclass(frozen=True)
class Example:
    """One image of the pool: uint8 (S, S) or (S, S, 3), its structures as bits uint32 (S, S), and its row."""

    image: NDArray[np.uint8]
    bits: NDArray[np.uint32]
    row: Row


def objects_of(masks: Mapping[str, Mask]) -> tuple[Object, ...]:
    """The connected pieces of all masks, the largest first, at most `MOST_OBJECTS`."""
    found: list[Object] = []
    for place, mask in enumerate(masks.values()):
        labels, _ = ndimage.label(mask)
        areas = np.bincount(labels.ravel())
        for label, window in enumerate(ndimage.find_objects(labels), 1):
            if window is None or areas[label] < LEAST_PIXELS:
                continue
            rows, columns = window
            others = int((mask[window] & (labels[window] != label)).sum())
            box = (columns.start, rows.start, columns.stop, rows.stop)
            found.append(Object(place, box, int(areas[label]), others <= 0.03 * int(areas[label])))
    return tuple(sorted(found, key=lambda one: -one.area)[:MOST_OBJECTS])


def main_pieces(objects: Sequence[Object]) -> tuple[Object, ...]:
    """Without the crumbs: pieces under a tenth of their structure's largest piece, which overlaps leave behind."""
    largest: dict[int, int] = {}
    for one in objects:
        largest[one.structure] = max(largest.get(one.structure, 0), one.area)
    return tuple(one for one in objects if one.area >= CRUMB * largest[one.structure])


def example_of(phantom: Phantom) -> Example:
    """A phantom in the form of the pool; structures beyond the first `MOST_STRUCTURES` are left out."""
    masks = dict(list(phantom.masks.items())[:MOST_STRUCTURES])
    bits = np.zeros(phantom.image.shape[:2], np.uint32)
    for place, mask in enumerate(masks.values()):
        bits |= mask.astype(np.uint32) << np.uint32(place)
    row = Row(
        modality=phantom.modality,
        anatomy=phantom.anatomy,
        view=phantom.view,
        technique=phantom.technique,
        findings=phantom.findings,
        names=tuple(masks),
        objects=objects_of(masks),
    )
    return Example(phantom.image, bits, row)


def draw(kind: str, rng: np.random.Generator, size: int = SIZE) -> Phantom:
    """A phantom of any kind of the pool, abstract scenes included."""
    if kind == ABSTRACT:
        from mmedagent.training.abstract_scenes import abstract_phantom

        return abstract_phantom(rng, size)
    return generate(kind, rng, size)


def write_shard(folder: Path, kind: str, index: int) -> None:
    """Draw one shard, unless it is there."""
    final = folder / f"{kind}-{index:05d}"
    if final.is_dir():
        return
    rng = np.random.default_rng([_SEED, list(SHARES).index(kind), index])
    examples = [example_of(draw(kind, rng)) for _ in range(SHARD)]
    images = [example.image for example in examples]
    if any(image.ndim == 3 for image in images):
        images = [image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2) for image in images]
    partial = folder / f".{final.name}"
    partial.mkdir(parents=True, exist_ok=True)
    np.save(partial / "images.npy", np.stack(images))
    np.save(partial / "bits.npy", np.stack([example.bits for example in examples]))
    (partial / "rows.json").write_text(json.dumps([asdict(example.row) for example in examples]), "utf-8")
    partial.rename(final)


def plan(images: int, first: int = 0) -> Iterator[tuple[str, int]]:
    """Kind and index of every shard, the kinds interleaved by their shares, indices counted from `first`."""
    due = dict.fromkeys(SHARES, 0.0)
    done = dict.fromkeys(SHARES, first)
    for _ in range(-(-images // SHARD)):
        for kind, share in SHARES.items():
            due[kind] += share
        kind = max(due, key=lambda one: due[one])
        due[kind] -= 1
        yield kind, done[kind]
        done[kind] += 1


def fill(folder: Path, images: int, workers: int, first: int = 0) -> None:
    """Draw the pool in `workers` processes."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = list(plan(images, first))
    with (
        ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as processes,
        Progress() as progress,
    ):
        bar = progress.add_task("drawing phantoms", total=len(shards) * SHARD)
        for done in as_completed([processes.submit(write_shard, folder, *shard) for shard in shards]):
            done.result()
            progress.advance(bar, SHARD)


class Pool:
    """Reads the shards that are there; `refresh` takes in those that have appeared since."""

    def __init__(self, folder: Path, kinds: Sequence[str] = tuple(SHARES)) -> None:
        self._folder, self._kinds = folder, tuple(kinds)
        self._shards: dict[str, list[tuple[NDArray[np.uint8], NDArray[np.uint32], list[Row]]]] = {}
        self._known: set[str] = set()

    def refresh(self) -> int:
        """The number of images that can be drawn now."""
        for path in sorted(self._folder.glob("[a-z]*-*")) if self._folder.is_dir() else []:
            kind = path.name.rsplit("-", 1)[0]
            if path.name in self._known or kind not in self._kinds:
                continue
            self._known.add(path.name)
            images = np.load(path / "images.npy", mmap_mode="r", allow_pickle=False)
            bits = np.load(path / "bits.npy", mmap_mode="r", allow_pickle=False)
            rows = [_row(values) for values in json.loads((path / "rows.json").read_text("utf-8"))]
            self._shards.setdefault(kind, []).append((images, bits, rows))
        return SHARD * len(self._known)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of which there is a shard."""
        return tuple(self._shards)

    def rows(self) -> Iterator[Row]:
        """What is true of every image that is there."""
        return (row for shards in self._shards.values() for _, _, rows in shards for row in rows)

    def pick(self, rng: np.random.Generator, kind: str) -> Example:
        """A random image of a kind, its arrays still on disk. Raises `KeyError` when there is none yet."""
        shards = self._shards[kind]
        images, bits, rows = shards[int(rng.integers(len(shards)))]
        place = int(rng.integers(len(rows)))
        return Example(images[place], bits[place], rows[place])


def _row(values: dict[str, Any]) -> Row:
    objects = tuple(
        Object(one["structure"], (*map(int, one["box"]),), one["area"], one["alone"])  # type: ignore[arg-type]
        for one in values["objects"]
    )
    lists = {"findings": tuple(values["findings"]), "names": tuple(values["names"]), "objects": objects}
    return Row(**{**values, **lists})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--first", type=int, default=0, help="index of the first shard; other indices, other images")
    options = parser.parse_args()
    fill(options.out, options.images, options.workers, options.first)


if __name__ == "__main__":
    main()
