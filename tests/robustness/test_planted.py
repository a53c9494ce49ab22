"""Every oracle finds a fault that is planted for it, and nothing in a command that is right."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from data_tools.ground.command_line import CommandGroup
from tests.robustness.case import called
from tests.robustness.commands import Command
from tests.robustness.faults import Fault, drawn_fault, fault_case
from tests.robustness.findings import Recorder, folder_name
from tests.robustness.forking import Limits, run_forked
from tests.robustness.fuzzer import discover, fuzz_case
from tests.robustness.harness import Harness
from tests.robustness.killer import kill_case, undisturbed
from tests.robustness.lines import Line
from tests.robustness.numbers import number_case, write_number_files
from tests.robustness.oracles import Finding, find_faults
from tests.robustness.reference import coco_map, competition_map50, plain_predictions, plain_truth
from tests.robustness.replay import replay
from tests.robustness.trees import snapshot
from tests.robustness.world import Place, make_place

SECONDS = 20.0


@pytest.fixture
def harness(tmp_path) -> Harness:
    place = make_place(tmp_path / "original")
    (place.world / "out").mkdir()
    (place.world / "in.json").write_text('{"a": 1, "b": [1, 2, 3]}')
    (place.world / "ledger.csv").write_text("submitted,note\nmonday,first\n")
    return Harness(place, tmp_path / "copy")


def planted(action: Callable[..., object], kind: type[click.Group] = click.Group) -> Line:
    """Return the line `planted in.json --out out/x` of a command that does `action`."""

    @click.command("planted")
    @click.argument("source")
    @click.option("--out")
    def command(source: str, out: str) -> None:
        action(Path(source), Path(out))

    group = kind("main", {"planted": command})
    known = Command("planted", ("planted",), command, group)
    return Line(known, ["in.json", "--out", "out/x"], written=["out/x"], read=["in.json"])


def kinds(harness: Harness, line: Line, seconds: float = SECONDS) -> set[str]:
    """Call a line once and return the kinds of what is found."""
    harness.restore()
    before = snapshot(harness.place.world)
    outcome = harness.call(line, line.arguments, limits=Limits(seconds=seconds))
    return {
        finding.kind
        for finding in find_faults(harness.place, line, outcome, before, harness.around)
    }


def write_whole(path: Path, text: str) -> None:
    """Write as the kit does: beside, then renamed; a killed writer's file has the same name."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(text)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def test_nothing_is_found_in_a_command_that_is_right(harness):
    assert (
        kinds(harness, planted(lambda source, out: write_whole(out, source.read_text()))) == set()
    )


def test_a_refusal_with_a_message_is_no_finding(harness):
    def refuse(source, out):
        raise click.UsageError("the file is empty")

    assert kinds(harness, planted(refuse)) == set()


def test_a_traceback_is_found(harness):
    assert kinds(harness, planted(lambda source, out: {}["key"])) == {"traceback"}


def test_a_traceback_of_a_child_process_is_found(harness):
    def start_another(source, out):
        subprocess.run(["python3", "-c", "1 / 0"], check=False)

    assert kinds(harness, planted(start_another)) == {"traceback"}


def test_a_hang_is_found_and_ended(harness):
    started = time.monotonic()
    assert kinds(harness, planted(lambda source, out: time.sleep(60)), seconds=0.3) == {"hang"}
    assert time.monotonic() - started < 20


def test_an_odd_exit_status_is_found(harness):
    assert kinds(harness, planted(lambda source, out: os._exit(5))) == {"status"}


def test_death_by_a_signal_is_found(harness):
    die = planted(lambda source, out: os.kill(os.getpid(), signal.SIGTERM))
    assert kinds(harness, die) == {"status"}


def test_a_refusal_without_a_word_is_found(harness):
    assert kinds(harness, planted(lambda source, out: os._exit(2))) == {"silent"}


