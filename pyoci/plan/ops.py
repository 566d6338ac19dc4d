# SPDX-License-Identifier: Apache-2.0
"""The one list of operations that a plan may hold; `python3 -I -S ops.py` prints it as the executor's header.

An operation has a code (its index in OPERATIONS), up to six arguments and, for expected failures, up to two errnos that it
ignores and the number of operations to skip when one of them happens. The letters of a signature are the kinds of its arguments:

    s  a slot: one of 512 registers that each hold a file descriptor; NO_SLOT none; CWD_SLOT AT_FDCWD
    o  a slot that receives a new descriptor (what it held before is closed)
    p  a string, NUL-terminated; null allowed
    b  bytes with their length
    l  a list of strings, as execve(2) takes it; null allowed
    i  an integer, 64 bits

Operations before `clone` run in the set-up process, with the runtime's own identity and on the host; those after it in init.
"""

SLOTS = 512
NO_SLOT = 0xFFFF
CWD_SLOT = 0xFFFE
MAX_ARGUMENTS = 6
MAX_OPERATIONS = 16384
HOME = "HOME=\0"  # in a list of strings: the entry that the container's passwd file fills in
HOME_STRING = 1  # its offset: what the runtime answered to `ask`
MAGIC = 0x49434F59
VERSION = 1

# Well-known slots: inherited descriptors, in the order in which the runtime passes them.
REPORT_SLOT = 0
START_SLOT = 1
STATE_SLOT = 2
INHERITED = 3

# What a report says (executor -> runtime). One datagram: see native/report.c.
REPORTS = ("cloned", "asked", "told", "passed", "warned", "failed")

# What `ask` and `tell` are about.
TOPICS = (
    "cgroups",  # what is asked of the cgroups must be done now
    "id_maps",  # the user namespace exists: write its maps
    "net_devices",  # the network namespace is there: move devices into it
    "runtime_hooks",  # every mount is made, the old root still there: limits, prestart and createRuntime hooks
    "ready",  # nothing but seccomp and the program is left: write the record
    "sealed",  # the seccomp filter is loaded
    "console",  # the master of the terminal
    "listener",  # the seccomp listener
    "process",  # a pidfd of the process
    "home",  # the container's /etc/passwd, which says where the user is at home
    "start",  # exec: go on to the program
)

