"""Who may call: the MAC over the bytes of sign-header, and the parameters that it covers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters.vxp.limits import Gate
from adapters.vxp.parameters import Parameters
from adapters.vxp.settings import VxpSettings
from adapters.vxp.systems import System, Systems
from schemas.errors import Rejected
from tests.adapters.vxp.client import SdkClient
from tests.adapters.vxp.conftest import Opener, Site

# vxp-api.md, section 2.2: the SDK itself made this hash of these bytes.
SIGN_HEADER = (
    b'{"XroadVnpt-systemid":"demo.system.01","XroadVnpt-servicetype":"eDoc","XroadVnpt-messagetype":"edoc",'
    b'"XroadVnpt-timestamp":"06052024T070809+0123","XroadVnpt-Content-Type":"application/json"}'
)
HASH_HEADER = b"b58e4e88f4a44fbce257f8fbd7d3cf0b59ddbd4a59b2adcdf46e16e1c6452a6d"
SYSTEMS = Systems([System("demo.system.01", b"demo-secret-123", ())])


def headers(signed: bytes = SIGN_HEADER, mac: bytes = HASH_HEADER) -> list[tuple[bytes, bytes]]:
    return [(b"XroadVnpt-sign-header", signed), (b"XroadVnpt-hash-header", mac)]


def test_the_sdks_own_hash_is_taken() -> None:
    """The worked example of the protocol verifies, and gives its parameters."""
    caller = SYSTEMS.verified(headers())
    assert caller.system.system_id == "demo.system.01"
    assert caller.parameters.need("messagetype") == "edoc"


async def test_the_sdks_own_request_is_answered(site: Site) -> None:
    """The worked example, sent as it is written, gets an envelope that the SDK can read."""
    client = site.client()
    client.parameters = {
        "systemid": "demo.system.01",
        "servicetype": "eDoc",
        "messagetype": "edoc",
        "timestamp": "06052024T070809+0123",
        "Content-Type": "application/json",
    }
    assert dict(client.signed_headers())["XroadVnpt-hash-header"] == HASH_HEADER
    assert (await client.post("getReceivedEdocList")).ok["data"] == []


@pytest.mark.parametrize(
    ("signed", "mac"),
    [
        (SIGN_HEADER.replace(b"edoc", b"eDoc"), HASH_HEADER),
        (SIGN_HEADER + b" ", HASH_HEADER),
        (SIGN_HEADER, HASH_HEADER[:-1]),
        (SIGN_HEADER, b""),
        (SIGN_HEADER, b"\xff" * 64),
        (SIGN_HEADER.replace(b"demo.system.01", b"demo.system.02"), HASH_HEADER),
    ],
)
def test_other_bytes_are_refused(signed: bytes, mac: bytes) -> None:
    """One byte more, less or other, in the signed text or in its hash, or a system that is unknown: refused alike."""
    with pytest.raises(Rejected) as caught:
        SYSTEMS.verified(headers(signed, mac))
    assert caught.value.code == "signature-wrong"


@pytest.mark.parametrize(
    ("lines", "rule"),
    [
        (headers()[:1], "header-missing"),
        (headers()[1:], "header-missing"),
        ([*headers(), *headers()[:1]], "header-repeated"),
        (headers(b"[1]"), "parameters-unreadable"),
        (headers(b"{"), "parameters-unreadable"),
        (headers(b"[" * 20000), "parameters-unreadable"),
        (headers(b'{"XroadVnpt-systemid":"Vi\xc7t"}'), "parameters-unreadable"),
        (headers(b'{"XroadVnpt-docId":"1"}'), "parameter-missing"),
    ],
)
def test_what_is_not_signed_is_refused(lines: list[tuple[bytes, bytes]], rule: str) -> None:
    """A header that is missing or stands twice, and a signed text that is no object in UTF-8, are refused by name."""
    with pytest.raises(Rejected) as caught:
        SYSTEMS.verified(lines)
    assert caught.value.code == rule


@pytest.mark.parametrize("name", ["XroadVnpt-sign-header", "XroadVnpt-hash-header"])
async def test_a_missing_header_gets_the_apis_own_error(site: Site, name: str) -> None:
    """Without one of the two headers that sign, the answer is a refusal in the API's own envelope."""
    client = site.client()
    lines = [line for line in client.signed_headers() if line[0] != name]
    answer = await client.exchange("POST", "getReceivedEdocList", [*lines, ("Content-Length", b"0")])
    assert answer.failure["ErrorCode"] == "401"
    assert name.lower() in answer.failure["ErrorDesc"]


@pytest.mark.parametrize("changes", [{"secret": "demo-secret-124"}, {"system_id": "nobody"}])
async def test_a_wrong_secret_and_an_unknown_system_are_told_alike(site: Site, changes: dict[str, str]) -> None:
    """Nobody learns from an answer which systems there are."""
    client = SdkClient(**{"endpoint": site.endpoint, **changes})
    for answer in (await client.post("countReceiveEdoc"), await client.send(b"<edXML/>", **{"from": "G22"})):
        assert answer.failure["ErrorCode"] == "401"
        assert "No system that may connect" in answer.failure["ErrorDesc"]
    assert site.node.calls == []


