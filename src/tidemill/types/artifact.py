"""Artifacts: typed, immutable pieces of data that nodes hand to each other.

An artifact type is a class. Its properties are declared as descriptors, so that
`examples.span` is typed in user code and a placeholder in a pipeline definition:

    class Examples(Artifact):
        span = Property(int)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar, cast, overload

from tidemill.errors import DefinitionError, StorageError

PropertyValue = int | float | str | bool
V = TypeVar("V", int, float, str, bool)

PROPERTY_TYPES: dict[type, str] = {int: "INT", float: "DOUBLE", str: "STRING", bool: "BOOLEAN"}
"""Python type -> MLMD `PropertyType` name (`metadata_store.proto`, enum PropertyType)."""
_OWN_ATTRIBUTES = ("uri", "path", "id", "name", "digest", "properties", "custom_properties")


class Property(Generic[V]):
    """A typed property of an artifact class.

    `custom=True` keeps the value in MLMD's custom properties, which are not part of the registered
    type: for names that TFX does not declare on its own artifact types.
    """

    def __init__(self, python_type: type[V], doc: str = "", *, custom: bool = False) -> None:
        self.python_type: type[V] = python_type
        self.custom = custom
        self.name = ""
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, artifact: None, owner: type) -> Property[V]: ...
    @overload
    def __get__(self, artifact: Artifact, owner: type) -> V | None: ...
    def __get__(self, artifact: Artifact | None, owner: type) -> Property[V] | V | None:
        if artifact is None:
            return self
        return cast("V | None", self._values(artifact).get(self.name))

    def __set__(self, artifact: Artifact, value: V) -> None:
        wanted, given = self.python_type, type(value)
        if given is not wanted and (wanted, given) != (float, int):
            where = f"{type(artifact).__name__}.{self.name}"
            raise TypeError(f"{where} takes {wanted.__name__}, got {given.__name__} {value!r}")
        self._values(artifact)[self.name] = wanted(value)

    def _values(self, artifact: Artifact) -> dict[str, PropertyValue]:
        return artifact.custom_properties if self.custom else artifact.properties


class Artifact:
    """A typed piece of data with a URI. User code reads inputs from `path` and writes outputs under it."""

    TYPE_NAME: ClassVar[str] = "Artifact"
    """Name of the type in the metadata store; the class name unless set."""
    BASE_TYPE: ClassVar[str] = ""
    """MLMD system base type: Dataset, Model, Metrics, Statistics, or none."""

    def __init_subclass__(cls) -> None:
        if "TYPE_NAME" not in cls.__dict__:
            cls.TYPE_NAME = cls.__name__
        for name in [n for n, value in vars(cls).items() if isinstance(value, Property)]:
            cls._check_property(name, vars(cls)[name])

    @classmethod
    def _check_property(cls, name: str, declared: Property[Any]) -> None:
        # Not in __set_name__: Python 3.11 would wrap the error in a RuntimeError.
        what = f"property {name!r} of {cls.__name__}"
        if declared.python_type not in PROPERTY_TYPES:
            raise DefinitionError(
                f"{what} has the type {declared.python_type!r}",
                hint="use int, float, str or bool; encode anything else as a JSON str",
            )
        if name in _OWN_ATTRIBUTES:
            raise DefinitionError(
                f"{what} hides an attribute that every artifact has", hint=f"rename it, to {name}_ perhaps"
            )

    def __init__(
        self,
        uri: str = "",
        *,
        path: Path | None = None,
        id: int = 0,
        name: str = "",
        digest: str = "",
        properties: Mapping[str, PropertyValue] | None = None,
        custom_properties: Mapping[str, PropertyValue] | None = None,
    ) -> None:
        self.uri = uri
        """Where the bytes live. An executor may set it on an output that it wrote elsewhere."""
        self.id = id
        """Id in the metadata store; 0 before it is published."""
        self.name = name
        self.digest = digest
        """Content digest of the files under `uri`; empty before publishing."""
        self.properties: dict[str, PropertyValue] = dict(properties or {})
        self.custom_properties: dict[str, PropertyValue] = dict(custom_properties or {})
        self._path = path

    @property
    def path(self) -> Path:
        """A local folder with the artifact's files; for an output it exists and is empty."""
        if self._path is None:
            raise StorageError(
                f"{type(self).__name__} {self.uri or '(no uri)'} has no local path",
                hint="artifacts get one from the launcher; build one by hand with path=Path(...)",
            )
        return self._path

    @classmethod
    def declared_properties(cls) -> dict[str, Property[Any]]:
        """Every `Property` of the class and its bases, by name."""
        found: dict[str, Property[Any]] = {}
        for base in reversed(cls.__mro__):
            found.update({k: v for k, v in vars(base).items() if isinstance(v, Property)})
        return found

    def __repr__(self) -> str:
        shown = {**self.properties, **self.custom_properties}
        inside = ", ".join([repr(self.uri), *(f"{k}={v!r}" for k, v in shown.items())])
        return f"{type(self).__name__}({inside})"


class ValueArtifact(Artifact):
    """An artifact that holds one plain value, such as a metric returned by a component.

    `value` is filled by the launcher from the artifact's single file, and written back from there.
    """

    VALUE_TYPE: ClassVar[type] = object
    FILE: ClassVar[str] = "value.json"

    value: Any = None
