"""Verdicts: what was expected, what was observed, where it stands; and a story's result."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge.conference.api import Fact
from bridge.lab.callers import Rung
from bridge.lab.expectations import Expect
from bridge.lab.ladders import keys_of
from bridge.lab.steps import ExpectStep
from bridge.lab.story import Story

NEVER_REACHED = "never evaluated"


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation of a story: its line and its name, `ann.hears` or `bill`."""

    line: int
    name: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one expectation held, or one step could be done.

    Attributes:
        applies: false for what cannot be asked of a bridge that is not ours, and for what a test
            in Python asked and did not insist on.
    """

    line: int
    name: str
    ok: bool
    expected: str
    observed: str
    applies: bool = True

    def as_json(self) -> dict[str, Any]:
        """Return it for JSON lines."""
        return {
            "line": self.line,
            "name": self.name,
            "ok": self.ok,
            "expected": self.expected,
            "observed": self.observed,
            "applies": self.applies,
        }


@dataclass(slots=True)
class StoryResult:
    """All that one run of a story left behind.

    Attributes:
        notes: what was otherwise than the story says, though it was run.
        late: how many ticks the machine was too slow for, in the bridge and at the callers.
        page: its card of the report, HTML; "" when none was wanted.
        folder: where its evidence is kept; "" when none is.
        files: what is in it.
        differs: how this run differs from the first of the same story; "" when it does not.
    """

    story: Story
    verdicts: list[Verdict] = field(default_factory=list)
    facts: tuple[Fact, ...] = ()
    ladders: dict[str, list[Rung]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    late: str = ""
    began_ns: int = 0
    seconds: float = 0.0
    page: str = ""
    folder: str = ""
    files: tuple[str, ...] = ()
    differs: str = ""

    @property
    def ok(self) -> bool:
        """Whether everything held, as in each earlier run, and there was something to hold."""
        judged = any(verdict.applies for verdict in self.verdicts)
        return judged and not self.failures() and not self.differs

    @property
    def reason(self) -> str:
        """Why it is no success, in a line: what failed first; "" when it is one."""
        if self.ok:
            return ""
        first = next(iter(self.failures()), None)
        if first is not None:
            return f"line {first.line}: {first.name}: {first.observed}"
        return self.differs or "nothing was evaluated"

    def failures(self) -> list[Verdict]:
        """Return what did not hold."""
        return [verdict for verdict in self.verdicts if verdict.applies and not verdict.ok]


def unequal(results: Sequence[StoryResult]) -> list[str]:
    """Return how runs of the same story differ: in a verdict, or in anything of a bill.

    Each run that differs from the first knows it from then on, for all reports.
    """
    first: dict[str, StoryResult] = {}
    found = []
    for result in results:
        file = str(result.story.file)
        other = first.setdefault(file, result)
        if other is result:
            continue
        for one, two in itertools.zip_longest(_repeatable(other), _repeatable(result)):
            if one != two:
                result.differs = f"runs differ: {_shown(one)}, and now {_shown(two)}"
                found.append(f"{file}: {result.differs}")
                break
    return found


def _shown(one: tuple[int, str, bool, str] | None) -> str:
    if one is None:
        return "no such verdict"
    line, name, ok, observed = one
    how = "held" if ok else "did not hold"
    return f"line {line}: {name} {how}" + (f" ({observed})" if observed else "")


def _repeatable(result: StoryResult) -> list[tuple[int, str, bool, str]]:
    return [
        (v.line, v.name, v.ok, v.observed if v.name.startswith("bill") else "")
        for v in result.verdicts
    ]


def checks_of_expect(expect: Expect, line: int) -> Iterator[Check]:
    """Yield what one `expect` will be judged by, in the order of evaluation."""
    for key in ("waiting", "hosting", "joined"):
        if getattr(expect, key) is not None:
            yield Check(line, key)
    for name in expect.left:
        yield Check(line, f"left.{name}")
    for name in expect.audio:
        yield Check(line, name)
    for key in ("events", "exactly", "never"):
        if getattr(expect, key):
            yield Check(line, key)
    for name, ladder in expect.sip.items():
        for key in keys_of(ladder):
            yield Check(line, f"sip.{name}.{key}")
    for name in expect.metrics:
        yield Check(line, f"metrics.{name}")
    for month, bills in expect.bill.items():
        if len(bills) > 1:
            yield Check(line, bill_name(month, "", "sellers"))
        for bill in bills:
            seller = (bill.seller or "") if len(bills) > 1 else ""
            for key in sorted(bill.model_fields_set):
                yield Check(line, bill_name(month, seller, key))
    if expect.recording is not None:
        for key in sorted(expect.recording.model_fields_set):
            yield Check(line, f"recording.{key}")


def bill_name(month: str, seller: str, key: str) -> str:
    """Return what one comparison of a bill is called.

    >>> bill_name("2026-02", "", "total"), bill_name("", "Example USA, Inc.", "usf")
    ('bill.2026-02.total', 'bill.Example USA, Inc..usf')
    """
    return ".".join(part for part in ("bill", month, seller, key) if part)


def checks_of(story: Story) -> list[Check]:
    """Return every expectation of a story: each of them must be evaluated."""
    checks = [
        check
        for step in story.steps
        if isinstance(step, ExpectStep)
        for check in checks_of_expect(step.expect, step.line)
    ]
    if story.expect is not None:
        checks += checks_of_expect(story.expect, final_line(story))
    return checks


def final_line(story: Story) -> int:
    """Return the line of the story's closing `expect`."""
    return story.source.line_of(("expect",))


def add_unreached(result: StoryResult) -> None:
    """Fail what was expected and never evaluated."""
    reached = [(verdict.line, verdict.name) for verdict in result.verdicts]
    for check in checks_of(result.story):
        if (check.line, check.name) in reached:
            reached.remove((check.line, check.name))
        else:
            result.verdicts.append(
                Verdict(check.line, check.name, False, "to be evaluated", NEVER_REACHED)
            )
