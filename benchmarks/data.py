"""Folds and near-duplicate search against scikit-learn and imagehash: same input, one run.

    python -m benchmarks.data [--quick]

Folds: the class labels and images of as many boxes as the real competition has, drawn like the
sample's. Both sides start from the label and the image of every box and end with the fold of every
image. Near-duplicates: all pairs of random 64-bit perceptual hashes, of which some are close.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import imagehash
import numpy as np
import sklearn
from sklearn.model_selection import StratifiedGroupKFold

from benchmarks.machine import machine_line
from data_tools.coco.dataset import CocoDataset, coco_from_dict
from data_tools.folds.assign import greedy_folds, seed_scheme_folds, stratification_features
from data_tools.pictures.facts import ImageFacts, near_duplicates, read_image_facts
from data_tools.sample.ground import smooth_noise
from data_tools.sample.layout import CLASS_NAMES, draw_layout

FOLDS = 5


def main() -> None:
    """Print the machine, then one line per comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small inputs, for the tests")
    quick = parser.parse_args().quick
    print(machine_line())
    compare_folds(drawn_dataset(200 if quick else 4883))
    compare_hashes(150 if quick else 2000)
    compare_decoding(4 if quick else 60, 256 if quick else 1024)


def shortest(action: Callable[[], object], rounds: int = 3) -> float:
    """Return the shortest time of some rounds in seconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def drawn_dataset(images: int) -> CocoDataset:
    """Return annotations with the competition's class counts and boxes per image."""
    layout = draw_layout(images, np.random.default_rng(0))
    sides = np.maximum(layout.sizes_wh * 1024, 1).tolist()
    boxes = [
        {"id": k, "image_id": int(i), "category_id": int(label), "bbox": [0, 0, *sides[k]]}
        for k, (i, label) in enumerate(zip(layout.image_index, layout.labels, strict=True))
    ]
    return coco_from_dict(
        {
            "images": [
                {"id": i, "file_name": f"{i}.jpg", "width": 1024, "height": 1024}
                for i in range(images)
            ],
            "annotations": boxes,
            "categories": [{"id": k, "name": name} for k, name in enumerate(CLASS_NAMES)],
        }
    )


def compare_folds(dataset: CocoDataset) -> None:
    """Time scikit-learn's StratifiedGroupKFold, the kit's two schemes, and one seed of a search."""
    labels, groups = dataset.labels, dataset.annotation_image_ids
    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=411)
    peer = shortest(lambda: list(splitter.split(np.zeros(len(labels)), labels, groups)), 1)
    features = stratification_features(dataset)
    ours = {
        "scheme seed": shortest(lambda: seed_scheme_folds(dataset, FOLDS, 411)),
        "scheme stratified": shortest(
            lambda: greedy_folds(stratification_features(dataset), FOLDS, 411)
        ),
        "one more seed of a search": shortest(lambda: greedy_folds(features, FOLDS, 411)),
    }
    print(
        f"{len(dataset.images)} images, {len(labels)} boxes, {FOLDS} folds; "
        f"scikit-learn {sklearn.__version__}: {peer:.3f} s"
    )
    for name, seconds in ours.items():
        print(f"  {name}: {seconds:.3f} s, ratio {peer / seconds:.0f}x")


def compare_hashes(images: int) -> None:
    """Time the search for close pairs: imagehash's own difference, and one matrix product."""
    rng = np.random.default_rng(0)
    bits = rng.random((images, 64)) < 0.5
    bits[images // 2 :] = bits[: images - images // 2] ^ (
        rng.random((images - images // 2, 64)) < 0.04
    )
    hashes = [imagehash.ImageHash(row.reshape(8, 8)) for row in bits]
    facts = [ImageFacts("", hash_bits=tuple(row.tolist())) for row in bits]

    def pairwise() -> list[tuple[int, int]]:
        return [
            (i, j)
            for i in range(images)
            for j in range(i + 1, images)
            if hashes[i] - hashes[j] <= 4
        ]

    start = time.perf_counter()
    expected = pairwise()
    peer = time.perf_counter() - start
    ours = shortest(lambda: near_duplicates(facts))
    if near_duplicates(facts) != expected:
        raise SystemExit("the two searches found different pairs")
    print(
        f"{images} hashes, {len(expected)} close pairs, the same found by both: "
        f"imagehash {peer:.2f} s, ours {ours:.3f} s, ratio {peer / ours:.0f}x"
    )


def compare_decoding(images: int, side: int) -> None:
    """Time hashing of JPEG files decoded in full and at reduced size, and compare the hashes."""
    with tempfile.TemporaryDirectory() as folder:
        root, names = Path(folder), [f"{k}.jpg" for k in range(images)]
        for k, name in enumerate(names):
            rng = np.random.default_rng(k)
            layers = [smooth_noise(side, cells, rng) for cells in (5, 17, side // 4)]
            picture = np.clip(128 + 40 * sum(layers), 0, 255).astype(np.uint8)
            cv2.imwrite(str(root / name), cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR))
        times = {
            pixels: shortest(lambda p=pixels: read_image_facts(root, names, pixels=p), 2)
            for pixels in ("all", "reduced")
        }
        found = {p: read_image_facts(root, names, pixels=p) for p in times}
    differ = max(
        int(np.sum(np.array(a.hash_bits) != np.array(b.hash_bits)))
        for a, b in zip(found["all"], found["reduced"], strict=True)
    )
    whole, reduced = times["all"] / images * 1000, times["reduced"] / images * 1000
    print(
        f"hash of a {side} px JPEG: decoded in full {whole:.1f} ms, reduced {reduced:.1f} ms, "
        f"ratio {whole / reduced:.1f}x, at most {differ} of 64 bits differ"
    )


if __name__ == "__main__":
    main()
