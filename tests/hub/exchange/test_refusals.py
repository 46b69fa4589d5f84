"""Submissions that are refused: each by its own rule, with the place in the message, and nothing stored."""

from __future__ import annotations

from datetime import timedelta

import aiohttp
import pytest

from certs.keys import new_p256_key
from certs.sealing import SealingKey, seal
from hub.settings_exchange import ExchangeSettings
from hub.usecases.places import Places
from schemas.directory import EntryStatus
from schemas.envelope import SecrecyLevel, Selector, SelectorKind
from schemas.errors import Rejected, Unavailable
from schemas.message import BusinessType, StatusCode
from tests.hub.exchange.conftest import World
from tests.hub.exchange.documents import digest_of, document, status
from tests.hub.exchange.nodes import NOW, Node, rejection

LONG = b"%PDF-1.7 " + bytes(100_000)


@pytest.fixture
def settings() -> ExchangeSettings:
    return ExchangeSettings.model_validate(
        {
            "submissions": {
                "spare_bytes": 0,
                "envelope_bytes": 64 * 1024,
                "attachment_bytes": 1024 * 1024,
                "message_bytes": 1536 * 1024,
                "attachments": 3,
                "recipients": 3,
            }
        }
    )


async def _refused(world: World, error: Exception, code: str, element: str | None) -> None:
    assert isinstance(error, Rejected)
    assert (error.code, error.element) == (code, element)
    assert await world.is_empty()


async def test_an_unknown_recipient_refuses_the_whole_submission(world: World, g22: Node, h23: Node) -> None:
    """One recipient that the directory does not know is named by its place, and nobody gets the document."""
    error = await rejection(g22.send(document("G22", "H23", "H99")))
    await _refused(world, error, "recipient-unknown", "MessageHeader/To[2]/OrganId")


async def test_a_suspended_recipient_refuses_the_submission(world: World, g22: Node, h23: Node) -> None:
    """An explicit recipient that is suspended is named by its place."""
    await world.set_status("H23", EntryStatus.SUSPENDED)
    error = await rejection(g22.send(document("G22", "H23")))
    await _refused(world, error, "recipient-suspended", "MessageHeader/To/OrganId")


async def test_a_retired_recipient_refuses_the_submission(world: World, g22: Node, h23: Node) -> None:
    """An explicit recipient that is retired is named by its place."""
    await world.set_status("H23.13", EntryStatus.RETIRED)
    error = await rejection(g22.send(document("G22", "H23", "H23.13")))
    await _refused(world, error, "recipient-retired", "MessageHeader/To[2]/OrganId")


async def test_an_agency_that_another_connection_serves_cannot_be_sent_for(world: World, g22: Node, h23: Node) -> None:
    """A node may not submit for an agency that it does not serve, not even with that agency's own seal."""
    data = g22.seal(document("G22", "H23")).data
    error = await rejection(h23.client.submit(data, {}))
    await _refused(world, error, "sender-not-served", "MessageHeader/From/OrganId")


async def test_a_seal_of_another_agency_is_refused(world: World, g22: Node, h23: Node) -> None:
    """A certificate that the directory does not name for the sender seals nothing for it, however good it is."""
    data = seal(document("G22", "H23"), h23.key, NOW).data
    error = await rejection(g22.client.submit(data, {}))
    await _refused(world, error, "signer-not-bound", "MessageHeader/From/OrganId")


async def test_a_tls_certificate_seals_nothing(world: World, g22: Node, h23: Node) -> None:
    """A certificate of the right authority for another use is refused."""
    key = new_p256_key()
    chain = world.authority.issue_client(key.public_key(), "vpcp", NOW)
    data = seal(document("G22", "H23"), SealingKey(key, chain), NOW).data
    error = await rejection(g22.client.submit(data, {}))
    assert isinstance(error, Rejected)
    assert error.code == "seal-certificate-usage"
    assert await world.is_empty()


async def test_an_unknown_sender_is_refused(world: World, g22: Node, h23: Node) -> None:
    """A From code that nobody has is refused."""
    error = await rejection(g22.send(document("G77", "H23")))
    await _refused(world, error, "agency-unknown", "MessageHeader/From/OrganId")


async def test_a_suspended_sender_is_refused(world: World, g22: Node, h23: Node) -> None:
    """An agency that is suspended sends nothing."""
    await world.set_status("G22", EntryStatus.SUSPENDED)
    error = await rejection(g22.send(document("G22", "H23")))
    await _refused(world, error, "agency-suspended", "MessageHeader/From/OrganId")


