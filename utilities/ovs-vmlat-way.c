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

/* The segments of a packet's way, from its records. */

#include <config.h>
#include "ovs-vmlat-join.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "openvswitch/dynamic-string.h"
#include "util.h"

/* Negative values that are shown one by one. */
#define MAX_NEGATIVE 10

const char *join_row_names[JOIN_N_ROWS] = {
#define JOIN_ROW(ID, NAME) NAME,
    JOIN_ROWS
#undef JOIN_ROW
};

static uint64_t
mark(const struct vmlat_record *r, unsigned int number)
{
    return r ? vmlat_record_mark(r, number) : 0;
}

int64_t
leg_difference(uint64_t from, uint64_t to)
{
    return from && to ? (int64_t) (to - from) : VALUE_UNKNOWN;
}

void
leg_init(struct leg *leg, const struct matching *m, int direction,
         const struct way *way)
{
    const struct vmlat_record **r = leg->records;

    for (int i = 0; i < WAY_SLOTS; i++) {
        r[i] = match_record(m, way, direction * WAY_SLOTS + i);
    }
    leg->stack_out = mark(r[SLOT_A], VMLAT_MARK_GUEST_OUT_IP_OUT);
    leg->device_out = mark(r[SLOT_A], VMLAT_MARK_GUEST_OUT_TX);
    leg->kick = mark(r[SLOT_B1], VMLAT_MARK_VM_TX_KICK);
    leg->send = mark(r[SLOT_B1], VMLAT_MARK_VM_TX_SENDMSG);
    leg->entered = mark(r[SLOT_B1], VMLAT_MARK_VM_TX_RX);
    leg->path_out = mark(r[SLOT_B], VMLAT_MARK_PATH_RX);
    leg->wire_out = mark(r[SLOT_B], VMLAT_MARK_PATH_OUTER);
    if (!leg->wire_out) {
        leg->wire_out = mark(r[SLOT_B], VMLAT_MARK_PATH_TX);
    }
    leg->wire_in = mark(r[SLOT_D], VMLAT_MARK_PATH_RX);
    leg->path_in = mark(r[SLOT_D], VMLAT_MARK_PATH_TX);
    leg->taken = mark(r[SLOT_E], VMLAT_MARK_VM_RX_TX);
    leg->used = mark(r[SLOT_E], VMLAT_MARK_VM_RX_SIGNAL);
    leg->interrupt = mark(r[SLOT_E], VMLAT_MARK_VM_RX_INJECT);
    leg->vcpu = mark(r[SLOT_E], VMLAT_MARK_VM_RX_VCPU);

    /* The port's mark is in two records, by two programs that run one after
     * the other.  Segments are next to each other, so that they add up: the
     * datapath's mark counts.  But in user space that is when the whole burst
     * has been taken, which may be after the interrupt. */
    if (leg->entered && leg->path_out
        && !(r[SLOT_B]->flags & VMLAT_REC_USERSPACE)) {
        leg->entered = leg->path_out;
    }
    if (leg->taken && leg->path_in
        && !(r[SLOT_D]->flags & VMLAT_REC_USERSPACE)) {
        leg->taken = leg->path_in;
    }
    if (!leg->interrupt && r[SLOT_E]
        && r[SLOT_E]->flags & (VMLAT_REC_NO_SIGNAL | VMLAT_REC_MERGED)) {
        leg->interrupt = leg->used;
    }
    leg->device_in = mark(r[SLOT_F], VMLAT_MARK_GUEST_IN_RX);
    leg->stack_in = mark(r[SLOT_F], VMLAT_MARK_GUEST_IN_DELIVER);
}

/* Returns when the virtualization begins, or ends, to have the packet. */
static uint64_t
leg_virt_begin(const struct leg *leg)
{
    return leg->kick ? leg->kick : leg->send;
}

static uint64_t
leg_virt_end(const struct leg *leg)
{
    return leg->vcpu ? leg->vcpu : leg->interrupt;
}

/* Returns for how long the guest may have had the packet in its ring before
 * the virtualization was through with it: a guest that polls does not wait for
 * the interrupt. */
static int64_t
leg_overlap(const struct leg *leg)
{
    uint64_t end = leg_virt_end(leg);

    return leg->used && end ? end - leg->used : 0;
}

