"""Names of images, by the grammar of the distribution specification."""

from __future__ import annotations

import pytest

from tidemill.errors import ImageError
from tidemill.images.reference import Reference, parse, parse_full

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("python", ("", "python", "", "")),
        ("python:3.12-slim", ("", "python", "3.12-slim", "")),
        ("team/daily:1", ("", "team/daily", "1", "")),
        ("localhost/daily", ("localhost", "daily", "", "")),
        ("host:5000/daily", ("host:5000", "daily", "", "")),
        ("registry.example/a/b__c-d.e:v1.2_3", ("registry.example", "a/b__c-d.e", "v1.2_3", "")),
        (f"127.0.0.1:5000/daily:1@{DIGEST}", ("127.0.0.1:5000", "daily", "1", DIGEST)),
        (f"[::1]:5000/daily@{DIGEST}", ("[::1]:5000", "daily", "", DIGEST)),
    ],
)
def test_a_name_is_taken_apart_and_put_together(text: str, parts: tuple[str, str, str, str]) -> None:
    found = parse(text)
    assert found == Reference(*parts)
    assert str(found) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("registry.example/Daily:1", "did you mean 'daily'"),
        ("registry.example/daily:-1", "'-1' is no tag"),
        ("registry.example/daily@sha256:12", "'sha256:12' is no digest"),
        ("registry.example/daily@md5:" + "0" * 32, "is no digest"),
        ("https://registry.example/daily", "it is a URL"),
        ("registry.example/", "is no name of a repository"),
        ("a" * 300, "255 characters are the most"),
        ("reg istry.example/daily", "is no registry"),
        ("", "is no name of a repository"),
        ("a/../b", "is no name of a repository"),
    ],
)
def test_what_is_no_name_is_refused_with_the_part_that_is_wrong(text: str, says: str) -> None:
    with pytest.raises(ImageError) as caught:
        parse(text, "--push")
    assert says in str(caught.value)
    assert "--push" in caught.value.message


def test_a_short_name_is_for_engines_alone() -> None:
    with pytest.raises(ImageError, match="does not say which registry"):
        parse_full("python:3.12-slim", "--append")


def test_what_a_manifest_is_asked_for_by() -> None:
    name = parse(f"registry.example/daily:1@{DIGEST}")
    assert name.version == DIGEST
    assert parse("registry.example/daily").version == "latest"
    assert str(parse("registry.example/daily:1").pinned(DIGEST)) == f"registry.example/daily@{DIGEST}"
