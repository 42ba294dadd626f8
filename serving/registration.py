"""Keeps a worker listed at the controller: register, renew in time, register again when forgotten, leave."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_fixed

from mmedagent.protocol.errors import MMedAgentError, NotFoundError, RequestError, ServiceError
from mmedagent.protocol.workers import WorkerHealth, WorkerRegistration
from mmedagent.serving.clients import ControllerClient

log = logging.getLogger(__name__)

RETRY_S = 0.5
RENEWALS_A_LEASE = 3
LEAVE_ATTEMPTS = 3


@dataclass
class Membership:
    """One registration and, while it lasts, its lease.

    `exchange` is the last talk with the controller, which is never cut off: the lease in its answer has to be known.
    """

    registration: WorkerRegistration
    health: Callable[[], WorkerHealth]
    worker_id: str | None = None
    refused: bool = False
    exchange: asyncio.Task[float] | None = None


async def keep_registered(controller: ControllerClient, member: Membership) -> None:
    """Keep a member listed until this task is cancelled. A controller that is away is asked again and again."""
    while True:
        member.exchange = asyncio.create_task(_exchange(controller, member))
        await asyncio.sleep(await asyncio.shield(member.exchange))


async def leave(controller: ControllerClient, members: Sequence[Membership]) -> None:
    """Take the members off the list, so that nothing new is sent to them."""
    await asyncio.gather(*(_leave(controller, member) for member in members))


async def _leave(controller: ControllerClient, member: Membership) -> None:
    if member.exchange:
        await member.exchange
    if member.worker_id:
        try:
            await _take_off(controller, member.worker_id)
        except MMedAgentError as error:
            log.warning("could not leave", extra={"code": error.code, "worker_id": member.worker_id})
        member.worker_id = None


@retry(
    stop=stop_after_attempt(LEAVE_ATTEMPTS),
    wait=wait_fixed(RETRY_S),
    retry=retry_if_exception_type(ServiceError),
    reraise=True,
)
async def _take_off(controller: ControllerClient, worker_id: str) -> None:
    await controller.leave(worker_id)


async def _exchange(controller: ControllerClient, member: Membership) -> float:
    """Register or renew once. Returns the seconds until the next time."""
    try:
        if member.worker_id is None:
            lease = await controller.register(member.registration)
            log.info("registered", extra={"worker_id": lease.worker_id, "url": member.registration.url})
        else:
            lease = await controller.renew(member.worker_id, member.health())
    except MMedAgentError as error:
        if isinstance(error, NotFoundError) and member.worker_id is not None:
            member.worker_id = None
            return 0.0
        if isinstance(error, RequestError) and not member.refused:
            member.refused = True
            log.warning("the controller refuses this worker: %s", error.detail, extra={"code": error.code})
        return RETRY_S
    member.worker_id = lease.worker_id
    return lease.seconds / RENEWALS_A_LEASE
