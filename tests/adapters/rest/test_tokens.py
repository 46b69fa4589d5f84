"""Tokens: shown once, kept as digests, held to their scopes, ended at once."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapters.rest.tokens import Scope, Tokens, TokenUnknown
from node.cli import app
from schemas.codes import AgencyCode
from schemas.errors import CongvanError, Rejected
from tests.adapters.rest.conftest import Api

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def opened(folder: Path, now: datetime = NOW) -> Tokens:
    return Tokens(folder / "tokens.json", lambda: now)


def added(tokens: Tokens, name: str = "dms") -> str:
    return tokens.add(
        name, scopes=[Scope.SUBMIT], agencies=[AgencyCode("H23")], expires_at=NOW + timedelta(days=1)
    ).text


def test_a_token_is_kept_as_its_digest_alone(tmp_path: Path) -> None:
    """The file, which its owner alone can read, holds neither the token nor its secret; nor does any repr."""
    tokens = opened(tmp_path)
    made = tokens.add("dms", scopes=[Scope.SUBMIT], expires_at=NOW + timedelta(days=1))
    secret = made.text.split("_", 2)[2]
    file = tmp_path / "tokens.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(secret) >= 20
    for shown in (file.read_text(), repr(made), repr(tokens.grant(made.text))):
        assert secret not in shown


def test_a_token_gives_what_it_was_made_with_until_it_expires(tmp_path: Path) -> None:
    """The grant names its scopes and agencies and covers what is below them; from its last instant on it is none."""
    text = added(opened(tmp_path))
    grant = opened(tmp_path).grant(text)
    assert grant.scopes == {Scope.SUBMIT}
    assert [grant.covers(AgencyCode(code)) for code in ("H23", "H23.12", "G22")] == [True, True, False]
    with pytest.raises(TokenUnknown) as caught:
        opened(tmp_path, NOW + timedelta(days=1)).grant(text)
    assert caught.value.code == "token-expired"


def test_whatever_is_no_token_gives_nothing(tmp_path: Path) -> None:
    """A changed, cut, empty or foreign text is unknown, and a revoked token is from then on."""
    tokens = opened(tmp_path)
    text = added(tokens)
    for wrong in ("", "x", text[:-1], text + "x", text.upper(), text.replace("congvan-rest", "other"), "\udc80", "__"):
        with pytest.raises(TokenUnknown):
            tokens.grant(wrong)
    other = opened(tmp_path)
    assert other.revoke("dms").name == "dms"
    with pytest.raises(TokenUnknown):
        tokens.grant(text)
    assert tokens.grants() == []


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """Digests that others can change are tokens that others can make."""
    tokens = opened(tmp_path)
    text = added(tokens)
    (tmp_path / "tokens.json").chmod(0o640)
    with pytest.raises(Rejected) as caught:
        opened(tmp_path).grant(text)
    assert caught.value.code == "tokens-open"


@pytest.mark.parametrize(
    ("name", "scopes", "days", "code"),
    [("", [Scope.SUBMIT], 1, "token-name"), ("dms", [], 1, "token-scopes"), ("dms", [Scope.SUBMIT], 0, "token-expiry")],
)
def test_a_token_that_makes_no_sense_is_not_made(
    tmp_path: Path, name: str, scopes: list[Scope], days: int, code: str
) -> None:
    """Without a name, without scopes, or expired from the first moment: refused by its rule, and nothing is kept."""
    with pytest.raises(CongvanError) as caught:
        opened(tmp_path).add(name, scopes=scopes, expires_at=NOW + timedelta(days=days))
    assert caught.value.code == code
    assert opened(tmp_path).grants() == []


def test_the_command_makes_lists_and_revokes(tmp_path: Path) -> None:
    """`congvan node token` prints a token once, lists it without it, and ends it, in the folder of the adapter."""
    (tmp_path / "congvan.toml").write_text('[hub]\nurl = "https://hub:1"\n[adapters.api]\nadapter = "rest"\n')
    runner = CliRunner()
    arguments = ["token", "add", "dms", "--scope", "submit", "--agency", "H23", "--dir", str(tmp_path), "--json"]
    made = json.loads(runner.invoke(app, arguments).stdout)
    assert Tokens(tmp_path / "api" / "tokens.json", lambda: datetime.now(UTC)).grant(made["token"]).name == "dms"
    [listed] = json.loads(runner.invoke(app, ["token", "list", "--dir", str(tmp_path), "--json"]).stdout)
    assert (listed["name"], listed["agencies"], "token" in listed) == ("dms", ["H23"], False)
    assert runner.invoke(app, ["token", "revoke", "dms", "--dir", str(tmp_path)]).exit_code == 0
    assert Tokens(tmp_path / "api" / "tokens.json", lambda: datetime.now(UTC)).grants() == []


async def test_an_operation_asks_for_its_scope(api: Api) -> None:
    """Without a token nothing is answered, with one of other scopes 403; the page and the document need none."""
    token = api.new_token(Scope.DIRECTORY)
    for scoped in ("/v1/inbox", "/v1/documents"):
        status, problem = await api.ask("GET", scoped, token=token)
        assert (status, problem["code"]) == (403, "scope-missing")
    assert (await api.ask("GET", "/v1/agencies", token=token))[0] == 200
    _, own = await api.ask("GET", "/v1/token", token=token)
    assert (own["scopes"], own["served"]) == (["directory"], ["H23", "H23.12"])
    for header in ("", "Basic eDp5", "Bearer", "Bearer  x"):
        async with api.session.get("/v1/token", headers={"Authorization": header}) as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    for public in ("/openapi.json", "/docs"):
        async with api.session.get(public) as answer:
            assert answer.status == 200