@pytest.mark.parametrize("level", SecrecyLevel)
async def test_a_state_secret_is_refused(level: SecrecyLevel, world: World, g22: Node, h23: Node) -> None:
    """A document marked mật, tối mật or tuyệt mật does not enter."""
    error = await rejection(g22.send(document("G22", "H23", secrecy=level)))
    await _refused(world, error, "secrecy-forbidden", "Extension/Secrecy")


async def test_a_message_that_is_over_already_is_refused(world: World, g22: Node, h23: Node) -> None:
    """What expires at this very moment does not enter; a moment later it would."""
    error = await rejection(g22.send(document("G22", "H23", expires_at=world.clock())))
    await _refused(world, error, "already-expired", "Extension/ExpiresAt")
    await g22.send(document("G22", "H23", expires_at=world.clock() + timedelta(microseconds=1)))


async def test_an_envelope_above_the_limit_is_refused(world: World, g22: Node, h23: Node) -> None:
    """An envelope longer than the hub takes is refused as too large, alone or in a multipart body."""
    sealed = g22.seal(document("G22", "H23", subject="ư" * 40_000))
    error = await rejection(g22.client.submit(sealed.data, {}))
    await _refused(world, error, "envelope-too-large", None)
    error = await rejection(g22.client.submit(sealed.data, {digest_of(b"x"): b"x"}))
    await _refused(world, error, "envelope-too-large", None)


async def test_an_attachment_above_the_limit_is_refused_by_its_announced_size(
    world: World, g22: Node, h23: Node
) -> None:
    """An attachment that is too long is refused before a byte of it is sent."""
    sizes = {"a" * 64: 1000, "b" * 64: 2 * 1024 * 1024}
    error = await rejection(g22.send(document("G22", "H23", sizes=sizes)))
    await _refused(world, error, "attachment-too-large", "Extension/AttachmentSize[2]")


async def test_attachments_above_the_limit_together_are_refused(world: World, g22: Node, h23: Node) -> None:
    """Attachments that are each short enough and too long together are refused."""
    sizes = {"a" * 64: 1024 * 1024, "b" * 64: 1024 * 1024}
    error = await rejection(g22.send(document("G22", "H23", sizes=sizes)))
    await _refused(world, error, "attachments-too-large", "Extension/AttachmentSize")


async def test_too_many_attachments_are_refused(world: World, g22: Node, h23: Node) -> None:
    """The number of attachments is bounded."""
    error = await rejection(g22.send(document("G22", "H23", attachments=[b"1", b"2", b"3", b"4"])))
    assert isinstance(error, Rejected)
    assert error.code == "too-many-attachments"
    assert await world.is_empty()


async def test_too_many_recipients_are_refused(world: World, g22: Node, h23: Node, h31: Node) -> None:
    """The number of recipients is bounded, those that selectors find included."""
    prefix = Selector(SelectorKind.PREFIX, "H23")
    error = await rejection(g22.send(document("G22", "H31", selectors=(prefix,))))
    await _refused(world, error, "too-many-recipients", "Extension/Selector")


@pytest.mark.parametrize("content", [b"short, but another one", LONG[::-1]])
async def test_a_wrong_attachment_is_refused(content: bytes, world: World, g22: Node, h23: Node) -> None:
    """Bytes that are not those that the envelope names are refused, short or long."""
    named = bytes(len(content))
    data = g22.seal(document("G22", "H23", attachments=[named])).data
    error = await rejection(g22.client.submit(data, {digest_of(named): content}))
    await _refused(world, error, "attachment-digest", None)


async def test_an_attachment_longer_than_announced_is_refused(world: World, g22: Node, h23: Node) -> None:
    """More bytes than the envelope announces are refused without being taken."""
    data = g22.seal(document("G22", "H23", sizes={digest_of(LONG): 70_000})).data
    error = await rejection(g22.client.submit(data, {digest_of(LONG): LONG}))
    await _refused(world, error, "attachment-too-large", None)


async def test_an_attachment_that_nobody_named_is_refused(world: World, g22: Node, h23: Node) -> None:
    """What the envelope does not name is not taken."""
    data = g22.seal(document("G22", "H23")).data
    error = await rejection(g22.client.submit(data, {digest_of(LONG): LONG}))
    await _refused(world, error, "attachment-unexpected", None)


