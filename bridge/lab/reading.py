"""How a story file is read, and what is impossible in it although every part is well formed.

Knows the format; starts nothing. Every fault is told with file, line and, where a word is near
a known one, a suggestion.
"""

import itertools
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from bridge.errors import InputError
from bridge.lab.account import CONTRACTS, contract_faults, contract_table
from bridge.lab.expectations import DTMF, Audio, Expect
from bridge.lab.possible import check_possible
from bridge.lab.source import KeyPath, Source, StoryRefused, read_source, suggestion
from bridge.lab.spoken import samples_said
from bridge.lab.steps import (
    DIALS,
    STEP_KEYS,
    AddNumbersStep,
    CallerStep,
    CallMeStep,
    ExpectStep,
    KillStep,
    MigrateStep,
    OrganizerStep,
    RestartStep,
    Step,
    StepReader,
    TogetherStep,
    WaitStep,
    complain_of,
)
from bridge.lab.story import (
    CALLERS_MAX,
    FINAL_KEYS,
    NAME,
    REFUSED_CODECS,
    Story,
    apart,
    shared_numbers,
)
from bridge.lab.words import NOTHING, SILENT, TONE_APART_HZ, known_word
from bridge.media.codecs import WIDE


def load_story(file: Path, *, sounds: Collection[str] | None = None) -> Story:
    """Read one story, or raise StoryRefused with every fault that was found.

    `sounds` are the prompts that a story may name in `hears`; None skips that check.
    """
    source = read_source(file)
    raw = source.value
    if not isinstance(raw, dict):
        source.complain((), "a story is a mapping: scenario, callers, steps, expect")
        raise StoryRefused(file, source.problems)
    names = _names(raw.get("callers"), source)
    steps = StepReader(source, names).read_all(raw.get("steps"))
    contracts = _contracts(raw.get("contracts"), source)
    known = list(Story.model_fields)
    for key in raw:
        if key not in known:
            source.complain((key,), f"unknown key {key!r}{suggestion(str(key), known)}")
    if "expect" in raw and raw["expect"] is None:
        source.complain(("expect",), "expect is empty: write what must be true, or leave it out")
    try:
        values = {key: raw[key] for key in Story.model_fields if key in raw} | {
            "steps": steps,
            "contracts": contracts,
        }
        story = Story.model_validate(values, context={"callers": names})
    except ValidationError as error:
        complain_of(source, error, ())
        raise StoryRefused(file, source.problems) from None
    _check(story, source, sounds)
    if source.problems:
        raise StoryRefused(file, source.problems)
    story.tell_from(source)
    return story


def _names(callers: Any, source: Source) -> tuple[str, ...]:
    reserved = {*STEP_KEYS, *Expect.model_fields, "all", "together"}
    names = [str(name) for name in callers] if isinstance(callers, dict) else []
    for name in names:
        if not NAME.fullmatch(name) or name in reserved:
            text = f"{name!r} cannot be a caller's name: small letters, digits, _, no word of ours"
            source.complain(("callers", name), text)
    return tuple(names)


def _contracts(raw: Any, source: Source) -> dict[str, dict[str, Any]]:
    """Return the contracts that a story gives itself; faults go to the source."""
    result: dict[str, dict[str, Any]] = {}
    if raw is not None and not isinstance(raw, dict):
        source.complain(("contracts",), "must be a mapping from names to contracts")
        return result
    for name, value in (raw or {}).items():
        try:
            result[name] = contract_table(str(name), value)
        except PydanticCustomError as error:
            source.complain(("contracts", name), str(error.message()))
        except ValidationError as error:
            for path, text in contract_faults(error):
                source.complain(("contracts", name, *path), text)
    return result


def _check_contracts(story: Story, source: Source) -> None:
    known = [*CONTRACTS, *source.value.get("contracts", ())]  # those with faults too
    named: list[tuple[KeyPath, str]] = [(("account", "contract"), story.account.contract)]
    named += [
        (("steps", index), step.contract)
        for index, step in enumerate(story.steps)
        if isinstance(step, MigrateStep) and step.contract
    ]
    for path, name in named:
        if name not in known:
            source.complain(path, f"unknown contract {name!r}{suggestion(name, known)}")


