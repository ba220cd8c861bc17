/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Copyright (c) 2026 The vmlat authors.
 */

/* Follows packets through the kernel datapath.
 *
 * A packet is known by the address of its skb from where it enters at a port
 * to where it leaves by one, is consumed or dropped; each of these ends it, so
 * that an address that comes back is another packet.  On its way its times are
 * kept in the map 'packets'; at the end they go into the histograms of the CPU
 * that it ends on.
 *
 * Everything that OVS does with a packet runs with bottom halves off, on one
 * CPU, and so do receiving and transmitting: there, plain additions to the
 * CPU's own counters are safe.  Freeing, upcalls and what the handler threads
 * do may be interrupted by these: there, additions are atomic. */

#include "vmlat-kernel-types.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "vmlat-abi.h"

#define likely(X) __builtin_expect(!!(X), 1)
#define unlikely(X) __builtin_expect(!!(X), 0)

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set before loading. */
const volatile __u32 vmlat_block_mask = 63;     /* Blocks per CPU - 1. */
const volatile __u32 vmlat_tc_ingress_reason = VMLAT_REASON_UNKNOWN;

/* A packet that is older may be evicted, in ns. */
#define EVICT_AGE 10000000000ull

/* Shared with the daemon. */
struct vmlat_bpf_dev devs[VMLAT_BPF_DEVS] SEC(".data.devs");
struct vmlat_bpf_config config SEC(".data.config");
struct vmlat_bpf_stats stats SEC(".data.stats");

/* Upcall messages that no handler has read. */
__u64 n_messages;

/* The address of 'config' as a number, set by vmlat_receive(). */
__u64 base;

/* What a packet is known by: the distance of its skb from 'config'.  The
 * verifier allows no arithmetic with the skb's address itself, but the
 * difference of two addresses is a number to it. */
static __always_inline __u64
id_of(const void *skb)
{
    __u64 id = (__u64) (long) skb;

    asm volatile ("%0 -= %1" : "+r" (id) : "r" (&config));
    return id;
}

/* The same where the address is a number: in kprobes, or from a map. */
static __always_inline __u64
id_of_number(__u64 skb)
{
    return skb - base;
}

struct cpu_value {
    struct vmlat_bpf_cpu cpu;
    __u8 unused[VMLAT_BPF_CPU_BLOCKS - sizeof(struct vmlat_bpf_cpu)];
    __u8 blocks[64 * VMLAT_BPF_BLOCK];
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);                     /* Set before loading. */
    __uint(key_size, sizeof(__u32));
    __uint(value_size, sizeof(struct cpu_value)); /* Set before loading. */
} cpus SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, VMLAT_BPF_SETS);
    __type(key, __u32);
    __type(value, struct vmlat_bpf_set);
} packets SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, VMLAT_BPF_SETS * VMLAT_BPF_WAYS);
    __type(key, __u32);
    __type(value, struct vmlat_bpf_details);
} details SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, VMLAT_BPF_UPCALLS);
    __type(key, struct vmlat_bpf_upcall_key);
    __type(value, struct vmlat_bpf_upcall);
} upcalls SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __type(key, __u32);
    __type(value, struct vmlat_bpf_handler);
} handlers SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 4096);
    __type(key, struct vmlat_bpf_drop_key);
    __type(value, __u64);
} drops SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1);                     /* Set before loading. */
    __type(key, struct vmlat_bpf_flow_key);
    __type(value, struct vmlat_bpf_flow);
} flows SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 20);
} events SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_STACK_TRACE);
    __uint(max_entries, VMLAT_BPF_STACKS_MAX);
    __uint(key_size, sizeof(__u32));
    __uint(value_size, VMLAT_BPF_STACK_DEPTH * sizeof(__u64));
} stacks SEC(".maps");

/* Too large for the stack.  Used with preemption off, or by one thread that
 * may be interrupted by such a use: never kept across a helper that could
 * sleep, and never relied upon after an interrupt: see upcall_scratch(). */
struct scratch {
    struct vmlat_bpf_upcall upcall;
    struct vmlat_bpf_flow flow;
    struct vmlat_bpf_handler handler;
};
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 2);                     /* By enum scratch_user. */
    __type(key, __u32);
    __type(value, struct scratch);
} scratches SEC(".maps");

/* Keeps the compiler from knowing what 'X' is, so that it does not take out
 * the mask that the verifier wants to see. */
#define hide(X) asm volatile ("" : "+r" (X))

/* The same for 'X & MASK', where 'X' is known to be below. */
#define bound(X, MASK) asm volatile ("%0 &= %1" : "+r" (X) : "i" (MASK))

/* Counters. */

static __always_inline void
count(__u64 *counter, __u64 n)
{
    *counter += n;
}

static __always_inline void
count_atomic(__u64 *counter, __u64 n)
{
    __sync_fetch_and_add(counter, n);
}

/* Replaces '*p' by 'new' if it is 'old'.  Returns true if it was.  Kernels
 * before 5.12 cannot do so atomically: there two CPUs may both have it. */
static __always_inline bool
replace(__u64 *p, __u64 old, __u64 new)
{
#ifdef VMLAT_OLD
    if (*(volatile __u64 *) p != old) {
        return false;
    }
    *(volatile __u64 *) p = new;
    return true;
#else
    return __sync_val_compare_and_swap(p, old, new) == old;
#endif
}

static __always_inline struct vmlat_bpf_cpu *
this_cpu(void)
{
    __u32 key = bpf_get_smp_processor_id();
    struct cpu_value *value = bpf_map_lookup_elem(&cpus, &key);

    return value ? &value->cpu : NULL;
}

/* Blocks. */

static __always_inline void *
block(struct vmlat_bpf_cpu *cpu, __u32 number)
{
    __u64 offset = number & vmlat_block_mask;

    return (void *) cpu + VMLAT_BPF_CPU_BLOCKS + offset * VMLAT_BPF_BLOCK;
}

/* Makes '*number' the number of a new block.  Returns false if there is none.
 * An interrupt may do the same: the one that is late wastes its block. */
static __noinline bool
new_block(struct vmlat_bpf_cpu *cpu, __u32 *number)
{
    __u32 n;

    if (!cpu || !number) {
        return false;
    }
    if (cpu->n_blocks >= vmlat_block_mask) {
        count_atomic(&cpu->no_block, 1);
        return false;
    }
#ifdef VMLAT_OLD
    n = ++cpu->n_blocks;
    if (!*number) {
        *number = n;
    }
#else
    n = __sync_fetch_and_add(&cpu->n_blocks, 1) + 1;
    __sync_val_compare_and_swap(number, 0, n);
#endif
    return true;
}

static __always_inline struct vmlat_bpf_account *
account(struct vmlat_bpf_cpu *cpu, __u32 port)
{
    __u32 *number = &cpu->accounts[port & (VMLAT_BPF_PORTS - 1)];

    if (unlikely(!*number) && !new_block(cpu, number)) {
        return NULL;
    }
    return block(cpu, *number);
}

/* Fates are added atomically where an interrupt could count the same one. */
static __always_inline void
count_fate(struct vmlat_bpf_cpu *cpu, const struct vmlat_bpf_packet *pkt,
           enum vmlat_bpf_fate fate)
{
    struct vmlat_bpf_account *a = account(cpu, pkt->in);

    if (a) {
        count_atomic(&a->fates[pkt->flags & VMLAT_PKT_COPY][fate], 1);
    }
}

/* Histograms. */

/* Entry i is the shift of values from 64 * i on: see vmlat_histogram_bucket().
 */
#define X2(N) N, N
#define X4(N) X2(N), X2(N)
#define X8(N) X4(N), X4(N)
#define X16(N) X8(N), X8(N)
#define X32(N) X16(N), X16(N)
#define X64(N) X32(N), X32(N)
#define X128(N) X64(N), X64(N)
#define X256(N) X128(N), X128(N)
#define X512(N) X256(N), X256(N)
static const __u8 shifts[1024] = {
    0, 1, X2(2), X4(3), X8(4), X16(5), X32(6), X64(7), X128(8), X256(9),
    X512(10)
};

/* Returns the shift of 'ns', which is below 2^36: see
 * vmlat_histogram_bucket().  Few branches, for the sake of the verifier. */
static __always_inline __u32
shift_of(__u64 ns)
{
    __u32 shift = 0;
    __u64 i = ns >> 6;

    if (unlikely(ns >= 1ull << 26)) {
        shift = 20;
        i = ns >> 26;
    } else if (unlikely(ns >= 1ull << 16)) {
        shift = 10;
        i = ns >> 16;
    }
    hide(i);
    return shift + shifts[i & 1023];
}

/* Adds a sample of 'ns' to the histogram of 'stage'.  Returns false if there
 * is no room for it. */
