"""Having a server answer the questions of a benchmark, with every answer kept as it comes."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
from pydantic import ValidationError

from mmedagent.evaluation.vqa.cases import VqaCase
from mmedagent.evaluation.vqa.scores import Result, judged
from mmedagent.protocol.consultation import Reply, format_reply, label
from mmedagent.protocol.errors import InvalidRequestError, ServiceError

PNG_START = b"\x89PNG"
REPLY_FORM = "Reply with <think>your reasoning</think><answer>your answer</answer> and nothing else."
OPEN_FORM = "The answer is a word or a short phrase."
_NO_ANSWER = "The server gave no answer that can be read."

Answer = Callable[[VqaCase], str]
"""The reply to a question. Raises `httpx.HTTPError`, `ServiceError`."""


def question_text(case: VqaCase) -> str:
    """The question with its options and the form of the reply, in words of this project."""
    options = [label(index, option) for index, option in enumerate(case.options)]
    return "\n".join([case.question, *options, REPLY_FORM if options else f"{REPLY_FORM} {OPEN_FORM}"])


class ChatAnswers:
    """Asks `POST chat/completions` of an OpenAI-compatible server: a model, or a whole mmedagent."""

    def __init__(self, http: httpx.Client, model: str) -> None:
        self._http = http
        self._model = model

    def __call__(self, case: VqaCase) -> str:
        content: list[dict[str, Any]] = [{"type": "text", "text": question_text(case)}]
        content += [{"type": "image_url", "image_url": {"url": _data_uri(image)}} for image in case.images()]
        body = {"model": self._model, "messages": [{"role": "user", "content": content}]}
        response = self._http.post("chat/completions", json=body).raise_for_status()
        return _field(response, lambda answer: str(answer["choices"][0]["message"]["content"]))


class PanelAnswers:
    """Asks the consultation tool of an mmedagent about the first image; the file is deleted again."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def __call__(self, case: VqaCase) -> str:
        uploaded = self._http.post("files", files={"file": ("image", case.images()[0])}).raise_for_status()
        file_id = _field(uploaded, lambda answer: str(answer["id"]))
        try:
            options = {"options": [*case.options]} if case.options else {}
            body = {"file_id": file_id, "parameters": {"question": case.question, **options}}
            response = self._http.post("tools/consultation/invoke", json=body).raise_for_status()
        finally:
            self._http.delete(f"files/{file_id}")
        return _field(
            response, lambda answer: format_reply(Reply(answer["data"]["rationale"], answer["data"]["answer"]))
        )


def answered(
    cases: Iterable[VqaCase], answer: Answer, results: Path, callers: int, limit: int | None
) -> Iterator[Result | None]:
    """Every result: first those that the file has already, then new ones, each written there before it is given.

    None stands for a question that the server failed on; it is asked again when this runs anew.
    """
    known = {one.id: one for one in read_results(results)}
    waiting: list[VqaCase] = []
    for case in islice(cases, limit):
        if case.id in known:
            yield known[case.id]
        else:
            waiting.append(case)
    results.write_text("".join(one.model_dump_json() + "\n" for one in known.values()), "utf-8")
    with results.open("a", encoding="utf-8") as file, ThreadPoolExecutor(callers) as threads:
        for start in range(0, len(waiting), callers * 4):
            for result in threads.map(lambda case: _one(case, answer), waiting[start : start + callers * 4]):
                if result is not None:
                    file.write(result.model_dump_json() + "\n")
                    file.flush()
                yield result


def read_results(path: Path) -> list[Result]:
    """The results of a file, none where there is no file. A last line that was cut off is left out.

    Raises `InvalidRequestError`.
    """
    if not path.is_file():
        return []
    text = path.read_text("utf-8")
    try:
        return [Result.model_validate_json(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    except ValidationError as error:
        raise InvalidRequestError(f"{path.name} is no file of results.") from error


def _one(case: VqaCase, answer: Answer) -> Result | None:
    started = time.perf_counter()
    try:
        reply = answer(case)
    except (httpx.HTTPError, ServiceError):
        return None
    return judged(case, reply, time.perf_counter() - started)


def _field(response: httpx.Response, read: Callable[[Any], str]) -> str:
    try:
        return read(response.json())
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ServiceError(_NO_ANSWER) from error


def _data_uri(image: bytes) -> str:
    kind = "png" if image.startswith(PNG_START) else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
