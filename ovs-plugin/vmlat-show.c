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

/* The commands that show what was counted. */

#include <config.h>
#include "vmlat-view.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "openvswitch/vlog.h"
#include "util.h"
#include "vmlat-command.h"
#include "vmlat-histogram.h"
#include "vmlat-port.h"
#include "vmlat-shard.h"
#include "vmlat-window.h"

VLOG_DEFINE_THIS_MODULE(vmlat_show);

static const char *fate_headings[] = {
#define VMLAT_FATE(ID, HEADING, MEANING) HEADING,
    VMLAT_FATES
#undef VMLAT_FATE
};

/* vmlat/show. */

/* Appends a cell for what a pair of ports counts beside its latencies. */
static void
show_count(struct vmlat_out *out, const struct vmlat_row *row,
           uint64_t count)
{
    if (row->counts) {
        vmlat_out_integer(out, count);
    } else {
        vmlat_out_none(out);
    }
}

static void
show_rows(struct vmlat_view *view, struct vmlat_out *out)
{
    bool with_counts = view->args->stages && !out->people;

    vmlat_out_columns(out, "bridge port peer direction segment packets "
                           "min_ns p50_ns p90_ns p99_ns p999_ns max_ns",
                           "bridge port peer direction segment packets "
                           "min p50 p90 p99 p99.9 max");
    if (with_counts) {
        vmlat_out_columns(out, "segments passes ct_passes stage_missed",
                          NULL);
    }
    for (size_t i = 0; i < view->n_rows; i++) {
        const struct vmlat_row *row = &view->rows[i];

        vmlat_out_row(out);
        vmlat_out_string(out, row->bridge);
        vmlat_out_port(out, row->in->name, vmlat_view_vm(view, row->in));
        if (row->out) {
            vmlat_out_port(out, row->out->name, vmlat_view_vm(view, row->out));
        } else {
            vmlat_out_string(out, "-");
        }
        vmlat_out_string(out, vmlat_row_direction(row));
        vmlat_out_string(out, vmlat_segment_names[row->segment]);
        vmlat_out_integer(out, row->packets);
        vmlat_out_ns(out, row->min);
        vmlat_out_ns(out, row->p50);
        vmlat_out_ns(out, row->p90);
        vmlat_out_ns(out, row->p99);
        vmlat_out_ns(out, row->p999);
        vmlat_out_ns(out, row->max);
        if (with_counts) {
            const struct vmlat_kernel_pair none = { 0 };
            const struct vmlat_kernel_pair *c = (row->counts ? row->counts
                                                 : &none);

            show_count(out, row, c->segments);
            show_count(out, row, c->passes);
            show_count(out, row, c->ct_passes);
            show_count(out, row, c->stage_missed);
        }
    }
}

/* Appends what pairs of ports count beside, a line each, for people. */
static void
put_counts(struct vmlat_view *view, struct ds *ds)
{
    for (size_t i = 0; i < view->n_rows; i++) {
        const struct vmlat_row *row = &view->rows[i];
        const struct vmlat_kernel_pair *c = row->counts;

        if (!c) {
            continue;
        }
        vmlat_put_port(ds, row->in->name, vmlat_view_vm(view, row->in));
        ds_put_cstr(ds, " > ");
        vmlat_put_port(ds, row->out->name, vmlat_view_vm(view, row->out));
        ds_put_format(ds, ": packets %"PRIu64", segments %"PRIu64", passes "
                      "through the flow table %"PRIu64", through conntrack %"
                      PRIu64", with a stage missed %"PRIu64"\n",
                      c->packets, c->segments, c->passes, c->ct_passes,
                      c->stage_missed);
    }
}

