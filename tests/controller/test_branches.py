"""Conversations as trees: what each branch remembers, how they are listed, renamed and found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from mmedagent.controller.store import database as database_module
from support.images import png_bytes
from support.planners import OddPlanner, RecallPlanner
from support.problems import assert_problem
from support.streams import in_background, read
from support.system import System, running_controller
from support.tools import wait_until


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system with a planner that tells what it was sent."""
    with running_controller(tmp_path_factory.mktemp("branches")) as running:
        running.add_planner(RecallPlanner())
        running.wait_until_ready()
        yield running


def ask(system: System, text: str, file_id: str | None = None, **fields: Any) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"type": "input_text", "text": text}]
    if file_id:
        parts.append({"type": "input_image", "file_id": file_id})
    answer = system.http.post("/v1/responses", json={"input": [{"role": "user", "content": parts}], **fields})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def said(response: dict[str, Any]) -> str:
    return str(response["output"][-1]["content"][0]["text"])


def turns_of(system: System, conversation: str) -> list[dict[str, Any]]:
    answer = system.http.get(f"/v1/conversations/{conversation}/turns")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


def test_each_branch_remembers_only_itself(system: System) -> None:
    first = ask(system, "one")
    left = ask(system, "left", previous_response_id=first["id"])
    right = ask(system, "right", previous_response_id=first["id"])
    deep = ask(system, "deep", previous_response_id=left["id"])
    assert said(left) == "left after one on no image"
    assert said(right) == "right after one on no image"
    assert said(deep) == "deep after one, left on no image"
    edited = ask(system, "uno", conversation=None)
    assert said(edited) == "uno after nothing on no image"


def test_a_branch_remembers_its_own_image(system: System) -> None:
    small, large = system.upload(png_bytes(24, 16)), system.upload(png_bytes(48, 32))
    first = ask(system, "one", small)
    other = ask(system, "other", large, previous_response_id=first["id"])
    assert said(ask(system, "again", previous_response_id=first["id"])) == "again after one on 24 x 16"
    assert said(ask(system, "again", previous_response_id=other["id"])) == "again after one, other on 48 x 32"
    assert system.http.delete(f"/v1/files/{large}").status_code == 200
    assert said(ask(system, "again", previous_response_id=other["id"])) == "again after one, other on no image"


def test_a_conversation_continues_after_its_newest_turn(system: System) -> None:
    first = ask(system, "one")
    conversation = first["conversation"]["id"]
    ask(system, "left", conversation=conversation)
    ask(system, "right", previous_response_id=first["id"])
    last = ask(system, "last", conversation=conversation)
    assert said(last) == "last after one, right on no image"
    items = system.http.get(f"/v1/conversations/{conversation}/items", params={"order": "asc"}).json()["data"]
    asked = [item["content"][0]["text"] for item in items if item.get("role") == "user"]
    assert asked == ["one", "right", "last"]


def test_all_branches_are_listed_with_their_parents(system: System) -> None:
    file_id = system.upload(png_bytes(24, 16))
    first = ask(system, "one", file_id)
    left = ask(system, "left", previous_response_id=first["id"])
    right = ask(system, "right", previous_response_id=first["id"])
    found = turns_of(system, first["conversation"]["id"])
    assert [(turn["id"], turn["parent"], turn["question"]) for turn in found] == [
        (first["id"], None, "one"),
        (left["id"], first["id"], "left"),
        (right["id"], first["id"], "right"),
    ]
    for turn, response in zip(found, (first, left, right), strict=True):
        assert turn["output"] == response["output"]
        assert (turn["status"], turn["file_id"], turn["error"]) == ("completed", file_id, None)
        assert (turn["rerun_of"], turn["reused"]) == (None, [])
        assert response["previous_response_id"] == response["mmedagent"]["parent"] == turn["parent"]
        assert read(system, response["id"]) == response
    assert [turn["created_at"] for turn in found] == sorted(turn["created_at"] for turn in found)
    assert_problem(system.http.get("/v1/conversations/conv_nobody/turns"), 404, "not_found")


