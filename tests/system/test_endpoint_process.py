"""The planner `openai` against a real server of a real network: `transformers serve` in a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mmedagent.model_worker.openai_compatible import OpenAIPlanner
from mmedagent.model_worker.openai_compatible.planner import SELF_TEST_ASK
from mmedagent.protocol.invocation import ToolResult
from mmedagent.protocol.plan import Action, ChatMessage, Plan, PlannerRequest, Step, assemble
from mmedagent.serving.endpoint import Endpoint
from support.results import provenance
from support.tiny_qwen import write_checkpoint
from support.tools import make_card, wait_until
from system.launch import LOOPBACK, READY_S, answers, free_port, launched

pytestmark = pytest.mark.system

ASK = "Where is the liver?"
CARD = make_card("grounding", {"prompts": {"type": "array", "items": {"type": "string"}}}, required=["prompts"])
FIND = Action(API_name="grounding", API_params={"prompts": ["liver"]})
BOXES = {"boxes": [[0.1, 0.2, 0.5, 0.6]]}
CALL = json.dumps({"name": FIND.API_name, "arguments": FIND.API_params})
LESSONS = {
    ("user", SELF_TEST_ASK): "An infection of the lungs.",
    ("user", ASK): f"I will look.\n<tool_call>\n{CALL}\n</tool_call>",
    ("tool", json.dumps({"call": 1, "result": BOXES})): "The liver is on the left [1].",
}


@pytest.fixture(scope="module")
def planner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAIPlanner]:
    folder = tmp_path_factory.mktemp("qwen")
    assert write_checkpoint(folder, LESSONS) < 0.05
    command = (str(Path(sys.executable).with_name("transformers")), "serve")
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    arguments = (str(folder), "--host", LOOPBACK, "--port", str(port), "--device", "cpu")
    with (
        launched(arguments, folder, name="serve", command=command) as server,
        httpx.Client(base_url=url, trust_env=False) as http,
    ):

        def listening() -> bool:
            assert server.process.poll() is None, server.last_words
            return answers(http, "/health")

        wait_until(listening, "transformers serve is listening", READY_S)
        planner = OpenAIPlanner(checkpoint=None)
        parameters = {"temperature": 0, "max_tokens": 100}
        planner.connect(Endpoint(url=f"{url}/v1", model=str(folder), parameters=parameters))
        planner.load("cpu")
        yield planner


def ask(*steps: Step) -> PlannerRequest:
    message = ChatMessage(role="user", text=ASK)
    return PlannerRequest(messages=(message,), tools=(CARD,), steps=steps, correlation_id="test")


def test_a_network_behind_a_server_calls_a_tool_and_answers_from_its_result(planner: OpenAIPlanner) -> None:
    plan = assemble(planner.step(ask(), None, lambda: None))
    assert plan == Plan(thoughts="I will look.", actions=(FIND,), value="")
    result = ToolResult(call_id="c", tool="grounding", data=BOXES, provenance=provenance("grounding"))
    answer = assemble(planner.step(ask(Step(plan=plan, outcomes=(result,))), None, lambda: None))
    assert answer == Plan(thoughts="", value="The liver is on the left [1].")
