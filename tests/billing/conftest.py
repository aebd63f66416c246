"""Fixtures: an empty store for each test, on SQLite and on PostgreSQL, with C1 (domain.md)."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa

from billing import AccountConfig, Billing, ContractConfig
from billing.store import Store
from tests.billing.postgres import server

C1 = ContractConfig(
    id="c1",
    currency="USD",
    toll_free={"US": "0.06", "FR": "0.09", "DE": "0.08"},
    call_me={"US": "0.07"},
)
OVI = ContractConfig(id="ovi", currency="USD", toll_free={"*": "0.10"})
ACME = AccountConfig(id="acme", contract="c1", time_zone="America/New_York")

_numbers = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A server with a database `model` that has the schema; its URL with `{}` for the name."""
    with server() as socket:
        url = f"postgresql+psycopg://tester@/{{}}?host={socket}"
        admin = sa.create_engine(url.format("postgres"), isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.exec_driver_sql("CREATE DATABASE model")
        admin.dispose()
        Store(url.format("model")).close()
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peer)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'billing.db'}"
    url: str = request.getfixturevalue("postgres")
    name = f"test{next(_numbers)}"
    admin = sa.create_engine(url.format("postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE model")
    admin.dispose()
    return url.format(name)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'billing.db'}"


@pytest.fixture
def billing(store_url: str) -> Iterator[Billing]:
    with Billing(store_url) as opened:
        opened.configure([C1, OVI], [ACME])
        yield opened
