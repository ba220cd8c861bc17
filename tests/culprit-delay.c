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

/* Loads culprit-delay.bpf.c for check-culprit, where it stays until the VM
 * ends, and says which threads are late. */

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIN_FOLDER "/sys/fs/bpf/"
#define DELAYS "delays"
#define WAKERS "wakers"

static int
fail(const char *what)
{
    perror(what);
    return 1;
}

static int
pin_map(struct bpf_object *object, const char *name, const char *pin)
{
    struct bpf_map *map = bpf_object__find_map_by_name(object, name);

    return !map || bpf_map__pin(map, pin) ? fail(name) : 0;
}

static int
load(const char *file)
{
    struct bpf_object *object = bpf_object__open_file(file, NULL);
    struct bpf_program *program;

    if (!object || bpf_object__load(object)) {
        return fail(file);
    }
    if (pin_map(object, DELAYS, PIN_FOLDER DELAYS)
        || pin_map(object, WAKERS, PIN_FOLDER WAKERS)) {
        return 1;
    }
    bpf_object__for_each_program (program, object) {
        const char *name = bpf_program__name(program);
        struct bpf_link *link = bpf_program__attach(program);
        char pin[128];

        snprintf(pin, sizeof pin, PIN_FOLDER "%s", name);
        if (!link || bpf_link__pin(link, pin)) {
            return fail(name);
        }
    }
    return 0;
}

/* Sets the entry of the map that is pinned at 'pin', deletes it if 'value' is
 * null. */
static int
set_map(const char *pin, const void *key, const void *value)
{
    int map = bpf_obj_get(pin);

    if (map < 0 || (value ? bpf_map_update_elem(map, key, value, BPF_ANY)
                    : bpf_map_delete_elem(map, key))) {
        return fail(pin);
    }
    return 0;
}

/* 'worker' is the vhost worker whose packets make a vCPU late, 0 if the thread
 * is none. */
static int
set(unsigned int tid, unsigned int where, unsigned long long ms,
    unsigned int worker)
{
    const unsigned int key[2] = { tid, where };
    const unsigned int waker[2] = { tid, 0 };
    const unsigned long long late[2] = { ms * 1000000, 0 };

    return (worker && set_map(PIN_FOLDER WAKERS, &worker, ms ? waker : NULL))
           || set_map(PIN_FOLDER DELAYS, key, ms ? late : NULL);
}

int
main(int argc, char *argv[])
{
    if (argc == 3 && !strcmp(argv[1], "load")) {
        return load(argv[2]);
    } else if ((argc == 5 || argc == 6) && !strcmp(argv[1], "set")) {
        return set(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]),
                   argc == 6 ? atoi(argv[5]) : 0);
    }
    fprintf(stderr, "usage: culprit-delay load FILE\n"
            "       culprit-delay set TID WHERE MS [WORKER]\n");
    return 1;
}
