"""The operator's commands: what they say to people, what to programs, and how they end."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from typer.testing import CliRunner, Result

from congvan.cli import app
from hub.app import _doorbell
from hub.settings import HubFolder
from runtime.wakeups import Wakeups, doorbell
from schemas.errors import CongvanError

Command: TypeAlias = Callable[..., Result]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "hub"


@pytest.fixture
def command(place: Path) -> Command:
    """Runs `congvan hub …` on a hub that `init` made."""
    runner = CliRunner()

    def run(*arguments: str) -> Result:
        return runner.invoke(app, ["hub", *arguments], env={"CONGVAN_HUB_DIR": str(place)})

    made = run("init", str(place), "--name", "hub.example.test", "--listen", "127.0.0.1:0")
    assert made.exit_code == 0, made.output
    assert "congvan hub serve --dir" in made.output
    return run


def answer(result: Result) -> Any:
    """The one JSON value that a command printed."""
    assert result.exit_code == 0, result.output
    (line,) = result.stdout.splitlines()
    return json.loads(line)


def refusal(result: Result) -> CongvanError:
    assert isinstance(result.exception, CongvanError), result.output
    return result.exception


def test_another_hubs_database_is_refused(command: Command, place: Path, tmp_path: Path) -> None:
    """A hub that was led to another's database changes nothing in it: command and daemon say whose it is."""
    other = tmp_path / "other"
    made = CliRunner().invoke(app, ["hub", "init", str(other), "--name", "other.example.test"])
    assert made.exit_code == 0, made.output
    shutil.copy(other / "data" / "hub.db", place / "data" / "hub.db")
    for order in (("agency", "add", "H23", "--name", "Hải Dương"), ("serve",)):
        error = refusal(command(*order))
        assert error.code == "database-taken"
        assert "the hub other.example.test" in str(error)


def test_an_agency_is_admitted_in_one_command(command: Command) -> None:
    """The token is shown with the command that the agency's engineer types."""
    result = command("agency", "add", "H23", "--name", "UBND tỉnh [Hải Dương]", "--older-code", "000.00.00.H23")
    assert result.exit_code == 0
    assert "UBND tỉnh [Hải Dương]" in result.output
    assert re.search(r"^  congvan1\.\S+$", result.output, re.MULTILINE)
    assert "congvan node init DIR --hub https://hub.example.test:0 --token TOKEN" in result.output


def test_a_token_is_shown_once(command: Command) -> None:
    """No later command repeats a token."""
    added = answer(command("agency", "add", "H23", "--name", "x", "--json"))
    token = added["enrolment"]["token"]
    for later in (["agency", "show", "H23", "--json"], ["connection", "show", "H23", "--json"], ["agency", "list"]):
        shown = command(*later)
        assert shown.exit_code == 0
        assert token.split(".")[2] not in shown.output


def test_agencies_are_listed_and_shown(command: Command) -> None:
    """One object a line for programs, a table for people, by code; a prefix narrows both."""
    command("agency", "add", "H23", "--name", "Hải Dương", "--older-code", "000.00.00.H23")
    command("agency", "add", "H23.12", "--name", "Sở Tư pháp", "--served-by", "H23")
    command("agency", "add", "G22", "--name", "Văn phòng Chính phủ")
    lines = command("agency", "list", "--json").stdout.splitlines()
    assert [json.loads(line)["code"] for line in lines] == ["G22", "H23", "H23.12"]
    table = command("agency", "list", "--prefix", "H23").output
    assert "Sở Tư pháp" in table
    assert "Chính phủ" not in table
    assert "No agency at or below H31." in command("agency", "list", "--prefix", "H31").output
    shown = answer(command("agency", "show", "000.00.00.H23", "--json"))
    assert (shown["code"], shown["older_codes"]) == ("H23", ["000.00.00.H23"])
    assert shown["history"][0]["action"] == "agency.added"
    assert answer(command("connection", "show", "H23", "--json"))["codes"] == ["H23", "H23.12"]


def test_statuses_change_and_say_so(command: Command) -> None:
    """Suspend, resume and retire tell the version that carries the change, or that nothing changed."""
    command("agency", "add", "H23", "--name", "x")
    for kind in ("agency", "connection"):
        assert answer(command(kind, "suspend", "H23", "--json"))["status"] == "suspended"
        assert "nothing was changed" in command(kind, "suspend", "H23").output
        assert "takes part (directory version" in command(kind, "resume", "H23").output
    assert answer(command("agency", "retire", "H23", "--json")) == {
        "subject": "H23",
        "status": "retired",
        "directory_version": 7,
    }


