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

/* Tests of what "ovs-vmlat" shows: pages, and the comparison of runs.
 *
 * Each subcommand exits with 0, or prints what is wrong and exits with 1.
 * Random numbers have a fixed seed. */

#include <config.h>
#undef NDEBUG

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "command-line.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/util.h"
#include "unicode.h"
#include "util.h"
#include "utilities/ovs-vmlat-page.h"
#include "utilities/ovs-vmlat-report.h"
#include "utilities/ovs-vmlat-run.h"
#include "vmlat-histogram.h"

static int n_errors;

static void OVS_PRINTF_FORMAT(1, 2)
fail(const char *format, ...)
{
    va_list args;

    n_errors++;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

static uint64_t
next_random(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* A random number from 0 (exclusive) to 1. */
static double
random_unit(uint64_t *state)
{
    return ((next_random(state) >> 11) + 0.5) / (UINT64_C(1) << 53);
}

/* A random number, normally distributed. */
static double
random_normal(uint64_t *state)
{
    return (sqrt(-2 * log(random_unit(state)))
            * cos(2 * M_PI * random_unit(state)));
}

/* A latency whose median is 'median', with a tail. */
static int64_t
random_latency(uint64_t *state, double median)
{
    double x = median * exp(0.25 * random_normal(state));

    return random_unit(state) < 0.01 ? x * (2 + 20 * random_unit(state)) : x;
}

/* Reports to make pages of. */

/* A published run, ns.  E+ and L+ are of no one. */
static const double published[REPORT_N_SEGMENTS] = {
    [REPORT_SEG_A] = 18e3, [REPORT_SEG_B1] = 25e3, [REPORT_SEG_B] = 13.5e3,
    [REPORT_SEG_C] = 15.5e3, [REPORT_SEG_D] = 13e3, [REPORT_SEG_E] = 42e3,
    [REPORT_SEG_EV] = 4e3, [REPORT_SEG_F] = 24e3, [REPORT_SEG_G] = 8e3,
    [REPORT_SEG_H] = 7e3, [REPORT_SEG_I1] = 11e3, [REPORT_SEG_I] = 9e3,
    [REPORT_SEG_J] = 15.5e3, [REPORT_SEG_K] = 8e3, [REPORT_SEG_L] = 38e3,
    [REPORT_SEG_LV] = 3e3, [REPORT_SEG_M] = 16e3,
};

static int
compare_times(const void *a_, const void *b_)
{
    const int64_t *a = a_, *b = b_;

    return *a < *b ? -1 : *a > *b;
}

static void
set_stats(struct report_stats *s, int64_t *times, size_t n)
{
    double square = 0;

    s->n = n;
    qsort(times, n, sizeof *times, compare_times);
    for (size_t i = 0; i < n; i++) {
        s->mean += (double) times[i] / n;
    }
    for (size_t i = 0; i < n; i++) {
        square += (times[i] - s->mean) * (times[i] - s->mean) / n;
    }
    s->deviation = sqrt(square);
    s->min = times[0];
    s->p50 = times[n / 2];
    s->p90 = times[n * 9 / 10];
    s->p99 = times[n * 99 / 100];
    s->max = times[n - 1];

    s->buckets = xcalloc(n, sizeof *s->buckets);
    for (size_t i = 0; i < n; i++) {
        unsigned int bucket = vmlat_histogram_bucket(MAX(times[i], 0));
        int64_t low = vmlat_histogram_bucket_floor(bucket);

        if (!s->n_buckets || s->buckets[s->n_buckets - 1].low != low) {
            s->buckets[s->n_buckets].low = low;
            s->buckets[s->n_buckets++].high
                = vmlat_histogram_bucket_floor(bucket + 1);
        }
        s->buckets[s->n_buckets - 1].n++;
    }
}

static void
add_finding(struct report *r, enum report_level level, const char *code,
            const char *text, const char *advice)
{
    struct report_finding *f;

    r->findings = xrealloc(r->findings,
                           (r->n_findings + 1) * sizeof *r->findings);
    f = &r->findings[r->n_findings++];
    f->level = level;
    f->code = xstrdup(code);
    f->text = xstrdup(text);
    f->advice = nullable_xstrdup(advice);
}

static void
add_row(struct report *r, const char *name, enum report_how how,
        const char *why, int64_t *times, size_t n)
{
    struct report_row *row;

    r->rows = xrealloc(r->rows, (r->n_rows + 1) * sizeof *r->rows);
    row = &r->rows[r->n_rows++];
    memset(row, 0, sizeof *row);
    row->name = xstrdup(name);
    row->how = how;
    row->why = nullable_xstrdup(why);
    if (n) {
        set_stats(&row->stats, times, n);
    }
}

static void
add_count(struct report *r, const char *name, uint64_t n)
{
    r->counts = xrealloc(r->counts, (r->n_counts + 1) * sizeof *r->counts);
    r->counts[r->n_counts].name = xstrdup(name);
    r->counts[r->n_counts++].n = n;
}

static void
set_input(struct report *r, int i, const char *part, const char *host,
          const char *software)
{
    struct report_input *input = &r->inputs[i];

    input->part = part;
    input->file = xasprintf("%s.rec", host);
    input->host = xstrdup(host);
    input->software = xstrdup(software);
    input->filter = xstrdup("proto=icmp");
    input->start_wall_ns = UINT64_C(1763733600000000000) + i * 1234567;
    input->n_records = 4012 + 7 * i;
    input->seconds = 16.2;
}

/* Fills in '*r' with 'n' packets, as if from all four parts.  Makes the sum of
 * each series in 'sums', by packet. */
static void
fill_report(struct report *r, size_t n, uint64_t seed)
{
    static const char *parts[] = { "sender host", "receiver host",
                                   "sender guest", "receiver guest" };
    int64_t *times[REPORT_N_SEGMENTS], *layers[REPORT_N_LAYERS];
    int64_t *rtt = xcalloc(n, sizeof *rtt), *copy;
    struct report_packet *p;
    size_t worst = 0;

    memset(r, 0, sizeof *r);
    r->title = xstrdup("10.0.0.1 -> 10.0.0.2, ICMP echo");
    set_input(r, 0, parts[0], "compute-17", "ovs-vswitchd 3.1.0, vmlat 0.1.0");
    set_input(r, 1, parts[1], "compute-23", "ovs-vswitchd 3.1.0, vmlat 0.1.0");
    set_input(r, 2, parts[2], "web-1", "vmlat-guest 0.1.0");
    set_input(r, 3, parts[3], "db-1", "vmlat-guest 0.1.0");
    r->inputs[1].n_lost = 3;
    for (int i = 0; i < 2; i++) {
        r->vm_port[i] = xstrdup(i ? "tap8f3e21a0-9c" : "vnet3");
        r->nic_port[i] = xstrdup(i ? "bond1" : "enp65s0f0np0");
        r->vm[i] = xstrdup(i ? "db-1" : "web-1");
    }

    for (int i = 0; i < REPORT_N_LAYERS; i++) {
        layers[i] = xcalloc(n, sizeof *layers[i]);
    }
    for (int i = 0; i < REPORT_N_SEGMENTS; i++) {
        times[i] = xcalloc(n, sizeof *times[i]);
        for (size_t j = 0; j < n; j++) {
            times[i][j] = random_latency(&seed, published[i]);
            if (i == REPORT_SEG_J) {
                times[i][j] = times[REPORT_SEG_C][j];
            }
            rtt[j] += times[i][j];
            layers[report_segment_classes[i].layer][j] += times[i][j];
        }
    }
    for (size_t j = 0; j < n; j++) {
        layers[REPORT_REST][j] = random_latency(&seed, 5e3);
        rtt[j] += layers[REPORT_REST][j];
        worst = rtt[j] > rtt[worst] ? j : worst;
    }

    r->n_packets = 4;
    r->packets = xcalloc(r->n_packets, sizeof *r->packets);
    for (size_t j = 0; j < r->n_packets; j++) {
        size_t at = j == 1 ? worst : j;

        p = &r->packets[j];
        p->name = xasprintf("id 4711 seq %"PRIuSIZE, at);
        p->wall_ns = r->inputs[0].start_wall_ns + at * 1000000000;
        p->total_ns = rtt[at];
        for (int i = 0; i < REPORT_N_SEGMENTS; i++) {
            p->ns[i] = times[i][at];
        }
        p->rest_ns = layers[REPORT_REST][at];
    }

    copy = xmemdup(rtt, n * sizeof *rtt);
    add_row(r, "RTT in the sender VM", REPORT_MEASURED, NULL, copy, n);
    for (size_t j = 0; j < n; j++) {
        copy[j] = 2 * times[REPORT_SEG_C][j];
    }
    add_row(r, "C + J", REPORT_DERIVED, NULL, copy, n);
    free(copy);

    for (int i = 0; i < REPORT_N_SEGMENTS; i++) {
        set_stats(&r->segments[i].stats, times[i], n);
        free(times[i]);
    }
    r->segments[REPORT_SEG_C].how = REPORT_HALVED;
    r->segments[REPORT_SEG_J].how = REPORT_HALVED;
    set_stats(&r->rtt, rtt, n);
    r->rtt_is_of_guest = true;
    free(rtt);
    for (int i = 0; i < REPORT_N_LAYERS; i++) {
        set_stats(&r->layers[i].stats, layers[i], n);
        r->layers[i].share = r->layers[i].stats.mean / r->rtt.mean;
        free(layers[i]);
    }
    r->primary = REPORT_SEG_E;

    add_finding(r, REPORT_OK, "SUM", "the parts add up to 98.1 % of the round "
                "trip (limit 95 %)", NULL);
    add_finding(r, REPORT_WARNING, "E-SLOW", "port to interrupt on Host-B "
                "takes 42.0 us, 19 % of the round trip", "Look at the vhost "
                "worker of tap8f3e21a0-9c: does it share its CPU with a vCPU? "
                "vmlat/show --stages says which stage.");
    add_finding(r, REPORT_NOTE, "SYMMETRY", "C and J are halves of C + J",
                "If both ways of the network differ, so do C and J.");
    add_count(r, "matched on both hosts and in both guests", n);
    add_count(r, "no record on Host-B", 3);
    add_count(r, "ambiguous", 0);
}

/* Takes segment 'i' from '*r'. */
static void
forget_segment(struct report *r, int i, const char *why)
{
    struct report_segment *s = &r->segments[i];

    free(s->stats.buckets);
    free(s->why);
    memset(s, 0, sizeof *s);
    s->how = REPORT_UNKNOWN;
    s->why = nullable_xstrdup(why);
    for (size_t j = 0; j < r->n_packets; j++) {
        r->packets[j].ns[i] = INT64_MIN;
    }
}

static void
set_text(char **s, const char *text)
{
    free(*s);
    *s = xstrdup(text);
}

/* What a page must not take for markup, nor a reader for something else. */
#define HOSTILE \
    "</title></style></svg><script>alert(1)</script>" \
    "<img src=x onerror='alert(2)'>\" onload=\"alert(3) --><!-- ]]>" \
    "\xff\xfe\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80\xe2\x82" \
    "\x01\x02\x1b[31m\x7f\xc2\x85\xe2\x80\xae" "gpj.exe\xe2\x81\xa6" \
    "&amp; &#60;"

static void
make_report(struct report *r, const char *what)
{
    static const char none[] = "no recording of this guest";
    static const int guests[] = {
        REPORT_SEG_A, REPORT_SEG_F, REPORT_SEG_G, REPORT_SEG_H, REPORT_SEG_M
    };

    if (!strcmp(what, "empty")) {
        memset(r, 0, sizeof *r);
        r->title = xstrdup("");
        r->primary = -1;
        for (int i = 0; i < 4; i++) {
            r->inputs[i].part = "part";
        }
        for (int i = 0; i < REPORT_N_SEGMENTS; i++) {
            r->segments[i].how = REPORT_UNKNOWN;
        }
        for (int i = 0; i < REPORT_N_LAYERS; i++) {
            r->layers[i].share = NAN;
        }
        return;
    }

    fill_report(r, 4000, 1);
    if (!strcmp(what, "hosts")) {
        for (size_t i = 0; i < ARRAY_SIZE(guests); i++) {
            forget_segment(r, guests[i], none);
        }
        for (int i = 2; i < 4; i++) {
            free(r->inputs[i].file);
            r->inputs[i].file = NULL;
        }
        r->rtt_is_of_guest = false;
        r->layers[REPORT_VM].share = NAN;
        r->layers[REPORT_VM].stats.n = 0;
        forget_segment(r, REPORT_SEG_EV, "the vCPUs ran in the guest");
        r->segments[REPORT_SEG_L].why = xstrdup("only packets with a signal "
                                                "of their own");
    } else if (!strcmp(what, "hostile")) {
        struct ds longest = DS_EMPTY_INITIALIZER;

        ds_put_char_multiple(&longest, 'x', 100000);
        set_text(&r->title, HOSTILE);
        for (int i = 0; i < 2; i++) {
            set_text(&r->vm_port[i], HOSTILE);
            set_text(&r->nic_port[i], ds_cstr(&longest));
            set_text(&r->vm[i], HOSTILE);
        }
        for (int i = 0; i < 4; i++) {
            set_text(&r->inputs[i].file, HOSTILE);
            set_text(&r->inputs[i].host, ds_cstr(&longest));
            set_text(&r->inputs[i].software, HOSTILE);
            set_text(&r->inputs[i].filter, HOSTILE);
            r->inputs[i].start_wall_ns = UINT64_MAX;
            r->inputs[i].seconds = INFINITY;
            r->inputs[i].truncated = true;
        }
        for (size_t i = 0; i < r->n_findings; i++) {
            set_text(&r->findings[i].code, HOSTILE);
            set_text(&r->findings[i].text, HOSTILE);
            set_text(&r->findings[i].advice, HOSTILE);
        }
        for (size_t i = 0; i < r->n_rows; i++) {
            set_text(&r->rows[i].name, HOSTILE);
            set_text(&r->rows[i].why, HOSTILE);
        }
        for (size_t i = 0; i < r->n_packets; i++) {
            set_text(&r->packets[i].name, HOSTILE);
            r->packets[i].wall_ns = UINT64_MAX;
            r->packets[i].ns[i] = i & 1 ? INT64_MAX : -1;
            r->packets[i].rest_ns = i & 2 ? INT64_MAX : -INT64_MAX;
        }
        for (size_t i = 0; i < r->n_counts; i++) {
            set_text(&r->counts[i].name, HOSTILE);
        }
        for (int i = 0; i < 1000; i++) {
            add_count(r, HOSTILE, UINT64_MAX);
            add_finding(r, REPORT_ERROR, HOSTILE, HOSTILE, HOSTILE);
        }
        for (int i = 0; i < REPORT_N_SEGMENTS; i += 2) {
            forget_segment(r, i, HOSTILE);
        }
        r->segments[1].stats.min = INT64_MIN + 1;
        r->segments[1].stats.max = INT64_MAX;
        r->segments[1].stats.buckets[0].low = INT64_MIN + 1;
        r->segments[1].stats.buckets[1].high = INT64_MAX;
        r->segments[1].stats.buckets[1].n = UINT64_MAX / 2;
        r->segments[3].stats.mean = NAN;
        r->segments[3].stats.deviation = INFINITY;
        ds_destroy(&longest);
    } else if (strcmp(what, "whole")) {
        ovs_fatal(0, "unknown report \"%s\"", what);
    }
}

static void
make_page(struct ovs_cmdl_context *ctx)
{
    struct report report;
    char *error;

    make_report(&report, ctx->argv[1]);
    error = report_write_html(&report, ctx->argv[2]);
    report_uninit(&report);
    if (error) {
        fail("%s", error);
        free(error);
    }
}

/* Checks of pages. */

static char *
read_page(const char *name, size_t *n)
{
    FILE *stream = fopen(name, "r");
    char *page;

    if (!stream) {
        ovs_fatal(errno, "%s", name);
    }
    page = xcalloc(1, 16 * 1024 * 1024);
    *n = fread(page, 1, 16 * 1024 * 1024 - 1, stream);
    fclose(stream);
    return page;
}

static bool
is_void(const char *tag)
{
    static const char *tags[] = { "!DOCTYPE", "meta", "br" };

    for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
        if (!strcmp(tag, tags[i])) {
            return true;
        }
    }
    return false;
}

/* Parses the tag at 's', which begins with "<", as a browser would.  Returns
 * what is after it, and its name and whether it ends an element or itself. */
static const char *
parse_tag(const char *what, const char *s, char name[32], bool *end,
          bool *empty)
{
    size_t n;

    *end = *++s == '/';
    s += *end;
    n = strcspn(s, " \t\r\n/>");
    ovs_strzcpy(name, "", 32);
    memcpy(name, s, MIN(n, 31));
    s += n;
    for (;;) {
        s += strspn(s, " \t\r\n");
        *empty = *s == '/';
        s += *empty;
        if (*s == '>') {
            return s + 1;
        } else if (!*s || *empty) {
            fail("%s: <%s> does not end", what, name);
            return s + strlen(s);
        }
        n = strcspn(s, " \t\r\n/>=");
        if (!strncasecmp(s, "on", 2) || !strncasecmp(s, "src", 3)
            || !strncasecmp(s, "href", 4)) {
            fail("%s: <%s> has attribute %.*s", what, name, (int) n, s);
        }
        s += n;
        if (*s == '=') {
            char quote = *++s;

            if (quote != '"' && quote != '\'') {
                fail("%s: <%s> has an attribute without quotes", what, name);
                return s + strlen(s);
            }
            s = strchr(s + 1, quote);
            if (!s) {
                fail("%s: <%s> has a quote too few", what, name);
                return "";
            }
            s++;
        }
    }
}

/* Checks that elements are nested as they should be, that there are only those
 * that the page has of itself, and that its text is fit to be shown. */
static void
check_page(const char *what, const char *page, size_t n)
{
    static const char *allowed[] = {
        "!DOCTYPE", "html", "head", "meta", "title", "style", "body", "header",
        "main", "footer", "section", "h1", "h2", "h3", "p", "b", "code", "div",
        "span", "br", "ul", "li", "dl", "dt", "dd", "table", "thead",
        "tbody", "tr", "th", "td", "figure", "figcaption", "svg", "desc", "g",
        "path", "rect", "circle", "text",
    };
    char stack[64][32];
    const char *s = page;
    size_t depth = 0;
    char *error;

    error = utf8_validate(page, NULL);
    if (error || strlen(page) != n) {
        fail("%s: %s", what, error ? error : "has a null");
        free(error);
    }
    for (size_t i = 0; i < n; i++) {
        uint8_t c = page[i];

        if ((c < ' ' && c != '\n') || c == 0x7f
            || (c == 0xc2 && (uint8_t) page[i + 1] < 0xa0)
            || !strncmp(page + i, "\xe2\x80\xae", 3)
            || !strncmp(page + i, "\xe2\x81\xa6", 3)) {
            fail("%s: has a control character at %"PRIuSIZE, what, i);
            break;
        }
    }

    while ((s = strchr(s, '<')) != NULL) {
        bool end, empty, known = false;
        char name[32];

        s = parse_tag(what, s, name, &end, &empty);
        for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
            known = known || !strcmp(name, allowed[i]);
        }
        if (!known) {
            fail("%s: <%s>", what, name);
        }
        if (end) {
            if (!depth || strcmp(stack[--depth], name)) {
                fail("%s: </%s> ends <%s>", what, name,
                     depth ? stack[depth] : "");
                return;
            }
        } else if (!empty && !is_void(name)) {
            if (depth >= ARRAY_SIZE(stack)) {
                fail("%s: nested too deeply", what);
                return;
            }
            ovs_strlcpy(stack[depth++], name, sizeof stack[0]);
        }
        if (!strcmp(name, "style") && !end) {
            s = strstr(s, "</style>");
        }
    }
    if (depth) {
        fail("%s: <%s> does not end", what, stack[depth - 1]);
    }
}

