# SPDX-License-Identifier: Apache-2.0
"""The Linux part of config.json as plain data: the keys of each object, their types and defaults.

A row is `key: (kind, default)`. A kind is

    string, boolean     what JSON means by it
    a word of INTEGERS  an integer in that range; `1.0` and `true` are none
    a word of WORDS     one of these strings
    an Object           a name in capitals: an object of OBJECTS
    [kind]              an array of them
    {kind}              an object with free keys

and a default is None, False, 0, NO_ITEMS (a new []), NO_ENTRIES (a new {}), REQUIRED, or WHOLE: an
object that is complete even when it is absent. `types.py` says the same to mypy; a test keeps the
two in step.
"""

REQUIRED = "required"
NO_ITEMS = "[]"
NO_ENTRIES = "{}"
WHOLE = "whole"

INTEGERS = {
    "uint16": (0, (1 << 16) - 1),
    "uint32": (0, (1 << 32) - 1),
    "int32": (-(1 << 31), (1 << 31) - 1),
    "int64": (-(1 << 63), (1 << 63) - 1),
    "uint64": (0, (1 << 64) - 1),
    # A user or group. The last one is no identity but -1: setresuid(2) reads it as "do not change".
    "id": (0, (1 << 32) - 2),
}

WORDS = {
    "action": (
        "SCMP_ACT_ALLOW",
        "SCMP_ACT_ERRNO",
        "SCMP_ACT_KILL",
        "SCMP_ACT_KILL_PROCESS",
        "SCMP_ACT_KILL_THREAD",
        "SCMP_ACT_LOG",
        "SCMP_ACT_NOTIFY",
        "SCMP_ACT_TRACE",
        "SCMP_ACT_TRAP",
    ),
    "architecture": (
        "SCMP_ARCH_AARCH64",
        "SCMP_ARCH_ARM",
        "SCMP_ARCH_LOONGARCH64",
        "SCMP_ARCH_M68K",
        "SCMP_ARCH_MIPS",
        "SCMP_ARCH_MIPS64",
        "SCMP_ARCH_MIPS64N32",
        "SCMP_ARCH_MIPSEL",
        "SCMP_ARCH_MIPSEL64",
        "SCMP_ARCH_MIPSEL64N32",
        "SCMP_ARCH_PARISC",
        "SCMP_ARCH_PARISC64",
        "SCMP_ARCH_PPC",
        "SCMP_ARCH_PPC64",
        "SCMP_ARCH_PPC64LE",
        "SCMP_ARCH_RISCV64",
        "SCMP_ARCH_S390",
        "SCMP_ARCH_S390X",
        "SCMP_ARCH_SH",
        "SCMP_ARCH_SHEB",
        "SCMP_ARCH_X32",
        "SCMP_ARCH_X86",
        "SCMP_ARCH_X86_64",
    ),
    "filter flag": (
        "SECCOMP_FILTER_FLAG_LOG",
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        "SECCOMP_FILTER_FLAG_TSYNC",
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    ),
    "operator": (
        "SCMP_CMP_EQ",
        "SCMP_CMP_GE",
        "SCMP_CMP_GT",
        "SCMP_CMP_LE",
        "SCMP_CMP_LT",
        "SCMP_CMP_MASKED_EQ",
        "SCMP_CMP_NE",
    ),
    "domain": ("LINUX", "LINUX32"),
    "priority class": ("IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE", "IOPRIO_CLASS_RT"),
    "policy": (
        "SCHED_BATCH",
        "SCHED_DEADLINE",
        "SCHED_FIFO",
        "SCHED_IDLE",
        "SCHED_ISO",
        "SCHED_OTHER",
        "SCHED_RR",
    ),
    "memory policy": (
        "MPOL_BIND",
        "MPOL_DEFAULT",
        "MPOL_INTERLEAVE",
        "MPOL_LOCAL",
        "MPOL_PREFERRED",
        "MPOL_PREFERRED_MANY",
        "MPOL_WEIGHTED_INTERLEAVE",
    ),
}

