"""Lowest layer: COCO files, boxes, prediction files, folds, pseudo-labels, the sample dataset."""
