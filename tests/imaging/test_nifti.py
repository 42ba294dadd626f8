"""NIfTI files: every orientation and type, what the header may say, and what is not kept of it."""

from __future__ import annotations

import gzip
import resource
from collections.abc import Callable
from itertools import permutations, product
from pathlib import Path
from typing import Literal

import nibabel
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Extension, Nifti1Header, Nifti1Image
from nibabel.nifti2 import Nifti2Image
from nibabel.orientations import axcodes2ornt, inv_ornt_aff

from mmedagent.imaging.decode import decode_file
from mmedagent.imaging.facts import Edges
from mmedagent.imaging.frame import Decoded
from mmedagent.imaging.study import read_frame
from mmedagent.protocol.errors import TooLargeError, UnreadableImageError, UnsupportedImageError
from support.series import BRAIN_FILE, brain, nifti_bytes

SaveBytes = Callable[[bytes], Path]

DATA = Path(nibabel.__file__).parent / "tests" / "data"
PATIENT = "Doe^Jane 1970-01-01"
TILTED = np.array([[2.0, 0.1, 0, 5], [-0.1, 3.0, 0.2, -7], [0, -0.2, 4.0, 11], [0, 0, 0, 1]])


def kept(decoded: Decoded, save_bytes: SaveBytes) -> Path:
    assert decoded.media_type == "application/x-nifti"
    return save_bytes(decoded.deidentified)


@pytest.mark.parametrize(
    "codes",
    ["".join(picked) for order in permutations(("RL", "AP", "SI")) for picked in product(*order)],
)
def test_every_orientation_is_shown_in_radiological_convention(save_bytes: SaveBytes, codes: str) -> None:
    """The value at a pixel is the one that the affine puts there, and the patient's right is on the left."""
    shape = (4, 5, 6)
    turn = axcodes2ornt("RAS"), axcodes2ornt(codes)
    affine = TILTED @ inv_ornt_aff(nibabel.orientations.ornt_transform(*turn), shape)
    values = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    values = np.asarray(nibabel.orientations.apply_orientation(values, nibabel.orientations.ornt_transform(*turn)))
    assert "".join(nibabel.aff2axcodes(affine)) == codes
    decoded = decode_file(save_bytes(nifti_bytes(values, affine)))
    edges, facts = decoded.facts.frames.orientation, decoded.facts
    assert edges is not None
    assert edges.left in "RA"
    assert edges.top in "AS"
    assert not {"R", "L"} & {edges.top, edges.bottom}
    path = kept(decoded, save_bytes)
    frame = read_frame(path, facts, 1)
    order = {"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}
    for row, column in ((0, 0), (frame.shape[0] - 1, frame.shape[1] - 1)):
        (place,) = np.argwhere(values == frame[row, column])
        assert place[2] == 1
        world = (affine @ [*place, 1])[:3]
        middle = (affine @ [*((np.array(values.shape) - 1) / 2), 1])[:3]
        for edge, opposite, first in ((edges.left, edges.right, column == 0), (edges.top, edges.bottom, row == 0)):
            letter = edge if first else opposite
            assert (world[order[letter]] > middle[order[letter]]) == (letter in "RAS")


def test_spacing_is_that_of_the_shown_rows_and_columns(save_bytes: SaveBytes) -> None:
    sagittal = np.array([[0, 0, 3.0, 0], [-1.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 0, 1]])
    facts = decode_file(save_bytes(nifti_bytes(np.zeros((7, 8, 9), np.uint8), sagittal))).facts
    assert facts.frames.orientation == Edges(left="A", right="P", top="S", bottom="I")
    assert (facts.frames.width, facts.frames.height, facts.frames.count) == (7, 8, 9)
    assert (facts.frames.spacing_mm, facts.frames.slice_spacing_mm) == ((2.0, 1.0), 3.0)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.arange(24, dtype=np.uint8), "uint8"),
        (np.arange(-12, 12, dtype=np.int8), "int16"),
        (np.arange(-12, 12, dtype=np.int16) * 2_000, "int16"),
        (np.arange(24, dtype=np.uint16) * 2_700, "uint16"),
        (np.arange(24, dtype=np.int32), "uint8"),
        (np.arange(-12, 12, dtype=np.int32) * 100_000, "float32"),
        (np.arange(24, dtype=np.uint32) * 2_700, "uint16"),
        (np.arange(-12, 12, dtype=np.int64), "int16"),
        (np.linspace(-1, 1, 24, dtype=np.float32), "float32"),
        (np.linspace(-1, 1, 24), "float32"),
    ],
)
@pytest.mark.parametrize("order", ["little", "big"])
def test_every_type_keeps_its_values(
    save_bytes: SaveBytes, values: np.ndarray, dtype: str, order: Literal["little", "big"]
) -> None:
    cube = values.reshape(2, 3, 4)
    header = Nifti1Header(endianness="<" if order == "little" else ">")
    content = Nifti1Image(cube, np.diag([-1.0, 1, 1, 1]), header, dtype=values.dtype).to_bytes()
    assert int.from_bytes(content[:4], order) == 348
    decoded = decode_file(save_bytes(content))
    assert decoded.facts.frames.dtype == dtype
    frame = read_frame(kept(decoded, save_bytes), decoded.facts, 2)
    np.testing.assert_allclose(frame, cube[:, ::-1, 2].T, rtol=1e-6)


