"""Deformable convolution against torchvision's compiled kernel: values, gradients, limits."""

import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import deform_conv2d as torchvision_deform_conv2d

from models.engine.ops.deform_conv import deform_conv2d
from models.engine.ops.deform_conv_methods import METHODS, part_channels

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


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_gives_the_same(method):
    tensors, settings_, gradient = draw_arguments(group_channels=16, groups=2, deform_groups=2)
    expected = run(torchvision_deform_conv2d, tensors, settings_, gradient)
    got = run(deform_conv2d, tensors, settings_, gradient, method=method)
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, **TOLERANCE)


@pytest.mark.parametrize("method", ["planes", "rows", "rows_recomputed"])
def test_gradients_agree_with_finite_differences(method):
    tensors, settings_, _ = draw_arguments(batch=1, group_channels=2, groups=2, size=(4, 5))
    doubles = tuple(tensor.double().requires_grad_() for tensor in tensors.values())
    names = list(tensors)

    def function(*values):
        return deform_conv2d(**dict(zip(names, values, strict=True)), **settings_, method=method)

    # A fast check: one random direction per input instead of every element.
    assert torch.autograd.gradcheck(function, doubles, fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("group_channels", [4, 32], ids=["planes", "rows"])
@pytest.mark.parametrize("half_input", [False, True], ids=["float32 in", "half in"])
def test_autocast_stays_close_to_float32(dtype, group_channels, half_input):
    tensors, settings_, gradient = draw_arguments(group_channels=group_channels)
    expected = run(deform_conv2d, tensors, settings_, gradient)
    if half_input:  # As after an autocast convolution; parameters stay float32.
        tensors = {**tensors, "input": tensors["input"].to(dtype)}
    with torch.autocast("cpu", dtype):
        got = run(deform_conv2d, tensors, settings_, gradient)
    assert got["output"].dtype == tensors["input"].dtype
    # bfloat16 keeps 8 bits of a number, float16 11: an error of a few units of the largest value.
    share = {torch.bfloat16: 4 * 2**-8, torch.float16: 4 * 2**-11}[dtype]
    for name, value in expected.items():
        error = (got[name].float() - value).abs().max().item()
        assert error <= share * value.abs().max().item(), name


def test_positions_stay_exact_in_half_precision():
    # Pixel 300 is not a bfloat16 number: positions must not be computed in it.
    image = torch.arange(400.0).expand(1, 16, 1, 400).to(torch.bfloat16)
    offset = torch.zeros(1, 2, 1, 400, dtype=torch.bfloat16)
    weight = torch.zeros(1, 16, 1, 1, dtype=torch.bfloat16)
    weight[0, 0] = 1
    got = deform_conv2d(image, offset, weight)
    assert torch.equal(got[0, 0], image[0, 0])


@pytest.mark.parametrize("group_channels", [4, 32], ids=["planes", "rows"])
def test_without_images_the_output_is_empty(group_channels):
    tensors, settings_, gradient = draw_arguments(batch=0, group_channels=group_channels)
    got = run(deform_conv2d, tensors, settings_, gradient)
    assert got["output"].shape == (0, 3, 9, 11)
    assert got["weight"].abs().max() == 0


def test_only_the_wanted_gradients_are_computed():
    tensors, settings_, gradient = draw_arguments(group_channels=32)
    weight = tensors["weight"].requires_grad_()
    deform_conv2d(**tensors, **settings_).backward(gradient)
    assert weight.grad is not None
    with torch.no_grad():
        assert not deform_conv2d(**tensors, **settings_).requires_grad


def test_channels_last_goes_in_and_comes_out():
    tensors, settings_, _ = draw_arguments(group_channels=32, group_outputs=32)
    expected = deform_conv2d(**tensors, **settings_)
    tensors["input"] = tensors["input"].contiguous(memory_format=torch.channels_last)
    got = deform_conv2d(**tensors, **settings_)
    torch.testing.assert_close(got, expected, **TOLERANCE)
    assert got.is_contiguous(memory_format=torch.channels_last)


def peak_of_kept_bytes(method):
    """Bytes that the graph keeps for the backward pass."""
    tensors, settings_, _ = draw_arguments(group_channels=64, size=(20, 20))
    kept = {}

    def note(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    leaves = {name: tensor.requires_grad_() for name, tensor in tensors.items()}
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        output = deform_conv2d(**leaves, **settings_, method=method)
    del output
    return sum(kept.values())


def test_recomputing_keeps_no_columns():
    # 2 images x 64 channels x 9 taps x 400 pixels x 4 bytes = 1.8 MB of columns.
    columns = 2 * 64 * 9 * 400 * 4
    assert peak_of_kept_bytes("rows") > columns
    assert peak_of_kept_bytes("rows_recomputed") < columns / 2


@pytest.mark.parametrize(
    ("deform_channels", "group_channels", "samples", "expected"),
    [
        pytest.param(32, 32, 10, 32, id="all at once when they fit"),
        pytest.param(1024, 16, 36864, 32, id="two convolution groups: 32 * 36864 * 4 = 4.7 MB"),
        pytest.param(64, 256, 147456, 16, id="never narrower than 16 when it can be helped"),
        pytest.param(8, 4, 10**9, 8, id="narrow rows are not split further"),
        pytest.param(12, 8, 10, 4, id="a part must not straddle groups: gcd(12, 8)"),
    ],
)
def test_part_channels(deform_channels, group_channels, samples, expected):
    assert part_channels(deform_channels, group_channels, samples) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": (2, 4, 9)}, "input has 3 dimensions, expected 4"),
        (
            {"offset": (2, 17, 9, 11)},
            "offset has 17 channels, .* a multiple of 2 \\* 3 \\* 3",
        ),
        ({"offset": (2, 18, 9, 10)}, "offset has shape .*, expected \\(2, 18, 9, 11\\)"),
        ({"offset": (1, 18, 9, 11)}, "offset has shape .*, expected \\(2, 18, 9, 11\\)"),
        ({"mask": (2, 8, 9, 11)}, "mask has shape .*, expected \\(2, 9, 9, 11\\)"),
        ({"weight": (3, 3, 3, 3)}, "input has 4 channels, expected a multiple of .* = 3"),
        ({"weight": (3, 2, 3, 3)}, "weight has 3 output channels, expected a multiple of 2"),
        ({"offset": (2, 54, 9, 11)}, "input has 4 channels, expected a multiple of 3 deform"),
        ({"bias": (4,)}, "bias has shape \\(4,\\), expected \\(3,\\)"),
        ({"stride": 0}, "stride is"),
        ({"padding": -1}, "padding is"),
        ({"dilation": (1, 0)}, "dilation is"),
        ({"dilation": 9}, "output size is"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_as_by_torchvision(change, message):
    tensors, settings_, _ = draw_arguments()
    arguments = {**tensors, **settings_}
    for name, value in change.items():
        is_shape = name in tensors
        arguments[name] = torch.zeros(value) if is_shape else value
    with pytest.raises(RuntimeError, match=message):
        deform_conv2d(**arguments)
    # torchvision reads past a bias of the wrong length, and a stride of 0 ends the process.
    if change.keys() - {"bias", "stride"}:
        with pytest.raises((RuntimeError, ValueError)):
            torchvision_deform_conv2d(**arguments)


# aot_eager traces forward and backward without the half minute that generating C++ takes.
@pytest.mark.parametrize(
    "backend",
    [
        "aot_eager",
        pytest.param(
            "inductor",
            marks=[
                pytest.mark.slow,
                pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler"),
                pytest.mark.skipif(
                    " " in torch.__file__,
                    reason="torch 2.11's inductor cannot link where its path has a space",
                ),
            ],
        ),
    ],
)
@pytest.mark.parametrize("group_channels", [4, 32], ids=["planes", "rows"])
def test_compiles(group_channels, backend):
    tensors, settings_, gradient = draw_arguments(group_channels=group_channels, size=(5, 6))
    expected = run(deform_conv2d, tensors, settings_, gradient)
    compiled = torch.compile(deform_conv2d, fullgraph=True, backend=backend)
    got = run(compiled, tensors, settings_, gradient)
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, **TOLERANCE)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("method", ["rows", "rows_recomputed"])
def test_output_and_gradient_keep_the_format_of_the_input(method, memory_format):
    """Layers behind are slow on a mixture of formats."""
    tensors, settings_, gradient = draw_arguments(group_channels=16, groups=2)
    image = tensors.pop("input").contiguous(memory_format=memory_format).requires_grad_()
    output = deform_conv2d(image, **tensors, **settings_, method=method)
    assert output.is_contiguous(memory_format=memory_format)
    output.backward(gradient)
    assert image.grad.is_contiguous(memory_format=memory_format)
