"""Every check of `verify` finds what it is for, and nothing in a sound dataset."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from data_tools.cli import main
from data_tools.coco.dataset import coco_from_dict, read_coco
from data_tools.ground.errors import UserError
from data_tools.pictures.verify import annotation_findings, verify_dataset
from tests.builders.coco_cases import box, coco_dict, image, write_dict, write_images

SOUND_BOXES = [box(0, 0, 3, [0, 0, 100, 80]), box(1, 1, 7, [5, 5, 10, 10])]


def of_check(findings) -> dict:
    return {finding.check: finding for finding in findings}


def annotations(*boxes, names=None):
    content = coco_dict([image(0), image(1)], boxes, names)
    return of_check(annotation_findings(coco_from_dict(content), "train.json"))


@pytest.fixture
def data(tmp_path):
    """A sound data root with four training and two test images."""
    train = [image(i) for i in range(4)]
    boxes = [box(k, k, 3 + 4 * (k % 2), [1, 2, 30, 40]) for k in range(4)]
    test = [image(i, name=f"test/{i:04d}.jpg") for i in range(2)]
    for name, images, found in (("train", train, boxes), ("test", test, [])):
        path = write_dict(tmp_path / f"{name}.json", coco_dict(images, found))
        write_images(tmp_path, read_coco(path), seed=len(images))
    return tmp_path


def verify(root, **options):
    return verify_dataset([root / "train.json", root / "test.json"], root, **options)


@pytest.mark.parametrize("decode", [True, False])
def test_a_sound_dataset_has_no_findings(data, decode):
    result = verify(data, decode=decode)
    assert result.findings == ()
    assert (result.images, result.boxes, result.pixels_decoded) == (6, 4, decode)


def test_boxes_at_the_edge_are_inside():
    assert annotations(*SOUND_BOXES) == {}


@pytest.mark.parametrize(
    ("bbox", "check", "level"),
    [
        ([90, 70, 20, 5], "boxes over the edge", "warning"),
        ([-3, 0, 20, 5], "boxes over the edge", "warning"),
        ([100, 10, 20, 5], "boxes outside", "error"),
        ([10, -30, 20, 30], "boxes outside", "error"),
        ([10, 10, 0, 5], "boxes without area", "warning"),
        ([5, 5, 10, 10], "repeated boxes", "warning"),
    ],
)
def test_odd_boxes(bbox, check, level):
    found = annotations(*SOUND_BOXES, box(9, 1, 7, bbox))
    assert {name: (one.level, one.count) for name, one in found.items()} == {check: (level, 1)}
    assert "train/0001.jpg: id 9" in found[check].examples[0]


def test_rounding_past_the_edge_is_no_finding():
    assert annotations(*SOUND_BOXES, box(9, 1, 7, [90, 70, 10.9, 10.9])) == {}


def test_the_same_box_of_another_class_is_no_repetition():
    assert annotations(*SOUND_BOXES, box(9, 1, 3, [5, 5, 10, 10])) == {}


def test_classes_and_images_without_boxes():
    found = annotations(SOUND_BOXES[0], names={3: "can", 7: "bag", 8: "cup"})
    assert found["classes without boxes"].examples == ("bag", "cup")
    assert found["images without boxes"].examples == ("train/0001.jpg",)
    assert found["images without boxes"].level == "note"


def test_a_file_without_annotations_is_not_blamed_for_it():
    assert annotations() == {}


def test_examples_are_few_and_the_count_is_whole():
    boxes = [box(k, 0, 3, [200 + k, 0, 5, 5]) for k in range(10, 38)]
    finding = annotations(*SOUND_BOXES, *boxes)["boxes outside"]
    assert (finding.count, len(finding.examples)) == (28, 5)


def test_missing_broken_and_wrongly_sized_images(data):
    (data / "train/0000.jpg").unlink()
    content = (data / "train/0001.jpg").read_bytes()
    (data / "train/0001.jpg").write_bytes(content[: len(content) // 2])
    cv2.imwrite(str(data / "train/0002.jpg"), np.zeros((80, 90, 3), np.uint8))
    found = of_check(verify(data).findings)
    assert found["missing images"].examples == ("train/0000.jpg",)
    assert found["broken images"].examples[0].startswith("train/0001.jpg: cannot be decoded")
    assert found["wrong size"].examples == ("train/0002.jpg: 90 x 80, annotated 100 x 80",)
    assert {found[name].level for name in found} == {"error"}


def test_exif_rotation(data):
    path, exif = data / "test/0001.jpg", Image.Exif()
    exif[0x0112] = 6
    Image.open(path).save(path, exif=exif)
    found = of_check(verify(data).findings)
    assert found["EXIF rotation"].examples == ("test/0001.jpg: orientation 6",)


def test_overlap_of_train_and_test_by_bytes_and_by_looks(data):
    (data / "test/0000.jpg").write_bytes((data / "train/0003.jpg").read_bytes())
    picture = cv2.imread(str(data / "train/0001.jpg"))
    cv2.imwrite(str(data / "test/0001.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 60])
    found = of_check(verify(data).findings)
    assert found["equal files across files"].examples == ("train/0003.jpg = test/0000.jpg",)
    assert found["near-duplicates across files"].examples == ("train/0001.jpg = test/0001.jpg",)
    assert len(found) == 2


def test_repetition_within_one_file(data):
    (data / "train/0000.jpg").write_bytes((data / "train/0003.jpg").read_bytes())
    assert list(of_check(verify(data).findings)) == ["equal files within one file"]


def test_nothing_to_check_is_a_mistake(tmp_path):
    with pytest.raises(UserError, match="no annotation file"):
        verify_dataset([], tmp_path)


def test_the_command_ends_with_0_on_a_sound_dataset(data):
    result = CliRunner().invoke(main, ["verify", str(data)])
    assert result.exit_code == 0
    assert "6 images (decoded) and 4 boxes checked: 0 kinds of error" in result.stdout


def test_the_command_ends_with_2_on_errors_and_0_on_warnings(data):
    content = json.loads((data / "train.json").read_text())
    content["annotations"][0]["bbox"] = [5, 5, 0, 0]
    write_dict(data / "train.json", content)
    warned = CliRunner().invoke(main, ["verify", str(data)])
    assert warned.exit_code == 0
    assert "boxes without area" in warned.stdout
    assert "bbox [5, 5, 0, 0] has no area" in warned.stdout
    (data / "train/0000.jpg").unlink()
    failed = CliRunner().invoke(main, ["verify", str(data)])
    assert failed.exit_code == 2
    assert "missing images" in failed.stdout


def test_json_output(data):
    (data / "train/0000.jpg").unlink()
    result = CliRunner().invoke(main, ["verify", str(data), "--json", "--quick"])
    content = json.loads(result.stdout)
    assert result.exit_code == 2
    assert content["counts"] == {"error": 1, "warning": 0, "note": 0}
    assert content["findings"][0]["check"] == "missing images"


def test_one_annotation_file_alone(data):
    alone = ["verify", str(data), "--coco", str(data / "train.json")]
    assert CliRunner().invoke(main, alone).exit_code == 0
    (data / "test.json").unlink()
    assert CliRunner().invoke(main, ["verify", str(data)]).exit_code == 0
    (data / "train.json").unlink()
    without = CliRunner().invoke(main, ["verify", str(data)])
    assert without.exit_code == 2
    assert "train.json" in without.stderr
    assert "does not exist" in without.stderr


def test_real_annotations_have_the_known_oddities(real_data):
    found = of_check(annotation_findings(read_coco(real_data / "recycle_train.json.gz"), "train"))
    assert "boxes outside" not in found
    assert "classes without boxes" not in found


def test_boxes_that_are_all_crowds_are_an_error():
    """Masks exported with `iscrowd` 1 trained to the end without one box."""
    crowds = [{**entry, "iscrowd": 1} for entry in SOUND_BOXES]
    finding = annotations(*crowds)["boxes that are all crowds"]
    assert (finding.level, finding.count) == ("error", 2)
    assert "boxes that are all crowds" not in annotations(crowds[0], SOUND_BOXES[1])


def marked(data, name: str, orientation: int) -> None:
    """Give a picture of 100 x 80 an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.open(data / name)
    picture.load()
    picture.save(data / name, exif=exif)


