# SPDX-License-Identifier: Apache-2.0
"""What a test said about a runtime."""

import dataclasses

PASS, FAIL, SKIP = "pass", "fail", "skip"


@dataclasses.dataclass(frozen=True)
class Result:
    """One cell of the report: pass, fail or skip; what was said, and why, where a failure's cause is known."""

    status: str
    reason: str = ""
    cause: str = ""

    @property
    def why(self) -> str:
        """Both, for a reader."""
        return ". ".join(filter(None, (self.reason, self.cause)))


# suite -> test -> runtime -> result
Results = dict[str, dict[str, dict[str, Result]]]
