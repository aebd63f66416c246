"""The limits and fixed words of the SIP core; knows no message and no call."""

from typing import Final

# --- messages -----------------------------------------------------------------------------

HEAD_BYTES_MAX: Final = 60_000
"""Start line and header fields together; above it a message is answered, not read."""

BODY_BYTES_MAX: Final = 65_536
"""Body of one message."""

HEADER_LINES_MAX: Final = 256
"""Header lines of one message, after unfolding."""

VIAS_MAX: Final = 70
"""Via lines or values of one message; a request can have no more hops than Max-Forwards."""

VALUE_CHARS_MAX: Final = 8_192
"""Characters of one header value that the core has to read."""

VIAS_CHARS_MAX: Final = 8_192
"""Characters of all Via values of one message together."""

ECHO_CHARS_MAX: Final = 12_288
"""Via, From, To, Call-ID and CSeq of one request together: an answer repeats them, and is kept."""

KEPT_CHARS_MAX: Final = 256
"""Characters of a value whose parse is remembered; longer ones are of who wants to fill tables."""

URI_CHARS_MAX: Final = 2_048
"""Characters of one URI."""

LIST_VALUES_MAX: Final = 128
"""Values of one comma separated list."""

URI_CACHE_SIZE: Final = 4_096
"""Parsed URIs that are remembered; the same few occur in every message of a dialog."""

NAME_CACHE_SIZE: Final = 256
"""Names of parameters and lines of session descriptions that are remembered as read."""

CSEQ_MAX: Final = 2**31 - 1
"""RFC 3261 §8.1.1.5."""

MAX_FORWARDS_MAX: Final = 255
"""RFC 3261 §20.22."""

MAX_FORWARDS: Final = 70
"""What our own requests start with."""

# --- session descriptions -----------------------------------------------------------------

SDP_BYTES_MAX: Final = 16_384
SDP_MEDIA_MAX: Final = 16
SDP_FORMATS_MAX: Final = 64
SDP_FORMAT_CHARS_MAX: Final = 64
PTIME_MS_MIN: Final = 10
PTIME_MS_MAX: Final = 60
"""Of packets that are sent and received; our descriptions say so (`a=maxptime`, RFC 4566 §6)."""
PTIME_MS: Final = 20
"""What we want to receive, and what we send to who does not say."""

# --- tables -------------------------------------------------------------------------------

TRANSACTIONS_MAX: Final = 400_000
"""Server transactions kept; beyond it a request is answered 503 without being remembered."""

TRANSACTIONS_CHARS_MAX: Final = 200_000_000
"""What their answers repeat, together; beyond it likewise. Usual ones have 500 characters each."""

DEAD_TIMERS_MAX: Final = 2_048
"""Disarmed timers that may lie in the heap before it is swept, unless it is larger still."""

RETRIES_MAX: Final = 5
"""How often one of our own requests is tried again after 422 or 491."""

# --- times --------------------------------------------------------------------------------

T1_GIVE_UP: Final = 64
"""Timers B, D, F, H, J, L, M and the wait for an ACK, in T1 (RFC 3261 §17, RFC 6026 §7.1)."""

T1_T2: Final = 8
"""Timer T2, the longest retransmit interval, in T1: 4 s."""

T1_T4: Final = 10
"""Timer T4, how long a message may stay in the network, in T1: 5 s."""

MIN_SE_S: Final = 90
"""The shortest session interval (RFC 4028 §4)."""

EXPIRY_MARGIN_S: Final = 32
"""How long before the end of a session interval its watcher sends BYE (RFC 4028 §10)."""

# --- words --------------------------------------------------------------------------------

BRANCH_COOKIE: Final = "z9hG4bK"
ALLOWED: Final = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "UPDATE", "INFO", "PRACK")
EXTENSIONS: Final = frozenset({"timer", "100rel"})
SUPPORTED: Final = "timer, 100rel"
SDP_TYPE: Final = "application/sdp"
ACCEPT: Final = "application/sdp, application/dtmf-relay, application/dtmf"

PHRASES: Final[dict[int, str]] = {
    100: "Trying",
    180: "Ringing",
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    422: "Session Interval Too Small",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    491: "Request Pending",
    500: "Server Internal Error",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    513: "Message Too Large",
    603: "Decline",
}
