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

/* The result of "ovs-vmlat join", for people and for programs. */

#include <config.h>
#include "ovs-vmlat.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "openvswitch/dynamic-string.h"
#include "openvswitch/json.h"
#include "util.h"

static const char *where_names[] = {
    [REPORT_SENDER_VM] = "sender VM",
    [REPORT_SENDER_HOST] = "sender host",
    [REPORT_NETWORK] = "network",
    [REPORT_RECEIVER_HOST] = "receiver host",
    [REPORT_RECEIVER_VM] = "receiver VM",
};

/* For programs: times in ns. */

static void
add_columns(struct table *table, const char *const *headings, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        table_add_column(table, "%s", headings[i]);
    }
}

static const char *const stats_headings[] = {
    "samples", "mean_ns", "deviation_ns", "min_ns", "p50_ns", "p90_ns",
    "p99_ns", "max_ns"
};

/* The mean and the deviation go out in whole ns, too: what they are of has no
 * finer clock. */
static void
add_stats(struct table *table, const struct report_stats *s)
{
    ovs_vmlat_integer(table, s->n);
    if (s->n) {
        ovs_vmlat_integer(table, llrint(s->mean));
        ovs_vmlat_integer(table, llrint(s->deviation));
        ovs_vmlat_integer(table, s->min);
        ovs_vmlat_integer(table, s->p50);
        ovs_vmlat_integer(table, s->p90);
        ovs_vmlat_integer(table, s->p99);
        ovs_vmlat_integer(table, s->max);
    } else {
        for (size_t i = 1; i < ARRAY_SIZE(stats_headings); i++) {
            ovs_vmlat_none(table);
        }
    }
}

static void
print_inputs(const struct report *r, const struct ovs_vmlat_options *options)
{
    static const char *const headings[] = {
        "part", "file", "host", "software", "filter", "start_wall_ns",
        "seconds", "records", "lost", "state"
    };
    struct table table;

    table_init(&table);
    add_columns(&table, headings, ARRAY_SIZE(headings));
    for (size_t i = 0; i < ARRAY_SIZE(r->inputs); i++) {
        const struct report_input *input = &r->inputs[i];

        table_add_row(&table);
        ovs_vmlat_cell(&table, input->part);
        ovs_vmlat_cell(&table, input->file);
        ovs_vmlat_cell(&table, input->host);
        ovs_vmlat_cell(&table, input->software);
        ovs_vmlat_cell(&table, input->filter);
        ovs_vmlat_integer(&table, input->start_wall_ns);
        ovs_vmlat_real(&table, input->seconds);
        ovs_vmlat_integer(&table, input->n_records);
        ovs_vmlat_integer(&table, input->n_lost);
        ovs_vmlat_cell(&table, (!input->file ? "not given"
                                : input->truncated ? "cut off" : "whole"));
    }
    ovs_vmlat_print(&table, "inputs", options);
}

static void
print_segments(const struct report *r,
               const struct ovs_vmlat_options *options)
{
    static const char *const headings[] = {
        "segment", "name", "layer", "where", "how"
    };
    struct table table;

    table_init(&table);
    add_columns(&table, headings, ARRAY_SIZE(headings));
    add_columns(&table, stats_headings, ARRAY_SIZE(stats_headings));
    table_add_column(&table, "why");
    for (int i = 0; i < REPORT_N_SEGMENTS; i++) {
        const struct report_segment_class *class = &report_segment_classes[i];

        table_add_row(&table);
        ovs_vmlat_cell(&table, class->letter);
        ovs_vmlat_cell(&table, class->name);
        ovs_vmlat_cell(&table, report_layer_name(class->layer));
        ovs_vmlat_cell(&table, where_names[class->where]);
        ovs_vmlat_cell(&table, report_how_name(r->segments[i].how));
        add_stats(&table, &r->segments[i].stats);
        ovs_vmlat_cell(&table, r->segments[i].why);
    }
    ovs_vmlat_print(&table, "segments", options);
}

