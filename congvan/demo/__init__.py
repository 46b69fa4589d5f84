"""`congvan demo`: the whole way of one document, on this machine, in a temporary folder."""

from congvan.demo.command import app

__all__ = ["app"]
