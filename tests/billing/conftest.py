"""Fixtures: an empty store for each test, configured with contract C1 (domain.md)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from billing import AccountConfig, Billing, ContractConfig

C1 = ContractConfig(
    id="c1",
    currency="USD",
    toll_free={"US": "0.06", "FR": "0.09", "DE": "0.08"},
    call_me={"US": "0.07"},
)
OVI = ContractConfig(id="ovi", currency="USD", toll_free={"*": "0.10"})
ACME = AccountConfig(id="acme", contract="c1", time_zone="America/New_York")


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'billing.db'}"


@pytest.fixture
def billing(store_url: str) -> Iterator[Billing]:
    with Billing(store_url) as opened:
        opened.configure([C1, OVI], [ACME])
        yield opened
