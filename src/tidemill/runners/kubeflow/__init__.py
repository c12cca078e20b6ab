"""Pipelines on Kubeflow Pipelines: one container task per node, and the launcher inside of it.

KFP orders the tasks, gives them a pod and repeats them; what a node means is decided by the launcher, as
everywhere. Compiling needs neither kfp nor protobuf nor a YAML library, and nothing here imports them.
"""

from __future__ import annotations

from tidemill.runners.kubeflow.platform import KubernetesOptions
from tidemill.runners.kubeflow.runner import KubeflowDagRunner

__all__ = ["KubeflowDagRunner", "KubernetesOptions"]
