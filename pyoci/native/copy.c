/* SPDX-License-Identifier: Apache-2.0 */
/* Copying what an image has below a new tmpfs: by descriptor, no link is followed, each stack frame
 * bounded, and so is their number. */
#include "files.h"

enum { DEPTH = 64, CHUNK = 1 << 20 };

/* getdents64(2) */
struct entry {
    u64 inode;
    s64 next;
    u16 bytes;
    u8 type;
    char name[];
};

static long copy_directory(int from, int to, int depth);

static long copy_data(int from, int to)
{
    long length;
    do
        length = SYS(sendfile, to, from, 0, CHUNK);
    while (length > 0);
    return length;
}

/* A file that was replaced meanwhile by another kind must not block or be opened with effect. */
static long copy_file(int from, int to, const char *name)
{
    const int new = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    struct statx file;
    OWNED source =
        (int)TRY(SYS(openat, from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    TRY(describe(source, &file));
    if (!S_ISREG(file.stx_mode))
        return -ESTALE;
    OWNED target = (int)TRY(SYS(openat, to, name, new, 0600));
    return copy_data(source, target);
}

static long copy_link(int from, int to, const char *name)
{
    char target[PATH_MAX];
    target[TRY(SYS(readlinkat, from, name, target, sizeof(target) - 1))] = 0;
    return SYS(symlinkat, target, to, name);
}

static long open_directory(int dir, const char *name)
{
    return SYS(openat, dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static long copy_subdirectory(int from, int to, const char *name, int depth)
{
    if (depth == DEPTH)
        return -ELOOP;
    TRY(SYS(mkdirat, to, name, 0700));
    OWNED source = (int)TRY(open_directory(from, name));
    OWNED target = (int)TRY(open_directory(to, name));
    return copy_directory(source, target, depth + 1);
}

static long copy_content(int from, int to, const char *name, const struct statx *file, int depth)
{
    switch (file->stx_mode & S_IFMT) {
    case S_IFDIR: return copy_subdirectory(from, to, name, depth);
    case S_IFREG: return copy_file(from, to, name);
    case S_IFLNK: return copy_link(from, to, name);
    default: return SYS(mknodat, to, name, file->stx_mode & (S_IFMT | 0600), device_of(file));
    }
}

/* The owner before the mode: a change of owner takes set-user-ID away. Contents before both. */
static long copy_entry(int from, int to, const char *name, int depth)
{
    struct statx file;
    TRY(SYS(statx, from, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &file));
    TRY(copy_content(from, to, name, &file, depth));
    TRY(SYS(fchownat, to, name, file.stx_uid, file.stx_gid, AT_SYMLINK_NOFOLLOW));
    return S_ISLNK(file.stx_mode) ? 0 : SYS(fchmodat, to, name, file.stx_mode & 07777);
}

static bool is_dots(const char *name)
{
    return is_same(name, ".") || is_same(name, "..");
}

static long copy_directory(int from, int to, int depth)
{
    _Alignas(struct entry) char entries[1024];
    for (;;) {
        long length = TRY(SYS(getdents64, from, entries, sizeof(entries)));
        if (!length)
            return 0;
        for (long at = 0; at < length;) {
            const struct entry *entry = (const struct entry *)(const void *)(entries + at);
            long result = is_dots(entry->name) ? 0 : copy_entry(from, to, entry->name, depth);
            if (result < 0) /* the innermost name stays */
                return detail.length ? result : fail(result, "copy", entry->name);
            at += entry->bytes;
        }
    }
}

long op_copy_mode(const u64 *a)
{
    struct statx file;
    TRY(describe(fd_at(a[0]), &file));
    OWNED to = (int)TRY(open_directory(fd_at(a[1]), "."));
    return SYS(fchmod, to, file.stx_mode & 07777);
}

long op_copy_up(const u64 *a)
{
    OWNED from = (int)TRY(open_directory(fd_at(a[0]), "."));
    OWNED to = (int)TRY(open_directory(fd_at(a[1]), "."));
    return copy_directory(from, to, 0);
}
