"""The webhook adapter: messages are pushed to the software's own address, signed, until it takes them.

The software verifies the signature, keeps the message under its key, and answers 2xx. Attachments come inside, or by
links that hold for a while.
"""

from adapters.webhook.adapter import Webhook, open_webhook

__all__ = ["Webhook", "open_webhook"]
