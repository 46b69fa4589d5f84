"""`congvan node init`: a token and an address become a node, whatever happens on the way."""

from __future__ import annotations

import asyncio
import inspect
import queue
import secrets
import ssl
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from certs.enrolment_token import EnrolmentToken
from certs.keys import new_p256_key, read_key, write_certificates, write_key
from node.foundation import open_foundation
from node.initialisation import NewNode, initialise
from node.settings import NodeFolder
from node.usecases.enrolment import KeyType
from runtime.clock import utc_now
from tests.crash.network import Line
from tests.node.edge.conftest import Ran
from tests.node.edge.site import HUB_ADDRESS, HUB_NAME, PATIENCE, EnrolledNode, Hub, threaded
from transport import paths
from transport.client import fetch_authority

Congvan = Callable[..., Ran]


def init(congvan: Congvan, hub: Hub, root: Path, token: str, *options: object) -> Ran:
    return congvan(
        "node", "init", root, "--hub", hub.url, "--token", token, "--connect-to", HUB_ADDRESS, "--key-type", "p256",
        *options,
    )  # fmt: skip


def test_init_makes_a_whole_node_and_says_what_next(hub: Hub, tmp_path: Path, congvan: Congvan) -> None:
    """Keys that only their owner reads, certificates, settings, database, directory; then what to run."""
    token = hub.admit("H31", "UBND tỉnh Hưng Yên")
    ran = init(congvan, hub, tmp_path / "node", token)
    assert ran.status == 0
    assert "UBND tỉnh Hưng Yên (H31)" in ran.out
    assert "congvan node serve --dir" in ran.out
    keys = tmp_path / "node" / "keys"
    assert {oct(path.stat().st_mode & 0o777) for path in keys.glob("*.key.pem")} == {"0o600"}

    async def look() -> tuple[str, int, list[str]]:
        async with open_foundation(NodeFolder(tmp_path / "node")) as node:
            await node.directory.load()
            return (
                node.identity.connection,
                node.directory.version,
                [code.value for code in node.directory.served_codes],
            )

    connection, version, codes = asyncio.run(look())
    assert (connection, codes) == ("H31", ["H31"])
    assert version > 0


async def test_a_hub_that_breaks_off_is_asked_again(hub: Hub, tmp_path: Path) -> None:
    """Two connections reset in the handshake, as by a process that is just replaced, do not end an init."""
    token = EnrolmentToken.parse(await asyncio.to_thread(hub.admit, "H77"))
    line = Line(HUB_ADDRESS)
    line.target, line.cut_after = hub.port, 1
    await line.open()

    async def heal() -> None:
        while line.cuts < 2:  # noqa: ASYNC110 - a line tells nobody of its cuts
            await asyncio.sleep(0.01)
        line.cut_after = None

    healing = asyncio.create_task(heal())
    new = NewNode(hub=f"https://{HUB_NAME}:{line.port}", token=token, connect_to=HUB_ADDRESS, key_type=KeyType.P256)
    try:
        _, answer = await initialise(NodeFolder(tmp_path / "node"), new, clock=utc_now)
    finally:
        healing.cancel()
        await line.close()
    assert (answer.connection, line.cuts) == ("H77", 2)


def test_the_tokens_secret_is_told_to_nobody_else(hub: Hub, tmp_path: Path, congvan: Congvan) -> None:
    """Neither the output nor any file of the node holds the secret."""
    token = hub.admit("H32")
    ran = init(congvan, hub, tmp_path / "node", token)
    secret = EnrolmentToken.parse(token).secret
    assert secret not in ran.out + ran.err
    files = [path for path in (tmp_path / "node").rglob("*") if path.is_file()]
    assert len(files) > 8
    assert not [path for path in files if secret.encode() in path.read_bytes()]


def test_the_settings_file_explains_every_key_and_reads_back(new_node: Callable[..., EnrolledNode]) -> None:
    """Every key stands in the file with its default and a comment; what was given stands in force."""
    node = new_node(address="127.0.0.7")
    text = (node.root / "congvan.toml").read_text()
    settings = NodeFolder(node.root).read_settings()
    assert settings.hub.source_address == "127.0.0.7"
    assert list(settings.adapters) == ["filedrop"]
    in_force = "\n".join(line.removeprefix("# ") if " = " in line else line for line in text.splitlines())
    assert tomllib.loads(in_force)["adapters"]["filedrop"]["settle_seconds"] == 2.0


