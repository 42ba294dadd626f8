"""Uploads: decode in the sandbox, keep the de-identified source and the display frame, remember them for the owner."""

from __future__ import annotations

import asyncio
import mimetypes
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

from sqlalchemy.orm import Session

from mmedagent.controller.store import repository
from mmedagent.controller.store.database import Database
from mmedagent.controller.store.models import ArtifactRow, FileRow
from mmedagent.imaging.frame import Decoded
from mmedagent.imaging.png import encode_frame
from mmedagent.imaging.sandbox import DecoderPool
from mmedagent.protocol.invocation import ImageRef
from mmedagent.serving.blobs import FolderBlobStore

PNG = "image/png"


class Files:
    """The images of all owners. The name a client gives a file is not kept: it may be a patient's."""

    def __init__(self, database: Database, blobs: FolderBlobStore, decoders: DecoderPool, limit_bytes: int) -> None:
        self._database = database
        self._blobs = blobs
        self._decoders = decoders
        self._limit_bytes = limit_bytes

    async def add(self, owner: str, chunks: AsyncIterator[bytes]) -> FileRow:
        """Take in one upload.

        Raises `TooLargeError`, `UnreadableImageError`, `UnsupportedImageError`, `DeadlineError`.
        """
        upload = await self._blobs.receive(chunks, self._limit_bytes)
        try:
            decoded = await self._decoders.decode(upload)
        finally:
            await asyncio.to_thread(upload.unlink)
        image = await asyncio.to_thread(self._keep_blobs, decoded)
        return await self._database.write(lambda session: _add_file(session, owner, decoded, image))

    async def get(self, owner: str, file_id: str) -> FileRow:
        return await self._database.read(lambda session: repository.file_of(session, owner, file_id))

    async def image(self, owner: str, file_id: str) -> ImageRef:
        """The display frame of an owner's file. Raises `NotFoundError`."""
        return ImageRef.model_validate((await self.get(owner, file_id)).image)

    async def delete(self, owner: str, file_id: str) -> None:
        """Forget a file and what was made from it; its bytes go too unless the same picture was uploaded twice."""
        orphans = await self._database.write(lambda session: repository.delete_file(session, owner, file_id))
        for sha256 in orphans:
            await asyncio.to_thread(self._blobs.path(sha256).unlink, missing_ok=True)

    def path(self, sha256: str) -> Path:
        return self._blobs.path(sha256)

    def _keep_blobs(self, decoded: Decoded) -> ImageRef:
        pixels, meta = decoded.frame.pixels, decoded.frame.meta
        return ImageRef(
            sha256=self._blobs.put(encode_frame(pixels)),
            source_sha256=self._blobs.put(decoded.deidentified),
            width=pixels.shape[1],
            height=pixels.shape[0],
            modality=meta.modality,
            spacing_mm=meta.spacing_mm,
            spacing_source=meta.spacing_source,
            body_part=meta.body_part,
            laterality=meta.laterality,
            slice=meta.frame_index,
        )


def _add_file(session: Session, owner: str, decoded: Decoded, image: ImageRef) -> FileRow:
    file_id = f"file-{uuid.uuid4().hex[:24]}"
    row = FileRow(
        id=file_id,
        owner=owner,
        created_at=time.time(),
        filename=f"{file_id}{_suffix(decoded.media_type)}",
        media_type=decoded.media_type,
        bytes=len(decoded.deidentified),
        source_sha256=image.source_sha256,
        frame_sha256=image.sha256,
        image=image.model_dump(mode="json"),
    )
    session.add(row)
    repository.keep_artifacts(session, [ArtifactRow.of(owner, image.sha256, PNG, image.source_sha256)])
    return row


def _suffix(media_type: str) -> str:
    return ".dcm" if media_type == "application/dicom" else mimetypes.guess_extension(media_type) or ""
