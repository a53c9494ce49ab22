"""The front door, used as a person uses it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from tests.builders.demo import TINY_TRAINING, copy_checkout, run_in

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
    assert "--pseudo work/pseudo/round1/train_3.json" in planned.stdout
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
    done = run_in(clone, "make", "submit")
    assert done.returncode == 2
    assert "Train one first: make train MODEL=tood_dcn" in done.stderr


def test_a_missing_data_folder_is_named(clone):
    done = run_in(clone, "make", "split", "DATA=no such folder")
    assert done.returncode == 2
    assert "Put train.json, test.json and the images into no such folder/" in done.stderr


def test_only_a_changed_requirement_installs_again(clone):
    assert "setup.sh" not in run_in(clone, "make", "-n", "setup").stdout
    with (clone / "requirements.txt").open("a") as requirements:
        requirements.write("# changed\n")
    assert "setup.sh .venv/installed-" in run_in(clone, "make", "-n", "setup").stdout


def test_an_interpreter_that_does_not_suit_is_refused(clone):
    (clone / ".venv").unlink()
    done = run_in(clone, "make", "setup", "PYTHON=/bin/true $(touch PWNED)")
    assert done.returncode == 2
    assert "is no Python between 3.11 and 3.14" in done.stderr
    assert not (clone / ".venv").exists()
    assert not list(clone.rglob("PWNED"))


def test_without_a_python_the_message_says_what_to_install(clone, tmp_path):
    (clone / ".venv").unlink()
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("make", "bash", "cat", "cksum", "cut", "env", "uname"):
        (tools / tool).symlink_to(shutil.which(tool))
    done = run_in(clone, "make", "submit", environment={"PATH": str(tools)})
    assert done.returncode == 2
    for words in ("Debian, Ubuntu", "Fedora", "macOS", "wsl --install", "make setup PYTHON="):
        assert words in done.stderr


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
    for step in ("split: 5 folds", "train yolox: best epoch", "predict yolox: view plain"):
        assert step in demo.first_output
        assert step not in demo.second_output
    for step in ("train yolox", "predict yolox", "fuse val", "fuse test", "write submission"):
        assert f"{step}: unchanged" in demo.second_output
    assert "competition_map50" in demo.second_output


@pytest.mark.slow
def test_a_copied_and_touched_work_folder_redoes_nothing(demo, tmp_path):
    root = demo.copy_to(tmp_path / "copy of it")
    for path in sorted(root.glob("work/**/*.json")) + sorted(root.glob("work/**/*.pt")):
        path.touch()
    (root / "work").rename(root / "elsewhere")
    planned = run_in(root, "make", "-n", "submit", "WORK=elsewhere").stdout
    steps = re.findall(r"-m (data_tools \w+|models \w+|ensemble \w+|submit \w+)", planned)
    assert steps == ["data_tools claim", "submit table", "submit check", "submit score"]


@pytest.mark.slow
def test_a_changed_threshold_fuses_again_without_training(demo, tmp_path):
    root = demo.copy_to(tmp_path / "copy of it")
    done = run_in(root, "make", "submit", "IOU=0.5", "V=1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("--iou 0.5") == 2
    assert "models train" not in done.stdout


@pytest.mark.slow
def test_another_fusion_in_the_place_of_the_last_is_not_handed_in(demo, tmp_path):
    root = demo.copy_to(tmp_path / "copy of it")
    fuse = [sys.executable, "-m", "ensemble", "fuse", "work/runs/tood_dcn/fold3"]
    done = run_in(root, *fuse, "--images", "data/test.json", "--out", "work/ensemble/test.parquet")
    assert done.returncode == 0, done.stderr
    same = [sys.executable, "-m", "workflow", "same-fusion", "--fold", "3"]
    refused = run_in(root, *same)
    assert refused.returncode == 2
    assert "work/ensemble/test.parquet is not what was fused last" in refused.stderr
    submitted = run_in(root, "make", "submit")
    assert "fuse val: unchanged" in submitted.stdout
    assert "fuse test: unchanged" not in submitted.stdout
    fused = json.loads(run_in(root, *same, "--json").stdout)["members"]
    assert fused == ["retinanet", "tood_dcn", "yolox"]


@pytest.mark.slow
def test_a_finished_run_is_not_taken_for_one_with_other_settings(demo, tmp_path):
    root = demo.copy_to(tmp_path / "copy of it")
    flags = f"{TINY_TRAINING} --epochs 2"
    done = run_in(root, "make", "train", "MODEL=yolox", environment={"TRAIN_FLAGS": flags})
    assert done.returncode == 2
    assert "epochs was 1, is 2" in done.stdout + done.stderr
    assert "make train MODEL=yolox NAME=yolox-2" in done.stderr


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


def test_settings_of_training_make_a_run_of_their_own(clone):
    words = ["MODEL=yolox", "EPOCHS=24", "BATCH=8", "LR=0.005", "SEED=7"]
    planned = run_in(clone, "make", "-n", "train", *words).stdout
    name = "yolox-epochs24-batch8-lr0.005-seed7"
    assert f"train yolox --name {name} " in planned
    assert "--epochs 24 --batch 8 --seed 7 --set optimizer.lr=0.005" in planned
    named = run_in(clone, "make", "-n", "train", *words, "NAME=long").stdout
    assert "train yolox --name long " in named


def test_the_usual_seed_is_no_difference(clone):
    assert "--name yolox " in run_in(clone, "make", "-n", "train", "MODEL=yolox", "SEED=42").stdout


def test_an_unknown_variable_is_refused_with_the_closest_and_the_valid_ones(clone):
    done = run_in(clone, "make", "submit", "EPOCH=24")
    assert done.returncode == 2
    assert "there is no variable 'EPOCH' (did you mean EPOCHS?)" in done.stderr
    assert "TRAIN_FLAGS" in done.stderr
    assert not (clone / "sample").exists()


def test_fusion_options_count_only_when_given(clone):
    planned = run_in(clone, "make", "-n", "fuse", "FUSE_FLAGS=--settings tuned.json").stdout
    assert "--settings tuned.json" in planned
    assert "--iou" not in planned
    assert "--skip" not in planned
    given = run_in(clone, "make", "-n", "fuse", "IOU=0.5", "SKIP=0.1", "WEIGHTS=2,1,1").stdout
    assert "--iou 0.5 --skip 0.1 --weights 2,1,1" in given


def test_the_format_reaches_writing_and_checking(clone):
    planned = run_in(clone, "make", "-n", "submit", "FORMAT=kaggle").stdout.splitlines()
    for command in ("submit write", "submit check"):
        assert all("--format kaggle" in line for line in planned if command in line)
    assert "--format" not in run_in(clone, "make", "-n", "submit").stdout


@pytest.mark.parametrize(
    "name", ["$(touch PWNED)", "$(shell touch PWNED)", "`touch PWNED`", "'; touch PWNED; '", 'a"b']
)
def test_names_are_never_executed(clone, name):
    finished = clone / "work/runs" / name / "fold3/finished.json"
    finished.parent.mkdir(parents=True)
    finished.write_text("{}")
    for words in (["fuse"], ["fuse", f"MEMBERS={name}"], ["train", f"NAME={name}"]):
        done = run_in(clone, "make", *words, "DATA=sample")
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert "letters a to z, digits" in done.stderr
    assert not list(clone.rglob("PWNED"))


@pytest.mark.parametrize("name", ["$(shell touch PWNED)", "a b", "it's", 'a"b', "back\\slash"])
def test_a_folder_may_have_any_name(clone, name):
    planned = run_in(clone, "make", "-n", "split", f"WORK={name}").stdout
    assert f"--out {shlex.quote(f'{name}/folds')}" in planned
    assert not list(clone.rglob("PWNED"))


def test_folds_that_the_user_placed_are_used(clone):
    folds = clone / "work/folds"
    folds.mkdir(parents=True)
    for name in ("train_3.json", "val_3.json"):
        (folds / name).write_text("{}")
    assert "data_tools split" not in run_in(clone, "make", "-n", "train").stdout
    refused = run_in(clone, "make", "-n", "train", "FOLDS=10")
    assert "folds were placed there that the kit did not draw" in refused.stderr
    (folds / "val_3.json").unlink()
    assert "fold 3 has no val_3.json" in run_in(clone, "make", "-n", "train").stderr


def test_training_does_without_test_images_and_a_submission_does_not(clone):
    (clone / "data").mkdir()
    (clone / "data/train.json").write_text("{}")
    planned = run_in(clone, "make", "-n", "train").stdout
    assert "--split val" in planned
    assert "--split test" not in planned
    finished = clone / "work/runs/tood_dcn/fold3/finished.json"
    finished.parent.mkdir(parents=True)
    finished.write_text("{}")
    for rule in ("submit", "pseudo", "fuse"):
        done = run_in(clone, "make", "-n", rule)
        assert done.returncode == 2
        assert "there are no test images" in done.stderr
    assert run_in(clone, "make", "-n", "score").returncode == 0
