"""The socket that the daemon listens at, by `daemon.listen`."""

import socket

from biostudio_doctor import endpoints
from biostudio_doctor.errors import ConfigError


def listening(listen: str, backlog: int = 1) -> socket.socket:
    """A socket that listens there.

    Raises:
        ConfigError: if that is not possible.
    """
    place = endpoints.parse(listen)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            place.host, place.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            sock.listen(backlog)
        except OSError:
            sock.close()
            raise
    except OSError as error:
        raise ConfigError("daemon.listen", listen, error.strerror or str(error)) from None
    return sock
