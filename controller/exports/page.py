"""A conversation as one page to print: nothing in it runs, nothing is loaded, and every text is escaped."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mmedagent.controller.exports.bundle import Bundle
from mmedagent.controller.exports.drawing import Easel
from mmedagent.controller.naming import turn_id_of
from mmedagent.protocol.errors import TooLargeError

MAX_BYTES = 64 * 2**20
"""Of the pictures in a page, which a browser holds in memory."""

_FOLDER = Path(__file__).parent


class HtmlFormat:
    """One file with its pictures in it. Its policy allows pictures and its own style, also when opened from a disk."""

    media_type = "text/html; charset=utf-8"

    def __init__(self) -> None:
        self._style = (_FOLDER / "page.css").read_text("utf-8")
        style_hash = base64.b64encode(hashlib.sha256(self._style.encode()).digest()).decode()
        self._policy = f"default-src 'none'; img-src data:; style-src 'sha256-{style_hash}'; form-action 'none'"
        self.headers = {"Content-Security-Policy": f"{self._policy}; sandbox"}
        environment = Environment(
            loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        environment.filters |= {"time": _time, "json": _json}
        self._template = environment.get_template("page.html.jinja")

    def write(self, bundle: Bundle) -> Iterator[bytes]:
        album = _Album(bundle)
        page = self._template.render(
            document=bundle.document,
            turns=[_turn(turn, album) for turn in bundle.document["turns"]],
            labels=_labels(bundle),
            style=self._style,
            policy=self._policy,
        )
        return iter([page.encode()])


class _Album:
    """The pictures of a conversation as data URIs. Raises `TooLargeError` when they become too many."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._easel = Easel(bundle.blobs.get)
        self._bytes = 0
        self._shown: set[str | None] = set()

    def frames(self, file_id: str | None) -> list[str]:
        """The display frame of a file, while it is there; only the first time it is asked for."""
        if file_id in self._shown:
            return []
        self._shown.add(file_id)
        wanted = {file["frame_sha256"] for file in self._bundle.document["files"] if file["id"] == file_id}
        pasted = []
        for one in self._bundle.pictures:
            if one.sha256 in wanted and one.path.is_file():
                self._require_room(one.bytes)
                pasted.append(self._paste(one.path.read_bytes()))
        return pasted

    def overlays(self, turn_id: str) -> list[str | None]:
        """The overlays of a turn, each None where it is too much to draw."""
        drawn = (self._easel.draw(one.drawing) for one in self._bundle.overlays if one.turn_id == turn_id)
        return [None if png is None else self._paste(png) for png in drawn]

    def _paste(self, png: bytes) -> str:
        self._require_room(len(png))
        self._bytes += len(png)
        return f"data:image/png;base64,{base64.b64encode(png).decode()}"

    def _require_room(self, size: int) -> None:
        if self._bytes + size > MAX_BYTES:
            raise TooLargeError(f"The pictures are more than {MAX_BYTES // 2**20} MiB; export a zip instead.")


def _turn(turn: dict[str, Any], album: _Album) -> dict[str, Any]:
    """A turn as the page shows it, its calls in the order in which the answer counts them."""
    parameters = {body["call_id"]: body["parameters"] for body in _bodies(turn, "call.started")}
    calls = [
        {
            **(outcome := body["outcome"]),
            "number": body["number"],
            "parameters": parameters.get(outcome["call_id"], {}),
            "why": outcome.get("message") or outcome.get("reason"),
        }
        for body in _bodies(turn, "call.ended")
    ]
    thoughts = [body["plan"]["thoughts"] for body in _bodies(turn, "plan.completed")]
    return {
        **turn,
        "thoughts": [*thoughts, *(body["thoughts"] for body in _bodies(turn, "turn.completed"))],
        "calls": sorted(calls, key=lambda call: int(call["number"])),
        "problem": next((body["problem"]["detail"] for body in _bodies(turn, "turn.failed")), None),
        "frames": album.frames(turn["file_id"]),
        "overlays": album.overlays(turn_id_of(turn["id"])),
    }


def _bodies(turn: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [event["event"] for event in turn["events"] if event["event"]["type"] == kind]


def _labels(bundle: Bundle) -> list[str]:
    """What the results say about the weights that they come from."""
    found = (result.provenance.label for turn in bundle.turns for result in turn.results())
    return sorted({label for label in found if label})


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1)
