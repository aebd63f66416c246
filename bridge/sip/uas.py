"""Inbound calls: INVITE, our answers to it, CANCEL, ACK and PRACK; knows no media plane.

What a caller sends is never a surprise here: each fault has its answer and its named reason.
"""

from collections.abc import Mapping

from bridge.errors import SipRemoteError
from bridge.sip import compose, limits, session_timer
from bridge.sip.api import (
    Accept,
    Address,
    CallConfirmed,
    CallIncoming,
    CallMedia,
    EndCause,
    Reject,
    RemoteMedia,
)
from bridge.sip.bodies import UnsupportedBody, accepts_sdp, session_body
from bridge.sip.call import Answered, Call, CallEvent, CallState, Reliable
from bridge.sip.compose import Pairs
from bridge.sip.dialog import dialog_of_request
from bridge.sip.exchange import Exchange
from bridge.sip.fields import SECONDS_MAX
from bridge.sip.headers import (
    bracketed,
    literal_ip,
    parse_name_addr,
    parse_number,
    parse_uri,
    split_list,
)
from bridge.sip.messages import Message, Request, Response
from bridge.sip.offer import (
    Chosen,
    NoCommonAddress,
    NoCommonCodec,
    answer_text,
    choose,
    layout_of,
    offer_text,
)
from bridge.sip.sdp import Sdp, parse_sdp
from bridge.sip.server_tx import ServerTx
from bridge.sip.timers import Timer
from bridge.units import NS_PER_S, LegId

OTHER_WARNING = 399
_WARNINGS: Mapping[type[SipRemoteError], int] = {NoCommonAddress: 301, NoCommonCodec: 305}
"""Codes of Warning headers (RFC 3261 §20.43)."""

ANONYMOUS_HOST = "anonymous.invalid"
_UNACKNOWLEDGED = (CallState.ANSWERED, CallState.LEAVING)
_PRIVATE = frozenset({"id", "user", "full"})


# --- INVITE -------------------------------------------------------------------------------


def invite(
    exchange: Exchange, tx: ServerTx, source: Address, authenticated: str | None = None
) -> None:
    """Take an INVITE that is in no dialog: refuse it, or open a call and tell the server."""
    request = tx.request
    if not request.contact:
        exchange.refuse(tx, 400, "missing_contact", source=source, phrase="Missing Contact")
        return
    if not accepts_sdp(request):
        exchange.refuse(tx, 406, "sdp_not_accepted", source=source)
        return
    try:
        session_timer.check_interval(request)
        body = session_body(request)
        offer = None if body is None else parse_sdp(body)
        chosen = None if offer is None else _choose(exchange, offer)
    except SipRemoteError as fault:
        refuse_for(exchange, tx, fault, source)
        return
    ids = exchange.desk.ids
    dialog = dialog_of_request(request, ids(), tx.flow._replace(destination=source))
    call = Call(LegId(f"leg-{ids()}"), CallState.INVITED, dialog, exchange.new_sdp_id())
    call.tx, tx.call = tx, call
    call.offer, call.chosen = offer, chosen
    call.proven_host = literal_ip(source.host) or source.host
    exchange.admit(call)
    stamp = compose.timestamp_header(request)
    tx.promise(lambda: exchange.reply(tx, 100, headers=stamp))
    expires_s = _expires_s(request)
    if expires_s is not None:
        exchange.desk.arm(call, Timer.INVITATION, expires_s * NS_PER_S)
    remote = chosen.remote if chosen else None
    exchange.desk.notify(_incoming(call, request, source, remote, authenticated))


def _choose(exchange: Exchange, offer: Sdp) -> Chosen:
    config = exchange.desk.config
    return choose(offer, config.codecs, six=config.rtp_six)


def refuse_for(exchange: Exchange, tx: ServerTx, fault: SipRemoteError, source: Address) -> None:
    """Answer with the status of a fault and the headers that explain it."""
    headers: Pairs
    if isinstance(fault, UnsupportedBody):
        headers = fault.headers
    elif isinstance(fault, session_timer.IntervalTooSmall):
        headers = (("Min-SE", str(limits.MIN_SE_S)),)
    else:
        code = _WARNINGS.get(type(fault), OTHER_WARNING)
        host, port = exchange.desk.config.contact
        headers = (("Warning", f'{code} {bracketed(host)}:{port} "{fault.reason}"'),)
    exchange.refuse(tx, fault.status, fault.code, source=source, headers=headers)


def _incoming(
    call: Call,
    request: Request,
    source: Address,
    remote: RemoteMedia | None,
    authenticated: str | None,
) -> CallIncoming:
    caller = parse_uri(request.from_.uri)
    asserted = _first_user(request, "p-asserted-identity")
    wishes = {w.strip().lower() for w in (request.first("privacy") or "").split(";")}
    anonymous = (
        caller.host.lower() == ANONYMOUS_HOST
        or caller.user.lower() == "anonymous"
        or bool(wishes & _PRIVATE)
    )
    return CallIncoming(
        leg=call.leg,
        user=request.target.user,
        host=request.target.host,
        source=source,
        from_user="" if anonymous else caller.user,
        from_display="" if anonymous else request.from_.display,
        asserted=asserted,
        diversion=_first_user(request, "diversion"),
        anonymous=anonymous,
        late_offer=remote is None,
        remote=remote,
        call_id=request.call_id,
        authenticated=authenticated,
    )


