"""The JSON Schema of stories takes what the models take, and refuses what they refuse."""

import re
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import pytest
import yaml

from bridge.lab.cli import TEMPLATE
from bridge.lab.schema import story_schema
from bridge.lab.selection import load_checked
from bridge.lab.source import StoryRefused

STORIES: Final = sorted(Path("scenarios").rglob("*.yaml"))
DOCS: Final = (Path("README.md"), *sorted(Path("docs").glob("*.md")))
VALIDATOR: Final = jsonschema_rs.validator_for(story_schema())
NUMBER: Final = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")
STORY: Final = """\
scenario: Two callers meet
callers:
  ann: {via: voip}
  bo: {via: toll-free, country: US}
steps:
  - ann: join
  - expect: {joined: [ann]}
"""


def plain(node: yaml.Node) -> Any:
    """Return a node as editors read it, by the core schema of YAML 1.2; keys are text."""
    if isinstance(node, yaml.MappingNode):
        return {key_of(key): plain(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [plain(item) for item in node.value]
    text = str(node.value)
    if isinstance(node, yaml.ScalarNode) and node.style in {'"', "'"}:
        return text
    if text in {"", "~", "null"}:
        return None
    if text in {"true", "false"}:
        return text == "true"
    if match := NUMBER.fullmatch(text):
        return float(text) if match[2] else int(text)
    return text


def key_of(node: yaml.Node) -> str:
    value = plain(node) if isinstance(node, yaml.SequenceNode) else str(node.value)
    return value if isinstance(value, str) else ", ".join(map(str, value))


def refusals(text: str) -> list[str]:
    """Return what the schema has against a story."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert root is not None
    found = VALIDATOR.iter_errors(plain(root))
    return [f"{'.'.join(map(str, error.instance_path))}: {error.message}" for error in found]


def model_takes(text: str, tmp_path: Path) -> bool:
    file = tmp_path / "story.yaml"
    file.write_text(text)
    try:
        load_checked(file)
    except StoryRefused:
        return False
    return True


def with_part(part: str) -> str:
    """Return the story with one more step, one more expectation, or one more key at the top."""
    where, _, what = part.partition("/")
    key = what.partition(":")[0]
    if where == "step":
        return STORY.replace("  - expect", f"  - {what}\n  - expect")
    if where == "expect":
        return STORY.replace("joined: [ann]", f"joined: [ann], {what}")
    if where == "bo":
        return STORY.replace("country: US", f"country: US, {what}" if key != "country" else what)
    if where == "end":
        return f"{STORY}expect: {{{what}}}\n"
    return f"{what}\n{STORY}"


@pytest.mark.parametrize("file", STORIES, ids=lambda file: file.stem)
def test_each_story_of_the_library_is_valid(file: Path) -> None:
    assert refusals(file.read_text()) == []


@pytest.mark.parametrize("file", DOCS, ids=lambda file: file.stem)
def test_each_story_in_the_documents_is_valid(file: Path) -> None:
    for example in re.findall(r"```yaml\n(.*?)```", file.read_text(), flags=re.DOTALL):
        text = example if "scenario:" in example else f"{example}{STORY}"
        assert refusals(text) == [], text
    assert refusals(TEMPLATE) == []


def test_each_step_in_the_table_of_the_manual_is_valid() -> None:
    text = Path("docs/scenarios.md").read_text()
    steps = [step.replace("\\|", "|") for step in re.findall(r"`- (.+?)`", text)]
    assert len(steps) > 10
    for step in [step for step in steps if "..." not in step]:
        assert refusals(with_part(f"step/{step}")) == [], step


@pytest.mark.parametrize(
    "part",
    [
        "step/advance: 4m",
        "step/advance: 9:59.999",
        "step/advance: to ann.warning",
        "step/advance: to month-end",
        "step/[{ann: mute}, {bo: join}]",
        "step/{ann: mute, bo: join}",
        "step/[ann, bo]: hang up",
        "step/add numbers: [FR, NO]",
        "step/migrate: {product: ovi, at: 2026-03-01}",
        "step/ann: say tone 900 for 2s",
        "bo/country: NO",
        "bo/codec: OPUS, ptime: 40ms",
        "bo/agent: pjsip",
        "bo/voice: tone 440 at -24 dBFS",
        'bo/from: "+12125550111"',
        "top/session: {access_code: 482913, organizer_pin: 771144, security_code: 1234}",
        'top/session: {access_code: "0482913", toll_free: [NO]}',
        "top/network: {ann: {loss: 1.5%, drift: 200, bandwidth: 96}}",
        "top/network: {ann: {jitter: 20ms, drift: -200ppm, bandwidth: 96kbit}}",
        "top/starts_at: 2026-02-10T09:00-05:00",
        "expect/ann: {hears: bo, level: {bo: -16.5}}",
        "expect/ann: {hears: [bo], level: {bo: -18..-14}, gap: 40ms, delay: 200ms, echo: 30dB}",
        "expect/left: {bo: waiting-timeout}",
        "expect/sip: {ann: [INVITE, 100, gets 200 to INVITE, 4xx, sends BYE]}",
        "expect/sip: {ann: {status: 200, codec: PCMU, times: {INVITE: 1}}}",
        "expect/metrics: {'facts_total{type=\"leg.joined\"}': 1.5}",
        "end/bill: {lines: [{amount: 1}, {amount: 0.42}], reasons: {never-started: 1}}",
        "end/bill: {2026-02: [{seller: A, usf: 0.75 USD}, {seller: B}]}",
    ],
)
def test_what_the_models_take_the_schema_takes(part: str, tmp_path: Path) -> None:
    text = with_part(part)
    assert model_takes(text, tmp_path)
    assert refusals(text) == []


@pytest.mark.parametrize(
    "part",
    [
        "step/advance: soon",
        "step/advance: to ann.lunch",
        "step/wait: long",
        "step/ann: jion",
        "step/[{ann: jion}, {bo: join}]",
        "step/migrate: {product: x}",
        "step/migrate: {at: 2026-02-10}",
        "step/migrate: {product: ovi, at: yesterday}",
        "step/finalize: january",
        "step/finalize: 2026-13",
        "step/add numbers: XX",
        "step/organizer: kik bo",
        "bo/country: XX",
        "bo/codec: PCMX",
        "bo/agent: foo",
        "bo/voice: loud",
        "bo/ptime: 25ms",
        'bo/from: "12125550111"',
        "top/rules: [X1]",
        "top/rulez: [R1]",
        "top/session: {access_code: 12}",
        "top/session: {toll_free: [XX]}",
        "top/starts_at: tomorrow",
        "top/network: {ann: {loss: 0.05}}",
        "top/network: {ann: {drift: fast}}",
        "expect/ann: {heres: [bo]}",
        "expect/ann: {hears: [bo], level: {bo: loud}}",
        "expect/ann: {hears: [bo], gap: short}",
        "expect/ann: {packets: 25ms}",
        "expect/left: {bo: nowhere}",
        "expect/events: [leg.join]",
        "expect/never: [leg.join]",
        "expect/sip: {ann: [INVIT]}",
        "expect/sip: {ann: {never: [700]}}",
        "expect/sip: {ann: {codec: PCMX}}",
        "end/bill: {2026-13: {total: 0.00 USD}}",
        "end/bill: {total: 0.42}",
        "end/bill: {lines: [{amount: much}]}",
        "end/bill: {reasons: {never: 1}}",
        "end/bill: {status: open}",
    ],
)
def test_what_the_models_refuse_the_schema_refuses(part: str, tmp_path: Path) -> None:
    text = with_part(part)
    assert not model_takes(text, tmp_path)
    assert refusals(text) != []
