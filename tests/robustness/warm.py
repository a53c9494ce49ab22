"""What a worker does once before it forks: import the kit and load its compiled kernels."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import pickle
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path

LIGHT = ("data_tools", "scoring", "ensemble", "submit", "experiments")
# Imported here, the children need not do it one by one.
LIBRARIES = ("numpy", "pandas", "polars", "pyarrow", "pyarrow.parquet", "PIL.Image", "cv2", "scipy")
REPOSITORY = str(Path(__file__).resolve().parents[2])
# Threads do not survive a fork, and one core per worker is what there is.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "COLUMNS": "100",
}


def use_one_thread() -> None:
    """Tell the libraries; call it before they are imported."""
    os.environ.update(ONE_THREAD)
    # For commands that start others.
    os.environ["PYTHONPATH"] = REPOSITORY


def import_kit(packages: Sequence[str] = LIGHT) -> None:
    """Import every module of the packages and the libraries under them."""
    for name in LIBRARIES:
        importlib.import_module(name)
    for package in packages:
        for module in pkgutil.walk_packages(
            importlib.import_module(package).__path__, f"{package}."
        ):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)


def learned() -> bytes:
    """Return what a command has prepared for itself: modules, and types that it checks files by."""
    from pydantic import TypeAdapter

    kinds = []
    for thing in gc.get_objects():
        if isinstance(thing, TypeAdapter):
            with contextlib.suppress(Exception):
                kinds.append(pickle.dumps(thing._type))
    return pickle.dumps((list(sys.modules), kinds))


def learn(content: bytes) -> None:
    """Prepare the same once for all children; what has no name to be found by is passed over."""
    from data_tools.ground.declared.checking import type_adapter

    names, kinds = pickle.loads(content)
    for name in names:
        if name not in sys.modules:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    for kind in kinds:
        with contextlib.suppress(Exception):
            type_adapter(pickle.loads(kind))


def settle() -> None:
    """Read what most commands read, and keep the collector of garbage away from all that exists.

    Children share it with their parent as long as nobody touches it.
    """
    from data_tools.predictions.formats.catalogue import load_formats

    load_formats()
    gc.collect()
    gc.freeze()


def load_kernels() -> None:
    """Load the machine code that numba has cached on disk, without running any of it."""
    from numba.core.dispatcher import Dispatcher

    for kernel in [entry for entry in gc.get_objects() if isinstance(entry, Dispatcher)]:
        # The index of cached signatures is no public part of numba: without it children load.
        with contextlib.suppress(Exception):
            for signature, *_ in kernel._cache._cache_file._load_index():
                kernel.compile(signature)
