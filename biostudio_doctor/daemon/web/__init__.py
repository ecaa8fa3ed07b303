"""The web process: it serves what it was last told, and nothing else.

server.py     its life: listens, answers, ends
link.py       the pair of sockets to the supervisor
state.py      what it was last told, and what was made of that
protocol.py   connections that cost no more than they should
security.py   web-config.yml: TLS and logins
access.py     who may ask for what
app.py        the routes
metrics.py    /metrics, made once for all who ask
page.py       the status page
"""
