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

/* Segments of the way, from matched packets. */

#include <config.h>
#include "ovs-vmlat-join.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "command-line.h"
#include "openvswitch/dynamic-string.h"
#include "ovs-vmlat-run.h"
#include "ovs-vmlat-series.h"
#include "packets.h"
#include "util.h"

/* Packets that the report has for waterfalls: the median one and the worst. */
#define MAX_WORST 5

const char *join_part_names[JOIN_N_PARTS] = {
    [JOIN_SENDER_HOST] = "sender host",
    [JOIN_RECEIVER_HOST] = "receiver host",
    [JOIN_SENDER_GUEST] = "sender guest",
    [JOIN_RECEIVER_GUEST] = "receiver guest",
};

static const char *leg_count_names[N_LEG_COUNTS] = {
#define LEG_COUNT(ID, MEANING) MEANING,
    LEG_COUNTS
#undef LEG_COUNT
};

static char *
format_address(const struct in6_addr *address)
{
    struct ds ds = DS_EMPTY_INITIALIZER;

    ipv6_format_mapped(address, &ds);
    return ds_steal_cstr(&ds);
}

static void
fill_title(struct join *j)
{
    const struct conversation *c = &j->m.c;
    char *src = format_address(&c->src);
    char *dst = format_address(&c->dst);

    j->report->title = xasprintf("%s -> %s, %s", src, dst,
                                 (c->proto == IPPROTO_TCP ? "TCP"
                                  : c->proto == IPPROTO_UDP ? "UDP"
                                  : "ICMP echo"));
    free(src);
    free(dst);
}

/* Filling in the report. */

void
join_add_finding(struct report *r, enum report_level level, const char *code,
                 char *text, char *advice)
{
    r->findings = xrealloc(r->findings,
                           (r->n_findings + 1) * sizeof *r->findings);
    r->findings[r->n_findings++] = (struct report_finding) {
        level, xstrdup(code), text, advice
    };
}

bool
join_is_loss(const char *name)
{
    static const char *const names[] = {
        "overwritten", "buffer-full", "table-full", "expired",
        "records-left-out", "records-bad-times"
    };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (!strcmp(name, names[i])) {
            return true;
        }
    }
    return !strncmp(name, "lost-", 5);
}

static void
fill_inputs(struct join *j)
{
    for (int part = 0; part < JOIN_N_PARTS; part++) {
        const struct vmlat_record_file *f = j->m.files[part];
        struct report_input *input = &j->report->inputs[part];
        int64_t from, to;

        input->part = join_part_names[part];
        if (!f) {
            continue;
        }
        join_wall_window(f, &from, &to);
        input->file = xstrdup(f->name);
        input->host = xstrdup(f->source->host);
        input->software = xstrdup(f->source->software);
        input->filter = xstrdup(f->source->filter);
        input->start_wall_ns = f->source->start_wall_ns;
        input->n_records = f->n_records;
        input->seconds = (to - from) / 1e9;
        input->truncated = f->truncated;
        for (size_t i = 0; i < f->n_counters; i++) {
            if (join_is_loss(f->counters[i]->name)) {
                input->n_lost += f->counters[i]->value;
            }
        }
    }
}

static void
fill_ports(struct join *j)
{
    for (int host = 0; host < 2; host++) {
        const struct vmlat_record_file *f = j->m.files[host];
        const struct vmlat_record_name *name;

        if (!f) {
            continue;
        }
        if (j->m.vm_port[host] < f->n_names
            && f->names[j->m.vm_port[host]]) {
            name = f->names[j->m.vm_port[host]];
            j->report->vm_port[host] = xstrdup(name->name);
            j->report->vm[host] = name->vm[0] ? xstrdup(name->vm) : NULL;
        }
        if (j->m.nic_port[host] < f->n_names
            && f->names[j->m.nic_port[host]]) {
            name = f->names[j->m.nic_port[host]];
            j->report->nic_port[host] = xstrdup(name->name);
        }
    }
}

