"""A page in a real browser that keeps what went wrong in it, and what a person does there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Locator,
    Page,
    Playwright,
    Request,
    expect,
)

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage", "--enable-unsafe-swiftshader")
PATIENCE_MS = 30_000
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));
"""


def launch(playwright: Playwright) -> Browser:
    """The machine's own Chromium, which `make test` installs where there is none."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    assert found is not None, "There is no Chromium. Install it with: make chromium"
    return playwright.chromium.launch(executable_path=found, args=[*ARGUMENTS])


@dataclass
class Tab:
    """A page, and what it complained of. `foreign` are requests that left the server which the page came from."""

    page: Page
    context: BrowserContext
    url: str
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def violations(self) -> list[str]:
        """What the content security policy had to refuse."""
        return list(self.page.evaluate("window.violations"))

    def check(self) -> None:
        """Nothing broke, nothing was refused, and nothing was fetched from elsewhere."""
        complaints = [*self.errors, *self.violations(), *self.foreign, *self.dialogs]
        assert not complaints, "\n".join(complaints)


@contextmanager
def tab(browser: Browser, url: str, script: str = "", **options: Any) -> Iterator[Tab]:
    """A page of its own context at `url`, checked at the end of the test unless that failed before.

    `script` runs before those of the page.
    """
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    context.add_init_script(WATCH + script)
    page = context.new_page()
    made = Tab(page, context, url)
    host = urlsplit(url).netloc

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            made.errors.append(message.text)

    def see(request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.netloc != host:
            made.foreign.append(request.url)

    def dismiss(dialog: Dialog) -> None:
        made.dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("console", hear)
    page.on("pageerror", lambda error: made.errors.append(str(error)))
    page.on("request", see)
    page.on("dialog", dismiss)
    try:
        page.goto(url)
        yield made
        made.check()
    finally:
        context.close()


def attach(page: Page, *files: Any) -> None:
    page.get_by_label("Image files").set_input_files([*files])
    expect(page.locator("canvas.pixels")).to_be_visible()
    expect(page.get_by_role("progressbar")).to_have_count(0)


def ask(page: Page, text: str) -> None:
    page.get_by_label("Your message.", exact=False).first.fill(text)
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_enabled()
    page.keyboard.press("Enter")


def finished_turn(page: Page) -> Locator:
    """The newest turn, when it has ended."""
    turn = page.locator("article.turn").last
    expect(turn.get_by_role("button", name="Regenerate")).to_be_visible()
    return turn
