"""Making worker applications from a profile. Imports models only when asked to make them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mmedagent.cli.profile import PLANNERS, TOOLS, Profile, backend_class
from mmedagent.protocol.errors import InvalidRequestError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from mmedagent.model_worker.planner import Planner
    from mmedagent.serving.tool_service import HostedTool
    from mmedagent.serving.worker import WorkerLife, WorkerSettings


def planner_app(profile: Profile, settings: WorkerSettings) -> tuple[FastAPI, WorkerLife]:
    """The planner worker of a profile."""
    from mmedagent.model_worker.app import create_planner_worker

    placed = replace(settings, device=profile.planner.device or settings.device)
    return create_planner_worker(planner_of(profile), placed, profile.planner.concurrency)


def planner_of(profile: Profile) -> Planner:
    """The planner of a profile, not yet loaded. Raises `InvalidRequestError` for an endpoint that it has no use for."""
    from mmedagent.model_worker.planner import Remote

    entry = profile.planner
    planner: Planner = backend_class(PLANNERS, entry.backend)(checkpoint=profile.checkpoint(entry))
    if entry.endpoint is not None:
        if not isinstance(planner, Remote):
            raise InvalidRequestError(f"The planner {entry.backend} runs here and has no use for an endpoint.")
        planner.connect(entry.endpoint)
    return planner


def tools_app(profile: Profile, names: Sequence[str], settings: WorkerSettings) -> tuple[FastAPI, WorkerLife]:
    """One worker that serves the named tools of a profile. Raises `InvalidRequestError` for a name it does not have."""
    from mmedagent.serving.tool_worker import create_tool_worker

    return create_tool_worker([hosted_tool(profile, name) for name in names], settings)


def hosted_tool(profile: Profile, name: str) -> HostedTool:
    """A tool of a profile, not yet loaded. Raises `InvalidRequestError` for a name that the profile does not have."""
    from mmedagent.serving.tool_service import HostedTool

    if name not in profile.tools:
        raise InvalidRequestError(f"The profile has no tool {name}; it has: {', '.join(sorted(profile.tools))}.")
    entry = profile.tools[name]
    tool = backend_class(TOOLS, entry.backend or name)(checkpoint=profile.checkpoint(entry))
    return HostedTool(tool, entry.concurrency, entry.device, entry.precision, entry.compile, entry.batching)
