from pathlib import Path

import numpy as np
import pytest
from skimage import data

from restorekit.image import Metadata, Picture, write_picture


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, Picture(pixels, Metadata("png")), overwrite=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two grey and one colour image, one of them in a folder of its own."""
    root = tmp_path / "pictures"
    save(root / "b.png", data.camera()[100:164, 200:280])
    save(root / "a.png", data.coins()[50:100, 50:110])
    save(root / "sub" / "c <&>.png", data.astronaut()[80:130, 190:250])
    return root