static void
print_rows(const struct report *r, const struct ovs_vmlat_options *options)
{
    static const char *const headings[] = { "name", "how" };
    struct table table;

    table_init(&table);
    add_columns(&table, headings, ARRAY_SIZE(headings));
    add_columns(&table, stats_headings, ARRAY_SIZE(stats_headings));
    table_add_column(&table, "why");
    for (size_t i = 0; i < r->n_rows; i++) {
        table_add_row(&table);
        ovs_vmlat_cell(&table, r->rows[i].name);
        ovs_vmlat_cell(&table, report_how_name(r->rows[i].how));
        add_stats(&table, &r->rows[i].stats);
        ovs_vmlat_cell(&table, r->rows[i].why);
    }
    ovs_vmlat_print(&table, "rows", options);
}

static void
print_layers(const struct report *r, const struct ovs_vmlat_options *options)
{
    static const char *const headings[] = { "layer", "share" };
    struct table table;

    table_init(&table);
    add_columns(&table, headings, ARRAY_SIZE(headings));
    add_columns(&table, stats_headings, ARRAY_SIZE(stats_headings));
    for (int i = 0; i < REPORT_N_LAYERS; i++) {
        table_add_row(&table);
        ovs_vmlat_cell(&table, report_layer_name(i));
        if (isnan(r->layers[i].share)) {
            ovs_vmlat_none(&table);
        } else {
            ovs_vmlat_real(&table, r->layers[i].share);
        }
        add_stats(&table, &r->layers[i].stats);
    }
    ovs_vmlat_print(&table, "layers", options);
}

static void
print_findings(const struct report *r,
               const struct ovs_vmlat_options *options)
{
    static const char *const headings[] = {
        "level", "code", "text", "advice"
    };
    struct table table;

    table_init(&table);
    add_columns(&table, headings, ARRAY_SIZE(headings));
    for (size_t i = 0; i < r->n_findings; i++) {
        const struct report_finding *f = &r->findings[i];

        table_add_row(&table);
        ovs_vmlat_cell(&table, report_level_name(f->level));
        ovs_vmlat_cell(&table, f->code);
        ovs_vmlat_cell(&table, f->text);
        ovs_vmlat_cell(&table, f->advice);
    }
    ovs_vmlat_print(&table, "findings", options);
}

static void
add_ns(struct table *table, int64_t ns)
{
    if (ns == INT64_MIN) {
        ovs_vmlat_none(table);
    } else {
        ovs_vmlat_integer(table, ns);
    }
}

static void
print_packets(const struct report *r, const struct ovs_vmlat_options *options)
{
    static const char *const headings[] = {
        "packet", "wall_ns", "total_ns", "rest_ns"
    };
    struct table table;

    table_init(&table);
    add_columns(&table, headings, ARRAY_SIZE(headings));
    for (int i = 0; i < REPORT_N_SEGMENTS; i++) {
        table_add_column(&table, "%s", report_segment_classes[i].letter);
    }
    for (size_t i = 0; i < r->n_packets; i++) {
        const struct report_packet *p = &r->packets[i];

        table_add_row(&table);
        ovs_vmlat_cell(&table, p->name);
        ovs_vmlat_integer(&table, p->wall_ns);
        add_ns(&table, p->total_ns);
        add_ns(&table, p->rest_ns);
        for (int k = 0; k < REPORT_N_SEGMENTS; k++) {
            add_ns(&table, p->ns[k]);
        }
    }
    ovs_vmlat_print(&table, "packets", options);
}

static void
print_counts(const struct report *r, const struct ovs_vmlat_options *options)
{
    struct table table;

    table_init(&table);
    table_add_column(&table, "count");
    table_add_column(&table, "packets");
    for (size_t i = 0; i < r->n_counts; i++) {
        table_add_row(&table);
        ovs_vmlat_cell(&table, r->counts[i].name);
        ovs_vmlat_integer(&table, r->counts[i].n);
    }
    ovs_vmlat_print(&table, "counts", options);
}

static void
print_result(const struct report *r, const struct ovs_vmlat_options *options)
{
    struct table table;

    table_init(&table);
    table_add_column(&table, "conversation");
    table_add_column(&table, "rtt_of");
    table_add_column(&table, "primary_segment");
    table_add_column(&table, "unknown_segments");
    table_add_column(&table, "outside_rtt");
    table_add_row(&table);
    ovs_vmlat_cell(&table, r->title);
    ovs_vmlat_cell(&table, (!r->rtt.n ? "none"
                            : r->rtt_is_of_guest ? "sender VM"
                            : "sender's port"));
    ovs_vmlat_cell(&table, (r->primary < 0 ? ""
                            : report_segment_classes[r->primary].letter));
    for (int outside = 0; outside < 2; outside++) {
        struct ds ds = DS_EMPTY_INITIALIZER;

        report_put_not_considered(&ds, r, outside, " ");
        ovs_vmlat_cell(&table, ds_cstr(&ds));
        ds_destroy(&ds);
    }
    ovs_vmlat_print(&table, "result", options);
}

