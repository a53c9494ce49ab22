"""The command line of submit: good runs, and every mistake as one message with status 2."""

from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from data_tools.coco.dataset import write_coco
from data_tools.predictions.files import read_predictions, write_predictions
from data_tools.predictions.provenance import Provenance
from submit.cli import main
from tests.builders.scoring_cases import dataset, predictions

TRUTH = dataset(2, [(1, 1, [10.0, 10.0, 10.0, 10.0]), (2, 2, [10.0, 10.0, 10.0, 10.0])])
ROWS = [
    (1, 1, 0.5, [10.0, 10.0, 20.0, 20.0]),
    (1, 2, 0.9, [90.0, 90.0, 120.0, 110.0]),  # reaches over the image of 100 x 100
    (1, 1, 0.1, [-30.0, 5.0, -20.0, 9.0]),  # wholly outside
]


@pytest.fixture
def files(tmp_path):
    """A truth file and a prediction file for it."""
    write_coco(tmp_path / "truth.json", TRUTH)
    table = predictions(TRUTH, ROWS)
    table = replace(table, provenance=Provenance(dataset=TRUTH.fingerprint, run="tood"))
    write_predictions(tmp_path / "val.parquet", table)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def mistake(result):
    """Return the message of a run that must have ended as a user's mistake."""
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return result.output


def write(files, *options, source="val.parquet"):
    return run("write", files / source, "--images", files / "truth.json", "--out",
               files / "out.csv", *options)  # fmt: skip


def test_write_orders_cuts_and_counts(files):
    result = write(files)
    assert result.exit_code == 0, result.output
    assert (files / "out.csv").read_text() == (
        "PredictionString,image_id\n"
        "2 0.9 90.0 90.0 100.0 100.0 1 0.5 10.0 10.0 20.0 20.0 ,test/0001.jpg\n"
        ",test/0002.jpg\n"
    )
    assert "2 images (1 without boxes), 2 boxes" in result.output
    assert "1 boxes cut to the image" in result.output
    assert "1 boxes dropped, nothing of them was inside the image" in result.output


def test_write_does_not_replace_what_it_reads(files):
    before = (files / "truth.json").read_bytes()
    result = run("write", files / "val.parquet", "--images", files / "truth.json",
                 "--out", files / "truth.json")  # fmt: skip
    assert "the output would replace a file that is read" in mistake(result)
    assert (files / "truth.json").read_bytes() == before


def test_write_counts_what_the_user_leaves_out(files):
    result = write(files, "--score-floor", "0.6", "--max-per-image", "1")
    assert "1 boxes left out below the score floor" in result.output
    result = write(files, "--coordinate-digits", "0", "--max-per-image", "1")
    assert "1 boxes left out beyond the cap per image" in result.output
    assert "2 0.9 90 90 100 100 ,test/0001.jpg" in (files / "out.csv").read_text()


def test_write_of_empty_predictions_lists_every_image(files):
    write_predictions(files / "none.parquet", predictions(TRUTH))
    result = write(files, source="none.parquet")
    assert result.exit_code == 0
    assert "2 images (2 without boxes), 0 boxes" in result.output
    assert (files / "out.csv").read_text().count("\n") == 3


def test_write_for_a_file_of_images_only(files):
    write_coco(files / "truth.json", replace(TRUTH, categories=(), annotations=()))
    for name in ("aistages", "rows", "coco"):
        result = write(files, "--format", name)
        assert result.exit_code == 0, result.output
        result = run("check", files / "out.csv", "--images", files / "truth.json", "--format", name)
        assert result.exit_code == 0, result.output
    assert '"category_id": 2' in (files / "out.csv").read_text()


def test_score_prints_and_writes_both_metrics(files):
    out = files / "score.json"
    result = run("score", files / "val.parquet", "--truth", files / "truth.json", "--json-out", out,
                 "--samples", "20", "--disagree")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "competition_map50 0.5000  [" in result.output
    assert "boxes are judged differently" in result.output
    value = json.loads(out.read_text())
    # Class 1 is found, class 2 is not.
    assert value["competition_map50"] == 0.5
    assert value["members"] == ["tood"]
    assert value["intervals"]["competition_map50"]["samples"] == 20


