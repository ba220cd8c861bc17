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

/* vmlat/rtt: the command. */

#include <config.h>
#include "vmlat-rtt.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "openvswitch/dynamic-string.h"
#include "packets.h"
#include "timeval.h"
#include "util.h"
#include "vmlat-command.h"
#include "vmlat-filter.h"

static const char *const counter_names[] = {
#define VMLAT_RTT_COUNTER(ID, NAME, MEANING) NAME,
    VMLAT_RTT_COUNTERS
#undef VMLAT_RTT_COUNTER
};

static const char *const counter_meanings[] = {
#define VMLAT_RTT_COUNTER(ID, NAME, MEANING) MEANING,
    VMLAT_RTT_COUNTERS
#undef VMLAT_RTT_COUNTER
};

static const char *const point_losses[] = {
#define VMLAT_RTT_POINT(ID, NAME, WITHOUT) WITHOUT,
    VMLAT_RTT_POINTS
#undef VMLAT_RTT_POINT
};

/* Text. */

static void
put_address(struct ds *ds, const uint32_t words[4])
{
    struct in6_addr address;

    memcpy(&address, words, sizeof address);
    ipv6_format_mapped(&address, ds);
}

static void
put_state(struct ds *ds, const struct vmlat_rtt_results *r)
{
    switch (r->state) {
    case VMLAT_RTT_OFF:
        ds_put_cstr(ds, r->filter
                    ? "stopped, showing what was measured before"
                    : "stopped: start with 'ovs-appctl vmlat/rtt start'");
        break;
    case VMLAT_RTT_LOADING:
        ds_put_cstr(ds, "starting");
        break;
    case VMLAT_RTT_ON:
        ds_put_cstr(ds, "started");
        break;
    case VMLAT_RTT_STOPPING:
        ds_put_cstr(ds, "stopping");
        break;
    case VMLAT_RTT_FAILED:
        ds_put_format(ds, "failed: %s", r->why_not);
        break;
    }
    if (r->filter) {
        ds_put_format(ds, "; filter: %s; timeout: %"PRIu64" ms",
                      r->filter[0] ? r->filter : "none",
                      (uint64_t) (r->config.timeout_ns / 1000000));
    }
}

/* The tables. */

static void
fill_latency(struct vmlat_out *out, const char *way, const char *part,
             const char *stage, const struct vmlat_histogram *h)
{
    struct vmlat_snapshot *s;

    if (!h) {
        return;
    }
    s = xmalloc(sizeof *s);
    vmlat_snapshot_init(s);
    if (vmlat_histogram_merge(s, h, 0) && s->count) {
        vmlat_out_row(out);
        vmlat_out_string(out, way);
        vmlat_out_string(out, part);
        if (stage) {
            vmlat_out_string(out, stage);
        } else {
            vmlat_out_none(out);
        }
        vmlat_out_integer(out, s->count);
        vmlat_out_ns(out, s->min);
        vmlat_out_ns(out, vmlat_snapshot_mean(s));
        vmlat_out_ns(out, vmlat_snapshot_percentile(s, 50));
        vmlat_out_ns(out, vmlat_snapshot_percentile(s, 90));
        vmlat_out_ns(out, vmlat_snapshot_percentile(s, 99));
        vmlat_out_ns(out, s->max);
    }
    free(s);
}

static void
fill_latencies(struct vmlat_out *out, const struct vmlat_rtt_results *r)
{
    vmlat_out_columns(out, "way part stage echoes min_ns mean_ns p50_ns "
                           "p90_ns p99_ns max_ns",
                           "way part stage echoes min mean p50 p90 p99 max");
    for (size_t way = 0; way < VMLAT_RTT_N_WAYS; way++) {
        const char *name = vmlat_rtt_way_names[way];

        for (size_t i = 0; i < VMLAT_RTT_N_PARTS; i++) {
            int path = (i == VMLAT_RTT_PART_PATH_1 ? 0
                        : i == VMLAT_RTT_PART_PATH_2 ? 1
                        : -1);

            fill_latency(out, name, vmlat_rtt_part_names[i], NULL,
                         r->parts[way][i]);
            for (size_t j = 0; path >= 0 && j < VMLAT_RTT_N_POINTS; j++) {
                fill_latency(out, name, vmlat_rtt_part_names[i],
                             vmlat_rtt_point_names[j],
                             r->stages[way][path][j]);
            }
        }
    }
}

