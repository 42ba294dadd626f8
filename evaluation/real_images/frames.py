"""From a row of the registry to the frame that the server would show."""

from __future__ import annotations

import gzip
import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmedagent.evaluation.real_images.registry import Source
from mmedagent.imaging.decode import decode_file
from mmedagent.protocol.errors import InvalidRequestError

Pixels = NDArray[np.uint8]
_PERCENTILES = (0.5, 99.5)


def load_frame(source: Source) -> Pixels:
    """The frame, uint8 (rows, columns) or (rows, columns, 3).

    Raises `InvalidRequestError` when the package is not installed, or has another file than the one that was marked.
    """
    path = source_path(source)
    if source.form in ("dicom", "raster"):
        return decode_file(path).frame.pixels
    return as_shown(_slice(source, path) if source.form == "nifti" else _raw(source, path))


def source_path(source: Source) -> Path:
    """Where the file is; its bytes are those of the registry. Raises `InvalidRequestError`."""
    spec = find_spec(source.package)
    path = Path(spec.origin).parent / source.path if spec is not None and spec.origin else None
    if path is None or not path.is_file():
        raise InvalidRequestError(
            f"The evaluation reads images of the package {source.package}: install mmedagent with its extra `dev`."
        )
    if hashlib.sha256(path.read_bytes()).hexdigest() != source.sha256:
        raise InvalidRequestError(f"{source.package} has another {path.name} than the one that was marked.")
    return path


def as_shown(values: NDArray[np.generic]) -> Pixels:
    """Values of any range as uint8, from their 0.5th to their 99.5th percentile."""
    stored = values.astype(np.float64)
    low, high = np.percentile(stored, _PERCENTILES)
    scaled = np.clip((stored - low) / max(high - low, 1e-9), 0, 1)
    return np.asarray(scaled * 255, dtype=np.uint8)


def _slice(source: Source, path: Path) -> NDArray[np.generic]:
    """A slice of a volume stored as (left, anterior, superior): the patient's right is on the left of the frame."""
    import nibabel

    stored = np.asarray(nibabel.load(path).dataobj)
    volume = stored if stored.ndim == 3 else stored[..., 0]
    plane: NDArray[np.generic] = np.take(volume, source.index, axis=source.axis)
    return plane.T[::-1]


def _raw(source: Source, path: Path) -> NDArray[np.generic]:
    values: NDArray[np.generic] = np.frombuffer(gzip.decompress(path.read_bytes()), np.dtype("<u2"))
    return values if source.shape is None else values.reshape(source.shape)
