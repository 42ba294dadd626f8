"""Everything about a controller process that can be set, in one frozen object."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from mmedagent.controller.store.keys import has_valid_key

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")


class ControllerSettings(BaseSettings):
    """Set by the command line, or by environment variables with the prefix `MMEDAGENT_`.

    `api_key` is a bearer token that clients may send beside the keys in the database; without any key only loopback
    addresses can be served.
    `worker_token` is what workers send. `worker_hosts` are the host names that a worker's URL may have.
    """

    model_config = SettingsConfigDict(env_prefix="MMEDAGENT_", frozen=True, extra="ignore")

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    data_dir: Path = Path("data")
    database_url: str | None = None
    api_key: SecretStr | None = None
    worker_token: SecretStr
    worker_hosts: tuple[str, ...] = LOOPBACK_NAMES
    allowed_hosts: tuple[str, ...] = LOOPBACK_NAMES
    page_dir: Path | None = None
    expected_tools: tuple[str, ...] = ()
    max_upload_bytes: Annotated[int, Field(ge=1)] = 256 * 2**20
    max_steps: Annotated[int, Field(ge=1, le=16)] = 4
    turn_deadline_s: Annotated[float, Field(gt=0, le=3_600)] = 120.0
    tool_deadline_s: Annotated[float, Field(gt=0, le=3_600)] = 30.0
    lease_s: Annotated[float, Field(gt=0, le=300)] = 6.0

    @model_validator(mode="after")
    def _no_open_door(self) -> ControllerSettings:
        if not self.is_loopback and self.api_key is None and not has_valid_key(self.database):
            raise ValueError(
                f"host {self.host} can be reached by others: make a key (mmedagent keys create), "
                "set MMEDAGENT_API_KEY, or use 127.0.0.1"
            )
        return self

    @property
    def is_loopback(self) -> bool:
        if self.host in LOOPBACK_NAMES:
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def blob_folder(self) -> Path:
        return self.data_dir / "blobs"

    @property
    def database(self) -> str:
        return self.database_url or database_in(self.data_dir)


def database_in(data_dir: Path) -> str:
    """URL of the database that a data folder has."""
    return f"sqlite:///{data_dir.resolve() / 'mmedagent.sqlite'}"
