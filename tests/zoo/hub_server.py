"""A hub on loopback that serves files by the rules of the Hugging Face hub's `resolve` addresses, faults included."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "a" * 40


@dataclass
class Hub:
    """Repositories are {"org/name": {"file": bytes}}; `revisions` are names of the one commit there is."""

    repositories: dict[str, dict[str, bytes]]
    revisions: tuple[str, ...] = ("main", "v1", COMMIT)
    endpoint: str = ""
    requests: list[str] = field(default_factory=list)
    tampering: str = ""  # truncate, corrupt, portal, gated, broken

    @property
    def downloads(self) -> int:
        return sum(line.startswith("GET") and "/resolve/" in line for line in self.requests)


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, *, with_body: bool) -> None:
            hub.requests.append(f"{self.command} {self.path}")
            organisation, name, resolve, revision, file = (self.path.lstrip("/") + "/" * 4).split("/", 4)
            file = file.rstrip("/")
            files = hub.repositories.get(f"{organisation}/{name}")
            if resolve != "resolve":  # the client asks for other things too, and does without them
                self.reply(404, {}, b"", with_body)
            elif hub.tampering == "portal":
                self.reply(200, {"Content-Type": "text/html"}, b"<html>Log in to the network</html>", with_body)
            elif hub.tampering == "broken":
                self.reply(418, {}, b"", with_body)
            elif hub.tampering == "gated":
                self.reply(403, {"X-Error-Code": "GatedRepo"}, b"", with_body)
            elif files is None:
                self.reply(404, {"X-Error-Code": "RepoNotFound"}, b"", with_body)
            elif revision not in hub.revisions:
                self.reply(404, {"X-Error-Code": "RevisionNotFound"}, b"", with_body)
            elif file not in files:
                headers = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}
                self.reply(404, headers, b"", with_body)
            else:
                self.send(files[file], with_body)

        def send(self, data: bytes, with_body: bool) -> None:
            etag = f'"{hashlib.sha256(data).hexdigest()}"'
            headers = {"X-Repo-Commit": COMMIT, "X-Linked-Etag": etag, "X-Linked-Size": str(len(data)), "ETag": etag}
            if with_body and hub.tampering == "truncate":
                data = data[:-10]
            if with_body and hub.tampering == "corrupt":
                data = bytes([data[0] ^ 1]) + data[1:]
            start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
            self.reply(206 if start else 200, headers, data[start:], with_body)

        def reply(self, status: int, headers: dict[str, str], body: bytes, with_body: bool) -> None:
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
