"""Make one installation: `peer_parties.py OWN OTHER KEYS URL` gives it its tables, itself and its partner.

KEYS is a folder with `<name>.pem` (certificate and encrypted key) and `<name>.crt` of both, made by `peer_keys.py`.
Messages are signed (RSA 2048, SHA-256) and answered at once with a signed MDN; nothing is encrypted or compressed, and
certificates are not traced to an authority.
"""

from __future__ import annotations

import sys
from pathlib import Path

import django
from django.core.management import call_command

PASSPHRASE = "of a benchmark"


def main() -> None:
    own, other, keys, url = sys.argv[1:]
    django.setup()
    call_command("migrate", verbosity=0)
    from pyas2.models import Organization, Partner, PrivateKey, PublicCertificate  # noqa: PLC0415 - after setup, as Django asks

    pem = (Path(keys) / f"{own}.pem").read_bytes()
    key = PrivateKey.objects.create(name=own, key=pem, key_pass=PASSPHRASE)
    certificate = PublicCertificate.objects.create(
        name=other, certificate=(Path(keys) / f"{other}.crt").read_bytes(), verify_cert=False
    )
    Organization.objects.create(name=own, as2_name=own, signature_key=key)
    Partner.objects.create(
        name=other, as2_name=other, target_url=url, content_type="application/octet-stream",
        signature="sha256", signature_cert=certificate, mdn=True, mdn_mode="SYNC", mdn_sign="sha256",
    )  # fmt: skip


if __name__ == "__main__":
    main()
