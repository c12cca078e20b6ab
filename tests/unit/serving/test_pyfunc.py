"""What Pusher registers with MLflow is loaded by MLflow, and answers as the model does. On demand."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tidemill.models import LoadedModel
from tidemill.types.standard import Model

PYTHON = os.environ.get("TIDEMILL_MLFLOW_PYTHON", "")
SCRIPT = """
import json, sys
from pathlib import Path
import mlflow, pandas, pyarrow.parquet as pq
from tidemill.components.pusher.executor import run
from tidemill.types.destination import MlflowRegistry
from tidemill.types.standard import Model, PushedModel

folder, model = Path(sys.argv[1]), Path(sys.argv[2])
uri = f"sqlite:///{folder}/mlflow.db"
mlflow.MlflowClient(tracking_uri=uri).create_experiment("tidemill", artifact_location=str(folder / "runs"))
out = PushedModel(path=folder / "out")
run(model=Model(path=model, uri=str(model)), pushed_model=out,
    destination=MlflowRegistry(name="taxi", tracking_uri=uri))
mlflow.set_tracking_uri(uri)
loaded = mlflow.pyfunc.load_model("models:/taxi@champion")
rows = pq.read_table(folder / "rows.parquet").to_pandas()
print("ANSWER" + json.dumps(loaded.predict(rows)["probability"].tolist()))
"""


@pytest.mark.skipif(not PYTHON, reason="TIDEMILL_MLFLOW_PYTHON names no interpreter with mlflow and tidemill")
def test_loaded_by_mlflow(model: Model, tmp_path: Path, make_rows: Any, loaded: LoadedModel) -> None:
    import pyarrow.parquet as pq

    rows = make_rows(20)
    pq.write_table(rows, tmp_path / "rows.parquet")
    (tmp_path / "out").mkdir()
    done = subprocess.run(
        [PYTHON, "-c", SCRIPT, str(tmp_path), str(model.path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("ANSWER")]
    assert json.loads(line.removeprefix("ANSWER")) == loaded.predict(rows)["probability"].tolist()
