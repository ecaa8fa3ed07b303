"""GPUs of NVIDIA and what drives them."""

from collections.abc import Iterator

from biostudio_doctor.collector import MIB, Ask, Collector, Item
from biostudio_doctor.collectors.shared import files, installed
from biostudio_doctor.host import pci, programs
from biostudio_doctor.host.gpus import NVIDIA


class GpuCollector(Collector):
    """GPUs: their state, the driver, the container toolkit.

    From nvidia-smi (all of -q, topology, NVLink), lspci, nvidia-container-cli, nvidia-ctk and dkms;
    from /proc/driver/nvidia; from the toolkit's and CDI's configuration in
    /etc/nvidia-container-runtime, /etc/cdi and /var/run/cdi; from the logs of the driver's
    installer, the toolkit and the fabric manager. What GPUs reported to the kernel is in `kernel`.

    Leaves out: what programs compute on them; arguments of their processes.
    """

    id = "gpu"

    def why_not(self) -> str | None:
        """Without anything of NVIDIA's."""
        if any(device.vendor == NVIDIA for device in pci.devices(self.host)):
            return None
        if self.host.exists("/dev/dxg") or self.host.exists("/proc/driver/nvidia"):
            return None
        if programs.find(self.host, "nvidia-smi", "nvidia-ctk"):
            return None
        return "neither a GPU nor a program of NVIDIA's is here"

    def items(self) -> Iterator[Item]:
        """What the kernel says first: nvidia-smi hangs with a driver that does."""
        yield from files(
            self.host,
            "/proc/driver/nvidia/version", "/proc/driver/nvidia/params",
            "/proc/driver/nvidia/gpus/*/information", "/sys/module/nvidia/version",
            "/etc/nvidia-container-runtime/config.toml", "/etc/cdi/*.yaml", "/etc/cdi/*.json",
            "/run/cdi/*.yaml", "/run/cdi/*.json", "/var/log/nvidia-installer.log",
            "/var/log/fabricmanager.log", "/var/log/nvidia-container-toolkit.log",
            "/var/log/nvidia-container-runtime.log", "/etc/X11/xorg.conf",
            limit=MIB,
        )  # fmt: skip
        yield from installed(
            self.host,
            Ask(command=("lspci", "-nnk", "-d", "10de:"), name="lspci.txt"),
            Ask(command=("dkms", "status"), name="dkms.txt"),
        )
        yield Ask(command=("nvidia-smi",), name="nvidia-smi.txt", seconds=15)
        yield Ask(command=("nvidia-smi", "-q"), name="nvidia-smi-q.txt", seconds=15)
        yield Ask(command=("nvidia-smi", "topo", "-m"), name="topology.txt", seconds=15)
        yield Ask(command=("nvidia-smi", "nvlink", "-s"), name="nvlink.txt", seconds=15)
        yield from installed(
            self.host,
            Ask(command=("nvidia-container-cli", "info"), name="container-cli.txt", seconds=15),
            Ask(command=("nvidia-ctk", "--version"), name="toolkit-version.txt"),
            Ask(command=("nvidia-ctk", "cdi", "list"), name="cdi.txt"),
        )
