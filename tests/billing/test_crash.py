"""kill -9 at any moment loses nothing and bills nothing twice: what is left to do is done after."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from billing import AccountConfig, Billing, ContractConfig
from billing.bench import MONTH, accounts_of, facts

LEGS = 3_000
NAMES = [f"acct{number:05d}" for number in range(accounts_of(LEGS))]

WORK = """
import sys
from tests.billing.test_crash import work
from billing import Billing
with Billing(sys.argv[1]) as billing:
    print("begun", flush=True)
    work(billing)
"""


def work(billing: Billing) -> list[tuple[str | None, int, int]]:
    """Take everything in, settle and finalize; safe to do again from wherever it stopped."""
    billing.configure(
        [ContractConfig(id="c1", currency="USD", toll_free={"US": "0.06"})],
        [AccountConfig(id=n, contract="c1", time_zone="America/New_York") for n in NAMES],
    )
    report = billing.ingest_lines(facts(LEGS))
    assert report.problems == 0
    billing.settle()
    found = [i for name in NAMES for i in billing.finalize(name, MONTH)]
    return [(i.number, i.total_micros, len(i.lines)) for i in found]


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str | None, int, int]]:
    with Billing(f"sqlite:///{tmp_path_factory.mktemp('right') / 'b.db'}") as billing:
        return work(billing)


@pytest.mark.parametrize("seed", range(4))
def test_a_kill_at_any_moment_changes_nothing_in_the_end(
    sqlite_url: str, seed: int, right: list[tuple[str | None, int, int]]
) -> None:
    root = Path(__file__).parents[2]
    moments = random.Random(seed)
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", WORK, sqlite_url], cwd=root, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        time.sleep(moments.random() * 1.2)
        process.kill()
        process.communicate()
    with Billing(sqlite_url) as billing:
        assert work(billing) == right
        assert billing.replay()[1:] == (0, 0)
        assert all(not i.of("adjustment") for i in billing.invoices(NAMES[0], "2026-03"))
