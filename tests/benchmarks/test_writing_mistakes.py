"""The figures of mistakes of writing come from the files that are named, whatever they are."""

from __future__ import annotations

from click.testing import CliRunner

from benchmarks.writing_mistakes import main
from data_tools.coco.dataset import write_coco
from tests.builders.scoring_cases import dataset


def test_each_mistake_is_scored_beside_the_file_as_it_is(tmp_path):
    # The worked example of docs/scoring.md, and an image that the file does not list.
    truth = dataset(2, [(1, 1, [0, 0, 10, 10]), (1, 1, [2, 0, 10, 10]), (2, 1, [0, 0, 9, 9])])
    write_coco(tmp_path / "truth.json", truth)
    path = tmp_path / "a.csv"
    path.write_text(
        "PredictionString,image_id\n1 0.9 0 0 10 10 1 0.08 0.5 0 10.5 10,test/0001.jpg\n"
    )
    words = [str(path), "--truth", str(tmp_path / "truth.json")]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    assert lines[:4] == [
        "a.csv: 1 images, 2 boxes, 0.5000",
        "rising scores 2 boxes 0.2500 -0.2500",
        "cut at 0.05 2 boxes 0.5000 +0.0000",
        "cut at 0.1 1 boxes 0.5000 +0.0000",
    ]
