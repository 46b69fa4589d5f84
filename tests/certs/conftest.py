"""One workshop for all tests of certs: authorities, keys, a good message, and the trust that judges it."""

from __future__ import annotations

import pytest

from tests.vectors.workshop import Workshop


@pytest.fixture(scope="session")
def workshop() -> Workshop:
    return Workshop()