/* One row for each power of 2 of each part. */
static void
fill_histogram(struct vmlat_out *out, const struct vmlat_rtt_results *r)
{
    struct vmlat_snapshot *s = xmalloc(sizeof *s);

    vmlat_out_columns(out, "way part from_ns to_ns echoes percent sum_percent",
                           "way part from to echoes % sum%");
    for (size_t way = 0; way < VMLAT_RTT_N_WAYS; way++) {
        for (size_t i = 0; i < VMLAT_RTT_N_PARTS; i++) {
            const struct vmlat_histogram *h = r->parts[way][i];
            uint64_t so_far = 0;

            vmlat_snapshot_init(s);
            if (!h || !vmlat_histogram_merge(s, h, 0)) {
                continue;
            }
            for (size_t b = 0; b < VMLAT_HIST_N_BUCKETS;
                 b += VMLAT_HIST_N_SUB) {
                size_t next = MIN(b + VMLAT_HIST_N_SUB, VMLAT_HIST_N_BUCKETS);
                uint64_t n = 0;

                for (size_t k = b; k < next; k++) {
                    n += s->buckets[k];
                }
                if (!n) {
                    continue;
                }
                so_far += n;
                vmlat_out_row(out);
                vmlat_out_string(out, vmlat_rtt_way_names[way]);
                vmlat_out_string(out, vmlat_rtt_part_names[i]);
                vmlat_out_ns(out, vmlat_histogram_bucket_floor(b));
                if (b < VMLAT_HIST_OVERFLOW) {
                    vmlat_out_ns(out, vmlat_histogram_bucket_ceil(next - 1));
                } else {
                    vmlat_out_none(out);
                }
                vmlat_out_integer(out, n);
                vmlat_out_real(out, 100.0 * n / s->count);
                vmlat_out_real(out, 100.0 * so_far / s->count);
            }
        }
    }
    free(s);
}

static void
out_text(struct vmlat_out *out, const char *s)
{
    if (s[0]) {
        vmlat_out_string(out, s);
    } else {
        vmlat_out_none(out);
    }
}

static void
fill_losses(struct vmlat_out *out, const struct vmlat_rtt_results *r)
{
    vmlat_out_columns(out, "way lost stage device reason function echoes",
                      NULL);
    for (size_t i = 0; i < r->n_losses; i++) {
        const struct vmlat_rtt_loss *loss = &r->losses[i];

        vmlat_out_row(out);
        vmlat_out_string(out, vmlat_rtt_way_names[loss->way]);
        vmlat_out_string(out, vmlat_rtt_verdict_names[loss->verdict]);
        out_text(out, loss->point < VMLAT_RTT_N_POINTS
                      ? vmlat_rtt_point_names[loss->point] : "");
        out_text(out, loss->device);
        out_text(out, loss->reason);
        out_text(out, loss->function);
        vmlat_out_integer(out, loss->n);
    }
    if (r->other_losses) {
        vmlat_out_row(out);
        vmlat_out_string(out, "others");
        for (int i = 0; i < 5; i++) {
            vmlat_out_none(out);
        }
        vmlat_out_integer(out, r->other_losses);
    }
}

static void
fill_count(struct vmlat_out *out, const char *name, uint64_t n,
           const char *meaning)
{
    vmlat_out_row(out);
    vmlat_out_string(out, name);
    vmlat_out_integer(out, n);
    vmlat_out_string(out, meaning);
}

static uint64_t
sum_verdicts(const struct vmlat_rtt_results *r, bool complete)
{
    uint64_t sum = 0;

    for (size_t way = 0; way < VMLAT_RTT_N_WAYS; way++) {
        for (size_t i = 0; i < VMLAT_RTT_N_VERDICTS; i++) {
            sum += (i == VMLAT_RTT_COMPLETE) == complete ? r->verdicts[way][i]
                                                         : 0;
        }
    }
    return sum;
}

static void
fill_accounting(struct vmlat_out *out, const struct vmlat_rtt_results *r)
{
    uint64_t complete = sum_verdicts(r, true);
    uint64_t lost = sum_verdicts(r, false);

    vmlat_out_columns(out, "what echoes meaning", NULL);
    fill_count(out, "followed",
               complete + lost + r->waiting + r->uncertain + r->unfinished,
               "the sum of the next five");
    fill_count(out, "complete", complete, "the reply was seen to its end");
    fill_count(out, "lost", lost, "no reply within the timeout");
    fill_count(out, "waiting", r->waiting, "neither of them yet");
    fill_count(out, "uncertain", r->uncertain,
               "no end seen, but points were lost or missed meanwhile");
    fill_count(out, "unfinished", r->unfinished,
               "still waiting when it was stopped");
    fill_count(out, "table-full", r->table_full,
               "requests not followed: too many at once");
    for (size_t i = 0; i < VMLAT_RTT_N_COUNTERS; i++) {
        fill_count(out, counter_names[i], r->counters[i], counter_meanings[i]);
    }
    fill_count(out, "points-missed", r->points_missed,
               "times that the kernel skipped a point, since it was at it");
    fill_count(out, "request-copies", r->request_copies,
               "requests that repeat one that waits for its reply");
    fill_count(out, "reply-copies", r->reply_copies,
               "replies to a request that already had one");
    fill_count(out, "late", r->late, "replies after the timeout");
}

