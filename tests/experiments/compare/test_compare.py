"""Comparing runs: intervals, equal epochs, equal time, factors, leaks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from data_tools.coco.dataset import coco_from_dict, read_coco
from data_tools.ground.errors import UserError
from data_tools.ground.paths import WorkPaths
from data_tools.predictions.files import read_predictions
from data_tools.predictions.table import predictions_from_rows
from experiments.cli import main
from experiments.compare.arms_on_disk import find_group
from experiments.compare.compare import compare_groups
from scoring.score import score
from scoring.uncertainty.bootstrap import ImageScorer, bootstrap_values
from scoring.uncertainty.intervals import (
    FEWEST_IMAGES,
    Interval,
    difference_interval,
    mean_interval,
    percentile_interval,
    verdict,
)
from tests.builders.experiments_workspace import FOLD, Quality, Workspace, make_workspace


@pytest.fixture(scope="module")
def space(tmp_path_factory) -> Workspace:
    space = make_workspace(tmp_path_factory.mktemp("compare"))
    space.add_run("base-seed42", seed=42)
    space.add_run("base-seed43", seed=43)
    much_better = Quality(found=1.0, jitter=0.005, false_per_image=0.0, confused=0.0)
    mosaic = {"augment.mosaic": 0.5}
    space.add_run("mosaic-seed42", seed=42, quality=much_better, config=mosaic)
    space.add_run("mosaic-seed43", seed=43, quality=much_better, config=mosaic)
    return space


def compare(space, first, second, **options):
    groups = [find_group(name, space.work) for name in (first, second)]
    return compare_groups(*groups, space.work, samples=200, **options)


def test_another_work_folder_at_the_recorded_path_is_not_mistaken(tmp_path, monkeypatch):
    # Runs record `work/folds/val_3.json` as typed; where we stand, other data has that path.
    ours, theirs = make_workspace(tmp_path / "ours"), make_workspace(tmp_path / "theirs", val=20)
    for seed in (42, 43):
        paths = ours.add_run(f"base-seed{seed}", seed=seed)
        record = json.loads(paths.run_json.read_text())
        record["data"]["val_json"]["path"] = "work/folds/val_3.json"
        paths.run_json.write_text(json.dumps(record))
    monkeypatch.chdir(tmp_path / "theirs")
    assert WorkPaths(Path("work")).val_json(FOLD).is_file() and theirs.val
    comparison = compare(ours, "base-seed42", "base-seed43")
    assert comparison.bases[0].row("map").over_images is not None


# Intervals


def test_interval_of_one_seed_is_unknown():
    assert mean_interval(np.array([])) is None
    assert mean_interval(np.array([0.4])) is None
    assert difference_interval(np.array([0.4]), np.array([0.5]), paired=True) is None
    assert difference_interval(np.array([0.4]), np.array([0.5, 0.6]), paired=False) is None


def test_mean_interval_is_students():
    # mean .5, s = .1 * sqrt(2), n = 2, t(.975, 1) = 12.7062: half = 12.7062 * .1 = 1.27062
    low, high = mean_interval(np.array([0.4, 0.6]))
    assert (low, high) == pytest.approx((0.5 - 1.27062, 0.5 + 1.27062), abs=1e-5)


def test_paired_interval_uses_the_differences():
    # Differences .1, .1, .1: no spread, however far the seeds lie apart.
    interval = difference_interval(
        np.array([0.1, 0.4, 0.7]), np.array([0.2, 0.5, 0.8]), paired=True
    )
    assert interval == pytest.approx((0.1, 0.1))


def test_welch_interval_agrees_with_scipy():
    from scipy.stats import ttest_ind

    base, other = np.array([0.40, 0.44, 0.41]), np.array([0.50, 0.47])
    expected = ttest_ind(other, base, equal_var=False).confidence_interval(0.95)
    interval = difference_interval(base, other, paired=False)
    assert interval == pytest.approx((expected.low, expected.high))


def test_percentile_interval():
    assert percentile_interval(np.array([]), 50) is None
    assert percentile_interval(np.full(5, np.nan), 50) is None
    # 0..100 in steps of 1: the 2.5th and 97.5th percentile are 2.5 and 97.5.
    many = percentile_interval(np.arange(101.0), 10**6)
    assert many == pytest.approx((2.5, 97.5), abs=1e-3)
    # 12 images: Student's 2.201 (11 degrees) times sqrt(12 / 11) is 2.299, the 1.08th percentile.
    few = percentile_interval(np.arange(101.0), 12)
    assert few == pytest.approx((1.075, 98.925), abs=5e-3)
    assert percentile_interval(np.arange(101.0), FEWEST_IMAGES - 1) is None


def test_an_interval_from_few_images_covers_what_it_says():
    # The mean of ten images whose true mean is 0; the plain percentile interval covers 90 %.
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(1000):
        sample = generator.normal(size=10)
        means = (generator.multinomial(10, [0.1] * 10, size=800) @ sample) / 10
        interval = percentile_interval(means, 10)
        covered += interval.low <= 0 <= interval.high
    assert 0.935 < covered / 1000 < 0.975


def test_a_class_in_few_images_establishes_nothing(tmp_path):
    space = make_workspace(tmp_path)
    rare, common = int(space.val.category_ids[-1]), int(space.val.category_ids[0])
    holders = np.unique(space.val.annotation_image_ids[space.val.labels == rare])
    kept = set(holders[: FEWEST_IMAGES - 1].tolist())
    path = WorkPaths(space.work).val_json(FOLD)
    content = json.loads(path.read_text())
    for annotation in content["annotations"]:
        if annotation["category_id"] == rare and annotation["image_id"] not in kept:
            annotation["category_id"] = common
    path.write_text(json.dumps(content))
    space = replace(space, val=read_coco(path))
    space.add_run("base-seed42", quality=Quality(found=0.3, confused=0.5))
    space.add_run("good-seed42", quality=Quality(found=1.0, jitter=0.0, false_per_image=0.0))
    basis = compare(space, "base-seed42", "good-seed42").bases[0]
    row = basis.row(f"competition_ap50/{space.val.category_names[-1]}")
    assert row.difference > 0.3 and row.over_images is None and row.verdict == "not established"
    note = next(note for note in basis.notes if "truth in fewer than 7 images" in note)
    assert space.val.category_names[-1] in note
    assert basis.row("competition_map50").verdict == "higher"


@pytest.mark.parametrize(
    ("difference", "intervals", "expected"),
    [
        (0.1, (), "not established"),
        (0.1, (None, None), "not established"),
        (0.1, (Interval(0.05, 0.2), None), "higher"),
        (-0.1, (Interval(-0.2, -0.05), None), "lower"),
        (0.1, (Interval(-0.01, 0.2), None), "not established"),
        (0.1, (Interval(0.0, 0.2), None), "not established"),
        (0.1, (Interval(0.05, 0.2), Interval(-0.3, 0.5)), "not established"),
        (0.1, (Interval(0.05, 0.2), Interval(0.01, 0.3)), "higher"),
        (0.1, (Interval(0.05, 0.2), Interval(-0.3, -0.1)), "not established"),
        (None, (Interval(0.05, 0.2),), "not established"),
    ],
)
def test_verdict(difference, intervals, expected):
    assert verdict(difference, *intervals) == expected


# Bootstrap over images


def repeated(truth, predictions, counts):
    """Write out a resampled dataset picture by picture: the slow, obvious bootstrap sample."""
    images, annotations, rows = [], [], []
    order = sorted(range(len(truth.images)), key=lambda i: truth.images[i]["id"])
    copies = [index for index in order for _ in range(int(counts[order.index(index)]))]
    for new_id, index in enumerate(copies):
        image = truth.images[index]
        images.append({**image, "id": new_id, "file_name": f"{new_id}.jpg"})
        for row in truth.annotation_rows_of_image_id[image["id"]]:
            box = {**truth.annotations[row], "image_id": new_id, "id": len(annotations) + 1}
            annotations.append(box)
        span = predictions.rows(image["id"])
        rows += [(new_id, row) for row in range(span.start, span.stop)]
    dataset = coco_from_dict(
        {"images": images, "annotations": annotations, "categories": list(truth.categories)}
    )
    picked = np.array([row for _, row in rows], dtype=int)
    sample = predictions_from_rows(
        dataset.image_ids,
        np.array([new_id for new_id, _ in rows]),
        predictions.labels[picked],
        predictions.scores[picked],
        predictions.boxes_xyxy[picked],
    )
    return sample, dataset


@pytest.mark.parametrize("seed", range(5))
def test_weighted_scores_equal_those_of_the_repeated_dataset(space, seed):
    predictions = read_predictions(space.run_paths("base-seed42").predictions("val"), space.val)
    generator = np.random.default_rng(seed)
    count = len(space.val.images)
    weights = generator.multinomial(count, np.full(count, 1 / count))
    scorer = ImageScorer.from_predictions(predictions, space.val)
    values = dict(zip(scorer.names, scorer.values_on(weights[None])[0], strict=True))
    sample, dataset = repeated(space.val, predictions, weights)
    expected = score(sample, dataset)
    for key in ("competition_map50", "map", "map50", "map_small", "map_large"):
        if expected[key] is None:
            assert np.isnan(values[key])
        else:
            assert values[key] == pytest.approx(expected[key], abs=1e-9), key
    for name, row in expected["per_class"].items():
        value = values[f"competition_ap50/{name}"]
        if row["competition_ap50"] is None:
            assert np.isnan(value)
        else:
            assert value == pytest.approx(row["competition_ap50"], abs=1e-9), name


def test_bootstrap_averages_over_seeds(space):
    paths = [space.run_paths(f"base-seed{seed}").predictions("val") for seed in (42, 43)]
    scorers = [ImageScorer.from_predictions(read_predictions(p), space.val) for p in paths]
    ones = np.ones((1, len(space.val.images)))
    both = bootstrap_values(scorers, ones)[0, 0]
    each = [scorer.values()[0] for scorer in scorers]
    assert both == pytest.approx(sum(each) / 2)


def test_without_coco_only_the_competition_metric_is_known(space):
    path = space.run_paths("base-seed42").predictions("val")
    scorer = ImageScorer.from_predictions(read_predictions(path), space.val, with_coco=False)
    values = dict(zip(scorer.names, scorer.values(), strict=True))
    assert 0 < values["competition_map50"] < 1
    assert np.isnan(values["map"])


# Whole comparisons


def test_one_factor_over_two_seeds(space):
    comparison = compare(space, "base", "mosaic")
    assert [difference.key for difference in comparison.differing] == ["config.augment.mosaic"]
    assert comparison.warnings == ()
    assert comparison.seeds == ((42, 43), (42, 43))
    row = comparison.bases[0].row("competition_map50")
    finals = {}
    for name in ("base", "mosaic"):
        files = [space.run_paths(f"{name}-seed{seed}").finished_json for seed in (42, 43)]
        scores = [json.loads(file.read_text())["val"]["competition_map50"] for file in files]
        finals[name] = sum(scores) / 2
    assert row.base == pytest.approx(finals["base"])
    assert row.other == pytest.approx(finals["mosaic"])
    assert row.difference == pytest.approx(finals["mosaic"] - finals["base"])
    assert row.over_images.low <= row.difference <= row.over_images.high
    assert row.base_seeds is not None
    assert comparison.bases[0].title == "at equal epochs (3)"
    assert comparison.bases[1].title == "at equal training time (30 s)"


def test_a_run_against_its_own_copy_is_not_established(space):
    space.add_run("twin-seed42", seed=42)
    comparison = compare(space, "base-seed42", "twin-seed42")
    row = comparison.bases[0].row("map")
    assert row.difference == 0
    assert row.over_images == (0, 0)
    assert row.verdict == "not established"
    assert any("nothing differs but the seed" in warning for warning in comparison.warnings)


def test_one_seed_says_that_retraining_was_not_measured(space):
    comparison = compare(space, "base-seed42", "mosaic-seed42")
    assert comparison.bases[0].row("competition_map50").verdict == "higher"
    assert comparison.bases[0].row("competition_map50").over_seeds is None
    assert any("one seed" in note for note in comparison.bases[0].notes)


def test_metrics_stand_in_where_predictions_are_missing(space):
    space.add_run("unpredicted-seed42", predict=False, config={"augment.flip": 0.0})
    comparison = compare(space, "base-seed42", "unpredicted-seed42")
    row = comparison.bases[0].row("competition_map50")
    assert row.over_images is None
    assert row.verdict == "not established"
    assert any("models predict" in note for note in comparison.bases[0].notes)


# The three regrets


def test_regret_two_things_changed_at_once_is_flagged(space):
    changes = {"augment.mosaic": 0.5, "optimizer.lr": 0.02}
    space.add_run("both-seed42", config=changes)
    comparison = compare(space, "base-seed42", "both-seed42")
    assert comparison.warnings[0].startswith("2 factors differ (augment.mosaic, optimizer)")
    runner = CliRunner()
    outcome = runner.invoke(
        main,
        ["compare", "base-seed42", "both-seed42", "--work", str(space.work), "--samples", "100"],
    )
    assert outcome.exit_code == 0
    assert "2 factors differ (augment.mosaic, optimizer)" in outcome.output
    assert "config.optimizer.lr: 0.01 -> 0.02" in outcome.output


def test_regret_different_epochs_are_flagged_and_compared_at_the_common_one(space):
    # Twice the epochs at half the time each: equal epochs and equal time are different questions.
    space.add_run("long-seed42", epochs=6, seconds_per_epoch=5.0)
    comparison = compare(space, "base-seed42", "long-seed42")
    assert any("different epochs (3 and 6)" in warning for warning in comparison.warnings)
    epochs, time = comparison.bases
    assert epochs.title == "at equal epochs (3)"
    lines = [
        json.loads(line)
        for line in space.run_paths("long-seed42").metrics_jsonl.read_text().splitlines()
    ]
    scores = [line["val"]["competition_map50"] for line in lines if line["kind"] == "epoch"]
    # Of the first three epochs the one whose weights training would have kept.
    assert epochs.row("competition_map50").other == pytest.approx(max(scores[:3]))
    assert max(scores[:3]) < max(scores)
    assert any("mid-schedule" in note for note in epochs.notes)
    # 3 epochs of 10 s each against 6 of 5 s each: both took 30 s, so the last scores count.
    assert time.title == "at equal training time (30 s)"
    assert time.row("competition_map50").other == pytest.approx(max(scores))


def test_regret_leaked_validation_set_is_marked_everywhere(space):
    teachers = tuple(space.val.file_names[:5])
    space.add_run("leaky-seed42", teachers=teachers, config={"augment.mosaic": 0.5})
    comparison = compare(space, "base-seed42", "leaky-seed42")
    assert "5 of the 30 images" in comparison.leaked["leaky-seed42/fold3"][0]
    for basis in comparison.bases:
        assert {row.verdict for row in basis.rows} == {"LEAKED"}
    outcome = CliRunner().invoke(
        main, ["compare", "base-seed42", "leaky-seed42", "--work", str(space.work)]
    )
    assert "LEAKED leaky-seed42/fold3" in outcome.output


def test_forced_leak_recorded_in_the_run_is_marked(space):
    space.add_run("forced-seed42", leaked=("forced: teacher saw fold 3",))
    comparison = compare(space, "base-seed42", "forced-seed42")
    assert comparison.leaked == {"forced-seed42/fold3": ("forced: teacher saw fold 3",)}


# Training time, mistakes


def test_equal_time_takes_the_last_epoch_within_the_shorter_run(space):
    # 3 epochs of 10 s against 3 of 20 s: within 30 s the slow run has done one epoch.
    space.add_run("slow-seed42", seconds_per_epoch=20.0)
    comparison = compare(space, "base-seed42", "slow-seed42")
    time = comparison.bases[1]
    lines = space.run_paths("slow-seed42").metrics_jsonl.read_text().splitlines()
    first = next(r for r in map(json.loads, lines) if r["kind"] == "epoch")
    assert time.row("map").other == pytest.approx(first["val"]["map"])
    assert any("of later epochs" in note for note in time.notes)
    assert time.row("map").over_images is None


def test_predictions_kept_per_epoch_give_an_interval_at_equal_time(space):
    space.add_run("kept-seed42", seconds_per_epoch=20.0, keep_epochs=True)
    row = compare(space, "base-seed42", "kept-seed42").bases[1].row("competition_map50")
    first = space.run_paths("kept-seed42").metrics_jsonl.read_text().splitlines()
    first = next(r for r in map(json.loads, first) if r["kind"] == "epoch")
    assert row.other == pytest.approx(first["val"]["competition_map50"])
    assert row.over_images.high < 0
    assert row.verdict == "lower"


def test_other_epochs_for_equal_time_are_no_second_factor(space):
    # 30 s each: three epochs of 10 s, or six of 5 s with the milestones moved in proportion.
    changes = {"augment.mosaic": 0.5, "epochs": 6, "schedule.milestones": [32, 44]}
    space.add_run("budget-seed42", epochs=6, seconds_per_epoch=5.0, config=changes)
    comparison = compare(space, "base-seed42", "budget-seed42")
    assert {d.factor for d in comparison.differing} == {"augment.mosaic", "epochs"}
    assert not any("factors differ" in warning for warning in comparison.warnings)
    # Twice the time is a second cause.
    space.add_run("longer-seed42", epochs=6, seconds_per_epoch=10.0, config=changes)
    comparison = compare(space, "base-seed42", "longer-seed42")
    assert any("2 factors differ" in warning for warning in comparison.warnings)


def test_no_epoch_within_the_time_is_said(space):
    space.add_run("glacial-seed42", seconds_per_epoch=31.0)
    time = compare(space, "base-seed42", "glacial-seed42").bases[1]
    assert time.rows == ()
    assert "had no epoch done by then" in time.notes[0]


def test_torn_last_line_is_counted(space):
    paths = space.add_run("torn-seed42")
    with open(paths.metrics_jsonl, "a") as file:
        file.write('{"kind": "step", "epo')
    run = find_group("torn-seed42", space.work).runs[0]
    assert run.torn_lines == 1
    assert run.last_epoch == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["base-seed42"], "one run is not a comparison"),
        (["base-seed42", "nothing"], "there is no run 'nothing'"),
    ],
    ids=["one run", "unknown run"],
)
def test_mistakes_exit_2(space, arguments, message):
    outcome = CliRunner().invoke(main, ["compare", *arguments, "--work", str(space.work)])
    assert outcome.exit_code == 2
    assert message in outcome.output
    assert "Traceback" not in outcome.output


def test_run_without_an_epoch_is_refused(space):
    paths = space.add_run("fresh-seed42", finished=False)
    paths.metrics_jsonl.write_text("")
    with pytest.raises(UserError, match="no scored epoch"):
        compare(space, "base-seed42", "fresh-seed42")


def test_json_output_has_the_same_numbers(space, tmp_path):
    out = tmp_path / "comparison.json"
    arguments = ["compare", "base", "mosaic", "--work", str(space.work), "--json-out", str(out)]
    assert CliRunner().invoke(main, [*arguments, "--samples", "200"]).exit_code == 0
    written = json.loads(out.read_text())[0]
    row = compare(space, "base", "mosaic").bases[0].row("map")
    assert written["bases"][0]["rows"][1]["difference"] == pytest.approx(row.difference)
