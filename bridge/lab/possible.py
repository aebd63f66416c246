"""What a story asks that no bridge, no clock and no bill can give; starts nothing.

Told when the file is read, so that it does not end a run in the middle.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Final

from bridge.conference.api import LegKind
from bridge.conference.numberplan import NumberPlan
from bridge.errors import InputError
from bridge.lab.source import KeyPath, Source
from bridge.lab.spoken import samples_said
from bridge.lab.steps import AdvanceStep, CallerStep, Step, TogetherStep
from bridge.lab.story import Story
from bridge.lab.times import UNIT_MS, YEAR_LAST
from bridge.media.codecs import WIDE
from bridge.units import conf_ms_of

OF_THE_LAB: Final = ("account", "contract", "session", "store", "trunk")
"""Tables of bridge.toml that the lab writes, from keys of the story's own."""

MONTH_MS_MAX: Final = 31 * UNIT_MS["d"]
_plan = cache(NumberPlan.build)


def check_possible(story: Story, source: Source) -> None:
    """Note what cannot be, though every part of it is well formed."""
    _check_numbers(story, source)
    _check_said(story, source)
    _check_time(story, source)
    for key in story.settings:
        if (table := key.partition(".")[0]) in OF_THE_LAB:
            text = f"{table!r} is the lab's own: write `account`, `contracts` or `session` beside"
            source.complain(("settings", key), f"{text} `settings`")


def _check_numbers(story: Story, source: Source) -> None:
    """Who dials a country's number needs one in the plan (D18)."""
    for name, spec in story.callers.items():
        if spec.dials or not spec.country or spec.via not in ("toll", "toll-free"):
            continue
        kind = LegKind.TOLL if spec.via == "toll" else LegKind.TOLL_FREE
        if _plan().did(spec.country, kind) is None:
            text = f"the number plan has no {spec.via} number of {spec.country}"
            source.complain(("callers", name, "country"), f"{text}: another country, or `dials`")


def _check_said(story: Story, source: Source) -> None:
    """What is said for a time is there, and in a codec that the lab can speak in."""
    for path, step in caller_steps(story.steps):
        if not step.voice.sound:
            continue
        try:
            samples_said(step.voice)
        except InputError as error:
            source.complain(path, str(error))
        for name in step.who:
            if (codec := story.callers[name].codec) in WIDE:
                text = f"{name} speaks {codec}: who says what is no tone does so in PCMU or PCMA"
                source.complain(path, text)


def _check_time(story: Story, source: Source) -> None:
    """The clock stays in the years that bills know."""
    now, last = int(story.begins), conf_ms_of(datetime(YEAR_LAST + 1, 12, 1, tzinfo=UTC))
    for index, step in enumerate(story.steps):
        if isinstance(step, AdvanceStep):
            now += MONTH_MS_MAX if step.to == "month-end" else step.by_ms
            if now > last:
                text = f"goes past the year {YEAR_LAST}: start earlier, or advance less"
                source.complain(("steps", index), text)
                return


def caller_steps(steps: tuple[Step, ...]) -> Iterator[tuple[KeyPath, CallerStep]]:
    """Yield what callers do, those of steps at the same time included, each with its path."""
    for index, step in enumerate(steps):
        for part in step.steps if isinstance(step, TogetherStep) else (step,):
            if isinstance(part, CallerStep):
                yield ("steps", index), part
