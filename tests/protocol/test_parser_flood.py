"""A hundred thousand outputs of a planner, valid, damaged and hostile, through the parser: each is a plan or refused,
and reading one runs nothing, imports nothing, and touches no file and no network."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.errors import MalformedPlanError
from mmedagent.protocol.plan import Action, Plan
from mmedagent.protocol.planner_format import ACTIONS, THOUGHTS, VALUE, parse_plan, render_plan

OUTPUTS = 100_000
EXAMPLES = [(card.name, example) for card in built_in_cards() for example in card.examples]
FORBIDDEN = ("exec", "compile", "import", "open", "os.", "subprocess.", "socket.", "shutil.", "ctypes.", "pickle.")
PAYLOADS = (
    "__import__('os').system('touch owned')", "$(touch owned)", "`touch owned`", "; rm -rf /", "{{7*7}}", "${jndi:ldap://x}",
    "<script>alert(1)</script>", "!!python/object/apply:os.system ['touch owned']", "../../etc/passwd", "file:///etc/passwd",
    "http://127.0.0.1:1/x", "\x00\x1b[2J", "NaN", "1e999", "cos\nsystem\n(S'touch owned'\ntR.", "' OR 1=1 --",
)  # fmt: skip
NOISE = (
    '"',
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\\",
    "\n",
    "\ud83d",
    "\u202e",
    THOUGHTS,
    ACTIONS,
    VALUE,
    "null",
    "0",
    "-",
    " ",
)
watched: list[Counter[str]] = []


def watch(event: str, _: tuple[Any, ...]) -> None:
    if watched and event.startswith(FORBIDDEN):
        watched[-1][event] += 1


sys.addaudithook(watch)


def valid(random: Random) -> str:
    chosen = random.sample(EXAMPLES, random.randint(0, 3))
    actions = tuple(Action(API_name=tool, API_params=example.parameters) for tool, example in chosen)
    return render_plan(
        Plan(thoughts=f"Wanted: {len(actions)}.", actions=actions, value=random.choice(PAYLOADS).strip("\x00"))
    )


def damaged(random: Random) -> str:
    text = valid(random)
    for _ in range(random.randint(1, 5)):
        place, width = random.randrange(len(text) + 1), random.randint(0, 12)
        match random.randrange(4):
            case 0:
                text = text[:place]
            case 1:
                text = text[:place] + text[place + width :]
            case 2:
                text = text[:place] + random.choice(NOISE) * random.randint(1, 3) + text[place:]
            case _:
                text = text[:place] + text[place : place + width] * 2 + text[place:]
    return text


def hostile(random: Random) -> str:
    payload = random.choice(PAYLOADS)
    deep = random.choice((3, 40, 2_000))
    actions = random.choice(
        (
            payload,
            json.dumps([{"API_name": payload, "API_params": {"image": payload, payload: payload}}]),
            json.dumps([{"API_name": "grounding", "API_params": {"prompts": [payload]}, payload: 1}]),
            json.dumps(
                [{"API_name": "grounding", "API_params": {"prompts": [payload] * 50}}] * random.choice((1, 200))
            ),
            "[" * deep + "]" * deep,
            '[{"API_name":' * deep,
            f'[{{"API_name": "grounding", "API_params": {{"prompts": {payload}}}}}]',
            '[{"API_name": "grounding", "API_name": "consultation", "API_params": {}}]',
        )
    )
    return f"{THOUGHTS} {payload}\n{ACTIONS} {actions}\n{VALUE} {payload}"


def outputs(random: Random) -> Iterator[tuple[str, str]]:
    kinds: tuple[Callable[[Random], str], ...] = (valid, damaged, hostile)
    for number in range(OUTPUTS):
        kind = kinds[number % len(kinds)]
        yield kind.__name__, kind(random)


def test_each_output_is_a_plan_or_refused_and_nothing_else_happens() -> None:
    random = Random(20261127)  # noqa: S311 - test data, not secrets
    counts: Counter[tuple[str, bool]] = Counter()
    events: Counter[str] = Counter()
    for kind, text in outputs(random):
        watched.append(events)
        try:
            plan = parse_plan(text)
        except MalformedPlanError:
            plan = None
        finally:
            watched.clear()
        counts[kind, plan is not None] += 1
        if plan is not None:
            assert parse_plan(render_plan(plan)) == plan
    assert not events
    assert counts["valid", False] == 0
    assert counts["damaged", False] > counts["damaged", True] > 100
    assert counts["hostile", False] > 0
    assert sum(counts.values()) == OUTPUTS


def test_the_watch_sees_what_it_is_for() -> None:
    events: Counter[str] = Counter()
    watched.append(events)
    try:
        compile("1", "x", "eval")
        Path(__file__).read_bytes()
    finally:
        watched.clear()
    assert set(events) == {"compile", "open"}
