"""Files of magnetic resonance imaging: raw data (k-space), sampling masks, and reconstructed slices."""

from restorekit.image.mri.masks import read_mask
from restorekit.image.mri.read import KSPACE_SUFFIXES, read_kspace
from restorekit.image.mri.slices import SLICES_SUFFIX, read_slices
from restorekit.image.mri.write import SCAN_SUFFIXES, check_slices, encode_scan, is_complete_scan, scan_format_of

__all__ = [
    "KSPACE_SUFFIXES",
    "SCAN_SUFFIXES",
    "SLICES_SUFFIX",
    "check_slices",
    "encode_scan",
    "is_complete_scan",
    "read_kspace",
    "read_mask",
    "read_slices",
    "scan_format_of",
]