def test_sizes_of_the_turned_picture_are_recognised(data):
    """`width` and `height` must not be corrected then: every box would be wrong."""
    marked(data, "train/0001.jpg", 6)
    content = json.loads((data / "train.json").read_text())
    content["images"][1].update(width=80, height=100)
    (data / "train.json").write_text(json.dumps(content))
    found = of_check(verify(data).findings)
    finding = found["annotated as turned by EXIF"]
    assert (finding.level, finding.count) == ("error", 1)
    assert finding.examples == ("train/0001.jpg: 100 x 80, annotated 80 x 100, orientation 6",)
    assert "data_tools repair turns the pictures" in finding.message
    assert "wrong size" not in found


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_mark_that_the_size_does_not_betray_is_a_warning(data, orientation):
    marked(data, "train/0001.jpg", orientation)
    finding = of_check(verify(data).findings)["EXIF rotation"]
    assert (finding.level, finding.examples) == (
        "warning", (f"train/0001.jpg: orientation {orientation}",),
    )  # fmt: skip


@pytest.mark.parametrize(("brightest", "is_dark"), [(4095, True), (60_000, False)])
def test_16_bit_pictures_that_are_nearly_black(data, brightest, is_dark):
    levels = np.linspace(0, brightest, 8000).reshape(80, 100).astype(np.uint16)
    (data / "train/0001.jpg").write_bytes(cv2.imencode(".png", levels)[1].tobytes())
    found = of_check(verify(data).findings)
    assert ("dark 16-bit images" in found) is is_dark
    if is_dark:
        assert found["dark 16-bit images"].examples == (
            "train/0001.jpg: brightest value 4095 of 65535",
        )
        assert "--set window=[0,4095]" in found["dark 16-bit images"].message
