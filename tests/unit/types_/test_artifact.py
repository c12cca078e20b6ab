"""Artifacts: typed properties, their places in the record, and paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.errors import DefinitionError, StorageError
from tidemill.types import standard
from tidemill.types.artifact import Artifact, Property, ValueArtifact
from tidemill.types.standard import STANDARD, Examples, Model


class Recording(Artifact):
    """One property of each type."""

    count = Property(int, "how many")
    rate = Property(float)
    title = Property(str)
    live = Property(bool, custom=True)


class Remix(Recording):
    """One more, and one declared anew."""

    title = Property(str, "of the remix", custom=True)
    source = Property(str)


def test_a_property_is_none_until_it_is_set_and_goes_where_it_is_declared() -> None:
    recording = Recording("uri")
    assert (recording.count, recording.rate, recording.title, recording.live) == (None, None, None, None)
    recording.count, recording.rate, recording.title, recording.live = 3, 0.5, "x", True
    assert (recording.count, recording.rate, recording.title, recording.live) == (3, 0.5, "x", True)
    assert recording.properties == {"count": 3, "rate": 0.5, "title": "x"}
    assert recording.custom_properties == {"live": True}


def test_an_int_becomes_a_float_where_a_float_is_declared() -> None:
    recording = Recording()
    recording.rate = 2
    assert recording.rate == 2.0
    assert type(recording.rate) is float


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("count", 1.0, "Recording.count takes int, got float 1.0"),
        ("count", True, "Recording.count takes int, got bool True"),
        ("rate", True, "Recording.rate takes float, got bool True"),
        ("rate", "1", "Recording.rate takes float, got str '1'"),
        ("title", None, "Recording.title takes str, got NoneType None"),
        ("live", 1, "Recording.live takes bool, got int 1"),
    ],
)
def test_a_property_refuses_another_type(name: str, value: object, message: str) -> None:
    recording = Recording()
    with pytest.raises(TypeError) as caught:
        setattr(recording, name, value)
    assert str(caught.value) == message
    assert getattr(recording, name) is None


def test_two_artifacts_share_no_values() -> None:
    given = {"count": 1}
    first, second = Recording(properties=given), Recording(properties=given)
    first.count = 2
    assert (second.count, given) == (1, {"count": 1})


def test_the_class_gives_the_declaration_and_subclasses_inherit_it() -> None:
    assert Recording.count.python_type is int
    assert Recording.count.__doc__ == "how many"
    assert list(Remix.declared_properties()) == ["count", "rate", "title", "live", "source"]
    assert Remix.declared_properties()["title"].custom
    assert not Recording.declared_properties()["title"].custom


def test_a_property_of_another_type_cannot_be_declared() -> None:
    with pytest.raises(DefinitionError) as caught:
        type("Odd", (Artifact,), {"tags": Property(list)})  # type: ignore[type-var]  # the mistake under test
    assert caught.value.message == "property 'tags' of Odd has the type <class 'list'>"
    assert caught.value.hint == "use int, float, str or bool; encode anything else as a JSON str"


@pytest.mark.parametrize("name", ["uri", "path", "id", "name", "digest", "properties", "custom_properties"])
def test_a_property_cannot_hide_what_every_artifact_has(name: str) -> None:
    assert hasattr(Artifact(path=Path()), name)
    with pytest.raises(DefinitionError, match=f"property '{name}' of Odd hides an attribute"):
        type("Odd", (Artifact,), {name: Property(str)})


def test_every_attribute_of_an_artifact_is_guarded() -> None:
    public = {name for name in vars(Artifact()) if not name.startswith("_")}
    for name in public:
        with pytest.raises(DefinitionError):
            type("Odd", (Artifact,), {name: Property(str)})


def test_the_type_name_is_the_class_name_unless_set() -> None:
    class Renamed(Recording):
        TYPE_NAME = "Other"

    class Below(Renamed):
        pass

    assert (Recording.TYPE_NAME, Renamed.TYPE_NAME, Below.TYPE_NAME) == ("Recording", "Other", "Below")


def test_a_path_is_given_by_the_launcher_or_by_hand(tmp_path: Path) -> None:
    assert Model(path=tmp_path).path == tmp_path
    with pytest.raises(StorageError) as caught:
        _ = Model("s3://bucket/model").path
    assert caught.value.message == "Model s3://bucket/model has no local path"
    assert "path=Path(...)" in caught.value.hint
    with pytest.raises(StorageError, match=r"Examples \(no uri\) has no local path"):
        _ = Examples().path


def test_splits_are_kept_as_tfx_keeps_them() -> None:
    examples = Examples()
    assert examples.splits == []
    examples.splits = ["train", "eval"]
    assert examples.properties == {"split_names": '["train", "eval"]'}
    assert examples.splits == ["train", "eval"]


def test_the_text_of_an_artifact_shows_its_values() -> None:
    recording = Recording("a/b", properties={"count": 1}, custom_properties={"live": False})
    assert repr(recording) == "Recording('a/b', count=1, live=False)"


def test_every_standard_type_is_listed_by_its_name() -> None:
    declared = {
        cls.TYPE_NAME: cls
        for cls in vars(standard).values()
        if isinstance(cls, type) and issubclass(cls, Artifact) and not cls.__name__.startswith("_")
    }
    for base in (Artifact, ValueArtifact):
        del declared[base.TYPE_NAME]
    assert declared == STANDARD
