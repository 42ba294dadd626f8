"""The grammar of a plan: what a planner may write, given the tools that are registered and the results so far.

Written in the Lark dialect of llguidance (MIT), with the parameters of each tool as JSON Schema inside:
https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

from mmedagent.model_worker.llava.numbers import numbers_known, text_with
from mmedagent.model_worker.llava.schema import narrowed, with_references
from mmedagent.model_worker.llava.spans import SpanPatterns
from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.invocation import ToolResult
from mmedagent.protocol.plan import MAX_ACTIONS, Step
from mmedagent.protocol.planner_format import ACTIONS, THOUGHTS, VALUE
from mmedagent.protocol.types import JsonSchema

JSON_STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""As `json.dumps` writes, and with it `render_plan`."""

TEXT_TERMINALS = r"""
THOUGHTS: /[^\x00-\x1f\x7f🚀]*/
ANSWER: VALUE & /[^\x00-\x20\x7f\u{85}\p{Z}](?s:.*)/
"""
"""Thoughts are one line without the sign of the next marker; an answer begins with something that can be seen."""

ANY_TEXT = r"[^\x00-\x08\x0b-\x1f\x7f]*"

Field = tuple[int, str, JsonSchema]


@dataclass(frozen=True)
class WrittenActions:
    """The actions that have been written in full: their text from the bracket on, and the names that they call."""

    text: str = ""
    names: tuple[str, ...] = ()


class PlanGrammar:
    """Grammars of one step. `refusal` says why a JSON Schema cannot be written, or gives an empty text.

    A tool whose parameters cannot be expressed is left out, so that no plan can break its schema; `left_out` says why.
    With `words`, free texts in the parameters are stretches of the user's words, and numbers in an answer are numbers
    that are there.
    """

    def __init__(
        self,
        tools: Sequence[ToolCard],
        steps: Sequence[Step],
        refusal: Callable[[JsonSchema], str],
        words: Sequence[str] | None = None,
    ) -> None:
        self.left_out: dict[str, str] = {}
        spans = SpanPatterns(words) if words is not None else None
        self._parameters: dict[str, JsonSchema] = {}
        for card in tools:
            try:
                schema = narrowed(card.parameters)
                reason = refusal({**schema, "x-guidance": JSON_STYLE})
            except ValueError as error:
                reason = str(error)
            if reason:
                self.left_out[card.name] = reason
            else:
                self._parameters[card.name] = schema if spans is None else spans.within(schema)
        self._tools = [card for card in tools if card.name in self._parameters]
        self._before = sum(len(step.plan.actions) for step in steps)
        self._found = _fields_found(steps, tools)
        self._value = ANY_TEXT if words is None else text_with(_numbers(words, steps))

    def text(self, written: WrittenActions) -> str:
        """The grammar of the whole plan, in which the actions that are written already stay as they are.

        An action may refer to results of earlier plans, and to those actions of this plan that have been written.
        """
        rules = [self._start(written), TEXT_TERMINALS, f"VALUE: /{self._value}/"]
        fields = [*self._found, *self._fields_promised(written.names)]
        for place, card in enumerate(self._tools):
            names = " | ".join(_literal(json.dumps(name, ensure_ascii=False)) for name in (card.name, *card.aliases))
            opening, middle = _literal('{"API_name": '), _literal(', "API_params": ')
            schema = {**with_references(self._parameters[card.name], fields), "x-guidance": JSON_STYLE}
            rules.append(f"action_{place}: {opening} ({names}) {middle} parameters_{place} {_literal('}')}")
            rules.append(f"parameters_{place}: %json {json.dumps(schema)}")
        return "\n".join(rules)

    def _start(self, written: WrittenActions) -> str:
        before, between = f"{THOUGHTS} ", f"\n{ACTIONS} "
        opening = f'start: " "? {_literal(before)} THOUGHTS {_literal(between)}'
        closing = _literal(f"\n{VALUE} ")
        action = "(" + " | ".join(f"action_{place}" for place in range(len(self._tools))) + ")"
        left = MAX_ACTIONS - len(written.names)
        more = f'(", " {action}){{0,{left}}}' if self._tools and left else ""
        if written.names:
            return f'{opening} {_literal(written.text)} {more} "]" {closing} VALUE'
        calls = f' | "[" {action} (", " {action}){{0,{left - 1}}} "]" {closing} VALUE' if self._tools else ""
        return f'{opening} ("[]" {closing} ANSWER{calls})'

    def _fields_promised(self, names: Sequence[str]) -> list[Field]:
        fields: list[Field] = []
        for number, name in enumerate(names, self._before + 1):
            fields += [(number, field, schema) for field, schema in _result_of(name, self._tools).items()]
        return fields


def _fields_found(steps: Sequence[Step], tools: Sequence[ToolCard]) -> list[Field]:
    """What results of earlier plans hold. An empty field would only make an action that refers to it be skipped."""
    fields: list[Field] = []
    for number, outcome in enumerate(chain.from_iterable(step.outcomes for step in steps), 1):
        if isinstance(outcome, ToolResult):
            known = _result_of(outcome.tool, tools)
            fields += [(number, name, known[name]) for name, data in outcome.data.items() if data and name in known]
    return fields


def _numbers(words: Sequence[str], steps: Sequence[Step]) -> list[str]:
    outcomes = list(chain.from_iterable(step.outcomes for step in steps))
    results = [outcome.data for outcome in outcomes if isinstance(outcome, ToolResult)]
    return numbers_known(words, results, len(outcomes))


def _result_of(name: str, tools: Sequence[ToolCard]) -> dict[str, JsonSchema]:
    """The schema of each field of a tool's result; none for a tool that is not there."""
    return next((card.result.get("properties", {}) for card in tools if card.answers_to(name)), {})


def _literal(text: str) -> str:
    return json.dumps(text)