/* Shows latencies. */
char *
vmlat_command_show(const struct vmlat_args *args, struct ds *reply)
{
    struct vmlat_out out;
    struct vmlat_view view;
    char *error;

    ovs_mutex_lock(&vmlat_ports_mutex);
    error = vmlat_view_init(&view, args, false);
    if (!error && !args->check_only) {
        vmlat_view_read(&view);
        vmlat_out_init(&out, args);
        vmlat_out_state(&out, args);
        show_rows(&view, &out);
        vmlat_out_finish(&out, reply);
        if (args->style.format == TF_TABLE) {
            put_counts(&view, reply);
        }
    }
    ovs_mutex_unlock(&vmlat_ports_mutex);
    vmlat_view_destroy(&view);
    return error;
}

/* vmlat/histogram. */

/* Lines for the part of a histogram up to its 99th percentile and for the
 * rest, and the length of the longest bar. */
#define CORE_LINES 24
#define TAIL_LINES 16
#define MAX_BAR 40

/* How a histogram is shown: in lines of 'core' buckets each up to the bucket
 * 'core_last', of 'tail' buckets each from there on.  Powers of 2, so that no
 * line crosses a power of 2 unless it holds all of it. */
struct bars {
    const struct vmlat_snapshot *s;
    size_t first, last;         /* Buckets with samples. */
    size_t core_last;
    size_t core, tail;
    bool coarse;                /* See VMLAT_HIST_COARSE. */
    uint64_t most;              /* Samples in the fullest line. */
};

/* Returns the first bucket of the line after that which starts at 'bucket' and
 * stores the number of samples in this one in '*n'. */
static size_t
bars_next(const struct bars *bars, size_t bucket, uint64_t *n)
{
    size_t group = bucket <= bars->core_last ? bars->core : bars->tail;
    size_t next = (bucket / group + 1) * group;

    *n = 0;
    for (size_t i = bucket; i < MIN(next, VMLAT_HIST_N_BUCKETS); i++) {
        *n += bars->s->buckets[i];
    }
    return next;
}

/* Counts the lines of both parts; one line stands for any number of empty
 * ones. */
static void
bars_count(struct bars *bars, size_t *n_core, size_t *n_tail)
{
    bool was_empty = false;
    size_t next;

    *n_core = *n_tail = 0;
    bars->most = 0;
    for (size_t i = bars->first / bars->core * bars->core; i <= bars->last;
         i = next) {
        uint64_t n;

        next = bars_next(bars, i, &n);
        if (n || !was_empty) {
            *(i <= bars->core_last ? n_core : n_tail) += 1;
        }
        was_empty = !n;
        bars->most = MAX(bars->most, n);
    }
}

static void
bars_init(struct bars *bars, const struct vmlat_snapshot *s, bool coarse)
{
    size_t n_core, n_tail;

    bars->s = s;
    bars->first = vmlat_histogram_bucket(s->min);
    bars->last = vmlat_histogram_bucket(s->max);
    bars->core_last
        = vmlat_histogram_bucket(vmlat_snapshot_percentile(s, 99));
    bars->coarse = coarse;
    bars->core = 1;
    if (coarse) {
        bars->first = vmlat_snapshot_first(s);
        bars->last = vmlat_snapshot_last(s);
        bars->core = VMLAT_HIST_COARSE;
    }
    bars->tail = VMLAT_HIST_N_SUB;
    for (;;) {
        bars_count(bars, &n_core, &n_tail);
        if (n_core > CORE_LINES) {
            bars->core *= 2;
            bars->tail = MAX(bars->tail, bars->core);
        } else if (n_tail > TAIL_LINES) {
            bars->tail *= 2;
        } else {
            break;
        }
    }
}

static void
put_bars(const struct vmlat_snapshot *s, bool coarse, struct ds *ds)
{
    bool was_empty = false;
    uint64_t so_far = 0;
    struct bars bars;
    size_t next;

    bars_init(&bars, s, coarse);
    ds_put_format(ds, "%11s   %11s %12s %6s %6s\n",
                  "from", "to", "packets", "%", "sum %");
    for (size_t i = bars.first / bars.core * bars.core; i <= bars.last;
         i = next) {
        struct ds from = DS_EMPTY_INITIALIZER;
        struct ds to = DS_EMPTY_INITIALIZER;
        uint64_t n;

        next = bars_next(&bars, i, &n);
        if (!n) {
            if (!was_empty) {
                ds_put_format(ds, "%11s\n", "...");
            }
            was_empty = true;
            continue;
        }
        was_empty = false;
        so_far += n;

        vmlat_put_us(&from, (coarse ? vmlat_histogram_coarse_floor(i)
                             : vmlat_histogram_bucket_floor(i)));
        if (next <= VMLAT_HIST_OVERFLOW) {
            vmlat_put_us(&to, vmlat_histogram_bucket_floor(next));
        } else {
            ds_put_cstr(&to, "more");
        }
        ds_put_format(ds, "%11s - %11s %12"PRIu64" %6.2f %6.2f ",
                      ds_cstr(&from), ds_cstr(&to), n,
                      100.0 * n / s->count, 100.0 * so_far / s->count);
        ds_put_char_multiple(ds, '#',
                             (n * MAX_BAR + bars.most - 1) / bars.most);
        ds_put_char(ds, '\n');
        ds_destroy(&from);
        ds_destroy(&to);
    }
}

static void
put_histogram(struct vmlat_view *view, const struct vmlat_row *row,
              struct ds *ds)
{
    const struct vmlat_snapshot *s = row->snapshot;
    static const double percentiles[] = { 50, 90, 99, 99.9 };

    vmlat_put_port(ds, row->in->name, vmlat_view_vm(view, row->in));
    if (row->out) {
        ds_put_cstr(ds, " > ");
        vmlat_put_port(ds, row->out->name, vmlat_view_vm(view, row->out));
        ds_put_format(ds, ", %s", vmlat_row_direction(row));
    }
    ds_put_format(ds, ", %s: %"PRIu64" %s%s\nmin ",
                  vmlat_segment_names[row->segment], s->count,
                  row->segment == VMLAT_SEG_POLL_GAP ? "gap" : "packet",
                  s->count == 1 ? "" : "s");
    vmlat_put_us(ds, s->min);
    for (size_t i = 0; i < ARRAY_SIZE(percentiles); i++) {
        ds_put_format(ds, ", p%g ", percentiles[i]);
        vmlat_put_us(ds, vmlat_snapshot_percentile(s, percentiles[i]));
    }
    ds_put_cstr(ds, ", max ");
    vmlat_put_us(ds, s->max);
    ds_put_cstr(ds, ", mean ");
    vmlat_put_us(ds, vmlat_snapshot_mean(s));
    ds_put_char(ds, '\n');
    put_bars(s, row->segment >= VMLAT_FIRST_VIRT, ds);
}

/* Shows histograms: as bars for people, all their buckets that have samples
 * for programs. */
