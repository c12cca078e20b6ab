"""What must never be in an image: files that hold secrets by their name, and texts that are secrets.

An image is read by everybody who may pull it, for ever. So a find is refused, not left out in silence: code
that wants the file would fail at run time, and its owner should know that it lay there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

from tidemill.errors import ImageError

NAMES = (
    ".env", ".env.*", "*.env", ".netrc", "_netrc", ".pypirc", ".npmrc", ".git-credentials", ".pgpass",
    ".my.cnf", ".htpasswd", ".dockercfg", ".dockerconfigjson", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks",
    "*.keystore",
    "*.kdbx", "*.ppk", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "kubeconfig", "*.kubeconfig",
    "credentials.json", "client_secret*.json", "*service-account*.json", "*service_account*.json",
    "secrets.toml", "secrets.yaml", "secrets.yml", "secrets.json",
)  # fmt: skip
"""Patterns of file names."""
FOLDERS = (".aws", ".ssh", ".gnupg", ".kube", ".azure", ".docker")
"""Folders in which nothing is for others."""
_HARMLESS = ("*.example", "*.sample", "*.template", "*.dist", "*.pub")
_TEXTS = {
    "a private key": rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY(?: BLOCK)?-----\s+[A-Za-z0-9+/=]{16}",
    "an access key of AWS": rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a key of a service account": rb"\"private_key_id\"\s*:\s*\"[0-9a-f]{40}\"",
    "a token of GitHub": rb"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{82})\b",
    "a token of GitLab": rb"\bglpat-[A-Za-z0-9_-]{20}\b",
    "a token of Slack": rb"\bxox[baprs]-[0-9]{10,}-[0-9A-Za-z-]{10,}",
    "a token of Hugging Face": rb"\bhf_[A-Za-z]{34}\b",
}
_PATTERNS = {what: re.compile(pattern) for what, pattern in _TEXTS.items()}


def refuse_secrets(files: Mapping[str, Path]) -> None:
    """ImageError that lists every file (path in the image -> place) that is or holds a secret."""
    found = [f"{path} ({why})" for path, place in sorted(files.items()) if (why := secret_in(path, place))]
    if found:
        raise ImageError(
            f"secrets would go into the image: {', '.join(found)}",
            hint="containers get them when they run, of a Kubernetes secret; leave the files out: --exclude",
        )


def secret_in(path: str, place: Path) -> str:
    """Why a file must not be in an image; empty when nothing speaks against it."""
    name = path.rpartition("/")[2]
    if not any(fnmatch(name.lower(), pattern) for pattern in _HARMLESS):
        if pattern := next((p for p in NAMES if fnmatch(name.lower(), p)), ""):
            return f"files called {pattern} hold secrets"
        if folder := next((part for part in path.split("/")[:-1] if part in FOLDERS), ""):
            return f"it lies in {folder}"
    data = place.read_bytes()
    return next((f"it holds {what}" for what, pattern in _PATTERNS.items() if pattern.search(data)), "")
