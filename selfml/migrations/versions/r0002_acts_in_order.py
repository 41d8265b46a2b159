"""An index by which the newest acts of a catalogue are found."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index."""
    op.create_index("batch_of_catalogue", "batch", ["catalogue", "id"])


def downgrade() -> None:
    """Drop it."""
    op.drop_index("batch_of_catalogue", "batch")
