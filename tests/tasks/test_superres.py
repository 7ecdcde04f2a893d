"""Enlarging by the shipped grey denoiser, by unrolled solvers and by networks that enlarge in one step."""

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data
from skimage.transform import rescale

from restorekit.errors import UsageError
from restorekit.numerics.metrics import psnr
from restorekit.physics.blur import bicubic_error, enlarge_bicubic, shrink_bicubic
from restorekit.tasks import get_task
from restorekit.tasks.base import Run
from restorekit.tasks.superres import Enlarging, SuperresBenchmark, SuperresBenchmarkOptions
from restorekit.types import Quality, RunSettings
from restorekit.zoo import LoadedModel, load_model
from tests.cards import bare_card
from tests.tiny import tiny_network
from tests.trained import trained_enlarger, trained_solver, waves

DENOISER = LoadedModel(bare_card("x", "denoise", 1, (0, 75)), tiny_network(), Path("x"))


def enlarging(model, scale=2, quality=Quality.BALANCED, *, iterations=None, watch=None):
    models = get_task("superres").select(None, model)
    return Enlarging(scale, 0.0, model, Run(models, RunSettings(quality, "cpu", 160), iterations, watch))


def test_enlarging_gains_over_bicubic():
    photo = rescale(data.camera(), 0.35).astype(np.float32)[20:116, 40:136]
    small = shrink_bicubic(torch.from_numpy(photo)[None, None], 2)
    bicubic = enlarge_bicubic(small, 2)[0, 0].clamp(0, 1).numpy()
    model = load_model(Path(__file__).parents[2] / "weights" / "denoise-gray-sc.safetensors")
    run = Run(get_task("superres").select(None, model), RunSettings(Quality.FAST, "cpu"))
    estimate = SuperresBenchmark(SuperresBenchmarkOptions([2])).restore(small[0, 0].numpy(), 2, run)
    assert psnr(estimate, photo) > psnr(bicubic, photo) + 0.2


def test_the_conditioning_of_a_trained_solver_is_that_of_the_scale():
    trained = trained_solver("superres", dual=True)
    schedule = trained.network.schedule(torch.tensor([bicubic_error(3)]))
    by_three = enlarging(trained, 3)
    assert torch.equal(by_three.splitting.schedule(0.0).rhos, schedule.rhos)
    assert by_three(waves())[0].shape == (90, 102)
    assert enlarging(DENOISER).iterations == 5


def test_a_solver_that_repeats_one_step_ends_by_tolerance():
    assert enlarging(trained_solver("superres", "jfb", dual=True)).splitting.tolerance > 0


def test_an_enlarger_takes_one_step_and_tells_of_it():
    trained = trained_enlarger()
    with pytest.raises(UsageError, match=r"enlarger was trained for 1 iteration, not 2; name a denoiser"):
        enlarging(trained, iterations=2)
    seen = []
    watched = enlarging(trained, 3, iterations=1, watch=lambda x, change: seen.append((x, change)))
    estimate, report = watched(waves())
    assert estimate.shape == (90, 102)
    assert report.tiles == len(seen) == 1
    np.testing.assert_array_equal(seen[0][0][0, 0].numpy(), estimate)
    assert 0 < seen[0][1] < 1


def test_the_step_of_an_enlarger_on_a_black_picture_is_none():
    changes = []
    black = np.zeros((20, 24), np.float32)
    enlarging(trained_enlarger(), watch=lambda x, change: changes.append(change))(black)
    assert changes == [0]


def test_a_colour_enlarger_takes_grey_pictures():
    trained, seen = trained_enlarger(3), []
    grey, _ = enlarging(trained, watch=lambda x, change: seen.append(x))(waves())
    colour, _ = enlarging(trained)(np.stack([waves()] * 3, 2))
    assert grey.shape == (60, 68) == seen[0].shape[2:]
    np.testing.assert_allclose(grey, colour.mean(2), atol=1e-2)  # Each colour is clamped before, not the mean.
    np.testing.assert_array_equal(seen[0][0, 0].numpy(), grey)


def test_at_best_an_enlarger_looks_at_all_dihedral_views_of_a_picture():
    trained, image = trained_enlarger(), waves()[:, 2:]

    def estimates(quality):
        """Return those of the image, and of the image turned, turned back."""
        of_image, of_turned = (enlarging(trained, quality=quality)(y)[0] for y in (image, image.T[::-1]))
        return [part[20:-20, 20:-20] for part in (of_image, of_turned[::-1].T)]

    once, best = estimates(Quality.BALANCED), estimates(Quality.BEST)
    assert np.abs(once[0] - once[1]).max() > 1e-3
    np.testing.assert_allclose(best[0], best[1], atol=1e-4)


def test_models_that_enlarge_were_trained_with_next_to_no_noise():
    assert get_task("superres").greatest_noise(trained_solver("superres").card) == pytest.approx(1)
    assert get_task("superres").greatest_noise(DENOISER.card) == 75


def test_a_scale_that_a_model_was_not_made_for_is_refused():
    only_four = LoadedModel(bare_card("four", "superres", 1, (4.0, 4.0)), trained_enlarger().network, Path("tiny"))
    assert enlarging(only_four, 4).iterations == 1
    with pytest.raises(UsageError, match="scale 2 is not one that four was made for; use 4"):
        enlarging(only_four, 2)
