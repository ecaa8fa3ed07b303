"""The way out of this host."""

import os
from collections.abc import Iterator
from typing import Any

from biostudio_doctor.collector import Collector, Item, Say


class EgressCollector(Collector):
    """The way out: every place that names a proxy, and for whom it counts.

    From this environment, /etc/environment, files of shells, package managers, conda, pip, curl and
    the docker command, daemon.json and the units of systemd of dockerd and containerd. The traces
    of each request, with the time of each step, are in report.json (`egress.hosts`).

    Leaves out: users and passwords of proxies, which are stripped where they are read; all other
    contents of these files.
    """

    id = "egress"

    def items(self) -> Iterator[Item]:
        """One table of them."""
        yield Say(tell=self._proxies, name="proxies.json", source="all places that name a proxy")

    def _proxies(self) -> Any:
        from biostudio_doctor.host import proxies

        return proxies.look(self.host, os.environ if self.host.is_local else {})
