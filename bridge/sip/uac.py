"""Outbound calls and our own re-INVITEs: what we send and what we make of the answers.

Knows when a call is answered, refused or given up; knows no media plane.
"""

from typing import Final
from urllib.parse import quote
from zlib import crc32

from bridge.errors import LocalMisuse, SipRemoteError
from bridge.sip import compose, limits, session_timer
from bridge.sip.api import (
    Address,
    CallAnswered,
    CallMedia,
    CallProgress,
    Dial,
    EndCause,
    Reinvite,
    RemoteMedia,
)
from bridge.sip.bodies import session_body
from bridge.sip.call import Call, CallEvent, CallState, Reoffer
from bridge.sip.client_tx import ClientState, ClientTx, Purpose
from bridge.sip.compose import Pairs
from bridge.sip.desk import Flow
from bridge.sip.dialog import Dialog, dialog_of_response
from bridge.sip.exchange import Exchange
from bridge.sip.headers import parse_uri
from bridge.sip.indialog import own_offer
from bridge.sip.messages import Response
from bridge.sip.offer import NoCommonCodec, offer_text
from bridge.sip.timers import Timer
from bridge.units import NS_PER_MS

_USER_SAFE: Final = "-_.!~*'()&=+$,;?/"
_GONE: Final = (408, 481)
_GLARE_STEP_MS: Final = 10

UNREACHED: Final = 503
"""What a request that did not arrive is taken to be answered with (RFC 3261 §8.1.3.1)."""

REFRESH_AGAIN: Final = 4
"""A refresh that was refused is tried again after this part of the time until it was due."""


class BadTarget(LocalMisuse):
    """A call was ordered to something that is no URI."""

    code = "bad_target"


# --- dialling -----------------------------------------------------------------------------


def dial(exchange: Exchange, order: Dial) -> None:
    """Make a call."""
    assert order.leg not in exchange.legs, f"{order.leg} is in use"
    try:
        parse_uri(order.target)
    except ValueError as fault:
        raise BadTarget(f"not a URI: {order.target!r}") from fault
    ids = exchange.desk.ids
    tag = ids()
    name = compose.quoted(order.display_name) + " " if order.display_name else ""
    caller = f"{_user(order)}@" if order.caller else ""
    flow = Flow(order.destination, None, order.transport)
    dialog = Dialog(
        call_id=ids(),
        local_tag=tag,
        remote_tag="",
        local=f"{name}<sip:{caller}{order.domain}>;tag={tag}",
        remote=f"<{order.target}>",
        local_cseq=0,
        remote_cseq=-1,
        routes=(),
        target=order.target,
        flow=flow,
        sips=parse_uri(order.target).scheme == "sips",
    )
    call = Call(order.leg, CallState.DIALLING, dialog, exchange.new_sdp_id())
    call.dial = order
    call.media = order.media
    exchange.admit(call)
    _invite(exchange, call, order)


def _user(order: Dial) -> str:
    return quote(order.caller, safe=_USER_SAFE)


def _invite(exchange: Exchange, call: Call, order: Dial) -> None:
    config = exchange.desk.config
    text = offer_text(config.codecs, config.dtmf_payload_type, order.media)
    body = call.describe(text, order.media.host)
    flow = call.dialog.flow
    branch, via = exchange.new_via(flow)
    call.tx = exchange.transact(
        call,
        Purpose.DIAL,
        call.dialog.request("INVITE", via),
        branch=branch,
        flow=flow,
        headers=(*_invite_headers(exchange, call, flow), *order.headers),
        body=body,
    )


def _invite_headers(exchange: Exchange, call: Call, flow: Flow) -> Pairs:
    interval_s = exchange.desk.config.session_expires_s
    before = call.session_timer
    if before is not None:
        interval_s = before.interval_s
    user = _user(call.dial) if call.dial and call.dial.caller else "bridge"
    return (
        exchange.contact(flow, call.dialog, user),
        exchange.allow,
        ("Supported", limits.SUPPORTED),
        *session_timer.asked_headers(interval_s, call.min_se_s, before),
        ("Content-Type", limits.SDP_TYPE),
    )


