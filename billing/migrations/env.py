"""Alembic's entry: migrates over the connection that `billing.store` hands in."""

from alembic import context

from billing.store import VERSION_TABLE
from billing.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
context.run_migrations()
