"""Requests of the other side within a call: BYE, re-INVITE, UPDATE, INFO, PRACK, OPTIONS.

Knows dialogs and media descriptions; a call that is over answers BYE with 200 and all else with
481.
"""

from bridge.errors import SipRemoteError
from bridge.sip import limits, session_timer, uas
from bridge.sip.api import Address, CallKey, CallMedia, EndCause, LocalMedia
from bridge.sip.bodies import dtmf_key, session_body
from bridge.sip.call import Call, CallEvent, CallState
from bridge.sip.compose import Pairs
from bridge.sip.exchange import Exchange
from bridge.sip.messages import Request
from bridge.sip.offer import Chosen, answer_text, choose_again, layout_of, offer_text
from bridge.sip.sdp import Sdp, parse_sdp
from bridge.sip.server_tx import ServerTx

RETRY_AFTER_S = 1
_EARLY = (CallState.INVITED, CallState.DIALLING)
_OPEN = (CallState.INVITED, CallState.ANSWERED, CallState.CONFIRMED, CallState.DIALLING)


def request(exchange: Exchange, call: Call, tx: ServerTx, source: Address) -> None:
    """Take a request of the other side in an existing dialog."""
    message = tx.request
    if message.method == "INVITE":
        tx.call = call
    if not call.dialog.in_order(message.cseq):
        exchange.refuse(tx, 500, "cseq_out_of_order", source=source, phrase="CSeq Out of Order")
        return
    method = message.method
    if method == "BYE":
        _bye(exchange, call, tx)
    elif call.state not in _OPEN:
        exchange.refuse(tx, 481, "call_is_over", source=source)
    elif method == "PRACK":
        uas.prack(exchange, call, tx, source)
    elif method == "INFO":
        _info(exchange, call, tx, source)
    elif method == "OPTIONS":
        exchange.reply(tx, 200, headers=capabilities(exchange))
    else:
        _offer(exchange, call, tx, source)


def capabilities(exchange: Exchange) -> Pairs:
    """Return the headers that say what we can do (RFC 3261 §11.2)."""
    return (
        exchange.allow,
        ("Accept", limits.ACCEPT),
        ("Accept-Encoding", "identity"),
        ("Accept-Language", "en"),
        ("Supported", limits.SUPPORTED),
    )


def _bye(exchange: Exchange, call: Call, tx: ServerTx) -> None:
    before = call.go(CallEvent.BYE)
    exchange.reply(tx, 200)
    if before is CallState.INVITED:
        uas.left_early(exchange, call)
    elif call.state is CallState.ENDED and before is not CallState.ENDED:
        exchange.report_end(call, EndCause.REMOTE_BYE)
        exchange.retire(call)


def _info(exchange: Exchange, call: Call, tx: ServerTx, source: Address) -> None:
    try:
        key = dtmf_key(tx.request)
    except SipRemoteError as fault:
        uas.refuse_for(exchange, tx, fault, source)
        return
    except ValueError:
        exchange.refuse(tx, 400, "info_without_key", source=source, phrase="No Key")
        return
    exchange.reply(tx, 200)
    if key is not None:
        exchange.desk.notify(CallKey(call.leg, key))


# --- re-INVITE and UPDATE -----------------------------------------------------------------


def _offer(exchange: Exchange, call: Call, tx: ServerTx, source: Address) -> None:
    """Take a re-INVITE or UPDATE: new media, a new target, or only a sign of life."""
    message = tx.request
    try:
        session_timer.check_interval(message)
        body = session_body(message)
        blocked = _blocked(call, message, with_offer=body is not None)
        if blocked is not None:
            status, reason = blocked
            retry: Pairs = (("Retry-After", str(RETRY_AFTER_S)),) if status == 500 else ()
            exchange.refuse(tx, status, reason, source=source, headers=retry)
            return
        offer = None if body is None else parse_sdp(body)
        chosen = None if offer is None else _choose(exchange, call, offer)
    except SipRemoteError as fault:
        uas.refuse_for(exchange, tx, fault, source)
        return
    _refresh_target(call, message, tx, source)
    if call.state in _EARLY or call.media is None:
        _accept_early(exchange, call, tx, offer, chosen)
        return
    _accept(exchange, call, tx, call.media, offer, chosen)


