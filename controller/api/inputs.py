"""Messages as OpenAI clients send them, with every field bounded, and what they mean here.

Unknown fields are ignored, since clients send many that do not concern this server (temperature, user, ...).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from mmedagent.controller.api.services import Services
from mmedagent.imaging.limits import MAX_FRAMES
from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.protocol.invocation import ImageRef
from mmedagent.protocol.plan import ChatMessage
from mmedagent.protocol.types import Identifier

MAX_MESSAGE_CHARACTERS = 20_000
MAX_DATA_URI_CHARACTERS = 90 * 2**20
MAX_MESSAGES = 200
CHUNK_CHARACTERS = 4 * 2**18

_DATA_URI = re.compile(r"data:(?:image/(?:png|jpeg)|application/dicom);base64,")

MessageText = Annotated[str, StringConstraints(max_length=MAX_MESSAGE_CHARACTERS)]
ImageUrl = Annotated[str, StringConstraints(max_length=MAX_DATA_URI_CHARACTERS)]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class TextPart(BaseModel):
    type: Literal["text", "input_text", "output_text"]
    text: MessageText


class DataUri(BaseModel):
    url: ImageUrl


class ChatImagePart(BaseModel):
    type: Literal["image_url"]
    image_url: DataUri


SliceIndex = Annotated[int, Field(ge=0, le=MAX_FRAMES)]


class FileId(BaseModel):
    """`slice` is an extension: the frame of a volume that the question is about."""

    file_id: Identifier
    slice: SliceIndex | None = None


class ChatFilePart(BaseModel):
    type: Literal["file"]
    file: FileId


class InputImagePart(BaseModel):
    type: Literal["input_image"]
    file_id: Identifier | None = None
    slice: SliceIndex | None = None
    image_url: ImageUrl | None = None


class InputFilePart(FileId):
    type: Literal["input_file"]


Part = Annotated[TextPart | ChatImagePart | ChatFilePart | InputImagePart | InputFilePart, Field(discriminator="type")]
Parts = Annotated[list[Part], Field(max_length=16)]


class InputMessage(BaseModel):
    """A message of a chat completion or of a response's input."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: MessageText | Parts = ""

    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content if isinstance(part, TextPart))

    def images(self) -> list[Part]:
        return [] if isinstance(self.content, str) else [one for one in self.content if not isinstance(one, TextPart)]


Messages = Annotated[list[InputMessage], Field(min_length=1, max_length=MAX_MESSAGES)]


@dataclass(frozen=True)
class Asked:
    """The conversation as the planner sees it, and the image it is about."""

    messages: tuple[ChatMessage, ...]
    image: ImageRef | None
    file_id: str | None


async def understand(services: Services, owner: str, messages: Sequence[InputMessage]) -> Asked:
    """Check a conversation and find its image: that of the last message that has one.

    Raises `InvalidRequestError` when the last message is not the user's or is empty, when a message has several
    images, and for an image given by address; `NotFoundError` for an unknown file.
    """
    last = messages[-1]
    if last.role != "user" or not last.text().strip():
        raise InvalidRequestError("The last message must be the user's and must not be empty.")
    for message in messages:
        if len(message.images()) > 1:
            raise InvalidRequestError("A message can have one image; send one question for each.")
        if len(message.text()) > MAX_MESSAGE_CHARACTERS:
            raise InvalidRequestError(f"A message has at most {MAX_MESSAGE_CHARACTERS:,} characters of text.")
    asked = tuple(ChatMessage(role=_role(message), text=message.text()) for message in messages)
    with_image = next((message for message in reversed(messages) if message.images()), None)
    if with_image is None:
        return Asked(asked, None, None)
    image, file_id = await _image_of(services, owner, with_image.images()[0])
    return Asked(asked, image, file_id)


def _role(message: InputMessage) -> Literal["system", "user", "assistant"]:
    return "system" if message.role == "developer" else message.role


async def _image_of(services: Services, owner: str, part: Part) -> tuple[ImageRef, str]:
    match part:
        case ChatImagePart(image_url=DataUri(url=url)) | InputImagePart(file_id=None, image_url=str(url)):
            row = await services.files.add(owner, _decoded(url))
            return ImageRef.model_validate(row.image), row.id
        case (
            ChatFilePart(file=FileId(file_id=file_id, slice=index))
            | InputImagePart(file_id=str(file_id), slice=index)
            | InputFilePart(file_id=file_id, slice=index)
        ):
            return await services.files.image(owner, file_id, index), file_id
        case _:
            raise InvalidRequestError("An image part needs a file_id or a data URI.")


async def _decoded(url: str) -> AsyncIterator[bytes]:
    head = _DATA_URI.match(url)
    if head is None:
        raise InvalidRequestError(
            "Images are uploaded with POST /v1/files or sent as data:image/png;base64,...; addresses are not fetched."
        )
    for start in range(head.end(), len(url), CHUNK_CHARACTERS):
        try:
            yield base64.b64decode(url[start : start + CHUNK_CHARACTERS], validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidRequestError("The data URI is not valid base64.") from error