/* For people: times in us. */

/* Appends 's' without what a terminal would obey. */
static void
put_safe(struct ds *ds, const char *s)
{
    char *safe = ovs_vmlat_safe(s);

    ds_put_cstr(ds, safe);
    free(safe);
}

static void
put_inputs(struct ds *ds, const struct report *r)
{
    ds_put_cstr(ds, "Packets from ");
    put_safe(ds, r->title);
    ds_put_cstr(ds, "\n\n");
    for (size_t i = 0; i < ARRAY_SIZE(r->inputs); i++) {
        const struct report_input *input = &r->inputs[i];

        ds_put_format(ds, "%-15s ", input->part);
        if (!input->file) {
            ds_put_cstr(ds, "(no file)\n");
            continue;
        }
        put_safe(ds, input->host);
        ds_put_cstr(ds, ", ");
        put_safe(ds, input->file);
        ds_put_format(ds, ": %"PRIu64" records in %.1f s", input->n_records,
                      input->seconds);
        if (input->n_lost) {
            ds_put_format(ds, ", %"PRIu64" lost", input->n_lost);
        }
        ds_put_cstr(ds, input->truncated ? ", CUT OFF\n" : "\n");
    }
}

enum { PATH_COLUMNS = 9, PATH_WIDTH = 8 };

/* The way out, from left to right, and back, from right to left. */
static const int path_out[PATH_COLUMNS] = {
    REPORT_SEG_A, -1, REPORT_SEG_B1, REPORT_SEG_B, REPORT_SEG_C,
    REPORT_SEG_D, REPORT_SEG_E, REPORT_SEG_EV, REPORT_SEG_F
};
static const int path_back[PATH_COLUMNS] = {
    REPORT_SEG_M, REPORT_SEG_LV, REPORT_SEG_L, REPORT_SEG_K, REPORT_SEG_J,
    REPORT_SEG_I, REPORT_SEG_I1, -1, REPORT_SEG_H
};

static void
put_path_line(struct ds *ds, const struct report *r, const int *ids,
              bool letters, char arrow)
{
    struct ds line = DS_EMPTY_INITIALIZER;

    ds_put_cstr(&line, "  ");
    for (int i = 0; i < PATH_COLUMNS; i++) {
        struct ds cell = DS_EMPTY_INITIALIZER;
        const struct report_segment *s;

        if (ids[i] < 0) {
            ds_put_char_multiple(&cell, letters ? ' ' : '-', PATH_WIDTH - 2);
        } else if (letters) {
            ds_put_cstr(&cell, report_segment_classes[ids[i]].letter);
        } else {
            s = &r->segments[ids[i]];
            if (s->stats.n) {
                ovs_vmlat_put_us(&cell, s->stats.mean);
            } else {
                ds_put_char(&cell, '?');
            }
        }
        ds_put_format(&line, "%*s", PATH_WIDTH - 2, ds_cstr(&cell));
        ds_put_format(&line, "%c ", letters ? ' ' : arrow);
        ds_destroy(&cell);
    }
    while (line.length && line.string[line.length - 1] == ' ') {
        ds_truncate(&line, line.length - 1);
    }
    ds_put_format(ds, "%s\n", ds_cstr(&line));
    ds_destroy(&line);
}

