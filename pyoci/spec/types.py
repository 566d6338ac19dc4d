# SPDX-License-Identifier: Apache-2.0
"""The complete spec as mypy sees it. Only type checkers and a test ever import it."""

from typing import TypedDict  # noqa: TID253 - see above


class Root(TypedDict):
    """config.md#root."""

    path: str
    readonly: bool


class ConsoleSize(TypedDict):
    """config.md#process."""

    height: int
    width: int


class User(TypedDict):
    """config.md#posix-platform-user."""

    uid: int
    gid: int
    umask: int | None
    additionalGids: list[int]


class Capabilities(TypedDict):
    """config.md#linux-process."""

    bounding: list[str]
    effective: list[str]
    permitted: list[str]
    inheritable: list[str]
    ambient: list[str]


class Rlimit(TypedDict):
    """config.md#posix-process."""

    type: str
    soft: int
    hard: int


class Scheduler(TypedDict):
    """config.md#linux-process."""

    policy: str
    nice: int | None
    priority: int | None
    flags: list[str]
    runtime: int | None
    deadline: int | None
    period: int | None


IOPriority = TypedDict("IOPriority", {"class": str, "priority": int | None})


class CPUAffinity(TypedDict):
    """config.md#linux-process."""

    initial: str | None
    final: str | None


class Process(TypedDict):
    """config.md#process."""

    terminal: bool
    consoleSize: ConsoleSize | None
    user: User
    args: list[str]
    env: list[str]
    cwd: str | None
    capabilities: Capabilities | None
    rlimits: list[Rlimit]
    noNewPrivileges: bool
    apparmorProfile: str | None
    selinuxLabel: str | None
    oomScoreAdj: int | None
    scheduler: Scheduler | None
    ioPriority: IOPriority | None
    execCPUAffinity: CPUAffinity | None


class IDMapping(TypedDict):
    """config-linux.md#user-namespace-mappings."""

    containerID: int
    hostID: int
    size: int


class Mount(TypedDict):
    """config.md#mounts."""

    destination: str
    type: str | None
    source: str | None
    options: list[str]
    uidMappings: list[IDMapping]
    gidMappings: list[IDMapping]


class Hook(TypedDict):
    """config.md#posix-platform-hooks."""

    path: str
    args: list[str]
    env: list[str] | None
    timeout: int | None


class Hooks(TypedDict):
    """config.md#posix-platform-hooks."""

    prestart: list[Hook]
    createRuntime: list[Hook]
    createContainer: list[Hook]
    startContainer: list[Hook]
    poststart: list[Hook]
    poststop: list[Hook]


class Namespace(TypedDict):
    """config-linux.md#namespaces."""

    type: str
    path: str | None


class TimeOffset(TypedDict):
    """config-linux.md#offset-for-time-namespace."""

    secs: int
    nanosecs: int


class TimeOffsets(TypedDict):
    """config-linux.md#offset-for-time-namespace."""

    monotonic: TimeOffset | None
    boottime: TimeOffset | None


class Device(TypedDict):
    """config-linux.md#devices."""

    path: str
    type: str
    major: int | None
    minor: int | None
    fileMode: int | None
    uid: int | None
    gid: int | None


class NetDevice(TypedDict):
    """config-linux.md#network-devices."""

    name: str | None


class DeviceRule(TypedDict):
    """config-linux.md#allowed-device-list."""

    allow: bool
    type: str | None
    major: int | None
    minor: int | None
    access: str | None


class Memory(TypedDict):
    """config-linux.md#memory."""

    limit: int | None
    reservation: int | None
    swap: int | None
    kernel: int | None
    kernelTCP: int | None
    swappiness: int | None
    disableOOMKiller: bool
    useHierarchy: bool
    checkBeforeUpdate: bool


class CPU(TypedDict):
    """config-linux.md#cpu."""

    shares: int | None
    quota: int | None
    burst: int | None
    period: int | None
    realtimeRuntime: int | None
    realtimePeriod: int | None
    cpus: str | None
    mems: str | None
    idle: int | None


class Pids(TypedDict):
    """config-linux.md#pids."""

    limit: int | None


class WeightDevice(TypedDict):
    """config-linux.md#block-io."""

    major: int
    minor: int
    weight: int | None
    leafWeight: int | None


class ThrottleDevice(TypedDict):
    """config-linux.md#block-io."""

    major: int
    minor: int
    rate: int | None


class BlockIO(TypedDict):
    """config-linux.md#block-io."""

    weight: int | None
    leafWeight: int | None
    weightDevice: list[WeightDevice]
    throttleReadBpsDevice: list[ThrottleDevice]
    throttleWriteBpsDevice: list[ThrottleDevice]
    throttleReadIOPSDevice: list[ThrottleDevice]
    throttleWriteIOPSDevice: list[ThrottleDevice]


class HugepageLimit(TypedDict):
    """config-linux.md#huge-page-limits."""

    pageSize: str
    limit: int


class InterfacePriority(TypedDict):
    """config-linux.md#network."""

    name: str
    priority: int


class Network(TypedDict):
    """config-linux.md#network."""

    classID: int | None
    priorities: list[InterfacePriority]


class Rdma(TypedDict):
    """config-linux.md#rdma."""

    hcaHandles: int | None
    hcaObjects: int | None


class Resources(TypedDict):
    """config-linux.md#control-groups."""

    devices: list[DeviceRule]
    memory: Memory | None
    cpu: CPU | None
    pids: Pids | None
    blockIO: BlockIO | None
    hugepageLimits: list[HugepageLimit]
    network: Network | None
    rdma: dict[str, Rdma]
    unified: dict[str, str]


class SyscallArgument(TypedDict):
    """config-linux.md#seccomp."""

    index: int
    value: int
    valueTwo: int
    op: str


class Syscall(TypedDict):
    """config-linux.md#seccomp."""

    names: list[str]
    action: str
    errnoRet: int | None
    args: list[SyscallArgument]


class Seccomp(TypedDict):
    """config-linux.md#seccomp."""

    defaultAction: str
    defaultErrnoRet: int | None
    architectures: list[str]
    flags: list[str] | None
    listenerPath: str | None
    listenerMetadata: str | None
    syscalls: list[Syscall]


class Personality(TypedDict):
    """config-linux.md#personality."""

    domain: str
    flags: list[str]


class IntelRdt(TypedDict):
    """config-linux.md#intelrdt."""

    closID: str | None
    schemata: list[str]
    l3CacheSchema: str | None
    memBwSchema: str | None
    enableMonitoring: bool


class MemoryPolicy(TypedDict):
    """config-linux.md#memory-policy."""

    mode: str | None
    nodes: str | None
    flags: list[str]


class Linux(TypedDict):
    """config-linux.md."""

    namespaces: list[Namespace]
    uidMappings: list[IDMapping]
    gidMappings: list[IDMapping]
    timeOffsets: TimeOffsets | None
    devices: list[Device]
    netDevices: dict[str, NetDevice]
    cgroupsPath: str | None
    resources: Resources | None
    rootfsPropagation: str | None
    seccomp: Seccomp | None
    sysctl: dict[str, str]
    maskedPaths: list[str]
    readonlyPaths: list[str]
    mountLabel: str | None
    personality: Personality | None
    intelRdt: IntelRdt | None
    memoryPolicy: MemoryPolicy | None


class Spec(TypedDict):
    """config.md."""

    ociVersion: str
    root: Root | None
    process: Process | None
    hostname: str | None
    domainname: str | None
    mounts: list[Mount]
    hooks: Hooks
    annotations: dict[str, str]
    linux: Linux
