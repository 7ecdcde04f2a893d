import torch

from restorekit.numerics.finite_differences import (
    finite_differences,
    finite_differences_adjoint,
    finite_differences_spectra,
)

AROUND = ((0, 1), (1, -1), (1, 0), (1, 1))


def test_differences_their_adjoint_and_their_spectrum_agree() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 2, 6, 5, generator=generator, dtype=torch.float64)
    v = torch.randn(len(AROUND), 2, 2, 6, 5, generator=generator, dtype=torch.float64)
    assert torch.allclose((finite_differences(x, AROUND) * v).sum(), (x * finite_differences_adjoint(v, AROUND)).sum())
    for direction, spectrum in enumerate(finite_differences_spectra(x, AROUND)):
        alone = torch.zeros_like(v)
        alone[direction] = finite_differences(x, AROUND)[direction]
        assert torch.allclose(
            torch.fft.fft2(finite_differences_adjoint(alone, AROUND)), spectrum * torch.fft.fft2(x), atol=1e-10
        )
