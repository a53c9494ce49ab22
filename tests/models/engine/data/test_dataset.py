"""Training samples: what is in them, that only the key decides, that workers stay small."""

from __future__ import annotations

import concurrent.futures
import gc
import multiprocessing
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data_tools.coco.dataset import CocoDataset, coco_from_dict, read_coco
from data_tools.ground.errors import UserError
from models.engine.data import decode
from models.engine.data.dataset import TrainDataset
from models.engine.data.decode import read_picture
from models.engine.data.loader import BatchLoader, train_loader
from models.engine.data.sample import Sample, SampleKey
from models.engine.data.sampler import EpochSampler
from models.engine.data.table import annotation_table
from tests.builders.drawn_images import draw_images

EVERYTHING = {
    "mosaic": 0.5,
    "mixup": 0.5,
    "affine": {"probability": 0.5},
    "hsv": {"probability": 0.5},
    "photometric": {"probability": 0.5},
    "expand": {"probability": 0.5},
    "min_iou_crop": {"probability": 0.5},
    "multi_scale": [0.5, 1.5],
}
YOLOX = {
    "resize": {"mode": "letterbox"},
    "mosaic": 1.0,
    "mixup": 1.0,
    "affine": {"probability": 1.0, "scale": [0.1, 2.0]},
    "hsv": {"probability": 1.0},
}
SSD = {
    "resize": {"mode": "stretch"},
    "expand": {"probability": 0.5},
    "min_iou_crop": {"probability": 1.0},
    "photometric": {"probability": 1.0},
}
RECIPES = {"plain": {}, "mosaic": {"mosaic": 1.0}, "yolox": YOLOX, "ssd": SSD, "all": EVERYTHING}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> tuple[CocoDataset, object]:
    folder = tmp_path_factory.mktemp("images")
    sizes = [(96, 96), (96, 64), (64, 96), (80, 80), (100, 50), (33, 65)] * 2
    return draw_images(folder, sizes), folder


def make(drawn, augment: dict, *, size: int = 64, epochs: int = 10, seed: int = 42):
    coco, folder = drawn
    return TrainDataset(coco, folder, augment, (size, size), seed, epochs)


def same(first: Sample, second: Sample) -> bool:
    tensors = ("image", "boxes_xyxy", "labels", "weights")
    others = ("image_id", "file_name", "source_images", "size_wh", "original_size_wh")
    return all(torch.equal(getattr(first, n), getattr(second, n)) for n in tensors) and all(
        getattr(first, n) == getattr(second, n) for n in others
    )


# The table


def one_image(*boxes: dict) -> CocoDataset:
    annotations = [
        {"id": number, "image_id": 1, "category_id": 5, **box} for number, box in enumerate(boxes)
    ]
    return coco_from_dict(
        {
            "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 50}],
            "annotations": annotations,
            "categories": [{"id": 9, "name": "x"}, {"id": 5, "name": "y"}],
        }
    )


def test_image_without_boxes_is_kept():
    table = annotation_table(one_image())
    assert (len(table), table.offsets.tolist()) == (1, [0, 0])
    assert table.boxes_xyxy.shape == (0, 4)


def test_labels_are_class_indices_and_weights_come_from_the_key():
    table = annotation_table(
        one_image({"bbox": [1, 2, 3, 4]}, {"bbox": [1, 1, 9, 9], "weight": 0.3})
    )
    assert table.labels.tolist() == [1, 1]
    assert table.weights.tolist() == [1, np.float32(0.3)]
    assert table.boxes_xyxy.tolist() == [[1, 2, 4, 6], [1, 1, 10, 10]]


def test_boxes_left_out_are_counted():
    table = annotation_table(
        one_image(
            {"bbox": [10, 10, 20, 20]},
            {"bbox": [90, 40, 30, 30]},  # clipped to 10 x 10
            {"bbox": [200, 10, 20, 20]},
            {"bbox": [10, 10, 0.5, 20]},
            {"bbox": [10, 10, 20, 20], "iscrowd": 1},
        )
    )
    assert table.boxes_xyxy.tolist() == [[10, 10, 30, 30], [90, 40, 100, 50]]
    expected = {"crowd": 1, "outside_image": 1, "under_one_pixel": 1, "clipped": 1}
    assert table.left_out == expected


@pytest.mark.parametrize("weight", [-1, 2, "much", None])
def test_a_wrong_weight_is_an_error(weight):
    with pytest.raises(UserError, match="`weight` is") as caught:
        annotation_table(one_image({"bbox": [1, 2, 3, 4], "weight": weight}))
    assert "annotation id 0" in str(caught.value)


def test_boxes_are_grouped_by_image_in_any_file_order():
    coco = coco_from_dict(
        {
            "images": [
                {"id": i, "file_name": f"{i}.jpg", "width": 50, "height": 50} for i in (4, 2, 9)
            ],
            "annotations": [
                {"id": n, "image_id": i, "category_id": 1, "bbox": [n, 0, 5, 5]}
                for n, i in enumerate([9, 4, 9, 4])
            ],
            "categories": [{"id": 1, "name": "x"}],
        }
    )
    table = annotation_table(coco)
    starts = [table.boxes_xyxy[table.rows(index)][:, 0].tolist() for index in range(3)]
    assert starts == [[1, 3], [], [0, 2]]


@pytest.mark.real_data
def test_table_of_the_real_annotations(real_data):
    table = annotation_table(read_coco(real_data / "recycle_train.json.gz"))
    assert len(table) == 4883
    assert set(table.labels.tolist()) == set(range(10))
    left_out = sum(table.left_out.values()) - table.left_out["clipped"]
    assert len(table.boxes_xyxy) + left_out == 23144
    assert left_out <= 5
    assert table.boxes_xyxy.min() >= 0
    assert table.boxes_xyxy.max() <= 1024


# Samples


def test_plain_sample_is_the_resized_image(drawn):
    sample = make(drawn, {"flip": 0.0})[(0, 1)]
    assert tuple(sample.image.shape) == (3, 43, 64)  # 96 x 64 fits as 64 x 42.7
    assert sample.image.dtype == torch.uint8
    assert (sample.image_id, sample.file_name) == (101, "1.jpg")
    assert sample.source_images == ("1.jpg",)
    assert (sample.size_wh, sample.original_size_wh) == ((64, 43), (96, 64))
    table = annotation_table(drawn[0])
    scale = np.array([64 / 96, 43 / 64] * 2)
    np.testing.assert_allclose(
        sample.boxes_xyxy, table.boxes_xyxy[table.rows(1)] * scale, rtol=1e-5
    )
    assert sample.labels.tolist() == [0, 1]


def test_flip_mirrors_image_and_boxes_but_not_padding(drawn):
    block = {"resize": {"mode": "letterbox", "pad_value": 5}}
    still = make(drawn, {**block, "flip": 0.0})[(0, 2)]
    turned = make(drawn, {**block, "flip": 1.0})[(0, 2)]
    assert tuple(turned.image.shape) == (3, 64, 64)
    assert turned.size_wh == (43, 64)
    assert torch.equal(turned.image[:, :, :43], still.image[:, :, :43].flip(2))
    assert (turned.image[:, :, 43:] == 5).all()
    boxes = still.boxes_xyxy.numpy()
    mirrored = np.stack([43 - boxes[:, 2], boxes[:, 1], 43 - boxes[:, 0], boxes[:, 3]], axis=1)
    np.testing.assert_allclose(turned.boxes_xyxy, mirrored, atol=1e-4)


