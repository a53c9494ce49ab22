"""TOOD's batched assignment and loss against mmdet's own, image by image."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.engine.libraries.mmdet.library import InstanceData, MessageHub, TOODHead
from models.engine.libraries.mmdet.modules import TaskAlignedHead
from models.engine.libraries.mmdet.task_alignment import (
    PaddedBoxes,
    pad_boxes,
    pairwise_iou,
    task_aligned_targets,
)
from models.tood.recipe import FULL

CLASSES = 3
SIZES = ((8, 10), (4, 5), (2, 3), (1, 2), (1, 1))
IMAGE_SHAPE = (64, 80)


def make_head(kind, epoch=10):
    architecture = FULL["architecture"]
    options = {key: value for key, value in architecture["bbox_head"].items() if key != "type"}
    head = kind(
        **{**options, "num_classes": CLASSES, "in_channels": 8, "feat_channels": 8,
           "stacked_convs": 1, "norm_cfg": None},
        train_cfg=to_config(architecture["train_cfg"]),
        test_cfg=to_config(architecture["test_cfg"]),
    )  # fmt: skip
    MessageHub.get_current_instance().update_info("epoch", epoch)
    return head


def to_config(value):
    from models.engine.libraries.mmdet.library import ConfigDict

    return ConfigDict(value)


def draw_maps(batch, seed):
    """Predictions near the truth here and there: boxes around each cell, in units of the stride."""
    generator = torch.Generator().manual_seed(seed)
    scores, boxes = [], []
    for height, width in SIZES:
        scores.append(torch.rand(batch, CLASSES, height, width, generator=generator))
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        centre = torch.stack([x, y, x, y]).float().expand(batch, 4, height, width)
        reach = torch.rand(batch, 4, height, width, generator=generator) * 3
        signs = torch.tensor([-1.0, -1.0, 1.0, 1.0]).view(1, 4, 1, 1)
        boxes.append(centre + signs * reach)
    return scores, boxes


def draw_truth(counts, seed):
    generator = torch.Generator().manual_seed(seed + 1)
    truth = []
    for count in counts:
        low = torch.rand(count, 2, generator=generator) * 40
        sides = torch.rand(count, 2, generator=generator) * 35 + 2
        labels = torch.randint(0, CLASSES, (count,), generator=generator)
        truth.append(InstanceData(bboxes=torch.cat([low, low + sides], 1), labels=labels))
    return truth


def losses_and_gradients(head, counts, seed, pad_shapes=None):
    scores, boxes = draw_maps(len(counts), seed)
    leaves = [tensor.requires_grad_() for tensor in (*scores, *boxes)]
    shapes = pad_shapes or [IMAGE_SHAPE] * len(counts)
    metas = [{"pad_shape": shape, "img_shape": IMAGE_SHAPE} for shape in shapes]
    losses = head.loss_by_feat(scores, boxes, draw_truth(counts, seed), metas)
    sums = {
        name: sum(value) if isinstance(value, list) else value for name, value in losses.items()
    }
    sum(sums.values()).backward()
    return sums, [leaf.grad for leaf in leaves]


def assert_equal_heads(counts, seed, epoch=10, **options):
    expected, expected_gradients = losses_and_gradients(
        make_head(TOODHead, epoch), counts, seed, **options
    )
    got, gradients = losses_and_gradients(
        make_head(TaskAlignedHead, epoch), counts, seed, **options
    )
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        theirs = torch.zeros_like(ours) if theirs is None else theirs
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_without_any_box_everything_is_background():
    assert_equal_heads([0, 0], seed=0)


@settings(max_examples=25, deadline=None)
@given(counts=st.lists(st.integers(0, 6), min_size=1, max_size=4), seed=st.integers(0, 10**6))
def test_losses_and_gradients_are_mmdets(counts, seed):
    assert_equal_heads(counts, seed)


def test_the_first_epochs_keep_mmdets_assigner():
    assert_equal_heads([2, 3], seed=1, epoch=0)


def test_priors_beyond_an_image_get_neither_label_nor_weight():
    assert_equal_heads([3, 2], seed=2, pad_shapes=[IMAGE_SHAPE, (40, 48)])


def test_priors_are_kept_until_the_sizes_change():
    head = make_head(TaskAlignedHead)
    losses_and_gradients(head, [1, 2], seed=0)
    kept = head._priors[1][0]
    losses_and_gradients(head, [2, 0], seed=1)
    assert head._priors[1][0] is kept
    losses_and_gradients(head, [2], seed=1)
    assert head._priors[1][0] is not kept


def test_under_autocast_the_loss_is_that_of_float32():
    expected, _ = losses_and_gradients(make_head(TaskAlignedHead), [2, 3], seed=3)
    with torch.autocast("cpu", torch.bfloat16):
        got, _ = losses_and_gradients(make_head(TaskAlignedHead), [2, 3], seed=3)
    for name, value in expected.items():
        assert torch.equal(got[name], value)


def test_padding_keeps_every_box_once():
    padded = pad_boxes(
        [torch.zeros(0, 4), torch.tensor([[1.0, 2.0, 3.0, 4.0]])],
        [torch.zeros(0, dtype=torch.int64), torch.tensor([2])],
    )
    assert padded.boxes_xyxy.tolist() == [[[0, 0, 0, 0]], [[1, 2, 3, 4]]]
    assert padded.present.tolist() == [[False], [True]]
    assert padded.labels.tolist() == [[0], [2]]


def test_overlap_is_intersection_over_union():
    boxes = torch.tensor([[[0.0, 0.0, 10.0, 10.0]]])
    others = torch.tensor([[[5.0, 0.0, 15.0, 10.0], [20.0, 20.0, 30.0, 30.0]]])
    # 5 x 10 shared of 100 + 100 - 50; nothing shared.
    assert pairwise_iou(boxes, others)[0, 0].tolist() == [pytest.approx(50 / 150), 0.0]


def test_assignment_by_hand():
    # One box 0..10 of class 0; three predictions at its centre, the middle one exact.
    boxes = torch.tensor(
        [[[0.0, 0.0, 10.0, 5.0], [0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 60.0]]]
    )
    scores = torch.tensor([[[0.5, 0.1], [0.5, 0.1], [0.9, 0.1]]])
    truth = PaddedBoxes(
        torch.tensor([[[0.0, 0.0, 10.0, 10.0]]]), torch.tensor([[0]]), torch.tensor([[True]])
    )
    targets = task_aligned_targets(
        scores, boxes, torch.full((3, 2), 5.0), torch.ones(1, 3, dtype=torch.bool), truth,
        topk=2, alpha=1, beta=2,
    )  # fmt: skip
    # Overlaps .5 and 1: alignment .5 * .25 and .5 * 1; scaled so that the best gets overlap 1.
    assert targets.labels.tolist() == [[0, 0, 2]]
    assert targets.metrics[0].tolist() == pytest.approx([0.25, 1.0, 0.0], abs=1e-5)
    assert targets.boxes_xyxy[0, 2].tolist() == [0, 0, 0, 0]