def test_writing_outside_is_found(harness):
    outside = harness.place.root / "outside"
    assert kinds(harness, planted(lambda s, o: (outside / "new").write_text("x"))) == {"outside"}
    precious = outside / "precious.txt"
    assert kinds(harness, planted(lambda s, o: precious.write_text("x"))) == {"outside"}
    above = harness.place.root / "beside the world"
    assert kinds(harness, planted(lambda s, o: above.write_text("x"))) == {"outside"}


def test_executed_input_is_found(harness):
    def execute(source, out):
        subprocess.run(json.loads(source.read_text())["name"], shell=True, check=False)

    place = Place(harness.place.root.parent / "poisoned")
    payload = next(text for text in place.traps.payloads() if text.startswith("$("))
    (harness.original.world / "in.json").write_text(json.dumps({"name": payload}))
    poisoned = Harness(harness.original, place.root)
    assert "executed" in kinds(poisoned, planted(execute))


def test_much_memory_is_found(harness):
    assert kinds(harness, planted(lambda source, out: bytes(bytearray(2 << 30)))) == {"memory"}


def test_a_changed_input_is_found(harness):
    assert kinds(harness, planted(lambda source, out: source.write_text("x"))) == {"input"}


def test_output_in_spite_of_an_error_is_found(harness):
    def write_and_refuse(source, out):
        out.write_text("x")
        raise click.UsageError("no")

    assert kinds(harness, planted(write_and_refuse)) == {"partial"}


def test_a_leftover_is_found(harness):
    leave = planted(lambda source, out: out.with_name(".x.1234.tmp.json").write_text("x"))
    assert kinds(harness, leave) == {"leftover"}


@pytest.mark.parametrize("text", ["\x1b]0;title\x07", "a\u202eb", "\x00", "\x1b[31mred"])
def test_control_characters_are_found(harness, text):
    assert kinds(harness, planted(lambda source, out: click.echo(text, color=True))) == {"control"}


# ---------------------------------------------------------------- mutated inputs


def test_a_fault_that_only_a_mutated_file_shows_is_found(harness):
    def read(source, out):
        write_whole(out, str(json.loads(source.read_text())["a"] + 1))

    line = planted(read)
    found = [fuzz_case(harness, [line], random.Random(seed)).findings for seed in range(12)]
    assert "traceback" in {finding.kind for findings in found for finding in findings}


def test_mutated_cases_are_the_same_for_the_same_seed(harness):
    line = planted(lambda source, out: None)
    first, second = (fuzz_case(harness, [line], random.Random(4)) for _ in range(2))
    assert (first.changes, first.line.arguments) == (second.changes, second.line.arguments)


def test_lines_that_do_not_work_are_left_out(harness):
    def refuse(source, out):
        raise click.UsageError("no")

    refuse.__doc__ = "x"
    broken = planted(refuse).command
    assert discover(harness, [broken], random.Random(0), tries=0) == []


# ---------------------------------------------------------------- kills


def kinds_after_kills(
    harness: Harness,
    action: Callable[..., object],
    rounds: int = 25,
) -> set[str]:
    line = planted(action, CommandGroup)
    line.written.append("ledger.csv")
    expected = undisturbed(harness, line)
    assert expected is not None
    found, kills = set(), 0
    for seed in range(rounds):
        killed = kill_case(harness, line, expected, seed)
        kills += killed.kills + killed.signals
        found |= {finding.kind for finding in killed.findings}
    assert kills > rounds / 3
    return found


def test_kills_of_a_command_that_is_right_show_nothing(harness):
    assert kinds_after_kills(harness, lambda source, out: write_whole(out, "x")) == set()


def test_a_command_that_does_not_hear_signals_is_found(harness):
    def swallow(source, out):
        with contextlib.suppress(KeyboardInterrupt):
            write_whole(out, "x")

    assert kinds_after_kills(harness, swallow) == {"signal"}


def test_a_file_written_in_place_is_found_torn(harness):
    def write_in_place(source, out):
        with open(out, "w") as file:
            file.write("first half, ")
            file.flush()
            (out.parent / "other").touch()
            file.write("second half")

    assert "torn" in kinds_after_kills(harness, write_in_place)


