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

/* The page of "ovs-vmlat join --html": one file that needs nothing else.
 *
 * Names in it come from guests: all text goes through page_text(), and a
 * policy in the page itself forbids scripts and all that is from elsewhere. */

#include <config.h>

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "openvswitch/dynamic-string.h"
#include "ovs-vmlat-page.h"
#include "ovs-vmlat-report.h"
#include "util.h"

/* A page that can be read: of longer lists, it says what is left out. */
#define MAX_LINES 200
#define MAX_PACKETS 12

/* ovs-vmlat-html.css, as a string. */
static const char style[] =
#include "utilities/ovs-vmlat-html-css.h"
    ;

/* A sign of each level, for those who do not see its color. */
static const char *
level_sign(enum report_level level)
{
    switch (level) {
    case REPORT_OK: return "&#10003;";
    case REPORT_NOTE: return "&#8505;";
    case REPORT_WARNING: return "&#9650;";
    case REPORT_ERROR: return "&#10007;";
    default: OVS_NOT_REACHED();
    }
}

static void
put_line(struct ds *ds, const char *text)
{
    page_text(ds, text, PAGE_LINE);
}

/* Says that of 'n' only the first 'max' are there. */
static void
put_left_out(struct ds *ds, size_t n, size_t max)
{
    if (n > max) {
        ds_put_format(ds, "<p class='dim'>%"PRIuSIZE" more are not "
                      "shown.</p>\n", n - max);
    }
}

static void
begin_section(struct ds *ds, const char *id, const char *title)
{
    ds_put_format(ds, "<section aria-labelledby='%s'>\n<h2 id='%s'>%s</h2>\n",
                  id, id, title);
}

static void
put_head(struct ds *ds, const struct report *r)
{
    const char *title = r->title && r->title[0] ? r->title : "No packets";

    ds_put_cstr(ds, "<!DOCTYPE html>\n<html lang='en'>\n<head>\n"
                "<meta charset='utf-8'>\n"
                "<meta http-equiv='Content-Security-Policy' "
                "content=\"default-src 'none'; style-src 'unsafe-inline'; "
                "base-uri 'none'; form-action 'none'\">\n"
                "<meta name='viewport' "
                "content='width=device-width, initial-scale=1'>\n"
                "<meta name='color-scheme' content='light dark'>\n"
                "<title>");
    page_text(ds, title, PAGE_LINE);
    ds_put_format(ds, " - vmlat</title>\n<style>\n%s</style>\n</head>\n"
                  "<body>\n<header>\n<p class='eyebrow'>vmlat: latency "
                  "between two VMs, segment by segment</p>\n<h1>", style);
    page_text(ds, title, PAGE_LINE);
    ds_put_cstr(ds, "</h1>\n");
    for (size_t i = 0; i < ARRAY_SIZE(r->inputs); i++) {
        if (r->inputs[i].file) {
            ds_put_cstr(ds, "<p class='dim'>Recorded from ");
            ds_put_strftime_msec(ds, "%Y-%m-%d %H:%M:%S",
                                 r->inputs[i].start_wall_ns / 1000000, true);
            ds_put_format(ds, " UTC, by the clock of the %s</p>\n",
                          r->inputs[i].part);
            break;
        }
    }
    ds_put_cstr(ds, "</header>\n<main>\n");
}

/* What might be larger than the largest known part. */
static void
put_not_considered(struct ds *ds, const struct report *r)
{
    struct ds letters = DS_EMPTY_INITIALIZER;

    if (report_is_wire_more(r)) {
        ds_put_cstr(ds, "<dd>C + J take more, ");
        page_exact_time(ds, 2 * r->segments[REPORT_SEG_C].stats.p50);
        ds_put_cstr(ds, ", but are known only together</dd>");
    }
    for (int outside = 0; outside < 2; outside++) {
        size_t length = letters.length;

        ds_put_cstr(&letters, length ? ", " : "");
        report_put_not_considered(&letters, r, outside, ", ");
        if (letters.length == length + (length ? 2 : 0)) {
            ds_truncate(&letters, length);
        } else {
            ds_put_cstr(&letters, (outside ? " (outside this round trip)"
                                   : " (unknown)"));
        }
    }
    if (letters.length) {
        ds_put_format(ds, "<dd>not considered: %s</dd>", ds_cstr(&letters));
    }
    ds_destroy(&letters);
}

