from __future__ import annotations

import json
from typing import Any

import pytest
from zoo_files import card

from restorekit.errors import WeightsError
from restorekit.zoo import ModelCard


def changed(**changes: Any) -> str:
    return json.dumps({**json.loads(card().to_json()), **changes})


def test_a_card_survives_json() -> None:
    assert ModelCard.from_json(card().to_json()) == card()


def test_the_json_is_plain_and_names_its_format() -> None:
    document = json.loads(card().to_json())
    assert document["format"] == 2
    assert document["level_range"] == [0.0, 75.0]
    assert document["measured"][1] == {"dataset": "BSD68", "level": 8.5, "quality": "fast", "psnr": 33.1, "ssim": None}
    assert "é included" in card().to_json()


def test_the_python_names_are_not_names_of_the_file() -> None:
    document = json.loads(card().to_json())
    document["conditioning_range"] = document.pop("level_range")
    with pytest.raises(WeightsError, match="level_range: Field required"):
        ModelCard.from_json(json.dumps(document))


def test_a_card_covers_its_range_but_for_rounding() -> None:
    narrow = card(conditioning_range=(13.5, 16.5))
    assert all(narrow.covers(sigma) for sigma in (13.5, 15, 16.5, 255 * (16.5 / 255), 13.5 - 1e-9))
    assert not any(narrow.covers(sigma) for sigma in (13.4, 16.6, 0, -15, float("nan"), float("inf")))


def test_the_range_as_text() -> None:
    assert card(conditioning_range=(0.0, 13.5)).range_text == "0 to 13.5"
    assert card(conditioning_range=(4, 4)).range_text == "4"


def test_every_key_is_needed() -> None:
    document = json.loads(card().to_json())
    for key in document.keys() - {"format"}:
        text = json.dumps({name: value for name, value in document.items() if name != key})
        with pytest.raises(WeightsError, match=f"the model card: {key}: "):
            ModelCard.from_json(text)


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(WeightsError, match="the model card: colour: Unexpected"):
        ModelCard.from_json(changed(colour=1))
    entry = {"dataset": "BSD68", "level": 5, "quality": "best", "psnr": 37.0, "ssim": None, "lpips": 0.1}
    with pytest.raises(WeightsError, match=r"the model card: measured\.0\.lpips: Unexpected"):
        ModelCard.from_json(changed(measured=[entry]))


@pytest.mark.parametrize("version", [0, 1, 3, "2", None])
def test_other_formats_are_refused(version: object) -> None:
    with pytest.raises(WeightsError, match="this version of restorekit reads 2"):
        ModelCard.from_json(changed(format=version))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", 3),
        ("settings", []),
        ("task", None),
        ("channels", 4),
        ("channels", 0),
        ("channels", True),
        ("level_range", [75, 0]),
        ("level_range", [-1, 0]),
        ("level_range", [0]),
        ("level_range", [0, 1, 2]),
        ("level_range", [0, float("nan")]),
        ("level_range", [0, float("inf")]),
        ("parameters", -1),
        ("parameters", 10**30),
        ("steps", 1.5),
        ("recipe_sha256", "abc"),
        ("recipe_sha256", "0" * 64 + "\n"),
        ("measured", {}),
    ],
)
def test_senseless_values_are_refused_by_the_name_of_their_key(key: str, value: object) -> None:
    with pytest.raises(WeightsError, match=rf"^the model card: {key}(\.1)?: .") as caught:
        ModelCard.from_json(changed(**{key: value}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("psnr", [float("nan"), float("inf"), 10**400, "30", None])
def test_senseless_measurements_are_refused(psnr: object) -> None:
    entry = {"dataset": "BSD68", "level": 5, "quality": "best", "psnr": psnr, "ssim": None}
    with pytest.raises(WeightsError, match=r"the model card: measured\.0\.psnr: Input should be"):
        ModelCard.from_json(changed(measured=[entry]))


@pytest.mark.parametrize("depth", [300, 3000, 30_000])
def test_settings_that_are_nested_too_deep_are_refused(depth: int) -> None:
    text = changed(settings={"a": 0}).replace('{"a": 0}', '{"a": ' + "[" * depth + "]" * depth + "}")
    with pytest.raises(WeightsError, match="the model card"):
        ModelCard.from_json(text)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"format": ' + "1" * 5000 + "}"])
def test_broken_json_is_refused(text: str) -> None:
    with pytest.raises(WeightsError, match="not valid JSON") as caught:
        ModelCard.from_json(text)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("text", ["[]", "3", '"card"'])
def test_json_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(WeightsError, match="must be a JSON object"):
        ModelCard.from_json(text)
