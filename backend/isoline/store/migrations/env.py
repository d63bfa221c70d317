"""Run by Alembic inside the transaction that `isoline.store.engines.migrate` hands over."""

from __future__ import annotations

from alembic import context

from isoline.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
