"""Models trained to deblur and to enlarge, run over files' pixels by the code that runs denoisers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from restorekit.errors import MemoryExhaustedError, ModelMismatchError, UsageError
from restorekit.inference.plug_and_play import check_noise, greatest_noise, plan_for, solve
from restorekit.inference.runner import RunSettings
from restorekit.models import Measurement, UnrolledADMM, build, settings_json
from restorekit.physics.blur import CircularBlur, gaussian_kernel
from restorekit.physics.decimation import bicubic_error
from restorekit.restore.deblur import DEBLUR_SPLITTING, Deblur, deblur_array
from restorekit.restore.superres import superres_array, superres_plan
from restorekit.types import Boundary, Quality
from restorekit.zoo import LoadedModel
from restorekit.zoo.selection import ModelSelection
from tests.cards import bare_card
from tests.tiny import tiny_enlarger, tiny_network

SETTINGS = RunSettings(Quality.BALANCED, "cpu", 160)
KERNEL = gaussian_kernel(0.8)
NOISE = 0.02


def model(task: str, mode: str = "explicit", dual: bool = False) -> LoadedModel:
    architecture, denoiser = settings_json(tiny_network())
    network = build(
        "unrolled-admm",
        {
            "mode": mode,
            "iterations": 3,
            "knots": [0.01, 0.05],
            "dual": dual,
            "first": 0.1,
            "last": 0.0 if dual else 1.5,
            "weight": 0.3,
            "denoiser": {"architecture": architecture, "settings": denoiser},
        },
    )
    assert isinstance(network, UnrolledADMM)
    assert network.load_compatible_weights(tiny_network())
    levels = (0.0, 12.0) if task == "deblur" else (2.0, 4.0)
    return LoadedModel(bare_card(f"{task}-tiny", task, 1, levels), network.eval().requires_grad_(False), Path("tiny"))


def observed(contrast: float = 0.2) -> np.ndarray:
    rows, cols = np.meshgrid(np.arange(30), np.arange(34), indexing="ij")
    return (0.5 + contrast * np.sin(rows / 3) * np.cos(cols / 4)).astype(np.float32)


@pytest.mark.parametrize("dual", [True, False])
@pytest.mark.parametrize("contrast", [0.2, 0.6])  # The latter makes estimates that leave [0, 1].
def test_a_trained_model_gives_what_its_network_does(dual: bool, contrast: float) -> None:
    trained, blurred = model("deblur", dual=dual), observed(contrast)
    y = torch.from_numpy(blurred)[None, None]
    level = torch.tensor([NOISE])
    expected = trained.network.reconstruct(Measurement(y, y, level, level, CircularBlur(KERNEL)), 2, 160)
    found, report = deblur_array(blurred, KERNEL, NOISE, trained, SETTINGS, Boundary.CIRCULAR)
    np.testing.assert_allclose(found, expected.clamp(0, 1)[0, 0].numpy(), atol=1e-5)
    assert report.tiles > 0


def test_the_level_of_enlarging_is_that_of_the_scale() -> None:
    trained = model("superres", dual=True)
    plan = superres_plan(trained, 3)
    schedule = trained.network.schedule(torch.tensor([bicubic_error(3)]))
    assert torch.equal(plan.schedule(0.0).rhos, schedule.rhos)
    assert superres_array(observed(), 3, 0.0, trained, SETTINGS, plan)[0].shape == (90, 102)
    assert (
        superres_plan(LoadedModel(bare_card("x", "denoise", 1, (0, 75)), tiny_network(), Path("x")), 2).iterations == 5
    )


def test_the_number_of_iterations_is_that_of_training() -> None:
    models = ModelSelection("deblur", model("deblur"))
    Deblur(KERNEL, None, models, SETTINGS, iterations=3)
    with pytest.raises(UsageError, match=r"deblur-tiny was trained for 3 iterations, not 8; name a denoiser"):
        Deblur(KERNEL, None, models, SETTINGS, iterations=8)


def test_an_enlarger_takes_one_step_and_tells_of_it() -> None:
    trained = LoadedModel(bare_card("enlarger", "superres", 1, (2.0, 4.0)), tiny_enlarger(1), Path("tiny"))
    with pytest.raises(UsageError, match=r"enlarger was trained for 1 iteration, not 2; name a denoiser"):
        superres_plan(trained, 2, iterations=2)
    seen = []
    plan = superres_plan(trained, 3, iterations=1)
    estimate, report = superres_array(
        observed(), 3, 0.0, trained, SETTINGS, plan, lambda x, change: seen.append((x, change))
    )
    assert estimate.shape == (90, 102)
    assert report.tiles == len(seen) == 1
    np.testing.assert_array_equal(seen[0][0][0, 0].numpy(), estimate)
    assert 0 < seen[0][1] < 1


def test_the_step_of_an_enlarger_on_a_black_picture_is_none() -> None:
    trained = LoadedModel(bare_card("enlarger", "superres", 1, (2.0, 4.0)), tiny_enlarger(1), Path("tiny"))
    changes: list[float] = []
    black = np.zeros((20, 24), np.float32)
    superres_array(
        black, 2, 0.0, trained, SETTINGS, superres_plan(trained, 2), lambda x, change: changes.append(change)
    )
    assert changes == [0]


def test_a_colour_enlarger_takes_grey_pictures() -> None:
    trained = LoadedModel(bare_card("enlarger", "superres", 3, (2.0, 4.0)), tiny_enlarger(3), Path("tiny"))
    seen: list[torch.Tensor] = []
    grey, _ = superres_array(
        observed(), 2, 0.0, trained, SETTINGS, superres_plan(trained, 2), lambda x, change: seen.append(x)
    )
    colour, _ = superres_array(np.stack([observed()] * 3, 2), 2, 0.0, trained, SETTINGS, superres_plan(trained, 2))
    assert grey.shape == (60, 68) == seen[0].shape[2:]
    np.testing.assert_allclose(grey, colour.mean(2), atol=1e-2)  # Each colour is clamped before, not the mean.
    np.testing.assert_array_equal(seen[0][0, 0].numpy(), grey)


def test_at_best_an_enlarger_looks_at_all_turns_of_a_picture() -> None:
    trained = LoadedModel(bare_card("enlarger", "superres", 1, (2.0, 4.0)), tiny_enlarger(1), Path("tiny"))
    image, plan = observed()[:, 2:], superres_plan(trained, 2)

    def estimates(quality: Quality) -> list[np.ndarray]:
        """Of the image, and of the image turned, turned back."""
        settings = RunSettings(quality, "cpu")
        of_image, of_turned = (superres_array(y, 2, 0.0, trained, settings, plan)[0] for y in (image, image.T[::-1]))
        return [part[20:-20, 20:-20] for part in (of_image, of_turned[::-1].T)]

    once, best = estimates(Quality.BALANCED), estimates(Quality.BEST)
    assert np.abs(once[0] - once[1]).max() > 1e-3
    np.testing.assert_allclose(best[0], best[1], atol=1e-4)


def test_one_repeated_step_stops_where_little_changes() -> None:
    trained = model("deblur", "jfb", dual=True)
    still = replace(trained, network=trained.network)
    still.network.log_rho.add_(20)  # The prior has all the weight, and x moves no more.
    changes = []
    deblur_array(
        observed(), KERNEL, NOISE, still, SETTINGS, Boundary.CIRCULAR, watch=lambda x, change: changes.append(change)
    )
    assert len(changes) <= 3
    assert superres_plan(still, 2).tolerance > 0


def test_noise_beyond_what_a_model_was_trained_for() -> None:
    assert greatest_noise(model("superres")) == pytest.approx(1 / 255)
    with pytest.raises(UsageError, match=r"from 0 to 12 .* or name a denoiser"):
        check_noise(13 / 255, ModelSelection("deblur", model("deblur")))


def test_models_of_another_task_are_refused() -> None:
    with pytest.raises(ModelMismatchError, match="deblur-tiny is a model to deblur, not to superres"):
        ModelSelection("superres", model("deblur"))
    with pytest.raises(ModelMismatchError, match="not to denoise"):
        ModelSelection("denoise", model("deblur"))
    with pytest.raises(ModelMismatchError, match="restores nothing else"):
        _ = model("deblur").patch_network


def test_memory_that_the_allocator_of_the_cpu_lacks() -> None:
    def prox(z: torch.Tensor, rho: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")

    trained = model("deblur")
    plan = plan_for(trained, DEBLUR_SPLITTING, None)
    with pytest.raises(MemoryExhaustedError, match="does not fit into memory"):
        solve(trained, prox, torch.zeros(1, 1, 20, 20), NOISE, plan, SETTINGS)