static __always_inline bool
hist_add(struct vmlat_bpf_cpu *cpu, struct vmlat_bpf_pair *pair, __u32 stage,
         __u64 ns)
{
    struct vmlat_bpf_hist *h;

    if (unlikely(!pair->hists[stage])
        && !new_block(cpu, &pair->hists[stage])) {
        return false;
    }
    h = block(cpu, pair->hists[stage]);

    count(&h->total, ns);
    if (unlikely(ns > h->max)) {
        h->max = ns;
    }
    if (unlikely(~ns > h->not_min)) {
        h->not_min = ~ns;
    }
    if (unlikely(ns >> 36)) {
        count(&h->overflow, 1);
    } else {
        __u32 shift = shift_of(ns);
        __u64 bucket = (shift << 5) + (ns >> shift);
        __u64 i = bucket >> 5;
        __u32 *number;
        __u64 *row;

        hide(i);
        number = &h->rows[i & (VMLAT_BPF_HIST_ROWS - 1)];
        if (unlikely(!*number) && !new_block(cpu, number)) {
            return false;
        }
        row = block(cpu, *number);
        count(&row[bucket & 31], 1);
    }
    return true;
}

static __always_inline void
small_hist_add(struct vmlat_bpf_small_hist *h, __u64 ns, bool atomic)
{
    __u64 bucket = ns;

    if (ns >> VMLAT_BPF_SMALL_MAX_BITS) {
        bucket = VMLAT_BPF_SMALL_BUCKETS - 1;
    } else if (ns >= 64) {
        __u32 shift = shift_of(ns) + 2;

        bucket = (shift << VMLAT_BPF_SMALL_SUB_BITS) + (ns >> shift);
    } else if (ns >= 32) {
        bucket = 16 + (ns >> 2);
    } else if (ns >= 16) {
        bucket = 8 + (ns >> 1);
    }
    hide(bucket);
    if (bucket >= VMLAT_BPF_SMALL_BUCKETS) {
        bucket = VMLAT_BPF_SMALL_BUCKETS - 1;
    }
    if (atomic) {
        count_atomic(&h->total, ns);
        __sync_fetch_and_add(&h->buckets[bucket], 1);
        count_atomic(&h->packets, 1);
    } else {
        count(&h->total, ns);
        h->buckets[bucket]++;
        count(&h->packets, 1);
    }
    if (ns > h->max) {
        h->max = ns;
    }
}

/* Returns the pair of ports 'in' and 'out', NULL if there is no room. */
static __always_inline struct vmlat_bpf_pair *
find_pair(struct vmlat_bpf_cpu *cpu, __u32 in, __u32 out)
{
    __u32 key = out << 16 | in;
    __u32 hash = VMLAT_BPF_PAIR_HASH(key);
    __u64 slot = cpu->pairs[hash];

    if (likely((__u32) slot == key && slot >> 32)) {
        return block(cpu, slot >> 32);
    }
    for (int i = 0; i < VMLAT_BPF_PAIR_PROBES; i++) {
        __u32 j = (hash + i) & (VMLAT_BPF_PAIRS - 1);

        slot = cpu->pairs[j];
        if (!(slot >> 32)) {
            __u32 number = 0;

            if (cpu->n_blocks >= vmlat_block_mask) {
                count_atomic(&cpu->no_block, 1);
                return NULL;
            }
#ifdef VMLAT_OLD
            number = ++cpu->n_blocks;
#else
            number = __sync_fetch_and_add(&cpu->n_blocks, 1) + 1;
#endif
            slot = (__u64) number << 32 | key;
            cpu->pairs[j] = slot;
        }
        if ((__u32) slot == key) {
            return block(cpu, slot >> 32);
        }
    }
    return NULL;
}

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

/* Packet headers. */

/* Returns the address of the Ethernet or, if 'l3', of the network header, as
 * the headers have it. */
static __always_inline const void *
skb_l2(struct sk_buff *skb)
{
    return BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, mac_header);
}

struct parsed {
    struct vmlat_bpf_flow_key key;
    __u32 l3;                       /* Offset of the network header. */
    __u32 l4;                       /* Of what is in it, 0 if it is not there.
                                     */
};

/* Parses 'size' bytes of an Ethernet frame at 'data'.  What cannot be parsed
 * is left 0. */
static __noinline int
parse(struct parsed *r, const void *data, __u32 size)
{
    struct vmlat_bpf_flow_key *key;
    __u16 type;
    __u32 offset = 12;
    __u16 frag = 0;
    __u8 proto;

    if (!r) {
        return 0;
    }
    key = &r->key;
    __builtin_memset(r, 0, sizeof *r);
    for (int i = 0; i < 3; i++) {
        if (offset + 2 > size
            || bpf_probe_read_kernel(&type, sizeof type, data + offset)) {
            return 0;
        }
        type = __builtin_bswap16(type);
        if (type != VMLAT_ETH_P_8021Q && type != VMLAT_ETH_P_8021AD) {
            break;
        }
        offset += 4;
    }
    offset += 2;
    key->ethertype = type;
    r->l3 = offset;

    if (type == VMLAT_ETH_P_IP) {
        struct iphdr ip;

        if (offset + sizeof ip > size
            || bpf_probe_read_kernel(&ip, sizeof ip, data + offset)
            || ip.ihl_version >> 4 != 4 || (ip.ihl_version & 15) < 5) {
            return 0;
        }
        key->src[10] = key->src[11] = key->dst[10] = key->dst[11] = 0xff;
        __builtin_memcpy(&key->src[12], &ip.saddr, 4);
        __builtin_memcpy(&key->dst[12], &ip.daddr, 4);
        frag = __builtin_bswap16(ip.frag_off) & VMLAT_IP_OFFSET;
        proto = ip.protocol;
        offset += (ip.ihl_version & 15) * 4;
    } else if (type == VMLAT_ETH_P_IPV6) {
        struct ipv6hdr ip6;

        if (offset + sizeof ip6 > size
            || bpf_probe_read_kernel(&ip6, sizeof ip6, data + offset)
            || (*(__u8 *) &ip6) >> 4 != 6) {
            return 0;
        }
        __builtin_memcpy(key->src, ip6.saddr, 16);
        __builtin_memcpy(key->dst, ip6.daddr, 16);
        proto = ip6.nexthdr;
        offset += sizeof ip6;
        for (int i = 0; i < 4; i++) {
            __u8 opt[8];

            if (proto != VMLAT_IPPROTO_HOPOPTS
                && proto != VMLAT_IPPROTO_ROUTING
                && proto != VMLAT_IPPROTO_DSTOPTS
                && proto != VMLAT_IPPROTO_FRAGMENT) {
                break;
            }
            if (offset + sizeof opt > size
                || bpf_probe_read_kernel(opt, sizeof opt, data + offset)) {
                key->proto = proto;
                return 0;
            }
            if (proto == VMLAT_IPPROTO_FRAGMENT) {
                frag = (opt[2] << 8 | opt[3]) & 0xfff8;
                offset += 8;
            } else {
                offset += (opt[1] + 1) * 8;
            }
            proto = opt[0];
            if (frag) {
                break;
            }
        }
    } else {
        return 0;
    }
    key->proto = proto;
    if (frag || offset + 8 > size) {
        return 0;
    }
    r->l4 = offset;
    if (proto == VMLAT_IPPROTO_TCP || proto == VMLAT_IPPROTO_UDP
        || proto == 132 /* SCTP */ || proto == 136 /* UDP-Lite */) {
        bpf_probe_read_kernel(&key->sport, 2, data + offset);
        bpf_probe_read_kernel(&key->dport, 2, data + offset + 2);
    } else if (proto == VMLAT_IPPROTO_ICMP || proto == VMLAT_IPPROTO_ICMPV6) {
        bpf_probe_read_kernel(&key->sport, 2, data + offset);
        bpf_probe_read_kernel(&key->dport, 2, data + offset + 4);
        key->sport = __builtin_bswap16(key->sport);
    }
    return 0;
}

/* Parses the linear part of 'skb' from its Ethernet header on. */
static __always_inline void
parse_skb(struct parsed *r, struct sk_buff *skb)
{
    const void *l2 = skb_l2(skb);
    __u64 tail = (__u64) BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, tail);

    parse(r, l2, tail - (__u64) l2);
}

