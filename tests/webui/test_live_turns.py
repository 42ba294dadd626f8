"""Turns as they happen: several tools at once, stopping, coming back, and tools that die.

The tools are instant or slow on purpose and the planner follows a script; server, page and browser are real.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from support.script import action, answer, plan, rule
from support.system import System, running_controller
from support.tools import BrokenTool, EchoTool, SlowTool, wait_until
from webui.tab import Tab, ask, tab

BOTH, DIES, HELLO = "both at once", "the broken one", "hello"
STOPS_WITHIN_S = 1.0


class Stage:
    """A system with tools that end when the test says so, and a page that shows it."""

    def __init__(self, system: System, first: SlowTool, second: SlowTool, made: Tab) -> None:
        self.system, self.first, self.second, self.tab = system, first, second, made

    @property
    def page(self) -> Page:
        return self.tab.page

    def ask(self, text: str) -> None:
        ask(self.page, text)

    def outstanding(self) -> int:
        """Calls that the tools have not ended."""
        rows = self.system.http.get("/v1/workers").json()["data"]
        return sum(int(row["outstanding"]) for row in rows if row["kind"] == "tool")


@pytest.fixture
def stage(tmp_path: Path, page_folder: Path, browser: Browser) -> Iterator[Stage]:
    first, second = SlowTool("first"), SlowTool("second")
    rules = [
        rule(BOTH, plan(action("first"), action("second")), answer("Both are done. [1] [2]")),
        rule(DIES, plan(action("broken"), action("echo", text="x")), answer("The other one says x. [2]")),
        rule("", answer("Hello to you.")),
    ]
    tools = (first, second, BrokenTool(), EchoTool())
    with running_controller(tmp_path, page_dir=page_folder, expected_tools=("first", "second")) as system:
        system.add_script(rules)
        system.add_tools(tools)
        system.wait_until_ready()
        try:
            with tab(browser, system.url) as made:
                yield Stage(system, first, second, made)
        finally:
            first.release.set()
            second.release.set()


def test_two_tools_are_seen_at_work_at_the_same_time(stage: Stage) -> None:
    stage.ask(BOTH)
    running = stage.page.locator("section.call.running")
    expect(running).to_have_count(2)
    stage.second.release.set()
    expect(running).to_have_count(1)
    expect(stage.page.locator("section.call.done")).to_contain_text("Second")
    stage.first.release.set()
    expect(stage.page.locator("article.turn")).to_contain_text("Both are done.")


def test_stop_reaches_the_workers(stage: Stage) -> None:
    stage.ask(BOTH)
    expect(stage.page.locator("section.call.running")).to_have_count(2)
    with stage.page.expect_request("**/cancel"):
        stage.page.get_by_role("button", name="Stop").click()
    pressed = time.monotonic()
    wait_until(lambda: stage.outstanding() == 0, "nothing is at work")
    assert stage.first.was_cancelled.wait(STOPS_WITHIN_S)
    assert stage.second.was_cancelled.wait(STOPS_WITHIN_S)
    assert time.monotonic() - pressed < STOPS_WITHIN_S
    expect(stage.page.locator("section.call.stopped")).to_have_count(2)


def test_a_reload_in_the_middle_goes_on(stage: Stage) -> None:
    stage.ask(BOTH)
    expect(stage.page.locator("section.call.running")).to_have_count(2)
    stage.page.reload()
    expect(stage.page.locator("section.call.running")).to_have_count(2)
    stage.first.release.set()
    stage.second.release.set()
    expect(stage.page.locator("article.turn")).to_contain_text("Both are done.")
    expect(stage.page.locator("article.turn")).to_have_count(1)


def test_a_dead_tool_is_told_of_in_words(stage: Stage) -> None:
    stage.ask(DIES)
    turn = stage.page.locator("article.turn")
    expect(turn.locator("section.call.failed")).to_contain_text("The scanner is on fire.")
    expect(turn).to_contain_text("The other one says x.")
    expect(turn.locator(".answer, .markdown").last).to_contain_text("failed")


def test_a_message_is_edited_into_another_branch(stage: Stage) -> None:
    page = stage.page
    stage.ask(HELLO)
    expect(page.locator("article.turn")).to_contain_text("Hello to you.")
    page.get_by_role("button", name="Edit this message").click()
    field = page.get_by_label("Your message in other words")
    field.fill("good morning")
    field.press("Enter")
    expect(page.get_by_role("group", name="Version 2 of 2")).to_be_visible()
    page.get_by_role("button", name="Earlier version").click()
    expect(page.locator("article.turn")).to_contain_text(HELLO)


def test_a_tool_that_is_switched_off_is_not_used(stage: Stage) -> None:
    page = stage.page
    page.get_by_role("button", name="Tools").click()
    page.get_by_role("checkbox", name="First").uncheck()
    page.keyboard.press("Escape")
    stage.second.release.set()
    stage.ask(BOTH)
    expect(page.locator("section.call.failed")).to_have_count(1)
    assert not stage.first.started.acquire(blocking=False)
