"""Whole numbers as the kernel writes them."""

_DIGITS = 20  # of the largest number in 64 bits; more than 4300 would make int() raise


def whole(text: str) -> int | None:
    """A decimal number without a sign; None for anything else, such as "max"."""
    digits = text.strip()
    return int(digits) if len(digits) <= _DIGITS and digits.isdecimal() else None
