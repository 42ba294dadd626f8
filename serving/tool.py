"""The contract between a tool and the worker that serves it.

A tool is a class with a card, a `load` and a `run`. It is found by the entry-point group `mmedagent.tools` and made
with one keyword argument, `checkpoint`: the folder that the profile names for it, or None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.errors import MMedAgentError
from mmedagent.protocol.invocation import Artifact, ArtifactKind, ArtifactType, ImageRef, ToolCall
from mmedagent.protocol.types import JsonObject

PixelArray = NDArray[np.uint8]
"""A display frame: (height, width) gray or (height, width, 3) RGB, 0 to 255."""


class ToolContext(Protocol):
    """What a tool may use of its surroundings while it runs. All methods may be called from the tool's thread."""

    def frame(self, image: ImageRef) -> PixelArray:
        """The decoded display frame. Raises `NotFoundError` when the blob is gone."""

    def store(self, content: bytes, kind: ArtifactKind, media_type: ArtifactType, label: str) -> Artifact:
        """Keep a file that the tool made, and get the artifact that names it."""

    def raise_if_cancelled(self) -> None:
        """Raise `CancelledError` when the caller has left or the deadline has passed; call it between long steps."""


@dataclass(frozen=True)
class ToolOutput:
    """What a tool found: `data` follows the card's result schema, `preprocessing` says how pixels were prepared."""

    data: JsonObject
    artifacts: tuple[Artifact, ...] = ()
    preprocessing: str = "none"


class Tool(Protocol):
    """A tool worker. `run` gets a batch and gives one outcome a call, in order; it may raise for the whole batch."""

    @property
    def card(self) -> ToolCard:
        """The tool's card; after `load` it carries the sha256 of the checkpoint."""

    def load(self, device: str) -> None:
        """Load the checkpoint and run it once as a self-test. Raises `CheckpointError`."""

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        """Answer each call. Parameters have been checked against the card, and an image is there if it needs one."""


class ToolFactory(Protocol):
    """What an entry point of the group `mmedagent.tools` loads: usually the tool's class."""

    def __call__(self, *, checkpoint: Path | None) -> Tool:
        """Make the tool without loading anything."""
