"""A dialogue as the tokens that the planner reads and writes when it serves, of which only its own are learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.errors import CheckpointError
from mmedagent.protocol.prompts import (
    IMAGE_TOKEN,
    REPLY,
    PromptStyle,
    Turn,
    render_reply,
    render_turns,
    with_planner_names,
)
from mmedagent.training.instructions.dialogues import Dialogue

IGNORED = -100
"""The label of a token that is not learnt, in transformers."""


@dataclass(frozen=True)
class Tokens:
    """Token ids and labels of a dialogue, both int32 of shape (tokens,); the label of a learnt token is the token."""

    ids: Tensor
    labels: Tensor


class Encoder:
    """Writes dialogues in the prompt of the LLaVA planner (`protocol.prompts`), with the tokenizer of a base folder.

    Tools have the names that the planner knows them by, whichever of a card's names the dialogue uses.
    """

    def __init__(self, processor: Any, tools_in_prompt: bool) -> None:
        tokenizer = processor.tokenizer
        added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
        self._tokenizer = tokenizer
        self._style = PromptStyle(frozenset({IMAGE_TOKEN, *tokenizer.all_special_tokens, *added}), tools_in_prompt)
        self._cards: Sequence[ToolCard] = built_in_cards()
        self._image: int = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
        self._places = _places_of_an_image(processor, self._image)

    def encode(self, dialogue: Dialogue, *, with_image: bool) -> Tokens:
        """The whole dialogue. Learnt is what the planner writes: each reply and the token that ends it.

        Raises `CheckpointError` when the tokenizer reads a prompt otherwise where a reply follows, so that the planner
        would be served another prompt than it was trained with.
        """
        turns = self._turns(dialogue)
        ids = self._read(turns, with_image)
        labels = torch.full_like(ids, IGNORED)
        for place in range(1, len(turns), 2):
            before = self._read(turns[:place], with_image, REPLY)
            after = self._read(turns[: place + 1], with_image)
            start, end = len(before), len(after)
            if not (torch.equal(ids[:start], before) and torch.equal(ids[:end], after)):
                raise CheckpointError(
                    "The base's tokenizer joins the end of a prompt with the reply. Use the model's fast tokenizer."
                )
            labels[start:end] = ids[start:end]
        return Tokens(ids, labels)

    def _turns(self, dialogue: Dialogue) -> list[Turn]:
        turns = []
        for exchange in dialogue.exchanges:
            plan = with_planner_names(exchange.plan, self._cards)
            turns += [Turn("USER", exchange.said), Turn("ASSISTANT", render_reply(plan))]
        return turns

    def _read(self, turns: Sequence[Turn], with_image: bool, ending: str = "") -> Tensor:
        text = render_turns(turns, has_image=with_image, style=self._style, tools=self._cards)
        ids = torch.tensor(self._tokenizer(f"{text}{ending}")["input_ids"], dtype=torch.int32)
        return ids.repeat_interleave(torch.where(ids == self._image, self._places, 1))


def _places_of_an_image(processor: Any, image_token: int) -> int:
    """The tokens that stand for one image; images are padded to a square, so it is the same number for all."""
    read = processor(text=[IMAGE_TOKEN], images=[Image.new("RGB", (48, 32))], return_tensors="pt")
    return int((read["input_ids"] == image_token).sum())