static __noinline bool
filter_admits(struct sk_buff *skb, __u32 l2_in_data)
{
    const struct vmlat_bpf_filter *f = &config.filters[config.filter & 1];
    struct parsed r;
    const __u64 *a, *b, *mask;

    if (l2_in_data) {
        const void *data = BPF_CORE_READ(skb, data);

        parse(&r, data, BPF_CORE_READ(skb, len)
                        - BPF_CORE_READ(skb, data_len));
    } else {
        parse_skb(&r, skb);
    }

    if (f->need_ip && r.key.ethertype != VMLAT_ETH_P_IP
        && r.key.ethertype != VMLAT_ETH_P_IPV6) {
        return false;
    }
    if ((f->ip_version == 4 && r.key.ethertype != VMLAT_ETH_P_IP)
        || (f->ip_version == 6 && r.key.ethertype != VMLAT_ETH_P_IPV6)) {
        return false;
    }
    a = (const __u64 *) r.key.src;
    b = (const __u64 *) f->src;
    mask = (const __u64 *) f->src_mask;
    if (((a[0] ^ b[0]) & mask[0]) | ((a[1] ^ b[1]) & mask[1])) {
        return false;
    }
    a = (const __u64 *) r.key.dst;
    b = (const __u64 *) f->dst;
    mask = (const __u64 *) f->dst_mask;
    if (((a[0] ^ b[0]) & mask[0]) | ((a[1] ^ b[1]) & mask[1])) {
        return false;
    }
    if ((f->sport_mask || f->dport_mask)
        && (!r.l4 || r.key.proto == VMLAT_IPPROTO_ICMP
            || r.key.proto == VMLAT_IPPROTO_ICMPV6)) {
        return false;
    }
    return !(((r.key.proto ^ f->proto) & f->proto_mask)
             | ((r.key.sport ^ f->sport) & f->sport_mask)
             | ((r.key.dport ^ f->dport) & f->dport_mask));
}

/* Returns the number of segments of 'skb', 1 if it is no GSO packet.  A
 * device that hands a guest's packet over does not fill in their number. */
static __noinline __u32
n_segments(struct sk_buff *skb, __u32 l2_in_data)
{
    struct skb_shared_info *shinfo;
    unsigned short gso_size, gso_segs;
    __u32 payload, header;
    const void *l2;
    struct parsed r;

    shinfo = (void *) (BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, end));
    gso_size = BPF_CORE_READ(shinfo, gso_size);
    if (!gso_size) {
        return 1;
    }
    gso_segs = BPF_CORE_READ(shinfo, gso_segs);
    if (gso_segs) {
        return gso_segs;
    }

    l2 = l2_in_data ? BPF_CORE_READ(skb, data) : skb_l2(skb);
    payload = BPF_CORE_READ(skb, len);
    payload += BPF_CORE_READ(skb, data) - (unsigned char *) l2;
    parse(&r, l2, 256);
    if (!r.l4) {
        return 1;
    }
    header = r.l4 + 8;
    if (r.key.proto == VMLAT_IPPROTO_TCP) {
        __u8 doff;

        bpf_probe_read_kernel(&doff, 1, l2 + r.l4 + 12);
        header = r.l4 + (doff >> 4) * 4;
    }
    if (payload <= header) {
        return 1;
    }
    return (payload - header + gso_size - 1) / gso_size;
}

/* Details of points, for events. */

static __always_inline void
note(void *ctx, __u32 index, enum vmlat_bpf_point point, __u32 ifindex,
     __u16 queue)
{
    if (config.active & VMLAT_BPF_EVENTS) {
        struct vmlat_bpf_details *d = bpf_map_lookup_elem(&details, &index);

        if (d) {
            struct vmlat_bpf_detail *at = &d->points[point];

            at->ifindex = ifindex;
            at->tid = bpf_get_current_pid_tgid();
            at->cpu = bpf_get_smp_processor_id();
            at->queue = queue;
            at->stack = -1;
            if (unlikely(config.active & VMLAT_BPF_STACKS)) {
                at->stack = bpf_get_stackid(ctx, &stacks,
                                            BPF_F_FAST_STACK_CMP);
            }
        }
    }
}

/* Reports a packet. */
static __noinline int
report(struct sk_buff *skb, const struct vmlat_bpf_packet *pkt, __u32 index)
{
    struct vmlat_bpf_details *d = bpf_map_lookup_elem(&details, &index);
    struct vmlat_bpf_event *event;
    const void *l2;
    __u64 size;

    if (!d || !pkt) {
        return 0;
    }
    event = bpf_ringbuf_reserve(&events, sizeof *event, 0);
    if (!event) {
        count_atomic(&stats.events_lost, 1);
        return 0;
    }
    event->packet = *pkt;
    event->details = *d;
    if (!(pkt->flags & VMLAT_PKT_UPCALL)) {
        event->packet.t[VMLAT_P_UPCALL] = 0;
        event->packet.t[VMLAT_P_HANDLER] = 0;
        event->packet.t[VMLAT_P_EXECUTE] = 0;
    }
    event->packet.t[VMLAT_P_OUTER] = 0;

    l2 = skb_l2(skb);
    event->length = BPF_CORE_READ(skb, len);
    event->length += BPF_CORE_READ(skb, data) - (unsigned char *) l2;
    size = (__u64) BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, tail)
           - (__u64) l2;
    hide(size);
    if (size > VMLAT_BPF_EVENT_BYTES) {
        size = VMLAT_BPF_EVENT_BYTES;
    }
    event->size = (size && !bpf_probe_read_kernel(event->bytes, size, l2)
                   ? size : 0);
    bpf_ringbuf_submit(event, 0);
    return 0;
}

enum scratch_user { SCRATCH_FLOW, SCRATCH_UPCALL };

/* Adds a packet to its flow's. */
static __noinline int
count_flow(struct sk_buff *skb, const struct vmlat_bpf_packet *pkt, __u64 ns)
{
    struct vmlat_bpf_flow *flow;
    struct parsed r;

    if (!pkt) {
        return 0;
    }
    parse_skb(&r, skb);
    r.key.in = pkt->in;
    r.key.out = pkt->out;
    flow = bpf_map_lookup_elem(&flows, &r.key);
    if (!flow) {
        __u32 zero = SCRATCH_FLOW;
        struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);

        if (!s) {
            return 0;
        }
        /* The scratch flow is never written to: it is all 0. */
        bpf_map_update_elem(&flows, &r.key, &s->flow, BPF_NOEXIST);
        flow = bpf_map_lookup_elem(&flows, &r.key);
        if (!flow) {
            count_atomic(&stats.flows_left_out, 1);
            return 0;
        }
    }
    count_atomic(&flow->bytes, BPF_CORE_READ(skb, len)
                               + BPF_CORE_READ(skb, data)
                               - (unsigned char *) skb_l2(skb));
    small_hist_add(&flow->hist, ns, true);
    return 0;
}

/* Counts a packet that was freed. */
static __noinline int
count_drop(const struct vmlat_bpf_packet *pkt, __u64 location, __u32 reason)
{
    struct vmlat_bpf_drop_key key = { .location = location, .reason = reason };
    __u64 one = 1, *n;

    if (!pkt) {
        return 0;
    }
    key.in = pkt->in;
    key.out = pkt->out;
    key.last = pkt->last;
    key.ended = (pkt->flags & VMLAT_PKT_ENDED) != 0;
    n = bpf_map_lookup_elem(&drops, &key);
    if (n) {
        count_atomic(n, 1);
    } else if (bpf_map_update_elem(&drops, &key, &one, BPF_NOEXIST)) {
        n = bpf_map_lookup_elem(&drops, &key);
        if (n) {
            count_atomic(n, 1);
        } else {
            count_atomic(&stats.drops_left_out, 1);
        }
    }
    return 0;
}

/* Entering. */

/* A packet enters at 'port', 'now'.  Following it begins when OVS does. */
static __always_inline void
enter(void *ctx, struct vmlat_bpf_cpu *cpu, struct sk_buff *skb,
      __u32 port, __u32 ifindex, __u64 now, bool l2_in_data)
{
    __u32 active = config.active, segments = 1;
    struct vmlat_bpf_account *a;

    if (unlikely(!(active & VMLAT_BPF_RX))) {
        return;
    }
    a = account(cpu, port);
    if (unlikely(!a)) {
        return;
    }
    count(&a->entered[0], 1);
    if (unlikely(active & VMLAT_BPF_FILTER)
        && !filter_admits(skb, l2_in_data)) {
        count(&a->fates[0][VMLAT_F_FILTERED], 1);
        return;
    }
    if (unlikely(skb->len > 1518)) {
        segments = n_segments(skb, l2_in_data);
    }
    cpu->rx_head = (__u64) (long) skb->head;
    cpu->rx_ns = now;
    cpu->rx_port = port;
    cpu->rx_segments = segments;
    cpu->rx_ifindex = ifindex;
    if (unlikely(active & VMLAT_BPF_STACKS)) {
        cpu->rx_stack = bpf_get_stackid(ctx, &stacks, BPF_F_FAST_STACK_CMP);
    }
    cpu->rx_state = VMLAT_RX_PORT;
}

/* Forgets a packet that entered on this CPU and that OVS did not begin with:
 * it has 'fate'. */
