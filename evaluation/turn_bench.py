"""What a turn costs beside its models: latency, throughput, requests and bytes, over real HTTP on loopback.

The system runs a scripted planner and an instant tool (`write_profile`), so everything measured is overhead. The
conditions are those of the measured original: one 1024 x 1024 JPEG, uploaded before, and one tool call a turn.
"""

from __future__ import annotations

import asyncio
import io
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

THOUGHTS = "The user wants to know where something is, so I will look for it and then say what was found."
LAST_THOUGHTS = "The tool has answered."
ANSWER = (
    "I looked for the liver in the whole image with a score threshold of 0.3. No box reached that score, so nothing "
    "was found that could be shown. That does not mean that there is nothing: the structure may lie outside the frame, "
    "or be drawn in a way that the detector has not learnt. You can lower the threshold, or draw a box by hand and "
    "ask for a segmentation of what is inside it. [1]"
)
PROFILE = """
[planner]
backend = "scripted"
checkpoint = "script.json"
concurrency = 32

[tools.grounding]
backend = "mmedagent.evaluation.instant:InstantTool"
concurrency = 32
"""
TIMEOUT_S = 120.0


@dataclass(frozen=True)
class LoadRow:
    """Turns at one number of users at once. Times in seconds."""

    users: int
    turns: int
    failed: int
    p50_s: float
    p99_s: float
    turns_per_s: float


def write_profile(folder: Path) -> Path:
    """Write the benchmark's profile and script into a folder and return the profile's path."""
    action = {"API_name": "grounding dino", "API_params": {"prompts": ["liver"]}}
    plans = [
        {"thoughts": THOUGHTS, "actions": [action], "value": "Let me look."},
        {"thoughts": LAST_THOUGHTS, "actions": [], "value": ANSWER},
    ]
    (folder / "script.json").write_text(json.dumps([{"plans": plans}]))
    profile = folder / "bench.toml"
    profile.write_text(PROFILE)
    return profile


def jpeg_1024() -> bytes:
    """A 1024 x 1024 JPEG of smooth noise."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    small.resize((1024, 1024), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


async def measure_load(
    url: str, users: tuple[int, ...], turns: int, advance: Callable[[], None]
) -> tuple[list[LoadRow], float]:
    """One row for each number of users, and the worker requests a turn. `advance` is called after every turn."""
    async with _client(url) as http:
        file_id = await _upload(http)
        await _turn(http, file_id)
        before = await _worker_requests(http)
        rows = [await _load(http, file_id, count, turns, advance) for count in users]
        requests = await _worker_requests(http) - before
    return rows, requests / sum(row.turns for row in rows)


async def measure_stream(url: str) -> float:
    """Bytes of a streamed chat completion, as a multiple of its useful text: thoughts and answer."""
    async with _client(url) as http:
        body = {**_question(await _upload(http)), "stream": True}
        size = 0
        async with http.stream("POST", "/v1/chat/completions", json=body) as response:
            async for chunk in response.aiter_raw():
                size += len(chunk)
    return size / len((THOUGHTS + LAST_THOUGHTS + ANSWER).encode())


def _client(url: str) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
    return httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, limits=limits, trust_env=False)


async def _upload(http: httpx.AsyncClient) -> str:
    response = await http.post("/v1/files", files={"file": ("image.jpg", jpeg_1024())})
    return str(response.raise_for_status().json()["id"])


async def _load(http: httpx.AsyncClient, file_id: str, users: int, turns: int, advance: Callable[[], None]) -> LoadRow:
    seconds: list[float] = []
    failed = 0

    async def user() -> None:
        nonlocal failed
        for _ in range(turns):
            started = time.perf_counter()
            failed += not await _turn(http, file_id)
            seconds.append(time.perf_counter() - started)
            advance()

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(users):
            group.create_task(user())
    elapsed = time.perf_counter() - started
    ranked = sorted(seconds)
    p99_s = ranked[min(len(ranked) - 1, round(0.99 * len(ranked)))]
    return LoadRow(users, len(ranked), failed, statistics.median(ranked), p99_s, len(ranked) / elapsed)


def _question(file_id: str) -> dict[str, Any]:
    content = [{"type": "text", "text": "Where is the liver?"}, {"type": "file", "file": {"file_id": file_id}}]
    return {"messages": [{"role": "user", "content": content}]}


async def _turn(http: httpx.AsyncClient, file_id: str) -> bool:
    """Ask once through the stored path; whether the whole answer came."""
    content = [{"type": "input_text", "text": "Where is the liver?"}, {"type": "input_image", "file_id": file_id}]
    response = await http.post("/v1/responses", json={"input": [{"role": "user", "content": content}]})
    return response.is_success and response.json()["output"][-1]["content"][0]["text"] == ANSWER


async def _worker_requests(http: httpx.AsyncClient) -> int:
    rows = (await http.get("/v1/workers")).raise_for_status().json()["data"]
    return sum(row["completed"] + row["failed"] for row in rows)
