"""The kernel of each method, ready to be called on a run of images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ensemble.kernels.layout import Candidates, Clusters
from ensemble.settings import CONFIDENCE_TYPES, DECAYS, FusionSettings

Kernel = Callable[[Candidates, Clusters], None]


def method_kernel(
    settings: FusionSettings, weights: np.ndarray, iou_of_class: np.ndarray
) -> Kernel:
    """Return the function that fills `Clusters` from `Candidates` as the settings say.

    Args:
        settings: method and its parameters.
        weights: (S,) weight of each sub-member.
        iou_of_class: (C,) threshold of each class.
    """
    build = {"wbf": _wbf, "nms": _nms, "soft_nms": _soft_nms, "nmw": _nmw}[settings.method]
    return build(settings, weights, iou_of_class)


def score_scales(settings: FusionSettings, weights: np.ndarray) -> np.ndarray:
    """Return the (S,) factor that each sub-member's scores are multiplied by before fusing.

    WBF multiplies by the weights and divides at the end. NMW divides by the largest weight. NMS
    and soft-NMS leave scores alone unless weights are given, then divide by their sum: what the
    reference code does.
    """
    if settings.method == "wbf":
        return weights
    if settings.method == "nmw":
        return weights / weights.max()
    if settings.weights is None and not settings.view_weights:
        return np.ones_like(weights)
    return weights / weights.sum()


def _wbf(settings: FusionSettings, weights: np.ndarray, iou_of_class: np.ndarray) -> Kernel:
    from ensemble.kernels.wbf import fuse_wbf

    confidence = CONFIDENCE_TYPES.index(settings.confidence)
    total, overflow = float(weights.sum()), bool(settings.allows_overflow)

    def kernel(candidates: Candidates, clusters: Clusters) -> None:
        fuse_wbf(candidates, weights, total, iou_of_class, confidence, overflow, clusters)

    return kernel


def _nms(settings: FusionSettings, weights: np.ndarray, iou_of_class: np.ndarray) -> Kernel:
    from ensemble.kernels.nms import fuse_nms

    def kernel(candidates: Candidates, clusters: Clusters) -> None:
        fuse_nms(candidates, iou_of_class, clusters)

    return kernel


def _soft_nms(settings: FusionSettings, weights: np.ndarray, iou_of_class: np.ndarray) -> Kernel:
    from ensemble.kernels.nms import GAUSSIAN, LINEAR, fuse_soft_nms

    decay = dict(zip(DECAYS, (LINEAR, GAUSSIAN), strict=True))[settings.decay]
    sigma, floor = float(settings.sigma), float(settings.score_floor)

    def kernel(candidates: Candidates, clusters: Clusters) -> None:
        fuse_soft_nms(candidates, iou_of_class, decay, sigma, floor, clusters)

    return kernel


def _nmw(settings: FusionSettings, weights: np.ndarray, iou_of_class: np.ndarray) -> Kernel:
    from ensemble.kernels.nmw import fuse_nmw

    def kernel(candidates: Candidates, clusters: Clusters) -> None:
        fuse_nmw(candidates, iou_of_class, clusters)

    return kernel
