"""The bridge's way to a bill: facts go to billing, and an invoice comes back; blocks on a disk."""

from billing import Billing, Invoice
from bridge.config import Settings


def invoice_of(settings: Settings, account: str, month: str) -> Invoice:
    """Settle what is final and return an account's invoice of a month ("2026-02")."""
    billing = Billing(settings.store.url)
    try:
        billing.configure(settings.contract, settings.account)
        billing.ingest_outbox(settings.store.outbox_url)
        billing.settle()
        return billing.invoice(account, month)
    finally:
        billing.close()
