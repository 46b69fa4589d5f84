"""Where the command begins, installed or as `python -m congvan`. Nothing is imported here that takes time."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """The entry point: Ctrl-C ends it without a traceback, also while modules are still being imported."""
    try:
        from congvan.cli import main as run  # noqa: PLC0415 - see above
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
