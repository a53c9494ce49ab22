"""Operators in plain PyTorch, in place of the compiled ones that mmcv would need."""
