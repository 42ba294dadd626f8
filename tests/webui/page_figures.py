"""What is measured of the page, in a real browser on real systems."""

from __future__ import annotations

import gzip
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Browser, expect

from support.images import CT_FILE
from support.series import dicom_bytes, series_datasets
from support.system import System, running_controller
from support.tools import EchoTool
from webui.systems import built_page, serving
from webui.tab import ask, attach, tab
from webui.talking import SENTENCES, STREAM, TOKEN, TOKENS_PER_S, TalkingPlanner

PROBES = (Path(__file__).parent / "bench_page.js").read_text("utf-8")
SIDE, SLICES = 512, 24
DRAG_S = 5.0
LATE_MS = 17.0
"""One refresh of a screen with 60 frames a second, and a little."""

TURNS = 250
OPENINGS = 5
LETTERS = "abcdefghij"
AFFINE = np.diag([0.7, 0.7, 5.0, 1.0])


@dataclass(frozen=True)
class Target:
    """The value at which a figure is good enough; one that shall be at least as large is rounded before."""

    bound: float
    at_least: bool = False


@dataclass(frozen=True)
class Figure:
    name: str
    value: float
    unit: str
    target: Target | None = None

    @property
    def met(self) -> bool | None:
        """None for a figure without a target."""
        if self.target is None:
            return None
        reached = round(self.value) if self.target.at_least else self.value
        return reached >= self.target.bound if self.target.at_least else reached <= self.target.bound


def measure(browser: Browser) -> Iterator[Figure]:
    """Start the systems one after the other, and measure."""
    with TemporaryDirectory(prefix="mmedagent-bench-page-") as folder:
        with serving(Path(folder) / "embedded") as url:
            yield from first_load(browser, url)
            yield from window_drag(browser, url)
            yield from slice_steps(browser, url)
        with talking_system(Path(folder) / "talking") as system:
            conversation = long_conversation(system)
            yield from openings(browser, f"{system.url}/#{conversation}")
            yield from key_presses(browser, f"{system.url}/#{conversation}")


def first_load(browser: Browser, url: str) -> Iterator[Figure]:
    """The code and styles of the page until it can be used."""
    with tab(browser, url, PROBES) as made:
        expect(made.page.get_by_role("heading", name="Ask about a medical image")).to_be_visible()
        fetched = made.page.evaluate("bench.fetched()")
    assert not any("niivue" in one["name"] for one in fetched)
    with httpx.Client(trust_env=False) as http:
        packed = sum(len(gzip.compress(http.get(one["name"]).content)) for one in fetched)
    yield Figure("first load: JavaScript and CSS, gzip", packed / 1000, "kB", Target(200))
    yield Figure("first load: as the server sends it", sum(one["sent"] for one in fetched) / 1000, "kB")


def window_drag(browser: Browser, url: str) -> Iterator[Figure]:
    """One 512 x 512 image of 16 bits, while its window is dragged."""
    with tab(browser, url, PROBES) as made:
        page = made.page
        attach(page, *study(1))
        page.get_by_role("button", name="Brightness and contrast").click()
        box = page.locator(".stage").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        seen = page.evaluate(f"bench.drag({DRAG_S})")
        page.mouse.up()
    gaps = np.diff(seen["stamps"])
    yield Figure("window drag: frames painted", 1000 * (seen["drawn"] - 1) / gaps.sum(), "/s", Target(60, True))
    yield Figure(f"window drag: frames later than {LATE_MS:.0f} ms", 100 * float((gaps > LATE_MS).mean()), "%")
    yield from spread("window drag: work a frame", seen["work"])


def slice_steps(browser: Browser, url: str) -> Iterator[Figure]:
    """From slice to slice of 24 of 512 x 512 and 16 bits, first as they come from the server, then as they are kept."""
    with tab(browser, url, PROBES) as made:
        page = made.page
        attach(page, *study(SLICES))
        page.evaluate("bench.step('Home', 1)")
        first = page.evaluate(f"bench.step('PageDown', {SLICES - 1})")
        again = page.evaluate(f"bench.step('PageUp', {SLICES - 1})")
    yield from spread("slice step: first time", first, Target(50))
    yield from spread("slice step: again", again, Target(50))


