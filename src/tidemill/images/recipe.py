"""What an image of a pipeline holds, and how it is laid out, whichever way it is made.

    /opt/tidemill/code    the user's modules, as the compiler finds them
    /opt/tidemill/site    tidemill and the packages
    /opt/tidemill/home    HOME: anybody may write there, whatever number the user has
    /opt/tidemill/work    the working directory, likewise

Kubernetes runs containers as users that no image knows, sometimes with group 0 and sometimes without; so
what is to be written is open to all, with the sticky bit, as a temporary folder is, and the rest to nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tidemill.images.lock import Lock
from tidemill.images.manifest import Platform
from tidemill.images.sources import SourceFile
from tidemill.types.json import digest

HOME = "/opt/tidemill"
CODE = f"{HOME}/code"
SITE = f"{HOME}/site"
USER_HOME = f"{HOME}/home"
WORK = f"{HOME}/work"
OPEN_MODE = 0o1777
"""Of folders that anybody may write to."""
USER = "1000:0"
"""A user that is not root, in the group that platforms with random users give them."""
COMMAND = ("python", "-m", "tidemill.runners.kubeflow.entry")
"""What runs when nothing else is said; whoever runs a task says it all the same."""
PATH_VARIABLE = "PYTHONPATH"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that decides what an image is."""

    name: str
    """Of the pipeline."""
    base: str
    """Image to start from."""
    python: str
    """Minor version that the base has: `3.12`."""
    platform: Platform
    code: tuple[SourceFile, ...]
    lock: Lock
    own: str
    """Digest of tidemill itself, and its version: `0.1.0 1f2e...`."""

    @property
    def code_digest(self) -> str:
        """Digest of the user's code, in hex."""
        return digest([[file.path, file.executable, file.digest()] for file in self.code])

    @property
    def labels(self) -> dict[str, str]:
        """What the image says of itself.

        The pipeline version is not among them: equal code and packages must give the same image, or each
        change of an option would run everything anew, since the image's digest is part of the cache key.
        """
        return {
            "tidemill.pipeline": self.name,
            "tidemill.code": self.code_digest,
            "tidemill.packages": self.lock.digest,
            "tidemill.release": self.own,
        }

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the image, without what the base may have on its own path."""
        return {
            "HOME": USER_HOME,
            # Asked for the user's name, Python looks here first: a random number has no name.
            "USER": "tidemill",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            PATH_VARIABLE: f"{CODE}:{SITE}",
            "TIDEMILL_CODE_ROOT": CODE,
        }


def with_path(environment: Mapping[str, str], base: Mapping[str, str]) -> dict[str, str]:
    """The variables, with what the base has on its Python path after our own."""
    further = base.get(PATH_VARIABLE, "")
    path = environment[PATH_VARIABLE] + (f":{further}" if further else "")
    return {**environment, PATH_VARIABLE: path}
