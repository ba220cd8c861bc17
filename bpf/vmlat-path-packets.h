/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Copyright (c) 2026 The vmlat authors.
 */

#ifndef VMLAT_PATH_PACKETS_H
#define VMLAT_PATH_PACKETS_H 1

/* Devices that the daemon knows, and where packets are kept that are followed.
 */

#include "vmlat-path-count.h"

/* Devices. */

/* Returns true if 'e' is of 'dev', which has the right ifindex: of the same
 * network namespace. */
static __noinline bool
dev_is(struct vmlat_bpf_dev *e, struct net_device *dev)
{
    if (!e || BPF_CORE_READ(dev, nd_net.net, ns.inum) != e->netns) {
        return false;
    }
    e->dev = (__u64) (long) dev;
    return true;
}

/* Returns what the daemon says about 'dev', NULL if nothing. */
static __always_inline struct vmlat_bpf_dev *
find_dev(struct net_device *dev, __u32 ifindex)
{
    struct vmlat_bpf_dev *e = &devs[VMLAT_BPF_DEV_HASH(ifindex)];

    if (likely(e->dev == (__u64) (long) dev && e->ifindex == ifindex)) {
        return e;
    }
    if (likely(!e->ifindex)) {
        return NULL;
    }
    for (int i = 0; i < VMLAT_BPF_DEV_PROBES; i++) {
        e = &devs[VMLAT_BPF_DEV_HASH(ifindex + i)];
        if (!e->ifindex) {
            break;
        }
        if (e->ifindex == ifindex
            && (e->dev == (__u64) (long) dev || dev_is(e, dev))) {
            return e;
        }
    }
    return NULL;
}

/* Packets. */

/* A packet's place. */
struct place {
    struct vmlat_bpf_packet *pkt;
    __u64 *tag;                     /* Id of the packet, 0 if free. */
    __u32 index;                    /* In 'details'. */
};
#define NO_PLACE (N_SLOTS + N_SETS * N_WAYS)

/* Returns the slot of packet 'id': skbs are 256 bytes or more apart. */
static __always_inline struct slot *
slot_of(__u64 id)
{
    __u64 slot = id >> 1;

    element(slot, slots, N_SLOTS);
    return (struct slot *) (long) slot;
}

static __always_inline __u32
slot_index(__u64 id)
{
    return (id >> 8) & (N_SLOTS - 1);
}

static __always_inline __u32
set_number(__u64 id)
{
    return id * 0x9e3779b97f4a7c15ull >> 52;
}

static __always_inline void
count_others(__u64 id, __u32 n)
{
    __sync_fetch_and_add(&slot_of(id)->others, n);
}

static __always_inline bool
at_way(struct place *p, struct set *set, __u32 number, __u32 way)
{
    p->pkt = &set->packets[way];
    p->tag = &set->ids[way];
    p->index = N_SLOTS + number * N_WAYS + way;
    return true;
}

/* Finds the place with number 'index'. */
static __always_inline bool
at_index(struct place *p, __u32 index)
{
    if (index >= NO_PLACE) {
        return false;
    } else if (index < N_SLOTS) {
        struct slot *slot = slot_of((__u64) index << 8);

        p->pkt = &slot->pkt;
        p->tag = &slot->id;
        p->index = index;
        return true;
    } else {
        __u32 number = (index - N_SLOTS) / N_WAYS;
        struct set *set = bpf_map_lookup_elem(&sets, &number);

        return set && at_way(p, set, number, index % N_WAYS);
    }
}

/* Finds packet 'id' in the sets. */
static __always_inline bool
find_in_set(struct place *p, __u64 id)
{
    __u32 number = set_number(id);
    struct set *set = bpf_map_lookup_elem(&sets, &number);

    if (!set) {
        return false;
    } else if (set->ids[0] == id) {
        return at_way(p, set, number, 0);
    } else if (set->ids[1] == id) {
        return at_way(p, set, number, 1);
    } else if (set->ids[2] == id) {
        return at_way(p, set, number, 2);
    } else if (set->ids[3] == id) {
        return at_way(p, set, number, 3);
    }
    return false;
}

