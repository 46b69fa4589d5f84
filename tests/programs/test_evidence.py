"""Evidence from every side of a real exchange, by the commands; and a look at it with tools that are not ours."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.evidence.samples import entries
from tests.programs import exchange

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Settled:
    """A site that has run dry and stopped, and the one document that went through it."""

    folder: Path
    message_id: str

    @property
    def authority(self) -> Path:
        return self.folder / "node-H31" / "keys" / "hub-authority.pem"


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Settled:
    folder = tmp_path_factory.mktemp("site")

    async def run() -> str:
        site = exchange.site(folder, (exchange.G22, exchange.H23, exchange.H31))
        await site.set_up()
        try:
            await site.start_nodes()
            exchange.drop(site, 1, to=("H23", "H31"))
            (story,) = await exchange.settled(site, 1)
            return story.message.message_id
        finally:
            await site.stop()

    return Settled(folder, asyncio.run(run()))


def congvan(*arguments: str | Path) -> tuple[int, str]:
    """The command's exit status and standard output."""
    command = [sys.executable, "-m", "congvan", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    return done.returncode, done.stdout


def gathered(settled: Settled, folder: Path, side: str) -> Path:
    """The evidence from the store of `side`: `hub`, or a node's code."""
    out = folder / f"{side}.zip"
    program, place = ("hub", "hub") if side == "hub" else ("node", f"node-{side}")
    status, _ = congvan(program, "evidence", settled.message_id, "-o", out, "--dir", settled.folder / place)
    assert status == 0
    return out


def receipts_in(path: Path) -> set[tuple[bytes, bytes]]:
    """Receipts with their proofs, byte for byte."""
    files = entries(path)
    listed = json.loads(files["META-INF/manifest.json"])["files"]
    return {(files[file["name"]], files[f"proofs/{file['proof']}.xml"]) for file in listed if file["kind"] == "receipt"}


def test_each_side_holds_what_concerns_it_and_each_proves_it(settled: Settled, tmp_path: Path) -> None:
    """Hub and sender hold the same five receipts, each recipient the acceptance and its own two; all verify offline."""
    sides = {side: gathered(settled, tmp_path, side) for side in ("hub", "G22", "H23", "H31")}
    events = {}
    for side, path in sides.items():
        status, told = congvan("evidence", "verify", path, "--authority", settled.authority, "--json")
        report = json.loads(told)
        assert (status, report["holds"], report["anchored"]) == (0, True, True)
        events[side] = sorted(
            (one["event"], one["who"].split()[0]) for one in report["findings"] if one["file"].startswith("receipts/")
        )
    accepted = ("SubmissionAcceptance", "hub.congvan.example")
    at_h23 = [("ContentConsignment", "H23"), ("ContentHandover", "H23")]
    at_h31 = [("ContentConsignment", "H31"), ("ContentHandover", "H31")]
    assert events["hub"] == events["G22"] == sorted([accepted, *at_h23, *at_h31])
    assert events["H23"] == sorted([accepted, *at_h23])
    assert events["H31"] == sorted([accepted, *at_h31])
    held = {side: receipts_in(path) for side, path in sides.items()}
    assert held["hub"] == held["G22"] == held["H23"] | held["H31"]


def test_a_spoilt_file_ends_with_status_1(settled: Settled, tmp_path: Path) -> None:
    """What does not hold is shown first, with its rule, and the command fails; so does a file that is none."""
    path = gathered(settled, tmp_path, "hub")
    data = bytearray(path.read_bytes())
    place = data.index(b"envelope.xml") + 200
    data[place] ^= 1
    path.write_bytes(data)
    assert congvan("evidence", "verify", path, "--authority", settled.authority)[0] == 1


def test_the_documented_commands_verify_with_tools_of_others(settled: Settled, tmp_path: Path) -> None:
    """docs/evidence.md's block, run as it stands: unzip, sha256sum, grep and xmlsec1 come to the same verdict."""
    block = re.search(r"```sh\n(.*?)```", (ROOT / "docs/evidence.md").read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    gathered(settled, tmp_path, "hub").rename(tmp_path / "evidence.zip")
    shutil.copy(settled.authority, tmp_path / "hub-authority.pem")
    done = subprocess.run(["sh", "-eux", "-c", block[1]], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("SignedInfo References (ok/all): 2/2") >= 2
