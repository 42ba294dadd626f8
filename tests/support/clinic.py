"""A consultation panel of a scripted planner and three specialists behind real servers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmedagent.model_worker.scripted import ScriptRule
from mmedagent.tool_workers.consultation import ConsultationTool
from support.chat_endpoint import ChatEndpoint, Reply, running_endpoint
from support.doctors import because
from support.images import png_bytes
from support.script import action, answer, rule, told
from support.system import System, running_system

QUESTION = "Which of these does the skin show?"
OPTIONS = ["naevus", "melanoma", "wart"]
SENTENCE = "Ask the panel what the skin shows"
RULES = [
    told("panel", action("consultation", question=QUESTION, options=OPTIONS)),
    told("open", action("consultation", question=QUESTION)),
    ScriptRule(contains="sends each case to the right specialty", completion=because("dermatologist", "It is skin.")),
    ScriptRule(
        contains="You are the attending physician",
        completion=because("B. melanoma", "The border is irregular, so I overrule dermatologist 2."),
    ),
    rule("", answer("Fine.")),
]
PANEL = """
[triage]
backend = "planner"
[attending]
backend = "planner"
max_tokens = 300
[backends.planner]
kind = "completion"
model = "scripted"
"""
SEAT = """
[[specialists]]
backend = "s{number}"
temperature = {temperature}
[backends.s{number}]
kind = "endpoint"
url = "{url}"
model = "doctor-{number}"
vision = {vision}
"""


@dataclass
class Clinic:
    """The system, and the servers of its three specialists."""

    system: System
    seats: list[ChatEndpoint]

    def ask(self, replies: list[Reply], text: str = SENTENCE) -> dict[str, Any]:
        """The consultation's result when the specialists answer so, about an image that nobody was asked about."""
        for seat, reply in zip(self.seats, replies, strict=True):
            seat.asked.clear()
            seat.replies.append(reply)
        file_id = self.system.upload(png_bytes(width=1_100, height=20, seed=len(self.seats[0].paths)))
        content = [{"type": "input_text", "text": text}, {"type": "input_image", "file_id": file_id}]
        body = {"input": [{"role": "user", "content": content}]}
        items = self.system.http.post("/v1/responses", json=body).json()["output"]
        (call,) = [item for item in items if item["type"] == "mcp_call"]
        assert call["status"] == "completed", call
        return dict(json.loads(call["output"]))


@contextmanager
def running_clinic(folder: Path, **settings: Any) -> Iterator[Clinic]:
    """The whole system with its panel; `settings` are the controller's."""
    with ExitStack() as stack:
        seats = [stack.enter_context(running_endpoint()) for _ in range(3)]
        chairs = [
            SEAT.format(number=number, url=seat.url, vision=str(number == 1).lower(), temperature=0.5)
            for number, seat in enumerate(seats, 1)
        ]
        (folder / "panel.toml").write_text(PANEL + "".join(chairs))
        tool = ConsultationTool(checkpoint=folder)
        yield Clinic(stack.enter_context(running_system(folder, RULES, [tool], **settings)), seats)
