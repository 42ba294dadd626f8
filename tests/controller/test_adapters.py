"""A planner's adapters are models of the public API: listed, asked by name, and refused when there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from mmedagent.model_worker.planner import StepEvent
from mmedagent.protocol.errors import NotFoundError
from mmedagent.protocol.plan import ActionsReady, PlannerRequest, StepDone, ValueDelta
from mmedagent.protocol.workers import PlannerCard
from mmedagent.serving.tool import PixelArray
from support.problems import assert_problem
from support.system import WORKER_TOKEN, System, running_controller

MODELS = ("reader", "reader:chest", "reader:eye")


class ReadingPlanner:
    """Answers with the name of the adapter that it was asked for."""

    card = PlannerCard(name="reader", backend="reader", version="1.0.0", adapters=("chest", "eye"))

    def load(self, device: str) -> None:
        return

    def step(
        self, request: PlannerRequest, frame: PixelArray | None, raise_if_cancelled: Callable[[], None]
    ) -> Iterator[StepEvent]:
        yield ActionsReady(actions=())
        yield ValueDelta(text=f"With {request.adapter}.")
        yield StepDone(planner=self.card.name)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_controller(tmp_path_factory.mktemp("adapters")) as running:
        running.add_planner(ReadingPlanner())
        running.wait_until_ready()
        yield running


def test_the_adapters_are_listed_behind_their_planner(system: System) -> None:
    assert [row["id"] for row in system.http.get("/v1/models").json()["data"]] == list(MODELS)


@pytest.mark.parametrize(("model", "adapter"), list(zip(MODELS, ("None", "chest", "eye"), strict=True)))
def test_a_question_reaches_the_adapter_that_its_model_names(system: System, model: str, adapter: str) -> None:
    messages = [{"role": "user", "content": "Hello."}]
    completion = system.http.post("/v1/chat/completions", json={"model": model, "messages": messages}).json()
    assert completion["model"] == model
    assert completion["choices"][0]["message"]["content"] == f"With {adapter}."
    response = system.respond("Hello.", model=model).json()
    assert response["model"] == model
    assert system.http.get(f"/v1/responses/{response['id']}").json()["model"] == model
    plan = system.http.post("/v1/plans", json={"model": model, "messages": messages}).json()
    assert plan["value"] == f"With {adapter}."


@pytest.mark.parametrize("model", ["reader:heart", "chest", "reader:", "reader:chest:eye"])
def test_an_adapter_that_there_is_not_is_an_unknown_model(system: System, model: str) -> None:
    assert_problem(system.respond("Hello.", model=model), 404, NotFoundError.code)


def test_a_worker_refuses_an_adapter_that_is_not_on_its_card(system: System) -> None:
    worker = system.workers["planner"]
    body = {"messages": [{"role": "user", "text": "Hello."}], "adapter": "heart", "correlation_id": "test"}
    answer = system.http.post(
        f"{worker.url}/planner/step", json=body, headers={"Authorization": f"Bearer {WORKER_TOKEN}"}
    )
    assert NotFoundError.code in answer.text
