"""Write the corpus of attacks on seals to a folder, for people and for other implementations:

    python -m tests.vectors.make_seals FOLDER

Each file is a message that must be refused; `index.json` says why, at which time it is judged, and whom to trust. Keys
are made anew each time and thrown away. What each attack does stands in ATTACKS.md, which `--table` prints.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from certs.keys import write_certificates
from tests.vectors.attacks import ATTACKS
from tests.vectors.workshop import AT, G22, H23, H31, Workshop

INDEX = "index.json"


def write_corpus(folder: Path, workshop: Workshop) -> None:
    """Forge every attack, and put the good message that they start from beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "good.edxml").write_bytes(workshop.good)
    for attack in ATTACKS:
        (folder / f"{attack.name}.edxml").write_bytes(attack.forge(workshop))
    trust = workshop.trust
    for place, anchor in enumerate(trust.anchors):
        write_certificates(folder / f"anchor-{place}.pem", [anchor.certificate])
    bindings = [binding for code in (G22, H23, H31) if (binding := trust.binding_of(code))]
    index = {
        "judged_at": AT.isoformat(),
        "good": ["good.edxml"],
        "attacks": [{"file": f"{attack.name}.edxml", "code": attack.code, "what": attack.what} for attack in ATTACKS],
        "anchors": [
            {"file": f"anchor-{place}.pem", "prefixes": anchor.prefixes} for place, anchor in enumerate(trust.anchors)
        ],
        "agencies": [
            {"code": binding.code.value, "status": binding.status, "fingerprints": sorted(binding.fingerprints)}
            for binding in bindings
        ],
    }
    (folder / INDEX).write_text(json.dumps(index, ensure_ascii=False, indent=2), encoding="utf-8")


def table() -> str:
    """ATTACKS.md: every attack, the code that answers it, and what it does."""
    lines = [
        "# Attacks on seals",
        "",
        "Each is forged at test time by the function of its name in `attacks/` and must be refused with its code;",
        "`python -m tests.vectors.make_seals FOLDER` writes them all as files. This table is `--table`'s.",
        "",
        "| attack | refused as | what it does |",
        "|---|---|---|",
        *(f"| {attack.name} | `{attack.code}` | {attack.what} |" for attack in ATTACKS),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--table"]:
        sys.stdout.write(table())
    else:
        write_corpus(Path(sys.argv[1]), Workshop())
