/* SPDX-License-Identifier: Apache-2.0 */
/* The container's program: found as execvp(3) would, kept, executed. */
#include "report.h"

static char found[PATH_MAX];

/* Says whether this is a file that we may execute, with the effective identity. */
static long check_program(const char *path)
{
    struct statx file;
    TRY(SYS(statx, AT_FDCWD, path, 0, STATX_TYPE, &file));
    if (S_ISDIR(file.stx_mode))
        return -EISDIR;
    return SYS(faccessat2, AT_FDCWD, path, 1 /* X_OK */, AT_EACCESS);
}

/* Makes DIRECTORY/NAME; an empty directory is the current one. */
static bool join(const char *directory, size_t length, const char *name)
{
    size_t size = strlen(name) + 1;
    if (length + 2 + size > sizeof(found))
        return false;
    memcpy(found, length ? directory : ".", length ? length : 1);
    length += !length;
    found[length] = '/';
    memcpy(found + length + 1, name, size);
    return true;
}

/* Returns where the first of the character is, or the end. */
static const char *find(const char *text, char character)
{
    while (*text && *text != character)
        text++;
    return text;
}

static long search(const char *name, const char *path)
{
    long worst = -ENOENT;
    for (const char *end;; path = end + 1) {
        end = find(path, ':');
        long result = join(path, (size_t)(end - path), name) ? check_program(found) : -ENOENT;
        if (result >= 0) {
            progress.program = found;
            return 0;
        }
        if (result == -EACCES)
            worst = result;
        if (!*end)
            return worst;
    }
}

long op_find_program(const u64 *a)
{
    const char *name = text_at(a[0]);
    if (*find(name, '/')) {
        progress.program = name;
        return check(check_program(name), name, NULL);
    }
    const char *path = pointer_at(a[1]);
    return check(path && *name ? search(name, path) : -ENOENT, name, NULL);
}

long op_execute(const u64 *a)
{
    if (!progress.program)
        return fail(-ENOENT, "exec", "nothing that was found");
    long result = SYS(execve, progress.program, list_at(a[0]), list_at(a[1]));
    return fail(result, "exec", progress.program);
}
