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

/* For LD_PRELOAD with ovs-vswitchd: makes upcalls slow.
 *
 * A PMD thread takes a read lock only when it translates a packet, which it
 * does in an upcall: each time, it sleeps.  The same goes for the handler
 * threads of the kernel datapath, whose names begin with "handler":
 * SLOW_UPCALL_THREADS says which threads are meant. */

#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DELAY_MS 150

int
pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
    static int (*real)(pthread_rwlock_t *);
    static const char *threads;
    char name[16] = "";

    if (!threads) {
        const char *value = getenv("SLOW_UPCALL_THREADS");

        threads = value ? value : "pmd";
    }
    if (!real) {
        *(void **) &real = dlsym(RTLD_NEXT, "pthread_rwlock_rdlock");
    }
    if (!pthread_getname_np(pthread_self(), name, sizeof name)
        && !strncmp(name, threads, strlen(threads))) {
        struct timespec ts = { 0, DELAY_MS * 1000000L };

        nanosleep(&ts, NULL);
    }
    return real(lock);
}
