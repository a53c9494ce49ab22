"""`python -m ensemble`: members of every kind, options, and what a user's mistake says."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image

from data_tools.coco.dataset import read_coco
from data_tools.predictions.files import read_predictions
from ensemble.cli import main
from ensemble.settings import FusionSettings, read_settings, settings_from_dict, write_settings
from tests.builders.fusion_files import Workspace, dataset_dict
from tests.builders.malformed import MALFORMED

LEFT = (0, 0, 40, 40)
LEFT_TOO = (0, 0, 50, 40)  # IoU with LEFT .8
FAR = (60, 50, 90, 75)


@pytest.fixture
def space(tmp_path):
    return Workspace(tmp_path)


@pytest.fixture
def two(space):
    """A dataset, two members, and the words of a command that fuses them."""
    dataset = space.add_dataset()
    first = space.add_parquet("a.parquet", dataset, [(10, 1, 0.9, *LEFT)], run="a", fold=3)
    second = space.add_parquet("b.parquet", dataset, [(10, 1, 0.3, *LEFT_TOO)], run="b", fold=3)
    images, out = space.root / "test.json", space.root / "out" / "fused.parquet"
    return [first, second, "--images", str(images), "--out", str(out)]


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def fused_of(words):
    return read_predictions(words[words.index("--out") + 1])


def test_members_of_every_kind_are_joined_by_image(space):
    dataset = space.add_dataset()
    box = {"image_id": 10, "category_id": 1, "score": 0.6, "bbox": [0, 0, 40, 40]}
    words = [
        space.add_parquet("a.parquet", dataset, [(10, 1, 0.9, *LEFT)]),
        # rows of a CSV in any order; empty, "nan" and a missing trailing space are all fine
        space.add_csv(
            "b.csv",
            {"test/0002.jpg": "nan", "test/0000.jpg": "1 0.3 0 0 40 40", "test/0001.jpg": ""},
        ),
        space.add_coco_results("c.json", [box]),
        "--images", space.root / "test.json", "--out", space.root / "fused.parquet",
    ]  # fmt: skip
    result = run("fuse", *words)
    assert result.exit_code == 0, result.output
    assert "fused 3 members, 3 boxes -> 1 boxes on 3 images" in result.output
    fused = fused_of(words)
    np.testing.assert_allclose(fused.scores, [(0.9 + 0.3 + 0.6) / 3], atol=1e-6)
    assert fused.image_ids.tolist() == [10, 20, 30] and fused.labels.tolist() == [1]


def test_provenance_names_the_members_in_order(two):
    assert run("fuse", *two).exit_code == 0
    provenance = fused_of(two).provenance
    assert [member.run for member in provenance.members] == ["a", "b"]
    assert (provenance.model, provenance.run) == ("wbf", "fused")


def test_globs_are_expanded_in_alphabetical_order_without_earlier_results(two, space):
    assert run("fuse", *two).exit_code == 0
    (space.root / "a.sources.parquet").write_bytes(b"an earlier fusion's")
    assert run("fuse", space.root / "*.parquet", *two[2:]).exit_code == 0
    assert [member.run for member in fused_of(two).provenance.members] == ["a", "b"]


def test_a_run_folder_gives_the_predictions_of_these_images(space):
    dataset, other = space.add_dataset(), space.add_dataset("val.json", images=2)
    predictions = space.root / "run" / "predictions"
    predictions.mkdir(parents=True)
    space.add_parquet("run/predictions/test.parquet", other, [])
    space.add_parquet("run/predictions/val.parquet", dataset, [(10, 1, 0.9, *LEFT)])
    words = ["--images", str(space.root / "test.json"), "--out", str(space.root / "o.parquet")]
    result = run("fuse", space.root / "run", *words)
    assert result.exit_code == 0 and len(fused_of(words)) == 1
    space.add_parquet("run/predictions/val.parquet", other, [])
    result = run("fuse", space.root / "run", *words)
    assert result.exit_code == 2
    assert "none of the run's 2 prediction files was made for these images" in result.output


def test_wrong_number_of_weights_names_the_members_in_order(two):
    result = run("fuse", *two, "--weights", "1,2,3")
    assert result.exit_code == 2
    assert "3 weights for 2 members" in result.output
    assert f"1: {two[0]}, 2: {two[1]}" in result.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--weights", "1,x"], "--weights is '1,x'"),
        (["--weights", "1,0"], "`weights[1]` is 0.0, expected a number above 0"),
        (["--weights", "1,nan"], "`weights[1]` is NaN, expected a finite number"),
        (["--iou", "1.5"], "`iou` is 1.5, expected 1 or less"),
        (["--class-iou", "cow=.5"], "expected: cat, dog"),
        (["--class-iou", "cat"], "--class-iou is 'cat'"),
        (["--view-weights", "hflip=2"], "no member has a view 'hflip'"),
        (["--explain", "9.jpg"], "no image '9.jpg'"),
        (["--picture", "x.png"], "--picture needs --explain"),
        (["--explain", "10", "--picture", "x.txt"], "'x.txt' is no name for a picture"),
        (
            ["--explain", "10", "--picture", "x.png", "--data", "nowhere"],
            "the image does not exist",
        ),
        (["--settings", "none.json"], "the settings file does not exist"),
        (["--method", "mean"], "'mean' is not one of 'wbf', 'nms', 'soft_nms', 'nmw'"),
        (["--colour", "red"], "No such option"),
    ],
)
def test_mistakes_exit_2_and_write_nothing(two, space, options, message):
    before = sorted(path.name for path in space.root.iterdir())
    result = run("fuse", *two, *options)
    assert result.exit_code == 2 and message in result.output
    assert sorted(path.name for path in space.root.iterdir()) == before


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ("none.parquet", "the prediction file does not exist"),
        ("none*.parquet", "no file matches"),
        ("a.parquet", "a member is given twice"),
        ("test.json", "COCO results are not a list"),
        (".", "the folder is not a run with predictions"),
    ],
)
def test_members_that_are_none(two, space, member, message):
    result = run("fuse", space.root / member, *two)
    assert result.exit_code == 2 and message in result.output


def test_predictions_of_another_dataset_are_refused(two, space):
    other = space.add_dataset("other.json", images=4)
    foreign = space.add_parquet("foreign.parquet", other, [])
    result = run("fuse", foreign, *two)
    assert result.exit_code == 2 and "made for another dataset" in result.output


def test_the_result_must_be_a_prediction_file(two, space):
    result = run("fuse", *two[:4], "--out", space.root / "out.csv")
    assert result.exit_code == 2 and "a name that ends in .parquet" in result.output


def test_members_that_miss_images_are_named(two, space):
    short_csv = space.add_csv("short.csv", {"test/0000.jpg": "1 0.6 0 0 40 40 "})
    result = run("fuse", short_csv, *two)
    assert result.exit_code == 2
    assert "1 of 3 members miss images" in result.output
    assert "short.csv: 2 images, first test/0001.jpg" in result.output
    assert "--allow-missing" in result.output

    result = run("fuse", short_csv, *two, "--allow-missing")
    assert result.exit_code == 0
    assert "short.csv misses 2 images: counted as without boxes" in result.output


def test_a_parquet_file_of_some_of_the_images(two, space):
    part = space.add_dataset("part.json", images=2)
    member = space.add_parquet("part.parquet", part, [(20, 1, 0.8, *LEFT)])
    result = run("fuse", member, *two)
    assert result.exit_code == 2 and "part.parquet: 1 images, first test/0002.jpg" in result.output
    assert run("fuse", member, *two, "--allow-missing").exit_code == 0
    fused = fused_of(two)
    np.testing.assert_allclose(fused.scores[fused.rows(20)], [0.8 / 3], atol=1e-6)


def test_scores_above_1_are_scaled_together_and_said(two, space):
    dataset = space.add_dataset()
    rows = [(10, 1, 0.9, *LEFT), (10, 1, 0.9, *LEFT), (10, 1, 0.9, *FAR)]
    member = space.add_parquet("c.parquet", dataset, rows)
    result = run("fuse", member, *two[2:], "--allows-overflow")
    # two boxes of one member: .9 * 2 / 1 = 1.8; the far one .9
    assert "all scores divided by 1.8" in result.output
    np.testing.assert_allclose(fused_of(two).scores, [1.0, 0.5], atol=1e-6)


def test_repairs_are_counted(two, space):
    member = space.add_csv(
        "wide.csv", {f"test/000{i}.jpg": "1 0.9 0 0 400 40" if i == 0 else "" for i in range(3)}
    )
    result = run("fuse", member, *two, "--skip", "0.5")
    assert "1 boxes below --skip left out" in result.output
    assert "1 boxes clipped to the image" in result.output


def test_leaks_are_said_and_travel_on(space):
    truth = space.add_dataset("val.json", truth=[(10, 1, (0, 0, 40, 40))])
    seen = {"train_file_names": ("test/0001.jpg", "x.jpg")}
    leaking = space.add_parquet("leak.parquet", truth, [(10, 1, 0.5, *LEFT)], **seen)
    words = ["--images", str(space.root / "val.json"), "--out", str(space.root / "o.parquet")]
    result = run("fuse", leaking, *words)
    assert f"{leaking}: LEAKED: 1 of 3 scored images were trained on" in result.output
    assert "test/0001.jpg" in fused_of(words).provenance.seen_file_names()


def test_pseudo_labelled_test_images_are_no_leak(two, space):
    dataset = space.add_dataset()
    seen = {"train_file_names": ("test/0001.jpg",)}
    pseudo = space.add_parquet("pseudo.parquet", dataset, [(10, 1, 0.5, *LEFT)], **seen)
    result = run("fuse", pseudo, *two)
    assert result.exit_code == 0 and "LEAKED" not in result.output


def test_explain_shows_clusters_and_draws_them(two, space):
    (space.root / "test").mkdir()
    Image.new("RGB", (100, 80), "gray").save(space.root / "test" / "0000.jpg")
    picture = space.root / "pictures" / "one.png"
    result = run("fuse", *two, "--explain", "0000.jpg", "--picture", picture, "--data", space.root)
    assert result.exit_code == 0, result.output
    assert "2 boxes of 2 members" in result.output and "0.6000" in result.output
    # x2 = (.9 * 40 + .3 * 50) / 1.2 = 42.5, so the first box overlaps the fused one by 40 / 42.5
    assert "42.5" in result.output and f"{40 / 42.5:.3f}" in result.output
    with Image.open(picture) as drawn:
        assert drawn.size[0] == 200


def test_explain_without_names_of_classes(space):
    path = space.root / "images.json"
    path.write_text(json.dumps({**dataset_dict(), "categories": []}))
    member = space.add_parquet("m.parquet", read_coco(path), [(10, 5, 0.9, *LEFT)])
    (space.root / "test").mkdir()
    Image.new("RGB", (100, 80), "gray").save(space.root / "test" / "0000.jpg")
    words = ["--images", path, "--out", space.root / "o.parquet", "--explain", "0000.jpg"]
    drawing = ["--picture", space.root / "p.png", "--data", space.root]
    result = run("fuse", member, *words, *drawing)
    assert result.exit_code == 0 and "1 box of 1 member" in result.output


def test_explain_names_silent_members(two):
    result = run("fuse", *two, "--explain", "20")
    assert "without a box here, counted all the same" in result.output


def test_class_thresholds_by_name_and_id(two):
    assert run("fuse", *two, "--class-iou", "cat=0.9").exit_code == 0
    assert len(fused_of(two)) == 2
    assert run("fuse", *two, "--iou", "0.9", "--class-iou", "1=0.5").exit_code == 0
    assert len(fused_of(two)) == 1


def test_settings_files_are_read_and_overridden(two, space):
    path = space.root / "settings.json"
    write_settings(path, FusionSettings(iou=0.9, iou_of_class={7: 0.4}, weights=(3, 1)), note="x")
    assert read_settings(path).settings == FusionSettings(
        iou=0.9, iou_of_class={7: 0.4}, weights=(3, 1)
    )
    assert run("fuse", *two, "--settings", path).exit_code == 0
    assert len(fused_of(two)) == 2
    assert run("fuse", *two, "--settings", path, "--iou", "0.5").exit_code == 0
    np.testing.assert_allclose(fused_of(two).scores, [(3 * 0.9 + 0.3) / 4], atol=1e-6)


def test_tuned_weights_stay_with_their_members(two, space):
    path = space.root / "settings.json"
    write_settings(path, FusionSettings(weights=(3, 1)), members=["b/fold3", "a/fold3"])
    result = run("fuse", *two, "--settings", path)
    assert result.exit_code == 2
    assert "tuned for these members in another order" in result.output
    assert "the order b/fold3, a/fold3" in result.output
    swapped = [two[1], two[0], *two[2:]]
    assert run("fuse", *swapped, "--settings", path).exit_code == 0
    assert run("fuse", *two, "--settings", path, "--weights", "1,1").exit_code == 0


def test_unknown_settings_list_the_known_ones(two, space):
    path = space.root / "settings.json"
    path.write_text(json.dumps({"settings": {"iuo": 0.5, "weights": [1, 0], "method": "wfb"}}))
    result = run("fuse", *two, "--settings", path)
    assert result.exit_code == 2
    for line in (
        "3 faults:",
        "  - unknown key `settings.iuo` (did you mean `iou`?)",
        "  - `settings.weights[1]` is 0, expected a number above 0",
        "  - `settings.method` is \"wfb\", expected 'wbf', 'nms', 'soft_nms' or 'nmw'",
        f"  where:    {path}",
        "  expected: keys in `settings`: method, iou, iou_of_class, ",
    ):
        assert line in result.output


@pytest.mark.parametrize("text", MALFORMED)
def test_a_settings_file_that_is_none_is_named(two, space, text):
    path = space.root / "settings.json"
    path.write_bytes(text)
    result = run("fuse", *two, "--settings", path)
    assert result.exit_code == 2
    assert str(path) in result.output


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--iou", "2"], "`iou` is 2.0, expected 1 or less"),
        (["--weights", "1,-1"], "`weights[1]` is -1.0, expected a number above 0"),
        (["--sigma", "nan"], "`sigma` is NaN, expected a finite number"),
        (["--class-iou", "1=2"], "`--class-iou.1` is 2.0, expected 1 or less"),
    ],
)
def test_options_out_of_range_are_named(two, words, fault):
    result = run("fuse", *two, *words)
    assert result.exit_code == 2
    assert fault in result.output


def test_settings_survive_a_round_trip():
    chosen = FusionSettings(method="nms", weights=(1.5, 2.0), view_weights={"hflip": 2.0})
    assert settings_from_dict(json.loads(json.dumps(chosen.as_dict()))) == chosen


def test_no_sources_leaves_none_of_an_earlier_fusion(two):
    assert run("fuse", *two).exit_code == 0
    beside = two[-1].replace(".parquet", ".sources.parquet")
    assert pq.read_table(beside).num_rows == 2
    assert run("fuse", *two, "--no-sources").exit_code == 0
    with pytest.raises(FileNotFoundError):
        pq.read_table(beside)


def test_help_imports_nothing_heavy(repository):
    code = (
        "import sys; from click.testing import CliRunner; from ensemble.cli import main; "
        "CliRunner().invoke(main, ['fuse', '--help']); "
        "print([m for m in ('numba', 'polars', 'pyarrow', 'rich', 'torch') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", ["fuse", "tune"])
def test_no_output_replaces_a_file_that_is_read(space, command):
    dataset = space.add_dataset("val.json", truth=[(10, 1, (0, 0, 40, 40))])
    member = space.add_parquet("a.parquet", dataset, [(10, 1, 0.9, *LEFT)])
    truth = str(space.root / "val.json")
    words = {
        "fuse": [member, "--images", truth, "--out", f"{space.root}/./a.parquet"],
        "tune": [member, "--truth", truth, "--out", truth],
    }[command]
    before = {path: path.read_bytes() for path in space.root.iterdir()}
    result = run(command, *words)
    assert result.exit_code == 2
    assert "the output would replace a file that is read" in result.output
    assert {path: path.read_bytes() for path in space.root.iterdir()} == before


@pytest.mark.parametrize(("command", "images"), [("fuse", "--images"), ("tune", "--truth")])
def test_no_output_replaces_the_settings_that_are_read(space, command, images):
    dataset = space.add_dataset("val.json", truth=[(10, 1, (0, 0, 40, 40))])
    member = space.add_parquet("a.parquet", dataset, [(10, 1, 0.9, *LEFT)])
    path = space.root / "settings.json"
    write_settings(path, FusionSettings(iou=0.7))
    before = path.read_bytes()
    words = [member, images, space.root / "val.json", "--settings", path, "--out", path]
    result = run(command, *words)
    assert result.exit_code == 2
    assert "the output would replace a file that is read" in result.output
    assert path.read_bytes() == before


def test_the_picture_does_not_replace_the_image(two, space):
    words = ["--explain", "10", "--data", space.root, "--picture", space.root / "test/0000.jpg"]
    result = run("fuse", *two, *words)
    assert result.exit_code == 2
    assert "the output would replace a file that is read" in result.output


def test_the_audit_does_not_replace_the_truth(space):
    dataset = space.add_dataset("val.json", truth=[(10, 1, (0, 0, 40, 40))])
    member = space.add_parquet("a.parquet", dataset, [(10, 1, 0.9, *LEFT)])
    truth = space.root / "val.json"
    result = run("audit", "--truth", truth, "--json-out", truth, "--members", member)
    assert result.exit_code == 2
    assert "the output would replace a file that is read" in result.output
    assert read_coco(truth).fingerprint == dataset.fingerprint


def test_tuned_weights_on_other_members_are_said(two, space):
    path = space.root / "settings.json"
    write_settings(path, FusionSettings(weights=(3, 1)), members=["a/fold3", "c/fold3"])
    note = "the weights were tuned for a/fold3, c/fold3, not a/fold3, b/fold3"
    assert note in run("fuse", *two, "--settings", path).output
    assert note not in run("fuse", *two, "--settings", path, "--weights", "3,1").output


def test_the_audit_refuses_tuned_weights_in_another_order(two, space):
    path = space.root / "settings.json"
    write_settings(path, FusionSettings(weights=(3, 1)), members=["b/fold3", "a/fold3"])
    words = ["--images", space.root / "test.json", "--settings", path, "--members", *two[:2]]
    result = run("audit", *words)
    assert result.exit_code == 2
    assert "tuned for these members in another order" in result.output


def test_a_file_of_sources_is_no_member(two):
    assert run("fuse", *two).exit_code == 0
    beside = two[-1].replace(".parquet", ".sources.parquet")
    result = run("fuse", beside, *two)
    assert result.exit_code == 2
    assert "the file says where fused boxes came from: it holds no predictions" in result.output


def test_a_class_threshold_without_a_number_shows_how(two):
    result = run("fuse", *two, "--class-iou", "Battery")
    assert result.exit_code == 2 and "NAME=NUMBER, such as Battery=0.5" in result.output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 99}, "1 rows belong to images that are not in the dataset"),
        ({"score": 1.5}, "`scores` is"),
        ({"score": "high"}, "`score` is 'high'"),
        ({"bbox": [1, 2, 3]}, "`bbox` is [1, 2, 3]"),
        ({"bbox": [1, 2, -3, 4]}, "`boxes_xyxy` is"),
        ({"category_id": 1.5}, "`category_id` is 1.5"),
    ],
)
def test_broken_coco_results_are_named(two, space, change, message):
    box = {"image_id": 10, "category_id": 1, "score": 0.6, "bbox": [0, 0, 40, 40]} | change
    result = run("fuse", space.add_coco_results("c.json", [box]), *two)
    assert result.exit_code == 2, result.exception
    assert message in result.output and "c.json" in result.output
