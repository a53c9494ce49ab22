"""Draw the sample dataset into a data root: pictures, annotations, and the marker that says so."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from data_tools.ground.declared.checking import EXACT, OPEN, read_declared
from data_tools.ground.errors import UserError
from data_tools.ground.files import write_json
from data_tools.ground.paths import DataPaths
from data_tools.ground.version import VERSION
from data_tools.ground.whole.staging import is_unfinished, staged_files
from data_tools.sample.layout import CLASS_NAMES, draw_layout
from data_tools.sample.scene import Scene, render_scene

JPEG_QUALITY = 92
SPLITS = ("train", "test")


@dataclass(frozen=True)
class SampleParameters:
    """What determines every byte of the sample (with the versions of NumPy and OpenCV).

    Attributes:
        train_images: scenes with truth in `train.json`.
        test_images: scenes without; their truth is kept in `hidden/`.
        size: side of the pictures in pixels.
        seed: random seed.
    """

    __pydantic_config__ = EXACT

    train_images: int = 560
    test_images: int = 160
    size: int = 320
    seed: int = 411


@dataclass(frozen=True)
class SampleMarker:
    """What `sample.json` says: the parameters that the sample was drawn with."""

    __pydantic_config__ = OPEN

    parameters: SampleParameters


def write_sample(
    root: Path, parameters: SampleParameters, *, overwrite: bool = False, tick: Callable[[], None]
) -> str:
    """Draw the sample into `root`, all of it or nothing.

    Args:
        root: data root; it may hold an older sample, but never someone's own data.
        parameters: what to draw.
        overwrite: replace a sample that was drawn with other parameters.
        tick: called after each picture.

    Returns:
        "drawn", or "kept" when the same sample is already there.

    Raises:
        UserError: the folder holds other data, or another sample and `overwrite` is not set.
    """
    _check_parameters(parameters)
    if _already_there(root, parameters, overwrite):
        return "kept"
    marker = DataPaths(root).sample_marker.name
    older = list(_older_pictures(root, parameters))
    with staged_files(root, marker=marker, obsolete=older) as stage:
        paths = DataPaths(stage)
        images_of_split = (parameters.train_images, parameters.test_images)
        for split, images in zip(SPLITS, images_of_split, strict=True):
            truth = _draw_split(stage, split, images, parameters, tick)
            if split == "train":
                write_json(paths.train_json, truth, indent=None)
            else:
                write_json(paths.hidden_test_json, truth, indent=None)
                write_json(paths.test_json, {**truth, "annotations": []}, indent=None)
        write_json(paths.sample_marker, _marker(parameters))
    return "drawn"


def _picture_name(split: str, image_id: int) -> str:
    return f"{split}/{image_id:04d}.jpg"


def _older_pictures(root: Path, parameters: SampleParameters) -> Iterator[Path]:
    """Yield the pictures that a larger sample left behind in this folder."""
    images_of_split = (parameters.train_images, parameters.test_images)
    for split, image_id in zip(SPLITS, images_of_split, strict=True):
        while (left_over := root / _picture_name(split, image_id)).is_file():
            yield left_over
            image_id += 1


def _check_parameters(parameters: SampleParameters) -> None:
    limits = {"train_images": (1, 100_000), "test_images": (1, 100_000), "size": (64, 4096)}
    for name, (lowest, highest) in limits.items():
        value = getattr(parameters, name)
        if not lowest <= value <= highest:
            option = "--" + name.replace("_", "-")
            raise UserError(f"{option} is {value}", expected=f"{lowest} to {highest}")
    if parameters.seed < 0:
        raise UserError(f"--seed is {parameters.seed}", expected="a whole number from 0 on")


def _already_there(root: Path, parameters: SampleParameters, overwrite: bool) -> bool:
    paths = DataPaths(root)
    if not paths.sample_marker.exists():
        if is_unfinished(root):  # a sample whose drawing was killed: nobody else moves sets here
            return False
        if paths.train_json.exists() or paths.test_json.exists():
            raise UserError(
                "the folder holds a dataset that is not the sample",
                where=root,
                expected="an empty folder, or one that holds an older sample",
                next_step="choose another folder with --out",
            )
        return False
    if overwrite:
        return False
    there = read_declared(
        paths.sample_marker,
        SampleMarker,
        what="the sample's marker",
        next_step="add --overwrite to draw the sample again, or choose another folder with --out",
    ).parameters
    if there != parameters:
        raise UserError(
            f"the folder holds a sample drawn with other parameters: {json.dumps(asdict(there))}",
            where=paths.sample_marker,
            expected=json.dumps(asdict(parameters)),
            next_step="add --overwrite to replace it, or choose another folder with --out",
        )
    return True


def _marker(parameters: SampleParameters) -> dict[str, Any]:
    versions = {"boxcamp": VERSION, "numpy": np.__version__, "opencv": cv2.__version__}
    return {"parameters": asdict(parameters), "versions": versions}


def _draw_split(
    stage: Path, split: str, images: int, parameters: SampleParameters, tick: Callable[[], None]
) -> dict[str, Any]:
    """Draw the pictures of one split and return their truth as a COCO object."""
    (stage / split).mkdir()
    stream = SPLITS.index(split)
    layout = draw_layout(images, np.random.default_rng([parameters.seed, stream]))
    rows: list[dict[str, Any]] = []
    entries: list[dict[str, Any]] = []
    for image_id in range(images):
        mine = layout.image_index == image_id
        # Each picture has its own random stream: picture 17 is the same however many there are
        # before it is drawn, and pictures could be drawn in any order.
        rng = np.random.default_rng([parameters.seed, stream, image_id])
        scene = render_scene(layout.labels[mine], layout.sizes_wh[mine], parameters.size, rng)
        name = _picture_name(split, image_id)
        (stage / name).write_bytes(_as_jpeg(scene.picture))
        side = parameters.size
        entries.append({"id": image_id, "file_name": name, "width": side, "height": side})
        rows += _annotations(scene, image_id, first_id=len(rows) + 1)
        tick()
    return _coco_object(entries, rows)


def _as_jpeg(picture: np.ndarray) -> bytes:
    # Encoded in memory: `cv2.imwrite` returns False on a full disk where writing bytes raises.
    encoded, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not encoded:
        raise RuntimeError("OpenCV could not encode a JPEG")
    return data.tobytes()


def _annotations(scene: Scene, image_id: int, first_id: int) -> list[dict[str, Any]]:
    rows = []
    for offset, (corners, label) in enumerate(
        zip(scene.boxes_xyxy.tolist(), scene.labels.tolist(), strict=True)
    ):
        left, top, right, bottom = corners
        width, height = right - left, bottom - top
        rows.append(
            {
                "id": first_id + offset,
                "image_id": image_id,
                "category_id": label,
                "bbox": [left, top, width, height],
                "area": width * height,
                "iscrowd": 0,
            }
        )
    return rows


def _coco_object(images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> dict[str, Any]:
    categories = [
        {"id": index, "name": name, "supercategory": name} for index, name in enumerate(CLASS_NAMES)
    ]
    return {
        "info": {"description": "Boxcamp sample: procedural scenes, free to use"},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }
