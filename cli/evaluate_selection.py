"""`mmedagent evaluate tool-selection`: whether a planner picks the tools that asks need."""

from __future__ import annotations

import json as jsons
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import track

from mmedagent.cli.cards import read_card
from mmedagent.cli.client import ApiClient
from mmedagent.cli.options import ApiKey, FiguresFile, ProfileName
from mmedagent.cli.profile import load_profile
from mmedagent.cli.workers import planner_of
from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.errors import MalformedPlanError, ServiceError
from mmedagent.protocol.plan import Action

if TYPE_CHECKING:
    from mmedagent.evaluation.tool_selection.asks import AskCase
    from mmedagent.evaluation.tool_selection.scores import Planned


def evaluate_tool_selection(
    file: Annotated[Path, typer.Argument(help="Asks, one JSON object a line; see evaluation/tool_selection.")],
    profile: ProfileName = "embedded",
    url: Annotated[
        str | None, typer.Option(help="Measure whole turns of a running server, such as http://127.0.0.1:8000.")
    ] = None,
    api_key: ApiKey = None,
    without_images: Annotated[bool, typer.Option("--without-images", help="Ask everything without its image.")] = False,
    card: Annotated[
        list[Path] | None, typer.Option(help="Card of a tool that is registered beside the seven; may be repeated.")
    ] = None,
    json: FiguresFile = None,
) -> None:
    """Measure tool selection, with the planner of a profile and all seven tools registered, or through a server."""
    from mmedagent.evaluation.tool_selection.asks import read_asks

    asks = read_asks(file)
    with ExitStack() as stack:
        if url is None:
            name, asking = _planner(profile, not without_images, [read_card(path) for path in card or ()])
        else:
            name, asking = url, stack.enter_context(_server(url, api_key, not without_images)).turn
        rows = [(ask, asking(ask)) for ask in track(asks, "asking", console=Console(stderr=True))]
    _report(name, rows, json)


def evaluate_dialogues(
    file: Annotated[Path, typer.Argument(help="Dialogues, one JSON object a line; see evaluation/tool_selection.")],
    profile: ProfileName = "embedded",
    url: Annotated[
        str | None, typer.Option(help="Ask a running server, such as http://127.0.0.1:8000, instead of starting one.")
    ] = None,
    api_key: ApiKey = None,
    json: FiguresFile = None,
) -> None:
    """Measure tool selection turn by turn in whole conversations, whose calls are carried out."""
    from mmedagent.cli.system import system_at
    from mmedagent.evaluation.tool_selection.asks import read_dialogues

    dialogues = read_dialogues(file)
    with ExitStack() as stack:
        address = stack.enter_context(system_at(url, profile))
        server = stack.enter_context(_server(address, api_key, images=True))
        rows: list[tuple[AskCase, Planned]] = []
        for dialogue in track(dialogues, "talking", console=Console(stderr=True)):
            conversation = server.client.new_conversation()
            rows += [(ask, server.turn(ask, conversation)) for ask in dialogue.asks()]
    _report(address, rows, json)


def _report(name: str, rows: list[tuple[AskCase, Planned]], file: Path | None) -> None:
    from mmedagent.evaluation.tool_selection.scores import score
    from mmedagent.evaluation.tool_selection.table import as_tables

    result = score(name, rows)
    if file is not None:
        file.write_text(result.model_dump_json(indent=1) + "\n", "utf-8")
    Console().print(*as_tables(result))


def _planner(profile: str, images: bool, added: Sequence[ToolCard]) -> tuple[str, Callable[[AskCase], Planned]]:
    """The planner of a profile, loaded here."""
    from mmedagent.cli.first_plans import FirstPlans

    planner = planner_of(load_profile(profile))
    planner.load("cpu")
    return planner.card.name, FirstPlans(planner, (*built_in_cards(), *added), images)


@dataclass
class _Server:
    """Whole turns of a server, which carries the calls out. Each picture is uploaded once."""

    client: ApiClient
    folder: Path
    images: bool
    uploaded: dict[str, str] = field(default_factory=dict)

    def turn(self, ask: AskCase, conversation: str | None = None) -> Planned:
        from mmedagent.cli.ask_pictures import as_file
        from mmedagent.evaluation.tool_selection.scores import Planned

        if ask.image is not None and self.images and ask.image not in self.uploaded:
            self.uploaded[ask.image] = str(self.client.upload(as_file(ask.image, self.folder))["id"])
        started = time.perf_counter()
        actions = _actions(self.client.ask(ask.text, self.uploaded.get(ask.image or ""), conversation))
        return Planned(actions, time.perf_counter() - started)


@contextmanager
def _server(url: str, api_key: str | None, images: bool) -> Iterator[_Server]:
    with ApiClient(url, api_key) as client, TemporaryDirectory(prefix="mmedagent-asks-") as folder:
        yield _Server(client, Path(folder), images)


def _actions(events: Iterator[dict[str, Any]]) -> tuple[Action, ...] | None:
    """The calls of a turn in order, or None for output that is no plan. Raises `ServiceError` for another failure."""
    for event in events:
        if event["type"] == "response.completed":
            calls = [item for item in event["response"]["output"] if item["type"] == "mcp_call"]
            return tuple(Action(API_name=one["name"], API_params=jsons.loads(one["arguments"])) for one in calls)
        if event["type"] == "response.failed":
            error = event["response"]["error"]
            if error["code"] == MalformedPlanError.code:
                return None
            raise ServiceError(str(error["message"]))
    raise ServiceError("The server ended the answer too early.")
