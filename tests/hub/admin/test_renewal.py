"""The hub's own certificates are renewed when they near their end, for the same keys and names."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from certs.keys import read_certificates
from certs.names import hub_named
from hub.cli import app
from hub.settings import HubFolder
from hub.usecases.authority import KeyFiles, open_keys, renew_expiring, server_names_of
from tests.hub.admin.conftest import NAME, Clock, running

MONTH = timedelta(days=30)


def renew(folder: HubFolder, clock: Clock) -> tuple[str, ...]:
    return renew_expiring(folder.authority, folder.keys, name=NAME, passphrase=None, now=clock(), within=MONTH)


async def test_nothing_is_renewed_before_its_time(folder: HubFolder, clock: Clock) -> None:
    """A certificate with more than a month left stays as it is."""
    clock.advance(timedelta(days=398) - MONTH - timedelta(hours=1))
    before = [path.read_bytes() for path in sorted(folder.keys.iterdir())]
    assert renew(folder, clock) == ()
    assert [path.read_bytes() for path in sorted(folder.keys.iterdir())] == before


async def test_a_hub_from_before_pushes_gets_its_certificate_for_them(folder: HubFolder, clock: Clock) -> None:
    """The certificate of a client is made at a start if there is none, for the TLS key."""
    files = KeyFiles(folder.keys)
    files.chain("push").unlink()
    assert renew(folder, clock) == ("push",)
    made = read_certificates(files.chain("push"))[0]
    assert made.public_key() == read_certificates(files.chain("tls"))[0].public_key()
    assert hub_named(made) == NAME


async def test_what_nears_its_end_is_renewed(folder: HubFolder, clock: Clock) -> None:
    """The TLS certificate comes first, with its key and names; after three years the others follow."""
    files = KeyFiles(folder.keys)
    old = read_certificates(files.chain("tls"))[0]
    clock.advance(timedelta(days=398) - MONTH)
    assert renew(folder, clock) == ("tls", "push")
    new = read_certificates(files.chain("tls"))[0]
    assert new.public_key() == old.public_key()
    assert server_names_of(new) == server_names_of(old) == [NAME, "127.0.0.1"]
    assert new.not_valid_after_utc == clock().replace(microsecond=0) + timedelta(days=398)
    assert renew(folder, clock) == ()
    clock.advance(timedelta(days=3 * 365 - 398))
    assert renew(folder, clock) == ("tls", "push", "receipts", "directory")
    keys = open_keys(folder.authority, folder.keys, name=NAME, passphrase=None)
    assert all(validity.not_after > clock() + MONTH for validity in keys.validities())


async def test_what_a_clock_years_ahead_renewed_is_good_when_it_is_right(folder: HubFolder, clock: Clock) -> None:
    """A hub that starts while its clock is four years ahead serves and signs by those certificates afterwards."""
    right = clock()
    clock.advance(timedelta(days=4 * 365))
    assert renew(folder, clock) == ("tls", "push", "receipts", "directory")
    files = KeyFiles(folder.keys)
    for use in ("tls", "push", "receipts", "directory"):
        made = read_certificates(files.chain(use))[0]
        assert made.not_valid_before_utc <= right
        assert made.not_valid_after_utc > clock() + MONTH


async def test_keys_that_are_only_read_do_not_keep_the_hub_from_starting(
    folder: HubFolder, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mounted read-only, as Kubernetes does, certificates near their end are left to `hub renew`; the hub serves."""
    clock.advance(timedelta(days=398) - MONTH)
    before = [path.read_bytes() for path in sorted(folder.keys.iterdir())]
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != folder.keys or mode != os.W_OK)
    async with running(folder, clock):
        assert [path.read_bytes() for path in sorted(folder.keys.iterdir())] == before
    monkeypatch.undo()
    result = CliRunner().invoke(app, ["renew", "--days", "400", "--dir", str(folder.root), "--json"])
    assert json.loads(result.stdout) == {"renewed": ["tls", "push"]}
    assert [path.read_bytes() for path in sorted(folder.keys.iterdir())] != before
    again = CliRunner().invoke(app, ["renew", "--days", "1", "--dir", str(folder.root)])
    assert "No certificate" in again.stdout
