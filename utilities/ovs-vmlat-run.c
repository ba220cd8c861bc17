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

/* Runs: what "join --save" keeps and "diff" compares.  The file is JSON;
 * ovs-vmlat(1) documents it. */

#include <config.h>
#include "ovs-vmlat-run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "openvswitch/dynamic-string.h"
#include "openvswitch/json.h"
#include "openvswitch/shash.h"
#include "ovs-vmlat-page.h"
#include "unicode.h"
#include "util.h"

#define RUN_FORMAT "vmlat-run"
#define RUN_VERSION 1

/* The largest file that run_write() makes is a tenth of this. */
#define RUN_MAX_BYTES (64 * 1024 * 1024)

const char *
run_series_name(unsigned int series)
{
    switch (series) {
    case RUN_WIRE: return "C + J";
    case RUN_REST: return "rest";
    case RUN_RTT: return "RTT";
    case RUN_WIRE_OUT: return "wire out";
    case RUN_WIRE_BACK: return "wire back";
    default: return report_segment_classes[series].letter;
    }
}

void
run_init(struct run *run)
{
    memset(run, 0, sizeof *run);
    for (int i = 0; i < RUN_N_SERIES; i++) {
        run->series[i].how = REPORT_UNKNOWN;
    }
}

void
run_uninit(struct run *run)
{
    free(run->title);
    for (int i = 0; i < 2; i++) {
        free(run->boot_ids[i]);
        free(run->run_ids[i]);
    }
    for (int i = 0; i < RUN_N_SERIES; i++) {
        free(run->series[i].why);
    }
    free(run->packets);
}

