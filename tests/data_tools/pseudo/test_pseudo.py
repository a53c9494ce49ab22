"""Pseudo-labels: what is added, what is refused, and what the file remembers."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from data_tools.cli import main
from data_tools.coco.dataset import CocoDataset, read_coco, write_coco
from data_tools.folds.split import split_dataset, write_split
from data_tools.ground.errors import UserError
from data_tools.ground.files import sha256_of_file
from data_tools.predictions.files import write_predictions
from data_tools.predictions.provenance import Provenance
from data_tools.predictions.table import predictions_from_rows
from data_tools.pseudo.build import PseudoRules, build_pseudo_set
from data_tools.pseudo.command import make_pseudo_sets
from data_tools.pseudo.request import PseudoRequest, requests_of_folds
from data_tools.pseudo.thresholds import given_thresholds
from tests.builders.coco_cases import coco_dict, image, random_coco, write_dict, write_images

TRAIN_IMAGES, TEST_IMAGES, FOLDS = 12, 5, 3


class Workspace:
    """Data root and work root with folds, and predictions of each fold's model on the test set."""

    def __init__(self, root) -> None:
        self.root, self.data, self.work = root, root / "data", root / "work"
        train = random_coco(np.random.default_rng(0), TRAIN_IMAGES, fewest_boxes=1)
        write_coco(self.data / "train.json", train)
        test = [image(k, name=f"test/{k:04d}.jpg") for k in range(TEST_IMAGES)]
        names = {c["id"]: c["name"] for c in train.categories}
        write_dict(self.data / "test.json", coco_dict(test, [], names))
        self.test = read_coco(self.data / "test.json")
        split, dataset = split_dataset(
            self.data / "train.json", folds=FOLDS, seed=1, scheme="stratified"
        )
        write_split(self.work / "folds", split, dataset)

    def train(self, fold: int) -> CocoDataset:
        return read_coco(self.work / f"folds/train_{fold}.json")

    def val(self, fold: int) -> CocoDataset:
        return read_coco(self.work / f"folds/val_{fold}.json")

    def predict(self, name: str, fold: int = 0, **provenance) -> None:
        """Write two boxes of score .9 and .4 on each test image but the last."""
        rows = [(k, label, s) for k in range(TEST_IMAGES - 1) for label, s in ((0, 0.9), (10, 0.4))]
        values = np.array(rows)
        corners = np.tile([5.0, 6.0, 25.0, 36.0], (len(rows), 1))
        origin = Provenance(
            dataset=self.test.fingerprint,
            model="yolox",
            run="yolox",
            fold=fold,
            train_file_names=self.train(fold).file_names,
            annotation_sha256={
                "train.json": sha256_of_file(self.work / f"folds/train_{fold}.json")
            },
        )
        predictions = predictions_from_rows(
            self.test.image_ids,
            values[:, 0],
            values[:, 1],
            values[:, 2],
            corners,
            provenance=replace(origin, **provenance),
        )
        write_predictions(self.work / name, predictions)

    def request(self, fold: int = 0, **changes) -> PseudoRequest:
        request = PseudoRequest(
            train=self.work / f"folds/train_{fold}.json",
            test=self.data / "test.json",
            predictions=self.work / "test.parquet",
            out=self.work / f"pseudo/round1/train_{fold}.json",
        )
        return replace(request, **changes)

    def make(self, fold: int = 0, **changes) -> CocoDataset:
        (result,) = make_pseudo_sets([self.request(fold, **changes)])
        return read_coco(result.request.out)

    def cli(self, *options: str):
        paths = ["--train", "work/folds/train_0.json", "--test", "data/test.json"]
        if "--predictions" not in options:
            paths += ["--predictions", "work/test.parquet"]
        if "--out" not in options:
            paths += ["--out", "work/pseudo.json"]
        full = [str(self.root / p) if p.startswith(("work/", "data/")) else p for p in paths]
        return CliRunner().invoke(main, ["pseudo", *full, *options])


@pytest.fixture
def workspace(tmp_path):
    made = Workspace(tmp_path)
    made.predict("test.parquet")
    return made


def build(workspace, threshold=0.5, rules=None, **options):
    from data_tools.predictions.files import read_predictions

    train = workspace.train(0)
    return build_pseudo_set(
        train,
        workspace.test,
        read_predictions(workspace.work / "test.parquet"),
        given_thresholds(train, threshold, {}),
        rules or PseudoRules(),
        **options,
    )


