"""The metrics file: one line per record, none twice after resuming."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from data_tools.ground.paths import RunPaths
from models.engine.training.watching.display import (
    PlainDisplay,
    TerminalDisplay,
    duration,
    make_display,
)
from models.engine.training.watching.metrics_log import MetricsLog, WandbWriter, truncate_metrics
from models.engine.training.watching.speed import Speed


class Recorder:
    def __init__(self) -> None:
        self.seen: list[tuple[int, dict]] = []
        self.closed = False

    def scalars(self, values: dict, step: int) -> None:
        self.seen.append((step, dict(values)))

    def close(self) -> None:
        self.closed = True


def step_record(epoch: int, step: int) -> dict:
    numbers = {"loss": 1.5, "losses": {"cls": 0.5}, "seconds": 2.0}
    return {"kind": "step", "epoch": epoch, "step": step, **numbers}


def epoch_record(epoch: int, step: int) -> dict:
    val = {"map": 0.25, "map_small": None}
    return {"kind": "epoch", "epoch": epoch, "step": step, "val": val, "seconds": 3.0}


def test_every_writer_gets_the_numbers_by_name(tmp_path: Path) -> None:
    recorder = Recorder()
    with MetricsLog(tmp_path / "deep" / "metrics.jsonl", [recorder]) as log:
        log.write(step_record(0, 1))
        log.write(epoch_record(0, 1))
    assert recorder.seen == [
        (1, {"epoch": 0.0, "loss": 1.5, "losses/cls": 0.5, "seconds": 2.0}),
        (1, {"epoch": 0.0, "val/map": 0.25, "seconds": 3.0}),
    ]
    assert recorder.closed
    lines = (tmp_path / "deep" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["step", "epoch"]


def test_missing_file_is_nothing_to_truncate(tmp_path: Path) -> None:
    truncate_metrics(tmp_path / "none.jsonl", 5, 1)
    assert not (tmp_path / "none.jsonl").exists()


@pytest.mark.parametrize(
    ("step", "epoch", "kept"),
    [
        (0, 0, []),
        (1, 0, [("step", 1)]),
        # Killed during the validation of epoch 0: its steps stay, its score comes again.
        (2, 0, [("step", 1), ("step", 2)]),
        (2, 1, [("step", 1), ("step", 2), ("epoch", 2)]),
        (3, 1, [("step", 1), ("step", 2), ("epoch", 2), ("step", 3)]),
    ],
)
def test_what_came_after_the_checkpoint_goes(
    tmp_path: Path, step: int, epoch: int, kept: list
) -> None:
    path = tmp_path / "metrics.jsonl"
    records = [step_record(0, 1), step_record(0, 2), epoch_record(0, 2), step_record(1, 3)]
    torn = '{"kind": "step", "epo'
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + torn)
    truncate_metrics(path, step, epoch)
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(record["kind"], record["step"]) for record in found] == kept


class FakeWandb:
    """Stands for the package, which is not among the requirements."""

    def __init__(self) -> None:
        self.options: dict = {}
        self.logged: list = []

    def init(self, **options: object) -> FakeWandb:
        self.options = options
        return self

    def log(self, values: dict, step: int) -> None:
        self.logged.append((step, values))

    def finish(self) -> None:
        self.logged.append("finished")


def test_wandb_stays_offline_without_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    writer = WandbWriter(RunPaths(tmp_path), {"epochs": 2}, "yolox/fold3")
    writer.scalars({"loss": 1.5}, 7)
    writer.close()
    assert fake.options["mode"] == "offline"
    assert fake.options["id"] == "yolox-fold3"  # the same on resuming: one curve
    assert fake.logged == [(7, {"loss": 1.5}), "finished"]


def test_duration() -> None:
    assert duration(0) == "0:00"
    assert duration(61) == "1:01"
    assert duration(3 * 3600 + 62) == "3:01:02"


def epoch_with_scores() -> dict:
    scores = {"competition_map50": 0.5, "map": 0.25, "map_small": None, "map_large": 0.75}
    return {"epoch": 0, "train_loss": 2.0, "val": scores, "seconds": 5.0}


def test_plain_lines_without_a_terminal() -> None:
    console = Console(file=io.StringIO(), width=200)
    display = make_display(console)
    assert isinstance(display, PlainDisplay)
    display.begin_epoch(0, 3, 10, 0)
    display.step(1, 2.5, 12.0, 90.0)
    display.step(2, 2.5, 12.0, 90.0)  # too soon for another line
    display.end_epoch(epoch_with_scores(), best=True)
    text = console.file.getvalue().splitlines()
    assert text[0] == "epoch 1/3  step 1/10  loss 2.500  12.0 images/s  ETA 1:30"
    assert text[1].startswith("epoch 1/3  train loss 2.000  mAP50* 0.500  mAP 0.250")
    assert "small -" in text[1]
    assert text[1].endswith("(best)")
    assert len(text) == 2


def test_bar_and_table_on_a_terminal() -> None:
    console = Console(file=io.StringIO(), width=160, force_terminal=True)
    display = make_display(console)
    assert isinstance(display, TerminalDisplay)
    display.begin_epoch(0, 3, 10, 0)
    display.step(4, 2.5, 12.0, 90.0)
    display.end_epoch(epoch_with_scores(), best=False)
    display.close()
    text = console.file.getvalue()
    for part in ("epoch 1/3", "4/10", "12.0 images/s", "ETA 1:30", "train loss", "0.750"):
        assert part in text


def test_speed_is_images_over_time(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 1.0, 4.0, 100.0, 101.0])
    monkeypatch.setattr("models.engine.training.watching.speed.time.monotonic", lambda: next(times))
    speed = Speed()
    assert speed.images_per_second == 0
    speed.add(8)  # 8 images in 1 s
    speed.add(8)  # 8 in 3 s: 16 in 4 s, not the mean of two rates
    assert speed.images_per_second == pytest.approx(4)
    speed.restart()  # a pause for validation is not training
    speed.add(8)
    assert speed.images_per_second == pytest.approx(24 / 5)
