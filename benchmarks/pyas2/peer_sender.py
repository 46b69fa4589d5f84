"""The sender's loop: `peer_sender.py OWN OTHER SIZE`, inside one installation.

Each line of standard input, `COUNT PROCESSES`, sends so many documents of SIZE bytes, by so many processes that stay;
the answer is a line with the seconds from the first to the last MDN that was verified and stored. A document that is
not answered with a signed MDN is an error.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from uuid import uuid4

import django


def ready() -> None:
    django.setup()


def send(own: str, other: str, size: int) -> None:
    """What `manage.py sendas2message` does, without starting a Python for each document."""
    from pyas2.models import Message, Organization, Partner  # noqa: PLC0415 - after setup, as Django asks
    from pyas2lib import Message as As2Message  # noqa: PLC0415 - as above

    organization = Organization.objects.get(as2_name=own)
    partner = Partner.objects.get(as2_name=other)
    payload = os.urandom(size)
    message = As2Message(sender=organization.as2org, receiver=partner.as2partner)
    message.build(
        payload, filename=f"{uuid4()}.pdf", subject=partner.subject, content_type=partner.content_type,
        disposition_notification_to="no-reply@pyas2.com",
    )  # fmt: skip
    kept, _ = Message.objects.create_from_as2message(as2message=message, payload=payload, direction="OUT", status="P")
    kept.send_message(message.headers, message.content)
    if kept.status != "S" or not kept.mdn.signed:
        raise RuntimeError(f"not receipted: {kept.status} {kept.detailed_status}")


def send_all(pool: ProcessPoolExecutor, own: str, other: str, size: int, count: int) -> None:
    for future in [pool.submit(send, own, other, size) for _ in range(count)]:
        future.result()


def main() -> None:
    own, other, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
    pools: dict[int, ProcessPoolExecutor] = {}
    for line in sys.stdin:
        count, processes = map(int, line.split())
        if processes not in pools:
            pools[processes] = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=ready)
            send_all(pools[processes], own, other, size, 4 * processes)  # each has imported all by now
        pool = pools[processes]
        started = time.monotonic()
        send_all(pool, own, other, size, count)
        print(time.monotonic() - started, flush=True)


if __name__ == "__main__":
    main()