def test_nothing_above_the_threshold_adds_nothing(workspace):
    dataset, counts = build(workspace, threshold=1.0)
    assert dataset.images == workspace.train(0).images
    assert (counts.images, counts.boxes, counts.boxes_below_threshold) == (0, 0, 8)


def test_confident_boxes_are_added_and_the_fold_is_kept(workspace):
    train = workspace.train(0)
    dataset, counts = build(workspace)
    assert dataset.images[: len(train.images)] == train.images
    assert dataset.annotations[: len(train.annotations)] == train.annotations
    added = dataset.annotations[len(train.annotations) :]
    assert [entry["category_id"] for entry in added] == [0, 0, 0, 0]
    # Corners 5, 6, 25, 36: 20 wide and 30 high, 600 square pixels.
    assert added[0]["bbox"] == [5, 6, 20, 30]
    assert added[0]["area"] == 600
    assert added[0]["score"] == pytest.approx(0.9)
    assert added[0]["weight"] == 1.0
    assert counts.boxes_per_class["class 0"] == 4
    assert counts.images_with_too_few_boxes == 1


def test_new_ids_collide_with_none(workspace):
    val_ids = set(workspace.val(0).image_ids.tolist())
    train = workspace.train(0)
    dataset, counts = build(workspace, reserved_image_ids=val_ids | {10_000})
    new = set(dataset.image_ids.tolist()) - set(train.image_ids.tolist())
    assert len(new) == counts.images == 4
    assert min(new) == 10_001
    ids = [entry["id"] for entry in dataset.annotations]
    assert len(set(ids)) == len(ids)
    for entry in dataset.images[len(train.images) :]:
        assert entry["pseudo"] is True
        assert entry["file_name"] == f"test/{entry['test_image_id']:04d}.jpg"


@pytest.mark.parametrize(
    ("rules", "images", "boxes"),
    [
        (PseudoRules(), 4, 8),
        (PseudoRules(min_boxes=2), 4, 8),
        (PseudoRules(min_boxes=3), 0, 0),
        (PseudoRules(min_boxes=0), 5, 8),
        (PseudoRules(max_boxes=1), 4, 4),
    ],
    ids=["default", "two at least", "three at least", "also none", "one at most"],
)
def test_limits_per_image(workspace, rules, images, boxes):
    _, counts = build(workspace, threshold=0.1, rules=rules)
    assert (counts.images, counts.boxes) == (images, boxes)


def test_the_surest_boxes_of_an_image_stay(workspace):
    dataset, counts = build(workspace, threshold=0.1, rules=PseudoRules(max_boxes=1))
    added = dataset.annotations[-counts.boxes :]
    assert {round(entry["score"], 3) for entry in added} == {0.9}
    assert counts.boxes_over_maximum == 4


def test_the_surest_boxes_stay_when_a_file_lists_them_last(workspace):
    train = workspace.train(0)
    predictions = predictions_from_rows(
        workspace.test.image_ids, [0, 0], [0, 10], [0.6, 0.8], np.tile([0, 0, 9, 9], (2, 1)),
        row_order="file",
    )  # fmt: skip
    thresholds = given_thresholds(train, 0.5, {})
    rules = PseudoRules(max_boxes=1)
    dataset, _ = build_pseudo_set(train, workspace.test, predictions, thresholds, rules)
    assert dataset.annotations[-1]["score"] == pytest.approx(0.8)


def test_soft_weights_are_the_scores(workspace):
    dataset, counts = build(workspace, threshold=0.1, rules=PseudoRules(weight="score"))
    added = dataset.annotations[-counts.boxes :]
    assert [entry["weight"] for entry in added] == [entry["score"] for entry in added]
    assert {round(entry["weight"], 3) for entry in added} == {0.4, 0.9}


def test_boxes_past_the_edge_are_clipped_and_counted(workspace):
    predictions = predictions_from_rows(
        workspace.test.image_ids,
        [0, 0, 1],
        [0, 0, 0],
        [0.9, 0.9, 0.9],
        # Past the right edge of a 100 x 80 image; wholly outside; inside.
        np.array([[90, 70, 120, 80], [110, 0, 130, 20], [0, 0, 100, 80]]),
    )
    train = workspace.train(0)
    dataset, counts = build_pseudo_set(
        train, workspace.test, predictions, given_thresholds(train, 0.5, {}), PseudoRules()
    )
    assert [entry["bbox"] for entry in dataset.annotations[-2:]] == [
        [90, 70, 10, 10],
        [0, 0, 100, 80],
    ]
    assert (counts.boxes_clipped, counts.boxes_without_area) == (1, 1)


