"""The four types in which values of pixels are stored: uint8, int16, uint16 and float32."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedagent.imaging.facts import DType

_NAMES: dict[np.dtype[Any], DType] = {
    np.dtype(np.uint8): "uint8",
    np.dtype(np.int16): "int16",
    np.dtype(np.uint16): "uint16",
    np.dtype(np.float32): "float32",
}


def dtype_name(dtype: np.dtype[Any]) -> DType:
    """Its name on the wire. Raises `KeyError` for a type that is not stored."""
    return _NAMES[dtype.newbyteorder("=")]


def stored_type(kind: np.dtype[Any], low: float, high: float) -> np.dtype[Any]:
    """The smallest stored type for values of `kind` from `low` to `high`. Wider integers become float32."""
    if kind.kind in "iub":
        for candidate in (np.uint8, np.int16, np.uint16):
            limits = np.iinfo(candidate)
            if limits.min <= low and high <= limits.max:
                return np.dtype(candidate)
    return np.dtype(np.float32)


def as_stored(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Values in a stored type. What is not finite, or not in the range of float32, becomes 0."""
    if dtype != np.float32:
        return values.astype(dtype)
    with np.errstate(over="ignore"):
        return np.nan_to_num(values.astype(np.float32), copy=False, nan=0.0, posinf=0.0, neginf=0.0)


def compact(values: NDArray[Any]) -> NDArray[Any]:
    """Values in the smallest stored type that holds them."""
    return as_stored(values, stored_type(values.dtype, float(values.min()), float(values.max())))