/* Returns why there is nothing in 'slot', or NULL if there is something. */
static char *
why_no_slot(const struct join *j, enum match_slot slot)
{
    const struct matching *m = &j->m;
    enum join_part part = match_slots[slot].part;
    const char *kind = vmlat_record_kind_name(match_slots[slot].kind);
    bool is_virt = (match_slots[slot].kind == VMLAT_REC_VM_TX
                    || match_slots[slot].kind == VMLAT_REC_VM_RX);

    if (!m->files[part]) {
        return xasprintf("no file of the %s", join_part_names[part]);
    } else if (m->n_slot[slot]) {
        return NULL;
    } else if (is_virt && m->n_userspace[part == JOIN_RECEIVER_HOST]) {
        return xasprintf("the %s has no records of kind %s: its datapath is "
                         "in user space (vhost-user)", join_part_names[part],
                         kind);
    } else if (slot >= SLOT_H && !m->n_ways[REPLIES]) {
        return xstrdup("no packet came back");
    }
    return xasprintf("the %s has no records of kind %s of this conversation",
                     join_part_names[part], kind);
}

/* What has become of ways in WAY_RESIZED. */
#define RESIZED "cut or merged on the way (TSO, GRO)"

/* Returns true if a packet that was matched has a record in 'slot'. */
static bool
is_any_matched(const struct join *j, enum match_slot slot)
{
    int direction = slot / WAY_SLOTS;

    for (size_t i = 0; i < j->m.n_ways[direction]; i++) {
        const struct way *way = &j->m.ways[direction][i];

        if (way->fate == WAY_MATCHED && way->records[slot % WAY_SLOTS]) {
            return true;
        }
    }
    return false;
}

/* Returns why the segment 'id' has no samples. */
static char *
why_unknown(const struct join *j, int id)
{
    static const struct {
        int id;
        enum match_slot slots[4];
        int n;
    } needs[] = {
        { REPORT_SEG_A, { SLOT_A }, 1 },
        { REPORT_SEG_B1, { SLOT_B1 }, 1 },
        { REPORT_SEG_B, { SLOT_B }, 1 },
        { REPORT_SEG_C, { SLOT_B, SLOT_D, SLOT_I, SLOT_K }, 4 },
        { REPORT_SEG_D, { SLOT_D }, 1 },
        { REPORT_SEG_E, { SLOT_E }, 1 },
        { REPORT_SEG_EV, { SLOT_E }, 1 },
        { REPORT_SEG_F, { SLOT_F }, 1 },
        { REPORT_SEG_G, { SLOT_F, SLOT_H }, 2 },
        { REPORT_SEG_H, { SLOT_H }, 1 },
        { REPORT_SEG_I1, { SLOT_I1 }, 1 },
        { REPORT_SEG_I, { SLOT_I }, 1 },
        { REPORT_SEG_J, { SLOT_B, SLOT_D, SLOT_I, SLOT_K }, 4 },
        { REPORT_SEG_K, { SLOT_K }, 1 },
        { REPORT_SEG_L, { SLOT_L }, 1 },
        { REPORT_SEG_LV, { SLOT_L }, 1 },
        { REPORT_SEG_M, { SLOT_M }, 1 },
    };
    int direction = id >= REPORT_SEG_H;
    const uint64_t *counts = j->leg_counts[direction];

    for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
        for (int k = 0; needs[i].id == id && k < needs[i].n; k++) {
            char *why = why_no_slot(j, needs[i].slots[k]);

            if (why) {
                return why;
            }
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
        bool is_guest = (needs[i].id == id && needs[i].n < 3
                         && (match_slots[needs[i].slots[0]].kind
                             >= VMLAT_REC_GUEST_OUT));

        for (int k = 0; is_guest && k < needs[i].n; k++) {
            enum match_slot slot = needs[i].slots[k];

            is_guest = is_any_matched(j, slot);
            if (!is_guest
                && j->m.n_resized[slot / WAY_SLOTS][slot % WAY_SLOTS]) {
                return xstrdup("TCP segments were " RESIZED);
            }
        }
        if (is_guest && (id != REPORT_SEG_G || j->m.n_pairs)) {
            return xstrdup("marks are missing in all records: vmlat-guest "
                           "says when it begins what it cannot see there");
        }
    }
    switch (id) {
    case REPORT_SEG_G:
        return xstrdup(j->m.c.proto == IPPROTO_UDP
                       ? "UDP has no replies that belong to one request"
                       : "no round trip was seen in the guest");
    case REPORT_SEG_B1:
    case REPORT_SEG_I1:
        return xstrdup(counts[LEG_NO_KICK]
                       ? "no packet has a kick: the vhost worker was at it "
                         "already" : "marks are missing in all records");
    case REPORT_SEG_E:
    case REPORT_SEG_L:
        return xstrdup("marks are missing in all records");
    case REPORT_SEG_EV:
    case REPORT_SEG_LV:
        return xstrdup(counts[LEG_RUNNING]
                       ? "the vCPU was running: there was nothing to wait for"
                       : "no record has the vCPU's entry");
    case REPORT_SEG_C:
    case REPORT_SEG_J:
        return xstrdup(j->m.n_pairs ? "no round trip was seen at all four "
                       "ends of the wire"
                       : "one way only: needs the hosts to have one clock");
    default:
        return xstrdup("no packet has been matched there");
    }
}

