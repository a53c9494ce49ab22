"""The worked example of docs/scoring.md, and the formats that docs/submission.md lists."""

from __future__ import annotations

import re

import pytest
import yaml

from data_tools.predictions.formats.catalogue import load_formats
from data_tools.predictions.formats.schema import SubmissionFormat
from scoring.disagreement import disagreements
from scoring.score import score
from tests.builders.scoring_cases import dataset, predictions


def example(repository):
    """Return the page, the truth, the rows and the (competition, COCO) verdict of each row."""
    text = (repository / "docs" / "scoring.md").read_text(encoding="utf-8")
    table = text.split("A worked example.")[1].split("\n\n")[1]
    truths, rows, verdicts = [], [], []
    for line in table.splitlines()[2:]:
        name, image, value, box, competition, coco = (
            cell.strip() for cell in line.strip("|").split("|")
        )
        corners = [float(number) for number in box.split()]
        if name.startswith("truth"):
            x, y, xmax, ymax = corners
            truths.append((int(image), 1, [x, y, xmax - x, ymax - y]))
        else:
            rows.append((int(image), 1, float(value), corners))
            verdicts.append((competition, coco))
    return text, dataset(2, truths, category_ids=(1,)), rows, verdicts


def test_worked_example_gives_the_figures_on_the_page(repository):
    text, truth, rows, verdicts = example(repository)
    assert (len(truth.annotations), len(rows)) == (2, 3)
    found = score(predictions(truth, rows), truth)
    stated = [float(number) for number in re.findall(r"\*\*(\.\d+)\*\*", text)]
    assert stated == pytest.approx([0.5, 2 / 3], abs=1e-4)
    assert found["competition_map50"] == pytest.approx(stated[0], abs=1e-9)
    assert found["map50"] == pytest.approx(2 / 3, abs=1e-9)
    apart = {
        place for place, (ours, theirs) in enumerate(verdicts)
        if re.split("[,:]", ours)[0] != re.split("[,:]", theirs)[0]
    }  # fmt: skip
    listed = disagreements(predictions(truth, rows), truth)
    boxes = [tuple(rows[place][3]) for place in apart]
    assert {tuple(row["box"]) for row in listed} == set(boxes)


def test_worked_example_in_the_wrong_order_costs_what_the_page_says(repository):
    text, truth, rows, _ = example(repository)
    wrong = predictions(truth, [rows[0], rows[2], rows[1]])
    assert score(wrong, truth)["competition_map50"] == pytest.approx(1 / 2 * 1 / 2)
    assert "AP = 1/2 * 1/2 = .25." in text


def test_every_format_and_key_is_on_the_page(repository):
    text = (repository / "docs" / "submission.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \|", text.split("A format of your own")[0], re.MULTILINE)
    assert listed == list(load_formats())
    keys = set(SubmissionFormat.__dataclass_fields__) - {"name", "description"}
    assert all(f"`{key}`" in text for key in keys)


def test_the_format_on_the_page_is_one(repository, tmp_path):
    text = (repository / "docs" / "submission.md").read_text(encoding="utf-8")
    block = re.search(r"```yaml\n(.*?)```", text, re.S).group(1)
    (tmp_path / "own.yaml").write_text(block)
    assert len(block.strip().splitlines()) <= 10
    assert load_formats(tmp_path / "own.yaml")["drone"].fields == tuple(
        yaml.safe_load(block)["drone"]["fields"]
    )
