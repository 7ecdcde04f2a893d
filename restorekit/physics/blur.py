"""Blur: kernels, [kh, kw] of odd sides, centred and summing to one; convolution with them, and decimation after it."""

import math

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad
from typing_extensions import override

from restorekit.errors import UsageError
from restorekit.physics.base import Physics

_CUT = 3
_SAMPLES_PER_PIXEL = 16
SCALES = (2, 3, 4)
_BICUBIC_ERRORS = {2: 11.4 / 255, 3: 18.3 / 255, 4: 20.9 / 255}
"""Root mean square, measured on every fourth of 380 photographs for training, their middle 240x240 pixels."""


def normalise_kernel(kernel: Tensor) -> Tensor:
    """Return k / sum k, as float64. Raises UsageError unless k is [kh, kw] of odd sides, finite, with a sum above 0."""
    if kernel.ndim != 2 or kernel.numel() == 0:
        raise UsageError(f"a kernel is an array of two dimensions, not of shape {list(kernel.shape)}")
    height, width = kernel.shape
    if height % 2 == 0 or width % 2 == 0:
        remedy = "make both sides odd with a row or column of zeros"
        raise UsageError(f"a kernel of {width}x{height} pixels has no centre; {remedy}")
    kernel = kernel.to(torch.float64)
    if not bool(kernel.isfinite().all()):
        raise UsageError("a kernel with NaN or infinite values")
    total = float(kernel.sum())
    if total <= 1e-6 * float(kernel.abs().sum()):
        raise UsageError(f"a kernel that sums to {total:.3g} lets no light through; its sum must be above 0")
    return kernel / total


def gaussian_kernel(sigma: float) -> Tensor:
    """Return exp(-(r^2 + c^2) / (2 sigma^2)), cut at 3 sigma: [2 n + 1, 2 n + 1] with n = ceil(3 sigma).

    Raises UsageError unless sigma, in pixels, is above 0.
    """
    _check_extent(sigma, "a Gaussian's standard deviation")
    offsets = torch.arange(-math.ceil(_CUT * sigma), math.ceil(_CUT * sigma) + 1, dtype=torch.float64)
    line = torch.exp(-(offsets**2) / (2 * sigma**2))
    return normalise_kernel(torch.outer(line, line))


def motion_kernel(length: float, angle: float) -> Tensor:
    """Return a straight line through the centre, `length` pixels long, `angle` degrees anticlockwise of horizontal.

    Raises UsageError unless the length is above 0 and the angle finite.
    """
    _check_extent(length, "the length of a motion")
    if not math.isfinite(angle):
        raise UsageError(f"the angle of a motion is a number of degrees, not {angle:g}")
    count = math.ceil(_SAMPLES_PER_PIXEL * length)
    along = ((torch.arange(count, dtype=torch.float64) + 0.5) / count - 0.5) * length
    return path_kernel(-math.sin(math.radians(angle)) * along, math.cos(math.radians(angle)) * along)


def path_kernel(rows: Tensor, cols: Tensor) -> Tensor:
    """Return the blur of a motion through points (rows, cols), [n] each, in pixels from the centre.

    The light of a point is shared linearly among the four pixels around it.
    """
    radius = math.ceil(max(float(rows.abs().max()), float(cols.abs().max())))
    pixels = torch.arange(-radius, radius + 1, dtype=torch.float64)
    weights = [(1 - (pixels[:, None] - positions).abs()).clamp_min(0) for positions in (rows, cols)]
    return normalise_kernel(weights[0] @ weights[1].T)


def _check_extent(value: float, name: str) -> None:
    if not (math.isfinite(value) and 0 < value <= 1000):
        raise UsageError(f"{name} is a number of pixels above 0, up to 1000, not {value:g}")


