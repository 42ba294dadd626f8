"""The planner backend `openai`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from mmedagent.model_worker.openai_compatible.calls import MAX_PREAMBLE, CallReader
from mmedagent.model_worker.openai_compatible.json_plan import JsonPlanReader
from mmedagent.model_worker.openai_compatible.messages import chat_request, usable_tools
from mmedagent.model_worker.openai_compatible.reading import ReplyReader, StepWriter
from mmedagent.model_worker.plan_checks import PlanChecker
from mmedagent.model_worker.planner import CompletedEvent, StepEvent
from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.completion import CompletionRequest
from mmedagent.protocol.errors import (
    CheckpointError,
    MalformedPlanError,
    MMedAgentError,
    UnavailableError,
    WorkerError,
)
from mmedagent.protocol.plan import ChatMessage, PlannerRequest, StepDone
from mmedagent.protocol.workers import PlannerCard
from mmedagent.serving.chat.client import EndpointClient
from mmedagent.serving.chat.texts import stream_text, until
from mmedagent.serving.endpoint import Endpoint
from mmedagent.serving.tool import PixelArray

_logger = logging.getLogger(__name__)

BACKEND = "openai"
VERSION = "1.0.0"
SELF_TEST_ASK = "What is pneumonia and how is it treated?"
SELF_TEST_S = 120.0
CUT_OFF = {
    "length": "The reply was cut off at the endpoint's limit of tokens.",
    "content_filter": "The endpoint's content filter stopped the reply.",
}
"""Reasons to end, as the API names them, after which a reply is not whole."""


class OpenAIPlanner:
    """Plans with a model behind an OpenAI-compatible endpoint, by native tool calls or by JSON after a schema.

    What comes back is checked against the cards. A reply that is no plan is asked for once more, unless its actions or
    a piece of its answer have been given out.
    """

    def __init__(self, *, checkpoint: Path | None) -> None:
        self._checkpoint = checkpoint
        self._endpoint: Endpoint | None = None
        self._client: EndpointClient | None = None
        self._card = PlannerCard(name=BACKEND, backend=BACKEND, version=VERSION)

    @property
    def card(self) -> PlannerCard:
        """The name is that of the model at the endpoint, once connected. There is no checkpoint to hash."""
        return self._card

    def connect(self, endpoint: Endpoint) -> None:
        """Which endpoint `load`, which comes next, shall use."""
        self._endpoint = endpoint
        self._card = self._card.model_copy(update={"name": endpoint.model})

    def load(self, device: str) -> None:
        """Read the key and have the endpoint plan once, also with an image if it takes one."""
        if self._checkpoint is not None:
            raise CheckpointError("The planner openai has no checkpoint; its model is at the endpoint.")
        if self._endpoint is None:
            raise CheckpointError("The planner openai needs the table [planner.endpoint] in the profile.")
        self._client = EndpointClient(self._endpoint.url, self._endpoint.api_key(), self._endpoint.parameters)
        try:
            self._self_test()
        except MMedAgentError as error:
            self._client = None
            raise CheckpointError(f"The planner's self-test failed. {error.detail}") from error

    def step(
        self, request: PlannerRequest, frame: PixelArray | None, raise_if_cancelled: Callable[[], None]
    ) -> Iterator[StepEvent]:
        """Stream one step. Raises what `EndpointClient.stream` does, and `DeadlineError`, `TooLargeError`."""
        client, endpoint = self._loaded()
        step = _Step(client, endpoint, request, frame, until(request.deadline_s, raise_if_cancelled))
        yield from step.events()
        yield StepDone(planner=self._card.name)

    def complete(
        self, request: CompletionRequest, frame: PixelArray | None, raise_if_cancelled: Callable[[], None]
    ) -> Iterator[CompletedEvent]:
        """Stream a free text. Raises what `stream_text` does, and `DeadlineError`."""
        client, endpoint = self._loaded()
        yield from stream_text(client, endpoint, request, frame, until(request.deadline_s, raise_if_cancelled))

    def _loaded(self) -> tuple[EndpointClient, Endpoint]:
        if self._client is None or self._endpoint is None:
            raise UnavailableError("The planner is not loaded.")
        return self._client, self._endpoint

    def _self_test(self) -> None:
        message = ChatMessage(role="user", text=SELF_TEST_ASK)
        request = PlannerRequest(
            messages=(message,), tools=built_in_cards(), deadline_s=SELF_TEST_S, correlation_id="self-test"
        )
        blank = np.zeros((64, 64), dtype=np.uint8)
        for _ in self.step(request, blank, lambda: None):
            continue


class _Step:
    """One step: a reply, and a second one if the first is no plan."""

    def __init__(
        self,
        client: EndpointClient,
        endpoint: Endpoint,
        request: PlannerRequest,
        frame: PixelArray | None,
        raise_if_over: Callable[[], None],
    ) -> None:
        self._client = client
        self._endpoint = endpoint
        self._request = request
        self._frame = frame
        self._raise_if_over = raise_if_over
        self._tools = usable_tools(request)
        self._checker = PlanChecker(request, self._tools)
        self._writer = StepWriter()

    def events(self) -> Iterator[StepEvent]:
        try:
            yield from self._reply(None)
        except MalformedPlanError as error:
            if self._writer.decided:
                raise
            _logger.warning("asking again for a plan")
            self._writer.new_thought()
            yield from self._second_reply(error)

    def _second_reply(self, first: MalformedPlanError) -> Iterator[StepEvent]:
        try:
            yield from self._reply(first.detail)
        except MalformedPlanError as second:
            detail = f"The planner wrote no plan, also when asked again. {second.detail}"
            raise MalformedPlanError(detail) from second

    def _reply(self, problem: str | None) -> Iterator[StepEvent]:
        asked = chat_request(self._endpoint, self._request, self._tools, self._frame, problem)
        reader, ended = self._reader(), None
        for choice in self._client.stream(asked, self._raise_if_over):
            yield from self._writer.think(choice.delta.reasoning_content or choice.delta.reasoning)
            yield from reader.feed(choice.delta)
            ended = choice.finish_reason or ended
        if ended is None:
            raise WorkerError("The endpoint stopped in the middle of its answer.")
        if ended in CUT_OFF:
            raise MalformedPlanError(CUT_OFF[ended])
        yield from reader.finish()

    def _reader(self) -> ReplyReader:
        if self._endpoint.plans == "json_schema":
            return JsonPlanReader(self._writer, self._checker)
        return CallReader(self._writer, self._checker, hold=MAX_PREAMBLE if self._tools else 0)
