"""The planner that MMedAgent is about: a LLaVA-type vision-language model with a LoRA adapter (arXiv 2407.02483)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from mmedagent.model_worker.llava.checkpoint import PlannerManifest, read_manifest, verify_files
from mmedagent.model_worker.llava.generation import TextAssembler, generate, next_logits
from mmedagent.model_worker.llava.stream import PlanSplitter
from mmedagent.model_worker.llava.weights import LoadedLlava, load_llava
from mmedagent.model_worker.planner import StepEvent
from mmedagent.protocol.errors import CheckpointError, MalformedPlanError, TooLargeError, UnavailableError
from mmedagent.protocol.plan import ChatMessage, PlannerRequest, StepDone
from mmedagent.protocol.prompts import IMAGE_TOKEN, PromptStyle, render_prompt, without_earliest_turn
from mmedagent.protocol.workers import PlannerCard
from mmedagent.serving.tool import PixelArray

_logger = logging.getLogger(__name__)
_SELF_TEST_TOKENS = 4


class LlavaPlanner:
    """Plans with a LLaVA model from a local folder, written down in `planner.json` (see `PlannerManifest`).

    The model writes freely and greedily. Text that is no plan is asked for once more: what has been streamed stays, and
    the model goes on from there, told what was wrong. An answer that has begun is not asked for again.
    """

    def __init__(self, *, checkpoint: Path | None) -> None:
        self._folder = checkpoint
        self._card = PlannerCard(name="llava", backend="llava", version="0")
        self._writer: _Writer | None = None

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
        writer = _Writer(load_llava(self._folder, manifest, device), manifest)
        writer.check()
        self._writer = writer
        self._card = PlannerCard(
            name=manifest.name,
            backend="llava",
            version=manifest.version,
            checkpoint_sha256=digest,
            label=manifest.label,
        )

    def step(
        self, request: PlannerRequest, frame: PixelArray | None, raise_if_cancelled: Callable[[], None]
    ) -> Iterator[StepEvent]:
        """Stream one step. Raises `TooLargeError` when the present turn alone is longer than the model's context."""
        if self._writer is None:
            raise UnavailableError("The planner is not loaded.")
        splitter = PlanSplitter()
        try:
            yield from self._writer.write(request, frame, splitter, raise_if_cancelled)
        except MalformedPlanError as error:
            if splitter.answering:
                raise
            _logger.warning("asking again for a plan: %s", error.detail)
            yield from self._second_try(self._writer, request, frame, splitter.accepted, error, raise_if_cancelled)
        yield StepDone(planner=self._card.name, checkpoint_sha256=self._card.checkpoint_sha256)

    def _second_try(
        self,
        writer: _Writer,
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


class _Writer:
    """One loaded model with everything that writing a reply needs."""

    def __init__(self, loaded: LoadedLlava, manifest: PlannerManifest) -> None:
        self._model, self._processor = loaded.model, loaded.processor
        tokenizer = loaded.processor.tokenizer
        self._limit = manifest.max_new_tokens
        self._context: int = self._model.config.text_config.max_position_embeddings
        self._stop = _stop_tokens(self._model, tokenizer)
        self._style = PromptStyle(_control_tokens(tokenizer), lists_tools=manifest.tools_in_prompt)
        if self._limit >= self._context:
            raise CheckpointError("The planner's max_new_tokens leave no room for a question in the model's context.")

    def write(
        self,
        request: PlannerRequest,
        frame: PixelArray | None,
        splitter: PlanSplitter,
        raise_if_cancelled: Callable[[], None],
        correction: str | None = None,
    ) -> Iterator[StepEvent]:
        """Write one reply into the splitter, going on from what it has accepted."""
        inputs = self.encode(request, frame, splitter.accepted, correction)
        assembler = TextAssembler(self._processor.tokenizer)
        raise_if_cancelled()
        for token in self._tokens(inputs):
            yield from splitter.feed(assembler.push(token))
            raise_if_cancelled()
        yield from splitter.feed(assembler.flush())
        splitter.finish()

    def check(self) -> None:
        """Write a few tokens about a blank image. Raises `CheckpointError` when the scores are not finite numbers."""
        messages = (ChatMessage(role="user", text="What modality is this image?"),)
        blank = np.zeros((32, 48), dtype=np.uint8)
        try:
            inputs = self.encode(PlannerRequest(messages=messages, correlation_id="self-test"), blank, "", None)
            finite = bool(torch.isfinite(next_logits(self._model, inputs)).all())
            tokens = list(islice(self._tokens(inputs), min(_SELF_TEST_TOKENS, self._limit)))
        except (ValueError, RuntimeError, TooLargeError) as error:
            raise CheckpointError("The planner's self-test failed: model and processor do not fit together.") from error
        if not finite:
            raise CheckpointError("The planner's self-test failed: the model's scores are not finite.")
        self._processor.tokenizer.decode(tokens)

    def encode(
        self, request: PlannerRequest, frame: PixelArray | None, reply: str, correction: str | None
    ) -> dict[str, torch.Tensor]:
        """The model's inputs; earlier turns are left out, oldest first, as long as the prompt is too long."""
        pictures = None if frame is None else [Image.fromarray(frame).convert("RGB")]
        shortened: PlannerRequest | None = request
        while shortened is not None:
            prompt = render_prompt(shortened, has_image=frame is not None, style=self._style, correction=correction)
            text = f"{prompt} {reply}" if reply else prompt
            inputs = self._processor(text=[text], images=pictures, return_tensors="pt")
            if inputs["input_ids"].shape[1] + self._limit <= self._context:
                return self._on_device(inputs)
            shortened = without_earliest_turn(shortened)
        raise TooLargeError(f"The question and its results exceed the planner's context of {self._context} tokens.")

    def _tokens(self, inputs: dict[str, torch.Tensor]) -> Iterator[int]:
        vocabulary = len(self._processor.tokenizer)
        return generate(self._model, inputs, stop=self._stop, vocabulary=vocabulary, limit=self._limit)

    def _on_device(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        moved = {name: tensor.to(self._model.device) for name, tensor in inputs.items()}
        if "pixel_values" in moved:
            moved["pixel_values"] = moved["pixel_values"].to(self._model.dtype)
        return moved


def _stop_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    configured = model.generation_config.eos_token_id
    listed = configured if isinstance(configured, list) else [configured]
    found = frozenset(token for token in (*listed, tokenizer.eos_token_id) if token is not None)
    if not found:
        raise CheckpointError("The planner's tokenizer has no token that ends a reply.")
    return found


def _control_tokens(tokenizer: Any) -> frozenset[str]:
    added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    return frozenset({IMAGE_TOKEN, *tokenizer.all_special_tokens, *added})