def _expires_s(request: Request) -> int | None:
    """Return how long an INVITE may wait for its answer; what cannot be read counts as absent."""
    try:
        return parse_number(request.first("expires") or "", SECONDS_MAX)
    except ValueError:
        return None


def _first_user(request: Request, name: str) -> str | None:
    """Return the user of an identity header; one that cannot be read counts as absent."""
    value = request.first(name)
    if value is None:
        return None
    try:
        return parse_uri(parse_name_addr(split_list(value)[0]).uri).user
    except ValueError:
        return None


# --- our answers --------------------------------------------------------------------------


def _invite_of(call: Call) -> ServerTx:
    assert isinstance(call.tx, ServerTx)
    return call.tx


def _record_route(request: Request) -> Pairs:
    return tuple(("Record-Route", route) for route in request.record_route)


def ring(exchange: Exchange, call: Call) -> None:
    """Send 180, reliably when the caller requires that (RFC 3262)."""
    call.go(CallEvent.RING)
    tx = _invite_of(call)
    headers = (*_record_route(tx.request), exchange.contact(tx.flow, call.dialog))
    if "100rel" not in tx.request.require:
        exchange.reply(tx, 180, headers=headers)
        return
    if call.reliable is not None or call.offer is None:
        # One is on its way; or it would have to hold our offer, before media is known
        # (RFC 3261 §13.2.1).
        return
    call.rseq += 1
    headers = (*headers, ("Require", "100rel"), ("RSeq", str(call.rseq)))
    data = exchange.reply(tx, 180, headers=headers)
    t1_ns = exchange.desk.config.t1_ns
    call.reliable = Reliable(call.rseq, tx.request.cseq, data, tx.flow, t1_ns)
    exchange.desk.arm(call, Timer.RESEND_RELIABLE, t1_ns)
    exchange.desk.arm(call, Timer.NO_PRACK, exchange.desk.give_up_ns)


def accept(exchange: Exchange, call: Call, order: Accept) -> None:
    """Send 200 with our answer, or with our offer when the INVITE had none."""
    call.go(CallEvent.ACCEPT)
    exchange.desk.timers.disarm(call, Timer.INVITATION)
    _stop_reliable(exchange, call)  # a PRACK that is still on its way gets its 200
    call.media = order.media
    tx = _invite_of(call)
    agreed = session_timer.agree(tx.request, exchange.desk.config.session_expires_s)
    if call.offer is not None and call.chosen is not None:
        call.layout = layout_of(call.offer)
        call.take(call.chosen)
        text = answer_text(call.offer, call.chosen, order.media)
    else:
        config = exchange.desk.config
        text = offer_text(config.codecs, config.dtmf_payload_type, order.media)
    late = call.offer is None
    body = call.describe(text, order.media.host)
    headers = (*_record_route(tx.request), *session_timer.agreed_headers(agreed))
    answer_invite(exchange, call, tx, body=body, offered=late, headers=headers)
    exchange.keep_alive(call, agreed)


def answer_invite(
    exchange: Exchange, call: Call, tx: ServerTx, *, body: bytes, offered: bool, headers: Pairs
) -> None:
    """Send the 200 of an INVITE or re-INVITE and repeat it until its ACK."""
    headers = (
        *headers,
        exchange.contact(tx.flow, call.dialog),
        exchange.allow,
        ("Supported", limits.SUPPORTED),
        ("Content-Type", limits.SDP_TYPE),
    )
    data = exchange.reply(tx, 200, headers=headers, body=body)
    t1_ns = exchange.desk.config.t1_ns
    call.answered = Answered(tx.request.cseq, data, tx.flow, t1_ns, offered)
    exchange.desk.arm(call, Timer.RESEND_200, t1_ns)
    exchange.desk.arm(call, Timer.NO_ACK, exchange.desk.give_up_ns)


def reject(exchange: Exchange, call: Call, order: Reject) -> None:
    """Refuse a call."""
    call.go(CallEvent.REJECT)
    headers: Pairs = ()
    if order.retry_after_s is not None:
        headers = (("Retry-After", str(order.retry_after_s)),)
    _close(exchange, call, order.status, EndCause.REJECTED, headers, order.reason)


def _close(
    exchange: Exchange,
    call: Call,
    status: int,
    cause: EndCause,
    headers: Pairs = (),
    phrase: str = "",
) -> None:
    """Give an unanswered INVITE its final failure; the call has already changed state."""
    exchange.reply(_invite_of(call), status, phrase=phrase, headers=headers)
    exchange.report_end(call, cause, status)
    exchange.retire(call)


