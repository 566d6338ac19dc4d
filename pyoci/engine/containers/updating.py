# SPDX-License-Identifier: Apache-2.0
"""`update`: other limits, which count at once, and another restart policy, which counts from the next start."""

from pyoci import runtime
from pyoci.engine import events
from pyoci.engine.containers import launch, limits, request, state
from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.containers.record import Container, Records
    from pyoci.flags import Flags


def update(records: "Records", container: "Container", flags: "Flags") -> None:
    """Change a container; raises EngineError, and changes nothing then."""
    host = container.host_config
    changed = limits.changes(flags, every=False)
    limits.check({**host, **changed})
    if flags.text("restart"):
        policy = request.parse_policy(flags.text("restart"))
        request.check_policy(policy)
        if host["AutoRemove"] and policy["Name"] != "no":
            raise EngineError(
                "Restart policy cannot be updated because AutoRemove is enabled for the container"
            )
        changed["RestartPolicy"] = policy
    host.update(changed)
    wanted = limits.resources(host)
    if wanted and state.current(container)["Status"] in ("running", "paused"):
        runtime.update(launch.runtime_root(container), container.id, wanted)
    records.save(container)
    events.of_container(container, "update")
