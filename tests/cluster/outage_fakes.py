"""An object store behind a way that can fail: a small HTTP proxy before a real S3 server."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ERRORS = {
    500: b"<Error><Code>InternalError</Code><Message>We have a problem.</Message></Error>",
    503: b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>",
    403: b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
}
RESET = 0
"""As `answer`: the connection is broken off."""


class Proxy:
    """Passes requests on, slowly or not at all.

    Attributes:
        answer: what failing requests get, an HTTP status or `RESET`.
        failing: how many of the next ones fail.
        from_path: part of a path; the first request that has it passes, and `after` it fail.
        delay_s: how long every request waits.
        failed: how many did.
    """

    def __init__(self, host: str, port: int) -> None:
        self.answer, self.failing, self.delay_s, self.failed = 500, 0, 0.0, 0
        self.from_path, self.after = "", 0
        self._lock, self._behind = threading.Lock(), (host, port)
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fails(self, path: str) -> bool:
        """Whether the request at hand fails."""
        time.sleep(self.delay_s)
        with self._lock:
            fails = self.failing > 0
            self.failing -= fails
            self.failed += fails
            if self.from_path and self.from_path in path:
                self.failing, self.from_path = self.after, ""
        return fails

    def passed_on(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, list, bytes]:
        behind = http.client.HTTPConnection(*self._behind, timeout=30)
        behind.request(handler.command, handler.path, body, dict(handler.headers))
        answer = behind.getresponse()
        return answer.status, answer.getheaders(), answer.read()


class _Handler(BaseHTTPRequestHandler):
    proxy: Proxy
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self.proxy.fails(self.path):
            status, headers, content = self.proxy.passed_on(self, body)
        elif self.proxy.answer == RESET:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        else:
            status, headers, content = self.proxy.answer, [], ERRORS[self.proxy.answer]
        self.send_response(status)
        skipped = ("transfer-encoding", "connection", "server", "date")
        for name, value in headers:
            if name.lower() not in (*skipped, "content-length"):
                self.send_header(name, value)
        length = dict(headers).get("Content-Length", len(content))  # that of HEAD has no content
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _answer

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # broken off
            super().handle()
