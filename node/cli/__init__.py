"""`congvan node`: what people at an agency do. Commands open the node's folder directly, whether it runs or not."""

from __future__ import annotations

import typer

from node.cli import (
    agencies,
    amending,
    audit,
    backup,
    blobs,
    evidence,
    listing,
    node_commands,
    responding,
    retrying,
    sending,
    tokens,
    tracing,
    units,
)
from runtime.logs import LogFormat, configure_logs

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
)


@app.callback()
def node() -> None:
    """Run an agency's node: send, receive, see what is stuck and why."""
    # Standard output is the answer's; of what happens on the way a command tells only what is wrong.
    configure_logs(LogFormat.TEXT, "warning")


app.command("init")(node_commands.init)
app.command("serve")(node_commands.serve)
app.command("send")(sending.send)
app.command("respond")(responding.respond)
app.command("recall")(amending.recall)
app.command("update")(amending.update)
app.command("replace")(amending.replace)
app.command("retry")(retrying.retry)
app.command("outbox")(listing.outbox)
app.command("inbox")(listing.inbox)
app.command("show")(listing.show)
app.command("trace")(tracing.trace)
app.command("evidence")(evidence.evidence)
app.command("status")(listing.status)
app.command("agencies")(agencies.agencies)
app.command("audit")(audit.audit)
app.command("backup")(backup.backup)
app.command("backup-check")(backup.backup_check)
app.add_typer(blobs.app, name="blobs")
app.add_typer(units.app, name="unit")
app.add_typer(tokens.app, name="token")
app.command("migrate")(node_commands.migrate)