/* The figures to be seen first. */
static void
put_facts(struct ds *ds, const struct report *r)
{
    size_t n[REPORT_ERROR + 1] = { 0 };
    enum report_level worst = REPORT_OK;

    for (size_t i = 0; i < r->n_findings; i++) {
        n[r->findings[i].level]++;
        worst = MAX(worst, r->findings[i].level);
    }

    ds_put_cstr(ds, "<dl class='facts'>\n<div><dt>Round trip, median</dt>"
                "<dd class='big'>");
    if (r->rtt.n) {
        page_exact_time(ds, r->rtt.p50);
        ds_put_cstr(ds, "</dd><dd>p99 ");
        page_exact_time(ds, r->rtt.p99);
        ds_put_format(ds, ", %"PRIu64" packets%s</dd></div>\n", r->rtt.n,
                      r->rtt_is_of_guest ? "" : ", at VM-A's port");
    } else {
        ds_put_cstr(ds, "unknown</dd><dd>no round trip was matched</dd>"
                    "</div>\n");
    }

    if (r->primary >= 0 && r->primary < REPORT_N_SEGMENTS) {
        const struct report_segment_class *class
            = &report_segment_classes[r->primary];
        const struct report_segment *s = &r->segments[r->primary];
        double share = page_share(r, r->primary);

        ds_put_format(ds, "<div class='main'><dt>Largest known part</dt>"
                      "<dd class='big'>%s ", class->letter);
        page_exact_time(ds, s->stats.p50);
        ds_put_format(ds, "</dd><dd>%s, %s", page_where(class->where),
                      class->name);
        if (isfinite(share)) {
            ds_put_cstr(ds, "; ");
            page_percent(ds, share);
            ds_put_cstr(ds, " of the round trip");
        }
        if (r->layers[REPORT_REST].share > (isfinite(share) ? share : 0.1)) {
            ds_put_cstr(ds, "; <b>unmeasured: ");
            page_percent(ds, r->layers[REPORT_REST].share);
            ds_put_cstr(ds, "</b>");
        }
        ds_put_cstr(ds, "</dd>");
        put_not_considered(ds, r);
        ds_put_cstr(ds, "</div>\n");
    }

    ds_put_format(ds, "<div class='%s'><dt>Checks and findings</dt>"
                  "<dd class='big badge'>%s %s</dd><dd>",
                  report_level_name(worst),
                  r->n_findings ? level_sign(worst) : "",
                  r->n_findings ? report_level_name(worst) : "none");
    ds_put_format(ds, "errors: %"PRIuSIZE", warnings: %"PRIuSIZE", notes: %"
                  PRIuSIZE", ok: %"PRIuSIZE"</dd></div>\n</dl>\n",
                  n[REPORT_ERROR], n[REPORT_WARNING], n[REPORT_NOTE],
                  n[REPORT_OK]);
}

/* Reasons, each with the segments that it is the reason of. */
static void
put_reasons(struct ds *ds, const struct report *r)
{
    bool done[REPORT_N_SEGMENTS] = { false };

    for (int i = 0; i < REPORT_N_SEGMENTS; i++) {
        const struct report_segment *s = &r->segments[i];
        bool known = s->how != REPORT_UNKNOWN && s->stats.n;
        bool first = true;

        if (done[i] || (known && !s->why)) {
            continue;
        }
        ds_put_format(ds, "<p>%s ", known ? "About" : "Not known:");
        for (int j = i; j < REPORT_N_SEGMENTS; j++) {
            const struct report_segment *t = &r->segments[j];

            if (known == (t->how != REPORT_UNKNOWN && t->stats.n)
                && !strcmp(s->why ? s->why : "", t->why ? t->why : "")) {
                ds_put_format(ds, "%s<b>%s</b>", first ? "" : ", ",
                              report_segment_classes[j].letter);
                first = false;
                done[j] = true;
            }
        }
        ds_put_cstr(ds, ": ");
        put_line(ds, s->why ? s->why : "no samples");
        ds_put_cstr(ds, "</p>\n");
    }
}