/* Draws the way with the means on it. */
static void
put_path(struct ds *ds, const struct report *r)
{
    const struct report_segment *g = &r->segments[REPORT_SEG_G];

    ds_put_cstr(ds, "\nMeans, us:\n");
    ds_put_format(ds, "  %*s  %*s  %*s  %*s  %*s\n", PATH_WIDTH - 2, "VM",
                  3 * PATH_WIDTH - 2, "---- sender host ----",
                  PATH_WIDTH - 2, "wire",
                  3 * PATH_WIDTH - 2, "--- receiver host ---",
                  PATH_WIDTH - 2, "VM");
    put_path_line(ds, r, path_out, true, '>');
    put_path_line(ds, r, path_out, false, '>');
    ds_put_format(ds, "  %*s", PATH_COLUMNS * PATH_WIDTH - 2, "G ");
    if (g->stats.n) {
        ovs_vmlat_put_us(ds, g->stats.mean);
    } else {
        ds_put_char(ds, '?');
    }
    ds_put_char(ds, '\n');
    put_path_line(ds, r, path_back, false, '<');
    put_path_line(ds, r, path_back, true, '<');
}

enum { NAME_WIDTH = 46 };

static void
put_heading(struct ds *ds, const char *name)
{
    ds_put_format(ds, "\n%-*s %7s %8s %8s %8s %8s %8s %8s %8s %s\n",
                  NAME_WIDTH, name, "samples", "mean", "dev", "min", "p50",
                  "p90", "p99", "max", "how");
}

static void
put_us_column(struct ds *ds, double ns)
{
    struct ds cell = DS_EMPTY_INITIALIZER;

    ovs_vmlat_put_us(&cell, ns);
    ds_put_format(ds, " %8s", ds_cstr(&cell));
    ds_destroy(&cell);
}

static void
put_stats(struct ds *ds, const char *name, const struct report_stats *s,
          enum report_how how)
{
    ds_put_format(ds, "%-*s %7"PRIu64, NAME_WIDTH, name, s->n);
    if (s->n) {
        put_us_column(ds, s->mean);
        put_us_column(ds, s->deviation);
        put_us_column(ds, s->min);
        put_us_column(ds, s->p50);
        put_us_column(ds, s->p90);
        put_us_column(ds, s->p99);
        put_us_column(ds, s->max);
    } else {
        ds_put_char_multiple(ds, ' ', 7 * 9);
    }
    ds_put_format(ds, " %s\n", report_how_name(how));
}

/* Appends 'why', if there is one, about 'name'. */
static void
put_why(struct ds *ds, const char *name, const char *why)
{
    if (why) {
        ds_put_format(ds, "  %s: ", name);
        put_safe(ds, why);
        ds_put_char(ds, '\n');
    }
}

/* Appends why segments are unknown, or what limits them: each reason once. */
static void
put_segment_whys(struct ds *ds, const struct report *r)
{
    bool done[REPORT_N_SEGMENTS] = { false };

    for (int i = 0; i < REPORT_N_SEGMENTS; i++) {
        const char *why = r->segments[i].why;
        struct ds names = DS_EMPTY_INITIALIZER;

        for (int k = i; k < REPORT_N_SEGMENTS; k++) {
            if (!done[k] && why && r->segments[k].why
                && !strcmp(why, r->segments[k].why)) {
                ds_put_format(&names, "%s%s", names.length ? ", " : "",
                              report_segment_classes[k].letter);
                done[k] = true;
            }
        }
        if (names.length) {
            put_why(ds, ds_cstr(&names), why);
        }
        ds_destroy(&names);
    }
}

static void
put_segments(struct ds *ds, const struct report *r)
{
    put_heading(ds, "segment, us");
    for (int i = 0; i < REPORT_N_SEGMENTS; i++) {
        const struct report_segment_class *class = &report_segment_classes[i];
        char *name = xasprintf("%-2s %s", class->letter, class->name);

        put_stats(ds, name, &r->segments[i].stats, r->segments[i].how);
        free(name);
    }
    put_segment_whys(ds, r);
    put_heading(ds, "in all, us");
    for (size_t i = 0; i < r->n_rows; i++) {
        const struct report_row *row = &r->rows[i];

        put_stats(ds, row->name, &row->stats, row->how);
    }
    for (size_t i = 0; i < r->n_rows; i++) {
        if (r->rows[i].how != REPORT_UNKNOWN) {
            put_why(ds, r->rows[i].name, r->rows[i].why);
        }
    }
}

