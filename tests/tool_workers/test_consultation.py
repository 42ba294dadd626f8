"""The panel with doctors of the test: who is asked what, who is heard, and what comes of it."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmedagent.protocol.errors import CancelledError, CheckpointError, DeadlineError, WorkerError
from mmedagent.protocol.invocation import ImageRef, ToolCall, ToolProgress
from mmedagent.serving.batching import Ticket
from mmedagent.serving.cache import ByteCache
from mmedagent.serving.context import RunContext, Surroundings
from mmedagent.serving.tool import ToolOutput
from mmedagent.tool_workers.consultation import ConsultationTool
from mmedagent.tool_workers.consultation.consultation import fallback_specialty
from mmedagent.tool_workers.consultation.doctors import Task, Visit
from support.desk import MemoryBlobs, desk, image_call
from support.doctors import Says, Speaker, because, consult, panel_of, says, speakers, write_panel
from support.tools import PATIENCE_S

FRAME = np.zeros((8, 8), np.uint8)
OPTIONS = ["benign", "malignant", "cannot tell"]
SEATS = ("s1", "s2", "s3")
TICK_S = 0.15


def case(options: Sequence[str] = OPTIONS, question: str = "Is it benign?", deadline_s: float = 30) -> ToolCall:
    fields: dict[str, Any] = {"options": list(options)} if options else {}
    call = image_call("consultation", question=question, **fields)
    return call.model_copy(update={"deadline_s": deadline_s})


def ask(folder: Path, doctors: dict[str, Speaker], call: ToolCall, more: str = "") -> dict[str, Any]:
    seats = [name for name in doctors if name.startswith("s")]
    tool = panel_of(write_panel(folder, seats, more), doctors)
    return consult(tool, call, desk(FRAME, calls=[call]))


def fails(error: Exception) -> Says:
    def fail(_: Task, __: Visit) -> str:
        raise error

    return fail


def test_a_panel_tells_who_said_what_and_whom_the_attending_overruled(tmp_path: Path) -> None:
    doctors = speakers(
        says(because("B. malignant", "The edge is ragged.")),
        says(because("B")),
        says(because("the lesion is benign", "A smooth edge.")),
        says(because("Option B")),
        triage=says(because("Oncologist", "It is a tumour.")),
    )
    data = ask(tmp_path, doctors, case())
    assert (data["specialty"], data["triage"]["reason"], data["triage"]["model"]) == (
        "oncologist",
        "It is a tumour.",
        "triage",
    )
    told = [(one["specialist"], one["answer"], one["choice"], one["agrees"], one["model"]) for one in data["opinions"]]
    assert told == [
        ("oncologist 1", "malignant", 1, True, "s1"),
        ("oncologist 2", "benign", 0, False, "s2"),
        ("oncologist 3", "malignant", 1, True, "s3"),
    ]
    assert data["opinions"][1]["rationale"] == "A smooth edge."
    assert (data["answer"], data["choice"], data["rationale"]) == ("malignant", 1, "The edge is ragged.")
    assert data["overruled"] == ["oncologist 2"]
    assert data["agreement"] == {"share": 0.667, "summary": "2 of 3 specialists say “malignant”; the others disagree."}
    assert data["votes"] == [{"answer": "malignant", "count": 1}]
    assert (data["absent"], data["note"]) == ([], "")


def test_each_doctor_gets_its_own_task(tmp_path: Path) -> None:
    doctors = speakers(says(because("A")), says(because("A", "Round.")), says(because("B")))
    more = '[[specialists]]\nbackend = "s1"\nspecialty = "pathologist"\nname = "Dr. Stain"\n'
    call = case(["(A) benign", "(B) malignant"])
    data = ask(tmp_path, doctors, call, more)
    assert [one["specialist"] for one in data["opinions"]] == ["Dr. Stain", "radiologist 1", "radiologist 2"]
    assert [task.role for task in doctors["triage"].tasks] == ["triage"]
    assert sorted(task.specialty for task in doctors["s1"].tasks) == ["pathologist", "radiologist"]
    (attending,) = doctors["attending"].tasks
    assert attending.case.options == ("benign", "malignant")
    assert [(one.specialist, one.answer, one.rationale) for one in attending.opinions] == [
        ("Dr. Stain", "benign", "Round."),
        ("radiologist 1", "benign", "Round."),
        ("radiologist 2", "malignant", "It looks so."),
    ]
    for doctor in doctors.values():
        assert doctor.loaded_on == "cpu"
        assert all(task.case.image == call.image for task in doctor.tasks)


@pytest.mark.parametrize(
    ("chosen", "fields"),
    [
        ("pathologist", ["radiologist", "surgeon", "oncologist", "pathologist"]),
        ("dermatologist", ["radiologist", "pathologist", "surgeon", "dermatologist"]),
        ("radiologist", ["radiologist 1", "surgeon", "oncologist", "radiologist 2"]),
    ],
)
def test_a_seat_for_another_specialty_gets_the_next_that_nobody_has(
    tmp_path: Path, chosen: str, fields: list[str]
) -> None:
    doctors = speakers(says(because("A")), says(because("A")), triage=says(because(chosen)))
    named = ("radiologist", "another", "another")
    seats = [f'[[specialists]]\nbackend = "s1"\nspecialty = "{name}"\n' for name in named]
    data = ask(tmp_path, doctors, case(), "".join(seats))
    assert [one["specialist"] for one in data["opinions"]] == fields


def test_an_open_question_is_compared_by_its_words(tmp_path: Path) -> None:
    doctors = speakers(
        says(because("Pleural effusion")),
        says(because("a pleural effusion on the left")),
        says(because("no pleural effusion")),
        says(because("pneumothorax")),
    )
    data = ask(tmp_path, doctors, case((), "What does it show?"))
    assert [one["agrees"] for one in data["opinions"]] == [True, False, False]
    assert (data["choice"], data["opinions"][0]["choice"]) == (None, None)
    assert data["agreement"]["summary"] == "The 3 specialists disagree: each gives another answer."


def test_specialists_who_fail_are_named_and_the_panel_goes_on(tmp_path: Path) -> None:
    doctors = speakers(
        says(because("A")),
        fails(WorkerError("The model is on fire.")),
        says("<think>I do not know.</think><answer></answer>"),
        says("<think>It may be benign, but then"),
        fails(ValueError("secret")),
        says("It is certainly benign."),
    )
    data = ask(tmp_path, doctors, case())
    assert [one["specialist"] for one in data["opinions"]] == ["radiologist 5"]
    absent = {one["doctor"]: one["reason"] for one in data["absent"]}
    assert absent == {
        "radiologist 1": "The model is on fire.",
        "radiologist 2": "The reply holds no answer.",
        "radiologist 3": "The reply holds no answer.",
        "radiologist 4": "The model failed in an unexpected way.",
    }
    assert data["agreement"] == {"share": 1.0, "summary": "The only specialist who answered says “benign”."}
    assert data["answer"] == "benign"


def test_without_any_opinion_the_attending_answers_alone_and_says_so(tmp_path: Path) -> None:
    doctors = speakers(says(because("A")), fails(WorkerError("It is on fire.")))
    data = ask(tmp_path, doctors, case())
    assert data["answer"] == "benign"
    assert "answered alone" in data["note"]
    assert data["agreement"] == {"share": None, "summary": "No specialist gave an opinion."}


def test_without_the_attending_the_opinions_are_shown_and_nothing_is_decided(tmp_path: Path) -> None:
    doctors = speakers(fails(WorkerError("It is on fire.")), says(because("A")))
    data = ask(tmp_path, doctors, case())
    assert (data["answer"], data["attending"], data["overruled"], data["votes"]) == ("", None, [], [])
    assert data["opinions"][0]["agrees"] is None
    assert data["note"] == "The attending physician gave no answer: It is on fire."
    assert data["absent"][0]["doctor"] == "attending physician"


def test_a_panel_in_which_nobody_answers_has_failed(tmp_path: Path) -> None:
    doctors = speakers(fails(WorkerError("No power.")), fails(WorkerError("No light.")))
    tool = panel_of(write_panel(tmp_path, ["s1"]), doctors)
    call = case()
    (error,) = tool.run([call], desk(FRAME, calls=[call]))
    assert isinstance(error, WorkerError)
    assert error.detail == "No power."


@pytest.mark.parametrize("triage", [says(because("the usual one")), fails(WorkerError("Out."))])
def test_when_triage_fails_the_image_decides(tmp_path: Path, triage: Says) -> None:
    doctors = speakers(says(because("A")), says(because("A")), triage=triage)
    call = case()
    assert call.image is not None
    call = call.model_copy(update={"image": call.image.model_copy(update={"modality": "OP"})})
    data = ask(tmp_path, doctors, call)
    assert (data["specialty"], data["triage"]["model"]) == ("ophthalmologist", None)
    assert data["absent"][0]["doctor"] == "triage doctor"
    assert fallback_specialty(ImageRef(sha256="0" * 64, source_sha256="0" * 64, width=1, height=1)) == "radiologist"
    assert fallback_specialty(None) == "radiologist"


def test_most_of_several_replies_of_the_attending_decide(tmp_path: Path) -> None:
    def vary(_: Task, visit: Visit) -> str:
        return [because("A"), because("B", "First of them."), "no idea", because("malignant", "Second.")][
            visit.manner.seed or 0
        ]

    doctors = speakers(vary, says(because("A")))
    more = '[attending]\nbackend = "attending"\nsamples = 4\ntemperature = 1.0\n'
    data = ask(tmp_path, doctors, case(), more)
    assert data["votes"] == [
        {"answer": "malignant", "count": 2},
        {"answer": "benign", "count": 1},
    ]
    assert (data["answer"], data["rationale"]) == ("malignant", "First of them.")
    assert data["overruled"] == ["radiologist"]


def test_an_answer_that_names_no_option_is_told_as_it_is(tmp_path: Path) -> None:
    data = ask(tmp_path, speakers(says(because("It depends")), says(because("A"))), case())
    assert (data["answer"], data["choice"]) == ("It depends", None)
    assert "none of the options" in data["note"]


def test_opinions_are_remembered_for_the_same_case_alone(tmp_path: Path) -> None:
    doctors = speakers(says(because("A")), says(because("A")), fails(WorkerError("Out.")))
    tool = panel_of(write_panel(tmp_path, ["s1", "s2"]), doctors)
    around = Surroundings(MemoryBlobs(), ByteCache(2**20))

    def opinions(call: ToolCall) -> list[tuple[str, bool]]:
        data = consult(tool, call, RunContext("consultation", [Ticket(call)], around))
        return [(one["specialist"], one["cached"]) for one in data["opinions"]]

    first = case()
    assert opinions(first) == [("radiologist 1", False)]
    assert opinions(first) == [("radiologist 1", True)]
    assert (len(doctors["s1"].tasks), len(doctors["s2"].tasks)) == (1, 2), "a failure is not remembered"
    assert first.image is not None
    others = [
        case(question="Is it malignant?"),
        case(OPTIONS[:2]),
        first.model_copy(update={"image": first.image.model_copy(update={"sha256": "1" * 64})}),
        first.model_copy(update={"image": None}),
    ]
    for other in others:
        assert opinions(other) == [("radiologist 1", False)]


def test_specialists_work_at_the_same_time_and_the_panel_takes_little_more_than_they_do(
    tmp_path: Path, record_testsuite_property: Any
) -> None:
    """The three specialists meet: one after the other they never would."""
    together = threading.Barrier(3)
    never = threading.Event()

    def at_work(seconds: float, meet: bool = False) -> Says:
        def work(_: Task, __: Visit) -> str:
            if meet:
                together.wait(PATIENCE_S)
            never.wait(seconds)
            return because("A")

        return work

    specialists = [at_work(TICK_S * number, meet=True) for number in (1, 2, 3)]
    doctors = speakers(at_work(TICK_S), *specialists, triage=at_work(TICK_S))
    data = ask(tmp_path, doctors, case())
    assert len(data["opinions"]) == 3
    spans = [doctors[name].spans[0] for name in SEATS]
    assert max(since for since, _ in spans) < min(until for _, until in spans)
    (triage,), (attending,) = doctors["triage"].spans, doctors["attending"].spans
    assert triage[1] <= min(since for since, _ in spans)
    assert max(until for _, until in spans) <= attending[0]
    whole = attending[1] - triage[0]
    parts = sum(until - since for since, until in (triage, attending)) + max(until - since for since, until in spans)
    record_testsuite_property("panel_s", f"{whole:.3f}")
    record_testsuite_property("triage_and_slowest_and_attending_s", f"{parts:.3f}")


def test_who_is_late_is_left_behind(tmp_path: Path) -> None:
    """One notices its deadline, the other is deaf to it."""
    release = threading.Event()

    def listening(_: Task, visit: Visit) -> str:
        while not release.wait(0.01):
            visit.raise_if_over()
        return because("A")

    def deaf(_: Task, __: Visit) -> str:
        release.wait(PATIENCE_S)
        return because("A")

    doctors = speakers(says(because("A")), says(because("A")), listening, deaf)
    data = ask(tmp_path, doctors, case(), "[deadlines]\nopinion_s = 0.3\n")
    release.set()
    assert [one["specialist"] for one in data["opinions"]] == ["radiologist 1"]
    late = [(one["doctor"], one["code"]) for one in data["absent"]]
    assert sorted(late) == [("radiologist 2", "deadline_exceeded"), ("radiologist 3", "deadline_exceeded")]


def test_time_is_kept_for_the_attending_when_there_is_little(tmp_path: Path) -> None:
    never = threading.Event()

    def late(_: Task, visit: Visit) -> str:
        never.wait(visit.deadline_s + 1)
        return because("A")

    doctors = speakers(says(because("A")), late, triage=late)
    data = ask(tmp_path, doctors, case(deadline_s=1.0))
    assert data["answer"] == "benign"
    assert [one["doctor"] for one in data["absent"]] == ["triage doctor", "radiologist"]
    (attending,) = doctors["attending"].visits
    assert 0.2 < attending.deadline_s < 0.6


@pytest.mark.parametrize("ends_by", ["cancel", "deadline"])
def test_the_panel_ends_with_its_call(tmp_path: Path, ends_by: str) -> None:
    call = case(deadline_s=0.5 if ends_by == "deadline" else 30)
    ticket = Ticket(call)
    asked = threading.Event()
    release = threading.Event()

    def wait(_: Task, __: Visit) -> str:
        asked.set()
        release.wait(PATIENCE_S)
        return because("A")

    doctors = speakers(wait, wait)
    tool = panel_of(write_panel(tmp_path, ["s1"]), doctors)
    context = RunContext("consultation", [ticket], Surroundings(MemoryBlobs(), ByteCache(2**20)))
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.extend(tool.run([call], context)))
    thread.start()
    assert asked.wait(PATIENCE_S)
    if ends_by == "cancel":
        ticket.token.cancel()
    thread.join(PATIENCE_S)
    release.set()
    assert [type(one) for one in found] == [CancelledError if ends_by == "cancel" else DeadlineError]


def test_what_happens_is_told_while_it_happens(tmp_path: Path) -> None:
    told: list[ToolProgress] = []
    call = case()
    doctors = speakers(says(because("A")), says(because("A")), fails(WorkerError("Out.")))
    tool = panel_of(write_panel(tmp_path, ["s1", "s2"]), doctors)
    context = RunContext("consultation", [Ticket(call, told.append)], Surroundings(MemoryBlobs(), ByteCache(2**20)))
    consult(tool, call, context)
    assert [one.fraction for one in told] == sorted(one.fraction for one in told)
    texts = [one.text for one in told]
    assert texts[:2] == ["The triage doctor chooses a specialty.", "Triage chose the radiologist."]
    assert sorted(re.findall(r"radiologist \d: [a-z ]+\.", texts[3])) == [
        "radiologist 1: benign.",
        "radiologist 2: no answer.",
    ]
    assert texts[-2:] == ["The attending physician weighs the opinions.", "The panel is done."]


BACKEND = '[backends.default]\nkind = "completion"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "no panel.toml"),
        ("backends = [", "not TOML"),
        ("colour = 1", "colour"),
        ("specialists = []", "specialists"),
        ('[triage]\nbackend = "nobody"', "no backend nobody; there is: default"),
        ('[backends.default]\nkind = "oracle"', "no kind of doctor 'oracle'; there is: completion, embedded, endpoint"),
        ('[backends.default]\nurl = "x"', "no kind of doctor None"),
        ('[backends.default]\nkind = "completion"\nmood = "bad"', "mood"),
        ('[backends.default]\nkind = "endpoint"\nmodel = "m"', "url"),
        ('[backends.default]\nkind = "endpoint"\nmodel = "m"\nurl = "ftp://x"', "url"),
        ('[[specialists]]\nspecialty = "dentist"', "specialists.0.specialty"),
        ("[attending]\nsamples = 3", "need a temperature"),
        ("[attending]\nsamples = 99\ntemperature = 1", "attending.samples"),
        ('[prompts]\nwelcome = "x"', "no prompt welcome"),
        ('[prompts]\nopinion = "Look at $picture"', "prompt of the opinion has a .name"),
        ('[prompts]\ntriage_system = "It costs $ 5"', "prompt of the triage"),
    ],
)
def test_a_panel_that_is_not_right_stops_the_start_and_says_why(tmp_path: Path, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / "panel.toml").write_text(text)
    with pytest.raises(CheckpointError, match=words):
        ConsultationTool(checkpoint=tmp_path).load("cpu")


def test_a_missing_key_stops_the_start(tmp_path: Path) -> None:
    table = 'kind = "endpoint"\nmodel = "m"\nurl = "http://127.0.0.1:1/v1"\napi_key_variable = "MMEDAGENT_TEST_NO_KEY"'
    (tmp_path / "panel.toml").write_text(f"[backends.default]\n{table}")
    with pytest.raises(CheckpointError, match="MMEDAGENT_TEST_NO_KEY"):
        ConsultationTool(checkpoint=tmp_path).load("cpu")


def test_the_checkpoint_is_the_panel(tmp_path: Path) -> None:
    digests = []
    for text in ("", BACKEND, f'{BACKEND}model = "x"', "[triage]\nmax_tokens = 9", '[prompts]\nopinion = "$question"'):
        (tmp_path / "panel.toml").write_text(text)
        tool = ConsultationTool(checkpoint=tmp_path)
        tool.load("cpu")
        digests.append(tool.card.checkpoint_sha256)
    plain = ConsultationTool(checkpoint=None)
    plain.load("cpu")
    assert digests[0] == digests[1] == plain.card.checkpoint_sha256
    assert len(set(digests)) == 4


def test_a_tool_that_is_not_loaded_says_so() -> None:
    call = case()
    (error,) = ConsultationTool(checkpoint=None).run([call], desk(FRAME, calls=[call]))
    assert isinstance(error, CheckpointError)
    assert not isinstance(error, ToolOutput)