static void
fill_points(struct vmlat_out *out, const struct vmlat_rtt_results *r)
{
    vmlat_out_columns(out, "point function attached why_not without_it "
                           "missed",
                           "point function attached why-not without-it "
                           "missed");
    for (size_t i = 0; i < r->n_attachments; i++) {
        const struct vmlat_rtt_attachment *a = &r->attachments[i];

        vmlat_out_row(out);
        vmlat_out_string(out, vmlat_rtt_point_names[a->point]);
        vmlat_out_string(out, a->target);
        out_text(out, a->how ? a->how : "");
        out_text(out, a->why_not ? a->why_not
                 : a->why_once ? a->why_once : "");
        out_text(out, !a->how ? point_losses[a->point]
                 : a->why_once ? "packets that interrupt others may be missed"
                 : "");
        vmlat_out_integer(out, a->missed);
    }
}

/* Echoes. */

/* Appends the steps of one path, each with its distance to the one before, and
 * what follows the last of them if the echo was lost there. */
static void
put_path(struct ds *ds, const struct vmlat_rtt_record *record, int path)
{
    const struct vmlat_rtt_judgement *j = &record->judgement;
    const struct vmlat_rtt_step *prev = NULL;

    for (size_t i = 0; i < j->n_path[path]; i++) {
        const struct vmlat_rtt_step *step
            = &record->echo.steps[j->path[path][i]];

        ds_put_format(ds, "%s%s", prev ? "  " : "",
                      vmlat_rtt_point_names[vmlat_rtt_stage(step)]);
        if (step->device[0]
            && (!prev || strcmp(prev->device, step->device))) {
            ds_put_char(ds, '(');
            vmlat_put_clean(ds, step->device);
            ds_put_char(ds, ')');
        }
        ds_put_cstr(ds, prev ? " +" : " ");
        vmlat_put_us(ds, prev ? step->time_ns - prev->time_ns : 0);
        prev = step;
    }
}

static void
put_drop(struct ds *ds, const struct vmlat_rtt_record *record)
{
    const struct vmlat_rtt_judgement *j = &record->judgement;
    size_t at = j->last != SIZE_MAX ? j->last : j->drop;

    if (at != SIZE_MAX) {
        const struct vmlat_rtt_step *step = &record->echo.steps[at];

        if (j->last != SIZE_MAX) {
            ds_put_format(ds, " after %s", vmlat_rtt_point_names[step->point]);
        } else {
            ds_put_cstr(ds, " before the first point");
        }
        if (step->device[0]) {
            ds_put_cstr(ds, " on ");
            vmlat_put_clean(ds, step->device);
        }
    }
    if (j->drop != SIZE_MAX) {
        ds_put_format(ds, ", %s", record->reason);
        if (record->function[0]) {
            ds_put_format(ds, " in %s", record->function);
        }
    }
}

static const char *
first_device(const struct vmlat_rtt_record *record)
{
    for (size_t i = 0; i < record->echo.n_steps; i++) {
        if (record->echo.steps[i].device[0]) {
            return record->echo.steps[i].device;
        }
    }
    return "";
}

static bool
has_process(const struct vmlat_rtt_record *record)
{
    return (record->judgement.way == VMLAT_RTT_WAY_OUT
            || record->judgement.way == VMLAT_RTT_WAY_SELF);
}

