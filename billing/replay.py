"""Folding every stored fact again, as if all had just come in; changes nothing that was right.

What a leg's facts say together is recomputed from all of them at once and put in place of what
was added up batch by batch. Settling after it must find nothing new: that is the proof that
order and repetition do not matter, and the repair should they ever.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, Final

import sqlalchemy as sa

from billing.events import PLACE, Fact, stored_fact
from billing.fold import ID_REUSED, LEG_COLUMNS, OCCURRENCE_COLUMNS, Folds
from billing.store import Store
from billing.tables import decisions, facts, legs, occurrences

CHUNK: Final = 5_000

PLACE_STRUCK: Final = "place_struck"
STRUCK: Final = "struck"
"""What an operator decided about a fact that does not hold: only where it says it was, or all."""

_ROWS: Final = (
    sa.select(
        facts.c.source, facts.c.id, facts.c.type, facts.c.time_ms, facts.c.data, facts.c.extra
    )
    .where(
        sa.tuple_(facts.c.source, facts.c.id)
        > sa.tuple_(sa.bindparam("of_source"), sa.bindparam("after"))
    )
    .order_by(facts.c.source, facts.c.id)
    .limit(CHUNK)
)


def replay(store: Store) -> tuple[int, int]:
    """Fold all facts again; return how many there are, and how many subjects had to be mended."""
    total = mended = 0
    with store.read() as connection:
        struck = struck_facts(connection)
    subjects = groupby(_facts(store), key=lambda row: (row[0], row[1].rpartition("/")[0]))
    batch = Folds[int]()
    for (source, _), rows in subjects:
        for row in rows:
            fold_stored(batch, source, stored_fact(row), struck)
            total += 1
        if len(batch.legs) + len(batch.occurrences) >= CHUNK // 5:
            mended += _mend(store, batch)
            batch = Folds()
    return total, mended + _mend(store, batch)


def _facts(store: Store) -> Iterator[tuple[Any, ...]]:
    """Read all facts in the order of their ids, so that those of one subject are together."""
    place: tuple[int, str] = (0, "")
    while True:
        with store.read() as connection:
            found = connection.execute(_ROWS, {"of_source": place[0], "after": place[1]}).all()
        if not found:
            return
        yield from (tuple(row) for row in found)
        place = (found[-1][0], found[-1][1])


def struck_facts(connection: sa.Connection) -> dict[tuple[int, str], str]:
    """Return the facts, by (source, id), that an operator decided against, and how far."""
    select = (
        sa.select(decisions.c.source, decisions.c.id, decisions.c.what)
        .where(decisions.c.what.in_((STRUCK, PLACE_STRUCK)))
        .order_by(decisions.c.what)  # what is struck whole is so, whatever was said of its place
    )
    return {(source, identity): what for source, identity, what in connection.execute(select)}


def fold_stored(
    folds: Folds[int], source: int, fact: Fact, struck: Mapping[tuple[int, str], str]
) -> None:
    """Fold a stored fact, or what an operator left of it."""
    what = struck.get((source, fact.id))
    if what == STRUCK:
        folds.count(source, fact)
    elif what == PLACE_STRUCK:
        rest = {name: value for name, value in fact.data.items() if name not in PLACE}
        folds.add(source, fact._replace(data=rest))
    else:
        folds.add(source, fact)


def _mend(store: Store, folds: Folds[int]) -> int:
    mended = 0
    with store.write() as connection:
        for key, fold in folds.legs.items():
            mended += put_fold(connection, legs, "leg", key, LEG_COLUMNS, fold)
        for key, fold in folds.occurrences.items():
            changed = put_fold(connection, occurrences, "occurrence", key, OCCURRENCE_COLUMNS, fold)
            mended += changed
            if changed:
                connection.execute(
                    sa.update(legs)
                    .where(legs.c.source == key[0], legs.c.occurrence == key[1])
                    .values(state=1)
                )
    return mended


def put_fold(
    connection: sa.Connection,
    table: sa.Table,
    name: str,
    key: tuple[int, str],
    columns: Iterable[str],
    fold: list[Any],
) -> int:
    """Put a whole fold in place when it differs; an id that was used twice stays marked."""
    mine = (table.c.source == key[0], table.c[name] == key[1])
    names = list(columns)
    found = connection.execute(sa.select(*[table.c[n] for n in names]).where(*mine)).first()
    values = dict(zip(names, fold, strict=True))
    if found is None:
        connection.execute(sa.insert(table).values({"source": key[0], name: key[1], **values}))
        return 1
    known = dict(zip(names, found, strict=True))
    values["clash"] |= known["clash"] & ID_REUSED
    if known == values or known["facts"] > values["facts"]:  # more came in meanwhile
        return 0
    if table is legs:
        values["state"] = 1
    connection.execute(sa.update(table).where(*mine).values(values))
    return 1
