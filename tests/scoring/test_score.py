"""The scorer's report: both metrics from the same boxes, intervals, caps, leaks, disagreements."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from benchmarks.scoring_scenes import first_images, submission_rows
from data_tools.coco.dataset import read_coco
from data_tools.ground.errors import UserError
from data_tools.predictions.provenance import Provenance
from scoring.disagreement import count_reasons, disagreements
from scoring.leaks import leak_line, leak_report, member_names
from scoring.score import score
from scoring.uncertainty.bootstrap import (
    DEFAULT_SEED,
    ImageScorer,
    bootstrap_values,
    image_samples,
)
from scoring.uncertainty.intervals import percentile_interval
from submit.scores.score_text import score_text
from tests.builders.scoring_cases import (
    dataset,
    map_boxes_answer,
    predictions,
    pycocotools_answer,
    scoring_cases,
)

TENS = [10.0, 10.0, 10.0, 10.0]
SAME = [10.0, 10.0, 20.0, 20.0]
AWAY = [60.0, 60.0, 80.0, 80.0]


def test_no_boxes():
    found = score(predictions(dataset(1, [(1, 1, TENS)])), dataset(1, [(1, 1, TENS)]))
    assert (found["competition_map50"], found["map"], found["boxes"]) == (0.0, 0.0, 0)
    assert found["caps"]["lowest_score"] is None
    assert found["leaked"] is None


def test_report_is_strict_json_with_both_metrics_per_class():
    truth = dataset(3, [(1, 1, TENS), (2, 1, TENS)], category_ids=(1, 2))
    rows = [(1, 1, 0.9, SAME), (1, 1, 0.8, AWAY), (2, 1, 0.7, SAME), (3, 2, 0.6, SAME)]
    found = score(predictions(truth, rows), truth, bootstrap_samples=50)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["competition_map50"] == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)
    assert found["map50"] == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert (found["images"], found["boxes"], found["truth_boxes"]) == (3, 4, 2)
    one, two = found["per_class"]["class_1"], found["per_class"]["class_2"]
    assert one["competition_ap50"] == found["competition_map50"]
    assert (one["truth_boxes"], one["boxes"], two["truth_boxes"], two["boxes"]) == (2, 3, 0, 1)
    assert two["competition_ap50"] is None
    assert two["ap"] is None


@settings(max_examples=60, deadline=None)
@given(scoring_cases())
def test_both_metrics_are_their_peers(case):
    truth, table = case
    found = score(table, truth)
    assert found["competition_map50"] == pytest.approx(map_boxes_answer(truth, table)[0], abs=1e-9)
    expected, _ = pycocotools_answer(truth, table)
    keys = ("map", "map50", "map75", "map_small", "map_medium", "map_large")
    for key, value in zip(keys, expected, strict=True):
        assert (-1 if found[key] is None else found[key]) == pytest.approx(value, abs=1e-9)


def test_interval_holds_the_score_and_is_seeded():
    generator = np.random.default_rng(0)
    truth = dataset(60, [(image, 1, TENS) for image in range(1, 61)])
    rows = [(image, 1, float(generator.random()), SAME if generator.random() < 0.6 else AWAY)
            for image in range(1, 61)]  # fmt: skip
    table = predictions(truth, rows)
    first, again = (score(table, truth, bootstrap_samples=200)["intervals"] for _ in range(2))
    other = score(table, truth, bootstrap_samples=200, seed=1)["intervals"]
    assert first == again
    assert first != other
    band = first["competition_map50"]
    assert band["low"] < score(table, truth)["competition_map50"] < band["high"]
    assert (band["samples"], band["confidence"]) == (200, 0.95)
    assert score(table, truth)["intervals"] == {}


def test_interval_of_a_perfect_file_is_one():
    truth = dataset(7, [(image, 1, TENS) for image in range(1, 8)])
    table = predictions(truth, [(image, 1, 0.9, SAME) for image in range(1, 8)])
    band = score(table, truth, bootstrap_samples=20)["intervals"]["competition_map50"]
    assert band == {
        "low": 1.0,
        "high": 1.0,
        "standard_error": 0.0,
        "method": "expanded percentile bootstrap over images",
        "confidence": 0.95,
        "samples": 20,
        "seed": DEFAULT_SEED,
        "images": 7,
    }


def test_truth_in_six_images_has_no_interval_and_the_text_says_so():
    truth = dataset(9, [(image, 1, TENS) for image in range(1, 7)])
    table = predictions(truth, [(image, 1, 0.9, SAME) for image in range(1, 7)])
    found = score(table, truth, bootstrap_samples=20)
    band = found["intervals"]["competition_map50"]
    assert (band["low"], band["high"], band["images"]) == (None, None, 6)
    assert "competition_map50 1.0000  [no interval: truth in 6 images only]" in score_text(
        {"file": "x", **found}
    )


def test_the_interval_is_the_one_of_comparisons_and_the_report():
    truth = dataset(12, [(image, 1, TENS) for image in range(1, 13)])
    rows = [(image, 1, 0.9, SAME if image % 3 else AWAY) for image in range(1, 13)]
    table = predictions(truth, rows)
    band = score(table, truth, bootstrap_samples=300, seed=5)["intervals"]["map"]
    scorer = ImageScorer.from_predictions(table, truth)
    values = bootstrap_values([scorer], image_samples(12, 300, seed=5))[:, 1]
    assert (band["low"], band["high"]) == percentile_interval(values, 12)


def test_caps_in_force_are_told():
    truth = dataset(2, [(1, 1, TENS)])
    rows = [(1, 1, 0.9, SAME), (1, 1, 0.3, AWAY), (1, 1, 0.2, AWAY), (2, 1, 0.5, SAME)]
    found = score(predictions(truth, rows), truth, max_detections=2)
    assert found["caps"] == {
        "competition_iou_threshold": 0.5,
        "coco_max_detections_per_class_and_image": 2,
        "coco_boxes_beyond_the_cap": 1,
        "most_boxes_on_an_image": 3,
        "images_with_that_many": 1,
        "lowest_score": pytest.approx(0.2),
    }
    assert "1 boxes are beyond COCO's cap of 2" in found["notes"]


def test_labels_that_the_truth_does_not_list_are_counted():
    truth = dataset(1, [(1, 1, TENS)])
    found = score(predictions(truth, [(1, 1, 0.5, SAME), (1, 9, 0.9, SAME)]), truth)
    assert found["competition_map50"] == 1.0
    assert found["boxes"] == 2
    assert found["notes"][0].startswith("1 boxes have a label that the truth file does not list")


def test_truth_of_crowds_only_has_no_coco_figures():
    truth = dataset(2, [(1, 1, TENS)], crowds=(0,), first_annotation_id=0)
    found = score(predictions(truth, [(1, 1, 0.5, SAME)]), truth, bootstrap_samples=10)
    assert found["map"] is None
    assert found["intervals"]["map"]["low"] is None
    json.dumps(found, allow_nan=False)
    text = score_text({"file": "x", **found})
    assert "map50                  -\n" in text
    assert "With ids from 1 they would be map -, map50 -" in text


def test_classes_of_one_name_stay_apart():
    plain = dataset(1, [(1, 1, TENS), (1, 2, TENS)])
    truth = replace(plain, categories=({"id": 1, "name": "x"}, {"id": 2, "name": "x"}))
    found = score(predictions(truth, [(1, 1, 0.5, SAME)]), truth)["per_class"]
    assert {name: row["competition_ap50"] for name, row in found.items()} == {
        "x (1)": 1.0, "x (2)": 0.0,
    }  # fmt: skip


def test_truth_boxes_without_area_are_counted_out():
    truth = dataset(1, [(1, 1, TENS), (1, 1, [5.0, 5.0, 0.0, 3.0])])
    found = score(predictions(truth, [(1, 1, 0.5, SAME)]), truth)
    assert found["competition_map50"] == 1.0
    assert found["truth_boxes"] == 1
    assert "1 truth boxes without area were left out, the first on test/0001" in found["notes"][0]


def test_annotation_id_zero_is_told_with_what_it_costs():
    truth = dataset(2, [(1, 1, TENS), (2, 1, TENS)], first_annotation_id=0)
    table = predictions(truth, [(1, 1, 0.9, SAME), (2, 1, 0.8, SAME)])
    found = score(table, truth)
    # The first of two hits is lost: precision 1/2 up to recall 1/2.
    assert found["map50"] == pytest.approx(51 / 101 / 2)
    assert "With ids from 1 they would be map 1.000000, map50 1.000000" in found["notes"][0]
    assert found["competition_map50"] == 1.0


def test_ties_are_told_by_the_range_that_their_order_could_give():
    truth = dataset(1, [(1, 1, TENS)])
    found = score(predictions(truth, [(1, 1, 0.5, SAME), (1, 1, 0.5, AWAY)]), truth)
    assert found["tie_range"] == {"low": 0.5, "high": 1.0}


def test_scores_over_training_images_are_leaked():
    truth = dataset(3, [(1, 1, TENS)])
    clean = Provenance(run="tood", train_file_names=("train/9.jpg",))
    leaking = Provenance(run="yolox", teacher_file_names=("test/0002.jpg", "test/0003.jpg"))
    fused = Provenance(model="wbf", members=(clean, leaking))
    assert leak_report(clean, truth) is None
    assert leak_line(None) == ""
    found = score(replace(predictions(truth), provenance=fused), truth)["leaked"]
    assert (found["images"], found["of"]) == (2, 3)
    assert leak_line(found) == (
        "LEAKED: 2 of 3 scored images were trained on, such as test/0002.jpg"
    )
    assert member_names(fused) == ["tood", "yolox"]


def test_forced_combinations_are_leaked_without_an_overlap():
    provenance = Provenance(members=(Provenance(leaked=("folds 1 and 3 were mixed",)),))
    found = leak_report(provenance, dataset(1))
    assert leak_line(found) == "LEAKED: folds 1 and 3 were mixed"


def test_other_images_are_refused():
    truth = dataset(2, [(1, 1, TENS)])
    with pytest.raises(UserError, match="about different images"):
        score(predictions(dataset(3)), truth)


def test_metrics_agree_on_plain_boxes():
    truth = dataset(1, [(1, 1, TENS)])
    assert disagreements(predictions(truth, [(1, 1, 0.9, SAME), (1, 1, 0.8, AWAY)]), truth) == []


def test_every_reason_to_disagree():
    truth = dataset(
        2,
        [(1, 1, [0.0, 0.0, 10.0, 10.0]), (1, 1, [2.0, 0.0, 10.0, 10.0]),
         (1, 2, [50.0, 50.0, 40.0, 40.0])],
        crowds=(2,),
    )  # fmt: skip
    rows = [
        (1, 1, 0.9, [0.0, 0.0, 10.0, 10.0]),
        (1, 1, 0.8, [0.5, 0.0, 10.5, 10.0]),  # best truth taken; COCO gives it the second
        (2, 1, 0.7, AWAY),  # image without truth
        (1, 2, 0.6, [50.0, 50.0, 90.0, 90.0]),  # crowd
    ]
    found = disagreements(predictions(truth, rows), truth)
    assert [(row["row"], row["competition"], row["coco"]) for row in found] == [
        (1, "miss", "hit"), (3, "not counted", "miss"), (2, "hit", "ignored"),
    ]  # fmt: skip
    assert found[0]["image"] == "test/0001.jpg"
    assert found[0]["class"] == "class_1"
    reasons = count_reasons(found)
    assert list(reasons.values()) == [1, 1, 1]
    assert {reason.split(":")[0] for reason in reasons} == {
        "its best truth was taken", "its image has no truth", "crowd truth",
    }  # fmt: skip


@pytest.mark.real_data
def test_both_metrics_are_their_peers_on_the_boxes_of_real_submissions(real_data):
    """Test image i is laid on train image i: real spread over classes, little to hit."""
    whole = read_coco(real_data / "recycle_train.json.gz")
    rows = submission_rows(whole, real_data / "submissions")
    truth, table = first_images(whole, rows, 400)
    found = score(table, truth)
    assert found["boxes"] == len(table) > 9000
    assert found["competition_map50"] == pytest.approx(map_boxes_answer(truth, table)[0], abs=1e-9)
    expected, _ = pycocotools_answer(truth, table)
    keys = ("map", "map50", "map75", "map_small", "map_medium", "map_large")
    assert [found[key] for key in keys] == pytest.approx(expected, abs=1e-9)
