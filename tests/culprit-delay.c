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
#define MAP_NAME "delays"

static int
fail(const char *what)
{
    perror(what);
    return 1;
}

static int
load(const char *file)
{
    struct bpf_object *object = bpf_object__open_file(file, NULL);
    struct bpf_program *program;
    struct bpf_map *map;

    if (!object || bpf_object__load(object)) {
        return fail(file);
    }
    map = bpf_object__find_map_by_name(object, MAP_NAME);
    if (!map || bpf_map__pin(map, PIN_FOLDER MAP_NAME)) {
        return fail(MAP_NAME);
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

static int
set(unsigned int tid, unsigned int where, unsigned long long ms)
{
    int map = bpf_obj_get(PIN_FOLDER MAP_NAME);
    unsigned int key[2] = { tid, where };
    unsigned long long ns = ms * 1000000;

    if (map < 0 || (ms ? bpf_map_update_elem(map, key, &ns, BPF_ANY)
                    : bpf_map_delete_elem(map, key))) {
        return fail(MAP_NAME);
    }
    return 0;
}

int
main(int argc, char *argv[])
{
    if (argc == 3 && !strcmp(argv[1], "load")) {
        return load(argv[2]);
    } else if (argc == 5 && !strcmp(argv[1], "set")) {
        return set(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]));
    }
    fprintf(stderr, "usage: culprit-delay load FILE\n"
            "       culprit-delay set TID WHERE MS\n");
    return 1;
}
