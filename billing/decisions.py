"""Choosing between facts that contradict each other: by an operator, on record, undone by nothing.

Two versions of one fact (the same id came with different content), or several facts of which only
one can be true (a leg that was answered twice, that names two accounts). What the operator decides
against does not hold any more, and is kept: as it came, with who decided what and when.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from billing.errors import BillingInputError
from billing.events import ANSWERED, LEFT, PLACE, TYPES, Fact, event_of, parse_fact, stored_fact
from billing.fold import ID_REUSED, LEG_COLUMNS, OCCURRENCE_COLUMNS, Folds
from billing.ingest import ID_REUSED_REASON
from billing.replay import PLACE_STRUCK, STRUCK, fold_stored, put_fold, struck_facts
from billing.store import Store
from billing.tables import decisions, facts, legs, occurrences, problems, sources
from billing.times import iso, now_ms

ACCEPTED: Final = "accepted"
KEPT: Final = "kept"
DISMISSED: Final = "dismissed"
CONTRADICTORY: Final = "contradictory_facts"


class Version(NamedTuple):
    """One of the versions that cannot all be true: which facts say so, and what they say."""

    ids: tuple[str, ...]
    says: Mapping[str, str]


class Clash(NamedTuple):
    """What an operator has to choose between.

    Attributes:
        about: what the versions differ in.
        versions: two or more, in the order in which they came.
        strikes: what becomes of the facts that are not chosen.
    """

    about: str
    versions: tuple[Version, ...]
    strikes: str


class Decision(NamedTuple):
    """What an operator decided.

    Attributes:
        what: `kept` (the older version), `accepted` (the newer), `struck` (a fact that does not
            hold), `place_struck` (a fact whose session and account do not hold), `dismissed`.
        fact: its id, or the leg's.
        event: the version that does not hold, as JSON; "" when there is none.
    """

    no: int
    problem: int
    what: str
    source: str
    fact: str
    event: str
    note: str
    decided_at: str


def decided(store: Store) -> list[Decision]:
    """Return everything that was decided, oldest first."""
    select = (
        sa.select(decisions, sources.c.source.label("name"))
        .outerjoin(sources, sources.c.no == decisions.c.source)
        .order_by(decisions.c.no)
    )
    with store.read() as connection:
        return [
            Decision(
                *(row.no, row.problem, row.what, row.name or "", row.id, row.event, row.note),
                iso(row.decided_ms),
            )
            for row in connection.execute(select)
        ]


def clashes(store: Store, number: int) -> list[Clash]:
    """Return what there is to choose between in an open problem; refuse one without a choice."""
    with store.read() as connection:
        return _clashes(connection, _problem(connection, number))


def choose(store: Store, number: int, *, newer: bool, note: str) -> None:
    """Let the older or the newer version hold; what its leg costs then is for settling."""
    with store.write() as connection:
        problem = _problem(connection, number)
        found = _clashes(connection, problem)
        if problem.reason == ID_REUSED_REASON:
            _choose_version(connection, store, problem, newer=newer, note=note)
            return
        source = connection.scalar(sa.select(legs.c.source).where(legs.c.no == problem.leg_no))
        assert source is not None, "its problem names the leg"
        subjects: set[str] = set()
        for clash in found:
            others = clash.versions[:-1] if newer else clash.versions[1:]
            for identity in (identity for version in others for identity in version.ids):
                kept = _event(connection, source, identity)
                _record(connection, problem.no, clash.strikes, (source, identity), kept, note)
                subjects.add(identity.rpartition("/")[0])
        for subject in sorted(subjects):
            _fold_again(connection, source, subject)
        _close(connection, number)  # settling opens it again should anything be left of it
        connection.execute(sa.update(legs).where(legs.c.no == problem.leg_no).values(hold=None))


def dismiss(store: Store, number: int, *, note: str) -> None:
    """Close a problem: what it set aside stays as it is and is not charged.

    For an id that came with two contents it means that the older one holds.
    """
    with store.write() as connection:
        problem = _problem(connection, number)
        if problem.reason == ID_REUSED_REASON:
            _choose_version(connection, store, problem, newer=False, note=note)
            return
        _close(connection, number)
        leg = sa.select(legs.c.source, legs.c.leg).where(legs.c.no == problem.leg_no)
        owner = connection.execute(leg).first()
        key = (0, "") if owner is None else (owner.source, owner.leg)
        _record(connection, number, DISMISSED, key, problem.event or "", note)


def _problem(connection: Connection, number: int) -> Any:
    row = connection.execute(
        sa.select(problems).where(problems.c.no == number, problems.c.open == 1)
    ).first()
    if row is None:
        numbers = sa.select(problems.c.no).where(problems.c.open == 1).order_by(problems.c.no)
        known = ", ".join(str(no) for no in connection.scalars(numbers.limit(10)))
        raise BillingInputError("problem", number, f"an open problem: {known or 'there is none'}")
    return row


def _close(connection: Connection, number: int) -> None:
    connection.execute(sa.update(problems).where(problems.c.no == number).values(open=0))


def _record(
    connection: Connection, problem: int, what: str, key: tuple[int, str], event: str, note: str
) -> None:
    values = {"source": key[0], "id": key[1], "event": event, "note": note}
    connection.execute(
        sa.insert(decisions).values(problem=problem, what=what, decided_ms=now_ms(), **values)
    )


def _clashes(connection: Connection, problem: Any) -> list[Clash]:
    if problem.reason == ID_REUSED_REASON:
        return [_two_versions(connection, problem)]
    if problem.reason != CONTRADICTORY or problem.leg_no is None:
        raise BillingInputError(
            "problem", problem.no, f"a choice between versions; {problem.reason!r} is none"
        )
    leg = connection.execute(sa.select(legs).where(legs.c.no == problem.leg_no)).one()
    struck = struck_facts(connection)
    found: list[Clash] = []
    for subject in filter(None, (leg.leg, leg.occurrence)):
        known = [
            fact
            for fact in _facts_of(connection, leg.source, subject)
            if struck.get((leg.source, fact.id)) != STRUCK
        ]
        found += _told_twice(known)
        placed = [f for f in known if (leg.source, f.id) not in struck]
        found += _told_differently(placed)
    if not found:
        raise BillingInputError("problem", problem.no, _what_instead(connection, leg))
    return found


def _two_versions(connection: Connection, problem: Any) -> Clash:
    newer = parse_fact(problem.event)
    number = _number(connection, newer.source)
    older = json.loads(_event(connection, number, newer.id))
    versions = _differences([older, json.loads(problem.event)])
    return Clash(f"{newer.id} came with different content", versions, ACCEPTED)


def _told_twice(known: Sequence[Fact]) -> list[Clash]:
    """Find legs that were answered, or left, more than once."""
    found: list[Clash] = []
    for kind in (ANSWERED, LEFT):
        told = [fact for fact in known if fact.type == kind]
        if len(told) > 1:
            shown = [event_of((f.source, f.id, f.type, f.time_ms, f.text, f.extra)) for f in told]
            about = f"{told[0].subject}: {TYPES[kind]} came {len(told)} times"
            found.append(Clash(about, _differences(shown), STRUCK))
    return found


def _told_differently(known: Sequence[Fact]) -> list[Clash]:
    """Find facts of one leg or occurrence that name different places, whole places together."""
    places: dict[tuple[str, ...], list[str]] = {}
    for fact in known:
        place = tuple(str(fact.data.get(name) or "") for name in PLACE)
        if any(place):
            same = next((p for p in places if _agree(p, place)), place)
            places.setdefault(same, []).append(fact.id)
    if len(places) < 2:
        return []
    versions = tuple(
        Version(tuple(ids), dict(zip(PLACE, place, strict=True))) for place, ids in places.items()
    )
    return [Clash(f"{known[0].subject}: named with different places", versions, PLACE_STRUCK)]


def _agree(first: Iterable[str], second: Iterable[str]) -> bool:
    """Tell whether two places can be one; a fact may leave out what it does not know."""
    return all("" in pair or pair[0] == pair[1] for pair in zip(first, second, strict=True))


def _differences(events: Sequence[Mapping[str, Any]]) -> tuple[Version, ...]:
    """Return versions that say only what differs between them."""
    flat = [_flat(event) for event in events]
    names = [name for name in dict.fromkeys(n for f in flat for n in f) if name != "id"]
    differing = [name for name in names if len({f.get(name) for f in flat}) > 1]
    return tuple(
        Version((event["id"],), {name: f.get(name, "absent") for name in differing})
        for event, f in zip(events, flat, strict=True)
    )


def _flat(event: Mapping[str, Any]) -> dict[str, str]:
    shown = {name: _shown(value) for name, value in event.items() if name != "data"}
    return shown | {f"data.{name}": _shown(value) for name, value in event["data"].items()}


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _what_instead(connection: Connection, leg: Any) -> str:
    """Say what to do about a contradiction that is none between facts of one subject."""
    reused = [
        str(no)
        for no, event in connection.execute(_reused_events())
        if parse_fact(event).subject in (leg.leg, leg.occurrence)
    ]
    if reused:
        return f"the id that came twice decided first: problem {', '.join(reused)}"
    return "two versions to choose between; here facts are missing or wrong, so dismiss it"


def _reused_events() -> Any:
    return (
        sa.select(problems.c.no, problems.c.event)
        .where(problems.c.open == 1, problems.c.reason == ID_REUSED_REASON)
        .order_by(problems.c.no)
    )


def _choose_version(
    connection: Connection, store: Store, problem: Any, *, newer: bool, note: str
) -> None:
    fact = parse_fact(problem.event)
    number = _number(connection, fact.source)
    older = _event(connection, number, fact.id)
    if newer:
        if (parse_fact(older).type <= LEFT) != (fact.type <= LEFT):
            expected = "the older version kept: one is of a leg, the other of an occurrence"
            raise BillingInputError("problem", problem.no, expected)
        _replace(connection, store, number, fact)
    what, against = (ACCEPTED, older) if newer else (KEPT, problem.event)
    _record(connection, problem.no, what, (number, fact.id), against, note)
    _close(connection, problem.no)
    if not any(
        parse_fact(event).subject == fact.subject
        for _, event in connection.execute(_reused_events())
    ):
        _clear_mark(connection, number, fact.subject)
    _fold_again(connection, number, fact.subject)


def _replace(connection: Connection, store: Store, source: int, fact: Fact) -> None:
    """Put a fact in the place of its older version, at the end of the stream of facts."""
    values: dict[str, Any] = {"source": source, "id": fact.id, "type": fact.type}
    values |= {"time_ms": fact.time_ms, "data": fact.text, "extra": fact.extra}
    if store.dialect == "sqlite":  # which would give the newest number again
        values["seq"] = connection.scalar(sa.select(sa.func.max(facts.c.seq) + 1))
    connection.execute(sa.delete(facts).where(facts.c.source == source, facts.c.id == fact.id))
    connection.execute(sa.insert(facts).values(values))


def _clear_mark(connection: Connection, source: int, subject: str) -> None:
    mask: sa.ColumnElement[int] = sa.literal_column(str(~ID_REUSED))
    for table, name in ((legs, "leg"), (occurrences, "occurrence")):
        connection.execute(
            sa.update(table)
            .where(table.c.source == source, table.c[name] == subject)
            .values(clash=table.c.clash.op("&")(mask))
        )
    connection.execute(_due(source, subject))


def _fold_again(connection: Connection, source: int, subject: str) -> None:
    """Say anew what the facts of a leg or occurrence say together, and have it settled."""
    folds = Folds[int]()
    struck = struck_facts(connection)
    for fact in _facts_of(connection, source, subject):
        fold_stored(folds, source, fact, struck)
    for key, fold in folds.legs.items():
        put_fold(connection, legs, "leg", key, LEG_COLUMNS, fold)
    for key, fold in folds.occurrences.items():
        put_fold(connection, occurrences, "occurrence", key, OCCURRENCE_COLUMNS, fold)
    connection.execute(_due(source, subject))


def _due(source: int, subject: str) -> Any:
    mine = sa.or_(legs.c.leg == subject, legs.c.occurrence == subject)
    return sa.update(legs).where(legs.c.source == source, mine).values(state=1)


def _number(connection: Connection, source: str) -> int:
    number = connection.scalar(sa.select(sources.c.no).where(sources.c.source == source))
    assert number is not None, "its first version was stored"
    return int(number)


def _rows(connection: Connection, source: int, condition: Any) -> Iterable[Any]:
    columns = (facts.c.id, facts.c.type, facts.c.time_ms, facts.c.data, facts.c.extra)
    select = (
        sa.select(sources.c.source, *columns)
        .join(sources, sources.c.no == facts.c.source)
        .where(facts.c.source == source, condition)
        .order_by(facts.c.seq)
    )
    return connection.execute(select).fetchall()


def _event(connection: Connection, source: int, identity: str) -> str:
    """Return a stored fact as the JSON that `ingest` compares with."""
    (row,) = _rows(connection, source, facts.c.id == identity)
    return json.dumps(event_of(tuple(row)))


def _facts_of(connection: Connection, source: int, subject: str) -> list[Fact]:
    inside = sa.and_(facts.c.id > f"{subject}/", facts.c.id < f"{subject}0")  # "0" follows "/"
    found = (stored_fact(tuple(row)) for row in _rows(connection, source, inside))
    return [fact for fact in found if fact.subject == subject]
