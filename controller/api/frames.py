"""The frames of a file by index, and its volume and masks as NIfTI."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from mmedagent.controller.api.files import DOWNLOAD_HEADERS
from mmedagent.controller.api.services import Services
from mmedagent.controller.frames import facts_of
from mmedagent.imaging.facts import FrameInfo
from mmedagent.imaging.limits import MAX_FRAMES
from mmedagent.imaging.sniff import GZIP
from mmedagent.protocol.types import Identifier, Sha256

OCTETS = "application/octet-stream"
FrameIndex = Annotated[int, Path(ge=0, le=MAX_FRAMES)]


def frame_routes(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1/files/{file_id}", tags=["files"])
    owner_of = Annotated[str, Depends(services.owner)]
    files = services.files

    @router.get("/frames")
    async def read_frames(owner: owner_of, file_id: Identifier) -> FrameInfo:
        """What holds for all frames: their size, the meaning of their values, windows, spacing, orientation."""
        return facts_of(await files.get(owner, file_id)).frames

    @router.get("/frames/{index}", response_class=Response)
    async def read_frame(owner: owner_of, file_id: Identifier, index: FrameIndex) -> Response:
        """A frame as tools see it: PNG, 8 bits, windowed."""
        content = await files.frames.png(await files.get(owner, file_id), index)
        return Response(content, media_type="image/png", headers=DOWNLOAD_HEADERS)

    @router.get("/frames/{index}/pixels", response_class=Response)
    async def read_pixels(owner: owner_of, file_id: Identifier, index: FrameIndex, request: Request) -> Response:
        """Stored values of a frame: height x width x samples, row by row, little-endian, of the `dtype` of `frames`."""
        row = await files.get(owner, file_id)
        headers = {**DOWNLOAD_HEADERS, "Vary": "Accept-Encoding, Authorization"}
        if "gzip" in request.headers.get("accept-encoding", "") and (
            packed := await files.frames.packed_pixels(row, index)
        ):
            return Response(packed, media_type=OCTETS, headers={**headers, "Content-Encoding": "gzip"})
        return Response(await files.frames.pixels(row, index), media_type=OCTETS, headers=headers)

    @router.get("/volume.nii.gz", response_class=Response)
    async def read_volume(owner: owner_of, file_id: Identifier) -> StreamingResponse:
        """A volume as NIfTI, its axes growing towards right, anterior and superior as closely as they can."""
        volume = files.volume(await files.get(owner, file_id))
        return StreamingResponse(volume, media_type=GZIP, headers=DOWNLOAD_HEADERS)

    @router.get("/masks/{sha256}.nii.gz", response_class=Response)
    async def read_mask(
        owner: owner_of,
        file_id: Identifier,
        sha256: Annotated[Sha256, Path()],
        index: Annotated[int | None, Query(alias="slice", ge=0, le=MAX_FRAMES)] = None,
    ) -> StreamingResponse:
        """A mask of one frame as NIfTI on the grid of the file. `slice` says of which, where that is not clear."""
        mask = await files.mask(await files.get(owner, file_id), sha256, index)
        return StreamingResponse(mask, media_type=GZIP, headers=DOWNLOAD_HEADERS)

    return router
