"""The processes of this host."""

from collections.abc import Iterator

from biostudio_doctor.collector import Ask, Collector, Item

_COLUMNS = (
    "pid,ppid,user:20,stat,wchan:24,nlwp,rss,vsz,pcpu,pmem,time,lstart,cgroup:60,comm"
)  # fmt: skip


class ProcessesCollector(Collector):
    """Processes: whose they are, their state, size and age.

    From ps, the largest first, with the control group, which tells service or container.

    Leaves out: the environment of processes, always; their arguments too, unless
    `process_arguments` in the table [bundle] of the configuration says otherwise.
    """

    id = "processes"

    def items(self) -> Iterator[Item]:
        """One table."""
        with_arguments = self.surroundings.config.bundle.process_arguments
        columns = _COLUMNS.removesuffix("comm") + "args" if with_arguments else _COLUMNS
        yield Ask(command=("ps", "-eww", "-o", columns, "--sort=-rss"), name="processes.txt")
