/* SPDX-License-Identifier: Apache-2.0 */
/* Carries out a list of calls again and again and prints the nanoseconds of each round: the least
 * that making and removing a container's cgroups can cost. Used by bench/cgroups.py.
 *
 * cgroup_calls ROUNDS CALL...   a call is "mkdir PATH", "rmdir PATH" or "write PATH VALUE" */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATH = 6 }; /* behind the verb */

static int carry_out(char *call)
{
    if (call[0] == 'm')
        return mkdir(call + PATH, 0755);
    if (call[0] == 'r')
        return rmdir(call + PATH);
    char *value = strchr(call + PATH, ' ');
    *value = '\0';
    int fd = open(call + PATH, O_WRONLY | O_CLOEXEC);
    *value = ' ';
    ssize_t written = write(fd, value + 1, strlen(value + 1));
    close(fd);
    return written < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
    for (int round = argc > 1 ? atoi(argv[1]) : 0; round > 0; round--) {
        struct timespec before, after;
        clock_gettime(CLOCK_MONOTONIC, &before);
        for (int i = 2; i < argc; i++)
            if (carry_out(argv[i]) < 0) {
                perror(argv[i]);
                return 1;
            }
        clock_gettime(CLOCK_MONOTONIC, &after);
        printf("%lld\n", (long long)(after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec -
                             before.tv_nsec);
    }
    return 0;
}