def test_connections_are_admitted_too(command: Command) -> None:
    """A connection for several agencies, and a new token for it."""
    added = answer(command("connection", "add", "hai-duong", "--name", "Trung tâm", "--json"))
    fresh = answer(command("connection", "token", "hai-duong", "--withdraw-seals", "--json"))
    assert added["enrolment"]["connection"] == fresh["connection"] == "hai-duong"
    assert added["enrolment"]["token"] != fresh["token"]
    assert "hai-duong" in command("connection", "list").output
    assert "congvan1." in command("connection", "token", "hai-duong").output


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["agency", "show", "H99"], "agency-unknown"),
        (["agency", "add", "h23", "--name", "x"], "malformed-code"),
        (["agency", "add", "H23", "--name", "x", "--served-by", "nobody"], "connection-unknown"),
        (["connection", "token", "nobody"], "connection-unknown"),
        (["connection", "suspend", "nobody"], "connection-unknown"),
        (["trace", "0" * 64], "message-unknown"),
        (["trace", "x"], "message-unknown"),
    ],
)
def test_what_cannot_be_done_is_named(command: Command, arguments: list[str], code: str) -> None:
    """Each refusal has its rule and a mend."""
    error = refusal(command(*arguments))
    assert error.code == code
    assert error.mend


def test_an_empty_hub_balances(command: Command) -> None:
    """Nothing accepted, nothing pending."""
    counted = answer(command("balance", "--json"))
    assert counted["balances"] is True
    assert counted["overall"]["accepted"] == 0
    assert "It balances." in command("balance").output


def test_the_schema_is_the_newest(command: Command) -> None:
    """`migrate` on a new hub finds nothing to do."""
    moved = answer(command("migrate", "--json"))
    assert moved["before"] == moved["after"]
    assert "the newest" in command("migrate").output


async def test_a_change_wakes_the_daemon(folder: HubFolder) -> None:
    """An order rings at the daemon's door after its commit, a question does not."""
    rung = asyncio.Event()
    runner = CliRunner()

    def run(*arguments: str) -> Result:
        return runner.invoke(app, ["hub", *arguments, "--dir", str(folder.root)])

    async with doorbell(folder.doorbell(), rung):
        assert (await asyncio.to_thread(run, "agency", "list")).exit_code == 0
        await asyncio.sleep(0)
        assert not rung.is_set()
        assert (await asyncio.to_thread(run, "agency", "add", "H23", "--name", "x")).exit_code == 0
        await asyncio.wait_for(rung.wait(), 30)


async def test_a_ring_wakes_whoever_waits() -> None:
    """The daemon's doorbell, and its stop, wake every waiter: what a command changed may concern any of them."""
    rung, stop, wakeups = asyncio.Event(), asyncio.Event(), Wakeups()
    service = asyncio.ensure_future(_doorbell(rung, wakeups)(stop))
    with wakeups.listen("one") as one, wakeups.listen("other") as other:
        for cause in (rung, stop):
            cause.set()
            await asyncio.wait_for(asyncio.gather(one.wait(), other.wait()), 30)
            one.clear()
            other.clear()
        await asyncio.wait_for(service, 30)


def test_an_error_is_one_sentence(tmp_path: Path) -> None:
    """From the shell: no traceback, exit status 1, the mend on standard error, nothing on standard output."""
    ended = subprocess.run(
        [sys.executable, "-m", "congvan.cli", "hub", "agency", "list", "--dir", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("congvan: ")
    assert "(rule: hub-missing)" in line


def test_push_is_set_shown_and_taken_away(command: Command) -> None:
    """The operator sees where a connection is pushed to, how its breaker stands, and who set it."""
    command("connection", "add", "H23", "--name", "Hải Dương")
    set_by = command("connection", "push", "H23", "https://node.haiduong.example:8444")
    assert "is pushed to https://node.haiduong.example:8444" in set_by.output
    shown = answer(command("connection", "show", "H23", "--json"))
    assert (shown["push"]["url"], shown["push"]["breaker"]) == ("https://node.haiduong.example:8444", "closed")
    assert shown["history"][0]["action"] == "connection.push"
    assert "closed since" in command("connection", "show", "H23").output
    assert answer(command("connection", "push", "H23", "--off", "--json")) == {"connection": "H23", "url": None}
    assert answer(command("connection", "show", "H23", "--json"))["push"] is None


@pytest.mark.parametrize(
    "url", ["http://node.example:8444", "https://u:p@node.example", "https://node.example/x", "https://", "https://[x"]
)
def test_only_a_bare_https_address_can_be_pushed_to(command: Command, url: str) -> None:
    """No plain HTTP, no password in an address, no path: the call has its own."""
    command("connection", "add", "H23", "--name", "Hải Dương")
    assert refusal(command("connection", "push", "H23", url)).code == "push-address"
    assert refusal(command("connection", "push", "H99", "https://node.example")).code == "connection-unknown"
    assert command("connection", "push", "H23").exit_code == 2


def test_the_listing_shows_who_fetched_when(command: Command) -> None:
    """A connection that never fetched shows nothing there, to programs a null."""
    command("connection", "add", "H23", "--name", "Hải Dương")
    listed = answer(command("connection", "list", "--json"))
    assert (listed["fetched_at"], listed["silent_since"]) == (None, None)
    assert "silent since" in command("connection", "list").output
