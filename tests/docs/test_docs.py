"""The documentation says what the code does: routes, errors, events, limits, commands, settings, links, examples."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from docs.pages import ROOT, anchors, blocks, links, pages, read, section, spans, table
from mmedagent.cli.main import app as command_line
from mmedagent.cli.profile import Profile
from mmedagent.controller.api.guard import MAX_JSON_BYTES
from mmedagent.controller.api.inputs import MAX_MESSAGE_CHARACTERS, MAX_MESSAGES
from mmedagent.controller.api.questions import MAX_HISTORY
from mmedagent.controller.api.response_stream import ResponseStream
from mmedagent.controller.app import create_app
from mmedagent.controller.settings import ControllerSettings
from mmedagent.controller.store.repository import MAX_ROWS
from mmedagent.imaging.limits import MAX_PIXELS, MAX_SIDE
from mmedagent.imaging.sandbox import DEFAULT_TIMEOUT_S
from mmedagent.protocol import errors, events
from mmedagent.protocol.invocation import Provenance, ToolFailure, ToolProgress, ToolResult
from mmedagent.protocol.plan import MAX_ACTIONS, Plan
from mmedagent.serving.clients import MAX_ANSWER_BYTES
from mmedagent.serving.work import QUEUE_FACTOR

API = read("docs/api.md")
COMMANDS = read("docs/command-line.md")
SETTINGS = read("docs/settings.md")
PAGES = pages()
FOLDERS = "cli controller deploy docs evaluation examples imaging model_worker networks protocol serving tests"
PATH = re.compile(rf"(?:{'|'.join(FOLDERS.split())}|tool_workers|training|webui)/[\w./-]*")
MIB = 2**20
MAX_PICTURE_BYTES = 250_000


def default_of(name: str) -> Any:
    return ControllerSettings.model_fields[name].default


def test_every_public_route_is_in_the_table_and_no_other(tmp_path: Path) -> None:
    app = create_app(ControllerSettings(data_dir=tmp_path, worker_token=SecretStr("token")))
    made = {f"{method.upper()} {path}" for path, methods in app.openapi()["paths"].items() for method in methods}
    assert {row[0] for row in table(API, "route", "what it does")} == made | {"GET /metrics"}


def test_every_error_has_its_row() -> None:
    rows = {code: (int(status), title) for code, status, title, _ in table(API, "code", "status")}
    assert rows == {code: (kind.status, kind.title) for code, kind in errors.error_types().items()}


def turn_events() -> list[events.TurnEvent]:
    """A turn with a tool that works, one that fails, and an answer."""
    sha256 = "0" * 64
    origin = Provenance(
        tool="echo",
        version="1.0.0",
        checkpoint_sha256=None,
        preprocessing="none",
        input_sha256=(),
        output_sha256=sha256,
        seconds=0,
    )
    return [
        events.TurnStarted(turn_id="t", conversation_id="c", planner="scripted"),
        events.ThoughtsWritten(step=1, text="I will look."),
        events.PlanMade(step=1, plan=Plan(thoughts="I will look.", value="")),
        events.CallStarted(number=1, call_id="a", tool="echo", parameters={}),
        events.CallProgressed(number=1, call_id="a", progress=ToolProgress(fraction=0.5)),
        events.CallEnded(number=1, outcome=ToolResult(call_id="a", tool="echo", data={}, provenance=origin)),
        events.CallStarted(number=2, call_id="b", tool="echo", parameters={}),
        events.CallEnded(number=2, outcome=ToolFailure(call_id="b", tool="echo", code="worker_failed", message="")),
        events.AnswerWritten(text="It is there."),
    ]


def test_every_streaming_event_has_its_row() -> None:
    endings: list[events.TurnEvent] = [
        events.TurnCompleted(thoughts="", answer="It is there."),
        events.TurnFailed(problem=errors.WorkerError("It broke.").problem("-")),
    ]
    sent = []
    for ending in endings:
        stream = ResponseStream(
            events.TurnStarted(turn_id="t", conversation_id="c", planner="scripted"), created_at=1.0
        )
        for number, event in enumerate([*turn_events(), ending], 1):
            stored = events.StoredEvent(sequence=number, at=1.0, event=event)
            sent += [made["type"] for made in stream.translate(stored)]
    ended_early = "error"  # Made by the stream and not by the turn: tests/controller/test_revoked_streams.py.
    assert {row[0] for row in table(API, "event", "when")} == {*sent, ended_early}


def test_limits_are_those_of_the_code() -> None:
    assert dict(table(API, "what", "limit")) == {
        "an uploaded file": f"{default_of('max_upload_bytes') // MIB} MiB",
        "another request": f"{MAX_JSON_BYTES // MIB} MiB",
        "pixels of a frame": f"{MAX_PIXELS:,}",
        "side of a frame": f"{MAX_SIDE:,} pixels",
        "time to decode an image": f"{DEFAULT_TIMEOUT_S:g} s",
        "messages in a request": f"{MAX_MESSAGES}",
        "characters of text in a message": f"{MAX_MESSAGE_CHARACTERS:,}",
        "earlier messages of a conversation that the planner sees": f"{MAX_HISTORY}",
        "actions in a plan": f"{MAX_ACTIONS}",
        "rounds of actions in a turn": f"{default_of('max_steps')}",
        "time of a turn": f"{default_of('turn_deadline_s'):g} s",
        "time of a tool call": f"{default_of('tool_deadline_s'):g} s",
        "calls that wait, for each that runs in a worker": f"{QUEUE_FACTOR}",
        "answer of a worker": f"{MAX_ANSWER_BYTES // MIB} MiB",
        "rows of a list": f"{MAX_ROWS}",
    }


def commands() -> Iterator[tuple[str, list[Any]]]:
    """Each command's full name, and its parameters."""
    pending: list[tuple[str, Any]] = [("mmedagent", typer.main.get_command(command_line))]
    while pending:
        name, command = pending.pop()
        below = getattr(command, "commands", {})
        pending += [(f"{name} {word}", one) for word, one in below.items()]
        if not below:
            yield name, command.params


