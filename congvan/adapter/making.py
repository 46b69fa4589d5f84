"""`congvan adapter new`: a package with an adapter that works, to begin from."""

from __future__ import annotations

import importlib.resources
import re
from pathlib import Path
from string import Template
from typing import Annotated, Final

import typer
from rich.markup import escape

from runtime.files import storage_errors
from runtime.terminal import say, show_json
from schemas.errors import Rejected

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)
_LONGEST: Final = 50

#: Where each file of the skeleton goes; `{module}` is the package's import name.
_FILES: Final = {
    "pyproject.toml.template": "pyproject.toml",
    "README.md.template": "README.md",
    "adapter.py.template": "{module}/__init__.py",
    "probe.py.template": "{module}/probe.py",
    "test_adapter.py.template": "tests/test_adapter.py",
}


def new(
    name: Annotated[str, typer.Argument(help="What the adapter is called in a node's settings: ten-phan-mem.")],
    *,
    folder: Annotated[
        Path, typer.Option("--dir", metavar="DIR", help="Where the package's folder is made.", show_default="here")
    ] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
) -> None:
    """Write a working adapter to begin from: its package, its probe, and its test, which runs the test kit.

    It hands messages over to a table of an SQLite database, exactly once, and sends what stands in another one. Put
    your software in that database's place.

    Example: [bold]congvan adapter new my-dms && cd congvan-my-dms && pip install -e . && python -m pytest[/bold]
    """
    package = write_skeleton(name, folder)
    if as_json:
        show_json({"name": name, "folder": str(package), "module": module_of(name)})
        return
    say(f"The adapter [bold]{name}[/bold] stands in {escape(str(package))}. Now:")
    say(f"  cd {escape(str(package))}")
    say("  pip install -e .          [dim]# beside congvan[/dim]")
    say("  python -m pytest          [dim]# its test runs the kit[/dim]")
    say(f"  congvan adapter check {name}")


def module_of(name: str) -> str:
    """The import name of the package of the adapter `name`."""
    return "congvan_" + name.replace("-", "_")


def write_skeleton(name: str, parent: Path) -> Path:
    """Write the package of an adapter `name` to a new folder in `parent`; gives that folder.

    Raises Rejected: `adapter-name`, `file-exists`, and the errors of storage.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise Rejected(
            "adapter-name",
            f"{name!r} is no name of an adapter.",
            mend="Take small letters without marks, figures and single hyphens, as in: ten-phan-mem.",
        )
    package = parent / f"congvan-{name}"
    if package.exists():
        raise Rejected("file-exists", f"{package} is there already.", mend="Give another name, or another --dir.")
    words = {"name": name, "module": module_of(name), "title": name.replace("-", " ").capitalize()}
    words["classname"] = words["title"].title().replace(" ", "")
    templates = importlib.resources.files("congvan.adapter") / "skeleton"
    for template, target in _FILES.items():
        text = Template((templates / template).read_text(encoding="utf-8")).substitute(words)
        path = package / target.format(module=words["module"])
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return package