/* Ids of a page are unique, and what is labelled by one is there. */
static void
check_ids(const char *what, const char *page)
{
    const char *s = page;

    while ((s = strstr(s, " id='")) != NULL) {
        size_t n = strcspn(s + 5, "'") + 6;
        char *id = xmemdup0(s, n);

        if (strstr(s + n, id)) {
            fail("%s: there are two%s", what, id);
        }
        if (strcspn(id + 5, " '\"<>&+") != strlen(id + 5) - 1) {
            fail("%s: strange%s", what, id);
        }
        free(id);
        s += n;
    }
}

static void
test_html(struct ovs_cmdl_context *ctx OVS_UNUSED)
{
    static const char *reports[] = { "empty", "whole", "hosts", "hostile" };

    for (size_t i = 0; i < ARRAY_SIZE(reports); i++) {
        const char *what = reports[i];
        struct report report;
        char *page, *error;
        size_t n;

        make_report(&report, what);
        error = report_write_html(&report, "page.html");
        report_uninit(&report);
        if (error) {
            fail("%s", error);
            free(error);
            continue;
        }
        page = read_page("page.html", &n);
        check_page(what, page, n);
        check_ids(what, page);
        if (strstr(page, "nan") || strstr(page, "inf ")
            || strstr(page, "width='-")) {
            fail("%s: has a figure that is none", what);
        }
        if (n > 1024 * 1024 || !strstr(page, "default-src 'none'")
            || !strstr(page, "</html>")) {
            fail("%s: %"PRIuSIZE" bytes, or something is missing", what, n);
        }
        free(page);
    }
    unlink("page.html");
    printf("%"PRIuSIZE" pages\n", ARRAY_SIZE(reports));
}

