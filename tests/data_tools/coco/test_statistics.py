"""Statistics and distances of datasets, by hand and against SciPy."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from data_tools.cli import main
from data_tools.coco.dataset import coco_from_dict, read_coco, write_coco
from data_tools.coco.statistics import (
    box_measures,
    distances,
    largest_gap,
    statistics,
    total_variation,
)
from tests.builders.coco_cases import box, coco_dict, image, random_coco

numbers = st.lists(st.integers(0, 9), min_size=1, max_size=20)


def test_a_dataset_without_boxes_has_no_percentiles():
    found = statistics(coco_from_dict(coco_dict([image(0)])))
    assert (found["images"], found["boxes"], found["images_without_boxes"]) == (1, 0, 1)
    assert found["size"] is None
    assert found["aspect"] is None
    assert found["count"]["mean"] == 0
    assert found["classes"] == {"can": 0, "bag": 0}


def test_a_dataset_without_images_is_no_error():
    assert statistics(coco_from_dict({"images": []}))["count"]["mean"] is None


def test_figures_by_hand():
    # On 100 x 80 pixels: 40 x 20 is .1 of the area; its root is .3162. 20 x 40 likewise.
    boxes = [box(0, 0, 3, [0, 0, 40, 20]), box(1, 0, 3, [0, 0, 20, 40]), box(2, 1, 7, [0, 0, 2, 2])]
    found = statistics(coco_from_dict(coco_dict([image(0), image(1), image(2)], boxes)))
    assert found["classes"] == {"can": 2, "bag": 1}
    assert found["size"]["p95"] == pytest.approx(np.sqrt(0.1))
    assert found["aspect"]["p50"] == 1.0  # of 2, .5 and 1
    assert found["count"]["mean"] == 1.0
    assert found["count"]["max"] == 2
    assert found["images_without_boxes"] == 1
    assert found["image_sizes"] == {"100 x 80": 3}


@pytest.mark.parametrize(
    ("side", "kind"), [(31.9, "small"), (32, "medium"), (95.9, "medium"), (96, "large")]
)
def test_limits_of_cocos_areas(side, kind):
    content = coco_dict([image(0, width=500, height=500)], [box(0, 0, 3, [0, 0, side, side])])
    areas = statistics(coco_from_dict(content))["coco_areas"]
    assert {name for name, count in areas.items() if count} == {kind}


def test_skipped_boxes_are_counted():
    boxes = [box(0, 0, 3, [0, 0, 4, 4]), box(1, 0, 3, [0, 0, 0, 4])]
    found = statistics(coco_from_dict(coco_dict([image(0)], boxes)))
    assert (found["boxes"], found["skipped_boxes"]) == (1, 1)


def test_total_variation_is_the_share_that_would_have_to_move():
    # .5 can, .5 bag against .2 can, .8 bag: .3 of the boxes would have to change class.
    assert total_variation({"can": 0.5, "bag": 0.5}, {"can": 0.2, "bag": 0.8}) == pytest.approx(0.3)
    assert total_variation({"can": 1.0}, {"bag": 1.0}) == 1.0
    assert total_variation({}, {}) == 0


@given(numbers, numbers)
def test_the_largest_gap_is_the_kolmogorov_smirnov_distance(first, second):
    def share_up_to(values: list[int], limit: int) -> float:
        return sum(value <= limit for value in values) / len(values)

    gaps = [abs(share_up_to(first, limit) - share_up_to(second, limit)) for limit in range(10)]
    assert largest_gap(np.array(first), np.array(second)) == pytest.approx(max(gaps))


def test_the_largest_gap_agrees_with_scipy():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, 300), rng.normal(0.3, 1.2, 200)
    assert largest_gap(first, second) == pytest.approx(ks_2samp(first, second).statistic)


def test_a_dataset_is_at_no_distance_from_itself():
    measures = box_measures(random_coco(np.random.default_rng(0), 20))
    assert set(distances(measures, measures).values()) == {0.0}


def test_distances_to_a_dataset_without_boxes_are_unknown():
    measures = box_measures(random_coco(np.random.default_rng(0), 20))
    empty = box_measures(coco_from_dict(coco_dict([image(0)])))
    assert set(distances(measures, empty).values()) == {None}


def test_each_distance_sees_its_own_change():
    def measured(label: int, width: float, height: float, boxes: int):
        found = [box(k, 0, label, [0, 0, width, height]) for k in range(boxes)]
        return box_measures(coco_from_dict(coco_dict([image(0)], found)))

    first = measured(3, 20, 20, 2)
    assert distances(first, measured(7, 20, 20, 2)) == {
        "class": 1, "size": 0, "aspect": 0, "count": 0,
    }  # fmt: skip
    assert distances(first, measured(3, 40, 40, 2))["size"] == 1
    assert distances(first, measured(3, 40, 40, 2))["aspect"] == 0
    assert distances(first, measured(3, 40, 10, 2))["aspect"] == 1
    assert distances(first, measured(3, 40, 10, 2))["size"] == 0
    assert distances(first, measured(3, 20, 20, 3))["count"] == 1


def test_the_command_compares_two_files(tmp_path):
    for seed, name in enumerate(("a.json", "b.json")):
        write_coco(tmp_path / name, random_coco(np.random.default_rng(seed), 30))
    first, second = str(tmp_path / "a.json"), str(tmp_path / "b.json")
    shown = CliRunner().invoke(main, ["stats", first, "--against", second])
    assert shown.exit_code == 0, shown.output
    for text in ("a.json", "b.json", "class 0", "p99", "distance, 0 (alike) to 1"):
        assert text in shown.stdout
    as_json = json.loads(CliRunner().invoke(main, ["stats", first, "--json"]).stdout)
    assert as_json["files"][first]["images"] == 30
    assert as_json["distances"] is None


def test_the_real_annotations_have_the_published_figures(real_data):
    found = statistics(read_coco(real_data / "recycle_train.json.gz"))
    published = (0.030, 0.041, 0.098, 0.193, 0.337, 0.586, 0.787)
    assert list(found["size"].values()) == pytest.approx(published, abs=0.0006)
    ratios = (0.19, 0.35, 0.69, 1.05, 1.54, 2.97, 5.61)
    assert list(found["aspect"].values()) == pytest.approx(ratios, abs=0.006)
    assert found["count"]["mean"] == pytest.approx(4.7, abs=0.05)


def test_names_with_brackets_are_printed_as_they_are(tmp_path):
    names = {3: "thing [red]", 7: "[/b] x"}
    path = tmp_path / "[train].json"
    write_coco(path, coco_from_dict(coco_dict([image(0)], [box(0, 0, 3, [0, 0, 9, 9])], names)))
    for arguments in ([str(path)], [str(path), "--against", str(path)]):
        shown = CliRunner().invoke(main, ["stats", *arguments])
        assert shown.exit_code == 0, shown.output
        for text in ("thing [red]", "[/b] x", "[train].json"):
            assert text in shown.stdout


def test_coco_areas_go_by_the_area_of_the_file():
    """A mask of 900 square pixels in a box of 2,500 is small, for COCO and so here."""
    boxes = [{**box(0, 0, 3, [0, 0, 50, 50]), "area": 900.0}]
    found = statistics(coco_from_dict(coco_dict([image(0)], boxes)))
    assert found["coco_areas"] == {"small": 1, "medium": 0, "large": 0}


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path):
    paths = [tmp_path / folder / "val_3.json" for folder in ("folds", "alike")]
    for path in paths:
        write_coco(path, coco_from_dict(coco_dict([image(0)])))
    arguments = ["stats", str(paths[0]), "--against", str(paths[1])]
    shown = CliRunner().invoke(main, arguments, env={"COLUMNS": "400"})
    for path in paths:
        assert str(path) in shown.stdout


def test_classes_of_one_name_are_counted_apart():
    names = {3: "can", 7: "can"}
    boxes = [box(k, 0, 3 if k else 7, [0, 0, 9, 9]) for k in range(3)]
    dataset = coco_from_dict(coco_dict([image(0)], boxes, names))
    assert statistics(dataset)["classes"] == {"can (3)": 2, "can (7)": 1}
    assert sum(box_measures(dataset).class_shares.values()) == pytest.approx(1)
