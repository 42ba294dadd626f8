"""Writes one reply of a LLaVA-type planner: the prompt's tokens in, the events of a step or a free text out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from PIL import Image

from mmedagent.model_worker.llava.checkpoint import PlannerManifest
from mmedagent.model_worker.llava.constraint import PlanConstraint
from mmedagent.model_worker.llava.engine import Chooser, Engine
from mmedagent.model_worker.llava.generation import FreeChoice, TextAssembler, TextChoice
from mmedagent.model_worker.llava.grammar import PlanGrammar
from mmedagent.model_worker.llava.network import LlavaNetwork, Prompt
from mmedagent.model_worker.llava.stream import PlanSplitter
from mmedagent.model_worker.llava.vocabulary import Vocabulary
from mmedagent.model_worker.llava.weights import LoadedLlava
from mmedagent.model_worker.planner import CompletedEvent, StepEvent
from mmedagent.networks.families import family_of
from mmedagent.networks.families.family import Grid
from mmedagent.protocol.completion import CompletionDone, CompletionRequest, TextDelta
from mmedagent.protocol.errors import CheckpointError, TooLargeError
from mmedagent.protocol.plan import ChatMessage, PlannerRequest
from mmedagent.protocol.prompts import (
    IMAGE_TOKEN,
    PromptStyle,
    render_conversation,
    render_prompt,
    without_earliest_turn,
)
from mmedagent.serving.tool import PixelArray

_logger = logging.getLogger(__name__)
_SELF_TEST_TOKENS = 4


class PlanWriter:
    """One loaded model with everything that writing replies needs. `identity` names the checkpoint and its adapters."""

    def __init__(self, loaded: LoadedLlava, manifest: PlannerManifest, identity: str) -> None:
        model, self._processor = loaded.model, loaded.processor
        tokenizer = loaded.processor.tokenizer
        self._limit = manifest.max_new_tokens
        self._context = _context(model.config.text_config)
        self._stop = _stop_tokens(model, tokenizer)
        template = family_of(loaded.processor).template
        self._style = PromptStyle(_control_tokens(tokenizer), manifest.tools_in_prompt, template)
        if self._limit >= self._context:
            raise CheckpointError("The planner's max_new_tokens leave no room for a question in the model's context.")
        size = model.config.text_config.vocab_size
        self._vocabulary = Vocabulary(tokenizer, size, self._stop) if manifest.constrained else None
        self._verbatim = manifest.verbatim
        self._left_out: set[str] = set()
        self.network = LlavaNetwork(model, identity, manifest.cache_mb * 2**20, loaded.adapters)
        self._adapters = loaded.adapters.names
        self._engine = Engine(self.network, self._stop, manifest.max_batch)

    @property
    def constrained(self) -> bool:
        """Whether no reply can be anything but a plan."""
        return self._vocabulary is not None

    def write(
        self,
        request: PlannerRequest,
        frame: PixelArray | None,
        splitter: PlanSplitter,
        raise_if_cancelled: Callable[[], None],
        correction: str | None = None,
    ) -> Iterator[StepEvent]:
        """Write one reply into the splitter, going on from what it has accepted."""
        prompt = self.encode(request, frame, splitter.accepted, correction)
        for piece in self._pieces(self._engine.write(prompt, self._chooser(request), raise_if_cancelled)):
            yield from splitter.feed(piece)
        splitter.finish()

    def complete(
        self,
        request: CompletionRequest,
        frame: PixelArray | None,
        done: CompletionDone,
        raise_if_cancelled: Callable[[], None],
    ) -> Iterator[CompletedEvent]:
        """Write a free text, then `done`. Raises `TooLargeError` for messages that leave no room for one."""
        text = render_conversation(request.messages, has_image=frame is not None, style=self._style)
        prompt = self._prompt(text, frame, request.adapter)
        room = min(request.max_tokens, self._context - len(prompt.ids))
        if room < 1:
            raise TooLargeError(f"The messages exceed the model's context of {self._context} tokens.")
        words = len(self._processor.tokenizer)
        chooser = TextChoice(words, self._stop, room, request.temperature, request.seed)
        pieces = self._pieces(self._engine.write(prompt, chooser, raise_if_cancelled))
        yield from (TextDelta(text=piece) for piece in _without_gap(pieces) if piece)
        yield done.model_copy(update={"finish": "length" if chooser.cut else "stop"})

    def check(self) -> None:
        """Write a few tokens about a blank image with every adapter.

        Raises `CheckpointError` when the scores are not finite numbers.
        """
        messages = (ChatMessage(role="user", text="What modality is this image?"),)
        plain = PlannerRequest(messages=messages, correlation_id="self-test")
        requests = [plain.model_copy(update={"adapter": name}) for name in (None, *self._adapters)]
        blank = np.zeros((32, 48), dtype=np.uint8)
        try:
            prompts = [self.encode(request, blank) for request in requests]
            finite = all(bool(torch.isfinite(self.network.read(prompt)).all()) for prompt in prompts)
            for prompt in prompts:
                written = self._engine.write(prompt, self._chooser(plain), _nobody_cancels)
                self._processor.tokenizer.decode(list(islice(written, _SELF_TEST_TOKENS)))
        except (ValueError, RuntimeError, TooLargeError) as error:
            raise CheckpointError("The planner's self-test failed: model and processor do not fit together.") from error
        if not finite:
            raise CheckpointError("The planner's self-test failed: the model's scores are not finite.")

    def encode(
        self, request: PlannerRequest, frame: PixelArray | None, reply: str = "", correction: str | None = None
    ) -> Prompt:
        """The model's input; earlier turns are left out, oldest first, as long as the prompt is too long."""
        shortened: PlannerRequest | None = request
        while shortened is not None:
            text = render_prompt(shortened, has_image=frame is not None, style=self._style, correction=correction)
            begun = f"{text}{self._style.template.gap}{reply}" if reply else text
            prompt = self._prompt(begun, frame, request.adapter)
            if len(prompt.ids) + self._limit <= self._context:
                return prompt
            shortened = without_earliest_turn(shortened)
        raise TooLargeError(f"The question and its results exceed the planner's context of {self._context} tokens.")

    def _pieces(self, tokens: Iterable[int]) -> Iterator[str]:
        assembler = TextAssembler(self._processor.tokenizer)
        for token in tokens:
            yield assembler.push(token)
        yield assembler.flush()

    def _prompt(self, text: str, frame: PixelArray | None, adapter: str | None) -> Prompt:
        pictures = None if frame is None else [Image.fromarray(frame).convert("RGB")]
        inputs = self._processor(text=[text], images=pictures, return_tensors="pt")
        ids = inputs["input_ids"][0].tolist()
        return Prompt(tuple(ids), inputs.get("pixel_values"), _grid(inputs), adapter)

    def _chooser(self, request: PlannerRequest) -> Chooser:
        if self._vocabulary is None:
            return FreeChoice(len(self._processor.tokenizer), self._limit)
        words = [message.text for message in request.messages if message.role == "user"] if self._verbatim else None
        grammar = PlanGrammar(request.tools, request.steps, self._vocabulary.refusal, words)
        for name in grammar.left_out.keys() - self._left_out:
            _logger.warning("the planner cannot use %s, which has no grammar: %s", name, grammar.left_out[name])
        self._left_out |= grammar.left_out.keys()
        return PlanConstraint(grammar, self._vocabulary, self._limit)


def _grid(inputs: Any) -> Grid | None:
    """The grid of the only image, where the processor gives one."""
    grids = inputs.get("image_grid_thw")
    if grids is None:
        return None
    time, height, width = grids[0].tolist()
    return time, height, width


def _without_gap(pieces: Iterable[str]) -> Iterator[str]:
    """The pieces of a text without the white space in front of it, which belongs to the template."""
    begun = False
    for piece in pieces:
        given = piece if begun else piece.lstrip()
        begun = begun or bool(given)
        yield given


def _nobody_cancels() -> None:
    return


def _context(settings: Any) -> int:
    """The longest text, in tokens. No model goes beyond its attention window here, where it has one."""
    longest: int = settings.max_position_embeddings
    window: int | None = getattr(settings, "sliding_window", None)
    return min(longest, window or longest)


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
