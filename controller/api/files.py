"""Files, in the shape of the OpenAI files API, and the artifacts that are made from them."""

from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, File, Form, Path, UploadFile
from fastapi.responses import FileResponse

from mmedagent.controller.api.services import Services
from mmedagent.controller.store import repository
from mmedagent.controller.store.models import FileRow
from mmedagent.imaging.facts import Facts, VolumeInfo
from mmedagent.imaging.limits import MAX_FILES
from mmedagent.protocol.invocation import ImageRef
from mmedagent.protocol.types import Identifier, Sha256, WireType

CHUNK_BYTES = 2**20
DOWNLOAD_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, max-age=31536000, immutable",
    "Vary": "Authorization",
}
"""A browser that several people use keeps what it got with one key from those with another."""


class FileObject(WireType):
    """An uploaded file. `frame` names the display frame: its PNG is the artifact `frame.sha256`.

    `volume` tells of the grid of several slices; it is null for single pictures and for cine loops. `has_geometry` says
    whether the place of the pixels in the patient is known, so that masks can be had as NIfTI.
    """

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    filename: str
    purpose: Literal["vision"] = "vision"
    status: Literal["processed"] = "processed"
    frame: ImageRef
    frame_count: int
    volume: VolumeInfo | None
    has_geometry: bool


class FileList(WireType):
    object: Literal["list"] = "list"
    data: list[FileObject]
    has_more: bool = False


class Deleted(WireType):
    id: str
    object: str
    deleted: bool = True


def file_routes(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["files"])
    owner_of = Annotated[str, Depends(services.owner)]

    @router.post("/files")
    async def upload(
        owner: owner_of,
        file: Annotated[list[UploadFile], File(min_length=1, max_length=MAX_FILES)],
        purpose: Annotated[str, Form(max_length=64)] = "vision",
    ) -> FileObject:
        """Upload an image: PNG, JPEG, DICOM or NIfTI. Only a de-identified copy is kept.

        Several parts, or one ZIP archive, are the files of one DICOM series.
        """
        uploaded = _file_object(await services.files.add(owner, *(_chunks(part) for part in file)))
        services.prefetcher.offer(uploaded.frame)
        return uploaded

    @router.get("/files")
    async def list_files(owner: owner_of) -> FileList:
        rows = await services.database.read(lambda session: repository.files_of(session, owner))
        return FileList(data=[_file_object(row) for row in rows])

    @router.get("/files/{file_id}")
    async def read_file(owner: owner_of, file_id: Identifier) -> FileObject:
        return _file_object(await services.files.get(owner, file_id))

    @router.get("/files/{file_id}/content", response_class=FileResponse)
    async def read_content(owner: owner_of, file_id: Identifier) -> FileResponse:
        """The stored, de-identified file."""
        row = await services.files.get(owner, file_id)
        path = services.files.path(row.source_sha256)
        return FileResponse(path, media_type=row.media_type, filename=row.filename, headers=DOWNLOAD_HEADERS)

    @router.delete("/files/{file_id}")
    async def delete_file(owner: owner_of, file_id: Identifier) -> Deleted:
        await services.files.delete(owner, file_id)
        return Deleted(id=file_id, object="file")

    @router.get("/artifacts/{sha256}", response_class=FileResponse)
    async def read_artifact(owner: owner_of, sha256: Annotated[Sha256, Path()]) -> FileResponse:
        """A display frame, a mask, an overlay, or a text that a tool quotes from."""
        row = await services.database.read(lambda session: repository.artifact_of(session, owner, sha256))
        return FileResponse(services.files.path(sha256), media_type=row.media_type, headers=DOWNLOAD_HEADERS)

    return router


def _file_object(row: FileRow) -> FileObject:
    facts = Facts.model_validate(row.facts) if row.facts is not None else None
    volume = facts.volume if facts else None
    count = facts.frames.count if facts else 1
    return FileObject(
        id=row.id,
        bytes=row.bytes,
        created_at=int(row.created_at),
        filename=row.filename,
        frame=ImageRef.model_validate(row.image),
        frame_count=count,
        volume=volume if count > 1 else None,
        has_geometry=volume is not None and volume.affine is not None,
    )


async def _chunks(file: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await file.read(CHUNK_BYTES):
        yield chunk
