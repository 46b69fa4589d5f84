"""The list of attacks: each a function that forges a message, with the code that must answer it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from tests.vectors.workshop import Workshop

Forgery: TypeAlias = Callable[[Workshop], bytes]


@dataclass(frozen=True, slots=True)
class Attack:
    """`name` is also the file's; `code` the stable code of the refusal; `what` one sentence for people."""

    name: str
    code: str
    what: str
    forge: Forgery


ATTACKS: list[Attack] = []


def refused_as(code: str) -> Callable[[Forgery], Forgery]:
    """Register the function below as an attack that must be refused with `code`; its docstring says what it does."""

    def register(forge: Forgery) -> Forgery:
        ATTACKS.append(Attack(forge.__name__.replace("_", "-"), code, (forge.__doc__ or "").strip(), forge))
        return forge

    return register