static void
put_legend(struct ds *ds)
{
    ds_put_cstr(ds, "<ul class='legend'>\n"
                "<li><span class='key vm'>vm</span> the guest's stack</li>\n"
                "<li><span class='key host'>host</span> Open vSwitch on the "
                "host</li>\n"
                "<li><span class='key wire'>wire</span> the network</li>\n"
                "<li><span class='key virt'>virt</span> between guest and "
                "host</li>\n"
                "<li><span class='key rest'>rest</span> unmeasured: what no "
                "segment covers</li>\n"
                "<li>times are medians; % is the mean's part of the mean "
                "round trip</li>\n"
                "<li>dashed with ?: not known</li>\n"
                "<li>&#8776;: half of C + J, which takes the wire to be "
                "symmetric</li>\n</ul>\n");
}

static void
put_path(struct ds *ds, const struct report *r)
{
    begin_section(ds, "way", "The way, out and back");
    ds_put_cstr(ds, "<figure>\n");
    page_draw_path(ds, r, false);
    page_draw_path(ds, r, true);
    ds_put_cstr(ds, "</figure>\n");
    put_legend(ds);
    put_reasons(ds, r);
    ds_put_cstr(ds, "</section>\n");
}

static void
put_findings(struct ds *ds, const struct report *r)
{
    begin_section(ds, "findings", "Checks and findings");
    if (!r->n_findings) {
        ds_put_cstr(ds, "<p>None.</p>\n");
    } else {
        ds_put_cstr(ds, "<ul class='findings'>\n");
        for (size_t i = 0; i < MIN(r->n_findings, MAX_LINES); i++) {
            const struct report_finding *f = &r->findings[i];

            ds_put_format(ds, "<li class='%s'><p><b>%s %s</b> ",
                          report_level_name(f->level), level_sign(f->level),
                          report_level_name(f->level));
            put_line(ds, f->text);
            ds_put_cstr(ds, " <code>");
            page_text(ds, f->code, PAGE_NAME);
            ds_put_cstr(ds, "</code></p>\n");
            if (f->advice) {
                ds_put_cstr(ds, "<p class='dim'>&#8594; ");
                put_line(ds, f->advice);
                ds_put_cstr(ds, "</p>\n");
            }
            ds_put_cstr(ds, "</li>\n");
        }
        ds_put_cstr(ds, "</ul>\n");
        put_left_out(ds, r->n_findings, MAX_LINES);
    }
    ds_put_cstr(ds, "</section>\n");
}

/* A table that scrolls within itself, with a line above it, which does not. */
static void
begin_table(struct ds *ds, const char *name, const char *lead)
{
    ds_put_format(ds, "<p class='dim lead'>%s</p>\n"
                  "<div class='scroll' role='region' tabindex='0' "
                  "aria-label='%s'>\n<table aria-label='%s'>\n",
                  lead, name, name);
}

static void
end_table(struct ds *ds)
{
    ds_put_cstr(ds, "</tbody>\n</table>\n</div>\n");
}

static void
put_stats_headings(struct ds *ds)
{
    ds_put_cstr(ds, "<th scope='col'>mean</th><th scope='col'>deviation</th>"
                "<th scope='col'>min</th><th scope='col'>p50</th>"
                "<th scope='col'>p90</th><th scope='col'>p99</th>"
                "<th scope='col'>max</th><th scope='col'>samples</th>"
                "</tr></thead>\n<tbody>\n");
}

static void
put_real_cell(struct ds *ds, double ns)
{
    if (isfinite(ns)) {
        ds_put_format(ds, "<td title='%.1f ns'>", ns);
    } else {
        ds_put_cstr(ds, "<td>");
    }
    page_time(ds, ns);
    ds_put_cstr(ds, "</td>");
}

