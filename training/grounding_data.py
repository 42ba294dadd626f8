"""Captions and targets for the grounding network from batches of the pool, made on the device of the training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mmedagent.networks.sam_refine import tight_boxes
from mmedagent.networks.trunk import MEAN, STD
from mmedagent.training.feed import Batch
from mmedagent.training.grounding_names import WORDINGS, Names, Structure
from mmedagent.training.pool import Object, Row, main_pieces
from mmedagent.training.segmentation_data import object_masks
from mmedagent.training.text_bank import TextBank
from mmedagent.training.variation import Frames, Geometry, vary

MOST_PROMPTS = 10
MOST_TARGETS = 32
LEAST_SHARE = 0.35
"""A structure that a view cuts down below this share of its pixels is neither asked for nor denied."""

STILL = Geometry(zoom=(0.75, 1.2), stretch=0.1, turn=0.06)
FREE = frozenset({"histology", "fundus", "ultrasound", "photograph"})
"""Modalities whose images may be mirrored unless they show sided structures."""

GRID_STRIDE = 16
"""Pixels a cell of the finest feature map that the encoder sees."""

AT_ONCE = 256
"""Objects whose masks are held at a time."""

CLS, SEP = 101, 102
"""Ids of MiniLM's [CLS] and [SEP]."""


@dataclass(frozen=True)
class Asked:
    """What one image is asked for: a phrase for each structure, and whether the structure is there."""

    phrases: tuple[str, ...]
    structures: tuple[Structure, ...]


@dataclass(frozen=True)
class Sample:
    """A batch of n images with captions of t tokens and up to m objects each.

    Attributes:
        images: float32 (n, 3, S, S), normalised.
        ids: int64 (n, t) token ids, padded with 0.
        mask: bool (n, t), true for tokens that are not padding.
        text: float32 (n, t, 384), MiniLM's states of the tokens.
        boxes: float32 (n, m, 4), cxcywh in [0, 1].
        tokens: bool (n, m, t), the tokens that each object answers to.
        real: bool (n, m), false for padding.
        regions: float32 (n, p, S/16, S/16), coverage of each prompt's masks on the finest feature map.
        owners: int64 (n, t), the prompt that a token belongs to, -1 for separators, leads and padding.
    """

    images: Tensor
    ids: Tensor
    mask: Tensor
    text: Tensor
    boxes: Tensor
    tokens: Tensor
    real: Tensor
    regions: Tensor
    owners: Tensor


class Maker:
    """Turns batches into samples."""

    def __init__(self, names: Names, bank: TextBank, device: torch.device) -> None:
        self._names, self._bank, self._device = names, bank, device
        self._rng = np.random.default_rng(0)

    def __call__(self, batch: Batch) -> Sample:
        images, bits = batch.to(self._device)
        mirror = torch.tensor([may_mirror(row) and self._rng.random() < 0.5 for row in batch.rows])
        down = torch.tensor([row.modality == "histology" and self._rng.random() < 0.5 for row in batch.rows])
        view = Frames.draw(STILL, mirror.to(self._device), down.to(self._device))
        seen = vary(view.apply(images))
        asked = [self._ask(row) for row in batch.rows]
        targets = self._targets(bits, view, batch.rows, asked)
        return Sample((seen - MEAN) / STD, *self._captions(asked, targets))

    def _ask(self, row: Row) -> Asked:
        """Present structures, and absent ones that are like none of them, in random order and wording."""
        here = [one for one in self._names.structures if one.places_in(row)]
        present: list[Structure] = []
        for place in self._rng.permutation(len(here)):
            if not any(
                here[place].name in self._names.alike[one.name] for one in present if _overlap(one, here[place])
            ):
                present.append(here[place])
        present = present[: int(self._rng.integers(1, MOST_PROMPTS))]
        like = {name for one in here for name in self._names.alike[one.name]}
        absent = [one for one in self._names.structures if one.name not in like]
        count = int(self._rng.integers(1, MOST_PROMPTS + 1 - len(present) + 1))
        chosen = [*present, *(absent[place] for place in self._rng.permutation(len(absent))[:count])]
        chosen = [chosen[place] for place in self._rng.permutation(len(chosen))][:MOST_PROMPTS]
        return Asked(tuple(self._word(one) for one in chosen), tuple(chosen))

    def _word(self, structure: Structure) -> str:
        names = (structure.name, *structure.seen)
        place = 0 if self._rng.random() < 0.3 else int(self._rng.integers(len(names)))
        return WORDINGS[int(self._rng.integers(len(WORDINGS)))].format(names[place])

    def _targets(self, bits: Tensor, view: Frames, rows: tuple[Row, ...], asked: list[Asked]) -> _Targets:
        """Objects of all prompts in the view, and coverage of the prompts' masks."""
        shown: list[tuple[int, int, int]] = []
        wanted: list[tuple[int, int, Object]] = []
        for number, (row, ask) in enumerate(zip(rows, asked, strict=True)):
            own: list[tuple[int, int, Object]] = []
            for place, structure in enumerate(ask.structures):
                for bit in structure.places_in(row):
                    shown.append((number, place, bit))
                    own += [(number, place, one) for one in main_pieces(row.objects) if one.structure == bit]
            wanted += own[:MOST_TARGETS]
        image = torch.tensor([number for number, _, _ in wanted], device=bits.device, dtype=torch.long)
        prompt = torch.tensor([place for _, place, _ in wanted], device=bits.device, dtype=torch.long)
        boxes, share = _seen(bits, view, image, [one for _, _, one in wanted])
        return _Targets(view.apply(_regions(bits, shown)), image, prompt, boxes, share)

    def _captions(self, asked: list[Asked], targets: _Targets) -> tuple[Tensor, ...]:
        start, end = self._bank.edges
        rows: list[tuple[list[int], list[int], Tensor]] = []
        for ask in asked:
            tokens, belongs, states = [CLS], [-1], [start[None]]
            for place, phrase in enumerate(ask.phrases):
                of_phrase, vectors = self._bank.phrases[phrase]
                tokens += of_phrase
                belongs += [-1, *([place] * (len(of_phrase) - 2)), -1]
                states.append(vectors)
            rows.append(([*tokens, SEP], [*belongs, -1], torch.cat([*states, end[None]])))
        longest = max(len(tokens) for tokens, _, _ in rows)
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        owners = torch.full((len(rows), longest), -1)
        text = torch.zeros(len(rows), longest, len(start))
        for number, (tokens, belongs, vectors) in enumerate(rows):
            ids[number, : len(tokens)] = torch.tensor(tokens)
            owners[number, : len(belongs)] = torch.tensor(belongs)
            text[number, : len(tokens)] = vectors
        ids, owners, text = ids.to(self._device), owners.to(self._device), text.to(self._device)
        regions = functional.avg_pool2d(targets.regions, GRID_STRIDE)
        return (ids, ids > 0, text, *_padded(owners, targets), regions, owners)


