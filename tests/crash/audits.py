"""The project's own audits over what a run has left: `congvan audit --deep`, its programs stopped."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from congvan.demo.programs import COMMAND


async def audited(folders: Sequence[Path]) -> list[str]:
    """What `congvan audit --deep` finds in the hub's and the nodes' `folders`, a sentence each; none if all is well."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "audit", "--deep", "--json", *map(str, folders), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    said, complaint = await process.communicate()
    try:
        told = json.loads(said)
    except ValueError:
        return [f"congvan audit ended with status {process.returncode}: {complaint.decode().strip()[-2000:]}"]
    sentences = list(sentences_of(told))
    if not sentences and process.returncode != 0:
        sentences.append(f"congvan audit ended with status {process.returncode}, and names nothing.")
    return sentences


def sentences_of(told: dict[str, Any]) -> Iterator[str]:
    """A sentence for each finding of an audit in its JSON form, and for what it could not check or saw under way."""
    sides = {"the hub": told["hub"], **told["nodes"], "all together": told}
    for name, side in sides.items():
        if side is None:
            yield "The audit had no hub."
            continue
        for finding in side["findings"]:
            yield f"Of {name}: {finding['code']}: {finding['sentence']} ({finding['message']})"
        if side["findings_count"] > len(side["findings"]):
            yield f"Of {name}: {side['findings_count']} findings in all."
    for missing in told["not_checked"]:
        yield f"Not checked: {missing}."
    for stage, number in told["in_flight_count"].items():
        if number:
            yield f"Still on its way: {number} {stage}."