static char *
why_limited(const struct join *j, int id)
{
    int direction = id >= REPORT_SEG_H;
    const uint64_t *counts = j->leg_counts[direction];
    struct ds ds = DS_EMPTY_INITIALIZER;

    switch (id) {
    case REPORT_SEG_B1:
    case REPORT_SEG_I1:
        if (counts[LEG_NO_KICK]) {
            ds_put_format(&ds, "not of %"PRIu64" packets without a kick",
                          counts[LEG_NO_KICK]);
        }
        break;
    case REPORT_SEG_C:
    case REPORT_SEG_J:
        ds_put_cstr(&ds, (j->is_one_clock
                          ? "difference of the hosts' times, which have one "
                            "clock" : "half of C + J: takes the wire to be "
                                      "symmetric"));
        break;
    case REPORT_SEG_E:
    case REPORT_SEG_L:
        if (counts[LEG_NO_SIGNAL] || counts[LEG_MERGED]) {
            ds_put_format(&ds, "of %"PRIu64" packets without an interrupt of "
                          "their own, to the used ring only",
                          counts[LEG_NO_SIGNAL] + counts[LEG_MERGED]);
        }
        break;
    case REPORT_SEG_EV:
    case REPORT_SEG_LV:
        if (counts[LEG_RUNNING]) {
            ds_put_format(&ds, "not of %"PRIu64" packets whose vCPU was "
                          "running", counts[LEG_RUNNING]);
        }
        break;
    default:
        break;
    }
    return ds.length ? ds_steal_cstr(&ds) : NULL;
}

static void
fill_segments(struct join *j, struct series *series)
{
    for (int i = 0; i < REPORT_N_SEGMENTS; i++) {
        struct report_segment *s = &j->report->segments[i];
        bool is_wire = i == REPORT_SEG_C || i == REPORT_SEG_J;

        series_finish(&series[i], &s->stats);
        s->how = (!s->stats.n ? REPORT_UNKNOWN
                  : !is_wire ? REPORT_MEASURED
                  : j->is_one_clock ? REPORT_DERIVED
                  : REPORT_HALVED);
        s->why = s->stats.n ? why_limited(j, i) : why_unknown(j, i);
    }
}