/* Sets the segments of 'leg', A to F or H to M, in 'values'. */
void
leg_segments(const struct leg *leg, int direction, bool is_one_clock,
             int64_t *values)
{
    static const int ids[2][8] = {
        { REPORT_SEG_A, REPORT_SEG_B1, REPORT_SEG_B, REPORT_SEG_C,
          REPORT_SEG_D, REPORT_SEG_E, REPORT_SEG_EV, REPORT_SEG_F },
        { REPORT_SEG_H, REPORT_SEG_I1, REPORT_SEG_I, REPORT_SEG_J,
          REPORT_SEG_K, REPORT_SEG_L, REPORT_SEG_LV, REPORT_SEG_M },
    };
    const int *id = ids[direction];

    values[id[0]] = leg_difference(leg->stack_out, leg->device_out);
    values[id[1]] = leg_difference(leg->kick, leg->entered);
    values[id[2]] = leg_difference(leg->path_out, leg->wire_out);
    if (is_one_clock) {
        values[id[3]] = leg_difference(leg->wire_out, leg->wire_in);
    }
    values[id[4]] = leg_difference(leg->wire_in, leg->path_in);
    values[id[5]] = leg_difference(leg->taken, leg->interrupt);
    values[id[6]] = (leg->interrupt ? leg_difference(leg->interrupt, leg->vcpu)
                     : VALUE_UNKNOWN);
    values[id[7]] = leg_difference(leg->device_in, leg->stack_in);
}

