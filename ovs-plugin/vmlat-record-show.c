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

/* vmlat/record. */

#include <config.h>
#include "vmlat-record-private.h"

#include <inttypes.h>
#include <string.h>

#include "openvswitch/dynamic-string.h"
#include "timeval.h"
#include "util.h"
#include "vmlat.h"
#include "vmlat-command.h"
#include "vmlat-db.h"
#include "vmlat-port.h"
#include "vmlat-settings.h"

static const struct {
    const char *name;
    const char *meaning;
} count_names[VMLAT_RECORD_N_COUNTS] = {
#define VMLAT_RECORD_COUNT(ID, NAME, MEANING) { NAME, MEANING },
    VMLAT_RECORD_COUNTS
#undef VMLAT_RECORD_COUNT
};

static const char *
state_name(const struct vmlat_record_info *info)
{
    return (!info->has_ring ? "off"
            : info->state == VMLAT_RECORD_ON ? "recording"
            : info->state == VMLAT_RECORD_DRAINING ? "stopping"
            : "stopped");
}

static void
put_megabytes(struct ds *ds, size_t bytes)
{
    ds_put_format(ds, "%.1f MB", bytes / 1e6);
}

/* Appends the state for people. */
static void
put_status(const struct vmlat_record_info *info, struct ds *ds)
{
    char *since;

    if (!info->has_ring) {
        ds_put_cstr(ds, "not recording, nothing is recorded: start with "
                        "'ovs-appctl vmlat/record start'\n");
        return;
    }
    since = xastrftime_msec("%Y-%m-%d %H:%M:%S",
                            info->source.start_wall_ns / 1000000, false);
    ds_put_format(ds, "%s, since %s; filter: %s\n", state_name(info), since,
                  info->source.filter[0] ? info->source.filter : "none");
    free(since);
    ds_put_format(ds, "%"PRIu64" records, of which the last %"PRIuSIZE" are "
                  "kept at most: %"PRIu64" have been overwritten; memory: ",
                  info->n_added, info->max_records, info->n_overwritten);
    put_megabytes(ds, info->memory);
    ds_put_char(ds, '\n');
    for (size_t i = 0; i < VMLAT_RECORD_N_COUNTS; i++) {
        if (info->counts[i]) {
            ds_put_format(ds, "not recorded, %s: %"PRIu64" (%s)\n",
                          count_names[i].name, info->counts[i],
                          count_names[i].meaning);
        }
    }
    if (info->clock_error_ns) {
        ds_put_cstr(ds, "times of userspace datapaths fit CLOCK_MONOTONIC "
                        "to ");
        vmlat_put_us(ds, info->clock_error_ns);
        ds_put_char(ds, '\n');
    }
    if (info->n_missed) {
        ds_put_format(ds, "%"PRIu64" runs of programs missed, since one was "
                      "running on that CPU: as many records at most lack a "
                      "time or are missing\n", info->n_missed);
    }
}

static void
out_row(struct vmlat_out *out, const char *name, uint64_t value)
{
    vmlat_out_row(out);
    vmlat_out_string(out, name);
    vmlat_out_integer(out, value);
}

static void
show_status(const struct vmlat_args *args, struct ds *reply)
{
    struct vmlat_record_info info;
    struct vmlat_out out;

    vmlat_record_get_info(&info);
    if (!args->format_given) {
        put_status(&info, reply);
        return;
    }
    vmlat_out_init(&out, args);
    vmlat_out_columns(&out, "name value", NULL);
    vmlat_out_row(&out);
    vmlat_out_string(&out, "state");
    vmlat_out_string(&out, state_name(&info));
    if (info.has_ring) {
        vmlat_out_row(&out);
        vmlat_out_string(&out, "filter");
        vmlat_out_string(&out, info.source.filter);
        out_row(&out, "start-ns", info.source.start_ns);
        out_row(&out, "records", info.n_added);
        out_row(&out, "max-records", info.max_records);
        out_row(&out, "overwritten", info.n_overwritten);
        for (size_t i = 0; i < VMLAT_RECORD_N_COUNTS; i++) {
            out_row(&out, count_names[i].name, info.counts[i]);
        }
        out_row(&out, "clock-error-ns", info.clock_error_ns);
        out_row(&out, "missed", info.n_missed);
        out_row(&out, "memory", info.memory);
    }
    vmlat_out_finish(&out, reply);
}

