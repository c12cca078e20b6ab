"""The rules of the house that no ready-made linter checks, as one script without dependencies.

Run it as `python tests/house_rules.py [ROOT]`: it reads every file git knows or could add, prints each
violation as `file:line: rule: what`, and ends with 1 if there is any. There are no exemptions and no
switches; a rule that is wrong is changed here, with a test in tests/unit/house.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

FILE_WANTED, FILE_MOST = 400, 600
FUNCTION_MOST = 60
VAGUE_NAMES = {"utils", "util", "common", "helpers", "helper", "misc", "base_impl"}

EXECUTORS = ("components/*/*",)
MODELS = ("models/*", "training/*")
SERVING = ("serving/*",)
ROOMS_OF: dict[str, tuple[str, ...]] = {
    "polars": ("data/*",),
    "apache_beam": ("data/engine/backends/beam*",),
    "ray": ("data/engine/backends/ray*",),
    "pyarrow": ("data/*", "interactive/display*", *MODELS, *SERVING, *EXECUTORS),
    "numpy": ("data/*", *MODELS, *SERVING, *EXECUTORS),
    "sqlite3": ("metadata/sql/*",),
    "pysqlite3": ("metadata/sql/*",),
    "sqlalchemy": ("metadata/sql/*", "data/query_source*"),
    "duckdb": ("data/query_source*",),
    "psycopg": ("metadata/sql/*",),
    "pymysql": ("metadata/sql/*",),
    "click": ("cli/*", "runners/local/progress*"),
    "rich": ("cli/*", "runners/local/progress*"),
    "fsspec": ("storage/*",),
    "IPython": ("interactive/progress*",),
    "airflow": ("runners/airflow/*",),
    "grpc": ("mlmd/grpc_*", "metadata/remote/grpc_*"),
    "starlette": ("server/*", *SERVING),
    "uvicorn": ("listener*",),
    "prometheus_client": ("server/metrics*", "serving/metrics*"),
    "mlflow": ("components/pusher/*",),
    "google": ("mlmd/*", "metadata/sql/mlmd/*", "data/tfmd/*"),
    "tensorflow_metadata": ("data/tfmd/*",),
    "sklearn": (*MODELS, *EXECUTORS),
    "lightgbm": (*MODELS, *EXECUTORS),
    "xgboost": (*MODELS, *EXECUTORS),
    "skops": MODELS,
    "onnx": ("data/transform/onnx*", *MODELS, *EXECUTORS),
    "onnxruntime": ("data/transform/onnx*", *MODELS, *EXECUTORS),
    "skl2onnx": MODELS,
    "onnxmltools": MODELS,
    "torch": (*MODELS, *EXECUTORS),
    "safetensors": MODELS,
    "keras": (*MODELS, *EXECUTORS),
    "optuna": ("components/tuner/*",),
}
"""Third-party library -> the rooms (under src/tidemill) that may import it. A library that is not named
here is free; `components/*/component.py` is a declaration and may import none of them."""

PRINTING_ROOMS = ("cli/*", "runners/local/progress*", "training/*", *EXECUTORS)
"""The command line prints to its user; what an executor prints, or the training that it
calls, is the log of its node."""

# The words below are put together from halves, so that this file passes its own rules.
UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3)) + r")\b")
MACHINE_PATH = re.compile(r"(?<![\w.~}$*-])/(work|home|root|tmp)(?![\w-])")
REGISTRIES = re.compile(
    "|".join(
        re.escape(f"{host}.{domain}")
        for host, domain in (
            ("pypi", "org"),
            ("pythonhosted", "org"),
            ("npmjs", "org"),
            ("yarnpkg", "com"),
            ("crates", "io"),
            ("proxy.golang", "org"),
            ("maven", "org"),
            ("debian", "org"),
            ("archive.ubuntu", "com"),
            ("anaconda", "org"),
        )
    )
)
IGNORE = re.compile(r"#\s*type:\s*ignore")
IGNORE_EXPLAINED = re.compile(r"#\s*type:\s*ignore\[[a-z][a-z, -]*\]\s*(#|-)\s*\w.{4,}")

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, order=True)
class Violation:
    """One broken rule at one place."""

    file: str
    line: int
    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.what}"


def check(root: Path) -> tuple[list[Violation], list[str]]:
    """Every violation under `root`, sorted, and notes on files that grow too long."""
    found: list[Violation] = []
    notes: list[str] = []
    for name in repository_files(root):
        try:
            text = (root / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # binary data
        found += check_text(name, text)
        if name.endswith(".py"):
            found += check_python(name, text)
            lines = text.count("\n")
            if FILE_WANTED < lines <= FILE_MOST:
                notes.append(f"{name}: {lines} lines; {FILE_WANTED} are wanted, {FILE_MOST} are the most")
    return sorted(found), notes


def repository_files(root: Path) -> list[str]:
    """What git tracks, and what it would track: paths relative to `root`, without deleted ones."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    return sorted({n for n in listed.split("\0") if n and (root / n).is_file()})


