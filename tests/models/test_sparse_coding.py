import math

import pytest
import torch

from restorekit.errors import WeightsError
from restorekit.models import build, settings_json
from restorekit.numerics.patches import grid_blocks
from restorekit.priors.group import GroupPrior
from tests.tiny import tiny_network


def average(network: torch.nn.Module, noisy: torch.Tensor, sigma: torch.Tensor, stride: int, tile: int) -> torch.Tensor:
    sums, covered = network(noisy, sigma, stride, tile)
    assert float(covered.min()) >= 1
    return sums / covered


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scales", [1, 3])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("height", "width"), [(5, 5), (5, 33), (23, 38), (41, 27)])
def test_tiled_and_whole_agree(channels: int, scales: int, stride: int, height: int, width: int) -> None:
    torch.manual_seed(0)
    network = tiny_network(channels, scales)
    noisy = torch.rand(2, channels, height, width)
    sigma = torch.tensor([0.05, 0.2])
    whole = average(network, noisy, sigma, stride, 1000)
    for tile in (5, 6, 11, 16, 29):
        assert torch.allclose(average(network, noisy, sigma, stride, tile), whole, atol=1e-5)


def test_a_batch_is_its_images_one_by_one() -> None:
    torch.manual_seed(0)
    network = tiny_network()
    noisy, sigma = torch.rand(3, 1, 24, 31), torch.tensor([0.02, 0.1, 0.25])
    together = average(network, noisy, sigma, 1, 16)
    for index in range(3):
        alone = average(network, noisy[index : index + 1], sigma[index : index + 1], 1, 16)
        assert torch.allclose(together[index], alone[0], atol=1e-5)


def test_whole_crops_report_what_they_leave_uncovered() -> None:
    sums, covered = tiny_network()(torch.rand(1, 1, 23, 24), torch.tensor([0.1]), stride=3)
    assert float(covered[:23, :23].min()) >= 1
    assert float(covered[:, 23:].max()) == 0
    assert float(sums[..., 23:].abs().max()) == 0


def test_a_constant_image_passes_unchanged() -> None:
    image = torch.full((1, 1, 30, 30), 0.4)
    assert torch.allclose(average(tiny_network(), image, torch.tensor([0.1]), 1, 64), image, atol=1e-6)


def test_means_from_the_coarser_scale_carry_less_noise() -> None:
    torch.manual_seed(0)
    noisy = 0.5 + 0.2 * torch.randn(1, 1, 96, 96)
    errors = []
    for scales in (1, 3):
        network = tiny_network(scales=scales)
        network.synthesis.zero_()  # Nothing but the means is left of the estimate.
        error = average(network, noisy, torch.tensor([0.2]), 1, 200) - 0.5
        errors.append(float(error.square().mean().sqrt()))
    assert errors[1] < 0.7 * errors[0]


def test_the_initial_dictionary_has_spectral_norm_one() -> None:
    network = tiny_network()
    assert math.isclose(float(torch.linalg.matrix_norm(network.dictionary, 2)), 1, rel_tol=1e-5)
    assert torch.equal(network.analysis, network.dictionary.T)
    assert torch.equal(network.synthesis, network.dictionary)


def test_a_network_is_rebuilt_from_its_settings() -> None:
    network = tiny_network(3)
    architecture, settings = settings_json(network)
    again = build(architecture, settings)
    assert again.settings == network.settings
    assert set(again.state_dict()) == set(network.state_dict())


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("atoms", 0, "atoms"),
        ("steps", "many", "steps"),
        ("knots", [], "knots"),
        ("knots", [0.3, 0.1], "increase"),
        ("colour", 1, "colour"),
    ],
)
def test_settings_that_describe_no_network_are_refused(key: str, value: object, message: str) -> None:
    _, settings = settings_json(tiny_network())
    with pytest.raises(WeightsError, match=message):
        build("sparse-coding", {**settings, key: value})


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(WeightsError, match="sparse-coding"):
        build("transformer", {})


