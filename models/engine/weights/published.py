"""Published weight files: which there are, where they are kept, how they get there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from data_tools.ground.errors import UserError
from data_tools.ground.files import sha256_of_file

# Both serve the same files; the second belongs to the maintained forks.
HOSTS = ("https://download.openmmlab.com/", "https://mmassets.onedl.ai/")
CACHE_VARIABLE = "BOXCAMP_WEIGHTS"


@dataclass(frozen=True)
class WeightFile:
    """A published file; the last part of its name is the beginning of its SHA-256.

    Attributes:
        path: below each of `HOSTS`.
        content: what the weights are of.
    """

    path: str
    content: str

    @property
    def file_name(self) -> str:
        """Name in the cache."""
        return self.path.rpartition("/")[2]

    @property
    def sha256_start(self) -> str:
        """First eight hexadecimal digits of the SHA-256, as publishers put them into the name."""
        return self.file_name.rpartition("-")[2].partition(".")[0]


_RESNEXT = WeightFile(
    "pretrain/third_party/resnext101_64x4d-ee2c6f71.pth", "ResNeXt-101 64x4d, ImageNet"
)

# YOLOX and its CSPDarknet are trained from scratch (Ge et al. 2021, section 2.1): there is nothing
# published to start its backbone from.
IMAGENET_FILES: dict[str, WeightFile] = {
    "tood": _RESNEXT,
    "tood_dcn": _RESNEXT,
    "retinanet": WeightFile(
        "mmsegmentation/v0.5/pretrain/swin/swin_tiny_patch4_window7_224_20220317-1cdeb081.pth",
        "Swin-T, ImageNet",
    ),
    "ssd": WeightFile("pretrain/third_party/vgg16_caffe-292e1171.pth", "VGG-16, ImageNet"),
}

# From the model indices that mmdet ships; it has none for tood_dcn's and retinanet's combinations.
COCO_FILES: dict[str, WeightFile] = {
    "tood": WeightFile(
        "mmdetection/v2.0/tood/tood_x101_64x4d_fpn_mstrain_2x_coco/"
        "tood_x101_64x4d_fpn_mstrain_2x_coco_20211211_003519-a4f36113.pth",
        "TOOD X-101 64x4d, COCO",
    ),
    "yolox": WeightFile(
        "mmdetection/v2.0/yolox/yolox_x_8x8_300e_coco/"
        "yolox_x_8x8_300e_coco_20211126_140254-1ef88d67.pth",
        "YOLOX-x, COCO",
    ),
    "ssd": WeightFile(
        "mmdetection/v2.0/ssd/ssd512_coco/ssd512_coco_20210803_022849-0a47a1ca.pth",
        "SSD512, COCO",
    ),
}


def cache_folder() -> Path:
    """Return the folder of weight files: `$BOXCAMP_WEIGHTS`, else one in the user's cache."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "boxcamp" / "weights"


def fetch(file: WeightFile, hosts: tuple[str, ...] = HOSTS) -> Path:
    """Return the path of a weight file, downloading it where it is missing.

    Raises:
        UserError: no host answered (the message says which file to put where), or the content
            does not match the hash in the name.
    """
    target = cache_folder() / file.file_name
    if not target.is_file():
        _download(file, target, hosts)
    found = sha256_of_file(target)
    if not found.startswith(file.sha256_start):
        raise UserError(
            f"the file's SHA-256 begins with {found[:8]}",
            where=target,
            expected=f"{file.sha256_start}, as its name says",
            next_step="delete the file and run again: it may have been cut off or altered",
        )
    return target


def _download(file: WeightFile, target: Path, hosts: tuple[str, ...]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    for host in hosts:
        failure = _failure_of_download(host + file.path, target, file.sha256_start)
        if failure is None:
            return
        failures.append(f"{host}: {failure}")
    raise UserError(
        f"could not download {file.content} ({'; '.join(failures)})",
        where=hosts[0] + file.path,
        expected=f"the file at {target}",
        next_step=f"fetch it on a machine with network and put it at {target} "
        f"(or set {CACHE_VARIABLE} to its folder), or train with --init none",
    )


def _failure_of_download(url: str, target: Path, sha256_start: str) -> str | None:
    from torch.hub import download_url_to_file

    try:
        # Downloads to a temporary name and refuses a wrong hash.
        download_url_to_file(url, str(target), sha256_start)
    except (OSError, RuntimeError) as error:
        return str(error)
    return None
