"""How the job of a node ended, as DAGMan tells its POST script, and what that means for a conveyance.

Source of the numbers: HTCondor's manual, *DAGMan script arguments*, ``$RETURN``; the three below -1000 are defined in
DAGMan's ``dagman_main.h``.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass

from conveyor.errors import (
    JobFailedError,
    JobKilledError,
    JobNotStartedError,
    JobNotSubmittedError,
    JobRemovedError,
)


@dataclass(frozen=True)
class JobResult:
    """DAGMan's ``$RETURN``, ``$JOB``, ``$RETRY`` and ``$MAX_RETRIES``; None where they are not told."""

    status: int
    job: str | None = None
    retry: int | None = None
    max_retries: int | None = None

    @property
    def error(self) -> JobFailedError | None:
        """Why nothing is to be conveyed; None where the job succeeded."""
        job = f"the job {self.job}" if self.job else "the job"
        match self.status:
            case 0:
                return None
            case _ if self.status > 0:
                return JobFailedError(f"{job} ended with status {self.status}: nothing is conveyed")
            case -1001:
                return JobNotSubmittedError(f"{job} could not be submitted: nothing is conveyed")
            case -1002:
                return JobRemovedError(f"{job} was removed from the queue: nothing is conveyed")
            case -1004:
                return JobNotStartedError(f"{job} did not run, since its PRE script failed: nothing is conveyed")
            case _ if self.status > -1000:
                return JobKilledError(f"{job} was ended by signal {_signal(-self.status)}: nothing is conveyed")
            case _:
                return JobFailedError(f"{job} failed, DAGMan says {self.status}: nothing is conveyed")

    @property
    def told(self) -> dict[str, object]:
        """What each line of the log has of it."""
        known = {"job": self.job, "return": self.status, "retry": self.retry, "max_retries": self.max_retries}
        return {name: value for name, value in known.items() if value is not None}


def _signal(number: int) -> str:
    try:
        return f"{number} ({signal.Signals(number).name})"
    except ValueError:  # one of the real-time signals
        return str(number)
