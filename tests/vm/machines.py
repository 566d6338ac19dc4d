# SPDX-License-Identifier: Apache-2.0
"""Which machines there are: a release of Debian, what is installed, the kernel's command line."""

from typing import NamedTuple

PACKAGES = (
    "systemd systemd-sysv libpam-systemd dbus dbus-user-session udev kmod procps util-linux mount "
    "python3 iproute2 nftables iptables criu libseccomp2 libcap2-bin apparmor busybox-static "
    "uidmap e2fsprogs attr acl fuse3 strace psmisc runc crun "
    "selinux-policy-default selinux-basics policycoreutils semodule-utils"
).split()
# What tests/engines drives; conmon comes with podman, containerd with docker.io.
ENGINES = ("podman", "docker.io", "docker-cli", "containerd", "containernetworking-plugins")
SELINUX = "security=selinux enforcing=0"  # a test that wants it enforced says so: setenforce(8)
HYBRID = "systemd.unified_cgroup_hierarchy=0"
V1 = f"{HYBRID} systemd.legacy_systemd_cgroup_controller=1"


class Machine(NamedTuple):
    """A machine by name; those of one suite share one image and differ in what they boot with."""

    name: str
    suite: str  # release of Debian: packages and kernel
    python: str  # version of its python3
    append: str = ""  # words for the kernel's command line
    kernel: str = "linux-image-amd64"
    memory: int = 2048  # MiB
    processors: int = 2
    also: tuple[str, ...] = ()  # packages that the other machines of the suite have not

    @property
    def packages(self) -> tuple[str, ...]:
        """What is installed, sorted."""
        return tuple(sorted((*PACKAGES, *self.also)))


MACHINES = {
    machine.name: machine
    for machine in (
        Machine("debian12", "bookworm", "3.11"),
        Machine("debian12-selinux", "bookworm", "3.11", SELINUX),
        Machine("debian12-hybrid", "bookworm", "3.11", HYBRID),
        Machine("debian12-v1", "bookworm", "3.11", V1),
        Machine("debian13", "trixie", "3.13"),
        Machine("debian13-selinux", "trixie", "3.13", SELINUX),
        Machine("debian13-engines", "trixie", "3.13", memory=3072, also=ENGINES),
    )
}