char *
vmlat_command_histogram(const struct vmlat_args *args_, struct ds *reply)
{
    struct vmlat_args args = *args_;
    struct vmlat_out out;
    struct vmlat_view view;
    char *error;

    /* "port=p1 vm-wire" leaves just the direction as a word. */
    if (args.n_words && args.filter.port
        && vmlat_direction_from_string(args.words[0],
                                       &args.filter.direction)) {
        args.filter.keys |= VMLAT_FILTER_DIRECTION;
        args.n_words--;
    }
    if (!args.n_words && !args.filter.port) {
        return xstrdup("which port?  Usage: vmlat/histogram port "
                       "[direction]");
    } else if (args.n_words > 1) {
        if (args.filter.keys & VMLAT_FILTER_DIRECTION) {
            return xasprintf("\"%s\": the direction is there twice",
                             args.words[1]);
        }
        if (!vmlat_direction_from_string(args.words[1],
                                         &args.filter.direction)) {
            struct ds ds = DS_EMPTY_INITIALIZER;

            ds_put_format(&ds, "\"%s\" is not a direction; there are",
                          args.words[1]);
            for (int i = 0; i < VMLAT_N_DIRECTIONS; i++) {
                ds_put_format(&ds, "%s %s", i ? "," : "",
                              vmlat_direction_to_string(i));
            }
            ds_put_cstr(&ds, " (or vm-wire and so on)");
            return ds_steal_cstr(&ds);
        }
        args.filter.keys |= VMLAT_FILTER_DIRECTION;
    }

    ovs_mutex_lock(&vmlat_ports_mutex);
    error = vmlat_view_init(&view, &args, true);
    if (!error && !args.check_only) {
        view.keep_snapshots = true;
        vmlat_view_read(&view);
        if (args.style.format == TF_TABLE) {
            vmlat_put_scope(reply, &args);
            ds_put_cstr(reply, view.n_rows ? "\n" : "\nno packets\n");
            for (size_t i = 0; i < view.n_rows; i++) {
                ds_put_char(reply, '\n');
                put_histogram(&view, &view.rows[i], reply);
            }
        } else {
            vmlat_out_init(&out, &args);
            vmlat_out_state(&out, &args);
            vmlat_out_columns(&out, "port peer direction segment from_ns "
                                    "to_ns packets",
                                    "port peer direction segment from "
                                    "to packets");
            for (size_t i = 0; i < view.n_rows; i++) {
                const struct vmlat_row *row = &view.rows[i];
                bool coarse = row->segment >= VMLAT_FIRST_VIRT;

                for (size_t j = 0; j < VMLAT_HIST_N_BUCKETS; j++) {
                    if (!row->snapshot->buckets[j]) {
                        continue;
                    }
                    vmlat_out_row(&out);
                    vmlat_out_port(&out, row->in->name,
                                   vmlat_view_vm(&view, row->in));
                    vmlat_out_string(&out, vmlat_row_peer(row));
                    vmlat_out_string(&out, vmlat_row_direction(row));
                    vmlat_out_string(&out, vmlat_segment_names[row->segment]);
                    vmlat_out_ns(&out, (coarse
                                        ? vmlat_histogram_coarse_floor(j)
                                        : vmlat_histogram_bucket_floor(j)));
                    vmlat_out_ns(&out, (j >= VMLAT_HIST_OVERFLOW
                                        ? row->snapshot->max
                                        : coarse
                                        ? vmlat_histogram_coarse_ceil(j)
                                        : vmlat_histogram_bucket_ceil(j)));
                    vmlat_out_integer(&out, row->snapshot->buckets[j]);
                }
            }
            vmlat_out_finish(&out, reply);
        }
    }
    ovs_mutex_unlock(&vmlat_ports_mutex);
    vmlat_view_destroy(&view);
    return error;
}

/* vmlat/accounting. */

struct account_row {
    const char *name;
    const char *vm;
    bool copies;
    uint64_t entered;
    uint64_t inside_before;     /* 0 if there is no interval. */
    const uint64_t *fates;
};

/* Returns true if 'row' adds up. */
static bool
account_adds_up(const struct account_row *row)
{
    uint64_t all = row->entered + row->inside_before;
    uint64_t sum = 0;

    for (size_t i = 0; i < VMLAT_N_FATES; i++) {
        /* More than there was would be a number below zero that wrapped. */
        if (row->fates[i] > all) {
            return false;
        }
        sum += row->fates[i];
    }
    return sum == all;
}

static void
account_show(const struct account_row *rows, size_t n_rows, bool interval,
             struct vmlat_out *out)
{
    bool shown[VMLAT_N_FATES];

    for (size_t i = 0; i < VMLAT_N_FATES; i++) {
        shown[i] = (!out->people || i == VMLAT_FATE_MEASURED
                    || i == VMLAT_FATE_DROPPED || i == VMLAT_FATE_INSIDE);
        for (size_t j = 0; j < n_rows; j++) {
            shown[i] = shown[i] || rows[j].fates[i];
        }
    }

