"""How many requests of one connection are served at a time: one peer must not take the room of all."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

from schemas.errors import Unavailable


class Places:
    """`most` places for each connection. `purpose` says what they are taken for, in the plural."""

    def __init__(self, most: int, purpose: str) -> None:
        self._most = most
        self._purpose = purpose
        self._taken: Counter[str] = Counter()

    @contextlib.contextmanager
    def take(self, connection: str) -> Iterator[None]:
        """Hold one of the places; `too-many-requests` if none is free."""
        if self._taken[connection] >= self._most:
            raise Unavailable(
                "too-many-requests",
                f"{self._most} {self._purpose} of this connection are under way already.",
                mend="Wait for one of them to end.",
            )
        self._taken[connection] += 1
        try:
            yield
        finally:
            self._taken[connection] -= 1
            if not self._taken[connection]:
                del self._taken[connection]
