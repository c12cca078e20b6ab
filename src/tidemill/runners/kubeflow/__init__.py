"""Pipelines on Kubeflow Pipelines: one container task per node, and the launcher inside of it.

KFP orders the tasks, gives them a pod and repeats them; what a node means is decided by the launcher, as
everywhere. Compiling needs neither kfp nor protobuf nor a YAML library, and nothing here imports them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidemill.runners.kubeflow.platform import KubernetesOptions as KubernetesOptions
    from tidemill.runners.kubeflow.runner import KubeflowDagRunner as KubeflowDagRunner

__all__ = ["KubeflowDagRunner", "KubernetesOptions"]
_HOME_OF = {"KubeflowDagRunner": "runner", "KubernetesOptions": "platform"}
"""Loaded when first asked for: the entrypoint of every task is in this package, and needs no compiler."""


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