static __noinline int
end_entered(struct vmlat_bpf_cpu *cpu, __u32 fate, __u64 location,
            __u32 reason)
{
    struct vmlat_bpf_packet pkt = { .in = 0 };

    if (!cpu) {
        return 0;
    }
    if (cpu->rx_state == VMLAT_RX_PORT) {
        pkt.in = cpu->rx_port;
        pkt.last = VMLAT_P_RX;
        if (fate == VMLAT_F_LOST) {
            count_fate(cpu, &pkt, VMLAT_F_LOST);
        } else if (reason == vmlat_tc_ingress_reason) {
            count_fate(cpu, &pkt, VMLAT_F_POLICED);
            count_drop(&pkt, location, reason);
        } else {
            count_fate(cpu, &pkt, VMLAT_F_DROPPED);
            count_drop(&pkt, location, reason);
        }
    }
    cpu->rx_state = VMLAT_RX_NONE;
    return 0;
}

/* 'skb' is another packet than the one that entered last on this CPU. */
static __always_inline void
enter_next(struct vmlat_bpf_cpu *cpu, struct sk_buff *skb)
{
    if (unlikely(cpu->rx_state)) {
        end_entered(cpu, VMLAT_F_LOST, 0, 0);
    }
    cpu->rx_skb = (__u64) (long) skb;
    cpu->tx_skb = 0;
}

/* Leaving. */

static __always_inline __u64
stage_ns(const struct vmlat_bpf_packet *pkt, enum vmlat_bpf_point from,
         enum vmlat_bpf_point to)
{
    return pkt->t[to] - pkt->t[from];
}

/* Adds the stages of a packet that took an upcall. */
static __noinline int
finish_upcall(struct vmlat_bpf_cpu *cpu, struct vmlat_bpf_pair *pair,
              const struct vmlat_bpf_packet *pkt)
{
    if (!cpu || !pair || !pkt) {
        return 0;
    }
    if (pkt->t[VMLAT_P_OVS] && pkt->t[VMLAT_P_UPCALL]
        && pkt->t[VMLAT_P_HANDLER] && pkt->t[VMLAT_P_EXECUTE]
        && pkt->t[VMLAT_P_SEND]) {
        hist_add(cpu, pair, VMLAT_S_OVS_TO_UPCALL,
                 stage_ns(pkt, VMLAT_P_OVS, VMLAT_P_UPCALL));
        hist_add(cpu, pair, VMLAT_S_UPCALL_HANDLER,
                 stage_ns(pkt, VMLAT_P_UPCALL, VMLAT_P_HANDLER));
        hist_add(cpu, pair, VMLAT_S_HANDLER_EXECUTE,
                 stage_ns(pkt, VMLAT_P_HANDLER, VMLAT_P_EXECUTE));
        hist_add(cpu, pair, VMLAT_S_EXECUTE_SEND,
                 stage_ns(pkt, VMLAT_P_EXECUTE, VMLAT_P_SEND));
    } else {
        count(&pair->stage_missed, 1);
    }
    if (pkt->install_ns) {
        hist_add(cpu, pair, VMLAT_S_INSTALL, pkt->install_ns);
    }
    return 0;
}

static __noinline int
finish_conntrack(struct vmlat_bpf_cpu *cpu, struct vmlat_bpf_pair *pair,
                 const struct vmlat_bpf_packet *pkt)
{
    if (cpu && pair && pkt) {
        count(&pair->ct_passes, pkt->ct_passes);
        hist_add(cpu, pair, VMLAT_S_CONNTRACK, pkt->ct_ns);
    }
    return 0;
}

/* A packet is at its end, at pkt->out: adds it to the histograms.  The caller
 * releases it. */
static __always_inline void
finish(struct vmlat_bpf_cpu *cpu, struct vmlat_bpf_packet *pkt, __u32 index,
       struct sk_buff *skb)
{
    struct vmlat_bpf_account *a = account(cpu, pkt->in);
    __u32 copy = pkt->flags & VMLAT_PKT_COPY;
    struct vmlat_bpf_pair *pair;
    __u64 ns;

    if (unlikely(!a)) {
        return;
    }
    if (unlikely(pkt->flags & VMLAT_PKT_MADE)) {
        count(&a->fates[copy][VMLAT_F_MADE_BY_OVS], 1);
        return;
    }
    pair = find_pair(cpu, pkt->in, pkt->out);
    ns = stage_ns(pkt, VMLAT_P_RX, VMLAT_P_TX);
    if (unlikely(!pair)
        || !hist_add(cpu, pair, (pkt->flags & VMLAT_PKT_UPCALL
                                 ? VMLAT_S_TOTAL_UPCALL : VMLAT_S_TOTAL),
                     ns)) {
        count(&a->fates[copy][VMLAT_F_NO_ROOM], 1);
        return;
    }
    count(&a->fates[copy][VMLAT_F_MEASURED], 1);
    count(&pair->packets, 1);
    count(&pair->segments, pkt->segments);
    count(&pair->passes, pkt->passes);

    if (likely(pkt->t[VMLAT_P_OVS])) {
        hist_add(cpu, pair, VMLAT_S_RX_OVS,
                 stage_ns(pkt, VMLAT_P_RX, VMLAT_P_OVS));
    }
    if (unlikely(pkt->flags & VMLAT_PKT_UPCALL)) {
        finish_upcall(cpu, pair, pkt);
    } else if (likely(pkt->t[VMLAT_P_OVS] && pkt->t[VMLAT_P_SEND])) {
        hist_add(cpu, pair, VMLAT_S_OVS_SEND,
                 stage_ns(pkt, VMLAT_P_OVS, VMLAT_P_SEND));
    } else {
        count(&pair->stage_missed, 1);
    }
    if (likely(pkt->t[VMLAT_P_QDISC])) {
        if (likely(pkt->t[VMLAT_P_SEND])) {
            hist_add(cpu, pair, VMLAT_S_SEND_QDISC,
                     stage_ns(pkt, VMLAT_P_SEND, VMLAT_P_QDISC));
        }
        hist_add(cpu, pair, VMLAT_S_QDISC_TX,
                 stage_ns(pkt, VMLAT_P_QDISC, VMLAT_P_TX));
    } else if (pkt->t[VMLAT_P_SEND]) {
        hist_add(cpu, pair, VMLAT_S_SEND_TX,
                 stage_ns(pkt, VMLAT_P_SEND, VMLAT_P_TX));
    }
    if (unlikely(pkt->ct_passes)) {
        finish_conntrack(cpu, pair, pkt);
    }
    if (unlikely(config.active & (VMLAT_BPF_EVENTS | VMLAT_BPF_FLOWS))) {
        if (config.active & VMLAT_BPF_EVENTS && ns >= config.min_ns) {
            report(skb, pkt, index);
        }
        if (config.active & VMLAT_BPF_FLOWS) {
            count_flow(skb, pkt, ns);
        }
    }
}

/* The same for what is not the common case. */
static __noinline int
finish_rare(struct vmlat_bpf_cpu *cpu, struct vmlat_bpf_packet *pkt,
            __u32 index, struct sk_buff *skb)
{
    if (cpu && pkt) {
        finish(cpu, pkt, index, skb);
    }
    return 0;
}

/* A packet that left by a tunnel has reached a NIC. */
static __noinline int
finish_outer(struct vmlat_bpf_cpu *cpu, const struct vmlat_bpf_packet *pkt)
{
    struct vmlat_bpf_pair *pair;

    if (!cpu || !pkt) {
        return 0;
    }
    pair = find_pair(cpu, pkt->in, pkt->out);
    if (pair) {
        hist_add(cpu, pair, VMLAT_S_TX_OUTER,
                 bpf_ktime_get_ns() - pkt->t[VMLAT_P_TX]);
    }
    return 0;
}

/* Points. */

SEC("tp_btf/netif_receive_skb")
int BPF_PROG(vmlat_receive, struct sk_buff *skb)
{
    struct vmlat_bpf_cpu *cpu = this_cpu();
    struct vmlat_bpf_dev *e;
    struct net_device *dev;
    struct place p;
    __u32 ifindex;

    if (!cpu) {
        return 0;
    }
    base = (__u64) (long) &config;
    enter_next(cpu, skb);
    dev = skb->dev;
    ifindex = dev->ifindex;
    e = find_dev(dev, ifindex);
    if (!e) {
        return 0;
    }

    if (unlikely(e->flags & VMLAT_DEV_INTERNAL)) {
        /* The end of a packet to the host.  It is followed further, for the
         * host may drop it. */
        if (find(&p, id_of(skb))
            && !(p.pkt->flags & VMLAT_PKT_ENDED) && p.pkt->t[VMLAT_P_OVS]) {
            p.pkt->t[VMLAT_P_TX] = bpf_ktime_get_ns();
            p.pkt->out = e->slot;
            p.pkt->last = VMLAT_P_TX;
            note(ctx, p.index, VMLAT_P_TX, ifindex, 0);
            finish_rare(cpu, p.pkt, p.index, skb);
            p.pkt->flags |= VMLAT_PKT_ENDED;
        }
    } else if (likely(e->flags & VMLAT_DEV_PORT)) {
        enter(ctx, cpu, skb, e->slot, ifindex, bpf_ktime_get_ns(), false);
    } else if (e->flags & VMLAT_DEV_LOWER) {
        cpu->rx_head = (__u64) (long) skb->head;
        cpu->rx_ns = bpf_ktime_get_ns();
        cpu->rx_state = VMLAT_RX_LOWER;
    }
    return 0;
}

