"""The door of the SIP core: `SipCore.step`; sorts what comes in and hands out all effects.

It knows which part reads what; it knows no socket, no clock and no randomness.
"""

from collections.abc import Callable
from typing import Final

from bridge.sip import compose, indialog, limits, shed, uac, uas
from bridge.sip.api import (
    Accept,
    Address,
    Binding,
    Dial,
    HangUp,
    Received,
    Reinvite,
    Reject,
    Ring,
    Send,
    SipConfig,
    SipEffects,
    SipEvent,
    Undelivered,
    Wake,
)
from bridge.sip.call import Call
from bridge.sip.client_tx import ClientTx, Fired
from bridge.sip.compose import Pairs
from bridge.sip.desk import Desk, Flow, any_port
from bridge.sip.doorman import Doorman
from bridge.sip.exchange import Exchange
from bridge.sip.headers import split_list
from bridge.sip.messages import Echo, Malformed, Request, Response, parse
from bridge.sip.server_tx import ServerState, ServerTx
from bridge.sip.timers import Timer
from bridge.sip.transactions import Transactions, server_key
from bridge.units import NowNs

_WAITS_FOR_ACK: Final = (ServerState.COMPLETED, ServerState.CONFIRMED)


class SipCore:
    """SIP for many calls at once, without IO: one event in, everything that follows out."""

    def __init__(self, config: SipConfig, ids: Callable[[], str]) -> None:
        """Start with no call; `ids` returns a fresh alphanumeric token each time."""
        desk = Desk(config, ids, NowNs(0))
        self._desk = desk
        self._transactions = Transactions(desk)
        self._exchange = Exchange(desk, self._transactions)
        self._doorman = Doorman(self._exchange)

    def step(self, event: SipEvent, now_ns: NowNs) -> SipEffects:
        """Take one event and return everything that is to be done for it.

        Timers that are due by `now_ns` go off first, whatever the event. An order for a leg
        that is over, or never was, is counted and otherwise without effect.
        """
        desk = self._desk
        desk.now_ns = now_ns
        self._fire_due()
        match event:
            case Received():
                self._receive(event)
            case Undelivered():
                self._undelivered(event)
            case Wake():
                pass
            case Dial():
                uac.dial(self._exchange, event)
            case _:
                self._order(event)
        effects = SipEffects(tuple(desk.sends), tuple(desk.events), desk.timers.deadline_ns())
        desk.sends.clear()
        desk.events.clear()
        return effects

    def shed(self, event: Received) -> Send | None:
        """Return the 503 to a new call that came when there is no time for it; None for the rest.

        For the shell to ask before `step` when it is behind. What is sent again of a call that
        was taken already is no new call.
        """
        opening = shed.opening_of(event.data)
        if opening is None or opening.merge in self._transactions.merges:
            return None
        config = self._desk.config
        answer = shed.refusal(
            opening,
            event.source,
            retry_after_s=config.overload_retry_after_s,
            agent=config.user_agent,
        )
        return None if answer is None else Send(*answer, event.local)

    def bindings(self, user: str, now_ns: NowNs) -> tuple[Binding, ...]:
        """Return where a registered user can be called, the phone heard of last first."""
        return self._doorman.registrar.bindings(user, now_ns)

    @property
    def sizes(self) -> dict[str, int]:
        """How much is remembered, by table: all return to zero when nothing happens."""
        return {
            "legs": len(self._exchange.legs),
            "dialogs": len(self._exchange.dialogs),
            "server_transactions": len(self._transactions.servers),
            "server_chars": self._transactions.chars,
            "client_transactions": len(self._transactions.clients),
            "unanswered": self._transactions.unanswered,
            "merges": len(self._transactions.merges),
            "timers": len(self._desk.timers),
        }

    # --- orders ---------------------------------------------------------------------------

    def _order(self, order: Ring | Accept | Reject | HangUp | Reinvite) -> None:
        exchange = self._exchange
        call = exchange.legs.get(order.leg)
        if call is None:
            # The other side may have ended it in the step before.
            self._desk.drop("order_for_ended_leg")
            return
        match order:
            case Ring():
                uas.ring(exchange, call)
            case Accept():
                uas.accept(exchange, call, order)
            case Reject():
                uas.reject(exchange, call, order)
            case HangUp():
                call.reason = order.reason_text
                (uas if call.inbound else uac).hang_up(exchange, call)
            case _:
                uac.reinvite(exchange, call, order)

    # --- messages -------------------------------------------------------------------------

    def _receive(self, event: Received) -> None:
        message = parse(event.data, stream=event.transport != "UDP")
        if isinstance(message, Request):
            self._request(message, event)
        elif isinstance(message, Response):
            self._response(message, event.source)
        else:
            self._malformed(message, event)

    def _undelivered(self, event: Undelivered) -> None:
        """Tell whoever sent a message that it did not arrive (RFC 3261 §18.4)."""
        found = self._transactions.sender_of(event.data)
        if found is None:
            return  # its transaction is over: nobody waits
        tx, message = found
        if isinstance(tx, ServerTx):
            self._desk.drop("undelivered", event.destination)
            uas.undelivered(self._exchange, tx, message)
        elif not tx.sent_elsewhere(event.destination) and tx.undelivered():
            self._desk.drop("undelivered", event.destination)
            self._transactions.close_client(tx)
            uac.undelivered(self._exchange, tx, event.destination)

    def _malformed(self, message: Malformed, event: Received) -> None:
        self._desk.drop(message.reason, event.source)
        if message.echo is not None:
            echo, destination = compose.addressed_echo(message.echo, event.source)
            data = compose.answer(
                echo,
                message.status,
                to_tag=self._stateless_tag(message.echo),
                phrase=message.phrase,
                headers=(("Server", self._desk.config.user_agent),),
            )
            if event.transport != "UDP":
                destination = event.source
            self._desk.sends.append(Send(data, destination, event.local, event.transport))

    @staticmethod
    def _stateless_tag(echo: Echo) -> str:
        return "" if compose.tag_of(echo.to) else compose.stateless_tag(echo)

    def _response(self, response: Response, source: Address) -> None:
        tx = self._transactions.client_of(response)
        top, *others = response.echo.vias
        if tx is None:
            self._desk.drop("stray_response", source)
        elif others or len(split_list(top)) > 1:  # RFC 3261 §8.1.3.3: it went another way
            self._desk.drop("response_of_others", source)
        elif tx.receive(response):
            uac.heard(self._exchange, tx, response, source)

    def _request(self, request: Request, event: Received) -> None:
        if request.method == "ACK":
            self._ack(request, event.source)
            return
        transactions = self._transactions
        key = server_key(request, request.method)
        known = transactions.servers.get(key)
        if known is not None:
            known.repeat()
            return
        if transactions.full:
            self._overload_stateless(request, event)
            return
        merged = transactions.is_merged(request, key)
        flow = _answer_flow(request, event)
        tx = transactions.open_server(key, request, flow, event.source)
        if merged:
            self._exchange.refuse(tx, 482, "merged_request", source=event.source)
        elif not self._refused(tx, event.source):
            self._serve(tx, event.source)

    def _overload_stateless(self, request: Request, event: Received) -> None:
        self._desk.drop("overload", event.source)
        vias = compose.stamped_vias(request, event.source)
        echo = request.echo._replace(vias=vias)
        data = compose.answer(
            echo, 503, to_tag=self._stateless_tag(echo), headers=self._retry_after()
        )
        self._desk.send(_answer_flow(request, event), data)

    def _retry_after(self) -> Pairs:
        return (("Retry-After", str(self._desk.config.overload_retry_after_s)),)

    def _refused(self, tx: ServerTx, source: Address) -> bool:
        """Refuse what no method needs to look at (RFC 3261 §8.2); true when that was done."""
        exchange, request = self._exchange, tx.request
        # OPTIONS is to hear what an INVITE would (RFC 3261 §11.2).
        opens = request.method in ("INVITE", "OPTIONS") and not request.to_tag
        if opens and len(exchange.legs) >= self._desk.config.calls_max:
            exchange.refuse(tx, 503, "overload", source=source, headers=self._retry_after())
        elif request.max_forwards == 0:
            exchange.refuse(tx, 483, "too_many_hops", source=source)
        elif request.method == "REFER":
            exchange.refuse(tx, 603, "refer_declined", source=source)
        elif request.method not in exchange.allowed:
            allow = (exchange.allow,)
            exchange.refuse(tx, 405, "method_not_allowed", source=source, headers=allow)
        elif request.method != "CANCEL" and request.require - limits.EXTENSIONS:
            names = ", ".join(sorted(request.require - limits.EXTENSIONS))
            unsupported = (("Unsupported", names),)
            exchange.refuse(tx, 420, "unsupported_extension", source=source, headers=unsupported)
        else:
            return False
        return True

    def _serve(self, tx: ServerTx, source: Address) -> None:
        exchange, request = self._exchange, tx.request
        if request.method == "CANCEL":
            self._cancel(tx, source)
        elif request.method == "REGISTER":
            self._doorman.register(tx, source)
        elif request.to_tag:
            call = exchange.dialogs.get((request.call_id, request.to_tag, request.from_tag))
            if call is None:
                exchange.refuse(tx, 481, "unknown_dialog", source=source)
            else:
                indialog.request(exchange, call, tx, source)
        elif request.method == "INVITE":
            self._doorman.invite(tx, source)
        elif request.method == "OPTIONS":
            exchange.reply(tx, 200, headers=indialog.capabilities(exchange))
        else:
            exchange.refuse(tx, 481, "outside_of_dialog", source=source)

    def _cancel(self, tx: ServerTx, source: Address) -> None:
        invite = self._transactions.servers.get(server_key(tx.request, "INVITE"))
        if invite is None:
            self._exchange.refuse(tx, 481, "cancel_unmatched", source=source)
            return
        tx.call = invite.call
        self._exchange.reply(tx, 200)
        if invite.call is not None and invite.call.tx is invite:  # a re-INVITE is answered at once
            uas.cancelled(self._exchange, invite.call)

    def _ack(self, request: Request, source: Address) -> None:
        tx = self._transactions.servers.get(server_key(request, "INVITE"))
        if tx is not None and tx.state in _WAITS_FOR_ACK:
            tx.acknowledge()
            return
        call = self._exchange.dialogs.get((request.call_id, request.to_tag, request.from_tag))
        if call is None:
            self._desk.drop("stray_ack", source)
            return
        uas.acknowledged(self._exchange, call, request, source)
        uac.offer_next(self._exchange, call)

    # --- time -----------------------------------------------------------------------------

    def _fire_due(self) -> None:
        while due := self._desk.timers.pop_due(self._desk.now_ns):
            owner, timer = due
            if isinstance(owner, ServerTx):
                if owner.fire(timer):
                    self._transactions.close_server(owner)
            elif isinstance(owner, ClientTx):
                self._fire_client(owner, timer)
            else:
                assert isinstance(owner, Call)
                self._fire_call(owner, timer)

    def _fire_client(self, tx: ClientTx, timer: Timer) -> None:
        fired = tx.fire(timer)
        if fired is not Fired.GOES_ON:
            self._transactions.close_client(tx)
        if fired is Fired.TIMED_OUT:
            uac.gave_up(self._exchange, tx)

    def _fire_call(self, call: Call, timer: Timer) -> None:
        _CALL_TIMERS[timer](self._exchange, call)


def _answer_flow(request: Request, event: Received) -> Flow:
    """Return where the answers to a request go; over a stream, back on it while it is open."""
    if event.transport == "UDP":
        destination = compose.answer_address(request.via, event.source)
        return Flow(destination, event.local, event.transport)
    port = request.via.port or any_port(event.transport)
    instead = Address(event.source.host, port)
    return Flow(event.source, event.local, event.transport, instead)


_CALL_TIMERS: Final[dict[Timer, Callable[[Exchange, Call], None]]] = {
    Timer.INVITATION: uas.cancelled,
    Timer.RESEND_200: uas.resend_200,
    Timer.NO_ACK: uas.no_ack,
    Timer.RESEND_RELIABLE: uas.resend_reliable,
    Timer.NO_PRACK: uas.no_prack,
    Timer.REFRESH: uac.refresh,
    Timer.EXPIRE: uac.expire,
    Timer.OFFER_AGAIN: uac.offer_next,
    Timer.FORGET: Exchange.forget,
}
