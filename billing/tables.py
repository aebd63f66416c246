"""The tables of the store; knows their columns, not what fills them.

All are prefixed `billing_`, since they may live in one SQLite file with the bridge's own. Times
are integer milliseconds, amounts integer micro-units, months integers like 202602.

billing_facts        every fact as it came, once for each (source, id)
billing_legs         what the facts of one leg say together; settlement reads only this
billing_occurrences  the same of one occurrence
billing_usage        settled usage, append-only: rows with `live` 1 are what holds now; one that
                     no longer holds stays (0), with its reversal (-1): so the stream sums right
billing_invoices, billing_lines   finalized invoices; they never change
billing_config       contracts, accounts and settings, effective-dated
billing_problems     what was set aside, and why
billing_decisions    what an operator decided about it; append-only
billing_sinks        how far each sink has the stream; billing_dead_letters what it refused
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import TEXT

metadata: Final = MetaData()

_Key = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only when the column is called INTEGER."""


_Text = Text().with_variant(TEXT(collation="C"), "postgresql")
"""Text in the order of its code points, as SQLite has it: ids are looked up by their prefix."""


def _text(name: str) -> Column[str]:
    return Column(name, _Text, nullable=False, server_default="")


def _count(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default="0")


sources = Table(
    "billing_sources",
    metadata,
    Column("no", Integer, primary_key=True),
    Column("source", _Text, nullable=False, unique=True),
)

facts = Table(
    "billing_facts",
    metadata,
    Column("seq", _Key, primary_key=True),
    Column("source", Integer, nullable=False),
    Column("id", _Text, nullable=False),
    Column("type", SmallInteger, nullable=False),
    Column("time_ms", BigInteger, nullable=False),
    Column("data", _Text, nullable=False),
    Column("extra", _Text),
    UniqueConstraint("source", "id", name="billing_facts_once"),
)

legs = Table(
    "billing_legs",
    metadata,
    Column("no", _Key, primary_key=True),
    Column("source", Integer, nullable=False),
    Column("leg", _Text, nullable=False),
    Column("kind", _Text),
    Column("country", _Text),
    Column("did", _Text),
    Column("ani", _Text),
    Column("direction", _Text),
    Column("answered_ms", BigInteger),
    Column("left_ms", BigInteger),
    Column("duration_ms", BigInteger),
    Column("left_reason", _Text),
    Column("session", _Text),
    Column("account", _Text),
    Column("occurrence", _Text),
    Column("name", _Text),
    Column("charge_code", _Text),
    Column("role", _Text),
    _count("let_in"),
    Column("first_ms", BigInteger),
    _count("facts"),
    _count("n_max"),
    _count("clash"),
    Column("state", SmallInteger, nullable=False, server_default="1"),
    _count("version"),
    Column("hold", _Text),
    UniqueConstraint("source", "leg", name="billing_legs_once"),
)
Index("billing_legs_of_occurrence", legs.c.source, legs.c.occurrence)
Index(
    "billing_legs_due",
    legs.c.no,
    sqlite_where=text("state = 1"),
    postgresql_where=text("state = 1"),
)

occurrences = Table(
    "billing_occurrences",
    metadata,
    Column("no", _Key, primary_key=True),
    Column("source", Integer, nullable=False),
    Column("occurrence", _Text, nullable=False),
    Column("session", _Text),
    Column("account", _Text),
    Column("charge_code", _Text),
    _count("organizer"),
    Column("started_ms", BigInteger),
    Column("ended_ms", BigInteger),
    _count("facts"),
    _count("n_max"),
    _count("clash"),
    UniqueConstraint("source", "occurrence", name="billing_occurrences_once"),
)