/* Makes 'skb', which OVS has to do with but which is not known, a copy of the
 * packet that OVS is busy with. */
static __noinline bool
adopt(struct vmlat_bpf_cpu *cpu, struct sk_buff *skb, __u64 id)
{
    __u32 tid = bpf_get_current_pid_tgid();
    struct vmlat_bpf_handler *handler;
    struct vmlat_bpf_account *a;
    struct place parent, p;
    struct sk_buff *other;
    bool found;

    if (!cpu) {
        return false;
    }

    /* A packet that the present pass began with is the parent: that it is
     * still in OVS, or that the data are the same, says that the pass is the
     * present one.  Otherwise it may be one that a thread has sent back. */
    found = find_ref(&parent, &cpu->ovs_ref);
    if (found && (*parent.tag != id_of_number(cpu->ovs_skb)
                  || parent.pkt->last != VMLAT_P_OVS)) {
        other = (void *) (long) cpu->ovs_skb;
        if (BPF_CORE_READ(other, head) != BPF_CORE_READ(skb, head)) {
            handler = bpf_map_lookup_elem(&handlers, &tid);
            if (handler && handler->exec_ref.gen) {
                found = find_ref(&parent, &handler->exec_ref);
            }
        }
    } else if (!found) {
        handler = bpf_map_lookup_elem(&handlers, &tid);
        if (handler && handler->exec_ref.gen) {
            found = find_ref(&parent, &handler->exec_ref);
        }
    }
    if (!found) {
        return false;
    }

    a = account(cpu, parent.pkt->in);
    if (!a) {
        return false;
    }
    count_atomic(&a->entered[1], 1);
    if (!take(cpu, &p, id, bpf_ktime_get_ns())) {
        count_atomic(&a->fates[1][VMLAT_F_TABLE_FULL], 1);
        return false;
    }
    if (p.pkt != parent.pkt) {
        __u32 gen = p.pkt->gen;

        *p.pkt = *parent.pkt;
        p.pkt->gen = gen;
        parent.pkt->flags |= VMLAT_PKT_COPIED;
    }
    p.pkt->flags &= VMLAT_PKT_UPCALL | VMLAT_PKT_MADE;
    p.pkt->flags |= VMLAT_PKT_COPY;
    p.pkt->out = 0;
    p.pkt->t[VMLAT_P_SEND] = 0;
    p.pkt->t[VMLAT_P_QDISC] = 0;
    if (config.active & VMLAT_BPF_EVENTS) {
        struct vmlat_bpf_details *from, *to;

        from = bpf_map_lookup_elem(&details, &parent.index);
        to = bpf_map_lookup_elem(&details, &p.index);
        if (from && to) {
            *to = *from;
        }
    }
    return true;
}

/* OVS begins with a packet that came from a device below the port's. */
static __noinline int
enter_from_lower(struct vmlat_bpf_cpu *cpu, struct sk_buff *skb)
{
    struct vmlat_bpf_account *a;
    struct vmlat_bpf_dev *e;
    struct net_device *dev;
    __u32 ifindex;

    if (!cpu) {
        return 0;
    }
    cpu->rx_state = VMLAT_RX_NONE;
    dev = BPF_CORE_READ(skb, dev);
    ifindex = BPF_CORE_READ(dev, ifindex);
    e = find_dev(dev, ifindex);
    if (!e || !(e->flags & VMLAT_DEV_PORT)
        || !(config.active & VMLAT_BPF_RX)) {
        return 0;
    }
    a = account(cpu, e->slot);
    if (!a) {
        return 0;
    }
    count(&a->entered[0], 1);
    if (config.active & VMLAT_BPF_FILTER && !filter_admits(skb, true)) {
        count(&a->fates[0][VMLAT_F_FILTERED], 1);
        return 0;
    }
    cpu->rx_segments = 1;
    if (BPF_CORE_READ(skb, len) > 1518) {
        cpu->rx_segments = n_segments(skb, true);
    }
    cpu->rx_port = e->slot;
    cpu->rx_ifindex = ifindex;
    cpu->rx_stack = -1;
    cpu->rx_state = VMLAT_RX_PORT;
    return 0;
}

/* OVS begins with the packet that entered last on this CPU, or with a clone of
 * it, the original of which is not followed. */
static __always_inline bool
begin(void *ctx, struct vmlat_bpf_cpu *cpu, struct place *p, __u64 id)
{
    struct vmlat_bpf_packet *pkt;

    cpu->rx_state = VMLAT_RX_NONE;
    if (unlikely(!take(cpu, p, id, cpu->rx_ns))) {
        struct vmlat_bpf_account *a = account(cpu, cpu->rx_port);

        if (a) {
            count(&a->fates[0][VMLAT_F_TABLE_FULL], 1);
        }
        return false;
    }

    pkt = p->pkt;
    pkt->t[VMLAT_P_RX] = cpu->rx_ns;
    pkt->t[VMLAT_P_SEND] = 0;
    pkt->t[VMLAT_P_QDISC] = 0;
    pkt->in = cpu->rx_port;
    pkt->out = 0;
    pkt->flags = 0;
    pkt->ct_passes = 0;
    pkt->segments = cpu->rx_segments;
    pkt->ct_ns = 0;
    pkt->install_ns = 0;
    if (config.active & VMLAT_BPF_EVENTS) {
        struct vmlat_bpf_details *d;

        note(ctx, p->index, VMLAT_P_RX, cpu->rx_ifindex, 0);
        d = bpf_map_lookup_elem(&details, &p->index);
        if (d && config.active & VMLAT_BPF_STACKS) {
            d->points[VMLAT_P_RX].stack = cpu->rx_stack;
        }
    }
    return true;
}

/* 'head' is skb->head. */
static __always_inline int
on_ovs(void *ctx, struct sk_buff *skb, __u64 id, __u64 head)
{
    struct vmlat_bpf_cpu *cpu = this_cpu();
    struct vmlat_bpf_packet *pkt;
    struct place p;

    if (!cpu) {
        return 0;
    }
    cpu->ovs_skb = (__u64) (long) skb;
    if (unlikely(cpu->rx_state == VMLAT_RX_LOWER) && cpu->rx_head == head) {
        enter_from_lower(cpu, skb);
    }
    if (likely(cpu->rx_state == VMLAT_RX_PORT && cpu->rx_head == head)) {
        if (unlikely(!begin(ctx, cpu, &p, id))) {
            cpu->ovs_ref.gen = 0;
            return 0;
        }
        pkt = p.pkt;
        pkt->t[VMLAT_P_OVS] = bpf_ktime_get_ns();
        pkt->passes = 1;
        note(ctx, p.index, VMLAT_P_OVS, 0, 0);
    } else if (find(&p, id)
               || (cpu->rx_skb != (__u64) (long) skb && adopt(cpu, skb, id)
                   && find(&p, id))) {
        /* Comes round again: by recirculation, or a copy that does so. */
        pkt = p.pkt;
        pkt->passes++;
    } else {
        cpu->ovs_ref.gen = 0;
        return 0;
    }
    pkt->last = VMLAT_P_OVS;
    cpu->ovs_ref.index = p.index;
    cpu->ovs_ref.gen = pkt->gen;
    return 0;
}

static __noinline int
count_handler_execute(const struct vmlat_bpf_packet *pkt, __u64 now)
{
    __u32 tid = bpf_get_current_pid_tgid();
    struct vmlat_bpf_handler *handler = bpf_map_lookup_elem(&handlers, &tid);

    if (handler && pkt) {
        small_hist_add(&handler->execute, now - pkt->t[VMLAT_P_EXECUTE],
                       false);
    }
    return 0;
}

static __always_inline int
on_send(void *ctx, struct sk_buff *skb, __u64 id)
{
    struct place p;
    __u64 now;

    if (unlikely(!find(&p, id))) {
        struct vmlat_bpf_cpu *cpu = this_cpu();

        if (!cpu || !adopt(cpu, skb, id) || !find(&p, id)) {
            return 0;
        }
    }
    now = bpf_ktime_get_ns();
    if (unlikely(p.pkt->last == VMLAT_P_EXECUTE)
        && p.pkt->flags & VMLAT_PKT_UPCALL) {
        count_handler_execute(p.pkt, now);
    }
    p.pkt->t[VMLAT_P_SEND] = now;
    p.pkt->last = VMLAT_P_SEND;
    note(ctx, p.index, VMLAT_P_SEND, 0, 0);
    return 0;
}

static __always_inline int
on_queue(void *ctx, struct sk_buff *skb)
{
    struct place p;

    if (find(&p, id_of(skb)) && p.pkt->last < VMLAT_P_QDISC
        && p.pkt->t[VMLAT_P_OVS]) {
        p.pkt->t[VMLAT_P_QDISC] = bpf_ktime_get_ns();
        p.pkt->last = VMLAT_P_QDISC;
        if (config.active & VMLAT_BPF_EVENTS) {
            note(ctx, p.index, VMLAT_P_QDISC, skb->dev->ifindex,
                 skb->queue_mapping);
        }
    }
    return 0;
}

/* A queueing discipline has taken a packet: not so where there is none, or
 * where it was empty and let the packet pass. */
SEC("tp_btf/qdisc_enqueue")
int BPF_PROG(vmlat_enqueue, void *qdisc, void *queue, struct sk_buff *skb)
{
    return on_queue(ctx, skb);
}

/* For kernels before 5.14, which do not tell so. */
SEC("tp_btf/net_dev_queue")
int BPF_PROG(vmlat_queue, struct sk_buff *skb)
{
    return on_queue(ctx, skb);
}

/* The host sends 'skb' by an internal port. */
static __noinline int
enter_internal(void *ctx, struct sk_buff *skb, __u32 port, __u32 ifindex)
{
    struct vmlat_bpf_cpu *cpu = this_cpu();

    if (cpu) {
        enter_next(cpu, skb);
        enter(ctx, cpu, skb, port, ifindex, bpf_ktime_get_ns(), true);
    }
    return 0;
}

SEC("tp_btf/net_dev_start_xmit")
int BPF_PROG(vmlat_xmit, struct sk_buff *skb, struct net_device *dev)
{
    __u64 id = id_of(skb);
    __u32 ifindex = dev->ifindex;
    struct vmlat_bpf_dev *e = find_dev(dev, ifindex);
    __u32 flags = e ? e->flags : 0;
    struct vmlat_bpf_packet *pkt;
    struct vmlat_bpf_cpu *cpu;
    struct place p;

    if (!find(&p, id)) {
        if (unlikely(flags & VMLAT_DEV_INTERNAL)) {
            enter_internal(ctx, skb, e ? e->slot : 0, ifindex);
        }
        return 0;
    }
    cpu = this_cpu();
    if (!cpu) {
        return 0;
    }
    pkt = p.pkt;
    if (unlikely(flags & VMLAT_DEV_INTERNAL)) {
        if (pkt->flags & VMLAT_PKT_TUNNEL) {
            finish_outer(cpu, pkt);
        }
        if (!(pkt->flags & (VMLAT_PKT_ENDED | VMLAT_PKT_MOVED))) {
            count_fate(cpu, pkt, VMLAT_F_LOST);
        }
        release(&p, id);
        enter_internal(ctx, skb, e ? e->slot : 0, ifindex);
        return 0;
    }

    if (unlikely(pkt->flags & VMLAT_PKT_ENDED)) {
        if (!(flags & (VMLAT_DEV_THROUGH | VMLAT_DEV_TUNNEL))) {
            if (pkt->flags & VMLAT_PKT_TUNNEL) {
                finish_outer(cpu, pkt);
            }
            release(&p, id);
        }
        return 0;
    }
    if (likely(e && flags & VMLAT_DEV_PORT && !pkt->out)) {
        pkt->out = e->slot;
    }
    if (unlikely(flags & VMLAT_DEV_THROUGH)) {
        return 0;
    }

    pkt->t[VMLAT_P_TX] = bpf_ktime_get_ns();
    pkt->last = VMLAT_P_TX;
    if (config.active & VMLAT_BPF_EVENTS) {
        note(ctx, p.index, VMLAT_P_TX, ifindex, skb->queue_mapping);
    }
    if (unlikely(flags & VMLAT_DEV_TUNNEL)) {
        finish_rare(cpu, pkt, p.index, skb);
        pkt->flags |= VMLAT_PKT_ENDED | VMLAT_PKT_TUNNEL;
        return 0;
    }
    if (unlikely(!release(&p, id))) {
        return 0;
    }
    if (likely(pkt->out && pkt->t[VMLAT_P_OVS])) {
        finish(cpu, pkt, p.index, skb);
    } else {
        count_fate(cpu, pkt, VMLAT_F_UNHOOKED);
    }
    cpu->tx_skb = (__u64) (long) skb;
    cpu->tx_in = pkt->in;
    cpu->tx_out = pkt->out;
    return 0;
}

/* Ends. */

/* A message with an upcall was freed: if by a handler that has read it, the
 * packet goes on there. */
static __noinline int
message_freed(__u64 message, __u32 read, __u32 active)
{
    struct vmlat_bpf_upcall_key key = { .id = message };
    struct vmlat_bpf_upcall *u = bpf_map_lookup_elem(&upcalls, &key);
    __u32 tid = bpf_get_current_pid_tgid();
    struct vmlat_bpf_handler *handler;
    struct vmlat_bpf_cpu *cpu;
    __u64 now;

    if (!u) {
        return 0;
    }
    count_atomic(&n_messages, -1);
    cpu = this_cpu();
    if (!cpu) {
        return 0;
    }
    if (!read) {
        count_fate(cpu, &u->packet, VMLAT_F_UPCALL_FULL);
        bpf_map_delete_elem(&upcalls, &key);
        return 0;
    }

    now = bpf_ktime_get_ns();
    u->packet.t[VMLAT_P_HANDLER] = now;
    u->packet.last = VMLAT_P_HANDLER;
    bpf_get_current_comm(u->details.comm, sizeof u->details.comm);
    u->details.points[VMLAT_P_HANDLER].tid = tid;
    u->details.points[VMLAT_P_HANDLER].cpu = bpf_get_smp_processor_id();
    u->details.points[VMLAT_P_HANDLER].stack = -1;

    handler = bpf_map_lookup_elem(&handlers, &tid);
    if (!handler) {
        __u32 zero = SCRATCH_FLOW;
        struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);

        if (s) {
            bpf_map_update_elem(&handlers, &tid, &s->handler, BPF_NOEXIST);
            handler = bpf_map_lookup_elem(&handlers, &tid);
        }
    }
    if (handler) {
        bpf_get_current_comm(handler->comm, sizeof handler->comm);
        handler->received++;
        small_hist_add(&handler->queue, now - u->packet.t[VMLAT_P_UPCALL],
                       false);
    }

    struct vmlat_bpf_upcall_key new = { .id = u->content, .tid = tid };
    for (__u32 n = 0; n < VMLAT_BPF_SAME_CONTENT; n++) {
        new.n = n;
        if (!bpf_map_update_elem(&upcalls, &new, u, BPF_NOEXIST)) {
            bpf_map_delete_elem(&upcalls, &key);
            return 0;
        }
    }
    count_atomic(&stats.upcalls_left_out, 1);
    count_fate(cpu, &u->packet, VMLAT_F_TABLE_FULL);
    bpf_map_delete_elem(&upcalls, &key);
    return 0;
}

