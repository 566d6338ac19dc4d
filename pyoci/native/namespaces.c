/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces and what belongs to them: host name, loopback, the devices of a cgroup. */
#include "report.h"

#include <asm/signal.h>
#include <linux/bpf.h>
#include <linux/prctl.h>
#include <linux/sched.h>

/* Makes init, a child of the runtime; the set-up process tells its pid, as it sees it, and ends. */
long op_clone(const u64 *a)
{
    struct clone_args arguments = {.flags = a[0] | CLONE_PARENT};
    if (a[1] != NO_SLOT) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = (u64)fd_at(a[1]);
    }
    long pid = TRY(check(SYS(clone3, &arguments, sizeof(arguments)), "clone3", NULL));
    if (pid) {
        report(REPORT_CLONED, 0, (u32)pid, -1);
        leave(0);
    }
    SYS(prctl, PR_SET_NAME, "pyoci:[INIT]");
    return 0;
}

/* Opens /proc/PID/NAME. */
static long open_proc(long pid, const char *name, u32 flags)
{
    char path[64];
    char number[24];
    const char *const parts[] = {"/proc/", decimal(&number, (u64)pid), "/", name};
    char *end = path;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        memcpy(end, parts[i], strlen(parts[i]) + 1);
        end += strlen(end);
    }
    return check(SYS(openat, AT_FDCWD, path, flags | O_CLOEXEC, 0), "open", path);
}

static long write_map(long pid, const char *name, const char *map)
{
    OWNED fd = (int)TRY(open_proc(pid, name, O_WRONLY));
    return check(SYS(write, fd, map, strlen(map)), "write", name);
}

static long map_and_open(long pid, const u64 *a)
{
    TRY(write_map(pid, "uid_map", text_at(a[1])));
    TRY(write_map(pid, "gid_map", text_at(a[2])));
    return open_proc(pid, "ns/user", O_RDONLY);
}

/* The namespace lives as long as a process in it or a descriptor of it: a child makes it, which
 * waits to be killed. Needs no code of the container, which does not exist yet. */
long op_user_namespace(const u64 *a)
{
    OWNED pidfd = -1;
    long pid = TRY(check(spawn(CLONE_NEWUSER, &pidfd), "clone(CLONE_NEWUSER)", NULL));
    while (!pid)
        SYS(ppoll, 0, 0, 0, 0, 0);
    long result = keep(a[0], map_and_open(pid, a));
    SYS(kill, pid, SIGKILL);
    SYS(wait4, pid, 0, WALL, 0);
    return result;
}

/* struct ifreq, of which no uapi header can be had without the C library's. */
struct interface {
    char name[16];
    u16 flags;
    u8 rest[22];
};

long op_loopback_up(const u64 *a)
{
    enum { INET = 2, DATAGRAM = 2, GET_FLAGS = 0x8913, SET_FLAGS = 0x8914, UP = 1 };
    struct interface lo = {.name = "lo"};
    (void)a;
    OWNED fd = (int)TRY(check(SYS(socket, INET, DATAGRAM | O_CLOEXEC, 0), "socket", NULL));
    TRY(check(SYS(ioctl, fd, GET_FLAGS, &lo), "ioctl(SIOCGIFFLAGS)", "lo"));
    lo.flags |= UP;
    return check(SYS(ioctl, fd, SET_FLAGS, &lo), "ioctl(SIOCSIFFLAGS)", "lo");
}

long op_device_filter(const u64 *a)
{
    const struct bytes *code = bytes_at(a[1]);
    union bpf_attr load = {
        .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
        .insn_cnt = (u32)(code->length / sizeof(struct bpf_insn)),
        .insns = (uintptr_t)code->data,
        .license = (uintptr_t) "GPL",
    };
    long program_fd = SYS(bpf, BPF_PROG_LOAD, &load, sizeof(load));
    OWNED program = (int)TRY(check(program_fd, "bpf(BPF_PROG_LOAD)", NULL));
    union bpf_attr attach = {
        .target_fd = (u32)fd_at(a[0]),
        .attach_bpf_fd = (u32)program,
        .attach_type = BPF_CGROUP_DEVICE,
        .attach_flags = BPF_F_ALLOW_MULTI,
    };
    return check(SYS(bpf, BPF_PROG_ATTACH, &attach, sizeof(attach)), "bpf(BPF_PROG_ATTACH)", NULL);
}