def test_a_label_that_is_no_category(workspace):
    predictions = predictions_from_rows(
        workspace.test.image_ids, [0], [4], [0.9], np.array([[0, 0, 5, 5]])
    )
    train = workspace.train(0)
    with pytest.raises(UserError, match="the label 4, which is no category"):
        build_pseudo_set(
            train, workspace.test, predictions, given_thresholds(train, 0.5, {}), PseudoRules()
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_boxes": -1}, "--min-per-image is -1"),
        ({"min_boxes": 3, "max_boxes": 2}, "--max-per-image is 2"),
    ],
)
def test_impossible_rules(options, message):
    with pytest.raises(UserError, match=message):
        PseudoRules(**options)


def test_the_file_remembers_where_its_labels_come_from(workspace):
    note = workspace.make().info["boxcamp"]
    assert note["round"] == 1
    assert note["fold"] == 0
    assert note["teachers"] == [{"run": "yolox", "model": "yolox", "fold": 0}]
    assert note["predictions"]["sha256"] == sha256_of_file(workspace.work / "test.parquet")
    assert note["thresholds"] == {f"class {k}": 0.5 for k in range(4)}
    assert note["teacher_file_names"] == sorted(workspace.train(0).file_names)
    assert note["pseudo_file_names"] == [f"test/{k:04d}.jpg" for k in range(4)]
    assert (note["pseudo_images"], note["pseudo_boxes"]) == (4, 4)
    assert note["leaked"] == []
    assert note["chain"] == []


def test_a_teacher_that_saw_the_validation_images_is_refused_with_their_number(workspace):
    # The model of fold 1 was trained on all images of fold 0.
    workspace.predict("test.parquet", fold=1)
    seen = len(workspace.val(0).images)
    with pytest.raises(UserError) as caught:
        workspace.make(fold=0)
    assert f"trained on {seen} of the {seen} validation images" in caught.value.what
    assert "--allow-leak" in caught.value.next_step
    assert not (workspace.work / "pseudo").exists()


def test_forced_labels_are_marked_leaked(workspace):
    workspace.predict("test.parquet", fold=1)
    note = workspace.make(fold=0, allow_leak=True).info["boxcamp"]
    assert len(note["leaked"]) == 1
    assert "validation images" in note["leaked"][0]


def test_one_leaking_member_spoils_a_fusion(workspace):
    clean = Provenance(run="a", train_file_names=workspace.train(0).file_names)
    leaking = Provenance(run="b", train_file_names=workspace.val(0).file_names[:1])
    workspace.predict("test.parquet", train_file_names=(), members=(clean, leaking))
    with pytest.raises(UserError, match="trained on 1 of the"):
        workspace.make()


def test_a_student_of_a_leaking_teacher_is_refused(workspace):
    workspace.predict("test.parquet", teacher_file_names=workspace.val(0).file_names[:2])
    with pytest.raises(UserError, match="trained on 2 of the"):
        workspace.make()


def test_predictions_that_were_forced_before_are_refused(workspace):
    workspace.predict("test.parquet", leaked=("fused with a leaking member",))
    with pytest.raises(UserError, match="fused with a leaking member"):
        workspace.make()


def test_a_teacher_of_unknown_training_is_refused(workspace):
    workspace.predict("test.parquet", train_file_names=())
    with pytest.raises(UserError, match="not known what the teacher yolox"):
        workspace.make()


def test_the_validation_part_is_found_beside_the_training_part_or_given(workspace):
    (workspace.work / "folds/split.json").unlink()
    with pytest.raises(
        UserError, match="not known which images the fold is validated on"
    ) as caught:
        workspace.make()
    assert "--val" in caught.value.next_step
    made = workspace.make(val=workspace.work / "folds/val_0.json")
    assert made.info["boxcamp"]["pseudo_images"] == 4