static void
put_stats(struct ds *ds, const struct report_stats *s, bool known)
{
    if (!known || !s->n) {
        for (int i = 0; i < 7; i++) {
            ds_put_cstr(ds, "<td>&#8211;</td>");
        }
        ds_put_format(ds, "<td>%"PRIu64"</td></tr>\n", s->n);
        return;
    }
    put_real_cell(ds, s->mean);
    put_real_cell(ds, s->deviation);

    const int64_t times[] = { s->min, s->p50, s->p90, s->p99, s->max };
    for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
        ds_put_format(ds, "<td title='%"PRId64" ns'%s>", times[i],
                      times[i] < 0 ? " class='bad'" : "");
        page_time(ds, times[i]);
        ds_put_cstr(ds, "</td>");
    }
    ds_put_format(ds, "<td>%"PRIu64"</td></tr>\n", s->n);
}

static void
put_segments(struct ds *ds, const struct report *r)
{
    begin_section(ds, "segments", "Segments");
    begin_table(ds, "Segments", "In the order of the way. The exact time is "
                "in the title of each cell.");
    ds_put_cstr(ds, "<thead><tr><th scope='col'>segment</th>"
                "<th scope='col'>share</th>");
    put_stats_headings(ds);
    for (int i = 0; i < REPORT_N_SEGMENTS; i++) {
        const struct report_segment_class *class = &report_segment_classes[i];
        const struct report_segment *s = &r->segments[i];
        bool primary = r->primary == i;

        ds_put_format(ds, "<tr%s><th scope='row'><span class='key %s'>%s "
                      "%s%s</span><br><span class='dim'>%s, %s, %s</span>"
                      "</th><td>", primary ? " class='primary'" : "",
                      page_layer_class(class->layer), class->letter,
                      class->name, primary ? " (largest)" : "",
                      page_where(class->where), page_layer_class(class->layer),
                      report_how_name(s->how));
        page_percent(ds, page_share(r, i));
        ds_put_cstr(ds, "</td>");
        put_stats(ds, &s->stats, s->how != REPORT_UNKNOWN);
    }
    end_table(ds);
    ds_put_cstr(ds, "</section>\n");
}

static void
put_rows(struct ds *ds, const struct report *r)
{
    if (!r->n_rows) {
        return;
    }
    begin_section(ds, "totals", "Totals");
    begin_table(ds, "Totals", "Times that are of several segments, or of "
                "none.");
    ds_put_cstr(ds, "<thead><tr><th scope='col'>time</th>");
    put_stats_headings(ds);
    for (size_t i = 0; i < MIN(r->n_rows, MAX_LINES); i++) {
        const struct report_row *row = &r->rows[i];

        ds_put_cstr(ds, "<tr><th scope='row'>");
        put_line(ds, row->name);
        ds_put_format(ds, "<br><span class='dim'>%s",
                      report_how_name(row->how));
        if (row->why) {
            ds_put_cstr(ds, ": ");
            put_line(ds, row->why);
        }
        ds_put_cstr(ds, "</span></th>");
        put_stats(ds, &row->stats, row->how != REPORT_UNKNOWN);
    }
    end_table(ds);
    put_left_out(ds, r->n_rows, MAX_LINES);
    ds_put_cstr(ds, "</section>\n");
}

