"""The benchmarks of operators and training steps run and print their ratios."""

import re
import sys

import numpy as np
import pytest
import torch

from benchmarks import deform_conv, loss_curve, tood_loss, train_step, training_peers


def printed_by(module, monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["benchmark", *arguments])
    module.main()
    return capsys.readouterr().out


def test_deform_conv_prints_a_row_per_method(monkeypatch, capsys):
    text = printed_by(deform_conv, monkeypatch, capsys, "--quick")
    rows = re.findall(r"^  (\w+) .* ms .* ([\d.]+)x .* MB", text, re.MULTILINE)
    assert [name for name, _ in rows] == 2 * ["torchvision", "planes", "rows", "rows_recomputed"]
    assert [ratio for name, ratio in rows if name == "torchvision"] == ["1.0", "1.0"]
    assert text.count("<- used") == 2


def test_tood_loss_prints_equal_losses(monkeypatch, capsys):
    text = printed_by(tood_loss, monkeypatch, capsys, "--quick")
    rows = re.findall(r"(mmdet|kit) .* (\d+) operators +loss ([\d.]+)", text)
    (stock, stock_calls, stock_loss), (kit, kit_calls, kit_loss) = rows
    assert (stock, kit) == ("mmdet", "kit")
    assert int(kit_calls) < int(stock_calls)
    assert float(kit_loss) == pytest.approx(float(stock_loss), rel=1e-5)


@pytest.mark.slow
def test_train_step_gives_the_losses_of_the_stock(monkeypatch, capsys):
    text = printed_by(
        train_step, monkeypatch, capsys, "--quick", "--models", "tood_dcn", "--variants", "kit bf16"
    )
    off = dict(re.findall(r"^  ((?:stock|kit) \w+) .* ([\d.e+-]+)$", text, re.MULTILINE))
    assert off.keys() == {"stock fp32", "kit fp32", "kit bf16"}
    assert float(off["stock fp32"]) == 0
    assert float(off["kit fp32"]) < 1e-3


def test_upstreams_ways_are_put_in_place_and_taken_away():
    from models.engine.ops import deform_conv as module

    arguments = (torch.zeros(1, 32, 4, 4), torch.zeros(1, 18, 4, 4), torch.zeros(1, 32, 3, 3))
    before = training_peers.BatchedTaskAlignment._is_batched
    with training_peers.upstreams_ways(True):
        assert module.choose_method(*arguments) == "torchvision"
        assert not training_peers.BatchedTaskAlignment._is_batched(None)
    assert module.choose_method(*arguments) == "rows"
    assert training_peers.BatchedTaskAlignment._is_batched is before


def test_both_fp32_variants_are_always_run():
    chosen = training_peers.chosen_variants("kit bf16", torch.device("cpu"))
    assert [variant.name for variant in chosen] == ["stock fp32", "kit fp32", "kit bf16"]
    everything = training_peers.chosen_variants(None, torch.device("cuda"))
    assert everything == list(training_peers.CUDA_VARIANTS)


def test_windows_are_means_of_ten_steps():
    assert loss_curve.windows(np.array([])).tolist() == []
    assert loss_curve.windows(np.arange(25.0)).tolist() == [4.5, 14.5, 22.0]


def test_distance_is_that_of_the_farthest_window():
    one = np.zeros(30)
    other = np.repeat([0.1, -0.4, 0.3], 10)
    assert loss_curve.distance(one, one) == 0
    assert loss_curve.distance(one, other) == pytest.approx(0.4)


def test_a_curve_is_inside_the_noise_when_it_is_no_farther_than_the_runs_are(capsys):
    config = {"image_size_wh": [64, 64], "batch_size": 4}
    runs = [np.full(10, level) for level in (1.0, 1.1, 1.2)]  # up to .2 apart
    # 1.3 is .3, .2, .1 from the runs: the median is .2. 1.4 is .4, .3, .2.
    curves = {"near": np.full(10, 1.3 - 1e-9), "far": np.full(10, 1.4)}
    loss_curve.report("tood", config, curves, runs)
    _, _, stock, near, far = capsys.readouterr().out.splitlines()
    assert stock.endswith("1.100  3 runs, up to 0.200 apart")
    assert near.endswith("0.200 apart: inside the noise")
    assert far.endswith("0.300 apart: OUTSIDE the noise")


@pytest.mark.slow
def test_loss_curves_of_kit_and_stock_begin_alike():
    config = training_peers.benchmark_config("retinanet", "smoke", 64, 2)
    stock, kit = training_peers.chosen_variants("kit fp32", torch.device("cpu"))
    device = torch.device("cpu")
    ours = loss_curve.loss_curve(config, kit, device, 3)
    theirs = loss_curve.loss_curve(config, stock, device, 3)
    changed = loss_curve.loss_curve(config, stock, device, 3, perturbation_seed=0)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    assert 0 < np.abs(changed - theirs).max() < 1e-3
