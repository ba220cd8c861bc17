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

#include <config.h>
#include "vmlat-guest-show.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "vmlat-guest-util.h"

/* Width of the longest bar of a histogram. */
#define BAR_WIDTH 40

static double
us(uint64_t ns)
{
    return ns / 1000.0;
}

/* Returns 'address' as text, in 'buffer'. */
static const char *
format_address(const __u32 *address, int ip_version,
               char buffer[INET6_ADDRSTRLEN])
{
    return (inet_ntop(ip_version == 4 ? AF_INET : AF_INET6,
                      ip_version == 4 ? &address[3] : address,
                      buffer, INET6_ADDRSTRLEN)
            ? buffer : "?");
}

/* Prints 's', of at most 'size' bytes, with nothing in it that a terminal
 * would obey. */
static void
put_text(const char *s, size_t size)
{
    for (size_t i = 0; i < size && s[i]; i++) {
        putchar(s[i] > ' ' && s[i] <= '~' ? s[i] : '?');
    }
}

/* The same as a string of JSON.  Bytes that are no ASCII may be of any
 * encoding: each is taken for a Latin-1 character. */
static void
put_json_string(const char *s, size_t size)
{
    putchar('"');
    for (size_t i = 0; i < size && s[i]; i++) {
        unsigned char c = s[i];

        if (c < ' ' || c > '~' || c == '"' || c == '\\') {
            printf("\\u%04x", c);
        } else {
            putchar(c);
        }
    }
    putchar('"');
}

/* Statistics. */

void
vmlat_guest_stats_init(struct vmlat_guest_stats *stats, uint64_t now_ns)
{
    memset(stats, 0, sizeof *stats);
    for (size_t i = 0; i < vmlat_guest_n_stages; i++) {
        vmlat_snapshot_init(&stats->stages[i]);
    }
    stats->since_ns = now_ns;
}

static void
add_sample(struct vmlat_snapshot *s, uint64_t ns)
{
    s->buckets[vmlat_histogram_bucket(ns)]++;
    s->count++;
    s->total += ns;
    s->min = MIN(s->min, ns);
    s->max = MAX(s->max, ns);
}

/* Adds the stages of 'way' and returns the time of the longest one. */
static uint64_t
add_stages(struct vmlat_guest_stats *stats, enum vmlat_guest_way way,
           const struct vmlat_guest_moments *m)
{
    uint64_t longest = 0;

    for (size_t i = 0; i < vmlat_guest_n_stages; i++) {
        int64_t ns;

        if (!vmlat_guest_stage_ns(i, way, m, &ns)) {
            continue;
        } else if (ns < 0) {
            stats->n_backwards++;
        } else {
            add_sample(&stats->stages[i], ns);
            longest = MAX(longest, ns);
        }
    }
    return longest;
}

/* Lines. */

static void
put_time(const struct vmlat_guest_show *show, uint64_t ns)
{
    int64_t wall = ns + show->wall_ns;
    time_t seconds = wall / 1000000000;
    struct tm tm;

    localtime_r(&seconds, &tm);
    printf("%02d:%02d:%02d.%06d ", tm.tm_hour, tm.tm_min, tm.tm_sec,
           (int) (wall % 1000000000 / 1000));
}

static void
put_segments(enum vmlat_guest_way way, const struct vmlat_guest_moments *m)
{
    for (size_t i = 0; i < vmlat_guest_n_stages; i++) {
        int64_t ns;

        /* The others are told mark by mark. */
        if (!strchr(vmlat_guest_stages[i].name, '>')
            && vmlat_guest_stage_ns(i, way, m, &ns)) {
            printf("  %s %.1f", vmlat_guest_stages[i].name, ns / 1000.0);
        }
    }
}

static void
put_stack(const struct vmlat_guest_show *show,
          const struct vmlat_guest_packet *p)
{
    const char *names[VMLAT_GUEST_STACK_DEPTH];
    size_t n = vmlat_guest_program_stack(show->program, p->stack, names);

    for (size_t i = 0; i < n; i++) {
        printf("        %s\n", names[i]);
    }
}

/* Prints the marks of 'p', the way between them in us, and its end if that was
 * before the last one. */