def hang_up(exchange: Exchange, call: Call) -> None:
    """End a call of ours: CANCEL before its answer, as soon as something was heard, else BYE."""
    before = call.go(CallEvent.HANG_UP)
    exchange.report_end(call, EndCause.LOCAL_BYE)
    if before is CallState.CONFIRMED:
        exchange.bye(call)
        exchange.retire(call)
        return
    tx = _invite_of(call)
    if tx.state is ClientState.PROCEEDING:
        _cancel(exchange, call, tx)


def _invite_of(call: Call) -> ClientTx:
    assert isinstance(call.tx, ClientTx)
    return call.tx


def _cancel(exchange: Exchange, call: Call, tx: ClientTx) -> None:
    tx.cancel()
    exchange.transact(
        call,
        Purpose.CANCEL,
        tx.request._replace(method="CANCEL"),
        branch=tx.key[0],
        flow=tx.flow,
        headers=compose.reason_header(call.reason),
    )


# --- answers ------------------------------------------------------------------------------


def heard(exchange: Exchange, tx: ClientTx, response: Response, source: Address) -> None:
    """Take an answer that is news for the call of a transaction."""
    if tx.purpose is Purpose.DIAL:
        _heard_dial(exchange, tx, response, source)
    elif tx.purpose is Purpose.REINVITE:
        _heard_reinvite(exchange, tx, response, source)
    # Whatever a BYE, CANCEL or PRACK is answered, there is nothing left to do.


def gave_up(exchange: Exchange, tx: ClientTx) -> None:
    """Take that a request was never answered."""
    call = tx.call
    if tx.purpose is Purpose.DIAL:
        call.go(CallEvent.REFUSAL)
        exchange.report_end(call, EndCause.NO_ANSWER, 408)
        exchange.retire(call)
    elif tx.purpose is Purpose.REINVITE and call.state is CallState.CONFIRMED:
        expire(exchange, call)


def undelivered(exchange: Exchange, tx: ClientTx, destination: Address) -> None:
    """Take that a request did not arrive: as if it were answered 503 (RFC 3261 §8.1.3.1)."""
    call = tx.call
    if tx.purpose is Purpose.DIAL:
        call.go(CallEvent.REFUSAL)
        exchange.report_end(call, EndCause.REFUSED, UNREACHED)
        exchange.retire(call)
    elif tx.purpose is Purpose.REINVITE:
        _reinvite_refused(exchange, tx, UNREACHED, None, destination)


def _heard_dial(exchange: Exchange, tx: ClientTx, response: Response, source: Address) -> None:
    call = tx.call
    if response.status >= 300:
        _refused(exchange, call, response)
    elif response.status >= 200:
        _answered(exchange, tx, response, source)
    elif call.state is CallState.CANCELLING:
        if Timer.CANCELLED not in tx.timers:
            _cancel(exchange, call, tx)
    elif response.status > 100 and _prack(exchange, tx, response, source):
        exchange.desk.notify(CallProgress(call.leg, response.status))


def _refused(exchange: Exchange, call: Call, response: Response) -> None:
    order = call.dial
    assert order is not None
    if (
        response.status == 422
        and response.min_se is not None
        and call.state is CallState.DIALLING
        and call.tries < limits.RETRIES_MAX
    ):
        call.tries += 1
        call.min_se_s = max(response.min_se, call.min_se_s)
        _invite(exchange, call, order)
        return
    call.go(CallEvent.REFUSAL)
    exchange.report_end(call, EndCause.REFUSED, response.status)
    exchange.retire(call)


