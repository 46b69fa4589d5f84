"""Settings of the exchange: what the node's core takes from `congvan.toml`. Durations are seconds, sizes bytes."""

from __future__ import annotations

from pydantic import Field

from runtime.settings import Settings
from schemas.limits import DEFAULT_LIMITS, KIB, MIB, Limits


class LimitSettings(Settings):
    """The largest message that this node takes, from its own software or from its hub."""

    envelope_bytes: int = Field(DEFAULT_LIMITS.envelope_bytes, ge=64 * KIB)
    attachment_bytes: int = Field(DEFAULT_LIMITS.attachment_bytes, ge=1)
    message_attachment_bytes: int = Field(DEFAULT_LIMITS.message_attachment_bytes, ge=1)
    attachments: int = Field(DEFAULT_LIMITS.attachments, ge=1)
    recipients: int = Field(DEFAULT_LIMITS.recipients, ge=1)

    def limits(self) -> Limits:
        return Limits(
            envelope_bytes=self.envelope_bytes,
            attachment_bytes=self.attachment_bytes,
            message_attachment_bytes=self.message_attachment_bytes,
            attachments=self.attachments,
            recipients=self.recipients,
        )


class BackoffSettings(Settings):
    """How long to wait after a failure: `first`, doubled each time, at most `longest`, spread by ±20 %."""

    first: float = Field(1.0, gt=0)
    longest: float = Field(3600.0, gt=0)


class SenderSettings(Settings):
    """`parallel` submissions at once, of which `express_reserve` are kept for express documents.

    Attachments of one message up to `inline_bytes` in all travel in the submission itself.
    """

    parallel: int = Field(8, ge=2, le=64)
    express_reserve: int = Field(2, ge=1)
    inline_bytes: int = Field(1 * MIB, ge=0, le=16 * MIB)
    backoff: BackoffSettings = BackoffSettings()


class ReceiverSettings(Settings):
    """A fetch leases up to `batch` entries and waits up to `wait` for a first one.

    `downloads` messages fetch attachments at once, and as many express ones besides. While less than
    `reserve_bytes` are free on the disk, nothing is fetched. A clock that differs from the hub's by more than
    `clock_tolerance` is an alert.
    """

    batch: int = Field(32, ge=1, le=256)
    wait: float = Field(50.0, ge=0, le=300)
    downloads: int = Field(4, ge=1, le=64)
    reserve_bytes: int = Field(256 * MIB, ge=0)
    clock_tolerance: float = Field(60.0, gt=0)
    backoff: BackoffSettings = BackoffSettings(longest=60.0)


class HandoverSettings(Settings):
    """`parallel` hand-overs at once, each given `timeout`. A message that speaks of one that has not come is held for
    at most `hold`."""

    parallel: int = Field(4, ge=1, le=64)
    timeout: float = Field(300.0, gt=0)
    hold: float = Field(3600.0, ge=0)
    backoff: BackoffSettings = BackoffSettings()


class ReportSettings(Settings):
    """`batch` receipts at most go to the hub in one call."""

    batch: int = Field(256, ge=1, le=1024)
    backoff: BackoffSettings = BackoffSettings(longest=60.0)


class DirectorySettings(Settings):
    """The directory is asked for every `interval`, and at once when the hub speaks of a newer version."""

    interval: float = Field(300.0, gt=0)


class ExchangeSettings(Settings):
    """The table `[exchange]`."""

    limits: LimitSettings = LimitSettings()
    sender: SenderSettings = SenderSettings()
    receiver: ReceiverSettings = ReceiverSettings()
    handover: HandoverSettings = HandoverSettings()
    reports: ReportSettings = ReportSettings()
    directory: DirectorySettings = DirectorySettings()
