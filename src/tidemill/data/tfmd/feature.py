"""One `Feature` of TensorFlow Metadata's `schema.proto` as the fields of one of our columns."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

_KINDS = {"INT": "int", "FLOAT": "float", "BYTES": "string"}
_ALWAYS = {
    "name", "type", "presence", "annotation", "in_environment", "not_in_environment", "lifecycle_stage",
    "deprecated", "shape", "value_count", "value_counts", "drift_comparator", "skew_comparator",
}  # fmt: skip
_DOMAINS = {
    "int": {"int_domain", "bool_domain"},
    "float": {"float_domain", "bool_domain"},
    "string": {"domain", "string_domain", "bool_domain", "int_domain", "float_domain"},
    "any": set[str](),
}
_COMPARATORS = {
    "infinity_norm": "linf", "jensen_shannon_divergence": "jsd", "normalized_abs_difference": "nad",
}  # fmt: skip
_LISTED = {"string": ("linf", "jsd", "nad"), "int": ("jsd",), "float": ("jsd",), "any": ()}
INT64 = 2**63 - 1


def kind_of(pb: Any, feature: Any) -> str:
    """Our type of a feature; `any` for structures and features without a type."""
    return _KINDS.get(pb.FeatureType.Name(feature.type), "any")


def handled(feature: Any) -> set[str]:
    """Names of the fields that `feature_fields` reads."""
    kind = {1: "string", 2: "int", 3: "float"}.get(feature.type, "any")
    return _ALWAYS | _DOMAINS[kind] | {"unique_constraints", "distribution_constraints"}


def feature_fields(pb: Any, feature: Any, domains: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """Fields as they stand in a schema file; what cannot be said is noted. Annotations are not read."""
    kind = kind_of(pb, feature)
    found: dict[str, Any] = {"type": kind}
    presence = feature.presence
    if presence.min_count <= 0 and presence.min_fraction <= 0:
        found["required"] = False
    stage = _stage(pb, feature, notes)
    if stage != "production":
        found["stage"] = stage
    for name in ("in_environment", "not_in_environment"):
        if values := list(dict.fromkeys(getattr(feature, name))):
            found[name] = values
    if presence.min_fraction > 0:
        found["min_fraction"] = min(presence.min_fraction, 1.0)
    if presence.min_count > 0:
        found["min_count"] = presence.min_count
    found |= _lists(feature, notes)
    found |= _domain(feature, kind, domains, notes)
    if feature.HasField("unique_constraints"):
        found |= _unique(feature, kind, notes)
    for ours, theirs in (("drift", "drift_comparator"), ("skew", "skew_comparator")):
        if bounds := _comparator(feature, theirs, kind, notes):
            found[ours] = bounds
    return found


def _stage(pb: Any, feature: Any, notes: list[str]) -> str:
    if feature.deprecated:
        return "deprecated"
    name = str(pb.LifecycleStage.Name(feature.lifecycle_stage)).lower()
    if name == "validation_derived":
        notes.append(f"feature {feature.name!r}: the stage VALIDATION_DERIVED has no counterpart")
    return "production" if name in ("unknown_stage", "validation_derived") else name


def _lists(feature: Any, notes: list[str]) -> dict[str, Any]:
    if feature.HasField("shape"):
        sizes = [dim.size for dim in feature.shape.dim]
        if all(size == 1 for size in sizes):
            return {}
        if any(size < 1 for size in sizes):
            notes.append(f"feature {feature.name!r}: a shape with a dimension below 1 has no counterpart")
            return {"nesting": len(sizes)}
        return {"nesting": len(sizes), "shape": sizes}
    if feature.HasField("value_count"):
        levels = [feature.value_count]
    elif feature.HasField("value_counts"):
        levels = list(feature.value_counts.value_count)
        if any(level.min or level.max for level in levels[1:]):
            notes.append(f"feature {feature.name!r}: value_counts of inner lists have no counterpart")
    else:
        return {}
    if not levels or (len(levels) == 1 and levels[0].min == levels[0].max == 1):
        return {}
    found: dict[str, Any] = {"nesting": len(levels)}
    if levels[0].HasField("min") and levels[0].min >= 0:
        found["min_values"] = levels[0].min
    if levels[0].HasField("max") and levels[0].max >= max(0, levels[0].min):
        found["max_values"] = levels[0].max
    return found


def _domain(feature: Any, kind: str, domains: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    which = feature.WhichOneof("domain_info")
    if kind == "float" and which != "bool_domain":
        return _float_domain(feature)
    if which is None or which not in _DOMAINS[kind]:
        return {}
    found: dict[str, Any] = {}
    if which == "bool_domain":
        texts = {n: getattr(feature.bool_domain, n) for n in ("true_value", "false_value")}
        given = {n: text for n, text in texts.items() if feature.bool_domain.HasField(n)}
        if kind == "string" and texts["true_value"] == texts["false_value"]:
            notes.append(f"feature {feature.name!r}: a bool_domain without two texts has no counterpart")
            return {}
        return {"bool_domain": given if kind == "string" else {}}
    if which == "int_domain" and kind == "int":
        for end in ("min", "max"):
            if feature.int_domain.HasField(end):
                found[end] = getattr(feature.int_domain, end)
        if feature.int_domain.is_categorical:
            notes.append(f"feature {feature.name!r}: is_categorical has no counterpart")
    elif which in ("int_domain", "float_domain"):
        found["text_of"] = which.removesuffix("_domain")
        domain = getattr(feature, which)
        if domain.ListFields():
            notes.append(f"feature {feature.name!r}: bounds of numbers in texts have no counterpart")
    else:
        found |= _string_domain(feature, which, domains, notes)
    return found


def _float_domain(feature: Any) -> dict[str, Any]:
    domain = feature.float_domain
    found: dict[str, Any] = {}
    for end in ("min", "max"):
        if domain.HasField(end) and abs(getattr(domain, end)) <= 3.5e38:
            found[end] = shortest32(getattr(domain, end))
    if not domain.disallow_nan:
        found["allow_nan"] = True
    if not domain.disallow_inf:
        found["allow_infinite"] = True
    return found


def shortest32(value: float) -> float:
    """A number that was stored in 32 bits, as the shortest one that gives the same 32 bits."""
    for digits in range(1, 10):
        short = float(f"{value:.{digits}g}")
        if abs(short) <= 3.4028234e38 and struct.pack("<f", short) == struct.pack("<f", value):
            return short
    return value


def _string_domain(feature: Any, which: str, domains: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    domain = feature.string_domain if which == "string_domain" else domains.get(feature.domain)
    if domain is None:
        notes.append(f"feature {feature.name!r}: the domain {feature.domain!r} is not in the schema")
        return {}
    values = list(dict.fromkeys(domain.value))
    if not values:
        notes.append(f"feature {feature.name!r}: a domain without values has no counterpart")
        return {}
    found: dict[str, Any] = {"domain": values}
    mass = feature.distribution_constraints.min_domain_mass
    if feature.HasField("distribution_constraints") and 0 <= mass < 1:
        found["min_domain_mass"] = mass
    return found


def _unique(feature: Any, kind: str, notes: list[str]) -> dict[str, Any]:
    if kind == "float":
        notes.append(f"feature {feature.name!r}: unique_constraints of floats have no counterpart")
        return {}
    found: dict[str, Any] = {}
    least, most = feature.unique_constraints.min, feature.unique_constraints.max
    if least > 0:
        found["min_unique"] = least
    if most < INT64 and most >= max(least, 0):
        found["max_unique"] = most
    return found


def _comparator(feature: Any, which: str, kind: str, notes: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    comparator = getattr(feature, which)
    for theirs, ours in _COMPARATORS.items():
        measure = getattr(comparator, theirs)
        if not comparator.HasField(theirs) or not measure.HasField("threshold"):
            continue
        if ours not in _LISTED[kind] or not 0 <= measure.threshold <= 1:
            notes.append(f"feature {feature.name!r}: {which}.{theirs} of {kind} has no counterpart; use jsd")
            continue
        found[ours] = measure.threshold
    return found
