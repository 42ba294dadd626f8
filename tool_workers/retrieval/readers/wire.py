"""What the reader process and its parent tell each other: a request line and the bytes of a file, an answer line."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, TypeAdapter

from mmedagent.tool_workers.retrieval.readers import Reading


class Request(BaseModel):
    """The arguments of `read_content`; `length` bytes of content follow its line."""

    model_config = ConfigDict(frozen=True)

    suffix: str
    place: str
    stem: str
    length: int


@dataclass(frozen=True)
class Failure:
    """A `RequestError`: its code and its sentence."""

    code: str
    detail: str


ANSWER: TypeAdapter[Reading | Failure] = TypeAdapter(Reading | Failure)
