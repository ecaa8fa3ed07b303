"""The support bundle: gathered, redacted, verified, written; and read again as if it were hostile.

collectors -> gather -> redaction -> archive -> verify -> (encrypt) -> rename
"""