def _answered(exchange: Exchange, tx: ClientTx, response: Response, source: Address) -> None:
    call = tx.call
    tag = response.to_tag
    repeated = tx.acked.get(tag)
    if repeated is not None:
        exchange.desk.send(*repeated)
        return
    dialog = dialog_of_response(response, tx.request, tx.flow)
    dialog.local_cseq = max(dialog.local_cseq, call.dialog.local_cseq)
    early = call.dialog.remote_tag == tag
    if early:
        dialog.remote_cseq = call.dialog.remote_cseq
    tx.acked[tag] = exchange.acknowledge(dialog, tx.request.cseq)
    if call.state not in (CallState.DIALLING, CallState.CANCELLING):
        # A second phone answered too (forking): one call is enough.
        exchange.bye(call, dialog)
        return
    before = call.go(CallEvent.ANSWER)
    _move(exchange, call, dialog)
    if before is CallState.CANCELLING:
        exchange.bye(call)
        exchange.retire(call)
        return
    if not early:
        _disagree(call)
    # The first description is the answer; those that follow count for nothing (RFC 3261 §13.2.1).
    remote = call.remote or _read_answer(exchange, call, response, source)
    if remote is None:
        return
    exchange.keep_alive(call, session_timer.agreed_by(response))
    exchange.desk.notify(CallAnswered(call.leg, remote))


def _disagree(call: Call) -> None:
    """Forget what another phone has answered (forking)."""
    call.remote, call.layout, call.stream = None, (), 0


def _move(exchange: Exchange, call: Call, dialog: Dialog) -> None:
    """Give a call the dialog that its answer made."""
    exchange.dialogs.pop(call.dialog.key, None)
    call.dialog = dialog
    exchange.dialogs[dialog.key] = call


def _read_answer(
    exchange: Exchange, call: Call, response: Response, source: Address
) -> RemoteMedia | None:
    """Take the answer to our offer; one that cannot be used ends the call."""
    try:
        body = session_body(response)
        if body is None:
            raise NoCommonCodec("answer without SDP")
        exchange.agree(call, body)
    except SipRemoteError as fault:
        exchange.desk.drop(fault.code, source)
        call.go(CallEvent.BAD_ANSWER)
        exchange.report_end(call, EndCause.BAD_ANSWER, response.status)
        exchange.bye(call)
        exchange.retire(call)
        return None
    return call.remote


def _prack(exchange: Exchange, tx: ClientTx, response: Response, source: Address) -> bool:
    """Acknowledge a reliable provisional answer (RFC 3262 §4), each once and in order.

    False for one that is repeated or ahead of its turn: nothing may be made of it.
    """
    call = tx.call
    if "100rel" not in response.require or response.rseq is None or not response.to_tag:
        return True
    if response.to_tag != call.dialog.remote_tag:
        early = dialog_of_response(response, tx.request, tx.flow)
        early.local_cseq = max(early.local_cseq, call.dialog.local_cseq)
        _move(exchange, call, early)
        _disagree(call)
        call.rseq = 0
    if call.rseq and response.rseq != call.rseq + 1:
        return False
    call.rseq = response.rseq
    try:
        body = session_body(response)
        if body is not None and call.remote is None:
            exchange.agree(call, body)
    except SipRemoteError as fault:
        exchange.desk.drop(fault.code, source)  # the 200 may bring a better one
    rack = f"{response.rseq} {tx.request.cseq} INVITE"
    exchange.launch(call, Purpose.PRACK, "PRACK", headers=(("RAck", rack),))
    return True


# --- re-INVITE ----------------------------------------------------------------------------


def reinvite(exchange: Exchange, call: Call, order: Reinvite) -> None:
    """Offer new media; it waits while another offer is under way."""
    call.go(CallEvent.REINVITE)
    call.queued = Reoffer(order.media, ordered=True)
    offer_next(exchange, call)


def refresh(exchange: Exchange, call: Call) -> None:
    """Send the re-INVITE that keeps the session alive (RFC 4028 §7.1)."""
    if call.state is not CallState.CONFIRMED or call.media is None:
        return
    call.queued = call.queued or Reoffer(call.media, ordered=False)
    offer_next(exchange, call)