def openings(browser: Browser, url: str) -> Iterator[Figure]:
    """A conversation of 500 messages, in a browser that has never been here."""
    words = f"That is the end of Question {TURNS}."
    script = f"{PROBES}\nwindow.openedAt = bench.opened({words!r});"
    times = []
    for _ in range(OPENINGS):
        with tab(browser, url, script) as made:
            times.append(float(made.page.evaluate("window.openedAt")))
    name = f"opening {2 * TURNS} messages: median of {OPENINGS}"
    yield Figure(name, statistics.median(times), "ms", Target(1000))


def key_presses(browser: Browser, url: str) -> Iterator[Figure]:
    """Letters typed in the long conversation while an answer streams in."""
    with tab(browser, url, PROBES) as made:
        page = made.page
        expect(page.locator("article.turn").first).to_be_visible()
        ask(page, STREAM)
        stop = page.get_by_role("button", name="Stop")
        expect(page.locator("article.turn").last).to_contain_text("left kidney")
        page.evaluate("window.keys = bench.watchKeys()")
        began, length = page.evaluate("[performance.now(), bench.answerLength()]")
        typed = ""
        while stop.is_visible():
            ended, longer = page.evaluate("[performance.now(), bench.answerLength()]")
            page.keyboard.type(LETTERS, delay=40)
            typed += LETTERS
        expect(page.get_by_label("Your message.", exact=False).first).to_have_value(typed)
        times = page.evaluate("window.keys")
    assert len(times) == len(typed)
    tokens = (longer - length) / shown_length() / (ended - began) * 1000
    yield Figure("streaming: tokens that reach the page", tokens, "/s", Target(0.95 * TOKENS_PER_S, True))
    yield from spread("key to paint while streaming", times, Target(100))
    yield Figure("key to paint while streaming: longest", max(times), "ms", Target(100))


def shown_length() -> float:
    """Characters that a token of the streamed answer has on the page, where Markdown signs are gone."""
    shown = SENTENCES.replace("**", "").replace("- ", "").replace("\n\n", "\n")
    return len(shown) / len(TOKEN.findall(SENTENCES))


def spread(name: str, times: Sequence[float], target: Target | None = None) -> Iterator[Figure]:
    """Median and 95th percentile, in milliseconds."""
    yield Figure(f"{name}: median of {len(times)}", statistics.median(times), "ms", target)
    yield Figure(f"{name}: p95", float(np.percentile(times, 95)), "ms", target)


def study(slices: int) -> list[dict[str, Any]]:
    """DICOM files of a noisy ball whose values use all 16 bits."""
    datasets = series_datasets(ball(slices), AFFINE)
    return [
        {"name": f"{number}.dcm", "mimeType": "application/dicom", "buffer": dicom_bytes(one)}
        for number, one in enumerate(datasets)
    ]


def ball(slices: int) -> NDArray[np.int16]:
    """Values (column, row, slice), from -32768 to 32767, with so much noise that they can hardly be compressed."""
    axes = [np.linspace(-1, 1, count) if count > 1 else np.zeros(1) for count in (SIDE, SIDE, slices)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    noise = np.random.default_rng(0).normal(0, 1500, x.shape)
    values = 30_000 * np.cos(4 * np.sqrt(x**2 + y**2 + z**2)) + noise
    values.flat[:2] = -32_768, 32_767
    return np.asarray(np.clip(values, -32_768, 32_767), dtype=np.int16)


@contextmanager
def talking_system(folder: Path) -> Iterator[System]:
    with running_controller(folder, page_dir=built_page(), expected_tools=("echo",)) as system:
        system.add_planner(TalkingPlanner())
        system.add_tools([EchoTool()])
        system.wait_until_ready()
        yield system


def long_conversation(system: System) -> str:
    """A conversation of 250 turns about an image, with a call each, made through the API."""
    image = {"type": "input_image", "file_id": system.upload(CT_FILE.read_bytes())}
    conversation = str(system.http.post("/v1/conversations", json={}).json()["id"])
    for number in range(1, TURNS + 1):
        content = [{"type": "input_text", "text": f"Question {number}"}, image]
        asked = {"conversation": conversation, "input": [{"role": "user", "content": content}]}
        system.http.post("/v1/responses", json=asked).raise_for_status()
    return conversation
