"""Planning a smaller submission: costs are real, sizes are real, limits that cost are noticed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from data_tools.coco.dataset import write_coco
from data_tools.ground.errors import UserError
from data_tools.predictions.files import read_predictions, write_predictions
from scoring.metrics.competition import CompetitionMatcher
from submit.cli import main
from submit.plan import TrimSearch, cost_warnings, smallest_trim
from submit.trimming import Trim, trimmed
from submit.write import write_submission
from tests.builders.scoring_cases import dataset, perturbed_truth, predictions

BOX = [10.0, 10.0, 10.0, 10.0]
THERE, AWAY = [10.0, 10.0, 20.0, 20.0], [60.0, 60.0, 80.0, 80.0]


@pytest.fixture
def noisy():
    """Truth of 40 images and six noisy copies of each box, the worse ones scored lower."""
    generator = np.random.default_rng(0)
    corners = generator.uniform(0, 60, (80, 2))
    sides = generator.uniform(15, 35, (80, 2))
    boxes = np.concatenate([corners, sides], axis=1)
    rows = [(place % 40 + 1, place % 2 + 1, box.tolist()) for place, box in enumerate(boxes)]
    truth = dataset(40, rows)
    return truth, perturbed_truth(truth, copies=6, seed=0, score_digits=9)


def test_whole_file_costs_nothing(noisy):
    truth, table = noisy
    expected = CompetitionMatcher.from_predictions(table.sorted_by_score(), truth)
    assert TrimSearch(table, truth).map50(Trim()) == expected.mean_average_precision()


@pytest.mark.parametrize(
    "trim",
    [
        Trim(score_floor=0.5),
        Trim(max_per_image=3),
        Trim(score_digits=1),
        Trim(coordinate_digits=0),
        Trim(0.2, 8, 2, 1),
    ],
)
def test_predicted_score_and_size_are_those_of_the_written_file(noisy, trim, tmp_path):
    truth, table = noisy
    # Inside the image, so that nothing is cut on the way.
    table = replace(table, boxes_xyxy=np.clip(table.boxes_xyxy, 1, 99))
    search = TrimSearch(table, truth)
    write_coco(tmp_path / "truth.json", truth)
    write_predictions(tmp_path / "boxes.parquet", table)
    report = write_submission(
        tmp_path / "boxes.parquet", tmp_path / "truth.json", tmp_path / "out.csv", trim=trim
    )
    written = read_predictions(tmp_path / "out.csv", truth)
    matcher = CompetitionMatcher.from_predictions(written, truth)
    assert report.boxes == len(written) == search.boxes(trim)
    assert search.map50(trim) == pytest.approx(matcher.mean_average_precision(), abs=1e-12)
    lines = (tmp_path / "out.csv").read_text().splitlines()[1:]
    assert search.size(trim) == sum(len(line.split(",")[0]) for line in lines)


def test_search_stays_within_the_loss_and_finds_what_costs_nothing(noisy):
    truth, table = noisy
    search = TrimSearch(table, truth)
    best, result = smallest_trim(search, 0.01)
    assert result["map50_after"] >= result["map50_before"] - 0.01
    assert result["bytes_after"] < result["bytes_before"] / 3
    assert result["options"] == best.options()
    free, result = smallest_trim(search, 0.0)
    assert result["map50_after"] >= result["map50_before"]
    # The next higher floor would cost something.
    higher = table.scores[table.scores > free.score_floor].min()
    tighter = replace(free, score_floor=float(higher))
    next_higher = table.scores[table.scores > higher].min()
    assert search.map50(replace(tighter, score_floor=float(next_higher))) < result["map50_before"]


def test_negative_loss_and_no_boxes_are_refused(noisy):
    truth, table = noisy
    with pytest.raises(UserError, match="the loss is -1"):
        smallest_trim(TrimSearch(table, truth), -1)
    with pytest.raises(UserError, match="no box to plan with"):
        TrimSearch(predictions(truth), truth)


def test_trimmed_keeps_the_best_boxes_and_every_image():
    images = dataset(2)
    table = predictions(images, [(1, 1, 0.2, THERE), (1, 1, 0.9, AWAY), (1, 2, 0.5, THERE)])
    kept = trimmed(table, Trim(max_per_image=2))
    np.testing.assert_allclose(kept.scores, [0.9, 0.5])
    assert kept.image_ids.tolist() == [1, 2]
    np.testing.assert_allclose(trimmed(table, Trim(score_floor=0.5)).scores, [0.9, 0.5])


def test_a_floor_that_costs_recall_is_noticed():
    truth = dataset(2, [(1, 1, BOX), (2, 1, BOX)])
    # Half the truth is found just above the floor of .3: doubling it would lose it.
    table = predictions(truth, [(1, 1, 0.9, THERE), (2, 1, 0.3, THERE)])
    (warning,) = cost_warnings(TrimSearch(table, truth))
    assert "no box is scored below 0.3" in warning
    assert "would cost 0.5000 mAP50" in warning
    table = predictions(truth, [(1, 1, 0.9, THERE), (2, 1, 0.8, THERE), (2, 1, 0.3, AWAY)])
    assert cost_warnings(TrimSearch(table, truth)) == []


def test_a_cap_that_costs_recall_is_noticed():
    truth = dataset(3, [(1, 1, BOX), (2, 1, BOX), (3, 1, BOX)])
    rows = [(image, 1, 0.5, AWAY) for image in (1, 2)] + [
        (image, 1, 0.4, THERE) for image in (1, 2)
    ]
    table = predictions(truth, [*rows, (3, 1, 0.45, THERE), (3, 1, 0.0, AWAY)])
    warnings = cost_warnings(TrimSearch(table, truth))
    assert any("3 images have exactly 2 boxes" in warning for warning in warnings)


def test_command_prints_options_that_write_accepts(noisy, tmp_path):
    truth, table = noisy
    write_coco(tmp_path / "truth.json", truth)
    write_predictions(tmp_path / "boxes.parquet", table)
    files = [str(tmp_path / "boxes.parquet"), "--truth", str(tmp_path / "truth.json")]
    result = CliRunner().invoke(main, ["plan", *files, "--loss", "0.01"])
    assert result.exit_code == 0, result.output
    line = next(line for line in result.output.splitlines() if "submit write ..." in line)
    options = line.split("...")[1].split()
    assert options
    write = ["write", files[0], "--images", files[2], "--out", str(tmp_path / "out.csv"), *options]
    result = CliRunner().invoke(main, write)
    assert result.exit_code == 0, result.output


def test_options_print_the_floor_as_short_as_it_reads_back():
    floor = float(np.float32(0.6))
    assert Trim(score_floor=floor).options() == "--score-floor 0.6"
    assert np.float32("0.6") == np.float32(floor)


@pytest.mark.parametrize("loss", [float("nan"), -0.1, 2.0])
def test_a_loss_that_is_none_is_refused(noisy, loss):
    truth, table = noisy
    with pytest.raises(UserError, match="the loss is"):
        smallest_trim(TrimSearch(table, truth), loss)


def test_the_text_tells_small_files_apart(noisy, tmp_path):
    truth, table = noisy
    write_coco(tmp_path / "truth.json", truth)
    write_predictions(tmp_path / "boxes.parquet", table)
    arguments = ["plan", str(tmp_path / "boxes.parquet"), "--truth", str(tmp_path / "truth.json")]
    before, after = CliRunner().invoke(main, arguments).output.splitlines()[:2]
    result = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).output)
    assert f"{result['bytes_before'] / 1000:.1f} kB" in before
    assert f"{result['bytes_after'] / 1000:.1f} kB" in after
