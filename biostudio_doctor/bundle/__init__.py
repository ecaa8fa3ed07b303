"""The support bundle: gathered, redacted, verified, written; and read again as if it were hostile.

collectors -> gather -> redaction -> archive -> verify -> (encrypt) -> rename

Made:       making (all of it in order), reporting (the report is a collector, too), known and
            pseudonyms (what the redactor is told), window (--since), destination (where the file
            is written), encryption.
Gathered:   gather (the parent: processes and their deadlines), worker (one process), which hands
            Take to taking, Ask to asking, all texts through pieces (head and tail) to spool (what
            is written, redacted), names by entries; messages between the two.
Written:    contents (which entries), manifest, readme, configured (config.json), archive (the tar).
Read back:  verifying, and for others reader with opening and unpacking; judging, diff; errors and
            harmless (words of strangers).
"""
