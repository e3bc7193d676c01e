"""Alembic's entry: runs the migrations on the connection that the database class opened."""

from alembic import context

from edeploy.machines.schema import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
