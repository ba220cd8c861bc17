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

/* ovs-vmlat diff: which segment moved from one run to another. */

#include <config.h>
#include "ovs-vmlat.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "command-line.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/json.h"
#include "ovs-vmlat-page.h"
#include "ovs-vmlat-run.h"
#include "util.h"

/* What is compared: the segments, C + J, the rest and the RTT.  All intervals
 * together are to be right with a probability of 95 %, so each one gets its
 * part of the error (Bonferroni). */
#define DIFF_N (RUN_RTT + 1)
#define DIFF_ALPHA (0.05 / DIFF_N)

enum diff_verdict { DIFF_UNKNOWN, DIFF_UNCHANGED, DIFF_UP, DIFF_DOWN };

static const char *verdict_names[] = {
    [DIFF_UNKNOWN] = "unknown",
    [DIFF_UNCHANGED] = "unchanged",
    [DIFF_UP] = "moved up",
    [DIFF_DOWN] = "moved down",
};

struct diff_row {
    enum diff_verdict verdict;
    char *why;                  /* Why it is unknown, how it is known; or
                                 * NULL. */
    bool has_medians;           /* 'interval.median' is known... */
    bool has_interval;          /* ...and the rest of 'interval'. */
    struct run_interval interval;
    size_t n[2];
};

struct diff {
    struct run runs[2];
    double min_ns;
    struct diff_row rows[DIFF_N];
    char **notes;
    size_t n_notes, allocated_notes;
};

static void OVS_PRINTF_FORMAT(2, 3)
add_note(struct diff *diff, const char *format, ...)
{
    va_list args;

    if (diff->n_notes >= diff->allocated_notes) {
        diff->notes = x2nrealloc(diff->notes, &diff->allocated_notes,
                                 sizeof *diff->notes);
    }
    va_start(args, format);
    diff->notes[diff->n_notes++] = xvasprintf(format, args);
    va_end(args);
}

/* Returns the samples of 'series' in 'run', in the order of time, which the
 * caller must free. */
static double *
get_samples(const struct run *run, int series, size_t *n)
{
    double *samples = xmalloc((run->n_kept + 1) * sizeof *samples);

    *n = 0;
    for (size_t i = 0; i < run->n_kept; i++) {
        if (run->packets[i].ns[series] != RUN_UNKNOWN) {
            samples[(*n)++] = run->packets[i].ns[series];
        }
    }
    return samples;
}

static void
judge(const struct diff *diff, struct diff_row *row)
{
    row->has_interval = true;
    row->verdict = (row->interval.low > diff->min_ns ? DIFF_UP
                    : row->interval.high < -diff->min_ns ? DIFF_DOWN
                    : DIFF_UNCHANGED);
}

/* True if 'run' knows 'segment', be it only as a part of C + J. */
static bool
knows_segment(const struct run *run, int segment)
{
    return (run->series[segment].n
            || (report_segment_classes[segment].layer == REPORT_WIRE
                && run->series[RUN_WIRE].n));
}

/* Returns why 'series' is not the same thing in both runs, NULL if it is. */
static const char *
find_mismatch(const struct diff *diff, int series)
{
    const struct run *a = &diff->runs[0], *b = &diff->runs[1];

    if (series == RUN_RTT && a->rtt_is_of_guest != b->rtt_is_of_guest) {
        return "in one run it is of the VM, in the other one of its port";
    }
    for (int i = 0; series == RUN_REST && i < REPORT_N_SEGMENTS; i++) {
        if (knows_segment(a, i) != knows_segment(b, i)) {
            return "one run knows segments that the other one does not";
        }
    }
    return series == RUN_REST ? find_mismatch(diff, RUN_RTT) : NULL;
}

