"""Deformable convolution against torchvision's compiled kernel: values, gradients, limits."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import deform_conv2d as torchvision_deform_conv2d

from models.ops.deform_conv import deform_conv2d

TOLERANCE = {"atol": 1e-4, "rtol": 1e-4}
NAMES = ("output", "input", "offset", "weight", "bias", "mask")


def draw_arguments(
    *,
    batch=2,
    group_channels=4,
    groups=1,
    deform_groups=1,
    group_outputs=3,
    kernel=(3, 3),
    stride=(1, 1),
    padding=(1, 1),
    dilation=(1, 1),
    size=(9, 11),
    offset_scale=2.0,
    whole_offsets=False,
    with_mask=True,
    with_bias=True,
    seed=0,
):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    taps = kernel[0] * kernel[1]
    out = [
        (size[axis] + 2 * padding[axis] - dilation[axis] * (kernel[axis] - 1) - 1) // stride[axis]
        + 1
        for axis in (0, 1)
    ]
    channels, outputs = group_channels * groups, group_outputs * groups
    offset = normal(batch, 2 * deform_groups * taps, *out) * offset_scale
    tensors = {
        "input": normal(batch, channels, *size),
        "offset": offset.round() if whole_offsets else offset,
        "weight": normal(outputs, group_channels, *kernel) * 0.2,
        "bias": normal(outputs) if with_bias else None,
        "mask": normal(batch, deform_groups * taps, *out).sigmoid() if with_mask else None,
    }
    settings_ = {"stride": stride, "padding": padding, "dilation": dilation}
    return tensors, settings_, normal(batch, outputs, *out)


def run(function, tensors, settings_, output_gradient, **changes):
    leaves = {
        name: None if tensor is None else tensor.clone().requires_grad_()
        for name, tensor in tensors.items()
    }
    output = function(**leaves, **settings_, **changes)
    output.backward(output_gradient.to(output.dtype))
    gradients = {name: leaf.grad for name, leaf in leaves.items() if leaf is not None}
    return {"output": output.detach(), **gradients}


def assert_equal_to_torchvision(tensors, settings_, output_gradient, **tolerance):
    expected = run(torchvision_deform_conv2d, tensors, settings_, output_gradient)
    got = run(deform_conv2d, tensors, settings_, output_gradient)
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            got[name], value, **(tolerance or TOLERANCE), msg=lambda text, n=name: f"{n}: {text}"
        )


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=40, deadline=None)
@given(
    batch=st.integers(1, 3),
    # With 4, 8 and 16 groups' channels per deform group both ways of sampling are met.
    channels=st.sampled_from(
        [(1, 1, 1), (2, 4, 8), (32, 1, 1), (16, 4, 2), (8, 2, 16), (16, 2, 1)]
    ),
    kernel=pairs,
    stride=pairs,
    dilation=pairs,
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    size=st.tuples(st.integers(7, 13), st.integers(7, 13)),
    offset_scale=st.sampled_from([0.0, 0.5, 3.0, 30.0]),
    whole_offsets=st.booleans(),
    with_mask=st.booleans(),
    with_bias=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_values_and_gradients_are_torchvisions(channels, **drawn):
    group_channels, groups, deform_groups = channels
    arguments = draw_arguments(
        group_channels=group_channels, groups=groups, deform_groups=deform_groups, **drawn
    )
    assert_equal_to_torchvision(*arguments)


@pytest.mark.parametrize("group_channels", [4, 32], ids=["planes", "rows"])
def test_without_offsets_it_is_an_ordinary_convolution(group_channels):
    tensors, settings_, _ = draw_arguments(group_channels=group_channels, with_mask=False)
    tensors["offset"].zero_()
    expected = torch.nn.functional.conv2d(
        tensors["input"], tensors["weight"], tensors["bias"], **settings_
    )
    torch.testing.assert_close(deform_conv2d(**tensors, **settings_), expected, **TOLERANCE)


@pytest.mark.parametrize("channels", [1, 32], ids=["planes", "rows"])
@pytest.mark.parametrize(
    ("shift", "expected"),
    [
        # One row of pixels 1, 2, 3; a 1x1 kernel of weight 1 samples x = 1 + shift.
        pytest.param(0.0, 2.0, id="on a pixel"),
        pytest.param(0.25, 0.75 * 2 + 0.25 * 3, id="between pixels"),
        pytest.param(1.75, 0.25 * 3, id="fading out beyond the last pixel"),
        pytest.param(2.0, 0.0, id="one pixel outside, high"),
        pytest.param(-1.75, 0.25 * 1, id="fading out before the first pixel"),
        pytest.param(-2.0, 0.0, id="one pixel outside, low"),
        pytest.param(1e30, 0.0, id="far outside, high"),
        pytest.param(-1e30, 0.0, id="far outside, low"),
    ],
)
def test_samples_outside_the_image_are_zero(channels, shift, expected):
    image = torch.tensor([1.0, 2.0, 3.0]).expand(1, channels, 1, 3).contiguous()
    offset = torch.zeros(1, 2, 1, 3)
    offset[0, 1, 0, 1] = shift
    weight = torch.full((1, channels, 1, 1), 1.0 / channels)
    got = deform_conv2d(image, offset, weight)
    assert got[0, 0, 0, 1].item() == pytest.approx(expected, abs=1e-6)
    assert torch.equal(torchvision_deform_conv2d(image, offset, weight) == 0, got == 0)
