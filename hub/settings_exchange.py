"""Settings of the exchange itself: what is taken, how long it is kept, how it is handed out."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from runtime.settings import Settings
from schemas.limits import DEFAULT_LIMITS, GIB, KIB, MIB, Limits
from schemas.message import Priority


class SubmissionSettings(Settings):
    """What the hub takes."""

    envelope_bytes: int = Field(DEFAULT_LIMITS.envelope_bytes, ge=64 * KIB, le=64 * MIB)
    """The longest envelope; its attachments are beside it."""
    attachment_bytes: int = Field(DEFAULT_LIMITS.attachment_bytes, ge=MIB, le=100 * GIB)
    """The longest attachment."""
    message_bytes: int = Field(DEFAULT_LIMITS.message_attachment_bytes, ge=MIB, le=1000 * GIB)
    """The attachments of one message together."""
    attachments: int = Field(DEFAULT_LIMITS.attachments, ge=1, le=10_000)
    """How many attachments one message may have."""
    recipients: int = Field(DEFAULT_LIMITS.recipients, ge=1, le=200_000)
    """How many agencies one message may go to, those that its selectors find included."""
    upload_hours: float = Field(24.0, gt=0, le=24 * 30)
    """How long a submission may wait for its attachments without any byte coming, before it is dropped."""
    pending: int = Field(200, ge=1, le=100_000)
    """How many submissions of one connection may wait for attachments at a time."""
    parallel: int = Field(16, ge=1, le=1000)
    """How many submissions of one connection are worked on at a time."""
    transfers: int = Field(16, ge=1, le=1000)
    """How many uploads, and as many downloads, of one connection run at a time. They share its turns at the disk: who
    has more of them is not faster for it."""
    rejections: int = Field(1000, ge=1, le=1_000_000)
    """How many receipts of refused submissions are kept of one connection, the newest."""
    spare_bytes: int = Field(64 * MIB, ge=0)
    """Attachments are not taken when they, with all that is promised to uploads under way, would leave less than this
    free on the disk. On object storage it does not matter."""
    silence_seconds: float = Field(60.0, gt=0)
    """How long a peer may say nothing in the middle of a request, or take nothing of an answer."""

    @property
    def limits(self) -> Limits:
        """The same, as the readers of envelopes take it."""
        return Limits(
            envelope_bytes=self.envelope_bytes,
            attachment_bytes=self.attachment_bytes,
            message_attachment_bytes=self.message_bytes,
            attachments=self.attachments,
            recipients=self.recipients,
        )

    @property
    def upload_time(self) -> timedelta:
        return timedelta(hours=self.upload_hours)


class ReleaseSettings(Settings):
    """When an entry that a node hands back is offered again, if the node does not say."""

    first_seconds: float = Field(30.0, gt=0, le=3600)
    """After the first time; doubled after each further one."""
    longest_seconds: float = Field(3600.0, gt=0, le=86_400)
    """The wait is never longer than this, whatever the node asks for."""
    jitter: float = Field(0.2, ge=0, le=0.9)
    """By which share of itself a wait is spread, so that what came back together does not return together."""


class MailboxSettings(Settings):
    """How what waits is handed out."""

    lease_seconds: float = Field(60.0, gt=0, le=3600)
    """How long a node has an entry to itself before it is offered again."""
    longest_lease_seconds: float = Field(600.0, gt=0, le=86_400)
    """Each lease that ends without a word doubles the next one, up to this."""
    wait_seconds: float = Field(60.0, gt=0, le=600)
    """The longest time that one request may wait for something to come."""
    recheck_seconds: float = Field(2.0, gt=0, le=60)
    """How often the database is looked through for all who wait: the longest delay when a wake-up is lost."""
    waiting: int = Field(8, ge=1, le=1000)
    """How many requests of one connection may wait at a time."""
    entries: int = Field(200, ge=1, le=5000)
    """The most entries in one answer."""
    answer_bytes: int = Field(16 * MIB, ge=64 * KIB, le=64 * MIB)
    """An answer takes no further entry once it has this much; one entry always fits."""
    inline_bytes: int = Field(256 * KIB, ge=0, le=16 * MIB)
    """Short attachments (64 KiB at most each) come along with their envelope up to this much; others are fetched."""
    release: ReleaseSettings = ReleaseSettings()

    @property
    def furthest(self) -> timedelta:
        """How far an entry can be put off, by a lease or a release."""
        release = self.release.longest_seconds * (1 + self.release.jitter)
        return timedelta(seconds=max(self.lease_seconds, self.longest_lease_seconds, release))


class LifetimeSettings(Settings):
    """How many days a delivery may wait before it expires, by the priority of its document."""

    normal: float = Field(30.0, gt=0, le=3650)
    """Thường (0)."""
    urgent: float = Field(30.0, gt=0, le=3650)
    """Khẩn (1)."""
    very_urgent: float = Field(30.0, gt=0, le=3650)
    """Thượng khẩn (2)."""
    express: float = Field(30.0, gt=0, le=3650)
    """Hỏa tốc (3). Less than the others, and its sender learns sooner that nobody fetched it."""
    express_appointed: float = Field(30.0, gt=0, le=3650)
    """Hỏa tốc hẹn giờ (4)."""

    def of(self, priority: Priority) -> timedelta:
        return timedelta(
            days={
                Priority.NORMAL: self.normal,
                Priority.URGENT: self.urgent,
                Priority.VERY_URGENT: self.very_urgent,
                Priority.EXPRESS: self.express,
                Priority.EXPRESS_APPOINTED: self.express_appointed,
            }[priority]
        )


class DeliverySettings(Settings):
    """How deliveries are made and ended."""

    batch: int = Field(1000, ge=1, le=20_000)
    """How many deliveries are written in one transaction, the first of them in that of the acceptance."""
    outcomes: int = Field(1000, ge=1, le=10_000)
    """How many outcomes and receipts one request may report."""
    report_bytes: int = Field(16 * MIB, ge=64 * KIB, le=64 * MIB)
    """The longest such request."""
    days: LifetimeSettings = LifetimeSettings()


class RetentionSettings(Settings):
    """How long what is over is kept. Metadata, deliveries and receipts stay for ever."""

    payload_days: float = Field(30.0, ge=0, le=36_500)
    """Days from the end of a message's last delivery until its bytes are dropped: the envelope, and attachments that no
    other message names. A node restored from an older backup cannot be given them again. 0 keeps all for ever."""

    @property
    def payload_time(self) -> timedelta | None:
        """None: for ever."""
        return timedelta(days=self.payload_days) if self.payload_days else None


class PushSettings(Settings):
    """How what waits is pushed to nodes that asked for it (`congvan hub connection push`)."""

    entries: int = Field(50, ge=1, le=5000)
    """The most entries in one push."""
    timeout_seconds: float = Field(30.0, gt=0, le=600)
    """How long a node may take to answer one. Shorter than a lease: what fails is free again before."""
    greeting_seconds: float = Field(60.0, ge=1, le=3600)
    """A node to which nothing was pushed for so long gets an empty push, by which each side sees that push works."""
    failures: int = Field(5, ge=1, le=1000)
    """After so many failures in a row nothing is pushed for a while (the breaker opens), and the node has to fetch."""
    first_seconds: float = Field(10.0, gt=0, le=3600)
    """How long that while is at first; doubled each time, spread by ±20 %."""
    longest_seconds: float = Field(900.0, gt=0, le=24 * 3600)
    """The while is never longer than this."""


class ExchangeSettings(Settings):
    """The way of a document through the hub."""

    submissions: SubmissionSettings = SubmissionSettings()
    mailbox: MailboxSettings = MailboxSettings()
    deliveries: DeliverySettings = DeliverySettings()
    push: PushSettings = PushSettings()
    retention: RetentionSettings = RetentionSettings()