static void
fill_rows(struct join *j, struct series *series)
{
    struct report *report = j->report;

    report->n_rows = JOIN_N_ROWS;
    report->rows = xcalloc(JOIN_N_ROWS, sizeof *report->rows);
    for (int i = 0; i < JOIN_N_ROWS; i++) {
        struct report_row *row = &report->rows[i];

        row->name = xstrdup(join_row_names[i]);
        series_finish(&series[REPORT_N_SEGMENTS + i], &row->stats);
        row->how = (!row->stats.n ? REPORT_UNKNOWN
                    : i == JOIN_ROW_WIRE || i >= JOIN_ROW_LEFT_RECEIVER
                    ? REPORT_DERIVED : REPORT_MEASURED);
        if (!row->stats.n) {
            row->why = xstrdup(j->m.n_pairs ? "a part that it needs is "
                               "missing" : "no round trips");
        } else if (i == JOIN_ROW_LEFT_RECEIVER || i == JOIN_ROW_LEFT_SENDER) {
            row->why = xstrdup("what no segment covers between host and "
                               "guest: the vCPU's exits and entries, and "
                               "segments that are unknown");
        } else if (i == JOIN_ROW_REST) {
            row->why = xstrdup(report->rtt_is_of_guest
                               ? "RTT in the sender VM minus all segments"
                               : "RTT at the sender's port minus segments B "
                                 "to K");
        }
    }
}

static void
copy_stats(struct report_stats *dst, const struct report_stats *src)
{
    *dst = *src;
    dst->buckets = xmemdup(src->buckets,
                           src->n_buckets * sizeof *src->buckets);
}

static void
fill_layers(struct join *j, struct series *series)
{
    struct report *report = j->report;
    const struct report_row *rtt
        = &report->rows[report->rtt_is_of_guest ? JOIN_ROW_RTT_GUEST
                        : JOIN_ROW_RTT_PORT];

    if (rtt->stats.n) {
        copy_stats(&report->rtt, &rtt->stats);
    }
    for (int i = 0; i < REPORT_N_LAYERS; i++) {
        struct report_layer_share *layer = &report->layers[i];

        series_finish(&series[VALUE_LAYER(i)], &layer->stats);
        layer->share = (layer->stats.n && report->rtt.mean > 0
                        ? layer->stats.mean / report->rtt.mean : NAN);
    }

    report->primary = -1;
    for (int i = 0; i < REPORT_N_SEGMENTS; i++) {
        const struct report_stats *s = &report->segments[i].stats;

        if (s->n && (!report->rtt.n || report_is_within_rtt(report, i))
            && (report->primary < 0
                || s->mean > report->segments[report->primary].stats.mean)) {
            report->primary = i;
        }
    }
}

static void
add_count(struct report *report, uint64_t n, char *name)
{
    if (n) {
        report->counts = xrealloc(report->counts, (report->n_counts + 1)
                                                  * sizeof *report->counts);
        report->counts[report->n_counts++]
            = (struct report_count) { name, n };
    } else {
        free(name);
    }
}

static char *
way_fate_name(const struct join *j, int direction, int fate)
{
    switch (fate) {
    case WAY_MATCHED:
        return xstrdup("matched");
    case WAY_OUTSIDE:
        return xstrdup("outside the common time");
    case WAY_ALONE:
        return xstrdup(direction == REQUESTS ? "no reply" : "no request");
    case WAY_DIFFERENT:
        return xstrdup("IP ids differ");
    case WAY_RESIZED:
        return xstrdup(RESIZED);
    default: {
        enum match_slot slot = (direction * WAY_SLOTS + fate - WAY_MISSING);
        enum join_part part = match_slots[slot].part;

        return xasprintf("no record of the %s (%s)", join_part_names[part],
                         j->report->inputs[part].host);
    }
    }
}

