"""services.workspace"""

from __future__ import annotations

from msgspec import structs

from biostudio_doctor import endpoints
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.services import Answer, Target

from .services import ServiceFacts
from .services_node import NodeService


class ServicesWorkspace(NodeService):
    """The notebook hub answers.

    Asks the hub of this BioStudio node for its version, GET /hub/api, which needs no login. The
    proxy before the hub answers on its own where the hub is down (503), which fails, and where it
    knows of no hub at this path (404), which is a warning: the hub may be starting, or be set up
    below another path. In the first 15 minutes after the start of its container, where Docker tells
    it, no answer is only a warning.

    Why: without it nobody can start a workspace or a notebook, although the site itself opens.

    Mend: wait if it was only just started: the hub is the last to come, some 12 minutes after the
    container. Otherwise its log in the container says why it ended.
    """

    id = "services.workspace"
    requirement_ids = ("port.workspace",)
    service = "workspace"
    name = "BioStudio's notebook hub"

    async def ask(self, target: Target) -> Answer:
        from biostudio_doctor.services import web

        return await web.ask_hub(target)

    def _finding(self, answer: Answer, facts: ServiceFacts) -> Finding:
        finding = super()._finding(answer, facts)
        if not answer.told.get("behind"):
            return finding
        place = endpoints.Endpoint(answer.host, answer.port)
        look = _LOOK_INSIDE if self.context.scope.platform == "docker" else finding.remedy
        if answer.told["behind"] == "404" and look:
            return structs.replace(
                finding,
                status=Status.WARN,
                summary=f"The proxy before the notebook hub answers at {place}, and knows of no "
                f"hub there ({answer.detail}): it is not up yet, or set up below another path.",
                remedy=structs.replace(look, text=f"{_IF_BELOW_ANOTHER} {look.text}"),
                cause="service.hub-unknown",
            )
        return structs.replace(
            finding,
            summary=f"The notebook hub is down: only the proxy before it answers at {place} "
            f"({answer.detail}).",
            remedy=look,
            cause="service.hub-down",
        )


_IF_BELOW_ANOTHER = "If notebooks open all the same, it is below another path, and well. Otherwise:"
_LOOK_INSIDE = Remedy(
    "See why the hub does not run; it may also still be starting (allow it 15 minutes). If docker "
    "ps shows another name than biocolab, use that.",
    (
        "docker top biocolab",
        "docker exec biocolab tail -n 50 /appdata/logs/jupyterhub.log",
    ),
)
