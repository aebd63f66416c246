"""Taking facts in: checked, deduplicated, folded, in short transactions; decides no charge.

A fact is stored once for each (source, id), in the same transaction that folds it into its leg or
occurrence. What cannot be a fact is set aside with its reason. Nothing here raises for bad data.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from billing.events import BadEvent, event_of, parse_fact, read_fact, stored_fact
from billing.fold import (
    ANSWERED_TWICE,
    LEFT_TWICE,
    LEG_COLUMNS,
    MOVED,
    OCCURRENCE_COLUMNS,
    Folds,
)
from billing.store import Batch, Row, Store
from billing.tables import decisions, facts, legs, occurrences, problems, sources
from billing.times import now_ms

LIVE_BATCH: Final = 1_000
"""Facts in one transaction beside a live bridge: it holds the write lock for some 10 ms."""

BULK_BATCH: Final = 100_000
"""The same when no bridge shares the file. Ids come in no order, so each batch touches most pages
of a large index: fewer batches write each page less often."""

EVENT_CHARS_MAX: Final = 65_536
"""What is kept of an event that is set aside."""

ID_REUSED_REASON: Final = "id_reused"


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What became of the events of one delivery."""

    accepted: int = 0
    duplicates: int = 0
    problems: int = 0

    def __add__(self, other: "IngestReport") -> "IngestReport":
        return IngestReport(
            self.accepted + other.accepted,
            self.duplicates + other.duplicates,
            self.problems + other.problems,
        )


class Refused(NamedTuple):
    """An event that is set aside."""

    reason: str
    detail: str
    event: str

    @property
    def key(self) -> str:
        """The same event has the same key, however often it comes."""
        return "event:" + hashlib.sha256(self.event.encode()).hexdigest()[:32]


