/* SPDX-License-Identifier: Apache-2.0 */
/* The plan in memory, the slots, and the declarations of every operation. */
#pragma once

#include "ops.h"
#include "system.h"

struct header {
    u32 magic;
    u32 version;
    u64 bytes;
    u32 operations;
    u32 inherited;
    u64 reserved[5];
};

struct operation {
    u16 code;
    u16 skip;
    u16 ignore[2];
    u64 arguments[MAX_ARGUMENTS];
    u64 padding;
};

struct bytes {
    u64 length;
    u8 data[];
};

struct list {
    u64 count;
    char *strings[]; /* and a null */
};

/* What a list has in the place of a string that is HOME_STRING: `ask` fills it. */
extern char home[PATH_MAX];

struct plan {
    u8 *base;
    u64 bytes;
    u64 data;     /* where the records end */
    u64 last_nul; /* a string that starts behind it has no end */
    struct operation *operations;
    u32 count;
};

/* Maps the plan that `fd` holds, checks all of it and makes its offsets pointers.
 * Returns what is wrong with it, or null. */
const char *load_plan(struct plan *plan, int fd, u32 inherited);

#define DECLARE(name, signature) long op_##name(const u64 *a);
OPERATIONS(DECLARE)

/* Defines one that is a single expression. */
#define OPERATION(name, result)                                                                    \
    long op_##name(const u64 *a)                                                                   \
    {                                                                                              \
        (void)a;                                                                                   \
        return result;                                                                             \
    }

#define CODE(name, signature) OP_##name,
enum operation_code { OPERATIONS(CODE) OPERATION_COUNT };

/* A row of the table of operations. A function gets its checked arguments and returns 0 or more, or
 * a negative errno. */
struct row {
    long (*run)(const u64 *a);
    char signature[MAX_ARGUMENTS + 1];
};
extern const struct row table[OPERATION_COUNT];

/* What the executor holds besides its plan. */
extern int slots[SLOTS];

/* Puts a new descriptor into a slot; passes an error on. NO_SLOT closes it. */
long keep(u64 slot, long fd);

static inline int fd_at(u64 slot)
{
    return slot == CWD_SLOT ? AT_FDCWD : slot == NO_SLOT ? -1 : slots[slot];
}

static inline const char *pointer_at(u64 argument)
{
    return (const char *)(uintptr_t)argument;
}

static inline const char *text_at(u64 argument)
{
    return argument ? pointer_at(argument) : "";
}

static inline const struct bytes *bytes_at(u64 argument)
{
    return (const struct bytes *)(uintptr_t)argument;
}

/* A list as execve(2) takes it; null is an empty one. */
char *const *list_at(u64 argument);
