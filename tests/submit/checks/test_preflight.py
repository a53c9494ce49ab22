"""The preflight: every fault is found, named and counted, and good files pass without a word."""

from __future__ import annotations

import gzip
import json
import resource
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings

from data_tools.coco.dataset import coco_from_dict, write_coco
from data_tools.predictions.formats.catalogue import find_format
from data_tools.predictions.misread import NAMES
from submit.checks.preflight import check_file
from submit.cli import main
from submit.printing import write_in_format
from submit.scores.changes import compare
from submit.write import prepared
from tests.builders.misread_boxes import write_misread_files
from tests.builders.scoring_cases import dataset, predictions, scoring_cases

HEADER = "PredictionString,image_id"
GOOD = [
    HEADER,
    "1 0.9 10 10 20 20 2 0.8 30 30 40 40 1 0.5 50 50 60 60 ,test/0001.jpg",
    ",test/0002.jpg",
]


def check(tmp_path, lines, *, format_name="aistages", dataset_=None):
    write_coco(tmp_path / "test.json", dataset_ or dataset(2))
    path = tmp_path / "submission.csv"
    path.write_bytes("\n".join([*lines, ""]).encode())
    return check_file(path, tmp_path / "test.json", format_name=format_name)


def found(result):
    """Return {check: (level, count)}."""
    return {finding.check: (finding.level, finding.count) for finding in result.findings}


def test_good_file_passes_without_a_finding(tmp_path):
    result = check(tmp_path, GOOD)
    assert found(result) == {}
    assert (result.images, result.empty_images, result.boxes) == (2, 1, 3)
    assert result.file_bytes == (tmp_path / "submission.csv").stat().st_size


def replaced(number, text):
    return [*GOOD[:number], *([text] if text is not None else []), *GOOD[number + 1 :]]


ROW = "test/0001.jpg"
BOTH = "2 0.9 1 1 9 9 1 0.9 1 1 9 9"  # both classes, so that none is absent


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param(replaced(2, None), {"missing_images": ("error", 1)}, id="image left out"),
        pytest.param([*GOOD, GOOD[1]], {"repeated_images": ("error", 1),
                     "image_order": ("warning", 1)}, id="image twice"),
        pytest.param([*GOOD, ",train/0001.jpg"], {"unknown_images": ("error", 1)}, id="unknown"),
        pytest.param([GOOD[0], GOOD[2], GOOD[1]], {"image_order": ("warning", 1)}, id="order"),
        pytest.param(replaced(1, f"{BOTH} 1 0.5 ,{ROW}"),
                     {"broken_strings": ("error", 1), "no_boxes": ("error", 1)}, id="14 numbers"),
        pytest.param(replaced(1, f"{BOTH} 1 0.5 x 1 2 2 ,{ROW}"), {"not_a_number": ("error", 1)},
                     id="text"),
        pytest.param(replaced(1, f"{BOTH} 1 0.5 1 1 2 inf ,{ROW}"), {"not_finite": ("error", 1),
                     "over_edge": ("warning", 1)}, id="infinite"),
        pytest.param(replaced(1, f"{BOTH} 1 nan 1 1 2 2 ,{ROW}"), {"not_finite": ("error", 1)},
                     id="score nan"),
        pytest.param(replaced(1, f"{BOTH} 3 0.5 1 1 2 2 ,{ROW}"), {"unknown_labels": ("error", 1)},
                     id="label"),
        pytest.param(replaced(1, f"1 1.5 1 1 2 2 {BOTH} ,{ROW}"), {"score_range": ("error", 1)},
                     id="score above 1"),
        pytest.param(replaced(1, f"{BOTH} 1 -0.5 1 1 2 2 ,{ROW}"), {"score_range": ("error", 1)},
                     id="score below 0"),
        pytest.param(replaced(1, f"{BOTH} 1 0.5 5 1 5 2 1 0.4 5 9 7 2 ,{ROW}"),
                     {"empty_boxes": ("error", 2)}, id="no area"),
        pytest.param(replaced(1, f"{BOTH} 1 0.5 100 1 110 2 1 0.4 -9 1 0 3 ,{ROW}"),
                     {"outside_image": ("error", 2)}, id="outside"),
        pytest.param(replaced(1, f"{BOTH} 1 0.5 90 1 103.5 2 ,{ROW}"),
                     {"over_edge": ("warning", 1)}, id="over the edge"),
        pytest.param(replaced(1, f"{BOTH} 1 0.5 90 1 100.005 2 ,{ROW}"), {}, id="rounding"),
        pytest.param(replaced(1, f"1 0.9 0 0 0.5 0.5 2 0.8 0 0 1 1 ,{ROW}"),
                     {"normalised": ("error", 2)}, id="normalised"),
        pytest.param(replaced(1, f"{BOTH},{ROW}"), {"trailing_space": ("warning", 1),
                     "one_score": ("warning", 2)}, id="no trailing space"),
        pytest.param(replaced(1, f"1  0.9 1 1 9 9 2 0.8 1 1 9 9 ,{ROW}"),
                     {"white_space": ("warning", 1)}, id="two spaces"),
        pytest.param(replaced(2, "nan,test/0002.jpg"), {"nan_strings": ("warning", 1)}, id="NaN"),
        pytest.param(replaced(1, f"{BOTH} 1 0.95 3 3 9 9 ,{ROW}"), {"score_order": ("warning", 1)},
                     id="rising scores"),
        pytest.param(replaced(1, f"1 0.5 1 1 9 9 2 0.9 1 1 9 9 ,{ROW}"), {}, id="class by class"),
        pytest.param(replaced(1, f"{BOTH} 1 0.7 1 1 9 9 ,{ROW}"),
                     {"duplicate_boxes": ("warning", 1)}, id="box twice"),
        pytest.param(replaced(1, f",{ROW}"), {"no_boxes": ("error", 1)}, id="no boxes"),
        pytest.param(replaced(1, f"1 0.5 1 1 9 9 1 0.4 2 2 9 9 ,{ROW}"),
                     {"absent_classes": ("warning", 1)}, id="class never predicted"),
    ],
)  # fmt: skip
def test_faults(tmp_path, lines, expected):
    result = found(check(tmp_path, lines))
    # BOTH holds two boxes of one score; that finding is only asked for where it is the point.
    result.pop("one_score", None) if "one_score" not in expected else None
    assert set(result) == set(expected)
    for code, value in expected.items():
        assert result[code] == value