static void
put_layers(struct ds *ds, const struct report *r)
{
    double total = 0;

    for (int i = 0; i < REPORT_N_LAYERS; i++) {
        double share = r->layers[i].share;

        total += isfinite(share) && share > 0 ? share : 0;
    }

    begin_section(ds, "layers", "Layers");
    if (total > 0) {
        ds_put_cstr(ds, "<div class='shares' role='img' aria-label='Shares "
                    "of the layers, as in the table below'>\n");
        for (int i = 0; i < REPORT_N_LAYERS; i++) {
            double share = r->layers[i].share;

            if (isfinite(share) && share > 0) {
                ds_put_format(ds, "<span class='%s' title='%s' "
                              "style='width:%.2f%%'>%s</span>\n",
                              page_layer_class(i), report_layer_name(i),
                              100 * share / MAX(1, total),
                              share > 0.1 ? page_layer_class(i) : "");
            }
        }
        ds_put_cstr(ds, "</div>\n");
    }
    begin_table(ds, "Layers", "The sum of a layer's known segments, per "
                "packet that has all of them; share of the mean round trip.");
    ds_put_cstr(ds, "<thead><tr><th scope='col'>layer</th>"
                "<th scope='col' class='text'>segments</th>"
                "<th scope='col'>share</th>");
    put_stats_headings(ds);
    for (int i = 0; i < REPORT_N_LAYERS; i++) {
        ds_put_format(ds, "<tr><th scope='row'><span class='key %s'>%s</span>"
                      "</th><td class='text'>", page_layer_class(i),
                      report_layer_name(i));
        for (int j = 0; j < REPORT_N_SEGMENTS; j++) {
            if (report_segment_classes[j].layer == i) {
                ds_put_format(ds, "%s%s ", report_segment_classes[j].letter,
                              r->segments[j].how == REPORT_UNKNOWN
                              ? "&#8239;?" : "");
            }
        }
        ds_put_cstr(ds, i == REPORT_REST ? "what no segment covers</td><td>"
                    : "</td><td>");
        page_percent(ds, r->layers[i].share);
        ds_put_cstr(ds, "</td>");
        put_stats(ds, &r->layers[i].stats, true);
    }
    end_table(ds);
    ds_put_cstr(ds, "</section>\n");
}

/* Names the segment of 'p' that is farthest above its median. */
static void
put_culprit(struct ds *ds, const struct report *r,
            const struct report_packet *p)
{
    int64_t most = 0;
    int which = -1;

    for (int i = 0; i < REPORT_N_SEGMENTS; i++) {
        const struct report_segment *s = &r->segments[i];

        if (p->ns[i] != INT64_MIN && s->how != REPORT_UNKNOWN && s->stats.n
            && p->ns[i] > s->stats.p50 && p->ns[i] - s->stats.p50 > most) {
            most = p->ns[i] - s->stats.p50;
            which = i;
        }
    }
    if (which >= 0) {
        ds_put_format(ds, "<p class='numbers'>farthest above its median: "
                      "<b>%s</b>, by ", report_segment_classes[which].letter);
        page_exact_time(ds, most);
        ds_put_cstr(ds, "</p>\n");
    }
}

static void
put_packets(struct ds *ds, const struct report *r)
{
    begin_section(ds, "packets", "The median packet and the worst");
    if (!r->n_packets) {
        ds_put_cstr(ds, "<p>No packet was matched all the way.</p>\n"
                    "</section>\n");
        return;
    }
    ds_put_cstr(ds, "<p class='dim lead'>Each with its own scale. Segments "
                "that are not known take no room here; what no segment "
                "covers, wherever it was, stands last as \"rest\".");
    if (!r->rtt_is_of_guest) {
        ds_put_cstr(ds, " The round trip is that at VM-A's port: B1, L and L+ "
                    "are before and after it.");
    }
    ds_put_cstr(ds, "</p>\n<div class='cards'>\n");
    for (size_t i = 0; i < MIN(r->n_packets, MAX_PACKETS); i++) {
        const struct report_packet *p = &r->packets[i];

        ds_put_format(ds, "<figure class='card'><figcaption><b>%s</b> ",
                      i ? "Worst" : "Median");
        if (i) {
            ds_put_format(ds, "%"PRIuSIZE": ", i);
        }
        page_text(ds, p->name, PAGE_NAME);
        ds_put_cstr(ds, ", <b>");
        page_exact_time(ds, p->total_ns);
        ds_put_cstr(ds, "</b>, sent ");
        ds_put_strftime_msec(ds, "%H:%M:%S.###", p->wall_ns / 1000000, true);
        ds_put_cstr(ds, "</figcaption>\n");
        page_draw_packet(ds, r, i);
        if (i) {
            put_culprit(ds, r, p);
        }
        ds_put_cstr(ds, "</figure>\n");
    }
    ds_put_cstr(ds, "</div>\n");
    put_left_out(ds, r->n_packets, MAX_PACKETS);
    ds_put_cstr(ds, "</section>\n");
}

