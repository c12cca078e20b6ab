"""A model as a version of a registered model in MLflow, and an alias that points to it.

The version is a pyfunc whose loader is tidemill's own module, so no code is stored with it: whoever loads
it has tidemill installed. The one file that knows MLflow's client; it is imported when it is needed.
"""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tidemill import __version__
from tidemill.errors import DataError, PermanentError, TidemillError, TransientError
from tidemill.storage.manifest import survey
from tidemill.types.destination import MlflowRegistry
from tidemill.types.standard import Model

LOADER = "tidemill.serving.pyfunc"
DIGEST, AS_OF, URI = "tidemill.digest", "tidemill.as_of", "tidemill.uri"
"""Tags of a version."""
_PASSING = {"TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "INTERNAL_ERROR", "DEADLINE_EXCEEDED"}


def register(place: MlflowRegistry, model: Model, *, as_of: str, force: bool) -> tuple[str, str, str]:
    """Register the model unless its bytes are a version already, and move the alias.

    The alias stays where it is when its version has data of a newer date, unless `force`. Version, URI and
    reason for the record. PermanentError without MLflow or when it says no, TransientError when it cannot
    be reached.
    """
    if not place.name:
        raise DataError("the MLflow destination has no name", hint='set name="taxi" or another')
    if "@" in urlsplit(place.tracking_uri).netloc:
        raise DataError(
            "tracking_uri must not carry a password",
            hint="set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD where the node runs",
        )
    mlflow = _mlflow()
    try:
        client = mlflow.MlflowClient(tracking_uri=place.tracking_uri or None)
        return _register(mlflow, client, place, model, as_of, force)
    except TidemillError:
        raise
    except mlflow.exceptions.MlflowException as error:
        code = str(getattr(error, "error_code", ""))
        kind = TransientError if code in _PASSING else PermanentError
        raise kind(f"MLflow refused: {error} ({code})") from error
    except OSError as error:
        raise TransientError(f"MLflow cannot be reached: {error}") from error


def _mlflow() -> Any:
    try:
        importlib.import_module("mlflow.pyfunc")
        return importlib.import_module("mlflow")
    except ImportError as error:
        raise PermanentError(
            f"pushing to MLflow needs the Python module {error.name}", hint="install tidemill[mlflow]"
        ) from error


def _register(
    mlflow: Any, client: Any, place: MlflowRegistry, model: Model, as_of: str, force: bool
) -> tuple[str, str, str]:
    digest = survey(model.path).digest
    _ensure_registered(mlflow, client, place.name)
    found = list(client.search_model_versions(f"name='{_quoted(place.name)}'"))
    same = [v for v in found if v.tags.get(DIGEST) == digest]
    version = max(same, key=lambda v: int(v.version)) if same else None
    what = f"these bytes are version {version.version} already: it" if version else ""
    if version is None:
        version = _new_version(mlflow, client, place, model, digest, as_of)
        what = f"version {version.version}"
    elif as_of > version.tags.get(AS_OF, ""):
        client.set_model_version_tag(place.name, version.version, AS_OF, as_of)
    name, uri = str(version.version), f"models:/{place.name}/{version.version}"
    if not place.alias:
        return name, uri, f"{what} is registered"
    old = _at_alias(mlflow, client, place)
    then = old.tags.get(AS_OF, "") if old is not None else ""
    if old is not None and as_of and as_of < then and not force:
        why = f"its data is of {then}, after {as_of}"
        return name, uri, f"{what} is kept, but {place.alias} stays at version {old.version}: {why}"
    client.set_registered_model_alias(place.name, place.alias, version.version)
    return name, uri, f"{what} is {place.alias}"


def _ensure_registered(mlflow: Any, client: Any, name: str) -> None:
    try:
        client.create_registered_model(name)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _at_alias(mlflow: Any, client: Any, place: MlflowRegistry) -> Any:
    """The version that the alias points to; None for no such alias."""
    try:
        return client.get_model_version_by_alias(place.name, place.alias)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _new_version(
    mlflow: Any, client: Any, place: MlflowRegistry, model: Model, digest: str, as_of: str
) -> Any:
    experiment = client.get_experiment_by_name(place.experiment)
    id = experiment.experiment_id if experiment else client.create_experiment(place.experiment)
    tags = {DIGEST: digest, URI: model.uri, **({AS_OF: as_of} if as_of else {}), **dict(place.tags)}
    run = client.create_run(id, tags=tags)
    try:
        with tempfile.TemporaryDirectory() as folder:
            packed = Path(folder) / "model"
            mlflow.pyfunc.save_model(
                path=str(packed), loader_module=LOADER, data_path=str(model.path),
                pip_requirements=[f"tidemill[data]=={__version__}"], metadata={DIGEST: digest},
            )  # fmt: skip
            client.log_artifacts(run.info.run_id, str(packed), "model")
    except BaseException:
        client.set_terminated(run.info.run_id, "FAILED")
        raise
    client.set_terminated(run.info.run_id)
    return client.create_model_version(
        place.name, source=f"runs:/{run.info.run_id}/model", run_id=run.info.run_id, tags=tags
    )


def _quoted(name: str) -> str:
    if "'" in name:
        raise DataError(f"the name {name!r} has a quote in it, for which MLflow has no form")
    return name