class Intake:
    """The statements of ingestion, compiled once for a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        fact_columns = ("source", "id", "type", "time_ms", "data", "extra")
        self._insert_facts = Batch(store, _fact_upsert(store), fact_columns)
        self._upsert_legs = Batch(store, _leg_upsert(store), ("source", "leg", *LEG_COLUMNS))
        self._upsert_occurrences = Batch(
            store, _occurrence_upsert(store), ("source", "occurrence", *OCCURRENCE_COLUMNS)
        )
        due = (
            sa.update(legs)
            .where(
                legs.c.source == sa.bindparam("of_source"),
                legs.c.occurrence == sa.bindparam("of_occurrence"),
                legs.c.state != sa.literal_column("1"),
            )
            .values(state=sa.literal_column("1"))
        )
        self._mark_due = Batch(store, due, ("of_source", "of_occurrence"))
        self._insert_problems = Batch(
            store,
            store.insert(problems).on_conflict_do_nothing(index_elements=["key", "reason"]),
            ("key", "reason", "detail", "event", "seen_ms"),
        )

    def take(self, items: Iterable[object], *, batch: int = LIVE_BATCH) -> IngestReport:
        """Store events: mappings, or their JSON text as str or bytes."""
        report = IngestReport()
        iterator = iter(items)
        news = True
        while True:
            ready = prepare(islice(iterator, batch), fold=news)
            if not ready.rows and not ready.refused:
                return report
            with self._store.write() as connection:
                done = self.put(connection, ready)
            report += done
            news = done.accepted > 0 or not ready.rows  # what was known goes on being known

    def put(self, connection: Connection, ready: "Prepared") -> IngestReport:
        """Store one prepared batch inside a write transaction."""
        refused, folds = ready.refused, ready.folds or Folds()
        numbers = self._source_numbers(connection, {row[0] for row in ready.rows})
        rows: list[Row] = [(numbers[s], i, t, at, d, x) for s, i, t, at, d, x in ready.rows]
        accepted, differing = self._store_facts(connection, rows)
        if accepted < len(rows) or ready.folds is None:  # some were stored before
            folds = Folds()
            if accepted or differing:
                fresh = self._newest(connection, accepted)
                refused = refused + _fold_known(connection, ready.rows, rows, fresh, folds)
        self._store_folds(connection, folds, numbers)
        seen = now_ms()
        self._insert_problems.run(
            connection, [(r.key, r.reason, r.detail, r.event, seen) for r in refused]
        )
        reused = sum(r.reason == ID_REUSED_REASON for r in refused)
        return IngestReport(accepted, len(rows) - accepted - reused, len(refused))

    def _store_facts(self, connection: Connection, rows: list[Row]) -> tuple[int, int]:
        """Insert what is new; return how many are, and how many known ids had other content.

        This transaction is the only writer, so what is newer than before is what it inserted.
        """
        newest = connection.scalar(sa.select(sa.func.coalesce(sa.func.max(facts.c.seq), 0)))
        written = self._insert_facts.run(connection, rows)
        newer = sa.select(sa.func.count()).select_from(facts).where(facts.c.seq > newest)
        count = connection.scalar(newer) or 0
        return count, written - count

    def _newest(self, connection: Connection, count: int) -> set[tuple[int, str]]:
        """Return the keys of the facts that this transaction inserted."""
        select = sa.select(facts.c.source, facts.c.id).order_by(facts.c.seq.desc()).limit(count)
        return {(source, identity) for source, identity in connection.execute(select)}

    def _store_folds(
        self, connection: Connection, folds: Folds[str], numbers: Mapping[str, int]
    ) -> None:
        """Add what a batch says to what is known.

        Legs are numbered as they came, not by their ids: so the legs of one occurrence, which are
        settled and invoiced together, lie together.
        """
        rows = [(numbers[source], leg, *fold) for (source, leg), fold in folds.legs.items()]
        self._upsert_legs.run(connection, rows)
        changed = [(numbers[s], o, *fold) for (s, o), fold in sorted(folds.occurrences.items())]
        self._upsert_occurrences.run(connection, changed)
        self._mark_due.run(connection, [row[:2] for row in changed])

    def _source_numbers(self, connection: Connection, wanted: set[str]) -> dict[str, int]:
        select = sa.select(sources.c.source, sources.c.no).where(sources.c.source.in_(wanted))
        numbers: dict[str, int] = {source: no for source, no in connection.execute(select)}
        for source in sorted(wanted - numbers.keys()):
            connection.execute(sa.insert(sources).values(source=source))
        if wanted - numbers.keys():
            numbers = {source: no for source, no in connection.execute(select)}
        return numbers


_TEXTS: Final = (bytes, str)


class Prepared(NamedTuple):
    """A batch of events, checked and taken apart outside any transaction.

    Attributes:
        rows: (source, id, type, time_ms, data, extra) of each fact, in the order they came.
        folds: what all of them say together, should all of them be new; None when that was not
            expected.
        refused: events that cannot be facts.
    """

    rows: list[Row]
    folds: Folds[str] | None
    refused: list[Refused]


def prepare(items: Iterable[object], *, fold: bool = True) -> Prepared:
    """Check a batch outside any transaction, so that the write lock is held for less.

    Only plain rows outlive an event: a hundred thousand parsed events would cost the collector
    of garbage as much time as reading them.
    """
    folds: Folds[str] | None = Folds() if fold else None
    ready = Prepared([], folds, [])
    keep = ready.rows.append
    for item in items:
        try:
            fact = parse_fact(item) if isinstance(item, _TEXTS) else read_fact(item)
        except BadEvent as bad:
            ready.refused.append(Refused(bad.reason, bad.detail, _kept(item)))
            continue
        source, identity, kind, time_ms, _, _, _, text, extra = fact
        keep((source, identity, kind, time_ms, text, extra))
        if folds is not None:
            folds.add(source, fact)
    return ready


def _kept(item: object) -> str:
    if isinstance(item, bytes):
        item = item.decode(errors="backslashreplace")
    if not isinstance(item, str):
        try:
            item = json.dumps(item, default=repr)
        except (TypeError, ValueError, RecursionError):
            item = repr(item)
    text = item.encode("ascii", "backslashreplace").decode().replace("\x00", "\\x00")
    return text[:EVENT_CHARS_MAX]


def _fold_known(
    connection: Connection,
    named: list[Row],
    rows: list[Row],
    fresh: set[tuple[int, str]],
    folds: Folds[str],
) -> list[Refused]:
    """Fold a batch of which some was stored before; return facts whose id was used again.

    `named` are the rows with the sources' names, `rows` the same with their numbers.
    """
    stored = _stored(connection, rows, fresh)
    differing: list[tuple[Row, int]] = []
    unfolded = set(fresh)
    for name, row in zip(named, rows, strict=True):
        key = (row[0], row[1])
        if key in unfolded:
            unfolded.discard(key)
            stored[key] = row[2:]
            folds.add(name[0], stored_fact(name))
        elif stored[key] != row[2:]:
            differing.append((name, row[0]))
    refused: list[Refused] = []
    for name, source in differing:
        event = json.dumps(event_of(name))
        if _was_decided(connection, source, name[1], event):
            continue  # as good as a duplicate
        folds.reused(name[0], stored_fact(name))
        detail = f"{name[1]!r} of {name[0]!r} came before with different content"
        refused.append(Refused(ID_REUSED_REASON, detail, event))
    return refused


def _was_decided(connection: Connection, source: int, identity: str, event: str) -> bool:
    """Tell whether an operator decided against this very version of a fact before."""
    select = sa.select(decisions.c.no).where(
        decisions.c.source == source, decisions.c.id == identity, decisions.c.event == event
    )
    return connection.scalar(select.limit(1)) is not None


def _stored(
    connection: Connection, rows: list[Row], fresh: set[tuple[int, str]]
) -> dict[tuple[int, str], Row]:
    wanted: dict[int, set[str]] = {}
    for row in rows:
        if (row[0], row[1]) not in fresh:
            wanted.setdefault(row[0], set()).add(row[1])
    found: dict[tuple[int, str], Row] = {}
    columns = (facts.c.id, facts.c.type, facts.c.time_ms, facts.c.data, facts.c.extra)
    for source, ids in wanted.items():
        for some in _slices(sorted(ids), 10_000):
            select = sa.select(*columns).where(facts.c.source == source, facts.c.id.in_(some))
            for identity, *rest in connection.execute(select):
                found[source, identity] = tuple(rest)
    return found


def _slices(items: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


_ZERO: Final[Any] = sa.literal_column("0")


def _differs(column: Any, incoming: Any) -> Any:
    return sa.case(
        (sa.and_(column.is_not(None), column != incoming), sa.literal_column(str(MOVED))),
        else_=_ZERO,
    )


def _twice(column: Any, incoming: Any, bit: int) -> Any:
    both = sa.and_(column.is_not(None), incoming.is_not(None))
    return sa.case((both, sa.literal_column(str(bit))), else_=_ZERO)


def _fact_upsert(store: Store) -> Any:
    """Insert a fact; one that is known with other content is written over with itself.

    So the rows written are the new ones and the differing ones: a batch that was all known
    before is recognized without reading it back.
    """
    insert = store.insert(facts)
    new, old = insert.excluded, facts.c
    differs = sa.or_(
        *(old[name].is_distinct_from(new[name]) for name in ("type", "time_ms", "data", "extra"))
    )
    return insert.on_conflict_do_update(
        index_elements=["source", "id"], set_={"extra": old.extra}, where=differs
    )


def _leg_upsert(store: Store) -> Any:
    insert = store.insert(legs)
    new, old = insert.excluded, legs.c
    clash = old.clash.op("|")(new.clash)
    for value in (
        _twice(old.answered_ms, new.answered_ms, ANSWERED_TWICE),
        _twice(old.left_ms, new.left_ms, LEFT_TWICE),
        _differs(old.session, new.session),
        _differs(old.account, new.account),
        _differs(old.occurrence, new.occurrence),
    ):
        clash = clash.op("|")(value)
    values: dict[str, Any] = {
        name: sa.func.coalesce(old[name], new[name])
        for name in LEG_COLUMNS
        if name not in ("let_in", "first_ms", "facts", "n_max", "clash", "role")
    }
    values |= {
        "role": store.smallest(old.role, new.role),
        "let_in": store.largest(old.let_in, new.let_in),
        "first_ms": store.smallest(old.first_ms, new.first_ms),
        "facts": old.facts + new.facts,
        "n_max": store.largest(old.n_max, new.n_max),
        "clash": clash,
        "state": sa.literal_column("1"),
    }
    return insert.on_conflict_do_update(index_elements=["source", "leg"], set_=values)


def _occurrence_upsert(store: Store) -> Any:
    insert = store.insert(occurrences)
    new, old = insert.excluded, occurrences.c
    clash = old.clash.op("|")(new.clash)
    for value in (_differs(old.session, new.session), _differs(old.account, new.account)):
        clash = clash.op("|")(value)
    values = {
        "session": sa.func.coalesce(old.session, new.session),
        "account": sa.func.coalesce(old.account, new.account),
        "charge_code": sa.func.coalesce(old.charge_code, new.charge_code),
        "organizer": store.largest(old.organizer, new.organizer),
        "started_ms": store.smallest(old.started_ms, new.started_ms),
        "ended_ms": store.smallest(old.ended_ms, new.ended_ms),
        "facts": old.facts + new.facts,
        "n_max": store.largest(old.n_max, new.n_max),
        "clash": clash,
    }
    return insert.on_conflict_do_update(index_elements=["source", "occurrence"], set_=values)
