"""The node as one adapter sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

from adapters.sdk import Submission, Submitted
from node.usecases.attachments import Attachments
from node.usecases.directory import DirectoryCopy
from node.usecases.submit import Submitter
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry
from schemas.envelope import Sha256Hex


class NodeFacade:
    """`adapters.sdk.NodeApi`, bound to the adapter `name`."""

    def __init__(self, name: str, submitter: Submitter, directory: DirectoryCopy, attachments: Attachments) -> None:
        self._name = name
        self._submitter = submitter
        self._directory = directory
        self._attachments = attachments

    @property
    def served_codes(self) -> Sequence[AgencyCode]:
        return self._directory.served_codes

    async def submit(self, submission: Submission) -> Submitted:
        return await self._submitter.submit(self._name, submission)

    async def agency(self, code: AgencyCode) -> AgencyEntry | None:
        return await self._directory.agency(code)

    def open_attachment(self, digest: Sha256Hex) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        return self._attachments.open(digest)