def check_text(name: str, text: str) -> Iterator[Violation]:
    """Rules for every text file."""
    for number, line in enumerate(text.splitlines(), 1):
        if match := UNFINISHED.search(line):
            yield Violation(name, number, "unfinished", f"{match[0]}: finish it or file it; do not leave it")
        if match := MACHINE_PATH.search(line):
            yield Violation(name, number, "machine-path", f"{match[0]} exists on one machine only")
        if match := REGISTRIES.search(line):
            yield Violation(name, number, "registry-host", f"{match[0]}: use the client's own setting")


def check_python(name: str, text: str) -> Iterator[Violation]:
    """Rules for every Python file; `name` is its path from the repository's root."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        yield Violation(name, error.lineno or 1, "syntax", error.msg)
        return
    yield from sizes(name, text, tree)
    yield from vague_names(name)
    yield from unexplained_ignores(name, text)
    yield from import_forms(name, tree)
    if name.startswith("tests/"):
        yield from sleeps(name, tree)
    if name.startswith("src/tidemill/"):
        room_path = name.removeprefix("src/tidemill/").removesuffix(".py")
        yield from strange_imports(name, room_path, tree)
        yield from missing_future(name, tree)
        yield from missing_docstrings(name, tree)
        if not _is_in(room_path, PRINTING_ROOMS):
            yield from prints(name, tree)


def sizes(name: str, text: str, tree: ast.Module) -> Iterator[Violation]:
    """Files and functions that nobody can read in one go."""
    if (lines := len(text.splitlines())) > FILE_MOST:
        yield Violation(name, 1, "file-size", f"{lines} lines; {FILE_MOST} are the most")
    for node in ast.walk(tree):
        if isinstance(node, FunctionNode):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_MOST:
                what = f"{node.name} has {length} lines; {FUNCTION_MOST} are the most"
                yield Violation(name, node.lineno, "function-size", what)


def vague_names(name: str) -> Iterator[Violation]:
    """Modules and folders whose name says nothing."""
    for part in Path(name).with_suffix("").parts:
        if part.lstrip("_") in VAGUE_NAMES:
            yield Violation(name, 1, "vague-name", f"{part!r} says nothing about what is inside")


def unexplained_ignores(name: str, text: str) -> Iterator[Violation]:
    """Type errors silenced without the error's code and a reason."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT or not IGNORE.search(token.string):
            continue
        if not IGNORE_EXPLAINED.search(token.string):
            what = "write `# type: ignore[the-code]  # the reason`"
            yield Violation(name, token.start[0], "bare-ignore", what)


