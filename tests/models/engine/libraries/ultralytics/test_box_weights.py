"""A box's weight multiplies its terms of YOLO11's loss and follows it through augmentation."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from data_tools.coco.dataset import CocoDataset, read_coco, write_coco
from data_tools.ground.errors import UserError
from data_tools.ground.paths import RunPaths
from models.engine.libraries.ultralytics.box_weights import BoxTable, anchor_weights, number_boxes
from models.engine.libraries.ultralytics.dataset_files import write_split
from models.engine.libraries.ultralytics.library_paths import LibraryDatasetPaths, LibraryPaths
from models.engine.libraries.ultralytics.worker import process_environment
from tests.builders.training_cases import write_tiny_data
from tests.models.engine.libraries.ultralytics.test_yolo11 import models_command

CATEGORIES = ({"id": 3, "name": "red"}, {"id": 7, "name": "green"})


def written(folder, *boxes):
    """Write one image with boxes (x, category id, weight or None) as ultralytics' train split."""
    (folder / "0.jpg").write_text("")
    annotations = tuple(
        {"id": i, "image_id": 10, "category_id": category, "bbox": [x, 0, 20, 10], "area": 200.0,
         "iscrowd": 0, **({} if weight is None else {"weight": weight})}
        for i, (x, category, weight) in enumerate(boxes)
    )  # fmt: skip
    image = {"id": 10, "file_name": "0.jpg", "width": 100, "height": 50}
    coco = CocoDataset((image,), annotations, CATEGORIES)
    return write_split(coco, folder, LibraryDatasetPaths(folder / "out"), "train")


def label(*rows):
    """Return one image's boxes as ultralytics holds them."""
    array = np.array(rows, dtype=np.float32).reshape(-1, 5)
    return {"im_file": "x/0000000.jpg", "cls": array[:, :1], "bboxes": array[:, 1:]}


def test_without_weights_nothing_is_written_or_numbered(tmp_path):
    assert written(tmp_path, (0, 3, None), (30, 3, 1)).weighted == 0
    assert json.loads(LibraryDatasetPaths(tmp_path / "out").box_weights_json.read_text()) == {}
    labels = [label((0, 0.1, 0.1, 0.2, 0.2))]
    assert number_boxes(labels, LibraryDatasetPaths(tmp_path / "out")) is None
    assert labels[0]["cls"].tolist() == [[0]]


def test_weights_are_written_in_the_order_of_the_lines(tmp_path):
    # The box at x = 100 lies outside and has no line.
    boxes = ((0, 3, 0.5), (100, 3, 0.75), (30, 3, None), (60, 7, 0))
    assert written(tmp_path, *boxes).weighted == 2
    assert json.loads(LibraryDatasetPaths(tmp_path / "out").box_weights_json.read_text()) == {
        "0000000": [0.5, 1.0, 0.0]
    }


def test_a_weight_outside_0_to_1_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"`weight` is 1\.5"):
        written(tmp_path, (0, 3, 1.5))


def test_boxes_are_numbered_and_looked_up(tmp_path):
    written(tmp_path, (0, 7, 0.5), (30, 3, 0.25))
    # Centres 10 and 40 of 100, 5 of 50. The second image has no weights in the file.
    first = label((1, 0.1, 0.1, 0.2, 0.2), (0, 0.4, 0.1, 0.2, 0.2))
    labels = [first, {**label((1, 0.5, 0.5, 0.1, 0.1)), "im_file": "x/0000001.jpg"}]
    table = number_boxes(labels, LibraryDatasetPaths(tmp_path / "out"))
    assert [entry["cls"].tolist() for entry in labels] == [[[0], [1]], [[2]]]
    batch = table.look_up({"cls": torch.tensor([[2.0], [0.0], [1.0], [0.0]], dtype=torch.float64)})
    assert batch["cls"].tolist() == [[1], [1], [0], [1]]
    assert batch["weights"].tolist() == [1, 0.5, 0.25, 0.5]
    assert batch["cls"].dtype == batch["weights"].dtype == torch.float32


def test_a_batch_without_boxes_stays_without():
    batch = BoxTable(torch.zeros(3), torch.ones(3)).look_up({"cls": torch.zeros(0, 1)})
    assert batch["cls"].shape == (0, 1)
    assert batch["weights"].shape == (0,)


def test_of_equal_boxes_the_larger_weight_counts_whatever_the_order(tmp_path):
    written(tmp_path, (30, 3, 0.5), (0, 3, 0.25), (30, 3, 0.75))
    # ultralytics has dropped one of the two at x = 30 and sorted the rest.
    labels = [label((0, 0.1, 0.1, 0.2, 0.2), (0, 0.4, 0.1, 0.2, 0.2))]
    assert number_boxes(labels, LibraryDatasetPaths(tmp_path / "out")).weights.tolist() == [
        0.25,
        0.75,
    ]


def test_an_anchor_weighs_what_its_box_weighs_and_1_without_one():
    # Boxes 0 and 1 belong to image 0, none to image 1, box 2 to image 2.
    found = anchor_weights(
        torch.tensor([[True, True, False], [False, False, False], [True, False, True]]),
        torch.tensor([[1, 0, 0], [0, 0, 0], [0, 1, 0]]),
        torch.tensor([0.0, 0.0, 2.0]),
        torch.tensor([0.5, 0.25, 0.0]),
    )
    assert found.tolist() == [[0.25, 0.5, 1], [1, 1, 1], [0, 1, 0]]


