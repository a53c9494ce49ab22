"""Fixtures that every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

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
