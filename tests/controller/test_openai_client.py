"""The official OpenAI client works against this server as it comes."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import openai
import pytest
from openai.types.chat import ChatCompletionContentPartParam
from openai.types.responses import ResponseCompletedEvent, ResponseFailedEvent, ResponseOutputItem
from PIL import Image
from pydantic import SecretStr

from mmedagent.serving.tool import Tool
from support.images import CT_SIDE, ct_bytes, png_bytes
from support.script import action, answer, plan, rule, told
from support.system import LABEL, System, running_system
from support.tools import ONE_BOX, BrokenTool, EchoTool, MaskTool, NothingTool

KEY = "key-of-the-tests"
THOUGHTS = "I will look at it. Twice."
RULES = [
    told("outline", action("outline by mask")),
    rule("chain", plan(action("echo", text="a"), action("echo", boxes="$1.boxes"), thoughts=THOUGHTS), answer("Two.")),
    told("break", action("broken")),
    told("skip", action("nothing"), action("echo", boxes="$1.boxes")),
    rule("fail", plan(action("echo"))),
    rule("", answer("Hello, who asks?", thoughts="A greeting.")),
]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    tools: list[Tool] = [EchoTool(), MaskTool(), BrokenTool(), NothingTool()]
    with running_system(tmp_path_factory.mktemp("system"), RULES, tools, api_key=SecretStr(KEY)) as running:
        yield running


@pytest.fixture(scope="module")
def client(system: System) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{system.url}/v1", api_key=KEY, max_retries=0) as made:
        yield made


def data_uri(content: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def strictly(model: openai.BaseModel) -> openai.BaseModel:
    """The client takes what it gets; this checks it against the client's own types."""
    return type(model).model_validate(model.to_dict(mode="json"))


def calls_of(output: list[ResponseOutputItem]) -> list[Any]:
    return [item for item in output if item.type == "mcp_call"]