static void
fill_counts(struct join *j)
{
    static const char *directions[] = { "requests", "replies" };
    struct report *report = j->report;
    const struct matching *m = &j->m;

    for (int d = 0; d < 2; d++) {
        for (int i = 0; i < N_WAY_FATES; i++) {
            char *name = way_fate_name(j, d, i);

            add_count(report, m->way_fates[d][i],
                      xasprintf("%s: %s", directions[d], name));
            free(name);
        }
        for (int i = 0; i < WAY_SLOTS; i++) {
            enum match_slot slot = d * WAY_SLOTS + i;
            uint64_t n = 0;

            if (!m->n_slot[slot] || m->required[slot]) {
                continue;
            }
            for (size_t k = 0; k < m->n_ways[d]; k++) {
                n += (m->ways[d][k].fate == WAY_MATCHED
                      && !m->ways[d][k].records[i]);
            }
            add_count(report, m->n_resized[d][i],
                      xasprintf("%s: matched, but for %s " RESIZED,
                                directions[d], match_slots[slot].name));
            add_count(report, n - m->n_resized[d][i],
                      xasprintf("%s: matched, without a record for %s",
                                directions[d], match_slots[slot].name));
        }
        for (int i = 0; i < N_LEG_COUNTS; i++) {
            add_count(report, j->leg_counts[d][i],
                      xasprintf("%s: %s", directions[d], leg_count_names[i]));
        }
    }
    add_count(report, m->n_pairs, xstrdup("round trips"));
    add_count(report, j->n_negative,
              xstrdup("left out: a derived value is negative"));
    add_count(report, j->n_overlap,
              xstrdup("round trips: the guest was faster than its interrupt "
                      "(unmeasured part not known)"));
    add_count(report, j->n_coarse,
              xstrdup("round trips: C or J below what stamps of bursts can "
                      "tell (only C + J is known)"));
    add_count(report, m->n_ambiguous,
              xstrdup("identities that several packets have"));
    add_count(report, m->n_other_conversations,
              xstrdup("other conversations"));
    for (int part = 0; part < JOIN_N_PARTS; part++) {
        if (!m->files[part]) {
            continue;
        }
        for (int i = 0; i < N_RECORD_FATES; i++) {
            add_count(report, m->fates[part][i],
                      xasprintf("records of the %s: %s", join_part_names[part],
                                record_fate_names[i]));
        }
        for (int i = 0; i < N_WAY_FATES; i++) {
            uint64_t n = m->used[part][i];

            for (; i >= WAY_MISSING && i + 1 < WAY_MISSING + WAY_SLOTS; i++) {
                n += m->used[part][i + 1];
            }
            add_count(report, n,
                      xasprintf("records of the %s: of packets, %s",
                                join_part_names[part],
                                (i == WAY_MATCHED ? "matched"
                                 : i == WAY_OUTSIDE
                                 ? "outside the common time"
                                 : i == WAY_ALONE
                                 ? "without the other half of the echo"
                                 : i == WAY_DIFFERENT ? "IP ids differ"
                                 : i == WAY_RESIZED ? RESIZED
                                 : "missing elsewhere")));
        }
    }
}

/* Packets to show. */

struct shown {
    size_t pair;
    int64_t rtt;
};

static void
fill_packet(struct join *j, size_t pair, struct report_packet *packet,
            const bool *known)
{
    const struct matching *m = &j->m;
    const struct way_pair *p = &m->pairs[pair];
    int rtt = (j->report->rtt_is_of_guest ? VALUE_ROW(RTT_GUEST)
               : VALUE_ROW(RTT_PORT));
    const struct vmlat_record_file *f;
    int64_t values[N_VALUES];
    struct leg out, back;
    uint64_t left;

    leg_init(&out, m, REQUESTS, &m->ways[REQUESTS][p->request]);
    leg_init(&back, m, REPLIES, &m->ways[REPLIES][p->reply]);
    round_trip(j, &out, &back, values);
    add_layers(j, &out, &back, known, values);
    packet->name = packet_name(m, &out);
    packet->total_ns = values[rtt];
    memcpy(packet->ns, values, sizeof packet->ns);
    packet->rest_ns = values[VALUE_ROW(REST)];

    f = m->files[j->report->rtt_is_of_guest ? JOIN_SENDER_GUEST
                 : JOIN_SENDER_HOST];
    left = j->report->rtt_is_of_guest ? out.stack_out : out.path_out;
    packet->wall_ns = f->source->start_wall_ns + (left - f->source->start_ns);
}

/* Puts 'pair' among the worst ones if it is one of them. */
static void
note_worst(struct shown *worst, size_t *n, size_t pair, int64_t rtt)
{
    size_t at;

    for (at = *n; at > 0 && worst[at - 1].rtt < rtt; at--) {
        if (at < MAX_WORST) {
            worst[at] = worst[at - 1];
        }
    }
    if (at < MAX_WORST) {
        worst[at] = (struct shown) { pair, rtt };
        *n = MIN(*n + 1, MAX_WORST);
    }
}

