"""`mmedagent evaluate evidence`: whether the numbers of answers lead to results, and invented ones are marked."""

from __future__ import annotations

import json as jsons
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmedagent.cli.client import ApiClient
from mmedagent.cli.options import ApiKey, FiguresFile, ProfileName
from mmedagent.cli.paths import MODELS
from mmedagent.protocol.claims import Claim
from mmedagent.protocol.errors import InvalidRequestError, ServiceError
from mmedagent.protocol.invocation import ImageRef, Outcome, ToolFailure, ToolResult
from mmedagent.protocol.plan import MAX_ACTIONS, Action, Plan, Step

if TYPE_CHECKING:
    from mmedagent.evaluation.evidence import EvidenceFigures, EvidenceTurn
    from mmedagent.evaluation.tool_selection.asks import Dialogue

EXAMPLES = MODELS.parent / "examples"
SEED = 7


def evaluate_evidence(
    file: Annotated[
        Path | None, typer.Argument(help="Dialogues, one JSON object a line; generated ones when left out.")
    ] = None,
    turns: Annotated[int, typer.Option(min=1, max=5_000, help="Turns to ask.")] = 200,
    profile: ProfileName = "embedded",
    url: Annotated[
        str | None, typer.Option(help="Ask a running server, such as http://127.0.0.1:8000, instead of starting one.")
    ] = None,
    api_key: ApiKey = None,
    json: FiguresFile = None,
) -> None:
    """Measure evidence: numbers of answers that resolve to a stored result, and planted numbers that are marked."""
    from mmedagent.cli.system import system_at
    from mmedagent.evaluation.evidence import EvidenceCount
    from mmedagent.evaluation.tool_selection.asks import read_dialogues

    dialogues = _generated(turns) if file is None else _chosen(read_dialogues(file), turns)
    with ExitStack() as stack:
        address = stack.enter_context(system_at(url, profile))
        client = stack.enter_context(ApiClient(address, api_key))
        talks = _Talks(client, Path(stack.enter_context(TemporaryDirectory(prefix="mmedagent-asks-"))))
        count = EvidenceCount(talks.claims_of, Random(SEED))  # noqa: S311 - for drawing numbers to plant
        for dialogue in track(dialogues, "talking", console=Console(stderr=True)):
            for turn in talks.turns(dialogue):
                count.add(turn)
    if json is not None:
        json.write_text(count.figures.model_dump_json(indent=1) + "\n", "utf-8")
    Console().print(_table(count.figures))


def _generated(turns: int) -> list[Dialogue]:
    from mmedagent.evaluation.evidence_asks import generated

    files = sorted(str(path) for path in EXAMPLES.glob("*.dcm"))
    return generated(Random(SEED), turns, files)  # noqa: S311 - no secret


def _chosen(dialogues: Sequence[Dialogue], turns: int) -> list[Dialogue]:
    """Dialogues from all over the file with so many turns in all. Raises `InvalidRequestError` when it has fewer."""
    total = sum(len(one.turns) for one in dialogues)
    if total < turns:
        raise InvalidRequestError(f"The file has {total} turns only.")
    order = list(dialogues)
    Random(SEED).shuffle(order)  # noqa: S311 - no secret
    chosen: list[Dialogue] = []
    left = turns
    for dialogue in order:
        if left:
            chosen.append(dialogue.model_copy(update={"turns": dialogue.turns[:left]}))
            left -= len(chosen[-1].turns)
    return chosen