usage = Table(
    "billing_usage",
    metadata,
    Column("seq", _Key, primary_key=True),
    Column("leg_no", BigInteger, nullable=False),
    Column("part", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("live", SmallInteger, nullable=False),
    Column("account", _Text, nullable=False),
    Column("month", Integer, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("product", _Text, nullable=False),
    Column("seller", _Text, nullable=False),
    Column("contract", _Text, nullable=False),
    Column("rate_key", _Text, nullable=False),
    Column("jurisdiction", _Text, nullable=False),
    Column("from_ms", BigInteger, nullable=False),
    Column("to_ms", BigInteger, nullable=False),
    Column("billable_seconds", Integer, nullable=False),
    Column("billed_seconds", Integer, nullable=False),
    Column("increment", _Text, nullable=False),
    Column("reason", _Text, nullable=False),
)
Index("billing_usage_of_leg", usage.c.leg_no)
Index("billing_usage_of_month", usage.c.account, usage.c.month)

config = Table(
    "billing_config",
    metadata,
    Column("kind", _Text, primary_key=True),
    Column("id", _Text, primary_key=True),
    Column("valid_from_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("body", _Text, nullable=False),
    Column("note", _Text, nullable=False),
    Column("recorded_ms", BigInteger, nullable=False),
)

meta = Table(
    "billing_meta",
    metadata,
    Column("key", _Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

problems = Table(
    "billing_problems",
    metadata,
    Column("no", _Key, primary_key=True),
    Column("key", _Text, nullable=False),
    Column("reason", _Text, nullable=False),
    Column("detail", _Text, nullable=False),
    Column("leg_no", BigInteger),
    Column("event", _Text),
    Column("open", SmallInteger, nullable=False, server_default="1"),
    Column("seen_ms", BigInteger, nullable=False),
    UniqueConstraint("key", "reason", name="billing_problems_once"),
)
Index("billing_problems_of_leg", problems.c.leg_no)

decisions = Table(
    "billing_decisions",
    metadata,
    Column("no", _Key, primary_key=True),
    Column("problem", BigInteger, nullable=False),
    Column("what", _Text, nullable=False),
    Column("source", Integer, nullable=False),
    Column("id", _Text, nullable=False),
    Column("event", _Text, nullable=False),
    Column("note", _Text, nullable=False),
    Column("decided_ms", BigInteger, nullable=False),
)
Index("billing_decisions_of_fact", decisions.c.source, decisions.c.id)

invoices = Table(
    "billing_invoices",
    metadata,
    Column("no", _Key, primary_key=True),
    Column("account", _Text, nullable=False),
    Column("month", Integer, nullable=False),
    Column("seller", _Text, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("status", _Text, nullable=False),
    Column("claim", _Text, nullable=False),
    Column("number", _Text),
    Column("sequence", Integer),
    Column("mark", BigInteger, nullable=False, server_default="0"),
    Column("touched", SmallInteger, nullable=False, server_default="0"),
    Column("total_micros", BigInteger, nullable=False, server_default="0"),
    Column("head", _Text, nullable=False, server_default="{}"),
    Column("finalized_ms", BigInteger),
    Column("mailed_ms", BigInteger),
    UniqueConstraint("account", "month", "seller", "currency", name="billing_invoices_once"),
    UniqueConstraint("seller", "sequence", name="billing_invoices_numbered"),
)

lines = Table(
    "billing_lines",
    metadata,
    Column("no", _Key, primary_key=True),
    Column("invoice", BigInteger, nullable=False),
    Column("category", _Text, nullable=False),
    Column("key", _Text, nullable=False),
    Column("month", Integer, nullable=False),
    Column("amount_micros", BigInteger, nullable=False),
    Column("billed_seconds", Integer, nullable=False),
    Column("leg_no", BigInteger),
    Column("part", Integer),
    _text("leg"),
    _text("session"),
    _text("occurrence"),
    _text("charge_code"),
    _text("name"),
    _text("kind"),
    _text("country"),
    _text("ani"),
    Column("answered_ms", BigInteger),
    Column("from_ms", BigInteger),
    Column("to_ms", BigInteger),
    _count("billable_seconds"),
    _count("included_seconds"),
    _text("increment"),
    _text("rate"),
    _text("working"),
    _text("reason"),
    _text("jurisdiction"),
    Column("base_micros", BigInteger, nullable=False, server_default="0"),
)
Index("billing_lines_of_invoice", lines.c.invoice)

sinks = Table(
    "billing_sinks",
    metadata,
    Column("id", _Text, primary_key=True),
    Column("usage_seq", BigInteger, nullable=False, server_default="0"),
    Column("facts_seq", BigInteger, nullable=False, server_default="0"),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("retry_ms", BigInteger, nullable=False, server_default="0"),
    Column("last_error", _Text, nullable=False, server_default=""),
)

dead_letters = Table(
    "billing_dead_letters",
    metadata,
    Column("no", _Key, primary_key=True),
    Column("sink", _Text, nullable=False),
    Column("stream", _Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("session", _Text, nullable=False),
    Column("event", _Text, nullable=False),
    Column("state", _Text, nullable=False),
    Column("error", _Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("first_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    UniqueConstraint("sink", "stream", "seq", name="billing_dead_letters_once"),
)
Index("billing_dead_letters_of_session", dead_letters.c.sink, dead_letters.c.session)
