"""Random members of one image for the fusion tests: ties, duplicates, boxes outside the image."""

from __future__ import annotations

import contextlib
import io
import warnings

import numpy as np
from hypothesis import strategies as st

# A coarse grid makes equal boxes, overlaps of exactly the threshold and boxes without area
# common; a fine one makes everything else. Both reach outside [0, 1].
COARSE = st.integers(-1, 9).map(lambda n: n / 8)
FINE = st.floats(-0.25, 1.25, width=32)
COARSE_SCORES = st.integers(0, 4).map(lambda n: n / 4)
FINE_SCORES = st.floats(0, 1, width=32)


@st.composite
def one_member(draw, coordinates, scores, most=12):
    size = draw(st.integers(0, most))
    boxes = draw(
        st.lists(
            st.tuples(coordinates, coordinates, coordinates, coordinates),
            min_size=size,
            max_size=size,
        )
    )
    member_scores = draw(st.lists(scores, min_size=size, max_size=size))
    labels = draw(st.lists(st.integers(0, 2), min_size=size, max_size=size))
    return np.array(boxes).reshape(-1, 4), np.array(member_scores), np.array(labels, dtype=int)


@st.composite
def members(draw, most=4):
    """Lists of boxes, scores and labels as the reference package takes them."""
    coordinates = draw(st.sampled_from([COARSE, FINE]))
    scores = draw(st.sampled_from([COARSE_SCORES, FINE_SCORES]))
    found = draw(st.lists(one_member(coordinates, scores), min_size=1, max_size=most))
    if draw(st.booleans()):
        found.append(found[0])  # the same boxes again
    return tuple(list(column) for column in zip(*found, strict=True))


def random_members(rng, members=4, size=60, labels=2):
    """One crowded image: more boxes per label than any sort's special case for short lists."""
    centres = rng.uniform(0.1, 0.9, (6, 2))
    found = []
    for _ in range(members):
        middle = centres[rng.integers(0, len(centres), size)] + rng.normal(0, 0.03, (size, 2))
        half = rng.uniform(0.02, 0.15, (size, 2))
        boxes = np.concatenate([middle - half, middle + half], axis=1)
        scores = rng.integers(0, 20, size) / 20 if rng.random() < 0.5 else rng.random(size)
        found.append((boxes, scores, rng.integers(0, labels, size)))
    return tuple(list(column) for column in zip(*found, strict=True))


def quietly(function, *args, **kwargs):
    """Call the reference package on copies, without what it prints."""
    copies = [[np.array(array, copy=True) for array in column] for column in args]
    silence = contextlib.redirect_stdout(io.StringIO())
    with silence, warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return function(*copies, **kwargs)


def assert_same(ours, theirs):
    """Boxes, scores and labels agree to 1e-6, in the same order."""
    for name, mine, other in zip(("boxes", "scores", "labels"), ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=1e-6, err_msg=name)
    assert ours[2].dtype == np.int64
