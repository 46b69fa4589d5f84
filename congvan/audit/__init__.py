"""`congvan audit`: a hub and nodes, each audited, and compared with each other."""

from congvan.audit.command import app

__all__ = ["app"]
