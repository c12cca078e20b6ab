"""Every flavor: what is saved comes back, gives the library's own answers, and runs no code."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tidemill.errors import DataError
from tidemill.models import load_model
from tidemill.models.files import hash_files
from tidemill.models.manifest import FILE, read_manifest, write_manifest

TASKS = ("binary", "multiclass", "regression")


def lightgbm_model(task: str) -> Callable[[Any, Any], Any]:
    import lightgbm

    objective = {"binary": {"objective": "binary"}, "multiclass": {"objective": "multiclass", "num_class": 3}}
    params = {"verbosity": -1, "num_threads": 1, "deterministic": True, "seed": 0}
    params |= objective.get(task, {"objective": "regression"})
    return lambda x, y: lightgbm.train(params, lightgbm.Dataset(x, y), 5)


def xgboost_model(task: str) -> Callable[[Any, Any], Any]:
    import xgboost

    objective = {"binary": {"objective": "binary:logistic"},
                 "multiclass": {"objective": "multi:softprob", "num_class": 3}}  # fmt: skip
    params = {"nthread": 1, "seed": 0, **objective.get(task, {"objective": "reg:squarederror"})}
    return lambda x, y: xgboost.train(params, xgboost.DMatrix(x, y), 5)


def sklearn_model(task: str) -> Callable[[Any, Any], Any]:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    return lambda x, y: kind(max_iter=5, random_state=0).fit(x, y)


OWN: dict[str, Callable[[str, Any, Any], Any]] = {
    "lightgbm": lambda task, model, x: model.predict(x),
    "xgboost": lambda task, model, x: model.inplace_predict(x.astype(np.float32)),
    "sklearn": lambda task, model, x: model.predict(x) if task == "regression" else model.predict_proba(x),
}
MAKERS = {"lightgbm": lightgbm_model, "xgboost": xgboost_model, "sklearn": sklearn_model}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("flavor", MAKERS)
def test_a_saved_model_answers_as_the_library_does(ground: Any, flavor: str, task: str) -> None:
    kept: list[Any] = []

    def train(x: Any, y: Any) -> Any:
        kept.append(MAKERS[flavor](task)(x, y))
        return kept[0]

    folder = ground.save(train, task)
    model = load_model(folder)
    assert model.manifest.flavor == flavor
    assert model.signature.input_names == ["size", "kind"]
    found = model.predict(ground.raw)
    assert list(found) == model.signature.output_names
    expected = np.asarray(OWN[flavor](task, kept[0], ground.arrays(task)[0]), dtype=np.float64)
    match task:
        case "binary":
            expected = expected[:, 1] if expected.ndim == 2 else expected
            np.testing.assert_array_equal(found["probability"], expected)
            np.testing.assert_array_equal(found["prediction"], (expected >= 0.5).astype(int))
        case "multiclass":
            np.testing.assert_array_equal(found["probabilities"], expected)
            assert set(found["prediction"]) == {"a", "b", "c"}
        case _:
            np.testing.assert_array_equal(found["prediction"], expected)
    right = found["prediction"] == np.array(ground.raw.column(task).to_pylist())
    assert task == "regression" or right.mean() > 0.6  # it did learn something
    few = model.predict_rows(ground.raw.select(["size", "kind"]).slice(0, 7).to_pylist())
    for name, values in found.items():
        np.testing.assert_array_equal(few[name], values[:7])
    none = model.predict(ground.raw.slice(0, 0))
    assert {name: values.shape for name, values in none.items()} == {
        name: (0, *values.shape[1:]) for name, values in found.items()
    }


@pytest.mark.parametrize("flavor", MAKERS)
def test_equal_models_are_equal_bytes(ground: Any, flavor: str) -> None:
    folders = [ground.save(MAKERS[flavor]("binary"), "binary", name) for name in ("one", "two")]
    assert hash_files(folders[0]) == hash_files(folders[1])
    assert (folders[0] / FILE).read_bytes() == (folders[1] / FILE).read_bytes()


@pytest.mark.parametrize(
    "name",
    ["LogisticRegression", "RandomForestClassifier", "KNeighborsClassifier", "MLPClassifier", "GaussianNB",
     "SVC", "GradientBoostingClassifier", "AdaBoostClassifier", "SGDClassifier", "ExtraTreesClassifier",
     "DecisionTreeClassifier", "LinearSVC", "LinearDiscriminantAnalysis"],
)  # fmt: skip
def test_estimators_of_scikit_learn_come_back(ground: Any, name: str) -> None:
    from sklearn.utils import all_estimators

    kind = dict(all_estimators("classifier"))[name]
    small = {"max_iter": 500, "tol": 0.01} if name == "MLPClassifier" else {}
    wanted = {"n_estimators": 4, "random_state": 0, **small}
    settings = {key: value for key, value in wanted.items() if key in kind().get_params()}
    kept: list[Any] = []

    def train(x: Any, y: Any) -> Any:
        kept.append(kind(**settings).fit(x, y))
        return kept[0]

    found = load_model(ground.save(train, "binary")).predict(ground.raw)
    x, y = ground.arrays("binary")
    if hasattr(kept[0], "predict_proba"):
        np.testing.assert_array_equal(found["probability"], kept[0].predict_proba(x)[:, 1])
    else:
        np.testing.assert_array_equal(found["prediction"], kept[0].predict(x))
    assert (found["prediction"] == y).mean() > 0.55


def test_a_type_that_is_not_on_our_list_is_refused_when_saved_and_when_loaded(ground: Any) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import FunctionTransformer

    with pytest.raises(DataError, match="not trusted"):
        ground.save(lambda x, y: FunctionTransformer(len).fit(x), "regression", "refused")
    folder = ground.save(lambda x, y: LogisticRegression().fit(x, y), "binary")
    path = folder / "model.skops"
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(files["schema.json"])
    schema["__module__"], schema["__class__"] = "subprocess", "Popen"
    files["schema.json"] = json.dumps(schema).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    _accept(folder)
    with pytest.raises(DataError, match=r"not trusted: subprocess\.Popen"):
        load_model(folder)


def _accept(folder: Path) -> None:
    """Whoever can write the folder can write the hashes as well."""
    from dataclasses import replace

    write_manifest(folder, replace(read_manifest(folder), files=hash_files(folder)))


def test_onnx_answers_by_matrix(ground: Any) -> None:
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    kept: list[Any] = []

    def train(x: Any, y: Any) -> Any:
        kept.append(LogisticRegression().fit(x, y))
        return to_onnx(kept[0], x[:1].astype(np.float32), options={"zipmap": False}, target_opset=15)

    folder = ground.save(train, "binary")
    found = load_model(folder).predict(ground.raw)
    expected = kept[0].predict_proba(ground.arrays("binary")[0])[:, 1]
    np.testing.assert_allclose(found["probability"], expected, atol=1e-6)
    (folder / "model.onnx").write_bytes(b"no graph")
    _accept(folder)
    with pytest.raises(DataError, match="no ONNX graph"):
        load_model(folder)


BARE = """
import sys
from tidemill.models.flavors.bare import import_bare
ours = import_bare("lightgbm", "lightgbm")
assert "sklearn" not in sys.modules and "lightgbm" not in sys.modules
import numpy as np
rows, labels = np.random.default_rng(0).random((100, 2)), np.arange(100) % 2
booster = ours.train({"verbosity": -1, "num_threads": 1}, ours.Dataset(rows, labels), 2)
assert booster.predict(rows).shape == (100,)
import lightgbm
assert lightgbm is not ours
print(lightgbm.LGBMClassifier(n_estimators=2, verbosity=-1, n_jobs=1).fit(rows, labels).n_features_)
"""


def test_lightgbm_is_loaded_without_scikit_learn_and_stays_whole_for_others() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BARE], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr
