"""What benchmarks train: variants that are what they say, from a start that fits; splits with the same validation."""

from pathlib import Path

import pytest

import restorekit
from restorekit.models import build
from restorekit.train import load_recipe
from tests.benchmarks.ablation import VARIANTS, variant_of
from tests.benchmarks.few_images import VALIDATION_EVERY, chosen


@pytest.mark.parametrize("recipe", ["denoise-gray-groupsc", "denoise-color-groupsc"])
def test_variants_begin_from_sparse_coding_and_are_told_apart(recipe):
    variants = [variant_of(load_recipe(recipe), name, steps=20) for name in VARIANTS]
    start = restorekit.load(variants[0].warm_start).network
    for variant in variants:
        assert build(variant.architecture, variant.settings).load_compatible_weights(start)
        assert variant.optimiser.steps == 20
    longer = variant_of(load_recipe(recipe), "GroupSC", steps=40)
    assert len({variant.sha256 for variant in (*variants, longer)}) == len(VARIANTS) + 1


@pytest.mark.parametrize("count", [25, 50, 100, 200, 375])
def test_few_images_to_train_on_and_always_the_same_to_validate(count):
    images = [Path(f"{index:03}.png") for index in range(400)]
    order, every = chosen(images, count)
    assert order[::every] == images[::VALIDATION_EVERY]
    training = [image for index, image in enumerate(order) if index % every]
    assert len(set(training)) == count
    assert not set(training) & set(images[::VALIDATION_EVERY])


@pytest.mark.parametrize("count", [0, 40, 400])
def test_other_numbers_of_images_are_refused(count):
    with pytest.raises(SystemExit, match="a multiple of 25 up to 375"):
        chosen([Path(f"{index:03}.png") for index in range(400)], count)