/* A known packet was freed. */
static __noinline int
packet_freed(struct sk_buff *skb, __u64 id, __u64 location, __u32 reason)
{
    struct vmlat_bpf_packet *pkt;
    struct vmlat_bpf_cpu *cpu;
    enum vmlat_bpf_fate fate;
    struct place p;

    cpu = this_cpu();
    if (!cpu || !find(&p, id)) {
        return 0;
    }
    pkt = p.pkt;
    if (pkt->flags & VMLAT_PKT_ENDED) {
        if (reason != VMLAT_REASON_CONSUMED) {
            count_drop(pkt, location, reason);
        }
        if (pkt->flags & VMLAT_PKT_TUNNEL) {
            count_atomic(&stats.outer_lost, 1);
        }
        release(&p, id);
        return 0;
    }
    if (pkt->flags & VMLAT_PKT_MOVED) {
        if (reason != VMLAT_REASON_CONSUMED) {
            count_drop(pkt, location, reason);
        }
        release(&p, id);
        return 0;
    }
    if (reason == VMLAT_REASON_CONSUMED && pkt->last == VMLAT_P_QDISC
        && pkt->segments > 1 && pkt->t[VMLAT_P_OVS]) {
        /* Cut into segments, which go to the driver at once. */
        struct net_device *dev = BPF_CORE_READ(skb, dev);
        __u32 ifindex = BPF_CORE_READ(dev, ifindex);
        struct vmlat_bpf_dev *e = find_dev(dev, ifindex);

        if (!pkt->out && e && e->flags & VMLAT_DEV_PORT) {
            pkt->out = e->slot;
        }
        if (pkt->out) {
            pkt->t[VMLAT_P_TX] = bpf_ktime_get_ns();
            pkt->last = VMLAT_P_TX;
            if (release(&p, id)) {
                finish_rare(cpu, pkt, p.index, skb);
            }
            return 0;
        }
    }
    if (pkt->last >= VMLAT_P_SEND) {
        fate = VMLAT_F_TX_DROPPED;
    } else if (pkt->flags & VMLAT_PKT_COPIED) {
        fate = VMLAT_F_COPIED;
    } else if (reason == vmlat_tc_ingress_reason
               && pkt->last == VMLAT_P_RX) {
        fate = VMLAT_F_POLICED;
    } else {
        fate = VMLAT_F_DROPPED;
    }
    if (release(&p, id)) {
        count_fate(cpu, pkt, fate);
        if (fate != VMLAT_F_COPIED) {
            count_drop(pkt, location, reason);
        }
    }
    return 0;
}

