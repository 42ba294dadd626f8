"""Doctors that are chat models: one of the controller's planners, or a model behind an endpoint of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints

from mmedagent.protocol.completion import Completion, CompletionRequest, assemble_text
from mmedagent.protocol.errors import CheckpointError
from mmedagent.serving.chat.client import EndpointClient
from mmedagent.serving.chat.texts import stream_text
from mmedagent.serving.endpoint import Endpoint
from mmedagent.serving.logs import correlation_id
from mmedagent.serving.tool import Writing
from mmedagent.tool_workers.consultation.doctors import Said, Task, Visit
from mmedagent.tool_workers.consultation.prompts import Prompts

TOOL = "consultation"
FIRST_MODEL = "the planner's model"


class CompletionSettings(BaseModel):
    """`model` is a name of GET /v1/models; without it, the first that writes free text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None


class CompletionDoctor:
    """A planner's model, asked through the controller."""

    def __init__(self, settings: CompletionSettings, prompts: Prompts) -> None:
        self._settings = settings
        self._prompts = prompts
        self.name = settings.model or FIRST_MODEL
        self.identity = f"completion {settings.model}"

    def load(self, device: str) -> None:
        """There is nothing to load. Whether the model is there shows when it is asked."""

    def answer(self, task: Task, visit: Visit) -> Said:
        writing = Writing(
            model=self._settings.model,
            max_tokens=visit.manner.max_tokens,
            temperature=visit.manner.temperature,
            seed=visit.manner.seed,
            deadline_s=visit.remaining_s,
        )
        return _said(visit.call.complete(self._prompts.messages(task), task.case.image, writing))


class EndpointDoctor:
    """A model behind an OpenAI-compatible endpoint. No other address is contacted."""

    def __init__(self, endpoint: Endpoint, prompts: Prompts) -> None:
        self._endpoint = endpoint
        self._prompts = prompts
        self._client: EndpointClient | None = None
        self.name = endpoint.model
        self.identity = f"endpoint {json.dumps(endpoint.model_dump(mode='json'), sort_keys=True)}"

    def load(self, device: str) -> None:
        """Read the key. Raises `CheckpointError` when it is not there."""
        self._client = EndpointClient(self._endpoint.url, self._endpoint.api_key(), self._endpoint.parameters)

    def answer(self, task: Task, visit: Visit) -> Said:
        if self._client is None:
            raise CheckpointError("The endpoint of a specialist is not loaded.")
        manner = visit.manner
        request = CompletionRequest(
            messages=self._prompts.messages(task),
            max_tokens=manner.max_tokens,
            temperature=manner.temperature,
            seed=manner.seed,
            correlation_id=correlation_id.get(),
            callers=(TOOL,),
        )
        frame = visit.frame(task.case.image) if self._endpoint.vision else None
        return _said(assemble_text(stream_text(self._client, self._endpoint, request, frame, visit.raise_if_over)))


def completion_doctor(table: dict[str, Any], _: Path, prompts: Prompts) -> CompletionDoctor:
    return CompletionDoctor(CompletionSettings.model_validate(table), prompts)


def endpoint_doctor(table: dict[str, Any], _: Path, prompts: Prompts) -> EndpointDoctor:
    return EndpointDoctor(Endpoint.model_validate(table), prompts)


def _said(written: Completion) -> Said:
    return Said(written.text, written.model, written.reasoning, written.checkpoint_sha256)
