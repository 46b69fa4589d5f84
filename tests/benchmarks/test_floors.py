"""The floors are what they say: steps of a real envelope, each measured alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.documents import sealed
from benchmarks.floors import Floors, accepting, sealing
from certs.authority import Authority
from certs.keys import new_rsa_key
from certs.sealing_key import SealingKey


def test_a_floor_is_the_sum_of_its_steps(tmp_path: Path) -> None:
    """Accepting verifies and does not sign, sealing signs and does not verify; all else both do once."""
    now = datetime.now(UTC) - timedelta(days=1)
    key = new_rsa_key()
    chain = Authority.create(tmp_path / "authority", "Bench", now=now).issue_seal(key.public_key(), "vpcp", [], now)
    floors = Floors(sealed(1, SealingKey(key, chain), b"attachment"), key, tmp_path).measure()
    assert min(floors.values()) > 0
    both = sum(floors[step] for step in ("parse", "schema", "canonical", "digest", "row"))
    assert accepting(floors) == pytest.approx(both + floors["verify"])
    assert sealing(floors) == pytest.approx(both + floors["sign"])
