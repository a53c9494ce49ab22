"""The four smoke experiments, really trained on a tiny sample, then compared and reported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from data_tools.cli import main as data_tools
from data_tools.coco.dataset import read_coco, write_coco
from data_tools.ground.errors import UserError
from data_tools.ground.paths import DataPaths, RunPaths, WorkPaths
from data_tools.predictions.files import write_predictions
from data_tools.predictions.provenance import Provenance
from data_tools.predictions.table import predictions_from_rows
from experiments.cli import main
from experiments.compare.arms_on_disk import find_group
from experiments.compare.compare import compare_groups
from experiments.plan.run_arms import run_experiment
from experiments.plan.runs import Place, plan_runs
from experiments.plan.spec import read_experiment
from experiments.plan.spec_file import SHIPPED
from experiments.report.write import ReportOptions, write_report

pytestmark = pytest.mark.slow
FOLD = 3
# The shipped file, with as little training as there can be.
TINY = """extends: {shipped}
base: {{epochs: 1, batch: 4, set: {{image_size_wh: [64, 64], workers: 0}}}}
"""


def start_here(command: list[str]) -> int:
    """Run a `python -m models` command in this process: importing torch anew takes longer."""
    from models.cli import main as models

    outcome = CliRunner().invoke(models, command[3:])
    if outcome.exit_code == 1:
        raise RuntimeError(outcome.output) from outcome.exception
    return outcome.exit_code


def call(group, *arguments) -> str:
    outcome = CliRunner().invoke(group, [str(each) for each in arguments])
    assert outcome.exit_code == 0, outcome.output
    return outcome.output


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Place:
    """A sample of sixteen pictures, its folds, and pseudo-labels from a made-up clean teacher."""
    root = tmp_path_factory.mktemp("experiments")
    data, work = root / "data", WorkPaths(root / "work")
    size = ("--train-images", 16, "--test-images", 4, "--size", 96)
    call(data_tools, "sample", "--out", data, *size)
    call(data_tools, "split", "--coco", DataPaths(data).train_json, "--out", work.folds)
    test = read_coco(DataPaths(data).test_json)
    train = read_coco(work.train_json(FOLD))
    count = len(test.images)
    teacher = predictions_from_rows(
        test.image_ids,
        test.image_ids,
        [int(train.category_ids[0])] * count,
        [0.9] * count,
        [[10, 10, 50, 50]] * count,
        provenance=Provenance(
            dataset=test.fingerprint, run="teacher", fold=FOLD, train_file_names=train.file_names
        ),
    )
    write_predictions(work.fused("test"), teacher)
    call(
        data_tools, "pseudo", "--train", work.train_json(FOLD),
        "--test", DataPaths(data).test_json, "--predictions", work.fused("test"),
        "--out", work.pseudo_json(FOLD), "--data", data,
    )  # fmt: skip
    return Place(data, work.root)


def tiny_file(folder: Path, name: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(TINY.format(shipped=SHIPPED / f"{name}.yaml"))
    return path


def run_tiny(place: Place, folder: Path, name: str):
    experiment = read_experiment(tiny_file(folder, name))
    planned = plan_runs(experiment, place)
    run_experiment(experiment, planned, place, say=lambda _: None, start=start_here)
    return planned


@pytest.mark.parametrize(
    ("name", "arms", "factor"),
    [
        ("mosaic_smoke", ["base", "mosaic"], "augment.mosaic"),
        ("dcn_smoke", ["base", "dcn"], "model"),
        ("pseudo_smoke", ["base", "pseudo"], "pseudo"),
        ("detectors_smoke", ["base", "retinanet", "yolox", "ssd"], "model"),
    ],
)
def test_smoke_experiment_trains_compares_and_skips_what_is_done(
    place, tmp_path, name, arms, factor
):
    planned = run_tiny(place, tmp_path, name)
    assert [run.arm.name for run in planned] == arms
    assert {run.state for run in planned} == {"finished"}
    base = find_group(f"{name}-base", place.work)
    for arm in arms[1:]:
        other = find_group(f"{name}-{arm}", place.work)
        comparison = compare_groups(base, other, place.work, samples=100)
        # What was really trained differs in the one factor that the plan said.
        assert list(dict.fromkeys(d.factor for d in comparison.differing)) == [factor]
        assert comparison.leaked == {}
        assert comparison.bases[0].title == "at equal epochs (1)"
        assert comparison.bases[0].row("competition_map50").base is not None

    def refuse(command):
        raise AssertionError(f"trained again: {command}")

    experiment = read_experiment(tiny_file(tmp_path, name))
    outcomes = run_experiment(experiment, planned, place, say=lambda _: None, start=refuse)
    assert {outcome.action for outcome in outcomes} == {"skipped"}


def test_report_of_what_was_trained(place, tmp_path):
    run_tiny(place, tmp_path, "mosaic_smoke")
    out = tmp_path / "report.html"
    summary = write_report(out, ReportOptions(place.data, place.work, samples=100))
    assert "competition mAP50" in summary.verdict
    page = out.read_text()
    assert "Factors that differ: augment.mosaic" in page
    assert page.count("train_3.json") >= 2  # each run's record names its files, with hashes


def test_regret_pseudo_labels_of_a_teacher_that_saw_the_fold_are_not_trained_on(place, tmp_path):
    """The original entry's regret: its pseudo-labels came from models that had seen valid3."""
    work = WorkPaths(place.work)
    clean = read_coco(work.pseudo_json(FOLD))
    everything = read_coco(DataPaths(place.data).train_json)
    leaky_teacher = json.loads(json.dumps(clean.info))
    leaky_teacher["boxcamp"] = _with_teacher_images(
        leaky_teacher["boxcamp"], list(everything.file_names)
    )
    leaky = type(clean)(clean.images, clean.annotations, clean.categories, info=leaky_teacher)
    path = tmp_path / "leaky.json"
    write_coco(path, leaky)
    spec = tmp_path / "leak.yaml"
    spec.write_text(
        f"base: {{model: tood, scale: smoke, epochs: 1, set: {{image_size_wh: [64, 64]}}}}\n"
        f"arms:\n  pseudo: {{pseudo: '{path}'}}\n"
    )
    experiment = read_experiment(spec)
    planned = plan_runs(experiment, place, only=("pseudo",))
    with pytest.raises(UserError, match="ended with status 2"):
        run_experiment(experiment, planned, place, say=lambda _: None, start=start_here)
    assert not RunPaths(planned[0].folder).run_json.exists()


def _with_teacher_images(info: dict, names: list[str]) -> dict:
    """Say in a pseudo-label file's record that its teachers saw these images."""
    assert "teacher_file_names" in info
    return {**info, "teacher_file_names": names}


def test_one_arm_through_the_command_line_in_its_own_process(place, tmp_path):
    path = tiny_file(tmp_path, "mosaic_smoke")
    command = [sys.executable, "-m", "experiments", "run", str(path), "--only", "base"]
    done = subprocess.run(
        [*command, "--seeds", "7", "--data", str(place.data), "--work", str(place.work)],
        capture_output=True,
        text=True,
        check=False,
        timeout=580,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mosaic_smoke-base-seed7: missing" in done.stdout
    folder = WorkPaths(place.work).run("mosaic_smoke-base-seed7", FOLD)
    assert folder.finished_json.is_file()
    assert folder.predictions("val").is_file()
    listed = CliRunner().invoke(main, ["list", "--work", str(place.work)]).output
    assert "mosaic_smoke-base-seed7/fold3" in listed
