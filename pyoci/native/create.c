/* SPDX-License-Identifier: Apache-2.0 */
/* Making files inside the root. The kernel resolves every path inside it (RESOLVE_IN_ROOT); a link
 * that points to nothing is followed by us, because its target is what is to be made. Whoever
 * changes the root meanwhile gets something made elsewhere inside it, never outside. */
#include "files.h"

enum { LINKS = 40, RACES = 128, PARENT_MODE = 0755 };
enum kind { DIRECTORY, PLAIN_FILE };

/* A path that is gone along: `done` exists and has no link in it; `rest` is still to do. */
struct walk {
    int root;
    u32 links;
    size_t length; /* of done */
    char *rest;    /* at the end of todo, so that a link's target fits before it */
    char done[PATH_MAX];
    char todo[PATH_MAX];
};

static long begin_walk(struct walk *walk, int root, const char *path)
{
    size_t size = strlen(path) + 1;
    if (size > sizeof(walk->todo))
        return -ENAMETOOLONG;
    walk->root = root;
    walk->links = 0;
    walk->length = 0;
    walk->done[0] = 0;
    walk->rest = walk->todo + sizeof(walk->todo) - size;
    memcpy(walk->rest, path, size);
    return 0;
}

static long lengthen(struct walk *walk, const char *name)
{
    size_t size = strlen(name) + 1;
    if (walk->length + 1 + size > sizeof(walk->done))
        return -ENAMETOOLONG;
    if (walk->length)
        walk->done[walk->length++] = '/';
    memcpy(walk->done + walk->length, name, size);
    walk->length += size - 1;
    return 0;
}

/* Takes the last component off; above the root is the root. */
static void shorten(struct walk *walk)
{
    while (walk->length && walk->done[--walk->length] != '/')
        ;
    walk->done[walk->length] = 0;
}

static void skip_slashes(struct walk *walk)
{
    while (*walk->rest == '/')
        walk->rest++;
}

/* Takes the next component off the rest, null at its end; "." stays, ".." goes up. */
static const char *next_name(struct walk *walk)
{
    for (;;) {
        skip_slashes(walk);
        if (!*walk->rest)
            return NULL;
        const char *name = walk->rest;
        while (*walk->rest && *walk->rest != '/')
            walk->rest++;
        if (*walk->rest)
            *walk->rest++ = 0;
        skip_slashes(walk);
        if (is_same(name, ".."))
            shorten(walk);
        else if (!is_same(name, "."))
            return name;
    }
}

/* `done` as openat2(2) takes it: the root itself is ".". */
static const char *done_path(const struct walk *walk)
{
    return walk->length ? walk->done : ".";
}

/* Puts the target of a link before the rest. */
static long follow(struct walk *walk, int link)
{
    size_t room = (size_t)(walk->rest - walk->todo) - 1;
    if (++walk->links > LINKS)
        return -ELOOP;
    long length = TRY(SYS(readlinkat, link, "", walk->todo, room));
    if ((size_t)length == room)
        return -ENAMETOOLONG;
    if (walk->todo[0] == '/')
        walk->length = 0;
    *--walk->rest = '/'; /* where the name's end was */
    walk->rest -= length;
    memmove(walk->rest, walk->todo, (size_t)length);
    return 0;
}

/* A descriptor of the directory that the walk has reached. */
static long open_parent(const struct walk *walk)
{
    long fd = open_in_root(walk->root, done_path(walk), O_PATH | O_DIRECTORY);
    return check(fd, "openat2", done_path(walk));
}

static long make(const struct walk *walk, const char *name, enum kind kind, u64 mode)
{
    OWNED parent = (int)TRY(open_parent(walk));
    long result = kind == DIRECTORY ? SYS(mkdirat, parent, name, mode)
                                    : SYS(mknodat, parent, name, S_IFREG | mode, 0);
    if (result == -EEXIST) /* somebody was faster: look at what it is */
        return 0;
    return check(result, kind == DIRECTORY ? "mkdirat" : "mknodat", name);
}

static long check_kind(u32 mode, enum kind kind)
{
    if (S_ISDIR(mode))
        return kind == DIRECTORY ? 0 : -EISDIR;
    return kind == DIRECTORY ? -ENOTDIR : 0;
}

