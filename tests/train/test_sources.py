from pathlib import Path

import torch

from restorekit.physics.jpeg import error_level
from restorekit.train.data import Split, draw_batch, needs_chroma, random_crops, sources_of
from restorekit.physics.base import Measurement
from restorekit.train.recipe import load_recipe

NOISE = "[noise]\nlow = 5\nhigh = 75\npower = 1.5\n"


def test_a_share_of_the_steps_sees_chroma_at_the_level_of_chroma(recipe_file: Path) -> None:
    """Luma is dark here, and chroma bright."""
    jpeg = "[jpeg]\nlow = 20\nhigh = 21\nchroma = 0.25\n"
    recipe_file.write_text(recipe_file.read_text().replace(NOISE, jpeg))
    recipe = load_recipe(str(recipe_file))
    assert needs_chroma(recipe)
    dark, bright = torch.full((1, 24, 24), 20, dtype=torch.uint8), torch.full((1, 20, 20), 200, dtype=torch.uint8)
    sources = sources_of(recipe, Split([dark], [dark], [bright]))
    generator = torch.Generator().manual_seed(0)
    seen = []
    for _ in range(400):
        clean, observed = draw_batch(sources, recipe, generator)
        assert isinstance(observed, Measurement)
        chroma = bool((clean > 0.5).all())
        assert chroma or bool((clean < 0.5).all())
        levels = torch.tensor([error_level(quality, chroma=chroma) for quality in (20, 21)])
        assert bool(torch.isin(observed.conditioning, levels).all())
        seen.append(chroma)
    assert 0.2 < sum(seen) / len(seen) < 0.3


def test_one_source_draws_nothing_more_than_its_crops(recipe_file: Path) -> None:
    recipe = load_recipe(str(recipe_file))
    image = torch.arange(24 * 24).remainder(256).to(torch.uint8).reshape(1, 24, 24)
    sources = sources_of(recipe, Split([image], [image]))
    assert not needs_chroma(recipe)
    assert [source.share for source in sources] == [1.0]
    one, other = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
    clean, observed = draw_batch(sources, recipe, one)
    expected = random_crops([image], 17, 2, other)
    torch.testing.assert_close(clean, expected)
    torch.testing.assert_close(observed.x0, recipe.degradation.draw(expected, other).x0)
    assert torch.equal(one.get_state(), other.get_state())
