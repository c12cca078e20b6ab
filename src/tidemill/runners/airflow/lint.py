"""Finds old Airflow spellings in a DAG file by its syntax tree: nothing is imported, least of all Airflow."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tidemill.errors import DefinitionError
from tidemill.runners.airflow import old
from tidemill.runners.airflow.old import Old

_TEMPLATE = re.compile(r"\{[{%].*?[%}]\}", re.DOTALL)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_CONTEXTS = {"context", "kwargs", "ctx"}


@dataclass(frozen=True, order=True, slots=True)
class Finding:
    """One old spelling at one place."""

    line: int
    column: int
    spelling: str
    state: str
    instead: str

    def __str__(self) -> str:
        return (
            f"{self.line}:{self.column}: {self.spelling} is {self.state} in Airflow 3; write: {self.instead}"
        )


def lint(source: str, file: str) -> list[Finding]:
    """Every old spelling in the text of a DAG file, in order. DefinitionError when it is no Python 3."""
    try:
        tree = ast.parse(source, file)
    except SyntaxError as error:
        raise DefinitionError(
            f"this is no Python that Airflow 3 could read: {error.msg}",
            where=f"{file}:{error.lineno}" if error.lineno else file,
        ) from None
    except ValueError as error:  # a null byte
        raise DefinitionError(f"this is no Python: {error}", where=file) from None
    return sorted({*_Walk().walk(tree)})


class _Walk:
    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        """Name in the file -> what of Airflow it was imported as, unless that is an old spelling already."""

    def walk(self, tree: ast.AST) -> Iterator[Finding]:
        """Findings of the tree; of `a.b.c` only the longest."""
        inner: set[int] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "airflow":
                found = {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
                self.known |= {name: whole for name, whole in found.items() if not [*_imported(node, whole)]}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
                inner.add(id(node.value))
            if id(node) not in inner:
                yield from self.of(node)

    def of(self, node: ast.AST) -> Iterator[Finding]:
        """Findings at one node itself."""
        match node:
            case ast.ImportFrom(module=str(module), names=names, level=0):
                for alias in names:
                    yield from _imported(alias, f"{module}.{alias.name}")
            case ast.Import(names=names):
                for alias in names:
                    yield from _imported(alias, alias.name)
            case ast.Attribute(attr=attr):
                dotted = _dotted(node)
                first, _, rest = dotted.partition(".")
                whole = f"{self.known[first]}.{rest}" if first in self.known else dotted
                yield from _imported(node, whole) if whole.startswith("airflow.") else ()
                for end, row in old.DOTTED.items():
                    yield from _found(node, end, {end: row}, dotted) if dotted.lower().endswith(end) else ()
                if dotted.rpartition(".")[0].endswith("TriggerRule"):
                    yield from _found(node, attr.lower(), old.TRIGGER_RULES, dotted)
                yield from _found(node, attr, old.METHODS, f".{attr}()")
            case ast.Call():
                yield from _call(node)
            case ast.Dict(keys=keys):
                for key in keys:
                    if isinstance(key, ast.Constant) and key.value in old.UNMISTAKABLE:
                        rows = old.DAG_ARGUMENTS | old.OPERATOR_ARGUMENTS
                        yield from _found(key, key.value, rows, f"{key.value!r}")
            case ast.FunctionDef():
                yield from _of_task(node)
            case ast.ClassDef():
                yield from _of_class(node)
            case ast.Assign(targets=[ast.Name(id="default_args")], value=ast.Dict() as given):
                yield from _defaults(given)
            case ast.Subscript(
                value=ast.Name(id="inlet_events") | ast.Subscript(slice=ast.Constant(value="inlet_events")),
                slice=ast.Constant(value=str(key)),
            ):
                yield from _found(node, key, {key: old.BY_NAME}, f"inlet_events[{key!r}]")
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(key))):
                if name in _CONTEXTS:
                    yield from _found(node, key, old.CONTEXT, f"{name}[{key!r}]")
            case ast.Constant(value=str(text)):
                yield from _template(node, text)


def _of_class(node: ast.ClassDef) -> Iterator[Finding]:
    bases = {_dotted(base).rpartition(".")[2] for base in node.bases}
    for part in node.body:
        match part:
            case ast.Assign(targets=[ast.Name(id=name)]) if "AirflowPlugin" in bases:
                yield from _found(part, name, old.PLUGIN, f"AirflowPlugin.{name}")
            case ast.FunctionDef(name="get_link", args=arguments) if "BaseOperatorLink" in bases:
                names = {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
                if "ti_key" not in names and arguments.kwarg is None:
                    yield from _found(part, "get_link", {"get_link": old.LINK}, "get_link")


def _call(node: ast.Call) -> Iterator[Finding]:
    dotted = _dotted(node.func)
    name = dotted.rpartition(".")[2]
    if name in ("Asset", "Dataset") and len(node.args) > 1 and _is_dict(node.args[1]):
        yield from _found(node, name, {name: old.EXTRA}, f"{name}(..., {{...}})")
    rows: Mapping[str, Old] = {}
    if name in ("DAG", "dag"):
        rows = old.DAG_ARGUMENTS
    elif name.endswith(("Operator", "Sensor")) or name in ("task", "partial"):
        rows = old.OPERATOR_ARGUMENTS
    for end, more in old.CALLS.items():
        rows = {**rows, **more} if dotted.endswith(end) else rows
    for keyword in node.keywords:
        if keyword.arg is None:
            continue
        yield from _found(keyword, keyword.arg, rows, f"{name}({keyword.arg}=)")
        if keyword.arg == "default_args" and isinstance(keyword.value, ast.Dict):
            yield from _defaults(keyword.value)
        if keyword.arg == "trigger_rule" and isinstance(keyword.value, ast.Constant):
            rule = keyword.value.value
            yield from _found(keyword, str(rule), old.TRIGGER_RULES, f"trigger_rule={rule!r}")
    match node:
        case ast.Call(
            func=ast.Attribute(attr="get", value=ast.Name(id=context)),
            args=[ast.Constant(value=str(key)), *_],
        ) if context in _CONTEXTS:
            yield from _found(node, key, old.CONTEXT, f"{context}.get({key!r})")


def _is_dict(node: ast.AST) -> bool:
    return isinstance(node, ast.Dict | ast.DictComp) or (
        isinstance(node, ast.Call) and _dotted(node.func) == "dict"
    )


def _of_task(node: ast.FunctionDef) -> Iterator[Finding]:
    """Arguments of a task's function that Airflow once filled from the context."""
    names = [_dotted(d.func if isinstance(d, ast.Call) else d) for d in node.decorator_list]
    if any(name == "task" or name.startswith("task.") for name in names):
        for argument in (*node.args.args, *node.args.kwonlyargs):
            if argument.arg in old.FILLED:
                yield from _found(argument, argument.arg, old.CONTEXT, f"{node.name}({argument.arg})")