def offer_next(exchange: Exchange, call: Call) -> None:
    """Start the waiting re-INVITE if nothing else is under way."""
    reoffer = call.queued
    if (
        reoffer is None
        or call.state is not CallState.CONFIRMED
        or call.reoffer is not None
        or call.answered is not None
        or Timer.OFFER_AGAIN in call.timers
    ):
        return
    call.queued, call.reoffer = None, reoffer
    text = own_offer(exchange, call, reoffer.media)
    if not reoffer.ordered and call.sdp_text:
        text = call.sdp_text  # a refresh says what was said before (RFC 4028 §7.4)
    call.sdp_before = call.sdp_text
    exchange.launch(
        call,
        Purpose.REINVITE,
        "INVITE",
        headers=_invite_headers(exchange, call, exchange.next_flow(call.dialog)),
        body=call.describe(text, reoffer.media.host),
    )


def _heard_reinvite(exchange: Exchange, tx: ClientTx, response: Response, source: Address) -> None:
    status = response.status
    if status < 200:
        # Nobody may ring for ever within a call.
        exchange.desk.arm(tx, Timer.CANCELLED, exchange.desk.give_up_ns)
        return
    if status < 300:
        _reinvite_accepted(exchange, tx, response, source)
        return
    _reinvite_refused(exchange, tx, status, response.min_se, source)


def _reinvite_refused(
    exchange: Exchange, tx: ClientTx, status: int, min_se: int | None, source: Address
) -> None:
    call = tx.call
    reoffer = call.reoffer
    if reoffer is None or call.state is not CallState.CONFIRMED:
        return
    call.reoffer = None
    call.withdraw()
    if status in _GONE:
        expire(exchange, call)
        return
    again = status == 491 or (status == 422 and min_se is not None)
    if again and reoffer.tries < limits.RETRIES_MAX:
        call.min_se_s = max(min_se or 0, call.min_se_s)
        call.queued = call.queued or Reoffer(reoffer.media, reoffer.ordered, reoffer.tries + 1)
        exchange.desk.arm(call, Timer.OFFER_AGAIN, 0 if status == 422 else _glare_ns(call, tx))
        return
    # Anything else leaves the call as it was (RFC 3261 §14.1), but a session must be refreshed.
    exchange.desk.drop("reinvite_refused", source)
    timer = call.session_timer
    if timer is not None and timer.we_refresh and Timer.REFRESH not in call.timers:
        exchange.desk.arm(call, Timer.REFRESH, timer.refresh_after_ns // REFRESH_AGAIN)
    offer_next(exchange, call)


def _reinvite_accepted(
    exchange: Exchange, tx: ClientTx, response: Response, source: Address
) -> None:
    call = tx.call
    repeated = tx.acked.get(response.to_tag)
    if repeated is not None:
        exchange.desk.send(*repeated)
        return
    if call.state is CallState.CONFIRMED and response.contact:
        call.dialog.target = response.contact
    tx.acked[response.to_tag] = exchange.acknowledge(call.dialog, tx.request.cseq)
    reoffer, call.reoffer = call.reoffer, None
    if reoffer is None or call.state is not CallState.CONFIRMED:
        return
    before = call.remote
    remote = _read_answer(exchange, call, response, source)
    if remote is None:
        return
    call.media = reoffer.media
    exchange.keep_alive(call, session_timer.agreed_by(response))
    if reoffer.ordered or remote != before:
        exchange.desk.notify(CallMedia(call.leg, remote, call.is_proven(remote)))
    offer_next(exchange, call)


def _glare_ns(call: Call, tx: ClientTx) -> int:
    """Return how long to wait after 491 (RFC 3261 §14.1): the caller 2.1-4 s, the called 0-2 s."""
    first_ms, steps = (0, 200) if call.inbound else (2_100, 190)
    return (first_ms + crc32(tx.key[0].encode()) % steps * _GLARE_STEP_MS) * NS_PER_MS


def expire(exchange: Exchange, call: Call) -> None:
    """End a call that was not refreshed, or that the other side knows nothing of any more.

    The latter shows in how it answers a re-INVITE (RFC 3261 §12.2.1.2).
    """
    call.go(CallEvent.EXPIRE)
    exchange.report_end(call, EndCause.SESSION_EXPIRED)
    exchange.bye(call)
    exchange.retire(call)