async def test_an_attachment_that_comes_twice_is_refused(world: World, g22: Node, h23: Node) -> None:
    """A body brings each attachment once: of two, one could be anything."""
    data = g22.seal(document("G22", "H23", attachments=[LONG])).data
    parts = [("envelope", data), *[(f"sha256-{digest_of(LONG)}", LONG)] * 2]
    with aiohttp.MultipartWriter("form-data") as body:
        for name, content in parts:
            body.append(content).set_content_disposition("form-data", name=name)
    async with g22.session.post(g22.client._hub.with_path("/v1/envelopes"), data=body) as answer:
        assert (await answer.json(content_type=None))["code"] == "attachment-unexpected"
    assert await world.is_empty()


async def test_a_group_is_refused_while_there_are_none(world: World, g22: Node, h23: Node) -> None:
    """A selector of a group that does not exist is refused by its place."""
    selectors = (Selector(SelectorKind.PREFIX, "H23"), Selector(SelectorKind.GROUP, "Các tỉnh phía Bắc"))
    error = await rejection(g22.send(document("G22", selectors=selectors)))
    await _refused(world, error, "group-unknown", "Extension/Selector[2]")


async def test_a_selector_that_finds_nobody_is_refused(world: World, g22: Node, h23: Node) -> None:
    """A prefix under which the directory has no agency is most likely mistyped."""
    error = await rejection(g22.send(document("G22", "H23", selectors=(Selector(SelectorKind.PREFIX, "H24"),))))
    await _refused(world, error, "no-recipient", "Extension/Selector")


async def test_a_changed_envelope_is_refused(world: World, g22: Node, h23: Node) -> None:
    """One changed byte in the content breaks the seal."""
    data = g22.seal(document("G22", "H23")).data
    error = await rejection(g22.client.submit(data.replace(b">H23<", b">H31<"), {}))
    assert isinstance(error, Rejected)
    assert error.code == "seal-digest"
    assert await world.is_empty()


@pytest.mark.parametrize(
    "envelope",
    [document("G22", "H23", business=BusinessType.RECALL), status("G22", StatusCode.ACCEPTED)],
    ids=["recall", "status"],
)
async def test_a_message_about_another_must_name_it(envelope: object, world: World, g22: Node, h23: Node) -> None:
    """A recall, an update, a replacement and a status say which message they speak of."""
    error = await rejection(g22.send(envelope))
    await _refused(world, error, "about-missing", "Extension")


async def test_what_is_no_envelope_is_refused(world: World, g22: Node) -> None:
    """Bytes that are no XML, a multipart without an envelope and other media types are refused as what they are."""
    error = await rejection(g22.client.submit(b"not an envelope", {}))
    await _refused(world, error, error.code, None)
    for body, kind, expected in (
        (b"--x\r\n\r\nno name\r\n--x--\r\n", "multipart/form-data; boundary=x", "request-malformed"),
        (b"no boundary at all", "multipart/form-data; boundary=x", "request-malformed"),
        (b"{}", "application/json", "media-type"),
    ):
        url = g22.client._hub.with_path("/v1/envelopes")
        async with g22.session.post(url, data=body, headers={"Content-Type": kind}) as answer:
            assert answer.content_type == "application/problem+json"
            assert (await answer.json(content_type=None))["code"] == expected
    assert await world.is_empty()


async def test_a_peer_that_breaks_off_leaves_nothing(world: World, g22: Node, h23: Node) -> None:
    """A submission that ends in the middle of an attachment leaves no row and no file."""
    data = g22.seal(document("G22", "H23", attachments=[LONG])).data
    url = g22.client._hub

    async def body():
        yield b'--x\r\nContent-Disposition: form-data; name="envelope"\r\n\r\n' + data + b"\r\n"
        yield b'--x\r\nContent-Disposition: form-data; name="sha256-' + digest_of(LONG).encode() + b'"\r\n\r\n'
        yield LONG[:90_000]
        raise ConnectionResetError("the cable is out")

    with pytest.raises((aiohttp.ClientError, ConnectionError)):
        await g22.session.post(
            url.with_path("/v1/envelopes"), data=body(), headers={"Content-Type": "multipart/form-data; boundary=x"}
        )
    await world.requests.ended()
    assert await world.is_empty()


async def test_too_many_submissions_at_once_wait(world: World, g22: Node) -> None:
    """A connection that uses up its places is told to come again, not refused."""
    places = Places(1, "submissions")
    with places.take("vpcp"):
        with pytest.raises(Unavailable) as caught, places.take("vpcp"):
            pass
        assert caught.value.code == "too-many-requests"
        with places.take("haiduong"):
            pass
    with places.take("vpcp"):
        pass
