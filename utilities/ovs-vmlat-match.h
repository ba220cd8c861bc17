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

#ifndef OVS_VMLAT_MATCH_H
#define OVS_VMLAT_MATCH_H 1

/* Finds the records that several files have of the same packets.
 *
 * A packet is known by what is in it: nothing that its own headers do not say
 * is compared, and clocks only where one identity comes several times.  Each
 * record ends up under exactly one enum record_fate or, in a way, enum
 * way_fate.  Single thread. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "openvswitch/util.h"
#include "ovs-vmlat.h"
#include "vmlat-record-file.h"

/* Where a record belongs to: a place on the way of the request, then of the
 * reply, named as the segment that it tells of.
 *
 * MATCH_SLOT(ID, part, kind, is it of what leaves the VM?) */
#define MATCH_SLOTS                                                           \
    MATCH_SLOT(A,  SENDER_GUEST,   GUEST_OUT, true)                           \
    MATCH_SLOT(B1, SENDER_HOST,    VM_TX,     true)                           \
    MATCH_SLOT(B,  SENDER_HOST,    PATH,      true)                           \
    MATCH_SLOT(D,  RECEIVER_HOST,  PATH,      false)                          \
    MATCH_SLOT(E,  RECEIVER_HOST,  VM_RX,     false)                          \
    MATCH_SLOT(F,  RECEIVER_GUEST, GUEST_IN,  false)                          \
    MATCH_SLOT(H,  RECEIVER_GUEST, GUEST_OUT, true)                           \
    MATCH_SLOT(I1, RECEIVER_HOST,  VM_TX,     true)                           \
    MATCH_SLOT(I,  RECEIVER_HOST,  PATH,      true)                           \
    MATCH_SLOT(K,  SENDER_HOST,    PATH,      false)                          \
    MATCH_SLOT(L,  SENDER_HOST,    VM_RX,     false)                          \
    MATCH_SLOT(M,  SENDER_GUEST,   GUEST_IN,  false)

enum match_slot {
#define MATCH_SLOT(ID, PART, KIND, FROM_VM) SLOT_##ID,
    MATCH_SLOTS
#undef MATCH_SLOT
    N_SLOTS
};
#define WAY_SLOTS (N_SLOTS / 2)

struct match_slot_class {
    const char *name;
    enum join_part part;
    enum vmlat_record_kind kind;
    bool from_vm;
};
extern const struct match_slot_class match_slots[N_SLOTS];

/* What becomes of records that no way has.
 *
 * RECORD_FATE(ID, meaning) */
#define RECORD_FATES                                                          \
    RECORD_FATE(INSANE, "not a possible record")                              \
    RECORD_FATE(OTHER, "not of this conversation")                            \
    RECORD_FATE(COPY, "copy of a packet (flood, mirror)")                     \
    RECORD_FATE(FRAGMENT, "IP fragment")                                      \
    RECORD_FATE(KIND, "of a kind that this file should not have")             \
    RECORD_FATE(NOT_SENT, "of a packet that did not leave this host's "       \
                "datapath")                                                   \
    RECORD_FATE(ELSEWHERE, "not between the VM and the network")              \
    RECORD_FATE(PORT, "to a port that is not the VM's")                       \
    RECORD_FATE(OTHER_WAY, "on the other VM's way")                           \
    RECORD_FATE(AMBIGUOUS, "several packets that cannot be told apart")

enum record_fate {
#define RECORD_FATE(ID, MEANING) RECORD_##ID,
    RECORD_FATES
#undef RECORD_FATE
    N_RECORD_FATES
};
extern const char *record_fate_names[N_RECORD_FATES];

/* What becomes of ways. */
enum way_fate {
    WAY_MATCHED,
    WAY_MISSING,                /* + slot: no record there. */
    WAY_OUTSIDE = WAY_MISSING + WAY_SLOTS, /* Not in the common time. */
    WAY_ALONE,                  /* Echo: reply or request was not seen. */
    WAY_DIFFERENT,              /* Echo: IP ids differ. */
    WAY_RESIZED,                /* TCP: where it has no record, all of its data
                                 * was seen, in packets with none here. */
    N_WAY_FATES
};

/* A packet's way in one direction: its records, 0 where there is none. */
struct way {
    uint32_t records[WAY_SLOTS];
    uint32_t fate;              /* enum way_fate. */
};

/* A request and the reply to it: numbers of ways. */
struct way_pair {
    uint32_t request, reply;
};

struct conversation {
    struct in6_addr src, dst;   /* Of requests. */
    uint8_t proto;
};

enum { REQUESTS, REPLIES };

struct matching {
    struct vmlat_record_file *files[JOIN_N_PARTS]; /* Not owned. */
    const char *base[JOIN_N_PARTS];
    struct conversation c;
    uint64_t n_other_conversations;

    size_t n_slot[N_SLOTS];     /* Records of each slot. */
    bool required[N_SLOTS];     /* Of each packet that counts as matched. */
    int64_t delta[N_SLOTS];     /* Typical time since the direction's first
                                 * slot, by the clocks of both. */
    bool delta_known[N_SLOTS];
    uint64_t first_ns[N_SLOTS]; /* Of the records in it. */
    uint64_t last_ns[N_SLOTS];

    struct way *ways[2];        /* REQUESTS, REPLIES; matched or not. */
    size_t n_ways[2];
    size_t allocated_ways[2];
    struct way_pair *pairs;     /* Of matched ways. */
    size_t n_pairs;
    size_t allocated_pairs;

    uint64_t fates[JOIN_N_PARTS][N_RECORD_FATES];
    uint64_t used[JOIN_N_PARTS][N_WAY_FATES]; /* Records in ways. */
    uint64_t way_fates[2][N_WAY_FATES];
    uint64_t n_resized[2][WAY_SLOTS]; /* Matched ways without a record in a
                                       * slot that has all of their data. */
    uint64_t n_ambiguous;       /* Identities. */
    uint64_t n_userspace[2];    /* PATH records of a userspace datapath:
                                 * sender's host, receiver's. */
    uint16_t vm_port[2], nic_port[2]; /* Ids, 0: not known. */
};

/* Matches.  Returns NULL, or an error of one line that the caller must free;
 * 'm' needs matching_uninit() either way. */
char *matching_init(struct matching *,
                    struct vmlat_record_file *[JOIN_N_PARTS],
                    const struct ovs_vmlat_options *);
void matching_uninit(struct matching *);

/* Adds a pair of ways, by their numbers. */
void matching_add_pair(struct matching *, size_t request, size_t reply);

/* Returns the record of 'part' that has the number 'record': how many 8 bytes
 * it is after the first one of its file, plus 1. */
static inline const struct vmlat_record *
match_record_at(const struct matching *m, enum join_part part, uint32_t record)
{
    return ALIGNED_CAST(const struct vmlat_record *,
                        m->base[part] + (record - 1) * 8ull);
}

/* Returns the record that 'way' has in 'slot', or NULL. */
static inline const struct vmlat_record *
match_record(const struct matching *m, const struct way *way,
             enum match_slot slot)
{
    uint32_t record = way->records[slot % WAY_SLOTS];

    return (record
            ? match_record_at(m, match_slots[slot].part, record)
            : NULL);
}

#endif /* ovs-vmlat-match.h */