def test_stretch_gives_exactly_the_training_size(drawn):
    for index in range(6):
        sample = make(drawn, SSD)[(0, index)]
        assert tuple(sample.image.shape) == (3, 64, 64)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_gives_consistent_samples(drawn, recipe):
    dataset = make(drawn, RECIPES[recipe])
    for epoch in range(3):
        for index in range(len(dataset)):
            sample = dataset[SampleKey(epoch, index)]
            height, width = sample.image.shape[1:]
            boxes = sample.boxes_xyxy
            count = len(boxes)
            assert (len(sample.labels), len(sample.weights)) == (count, count)
            assert (boxes[:, :2] >= 0).all()
            assert (boxes[:, 2] <= width + 1e-3).all()
            assert (boxes[:, 3] <= height + 1e-3).all()
            assert ((boxes[:, 2:] - boxes[:, :2]) >= 1 - 1e-3).all()
            assert set(sample.labels.tolist()) <= {0, 1}


def test_weights_and_labels_follow_their_boxes(tmp_path):
    """Every image has a class and a weight of its own; a mosaic mixes them but never swaps them."""
    coco = draw_images(tmp_path, [(64, 64)] * 5, boxes_per_image=3)
    annotations = [
        {**box, "category_id": (3, 7)[box["image_id"] % 2], "weight": (box["image_id"] - 99) / 10}
        for box in coco.annotations
    ]
    coco = coco_from_dict({**coco.as_dict(), "annotations": annotations})
    dataset = TrainDataset(coco, tmp_path, {"mosaic": 1.0, "mixup": 1.0}, (64, 64), 0, 10)
    for index in range(5):
        sample = dataset[(0, index)]
        allowed = {
            (int(name[0]) % 2, round((int(name[0]) + 1) / 10, 3)) for name in sample.source_images
        }
        found = zip(sample.labels.tolist(), sample.weights.numpy().round(3).tolist(), strict=True)
        assert {(label, round(weight, 3)) for label, weight in found} <= allowed
        assert len(sample.source_images) == 5


def test_half_the_samples_are_mosaics(drawn):
    dataset = make(drawn, {"mosaic": 0.5}, size=16)
    counts = [len(dataset[(0, i % 12, i)].source_images) for i in range(400)]
    assert set(counts) == {1, 4}
    # 200 expected, standard deviation 10.
    assert 160 <= counts.count(4) <= 240


def test_repetitions_of_an_image_differ(drawn):
    dataset = make(drawn, EVERYTHING)
    assert not same(dataset[SampleKey(0, 3, 0)], dataset[SampleKey(0, 3, 1)])


@settings(deadline=None, max_examples=30)
@given(epoch=st.integers(0, 5), index=st.integers(0, 11), batch=st.integers(0, 5), data=st.data())
def test_a_sample_depends_on_its_key_alone(drawn, epoch, index, batch, data):
    """Whatever was asked before, whatever the cache holds."""
    dataset, fresh = make(drawn, EVERYTHING), make(drawn, {**EVERYTHING, "cache_mb": 0})
    key = SampleKey(epoch, index, 0, batch, tuple(range(0, 12, 2)))
    for other in data.draw(st.lists(st.integers(0, 11), max_size=5)):
        dataset[SampleKey(epoch, other, 1, batch)]
    assert same(dataset[key], fresh[key])


def test_seed_and_epoch_change_a_sample(drawn):
    base = make(drawn, YOLOX)[(0, 0)]
    assert not same(base, make(drawn, YOLOX)[(1, 0)])
    assert not same(base, make(drawn, YOLOX, seed=43)[(0, 0)])


def test_a_batch_shares_one_multi_scale_size(drawn):
    block = {"multi_scale": [0.5, 1.5], "resize": {"mode": "letterbox"}}
    dataset = make(drawn, block, size=128)
    sizes = set()
    for batch in range(30):
        shapes = {tuple(dataset[SampleKey(0, i, 0, batch)].image.shape[1:]) for i in range(3)}
        assert len(shapes) == 1
        sizes |= shapes
    assert sizes == {(side, side) for side in (64, 96, 128, 160, 192)}


def test_multi_scale_of_a_size_below_its_step(drawn):
    dataset = make(drawn, {"multi_scale": [0.5, 0.6], "resize": {"mode": "stretch"}}, size=32)
    assert tuple(dataset[(0, 0)].image.shape) == (3, 32, 32)


# Closing