def test_column_order_is_a_warning(tmp_path):
    lines = ["image_id,PredictionString", f"{ROW},{BOTH} ", "test/0002.jpg,"]
    result = found(check(tmp_path, lines))
    assert result["column_order"] == ("warning", 1)


def images_only(dataset_):
    return replace(dataset_, categories=())


def test_labels_are_whole_numbers_at_least_where_the_images_file_lists_no_classes(tmp_path):
    result = check(tmp_path, GOOD, dataset_=images_only(dataset(2)))
    assert found(result) == {"no_classes": ("warning", 1)}
    lines = replaced(1, f"{BOTH} x 0.5 1 1 2 2 ,{ROW}")
    result = check(tmp_path, lines, dataset_=images_only(dataset(2)))
    assert found(result)["unknown_labels"] == ("error", 1)


def test_json_of_a_file_that_cannot_be_read_is_json(tmp_path):
    result = run(tmp_path, ["a,b"], "--json")
    assert result.exit_code == 2
    (error,) = json.loads(result.output)["errors"]
    assert error["check"] == "unreadable"
    assert "the header is 'a,b'" in error["message"]


def test_a_column_too_many_is_no_submission(tmp_path):
    result = run(tmp_path, [f"x,{HEADER}", *(f"{n},{line}" for n, line in enumerate(GOOD[1:]))])
    assert result.exit_code == 2
    assert "the header is" in result.output


def test_marks_of_spreadsheets_are_warnings(tmp_path):
    result = check(tmp_path, ["\ufeff" + GOOD[0] + "\r", *(line + "\r" for line in GOOD[1:])])
    assert found(result) == {"byte_order_mark": ("warning", 1), "line_ends": ("warning", 1)}


def test_examples_name_the_image_and_the_box(tmp_path):
    result = check(tmp_path, replaced(1, f"{BOTH} 3 0.5 1 1 2 2 ,{ROW}"))
    assert result.errors[0].examples == ("test/0001.jpg: label 3 score 0.5 box 1, 1, 2, 2",)
    assert "1 boxes have a label that is no class of" in result.errors[0].message


