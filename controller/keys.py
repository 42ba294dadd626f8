"""API keys: who may use the API, and whose things they see. Only hashes of keys are stored."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import math
import secrets
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Request
from pydantic import SecretStr, StringConstraints, TypeAdapter, ValidationError

from mmedagent.controller.store.database import Database
from mmedagent.controller.store.keys import all_keys, mark_used
from mmedagent.controller.store.models import ApiKeyRow
from mmedagent.protocol.errors import InvalidRequestError, UnauthorizedError
from mmedagent.serving.web import bearer_token

LOCAL = "local"
"""Owner of what is made without a key, or with the key that the environment gives."""

KEY_PREFIX = "mma_"
RANDOM_BYTES = 32
SHOWN_CHARACTERS = len(KEY_PREFIX) + 6
REFRESH_S = 2.0
"""How long a running controller may go on with what it last read: the delay of a new or a revoked key."""

USE_INTERVAL_S = 60.0
KeyName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$")]
_KEY_NAME = TypeAdapter(KeyName)


@dataclass(frozen=True)
class Caller:
    """Who asks: the owner whose things they see, and the name of their key."""

    owner: str
    name: str


NOBODY_ELSE = Caller(LOCAL, LOCAL)


def new_key(name: str, owner: str | None = None) -> tuple[str, ApiKeyRow]:
    """A key, and the row that is kept of it. Without an owner the key is for things of its own, under its name.

    The hash is plain sha256: what has 256 random bits cannot be guessed, however fast guesses are checked.
    Raises `InvalidRequestError` for names that are none.
    """
    try:
        name, owner = _KEY_NAME.validate_python(name), _KEY_NAME.validate_python(owner or name)
    except ValidationError as error:
        raise InvalidRequestError("Names have 1 to 64 letters, digits, or one of . _ @ - after the first.") from error
    key = KEY_PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    row = ApiKeyRow(
        id=f"key_{secrets.token_hex(4)}",
        owner=owner,
        name=name,
        prefix=key[:SHOWN_CHARACTERS],
        sha256=_digest(key),
        created_at=time.time(),
    )
    return key, row


class Keys:
    """Tells who sends a request.

    Keys are wanted when the environment gives one, when others than this machine can reach the server, and when the
    database has ever had one: revoking the last key locks everybody out rather than letting everybody in. The database
    is read again when what is known of it is older than two seconds.
    """

    def __init__(self, database: Database, environment_key: SecretStr | None, is_loopback: bool) -> None:
        self._database = database
        self._environment_digest = _digest(environment_key.get_secret_value()) if environment_key else None
        self._always = environment_key is not None or not is_loopback
        self._fresh = asyncio.Lock()
        self._read_at = -math.inf
        self._known: Mapping[str, Sequence[ApiKeyRow]] = {}
        self._any = False
        self._used: dict[str, float] = {}

    async def required(self) -> bool:
        await self._refresh()
        return self._always or self._any

    async def check(self, request: Request) -> None:
        """Raises `UnauthorizedError` for a request that may not come in."""
        await self.caller(request)

    async def caller(self, request: Request) -> Caller:
        """Raises `UnauthorizedError`, which does not tell what is wrong with a key."""
        if not await self.required():
            return NOBODY_ELSE
        key = bearer_token(request)
        digest = _digest(key)
        if self._environment_digest and hmac.compare_digest(digest, self._environment_digest):
            return NOBODY_ELSE
        for row in self._known.get(key[:SHOWN_CHARACTERS], ()):
            if hmac.compare_digest(digest, row.sha256):
                self._note_use(row)
                return Caller(row.owner, row.name)
        raise UnauthorizedError("Send a valid API key as a bearer token.")

    async def _refresh(self) -> None:
        async with self._fresh:
            if time.monotonic() - self._read_at < REFRESH_S:
                return
            rows = await self._database.read(all_keys)
            known: defaultdict[str, list[ApiKeyRow]] = defaultdict(list)
            for row in rows:
                if row.revoked_at is None:
                    known[row.prefix].append(row)
            self._known, self._any, self._read_at = known, bool(rows), time.monotonic()

    def _note_use(self, row: ApiKeyRow) -> None:
        """Write down that a key was used, at most once a minute."""
        now, key_id = time.time(), row.id
        if now - max(self._used.get(key_id, 0.0), row.last_used_at or 0.0) > USE_INTERVAL_S:
            self._used[key_id] = now
            self._database.post(lambda session: mark_used(session, key_id, now))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
