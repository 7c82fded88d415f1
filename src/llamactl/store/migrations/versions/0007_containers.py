"""A process may be that of a container, which is named by its id."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
expanding = True  # does the version before work on with it?


def upgrade() -> None:
    op.add_column(
        "processes", sa.Column("container", sa.String(160), nullable=False, server_default="")
    )
