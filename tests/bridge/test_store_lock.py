"""One bridge a store: a second one would end the first one's calls as if it had been killed."""

import subprocess
import sys
from pathlib import Path

import pytest

from bridge.conference.api import LegState
from bridge.config import Settings, parse_settings
from bridge.doctor import examine
from bridge.errors import OperatingTrouble, StoreUnavailable
from bridge.server import Bridge
from bridge.store_lock import StoreLock
from tests.bridge.conference.driver import CODE, PIN
from tests.bridge.phone import CallIn

HOLDER = """
import sys, time
from bridge.store_lock import StoreLock
lock = StoreLock(sys.argv[1])
print("has it", flush=True)
time.sleep(60)
"""


def settings_of(store: Path, first_port: int, *, sip_port: int = 0) -> Settings:
    return parse_settings(
        {
            "sip": {"listen": f"127.0.0.1:{sip_port}"},
            "rtp": {"port_range": [first_port, first_port + 99]},
            "store": {"url": f"sqlite:///{store}"},
            "contract": [{"id": "c1", "currency": "USD"}],
            "account": [{"id": "acme", "contract": "c1"}],
            "session": [{"id": "s1", "account": "acme", "access_code": CODE, "organizer_pin": PIN}],
        }
    )


async def test_a_second_bridge_on_a_store_ends_no_call_of_the_first(tmp_path: Path) -> None:
    first = Bridge(settings_of(tmp_path / "one.db", 47_000))
    await first.start()
    ann = await CallIn.dial(first, CODE)
    assert await first.wait_for(lambda b: b.roster()[-1].state is LegState.WAITING, 15)
    await first.committed()
    second = Bridge(settings_of(tmp_path / "one.db", 47_100))
    with pytest.raises(StoreUnavailable, match=r"another bridge.*runs on it"):
        await second.start()
    leg = first.roster()[0].leg
    await first.stop()
    await ann.close()
    told = [(f.type, f.data.get("reason")) for f in first.facts if f.subject == leg]
    assert told[-1] == ("leg.left", "session_ended")
    third = Bridge(settings_of(tmp_path / "one.db", 47_200))
    await third.start()
    assert list(third.facts) == [], "nothing was left open for a recovery"
    await third.stop()


async def test_a_bridge_that_could_not_start_leaves_the_store_to_the_next(tmp_path: Path) -> None:
    first = Bridge(settings_of(tmp_path / "one.db", 47_000))
    await first.start()
    elsewhere = settings_of(tmp_path / "two.db", 47_100, sip_port=first.sip_address[1])
    with pytest.raises(OperatingTrouble, match="in use"):
        await Bridge(elsewhere).start()
    StoreLock(f"sqlite:///{tmp_path}/two.db").release()
    await first.stop()


def test_the_lock_names_its_process_and_goes_with_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/one.db"
    command = [sys.executable, "-c", HOLDER, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "has it\n"
        with pytest.raises(StoreUnavailable, match=rf"\(process {holder.pid}\)"):
            StoreLock(url)
        holder.kill()
    StoreLock(url).release()


def test_the_same_store_by_another_path_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = StoreLock(f"sqlite:///{tmp_path}/one.db")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreUnavailable):
        StoreLock("sqlite:///one.db")
    StoreLock("sqlite:///two.db").release()
    StoreLock("sqlite://").release()
    lock.release()
    StoreLock("sqlite:///one.db").release()


def test_a_store_in_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="nowhere"):
        StoreLock(f"sqlite:///{tmp_path}/nowhere/one.db")


def test_doctor_says_that_a_bridge_runs_on_the_store(tmp_path: Path) -> None:
    config = tmp_path / "bridge.toml"
    config.write_text(f'[store]\nurl = "sqlite:///{tmp_path}/one.db"\n')
    lock = StoreLock(f"sqlite:///{tmp_path}/one.db")
    faults = examine(config, lambda line: None)
    lock.release()
    assert any(fault.startswith("another bridge") for fault in faults)
