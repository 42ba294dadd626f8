"""Supervised training on whole replies: the warm start, and SFT to compare with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmedagent.networks.consultation_words import messages
from mmedagent.training.feed import optimizer_of, set_rate
from mmedagent.training.sft.tokens import IGNORED

CLIP, WARM_UP, DECAY = 1.0, 20, 0.01


@dataclass(frozen=True)
class Lesson:
    """A prompt, the reply to learn, and the place of its image among the pictures."""

    prompt: str
    reply: str
    picture: int


def batch_of(processor: Any, lessons: Sequence[Lesson], pictures: NDArray[np.uint8]) -> dict[str, Tensor]:
    """The model's arguments; only the reply and the end of it are learnt."""
    prompts = processor.apply_chat_template(
        [messages(one.prompt) for one in lessons], add_generation_prompt=True, tokenize=False
    )
    end = processor.tokenizer.eos_token
    replies = processor.tokenizer(
        [one.reply + end for one in lessons], add_special_tokens=False, padding=True, padding_side="right",
        return_tensors="pt",
    )  # fmt: skip
    inputs = processor(
        text=prompts, images=[pictures[one.picture] for one in lessons], padding=True, return_tensors="pt"
    )
    ignored = torch.full_like(inputs["input_ids"], IGNORED)
    learnt = replies["input_ids"].masked_fill(replies["attention_mask"] == 0, IGNORED)
    return {
        "input_ids": torch.cat([inputs["input_ids"], replies["input_ids"]], dim=1),
        "attention_mask": torch.cat([inputs["attention_mask"], replies["attention_mask"]], dim=1),
        "pixel_values": inputs["pixel_values"],
        "labels": torch.cat([ignored, learnt], dim=1),
    }


def in_rounds(count: int, size: int, seed: int) -> Iterator[list[int]]:
    """Endless batches of places, each place once a round."""
    rng = np.random.default_rng(seed)
    left: list[int] = []
    while True:
        while len(left) < size:
            left += [int(place) for place in rng.permutation(count)]
        yield left[:size]
        left = left[size:]


def fit(
    model: Any, batches: Iterator[dict[str, Tensor]], steps: int, rate: float,
    said: Callable[[int, float], None] = lambda step, loss: None,
) -> None:  # fmt: skip
    """AdamW with a short warm-up and a linear way down, over `steps` updates."""
    model.train()
    optimizer = optimizer_of(model, rate, DECAY)
    for step in range(steps):
        set_rate(optimizer, rate * min(1.0, (step + 1) / WARM_UP) * (1 - step / steps))
        loss = model(**next(batches)).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        said(step, float(loss.detach()))
    model.eval()
