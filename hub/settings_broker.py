"""Settings of the link to RabbitMQ."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from runtime.broker_address import parse_broker_url
from runtime.settings import Settings


class BrokerSettings(Settings):
    """RabbitMQ between the processes of one hub. docs/operations.md says what to set up there."""

    url: str = ""
    """amqps://user@host:5671/vhost, a vhost of this hub's own. Empty: there is one process, and work stays inside."""
    password_file: Path | None = None
    """A file (0600) with the user's password; relative to the folder."""
    ca_file: Path | None = None
    """The authority (PEM) of the broker's certificate; relative to the folder. Empty: those that the system trusts."""
    prefetch: int = Field(4, ge=1, le=100)
    """How many pieces of work of each kind one process has under way at a time."""
    confirm_seconds: float = Field(10.0, gt=0, le=300)
    """How long the broker may take to confirm a message before it counts as away."""
    longest_wait_seconds: float = Field(15.0, ge=1, le=600)
    """While the broker is away it is tried again after half a second, then twice that each time, up to this."""

    @field_validator("url")
    @classmethod
    def _is_broker(cls, text: str) -> str:
        if text:
            parse_broker_url(text)
        return text

    @field_validator("password_file", "ca_file", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None
