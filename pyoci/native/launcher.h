/* SPDX-License-Identifier: Apache-2.0 */
/* What the launchers of pyoci and pypod have in common, and what each of them does of its own. */
#ifndef LAUNCHER_H
#define LAUNCHER_H

#include <limits.h>

enum { VERSION_LENGTH = 32 };

struct place {
    char python[PATH_MAX];        /* real path of the interpreter */
    char package[PATH_MAX];       /* directory that holds pyoci/ */
    char prefix[PATH_MAX];        /* parent of the launcher's bin directory */
    char version[VERSION_LENGTH]; /* "python3.11", or "" when the interpreter's name does not say */
};

_Noreturn void die(const char *message, const char *object);

/* Becomes the interpreter that runs a module's main(); argv[0] is the name that it goes by. */
_Noreturn void start_interpreter(struct place *place, const char *module, int argc, char **argv);

/* runtime.c, or monitor.c: what needs no interpreter is done, or waited for; returns when one is
 * needed. */
void without_interpreter(int argc, char **argv);
_Noreturn void with_interpreter(struct place *place, int argc, char **argv);

#endif
