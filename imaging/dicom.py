"""DICOM images as display frames, computed from the de-identified copy and never from the original header."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from pydicom.dataset import Dataset

from mmedagent.imaging.deidentify import to_part10
from mmedagent.imaging.dicom_facts import frame_meta, picture_facts, position_of
from mmedagent.imaging.dicom_file import frame_header, frames_of, read_picture, reading_dicom
from mmedagent.imaging.dicom_pixels import decode_pixels
from mmedagent.imaging.facts import Facts
from mmedagent.imaging.frame import Decoded, DecodedFrame, Frame
from mmedagent.imaging.series import decode_members
from mmedagent.imaging.sniff import DICOM


def decode_dicom(path: Path) -> Decoded:
    """Decode a DICOM image (PS3.10 file): a study where its frames have places in the patient, else its first frame.

    Raises `UnreadableImageError`, `UnsupportedImageError` or `TooLargeError`.
    """
    with reading_dicom():
        with path.open("rb") as file:
            kept = read_picture(file).kept
        if frames_of(kept) > 1 and position_of(frame_header(kept, 0)) is not None:
            return decode_members([lambda: path.open("rb")])
        frame, _, facts = _decode(kept, 0)
        return Decoded(frame, DICOM, to_part10(kept), facts)


def decode_dicom_frame(path: Path, index: int) -> DecodedFrame:
    """Decode one frame of a file that is no study. Errors as of `decode_dicom`."""
    with reading_dicom():
        with path.open("rb") as file:
            kept = read_picture(file).kept
        frame, stored, _ = _decode(kept, index)
        return DecodedFrame(frame, stored)


def _decode(kept: Dataset, index: int) -> tuple[Frame, NDArray[Any], Facts]:
    header = frame_header(kept, index)
    pixels = decode_pixels(kept, header, index)
    frames = frames_of(kept)
    frame = Frame(pixels.shown, frame_meta(header, pixels.window, index, frames))
    return frame, pixels.stored, picture_facts(header, pixels, frames)
