"""What tests of `congvan envelope` share: what a run of it gives, and what it is run on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PDF = b"%PDF-1.4\n% T\xe1\xbb\x9d tr\xc3\xacnh\n%%EOF\n"
METADATA = """\
from = { organ_id = "G22", organ_name = "Văn phòng Chính phủ" }
to = [{ organ_id = "H23", organ_name = "UBND tỉnh Hải Dương" }, "000.00.00.H31"]
subject = "V/v gửi, nhận văn bản điện tử"
code = "6101/VPCP-KSTT"
place = "Hà Nội"
date = 2026-11-20
signer = "Nguyễn Thị Lan"
"""


@dataclass(frozen=True)
class Answer:
    """A run of the command: its exit status and what it printed."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


#: Runs `congvan envelope` with these arguments.
Run = Callable[..., Answer]


@dataclass(frozen=True)
class Keys:
    """A sealing key with its certificate, and the roots of its authority and of another one."""

    key: Path
    cert: Path
    root: Path
    other_root: Path
