"""The planner that MMedAgent is about: a LLaVA-type vision-language model with LoRA adapters (arXiv 2407.02483)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from mmedagent.model_worker.llava.checkpoint import read_manifest, verify_files
from mmedagent.model_worker.llava.stream import PlanSplitter
from mmedagent.model_worker.llava.weights import load_llava
from mmedagent.model_worker.llava.writer import PlanWriter
from mmedagent.model_worker.planner import CompletedEvent, StepEvent
from mmedagent.protocol.completion import CompletionDone, CompletionRequest
from mmedagent.protocol.errors import CheckpointError, MalformedPlanError, UnavailableError
from mmedagent.protocol.plan import PlannerRequest, StepDone
from mmedagent.protocol.workers import PlannerCard
from mmedagent.serving.tool import PixelArray

_logger = logging.getLogger(__name__)


class LlavaPlanner:
    """Plans with a LLaVA model from a local folder, written down in `planner.json` (see `PlannerManifest`).

    The model writes greedily, within the grammar of plans unless `planner.json` says otherwise. Free text that is no
    plan is asked for once more: what has been streamed stays, and the model goes on from there, told what was wrong. An
    answer that has begun is not asked for again. Steps that are called for at once are written together.
    """

    def __init__(self, *, checkpoint: Path | None) -> None:
        self._folder = checkpoint
        self._card = PlannerCard(name="llava", backend="llava", version="0")
        self._writer: PlanWriter | None = None

    @property
    def card(self) -> PlannerCard:
        """Name, version and label are those of `planner.json`, once loaded."""
        return self._card

    def load(self, device: str) -> None:
        """Verify and load the folder, then write a few tokens about a blank image as a self-test."""
        if self._folder is None:
            raise CheckpointError("The LLaVA planner needs a checkpoint folder.")
        manifest = read_manifest(self._folder)
        digest = verify_files(self._folder, manifest)
        writer = PlanWriter(load_llava(self._folder, manifest, device), manifest, digest)
        writer.check()
        self._writer = writer
        self._card = PlannerCard(
            name=manifest.name,
            backend="llava",
            version=manifest.version,
            checkpoint_sha256=digest,
            label=manifest.label,
            adapters=tuple(manifest.adapters),
        )

    def step(
        self, request: PlannerRequest, frame: PixelArray | None, raise_if_cancelled: Callable[[], None]
    ) -> Iterator[StepEvent]:
        """Stream one step. Raises `TooLargeError` when the present turn alone is longer than the model's context,
        `OverloadedError` when too many wait, and `NotFoundError` for an adapter that there is not."""
        writer, splitter = self._loaded(), PlanSplitter()
        try:
            yield from writer.write(request, frame, splitter, raise_if_cancelled)
        except MalformedPlanError as error:
            if splitter.answering or writer.constrained:
                raise
            _logger.warning("asking again for a plan: %s", error.detail)
            yield from self._second_try(writer, request, frame, splitter.accepted, error, raise_if_cancelled)
        yield StepDone(planner=self._name(request.adapter), checkpoint_sha256=self._card.checkpoint_sha256)

    def complete(
        self, request: CompletionRequest, frame: PixelArray | None, raise_if_cancelled: Callable[[], None]
    ) -> Iterator[CompletedEvent]:
        """Stream a free text, without the grammar of plans. Raises `TooLargeError` and `OverloadedError` as `step`."""
        done = CompletionDone(model=self._name(request.adapter), checkpoint_sha256=self._card.checkpoint_sha256)
        yield from self._loaded().complete(request, frame, done, raise_if_cancelled)

    def _loaded(self) -> PlanWriter:
        if self._writer is None:
            raise UnavailableError("The planner is not loaded.")
        return self._writer

    def _name(self, adapter: str | None) -> str:
        return next(name for name, one in self._card.models().items() if one == adapter)

    def _second_try(
        self,
        writer: PlanWriter,
        request: PlannerRequest,
        frame: PixelArray | None,
        accepted: str,
        first: MalformedPlanError,
        raise_if_cancelled: Callable[[], None],
    ) -> Iterator[StepEvent]:
        splitter = PlanSplitter()
        splitter.feed(accepted)
        try:
            yield from writer.write(request, frame, splitter, raise_if_cancelled, first.detail)
        except MalformedPlanError as second:
            detail = f"The planner wrote no plan, also when asked again. {second.detail}"
            raise MalformedPlanError(detail) from second
