"""What the billing commands share: finding the store, reading bridge.toml, failing politely."""

import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from billing.errors import BillingError, BillingInputError, StoreTrouble

DEFAULT_CONFIG: Final = Path("bridge.toml")
DEFAULT_STORE: Final = "sqlite:///tollbridge.db"
OUTBOX_BESIDE: Final = "sqlite:///tollbridge-outbox.db"
"""Where a bridge keeps its outbox when its store is not a SQLite file."""

EXIT_FAILED: Final = 1
EXIT_BAD_INPUT: Final = 2

StoreOption = Annotated[
    str | None,
    typer.Option("--store", help="Store URL: sqlite:///FILE or postgresql://.", metavar="URL"),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="bridge.toml; ./bridge.toml when there is one.", metavar="FILE"),
]
AccountOption = Annotated[str, typer.Option("--account", help="Account id.", metavar="ID")]
MonthOption = Annotated[str, typer.Option("--month", help="YYYY-MM.", metavar="MONTH")]
SellerOption = Annotated[
    str | None, typer.Option("--seller", help="One seller of a month with several.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def read_config(path: Path | None) -> dict[str, Any]:
    """Return the parsed configuration file; the default one may be absent."""
    if path is None and not DEFAULT_CONFIG.is_file():
        return {}
    chosen = path or DEFAULT_CONFIG
    try:
        return tomllib.loads(chosen.read_text(encoding="utf-8"))
    except OSError as error:
        raise BillingInputError("--config", str(chosen), f"a readable file: {error}") from None
    except ValueError as error:
        raise BillingInputError("--config", str(chosen), f"a TOML file: {error}") from None


@contextmanager
def opened(
    store: str | None, config: Path | None, *, create: bool = False, bulk: bool = False
) -> Iterator[Any]:
    """Open the store and bring it up to date: configuration in, outbox drained, all settled.

    With `--store` alone no configuration file is looked for: the store has its own.
    """
    with failing_politely():
        from billing.book import read_models
        from billing.facade import Billing

        document = read_config(config) if store is None or config is not None else {}
        section = document.get("store", {})
        url = store or (section.get("url") if isinstance(section, dict) else None) or DEFAULT_STORE
        with Billing(url, must_exist=not create, bulk=bulk) as billing:
            if document:
                billing.configure(*read_models(document, str(config or DEFAULT_CONFIG)))
            billing.ingest_outbox(None if url.startswith("sqlite") else OUTBOX_BESIDE)
            billing.settle()
            yield billing


@contextmanager
def failing_politely() -> Iterator[None]:
    """Turn billing's errors into a line on standard error and an exit code."""
    try:
        yield
    except (BillingInputError, StoreTrouble) as error:
        fail(str(error), EXIT_BAD_INPUT)
    except BillingError as error:
        fail(f"{error.code}: {error}", EXIT_FAILED)


def fail(message: str, status: int) -> None:
    """Say what is wrong and exit."""
    print(f"tollbridge: {message}", file=sys.stderr)
    raise typer.Exit(status)