def test_one_row_per_box_may_leave_empty_images_out(tmp_path):
    lines = ["image_id,label,score,xmin,ymin,xmax,ymax", "test/0002.jpg,1,0.5,1,1,9,9",
             "test/0002.jpg,2,0.4,1,1,9,9"]  # fmt: skip
    assert found(check(tmp_path, lines, format_name="rows")) == {}


@settings(max_examples=40, deadline=None)
@given(scoring_cases())
def test_whatever_write_prepares_has_no_error(tmp_path_factory, case):
    truth, table = case
    folder = tmp_path_factory.mktemp("check")
    write_coco(folder / "test.json", truth)
    ready, report = prepared(table, truth)
    assert report.boxes + report.emptied_boxes == len(table)
    write_in_format(folder / "out.csv", ready, truth, find_format("aistages"))
    result = check_file(folder / "out.csv", folder / "test.json")
    expected = {"no_boxes"} if report.boxes == 0 else set()
    assert {finding.check for finding in result.errors} == expected
    codes = {finding.check for finding in result.warnings}
    assert not codes & {"score_order", "over_edge", "image_order", "trailing_space", "white_space"}


def run(tmp_path, lines, *options):
    write_coco(tmp_path / "test.json", dataset(2))
    (tmp_path / "submission.csv").write_text("\n".join([*lines, ""]))
    arguments = ["check", str(tmp_path / "submission.csv"), "--images",
                 str(tmp_path / "test.json"), *options]  # fmt: skip
    return CliRunner().invoke(main, arguments)


def test_command_ends_with_2_on_errors_and_0_on_warnings(tmp_path):
    result = run(tmp_path, replaced(2, None))
    assert result.exit_code == 2
    assert "ERROR   1 images have no row" in result.output
    assert "NOT ready: 1 errors, 0 warnings" in result.output
    result = run(tmp_path, [GOOD[0], GOOD[2], GOOD[1]])
    assert result.exit_code == 0
    assert "ready to hand in: 0 errors, 1 warnings" in result.output