def test_the_validation_part_of_another_fold_is_a_mistake(workspace):
    with pytest.raises(UserError, match="images are in the training and in the validation part"):
        workspace.make(val=workspace.work / "folds/val_1.json")


def test_the_seeds_regret_labels_on_the_whole_training_set_are_refused(workspace):
    # The team appended its pseudo-labels to all training images, those of valid3 included.
    whole = workspace.data / "train.json"
    held_out = len(workspace.val(0).images)
    with pytest.raises(UserError, match=f"{held_out} images are in the training and in the"):
        workspace.make(train=whole, val=workspace.work / "folds/val_0.json")
    with pytest.raises(UserError, match="not known which images the fold is validated on"):
        workspace.make(train=whole)


def test_a_submission_from_elsewhere_is_refused_and_marked_when_forced(workspace):
    rows = [f"0 0.9 5 6 25 36 ,test/{k:04d}.jpg" for k in range(TEST_IMAGES)]
    path = workspace.root / "theirs.csv"
    path.write_text("PredictionString,image_id\n" + "\n".join(rows) + "\n")
    with pytest.raises(UserError, match="not known what the teacher theirs was trained on"):
        workspace.make(predictions=path)
    note = workspace.make(predictions=path, allow_leak=True).info["boxcamp"]
    assert note["pseudo_images"] == TEST_IMAGES
    assert "not known" in note["leaked"][0]


def test_pseudo_labels_are_not_piled_on_pseudo_labels(workspace):
    workspace.make()
    with pytest.raises(UserError, match="already holds pseudo-labels"):
        workspace.make(
            train=workspace.work / "pseudo/round1/train_0.json",
            val=workspace.work / "folds/val_0.json",
            out=workspace.work / "pseudo/round2/train_0.json",
        )


def test_a_second_round_stores_the_chain(workspace):
    workspace.make()
    first = workspace.work / "pseudo/round1/train_0.json"
    out = workspace.work / "pseudo/round2/train_0.json"
    with pytest.raises(UserError, match="no teacher was trained on the pseudo-labels of round 1"):
        workspace.make(round_number=2, out=out)
    student = {"train_0.json": sha256_of_file(first)}
    workspace.predict("test.parquet", run="student", annotation_sha256=student)
    note = workspace.make(round_number=2, out=out).info["boxcamp"]
    assert note["round"] == 2
    (before,) = note["chain"]
    assert before["sha256"] == sha256_of_file(first)
    assert (before["round"], before["teachers"][0]["run"]) == (1, "yolox")
    # And a third round holds both, oldest first.
    student = {"train_0.json": sha256_of_file(out)}
    workspace.predict("test.parquet", members=(Provenance(annotation_sha256=student),))
    third = workspace.make(round_number=3, out=workspace.work / "pseudo/round3/train_0.json")
    assert [entry["round"] for entry in third.info["boxcamp"]["chain"]] == [1, 2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"round_number": 0}, "--round is 0"),
        ({"round_number": 2}, "pseudo-labels of round 1 are not there"),
        ({"threshold": 0.5, "match_density": True}, "--threshold and --match-density exclude"),
        ({"match_density": True, "class_thresholds": {"class 0": 0.1}}, "does not go with"),
        ({"target_precision": 0.8}, "needs out-of-fold predictions and their truth"),
        ({"threshold": 0.95}, "no test image is left: 8 of 8 boxes are below the threshold"),
    ],
)
def test_requests_that_cannot_be(workspace, changes, message):
    with pytest.raises(UserError, match=message):
        workspace.make(**changes)
    assert not (workspace.work / "pseudo").exists()


def test_test_images_that_repeat_training_images_are_left_out(workspace):
    for name in ("train.json", "test.json"):
        write_images(workspace.data, read_coco(workspace.data / name), seed=len(name))
    trained, validated = workspace.train(0).file_names[0], workspace.val(0).file_names[0]
    for target, source in (("test/0001.jpg", trained), ("test/0002.jpg", validated)):
        (workspace.data / target).write_bytes((workspace.data / source).read_bytes())
    note = workspace.make().info["boxcamp"]
    assert note["pseudo_file_names"] == ["test/0000.jpg", "test/0003.jpg"]
    assert note["duplicates"]["checked"] is True
    assert note["duplicates"]["images"] == 2
    assert ["test/0001.jpg", trained] in note["duplicates"]["examples"]
    assert note["counts"]["images_excluded_as_duplicates"] == 2


def test_without_pictures_the_file_says_that_they_were_not_compared(workspace):
    note = workspace.make().info["boxcamp"]
    assert note["duplicates"]["checked"] is False
    assert "17 of 17 images are not in" in note["duplicates"]["why_not"]


def test_a_broken_test_image_gives_no_labels_and_does_not_end_the_run(workspace):
    for name in ("train.json", "test.json"):
        write_images(workspace.data, read_coco(workspace.data / name), seed=len(name))
    trained = workspace.train(0).file_names[0]
    for name in ("test/0003.jpg", trained):
        (workspace.data / name).write_bytes(b"no picture")
    note = workspace.make().info["boxcamp"]
    assert "test/0003.jpg" not in note["pseudo_file_names"]
    assert (note["counts"]["images"], note["counts"]["images_broken"]) == (3, 1)
    why = "cannot be decoded: no kind of image that is known"
    assert note["duplicates"]["broken_test_images"] == {"test/0003.jpg": why}
    assert note["duplicates"]["broken_other_images"] == {trained: why}
    workspace.predict("fold0.parquet", fold=0)
    done = CliRunner().invoke(main, [*fold_options(workspace, "fold{fold}.parquet"), "--fold", "0"])
    assert done.exit_code == 0, done.output
    assert (
        "warning:   1 test pictures do not decode and no labels come from them, such as "
        f"test/0003.jpg ({why}); python -m data_tools verify lists them"
    ) in done.output
    assert "1 training or validation pictures do not decode and nothing was compared" in done.output


def fold_options(workspace, predictions: str) -> list[str]:
    return [
        "pseudo", "--fold", "0,1,2",
        "--train", str(workspace.work / "folds/train_{fold}.json"),
        "--test", str(workspace.data / "test.json"),
        "--predictions", str(workspace.work / predictions),
        "--out", str(workspace.work / "pseudo/round1/train_{fold}.json"),
    ]  # fmt: skip


def test_all_folds_in_one_command(workspace):
    for fold in range(FOLDS):
        workspace.predict(f"fold{fold}.parquet", fold=fold)
    result = CliRunner().invoke(main, fold_options(workspace, "fold{fold}.parquet"))
    assert result.exit_code == 0, result.output
    for fold in range(FOLDS):
        note = read_coco(workspace.work / f"pseudo/round1/train_{fold}.json").info["boxcamp"]
        assert note["fold"] == fold
        assert note["leaked"] == []


def test_pictures_are_read_once_for_all_folds(workspace):
    for name in ("train.json", "test.json"):
        write_images(workspace.data, read_coco(workspace.data / name), seed=len(name))
    for fold in range(FOLDS):
        workspace.predict(f"fold{fold}.parquet", fold=fold)
    totals = []
    requests = [
        workspace.request(fold, predictions=workspace.work / f"fold{fold}.parquet")
        for fold in range(FOLDS)
    ]
    make_pseudo_sets(requests, totals.append)
    assert totals == [TRAIN_IMAGES + TEST_IMAGES] * (TRAIN_IMAGES + TEST_IMAGES)


def test_one_refused_fold_leaves_none_written(workspace):
    for fold in range(FOLDS):
        workspace.predict(f"fold{fold}.parquet", fold=0 if fold == 2 else fold)
    result = CliRunner().invoke(main, fold_options(workspace, "fold{fold}.parquet"))
    assert result.exit_code == 2
    assert "would leak the validation fold" in result.stderr
    assert not (workspace.work / "pseudo").exists()


def test_several_folds_need_their_own_teachers(workspace):
    with pytest.raises(UserError, match="--predictions is the same file for every fold"):
        requests_of_folds(
            replace(
                workspace.request(),
                train=workspace.work / "train_{fold}.json",
                out=workspace.work / "p_{fold}.json",
            ),
            [0, 1],
        )


def test_the_command_prints_what_it_did(workspace):
    result = workspace.cli("--threshold", "0.3", "--class-threshold", "class 1=0.5")
    assert result.exit_code == 0, result.output
    assert "4 test images with 4 boxes added to 8 training images" in result.stdout
    assert "threshold: 0.300 to 0.500 (given: 0.3, class 1 0.5)" in result.stdout
    assert "class 0 4, class 1 0" in result.stdout


def test_thresholds_for_a_precision_through_the_command(workspace):
    val = workspace.val(0)
    labels = np.tile(val.labels, 3)
    oof = predictions_from_rows(
        val.image_ids,
        np.tile(val.annotation_image_ids, 3),
        labels,
        np.repeat([0.85, 0.6, 0.2], len(val.labels)),
        # The first copy of each box is right, the other two lie elsewhere.
        np.concatenate([val.boxes_xyxy, val.boxes_xyxy + 200, val.boxes_xyxy + 400]),
        provenance=Provenance(dataset=val.fingerprint, train_file_names=("other.jpg",)),
    )
    write_predictions(workspace.work / "oof.parquet", oof)
    result = workspace.cli(
        "--target-precision", "0.9", "--oof", str(workspace.work / "oof.parquet"),
        "--truth", str(workspace.work / "folds/val_0.json"),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    note = read_coco(workspace.work / "pseudo.json").info["boxcamp"]
    assert list(note["thresholds"].values()) == pytest.approx([0.85] * 4)
    assert "0.850 (precision 0.9 on out-of-fold predictions)" in result.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--predictions", "nowhere.parquet"], "the prediction file does not exist"),
        (["--class-threshold", "bag"], "--class-threshold is 'bag'"),
        (["--class-threshold", "bag=high"], "--class-threshold is 'bag=high'"),
        (["--class-threshold", "bag=0.5"], "no class 'bag'"),
        (["--fold", "a,b"], "--fold is 'a,b'"),
        (["--fold", "0,1"], "--train is the same file for every fold"),
        (["--weight", "half"], "'half' is not one of"),
        (["--out", "/dev/null/pseudo.json"], "a file stands where a folder is needed"),
    ],
)
def test_mistakes_end_with_2_and_write_nothing(workspace, options, message):
    before = sorted(workspace.root.rglob("*"))
    result = workspace.cli(*options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert sorted(workspace.root.rglob("*")) == before


def test_empty_predictions_and_predictions_of_another_dataset(workspace):
    empty = predictions_from_rows(workspace.test.image_ids, [], [], [], np.zeros((0, 4)))
    write_predictions(workspace.work / "empty.parquet", empty)
    result = workspace.cli("--predictions", str(workspace.work / "empty.parquet"))
    assert result.exit_code == 2
    assert "the prediction file has no boxes (5 images)" in result.stderr
    other = replace(workspace.test, images=workspace.test.images[:3])
    predictions = predictions_from_rows(
        other.image_ids, [0], [0], [0.9], np.array([[0, 0, 9, 9]]),
        provenance=Provenance(dataset=other.fingerprint),
    )  # fmt: skip
    write_predictions(workspace.work / "other.parquet", predictions)
    result = workspace.cli("--predictions", str(workspace.work / "other.parquet"))
    assert result.exit_code == 2
    assert "made for another dataset: 3 images" in result.stderr


def test_a_full_disk_leaves_nothing_half_written(workspace, monkeypatch):
    monkeypatch.setattr("data_tools.ground.whole.temporaries.secrets.token_hex", lambda _: "0")
    (workspace.work / ".pseudo.0.tmp.json").symlink_to("/dev/full")
    result = workspace.cli()
    assert result.exit_code == 2
    assert "No space left on device" in result.stderr
    assert "free some space" in result.stderr
    left = [path.name for path in workspace.work.iterdir() if "pseudo" in path.name]
    assert left == []


def test_categories_of_another_competition(workspace):
    content = json.loads((workspace.data / "test.json").read_text())
    content["categories"][0]["name"] = "sofa"
    write_dict(workspace.data / "test.json", content)
    with pytest.raises(UserError, match="different categories"):
        workspace.make()


def test_boxes_of_the_second_fold_part_are_not_touched(workspace):
    before = (workspace.work / "folds/val_0.json").read_bytes()
    made = workspace.make()
    assert (workspace.work / "folds/val_0.json").read_bytes() == before
    assert not set(made.file_names) & set(workspace.val(0).file_names)


def test_the_training_part_is_never_replaced(workspace):
    train = workspace.work / "folds/train_0.json"
    before = train.read_bytes()
    result = workspace.cli("--out", str(workspace.work / "folds/../folds/train_0.json"))
    assert result.exit_code == 2
    assert "the output would replace a file that is read" in result.stderr
    assert train.read_bytes() == before
