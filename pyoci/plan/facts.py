# SPDX-License-Identifier: Apache-2.0
"""What the compiler may know of the host: plain values, gathered by pyoci.host before it runs."""


class Facts:
    """The host and the caller's wishes, as far as a plan depends on them."""

    def __init__(  # noqa: PLR0913 - a record: every field is named at the call
        self,
        *,
        euid: int = 0,
        egid: int = 0,
        privileged: bool = True,
        bundle: str = "/",
        identity: str = "",
        layout: str = "none",
        cgroups: tuple[tuple[str, str], ...] = (),
        unified: str = "",
        attached: bool = False,
        device_program: bytes | None = None,
        no_pivot: bool = False,
        no_new_keyring: bool = False,
        preserved: int = 0,
        capabilities: int = -1,
        selinux: bool = False,
        apparmor: bool = False,
        target: int = 0,
        shared: int = 0,
        directories: frozenset[str] = frozenset(),
        missing: frozenset[str] = frozenset(),
        links: dict[str, str] | None = None,
    ) -> None:
        self.euid = euid  # of the runtime
        self.egid = egid
        self.privileged = privileged  # CAP_SYS_ADMIN in the initial user namespace
        self.bundle = bundle  # absolute
        self.identity = identity  # the container's id
        self.layout = layout  # v1, hybrid, v2 or none
        self.cgroups = cgroups  # (name below /sys/fs/cgroup, directory on the host)
        self.unified = unified  # which of these directories is cgroup v2's, "" none
        self.attached = attached  # exec: systemd puts the set-up process there
        self.device_program = device_program  # eBPF, for v2
        self.no_pivot = no_pivot
        self.no_new_keyring = no_new_keyring
        self.preserved = preserved  # descriptors from 3 on that the program keeps
        self.capabilities = (
            capabilities  # which init may have: ours, or all in a user namespace of its own
        )
        self.selinux = selinux
        self.apparmor = apparmor
        self.target = target  # for exec: the pid of init
        self.shared = shared  # for exec: CLONE_NEW* bits of namespaces that are the runtime's own
        self.directories = directories  # bind sources that are directories
        self.missing = missing  # bind sources that do not exist
        self.links = links or {}  # bind sources that are links to be copied, and what they say
