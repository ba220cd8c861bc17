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

/* Writing of what was recorded to a file, in a thread: a disk may be slow. */

#include <config.h>
#include "vmlat-record-private.h"

#include <inttypes.h>
#include <stdlib.h>

#include "openvswitch/dynamic-string.h"
#include "ovs-rcu.h"
#include "ovs-thread.h"
#include "seq.h"
#include "unixctl.h"
#include "util.h"
#include "vmlat-command.h"

/* Records copied at a time, while producers wait. */
#define COPY_RECORDS 1024

/* A file that is being written.  The thread has it while 'is_running' and not
 * 'is_done'. */
struct dump {
    char *file;
    struct unixctl_conn *conn;          /* Waits for the answer. */
    const struct vmlat_command *command;

    struct vmlat_record_info info;
    struct vmlat_record_name *names;
    size_t n_names;
    uint64_t end_ns;

    bool is_running;
    pthread_t thread;
    atomic_bool is_cancelled;
    atomic_bool is_done;
    char *error;                        /* NULL: all is well. */
    uint64_t n_written;
};

static struct dump *dump;               /* NULL: there is none. */
static struct seq *seq;                 /* Changes when it is done. */
static uint64_t seen_seq;

static void
write_counters(struct vmlat_record_writer *w, const struct dump *d)
{
    static const char *const names[VMLAT_RECORD_N_COUNTS] = {
#define VMLAT_RECORD_COUNT(ID, NAME, MEANING) NAME,
        VMLAT_RECORD_COUNTS
#undef VMLAT_RECORD_COUNT
    };

    vmlat_record_writer_counter(w, "recorded", d->info.n_added);
    vmlat_record_writer_counter(w, "overwritten",
                                d->info.n_added - d->n_written);
    for (size_t i = 0; i < VMLAT_RECORD_N_COUNTS; i++) {
        vmlat_record_writer_counter(w, names[i], d->info.counts[i]);
    }
    vmlat_record_writer_counter(w, "clock-error-ns", d->info.clock_error_ns);
    vmlat_record_writer_counter(w, "missed", d->info.n_missed);
}

static char *
write_file(struct dump *d)
{
    struct vmlat_record *records;
    struct vmlat_record_writer *w;
    bool is_cancelled = false;
    uint64_t pos = 0;
    char *error;
    size_t n;

    w = vmlat_record_writer_open(d->file, &d->info.source, &error);
    if (!w) {
        return error;
    }
    for (size_t i = 0; i < d->n_names; i++) {
        vmlat_record_writer_name(w, &d->names[i]);
    }
    records = xmalloc(COPY_RECORDS * sizeof *records);
    while (!is_cancelled
           && (n = vmlat_record_copy(&pos, d->info.n_added, records,
                                     COPY_RECORDS))) {
        vmlat_record_writer_add(w, records, n);
        d->n_written += n;
        atomic_read_relaxed(&d->is_cancelled, &is_cancelled);
    }
    free(records);
    if (is_cancelled) {
        vmlat_record_writer_cancel(w);
        return xstrdup("ovs-vswitchd ends");
    }
    write_counters(w, d);
    return vmlat_record_writer_close(w, d->end_ns);
}

static void *
dump_main(void *d_)
{
    struct dump *d = d_;

    ovsrcu_quiesce_start();
    d->error = write_file(d);
    atomic_store_explicit(&d->is_done, true, memory_order_release);
    seq_change(seq);
    return NULL;
}

static void
dump_begin(struct dump *d)
{
    vmlat_record_get_info(&d->info);
    d->names = vmlat_record_names(&d->n_names);
    d->end_ns = d->info.end_ns ? d->info.end_ns : vmlat_record_now();
    d->is_running = true;
    d->thread = ovs_thread_create("vmlat_dump", dump_main, d);
}

/* Answers and forgets it. */
static void
dump_finish(void)
{
    struct dump *d = dump;

    if (d->is_running) {
        xpthread_join(d->thread, NULL);
    } else {
        d->error = xstrdup("ovs-vswitchd ends");
    }
    if (d->conn) {
        struct ds reply = DS_EMPTY_INITIALIZER;

        ds_put_format(&reply, "%s: %"PRIu64" records", d->file, d->n_written);
        if (d->info.n_added != d->n_written) {
            ds_put_format(&reply, "; %"PRIu64" older ones had been "
                          "overwritten", d->info.n_added - d->n_written);
        }
        ds_put_char(&reply, '\n');
        vmlat_command_reply(d->conn, d->command, d->error, ds_cstr(&reply));
        ds_destroy(&reply);
    }
    free(d->error);
    free(d->names);
    free(d->file);
    free(d);
    dump = NULL;
}

char *
vmlat_record_dump_start(const char *file)
{
    if (dump) {
        return xasprintf("%s is being written, wait until it is", dump->file);
    }
    if (!seq) {
        seq = seq_create();
    }
    dump = xzalloc(sizeof *dump);
    dump->file = xstrdup(file);
    return NULL;
}

bool
vmlat_record_await(struct unixctl_conn *conn, const struct vmlat_args *args)
{
    if (!dump || dump->conn) {
        return false;
    }
    dump->conn = conn;
    dump->command = args->command;
    return true;
}

bool
vmlat_record_is_dumping(void)
{
    return dump != NULL;
}

void
vmlat_record_dump_run(void)
{
    bool is_done;

    if (!dump) {
        return;
    }
    seen_seq = seq_read(seq);
    if (!dump->is_running) {
        /* What is still on its way belongs in the file. */
        if (vmlat_record_is_on() || !vmlat_record_is_open()) {
            dump_begin(dump);
        }
        return;
    }
    atomic_read_explicit(&dump->is_done, &is_done, memory_order_acquire);
    if (is_done) {
        dump_finish();
    }
}

void
vmlat_record_dump_wait(void)
{
    if (dump) {
        seq_wait(seq, seen_seq);
    }
}

void
vmlat_record_dump_exit(void)
{
    if (dump) {
        atomic_store_relaxed(&dump->is_cancelled, true);
        dump_finish();
    }
}
