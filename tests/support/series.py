"""A real brain as NIfTI, the DICOM series that a scanner would have written of it, and archives of such files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

BRAIN_FILE = Path(nibabel.__file__).parent / "tests" / "data" / "example4d.nii.gz"
"""nibabel's EPI of a brain: 128 x 96 x 24 x 2 voxels of 2 x 2 x 2.2 mm, LAS and 9 degrees oblique."""

Affine = NDArray[np.float64]
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def brain(columns: int = 128, rows: int = 96, slices: int = 24) -> tuple[NDArray[np.int16], Affine]:
    """The first volume (i, j, k), or the lower left part of it, and its affine."""
    image = nibabel.load(BRAIN_FILE)
    values = np.asarray(image.dataobj)[:columns, :rows, :slices, 0].astype(np.int16)
    return values, np.array(image.affine, dtype=np.float64)


def nifti_bytes(values: NDArray[Any], affine: Affine | None, **header: Any) -> bytes:
    """A NIfTI-1 file, not compressed."""
    image = Nifti1Image(values, affine)
    for field, value in header.items():
        image.header[field] = value
    return bytes(image.to_bytes())


def slice_dataset(pixels: NDArray[Any], affine: Affine, **attributes: Any) -> Dataset:
    """A DICOM image of stored values (rows, columns). `affine` maps (column, row, 0) to RAS+ mm."""
    lps = RAS_TO_LPS @ affine
    spacing = np.linalg.norm(lps[:3, :2], axis=0)
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = MRImageStorage, generate_uid(), "MR"
    dataset.ImageOrientationPatient = [f"{number:.10f}"[:16] for number in (lps[:3, :2] / spacing).T.ravel()]
    dataset.ImagePositionPatient = [f"{number:.8f}"[:16] for number in lps[:3, 3]]
    dataset.PixelSpacing = [f"{spacing[1]:.8f}", f"{spacing[0]:.8f}"]
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, int(pixels.dtype.kind == "i")
    dataset.add_new("PixelData", "OW", pixels.tobytes())
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def dicom_bytes(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def series_datasets(
    values: NDArray[Any], affine: Affine, *, rows_downwards: bool = True, **attributes: Any
) -> list[Dataset]:
    """One image for each slice k, as scanners write axial ones: columns along i and rows against j.

    With `rows_downwards` false rows run along j, as some converters write them.
    """
    turn = np.eye(4)
    if rows_downwards:
        turn[1, 1], turn[1, 3] = -1.0, values.shape[1] - 1
    series = generate_uid()
    datasets = []
    for k in range(values.shape[2]):
        pixels = values[:, ::-1, k].T if rows_downwards else values[:, :, k].T
        place = affine @ turn
        place[:3, 3] += affine[:3, 2] * k
        fields = {"SeriesInstanceUID": series, "InstanceNumber": 1 + k * 7 % values.shape[2], **attributes}
        datasets.append(slice_dataset(np.ascontiguousarray(pixels), place, **fields))
    return datasets


def series_files(values: NDArray[Any], affine: Affine, **options: Any) -> list[bytes]:
    """The same as files, in an order that says nothing."""
    files = [dicom_bytes(dataset) for dataset in series_datasets(values, affine, **options)]
    return [files[place] for place in np.random.default_rng(0).permutation(len(files))]


def zip_bytes(files: Sequence[bytes], names: Sequence[str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, content in enumerate(files):
            archive.writestr(names[number] if names else f"study/{number}", content)
    return buffer.getvalue()
