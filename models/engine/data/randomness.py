"""Generators that depend on named numbers only, never on what was drawn before."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What the numbers are for; the same seed and epoch give each purpose its own stream."""

    ORDER = 1
    MULTI_SCALE = 2
    SAMPLE = 3


def generator(purpose: Purpose, seed: int, *numbers: int) -> np.random.Generator:
    """Return the generator of a purpose, a seed, and what else decides (epoch, index, ...).

    The count of numbers is part of the key: NumPy fills short keys up with zeros, so that
    (1, 2) and (1, 2, 0) would be the same stream.
    """
    return np.random.default_rng((purpose, len(numbers), seed, *numbers))
