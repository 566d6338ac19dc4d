/* SPDX-License-Identifier: Apache-2.0 */
/* System calls, the memory functions that compilers call, and the stack protector. */
#include "system.h"

/* Hides a loop from the compiler, which would make it a call of the very function that it is in. */
#define KEEP_LOOP() __asm__ volatile("" ::: "memory")

uintptr_t __stack_chk_guard;
_Noreturn void __stack_chk_fail(void);

static long enter_kernel(long number, const long *a)
{
#if defined(__x86_64__)
    long result;
    register long r10 __asm__("r10") = a[3];
    register long r8 __asm__("r8") = a[4];
    register long r9 __asm__("r9") = a[5];
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a[0];
    register long x1 __asm__("x1") = a[1];
    register long x2 __asm__("x2") = a[2];
    register long x3 __asm__("x3") = a[3];
    register long x4 __asm__("x4") = a[4];
    register long x5 __asm__("x5") = a[5];
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
#else
#error "no system calls for this machine"
#endif
}

long system_call(long number, long a, long b, long c, long d, long e, long f)
{
    const long arguments[] = {a, b, c, d, e, f};
    long result;
    do
        result = enter_kernel(number, arguments);
    while (result == -EINTR);
    return result;
}

void leave(int status)
{
    for (;;)
        SYS(exit_group, status);
}

void close_owned(const int *fd)
{
    if (*fd >= 0)
        SYS(close, *fd);
}

void __stack_chk_fail(void)
{
    static const char text[] = "pyoci: the executor's stack is damaged\n";
    SYS(write, STDERR, text, sizeof(text) - 1);
    leave(1);
}

void *memmove(void *to, const void *from, size_t bytes)
{
    u8 *t = to;
    const u8 *f = from;
    for (size_t i = 0; i < bytes; i++) {
        size_t at = t <= f ? i : bytes - 1 - i; /* what is still needed is not overwritten */
        t[at] = f[at];
        KEEP_LOOP();
    }
    return to;
}

void *memcpy(void *to, const void *from, size_t bytes)
{
    return memmove(to, from, bytes);
}

void *memset(void *to, int value, size_t bytes)
{
    for (u8 *t = to; bytes; bytes--) {
        *t++ = (u8)value;
        KEEP_LOOP();
    }
    return to;
}

size_t strlen(const char *text)
{
    size_t length = 0;
    while (text[length]) {
        length++;
        KEEP_LOOP();
    }
    return length;
}

bool is_same(const char *left, const char *right)
{
    while (*left && *left == *right) {
        left++;
        right++;
    }
    return *left == *right;
}
