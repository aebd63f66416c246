"""What is dialled and keyed at a bridge that is not ours, and what of a story does not apply there.

Who hears whom there is in `tests/peers/test_foreign_bridge.py`.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from typer.testing import CliRunner

from bridge.conference.numberplan import NumberPlan
from bridge.errors import InputError
from bridge.lab.cast import Cast
from bridge.lab.cli import app
from bridge.lab.foreign import Foreign, ForeignRun
from bridge.lab.reading import load_story
from bridge.lab.steps import ExpectStep
from bridge.lab.story import Story
from bridge.lab.verdicts import StoryResult
from bridge.sip.api import Address

ADDRESS = Address("192.0.2.7", 5_060)

STORY = """\
scenario: Somebody is called, and all key what is asked for
session: {access_code: 123, organizer_pin: 4567, security_code: 89}
callers:
  olivia: {via: voip, role: organizer}
  olga:   {via: toll, country: US, role: organizer}
  ben:    {via: toll-free, country: US}
  bert:   {via: voip}
  dora:   {via: voip, dials: room}
  ann:    {via: call-me, country: US}
steps:
  - call-me ann
  - ann: answer
  - {ann: press 1}
  - ann: hang up
  - expect:
      ann: {hears: [ben]}
      olivia: {hears: [ann]}
      sip: {ann: [BYE]}
"""


@pytest.fixture
def story(tmp_path: Path) -> Story:
    file = tmp_path / "story.yaml"
    file.write_text(STORY.replace("89}", '"899"}'))
    return load_story(file)


def test_the_security_code_is_keyed_as_at_our_own_bridge(story: Story) -> None:
    plan, bridge = NumberPlan.build(), Foreign(ADDRESS)
    keys = {name: bridge.target(story, spec, plan).keys for name, spec in story.callers.items()}
    assert {name: keys[name] for name in ("olivia", "olga", "ben", "bert", "dora")} == {
        "olivia": "899#*04567#",
        "olga": "123#899#*4567#",
        "ben": "123#899#",
        "bert": "899#",
        "dora": "123#899#",
    }
    assert bridge.target(story, story.callers["dora"], plan).user == "room"
    assert Foreign(ADDRESS, keys="1#").target(story, story.callers["ben"], plan).keys == "1#"


async def test_what_is_about_whom_the_bridge_would_call_does_not_apply(story: Story) -> None:
    """There is no phone that rings, so nobody waits for it either."""
    nobody = cast(Cast, SimpleNamespace(story=story, callers={}))
    run = ForeignRun(nobody, StoryResult(story))
    for step in story.steps[:-1]:
        await run._do(step)
    last = story.steps[-1]
    assert isinstance(last, ExpectStep)
    await run._listen(last)
    assert [(one.name, one.ok, one.applies) for one in run.result.verdicts] == [
        ("call-me: ann", True, False),
        ("ann: answer", True, False),
        ("ann: press 1", True, False),
        ("ann: hang up", True, False),
        ("ann", True, False),
        ("olivia", True, False),
        ("sip.ann.in_order", True, False),
    ]


def test_keys_without_a_target_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(STORY)
    done = CliRunner().invoke(app, ["run", str(tmp_path / "a.yaml"), "--target-keys", "1#"])
    assert isinstance(done.exception, InputError)
    assert str(done.exception).startswith("--target-keys: '1#': expected --target")
