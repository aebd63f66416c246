"""What operators decide about contradictions, and what sinks refuse for good.

Revision ID: 0002
Revises: 0001
"""

from alembic import op
import sqlalchemy as sa

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table('billing_decisions',
    sa.Column('no', KEY, nullable=False),
    sa.Column('problem', sa.BigInteger(), nullable=False),
    sa.Column('what', TEXT, nullable=False),
    sa.Column('source', sa.Integer(), nullable=False),
    sa.Column('id', TEXT, nullable=False),
    sa.Column('event', TEXT, nullable=False),
    sa.Column('note', TEXT, nullable=False),
    sa.Column('decided_ms', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('no')
    )
    op.create_index('billing_decisions_of_fact', 'billing_decisions', ['source', 'id'], unique=False)
    op.create_table('billing_dead_letters',
    sa.Column('no', KEY, nullable=False),
    sa.Column('sink', TEXT, nullable=False),
    sa.Column('stream', TEXT, nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.Column('session', TEXT, nullable=False),
    sa.Column('event', TEXT, nullable=False),
    sa.Column('state', TEXT, nullable=False),
    sa.Column('error', TEXT, nullable=False),
    sa.Column('tries', sa.Integer(), nullable=False),
    sa.Column('first_ms', sa.BigInteger(), nullable=False),
    sa.Column('last_ms', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('no'),
    sa.UniqueConstraint('sink', 'stream', 'seq', name='billing_dead_letters_once')
    )
    op.create_index('billing_dead_letters_of_session', 'billing_dead_letters', ['sink', 'session'], unique=False)


def downgrade() -> None:
    op.drop_index('billing_dead_letters_of_session', table_name='billing_dead_letters')
    op.drop_table('billing_dead_letters')
    op.drop_index('billing_decisions_of_fact', table_name='billing_decisions')
    op.drop_table('billing_decisions')
