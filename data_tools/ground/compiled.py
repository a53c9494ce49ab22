"""How the kernels are compiled: without the GIL, cached on disk where that is possible.

Numba looks for changes only in the file of the function that it cached. Each kernel file therefore
calls no compiled function of another file: an edit can never run together with stale machine code.

Kernels are plain loops over scalars: every NumPy call inside one (`argsort`, `searchsorted`, fancy
indexing) adds a second or more to the first compilation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
# Nobody calls a part from outside the kernels, so it needs no way in.
_PART_OPTIONS: dict[str, Any] = {**_OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a kernel to machine code on its first call.

    The code is cached beside the source, or in the user's cache folder when the installation is
    read-only. Where neither can be written it is compiled anew in each process.
    """
    try:
        return numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # numba's answer when no folder for the cache can be written
        return numba.njit(**_OPTIONS)(function)


def compiled_part(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that only kernels of the same file call; it is cached within them."""
    return numba.njit(**_PART_OPTIONS)(function)
