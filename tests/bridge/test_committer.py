"""The committer: order kept, calls refused when the store is, true facts never lost."""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bridge.committer import Attempt, Committer, Job
from bridge.conference.api import Fact
from bridge.errors import StoreUnavailable
from bridge.metering import Elapsed, Outbox
from bridge.server import attempted
from bridge.units import ConfMs, LegId


def fact(subject: str, number: int) -> Fact:
    return Fact(f"{subject}/{number}", "leg.answered", ConfMs(0), subject, {"leg": subject})


class Harness:
    """A committer on a fresh file, and what became of each job, in order."""

    def __init__(
        self, path: Path, *, kind: type[Outbox] = Outbox, attempt: Attempt = attempted
    ) -> None:
        self.path = path
        self.outbox = kind(f"sqlite:///{path}", "/tollbridge/test")
        self.committer = Committer(self.outbox, asyncio.get_running_loop(), attempt=attempt)
        self.results: list[tuple[str, str]] = []
        self.came = asyncio.Event()

    def submit(self, facts: tuple[Fact, ...], *, refusable: str | None = None) -> None:
        def done(fault: StoreUnavailable | None) -> None:
            self.results.append((facts[0].id, fault.code if fault else "written"))
            self.came.set()

        self.committer.submit(Job(facts, done, LegId(refusable) if refusable else None))

    async def results_of(self, count: int) -> list[tuple[str, str]]:
        async with asyncio.timeout(20):
            while len(self.results) < count:
                self.came.clear()
                await self.came.wait()
        return self.results

    def written(self) -> list[str]:
        with sqlite3.connect(self.path) as connection:
            rows = connection.execute("SELECT id FROM outbox ORDER BY seq").fetchall()
        connection.close()
        return [row[0] for row in rows]

    async def close(self) -> None:
        await self.committer.close()
        self.outbox.close()


