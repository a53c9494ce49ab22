"""Whole-table fusion: equal to fusing image by image, whatever the threads, sizes and views."""

from __future__ import annotations

import ensemble_boxes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_tools.coco.dataset import coco_from_dict
from data_tools.ground.errors import UserError
from data_tools.predictions.files import read_predictions
from data_tools.predictions.table import Predictions
from ensemble.engine import fuse_table, submember_weights
from ensemble.kernels import chunks as chunks_module
from ensemble.member_table import build_table, select
from ensemble.one_image.nms import nms
from ensemble.one_image.nmw import non_maximum_weighted
from ensemble.one_image.soft_nms import soft_nms
from ensemble.one_image.wbf import weighted_boxes_fusion
from ensemble.settings import CONFIDENCE_TYPES, METHODS, FusionSettings
from tests.builders.fusion_cases import quietly
from tests.builders.fusion_files import dataset_dict, make_dataset, make_member

LEFT = (0, 0, 40, 40)
LEFT_TOO = (0, 0, 50, 40)  # IoU with LEFT .8


def random_table(seed, images=7, members=3):
    rng = np.random.default_rng(seed)
    dataset = make_dataset(images=images)
    found = []
    for _ in range(members):
        rows = []
        for image in dataset.images:
            for _ in range(rng.integers(0, 9)):
                corner = rng.integers(0, 4, 2) * 12 + rng.random(2)
                size = rng.integers(1, 4, 2) * 12 + rng.random(2)
                label = rng.choice([1, 7])
                rows.append((image["id"], label, rng.random(), *corner, *(corner + size)))
        found.append(make_member(dataset, rows))
    return dataset, found


def one_image_at_a_time(dataset, members, function, **options):
    """The slow way: normalise, fuse one image, put pixels back."""
    found = {}
    for image in dataset.images:
        scale = np.array([image["width"], image["height"]] * 2, dtype=float)
        rows = [member.rows(image["id"]) for member in members]
        boxes, scores, labels = function(
            [m.boxes_xyxy[r].astype(float) / scale for m, r in zip(members, rows, strict=True)],
            [m.scores[r].astype(float) for m, r in zip(members, rows, strict=True)],
            [m.labels[r] for m, r in zip(members, rows, strict=True)],
            **options,
        )
        order = np.argsort(-scores, kind="stable")
        found[image["id"]] = boxes[order] * scale, scores[order], labels[order]
    return found


def assert_same_as(fused, expected):
    for index, image_id in enumerate(fused.image_ids.tolist()):
        rows = slice(fused.offsets[index], fused.offsets[index + 1])
        boxes, scores, labels = expected[image_id]
        np.testing.assert_allclose(fused.boxes_xyxy[rows], boxes, atol=1e-4)
        np.testing.assert_allclose(fused.scores[rows], scores, atol=1e-6)
        assert fused.labels[rows].tolist() == labels.tolist()


def test_members_without_any_box():
    dataset = make_dataset()
    table = build_table([make_member(dataset, []), make_member(dataset, [])], dataset)
    fused = fuse_table(table, FusionSettings())
    assert fused.offsets.tolist() == [0, 0, 0, 0] and len(fused.scores) == 0


def test_a_dataset_without_images():
    dataset = coco_from_dict(dataset_dict(images=0))
    fused = fuse_table(build_table([make_member(dataset, [])], dataset), FusionSettings())
    assert fused.offsets.tolist() == [0]


def test_a_member_without_boxes_on_an_image_counts():
    dataset = make_dataset()
    members = [
        make_member(dataset, [(10, 1, 0.9, *LEFT), (20, 1, 0.9, *LEFT)]),
        make_member(dataset, [(10, 1, 0.3, *LEFT)]),
    ]
    fused = fuse_table(build_table(members, dataset), FusionSettings())
    # image 10: (.9 + .3) / 2; image 20: .9 / 2, because the second member is silent, not absent
    np.testing.assert_allclose(fused.scores, [0.6, 0.45], atol=1e-7)
    assert fused.cluster_of_row.tolist() == [0, 1, 0]


@pytest.mark.parametrize("conf_type", CONFIDENCE_TYPES)
@pytest.mark.parametrize("weights", [None, (3.0, 1.0, 0.5)])
def test_wbf_is_what_the_reference_gives_image_by_image(conf_type, weights):
    dataset, members = random_table(1)
    options = {"iou_thr": 0.5, "skip_box_thr": 0.05, "conf_type": conf_type, "weights": weights}
    chosen = FusionSettings(iou=0.5, skip=0.05, confidence=conf_type, weights=weights)
    fused = fuse_table(build_table(members, dataset), chosen)

    def reference(*lists, **keywords):
        return quietly(ensemble_boxes.weighted_boxes_fusion, *lists, **keywords)

    assert_same_as(fused, one_image_at_a_time(dataset, members, reference, **options))