def test_score_of_the_written_file_is_that_of_the_boxes_in_any_format(files):
    for name in ("aistages", "kaggle", "rows", "coco"):
        assert write(files, "--format", name).exit_code == 0
        result = run("score", files / "out.csv", "--truth", files / "truth.json", "--samples",
                     "0", "--format", name)  # fmt: skip
        assert "competition_map50 0.5000\n" in result.output


def test_images_that_a_csv_leaves_out_are_told(files):
    write(files)
    lines = (files / "out.csv").read_text().splitlines()
    (files / "out.csv").write_text("\n".join(lines[:2]) + "\n")
    result = run("score", files / "out.csv", "--truth", files / "truth.json")
    assert result.exit_code == 0
    assert "note: 1 images have no row in the file" in result.output
    assert "have no row" not in run(
        "score", files / "val.parquet", "--truth", files / "truth.json"
    ).output  # fmt: skip


def test_leaked_scores_say_so_beside_the_figure(files):
    provenance = Provenance(dataset=TRUTH.fingerprint, train_file_names=("test/0001.jpg",))
    table = replace(read_predictions(files / "val.parquet"), provenance=provenance)
    write_predictions(files / "val.parquet", table)
    for command in ("score", "plan", "diagnose"):
        result = run(command, files / "val.parquet", "--truth", files / "truth.json")
        assert "LEAKED: 1 of 2 scored images were trained on" in result.output, command
    result = run("score", files / "val.parquet", "--truth", files / "truth.json")
    (line,) = [line for line in result.output.splitlines() if "competition_map50 0" in line]
    assert line.endswith("LEAKED")


def test_formats_lists_built_in_and_own(tmp_path):
    (tmp_path / "own.yaml").write_text("mine:\n  description: my own\n  row_per: coco_json\n")
    result = run("formats", "--format-file", tmp_path / "own.yaml")
    assert result.exit_code == 0
    assert "aistages" in result.output
    assert "my own" in result.output


def test_missing_files_are_named(files):
    assert "does not exist" in mistake(write(files, source="none.parquet"))
    result = run("score", files / "val.parquet", "--truth", files / "none.json")
    assert "none.json" in mistake(result)


