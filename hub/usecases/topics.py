"""Agency codes as routing keys: dotted, the most general part first, so that `H23.#` is Hải Dương and all below."""

from __future__ import annotations

from schemas.codes import AgencyCode, CodeForm
from schemas.errors import MalformedCode


def topic_of(code: str) -> str:
    """The routing key of an agency: `H23.12` of H23.12, `H53.32.23` of 000.23.32.H53. Other text stays as it is."""
    try:
        parsed = AgencyCode(code)
    except MalformedCode:
        return code
    if parsed.form is not CodeForm.QCVN102:
        return parsed.value
    root, *below = reversed(parsed.parts)
    # A level that is zeros is left out only below the last one that is set: `H53.00.07` stands two levels below H53.
    while below and not below[-1].strip("0"):
        below.pop()
    return ".".join((root, *below))
