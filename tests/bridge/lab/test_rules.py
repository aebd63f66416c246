"""Every rule, decision and bill that the lab can tell has a story, and docs/stories.md lists them.

`python -m tests.bridge.lab.test_rules` writes the table anew.
"""

import re
from pathlib import Path

from bridge.lab.selection import load_checked

RULES = Path("docs/rules.md")
TABLE = Path("docs/stories.md")
NOT_TOLD: dict[str, str] = {}
"""What no story proves, why, and what does."""

HEAD = """\
# Which stories prove which rules

Made from `scenarios/` by `python -m tests.bridge.lab.test_rules`; a test says when it is stale.

| rule | stories |
|---|---|
"""


def known_rules() -> list[str]:
    found = re.findall(r"^\| ([RDB]\d+) \|", RULES.read_text(), flags=re.MULTILINE)
    assert len(found) == len(set(found))
    return found


def proven() -> dict[str, list[Path]]:
    result: dict[str, list[Path]] = {}
    for file in sorted(Path("scenarios").rglob("*.yaml")):
        for rule in load_checked(file).rules:
            result.setdefault(rule, []).append(file)
    return result


def table() -> str:
    by_rule = proven()
    rows = []
    for rule in known_rules():
        files = by_rule.get(rule, [])
        links = ", ".join(f"[{file.stem}](../{file})" for file in files)
        rows.append(f"| {rule} | {links or 'none: ' + NOT_TOLD[rule]} |\n")
    return HEAD + "".join(rows)


def test_no_rule_is_without_a_story() -> None:
    missing = set(known_rules()) - set(proven())
    assert missing == set(NOT_TOLD)


def test_stories_cite_rules_that_exist() -> None:
    assert set(proven()) <= set(known_rules())


def test_the_table_is_current() -> None:
    assert TABLE.read_text() == table(), "run python -m tests.bridge.lab.test_rules"


if __name__ == "__main__":
    TABLE.write_text(table())
