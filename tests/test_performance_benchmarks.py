"""The benchmarks of operators and training steps run and print their ratios."""

import re
import sys

import pytest
import torch

from benchmarks import deform_conv, tood_loss, train_step


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


def test_upstreams_operators_are_put_in_place_and_taken_away():
    from models.ops import deform_conv as module

    arguments = (torch.zeros(1, 32, 4, 4), torch.zeros(1, 18, 4, 4), torch.zeros(1, 32, 3, 3))
    before = train_step.BatchedTaskAlignment._is_batched
    with train_step.upstreams_operators(True):
        assert module.choose_method(*arguments) == "torchvision"
        assert not train_step.BatchedTaskAlignment._is_batched(None)
    assert module.choose_method(*arguments) == "rows"
    assert train_step.BatchedTaskAlignment._is_batched is before


def test_both_fp32_variants_are_always_run():
    chosen = train_step.chosen_variants("kit bf16", torch.device("cpu"))
    assert [variant.name for variant in chosen] == ["stock fp32", "kit fp32", "kit bf16"]
    everything = train_step.chosen_variants(None, torch.device("cuda"))
    assert everything == list(train_step.CUDA_VARIANTS)
