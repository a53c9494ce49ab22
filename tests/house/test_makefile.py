"""The front door, used as a person uses it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.builders.demo import copy_checkout, run_in

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def clone(tmp_path):
    root = tmp_path / "a clone"
    copy_checkout(REPOSITORY, root)
    return root


def test_make_alone_prints_help_with_every_documented_rule(clone):
    done = run_in(clone, "make")
    rules = re.findall(r"^([a-z-]+):.*## ", (clone / "Makefile").read_text(), re.MULTILINE)
    assert done.returncode == 0
    assert {"train", "pseudo", "submit", "test"} <= set(rules)
    for rule in rules:
        assert f"make {rule} " in done.stdout


def test_submit_on_a_new_clone_draws_the_sample_and_trains_the_three(clone):
    planned = run_in(clone, "make", "-n", "submit").stdout
    steps = re.findall(r"-m (data_tools \w+|models \w+|ensemble \w+|submit \w+)", planned)
    assert steps[:3] == ["data_tools sample", "data_tools claim", "data_tools split"]
    assert steps.count("models train") == 3
    assert steps.count("models predict") == 3
    assert steps[-2:] == ["submit check", "submit score"]
    for model in ("tood_dcn", "yolox", "retinanet"):
        assert f"models train {model} --name {model} " in planned


def test_train_names_the_run_by_what_changed(clone):
    planned = run_in(clone, "make", "-n", "train", "MODEL=tood_dcn", "PSEUDO=1", "MOSAIC=0.5")
    assert "train tood_dcn --name tood_dcn-pseudo1-mosaic0.5 " in planned.stdout
    assert "--mosaic 0.5" in planned.stdout
    assert '--pseudo "work/pseudo/round1/train_3.json"' in planned.stdout
    assert "data_tools pseudo --train" in planned.stdout


def test_train_without_options_is_the_plain_model(clone):
    planned = run_in(clone, "make", "-n", "train", "MODEL=yolox").stdout
    assert "train yolox --name yolox " in planned
    assert "--mosaic" not in planned
    assert "--pseudo" not in planned


def test_several_gpus_are_handed_on(clone):
    assert "--gpus 4" in run_in(clone, "make", "-n", "train", "GPUS=4").stdout
    assert "--gpus" not in run_in(clone, "make", "-n", "train").stdout


def test_real_data_without_a_run_says_what_to_train(clone):
    (clone / "data").mkdir()
    for name in ("train.json", "test.json"):
        (clone / "data" / name).write_text('{"images": [], "annotations": [], "categories": []}')
    (clone / "work" / "folds").mkdir(parents=True)
    (clone / "work" / "folds" / "split.json").write_text("{}")
    done = run_in(clone, "make", "submit")
    assert done.returncode == 2
    assert "Train one first: make train MODEL=tood_dcn" in done.stderr


def test_a_missing_data_folder_is_named(clone):
    done = run_in(clone, "make", "split", "DATA=no such folder")
    assert done.returncode == 2
    assert "Put train.json, test.json and the images into no such folder/" in done.stderr


def test_only_a_changed_requirement_installs_again(clone):
    assert "pip install" not in run_in(clone, "make", "-n", "setup").stdout
    with (clone / "requirements.txt").open("a") as requirements:
        requirements.write("# changed\n")
    assert "pip install" in run_in(clone, "make", "-n", "setup").stdout


def test_ci_lints_and_runs_the_command_of_the_readme():
    script = (REPOSITORY / ".ci" / "run").read_text()
    assert re.search(r"^make lint$", script, re.MULTILINE)
    assert script.rstrip().endswith("make test")
    assert "make test" in (REPOSITORY / "README.md").read_text()


@pytest.mark.slow
def test_submit_writes_every_test_image_and_prints_every_score(demo):
    lines = (demo.root / "work" / "submission.csv").read_text().splitlines()
    assert lines[0] == "PredictionString,image_id"
    assert len(lines) == 1 + 12
    for name in ("tood_dcn", "yolox", "retinanet", "competition_map50"):
        assert name in demo.first_output
    assert "Hand in: work/submission.csv" in demo.first_output


@pytest.mark.slow
def test_a_second_submit_does_nothing_twice(demo):
    for step in ("data_tools sample", "data_tools split", "models train", "models predict"):
        assert step in demo.first_output
        assert step not in demo.second_output
    assert "ensemble fuse" not in demo.second_output
    assert "competition_map50" in demo.second_output


@pytest.mark.slow
def test_a_changed_threshold_fuses_again_without_training(demo, tmp_path):
    root = demo.copy_to(tmp_path / "copy of it")
    done = run_in(root, "make", "submit", "IOU=0.5")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "--iou 0.5" in done.stdout
    assert "models train" not in done.stdout


@pytest.mark.slow
def test_pseudo_labels_and_a_student_in_the_users_own_words(demo, tmp_path):
    root = demo.copy_to(tmp_path / "copy of it")
    for command in (
        ["make", "pseudo"],
        ["make", "train", "MODEL=tood_dcn", "PSEUDO=1", "MOSAIC=0.5"],
        ["make", "submit"],
    ):
        done = run_in(root, *command)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert (root / "work/runs/tood_dcn-pseudo1-mosaic0.5/fold3/finished.json").exists()
    assert "tood_dcn-pseudo1-mosaic0.5" in done.stdout


def test_epochs_trained_to_measure_their_time_are_not_fused(clone):
    for name in ("mosaic-30min-base-seed42", "mosaic-30min-base-seed42-timing"):
        finished = clone / "work/runs" / name / "fold3/finished.json"
        finished.parent.mkdir(parents=True)
        finished.write_text("{}")
    planned = run_in(clone, "make", "-n", "fuse").stdout
    assert "mosaic-30min-base-seed42/fold3" in planned
    assert "timing" not in planned