/* A random number, all 64 bits (SplitMix64). */
static uint64_t
next_random(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static void
keep_packet(struct run *run, const struct run_packet *packet)
{
    if (run->n_kept >= run->allocated) {
        run->packets = x2nrealloc(run->packets, &run->allocated,
                                  sizeof *run->packets);
    }
    run->packets[run->n_kept++] = *packet;
}

void
run_add(struct run *run, const struct run_packet *packet)
{
    for (int i = 0; i < RUN_N_SERIES; i++) {
        run->series[i].n += packet->ns[i] != RUN_UNKNOWN;
    }
    run->n_packets++;
    if (run->n_kept < RUN_MAX_PACKETS) {
        keep_packet(run, packet);
    } else {
        uint64_t at = next_random(&run->random) % run->n_packets;

        if (at < RUN_MAX_PACKETS) {
            run->packets[at] = *packet;
        }
    }
}

static int
compare_packets(const void *a_, const void *b_)
{
    const struct run_packet *a = a_, *b = b_;

    return a->when_ns < b->when_ns ? -1 : a->when_ns > b->when_ns;
}

static void
sort_packets(struct run *run)
{
    if (run->n_kept) {
        qsort(run->packets, run->n_kept, sizeof *run->packets,
              compare_packets);
    }
}

/* Appends 's' as JSON.  JSON has to be UTF-8, a name need not be. */
static void
put_string(struct ds *ds, const char *s)
{
    char *error = s ? utf8_validate(s, NULL) : NULL;

    if (!s) {
        ds_put_cstr(ds, "null");
    } else if (!error) {
        json_string_escape(s, ds);
    } else {
        char *copy = xstrdup(s);

        for (char *p = copy; *p; p++) {
            if (*p & 0x80) {
                *p = '?';
            }
        }
        json_string_escape(copy, ds);
        free(copy);
    }
    free(error);
}

static void
put_ids(struct ds *ds, const char *key, char *const ids[2])
{
    ds_put_format(ds, " \"%s\": [", key);
    put_string(ds, ids[0]);
    ds_put_cstr(ds, ", ");
    put_string(ds, ids[1]);
    ds_put_cstr(ds, "],\n");
}

char *
run_write(struct run *run, const char *name)
{
    struct ds ds = DS_EMPTY_INITIALIZER;
    char *error;

    sort_packets(run);
    ds_put_format(&ds, "{\"format\": \"%s\", \"version\": %d,\n \"title\": ",
                  RUN_FORMAT, RUN_VERSION);
    put_string(&ds, run->title ? run->title : "");
    ds_put_cstr(&ds, ",\n");
    put_ids(&ds, "boot_ids", run->boot_ids);
    put_ids(&ds, "run_ids", run->run_ids);
    ds_put_format(&ds, " \"rtt_is_of_guest\": %s,\n \"packets\": %"PRIu64
                  ",\n \"series\": [",
                  run->rtt_is_of_guest ? "true" : "false", run->n_packets);
    for (int i = 0; i < RUN_N_SERIES; i++) {
        ds_put_format(&ds, "%s\n  {\"name\": \"%s\", \"how\": \"%s\", "
                      "\"why\": ", i ? "," : "", run_series_name(i),
                      report_how_name(run->series[i].how));
        put_string(&ds, run->series[i].why);
        ds_put_format(&ds, ", \"n\": %"PRIu64"}", run->series[i].n);
    }
    ds_put_cstr(&ds, "],\n \"sample\": [");
    for (size_t i = 0; i < run->n_kept; i++) {
        const struct run_packet *p = &run->packets[i];

        ds_put_format(&ds, "%s\n  [%"PRIu64, i ? "," : "", p->when_ns);
        for (int j = 0; j < RUN_N_SERIES; j++) {
            if (p->ns[j] == RUN_UNKNOWN) {
                ds_put_cstr(&ds, ",null");
            } else {
                ds_put_format(&ds, ",%"PRId64, p->ns[j]);
            }
        }
        ds_put_char(&ds, ']');
    }
    ds_put_cstr(&ds, "]}\n");

    error = page_write_file(name, ds.string, ds.length);
    ds_destroy(&ds);
    return error;
}

/* Reading.  Functions return false, and leave what they had, if the file does
 * not have what it should. */

static const struct json *
get(const struct json *object, const char *key, enum json_type type)
{
    const struct json *value = shash_find_data(object->object, key);

    return value && value->type == type ? value : NULL;
}

static bool
get_count(const struct json *object, const char *key, uint64_t *value)
{
    const struct json *json = get(object, key, JSON_INTEGER);

    if (!json || json->integer < 0) {
        return false;
    }
    *value = json->integer;
    return true;
}

/* A string or null. */
static bool
get_text(const struct json *json, char **value)
{
    if (!json || (json->type != JSON_STRING && json->type != JSON_NULL)) {
        return false;
    }
    *value = json->type == JSON_STRING ? xstrdup(json->string) : NULL;
    return true;
}

static bool
get_ids(const struct json *object, const char *key, char *ids[2])
{
    const struct json *json = get(object, key, JSON_ARRAY);

    return (json && json->array.n == 2
            && get_text(json->array.elems[0], &ids[0])
            && get_text(json->array.elems[1], &ids[1]));
}

static bool
get_boolean(const struct json *object, const char *key, bool *value)
{
    *value = get(object, key, JSON_TRUE) != NULL;
    return *value || get(object, key, JSON_FALSE);
}

static bool
get_how(const struct json *object, enum report_how *how)
{
    const struct json *json = get(object, "how", JSON_STRING);

    for (int i = 0; json && i <= REPORT_UNKNOWN; i++) {
        if (!strcmp(json->string, report_how_name(i))) {
            *how = i;
            return true;
        }
    }
    return false;
}

static bool
get_series(struct run *run, const struct json *array)
{
    if (!array || array->array.n != RUN_N_SERIES) {
        return false;
    }
    for (int i = 0; i < RUN_N_SERIES; i++) {
        const struct json *json = array->array.elems[i], *name;

        if (json->type != JSON_OBJECT) {
            return false;
        }
        name = get(json, "name", JSON_STRING);
        if (!name || strcmp(name->string, run_series_name(i))
            || !get_how(json, &run->series[i].how)
            || !get_text(shash_find_data(json->object, "why"),
                         &run->series[i].why)
            || !get_count(json, "n", &run->series[i].n)) {
            return false;
        }
    }
    return true;
}

static bool
get_sample(struct run *run, const struct json *array)
{
    if (!array || array->array.n > RUN_MAX_PACKETS) {
        return false;
    }
    for (size_t i = 0; i < array->array.n; i++) {
        const struct json *row = array->array.elems[i];
        struct run_packet packet;

        if (row->type != JSON_ARRAY || row->array.n != RUN_N_SERIES + 1) {
            return false;
        }
        for (int j = 0; j <= RUN_N_SERIES; j++) {
            const struct json *json = row->array.elems[j];

            if (json->type == JSON_INTEGER && (j || json->integer >= 0)) {
                if (j) {
                    packet.ns[j - 1] = json->integer;
                } else {
                    packet.when_ns = json->integer;
                }
            } else if (json->type == JSON_NULL && j) {
                packet.ns[j - 1] = RUN_UNKNOWN;
            } else {
                return false;
            }
        }
        keep_packet(run, &packet);
    }
    sort_packets(run);
    return true;
}

static char *
parse_run(struct run *run, const struct json *json)
{
    const struct json *format, *version;

    if (json->type == JSON_STRING) {
        return xasprintf("it is not what join --save makes: %s",
                         json->string);
    } else if (json->type != JSON_OBJECT
               || !(format = get(json, "format", JSON_STRING))
               || strcmp(format->string, RUN_FORMAT)
               || !(version = get(json, "version", JSON_INTEGER))) {
        return xstrdup("it is not what join --save makes");
    } else if (version->integer != RUN_VERSION) {
        return xasprintf("it has version %lld, this program reads %d",
                         version->integer, RUN_VERSION);
    } else if (!get_text(get(json, "title", JSON_STRING), &run->title)
               || !get_ids(json, "boot_ids", run->boot_ids)
               || !get_ids(json, "run_ids", run->run_ids)
               || !get_boolean(json, "rtt_is_of_guest", &run->rtt_is_of_guest)
               || !get_count(json, "packets", &run->n_packets)
               || !get_series(run, get(json, "series", JSON_ARRAY))
               || !get_sample(run, get(json, "sample", JSON_ARRAY))) {
        return xstrdup("it is damaged");
    }
    return NULL;
}

char *
run_read(struct run *run, const char *name)
{
    struct json *json;
    char *why, *error;
    struct stat s;

    if (stat(name, &s)) {
        return xasprintf("%s: %s", name, ovs_strerror(errno));
    } else if (!S_ISREG(s.st_mode)) {
        return xasprintf("%s: it is not a regular file", name);
    } else if (s.st_size > RUN_MAX_BYTES) {
        return xasprintf("%s: it is not what join --save makes: larger than "
                         "%d MiB", name, RUN_MAX_BYTES / 1024 / 1024);
    }

    run_init(run);
    json = json_from_file(name);
    why = parse_run(run, json);
    json_destroy(json);
    if (!why) {
        return NULL;
    }
    run_uninit(run);
    error = xasprintf("%s: %s", name, why);
    free(why);
    return error;
}
