"""Restoring one picture and explaining how."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from restorekit.explain.folder import write_folder
from restorekit.explain.page import PAGE, render_explanation
from restorekit.explain.subject import make_subject
from restorekit.image import Picture, show_path
from restorekit.restore.batch import Restored
from restorekit.restore.case import Examinable


@dataclass(frozen=True)
class Explained:
    """An operation for `run_batch` on one picture, which leaves a page on how another one went in a folder.

    name: the picture's, for people. folder: new, empty, or to be written over where `overwrite` is true. at: the pixel
    to look at, x and y, or None for the most detailed place. reference: the clean picture, where there is one.
    """

    operation: Examinable
    name: str
    folder: Path
    overwrite: bool
    at: tuple[int, int] | None = None
    reference: Picture | None = None

    def __call__(self, picture: Picture) -> Restored:
        """The picture restored; the folder is written once that has succeeded.

        Raises:
            UsageError: see `make_subject`. OutputError: see `write_folder`.
        """
        restored, case = self.operation.examined(picture)
        clean = None if self.reference is None else case.truth_of(self.reference)
        subject = make_subject(self.name, case, restored.parameters, clean, self.at)
        write_folder(self.folder, render_explanation(subject), overwrite=self.overwrite)
        return replace(restored, notes=(*restored.notes, f"explained in {show_path(self.folder / PAGE)}"))
