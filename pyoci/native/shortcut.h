/* SPDX-License-Identifier: Apache-2.0 */
/* The ordinary start, state, kill, delete, update, pause and resume, without an interpreter:
 * docs/adr/0007-shortcut.md, 0012-update.md and 0019-freeze.md. */
#ifndef SHORTCUT_H
#define SHORTCUT_H

#include <stddef.h>
#include <sys/stat.h>

/* Ends the process with 0 when all was done; returns, with every descriptor closed, when the case
 * is not ordinary: then Python does it again from the beginning, and it alone says what is wrong.
 */
void shortcut(int argc, char **argv);

/* What the command line asks for. */
struct request {
    enum command { START, STATE, KILL, DELETE, UPDATE, PAUSE, RESUME } command;
    const char *root;
    const char *id;
    const char *log; /* the file that Python would have made; NULL for none */
    int signal;
    int force;
    const char *limit; /* the flag of `update`, of this length, and what it is to be */
    size_t limit_length;
    const char *value;
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

/* The line between two places, each line ended by a zero, that begins with WORD: what stands behind
 * it; NULL when there is none. */
const char *find_line(const char *line, const char *end, const char *word);

/* A plain file of our own that nobody else may write. */
int is_ours(const struct stat *status);

/* Opens a path without symbolic links where cgroups are mounted; -1 otherwise. */
int open_on_cgroups(const char *path, unsigned long long flags);

/* pause and resume; what could not be done is as it was: freeze.c. */
int freeze(const struct container *container);
int thaw(const struct container *container);

/* update of one limit, all of it or nothing: limit.c. */
int update(const struct container *container, const struct request *request);

/* cpu.weight, 1 to 10000, for cpu.shares of 2 to 262144, as cgroup/resources.py: weight.c. */
int weight_of(unsigned long long shares);

/* The file is ours, of this boot, and state.json is still the one that it was written with. */
int read_container(struct container *container);

/* Opens a pidfd of init where it lives; 0 when that cannot be said. */
int open_init(struct container *container);

/* True when a small file holds a line; of an open one, whatever was read before. */
int says(const char *path, const char *line);
int holds(int fd, const char *line);

/* True when every file says what it says of a container that is not frozen. */
int is_thawed(const struct container *container);

/* What stands behind WORD in the next line that begins with it; NULL when there is none. */
const char *next_value(const struct container *container, const char *word, const char *last);

#endif
