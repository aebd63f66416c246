"""One leg as the core knows it, and the tables that say where it may go.

Knows states and what each makes of what a remote side may send. It must not know sessions'
rules, prompts or timers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from bridge.conference import api
from bridge.conference.api import LegKind, LegState, LegView, Role
from bridge.conference.entry import KeyCollector, Keyed
from bridge.errors import IllegalTransition
from bridge.units import ConfMs, LegId, OccurrenceId, SessionId

TYPE_AHEAD_MAX: Final = 64
"""Keys kept of those pressed before the ACK came; later ones are dropped."""


class Move(Enum):
    """The ways from one state of a leg to another."""

    __hash__ = object.__hash__  # members are unique; Enum's own hash is a call of its own

    ANSWER = auto()
    DIAL = auto()
    REST = auto()
    RETRY = auto()
    ASK = auto()
    PROMPT = auto()
    SECURE = auto()
    NAME = auto()
    WAIT = auto()
    JOIN = auto()
    LEAVE = auto()
    END = auto()


TRANSITIONS: Final[Mapping[LegState, Mapping[Move, LegState]]] = {
    LegState.INVITED: {
        Move.ANSWER: LegState.ANSWERED,
        Move.DIAL: LegState.DIALLED,
        Move.END: LegState.ENDED,
    },
    LegState.DIALLED: {
        Move.ASK: LegState.ASKED,
        Move.REST: LegState.RESTING,
        Move.END: LegState.ENDED,
    },
    LegState.RESTING: {Move.RETRY: LegState.INVITED, Move.END: LegState.ENDED},
    LegState.ASKED: {
        Move.NAME: LegState.NAMING,
        Move.WAIT: LegState.WAITING,
        Move.JOIN: LegState.JOINED,
        Move.LEAVE: LegState.LEAVING,
        Move.END: LegState.ENDED,
    },
    LegState.ANSWERED: {
        Move.PROMPT: LegState.PROMPTED,
        Move.SECURE: LegState.SECURED,
        Move.NAME: LegState.NAMING,
        Move.WAIT: LegState.WAITING,
        Move.JOIN: LegState.JOINED,
        Move.LEAVE: LegState.LEAVING,
        Move.END: LegState.ENDED,
    },
    LegState.PROMPTED: {
        Move.SECURE: LegState.SECURED,
        Move.NAME: LegState.NAMING,
        Move.WAIT: LegState.WAITING,
        Move.JOIN: LegState.JOINED,
        Move.LEAVE: LegState.LEAVING,
        Move.END: LegState.ENDED,
    },
    LegState.SECURED: {
        Move.NAME: LegState.NAMING,
        Move.WAIT: LegState.WAITING,
        Move.JOIN: LegState.JOINED,
        Move.LEAVE: LegState.LEAVING,
        Move.END: LegState.ENDED,
    },
    LegState.NAMING: {
        Move.WAIT: LegState.WAITING,
        Move.JOIN: LegState.JOINED,
        Move.LEAVE: LegState.LEAVING,
        Move.END: LegState.ENDED,
    },
    LegState.WAITING: {
        Move.WAIT: LegState.WAITING,  # moved to another waiting room
        Move.JOIN: LegState.JOINED,
        Move.END: LegState.ENDED,
    },
    LegState.JOINED: {
        Move.WAIT: LegState.WAITING,  # moved to a session that has not started
        Move.JOIN: LegState.JOINED,  # moved to another conference
        Move.END: LegState.ENDED,
    },
    LegState.LEAVING: {Move.END: LegState.ENDED},
    LegState.ENDED: {},
}


class Reaction(Enum):
    """What the core does when a leg's event comes. `IGNORE` is the named no-op."""

    __hash__ = object.__hash__  # members are unique; Enum's own hash is a call of its own

    IGNORE = auto()
    INVITE = auto()
    ANSWER = auto()
    FORGET = auto()
    REFUSE = auto()
    CONFIRM = auto()
    KEEP_KEY = auto()
    CODE_KEY = auto()
    ROOM_KEY = auto()
    CODE_PROMPT_DONE = auto()
    SECURITY_KEY = auto()
    NAME_KEY = auto()
    NAME_PROMPT_DONE = auto()
    NAMED = auto()
    HELD = auto()
    TALKED = auto()
    HOLD_MUSIC = auto()
    PLAY_DONE = auto()
    GO = auto()
    HANG_UP = auto()
    LOSE = auto()
    RING = auto()
    PICK_UP = auto()
    MISS = auto()
    DROP = auto()
    ACCEPT_KEY = auto()
    ASK_AGAIN = auto()
    DECLINE = auto()


LegEvent = (
    api.LegInvited
    | api.LegReady
    | api.LegAbandoned
    | api.LegConfirmed
    | api.LegKey
    | api.LegPlayed
    | api.LegHungUp
    | api.LegLost
    | api.LegRinging
    | api.LegAnswered
    | api.LegNamed
    | api.LegHeld
    | api.LegTalked
)

