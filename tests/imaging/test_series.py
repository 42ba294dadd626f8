"""DICOM series: made from a real brain, real ones that are no volume, and files that hold many slices."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from nibabel.nifti1 import Nifti1Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import generate_uid

from mmedagent.imaging.decode import decode_files
from mmedagent.imaging.facts import Edges
from mmedagent.imaging.frame import Decoded
from mmedagent.imaging.geometry import Affine, affine_of
from mmedagent.imaging.study import read_frame
from mmedagent.protocol.errors import TooLargeError, UnreadableImageError, UnsupportedImageError
from support.images import png_bytes
from support.series import brain, dicom_bytes, nifti_bytes, series_datasets, series_files

Locate = Callable[[str], Path]
Decode = Callable[[Sequence[bytes]], Decoded]

AXIAL = np.array([[-0.7, 0, 0, 40], [0, 0.7, 0, -30], [0, 0, 3.0, 10], [0, 0, 0, 1]])
HOUNSFIELD: dict[str, Any] = {"Modality": "CT", "RescaleSlope": "1", "RescaleIntercept": "-1024"}


@pytest.fixture
def decode(tmp_path: Path) -> Decode:
    """Decode files together."""

    def decoded(files: Sequence[bytes]) -> Decoded:
        paths = [tmp_path / f"{number}" for number in range(len(files))]
        for path, content in zip(paths, files, strict=True):
            path.write_bytes(content)
        return decode_files(paths)

    return decoded


def cube(kind: type[np.generic] = np.int16) -> np.ndarray:
    return np.arange(4 * 5 * 6).reshape(4, 5, 6).astype(kind)


def stored(decoded: Decoded) -> np.ndarray:
    return np.asarray(Nifti1Image.from_bytes(decoded.deidentified).dataobj.get_unscaled())


def affine_in(decoded: Decoded) -> Affine:
    assert decoded.facts.volume is not None
    affine = affine_of(decoded.facts.volume)
    assert affine is not None
    return affine


@pytest.mark.parametrize("downwards", [True, False])
def test_a_series_is_the_volume_that_it_was_written_from(decode: Decode, downwards: bool) -> None:
    values, affine = brain()
    series = decode(series_files(values, affine, rows_downwards=downwards))
    nifti = decode([nifti_bytes(values, affine)])
    np.testing.assert_allclose(affine_in(series), affine, atol=1e-5)
    np.testing.assert_array_equal(stored(series), values)
    np.testing.assert_array_equal(series.frame.pixels, nifti.frame.pixels)
    assert series.facts.frames.orientation == nifti.facts.frames.orientation == edges("R", "L", "A", "P")
    assert series.facts.view == nifti.facts.view


def edges(left: Any, right: Any, top: Any, bottom: Any) -> Edges:
    return Edges(left=left, right=right, top=top, bottom=bottom)


def test_a_prone_patient_has_the_right_on_the_left_too(decode: Decode) -> None:
    prone = np.diag([-1.0, -1, 1, 1])
    decoded = decode(series_files(cube(), AXIAL @ prone))
    assert decoded.facts.frames.orientation == edges("R", "L", "A", "P")
    np.testing.assert_array_equal(stored(decoded), cube()[::-1, ::-1])


@pytest.mark.parametrize(
    ("codes", "shown"),
    [("LSP", edges("R", "L", "S", "I")), ("PSR", edges("A", "P", "S", "I"))],
)
def test_coronal_and_sagittal_series(decode: Decode, codes: str, shown: Edges) -> None:
    letters = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
    affine = np.eye(4)
    affine[:3, :3] = 0
    for index, letter in enumerate(codes):
        axis, sign = letters[letter]
        affine[axis, index] = sign * (index + 1)
    decoded = decode(series_files(cube(), affine))
    assert decoded.facts.volume is not None
    assert decoded.facts.volume.orientation == codes
    assert decoded.facts.frames.orientation == shown
    np.testing.assert_allclose(affine_in(decoded), affine, atol=1e-6)
    np.testing.assert_array_equal(stored(decoded), cube())


def test_a_tilted_gantry_keeps_its_shear(decode: Decode) -> None:
    tilted = AXIAL.copy()
    tilted[1, 2] = 0.9
    decoded = decode(series_files(cube(), tilted))
    np.testing.assert_allclose(affine_in(decoded), tilted, atol=1e-6)


def change(datasets: list[Dataset], number: int, **attributes: Any) -> list[bytes]:
    for keyword, value in attributes.items():
        setattr(datasets[number], keyword, value)
    return [dicom_bytes(dataset) for dataset in datasets]


def without(datasets: list[Dataset], *numbers: int) -> list[bytes]:
    return [dicom_bytes(dataset) for number, dataset in enumerate(datasets) if number not in numbers]


@pytest.mark.parametrize(
    ("files", "reason", "spacing", "orientation"),
    [
        (lambda made: without(made, 2), "equally spaced", (0.7, 0.7), edges("R", "L", "A", "P")),
        (lambda made: [*without(made), dicom_bytes(made[1])], "double", (0.7, 0.7), edges("R", "L", "A", "P")),
        (lambda made: change(made, 1, PixelSpacing=["1", "1"]), "pixel spacing", None, edges("R", "L", "A", "P")),
        (lambda made: change(made, 1, ImageOrientationPatient=[0, 1, 0, 0, 0, -1]), "orientation", (0.7, 0.7), None),
        (lambda made: change(made, 3, ImagePositionPatient=None), "where it lies", (0.7, 0.7), None),
        (lambda made: change(made, 3, ImageOrientationPatient=[1, 0, 0, 1, 0, 0]), "where it lies", (0.7, 0.7), None),
    ],
    ids=["missing", "double", "spacing", "orientation", "no place", "impossible"],
)
def test_what_is_no_volume_is_a_stack(
    decode: Decode, files: Callable[[list[Dataset]], list[bytes]], reason: str, spacing: Any, orientation: Any
) -> None:
    decoded = decode(files(series_datasets(cube(), AXIAL)))
    volume, frames = decoded.facts.volume, decoded.facts.frames
    assert volume is not None
    assert (volume.regular, volume.affine, volume.spacing_mm, volume.orientation) == (False, None, None, None)
    assert volume.reason is not None
    assert reason in volume.reason
    assert frames.slice_spacing_mm is None
    assert frames.spacing_mm == (None if spacing is None else pytest.approx(spacing))
    assert frames.orientation == orientation
    assert decoded.frame.meta.spacing_mm == frames.spacing_mm


def test_a_stack_is_sorted_by_position_and_shown_as_it_is_stored(decode: Decode, tmp_path: Path) -> None:
    decoded = decode([*without(series_datasets(cube(), AXIAL), 2)][::-1])
    path = tmp_path / "kept"
    path.write_bytes(decoded.deidentified)
    for index, k in enumerate((0, 1, 3, 4, 5)):
        np.testing.assert_array_equal(read_frame(path, decoded.facts, index), cube()[:, ::-1, k].T)


def test_slices_of_different_size_are_filled_up(decode: Decode) -> None:
    large, small = series_datasets(cube(), AXIAL), series_datasets(cube()[:3, :3], AXIAL)
    small[1].SeriesInstanceUID = large[0].SeriesInstanceUID
    files = [*without(large, 1), dicom_bytes(small[1])]
    decoded = decode(files)
    assert decoded.facts.volume is not None
    assert "same size" in str(decoded.facts.volume.reason)
    values = stored(decoded)
    assert values.shape == (4, 5, 6)
    (k,) = np.flatnonzero(values[3].sum(axis=0) == 0)
    np.testing.assert_array_equal(values[:3, :3, k], cube()[:3, 2::-1, 1])


def test_several_series_are_refused(decode: Decode) -> None:
    files = change(series_datasets(cube(), AXIAL), 0, SeriesInstanceUID=generate_uid())
    with pytest.raises(UnsupportedImageError, match="2 DICOM series"):
        decode(files)


def test_reports_among_the_pictures_are_passed_over(decode: Decode, dicom_file: Locate) -> None:
    files = series_files(cube(), AXIAL)
    others = [dicom_file(name).read_bytes() for name in ("test-SR.dcm", "dicomdirtests/DICOMDIR")]
    assert decode([*files, *others]).facts == decode(files).facts
    with pytest.raises(UnsupportedImageError, match="None of these"):
        decode(others)


def test_another_picture_among_the_files_is_refused(decode: Decode) -> None:
    with pytest.raises(UnsupportedImageError, match="one of them is not DICOM"):
        decode([*series_files(cube(), AXIAL), png_bytes()])


def test_a_broken_slice_is_refused(decode: Decode) -> None:
    files = series_files(cube(), AXIAL)
    with pytest.raises(UnreadableImageError):
        decode([*files[1:], files[0][:-20]])


def test_hounsfield_units_with_their_presets(decode: Decode) -> None:
    decoded = decode(series_files(cube(np.uint16), AXIAL, **HOUNSFIELD, WindowCenter=["40", "-600"], WindowWidth="400"))
    frames = decoded.facts.frames
    assert (frames.dtype, frames.slope, frames.intercept, frames.unit) == ("uint16", 1.0, -1024.0, "HU")
    names = [preset.name for preset in frames.presets]
    assert names == ["header", "soft tissue", "lung", "bone", "brain", "liver"]
    lung = next(preset for preset in frames.presets if preset.name == "lung")
    assert (lung.center, lung.width) == (-600.0, 1_500.0)
    head = decode(series_files(cube(np.uint16), AXIAL, **HOUNSFIELD, BodyPartExamined="HEAD")).facts.frames
    assert head.presets[0].name == "brain"
    assert (head.window.center, head.window.width, head.window.source) == (40.0, 80.0, "preset brain")


def test_scales_that_differ_are_applied(decode: Decode) -> None:
    datasets = series_datasets(cube(np.uint16), AXIAL, **{**HOUNSFIELD, "Modality": "PT"})
    decoded = decode(change(datasets, 2, RescaleSlope="2.5", RescaleIntercept="1"))
    frames = decoded.facts.frames
    assert (frames.dtype, frames.slope, frames.intercept) == ("float32", 1.0, 0.0)
    expected = cube(np.float32) - 1024
    expected[:, :, 2] = cube()[:, :, 2] * 2.5 + 1
    np.testing.assert_allclose(stored(decoded), expected)


def test_bright_is_low_in_monochrome1(decode: Decode) -> None:
    window = {"WindowCenter": "60", "WindowWidth": "120", "VOILUTFunction": "LINEAR_EXACT"}
    plain, inverted = (
        decode(series_files(cube(), AXIAL, PhotometricInterpretation=kind, **window))
        for kind in ("MONOCHROME2", "MONOCHROME1")
    )
    assert (plain.facts.frames.invert, inverted.facts.frames.invert) == (False, True)
    np.testing.assert_array_equal(stored(plain), stored(inverted))
    np.testing.assert_array_equal(inverted.frame.pixels, 255 - plain.frame.pixels)
    with pytest.raises(UnsupportedImageError, match="MONOCHROME1"):
        decode(change(series_datasets(cube(), AXIAL), 0, PhotometricInterpretation="MONOCHROME1"))


def test_an_enhanced_file_is_a_volume(decode: Decode) -> None:
    """One file with all slices, their places in functional groups, in no order."""
    singles = series_datasets(cube(), AXIAL)
    order = [3, 0, 5, 1, 4, 2]
    enhanced, groups = singles[0], []
    for number in order:
        position, orientation, measures, group = (Dataset() for _ in range(4))
        position.ImagePositionPatient = singles[number].ImagePositionPatient
        orientation.ImageOrientationPatient = singles[number].ImageOrientationPatient
        measures.PixelSpacing = singles[number].PixelSpacing
        group.PlanePositionSequence = Items([position])
        group.PlaneOrientationSequence = Items([orientation])
        group.PixelMeasuresSequence = Items([measures])
        groups.append(group)
    pixels = b"".join(singles[number].PixelData for number in order)
    enhanced.PerFrameFunctionalGroupsSequence = Items(groups)
    enhanced.NumberOfFrames, enhanced.PixelData = len(order), pixels
    decoded = decode([dicom_bytes(enhanced)])
    np.testing.assert_allclose(affine_in(decoded), AXIAL, atol=1e-6)
    np.testing.assert_array_equal(stored(decoded), cube())


@pytest.mark.parametrize(("folder", "count"), [("CT2", 4), ("MR700", 7)])
def test_real_series(decode: Decode, dicom_file: Locate, folder: str, count: int) -> None:
    (parent,) = [path for path in dicom_file("dicomdirtests").glob(f"*/{folder}") if path.is_dir()]
    files = sorted(path for path in parent.iterdir() if path.is_file())
    decoded = decode([path.read_bytes() for path in files])
    assert decoded.facts.frames.count == len(files) == count
    headers = [pydicom.dcmread(path) for path in files]
    normal = np.cross(*np.array(headers[0].ImageOrientationPatient, float).reshape(2, 3))
    depths = sorted(float(np.array(one.ImagePositionPatient, float) @ normal) for one in headers)
    assert decoded.facts.volume is not None
    assert decoded.facts.volume.regular == bool(np.ptp(np.diff(depths)) < 0.01 * np.mean(np.diff(depths)))


def test_nothing_of_the_patient_is_kept(decode: Decode) -> None:
    identity: dict[str, Any] = {
        "PatientName": "Doe^Jane",
        "PatientID": "Doe-1",
        "StudyDescription": "Doe",
        "StudyDate": "19991231",
    }
    datasets = series_datasets(cube(), AXIAL, **identity)
    decoded = decode([dicom_bytes(dataset) for dataset in datasets])
    kept = decoded.deidentified + decoded.facts.model_dump_json().encode()
    for word in (b"Doe", b"19991231", str(datasets[0].SeriesInstanceUID).encode()):
        assert word in dicom_bytes(datasets[0])
        assert word not in kept


def test_a_series_over_the_limit_is_refused_before_it_is_decoded(decode: Decode) -> None:
    datasets = series_datasets(cube(), AXIAL)[:2]
    for dataset in datasets:
        dataset.Rows = dataset.Columns = 8_000
        dataset.BitsAllocated, dataset.NumberOfFrames = 16, 2
    with pytest.raises(TooLargeError, match="256 MiB"):
        decode([dicom_bytes(dataset) for dataset in datasets])


def test_one_slice_is_a_picture_and_no_study(decode: Decode) -> None:
    single = dicom_bytes(series_datasets(cube(), AXIAL)[0])
    decoded = decode([single])
    assert decoded.media_type == "application/dicom"
    assert pydicom.dcmread(io.BytesIO(decoded.deidentified)).Rows == 5
