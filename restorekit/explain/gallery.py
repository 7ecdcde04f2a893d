"""The pictures of a page: all are embedded in it, and the larger ones are files beside it."""

from __future__ import annotations

from restorekit.display.detail import Pixels8
from restorekit.display.page import image, png
from restorekit.image import Metadata, Picture


class Gallery:
    """Makes PNG files of pictures, and elements that show them; `files` are those to be kept, by name."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def keep(self, name: str, pixels: Pixels8, alpha: Pixels8 | None = None) -> bytes:
        """Make the picture the file `name`.png."""
        data = png(Picture(pixels, Metadata("png"), alpha))
        self.files[f"{name}.png"] = data
        return data

    def show(self, name: str, pixels: Pixels8, scale: float, alpha: Pixels8 | None = None) -> str:
        """Keep the picture, and show it `scale` times as large as its pixels."""
        data = self.keep(name, pixels, alpha)
        height, width = pixels.shape[:2]
        return image(data, name.replace("-", " "), round(scale * width), round(scale * height))

    def figure(self, name: str, pixels: Pixels8, caption: str, scale: float, alpha: Pixels8 | None = None) -> str:
        """`show` with a caption under it, which is HTML."""
        element = self.show(name, pixels, scale, alpha)
        return f"<figure>{element}<figcaption>{caption}</figcaption></figure>\n"
