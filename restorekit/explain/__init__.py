"""How a sparse-coding network came to its result: its steps, its atoms, and where it is sure."""

from restorekit.explain.page import Explained, check_apart, check_folder, dictionary_of, draw_dictionary

__all__ = ["Explained", "check_apart", "check_folder", "dictionary_of", "draw_dictionary"]
