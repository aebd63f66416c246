"""Routes of accounts: toll-free switch, charges, invoices, webhooks."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Depends, Query

from billing import Billing, BillingInputError
from bridge.ids import new_id
from bridge.invoicing import settled
from bridge.session_store import Webhook
from bridge.web.auth import Admin, Viewer
from bridge.web.context import Context, context_of, utc_text
from bridge.web.models import (
    AccountsOut,
    ChargesOut,
    HistoryOut,
    MigrationIn,
    SwitchIn,
    SwitchOut,
    TollFreeOut,
    WebhookNew,
    WebhookOut,
    WebhooksOut,
)
from bridge.web.problems import ApiProblem, unknown
from bridge.web.webhooks import WEBHOOKS_MAX, Delivery

SECRET_BYTES: Final = 32

router = APIRouter(prefix="/api/v1")
Result = TypeVar("Result")
Ctx = Annotated[Context, Depends(context_of)]


@router.get("/accounts", tags=["accounts"])
async def list_accounts(context: Ctx, principal: Viewer) -> AccountsOut:
    """Return the accounts that this token sees, and what it may do."""
    accounts = sorted({config.id for config in context.bridge.settings.account})
    return AccountsOut(
        items=[account for account in accounts if principal.sees(account)],
        role=principal.role,
        operator=principal.account is None,
    )


@router.get("/accounts/{account}/toll-free", tags=["accounts"])
async def get_toll_free(account: str, context: Ctx, principal: Viewer) -> TollFreeOut:
    """Return whether toll-free numbers are on, and who switched them when (R13)."""
    account = context.account(principal, account)
    switches = await asyncio.to_thread(context.store.switches, account)
    return TollFreeOut(
        account=account,
        enabled=context.scheduler.toll_free_enabled(account),
        record=[
            SwitchOut(enabled=one.enabled, at=utc_text(one.at_ms), by=one.by) for one in switches
        ],
    )


@router.put("/accounts/{account}/toll-free", tags=["accounts"])
async def put_toll_free(
    account: str, body: SwitchIn, context: Ctx, principal: Admin
) -> TollFreeOut:
    """Switch toll-free numbers off or on, on record; running legs are not touched (D16)."""
    account = context.account(principal, account)
    await context.scheduler.switch(account, enabled=body.enabled, by=principal.by)
    return await get_toll_free(account, context, principal)


@router.get("/accounts/{account}/migrations", tags=["accounts"])
async def get_migrations(account: str, context: Ctx, principal: Viewer) -> HistoryOut:
    """Return every version of an account on record: its product and contract, from when."""
    account = context.account(principal, account)
    items = await asyncio.to_thread(_with_billing, context, lambda b: b.history(account))
    return HistoryOut(account=account, items=items)


@router.post("/accounts/{account}/migrations", tags=["accounts"], status_code=201)
async def migrate(account: str, body: MigrationIn, context: Ctx, principal: Admin) -> HistoryOut:
    """Move an account to another product or contract at an instant; sessions go on (R17, D8)."""
    account = context.account(principal, account)
    if principal.account is not None:
        raise ApiProblem(403, "operator_only", "an account's own token cannot migrate it")
    try:
        await asyncio.to_thread(
            _with_billing,
            context,
            lambda b: b.migrate(account, body.at, product=body.product, contract=body.contract),
        )
    except BillingInputError as fault:
        raise ApiProblem(409, "bad_migration", str(fault)) from fault
    return await get_migrations(account, context, principal)


def _with_billing(context: Context, work: Callable[[Billing], Result]) -> Result:
    with settled(context.bridge.settings) as billing:
        return work(billing)


@router.get("/accounts/{account}/charges", tags=["charges"])
async def get_account_charges(account: str, context: Ctx, principal: Viewer) -> ChargesOut:
    """Return what is settled this month, and an estimate of what is not."""
    account = context.account(principal, account)
    return await context.charges.of(account, None, context.bridge.now_conf())


@router.get("/sessions/{session}/charges", tags=["charges"])
async def get_session_charges(session: str, context: Ctx, principal: Viewer) -> ChargesOut:
    """Return a session's part of this month's charges, and an estimate of what is not settled."""
    record = await context.session(principal, session)
    spec = record.spec
    return await context.charges.of(spec.account, spec.id, context.bridge.now_conf())


@router.get("/accounts/{account}/invoices", tags=["charges"])
async def get_invoices(
    account: str,
    context: Ctx,
    principal: Admin,
    month: Annotated[str, Query(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$")],
) -> list[dict[str, Any]]:
    """Return a month's invoices, one for each seller, as `billing invoice` prints them (D15)."""
    account = context.account(principal, account)
    return list(await context.charges.invoices(account, month))


# --- webhooks -----------------------------------------------------------------------------


@router.post("/webhooks", tags=["events"], status_code=201)
async def create_webhook(body: WebhookNew, context: Ctx, principal: Admin) -> WebhookOut:
    """Send events to a URL from now on; the secret for its signatures is shown once, here."""
    account = context.account(principal, body.account)
    if len(context.sender.deliveries(account)) >= WEBHOOKS_MAX:
        raise ApiProblem(409, "too_many_webhooks", f"an account has {WEBHOOKS_MAX} at most")
    webhook = Webhook(
        id=new_id(),
        account=account,
        url=body.url,
        secret=secrets.token_hex(SECRET_BYTES),
        types=tuple(sorted(set(body.types))),
        created_ms=context.bridge.now_conf(),
    )
    await context.sender.add(webhook)
    shown = _shown(Delivery(webhook))
    return shown.model_copy(update={"secret": webhook.secret})


@router.get("/webhooks", tags=["events"])
async def list_webhooks(context: Ctx, principal: Admin) -> WebhooksOut:
    """Return the webhooks and how sending to each goes."""
    deliveries = context.sender.deliveries(principal.account)
    return WebhooksOut(items=[_shown(delivery) for delivery in deliveries])


@router.delete("/webhooks/{webhook}", tags=["events"], status_code=204)
async def delete_webhook(webhook: str, context: Ctx, principal: Admin) -> None:
    """Send nothing more there."""
    known = {d.webhook.id for d in context.sender.deliveries(principal.account)}
    if webhook not in known:
        raise unknown("webhook", webhook)
    await context.sender.remove(webhook)


def _shown(delivery: Delivery) -> WebhookOut:
    webhook = delivery.webhook
    return WebhookOut(
        id=webhook.id,
        account=webhook.account,
        url=webhook.url,
        types=list(webhook.types),
        created_at=utc_text(webhook.created_ms),
        state="retrying" if delivery.failures else "fine",
        failures=delivery.failures,
        last_error=delivery.last_error,
    )
