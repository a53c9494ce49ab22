"""The ledger: entries, forecasts by a line worked out by hand, the two to select, what is left."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from click.testing import CliRunner

from data_tools.coco.dataset import write_coco
from data_tools.ground.errors import UserError
from data_tools.predictions.files import write_predictions
from data_tools.predictions.provenance import Provenance
from submit.cli import main
from submit.ledger.entries import log_submission, pick_two, submissions_left
from submit.ledger.file import Entry, read_ledger, write_ledger
from submit.ledger.forecast import forecast
from tests.builders.scoring_cases import dataset, predictions

NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)


def entry(name, local=None, leaderboard=None, *, leaked="", submitted="2026-03-05T12:00:00+00:00"):
    return Entry(
        submitted, f"{name}.csv", name, local_score=local, leaderboard_score=leaderboard,
        leaked=leaked,
    )  # fmt: skip


@pytest.fixture
def submission(tmp_path):
    path = tmp_path / "submission.csv"
    path.write_text("PredictionString,image_id\n")
    return path


def test_no_ledger_yet_has_no_entries(tmp_path):
    assert read_ledger(tmp_path / "ledger.csv") == []


def test_entries_read_back_as_written(tmp_path):
    entries = [
        entry("a", 0.5, 0.4),
        replace(entry("b"), members=("tood", "yolox"), note='with "quotes", and a comma'),
        entry("c", 1 / 3, leaked="LEAKED: 3 of 4 scored images were trained on"),
    ]
    write_ledger(tmp_path / "ledger.csv", entries)
    assert read_ledger(tmp_path / "ledger.csv") == entries


def test_a_file_is_entered_once_and_completed_later(tmp_path, submission):
    ledger = tmp_path / "work" / "ledger.csv"
    score = {"competition_map50": 0.5, "members": ["tood dcn", "yolox"], "leaked": None,
             "intervals": {"competition_map50": {"low": 0.45, "high": 0.55}}}  # fmt: skip
    first = log_submission(ledger, submission, score=score, note="first", now=NOON)
    assert first.members == ("tood_dcn", "yolox")
    assert (first.local_score, first.local_low, first.local_high) == (0.5, 0.45, 0.55)
    log_submission(ledger, submission, leaderboard_score=0.48)
    (only,) = read_ledger(ledger)
    assert only == replace(first, leaderboard_score=0.48)
    submission.write_text("PredictionString,image_id\nchanged\n")
    log_submission(ledger, submission)
    assert len(read_ledger(ledger)) == 2


def test_leaked_scores_stay_marked(tmp_path, submission):
    leak = {"images": 2, "of": 5, "examples": ["a.jpg"], "reasons": []}
    score = {"competition_map50": 0.9, "leaked": leak}
    made = log_submission(tmp_path / "ledger.csv", submission, score=score)
    assert made.leaked == "LEAKED: 2 of 5 scored images were trained on, such as a.jpg"


@pytest.mark.parametrize("value", [61.5, -0.1, float("nan")])
def test_leaderboard_score_out_of_range_is_refused(tmp_path, submission, value):
    with pytest.raises(UserError, match="the leaderboard score is"):
        log_submission(tmp_path / "ledger.csv", submission, leaderboard_score=value)
    assert not (tmp_path / "ledger.csv").exists()


def test_other_files_are_no_ledger(tmp_path):
    (tmp_path / "ledger.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="the header is 'a,b'"):
        read_ledger(tmp_path / "ledger.csv")
    write_ledger(tmp_path / "ledger.csv", [entry("a", 0.5)])
    text = (tmp_path / "ledger.csv").read_text().replace("0.5", "half")
    (tmp_path / "ledger.csv").write_text(text)
    with pytest.raises(UserError) as caught:
        read_ledger(tmp_path / "ledger.csv")
    assert caught.value.where.endswith("ledger.csv, line 2")


def test_an_interval_has_both_ends(tmp_path):
    half = replace(entry("a", 0.5), local_low=0.4)
    write_ledger(tmp_path / "ledger.csv", [half])
    with pytest.raises(UserError, match="one of `local_low` and `local_high` is empty") as caught:
        read_ledger(tmp_path / "ledger.csv")
    assert caught.value.where.endswith("ledger.csv, line 2")


def test_a_link_that_leads_nowhere_is_no_empty_ledger(tmp_path, submission):
    (tmp_path / "ledger.csv").symlink_to("gone.csv")
    result = CliRunner().invoke(main, ["log", "--ledger", str(tmp_path / "ledger.csv")])
    assert result.exit_code == 2
    assert str(tmp_path / "ledger.csv") in result.output


def test_too_little_history_is_said():
    entries = [entry(str(n), 0.4 + n / 100, 0.38 + n / 100) for n in range(3)]
    found = forecast(entries, 0.5)
    assert found.expected is None
    assert found.reason.startswith("too little history: 3 submissions have both")
    same = [entry(str(n), 0.5, 0.4 + n / 100) for n in range(5)]
    assert forecast(same, 0.5).reason == "all local scores are the same: no line"


def test_leaked_and_unanswered_entries_are_no_history():
    entries = [entry(str(n), 0.4 + n / 100, 0.4) for n in range(4)]
    assert forecast([*entries[:3], replace(entries[3], leaked="LEAKED: x")], 0.5).entries == 3
    assert forecast([*entries[:3], entry("x", 0.5)], 0.5).entries == 3


def test_forecast_of_points_on_a_line_is_the_line():
    entries = [entry(str(n), x, 0.5 * x + 0.1) for n, x in enumerate((0.2, 0.4, 0.6, 0.8))]
    found = forecast(entries, 0.5)
    assert found.slope == pytest.approx(0.5)
    assert found.intercept == pytest.approx(0.1)
    assert (found.low, found.expected, found.high) == pytest.approx((0.35, 0.35, 0.35))


def test_forecast_interval_by_hand():
    # x 1 2 3 4 and y 1 3 2 4, in tenths: slope .8, intercept .5 tenths, residuals -.3 .9 -.9 .3,
    # squares 1.8, variance 1.8 / 2; at x = 2.5, the mean, the error is sqrt(.9 * (1 + 1/4)).
    pairs = ((0.1, 0.1), (0.2, 0.3), (0.3, 0.2), (0.4, 0.4))
    found = forecast([entry(str(n), x, y) for n, (x, y) in enumerate(pairs)], 0.25)
    half_width = 4.302653 * np.sqrt(0.9 * 1.25) / 10  # the 97.5% point of t with 2 degrees
    assert found.slope == pytest.approx(0.8)
    assert found.expected == pytest.approx(0.25)
    assert found.high == pytest.approx(0.25 + half_width, abs=1e-6)
    assert found.low == 0.0  # .25 - .456, cut


def test_one_by_each_yardstick_is_selected():
    entries = [entry("a", 0.50, 0.41), entry("b", 0.55, 0.40), entry("c", 0.52, 0.44)]
    assert [(e.sha256, why) for e, why in pick_two(entries)] == [
        ("b", "best local score that can be trusted"),
        ("c", "best leaderboard score"),
    ]


def test_a_file_that_is_best_by_both_leaves_room_for_the_next():
    entries = [entry("a", 0.50, 0.41), entry("b", 0.55, 0.45), entry("c", 0.52, 0.40)]
    picked = pick_two(entries)
    assert [e.sha256 for e, _ in picked] == ["b", "a"]
    assert picked[0][1] == "best local score that can be trusted, and best leaderboard score"
    assert picked[1][1] == "next best leaderboard score"


def test_leaked_local_scores_select_nothing():
    entries = [entry("a", 0.9, leaked="LEAKED: x"), entry("b", 0.5)]
    assert [e.sha256 for e, _ in pick_two(entries)] == ["b"]
    assert pick_two([]) == []


def test_submissions_left_count_the_competitions_own_day():
    entries = [entry("a", submitted="2026-03-05T14:00:00+00:00"),
               entry("b", submitted="2026-03-05T16:00:00+00:00")]  # fmt: skip
    night = datetime(2026, 3, 5, 20, tzinfo=UTC)
    assert submissions_left(entries, now=night) == 10 - 2
    # In Korea it is already the sixth since 15:00 UTC.
    assert submissions_left(entries, now=night, utc_offset_hours=9) == 10 - 1
    assert submissions_left(entries, now=night, per_day=1) == 0
    assert submissions_left([], now=night) == 10


def run(*arguments):
    return CliRunner().invoke(main, ["log", *(str(argument) for argument in arguments)])


def test_command_enters_scores_and_shows(tmp_path, submission):
    # Eight images, of which four are found.
    truth = dataset(8, [(image, 1, [0, 0, 9, 9]) for image in range(1, 9)])
    boxes = predictions(truth, [(image, 1, 0.9, [0, 0, 9, 9]) for image in range(1, 5)])
    provenance = Provenance(run="yolox", train_file_names=("test/0002.jpg",))
    write_coco(tmp_path / "truth.json", truth)
    write_predictions(tmp_path / "val.parquet", replace(boxes, provenance=provenance))
    ledger = ("--ledger", tmp_path / "ledger.csv")
    assert "no submissions yet" in run(*ledger).output
    assert not (tmp_path / "ledger.csv").exists()
    result = run(submission, *ledger, "--predictions", tmp_path / "val.parquet", "--truth",
                 tmp_path / "truth.json")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "0.5000 [" in result.output
    assert "LEAKED: 1 of 8 scored images were trained on" in result.output
    assert "too little history: 0 submissions" in result.output
    assert "9 of 10 submissions left today" in result.output
    result = run(submission, *ledger, "--leaderboard", "0.45", "--json")
    value = json.loads(result.output)
    assert value["entries"][0]["leaderboard_score"] == 0.45
    assert value["entries"][0]["members"] == ["yolox"]
    assert value["select"][0]["reason"] == "best leaderboard score"


def test_command_refuses_half_given_options(tmp_path, submission):
    assert run("--leaderboard", "0.5").exit_code == 2
    result = run(submission, "--ledger", tmp_path / "l.csv", "--predictions", "x.parquet")
    assert result.exit_code == 2
    assert "--predictions with --truth" in result.output
    result = run(tmp_path / "none.csv", "--ledger", tmp_path / "l.csv")
    assert result.exit_code == 2
    assert "the submission does not exist" in result.output


def edited(tmp_path, change, encoding="utf-8"):
    """Return a ledger of one entry after someone changed its text by hand."""
    path = tmp_path / "ledger.csv"
    write_ledger(path, [replace(entry("a", 0.5, 0.4), note="fünf")])
    path.write_bytes(change(path.read_text(encoding="utf-8")).encode(encoding))
    return path


def test_a_ledger_that_a_spreadsheet_saved_reads_the_same(tmp_path):
    whole = read_ledger(edited(tmp_path, lambda text: text))
    blank_row = "," * 9 + "\n"
    for change in (
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text + blank_row + "\n",
        lambda text: text.replace("2026-03-05T12:00:00+00:00", "2026-03-05 12:00:00"),
        lambda text: text.replace("+00:00", "Z"),
        lambda text: text.replace("12:00:00+00:00", "21:00:00+09:00"),
    ):
        assert read_ledger(edited(tmp_path, change)) == whole


def test_a_time_without_zone_is_utc_wherever_the_computer_stands(tmp_path, monkeypatch):
    path = edited(
        tmp_path, lambda text: text.replace("2026-03-05T12:00:00+00:00", "2026-03-05 23:30")
    )
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        late = datetime(2026, 3, 5, 23, 45, tzinfo=UTC)
        assert submissions_left(read_ledger(path), now=late) == 9
        # In Korea it is 8:30 of the next day by then, and so it is for the entry.
        assert submissions_left(read_ledger(path), utc_offset_hours=9, now=late) == 9
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("change", "encoding", "message"),
    [
        (lambda text: text.replace("0.4", '"0,4"'), "utf-8", "`leaderboard_score` is '0,4'"),
        (lambda text: text.replace("0.4", "nan"), "utf-8", "`leaderboard_score` is 'nan'"),
        (lambda text: text.replace("0.4", "61"), "utf-8", "`leaderboard_score` is '61'"),
        (
            lambda text: text.replace("2026-03-05T", "5.3.2026 "),
            "utf-8",
            "`submitted` is '5.3.2026",
        ),
        (lambda text: text + "2026-03-05T12:00:00+00:00,b.csv\n", "utf-8", "the row has 2 cells"),
        (lambda text: text.replace(",", ";"), "utf-8", "the header is 'submitted;file;"),
        (lambda text: text, "latin-1", "no UTF-8 text"),
        (lambda text: "", "utf-8", "the header is ''"),
    ],
)
def test_a_ledger_that_was_spoilt_by_hand_is_named_and_left_alone(
    tmp_path, submission, change, encoding, message
):
    path = edited(tmp_path, change, encoding)
    before = path.read_bytes()
    for arguments in (["log"], ["log", str(submission)]):
        result = CliRunner().invoke(main, [*arguments, "--ledger", str(path)])
        assert result.exit_code == 2
        assert message in result.stderr
    assert path.read_bytes() == before


def test_processes_that_log_at_once_lose_no_entry(tmp_path):
    """Each holds the lock while the others wait to read."""
    code = """
