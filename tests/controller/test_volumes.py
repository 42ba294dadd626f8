"""Volumes through the API: one study in every form it comes in, its frames, its slices to tools, its masks."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import nibabel
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from PIL import Image

from support.problems import assert_problem
from support.script import action, told
from support.series import brain, nifti_bytes, series_files, zip_bytes
from support.studies import BOX, BoxMaskTool, send
from support.system import System, running_system

WINDOW = {"WindowCenter": "581", "WindowWidth": "1162", "VOILUTFunction": "LINEAR_EXACT"}


@dataclass
class Desk:
    system: System
    tool: BoxMaskTool
    values: NDArray[np.int16]
    affine: NDArray[np.float64]
    studies: dict[str, dict[str, Any]]

    def get(self, form: str, path: str = "", **parameters: Any) -> httpx.Response:
        return self.system.http.get(f"/v1/files/{self.studies[form]['id']}{path}", params=parameters)

    def frame(self, form: str, index: int) -> NDArray[np.uint8]:
        return np.asarray(Image.open(io.BytesIO(self.get(form, f"/frames/{index}").content)))

    def image(self, form: str, path: str, **parameters: Any) -> Nifti1Image:
        answer = self.get(form, path, **parameters)
        assert answer.status_code == 200, answer.text
        return Nifti1Image.from_bytes(gzip.decompress(answer.content))

    def invoke(self, form: str, **parameters: Any) -> dict[str, Any]:
        body = {"file_id": self.studies[form]["id"], "parameters": parameters}
        answer = self.system.http.post("/v1/tools/boxmask/invoke", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def ask(self, *content: dict[str, Any]) -> dict[str, Any]:
        """The one tool call of a question."""
        answer = self.system.http.post("/v1/responses", json={"input": [{"role": "user", "content": content}]})
        assert answer.status_code == 200, answer.text
        return next(item for item in answer.json()["output"] if item["type"] == "mcp_call")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    values, affine = brain()
    nifti, files = nifti_bytes(values, affine, cal_max=1162), series_files(values, affine, **WINDOW)
    tool = BoxMaskTool()
    rules = [
        told("slice 7", action("boxmask", boxes=[BOX], slice=7)),
        told("slice 24", action("boxmask", boxes=[BOX], slice=24)),
        told("box", action("boxmask", boxes=[BOX])),
    ]
    with running_system(tmp_path_factory.mktemp("volumes"), rules, [tool]) as system:
        answers = {
            "nifti": send(system, nifti),
            "packed": send(system, gzip.compress(nifti, 1)),
            "series": send(system, *files),
            "zip": send(system, zip_bytes(files)),
        }
        for answer in answers.values():
            assert answer.status_code == 200, answer.text
        yield Desk(system, tool, values, affine, {form: answer.json() for form, answer in answers.items()})


FORMS = ("nifti", "packed", "series", "zip")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_study(desk: Desk, form: str) -> None:
    """nibabel's brain: LAS, oblique. What differs is where the spacing was stated."""
    study = desk.studies[form]
    assert study["frame_count"] == 24
    volume = study["volume"]
    np.testing.assert_allclose(volume["affine"], desk.affine, atol=1e-5)
    np.testing.assert_allclose(volume["spacing_mm"], [2, 2, 2.2], atol=1e-5)
    assert (volume["shape"], volume["orientation"], volume["regular"]) == ([128, 96, 24], "LAS", True)
    frame = study["frame"]
    assert (frame["slice"], frame["width"], frame["height"]) == (12, 128, 96)
    info = desk.get(form, "/frames").json()
    assert info["orientation"] == {"left": "R", "right": "L", "top": "A", "bottom": "P"}
    assert (info["count"], info["width"], info["height"], info["dtype"]) == (24, 128, 96, "int16")
    assert (info["samples"], info["slope"], info["intercept"], info["unit"]) == (1, 1.0, 0.0, None)
    assert info["window"] == {"center": 581.0, "width": 1162.0, "source": "header", "function": "LINEAR_EXACT"}
    assert info["slice_spacing_mm"] == pytest.approx(2.2, abs=1e-5)
    assert info["spacing_source"] == ("PixelSpacing" if form in ("series", "zip") else "NIfTI affine")


@pytest.mark.parametrize("form", FORMS)
def test_left_is_left_in_every_form(desk: Desk, form: str) -> None:
    """The values of a frame lie where the affine says that they lie in the patient."""
    for index in (0, 7, 23):
        content = desk.get(form, f"/frames/{index}/pixels").content
        pixels = np.frombuffer(content, "<i2").reshape(96, 128)
        # Index i grows towards the patient's left, which is shown on the right; j grows towards anterior, shown up.
        np.testing.assert_array_equal(pixels, desk.values[:, ::-1, index].T)
        expected = np.rint(np.clip(pixels / 1162 * 255, 0, 255))
        np.testing.assert_array_equal(desk.frame(form, index), expected)


@pytest.mark.parametrize("form", FORMS)
def test_a_box_on_slice_7_reaches_the_tool_with_slice_7(desk: Desk, form: str) -> None:
    result = desk.invoke(form, boxes=[BOX], slice=7)
    image = desk.tool.calls[-1].image
    assert image is not None
    assert (image.slice, image.width, image.height) == (7, 128, 96)
    assert image.spacing_mm == pytest.approx((2.0, 2.0), abs=1e-5)
    inside = desk.frame(form, 7)[48:72, 32:64]
    assert result["data"]["mean"] == pytest.approx(inside.mean())
    assert desk.system.http.get(f"/v1/artifacts/{image.sha256}").content == desk.get(form, "/frames/7").content


