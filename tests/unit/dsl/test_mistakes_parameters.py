"""Parameters of the wrong type, at any depth, and placeholders that are computed with."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Found = list[tuple[str, str, str]]

LITERALS = {
    "count='3'": "expected int, got str '3'",
    "count=3.0": "expected int, got float 3.0",
    "count=True": "expected int, got bool True",
    "count=None": "expected int, got NoneType None",
    "count='a' * 99": f"expected int, got str '{'a' * 56}...",
    "flag=1": "expected bool, got int 1",
    "rate=False": "expected float, got bool False",
    "rate=float('nan')": "it is nan, which JSON cannot hold",
    "rate=-float('inf')": "it is -inf, which JSON cannot hold",
    "text=3": "expected str, got int 3",
    "text='\\ud800'": "it holds half of a surrogate pair, which is not text",
    "text='\\0'": "a text with a placeholder in it was changed, or it holds a NUL character",
    "names='abc'": "expected list[str], got str 'abc'",
    "names=['a', 3]": "at [1]: expected str, got int 3",
    "names={'a'}": "expected list[str], got set {'a'}",
    "names={'a': 'b'}": "expected list[str], got dict {'a': 'b'}",
    "limits=[1.0]": "expected Mapping[str, float], got list [1.0]",
    "limits={'a': 1, 'b': '2'}": "at ['b']: expected float, got str '2'",
    "limits={'a': float('nan')}": "at ['a']: it is nan, which JSON cannot hold",
    "limits={1: 2.0}": "keys must be plain str, got 1",
    "limits={'\\ud800': 2.0}": "a key holds half of a surrogate pair, which is not text",
    "deep={'a': [1, 2], 'b': [3, None]}": "at ['b']: at [1]: expected int, got NoneType None",
    "choice='c'": "expected Literal['a', 'b', 1], got str 'c'",
    "choice=True": "expected Literal['a', 'b', 1], got bool True",
    "pair=('x', 1)": "at [0]: expected int, got str 'x'",
    "pair=(1, 'x', 2)": "expected tuple[int, str], got tuple (1, 'x', 2)",
    "maybe='x'": "expected int | None, got str 'x'",
    "function=3": "expected a function | None, got int 3",
    "source='data.csv'": "expected files(...) | None, got str 'data.csv'",
    "source={'pattern': 'x'}": "expected files(...) | None, got dict {'pattern': 'x'}",
    "anything=object()": "it is a object, which is not JSON",
    "anything=[{'a': {1, 2}}]": "at [0]: at ['a']: it is a set, which is not JSON",
    "anything={None: 1}": "keys must be plain str, got None",
}

PLACEHOLDERS = {
    "count=word": "expected int, but runtime parameter 'word' is str",
    "count=run.date": "expected int, but run.date is str",
    "count=env('N')": "expected int, but env('N') is str",
    "count=f'{number}'": "expected int, got a text",
    "text=number": "expected str, but runtime parameter 'number' is int",
    "flag=number": "expected bool, but runtime parameter 'number' is int",
    "maybe=word": "expected int | None, but runtime parameter 'word' is str",
    "names=['a', number]": "at [1]: expected str, but runtime parameter 'number' is int",
    "names=read().outputs.examples.uri": "expected list[str], but read.outputs.examples.uri is str",
    "text=read().outputs.examples.span": "expected str, but read.outputs.examples.span is int",
    "limits={'a': word}": "at ['a']: expected float, but runtime parameter 'word' is str",
    "limits={f'{word}': 1.0}": "keys must be plain str, got one with a placeholder in it",
    "deep={'a': [word]}": "at ['a']: at [0]: expected int, but runtime parameter 'word' is str",
    "count=read().outputs.examples": "read.outputs.examples is Examples, which holds no plain value",
    "anything=[read().outputs.examples]": (
        "at [0]: read.outputs.examples is Examples, which holds no plain value"
    ),
    "count=half().outputs.result": "expected int, but half.outputs.result is float",
    "anything=raw().outputs.result": (
        "raw.outputs.result is bytes, which cannot be a parameter; take it as Input[Bytes]"
    ),
    "anything=[read()]": "at [0]: it is a Node, which is not JSON",
    "text=files('x')": "expected str, but files('x') is FileSet",
    "source=files(3)": "files(...): pattern: expected str, got int 3",
    "source=files('x', window=0)": "files(...): window is 0; it must be a number of days or spans",
    "source=files('x', window=number)": (
        "files(...): window is <runtime parameter 'number'>; it must be a number of days or spans"
    ),
    "source=files('x', date=number)": (
        "files(...): date: expected str | None, but runtime parameter 'number' is int"
    ),
    "source=files('x', span=word)": (
        "files(...): span: expected int | None, but runtime parameter 'word' is str"
    ),
    "text=f'{run.date}'[:5]": "a text with a placeholder in it was changed, or it holds a NUL character",
    "text=f'{run.date}'.upper()": "a text with a placeholder in it was changed, or it holds a NUL character",
}
MORE = (
    "@component\ndef half() -> float: ...\n@component\ndef raw() -> bytes: ...\n"
    "@pipeline\ndef case(number: int = 1, word: str = ''):\n"
)

FITTING = [
    "rate=1", "rate=number", "maybe=None", "maybe=number", "text=word", "text=f'{number}{word}'",
    "names=('a', word, f'{number}', run.id)", "limits={'a': number, 'b': 1}", "deep={'a': [number], 'b': []}",
    "choice=word", "choice=number", "choice=1", "pair=[1, word]", "function=take", "function=None",
    "source=None", "source=files(f'{word}/*', date=run.date, span=number, window=3)",
    "anything=[word, {'a': (1, run.date)}]", "anything=read().outputs.examples.span",
    "rate=half().outputs.result", "anything={'loss': half().outputs.result}", "anything=None",
]  # fmt: skip


@pytest.mark.parametrize(
    ("argument", "why"), [*LITERALS.items(), *PLACEHOLDERS.items()], ids=[*LITERALS, *PLACEHOLDERS]
)
def test_a_value_that_does_not_fit(mistakes: Callable[[str], Found], argument: str, why: str) -> None:
    name = argument.partition("=")[0]
    found = mistakes(f"{MORE}    take({argument})\n")
    assert found == [(f"take: parameter {name!r}: {why}", f"take({argument})", "")]


def test_values_that_fit(mistakes: Callable[[str], Found]) -> None:
    """One other mistake proves that the rest was looked at, and found good."""
    calls = "".join(f"    take({a}).with_id('t{i}')\n" for i, a in enumerate(FITTING))
    calls = calls.replace("half()", "once").replace("read()", "rows")
    body = f"{MORE}    once = half()\n    rows = read()\n{calls}    take(count='x')\n"
    assert [what for what, _, _ in mistakes(body)] == ["take: parameter 'count': expected int, got str 'x'"]


def test_a_node_is_no_value(mistakes_inside: Callable[[str], Found]) -> None:
    line = "take(text=read())"
    what = "take: parameter 'text' takes a value, got the node read"
    assert mistakes_inside(line) == [(what, line, "write read.outputs.examples")]


def test_a_parameter_without_default_must_be_passed(mistakes: Callable[[str], Found]) -> None:
    text = "@component\ndef need(*, size: int): ...\n@pipeline\ndef case():\n    need()\n"
    assert mistakes(text) == [("need: missing parameter 'size'", "need()", "pass size=...")]


FUNCTIONS = {
    "lambda": ("lambda x: x", "'case.<locals>.<lambda>' is defined inside a function or is a lambda"),
    "local": ("local", "'case.<locals>.local' is defined inside a function or is a lambda"),
    "method": (
        "Thing().method",
        "'<bound method Thing.method of thing>' has no name that a worker can import",
    ),
    "instance": ("Thing()", "'thing' has no name that a worker can import"),
    "generated": ("made", "'made' cannot be imported from case: it has no 'made'"),
}


@pytest.mark.parametrize(("function", "what"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_a_function_that_workers_cannot_import(
    mistakes: Callable[[str], Found], function: str, what: str
) -> None:
    line = f"take(function={function})"
    text = (
        "class Thing:\n    def method(self): ...\n    def __call__(self): ...\n"
        "    def __repr__(self): return 'thing'\n"
        "def _(): ...\n_.__qualname__ = 'made'\nglobals().update({'ma' + 'de': _})\n"
        f"@pipeline\ndef case():\n    def local(): ...\n    {line}\n"
    )
    hint = "move it to the top level of its module: workers import it by name"
    [(found, where, mend)] = mistakes(text)
    assert (where, mend) == (line, hint)
    assert found.startswith(f"take: {what}")


COMPUTED = {
    "if run.date: pass": ("run.date", "test it with if, and, or, not"),
    "x = word or 'x'": ("runtime parameter 'word'", "test it with if, and, or, not"),
    "for day in run.date: pass": ("run.date", "loop over it"),
    "first, *rest = rows": ("read.outputs.examples", "loop over it"),
    "x = f'{number:03d}'": ("runtime parameter 'number'", "format it as :03d"),
    "if number == 1: pass": ("runtime parameter 'number' == 1", "test it with if, and, or, not"),
    "x = 3 < number < 5": ("runtime parameter 'number' > 3", "test it with if, and, or, not"),
    "x = number * 2": ("runtime parameter 'number'", "compute with it"),
    "x = 2 - number": ("runtime parameter 'number'", "compute with it"),
    "x = 'on ' + run.date": ("run.date", "compute with it"),
    "x = run.date[:4]": ("run.date", "look inside it"),
    "x = len(env('A'))": ("env('A')", "measure it"),
    "x = float(rows.span)": ("read.outputs.examples.span", "compute with it"),
    "x = range(number)": ("runtime parameter 'number'", "compute with it"),
    "x = 'a' in files('x')": ("files('x')", "loop over it"),
}


@pytest.mark.parametrize(("line", "name", "what"), [(k, *v) for k, v in COMPUTED.items()], ids=COMPUTED)
def test_computing_with_a_placeholder(
    mistakes_inside: Callable[[str], Found], line: str, name: str, what: str
) -> None:
    found = mistakes_inside(f"rows = read().outputs.examples\n{line}\n")
    message = f"{name} is known only at run time; a pipeline definition cannot {what}"
    tested = "write `with When(...):`; join conditions with &, | and not_()"
    hint = tested if what.startswith("test it") else "pass it to a component and do the work there"
    assert found == [(message, line, hint)]
