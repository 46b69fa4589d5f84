"""The REST adapter: the node's local API, for software in any language.

The software submits documents, fetches what came, says what became of it, and follows what happens, over HTTP with a
token. What the API does stands in one place: each `Operation` is a route, its rights and its page in `/openapi.json`.
"""

from adapters.rest.adapter import Rest, open_rest

__all__ = ["Rest", "open_rest"]
