/* SPDX-License-Identifier: Apache-2.0 */
/* What the runtime is told, and the words about a failure. */
#pragma once

#include "plan.h"

#define NO_OPERATION 0xffffffffu
#define DETAIL_BYTES 4000

/* The words and the number that go with the next report; emptied before each operation. */
struct detail {
    u32 value;
    u32 length;
    char text[DETAIL_BYTES];
};
extern struct detail detail;

/* How far the executor is. */
struct progress {
    const struct operation *operation;
    u32 index;
    bool started; /* the exec fifo was written to: nobody listens on the report socket any more */
    const char *program;
};
extern struct progress progress;

/* Appends to the detail; when it is full, its oldest bytes go. */
void say(const char *text, size_t length);

/* Makes the detail "CALL OBJECT" (object may be null) and returns the error. */
long fail(long error, const char *call, const char *object);

/* The same, when the result is an error; otherwise returns the result. */
long check(long result, const char *call, const char *object);

/* Sends a report, with a descriptor unless `fd` is negative. */
long report(enum report_kind kind, long error, u32 value, int fd);

/* Reports the failure of the operation and ends the process. */
_Noreturn void die(long error);

/* Writes a number in decimal, right to left, NUL-terminated; returns its first digit. */
char *decimal(char (*buffer)[24], u64 number);

/* Every signal to its default, nothing blocked. */
void reset_signals(void);

/* Closes every descriptor from `first` on but `kept` (-1: none). */
void close_from(int first, int kept);

/* Forks a process that dies with its parent; 0 in the child. clone(2), not clone3(2), which
 * containers' seccomp filters refuse. */
long spawn(u64 flags, int *pidfd);