@pytest.mark.parametrize(
    ("chosen", "function", "options"),
    [
        (FusionSettings(), weighted_boxes_fusion, {"iou_thr": 0.6}),
        (FusionSettings(method="nms"), nms, {"iou_thr": 0.6}),
        (FusionSettings(method="nms", weights=(1, 2, 3)), nms,
         {"iou_thr": 0.6, "weights": [1, 2, 3]}),
        (FusionSettings(method="nmw"), non_maximum_weighted, {"iou_thr": 0.6}),
        (FusionSettings(method="nmw", weights=(1, 2, 3)), non_maximum_weighted,
         {"iou_thr": 0.6, "weights": [1, 2, 3]}),
        (FusionSettings(method="soft_nms"), soft_nms, {}),
        (FusionSettings(method="soft_nms", decay="linear", iou=0.3), soft_nms,
         {"method": 1, "iou_thr": 0.3}),
    ],
)  # fmt: skip
@given(seed=st.integers(0, 10_000))
@settings(max_examples=12, deadline=None)
def test_the_table_gives_what_one_image_at_a_time_gives(chosen, function, options, seed):
    dataset, members = random_table(seed)
    fused = fuse_table(build_table(members, dataset), chosen)
    assert_same_as(fused, one_image_at_a_time(dataset, members, function, **options))


@pytest.mark.parametrize("method", METHODS)
def test_threads_and_chunks_do_not_change_the_result(method, monkeypatch):
    dataset, members = random_table(2, images=40)
    table = build_table(members, dataset)
    whole = fuse_table(table, FusionSettings(method=method), threads=1)
    monkeypatch.setattr(chunks_module, "ROWS_PER_CHUNK", 30)
    finished = []
    parts = fuse_table(table, FusionSettings(method=method), threads=3, progress=finished.append)
    assert sum(finished) == 40 and len(finished) > 5
    for name in ("offsets", "boxes_xyxy", "scores", "labels", "cluster_of_row"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))


def test_a_crowded_class_is_sorted_right():
    # more boxes of one class than the insertion sort takes at once
    rng = np.random.default_rng(0)
    dataset = make_dataset(images=1)
    rows = [(10, 1, score, x, 0, x + 0.001, 1) for x, score in enumerate(rng.random(90))]
    fused = fuse_table(build_table([make_member(dataset, rows)], dataset), FusionSettings())
    expected = sorted((np.float32(row[2]) for row in rows), reverse=True)
    np.testing.assert_array_equal(fused.scores, expected)


def test_every_cluster_knows_its_rows():
    dataset, members = random_table(3)
    table = build_table(members, dataset)
    fused = fuse_table(table, FusionSettings(iou=0.5))
    for row in range(len(fused.scores)):
        own = np.flatnonzero(fused.cluster_of_row == row)
        shares = table.rows.scores[own, None]
        image = np.searchsorted(fused.offsets, row, side="right") - 1
        boxes = np.minimum(table.rows.boxes_xyxy[own], np.tile(table.sizes_wh[image], 2))
        mean = (shares * boxes).sum(axis=0) / shares.sum()
        np.testing.assert_allclose(fused.boxes_xyxy[row], mean, atol=1e-3)
        assert set(table.rows.labels[own]) == {fused.labels[row]}
    assert (fused.cluster_of_row >= 0).all()


def test_each_class_can_have_its_own_threshold():
    dataset = make_dataset()
    rows = [
        (10, label, score, *box)
        for label in (1, 7)
        for score, box in ((0.9, LEFT), (0.8, LEFT_TOO))
    ]
    chosen = FusionSettings(iou=0.7, iou_of_class={7: 0.85})
    fused = fuse_table(build_table([make_member(dataset, rows)], dataset), chosen)
    assert sorted(fused.labels.tolist()) == [1, 7, 7]  # .8 joins above .7, not above .85


def test_an_unknown_class_threshold_lists_the_classes():
    dataset = make_dataset()
    table = build_table([make_member(dataset, [])], dataset)
    with pytest.raises(UserError, match=r"class 3, which does not exist(.|\n)*\[1, 7\]"):
        fuse_table(table, FusionSettings(iou_of_class={3: 0.5}))


def test_boxes_are_clipped_to_their_own_image_and_counted():
    dataset = make_dataset()  # image 10 is 100 x 80, image 20 is 60 x 90
    rows = [(10, 1, 0.9, 50, 50, 99, 99), (20, 1, 0.9, 50, 50, 99, 89), (20, 1, 0.5, 70, 5, 80, 9)]
    rows += [(20, 1, 0.01, 0, 0, 9, 9)]
    fused = fuse_table(build_table([make_member(dataset, rows)], dataset), FusionSettings(skip=0.1))
    assert fused.boxes_xyxy.tolist() == [[50, 50, 99, 80], [50, 50, 60, 89]]
    repairs = fused.repairs
    assert (repairs.below_skip, repairs.turned, repairs.clipped, repairs.without_area) == (
        1,
        0,
        3,
        1,
    )