OBJECTS: dict[str, dict[str, tuple[str, str | int | bool | None]]] = {
    "Spec": {
        "ociVersion": ("string", REQUIRED),
        "root": ("Root", None),
        "process": ("Process", None),
        "hostname": ("string", None),
        "domainname": ("string", None),
        "mounts": ("[Mount]", NO_ITEMS),
        "hooks": ("Hooks", WHOLE),
        "annotations": ("{string}", NO_ENTRIES),
        "linux": ("Linux", WHOLE),
    },
    "Root": {
        "path": ("string", REQUIRED),
        "readonly": ("boolean", False),
    },
    "Process": {
        "terminal": ("boolean", False),
        "consoleSize": ("ConsoleSize", None),
        "user": ("User", WHOLE),
        "args": ("[string]", NO_ITEMS),
        "env": ("[string]", NO_ITEMS),
        "cwd": ("string", None),
        "capabilities": ("Capabilities", None),
        "rlimits": ("[Rlimit]", NO_ITEMS),
        "noNewPrivileges": ("boolean", False),
        "apparmorProfile": ("string", None),
        "selinuxLabel": ("string", None),
        "oomScoreAdj": ("int64", None),
        "scheduler": ("Scheduler", None),
        "ioPriority": ("IOPriority", None),
        "execCPUAffinity": ("CPUAffinity", None),
    },
    "ConsoleSize": {
        "height": ("uint64", REQUIRED),
        "width": ("uint64", REQUIRED),
    },
    "User": {
        "uid": ("id", 0),
        "gid": ("id", 0),
        "umask": ("uint32", None),
        "additionalGids": ("[id]", NO_ITEMS),
    },
    "Capabilities": {
        "bounding": ("[string]", NO_ITEMS),
        "effective": ("[string]", NO_ITEMS),
        "permitted": ("[string]", NO_ITEMS),
        "inheritable": ("[string]", NO_ITEMS),
        "ambient": ("[string]", NO_ITEMS),
    },
    "Rlimit": {
        "type": ("string", REQUIRED),
        "soft": ("uint64", REQUIRED),
        "hard": ("uint64", REQUIRED),
    },
    "Scheduler": {
        "policy": ("policy", REQUIRED),
        "nice": ("int32", None),
        "priority": ("int32", None),
        "flags": ("[string]", NO_ITEMS),
        "runtime": ("uint64", None),
        "deadline": ("uint64", None),
        "period": ("uint64", None),
    },
    "IOPriority": {
        "class": ("priority class", REQUIRED),
        "priority": ("int32", None),
    },
    "CPUAffinity": {
        "initial": ("string", None),
        "final": ("string", None),
    },
    "Mount": {
        "destination": ("string", REQUIRED),
        "type": ("string", None),
        "source": ("string", None),
        "options": ("[string]", NO_ITEMS),
        "uidMappings": ("[IDMapping]", NO_ITEMS),
        "gidMappings": ("[IDMapping]", NO_ITEMS),
    },
    "IDMapping": {
        "containerID": ("uint32", REQUIRED),
        "hostID": ("uint32", REQUIRED),
        "size": ("uint32", REQUIRED),
    },
    "Hooks": {
        "prestart": ("[Hook]", NO_ITEMS),
        "createRuntime": ("[Hook]", NO_ITEMS),
        "createContainer": ("[Hook]", NO_ITEMS),
        "startContainer": ("[Hook]", NO_ITEMS),
        "poststart": ("[Hook]", NO_ITEMS),
        "poststop": ("[Hook]", NO_ITEMS),
    },
    "Hook": {
        "path": ("string", REQUIRED),
        "args": ("[string]", NO_ITEMS),
        "env": ("[string]", None),
        "timeout": ("int64", None),
    },
    "Linux": {
        "namespaces": ("[Namespace]", NO_ITEMS),
        "uidMappings": ("[IDMapping]", NO_ITEMS),
        "gidMappings": ("[IDMapping]", NO_ITEMS),
        "timeOffsets": ("TimeOffsets", None),
        "devices": ("[Device]", NO_ITEMS),
        "netDevices": ("{NetDevice}", NO_ENTRIES),
        "cgroupsPath": ("string", None),
        "resources": ("Resources", None),
        "rootfsPropagation": ("string", None),
        "seccomp": ("Seccomp", None),
        "sysctl": ("{string}", NO_ENTRIES),
        "maskedPaths": ("[string]", NO_ITEMS),
        "readonlyPaths": ("[string]", NO_ITEMS),
        "mountLabel": ("string", None),
        "personality": ("Personality", None),
        "intelRdt": ("IntelRdt", None),
        "memoryPolicy": ("MemoryPolicy", None),
    },
    "Namespace": {
        "type": ("string", REQUIRED),
        "path": ("string", None),
    },
    "TimeOffsets": {
        "monotonic": ("TimeOffset", None),
        "boottime": ("TimeOffset", None),
    },
    "TimeOffset": {
        "secs": ("int64", 0),
        "nanosecs": ("uint32", 0),
    },
    "Device": {
        "path": ("string", REQUIRED),
        "type": ("string", REQUIRED),
        "major": ("int64", None),
        "minor": ("int64", None),
        "fileMode": ("uint32", None),
        "uid": ("id", None),
        "gid": ("id", None),
    },
    "NetDevice": {
        "name": ("string", None),
    },
    "Resources": {
        "devices": ("[DeviceRule]", NO_ITEMS),
        "memory": ("Memory", None),
        "cpu": ("CPU", None),
        "pids": ("Pids", None),
        "blockIO": ("BlockIO", None),
        "hugepageLimits": ("[HugepageLimit]", NO_ITEMS),
        "network": ("Network", None),
        "rdma": ("{Rdma}", NO_ENTRIES),
        "unified": ("{string}", NO_ENTRIES),
    },
    "DeviceRule": {
        "allow": ("boolean", REQUIRED),
        "type": ("string", None),
        "major": ("int64", None),
        "minor": ("int64", None),
        "access": ("string", None),
    },
    "Memory": {
        "limit": ("int64", None),
        "reservation": ("int64", None),
        "swap": ("int64", None),
        "kernel": ("int64", None),
        "kernelTCP": ("int64", None),
        "swappiness": ("uint64", None),
        "disableOOMKiller": ("boolean", False),
        "useHierarchy": ("boolean", False),
        "checkBeforeUpdate": ("boolean", False),
    },
    "CPU": {
        "shares": ("uint64", None),
        "quota": ("int64", None),
        "burst": ("uint64", None),
        "period": ("uint64", None),
        "realtimeRuntime": ("int64", None),
        "realtimePeriod": ("uint64", None),
        "cpus": ("string", None),
        "mems": ("string", None),
        "idle": ("int64", None),
    },
    "Pids": {
        "limit": ("int64", None),
    },
    "BlockIO": {
        "weight": ("uint16", None),
        "leafWeight": ("uint16", None),
        "weightDevice": ("[WeightDevice]", NO_ITEMS),
        "throttleReadBpsDevice": ("[ThrottleDevice]", NO_ITEMS),
        "throttleWriteBpsDevice": ("[ThrottleDevice]", NO_ITEMS),
        "throttleReadIOPSDevice": ("[ThrottleDevice]", NO_ITEMS),
        "throttleWriteIOPSDevice": ("[ThrottleDevice]", NO_ITEMS),
    },
    "WeightDevice": {
        "major": ("int64", REQUIRED),
        "minor": ("int64", REQUIRED),
        "weight": ("uint16", None),
        "leafWeight": ("uint16", None),
    },
    "ThrottleDevice": {
        "major": ("int64", REQUIRED),
        "minor": ("int64", REQUIRED),
        "rate": ("uint64", None),
    },
    "HugepageLimit": {
        "pageSize": ("string", REQUIRED),
        "limit": ("uint64", REQUIRED),
    },
    "Network": {
        "classID": ("uint32", None),
        "priorities": ("[InterfacePriority]", NO_ITEMS),
    },
    "InterfacePriority": {
        "name": ("string", REQUIRED),
        "priority": ("uint32", REQUIRED),
    },
    "Rdma": {
        "hcaHandles": ("uint32", None),
        "hcaObjects": ("uint32", None),
    },
    "Seccomp": {
        "defaultAction": ("action", REQUIRED),
        "defaultErrnoRet": ("uint32", None),
        "architectures": ("[architecture]", NO_ITEMS),
        "flags": ("[filter flag]", None),  # absent means SPEC_ALLOW, [] means none
        "listenerPath": ("string", None),
        "listenerMetadata": ("string", None),
        "syscalls": ("[Syscall]", NO_ITEMS),
    },
    "Syscall": {
        "names": ("[string]", REQUIRED),
        "action": ("action", REQUIRED),
        "errnoRet": ("uint32", None),
        "args": ("[SyscallArgument]", NO_ITEMS),
    },
    "SyscallArgument": {
        "index": ("uint32", REQUIRED),
        "value": ("uint64", REQUIRED),
        "valueTwo": ("uint64", 0),
        "op": ("operator", REQUIRED),
    },
    "Personality": {
        "domain": ("domain", REQUIRED),
        "flags": ("[string]", NO_ITEMS),
    },
    "IntelRdt": {
        "closID": ("string", None),
        "schemata": ("[string]", NO_ITEMS),
        "l3CacheSchema": ("string", None),
        "memBwSchema": ("string", None),
        "enableMonitoring": ("boolean", False),
    },
    "MemoryPolicy": {
        "mode": ("memory policy", None),
        "nodes": ("string", None),
        "flags": ("[string]", NO_ITEMS),
    },
}

# Known to the specification and dropped on purpose, with the reason.
IGNORED = (
    ("Spec", "solaris"),  # other platforms
    ("Spec", "windows"),
    ("Spec", "vm"),
    ("Spec", "zos"),
    ("Spec", "freebsd"),
    ("Process", "commandLine"),  # Windows
    ("User", "username"),
)

PROPAGATIONS = (
    "private",
    "rprivate",
    "rshared",
    "rslave",
    "runbindable",
    "shared",
    "slave",
    "unbindable",
)
