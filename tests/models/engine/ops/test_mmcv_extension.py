"""The substitute for mmcv's compiled operators against slow, obviously right references."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st

from models.engine.ops import mmcv_extension


@pytest.fixture(scope="module", autouse=True)
def _installed():
    mmcv_extension.install()


def boxes_from_seed(seed: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=generator) * 20
    sides = torch.rand(count, 2, generator=generator) * 15 + 0.5
    scores = torch.rand(count, generator=generator)
    return torch.cat([corners, corners + sides], dim=1), scores


def slow_iou(first, second, offset):
    width = min(first[2], second[2]) - max(first[0], second[0]) + offset
    height = min(first[3], second[3]) - max(first[1], second[1]) + offset
    intersection = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (first, second)]
    return intersection / (sum(areas) - intersection)


def slow_nms(boxes, scores, threshold, offset):
    kept = []
    for index in np.argsort(-scores, kind="stable"):
        if all(slow_iou(boxes[index], boxes[other], offset) <= threshold for other in kept):
            kept.append(int(index))
    return kept


def test_nms_of_nothing_is_nothing():
    from mmcv.ops import nms

    detections, kept = nms(torch.zeros(0, 4), torch.zeros(0), 0.5)
    assert detections.shape == (0, 5)
    assert kept.shape == (0,)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 25), st.sampled_from([0.3, 0.5, 0.7]),
       st.sampled_from([0, 1]))  # fmt: skip
def test_nms_equals_the_double_loop(seed, count, threshold, offset):
    from mmcv.ops import nms

    boxes, scores = boxes_from_seed(seed, count)
    _, kept = nms(boxes, scores, threshold, offset=offset)
    expected = slow_nms(boxes.double().numpy(), scores.numpy(), threshold, offset)
    assert kept.tolist() == expected


def test_nms_offset_counts_pixels():
    from mmcv.ops import nms

    # 3 and 3 pixels wide with offset 1, sharing 2: 6 / 12 = .5; without: 1 * 2 / (4 + 4 - 2) = 1/3.
    boxes = torch.tensor([[0.0, 0, 2, 2], [1.0, 0, 3, 2]])
    scores = torch.tensor([0.9, 0.8])
    assert nms(boxes, scores, 0.4, offset=0)[1].tolist() == [0, 1]
    assert nms(boxes, scores, 0.4, offset=1)[1].tolist() == [0]


def test_soft_nms_arithmetic():
    from mmcv.ops import soft_nms

    # Two boxes of 2 x 2 share half: IoU 2 / (4 + 4 - 2) = 1/3. The third is apart.
    boxes = torch.tensor([[0.0, 0, 2, 2], [1.0, 0, 3, 2], [10.0, 10, 12, 12]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    detections, kept = soft_nms(boxes, scores, iou_threshold=0.3, method="linear")
    assert kept.tolist() == [0, 2, 1]
    assert detections[:, 4].tolist() == pytest.approx([0.9, 0.7, 0.8 * (1 - 1 / 3)])
    detections, kept = soft_nms(boxes, scores, sigma=0.5, method="gaussian")
    assert detections[:, 4].tolist() == pytest.approx([0.9, 0.7, 0.8 * np.exp(-(1 / 9) / 0.5)])
    detections, kept = soft_nms(boxes, scores, iou_threshold=0.3, method="naive")
    assert kept.tolist() == [0, 2]


def test_soft_nms_drops_below_the_minimum_and_keeps_the_callers_scores():
    from mmcv.ops import soft_nms

    boxes = torch.tensor([[0.0, 0, 2, 2], [0.0, 0, 2, 2]])
    scores = torch.tensor([0.9, 0.8])
    before = scores.clone()
    _, kept = soft_nms(boxes, scores, iou_threshold=0.3, min_score=0.1, method="linear")
    assert kept.tolist() == [0]  # the second falls to .8 * (1 - 1) = 0
    assert torch.equal(scores, before)


def test_soft_nms_of_nothing_is_nothing():
    from mmcv.ops import soft_nms

    detections, kept = soft_nms(torch.zeros(0, 4), torch.zeros(0))
    assert detections.shape == (0, 5)
    assert kept.tolist() == []


def test_focal_loss_arithmetic():
    from mmcv.ops import sigmoid_focal_loss

    # p = .5 for a logit of 0. Target class 1 of 2; the third row is background (target 2).
    logits = torch.zeros(2, 2)
    target = torch.tensor([1, 2])
    loss = sigmoid_focal_loss(logits, target, 2.0, 0.25, None, "none")
    log_half = np.log(0.5)
    on, off = -0.25 * 0.5**2 * log_half, -0.75 * 0.5**2 * log_half
    assert loss.flatten().tolist() == pytest.approx([off, on, off, off])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 5),
       st.sampled_from([0.0, 1.0, 2.0]))  # fmt: skip
def test_focal_loss_and_gradient_equal_torchvisions(seed, rows, classes, gamma):
    from mmcv.ops import sigmoid_focal_loss

    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(rows, classes, generator=generator) * 4).requires_grad_()
    target = torch.randint(0, classes + 1, (rows,), generator=generator)
    upstream = torch.rand(rows, classes, generator=generator)
    one_hot = torch.nn.functional.one_hot(target, classes + 1)[:, :classes].float()
    expected = torchvision.ops.sigmoid_focal_loss(logits, one_hot, 0.25, gamma)
    (expected_gradient,) = torch.autograd.grad((expected * upstream).sum(), logits)
    loss = sigmoid_focal_loss(logits, target, gamma, 0.25, None, "none")
    (gradient,) = torch.autograd.grad((loss * upstream).sum(), logits)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-4, atol=1e-5)


def test_focal_loss_of_extreme_logits_is_finite():
    from mmcv.ops import sigmoid_focal_loss

    logits = torch.tensor([[200.0], [-200.0]], requires_grad=True)
    loss = sigmoid_focal_loss(logits, torch.tensor([1, 0]), 2.0, 0.25, None, "sum")
    loss.backward()
    # A wrong answer of certainty 200 costs 200: .75 * 200 for the false alarm, .25 * 200 for the
    # missed object.
    assert float(loss) == pytest.approx(0.75 * 200 + 0.25 * 200)
    assert torch.isfinite(logits.grad).all()


def test_focal_loss_refuses_class_weights():
    from mmcv.ops import sigmoid_focal_loss

    with pytest.raises(mmcv_extension.MissingOperatorError, match="class weights"):
        sigmoid_focal_loss(torch.zeros(1, 2), torch.tensor([0]), 2.0, 0.25, torch.ones(2), "sum")


@pytest.mark.parametrize(("stride", "dilation", "groups", "deform_groups"),
                         [(1, 1, 1, 1), (2, 1, 2, 2), (1, 2, 1, 4)])  # fmt: skip
def test_mmcvs_own_dcn_modules_match_torchvision(stride, dilation, groups, deform_groups):
    from mmcv.ops import DeformConv2d, ModulatedDeformConv2d

    torch.manual_seed(0)
    options = {"stride": stride, "padding": dilation, "dilation": dilation, "groups": groups}
    options["deform_groups"] = deform_groups
    x = torch.randn(2, 4, 9, 8, requires_grad=True)
    for module_type, has_mask in ((DeformConv2d, False), (ModulatedDeformConv2d, True)):
        module = module_type(4, 6, 3, **options)
        height, width = (9 - 1) // stride + 1, (8 - 1) // stride + 1
        offset = torch.randn(2, 18 * deform_groups, height, width, requires_grad=True)
        mask = torch.rand(2, 9 * deform_groups, height, width, requires_grad=True)
        inputs = (x, offset, mask) if has_mask else (x, offset)
        result = module(*inputs)
        expected = torchvision.ops.deform_conv2d(
            x, offset, module.weight, getattr(module, "bias", None), (stride, stride),
            (dilation, dilation), (dilation, dilation), mask if has_mask else None,
        )  # fmt: skip
        torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4)
        upstream = torch.randn_like(result)
        leaves = [*inputs, *module.parameters()]
        ours = torch.autograd.grad((result * upstream).sum(), leaves)
        theirs = torch.autograd.grad((expected * upstream).sum(), leaves)
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-3)


def test_missing_operator_names_itself():
    from mmcv.ops import RoIAlign

    layer = RoIAlign(output_size=2)
    with pytest.raises(mmcv_extension.MissingOperatorError, match=r"mmcv\._ext\.roi_align_forward"):
        layer(torch.zeros(1, 1, 4, 4), torch.tensor([[0.0, 0, 0, 2, 2]]))


def test_installing_twice_keeps_the_same_module():
    before = sys.modules[mmcv_extension.MODULE_NAME]
    mmcv_extension.install()
    assert sys.modules[mmcv_extension.MODULE_NAME] is before
    assert mmcv_extension.is_substituted()


def test_a_compiled_extension_is_left_alone(tmp_path):
    # A file that could be imported as mmcv._ext stands for the compiled module.
    (tmp_path / "mmcv").mkdir()
    (tmp_path / "mmcv" / "__init__.py").write_text("")
    (tmp_path / "mmcv" / "_ext.py").write_text("compiled = True\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from models.engine.ops import mmcv_extension\n"
        "mmcv_extension.install()\n"
        "import mmcv._ext\n"
        "assert mmcv._ext.compiled and not mmcv_extension.is_substituted()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
