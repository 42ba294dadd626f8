"""`mmedagent ask` and `mmedagent plan`: one question from the command line."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from mmedagent.cli.client import ApiClient
from mmedagent.cli.options import ApiKey, Device, ProfileName
from mmedagent.cli.profile import load_profile
from mmedagent.cli.system import system_in_process
from mmedagent.protocol.errors import ServiceError, UnreadableImageError
from mmedagent.serving.logs import configure_logging

out = Console()
progress = Console(stderr=True)

Server = Annotated[
    str | None, typer.Option(help="Ask a running server, such as http://127.0.0.1:8000, instead of starting one.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def ask(
    image: Annotated[Path, typer.Argument(help="PNG, JPEG or DICOM file.")],
    question: Annotated[str, typer.Argument(help="What you want to know about it.")],
    as_json: AsJson = False,
    save: Annotated[Path | None, typer.Option(help="Folder for overlays and masks, as PNG.")] = None,
    profile: ProfileName = "embedded",
    server: Server = None,
    api_key: ApiKey = None,
    device: Device = "cpu",
) -> None:
    """Ask one question about one image: thoughts, actions with their results, answer."""
    _require_file(image)
    with _client(profile, server, api_key, device) as client:
        with progress.status("Reading the image ..."):
            file_id = str(client.upload(image)["id"])
        response = _watch(client, question, file_id, quiet=as_json)
        saved = _save(client, response["output"], save) if save else []
    if as_json:
        typer.echo(json.dumps({"response": response, "saved": [str(path) for path in saved]}, indent=2))
    for path in saved if not as_json else ():
        out.print(f"saved {path}", style="dim", highlight=False)


def plan(
    question: Annotated[str, typer.Argument(help="What you would ask.")],
    image: Annotated[Path | None, typer.Option(help="PNG, JPEG or DICOM file.")] = None,
    profile: ProfileName = "embedded",
    server: Server = None,
    api_key: ApiKey = None,
    device: Device = "cpu",
) -> None:
    """Show what the planner would do, as JSON, without doing it."""
    if image:
        _require_file(image)
    with _client(profile, server, api_key, device) as client:
        file_id = str(client.upload(image)["id"]) if image else None
        typer.echo(json.dumps(client.plan(question, file_id), indent=2, ensure_ascii=False))


def _require_file(image: Path) -> None:
    if not image.is_file():
        raise UnreadableImageError(f"There is no file {image}.")


@contextmanager
def _client(profile: str, server: str | None, api_key: str | None, device: str) -> Iterator[ApiClient]:
    """A client of the server that was named, or of a system started for this one command."""
    if server:
        with ApiClient(server, api_key) as client:
            yield client
        return
    configure_logging(logging.getLevelName(logging.CRITICAL))
    with (
        progress.status("Loading the planner and the tools ...") as status,
        system_in_process(load_profile(profile), device) as url,
    ):
        status.stop()
        with ApiClient(url) as client:
            yield client


def _watch(client: ApiClient, question: str, file_id: str, quiet: bool) -> dict[str, Any]:
    """Show the steps as they end, and return the finished response. Raises `ServiceError` for a failed turn."""
    with progress.status("Thinking ...") as status:
        for event in client.ask(question, file_id):
            match event["type"]:
                case "response.mcp_call.in_progress":
                    status.update(f"{event.get('mmedagent', {}).get('text', 'Waiting for a tool')} ...")
                case "response.output_item.done" if not quiet:
                    _show(event["item"])
                case "response.completed":
                    return dict(event["response"])
                case "response.failed":
                    raise ServiceError(str(event["response"]["error"]["message"]))
                case _:
                    continue
    raise ServiceError("The server ended the answer too early.")


def _show(item: dict[str, Any]) -> None:
    match item["type"]:
        case "reasoning":
            for part in item["summary"]:
                out.print(Text(part["text"], style="italic dim"))
        case "mcp_call":
            out.print(Panel(_call_text(item), title=item["name"], title_align="left"))
        case "message":
            out.print(Text("\n".join(part["text"] for part in item["content"])))
        case _:
            return


def _call_text(item: dict[str, Any]) -> Text:
    text = Text(f"{item['arguments']}\n")
    if item["output"]:
        output = json.loads(item["output"])
        text.append(json.dumps(output["data"], indent=2, ensure_ascii=False))
        origin = output["provenance"]
        checkpoint = (origin["checkpoint_sha256"] or "none")[:12]
        note = f"\n{origin['tool']} {origin['version']}, checkpoint {checkpoint}, {origin['seconds']:.2f} s"
        text.append(f"{note}; {origin['label']}" if origin["label"] else note, style="dim")
    else:
        words = "; ".join(part["text"] for part in item["error"]["content"])
        text.append(f"{item['status']}: {words}", style="red")
    return text


def _save(client: ApiClient, items: list[dict[str, Any]], folder: Path) -> list[Path]:
    """Write every picture that the tools made into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    saved = []
    for number, item in enumerate([item for item in items if item["type"] == "mcp_call"], 1):
        output = json.loads(item["output"]) if item["output"] else {"artifacts": []}
        pictures = [artifact for artifact in output["artifacts"] if artifact["media_type"] == "image/png"]
        for index, artifact in enumerate(pictures, 1):
            path = folder / f"{number}-{item['name']}-{artifact['kind']}-{index}.png"
            path.write_bytes(client.artifact(artifact["sha256"]))
            saved.append(path)
    return saved
