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

#ifndef OVS_VMLAT_JOIN_H
#define OVS_VMLAT_JOIN_H 1

/* What the times of matched packets come to: shared by what computes it and
 * what draws conclusions from it.  Single thread. */

#include "ovs-vmlat-match.h"
#include "ovs-vmlat-report.h"

/* Times of a round trip that are no segments.
 *
 * JOIN_ROW(ID, name) */
#define JOIN_ROWS                                                             \
    JOIN_ROW(RTT_GUEST, "RTT in the sender VM")                               \
    JOIN_ROW(RTT_PORT, "RTT at the sender's port")                            \
    JOIN_ROW(EXTERNAL, "outside the sender host (Sender_External)")           \
    JOIN_ROW(RECEIVER, "receiving host in all (Recv_Host_Total)")             \
    JOIN_ROW(WIRE, "wire, both ways (C + J)")                                 \
    JOIN_ROW(RECEIVER_VIRT, "receiving VM and its virtualization in all")     \
    JOIN_ROW(RECEIVER_VM, "receiving VM in all")                              \
    JOIN_ROW(LEFT_RECEIVER, "unmeasured virtualization, receiver")            \
    JOIN_ROW(LEFT_SENDER, "unmeasured virtualization, sender")                \
    JOIN_ROW(REST, "unmeasured in all")

enum join_row {
#define JOIN_ROW(ID, NAME) JOIN_ROW_##ID,
    JOIN_ROWS
#undef JOIN_ROW
    JOIN_N_ROWS
};

/* What is computed for each round trip: segments, rows, layers. */
#define VALUE_ROW(ID) (REPORT_N_SEGMENTS + JOIN_ROW_##ID)
#define VALUE_LAYER(LAYER) (REPORT_N_SEGMENTS + JOIN_N_ROWS + (LAYER))
#define N_VALUES (VALUE_LAYER(REPORT_N_LAYERS))
#define VALUE_UNKNOWN INT64_MIN

/* Packets by what was special about them, in each direction.
 *
 * LEG_COUNT(ID, meaning) */
#define LEG_COUNTS                                                            \
    LEG_COUNT(KICKED, "with a kick of their own")                             \
    LEG_COUNT(SHARED_KICK, "on a kick of several packets")                    \
    LEG_COUNT(NO_KICK, "without a kick: the vhost worker was at it already")  \
    LEG_COUNT(TX_CUT, "with marks of vm-tx missing")                          \
    LEG_COUNT(SIGNALLED, "with an interrupt of their own")                    \
    LEG_COUNT(SHARED_SIGNAL, "on an interrupt of several packets")            \
    LEG_COUNT(MERGED, "while an interrupt was pending: end at the used "      \
              "ring")                                                         \
    LEG_COUNT(NO_SIGNAL, "without an interrupt, which the guest did not ask " \
              "for: end at the used ring")                                    \
    LEG_COUNT(RX_CUT, "with marks of vm-rx missing")                          \
    LEG_COUNT(RUNNING, "whose interrupt went to a running vCPU")              \
    LEG_COUNT(UPCALL_OUT, "with an upcall on the way out")                    \
    LEG_COUNT(UPCALL_IN, "with an upcall on the way in")

enum leg_count {
#define LEG_COUNT(ID, MEANING) LEG_##ID,
    LEG_COUNTS
#undef LEG_COUNT
    N_LEG_COUNTS
};

/* Parts of segments that say why one is long: between two marks of the record
 * in a slot of the direction.
 *
 * LEG_DETAIL(ID, slot of the request, kind, from, to) */
#define LEG_DETAILS                                                           \
    LEG_DETAIL(GUEST_QDISC, A,  GUEST_OUT, QDISC,  TX)                        \
    LEG_DETAIL(KICK_WAIT,   B1, VM_TX,     KICK,   WORKER)                    \
    LEG_DETAIL(OUT_UPCALL,  B,  PATH,      UPCALL, EXECUTE)                   \
    LEG_DETAIL(OUT_QDISC,   B,  PATH,      QDISC,  TX)                        \
    LEG_DETAIL(IN_UPCALL,   D,  PATH,      UPCALL, EXECUTE)                   \
    LEG_DETAIL(IN_QDISC,    D,  PATH,      QDISC,  TX)                        \
    LEG_DETAIL(TAP_WAIT,    E,  VM_RX,     TX,     TAKEN)

