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

#ifndef OVS_VMLAT_SLOTS_H
#define OVS_VMLAT_SLOTS_H 1

/* Records in their slots, while they are matched: for ovs-vmlat-match.c. */

#include "ovs-vmlat-match.h"

/* A record in a slot. */
struct entry {
    uint32_t hash[2];
    uint32_t record;            /* As in struct way. */
};

struct slot {
    struct entry *entries;      /* In order of hash, identity and time. */
    size_t n, allocated;
};

/* What tells a packet from others of the same conversation and direction; of
 * echoes, the same for request and reply. */
struct identity {
    uint64_t words[3];
};

struct matcher {
    struct matching *m;
    struct slot slots[N_SLOTS];
    uint64_t seed;
    bool is_icmp;
};

static inline bool
is_icmp(uint8_t proto)
{
    return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

static inline const struct vmlat_record *
entry_record(const struct matcher *mr, enum match_slot slot,
             const struct entry *e)
{
    return match_record_at(mr->m, match_slots[slot].part, e->record);
}

struct identity identify(const struct vmlat_record *);

/* Sets 'c' of 'm' to the conversation that has most requests, of those that
 * 'options' asks for.  Returns NULL, or an error that must be freed. */
char *choose_conversation(struct matching *m,
                          const struct ovs_vmlat_options *options);

/* Adds the records of all files to their slots, in the order of the files, or
 * counts why they have none, and finds out about ports. */
void read_records(struct matcher *);

/* ovs-vmlat-data.c: finds ways whose data is in other packets elsewhere. */
void match_data(struct matching *);

/* ovs-vmlat-tcp.c: adds pairs of data segments and what acknowledges them. */
void match_pair_tcp(struct matching *);

#endif /* ovs-vmlat-slots.h */