static void
put_marks(const struct vmlat_guest_show *show,
          const struct vmlat_guest_packet *p, const char *what)
{
    uint64_t prev = 0;

    printf("    %s", what);
    for (size_t i = 0; i < VMLAT_GUEST_MARKS; i++) {
        if (p->times[i]) {
            if (prev) {
                printf(" +%.1f", us(p->times[i] - prev));
            }
            printf(" %s", vmlat_guest_mark_names[p->kind][i]);
            prev = p->times[i];
        }
    }
    if (p->end_ns) {
        const char *function
            = (p->location
               ? vmlat_guest_program_function(show->program, p->location)
               : NULL);
        const char *reason = vmlat_guest_program_reason(show->program,
                                                        p->reason);

        printf(" +%.1f %s", us(p->end_ns - prev),
               p->end == VMLAT_GUEST_DROPPED ? "dropped"
               : p->end == VMLAT_GUEST_CONSUMED ? "freed" : "end");
        if (p->end != VMLAT_GUEST_COMPLETE && function) {
            printf(" in %s", function);
        }
        if (p->end != VMLAT_GUEST_COMPLETE && reason) {
            printf(" (%s)", reason);
        }
    }
    printf("  cpu %"PRIu32, p->cpu);
    if (p->id.segments > 1) {
        printf("  %u segments", p->id.segments);
    }
    if (show->skbs) {
        printf("  skb 0x%"PRIx64, (uint64_t) p->skb);
    }
    putchar('\n');
    put_stack(show, p);
}

static void
put_process(const struct vmlat_guest_packet *p)
{
    if (p->command[0]) {
        printf(" pid %"PRIu32" (", p->pid);
        put_text(p->command, sizeof p->command);
        putchar(')');
    }
}

static void
put_json_packet(const struct vmlat_guest_show *show,
                const struct vmlat_guest_packet *p)
{
    const char *names[VMLAT_GUEST_STACK_DEPTH];
    const char *separator = "";
    size_t n;

    printf("{\"device\":");
    put_json_string(p->device, sizeof p->device);
    printf(",\"cpu\":%"PRIu32, p->cpu);
    if (p->command[0]) {
        printf(",\"pid\":%"PRIu32",\"command\":", p->pid);
        put_json_string(p->command, sizeof p->command);
    }
    printf(",\"ip_id\":%u,\"payload\":%"PRIu32",\"segments\":%u",
           p->id.ip_id, p->id.payload, p->id.segments);
    if (show->skbs) {
        printf(",\"skb\":\"0x%"PRIx64"\"", (uint64_t) p->skb);
    }
    printf(",\"marks_ns\":{");
    for (size_t i = 0; i < VMLAT_GUEST_MARKS; i++) {
        if (p->times[i]) {
            printf("%s\"%s\":%"PRIu64, separator,
                   vmlat_guest_mark_names[p->kind][i],
                   (uint64_t) p->times[i]);
            separator = ",";
        }
    }
    printf("},\"end\":\"%s\"",
           p->end == VMLAT_GUEST_COMPLETE ? "complete"
           : p->end == VMLAT_GUEST_DROPPED ? "dropped" : "freed");
    if (p->end_ns) {
        const char *function
            = (p->location
               ? vmlat_guest_program_function(show->program, p->location)
               : NULL);
        const char *reason = vmlat_guest_program_reason(show->program,
                                                        p->reason);

        printf(",\"end_ns\":%"PRIu64, (uint64_t) p->end_ns);
        if (function) {
            printf(",\"function\":");
            put_json_string(function, SIZE_MAX);
        }
        if (reason) {
            printf(",\"reason\":");
            put_json_string(reason, SIZE_MAX);
        }
    }
    n = vmlat_guest_program_stack(show->program, p->stack, names);
    if (n) {
        printf(",\"stack\":[");
        for (size_t i = 0; i < n; i++) {
            printf("%s", i ? "," : "");
            put_json_string(names[i], SIZE_MAX);
        }
        putchar(']');
    }
    putchar('}');
}

static void
put_json_stages(enum vmlat_guest_way way, const struct vmlat_guest_moments *m)
{
    const char *separator = "";

    printf("\"stages_ns\":{");
    for (size_t i = 0; i < vmlat_guest_n_stages; i++) {
        int64_t ns;

        if (vmlat_guest_stage_ns(i, way, m, &ns)) {
            printf("%s\"%s\":%"PRId64, separator, vmlat_guest_stages[i].name,
                   ns);
            separator = ",";
        }
    }
    putchar('}');
}

