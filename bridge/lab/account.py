"""Who pays in a story, and by which contract; knows the form of contracts, not what they cost."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError, model_validator

from billing import ContractConfig
from billing.config import RateConfig
from bridge.lab.source import suggestion
from bridge.lab.words import Part, fault, in_plain_words

CONTRACTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "c1": {
        "currency": "USD",
        "minimum_s": 60,
        "increment_s": 60,
        "toll_free": {"US": "0.06", "FR": "0.09", "DE": "0.08"},
        "call_me": {"US": "0.07"},
    },
    "flat10": {"currency": "USD", "toll_free": {"*": "0.10"}, "call_me": {"*": "0.10"}},
}
"""The contracts of the bills worked by hand: C1 (B1 to B6, B9 to B11) and 0.10 flat (B7, B8)."""

CONTRACT_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,30}")
Product = Literal["integrated", "ovi", "openvoice"]


class Account(Part):
    """Who pays, by which contract."""

    product: Product = "integrated"
    contract: str = "c1"
    time_zone: str = "America/New_York"
    vat_country: str = Field(default="", pattern=r"^([A-Z]{2})?$")

    @model_validator(mode="after")
    def _known(self) -> "Account":
        try:
            ZoneInfo(self.time_zone)
        except (KeyError, ValueError, OSError):
            raise fault(f"unknown time zone {self.time_zone!r}", key="time_zone") from None
        return self


def contract_table(name: str, value: Any) -> dict[str, Any]:
    """Return a contract that a story gives itself, as billing's configuration takes it.

    Raises:
        PydanticCustomError: its name, or what is no table.
        ValidationError: billing's faults; `contract_faults` tells them.
    """
    if not CONTRACT_NAME.fullmatch(name) or name in CONTRACTS:
        text = f"{name!r} cannot be a contract's name: small letters, digits, _ and -"
        raise fault(f"{text}, and none of {', '.join(CONTRACTS)}")
    if not isinstance(value, dict):
        raise fault("a contract is a table such as {currency: USD, toll_free: {US: 0.06}}")
    table = {"id": name, **_prices_as_text(value)}
    ContractConfig.model_validate(table)
    return table


def contract_faults(error: ValidationError) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield each fault of a contract: where it stands in it, and what is wrong."""
    told: set[tuple[str, ...]] = set()
    for details in error.errors():
        parts = (str(part) for part in details["loc"])
        path = tuple(part for part in parts if "[" not in part and part != RateConfig.__name__)
        if path in told:  # a rate is text or a table: each way to read it has its fault
            continue
        told.add(path)
        match details["type"]:
            case "extra_forbidden":
                near = suggestion(path[-1], ContractConfig.model_fields)
                yield path, f"unknown key {path[-1]!r}{near}"
            case "missing":
                yield path, f"{'.'.join(path)} is missing"
            case _:
                yield path, f"{'.'.join(path)}: {in_plain_words(details)}"


def _prices_as_text(value: dict[Any, Any]) -> dict[Any, Any]:
    """Return a contract whose whole prices, `US: 1`, are text as billing wants them."""
    result = dict(value)
    for kind in ("toll_free", "call_me"):
        rates = result.get(kind)
        if isinstance(rates, dict):
            result[kind] = {k: str(v) if isinstance(v, int) else v for k, v in rates.items()}
    if isinstance(result.get("monthly_minimum"), int):
        result["monthly_minimum"] = str(result["monthly_minimum"])
    return result
