"""Where the crops of a step come from, and what is done to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from restorekit.models import Recording
from restorekit.train.data import Split, random_crops
from restorekit.train.degradation import JpegSettings, Observation
from restorekit.train.recipe import Recipe


@dataclass(frozen=True)
class Source:
    """Images [C, H, W] that crops are cut from, what degrades those, and the share of the steps that it has."""

    images: Sequence[Tensor]
    draw: Callable[[Tensor, torch.Generator], Observation | Recording]
    share: float


def needs_chroma(recipe: Recipe) -> bool:
    """Whether a recipe is for JPEG and asks for chroma as well."""
    return _chroma_of(recipe) is not None


def _chroma_of(recipe: Recipe) -> JpegSettings | None:
    degradation = recipe.degradation
    return degradation if isinstance(degradation, JpegSettings) and degradation.chroma > 0 else None


def sources_of(recipe: Recipe, split: Split) -> tuple[Source, ...]:
    """The training images; where a recipe for JPEG asks for it, their chroma as well."""
    jpeg = _chroma_of(recipe)
    if jpeg is None:
        return (Source(split.training, recipe.degradation.draw, 1.0),)
    luma = Source(split.training, jpeg.draw, 1 - jpeg.chroma)
    return luma, Source(split.chroma, partial(jpeg.draw, chroma=True), jpeg.chroma)


def draw_batch(
    sources: Sequence[Source], recipe: Recipe, generator: torch.Generator
) -> tuple[Tensor, Observation | Recording]:
    """Clean crops [B, C, H, W], all of one source, and what is observed of them."""
    data = recipe.data
    source = sources[0]
    if len(sources) > 1:
        shares = torch.tensor([source.share for source in sources])
        source = sources[int(torch.multinomial(shares, 1, generator=generator))]
    clean = random_crops(source.images, data.crop, data.batch, generator, data.shrink, data.enlarge)
    return clean, source.draw(clean, generator)
