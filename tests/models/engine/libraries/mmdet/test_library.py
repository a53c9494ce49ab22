"""The one door to mmdet: whatever is imported first, the operators are there before mmdet is."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from models.engine.ops.mmcv_extension import is_substituted

REPOSITORY = Path(__file__).resolve().parents[5]
FOLDER = Path("models/engine/libraries/mmdet")
MODULES = sorted(file.stem for file in (REPOSITORY / FOLDER).glob("[!_]*.py"))

# A fresh process: in this one mmdet may be imported already.
CODE = """
import sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("mmcv.ops", "mmdet"):
            seen.append((name, "mmcv._ext" in sys.modules))

seen = []
sys.meta_path.insert(0, Watch())
import models.engine.libraries.mmdet.{module}
print(seen)
"""


def run(code: str) -> str:
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_operators_are_in_place_before_mmdet_is_imported(module: str) -> None:
    seen = dict(ast.literal_eval(run(CODE.format(module=module))))
    assert all(seen.values())
    if module in ("library", "build", "detector"):
        assert set(seen) == {"mmcv.ops", "mmdet"}


def test_without_the_door_mmdet_cannot_be_imported() -> None:
    if importlib.util.find_spec("mmcv._ext") is not None and not is_substituted():
        pytest.skip("mmcv has its compiled operators here")
    done = subprocess.run(
        [sys.executable, "-c", "import mmdet.models"], capture_output=True, text=True, check=False
    )
    assert "No module named 'mmcv._ext'" in done.stderr
