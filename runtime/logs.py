"""Logs: dotted events with fields, as JSON lines for machines or aligned text for people."""

from __future__ import annotations

import logging
import sys
from datetime import datetime
from enum import StrEnum
from typing import Literal

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from runtime.settings import Settings

#: Fields that would be secrets; a log line shows only that they were there.
SECRET_FIELDS = frozenset({"token", "secret", "password", "passphrase", "authorization", "private_key"})


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


class LogSettings(Settings):
    """What the program says on standard error."""

    format: LogFormat = LogFormat.TEXT
    """text for people, json (one object a line) for machines."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important lines that are shown."""


def configure_logs(form: LogFormat, level: str) -> None:
    """Send every log line of this process, foreign libraries' too, to standard error in `form`."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        hide_secrets,
        write_instants,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form is LogFormat.JSON
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # A line for each request is the metrics' business, a line for each migration that of the command that ran it.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for field in SECRET_FIELDS & event.keys():
        event[field] = "(hidden)"
    return event


def write_instants(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Instants in ISO 8601, where a renderer would show objects of Python."""
    for field, value in event.items():
        if isinstance(value, datetime):
            event[field] = value.isoformat()
    return event
