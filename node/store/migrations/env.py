"""Run by Alembic: the migrations work inside the transaction that `runtime.migrations.upgrade` opened."""

from alembic import context

from runtime.migrations import migration_context

with migration_context(context.config.attributes["connection"]):
    context.run_migrations()