def test_a_turn_that_was_not_answered_is_passed_over(tmp_path: Path) -> None:
    with running_controller(tmp_path) as system:
        system.add_planner(OddPlanner())
        system.wait_until_ready()
        hanging = in_background(system, "hang")
        assert system.http.post(f"/v1/responses/{hanging}/cancel").json()["status"] == "cancelled"
        system.add_planner(RecallPlanner())
        wait_until(lambda: "recall" in system.workers_info(), "the other planner registers")
        later = system.respond("later", model="recall", previous_response_id=hanging).json()
        (first, second) = turns_of(system, later["conversation"]["id"])
        assert (first["status"], first["error"]["code"]) == ("cancelled", "cancelled")
        assert (second["parent"], said(second)) == (hanging, "later after nothing on no image")


def test_a_conversation_is_renamed_and_keeps_its_name(system: System) -> None:
    conversation = ask(system, "What is it?")["conversation"]["id"]
    url = f"/v1/conversations/{conversation}"
    renamed = system.http.post(url, json={"title": "  The left kidney "}).json()
    assert renamed["title"] == "The left kidney"
    ask(system, "And now?", conversation=conversation)
    assert system.http.get(url).json() == renamed
    described = system.http.post(url, json={"metadata": {"study": "a"}}).json()
    assert (described["title"], described["metadata"]) == ("The left kidney", {"study": "a"})
    for wrong in ({"title": " "}, {"title": "a" * 201}, {"title": 1}, {"metadata": {"a" * 65: ""}}):
        assert_problem(system.http.post(url, json=wrong), 422, "invalid_request")
    assert_problem(system.http.post("/v1/conversations/conv_nobody", json={"title": "a"}), 404, "not_found")


def test_conversations_are_found_by_title_and_by_question(system: System) -> None:
    first = ask(system, "Is the SPLEEN enlarged by 10%?")["conversation"]["id"]
    second = ask(system, "Hello")["conversation"]["id"]
    ask(system, "And what of the spleen_2?", conversation=second)
    titled = system.http.post("/v1/conversations").json()["id"]
    system.http.post(f"/v1/conversations/{titled}", json={"title": "About a spleen"})

    def found(query: str) -> list[str]:
        answer = system.http.get("/v1/conversations", params={"query": query})
        return [one["id"] for one in answer.json()["data"]]

    assert found("spleen") == [titled, second, first]
    assert found("0%?") == [first]
    assert found("n_2") == [second]
    assert found("no such words") == []
    assert_problem(system.http.get("/v1/conversations", params={"query": "a" * 201}), 422, "invalid_request")


def test_conversations_of_before_become_branches(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'old.sqlite'}")
    config = Config()
    config.set_main_option("script_location", str(Path(database_module.__file__).parent / "migrations"))
    config.attributes["engine"] = engine
    command.upgrade(config, "0001")
    turn = "INSERT INTO turns VALUES (:id, 'local', :conversation, :at, 'completed', '', NULL, '')"
    rows = [("a1", "a", 1.0), ("b1", "b", 2.0), ("a2", "a", 3.0), ("a3", "a", 4.0), ("b2", "b", 5.0)]
    with engine.begin() as connection:
        for conversation in "ab":
            connection.execute(
                sa.text("INSERT INTO conversations VALUES (:id, 'local', 1.0, '', '{}')"), {"id": conversation}
            )
        for name, conversation, at in rows:
            connection.execute(sa.text(turn), {"id": name, "conversation": conversation, "at": at})
    command.upgrade(config, "head")
    with engine.begin() as connection:
        parents = connection.execute(sa.text("SELECT id, parent_id FROM turns ORDER BY id")).all()
    assert [tuple(row) for row in parents] == [("a1", None), ("a2", "a1"), ("a3", "a2"), ("b1", None), ("b2", "b1")]
    command.downgrade(config, "0001")
    engine.dispose()
