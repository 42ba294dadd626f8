"""Frames that are kept in memory, and files that are deleted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mmedagent.controller.frames import Frames
from mmedagent.controller.store.models import FileRow
from mmedagent.imaging.sandbox import DecoderPool
from mmedagent.protocol.errors import UnreadableImageError
from mmedagent.serving.blobs import FolderBlobStore
from support.images import ct_bytes


@dataclass(frozen=True)
class Kept:
    """A stored file, and the frames of it."""

    row: FileRow
    path: Path
    frames: Frames


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    blobs = FolderBlobStore(tmp_path / "blobs")
    source = blobs.put(ct_bytes())
    async with DecoderPool(size=1) as pool:
        decoded = await pool.decode(blobs.path(source))
        facts = decoded.facts.model_dump(mode="json")
        row = FileRow(id="file-1", owner="local", media_type=decoded.media_type, source_sha256=source, facts=facts)
        yield Kept(row, blobs.path(source), Frames(blobs, pool))


async def test_a_frame_is_kept_until_its_file_is_deleted(kept: Kept) -> None:
    first = await kept.frames.png(kept.row, 0)
    kept.path.unlink()
    assert await kept.frames.png(kept.row, 0) == first
    kept.frames.forget(kept.row.source_sha256)
    with pytest.raises(UnreadableImageError):
        await kept.frames.png(kept.row, 0)


async def test_a_frame_that_is_read_while_its_file_is_deleted_is_not_kept(kept: Kept) -> None:
    reading = asyncio.create_task(kept.frames.png(kept.row, 0))
    await asyncio.sleep(0)  # It has begun.
    kept.frames.forget(kept.row.source_sha256)
    assert await reading
    kept.path.unlink()
    with pytest.raises(UnreadableImageError):
        await kept.frames.png(kept.row, 0)
