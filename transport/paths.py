"""Where each call of the protocol lives, and the headers and media types it uses."""

from __future__ import annotations

from typing import Final

AUTHORITY: Final = "/v1/authority"
ENROLMENTS: Final = "/v1/enrolments"
ENVELOPES: Final = "/v1/envelopes"
UPLOADS: Final = "/v1/uploads"
MAILBOX: Final = "/v1/mailbox"
REPLAYS: Final = "/v1/mailbox/replays"
BLOBS: Final = "/v1/blobs"
RECEIPTS: Final = "/v1/receipts"
DIRECTORY: Final = "/v1/directory"
AGENCIES: Final = "/v1/agencies"
MESSAGES: Final = "/v1/messages"
#: On the listener that a node may have for its hub: a batch of its mailbox, pushed.
PUSH: Final = "/v1/push"
LIVENESS: Final = "/healthz"
READINESS: Final = "/readyz"
METRICS: Final = "/metrics"

ENVELOPE_TYPE: Final = "application/xml"
#: Several submissions in one request (`transport.batches`).
BATCH_TYPE: Final = "application/vnd.congvan.submissions"
JSON_TYPE: Final = "application/json"
PROBLEM_TYPE: Final = "application/problem+json"
#: tus 1.0.0 prescribes this type for the body of a PATCH.
OFFSET_TYPE: Final = "application/offset+octet-stream"

#: The name of the part that holds the envelope in a multipart submission; an attachment's part is named `sha256-<hex>`.
ENVELOPE_PART: Final = "envelope"
ATTACHMENT_PART_PREFIX: Final = "sha256-"

#: A ranged read that carries `<entry>:<lease>` here renews that lease.
LEASE_HEADER: Final = "Congvan-Lease"
TUS_VERSION: Final = "1.0.0"
