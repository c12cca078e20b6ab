"""The token that a client shows to a metadata server. It comes from the environment, never from a URL.

A URL is printed, recorded and handed on as an argument that every user of a machine can read; the
environment of a process is not. Nothing here, nor what calls it, logs or prints a token.
"""

from __future__ import annotations

import hmac
import os

from tidemill.errors import StoreError

VARIABLE = "TIDEMILL_TOKEN"
FEWEST = 16
"""Characters that a server asks of its token: what is shorter can be guessed."""


def from_environment() -> str:
    """The token to show; "" when there is none. StoreError when it cannot be sent."""
    return check(os.environ.get(VARIABLE, "").strip(), whence=VARIABLE)


def shown(given: str) -> str:
    """The token to show where somebody was given one, else the environment's; see `from_environment`."""
    return check(given, whence="what was given") or from_environment()


def check(token: str, *, whence: str) -> str:
    """The token, when it can travel in a header. StoreError, without the token, else."""
    if not all("!" <= character <= "~" for character in token):
        raise StoreError(
            f"the token in {whence} has characters that a header cannot carry",
            hint="use letters, digits and -._~+/= alone",
        )
    return token


def header(token: str) -> str:
    """The value of the header `authorization`."""
    return f"Bearer {token}"


def matches(given: str, token: str) -> bool:
    """Whether the value of a header shows the token; how long this takes says nothing about it."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), header(token).encode())
