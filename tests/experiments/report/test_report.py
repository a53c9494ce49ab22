"""The numbers in the report, and what it says when parts are missing or broken."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from data_tools.coco.dataset import CocoDataset
from data_tools.ground.files import write_json
from data_tools.ground.paths import WorkPaths
from data_tools.predictions.files import read_predictions, write_predictions
from data_tools.predictions.table import Predictions, predictions_from_rows
from experiments.cli import main
from experiments.report.gathered.fused_sources import read_fused_sources
from experiments.report.gathered.gather import ScoredPredictions, gather
from experiments.report.page.figures import curve_figures
from experiments.report.page.pictures import crop_uri, picture_uri
from experiments.report.page.render import json_for_script
from experiments.report.sections.confusion import (
    MAX_CROPS,
    cells_with_crops,
)
from experiments.report.sections.error_split import confident_boxes, error_figures
from experiments.report.sections.experiment_tables import experiments_on_disk
from experiments.report.sections.health import (
    annotated_part,
    class_shares,
    count_shares,
    health_section,
    size_shares,
)
from experiments.report.sections.pr_curves import MAX_POINTS, THRESHOLDS, curve_corners, pr_curves
from experiments.report.sections.verdict import why_uneven
from experiments.report.sections.viewer import worst_image_ids
from experiments.report.sections.viewer_images import in_turn
from experiments.report.write import ReportOptions, write_report
from experiments.run_folder import read_runs
from scoring.confusion import confusion_counts, pair_boxes
from scoring.diagnosis import confusion_matrix, error_split
from scoring.score import score
from scoring.uncertainty.bootstrap import ImageScorer
from scoring.uncertainty.intervals import Interval
from tests.builders.experiments_workspace import (
    FOLD,
    Quality,
    Workspace,
    make_fusion,
    make_workspace,
)
from tests.builders.two_images import DOUBLE, HIT, WRONG_CLASS, boxes_of, two_images

WEAK = Quality(found=0.7, jitter=0.1, false_per_image=2.0, confused=0.15)


@pytest.fixture(scope="module")
def space(tmp_path_factory) -> Workspace:
    space = make_workspace(tmp_path_factory.mktemp("report"))
    for number, model in enumerate(("tood_dcn", "yolox")):
        space.add_run(model, model=model, seed=number + 1, quality=WEAK)
    make_fusion(space, ["tood_dcn", "yolox"])
    return space


def scored_of(truth: CocoDataset, rows: list[tuple]) -> ScoredPredictions:
    """Score predictions of rows (image id, label, score, box)."""
    predictions = boxes_of(truth, rows)
    return ScoredPredictions(
        "test", None, predictions, ImageScorer.from_predictions(predictions, truth), ()
    )


# Images shown


def test_worst_images_never_include_a_clean_one():
    truth = two_images()
    scored = scored_of(truth, [HIT, (1, 9, 0.9, (50, 50, 70, 70))])
    assert worst_image_ids(scored, 0.5, 10) == []
    assert worst_image_ids(scored_of(truth, []), 0.5, 10) == [1]


# Confusion


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.3, 0.6])
def test_confusion_counts_are_those_of_the_scorer(space, threshold):
    material = gather(space.work, space.data)
    for scored in material.scored:
        counts = confusion_counts(pair_boxes(scored.predictions, material.truth, threshold), 4)
        expected = confusion_matrix(scored.predictions, material.truth, score_threshold=threshold)
        assert counts.tolist() == expected["matrix"].tolist()


# Precision and recall


def test_curves_and_grid_by_hand():
    scored = scored_of(two_images(), [HIT, DOUBLE, WRONG_CLASS])
    five = pr_curves([scored])[0]["classes"][0]
    assert (five["name"], five["truth"]) == ("five", 1)
    assert five["precision"] == [1, 0.5, round(1 / 3, 4)]
    assert five["recall"] == [1, 1, 1]
    pairs = list(zip(five["found"], five["seen"], strict=True))
    at = {round(float(t), 2): pair for t, pair in zip(THRESHOLDS, pairs, strict=True)}
    assert at[0.0] == (1, 3)
    assert at[0.75] == (1, 2)
    assert at[0.9] == (1, 1)  # a box with exactly the threshold's score counts
    assert at[0.91] == (0, 0)


def test_thinned_curves_keep_both_ends_and_true_points(space):
    material = gather(space.work, space.data)
    for curves in pr_curves(material.scored):
        for entry in curves["classes"]:
            assert len(entry["score"]) <= MAX_POINTS
            assert entry["recall"] == sorted(entry["recall"])
            assert entry["score"] == sorted(entry["score"], reverse=True)
            assert entry["recall"][-1] == round(entry["found"][0] / entry["truth"], 4)


def test_curves_do_not_cut_the_corner_before_a_hit():
    # A hit, 199 false ones, a hit: precision falls to 1/200 at recall 1/2, then rises to 2/201.
    found = np.array([1] * 200 + [2])
    assert curve_corners(found).tolist() == [0, 199, 200]
    assert curve_corners(found[:50]).tolist() == list(range(50))
    assert curve_corners(np.zeros(0, int)).tolist() == []
    many = np.cumsum(np.arange(100_000) % 7 == 0)
    kept = curve_corners(many)
    assert len(kept) <= MAX_POINTS and kept[0] == 0 and kept[-1] == 99_999


# Errors


def test_errors_are_counted_among_confident_boxes(space):
    material = gather(space.work, space.data)
    gains, counts = error_figures(material.scored, material.truth)
    scored = material.scored[0]
    kept = confident_boxes(scored)
    assert kept.scores.min() >= np.float32(scored.best_f1_threshold)
    assert 0 < len(kept) < len(scored.predictions)
    split = error_split(kept, material.truth)["counts"]
    assert counts["data"][0]["x"] == list(split.values())
    every = error_split(scored.predictions, material.truth)["ap50_gain"]
    assert gains["data"][0]["x"] == pytest.approx(list(every.values()), abs=1e-5)


# Split health


def test_shares_by_hand():
    truth = two_images()
    part = annotated_part("train", truth)
    assert class_shares(part).tolist() == [0.5, 0.5]
    # Boxes of 10 and 20 px side in images of 100 px.
    assert sorted(part.measures.size) == pytest.approx([0.1, 0.2])
    assert size_shares(part).sum() == pytest.approx(1)
    # One image with two boxes, one without.
    assert count_shares(part)[:3].tolist() == [0.5, 0, 0.5]


def test_health_of_a_part_without_boxes():
    truth = two_images()
    empty = truth.subset([2])
    section = health_section(
        [annotated_part("train", truth), annotated_part("valid", empty)], truth
    )
    assert section["summary"][1] == ["valid", "1", "0", "0.00", "1", "-"]
    assert section["distances"][0] == ["Share of boxes by class", "valid", "-"]


def test_health_tells_the_distances_of_the_search_for_a_split():
    truth = two_images()
    parts = [annotated_part(name, truth.subset(ids)) for name, ids in (("a", [1, 2]), ("b", [1]))]
    found = health_section(parts, truth)["distances"]
    # The same boxes; half of a's images have none, all of b's have two.
    assert [row[2] for row in found] == ["0.000", "0.000", "0.500"]


# Pictures


def test_unreadable_pictures_are_none(tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    assert picture_uri(tmp_path / "missing.jpg") is None
    assert picture_uri(broken) is None
    assert crop_uri(broken, (0, 0, 5, 5)) is None


def test_crop_outside_the_picture_is_none(space):
    path = space.data / space.val.file_names[0]
    assert crop_uri(path, (10, 10, 40, 40)).startswith("data:image/jpeg;base64,")
    assert crop_uri(path, (900, 900, 950, 950)) is None


# Curves


def test_curves_count_epochs_from_the_steps(space):
    figures = curve_figures(read_runs(space.work))
    assert [figure["title"] for figure in figures][:2] == ["Training loss", "Learning rate"]
    trace = figures[0]["data"][0]
    # Four steps per epoch, three epochs: 1/4, 2/4, ... 3.
    assert trace["x"] == [step / 4 for step in range(1, 13)]
    assert figures[2]["data"][0]["x"] == [1, 2, 3]


def test_a_run_has_the_colour_of_its_predictions(space):
    first, second = read_runs(space.work)
    for figure in curve_figures([first, second], {"fusion": 0, "other": 1, second.name: 2}):
        # The first is not among the predictions: the next free colour.
        assert [trace["colour"] for trace in figure["data"]] == [3, 2]


# Fused sources


def test_every_fused_box_has_sources_that_exist(space):
    material = gather(space.work, space.data)
    notes: list[str] = []
    sources = read_fused_sources(material.fusion, material.members, notes)
    assert notes == []
    assert set(sources) == set(range(len(material.fusion.predictions)))
    by_name = {member.name: member.predictions for member in material.members}
    image_of_row = material.fusion.predictions.image_id_of_row
    for row, entries in list(sources.items())[:50]:
        for entry in entries:
            member = by_name[entry["member"]]
            place = member.rows(int(image_of_row[row])).start + entry["index"]
            assert member.scores[place] == pytest.approx(entry["score"], abs=1e-4)


def test_sources_of_another_fusion_are_not_shown_and_it_is_said(space, tmp_path):
    work = tmp_path / "work"
    shutil.copytree(space.work, work)
    material = gather(work, space.data)
    # As after a kill between the two files: the fused boxes are another fusion's.
    kept = np.arange(len(material.fusion.predictions)) % 2 == 0
    write_predictions(material.fusion.path, material.fusion.predictions.filtered(kept))
    notes: list[str] = []
    assert read_fused_sources(gather(work, space.data).fusion, material.members, notes) is None
    assert len(notes) == 1
    assert "val.sources.parquet belongs to another fusion than" in notes[0]


# The whole page


def report(space, tmp_path, **options):
    out = tmp_path / "report.html"
    chosen = ReportOptions(space.data, space.work, image_count=4, samples=100, **options)
    return write_report(out, chosen), out.read_text(encoding="utf-8")


def page_data(page: str) -> dict:
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL).group(1))


def test_headline_is_the_scorers_number(space, tmp_path):
    summary, page = report(space, tmp_path)
    fused = read_predictions(WorkPaths(space.work).fused("val"), space.val)
    expected = score(fused, space.val)["competition_map50"]
    assert f"competition mAP50 {expected:.4f} [" in summary.verdict
    assert f"{expected:.4f}" in page
    assert summary.megabytes < 20


def test_an_uneven_interval_is_explained():
    assert why_uneven(0.5, None) == ""
    assert why_uneven(0.5, Interval(0.4, 0.6)) == ""
    assert "resampling lifts the score" in why_uneven(0.5, Interval(0.45, 0.6))


def test_change_against_the_last_best(space, tmp_path):
    _, first = report(space, tmp_path)
    assert "The first best" in first
    worse = read_predictions(WorkPaths(space.work).fused("val"), space.val)
    history = json.loads((WorkPaths(space.work).history / "history.json").read_text())
    assert [entry["score"] for entry in history] == [
        pytest.approx(score(worse, space.val)["competition_map50"])
    ]
    # A perfect run appears: its change is 1 minus the earlier best.
    perfect = predictions_from_rows(
        space.val.image_ids,
        space.val.annotation_image_ids,
        space.val.labels,
        np.ones(len(space.val.labels)),
        space.val.boxes_xyxy,
        provenance=worse.provenance,
    )
    path = WorkPaths(space.work).fused("val")
    kept = path.read_bytes()
    write_predictions(path, perfect)
    try:
        _, second = report(space, tmp_path)
    finally:
        path.write_bytes(kept)
    change = 1 - history[0]["score"]
    assert f"{change:+.4f} [" in second
    assert ": higher." in second


def test_leaked_predictions_are_marked_and_never_remembered(space, tmp_path):
    work = space.work
    leaky = make_workspace(tmp_path / "leaky", train=4, val=10, test=2)
    leaky.add_run("tood", quality=WEAK, teachers=tuple(leaky.val.file_names[:4]))
    summary, page = report(leaky, tmp_path)
    assert summary.verdict.startswith("LEAKED. tood/fold3")
    assert "4 of the 10 images it is scored on were seen in training" in page
    assert not WorkPaths(leaky.work).history.exists()
    assert work != leaky.work


def test_a_clean_best_goes_before_a_leaking_one(tmp_path):
    space = make_workspace(tmp_path / "mixed", train=4, val=10, test=2)
    space.add_run("clean", quality=WEAK)
    perfect = Quality(found=1, jitter=0, false_per_image=0, confused=0)
    space.add_run("leaky", quality=perfect, leaked=("forced",))
    summary, page = report(space, tmp_path)
    assert summary.verdict.startswith("clean/fold3")
    assert "LEAKED" in page


def test_nothing_is_fetched_from_anywhere(space, tmp_path):
    _, page = report(space, tmp_path)
    head = page.split("<script")[0]
    assert "default-src 'none'" in head
    # Scripts aside: the plot library's code contains the address of its logo's link.
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r'(src|href)="(https?:)?//', markup)
    assert "@import" not in markup
    assert "<script src" not in page


def test_names_cannot_break_out_of_the_page():
    text = json_for_script({"name": "</script><script>alert(1)</script>\u2028"})
    assert "<" not in text
    assert "\u2028" not in text
    assert json.loads(text)["name"].startswith("</script>")


@pytest.mark.parametrize("missing", ["runs", "folds", "ensemble", "data", "everything"])
def test_missing_parts_are_named_not_fatal(tmp_path, missing):
    space = make_workspace(tmp_path / "space", train=4, val=6, test=2)
    space.add_run("tood", quality=WEAK)
    space.add_run("yolox", quality=WEAK, seed=2)
    make_fusion(space, ["tood", "yolox"])
    expected = {
        "runs": "No runs yet",
        "folds": "Nothing to score against yet",
        "ensemble": "No fused validation predictions yet",
        "data": "pictures could not be read",
        "everything": "Nothing to score against yet",
    }[missing]
    targets = {"data": [space.data], "everything": [space.data, space.work]}
    for folder in targets.get(missing, [space.work / missing]):
        folder.rename(tmp_path / f"gone-{folder.name}")
    _, page = report(space, tmp_path)
    assert expected in page


def test_broken_parts_become_notes(tmp_path):
    space = make_workspace(tmp_path / "space", train=4, val=6, test=2)
    space.add_run("tood", quality=WEAK)
    broken = space.add_run("yolox", quality=WEAK)
    broken.config_json.write_text("{")
    other = space.add_run("ssd", quality=WEAK)
    write_predictions(other.predictions("val"), _of_other_images())
    summary, page = report(space, tmp_path)
    assert any("yolox" in note and "not valid JSON" in note for note in summary.notes)
    assert any("another dataset" in note for note in summary.notes)
    assert summary.verdict.startswith("tood/fold3")
    assert page_data(page)["pr"][0]["name"] == "tood/fold3"


@pytest.mark.parametrize("content", ["", "[", "{}", "[{}]", '[{"score": 2}]'])
def test_a_damaged_history_is_said_and_kept(space, tmp_path, content):
    history = WorkPaths(space.work).history_json
    history.parent.mkdir(exist_ok=True)
    history.write_text(content)
    try:
        summary, _ = report(space, tmp_path)
        assert history.read_text() == content
    finally:
        history.unlink()
    (note,) = [note for note in summary.notes if note.startswith("earlier bests are left out: ")]
    assert str(history) in note


def _of_other_images() -> Predictions:
    return predictions_from_rows(
        np.array([1]), np.array([]), np.array([]), np.array([]), np.zeros((0, 4))
    )


def test_no_boxes_at_all(tmp_path):
    space = make_workspace(tmp_path / "space", train=4, val=6, test=2)
    nothing = Quality(found=0, false_per_image=0)
    space.add_run("tood", quality=nothing)
    summary, page = report(space, tmp_path)
    assert "competition mAP50 0.0000" in summary.verdict
    assert page_data(page)["confusion"]["counts"][0][-1] > 0


def test_experiments_are_found_by_name(space, tmp_path):
    space = make_workspace(tmp_path / "space", train=4, val=6, test=2)
    for seed in (42, 43):
        space.add_run(f"dcn-base-seed{seed}", seed=seed)
        space.add_run(f"dcn-dcn-seed{seed}", seed=seed, model="tood_dcn")
    space.add_run("lonely-base-seed42")
    for name in ("dcn-more-dcn", "dcn-30min-base", "dcn-30min-more-dcn"):
        space.add_run(f"{name}-seed42")
    found = experiments_on_disk(tuple(read_runs(space.work)))
    assert [(e.name, [arm.name for arm in e.arms]) for e in found] == [
        ("dcn", ["dcn-dcn", "dcn-more-dcn"]),
        ("dcn-30min", ["dcn-30min-more-dcn"]),
    ]
    assert found[0].base.seeds == (42, 43)
    _, page = report(space, tmp_path)
    assert "Factors that differ: model" in page


def test_the_page_stays_under_its_limit(space, tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.report.write.MAX_PAGE_BYTES", 6_100_000)
    summary, page = report(space, tmp_path)
    assert any("so that the page stays under 20 MB" in note for note in summary.notes)
    shown = page_data(page)
    assert len(page) < 6_100_000
    assert set(shown["pictures"]) == {
        str(image["id"]) for images in shown["viewers"].values() for image in images
    }


def test_many_classes_share_the_crops():
    counts = np.arange(1, 100 * 100 + 1).reshape(100, 100)
    keys = cells_with_crops(counts)
    assert len(keys) == MAX_CROPS
    assert keys[0] == "99,99"
    assert cells_with_crops(np.array([[0, 2], [1, 0]])) == ["0,1", "1,0"]


def test_viewers_take_turns():
    assert in_turn([], []) == []
    assert in_turn([1, 2, 3], [9, 1]) == [1, 9, 2, 3]


def test_report_command(space, tmp_path):
    out = tmp_path / "page.html"
    arguments = ["--work", str(space.work), "--data", str(space.data), "--out", str(out)]
    outcome = CliRunner().invoke(
        main, ["report", *arguments, "--pictures", "2", "--samples", "100"]
    )
    assert outcome.exit_code == 0
    assert f"{out}: " in outcome.output
    assert "competition mAP50" in outcome.output


def test_report_of_an_unknown_fold(space, tmp_path):
    summary, page = report(space, tmp_path, fold=FOLD + 1)
    assert "Nothing to score against yet" in summary.verdict
    assert "val_4.json" in page


def test_the_fold_of_the_fusion_is_shown(tmp_path):
    space = make_workspace(tmp_path, train=4, val=8, test=2)
    space.add_run("tood")
    space.add_run("yolox", model="yolox")
    make_fusion(space, ["tood", "yolox"])
    folds = WorkPaths(space.work)
    folds.val_json(0).write_bytes(folds.train_json(FOLD).read_bytes())
    # Two more runs, of another fold; then none at all, as when they were trained elsewhere.
    for name in ("a", "b", "c"):
        run = space.add_run(name).root
        record = json.loads((run / "run.json").read_text()) | {"fold": 0}
        (run / "run.json").write_text(json.dumps(record))
    assert gather(space.work, space.data).fold == FOLD
    shutil.rmtree(space.work / "runs")
    material = gather(space.work, space.data)
    assert material.fold == FOLD and material.fusion is not None
    folds.fused("val").unlink()
    assert gather(space.work, space.data).fold == 0


def test_an_unwritable_target_exits_2_and_leaves_nothing(space, tmp_path):
    target = tmp_path / "file"
    write_json(target, {})
    arguments = ["--work", str(space.work), "--data", str(space.data), "--samples", "100"]
    outcome = CliRunner().invoke(main, ["report", *arguments, "--out", str(target / "r.html")])
    assert outcome.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
