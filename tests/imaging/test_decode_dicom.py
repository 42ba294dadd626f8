"""Real DICOM files with the pitfalls of the field, and made ones for what no library file shows."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_windowing
from pydicom.pixels.utils import pixel_array
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian

from mmedagent.imaging.decode import decode_file
from mmedagent.imaging.frame import FrameMeta
from mmedagent.imaging.limits import MAX_FILE_BYTES
from mmedagent.protocol.errors import TooLargeError, UnreadableImageError, UnsupportedImageError

Locate = Callable[[str], Path]
SaveDicom = Callable[..., Path]
SaveBytes = Callable[[bytes], Path]


def windowed_by_pydicom(path: Path) -> np.ndarray:
    """Another implementation of the same part of the standard, on 0..255."""
    dataset = pydicom.dcmread(path)
    values = apply_windowing(apply_modality_lut(pixel_array(dataset), dataset), dataset)
    slope, intercept = dataset.get("RescaleSlope", 1), dataset.get("RescaleIntercept", 0)
    signed = dataset.PixelRepresentation
    least = -(2 ** (dataset.BitsStored - 1)) if signed else 0
    low, high = (bound * slope + intercept for bound in (least, least + 2**dataset.BitsStored - 1))
    return np.asarray((values - low) / (high - low) * 255)


def test_ct_without_a_window_gets_the_soft_tissue_preset(dicom_file: Locate) -> None:
    path = dicom_file("CT_small.dcm")
    decoded = decode_file(path)
    hounsfield = pixel_array(path).astype(float) - 1024
    assert decoded.media_type == "application/dicom"
    assert decoded.frame.meta == FrameMeta(
        modality="CT",
        spacing_mm=(0.661468, 0.661468),
        spacing_source="PixelSpacing",
        window_center=40.0,
        window_width=400.0,
        window_source="preset soft tissue",
        photometric="MONOCHROME2",
    )
    expected = np.clip((hounsfield + 160) / 400 * 255, 0, 255)
    np.testing.assert_allclose(decoded.frame.pixels, expected, atol=0.5)


@pytest.mark.parametrize("name", ["J2K_pixelrep_mismatch.dcm", "examples_overlay.dcm", "MR_small.dcm", "693_J2KI.dcm"])
def test_the_first_window_of_the_header_is_applied_as_pydicom_does(dicom_file: Locate, name: str) -> None:
    frame = decode_file(dicom_file(name)).frame
    assert frame.meta.window_source == "header"
    np.testing.assert_allclose(frame.pixels, windowed_by_pydicom(dicom_file(name)), atol=0.51)


def test_signed_pixels_in_an_unsigned_codestream(dicom_file: Locate) -> None:
    frame = decode_file(dicom_file("J2K_pixelrep_mismatch.dcm")).frame
    assert (frame.meta.body_part, frame.meta.window_center, frame.meta.window_width) == ("HEAD", 40.0, 100.0)
    assert frame.pixels[0, 0] == 0, "the air around the head is black, not white"
    assert frame.pixels[256, 256] > 60


@pytest.mark.parametrize("kind", ["RLE", "bigendian", "expb", "implicit", "jp2klossless", "jpeg_ls_lossless", "padded"])
def test_every_transfer_syntax_shows_the_same_mr(dicom_file: Locate, kind: str) -> None:
    plain, other = decode_file(dicom_file("MR_small.dcm")), decode_file(dicom_file(f"MR_small_{kind}.dcm"))
    np.testing.assert_array_equal(other.frame.pixels, plain.frame.pixels)
    assert other.frame.meta == plain.frame.meta


def test_deflated_files_are_inflated(dicom_file: Locate) -> None:
    decoded = decode_file(dicom_file("image_dfl.dcm"))
    assert decoded.frame.pixels.shape == (512, 512)
    assert np.unique(decoded.frame.pixels).size > 16


def test_monochrome1_is_inverted(dicom_file: Locate) -> None:
    path = dicom_file("dicomdirtests/77654033/CR1/6154")
    meta = decode_file(path).frame.meta
    np.testing.assert_allclose(decode_file(path).frame.pixels, 255 - windowed_by_pydicom(path), atol=0.51)
    assert (meta.photometric, meta.spacing_source) == ("MONOCHROME1", "ImagerPixelSpacing")


def test_palette_colour_is_looked_up(dicom_file: Locate) -> None:
    path = dicom_file("examples_palette.dcm")
    frame, dataset = decode_file(path).frame, pydicom.dcmread(path)
    red = np.frombuffer(dataset.RedPaletteColorLookupTableData, "<u2")
    np.testing.assert_array_equal(frame.pixels[..., 0], (red >> 8)[pixel_array(path)])
    assert np.ptp(frame.pixels.astype(int), axis=2).max() > 50, "the palette has colours"


def test_only_the_first_frame_of_a_ybr_cine_is_decoded_as_rgb(dicom_file: Locate) -> None:
    path = dicom_file("examples_ybr_color.dcm")
    frame = decode_file(path).frame
    np.testing.assert_array_equal(frame.pixels, pixel_array(path, index=0))
    assert (frame.meta.modality, frame.meta.frame_index, frame.meta.frame_count) == ("US", 0, 30)
    assert frame.meta.spacing_mm is None, "this file's ultrasound region is that of a larger picture"


@pytest.mark.parametrize(
    "name",
    [
        "SC_rgb_dcmtk_+eb+cr.dcm",
        "SC_rgb_dcmtk_+eb+cy+s4.dcm",
        "SC_rgb_gdcm_KY.dcm",
        "SC_rgb_jls_lossy_sample.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
        "SC_rgb_rle_16bit.dcm",
        "SC_rgb_rle_32bit_2frame.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
    ],
)
def test_colour_bars_in_every_encoding(dicom_file: Locate, name: str) -> None:
    bars = decode_file(dicom_file(name)).frame.pixels
    reference = decode_file(dicom_file("SC_rgb_rle.dcm")).frame.pixels
    # Chroma subsampling and lossy coding smear the edges between the bars, not the bars.
    difference = np.abs(bars.astype(int) - reference.astype(int))
    assert np.median(difference) <= 2
    assert (difference <= 8).mean() > 0.95


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("liver_1frame.dcm", "not a picture"),
        ("rtdose.dcm", "not a picture"),
        ("test-SR.dcm", "not a picture"),
        ("waveform_ecg.dcm", "holds no picture"),
        ("JPGExtended.dcm", "12-bit lossy JPEG"),
        ("meta_missing_tsyntax.dcm", "transfer syntax"),
    ],
)
def test_other_dicom_objects_are_refused(dicom_file: Locate, name: str, message: str) -> None:
    with pytest.raises(UnsupportedImageError, match=message):
        decode_file(dicom_file(name))


@pytest.mark.parametrize("name", ["MR_truncated.dcm", "JPEG2000-embedded-sequence-delimiter.dcm"])
def test_broken_pixel_data_is_refused(dicom_file: Locate, name: str) -> None:
    with pytest.raises(UnreadableImageError):
        decode_file(dicom_file(name))


@pytest.mark.parametrize("size", [0, 100, 132, 200, 1_000, 5_000, 30_000])
def test_a_cut_file_is_refused(dicom_file: Locate, save_bytes: SaveBytes, size: int) -> None:
    data = dicom_file("CT_small.dcm").read_bytes()[:size]
    with pytest.raises((UnreadableImageError, UnsupportedImageError)):
        decode_file(save_bytes(data))


def test_a_deflate_bomb_is_refused(dicom_file: Locate, save_bytes: SaveBytes) -> None:
    source = dicom_file("image_dfl.dcm").read_bytes()
    start = 132 + 12 + int(pydicom.filereader.read_file_meta_info(dicom_file("image_dfl.dcm"))[0x00020000].value)
    deflater = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    zeros = bytes(2**22)
    bomb = b"".join(deflater.compress(zeros) for _ in range(MAX_FILE_BYTES // len(zeros) + 1)) + deflater.flush()
    assert len(bomb) < 2**21
    assert DeflatedExplicitVRLittleEndian.encode() in source[:start]
    with pytest.raises(TooLargeError, match="inflates"):
        decode_file(save_bytes(source[:start] + bomb))


@pytest.mark.parametrize("sizes", [{"Rows": 65_535, "Columns": 65_535}, {"NumberOfFrames": 2_000_000_000}])
def test_dimensions_are_checked_before_decoding(save_dicom: SaveDicom, sizes: dict[str, int]) -> None:
    path = save_dicom(np.zeros((4, 4), np.int16), **sizes)
    with pytest.raises(TooLargeError):
        decode_file(path)


def test_a_gray_picture_with_three_samples_is_refused(save_dicom: SaveDicom) -> None:
    path = save_dicom(np.zeros((3, 2, 2), np.uint8), SamplesPerPixel=3, PlanarConfiguration=1)
    with pytest.raises(UnsupportedImageError, match="samples"):
        decode_file(path)


def test_an_empty_picture_is_refused(save_dicom: SaveDicom) -> None:
    with pytest.raises(UnreadableImageError, match="no pixels"):
        decode_file(save_dicom(np.zeros((4, 4), np.int16), Rows=0))


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 1)])
def test_the_smallest_pictures(save_dicom: SaveDicom, shape: tuple[int, int]) -> None:
    stored = np.arange(shape[0] * shape[1], dtype=np.int16).reshape(shape)
    frame = decode_file(save_dicom(stored, Modality="MR")).frame
    assert frame.pixels.shape == shape
    assert frame.pixels.max() == (0 if stored.size == 1 else 255)


def test_percentiles_leave_out_padding(save_dicom: SaveDicom) -> None:
    stored = np.full((50, 50), -2_000, np.int16)
    stored[20:30, 20:30] = np.arange(100, dtype=np.int16).reshape(10, 10)
    frame = decode_file(save_dicom(stored, Modality="MR", PixelPaddingValue=-2_000)).frame
    assert frame.meta.window_source == "percentile"
    assert (frame.meta.window_center, frame.meta.window_width) == pytest.approx((49.5, 98.01))
    assert 120 <= frame.pixels[24, 29] <= 135


def test_ct_of_the_head_gets_the_brain_preset(save_dicom: SaveDicom) -> None:
    hounsfield = np.array([[0, 40, 80]], np.int16)
    attributes = {"Modality": "CT", "BodyPartExamined": "HEAD", "RescaleSlope": 1, "RescaleIntercept": 0}
    frame = decode_file(save_dicom(hounsfield, **attributes)).frame
    assert frame.pixels.tolist() == [[0, 128, 255]]
    assert frame.meta.window_source == "preset brain"


@pytest.mark.parametrize(
    ("function", "expected"),
    [("LINEAR", [0, 0, 255, 255]), ("LINEAR_EXACT", [0, 64, 191, 255]), ("SIGMOID", [12, 69, 186, 243])],
)
def test_window_functions(save_dicom: SaveDicom, function: str, expected: list[int]) -> None:
    stored = np.array([[9, 10, 11, 12]], np.uint16) * 2
    window = {"WindowCenter": "21", "WindowWidth": "4" if function != "LINEAR" else "1", "VOILUTFunction": function}
    assert decode_file(save_dicom(stored, **window)).frame.pixels.tolist() == [expected]


def test_a_useless_window_is_passed_over(save_dicom: SaveDicom) -> None:
    stored = np.array([[0, 100]], np.uint16)
    path = save_dicom(stored, WindowCenter=["50", "50"], WindowWidth=["0", "100"])
    assert decode_file(path).frame.meta.window_width == 100.0


def test_a_voi_table_comes_before_a_window(save_dicom: SaveDicom) -> None:
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [4, 10, 8])
    table.add_new("LUTData", "US", [0, 200, 100, 255])
    stored = np.array([[0, 10, 11, 12, 13, 99]], np.uint16)
    path = save_dicom(stored, VOILUTSequence=Sequence([table]), WindowCenter="1", WindowWidth="2")
    frame = decode_file(path).frame
    assert frame.pixels.tolist() == [[0, 0, 200, 100, 255, 255]]
    assert frame.meta.window_source == "header table"


def test_functional_groups_of_an_enhanced_file(save_dicom: SaveDicom) -> None:
    measures, shared, window, own = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = ["0.5", "0.25"]
    shared.PixelMeasuresSequence = Sequence([measures])
    window.WindowCenter, window.WindowWidth = "100", "200"
    own.FrameVOILUTSequence = Sequence([window])
    other = Dataset()
    other.FrameVOILUTSequence = Sequence([Dataset()])
    path = save_dicom(
        np.arange(12, dtype=np.uint16).reshape(2, 2, 3),
        NumberOfFrames=2,
        SharedFunctionalGroupsSequence=Sequence([shared]),
        PerFrameFunctionalGroupsSequence=Sequence([own, other]),
    )
    meta = decode_file(path).frame.meta
    assert (meta.spacing_mm, meta.window_center, meta.frame_count) == ((0.5, 0.25), 100.0, 2)


@pytest.mark.parametrize(
    ("attributes", "spacing", "source"),
    [
        ({"PixelSpacing": ["0.2", "0.3"]}, (0.2, 0.3), "PixelSpacing"),
        ({"ImagerPixelSpacing": ["0.1", "0.1"]}, (0.1, 0.1), "ImagerPixelSpacing"),
        ({"PixelSpacing": ["0.1", "0.1"], "ImagerPixelSpacing": ["0.1", "0.1"]}, (0.1, 0.1), "ImagerPixelSpacing"),
        ({"PixelSpacing": ["0.09", "0.09"], "ImagerPixelSpacing": ["0.1", "0.1"]}, (0.09, 0.09), "PixelSpacing"),
        ({"NominalScannedPixelSpacing": ["0.1", "0.1"]}, (0.1, 0.1), "NominalScannedPixelSpacing"),
        ({"PixelSpacing": ["0", "0.3"]}, None, None),
        ({"PixelSpacing": []}, None, None),
        ({}, None, None),
    ],
)
def test_spacing_says_where_it_comes_from(
    save_dicom: SaveDicom, attributes: dict[str, list[str]], spacing: tuple[float, float] | None, source: str | None
) -> None:
    meta = decode_file(save_dicom(np.zeros((2, 2), np.uint8), **attributes)).frame.meta
    assert (meta.spacing_mm, meta.spacing_source) == (spacing, source)
