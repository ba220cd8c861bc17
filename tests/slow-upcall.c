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
 * A PMD thread takes a read lock only when it translates a packet by MAC
 * learning, which it does in an upcall: each time, it sleeps.  The same goes
 * for the handler threads of the kernel datapath, whose names begin with
 * "handler": SLOW_UPCALL_THREADS says which threads are meant.
 *
 * SLOW_UPCALL_FILE names a file with the time to sleep, in ms, once for each
 * upcall; if that is not set, it is DELAY_MS for each lock.  There may be no
 * such file: then nothing is slow. */

#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DELAY_MS 150

/* Locks that a thread takes this soon after it has slept are of the same
 * upcall. */
#define SAME_UPCALL_NS (5 * 1000000LL)

static long long int
now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* Returns the time to sleep, in ms, as the file 'name' says. */
static long int
read_delay(const char *name)
{
    long int ms = 0;
    FILE *file;

    file = fopen(name, "r");
    if (file) {
        if (fscanf(file, "%ld", &ms) != 1) {
            ms = 0;
        }
        fclose(file);
    }
    return ms;
}

static void
sleep_ms(long int ms)
{
    struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

    nanosleep(&ts, NULL);
}

int
pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
    static int (*real)(pthread_rwlock_t *);
    static __thread long long int slept;
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
        const char *file = getenv("SLOW_UPCALL_FILE");

        if (!file) {
            sleep_ms(DELAY_MS);
        } else if (now_ns() - slept > SAME_UPCALL_NS) {
            long int ms = read_delay(file);

            if (ms > 0) {
                sleep_ms(ms);
                slept = now_ns();
            }
        }
    }
    return real(lock);
}