def test_truncated_json_is_named(files):
    text = (files / "truth.json").read_text()
    (files / "truth.json").write_text(text[: len(text) // 2])
    message = mistake(write(files))
    assert "not valid JSON" in message
    assert "truth.json" in message
    assert not (files / "out.csv").exists()


def test_truncated_predictions_are_named(files):
    content = (files / "val.parquet").read_bytes()
    (files / "val.parquet").write_bytes(content[: len(content) // 2])
    assert "not valid Parquet" in mistake(write(files))


def test_predictions_of_another_dataset_are_refused(files):
    write_coco(files / "truth.json", dataset(3, [(1, 1, [1.0, 1.0, 5.0, 5.0])]))
    for result in (write(files), run("score", files / "val.parquet", "--truth",
                                     files / "truth.json")):  # fmt: skip
        assert "the predictions were made for another dataset: 2 images" in mistake(result)
    assert not (files / "out.csv").exists()


def test_same_image_ids_of_another_dataset_are_refused(files):
    write_coco(files / "truth.json", dataset(2, [(1, 1, [1.0, 1.0, 5.0, 5.0])], size_wh=(64, 64)))
    assert "another dataset" in mistake(write(files))


def test_labels_of_another_dataset_are_refused(files):
    write_predictions(files / "val.parquet", predictions(TRUTH, [(1, 7, 0.5, [1, 1, 5, 5])]))
    message = mistake(write(files))
    assert "1 boxes have a label that is no class of the dataset, the first is 7" in message
    assert "one of [1, 2]" in message


def test_scoring_against_images_without_truth_is_refused(files):
    write_coco(files / "truth.json", dataset(2))
    result = run("score", files / "val.parquet", "--truth", files / "truth.json")
    assert "nothing to score against" in mistake(result)


def test_unknown_command_option_and_format_list_what_exists(files):
    message = mistake(run("wirte"))
    assert "the commands are: check, diagnose, formats, log, plan, score, table, write" in message
    assert "--bootstrp" in mistake(run("score", "x", "--truth", "y", "--bootstrp", "3"))
    assert "aistages, kaggle" in mistake(write(files, "--format", "kagle"))


def test_output_below_a_file_is_refused(files):
    (files / "plain").write_text("")
    result = run("write", files / "val.parquet", "--images", files / "truth.json", "--out",
                 files / "plain" / "out.csv")  # fmt: skip
    assert "file" in mistake(result).lower()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_full_disk_or_no_permission_leaves_the_old_file_and_nothing_else(
    files, monkeypatch, number
):
    (files / "out.csv").write_text("old")
    before = sorted(path.name for path in files.iterdir())

    def half_written(path, content):
        with open(path, "wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(number, "refused", str(path))

    monkeypatch.setattr(Path, "write_bytes", half_written)
    message = mistake(write(files))
    assert "next:" in message
    assert (files / "out.csv").read_text() == "old"
    assert sorted(path.name for path in files.iterdir()) == before


@pytest.mark.parametrize("command", ["write", "check", "score", "plan", "log", "diagnose", "table"])
def test_help_shows_examples(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"python -m submit {command}" in result.output


def test_module_runs_and_help_loads_nothing_heavy(repository):
    code = (
        "import sys, submit.cli;"
        "heavy = {'numpy', 'pandas', 'numba', 'polars', 'pyarrow', 'torch'} & set(sys.modules);"
        "print(sorted(heavy)); sys.exit(bool(heavy))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True,
                            text=True, check=False)  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    result = subprocess.run([sys.executable, "-m", "submit", "--help"], cwd=repository,
                            capture_output=True, text=True, check=False)  # fmt: skip
    assert result.returncode == 0
    assert "Write, check and score submissions" in result.stdout


@pytest.mark.parametrize("floor", ["nan", "5", "-0.1"])
def test_a_score_floor_that_is_no_score_is_refused(files, floor):
    assert "--score-floor is" in mistake(write(files, "--score-floor", floor))
    assert not (files / "out.csv").exists()


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [("score", "--seed", "-1"), ("score", "--samples", "-1"), ("log", "--per-day", "0")],
)
def test_numbers_out_of_range_are_refused(files, command, option, value):
    arguments = ("log",) if command == "log" else ("score", files / "val.parquet", "--truth",
                                                   files / "truth.json")  # fmt: skip
    assert f"Invalid value for '{option}'" in mistake(run(*arguments, option, value))


def test_columns_of_the_table_stand_under_their_heads(files):
    result = run("score", files / "val.parquet", "--truth", files / "truth.json")
    lines = result.output.splitlines()
    head = next(place for place, line in enumerate(lines) if "competition_ap50" in line)
    ends = [match.end() for match in re.finditer(r"\S+", lines[head])][1:]
    for line in lines[head + 1 : head + 3]:
        assert [match.end() for match in re.finditer(r"\S+", line)][1:] == ends


def test_packed_coco_results_read_back(files):
    out = files / "out.json.gz"
    result = run("write", files / "val.parquet", "--images", files / "truth.json", "--out", out,
                 "--format", "coco")  # fmt: skip
    assert result.exit_code == 0
    assert len(read_predictions(out, TRUTH)) == 2


@pytest.mark.parametrize("key", ["name", "position"])
def test_a_format_of_names_or_positions_needs_the_classes(files, key):
    """Of the labels in use alone nobody can say which class is the first, or what it is called."""
    write_coco(files / "test.json", replace(TRUTH, categories=(), annotations=()))
    (files / "own.yaml").write_text(
        "own:\n  columns: [image, boxes]\n  image_column: image\n  prediction_column: boxes\n"
        f"  label_key: {key}\n  fields: [label, score, xmin, ymin, xmax, ymax]\n"
    )
    own = ("--images", files / "test.json", "--format-file", files / "own.yaml", "--format", "own")
    message = mistake(run("write", files / "val.parquet", *own, "--out", files / "out.csv"))
    assert f"the file lists no classes, but format 'own' writes the {key} of each" in message
    assert not (files / "out.csv").exists()
    (files / "out.csv").write_text("image,boxes\n")
    assert "the file lists no classes" in mistake(run("check", files / "out.csv", *own))


def test_a_single_class_without_label_needs_no_classes(files):
    images = replace(TRUTH, categories=(), annotations=())
    write_coco(files / "test.json", images)
    write_predictions(files / "one.parquet", predictions(images, ROWS[:1]))
    options = ("--images", files / "test.json", "--format", "kaggle_xywh")
    done = run("write", files / "one.parquet", *options, "--out", files / "out.csv")
    assert done.exit_code == 0, done.output
    checked = run("check", files / "out.csv", *options)
    assert checked.exit_code == 0, checked.output
