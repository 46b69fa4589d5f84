from __future__ import annotations

from pathlib import Path

import pytest

from certs.evidence_verifying import NamedAuthority
from certs.evidence_writing import write_evidence
from tests.evidence.samples import Case
from tests.node.core.world import World


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(World(tmp_path))


@pytest.fixture
def container(case: Case, tmp_path: Path) -> Path:
    """The evidence of the whole life."""
    write_evidence(tmp_path / "evidence.zip", case.contents())
    return tmp_path / "evidence.zip"


@pytest.fixture
def named(case: Case) -> NamedAuthority:
    """The verifier knows the hub's authority."""
    return NamedAuthority(certificates=case.world.hub_authority)