def test_every_command_has_its_section_and_every_option_is_in_it() -> None:
    found = dict(commands())
    headings = set(re.findall(r"^## (mmedagent .+)$", COMMANDS, re.MULTILINE))
    assert headings == found.keys()
    for name, parameters in found.items():
        words = set(spans(section(COMMANDS, name)))
        options = {option for one in parameters for option in (*one.opts, *one.secondary_opts) if option[:2] == "--"}
        assert options - {"--help"} <= words, f"{name}: undocumented options"


def test_every_setting_has_its_row_with_its_default() -> None:
    rows = {name: (variable, default) for name, variable, default, _ in table(SETTINGS, "setting", "variable")}
    fields = ControllerSettings.model_fields
    assert rows == {name: (f"MMEDAGENT_{name.upper()}", shown_default(field)) for name, field in fields.items()}


def shown_default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    match field.default:
        case None:
            return "none"
        case tuple():
            return json.dumps(field.default)
        case float():
            return f"{field.default:g}"
        case other:
            return str(other)


def test_every_variable_of_a_command_is_among_the_settings() -> None:
    variables = {one.envvar for _, parameters in commands() for one in parameters if one.envvar}
    assert variables <= set(spans(SETTINGS))


def test_the_examples_of_profiles_are_profiles() -> None:
    parsed = [tomllib.loads(block) for block in blocks(read("docs/profiles.md"), "toml")]
    assert len(parsed) > 2
    Profile(**parsed[0], folder=ROOT)
    for part in parsed[1:]:
        Profile(**{"planner": {}, "tools": {}, **part}, folder=ROOT)


@pytest.mark.parametrize("page", PAGES, ids=[path.relative_to(ROOT).as_posix() for path in PAGES])
def test_a_page_holds_together(page: Path) -> None:
    """Links and anchors lead somewhere, named files exist, JSON, TOML and Python can be read."""
    text = page.read_text("utf-8")
    for link in links(text):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target.read_text("utf-8")), f"{link} names no heading"
    for block in blocks(text, "json"):
        json.loads(block)
    for block in blocks(text, "toml"):
        tomllib.loads(block)
    for block in blocks(text, "python runnable"):
        compile(block, page.name, "exec")


@pytest.mark.parametrize(
    "page", [path for path in PAGES if path.parent in {ROOT, ROOT / "docs"}], ids=lambda one: one.name
)
def test_files_that_are_named_exist(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        return
    text = page.read_text("utf-8")
    named = {path for span in spans(text) if (path := span.split(" ")[0]) and PATH.fullmatch(path)}
    named |= set(re.findall(r"\bexamples/[\w.-]+", text))
    assert not {name for name in named if not (ROOT / name).exists()}


def test_every_picture_is_shown_somewhere_and_small() -> None:
    pictures = {path.name: path.stat().st_size for path in (ROOT / "docs" / "images").iterdir()}
    shown = {Path(link).name for page in PAGES for link in links(page.read_text("utf-8"))}
    assert pictures.keys() <= shown
    assert max(pictures.values()) <= MAX_PICTURE_BYTES


def test_make_targets_that_are_named_exist() -> None:
    known = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    named = {
        word for page in PAGES for word in re.findall(r"(?:^ {4}|`)make ([a-z-]+)", page.read_text(), re.MULTILINE)
    }
    assert named
    assert named <= known


def test_the_tree_of_errors_is_drawn_whole() -> None:
    drawn = set(re.findall(r"\b\w+Error\b", errors.__doc__ or ""))
    assert drawn == {kind.__name__ for kind in errors.error_types().values()}
