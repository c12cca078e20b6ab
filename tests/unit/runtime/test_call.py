"""A call survives its command line: what a runner writes is what the launcher reads."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.errors import RunnerError
from tidemill.runtime.call import NodeCall

AWKWARD = [
    "",
    " ",
    "a b",
    "--run-id=x",
    "-v",
    "--",
    "=",
    "a=b=c",
    "é",
    "日本",
    "'",
    '"',
    "$HOME",
    "\\",
    "\n",
    "*",
]
words = st.sampled_from(AWKWARD) | st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"))
calls = st.builds(
    NodeCall,
    metadata=words,
    run_id=words,
    node_id=words,
    iteration=st.integers(),
    attempt=st.integers(),
    code_root=words,
    workdir=words,
    ready=st.integers(),
    isolation=st.sampled_from(["process", "none"]),
    reuse=st.sampled_from(["allowed", "never"]),
)


@given(calls)
def test_a_call_survives_its_words(call: NodeCall) -> None:
    words = call.argv("python")
    assert words[:3] == ["python", "-m", "tidemill.runtime"]
    assert all(isinstance(word, str) for word in words)
    assert NodeCall.from_argv(words[3:]) == call
    assert NodeCall.from_argv(words[:2:-1]) == call, "the order of the words must not matter"


def test_the_words_survive_a_real_process() -> None:
    calls = [NodeCall(metadata="m", run_id=text, node_id="n", workdir=text) for text in AWKWARD]
    arguments = [word for call in calls for word in call.argv()[3:]]
    command = [sys.executable, "-c", "import json, sys; print(json.dumps(sys.argv[1:]))", *arguments]
    got = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)
    assert got == arguments


def test_a_call_says_only_what_differs_from_the_defaults() -> None:
    call = NodeCall(metadata="sqlite:///m.db", run_id="r", node_id="a.b", attempt=2)
    assert call.argv() == [
        sys.executable, "-m", "tidemill.runtime",
        "--metadata=sqlite:///m.db", "--run-id=r", "--node-id=a.b", "--attempt=2",
    ]  # fmt: skip


def test_every_field_has_its_word() -> None:
    full = NodeCall(
        metadata="m", run_id="r", node_id="n", iteration=1, attempt=2, code_root="c", workdir="w",
        ready=3, isolation="none", reuse="never", python="/p", run_state="FAILED",
    )  # fmt: skip
    assert len(full.argv()) == 3 + len(dataclasses.fields(NodeCall))


GOOD = ["--metadata=m", "--run-id=r", "--node-id=n"]


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ([*GOOD, "--atempt=1"], "unknown argument '--atempt=1'", "did you mean '--attempt'?"),
        ([*GOOD, "--run_id=r"], "unknown argument '--run_id=r'", "did you mean '--run-id'?"),
        ([*GOOD, "-attempt=1"], "unknown argument '-attempt=1'", "did you mean '--attempt'?"),
        ([*GOOD, "--attempt"], "unknown argument '--attempt'", "did you mean '--attempt'?"),
        ([*GOOD, "--attempt=two"], "attempt must be a number, got 'two'", ""),
        ([*GOOD, "--iteration="], "iteration must be a number, got ''", ""),
        ([*GOOD, "--isolation=proces"], "isolation 'proces' is unknown", "did you mean 'process'?"),
        (GOOD[1:], "the call is incomplete", ""),
        ([], "the call is incomplete", ""),
    ],
)
def test_other_words_are_refused(words: list[str], message: str, hint: str) -> None:
    with pytest.raises(RunnerError) as caught:
        NodeCall.from_argv(words)
    assert caught.value.message.startswith(message)
    assert caught.value.hint == hint
