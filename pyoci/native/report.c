/* SPDX-License-Identifier: Apache-2.0 */
/* Reports: one datagram each, to the runtime; after the start a line on stderr and a record in the
 * exec fifo. */
#include "report.h"

#include <linux/uio.h>

/* The head of a datagram; the detail follows it. */
struct report {
    u32 kind;
    u32 operation;
    s32 error;
    u32 value;
};

struct detail detail;
struct progress progress = {.index = NO_OPERATION};

void say(const char *text, size_t length)
{
    if (length > DETAIL_BYTES) {
        text += length - DETAIL_BYTES;
        length = DETAIL_BYTES;
    }
    if (detail.length + length > DETAIL_BYTES) {
        u32 over = detail.length + (u32)length - DETAIL_BYTES;
        memmove(detail.text, detail.text + over, detail.length - over);
        detail.length -= over;
    }
    memcpy(detail.text + detail.length, text, length);
    detail.length += (u32)length;
}

long fail(long error, const char *call, const char *object)
{
    detail.length = 0;
    say(call, strlen(call));
    if (object) {
        say(" ", 1);
        say(object, strlen(object));
    }
    return error;
}

long check(long result, const char *call, const char *object)
{
    return result < 0 ? fail(result, call, object) : result;
}

long report(enum report_kind kind, long error, u32 value, int fd)
{
    _Alignas(struct report) static char datagram[sizeof(struct report) + DETAIL_BYTES];
    *(struct report *)(void *)datagram = (struct report){kind, progress.index, (s32)-error, value};
    memcpy(datagram + sizeof(struct report), detail.text, detail.length);
    struct iovec part = {datagram, sizeof(struct report) + detail.length};
    if (fd < 0) /* write(2) alone, which no seccomp filter forbids; without a reader it ends us */
        return SYS(write, slots[REPORT_SLOT], part.iov_base, part.iov_len);
    struct control_fd control = {sizeof(control) - 4, SOL_SOCKET, SCM_RIGHTS, fd};
    struct message message = {
        .parts = &part, .part_count = 1, .control = &control, .control_bytes = sizeof(control)};
    return SYS(sendmsg, slots[REPORT_SLOT], &message, MSG_NOSIGNAL);
}

/* Go's words, which engines' users know. */
static const char *error_text(long error)
{
    switch (-error) {
    case ENOENT: return "no such file or directory";
    case EACCES: return "permission denied";
    case EPERM: return "operation not permitted";
    case ENOEXEC: return "exec format error";
    case ENOTDIR: return "not a directory";
    case EISDIR: return "is a directory";
    case E2BIG: return "argument list too long";
    case ENOMEM: return "cannot allocate memory";
    case EAGAIN: return "resource temporarily unavailable";
    case ETXTBSY: return "text file busy";
    case ELOOP: return "too many levels of symbolic links";
    case EINVAL: return "invalid argument";
    case EIO: return "input/output error";
    case ETIME: return "timer expired";
    case ELIBBAD: return "accessing a corrupted shared library";
    default: return "unknown error";
    }
}

char *decimal(char (*buffer)[24], u64 number)
{
    char *digit = *buffer + sizeof(*buffer) - 1;
    *digit = 0;
    do
        *--digit = (char)('0' + number % 10);
    while (number /= 10);
    return digit;
}

static struct iovec part(const char *text)
{
    return (struct iovec){(void *)(uintptr_t)text, strlen(text)};
}

/* Why a hook failed: its wait status, or the error that kept it from running to its end. */
static const char *hook_reason(long error, char (*buffer)[24], const char **number)
{
    *number = "";
    if (!detail.value)
        return error_text(error);
    u32 signal = detail.value & 0x7f;
    *number = decimal(buffer, signal ? signal : detail.value >> 8 & 0xff);
    return signal ? "signal " : "exit status ";
}

static void write_hook_line(long error)
{
    char index[24], status[24];
    const char *number;
    const char *reason = hook_reason(error, &status, &number);
    while (detail.length && detail.text[detail.length - 1] == '\n')
        detail.length--;
    for (u32 i = 0; i < detail.length; i++)
        detail.text[i] = detail.text[i] == '\n' ? ' ' : detail.text[i];
    struct iovec parts[] = {part("error running startContainer hook #"),
                            part(decimal(&index, progress.operation->arguments[5])),
                            part(": "),
                            part(reason),
                            part(number),
                            part(detail.length ? ", output: " : ""),
                            {detail.text, detail.length},
                            part("\n")};
    SYS(writev, STDERR, parts, sizeof(parts) / sizeof(parts[0]));
}

static void write_line(long error)
{
    const char *reason = error_text(error);
    struct iovec parts[] = {{detail.text, detail.length}, part(": "), part(reason), part("\n")};
    SYS(writev, STDERR, parts, sizeof(parts) / sizeof(parts[0]));
}

/* The fifo first: a closed stderr may end us with SIGPIPE. It takes a record at once (PIPE_BUF). */
static void report_late(long error)
{
    struct report late = {REPORT_FAILED, progress.index, (s32)-error, detail.value};
    struct iovec parts[] = {{&late, sizeof(late)}, {detail.text, detail.length}};
    SYS(writev, slots[START_SLOT], parts, 2);
    if (progress.operation->code == OP_hook)
        write_hook_line(error);
    else
        write_line(error);
}

void die(long error)
{
    if (progress.started)
        report_late(error);
    else
        report(REPORT_FAILED, error, detail.value, -1);
    leave(1);
}