_LATE: Final[Mapping[type[LegEvent], Reaction]] = {
    api.LegNamed: Reaction.IGNORE,  # its time was over, or it keyed on
    api.LegHeld: Reaction.IGNORE,
    api.LegTalked: Reaction.IGNORE,
}
_NOT_CALLED: Final[Mapping[type[LegEvent], Reaction]] = {
    **_LATE,
    api.LegRinging: Reaction.IGNORE,  # of a try that was given up
    api.LegAnswered: Reaction.IGNORE,
}
_LIVE: Final[Mapping[type[LegEvent], Reaction]] = {
    **_NOT_CALLED,
    api.LegHeld: Reaction.HELD,
    api.LegConfirmed: Reaction.IGNORE,  # an ACK may come again
    api.LegHungUp: Reaction.HANG_UP,
    api.LegLost: Reaction.LOSE,
}

REACTIONS: Final[Mapping[LegState, Mapping[type[LegEvent], Reaction]]] = {
    LegState.INVITED: {
        **_NOT_CALLED,
        api.LegReady: Reaction.ANSWER,
        api.LegAbandoned: Reaction.FORGET,
        api.LegConfirmed: Reaction.IGNORE,
        api.LegKey: Reaction.IGNORE,
        api.LegPlayed: Reaction.IGNORE,
        api.LegHungUp: Reaction.FORGET,
        api.LegLost: Reaction.REFUSE,
    },
    LegState.DIALLED: {
        **_LATE,
        api.LegConfirmed: Reaction.IGNORE,
        api.LegKey: Reaction.IGNORE,
        api.LegPlayed: Reaction.IGNORE,
        api.LegHungUp: Reaction.MISS,
        api.LegLost: Reaction.DROP,
        api.LegRinging: Reaction.RING,
        api.LegAnswered: Reaction.PICK_UP,
    },
    LegState.RESTING: {  # what comes is of the try before
        **_NOT_CALLED,
        api.LegConfirmed: Reaction.IGNORE,
        api.LegKey: Reaction.IGNORE,
        api.LegPlayed: Reaction.IGNORE,
        api.LegHungUp: Reaction.IGNORE,
        api.LegLost: Reaction.IGNORE,
    },
    LegState.ASKED: {
        **_LIVE,
        api.LegHungUp: Reaction.DECLINE,
        api.LegKey: Reaction.ACCEPT_KEY,
        api.LegPlayed: Reaction.ASK_AGAIN,
    },
    LegState.ANSWERED: {
        **_LIVE,
        api.LegAbandoned: Reaction.FORGET,  # the fact could not be written
        api.LegConfirmed: Reaction.CONFIRM,
        api.LegKey: Reaction.KEEP_KEY,
        api.LegPlayed: Reaction.IGNORE,
    },
    LegState.PROMPTED: {
        **_LIVE,
        api.LegKey: Reaction.CODE_KEY,
        api.LegPlayed: Reaction.CODE_PROMPT_DONE,
    },
    LegState.SECURED: {
        **_LIVE,
        api.LegKey: Reaction.SECURITY_KEY,
        api.LegPlayed: Reaction.CODE_PROMPT_DONE,
    },
    LegState.NAMING: {
        **_LIVE,
        api.LegKey: Reaction.NAME_KEY,
        api.LegPlayed: Reaction.NAME_PROMPT_DONE,
        api.LegNamed: Reaction.NAMED,
    },
    LegState.WAITING: {
        **_LIVE,
        api.LegKey: Reaction.ROOM_KEY,
        api.LegPlayed: Reaction.HOLD_MUSIC,
    },
    LegState.JOINED: {
        **_LIVE,
        api.LegTalked: Reaction.TALKED,
        api.LegKey: Reaction.ROOM_KEY,
        api.LegPlayed: Reaction.PLAY_DONE,
    },
    LegState.LEAVING: {
        **_LIVE,
        api.LegKey: Reaction.IGNORE,
        api.LegPlayed: Reaction.GO,
    },
    LegState.ENDED: {  # also every leg never heard of
        **_NOT_CALLED,
        api.LegInvited: Reaction.INVITE,
        api.LegReady: Reaction.IGNORE,
        api.LegAbandoned: Reaction.IGNORE,
        api.LegConfirmed: Reaction.IGNORE,
        api.LegKey: Reaction.IGNORE,
        api.LegPlayed: Reaction.IGNORE,
        api.LegHungUp: Reaction.IGNORE,
        api.LegLost: Reaction.IGNORE,
    },
}
"""Total for what a remote side may cause. What is missing is a mistake of the server: a second
invitation of a leg that lives, a second answer, giving up a leg that was confirmed."""