@pytest.mark.parametrize(("spoil", "rule"), [(lambda t: t[:-7], "token-damaged"), (lambda t: t[9:], "token-kind")])
def test_a_damaged_token_is_named_before_anything_is_made(
    hub: Hub, tmp_path: Path, congvan: Congvan, spoil: Callable[[str], str], rule: str
) -> None:
    """A truncated paste is told from a wrong one; no folder comes of it."""
    token = EnrolmentToken("ab" * 32, "A" * 43).encode()
    ran = init(congvan, hub, tmp_path / "node", spoil(token))
    assert ran.status == 1
    assert f"rule: {rule}" in ran.err
    assert len(ran.err.splitlines()) == 1
    assert not (tmp_path / "node").exists()


def test_another_hub_under_that_address_is_told_nothing(hub: Hub, tmp_path: Path, congvan: Congvan) -> None:
    """When what answers has another authority than the token's, init stops before it makes a key."""
    token = EnrolmentToken(secrets.token_hex(32), "A" * 43).encode()
    ran = init(congvan, hub, tmp_path / "node", token)
    assert ran.status == 1
    assert "may be intercepted" in ran.err
    assert not (tmp_path / "node" / "keys").exists()


def test_an_impostor_that_shows_the_right_authority_never_gets_the_secret(
    hub: Hub, tmp_path: Path, congvan: Congvan
) -> None:
    """Whoever sits between can pass the hub's authority on, but not speak TLS under it: the secret is not sent."""
    authority = asyncio.run(fetch_authority(hub.url, connect_to=HUB_ADDRESS))
    told: list[str] = []
    bound: queue.Queue[int] = queue.Queue()

    async def show(_request: web.Request) -> web.Response:
        return web.Response(body=authority)

    async def enrol(request: web.Request) -> web.Response:
        told.append(request.headers.get("Authorization", ""))
        return web.Response(status=500)

    async def serve(stop: asyncio.Event) -> None:
        app = web.Application()
        app.add_routes([web.get(paths.AUTHORITY, show), web.post(paths.ENROLMENTS, enrol)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, HUB_ADDRESS, 0, ssl_context=_self_signed(tmp_path)).start()
        bound.put(runner.addresses[0][1])
        await stop.wait()
        await runner.cleanup()

    with threaded(serve):
        url = f"https://{HUB_NAME}:{bound.get(timeout=PATIENCE)}"
        ran = congvan(
            "node", "init", tmp_path / "node", "--hub", url, "--token", hub.admit("H33"), "--connect-to", HUB_ADDRESS
        )
    assert ran.status == 1
    assert "rule: hub-certificate" in ran.err
    assert told == []


def _self_signed(folder: Path) -> ssl.SSLContext:
    """A server's context that carries the hub's name and that nobody vouches for."""
    key = new_p256_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HUB_NAME)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HUB_NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_key(folder / "impostor.key", key, None)
    write_certificates(folder / "impostor.pem", [certificate])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "impostor.pem", folder / "impostor.key")
    return context


class Cut(BaseException):
    """The end of a process, which no program handles."""


