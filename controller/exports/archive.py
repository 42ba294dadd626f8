"""A conversation as a zip: the data, the pictures as they are stored, overlays, and a note on what it is."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from mmedagent.controller.exports.bundle import SCHEMA, SCHEMA_VERSION, Bundle
from mmedagent.controller.exports.drawing import Easel
from mmedagent.protocol.errors import TooLargeError

if TYPE_CHECKING:
    from typing_extensions import Buffer

MAX_BYTES = 2 * 2**30
CHUNK_BYTES = 2**20

README = f"""A conversation with mmedagent

For research use only. mmedagent is not a medical device, and nothing in here is a diagnosis. Findings and
measurements were computed by networks; where a result says "demonstration weights", they have seen synthetic images
only.

conversation.json   questions, plans, calls, results with their provenance, answers, claims and reports
                    ({SCHEMA}, schema version {SCHEMA_VERSION}; see docs/reports.md of mmedagent)
frames/             images as they were shown to people and tools, named by their sha256
artifacts/          what tools made: masks are 1-bit images of the size of their frame
overlays/           boxes and masks drawn over the frames, by response; left_out.txt names those that are not

Image files were de-identified when they were uploaded. Text inside the pixels, and what people typed, was not.
"""

LEFT_OUT = "Not drawn, because it is too much, or the frame cannot be read. The results themselves are complete."


class ZipFormat:
    """Written while it is sent, picture by picture from disk, so that its size is not held in memory."""

    media_type = "application/zip"
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed

    def write(self, bundle: Bundle) -> Iterator[bytes]:
        if bundle.picture_bytes > MAX_BYTES:
            raise TooLargeError(f"The pictures of this conversation are more than {MAX_BYTES // 2**30} GiB.")
        return _chunks(bundle)


class _Sink(io.RawIOBase):
    """What the zip writer wrote since it was last emptied. It cannot be sought, so the writer never goes back."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, part: Buffer) -> int:
        self._parts.append(bytes(part))
        return len(self._parts[-1])

    def empty(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _chunks(bundle: Bundle) -> Iterator[bytes]:
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.txt", README)
        document = json.dumps(bundle.document, ensure_ascii=False, indent=1)
        archive.writestr("conversation.json", document)
        for picture in bundle.pictures:
            with (
                suppress(FileNotFoundError),
                picture.path.open("rb") as source,
                _entry(archive, picture.name) as target,
            ):
                while chunk := source.read(CHUNK_BYTES):
                    target.write(chunk)
                    yield sink.empty()
        easel, left_out = Easel(bundle.blobs.get), list[str]()
        for overlay in bundle.overlays:
            if (png := easel.draw(overlay.drawing)) is None:
                left_out.append(overlay.name)
            else:
                archive.writestr(zipfile.ZipInfo(overlay.name), png)
                yield sink.empty()
        if left_out:
            archive.writestr("overlays/left_out.txt", "\n".join([LEFT_OUT, "", *left_out, ""]))
    yield sink.empty()


def _entry(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """A new file in the archive, not compressed again, since pictures are."""
    return archive.open(zipfile.ZipInfo(name), "w")