static void
put_json_addresses(const struct vmlat_guest_id *id, bool turn)
{
    char buffer[INET6_ADDRSTRLEN];

    printf("\"src\":\"%s\",", format_address(turn ? id->dst : id->src,
                                             id->ip_version, buffer));
    printf("\"dst\":\"%s\"", format_address(turn ? id->src : id->dst,
                                            id->ip_version, buffer));
}

static void
put_addresses(const struct vmlat_guest_id *id, bool turn)
{
    char buffer[INET6_ADDRSTRLEN];

    printf("%s > ", format_address(turn ? id->dst : id->src, id->ip_version,
                                   buffer));
    printf("%s", format_address(turn ? id->src : id->dst, id->ip_version,
                                buffer));
}

/* Returns the first mark of 'p'. */
static uint64_t
first_mark(const struct vmlat_guest_packet *p)
{
    for (size_t i = 0; i < VMLAT_GUEST_MARKS; i++) {
        if (p->times[i]) {
            return p->times[i];
        }
    }
    return p->end_ns;
}

void
vmlat_guest_show_echo(struct vmlat_guest_show *show,
                      const struct vmlat_guest_echo *echo,
                      enum vmlat_guest_verdict verdict)
{
    static const char *const names[] = { "request", "reply" };
    const struct vmlat_guest_packet *p = &echo->packets[!echo->has[0]];
    bool turn = !echo->has[0];
    struct vmlat_guest_moments m;
    uint64_t longest = UINT64_MAX;

    show->total.verdicts[echo->way][verdict]++;
    show->interval.verdicts[echo->way][verdict]++;
    vmlat_guest_echo_moments(echo, show->config, &m);
    if (verdict == VMLAT_GUEST_ANSWERED) {
        longest = add_stages(&show->total, echo->way, &m);
        add_stages(&show->interval, echo->way, &m);
    }
    if (show->quiet || longest < show->min_ns) {
        return;
    }

    if (show->json) {
        printf("{\"type\":\"echo\",\"way\":\"%s\",\"verdict\":\"%s\",",
               vmlat_guest_way_names[echo->way],
               vmlat_guest_verdict_names[verdict]);
        put_json_addresses(&p->id, turn);
        printf(",\"id\":%u,\"seq\":%"PRIu32",\"time_ns\":%"PRIu64",",
               p->id.sport, p->id.seq, first_mark(p));
        put_json_stages(echo->way, &m);
        for (int i = 0; i < 2; i++) {
            if (echo->has[i]) {
                printf(",\"%s\":", names[i]);
                put_json_packet(show, &echo->packets[i]);
            }
        }
        printf("}\n");
        return;
    }
    put_time(show, first_mark(p));
    printf("%s ", vmlat_guest_way_names[echo->way]);
    put_addresses(&p->id, turn);
    printf(" id %u seq %"PRIu32" ", p->id.sport, p->id.seq);
    put_text(p->device, sizeof p->device);
    put_process(p);
    if (verdict == VMLAT_GUEST_ANSWERED) {
        put_segments(echo->way, &m);
        printf(" us\n");
    } else {
        printf("  %s: %s\n", vmlat_guest_verdict_names[verdict],
               vmlat_guest_verdict_meanings[verdict]);
    }
    for (int i = 0; i < 2; i++) {
        if (echo->has[i]) {
            put_marks(show, &echo->packets[i], names[i]);
        }
    }
}

void
vmlat_guest_show_packet(struct vmlat_guest_show *show,
                        const struct vmlat_guest_packet *p)
{
    enum vmlat_guest_way way = vmlat_guest_packet_way(p);
    struct vmlat_guest_moments m;
    uint64_t longest = UINT64_MAX;

    vmlat_guest_packet_moments(p, show->config, &m);
    if (p->end == VMLAT_GUEST_COMPLETE) {
        show->total.n_packets++;
        show->interval.n_packets++;
        longest = add_stages(&show->total, way, &m);
        add_stages(&show->interval, way, &m);
    }
    if (show->quiet || !show->packets || longest < show->min_ns) {
        return;
    }

    if (show->json) {
        printf("{\"type\":\"packet\",\"way\":\"%s\",",
               vmlat_guest_way_names[way]);
        put_json_addresses(&p->id, false);
        printf(",\"sport\":%u,\"dport\":%u,\"seq\":%"PRIu32",\"ack\":%"PRIu32
               ",\"flags\":%u,\"time_ns\":%"PRIu64",", p->id.sport,
               p->id.dport, p->id.seq, p->id.ack, p->id.l4_type,
               first_mark(p));
        put_json_stages(way, &m);
        printf(",\"packet\":");
        put_json_packet(show, p);
        printf("}\n");
        return;
    }
    put_time(show, first_mark(p));
    printf("%s ", vmlat_guest_way_names[way]);
    put_addresses(&p->id, false);
    printf(" ports %u > %u seq %"PRIu32" ", p->id.sport, p->id.dport,
           p->id.seq);
    put_text(p->device, sizeof p->device);
    put_process(p);
    put_segments(way, &m);
    printf(" us\n");
    put_marks(show, p, "packet");
}

