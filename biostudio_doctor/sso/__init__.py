"""Single sign-on: what identity providers publish about themselves, fetched and understood.

`documents` fetches, as the host's proxies and authorities have it; `oidc` and `saml` read what
came; `providers` knows the addresses of those that the document names. Nobody is signed in, and
no secret of a client is needed for any of it.
"""

from biostudio_doctor import endpoints
from biostudio_doctor.text import printable

_URL_LIMIT = 300  # characters


def shown(url: str) -> str:
    """A URL for people: without user, query and fragment, which may be secret; bounded."""
    bare = without_user(url).partition("?")[0].partition("#")[0]
    return printable(" ".join(bare.split()))[:_URL_LIMIT]


def without_user(url: str) -> str:
    """The same with `...` where a user name, and perhaps a password, stood."""
    return endpoints.without_user(url, instead="...@")