OPERATIONS: tuple[tuple[str, str, str, str], ...] = (
    # control
    (
        "clone",
        "is",
        "flags cgroup",
        "clone3(2): make init, a child of the runtime (CLONE_PARENT); the set-up process reports its pid and ends",
    ),
    ("ask", "i", "topic", "report and wait for the runtime's word"),
    ("tell", "i", "topic", "report, without waiting"),
    ("pass_fd", "si", "fd topic", "hand a descriptor to the runtime (SCM_RIGHTS)"),
    (
        "parent_death_signal",
        "i",
        "signal",
        "prctl(PR_SET_PDEATHSIG), 0 clears it; a runtime that is gone already ends init",
    ),
    ("dumpable", "i", "value", "prctl(PR_SET_DUMPABLE)"),
    ("default_signals", "", "", "every signal to SIG_DFL, nothing blocked"),
    ("wait_start", "s", "fifo", "read one byte from the exec fifo"),
    (
        "hook",
        "pllsii",
        "path argv env stdin timeout_ms index",
        "run a hook; its output goes into the report of its failure",
    ),
    (
        "close_fds",
        "si",
        "keep first",
        "close_range(2): every descriptor from first on is closed for good, but keep",
    ),
    (
        "find_program",
        "pp",
        "name path",
        "find the program as execvp would, with the identity that init has now",
    ),
    ("execute", "ll", "argv env", "execve(2) what find_program found"),
    # namespaces and identity
    ("setns", "si", "fd nstype", "setns(2)"),
    ("unshare", "i", "flags", "unshare(2)"),
    (
        "user_namespace",
        "opp",
        "out uid_map gid_map",
        "make a user namespace with these maps and keep only a descriptor of it",
    ),
    ("set_groups", "b", "gids", "setgroups(2); gids are 32-bit"),
    ("set_gid", "i", "gid", "setresgid(2)"),
    ("set_uid", "i", "uid", "setresuid(2)"),
    ("keep_capabilities", "i", "value", "prctl(PR_SET_KEEPCAPS)"),
    ("drop_bounding", "i", "kept", "drop every capability outside the mask from the bounding set"),
    ("capabilities", "iii", "effective permitted inheritable", "capset(2)"),
    (
        "ambient",
        "i",
        "mask",
        "clear the ambient set and raise these; what cannot be raised is a warning",
    ),
    ("no_new_privs", "", "", "prctl(PR_SET_NO_NEW_PRIVS)"),
    ("seccomp", "obi", "listener filter flags", "seccomp(2), SECCOMP_SET_MODE_FILTER"),
    ("personality", "i", "persona", "personality(2)"),
    (
        "session_keyring",
        "p",
        "name",
        "join a new session keyring of this name and give its owner's processes search",
    ),
    ("set_sid", "", "", "setsid(2)"),
    (
        "raise_limit",
        "ii",
        "resource hard",
        "raise the hard limit to this where it is lower; the soft limit stays",
    ),
    ("set_limit", "iii", "resource soft hard", "prlimit64(2)"),
    ("umask", "i", "mask", "umask(2)"),
    ("affinity", "b", "cpus", "sched_setaffinity(2); the mask as the kernel has it"),
    ("scheduler", "b", "attributes", "sched_setattr(2); struct sched_attr"),
    ("io_priority", "i", "priority", "ioprio_set(2) of this process"),
    ("memory_policy", "ib", "mode nodes", "set_mempolicy(2); a mask of whole words"),
    ("hostname", "p", "name", "sethostname(2)"),
    ("domainname", "p", "name", "setdomainname(2)"),
    ("loopback_up", "", "", "set lo up in the network namespace"),
    (
        "device_filter",
        "sb",
        "cgroup program",
        "bpf(2): load the program and attach it to the cgroup (BPF_CGROUP_DEVICE)",
    ),
    # files
    ("open", "ospiii", "out dir path flags mode resolve", "openat2(2)"),
    (
        "create",
        "ospii",
        "out root path kind mode",
        "open a path inside the root (O_PATH), making what is missing: kind 0 directory, 1 file",
    ),
    (
        "mknod",
        "spiiii",
        "root path mode device uid gid",
        "make a device inside the root; one that exists must be the same",
    ),
    (
        "symlink",
        "spp",
        "root path target",
        "make a symbolic link inside the root; one that exists must be the same",
    ),
    ("write", "sb", "fd bytes", "write(2), all at once"),
    ("attribute", "spb", "fd name value", "fsetxattr(2)"),
    ("close", "s", "fd", "close(2)"),
    (
        "verify_type",
        "sii",
        "fd type device",
        "fail unless the file is of this type (S_IFMT) and, for a device, this one",
    ),
    (
        "verify_filesystem",
        "si",
        "fd magic",
        "fail unless the file lies on this kind of file system",
    ),
    # mounts
    ("open_tree", "ospi", "out dir path flags", "open_tree(2)"),
    ("fsopen", "op", "out type", "fsopen(2)"),
    ("fspick", "os", "out mount", "fspick(2): the file system behind a mount, to change it"),
    (
        "fsconfig",
        "sipp",
        "fs command key value",
        "fsconfig(2); the file system's own words go into the report of a failure",
    ),
    ("fsmount", "osi", "out fs attributes", "fsmount(2)"),
    (
        "mount_setattr",
        "siiiis",
        "mount flags set clear propagation user_namespace",
        "mount_setattr(2) on a descriptor",
    ),
    ("move_mount", "ss", "mount target", "move_mount(2), both by descriptor"),
    (
        "attach_root",
        "sp",
        "mount path",
        "mount the new root at its path, or over / where that path cannot be searched",
    ),
    ("slave_root", "ii", "flags propagation", "mount_setattr(2) on / of this mount namespace"),
    ("copy_up", "ss", "from to", "copy the contents of a directory, with owners, modes and links"),
    ("copy_mode", "ss", "from to", "give a directory the mode of another"),
    ("pivot_root", "s", "root", "pivot_root(2) into the root and detach the old one"),
    (
        "move_root",
        "s",
        "root",
        "the same with MS_MOVE and chroot(2), for a root that cannot be pivoted",
    ),
    ("chroot", "s", "root", "chroot(2), without a mount namespace"),
    (
        "chdir",
        "pi",
        "path required",
        "chdir(2), once: a second is done only when the first failed; the place must be reachable",
    ),
    # terminal
    (
        "open_terminal",
        "oosii",
        "master slave root rows columns",
        "a new pty from the container's own devpts, verified",
    ),
    (
        "use_terminal",
        "si",
        "slave uid",
        "the controlling terminal, on descriptors 0 to 2, owned by uid",
    ),
    ("own_stdio", "i", "uid", "give pipes and sockets on descriptors 0 to 2 to uid"),
    (
        "reopen_null",
        "s",
        "root",
        "descriptors 0 to 2 that are the host's /dev/null become the container's, both verified",
    ),
)

CODES = {row[0]: code for code, row in enumerate(OPERATIONS)}
SIGNATURES = tuple(row[1] for row in OPERATIONS)


def header() -> str:
    """Return the C header of this table: an enum, the signatures and the names."""
    lines = ["/* Made from pyoci/plan/ops.py. */", "#pragma once", ""]
    for name, value in (
        ("PLAN_MAGIC", MAGIC),
        ("PLAN_VERSION", VERSION),
        ("SLOTS", SLOTS),
        ("NO_SLOT", NO_SLOT),
        ("CWD_SLOT", CWD_SLOT),
        ("REPORT_SLOT", REPORT_SLOT),
        ("START_SLOT", START_SLOT),
        ("MAX_ARGUMENTS", MAX_ARGUMENTS),
        ("MAX_OPERATIONS", MAX_OPERATIONS),
        ("HOME_STRING", HOME_STRING),
    ):
        lines.append(f"#define {name} {value:#x}")
    lines += ["", "enum report_kind {", *(f"    REPORT_{kind.upper()}," for kind in REPORTS), "};"]
    lines += ["", "enum topic {", *(f"    TOPIC_{topic.upper()}," for topic in TOPICS), "};"]
    lines += ["", "/* X(name, signature) */", "#define OPERATIONS(X) \\"]
    lines += [f'    X({name}, "{signature}") \\' for name, signature, _, _ in OPERATIONS]
    return "\n".join(lines) + "\n    /* end */\n"


if __name__ == "__main__":
    print(header(), end="")