static void
add_values(struct series *series, const int64_t *values, int n)
{
    for (int i = 0; i < n; i++) {
        if (values[i] != VALUE_UNKNOWN) {
            series_add(&series[i], values[i]);
        }
    }
}

static void
save_packet(struct join *j, struct run *run, const struct leg *out,
            const struct leg *back, const int64_t *values)
{
    struct run_packet p;
    uint64_t when = out->path_out ? out->path_out : out->stack_out;

    for (int i = 0; i < RUN_N_SERIES; i++) {
        p.ns[i] = RUN_UNKNOWN;
    }
    for (int i = 0; i < REPORT_N_SEGMENTS; i++) {
        bool is_wire = i == REPORT_SEG_C || i == REPORT_SEG_J;

        if (values[i] != VALUE_UNKNOWN && (!is_wire || j->is_one_clock)) {
            p.ns[i] = values[i];
        }
    }
    for (int i = 0; i < WAY_SLOTS && !when; i++) {
        when = out->records[i] ? out->records[i]->time_ns : 0;
    }
    p.when_ns = when;
    p.ns[RUN_WIRE_OUT] = leg_difference(out->wire_out, out->wire_in);
    if (back) {
        p.ns[RUN_WIRE] = values[VALUE_ROW(WIRE)];
        p.ns[RUN_REST] = values[VALUE_ROW(REST)];
        p.ns[RUN_RTT] = values[j->report->rtt_is_of_guest
                               ? VALUE_ROW(RTT_GUEST)
                               : VALUE_ROW(RTT_PORT)];
        p.ns[RUN_WIRE_BACK] = leg_difference(back->wire_in, back->wire_out);
    }
    run_add(run, &p);
}

/* Sets 'known[]' of the segments that any round trip has, of MAX_LOOK that are
 * spread over all of them. */
static void
find_known(struct join *j, bool *known)
{
    enum { MAX_LOOK = 10000 };
    const struct matching *m = &j->m;
    size_t step = MAX(m->n_pairs / MAX_LOOK, 1);

    memset(known, 0, REPORT_N_SEGMENTS * sizeof *known);
    for (size_t i = 0; i < m->n_pairs; i += step) {
        const struct way_pair *p = &m->pairs[i];
        int64_t values[N_VALUES];
        struct leg leg;

        values_init(values);
        leg_init(&leg, m, REQUESTS, &m->ways[REQUESTS][p->request]);
        leg_segments(&leg, REQUESTS, true, values);
        leg_init(&leg, m, REPLIES, &m->ways[REPLIES][p->reply]);
        leg_segments(&leg, REPLIES, true, values);
        for (int k = 0; k < REPORT_N_SEGMENTS; k++) {
            known[k] = known[k] || values[k] != VALUE_UNKNOWN;
        }
    }
    known[REPORT_SEG_G] = known[REPORT_SEG_F] && known[REPORT_SEG_H];
}

/* Adds up round trips, with all that follows from them.  Segments are of
 * round trips only where each reply is to one request. */
static void
add_round_trips(struct join *j, struct series *series, const bool *known,
                struct run *run)
{
    const struct matching *m = &j->m;
    bool is_echo = m->c.proto != IPPROTO_TCP;
    int rtt = (j->report->rtt_is_of_guest ? VALUE_ROW(RTT_GUEST)
               : VALUE_ROW(RTT_PORT));
    struct shown worst[MAX_WORST], median = { SIZE_MAX, 0 };
    size_t n_worst = 0;
    struct leg out, back;
    int64_t wanted;