def test_a_scale_is_stated_or_applied(save_bytes: SaveBytes) -> None:
    whole = nifti_bytes(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4), scl_slope=2.0, scl_inter=-10.0)
    frames = decode_file(save_bytes(whole)).facts.frames
    assert (frames.dtype, frames.slope, frames.intercept) == ("int16", 2.0, -10.0)
    image = Nifti1Image(np.full((2, 3, 4), 3, np.float32), np.eye(4))
    content = bytearray(image.to_bytes())
    content[112:120] = np.array([2.0, -10.0], "<f4").tobytes()
    decoded = decode_file(save_bytes(bytes(content)))
    assert (decoded.facts.frames.slope, decoded.facts.frames.intercept) == (1.0, 0.0)
    assert set(read_frame(kept(decoded, save_bytes), decoded.facts, 0).ravel()) == {-4.0}


def test_what_is_not_a_number_is_zero(save_bytes: SaveBytes) -> None:
    values = np.array([np.nan, np.inf, -np.inf, 1e300, 5.0, -5.0]).reshape(1, 2, 3)
    decoded = decode_file(save_bytes(nifti_bytes(values, np.eye(4))))
    path = kept(decoded, save_bytes)
    stored = np.concatenate([read_frame(path, decoded.facts, index).ravel() for index in range(3)])
    assert sorted(stored) == [-5.0, 0.0, 0.0, 0.0, 0.0, 5.0]


def test_colour(save_bytes: SaveBytes) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (4, 5, 3, 3), np.uint8)
    dtype = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    decoded = decode_file(save_bytes(nifti_bytes(rgb.view(dtype)[..., 0], np.diag([-1.0, 1, 1, 1]))))
    frames = decoded.facts.frames
    assert (frames.samples, frames.dtype, frames.presets) == (3, "uint8", ())
    np.testing.assert_array_equal(decoded.frame.pixels, rgb[:, ::-1, 1].swapaxes(0, 1))
    np.testing.assert_array_equal(read_frame(kept(decoded, save_bytes), decoded.facts, 1), decoded.frame.pixels)


def test_the_header_says_what_range_to_show(save_bytes: SaveBytes) -> None:
    values, affine = brain(40, 40, 5)
    stated = decode_file(save_bytes(nifti_bytes(values, affine, cal_min=100, cal_max=500))).facts.frames.window
    assert (stated.center, stated.width, stated.source) == (300.0, 400.0, "header")
    found = decode_file(save_bytes(nifti_bytes(values, affine, scl_slope=2, scl_inter=7))).facts.frames.window
    low, high = np.percentile(values.astype(float), (0.5, 99.5))
    assert found.source == "percentile"
    assert (found.center, found.width) == pytest.approx(((low + high) + 7, 2 * (high - low)))


def test_real_files(save_bytes: SaveBytes) -> None:
    """Big-endian, and NIfTI-2."""
    source = nibabel.load(DATA / "anatomical.nii")
    decoded = decode_file(DATA / "anatomical.nii")
    stored = Nifti1Image.from_bytes(decoded.deidentified)
    np.testing.assert_array_equal(stored.get_fdata(), source.get_fdata())
    np.testing.assert_allclose(stored.affine, source.affine)
    values, affine = brain(10, 12, 3)
    second = decode_file(save_bytes(Nifti2Image(values, affine).to_bytes()))
    first = decode_file(save_bytes(nifti_bytes(values, affine)))
    assert second.facts == first.facts
    assert second.deidentified == first.deidentified


