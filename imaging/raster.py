"""PNG and JPEG files as display frames."""

from __future__ import annotations

import io
import warnings
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from mmedagent.imaging.facts import Facts, FrameInfo, WindowUsed
from mmedagent.imaging.frame import Decoded, DecodedFrame, Frame, FrameMeta
from mmedagent.imaging.limits import check_dimensions
from mmedagent.imaging.samples import compact, dtype_name
from mmedagent.imaging.sniff import PNG
from mmedagent.imaging.strip import strip_jpeg, strip_png
from mmedagent.imaging.windowing import FULL_RANGE, percentile_window, to_display
from mmedagent.protocol.errors import TooLargeError, UnreadableImageError

_DEEP_GRAY = frozenset({"I", "I;16", "I;16B", "I;16L"})


def decode_raster(data: bytes, media_type: str) -> Decoded:
    """Decode a PNG or a JPEG.

    EXIF orientation is applied. Transparency is laid over black, the background of the viewers. Palettes and CMYK
    become RGB; colour profiles are dropped, not applied. Gray deeper than 8 bits is windowed from its 0.5th to its
    99.5th percentile; colour deeper than 8 bits keeps its upper 8 bits.
    """
    stripped = strip_png(data) if media_type == PNG else strip_jpeg(data)
    frame, stored = _decode(stripped)
    meta = frame.meta
    info = FrameInfo(count=1, width=stored.shape[1], height=stored.shape[0], samples=3 if stored.ndim == 3 else 1)
    if meta.window_center is not None and meta.window_width is not None:
        window = WindowUsed(center=meta.window_center, width=meta.window_width, source=meta.window_source)
        info = info.model_copy(update={"dtype": dtype_name(stored.dtype), "window": window})
    return Decoded(frame, media_type, stripped, Facts(frames=info))


def decode_raster_frame(data: bytes) -> DecodedFrame:
    """The one frame of a de-identified PNG or JPEG. Errors as of `decode_raster`."""
    return DecodedFrame(*_decode(data))


def _decode(stripped: bytes) -> tuple[Frame, NDArray[Any]]:
    """The frame, and its values before the window."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # Only what has been stripped is parsed, so no profile, text or EXIF parser ever sees the file.
            with Image.open(io.BytesIO(stripped), formats=("PNG", "JPEG")) as image:
                check_dimensions(image.height, image.width)
                return _frame(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooLargeError("The image has more pixels than are accepted.") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, IndexError, zlib.error) as error:
        raise UnreadableImageError("The image is broken or cut short.") from error


def _frame(image: Image.Image) -> tuple[Frame, NDArray[Any]]:
    mode = image.mode
    upright = ImageOps.exif_transpose(image)
    window = FULL_RANGE
    if mode in _DEEP_GRAY:
        values = np.asarray(upright).astype(np.int32)
        window = percentile_window(values)
        pixels, stored = to_display(values, window.apply), compact(values)
    else:
        pixels = stored = np.array(_flatten(upright))
    meta = FrameMeta(
        window_center=window.center, window_width=window.width, window_source=window.source, photometric=mode
    )
    return Frame(pixels, meta), stored


def _flatten(image: Image.Image) -> Image.Image:
    """Gray ("L") or "RGB"."""
    if image.has_transparency_data:
        gray = image.mode in ("1", "L", "LA")
        layer = image.convert("RGBA")
        flat = Image.alpha_composite(Image.new("RGBA", layer.size, (0, 0, 0, 255)), layer)
        return flat.convert("L" if gray else "RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")
