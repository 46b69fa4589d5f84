"""Keys of deliveries, grouped so that an index answers for many at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final, TypeAlias, TypeVar

T = TypeVar("T")

#: Messages, or recipients, of one product at most: SQLite takes 32,766 parameters in a statement.
_MOST: Final = 10_000

#: The number of a message and the code of a recipient.
DeliveryKey: TypeAlias = tuple[int, str]


def grouped(keys: Collection[DeliveryKey]) -> Iterator[tuple[Sequence[int], Sequence[str]]]:
    """`keys` as products, each of some messages and some recipients: `message IN (…) AND recipient IN (…)`.

    SQLite reads the whole table for a list of pairs. Messages with the same recipients share a product, so that a node
    of one agency makes one of all its keys, and no product holds a key that was not asked for.
    """
    recipients: dict[int, set[str]] = {}
    for message, recipient in keys:
        recipients.setdefault(message, set()).add(recipient)
    messages: dict[frozenset[str], list[int]] = {}
    for message, codes in recipients.items():
        messages.setdefault(frozenset(codes), []).append(message)
    return (
        (some_messages, some_recipients)
        for codes, numbers in messages.items()
        for some_messages in _parts(numbers)
        for some_recipients in _parts(sorted(codes))
    )


def _parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    return (values[start : start + _MOST] for start in range(0, len(values), _MOST))
