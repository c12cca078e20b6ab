"""Mistakes in components and pipelines themselves, and how several mistakes are reported together."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Found = list[tuple[str, str, str]]

COMPONENTS = {
    "no type": (
        "def odd(x): ...",
        "component odd: argument 'x' has no type",
        "write x: Input[...], Output[...] or x: int",
    ),
    "*args": (
        "def odd(*rest: int): ...",
        "component odd: argument *rest is not allowed",
        "name every input and parameter",
    ),
    "**kwargs": (
        "def odd(**rest: int): ...",
        "component odd: argument **rest is not allowed",
        "name every input and parameter",
    ),
    "bare artifact": (
        "def odd(x: Model): ...",
        "component odd: argument 'x' is an artifact",
        "write x: Input[Model] or Output[Model]",
    ),
    "input of no artifact": (
        "def odd(x: Input[int]): ...",
        "component odd: argument 'x' is int, which is not an artifact type",
        "use a type from tidemill.types, or a subclass of Artifact",
    ),
    "list as output": (
        "def odd(x: Output[list[Model]]): ...",
        "component odd: output 'x' must be one artifact",
        "write Output[Model]",
    ),
    "output that may be missing": (
        "def odd(x: Output[Model] | None = None): ...",
        "component odd: output 'x' must be one artifact",
        "write Output[Model]",
    ),
    "returned artifact": (
        "def odd() -> Model: ...",
        "component odd: returns Model, an artifact",
        "take it as an argument: model: Output[Model]",
    ),
    "name used twice": (
        "def odd(result: Output[Model]) -> float: ...",
        "component odd: returns 'result', which is also an argument",
        "rename one of them",
    ),
    "unknown name": (
        "def odd(x: Input[Modle]): ...",
        "the annotations of component odd cannot be read: name 'Modle' is not defined",
        "import the names at module level, not under TYPE_CHECKING",
    ),
    "wrong default": (
        "def odd(x: list[int] = [1, 'a']): ...",
        "component odd: the default of parameter 'x': at [1]: expected int, got str 'a'",
        "",
    ),
    "default that is no JSON": (
        "def odd(x: Any = object): ...",
        "component odd: the default of parameter 'x': it is a type, which is not JSON",
        "",
    ),
    "no executor": (
        "def odd(x: Any = 1) -> GoodOutputs: ...",
        "component odd: returns GoodOutputs, but names no executor",
        "write @component(executor='module:function'), or take outputs as Output[...] arguments",
    ),
    "outputs that are no artifacts": (
        "def odd() -> OddOutputs: ...",
        "component odd: output 'loss' is float, which is not an artifact type",
        "use a type from tidemill.types, or a subclass of Artifact",
    ),
}


@pytest.mark.parametrize(("declaration", "what", "hint"), COMPONENTS.values(), ids=COMPONENTS)
def test_components(mistakes: Callable[[str], Found], declaration: str, what: str, hint: str) -> None:
    """Found once, in the decorator's line, however often and however well the component is used."""
    text = (
        "class OddOutputs(Outputs):\n    loss: float\n"
        "class GoodOutputs(Outputs):\n    model: Model\n"
        f"@component  # here\n{declaration}\n"
        "@pipeline\ndef case():\n    judge(odd(x=1).outputs.model)\n    odd().with_id('again')\n"
    )
    assert mistakes(text) == [(what, "@component  # here", hint)]


