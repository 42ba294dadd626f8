"""`make screenshots`: the main states of the page as the pictures of the documentation, taken of real systems.

PYTHONPATH=tests python -m webui.screenshots
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from rich.console import Console

from support.series import brain, nifti_bytes
from webui.panel import SECOND_OPINION, write_panel_profile
from webui.systems import serving
from webui.tab import ask, attach, finished_turn, launch, tab

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "images"
EXAMPLES = ROOT / "examples"
ABDOMEN = "What modality is this? Also segment the structure in the box [0.59, 0.53, 0.74, 0.68] and give me its area."
HALF = "What modality is this? Also segment the structure in the box [0.59, 0.53, 0.74, 0.61] and give me its area."
LOWER_EDGE = 5
"""Which of the eight handles of a box: they begin at the upper left corner and go round clockwise."""

LOWER_BY = 26
"""CSS pixels from there to below the kidney."""

MODALITY = "What modality is this?"
CHEST = "Write a report of this chest X-ray."
TABLET = {"width": 820, "height": 1180}
COLOURS = 256
Place = tuple[float, float]
SETTLED_MS = 1_000
"""What WebGL and images need to be drawn; nothing in the page tells when."""


def main() -> None:
    """Take every picture."""
    with TemporaryDirectory(prefix="mmedagent-screenshots-") as folder, sync_playwright() as playwright:
        browser = launch(playwright)
        with serving(Path(folder) / "embedded") as url:
            for take in (welcome, turn, evidence, edit, slices, volume, report, timeline, dark, tablet, workers):
                take(browser, url)
        profile = write_panel_profile(Path(folder) / "profile")
        with serving(Path(folder) / "panel", "--profile", str(profile)) as url:
            consultation(browser, url)
        browser.close()


@contextmanager
def picture(name: str, browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """A page to be brought into a state; what it then shows is saved as `page-<name>.png`."""
    with tab(browser, url, reduced_motion="reduce", **options) as made:
        expect(made.page.get_by_role("heading", name="Ask about a medical image")).to_be_visible()
        yield made.page
        made.page.wait_for_timeout(SETTLED_MS)
        seen = Image.open(io.BytesIO(made.page.screenshot())).convert("RGB")
    path = PICTURES / f"page-{name}.png"
    seen.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)
    Console().print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


def asked(page: Page, file: str, question: str) -> Locator:
    """The answered turn about one of the examples."""
    attach(page, EXAMPLES / file)
    ask(page, question)
    return finished_turn(page)


def welcome(browser: Browser, url: str) -> None:
    with picture("welcome", browser, url) as page:
        expect(page.get_by_role("button", name="Abdomen")).to_be_visible()


def turn(browser: Browser, url: str) -> None:
    """The cards of two tools, and the mask on the image."""
    with picture("turn", browser, url) as page:
        show_from_first_call(asked(page, "abdomen-ct.dcm", ABDOMEN))


def show_from_first_call(turn: Locator) -> None:
    turn.locator("section.call").first.evaluate("(card) => card.scrollIntoView({ block: 'start' })")


def evidence(browser: Browser, url: str) -> None:
    """Where a number of the answer comes from."""
    with picture("evidence", browser, url) as page:
        area = asked(page, "abdomen-ct.dcm", ABDOMEN).locator("[data-claim]", has_text="mm").first
        area.click()
        area.hover()
        expect(page.locator(".claim-card")).to_be_visible()


def edit(browser: Browser, url: str) -> None:
    """A box that cuts the kidney in two, what it becomes when its lower edge is dragged down, and both masks."""
    with picture("edit", browser, url) as page:
        asked(page, "abdomen-ct.dcm", HALF)
        page.get_by_role("button", name="Edit box: Mask 1").click()
        x, y = middle(page.locator("rect.handle").nth(LOWER_EDGE))
        drag(page, (x, y), (x, y + LOWER_BY))
        page.get_by_role("button", name="Run again", exact=True).click()
        expect(page.get_by_role("region", name="Before and after")).to_be_visible()
        finished_turn(page)
        page.mouse.move(0, 0)


def middle(element: Locator) -> Place:
    box = element.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(page: Page, start: Place, end: Place) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=5)
    page.mouse.up()


def open_brain(page: Page) -> None:
    content = nifti_bytes(*brain())
    attach(page, {"name": "brain.nii", "mimeType": "application/octet-stream", "buffer": content})


def slices(browser: Browser, url: str) -> None:
    with picture("slices", browser, url) as page:
        open_brain(page)
        ask(page, MODALITY)
        finished_turn(page)
        page.get_by_role("button", name="Measure a distance").click()
        x, y = middle(page.locator(".stage"))
        drag(page, (x - 105, y), (x + 105, y))


def volume(browser: Browser, url: str) -> None:
    with picture("volume", browser, url) as page:
        open_brain(page)
        page.get_by_role("button", name="3D").click()
        expect(page.get_by_role("img", name="in three planes and 3D")).to_be_visible()
        expect(page.get_by_text("Loading the volume")).to_have_count(0)


def report(browser: Browser, url: str) -> None:
    with picture("report", browser, url) as page:
        asked(page, "chest-xray.png", CHEST).get_by_role("button", name="Report").click()
        expect(page.get_by_role("button", name="Mark as reviewed")).to_be_visible()


def timeline(browser: Browser, url: str) -> None:
    with picture("timeline", browser, url) as page:
        asked(page, "abdomen-ct.dcm", ABDOMEN).get_by_role("button", name="Timeline").click()
        page.locator(".thread").evaluate("(thread) => { thread.scrollTop = thread.scrollHeight; }")


def dark(browser: Browser, url: str) -> None:
    with picture("dark", browser, url, color_scheme="dark") as page:
        asked(page, "eye-fundus.png", MODALITY)


def tablet(browser: Browser, url: str) -> None:
    """The image, as chat and image take turns on a tablet held upright."""
    with picture("tablet", browser, url, viewport=TABLET, has_touch=True) as page:
        page.get_by_label("Image files").set_input_files(EXAMPLES / "abdomen-ct.dcm")
        ask(page, ABDOMEN)
        finished_turn(page)
        page.get_by_role("button", name="Image", exact=True).click()


def workers(browser: Browser, url: str) -> None:
    with picture("workers", browser, url) as page:
        page.get_by_role("link", name="Workers", exact=False).click()
        expect(page.locator(".workers-page").get_by_role("row", name="Classify the image")).to_contain_text("Ready")


def consultation(browser: Browser, url: str) -> None:
    with picture("consultation", browser, url) as page:
        show_from_first_call(asked(page, "abdomen-ct.dcm", SECOND_OPINION))


if __name__ == "__main__":
    main()
