"""A story in which something goes wrong fails, and the next one is run as if nothing had been."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.errors import InputError, OperatingTrouble
from bridge.lab.cast import Cast
from bridge.lab.checks import Judge
from bridge.lab.doing import or_failed
from bridge.lab.host import Host
from bridge.lab.runner import Lab, StoryRun
from bridge.lab.selection import load_checked
from bridge.lab.steps import WaitStep
from bridge.lab.verdicts import NEVER_REACHED, StoryResult

STORY = """\
scenario: Somebody waits
callers:
  ann: {via: voip}
steps:
  - ann: join
  - wait: 1ms
expect: {events: [leg.waiting], bill: {total: 0.00 USD}}
"""


def failing(error: Exception) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


FAULTS = (
    (Host, "start", OperatingTrouble("127.0.0.1:5060 is taken"), "127.0.0.1:5060 is taken"),
    (Cast, "add", IndexError("list index out of range"), "IndexError: list index out of range"),
    (Host, "end", ValueError("year 10000"), "ValueError: year 10000"),
    (Judge, "judge", InputError("pesq", "not installed", "it"), "pesq: 'not installed'"),
    (StoryRun, "golden", OSError("disk full"), "OSError: disk full"),
    (Host, "stop", ValueError("no way out"), "ValueError: no way out"),
)


async def test_whatever_goes_wrong_fails_one_story_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "story.yaml"
    file.write_text(STORY)
    story = load_checked(file)
    lab = Lab.open()
    try:
        for owner, name, error, said in FAULTS:
            with monkeypatch.context() as patched:
                patched.setattr(owner, name, failing(error))
                failed = await lab.run(story)
            told = [one for one in failed.failures() if one.observed != NEVER_REACHED]
            assert [(one.line, one.name) for one in told] == [(1, "story")], (name, told)
            assert told[0].observed.startswith(said)
        assert [one.observed for one in (await lab.run(story)).failures()] == []
        assert len(lab.workers) == 1
    finally:
        await lab.close()


async def test_a_step_with_bad_input_fails_and_the_story_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "story.yaml"
    file.write_text(STORY)
    lab, done = Lab.open(), StoryRun.do

    async def do(run: StoryRun, step: object) -> None:
        if isinstance(step, WaitStep):
            raise InputError("voice", "gone.wav", "a WAV file")
        await done(run, step)  # type: ignore[arg-type]  # any other step

    monkeypatch.setattr(StoryRun, "do", do)
    try:
        result = await lab.run(load_checked(file))
    finally:
        await lab.close()
    assert [(one.line, one.name) for one in result.failures()] == [(6, "wait: 1ms")]
    assert len(result.verdicts) == 3


async def test_the_end_of_the_program_is_no_failure_of_a_story(tmp_path: Path) -> None:
    file = tmp_path / "story.yaml"
    file.write_text(STORY)
    result = StoryResult(load_checked(file))

    class Ended(BaseException):
        pass

    async def work() -> None:
        raise Ended

    with pytest.raises(Ended):
        await or_failed(work(), result)
    assert result.verdicts == []