/* Appends 'record' to 'ds' as text of several lines. */
static void
put_record(struct ds *ds, const struct vmlat_rtt_record *record,
           uint32_t netns)
{
    const struct vmlat_rtt_judgement *j = &record->judgement;
    char *when = xastrftime_msec("%H:%M:%S", record->wall_us / 1000, false);

    ds_put_format(ds, "%s.%06d %s ", when, (int) (record->wall_us % 1000000),
                  vmlat_rtt_way_names[j->way]);
    free(when);
    put_address(ds, record->echo.key.src);
    ds_put_cstr(ds, " > ");
    put_address(ds, record->echo.key.dst);
    ds_put_format(ds, "  id %"PRIu16" seq %"PRIu16,
                  ntohs(record->echo.key.id), ntohs(record->echo.key.seq));
    if (has_process(record)) {
        ds_put_cstr(ds, "  ");
        vmlat_put_clean(ds, record->echo.command);
        ds_put_format(ds, "[%"PRIu32"]", record->echo.pid);
    }
    if (record->echo.key.netns != netns) {
        ds_put_format(ds, "  netns %"PRIu32, record->echo.key.netns);
    }
    if (j->verdict == VMLAT_RTT_COMPLETE) {
        ds_put_cstr(ds, "  total ");
        vmlat_put_us(ds, j->ns[VMLAT_RTT_PART_TOTAL]);
    } else {
        ds_put_format(ds, "  LOST in %s",
                      vmlat_rtt_verdict_names[j->verdict]);
        put_drop(ds, record);
    }
    ds_put_char(ds, '\n');

    for (size_t i = 0; i < VMLAT_RTT_PART_TOTAL; i++) {
        int path = (i == VMLAT_RTT_PART_PATH_1 ? 0
                    : i == VMLAT_RTT_PART_PATH_2 ? 1
                    : -1);

        if (!j->known[i] && (path < 0 || !j->n_path[path])) {
            continue;
        }
        ds_put_format(ds, "  %s  ", vmlat_rtt_part_names[i]);
        if (path >= 0) {
            put_path(ds, record, path);
        }
        if (j->known[i]) {
            ds_put_cstr(ds, path >= 0 ? "  = " : "");
            vmlat_put_us(ds, j->ns[i]);
        }
        ds_put_char(ds, '\n');
    }
}

static void
fill_record(struct vmlat_out *out, const struct vmlat_rtt_record *record)
{
    const struct vmlat_rtt_judgement *j = &record->judgement;
    size_t at = j->last != SIZE_MAX ? j->last : j->drop;
    struct ds ds = DS_EMPTY_INITIALIZER;
    bool lost = j->verdict != VMLAT_RTT_COMPLETE;

    vmlat_out_row(out);
    vmlat_out_integer(out, record->wall_us);
    vmlat_out_string(out, vmlat_rtt_way_names[j->way]);
    vmlat_out_string(out, vmlat_rtt_verdict_names[j->verdict]);
    put_address(&ds, record->echo.key.src);
    vmlat_out_string(out, ds_cstr(&ds));
    ds_clear(&ds);
    put_address(&ds, record->echo.key.dst);
    vmlat_out_string(out, ds_cstr(&ds));
    vmlat_out_integer(out, ntohs(record->echo.key.id));
    vmlat_out_integer(out, ntohs(record->echo.key.seq));
    vmlat_out_integer(out, record->echo.key.netns);
    if (has_process(record)) {
        vmlat_out_integer(out, record->echo.pid);
        vmlat_out_string(out, record->echo.command);
    } else {
        vmlat_out_none(out);
        vmlat_out_none(out);
    }
    out_text(out, first_device(record));
    for (size_t i = 0; i < VMLAT_RTT_N_PARTS; i++) {
        if (j->known[i]) {
            vmlat_out_integer(out, j->ns[i]);
        } else {
            vmlat_out_none(out);
        }
    }
    out_text(out, lost && j->last != SIZE_MAX
             ? vmlat_rtt_point_names[record->echo.steps[at].point] : "");
    out_text(out, lost && at != SIZE_MAX ? record->echo.steps[at].device : "");
    out_text(out, lost ? record->reason : "");
    out_text(out, lost ? record->function : "");
    for (int path = 0; path < 2; path++) {
        ds_clear(&ds);
        put_path(&ds, record, path);
        out_text(out, ds_cstr(&ds));
    }
    ds_destroy(&ds);
}

#define DEFAULT_RECORDS 10

/* Shows the last 'n' records, newest first. */
static void
show_records(const struct vmlat_args *args, const struct vmlat_rtt_results *r,
             size_t n, struct ds *reply)
{
    struct vmlat_out out;

    vmlat_out_init(&out, args);
    if (!out.people) {
        vmlat_out_columns(&out, "time_us way verdict src dst id seq netns pid "
                          "command device path_1_ns outside_ns answer_ns "
                          "path_2_ns total_ns lost_stage lost_device reason "
                          "function path_1 path_2", NULL);
    }
    for (size_t i = 0; i < MIN(n, VMLAT_RTT_MAX_RECORDS); i++) {
        const struct vmlat_rtt_record *record;

        if (i >= r->n_records) {
            break;
        }
        record = r->records[(r->n_records - 1 - i) % VMLAT_RTT_MAX_RECORDS];
        if (!out.people) {
            fill_record(&out, record);
        } else {
            put_record(reply, record, r->netns);
        }
    }
    if (out.people) {
        table_destroy(&out.table);
    } else {
        vmlat_out_finish(&out, reply);
    }
}

