"""What a worker costs beside its tools: the same calls of a tool in this process and through its service, in one run.

Two figures a tool. Alone: seconds of a call, of callers that come one after the other; the service may add 5 % and
3 ms. Together: calls a second of 16 callers at once, against the direct call of a batch of 16 in one thread; the
service reaches at least 0.9 of it. Direct and served calls take turns, so that a busy machine slows both, and every
call has an image that neither side has seen. `again` is a second call on the same image, for what a tool keeps of it.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from mmedagent.imaging.png import encode_frame
from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.errors import InvalidParametersError, MMedAgentError
from mmedagent.protocol.invocation import ImageRef, Provenance, ToolCall, ToolResult
from mmedagent.protocol.types import JsonObject
from mmedagent.serving.batching import Ticket
from mmedagent.serving.blobs import BlobStore, sha256_of
from mmedagent.serving.cache import ByteCache
from mmedagent.serving.clients import WorkerClient
from mmedagent.serving.context import RunContext, Surroundings
from mmedagent.serving.schemas import CardValidator
from mmedagent.serving.tool import PixelArray, Tool, ToolOutput
from mmedagent.serving.work import CancelToken

CALLERS, CALLS_EACH = 16, 2
ROUNDS = 4
WARM_UP = 2
WARM_UP_ROUNDS = 1
DEADLINE_S = 120.0
CACHE_BYTES = 512 * 2**20
ALLOWED_SHARE, ALLOWED_S, LEAST_RATIO = 0.05, 0.003, 0.9


@dataclass(frozen=True)
class Served:
    """A tool that is loaded in this process, and the address of a service of the same tool.

    `capacity` is how many calls the service takes at once, at work and waiting.
    """

    tool: Tool
    url: str
    capacity: int


@dataclass(frozen=True)
class ToolRow:
    """The figures of one tool. Times in seconds; `ratio` is served over direct calls a second."""

    tool: str
    calls: int
    direct_p50_s: float
    direct_p95_s: float
    served_p50_s: float
    served_p95_s: float
    overhead_s: float
    again_p50_s: float | None
    callers: int
    direct_per_s: float
    served_per_s: float

    @property
    def ratio(self) -> float:
        return self.served_per_s / self.direct_per_s

    @property
    def allowed_s(self) -> float:
        return ALLOWED_SHARE * self.direct_p50_s + ALLOWED_S

    @property
    def good(self) -> bool:
        return self.overhead_s <= self.allowed_s and self.ratio >= LEAST_RATIO


class Calls:
    """Calls that a tool takes, from the examples of its card, each about an image of its own."""

    def __init__(self, card: ToolCard, images: Mapping[str, Sequence[PixelArray]], blobs: BlobStore) -> None:
        """`images` are frames by modality, in the words of cards.

        Raises `InvalidParametersError` for a card without an example that can be called.
        """
        fitting = [frames for modality, frames in images.items() if modality in card.modalities or not card.modalities]
        self._frames = [frame for frames in fitting for frame in frames] or [*next(iter(images.values()))]
        self._card = card
        self._blobs = blobs
        self._parameters = list(_usable(card))
        self._numbers = count()
        if not self._parameters:
            raise InvalidParametersError(f"The card of {card.name} has no example that can be called.")

    def take(self, number: int) -> list[ToolCall]:
        """So many calls that were not taken before."""
        return [self._call(next(self._numbers)) for _ in range(number)]

    def _call(self, number: int) -> ToolCall:
        return ToolCall(
            call_id=f"bench_{number}",
            tool=self._card.name,
            parameters=self._parameters[number % len(self._parameters)],
            image=self._image(number) if self._card.needs_image else None,
            deadline_s=DEADLINE_S,
            correlation_id="bench",
        )

    def _image(self, number: int) -> ImageRef:
        """A frame with the number written into its last pixels, which makes it another image."""
        frame = self._frames[number % len(self._frames)].copy()
        for column, digit in enumerate(divmod(number, 256), 1):
            frame[-1, -column] = digit
        sha256 = self._blobs.put(encode_frame(frame))
        return ImageRef(sha256=sha256, source_sha256=sha256, width=frame.shape[1], height=frame.shape[0])


class Direct:
    """Tools called in this process, with the same blobs and a cache of their own, and nothing else around them."""

    def __init__(self, tools: Mapping[str, Tool], blobs: BlobStore) -> None:
        self._tools = tools
        self._around = Surroundings(blobs, ByteCache(CACHE_BYTES), self._inner)

    def run(self, calls: Sequence[ToolCall]) -> list[ToolOutput]:
        """The outputs of a batch. Raises what the tool reports."""
        name = calls[0].tool
        outcomes = self._tools[name].run(calls, RunContext(name, [Ticket(call) for call in calls], self._around))
        for outcome in outcomes:
            if isinstance(outcome, MMedAgentError):
                raise outcome
        return [outcome for outcome in outcomes if isinstance(outcome, ToolOutput)]

    def _inner(self, call: ToolCall, _: CancelToken) -> ToolResult:
        """A call of one tool by another."""
        (output,) = self.run([call])
        card = self._tools[call.tool].card
        provenance = Provenance(
            tool=call.tool,
            version=card.version,
            checkpoint_sha256=card.checkpoint_sha256,
            preprocessing=output.preprocessing,
            input_sha256=(),
            output_sha256=sha256_of(b""),
            seconds=0,
        )
        return ToolResult(
            call_id=call.call_id, tool=call.tool, data=output.data, artifacts=output.artifacts, provenance=provenance
        )


def steps(number: int) -> int:
    """How often `measure_tool` advances."""
    return number + WARM_UP + ROUNDS + WARM_UP_ROUNDS


async def measure_tool(
    served: Served, calls: Calls, direct: Direct, client: WorkerClient, number: int, advance: Callable[[], None]
) -> ToolRow:
    """The figures of one tool from `number` calls alone and five rounds of 16 together. Raises what a call raises."""
    alone = await _alone(served, calls, direct, client, number, advance)
    direct_per_s, served_per_s = await _together(served, calls, direct, client, advance)
    direct_s, served_s, again_s = ([row[column] for row in alone] for column in range(3))
    return ToolRow(
        tool=served.tool.card.name,
        calls=number,
        direct_p50_s=statistics.median(direct_s),
        direct_p95_s=_p95(direct_s),
        served_p50_s=statistics.median(served_s),
        served_p95_s=_p95(served_s),
        overhead_s=statistics.median(there - here for here, there, _ in alone),
        again_p50_s=statistics.median(again_s) if served.tool.card.needs_image else None,
        callers=_callers(served),
        direct_per_s=direct_per_s,
        served_per_s=served_per_s,
    )


async def _alone(
    served: Served, calls: Calls, direct: Direct, client: WorkerClient, number: int, advance: Callable[[], None]
) -> list[tuple[float, float, float]]:
    """Seconds of each call: direct, served, and served again."""
    rows = []
    for place, call in enumerate(calls.take(number + WARM_UP)):
        moments = [time.perf_counter()]
        for side in (0, 1) if place % 2 else (1, 0):
            if side:
                await client.invoke(served.url, call)
            else:
                direct.run([call])
            moments.append(time.perf_counter())
        await client.invoke(served.url, call)
        first, second, again = np.diff([*moments, time.perf_counter()]).tolist()
        rows.append((first, second, again) if place % 2 else (second, first, again))
        advance()
    return rows[WARM_UP:]


async def _together(
    served: Served, calls: Calls, direct: Direct, client: WorkerClient, advance: Callable[[], None]
) -> tuple[float, float]:
    """Calls a second: a direct batch, and as many callers at once; the median of the rounds after the first."""
    direct_rates, served_rates = [], []
    for _ in range(WARM_UP_ROUNDS + ROUNDS):
        batch = calls.take(CALLERS)
        started = time.perf_counter()
        direct.run(batch)
        direct_rates.append(len(batch) / (time.perf_counter() - started))
        waiting = iter(calls.take(CALLS_EACH * CALLERS))
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(_callers(served)):
                group.create_task(_call_on(served.url, waiting, client))
        served_rates.append(CALLS_EACH * CALLERS / (time.perf_counter() - started))
        advance()
    return statistics.median(direct_rates[WARM_UP_ROUNDS:]), statistics.median(served_rates[WARM_UP_ROUNDS:])


async def _call_on(url: str, waiting: Iterator[ToolCall], client: WorkerClient) -> None:
    """One caller, who sends the next call when the last one was answered."""
    for call in waiting:
        await client.invoke(url, call)


def _callers(served: Served) -> int:
    """Sixteen, or fewer for a service that would turn some of them away."""
    return min(CALLERS, served.capacity)


def _usable(card: ToolCard) -> Iterator[JsonObject]:
    check = CardValidator(card)
    for parameters in [*(example.parameters for example in card.examples), {}]:
        try:
            check.check_parameters(parameters)
        except InvalidParametersError:
            continue
        yield parameters


def _p95(seconds: Sequence[float]) -> float:
    return float(np.quantile(seconds, 0.95))
