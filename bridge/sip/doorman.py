"""Who may come in: challenges, the registrar's door, and INVITEs of callers who must be known.

Knows which requests need credentials; what credentials are worth is `digest`'s business, and
what a registration does `registrar`'s.
"""

from bridge.sip import uas
from bridge.sip.api import Address
from bridge.sip.digest import Digest, Outcome
from bridge.sip.exchange import Exchange
from bridge.sip.headers import parse_uri
from bridge.sip.registrar import BadRegistration, Registrar
from bridge.sip.server_tx import ServerTx

_REASONS = {
    Outcome.MISSING: "credentials_missing",
    Outcome.WRONG: "credentials_wrong",
    Outcome.STALE: "credentials_stale",
}


class Doorman:
    """Stands before the calls of one core."""

    def __init__(self, exchange: Exchange) -> None:
        config = exchange.desk.config
        self._exchange = exchange
        self._digest = Digest(config, exchange.desk.ids)
        self.registrar = Registrar()

    def invite(self, tx: ServerTx, source: Address) -> None:
        """Take an INVITE that is in no dialog."""
        config = self._exchange.desk.config
        user = None
        if config.require_auth and not config.trusted(source.host):
            user = self._proven(tx, source)
            if user is None:
                return
        uas.invite(self._exchange, tx, source, user)

    def register(self, tx: ServerTx, source: Address) -> None:
        """Take a REGISTER: only who proves to be a user may change where he is called."""
        exchange, request = self._exchange, tx.request
        user = self._proven(tx, source)
        if user is None:
            return
        if parse_uri(request.to.uri).user != user:
            exchange.refuse(tx, 403, "not_ones_own_address", source=source)
            return
        flow = tx.flow._replace(destination=source)
        try:
            contacts = self.registrar.register(user, request, flow, exchange.desk.now_ns)
        except BadRegistration as fault:
            exchange.refuse(
                tx,
                fault.status,
                fault.counted,
                source=source,
                phrase=fault.reason,
                headers=fault.headers,
            )
            return
        exchange.reply(tx, 200, headers=contacts)

    def _proven(self, tx: ServerTx, source: Address) -> str | None:
        """Return the user whose credentials a request holds; else answer it and return None."""
        exchange, now_ns = self._exchange, self._exchange.desk.now_ns
        checked = self._digest.check(tx.request, now_ns)
        if checked.outcome is Outcome.VALID:
            return checked.user
        if checked.outcome is Outcome.MALFORMED:
            phrase = "Malformed Authorization"
            exchange.refuse(tx, 400, "malformed_authorization", source=source, phrase=phrase)
            return None
        stale = checked.outcome is Outcome.STALE
        headers = self._digest.challenges(now_ns, stale=stale)
        exchange.refuse(tx, 401, _REASONS[checked.outcome], source=source, headers=headers)
        return None