/* Goes one component on, making it if need be; a link is put before the rest instead. */
static long enter(struct walk *walk, const char *name, enum kind kind, u64 mode)
{
    struct statx file;
    for (int i = 0; i < RACES; i++) {
        TRY(lengthen(walk, name));
        OWNED fd = (int)open_in_root(walk->root, walk->done, O_PATH | O_NOFOLLOW);
        if (fd == -ENOENT) {
            shorten(walk);
            TRY(make(walk, name, kind, mode));
            continue;
        }
        TRY(check(fd, "openat2", walk->done));
        TRY(describe(fd, &file));
        if (!S_ISLNK(file.stx_mode))
            return check(check_kind(file.stx_mode, kind), "openat2", walk->done);
        shorten(walk);
        return check(follow(walk, fd), "readlinkat", done_path(walk));
    }
    return fail(-EAGAIN, "create", name);
}

/* Makes all parents; `last` is the last component, null when the path ends in "..", "." or "/". */
static long enter_parents(struct walk *walk, const char **last)
{
    while ((*last = next_name(walk)) && *walk->rest)
        TRY(enter(walk, *last, DIRECTORY, PARENT_MODE));
    return 0;
}

/* Opens what is there, if it is of this kind. */
static long open_kind(int root, const char *path, enum kind kind)
{
    struct statx file;
    long fd = TRY(open_in_root(root, path, O_PATH));
    long result = describe(fd, &file);
    if (result >= 0)
        result = check_kind(file.stx_mode, kind);
    if (result >= 0)
        return fd;
    SYS(close, fd);
    return result;
}

static long create(int root, const char *path, enum kind kind, u64 mode)
{
    struct walk walk;
    const char *name;
    long fd = open_kind(root, path, kind); /* nearly always it is there */
    if (fd != -ENOENT)
        return check(fd, "openat2", path);
    TRY(begin_walk(&walk, root, path));
    do {
        TRY(enter_parents(&walk, &name));
        if (name)
            TRY(enter(&walk, name, kind, mode));
    } while (*walk.rest); /* the last component was a link */
    return check(open_kind(root, done_path(&walk), kind), "openat2", done_path(&walk));
}

/* Makes the parents of a path; returns a descriptor of the last one, and the last component. */
static long open_parents(struct walk *walk, const u64 *a, const char **name)
{
    TRY(begin_walk(walk, fd_at(a[0]), text_at(a[1])));
    TRY(enter_parents(walk, name));
    return *name ? open_parent(walk) : fail(-EISDIR, "no name in", text_at(a[1]));
}

/* Verifies the device by a descriptor of it; gives it to its owner only when we made it. */
static long take_device(int parent, const char *name, const u64 *a, bool made)
{
    struct statx file;
    OWNED fd = (int)SYS(openat, parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    TRY(check(fd, "open", name));
    TRY(describe(fd, &file));
    if ((file.stx_mode & S_IFMT) != (a[2] & S_IFMT) ||
        (S_IFDEVICE(file.stx_mode) && device_of(&file) != a[3]))
        return fail(-EEXIST, "another file is there:", text_at(a[1]));
    if (!made)
        return 0;
    return check(SYS(fchownat, fd, "", a[4], a[5], AT_EMPTY_PATH), "fchownat", name);
}

static long make_device(const u64 *a)
{
    struct walk walk;
    const char *name;
    OWNED parent = (int)TRY(open_parents(&walk, a, &name));
    long result = SYS(mknodat, parent, name, a[2], a[3]);
    if (result != -EEXIST)
        TRY(check(result, "mknodat", name));
    return take_device(parent, name, a, result >= 0);
}

/* A link that is there already is fine when it says the same. */
static long make_link(const u64 *a)
{
    struct walk walk;
    const char *name;
    const char *target = text_at(a[2]);
    OWNED parent = (int)TRY(open_parents(&walk, a, &name));
    long result = SYS(symlinkat, target, parent, name);
    if (result != -EEXIST)
        return check(result, "symlinkat", name);
    long length = SYS(readlinkat, parent, name, walk.todo, sizeof(walk.todo) - 1);
    walk.todo[length < 0 ? 0 : length] = 0;
    return is_same(walk.todo, target) ? 0 : fail(-EEXIST, "another file is there:", text_at(a[1]));
}

static long create_and_keep(const u64 *a)
{
    return keep(a[0], create(fd_at(a[1]), text_at(a[2]), a[3] ? PLAIN_FILE : DIRECTORY, a[4]));
}

/* Modes are the plan's, whatever the umask. */
static long without_umask(long (*function)(const u64 *a), const u64 *a)
{
    long mask = SYS(umask, 0);
    long result = function(a);
    SYS(umask, mask);
    return result;
}

OPERATION(create, without_umask(create_and_keep, a))
OPERATION(mknod, without_umask(make_device, a))
OPERATION(symlink, without_umask(make_link, a))
