"""asyncio bindings for pjsua2: PJSIP phones as async context managers, in this process or in many.

`docs/phone.md` is the manual. A library of its own: it imports only errors from the bridge.
"""

from bridge.phone.account import Account
from bridge.phone.call import Call
from bridge.phone.endpoint import Endpoint
from bridge.phone.library import missing
from bridge.phone.pool import Pool
from bridge.phone.values import (
    AccountConfig,
    Answered,
    Block,
    CallEvent,
    CallRefused,
    Ended,
    KeyReceived,
    Media,
    MediaChanged,
    NoLineFree,
    PhoneConfig,
    PhoneTrouble,
    Ringing,
    SipMessage,
    Statistics,
    TransferProgress,
)

__all__ = [
    "Account",
    "AccountConfig",
    "Answered",
    "Block",
    "Call",
    "CallEvent",
    "CallRefused",
    "Ended",
    "Endpoint",
    "KeyReceived",
    "Media",
    "MediaChanged",
    "NoLineFree",
    "PhoneConfig",
    "PhoneTrouble",
    "Pool",
    "Ringing",
    "SipMessage",
    "Statistics",
    "TransferProgress",
    "missing",
]
