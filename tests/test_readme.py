"""What the README shows is so: its story is one, its numbers are in the plan."""

import re
import subprocess
import sys
from pathlib import Path

from bridge.conference.numberplan import NumberPlan
from tests.held import unheld

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_story_holds(tmp_path: Path) -> None:
    (story,) = re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)
    path = tmp_path / "readme.yaml"
    path.write_text(story)
    command = [sys.executable, "-m", "bridge.cli", "scenario", "run", str(path)]
    done = unheld(
        lambda: subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT),
        lambda done: done.returncode == 0,
        lambda done: done.stdout,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_number_to_dial_is_in_the_plan() -> None:
    numbers = set(re.findall(r"sip:(\+\d+)@", README))
    assert numbers
    plan = NumberPlan.build()
    assert all(plan.lookup(number) for number in numbers)


def test_every_file_that_is_linked_exists() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