async def test_no_header_of_http_decides(site: Site) -> None:
    """The plain headers are not signed: what they say of the system or the parameters changes nothing."""
    client = site.client()
    client.parameters["messagetype"] = "edoc"
    lines = [
        (name, b"unit.system.02" if name == "XroadVnpt-systemid" else b"x" if name.startswith("XroadVnpt-m") else value)
        for name, value in client.signed_headers()
    ]
    assert (await client.exchange("POST", "countReceiveEdoc", [*lines, ("Content-Length", b"0")])).ok["count"] == 0


@pytest.mark.parametrize("stamp", ["06052024T070809+0123", "01012999T000000+0000", "٠٦٠٥٢٠٢٤", ""])
async def test_the_time_stamp_is_not_judged(site: Site, stamp: str) -> None:
    """Weeks old, of a far future, in letters of another script: the SDK stamps a service object once, for its life."""
    assert (await site.client(timestamp=stamp).post("countReceiveEdoc")).ok["count"] == 0


@pytest.mark.parametrize("word", ["Việt", "Công văn", "đã nhận", "ă"])
async def test_letters_that_stack_a_damages_are_refused(site: Site, word: str) -> None:
    """Stack A cuts each letter to its low byte, and the MAC is over the whole one: an error, in the API's envelope."""
    client = site.client()
    client.parameters["note"] = word
    headers = [*client.signed_headers("low-bytes"), ("Content-Length", b"0")]
    answer = await client.exchange("POST", "getReceivedEdocList", headers)
    assert answer.failure["ErrorCode"] in ("400", "401")


async def test_letters_in_utf8_are_taken(site: Site) -> None:
    """Stack B sends UTF-8, and the MAC verifies over those bytes."""
    client = site.client("unit.system.02")
    client.parameters["filePath"] = "C:\\Công văn\\"
    assert (await client.exchange("POST", "countReceiveEdoc", [*client.signed_headers(), ("Content-Length", b"0")])).ok


@pytest.mark.parametrize("name", ["docId", "docid", "DOCID", "XroadVnpt-docId", "xroadvnpt-DocID"])
def test_names_are_read_in_any_case(name: str) -> None:
    """The vendor's own example writes one name in two ways."""
    assert Parameters.parse(json.dumps({name: " A "}).encode()).need("docid") == "A"


@pytest.mark.parametrize("text", ['{"docId":"A","docid":"B"}', '{"docId":"A","docId":"B"}'])
def test_a_name_with_two_values_is_refused_where_it_is_needed(text: str) -> None:
    """Which of two values is meant nobody can tell; whoever does not need the name is not troubled."""
    parameters = Parameters.parse(text.encode())
    with pytest.raises(Rejected) as caught:
        parameters.need("docid")
    assert caught.value.code == "parameter-conflict"
    assert parameters.find("status") is None


def test_a_value_twice_is_one_value() -> None:
    """The same value under both spellings is no contradiction."""
    assert Parameters.parse(b'{"docId":"A","docid":"A"}').need("docid") == "A"


def test_values_of_json_are_texts() -> None:
    """Numbers and truth values are read as their texts; what is no value counts as absent."""
    parameters = Parameters.parse(b'{"a":1,"b":true,"c":null,"d":{},"e":""}')
    assert [parameters.find(name) for name in "abcde"] == ["1", "true", None, None, ""]
    with pytest.raises(Rejected, match="missing"):
        parameters.need("e")


def test_a_secret_shows_nowhere() -> None:
    """A system is logged and shown in errors without its secret."""
    assert "demo-secret" not in repr(System("demo.system.01", b"demo-secret-123", ()))


async def test_a_systems_requests_wait_for_their_turn(tmp_path: Path) -> None:
    """Beyond its rate a system waits, since its software takes an error for the document's; others do not wait."""
    table = {"system_id": "a", "secret_file": tmp_path / "secret", "codes": ["G22"]}
    settings = VxpSettings(systems={"a": table}, requests_per_second=2, answer_seconds=1)
    now, waits = 100.0, list[float]()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    gate = Gate(settings, lambda: now, sleep=sleep)
    for _ in range(6):
        await gate.turn("a")
    assert waits == [0.5, 1.0]
    with pytest.raises(Rejected, match="too-many-requests"):
        await gate.turn("a")
    await gate.turn("b")
    now += 1
    await gate.turn("a")
    assert waits == [0.5, 1.0, 0.5]


async def test_whoever_waits_too_long_for_a_turn_is_told(open_site: Opener) -> None:
    """A turn that is further away than an answer may take is an error in the API's envelope."""
    async with open_site(requests_per_second=0.1, answer_seconds=5) as site:
        client = site.client()
        assert (await client.post("countReceiveEdoc")).ok
        assert (await client.post("countReceiveEdoc")).failure["ErrorCode"] == "429"
        assert (await site.client("unit.system.02").post("countReceiveEdoc")).ok