def test_units_become_millimetres(save_bytes: SaveBytes) -> None:
    image = Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.diag([2e-3, 2e-3, 5e-3, 1]))
    image.header.set_xyzt_units("meter")
    volume = decode_file(save_bytes(image.to_bytes())).facts.volume
    assert volume is not None
    assert volume.spacing_mm == pytest.approx((2.0, 2.0, 5.0))


def test_no_orientation_is_claimed_where_the_file_states_none(save_bytes: SaveBytes) -> None:
    image = Nifti1Image(np.zeros((4, 4, 4), np.uint8), None)
    image.header.set_zooms((1.0, 2.0, 3.0))
    facts = decode_file(save_bytes(image.to_bytes())).facts
    assert facts.frames.orientation is None
    assert facts.frames.spacing_mm == (2.0, 1.0)
    assert facts.volume is not None
    assert facts.volume.orientation is None


def test_nothing_of_the_patient_is_kept(save_bytes: SaveBytes) -> None:
    image = Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    for field in ("descrip", "aux_file", "intent_name", "db_name"):
        image.header[field] = PATIENT.encode()[: image.header[field].dtype.itemsize]
    image.header.extensions.append(Nifti1Extension("comment", PATIENT.encode()))
    content = image.to_bytes()
    assert content.count(b"Doe^Jane") == 5
    decoded = decode_file(save_bytes(content))
    assert b"Doe" not in decoded.deidentified
    assert len(decoded.deidentified) == 352 + 48
    np.testing.assert_array_equal(Nifti1Image.from_bytes(decoded.deidentified).get_fdata(), image.get_fdata())


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (BRAIN_FILE.read_bytes(), UnsupportedImageError, "2 volumes"),
        (nifti_bytes(np.zeros((2, 2, 2), np.complex64), np.eye(4)), UnsupportedImageError, "complex"),
        (gzip.compress(b"a letter" * 100), UnsupportedImageError, "gzip"),
        (nifti_bytes(np.zeros((2, 2, 2), np.uint8), np.diag([1.0, 1, 2_000, 1])), UnreadableImageError, "grid"),
        (nifti_bytes(np.zeros((9, 9, 9), np.uint8), np.eye(4))[:-1], UnreadableImageError, "cut short"),
        (gzip.compress(nifti_bytes(np.zeros((9, 9, 9), np.uint8), np.eye(4)))[:-20], UnreadableImageError, "cut short"),
        (Nifti2Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)).to_bytes()[:100], UnreadableImageError, "cut short"),
        (bytes(344) + b"ni1\0" + bytes(200), UnsupportedImageError, r"\.hdr"),
    ],
    ids=["4-D", "complex", "gzip", "spacing", "cut", "cut gzip", "cut NIfTI-2", "pair"],
)
def test_what_is_refused(save_bytes: SaveBytes, content: bytes, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        decode_file(save_bytes(content))


def test_what_follows_the_values_is_not_read(save_bytes: SaveBytes) -> None:
    content = nifti_bytes(np.arange(8, dtype=np.uint8).reshape(2, 2, 2), np.eye(4))
    bomb = gzip.compress(content + bytes(2**28), 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert decode_file(save_bytes(bomb)).deidentified == decode_file(save_bytes(content)).deidentified
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 2**10, "in KiB"


def test_one_time_point_is_a_volume(save_bytes: SaveBytes) -> None:
    image = Nifti1Image(np.zeros((2, 3, 4, 1, 1), np.uint8), np.eye(4))
    assert decode_file(save_bytes(image.to_bytes())).facts.frames.count == 4


@pytest.mark.parametrize("shape", [(2_000, 2_000, 2_000), (32_767, 32_767, 1), (1, 1, 32_767), (1_000, 1_000, 1_000)])
def test_a_lying_header_costs_no_memory(save_bytes: SaveBytes, shape: tuple[int, int, int]) -> None:
    image = Nifti1Image(np.zeros((1, 1, 1), np.int16), np.eye(4))
    content = bytearray(image.to_bytes())
    content[40:56] = np.array([3, *shape, 1, 1, 1, 1], "<i2").tobytes()
    for sent in (bytes(content), gzip.compress(content)):
        with pytest.raises(TooLargeError):
            decode_file(save_bytes(sent))
