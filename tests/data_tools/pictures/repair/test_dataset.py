"""`data_tools repair`: what it does to each picture, what it keeps, and what it leaves out."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageOps

from data_tools.cli import main
from data_tools.coco.dataset import read_coco
from data_tools.ground.errors import UserError
from data_tools.pictures.orientation import orientation_of
from data_tools.pictures.repair.dataset import repair_dataset
from data_tools.pictures.repair.picture import rescued
from data_tools.pictures.verify import verify_dataset
from tests.builders.coco_cases import box, coco_dict, image, write_dict
from tests.builders.killing import each_kill


def picture(width: int = 160, height: int = 120) -> Image.Image:
    """Coloured blobs, none of them grey."""
    coarse = np.random.default_rng(3).integers(0, 256, (6, 6, 3)).astype(np.uint8)
    return Image.fromarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))


def encoded(shape: Image.Image, orientation: int = 1, kind: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    shape.save(buffer, kind, exif=exif)
    return buffer.getvalue()


def data_root(root: Path, files: dict[str, bytes], sizes: dict[str, tuple[int, int]]) -> Path:
    """A data root with one box an image in train.json, and test.json of the names under test/."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    entries = {
        name: image(k, name=name, width=sizes[name][0], height=sizes[name][1])
        for k, name in enumerate(sizes)
    }
    train = [entry for name, entry in entries.items() if not name.startswith("test/")]
    boxes = [box(k + 1, entry["id"], 3, [10, 20, 30, 40]) for k, entry in enumerate(train)]
    write_dict(root / "train.json", coco_dict(train, boxes))
    test = [entry for name, entry in entries.items() if name.startswith("test/")]
    write_dict(root / "test.json", coco_dict(test))
    return root


def repair(root: Path, **options):
    paths = [root / "train.json", root / "test.json"]
    return repair_dataset(paths, root, root / "new", **options)


def test_a_dataset_without_pictures(tmp_path):
    report = repair(data_root(tmp_path, {}, {}))
    assert (report.images, report.unchanged) == (0, 0)
    assert read_coco(tmp_path / "new/train.json").images == ()


