"""Janus beside this bridge: same callers, same ears; a clear word when it is not installed."""

import subprocess
import sys
from pathlib import Path

import pytest

from bridge.bench.peers import run
from bridge.errors import InputError
from tests.peers.needs import need


def test_a_janus_that_is_not_installed_is_asked_for_before_anything_starts(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bridge.cli", "bench", "peers"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": str(tmp_path)},
    )
    assert done.returncode == 2
    assert "janus: 'not installed': expected Debian's package: apt-get install janus" in done.stderr


def test_more_conferences_than_pairs_of_callers_are_refused() -> None:
    with pytest.raises(InputError, match="--conferences"):
        run(4, 3, 1.0, pairs=1)


@pytest.mark.peer
@pytest.mark.long  # two bridges, one after the other
def test_both_bridges_carry_the_same_callers_and_nobody_is_missed() -> None:
    need("janus")
    result = run(8, 2, 4.0, pairs=1)
    names = [row["bridge"] for row in result["rows"]]
    assert names == ["tollbridge", "janus"]
    for row in result["rows"]:
        assert 45 < row["pps_mean"] < 55
        assert row["voices"] > 0
        assert (row["missing"], row["wrong"]) == (0, 0)
        assert row["core_milli_per_participant"] > 0
        assert row["delay_ms_p50"] > 0
