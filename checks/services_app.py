"""services.app"""

from biostudio_doctor.services import Answer, Target

from .services_node import NodeService


class ServicesApp(NodeService):
    """BioStudio's app answers.

    Asks the app of this BioStudio node for its health path, GET /status, as Kubernetes does for
    BioStudio's own chart. An answer of the class 2xx is good. In the first 15 minutes after the
    start of its container, where Docker tells it, no answer is only a warning.

    Why: bioproxy sends everybody's requests there; without it the whole site answers 502 or 503.

    Mend: look at BioStudio's container and its log. A licence that is missing or a storage that is
    full or not mounted keep it from starting.
    """

    id = "services.app"
    requirement_ids = ("port.app",)
    service = "app"
    name = "BioStudio's app"

    async def ask(self, target: Target) -> Answer:
        from biostudio_doctor.services import web

        return await web.ask_app(target)