def import_forms(name: str, tree: ast.Module) -> Iterator[Violation]:
    """Relative imports and star imports."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level:
            yield Violation(name, node.lineno, "relative-import", "import it by its full name")
        if any(alias.name == "*" for alias in node.names):
            yield Violation(name, node.lineno, "star-import", "name what you import")


def sleeps(name: str, tree: ast.Module) -> Iterator[Violation]:
    """Tests that wait for time to pass instead of for the thing they need."""
    for node in ast.walk(tree):
        called = (
            isinstance(node, ast.Attribute) and node.attr == "sleep" and ast.unparse(node.value) == "time"
        )
        imported = isinstance(node, ast.ImportFrom) and node.module == "time" and "sleep" in _imported(node)
        if called or imported:
            assert isinstance(node, ast.Attribute | ast.ImportFrom)
            yield Violation(name, node.lineno, "sleep", "wait for an event, a file or a process instead")


def strange_imports(name: str, room_path: str, tree: ast.Module) -> Iterator[Violation]:
    """Third-party libraries outside the rooms that own them; imports for type checkers count too."""
    for node in ast.walk(tree):
        for library in _libraries(node):
            rooms = ROOMS_OF.get(library)
            if rooms is None:
                continue
            if not _is_in(room_path, rooms):
                assert isinstance(node, ast.Import | ast.ImportFrom | ast.Call)
                allowed = ", ".join(rooms).replace("/*/*", "/*/executor and its side modules")
                yield Violation(name, node.lineno, "strange-import", f"{library} belongs to {allowed}")


def missing_future(name: str, tree: ast.Module) -> Iterator[Violation]:
    """Modules that evaluate their annotations."""
    code = [node for node in tree.body if not _is_docstring(node)]
    if code and not any(isinstance(n, ast.ImportFrom) and n.module == "__future__" for n in code):
        yield Violation(name, 1, "future", "start with `from __future__ import annotations`")


def missing_docstrings(name: str, tree: ast.Module) -> Iterator[Violation]:
    """Public modules, classes, functions and methods that do not say what they are for."""
    stem = Path(name).stem
    if tree.body and (stem.startswith("__") or not stem.startswith("_")) and not ast.get_docstring(tree):
        yield Violation(name, 1, "docstring", "the module does not say why it exists")
    pending: list[tuple[str, ast.stmt]] = [("", node) for node in _definitions(tree.body)]
    while pending:
        prefix, node = pending.pop(0)
        if not isinstance(node, FunctionNode | ast.ClassDef) or node.name.startswith("_"):
            continue
        if not ast.get_docstring(node) and not _documented_elsewhere(node):
            yield Violation(name, node.lineno, "docstring", f"{prefix}{node.name} has none")
        if isinstance(node, ast.ClassDef):
            pending += [(f"{prefix}{node.name}.", inner) for inner in _definitions(node.body)]


def prints(name: str, tree: ast.Module) -> Iterator[Violation]:
    """Output from rooms that must stay silent."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield Violation(
                name, node.lineno, "print", "only the command line, its progress and executors print"
            )


def _is_in(room_path: str, rooms: tuple[str, ...]) -> bool:
    """Whether a module lies in one of the rooms; a component's declaration is never an executor."""
    declares = fnmatch(room_path, "components/*/component")
    return not declares and any(fnmatch(room_path, pattern) for pattern in rooms)


def _definitions(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        if isinstance(node, ast.If):
            yield from _definitions([*node.body, *node.orelse])
        else:
            yield node


def _documented_elsewhere(node: FunctionNode | ast.ClassDef) -> bool:
    """Overloads and property setters share the docstring of the function they belong to."""
    names = [ast.unparse(decorator) for decorator in node.decorator_list]
    return any(n in {"overload", "override"} or n.endswith((".setter", ".deleter")) for n in names)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _imported(node: ast.ImportFrom) -> set[str]:
    return {alias.name for alias in node.names}


def _libraries(node: ast.AST) -> set[str]:
    """The top-level packages that an import statement, or `import_module("...")`, loads."""
    modules: list[str] = []
    if isinstance(node, ast.Import):
        modules = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and not node.level:
        modules = [node.module or ""]
    elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in {
        "import_module",
        "__import__",
    }:
        modules = [a.value for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    return {module.partition(".")[0] for module in modules}


def main(arguments: list[str]) -> int:
    """Check the repository and report; 1 when a rule is broken."""
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parents[1]
    found, notes = check(root)
    for note in notes:
        print(f"note: {note}")
    for violation in found:
        print(violation)
    print(f"house rules: {len(found)} violations" if found else "house rules: kept")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
