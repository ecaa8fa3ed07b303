"""Made servers for the lab: BioStudio's own images cannot be had here.

    node_server.py '{"11123": {"/status": [200, "{...}"]}, "1883": null, "5432": "S"}' SECONDS

An object answers HTTP by path ("*" is any other path; none is 404), with a clock that is SECONDS
ahead; text is said to whoever has said something; null takes connections and says nothing. It
listens on all addresses of both families.
"""

import asyncio
import json
import sys
import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

AHEAD = float(sys.argv[2])


async def serve(port: int, answer: Any) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if isinstance(answer, dict):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_http(answer, head.split()[1].decode()))
            elif answer is None:
                await reader.read()
            else:
                await reader.read(4096)
                writer.write(answer.encode())
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    await asyncio.start_server(handle, ["0.0.0.0", "::"], port)


def _http(answers: dict[str, Any], path: str) -> bytes:
    status, body = answers.get(path) or answers.get("*") or (404, "")
    return (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Length: {len(body)}\r\n"
        f"Date: {formatdate(time.time() + AHEAD, usegmt=True)}\r\nConnection: close\r\n\r\n{body}"
    ).encode()


async def main() -> None:
    for port, answer in json.loads(sys.argv[1]).items():
        await serve(int(port), answer)
    await asyncio.Event().wait()


asyncio.run(main())