static void
compare_series(struct diff *diff, int series)
{
    struct diff_row *row = &diff->rows[series];
    const char *mismatch = find_mismatch(diff, series);
    double *samples[2];
    bool ok;

    for (int i = 0; i < 2; i++) {
        samples[i] = get_samples(&diff->runs[i], series, &row->n[i]);
    }
    ok = run_interval(samples[0], row->n[0], samples[1], row->n[1],
                      DIFF_ALPHA, &row->interval);
    for (int i = 0; i < 2; i++) {
        free(samples[i]);
    }

    row->has_medians = row->n[0] && row->n[1];
    if (row->has_medians && mismatch) {
        row->why = xstrdup(mismatch);
        return;
    } else if (ok) {
        judge(diff, row);
        return;
    }
    for (int i = 0; i < 2; i++) {
        const char *why = diff->runs[i].series[series].why;

        if (!row->n[i]) {
            row->why = xasprintf("not known in %c%s%s", "AB"[i],
                                 why ? ": " : "", why ? why : "");
            return;
        }
    }
    row->why = xasprintf("too few samples: worth %.0f and %.0f independent "
                         "ones, it takes %"PRIuSIZE,
                         row->interval.n_effective[0],
                         row->interval.n_effective[1],
                         run_interval_least(DIFF_ALPHA));
}

/* The wire, each way.
 *
 * Only the sum of C and J is known where the hosts have clocks of their own.
 * But if both runs are of the same boots, then the offset of the clocks is the
 * same in both, except for its drift, and "receiver's arrival minus sender's
 * departure" moves by what C has moved by (J likewise, with the opposite sign
 * of the offset).  The drift is what half the difference of both ways does in
 * the course of a run; it is taken to go on like that between the runs, within
 * the bounds of both. */

struct wire {
    double *way[2];             /* Out and back, ns, without the drift. */
    size_t n;
    double middle;              /* Time that they are of, ns. */
    double slope, low, high;    /* Drift, ns per ns. */
};

static void
wire_uninit(struct wire *wire)
{
    free(wire->way[0]);
    free(wire->way[1]);
}

static bool
wire_init(struct wire *wire, const struct run *run)
{
    double *offset = xmalloc((run->n_kept + 1) * sizeof *offset);
    double *when = xmalloc((run->n_kept + 1) * sizeof *when);
    struct run_interval interval;
    size_t half, late;
    double elapsed;
    bool ok;

    for (int i = 0; i < 2; i++) {
        wire->way[i] = xmalloc((run->n_kept + 1) * sizeof *wire->way[i]);
    }
    wire->n = 0;
    for (size_t i = 0; i < run->n_kept; i++) {
        const struct run_packet *p = &run->packets[i];

        if (p->ns[RUN_WIRE_OUT] != RUN_UNKNOWN
            && p->ns[RUN_WIRE_BACK] != RUN_UNKNOWN) {
            double out = p->ns[RUN_WIRE_OUT], back = p->ns[RUN_WIRE_BACK];

            wire->way[0][wire->n] = out;
            wire->way[1][wire->n] = back;
            offset[wire->n] = out / 2 - back / 2;
            when[wire->n++] = p->when_ns;
        }
    }

    half = wire->n / 2;
    late = wire->n - half;
    elapsed = late ? when[half + late / 2] - when[half / 2] : 0;
    ok = half && elapsed > 0;
    if (ok) {
        /* Samples that drift are alike from one to the next, which is not what
         * tells how well the drift is known: that is what is left of them
         * without it. */
        run_interval(offset, half, offset + half, late, DIFF_ALPHA,
                     &interval);
        wire->middle = when[half];
        wire->slope = interval.difference / elapsed;
        for (size_t i = 0; i < wire->n; i++) {
            offset[i] -= wire->slope * (when[i] - wire->middle);
        }
        ok = run_interval(offset, half, offset + half, late, DIFF_ALPHA,
                          &interval);
    }
    if (ok) {
        wire->low = wire->slope + interval.low / elapsed;
        wire->high = wire->slope + interval.high / elapsed;
        wire->slope += interval.difference / elapsed;
        for (size_t i = 0; i < wire->n; i++) {
            double drift = wire->slope * (when[i] - wire->middle);

            wire->way[0][i] -= drift;
            wire->way[1][i] += drift;
        }
    }
    free(offset);
    free(when);
    return ok;
}