/* Tables. */

static bool
any_samples(const struct vmlat_guest_stats *stats)
{
    for (size_t i = 0; i < vmlat_guest_n_stages; i++) {
        if (stats->stages[i].count) {
            return true;
        }
    }
    return false;
}

static void
put_histogram(const struct vmlat_snapshot *s)
{
    uint64_t counts[65] = { 0 };
    uint64_t most = 0;
    int first = 64, last = 0;

    for (unsigned int i = 0; i < VMLAT_HIST_N_BUCKETS; i++) {
        if (s->buckets[i]) {
            uint64_t floor = vmlat_histogram_bucket_floor(i);
            int power = 0;

            while (floor >> power) {
                power++;
            }
            counts[power] += s->buckets[i];
            most = MAX(most, counts[power]);
            first = MIN(first, power);
            last = MAX(last, power);
        }
    }
    for (int i = first; i <= last; i++) {
        uint64_t floor = i ? UINT64_C(1) << (i - 1) : 0;

        printf("    %12.3f us and more %10"PRIu64" %.*s\n", us(floor),
               counts[i], (int) (counts[i] * BAR_WIDTH / most),
               "****************************************");
    }
}

static void
put_table(const struct vmlat_guest_show *show,
          const struct vmlat_guest_stats *stats)
{
    const char *way = NULL;

    if (!any_samples(stats)) {
        return;
    }
    printf("%-14s%-16s%9s%12s%12s%12s%12s%12s\n", "way", "stage", "n",
           "avg_us", "p50_us", "p90_us", "p99_us", "max_us");
    for (size_t i = 0; i < vmlat_guest_n_stages; i++) {
        const struct vmlat_guest_stage *stage = &vmlat_guest_stages[i];
        const struct vmlat_snapshot *s = &stats->stages[i];
        const char *name = vmlat_guest_way_names[stage->way];

        if (!s->count) {
            continue;
        }
        printf("%-14s%-16s%9"PRIu64"%12.1f%12.1f%12.1f%12.1f%12.1f\n",
               name == way ? "" : name, stage->name, s->count,
               vmlat_snapshot_mean(s) / 1000,
               us(vmlat_snapshot_percentile(s, 50)),
               us(vmlat_snapshot_percentile(s, 90)),
               us(vmlat_snapshot_percentile(s, 99)), us(s->max));
        way = name;
        if (show->histogram && !strchr(stage->name, '>')) {
            put_histogram(s);
        }
    }
}

static void
put_json_table(const struct vmlat_guest_show *show,
               const struct vmlat_guest_stats *stats)
{
    const char *separator = "";

    printf("\"stages\":[");
    for (size_t i = 0; i < vmlat_guest_n_stages; i++) {
        const struct vmlat_guest_stage *stage = &vmlat_guest_stages[i];
        const struct vmlat_snapshot *s = &stats->stages[i];

        if (!s->count) {
            continue;
        }
        printf("%s{\"way\":\"%s\",\"segment\":\"%s\",\"stage\":\"%s\","
               "\"n\":%"PRIu64",\"avg_ns\":%.0f,\"min_ns\":%"PRIu64","
               "\"p50_ns\":%"PRIu64",\"p90_ns\":%"PRIu64",\"p99_ns\":%"PRIu64
               ",\"max_ns\":%"PRIu64, separator,
               vmlat_guest_way_names[stage->way], stage->segment, stage->name,
               s->count, vmlat_snapshot_mean(s), s->min,
               vmlat_snapshot_percentile(s, 50),
               vmlat_snapshot_percentile(s, 90),
               vmlat_snapshot_percentile(s, 99), s->max);
        if (show->histogram) {
            const char *comma = "";

            printf(",\"buckets\":[");
            for (unsigned int j = 0; j < VMLAT_HIST_N_BUCKETS; j++) {
                if (s->buckets[j]) {
                    printf("%s[%"PRIu64",%"PRIu64"]", comma,
                           vmlat_histogram_bucket_floor(j), s->buckets[j]);
                    comma = ",";
                }
            }
            putchar(']');
        }
        putchar('}');
        separator = ",";
    }
    printf("],\"echoes\":{");
    for (int way = 0; way < 2; way++) {
        printf("%s\"%s\":{", way ? "," : "", vmlat_guest_way_names[way]);
        for (size_t i = 0; i < VMLAT_GUEST_N_VERDICTS; i++) {
            printf("%s\"%s\":%"PRIu64, i ? "," : "",
                   vmlat_guest_verdict_names[i], stats->verdicts[way][i]);
        }
        putchar('}');
    }
    printf("},\"packets\":%"PRIu64, stats->n_packets);
}

