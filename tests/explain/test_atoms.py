import numpy as np
import torch

from restorekit.explain.page import as_patch, draw_dictionary, order_of_atoms, terms_of
from restorekit.explain.trace import weights_of
from tests.tiny import tiny_network


def test_a_patch_is_its_mean_and_the_sum_of_its_atoms(network, coding):
    order = order_of_atoms(network)
    patch = int(torch.count_nonzero(coding.codes, 1).argmax())
    terms = terms_of(coding, patch, order)
    total = float(coding.means[patch, 0]) + sum(term.contribution for term in terms)
    np.testing.assert_allclose(total, as_patch(coding.patches[patch], 5), atol=1e-5)
    amounts = [abs(term.amount) for term in terms]
    assert amounts == sorted(amounts, reverse=True)
    assert len(terms) == int(torch.count_nonzero(coding.codes[patch]))
    strongest = coding.atoms[order[terms[0].number]]
    assert np.isclose(amounts[0], abs(float(coding.codes[patch, order[terms[0].number]] * strongest.norm())))


def test_the_weights_of_a_patch_and_its_neighbours_sum_to_one(network, coding):
    weights = weights_of(coding, 3)
    patch, *neighbours = weights
    assert patch == 3
    assert len(neighbours) == (5 if network.settings.neighbours else 0)
    assert 3 not in neighbours
    assert np.isclose(sum(weights.values()), 1)
    _, *shares = weights.values()
    assert shares == sorted(shares, reverse=True)


def test_every_atom_is_drawn_from_coarse_to_fine():
    network = tiny_network()
    across = torch.arange(5.0)
    network.synthesis[:] = torch.cos(torch.linspace(0.2, 1, 16)[None] * torch.pi * across.repeat(5)[:, None])
    order = order_of_atoms(network)
    assert sorted(order) == list(range(16))
    rows = [np.mean(order[start : start + 4]) for start in range(0, 16, 4)]
    assert rows == sorted(rows)


def test_the_sheet_shows_both_dictionaries():
    network = tiny_network(3)
    sheet = draw_dictionary(network)
    times = 800 // (4 * 6)
    side = (4 * 6 + 1) * times
    assert sheet.shape == (side, 2 * side + 24, 3)
    first = sheet[times : 6 * times : times, times : 6 * times : times]
    atom = as_patch(network.dictionary[:, order_of_atoms(network)[0]], 5)
    np.testing.assert_allclose(first, 127.5 + 127.5 * atom / np.abs(atom).max(), atol=0.51)