def test_views_of_a_member_share_its_weight():
    dataset = make_dataset()
    views = {"views": ("plain", "hflip")}
    members = [
        make_member(dataset, [(10, 1, 0.9, *LEFT, 0), (10, 1, 0.7, *LEFT, 1)], **views),
        make_member(dataset, [(10, 1, 0.4, *LEFT)]),
    ]
    table = build_table(members, dataset)
    assert submember_weights(table, FusionSettings()).tolist() == [0.5, 0.5, 1.0]
    fused = fuse_table(table, FusionSettings())
    # the member's two views average to .8, which then averages with .4
    np.testing.assert_allclose(fused.scores, [(0.8 + 0.4) / 2], atol=1e-7)
    weighted = FusionSettings(weights=(3, 1), view_weights={"plain": 2})
    np.testing.assert_allclose(submember_weights(table, weighted), [3 * 2 / 3, 3 * 1 / 3, 1])


@pytest.mark.parametrize(
    "chosen", [FusionSettings(confidence="max"), FusionSettings("nmw"), FusionSettings("nms")]
)
def test_views_do_not_lower_scores_where_the_best_box_decides(chosen):
    dataset = make_dataset()
    members = [
        make_member(dataset, [(10, 1, 0.9, *LEFT, 1)], views=("plain", "hflip")),
        make_member(dataset, [(10, 7, 0.8, *LEFT)]),
    ]
    fused = fuse_table(build_table(members, dataset), chosen)
    np.testing.assert_allclose(fused.scores, [0.9, 0.8], atol=1e-7)


def test_selecting_is_the_same_as_building_without_the_rest():
    dataset, members = random_table(4)
    images, kept = np.array([1, 2, 5]), np.array([0, 2])
    part = select(build_table(members, dataset), images, kept)
    ids = dataset.image_ids[images]
    small = dataset.subset(ids)

    def cut(member):
        rows = np.isin(member.image_id_of_row, ids)
        return make_member(
            small,
            list(zip(member.image_id_of_row[rows], member.labels[rows], member.scores[rows],
                     *member.boxes_xyxy[rows].T, strict=True)),
        )  # fmt: skip

    expected = build_table([cut(members[m]) for m in kept], small)
    for mine, other in zip(part.rows, expected.rows, strict=True):
        np.testing.assert_array_equal(mine, other)
    np.testing.assert_array_equal(part.slots, expected.slots)
    np.testing.assert_array_equal(part.member_of_submember, expected.member_of_submember)


def test_a_label_that_is_no_category_is_refused():
    dataset = make_dataset()
    with pytest.raises(UserError, match=r"member 1 has 1 boxes of unknown classes(.|\n)*label 2"):
        build_table([make_member(dataset, [(10, 2, 0.5, *LEFT)])], dataset)


def test_a_dataset_of_images_only_takes_the_classes_of_the_members():
    dataset = coco_from_dict({**dataset_dict(), "categories": []})
    member = make_member(dataset, [(10, 5, 0.5, *LEFT), (10, 3, 0.4, *LEFT)])
    fused = fuse_table(build_table([member], dataset), FusionSettings())
    assert fused.labels.tolist() == [5, 3]
    empty = fuse_table(build_table([make_member(dataset, [])], dataset), FusionSettings())
    assert len(empty.scores) == 0


@pytest.mark.real_data
def test_real_submissions_fuse_as_the_reference_fuses_them(real_data):
    images = [
        {"id": i, "file_name": f"test/{i:04d}.jpg", "width": 1024, "height": 1024}
        for i in range(4871)
    ]
    categories = [{"id": i, "name": str(i)} for i in range(10)]
    dataset = coco_from_dict({"images": images, "categories": categories})
    members = [
        read_predictions(path, dataset)
        for path in sorted((real_data / "submissions").glob("*.csv.gz"))
    ]
    fused = fuse_table(build_table(members, dataset), FusionSettings())
    for image_id in range(0, 4871, 20):
        lists = [
            (boxes.astype(float) / 1024, scores.astype(float), m.labels[rows])
            for m in members
            for rows in [m.rows(image_id)]
            # Fusion rounds what it reads to float32.
            for boxes in [m.boxes_xyxy[rows].astype(np.float32)]
            for scores in [m.scores[rows].astype(np.float32)]
        ]
        boxes, scores, labels = quietly(
            ensemble_boxes.weighted_boxes_fusion, *zip(*lists, strict=True), iou_thr=0.6
        )
        rows = slice(fused.offsets[image_id], fused.offsets[image_id + 1])
        np.testing.assert_array_equal(fused.boxes_xyxy[rows], boxes * 1024)
        np.testing.assert_array_equal(fused.scores[rows], scores)
        np.testing.assert_array_equal(fused.labels[rows], labels)


def test_predictions_stay_as_they_are():
    dataset, members = random_table(5)
    before = [member.boxes_xyxy.copy() for member in members]
    fuse_table(build_table(members, dataset), FusionSettings(method="nms", weights=(1, 2, 3)))
    assert isinstance(members[0], Predictions)
    for member, boxes in zip(members, before, strict=True):
        np.testing.assert_array_equal(member.boxes_xyxy, boxes)