def _check(story: Story, source: Source, sounds: Collection[str] | None) -> None:
    """Note what is impossible although every part of it is well formed."""
    for name, text in shared_numbers(story.callers):
        source.complain(("callers", name, "from"), text)
    _check_tones(story, source)
    _check_sounds(story, source)
    _check_contracts(story, source)
    _check_codecs(story, source)
    _check_called(story, source)
    _check_kills(story, source)
    for name in story.network:
        _check_name(story, name, source, ("network", name))
    _check_pjsip(story, source)
    _check_crowds(story, source)
    check_possible(story, source)
    offered = set(story.session.toll_free)
    for index, step in enumerate(story.steps):
        path = ("steps", index)
        if isinstance(step, ExpectStep):
            check_expect(story, step.expect, source, (*path, "expect"), sounds)
            if step.expect.recording:
                text = "the recording is complete at the end: expect it there"
                source.complain((*path, "expect", "recording"), text)
        if isinstance(step, AddNumbersStep):
            offered |= set(step.countries)
    if story.expect is not None:
        for key in sorted(story.expect.model_fields_set - {*FINAL_KEYS, "audio"}):
            source.complain(("expect", key), f"{key!r} is over at the end: expect it in a step")
        for name in story.expect.audio:
            source.complain(("expect", name), f"{name!r} has left at the end: expect it in a step")
        check_expect(story, story.expect, source, ("expect",), sounds)
        recorded = any(isinstance(s, OrganizerStep) and s.verb == "record" for s in story.steps)
        if story.expect.recording and not recorded:
            text = "nothing is recorded: add `organizer: record`"
            source.complain(("expect", "recording"), text)
    nothing = story.expect is None and not any(_checks(step) for step in story.steps)
    refused = len(story.steps) < len(source.value.get("steps") or ())  # which may expect something
    if nothing and not refused:
        source.complain((), "expects nothing: a story that checks nothing cannot fail")


def _checks(step: Step) -> bool:
    return isinstance(step, ExpectStep) or (
        isinstance(step, CallerStep) and step.verb == "is refused"
    )


def _check_codecs(story: Story, source: Source) -> None:
    """Who offers what nobody speaks can only be refused."""
    for index, step in enumerate(story.steps):
        steps = step.steps if isinstance(step, TogetherStep) else (step,)
        for part in steps:
            if isinstance(part, CallerStep) and part.verb in {"join", *DIALS}:
                for name in part.who:
                    if story.callers[name].codec in REFUSED_CODECS:
                        text = f"{name} offers {story.callers[name].codec} alone: he `is refused`"
                        source.complain(("steps", index), text)


def _check_called(story: Story, source: Source) -> None:
    """Whom Call Me calls does not dial, and only he has a phone to answer."""
    called = {name for name, spec in story.callers.items() if spec.via == "call-me"}
    for index, step in enumerate(story.steps):
        if isinstance(step, CallMeStep) and step.who not in called:
            text = f"Call Me calls who is `via: call-me`, not {step.who}"
            source.complain(("steps", index), text)
        for part in step.steps if isinstance(step, TogetherStep) else (step,):
            if not isinstance(part, CallerStep):
                continue
            if part.verb in {"join", *DIALS, "is refused"} and set(part.who) & called:
                text = f"{part.who[0]} is called: `call-me {part.who[0]}`, then `answer`"
                source.complain(("steps", index), text)
            if part.verb in {"answer", "refuse"} and not set(part.who) <= called:
                text = f"nobody calls {part.who[0]}: he is not via call-me"
                source.complain(("steps", index), text)


def _check_kills(story: Story, source: Source) -> None:
    """While the control process is dead only callers do things, until `restart`."""
    dead: int | None = None
    for index, step in enumerate(story.steps):
        if isinstance(step, RestartStep):
            dead = None
        elif dead is not None and not isinstance(step, CallerStep | TogetherStep | WaitStep):
            source.complain(("steps", index), "the bridge is dead: `restart` comes first")
            return
        if isinstance(step, KillStep) and step.what == "control":
            dead = index
    if dead is not None:
        source.complain(("steps", dead), "a killed bridge gives no bill: `restart` it")


def _check_tones(story: Story, source: Source) -> None:
    voices = [(name, v.tone_hz) for name, v in story.voices().items() if v.tone_hz]
    for (name, one_hz), (other, other_hz) in itertools.combinations(voices, 2):
        if not apart(one_hz, other_hz):
            text = f"tones of {name} ({one_hz} Hz) and {other} ({other_hz} Hz)"
            text += f" must be {TONE_APART_HZ} Hz apart to be told apart"
            source.complain(("callers", other, "voice"), text)


def _check_pjsip(story: Story, source: Source) -> None:
    """What is done to a vector caller's packets cannot be done to PJSIP's."""
    phones = {name for name, spec in story.callers.items() if spec.agent == "pjsip"}
    for name in sorted(phones & set(story.network)):
        text = f"{name} is a PJSIP caller: only packets of agent 'vector' go over a bad network"
        source.complain(("network", name), text)
    for index, step in enumerate(story.steps):
        steps = step.steps if isinstance(step, TogetherStep) else (step,)
        for part in steps:
            if not isinstance(part, CallerStep) or not phones & set(part.who):
                continue
            if part.verb == "drop":
                text = "a PJSIP caller cannot vanish without BYE: use agent 'vector'"
                source.complain(("steps", index), text)
            if part.verb in DIALS[1:] or (part.verb == "say" and part.voice == NOTHING):
                text = f"a PJSIP caller cannot `{part.verb}` so: use agent 'vector'"
                source.complain(("steps", index), text)


def _check_sounds(story: Story, source: Source) -> None:
    """Who speaks, speaks what nobody else does, in a codec that the lab can speak in."""
    seen: dict[str, str] = {}
    for name, voice in story.voices().items():
        if not voice.sound:
            continue
        path = ("callers", name, "voice")
        try:
            samples_said(voice)
        except InputError as error:
            source.complain(path, str(error))
        if story.callers[name].codec in WIDE:
            source.complain(path, "who speaks does so in PCMU or PCMA; a tone goes with any codec")
        if (other := seen.setdefault(voice.sound, name)) != name:
            source.complain(path, f"{other} says the same: they could not be told apart")


