"""What differs between the families of vision-language models that a planner reads, writes and is trained with."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from mmedagent.protocol.prompts import Template

Grid = tuple[int, int, int]
"""The patches of one image: in time, in height, in width."""


class Family(Protocol):
    """One family. `model`, `config` and `processor` are its classes in transformers.

    `projector` is a pattern for the whole names of the modules between image tower and language model; they have no
    other name in common. The language model is always called `language_model`. With `keeps_shape`, the number of tokens
    that stand for an image depends on its size.
    """

    title: str
    model: Any
    config: Any
    processor: Any
    template: Template
    projector: str
    keeps_shape: bool

    def places(self, processor: Any, height: int, width: int) -> int:
        """The tokens that stand for an image of that size, in pixels."""

    def positions(self, model: Any, ids: Tensor, grid: Grid | None) -> Tensor:
        """The positions of a prompt's tokens, given their ids, shape (tokens,), and the grid of its image.

        Shape (tokens,), or (axes, tokens) where an image has its own in height and width; int64. They do not depend on
        the tokens that follow, and the tokens behind the prompt count on from the highest one.
        """

    def batch_fields(self, processor: Any, ids: Tensor, images: dict[str, Tensor]) -> dict[str, Tensor]:
        """What the model's forward pass takes beside ids, mask and labels, given ids of shape (rows, tokens) and what
        the image processor made of the images; none are an empty dict."""
