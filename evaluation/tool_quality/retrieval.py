"""Retrieval: how often the right section is among three passages, and how long a question takes."""

from __future__ import annotations

import statistics
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from mmedagent.evaluation.tool_quality.driver import Driver
from mmedagent.evaluation.tool_quality.figures import Figure, Target, share
from mmedagent.protocol.errors import InvalidRequestError

LEAST_RECALL, MOST_MS = 0.95, 50.0
TOP_K = 3


@dataclass(frozen=True)
class Question:
    """A question and the section that answers it; without a condition nothing should be found."""

    text: str
    condition: str = ""
    section: str = ""


def read_questions(text: str) -> list[Question]:
    """Questions of a TOML file: lists [question, condition, section], or [question] alone for what has no answer.

    They may lie in lists or tables of any name and depth. Raises `InvalidRequestError` when there is none.
    """
    found = list(_questions(tomllib.loads(text)))
    if not found:
        raise InvalidRequestError("The file holds no questions.")
    return found


def measure(driver: Driver, questions: Sequence[Question]) -> list[Figure]:
    """Recall, silence where there is nothing to find, and time of a question."""
    first, condition, among, silent, seconds = [], [], [], [], []
    for question in questions:
        answer = driver.ask({"query": question.text, "top_k": TOP_K})
        seconds.append(answer.seconds)
        rows = cast("list[dict[str, str]]", answer.data["passages"])
        found = [(row["condition"], row["section"]) for row in rows]
        if not question.condition:
            silent.append(not found)
            continue
        wanted = (question.condition, question.section)
        first.append(bool(found) and found[0] == wanted)
        condition.append(any(name == question.condition for name, _ in found))
        among.append(wanted in found)
    median = 1000 * statistics.median(seconds) if seconds else None
    recall = f"recall@{TOP_K} of the right section"
    return [
        Figure(name=recall, value=share(among), count=len(among), target=Target(bound=LEAST_RECALL)),
        Figure(name="right condition among them", value=share(condition), count=len(condition), part_of=recall),
        Figure(name="right section first", value=share(first), count=len(first), part_of=recall),
        Figure(name="questions without an answer left unanswered", value=share(silent), count=len(silent)),
        Figure(
            name="time of a question on the shipped index, median",
            value=median,
            unit="ms",
            count=len(seconds),
            target=Target(bound=MOST_MS, at_least=False),
        ),
    ]


def _questions(node: Any, inside_list: bool = False) -> Iterator[Question]:
    if isinstance(node, str):
        yield Question(node)
    elif isinstance(node, dict) and "question" in node:
        yield Question(node["question"], node.get("condition", ""), node.get("section", ""))
    elif isinstance(node, dict):
        for one in node.values():
            yield from _questions(one)
    elif isinstance(node, list) and inside_list and len(node) == 3:
        yield Question(*map(str, node))
    elif isinstance(node, list):
        for one in node:
            yield from _questions(one, inside_list=True)