/* Why C and J cannot be compared one by one; NULL if they can. */
static char *
compare_ways(struct diff *diff)
{
    struct wire wires[2];
    bool ok[2];
    char *why = NULL;

    for (int i = 0; i < 2; i++) {
        const char *a = diff->runs[0].boot_ids[i];
        const char *b = diff->runs[1].boot_ids[i];

        if (!a || !b || strcmp(a, b)) {
            return xstrdup("only C + J is known: the runs are not of the same "
                           "boots of both hosts, whose clocks differ");
        }
    }

    for (int i = 0; i < 2; i++) {
        ok[i] = wire_init(&wires[i], &diff->runs[i]);
    }
    if (!ok[0] || !ok[1]) {
        why = xstrdup("only C + J is known: too few packets to see how the "
                      "hosts' clocks drift");
    } else {
        double gap = wires[1].middle - wires[0].middle;
        double drifts[4] = { wires[0].low * gap, wires[0].high * gap,
                             wires[1].low * gap, wires[1].high * gap };
        double least = drifts[0], most = drifts[0];
        double drift = (wires[0].slope + wires[1].slope) / 2 * gap;

        for (int i = 1; i < 4; i++) {
            least = MIN(least, drifts[i]);
            most = MAX(most, drifts[i]);
        }
        for (int way = 0; way < 2 && !why; way++) {
            struct diff_row *row = &diff->rows[way ? REPORT_SEG_J
                                               : REPORT_SEG_C];
            struct run_interval *in = &row->interval;

            row->n[0] = wires[0].n;
            row->n[1] = wires[1].n;
            if (!run_interval(wires[0].way[way], wires[0].n,
                              wires[1].way[way], wires[1].n, DIFF_ALPHA, in)) {
                why = xstrdup("only C + J is known: too few packets");
                break;
            }
            in->difference -= way ? -drift : drift;
            in->low -= way ? -least : most;
            in->high -= way ? -most : least;
            free(row->why);
            row->why = xstrdup("as a difference only: see the notes");
            judge(diff, row);
        }
        if (!why) {
            struct ds ds = DS_EMPTY_INITIALIZER;

            ovs_vmlat_put_us(&ds, drift);
            ds_put_cstr(&ds, " us (");
            ovs_vmlat_put_us(&ds, least);
            ds_put_cstr(&ds, " to ");
            ovs_vmlat_put_us(&ds, most);
            add_note(diff, "The hosts' clocks differ, so C and J themselves "
                     "are not known.  How they moved is: both runs are of the "
                     "same boots, so that the clocks differ by as much in "
                     "both, except for their drift of %s us), which is taken "
                     "to have gone on between the runs as it was in them.",
                     ds_cstr(&ds));
            ds_destroy(&ds);
        }
    }
    for (int i = 0; i < 2; i++) {
        wire_uninit(&wires[i]);
    }
    return why;
}

/* True if 'series' is a segment of its own in both runs. */
static bool
both_have(const struct diff *diff, int series)
{
    return (diff->runs[0].series[series].n && diff->runs[1].series[series].n);
}

static void
compare(struct diff *diff)
{
    for (int i = 0; i < DIFF_N; i++) {
        compare_series(diff, i);
    }
    if (both_have(diff, RUN_WIRE_OUT) && both_have(diff, RUN_WIRE_BACK)
        && (!both_have(diff, REPORT_SEG_C)
            || !both_have(diff, REPORT_SEG_J))) {
        char *why = compare_ways(diff);

        for (int i = 0; why && i < 2; i++) {
            struct diff_row *row = &diff->rows[i ? REPORT_SEG_J
                                               : REPORT_SEG_C];

            free(row->why);
            memset(row, 0, sizeof *row);
            row->why = xstrdup(why);
        }
        free(why);
    }

    if (diff->runs[0].title && diff->runs[1].title
        && strcmp(diff->runs[0].title, diff->runs[1].title)) {
        char *a = ovs_vmlat_safe(diff->runs[0].title);
        char *b = ovs_vmlat_safe(diff->runs[1].title);

        add_note(diff, "The runs are of different packets: A of \"%s\", B of "
                 "\"%s\".", a, b);
        free(a);
        free(b);
    }
    for (int i = 0; i < 2; i++) {
        const char *a = diff->runs[0].run_ids[i];
        const char *b = diff->runs[1].run_ids[i];

        if (a && b && !strcmp(a, b)) {
            add_note(diff, "A and B are of the same recording on %s.",
                     i ? "Host-B" : "Host-A");
        }
    }
    for (int i = 0; i < 2; i++) {
        const struct run *run = &diff->runs[i];

        if (run->n_packets > run->n_kept) {
            add_note(diff, "%c: %"PRIuSIZE" of its %"PRIu64" packets, chosen "
                     "at random, stand for all.", "AB"[i], run->n_kept,
                     run->n_packets);
        }
    }
}