/* Returns the error if there is no port 'name'. */
static char *
check_port(const char *name)
{
    struct vmlat_db_port db;
    bool exists;

    ovs_mutex_lock(&vmlat_ports_mutex);
    exists = vmlat_port_from_name(name) != NULL;
    ovs_mutex_unlock(&vmlat_ports_mutex);
    if (exists) {
        return NULL;
    }
    vmlat_db_port_lookup(name, &db);
    return (db.bridge
            ? xasprintf("port \"%s\" of bridge \"%s\" is not measured",
                        name, db.bridge)
            : xasprintf("there is no port \"%s\"", name));
}

static char *
start(const struct vmlat_args *args, struct ds *reply)
{
    size_t n = (args->records ? args->records
                : vmlat_setting_get(VMLAT_SET_RECORD_MAX));
    char *error = NULL;

    if (vmlat_state() != VMLAT_STARTED) {
        return xstrdup("nothing is measured: 'ovs-appctl vmlat/start' has to "
                       "come first");
    } else if (vmlat_record_is_dumping()) {
        return xstrdup("what was recorded before is being written to a file, "
                       "wait until it is");
    }
    if (args->filter.keys & VMLAT_FILTER_PORT) {
        error = check_port(args->filter.port);
    }
    if (!error) {
        error = vmlat_record_start(&args->filter, n);
    }
    if (error) {
        return error;
    }
    ds_put_cstr(reply, "recording ");
    if (args->filter.keys) {
        ds_put_cstr(reply, "only ");
        vmlat_filter_format(&args->filter, reply);
        ds_put_cstr(reply, ", either way,");
    } else {
        ds_put_cstr(reply, "all packets");
    }
    ds_put_format(reply, " and keeping the last %"PRIuSIZE", ", n);
    put_megabytes(reply, n * sizeof(struct vmlat_record));
    ds_put_char(reply, '\n');
    return NULL;
}

static char *
dump(const char *file)
{
    struct vmlat_record_info info;

    if (file[0] != '/') {
        return xasprintf("%s: ovs-vswitchd writes the file, so give its "
                         "absolute path", file);
    }
    vmlat_record_get_info(&info);
    return (info.has_ring ? vmlat_record_dump_start(file)
            : xstrdup("nothing was recorded: 'ovs-appctl vmlat/record start' "
                      "has to come first"));
}

/* Runs the command "vmlat/record". */
char *
vmlat_command_record(const struct vmlat_args *args, struct ds *reply)
{
    const char *what = args->n_words ? args->words[0] : "";
    bool is_start = !strcmp(what, "start");
    bool is_dump = !strcmp(what, "dump");

    if (args->n_words > 1 && !is_dump) {
        return xasprintf("%s: only 'dump' takes another word, the file",
                         args->words[1]);
    } else if (is_dump && args->n_words < 2) {
        return xstrdup("dump: a file has to follow, an absolute path");
    } else if ((args->filter.keys || args->records) && !is_start) {
        return xstrdup("only 'start' takes a filter and records=");
    }

    if (is_start) {
        return start(args, reply);
    } else if (is_dump) {
        return dump(args->words[1]);
    } else if (!strcmp(what, "stop")) {
        if (!vmlat_record_is_on()) {
            ds_put_cstr(reply, "was not recording\n");
        } else {
            vmlat_record_stop();
            ds_put_cstr(reply, "stopped; 'ovs-appctl vmlat/record dump FILE' "
                               "writes what was recorded\n");
        }
    } else if (!strcmp(what, "clear")) {
        if (vmlat_record_is_dumping()) {
            return xstrdup("what was recorded is being written to a file, "
                           "wait until it is");
        }
        vmlat_record_clear();
        ds_put_cstr(reply, "cleared\n");
    } else if (!what[0]) {
        show_status(args, reply);
    } else {
        return xasprintf("%s: give start, stop, dump FILE or clear, or "
                         "nothing to see the state", what);
    }
    return NULL;
}
