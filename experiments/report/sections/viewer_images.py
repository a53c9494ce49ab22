"""Which images the box viewers show, and as many of them as the page has room for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from data_tools.coco.dataset import CocoDataset
from experiments.report.gathered.fused_sources import read_fused_sources
from experiments.report.gathered.gather import Material, ScoredPredictions
from experiments.report.sections.viewer import (
    most_changed_image_ids,
    picture_of,
    viewer_images,
    worst_image_ids,
)


def viewer_section(
    material: Material,
    best: ScoredPredictions,
    truth: CocoDataset,
    count: int,
    threshold: float,
    room: int,
    notes: list[str],
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, dict[str, Any]]]:
    """Return the viewers' images and the pictures that they share.

    Args:
        material: with the scored predictions.
        best: the best predictions.
        truth: validation images with their boxes.
        count: images in the viewer of the worst; the fusion's has half as many.
        threshold: score at which errors of the best predictions are counted.
        room: bytes that pictures and boxes may take together.
        notes: receives what was left out.
    """
    worst = worst_image_ids(best, threshold, count)
    changed, sources = [], None
    if material.fusion is not None and material.members:
        sources = read_fused_sources(material.fusion, material.members, notes)
        strongest = material.members[0]
        cuts = (strongest.best_f1_threshold, material.fusion.best_f1_threshold)
        changed = most_changed_image_ids(strongest, material.fusion, cuts, (count + 1) // 2)
    viewers = {
        "worst": viewer_images(material, best, truth, worst, sources),
        "fusion": viewer_images(material, best, truth, changed, sources),
    }
    pictures = _pictures_that_fit(
        truth, material.data_root, viewers, in_turn(worst, changed), room, notes
    )
    shown = {
        name: [image for image in images if str(image["id"]) in pictures]
        for name, images in viewers.items()
    }
    return shown, pictures


def in_turn(first: Sequence[int], second: Sequence[int]) -> list[int]:
    """Return both lists' items alternately, each once: neither viewer starves the other."""
    pairs = zip_longest(first, second)
    return list(dict.fromkeys(item for item in chain.from_iterable(pairs) if item is not None))


def _pictures_that_fit(
    truth: CocoDataset,
    data_root: Path,
    viewers: dict[str, list[dict[str, Any]]],
    image_ids: Sequence[int],
    room: int,
    notes: list[str],
) -> dict[str, dict[str, Any]]:
    size_of_boxes: dict[int, int] = {}
    for image in chain.from_iterable(viewers.values()):
        size_of_boxes[image["id"]] = size_of_boxes.get(image["id"], 0) + len(json.dumps(image))
    pictures, used, unreadable = {}, 0, 0
    for place, image_id in enumerate(image_ids):
        picture = picture_of(truth, data_root, image_id)
        if picture is None:
            unreadable += 1
            continue
        used += len(picture["uri"]) + size_of_boxes[image_id]
        if used > room:
            left = len(image_ids) - place
            notes.append(f"{left} pictures left out, so that the page stays under 20 MB")
            break
        pictures[str(image_id)] = picture
    if unreadable:
        notes.append(f"{unreadable} pictures could not be read under {data_root}")
    return pictures
