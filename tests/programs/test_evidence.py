"""Evidence from every side of a real exchange, by the commands; and a look at it with tools that are not ours."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from certs.evidence_report import EvidenceReport
from certs.evidence_verifying import NamedAuthority, verify_evidence
from certs.keys import read_certificates
from hub.foundation import open_foundation as open_hub
from hub.settings import HubFolder
from node.foundation import open_foundation as open_node
from node.settings import NodeFolder
from schemas.errors import Rejected
from tests.evidence.samples import entries, spoil
from tests.programs import exchange

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Settled:
    """A site that has run dry and stopped: one document went through it, another was refused by the hub."""

    folder: Path
    message_id: str
    refused_id: str

    @property
    def authority(self) -> Path:
        return self.folder / "node-H31" / "keys" / "hub-authority.pem"


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Settled:
    folder = tmp_path_factory.mktemp("site")

    async def run() -> tuple[str, str]:
        site = exchange.site(folder, (exchange.G22, exchange.H23, exchange.H31))
        # The least that the setting takes: the node would send more.
        site.environment["CONGVAN_HUB__EXCHANGE__SUBMISSIONS__ATTACHMENT_BYTES"] = str(2**20)
        await site.set_up()
        try:
            await site.start_nodes()
            exchange.drop(site, 1, to=("H23", "H31"))
            (story,) = await exchange.settled(site, 1)
            exchange.drop(site, 2, content=bytes(2**20))
            return story.message.message_id, await refused(folder / "node-G22")
        finally:
            await site.stop()

    return Settled(folder, *asyncio.run(run()))


async def refused(folder: Path) -> str:
    """Wait until the hub has refused a message of the node in `folder`; gives its id."""
    async with open_node(NodeFolder(folder)) as node:

        async def one() -> bool:
            return bool(await node.queries.outbox(refused=True))

        await exchange.until(one, "the hub's refusal")
        (row,) = await node.queries.outbox(refused=True)
        return row.message.message_id


def congvan(*arguments: str | Path) -> tuple[int, str]:
    """The command's exit status and standard output."""
    command = [sys.executable, "-m", "congvan", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    return done.returncode, done.stdout


def gathered(settled: Settled, folder: Path, side: str, message: str | None = None, **options: bool) -> Path:
    """The evidence from the store of `side`: `hub`, or a node's code."""
    out = folder / f"{side}.zip"
    name = message or settled.message_id

    async def write() -> None:
        if side == "hub":
            async with open_hub(HubFolder(settled.folder / "hub")) as hub:
                await hub.evidence.write(name, out, **options)
        else:
            async with open_node(NodeFolder(settled.folder / f"node-{side}")) as node:
                await node.evidence.write(name, out, **options)

    asyncio.run(write())
    return out


def verified(settled: Settled, path: Path) -> EvidenceReport:
    """The verdict under the hub's authority, which must be that all holds."""
    report = verify_evidence(path, NamedAuthority(certificates=read_certificates(settled.authority)))
    assert report.holds
    return report


def receipts_in(path: Path) -> set[tuple[bytes, bytes]]:
    """Receipts with their proofs, byte for byte."""
    files = entries(path)
    listed = json.loads(files["META-INF/manifest.json"])["files"]
    return {(files[file["name"]], files[f"proofs/{file['proof']}.xml"]) for file in listed if file["kind"] == "receipt"}


def test_each_side_holds_what_concerns_it_and_each_proves_it(settled: Settled, tmp_path: Path) -> None:
    """Hub and sender hold the same five receipts, each recipient the acceptance and its own two; all verify offline."""
    sides = {side: gathered(settled, tmp_path, side) for side in ("hub", "G22", "H23", "H31")}
    events = {
        side: sorted(
            (one.what, str(one.who).split()[0])
            for one in verified(settled, path).findings
            if one.file.startswith("receipts/")
        )
        for side, path in sides.items()
    }
    accepted = ("SubmissionAcceptance", "hub.congvan.example")
    at_h23 = [("ContentConsignment", "H23"), ("ContentHandover", "H23")]
    at_h31 = [("ContentConsignment", "H31"), ("ContentHandover", "H31")]
    assert events["hub"] == events["G22"] == sorted([accepted, *at_h23, *at_h31])
    assert events["H23"] == sorted([accepted, *at_h23])
    assert events["H31"] == sorted([accepted, *at_h31])
    held = {side: receipts_in(path) for side, path in sides.items()}
    assert held["hub"] == held["G22"] == held["H23"] | held["H31"]


def test_a_refusal_is_proven_from_both_sides(settled: Settled, tmp_path: Path) -> None:
    """Hub and sender hold the same signed refusal; the sender its envelope, too, whose seal was good."""
    sides = {side: gathered(settled, tmp_path, side, settled.refused_id) for side in ("hub", "G22")}
    at_hub, at_sender = (verified(settled, path).findings for path in sides.values())
    assert receipts_in(sides["hub"]) == receipts_in(sides["G22"])
    assert [one.what for one in at_hub] == ["SubmissionRejection"]
    assert [one.what for one in at_sender] == ["SubmissionRejection", "seal"]
    assert "attachment-too-large" in str(at_hub[0].note)


@pytest.mark.parametrize("side", ["hub", "H31"])
def test_after_the_payload_was_dropped_the_receipts_prove_the_rest(settled: Settled, tmp_path: Path, side: str) -> None:
    """Once the retention rule took the bytes, attachments are refused with its date, and the receipts still hold."""
    place, program = ("hub", "hub") if side == "hub" else (f"node-{side}", "node")
    shutil.copytree(settled.folder / place, tmp_path / place)
    dropped = Settled(tmp_path, settled.message_id, settled.refused_id)
    (database,) = (tmp_path / place).rglob(f"{program}.db")
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM envelopes")
        connection.execute("UPDATE messages SET purged_at = 1795000000000000")
    with pytest.raises(Rejected) as refusal:
        gathered(dropped, tmp_path, side, attachments=True)
    assert refusal.value.code == "payload-purged"
    report = verified(settled, gathered(dropped, tmp_path, side))
    assert not report.has_envelope
    assert report.dropped_at is not None
    assert report.findings[0].what == "SubmissionAcceptance"


def test_the_commands_tell_what_holds_by_their_exit_status(settled: Settled, tmp_path: Path) -> None:
    """A file of evidence made by the command verifies with 0 and says who said what; spoilt, with 1 and its rule."""
    out = tmp_path / "evidence.zip"
    gather = ("hub", "evidence", settled.message_id[:12], "-o", out, "--dir", settled.folder / "hub")
    assert congvan(*gather)[0] == 0
    assert congvan(*gather)[0] == 1, "a file that is there is not written over unasked"
    assert congvan(*gather, "--force")[0] == 0
    status, told = congvan("evidence", "verify", out, "--authority", settled.authority, "--json")
    report = json.loads(told)
    assert (status, report["holds"], report["anchored"]) == (0, True, True)
    name = next(one["file"] for one in report["findings"] if one["event"] == "ContentHandover")
    spoilt = spoil(out, {name: entries(out)[name].replace(b"Handover", b"Handyver")}, cover_up=False)
    status, told = congvan("evidence", "verify", spoilt)
    assert status == 1
    assert "evidence-changed" in told


def test_the_documented_commands_verify_with_tools_of_others(settled: Settled, tmp_path: Path) -> None:
    """docs/evidence.md's block, run as it stands: unzip, sha256sum, grep and xmlsec1 come to the same verdict."""
    block = re.search(r"```sh\n(.*?)```", (ROOT / "docs/evidence.md").read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    gathered(settled, tmp_path, "hub").rename(tmp_path / "evidence.zip")
    shutil.copy(settled.authority, tmp_path / "hub-authority.pem")
    done = subprocess.run(["sh", "-eux", "-c", block[1]], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("SignedInfo References (ok/all): 2/2") >= 2
