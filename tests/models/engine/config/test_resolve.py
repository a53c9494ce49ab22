"""Configs: layers, overrides with their types, and all faults in one report."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from data_tools.ground.declared.checking import faults_in
from data_tools.ground.errors import UserError
from models.engine.config.augment import complete_augment
from models.engine.config.defaults import SETTINGS
from models.engine.config.merging import on_top
from models.engine.config.overrides import parse_override, valid_keys
from models.engine.config.resolve import recipe_config, resolve_config, with_epochs
from models.registry import MODELS, SCALES, get_model, model_names

CATEGORIES = [{"id": 7, "name": "can"}, {"id": 2, "name": "bag"}]


def resolve(model="tood", scale="smoke", **options):
    return resolve_config(model, scale, categories=CATEGORIES, **options)


def test_merging_nothing_changes_nothing():
    base = {"a": {"b": 1}}
    result = on_top(base, {})
    assert result == base
    result["a"]["b"] = 2
    assert base == {"a": {"b": 1}}


def test_merging_goes_key_by_key_and_leaves_both_alone():
    base, delta = {"a": {"b": 1, "c": 2}, "d": [1, 2]}, {"a": {"c": 3}, "d": [4]}
    assert on_top(base, delta) == {"a": {"b": 1, "c": 3}, "d": [4]}
    assert base == {"a": {"b": 1, "c": 2}, "d": [1, 2]}
    assert delta == {"a": {"c": 3}, "d": [4]}


def test_another_type_replaces_the_whole_dictionary():
    base = {"neck": {"type": "PAFPN", "blocks": 3}}
    assert on_top(base, {"neck": {"type": "FPN"}}) == {"neck": {"type": "FPN"}}
    assert on_top(base, {"neck": {"type": "PAFPN"}}) == base


def test_optimizers_share_their_keys():
    base = {"optimizer": {"type": "SGD", "lr": 0.01}}
    assert on_top(base, {"optimizer": {"type": "AdamW"}}) == {
        "optimizer": {"type": "AdamW", "lr": 0.01}
    }


def test_every_model_and_scale_resolves_to_valid_plain_json():
    checked = 0
    setting_of_key = {setting.key: setting for setting in SETTINGS}
    for spec in MODELS:
        for scale in SCALES:
            config = resolve(spec.name, scale)
            assert json.loads(json.dumps(config, allow_nan=False)) == config
            recipe = recipe_config(spec, scale)
            for key, setting in setting_of_key.items():
                value = recipe
                for part in key.split("."):
                    value = value[part]
                assert faults_in(value, setting.kind) == [], (spec.name, scale, key)
            assert config["augment"] == complete_augment(recipe["augment"])
            known = set(setting_of_key) | {"init"}
            assert {key for key in valid_keys(recipe) if not key.startswith("augment.")} == known
            checked += 1
    assert checked == len(model_names()) * 2 == 12


def test_every_default_is_valid():
    for setting in SETTINGS:
        assert faults_in(setting.default, setting.kind) == [], setting.key


def test_classes_follow_the_order_of_the_file():
    config = resolve()
    assert config["classes"] == ["can", "bag"]
    assert config["category_ids"] == [7, 2]


def test_options_and_overrides_layer_on_top_of_the_recipe():
    config = resolve(
        epochs=3, batch_size=5, mosaic=0.25, seed=9, init="x.pth", workers=0,
        overrides=["optimizer.lr=0.5", "batch_size=6"],
    )  # fmt: skip
    assert config["epochs"] == 3
    assert config["batch_size"] == 6  # --set comes last
    assert config["augment"]["mosaic"] == 0.25
    assert (config["seed"], config["init"], config["workers"]) == (9, "x.pth", 0)
    assert config["optimizer"]["lr"] == 0.5


def test_overrides_may_reach_into_the_architecture():
    config = resolve(overrides=["architecture.test_cfg.score_thr=0.2"])
    assert config["architecture"]["test_cfg"]["score_thr"] == 0.2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1", ("a", 1)),
        ("a.b=0.5", ("a.b", 0.5)),
        ("a=true", ("a", True)),
        ("a=null", ("a", None)),
        ("a=[1, 2]", ("a", [1, 2])),
        ("a=fpn", ("a", "fpn")),
        ("a=x=y", ("a", "x=y")),
        ("a=", ("a", "")),
    ],
)
def test_values_are_json_or_text(text, expected):
    assert parse_override(text) == expected


@pytest.mark.parametrize("text", ["epochs", "=3", ""])
def test_an_override_needs_key_and_value(text):
    with pytest.raises(UserError, match="key=value"):
        parse_override(text)


def test_all_faults_come_in_one_report_with_the_valid_keys():
    overrides = ["optimiser.lr=1", "epochs=many", "clip_grad_norm=-1", "architecture.nekc.type=FPN"]
    with pytest.raises(UserError) as raised:
        resolve(overrides=[*overrides, "schedule=step", "workers=1.5"])
    message = str(raised.value)
    assert "6 faults:\n  - " in message
    assert "unknown key `optimiser.lr` (did you mean `optimizer.lr`?)" in message
    assert '`epochs` is "many", expected a whole number above 0' in message
    assert "`clip_grad_norm` is -1, expected a number above 0, or null" in message
    assert "unknown key `architecture.nekc.type`" in message
    assert "`schedule` is a group of settings: set one of type, milestones" in message
    assert "`workers` is 1.5" in message
    assert "augment.mosaic" in raised.value.expected


@pytest.mark.parametrize(
    "override",
    ["epochs=true", "epochs=0", "batch_size=2.0", "optimizer.type=Adam", "optimizer.lr=0",
     "optimizer.lr=fast", "image_size_wh=640", "image_size_wh=[640]", "precision=fp8",
     "schedule.milestones=[3, 3]", "architecture.neck.num_outs=five", "model=yolox",
     "augment.mosaic=2", "augment.flop=1", "augment.affine.scale=[2, 1]", "classes=3",
     "optimizer.lr=NaN", "schedule.gamma=Infinity", "seed=4294967296", "init=",
     "architecture.neck.num_outs=true", "architecture.neck.in_channels=256"],
)  # fmt: skip
def test_wrong_values_are_refused(override):
    with pytest.raises(UserError) as raised:
        resolve(overrides=[override])
    assert override.partition("=")[0] in str(raised.value)


def test_faults_of_augmentation_stand_beside_the_others():
    with pytest.raises(UserError) as raised:
        resolve(overrides=["augment.mosaic=2", "epochs=0", "augment.affine.scale=[2, 1]"])
    assert raised.value.what == (
        "3 faults:\n"
        "  - `augment.mosaic` is 2, expected 0 to 1\n"
        "  - `epochs` is 0, expected a whole number above 0\n"
        "  - `augment.affine.scale` is [2, 1], expected [low, high] with 0 < low <= high"
    )


def test_an_override_too_deep_or_with_a_key_twice_is_refused():
    with pytest.raises(UserError, match="`a` cannot be taken: it is more than 64 levels deep"):
        parse_override("a=" + "[" * 10_000 + "]" * 10_000)
    with pytest.raises(UserError, match="`a` cannot be taken: the key 'b' stands twice"):
        parse_override('a={"b": 1, "b": 2}')


def test_unknown_scale_lists_the_valid_ones():
    with pytest.raises(UserError) as raised:
        resolve(scale="medium")
    assert "full, smoke" in str(raised.value)


def test_other_epochs_move_what_is_counted_in_epochs():
    # 16 and 22 of 24 become 8 and 11 of 12.
    config = resolve("tood", "full", epochs=12)
    assert config["schedule"]["milestones"] == [8, 11]
    # 300 epochs to 20: the last 15 become 1, the warm-up of 5 a third of one.
    config = resolve("yolox", "full", overrides=["epochs=20"])
    assert config["schedule"]["no_augment_epochs"] == 1
    assert config["augment"]["close_mosaic_epochs"] == 1
    assert config["schedule"]["warmup_epochs"] == pytest.approx(1 / 3)


def test_stated_milestones_stay_as_stated():
    config = resolve("tood", "full", epochs=12, overrides=["schedule.milestones=[3, 4]"])
    assert config["schedule"]["milestones"] == [3, 4]


def test_one_epoch_keeps_one_milestone():
    config = with_epochs(recipe_config(get_model("tood"), "full"), 1)
    assert config["schedule"]["milestones"] == [1]


def test_no_average_is_null():
    assert resolve("tood", "full")["ema"] is None
    assert resolve("yolox", "full")["ema"] == {"momentum": 1e-4, "gamma": 2000.0}


def test_neck_choice_is_refused_where_there_is_none():
    with pytest.raises(UserError) as raised:
        resolve("tood", overrides=["neck=fpn"])
    assert "neck=fpn does not work with tood" in str(raised.value)
    assert "yolox, ssd" in str(raised.value)
    with pytest.raises(UserError, match="neck=bifpn"):
        resolve("yolox", overrides=["neck=bifpn"])


def test_last_override_wins():
    assert resolve("yolox", overrides=["neck=fpn", "neck=own"])["neck"] == "own"
    assert resolve(overrides=["epochs=3", "epochs=4"])["epochs"] == 4


def test_resolving_twice_gives_the_same_and_shares_nothing():
    first, second = resolve(), resolve()
    assert first == second
    first["architecture"]["neck"]["out_channels"] = -1
    first["augment"]["resize"]["mode"] = "changed"
    assert resolve() == second


def test_resolving_needs_neither_torch_nor_mmdet():
    code = (
        "import sys\n"
        "from models.engine.config.resolve import resolve_config\n"
        "from models.registry import model_names\n"
        "for name in model_names():\n"
        "    resolve_config(name, 'full', categories=[{'id': 1, 'name': 'a'}])\n"
        "heavy = {'torch', 'mmdet', 'mmcv', 'mmengine', 'cv2', 'ultralytics'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_setting_is_documented_with_its_default(repository):
    page = (repository / "docs" / "models.md").read_text()
    for setting in SETTINGS:
        row = f"| `{setting.key}` | `{json.dumps(setting.default)}` | {setting.expected} |"
        assert row in page, setting.key
    for name in model_names():
        assert f"models/{name}/README.md" in page


@pytest.mark.parametrize(("side", "fits"), [(256, False), (257, True)])
def test_images_that_are_too_small_for_a_model_are_refused(side: int, fits: bool) -> None:
    """SSD's last features are empty below: it ended in a traceback."""
    overrides = [f"image_size_wh=[{side},{side}]"]
    if fits:
        resolve_config("ssd", "full", categories=CATEGORIES, overrides=overrides)
        return
    with pytest.raises(
        UserError, match="ssd at full scale cannot take images of 256 x 256"
    ) as caught:
        resolve_config("ssd", "full", categories=CATEGORIES, overrides=overrides)
    assert caught.value.expected == "257 pixels or more on both sides"
