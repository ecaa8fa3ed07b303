"""What NVIDIA's driver reports of a GPU in the kernel's messages: the XIDs that matter here.

The numbers and their names are NVIDIA's (docs.nvidia.com/deploy/xid-errors, "Xid Errors" and
"Analyzing Xid Errors with the Xid Catalog"); what they mean for an administrator is said in our
words. Each stands for a symptom, which may have several causes.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

SOURCE = "https://docs.nvidia.com/deploy/xid-errors/"
MEANINGS = {
    13: "graphics engine exception: mostly a fault of the program, such as an index out of bounds",
    31: "GPU memory page fault: mostly the program used an address that is not its own",
    32: "invalid or corrupted push buffer stream: driver, program or the PCIe link; restart that",
    43: "GPU stopped processing: a program failed and was ended; the GPU itself is well",
    45: "preemptive cleanup: ended after another error, which counts, or with its process",
    46: "GPU stopped processing: reset the GPU",
    48: "uncorrectable (double-bit) ECC error: data was lost; an XID 63, 64, 94 or 95 beside it"
    " says what to do, without one reset the GPU",
    54: "auxiliary power is not connected to the GPU: check its cables",
    61: "internal microcontroller breakpoint or warning (of older GPUs): NVIDIA's support can tell",
    62: "internal microcontroller halt: reset the GPU; if it comes back, ask NVIDIA's support",
    63: "a damaged page or row of GPU memory is put out of use at the next reset: no more to do",
    64: "a damaged page or row of GPU memory could not be put out of use: reset the GPU; if it"
    " comes back, ask NVIDIA's support whether to replace it",
    69: "graphics engine class error: mostly a fault of the program",
    74: "NVLink error: the link between two GPUs, or one of them; if it comes back, reset them and"
    " ask NVIDIA's support",
    79: "the GPU has fallen off the bus: restart the host; if it comes back, look at power, heat,"
    " riser, PCIe slot and the GPU itself",
    92: "high rate of corrected single-bit ECC errors: nothing was lost; watch whether it lasts",
    94: "contained memory error: only the program that used the memory was hit; restart that",
    95: "uncontained memory error: any program may have been hit; reset the GPU",
    109: "context switch timeout: reset the GPU; if it comes back, ask NVIDIA's support",
    110: "security fault: reset the GPU; driver and firmware may not fit",
    119: "the GPU's system processor (GSP) did not answer: reset the GPU; look for a newer driver",
    120: "error in the GPU's system processor (GSP): reset the GPU; look for a newer driver",
    140: "ECC error that was not recovered: reset the GPU; if it comes back, ask NVIDIA's support",
    143: "the GPU could not be initialized: reset it; if it comes back, ask NVIDIA's support",
    **dict.fromkeys(
        range(144, 151), "NVLink error (of newer GPUs): the words of the message say which"
    ),
    154: "the driver says what the GPU needs now: see the words of the message",
}
#: Of GPUs, and of the switches between them.
_XID = re.compile(r"(NVRM: Xid|SXid) \((?:PCI:)?([0-9a-fA-F:.]+)[^)]*\): (\d+)")


def mark(lines: Iterable[str]) -> Iterator[str]:
    """Each line with an XID, what each of these means, and how often each GPU had it."""
    seen: Counter[tuple[bool, str, int]] = Counter()
    for line in lines:
        found = _XID.search(line)
        if found:
            seen[found[1] == "SXid", found[2], int(found[3])] += 1
            yield f"{line.rstrip()}\n"
    if not seen:
        yield "No XID: NVIDIA's driver reported no error of a GPU in this time.\n"
        return
    yield f"\nMeanings are in our words, after {SOURCE}\n"
    for (of_switch, device, xid), count in sorted(seen.items()):
        if of_switch:
            yield f"NVSwitch {device}: {count} x SXID {xid}: see the page above\n"
        else:
            yield f"GPU {device}: {count} x XID {xid}: {MEANINGS.get(xid, 'see the page above')}\n"
