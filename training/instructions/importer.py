"""Reads instruction data: MMedAgent's `instruction_all.json`, and files of LLaVA and LLaVA-Med.

A plain LLaVA reply, which has a value and no thoughts or actions, becomes a plan without actions, as the prompt shows
every earlier answer. Nothing is repaired: a row that is no dialogue is an error that says which row, why, and what to
do; or such rows are left out, and counted by their reason.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from json import JSONDecodeError
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from mmedagent.protocol.errors import InvalidRequestError, MalformedPlanError
from mmedagent.protocol.plan import Plan
from mmedagent.protocol.planner_format import THOUGHTS, parse_plan, read_action
from mmedagent.protocol.prompts import IMAGE_TOKEN
from mmedagent.protocol.strict_json import read_json
from mmedagent.protocol.types import MAX_TEXT
from mmedagent.training.instructions.dialogues import Dialogue, Exchange

MAX_FILE_BYTES = 2 * 2**30
MAX_EXCHANGES = 32
MAX_NAME = 500
NAMES = ("image_id", "id")
KNOWN = frozenset({*NAMES, "image", "conversations"})
HUMAN, PLANNER = "human", "gpt"


@dataclass(frozen=True)
class Imported:
    """What a file holds.

    Attributes:
        dialogues: the rows that are dialogues, in their order.
        left_out: how many rows were left out, by reason.
        ignored: in how many rows a field was not read, by field; such fields describe the image in LLaVA-Med's data.
    """

    dialogues: tuple[Dialogue, ...]
    left_out: Counter[str]
    ignored: Counter[str]


class _BadRowError(Exception):
    """Why a row is no dialogue, in words that hold for many rows, and what to do about it."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.advice = advice


def read_dialogues(path: Path, *, leave_out: bool = False) -> Imported:
    """Read a file of instruction data.

    Args:
        path: a JSON file with one list of rows.
        leave_out: go on without rows that are no dialogues, instead of stopping at the first.

    Raises:
        InvalidRequestError: the file is missing, too large or not such a list, or a row is no dialogue.
    """
    dialogues: list[Dialogue] = []
    left_out: Counter[str] = Counter()
    ignored: Counter[str] = Counter()
    for number, row in enumerate(_rows(path), 1):
        try:
            dialogues.append(_dialogue(row))
        except _BadRowError as problem:
            if not leave_out:
                raise InvalidRequestError(f"{path.name}, {_place(number, row)}: {problem}. {problem.advice}") from None
            left_out[problem.reason] += 1
        else:
            ignored.update(str(field) for field in row if field not in KNOWN)
    return Imported(tuple(dialogues), left_out, ignored)


def _rows(path: Path) -> list[Any]:
    if not path.is_file():
        raise InvalidRequestError(f"There is no file {path}. Give the path of a JSON file of dialogues.")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise InvalidRequestError(
            f"{path.name} is larger than {MAX_FILE_BYTES // 2**30} GiB. Cut it into several files."
        )
    try:
        text = path.read_text("utf-8").strip()
        rows, end = read_json(text)
    except UnicodeDecodeError:
        raise InvalidRequestError(f"{path.name} is not UTF-8. Save it as UTF-8.") from None
    except ValueError as error:
        cause = error.__cause__
        where = f", line {cause.lineno}" if isinstance(cause, JSONDecodeError) else ""
        raise InvalidRequestError(f"{path.name} is {error}{where}. Get the file again, or mend it there.") from error
    if not isinstance(rows, list) or text[end:]:
        raise InvalidRequestError(f"{path.name} is not one JSON list of rows. JSON Lines have to be made a list first.")
    return rows


def _place(number: int, row: object) -> str:
    name = next((row[key] for key in NAMES if key in row), None) if isinstance(row, dict) else None
    return f"row {number}" if name is None else f"row {number} ({str(name)[:80]})"


