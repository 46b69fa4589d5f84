"""The OpenAPI document is true: schemathesis calls every operation as it is described, and in ways that it is not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import jsonschema_rs
import pytest
import requests
import schemathesis
from hypothesis import Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from tests.adapters.rest.conftest import Api, opened_api
from tests.node.core.world import World
from tests.services.columns import SqliteColumn

#: Calls of each operation, valid ones, and as many of others.
EXAMPLES = 3

#: What is asserted of each answer.
CHECKS = (
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.missing_required_header,
    checks.unsupported_method,
    checks.ignored_auth,
)


class ServedApi:
    """A node and its API on a thread of their own, for a client that blocks."""

    def __init__(self, folder: Path, world: World, column: SqliteColumn) -> None:
        self.url = ""
        self.token = ""
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(folder, world, column))

    def _run(self, folder: Path, world: World, column: SqliteColumn) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(folder, world, column))

    async def _serve(self, folder: Path, world: World, column: SqliteColumn) -> None:
        async with opened_api(folder, world, column) as api:
            await self._fill(api)
            self.url, self.token = str(api.adapter.url).rstrip("/"), api.token
            self._ready.set()
            await self._stop.wait()

    async def _fill(self, api: Api) -> None:
        await api.submit()

    def __enter__(self) -> ServedApi:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, keys: World, sqlite_column: SqliteColumn) -> Iterator[ServedApi]:
    with ServedApi(tmp_path_factory.mktemp("openapi"), keys, sqlite_column) as served:
        yield served


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_each_operation_answers_as_the_document_says(served: ServedApi, mode: GenerationMode) -> None:
    """Whatever is sent, valid or not: the answer is one that the document describes, and no fault of the server."""
    schema = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
    headers = {"Authorization": f"Bearer {served.token}"}
    session = requests.Session()

    # A stream does not end: tests/adapters/rest/test_events.py follows it.
    for result in schema.exclude(operation_id="streamEvents").get_all_operations():
        operation = result.ok()
        # Nobody waits here for what may never happen.
        query = {"wait": 0} if operation.definition.raw["operationId"] == "listEvents" else None

        @settings(max_examples=EXAMPLES, derandomize=True, database=None, phases=(Phase.generate,))
        @given(case=operation.as_strategy(generation_mode=mode, query=query))
        def answers_as_described(case: Case) -> None:
            case.call_and_validate(session=session, headers=headers, checks=list(CHECKS), timeout=30)

        try:
            answers_as_described()
        except Unsatisfiable:
            # An operation that takes nothing cannot be called with something invalid.
            assert mode is GenerationMode.NEGATIVE


def test_the_document_is_openapi_3_1(served: ServedApi) -> None:
    """The document itself holds to JSON Schema 2020-12 in every component, and every reference leads somewhere."""
    document = requests.get(f"{served.url}/openapi.json", timeout=30).json()
    assert document["openapi"] == "3.1.0"
    for name in document["components"]["schemas"]:
        jsonschema_rs.Draft202012Validator({**document, "$ref": f"#/components/schemas/{name}"})
    assert len({one["operationId"] for path in document["paths"].values() for one in path.values()}) >= 20


def test_the_page_shows_every_operation_and_asks_no_other_address(served: ServedApi) -> None:
    """/docs names each operation and each shape; nothing in it is loaded from anywhere, and its policy forbids it."""
    document = requests.get(f"{served.url}/openapi.json", timeout=30).json()
    page = requests.get(f"{served.url}/docs", timeout=30)
    for path, methods in document["paths"].items():
        assert f"<code>{path}</code>" in page.text
        for operation in methods.values():
            assert f"id='{operation['operationId']}'" in page.text
    for outside in ("src=", "http://", "https://", "@import", "<script", "<link", "url("):
        assert outside not in page.text
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