void
count_leg(struct join *j, const struct leg *leg, int direction)
{
    static const struct {
        int slot;
        unsigned int from, to;
    } details[N_LEG_DETAILS] = {
#define LEG_DETAIL(ID, SLOT, KIND, FROM, TO)                                  \
        { SLOT_##SLOT, VMLAT_MARK_##KIND##_##FROM, VMLAT_MARK_##KIND##_##TO },
        LEG_DETAILS
#undef LEG_DETAIL
    };
    uint64_t *counts = j->leg_counts[direction];
    const struct vmlat_record *r;

    r = leg->records[SLOT_B1];
    if (r) {
        counts[r->flags & VMLAT_REC_NO_KICK ? LEG_NO_KICK
               : !leg->kick || !leg->entered ? LEG_TX_CUT
               : r->flags & VMLAT_REC_SHARED ? LEG_SHARED_KICK
               : LEG_KICKED]++;
    }
    r = leg->records[SLOT_E];
    if (r) {
        counts[!leg->taken || !leg->interrupt ? LEG_RX_CUT
               : r->flags & VMLAT_REC_NO_SIGNAL ? LEG_NO_SIGNAL
               : r->flags & VMLAT_REC_MERGED ? LEG_MERGED
               : r->flags & VMLAT_REC_SHARED ? LEG_SHARED_SIGNAL
               : LEG_SIGNALLED]++;
        counts[LEG_RUNNING] += (r->flags & VMLAT_REC_RUNNING) != 0;
    }
    r = leg->records[SLOT_B];
    counts[LEG_UPCALL_OUT] += r && r->flags & VMLAT_REC_UPCALL;
    r = leg->records[SLOT_D];
    counts[LEG_UPCALL_IN] += r && r->flags & VMLAT_REC_UPCALL;
    for (int i = 0; i < N_LEG_DETAILS; i++) {
        r = leg->records[details[i].slot];

        uint64_t from = mark(r, details[i].from);
        uint64_t to = mark(r, details[i].to);

        if (from && to) {
            j->details[direction][i].n++;
            j->details[direction][i].sum += to - from;
        }
    }
}

/* Adds 'value' to '*sum' if it is known. */
static void
add_known(int64_t *sum, int64_t value)
{
    if (value != VALUE_UNKNOWN) {
        *sum += value;
    }
}

char *
packet_name(const struct matching *m, const struct leg *leg)
{
    for (int i = 0; i < WAY_SLOTS; i++) {
        const struct vmlat_record *r = leg->records[i];

        if (!r) {
            continue;
        } else if (m->c.proto == IPPROTO_TCP) {
            return xasprintf("port %u > %u seq %u", r->sport, r->dport,
                             r->seq);
        } else if (m->c.proto == IPPROTO_UDP) {
            return xasprintf("port %u > %u IP id %u", r->sport, r->dport,
                             r->ip_id);
        } else {
            return xasprintf("id %u seq %u", r->sport, r->seq);
        }
    }
    return xstrdup("?");
}

/* What is checked for each packet: that a difference is not negative. */
struct negatives {
    struct join *join;
    struct ds inputs;           /* What is wrong, "" if nothing is. */
};

/* Notes that 'name', which is 'a' - 'b', is negative.  An 'a' that is not
 * known means that 'value' is all there is to say. */
static void
note_negative(struct negatives *n, const char *name, int64_t value,
              const char *a_name, int64_t a, const char *b_name, int64_t b)
{
    if (value == VALUE_UNKNOWN || value >= 0) {
        return;
    }
    if (n->inputs.length) {
        ds_put_cstr(&n->inputs, "; ");
    }
    ds_put_format(&n->inputs, "%s = %s ", name, a_name);
    ovs_vmlat_put_us(&n->inputs, a);
    ds_put_format(&n->inputs, " us - %s ", b_name);
    ovs_vmlat_put_us(&n->inputs, b);
    ds_put_cstr(&n->inputs, " us = ");
    ovs_vmlat_put_us(&n->inputs, value);
    ds_put_cstr(&n->inputs, " us");
}

/* Notes that the time from one mark to another one is negative. */
static void
note_backward(struct negatives *n, const char *name, uint64_t from,
              uint64_t to)
{
    if (from && to && to < from) {
        if (n->inputs.length) {
            ds_put_cstr(&n->inputs, "; ");
        }
        ds_put_format(&n->inputs, "%s from %"PRIu64" ns to %"PRIu64" ns = ",
                      name, from, to);
        ovs_vmlat_put_us(&n->inputs, (double) to - (double) from);
        ds_put_cstr(&n->inputs, " us");
    }
}

/* The same, for the segments that end or begin with another record. */
static void
note_virt_backward(struct negatives *n, const struct leg *leg, int direction)
{
    note_backward(n, direction ? "I1" : "B1", leg->kick, leg->entered);
    note_backward(n, direction ? "L" : "E", leg->taken, leg->interrupt);
}

/* Returns true if something was negative.  Frees 'n'. */
static bool
finish_negatives(struct negatives *n, const struct leg *leg)
{
    bool any = n->inputs.length > 0;

    if (any && ++n->join->n_negative <= MAX_NEGATIVE) {
        char *name = packet_name(&n->join->m, leg);

        join_add_finding(n->join->report, REPORT_ERROR, "NEGATIVE",
                         xasprintf("%s: %s", name, ds_cstr(&n->inputs)),
                         xstrdup("these records do not belong together, or a "
                                 "clock jumped; the packet is left out"));
        free(name);
    }
    ds_destroy(&n->inputs);
    return any;
}

/* Round trips. */

void
values_init(int64_t *values)
{
    for (int i = 0; i < N_VALUES; i++) {
        values[i] = VALUE_UNKNOWN;
    }
}

/* Returns true if 'leg' has a record wherever others have one, so that what
 * its segments do not cover can be told. */
static bool
leg_is_whole(const struct matching *m, const struct leg *leg, int direction,
             int first, int last)
{
    for (int i = first; i <= last; i++) {
        if (m->n_slot[direction * WAY_SLOTS + i] && !leg->records[i]) {
            return false;
        }
    }
    return true;
}

/* Subtracts from 'values[whole]' what is known of 'ids', -1 at the end. */
static int64_t
what_is_left(const int64_t *values, int whole, const int *ids)
{
    int64_t sum = 0;

    if (values[whole] == VALUE_UNKNOWN) {
        return VALUE_UNKNOWN;
    }
    for (size_t i = 0; ids[i] >= 0; i++) {
        add_known(&sum, values[ids[i]]);
    }
    return values[whole] - sum;
}

/* If 'values[row]' is negative, but by no more than 'overlap' ns, the guest
 * did not wait for the interrupt: then it cannot be told.  Returns true if
 * so. */
static bool
is_overlap(int64_t *values, int row, int64_t overlap)
{
    if (values[row] != VALUE_UNKNOWN && values[row] < 0
        && -values[row] <= overlap) {
        values[row] = VALUE_UNKNOWN;
        return true;
    }
    return false;
}

/* The userspace datapath stamps a packet when it polls the queue that has it,
 * and again when the device has taken its burst.  The far end may well have
 * polled before the near end was told that all were taken: then C is below 0
 * on one clock, and is not known, while C + J is.  Returns true if so. */
static bool
has_coarse_wire(const struct leg *out, const struct leg *back,
                const int64_t *v)
{
    bool is_userspace = false;

    for (int i = SLOT_B; i <= SLOT_D; i++) {
        is_userspace = (is_userspace
                        || (out->records[i]
                            && out->records[i]->flags & VMLAT_REC_USERSPACE)
                        || (back->records[i]
                            && back->records[i]->flags
                               & VMLAT_REC_USERSPACE));
    }
    return (is_userspace && v[VALUE_ROW(WIRE)] != VALUE_UNKNOWN
            && v[VALUE_ROW(WIRE)] >= 0
            && (v[REPORT_SEG_C] < 0 || v[REPORT_SEG_J] < 0));
}

/* Computes the values of a round trip.  Returns false, and notes why, if one
 * of them is negative. */
bool
round_trip(struct join *j, const struct leg *out, const struct leg *back,
           int64_t *values)
{
    static const int receiver_ids[] = {
        REPORT_SEG_D, REPORT_SEG_E, REPORT_SEG_EV, REPORT_SEG_F, REPORT_SEG_G,
        REPORT_SEG_H, REPORT_SEG_I1, REPORT_SEG_I, -1
    };
    static const int sender_ids[] = {
        REPORT_SEG_A, REPORT_SEG_B1, REPORT_SEG_L, REPORT_SEG_LV,
        REPORT_SEG_M, VALUE_ROW(RTT_PORT), -1
    };
    const struct matching *m = &j->m;
    struct negatives n = { j, DS_EMPTY_INITIALIZER };
    int64_t out_overlap = leg_overlap(out);
    int64_t back_overlap = leg_overlap(back);
    int64_t receiver_sum, sender_sum;
    bool overlap = false, coarse = false;
    int64_t *v = values;

    values_init(v);
    leg_segments(out, REQUESTS, j->is_one_clock, v);
    leg_segments(back, REPLIES, j->is_one_clock, v);
    v[REPORT_SEG_G] = leg_difference(out->stack_in, back->stack_out);

    v[VALUE_ROW(RTT_GUEST)] = leg_difference(out->stack_out, back->stack_in);
    v[VALUE_ROW(RTT_PORT)] = leg_difference(out->path_out, back->path_in);
    v[VALUE_ROW(EXTERNAL)] = leg_difference(out->wire_out, back->wire_in);
    v[VALUE_ROW(RECEIVER)] = leg_difference(out->wire_in, back->wire_out);
    v[VALUE_ROW(RECEIVER_VIRT)] = leg_difference(out->path_in, back->path_out);
    v[VALUE_ROW(RECEIVER_VM)] = leg_difference(leg_virt_end(out),
                                           leg_virt_begin(back));
    if (v[VALUE_ROW(EXTERNAL)] != VALUE_UNKNOWN
        && v[VALUE_ROW(RECEIVER)] != VALUE_UNKNOWN) {
        v[VALUE_ROW(WIRE)] = v[VALUE_ROW(EXTERNAL)] - v[VALUE_ROW(RECEIVER)];
        if (!j->is_one_clock) {
            v[REPORT_SEG_C] = v[VALUE_ROW(WIRE)] / 2;
            v[REPORT_SEG_J] = v[VALUE_ROW(WIRE)] - v[REPORT_SEG_C];
        }
    }
    if (v[REPORT_SEG_G] != VALUE_UNKNOWN
        && leg_is_whole(m, out, REQUESTS, SLOT_D, SLOT_F)
        && leg_is_whole(m, back, REPLIES, SLOT_A, SLOT_B)) {
        v[VALUE_ROW(LEFT_RECEIVER)]
            = what_is_left(v, VALUE_ROW(RECEIVER), receiver_ids);
    }
    if (leg_is_whole(m, out, REQUESTS, SLOT_A, SLOT_B)
        && leg_is_whole(m, back, REPLIES, SLOT_D, SLOT_F)
        && v[VALUE_ROW(RTT_PORT)] != VALUE_UNKNOWN) {
        v[VALUE_ROW(LEFT_SENDER)]
            = what_is_left(v, VALUE_ROW(RTT_GUEST), sender_ids);
    }

    note_virt_backward(&n, out, REQUESTS);
    note_virt_backward(&n, back, REPLIES);
    note_backward(&n, "RTT in the sender VM", out->stack_out, back->stack_in);
    note_backward(&n, "Sender_External", out->wire_out, back->wire_in);
    note_backward(&n, "Recv_Host_Total", out->wire_in, back->wire_out);
    note_backward(&n, "receiving VM and its virtualization", out->path_in,
                  back->path_out);
    note_backward(&n, "G", out->stack_in, back->stack_out);
    if (has_coarse_wire(out, back, v)) {
        v[REPORT_SEG_C] = v[REPORT_SEG_J] = VALUE_UNKNOWN;
        coarse = true;
    } else if (j->is_one_clock) {
        note_backward(&n, "C", out->wire_out, out->wire_in);
        note_backward(&n, "J", back->wire_out, back->wire_in);
    } else {
        note_negative(&n, "C + J", v[VALUE_ROW(WIRE)],
                      "Sender_External", v[VALUE_ROW(EXTERNAL)],
                      "Recv_Host_Total", v[VALUE_ROW(RECEIVER)]);
    }
    overlap = is_overlap(v, VALUE_ROW(RECEIVER_VM), out_overlap) || overlap;
    overlap = is_overlap(v, VALUE_ROW(LEFT_RECEIVER), out_overlap) || overlap;
    overlap = is_overlap(v, VALUE_ROW(LEFT_SENDER), back_overlap) || overlap;
    if (v[VALUE_ROW(RECEIVER_VM)] != VALUE_UNKNOWN) {
        note_backward(&n, "receiving VM in all", leg_virt_end(out),
                      leg_virt_begin(back));
    }
    if (v[VALUE_ROW(LEFT_RECEIVER)] != VALUE_UNKNOWN) {
        receiver_sum = (v[VALUE_ROW(RECEIVER)]
                        - v[VALUE_ROW(LEFT_RECEIVER)]);
        note_negative(&n, "unmeasured virtualization, receiver",
                      v[VALUE_ROW(LEFT_RECEIVER)], "Recv_Host_Total",
                      v[VALUE_ROW(RECEIVER)], "D E F G H I1 I",
                      receiver_sum);
    }
    if (v[VALUE_ROW(LEFT_SENDER)] != VALUE_UNKNOWN) {
        sender_sum = v[VALUE_ROW(RTT_GUEST)] - v[VALUE_ROW(LEFT_SENDER)];
        note_negative(&n, "unmeasured virtualization, sender",
                      v[VALUE_ROW(LEFT_SENDER)], "RTT in the sender VM",
                      v[VALUE_ROW(RTT_GUEST)],
                      "A B1 L M and RTT at the port", sender_sum);
    }
    if (finish_negatives(&n, out)) {
        return false;
    }
    j->n_overlap += overlap;
    j->n_coarse += coarse;
    return true;
}

/* Sets the layers of 'values' and what is left.  'known' says which segments
 * there are.  Returns false, and notes why, if less than nothing is left. */
bool
add_layers(struct join *j, const struct leg *out, const struct leg *back,
           const bool *known, int64_t *values)
{
    int64_t sums[REPORT_N_LAYERS] = { 0 };
    bool whole[REPORT_N_LAYERS];
    bool any[REPORT_N_LAYERS] = { false };
    int rtt = (j->report->rtt_is_of_guest ? VALUE_ROW(RTT_GUEST)
               : VALUE_ROW(RTT_PORT));
    int64_t all = 0;

    for (int i = 0; i < REPORT_N_LAYERS; i++) {
        whole[i] = true;
    }
    for (int i = 0; i < REPORT_N_SEGMENTS; i++) {
        enum report_layer layer = report_segment_classes[i].layer;
        bool is_vcpu = i == REPORT_SEG_EV || i == REPORT_SEG_LV;

        if (!report_is_within_rtt(j->report, i)) {
            continue;
        }
        if (values[i] != VALUE_UNKNOWN) {
            sums[layer] += values[i];
            all += values[i];
            any[layer] = true;
        } else if (known[i] && !is_vcpu) {
            whole[layer] = false;
        }
    }
    for (int i = 0; i < REPORT_REST; i++) {
        if (whole[i] && any[i]) {
            values[VALUE_LAYER(i)] = sums[i];
        }
    }
    if (values[rtt] != VALUE_UNKNOWN
        && leg_is_whole(&j->m, out, REQUESTS, 0, WAY_SLOTS - 1)
        && leg_is_whole(&j->m, back, REPLIES, 0, WAY_SLOTS - 1)) {
        struct negatives n = { j, DS_EMPTY_INITIALIZER };

        values[VALUE_ROW(REST)] = values[rtt] - all;
        if (!is_overlap(values, VALUE_ROW(REST),
                        leg_overlap(out) + leg_overlap(back))) {
            note_negative(&n, "unmeasured", values[VALUE_ROW(REST)],
                          join_row_names[rtt - REPORT_N_SEGMENTS], values[rtt],
                          "all segments", all);
        }
        values[VALUE_LAYER(REPORT_REST)] = values[VALUE_ROW(REST)];
        return !finish_negatives(&n, out);
    }
    return true;
}

/* Computes the segments of a packet that goes one way.  Returns false, and
 * notes why, if one of them is negative. */
bool
one_way(struct join *j, const struct leg *leg, int direction, int64_t *values)
{
    struct negatives n = { j, DS_EMPTY_INITIALIZER };

    values_init(values);
    leg_segments(leg, direction, j->is_one_clock, values);
    note_virt_backward(&n, leg, direction);
    if (j->is_one_clock) {
        note_backward(&n, direction ? "J" : "C", leg->wire_out, leg->wire_in);
    }
    return !finish_negatives(&n, leg);
}