@pytest.fixture
def lock(tmp_path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    return connection


async def test_jobs_are_written_and_told_in_order(tmp_path: Path) -> None:
    harness = Harness(tmp_path / "store.db")
    for number in range(1, 1_201):
        harness.submit((fact("leg-1", number),))
    results = await harness.results_of(1_200)
    assert [name for name, _ in results] == [f"leg-1/{n}" for n in range(1, 1_201)]
    assert harness.written() == [name for name, _ in results]
    await harness.close()


async def test_a_locked_store_refuses_the_call_and_keeps_the_facts(
    tmp_path: Path, lock: sqlite3.Connection
) -> None:
    harness = Harness(tmp_path / "store.db")
    lock.execute("BEGIN EXCLUSIVE")
    harness.submit((fact("leg-old", 2),))
    harness.submit((fact("leg-new", 1),), refusable="leg-new")
    assert await harness.results_of(1) == [("leg-new/1", "store_unavailable")]
    harness.submit((fact("leg-new", 2),))  # a fact of the refused leg that was on its way
    lock.execute("ROLLBACK")
    results = await harness.results_of(3)
    assert results[1:] == [("leg-old/2", "written"), ("leg-new/2", "written")]
    assert harness.written() == ["leg-old/2"], "nothing of the refused leg is half-written"
    await harness.close()
    lock.close()


async def test_close_writes_what_is_queued(tmp_path: Path) -> None:
    harness = Harness(tmp_path / "store.db")
    for number in range(1, 51):
        harness.submit((fact("leg-1", number),))
    harness.committer.submit(
        Job((), lambda _: None, checkpoints=(Elapsed(LegId("leg-1"), ConfMs(7)),))
    )
    await harness.close()
    assert len(harness.written()) == 50


async def test_facts_no_disk_takes_go_whole_into_the_log(
    tmp_path: Path,
    lock: sqlite3.Connection,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("bridge.committer.CLOSE_TRIES_MAX", 1)
    harness = Harness(tmp_path / "store.db")
    lock.execute("BEGIN EXCLUSIVE")
    harness.submit((fact("leg-1", 1),))
    await harness.close()
    lock.execute("ROLLBACK")
    lock.close()
    assert "store.fact_not_written" in (out := capsys.readouterr().out)
    assert "leg-1/1" in out


# --- faults of ours -----------------------------------------------------------------------


POISON: Mapping[str, Any] = {"leg": object()}
"""What no fact should hold, and nothing can write."""


class Breaking(Outbox):
    """A store whose every commit raises what nobody expects, while it is broken."""

    broken = True

    def commit(self, facts: Sequence[Fact], checkpoints: Sequence[Elapsed] = ()) -> None:
        if self.broken:
            raise RuntimeError("nobody expects this")
        super().commit(facts, checkpoints)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - a thread makes it true
            await asyncio.sleep(0.01)


async def test_a_fact_that_cannot_be_written_goes_into_the_log_and_holds_up_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    harness = Harness(tmp_path / "store.db")
    bad = Fact("leg-1/2", "leg.left", ConfMs(0), "leg-1", POISON)
    for one in (fact("leg-1", 1), bad, fact("leg-2", 1)):
        harness.submit((one,))
    results = await harness.results_of(3)
    assert dict(results) == dict.fromkeys(("leg-1/1", "leg-1/2", "leg-2/1"), "written")
    assert harness.written() == ["leg-1/1", "leg-2/1"]
    await until(lambda: not harness.committer.trouble)
    assert harness.committer.not_written == 1
    out = capsys.readouterr().out
    assert "store.fact_not_written" in out
    assert "leg-1/2" in out
    assert "Traceback" in out or "TypeError" in out
    await harness.close()


async def test_a_call_whose_answer_cannot_be_written_is_refused_and_later_ones_are_taken(
    tmp_path: Path,
) -> None:
    harness = Harness(tmp_path / "store.db")
    bad = Fact("leg-bad/1", "leg.answered", ConfMs(0), "leg-bad", POISON)
    harness.submit((bad,), refusable="leg-bad")
    assert await harness.results_of(1) == [("leg-bad/1", "store_unavailable")]
    harness.submit((fact("leg-new", 1),), refusable="leg-new")
    assert (await harness.results_of(2))[1:] == [("leg-new/1", "written")]
    assert harness.written() == ["leg-new/1"]
    assert harness.committer.not_written == 0
    await harness.close()


async def test_a_store_that_raises_anything_refuses_calls_until_it_works_again(
    tmp_path: Path,
) -> None:
    harness = Harness(tmp_path / "store.db", kind=Breaking)
    harness.submit((fact("leg-old", 2),))
    harness.submit((fact("leg-new", 1),), refusable="leg-new")
    assert await harness.results_of(1) == [("leg-new/1", "store_unavailable")]
    assert harness.committer.trouble == "RuntimeError: nobody expects this"
    assert isinstance(harness.outbox, Breaking)
    harness.outbox.broken = False
    assert (await harness.results_of(2))[1:] == [("leg-old/2", "written")], "no true fact is lost"
    await until(lambda: not harness.committer.trouble)
    assert harness.written() == ["leg-old/2"]
    assert harness.committer.not_written == 0
    await harness.close()


async def test_trouble_is_over_when_the_store_works_though_nobody_calls(tmp_path: Path) -> None:
    harness = Harness(tmp_path / "store.db", kind=Breaking)
    harness.submit((fact("leg-new", 1),), refusable="leg-new")
    await harness.results_of(1)
    assert harness.committer.trouble
    assert isinstance(harness.outbox, Breaking)
    harness.outbox.broken = False
    await until(lambda: not harness.committer.trouble)
    await harness.close()


async def test_when_the_thread_itself_ends_calls_are_refused_and_facts_are_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("threading.excepthook", lambda _: None)

    def ends(_: Callable[[], object]) -> None:
        raise SystemExit

    harness = Harness(tmp_path / "store.db", attempt=ends)
    harness.submit((fact("leg-1", 1),))
    await until(lambda: bool(harness.committer.trouble))
    assert harness.committer.trouble == "the thread that commits facts has ended"
    harness.submit((fact("leg-1", 2),))
    harness.submit((fact("leg-2", 1),), refusable="leg-2")
    results = await harness.results_of(3)
    told = [("leg-1/1", "written"), ("leg-1/2", "written"), ("leg-2/1", "store_unavailable")]
    assert results == told, "nobody waits for ever"
    assert harness.committer.not_written == 2, "also what it had taken"
    assert "leg-1/1" in (out := capsys.readouterr().out)
    assert "leg-1/2" in out
    await harness.close()
