# SPDX-License-Identifier: Apache-2.0
"""config.json: read strictly, checked once, complete afterwards: nobody else misses a key.

The modules behind these functions load when one is called: `state` only needs the reader.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyoci.spec.types import CPU as CPU
    from pyoci.spec.types import BlockIO as BlockIO
    from pyoci.spec.types import Capabilities as Capabilities
    from pyoci.spec.types import ConsoleSize as ConsoleSize
    from pyoci.spec.types import CPUAffinity as CPUAffinity
    from pyoci.spec.types import Device as Device
    from pyoci.spec.types import DeviceRule as DeviceRule
    from pyoci.spec.types import Hook as Hook
    from pyoci.spec.types import Hooks as Hooks
    from pyoci.spec.types import HugepageLimit as HugepageLimit
    from pyoci.spec.types import IDMapping as IDMapping
    from pyoci.spec.types import IntelRdt as IntelRdt
    from pyoci.spec.types import InterfacePriority as InterfacePriority
    from pyoci.spec.types import IOPriority as IOPriority
    from pyoci.spec.types import Linux as Linux
    from pyoci.spec.types import Memory as Memory
    from pyoci.spec.types import MemoryPolicy as MemoryPolicy
    from pyoci.spec.types import Mount as Mount
    from pyoci.spec.types import Namespace as Namespace
    from pyoci.spec.types import NetDevice as NetDevice
    from pyoci.spec.types import Network as Network
    from pyoci.spec.types import Personality as Personality
    from pyoci.spec.types import Pids as Pids
    from pyoci.spec.types import Process as Process
    from pyoci.spec.types import Rdma as Rdma
    from pyoci.spec.types import Resources as Resources
    from pyoci.spec.types import Rlimit as Rlimit
    from pyoci.spec.types import Root as Root
    from pyoci.spec.types import Scheduler as Scheduler
    from pyoci.spec.types import Seccomp as Seccomp
    from pyoci.spec.types import Spec as Spec
    from pyoci.spec.types import Syscall as Syscall
    from pyoci.spec.types import SyscallArgument as SyscallArgument
    from pyoci.spec.types import ThrottleDevice as ThrottleDevice
    from pyoci.spec.types import TimeOffset as TimeOffset
    from pyoci.spec.types import TimeOffsets as TimeOffsets
    from pyoci.spec.types import User as User
    from pyoci.spec.types import WeightDevice as WeightDevice


def discard(warning: str) -> None:
    """Drop a warning: for those who have heard it before."""


def load(path: str, warn: "Callable[[str], None]" = discard) -> "Spec":
    """Return config.json complete and meaningful; raise SpecError or Unsupported (config.md)."""
    from pyoci.spec.reader import read_config

    return parse(read_config(path, regular=True), warn)


def parse(config: bytes, warn: "Callable[[str], None]" = discard) -> "Spec":
    """Do the same for one that was read already."""
    from pyoci.spec import document

    return document.parse(config, warn)


def load_process(path: str, warn: "Callable[[str], None]" = discard) -> "Process":
    """Return the process of `exec --process`, complete and meaningful; a FIFO will do."""
    from pyoci.spec import document

    return document.load_process(path, warn)


def parse_resources(data: bytes, file: str, warn: "Callable[[str], None]" = discard) -> "Resources":
    """Return an object like linux.resources, complete and meaningful, that came from this file."""
    from pyoci.spec import document

    return document.parse_resources(data, file, warn)


def check_process(process: "Process", warn: "Callable[[str], None]" = discard) -> None:
    """Raise SpecError or Unsupported for a complete process that was made from flags."""
    from pyoci.spec import document

    document.check_process(process, "process", warn)
