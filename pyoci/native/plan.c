/* SPDX-License-Identifier: Apache-2.0 */
/* The plan: mapped, checked once as a whole, relocated. After that a pointer into it is good. */
#include "plan.h"

#include <linux/mman.h>

/* Far below any address: an offset is never mistaken for a pointer. */
#define MAX_BYTES (1u << 30)

char home[PATH_MAX] = "HOME=/";

char *const *list_at(u64 argument)
{
    static char *const empty[] = {NULL};
    return argument ? ((const struct list *)(uintptr_t)argument)->strings : empty;
}

static bool is_aligned_data(const struct plan *plan, u64 offset)
{
    return offset % 8 == 0 && offset >= plan->data && offset <= plan->bytes - 8;
}

static bool is_string(const struct plan *plan, u64 offset)
{
    return offset >= plan->data && offset <= plan->last_nul;
}

/* Returns a list that lies in the plan with the null behind it; otherwise null. */
static struct list *find_list(const struct plan *plan, u64 offset)
{
    u64 room = (plan->bytes - offset) / 8;
    if (!is_aligned_data(plan, offset) || room < 2)
        return NULL;
    struct list *list = (struct list *)(void *)(plan->base + offset);
    return list->count <= room - 2 ? list : NULL;
}

/* Makes the strings of a list pointers, in place. A list may be shared: what is a pointer already
 * stays. Nothing is believed yet: the plan's data changes here, so it is checked afterwards. */
static bool relocate_list(const struct plan *plan, u64 offset)
{
    struct list *list = find_list(plan, offset);
    for (u64 i = 0; list && i < list->count; i++)
        if ((uintptr_t)list->strings[i] == HOME_STRING)
            list->strings[i] = home;
        else if ((uintptr_t)list->strings[i] < plan->bytes)
            list->strings[i] = (char *)plan->base + (uintptr_t)list->strings[i];
    return list;
}

static bool is_relocated_list(const struct plan *plan, u64 offset)
{
    const struct list *list = find_list(plan, offset);
    for (u64 i = 0; list && i < list->count; i++)
        if (list->strings[i] != home &&
            !is_string(plan, (uintptr_t)list->strings[i] - (uintptr_t)plan->base))
            return false;
    return list && !list->strings[list->count];
}

static bool is_bytes(const struct plan *plan, u64 offset)
{
    if (!is_aligned_data(plan, offset))
        return false;
    const struct bytes *bytes = (const struct bytes *)(const void *)(plan->base + offset);
    return bytes->length <= plan->bytes - offset - sizeof(*bytes);
}

/* Checks one argument by the letter of its kind; an offset becomes a pointer. */
static bool take_argument(const struct plan *plan, char kind, u64 *argument)
{
    u64 value = *argument;
    if (kind == 'i')
        return true;
    if (kind == 's' || kind == 'o')
        return value < SLOTS || value == NO_SLOT || (kind == 's' && value == CWD_SLOT);
    if (!value)
        return kind != 'b';
    *argument += (uintptr_t)plan->base;
    switch (kind) {
    case 'p': return is_string(plan, value);
    case 'l': return is_relocated_list(plan, value);
    case 'b': return is_bytes(plan, value);
    default: return false; /* no such argument */
    }
}

static const char *check_header(struct plan *plan, u32 inherited)
{
    const struct header *header = (const struct header *)(const void *)plan->base;
    if (header->magic != PLAN_MAGIC || header->version != PLAN_VERSION)
        return "plan: of another version";
    if (header->bytes != plan->bytes)
        return "plan: cut short";
    if (header->inherited != inherited)
        return "plan: made for other descriptors";
    for (unsigned i = 0; i < 5; i++)
        if (header->reserved[i])
            return "plan: damaged header";
    plan->count = header->operations;
    plan->data = sizeof(*header) + (u64)plan->count * sizeof(struct operation);
    if (plan->count > MAX_OPERATIONS || plan->data > plan->bytes)
        return "plan: more operations than it has room for";
    plan->operations = (struct operation *)(void *)(plan->base + sizeof(*header));
    for (plan->last_nul = plan->bytes - 1; plan->last_nul && plan->base[plan->last_nul];)
        plan->last_nul--;
    return NULL;
}

static const char *check_operation(const struct plan *plan, u32 index)
{
    const struct operation *operation = &plan->operations[index];
    if (operation->code >= OPERATION_COUNT)
        return "plan: no such operation";
    if (operation->skip >= plan->count - index)
        return "plan: skips past its end";
    return operation->padding ? "plan: damaged operation" : NULL;
}

static const char *relocate_lists(const struct plan *plan, const struct operation *operation)
{
    const char *signature = table[operation->code].signature;
    const u64 *argument = operation->arguments;
    for (; *signature; signature++, argument++)
        if (*signature == 'l' && *argument && !relocate_list(plan, *argument))
            return "plan: damaged list";
    return NULL;
}

static const char *take_arguments(const struct plan *plan, struct operation *operation)
{
    const char *kind = table[operation->code].signature;
    for (unsigned i = 0; i < MAX_ARGUMENTS; i++) {
        if (!take_argument(plan, *kind, &operation->arguments[i]))
            return "plan: damaged argument";
        kind += *kind != 0;
    }
    return NULL;
}

/* Three passes: the records; the lists, which change the data; all data. The last one writes only
 * to records, where no data lies, so nothing changes after it was checked, whatever overlaps. */
static const char *check_plan(struct plan *plan, u32 inherited)
{
    const char *wrong = check_header(plan, inherited);
    for (u32 i = 0; !wrong && i < plan->count; i++)
        wrong = check_operation(plan, i);
    for (u32 i = 0; !wrong && i < plan->count; i++)
        wrong = relocate_lists(plan, &plan->operations[i]);
    for (u32 i = 0; !wrong && i < plan->count; i++)
        wrong = take_arguments(plan, &plan->operations[i]);
    return wrong;
}

const char *load_plan(struct plan *plan, int fd, u32 inherited)
{
    struct statx file;
    if (SYS(statx, fd, "", AT_EMPTY_PATH, STATX_SIZE, &file) < 0)
        return "plan: no descriptor of one";
    if (file.stx_size < sizeof(struct header) || file.stx_size > MAX_BYTES)
        return "plan: cut short";
    plan->bytes = file.stx_size;
    long base = SYS(mmap, 0, plan->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    SYS(close, fd);
    if (base < 0 && base >= -4095)
        return "plan: cannot be mapped";
    plan->base = (u8 *)base;
    const char *wrong = check_plan(plan, inherited);
    if (!wrong)
        SYS(mprotect, plan->base, plan->bytes, PROT_READ);
    return wrong;
}