    for (size_t i = 0; i < m->n_pairs; i++) {
        int64_t values[N_VALUES];

        leg_init(&out, m, REQUESTS, &m->ways[REQUESTS][m->pairs[i].request]);
        leg_init(&back, m, REPLIES, &m->ways[REPLIES][m->pairs[i].reply]);
        if (!round_trip(j, &out, &back, values)
            || !add_layers(j, &out, &back, known, values)) {
            m->pairs[i].request = UINT32_MAX;
            continue;
        }
        if (is_echo) {
            add_values(series, values, REPORT_N_SEGMENTS);
            count_leg(j, &out, REQUESTS);
            count_leg(j, &back, REPLIES);
        } else {
            /* G and the wire are of a segment and its acknowledgment. */
            if (values[REPORT_SEG_G] != VALUE_UNKNOWN) {
                series_add(&series[REPORT_SEG_G], values[REPORT_SEG_G]);
            }
            if (!j->is_one_clock) {
                add_values(&series[REPORT_SEG_C], &values[REPORT_SEG_C], 1);
                add_values(&series[REPORT_SEG_J], &values[REPORT_SEG_J], 1);
            }
        }
        add_values(&series[REPORT_N_SEGMENTS], &values[REPORT_N_SEGMENTS],
                   N_VALUES - REPORT_N_SEGMENTS);
        if (run) {
            save_packet(j, run, &out, &back, values);
        }
        if (values[rtt] != VALUE_UNKNOWN) {
            note_worst(worst, &n_worst, i, values[rtt]);
        }
    }
    if (!n_worst) {
        return;
    }

    /* The packet that is closest to the median. */
    wanted = series_median(&series[rtt]);
    for (size_t i = 0; i < m->n_pairs; i++) {
        int64_t value;

        if (m->pairs[i].request == UINT32_MAX) {
            continue;
        }
        leg_init(&out, m, REQUESTS, &m->ways[REQUESTS][m->pairs[i].request]);
        leg_init(&back, m, REPLIES, &m->ways[REPLIES][m->pairs[i].reply]);
        value = (j->report->rtt_is_of_guest
                 ? leg_difference(out.stack_out, back.stack_in)
                 : leg_difference(out.path_out, back.path_in));
        if (value != VALUE_UNKNOWN
            && (median.pair == SIZE_MAX
                || llabs(value - wanted) < llabs(median.rtt - wanted))) {
            median = (struct shown) { i, value };
            if (value == wanted) {
                break;
            }
        }
    }

    uint64_t n_overlap = j->n_overlap;

    j->report->n_packets = 1 + n_worst;
    j->report->packets = xcalloc(1 + n_worst, sizeof *j->report->packets);
    fill_packet(j, median.pair, &j->report->packets[0], known);
    for (size_t i = 0; i < n_worst; i++) {
        fill_packet(j, worst[i].pair, &j->report->packets[1 + i], known);
    }
    j->n_overlap = n_overlap;
}

/* Adds up packets that go one way. */
static void
add_ways(struct join *j, struct series *series, struct run *run)
{
    const struct matching *m = &j->m;

    for (int direction = 0; direction < 2; direction++) {
        for (size_t i = 0; i < m->n_ways[direction]; i++) {
            const struct way *way = &m->ways[direction][i];
            int64_t values[N_VALUES];
            struct leg leg;

            if (way->fate != WAY_MATCHED) {
                continue;
            }
            leg_init(&leg, m, direction, way);
            if (one_way(j, &leg, direction, values)) {
                add_values(series, values, REPORT_N_SEGMENTS);
                count_leg(j, &leg, direction);
                if (run && m->c.proto == IPPROTO_UDP) {
                    save_packet(j, run, &leg, NULL, values);
                }
            }
        }
    }
}

