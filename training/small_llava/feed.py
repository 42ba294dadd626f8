"""Batches of the small LLaVA's dialogues with images of the pool."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from mmedagent.training.instructions.ask_files import Share
from mmedagent.training.pool import SHARES, Pool
from mmedagent.training.sft.tokens import IGNORED, Encoder, Tokens
from mmedagent.training.small_llava.dialogues import DialogueDrawer, Drawn
from mmedagent.training.small_llava.network import IMAGE_SIZE

IMAGE_SHARE, ABSTRACT = 0.85, "abstract"
SORTED = 512
"""So many dialogues are sorted by their length, so that rows of a batch are about as long as each other."""

LONGEST = 800


class DialogueFeed:
    """Endless batches of at most `tokens` places in all, as keyword arguments of the model."""

    def __init__(self, pool: Path, processor: Any, share: Share, tokens: int, seed: int) -> None:
        self._pool = Pool(pool, tuple(kind for kind in SHARES if kind != ABSTRACT))
        self._pool.refresh()
        self._encoder = Encoder(processor, tools_in_prompt=False)
        self._pad: int = processor.tokenizer.pad_token_id
        self._mean = torch.tensor(processor.image_processor.image_mean).view(3, 1, 1)
        self._spread = torch.tensor(processor.image_processor.image_std).view(3, 1, 1)
        self._share: Share = share
        self._tokens, self._seed = tokens, seed
        self._rng = np.random.default_rng(seed)

    def batches(self) -> Iterator[dict[str, Tensor]]:
        """`input_ids`, `attention_mask`, `labels`, int64 (rows, tokens), and `pixel_values` (images, 3, 128, 128)."""
        waiting: list[tuple[Tokens, Tensor | None]] = []
        for drawn, image in self._dialogues():
            tokens = self._encoder.encode(drawn.dialogue, with_image=image is not None)
            if len(tokens.ids) <= LONGEST:
                waiting.append((tokens if drawn.whole else last_reply(tokens), image))
            if len(waiting) == SORTED:
                yield from self._cut(waiting)
                waiting = []

    def _dialogues(self) -> Iterator[tuple[Drawn, Tensor | None]]:
        kinds = self._pool.kinds
        round_ = 0
        while True:
            drawer = DialogueDrawer(self._share, [self._seed, round_])
            asks = list(drawer.draw(self._seed * 1_000 + round_))
            for place, ask in enumerate(asks):
                row, image = None, None
                if self._rng.random() < IMAGE_SHARE:
                    example = self._pool.pick(self._rng, kinds[int(self._rng.integers(len(kinds)))])
                    row, image = example.row, self._pixels(example.image)
                yield drawer.dialogue(ask, asks[place - 1], row), image
            round_ += 1

    def _pixels(self, image: np.ndarray[Any, np.dtype[np.uint8]]) -> Tensor:
        planes = torch.from_numpy(np.array(image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)))
        values = planes.permute(2, 0, 1).float()[None] / 255
        small = functional.interpolate(values, size=(IMAGE_SIZE, IMAGE_SIZE), mode="area")[0]
        return (small - self._mean) / self._spread

    def _cut(self, waiting: list[tuple[Tokens, Tensor | None]]) -> Iterator[dict[str, Tensor]]:
        waiting.sort(key=lambda one: len(one[0].ids))
        groups: list[list[tuple[Tokens, Tensor | None]]] = [[]]
        for one in waiting:
            if groups[-1] and len(one[0].ids) * (len(groups[-1]) + 1) > self._tokens:
                groups.append([])
            groups[-1].append(one)
        for number in self._rng.permutation(len(groups)):
            yield self._batch(groups[int(number)])

    def _batch(self, rows: list[tuple[Tokens, Tensor | None]]) -> dict[str, Tensor]:
        ids = [tokens.ids.long() for tokens, _ in rows]
        labels = [tokens.labels.long() for tokens, _ in rows]
        batch = {
            "input_ids": pad_sequence(ids, batch_first=True, padding_value=self._pad),
            "attention_mask": pad_sequence([torch.ones_like(one) for one in ids], batch_first=True),
            "labels": pad_sequence(labels, batch_first=True, padding_value=IGNORED),
        }
        images = [image for _, image in rows if image is not None]
        return batch | ({"pixel_values": torch.stack(images)} if images else {})


def last_reply(tokens: Tokens) -> Tokens:
    """The tokens of a dialogue of which only the last reply is learnt."""
    learnt = tokens.labels != IGNORED
    unlearnt = torch.nonzero(~learnt).flatten()
    labels = tokens.labels.clone()
    labels[: int(unlearnt[-1]) + 1] = IGNORED
    return Tokens(tokens.ids, labels)
