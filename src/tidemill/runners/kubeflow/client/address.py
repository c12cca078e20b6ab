"""Where KFP's API server is, whom it is shown, and how long it may take. No secret is ever part of a URL."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tidemill.errors import RunnerError
from tidemill.metadata.masking import masked

URL, TOKEN, TOKEN_FILE = "TIDEMILL_KUBEFLOW", "TIDEMILL_KUBEFLOW_TOKEN", "TIDEMILL_KUBEFLOW_TOKEN_FILE"
"""Environment variables: the server, and either the token to show or the file that holds it."""
KFP_URL, KFP_TOKEN_FILE = "KF_PIPELINES_ENDPOINT", "KF_PIPELINES_SA_TOKEN_PATH"
"""The variables by which KFP's own SDK finds its server, and a service account's token inside a cluster."""
MOUNTED_TOKEN = "/var/run/secrets/kubeflow/pipelines/token"
"""Where KFP's documentation has the projected token of a service account mounted."""
_FORM = "https://HOST[:PORT][/PATH]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """An API server.

    url: with what a gateway puts before `/apis`, such as `https://kubeflow.example/pipeline`.
    token_file: read before every request, since Kubernetes replaces such tokens every hour.
    ca: file, PEM, to trust instead of the system's. namespace: of a multi-user installation.
    seconds: that a connection may take, and an answer.
    """

    url: str
    token: str = ""
    token_file: str = ""
    ca: str = ""
    namespace: str = ""
    seconds: float = 30.0

    def __post_init__(self) -> None:
        url = self.url
        try:
            parts = urlsplit(url)
            fits = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
        except ValueError:
            fits = False
        if "@" in url.partition("?")[0]:
            raise RunnerError(
                f"the address of a Kubeflow Pipelines server holds no password: {masked(url)}",
                hint=f"write {_FORM}, and set {TOKEN_FILE} to the file with the token",
            )
        if not fits or parts.query or parts.fragment:
            raise RunnerError(
                f"{masked(url)!r} is no address of a Kubeflow Pipelines server",
                hint=f"--server {_FORM}, or set {URL}",
            )
        if self.ca and parts.scheme != "https":
            raise RunnerError("a certificate authority needs TLS", where=masked(url), hint="write https://")

    def __repr__(self) -> str:
        return f"Server({self.url!r}, namespace={self.namespace!r})"

    def headers(self) -> dict[str, str]:
        """What shows who asks: `authorization`, or nothing. RunnerError when the token cannot be had."""
        token = self.token
        if self.token_file:
            try:
                token = Path(self.token_file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                why = getattr(error, "strerror", None) or "it is no text"
                raise RunnerError(f"the token file cannot be read: {why}", where=self.token_file) from None
        if not all("!" <= character <= "~" for character in token):
            raise RunnerError(
                "the token has characters that a header cannot carry",
                where=self.token_file or TOKEN,
                hint="the file holds the token alone: letters, digits and -._~+/=",
            )
        return {"authorization": f"Bearer {token}"} if token else {}

    def tls(self) -> ssl.SSLContext | None:
        """How the server proves what it is; None for plain HTTP."""
        if not self.url.startswith("https:"):
            return None
        try:
            return ssl.create_default_context(cafile=self.ca or None)
        except (OSError, ssl.SSLError) as error:
            raise RunnerError(f"the certificate authority cannot be read: {error}", where=self.ca) from None


def server_from(
    url: str = "", *, token_file: str = "", ca: str = "", namespace: str = "", seconds: float = 30.0,
    environment: Mapping[str, str] = os.environ,
) -> Server:  # fmt: skip
    """The server that arguments and environment name; what is given counts more than what is set.

    RunnerError where neither names one.
    """
    found = url or environment.get(URL, "") or environment.get(KFP_URL, "")
    if not found:
        raise RunnerError(
            "no Kubeflow Pipelines server is named",
            hint=f"--server {_FORM}, or set {URL}; from outside of a cluster: "
            "kubectl port-forward -n kubeflow svc/ml-pipeline 8888",
        )
    token = "" if token_file else environment.get(TOKEN, "").strip()
    file = token_file or ("" if token else environment.get(TOKEN_FILE) or environment.get(KFP_TOKEN_FILE, ""))
    if not token and not file and Path(MOUNTED_TOKEN).is_file():
        file = MOUNTED_TOKEN
    return Server(
        url=found.rstrip("/"), token=token, token_file=file, ca=ca, namespace=namespace, seconds=seconds
    )
