"""What Alembic runs, on the connection that :func:`selfml.migrations.upgrade` has."""

from alembic import context

from selfml.decision_tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
context.run_migrations()
