"""Pictures in files: read and written without loss of depth, alpha, orientation or metadata."""

from restorekit.image.codecs import encode_picture, recompress
from restorekit.image.files import check_output, decodes, read_picture, show_path, write_file, write_picture
from restorekit.image.formats import check_encodable, file_format_of, output_suffix_for, supported_suffixes
from restorekit.image.picture import Camera, JpegCoding, Metadata, Picture, turn, turn_back, turn_upright
from restorekit.image.tiff import raw_suffixes

__all__ = [
    "Camera", "JpegCoding", "Metadata", "Picture", "check_encodable", "check_output", "decodes", "encode_picture",
    "file_format_of", "output_suffix_for", "raw_suffixes", "read_picture", "recompress", "show_path",
    "supported_suffixes", "turn", "turn_back", "turn_upright", "write_file", "write_picture",
]  # fmt: skip