def _blocked(call: Call, message: Request, *, with_offer: bool) -> tuple[int, str] | None:
    """Return how to refuse an offer that crosses another one (RFC 3261 §14.2, RFC 3311 §5.2)."""
    invite = message.method == "INVITE"
    if call.state is CallState.DIALLING:
        # Ours has no answer yet, unless a reliable provisional one brought it.
        return (491, "glare") if invite or (with_offer and call.remote is None) else None
    if call.state is CallState.INVITED:
        # The first offer has no answer yet.
        return (500, "offer_too_early") if invite or with_offer else None
    if invite and (call.answered is not None or call.reoffer is not None):
        return (491, "glare")
    offered = call.answered is not None and call.answered.offered
    if with_offer and (offered or call.reoffer is not None):
        return (491, "glare")
    return None


def _choose(exchange: Exchange, call: Call, offer: Sdp) -> Chosen:
    assert call.remote is not None
    config = exchange.desk.config
    return choose_again(
        offer, config.codecs, index=call.stream, before=call.remote, six=config.rtp_six
    )


def _refresh_target(call: Call, message: Request, tx: ServerTx, source: Address) -> None:
    dialog = call.dialog
    dialog.target = message.contact or dialog.target
    dialog.flow = tx.flow._replace(destination=source)


def _accept_early(
    exchange: Exchange, call: Call, tx: ServerTx, offer: Sdp | None, chosen: Chosen | None
) -> None:
    """Take an UPDATE before the final answer: no session has begun that a timer could end.

    What it changes is told with the answer, as all that is agreed by then.
    """
    headers, body = _update_headers(exchange, call, tx), b""
    if offer is not None and chosen is not None and call.media is not None:
        call.layout = layout_of(offer)
        call.take(chosen)
        body = call.describe(answer_text(offer, chosen, call.media), call.media.host)
        headers = (*headers, ("Content-Type", limits.SDP_TYPE))
    exchange.reply(tx, 200, headers=headers, body=body)


def _accept(
    exchange: Exchange,
    call: Call,
    tx: ServerTx,
    media: LocalMedia,
    offer: Sdp | None,
    chosen: Chosen | None,
) -> None:
    message = tx.request
    agreed = session_timer.agree(
        message, exchange.desk.config.session_expires_s, call.session_timer
    )
    body = b""
    changed = False
    if offer is not None and chosen is not None:
        call.layout = layout_of(offer)
        changed = call.take(chosen)
        body = call.describe(answer_text(offer, chosen, media), media.host)
    elif message.method == "INVITE":
        body = call.describe(own_offer(exchange, call, media), media.host)
    headers = session_timer.agreed_headers(agreed)
    if message.method == "INVITE":
        late = offer is None
        uas.answer_invite(exchange, call, tx, body=body, offered=late, headers=headers)
    else:
        headers = (*headers, *_update_headers(exchange, call, tx))
        if body:
            headers = (*headers, ("Content-Type", limits.SDP_TYPE))
        exchange.reply(tx, 200, headers=headers, body=body)
    if agreed is not None or message.method == "INVITE":
        exchange.keep_alive(call, agreed)
    if changed and call.remote is not None:
        exchange.desk.notify(CallMedia(call.leg, call.remote, call.is_proven(call.remote)))


def _update_headers(exchange: Exchange, call: Call, tx: ServerTx) -> Pairs:
    contact = exchange.contact(tx.flow, call.dialog)
    return (contact, exchange.allow, ("Supported", limits.SUPPORTED))


def own_offer(exchange: Exchange, call: Call, media: LocalMedia) -> str:
    """Return our offer within a call: the same m= lines, the payload types agreed before."""
    config = exchange.desk.config
    return offer_text(
        config.codecs,
        config.dtmf_payload_type,
        media,
        layout=call.layout,
        index=call.stream,
        agreed=call.remote,
    )
