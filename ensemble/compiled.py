"""How the kernels are compiled: without the GIL, cached on disk where that is possible.

Numba looks for changes only in the file of the function that it cached. Each kernel file therefore
calls no compiled function of another file: an edit can never run together with stale machine code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function to machine code on its first call.

    The code is cached beside the source, or in the user's cache folder when the installation is
    read-only. Where neither can be written it is compiled anew in each process.
    """
    options = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # numba's answer when no folder for the cache can be written
        return numba.njit(**options)(function)