def _check_crowds(story: Story, source: Source) -> None:
    total = sum(spec.count for spec in story.callers.values())
    if total > CALLERS_MAX:
        source.complain(("callers",), f"{total} callers, at most {CALLERS_MAX}")
    crowds = {name for name, spec in story.callers.items() if spec.count > 1}
    for index, step in enumerate(story.steps):
        steps = step.steps if isinstance(step, TogetherStep) else (step,)
        for part in steps:
            said = isinstance(part, CallerStep) and part.verb == "say" and set(part.who) & crowds
            if said or (isinstance(part, OrganizerStep) and part.who in crowds):
                source.complain(("steps", index), "a crowd cannot do this: name single callers")


def check_expect(
    story: Story,
    expect: Expect,
    source: Source,
    path: tuple[str | int, ...],
    sounds: Collection[str] | None,
) -> None:
    """Note what is impossible in one `expect`, as far as a story's callers tell."""
    for key in ("waiting", "hosting", "joined"):
        for name in getattr(expect, key) or ():
            _check_name(story, name, source, (*path, key))
    for name in expect.left:
        _check_name(story, name, source, (*path, "left", name))
    for name in expect.sip:
        _check_name(story, name, source, (*path, "sip", name))
        if name in story.callers:
            _check_ladder(story, name, source, (*path, "sip", name))
    for name, audio in expect.audio.items():
        _check_audio(story, name, audio, source, (*path, name), sounds)
        _check_gauged(story, name, audio, source, (*path, name))
    if expect.recording:
        for name in expect.recording.voices or ():
            _check_name(story, name, source, (*path, "recording", "voices"))


def _check_ladder(story: Story, name: str, source: Source, path: KeyPath) -> None:
    spec = story.callers[name]
    if spec.count > 1:
        source.complain(path, f"{name} is a crowd: the SIP of single callers is looked at")


def _check_gauged(story: Story, listener: str, audio: Audio, source: Source, path: KeyPath) -> None:
    """What is measured beyond who is heard needs tones, single callers, and phones of ours."""
    if not audio.gauged:
        return
    if story.callers[listener].count > 1:
        source.complain(path, f"{listener} is a crowd: this is measured of single callers")
    voices = story.voices()
    for key in ("level", "gap"):
        for name in audio.hears if getattr(audio, key) else ():
            if (key == "gap" or name in audio.level) and not (
                name in voices and voices[name].tone_hz
            ):
                source.complain(
                    (*path, key), f"{name} sounds no tone: only of tones is it measured"
                )
    sweeps = {"delay": audio.hears, "echo": (listener,)}
    for key, speakers in sweeps.items():
        for name in speakers if getattr(audio, key) is not None else ():
            if fault_ := _no_sweep(story, name):
                source.complain((*path, key), fault_)
    for key in ("delay", "echo", "packets"):
        if getattr(audio, key) is not None and story.callers[listener].agent == "pjsip":
            text = f"{listener} is a PJSIP caller: this is measured of agent 'vector'"
            source.complain((*path, key), text)


def _no_sweep(story: Story, name: str) -> str:
    """Return why a caller can say no sweep, "" when he can."""
    spec = story.callers.get(name)
    if spec is None:
        return f"{name!r} is no caller: only callers say the sweep that is timed"
    if spec.count > 1 or spec.agent == "pjsip":
        return f"{name} cannot say the sweep that is timed: a single caller of agent 'vector' can"
    if spec.codec in WIDE:
        return f"{name} cannot say the sweep that is timed in {spec.codec}: use PCMU or PCMA"
    return ""


def _check_name(story: Story, name: str, source: Source, path: tuple[str | int, ...]) -> None:
    try:
        known_word(name, story.callers, "caller")
    except ValueError as error:
        source.complain(path, str(error))


def _check_audio(
    story: Story,
    listener: str,
    audio: Audio,
    source: Source,
    path: tuple[str | int, ...],
    sounds: Collection[str] | None,
) -> None:
    voices = story.voices()
    for key in ("hears", "not_hears"):
        for name in getattr(audio, key):
            if name == listener and key == "hears" and story.callers[name].count == 1:
                source.complain((*path, key), f"{name!r} would hear himself: nobody does")
            elif name in voices:
                if not voices[name].audible:
                    source.complain((*path, key), f"{name!r} is silent: give him a voice")
            elif name == DTMF and key == "not_hears":
                continue
            elif sounds is not None:
                try:
                    known_word(name, (*voices, *sounds), "caller or sound")
                except ValueError as error:
                    source.complain((*path, key), str(error))
    if audio.quality is not None and not voices.get(audio.hears[0], SILENT).sound:
        source.complain((*path, "quality"), "only who speaks is scored: `voice: speech` or a file")
    if story.callers[listener].count > 1 and audio.hears == ():
        source.complain(path, "a crowd is checked by what it hears: give hears")