    vmlat_out_columns(out, "port rx_packets", NULL);
    if (interval) {
        vmlat_out_columns(out, "inside_before", NULL);
    }
    for (size_t i = 0; i < VMLAT_N_FATES; i++) {
        if (shown[i]) {
            vmlat_out_columns(out, fate_headings[i], NULL);
        }
    }
    for (size_t i = 0; i < n_rows; i++) {
        const struct account_row *row = &rows[i];

        vmlat_out_row(out);
        if (row->copies) {
            char *name = xasprintf("%s copies", row->name);

            vmlat_out_port(out, name, row->vm);
            free(name);
        } else {
            vmlat_out_port(out, row->name, row->vm);
        }
        vmlat_out_integer(out, row->entered);
        if (interval) {
            vmlat_out_integer(out, row->inside_before);
        }
        for (size_t j = 0; j < VMLAT_N_FATES; j++) {
            if (shown[j]) {
                vmlat_out_integer(out, row->fates[j]);
            }
        }
    }
}

/* Adds the rows of one account to 'rows' and returns their number. */
static size_t
account_rows(const char *name, const char *vm, bool always,
             const struct vmlat_account *account,
             const uint64_t inside_before[2], struct account_row *rows)
{
    size_t n = 0;

    for (size_t i = 0; i < 2; i++) {
        struct account_row row = {
            .name = name,
            .vm = vm,
            .copies = i,
            .entered = i ? account->copies : account->rx_packets,
            .inside_before = inside_before[i],
            .fates = account->fates[i],
        };
        bool any = row.entered || row.inside_before || (always && !i);

        for (size_t j = 0; !any && j < VMLAT_N_FATES; j++) {
            any = row.fates[j];
        }
        if (any) {
            rows[n++] = row;
        }
    }
    return n;
}

/* Shows what became of the packets that entered. */
char *
vmlat_command_accounting(const struct vmlat_args *args, struct ds *reply)
{
    struct vmlat_account *accounts;
    uint64_t (*inside_before)[2];
    struct account_row *rows;
    struct vmlat_port_list list;
    struct vmlat_out out;
    size_t n_rows = 0;
    struct vmlat_view view;
    char *error;

    ovs_mutex_lock(&vmlat_ports_mutex);
    error = vmlat_view_init(&view, args, false);
    if (error || args->check_only) {
        goto exit;
    }

    vmlat_port_list_init(&list, &view);
    accounts = xmalloc(VMLAT_MAX_PORTS * sizeof *accounts);
    inside_before = xcalloc(VMLAT_MAX_PORTS, sizeof *inside_before);
    vmlat_window_accounts(args->base, accounts, inside_before);

    rows = xmalloc((list.n + 1) * 2 * sizeof *rows);
    if (vmlat_view_is_all(&view)) {
        n_rows += account_rows("-", NULL, false, &accounts[0],
                               inside_before[0], rows);
    }
    for (size_t i = 0; i < list.n; i++) {
        const struct vmlat_port *port = list.ports[i];

        n_rows += account_rows(port->name, vmlat_view_vm(&view, port), true,
                               &accounts[port->slot],
                               inside_before[port->slot], &rows[n_rows]);
    }

    vmlat_out_init(&out, args);
    vmlat_out_state(&out, args);
    account_show(rows, n_rows, args->base != NULL, &out);
    vmlat_out_finish(&out, reply);
    for (size_t i = 0; i < n_rows; i++) {
        if (!account_adds_up(&rows[i])
            && !(args->base && vmlat_base_is_anew(args->base))) {
            VLOG_ERR("the account of %s%s does not add up: this is a bug",
                     rows[i].name, rows[i].copies ? " copies" : "");
            if (args->style.format == TF_TABLE) {
                ds_put_cstr(reply, "BUG: the account of ");
                vmlat_put_port(reply, rows[i].name, rows[i].vm);
                ds_put_format(reply, "%s does not add up\n",
                              rows[i].copies ? " copies" : "");
            }
        }
    }
    free(rows);
    free(inside_before);
    free(accounts);
    free(list.ports);

exit:
    ovs_mutex_unlock(&vmlat_ports_mutex);
    vmlat_view_destroy(&view);
    return error;
}

