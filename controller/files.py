"""Uploads: decode in the sandbox, keep the de-identified source and the display frame, remember them for the owner."""

from __future__ import annotations

import asyncio
import mimetypes
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from sqlalchemy.orm import Session

from mmedagent.controller.frames import Frames, facts_of
from mmedagent.controller.store import repository
from mmedagent.controller.store.database import Database
from mmedagent.controller.store.models import ArtifactRow, FileRow
from mmedagent.imaging.frame import Decoded
from mmedagent.imaging.masks import decode_mask
from mmedagent.imaging.nifti_out import canonical_volume, mask_volume
from mmedagent.imaging.png import encode_frame
from mmedagent.imaging.sandbox import DecoderPool
from mmedagent.imaging.sniff import DICOM, NIFTI
from mmedagent.protocol.errors import InvalidParametersError, InvalidRequestError
from mmedagent.protocol.invocation import ImageRef
from mmedagent.serving.blobs import FolderBlobStore

PNG = "image/png"
_SUFFIXES = {DICOM: ".dcm", NIFTI: ".nii"}


class Files:
    """The images of all owners. The name a client gives a file is not kept: it may be a patient's.

    One at a time adds or deletes blobs, so that no picture is deleted while it is uploaded once more.
    """

    def __init__(self, database: Database, blobs: FolderBlobStore, decoders: DecoderPool, limit_bytes: int) -> None:
        self.frames = Frames(blobs, decoders)
        self._database = database
        self._blobs = blobs
        self._decoders = decoders
        self._limit_bytes = limit_bytes
        self._changing = asyncio.Lock()

    async def add(self, owner: str, *uploads: AsyncIterator[bytes]) -> FileRow:
        """Take in one upload: one file, or the files of one DICOM series, which become one study.

        Raises `TooLargeError`, `UnreadableImageError`, `UnsupportedImageError`, `DeadlineError`,
        `OverloadedError`.
        """
        received: list[Path] = []
        room = self._limit_bytes
        try:
            for chunks in uploads:
                received.append(await self._blobs.receive(chunks, room))
                room -= received[-1].stat().st_size
            decoded = await self._decoders.decode(*received, owner=owner)
        finally:
            await asyncio.to_thread(_unlink, received)
        async with self._changing:
            image = await asyncio.to_thread(self._keep_blobs, decoded)
            return await self._database.write(lambda session: _add_file(session, owner, decoded, image))

    async def get(self, owner: str, file_id: str) -> FileRow:
        return await self._database.read(lambda session: repository.file_of(session, owner, file_id))

    async def image(self, owner: str, file: str | ImageRef, index: int | None = None) -> ImageRef:
        """A display frame of an owner's file: the one it is shown by, or frame `index`.

        `file` is an id, or an image of the file. Raises `NotFoundError`, and `InvalidParametersError` for an index that
        the file does not have.
        """
        if isinstance(file, ImageRef):
            if index is None or index == file.slice:
                return file
            source = file.source_sha256
            row = await self._database.read(lambda session: repository.file_with_source(session, owner, source))
        else:
            row = await self.get(owner, file)
        image = ImageRef.model_validate(row.image)
        return image if index is None or index == image.slice else await self._frame(row, image, index)

    async def _frame(self, row: FileRow, image: ImageRef, index: int) -> ImageRef:
        last = facts_of(row).frames.count - 1
        if not 0 <= index <= last:
            raise InvalidParametersError(f"There is no slice {index}: this image has slices 0 to {last}.")
        png = await self.frames.png(row, index)
        async with self._changing:
            await self.get(row.owner, row.id)
            sha256 = await asyncio.to_thread(self._blobs.put, png)
            artifact = ArtifactRow.of(row.owner, sha256, PNG, row.source_sha256, slice_index=index)
            await self._database.write(lambda session: repository.keep_artifacts(session, [artifact]))
        return image.model_copy(update={"sha256": sha256, "slice": index})

    def volume(self, row: FileRow) -> Iterator[bytes]:
        """The volume as .nii.gz in RAS+ orientation. Raises `ConflictError` where the file is none."""
        return canonical_volume(self._blobs.path(row.source_sha256), facts_of(row))

    async def mask(self, row: FileRow, sha256: str, index: int | None) -> Iterator[bytes]:
        """A mask of one frame as .nii.gz on the grid of the file. Without `index`, of the frame it was made from.

        Raises `NotFoundError`, `ConflictError` for a file without a grid, `InvalidRequestError`,
        `UnreadableImageError` for an artifact that is no mask.
        """
        facts = facts_of(row)
        found = await self._database.read(
            lambda session: repository.slice_of_artifact(session, row.owner, row.source_sha256, sha256)
        )
        place = 0 if facts.frames.count == 1 else found if index is None else index
        if place is None:
            raise InvalidRequestError("It is not known which slice the mask is of: give the parameter slice.")
        if place >= facts.frames.count:
            raise InvalidRequestError(f"This file has slices 0 to {facts.frames.count - 1}.")
        return await asyncio.to_thread(lambda: mask_volume(facts, decode_mask(self._blobs.get(sha256)), place))

    async def delete(self, owner: str, file_id: str) -> None:
        """Forget a file and what was made from it; its bytes go too unless the same picture was uploaded twice."""
        row = await self.get(owner, file_id)
        async with self._changing:
            orphans = await self._database.write(lambda session: repository.delete_file(session, owner, file_id))
            await self.discard(orphans)
            self.frames.forget(row.source_sha256)

    async def discard(self, orphans: Sequence[str]) -> None:
        """Delete blobs that nothing needs any more."""
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
        facts=decoded.facts.model_dump(mode="json"),
    )
    session.add(row)
    frame = ArtifactRow.of(owner, image.sha256, PNG, image.source_sha256, slice_index=image.slice)
    repository.keep_artifacts(session, [frame])
    return row


def _suffix(media_type: str) -> str:
    return _SUFFIXES.get(media_type) or mimetypes.guess_extension(media_type) or ""


def _unlink(paths: list[Path]) -> None:
    for path in paths:
        path.unlink()