def test_a_marker_written_before_its_set_is_found(harness):
    def mark_first(source, out):
        for name in ("split.json", "train.json", "val.json"):
            write_whole(out.parent / name, name)

    assert "torn" in kinds_after_kills(harness, mark_first)


def test_a_marker_written_last_is_fine(harness):
    def mark_last(source, out):
        (out.parent / "split.json").unlink(missing_ok=True)
        for name in ("train.json", "val.json", "split.json"):
            write_whole(out.parent / name, name)

    assert kinds_after_kills(harness, mark_last) == set()


def test_leftovers_of_a_killed_writer_are_found(harness):
    def write_beside(source, out):
        temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
        temporary.write_text("x")
        temporary.replace(out)

    assert kinds_after_kills(harness, write_beside) == {"leftover"}


def test_a_lost_line_is_found(harness):
    def rewrite(source, out):
        ledger = Path("ledger.csv")
        lines = ledger.read_text()
        ledger.write_text("")
        out.write_text("x")
        ledger.write_text(lines + f"{time.time_ns()},second\n")

    assert "lost" in kinds_after_kills(harness, rewrite)


def test_a_command_that_refuses_to_be_repeated_is_found(harness):
    def only_once(source, out):
        if out.exists():
            raise click.UsageError("exists already")
        out.mkdir()
        write_whole(out / "y", "y")

    assert "different" in kinds_after_kills(harness, only_once)


def test_an_output_that_depends_on_the_kill_is_found(harness):
    def count_calls(source, out):
        calls = out.with_name("calls")
        times = len(calls.read_text()) if calls.exists() else 0
        calls.write_text("x" * (times + 1))
        write_whole(out, "first" if times == 0 else "again")

    assert "different" in kinds_after_kills(harness, count_calls)


# ---------------------------------------------------------------- faults of the machine


def copy_twice(source: Path, out: Path) -> None:
    out.write_text(source.read_text())
    out.with_name("y").write_text(source.read_text() * 400)


def test_faults_are_found_where_nothing_is_done_about_them(harness):
    line = planted(copy_twice)
    found = {
        (case.changes[0].split(" ")[-1], finding.kind)
        for seed in range(60)
        for case in [fault_case(harness, line, seed)]
        for finding in case.findings
    }
    assert {("most", "traceback"), ("folder", "traceback")} <= found
    assert os.getuid() != 0 or ("KiB", "traceback") in found


def test_little_memory_ends_in_a_memory_error(harness):
    little = Limits(seconds=SECONDS, memory_bytes=8 << 20)
    outcome = run_forked(lambda: bytearray(1 << 30), folder=harness.place.world, limits=little)
    assert "MemoryError" in outcome.errors


def test_faults_are_drawn_of_every_kind():
    faults: list[Fault] = [drawn_fault(random.Random(seed)) for seed in range(200)]
    words = {
        fault.name.split(" ")[-1] if fault.prepare is None else fault.name.split(" ")[0]
        for fault in faults
    }
    assert {"most", "files", "memory", "vanishing", "disk", "read-only", "ENOSPC", "EIO"} <= words


# ---------------------------------------------------------------- numbers


def scorer(error: float, order: int = 1) -> Command:
    """Return a `submit score` that computes with the references, off by `error`."""

    @click.command("score")
    @click.argument("predictions")
    @click.option("--truth")
    @click.option("--json", "as_json", is_flag=True)
    def command(predictions: str, truth: str, as_json: bool) -> None:
        annotations = plain_truth(Path(truth))
        rows = plain_predictions(Path(predictions), annotations)[::order]
        figures = {
            "competition_map50": competition_map50(annotations, rows) + error,
            "map": coco_map(annotations, rows),
        }
        click.echo(json.dumps(figures))

    return Command("submit", ("score",), command, click.Group("main", {"score": command}))


def number_findings(harness: Harness, command: Command) -> list[Finding]:
    return [
        finding
        for seed in range(3)
        for finding in number_case(harness, command, random.Random(seed)).findings
    ]


