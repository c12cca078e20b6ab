"""The pipeline root, local or remote, for those who start runs and must not build paths themselves."""

from __future__ import annotations

from pathlib import Path

from tidemill.storage import mirror
from tidemill.storage.uri import is_local, local_path


def absolute(root: str) -> str:
    """The root as runs record it: an absolute path, or a URI such as `s3://bucket/folder`."""
    return str(local_path(root)) if is_local(root) else root.rstrip("/")


def folder(root: str) -> Path:
    """The folder on this machine that stands for the root: logs of what runs here appear in it at once."""
    return mirror.place(root)


def default_metadata(root: str) -> str:
    """Address of the database in a local root; empty for a remote one, which cannot hold a database."""
    return f"sqlite:///{local_path(root) / 'metadata.db'}" if is_local(root) else ""