/* Output. */

static bool
has_moved(const struct diff_row *row)
{
    return row->verdict == DIFF_UP || row->verdict == DIFF_DOWN;
}

/* Returns what moved most, or -1: a segment, or what stands for some. */
static int
find_most(const struct diff *diff)
{
    int most = -1;

    for (int i = 0; i <= RUN_REST; i++) {
        /* C + J says where C and J do not. */
        if (has_moved(&diff->rows[i])
            && (i != RUN_WIRE
                || diff->rows[REPORT_SEG_C].verdict == DIFF_UNKNOWN
                || diff->rows[REPORT_SEG_J].verdict == DIFF_UNKNOWN)
            && (most < 0
                || fabs(diff->rows[i].interval.difference)
                   > fabs(diff->rows[most].interval.difference))) {
            most = i;
        }
    }
    return most < 0 && has_moved(&diff->rows[RUN_RTT]) ? RUN_RTT : most;
}

static const char *
row_name(int i)
{
    switch (i) {
    case RUN_WIRE: return "wire, both ways";
    case RUN_REST: return "what no segment covers";
    case RUN_RTT: return "round trip";
    default: return report_segment_classes[i].name;
    }
}

static void
put_difference(struct ds *ds, double ns)
{
    ds_put_cstr(ds, ns > 0 ? "+" : "");
    ovs_vmlat_put_us(ds, ns);
}

/* The first line. */
static void
put_result(struct ds *ds, const struct diff *diff, int most, int n_known)
{
    const struct diff_row *row = &diff->rows[most < 0 ? 0 : most];

    if (!n_known) {
        ds_put_cstr(ds, "Nothing can be said: there are too few samples.");
        return;
    } else if (most < 0) {
        ds_put_format(ds, "Nothing moved (%d of %d rows known).", n_known,
                      DIFF_N);
        return;
    }
    ds_put_format(ds, "%s moved most: ", run_series_name(most));
    put_difference(ds, row->interval.difference);
    ds_put_cstr(ds, " us (");
    put_difference(ds, row->interval.low);
    ds_put_cstr(ds, " to ");
    put_difference(ds, row->interval.high);
    ds_put_format(ds, "), %s", row_name(most));
    if (most < REPORT_N_SEGMENTS) {
        ds_put_format(ds, ", %s",
                      page_where(report_segment_classes[most].where));
    }
    ds_put_char(ds, '.');
}

/* Times are in us for people, in ns for programs. */
static void
put_time(struct table *table, double ns,
         const struct ovs_vmlat_options *options)
{
    if (options->style.format == TF_TABLE) {
        ovs_vmlat_real(table, round(ns) / 1000);
    } else {
        ovs_vmlat_integer(table, llrint(ns));
    }
}

