"""Writes the example studies under `examples/`: one phantom of most kinds, and three abdominal CT slices as DICOM.

    python -m mmedagent.training.examples examples

The images are synthetic. The pixel spacing in the DICOM files is nominal: it says that the frame is 380 mm wide.
"""

from __future__ import annotations

import argparse
import io
import itertools
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from mmedagent.training.phantoms import generate
from mmedagent.training.phantoms.base import Phantom
from mmedagent.training.phantoms.ct import plain_abdomen

PICTURES = {"mr": "brain", "xray": "chest", "ultrasound": "heart", "fundus": "eye", "histology": "tissue"}
"""Kinds whose example is a PNG file, and the body part that it shows."""

CT_FILES = {"abdomen-ct.dcm": False, "abdomen-ct-2.dcm": False, "abdomen-ct-3.dcm": True}
"""Abdominal CT slices, and whether the liver has a lesion."""

ORGANS = ("liver", "spleen", "left kidney", "right kidney")
"""What every abdominal CT shows, each on at least `ORGAN_SHARE` of the image."""

ORGAN_SHARE = 0.008
ENHANCED_HU = 85
LEVEL = 0.5
"""The level of the slices, as in the phantoms' atlas: the first lumbar vertebra."""

SIZE = 384
FIELD_OF_VIEW_MM = 380.0
STORED_OFFSET = 1024
"""Hounsfield units are stored as 12-bit numbers this much higher, as scanners do."""

UID_ROOT = "2.25.1789"
"""Below the root for UIDs that need no registration (PS3.5 annex B.2)."""


def write_examples(folder: Path) -> list[Path]:
    """Write every example into the folder and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for kind, anatomy in PICTURES.items():
        path = folder / f"{anatomy}-{kind}.png"
        Image.fromarray(_picture(kind, anatomy).image).save(path, optimize=True)
        written.append(path)
    for number, (name, lesion) in enumerate(CT_FILES.items(), start=1):
        (folder / name).write_bytes(ct_as_dicom(abdominal_ct(lesion, number), number))
        written.append(folder / name)
    return written


def _picture(kind: str, anatomy: str) -> Phantom:
    """The phantom of that kind and body part with the smallest seed."""
    drawn = (generate(kind, np.random.default_rng(seed), SIZE) for seed in itertools.count())
    return next(phantom for phantom in drawn if phantom.anatomy == anatomy and phantom.masks)


def abdominal_ct(lesion: bool, number: int) -> Phantom:
    """An abdomen with all of `ORGANS`, with a lesion of the liver and nothing else wrong, or normal."""
    wanted = ("liver lesion",) if lesion else ()
    drawn = (plain_abdomen(np.random.default_rng([number, seed]), SIZE, LEVEL) for seed in itertools.count())
    return next(phantom for phantom in drawn if phantom.findings == wanted and _shows_organs(phantom))


def _shows_organs(phantom: Phantom) -> bool:
    """Whether the organs are in view, and liver and spleen are bright with contrast medium."""
    masks, values = phantom.masks, phantom.hounsfield
    if values is None or any(name not in masks or masks[name].mean() < ORGAN_SHARE for name in ORGANS):
        return False
    return all(float(np.median(values[masks[name]])) > ENHANCED_HU for name in ("liver", "spleen"))


def ct_as_dicom(phantom: Phantom, number: int) -> bytes:
    """A CT image (PS3.3 A.3) of a CT phantom in Hounsfield units, with square pixels of the field of view.

    `number` tells the studies apart.

    Raises:
        ValueError: the phantom has no Hounsfield units.
    """
    if phantom.hounsfield is None:
        raise ValueError(f"a {phantom.modality} phantom has no Hounsfield units")
    stored = np.clip(phantom.hounsfield.astype(np.int32) + STORED_OFFSET, 0, 4095).astype(np.uint16)
    dataset = _described(number)
    spacing = f"{FIELD_OF_VIEW_MM / stored.shape[1]:.6f}"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.PixelSpacing = [spacing, spacing]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = str(-STORED_OFFSET), "1", "HU"
    dataset.WindowCenter, dataset.WindowWidth = "50", "400"
    dataset.PixelData = stored.astype("<u2").tobytes()
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _described(number: int) -> Dataset:
    """The header of an axial CT of the abdomen of nobody."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"{UID_ROOT}.{number}.3")
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, UID(f"{UID_ROOT}.{number}.3")
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = UID(f"{UID_ROOT}.{number}.1"), UID(f"{UID_ROOT}.{number}.2")
    dataset.Modality, dataset.BodyPartExamined, dataset.PatientPosition = "CT", "ABDOMEN", "HFS"
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PatientName, dataset.PatientID = "Phantom^Synthetic", f"PHANTOM-{number}"
    dataset.ImageComments = "Synthetic image, drawn by a program"
    return dataset


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the example studies.")
    parser.add_argument("folder", type=Path)
    write_examples(parser.parse_args().folder)


if __name__ == "__main__":
    main()