def test_json_keeps_errors_and_warnings_apart(tmp_path):
    result = run(tmp_path, [GOOD[0], GOOD[1]], "--json")
    value = json.loads(result.output)
    assert value["ok"] is False
    assert [finding["check"] for finding in value["errors"]] == ["missing_images"]
    assert value["warnings"] == []
    assert value["boxes"] == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a valid CSV"),
        (b"a,b\n1,2\n", "the header is 'a,b'"),
        (b"\xff\xfe\x00,\n", "the header is"),
    ],
)
def test_files_that_cannot_be_read_end_with_one_message(tmp_path, content, message):
    write_coco(tmp_path / "test.json", dataset(2))
    (tmp_path / "s.csv").write_bytes(content)
    arguments = ["check", str(tmp_path / "s.csv"), "--images", str(tmp_path / "test.json")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


def test_other_kinds_of_files_are_refused_in_a_few_lines(tmp_path):
    truth = dataset(2, [(1, 1, [1.0, 1.0, 5.0, 5.0])] * 500)
    write_coco(tmp_path / "truth.json", truth)
    for name in ("aistages", "coco"):
        arguments = ["check", str(tmp_path / "truth.json"), "--images",
                     str(tmp_path / "truth.json"), "--format", name]  # fmt: skip
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2
        assert len(result.output) < 1000


def test_comparison_of_a_file_with_itself(tmp_path):
    table = predictions(dataset(2), [(1, 1, 0.9, [0, 0, 10, 10]), (1, 1, 0.5, [20, 20, 30, 30])])
    assert compare(table, table) == {
        "images": 2, "images_changed": 0, "boxes_before": 2, "boxes_after": 2, "matched_boxes": 2,
        "mean_iou": 1.0, "score_rank_correlation": pytest.approx(1.0),
    }  # fmt: skip


def test_comparison_counts_what_changed():
    images = dataset(3)
    before = predictions(
        images,
        [(1, 1, 0.9, [0, 0, 10, 10]), (1, 1, 0.5, [20, 20, 30, 30]), (2, 2, 0.7, [0, 0, 10, 10]),
         (3, 1, 0.3, [0, 0, 9, 9])],
    )  # fmt: skip
    after = predictions(
        images,
        [(1, 1, 0.4, [0, 0, 10, 8]), (1, 1, 0.6, [20, 20, 30, 30]), (2, 1, 0.7, [0, 0, 10, 10]),
         (3, 1, 0.3, [0, 0, 9, 9])],
    )  # fmt: skip
    result = compare(before, after)
    # Image 1 moved and was rescored, image 2 changed its class, image 3 stayed.
    assert result["images_changed"] == 2
    assert result["matched_boxes"] == 3
    assert result["mean_iou"] == pytest.approx((0.8 + 1 + 1) / 3)
    # Scores .9 .5 .3 became .4 .6 .3: ranks 3 2 1 and 2 3 1, Spearman 1 - 6 * 2 / (3 * 8).
    assert result["score_rank_correlation"] == pytest.approx(1 - 12 / 24)


def test_comparison_without_pairs_has_no_correlation():
    images = dataset(1)
    result = compare(predictions(images), predictions(images, [(1, 1, 0.5, [0, 0, 1, 1])]))
    assert result["matched_boxes"] == 0
    assert result["mean_iou"] is None
    assert result["score_rank_correlation"] is None


def test_command_compares_with_the_last_submission(tmp_path):
    (tmp_path / "last.csv").write_text(f"{HEADER}\n1 0.9 10 10 20 20 ,{ROW}\n,test/0002.jpg\n")
    result = run(tmp_path, GOOD, "--against", str(tmp_path / "last.csv"))
    assert result.exit_code == 0, result.output
    assert "1 of 2 images changed, boxes 1 -> 3" in result.output


@pytest.fixture
def large_submission(tmp_path):
    """A file of the real size: 4,871 images, 72,000 boxes."""
    images = coco_from_dict(
        {"images": [{"id": n, "file_name": f"test/{n:04d}.jpg", "width": 1024, "height": 1024}
                    for n in range(4871)],
         "categories": [{"id": n, "name": str(n)} for n in range(10)]}
    )  # fmt: skip
    generator = np.random.default_rng(0)
    corners = np.sort(generator.uniform(0, 1024, (72_000, 2, 2)), axis=1).reshape(-1, 4)
    rows = zip(generator.integers(0, 4871, 72_000).tolist(),
               generator.integers(0, 10, 72_000).tolist(), generator.random(72_000).tolist(),
               corners.tolist(), strict=True)  # fmt: skip
    table, _ = prepared(predictions(images, list(rows)), images)
    write_coco(tmp_path / "test.json", images)
    write_in_format(tmp_path / "s.csv", table, images, find_format("aistages"))
    return tmp_path


def test_check_of_a_real_size_answers_at_once_and_imports_nothing_heavy(
    large_submission, repository
):
    code = (
        "import sys; from click.testing import CliRunner; from submit.cli import main;"
        "result = CliRunner().invoke(main, sys.argv[1:]);"
        "heavy = {'pandas', 'numba', 'torch', 'sklearn', 'scipy', 'mmdet'} & set(sys.modules);"
        "print(result.output, sorted(heavy)); sys.exit(result.exit_code or bool(heavy))"
    )
    arguments = ["check", str(large_submission / "s.csv"), "--images",
                 str(large_submission / "test.json")]  # fmt: skip
    before = cpu_seconds_of_children()
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=repository, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert "72000 boxes" in result.stdout
    # 0.6 s, and as long on an idle machine's clock; CPU time is what a busy one does not stretch.
    assert cpu_seconds_of_children() - before < 2


def cpu_seconds_of_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["cascade_fpn_e20", "swin_dyhead_ce"])
def test_real_submissions_pass(real_data, tmp_path, name):
    images = coco_from_dict(
        {"images": [{"id": n, "file_name": f"test/{n:04d}.jpg", "width": 1024, "height": 1024}
                    for n in range(4871)],
         "categories": [{"id": n, "name": str(n)} for n in range(10)]}
    )  # fmt: skip
    write_coco(tmp_path / "test.json", images)
    result = check_file(real_data / "submissions" / f"{name}.csv.gz", tmp_path / "test.json")
    assert result.findings == ()


