/* SPDX-License-Identifier: Apache-2.0 */
/* Files inside the root: every path of an image is resolved by the kernel, inside the image. */
#pragma once

#include "report.h"

/* openat2(2), O_CLOEXEC, tried again when a rename outside disturbed the resolution. */
long open_resolved(int dir, const char *path, u64 flags, u64 mode, u64 resolve);

/* The same inside a root: no link, no "..", no magic link leads out. */
long open_in_root(int root, const char *path, u64 flags);

/* statx(2) of a descriptor. */
long describe(long fd, struct statx *file);

/* A device number as mknod(2) takes it. */
u64 device_of(const struct statx *file);

/* Says whether a descriptor is this character device. */
bool is_character_device(long fd, u32 first_major, u32 last_major, s64 minor);
