"""The settings of the vxp adapter: the table `[adapters.vxp]` of the node's settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PlainValidator, model_validator

from adapters.listening import ListenSettings
from runtime.settings import Settings
from schemas.codes import AgencyCode
from schemas.errors import MalformedCode
from schemas.limits import DEFAULT_LIMITS, Limits

_SYSTEM_ID = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)


def _code(text: object) -> AgencyCode:
    try:
        return AgencyCode.parse(str(text))
    except MalformedCode as error:
        raise ValueError(error.message) from error


def _system_id(text: str) -> str:
    if not _SYSTEM_ID.fullmatch(text):
        raise ValueError("it has 1 to 128 characters of ASCII and no blank, such as vxp.saas.03")
    return text


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


class SystemSettings(Settings):
    """A system that connects: what its VnptProperties(endpoint, systemId, secret, …) hold, and for whom it acts."""

    system_id: Annotated[str, AfterValidator(_system_id)]
    """Its systemId: vxp.saas.03."""
    secret_file: Annotated[Path, AfterValidator(_absolute)]
    """A file (0600, an absolute path) with its secret, which signs every request."""
    codes: Annotated[tuple[Annotated[AgencyCode, PlainValidator(_code)], ...], Field(min_length=1)]
    """The agencies, and all below them, for which it sends and receives, of those that the node serves."""


class VxpSettings(ListenSettings):
    """The HTTP API of the national axis (VNPT's SDKVXP), for software that speaks it already: point its endpoint here.

    What it signs is neither the path nor the body, and its time stamp cannot be checked: whoever reads a request on the
    way can repeat it for good. So it listens on this machine alone, unless `network` is set, and then with TLS.
    """

    listen: str = "127.0.0.1:8445"
    """Where the software connects to, host:port: its endpoint is http://127.0.0.1:8445."""
    requests: Annotated[int, Field(ge=1, le=1000)] = 64
    """How many requests are worked on at once; further ones wait."""
    transfers: Annotated[int, Field(ge=1, le=100)] = 8
    """How many documents are sent and fetched at once, each with its copy on the disk; further ones wait."""
    requests_per_second: Annotated[float, Field(gt=0, le=10_000)] = 200.0
    """How many requests of one system are answered in a second, over any two seconds; further ones wait."""
    answer_seconds: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """How long an answer may take to be made, beside a second for every 2 MiB of a document."""
    list_length: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """The longest list of received or sent messages: the API has no pages. What was confirmed makes room for others."""
    message_bytes: Annotated[int, Field(gt=0)] = DEFAULT_LIMITS.message_bytes
    """The largest edXML file that is taken, attachments included."""
    attachment_bytes: Annotated[int, Field(gt=0)] = DEFAULT_LIMITS.attachment_bytes
    """The largest attachment, unwrapped."""
    message_attachment_bytes: Annotated[int, Field(gt=0)] = DEFAULT_LIMITS.message_attachment_bytes
    """The attachments of one message together, unwrapped."""
    attachments: Annotated[int, Field(gt=0)] = DEFAULT_LIMITS.attachments
    """How many attachments one message may have."""
    systems: Annotated[Mapping[str, SystemSettings], Field(min_length=1)]
    """The systems that may connect, a table for each: [adapters.vxp.systems.NAME]."""

    @model_validator(mode="after")
    def _each_once(self) -> Any:
        names = [system.system_id for system in self.systems.values()]
        if len(set(names)) < len(names):
            raise ValueError("systems: two of them have the same system_id")
        return self

    def limits(self) -> Limits:
        return Limits(
            message_bytes=self.message_bytes,
            attachment_bytes=self.attachment_bytes,
            message_attachment_bytes=self.message_attachment_bytes,
            attachments=self.attachments,
        )
