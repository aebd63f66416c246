"""The outbox: facts committed once, what is open remembered, a kill recovered (D4, D13)."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.conference.api import Fact, SessionSpec, StartPolicy
from bridge.errors import StoreUnavailable
from bridge.metering import BUSY_TIMEOUT_MS, Elapsed, Outbox
from bridge.units import ConfMs, LegId, SessionId

HERE = {"session": "s1", "account": "acme", "occurrence": "s1.a"}


def fact(subject: str, number: int, event: str, at: int, **data: str | int | bool | None) -> Fact:
    return Fact(f"{subject}/{number}", event, ConfMs(at), subject, data)


def answered(leg: str, at: int) -> Fact:
    return fact(leg, 1, "leg.answered", at, leg=leg, kind="toll_free", country="US")


def waiting(leg: str, at: int) -> list[Fact]:
    return [
        fact(leg, 2, "leg.identified", at, leg=leg, **HERE),
        fact(leg, 3, "leg.waiting", at, leg=leg, **HERE),
    ]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def outbox(url: str) -> Iterator[Outbox]:
    outbox = Outbox(url, "/tollbridge/test")
    yield outbox
    outbox.close()


def events(url: str) -> list[dict[str, object]]:
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        rows = connection.execute("SELECT event FROM outbox ORDER BY seq").fetchall()
    connection.close()
    return [json.loads(row[0]) for row in rows]


def test_a_fact_is_one_cloud_event(outbox: Outbox, url: str) -> None:
    outbox.commit([answered("leg-1", 1_770_732_240_250)])
    assert events(url) == [
        {
            "specversion": "1.0",
            "id": "leg-1/1",
            "source": "/tollbridge/test",
            "type": "leg.answered",
            "subject": "leg-1",
            "time": "2026-02-10T14:04:00.250Z",
            "datacontenttype": "application/json",
            "data": {"leg": "leg-1", "kind": "toll_free", "country": "US"},
        }
    ]


def test_the_same_fact_twice_is_one_row(outbox: Outbox, url: str) -> None:
    outbox.commit([answered("leg-1", 0)])
    outbox.commit([answered("leg-1", 0)])
    assert len(events(url)) == 1
    assert outbox.waiting() == 1


def test_a_locked_file_refuses_the_whole_commit(outbox: Outbox, url: str) -> None:
    blocker = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreUnavailable, match="locked"):
        outbox.commit([answered("leg-1", 0), answered("leg-2", 0)])
    blocker.execute("ROLLBACK")
    blocker.close()
    assert events(url) == []
    assert BUSY_TIMEOUT_MS <= 5_000, "a caller waits this long for his 503"


def test_a_kill_closes_legs_at_the_last_time_written(outbox: Outbox) -> None:
    outbox.commit([answered("leg-1", 1_000), answered("leg-2", 1_500)])
    outbox.commit(waiting("leg-1", 4_000))
    outbox.commit([], [Elapsed(LegId("leg-1"), ConfMs(61_000))])
    recovered = {f.id: f for f in outbox.recover()}
    left = recovered["leg-1/4"]
    assert (left.type, left.at, left.data["duration_ms"]) == ("leg.left", 61_000, 60_000)
    assert left.data["reason"] == "bridge_restarted"
    assert recovered["leg-2/2"].data["duration_ms"] == 0, "never longer than what was written"
    ended = recovered["s1.a/1"]
    assert (ended.type, ended.data["started"]) == ("session.ended", False)
    assert ended.at == 61_000, "no earlier than the last of its legs"
    assert outbox.recover() == []


def open_subjects(url: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        rows = connection.execute("SELECT * FROM open_subject ORDER BY subject").fetchall()
    connection.close()
    return rows


def test_facts_committed_together_open_and_close_what_they_do_one_by_one(tmp_path: Path) -> None:
    facts = [
        answered("leg-1", 1_000),
        answered("leg-2", 1_500),
        *waiting("leg-1", 4_000),
        fact("s1.a", 1, "organizer.joined", 5_000, leg="leg-1", **HERE),
        fact("s1.a", 2, "session.started", 5_000, by="organizer", **HERE),
        *waiting("leg-2", 6_000),
        fact("leg-1", 4, "leg.left", 9_000, leg="leg-1", reason="hung_up", **HERE),
    ]
    ways = {"one by one": [[one] for one in facts], "two by two": [facts[:4], facts[4:]]}
    ways["together"] = [facts]
    found = {}
    for way, commits in ways.items():
        url = f"sqlite:///{tmp_path}/{way}.db"
        outbox = Outbox(url, "/tollbridge/test")
        for commit in commits:
            outbox.commit(commit)
        outbox.close()
        found[way] = (open_subjects(url), events(url))
    assert found["one by one"] == found["two by two"] == found["together"]
    (leg, occurrence), written = found["together"]
    assert leg == ("leg-2", 1, 3, 1_500, 4_500, "s1", "acme", "s1.a", 0)
    assert occurrence == ("s1.a", 0, 2, 4_000, 5_000, "s1", "acme", "s1.a", 1)
    assert len(written) == len(facts)


def test_a_late_checkpoint_never_shortens_a_leg(outbox: Outbox) -> None:
    outbox.commit([answered("leg-1", 0), *waiting("leg-1", 30_000)])
    outbox.commit([], [Elapsed(LegId("leg-1"), ConfMs(20_000))])
    assert outbox.recover()[0].at == 30_000


def test_an_occurrence_of_legs_that_all_left_is_ended_too(outbox: Outbox) -> None:
    """Its legs would never be settled otherwise: no outcome would ever be final (D4)."""
    outbox.commit([answered("leg-1", 0), *waiting("leg-1", 2_000)])
    outbox.commit(
        [fact("leg-1", 4, "leg.left", 302_000, leg="leg-1", reason="waiting_timeout", **HERE)]
    )
    (ended,) = outbox.recover()
    assert (ended.id, ended.type, ended.at) == ("s1.a/1", "session.ended", 302_000)


def test_what_ended_by_itself_is_not_recovered(outbox: Outbox) -> None:
    outbox.commit([answered("leg-1", 0), *waiting("leg-1", 2_000)])
    outbox.commit([fact("s1.a", 1, "organizer.joined", 3_000, leg="leg-1", **HERE)])
    outbox.commit([fact("s1.a", 2, "session.started", 3_000, by="organizer", **HERE)])
    outbox.commit([fact("leg-1", 4, "leg.left", 9_000, leg="leg-1", reason="hung_up", **HERE)])
    outbox.commit([fact("s1.a", 3, "session.ended", 9_000, reason="organizer", **HERE)])
    assert outbox.recover() == []


def test_a_started_occurrence_is_recovered_as_started(outbox: Outbox) -> None:
    outbox.commit([answered("leg-1", 0), *waiting("leg-1", 2_000)])
    outbox.commit(
        [
            fact("s1.a", 1, "organizer.joined", 3_000, leg="leg-1", **HERE),
            fact("s1.a", 2, "session.started", 3_000, by="organizer", **HERE),
        ]
    )
    ended = outbox.recover()[-1]
    assert (ended.id, ended.data["started"]) == ("s1.a/3", True)


def spec(name: str, code: str) -> SessionSpec:
    return SessionSpec(
        SessionId(name), "acme", code, "771144", StartPolicy.ON_COMMAND, frozenset({"US", "FR"})
    )


def test_sessions_are_kept_and_the_store_wins(outbox: Outbox) -> None:
    outbox.put_sessions([spec("s1", "482913")])
    outbox.put_sessions([spec("s1", "999999"), spec("s2", "5000")])
    assert outbox.sessions() == [spec("s1", "482913"), spec("s2", "5000")]


def test_a_code_of_another_session_is_refused(outbox: Outbox) -> None:
    outbox.put_sessions([spec("s1", "482913")])
    with pytest.raises(StoreUnavailable, match="access_code"):
        outbox.put_sessions([spec("s2", "482913")])


def test_a_cancelled_session_stays_cancelled(outbox: Outbox) -> None:
    outbox.put_sessions([spec("s1", "482913")])
    outbox.commit([fact("s1.a", 1, "session.cancelled", 0, by="api", **HERE)])
    outbox.put_sessions([spec("s1", "482913")])
    assert outbox.sessions() == []
    assert outbox.recover() == []


def test_a_path_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="nowhere"):
        Outbox(f"sqlite:///{tmp_path}/nowhere/store.db", "/tollbridge/test")
