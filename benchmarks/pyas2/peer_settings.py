"""A Django project with nothing in it but django-pyas2: one installation of an AS2 partner.

PEER_FOLDER is where it keeps its files; PEER_DATABASE is the address of a PostgreSQL database, or empty for
SQLite.
It is given what makes it quick without making it less durable: a transaction a request, connections that stay open,
and on SQLite the write-ahead log, synced at each commit.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

FOLDER = Path(os.environ["PEER_FOLDER"])
_POSTGRES = os.environ.get("PEER_DATABASE", "")


def _database() -> dict[str, object]:
    if not _POSTGRES:
        options = {
            "timeout": 60,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
        }
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "peer.db", "OPTIONS": options}
    url = urlsplit(_POSTGRES)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": url.path.lstrip("/"),
        "USER": url.username,
        "PASSWORD": url.password,
        "HOST": url.hostname,
        "PORT": url.port,
        "CONN_MAX_AGE": None,
    }


SECRET_KEY = "of a benchmark"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "pyas2"]
MIDDLEWARE: list[str] = []
ROOT_URLCONF = "peer_urls"
DATABASES = {"default": _database() | {"ATOMIC_REQUESTS": True}}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
MEDIA_ROOT = FOLDER / "media"
USE_TZ = True
LOGGING_CONFIG = None
