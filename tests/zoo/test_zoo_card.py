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


def test_a_card_covers_its_levels_but_for_rounding() -> None:
    narrow = card(level_range=(13.5, 16.5))
    assert all(narrow.covers(level) for level in (13.5, 15, 16.5, 255 * (16.5 / 255), 13.5 - 1e-9))
    assert not any(narrow.covers(level) for level in (13.4, 16.6, 0, -15, float("nan"), float("inf")))


def test_every_key_is_needed() -> None:
    document = json.loads(card().to_json())
    for key in document.keys() - {"format"}:
        text = json.dumps({name: value for name, value in document.items() if name != key})
        with pytest.raises(WeightsError, match=f"lacks '{key}'; expected are format, name"):
            ModelCard.from_json(text)


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(WeightsError, match="the unknown key 'colour'; expected are"):
        ModelCard.from_json(changed(colour=1))
    entry = {"dataset": "BSD68", "level": 5, "quality": "best", "psnr": 37.0, "ssim": None, "lpips": 0.1}
    with pytest.raises(WeightsError, match="measurement on the model card has the unknown key 'lpips'"):
        ModelCard.from_json(changed(measured=[entry]))


@pytest.mark.parametrize("version", [0, 1, 3, "2", None])
def test_other_formats_are_refused(version: object) -> None:
    with pytest.raises(WeightsError, match="this version of restorekit reads 2"):
        ModelCard.from_json(changed(format=version))


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("name", 3, "text"),
        ("settings", [], "a JSON object"),
        ("task", "fly", "denoise or demosaic or deblock"),
        ("channels", 4, "1 or 2 or 3"),
        ("channels", True, "1 or 2 or 3"),
        ("level_range", [75, 0], "two numbers"),
        ("level_range", [0, 1, 2], "two numbers"),
        ("level_range", [0, float("nan")], "two numbers"),
        ("parameters", -1, "a whole number"),
        ("parameters", 10**30, "a whole number"),
        ("steps", 1.5, "a whole number"),
        ("recipe_sha256", "abc", "64 hexadecimal digits"),
        ("measured", {}, "a JSON list"),
    ],
)
def test_senseless_values_are_refused(key: str, value: object, expected: str) -> None:
    with pytest.raises(WeightsError, match=f"{key} = .*; expected {expected}") as caught:
        ModelCard.from_json(changed(**{key: value}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("psnr", [float("nan"), float("inf"), 10**400, "30", None])
def test_senseless_measurements_are_refused(psnr: object) -> None:
    entry = {"dataset": "BSD68", "level": 5, "quality": "best", "psnr": psnr, "ssim": None}
    with pytest.raises(WeightsError, match=r"psnr = .*; expected a finite number"):
        ModelCard.from_json(changed(measured=[entry]))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"format": ' + "1" * 5000 + "}"])
def test_broken_json_is_refused(text: str) -> None:
    with pytest.raises(WeightsError, match="not valid JSON") as caught:
        ModelCard.from_json(text)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("text", ["[]", "3", '"card"'])
def test_json_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(WeightsError, match="must be a JSON object"):
        ModelCard.from_json(text)