def test_files_are_uploaded_listed_read_and_deleted(client: openai.OpenAI) -> None:
    ct = client.files.create(file=("doe.dcm", ct_bytes()), purpose="vision")
    picture = client.files.create(file=io.BytesIO(png_bytes(24, 16)), purpose="vision")
    assert strictly(ct) == ct
    assert (ct.object, ct.purpose, ct.status) == ("file", "vision", "processed")
    assert "doe" not in ct.filename
    frame = ct.to_dict()["frame"]
    assert isinstance(frame, dict)
    assert (frame["width"], frame["height"], frame["modality"]) == (CT_SIDE, CT_SIDE, "CT")
    listed = [one.id for one in client.files.list()]
    assert listed[:2] == [picture.id, ct.id]
    assert client.files.retrieve(picture.id).filename.endswith(".png")
    kept = Image.open(io.BytesIO(client.files.content(picture.id).read()))
    sent = Image.open(io.BytesIO(png_bytes(24, 16)))
    assert np.array_equal(np.asarray(kept), np.asarray(sent))
    assert client.files.delete(ct.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(ct.id)
    assert ct.id not in [one.id for one in client.files.list()]


def test_models_are_the_planners(client: openai.OpenAI) -> None:
    (model,) = client.models.list()
    assert strictly(model) == model
    assert (model.id, model.object, model.owned_by) == ("scripted", "model", "mmedagent")


def test_a_chat_completion_with_a_data_uri_and_one_with_a_file(client: openai.OpenAI) -> None:
    upload = client.files.create(file=("x", ct_bytes()), purpose="vision")
    uri: ChatCompletionContentPartParam = {
        "type": "image_url",
        "image_url": {"url": data_uri(png_bytes(30, 20), "image/png")},
    }
    file: ChatCompletionContentPartParam = {"type": "file", "file": {"file_id": upload.id}}
    for part, shape in ((uri, "(20, 30, 3)"), (file, f"({CT_SIDE}, {CT_SIDE})")):
        text: ChatCompletionContentPartParam = {"type": "text", "text": "Outline it."}
        made = client.chat.completions.create(model="scripted", messages=[{"role": "user", "content": [text, part]}])
        assert strictly(made) == made
        (choice,) = made.choices
        assert choice.finish_reason == "stop"
        assert choice.message.content is not None
        assert shape in choice.message.content
        extra = choice.message.to_dict()
        assert extra["reasoning_content"] == "I have seen it."
        items = extra["mmedagent"]
        assert isinstance(items, dict)
        assert [item["type"] for item in items["items"]] == ["reasoning", "mcp_call", "reasoning", "message"]


def test_a_streamed_chat_completion_adds_up_to_the_whole_one(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="scripted", messages=[{"role": "user", "content": "Make a chain"}], stream=True, temperature=0.1
    )
    chunks = list(stream)
    assert all(strictly(chunk) == chunk for chunk in chunks)
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["stop"]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Two."
    deltas = [chunk.choices[0].delta.to_dict() for chunk in chunks]
    assert "".join(str(delta.get("reasoning_content", "")) for delta in deltas) == f"{THOUGHTS}I have seen it."
    steps = [step for delta in deltas if isinstance(ended := delta.get("mmedagent"), list) for step in ended]
    assert [(step["tool"], step["outcome"]) for step in steps] == [("echo", "result")] * 2


def test_a_response_carries_its_steps(client: openai.OpenAI) -> None:
    made = client.responses.create(model="scripted", input="Make a chain")
    assert strictly(made) == made
    assert made.status == "completed"
    assert made.output_text == "Two."
    assert [item.type for item in made.output] == ["reasoning", "mcp_call", "mcp_call", "reasoning", "message"]
    first, second = calls_of(made.output)
    assert json.loads(first.arguments) == {"text": "a"}
    assert json.loads(second.arguments) == {"boxes": ONE_BOX}
    output = json.loads(second.output)
    assert output["data"] == {"boxes": ONE_BOX, "text": ""}
    assert (output["provenance"]["tool"], output["provenance"]["label"]) == ("echo", LABEL)
    read = client.responses.retrieve(made.id)
    assert [item.to_dict() for item in read.output] == [item.to_dict() for item in made.output]


def test_a_streamed_response_has_every_event_in_order(client: openai.OpenAI) -> None:
    events = list(client.responses.create(model="scripted", input="Make a chain", stream=True))
    assert all(strictly(event) == event for event in events)
    assert "Response" not in {type(event).__name__ for event in events}
    assert events[0].sequence_number == 0
    assert all(later.sequence_number > earlier.sequence_number for earlier, later in pairwise(events))
    kinds = [event.type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    last = events[-1]
    assert isinstance(last, ResponseCompletedEvent)
    assert last.response.output_text == "Two."
    added = [event for event in events if event.type == "response.output_item.added"]
    done = [event for event in events if event.type == "response.output_item.done"]
    assert [event.output_index for event in added] == list(range(5))
    assert sorted(event.output_index for event in done) == list(range(5))
    finished = [event.item for event in sorted(done, key=lambda event: event.output_index)]
    assert [item.to_dict() for item in finished] == [item.to_dict() for item in last.response.output]
    assert kinds.count("response.mcp_call.completed") == 2
    thoughts = [event.delta for event in events if event.type == "response.reasoning_summary_text.delta"]
    assert "".join(thoughts) == f"{THOUGHTS}I have seen it."
    text = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(text) == "Two."


@pytest.mark.parametrize("text", ["Make a chain", "break", "skip", "hello", "fail"])
def test_every_item_of_a_stream_is_opened_and_closed_once(client: openai.OpenAI, text: str) -> None:
    events = list(client.responses.create(model="scripted", input=text, stream=True))
    opened: list[int] = []
    for event in events:
        assert event.type == "response.failed" or strictly(event) == event
        if event.type == "response.output_item.added":
            opened.append(event.output_index)
        elif event.type == "response.output_item.done":
            opened.remove(event.output_index)
        elif (index := getattr(event, "output_index", None)) is not None:
            assert index in opened
    assert opened == []
    last = events[-1]
    assert isinstance(last, ResponseFailedEvent if text == "fail" else ResponseCompletedEvent)
    if isinstance(last, ResponseFailedEvent):
        assert last.response.status == "failed"
        assert last.response.error is not None
        assert last.response.error.to_dict()["code"] == "malformed_plan"


def test_failed_and_skipped_calls_say_so(client: openai.OpenAI) -> None:
    (broken,) = calls_of(client.responses.create(model="scripted", input="break").output)
    assert (broken.status, broken.output) == ("failed", None)
    assert broken.error.content[0]["text"] == "The scanner is on fire."
    nothing, skipped = calls_of(client.responses.create(model="scripted", input="skip").output)
    assert nothing.status == "completed"
    assert json.loads(nothing.output)["data"]["boxes"] == []
    assert (skipped.status, skipped.output) == ("incomplete", None)
    assert "nothing" in skipped.error.content[0]["text"]


def test_a_conversation_grows_by_previous_response_and_remembers_its_image(client: openai.OpenAI) -> None:
    upload = client.files.create(file=("x", png_bytes(24, 16)), purpose="vision")
    first = client.responses.create(
        model="scripted",
        input=[
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Hello there"},
                    {"type": "input_image", "file_id": upload.id, "detail": "auto"},
                ],
            }
        ],
    )
    second = client.responses.create(model="scripted", input="outline", previous_response_id=first.id)
    assert first.conversation is not None
    assert second.conversation == first.conversation
    assert "(16, 24, 3)" in second.output_text
    items = list(client.conversations.items.list(first.conversation.id, order="asc"))
    assert [item.type for item in items] == [
        *("message", "reasoning", "message"),
        *("message", "reasoning", "mcp_call", "reasoning", "message"),
    ]
    newest_first = list(client.conversations.items.list(first.conversation.id))
    assert [item.to_dict() for item in newest_first] == [item.to_dict() for item in items[::-1]]


def test_conversations_are_created_used_and_deleted(client: openai.OpenAI) -> None:
    made = client.conversations.create(metadata={"study": "one"})
    assert strictly(made) == made
    assert client.conversations.retrieve(made.id).metadata == {"study": "one"}
    response = client.responses.create(model="scripted", input="Hi", conversation=made.id)
    assert response.conversation is not None
    assert response.conversation.id == made.id
    items = list(client.conversations.items.list(made.id, order="asc"))
    assert all(strictly(item) == item for item in items)
    assert client.conversations.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.conversations.items.list(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)


def test_errors_are_the_clients_exceptions(client: openai.OpenAI, system: System) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="gpt-9", messages=[{"role": "user", "content": "Hi"}])
    assert unknown.value.code == "not_found"
    assert "scripted" in str(unknown.value)
    with pytest.raises(openai.UnprocessableEntityError):
        client.chat.completions.create(model="scripted", messages=[])
    with pytest.raises(openai.APIError, match="no plan"):
        list(
            client.chat.completions.create(
                model="scripted", messages=[{"role": "user", "content": "fail"}], stream=True
            )
        )
    stranger = openai.OpenAI(base_url=f"{system.url}/v1", api_key="wrong", max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError) as refused:
        stranger.models.list()
    assert refused.value.code == "unauthorized"
    assert refused.value.response.headers["www-authenticate"] == "Bearer"