def test_image_mixing_and_affine_end_with_the_last_epochs(drawn):
    block = {**YOLOX, "hsv": {"probability": 0.0}, "flip": 0.0, "close_mosaic_epochs": 2}
    dataset = make(drawn, block, epochs=5)
    plain = make(drawn, {"resize": {"mode": "letterbox"}, "flip": 0.0}, epochs=5)
    for epoch, sources in enumerate((5, 5, 5, 1, 1)):
        for index in range(len(dataset)):
            assert len(dataset[(epoch, index)].source_images) == sources
            if sources == 1:
                assert same(dataset[(epoch, index)], plain[(epoch, index)])
    assert dataset.loader.cache.used_bytes == 0


def test_workers_that_live_on_stop_mixing_too(drawn):
    """The same two processes serve all epochs; the epoch is in the key."""
    dataset = make(drawn, {"mosaic": 1.0, "close_mosaic_epochs": 2}, epochs=4)
    sampler = EpochSampler(len(dataset), 4, 42)
    loader = train_loader(dataset, sampler, 2)
    processes, counts = [], []
    for epoch in range(4):
        sampler.set_epoch(epoch)
        samples = [sample for batch in loader for sample in batch]
        counts.append({len(sample.source_images) for sample in samples})
        processes.append({child.pid for child in multiprocessing.active_children()})
    assert counts == [{4}, {4}, {1}, {1}]
    assert all(pids == processes[0] for pids in processes)


# Workers


def epoch_of(dataset: TrainDataset, workers: int, start_batch: int = 0) -> list[Sample]:
    sampler = EpochSampler(len(dataset), 3, 42, epoch=1, start_batch=start_batch)
    return [sample for batch in train_loader(dataset, sampler, workers) for sample in batch]


def test_number_of_workers_changes_nothing(drawn):
    alone = epoch_of(make(drawn, EVERYTHING), 0)
    for workers in (1, 3):
        together = epoch_of(make(drawn, EVERYTHING), workers)
        assert all(same(*pair) for pair in zip(alone, together, strict=True))


def test_an_epoch_entered_late_has_the_same_tail(drawn):
    whole = epoch_of(make(drawn, EVERYTHING), 0)
    tail = epoch_of(make(drawn, EVERYTHING), 2, start_batch=2)
    assert all(same(*pair) for pair in zip(whole[6:], tail, strict=True))


def test_loading_draws_from_no_global_generator(drawn):
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    epoch_of(make(drawn, EVERYTHING), 0)
    epoch_of(make(drawn, EVERYTHING), 1)
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_image_is_one_message_from_any_process(tmp_path, workers):
    coco = draw_images(tmp_path, [(40, 40)] * 6)
    (tmp_path / "3.jpg").write_bytes(b"damaged")
    dataset = TrainDataset(coco, tmp_path, {}, (32, 32), 42, 1)
    with pytest.raises(UserError) as caught:
        list(train_loader(dataset, EpochSampler(6, 2, 42), workers))
    assert caught.type is UserError
    assert caught.value.what == "the image cannot be decoded"
    assert caught.value.where == str(tmp_path / "3.jpg")
    assert "Traceback" not in str(caught.value)


def test_workers_end_with_the_error(tmp_path):
    coco = draw_images(tmp_path, [(40, 40)] * 6)
    (tmp_path / "3.jpg").write_bytes(b"damaged")
    loader = train_loader(
        TrainDataset(coco, tmp_path, {}, (32, 32), 42, 1), EpochSampler(6, 2, 42), 2
    )
    before = set(multiprocessing.active_children())
    with pytest.raises(UserError):
        list(loader)
    assert set(multiprocessing.active_children()) <= before
    draw_images(tmp_path, [(40, 40)] * 6)
    assert len(list(loader)) == 3, "repaired, the same loader goes on"
    assert len(set(multiprocessing.active_children()) - before) == 2
    loader.close()
    assert set(multiprocessing.active_children()) <= before


