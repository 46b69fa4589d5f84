"""The process that reads signed PDF files: `python -m adapters.guards.pdf_reading SECONDS MEMORY`.

A PDF file is a program of sorts, and its reader a large one: it runs apart from the node, with bounds on its time and
memory that the system keeps. A line of JSON in asks, a line of JSON out answers; a file that breaks a bound ends the
process, and the node starts another.
"""

from __future__ import annotations

import importlib
import json
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

#: Signatures of one file that are looked at, and letters of a name that are told.
MOST: Final = 16
_LETTERS: Final = 300

_OPEN_FILES: Final = 32


def main() -> None:
    seconds, memory = float(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    # It writes no file at all; what it says goes through a pipe.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    # Before the first file, whose time this is not; and within the bounds.
    importlib.import_module("pyhanko.sign.validation")
    for line in sys.stdin:
        # Its default is to end the process: also where the node is gone and nobody else would.
        signal.setitimer(signal.ITIMER_REAL, seconds)
        asked = json.loads(line)
        answer = look(Path(asked["path"]), [Path(each) for each in asked["anchors"]], asked["at"])
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def look(path: Path, anchors: Sequence[Path], at: str) -> Mapping[str, Any]:
    """The signatures of the file, as `adapters.pdf_signatures.PdfSignature` has them; or its `fault`."""
    # Here and below: what is imported counts against the bounds of the process, and the node imports none of it.
    from pyhanko.pdf_utils.reader import PdfFileReader  # noqa: PLC0415

    try:
        with path.open("rb") as file:
            reader = PdfFileReader(file)
            if reader.encrypted:
                # Files that may not be changed are often locked so: anybody reads them, with no password.
                reader.decrypt(b"")
            signatures = _Signatures(_context(anchors, datetime.fromisoformat(at)))
            for field, embedded in _fields(reader):
                signatures.add(field, embedded)
            return {"signatures": signatures.told, "count": signatures.count}
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a hostile file brings about
        return {"fault": f"{type(error).__name__}: {error}"[:_LETTERS]}


def _fields(reader: Any) -> list[tuple[str, Any]]:
    """Every field that is signed, in the order of signing, with its signature as read; or with why it is none.

    pyHanko's own list leaves out, without a word, kinds of signatures that it does not know; other readers know them.
    """
    from pyhanko.sign.fields import enumerate_sig_fields  # noqa: PLC0415
    from pyhanko.sign.validation import EmbeddedPdfSignature  # noqa: PLC0415

    found: list[tuple[str, Any]] = []
    for name, _, field in enumerate_sig_fields(reader, filled_status=True):
        try:
            found.append((name, EmbeddedPdfSignature(reader, field, name)))
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - as in `look`
            found.append((name, f"{type(error).__name__}: {error}"))
    return sorted(found, key=lambda one: -1 if isinstance(one[1], str) else one[1].signed_revision)


def _context(anchors: Sequence[Path], at: datetime) -> Any:
    from asn1crypto import pem, x509  # noqa: PLC0415
    from pyhanko_certvalidator import ValidationContext  # noqa: PLC0415

    roots = []
    for path in anchors:
        data = path.read_bytes()
        if pem.detect(data):
            roots += [x509.Certificate.load(der) for _, _, der in pem.unarmor(data, multiple=True)]
        else:
            roots.append(x509.Certificate.load(data))
    return ValidationContext(trust_roots=roots, moment=at, allow_fetching=False)


class _Signatures:
    """What is told of a file's signatures: of the first `MOST`, out of `count`."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self.told: list[Mapping[str, Any]] = []
        self.count = 0

    def add(self, name: str, embedded: Any) -> None:
        field = str(name)[:_LETTERS]
        said = self._said(field, embedded) if self.count < MOST else None
        if said is not None:
            self.told.append(said)
        self.count += said is not None or self.count >= MOST

    def _said(self, field: str, embedded: Any) -> Mapping[str, Any] | None:
        """None for a time stamp that stands: it is no signature of anybody's."""
        if isinstance(embedded, str):
            return _broken(field, embedded)
        try:
            if embedded.sig_object_type == "/DocTimeStamp":
                return _stamp(field, embedded)
            return _signature(field, embedded, self._context)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - as in `look`
            return _broken(field, f"{type(error).__name__}: {error}")


def _signature(field: str, embedded: Any, context: Any) -> Mapping[str, Any]:
    from pyhanko.sign.validation import validate_pdf_signature  # noqa: PLC0415
    from pyhanko.sign.validation.settings import KeyUsageConstraints  # noqa: PLC0415
    from pyhanko.sign.validation.status import SignatureCoverageLevel  # noqa: PLC0415

    usage = KeyUsageConstraints(key_usage={"non_repudiation", "digital_signature"}, match_all_key_usages=False)
    status = validate_pdf_signature(embedded, context, key_usage_settings=usage)
    is_intact = bool(status.intact and status.valid)
    is_modified = _is_modified(status) or status.docmdp_ok is False
    stamp = status.timestamp_validity
    stamped = stamp.timestamp if stamp is not None and stamp.intact and stamp.valid else None
    when = stamped or status.signer_reported_dt
    return {
        "field": field,
        "signer": str(status.signing_cert.subject.human_friendly)[:_LETTERS],
        "signed_at": when.isoformat() if when is not None else None,
        "intact": is_intact,
        "covers_whole_file": status.coverage is SignatureCoverageLevel.ENTIRE_FILE,
        "modified": is_modified,
        "trusted": bool(is_intact and status.trusted),
        "fault": _fault(status, is_intact=is_intact, is_modified=is_modified),
    }


def _stamp(field: str, embedded: Any) -> Mapping[str, Any] | None:
    """A time stamp over the document (ISO 32000-2 12.8.5) that is not whole: people are shown it as a broken one."""
    from pyhanko.sign.validation import validate_pdf_timestamp  # noqa: PLC0415

    status = validate_pdf_timestamp(embedded)
    if not (status.intact and status.valid):
        return _broken(field, "The bytes are not those that were stamped with a time.")
    if _is_modified(status):
        return {**_broken(field, "Something was added after the time stamp that may not be."), "modified": True}
    return None


def _is_modified(status: Any) -> bool:
    """Whether more was added behind what is covered than a signed document may be given."""
    from pyhanko.sign.diff_analysis import ModificationLevel  # noqa: PLC0415
    from pyhanko.sign.validation.status import SignatureCoverageLevel  # noqa: PLC0415

    if status.coverage is SignatureCoverageLevel.ENTIRE_FILE:
        return False
    level = status.modification_level
    return bool(level is None or level > ModificationLevel.FORM_FILLING)


def _fault(status: Any, *, is_intact: bool, is_modified: bool) -> str | None:
    if not is_intact:
        return "The bytes are not those that were signed, or the signature is not of the certificate."
    if is_modified:
        return "Something was added after signing that a signed document may not be given."
    if not status.trusted:
        problem = status.trust_problem_indic
        why = f" ({getattr(problem, 'name', problem)})" if problem else ""
        return f"The certificate leads to none of the trust anchors{why}."
    return None


def _broken(field: str, fault: str) -> Mapping[str, Any]:
    return {
        "field": field,
        "signer": None,
        "signed_at": None,
        "intact": False,
        "covers_whole_file": False,
        "modified": False,
        "trusted": False,
        "fault": fault[:_LETTERS],
    }


if __name__ == "__main__":
    main()
