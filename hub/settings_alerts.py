"""Settings of the watch over connections, and of what tells the operator."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator
from yarl import URL

from runtime.settings import Settings


class WebhookSettings(Settings):
    """Where alerts are sent: signed JSON by POST, tried again until it is taken. docs/operations.md has the form."""

    url: str = Field("", repr=False)
    """An http or https address of your own monitoring. Empty: alerts are log events and metrics alone."""
    secret_file: Path | None = None
    """A file (0600) with the secret that signs, 16 bytes or more; relative to the folder."""
    timeout_seconds: float = Field(10.0, gt=0, le=120)
    """How long one try may take."""
    longest_wait_seconds: float = Field(900.0, ge=1, le=24 * 3600)
    """Tries are 5 s apart, then twice that each time, up to this."""
    kept: int = Field(1000, ge=10, le=100_000)
    """How many alerts wait at most for an address that takes none; past that the oldest are dropped."""

    @field_validator("url")
    @classmethod
    def _is_web_address(cls, text: str) -> str:
        url = URL(text)
        if text and (url.scheme not in ("http", "https") or not url.host):
            # Not named: it may hold a password.
            raise ValueError("it is no web address: write https://host/path")
        return text

    @field_validator("secret_file", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @model_validator(mode="after")
    def _signed(self) -> Self:
        if self.url and self.secret_file is None:
            raise ValueError("secret_file must be set with url: what is not signed anybody could send")
        return self


class AlertSettings(Settings):
    """What the operator is told by itself."""

    silence_minutes: float = Field(15.0, ge=2, le=7 * 24 * 60)
    """A connection that serves active agencies and fetches nothing for so long is silent: one alert, one when back."""
    webhook: WebhookSettings = WebhookSettings()

    @property
    def silence(self) -> timedelta:
        return timedelta(minutes=self.silence_minutes)
