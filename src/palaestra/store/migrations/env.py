"""Alembic's entry: run the migrations on the connection that `database.migrate` hands over.

There is no ini file and no command line of Alembic's own: `palaestra arena serve` migrates when it starts.
"""

from __future__ import annotations

from alembic import context

from palaestra.store.metadata import metadata

_LOCK = 0x70616C61  # one number, so that two servers starting at once do not both create tables

connection = context.config.attributes["connection"]
if connection.dialect.name == "postgresql":
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
context.configure(connection=connection, target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
