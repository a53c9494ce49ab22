"""Check a dataset before anything is trained on it: annotations, image files, overlaps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.coco.dataset import CocoDataset, read_coco
from data_tools.ground.errors import UserError
from data_tools.ground.findings import LEVELS, Finding, Level, of_level
from data_tools.pictures.facts import (
    ImageFacts,
    near_duplicates,
    read_image_facts,
    same_content,
)
from data_tools.pictures.orientation import UPRIGHT, is_annotated_as_shown

EXAMPLES = 5
# A box may pass its image's edge by this much: annotation tools round.
EDGE_TOLERANCE_PX = 1.0
# 16-bit values are read as value / 256: a picture below this is at most a quarter as bright as it
# could be. Cameras and scanners of 12 bits end at 4,095.
DARK_16_BIT = 2**14


@dataclass(frozen=True)
class Verification:
    """All findings, and how much was looked at."""

    files: tuple[str, ...]
    images: int
    boxes: int
    pixels_decoded: bool
    findings: tuple[Finding, ...]

    def count(self, level: Level) -> int:
        """Return the number of findings of a level."""
        return len(of_level(self.findings, level))

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON object."""
        counts = {level: self.count(level) for level in LEVELS if level != "ok"}
        return {"counts": counts, **asdict(self)}


def verify_dataset(
    coco_paths: Sequence[Path],
    image_root: Path,
    *,
    decode: bool = True,
    tick: Callable[[int], None] = lambda total: None,
) -> Verification:
    """Check annotation files and the images that they name.

    Args:
        coco_paths: files of one dataset, such as train.json and test.json; images that two of
            them share are reported.
        image_root: what `file_name` is relative to.
        decode: decode every pixel (needed for near-duplicates); otherwise read headers only.
        tick: called after each image with the number of all images.

    Raises:
        UserError: a file is missing or is no COCO file.
    """
    if not coco_paths:
        raise UserError("no annotation file to check", expected="at least one COCO file")
    datasets = [read_coco(path) for path in coco_paths]
    findings: list[Finding] = []
    facts: list[ImageFacts] = []
    owners: list[str] = []
    total = sum(len(dataset.images) for dataset in datasets)
    for path, dataset in zip(coco_paths, datasets, strict=True):
        mine = read_image_facts(
            image_root,
            dataset.file_names,
            pixels="all" if decode else "none",
            tick=lambda: tick(total),
        )
        findings += annotation_findings(dataset, path.name) + image_findings(
            dataset, mine, path.name
        )
        facts += mine
        owners += [path.name] * len(mine)
    return Verification(
        files=tuple(str(path) for path in coco_paths),
        images=len(facts),
        boxes=sum(len(dataset.annotations) for dataset in datasets),
        pixels_decoded=decode,
        findings=tuple([*findings, *duplicate_findings(facts, owners)]),
    )


def annotation_findings(dataset: CocoDataset, file: str) -> list[Finding]:
    """Return what is odd about the boxes and classes of one file."""
    sizes_wh = _image_sizes_of_boxes(dataset)
    outside = _outside(dataset.boxes_xyxy, sizes_wh)
    beyond = _over_the_edge(dataset.boxes_xyxy, sizes_wh) & ~outside
    boxes = [_box_text(dataset, row) for row in range(len(dataset.annotations))]
    is_truth = len(dataset.annotations) > 0
    crowds = boxes if is_truth and dataset.iscrowd.all() else []
    empty = [image["file_name"] for image in dataset.images if not _rows_of(dataset, image["id"])]
    used = set(dataset.labels.tolist())
    unused = [c["name"] for c in dataset.categories if c["id"] not in used]
    skipped = [f"{s.file_name}: id {s.annotation_id}, {s.reason}" for s in dataset.skipped]
    repeated = [boxes[row] for row in _repeated_boxes(dataset)]
    found = [
        _finding("warning", "boxes without area", "left out wherever boxes are read", skipped),
        _finding(
            "error",
            "boxes that are all crowds",
            "not one is left to train on, as where masks were exported with `iscrowd` 1",
            crowds,
        ),
        _finding("error", "boxes outside", "lie wholly outside their image", _at(boxes, outside)),
        _finding("warning", "boxes over the edge", "reach past their image", _at(boxes, beyond)),
        _finding("warning", "repeated boxes", "same image, class and corners as another", repeated),
        _finding(
            "warning", "classes without boxes", "cannot be learned", unused if is_truth else ()
        ),
        _finding("note", "images without boxes", "kept as negatives", empty if is_truth else ()),
    ]
    return _of_file(found, file)


