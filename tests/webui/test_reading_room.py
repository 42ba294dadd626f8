"""A reading session in a real browser on the real system: upload, ask, look, change the window and a box, take away."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import nibabel
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Route, expect

from support.images import CT_FILE, CT_SIDE
from support.series import brain, nifti_bytes
from system.launch import client
from webui.tab import Tab, ask, attach, finished_turn, tab

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

QUESTION = "What modality is this? Also segment the structure in the box [0.25, 0.05, 0.75, 0.70] and give me its area."
CHANGED = 12
"""Gray levels by which a pixel has to differ to count as changed."""


@pytest.fixture
def room(embedded: str, browser: Browser) -> Iterator[Tab]:
    with tab(browser, embedded) as made:
        yield made


@pytest.fixture
def http(embedded: str) -> Iterator[httpx.Client]:
    with client(embedded) as made:
        yield made


def pixels(page: Page) -> NDArray[np.int16]:
    """What is seen of the image, with everything that is drawn over it."""
    picture = Image.open(io.BytesIO(page.locator(".stage").screenshot()))
    return np.asarray(picture.convert("RGB")).astype(np.int16)


def changed(before: NDArray[np.int16], after: NDArray[np.int16]) -> float:
    """The share of the stage that looks different."""
    return float((np.abs(before - after).max(axis=2) > CHANGED).mean())


def completed(http: httpx.Client) -> dict[str, int]:
    """How many calls each tool has completed."""
    return {row["name"]: row["completed"] for row in http.get("/v1/workers").json()["data"] if row["kind"] == "tool"}


def frame_share(page: Page) -> float:
    """The share of the stage that the frame takes."""
    stage, frame = page.locator(".stage").bounding_box(), page.locator("canvas.pixels").bounding_box()
    assert stage is not None
    assert frame is not None
    return frame["width"] * frame["height"] / (stage["width"] * stage["height"])


def draw_box(page: Page, *corners: tuple[float, float]) -> None:
    """Drag from one corner to the other; both are fractions of the frame."""
    frame = page.locator("canvas.pixels").bounding_box()
    assert frame is not None
    (x1, y1), (x2, y2) = ((frame["x"] + x * frame["width"], frame["y"] + y * frame["height"]) for x, y in corners)
    page.mouse.move(x1, y1)
    page.mouse.down()
    page.mouse.move(x2, y2, steps=5)
    page.mouse.up()


def download(page: Page, turn: Locator, what: str, folder: Path) -> Path:
    """Take something away by the export menu."""
    turn.get_by_role("button", name="Export").click()
    with page.expect_download() as waited:
        turn.get_by_role("button", name=what, exact=False).first.click()
    path = folder / waited.value.suggested_filename
    waited.value.save_as(path)
    page.keyboard.press("Escape")
    return path


def area_of(turn: Locator) -> tuple[str, int]:
    """What the answer says of the size of its mask: square millimetres as they are written, and pixels."""
    found = re.search(r"area of ([\d,]+ mm²) .*? ([\d,]+) px", turn.inner_text())
    assert found
    return found[1], int(found[2].replace(",", ""))


def test_a_reading_session(room: Tab, http: httpx.Client, tmp_path: Path) -> None:
    page = room.page
    attach(page, CT_FILE)
    ask(page, QUESTION)
    turn = finished_turn(page)
    expect(turn.locator("section.call")).to_have_count(2)
    area, size = area_of(turn)

    # The outline is there: hiding it changes as much of the picture as the mask has pixels.
    shown = page.get_by_role("checkbox", name="Mask 1")
    with_mask = pixels(page)
    shown.uncheck()
    plain = pixels(page)
    share = changed(with_mask, plain) / frame_share(page)
    assert share == pytest.approx(size / CT_SIDE**2, rel=0.15)
    shown.check()

    # Another window shows other gray levels of the same values.
    page.get_by_label("Window, from", exact=False).select_option(label="lung")
    expect(page.locator(".stage")).to_contain_text("W 1500")
    assert changed(with_mask, pixels(page)) > 0.2

    # A changed box runs its call again, and that call alone.
    before = completed(http)
    page.get_by_role("button", name="Edit box: Mask 1").click()
    handle = page.locator("rect.handle").last.bounding_box()
    assert handle is not None
    page.mouse.move(handle["x"] + 4, handle["y"] + 4)
    page.mouse.down()
    page.mouse.move(handle["x"] - 60, handle["y"] - 40, steps=5)
    page.mouse.up()
    page.get_by_role("button", name="Run again", exact=True).click()
    expect(page.get_by_role("group", name="Version 2 of 2")).to_be_visible()
    turn = finished_turn(page)
    expect(turn.locator("section.call", has_text="Reused")).to_have_count(1)
    after = completed(http)
    assert {name: after[name] - before[name] for name in before if after[name] != before[name]} == {"segmentation": 1}
    expect(page.get_by_role("region", name="Before and after")).to_contain_text(area)

    # What is taken away is what was seen.
    with Image.open(download(page, turn, "Image with overlay", tmp_path)) as overlay:
        assert overlay.width == overlay.height
    mask = nibabel.load(download(page, turn, "NIfTI", tmp_path))
    assert isinstance(mask, Nifti1Image)
    assert mask.shape == (CT_SIDE, CT_SIDE, 1)
    assert 0 < np.asarray(mask.dataobj).sum() < 2 * size
    assert b"For research use only" in download(page, turn, "Printable page", tmp_path).read_bytes()


def test_several_boxes_are_drawn_and_each_mask_has_its_own_opacity(room: Tab) -> None:
    page = room.page
    attach(page, CT_FILE)
    draw_box(page, (0.05, 0.2), (0.45, 0.7))
    draw_box(page, (0.55, 0.2), (0.95, 0.7))
    expect(page.locator(".viewer-foot")).to_contain_text("2 boxes")
    ask(page, "Segment these.")
    turn = finished_turn(page)
    expect(turn.locator(".question .chip")).to_have_count(2)
    expect(turn.locator(".regions li")).to_have_count(2)

    page.get_by_role("slider", name="Opacity of Mask 2").focus()
    faint = pixels(page)
    page.keyboard.press("End")
    expect(page.get_by_role("slider", name="Opacity of Mask 2")).to_have_value("1")
    strong = pixels(page)
    middle = faint.shape[1] // 2
    assert changed(faint[:, :middle], strong[:, :middle]) == 0
    assert changed(faint[:, middle:], strong[:, middle:]) > 0.02

    page.get_by_role("slider", name="Opacity of all masks").focus()
    page.keyboard.press("Home")
    expect(page.get_by_role("slider", name="Opacity of Mask 2")).to_have_value("0")


def test_every_number_of_an_answer_leads_to_its_result(room: Tab) -> None:
    page = room.page
    attach(page, CT_FILE)
    ask(page, QUESTION)
    turn = finished_turn(page)
    area, _ = area_of(turn)
    turn.locator("[data-claim]", has_text=area).first.click()
    expect(turn.locator("section.call.lit")).to_contain_text(area)
    expect(turn.locator("[data-claim].unsupported")).to_have_count(0)


def test_left_is_left_and_slices_are_stepped_through(room: Tab) -> None:
    """nibabel's example4d is LAS: its first voxels lie on the patient's right, which is shown on the left."""
    page = room.page
    values, affine = brain()
    values[:40] += 2_000
    attach(page, {"name": "brain.nii", "mimeType": "application/octet-stream", "buffer": nifti_bytes(values, affine)})
    expect(page.locator(".stage")).to_contain_text("R")
    slices = page.get_by_label("Slice", exact=True)
    expect(slices).to_have_value("12")
    seen = pixels(page)
    page.locator(".stage").focus()
    page.keyboard.press("PageDown")
    expect(slices).not_to_have_value("12")
    page.wait_for_timeout(300)
    assert changed(seen, pixels(page)) > 0.02
    assert affine[0, 0] < 0
    left, right = np.array_split(seen.mean(axis=2), 2, axis=1)
    assert left.mean() > 1.5 * right.mean()


def test_a_volume_opens_in_three_planes(room: Tab) -> None:
    page = room.page
    values, affine = brain(columns=64, rows=48, slices=12)
    packed = gzip.compress(nifti_bytes(values, affine))
    attach(page, {"name": "brain.nii.gz", "mimeType": "application/gzip", "buffer": packed})
    page.get_by_role("button", name="3D").click()
    canvas = page.get_by_role("img", name="in three planes and 3D")
    expect(canvas).to_be_visible()
    page.wait_for_timeout(2_000)
    picture = np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("L"))
    assert picture.std() > 10


def drafted_report(page: Page) -> tuple[Locator, str]:
    """The panel of a report on an answered question, and the area that it states."""
    attach(page, CT_FILE)
    ask(page, QUESTION)
    turn = finished_turn(page)
    area, _ = area_of(turn)
    turn.get_by_role("button", name="Report").click()
    panel = page.locator(".report-panel")
    expect(panel).to_contain_text(area)
    return panel, area


def test_a_report_is_drafted_reviewed_and_signed(room: Tab) -> None:
    panel, _ = drafted_report(room.page)
    panel.get_by_role("button", name="Mark as reviewed").click()
    expect(panel).to_contain_text("reviewed by local")
    panel.get_by_role("button", name="Sign", exact=True).click()
    panel.get_by_role("button", name="Really sign?", exact=False).click()
    expect(panel).to_contain_text("signed by local")
    expect(panel.get_by_label("Edit the sentence")).to_have_count(0)


def test_an_open_report_has_an_address(room: Tab) -> None:
    page = room.page
    panel, area = drafted_report(page)
    address = page.url
    page.reload()
    expect(panel).to_contain_text(area)
    assert page.url == address
    page.go_back()
    expect(panel).to_have_count(0)
    finished_turn(page)
    page.go_forward()
    expect(panel).to_contain_text(area)

    page.goto(address[:-1])
    expect(page.get_by_role("alert")).to_contain_text("There is no such report")
    finished_turn(page)
    page.go_back()
    expect(panel).to_contain_text(area)


def test_a_passage_is_read_where_it_stands(room: Tab) -> None:
    page = room.page
    ask(page, "What does the handbook say about the treatment of a cataract?")
    quoted = finished_turn(page).locator(".passage").first
    quoted.get_by_role("button", name="Cataract").click()
    source = page.get_by_role("dialog")
    for heading in ("Overview", "Symptoms", "Treatment", "When it is urgent"):
        expect(source).to_contain_text(heading)
    marked = source.locator("mark")
    expect(marked).to_have_text(str(quoted.locator("blockquote").text_content()))
    expect(marked).to_be_in_viewport()
    page.keyboard.press("Escape")
    expect(source).to_have_count(0)


def test_workers_are_shown(room: Tab) -> None:
    page = room.page
    page.get_by_role("link", name="Workers", exact=False).click()
    region = page.locator(".workers-page")
    for title in ("Segment what a box or point marks", "Classify the image", "Write a radiology report"):
        expect(region.get_by_role("row", name=title)).to_contain_text("Ready")


def test_what_is_opened_while_the_page_connects_stays_open(room: Tab) -> None:
    page = room.page
    held: list[Route] = []
    page.route("**/v1/models", lambda route: held.append(route))
    page.reload()
    page.get_by_role("link", name="Workers", exact=False).click()
    expect(page.locator(".workers-page")).to_be_visible()
    for route in held:
        route.continue_()
    expect(page.locator(".workers-count")).to_contain_text("7 of 7 ready")
    expect(page.locator(".workers-page")).to_be_visible()
    assert page.url.endswith("#/workers")
