"""The web process: it serves what it was last told, and nothing else.

server.py     its life: listens, answers, ends
link.py       the pair of sockets to the supervisor
state.py      what it was last told
door.py       where they come in, and scrapes are answered
protocol.py   connections that cost no more than they should
security.py   web-config.yml: TLS and logins
access.py     who may ask for what
app.py        the routes
metrics.py    /metrics, made once for all who ask
page.py       the status page
probe.py      /probe; modules.py has its ways of asking, and asking_http.py that by HTTP;
              asking.py is what they share, measured.py the metrics that they fill
"""
