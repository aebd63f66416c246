"""What billing raises on purpose; knows nothing else of the project.

BillingError            .code: stable snake_case
├── BillingInputError   a person's file, argument or configuration is wrong: exit code 2
│   ├── UnknownAccount
│   ├── SeveralSellers  a month with two invoices was asked for as if it had one (D15)
│   ├── MissingFactor   no USF factor is configured for a quarter (D10)
│   └── ConfigConflict  a change would rewrite what was already invoiced
├── MonthNotOver        a month cannot be finalized yet
└── StoreTrouble        the database is missing, locked or full
"""

from typing import ClassVar


class BillingError(Exception):
    """Anything billing raises on purpose."""

    code: ClassVar[str] = "billing_error"


class BillingInputError(BillingError):
    """Bad input by a person: names the place, the value and what was expected.

    >>> str(BillingInputError("--month", "2026-13", "a month like 2026-02"))
    "--month: '2026-13': expected a month like 2026-02"
    """

    code = "bad_input"

    def __init__(self, place: str, value: object, expected: str) -> None:
        super().__init__(f"{place}: {value!r}: expected {expected}")
        self.place = place
        self.value = value
        self.expected = expected


class UnknownAccount(BillingInputError):
    """No such account is configured."""

    code = "unknown_account"


class SeveralSellers(BillingInputError):
    """The month has one invoice for each of several sellers; one must be named (D15)."""

    code = "several_sellers"


class MissingFactor(BillingInputError):
    """A quarter of service has no USF contribution factor (D10)."""

    code = "missing_usf_factor"


class ConfigConflict(BillingInputError):
    """A configuration change would rewrite what was already invoiced."""

    code = "config_conflict"


class MonthNotOver(BillingError):
    """A month is still running, or an earlier one is still open."""

    code = "month_not_over"


class StoreTrouble(BillingError):
    """The database is missing, locked or full."""

    code = "store_trouble"
