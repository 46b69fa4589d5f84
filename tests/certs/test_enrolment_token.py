"""Enrolment tokens: copied by hand, checked before anything is sent."""

from __future__ import annotations

import hashlib
import string

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from certs.enrolment_token import EnrolmentToken, secret_digest
from certs.errors import TokenRejected
from tests.vectors.workshop import Workshop

TOKEN = EnrolmentToken("ab" * 32, "c2VjcmV0" * 5 + "c2U")


def test_a_token_comes_back_from_its_text() -> None:
    """What the operator hands out is what the node reads."""
    assert EnrolmentToken.parse(TOKEN.encode()) == TOKEN


def test_a_token_broken_into_lines_is_read() -> None:
    """Mail programs break lines and add spaces; the token is whole all the same."""
    text = TOKEN.encode()
    assert EnrolmentToken.parse(f"  {text[:40]}\r\n {text[40:]} \n") == TOKEN


@given(st.integers(min_value=0, max_value=len(TOKEN.encode()) - 1))
def test_a_truncated_token_is_called_that(length: int) -> None:
    """However much of the end is missing, it is a damaged token or none, and the secret is not repeated."""
    with pytest.raises(TokenRejected) as refusal:
        EnrolmentToken.parse(TOKEN.encode()[:length])
    assert refusal.value.code == ("token-damaged" if length > len("congvan1") - 1 else "token-kind")
    assert TOKEN.secret[:8] not in str(refusal.value)


@given(st.integers(min_value=9, max_value=len(TOKEN.encode()) - 1), st.sampled_from("AZaz09-_.=!ữ"))
def test_a_token_with_a_wrong_letter_is_damaged(place: int, letter: str) -> None:
    """Any one letter misread is found before the hub is asked."""
    text = TOKEN.encode()
    if text[place] == letter:
        return
    with pytest.raises(TokenRejected) as refusal:
        EnrolmentToken.parse(text[:place] + letter + text[place + 1 :])
    assert refusal.value.code == "token-damaged"


def test_a_token_has_one_spelling() -> None:
    """A last letter whose unused bits differ would decode to the same bytes, and is found all the same."""
    text = TOKEN.encode()
    for letter in string.ascii_letters + string.digits + "-_":
        if letter != text[-1]:
            with pytest.raises(TokenRejected):
                EnrolmentToken.parse(text[:-1] + letter)


@pytest.mark.parametrize("text", ["", "password", "congvan2.a.b.c", "Congvan1.a.b.c"])
def test_what_is_no_token_is_called_that(text: str) -> None:
    """Another text pasted by mistake is told from a damaged token."""
    with pytest.raises(TokenRejected) as refusal:
        EnrolmentToken.parse(text)
    assert refusal.value.code == "token-kind"


def test_a_token_does_not_show_its_secret() -> None:
    """Neither repr nor str of a token in a log lets anybody enrol."""
    assert TOKEN.secret not in repr(TOKEN)
    assert TOKEN.secret not in f"{TOKEN}"


def test_a_new_token_takes_its_secret_from_chance(workshop: Workshop) -> None:
    """256 bits from the source given, and the fingerprint of the hub's root."""
    token = EnrolmentToken.new(workshop.national.root, lambda size: bytes(range(size)))
    assert token.secret == "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    assert token.authority_fingerprint == hashlib.sha256(_der(workshop)).hexdigest()


def test_the_hub_knows_a_token_by_the_digest_of_its_secret() -> None:
    """What the hub stores is no secret, and it is the same for what a node presents."""
    assert TOKEN.secret_digest == secret_digest(TOKEN.secret) == hashlib.sha256(TOKEN.secret.encode()).hexdigest()


def test_the_token_tells_the_hub_from_an_interceptor(workshop: Workshop) -> None:
    """Among the certificates that whoever answered has shown, only the token's root is taken."""
    token = EnrolmentToken.new(workshop.national.root, bytes)
    shown = [workshop.national.tls.certificate, workshop.national.root]
    assert token.require_authority(shown) == workshop.national.root
    with pytest.raises(TokenRejected) as refusal:
        token.require_authority([workshop.foreign.root])
    assert refusal.value.code == "token-authority"


@pytest.mark.parametrize(("authority", "secret"), [("ab", TOKEN.secret), ("ab" * 32, "c2VjcmV0"), ("ab" * 32, "***")])
def test_a_token_is_made_of_whole_parts(authority: str, secret: str) -> None:
    """A token of a short fingerprint or a weak secret cannot be made."""
    with pytest.raises(ValueError, match=r"SHA-256|base64|padding|characters"):
        EnrolmentToken(authority, secret)


def _der(workshop: Workshop) -> bytes:
    return workshop.national.root.public_bytes(Encoding.DER)
