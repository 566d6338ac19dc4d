/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's interface (headers of Linux 6.1 or newer), and what a program without libc needs. */
#pragma once

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/limits.h>
#include <linux/stat.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;

/* Returns the kernel's answer: a negative one is an errno. EINTR is never returned. */
long system_call(long number, long a, long b, long c, long d, long e, long f);
#define SYS(...) SYS_(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
#define SYS_(name, a, b, c, d, e, f, ...)                                                          \
    system_call(__NR_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

_Noreturn void leave(int status);

/* The value of a call; a negative one, an error, is what this function returns. */
#define TRY(call)                                                                                  \
    __extension__({                                                                                \
        long tried_ = (call);                                                                      \
        if (tried_ < 0)                                                                            \
            return tried_;                                                                         \
        tried_;                                                                                    \
    })

/* A descriptor that is closed where its name ends. */
#define OWNED __attribute__((cleanup(close_owned))) int
void close_owned(const int *fd);

/* gcc and clang call the first three on their own, even in a freestanding program. */
void *memcpy(void *to, const void *from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
size_t strlen(const char *text);
bool is_same(const char *left, const char *right);

/* No uapi header has these: the kernel's side of them is the C library's. */
struct message {
    void *name;
    int name_bytes;
    struct iovec *parts;
    size_t part_count;
    void *control;
    size_t control_bytes;
    unsigned flags;
};

struct control_fd {
    size_t bytes;
    int level;
    int type;
    int fd;
};

#define SOL_SOCKET 1
#define SCM_RIGHTS 1
#define MSG_NOSIGNAL 0x4000
#define WALL 0x40000000 /* __WALL */

#define S_IFDEVICE(mode) (((mode)&S_IFMT) == S_IFCHR || ((mode)&S_IFMT) == S_IFBLK)

enum { STDIN, STDOUT, STDERR, FIRST_OTHER_FD };