def test_an_abandoned_epoch_ends_its_workers(drawn):
    loader = train_loader(make(drawn, {}), EpochSampler(12, 2, 42), 2)
    before = set(multiprocessing.active_children())
    batches = iter(loader)
    next(batches)
    batches.close()
    assert set(multiprocessing.active_children()) <= before


def test_other_errors_keep_their_traceback(drawn):
    class Broken(TrainDataset):
        def __getitem__(self, key):
            raise ZeroDivisionError("a bug of ours")

    coco, folder = drawn
    loader = BatchLoader(Broken(coco, folder, {}, (8, 8), 1, 1), workers=1, batch_size=2)
    with pytest.raises(ZeroDivisionError, match="a bug of ours"):
        list(loader)


@pytest.mark.parametrize(
    "augment", [{"mosaic": 1.0}, {"mosaic": 0.5}, {"mosaic": 0.5, "mixup": 0.5}, YOLOX]
)
def test_a_mosaic_costs_about_one_decoded_image(tmp_path, monkeypatch, augment):
    """One of four workers, the second half of an epoch: its partners still lie in the cache."""
    coco = draw_images(tmp_path, [(16, 16)] * 800, boxes_per_image=1)
    dataset = TrainDataset(coco, tmp_path, {**augment, "cache_mb": 1}, (16, 16), 42, 10)
    reads = []
    monkeypatch.setattr(decode, "read_picture", lambda *a: reads.append(a) or read_picture(*a))
    own = [batch for batch in EpochSampler(800, 4, 42) if batch[0].batch % 4 == 0]
    half = len(own) // 2
    for batch in own[:half]:
        [dataset[key] for key in batch]
    reads.clear()
    for batch in own[half:]:
        [dataset[key] for key in batch]
    assert len(reads) <= 1.02 * 4 * (len(own) - half)


class Collecting(TrainDataset):
    """Collects garbage now and then, as Python does by itself sooner or later."""

    def __getitem__(self, key: SampleKey) -> Sample:
        if key.epoch >= 12 and key.index < 4:
            gc.collect()
        return super().__getitem__(key)


def test_memory_of_workers_stays_flat_over_twenty_epochs(tmp_path):
    """Each image shown again and again must not add up: neither decoded nor composed ones.

    In a new process: workers that are forked from one that has run other tests come to own
    its pages one after the other, as Python counts references in them.
    """
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as process:
        private_mb = process.submit(private_memory_of_epochs, tmp_path).result()
    # The decoded images have 38 MB per worker, of which the cache may hold 4 MB in all;
    # the composed ones of the last ten epochs have 375 MB.
    assert private_mb[2] - private_mb[0] < 20, private_mb
    assert private_mb[2] - private_mb[1] < 10, private_mb


def private_memory_of_epochs(folder: Path) -> list[float]:
    """Return the MB that the workers hold in the first, the tenth and the last of 20 epochs."""
    coco = draw_images(folder, [(320, 320)] * 128, boxes_per_image=1)
    block = {"mosaic": 1.0, "affine": {"probability": 0.5}, "cache_mb": 4}
    dataset = Collecting(coco, folder, block, (320, 320), 42, 20)
    sampler = EpochSampler(128, 8, 42)
    loader = train_loader(dataset, sampler, 2)
    measured = {(0, 2), (9, 15), (19, 15)}
    private_mb = []
    for epoch in range(20):
        sampler.set_epoch(epoch)
        for number, _ in enumerate(loader):
            if (epoch, number) in measured:
                private_mb.append(private_memory_mb())
    loader.close()
    return private_mb


def private_memory_mb() -> float:
    """Memory that the workers hold and share with nobody."""
    workers = [psutil.Process(child.pid) for child in multiprocessing.active_children()]
    return sum(worker.memory_full_info().uss for worker in workers) / 2**20


def test_loading_does_not_import_mmdet(repository):
    """Workers start with what they need."""
    code = (
        "import sys, models.engine.data.loader;sys.exit(bool({'mmdet', 'mmcv'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, check=False)
    assert done.returncode == 0
