"""Steps are done in order, side by side where wanted; a failure ends what follows."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from data_tools.ground.errors import UserError
from workflow.commands import Children
from workflow.display import Display
from workflow.execute import Executor, StepFailed, steps_to_do
from workflow.given.settings import read_settings
from workflow.place import place_of
from workflow.step import Step


def step(name, code, **changes):
    return Step(kind=name, subject="x", fold=None, arguments=("-c", code), **changes)


def place_in(folder):
    return place_of(read_settings({"WORK": str(folder / "work"), "DATA": str(folder)}, {}))


def run(folder, *stages, verbose=False):
    screen = io.StringIO()
    console = Console(file=screen, width=200)
    with Display(console, 3, verbose=verbose) as display:
        try:
            Executor(place_in(folder), display, Children()).run(stages)
        except StepFailed as failure:
            return screen.getvalue(), failure
    return screen.getvalue(), None


def test_no_stage_does_nothing(tmp_path):
    assert run(tmp_path) == ("", None)


def test_a_step_prints_number_and_result_and_leaves_a_log(tmp_path):
    out = tmp_path / "out.txt"
    code = f"open({str(out)!r}, 'w').close(); print('first'); print('written')"
    once = step("write", code, outputs={"out": out})
    output, failure = run(tmp_path, ((once,),))
    assert failure is None
    assert output.startswith("[1/3] write x: written")
    assert "first" not in output
    assert "first\nwritten\n" in (tmp_path / "work/logs/write-x.log").read_text()
    assert run(tmp_path, ((once,),))[0] == "[1/3] write x: unchanged\n"


def test_a_link_in_the_place_of_a_log_is_refused_before_the_step_runs(tmp_path):
    log = tmp_path / "work/logs/write-x.log"
    log.parent.mkdir(parents=True)
    log.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="a link stands in the place") as caught:
        run(tmp_path, ((step("write", f"open({str(tmp_path / 'out')!r}, 'w')"),),))
    assert caught.value.where == str(log)
    assert not (tmp_path / "elsewhere").exists()
    assert not (tmp_path / "out").exists()


def test_verbose_shows_command_and_output(tmp_path):
    output, _ = run(tmp_path, ((step("write", "print('first'); print('last')", always=True),),),
                    verbose=True)  # fmt: skip
    assert "-c " in output
    assert "\nfirst\nlast\n" in output


def test_a_failure_says_what_the_command_said_and_ends_what_follows(tmp_path, capsys):
    wrong = step(
        "train", "import sys; print('no such file'); sys.exit(2)", always=True, advice="NAME="
    )
    later = step("later", "open('later', 'w')", always=True)
    output, failure = run(tmp_path, ((wrong, later),), ((later,),))
    assert failure.status == 2
    assert str(failure).startswith("NAME=\nlog: ")
    assert "train x: failed" in output
    assert "later" not in output
    assert "no such file" in capsys.readouterr().err
    assert not (tmp_path / "work/records").exists()


def test_a_signal_is_reported_as_a_shell_does(tmp_path):
    killed = step("train", "import os; os.kill(os.getpid(), 9)", always=True)
    assert run(tmp_path, ((killed,),))[1].status == 137


def test_two_of_the_samples_models_run_side_by_side_and_name_their_lines(tmp_path):
    (tmp_path / "sample.json").write_text("{}")
    # Each waits for the other: one after the other they would never end.
    code = (
        "import pathlib, sys, time\n"
        "me, other = (pathlib.Path({0!r}) / name for name in {1!r})\n"
        "me.touch()\n"
        "until = time.monotonic() + 60\n"
        "while not other.exists() and time.monotonic() < until: time.sleep(.01)\n"
        "print('met' if other.exists() else 'alone')"
    )
    first, second = (
        Step(kind="train", subject=name, fold=None, shows="progress", always=True,
             arguments=("-c", code.format(str(tmp_path), pair)))
        for name, pair in (("a", ("a", "b")), ("b", ("b", "a")))
    )  # fmt: skip
    output, _ = run(tmp_path, ((first,), (second,)))
    assert "a | met" in output
    assert "b | met" in output


def test_what_depends_on_a_step_to_be_done_is_to_be_done_too(tmp_path):
    middle, end = tmp_path / "middle", tmp_path / "end"
    write = "open({!r}, 'w').write('1')"
    first = step("first", write.format(str(middle)), outputs={"middle": middle})
    second = step("second", write.format(str(end)), inputs={"m": middle}, outputs={"end": end})
    stages = ((first, second),)
    run(tmp_path, stages)
    assert steps_to_do(place_in(tmp_path), [stages]) == []
    middle.write_text("2")
    assert steps_to_do(place_in(tmp_path), [stages]) == [first, second]


def test_a_step_that_writes_nothing_is_a_fault(tmp_path):
    silent = step("write", "pass", outputs={"out": tmp_path / "out"})
    with pytest.raises(UserError, match="write x did not write"):
        run(tmp_path, ((silent,),))