static void
fill_run(const struct join *j, struct run *run)
{
    run->title = xstrdup(j->report->title);
    run->rtt_is_of_guest = j->report->rtt_is_of_guest;
    for (int host = 0; host < 2; host++) {
        const struct vmlat_record_file *f = j->m.files[host];

        if (f) {
            struct ds boot_id = DS_EMPTY_INITIALIZER;
            struct ds run_id = DS_EMPTY_INITIALIZER;

            ds_put_hex(&boot_id, f->source->boot_id,
                       sizeof f->source->boot_id);
            ds_put_hex(&run_id, f->source->run_id, sizeof f->source->run_id);
            run->boot_ids[host] = ds_steal_cstr(&boot_id);
            run->run_ids[host] = ds_steal_cstr(&run_id);
        }
    }
    for (int i = 0; i < REPORT_N_SEGMENTS; i++) {
        run->series[i].how = j->report->segments[i].how;
        run->series[i].why = nullable_xstrdup(j->report->segments[i].why);
    }
    run->series[RUN_WIRE].how = j->report->rows[JOIN_ROW_WIRE].how;
    run->series[RUN_REST].how = j->report->rows[JOIN_ROW_REST].how;
    run->series[RUN_RTT].how = (j->report->rtt.n ? REPORT_MEASURED
                                : REPORT_UNKNOWN);
}

char *
join_files(struct vmlat_record_file *files[JOIN_N_PARTS],
           const struct ovs_vmlat_options *options, struct report *report,
           struct run *run)
{
    struct series series[N_VALUES];
    bool known[REPORT_N_SEGMENTS];
    struct join j;
    char *error;

    memset(report, 0, sizeof *report);
    memset(&j, 0, sizeof j);
    memset(series, 0, sizeof series);
    j.report = report;
    error = join_check_files(files);
    if (error) {
        return error;
    }
    error = matching_init(&j.m, files, options);
    if (!error) {
        j.is_one_clock = (files[JOIN_SENDER_HOST] && files[JOIN_RECEIVER_HOST]
                          && !options->separate_clocks
                          && join_is_same_kernel(files[JOIN_SENDER_HOST],
                                            files[JOIN_RECEIVER_HOST]));
        fill_inputs(&j);
        fill_title(&j);
        error = join_check_runs(&j);
    }
    if (error) {
        matching_uninit(&j.m);
        report_uninit(report);
        return error;
    }

    fill_ports(&j);
    report->rtt_is_of_guest = (j.m.n_slot[SLOT_A] && j.m.n_slot[SLOT_M]);
    find_known(&j, known);
    add_round_trips(&j, series, known, run);
    if (j.m.c.proto == IPPROTO_TCP || j.m.c.proto == IPPROTO_UDP) {
        add_ways(&j, series, run);
    }
    fill_segments(&j, series);
    fill_rows(&j, series);
    fill_layers(&j, series);
    fill_counts(&j);
    join_find(&j);
    if (run) {
        fill_run(&j, run);
    }
    matching_uninit(&j.m);
    return NULL;
}

/* The command. */
void
ovs_vmlat_join(struct ovs_cmdl_context *ctx)
{
    const struct ovs_vmlat_options *options = ctx->pvt;
    struct vmlat_record_file *files[JOIN_N_PARTS] = { NULL };
    struct report report;
    bool is_negative = false;
    struct run run;
    char *error;

    for (int i = 1; i < ctx->argc; i++) {
        if (strcmp(ctx->argv[i], "-")) {
            files[i - 1] = vmlat_record_file_open(ctx->argv[i], &error);
            if (!files[i - 1]) {
                ovs_vmlat_fatal("%s", error);
            }
        }
    }
    run_init(&run);
    error = join_files(files, options, &report, options->save ? &run : NULL);
    if (error) {
        ovs_vmlat_fatal("%s", error);
    }
    report_print(&report, options);
    if (options->html) {
        error = report_write_html(&report, options->html);
        if (error) {
            ovs_vmlat_fatal("%s", error);
        }
    }
    if (options->save) {
        error = run_write(&run, options->save);
        if (error) {
            ovs_vmlat_fatal("%s", error);
        }
    }
    for (size_t i = 0; i < report.n_findings; i++) {
        is_negative = is_negative || !strcmp(report.findings[i].code,
                                             "NEGATIVE");
    }
    run_uninit(&run);
    report_uninit(&report);
    for (int i = 0; i < JOIN_N_PARTS; i++) {
        if (files[i]) {
            vmlat_record_file_close(files[i]);
        }
    }
    if (is_negative) {
        fflush(stdout);
        exit(EXIT_FOUND);
    }
}