/* Says what became of echoes, if there were any. */
static void
put_verdicts(const struct vmlat_guest_stats *stats)
{
    bool any = false;

    for (int way = 0; way < 2; way++) {
        for (size_t i = 0; i < VMLAT_GUEST_N_VERDICTS; i++) {
            if (stats->verdicts[way][i]) {
                printf("%s", any ? "" : "\nEchoes:\n");
                any = true;
                printf("%-14s%-16s%9"PRIu64"  %s\n",
                       vmlat_guest_way_names[way],
                       vmlat_guest_verdict_names[i], stats->verdicts[way][i],
                       vmlat_guest_verdict_meanings[i]);
            }
        }
    }
}

void
vmlat_guest_show_start(const struct vmlat_guest_show *show)
{
    struct vmlat_guest_attachment a;

    if (show->json) {
        printf("{\"type\":\"start\",\"points\":[");
        for (size_t i = 0;
             vmlat_guest_program_attachment(show->program, i, &a); i++) {
            printf("%s{\"target\":\"%s\",\"how\":", i ? "," : "", a.target);
            put_json_string(a.how ? a.how : "", SIZE_MAX);
            if (a.why_not) {
                printf(",\"why_not\":");
                put_json_string(a.why_not, SIZE_MAX);
                printf(",\"without\":");
                put_json_string(a.without, SIZE_MAX);
            }
            putchar('}');
        }
        printf("]}\n");
        return;
    }
    for (size_t i = 0; vmlat_guest_program_attachment(show->program, i, &a);
         i++) {
        if (a.why_not) {
            fprintf(stderr, "vmlat-guest: %s (%s: %s)\n", a.without,
                    a.target, a.why_not);
        }
    }
}

void
vmlat_guest_show_interval(struct vmlat_guest_show *show, uint64_t now_ns)
{
    const struct vmlat_guest_stats *stats = &show->interval;

    if (show->json) {
        printf("{\"type\":\"interval\",\"time_ns\":%"PRIu64
               ",\"duration_ns\":%"PRIu64",", now_ns,
               now_ns - stats->since_ns);
        put_json_table(show, stats);
        printf("}\n");
    } else {
        put_time(show, now_ns);
        printf("the last %.1f s:%s\n", (now_ns - stats->since_ns) / 1e9,
               any_samples(stats) ? "" : " nothing");
        put_table(show, stats);
        put_verdicts(stats);
        putchar('\n');
    }
    vmlat_guest_stats_init(&show->interval, now_ns);
}

void
vmlat_guest_show_summary(const struct vmlat_guest_show *show, uint64_t now_ns,
                         const struct vmlat_guest_count *counts, size_t n)
{
    const struct vmlat_guest_stats *stats = &show->total;

    if (show->json) {
        printf("{\"type\":\"summary\",\"duration_ns\":%"PRIu64",",
               now_ns - stats->since_ns);
        put_json_table(show, stats);
        printf(",\"counters\":{");
        for (size_t i = 0; i < n; i++) {
            printf("%s\"%s\":%"PRIu64, i ? "," : "", counts[i].name,
                   counts[i].n);
        }
        printf("}}\n");
        return;
    }
    printf("\nSummary of %.1f s:%s\n", (now_ns - stats->since_ns) / 1e9,
           any_samples(stats) ? "" : " nothing was measured");
    put_table(show, stats);
    put_verdicts(stats);
    printf("\nPackets:\n");
    for (size_t i = 0; i < n; i++) {
        if (counts[i].n) {
            printf("%-30s%9"PRIu64"  %s\n", counts[i].name, counts[i].n,
                   counts[i].meaning);
        }
    }
}
