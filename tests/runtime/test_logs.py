"""Logs: machine-readable, and no secret in them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import structlog

from runtime.logs import LogFormat, configure_logs


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_a_line_is_json_with_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    """In the JSON form each event is one object with its name, level, time and fields; Vietnamese stays readable."""
    configure_logs(LogFormat.JSON, "info")
    structlog.get_logger().info("delivery.accepted", recipient="H23", name="Hải Dương")
    line = capsys.readouterr().err
    event = json.loads(line)
    assert (event["event"], event["level"], event["recipient"]) == ("delivery.accepted", "info", "H23")
    assert event["timestamp"].endswith("Z")
    assert "Hải Dương" in line


def test_secrets_are_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    """A field that holds a secret is shown as hidden, whoever logs it."""
    configure_logs(LogFormat.JSON, "info")
    structlog.get_logger().info("enrolment.asked", token="cv1-hunter2")
    logging.getLogger("foreign").warning("plain")
    output = capsys.readouterr().err
    assert "hunter2" not in output
    assert json.loads(output.splitlines()[1])["logger"] == "foreign"


@pytest.mark.parametrize("form", LogFormat)
def test_instants_are_written_in_iso_8601(capsys: pytest.CaptureFixture[str], form: LogFormat) -> None:
    """A machine can read them, and a person."""
    configure_logs(form, "info")
    structlog.get_logger().info("hub.back", silent_since=datetime(2026, 11, 22, 2, 30, tzinfo=UTC))
    output = capsys.readouterr().err
    assert "2026-11-22T02:30:00+00:00" in output
    assert "datetime" not in output


def test_the_level_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """Events below the level are not written."""
    configure_logs(LogFormat.TEXT, "warning")
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    output = capsys.readouterr().err
    assert "loud" in output
    assert "quiet" not in output