static void
check_text(const char *text, size_t max, const char *expected)
{
    struct ds ds = DS_EMPTY_INITIALIZER;

    page_text(&ds, text, max);
    if (strcmp(ds_cstr(&ds), expected)) {
        fail("\"%s\" is shown as \"%s\", not \"%s\"", text, ds_cstr(&ds),
             expected);
    }
    ds_destroy(&ds);
}

static void
test_text(struct ovs_cmdl_context *ctx OVS_UNUSED)
{
    check_text(NULL, 5, "");
    check_text("", 5, "");
    check_text("vnet0", 5, "vnet0");
    check_text("vnet10", 5, "vnet1&#8230;");
    check_text("vnet10", 0, "&#8230;");
    check_text("<a href=\"x\">&'", 99,
               "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
    check_text("a\tb\nc\rd\x01" "e\x1b[0m\x7f", 99, "a b c de[0m");
    check_text("M\xc3\xbcller \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80", 99,
               "M\xc3\xbcller \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80");
    /* Cut off, not the only form, a surrogate, above the last character, a
     * byte from the middle. */
    check_text("\xc3", 9, "\xef\xbf\xbd");
    check_text("\xe2\x82", 9, "\xef\xbf\xbd\xef\xbf\xbd");
    check_text("\xc0\xbc", 9, "\xef\xbf\xbd\xef\xbf\xbd");
    check_text("\xe0\x80\xbc", 9, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    check_text("\xed\xa0\x80", 9, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    check_text("\xf4\x90\x80\x80", 9,
               "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    check_text("a\x80z", 9, "a\xef\xbf\xbdz");
    check_text("\xef\xbf\xbe", 9, "\xef\xbf\xbd");
    /* Turns what follows around, breaks lines, joins, is invisible. */
    check_text("a\xe2\x80\xae" "b\xe2\x81\xa9" "c", 9, "abc");
    check_text("a\xe2\x80\xa8" "b\xc2\x85" "c", 9, "a b c");
    check_text("a\xe2\x80\x8b" "b\xef\xbb\xbf" "c\xf3\xa0\x81\x81", 9, "abc");
    /* Five accents on one letter. */
    check_text("e\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81z", 9,
               "e\xcc\x81\xcc\x81z");
}

static void
check_time(double ns, const char *expected)
{
    struct ds ds = DS_EMPTY_INITIALIZER;

    page_time(&ds, ns);
    if (strcmp(ds_cstr(&ds), expected)) {
        fail("%g ns is shown as \"%s\", not \"%s\"", ns, ds_cstr(&ds),
             expected);
    }
    ds_destroy(&ds);
}

static void
test_time(struct ovs_cmdl_context *ctx OVS_UNUSED)
{
#define SPACE "&#160;"
#define US SPACE "&#181;s"
    check_time(0, "0" SPACE "ns");
    check_time(1, "1" SPACE "ns");
    check_time(0.25, "0.25" SPACE "ns");
    check_time(999, "999" SPACE "ns");
    check_time(999.6, "1.00" US);
    check_time(1000, "1.00" US);
    check_time(1234, "1.23" US);
    check_time(9994, "9.99" US);
    check_time(9996, "10.0" US);
    check_time(12345, "12.3" US);
    check_time(99960, "100" US);
    check_time(123456, "123" US);
    check_time(999499, "999" US);
    check_time(999500, "1.00" SPACE "ms");
    check_time(1.5e9, "1.50" SPACE "s");
    check_time(1.5e12, "1500" SPACE "s");
    check_time(-1234, "&#8722;1.23" US);
    check_time(NAN, "&#8211;");
    check_time(INFINITY, "&#8211;");
}

/* Runs. */

/* Makes a run from arguments KEY=VALUE:
 *
 * - n=N, seed=N, title=TEXT.
 * - boot=N, run=N: the same number is the same boot or recording.
 * - start=SECONDS: CLOCK_MONOTONIC at the first packet, of 1 s each 1000.
 * - one-clock: both hosts have one clock, so C and J are known.
 * - offset=NS, drift-ppb=N: Host-B's clock minus Host-A's.
 * - no=SEGMENT: that one is not known.
 * - rtt-of-port: the RTT is not of the VM.
 * - SEGMENT=NS: added to that one. */
static void
save_run(struct ovs_cmdl_context *ctx)
{
    double added[REPORT_N_SEGMENTS] = { 0 }, offset = 0, drift = 0, start = 0;
    bool gone[REPORT_N_SEGMENTS] = { false }, one_clock = false;
    uint64_t seed = 1, n = 1000;
    struct run run;
    char *error;

    run_init(&run);
    run.title = xstrdup("10.0.0.1 -> 10.0.0.2, ICMP echo");
    run.rtt_is_of_guest = true;
    for (int i = 0; i < 2; i++) {
        run.boot_ids[i] = xasprintf("host-%d-boot-1", i);
    }
    for (int arg = 2; arg < ctx->argc; arg++) {
        char *key = ctx->argv[arg], *value = strchr(key, '=');
        double number;

        if (value) {
            *value++ = '\0';
        }
        number = value ? atof(value) : 0;
        if (!strcmp(key, "n")) {
            n = number;
        } else if (!strcmp(key, "seed")) {
            seed = number;
        } else if (!strcmp(key, "title")) {
            set_text(&run.title, value);
        } else if (!strcmp(key, "start")) {
            start = number * 1e9;
        } else if (!strcmp(key, "offset")) {
            offset = number;
        } else if (!strcmp(key, "drift-ppb")) {
            drift = number / 1e9;
        } else if (!strcmp(key, "one-clock")) {
            one_clock = true;
        } else if (!strcmp(key, "rtt-of-port")) {
            run.rtt_is_of_guest = false;
        } else if (!strcmp(key, "boot") || !strcmp(key, "run")) {
            char **ids = key[0] == 'b' ? run.boot_ids : run.run_ids;

            for (int i = 0; i < 2; i++) {
                free(ids[i]);
                ids[i] = xasprintf("host-%d-%s-%s", i, key, value);
            }
        } else {
            for (int i = 0; i < REPORT_N_SEGMENTS; i++) {
                const char *letter = report_segment_classes[i].letter;

                if (!strcmp(key, letter)) {
                    added[i] = number;
                } else if (!strcmp(key, "no") && !strcmp(value, letter)) {
                    gone[i] = true;
                }
            }
        }
    }

    for (uint64_t i = 0; i < n; i++) {
        struct run_packet p = { .when_ns = start + i * 1e6 };
        double clocks = offset + drift * p.when_ns;

        p.ns[RUN_REST] = random_latency(&seed, 5e3);
        p.ns[RUN_RTT] = p.ns[RUN_REST];
        for (int j = 0; j < REPORT_N_SEGMENTS; j++) {
            p.ns[j] = random_latency(&seed, published[j]) + added[j];
            p.ns[RUN_RTT] += p.ns[j];
        }
        p.ns[RUN_WIRE] = p.ns[REPORT_SEG_C] + p.ns[REPORT_SEG_J];
        p.ns[RUN_WIRE_OUT] = p.ns[REPORT_SEG_C] + clocks;
        p.ns[RUN_WIRE_BACK] = p.ns[REPORT_SEG_J] - clocks;
        if (!one_clock) {
            p.ns[REPORT_SEG_C] = RUN_UNKNOWN;
            p.ns[REPORT_SEG_J] = RUN_UNKNOWN;
        }
        for (int j = 0; j < REPORT_N_SEGMENTS; j++) {
            if (gone[j]) {
                p.ns[j] = RUN_UNKNOWN;
            }
        }
        run_add(&run, &p);
    }
    for (int i = 0; i < RUN_N_SERIES; i++) {
        run.series[i].how = (run.series[i].n ? REPORT_MEASURED
                             : REPORT_UNKNOWN);
        if (!run.series[i].n) {
            run.series[i].why = xstrdup("no recording");
        }
    }

    error = run_write(&run, ctx->argv[1]);
    run_uninit(&run);
    if (error) {
        fail("%s", error);
        free(error);
    }
}

/* Each packet is as likely to be kept as any other: of the first, the middle
 * and the last third there are about as many, and what was written is what is
 * read. */
static void
test_run(struct ovs_cmdl_context *ctx OVS_UNUSED)
{
    enum { N = 300000, THIRD = RUN_MAX_PACKETS / 3 };
    struct run run, copy;
    size_t n[3] = { 0 };
    char *error;

    run_init(&run);
    run.title = xstrdup("\"title\" \xc3\xbc \xff \x01");
    run.boot_ids[0] = xstrdup("boot");
    run.rtt_is_of_guest = true;
    run.series[REPORT_SEG_A].how = REPORT_MEASURED;
    run.series[REPORT_SEG_B].why = xstrdup("why");
    for (uint64_t i = 0; i < N; i++) {
        struct run_packet p = { .when_ns = N - i };

        for (int j = 0; j < RUN_N_SERIES; j++) {
            p.ns[j] = j % 3 ? (int64_t) i * (j % 2 ? 1 : -1) : RUN_UNKNOWN;
        }
        run_add(&run, &p);
    }
    error = run_write(&run, "run.json");
    if (!error) {
        error = run_read(&copy, "run.json");
    }
    if (error) {
        ovs_fatal(0, "%s", error);
    }
    unlink("run.json");

    if (strcmp(copy.title, "\"title\" ?? ? \x01")
        || strcmp(copy.boot_ids[0], "boot") || copy.boot_ids[1]
        || copy.run_ids[0] || !copy.rtt_is_of_guest || copy.n_packets != N
        || copy.n_kept != RUN_MAX_PACKETS
        || copy.series[REPORT_SEG_A].how != REPORT_MEASURED
        || copy.series[REPORT_SEG_B].how != REPORT_UNKNOWN
        || strcmp(copy.series[REPORT_SEG_B].why, "why")
        || copy.series[0].n || copy.series[1].n != N) {
        fail("what was read is not what was written");
    }
    for (size_t i = 0; i < copy.n_kept; i++) {
        if (memcmp(&copy.packets[i], &run.packets[i], sizeof run.packets[0])
            || (i && copy.packets[i].when_ns <= copy.packets[i - 1].when_ns)) {
            fail("packet %"PRIuSIZE" is not what was written", i);
            break;
        }
        n[MIN(2, copy.packets[i].when_ns * 3 / N)]++;
    }
    for (int i = 0; i < 3; i++) {
        /* Four deviations. */
        if (fabs((double) n[i] - THIRD) > 4 * sqrt(THIRD * 2.0 / 3)) {
            fail("%"PRIuSIZE" packets of third %d", n[i], i);
        }
    }
    run_uninit(&run);
    run_uninit(&copy);
}

/* The share of the intervals of 'alpha' that have the true difference in them,
 * for 'n' samples each of two distributions.  Each sample is 'memory' of the
 * one before, and the rest is new. */
static double
cover(size_t rounds, size_t n_a, size_t n_b, double alpha, double memory,
      bool skewed, uint64_t *seed, double *width)
{
    double *samples[2] = { xmalloc(n_a * sizeof(double)),
                           xmalloc(n_b * sizeof(double)) };
    size_t n[2] = { n_a, n_b }, covered = 0, known = 0;

    *width = 0;
    for (size_t round = 0; round < rounds; round++) {
        struct run_interval in;

        for (int i = 0; i < 2; i++) {
            double x = random_normal(seed);

            for (size_t j = 0; j < n[i]; j++) {
                /* The median of both is 100, of the second it is 105. */
                samples[i][j] = (i ? 105 : 100)
                                * (skewed ? exp(x * (i ? 0.5 : 0.2))
                                   : 1 + x * 0.1);
                x = memory * x
                    + sqrt(1 - memory * memory) * random_normal(seed);
            }
        }
        if (run_interval(samples[0], n_a, samples[1], n_b, alpha, &in)) {
            known++;
            covered += in.low <= 5 && in.high >= 5;
            *width += in.high - in.low;
        }
    }
    free(samples[0]);
    free(samples[1]);
    *width /= MAX(1, known);
    return known ? (double) covered / known : 0;
}

static void
test_interval(struct ovs_cmdl_context *ctx)
{
    static const struct {
        size_t n_a, n_b;
        double alpha, memory, least, most;
    } cases[] = {
        { 16, 16, 0.05, 0, 0.95, 1 },
        { 100, 100, 0.05, 0, 0.945, 0.995 },
        { 100, 1000, 0.05, 0, 0.945, 0.995 },
        { 1000, 1000, 0.05, 0, 0.94, 0.985 },
        { 200, 200, 0.0025, 0, 0.995, 1 },
        { 1000, 1000, 0.05, 0.9, 0.92, 0.99 },
        { 400, 400, 0.05, 0.7, 0.92, 0.99 },
    };
    size_t rounds = ctx->argc > 1 ? atoi(ctx->argv[1]) : 2000;
    uint64_t seed = 42;
    struct run_interval in;
    double same[100];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        for (int skewed = 0; skewed < 2; skewed++) {
            double width;
            double share = cover(rounds, cases[i].n_a, cases[i].n_b,
                                 cases[i].alpha, cases[i].memory, skewed,
                                 &seed, &width);

            if (ctx->argc > 1) {
                printf("%"PRIuSIZE" and %"PRIuSIZE" samples, alpha %g, memory "
                       "%g, %s: covers %.4f, width %.3f\n", cases[i].n_a,
                       cases[i].n_b, cases[i].alpha, cases[i].memory,
                       skewed ? "skewed" : "normal", share, width);
            }
            if (share < cases[i].least || share > cases[i].most) {
                fail("case %"PRIuSIZE", %s: covers %.4f, not %.3f to %.3f", i,
                     skewed ? "skewed" : "normal", share, cases[i].least,
                     cases[i].most);
            }
        }
    }

    /* All the same, none, and as few as say nothing. */
    for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
        same[i] = 7;
    }
    if (!run_interval(same, 100, same, 50, 0.05, &in)
        || in.difference != 0 || in.low != 0 || in.high != 0) {
        fail("samples that are all the same");
    }
    if (run_interval(same, 0, same, 100, 0.05, &in)
        || run_interval(same, 5, same, 100, 0.05, &in)
        || !run_interval(same, 6, same, 6, 0.05, &in)
        || run_interval_least(0.05) != 6) {
        fail("too few samples");
    }
}

static void
test_all(struct ovs_cmdl_context *ctx)
{
    test_html(ctx);
    test_text(ctx);
    test_time(ctx);
    test_run(ctx);
    test_interval(ctx);
}

static const struct ovs_cmdl_command commands[] = {
    { "all", NULL, 0, 0, test_all, OVS_RO },
    { "page", "empty|whole|hosts|hostile FILE", 2, 2, make_page, OVS_RO },
    { "html", NULL, 0, 0, test_html, OVS_RO },
    { "text", NULL, 0, 0, test_text, OVS_RO },
    { "time", NULL, 0, 0, test_time, OVS_RO },
    { "save", "FILE [KEY=VALUE...]", 1, INT_MAX, save_run, OVS_RO },
    { "run", NULL, 0, 0, test_run, OVS_RO },
    { "interval", "[rounds]", 0, 1, test_interval, OVS_RO },
    { NULL, NULL, 0, 0, NULL, OVS_RO },
};

int
main(int argc, char *argv[])
{
    struct ovs_cmdl_context ctx = { .argc = argc - 1, .argv = argv + 1 };

    set_program_name(argv[0]);
    if (argc < 2) {
        ovs_fatal(0, "missing command, one of: all page html text time save "
                  "run interval");
    }
    ovs_cmdl_run_command(&ctx, commands);
    return n_errors ? EXIT_FAILURE : EXIT_SUCCESS;
}
