"""Replies of the attending physician's network to many prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmedagent.training.rl.prompts import messages

BATCH = 128


@torch.no_grad()  # What the image tower remembers is used in training, too.
def replies(
    model: Any, processor: Any, prompts: Sequence[str], pictures: NDArray[np.uint8], *, tokens: int
) -> list[str]:
    """The most probable reply of at most so many tokens to each prompt about the image at the same place."""
    model.eval()
    said: list[str] = []
    for start in range(0, len(prompts), BATCH):
        texts = processor.apply_chat_template(
            [messages(one) for one in prompts[start : start + BATCH]], add_generation_prompt=True, tokenize=False
        )
        inputs = processor(text=texts, images=list(pictures[start : start + BATCH]), padding=True, return_tensors="pt")
        written = model.generate(**inputs, max_new_tokens=tokens, do_sample=False)
        new = written[:, inputs["input_ids"].shape[1] :]
        said += processor.batch_decode(new, skip_special_tokens=True)
    return said
