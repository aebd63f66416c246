"""Fixtures of the probes: one bridge process for each file, one phone of text for each test."""

from collections.abc import Iterator

import pytest

from tests.peers.bridge_process import config, serving
from tests.peers.probing import CODE, Serving, free_port
from tests.peers.sip_wire import HOST, Talk, Wire


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Return `tollbridge serve` in a process."""
    folder = tmp_path_factory.mktemp("probes")
    store, port = folder / "store.db", free_port()
    with serving(config(port, store, [CODE]), folder) as process:
        yield Serving((HOST, port), store, process.pid)


@pytest.fixture
def wire(bridge: Serving) -> Iterator[Wire]:
    """Return a socket that talks to the bridge."""
    with Wire(bridge.address) as made:
        yield made


@pytest.fixture
def talk(wire: Wire) -> Talk:
    """Return a call that is about to be made."""
    return Talk(wire)
