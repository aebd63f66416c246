"""The house rules that no linter knows: import directions, sizes, banned words, honest docs."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60

CORES = ("bridge.sip", "bridge.conference", "bridge.media")
FOUNDATION = ("bridge.units", "bridge.errors", "bridge.frozen")
CORE_BANS = {
    "asyncio": "a core returns deadlines; the shell owns the loop",
    "socket": "a core returns what to send",
    "time": "time is an argument",
    "logging": "a core returns events; the shell logs",
    "structlog": "a core returns events; the shell logs",
    "random": "pass an id source or a seed in",
    "secrets": "pass an id source in",
    "os": "a core touches no system",
    "threading": "a core runs where it is called",
    "subprocess": "a core starts nothing",
}
CORE_LEAVES = {("bridge.media.samples", "os")}
"""It asks one variable, once, which of two loops that give the same is to run."""

BANNED_TEXT = {
    r"\bFIXME\b": "mend it, or say it in docs/",
    r"\bTODO\b": "mend it, or say it in docs/",
    r"\bXXX\b": "mend it, or say it in docs/",
    r"time\.time\(\)": "a now_ns argument, or conference time",
    r"datetime\.utcnow": "datetime.now(UTC)",
    r"np\.add\.at\(": "np.add.reduceat over sorted rows, or np.bincount",
    r"except:": "name what is caught",
}

DATA = {"tests/bridge/sip/torture.py"}
"""Messages of RFC 4475, one after the other: data, though written in Python."""

SOURCES = sorted([*(ROOT / "bridge").rglob("*.py"), *(ROOT / "billing").rglob("*.py")])
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def module_name(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """Yield the modules a file imports, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def inside(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def by_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=by_name)
def test_imports_point_down(path: Path) -> None:
    name = module_name(path)
    for imported in imports(path):
        if inside(name, "billing"):
            assert not inside(imported, "bridge"), f"{name} imports {imported}"
        core = next((core for core in CORES if inside(name, core)), None)
        if core:
            allowed = (core, *FOUNDATION)
            assert not inside(imported, "bridge") or inside(imported, *allowed), imported
            assert not inside(imported, "billing"), f"{name} imports {imported}"
            top = imported.split(".")[0]
            banned = top in CORE_BANS and (name, top) not in CORE_LEAVES
            assert not banned, f"{name} imports {top}: {CORE_BANS.get(top)}"
        if inside(name, *FOUNDATION):
            assert not inside(imported, "bridge", "billing"), f"{name} imports {imported}"
        if inside(name, "bridge.net"):
            assert not inside(imported, "bridge.conference", "bridge.server", "bridge.lab")
        if inside(name, "bridge.worker"):
            assert not inside(imported, "bridge.sip", "bridge.conference", "bridge.server")
        if not inside(name, "bridge.lab", "bridge.cli", "bridge.bench", "bridge.web"):
            assert not inside(imported, "bridge.lab"), f"{name} imports {imported}"
        if inside(name, "bridge"):
            facade = tuple(f"billing.{n}" for n in ("config", "settings", "cli", "bench"))
            assert not inside(imported, "billing") or imported in ("billing", *facade), imported


@pytest.mark.parametrize("path", SOURCES + TESTS, ids=by_name)
def test_no_module_outgrows_the_page(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    if by_name(path) in DATA:
        return
    assert lines <= MODULE_LINES_MAX, f"{lines} lines: split it"


@pytest.mark.parametrize("path", SOURCES, ids=by_name)
def test_functions_are_short_and_modules_say_what_they_know(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "a module says what it knows and what it must not know"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            doc = (first.end_lineno or 0) - first.lineno + 1 if text else 0
            if path.parent.name == "versions":  # a migration is a list of tables
                continue
            lines = (node.end_lineno or 0) - node.lineno + 1 - doc
            assert lines <= FUNCTION_LINES_MAX, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("path", SOURCES, ids=by_name)
def test_banned_words_have_their_replacement(path: Path) -> None:
    text = path.read_text()
    for pattern, instead in BANNED_TEXT.items():
        found = re.search(pattern, text)
        assert not found, f"{found.group() if found else ''}: {instead}"


@pytest.mark.parametrize("path", SOURCES, ids=by_name)
def test_no_float_in_billing(path: Path) -> None:
    if not inside(module_name(path), "billing") or inside(module_name(path), "billing.bench"):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        is_float = isinstance(node, ast.Constant) and isinstance(node.value, float)
        assert not is_float, f"line {getattr(node, 'lineno', 0)}: money and time are integers"
        named = isinstance(node, ast.Name) and node.id == "float"
        assert not named, f"line {getattr(node, 'lineno', 0)}: money and time are integers"


@pytest.mark.parametrize("path", SOURCES, ids=by_name)
def test_a_broad_except_stands_only_where_a_fault_ends_one_leg(path: Path) -> None:
    if module_name(path) in ("bridge.server", "bridge.phone.directors"):  # C++ takes no exception
        return
    assert not re.search(r"except (Base)?Exception\b", path.read_text()), "name what is caught"


def readme_commands() -> list[str]:
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"```(?:sh|console|)\n(.*?)```", text, flags=re.DOTALL)
    lines = [line.removeprefix("$ ").strip() for block in blocks for line in block.splitlines()]
    inline = re.findall(r"`((?:tollbridge|make) [^`]+)`", text)
    return [line for line in [*lines, *inline] if line.startswith(("tollbridge ", "make "))]


@pytest.mark.parametrize("command", readme_commands())
def test_commands_of_the_readme_exist(command: str) -> None:
    words = command.split("#")[0].split()
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        assert words[1] in targets
        return
    plain: list[str] = []
    for word in words[1:]:
        if not re.fullmatch(r"[a-z][a-z-]*", word):
            break
        plain.append(word)
    options = [word for word in words if word.startswith("--")]
    text = ""
    for count in range(len(plain), -1, -1):
        done = subprocess.run(
            [str(ROOT / ".venv/bin/tollbridge"), *plain[:count], "--help"],
            capture_output=True,
            text=True,
            check=False,
            env={"COLUMNS": "200", "PATH": "/usr/bin:/bin", "TERM": "dumb"},
        )
        if done.returncode == 0:
            text = done.stdout
            break
    assert count >= 1, f"no command of: {command}"
    for option in options:
        assert option.split("=")[0] in text, f"{option} is no option of {command}"


def test_no_paths_of_one_machine_in_the_tree() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "*.py", "*.md", "*.toml", "*.yaml", "Makefile"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    for name in tracked:
        for line in (ROOT / name).read_text().splitlines():
            found = re.search(r"(?<![\w.:])/(work|root|home)/", line)
            assert not found or name == "tests/test_tidy.py", f"{name}: {line}"
