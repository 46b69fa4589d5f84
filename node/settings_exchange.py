"""Settings of the exchange: what the node's core takes from `congvan.toml`. Durations are seconds, sizes bytes."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from runtime.settings import Settings
from schemas.limits import DEFAULT_LIMITS, KIB, MIB, Limits


class LimitSettings(Settings):
    """The largest message that this node takes, from its own software or from its hub."""

    envelope_bytes: int = Field(DEFAULT_LIMITS.envelope_bytes, ge=64 * KIB)
    """The longest envelope; its attachments are beside it."""
    attachment_bytes: int = Field(DEFAULT_LIMITS.attachment_bytes, ge=1)
    """The longest attachment."""
    message_attachment_bytes: int = Field(DEFAULT_LIMITS.message_attachment_bytes, ge=1)
    """The attachments of one message together."""
    attachments: int = Field(DEFAULT_LIMITS.attachments, ge=1)
    """How many attachments one message may have."""
    recipients: int = Field(DEFAULT_LIMITS.recipients, ge=1)
    """How many agencies one message may name."""

    def limits(self) -> Limits:
        return Limits(
            envelope_bytes=self.envelope_bytes,
            attachment_bytes=self.attachment_bytes,
            message_attachment_bytes=self.message_attachment_bytes,
            attachments=self.attachments,
            recipients=self.recipients,
        )


class BackoffSettings(Settings):
    """How long to wait after a failure, in seconds: spread by ±20 %, so that nodes do not come back all at once."""

    first: float = Field(1.0, gt=0)
    """After the first failure; doubled after each further one."""
    longest: float = Field(3600.0, gt=0)
    """The wait is never longer than this."""


class SenderSettings(Settings):
    """How messages go to the hub."""

    parallel: int = Field(16, ge=2, le=64)
    """How many messages are under way at once that go by themselves; light ones go together, up to 32 to a request."""
    express_reserve: int = Field(2, ge=1)
    """How many of them are kept for express documents."""
    bulk_bytes: int = Field(16 * MIB, ge=1)
    """Messages with attachments of this much in all are bulk: they leave a place to shorter ones, express apart."""
    inline_bytes: int = Field(1 * MIB, ge=0, le=16 * MIB)
    """Attachments of one message up to this much in all travel in the submission itself."""
    backoff: BackoffSettings = BackoffSettings()


class ReceiverSettings(Settings):
    """How messages come from the hub."""

    batch: int = Field(64, ge=1, le=256)
    """How many entries of the mailbox one fetch takes at most: envelopes, and receipts of what was sent."""
    wait: float = Field(50.0, ge=0, le=300)
    """How many seconds a fetch waits for a first entry."""
    downloads: int = Field(4, ge=1, le=64)
    """How many messages fetch attachments at once; as many express ones besides."""
    reserve_bytes: int = Field(256 * MIB, ge=0)
    """While less than this is free on the disk, nothing is fetched."""
    clock_tolerance: float = Field(60.0, gt=0)
    """A clock that differs from the hub's by more seconds than this is an alert in the log."""
    backoff: BackoffSettings = BackoffSettings(longest=60.0)
    spread: float = Field(5.0, ge=0, le=600)
    """Within how many seconds after contact with the hub was lost, and after it is back, this node asks it again: at
    random, so that the nodes of a hub that returns do not all come at once."""
    arrival_status: bool = True
    """Whether a document's sender gets status 01 when it arrives. Off: where the agency's software says it itself."""


class HandoverSettings(Settings):
    """How messages go to the agency's software, through an adapter."""

    parallel: int = Field(4, ge=2, le=64)
    """How many hand-overs are under way at once. Where a node serves several agencies, each leaves a place to the
    others; one whose software did not answer in time has one place until it answers."""
    express_reserve: int = Field(1, ge=1)
    """How many of them are kept for express documents."""
    bulk_bytes: int = Field(16 * MIB, ge=1)
    """Documents with attachments of this much in all leave a place to shorter ones, express apart."""
    timeout: float = Field(300.0, gt=0)
    """How many seconds an adapter may take for one; one more for each 2 MiB of its attachments."""
    hold: float = Field(3600.0, ge=0)
    """How many seconds at most a message is held that speaks of one that has not come yet."""
    backoff: BackoffSettings = BackoffSettings()


class ReportSettings(Settings):
    """How receipts go to the hub."""

    batch: int = Field(256, ge=1, le=1024)
    """How many go in one call at most."""
    gather: float = Field(0.05, ge=0, le=60)
    """How many seconds they wait for others that can go in the same call, those about express documents apart."""
    backoff: BackoffSettings = BackoffSettings(longest=60.0)


class DirectorySettings(Settings):
    """How the agency directory is kept up to date."""

    interval: float = Field(300.0, gt=0)
    """How many seconds between two questions for it; it is asked for at once when the hub speaks of a newer version."""


class RetentionSettings(Settings):
    """How long the bytes of messages are kept, attachments included; all else is kept for ever. 0: for ever."""

    sent_days: float = Field(0.0, ge=0, le=36_500)
    """Days from the end of a sent message's last delivery, beyond `restore.window_days`, in which it may have to be
    brought again to a hub that was restored."""
    received_days: float = Field(0.0, ge=0, le=36_500)
    """Days from the hand-over of a received message to the last agency that it was for. A status about a document needs
    its bytes: allow for the longest time that an agency works on one. While a recall or an update is not answered, or a
    document with a deadline is not finished, its bytes are kept for twice as long, counted from the question or the
    deadline."""

    @property
    def sent_time(self) -> timedelta | None:
        """None: for ever."""
        return timedelta(days=self.sent_days) if self.sent_days else None

    @property
    def received_time(self) -> timedelta | None:
        """None: for ever."""
        return timedelta(days=self.received_days) if self.received_days else None


class RestoreSettings(Settings):
    """What is brought again to a hub that was put back to a backup."""

    window_days: float = Field(7.0, gt=0, le=3650)
    """How many days old the backup may be: messages and receipts that ended in that time are brought again."""

    @property
    def window(self) -> timedelta:
        return timedelta(days=self.window_days)


class DeadlineSettings(Settings):
    """When the log speaks of documents that came with a deadline (DueDate) and are not finished."""

    near: float = Field(2 * 86400.0, ge=0)
    """How many seconds before its deadline a document is due soon; two days."""


class ExchangeSettings(Settings):
    """How this node exchanges. Durations are seconds, sizes bytes."""

    limits: LimitSettings = LimitSettings()
    sender: SenderSettings = SenderSettings()
    receiver: ReceiverSettings = ReceiverSettings()
    handover: HandoverSettings = HandoverSettings()
    reports: ReportSettings = ReportSettings()
    directory: DirectorySettings = DirectorySettings()
    retention: RetentionSettings = RetentionSettings()
    restore: RestoreSettings = RestoreSettings()
    deadlines: DeadlineSettings = DeadlineSettings()