def _dialogue(row: Any) -> Dialogue:
    if not isinstance(row, dict):
        raise _BadRowError("it is no JSON object", 'A row is {"image_id", "image", "conversations"}.')
    image = _image(row.get("image"))
    turns = row.get("conversations")
    if not isinstance(turns, list) or not turns or len(turns) % 2 or len(turns) > 2 * MAX_EXCHANGES:
        raise _BadRowError(
            f"its conversations are no list of 1 to {MAX_EXCHANGES} questions with a reply each",
            "Give every question its reply, or delete the row.",
        )
    exchanges = [_exchange(*pair) for pair in zip(turns[::2], turns[1::2], strict=True)]
    first = _without_marker(exchanges[0].said, bool(image))
    if any(IMAGE_TOKEN in exchange.said for exchange in exchanges[1:]):
        raise _BadRowError(f"a later question holds {IMAGE_TOKEN}", "Only the first question can show an image.")
    if not first.strip():
        raise _BadRowError("its first question is empty", "Write what is asked, or delete the row.")
    return Dialogue(_name(row), image, (Exchange(first, exchanges[0].plan), *exchanges[1:]))


def _name(row: dict[str, Any]) -> str:
    name = next((row[key] for key in NAMES if row.get(key) is not None), "")
    if not isinstance(name, str | int) or len(str(name)) > MAX_NAME:
        raise _BadRowError("its image_id is neither text nor a number", "Give the row a short name.")
    return str(name)


def _image(value: object) -> str:
    """A path that stays inside the folder of images."""
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_NAME:
        raise _BadRowError("its image is no path", "Give one path inside the folder of images, or leave it out.")
    if value.startswith("/") or "\\" in value or ":" in value or ".." in PurePosixPath(value).parts:
        raise _BadRowError("its image lies outside the folder of images", "Give a path inside that folder.")
    return value


def _without_marker(said: str, has_image: bool) -> str:
    """The words of the first question; the prompt has its own place for the image, before them."""
    if said.count(IMAGE_TOKEN) != has_image:
        if not has_image:
            raise _BadRowError(f"it holds {IMAGE_TOKEN} and names no image", "Name the image, or delete the marker.")
        raise _BadRowError(
            f"it names an image, and its first question does not hold {IMAGE_TOKEN} once",
            f"Begin the question with {IMAGE_TOKEN} and a line break, or leave the image out.",
        )
    for marker in (f"{IMAGE_TOKEN}\n", f"\n{IMAGE_TOKEN}", IMAGE_TOKEN):
        said = said.replace(marker, "")
    return said


def _exchange(human: Any, planner: Any) -> Exchange:
    if _speaker(human) != HUMAN or _speaker(planner) != PLANNER:
        raise _BadRowError(f'its turns are not "{HUMAN}" and "{PLANNER}" in turn', "Bring them in this order.")
    if set(human) != {"from", "value"} or not _is_text(human["value"]):
        raise _BadRowError(
            f"a question is not one text of at most {MAX_TEXT:,} characters",
            'A question has "from" and "value", and nothing else.',
        )
    return Exchange(human["value"], _plan(planner))


def _speaker(turn: Any) -> object:
    return turn.get("from") if isinstance(turn, dict) else None


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT


def _plan(turn: dict[str, Any]) -> Plan:
    fields = turn.keys() - {"from"}
    texts = [turn[name] for name in ("thoughts", "value") if name in turn]
    if fields not in ({"value"}, {"thoughts", "actions", "value"}) or not all(map(_is_text, texts)):
        raise _BadRowError(
            "a reply has neither a value alone nor thoughts, actions and value",
            f"Give all three, thoughts and value as texts of at most {MAX_TEXT:,} characters.",
        )
    try:
        plan = _plan_of(turn)
    except MalformedPlanError as error:
        raise _BadRowError("a reply is no plan", f"{error.detail} Mend it, or delete the row.") from error
    except ValidationError as error:
        raise _BadRowError("a reply is a plan over its bounds", "Make it shorter, or delete the row.") from error
    if not (plan.value or plan.actions):
        raise _BadRowError("a reply has neither actions nor a value", "Write the answer, or delete the row.")
    return plan


def _plan_of(turn: dict[str, Any]) -> Plan:
    value = turn["value"].strip()
    if "thoughts" not in turn:
        return parse_plan(value) if value.startswith(THOUGHTS) else Plan(thoughts="", value=value)
    if not isinstance(turn["actions"], list):
        raise MalformedPlanError("The actions are not a list.")
    actions = tuple(read_action(entry) for entry in turn["actions"])
    return Plan(thoughts=turn["thoughts"].strip(), actions=actions, value=value)
