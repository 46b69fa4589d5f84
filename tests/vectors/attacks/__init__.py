"""The corpus of attacks on seals, by what they attack."""

from __future__ import annotations

from tests.vectors.attacks import algorithms, certificates, form, place, wrapping
from tests.vectors.attacks.registry import ATTACKS, Attack

__all__ = ["ATTACKS", "Attack", "algorithms", "certificates", "form", "place", "wrapping"]
