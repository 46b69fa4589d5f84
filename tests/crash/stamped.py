"""A program of ours that tells by what time it goes: `stamped.py FILE MORE ARGUMENT…` is `congvan ARGUMENT… MORE`.

It writes its time into FILE, again and again, whether it has anything to say or not.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

#: Seconds between two stamps.
_INTERVAL = 0.2


def stamp(file: Path) -> None:
    fresh = file.with_suffix(".fresh")
    never = threading.Event()
    while True:
        fresh.write_text(str(time.time()))
        fresh.replace(file)
        # libfaketime refuses the call behind `time.sleep`.
        never.wait(_INTERVAL)


if __name__ == "__main__":
    # The folder of this file: its modules are none of the program's.
    del sys.path[0]
    threading.Thread(target=stamp, args=(Path(sys.argv.pop(1)),), daemon=True).start()
    sys.argv = ["congvan", *sys.argv[2:], *sys.argv[1].split()]

    from congvan.cli import main

    main()
