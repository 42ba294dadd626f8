"""Reports: what a draft is made of, what becomes of its evidence when people edit, and who may do what when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from mmedagent.protocol.errors import MMedAgentError
from mmedagent.protocol.invocation import ToolCall
from mmedagent.serving.tool import ToolContext, ToolOutput
from support.claims import claim, set_claims
from support.problems import assert_problem
from support.script import action, answer, plan, rule
from support.system import System, running_system
from support.tools import EchoTool, make_card

ANSWER = (
    "The liver has an area of 12.5 mm² (score 0.9). [1] No effusion is seen, e.g. on the left. [1]\n\n"
    "Impression: fatty liver is suggested. [2] About 7 cases are known."
)
SENTENCES = [
    {"text": "The heart is enlarged.", "section": "findings", "probability": 0.8},
    {"text": "Cardiomegaly, 51 % likely.", "section": "impression", "probability": 0.51},
]
RULES = [
    rule("report", plan(action("write")), answer("Findings: the heart is enlarged. [1] Impression: see above. [1]")),
    rule("broken", plan(action("missing"))),
    rule("", answer(ANSWER)),
]


class WriteTool(EchoTool):
    """Drafts a report."""

    def __init__(self) -> None:
        super().__init__("write")
        texts = {"type": "array", "items": {"type": "object"}}
        self.card = make_card("write", {"text": {"type": "string"}}, {"sentences": texts})

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        data: Any = {"sentences": SENTENCES}
        return [ToolOutput(data) for _ in calls]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("system"), RULES, [WriteTool()]) as running:
        yield running


@pytest.fixture
def url(system: System) -> str:
    """Where the report on a new answer is, whose claims are known."""
    response = system.respond("Look").json()["id"]
    claims = [
        claim(ANSWER, "12.5", "number", tool="segmentation", field="/masks/0/area_mm2"),
        claim(ANSWER, "0.9", "number"),
        claim(ANSWER, "No effusion", "finding"),
        claim(ANSWER, "fatty liver", "finding"),
        claim(ANSWER, "7", "number", supported=False),
    ]
    set_claims(system, response, claims)
    return f"/v1/responses/{response}/report"


def read(system: System, url: str) -> dict[str, Any]:
    answer = system.http.get(url)
    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] == f'"{answer.json()["revision"]}"'
    return dict(answer.json())


def put(system: System, url: str, revision: int, findings: list[str], impression: Sequence[str] = ()) -> httpx.Response:
    sections = [
        {"name": name, "sentences": [{"text": text} for text in texts]}
        for name, texts in (("findings", findings), ("impression", impression))
    ]
    return system.http.put(url, json={"sections": sections}, headers={"If-Match": f'"{revision}"'})


def move(system: System, url: str, state: str, **headers: str) -> httpx.Response:
    return system.http.post(f"{url}/state", json={"state": state}, headers=headers)


def sentences(report: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return list(next(section["sentences"] for section in report["sections"] if section["name"] == name))


def texts(report: dict[str, Any], name: str) -> list[str]:
    return [one["text"] for one in sentences(report, name)]


def spoken(sentence: dict[str, Any]) -> list[str]:
    """The words that the claims of a sentence point at."""
    return [sentence["text"][one["start"] : one["end"]] for one in sentence["claims"]]


def test_a_draft_sorts_the_answer_and_ties_each_sentence_to_its_claims(system: System, url: str) -> None:
    report = read(system, url)
    assert (report["state"], report["revision"], report["signed_by"]) == ("draft", 0, None)
    assert texts(report, "findings") == [
        "The liver has an area of 12.5 mm² (score 0.9). [1]",
        "No effusion is seen, e.g. on the left. [1]",
    ]
    assert texts(report, "impression") == ["Impression: fatty liver is suggested. [2]", "About 7 cases are known."]
    assert [spoken(one) for one in sentences(report, "findings")] == [["12.5", "0.9"], ["No effusion"]]
    assert [spoken(one) for one in sentences(report, "impression")] == [["fatty liver"], ["7"]]
    supported = [one["supported"] for name in ("findings", "impression") for one in sentences(report, name)]
    assert supported == [True, True, True, False]
    assert read(system, url) == report


def test_without_claims_a_number_is_not_supported(system: System) -> None:
    response = system.respond("Look").json()["id"]
    set_claims(system, response, None)
    report = read(system, f"/v1/responses/{response}/report")
    assert [one["supported"] for one in sentences(report, "findings")] == [False, True]
    assert not any(one["claims"] for one in sentences(report, "findings"))


def test_what_a_tool_wrote_comes_first_and_once(system: System) -> None:
    response = system.respond("report").json()["id"]
    report = read(system, f"/v1/responses/{response}/report")
    assert texts(report, "findings") == ["The heart is enlarged."]
    assert texts(report, "impression") == ["Cardiomegaly, 51 % likely.", "Impression: see above. [1]"]
    (made,) = sentences(report, "findings")[0]["claims"]
    assert (made["tool"], made["field"], made["score"], made["version"]) == ("write", "/sentences/0", 0.8, "1.0.0")
    assert sentences(report, "impression")[0]["supported"]


def test_an_edit_keeps_the_claims_whose_words_still_stand(system: System, url: str) -> None:
    changed = "The right liver has an area of 12.5 mm² (score 0.8). [1]"
    report = put(system, url, 0, [changed, "No effusion is seen, e.g. on the left. [1]", "Nothing else."]).json()
    first, second, third = sentences(report, "findings")
    assert (spoken(first), first["edited"], first["supported"]) == (["12.5"], True, False)
    assert first["claims"][0]["field"] == "/masks/0/area_mm2"
    assert (spoken(second), second["edited"], second["supported"]) == (["No effusion"], False, True)
    assert (third["claims"], third["edited"], third["supported"]) == ([], True, False)
    assert sentences(report, "impression") == []
    assert read(system, url) == report


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("The big liver has an area of 12.5 mm² (score 0.9). [1]", ["12.5", "0.9"]),
        ("The liver has an area of 12.5 cm² (score 0.9). [1]", ["0.9"]),
        ("The liver has an area of 112.5 mm² (score 0.9). [1]", ["0.9"]),
        ("The liver has an area of -12.5 mm² (score 0.9). [1]", ["0.9"]),
        ("Nothing of it is left.", []),
    ],
)
def test_a_number_that_changed_in_any_way_loses_its_source(
    system: System, url: str, text: str, kept: list[str]
) -> None:
    (sentence,) = sentences(put(system, url, 0, [text]).json(), "findings")
    assert spoken(sentence) == kept
    assert (sentence["edited"], sentence["supported"]) == (True, len(kept) == 2)


def test_a_finding_that_is_turned_round_loses_its_source(system: System, url: str) -> None:
    before = texts(read(system, url), "findings")
    report = put(system, url, 0, before, ["Impression: fatty liver is not suggested. [2]"]).json()
    (sentence,) = sentences(report, "impression")
    assert (sentence["claims"], sentence["edited"], sentence["supported"]) == ([], True, False)


def test_a_sentence_keeps_its_claims_where_it_is_moved_to_and_when_it_is_restored(system: System, url: str) -> None:
    first, second = texts(read(system, url), "findings")
    moved = put(system, url, 0, [second], [first]).json()
    assert [spoken(one) for one in sentences(moved, "impression")] == [["12.5", "0.9"]]
    put(system, url, 1, ["Something else."])
    restored = put(system, url, 2, [first, second]).json()
    assert [(spoken(one), one["edited"]) for one in sentences(restored, "findings")] == [
        (["12.5", "0.9"], False),
        (["No effusion"], False),
    ]


def test_claims_that_a_client_sends_do_not_count(system: System, url: str) -> None:
    forged = {"text": "Cancer, 99 %.", "supported": True, "edited": False, "claims": [claim("99", "99", "number")]}
    body = {"sections": [{"name": "findings", "sentences": [forged]}], "state": "signed", "signed_by": "somebody"}
    report = system.http.put(url, json=body, headers={"If-Match": '"0"'}).json()
    assert (report["state"], report["signed_by"]) == ("draft", None)
    (sentence,) = sentences(report, "findings")
    assert (sentence["claims"], sentence["supported"], sentence["edited"]) == ([], False, True)


def test_a_report_is_reviewed_then_signed_then_never_changed(system: System, url: str) -> None:
    assert_problem(move(system, url, "signed"), 409, "conflict")
    assert_problem(move(system, url, "draft"), 409, "conflict")
    assert read(system, url)["revision"] == 0
    reviewed = move(system, url, "reviewed").json()
    assert (reviewed["state"], reviewed["reviewed_by"], reviewed["signed_by"]) == ("reviewed", "local", None)
    assert_problem(move(system, url, "reviewed"), 409, "conflict")
    edited = put(system, url, reviewed["revision"], ["Another sentence."]).json()
    assert (edited["state"], edited["reviewed_by"], edited["reviewed_at"]) == ("draft", None, None)
    assert_problem(move(system, url, "signed"), 409, "conflict")
    move(system, url, "reviewed")
    signed = move(system, url, "signed").json()
    assert (signed["state"], signed["signed_by"]) == ("signed", "local")
    assert signed["signed_at"] >= signed["reviewed_at"]
    for state in ("draft", "reviewed", "signed"):
        assert_problem(move(system, url, state), 409, "conflict")
    assert_problem(put(system, url, signed["revision"], ["Too late."]), 409, "conflict")
    assert read(system, url) == signed


def test_nobody_overwrites_what_they_have_not_seen(system: System, url: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda number: put(system, url, 0, [f"Version {number}."]), range(4)))
    assert sorted(one.status_code for one in answers) == [200, 412, 412, 412]
    for one in answers:
        if one.status_code == 412:
            assert_problem(one, 412, "precondition_failed")
    kept = next(one.json() for one in answers if one.status_code == 200)
    assert read(system, url) == kept
    assert_problem(move(system, url, "reviewed", **{"If-Match": '"0"'}), 412, "precondition_failed")
    assert move(system, url, "reviewed", **{"If-Match": '"1"'}).json()["revision"] == 2


@pytest.mark.parametrize("etag", ["0", "*", 'W/"0"', '"x"', '"1"', '""', '"1", "0"'])
def test_another_etag_is_refused(system: System, url: str, etag: str) -> None:
    sent = system.http.put(url, json={"sections": []}, headers={"If-Match": etag})
    assert_problem(sent, 412, "precondition_failed")


def test_an_edit_without_an_etag_is_refused(system: System, url: str) -> None:
    assert "If-Match" in assert_problem(system.http.put(url, json={"sections": []}), 422, "invalid_request")


@pytest.mark.parametrize(
    "sections",
    [
        [{"name": "findings", "sentences": []}, {"name": "findings", "sentences": []}],
        [{"name": "history", "sentences": []}],
        [{"name": "findings", "sentences": [{"text": "  "}]}],
        [{"name": "findings", "sentences": [{"text": "a" * 20_001}]}],
        [{"name": "findings", "sentences": [{"text": "a" * 20_000}] * 11}],
        [{"name": "findings", "sentences": [{"text": "a"}] * 10_001}],
        "nothing",
    ],
)
def test_an_edit_has_bounds(system: System, url: str, sections: Any) -> None:
    sent = system.http.put(url, json={"sections": sections}, headers={"If-Match": '"0"'})
    assert_problem(sent, 422, "invalid_request")


def test_there_is_no_report_without_an_answer(system: System) -> None:
    assert_problem(system.http.get("/v1/responses/resp_nothing/report"), 404, "not_found")
    conversation = system.http.post("/v1/conversations").json()["id"]
    assert system.respond("broken", conversation=conversation).status_code == 502
    events = system.http.get(f"/v1/conversations/{conversation}/items").json()["data"]
    response = f"resp_{events[-1]['id'].split('_')[1]}"
    assert_problem(system.http.get(f"/v1/responses/{response}/report"), 409, "conflict")


def test_a_report_goes_with_its_conversation(system: System) -> None:
    response = system.respond("Look").json()
    url = f"/v1/responses/{response['id']}/report"
    assert put(system, url, 0, ["Seen."]).status_code == 200
    assert system.http.delete(f"/v1/conversations/{response['conversation']['id']}").status_code == 200
    assert_problem(system.http.get(url), 404, "not_found")