/* The command. */

typedef void fill_func(struct vmlat_out *, const struct vmlat_rtt_results *);

static void
show_table(const struct vmlat_args *args, const struct vmlat_rtt_results *r,
           fill_func *fill, const char *caption, struct ds *reply)
{
    struct vmlat_out out;

    vmlat_out_init(&out, args);
    if (caption) {
        vmlat_out_caption(&out, caption);
    }
    fill(&out, r);
    vmlat_out_finish(&out, reply);
}

/* Shows everything that fits on a screen, or for programs the latencies. */
static void
show_summary(const struct vmlat_args *args, const struct vmlat_rtt_results *r,
             struct ds *reply)
{
    struct ds caption = DS_EMPTY_INITIALIZER;
    bool any = false;

    put_state(&caption, r);
    if (r->filter) {
        ds_put_format(&caption, "\nechoes: %"PRIu64" complete, %"PRIu64
                      " lost, %"PRIu64" waiting",
                      sum_verdicts(r, true), sum_verdicts(r, false),
                      r->waiting);
        if (r->uncertain + r->table_full + r->unfinished
            + r->counters[VMLAT_RTT_CNT_LIMITED]
            + r->counters[VMLAT_RTT_CNT_UNRECORDED]) {
            ds_put_cstr(&caption, "; some are not counted here, see "
                        "'vmlat/rtt accounting'");
        }
    }
    show_table(args, r, fill_latencies, ds_cstr(&caption), reply);
    ds_destroy(&caption);
    if (args->style.format != TF_TABLE) {
        return;
    }

    if (r->n_losses) {
        ds_put_char(reply, '\n');
        show_table(args, r, fill_losses, "Lost:", reply);
    }
    for (size_t i = 0; i < r->n_attachments; i++) {
        const struct vmlat_rtt_attachment *a = &r->attachments[i];

        if (!a->how) {
            if (!any) {
                ds_put_cstr(reply, "\nStages that are missing:\n");
                any = true;
            }
            ds_put_format(reply, "%s (%s): %s; %s\n",
                          vmlat_rtt_point_names[a->point], a->target,
                          a->why_not, point_losses[a->point]);
        }
    }
}

/* Runs the command "vmlat/rtt". */
char *
vmlat_command_rtt(const struct vmlat_args *args, struct ds *reply)
{
    const char *what = args->n_words ? args->words[0] : "show";
    const struct vmlat_rtt_results *r;
    unsigned int n = DEFAULT_RECORDS;
    char *error = NULL;

    if (args->n_words > 1
        && (strcmp(what, "events")
            || !str_to_uint(args->words[1], 10, &n) || !n)) {
        return xasprintf("%s: only 'events' takes another word, a number "
                         "above 0", args->words[1]);
    }
    if ((args->filter.keys || args->timeout_ms) && strcmp(what, "start")) {
        return xstrdup("only 'start' takes a filter and a timeout");
    }

    if (!strcmp(what, "start")) {
        unsigned int timeout_ms = (args->timeout_ms ? args->timeout_ms
                                   : VMLAT_RTT_TIMEOUT_DEFAULT);

        if (timeout_ms > VMLAT_RTT_TIMEOUT_MAX) {
            return xasprintf("timeout=%u: must be from 1 to %d ms",
                             timeout_ms, VMLAT_RTT_TIMEOUT_MAX);
        }
        vmlat_rtt_start(&args->filter, timeout_ms);
        ds_put_cstr(reply, "starting, see 'vmlat/rtt'\n");
        return NULL;
    } else if (!strcmp(what, "stop")) {
        vmlat_rtt_stop();
        return NULL;
    }

    ovs_mutex_lock(&vmlat_rtt_mutex);
    r = vmlat_rtt_results();
    if (!strcmp(what, "show")) {
        show_summary(args, r, reply);
    } else if (!strcmp(what, "histogram")) {
        show_table(args, r, fill_histogram, NULL, reply);
    } else if (!strcmp(what, "lost")) {
        show_table(args, r, fill_losses, NULL, reply);
    } else if (!strcmp(what, "events")) {
        show_records(args, r, n, reply);
    } else if (!strcmp(what, "accounting")) {
        show_table(args, r, fill_accounting, NULL, reply);
    } else if (!strcmp(what, "points")) {
        show_table(args, r, fill_points, NULL, reply);
    } else {
        error = xasprintf("%s: give start, stop, show, histogram, lost, "
                          "events, accounting or points", what);
    }
    ovs_mutex_unlock(&vmlat_rtt_mutex);
    return error;
}
