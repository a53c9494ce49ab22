"""Files that ensemble reads, damaged in every way: told with file and key, never a traceback."""

from __future__ import annotations

import json

import pytest

from data_tools.ground.paths import WorkPaths
from ensemble.cli import main
from tests.builders.damage import JSON, METADATA
from tests.builders.damage_table import Reading, of_command, untold
from tests.builders.experiments_workspace import FOLD, make_workspace


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    space = make_workspace(tmp_path_factory.mktemp("damaged"), train=3, val=4, test=1)
    for name in ("tood", "yolox"):
        space.add_run(name, model=name)
    return space


def fusion(space, out, *words):
    """Return a reader that fuses both runs."""
    files = [space.run_paths(name).predictions("val") for name in ("tood", "yolox")]
    images = WorkPaths(space.work).val_json(FOLD)
    return of_command(main, ["fuse", *files, "--images", images, "--out", out, *words], out)


def test_settings(space, tmp_path):
    path = tmp_path / "settings.json"
    members = [space.run_paths(name).root for name in ("tood", "yolox")]
    words = ["--truth", WorkPaths(space.work).val_json(FOLD), "--trials", "1", "--out", path]
    of_command(main, ["tune", *members, *words])()
    content = json.loads(path.read_text())
    content["settings"] |= {"iou_of_class": {"1": 0.5}, "view_weights": {"plain": 1.0}}
    path.write_text(json.dumps(content))
    read = fusion(space, tmp_path / "f.parquet", "--settings", path)
    unnamed = ("settings.weights", "settings.view_weights*")  # told of the members they are for
    reading = Reading(path, JSON, read, free=("settings*", "members*"), unnamed=unnamed)
    assert untold(reading) == []


def test_members(space, tmp_path):
    path = space.run_paths("yolox").predictions("val")
    read = fusion(space, tmp_path / "f.parquet")
    reading = Reading(path, METADATA, read, free=("provenance*",), unnamed=("image_ids*",))
    assert untold(reading) == []