def _defaults(given: ast.Dict) -> Iterator[Finding]:
    for key in given.keys:
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield from _found(key, key.value, old.OPERATOR_ARGUMENTS, f"{key.value!r}")


def _template(node: ast.Constant, text: str) -> Iterator[Finding]:
    for block in _TEMPLATE.findall(text):
        words = re.findall(r"(?<![\w.])[A-Za-z_]\w*", _QUOTED.sub("", block))
        for word in words:
            yield from _found(node, word, old.CONTEXT, f"{{{{ {word} }}}}")


def _imported(node: ast.AST, dotted: str) -> Iterator[Finding]:
    """The longest row that is the name, or a module that it is in."""
    name = dotted
    while name:
        if name in old.IMPORTS:
            yield from _found(node, name, old.IMPORTS, dotted)
            return
        name = name.rpartition(".")[0]


def _found(node: ast.AST, name: str, rows: Mapping[str, Old], spelling: str) -> Iterator[Finding]:
    if (row := rows.get(name)) is not None:
        line, column = getattr(node, "lineno", 0), getattr(node, "col_offset", 0) + 1
        yield Finding(line, column, spelling, row.state, row.instead)


def _dotted(node: ast.AST) -> str:
    """`a.b.c` as text; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return f"{before}.{node.attr}" if before else f".{node.attr}"
    return ""
