"""Pipelines and their versions on a server: found, uploaded once, listed, deleted.

A version is never changed once it is there. It is named by the digest of its file unless it gets a name, so
uploading the same file again finds it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tidemill.errors import DefinitionError, RunnerError, did_you_mean
from tidemill.runners.kubeflow.client.failures import AlreadyThere, NotFound
from tidemill.runners.kubeflow.client.request import API, Request, segment
from tidemill.runners.kubeflow.client.wire import Sender

MOST_BYTES = 32 << 20
"""`MaxFileLength` of KFP's apiserver/common."""
PAGE_SIZE = "100"
_NAME = re.compile(r"^pipelineInfo:[ \t]*\n(?:[ \t]+.*\n)*?[ \t]+name:[ \t]*[\"']?([^\s\"'#]+)", re.M)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version of a pipeline, as KFP has it. `spec` is its pipeline spec, {} where none was asked for."""

    pipeline_id: str
    id: str
    name: str
    created: str = ""
    description: str = ""
    spec: Mapping[str, Any]

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Version:
        """From KFP's JSON. A file with a Kubernetes document comes back as two specs in one."""
        spec = answer.get("pipeline_spec") or {}
        return cls(
            pipeline_id=answer.get("pipeline_id", ""), id=answer.get("pipeline_version_id", ""),
            name=answer.get("name") or answer.get("display_name", ""), created=answer.get("created_at", ""),
            description=answer.get("description", ""), spec=spec.get("pipeline_spec", spec),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A compiled pipeline, as it is uploaded. DefinitionError for what cannot be one."""

    file: str
    """Its file name: KFP goes by the ending."""
    content: bytes
    pipeline: str
    """Name of the pipeline."""

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of the file."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def version(self) -> str:
        """What its version is called unless it gets a name: a name that Kubernetes takes, too."""
        return f"{self.pipeline}-{self.digest[:12]}"

    @classmethod
    def of(cls, file: str, content: bytes, pipeline: str = "") -> Package:
        """Read the pipeline's name from the file, unless it is given."""
        base = file.replace("\\", "/").rpartition("/")[2]
        if not base.endswith((".yaml", ".yml", ".json")):
            raise DefinitionError(
                "Kubeflow Pipelines takes .yaml, .yml and .json files by their names", where=file
            )
        if len(content) > MOST_BYTES:
            raise DefinitionError(
                f"a file may have 32 MiB, and this has {len(content) / 2**20:.1f}", where=file
            )
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            raise DefinitionError("the file is no UTF-8 text", where=file) from None
        found = pipeline or _named(text)
        if not found:
            raise DefinitionError(
                "the file does not say what its pipeline is called: there is no pipelineInfo with a name",
                where=file,
                hint="compile it with tidemill compile --to kubeflow, or name it: --pipeline NAME",
            )  # fmt: skip
        return cls(file=base, content=content, pipeline=found)


def _named(text: str) -> str:
    """The name in a compiled file; "" where there is none. YAML of another style is not understood."""
    try:
        answer = json.loads(text)
        info = answer.get("pipelineInfo") if isinstance(answer, dict) else None
        return str(info.get("name", "")) if isinstance(info, dict) else ""
    except ValueError:
        pass
    match = _NAME.search(text)
    return match[1] if match else ""


def listed(
    send: Sender, path: str, key: str, query: Mapping[str, str], what: str
) -> Iterator[dict[str, Any]]:
    """Every item of a list, page by page."""
    token = ""
    while True:
        asked = {**query, "page_size": PAGE_SIZE, "page_token": token}
        answer = send.send(Request(method="GET", path=path, query=asked, what=what))
        yield from answer.get(key, ())
        token = answer.get("next_page_token", "")
        if not token:
            return


def equals(key: str, value: str) -> str:
    """KFP's filter for equality, as `filter.proto` has it."""
    predicate = {"operation": "EQUALS", "key": key, "string_value": value}
    return json.dumps({"predicates": [predicate]}, separators=(",", ":"))


class Pipelines:
    """Pipelines and versions of one server."""

    def __init__(self, send: Sender) -> None:
        self._send = send

    def all(self) -> list[dict[str, Any]]:
        """Every pipeline, newest first."""
        query = {"namespace": self._send.server.namespace, "sort_by": "created_at desc"}
        return list(listed(self._send, f"{API}/pipelines", "pipelines", query, "list pipelines"))

    def find(self, name: str) -> dict[str, Any] | None:
        """A pipeline by its name; None where there is none."""
        request = Request(
            method="GET", path=f"{API}/pipelines/names/{segment(name)}", what=f"find the pipeline {name}",
            query={"namespace": self._send.server.namespace},
            assumed={"pipeline_id": f"<id-of-{name}>", "display_name": name},
        )  # fmt: skip
        try:
            return self._send.send(request)
        except NotFound:
            return None

    def get(self, name: str) -> dict[str, Any]:
        """A pipeline by its name or id. NotFound says what there is."""
        found = self.find(name)
        if found is not None:
            return found
        there = self.all()
        for pipeline in there:
            if pipeline.get("pipeline_id") == name:
                return pipeline
        known = [str(p.get("name") or p.get("display_name", "")) for p in there]
        raise NotFound(
            f"there is no pipeline {name!r} on this server", where=self._send.server.url,
            hint=did_you_mean(name, known) or "upload it: tidemill kubeflow upload FILE",
        )  # fmt: skip

    def versions(self, pipeline_id: str) -> list[Version]:
        """Every version of a pipeline, newest first."""
        found = listed(
            self._send, f"{API}/pipelines/{segment(pipeline_id)}/versions", "pipeline_versions",
            {"sort_by": "created_at desc"}, "list versions",
        )  # fmt: skip
        return [Version.of(answer) for answer in found]

    def version(self, pipeline: Mapping[str, Any], name: str = "") -> Version:
        """A version by its name or id, or the newest. NotFound says what there is."""
        pipeline_id = str(pipeline.get("pipeline_id", ""))
        if self._send.rehearsal:
            return Version(
                pipeline_id=pipeline_id, id=f"<id-of-{name or 'newest-version'}>", name=name, spec={}
            )
        there = self.versions(pipeline_id)
        for version in there:
            if name in ("", version.name, version.id):
                return version
        raise NotFound(
            f"the pipeline {pipeline.get('display_name', pipeline_id)} has no version {name!r}"
            if name else f"the pipeline {pipeline.get('display_name', pipeline_id)} has no version",
            where=self._send.server.url, hint=did_you_mean(name, [v.name for v in there]),
        )  # fmt: skip

    def upload(self, package: Package, *, version: str = "", description: str = "") -> tuple[Version, bool]:
        """Make sure that a version is there; it, and whether it is new.

        A new pipeline's first version has the pipeline's own name in KFP, so that a pipeline is made
        without versions first. AlreadyThere when the version's name is taken by other content.
        """
        name = version or package.version
        described = f"{description} sha256:{package.digest}".strip()
        pipeline = self.find(package.pipeline) if not self._send.rehearsal else None
        if pipeline is None:
            pipeline = self._create(package.pipeline)
        pipeline_id = str(pipeline.get("pipeline_id", ""))
        there = None if self._send.rehearsal else self._version_named(pipeline_id, name)
        if there is not None:
            return self._same(there, package, version), False
        request = Request(
            method="POST", path=f"{API}/pipelines/upload_version", what=f"upload the version {name}",
            query={"pipelineid": pipeline_id, "name": name, "description": described},
            file=(package.file, package.content), repeatable=False, unless=f"there is a version {name}",
            assumed={
                "pipeline_id": pipeline_id, "pipeline_version_id": f"<id-of-{name}>", "display_name": name,
            },
        )  # fmt: skip
        try:
            answer = self._send.send(request, found=lambda: self._raw_version(pipeline_id, name))
        except AlreadyThere:  # somebody beside us was faster
            raced = self._version_named(pipeline_id, name)
            if raced is None:
                raise
            return self._same(raced, package, version), False
        return Version.of(answer), True

    def delete_version(self, pipeline_id: str, version_id: str) -> None:
        """Delete a version. Runs of it keep what they need; recurring runs pinned to it do, too."""
        path = f"{API}/pipelines/{segment(pipeline_id)}/versions/{segment(version_id)}"
        self._send.send(Request(method="DELETE", path=path, what=f"delete the version {version_id}"))

    def _create(self, name: str) -> dict[str, Any]:
        body = {"display_name": name}
        if self._send.server.namespace:
            body["namespace"] = self._send.server.namespace
        request = Request(
            method="POST", path=f"{API}/pipelines", what=f"make the pipeline {name}", body=body,
            repeatable=False, assumed={"pipeline_id": f"<id-of-{name}>", "display_name": name},
            unless=f"there is a pipeline {name}",
        )  # fmt: skip
        try:
            return self._send.send(request, found=lambda: self.find(name))
        except AlreadyThere:
            found = self.find(name)
            if found is None:
                raise
            return found

    def _raw_version(self, pipeline_id: str, name: str) -> dict[str, Any] | None:
        path = f"{API}/pipelines/{segment(pipeline_id)}/versions"
        found = listed(
            self._send, path, "pipeline_versions", {"filter": equals("name", name)}, "list versions"
        )
        return next(iter(found), None)

    def _version_named(self, pipeline_id: str, name: str) -> Version | None:
        found = self._raw_version(pipeline_id, name)
        return Version.of(found) if found is not None else None

    def _same(self, there: Version, package: Package, named: str) -> Version:
        """The version, whose name is taken: by the same file, as far as a name we made up says."""
        if named and not _tells(there, package):
            raise RunnerError(
                f"the version {there.name!r} is there already, and a version is never changed",
                where=f"{self._send.server.url} pipeline {package.pipeline}",
                hint="leave --version out to name it by its content, or choose another name",
            )
        return there


def _tells(there: Version, package: Package) -> bool:
    """Whether the description of a version says that it was made of this very file."""
    return f"sha256:{package.digest}" in there.description
