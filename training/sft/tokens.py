"""A dialogue as the tokens that the planner reads and writes when it serves, of which only its own are learnt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from mmedagent.networks.families import family_of
from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.errors import CheckpointError
from mmedagent.protocol.prompts import (
    IMAGE_TOKEN,
    PromptStyle,
    Turn,
    render_reply,
    render_turns,
    with_planner_names,
)
from mmedagent.training.instructions.dialogues import Dialogue

IGNORED = -100
"""The label of a token that is not learnt, in transformers."""


Size = tuple[int, int]
"""Of an image: height and width in pixels."""

ANY_SIZE: Size = (32, 48)


@dataclass(frozen=True)
class Tokens:
    """Token ids and labels of a dialogue, both int32 of shape (tokens,); the label of a learnt token is the token."""

    ids: Tensor
    labels: Tensor


class Encoder:
    """Writes dialogues in the prompt of the planner (`protocol.prompts`), with the tokenizer of a base folder.

    Tools have the names that the planner knows them by, whichever of a card's names the dialogue uses.
    """

    def __init__(self, processor: Any, tools_in_prompt: bool) -> None:
        tokenizer = processor.tokenizer
        family = family_of(processor)
        added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
        control = frozenset({IMAGE_TOKEN, *tokenizer.all_special_tokens, *added})
        self._tokenizer = tokenizer
        self._style = PromptStyle(control, tools_in_prompt, family.template)
        self._cards: Sequence[ToolCard] = built_in_cards()
        self._image: int = processor.image_token_id
        self._places: Callable[[int, int], int] = cache(partial(family.places, processor))

    def encode(self, dialogue: Dialogue, *, with_image: bool, size: Size = ANY_SIZE) -> Tokens:
        """The whole dialogue. Its image's size matters where images keep their shape (`Family.keeps_shape`).

        Learnt is what the planner writes: each reply and the token that ends it. Raises `CheckpointError` when the
        tokenizer reads a prompt otherwise where a reply follows, so that the planner would be served another prompt
        than it was trained with.
        """
        turns = self._turns(dialogue)
        shown = size if with_image else None
        ids = self._read(turns, shown)
        labels = torch.full_like(ids, IGNORED)
        template = self._style.template
        for place in range(1, len(turns), 2):
            before = self._read(turns[:place], shown, template.reply)
            after = self._read(turns[: place + 1], shown)
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

    def _read(self, turns: Sequence[Turn], size: Size | None, ending: str = "") -> Tensor:
        """The tokens of these turns up to the one that ends the last of them, or up to the ending."""
        text = render_turns(turns, has_image=size is not None, style=self._style, tools=self._cards)
        text = f"{text}{ending}" if ending else text.removesuffix(self._style.template.between)
        ids = torch.tensor(self._tokenizer(text)["input_ids"], dtype=torch.int32)
        return ids if size is None else ids.repeat_interleave(torch.where(ids == self._image, self._places(*size), 1))
