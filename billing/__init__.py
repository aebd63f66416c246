"""Usage facts in, settled usage, charges and invoices out; never imports bridge.

This module is the façade: others import its names only, but for the two configuration models,
which `billing.config` gives without loading a database. Names are loaded when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from billing.config import AccountConfig, ContractConfig
    from billing.errors import BillingError, BillingInputError
    from billing.explain import Explanation
    from billing.facade import Billing
    from billing.ingest import IngestReport
    from billing.invoice import Invoice
    from billing.money import minor_digits
    from billing.quantity import billed_seconds
    from billing.settings import BillingSettings

__all__ = [
    "AccountConfig",
    "Billing",
    "BillingError",
    "BillingInputError",
    "BillingSettings",
    "ContractConfig",
    "Explanation",
    "IngestReport",
    "Invoice",
    "billed_seconds",
    "minor_digits",
]

_HOMES = {
    "AccountConfig": "config",
    "Billing": "facade",
    "BillingError": "errors",
    "BillingInputError": "errors",
    "BillingSettings": "settings",
    "ContractConfig": "config",
    "Explanation": "explain",
    "IngestReport": "ingest",
    "Invoice": "invoice",
    "billed_seconds": "quantity",
    "minor_digits": "money",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'billing' has no attribute {name!r}")
    return getattr(import_module(f"billing.{home}"), name)