def test_right_numbers_are_no_finding(harness):
    assert number_findings(harness, scorer(0.0)) == []


def test_a_wrong_number_is_found(harness):
    assert {finding.kind for finding in number_findings(harness, scorer(1e-7))} == {"number"}


def test_boxes_in_another_order_are_found(harness):
    """Ties are broken by the order of the file, so that reading it backwards changes a score."""
    assert number_findings(harness, scorer(0.0, order=-1)) != []


def test_the_references_agree_on_a_case_done_by_hand(tmp_path):
    """One truth box; found by the second of two boxes in score: precision 1/2 at every recall."""
    truth = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 50, "height": 50}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10],
                         "area": 100, "iscrowd": 0}],
        "categories": [{"id": 1, "name": "x"}],
    }  # fmt: skip
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "a.csv").write_text(
        "PredictionString,image_id\n1 0.9 20 20 30 30 1 0.8 0 0 10 10,a.jpg\n"
    )
    annotations = plain_truth(tmp_path / "truth.json")
    rows = plain_predictions(tmp_path / "a.csv", annotations)
    assert competition_map50(annotations, rows) == 0.5
    assert coco_map(annotations, rows) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "change",
    [
        {"categories": []},
        {"images": [{"id": 1, "file_name": "a.jpg", "width": "50", "height": 50}]},
        {"extra": 1},
    ],
)
def test_what_leaves_room_for_interpretation_is_not_compared(tmp_path, change):
    write_number_files(tmp_path, random.Random(0))
    assert plain_truth(tmp_path / "truth.json") is not None
    truth = json.loads((tmp_path / "truth.json").read_text())
    (tmp_path / "truth.json").write_text(json.dumps({**truth, **change}))
    assert plain_truth(tmp_path / "truth.json") is None


# ---------------------------------------------------------------- what is kept of a finding


def test_a_finding_is_saved_once_counted_each_time_and_called_again(harness, tmp_path):
    line = planted(lambda source, out: json.loads(source.read_text())["a"] + 1)
    (harness.original.world / "in.json").write_text('{"a": "x"}')
    harness = Harness(harness.original, tmp_path / "of a worker" / "place")
    recorder = Recorder(tmp_path / "findings")
    for number in range(2):
        harness.restore()
        (harness.place.world / "in.json").write_text('{"b": 1}')
        harness.keep("in.json")
        recorder.record(called("mutated", harness, line, ["'a' is gone"]), f"1/{number}", harness)
    cause = "traceback: KeyError at ? of planted planted"
    saved = tmp_path / "findings" / folder_name(cause)
    assert list((tmp_path / "findings").iterdir()) == [saved]
    assert recorder.tally.findings == {cause: 2}
    assert f"--replay {saved}" in recorder.tally.text(tmp_path / "findings")
    assert (saved / "before" / "in.json").read_text() == '{"b": 1}'
    assert "'a' is gone" in (saved / "README.md").read_text()
    shutil.rmtree(harness.place.root.parent)
    again = replay(saved, [line.command])
    assert [finding.cause for finding in again.findings] == [cause]
    assert not harness.place.root.parent.exists()


def test_a_folder_without_a_finding_is_refused(tmp_path):
    with pytest.raises(click.UsageError, match="no finding's folder"):
        replay(tmp_path, [])


def test_a_place_is_put_back(harness):
    world = harness.place.world
    (world / "in.json").write_text("changed")
    (world / "new").mkdir()
    (world / "out").rmdir()
    (harness.place.root / "outside" / "x").write_text("x")
    harness.restore()
    assert {path.name for path in world.iterdir()} == {"in.json", "ledger.csv", "out"}
    assert (world / "in.json").read_text() == '{"a": 1, "b": [1, 2, 3]}'
    assert not (harness.place.root / "outside" / "x").exists()


def test_a_place_knows_its_traps(tmp_path):
    place: Place = make_place(tmp_path / "place")
    assert (
        (place.world / place.traps.outside_relative / "precious.txt")
        .resolve()
        .is_relative_to(place.root.parent)
    )
