"""`mmedagent evaluate tool-selection`: whether a planner picks the tools that asks need."""

from __future__ import annotations

import json as jsons
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import track

from mmedagent.cli.client import ApiClient
from mmedagent.cli.options import ProfileName
from mmedagent.cli.profile import PLANNERS, backend_class, load_profile
from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.errors import MalformedPlanError, ServiceError
from mmedagent.protocol.plan import Action

if TYPE_CHECKING:
    from mmedagent.evaluation.tool_selection.asks import AskCase
    from mmedagent.evaluation.tool_selection.scores import Planned

    Asking = Callable[[AskCase], Planned]


def evaluate_tool_selection(
    file: Annotated[Path, typer.Argument(help="Asks, one JSON object a line; see evaluation/tool_selection.")],
    profile: ProfileName = "embedded",
    url: Annotated[
        str | None, typer.Option(help="Measure whole turns of a running server, such as http://127.0.0.1:8000.")
    ] = None,
    api_key: Annotated[str | None, typer.Option(envvar="MMEDAGENT_API_KEY", help="Key of the running server.")] = None,
    without_images: Annotated[bool, typer.Option("--without-images", help="Ask everything without its image.")] = False,
    json: Annotated[Path | None, typer.Option(help="Write all figures to this file.")] = None,
) -> None:
    """Measure tool selection, with the planner of a profile and all seven tools registered, or through a server."""
    from mmedagent.evaluation.tool_selection.asks import read_asks
    from mmedagent.evaluation.tool_selection.scores import score
    from mmedagent.evaluation.tool_selection.table import as_tables

    asks = read_asks(file)
    with _served(url, api_key, not without_images) if url else _planner(profile, not without_images) as (name, asking):
        rows = [(ask, asking(ask)) for ask in track(asks, "asking", console=Console(stderr=True))]
    result = score(name, rows)
    if json is not None:
        json.write_text(result.model_dump_json(indent=1) + "\n", "utf-8")
    Console().print(*as_tables(result))


@contextmanager
def _planner(profile: str, images: bool) -> Iterator[tuple[str, Asking]]:
    """The planner of a profile, loaded here."""
    from mmedagent.cli.first_plans import FirstPlans

    chosen = load_profile(profile)
    planner = backend_class(PLANNERS, chosen.planner.backend)(checkpoint=chosen.checkpoint(chosen.planner))
    planner.load("cpu")
    yield planner.card.name, FirstPlans(planner, built_in_cards(), images)


@contextmanager
def _served(url: str, api_key: str | None, images: bool) -> Iterator[tuple[str, Asking]]:
    """Whole turns of a server, which carries the calls out."""
    from mmedagent.cli.ask_pictures import as_file
    from mmedagent.evaluation.tool_selection.scores import Planned

    with ExitStack() as stack:
        client = stack.enter_context(ApiClient(url, api_key))
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="mmedagent-asks-")))
        uploaded: dict[str, str] = {}

        def asking(ask: AskCase) -> Planned:
            if ask.image is not None and images and ask.image not in uploaded:
                uploaded[ask.image] = str(client.upload(as_file(ask.image, folder))["id"])
            started = time.perf_counter()
            actions = _actions(client.ask(ask.text, uploaded.get(ask.image or "")))
            return Planned(actions, time.perf_counter() - started)

        yield url, asking


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