def test_an_empty_line_is_named_as_one(tmp_path):
    result = check(tmp_path, [*GOOD, ""])
    (unknown,) = result.errors
    assert unknown.examples == ("(a row without a name: an empty line?)",)


def test_boxes_of_unknown_images_make_no_image_less_empty(tmp_path):
    # One of the two images has no box, whatever stands on rows that are no image of theirs.
    result = check(tmp_path, [*GOOD, f"{BOTH} ,train/0001.jpg"])
    assert result.empty_images == 1


@pytest.mark.parametrize("option", [(), ("--json",)])
def test_a_file_with_errors_is_listed_in_full_and_not_compared(tmp_path, option):
    (tmp_path / "old.csv").write_text("\n".join([*GOOD, ""]))
    lines = [GOOD[0], f"{BOTH} 3 1.5 1 1 2 2 ,{ROW}"]
    result = run(tmp_path, lines, "--against", str(tmp_path / "old.csv"), *option)
    assert result.exit_code == 2
    for part in ("a label that is no class", "are not in [0, 1]", "1 images have no row"):
        assert part in result.output
    if option:
        assert json.loads(result.output)["against"]["not_compared"] == "the file has errors"
    else:
        assert f"not compared with {tmp_path / 'old.csv'}: the file has errors" in result.output


@pytest.mark.parametrize(
    ("content", "message", "next_step"),
    [
        ("ü,ä\n1,2\n".encode("latin-1") * 9, "no UTF-8 text", "save it again as CSV in UTF-8"),
        (b"PAR1" + bytes(range(255)) * 9, "a Parquet file", "python -m submit write"),
    ],
)
def test_a_file_of_another_kind_is_told_what_to_do(tmp_path, content, message, next_step):
    write_coco(tmp_path / "test.json", dataset(2))
    (tmp_path / "s.csv").write_bytes(content)
    arguments = ["check", str(tmp_path / "s.csv"), "--images", str(tmp_path / "test.json")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert next_step in result.output


def test_a_damaged_gzip_file_is_one_message(tmp_path):
    write_coco(tmp_path / "test.json", dataset(2))
    packed = bytearray(gzip.compress("\n".join(GOOD).encode()))
    packed[10:40] = bytes(30 * [255])
    (tmp_path / "s.csv.gz").write_bytes(packed)
    arguments = ["check", str(tmp_path / "s.csv.gz"), "--images", str(tmp_path / "test.json")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "not valid gzip" in result.output


def test_weak_boxes_left_out_are_a_warning_and_rising_scores_say_on_how_many_images(tmp_path):
    boxes = " ".join(f"{k % 2 + 1} {0.25 + k / 200:g} {k} 10 {k + 9} 20" for k in range(100))
    result = check(
        tmp_path,
        [HEADER, f"{boxes} ,test/0001.jpg", ",test/0002.jpg"],
        dataset_=dataset(2, size_wh=(200, 100)),
    )
    assert found(result) == {"score_order": ("warning", 1), "score_cut": ("warning", 1)}
    assert [finding.message for finding in result.findings] == [
        "on 1 of 1 images boxes of a class are not in descending order of score (rising throughout "
        "on 1); the server matches in file order, so that can cost points (`submit write` orders "
        "them)",
        "no box is scored below 0.25, and many lie just above it: weaker boxes seem to have been "
        "left out; mAP wants them all, so that costs recall: predict with a threshold of 0.001 to "
        "0.05",
    ]


@pytest.mark.parametrize(
    ("name", "format_name", "numbers"),
    [("sides.csv", "aistages", "xywh"), ("corners.json", "coco", "xyxy")],
)
def test_misread_boxes_are_an_error_that_names_the_repair(tmp_path, name, format_name, numbers):
    write_misread_files(tmp_path)
    result = check_file(tmp_path / name, tmp_path / "test.json", format_name=format_name)
    (error,) = [finding for finding in result.errors if finding.check == "misread_boxes"]
    assert error.count == (20 if numbers == "xywh" else 17)
    assert f"20 fit as {NAMES[numbers]}" in error.message
    assert f"--from predictions --boxes {numbers}" in error.message
