"""What distributions say of themselves, as trees for `make_host`.

The lines that count of the files that the distributions ship, beside the kernel of each.
"""

from tests.conftest import Tree


def _tree(kernel: str, files: Tree) -> Tree:
    proc = {"/proc/sys/kernel/osrelease": f"{kernel}\n", "/proc/sys/kernel/arch": "x86_64\n"}
    return {**proc, **files}


_UBUNTU_LSB = (
    "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE={0}\nDISTRIB_CODENAME={1}\n"
    'DISTRIB_DESCRIPTION="Ubuntu {0} LTS"\n'
)

DEBIAN_12 = _tree(
    "6.1.0-28-amd64",
    {
        "/etc/os-release": "-> ../usr/lib/os-release",
        "/usr/lib/os-release": (
            'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'
            'NAME="Debian GNU/Linux"\n'
            'VERSION_ID="12"\n'
            'VERSION="12 (bookworm)"\n'
            "VERSION_CODENAME=bookworm\n"
            "ID=debian\n"
        ),
        "/etc/debian_version": "12.8\n",
    },
)
DEBIAN_10 = _tree(
    "4.19.0-27-amd64",
    {
        "/etc/os-release": (
            'PRETTY_NAME="Debian GNU/Linux 10 (buster)"\n'
            'NAME="Debian GNU/Linux"\n'
            'VERSION_ID="10"\n'
            'VERSION="10 (buster)"\n'
            "VERSION_CODENAME=buster\n"
            "ID=debian\n"
        ),
        "/etc/debian_version": "10.13\n",
    },
)
DEBIAN_9 = _tree(
    "4.9.0-19-amd64",
    {
        "/etc/os-release": (
            'PRETTY_NAME="Debian GNU/Linux 9 (stretch)"\n'
            'VERSION_ID="9"\n'
            "VERSION_CODENAME=stretch\n"
            "ID=debian\n"
        ),
    },
)
DEBIAN_TESTING = _tree(
    "6.17.8-amd64",
    {
        "/etc/os-release": (
            'PRETTY_NAME="Debian GNU/Linux forky/sid"\n'
            'NAME="Debian GNU/Linux"\n'
            "VERSION_CODENAME=forky\n"
            "ID=debian\n"
        ),
        "/etc/debian_version": "forky/sid\n",
    },
)
UBUNTU_18 = _tree(
    "4.15.0-213-generic",
    {
        "/etc/os-release": (
            'NAME="Ubuntu"\n'
            'VERSION="18.04.6 LTS (Bionic Beaver)"\n'
            "ID=ubuntu\n"
            "ID_LIKE=debian\n"
            'PRETTY_NAME="Ubuntu 18.04.6 LTS"\n'
            'VERSION_ID="18.04"\n'
            "VERSION_CODENAME=bionic\n"
            "UBUNTU_CODENAME=bionic\n"
        ),
        "/etc/lsb-release": _UBUNTU_LSB.format("18.04", "bionic"),
        "/etc/debian_version": "buster/sid\n",
    },
)
UBUNTU_24 = _tree(
    "6.8.0-49-generic",
    {
        "/etc/os-release": (
            'PRETTY_NAME="Ubuntu 24.04.1 LTS"\n'
            'NAME="Ubuntu"\n'
            'VERSION_ID="24.04"\n'
            'VERSION="24.04.1 LTS (Noble Numbat)"\n'
            "VERSION_CODENAME=noble\n"
            "ID=ubuntu\n"
            "ID_LIKE=debian\n"
            "UBUNTU_CODENAME=noble\n"
        ),
        "/etc/lsb-release": _UBUNTU_LSB.format("24.04", "noble"),
        "/etc/debian_version": "trixie/sid\n",
    },
)
WSL2 = dict(UBUNTU_24) | {
    "/proc/sys/kernel/osrelease": "5.15.167.4-microsoft-standard-WSL2\n",
}
CENTOS_6 = _tree("2.6.32-431.el6.x86_64", {"/etc/redhat-release": "CentOS release 6.5 (Final)\n"})
CENTOS_7 = _tree(
    "3.10.0-1160.119.1.el7.x86_64",
    {
        "/etc/os-release": (
            'NAME="CentOS Linux"\n'
            'VERSION="7 (Core)"\n'
            'ID="centos"\n'
            'ID_LIKE="rhel fedora"\n'
            'VERSION_ID="7"\n'
            'PRETTY_NAME="CentOS Linux 7 (Core)"\n'
        ),
        "/etc/redhat-release": "CentOS Linux release 7.9.2009 (Core)\n",
    },
)
STREAM_9 = _tree(
    "5.14.0-527.el9.x86_64",
    {
        "/etc/os-release": (
            'NAME="CentOS Stream"\n'
            'VERSION="9"\n'
            'ID="centos"\n'
            'ID_LIKE="rhel fedora"\n'
            'VERSION_ID="9"\n'
            'PLATFORM_ID="platform:el9"\n'
            'PRETTY_NAME="CentOS Stream 9"\n'
        ),
        "/etc/redhat-release": "CentOS Stream release 9\n",
    },
)
RHEL_9 = _tree(
    "5.14.0-503.11.1.el9_5.x86_64",
    {
        "/etc/os-release": (
            'NAME="Red Hat Enterprise Linux"\n'
            'VERSION="9.5 (Plow)"\n'
            'ID="rhel"\n'
            'ID_LIKE="fedora"\n'
            'VERSION_ID="9.5"\n'
            'PRETTY_NAME="Red Hat Enterprise Linux 9.5 (Plow)"\n'
        ),
        "/etc/redhat-release": "Red Hat Enterprise Linux release 9.5 (Plow)\n",
    },
)
ROCKY_9 = _tree(
    "5.14.0-503.14.1.el9_5.x86_64",
    {
        "/etc/os-release": (
            'NAME="Rocky Linux"\n'
            'VERSION="9.5 (Blue Onyx)"\n'
            'ID="rocky"\n'
            'ID_LIKE="rhel centos fedora"\n'
            'VERSION_ID="9.5"\n'
            'PLATFORM_ID="platform:el9"\n'
            'PRETTY_NAME="Rocky Linux 9.5 (Blue Onyx)"\n'
        ),
        "/etc/redhat-release": "Rocky Linux release 9.5 (Blue Onyx)\n",
    },
)
MINT_21 = _tree(
    "5.15.0-126-generic",
    {
        "/etc/os-release": (
            'NAME="Linux Mint"\n'
            'VERSION="21.3 (Virginia)"\n'
            "ID=linuxmint\n"
            'ID_LIKE="ubuntu debian"\n'
            'PRETTY_NAME="Linux Mint 21.3"\n'
            'VERSION_ID="21.3"\n'
            "VERSION_CODENAME=virginia\n"
            "UBUNTU_CODENAME=jammy\n"
        ),
        "/etc/lsb-release": (
            "DISTRIB_ID=LinuxMint\n"
            "DISTRIB_RELEASE=21.3\n"
            "DISTRIB_CODENAME=virginia\n"
            'DISTRIB_DESCRIPTION="Linux Mint 21.3 Virginia"\n'
        ),
        "/etc/debian_version": "bookworm/sid\n",
    },
)
AMAZON_2023 = _tree(
    "6.1.115-126.197.amzn2023.x86_64",
    {
        "/etc/os-release": (
            'NAME="Amazon Linux"\n'
            'VERSION="2023"\n'
            'ID="amzn"\n'
            'ID_LIKE="fedora"\n'
            'VERSION_ID="2023"\n'
            'PRETTY_NAME="Amazon Linux 2023.6.20241121"\n'
        ),
    },
)
LEAP_15 = _tree(
    "6.4.0-150600.23.25-default",
    {
        "/etc/os-release": (
            'NAME="openSUSE Leap"\n'
            'VERSION="15.6"\n'
            'ID="opensuse-leap"\n'
            'ID_LIKE="suse opensuse"\n'
            'VERSION_ID="15.6"\n'
            'PRETTY_NAME="openSUSE Leap 15.6"\n'
        ),
    },
)
ALPINE_3 = _tree(
    "6.6.58-0-lts",
    {
        "/etc/os-release": (
            'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.20.3\nPRETTY_NAME="Alpine Linux v3.20"\n'
        ),
    },
)