def image_findings(dataset: CocoDataset, facts: Sequence[ImageFacts], file: str) -> list[Finding]:
    """Return what is wrong with the image files of one annotation file."""
    missing = [fact.file_name for fact in facts if fact.problem == "missing"]
    broken = [
        f"{fact.file_name}: {fact.problem}"
        for fact in facts
        if fact.problem not in (None, "missing")
    ]
    shown, sizes, turned = [], [], []
    for fact, (width, height) in zip(facts, dataset.sizes_wh.tolist(), strict=True):
        text = f"{fact.file_name}: {_size_text(fact)}, annotated {width} x {height}"
        if fact.size_wh is None:
            continue
        if is_annotated_as_shown((width, height), fact.size_wh, fact.orientation):
            shown.append(f"{text}, orientation {fact.orientation}")
        elif fact.size_wh != (width, height):
            sizes.append(text)
        elif fact.orientation != UPRIGHT:
            turned.append(f"{fact.file_name}: orientation {fact.orientation}")
    dark = [
        f"{fact.file_name}: brightest value {fact.brightest} of 65535"
        for fact in facts
        if fact.brightest is not None and fact.brightest < DARK_16_BIT
    ]
    found = [
        _finding("error", "missing images", "are not where `file_name` says", missing),
        _finding(
            "error",
            "broken images",
            "cannot be decoded whole; data_tools repair saves what decodes",
            broken,
        ),
        _finding("error", "wrong size", "differ from `width` and `height`", sizes),
        _finding(
            "error",
            "annotated as turned by EXIF",
            "their pixels are stored unturned; data_tools repair turns the pictures, while "
            "changing `width` and `height` would leave every box wrong",
            shown,
        ),
        _finding(
            "warning",
            "EXIF rotation",
            "are read as stored; if their boxes were drawn on the turned picture, data_tools "
            "repair --boxes shown turns the pixels, else it removes the mark",
            turned,
        ),
        _finding(
            "warning",
            "dark 16-bit images",
            "are read as value / 256, nearly black; --set window=[0,4095] in training spreads the "
            "values that are used",
            dark,
        ),
    ]
    return _of_file(found, file)


def _size_text(fact: ImageFacts) -> str:
    return "" if fact.size_wh is None else f"{fact.size_wh[0]} x {fact.size_wh[1]}"


def duplicate_findings(facts: Sequence[ImageFacts], owners: Sequence[str]) -> list[Finding]:
    """Return repeated pictures, apart within one file and across two (a leak when scored)."""
    equal = {pair for group in same_content(facts) for pair in _pairs(group)}
    alike = set(near_duplicates(facts)) - equal
    found = []
    for kind, pairs in (("equal files", equal), ("near-duplicates", alike)):
        within = [pair for pair in sorted(pairs) if owners[pair[0]] == owners[pair[1]]]
        across = [pair for pair in sorted(pairs) if owners[pair[0]] != owners[pair[1]]]
        what = "are the same picture twice" if kind == "equal files" else "look the same"
        for scope, chosen in (("within one file", within), ("across files", across)):
            texts = [f"{facts[i].file_name} = {facts[j].file_name}" for i, j in chosen]
            found.append(_finding("warning", f"{kind} {scope}", what, texts))
    return _of_file(found, " + ".join(dict.fromkeys(owners)))


def _finding(level: Level, check: str, message: str, cases: Iterable[str]) -> Finding:
    cases = list(cases)
    return Finding(level, check, message, len(cases), tuple(cases[:EXAMPLES]))


def _of_file(findings: Iterable[Finding], file: str) -> list[Finding]:
    return [replace(finding, file=file) for finding in findings if finding.count]


def _image_sizes_of_boxes(dataset: CocoDataset) -> np.ndarray:
    index = [dataset.index_of_image_id[i] for i in dataset.annotation_image_ids.tolist()]
    return dataset.sizes_wh[np.array(index, dtype=np.int64)]


def _outside(boxes_xyxy: np.ndarray, sizes_wh: np.ndarray) -> np.ndarray:
    """Return an (N,) mask of the boxes that share no pixel with their image."""
    before = np.any(boxes_xyxy[:, 2:] <= 0, axis=1)
    return before | np.any(boxes_xyxy[:, :2] >= sizes_wh, axis=1)


def _over_the_edge(boxes_xyxy: np.ndarray, sizes_wh: np.ndarray) -> np.ndarray:
    """Return an (N,) mask of the boxes that pass an edge by more than rounding explains."""
    before = np.any(boxes_xyxy[:, :2] < -EDGE_TOLERANCE_PX, axis=1)
    return before | np.any(boxes_xyxy[:, 2:] > sizes_wh + EDGE_TOLERANCE_PX, axis=1)


def _repeated_boxes(dataset: CocoDataset) -> list[int]:
    """Return the rows that repeat an earlier row."""
    seen: set[tuple[Any, ...]] = set()
    repeated = []
    for row, box in enumerate(dataset.annotations):
        key = (box["image_id"], box["category_id"], *box["bbox"])
        if key in seen:
            repeated.append(row)
        seen.add(key)
    return repeated


def _rows_of(dataset: CocoDataset, image_id: int) -> list[int]:
    return dataset.annotation_rows_of_image_id[image_id]


def _box_text(dataset: CocoDataset, row: int) -> str:
    box = dataset.annotations[row]
    name = dataset.images[dataset.index_of_image_id[box["image_id"]]]["file_name"]
    return f"{name}: id {box['id']}, bbox {box['bbox']}"


def _at(texts: Sequence[str], mask: np.ndarray) -> list[str]:
    return [texts[row] for row in np.flatnonzero(mask)]


def _pairs(group: Sequence[int]) -> list[tuple[int, int]]:
    return [(first, second) for k, first in enumerate(group) for second in group[k + 1 :]]