enum leg_detail_id {
#define LEG_DETAIL(ID, SLOT, KIND, FROM, TO) LEG_##ID,
    LEG_DETAILS
#undef LEG_DETAIL
    N_LEG_DETAILS
};

struct join {
    struct matching m;
    struct report *report;
    bool is_one_clock;          /* Of both hosts. */

    uint64_t leg_counts[2][N_LEG_COUNTS];
    uint64_t n_negative;        /* Round trips and packets left out. */
    uint64_t n_coarse;          /* C or J is not known, C + J is. */
    uint64_t n_overlap;         /* Guest was faster than the interrupt. */
    struct leg_detail {
        uint64_t n;
        double sum;                     /* ns. */
    } details[2][N_LEG_DETAILS];
};

extern const char *join_part_names[JOIN_N_PARTS];
extern const char *join_row_names[JOIN_N_ROWS];

/* A packet's way in one direction, as times: ns, 0 if not known.  Each pair of
 * lines is of one machine. */
struct leg {
    const struct vmlat_record *records[WAY_SLOTS];

    uint64_t stack_out, device_out;             /* Guest that sends. */
    uint64_t kick, send, entered;               /* Its virtualization. */
    uint64_t path_out, wire_out;                /* Its host. */
    uint64_t wire_in, path_in;                  /* The other host. */
    uint64_t taken, used, interrupt, vcpu;      /* Its virtualization. */
    uint64_t device_in, stack_in;               /* Guest that receives. */
};

/* ovs-vmlat-way.c.  'values' has N_VALUES elements, VALUE_UNKNOWN where there
 * is none. */
void values_init(int64_t *values);
void leg_init(struct leg *, const struct matching *, int direction,
              const struct way *);

/* Returns 'to' - 'from', or VALUE_UNKNOWN if one of them is not known. */
int64_t leg_difference(uint64_t from, uint64_t to);

/* Sets the segments of one direction, A to F or H to M, in 'values'. */
void leg_segments(const struct leg *, int direction, bool is_one_clock,
                  int64_t *values);

/* Counts what was special about the packet. */
void count_leg(struct join *, const struct leg *, int direction);

/* Returns "id 7 seq 12", which must be freed. */
char *packet_name(const struct matching *, const struct leg *);

/* round_trip() computes all values but layers and what is left, which
 * add_layers() adds; 'known' says which segments any packet has.  one_way() is
 * for packets without a reply.  All return false, and add a finding, if a
 * value is negative. */
bool round_trip(struct join *, const struct leg *out, const struct leg *back,
                int64_t *values);
bool add_layers(struct join *, const struct leg *out, const struct leg *back,
                const bool *known, int64_t *values);
bool one_way(struct join *, const struct leg *, int direction,
             int64_t *values);

/* ovs-vmlat-same.c.  Errors are of one line, and to be freed. */
char *join_check_files(struct vmlat_record_file *[JOIN_N_PARTS]);
char *join_check_runs(struct join *);
bool join_is_same_kernel(const struct vmlat_record_file *,
                         const struct vmlat_record_file *);
void join_wall_window(const struct vmlat_record_file *, int64_t *from,
                      int64_t *to);

/* Returns true if the counter 'name' of a file counts packets of which records
 * are missing; the others say what was never to be recorded. */
bool join_is_loss(const char *name);

/* Adds a finding; takes 'text' and 'advice', which may be NULL. */
void join_add_finding(struct report *, enum report_level, const char *code,
                      char *text, char *advice);

/* Adds checks and findings; ovs-vmlat-findings.c. */
void join_find(struct join *);

#endif /* ovs-vmlat-join.h */
