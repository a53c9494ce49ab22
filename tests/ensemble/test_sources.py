"""The file beside a fusion: which boxes of which member every fused box came from."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq

from data_tools.ground.paths import sources_path
from data_tools.predictions.files import write_predictions
from ensemble.fuse import fuse_members
from ensemble.members import Member
from ensemble.settings import FusionSettings
from ensemble.sources import (
    METADATA_KEY,
    belongs_to,
    fused_sources,
    paired_iou,
    spread_of_fused,
    write_sources,
)
from tests.builders.fusion_files import make_dataset, make_member

LEFT = (0, 0, 40, 40)
LEFT_TOO = (0, 0, 50, 40)
FAR = (60, 50, 90, 75)


def fuse_two(settings=FusionSettings()):  # noqa: B008
    dataset = make_dataset()
    members = [
        Member("a", make_member(dataset, [(20, 7, 0.5, *LEFT), (10, 1, 0.9, *LEFT)])),
        Member("b", make_member(dataset, [(10, 1, 0.4, *FAR), (10, 1, 0.3, *LEFT_TOO)])),
    ]
    return fuse_members(members, dataset, settings)


def test_no_boxes_give_an_empty_file(tmp_path):
    dataset = make_dataset()
    fusion = fuse_members([Member("a", make_member(dataset, []))], dataset, FusionSettings())
    sources = fused_sources(fusion, FusionSettings())
    write_predictions(tmp_path / "val.parquet", fusion.predictions)
    path = tmp_path / "x.parquet"
    write_sources(path, sources, ["a"], FusionSettings(), predictions=tmp_path / "val.parquet")
    assert pq.read_table(path).num_rows == 0


def test_every_fused_box_lists_its_boxes(tmp_path):
    fusion = fuse_two()
    path, predictions = sources_path(tmp_path / "val.parquet"), tmp_path / "val.parquet"
    assert path.name == "val.sources.parquet"
    write_predictions(predictions, fusion.predictions)
    sources = fused_sources(fusion, FusionSettings())
    write_sources(path, sources, ["a", "b"], FusionSettings(), predictions=predictions)
    table = pq.read_table(path)
    metadata = json.loads(table.schema.metadata[METADATA_KEY.encode()])
    assert metadata["members"] == ["a", "b"] and metadata["settings"]["iou"] == 0.6
    rows = table.to_pylist()
    found = [(r["fused_row"], r["image_id"], r["member"], r["box_of_image"]) for r in rows]
    # image 10: LEFT and LEFT_TOO fuse (score .6), FAR is alone (.2); image 20: LEFT (.25).
    # LEFT_TOO is the second box of b on image 10, by score.
    assert found == [(0, 10, "a", 0), (0, 10, "b", 1), (1, 10, "b", 0), (2, 20, "a", 0)]
    assert [r["label"] for r in rows] == [1, 1, 1, 7]
    np.testing.assert_allclose([r["score"] for r in rows], [0.9, 0.3, 0.4, 0.5], atol=1e-6)
    # the fused box is 42.5 wide: (.9 * 40 + .3 * 50) / 1.2
    np.testing.assert_allclose([r["iou"] for r in rows], [40 / 42.5, 42.5 / 50, 1, 1], atol=1e-6)
    assert [r["cluster_boxes"] for r in rows] == [2, 2, 1, 1]
    assert [r["cluster_members"] for r in rows] == [2, 2, 1, 1]
    np.testing.assert_allclose(rows[0]["cluster_iou_min"], 42.5 / 50, atol=1e-6)
    np.testing.assert_allclose(rows[0]["cluster_iou_mean"], (40 / 42.5 + 42.5 / 50) / 2, atol=1e-6)


def test_fused_rows_are_rows_of_the_result():
    fusion = fuse_two()
    sources = fused_sources(fusion, FusionSettings())
    predictions = fusion.predictions
    np.testing.assert_array_equal(predictions.labels[sources.fused_rows], sources.labels)
    np.testing.assert_array_equal(
        predictions.image_id_of_row[sources.fused_rows], sources.image_ids
    )


def test_suppressed_boxes_belong_to_the_box_that_suppressed_them():
    settings = FusionSettings(method="nms", weights=(2, 1))
    sources = fused_sources(fuse_two(settings), settings)
    assert sources.fused_rows.tolist() == [0, 0, 1, 2]
    assert sources.weights.tolist() == [2, 1, 1, 2]


def test_boxes_below_skip_are_in_no_cluster():
    settings = FusionSettings(skip=0.35)
    sources = fused_sources(fuse_two(settings), settings)
    assert sorted(sources.scores.tolist()) == [np.float32(0.4), 0.5, np.float32(0.9)]


def test_spread_counts_members_once():
    dataset = make_dataset()
    rows = [(10, 1, 0.9, *LEFT), (10, 1, 0.8, *LEFT)]
    fusion = fuse_members([Member("a", make_member(dataset, rows))], dataset, FusionSettings())
    spread = spread_of_fused(fused_sources(fusion, FusionSettings()), 1)
    assert spread["boxes"].tolist() == [2] and spread["members"].tolist() == [1]


def test_paired_iou():
    first = np.array([LEFT, LEFT, (5, 5, 5, 5)], dtype=float)
    second = np.array([LEFT_TOO, FAR, (5, 5, 5, 5)], dtype=float)
    np.testing.assert_allclose(paired_iou(first, second), [0.8, 0, 0])


def test_sources_know_the_file_that_they_belong_to(tmp_path):
    settings, other = FusionSettings(), FusionSettings(iou=0.9)
    mine, others = tmp_path / "val.parquet", tmp_path / "other.parquet"
    fusion = fuse_two(settings)
    write_predictions(mine, fusion.predictions)
    write_predictions(others, fuse_two(other).predictions)
    path = sources_path(mine)
    sources = fused_sources(fusion, settings)
    write_sources(path, sources, ["a", "b"], settings, predictions=mine)
    assert belongs_to(path, mine)
    assert not belongs_to(path, others)
    moved = tmp_path / "elsewhere.parquet"
    moved.write_bytes(mine.read_bytes())
    assert belongs_to(path, moved)  # by content, not by name or date
    assert not belongs_to(mine, mine)  # no file of sources at all
