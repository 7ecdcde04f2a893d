"""A page of HTML, taken apart."""

from html.parser import HTMLParser

VOID = {"meta", "img", "input", "link", "br"}


class Page(HTMLParser):
    """Checks that tags are closed in order, and keeps the attributes of each. `text` is what a reader sees."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data

    def all(self, tag):
        """The attributes of each element with this tag."""
        return [attributes for name, attributes in self.tags if name == tag]


def check_self_contained(source: str) -> Page:
    """Check that a page is well formed and asks for nothing from outside; return it."""
    page = Page(source)
    assert source.startswith("<!DOCTYPE html>")
    assert not page.all("script")
    assert not page.all("link")
    assert {image["src"][:22] for image in page.all("img")} <= {"data:image/png;base64,"}
    style = source.partition("<style>")[2].partition("</style>")[0]
    assert not any(word in style for word in ("url(", "@import", "http:", "https:"))
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    identifiers = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    assert {label["for"] for label in page.all("label")} <= set(identifiers)
    return page
