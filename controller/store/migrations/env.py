"""Alembic's entry point. The engine is handed over by `mmedagent.controller.store.database`."""

from __future__ import annotations

from alembic import context

from mmedagent.controller.store.models import Base

with context.config.attributes["engine"].connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
