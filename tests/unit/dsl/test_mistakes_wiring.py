"""Mistakes in the body of a pipeline: each is found, at its own line, with a way to mend it.

Each case is the body, and the one thing that is wrong: what, in which line (the one marked `# here`),
and the hint.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

Found = list[tuple[str, str, str]]

NEWEST = "rows = read().outputs.examples\nnew = train(rows)\n"

INPUTS = {
    "given later, unknown": (
        NEWEST + "judge(new.outputs.model).with_inputs(basline=new.outputs.model)  # here",
        "judge: unknown input 'basline'",
        "did you mean 'baseline'?",
    ),
    "given later, twice": (
        NEWEST + "judge(new.outputs.model).with_inputs(model=new.outputs.model)  # here",
        "judge: input 'model' has been given already",
        "give it once",
    ),
    "given later, wrong type": (
        NEWEST + "judge(new.outputs.model).with_inputs(baseline=rows)  # here",
        "judge: input 'baseline' takes Model, but read.outputs.examples is Examples",
        "",
    ),
    "missing": ("judge()  # here", "judge: missing input 'model' (Model)", "pass model=..."),
    "none": ("judge(model=None)  # here", "judge: missing input 'model' (Model)", "pass model=..."),
    "no items": ("merge([])  # here", "merge: missing input 'examples' (Examples)", "pass examples=..."),
    "unknown": (
        "rows = read()\nmerge(rows.outputs.examples, exmaples=rows.outputs.examples)  # here",
        "merge: unknown input 'exmaples'",
        "did you mean 'examples'?",
    ),
    "unknown parameter": (
        "take(cuont=3)  # here", "take: unknown input or parameter 'cuont'", "did you mean 'count'?"
    ),
    "wrong type": (
        "judge(model=read().outputs.examples)  # here",
        "judge: input 'model' takes Model, but read.outputs.examples is Examples",
        "",
    ),
    "wrong type, another output fits": (
        "new = train(read().outputs.examples)\njudge(new.outputs.result)  # here",
        "judge: input 'model' takes Model, but train.outputs.result is Float",
        "did you mean train.outputs.model?",
    ),
    "wrong type in a list": (
        "rows = read().outputs.examples\nmerge([rows, train(rows).outputs.model])  # here",
        "merge: input 'examples' takes Examples, but train.outputs.model is Model",
        "",
    ),
    "node": (
        "merge(read())  # here",
        "merge: input 'examples' takes an output, got the node read",
        "write read.outputs.examples",
    ),
    "node with several outputs": (
        "judge(train(read().outputs.examples).with_id('new'))  # here",
        "judge: input 'model' takes an output, got the node new",
        "write new.outputs.<output>",
    ),
    "plain value": (
        "merge('data.csv')  # here",
        "merge: input 'examples' takes an output of type Examples, got str 'data.csv'",
        "",
    ),
    "runtime parameter": (
        "merge(word)  # here",
        "merge: input 'examples' takes an output of type Examples, got runtime parameter 'word'",
        "",
    ),
    "several for one": (
        "rows = read().outputs.examples\ntrain([rows, rows])  # here",
        "train: input 'examples' takes one Examples, got 2",
        "",
    ),
    "unknown output": (
        "rows = read()\nmerge(rows.outputs.example)  # here",
        "read: read has no output 'example'",
        "did you mean 'examples'?",
    ),
    "unknown output by key": (
        "rows = read().with_id('rows')\nmerge(rows.outputs['x'])  # here",
        "rows: read has no output 'x'",
        "known: examples",
    ),
    "output passed by the caller": (
        "rows = read().outputs.examples\ntrain(rows, model=rows)  # here",
        "train: 'model' is an output; the launcher passes it",
        "leave it out of the call",
    ),
    "too many": (
        "rows = read().outputs.examples\nmerge(rows, rows)  # here",
        "merge: 2 positional arguments, but it takes 1: examples",
        "",
    ),
    "twice": (
        "rows = read().outputs.examples\nmerge(rows, examples=rows)  # here",
        "merge: 'examples' is passed twice",
        "",
    ),
    "unknown property": (
        "rows = read().outputs.examples\ntake(maybe=rows.spam)  # here",
        "read: output 'examples' is Examples, which has no property 'spam'",
        "did you mean 'span'?",
    ),
    "call over several lines": (
        "read()\njudge(  # here\n    baseline=None,\n)",
        "judge: missing input 'model' (Model)",
        "pass model=...",
    ),
    "named later": (
        "judge().with_id('late')  # here", "late: missing input 'model' (Model)", "pass model=..."
    ),
}  # fmt: skip

RESOLVERS = {
    "window into one": (
        "rows = read().outputs.examples\ntrain(rolling_window(rows, spans=2))  # here",
        "train: input 'examples' takes one Examples, a window holds several",
        "declare it as Input[list[Examples]]",
    ),
    "no spans": (
        "rows = read().outputs.examples\nmerge(rolling_window(rows, spans=0))  # here",
        "merge: input 'examples': a window of 0 spans",
        "write spans=1 or more",
    ),
    "window of a node": (
        "merge(rolling_window(read(), spans=2))  # here",
        "merge: input 'examples' takes an output, got the node read",
        "write read.outputs.examples",
    ),
    "passed an output": (
        "rows = read().outputs.examples\nmerge(rolling_window(rows, spans=2, passed=rows))  # here",
        "merge: input 'examples': passed takes a node, got read.outputs.examples",
        "",
    ),
    "latest of a wrong type": (
        "rows = read().outputs.examples\njudge(train(rows).outputs.model, latest_blessed(rows))  # here",
        "judge: input 'baseline' takes Model, but read.outputs.examples is Examples",
        "",
    ),
    "latest into a required input": (
        "new = train(read().outputs.examples)\njudge(latest_blessed(new.outputs.model))  # here",
        "judge: input 'model' is required, but there is no blessed Model in a first run",
        "declare it as Input[Model] | None = None",
    ),
    "latest of a node": (
        "new = train(read().outputs.examples)\njudge(new.outputs.model, latest_blessed(new))  # here",
        "judge: input 'baseline' takes an output, got the node train",
        "write train.outputs.<output>",
    ),
}

NODES = {
    "duplicate": (
        "first = read()\nread()  # here",
        "duplicate node 'read'; the other one is at {path}:42",
        'name one of them: read(...).with_id("read_2")',
    ),
    "bad name": (
        "read().with_id('my rows')  # here",
        "bad node name 'my rows'",
        "use letters, digits, _ and -, and start with a letter",
    ),
    "dots are for sub-pipelines": (
        "read().with_id('a.b')  # here",
        "bad node name 'a.b'",
        "use letters, digits, _ and -, and start with a letter",
    ),
    "order of a node and something else": (
        "rows = read()\nrows >> 'next'  # here",
        "read: >> takes nodes, got str 'next'",
        "write a >> b, or a >> [b, c]",
    ),
    "order of outputs": (
        "rows = read()\n[rows.outputs.examples] >> read().with_id('b')  # here",
        "b: >> takes nodes, got read.outputs.examples",
        "write a >> b, or a >> [b, c]",
    ),
    "cycle": (
        "a = take().with_id('a')\nb = take().with_id('b')  # here\nc = take().with_id('c')\na >> b >> c >> b",
        "cycle: b >> c >> b",
        "remove one of these dependencies; a node cannot wait for itself",
    ),
    "cycle through data": (
        "rows = read()  # here\nnew = train(rows.outputs.examples)\nnew >> rows",
        "cycle: read >> train >> read",
        "remove one of these dependencies; a node cannot wait for itself",
    ),
    "waits for itself": (
        "a = take()  # here\na >> a",
        "cycle: take >> take",
        "remove one of these dependencies; a node cannot wait for itself",
    ),
}

OPTIONS = {
    "unknown": ("retires=1", "unknown option 'retires'", "did you mean 'retries'?"),
    "memory": (
        "resources=Resources(memory='4 gigs')",
        "resources.memory: '4 gigs' is not an amount of memory; write for example 512Mi, 4GiB or 2G",
        "",
    ),
    "memory unit": (
        "resources=Resources(memory='4i')",
        "resources.memory: '4i' is not an amount of memory; write for example 512Mi, 4GiB or 2G",
        "",
    ),
    "retries": ("retries=-1", "retries is -1; it cannot be negative", ""),
    "half a retry": ("retries=0.5", "retries is 0.5; it must be a whole number", ""),
    "timeout": ("timeout=-2.5", "timeout is -2.5; it cannot be negative", ""),
    "text": ("timeout='1h'", "timeout is '1h'; it must be a number", ""),
    "placeholder": (
        "backoff=number",
        "backoff is <runtime parameter 'number'>; it must be a number",
        "",
    ),
    "nan": ("cache_max_age=float('nan')", "cache_max_age is nan; it must be a number", ""),
    "gpu": ("resources=Resources(gpu=-1)", "resources.gpu is -1; it cannot be negative", ""),
    "cpu": ("resources=Resources(cpu=True)", "resources.cpu is True; it must be a number", ""),
    "dict": (
        "resources={'cpu': 1}",
        "resources is {'cpu': 1}; write Resources(cpu=..., memory=..., gpu=...)",
        "",
    ),
    "cache": ("cache='no'", "cache is 'no'; write True or False", ""),
    "owner": ("owner=None", "owner is None; write a str", ""),
    "labels": ("labels={'a': 1}", "labels is {'a': 1}; write a dict of str to str", ""),
    "isolation": ("isolation='proces'", "isolation is 'proces'; did you mean 'process'?", ""),
    "isolation in an environment": (
        "isolation='none', environment=VirtualEnv()",
        "isolation is 'none', but a node with an environment has a process of its own in it",
        "",
    ),
    "environment": (
        "environment='numpy'",
        "environment is 'numpy'; write VirtualEnv(...) or Container(...)",
        "",
    ),
    "one requirement": (
        "environment=VirtualEnv(requirements='numpy')",
        "environment.requirements is 'numpy'; write a tuple of str",
        "",
    ),
    "an option of pip": (
        "environment=VirtualEnv(requirements=('-r x.txt',))",
        "environment.requirements holds '-r x.txt', which is not a requirement",
        "",
    ),
    "another tidemill": (
        "environment=VirtualEnv(requirements=('tidemill==0.0.1',))",
        (
            "environment.requirements holds 'tidemill==0.0.1', but tidemill is always the running one; "
            "leave its version out"
        ),
        "",
    ),
    "old python": (
        "environment=VirtualEnv(python='3.10')",
        "environment.python is '3.10'; tidemill needs 3.11 or newer",
        "",
    ),
    "no python": (
        "environment=VirtualEnv(python='pypy')",
        "environment.python is 'pypy'; write a version such as 3.12",
        "",
    ),
    "no image": (
        "environment=Container(image='')",
        "environment.image is ''; write the name of an image",
        "",
    ),
    "an option for the engine": (
        "environment=Container(image='--privileged')",
        "environment.image is '--privileged'; write the name of an image",
        "",
    ),
    "a secret": (
        "environment=Container(image='a', env=('TOKEN=x',))",
        "environment.env holds 'TOKEN=x'; write names of variables, never their values",
        "",
    ),
    "a relative folder": (
        "environment=Container(image='a', mounts=('data',))",
        "environment.mounts holds 'data'; write absolute folders",
        "",
    ),
}


@pytest.mark.parametrize(
    ("body", "what", "hint"), [*INPUTS.values(), *RESOLVERS.values()], ids=[*INPUTS, *RESOLVERS]
)
def test_inputs(mistakes_inside: Callable[[str], Found], body: str, what: str, hint: str) -> None:
    line = next(line for line in body.splitlines() if "# here" in line)
    assert mistakes_inside(body) == [(what, line, hint)]


@pytest.mark.parametrize(("body", "what", "hint"), NODES.values(), ids=NODES)
def test_nodes_and_their_order(
    mistakes_inside: Callable[[str], Found], tmp_path: object, body: str, what: str, hint: str
) -> None:
    line = next(line for line in body.splitlines() if "# here" in line)
    expected = what.replace("{path}", f"{tmp_path}/case.py")
    assert mistakes_inside(body) == [(expected, line, hint)]


@pytest.mark.parametrize(("option", "what", "hint"), OPTIONS.values(), ids=OPTIONS)
def test_options(mistakes_inside: Callable[[str], Found], option: str, what: str, hint: str) -> None:
    line = f"take().with_options({option})"
    assert mistakes_inside(line) == [(f"take: {what}", line, hint)]


@pytest.mark.parametrize(
    ("option", "what"), [(o, w) for o, w, hint in OPTIONS.values() if not hint and "number" not in o]
)
def test_options_of_a_pipeline_are_reported_once(
    mistakes: Callable[[str], Found], option: str, what: str
) -> None:
    text = f"@pipeline(options=NodeOptions({option}))\ndef case():\n    take()\n    read()\n"
    assert mistakes(text) == [(f"options: {what}", text.splitlines()[0], "")]


def test_options_of_a_sub_pipeline_name_the_sub_pipeline(mistakes: Callable[[str], Found]) -> None:
    sub = "@pipeline(options=NodeOptions(retries=-1))\ndef sub():\n    take()\n    read()\n"
    problem = ("options: retries is -1; it cannot be negative", sub.splitlines()[0], "")
    assert mistakes(sub + "@pipeline\ndef case():\n    sub()\npipeline = case\n") == [problem]
    assert mistakes(sub + "pipeline = Pipeline('outer', nodes=[sub])\n") == [problem]