static void
print_rows(const struct diff *diff, const struct ovs_vmlat_options *options)
{
    const char *unit = options->style.format == TF_TABLE ? "us" : "ns";
    struct table table;

    table_init(&table);
    table_add_column(&table, "segment");
    table_add_column(&table, "name");
    table_add_column(&table, "verdict");
    table_add_column(&table, "a_%s", unit);
    table_add_column(&table, "b_%s", unit);
    table_add_column(&table, "difference_%s", unit);
    table_add_column(&table, "low_%s", unit);
    table_add_column(&table, "high_%s", unit);
    table_add_column(&table, "samples_a");
    table_add_column(&table, "samples_b");
    table_add_column(&table, "why");
    for (int i = 0; i < DIFF_N; i++) {
        const struct diff_row *row = &diff->rows[i];
        const struct run_interval *in = &row->interval;

        table_add_row(&table);
        ovs_vmlat_cell(&table, run_series_name(i));
        ovs_vmlat_cell(&table, row_name(i));
        ovs_vmlat_cell(&table, verdict_names[row->verdict]);
        if (row->has_medians) {
            put_time(&table, in->median[0], options);
            put_time(&table, in->median[1], options);
        } else {
            ovs_vmlat_none(&table);
            ovs_vmlat_none(&table);
        }
        if (row->has_interval) {
            put_time(&table, in->difference, options);
            put_time(&table, in->low, options);
            put_time(&table, in->high, options);
        } else {
            ovs_vmlat_none(&table);
            ovs_vmlat_none(&table);
            ovs_vmlat_none(&table);
        }
        ovs_vmlat_integer(&table, row->n[0]);
        ovs_vmlat_integer(&table, row->n[1]);
        ovs_vmlat_cell(&table, row->why);
    }
    ovs_vmlat_print(&table, "segments", options);
}

/* What people read as text, programs get as tables. */
static void
print_result(const char *result, int most,
             const struct ovs_vmlat_options *options)
{
    struct table table;

    if (options->style.format == TF_TABLE) {
        if (!options->table || !strcmp(options->table, "result")) {
            puts(result);
        }
        return;
    }
    table_init(&table);
    table_add_column(&table, "result");
    table_add_column(&table, "most");
    table_add_row(&table);
    ovs_vmlat_cell(&table, result);
    ovs_vmlat_cell(&table, most < 0 ? "" : run_series_name(most));
    ovs_vmlat_print(&table, "result", options);
}

static void
print_notes(const struct diff *diff, const struct ovs_vmlat_options *options)
{
    struct table table;

    if (options->style.format == TF_TABLE) {
        for (size_t i = 0; i < diff->n_notes; i++) {
            if (!options->table || !strcmp(options->table, "notes")) {
                puts(diff->notes[i]);
            }
        }
        return;
    }
    table_init(&table);
    table_add_column(&table, "note");
    for (size_t i = 0; i < diff->n_notes; i++) {
        table_add_row(&table);
        ovs_vmlat_cell(&table, diff->notes[i]);
    }
    ovs_vmlat_print(&table, "notes", options);
}

/* "diff A B".  Exits with EXIT_FOUND if anything moved, with EXIT_TROUBLE if
 * nothing can be said. */
void
ovs_vmlat_diff(struct ovs_cmdl_context *ctx)
{
    const struct ovs_vmlat_options *options = ctx->pvt;
    struct diff diff = { .min_ns = options->min_us * 1000.0 };
    struct ds result = DS_EMPTY_INITIALIZER;
    int n_known = 0, n_moved = 0, most;

    for (int i = 0; i < 2; i++) {
        char *error = run_read(&diff.runs[i], ctx->argv[i + 1]);

        if (error) {
            ovs_vmlat_fatal("%s", error);
        }
    }
    compare(&diff);
    for (int i = 0; i < DIFF_N; i++) {
        n_known += diff.rows[i].verdict != DIFF_UNKNOWN;
        n_moved += has_moved(&diff.rows[i]);
    }
    most = find_most(&diff);
    put_result(&result, &diff, most, n_known);
    add_note(&diff, "Medians, and 95 %% intervals of their differences, for "
             "all %d rows at once%s.", DIFF_N,
             diff.min_ns > 0 ? "; what --min-us leaves out is unchanged" : "");

    print_result(ds_cstr(&result), most, options);
    print_rows(&diff, options);
    print_notes(&diff, options);

    ds_destroy(&result);
    for (int i = 0; i < 2; i++) {
        run_uninit(&diff.runs[i]);
    }
    for (int i = 0; i < DIFF_N; i++) {
        free(diff.rows[i].why);
    }
    for (size_t i = 0; i < diff.n_notes; i++) {
        free(diff.notes[i]);
    }
    free(diff.notes);

    if (fflush(stdout) || ferror(stdout)) {
        ovs_vmlat_fatal("writing the output failed");
    } else if (!n_known) {
        ovs_vmlat_fatal("nothing can be compared");
    } else if (n_moved) {
        exit(EXIT_FOUND);
    }
}
