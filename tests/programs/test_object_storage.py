"""Hub and nodes as processes, their attachments on object storage."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path

import pytest

from congvan.demo.programs import COMMAND
from schemas.limits import MIB
from tests.programs.exchange import drop, settled, site
from tests.services.seaweedfs import SECRET_KEY, SeaweedFs


@pytest.mark.programs
@pytest.mark.timeout(300)
async def test_a_large_attachment_travels_from_bucket_to_bucket(tmp_path: Path, object_storage: SeaweedFs) -> None:
    """30 MB from one agency's files to the other's, whole, kept in no program's folder; audits read them there."""
    content = random.Random(30).randbytes(30 * MIB)
    made = site(tmp_path)
    await made.set_up()
    await made.hub.stop()
    for name in made.programs:
        settings = object_storage.settings(tmp_path, f"programs/{name}")
        table = "\n".join(
            f"{key} = {json.dumps(str(getattr(settings, key)))}" for key in ("url", "endpoint", "credentials_file")
        )
        file = tmp_path / name / "congvan.toml"
        file.write_text(file.read_text().replace("[blobs]\n", f"[blobs]\n{table}\n"))
    await made.start_hub()
    await made.start_nodes()
    try:
        drop(made, 1, content=content)
        await settled(made, 1)
        (received,) = (made.node_folder("H23") / "filedrop" / "in").glob("*/attachments/van-ban.pdf")
        assert received.read_bytes() == content + b" 1"
        for name in made.programs:
            assert not list((tmp_path / name / "data").rglob("blobs/??/*"))
            audit = await asyncio.create_subprocess_exec(
                *COMMAND, name[:4].rstrip("-"), "audit", "--deep", "--json", "--dir", str(tmp_path / name),
                stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            output, _ = await audit.communicate()
            assert json.loads(output)["clean"]
            assert SECRET_KEY not in (tmp_path / f"{name}.log").read_text()
    finally:
        await made.stop()
