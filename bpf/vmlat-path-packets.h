/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Copyright (c) 2026 The vmlat authors.
 */

#ifndef VMLAT_PATH_PACKETS_H
#define VMLAT_PATH_PACKETS_H 1

/* Devices that the daemon knows; the table of packets that are followed. */

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
    struct vmlat_bpf_set *set;
    struct vmlat_bpf_packet *pkt;
    __u64 *tag;
    __u32 index;
};

static __always_inline __u32
set_number(__u64 skb)
{
    return (skb * 0x9e3779b97f4a7c15ull) >> 51;
}

static __always_inline bool
place_at(struct place *p, struct vmlat_bpf_set *set, __u32 number, __u32 way)
{
    p->set = set;
    p->pkt = &set->packets[way];
    p->tag = &set->skbs[way];
    p->index = number * VMLAT_BPF_WAYS + way;
    return true;
}

/* Finds the packet of 'skb'. */
static __always_inline bool
find(struct place *p, __u64 skb)
{
    __u32 number = set_number(skb);
    struct vmlat_bpf_set *set = bpf_map_lookup_elem(&packets, &number);

    if (!set) {
        return false;
    } else if (set->skbs[0] == skb) {
        return place_at(p, set, number, 0);
    } else if (set->skbs[1] == skb) {
        return place_at(p, set, number, 1);
    } else if (set->skbs[2] == skb) {
        return place_at(p, set, number, 2);
    } else if (set->skbs[3] == skb) {
        return place_at(p, set, number, 3);
    }
    return false;
}

/* Finds the packet that 'ref' refers to. */
static __always_inline bool
find_ref(struct place *p, const struct vmlat_bpf_ref *ref)
{
    __u32 number = ref->index / VMLAT_BPF_WAYS;
    struct vmlat_bpf_set *set;

    if (!ref->gen) {
        return false;
    }
    set = bpf_map_lookup_elem(&packets, &number);
    return (set
            && place_at(p, set, number, ref->index % VMLAT_BPF_WAYS)
            && p->pkt->gen == ref->gen);
}

/* Ends a packet.  Returns false if it has been evicted, so that it is not
 * ours to count any more. */
static __always_inline bool
release(struct place *p, __u64 skb)
{
    return replace(p->tag, skb, 0);
}

static __always_inline void
next_gen(struct vmlat_bpf_packet *pkt)
{
    __u32 gen = pkt->gen + 1;

    pkt->gen = gen ? gen : 1;
}

/* Takes way 'way' of 'set' for 'skb', if what is there, 'old', may go. */
static __always_inline bool
take_way(struct vmlat_bpf_cpu *cpu, struct place *p, __u64 skb, __u64 now)
{
    __u64 old = *(volatile __u64 *) p->tag;
    struct vmlat_bpf_packet *pkt = p->pkt;

    if (old == skb) {
        if (!(pkt->flags & (VMLAT_PKT_ENDED | VMLAT_PKT_MOVED))) {
            count_fate(cpu, pkt, VMLAT_F_LOST);
        }
        return true;
    } else if (!old) {
        return replace(p->tag, 0, skb);
    } else if (pkt->flags & VMLAT_PKT_ENDED) {
        return replace(p->tag, old, skb);
    } else if (now - pkt->t[VMLAT_P_RX] > EVICT_AGE) {
        if (replace(p->tag, old, skb)) {
            if (!(pkt->flags & VMLAT_PKT_MOVED)) {
                count_fate(cpu, pkt, VMLAT_F_EVICTED);
            }
            return true;
        }
    }
    return false;
}

/* The unusual case: the set is not empty. */
static __noinline __u32
take_slow(struct vmlat_bpf_cpu *cpu, __u64 skb, __u64 now)
{
    __u32 number = set_number(skb);
    struct vmlat_bpf_set *set = bpf_map_lookup_elem(&packets, &number);
    struct place p;

    if (!cpu || !set) {
        return VMLAT_BPF_WAYS;
    }
    for (__u32 way = 0; way < VMLAT_BPF_WAYS; way++) {
        if (set->skbs[way] == skb) {
            place_at(&p, set, number, way);
            take_way(cpu, &p, skb, now);
            return way;
        }
    }
    for (__u32 way = 0; way < VMLAT_BPF_WAYS; way++) {
        if (!set->skbs[way] && replace(&set->skbs[way], 0, skb)) {
            return way;
        }
    }
    for (__u32 way = 0; way < VMLAT_BPF_WAYS; way++) {
        place_at(&p, set, number, way);
        if (take_way(cpu, &p, skb, now)) {
            return way;
        }
    }
    return VMLAT_BPF_WAYS;
}

/* Finds a place for 'skb'.  Returns false if there is none. */
static __always_inline bool
take(struct vmlat_bpf_cpu *cpu, struct place *p, __u64 skb, __u64 now)
{
    __u32 number = set_number(skb);
    struct vmlat_bpf_set *set = bpf_map_lookup_elem(&packets, &number);
    __u32 way = 0;

    if (!set) {
        return false;
    }
    if (unlikely(set->skbs[0] | set->skbs[1] | set->skbs[2] | set->skbs[3])
        || !replace(&set->skbs[0], 0, skb)) {
        way = take_slow(cpu, skb, now);
        if (way >= VMLAT_BPF_WAYS) {
            return false;
        }
    }
    place_at(p, set, number, way);
    next_gen(p->pkt);
    return true;
}

#endif /* vmlat-path-packets.h */
