"""Graphs of version 1, read as the present version.

In version 1 an operation that learns from the data was one node with fitted values of its own; since
version 2 the analysis stands apart, so that several operations can share it. The fitted values do not
change, and so no result does. This file knows JSON only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ANALYZERS = {
    "scale_to_z_score": "moments",
    "scale_to_0_1": "range",
    "bucketize": "quantiles",
    "vocabulary": "vocabulary",
}
_ANALYSIS_PARAMS = {"bucketize": ("buckets",), "vocabulary": ("top_k", "frequency_threshold")}
_OPERATIONS = {
    "scale_to_z_score": ("scale", {"subtract": "mean", "divide": "std"}),
    "scale_to_0_1": ("scale", {"subtract": "min", "divide": "width"}),
    "bucketize": ("apply_buckets", {}),
    "vocabulary": ("apply_vocabulary", {}),
}
_FITTED = {
    "scale_to_z_score": {"center": "mean", "width": "std"},
    "scale_to_0_1": {"center": "min", "width": "width"},
}


def from_version_1(value: Mapping[str, Any]) -> dict[str, Any]:
    """The same graph in the form of version 2. KeyError or TypeError where it is damaged."""
    nodes, analyses, fitted = [], [], {}
    for node in value["nodes"]:
        old = node["op"]
        if old not in _ANALYZERS:
            nodes.append(node)
            continue
        id, params = f"a:{node['id']}", node["params"]
        mine = _ANALYSIS_PARAMS.get(old, ())
        analyses.append(
            {
                "id": id,
                "analyzer": _ANALYZERS[old],
                "inputs": node["inputs"],
                "params": {name: params[name] for name in mine},
            }
        )
        op, fixed = _OPERATIONS[old]
        rest = {name: params[name] for name in params if name not in mine}
        nodes.append({**node, "op": op, "params": {**rest, **fixed}, "learned": id})
        if node["id"] in value["fitted"]:
            names = _FITTED.get(old, {})
            seen = value["fitted"][node["id"]]
            fitted[id] = {names.get(name, name): item for name, item in seen.items()}
    return {**value, "nodes": nodes, "analyses": analyses, "fitted": fitted, "labels": [], "learned": []}
