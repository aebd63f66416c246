"""The committer: order kept, calls refused when the store is, true facts never lost."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from bridge.committer import Committer, Job
from bridge.conference.api import Fact
from bridge.errors import StoreUnavailable
from bridge.metering import Elapsed, Outbox
from bridge.units import ConfMs, LegId


def fact(subject: str, number: int) -> Fact:
    return Fact(f"{subject}/{number}", "leg.answered", ConfMs(0), subject, {"leg": subject})


class Harness:
    """A committer on a fresh file, and what became of each job, in order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.outbox = Outbox(f"sqlite:///{path}", "/tollbridge/test")
        self.committer = Committer(self.outbox, asyncio.get_running_loop())
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
