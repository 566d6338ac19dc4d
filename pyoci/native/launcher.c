/* SPDX-License-Identifier: Apache-2.0 */
/* The programs `pyoci` and `pypod`: find the interpreter and the package that belong to them and
 * become `python3 -I -S` on them.
 *
 * It looks only at where it lies itself (/proc/self/exe), never at the environment or the current
 * directory: podman runs `delete` with neither PATH nor HOME, and a root program must not be led
 * astray by PYTHONPATH. See docs/adr/0003-launcher.md. */
#include "launcher.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef INTERPRETER
#define INTERPRETER                                                                                \
    "/usr/bin/python3" /* used when no python3 lies beside the launcher: meson.options */
#endif

enum { INTERPRETER_ARGUMENTS = 10 };

#include "entry.h" /* made from entry.py */

/* Where Debian's own packages (cffi) lie, for a package installed beside the system's interpreter.
 */
static const char system_packages[] = "/usr/lib/python3/dist-packages";

_Noreturn void die(const char *message, const char *object)
{
    dprintf(STDERR_FILENO, "pyoci: %s \"%s\": %s\n", message, object, strerror(errno));
    _exit(1);
}

/* printf into a path of PATH_MAX bytes; false when it does not fit. */
__attribute__((format(printf, 2, 3))) static int join(char *path, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(path, PATH_MAX, format, arguments);
    va_end(arguments);
    return length > 0 && length < PATH_MAX;
}

/* A program started without 0, 1 or 2 would get the first file that it opens as its standard
 * output. */
static void open_standard_descriptors(void)
{
    int fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO)
        fd = dup(fd);
    if (fd > STDERR_FILENO)
        close(fd);
}

static void find_prefix(struct place *place)
{
    ssize_t length = readlink("/proc/self/exe", place->prefix, sizeof place->prefix - 1);
    if (length < 0)
        die("cannot read", "/proc/self/exe");
    place->prefix[length] = '\0';
    for (int level = 0; level < 2; level++) {
        char *slash = strrchr(place->prefix, '/');
        if (slash != NULL)
            *slash = '\0';
    }
}

/* True when DIRECTORY holds the package; then that is the place. */
static int holds_package(struct place *place, const char *library, const char *version,
                         const char *kind)
{
    char module[PATH_MAX + 32];
    if (!join(place->package, "%s/%s/%s/%s", place->prefix, library, version, kind))
        return 0;
    snprintf(module, sizeof module, "%s/pyoci/cli.py", place->package);
    return access(module, R_OK) == 0;
}

static int find_package_of_version(struct place *place, const char *version)
{
    return holds_package(place, "lib", version, "site-packages") ||
           holds_package(place, "lib", version, "dist-packages") ||
           holds_package(place, "lib64", version, "site-packages");
}

/* For an interpreter whose name does not tell its version: whatever version the package was
 * installed for. */
static int find_package_of_any_version(struct place *place)
{
    char library[PATH_MAX];
    DIR *directory = join(library, "%s/lib", place->prefix) ? opendir(library) : NULL;
    int found = 0;
    for (struct dirent *item; directory != NULL && !found && (item = readdir(directory)) != NULL;)
        found = strncmp(item->d_name, "python3.", 8) == 0 &&
                find_package_of_version(place, item->d_name);
    if (directory != NULL)
        closedir(directory);
    return found;
}

/* "python3.11" out of ".../bin/python3.11"; "" for any other name. */
static void read_version(struct place *place)
{
    const char *name = strrchr(place->python, '/') + 1;
    size_t length = strncmp(name, "python3.", 8) == 0 ? 8 + strspn(name + 8, "0123456789") : 0;
    if (length <= 8 || length >= sizeof place->version)
        length = 0;
    memcpy(place->version, name, length);
    place->version[length] = '\0';
}

/* True when there is such an interpreter and the package is installed for it. */
static int belongs_together(struct place *place, const char *python)
{
    if (realpath(python, place->python) == NULL || access(place->python, X_OK) < 0)
        return 0;
    read_version(place);
    if (place->version[0] == '\0')
        return find_package_of_any_version(place);
    return find_package_of_version(place, place->version) ||
           holds_package(place, "lib", "python3", "dist-packages");
}

static void find_place(struct place *place)
{
    char beside[PATH_MAX];
    find_prefix(place);
    if (join(beside, "%s/bin/python3", place->prefix) && belongs_together(place, beside))
        return;
    if (belongs_together(place, INTERPRETER))
        return;
    errno = ENOENT;
    die("no interpreter with the package pyoci below", place->prefix);
}

_Noreturn void start_interpreter(struct place *place, const char *module, int argc, char **argv)
{
    char path[PATH_MAX + sizeof system_packages];
    const char *name = argc > 0 ? argv[0] : "pyoci";
    const char **arguments = calloc((size_t)argc + INTERPRETER_ARGUMENTS + 1, sizeof *arguments);
    if (arguments == NULL)
        die("cannot start", place->python);
    int in_system =
        strncmp(place->python, "/usr/bin/", 9) == 0 && strncmp(place->prefix, "/usr", 4) == 0;
    snprintf(path, sizeof path, "%s%s%s", place->package, in_system ? ":" : "",
             in_system ? system_packages : "");
    int count = 0;
    arguments[count++] = place->python; /* the interpreter finds its library by this name */
    arguments[count++] = "-I";
    arguments[count++] = "-S";
    arguments[count++] = "-X";
    arguments[count++] =
        "utf8"; /* the same bytes in every locale; arguments and paths keep what is not UTF-8 */
    arguments[count++] = "-c";
    arguments[count++] = entry;
    arguments[count++] = name;
    arguments[count++] = path;
    arguments[count++] = module;
    for (int i = 1; i < argc; i++)
        arguments[count++] = argv[i];
    execv(place->python, (char *const *)(void *)arguments);
    die("cannot start", place->python);
}

int main(int argc, char **argv)
{
    static struct place place;
    open_standard_descriptors();
    without_interpreter(argc, argv);
    find_place(&place);
    with_interpreter(&place, argc, argv);
}