/* Appends the segment that takes most, and what could not be considered. */
static void
put_primary(struct ds *ds, const struct report *r)
{
    struct ds unknown = DS_EMPTY_INITIALIZER;
    struct ds outside = DS_EMPTY_INITIALIZER;

    if (r->primary < 0) {
        return;
    }
    ds_put_format(ds, "Primary contributor: %s (%s, %s), mean ",
                  report_segment_classes[r->primary].letter,
                  report_segment_classes[r->primary].name,
                  where_names[report_segment_classes[r->primary].where]);
    ovs_vmlat_put_us(ds, r->segments[r->primary].stats.mean);
    ds_put_cstr(ds, " us\n");
    if (report_is_wire_more(r)) {
        ds_put_cstr(ds, "C + J take more, mean ");
        ovs_vmlat_put_us(ds, 2 * r->segments[REPORT_SEG_C].stats.mean);
        ds_put_cstr(ds, " us, but are known only together\n");
    }
    if (r->layers[REPORT_REST].stats.n
        && (r->layers[REPORT_REST].stats.mean
            > r->segments[r->primary].stats.mean)) {
        ds_put_cstr(ds, "More than that is in no segment: see \"unmeasured\" "
                    "above\n");
    }
    report_put_not_considered(&unknown, r, false, ", ");
    report_put_not_considered(&outside, r, true, ", ");
    if (unknown.length) {
        ds_put_format(ds, "Not considered, since unknown: %s\n",
                      ds_cstr(&unknown));
    }
    if (outside.length) {
        ds_put_format(ds, "Not considered, since outside the RTT at the "
                      "sender's port: %s\n", ds_cstr(&outside));
    }
    ds_destroy(&unknown);
    ds_destroy(&outside);
}

static void
put_layers(struct ds *ds, const struct report *r)
{
    if (r->rtt.n) {
        ds_put_format(ds, "\nShare of the RTT %s (mean ",
                      (r->rtt_is_of_guest ? "in the sender VM"
                       : "at the sender's port"));
        ovs_vmlat_put_us(ds, r->rtt.mean);
        ds_put_cstr(ds, " us):\n");
        for (int i = 0; i < REPORT_N_LAYERS; i++) {
            const struct report_layer_share *layer = &r->layers[i];

            ds_put_format(ds, "  %-15s", report_layer_name(i));
            if (isnan(layer->share)) {
                ds_put_cstr(ds, "  not known\n");
            } else {
                ds_put_format(ds, " %5.1f %%  ", layer->share * 100);
                ds_put_char_multiple(ds, '#', MAX(0, MIN(layer->share, 1))
                                              * 40 + .5);
                ds_put_char(ds, '\n');
            }
        }
    }
    put_primary(ds, r);
}

static void
put_findings(struct ds *ds, const struct report *r)
{
    ds_put_cstr(ds, "\nChecks and findings:\n");
    for (size_t i = 0; i < r->n_findings; i++) {
        const struct report_finding *f = &r->findings[i];

        ds_put_format(ds, "  %s %s: ", report_level_name(f->level), f->code);
        put_safe(ds, f->text);
        ds_put_char(ds, '\n');
        if (f->advice) {
            ds_put_cstr(ds, "      ");
            put_safe(ds, f->advice);
            ds_put_char(ds, '\n');
        }
    }
}

static void
put_counts(struct ds *ds, const struct report *r)
{
    ds_put_cstr(ds, "\nCounts:\n");
    for (size_t i = 0; i < r->n_counts; i++) {
        ds_put_format(ds, "%12"PRIu64"  ", r->counts[i].n);
        put_safe(ds, r->counts[i].name);
        ds_put_char(ds, '\n');
    }
}

/* Prints 'r' as 'options' wants it: for people all at once, or else, or if
 * just one is wanted, as tables. */
void
report_print(const struct report *r, const struct ovs_vmlat_options *options)
{
    if (options->style.format == TF_TABLE && !options->table) {
        struct ds ds = DS_EMPTY_INITIALIZER;

        put_inputs(&ds, r);
        put_path(&ds, r);
        put_segments(&ds, r);
        put_layers(&ds, r);
        put_findings(&ds, r);
        put_counts(&ds, r);
        fputs(ds_cstr(&ds), stdout);
        ds_destroy(&ds);
        return;
    }
    print_result(r, options);
    print_inputs(r, options);
    print_segments(r, options);
    print_rows(r, options);
    print_layers(r, options);
    print_findings(r, options);
    print_packets(r, options);
    print_counts(r, options);
}
