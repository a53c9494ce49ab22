"""A tiny run of `make submit` in a copy of the checkout, for tests that need its results."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

# Real models, options and files, only few and small: it has to fit into a test run on two cores.
TINY_SAMPLE = "--train-images 60 --test-images 12 --size 128"
TINY_TRAINING = "--epochs 1 --batch 8 --set image_size_wh=[96,96] --set repeat=1"
TINY_ENVIRONMENT = {
    "SAMPLE_FLAGS": TINY_SAMPLE,
    "TRAIN_FLAGS": TINY_TRAINING,
    # A model trained for seconds is sure of nothing: no box reaches .5.
    "PSEUDO_FLAGS": "--match-density",
    "PYTHONUNBUFFERED": "1",
    "COLUMNS": "120",
}


@dataclass(frozen=True)
class Demo:
    """Outcome of the tiny demo: where it ran, and what its first and second call printed."""

    root: Path
    first_output: str
    second_output: str

    def copy_to(self, folder: Path) -> Path:
        """Copy the whole workspace, so that a test may change it."""
        shutil.copytree(self.root, folder, symlinks=True)
        return folder


def run_in(
    root: Path, *command: str, environment: dict[str, str] | None = None, timeout_s: float = 600
) -> subprocess.CompletedProcess[str]:
    """Run a command as a user would in a clone, tiny settings in the environment."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.run(
        command,
        cwd=root,
        env={**inherited, **TINY_ENVIRONMENT, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def copy_checkout(repository: Path, root: Path) -> None:
    """Copy what a clone would hold, changes included, and link the environment."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source, target = repository / name, root / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    (root / ".venv").symlink_to(repository / ".venv")


def make_demo(repository: Path, shared: Path) -> Demo:
    """Run `make submit` twice in a folder with a space in its name; other workers wait for it."""
    record, root = shared / "demo.json", shared / "box camp demo"
    with FileLock(shared / "demo.lock"):
        if not record.exists():
            copy_checkout(repository, root)
            outputs = []
            for _ in range(2):
                done = run_in(root, "make", "submit")
                outputs.append(done.stdout + done.stderr)
                if done.returncode:
                    raise RuntimeError(f"make submit ended with {done.returncode}:\n{outputs[-1]}")
            # Documentation and --help speak of data/; without it the demo used sample/.
            (root / "data").symlink_to("sample")
            record.write_text(json.dumps(outputs))
    return Demo(root, *json.loads(record.read_text()))
