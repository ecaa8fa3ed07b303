"""services.job"""

from collections.abc import Iterator

from biostudio_doctor import text
from biostudio_doctor.model import Finding, Remedy
from biostudio_doctor.services import Answer, Target

from .services import remark
from .services_node import NodeService


class ServicesJob(NodeService):
    """The job queue answers.

    Asks the job queue (beanstalkd) of this BioStudio node for its statistics: version, connections
    and jobs. No job is looked into, taken or put. A queue that drains takes no new jobs and fails.
    Jobs that wait while nobody is connected to take them, and jobs that were set aside because they
    failed (buried), are told as warnings.

    Why: what takes long, such as installing packages or converting data, waits in it.

    Mend: look at BioStudio's container and its log; its workers are processes beside the queue.
    """

    id = "services.job"
    requirement_ids = ("port.job",)
    service = "job"
    name = "BioStudio's job queue"

    async def ask(self, target: Target) -> Answer:
        from biostudio_doctor.services import beanstalk

        return await beanstalk.ask(target)

    def remarks(self, answer: Answer, finding: Finding) -> Iterator[Finding]:
        told = answer.told
        ready, buried = told.get("ready", 0), told.get("buried", 0)
        if ready and not told.get("workers", 0):
            yield remark(
                finding,
                "workers",
                "service.no-workers",
                f"The job queue holds {text.number(ready, 'job')} that nobody takes: no worker is "
                "connected.",
                Remedy(
                    "See which of BioStudio's processes do not run. If docker ps shows another "
                    "name than biocolab, use that.",
                    ("docker top biocolab",),
                ),
            )
        if buried:
            yield remark(
                finding,
                "buried",
                "service.buried-jobs",
                f"The job queue holds {text.number(buried, 'job')} set aside as failed (buried).",
                Remedy(
                    "BioStudio's log says why they failed. If docker ps shows another name than "
                    "biocolab, use that.",
                    ("docker logs --tail 200 biocolab",),
                ),
            )