@dataclass
class _Talks:
    """Holds dialogues with a server. Each picture is uploaded once."""

    client: ApiClient
    folder: Path
    uploaded: dict[str, dict[str, Any]] = field(default_factory=dict)
    images: dict[str, ImageRef] = field(default_factory=dict)

    def turns(self, dialogue: Dialogue) -> Iterator[EvidenceTurn]:
        from mmedagent.cli.ask_pictures import as_file

        if dialogue.image is not None and dialogue.image not in self.uploaded:
            self.uploaded[dialogue.image] = self.client.upload(as_file(dialogue.image, self.folder))
        file = self.uploaded[dialogue.image] if dialogue.image is not None else None
        conversation, earlier = self.client.new_conversation(), list["EvidenceTurn"]()
        for ask in dialogue.asks():
            output = _output(self.client.ask(ask.text, str(file["id"]) if file else None, conversation))
            if file is not None:
                self.images[ask.id] = ImageRef.model_validate(file["frame"])
            earlier.append(_turn(ask.id, ask.text, output, earlier))
            yield earlier[-1]

    def claims_of(self, turn: EvidenceTurn, text: str) -> Sequence[Claim]:
        """What the controller's own function makes of another answer to the same turn."""
        from mmedagent.controller.evidence.answers import with_evidence
        from mmedagent.controller.evidence.sources import Basis
        from mmedagent.protocol.cards import built_in_cards

        cards = {card.name: card for card in built_in_cards()}
        earlier = [claim for one in turn.earlier for claim in one.claims]
        return with_evidence(text, Basis(turn.question, _steps(turn), cards, self.images.get(turn.name), earlier))[1]


def _output(events: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """The items of a turn. Raises `ServiceError` when it fails."""
    for event in events:
        if event["type"] == "response.completed":
            return list(event["response"]["output"])
        if event["type"] == "response.failed":
            raise ServiceError(str(event["response"]["error"]["message"]))
    raise ServiceError("The server ended the answer too early.")


def _turn(name: str, question: str, output: list[dict[str, Any]], earlier: Sequence[EvidenceTurn]) -> EvidenceTurn:
    from mmedagent.evaluation.evidence import Call, EvidenceTurn

    message = output[-1]
    return EvidenceTurn(
        name=name,
        question=question,
        text=message["content"][0]["text"] if message["content"] else "",
        claims=[Claim.model_validate(one) for one in message["mmedagent"]["claims"]],
        calls=[Call(jsons.loads(one["arguments"]), _outcome(one)) for one in output if one["type"] == "mcp_call"],
        earlier=tuple(earlier),
    )


def _outcome(item: dict[str, Any]) -> Outcome:
    """What a stored call came to. Of one without result, whether it failed or was skipped makes no difference here."""
    call_id, tool = str(item["id"]).removeprefix("mcp_"), str(item["name"])
    if item["output"] is not None:
        return ToolResult(call_id=call_id, tool=tool, **jsons.loads(item["output"]))
    message = str(item["error"]["content"][0]["text"])
    return ToolFailure(call_id=call_id, tool=tool, code="unknown", message=message)


def _steps(turn: EvidenceTurn) -> list[Step]:
    steps = []
    for first in range(0, len(turn.calls), MAX_ACTIONS):
        calls = turn.calls[first : first + MAX_ACTIONS]
        actions = tuple(Action(API_name=call.outcome.tool, API_params=call.arguments) for call in calls)
        plan = Plan(thoughts="", actions=actions, value="")
        steps.append(Step(plan=plan, outcomes=tuple(call.outcome for call in calls)))
    return steps


def _table(figures: EvidenceFigures) -> Table:
    table = Table("figure", "count", "of", "share", "target")
    tool, repeated = figures.tool_numbers, figures.repeated
    rows = [
        ("numbers from tools that resolve to a stored result", figures.resolved, tool - repeated, "100 %"),
        ("numbers beside them that repeat a parameter or the question", repeated, tool, ""),
        ("planted numbers that are marked", figures.planted_marked, figures.planted, "100 %"),
        ("changed numbers that are marked", figures.changed_marked, figures.changed, "100 %"),
        ("turns with a tool call", figures.turns_with_calls, figures.turns, ""),
        ("turns with a failed call that do not say so", len(figures.undisclosed), figures.turns_with_failures, "0 %"),
        ("claims without a source", len(figures.unsupported), figures.claims, ""),
    ]
    for name, count, total, target in rows:
        table.add_row(name, f"{count}", f"{total}", f"{count / total:.1%}" if total else "", target)
    for where in [*figures.unresolved, *figures.missed]:
        table.add_row(f"not so: {where}", "", "", "", "")
    return table
