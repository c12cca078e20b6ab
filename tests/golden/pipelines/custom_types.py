"""Artifact types of the user's own, with properties, and one type that stands for another."""

from __future__ import annotations

from tidemill import Artifact, Examples, Input, Output, Property, component, pipeline


class Embeddings(Artifact):
    """One property of each type; a custom property is no part of the type."""

    TYPE_NAME = "acme.Embeddings"
    BASE_TYPE = "Dataset"
    dimensions = Property(int)
    norm = Property(float, "mean length of a vector")
    language = Property(str)
    normalized = Property(bool)
    note = Property(str, custom=True)


class LabelledExamples(Examples):
    """Fits wherever Examples do."""

    label = Property(str)


@component
def read(examples: Output[LabelledExamples]) -> None:
    """Rows with a label."""


@component
def embed(examples: Input[Examples], embeddings: Output[Embeddings], *, label: str) -> None:
    """A vector for each row."""


@component
def use(embeddings: Input[Embeddings], *, size: int, norm: float, note: str, normalized: bool) -> None:
    """The vectors."""


@pipeline
def custom_types() -> None:
    rows = read().outputs.examples
    vectors = embed(rows, label=rows.label).outputs.embeddings
    use(
        vectors,
        size=vectors.dimensions,
        norm=vectors.norm,
        note=f"{vectors.note} {vectors.language}",
        normalized=vectors.normalized,
    )