REASONS: Final[Mapping[str, str]] = {
    "no_ack": "no_ack",
    "session_expired": "session_expired",
    "rtp_timeout": "rtp_timeout",
    "worker_lost": "worker_lost",
    "bridge_restarted": "bridge_restarted",
}
"""Causes that are `leg.left` reasons of their own; any other way to end a call is a hang-up."""

HUNG_UP: Final = "hung_up"


class Playing(Enum):
    """What a leg hears of prompts."""

    NOTHING = auto()
    PROMPT = auto()
    MUSIC = auto()


@dataclass(slots=True)
class Leg:
    """One leg. Its times are conference time.

    Attributes:
        did: the DID dialled, "" for VoIP.
        source: whose guesses its own count as; "" for nobody's.
        outbound: the bridge calls it (Call Me); `dials` counts the tries, `rang` is of the last,
            `outcome` what became of the one before.
        wants: session of the access code that was dialled, or that it is called into; None when
            the code is to be keyed.
        muted_for: why it is muted, "" while it is not.
        floor: it may speak in lecture mode.
        session, occurrence, account: None, None and "" until the code is right.
        home: the session and occurrence of its facts: those it was first identified with.
        leaving: why it leaves, "" unless LEAVING.
        facts: how many facts it has, so the number of its last one.
        token: of its last play.
        ahead: keys pressed before the ACK, or while a verdict waits.
        verdict: a code or PIN that waits to be judged, since its source guessed before.
        active_at: when it entered the waiting room or last pressed a key there (D1).
        warned: the warning of the waiting room has been played since.
        held: the other side has put it on hold.
        talking: it is heard in the mix now.
        keyed: it keyed its access code, so a PIN may follow.
        name_clip: what it said as its name; "" for nothing.
        hands_over: it leaves by `#2`: the conference goes on whatever D17's time is.
    """

    id: LegId
    kind: LegKind
    ani: str
    country: str = ""
    did: str = ""
    display_name: str = ""
    source: str = ""
    outbound: bool = False
    dials: int = 0
    rang: bool = False
    outcome: str = ""
    wants: SessionId | None = None
    state: LegState = LegState.INVITED
    role: Role = Role.PARTICIPANT
    muted: bool = False
    muted_for: str = ""
    floor: bool = False
    hand_raised: bool = False
    gain_db: int = 0
    language: str = "en"
    session: SessionId | None = None
    occurrence: OccurrenceId | None = None
    account: str = ""
    home: tuple[SessionId, OccurrenceId] | None = None
    answered_at: ConfMs | None = None
    waiting_since: ConfMs | None = None
    joined_at: ConfMs | None = None
    leaving: str = ""
    facts: int = 0
    token: int = 0
    playing: Playing = Playing.NOTHING
    collector: KeyCollector = field(default_factory=KeyCollector)
    ahead: list[str] = field(default_factory=list)
    verdict: Keyed | None = None
    code_tries: int = 0
    pin_tries: int = 0
    active_at: ConfMs | None = None
    warned: bool = False
    held: bool = False
    talking: bool = False
    keyed: bool = False
    name_clip: str = ""
    hands_over: bool = False

    def move(self, move: Move) -> None:
        """Go to the state that the table says, or raise."""
        state = TRANSITIONS[self.state].get(move)
        if state is None:
            raise IllegalTransition(self.state, move)
        self.state = state

    def plays(self, token: int) -> bool:
        """Say whether the play of this token is what the leg hears, and a prompt."""
        return self.playing is Playing.PROMPT and self.token == token

    @property
    def call(self) -> str:
        """What Call Me has come to; "" for a leg that called in."""
        if not self.outbound:
            return ""
        if self.state in (LegState.INVITED, LegState.DIALLED):
            return "ringing" if self.rang else "dialling"
        if self.state is LegState.RESTING:
            return self.outcome
        return "answered" if self.state is LegState.ASKED else "joined"

    @property
    def view(self) -> LegView:
        """What rosters show."""
        return LegView(
            leg=self.id,
            kind=self.kind,
            country=self.country,
            ani=self.ani,
            state=self.state,
            role=self.role,
            muted=self.muted,
            session=self.session or (self.wants if self.outbound else None),
            occurrence=self.occurrence,
            answered_at=self.answered_at,
            waiting_since=self.waiting_since,
            joined_at=self.joined_at,
            display_name=self.display_name,
            hand_raised=self.hand_raised,
            gain_db=self.gain_db,
            floor=self.floor,
            language=self.language,
            held=self.held,
            talking=self.talking,
            named=bool(self.name_clip),
            call=self.call,
            attempt=self.dials,
        )


def reaction_of(state: LegState, event: LegEvent) -> Reaction:
    """Return what to do with an event of a leg in `state`, or raise when that cannot be."""
    reaction = REACTIONS[state].get(type(event))
    if reaction is None:
        raise IllegalTransition(state, event)
    return reaction
