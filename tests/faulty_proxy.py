"""A TCP proxy between a client and a server that goes wrong on demand: the tests' tool for faults."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset at once
SECONDS = 60


class FaultyProxy:
    """Passes bytes between its own address, `url`, and the server at `target`, until it is told otherwise.

    A fault holds for all connections until `heal()`. `on(words, fault)` has the fault begin when a client
    first sends these words, before or after the server gets them; `struck` is set at that moment.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        assert parts.hostname is not None and parts.port is not None
        self.target = (parts.hostname, parts.port)
        self.struck = threading.Event()
        self.connections = 0  # that clients have opened so far
        self._flowing = threading.Event()
        self._lock = threading.RLock()
        self._open: set[socket.socket] = set()
        self._raw: bytes | None = None
        self._budget: int | None = None
        self._trigger: tuple[tuple[bytes, ...], Callable[[], None], bool, bool] | None = None
        self._listener: socket.socket | None = None
        self._port = 0
        self.heal()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def heal(self) -> None:
        """Pass everything again, on connections still open too."""
        with self._lock:
            self._raw = self._budget = self._trigger = None
            self.struck.clear()
            self._flowing.set()
            if self._listener is None:
                self._listener = socket.create_server(("127.0.0.1", self._port))
                self._port = self._listener.getsockname()[1]
                threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def freeze(self) -> None:
        """Accept connections and keep the open ones, but let no byte through."""
        self._flowing.clear()

    def cut(self) -> None:
        """Break the open connections; new ones pass."""
        with self._lock:
            broken, self._open = self._open, set()
        for end in broken:
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def cut_after(self, count: int) -> None:
        """Break all connections once the server's answers add up to `count` bytes, counted from now."""
        self._budget = count

    def refuse(self) -> None:
        """Break the open connections and refuse new ones, as where nothing listens."""
        with self._lock:
            listener, self._listener = self._listener, None
            if listener is not None:
                with contextlib.suppress(OSError):
                    listener.shutdown(socket.SHUT_RDWR)
                listener.close()
            self.cut()

    def answer(self, raw: bytes) -> None:
        """Break the open connections and answer each new one with these bytes, whatever it asks."""
        self._raw = raw
        self.cut()

    def on(
        self,
        words: bytes | Sequence[bytes],
        fault: Callable[[], None],
        *,
        forward: bool = True,
        frozen: bool = False,
    ) -> None:
        """Begin a fault when a client first sends `words`, or one of them; with `forward` they go on before.

        No byte passes until the fault has begun, and none after it if it leaves all `frozen`.
        """
        self.struck.clear()
        either = (words,) if isinstance(words, bytes) else tuple(words)
        self._trigger = (either, fault, forward, frozen or fault == self.freeze)

    def close(self) -> None:
        self.refuse()
        self._flowing.set()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            self._open.add(client)
        self._flowing.wait()
        raw = self._raw
        if raw is not None:
            with contextlib.suppress(OSError), client:
                client.recv(1 << 16)
                client.sendall(raw)
                client.shutdown(socket.SHUT_WR)
                client.settimeout(SECONDS)
                while client.recv(1 << 16):
                    pass
            return
        try:
            server = socket.create_connection(self.target, SECONDS)
            for end in (client, server):
                end.settimeout(None)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            client.close()
            return
        with self._lock:
            self._open.add(server)
        threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()
        self._pump(client, server, True)

    def _pump(self, source: socket.socket, sink: socket.socket, from_client: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self._flowing.wait()
                if from_client:
                    self._forward_request(data, sink)
                elif self._budget is not None and len(data) > self._budget:
                    sink.sendall(data[: self._budget])
                    self._budget = 0
                    self.struck.set()
                    self.cut()
                else:
                    if self._budget is not None:
                        self._budget -= len(data)
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
            if not from_client:
                source.close()
                sink.shutdown(socket.SHUT_RDWR)

    def _forward_request(self, data: bytes, sink: socket.socket) -> None:
        with self._lock:
            trigger = self._trigger
            if trigger is not None and any(words in data for words in trigger[0]):
                self._trigger = None
            else:
                trigger = None
        if trigger is None:
            sink.sendall(data)
            return
        _, fault, forward, frozen = trigger
        self._flowing.clear()  # No answer gets through before the fault.
        if forward:
            sink.sendall(data)
        fault()
        self.struck.set()
        if not frozen:
            self._flowing.set()
        self._flowing.wait()
        if not forward:
            sink.sendall(data)


@contextmanager
def faulty_proxy(target: str) -> Iterator[FaultyProxy]:
    """A proxy in front of `target` for the time of the block."""
    proxy = FaultyProxy(target)
    try:
        yield proxy
    finally:
        proxy.close()


def http_answer(status: str, body: str, content_type: str = "text/html") -> bytes:
    """The bytes of a whole HTTP answer."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body.encode())}\r\n"
    return f"{head}Connection: close\r\n\r\n{body}".encode()
