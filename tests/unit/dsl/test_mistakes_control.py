"""Mistakes with conditions, loops, exit nodes and trigger rules: each at its own line, with a way to mend it.

Each case is the body of a pipeline, and the one thing that is wrong: what, in which line (the one marked
`# here`), and the hint.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

Found = list[tuple[str, str, str]]
ROWS = "rows = read().outputs.examples\n"
NEW = ROWS + "new = train(rows)\n"
TWO = "first, second = (read().with_id(n).outputs.examples for n in 'ab')\n"
LOOP = "with ForEach([1, 2]) as item:\n"

LATE = "is known only at run time; a pipeline definition cannot "

BLOCKS = {
    "else alone": (
        "with Else():  # here\n    take()",
        "Else stands without a When before it",
        "write it right after the block of `with When(...):`, at the same depth",
    ),
    "else-when alone": (
        "with ElseWhen(number > 1):  # here\n    take()",
        "ElseWhen stands without a When before it",
        "write it right after the block of `with When(...):`, at the same depth",
    ),
    "else at another depth": (
        "with When(number > 1):\n    take()\n    with Else():  # here\n        read()",
        "Else stands without a When before it",
        "write it right after the block of `with When(...):`, at the same depth",
    ),
    "else after else": (
        "with When(number > 1):\n    take()\nwith Else():\n    read()\nwith Else():  # here\n    read()",
        "Else stands after an Else",
        "",
    ),
    "parallelism": (
        "with ForEach([1], parallelism=-1) as item:  # here\n    take(count=item)",
        "for_each: parallelism is -1; it must be a whole number from 0 on",
        "",
    ),
    "limit": (
        "with ForEach([1], limit=0) as item:  # here\n    take(count=item)",
        "for_each: limit is 0; it must be a whole number from 1 on",
        "",
    ),
    "limit is no number": (
        "with ForEach([1], limit='many') as item:  # here\n    take(count=item)",
        "for_each: limit is 'many'; it must be a whole number from 1 on",
        "",
    ),
}

LOOPS = {
    "item outside": (
        LOOP + "    read()\ntake(count=item)  # here",
        "take uses an item of for_each outside the loop's block",
        "put the node into the block",
    ),
    "output of an iteration outside": (
        LOOP + "    new = train(read().outputs.examples, rate=0.5)\njudge(new.outputs.model)  # here",
        "judge uses an output of train, which runs once for each item of a loop",
        "write collect(...) to get all of them, or move the node into the loop",
    ),
    "value of an iteration outside": (
        LOOP + "    new = train(read().outputs.examples)\ntake(rate=new.outputs.result)  # here",
        "take uses an output of train, which runs once for each item of a loop",
        "write collect(...) to get all of them, or move the node into the loop",
    ),
    "collect outside of loops": (
        ROWS + "merge(collect(rows))  # here",
        "merge: collect() of read, which runs once as seen from here",
        "pass the output itself",
    ),
    "collect within the same loop": (
        LOOP + "    rows = read().outputs.examples\n    merge(collect(rows))  # here",
        "merge: collect() of read, which runs once as seen from here",
        "pass the output itself",
    ),
    "collection for one": (
        LOOP + "    rows = read().outputs.examples\ntrain(collect(rows))  # here",
        "train: input 'examples' takes one Examples, a collection holds several",
        "declare it as Input[list[Examples]]",
    ),
    "artifact of a loop as a value": (
        TWO + "with ForEach([first, second]) as rows:\n    take(anything=rows)  # here",
        "take: parameter 'anything': for_each.outputs.item is Examples, which holds no plain value",
        "",
    ),
    "artifact of a loop among values": (
        TWO + "with ForEach([first, second]) as rows:\n    take(anything=one_of(rows, 1))  # here",
        "take: an artifact of a loop is an input, not a parameter's value",
        "",
    ),
    "part of an item by a wrong key": (
        LOOP + "    take(count=item[1.5])  # here",
        "item of for_each " + LATE + "look inside it with 1.5",
        "use a str or an int",
    ),
}

EXITS = {
    "in a loop": (
        LOOP + "    on_exit(take(count=item))  # here",
        "take: an exit node cannot stand in a loop",
        "",
    ),
    "waited for": (
        "last = on_exit(take().with_id('last'))\nlast >> take().with_id('later')  # here",
        "later waits for last, which runs when all others have ended",
        "make it an exit node too: on_exit(later)",
    ),
    "needs an input": (
        ROWS + "on_exit(train(rows))  # here",
        "train: it is an exit node, but input 'examples' is required",
        "declare it as Input[Examples] | None = None",
    ),
    "needs a value": (
        NEW + "on_exit(take(rate=new.outputs.result))  # here",
        "take: it is an exit node, but parameter 'rate' needs train.outputs.result",
        "give it a default: one_of(output, default)",
    ),
    "all_done needs an input": (
        ROWS + "train(rows).with_options(trigger='all_done')  # here",
        "train: it runs on all_done, but input 'examples' is required",
        "declare it as Input[Examples] | None = None",
    ),
    "one_success needs a property": (
        ROWS + "take(count=rows.span).with_options(trigger='one_success')  # here",
        "take: it runs on one_success, but parameter 'count' needs read.outputs.examples.span",
        "give it a default: one_of(output, default)",
    ),
    "state of the run too early": (
        "take(text=run.state)  # here",
        "take: run.state is known when all other nodes have ended",
        "make it an exit node: on_exit(node)",
    ),
    "failures in a text too early": (
        "take(text=f'{run.failures}!')  # here",
        "take: run.failures is known when all other nodes have ended",
        "make it an exit node: on_exit(node)",
    ),
    "unknown trigger": (
        "take().with_options(trigger='all_sucess')  # here",
        "take: trigger is 'all_sucess'; did you mean 'all_success'?",
        "",
    ),
}

CONDITIONS = {
    "a plain value": (
        "with When(True):\n    take()  # here",
        "take: True is not a condition",
        "compare an output's property or value, a parameter or a fact of the run with something",
    ),
    "a number of the run": (
        "with When(number):\n    take()  # here",
        "take: runtime parameter 'number' is not a condition",
        "compare an output's property or value, a parameter or a fact of the run with something",
    ),
    "an artifact": (
        ROWS + "with When(rows == 1):\n    take()  # here",
        "take: condition: read.outputs.examples is Examples, which cannot be compared",
        "compare one of its properties",
    ),
    "a list": (
        "with When(number == [1]):\n    take()  # here",
        "take: condition: [1] is list, which cannot be compared",
        "",
    ),
    "a text with a number": (
        "with When(number > 'many'):\n    take()  # here",
        "take: condition runtime parameter 'number' > 'many' compares a text with a number",
        "",
    ),
    "a part of several": (
        "with When((number > 1) & (word == 2)):\n    take()  # here",
        "take: condition runtime parameter 'word' == 2 compares a text with a number",
        "",
    ),
    "tested with if": (
        "if number > 1:  # here\n    take()",
        "runtime parameter 'number' > 1 " + LATE + "test it with if, and, or, not",
        "write `with When(...):`; join conditions with &, | and not_()",
    ),
}

EARLIER = {
    "latest into a required input": (
        NEW + "judge(latest(new.outputs.model))  # here",
        "judge: input 'model' is required, but there is no earlier Model in a first run",
        "declare it as Input[Model] | None = None",
    ),
    "several for one": (
        ROWS + "train(latest_many(rows, 3))  # here",
        "train: input 'examples' takes one Examples, there may be several",
        "declare it as Input[list[Examples]]",
    ),
    "chosen by a lambda": (
        ROWS + "merge(choose(rows, lambda found: found))  # here",
        "merge: 'case.<locals>.<lambda>' is defined inside a function or is a lambda",
        "move it to the top level of its module: workers import it by name",
    ),
    "one of outputs of which one has a wrong type": (
        NEW + "judge(one_of(new.outputs.model, rows))  # here",
        "judge: input 'model' takes Model, but read.outputs.examples is Examples",
        "",
    ),
}  # fmt: skip
ALL = {**BLOCKS, **LOOPS, **EXITS, **CONDITIONS, **EARLIER}


@pytest.mark.parametrize(("body", "what", "hint"), ALL.values(), ids=ALL)
def test_each_is_found_at_its_line(
    mistakes_inside: Callable[[str], Found], body: str, what: str, hint: str
) -> None:
    line = next(line for line in body.splitlines() if "# here" in line).strip()
    assert mistakes_inside(body) == [(what, line, hint)]


def test_all_of_them_are_found_at_once(mistakes_inside: Callable[[str], Found]) -> None:
    body = (
        LOOP + "    rows = read().outputs.examples\nmerge(rows)\nwith When(True):\n    take(text=run.state)"
    )
    assert [what for what, _, _ in mistakes_inside(body)] == [
        "merge uses an output of read, which runs once for each item of a loop",
        "take: run.state is known when all other nodes have ended",
        "take: True is not a condition",
    ]
