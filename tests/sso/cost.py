"""What reading bytes costs, measured in a process of its own."""

import subprocess
import sys

_PROGRAM = """
import resource, sys, time
import joserfc.jwk, defusedxml.ElementTree, cryptography.x509
{load}
data = sys.stdin.buffer.read()
try:
    work(b"{{}}")
except Exception:
    pass
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.process_time()
try:
    work(data)
except Exception as error:
    assert type(error).__name__ in ("SamlError", "ValueError"), repr(error)[:300]
print(time.process_time() - started,
      (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def cost(load: str, data: bytes) -> tuple[float, float]:
    """Seconds of computing and MiB more than before, of `work`, which `load` imports."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(load=load)],
        input=data,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    seconds, mebibytes = done.stdout.split()
    return float(seconds), float(mebibytes)
