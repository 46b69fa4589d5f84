"""`congvan adapter`: for whoever writes one. What there is, a new one's skeleton, and the test kit."""

from __future__ import annotations

import typer

from congvan.adapter.checking import check
from congvan.adapter.listing import list_adapters
from congvan.adapter.making import new

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Write an adapter, and check it: [bold]new[/bold], then [bold]check[/bold] (docs/adapters/tutorial.md).",
)
app.command("list")(list_adapters)
app.command("new")(new)
app.command("check")(check)