#: Where init is cut short: right after the step of this name.
STEPS = {
    "the keys are made": "node.usecases.enrolment._requests",
    "the hub has answered": "transport.client.HubClient.enrol",
    "the hub's authority is kept": "node.usecases.enrolment.write_certificates",
    "the certificates are kept": "node.usecases.enrolment._keep",
    "the database is made": "node.initialisation.upgrade",
    "the directory has come": "node.usecases.directory.DirectoryCopy.sync",
    "the settings are written": "node.initialisation.settings_text",
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_an_init_cut_short_anywhere_goes_on_with_the_same_token(
    hub: Hub, tmp_path: Path, congvan: Congvan, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The second try uses the same keys, gets the same certificates although the token is spent, and ends whole.

    ECDSA signs anew each time: only a request that was kept is the same request.
    """
    root = tmp_path / "node"
    token = hub.admit(f"H34.{list(STEPS.values()).index(step)}")
    with monkeypatch.context() as patched:
        patched.setattr(step, _then_cut(_found(step)))
        with pytest.raises(Cut):
            init(congvan, hub, root, token)
    assert "rule: node-unfinished" in congvan("node", "status", "--dir", root).err
    keys = {path.name: path.read_bytes() for path in (root / "keys").glob("*.key.pem")}
    assert len(keys) == 2
    ran = init(congvan, hub, root, token)
    assert ran.status == 0, ran.err
    assert {path.name: path.read_bytes() for path in (root / "keys").glob("*.key.pem")} == keys
    assert congvan("node", "status", "--dir", root).status == 0


def _found(path: str) -> Callable[..., Any]:
    module, _, name = path.rpartition(".")
    try:
        owner: Any = import_module(module)
    except ModuleNotFoundError:
        above, _, class_name = module.rpartition(".")
        owner = getattr(import_module(above), class_name)
    found: Callable[..., Any] = getattr(owner, name)
    return found


def _then_cut(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step`, after which nothing more happens."""
    if inspect.iscoroutinefunction(step):

        async def cut_async(*arguments: Any, **options: Any) -> None:
            await step(*arguments, **options)
            raise Cut

        return cut_async

    def cut(*arguments: Any, **options: Any) -> None:
        step(*arguments, **options)
        raise Cut

    return cut


def test_keys_are_rsa_unless_another_kind_is_wished(hub: Hub, tmp_path: Path, congvan: Congvan) -> None:
    """By default a node makes RSA keys of 2048 bits, which every receiver on the axis verifies."""
    token = hub.admit("H34.RSA")
    ran = congvan("node", "init", tmp_path, "--hub", hub.url, "--token", token, "--connect-to", HUB_ADDRESS)
    assert ran.status == 0, ran.err
    assert [read_key(path, None).key_size for path in (tmp_path / "keys").glob("*.key.pem")] == [2048, 2048]


def test_a_second_try_with_another_kind_of_key_is_told_so(
    hub: Hub, tmp_path: Path, congvan: Congvan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys that a token may have been spent on are not thrown away for an option."""
    token = hub.admit("H35")
    with monkeypatch.context() as patched:
        patched.setattr("node.initialisation.upgrade", _then_cut(_found("node.initialisation.upgrade")))
        with pytest.raises(Cut):
            init(congvan, hub, tmp_path / "node", token)
    ran = init(congvan, hub, tmp_path / "node", token, "--key-type", "rsa")
    assert "rule: key-type" in ran.err
    assert "--key-type p256" in ran.err


def test_a_spent_token_makes_no_second_node(hub: Hub, tmp_path: Path, congvan: Congvan) -> None:
    """The token that made one node is refused for another folder, whose keys are others."""
    token = hub.admit("H36")
    assert init(congvan, hub, tmp_path / "one", token).status == 0
    ran = init(congvan, hub, tmp_path / "two", token)
    assert "rule: token-used" in ran.err


def test_a_folder_with_something_in_it_is_left_alone(
    new_node: Callable[..., EnrolledNode], hub: Hub, tmp_path: Path, congvan: Congvan
) -> None:
    """A node is not made over another, nor among other files."""
    node = new_node()
    assert "rule: node-exists" in init(congvan, hub, node.root, hub.admit("H37")).err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").touch()
    assert "rule: folder-in-use" in init(congvan, hub, tmp_path / "full", hub.admit("H38")).err
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["letter.txt"]


def test_a_passphrase_encrypts_both_keys(hub: Hub, tmp_path: Path, congvan: Congvan) -> None:
    """With --passphrase-file, in the new folder even, the keys open with the passphrase alone, and commands do so."""
    root = tmp_path / "node"
    root.mkdir()
    (root / "passphrase").touch(mode=0o600)
    (root / "passphrase").write_text("mật khẩu dài\n")
    ran = init(congvan, hub, root, hub.admit("H39"), "--passphrase-file", root / "passphrase")
    assert ran.status == 0, ran.err
    for name in ("tls", "seal"):
        assert b"ENCRYPTED" in (root / "keys" / f"{name}.key.pem").read_bytes()
        read_key(root / "keys" / f"{name}.key.pem", "mật khẩu dài".encode())
    assert congvan("node", "status", "--dir", root).status == 0


def test_a_hub_that_is_away_leaves_a_token_unspent(hub: Hub, tmp_path: Path, congvan: Congvan) -> None:
    """While the hub cannot be reached, init says so in one sentence; later the same command succeeds."""
    token = hub.admit("H40")
    ran = congvan("node", "init", tmp_path / "node", "--hub", hub.url, "--token", token, "--connect-to", "127.0.0.99")
    assert "rule: hub-unreachable" in ran.err
    assert init(congvan, hub, tmp_path / "node", token).status == 0
