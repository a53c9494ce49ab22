"""The search for a test-like validation fold."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from data_tools.cli import main
from data_tools.coco.dataset import coco_from_dict, read_coco, write_coco
from data_tools.coco.statistics import box_measures, distances
from data_tools.folds.assign import stratified_folds
from data_tools.folds.search import (
    TargetLook,
    ledger_gaps,
    predicted_measures,
    rank_folds,
)
from data_tools.folds.split import read_split
from data_tools.ground.errors import UserError
from data_tools.pictures.statistics import (
    MEASURES,
    image_distance,
    is_measured,
    measure_image,
    measure_images,
)
from data_tools.predictions.table import predictions_from_rows
from submit.ledger.file import Entry, write_ledger
from tests.builders.coco_cases import coco_dict, image, random_coco, write_images


def ranked(dataset, target, seeds=range(3), scheme="stratified", pictures=None):
    return rank_folds(dataset, target, scheme=scheme, seeds=seeds, folds=4, pictures=pictures)


def test_every_fold_of_every_seed_is_ranked_by_its_distance():
    dataset = random_coco(np.random.default_rng(0), 40)
    test = random_coco(np.random.default_rng(1), 40)
    found = ranked(dataset, TargetLook(box_measures(test), None))
    assert sorted((one.seed, one.fold) for one in found) == [
        (s, f) for s in range(3) for f in range(4)
    ]
    assert [one.total for one in found] == sorted(one.total for one in found)
    # The distances are those of the fold's own files.
    best = found[0]
    held_out = stratified_folds(dataset, 4, best.seed) == best.fold
    fold = dataset.subset(dataset.image_ids[held_out])
    expected = distances(box_measures(fold), box_measures(test))
    for name in ("class", "size", "count"):
        assert best.distances[name] == pytest.approx(expected[name])
    assert best.total == pytest.approx(np.mean([expected[n] for n in ("class", "size", "count")]))
    assert best.images == held_out.sum()


def test_a_fold_that_is_the_test_set_wins():
    dataset = random_coco(np.random.default_rng(3), 40)
    wanted = dataset.subset(dataset.image_ids[stratified_folds(dataset, 4, 2) == 1])
    best = ranked(dataset, TargetLook(box_measures(wanted), None), range(5))[0]
    assert (best.seed, best.fold, best.total) == (2, 1, 0)


def test_pictures_alone_can_rank():
    dataset = random_coco(np.random.default_rng(0), 40)
    pictures = np.random.default_rng(1).random((40, 4))
    fold = stratified_folds(dataset, 4, 1) == 2
    best = ranked(dataset, TargetLook(None, pictures[fold]), pictures=pictures)[0]
    assert (best.seed, best.fold, best.distances["image"]) == (1, 2, 0)
    assert best.distances["class"] is None


def test_knowing_nothing_of_the_test_set_is_a_mistake():
    with pytest.raises(UserError, match="nothing is known of the test images"):
        ranked(random_coco(np.random.default_rng(0), 40), TargetLook(None, None))


def test_confident_predictions_stand_in_for_annotations():
    test = coco_from_dict(coco_dict([image(5), image(9)]))
    predictions = predictions_from_rows(
        test.image_ids, [9, 9, 5], [3, 7, 7], [0.9, 0.2, 0.5],
        np.array([[0, 0, 40, 20], [0, 0, 5, 5], [0, 0, 10, 20]]),
    )  # fmt: skip
    measures = predicted_measures(predictions, test, 0.5)
    assert measures.class_shares == {"can": 0.5, "bag": 0.5}
    assert sorted(measures.aspect.tolist()) == [0.5, 2.0]
    assert measures.count.tolist() == [1, 1]
    assert predicted_measures(predictions, test, 0.95) is None


def test_measures_of_plain_pictures(tmp_path):
    for name, bgr in (("black", (0, 0, 0)), ("white", (255, 255, 255)), ("red", (0, 0, 255))):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((60, 90, 3), bgr, np.uint8))
    names = ["black.png", "white.png", "red.png"]
    found = dict(zip(names, measure_images(tmp_path, names), strict=True))
    # brightness, contrast, saturation, sharpness; red's luma is .299.
    assert found["black.png"].tolist() == [0, 0, 0, 0]
    assert found["white.png"].tolist() == [1, 0, 0, 0]
    assert found["red.png"].tolist() == pytest.approx([0.299, 0, 1, 0], abs=0.002)


def test_noise_is_sharper_than_its_blur(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), noise)
    cv2.imwrite(str(tmp_path / "b.png"), cv2.GaussianBlur(noise, (0, 0), 3))
    sharp, blurred = measure_image(tmp_path / "a.png"), measure_image(tmp_path / "b.png")
    assert sharp[3] > blurred[3] + 1
    assert sharp[1] > blurred[1]


def test_no_images_and_broken_images(tmp_path):
    assert measure_images(tmp_path, []).shape == (0, len(MEASURES))
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    (tmp_path / "b.jpg").write_bytes(b"")
    broken = measure_images(tmp_path, ["a.jpg", "b.jpg"])
    assert is_measured(broken).tolist() == [False, False]
    with pytest.raises(UserError, match="the image does not exist"):
        measure_images(tmp_path, ["c.jpg"])
    # What does not decode is left out: of one picture to each side, both the same, nothing differs.
    whole = np.array([[0.5, 0.1, 0.2, 3.0]])
    assert image_distance(np.concatenate([broken, whole]), whole) == 0
    assert image_distance(broken, whole) is None


def test_image_distance_is_the_mean_of_four():
    first, second = np.zeros((5, 4)), np.zeros((5, 4))
    second[:, 0] = 1
    assert image_distance(first, second) == 0.25


def test_the_ledger_tells_how_well_each_fold_foretold_the_leaderboard(tmp_path):
    path = tmp_path / "ledger.csv"
    assert ledger_gaps(path) == {}
    path.write_text(
        "fold,members,local_score,leaderboard_score,leaked\n3,tood,0.411,0.403,\n"
        "3,tood,0.420,0.410,\n1,tood,0.43,0.40,\n2,tood,0.4,,\n3,tood,0.9,0.4,LEAKED: all\n"
    )
    found = ledger_gaps(path)
    assert list(found) == ["fold 1", "fold 3"]
    assert found["fold 3"]["submissions"] == 2
    assert found["fold 3"]["mean_gap"] == pytest.approx((0.008 + 0.010) / 2)
    path.write_text("local_score,leaderboard_score\nhigh,0.4\n")
    with pytest.raises(UserError, match=r"scores are \['high', '0\.4'\]") as caught:
        ledger_gaps(path)
    assert caught.value.where == f"{path}, line 2"


def test_the_ledger_that_submit_writes_is_understood(tmp_path):
    path = tmp_path / "ledger.csv"
    entries = [
        Entry("t", "a.csv", "aa", ("tood", "yolox"), local_score=0.5, leaderboard_score=0.45),
        Entry("t", "b.csv", "bb", ("tood",), local_score=0.5),
        Entry("t", "c.csv", "cc", ("ssd",), 0.5, leaderboard_score=0.1, leaked="LEAKED: 3 of 9"),
    ]
    write_ledger(path, entries)
    found = ledger_gaps(path)
    assert list(found) == ["tood yolox"]
    assert found["tood yolox"]["mean_gap"] == pytest.approx(0.05)


def test_the_command_searches_and_writes_the_best_split(tmp_path):
    dataset, test = (random_coco(np.random.default_rng(seed), 24) for seed in (0, 1))
    write_coco(tmp_path / "train.json", dataset)
    write_coco(tmp_path / "test.json", test)
    write_images(tmp_path, dataset)
    write_images(tmp_path, test)
    result = CliRunner().invoke(
        main,
        [
            "split", "--coco", str(tmp_path / "train.json"), "--out", str(tmp_path / "folds"),
            "--folds", "3", "--seed", "10", "--search", "4", "--data", str(tmp_path),
            "--against", str(tmp_path / "test.json"), "--ledger", str(tmp_path / "none.csv"),
        ],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    split = read_split(tmp_path / "folds/split.json")
    assert split.scheme == "stratified"
    assert 10 <= split.seed < 14
    first_row = result.stdout.splitlines()[1].split()
    assert first_row[:2] == ["1", str(split.seed)]
    assert len(first_row) == 9
    assert read_coco(tmp_path / "folds/val_2.json").images


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("local_score;leaderboard_score\n0.4;0.5\n", "no column 'local_score'"),
        ("local_score,leaderboard_score\n0.4\n", "the row has 1 cells"),
        ("members,local_score,leaderboard_score\nfünf,0.4,0.5\n", "no UTF-8 text"),
    ],
)
def test_a_ledger_that_cannot_be_read_is_an_error(tmp_path, content, message):
    (tmp_path / "ledger.csv").write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=message):
        ledger_gaps(tmp_path / "ledger.csv")
