"""Frames of stored files: to show, and as values. What was asked for last is kept in memory."""

from __future__ import annotations

import asyncio
import gzip
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import numpy as np

from mmedagent.controller.store.models import FileRow
from mmedagent.imaging.facts import Facts
from mmedagent.imaging.png import encode_frame
from mmedagent.imaging.sandbox import DecoderPool
from mmedagent.imaging.sniff import NIFTI
from mmedagent.imaging.study import read_frame, shown
from mmedagent.protocol.errors import ConflictError, NotFoundError
from mmedagent.serving.blobs import FolderBlobStore

CACHE_BYTES = 64 * 2**20
_GZIP_LEVEL = 1
_SAMPLE_BYTES, _WORTHWHILE = 32 * 2**10, 0.9
"""Noise does not get smaller: what a sample of this size tells is enough to leave it as it is."""

Key = tuple[str, int, str]


def facts_of(row: FileRow) -> Facts:
    """Raises `ConflictError` for a file that was stored before there were facts."""
    if row.facts is None:
        raise ConflictError("This file was uploaded to an older version. Upload it again to read its frames.")
    return Facts.model_validate(row.facts)


class Frames:
    """Reads frames. A study is read where it is stored; other files are decoded in a child process."""

    def __init__(self, blobs: FolderBlobStore, decoders: DecoderPool, budget_bytes: int = CACHE_BYTES) -> None:
        self._blobs = blobs
        self._decoders = decoders
        self._budget = budget_bytes
        self._kept: OrderedDict[Key, bytes] = OrderedDict()
        self._kept_bytes = 0
        self._deletions = 0

    async def png(self, row: FileRow, index: int) -> bytes:
        """A frame as tools see it: a PNG of 8 bits. Raises `NotFoundError` for an index out of range."""
        _check(row, index)
        return await self._get((row.source_sha256, index, "png"), lambda: self._png(row, index))

    async def pixels(self, row: FileRow, index: int) -> bytes:
        """Stored values of a frame, little-endian, in the type that its facts tell. Errors as of `png`."""
        _check(row, index)
        return await self._get((row.source_sha256, index, "pixels"), lambda: self._pixels(row, index))

    async def packed_pixels(self, row: FileRow, index: int) -> bytes:
        """The same, compressed by gzip; empty where that saves less than a tenth."""
        _check(row, index)

        async def pack() -> bytes:
            return await asyncio.to_thread(_packed, await self.pixels(row, index))

        return await self._get((row.source_sha256, index, "gzip"), pack)

    async def _png(self, row: FileRow, index: int) -> bytes:
        path, facts = self._blobs.path(row.source_sha256), facts_of(row)
        if row.media_type == NIFTI:
            return await asyncio.to_thread(lambda: encode_frame(shown(read_frame(path, facts, index), facts.frames)))
        decoded = await self._decoders.decode_frame(path, index, row.owner)
        return await asyncio.to_thread(encode_frame, decoded.frame.pixels)

    async def _pixels(self, row: FileRow, index: int) -> bytes:
        path, facts = self._blobs.path(row.source_sha256), facts_of(row)
        if row.media_type == NIFTI:
            return await asyncio.to_thread(lambda: read_frame(path, facts, index).tobytes())
        stored = (await self._decoders.decode_frame(path, index, row.owner)).stored
        return stored.astype(np.dtype(facts.frames.dtype).newbyteorder("<")).tobytes()

    async def _get(self, key: Key, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """What is kept, or made now. Two that ask at the same time may both make it, which harms nobody.

        What was made while a file was deleted may be of that file, and is not kept.
        """
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        deletions = self._deletions
        made = await make()
        if deletions == self._deletions and len(made) <= self._budget and key not in self._kept:
            self._kept[key] = made
            self._kept_bytes += len(made)
            while self._kept_bytes > self._budget:
                self._kept_bytes -= len(self._kept.popitem(last=False)[1])
        return made

    def forget(self, source_sha256: str) -> None:
        """Drop what is kept of a file that was deleted. To be called when it cannot be read any more."""
        self._deletions += 1
        for key in [key for key in self._kept if key[0] == source_sha256]:
            self._kept_bytes -= len(self._kept.pop(key))


def _check(row: FileRow, index: int) -> None:
    count = facts_of(row).frames.count
    if not 0 <= index < count:
        raise NotFoundError(f"There is no frame {index}: this file has frames 0 to {count - 1}.")


def _packed(pixels: bytes) -> bytes:
    sample = pixels[:_SAMPLE_BYTES]
    if len(gzip.compress(sample, _GZIP_LEVEL)) > _WORTHWHILE * len(sample):
        return b""
    return gzip.compress(pixels, _GZIP_LEVEL)
