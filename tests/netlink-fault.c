/*
 * Copyright (c) 2026 The vmlat authors.
 *
 * Licensed under the Apache License, Version 2.0 (the "License");
 * you may not use this file except in compliance with the License.
 * You may obtain a copy of the License at:
 *
 *     http://www.apache.org/licenses/LICENSE-2.0
 *
 * Unless required by applicable law or agreed to in writing, software
 * distributed under the License is distributed on an "AS IS" BASIS,
 * WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
 * See the License for the specific language governing permissions and
 * limitations under the License.
 */

/* For LD_PRELOAD: makes tables that the kernel dumps by netlink get lost, or
 * change while they are dumped.
 *
 *     NETLINK_OVERRUNS=N      the first N answers are lost (ENOBUFS)
 *     NETLINK_CHANGES=N       the first N answers say that the table changed
 *     NETLINK_THREADS=NAME    only in threads whose names begin with NAME */

#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* How a message begins.  OVS's <linux/netlink.h> wants OVS's config.h. */
struct header {
    uint32_t len;
    uint16_t type;
    uint16_t flags;
    uint32_t seq;
    uint32_t pid;
};
#define DUMP_INTR 0x10          /* In 'flags'. */

static bool
is_meant(int fd)
{
    const char *threads = getenv("NETLINK_THREADS");
    socklen_t size = sizeof(int);
    char name[16] = "";
    int domain = -1;

    return (!getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size)
            && domain == AF_NETLINK
            && (!threads
                || (!pthread_getname_np(pthread_self(), name, sizeof name)
                    && !strncmp(name, threads, strlen(threads)))));
}

/* Returns true if '*n', which counts calls, is below what 'variable' says. */
static bool
is_next(atomic_int *n, const char *variable)
{
    const char *value = getenv(variable);

    return value && atomic_fetch_add(n, 1) < atoi(value);
}

ssize_t
recvmsg(int fd, struct msghdr *msg, int flags)
{
    static ssize_t (*real)(int, struct msghdr *, int);
    static atomic_int overruns, changes;
    ssize_t n;

    if (!real) {
        *(void **) &real = dlsym(RTLD_NEXT, "recvmsg");
    }
    n = real(fd, msg, flags);
    if (n >= (ssize_t) sizeof(struct header) && is_meant(fd)) {
        if (is_next(&overruns, "NETLINK_OVERRUNS")) {
            errno = ENOBUFS;
            return -1;
        }
        if (is_next(&changes, "NETLINK_CHANGES")) {
            struct header *h = msg->msg_iov[0].iov_base;

            h->flags |= DUMP_INTR;
        }
    }
    return n;
}
