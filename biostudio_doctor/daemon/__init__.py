"""`biostudio-doctor daemon`: the same checks, for ever.

Two processes. The supervisor (the main one) is single-threaded: it keeps the schedule, forks an
expendable observing process for each run, reloads the configuration, feeds systemd's watchdog and
writes the history. The web process only serves what it was last told, so nothing that a check does
delays a scrape. They speak in JSON lines over a pair of sockets; either is replaced if it dies.

    supervisor.py   the main process
    schedule.py     when each check is due; pure, given the time
    ledger.py       what is known of each check, and from it the report
    changes.py      what another configuration changes
    preload.py      what it imports so that its children need not
    signals.py      signals, as events of its loop; notify.py is what it tells systemd
    web_process.py  its end of the web process
    listening.py    the socket of `daemon.listen`
    history.py      the last runs, across restarts; archive.py says in the log how that goes
    log.py          the log; its events are listed in docs/daemon.md
    allow.py        what /probe may ask
    messages.py     what the two processes say to each other
    web/            the web process
"""
