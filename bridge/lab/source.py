"""A YAML file as plain values plus the line of each of them; knows nothing of stories.

Messages about a file name the file and the line. So values keep their path (keys and indexes
from the root) and this module remembers where each path stands.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from bridge.errors import InputError

FILE_BYTES_MAX: Final = 1_000_000
DEPTH_MAX: Final = 30
NODES_MAX: Final = 100_000
DIGITS_MAX: Final = 19
"""What is longer is no number in any story, and is kept as text."""

TOO_DEEP: Final = f"nested too deep or too long: at most {DEPTH_MAX} levels, {NODES_MAX} values"

KeyPath = tuple[str | int, ...]
"""Keys and indexes from the root of a file to one value."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong in a file."""

    line: int
    message: str


class StoryRefused(InputError):
    """A story file cannot be used; `problems` lists all that was found, in order of lines."""

    code = "story_refused"

    def __init__(self, file: Path, problems: Iterable[Problem]) -> None:
        self.file = file
        self.problems = tuple(sorted(problems))
        super().__init__(str(file), len(self.problems), "a story without faults")
        self.args = ("\n".join(self.messages()),)

    def messages(self) -> list[str]:
        """Return `file:line: message` for each problem."""
        return [f"{self.file}:{problem.line}: {problem.message}" for problem in self.problems]


@dataclass(slots=True)
class Source:
    """Values of one file and where they stand.

    Attributes:
        value: dicts, lists and scalars. Sequences as mapping keys become tuples.
        lines: line (from 1) of each path; a mapping's entry stands where its key stands.
    """

    file: Path
    value: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line_of(self, path: Iterable[str | int]) -> int:
        """Return the line of a path, or of the nearest thing around it."""
        wanted = tuple(path)
        while wanted and wanted not in self.lines:
            wanted = wanted[:-1]
        return self.lines.get(wanted, 1)

    def complain(self, path: Iterable[str | int], message: str) -> None:
        """Note a problem at a path."""
        self.problems.append(Problem(self.line_of(path), message))


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return `, did you mean 'x'?` when something known is near, else "".

    >>> suggestion("waitin", ["waiting", "joined"])
    ", did you mean 'waiting'?"
    """
    names = {name.lower(): name for name in reversed(list(known))}
    close = difflib.get_close_matches(word.lower(), list(names), n=1, cutoff=0.6)
    near = [names[name] for name in close]
    return f", did you mean {near[0]!r}?" if near else ""


class _TooDeep(Exception):
    def __init__(self, line: int) -> None:
        super().__init__(TOO_DEEP)
        self.line = line


class _Shallow(yaml.SafeLoader):
    """Composes no deeper than a story can be: PyYAML itself goes on until the stack is full."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if parent is not None and self.depth > DEPTH_MAX:
            raise _TooDeep(parent.start_mark.line + 1)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def read_source(file: Path) -> Source:
    """Read a YAML file, or raise StoryRefused with the line of the fault."""
    source = Source(file)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise StoryRefused(file, [Problem(1, f"cannot be read: {error.strerror}")]) from error
    if len(data) > FILE_BYTES_MAX:
        raise StoryRefused(file, [Problem(1, f"larger than {FILE_BYTES_MAX} bytes")])
    try:
        root = yaml.compose(data.decode(), Loader=_Shallow)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise StoryRefused(file, [Problem(line, f"is not UTF-8: {error.reason}")]) from error
    except _TooDeep as error:
        raise StoryRefused(file, [Problem(error.line, TOO_DEEP)]) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        message = f"is not YAML: {error.problem or error.context}"
        raise StoryRefused(file, [Problem(line, message)]) from error
    except yaml.YAMLError as error:
        raise StoryRefused(file, [Problem(1, f"is not YAML: {error}")]) from error
    if root is None:
        raise StoryRefused(file, [Problem(1, "is empty")])
    source.value = _value(root, (), source)
    if source.problems:
        raise StoryRefused(file, source.problems)
    return source


def _value(node: yaml.Node, path: KeyPath, source: Source) -> Any:
    source.lines.setdefault(path, node.start_mark.line + 1)
    if len(path) > DEPTH_MAX or len(source.lines) > NODES_MAX:  # aliases may refer to themselves
        raise StoryRefused(source.file, [Problem(source.line_of(path), TOO_DEEP)])
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, source)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, i), source) for i, item in enumerate(node.value)]
    return _scalar(node)


def _scalar(node: yaml.Node) -> Any:
    """Return text as written but for integers, booleans and null: times and codes stay text."""
    tag, text = node.tag.rsplit(":", 1)[-1], str(node.value)
    if tag == "null":
        return None
    if text.lower() in {"true", "false"} and tag == "bool":
        return text.lower() == "true"
    digits = text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX
    if tag == "int" and digits and not (len(text) > 1 and text[0] == "0"):
        return int(text)
    return text


def _mapping(node: yaml.MappingNode, path: KeyPath, source: Source) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key: Any = _key(key_node)
        label = ", ".join(key) if isinstance(key, tuple) else key
        source.lines[(*path, label)] = key_node.start_mark.line + 1
        if key in result:
            source.complain((*path, label), f"key {label!r} stands twice")
        result[key] = _value(value_node, (*path, label), source)
    return result


def _key(node: yaml.Node) -> str | tuple[str, ...]:
    """Return a key as text: `NO` is Norway and `2026-01` a month, whatever YAML thinks."""
    if isinstance(node, yaml.SequenceNode):
        return tuple(str(item.value) for item in node.value)
    return str(node.value)
