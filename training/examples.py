"""Writes the example studies under `examples/`: one phantom of each kind, the CT as DICOM.

    python -m mmedagent.training.examples examples

The images are synthetic. The pixel spacing in the DICOM file is nominal: it says that the frame is 380 mm wide.
"""

from __future__ import annotations

import argparse
import io
import itertools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from mmedagent.training.phantoms import KINDS, generate
from mmedagent.training.phantoms.base import Phantom

SHOWN = {
    "ct": "abdomen", "mr": "brain", "xray": "chest", "ultrasound": "heart", "fundus": "eye", "histology": "tissue",
    "photograph": "skin",
}  # fmt: skip
"""The body part that the example of each kind shows."""

SIZE = 384
FIELD_OF_VIEW_MM = 380.0
UID_ROOT = "2.25.1789"
"""Below the root for UIDs that need no registration (PS3.5 annex B.2)."""


def write_examples(folder: Path) -> list[Path]:
    """Write every example into the folder and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for kind in KINDS:
        phantom = _first_of(kind, SHOWN[kind])
        name = f"{phantom.anatomy}-{kind}"
        if kind == "ct":
            path = folder / f"{name}.dcm"
            path.write_bytes(ct_as_dicom(phantom.image))
        else:
            path = folder / f"{name}.png"
            Image.fromarray(phantom.image).save(path, optimize=True)
        written.append(path)
    return written


def _first_of(kind: str, anatomy: str) -> Phantom:
    """The phantom of that kind and body part with the smallest seed."""
    drawn = (generate(kind, np.random.default_rng(seed), SIZE) for seed in itertools.count())
    return next(phantom for phantom in drawn if phantom.anatomy == anatomy and phantom.masks)


def ct_as_dicom(pixels: NDArray[np.uint8]) -> bytes:
    """A CT image (PS3.3 A.3) of an 8-bit gray picture (rows, columns), with square pixels of the field of view."""
    spacing = f"{FIELD_OF_VIEW_MM / pixels.shape[1]:.6f}"
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"{UID_ROOT}.3")
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, UID(f"{UID_ROOT}.3")
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = UID(f"{UID_ROOT}.1"), UID(f"{UID_ROOT}.2")
    dataset.Modality, dataset.BodyPartExamined = "CT", "ABDOMEN"
    dataset.PatientName, dataset.PatientID = "Phantom^Synthetic", "PHANTOM"
    dataset.ImageComments = "Synthetic image, drawn by a program"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.RescaleIntercept, dataset.RescaleSlope = "0", "1"
    dataset.WindowCenter, dataset.WindowWidth = "127.5", "256"
    dataset.PixelSpacing = [spacing, spacing]
    dataset.PixelData = pixels.tobytes()
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the example studies.")
    parser.add_argument("folder", type=Path)
    write_examples(parser.parse_args().folder)


if __name__ == "__main__":
    main()
