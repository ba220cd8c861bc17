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

/* Checks of the result, and what to do about it. */

#include <config.h>
#include "ovs-vmlat-join.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "openvswitch/dynamic-string.h"
#include "util.h"

/* Reference bands, as published, in ns.  They are good for advice only: what
 * is usual depends on the machines. */
#define BAND_UPCALL 500e3
#define BAND_VHOST 200e3
#define BAND_HOST 200e3         /* One way through a host with VMs. */
#define BAND_GUEST 100e3        /* A fifth of 500 us, above which a round trip
                                 * of two VMs on one host is an alarm. */
#define BAND_RACK 1e6           /* RTT of VMs in one rack: an alarm. */
#define BAND_RACKS 2e6          /* The same, from rack to rack. */

/* What the conversion of the TSC may be off by, ns, without a word. */
#define MAX_CLOCK_ERROR 1000

/* What is worth a word, as a part of the mean RTT. */
#define WORTH_SHARE 0.1

/* The sum of the parts may differ from the whole by as much. */
#define SUM_OK 0.05
#define SUM_WARNING 0.10

static const struct report_stats *
segment(const struct join *j, int id)
{
    return &j->report->segments[id].stats;
}

static const struct report_stats *
row(const struct join *j, enum join_row id)
{
    return &j->report->rows[id].stats;
}

static char *
format_us(double ns)
{
    struct ds ds = DS_EMPTY_INITIALIZER;

    ovs_vmlat_put_us(&ds, ns);
    ds_put_cstr(&ds, " us");
    return ds_steal_cstr(&ds);
}

/* Returns true if 'ns' of each packet is a good part of its round trip. */
static bool
is_worth_it(const struct join *j, double ns)
{
    return j->report->rtt.n && ns >= WORTH_SHARE * j->report->rtt.mean;
}

/* Checks. */

static void
check_level(struct join *j, const char *code, double difference,
            const char *what, const char *advice)
{
    double part = fabs(difference);

    join_add_finding(j->report, (part <= SUM_OK ? REPORT_OK
                                 : part <= SUM_WARNING ? REPORT_WARNING
                                 : REPORT_ERROR),
                     code, xasprintf("%s: %.1f %% (up to %.0f %%: ok, up to "
                                     "%.0f %%: warning)", what,
                                     difference * 100, SUM_OK * 100,
                                     SUM_WARNING * 100),
                     part <= SUM_OK ? NULL : xstrdup(advice));
}

/* Returns what no part covers of the round trips, ns; or NAN, with '*why', if
 * files are missing that have such parts.  What the receiving VM took in all
 * stands for its parts. */
static double
not_covered(const struct join *j, const char **why)
{
    const struct report_stats *rest = row(j, JOIN_ROW_REST);
    bool have_guest = (j->m.files[JOIN_RECEIVER_GUEST]
                       && segment(j, REPORT_SEG_G)->n);

    static const enum match_slot virt[] = { SLOT_B1, SLOT_E, SLOT_I1,
                                            SLOT_L };
    bool have_virt = true;

    for (size_t i = 0; i < ARRAY_SIZE(virt); i++) {
        bool is_inside = virt[i] == SLOT_E || virt[i] == SLOT_I1;

        if (!j->m.n_slot[virt[i]]
            && (is_inside ? have_guest : j->report->rtt_is_of_guest)) {
            have_virt = false;
        }
    }
    *why = (!j->report->rtt.n ? "no round trip"
            : !rest->n ? "no packet has a record everywhere"
            : !j->m.files[JOIN_SENDER_HOST] ? "no file of the sender host"
            : !j->m.files[JOIN_RECEIVER_HOST]
            ? "no file of the receiver host"
            : !have_virt ? "B1, E, I1 or L is unknown, and what it takes is "
                           "among what is unmeasured" : NULL);
    if (*why) {
        return NAN;
    } else if (have_guest) {
        return rest->mean;
    } else if (row(j, JOIN_ROW_RECEIVER_VM)->n) {
        return rest->mean - row(j, JOIN_ROW_RECEIVER_VM)->mean;
    } else if (row(j, JOIN_ROW_RECEIVER_VIRT)->n) {
        return rest->mean - row(j, JOIN_ROW_RECEIVER_VIRT)->mean;
    } else {
        *why = "nothing is known of the receiving VM";
        return NAN;
    }
}

/* The sum of the segments against the round trip, packet by packet; and the
 * sum of what the table shows, which are means of different packets if some
 * lack a segment. */
static void
check_sum(struct join *j)
{
    const struct report *r = j->report;
    double sum = row(j, JOIN_ROW_REST)->mean;
    const char *why;
    double left = not_covered(j, &why);

    if (why) {
        join_add_finding(j->report, REPORT_NOTE, "SUM",
                         xasprintf("%s: the sum of the parts cannot be "
                                   "checked", why), NULL);
        return;
    }
    check_level(j, "SUM", left / r->rtt.mean,
                "what the parts do not cover of the RTT, packet by packet",
                "some segment is unknown, or the time is between the "
                "virtualization's last mark and the guest's first one, or "
                "the reverse: see the rows \"unmeasured\"");
    for (int i = 0; i < REPORT_N_SEGMENTS; i++) {
        const struct report_stats *s = segment(j, i);

        if (s->n && report_is_within_rtt(r, i)) {
            sum += s->mean;
        }
    }
    check_level(j, "MEANS", sum / r->rtt.mean - 1,
                "sum of the means shown, with what is unmeasured, against "
                "the mean RTT",
                "means are of different packets: look at the samples of each "
                "row");
}

/* What the files say about themselves. */

static void
find_input(struct join *j)
{
    for (int i = 0; i < JOIN_N_PARTS; i++) {
        const struct report_input *input = &j->report->inputs[i];
        const struct vmlat_record_file *f = j->m.files[i];

        if (!input->file) {
            join_add_finding(j->report, REPORT_NOTE, "NO-FILE",
                             xasprintf("no file of the %s: what only it can "
                                       "tell is unknown", input->part), NULL);
            continue;
        }
        if (input->truncated) {
            join_add_finding(j->report, REPORT_WARNING, "CUT-OFF",
                             xasprintf("%s is cut off: used as far as it is "
                                       "whole, %"PRIu64" records",
                                       input->file, input->n_records), NULL);
        }
        for (size_t k = 0; k < f->n_counters; k++) {
            const struct vmlat_record_counter *c = f->counters[k];

            if (c->value && join_is_loss(c->name)) {
                join_add_finding(
                    j->report, REPORT_WARNING, "LOSSES",
                    xasprintf("%s: %s: %"PRIu64, input->file, c->name,
                              c->value),
                    xstrdup("packets of which a record is missing are left "
                            "out: record for a shorter time, with a filter, "
                            "or with a larger ring"));
            } else if (c->value && !strcmp(c->name, "missed")) {
                join_add_finding(
                    j->report, REPORT_NOTE, "RUNS-MISSED",
                    xasprintf("%s: the kernel skipped %"PRIu64" runs of "
                              "programs", input->file, c->value),
                    xstrdup("as many packets at most are without a record or "
                            "a time in it: one interrupted the program that "
                            "was looking at another"));
            } else if (c->value >= MAX_CLOCK_ERROR
                       && !strcmp(c->name, "clock-error-ns")) {
                char *us = format_us(c->value);

                join_add_finding(
                    j->report, REPORT_WARNING, "CLOCK-ERROR",
                    xasprintf("%s: times of the userspace datapath may be "
                              "off by %s", input->file, us), NULL);
                free(us);
            }
        }
    }
}

static void
find_clock(struct join *j)
{
    const struct report_stats *wire = row(j, JOIN_ROW_WIRE);

    if (j->is_one_clock) {
        join_add_finding(j->report, REPORT_NOTE, "ONE-CLOCK",
                         xstrdup("both hosts ran on one kernel: C and J are "
                                 "differences on one clock, not halves"),
                         NULL);
    } else if (wire->n) {
        join_add_finding(j->report, REPORT_NOTE, "WIRE-HALVED",
                         xstrdup("C and J are halves of C + J: this takes "
                                 "the wire to be symmetric"), NULL);
    }
    if (wire->n && wire->p50 > BAND_RACK) {
        bool is_slow = wire->p50 > BAND_RACKS;
        char *p50 = format_us(wire->p50);
        char *which;

        if (j->is_one_clock) {
            char *c = format_us(segment(j, REPORT_SEG_C)->p50);
            char *back = format_us(segment(j, REPORT_SEG_J)->p50);

            which = xasprintf("C %s, J %s (medians)", c, back);
            free(c);
            free(back);
        } else {
            which = xstrdup("which way takes it is not known, as the clocks "
                            "are separate");
        }
        join_add_finding(
            j->report, is_slow ? REPORT_WARNING : REPORT_NOTE, "WIRE-SLOW",
            xasprintf("C + J is %s (median), above what is usual %s; %s", p50,
                      (is_slow ? "from rack to rack (RTT 200 to 1000 us, of "
                       "all parts)"
                       : "in one rack (RTT 100 to 500 us, of all parts), "
                       "possible from rack to rack"), which),
            xasprintf("it is from driver to driver: look at the NICs (queues, "
                      "interrupt moderation), then at the switches between "
                      "the hosts (queues, errors, the route)%s",
                      (j->is_one_clock ? ""
                       : "; 'ovs-vmlat diff' with a run of the same boots "
                         "that was fast tells which way moved")));
        free(which);
        free(p50);
    }
}

static void
find_negative(struct join *j)
{
    if (j->n_negative) {
        join_add_finding(j->report, REPORT_ERROR, "NEGATIVE",
                         xasprintf("%"PRIu64" packets have a derived value "
                                   "below 0 and are left out of all averages",
                                   j->n_negative),
                         xstrdup("are all files of one run, and of these "
                                 "hosts and guests?"));
    }
}

static const char *host_names[2] = { "sender host", "receiver host" };

/* Rules for parts of segments that are above their band. */
static const struct detail_rule {
    enum leg_detail_id detail;
    double band;
    bool at_far_host;           /* The host that receives. */
    const char *code, *text, *advice;
} detail_rules[] = {
    { LEG_KICK_WAIT, BAND_VHOST, false, "VHOST-LATE",
      "from the guest's kick until the vhost worker runs",
      "the vhost worker waits for a CPU: is the host's CPU overcommitted, or "
      "the worker pinned to a busy one?" },
    { LEG_TAP_WAIT, BAND_VHOST, true, "VHOST-LATE",
      "from the tap until the vhost worker takes it",
      "the vhost worker waits for a CPU or has too much to do: look at its "
      "CPU and at the vring (a guest without buffers makes it wait, too)" },
    { LEG_OUT_QDISC, BAND_HOST, false, "QDISC",
      "in the queueing discipline of the NIC",
      "packets wait for the NIC: look at 'tc -s qdisc', shaping and QoS" },
    { LEG_IN_QDISC, BAND_HOST, true, "QDISC",
      "in the queueing discipline of the VM's port",
      "packets wait for the VM's port: look at 'tc -s qdisc', shaping and "
      "QoS" },
    { LEG_OUT_UPCALL, BAND_UPCALL, false, "UPCALLS",
      "in upcalls on the way out",
      "new flows go through ovs-vswitchd: look at 'vmlat/upcalls', flow "
      "limits and timeouts" },
    { LEG_IN_UPCALL, BAND_UPCALL, true, "UPCALLS",
      "in upcalls on the way in",
      "new flows go through ovs-vswitchd: look at 'vmlat/upcalls', flow "
      "limits and timeouts" },
};

static void
find_details(struct join *j)
{
    for (size_t i = 0; i < ARRAY_SIZE(detail_rules); i++) {
        const struct detail_rule *rule = &detail_rules[i];

        for (int direction = 0; direction < 2; direction++) {
            const struct leg_detail *d = &j->details[direction][rule->detail];
            double mean = d->n ? d->sum / d->n : 0;

            if (d->n && mean > rule->band) {
                char *us = format_us(mean);

                join_add_finding(
                    j->report, REPORT_WARNING, rule->code,
                    xasprintf("%s, %s: %s %s (mean of %"PRIu64" packets)",
                              host_names[direction ^ rule->at_far_host],
                              direction ? "replies" : "requests", us,
                              rule->text, d->n),
                    xstrdup(rule->advice));
                free(us);
            }
        }
    }
}

/* Rules for segments that are above their band and a good part of the RTT. */
static const struct segment_rule {
    int id;
    double band;
    const char *code, *advice;
} segment_rules[] = {
    { REPORT_SEG_A, BAND_GUEST, "GUEST-SLOW",
      "the sender VM is slow to send: its qdisc, its CPU load" },
    { REPORT_SEG_B1, BAND_VHOST, "VHOST-SLOW",
      "the sender host's vhost worker is slow to take what the VM sends: its "
      "CPU, other VMs on it" },
    { REPORT_SEG_B, BAND_HOST, "HOST-SLOW",
      "the sender host's datapath is slow: 'vmlat/show --stages' says which "
      "stage" },
    { REPORT_SEG_D, BAND_HOST, "HOST-SLOW",
      "the receiver host's datapath is slow: 'vmlat/show --stages' says "
      "which stage" },
    { REPORT_SEG_E, BAND_VHOST, "VHOST-SLOW",
      "the receiver host's vhost worker is slow to give the VM its packets: "
      "its CPU, other VMs on it, a vring without room" },
    { REPORT_SEG_EV, BAND_VHOST, "VCPU-WAITS",
      "the receiver VM's vCPU waits for a CPU after its interrupt: is the "
      "host's CPU overcommitted, the vCPU throttled or deep asleep?" },
    { REPORT_SEG_F, BAND_GUEST, "GUEST-SLOW",
      "the receiver VM is slow to take packets: its CPU load, softirqs, "
      "firewall rules" },
    { REPORT_SEG_G, BAND_GUEST, "RESPONDER-SLOW",
      "the program or the stack that answers is slow: look into the receiver "
      "VM, the network is not the cause (TCP: delayed acknowledgments)" },
    { REPORT_SEG_H, BAND_GUEST, "GUEST-SLOW",
      "the receiver VM is slow to send: its qdisc, its CPU load" },
    { REPORT_SEG_I1, BAND_VHOST, "VHOST-SLOW",
      "the receiver host's vhost worker is slow to take what the VM sends: "
      "its CPU, other VMs on it" },
    { REPORT_SEG_I, BAND_HOST, "HOST-SLOW",
      "the receiver host's datapath is slow: 'vmlat/show --stages' says "
      "which stage" },
    { REPORT_SEG_K, BAND_HOST, "HOST-SLOW",
      "the sender host's datapath is slow: 'vmlat/show --stages' says which "
      "stage" },
    { REPORT_SEG_L, BAND_VHOST, "VHOST-SLOW",
      "the sender host's vhost worker is slow to give the VM its packets: its "
      "CPU, other VMs on it, a vring without room" },
    { REPORT_SEG_LV, BAND_VHOST, "VCPU-WAITS",
      "the sender VM's vCPU waits for a CPU after its interrupt: is the "
      "host's CPU overcommitted, the vCPU throttled or deep asleep?" },
    { REPORT_SEG_M, BAND_GUEST, "GUEST-SLOW",
      "the sender VM is slow to take packets: its CPU load, softirqs, "
      "firewall rules" },
};

static void
find_segments(struct join *j)
{
    const struct report_stats *left[2] = {
        row(j, JOIN_ROW_LEFT_SENDER), row(j, JOIN_ROW_LEFT_RECEIVER)
    };

    for (size_t i = 0; i < ARRAY_SIZE(segment_rules); i++) {
        const struct segment_rule *rule = &segment_rules[i];
        const struct report_stats *s = segment(j, rule->id);

        if (s->n && s->mean > rule->band && is_worth_it(j, s->mean)) {
            char *us = format_us(s->mean);

            join_add_finding(
                j->report, REPORT_WARNING, rule->code,
                xasprintf("%s (%s): %s, %.0f %% as much as the RTT %s",
                          report_segment_classes[rule->id].letter,
                          report_segment_classes[rule->id].name, us,
                          100 * s->mean / j->report->rtt.mean,
                          (j->report->rtt_is_of_guest ? "in the sender VM"
                           : "at the sender's port")),
                xstrdup(rule->advice));
            free(us);
        }
    }
    for (int host = 0; host < 2; host++) {
        if (left[host]->n && left[host]->mean > BAND_VHOST
            && is_worth_it(j, left[host]->mean)) {
            char *us = format_us(left[host]->mean);

            join_add_finding(
                j->report, REPORT_WARNING, "VIRT-UNMEASURED",
                xasprintf("%s: %s between host and guest are in no segment",
                          host_names[host], us),
                xstrdup("the vCPU does not run, or leaves and enters the "
                        "guest slowly, while the packet waits: is the host's "
                        "CPU overcommitted?"));
            free(us);
        }
    }
}

/* Rules for how many packets were special. */
static const struct count_rule {
    enum leg_count count;
    bool at_far_host;
    enum report_level level;
    const char *code, *text, *advice;
} count_rules[] = {
    { LEG_NO_KICK, false, REPORT_NOTE, "NO-KICK",
      "came without a kick, the vhost worker was at it already: their wait in "
      "the ring is not known", NULL },
    { LEG_SHARED_SIGNAL, true, REPORT_NOTE, "SHARED-SIGNAL",
      "shared an interrupt with others: each waited for the last one of them",
      "usual under load; if latency matters, look at interrupt coalescing of "
      "the guest's virtio device" },
    { LEG_NO_SIGNAL, true, REPORT_NOTE, "NO-SIGNAL",
      "went to a guest that polled and asked for no interrupt: E or L ends at "
      "the used ring", NULL },
    { LEG_MERGED, true, REPORT_NOTE, "MERGED-SIGNAL",
      "came while an interrupt was pending: E or L ends at the used ring",
      NULL },
    { LEG_TX_CUT, false, REPORT_WARNING, "MARKS-MISSING",
      "have no kick and no flag that says why: B1 or I1 is unknown of them",
      NULL },
    { LEG_RX_CUT, true, REPORT_WARNING, "MARKS-MISSING",
      "have no interrupt and no flag that says why: E or L is unknown of them",
      "'vmlat/status points' says which points are missing" },
};

static void
find_counts(struct join *j)
{
    for (size_t i = 0; i < ARRAY_SIZE(count_rules); i++) {
        const struct count_rule *rule = &count_rules[i];

        for (int direction = 0; direction < 2; direction++) {
            uint64_t n = j->leg_counts[direction][rule->count];

            if (n) {
                join_add_finding(
                    j->report, rule->level, rule->code,
                    xasprintf("%s: %"PRIu64" %s %s",
                              host_names[direction ^ rule->at_far_host], n,
                              direction ? "replies" : "requests", rule->text),
                    rule->advice ? xstrdup(rule->advice) : NULL);
            }
        }
    }
    for (int direction = 0; direction < 2; direction++) {
        uint64_t lost = 0;

        for (int i = 0; i < WAY_SLOTS; i++) {
            lost += j->m.way_fates[direction][WAY_MISSING + i];
        }
        if (lost) {
            join_add_finding(
                j->report, REPORT_WARNING, "NOT-MATCHED",
                xasprintf("%"PRIu64" %s have no record on one of the hosts",
                          lost, direction ? "replies" : "requests"),
                xstrdup("lost on the wire or in the recording, or changed on "
                        "the way (NAT)"));
        }
        if (j->m.way_fates[direction][WAY_RESIZED]) {
            join_add_finding(
                j->report, REPORT_NOTE, "SIZE-CHANGED",
                xasprintf("%"PRIu64" %s were cut or merged on the way (TSO, "
                          "GRO): all of their data was seen, in packets of "
                          "another size",
                          j->m.way_fates[direction][WAY_RESIZED],
                          direction ? "replies" : "requests"),
                xstrdup("they are in no figure: to have them there, switch "
                        "TSO, GSO and GRO off for a while (ethtool -K)"));
        }
    }
}

/* Adds what the figures mean. */
void
join_find(struct join *j)
{
    check_sum(j);
    find_negative(j);
    find_input(j);
    find_clock(j);
    find_segments(j);
    find_details(j);
    find_counts(j);
}