/* vmlat/bursts. */

/* What is shown about the bursts in one direction. */
struct burst_summary {
    uint64_t calls;
    uint64_t empty;
    uint64_t packets;
    double average;             /* Of those that were not empty. */
    size_t p50, p99, max;
};

/* Returns the smallest size so that 'percent' of the bursts that are not empty
 * are no larger. */
static size_t
burst_percentile(const uint64_t bursts[VMLAT_MAX_BURST + 1], uint64_t n,
                 unsigned int percent)
{
    uint64_t rank = (n * percent + 99) / 100;
    uint64_t seen = 0;

    for (size_t i = 1; n && i <= VMLAT_MAX_BURST; i++) {
        seen += bursts[i];
        if (seen >= rank) {
            return i;
        }
    }
    return 0;
}

static void
summarize_bursts(const uint64_t bursts[VMLAT_MAX_BURST + 1],
                 struct burst_summary *summary)
{
    uint64_t n = 0;

    memset(summary, 0, sizeof *summary);
    for (size_t i = 1; i <= VMLAT_MAX_BURST; i++) {
        n += bursts[i];
        summary->packets += i * bursts[i];
        if (bursts[i]) {
            summary->max = i;
        }
    }
    summary->empty = bursts[0];
    summary->calls = n + bursts[0];
    summary->average = n ? (double) summary->packets / n : 0;
    summary->p50 = burst_percentile(bursts, n, 50);
    summary->p99 = burst_percentile(bursts, n, 99);
}

/* Shows the sizes of bursts. */
char *
vmlat_command_bursts(const struct vmlat_args *args, struct ds *reply)
{
    struct vmlat_port_list list;
    struct vmlat_out out;
    struct vmlat_view view;
    char *error;

    ovs_mutex_lock(&vmlat_ports_mutex);
    error = vmlat_view_init(&view, args, false);
    if (error || args->check_only) {
        goto exit;
    }

    vmlat_port_list_init(&list, &view);
    vmlat_out_init(&out, args);
    vmlat_out_state(&out, args);
    vmlat_out_columns(&out, "port polls empty_polls rx_packets rx_avg rx_p50 "
                            "rx_p99 rx_max tx_bursts tx_packets tx_avg "
                            "tx_p50 tx_p99 tx_max tx_retries tx_failures "
                            "tx_refused", NULL);
    for (size_t i = 0; i < list.n; i++) {
        const struct vmlat_port *port = list.ports[i];
        struct burst_summary rx, tx;
        struct vmlat_bursts bursts;

        vmlat_window_bursts(args->base, port, &bursts);
        summarize_bursts(bursts.rx, &rx);
        summarize_bursts(bursts.tx, &tx);

        vmlat_out_row(&out);
        vmlat_out_port(&out, port->name, vmlat_view_vm(&view, port));
        vmlat_out_integer(&out, rx.calls);
        vmlat_out_integer(&out, rx.empty);
        vmlat_out_integer(&out, rx.packets);
        vmlat_out_real(&out, rx.average);
        vmlat_out_integer(&out, rx.p50);
        vmlat_out_integer(&out, rx.p99);
        vmlat_out_integer(&out, rx.max);
        vmlat_out_integer(&out, tx.calls);
        vmlat_out_integer(&out, tx.packets);
        vmlat_out_real(&out, tx.average);
        vmlat_out_integer(&out, tx.p50);
        vmlat_out_integer(&out, tx.p99);
        vmlat_out_integer(&out, tx.max);
        vmlat_out_integer(&out, bursts.tx_retries);
        vmlat_out_integer(&out, bursts.tx_failures);
        vmlat_out_integer(&out, bursts.tx_refused);
    }
    vmlat_out_finish(&out, reply);
    free(list.ports);

exit:
    ovs_mutex_unlock(&vmlat_ports_mutex);
    vmlat_view_destroy(&view);
    return error;
}