def test_anchors_without_any_box_weigh_1():
    nothing = torch.zeros(2, 3)
    found = anchor_weights(nothing.bool(), nothing, torch.zeros(0), torch.zeros(0))
    assert found.tolist() == [[1, 1, 1], [1, 1, 1]]


@pytest.fixture(scope="module")
def results(tmp_path_factory, repository):
    folder = tmp_path_factory.mktemp("yolo11_weights")
    write_tiny_data(folder)
    done = subprocess.run(
        [sys.executable, "-m", "tests.builders.yolo11_weight_cases", str(folder)],
        cwd=repository, env=process_environment(LibraryPaths(folder)),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "results.json").read_text())


def test_training_does_not_turn_images_that_boxes_refer_to_as_stored(results):
    assert results["turned_shape"] == [20, 40, 3]


def test_pictures_with_bytes_after_their_end_are_not_written_anew(results) -> None:
    """The library saved such JPEG files turned, while their boxes stayed."""
    assert results["after_checking"] == {"shape": [20, 40], "is_unchanged": True}


@pytest.fixture(scope="module")
def losses(results):
    return results["losses"]


TERMS = ("box", "cls", "dfl")


def terms(case):
    return np.array([case[name] for name in TERMS])


def test_weights_of_1_give_exactly_the_plain_loss(losses):
    assert (terms(losses["plain"]) > 0).all()
    assert losses["[1, 1, 1]"] == losses["plain"]  # and its gradients


def test_weights_of_one_half_give_half_the_box_terms(losses):
    half, whole, nothing = (terms(losses[f"[{w}, {w}, {w}]"]) for w in (0.5, 1, 0))
    np.testing.assert_allclose(half[[0, 2]], whole[[0, 2]] / 2, rtol=1e-6)
    # Anchors without a box stay in the class term: half way between all boxes and none.
    np.testing.assert_allclose(half, (whole + nothing) / 2, rtol=1e-6)


def test_weights_of_0_leave_the_boxes_anchors_out(losses):
    nothing = losses["[0, 0, 0]"]
    assert nothing["box"] == nothing["dfl"] == 0
    assert 0 < nothing["cls"] < losses["plain"]["cls"]
    assert not np.any(nothing["box_gradient"])
    whole, left = (np.array(losses[key]["score_gradient"]) for key in ("plain", "[0, 0, 0]"))
    assert np.array_equal(left[left != 0], whole[left != 0])  # anchors without a box: as before
    assert ((left == 0) & (whole != 0)).any()


def test_each_box_has_its_own_share_of_every_term(losses):
    nothing, whole = terms(losses["[0, 0, 0]"]), terms(losses["plain"])
    shares = [terms(losses[key]) - nothing for key in ("[1, 0, 0]", "[0, 1, 0]", "[0, 0, 1]")]
    assert all((share > 0).all() for share in shares)
    np.testing.assert_allclose(sum(shares), whole - nothing, rtol=1e-5)


def test_a_boxs_weight_changes_its_own_share_alone(losses):
    half, without = terms(losses["[0.5, 1, 1]"]), terms(losses["[0, 1, 1]"])
    np.testing.assert_allclose(half, (terms(losses["plain"]) + without) / 2, rtol=1e-6)
    share = terms(losses["[1, 0, 0]"]) - terms(losses["[0, 0, 0]"])
    np.testing.assert_allclose(terms(losses["plain"]) - without, share, rtol=1e-5)


def test_a_batch_without_boxes_has_a_class_loss_alone(losses):
    assert losses["none"]["box"] == losses["none"]["dfl"] == 0
    assert losses["none"]["cls"] > 0


def test_weights_follow_their_boxes_through_mosaic_mixup_and_flips(results):
    # Red boxes (class 0) weigh .25 and green ones 1. Twelve images hold 18 boxes.
    assert results["batches"]["pairs"] == [[0, 0.25], [1, 1]]
    assert results["batches"]["boxes"] > 180  # ten rounds, with boxes of other images mixed in


@pytest.mark.slow
def test_a_run_with_weights_of_0_has_no_box_terms(tmp_path, repository):
    write_tiny_data(tmp_path)
    fold = tmp_path / "work" / "folds" / "train_0.json"
    coco = read_coco(fold)
    boxes = tuple({**box, "weight": 0} for box in coco.annotations)
    write_coco(fold, replace(coco, annotations=boxes))
    done = models_command(
        "train", "yolo11", "--fold", "0", "--epochs", "1", "--batch", "4", "--workers", "0",
        "--name", "weighted", "--mosaic", "0.5",
        "--set", "image_size_wh=[64,64]", "--set", "log.every_steps=1",
        cwd=tmp_path, repository=repository,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "18 boxes with a weight below 1 in the loss" in done.stdout + done.stderr
    paths = RunPaths(tmp_path / "work" / "runs" / "weighted" / "fold0")
    records = [json.loads(line) for line in paths.metrics_jsonl.read_text().splitlines()]
    steps = [record["losses"] for record in records if record["kind"] == "step"]
    assert len(steps) == 3
    assert all(step["box_loss"] == step["dfl_loss"] == 0 < step["cls_loss"] for step in steps)
