"""mmcv's compiled operators in PyTorch, with the names and arguments that mmcv calls."""
