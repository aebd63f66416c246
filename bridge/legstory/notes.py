"""What is remarkable about a leg, in plain words: why nobody heard it, what was lost, who ended it.

Reads a story that is built; decides nothing and knows no rule.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

SILENT_MS: Final = 3_000
"""A leg that was up for less time had none to send its first report."""

FAR_LOST: Final = 0.05

ENDS: Final[Mapping[str, str]] = {
    "remote_bye": "the other side hung up",
    "local_bye": "the bridge hung up",
    "cancelled": "the caller gave up before the answer",
    "no_ack": "no ACK came for the 200",
    "no_answer": "nobody answered",
    "session_expired": "the session was not refreshed",
    "bad_answer": "the answer's SDP could not be used",
}
_STATUS: Final = re.compile(r"\d{3}\b")


def notes_of(story: Mapping[str, Any], record: Mapping[str, Any]) -> list[str]:
    """Return the remarks on a story, the gravest first."""
    if not record:
        return []
    return [*_silence(story, record), *_address(story), *_losses(story), *_end(story)]


def _silence(story: Mapping[str, Any], record: Mapping[str, Any]) -> list[str]:
    """Say when nobody could hear the leg because nothing came from it."""
    answered = [
        one["real_ms"]
        for one in story["sip"]
        if one["text"].startswith("200") and one["cseq"].endswith("INVITE")
    ]
    if not answered or record["clock"]["end"][0] - answered[0] < SILENT_MS:
        return []
    last = record["rtp_last"]
    if last is None or last <= answered[0]:
        return ["No RTP came from this leg after the answer: nobody can have heard it."]
    if record["media"] and not record["media"][-1][4]:
        return ["At its end the leg was on hold: it sent nothing."]
    return []


def _address(story: Mapping[str, Any]) -> list[str]:
    agreed = [one for one in story["media"] if one["remote"]]
    if len(agreed) < 2 or agreed[-1]["proven"]:  # the first is the offer, not agreed yet
        return []
    return [
        f"Its SDP names {agreed[-1]['remote']}, which is not where its SIP came from: the bridge "
        "sends there only once RTP has come from there."
    ]


def _losses(story: Mapping[str, Any]) -> list[str]:
    samples = story["quality"]
    if not samples:
        return []
    lost, late = max(one["lost"] for one in samples), max(one["late"] for one in samples)
    jitter = max(one["jitter_ms"] for one in samples)
    found = []
    if lost > 0 or late:
        text = f"Of what it sent, {max(lost, 0)} packets were lost and {late} came too late"
        found.append(f"{text}; jitter was up to {jitter:.0f} ms.")
    far = max(one["far_lost_share"] for one in samples)
    if far >= FAR_LOST:
        found.append(f"The other side reported up to {far:.0%} of what the bridge sent as lost.")
    return found


def _end(story: Mapping[str, Any]) -> list[str]:
    word, _, status = story["end"].partition(" ")
    if not word:
        return []
    finals = [one for one in story["sip"] if _STATUS.match(one["text"]) and one["text"] >= "3"]
    refused = [one for one in finals if one["cseq"].endswith("INVITE")]
    if word in ("rejected", "refused") and refused:
        return [f"The call was refused: {refused[-1]['text']}."]
    how = ENDS.get(word, word.replace("_", " ")) + (f" ({status})" if status else "")
    left = story["about"].get("left", "").replace("_", " ")
    return [f"It ended because {how}" + (f": {left}." if left not in ("", "hung up") else ".")]