@pytest.mark.parametrize("prior", ["group", "centralised"])
@pytest.mark.parametrize("channels", [1, 3])
def test_training_and_restoring_run_the_same_algorithm(prior: str, channels: int) -> None:
    torch.manual_seed(0)
    network = tiny_network(channels, prior=prior, steps=5)
    for name, number in network.named_parameters():
        number.add_(0.1 * torch.rand(number.shape) * (number.abs() + 0.1 * (name.endswith("feedback"))))
    noisy, sigma = torch.rand(2, channels, 29, 33), torch.tensor([0.05, 0.2])
    with torch.enable_grad():
        trained, covered = network(noisy, sigma, 2)
    restored, again = network(noisy, sigma, 2)
    assert torch.equal(covered, again)
    assert torch.allclose(trained, restored, atol=1e-4)


def test_group_coding_without_shares_and_feedback_is_sparse_coding() -> None:
    torch.manual_seed(0)
    plain, group = tiny_network(), tiny_network(prior="group")
    assert group.load_compatible_weights(plain)
    assert isinstance(group.nonlocal_prior, GroupPrior)
    group.nonlocal_prior.share.zero_()
    group.nonlocal_prior.pull.zero_()
    noisy, sigma = torch.rand(1, 1, 30, 26), torch.tensor([0.1])
    assert torch.allclose(average(group, noisy, sigma, 1, 100), average(plain, noisy, sigma, 1, 100), atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("height", "width"), [(5, 5), (5, 40), (6, 7), (24, 31)])
def test_every_pixel_of_any_image_is_covered(stride: int, height: int, width: int) -> None:
    torch.manual_seed(0)
    network = tiny_network(prior="group")
    estimate = average(network, torch.rand(2, 1, height, width), torch.tensor([0.1, 0.2]), stride, 16)
    assert estimate.shape == (2, 1, height, width)
    assert bool(estimate.isfinite().all())


@pytest.mark.slow
def test_borders_of_tiles_do_not_show() -> None:
    """Beside the borders of tiles the difference to the whole image is at most twice that elsewhere."""
    torch.manual_seed(0)
    network = tiny_network(prior="group", steps=6)
    rows, cols = torch.meshgrid(torch.arange(200), torch.arange(200), indexing="ij")
    clean = 0.5 + 0.2 * (rows / 7).sin() * (cols / 5).cos() + 0.1 * ((rows + cols) / 23).sin()
    noisy = (clean + 0.1 * torch.randn(200, 200))[None, None]
    sigma, tile = torch.tensor([0.1]), 64
    difference = (average(network, noisy, sigma, 2, tile) - average(network, noisy, sigma, 2, 1000)).abs()[0, 0]
    starts = [block.top for block in grid_blocks(201, 201, 5, 2, tile) if block.left == 0][1:]
    beside = torch.zeros(200, 200, dtype=torch.bool)
    for start in starts:
        beside[start : start + 5] = beside[:, start : start + 5] = True
    assert float(difference.max()) > 0
    assert float(difference[beside].mean()) <= 2 * float(difference[~beside].mean())


@pytest.mark.parametrize("prior", ["sparse", "group"])
def test_interpolated_values_count_by_their_weight(prior: str) -> None:
    torch.manual_seed(0)
    network = tiny_network(3, scales=1, prior=prior, masked=True)
    network.interpolated_weight.zero_()
    mask = (torch.rand(1, 3, 24, 24) > 0.5).float()
    observed = torch.rand(1, 3, 24, 24)
    sigma = torch.tensor([0.1])
    sums, _ = network(observed, sigma, 1, 100, mask)
    everything, _ = network(observed, sigma, 1, 100, torch.ones_like(mask))
    plain, _ = network(observed, sigma, 1, 100)
    assert torch.allclose(everything, plain, atol=1e-4)
    assert not torch.allclose(sums, plain, atol=1e-2)


def test_a_warm_start_interpolates_between_knots() -> None:
    source, other = tiny_network(), tiny_network()
    source.prior.theta.copy_(torch.rand(source.prior.theta.shape))
    other = build(
        "sparse-coding",
        {**settings_json(other)[1], "knots": [0.06, 0.2], "prior": "group", "refresh": [1], "neighbours": 4},
    )
    assert other.load_compatible_weights(source)
    with torch.no_grad():
        for value in (0.06, 0.2):
            sigma = torch.tensor([value])
            assert torch.allclose(other.prior(sigma), source.prior(sigma), atol=1e-6)
    assert not tiny_network(patch_size=6).load_compatible_weights(source)
