"""How a sparse-coding network came to its result: its steps, its atoms, and where it is sure."""

from restorekit.explain.atoms import draw_dictionary
from restorekit.explain.folder import check_apart, check_folder
from restorekit.explain.network import dictionary_of
from restorekit.explain.operation import Explained

__all__ = ["Explained", "check_apart", "check_folder", "dictionary_of", "draw_dictionary"]
