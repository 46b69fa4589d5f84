"""The adapter: pushes each message, serves the attachments that are fetched by link."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from datetime import timedelta
from random import Random
from typing import ClassVar

import structlog
from yarl import URL

from adapters.delivery_json import AttachmentFactsJson, attachment_facts, override_json
from adapters.listening import listening
from adapters.message_json import message_json
from adapters.problems import fault_answer
from adapters.sdk import AdapterContext, Delivery, Guarantee, Health, Later, NodeApi, Outcome
from adapters.webhook.following import EventFollower
from adapters.webhook.links import AttachmentLinks
from adapters.webhook.pushing import Pusher, open_session
from adapters.webhook.settings import WebhookSettings
from adapters.webhook.shapes import PushedAttachment, PushedMessage
from certs.signed_posts import LEAST_SECRET
from runtime.files import make_private_folder, storage_errors
from runtime.passphrases import read_secret
from runtime.settings import settings_of
from schemas.errors import Rejected

log = structlog.get_logger()


class Webhook:
    """`adapters.sdk.Adapter` over posts to the software. Made by `open_webhook`.

    The key goes with every post, but nobody can see that the software committed it together with the message: what it
    took and did not answer in time it gets again.
    """

    guarantee: ClassVar[Guarantee] = Guarantee.AT_LEAST_ONCE

    def __init__(
        self,
        pusher: Pusher,
        links: AttachmentLinks,
        events: EventFollower | None,
        node: NodeApi,
        settings: WebhookSettings,
        *,
        name: str,
        resources: contextlib.AsyncExitStack,
    ) -> None:
        self._pusher = pusher
        self._links = links
        self._events = events
        self._node = node
        self._settings = settings
        self._name = name
        self._resources = resources
        self._base = settings.link_base
        self._trouble: str | None = None

    async def deliver(self, delivery: Delivery) -> Outcome:
        if delivery.attachments and not self._base:
            return Later("The listener for attachments is not open yet.", 1.0)
        body = await self._body(delivery)
        outcome = await self._pusher.push(body, str(delivery.key))
        self._trouble = outcome.reason if isinstance(outcome, Later) else None
        return outcome

    async def _body(self, delivery: Delivery) -> bytes:
        attachments = []
        room = self._settings.inline_bytes if self._settings.attachments == "inline" else 0
        for attachment, facts in attachment_facts(delivery):
            inside = attachment.size <= room and self._settings.attachments == "inline"
            if inside:
                room -= attachment.size
            attachments.append(await self._attachment(facts, inside=inside))
        pushed = PushedMessage(
            key=str(delivery.key),
            message_id=delivery.key.message_id,
            recipient=delivery.key.recipient.value,
            message=message_json(delivery.message),
            attachments=tuple(attachments),
            about=delivery.about,
            missing=delivery.missing,
            signer=delivery.signer,
            signed_at=delivery.signed_at,
            accepted_at=delivery.accepted_at,
            received_at=delivery.received_at,
            override=override_json(delivery),
        )
        return await asyncio.to_thread(lambda: pushed.model_dump_json(exclude_none=True).encode())

    async def _attachment(self, facts: AttachmentFactsJson, *, inside: bool) -> PushedAttachment:
        if not inside:
            return PushedAttachment(**dict(facts), url=f"{self._base}{self._links.path(facts)}")
        async with self._node.open_attachment(facts.sha256) as chunks:
            content = b"".join([chunk async for chunk in chunks])
        encoded = await asyncio.to_thread(base64.b64encode, content)
        return PushedAttachment(**dict(facts), content=encoded.decode())

    async def run(self, stop: asyncio.Event) -> None:
        async with listening(
            self._links.application(), self._settings, table=f"adapters.{self._name}", fault=fault_answer
        ) as url:
            self._base = self._settings.link_base or str(url).rstrip("/")
            log.info("webhook.listening", url=str(url))
            if self._events is not None:
                await self._events.run(stop)
            await stop.wait()

    async def health(self) -> Health:
        if self._trouble is not None:
            return Health(ok=False, detail=self._trouble)
        return Health(ok=True, detail="The software took what it was sent last.")

    async def close(self) -> None:
        await self._resources.aclose()


async def open_webhook(context: AdapterContext) -> Webhook:
    """Make the webhook that `context.settings` describe.

    Raises `settings-invalid`, `ca-invalid`, and what `read_secret` raises.
    """
    settings = settings_of(WebhookSettings, context.settings, source=f"[adapters.{context.name}]")
    secret = await asyncio.to_thread(read_secret, settings.secret_file, least=LEAST_SECRET)
    trust = await asyncio.to_thread(_trust, settings)
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session(trust))
        pusher = Pusher(
            session,
            URL(settings.url),
            secret,
            timeout_seconds=settings.timeout_seconds,
            clock=context.clock,
        )
        links = AttachmentLinks(
            context.node, secret, lifetime=timedelta(seconds=settings.link_seconds), clock=context.clock
        )
        place = context.folder / "events.json"
        events = EventFollower(context.node, pusher, place, chance=Random()) if settings.events else None
        if events is not None:
            await asyncio.to_thread(make_private_folder, context.folder)
        return Webhook(pusher, links, events, context.node, settings, name=context.name, resources=stack.pop_all())


def _trust(settings: WebhookSettings) -> ssl.SSLContext:
    """Certificates are verified, whoever's; no setting switches that off."""
    if settings.ca_file is None:
        return ssl.create_default_context()
    with storage_errors(settings.ca_file):
        text = settings.ca_file.read_bytes()
    try:
        # An empty text would stand for whom the system trusts.
        return ssl.create_default_context(cadata=text.decode("ascii") or "-")
    except (ssl.SSLError, ValueError) as error:
        raise Rejected(
            "ca-invalid",
            f"{settings.ca_file} holds no certificates in PEM.",
            element="ca_file",
            mend="Give the certificate of the authority that made the address's own.",
        ) from error