def test_sound_pictures_are_copied_byte_for_byte(tmp_path):
    content = encoded(picture())
    report = repair(data_root(tmp_path, {"a/b.jpg": content}, {"a/b.jpg": (160, 120)}))
    assert report.text == f"{tmp_path}/new: 1 images, 1 unchanged"
    assert (tmp_path / "new/a/b.jpg").read_bytes() == content
    assert (
        read_coco(tmp_path / "new/train.json").as_dict()
        == read_coco(tmp_path / "train.json").as_dict()
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_picture_annotated_as_shown_is_turned_and_its_boxes_stay(tmp_path, orientation, kind):
    """Stored 160 x 120 and annotated 120 x 160, as annotation tools show it."""
    content = encoded(picture(), orientation, kind)
    report = repair(data_root(tmp_path, {"p.jpg": content}, {"p.jpg": (120, 160)}))
    assert report.turned == ["p.jpg"]
    with Image.open(tmp_path / "new/p.jpg") as new:
        assert (new.size, orientation_of(new), new.format) == ((120, 160), 1, kind)
        shown = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
        difference = np.abs(np.asarray(new, int) - np.asarray(shown, int))
        assert difference.mean() < 2
    found = read_coco(tmp_path / "new/train.json")
    assert found.boxes_xywh.tolist() == [[10, 20, 30, 40]]
    result = verify_dataset([tmp_path / "new/train.json"], tmp_path / "new")
    assert result.count("error") == 0
    assert "EXIF rotation" not in {finding.check for finding in result.findings}


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_picture_annotated_as_stored_loses_its_mark_only(tmp_path, kind):
    content = encoded(picture(), 6, kind)
    report = repair(data_root(tmp_path, {"p.jpg": content}, {"p.jpg": (160, 120)}))
    assert report.marks_removed == ["p.jpg"]
    with Image.open(tmp_path / "new/p.jpg") as new:
        assert orientation_of(new) == 1
        assert np.array_equal(np.asarray(new), np.asarray(Image.open(io.BytesIO(content))))


def test_a_size_that_does_not_tell_the_frame_is_asked_for(tmp_path):
    root = data_root(tmp_path, {"o3.jpg": encoded(picture(), 3)}, {"o3.jpg": (160, 120)})
    with pytest.raises(UserError, match="1 pictures have an EXIF mark, and their size does not"):
        repair(root)
    assert not (root / "new").exists()
    assert repair(root, boxes="shown").turned == ["o3.jpg"]


def test_other_pictures_tell_the_frame(tmp_path):
    files = {"o3.jpg": encoded(picture(), 3), "o6.jpg": encoded(picture(), 6)}
    sizes = {"o3.jpg": (160, 120), "o6.jpg": (120, 160)}
    assert sorted(repair(data_root(tmp_path, files, sizes)).turned) == ["o3.jpg", "o6.jpg"]


def test_a_truncated_picture_is_written_anew_as_far_as_it_decodes(tmp_path):
    whole = encoded(picture())
    cut = whole[: len(whole) // 2]
    report = repair(data_root(tmp_path, {"p.jpg": cut}, {"p.jpg": (160, 120)}))
    assert list(report.rescued) == ["p.jpg"]
    assert 0.2 < report.rescued["p.jpg"] < 0.8
    with Image.open(tmp_path / "new/p.jpg") as new:
        new.load()  # raises on a truncated file
        top = np.abs(np.asarray(new, int)[:24] - np.asarray(picture(), int)[:24])
        assert top.mean() < 10
    assert f"{100 * report.rescued['p.jpg']:.1f}% of its rows are missing" in report.text


def test_nothing_is_missing_where_only_the_end_mark_is(tmp_path):
    content, missing = rescued(encoded(picture())[:-2])
    assert missing == 0
    Image.open(io.BytesIO(content)).load()


def test_a_truncated_picture_is_turned_as_well(tmp_path):
    cut = encoded(picture(), 6)[:-20]
    report = repair(data_root(tmp_path, {"p.jpg": cut}, {"p.jpg": (120, 160)}))
    assert (list(report.rescued), report.turned) == (["p.jpg"], ["p.jpg"])
    assert Image.open(tmp_path / "new/p.jpg").size == (120, 160)


def test_what_does_not_decode_is_left_out_of_training_and_kept_for_prediction(tmp_path):
    """A submission needs a row for every picture of test.json."""
    files = {"bad.jpg": b"no picture", "good.jpg": encoded(picture()), "test/bad.jpg": b"none"}
    sizes = dict.fromkeys([*files, "gone.jpg"], (160, 120))
    report = repair(data_root(tmp_path, files, sizes))
    assert sorted(report.left_out) == ["bad.jpg", "gone.jpg"]
    assert list(report.kept_broken) == ["test/bad.jpg"]
    assert report.boxes_left_out == 2
    assert read_coco(tmp_path / "new/train.json").file_names == ("good.jpg",)
    assert read_coco(tmp_path / "new/test.json").file_names == ("test/bad.jpg",)
    assert sorted(p.name for p in (tmp_path / "new").rglob("*.jpg")) == ["bad.jpg", "good.jpg"]


def test_a_missing_picture_to_be_predicted_is_refused(tmp_path):
    root = data_root(tmp_path, {}, {"test/a.jpg": (160, 120)})
    with pytest.raises(UserError, match="1 pictures to be predicted are missing"):
        repair(root)
    assert not (root / "new").exists()


def test_a_killed_repair_can_be_repeated(tmp_path):
    names = ("a.jpg", "b.jpg")
    root = data_root(
        tmp_path, {name: encoded(picture()) for name in names}, {name: (160, 120) for name in names}
    )
    for _ in each_kill(lambda: repair(root)):
        repair(root)
        left = sorted(path.name for path in (root / "new").iterdir())
        assert left == ["a.jpg", "b.jpg", "test.json", "train.json"]
        shutil.rmtree(root / "new")


def test_the_command_never_works_in_place_and_prints_json(tmp_path):
    root = data_root(tmp_path / "data", {"p.jpg": encoded(picture(), 6)}, {"p.jpg": (120, 160)})
    before = (root / "p.jpg").read_bytes()
    refused = CliRunner().invoke(main, ["repair", str(root), "--out", str(root)])
    assert (refused.exit_code, "the output exists already" in refused.stderr) == (2, True)
    arguments = ["repair", str(root), "--out", str(tmp_path / "new"), "--json"]
    printed = json.loads(CliRunner().invoke(main, arguments).stdout)
    assert printed["turned"] == ["p.jpg"]
    assert printed["rescued"] == {}
    assert (root / "p.jpg").read_bytes() == before
