"""The registry is data: every entry leads to a recipe."""

from __future__ import annotations

import pytest

from data_tools.ground.errors import UserError
from models.registry import MODELS, SCALES, get_model, model_names


def test_names_are_unique_and_complete():
    assert model_names() == ("tood", "tood_dcn", "retinanet", "yolox", "ssd", "yolo11")
    assert len(set(model_names())) == len(MODELS)


@pytest.mark.parametrize("name", model_names())
@pytest.mark.parametrize("scale", SCALES)
def test_every_model_has_a_recipe_for_every_scale(name, scale):
    recipe = get_model(name).recipe(scale)
    assert recipe["epochs"] > 0
    assert recipe["architecture"]


@pytest.mark.parametrize("name", model_names())
def test_every_model_has_a_readme_of_about_twenty_lines(name, repository):
    text = (repository / "models" / name / "README.md").read_text()
    assert 10 <= len(text.splitlines()) <= 40
    assert f"make train MODEL={name}" in text or f"models train {name} " in text


def test_toods_page_states_the_channels_of_its_recipes(repository):
    text = " ".join((repository / "models" / "tood" / "README.md").read_text().split())
    small = get_model("tood").recipe("smoke")["architecture"]
    channels, head = small["backbone"]["base_channels"], small["bbox_head"]
    assert f"a {small['backbone']['depth']}-layer ResNeXt with {channels} base channels" in text
    assert head["stacked_convs"] == 3
    assert f"three head convolutions of {head['feat_channels']} channels" in text


def test_unknown_name_lists_the_valid_ones():
    with pytest.raises(UserError) as raised:
        get_model("yolov4")
    assert "no model 'yolov4'" in str(raised.value)
    for name in model_names():
        assert name in raised.value.expected


def test_licences_are_stated():
    assert {spec.name: spec.licence for spec in MODELS if spec.licence != "Apache-2.0"} == {
        "yolo11": "AGPL-3.0"
    }