EXECUTORS = {
    "no module": ("nowhere.odd:run", "there is no module 'nowhere.odd'"),
    "no function": ("case:raed", "it has no 'raed': did you mean 'read'?"),
    "no function of tidemill": (
        "tidemill.components.statistics_gen.executor:rnu", "it has no 'rnu': did you mean 'run'?"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("executor", "why"), EXECUTORS.values(), ids=EXECUTORS)
def test_executors(mistakes: Callable[[str], Found], executor: str, why: str) -> None:
    line = f"@component(executor='{executor}')"
    text = f"{line}\ndef odd(): ...\n@pipeline\ndef case():\n    odd()\n    odd().with_id('b')\n"
    what = f"component odd: the executor {executor!r} cannot be found: {why}"
    assert mistakes(text) == [(what, line, "write executor='package.module:function'")]


def test_two_artifact_types_of_one_name(mistakes: Callable[[str], Found]) -> None:
    text = """\
class Report(Artifact):
    pages = Property(int)
class Other(Artifact):
    TYPE_NAME = "Report"
@component
def write(report: Output[Report]): ...
@component
def send(report: Input[Other]): ...
@pipeline
def case():
    write()
    send(report=another().outputs.report)  # here
@component
def another(report: Output[Other]): ...
"""
    [(what, line, hint)] = mistakes(text)
    assert what == (
        "two different artifact types are named 'Report': <class 'case.Report'> and <class 'case.Other'>"
    )
    assert (line, hint) == ("send(report=another().outputs.report)  # here", "set TYPE_NAME on one of them")


PROPERTIES = {
    "tags = Property(list)": (
        "property 'tags' of Odd has the type <class 'list'>",
        "use int, float, str or bool; encode anything else as a JSON str",
    ),
    "uri = Property(str)": (
        "property 'uri' of Odd hides an attribute that every artifact has",
        "rename it, to uri_ perhaps",
    ),
}


@pytest.mark.parametrize(("line", "what", "hint"), [(k, *v) for k, v in PROPERTIES.items()], ids=PROPERTIES)
def test_properties(mistakes: Callable[[str], Found], line: str, what: str, hint: str) -> None:
    assert mistakes(f"class Odd(Artifact):\n    {line}\n") == [(what, "class Odd(Artifact):", hint)]


# --- pipelines ------------------------------------------------------------------------------------

SCHEDULES = {
    "'@dayly'": "schedule '@dayly' is unknown; use @hourly, @daily, @weekly, @monthly, @yearly",
    "'0 0 * *'": "schedule '0 0 * *' needs five fields: minute hour day month weekday",
    "''": "the schedule says neither when nor on what; write a cron expression or on=...",
    "'60 0 * * *'": "schedule '60 0 * * *': minute '60' is wrong; use * or numbers from 0 to 59",
    "'0 24 * * *'": "schedule '0 24 * * *': hour '24' is wrong; use * or numbers from 0 to 23",
    "'0 0 0 * *'": "schedule '0 0 0 * *': day '0' is wrong; use * or numbers from 1 to 31",
    "'0 0 * foo *'": "schedule '0 0 * foo *': month 'foo' is wrong; use * or numbers from 1 to 12",
    "'0 0 * * 5-1'": "schedule '0 0 * * 5-1': weekday '5-1' is wrong; use * or numbers from 0 to 7",
    "'*/0 0 * * *'": "schedule '*/0 0 * * *': minute '*/0' is wrong; use * or numbers from 0 to 59",
    "'1, 2 * * *'": "schedule '1, 2 * * *': minute '1,' is wrong; use * or numbers from 0 to 59",
    "'@daily', timezone='Europe/Berln'": (
        "time zone 'Europe/Berln' is unknown; use a name such as Europe/Berlin"
    ),
    "'@daily', timezone='Europe'": "time zone 'Europe' is unknown; use a name such as Europe/Berlin",
    "'@daily', timezone='../UTC'": "time zone '../UTC' is unknown; use a name such as Europe/Berlin",
    "'@daily', start='1.2.2024'": "schedule start '1.2.2024' is not a date; write YYYY-MM-DD",
    "'@daily', deadline=-1": "schedule deadline is -1; write seconds after the end of a run's interval",
    "on='ingest'": (
        "schedule: on='ingest' is no arrival; use OnArtifact, OnAsset or OnFiles, joined by & and |"
    ),
    "on=OnArtifact('ingest', '', 'examples')": "schedule: OnArtifact: its node is ''; write a name",
    "on=OnAsset('s3://me:secret@lake/x') | OnAsset('a')": (
        "schedule: OnAsset: its uri holds a user or password, which everybody would read; leave it out"
    ),
    "on=OnFiles('in/*.csv')": (
        "schedule: OnFiles: 'in/*.csv' has no spans that could be new; write {YYYY}-{MM}-{DD} or {SPAN}"
    ),
    "on=OnFiles('sftp://me:secret@host/{SPAN}.csv')": (
        "schedule: OnFiles: its pattern holds a user or password, which everybody would read; leave it out"
    ),
    "on=OnFiles('{SPAN}.csv', every=0)": "schedule: OnFiles: every is 0; write seconds, 1 or more",
    "on=OnFiles('{SPAN}.csv', parameter='spam') & OnAsset('x')": (
        "schedule: OnFiles: the pipeline has no runtime parameter 'spam'; it has none"
    ),
}


@pytest.mark.parametrize(("arguments", "what"), SCHEDULES.items(), ids=SCHEDULES)
def test_schedules(mistakes: Callable[[str], Found], arguments: str, what: str) -> None:
    line = f"@pipeline(schedule=Schedule({arguments}))"
    assert mistakes(f"{line}\ndef case():\n    take()\n") == [(what, line, "")]


NO_SCHEDULES = {
    "OnFiles('{SPAN}.csv')": "the schedule is a bare OnFiles; write schedule=Schedule(on=...)",
    "OnAsset('a') | OnAsset('b')": "the schedule is a bare AnyOf; write schedule=Schedule(on=...)",
    "'@daily'": "the schedule is '@daily'; write schedule=Schedule('@daily')",
    "7": "the schedule is 7; write schedule=Schedule(...)",
}


@pytest.mark.parametrize(("schedule", "what"), NO_SCHEDULES.items(), ids=NO_SCHEDULES)
def test_what_is_no_schedule(mistakes: Callable[[str], Found], schedule: str, what: str) -> None:
    line = f"@pipeline(schedule={schedule})"
    assert mistakes(f"{line}\ndef case():\n    take()\n") == [(what, line, "")]


NAMES = ["my pipeline", "", "1st", "a/b", "a" * 129, "naïve", "-x"]


@pytest.mark.parametrize("name", NAMES)
def test_names(mistakes: Callable[[str], Found], name: str) -> None:
    hint = "use letters, digits, _ . and -, and start with a letter"
    line = f"odd = Pipeline({name!r}, nodes=[take()])"
    problem = (f"bad pipeline name {name!r}", line, hint)
    assert mistakes(line) == [problem]
    assert mistakes(f"{line}\npipeline = Pipeline('outer', nodes=[odd])") == [problem]


PIPELINES = {
    "empty function": (
        "@pipeline  # here\ndef case(): ...",
        "the pipeline has no nodes",
        "call components inside the pipeline function, or pass nodes=[...]",
    ),
    "empty list": (
        "case = Pipeline('case')  # here",
        "the pipeline has no nodes",
        "call components inside the pipeline function, or pass nodes=[...]",
    ),
    "wrong default": (
        "@pipeline  # here\ndef case(rate: float = 'fast'):\n    take(rate=rate)",
        "runtime parameter 'rate': its default is wrong: expected float, got str 'fast'",
        "",
    ),
    "wrong default of a sub-pipeline": (
        (
            "@pipeline  # here\ndef sub(n: int = 1.5):\n    take(count=n)\n"
            "@pipeline\ndef case():\n    sub(n=3)\npipeline = case"
        ),
        "runtime parameter 'n': its default is wrong: expected int, got float 1.5",
        "",
    ),
    "not JSON": (
        "@pipeline  # here\ndef case(x: dict = {'a': {1}}):\n    take(anything=x)",
        "runtime parameter 'x': its default is wrong: value['a'] is a set, which is not JSON",
        "",
    ),
    "*args": (
        "@pipeline  # here\ndef case(*sizes: int):\n    take()",
        "runtime parameter *sizes is not allowed",
        "name every runtime parameter",
    ),
    "unknown type": (
        "@pipeline  # here\ndef case(x: Unknown):\n    take(anything=x)",
        "the types of the runtime parameters cannot be read: name 'Unknown' is not defined",
        "",
    ),
    "no node": (
        "case = Pipeline('case', nodes=[take])  # here",
        "pipeline 'case': nodes holds <component take>, which is not a node",
        "",
    ),
    "sub-pipeline called wrongly": (
        (
            "@pipeline\ndef sub(n: int):\n    take(count=n)\n"
            "@pipeline\ndef case():\n    sub(m=3)  # here\npipeline = case"
        ),
        "pipeline 'sub': missing a required argument: 'n'",
        "",
    ),
    "pipeline that is no function": (
        "sub = Pipeline('sub', nodes=[take()])\n@pipeline\ndef case():\n    sub()  # here\npipeline = case",
        "pipeline 'sub' is not a function, so it cannot be called",
        "put it into nodes=[...] of the other pipeline",
    ),
    "parameter of another pipeline": (
        (
            "@pipeline\ndef sub(n: int = 3):\n    take(count=n)  # here\n"
            "pipeline = Pipeline('case', nodes=[sub])"
        ),
        "sub.take: runtime parameter 'n' belongs to another pipeline",
        "call that pipeline inside a pipeline function, with a value for the parameter",
    ),
}


@pytest.mark.parametrize(("text", "what", "hint"), PIPELINES.values(), ids=PIPELINES)
def test_pipelines(mistakes: Callable[[str], Found], text: str, what: str, hint: str) -> None:
    line = next(line.strip() for line in text.splitlines() if "# here" in line)
    assert mistakes(text) == [(what, line, hint)]


MANY = """\
@component
def odd(x): ...
@pipeline(name="many mistakes")
def case(rate: float = "x"):
    rows = read()
    judge(model=rows.outputs.examples)
    train(rows.outputs.exmaples, rate="fast").with_options(retries=-1)
    odd(x=1)
    if rate:
        take(count="never reached")
"""


TESTED = "a pipeline definition cannot test it with if, and, or, not"


def test_all_mistakes_are_reported_together_in_the_same_order(mistakes: Callable[[str], Found]) -> None:
    found = mistakes(MANY)
    assert [(what, line) for what, line, _ in found] == [
        ("runtime parameter 'rate': its default is wrong: expected float, got str 'x'", lines(2)),
        (f"runtime parameter 'rate' is known only at run time; {TESTED}", lines(8)),
        ("bad pipeline name 'many mistakes'", lines(2)),
        ("read: read has no output 'exmaples'", lines(6)),
        ("judge: input 'model' takes Model, but read.outputs.examples is Examples", lines(5)),
        ("train: parameter 'rate': expected float, got str 'fast'", lines(6)),
        ("train: retries is -1; it cannot be negative", lines(6)),
        ("component odd: argument 'x' has no type", lines(0)),
    ]
    assert mistakes(MANY) == found


def lines(index: int) -> str:
    return MANY.splitlines()[index].strip()