/* Finds packet 'id'. */
static __always_inline bool
find(struct place *p, __u64 id)
{
    struct slot *slot = slot_of(id);

    if (likely(slot->id == id)) {
        p->pkt = &slot->pkt;
        p->tag = &slot->id;
        p->index = slot_index(id);
        return true;
    }
    return unlikely(slot->others) && find_in_set(p, id);
}

/* Finds the packet that 'ref' refers to. */
static __always_inline bool
find_ref(struct place *p, const struct vmlat_bpf_ref *ref)
{
    return (ref->gen && at_index(p, ref->index)
            && p->pkt->gen == ref->gen);
}

/* Ends packet 'id'.  Returns false if it has been evicted, so that it is not
 * ours to count any more. */
static __always_inline bool
release(struct place *p, __u64 id)
{
    if (!replace(p->tag, id, 0)) {
        return false;
    }
    if (unlikely(p->index >= N_SLOTS)) {
        count_others(id, -1);
    }
    return true;
}

static __always_inline void
next_gen(struct vmlat_bpf_packet *pkt)
{
    pkt->gen = (pkt->gen + 2) | 1;
}

/* Takes the place of packet 'old' for packet 'id', if that may go: it has
 * ended, or has been in a set for so long that it may not come back.  One in a
 * slot may, for what ends it there does not look whether it still is. */
static __noinline bool
take_from(struct vmlat_bpf_cpu *cpu, __u32 index, __u64 old, __u64 id,
          __u64 now)
{
    struct place p;

    if (!cpu || !old || !at_index(&p, index)) {
        return false;
    }
    if (p.pkt->flags & VMLAT_PKT_ENDED) {
        if (!replace(p.tag, old, id)) {
            return false;
        }
    } else if (index < N_SLOTS
               || now - p.pkt->t[VMLAT_P_RX] <= EVICT_AGE
               || !replace(p.tag, old, id)) {
        return false;
    } else if (!(p.pkt->flags & VMLAT_PKT_MOVED)) {
        count_fate(cpu, p.pkt, VMLAT_F_EVICTED);
    }
    if (index >= N_SLOTS) {
        count_others(old, -1);
    }
    return true;
}

/* Finds a place for packet 'id' whose slot cannot be had just like that.
 * Returns its index, NO_PLACE if there is none. */
static __noinline __u32
take_slow(struct vmlat_bpf_cpu *cpu, __u64 id, __u64 now)
{
    struct slot *slot = slot_of(id);
    struct place p;
    struct set *set;
    __u32 number;

    if (!cpu) {
        return NO_PLACE;
    }
    if (find(&p, id)) {
        if (!(p.pkt->flags & (VMLAT_PKT_ENDED | VMLAT_PKT_MOVED))) {
            count_fate(cpu, p.pkt, VMLAT_F_LOST);
        }
        return p.index;
    }
    if (replace(&slot->id, 0, id)
        || take_from(cpu, slot_index(id), *(volatile __u64 *) &slot->id, id,
                     now)) {
        return slot_index(id);
    }

    number = set_number(id);
    set = bpf_map_lookup_elem(&sets, &number);
    if (!set) {
        return NO_PLACE;
    }
    count_others(id, 1);
    for (__u32 way = 0; way < N_WAYS; way++) {
        if (replace(&set->ids[way], 0, id)) {
            return N_SLOTS + number * N_WAYS + way;
        }
    }
    for (__u32 way = 0; way < N_WAYS; way++) {
        __u32 index = N_SLOTS + number * N_WAYS + way;

        if (take_from(cpu, index, *(volatile __u64 *) &set->ids[way], id,
                      now)) {
            return index;
        }
    }
    count_others(id, -1);
    return NO_PLACE;
}

/* Finds a place for packet 'id'.  Returns false if there is none. */
static __always_inline bool
take(struct vmlat_bpf_cpu *cpu, struct place *p, __u64 id, __u64 now)
{
    if (!at_index(p, take_slow(cpu, id, now))) {
        return false;
    }
    next_gen(p->pkt);
    return true;
}

#endif /* vmlat-path-packets.h */
