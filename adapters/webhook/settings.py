"""The table of a webhook adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from yarl import URL

from adapters.listening import ListenSettings, is_loopback
from schemas.limits import MIB


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError(f"{path} is no absolute path")
    return path


def _web_address(text: str) -> str:
    url = URL(text)
    if url.scheme not in ("http", "https") or not url.host or url.fragment:
        # Not named: it may hold a password.
        raise ValueError("it is no web address: write https://host/path")
    return text


def _origin_or_nothing(text: str) -> str:
    return _web_address(text).rstrip("/") if text else ""


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]


class WebhookSettings(ListenSettings):
    """Messages are sent to the software's own address, signed. docs/adapters/webhook.md has the form."""

    url: Annotated[str, AfterValidator(_web_address)] = Field(repr=False)
    """Where messages are sent, https://host/path; http:// alone on this machine, unless plain_http is set."""
    secret_file: AbsolutePath
    """A file (0600, an absolute path) with the secret that signs, 16 bytes or more."""
    ca_file: Annotated[AbsolutePath | None, BeforeValidator(lambda value: value or None)] = None
    """Whom to trust for the address's certificate (PEM). Empty: whom this system trusts."""
    plain_http: bool = False
    """Whether `url` may be http:// on another machine: whoever is on the way can then read what is sent."""
    timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 30.0
    """How long one try may take."""
    attachments: Literal["link", "inline"] = "link"
    """How attachments come: by links to `listen`, or inside as base64 as far as they fit into inline_bytes."""
    inline_bytes: Annotated[int, Field(ge=0, le=64 * MIB)] = 8 * MIB
    """The attachments of one message that come inside, together; the others come by link."""
    link_seconds: Annotated[float, Field(ge=10, le=7 * 86_400)] = 3600.0
    """How long a link holds."""
    events: bool = False
    """Whether what happens to the node's messages is sent too, to the same address, from the first start with it on."""
    listen: str = "127.0.0.1:8466"
    """Where attachments are fetched by their links, host:port."""
    link_base: Annotated[str, AfterValidator(_origin_or_nothing)] = ""
    """What links begin with, where the software reaches `listen` by another name: https://node.example:8466."""

    @model_validator(mode="after")
    def _is_private(self) -> Self:
        url = URL(self.url)
        if url.scheme == "http" and not self.plain_http and not is_loopback(url.host or ""):
            raise ValueError("url: http:// is for this machine alone; write https://, or set plain_http = true")
        return self