def hang_up(exchange: Exchange, call: Call) -> None:
    """End a call whatever state it is in (RFC 3261 §15: no BYE before the ACK of our 200)."""
    before = call.go(CallEvent.HANG_UP)
    if before is CallState.INVITED:
        _close(exchange, call, 480, EndCause.LOCAL_BYE, compose.reason_header(call.reason))
        return
    exchange.report_end(call, EndCause.LOCAL_BYE)
    exchange.keep_alive(call, None)
    if call.state is CallState.ENDED:
        exchange.bye(call)
        exchange.retire(call)


def cancelled(exchange: Exchange, call: Call) -> None:
    """Take a CANCEL that has had its 200, or the end of the time that an INVITE gave us for it.

    After a final answer it changes nothing.
    """
    if call.go(CallEvent.CANCEL) is CallState.INVITED:
        _close(exchange, call, 487, EndCause.CANCELLED)


def left_early(exchange: Exchange, call: Call) -> None:
    """Take the BYE of a caller who does not wait for our answer; the state has changed."""
    _close(exchange, call, 487, EndCause.CANCELLED)


# --- ACK ----------------------------------------------------------------------------------


def acknowledged(exchange: Exchange, call: Call, request: Request, source: Address) -> None:
    """Take the ACK of our 200."""
    answered = call.answered
    if answered is None or answered.cseq != request.cseq:
        return
    call.answered = None
    exchange.desk.timers.disarm(call, Timer.RESEND_200)
    exchange.desk.timers.disarm(call, Timer.NO_ACK)
    before = call.go(CallEvent.ACK)
    if before is CallState.LEAVING:
        exchange.bye(call)
        exchange.retire(call)
        return
    changed = False
    if answered.offered:
        try:
            changed = _answer_in_ack(exchange, call, request)
        except SipRemoteError as fault:
            exchange.desk.drop(fault.code, source)
            fail(exchange, call, EndCause.BAD_ANSWER, CallEvent.BAD_ANSWER)
            return
    assert call.remote is not None
    if before is CallState.ANSWERED:
        proven = call.is_proven(call.remote)
        exchange.desk.notify(CallConfirmed(call.leg, call.remote, proven))
    elif changed:
        exchange.desk.notify(CallMedia(call.leg, call.remote, call.is_proven(call.remote)))


def _answer_in_ack(exchange: Exchange, call: Call, request: Request) -> bool:
    body = session_body(request)
    if body is None:
        raise NoCommonCodec("ACK without an answer")
    return exchange.agree(call, body)


def fail(exchange: Exchange, call: Call, cause: EndCause, event: CallEvent) -> None:
    """End a call that went wrong with BYE."""
    call.go(event)
    exchange.report_end(call, cause)
    exchange.bye(call)
    exchange.retire(call)


def undelivered(exchange: Exchange, tx: ServerTx, answer: Message) -> None:
    """Take that our answer did not arrive: who never hears our 200 has no call."""
    tx.undelivered()
    call = tx.call
    accepted = isinstance(answer, Response) and 200 <= answer.status < 300
    if accepted and call is not None and call.tx is tx and call.state in _UNACKNOWLEDGED:
        fail(exchange, call, EndCause.NO_ACK, CallEvent.NO_ACK)


# --- reliable provisional answers ---------------------------------------------------------


def prack(exchange: Exchange, call: Call, tx: ServerTx, source: Address) -> None:
    """Take a PRACK: it must name the provisional answer that waits for one (RFC 3262 §3)."""
    reliable = call.reliable
    if reliable is None or tx.request.rack != (reliable.rseq, reliable.cseq, "INVITE"):
        exchange.refuse(tx, 481, "prack_unmatched", source=source)
        return
    call.reliable = None
    _stop_reliable(exchange, call)
    exchange.reply(tx, 200)


def _stop_reliable(exchange: Exchange, call: Call) -> None:
    exchange.desk.timers.disarm(call, Timer.RESEND_RELIABLE)
    exchange.desk.timers.disarm(call, Timer.NO_PRACK)


# --- timers -------------------------------------------------------------------------------


def resend_200(exchange: Exchange, call: Call) -> None:
    """Repeat our 200: T1, doubling up to T2."""
    answered = call.answered
    assert answered is not None
    exchange.desk.send(answered.flow, answered.data)
    answered.interval_ns = min(2 * answered.interval_ns, exchange.desk.t2_ns)
    exchange.desk.arm(call, Timer.RESEND_200, answered.interval_ns)


def no_ack(exchange: Exchange, call: Call) -> None:
    """No ACK came in 64*T1: end the call with BYE (RFC 3261 §13.3.1.4)."""
    fail(exchange, call, EndCause.NO_ACK, CallEvent.NO_ACK)


def resend_reliable(exchange: Exchange, call: Call) -> None:
    """Repeat a reliable provisional answer: T1, doubling without end (RFC 3262 §3)."""
    reliable = call.reliable
    assert reliable is not None
    exchange.desk.send(reliable.flow, reliable.data)
    reliable.interval_ns *= 2
    exchange.desk.arm(call, Timer.RESEND_RELIABLE, reliable.interval_ns)


def no_prack(exchange: Exchange, call: Call) -> None:
    """No PRACK came in 64*T1: the INVITE gets a 5xx."""
    call.go(CallEvent.NO_PRACK)
    _close(exchange, call, 504, EndCause.NO_ACK)