class CircularBlur(Physics):
    """y = k * x, y[i] = sum_j k[c + j] x[i - j] with c the centre of k, in periodic images of any size.

    Each channel is convolved with the kernel k, [kh, kw], which wraps around where it is larger than the image; with
    K = F k, A is F^H K F. Raises UsageError for an even side.
    """

    def __init__(self, kernel: Tensor) -> None:
        if kernel.ndim != 2 or not all(side % 2 for side in kernel.shape):
            raise UsageError(f"a kernel has a height and a width that are odd, not {list(kernel.shape)}")
        self._kernel = kernel.to(torch.float64)

    @override
    def A(self, x: Tensor) -> Tensor:
        return image_of(self._transfer(x) * spectrum_of(x), x)

    @override
    def A_adjoint(self, y: Tensor) -> Tensor:
        return image_of(self._transfer(y).conj() * spectrum_of(y), y)

    @override
    def prox_l2(self, z: Tensor, y: Tensor, gamma: float | Tensor) -> Tensor:
        transfer = self._transfer(z)
        spectrum = transfer.conj() * spectrum_of(y) + gamma * spectrum_of(z)
        return image_of(spectrum / (transfer.abs() ** 2 + gamma), z)

    def _transfer(self, image: Tensor) -> Tensor:
        """Return K, with the centre of k at the first pixel, [H, W // 2 + 1]."""
        rows, cols = (side // 2 for side in self._kernel.shape)
        return transfer_function(self._kernel, (-rows, -cols), image)


class CroppedBlur(CircularBlur):
    """y = C (k * x), C the first h rows and w columns: nothing was observed beyond the edges of an image.

    size: H and W of x, larger than y by as much as the kernel sees beyond its edges, or more. observed: h and w.
    refills: how often `prox_l2` fills in the part that was not observed.
    """

    def __init__(self, kernel: Tensor, size: tuple[int, int], observed: tuple[int, int], refills: int) -> None:
        super().__init__(kernel)
        self._size, self._observed, self._refills = size, observed, refills

    @override
    def A(self, x: Tensor) -> Tensor:
        rows, cols = self._observed
        return super().A(x)[..., :rows, :cols]

    @override
    def A_adjoint(self, y: Tensor) -> Tensor:
        (height, width), (rows, cols) = self._size, self._observed
        return super().A_adjoint(pad(y, (0, width - cols, 0, height - rows)))

    @override
    def prox_l2(self, z: Tensor, y: Tensor, gamma: float | Tensor) -> Tensor:
        """Repeat the circular prox from x = z, with y continued by the blur of the current estimate.

        x = F^H ((conj(K) F filled + gamma F z) / (|K|^2 + gamma)),  filled = C^T y + (1 - C^T C) k * x. There is no
        closed form, but each of these is a step of majorisation-minimisation, and they converge to the minimum.
        """
        transfer, (rows, cols) = self._transfer(z), self._observed
        system = transfer.abs() ** 2 + gamma
        pull, spectrum = transfer.conj() / system, spectrum_of(z)
        anchor = gamma / system * spectrum
        for _ in range(self._refills):
            filled = image_of(transfer * spectrum, z)
            filled[..., :rows, :cols] = y
            spectrum = torch.addcmul(anchor, pull, spectrum_of(filled))
        return image_of(spectrum, z)


def transfer_function(taps: Tensor, origin: tuple[int, int], image: Tensor) -> Tensor:
    """Return the Fourier transform of the filter with taps[r, c] at the offset origin + (r, c), [H, W // 2 + 1].

    It has the image's size, precision and device. Taps beyond the size wrap around and add up.
    """
    height, width = image.shape[-2:]
    rows = (torch.arange(taps.shape[0]) + origin[0]) % height
    cols = (torch.arange(taps.shape[1]) + origin[1]) % width
    filled = torch.zeros(height, width, dtype=taps.dtype)
    filled.index_put_((rows[:, None], cols[None, :]), taps, accumulate=True)
    return spectrum_of(filled.to(image))


def spectrum_of(image: Tensor) -> Tensor:
    """Return F x of real images: [..., H, W] -> complex [..., H, W // 2 + 1]."""
    spectrum: Tensor = torch.fft.rfft2(image)
    return spectrum


def image_of(spectrum: Tensor, like: Tensor) -> Tensor:
    """Invert `spectrum_of`, for images of the height and width of `like`."""
    image: Tensor = torch.fft.irfft2(spectrum, like.shape[-2:])
    return image


def extend_periodic(images: Tensor, margin: int) -> Tensor:
    """Extend images [B, C, H, W] at the bottom and right so that they can be repeated without a seam.

    `margin` rows and columns are added, and a few more that make the sides fast to transform. They fade from the mirror
    image of one edge to that of the opposite one: of m rows, row H + t is (1 - w) x[H - 1 - t] + w x[m - 1 - t],
    w = (t + 1/2) / m.
    """
    return _extend(_extend(images, margin).mT, margin).mT.contiguous()


def _extend(images: Tensor, margin: int) -> Tensor:
    height = images.shape[-2]
    added = fast_size(height + margin) - height
    steps = torch.arange(added, device=images.device)
    weights = ((steps + 0.5) / added).to(images.dtype)[:, None]
    # Positions of a line mirrored with its ends repeated, 1 0 0 1 2 .. .
    positions = torch.stack((height + steps, steps - added)) % (2 * height)
    below, above = (images[..., rows, :] for rows in torch.minimum(positions, 2 * height - 1 - positions))
    return torch.cat((images, torch.lerp(below, above, weights)), -2)


def fast_size(least: int) -> int:
    """Return the first number from `least` on that has no prime factor above 5: quick to transform."""
    from scipy.fft import next_fast_len

    return int(next_fast_len(least, real=True))


class BlurDecimation(Physics):
    """y[i] = sum_j taps[j] x[s i + origin + j] in periodic images whose sides are multiples of s.

    In Fourier space A = S F^H K F, S the choice of every s-th row and column; y is [B, C, H / s, W / s].
    taps: the filter that averages the pixels that one pixel of y sees, [kh, kw]. origin: where its first tap lies, rows
    and columns from the pixel s i on. scale: s, 1 or more.
    """

    def __init__(self, taps: Tensor, origin: tuple[int, int], scale: int) -> None:
        self._taps, self._origin, self.scale = taps.to(torch.float64), origin, scale

    @override
    def A(self, x: Tensor) -> Tensor:
        if any(side % self.scale for side in x.shape[-2:]):
            raise UsageError(f"an image of {list(x.shape[-2:])} cannot be decimated by {self.scale}")
        return image_of(self._transfer(x) * spectrum_of(x), x)[..., :: self.scale, :: self.scale]

    @override
    def A_adjoint(self, y: Tensor) -> Tensor:
        scale = self.scale
        spread = y.new_zeros(*y.shape[:-2], y.shape[-2] * scale, y.shape[-1] * scale)
        spread[..., ::scale, ::scale] = y
        return image_of(self._transfer(spread).conj() * spectrum_of(spread), spread)

    @override
    def prox_l2(self, z: Tensor, y: Tensor, gamma: float | Tensor) -> Tensor:
        """Return z + A^T (A A^T + gamma)^-1 (y - A z); A A^T is a circular convolution of the size of y.

        N. Zhao et al., Fast Single Image Super-Resolution Using a New Analytical Solution for l2-l2 Problems, IEEE
        TIP 2016, theorem 1, rearranged so that nothing is divided by gamma: exact in float32 where gamma is small.
        """
        impulse = torch.zeros_like(y[:1, :1])
        impulse[..., 0, 0] = 1
        # The mean of |K|^2 over the s^2 frequencies that S makes alike; symmetric, so that it is real.
        power = spectrum_of(self.A(self.A_adjoint(impulse))).real
        return z + self.A_adjoint(image_of(spectrum_of(y - self.A(z)) / (power + gamma), y))

    def _transfer(self, image: Tensor) -> Tensor:
        """Return K of the correlation with the taps, [H, W // 2 + 1]."""
        return transfer_function(self._taps, self._origin, image).conj()


def bicubic_decimation(scale: int) -> BlurDecimation:
    """Return the operator of torch's interpolate(mode="bicubic", align_corners=False, antialias=False) by 1 / scale.

    Pixel i of y lies at s i + (s - 1) / 2 of x. At scale 3 that is a pixel, so y merely picks it; at 2 and 4 it lies
    half-way between two, and the cubic kernel of a = -0.75 weighs the four nearest. Away from the edges A is torch's
    operator. At them torch repeats the last pixel, and this model wraps around: at scale 2 in the first and the last
    row and column (one tap of four), at 3 and 4 nowhere. Both x and y extended by their mirror image satisfy it.

    It and `bicubic_error` raise UsageError for another scale than 2, 3 or 4.
    """
    _check_scale(scale)
    if scale % 2:
        return BlurDecimation(torch.ones(1, 1), (scale // 2, scale // 2), scale)
    weights = torch.tensor([-3, 19, 19, -3], dtype=torch.float64) / 32
    first = scale // 2 - 2
    return BlurDecimation(torch.outer(weights, weights), (first, first), scale)


def bicubic_error(scale: int) -> float:
    """Return the RMS error of bicubic interpolation on photographs, in [0, 1]: the conditioning of super-resolution."""
    _check_scale(scale)
    return _BICUBIC_ERRORS[scale]


def _check_scale(scale: int) -> None:
    if scale not in SCALES:
        raise UsageError(f"scale {scale}: use one of {', '.join(map(str, SCALES))}")


def enlarge_bicubic(images: Tensor, scale: int) -> Tensor:
    """Interpolate with a = -0.75: [B, C, h, w] -> [B, C, scale h, scale w], which may leave [0, 1]."""
    return interpolate(images, scale_factor=scale, mode="bicubic", align_corners=False)


def shrink_bicubic(images: Tensor, scale: int) -> Tensor:
    """Interpolate with a = -0.75, without antialiasing: [B, C, H, W] -> [B, C, H // scale, W // scale].

    Rows and columns at the bottom and right beyond multiples of the scale are left out.
    """
    height, width = (side - side % scale for side in images.shape[-2:])
    size = (height // scale, width // scale)
    return interpolate(images[..., :height, :width], size=size, mode="bicubic", align_corners=False, antialias=False)
