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

#ifndef OVS_VMLAT_REPORT_H
#define OVS_VMLAT_REPORT_H 1

/* What "ovs-vmlat join" found: plain data, which the text output and the page
 * show.  Strings may come from guests. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ds;

/* The segments of a packet's way between two VMs and back, in order.
 * C and J are one row, WIRE, where they cannot be told apart.  VCPU_B and
 * VCPU_A are what lies between an interrupt and the guest: from its injection
 * until the guest's stack has the packet; UNMEASURED_B what is left of the
 * receiving host's time.
 *
 * REPORT_SEGMENT(ID, letter, layer, where, name) */
#define REPORT_SEGMENTS                                                       \
    REPORT_SEGMENT(A,  "A",  VM,   SENDER_VM,     "guest stack out")          \
    REPORT_SEGMENT(B1, "B1", VIRT, SENDER_HOST,   "kick to port")             \
    REPORT_SEGMENT(B,  "B",  HOST, SENDER_HOST,   "port to NIC")              \
    REPORT_SEGMENT(C,  "C",  WIRE, NETWORK,       "wire to receiver")         \
    REPORT_SEGMENT(D,  "D",  HOST, RECEIVER_HOST, "NIC to port")              \
    REPORT_SEGMENT(E,  "E",  VIRT, RECEIVER_HOST, "port to interrupt")        \
    REPORT_SEGMENT(EV, "E+", VIRT, RECEIVER_HOST, "interrupt to vCPU")        \
    REPORT_SEGMENT(F,  "F",  VM,   RECEIVER_VM,   "guest stack in")           \
    REPORT_SEGMENT(G,  "G",  VM,   RECEIVER_VM,   "responder")                \
    REPORT_SEGMENT(H,  "H",  VM,   RECEIVER_VM,   "guest stack out")          \
    REPORT_SEGMENT(I1, "I1", VIRT, RECEIVER_HOST, "kick to port")             \
    REPORT_SEGMENT(I,  "I",  HOST, RECEIVER_HOST, "port to NIC")              \
    REPORT_SEGMENT(J,  "J",  WIRE, NETWORK,       "wire to sender")           \
    REPORT_SEGMENT(K,  "K",  HOST, SENDER_HOST,   "NIC to port")              \
    REPORT_SEGMENT(L,  "L",  VIRT, SENDER_HOST,   "port to interrupt")        \
    REPORT_SEGMENT(LV, "L+", VIRT, SENDER_HOST,   "interrupt to vCPU")        \
    REPORT_SEGMENT(M,  "M",  VM,   SENDER_VM,     "guest stack in")

enum report_segment_id {
#define REPORT_SEGMENT(ID, LETTER, LAYER, WHERE, NAME) REPORT_SEG_##ID,
    REPORT_SEGMENTS
#undef REPORT_SEGMENT
    REPORT_N_SEGMENTS
};

enum report_layer {
    REPORT_VM, REPORT_HOST, REPORT_WIRE, REPORT_VIRT,
    REPORT_REST,                        /* What no segment covers. */
    REPORT_N_LAYERS
};

enum report_where {
    REPORT_SENDER_VM, REPORT_SENDER_HOST, REPORT_NETWORK,
    REPORT_RECEIVER_HOST, REPORT_RECEIVER_VM
};

/* How a figure came about. */
enum report_how {
    REPORT_MEASURED,
    REPORT_DERIVED,                     /* A difference, per packet. */
    REPORT_HALVED,                      /* Half of C + J: takes the wire to be
                                         * symmetric. */
    REPORT_UNKNOWN,                     /* See 'why'. */
};

/* Figures of one thing, all of the same packets.  ns; n == 0: no samples,
 * the rest means nothing. */
struct report_stats {
    uint64_t n;
    double mean, deviation;             /* Of the samples. */
    int64_t min, p50, p90, p99, max;

    /* Samples, by log-linear buckets from vmlat-histogram.h, ascending:
     * from 'low' up to, not including, 'high'.  Only those that have any. */
    struct report_bucket {
        int64_t low, high;
        uint64_t n;
    } *buckets;
    size_t n_buckets;
};

