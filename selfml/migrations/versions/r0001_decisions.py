"""Batches, decisions and claims."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "batch",
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("key", sa.String(64), nullable=False, unique=True),
        sa.Column("catalogue", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("auditor", sa.Text, nullable=False),
        sa.Column("decision", sa.String(8), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("undoes", number, sa.ForeignKey("batch.id"), unique=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(kind = 'undo') = (undoes IS NOT NULL) AND kind IN ('single','bulk','settle','undo')"
            " AND decision IN ('accept','reject','unsure','undo')",
            name="batch_is_known",
        ),
    )
    op.create_index("batch_of_auditor", "batch", ["catalogue", "auditor", "id"])
    op.create_table(
        "decision",
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("batch_id", number, sa.ForeignKey("batch.id"), nullable=False),
        sa.Column("image_id", sa.Text, nullable=False),
        sa.Column("attribute", sa.Text, nullable=False),
        sa.Column("given", sa.SmallInteger, nullable=False),
        sa.Column("proposed", sa.SmallInteger, nullable=False),
    )
    op.create_index("ix_decision_batch_id", "decision", ["batch_id"])
    op.create_index("decision_of_cell", "decision", ["image_id", "attribute"])
    op.create_table(
        "claim",
        sa.Column("catalogue", sa.Text, primary_key=True),
        sa.Column("image_id", sa.Text, primary_key=True),
        sa.Column("attribute", sa.Text, primary_key=True),
        sa.Column("auditor", sa.Text, nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    """Drop the tables, and with them every decision."""
    for name in ("claim", "decision", "batch"):
        op.drop_table(name)
