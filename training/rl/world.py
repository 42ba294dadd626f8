"""A synthetic set of multiple-choice questions about phantoms, with exact answers.

Five families of questions: the modality, the part of the body, where a structure lies, which finding is shown, and how
much of the image a structure covers. Every question has four options in random order, one of them the `lure`: what
the right answer is always confused with. A question is a row of text and a seed; its image is drawn again when it is
needed. The splits share no image. The modality of `OUTSIDE` is in no split but "outside", not even as an option.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmedagent.networks.consultation_words import LINES
from mmedagent.networks.glance import GLANCE_SIZE
from mmedagent.protocol.consultation import LETTERS
from mmedagent.training.phantoms import generate
from mmedagent.training.phantoms.base import Mask, Phantom

WORLD_SEED = 71_127
"""First word of the seeds of the committed world. Trials of settings use another, 60,606; tests use small ones."""

DRAWN_SIZE, OPTIONS, TRIES = 192, LINES, 400
SPLITS = {"warm": 2_400, "train": 5_000, "test": 1_200, "outside": 600}
"""Questions of each split: for the warm start, for GRPO and SFT, held out, and of a modality never trained on."""

KINDS, OUTSIDE = ("ct", "xray", "ultrasound", "fundus", "photograph", "histology"), "mr"
FAMILIES = ("modality", "organ", "position", "finding", "size")
FILE = Path(__file__).with_name("world.jsonl.gz")
SHA256 = "ba5a0b3b62d99cbd4886fb3dc962c2c4e50a6f630a72420e1d59924fe82a13c8"
"""Of the lines of the committed questions."""

MODALITIES = ("CT", "X-ray", "ultrasound", "fundus", "photograph", "histology")
ORGANS = (
    "abdomen", "chest", "heart", "neck", "head", "brain", "spine", "limb", "knee", "soft tissue", "skin", "specimen",
    "tissue", "eye",
)  # fmt: skip
FINDINGS = {
    "CT": ("liver lesion", "right kidney lesion", "left kidney lesion", "lung nodule", "haemorrhage", "infarct"),
    "X-ray": ("consolidation", "infiltration", "lung nodule", "pleural effusion", "pneumothorax", "cardiomegaly"),
    "ultrasound": ("cyst", "mass", "thyroid nodule", "stone", "hydronephrosis"),
    "fundus": ("microaneurysms", "haemorrhages", "exudates", "drusen", "large optic cup"),
    "histology": ("adenocarcinoma", "tumour", "squamous cell carcinoma"),
    "MR": ("tumour", "oedema", "infarct", "haemorrhage", "liver lesion", "herniated disc"),
}
"""Neighbours in these rows are confused with each other: the lure of an answer is the next one, round and round."""

NO_FINDING = "no finding"
QUARTERS = ("upper left", "upper right", "lower right", "lower left")
SIZES = ("under 2 %", "2 to 8 %", "8 to 25 %", "over 25 %")
_SIZE_ENDS = (0.02, 0.08, 0.25)
_NEAR = 0.05
"""A structure whose middle is nearer than that share of the side to a midline of the image lies in no quarter."""

_LEAST = 0.004
_WHOLE = frozenset({"body", "skin", "specimen", "head", "limb", "nuclei", "stroma", "ribs", "vessels", "clavicles"})
"""Structures that fill the image or lie all over it: not asked for a place."""


@dataclass(frozen=True)
class Item:
    """A question.

    Attributes:
        split: one of `SPLITS`.
        index: place in its split.
        attempt: last word of the seed of its image.
        kind: of phantom.
        modality: what kind of image it truly is.
        family: one of `FAMILIES`.
        question: without its options.
        options: four, without letters.
        answer: index of the right option.
        lure: index of the option that it is confused with.
        world: first word of the seed.
    """

    split: str
    index: int
    attempt: int
    kind: str
    modality: str
    family: str
    question: str
    options: tuple[str, ...]
    answer: int
    lure: int
    world: int = WORLD_SEED

    @property
    def id(self) -> str:
        return f"{self.world}-{self.split}-{self.index}"

    @property
    def letter(self) -> str:
        return LETTERS[self.answer]

    def picture(self) -> Image.Image:
        """The image in RGB, 128 x 128 pixels."""
        frame = _phantom(self.world, self.split, self.index, self.attempt, self.kind).image
        return Image.fromarray(frame).convert("RGB").resize((GLANCE_SIZE, GLANCE_SIZE), Image.Resampling.BOX)


@dataclass(frozen=True)
class _Asked:
    question: str
    answer: str
    lure: str
    others: tuple[str, ...]


def draw_world(seed: int, sizes: dict[str, int]) -> Iterator[Item]:
    """The questions of a world, split by split. The same seed gives the same questions."""
    for split, count in sizes.items():
        for index in range(count):
            yield _item(seed, split, index)


def _item(world: int, split: str, index: int) -> Item:
    rng = np.random.default_rng([world, list(SPLITS).index(split), index])
    family = FAMILIES[index % len(FAMILIES)]
    asks = _ASKS[family]
    for attempt in range(TRIES):
        kind = OUTSIDE if split == "outside" else str(rng.choice(KINDS))
        phantom = _phantom(world, split, index, attempt, kind)
        asked = asks(rng, phantom)
        if asked is not None:
            break
    else:
        raise RuntimeError(f"no image for question {index} of {split} in {TRIES} tries")
    others = [one for one in asked.others if one not in (asked.answer, asked.lure)]
    options = [asked.answer, asked.lure, *(str(one) for one in rng.permutation(others)[: OPTIONS - 2])]
    order = [int(place) for place in rng.permutation(OPTIONS)]
    return Item(
        split, index, attempt, kind, phantom.modality, family, asked.question,
        tuple(options[place] for place in order), order.index(0), order.index(1), world,
    )  # fmt: skip


def _phantom(world: int, split: str, index: int, attempt: int, kind: str) -> Phantom:
    return generate(kind, np.random.default_rng([world, list(SPLITS).index(split), index, attempt]), DRAWN_SIZE)


def _after(names: Sequence[str], name: str) -> str:
    return names[(names.index(name) + 1) % len(names)]


def _modality(_: np.random.Generator, phantom: Phantom) -> _Asked:
    # The modality that is never trained on is an option of its own questions only.
    lure = "CT" if phantom.modality == "MR" else _after(MODALITIES, phantom.modality)
    return _Asked("Which modality is this?", phantom.modality, lure, MODALITIES)


def _organ(_: np.random.Generator, phantom: Phantom) -> _Asked | None:
    if phantom.anatomy not in ORGANS:
        return None
    return _Asked("Which part of the body is this?", phantom.anatomy, _after(ORGANS, phantom.anatomy), ORGANS)


def _finding(rng: np.random.Generator, phantom: Phantom) -> _Asked | None:
    known = FINDINGS.get(phantom.modality)
    if known is None or len(phantom.findings) > 1 or (not phantom.findings and rng.random() < 0.9):
        return None
    names = (*known, NO_FINDING)
    truth = phantom.findings[0] if phantom.findings else NO_FINDING
    return _Asked("Which finding is shown?", truth, _after(names, truth), names) if truth in names else None


def _position(rng: np.random.Generator, phantom: Phantom) -> _Asked | None:
    places = {}
    for name, mask in phantom.masks.items():
        x, y = _middle(mask)
        if name not in _WHOLE and mask.mean() >= _LEAST and min(abs(x), abs(y)) >= _NEAR:
            places[name] = f"{'upper' if y < 0 else 'lower'} {'left' if x < 0 else 'right'}"
    if not places:
        return None
    name = str(rng.choice(list(places)))
    mirrored = places[name].replace("left", "R").replace("right", "left").replace("R", "right")
    return _Asked(f"In which quarter is this?\n{name}", places[name], mirrored, QUARTERS)


def _middle(mask: Mask) -> tuple[float, float]:
    """The centroid, right and down of the middle of the image, in shares of its sides."""
    rows, columns = np.nonzero(mask)
    return float(columns.mean()) / mask.shape[1] - 0.5, float(rows.mean()) / mask.shape[0] - 0.5


def _size(rng: np.random.Generator, phantom: Phantom) -> _Asked | None:
    if not phantom.masks:
        return None
    name = str(rng.choice(list(phantom.masks)))
    step = int(np.searchsorted(_SIZE_ENDS, float(phantom.masks[name].mean()), side="right"))
    lure = SIZES[step + 1 if step + 1 < len(SIZES) else step - 1]
    return _Asked(f"How much of the image is this?\n{name}", SIZES[step], lure, SIZES)


_ASKS: dict[str, Callable[[np.random.Generator, Phantom], _Asked | None]] = {
    "modality": _modality,
    "organ": _organ,
    "position": _position,
    "finding": _finding,
    "size": _size,
}


def shuffled(item: Item, random: Random) -> Item:
    """The question with its options in another order."""
    order = random.sample(range(len(item.options)), len(item.options))
    options = tuple(item.options[place] for place in order)
    return replace(item, options=options, answer=order.index(item.answer), lure=order.index(item.lure))


def write_world(items: Sequence[Item], path: Path) -> str:
    """Write the questions, one a line, in the same bytes each time; returns the sha256 of the lines."""
    lines = "".join(f"{json.dumps(asdict(item), separators=(',', ':'))}\n" for item in items).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(lines, mtime=0))
    return hashlib.sha256(lines).hexdigest()


def read_world(path: Path = FILE) -> dict[str, list[Item]]:
    """The questions of a file by their split."""
    world: dict[str, list[Item]] = {split: [] for split in SPLITS}
    for line in gzip.decompress(path.read_bytes()).splitlines():
        values = json.loads(line)
        item = Item(**{**values, "options": tuple(values["options"])})
        world[item.split].append(item)
    return world


def pictures(items: Sequence[Item], file: Path) -> NDArray[np.uint8]:
    """The images of the questions, uint8 (n, 128, 128, 3), drawn once and then read from the file."""
    if file.is_file():
        stored: NDArray[np.uint8] = np.load(file, allow_pickle=False)
        if len(stored) == len(items):
            return stored
    drawn = np.stack([np.asarray(item.picture()) for item in items])
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial.npy")
    np.save(partial, drawn)
    partial.rename(file)
    return drawn