@pytest.mark.parametrize("form", FORMS)
def test_a_mask_goes_back_to_where_it_was_drawn(desk: Desk, form: str) -> None:
    result = desk.invoke(form, boxes=[BOX], slice=7)
    mask = desk.image(form, f"/masks/{result['artifacts'][0]['sha256']}.nii.gz")
    assert mask.get_data_dtype() == np.uint8
    np.testing.assert_allclose(mask.affine, desk.affine, atol=1e-5)
    expected = np.zeros(desk.values.shape, np.uint8)
    # Rows 48 to 71 from the top are j from 24 to 47 from below.
    expected[32:64, 24:48, 7] = 1
    np.testing.assert_array_equal(np.asarray(mask.dataobj), expected)


def test_the_same_mask_of_another_slice(desk: Desk) -> None:
    """Equal boxes make equal masks: the one artifact is placed where its last call was, or where one says."""
    first, second = (desk.invoke("nifti", boxes=[BOX], slice=index) for index in (3, 5))
    sha256 = first["artifacts"][0]["sha256"]
    assert second["artifacts"][0]["sha256"] == sha256
    for parameters, index in (({}, 5), ({"slice": 3}, 3)):
        mask = desk.image("nifti", f"/masks/{sha256}.nii.gz", **parameters)
        assert np.flatnonzero(np.asarray(mask.dataobj).any(axis=(0, 1))).tolist() == [index]
    assert_problem(desk.get("nifti", f"/masks/{sha256}.nii.gz", slice=24), 422, "invalid_request")
    frame = desk.studies["nifti"]["frame"]["sha256"]
    assert_problem(desk.get("nifti", f"/masks/{frame}.nii.gz"), 422, "unreadable_image")
    assert_problem(desk.get("nifti", f"/masks/{'0' * 64}.nii.gz"), 404, "not_found")


@pytest.mark.parametrize("form", FORMS)
def test_the_volume_for_viewers_is_canonical(desk: Desk, form: str) -> None:
    volume = desk.image(form, "/volume.nii.gz")
    expected = nibabel.as_closest_canonical(Nifti1Image(desk.values, desk.affine))
    assert nibabel.aff2axcodes(volume.affine) == ("R", "A", "S")
    np.testing.assert_allclose(volume.affine, expected.affine, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(volume.dataobj), np.asarray(expected.dataobj))


def test_the_stored_file_is_the_volume(desk: Desk) -> None:
    stored = desk.get("series", "/content")
    assert stored.headers["content-type"] == "application/x-nifti"
    image = Nifti1Image.from_bytes(stored.content)
    np.testing.assert_array_equal(np.asarray(image.dataobj), desk.values)
    np.testing.assert_allclose(image.affine, desk.affine, atol=1e-5)


def test_a_turn_is_about_the_slice_that_is_asked_about(desk: Desk) -> None:
    file_id = desk.studies["series"]["id"]
    for text, part, index in (
        ("Segment this on slice 7", {}, 7),
        ("Segment this box", {"slice": 9}, 9),
        ("Segment this box", {}, 12),
    ):
        call = desk.ask({"type": "input_text", "text": text}, {"type": "input_image", "file_id": file_id, **part})
        assert call["status"] == "completed", call
        image = desk.tool.calls[-1].image
        assert image is not None
        assert image.slice == index
        inside = desk.frame("series", index)[48:72, 32:64]
        assert json.loads(call["output"])["data"]["mean"] == pytest.approx(inside.mean())


def test_a_slice_that_is_not_there(desk: Desk) -> None:
    file_id = desk.studies["nifti"]["id"]
    call = desk.ask({"type": "input_text", "text": "slice 24"}, {"type": "input_image", "file_id": file_id})
    assert call["status"] == "failed"
    assert "slices 0 to 23" in json.dumps(call["error"])
    body = {"file_id": file_id, "parameters": {"boxes": [BOX], "slice": 24}}
    refused = desk.system.http.post("/v1/tools/boxmask/invoke", json=body)
    assert_problem(refused, 422, "invalid_parameters")
    assert "slices 0 to 23" in refused.json()["detail"]
    for path in ("/frames/24", "/frames/24/pixels"):
        answer = desk.get("nifti", path)
        assert_problem(answer, 404, "not_found")
        assert "frames 0 to 23" in answer.json()["detail"]
    content = [{"type": "input_text", "text": "box"}, {"type": "input_image", "file_id": file_id, "slice": 24}]
    asked = desk.system.http.post("/v1/responses", json={"input": [{"role": "user", "content": content}]})
    assert_problem(asked, 422, "invalid_parameters")


def test_pixels_are_packed_for_those_who_can_unpack(desk: Desk) -> None:
    url = f"/v1/files/{desk.studies['nifti']['id']}/frames/3/pixels"
    plain = desk.system.http.get(url, headers={"Accept-Encoding": "identity"})
    packed = desk.system.http.get(url, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert plain.content == packed.content
    assert int(packed.headers["content-length"]) < len(plain.content) == 2 * 128 * 96
    shown = desk.system.http.get(url.removesuffix("/pixels"))
    for answer in (plain, packed, shown):
        assert "immutable" in answer.headers["cache-control"]
        assert "authorization" in answer.headers["vary"].lower()