@dataclass(frozen=True)
class _Targets:
    """Coverage (n, p, S, S) of prompts; and for k objects their image, prompt, box and visible share."""

    regions: Tensor
    image: Tensor
    prompt: Tensor
    boxes: Tensor
    share: Tensor


def shown_masks(bits: Tensor, shown: list[tuple[int, int, int]]) -> tuple[Tensor, Tensor]:
    """Rows of (image, place, bit) as a table int64 (k, 3), and the mask of each row's bit, float32 (k, S, S)."""
    table = torch.tensor(shown, dtype=torch.long).view(-1, 3).to(bits.device)
    return table, ((bits[table[:, 0]] >> table[:, 2, None, None].int()) & 1).float()


def _regions(bits: Tensor, shown: list[tuple[int, int, int]]) -> Tensor:
    """Masks float32 (n, p, S, S) of prompts, from the image, prompt and bit of each structure that is shown."""
    count, size = len(bits), bits.shape[-1]
    regions = torch.zeros(count * MOST_PROMPTS, size, size, device=bits.device)
    table, masks = shown_masks(bits, shown)
    regions.index_add_(0, table[:, 0] * MOST_PROMPTS + table[:, 1], masks)
    return regions.clamp(max=1).view(count, MOST_PROMPTS, size, size)


def _seen(bits: Tensor, view: Frames, image: Tensor, objects: list[Object]) -> tuple[Tensor, Tensor]:
    """Boxes (k, 4) xyxy of objects in the views of their images (k,), and the share of their pixels that is left."""
    boxes, shares = [torch.zeros(0, 4, device=bits.device)], [torch.zeros(0, device=bits.device)]
    for start in range(0, len(objects), AT_ONCE):
        part, own = objects[start : start + AT_ONCE], image[start : start + AT_ONCE]
        moved = view.of(own)
        mask = moved.apply(object_masks(bits[own], part, 1)[:, None])[:, 0] > 0.5
        box, area = tight_boxes(mask)
        whole = torch.tensor([one.area for one in part], device=bits.device)
        boxes.append(box)
        shares.append(area * moved.theta[:, :, :2].det().abs() / whole)
    return torch.cat(boxes), torch.cat(shares)


def _padded(owners: Tensor, targets: _Targets) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes cxcywh, tokens and reality of the objects by image, (n, m, ...), without those that the view cut away."""
    count = len(owners)
    good = targets.share > LEAST_SHARE
    image, prompt, box = targets.image[good], targets.prompt[good], targets.boxes[good]
    counts = torch.bincount(image, minlength=count)
    slot = torch.arange(len(image), device=owners.device) - (torch.cumsum(counts, 0) - counts)[image]
    most = max(1, int(counts.max()))
    boxes = torch.zeros(count, most, 4, device=owners.device)
    real = torch.zeros(count, most, dtype=torch.bool, device=owners.device)
    tokens = torch.zeros(count, most, owners.shape[1], dtype=torch.bool, device=owners.device)
    boxes[image, slot] = torch.cat([(box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]], dim=1)
    real[image, slot] = True
    tokens[image, slot] = owners[image] == prompt[:, None]
    return boxes, tokens, real


def may_mirror(row: Row) -> bool:
    sided = any(name.startswith(("left ", "right ")) for name in row.names)
    return row.modality in FREE and not sided


def _overlap(one: Structure, other: Structure) -> bool:
    return bool(set(one.masks) & set(other.masks))
