"""The command line of `models`: quick help, and mistakes answered with one message and status 2."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from data_tools.coco.dataset import read_coco, write_coco
from data_tools.ground.paths import RunPaths
from models.cli import main
from models.engine.runs.folder import update_run
from models.registry import model_names
from tests.builders.training_cases import TINY_YOLOX, write_tiny_data


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def assert_one_message(result: Result, *parts: str) -> None:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    for part in parts:
        assert part in result.output, result.output


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("cli")
    write_tiny_data(root)
    return root


def train_arguments(
    root: Path, *extra: object, model: str = "yolox", fold: int = 0
) -> list[object]:
    settings = [argument for text in TINY_YOLOX for argument in ("--set", text)]
    return [
        "train", model, "--data", root / "data", "--work", root / "work", "--fold", fold,
        "--scale", "smoke", "--epochs", 1, "--batch", 4, "--workers", 0, "--device", "cpu",
        *settings, *extra,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [["list"], ["--help"], ["train", "--help"], ["predict", "--help"], ["list", "--json"]],
)
def test_answers_within_a_second_without_torch(arguments: list[str]) -> None:
    code = (
        "import sys; from models.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print([m for m in ('torch', 'mmdet', 'cv2', 'pandas') if m in sys.modules])"
    )
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.rstrip().endswith("[]"), done.stdout + done.stderr
    if time.perf_counter() - start > 1:  # a busy machine: the import list above is what counts
        pytest.skip("the machine is too busy to time a second")


def test_list_names_every_model() -> None:
    listed = json.loads(run("list", "--json").output)
    assert [row["name"] for row in listed] == list(model_names())
    for name in model_names():
        assert name in run("list").output
    assert "AGPL-3.0" in run("list").output


def test_unknown_command() -> None:
    assert_one_message(run("trian"), "no command 'trian'", "train", "predict", "doctor")


def test_unknown_model(workspace: Path) -> None:
    assert_one_message(
        run(*train_arguments(workspace, model="yolo9000")), "no model 'yolo9000'", *model_names()
    )


def test_unknown_option(workspace: Path) -> None:
    assert_one_message(run(*train_arguments(workspace, "--epoch", 3)), "--epoch")


def test_unknown_setting(workspace: Path) -> None:
    result = run(*train_arguments(workspace, "--set", "optimizer.lrr=1", "--name", "typo"))
    assert_one_message(result, "unknown key `optimizer.lrr`", "did you mean `optimizer.lr`")
    assert not (workspace / "work" / "runs" / "typo").exists()


def test_mosaic_outside_its_range(workspace: Path) -> None:
    assert_one_message(run(*train_arguments(workspace, "--mosaic", 1.5)), "--mosaic", "1.5")


def test_folds_not_drawn_yet(workspace: Path, tmp_path: Path) -> None:
    result = run(*train_arguments(workspace, "--work", tmp_path / "work"))
    assert_one_message(
        result, "the folds are not drawn yet", "make split", "data_tools split --coco"
    )
    assert not (tmp_path / "work").exists()


def test_no_such_fold(workspace: Path) -> None:
    result = run(*train_arguments(workspace, fold=9))
    assert_one_message(result, "there is no fold 9", "expected: one of 0")


def test_truncated_fold_file(workspace: Path, tmp_path: Path) -> None:
    shutil.copytree(workspace / "work" / "folds", tmp_path / "work" / "folds")
    path = tmp_path / "work" / "folds" / "train_0.json"
    path.write_text(path.read_text()[:100])
    result = run(*train_arguments(workspace, "--work", tmp_path / "work"))
    assert_one_message(result, "not valid JSON", str(path))


def test_work_folder_that_is_a_file(workspace: Path, tmp_path: Path) -> None:
    shutil.copytree(workspace / "work" / "folds", tmp_path / "work" / "folds")
    (tmp_path / "work" / "runs").write_text("in the way")
    result = run(*train_arguments(workspace, "--work", tmp_path / "work"))
    assert_one_message(result, str(tmp_path / "work" / "runs"))


def test_no_gpu(workspace: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    result = run(*train_arguments(workspace, "--device", "cuda"))
    assert_one_message(result, "torch sees no GPU", "python -m models doctor")


def test_wandb_that_is_not_installed(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    result = run(*train_arguments(workspace, "--wandb", "--name", "wandb"))
    assert_one_message(result, "python -m pip install wandb")
    assert not (workspace / "work" / "runs" / "wandb").exists()


def test_name_with_a_slash(workspace: Path) -> None:
    assert_one_message(run(*train_arguments(workspace, "--name", "../x")), "cannot name a run")


def test_predict_without_a_run(tmp_path: Path) -> None:
    result = run("predict", tmp_path / "none", "--split", "test")
    assert_one_message(result, "not the folder of a run", "python -m models train")


@pytest.fixture(scope="module")
def paths(workspace: Path) -> RunPaths:
    result = run(*train_arguments(workspace))
    assert result.exit_code == 0, result.output
    assert "SMOKE SCALE" in result.output
    assert "best epoch 1: competition_map50" in result.output
    return RunPaths(workspace / "work" / "runs" / "yolox" / "fold0")


@pytest.fixture
def copied(paths: RunPaths, tmp_path: Path) -> RunPaths:
    shutil.copytree(paths.root, tmp_path / "run")
    return RunPaths(tmp_path / "run")


@pytest.mark.slow
def test_predict_says_what_it_wrote(paths: RunPaths) -> None:
    result = run("predict", paths.root, "--split", "test", "--device", "cpu", "--workers", 0)
    assert result.exit_code == 0, result.output
    assert str(paths.predictions("test")) in result.output
    assert "on 3 images" in result.output


@pytest.mark.slow
def test_predict_into_a_csv(paths: RunPaths, tmp_path: Path) -> None:
    result = run("predict", paths.root, "--split", "val", "--out", tmp_path / "val.csv")
    assert_one_message(result, "is written as Parquet", "python -m submit write")


@pytest.mark.slow
def test_unknown_view(paths: RunPaths) -> None:
    result = run("predict", paths.root, "--split", "val", "--tta", "upside")
    assert_one_message(result, "'upside' is not a view", "hflip", "rot90")


@pytest.mark.slow
def test_view_given_twice(paths: RunPaths) -> None:
    result = run("predict", paths.root, "--split", "val", "--tta", "hflip", "--tta", "hflip")
    assert_one_message(result, "a view is given twice")


@pytest.mark.slow
def test_unfinished_run(copied: RunPaths) -> None:
    copied.finished_json.unlink()
    update_run(copied, state="interrupted")
    arguments = ["predict", copied.root, "--split", "val", "--device", "cpu", "--workers", 0]
    assert_one_message(run(*arguments), "not finished (its state is interrupted)", "--resume")
    assert not copied.predictions("val").exists()
    result = run(*arguments, "--allow-unfinished")
    assert result.exit_code == 0, result.output
    assert "WARNING" in result.output
    assert copied.predictions("val").exists()


@pytest.mark.slow
def test_no_checkpoint(copied: RunPaths) -> None:
    shutil.rmtree(copied.checkpoints)
    result = run("predict", copied.root, "--split", "val", "--device", "cpu")
    assert_one_message(result, "no best checkpoint")


@pytest.mark.slow
def test_folds_drawn_anew_since_training(paths: RunPaths, copied: RunPaths) -> None:
    record = json.loads(copied.run_json.read_text())
    record["data"]["val_json"]["sha256"] = "0" * 64
    copied.run_json.write_text(json.dumps(record))
    result = run("predict", copied.root, "--split", "val", "--device", "cpu")
    assert_one_message(result, "not the one that the run held out", "val_0.json")


@pytest.mark.slow
def test_torn_checkpoint(copied: RunPaths) -> None:
    copied.best_checkpoint.write_bytes(copied.best_checkpoint.read_bytes()[:5000])
    result = run("predict", copied.root, "--split", "val", "--device", "cpu")
    assert_one_message(result, "the checkpoint cannot be read", str(copied.best_checkpoint))
    assert not copied.predictions("val").exists()


@pytest.mark.slow
def test_another_datasets_classes(paths: RunPaths, tmp_path: Path) -> None:
    write_tiny_data(tmp_path)
    test = read_coco(tmp_path / "data" / "test.json").as_dict()
    test["categories"][1]["name"] = "blue"
    (tmp_path / "data" / "test.json").write_text(json.dumps(test))
    result = run("predict", paths.root, "--split", "test", "--data", tmp_path / "data")
    assert_one_message(result, "other categories", "7 green", "7 blue")


@pytest.mark.slow
def test_missing_image(paths: RunPaths, tmp_path: Path) -> None:
    write_tiny_data(tmp_path)
    (tmp_path / "data" / "test" / "0001.png").unlink()
    out = tmp_path / "out.parquet"
    result = run(
        "predict", paths.root, "--split", "test", "--data", tmp_path / "data", "--out", out,
        "--device", "cpu", "--workers", 0,
    )  # fmt: skip
    assert_one_message(result, "test/0001.png")
    assert not out.exists()


@pytest.mark.slow
def test_images_without_boxes_are_still_listed(paths: RunPaths, tmp_path: Path) -> None:
    write_tiny_data(tmp_path)
    test = read_coco(tmp_path / "data" / "test.json")
    write_coco(tmp_path / "data" / "test.json", test)
    out = tmp_path / "out.parquet"
    result = run(
        "predict", paths.root, "--split", "test", "--data", tmp_path / "data", "--out", out,
        "--device", "cpu", "--workers", 0,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    from data_tools.predictions.files import read_predictions

    assert read_predictions(out, test).image_ids.tolist() == [100, 101, 102]


@pytest.mark.parametrize(
    ("extra", "parts"),
    [
        (["--seed", 2**32], ["--seed"]),
        (["--set", "seed=-1"], ["`seed` is -1, expected a whole number"]),
        (["--set", "optimizer.lr=Infinity"], ["`optimizer.lr` is Infinity"]),
        (["--name", ""], ["--name '' cannot name a run"]),
        (["--set", "architecture.backbone.type=ResNet"], ["TypeError", "--set architecture"]),
        (["--set", "architecture.neck.out_channels=33"], ["RuntimeError", "--set architecture"]),
    ],
)
def test_settings_that_cannot_be_leave_nothing_behind(
    workspace: Path, extra: list[object], parts: list[str]
) -> None:
    before = sorted((workspace / "work").rglob("*"))
    assert_one_message(run(*train_arguments(workspace, "--name", "wrong", *extra)), *parts)
    assert sorted((workspace / "work").rglob("*")) == before


@pytest.mark.parametrize("content", [b"bad\n", b"", b"\x80\x02", b"PK\x03\x04 no archive"])
def test_first_weights_that_are_no_checkpoint(workspace: Path, content: bytes) -> None:
    path = workspace / "bad.pt"
    path.write_bytes(content)
    result = run(*train_arguments(workspace, "--name", "bad_init", "--init", path))
    assert_one_message(result, "cannot be read as a checkpoint", str(path))
    assert not (workspace / "work" / "runs" / "bad_init").exists()


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("run.json", '{"model": "yolox"}', "`experiment` is missing"),
        ("run.json", "{", "the file is not valid JSON"),
        ("run.json", "[]", "the content is [], expected a mapping"),
        ("run.json", "[" * 10_000, "not valid JSON"),
    ],
)
def test_a_record_edited_by_hand(tmp_path: Path, name: str, content: str, part: str) -> None:
    (tmp_path / name).write_text(content)
    assert_one_message(run("predict", tmp_path, "--split", "val"), part, str(tmp_path / name))
