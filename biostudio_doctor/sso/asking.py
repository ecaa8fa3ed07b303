"""An issuer of OpenID Connect, asked for all that it publishes."""

from __future__ import annotations

from biostudio_doctor.probes.path import Surroundings
from biostudio_doctor.sso import documents, oidc
from biostudio_doctor.sso.facts import Document, Published

_SHARE = 0.55  # of the time: for the discovery document; the rest is for what it names


async def ask(
    url: str, around: Surroundings, *, timeout: float, knock: bool = True
) -> tuple[Published, Document | None]:
    """The discovery document at `url`, the keys that it names, and the way to its token endpoint.

    The last is None without `knock`, and where the document names none; nothing is sent to it but
    a GET without parameters.
    """
    import anyio
    from msgspec import structs

    rest = (1 - _SHARE) * timeout
    document, data = await documents.fetch(
        url, around, limit=oidc.SIZE_LIMIT, timeout=_SHARE * timeout
    )
    if not data:
        return Published(document=document), None
    try:
        discovery = oidc.read_discovery(data)
    except ValueError as error:
        return Published(document=structs.replace(document, problem=str(error))), None
    found: dict[str, Document] = {}
    published = Published(document=document, discovery=discovery)

    async def fetch_keys(at: str) -> None:
        nonlocal published
        answer, body = await documents.fetch(at, around, limit=oidc.SIZE_LIMIT, timeout=rest)
        keys = None
        if body:
            try:
                keys = oidc.read_keys(body)
            except ValueError as error:
                answer = structs.replace(answer, problem=str(error))
        published = structs.replace(published, keys_document=answer, keys=keys)

    async def reach(at: str) -> None:
        found["token"] = await documents.reach(at, around, timeout=rest)

    async with anyio.create_task_group() as tasks:
        if "jwks_uri" in discovery.endpoints:
            tasks.start_soon(fetch_keys, discovery.endpoints["jwks_uri"])
        if knock and "token_endpoint" in discovery.endpoints:
            tasks.start_soon(reach, discovery.endpoints["token_endpoint"])
    return published, found.get("token")
