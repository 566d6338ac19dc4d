/* SPDX-License-Identifier: Apache-2.0 */
/* The executor: carries a plan out, operation by operation. It decides nothing and allocates
 * nothing. argv: pyoci BASE N; the descriptors BASE to BASE+N-1 are slots, BASE+N is the plan. */
#include "report.h"

#include <linux/auxvec.h>
#include <linux/close_range.h>
#include <linux/prctl.h>

extern uintptr_t __stack_chk_guard;
_Noreturn void begin(const uintptr_t *stack);

int slots[SLOTS];

#define ROW(name, signature) {op_##name, signature},
const struct row table[OPERATION_COUNT] = {OPERATIONS(ROW)};

#if defined(__x86_64__)
__asm__(
    ".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall begin");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x30, #0\n\tmov x0, sp\n\tb begin");
#endif

long keep(u64 slot, long fd)
{
    if (fd < 0)
        return fd;
    if (slot == NO_SLOT)
        return SYS(close, fd);
    if (slots[slot] >= 0)
        SYS(close, slots[slot]);
    slots[slot] = (int)fd;
    return 0;
}

/* Reads a descriptor number; anything else gives one that is out of range. */
static u32 parse_number(const char *text)
{
    u32 number = 0;
    for (; *text >= '0' && *text <= '9' && number < INT32_MAX / 16; text++)
        number = number * 10 + (u32)(*text - '0');
    return *text ? INT32_MAX : number;
}

static _Noreturn void carry_out(const struct plan *plan)
{
    for (progress.index = 0; progress.index < plan->count; progress.index++) {
        const struct operation *operation = &plan->operations[progress.index];
        progress.operation = operation;
        detail.length = 0;
        detail.value = 0;
        long result = table[operation->code].run(operation->arguments);
        if (result >= 0)
            continue;
        if (-result != operation->ignore[0] && -result != operation->ignore[1])
            die(result);
        progress.index += operation->skip;
    }
    leave(0);
}

static _Noreturn void work(const char *base_text, const char *count_text)
{
    struct plan plan;
    u32 base = parse_number(base_text);
    u32 count = parse_number(count_text);
    if (base < FIRST_OTHER_FD || base > INT32_MAX / 2 || count <= START_SLOT || count > SLOTS)
        leave(1);
    int plan_fd = (int)(base + count);
    /* Nothing that the caller forgot comes along (CVE-2024-21626); hooks get nothing of ours. */
    SYS(close_range, plan_fd + 1, ~0u, 0);
    SYS(close_range, base, plan_fd, CLOSE_RANGE_CLOEXEC);
    /* Before any namespace is joined: there, others could look at us (CVE-2016-9962). */
    SYS(prctl, PR_SET_DUMPABLE, 0);
    SYS(prctl, PR_SET_NAME, "pyoci:[SETUP]");
    for (u32 slot = 0; slot < SLOTS; slot++)
        slots[slot] = slot < count ? (int)(base + slot) : -1;
    const char *wrong = load_plan(&plan, plan_fd, count);
    if (wrong)
        die(fail(-EBADMSG, wrong, NULL));
    carry_out(&plan);
}

/* Called by _start with the stack as the kernel left it. */
__attribute__((no_stack_protector)) void begin(const uintptr_t *stack)
{
    const char *const *argv = (const char *const *)(stack + 1);
    const uintptr_t *vector = stack + 1 + stack[0] + 1;
    while (*vector++) /* the environment */
        ;
    for (; vector[0] != AT_NULL; vector += 2)
        if (vector[0] == AT_RANDOM)
            __stack_chk_guard = *(const uintptr_t *)vector[1] & ~(uintptr_t)0xff;
    if (stack[0] != 3)
        leave(1);
    work(argv[1], argv[2]);
}
