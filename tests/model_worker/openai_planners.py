"""A loaded OpenAI planner at a scripted endpoint, and the requests that the tests give it."""

from __future__ import annotations

from typing import Any

from mmedagent.model_worker.openai_compatible import OpenAIPlanner
from mmedagent.protocol.invocation import ImageRef, Outcome, ToolResult
from mmedagent.protocol.plan import Action, ChatMessage, Plan, PlannerRequest, Step, assemble
from mmedagent.serving.endpoint import Endpoint
from support.chat_endpoint import ChatEndpoint, said
from support.results import provenance
from support.tools import BOXES, make_card

MODEL = "org/small-7b"
IMAGE = ImageRef(sha256="0" * 64, source_sha256="1" * 64, width=60, height=40, modality="CT")
PROMPTS = {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "maxItems": 4}
FILE = {"type": "string", "pattern": "^[a-z0-9-]+$"}
GROUNDING = make_card(
    "grounding",
    {"prompts": PROMPTS, "image": FILE},
    required=["prompts"],
    needs_image=True,
    aliases=("grounding dino",),
)
SEGMENTATION = make_card("segmentation", {"boxes": {**BOXES, "minItems": 1}}, required=["boxes"], needs_image=True)
RETRIEVAL = make_card("retrieval", {"query": {"type": "string"}}, {"passages": {"type": "array"}}, ["query"])
CARDS = (GROUNDING, SEGMENTATION, RETRIEVAL)


def carry_on() -> None:
    """Nobody cancels."""


def load(endpoint: ChatEndpoint, **settings: Any) -> OpenAIPlanner:
    """A planner whose self-test has passed, and is forgotten by the endpoint."""
    if settings.get("plans") == "json_schema":
        endpoint.replies.append(said('{"thoughts": "", "actions": [], "value": "Fine."}'))
    else:
        endpoint.replies.append(said("Fine."))
    planner = OpenAIPlanner(checkpoint=None)
    planner.connect(Endpoint(url=endpoint.url, model=MODEL, **settings))
    planner.load("cpu")
    for kept in (endpoint.asked, endpoint.headers, endpoint.paths):
        kept.clear()
    return planner


def ask(text: str, *steps: Step, earlier: tuple[ChatMessage, ...] = (), **fields: Any) -> PlannerRequest:
    given = {"image": IMAGE, "tools": CARDS, **fields}
    messages = (*earlier, ChatMessage(role="user", text=text))
    return PlannerRequest(messages=messages, steps=steps, correlation_id="test", **given)


def plan_of(planner: OpenAIPlanner, request: PlannerRequest) -> Plan:
    return assemble(planner.step(request, None, carry_on))


def action(name: str, **parameters: Any) -> Action:
    return Action(API_name=name, API_params=parameters)


def found(tool: str, **data: Any) -> ToolResult:
    return ToolResult(call_id="c", tool=tool, data=data, provenance=provenance(tool))


def step(*done: tuple[Action, Outcome], thoughts: str = "", value: str = "") -> Step:
    actions = tuple(one for one, _ in done)
    return Step(plan=Plan(thoughts=thoughts, actions=actions, value=value), outcomes=tuple(one for _, one in done))
