"""What every route works with, in one place; and how sessions and legs are shown.

Knows the parts of the web side and the bridge; knows no route.
"""

import asyncio
from dataclasses import asdict, dataclass
from typing import Final, cast

from fastapi import Request

from bridge.conference.api import LegState, LegView, OccurrenceView, Role
from bridge.server import Bridge
from bridge.session_store import SessionRecord, SessionStore
from bridge.units import ConfMs, utc_of
from bridge.web.auth import Principal
from bridge.web.call_models import CallState, QualityOut
from bridge.web.charges import Charges
from bridge.web.feed import Feed
from bridge.web.models import (
    LegOut,
    NumberOut,
    OccurrenceOut,
    SessionOut,
    SessionState,
)
from bridge.web.now import Now
from bridge.web.numbers import OfferedNumber, country_name, numbers_of
from bridge.web.problems import ApiProblem, unknown
from bridge.web.sessions import Scheduler
from bridge.web.speech import Speech
from bridge.web.webhooks import Sender

MINUTE_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of the web side.

    Attributes:
        base_url: what join URLs begin with, without a slash at its end.
    """

    bridge: Bridge
    store: SessionStore
    feed: Feed
    now: Now
    scheduler: Scheduler
    charges: Charges
    sender: Sender
    speech: Speech
    base_url: str

    # --- what is there for whom ---------------------------------------------------------

    async def session(self, principal: Principal, session: str) -> SessionRecord:
        """Return a session that the principal may see, or raise 404."""
        record = await asyncio.to_thread(self.store.record, session)
        if record is None or not principal.sees(record.spec.account):
            raise unknown("session", session)
        return record

    def leg(self, principal: Principal, leg: str) -> LegView:
        """Return a leg that is not over and that the principal may see, or raise 404."""
        for view in self.legs(principal):
            if view.leg == leg:
                return view
        raise unknown("leg", leg)

    def legs(self, principal: Principal) -> list[LegView]:
        """Return the legs that the principal may see; who has no session yet is an operator's."""
        accounts = {spec.id: spec.account for spec in self.bridge.sessions()}
        return [
            view
            for view in self.bridge.roster()
            if principal.sees(accounts.get(view.session) if view.session else None)
        ]

    def levels(self, principal: Principal) -> dict[str, int]:
        """Return how loud the legs are that talk now, in dB against full scale."""
        loud = self.bridge.voices.levels
        if not loud or principal.account is None:
            return {str(leg): level for leg, level in loud.items()}
        return {view.leg: loud[view.leg] for view in self.legs(principal) if view.leg in loud}

    def account(self, principal: Principal, account: str | None) -> str:
        """Return the account that is meant: the token's own, or the one that is named."""
        known = {config.id for config in self.bridge.settings.account}
        meant = account or principal.account
        if meant is None:
            raise ApiProblem(409, "account_needed", "an operator's token must name the account")
        if meant not in known or not principal.sees(meant):
            raise unknown("account", meant)
        return meant

    # --- how it is shown ----------------------------------------------------------------

    def show_session(self, record: SessionRecord, principal: Principal) -> SessionOut:
        """Return a session as this principal may see it."""
        spec = record.spec
        return SessionOut(
            id=spec.id,
            account=spec.account,
            title=record.title,
            language=record.language,
            state=self.state_of(record),
            start=spec.start.value,
            access_code=spec.access_code,
            organizer_pin=spec.organizer_pin if principal.may("organizer") else None,
            toll_free=sorted(spec.toll_free),
            opens=iso(spec.opens),
            closes=iso(spec.closes),
            security_code=(spec.security_code or None) if principal.may("organizer") else None,
            secured=spec.security_code != "",
            entry=spec.entry.value if spec.entry else None,
            participants_max=spec.participants_max,
            continue_minutes=None if spec.continue_ms is None else spec.continue_ms // MINUTE_MS,
            join_url=self.join_url(record),
            sip_uri=self.sip_uri(record),
            sequence=record.sequence,
            created_at=utc_text(record.created_ms),
            changed_at=utc_text(record.changed_ms),
        )

    def state_of(self, record: SessionRecord) -> SessionState:
        """Return where a session is: scheduled, open, started or cancelled."""
        if record.cancelled:
            return "cancelled"
        occurrence = self.now.of_session(record.spec.id)
        if occurrence is None:
            return "scheduled"
        return "open" if occurrence.started_at is None else "started"

    def join_url(self, record: SessionRecord) -> str:
        """Return where a participant finds the numbers; it never changes (R10)."""
        return f"{self.base_url}/join/{record.join_key}"

    def sip_uri(self, record: SessionRecord) -> str:
        """Return what a softphone dials."""
        host, port = self.bridge.sip_address
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return f"sip:{record.spec.access_code}@{place}"

    def numbers(self, record: SessionRecord) -> list[OfferedNumber]:
        """Return what a session offers now."""
        enabled = self.scheduler.toll_free_enabled(record.spec.account)
        return numbers_of(self.bridge.plan, record.spec, toll_free_enabled=enabled)

    def occurrences(self, principal: Principal) -> list[OccurrenceOut]:
        """Return the open occurrences that the principal may see."""
        return [
            self._show_occurrence(view)
            for view in self.bridge.occurrences()
            if principal.sees(view.account)
        ]

    def _show_occurrence(self, view: OccurrenceView) -> OccurrenceOut:
        since = self.now.occurrences.get(view.occurrence)
        return OccurrenceOut(
            session=view.session,
            occurrence=view.occurrence,
            account=view.account,
            opened_at=iso(since.opened_at) if since else None,
            started_at=iso(since.started_at) if since else None,
            locked=view.locked,
            lecture=view.lecture,
            mute_all=view.mute_all,
            recording=view.recording,
        )

    def show_leg(self, view: LegView) -> LegOut:
        """Return a leg as rosters show it."""
        joined = view.joined_at
        voices = self.bridge.voices
        quality = voices.quality.get(view.leg)
        return LegOut(
            leg=view.leg,
            session=view.session,
            occurrence=view.occurrence,
            via=view.kind.value,
            country=view.country,
            number=view.ani,
            name=view.display_name,
            state=view.state.value,
            role=view.role.value,
            hosting=view.role is Role.ORGANIZER
            and view.state in (LegState.WAITING, LegState.JOINED),
            muted=view.muted,
            hand_raised=view.hand_raised,
            has_floor=view.floor,
            gain_db=view.gain_db,
            held=view.held,
            talking=view.talking,
            level_db=voices.levels.get(view.leg),
            quality=None if quality is None else QualityOut(**asdict(quality)),
            name_recorded=view.named,
            call=cast(CallState, view.call),
            attempt=view.attempt,
            answered_at=iso(view.answered_at),
            waiting_since=iso(view.waiting_since),
            joined_at=iso(joined),
            talk_ms=0 if joined is None else max(self.bridge.now_conf() - joined, 0),
        )


def show_number(number: OfferedNumber, language: str) -> NumberOut:
    """Return a number with its country's name in a language."""
    return NumberOut(
        country=number.country,
        country_name=country_name(number.country, language),
        kind=number.kind,
        e164=number.e164,
        national=number.national,
        international=number.international,
    )


def context_of(request: Request) -> Context:
    """Return the parts that the application was built with."""
    context: Context = request.app.state.context
    return context


def utc_text(at: ConfMs) -> str:
    """Write conference time in UTC with milliseconds."""
    return utc_of(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso(at: ConfMs | None) -> str | None:
    """Write conference time, None as None."""
    return None if at is None else utc_text(at)
