"""Submit once: seal, keep, queue; all durable before anyone is answered."""

from __future__ import annotations

from adapters.sdk import Submission, Submitted
from node.usecases.attachments import Attachments
from node.usecases.directory import DirectoryCopy
from node.usecases.identity import NodeIdentity
from runtime.clock import Clock
from runtime.database import Database
from runtime.wakeups import Wakeups
from schemas.limits import Limits


class Submitter:
    """Takes messages for the outbox. Needs no hub, so it works in a command beside the daemon, or without one."""

    def __init__(
        self,
        database: Database,
        attachments: Attachments,
        directory: DirectoryCopy,
        identity: NodeIdentity,
        *,
        limits: Limits,
        clock: Clock,
        wakeups: Wakeups,
    ) -> None: ...

    async def submit(self, adapter: str, submission: Submission) -> Submitted:
        """Seal and queue a message on behalf of `adapter`; see `adapters.sdk.Submission`.

        Raises Rejected: `sender-not-served`, `recipient-unknown` (with a near code, if there is one), `recipient-suspended`,
        `recipient-retired`, `secrecy-forbidden`, `key-conflict`, `document-unknown`, `attachment-too-large`,
        `too-many-attachments`, `file-missing`, and what the form of edXML refuses; Unavailable: `storage-full`,
        `directory-missing` (no version of the directory has come yet).
        """
        raise NotImplementedError