static __always_inline int
on_free(struct sk_buff *skb, __u64 location, __u32 reason)
{
    __u64 id = id_of(skb);
    struct vmlat_bpf_cpu *cpu;
    struct place p;

    if (unlikely(find(&p, id))) {
        return packet_freed(skb, id, location, reason);
    }
    cpu = this_cpu();
    if (cpu && unlikely(cpu->rx_state)
        && cpu->rx_skb == (__u64) (long) skb) {
        end_entered(cpu, VMLAT_F_DROPPED, location, reason);
    } else if (reason != VMLAT_REASON_CONSUMED) {
        if (cpu && unlikely(cpu->tx_skb == (__u64) (long) skb)) {
            /* By the driver that was given it. */
            struct vmlat_bpf_packet pkt = {
                .in = cpu->tx_in, .out = cpu->tx_out, .last = VMLAT_P_TX,
                .flags = VMLAT_PKT_ENDED,
            };

            cpu->tx_skb = 0;
            count_drop(&pkt, location, reason);
        }
    }
    if (unlikely(n_messages)) {
        message_freed(id, reason == VMLAT_REASON_CONSUMED, 0);
    }
    return 0;
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(vmlat_kfree, struct sk_buff *skb, void *location, __u32 reason)
{
    return on_free(skb, (__u64) (long) location, reason);
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(vmlat_kfree_no_reason, struct sk_buff *skb, void *location)
{
    return on_free(skb, (__u64) (long) location, VMLAT_REASON_UNKNOWN);
}

SEC("tp_btf/consume_skb")
int BPF_PROG(vmlat_consume, struct sk_buff *skb)
{
    return on_free(skb, 0, VMLAT_REASON_CONSUMED);
}

/* Upcalls. */

static __always_inline int
on_upcall(void *ctx, struct sk_buff *skb, __u64 id)
{
    struct vmlat_bpf_cpu *cpu = this_cpu();
    struct place p;

    if (!cpu) {
        return 0;
    }
    cpu->upcall_skb = 0;
    if (find(&p, id)
        && !(p.pkt->flags & (VMLAT_PKT_ENDED | VMLAT_PKT_MADE))) {
        p.pkt->t[VMLAT_P_UPCALL] = bpf_ktime_get_ns();
        p.pkt->last = VMLAT_P_UPCALL;
        note(ctx, p.index, VMLAT_P_UPCALL, 0, 0);
        cpu->upcall_skb = (__u64) (long) skb;
        cpu->upcall_n = 0;
        cpu->upcall_ref.index = p.index;
        cpu->upcall_ref.gen = p.pkt->gen;
    }
    return 0;
}

/* Returns a hash of what an Ethernet frame at 'data' holds: enough of it to
 * tell packets apart, from the network header on, since OVS may move a VLAN
 * tag between the skb and the frame.  0 if there are not enough bytes in
 * 'linear'. */
static __noinline __u64
content(const void *data, __u32 linear, __u32 size)
{
    __u64 hash = 0xcbf29ce484222325ull;
    __u32 offset = 12;
    __u64 words[16], n;
    __u16 type;

    for (int i = 0; i < 3; i++) {
        if (offset + 2 > linear
            || bpf_probe_read_kernel(&type, sizeof type, data + offset)) {
            return 0;
        }
        type = __builtin_bswap16(type);
        if (type != VMLAT_ETH_P_8021Q && type != VMLAT_ETH_P_8021AD) {
            break;
        }
        offset += 4;
    }
    offset += 2;
    n = type == VMLAT_ETH_P_IPV6 ? 64 : 40;
    size -= offset;
    if (n > size) {
        n = size;
    }
    __builtin_memset(words, 0, sizeof words);
    if (offset + n > linear) {
        return 0;
    }
    bound(n, 127);
    if (bpf_probe_read_kernel(words, n, data + offset)) {
        return 0;
    }
    hash = (hash ^ size) * 0x100000001b3ull;
    hash = (hash ^ type) * 0x100000001b3ull;
    for (int i = 0; i < 8; i++) {
        hash ^= words[i];
        hash *= 0x9e3779b97f4a7c15ull;
        hash ^= hash >> 29;
    }
    return hash ? hash : 1;
}

/* Returns content() of the packet in a message to a handler, 0 if it cannot be
 * read, and the message's command in '*cmd'. */
static __noinline __u64
message_content(struct sk_buff *message, __u32 *cmd)
{
    const void *data = BPF_CORE_READ(message, data);
    __u32 linear = BPF_CORE_READ(message, len)
                   - BPF_CORE_READ(message, data_len);
    __u32 offset = 16 + 4 + 4;      /* nlmsghdr, genlmsghdr, ovs_header. */
    __u8 c = 0;

    if (!cmd) {
        return 0;
    }
    bpf_probe_read_kernel(&c, sizeof c, data + 16);
    *cmd = c;
    for (int i = 0; i < 16; i++) {
        struct nlattr nla = { 0, 0 };

        if (offset + sizeof nla > linear
            || bpf_probe_read_kernel(&nla, sizeof nla, data + offset)
            || nla.nla_len < sizeof nla) {
            return 0;
        }
        if (nla.nla_type == 1) {    /* OVS_PACKET_ATTR_PACKET */
            offset += sizeof nla;
            return content(data + offset, linear - offset,
                           nla.nla_len - sizeof nla);
        }
        offset += (nla.nla_len + 3) & ~3u;
    }
    return 0;
}

/* A message goes to a socket: a packet in an upcall, if OVS is in the middle
 * of one. */
static __always_inline int
on_message(struct sk_buff *message, __u64 id)
{
    struct vmlat_bpf_upcall_key key = { .id = id };
    struct vmlat_bpf_cpu *cpu = this_cpu();
    __u32 user = SCRATCH_UPCALL, cmd = 0;
    struct vmlat_bpf_details *d;
    struct vmlat_bpf_account *a;
    struct scratch *s;
    struct place p;
    __u64 hash;
    bool moves;

    if (!cpu || likely(!cpu->upcall_skb)) {
        return 0;
    }
    if (!find_ref(&p, &cpu->upcall_ref) || *p.tag != id_of_number(cpu->upcall_skb)
        || p.pkt->last != VMLAT_P_UPCALL) {
        cpu->upcall_skb = 0;
        return 0;
    }
    hash = message_content(message, &cmd);
    if (!hash && !cpu->upcall_n) {
        /* The packet is not in the linear part of the message, which then
         * shares its pages with the skb. */
        struct sk_buff *skb = (void *) (long) cpu->upcall_skb;
        const void *l2 = skb_l2(skb);
        __u32 len = BPF_CORE_READ(skb, len);
        __u32 data_len = BPF_CORE_READ(skb, data_len);

        hash = content(l2, len - data_len, len);
    }
    moves = cmd == 1 /* OVS_PACKET_CMD_MISS */ && !cpu->upcall_n++;

    s = bpf_map_lookup_elem(&scratches, &user);
    a = account(cpu, p.pkt->in);
    if (!s || !a) {
        return 0;
    }
    if (moves) {
        p.pkt->flags |= VMLAT_PKT_MOVED;
    }
    s->upcall.packet = *p.pkt;
    s->upcall.packet.flags &= VMLAT_PKT_COPY | VMLAT_PKT_COPIED;
    s->upcall.packet.flags |= VMLAT_PKT_UPCALL;
    s->upcall.packet.t[VMLAT_P_HANDLER] = 0;
    s->upcall.packet.t[VMLAT_P_EXECUTE] = 0;
    s->upcall.packet.t[VMLAT_P_SEND] = 0;
    s->upcall.packet.t[VMLAT_P_QDISC] = 0;
    s->upcall.content = hash;
    if (!moves) {
        s->upcall.packet.flags |= VMLAT_PKT_COPY;
        p.pkt->flags |= VMLAT_PKT_COPIED;
        count(&a->entered[1], 1);
    }
    d = bpf_map_lookup_elem(&details, &p.index);
    if (d) {
        s->upcall.details = *d;
    }
    if (!hash) {
        count_atomic(&stats.upcalls_left_out, 1);
        count_fate(cpu, &s->upcall.packet, VMLAT_F_LOST);
        return 0;
    }
    count_atomic(&n_messages, 1);
    if (bpf_map_update_elem(&upcalls, &key, &s->upcall, BPF_ANY)) {
        count_atomic(&n_messages, -1);
        count_atomic(&stats.upcalls_left_out, 1);
        count_fate(cpu, &s->upcall.packet, VMLAT_F_TABLE_FULL);
    }
    return 0;
}

/* A thread of the daemon sends a packet. */
static __always_inline int
on_execute(void *ctx, struct sk_buff *skb, __u64 id)
{
    __u32 tid = bpf_get_current_pid_tgid();
    struct vmlat_bpf_upcall_key key = { .tid = tid }, best = { 0 };
    __u32 len = BPF_CORE_READ(skb, len);
    struct vmlat_bpf_cpu *cpu = this_cpu();
    struct vmlat_bpf_handler *handler;
    struct vmlat_bpf_account *a;
    struct vmlat_bpf_upcall *u;
    __u64 oldest = ~0ull, now;
    struct place p;
    __u32 gen;

    if (!cpu) {
        return 0;
    }
    now = bpf_ktime_get_ns();
    key.id = content(BPF_CORE_READ(skb, data), len, len);
    for (__u32 n = 0; n < VMLAT_BPF_SAME_CONTENT; n++) {
        key.n = n;
        u = bpf_map_lookup_elem(&upcalls, &key);
        if (u && u->packet.t[VMLAT_P_HANDLER] < oldest) {
            oldest = u->packet.t[VMLAT_P_HANDLER];
            best = key;
        }
    }
    handler = bpf_map_lookup_elem(&handlers, &tid);
    u = oldest != ~0ull ? bpf_map_lookup_elem(&upcalls, &best) : NULL;
    if (!u) {
        if (!(config.active & VMLAT_BPF_RX)) {
            return 0;
        }
        a = account(cpu, 0);
        if (!a) {
            return 0;
        }
        count_atomic(&a->entered[0], 1);
        if (!take(cpu, &p, id, now)) {
            count_atomic(&a->fates[0][VMLAT_F_TABLE_FULL], 1);
            return 0;
        }
        gen = p.pkt->gen;
        __builtin_memset(p.pkt, 0, sizeof *p.pkt);
        p.pkt->gen = gen;
        p.pkt->flags = VMLAT_PKT_MADE;
        p.pkt->segments = 1;
        p.pkt->t[VMLAT_P_RX] = now;
        p.pkt->t[VMLAT_P_OVS] = now;
        p.pkt->last = VMLAT_P_EXECUTE;
    } else {
        if (!take(cpu, &p, id, now)) {
            count_fate(cpu, &u->packet, VMLAT_F_TABLE_FULL);
            bpf_map_delete_elem(&upcalls, &best);
            return 0;
        }
        gen = p.pkt->gen;
        *p.pkt = u->packet;
        p.pkt->gen = gen;
        p.pkt->t[VMLAT_P_EXECUTE] = now;
        p.pkt->last = VMLAT_P_EXECUTE;
        if (handler) {
            p.pkt->install_ns = handler->install_ns;
            handler->install_ns = 0;
            handler->executed++;
            small_hist_add(&handler->handling,
                           now - u->packet.t[VMLAT_P_HANDLER], false);
        }
        if (config.active & VMLAT_BPF_EVENTS) {
            struct vmlat_bpf_details *d;

            d = bpf_map_lookup_elem(&details, &p.index);
            if (d) {
                *d = u->details;
            }
            note(ctx, p.index, VMLAT_P_EXECUTE, 0, 0);
        }
        bpf_map_delete_elem(&upcalls, &best);
    }
    if (handler) {
        handler->exec_ref.index = p.index;
        handler->exec_ref.gen = p.pkt->gen;
    }
    return 0;
}

/* Connection tracking. */

static __always_inline int
on_ct(__u64 id)
{
    struct vmlat_bpf_cpu *cpu = this_cpu();
    struct place p;

    if (cpu) {
        cpu->ct_skb = 0;
        if (find(&p, id)) {
            cpu->ct_skb = id;
            p.pkt->ct_since = bpf_ktime_get_ns();
        }
    }
    return 0;
}

static __always_inline int
on_ct_done(void)
{
    struct vmlat_bpf_cpu *cpu = this_cpu();
    struct place p;

    if (cpu && cpu->ct_skb && find(&p, cpu->ct_skb)) {
        p.pkt->ct_ns += bpf_ktime_get_ns() - p.pkt->ct_since;
        p.pkt->ct_passes++;
    }
    if (cpu) {
        cpu->ct_skb = 0;
    }
    return 0;
}

/* Installing flows. */

static __always_inline int
on_install(bool done)
{
    __u32 tid = bpf_get_current_pid_tgid();
    struct vmlat_bpf_handler *handler = bpf_map_lookup_elem(&handlers, &tid);
    __u64 now = bpf_ktime_get_ns();

    if (!handler) {
        return 0;
    }
    if (!done) {
        handler->install_since = now;
    } else if (handler->install_since) {
        handler->install_ns += now - handler->install_since;
        handler->installed++;
        small_hist_add(&handler->install, now - handler->install_since,
                       false);
        handler->install_since = 0;
    }
    return 0;
}

/* The programs at functions: for the kernels whose BTF describes the function,
 * and kprobes for the others.
 *
 * POINT(name, function, n, call): 'call' may use 'ctx', 'skb', which is argument
 * 'n' of the function, and its 'id'. */
#define POINT(NAME, FUNCTION, N, CALL)                              \
    SEC("fentry/" FUNCTION)                                         \
    int NAME(__u64 *ctx)                                            \
    {                                                               \
        struct sk_buff *skb = (void *) (long) ctx[N - 1];           \
        __u64 id = id_of(skb);                                      \
                                                                    \
        (void) id;                                                  \
        return CALL;                                                \
    }                                                               \
    SEC("kprobe/" FUNCTION)                                         \
    int NAME##_kprobe(struct pt_regs *ctx)                          \
    {                                                               \
        struct sk_buff *skb = (void *) PT_REGS_PARM##N(ctx);        \
        __u64 id = id_of_number((__u64) (long) skb);                \
                                                                    \
        (void) id;                                                  \
        return CALL;                                                \
    }
#define POINT_RETURN(NAME, FUNCTION, CALL)                          \
    SEC("fexit/" FUNCTION)                                          \
    int NAME(void *ctx)                                             \
    {                                                               \
        return CALL;                                                \
    }                                                               \
    SEC("kretprobe/" FUNCTION)                                      \
    int NAME##_kprobe(struct pt_regs *ctx)                          \
    {                                                               \
        return CALL;                                                \
    }

SEC("fentry/ovs_dp_process_packet")
int
vmlat_ovs(__u64 *ctx)
{
    struct sk_buff *skb = (void *) (long) ctx[0];

    return on_ovs(ctx, skb, id_of(skb), (__u64) (long) skb->head);
}

SEC("kprobe/ovs_dp_process_packet")
int
vmlat_ovs_kprobe(struct pt_regs *ctx)
{
    struct sk_buff *skb = (void *) PT_REGS_PARM1(ctx);

    return on_ovs(ctx, skb, id_of_number((__u64) (long) skb),
                  (__u64) (long) BPF_CORE_READ(skb, head));
}

POINT(vmlat_send, "ovs_vport_send", 2, on_send(ctx, skb, id))
POINT(vmlat_upcall, "ovs_dp_upcall", 2, on_upcall(ctx, skb, id))
POINT(vmlat_message, "netlink_unicast", 2, on_message(skb, id))
POINT(vmlat_execute, "ovs_flow_key_extract_userspace", 3,
      on_execute(ctx, skb, id))
POINT(vmlat_ct, "ovs_ct_execute", 2, on_ct(id))
POINT_RETURN(vmlat_ct_done, "ovs_ct_execute", on_ct_done())
POINT(vmlat_install, "ovs_flow_cmd_new", 1, on_install(false))
POINT_RETURN(vmlat_install_done, "ovs_flow_cmd_new", on_install(true))
