"""`hub init`: whole, private, never over something else; and what was cut short is begun anew."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from certs.errors import KeyRejected
from certs.signed_directory import verify_version
from hub import initialisation
from hub.foundation import open_foundation
from hub.initialisation import NewHub, initialise
from hub.settings import HubFolder
from hub.store import directory, state
from hub.usecases.directory import directory_after
from runtime.locks import exclusive
from schemas.codes import AgencyCode
from schemas.errors import Rejected, Unavailable
from tests.hub.admin.conftest import NAME, Clock

NEW = NewHub(NAME, "127.0.0.1:0", ("127.0.0.1",))


async def test_a_new_hub_is_whole(folder: HubFolder, clock: Clock) -> None:
    """The first version of the directory, signed, trusts the hub's own seals for every code."""
    async with open_foundation(folder, clock=clock) as foundation:
        (document,) = (await directory_after(foundation.database, 0)).versions
        version = verify_version(document, [foundation.keys.authority.root], clock(), after=None).version
        (anchor,) = await foundation.database.read(directory.anchors)
        epoch = await foundation.database.read(state.epoch)
    assert version.anchors[0].prefixes == ("",)
    assert anchor.certificate == foundation.keys.authority.seals.certificate
    assert anchor.covers(AgencyCode("H23"))
    assert len(epoch) == 16
    assert not folder.initialisation_mark.exists()


async def test_nobody_else_can_read_it(folder: HubFolder) -> None:
    """Folders are 0700, keys, database and settings 0600; certificates alone are public."""
    for path in [folder.root, *folder.root.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        expected = 0o700 if path.is_dir() else 0o644 if path.suffix == ".pem" else 0o600
        assert (path, oct(mode)) == (path, oct(expected))


async def test_a_hub_is_never_made_over_another(folder: HubFolder, clock: Clock) -> None:
    """A folder that holds a hub is left as it is."""
    before = {path: path.read_bytes() for path in folder.root.rglob("*") if path.is_file()}
    with pytest.raises(Rejected) as caught:
        await initialise(folder, NEW, clock=clock)
    assert caught.value.code == "hub-exists"
    assert {path: path.read_bytes() for path in folder.root.rglob("*") if path.is_file()} == before


async def test_nor_beside_other_things(tmp_path: Path, clock: Clock) -> None:
    """A folder that holds something else is refused, naming it; a fresh disk's lost+found is nothing."""
    place = tmp_path / "somewhere"
    (place / "lost+found").mkdir(parents=True)
    (place / "thesis.odt").touch()
    with pytest.raises(Rejected, match=r"thesis\.odt") as caught:
        await initialise(HubFolder(place), NEW, clock=clock)
    assert caught.value.code == "folder-in-use"
    assert {path.name for path in place.iterdir()} == {"lost+found", "thesis.odt"}
    (place / "thesis.odt").unlink()
    await initialise(HubFolder(place), NEW, clock=clock)


@pytest.mark.parametrize("cut", ["create_keys", "open_keys", "_fill_database", "upgrade", "sync_folder", "write_file"])
async def test_what_was_cut_short_is_begun_anew(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    """A crash at any step leaves a folder that says so, and the same command makes it whole."""
    folder = HubFolder(tmp_path / "hub")

    class PowerCut(BaseException):
        pass

    def fail(*_arguments: object, **_options: object) -> None:
        raise PowerCut

    with monkeypatch.context() as broken:
        broken.setattr(initialisation, cut, fail)
        with pytest.raises(PowerCut):
            await initialise(folder, NEW, clock=clock)
    with pytest.raises(Rejected, match="init") as caught:
        folder.read_settings()
    assert caught.value.code == "hub-unfinished"
    await initialise(folder, NEW, clock=clock)
    async with open_foundation(folder, clock=clock) as foundation:
        assert await foundation.database.read(directory.directory_version) == 1


async def test_two_at_once_do_not_mix(tmp_path: Path, clock: Clock) -> None:
    """While one `hub init` is at work in a folder, another is turned away."""
    folder = HubFolder(tmp_path)
    with (
        exclusive(folder.initialisation_mark, Unavailable("test", "taken by the test")),
        pytest.raises(Unavailable) as caught,
    ):
        await initialise(folder, NEW, clock=clock)
    assert caught.value.code == "init-running"
    assert not folder.authority.exists()


async def test_keys_can_be_encrypted(tmp_path: Path, clock: Clock) -> None:
    """With a passphrase no key lies open, and the hub opens with the file that the settings name."""
    secret = tmp_path / "passphrase"
    secret.touch(mode=0o600)
    secret.write_text("thủ tướng\n")
    folder = HubFolder(tmp_path / "hub")
    new = NewHub(NAME, "127.0.0.1:0", passphrase_file=secret, passphrase=folder.passphrase(secret))
    await initialise(folder, new, clock=clock)
    keys = list(folder.root.rglob("*.key"))
    assert len(keys) == 6
    assert all(b"ENCRYPTED" in key.read_bytes() for key in keys)
    async with open_foundation(folder, clock=clock) as foundation:
        assert foundation.keys.server_tls().cert_store_stats()["x509_ca"] == 2
    secret.write_text("another\n")
    with pytest.raises(KeyRejected) as caught:
        async with open_foundation(folder, clock=clock):
            pass
    assert caught.value.code == "key-passphrase"


@pytest.mark.parametrize(
    ("mode", "text", "code"), [(0o640, "x", "passphrase-permissions"), (0o600, "\n", "passphrase-empty")]
)
def test_a_passphrase_is_private_and_there(tmp_path: Path, mode: int, text: str, code: str) -> None:
    """A passphrase that others can read, or that is none, is refused."""
    path = tmp_path / "passphrase"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(Rejected) as caught:
        HubFolder(tmp_path).passphrase(path)
    assert caught.value.code == code


async def test_the_name_cannot_be_changed(folder: HubFolder) -> None:
    """A hub does not start under another name than its certificates and receipts carry."""
    text = folder.settings_file.read_text()
    folder.settings_file.write_text(text.replace(f'name = "{NAME}"', 'name = "other.example.test"'))
    with pytest.raises(Rejected, match=r"other\.example\.test") as caught:
        async with open_foundation(folder):
            pass
    assert caught.value.code == "hub-name"