static void
put_counts(struct ds *ds, const struct report *r)
{
    if (!r->n_counts) {
        return;
    }
    begin_section(ds, "counts", "Packets counted");
    begin_table(ds, "Packets counted", "Each packet of the records, matched "
                "or not.");
    ds_put_cstr(ds, "<thead><tr><th scope='col'>what</th>"
                "<th scope='col'>packets</th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < MIN(r->n_counts, MAX_LINES); i++) {
        ds_put_cstr(ds, "<tr><th scope='row'>");
        put_line(ds, r->counts[i].name);
        ds_put_format(ds, "</th><td>%"PRIu64"</td></tr>\n", r->counts[i].n);
    }
    end_table(ds);
    put_left_out(ds, r->n_counts, MAX_LINES);
    ds_put_cstr(ds, "</section>\n");
}

static void
put_pair(struct ds *ds, const char *key, const char *value)
{
    ds_put_format(ds, "<dt>%s</dt><dd>", key);
    if (value && value[0]) {
        put_line(ds, value);
    } else {
        ds_put_cstr(ds, "&#8211;");
    }
    ds_put_cstr(ds, "</dd>\n");
}

static void
put_inputs(struct ds *ds, const struct report *r)
{
    begin_section(ds, "inputs", "What this was made from");
    ds_put_cstr(ds, "<div class='cards'>\n");
    for (size_t i = 0; i < ARRAY_SIZE(r->inputs); i++) {
        const struct report_input *input = &r->inputs[i];

        ds_put_format(ds, "<div class='card'>\n<h3>%s</h3>\n", input->part);
        if (!input->file) {
            ds_put_cstr(ds, "<p class='dim'>Not given: what only this part "
                        "sees is not known.</p>\n</div>\n");
            continue;
        }
        ds_put_cstr(ds, "<dl class='inputs'>\n");
        put_pair(ds, "file", input->file);
        put_pair(ds, "host", input->host);
        put_pair(ds, "software", input->software);
        put_pair(ds, "filter", input->filter);
        ds_put_cstr(ds, "<dt>from</dt><dd>");
        ds_put_strftime_msec(ds, "%Y-%m-%d %H:%M:%S.###",
                             input->start_wall_ns / 1000000, true);
        ds_put_format(ds, " UTC, by its clock</dd>\n<dt>for</dt><dd>%.1f&#160;"
                      "s</dd>\n<dt>records</dt><dd>%"PRIu64"</dd>\n"
                      "<dt>lost</dt><dd class='%s'>%s%"PRIu64"</dd>\n",
                      input->seconds, input->n_records,
                      input->n_lost ? "badge warning" : "",
                      input->n_lost ? "&#9650; " : "", input->n_lost);
        if (input->truncated) {
            ds_put_cstr(ds, "<dt>state</dt><dd class='badge warning'>&#9650; "
                        "cut off: the end is missing</dd>\n");
        }
        ds_put_cstr(ds, "</dl>\n</div>\n");
    }
    ds_put_cstr(ds, "</div>\n</section>\n");
}

char *
report_write_html(const struct report *r, const char *name)
{
    struct ds ds = DS_EMPTY_INITIALIZER;
    char *error;

    put_head(&ds, r);
    put_facts(&ds, r);
    put_path(&ds, r);
    put_findings(&ds, r);
    put_layers(&ds, r);
    put_packets(&ds, r);
    begin_section(&ds, "histograms", "Histograms");
    ds_put_cstr(&ds, "<p class='dim lead'>All on one logarithmic axis, which "
                "goes to the right. The area of a bar is the number of "
                "packets. Solid line: median; dashed line: p99.</p>\n");
    page_draw_histograms(&ds, r);
    ds_put_cstr(&ds, "</section>\n");
    put_segments(&ds, r);
    put_rows(&ds, r);
    put_counts(&ds, r);
    put_inputs(&ds, r);
    ds_put_format(&ds, "</main>\n<footer><p>ovs-vmlat %s</p></footer>\n"
                  "</body>\n</html>\n", VMLAT_VERSION);

    error = page_write_file(name, ds.string, ds.length);
    ds_destroy(&ds);
    return error;
}
