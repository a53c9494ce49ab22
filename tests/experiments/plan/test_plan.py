"""Experiment files, their single-factor check, and the running of missing arms."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from data_tools.coco.workspace import claim_work_folder
from data_tools.ground.errors import UserError
from data_tools.ground.files import write_json
from data_tools.ground.nested import flattened
from data_tools.ground.paths import DataPaths, RunPaths, WorkPaths
from experiments.cli import main
from experiments.factors import differences, factor_of_key, factors
from experiments.plan.commands import train_command
from experiments.plan.run_arms import run_experiment
from experiments.plan.runs import Place, plan_runs
from experiments.plan.spec import read_experiment
from experiments.plan.spec_file import SHIPPED
from experiments.run_folder import read_runs
from models.engine.config.resolve import resolve_config
from tests.builders.experiments_workspace import CLASSES, Workspace, make_workspace

CATEGORIES = [{"id": 3 * k, "name": name} for k, name in enumerate(CLASSES)]
CONFIG_OF = partial(resolve_config, categories=CATEGORIES)


def write_spec(folder: Path, text: str, name: str = "trial.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def place_in(folder: Path) -> Place:
    return Place(folder / "data", folder / "work")


@pytest.fixture(scope="module")
def space(tmp_path_factory) -> Workspace:
    return make_workspace(tmp_path_factory.mktemp("plan"), train=3, val=3, test=2)


# Differences and factors


def test_nothing_differs_between_equals():
    assert differences({}, {}) == []
    assert differences({"config": {"a": {"b": 1}}}, {"config": {"a": {"b": 1}}}) == []


def test_a_block_of_another_type_is_one_difference():
    base = {"config": {"architecture": {"neck": {"type": "FPN", "num_outs": 5}}}}
    other = {"config": {"architecture": {"neck": {"type": "PAFPN", "levels": 3}}}}
    found = differences(base, other)
    assert [str(difference) for difference in found] == ["config.architecture.neck: FPN -> PAFPN"]


def test_missing_keys_differ():
    found = differences({"config": {"a": 1}}, {"config": {"b": 1}})
    assert [(d.key, d.base, d.other) for d in found] == [
        ("config.a", 1, None),
        ("config.b", None, 1),
    ]


@pytest.mark.parametrize("key", ["workers", "log.every_steps", "checkpoint.every_minutes"])
def test_how_a_run_is_carried_out_is_no_factor(key):
    head, *rest = key.split(".")
    value = {rest[0]: 1} if rest else 1
    assert differences({"config": {head: value}}, {"config": {}}) == []


@pytest.mark.parametrize(
    ("key", "others", "expected"),
    [
        ("config.model", ["config.model"], "model"),
        ("config.architecture.backbone.depth", ["config.model"], "model"),
        ("config.architecture.backbone.depth", [], "architecture"),
        ("config.neck", ["config.model"], "model"),
        ("config.augment.mosaic", [], "augment.mosaic"),
        ("config.augment.affine.scale", [], "augment.affine"),
        ("config.optimizer.lr", ["config.model"], "optimizer"),
        ("config.batch_size", ["config.model"], "batch_size"),
        ("config.epochs", ["config.epochs"], "epochs"),
        ("config.schedule.milestones", ["config.epochs"], "epochs"),
        ("config.schedule.milestones", [], "schedule"),
        ("config.schedule.gamma", ["config.epochs"], "schedule"),
        ("data.pseudo", [], "pseudo"),
        ("data.fold", [], "fold"),
    ],
)
def test_factor_of_key(key, others, expected):
    assert factor_of_key(key, others) == expected


def test_flattened():
    assert flattened({}) == {}
    assert flattened({"a": {"b": 1, "c": {"d": [1, 2]}}, "e": None}) == {
        "a.b": 1,
        "a.c.d": [1, 2],
        "e": None,
    }


# Shipped files


def test_the_four_experiments_ship_at_both_scales():
    names = {path.stem for path in SHIPPED.glob("*.yaml")}
    four = {"detectors", "mosaic", "pseudo", "dcn"}
    assert names == four | {f"{name}_smoke" for name in four}


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_file_differs_in_one_factor_per_arm(path, tmp_path):
    experiment = read_experiment(path)
    assert experiment.question.endswith("?")
    planned = plan_runs(experiment, place_in(tmp_path), config_of=CONFIG_OF)
    assert len(planned) == len(experiment.arms) * len(experiment.seeds)
    scale = "smoke" if path.stem.endswith("_smoke") else "full"
    assert {run.inputs["config"]["scale"] for run in planned} == {scale}
    assert len({run.inputs["config"]["epochs"] for run in planned}) == 1
    base = planned[0].inputs
    for run in planned[1:]:
        expected = {"mosaic": "augment.mosaic", "pseudo": "pseudo"}.get(run.arm.name, "model")
        found = factors(differences(base, run.inputs))
        assert [factor for factor in found if factor not in run.arm.unavoidable] == [expected]


def test_detectors_share_everything_but_the_network(tmp_path):
    experiment = read_experiment(SHIPPED / "detectors.yaml")
    planned = plan_runs(experiment, place_in(tmp_path), config_of=CONFIG_OF)
    configs = {run.arm.name: run.inputs["config"] for run in planned}
    assert list(configs) == ["base", "retinanet", "yolox", "ssd"]
    for name in ("optimizer", "schedule", "augment", "batch_size", "ema", "image_size_wh"):
        for model, config in configs.items():
            assert config[name] == configs["base"][name], (model, name)
    assert configs["yolox"]["architecture"]["neck"]["type"] == "FPN"


def test_an_unavoidable_difference_must_be_declared_with_its_reason(tmp_path):
    text = "base: {model: tood, init: none}\narms: {full: {init: imagenet}}\n"
    text += "unavoidable: {%s}\n"
    for wrong, message in (
        ("full: {init: ''}", "text of 1 or more characters"),
        ("fool: {a: b}", "no arm"),
    ):
        with pytest.raises(UserError, match=message):
            read_experiment(write_spec(tmp_path, text % wrong))
    arms = read_experiment(SHIPPED / "detectors.yaml").arms
    assert [arm.name for arm in arms if arm.unavoidable] == ["yolox"]
    # Without the declaration the same arm is refused.
    without = (SHIPPED / "detectors.yaml").read_text().split("unavoidable:")[0]
    without += "arms:\n  yolox: {model: yolox, set: {neck: fpn}}\n"
    with pytest.raises(UserError, match=r"2 factors \(model, init\)"):
        plan_runs(
            read_experiment(write_spec(tmp_path, without)), place_in(tmp_path), config_of=CONFIG_OF
        )


def test_what_training_resolves_is_what_was_checked(tmp_path):
    """The overrides on the command line lead to the very configuration that was compared."""
    experiment = read_experiment(SHIPPED / "detectors_smoke.yaml")
    for planned in plan_runs(experiment, place_in(tmp_path), config_of=CONFIG_OF):
        settings = planned.arm.settings
        config = CONFIG_OF(
            model=settings.model,
            scale=settings.scale,
            epochs=settings.epochs,
            overrides=planned.overrides,
            seed=planned.seed,
        )
        config.pop("seed")
        assert config == planned.inputs["config"]


# Regret: two things changed at once


def test_regret_arm_with_two_stated_differences_is_refused(tmp_path):
    text = "base: {model: tood}\narms:\n  pseudo: {pseudo: 1, fold: 2}\n"
    with pytest.raises(UserError) as caught:
        read_experiment(write_spec(tmp_path, text))
    assert "arm 'pseudo' states 2 differences: pseudo, fold" in str(caught.value)


def test_regret_a_hidden_second_difference_is_refused_with_every_key(tmp_path):
    # The recipe of tood_dcn has batch 6, that of tood 4: the model is not the only change.
    path = write_spec(tmp_path, "base: {model: tood}\narms:\n  dcn: {model: tood_dcn}\n")
    with pytest.raises(UserError) as caught:
        plan_runs(read_experiment(path), place_in(tmp_path), config_of=CONFIG_OF)
    message = str(caught.value)
    assert "differs from 'base' in 2 factors" in message
    assert "config.batch_size: 4 -> 6" in message
    assert "config.architecture.bbox_head.num_dcn: 0 -> 2" in message
    assert "config.architecture.backbone.stage_with_dcn" in message
    assert "config.model: 'tood' -> 'tood_dcn'" in message


def test_regret_refused_before_any_training(space, tmp_path):
    path = write_spec(tmp_path, "base: {model: tood}\narms:\n  dcn: {model: tood_dcn}\n")
    outcome = CliRunner().invoke(
        main, ["run", str(path), "--data", str(space.data), "--work", str(space.work)]
    )
    assert outcome.exit_code == 2
    assert "config.batch_size: 4 -> 6" in outcome.output
    assert not (space.work / "runs").exists()


def test_an_arm_without_effect_is_refused(tmp_path):
    path = write_spec(tmp_path, "base: {model: tood}\narms:\n  same: {batch: 4}\n")
    with pytest.raises(UserError, match="does not differ from 'base'"):
        plan_runs(read_experiment(path), place_in(tmp_path), config_of=CONFIG_OF)


# Bad files


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the content is null, expected a mapping"),
        ("base: [", "not valid YAML"),
        ("base: {model: tood}\n", "has no arms"),
        ("base: {}\narms: {a: {mosaic: 1}}\n", "names no model"),
        ("bass: {model: tood}\n", "unknown key `bass` (did you mean `base`?)"),
        (
            "base: {model: tood, mosiac: 1}\narms: {a: {mosaic: 1}}\n",
            "unknown key `base.mosiac` (did you mean `mosaic`?)",
        ),
        (
            "base: {model: tood}\narms: {a: {mosaic: 2}}\n",
            "`arms.a.mosaic` is 2, expected 1 or less",
        ),
        ("base: {model: tood}\narms: {a: null}\n", "`arms.a` is null, expected a mapping"),
        (
            "base: {model: tood}\narms: {a: {mosaic: 1}, a: {}}\n",
            "the key 'a' stands twice, line 2",
        ),
        ("base: {model: tood}\narms: {a b: {mosaic: 1}}\n", "the arm 'a b' cannot name a run"),
        ("base: {model: tood}\narms: {a: {}}\n", "states 0 differences"),
        (
            "base: {model: tood}\narms: {a: {epochs: two}}\n",
            '`arms.a.epochs` is "two", expected a whole number',
        ),
        ("base: {model: tood}\narms: {base: {mosaic: 1}}\n", "cannot be called 'base'"),
        ("base: {model: tood}\nseeds: [1, 1]\narms: {a: {mosaic: 1}}\n", "`seeds` is [1, 1]"),
        (
            "base: {model: tood}\nequal: hope\narms: {a: {mosaic: 1}}\n",
            "`equal` is \"hope\", expected 'epochs' or 'minutes'",
        ),
        ("base: {model: tood}\nequal: minutes\narms: {a: {mosaic: 1}}\n", "`minutes` is missing"),
        ("extends: trial.yaml\n", "extends itself"),
        ("extends: ./x/../trial.yaml\n", "extends itself"),
    ],
)
def test_broken_files_say_what_is_wrong(tmp_path, text, message):
    with pytest.raises(UserError) as caught:
        read_experiment(write_spec(tmp_path, text))
    assert message in str(caught.value)


def test_all_faults_across_keys_come_in_one_message(tmp_path):
    text = "base: {epochs: 2}\nseeds: [1, 1]\nequal: minutes\nunavoidable: {c: {init: x}}\n"
    text += "arms: {a: {mosaic: 1, epochs: 3}, b/c: {}, d: {set: {optimizer.lr: 1e-4}}}\n"
    with pytest.raises(UserError) as caught:
        read_experiment(write_spec(tmp_path, text))
    lines = caught.value.what.splitlines()
    assert [line[:44] for line in lines] == [
        "7 faults:",
        "  - arm 'a' states 2 differences: mosaic, ep",
        "  - the arm 'b/c' cannot name a run, expecte",
        "  - arm 'b/c' states 0 differences: none, ex",
        "  - `unavoidable` names 'c', which is no arm",
        "  - the base names no model, expected base: ",
        "  - `seeds` is [1, 1], expected each seed on",
        "  - the arms share their training time, but ",
    ]


def test_missing_file_names_the_shipped_ones(tmp_path):
    with pytest.raises(UserError, match="does not exist") as caught:
        read_experiment(tmp_path / "mozaic.yaml")
    assert "mosaic_smoke" in str(caught.value)


def test_held_blocks_are_a_list(tmp_path):
    path = write_spec(tmp_path, "base: {model: tood}\nheld: optimizer\narms: {a: {mosaic: 1}}\n")
    with pytest.raises(UserError, match='`held` is "optimizer", expected a list'):
        read_experiment(path)


def test_unknown_arm_configuration_key_and_held_block(tmp_path):
    path = write_spec(tmp_path, "base: {model: tood}\narms: {a: {mosaic: 0.5}}\n")
    with pytest.raises(UserError, match="no arm 'b'"):
        plan_runs(read_experiment(path), place_in(tmp_path), config_of=CONFIG_OF, only=("b",))
    path = write_spec(tmp_path, "base: {model: tood}\nheld: [optimiser]\narms: {a: {mosaic: 1}}\n")
    with pytest.raises(UserError, match="'optimiser'"):
        plan_runs(read_experiment(path), place_in(tmp_path), config_of=CONFIG_OF)
    path = write_spec(tmp_path, "base: {model: tood}\narms: {a: {set: {optimizer.rl: 1}}}\n")
    with pytest.raises(UserError) as caught:
        plan_runs(read_experiment(path), place_in(tmp_path), config_of=CONFIG_OF)
    assert "optimizer.rl" in str(caught.value)


# Running


class Starter:
    """Stands in for processes: writes what `models train` and `models predict` would."""

    def __init__(self, planned, status: int = 0, minutes: float = 1.0) -> None:
        self.inputs = {str(run.folder): run for run in planned}
        self.commands: list[list[str]] = []
        self.status, self.minutes = status, minutes

    def __call__(self, command: list[str]) -> int:
        self.commands.append(command)
        if self.status:
            return self.status
        if command[3] == "train":
            self._train(command)
        else:
            target = RunPaths(Path(command[4])).predictions("val")
            target.parent.mkdir(parents=True)
            target.touch()
        return 0

    def _train(self, command: list[str]) -> None:
        option = dict(pairwise(command))
        folder = Path(option["--work"]) / "runs" / option["--name"] / f"fold{option['--fold']}"
        known = self.inputs.get(str(folder))
        config = dict(known.inputs["config"]) if known else {}
        write_json(folder / "config.json", config | {"seed": int(option["--seed"])})
        said = {
            "model": "tood",
            "experiment": folder.parent.name,
            "fold": 3,
            "state": "finished",
            "command": "",
            "data": {},
            "train_file_names": [],
        }
        write_json(folder / "run.json", {**said, "minutes_per_epoch": self.minutes})
        write_json(folder / "finished.json", {"epoch": 1, "val": {}})


@pytest.fixture
def plan(tmp_path):
    text = "base: {model: tood, epochs: 2}\nseeds: [42, 43]\narms: {mosaic: {mosaic: 0.5}}\n"
    path = write_spec(tmp_path, text)
    place = place_in(tmp_path)

    def make(**options):
        experiment = read_experiment(path, **options)
        return experiment, plan_runs(experiment, place, config_of=CONFIG_OF), place

    return make


def test_runs_every_arm_with_every_seed_and_predicts(plan):
    experiment, planned, place = plan()
    starter = Starter(planned)
    outcomes = run_experiment(experiment, planned, place, say=lambda _: None, start=starter)
    assert [outcome.action for outcome in outcomes] == ["trained"] * 4
    assert [command[3] for command in starter.commands] == ["train", "predict"] * 4
    names = [run.name for run in planned]
    assert names == [
        "trial-base-seed42",
        "trial-mosaic-seed42",
        "trial-base-seed43",
        "trial-mosaic-seed43",
    ]


def test_finished_runs_are_left_alone(plan):
    experiment, planned, place = plan()
    run_experiment(experiment, planned, place, say=lambda _: None, start=Starter(planned))
    again = Starter(planned)
    outcomes = run_experiment(experiment, planned, place, say=lambda _: None, start=again)
    assert [outcome.action for outcome in outcomes] == ["skipped"] * 4
    assert again.commands == []


def test_unfinished_runs_are_resumed(plan):
    experiment, planned, place = plan()
    write_json(planned[0].folder / "run.json", {"state": "interrupted"})
    starter = Starter(planned)
    outcomes = run_experiment(experiment, planned[:1], place, say=lambda _: None, start=starter)
    assert outcomes[0].action == "resumed"
    assert starter.commands[0][-1] == "--resume"


def test_a_finished_run_of_other_settings_is_refused(plan):
    experiment, planned, place = plan()
    run_experiment(experiment, planned, place, say=lambda _: None, start=Starter(planned))
    config = json.loads((planned[1].folder / "config.json").read_text())
    config["optimizer"]["lr"] = 0.5
    write_json(planned[1].folder / "config.json", config)
    with pytest.raises(UserError) as caught:
        run_experiment(experiment, planned, place, say=lambda _: None, start=Starter(planned))
    assert "other settings" in str(caught.value)
    assert "config.optimizer.lr: 0.01 -> 0.5" in str(caught.value)


def test_failed_training_stops_and_names_the_command(plan):
    experiment, planned, place = plan()
    with pytest.raises(UserError) as caught:
        run_experiment(
            experiment, planned, place, say=lambda _: None, start=Starter(planned, status=2)
        )
    assert "ended with status 2" in str(caught.value)
    assert "-m models train tood" in str(caught.value)


def test_commands_carry_what_the_arm_says(plan):
    _, planned, place = plan(scale="smoke")
    command = train_command(planned[1], place)
    options = dict(pairwise(command))
    assert options["--mosaic"] == "0.5"
    assert options["--epochs"] == "2"
    assert options["--scale"] == "smoke"
    assert options["--seed"] == "42"
    assert options["--name"] == "trial-smoke-mosaic-seed42"


def test_equal_minutes_measure_an_epoch_and_share_the_time(plan):
    experiment, planned, place = plan(minutes=10)
    # 10 minutes at 2.5 minutes per epoch: 4 epochs for each arm.
    starter = Starter(planned, minutes=2.5)
    run_experiment(experiment, planned, place, say=lambda _: None, start=starter)
    trained = [dict(pairwise(c)) for c in starter.commands if c[3] == "train"]
    timing = [o["--epochs"] for o in trained if o["--name"].endswith("-timing")]
    real = [o["--epochs"] for o in trained if not o["--name"].endswith("-timing")]
    assert timing == ["1", "1"]
    assert real == ["4"] * 4
    assert planned[0].name == "trial-10min-base-seed42"


def test_missing_pseudo_labels_are_named_before_training(tmp_path):
    path = write_spec(tmp_path, "base: {model: tood}\narms: {pseudo: {pseudo: 1}}\n")
    place = place_in(tmp_path)
    experiment = read_experiment(path)
    planned = plan_runs(experiment, place, config_of=CONFIG_OF)
    starter = Starter(planned)
    with pytest.raises(UserError) as caught:
        run_experiment(experiment, planned, place, say=lambda _: None, start=starter)
    assert "needs pseudo-labels that are not there" in str(caught.value)
    assert "make pseudo FOLD=3" in str(caught.value)
    assert starter.commands == []


# Command line


def test_dry_run_prints_commands_and_trains_nothing(space):
    arguments = ["run", str(SHIPPED / "mosaic_smoke.yaml"), "--seeds", "42,43", "--dry-run"]
    outcome = CliRunner().invoke(
        main, [*arguments, "--data", str(space.data), "--work", str(space.work)]
    )
    assert outcome.exit_code == 0
    assert outcome.output.count("python -m models train tood") == 4
    assert not (space.work / "runs").exists()


def test_the_dataset_is_the_one_that_the_work_folder_belongs_to(space):
    claim_work_folder(DataPaths(space.data), WorkPaths(space.work))
    arguments = ["run", str(SHIPPED / "mosaic_smoke.yaml"), "--dry-run", "--work", str(space.work)]
    outcome = CliRunner().invoke(main, arguments)
    assert outcome.exit_code == 0, outcome.output
    assert f"--data {space.data} " in outcome.output


def test_seeds_must_be_numbers(space):
    outcome = CliRunner().invoke(main, ["run", "x.yaml", "--seeds", "a,b"])
    assert outcome.exit_code == 2
    assert "not a list of seeds" in outcome.output


def test_list_names_experiments_and_runs(space, tmp_path):
    outcome = CliRunner().invoke(main, ["list", "--work", str(tmp_path)])
    assert outcome.exit_code == 0
    assert "mosaic_smoke" in outcome.output
    assert "No runs" in outcome.output
    assert "best competition mAP50" not in outcome.output
    listed = CliRunner().invoke(main, ["list", "--work", str(tmp_path), "--json"])
    names = [each["name"] for each in json.loads(listed.output)["experiments"]]
    assert "pseudo" in names


def test_unknown_command_lists_the_four():
    outcome = CliRunner().invoke(main, ["compere"])
    assert outcome.exit_code == 2
    assert "compare, list, report, run" in outcome.output


def test_list_marks_a_run_whose_teacher_saw_the_fold(tmp_path):
    space = make_workspace(tmp_path, train=3, val=6, test=2)
    space.add_run("clean")
    space.add_run("taught", teachers=(space.val.file_names[0],))
    output = CliRunner().invoke(main, ["list", "--work", str(space.work)]).output
    lines = {line.split("/")[0]: line for line in output.splitlines() if "/fold3" in line}
    assert "LEAKED" not in lines["clean"]
    assert lines["taught"].endswith("LEAKED")


def test_list_shows_the_score_of_the_best_epoch(tmp_path):
    space = make_workspace(tmp_path, train=3, val=6, test=2)
    log = space.add_run("peaked").metrics_jsonl
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    scores = iter([0.2, 0.6, 0.4])
    for line in lines:
        if line["kind"] == "epoch":
            line["val"]["competition_map50"] = next(scores)
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    output = CliRunner().invoke(main, ["list", "--work", str(space.work)]).output
    assert "best competition mAP50" in output
    assert next(line for line in output.splitlines() if "peaked" in line).endswith("0.6000")


def test_ctrl_c_lets_the_training_save_its_checkpoint(tmp_path, repository):
    saved, ready = tmp_path / "saved", tmp_path / "ready"
    training = (
        "import pathlib, signal, sys, time\n"
        "def stop(*_):\n"
        "    time.sleep(1.5)\n"
        f"    pathlib.Path({str(saved)!r}).touch()\n"
        "    sys.exit(1)\n"
        "signal.signal(signal.SIGINT, stop)\n"
        f"pathlib.Path({str(ready)!r}).touch()\n"
        "time.sleep(60)\n"
    )
    code = (
        "import sys; from experiments.plan.run_arms import _start_process; "
        "_start_process([sys.executable, '-c', sys.argv[1]])"
    )
    # A group of its own, as a terminal's Ctrl-C reaches all of a group.
    process = subprocess.Popen(
        [sys.executable, "-c", code, training],
        cwd=repository, start_new_session=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not ready.exists() and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    process.wait(timeout=30)
    assert saved.exists() and process.returncode != 0


def test_timing_runs_are_no_results(tmp_path):
    space = make_workspace(tmp_path, train=3, val=6, test=2)
    for name in ("dcn-30min-base-seed42", "dcn-30min-base-seed42-timing"):
        space.add_run(name)
    assert [run.experiment for run in read_runs(space.work)] == ["dcn-30min-base-seed42"]
