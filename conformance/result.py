# SPDX-License-Identifier: Apache-2.0
"""What a test said about a runtime."""

import dataclasses

PASS, FAIL, SKIP = "pass", "fail", "skip"


@dataclasses.dataclass(frozen=True)
class Result:
    """One cell of the report: pass, fail or skip, and the reason in words."""

    status: str
    reason: str = ""
    explained: bool = False  # a failure whose cause is known and is not the runtime's


# suite -> test -> runtime -> result
Results = dict[str, dict[str, dict[str, Result]]]
