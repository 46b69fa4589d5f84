"""Keys of deliveries in products that an index answers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hub.store.delivery_keys import grouped

_KEYS = st.sets(st.tuples(st.integers(1, 6), st.sampled_from(["H23", "H23.12", "H31", "G22"])))


@given(_KEYS)
def test_the_products_hold_every_key_once_and_no_other(keys: set[tuple[int, str]]) -> None:
    """Asking for the products asks for exactly the keys."""
    asked = [(message, code) for messages, codes in grouped(keys) for message in messages for code in codes]
    assert sorted(asked) == sorted(keys)


def test_keys_of_one_agency_are_one_product() -> None:
    """The node of one agency reports on many messages: one question is enough."""
    assert len(list(grouped({(message, "H23") for message in range(1000)}))) == 1


def test_no_product_asks_more_than_a_statement_can() -> None:
    """A circular to every agency of the country is asked for in several statements, and nothing is left out."""
    keys = {(1, f"H23.{number}") for number in range(110_000)}
    products = list(grouped(keys))
    assert max(len(messages) + len(codes) for messages, codes in products) < 32_766
    assert {(message, code) for messages, codes in products for message in messages for code in codes} == keys
