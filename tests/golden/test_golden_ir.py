"""What each pipeline in `pipelines/` compiles to. A changed golden file is a change users will see."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.ir import codec
from tidemill.ir.model import PipelineIR

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in (HERE / "pipelines").glob("*.py"))


def compiled(name: str) -> PipelineIR:
    found, root = load_pipeline(str(HERE / "pipelines" / f"{name}.py"))
    assert root == HERE / "pipelines"
    return compile_pipeline(found)


def without_digests(ir: PipelineIR) -> PipelineIR:
    """Code digests change with every line of the examples; the goldens pin definitions only."""
    assert all(len(digest) == 32 for digest in ir.code.values())
    return dataclasses.replace(ir, code=dict.fromkeys(ir.code, "(digest)"))


@pytest.mark.parametrize("name", NAMES)
def test_the_definition_compiles_to_the_golden_ir(name: str, update_goldens: bool) -> None:
    golden = HERE / "ir" / f"{name}.json"
    text = codec.dumps(without_digests(compiled(name)))
    if update_goldens:
        golden.write_text(text, encoding="utf-8")
    assert golden.is_file(), f"{golden.name} is missing; `make goldens` writes it"
    assert golden.read_text(encoding="utf-8") == text
    assert codec.loads(text) == without_digests(compiled(name))


def test_every_golden_has_its_pipeline(update_goldens: bool) -> None:
    extra = sorted({path.stem for path in (HERE / "ir").iterdir()} - set(NAMES))
    if update_goldens:
        for name in extra:
            (HERE / "ir" / f"{name}.json").unlink()
    assert update_goldens or extra == []


@pytest.mark.parametrize("name", NAMES)
def test_compiling_twice_gives_the_same_ir(name: str) -> None:
    found, _ = load_pipeline(str(HERE / "pipelines" / f"{name}.py"))
    first = compile_pipeline(found)
    assert compile_pipeline(found) == first
    assert codec.version(compile_pipeline(found)) == codec.version(first)


VERSIONS = """
import json, sys
from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.ir import codec
irs = {f: compile_pipeline(load_pipeline(f)[0]) for f in sys.argv[1:]}
print(json.dumps([[codec.version(ir), codec.dumps(ir)] for ir in irs.values()]))
"""


def versions(folder: Path, seed: str, cwd: Path) -> dict[str, list[str]]:
    """Version and text of each pipeline, compiled in a process of its own."""
    command = [sys.executable, "-c", VERSIONS, *(str(folder / f"{name}.py") for name in NAMES)]
    env = {**os.environ, "PYTHONHASHSEED": seed}
    done = subprocess.run(command, cwd=cwd, env=env, check=True, capture_output=True, timeout=120)
    return dict(zip(NAMES, json.loads(done.stdout), strict=True))


def test_versions_do_not_depend_on_the_process_the_hash_seed_or_the_folder(tmp_path: Path) -> None:
    shutil.copytree(HERE / "pipelines", tmp_path / "else where")
    one = versions(HERE / "pipelines", "1", cwd=HERE)
    other = versions(tmp_path / "else where", "2", cwd=tmp_path)
    assert one == other
    assert len({version for version, _ in one.values()}) == len(NAMES)
    here = compiled(NAMES[0])
    assert one[NAMES[0]] == [codec.version(here), codec.dumps(here)]
    for version, text in one.values():
        assert codec.version(codec.loads(text)) == version
