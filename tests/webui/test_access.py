"""Who may use the page, and how: keys, the keyboard alone, dark colours, small screens, and screen readers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from support.images import CT_FILE
from support.script import action, answer, plan, rule
from support.system import System, running_controller
from support.tools import EchoTool, MaskTool
from system.launch import run_command
from webui.tab import ask, tab

AXE = Path(__file__).parents[2] / "webui" / "node_modules" / "axe-core" / "axe.min.js"
SERIOUS = {"serious", "critical"}
TABLET = {"width": 820, "height": 1_180}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, page_folder: Path) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("system")
    with running_controller(folder, page_dir=page_folder, expected_tools=("echo", "mask")) as made:
        made.add_script([rule("", plan(action("echo", text="x")), answer("It is **there**. [1]\n\n- one\n- two"))])
        made.add_tools([EchoTool(), MaskTool()])
        made.wait_until_ready()
        yield made


def complaints(page: Page) -> list[str]:
    """What axe-core finds that is serious or worse."""
    page.evaluate(AXE.read_text("utf-8"))
    found: dict[str, Any] = page.evaluate("axe.run(document)")
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found["violations"]
        if one["impact"] in SERIOUS
        for node in one["nodes"]
    ]


def converse(page: Page) -> None:
    """A conversation about an image."""
    page.get_by_label("Image files").set_input_files(CT_FILE)
    expect(page.locator("canvas.pixels")).to_be_visible()
    ask(page, "Look here")
    expect(page.get_by_role("button", name="Regenerate")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [{"width": 1_280, "height": 800}, TABLET], ids=["desk", "tablet"])
def test_axe_finds_nothing_serious(system: System, browser: Browser, scheme: str, size: dict[str, int]) -> None:
    with tab(browser, system.url, color_scheme=scheme, viewport=size, reduced_motion="reduce") as made:
        page = made.page
        expect(page.get_by_role("heading", name="Ask about a medical image")).to_be_visible()
        assert complaints(page) == []
        converse_on(page, size)
        assert complaints(page) == []
        page.get_by_role("button", name="Report").click()
        expect(page.locator(".report-panel")).to_be_visible()
        assert complaints(page) == []
        page.goto(f"{system.url}/#/workers")
        expect(page.locator(".workers-page")).to_be_visible()
        assert complaints(page) == []


def converse_on(page: Page, size: dict[str, int]) -> None:
    if size is TABLET:
        ask(page, "Look here")
        expect(page.get_by_role("button", name="Regenerate")).to_be_visible()
    else:
        converse(page)


def test_dark_is_dark_and_can_be_chosen(system: System, browser: Browser) -> None:
    background = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number).slice(0, 3)"
    with tab(browser, system.url, color_scheme="dark") as made:
        assert max(made.page.evaluate(background)) < 60
        made.page.get_by_role("button", name="Colours:", exact=False).click()
        chosen = made.page.evaluate(background)
        made.page.reload()
        expect(made.page.get_by_role("button", name="Colours:", exact=False)).to_be_visible()
        assert made.page.evaluate(background) == chosen


def test_a_conversation_by_keyboard_alone(system: System, browser: Browser) -> None:
    """From an example to a question to the viewer, with Tab, Enter, arrows and Escape."""
    with tab(browser, system.url) as made:
        page = made.page
        expect(page.get_by_role("heading", name="Ask about a medical image")).to_be_visible()
        press_until(page, "Tab", "document.activeElement.id === 'message'")
        page.keyboard.type("Look here")
        expect(page.get_by_role("button", name="Send", exact=True)).to_be_enabled()
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Regenerate")).to_be_visible()
        press_until(page, "Shift+Tab", "document.activeElement.textContent.includes('Export')")
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Everything (ZIP)")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Everything (ZIP)")).to_have_count(0)
        assert page.evaluate("document.activeElement.textContent.includes('Export')")


def test_a_box_is_drawn_by_keyboard(system: System, browser: Browser) -> None:
    with tab(browser, system.url) as made:
        page = made.page
        converse(page)
        page.get_by_role("button", name="Place a box").focus()
        page.keyboard.press("Enter")
        box = page.get_by_role("img", name="Your box", exact=False)
        placed = box.get_attribute("aria-label")
        box.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Shift+ArrowDown")
        expect(box).not_to_have_attribute("aria-label", placed or "")
        page.keyboard.press("Delete")
        expect(box).to_have_count(0)


def press_until(page: Page, key: str, condition: str, most: int = 60) -> None:
    for _ in range(most):
        if page.evaluate(condition):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{key} does not lead to: {condition}")


def test_signing_in_and_out(tmp_path: Path, page_folder: Path, browser: Browser) -> None:
    with running_controller(tmp_path, page_dir=page_folder) as system:
        system.add_script([rule("", answer("Hello."))])
        system.wait_until_ready()
        made = run_command("keys", "create", "ward-3", "--data-dir", str(system.settings.data_dir), folder=tmp_path)
        key = made.stdout.strip()
        with tab(browser, system.url) as opened:
            page = opened.page
            field = page.get_by_role("textbox", name="API key")
            expect(field).to_be_visible()
            field.fill("mma_wrong")
            page.keyboard.press("Enter")
            expect(page.get_by_role("alert")).to_contain_text("did not accept")
            field.fill(key)
            page.keyboard.press("Enter")
            expect(page.locator(".owner")).to_have_text("ward-3")
            page.get_by_role("button", name="Sign out").click()
            expect(field).to_be_visible()
