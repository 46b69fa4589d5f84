"""`congvan hub`: the operator's commands. They open the hub's folder directly, whether the hub is running or not."""

from __future__ import annotations

import typer

from hub.cli import (
    agency,
    audit,
    backup,
    blobs,
    connection,
    database,
    deliveries,
    evidence,
    group,
    hub_commands,
    tracing,
    traffic,
)
from runtime.logs import LogFormat, configure_logs

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
)


@app.callback()
def hub() -> None:
    """Run the exchange and admit agencies."""
    # Standard output is the answer's, and what an order did it tells itself; `serve` configures its own.
    configure_logs(LogFormat.TEXT, "error")


app.command("init")(hub_commands.init)
app.command("serve")(hub_commands.serve)
app.command("migrate")(hub_commands.migrate)
app.command("renew")(hub_commands.renew)
app.command("restored")(hub_commands.restored)
app.command("backup")(backup.backup)
app.command("backup-check")(backup.backup_check)
app.command("balance")(traffic.balance)
app.command("trace")(tracing.trace)
app.command("audit")(audit.audit)
app.command("deliveries")(deliveries.deliveries)
app.command("redeliver")(deliveries.redeliver)
app.command("cancel")(deliveries.cancel)
app.command("evidence")(evidence.evidence)
app.add_typer(agency.app, name="agency")
app.add_typer(blobs.app, name="blobs")
app.add_typer(connection.app, name="connection")
app.add_typer(database.app, name="db")
app.add_typer(group.app, name="group")
