"""What no text may leave this host with: found by name, by form, by entropy, and by being known.

    windows    a stream is looked at in bounded windows, wherever it was cut into pieces
    sieve      in which lines rare patterns may match, told of all of them together
    literals   known secrets, in any encoding
    by_name    names that tell (names, parents), where their values are (assigned, members), what
               can be one (values)
    forms      what a secret's own form gives away (forms.toml, private_keys), or the service that
               is named beside it (services.toml)
    phrases    places that a language or program has for secrets (phrases.toml)
    tables, kubernetes, near_words   CSV, the data of Secrets, random words
    alone      words so random that they need no name beside them
    wide, percent   UTF-16 and what is encoded for a URL, seen as what they mean
    tokens     what stands there instead
    obfuscate  hosts, addresses and users under other names (addresses)

RE2 looks through the whole text, in time that is linear whatever the text and the pattern are, and
Python's `re` looks closer at the little that it finds. Bytes are never decoded.

What was weighed (one core of the machine of 2026-11; `python -m tests.bench_redaction` measures the
programs again, side by side). Looking through 20 MB of log for 40 telling words: Python's `re`
34 MB/s, RE2 390, an Aho-Corasick automaton (ahocorasick_rs) 470, hyperscan 2,800. RE2 is taken:
the one that is fast enough, runs on all processors that BioStudio does, knows expressions and not
only words (so known secrets take one pass, however many), and makes the administrator's own rules
harmless.

detect-secrets 1.5 as the engine: 0.4 MB/s; over our corpus its rules see 59 % of the secrets, over
its peers' test data 91 %, and they report 96 % of ordinary lines, since they leave it to filters of
source code to say what is none. It knows lines and no spans of bytes. The rules of gitleaks and
trufflehog come as Go programs and are made for source code in repositories, with the same prefixes
of vendors' keys that stand in forms.toml; scrubadub looks for what names people and needs models of
language. None of these three was run here. `sos clean` hides addresses and names at 3 to 11 MB/s,
and leaves secrets to each of its plug-ins. Ours: 38 MB/s over a log, 13 over nothing but lines that
were made to look like secrets, 13 over thousands of different small files, for which RE2 builds its
automata anew, all on a busy machine.

An automaton that looks for many rules at once is fast while what it has seen fits its memory, and
then slower than all of them one by one: so rare rules share a few automata that were measured to
stay small (`sieve`, "apart" in forms.toml), whose sets of RE2 need not tell where a match ends.

How well it knows what it was not made for (2026-11; peers' own test data, measured before any rule
was mended with it). Seven sets of scanners' data in turn: 58, 86, 89 and 63 % of the secrets gone
(the last made mostly of the shapes of 370 vendors' rules, with no telling word beside many), 88, 64
(random keys mostly without any name) and 97 %. Then five of those who clean files, logs and
reports: files made to leak 90 % of 179, detectors of keys and rules for infrastructure 85 % of 85,
what support reports are tested with 73 % of 30, redactors' unit tests 91 % of 137, a code checker's
examples 94 % of 50. Mended with one half of the first three, 95, 95 and 74 % of the other halves,
and 98 % of 51 files that were read only then; mended with all, 98 %.

Lines without secrets untouched: 99.6 to 100 %, but 95 % of the code and the templates that such
checkers keep to show what is no secret. What is left are mostly hexadecimal digits or a UUID beside
nothing that tells, which commits, images and requests look like, too; and words, such as a password
in a sentence.
"""
