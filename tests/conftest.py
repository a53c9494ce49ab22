"""Fixtures that every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from tests.builders.demo import Demo, make_demo

# A busy machine must not fail a property: hypothesis gives each example 0.2 s by default.
settings.register_profile("boxcamp", deadline=None)
settings.load_profile("boxcamp")

REPOSITORY = Path(__file__).resolve().parent.parent
REAL_DATA = REPOSITORY.parent / "shared" / "data"


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real annotations and submissions."""
    if not (REAL_DATA / "recycle_train.json.gz").is_file():
        pytest.skip("the real competition files are not beside the checkout (../shared/data)")
    return REAL_DATA


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Demo:
    """The state after a tiny `make submit` in a copy of the checkout; made once per test run."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    return make_demo(REPOSITORY, shared)
