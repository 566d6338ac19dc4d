/* SPDX-License-Identifier: Apache-2.0 */
/* The ordinary start, state, kill and delete, without an interpreter: docs/adr/0007-shortcut.md. */
#ifndef SHORTCUT_H
#define SHORTCUT_H

#include <stddef.h>

/* Ends the process with 0 when all was done; returns, with every descriptor closed, when the case
 * is not ordinary: then Python does it again from the beginning, and it alone says what is wrong.
 */
void shortcut(int argc, char **argv);

/* What the command line asks for. */
struct request {
    enum { START, STATE, KILL, DELETE } command;
    const char *root;
    const char *id;
    const char *log; /* the file that Python would have made; NULL for none */
    int signal;
    int force;
};

/* True when each word of the command line is one of the usual: request.c. */
int understand(int argc, char **argv, struct request *request);

enum { LONGEST = 256 << 10, PID_MARK = 1, STATUS_MARK = 2 };

/* A container that is there: record.c. */
struct container {
    int directory;
    int pidfd; /* -1: init is dead */
    char text[LONGEST + 1];
    const char *state; /* where the lines end, and the text of `state` begins */
};

/* The file is ours, of this boot, and state.json is still the one that it was written with. */
int read_container(struct container *container);

/* Opens a pidfd of init where it lives; 0 when that cannot be said. */
int open_init(struct container *container);

/* True when every file says what it says of a container that is not frozen. */
int is_thawed(const struct container *container);

/* What stands behind WORD in the next line that begins with it; NULL when there is none. */
const char *next_value(const struct container *container, const char *word, const char *last);

#endif
