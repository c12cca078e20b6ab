"""Runs that are started from Python: in a notebook, or in a plain script.

`Pipeline.run`, `Node.run` and `Component.run` load this room by its name, since the definition language
must not know what lies above it; nothing else does. It sees everything that the command line sees.
See docs/decisions/0022-runs-from-python.md. `compile_now` is for runners that take a pipeline object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.dsl.component import Component
    from tidemill.dsl.node import Node
    from tidemill.dsl.pipeline import Pipeline
    from tidemill.interactive.result import NodeResult, Result

# Imported when called: executor processes import this package for `importing` alone.


def run_pipeline(pipeline: Pipeline, parameters: Mapping[str, Any], settings: Mapping[str, Any]) -> Result:
    """See `Pipeline.run`."""
    from tidemill.interactive import running

    return running.run_pipeline(pipeline, parameters, settings)


def run_node(node: Node[Any], settings: Mapping[str, Any]) -> NodeResult:
    """See `Node.run`."""
    from tidemill.interactive import running

    return running.run_node(node, settings)


def compile_now(pipeline: Pipeline) -> tuple[Any, str]:
    """The IR of a pipeline object, and the folder that its modules are imported from; for other runners."""
    from tidemill.interactive import running

    return running.compile_now(pipeline)


def run_component(component: Component[..., Any], arguments: Mapping[str, Any]) -> NodeResult:
    """See `Component.run`."""
    from tidemill.interactive import running

    return running.run_component(component, arguments)
