"""services.http"""

from biostudio_doctor.services import Answer, Target

from .services_front import Front


class ServicesHttp(Front):
    """bioproxy answers by HTTP.

    Asks bioproxy for its health path, GET /app_proxy_status, and for that of BioStudio behind it,
    GET /server_status. A redirect to HTTPS is good and is not followed; services.https looks there.
    Where bioproxy answers 502, 503 or 504, it runs and BioStudio behind it does not; in the first
    15 minutes after the start of BioStudio's container, where Docker tells it, that is only a
    warning.

    Why: it is the door to everything, and the first to be told apart when "the site is down": is it
    bioproxy, or BioStudio behind it?

    Mend: look at the container that the finding names. If bioproxy uses another port than 80, set
    http in the table [ports] of the configuration.
    """

    id = "services.http"
    requirement_ids = ("port.http",)
    service = "http"
    name = "bioproxy (HTTP)"

    async def ask(self, target: Target) -> Answer:
        from biostudio_doctor.services import web

        return await web.ask_front(target)
