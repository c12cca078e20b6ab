"""Lints pipelines for Kubeflow Pipelines: anybody's, as plain data or as a file that was compiled for KFP 2.

What the API server, its compiler, Argo, the driver, the launcher and Kubernetes each refuse is found before
anything is uploaded, and so is what nobody refuses and does not work. The rules stand in
`runners/kubeflow/rules.py`. Needs neither kfp nor protobuf; nothing here knows tidemill's own pipelines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from tidemill.runners.kubeflow.lint import (
    components,
    documents,
    executors,
    kubernetes,
    order,
    placeholders,
    reader,
    sizes,
    wiring,
)
from tidemill.runners.kubeflow.lint.finding import Finding
from tidemill.runners.kubeflow.lint.model import Spec

__all__ = ["Finding", "lint", "lint_text"]

_OF_SHAPE = {
    "unknown-field", "unknown-executor-field", "wrong-type", "unknown-value", "bad-duration", "two-of-one",
}  # fmt: skip
_UNUSED = {"unused-component", "unused-executor"}
_LEAVE_UNUSED = {"unknown-component", "unknown-executor", "no-implementation", "no-tasks", "not-a-pipeline"}


def lint(given: Iterable[Any]) -> list[Finding]:
    """All findings of the documents of one file, as plain JSON data: errors first, then in its order."""
    parts = documents.parts(list(given))
    found = list(parts.found)
    if parts.pipeline is not None:
        spec = Spec.of(parts.pipeline, parts.executors)
        in_pipeline = [
            *components.check(spec), *wiring.check(spec), *order.check(spec), *executors.check(spec),
            *placeholders.check(spec), *sizes.check(parts, spec),
        ]  # fmt: skip
        found += _without_consequences(_moved(in_pipeline, *parts.pipeline_at), found)
        found += _moved(kubernetes.check(parts, spec), *parts.platform_at)
    unique = list(dict.fromkeys(found))
    return sorted(unique, key=lambda f: (f.rule.severity, f.document))


def lint_text(text: str, file: str) -> list[Finding]:
    """The same of a text, with lines. DefinitionError when it is neither YAML nor JSON."""
    source = reader.read(text, file)
    found = [*source.found, *lint(source.documents)]
    placed = [replace(f, line=source.line(f.document, f.path)) for f in found]
    return sorted(placed, key=lambda f: (f.rule.severity, f.document, f.line))


def _without_consequences(found: Iterable[Finding], before: list[Finding]) -> Iterator[Finding]:
    """Leaves out what follows from something else that is said already.

    What has the wrong form was left out, and so is missing; what is named wrongly leaves something unused.
    """
    wrong = {(f.document, f.path) for f in before if f.rule.id in _OF_SHAPE}
    around = {(document, path[:-1]) for document, path in wrong if path}
    listed = list(found)
    named_wrongly = _LEAVE_UNUSED & {f.rule.id for f in (*listed, *before)}
    for f in listed:
        follows = any((f.document, f.path[:n]) in wrong for n in range(1, len(f.path) + 1))
        follows |= (f.document, f.path) in around
        follows |= bool(named_wrongly) and f.rule.id in _UNUSED
        if not follows:
            yield f


def _moved(found: Iterable[Finding], document: int, path: tuple[str | int, ...]) -> Iterator[Finding]:
    """As seen from the top of the file."""
    return (replace(f, document=document, path=(*path, *f.path)) for f in found)
