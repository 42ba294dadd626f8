"""Real images that come with the libraries, and small files made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import skimage
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

DICOM_FOLDER = Path(pydicom.__file__).parent / "data" / "test_files"
PICTURE_FOLDER = Path(skimage.__file__).parent / "data"

SaveDicom = Callable[..., Path]
SaveImage = Callable[..., Path]


@pytest.fixture
def dicom_file() -> Callable[[str], Path]:
    return DICOM_FOLDER.joinpath


@pytest.fixture
def picture_file() -> Callable[[str], Path]:
    return PICTURE_FOLDER.joinpath


@pytest.fixture
def save_bytes(tmp_path: Path) -> Callable[[bytes], Path]:
    def save(data: bytes) -> Path:
        path = tmp_path / "upload"
        path.write_bytes(data)
        return path

    return save


@pytest.fixture
def save_image(tmp_path: Path) -> SaveImage:
    """Write a Pillow image to a file whose name says nothing."""

    def save(image: Image.Image, kind: str, **options: object) -> Path:
        path = tmp_path / "upload"
        image.save(path, kind, **options)
        return path

    return save


@pytest.fixture
def save_dicom(tmp_path: Path) -> SaveDicom:
    """Write a small monochrome DICOM file with the given stored values and attributes."""

    def save(stored: np.ndarray, **attributes: object) -> Path:
        dataset = Dataset()
        dataset.SOPClassUID = CTImageStorage
        dataset.SOPInstanceUID = generate_uid()
        dataset.Rows, dataset.Columns = stored.shape[-2:]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = stored.dtype.itemsize * 8
        dataset.HighBit = dataset.BitsStored - 1
        dataset.PixelRepresentation = int(stored.dtype.kind == "i")
        dataset.add_new("PixelData", "OW", stored.tobytes() + b"\0" * (stored.nbytes % 2))
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = tmp_path / "upload"
        dataset.save_as(path, enforce_file_format=True)
        return path

    return save
