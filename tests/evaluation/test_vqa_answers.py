"""A benchmark asked of a real server, stopped and gone on with, and its figures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, HTTPException, Request

from mmedagent.evaluation.vqa.answering import ChatAnswers, PanelAnswers, answered, read_results
from mmedagent.evaluation.vqa.benchmarks import benchmark_of
from mmedagent.evaluation.vqa.scores import Result, judged, resampled, scores
from mmedagent.protocol.consultation import read_reply
from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.serving.run import BackgroundServer
from support import vqa_files
from support.doctors import because, panel_of, says, speakers, write_panel
from support.script import answer, rule
from support.system import running_system


class Respondent:
    """Says yes to what has options and "Lung" to what has none, in the form; fails on what `broken` matches."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.broken = ""

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.post("/v1/chat/completions")
        async def complete(request: Request) -> dict[str, Any]:
            body = await request.json()
            self.asked.append(body)
            text = body["messages"][0]["content"][0]["text"]
            if self.broken and re.search(self.broken, text):
                raise HTTPException(500)
            answer = "A" if "A. yes" in text else "the lung."
            return {"choices": [{"message": {"content": f"<think>I look.</think><answer>{answer}</answer>"}}]}

        return app


@pytest.fixture
def respondent() -> Respondent:
    return Respondent()


@pytest.fixture
def answers(respondent: Respondent) -> Iterator[ChatAnswers]:
    with (
        BackgroundServer(respondent.app()) as server,
        httpx.Client(base_url=f"{server.url}/v1", trust_env=False) as http,
    ):
        yield ChatAnswers(http, "a-model")


def ask_all(folder: Path, answers: ChatAnswers, limit: int | None = None) -> list[Result | None]:
    cases = benchmark_of("slake").cases(folder, "test")
    return list(answered(cases, answers, folder / "results.jsonl", callers=2, limit=limit))


def test_answers_are_judged_and_kept(tmp_path: Path, answers: ChatAnswers, respondent: Respondent) -> None:
    vqa_files.slake(tmp_path)
    found = [one for one in ask_all(tmp_path, answers) if one is not None]
    assert [(one.id, one.correct, one.chosen) for one in found] == [("7", True, None), ("9", False, "yes")]
    assert read_results(tmp_path / "results.jsonl") == found
    sent = respondent.asked[0]
    assert sent["model"] == "a-model"
    assert sent["messages"][0]["content"][1]["image_url"]["url"].startswith("data:image/png;base64,")


def test_a_stopped_run_goes_on_and_asks_again_what_failed(
    tmp_path: Path, answers: ChatAnswers, respondent: Respondent
) -> None:
    vqa_files.slake(tmp_path)
    respondent.broken = "healthy"
    assert [one is None for one in ask_all(tmp_path, answers)] == [False, True]
    with (tmp_path / "results.jsonl").open("a") as file:
        file.write('{"id": "9", "gro')
    respondent.broken = ""
    asked = len(respondent.asked)
    assert [one is None for one in ask_all(tmp_path, answers)] == [False, False]
    assert len(respondent.asked) == asked + 1
    assert [one.id for one in read_results(tmp_path / "results.jsonl")] == ["7", "9"]


def test_the_panel_is_asked_about_the_picture(tmp_path: Path) -> None:
    vqa_files.slake(tmp_path)
    doctors = speakers(says(because("lung")), says(because("lung")))
    panel = panel_of(write_panel(tmp_path, ["s1"]), doctors)
    with (
        running_system(tmp_path / "system", [rule("", answer("Fine."))], [panel]) as system,
        httpx.Client(base_url=f"{system.url}/v1", trust_env=False, timeout=60) as http,
    ):
        (lung, _) = benchmark_of("slake").cases(tmp_path, "test")
        reply = read_reply(PanelAnswers(http)(lung))
        assert system.http.get("/v1/files").json()["data"] == []
    assert reply is not None
    assert reply.answer == "lung"
    assert [task.case.image is not None for task in doctors["s1"].tasks] == [True]


def test_another_file_is_not_taken_for_results(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text("hello\n")
    with pytest.raises(InvalidRequestError):
        read_results(tmp_path / "results.jsonl")


def test_figures_are_split_by_group_and_count_what_could_not_be_read(tmp_path: Path) -> None:
    vqa_files.omnimedvqa(tmp_path)
    first, second = benchmark_of("omnimedvqa").cases(tmp_path, "test")
    found = scores(
        [judged(first, "It could be anything.", 1.0), judged(second, "<think>x</think><answer>A</answer>", 1.0)]
    )
    assert (found.overall.value, found.overall.count) == (0.5, 2)
    assert {name: share.value for name, share in found.by_group.items()} == {"CT": 0.0, "MR": 1.0}
    assert (found.unread.value, found.in_form.value, found.open.count) == (0.5, 0.5, 0)


def test_a_bootstrap_interval_is_near_the_binomial_one() -> None:
    found = resampled([True] * 60 + [False] * 40)
    assert found.low == pytest.approx(0.6 - 1.96 * 0.049, abs=0.02)
    assert found.high == pytest.approx(0.6 + 1.96 * 0.049, abs=0.02)
    assert resampled([True] * 60 + [False] * 40) == found
