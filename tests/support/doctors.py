"""Doctors in the process of the test, who say what the test wrote down for their role, and what they were asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmedagent.protocol.consultation import Reply, format_reply
from mmedagent.protocol.invocation import ToolCall
from mmedagent.protocol.types import JsonObject
from mmedagent.serving.context import RunContext
from mmedagent.serving.schemas import CardValidator
from mmedagent.serving.tool import ToolOutput
from mmedagent.tool_workers.consultation import ConsultationTool
from mmedagent.tool_workers.consultation.doctors import Said, Task, Visit
from mmedagent.tool_workers.consultation.prompts import Prompts

Says = Callable[[Task, Visit], str]


def because(answer: str, rationale: str = "It looks so.") -> str:
    return format_reply(Reply(rationale, answer))


class Speaker:
    """A doctor. `says` gives the reply to a task. Keeps the tasks, and when it worked on each, from and to."""

    def __init__(self, name: str, says: Says) -> None:
        self.name = name
        self.identity = f"speaker {name}"
        self.loaded_on = ""
        self.tasks: list[Task] = []
        self.visits: list[Visit] = []
        self.spans: list[tuple[float, float]] = []
        self._says = says
        self._lock = threading.Lock()

    def load(self, device: str) -> None:
        self.loaded_on = device

    def answer(self, task: Task, visit: Visit) -> Said:
        with self._lock:
            self.tasks.append(task)
            self.visits.append(visit)
        since = time.monotonic()
        said = Said(self._says(task, visit), self.name)
        with self._lock:
            self.spans.append((since, time.monotonic()))
        return said


def says(reply: str) -> Says:
    return lambda _, __: reply


def write_panel(folder: Path, seats: Sequence[str], more: str = "") -> Path:
    """A panel of speakers: `triage`, `attending` and a seat for each name."""
    names = dict.fromkeys(("triage", "attending", *seats))
    backends = "".join(f'[backends.{name}]\nkind = "speaker"\nname = "{name}"\n' for name in names)
    chairs = "".join(f'[[specialists]]\nbackend = "{name}"\n' for name in seats)
    roles = '[triage]\nbackend = "triage"\n' if "[triage]" not in more else ""
    roles += '[attending]\nbackend = "attending"\n' if "[attending]" not in more else ""
    (folder / "panel.toml").write_text(f"{more}\n{roles}{chairs}{backends}")
    return folder


def panel_of(folder: Path, speakers: Mapping[str, Speaker]) -> ConsultationTool:
    """The loaded tool whose doctors are the speakers of these names."""

    def speaker(table: dict[str, Any], _: Path, __: Prompts) -> Speaker:
        return speakers[table["name"]]

    tool = ConsultationTool(checkpoint=folder, kinds={"speaker": speaker})
    tool.load("cpu")
    return tool


def speakers(attending: Says, *specialists: Says, triage: Says | None = None) -> dict[str, Speaker]:
    """`triage` chooses the radiologist unless told otherwise; the specialists are called `s1`, `s2` and so on."""
    made = {"triage": Speaker("triage", triage or says(because("radiologist")))}
    made["attending"] = Speaker("attending", attending)
    return made | {f"s{number}": Speaker(f"s{number}", one) for number, one in enumerate(specialists, 1)}


def consult(tool: ConsultationTool, call: ToolCall, context: RunContext) -> dict[str, Any]:
    """The data of a call that works; what the card promises is checked."""
    (output,) = tool.run([call], context)
    assert isinstance(output, ToolOutput), output
    data: JsonObject = output.data
    CardValidator(tool.card).check_result(data)
    return dict(data)
