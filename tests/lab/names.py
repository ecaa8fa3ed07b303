"""A name server on the loopback interface that gives whatever answers a test wants."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import dns.message

DnsReply = Callable[[dns.message.Message], bytes | None]


def _bound() -> tuple[socket.socket, socket.socket]:
    """A UDP and a TCP socket of one number, which must be free for both."""
    while True:
        datagrams, listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        try:
            datagrams.bind(listener.getsockname())
        except OSError:
            datagrams.close()
            listener.close()
        else:
            return datagrams, listener


@contextmanager
def name_server(over_udp: DnsReply, over_tcp: DnsReply | None = None) -> Iterator[int]:
    """A name server on 127.0.0.1, UDP and TCP on one port; a reply of None is silence."""
    datagrams, listener = _bound()
    port = listener.getsockname()[1]
    with datagrams, listener:
        listener.listen()

        def serve_udp() -> None:
            with suppress(OSError):
                while True:
                    data, client = datagrams.recvfrom(65535)
                    if not data:
                        return
                    reply = over_udp(dns.message.from_wire(data))
                    if reply is not None:
                        datagrams.sendto(reply, client)

        def serve_tcp() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        data = connection.recv(65535)
                        reply = (over_tcp or over_udp)(dns.message.from_wire(data[2:]))
                        if reply is not None:
                            connection.sendall(len(reply).to_bytes(2, "big") + reply)

        threads = [threading.Thread(target=run, daemon=True) for run in (serve_udp, serve_tcp)]
        for thread in threads:
            thread.start()
        try:
            yield port
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
                waker.sendto(b"", ("127.0.0.1", port))
            for thread in threads:  # a port is free only when nobody waits on its socket any more
                thread.join(5)