struct report_segment {
    enum report_how how;
    char *why;                          /* Why it is unknown, or what limits
                                         * it; NULL: nothing to say. */
    struct report_stats stats;
};

/* A time that is not a segment: "RTT in the sender VM", "C + J", "receiving
 * host in all", "unmeasured virtualization, receiver", ... */
struct report_row {
    char *name;
    enum report_how how;
    char *why;
    struct report_stats stats;
};

struct report_layer_share {
    struct report_stats stats;          /* Per packet, packets that have all
                                         * of the layer's known segments. */
    double share;                       /* Of the mean round trip, 0 to 1;
                                         * NAN if there is none. */
};

enum report_level { REPORT_OK, REPORT_NOTE, REPORT_WARNING, REPORT_ERROR };

struct report_finding {
    enum report_level level;
    char *code;                         /* "E-SLOW", stable. */
    char *text;                         /* What was found, one line. */
    char *advice;                       /* What to do or look at, or NULL. */
};

/* A packet, for the waterfall. */
struct report_packet {
    char *name;                         /* "id 7 seq 12". */
    uint64_t wall_ns;                   /* When it left, by the sender's
                                         * clock. */
    int64_t total_ns;                   /* Round trip. */
    int64_t ns[REPORT_N_SEGMENTS];      /* INT64_MIN: not known. */
    int64_t rest_ns;                    /* INT64_MIN: not known. */
};

/* A count of packets under a name: "matched on both hosts", "no record on
 * HOST-B", "ambiguous", ... */
struct report_count {
    char *name;
    uint64_t n;
};

struct report_input {
    const char *part;                   /* "sender host", ... */
    char *file;                         /* NULL: not given. */
    char *host, *software, *filter;
    uint64_t start_wall_ns, n_records, n_lost;
    double seconds;
    bool truncated;
};

struct report {
    char *title;                        /* "10.0.0.1 -> 10.0.0.2, ICMP echo" */
    struct report_input inputs[4];      /* Sender host, receiver host, sender
                                         * guest, receiver guest. */
    char *vm_port[2], *nic_port[2];     /* Names, sender and receiver; NULL if
                                         * not known. */
    char *vm[2];                        /* Names of VMs, or NULL. */

    struct report_segment segments[REPORT_N_SEGMENTS];
    struct report_row *rows;
    size_t n_rows;
    struct report_layer_share layers[REPORT_N_LAYERS];
    struct report_stats rtt;            /* Of the sender VM, or of its host
                                         * port if there is no guest. */
    bool rtt_is_of_guest;
    int primary;                        /* enum report_segment_id, -1: none. */

    struct report_finding *findings;    /* Checks first. */
    size_t n_findings;
    struct report_packet *packets;      /* The median one, then the worst. */
    size_t n_packets;
    struct report_count *counts;
    size_t n_counts;
};

/* Letters and so on of enum report_segment_id. */
struct report_segment_class {
    const char *letter, *name;
    enum report_layer layer;
    enum report_where where;
};
extern const struct report_segment_class report_segment_classes[];
const char *report_layer_name(enum report_layer);
const char *report_level_name(enum report_level);
const char *report_how_name(enum report_how);

/* Returns true if the segment 'id' is a part of the round trip that the report
 * is about: if no guest says how long that was, it is the port's. */
bool report_is_within_rtt(const struct report *, int id);

/* Appends the letters of the segments that cannot be 'primary', as they are
 * not known; or, if 'outside', as they are known but no part of the round
 * trip. */
void report_put_not_considered(struct ds *, const struct report *,
                               bool outside, const char *separator);

/* Returns true if the two ways of the wire, which are known only together,
 * take more than the primary segment does. */
bool report_is_wire_more(const struct report *);

/* Frees what '*report' has, not the struct itself. */
void report_uninit(struct report *);

/* Writes the page, UTF-8, to 'name'.  Returns NULL, or an error that the
 * caller must free. */
char *report_write_html(const struct report *, const char *name);

#endif /* ovs-vmlat-report.h */
