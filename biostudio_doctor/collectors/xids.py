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
    32: "invalid or corrupted push buffer stream: driver, program or the PCIe link",
    43: "GPU stopped processing: a program failed and was ended; the GPU itself is well",
    45: "preemptive cleanup: work was ended after an earlier error, or its process was killed",
    48: "double-bit ECC error: memory of the GPU is damaged, data was lost; the GPU needs a reset",
    61: "internal microcontroller breakpoint or warning: often only a new driver or a reset helps",
    62: "internal microcontroller halt: the GPU needs a reset; if it comes back, its maker",
    63: "a damaged page or row of GPU memory was put out of use: takes effect with the next reset",
    64: "a damaged page or row of GPU memory could not be put out of use: replace the GPU",
    74: "NVLink error: the connection between GPUs, a bridge or a GPU is faulty",
    79: "the GPU has fallen off the bus: power, heat, riser, PCIe slot or the GPU itself",
    92: "high rate of single-bit ECC errors: corrected, but they tell of failing memory",
    94: "contained ECC error: only the program that used the memory was hit; restart that",
    95: "uncontained ECC error: any program may have been hit; the GPU needs a reset",
    119: "the GPU's system processor (GSP) did not answer: reset the GPU, renew the driver",
    120: "error in the GPU's system processor (GSP): reset the GPU, renew the driver",
    154: "the driver says what the GPU needs now: see the words of the message",
}
_XID = re.compile(r"NVRM: Xid \((?:PCI:)?([0-9a-fA-F:.]+)[^)]*\): (\d+)")


def mark(lines: Iterable[str]) -> Iterator[str]:
    """Each line with an XID, what each of these means, and how often each GPU had it."""
    seen: Counter[tuple[str, int]] = Counter()
    for line in lines:
        found = _XID.search(line)
        if found:
            seen[found[1], int(found[2])] += 1
            yield f"{line.rstrip()}\n"
    if not seen:
        yield "No XID: NVIDIA's driver reported no error of a GPU in this time.\n"
        return
    yield f"\nMeanings are in our words, after {SOURCE}\n"
    for (gpu, xid), count in sorted(seen.items()):
        yield f"GPU {gpu}: {count} x XID {xid}: {MEANINGS.get(xid, 'see the page above')}\n"
