"""Names of images: `REGISTRY/REPOSITORY:TAG@DIGEST`.

The grammar is that of the OCI distribution specification 1.1, "Pulling manifests", with the registry in
front as every engine writes it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from tidemill.errors import ImageError

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_REGISTRY = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)(?:\.[A-Za-z0-9-]+)*(?::[0-9]{1,5})?"
                       r"|\[[0-9a-fA-F:]+\](?::[0-9]{1,5})?")  # fmt: skip
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
"""The only form of digest that registries must know."""
LONGEST = 255
"""Characters of registry and repository together, which is what most registries take."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A name of an image, taken apart. `registry` is empty in a short name, which an engine completes."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        name = f"{self.registry}/{self.repository}" if self.registry else self.repository
        return name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @property
    def version(self) -> str:
        """What its manifest is asked for by: the digest, else the tag, else `latest`."""
        return self.digest or self.tag or "latest"

    def pinned(self, digest: str) -> Reference:
        """The same repository at a digest; without the tag, which would only be decoration."""
        return replace(self, tag="", digest=digest)


def parse(text: str, what: str = "the image") -> Reference:
    """A name as people write it. ImageError says which part is wrong; `what` is what it calls the name."""
    if "://" in text:
        raise _wrong(text, what, "it is a URL", "leave out the part before //")
    name, at, digest = text.partition("@")
    if at and not DIGEST.fullmatch(digest):
        raise _wrong(text, what, f"{digest!r} is no digest", "write sha256: and 64 hexadecimal digits")
    first, slash, rest = name.partition("/")
    registry = ""
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, name = first, rest
        if not _REGISTRY.fullmatch(registry):
            raise _wrong(text, what, f"{registry!r} is no registry", "write HOST or HOST:PORT")
    repository, colon, tag = name.partition(":")
    if colon and not _TAG.fullmatch(tag):
        raise _wrong(text, what, f"{tag!r} is no tag", "write letters, digits, _ . and -, 128 at most")
    if not _REPOSITORY.fullmatch(repository):
        hint = "write small letters and digits, with . _ - inside and / between"
        if repository.lower() != repository and _REPOSITORY.fullmatch(repository.lower()):
            hint = f"did you mean {repository.lower()!r}? Names have no capitals"
        raise _wrong(text, what, f"{repository!r} is no name of a repository", hint)
    if len(registry) + len(repository) > LONGEST:
        raise _wrong(text, what, "it is too long", f"{LONGEST} characters are the most")
    return Reference(registry, repository, tag, digest)


def parse_full(text: str, what: str = "the image") -> Reference:
    """As `parse`, of a name that says its registry: only engines know what a short one stands for."""
    found = parse(text, what)
    if not found.registry:
        raise _wrong(
            text, what, "it does not say which registry",
            "write REGISTRY/NAME:TAG; for a public image, the host at which its registry answers",
        )  # fmt: skip
    return found


def _wrong(text: str, what: str, why: str, hint: str) -> ImageError:
    return ImageError(f"{what} {text!r} cannot be: {why}", hint=hint)
