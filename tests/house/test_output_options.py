"""Every command of every package prints its result as one JSON document when asked to."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from data_tools.coco.dataset import read_coco
from data_tools.predictions.files import read_predictions, write_predictions
from data_tools.predictions.table import predictions_from_rows
from tests.builders.packages import command_line, commands
from tests.builders.training_cases import TINY_YOLOX, write_tiny_data

COMMANDS = commands()
# What it compares is there only after `make submit`; its JSON is tested with that.
NEEDS_MAKE = {("workflow", "same-fusion")}
EXPERIMENT = """
question: Does Mosaic help?
base: {{model: yolox, fold: 0, scale: smoke, epochs: 1, set: {{{settings}}}}}
arms:
  mosaic: {{mosaic: 0.5}}
"""
VAL = "work/runs/{}/fold0/predictions/val.parquet"
# One call of each, in an order in which each finds what it needs; {settings} makes models tiny.
CALLS = {
    ("data_tools", "sample"): "--out sample --train-images 4 --test-images 2 --size 64",
    ("data_tools", "verify"): "data",
    ("data_tools", "repair"): "data --out repaired",
    ("data_tools", "stats"): "data/train.json --against work/folds/val_0.json",
    ("data_tools", "claim"): "--data data --work claimed",
    ("data_tools", "split"): "--coco data/train.json --out folds --folds 2",
    ("data_tools", "convert"): "data/train.json --from coco --out yolo",
    ("models", "list"): "",
    ("models", "doctor"): "",
    ("models", "train"): "yolox --fold 0 --scale smoke --epochs 1 --batch 4 --workers 0 {settings}",
    ("models", "predict"): "work/runs/yolox/fold0 --split val --split test --workers 0",
    ("submit", "formats"): "",
    ("submit", "score"): f"{VAL} --truth work/folds/val_0.json",
    ("submit", "table"): f"{VAL} --truth work/folds/val_0.json",
    ("submit", "diagnose"): f"{VAL} --truth work/folds/val_0.json",
    ("submit", "plan"): f"{VAL} --truth work/folds/val_0.json",
    ("submit", "write"): "work/runs/yolox/fold0/predictions/test.parquet --images data/test.json "
    "--out submission.csv",
    ("submit", "check"): "submission.csv --images data/test.json",
    ("submit", "log"): "submission.csv",
    ("ensemble", "fuse"): f"{VAL} --images work/folds/val_0.json "
    "--out work/ensemble/val.parquet --explain 112",
    ("ensemble", "tune"): f"{VAL} --truth work/folds/val_0.json --out tuned.json --trials 1",
    ("ensemble", "audit"): f"--truth work/folds/val_0.json --members {VAL}",
    ("data_tools", "pseudo"): "--train work/folds/train_0.json --test data/test.json "
    "--predictions work/runs/yolox/fold0/predictions/test.parquet --match-density "
    "--val work/folds/val_0.json --out pseudo.json",
    ("experiments", "list"): "",
    ("experiments", "run"): "trial.yaml --dry-run",
    ("experiments", "compare"): "work/runs/yolox/fold0 work/runs/yolox/fold0 --samples 100",
    ("experiments", "report"): "--samples 100",
    ("workflow", "variables"): "",
}


def test_a_call_is_known_for_every_command():
    assert set(CALLS) == set(COMMANDS) - NEEDS_MAKE


@pytest.mark.parametrize(("package", "name"), COMMANDS)
def test_every_command_has_the_output_options(package, name):
    options = {
        option: parameter
        for parameter in COMMANDS[package, name].params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
    }
    assert options["--json"].is_flag
    assert not options["--json-out"].is_flag


def put_boxes(predictions_file: str, coco_file: str) -> None:
    """Give each image one box: a model of three steps finds nothing."""
    table, coco = read_predictions(predictions_file), read_coco(coco_file)
    boxes = [[5, 5, 30, 30]] * len(coco.images)
    found = predictions_from_rows(
        coco.image_ids, coco.image_ids, [3] * len(boxes), [0.9] * len(boxes), boxes,
        provenance=table.provenance,
    )  # fmt: skip
    write_predictions(predictions_file, found)


@pytest.mark.slow
def test_stdout_of_every_command_is_one_document(tmp_path, monkeypatch):
    write_tiny_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    settings = " ".join(f"--set {pair}" for pair in TINY_YOLOX)
    Path("trial.yaml").write_text(
        EXPERIMENT.format(settings=", ".join(TINY_YOLOX).replace("=", ": "))
    )
    for (package, name), words in CALLS.items():
        arguments = words.replace(VAL, VAL.format("yolox")).format(settings=settings).split()
        arguments += ["--json", "--json-out", f"{package}-{name}.json"]
        outcome = CliRunner().invoke(
            command_line(package), [name, *arguments], catch_exceptions=False
        )
        assert outcome.exit_code == 0, f"{package} {name}: {outcome.output}"
        printed = json.loads(outcome.stdout)
        assert printed == json.loads(Path(f"{package}-{name}.json").read_text())
        # A program is given a result, not sentences for people.
        assert isinstance(printed, (dict, list)), f"{package} {name}"
        if name == "predict":
            put_boxes(VAL.format("yolox"), "work/folds/val_0.json")
            put_boxes(VAL.format("yolox").replace("val", "test"), "data/test.json")