import sys
from submit.ledger import entries, file
file.write_text = lambda path, text, write=file.write_text: (
    __import__("time").sleep(0.2), write(path, text))
entries.log_submission(sys.argv[1], sys.argv[2])
"""
    running = []
    for number in range(4):
        submission = tmp_path / f"{number}.csv"
        submission.write_text(f"PredictionString,image_id\n{number}\n")
        command = [sys.executable, "-c", code, str(tmp_path / "ledger.csv"), str(submission)]
        running.append(subprocess.Popen(command))
    assert [process.wait() for process in running] == [0, 0, 0, 0]
    assert len(read_ledger(tmp_path / "ledger.csv")) == 4


@pytest.mark.parametrize("offset", ["900", "nan", "-13"])
def test_an_offset_of_no_clock_is_refused(tmp_path, offset):
    arguments = ["log", "--ledger", str(tmp_path / "ledger.csv"), "--utc-offset", offset]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "hours from -12 to 14" in result.stderr


def test_entries_typed_in_without_hash_are_different_submissions():
    first = replace(entry("a", 0.6, 0.5), sha256="")
    second = replace(entry("b", 0.4, 0.7), sha256="")
    assert [picked.file for picked, _ in pick_two([first, second])] == ["a.csv", "b.csv"]


def test_a_note_of_two_lines_stays_on_one_in_the_table(tmp_path, submission):
    arguments = ["log", str(submission), "--ledger", str(tmp_path / "ledger.csv")]
    result = CliRunner().invoke(main, [*arguments, "--note", "first\nsecond"])
    assert "(first second)" in result.stdout


def test_an_offset_that_no_place_has_enters_nothing(tmp_path):
    (tmp_path / "a.csv").write_text("PredictionString,image_id\n")
    ledger = tmp_path / "ledger.csv"
    words = ["log", str(tmp_path / "a.csv"), "--ledger", str(ledger), "--utc-offset", "99"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert "--utc-offset is 99" in result.output
    assert not ledger.exists()


@pytest.mark.parametrize("note", ["=1+1", "+1", "-1", "@SUM(A1)", "'=1", "''", "it's 1", ""])
def test_no_note_is_a_formula_to_a_spreadsheet_and_all_read_back(tmp_path, note):
    (tmp_path / "a.csv").write_text("PredictionString,image_id\n")
    log_submission(tmp_path / "ledger.csv", tmp_path / "a.csv", note=note)
    assert [entry.note for entry in read_ledger(tmp_path / "ledger.csv")] == [note]
    last = (tmp_path / "ledger.csv").read_text().splitlines()[-1]
    assert not last.rpartition(",")[2].startswith(("=", "+", "-", "@"))
