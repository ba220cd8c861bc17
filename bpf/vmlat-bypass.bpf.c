/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Copyright (c) 2026 The vmlat authors. */

/* Follows packets that a userspace datapath gives to the kernel through an
 * internal port, until the kernel sends them by a device, delivers them here
 * or drops them; and counts what the kernel gives to the datapath that way.
 *
 * Each skb is followed by its address.  That is used again as soon as the skb
 * is freed, and some skbs are freed without a word: TCP does so with what it
 * has received.  So each packet has an end from the beginning, the likely one,
 * which holds unless another one is seen.  The daemon ends those of which
 * nothing more is heard.
 *
 * All other packets of the host pass these programs, too.  What a device took
 * in carries that device's number in skb_iif until it leaves, and what began
 * here has none there: one bit in a table of devices tells what to let go. */

#include "vmlat-kernel-types.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#include "vmlat-bypass-abi.h"

char _license[] SEC("license") = "Dual BSD/GPL";

#define MAX_TAGS 2              /* VLAN tags that are looked through. */
#define MAX_EXTENSIONS 6        /* The same of extension headers of IPv6. */

struct vmlat_bypass_control control;

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, VMLAT_BYPASS_DEVICES);
    __type(key, __u32);
    __type(value, struct vmlat_bypass_device);
} devices SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, VMLAT_BYPASS_DEVICES);
    __type(key, struct vmlat_bypass_mac);
    __type(value, __u32);
} macs SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, VMLAT_BYPASS_ADDRESSES);
    __type(key, struct vmlat_bypass_address);
    __type(value, __u32);
} addresses SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, VMLAT_BYPASS_MAX_FOLLOWED);
    __type(key, __u64);
    __type(value, struct vmlat_bypass_followed);
} followed SEC(".maps");

struct ways {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, VMLAT_BYPASS_MAX_WAYS);
    __type(key, struct vmlat_bypass_way_key);
    __type(value, struct vmlat_bypass_way);
} ways_0 SEC(".maps"), ways_1 SEC(".maps");

struct flows {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, VMLAT_BYPASS_MAX_FLOWS);
    __type(key, struct vmlat_bypass_flow_key);
    __type(value, struct vmlat_bypass_flow);
} flows_0 SEC(".maps"), flows_1 SEC(".maps");

/* How many ways of each epoch have a MAC address. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, VMLAT_BYPASS_EPOCHS);
    __type(key, __u32);
    __type(value, __u64);
} n_ways SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, VMLAT_BYPASS_EPOCHS * VMLAT_BYPASS_N_COUNTERS);
    __type(key, __u32);
    __type(value, __u64);
} counters SEC(".maps");

/* What new entries begin with: too large for the stack. */
static const struct vmlat_bypass_way zero_way;
static const struct vmlat_bypass_flow zero_flow;

/* Addresses and ports of a packet. */
struct tuple {
    __u32 src[4];
    __u32 dst[4];
    __u16 sport;
    __u16 dport;
    __u8 ip_version;            /* 0 if unknown. */
    __u8 protocol;
};

/* What is to be counted. */
struct record {
    struct vmlat_bypass_flow_key flow;
    struct tuple out;           /* As it left, of ROUTED packets. */
    __u64 now;                  /* The same. */
    __u64 ns;                   /* Time that it took, NO_TIME if unknown. */
    __u32 bytes;
    __u32 epoch;
};

#define NO_TIME (~0ULL)

/* Returns true if 'ifindex' may be that of an internal port or of a device
 * above one. */
static __always_inline bool
may_matter(__u32 ifindex)
{
    __u32 bit = ifindex % VMLAT_BYPASS_FILTER_BITS;

    return control.filter[bit / 64] >> bit % 64 & 1;
}

static __always_inline bool
is_in_netns(const struct net_device *dev)
{
    return dev->nd_net.net->ns.inum == control.netns;
}

/* Returns which of the maps to count in.  To be called once by a program: the
 * daemon may change it at any time. */
static __always_inline __u32
present_epoch(void)
{
    return *(volatile __u32 *) &control.epoch % VMLAT_BYPASS_EPOCHS;
}

/* Counting. */

static __always_inline void
count(__u32 epoch, enum vmlat_bypass_counter counter)
{
    __u32 index = epoch * VMLAT_BYPASS_N_COUNTERS + counter;
    __u64 *n = bpf_map_lookup_elem(&counters, &index);

    if (n) {
        /* The program may be interrupted by another one of these. */
        __sync_fetch_and_add(n, 1);
    }
}

static __always_inline void
raise_to(__u64 *max, __u64 value)
{
#ifdef VMLAT_OLD
    /* Kernels before 5.12 cannot do better: two CPUs at the same nanosecond
     * may leave the smaller value. */
    if (*(volatile __u64 *) max < value) {
        *(volatile __u64 *) max = value;
    }
#else
    __u64 old = *(volatile __u64 *) max;

    for (int i = 0; i < 16 && old < value; i++) {
        old = __sync_val_compare_and_swap(max, old, value);
    }
#endif
}

static __always_inline __u32
log_2(__u64 x)
{
    __u32 n = 0;

    for (__u32 shift = 32; shift; shift /= 2) {
        if (x >> shift) {
            x >>= shift;
            n += shift;
        }
    }
    return n;
}

/* Returns the entry for 'key', which may be a new one. */
static __always_inline struct vmlat_bypass_way *
find_way(const struct vmlat_bypass_way_key *key, __u32 epoch)
{
    void *map = epoch ? (void *) &ways_1 : (void *) &ways_0;
    struct vmlat_bypass_way *way = bpf_map_lookup_elem(map, key);
    struct vmlat_bypass_way_key other = *key;
    __u64 *n;

    if (way) {
        return way;
    }
    n = bpf_map_lookup_elem(&n_ways, &epoch);
    if (n && *n < VMLAT_BYPASS_MAX_WAYS - VMLAT_BYPASS_KEPT_WAYS
        && !bpf_map_update_elem(map, key, &zero_way, BPF_NOEXIST)) {
        __sync_fetch_and_add(n, 1);
    }
    way = bpf_map_lookup_elem(map, key);
    if (way) {
        return way;
    }

    count(epoch, VMLAT_BYPASS_CNT_WAYS_LEFT_OUT);
    __builtin_memset(other.mac, 0, sizeof other.mac);
    way = bpf_map_lookup_elem(map, &other);
    if (way) {
        return way;
    }
    bpf_map_update_elem(map, &other, &zero_way, BPF_NOEXIST);
    way = bpf_map_lookup_elem(map, &other);
    if (way) {
        return way;
    }

    /* The daemon has made this one. */
    other.internal = other.other = 0;
    return bpf_map_lookup_elem(map, &other);
}

static __noinline int
count_flow(const struct record *r)
{
    void *map = r->epoch ? (void *) &flows_1 : (void *) &flows_0;
    struct vmlat_bypass_flow *flow = NULL;

    if (r->flow.ip_version) {
        flow = bpf_map_lookup_elem(map, &r->flow);
        if (!flow) {
            bpf_map_update_elem(map, &r->flow, &zero_flow, BPF_NOEXIST);
            flow = bpf_map_lookup_elem(map, &r->flow);
        }
    }
    if (!flow) {
        count(r->epoch, VMLAT_BYPASS_CNT_FLOWS_LEFT_OUT);
        return 0;
    }
    __sync_fetch_and_add(&flow->packets, 1);
    __sync_fetch_and_add(&flow->bytes, r->bytes);
    if (r->ns != NO_TIME) {
        __sync_fetch_and_add(&flow->timed, 1);
        __sync_fetch_and_add(&flow->total_ns, r->ns);
        raise_to(&flow->max_ns, r->ns);
    }
    flow->last_ns = r->now;
    if (r->out.ip_version) {
        for (int i = 0; i < 4; i++) {
            flow->out_src[i] = r->out.src[i];
            flow->out_dst[i] = r->out.dst[i];
        }
        flow->out_sport = r->out.sport;
        flow->out_dport = r->out.dport;
    }
    return 0;
}

/* Counts a packet that ended as r->flow.way says. */
static __noinline int
count_end(const struct record *r)
{
    struct vmlat_bypass_way *way = find_way(&r->flow.way, r->epoch);

    if (way) {
        __sync_fetch_and_add(&way->packets, 1);
        __sync_fetch_and_add(&way->bytes, r->bytes);
        if (r->ns != NO_TIME) {
            __u32 bucket = log_2(r->ns);

            if (bucket >= VMLAT_BYPASS_BUCKETS) {
                bucket = VMLAT_BYPASS_BUCKETS - 1;
            }
            __sync_fetch_and_add(&way->timed, 1);
            __sync_fetch_and_add(&way->total_ns, r->ns);
            __sync_fetch_and_add(&way->buckets[bucket], 1);
            raise_to(&way->max_ns, r->ns);
        }
    }
    if (r->flow.way.direction == VMLAT_BYPASS_FROM_VM) {
        count(r->epoch, VMLAT_BYPASS_CNT_ENTERED);
    } else {
        count(r->epoch, VMLAT_BYPASS_CNT_LEFT);
    }
    if (r->flow.way.end == VMLAT_BYPASS_END_ROUTED) {
        count_flow(r);
    }
    return 0;
}

/* Parsing. */

/* Where the headers of a packet are. */
struct window {
    const unsigned char *head;
    __u32 end;                  /* Where what can be read ends. */
};

static __always_inline void
window_init(struct window *w, const struct sk_buff *skb)
{
    w->head = skb->head;
    w->end = (__u32) (skb->data - w->head) + skb->len - skb->data_len;
}

static __always_inline bool
read(const struct window *w, __u32 offset, void *to, __u32 size)
{
    return (offset + size <= w->end
            && !bpf_probe_read_kernel(to, size, w->head + offset));
}

static __always_inline void
read_ports(const struct window *w, __u32 offset, struct tuple *t)
{
    __u16 ports[2];

    if ((t->protocol == VMLAT_IPPROTO_TCP || t->protocol == VMLAT_IPPROTO_UDP
         || t->protocol == VMLAT_IPPROTO_SCTP)
        && read(w, offset, ports, sizeof ports)) {
        t->sport = ports[0];
        t->dport = ports[1];
    }
}

/* Reads the IP packet at 'offset'.  Leaves t->ip_version 0 if that is none. */
static __noinline int
parse_ip(const struct window *w, __u32 offset, struct tuple *t)
{
    __u8 version;

    __builtin_memset(t, 0, sizeof *t);
    if (!read(w, offset, &version, sizeof version)) {
        return 0;
    }
    if (version >> 4 == 4) {
        struct iphdr ip;
        __u32 length;

        if (!read(w, offset, &ip, sizeof ip)) {
            return 0;
        }
        length = (ip.ihl_version & 15) * 4;
        if (length < sizeof ip) {
            return 0;
        }
        t->ip_version = 4;
        t->protocol = ip.protocol;
        t->src[2] = t->dst[2] = bpf_htonl(0xffff);
        t->src[3] = ip.saddr;
        t->dst[3] = ip.daddr;
        if (!(ip.frag_off & bpf_htons(VMLAT_IP_OFFSET))) {
            read_ports(w, offset + length, t);
        }
    } else if (version >> 4 == 6) {
        struct ipv6hdr ip6;
        bool first = true;
        __u8 next;

        if (!read(w, offset, &ip6, sizeof ip6)) {
            return 0;
        }
        t->ip_version = 6;
        for (int i = 0; i < 4; i++) {
            t->src[i] = ip6.saddr[i];
            t->dst[i] = ip6.daddr[i];
        }
        offset += sizeof ip6;
        next = ip6.nexthdr;
        for (int i = 0; i < MAX_EXTENSIONS; i++) {
            struct ipv6_frag_hdr ext;

            if ((next != VMLAT_IPPROTO_HOPOPTS && next != VMLAT_IPPROTO_ROUTING
                 && next != VMLAT_IPPROTO_DSTOPTS
                 && next != VMLAT_IPPROTO_FRAGMENT)
                || !read(w, offset, &ext, sizeof ext)) {
                break;
            }
            if (next != VMLAT_IPPROTO_FRAGMENT) {
                offset += ext.reserved * 8;     /* There, the length. */
            } else if (ext.frag_off & bpf_htons(0xfff8)) {
                first = false;
            }
            offset += 8;
            next = ext.nexthdr;
        }
        t->protocol = next;
        if (first) {
            read_ports(w, offset, t);
        }
    }
    return 0;
}

/* Reads the Ethernet header and VLAN tags at '*offset' and moves that behind
 * them.  Returns the type of what is there, in network byte order, 0 if that
 * cannot be read. */
static __always_inline __be16
parse_ethernet(const struct window *w, __u32 *offset, struct ethhdr *eth)
{
    __be16 type;

    if (!read(w, *offset, eth, sizeof *eth)) {
        __builtin_memset(eth, 0, sizeof *eth);
        return 0;
    }
    *offset += sizeof *eth;
    type = eth->h_proto;
    for (int i = 0; i < MAX_TAGS; i++) {
        struct vlan_hdr vlan;

        if (type != bpf_htons(VMLAT_ETH_P_8021Q)
            && type != bpf_htons(VMLAT_ETH_P_8021AD)) {
            break;
        }
        if (!read(w, *offset, &vlan, sizeof vlan)) {
            return 0;
        }
        *offset += sizeof vlan;
        type = vlan.h_vlan_encapsulated_proto;
    }
    return type;
}

static __always_inline bool
is_ip(__be16 type)
{
    return (type == bpf_htons(VMLAT_ETH_P_IP)
            || type == bpf_htons(VMLAT_ETH_P_IPV6));
}

static __always_inline void
set_tuple(struct vmlat_bypass_flow_key *flow, const struct tuple *t)
{
    for (int i = 0; i < 4; i++) {
        flow->src[i] = t->src[i];
        flow->dst[i] = t->dst[i];
    }
    flow->sport = t->sport;
    flow->dport = t->dport;
    flow->ip_version = t->ip_version;
    flow->protocol = t->protocol;
}

static __always_inline bool
is_translated(const struct vmlat_bypass_flow_key *flow, const struct tuple *t)
{
    __u32 differ = (flow->sport ^ t->sport) | (flow->dport ^ t->dport);

    for (int i = 0; i < 4; i++) {
        differ |= (flow->src[i] ^ t->src[i]) | (flow->dst[i] ^ t->dst[i]);
    }
    return t->ip_version == flow->ip_version && differ;
}

/* From the VM. */

/* Takes 'f', of 'address', out of the table, and stores in 'r' what is to be
 * counted.  Returns false if somebody else has it already. */
static __always_inline bool
take(const struct vmlat_bypass_followed *f, __u64 address, __u32 epoch,
     struct record *r)
{
    __builtin_memset(r, 0, sizeof *r);
    r->flow = f->flow;
    r->flow.way.end = f->end;
    r->ns = NO_TIME;
    r->bytes = f->bytes;
    r->epoch = epoch;
    if (f->upper) {
        r->flow.way.end = VMLAT_BYPASS_END_ROUTED;
        r->flow.way.other = f->upper;
    }
    return !bpf_map_delete_elem(&followed, &address);
}

/* Returns true if the device with 'ifindex' is an internal port, or above
 * one. */
static __always_inline bool
matters(__u32 ifindex)
{
    struct vmlat_bypass_device *device
        = bpf_map_lookup_elem(&devices, &ifindex);

    return (device && (device->kind == VMLAT_BYPASS_INTERNAL
                       || device->internal));
}

/* Returns true if a packet that came in by the device 'iif' may be 'f': by the
 * internal port, or handed up from it. */
static __always_inline bool
may_be(const struct vmlat_bypass_followed *f, __u32 iif)
{
    struct vmlat_bypass_device *device;

    if (f->flow.way.internal == iif) {
        return true;
    }
    device = bpf_map_lookup_elem(&devices, &iif);
    return (device && device->kind == VMLAT_BYPASS_UPPER && device->internal);
}

static __always_inline bool
is_own_mac(const struct net_device *dev, __u32 ifindex,
           const __u8 mac[6])
{
    struct vmlat_bypass_mac key = { .internal = ifindex };
    __u8 own[6];

    for (int i = 0; i < 6; i++) {
        key.mac[i] = mac[i];
    }
    if (!bpf_probe_read_kernel(own, sizeof own, dev->dev_addr)
        && own[0] == mac[0] && own[1] == mac[1] && own[2] == mac[2]
        && own[3] == mac[3] && own[4] == mac[4] && own[5] == mac[5]) {
        return true;
    }
    return bpf_map_lookup_elem(&macs, &key);
}

static __always_inline void
enter(struct sk_buff *skb, struct net_device *dev, __u32 ifindex)
{
    struct vmlat_bypass_followed f = { .end = VMLAT_BYPASS_END_UNSEEN };
    struct vmlat_bypass_followed *old;
    __u64 address = (__u64) skb;
    __u32 epoch = present_epoch();
    struct ethhdr eth;
    struct window w;
    struct record r;
    __u32 offset;
    __be16 type;

    old = bpf_map_lookup_elem(&followed, &address);
    if (old && take(old, address, epoch, &r)) {
        count_end(&r);
    }

    window_init(&w, skb);
    offset = skb->mac_header;
    f.bytes = skb->len + (__u32) (skb->data - w.head) - offset;
    type = parse_ethernet(&w, &offset, &eth);
    f.flow.way.internal = ifindex;
    f.flow.way.direction = VMLAT_BYPASS_FROM_VM;
    __builtin_memcpy(f.flow.way.mac, eth.h_source, 6);
    if (is_ip(type)) {
        struct tuple t;

        parse_ip(&w, offset, &t);
        set_tuple(&f.flow, &t);
        if (!is_own_mac(dev, ifindex, eth.h_dest)) {
            f.end = VMLAT_BYPASS_END_NOT_OURS;
        } else {
            f.flow.gateway = 1;
            if (t.ip_version && bpf_map_lookup_elem(&addresses, t.dst)) {
                f.end = VMLAT_BYPASS_END_LOCAL;
            }
        }
        f.time_ns = bpf_ktime_get_ns();
        if (!bpf_map_update_elem(&followed, &address, &f, BPF_ANY)) {
            return;
        }
    } else {
        f.end = VMLAT_BYPASS_END_NOT_IP;
    }

    __builtin_memset(&r, 0, sizeof r);
    r.flow = f.flow;
    r.flow.way.end = f.end;
    r.ns = NO_TIME;
    r.bytes = f.bytes;
    r.epoch = epoch;
    count_end(&r);
}

/* Counts that 'f' leaves by the device with 'ifindex'. */
static __always_inline void
leave(const struct sk_buff *skb, const struct vmlat_bypass_followed *f,
      __u32 ifindex, __u32 epoch)
{
    __u64 address = (__u64) skb;
    __u64 time_ns = f->time_ns;
    struct window w;
    struct record r;

    if (!take(f, address, epoch, &r)) {
        return;
    }
    r.now = bpf_ktime_get_ns();
    r.ns = r.now - time_ns;
    window_init(&w, skb);
    parse_ip(&w, skb->network_header, &r.out);
    r.flow.way.end = VMLAT_BYPASS_END_ROUTED;
    r.flow.way.other = ifindex;
    r.flow.translated = is_translated(&r.flow, &r.out);
    count_end(&r);
}

/* To the VM. */

static __always_inline void
enter_datapath(const struct sk_buff *skb, __u32 ifindex, __u32 epoch)
{
    __u32 offset = skb->data - skb->head;
    __u32 iif = skb->skb_iif;
    struct record r = { .ns = NO_TIME };
    struct ethhdr eth;
    struct window w;
    __be16 type;

    window_init(&w, skb);
    type = parse_ethernet(&w, &offset, &eth);
    __builtin_memcpy(r.flow.way.mac, eth.h_dest, 6);
    r.flow.way.internal = ifindex;
    r.flow.way.other = iif;
    r.flow.way.direction = VMLAT_BYPASS_TO_VM;
    r.bytes = skb->len;
    r.epoch = epoch;
    if (!is_ip(type)) {
        r.flow.way.end = VMLAT_BYPASS_END_NOT_IP;
    } else if (iif) {
        r.flow.way.end = VMLAT_BYPASS_END_ROUTED;
        r.now = bpf_ktime_get_ns();
        parse_ip(&w, offset, &r.out);
        set_tuple(&r.flow, &r.out);
    } else {
        r.flow.way.end = (eth.h_dest[0] & 1 ? VMLAT_BYPASS_END_NOT_OURS
                          : VMLAT_BYPASS_END_LOCAL);
    }
    count_end(&r);
}

/* Tracepoints.  The programs have their names. */

SEC("tp_btf/netif_receive_skb")
int
BPF_PROG(netif_receive_skb, struct sk_buff *skb)
{
    struct net_device *dev = skb->dev;
    __u32 ifindex = dev->ifindex;
    struct vmlat_bypass_device *device;

    if (may_matter(ifindex) && is_in_netns(dev)) {
        device = bpf_map_lookup_elem(&devices, &ifindex);
        if (device && device->kind == VMLAT_BYPASS_INTERNAL) {
            enter(skb, dev, ifindex);
        }
    }
    return 0;
}

SEC("tp_btf/net_dev_start_xmit")
int
BPF_PROG(net_dev_start_xmit, struct sk_buff *skb, struct net_device *dev)
{
    __u32 iif = skb->skb_iif;
    __u32 ifindex = dev->ifindex;
    bool forwarded = iif && may_matter(iif);
    __u64 address = (__u64) skb;
    __u32 epoch;
    struct vmlat_bypass_followed *f;
    struct vmlat_bypass_device *device;

    if (!(forwarded || may_matter(ifindex)) || !is_in_netns(dev)) {
        return 0;
    }
    epoch = present_epoch();
    device = bpf_map_lookup_elem(&devices, &ifindex);
    if (forwarded) {
        f = bpf_map_lookup_elem(&followed, &address);
        if (f && !may_be(f, iif)) {
            f = NULL;
        }
        if (device && device->kind == VMLAT_BYPASS_UPPER) {
            if (f) {
                f->upper = ifindex;
            }
        } else if (f) {
            leave(skb, f, ifindex, epoch);
        } else if (skb->protocol != bpf_htons(VMLAT_ETH_P_ARP)
                   && matters(iif)) {
            count(epoch, VMLAT_BYPASS_CNT_COPIES);
        }
    }
    if (device && device->kind == VMLAT_BYPASS_INTERNAL) {
        enter_datapath(skb, ifindex, epoch);
    }
    return 0;
}

/* Ends following 'skb', which is being freed, because it was 'dropped' or
 * not. */
static __always_inline void
end(struct sk_buff *skb, bool dropped)
{
    __u32 iif = skb->skb_iif;
    __u64 address = (__u64) skb;
    __u32 epoch = present_epoch();
    struct vmlat_bypass_followed *f;
    struct net_device *dev;
    __u32 netns, ifindex;
    struct record r;

    f = bpf_map_lookup_elem(&followed, &address);
    if (!f || !may_be(f, iif)) {
        return;
    }

    /* Sockets use 'dev' for something else, which reads as 0 here. */
    dev = skb->dev;
    netns = dev->nd_net.net->ns.inum;
    if (netns && netns != control.netns) {
        return;
    }
    ifindex = netns ? dev->ifindex : 0;
    if (!take(f, address, epoch, &r)) {
        return;
    }
    if (dropped) {
        if (r.flow.way.end != VMLAT_BYPASS_END_NOT_OURS) {
            r.flow.way.end = VMLAT_BYPASS_END_DROPPED;
            r.flow.way.other = 0;
        }
    } else if (ifindex && ifindex != iif && !may_be(f, ifindex)) {
        /* It was to be sent, but goes in pieces or as a copy. */
        r.flow.way.end = VMLAT_BYPASS_END_ROUTED;
        r.flow.way.other = ifindex;
        r.now = bpf_ktime_get_ns();
    } else if (r.flow.way.end == VMLAT_BYPASS_END_UNSEEN) {
        r.flow.way.end = VMLAT_BYPASS_END_CONSUMED;
    }
    count_end(&r);
}

SEC("tp_btf/consume_skb")
int
BPF_PROG(consume_skb, struct sk_buff *skb)
{
    if (skb->skb_iif && may_matter(skb->skb_iif)) {
        end(skb, false);
    }
    return 0;
}

SEC("tp_btf/kfree_skb")
int
BPF_PROG(kfree_skb, struct sk_buff *skb)
{
    if (skb->skb_iif && may_matter(skb->skb_iif)) {
        end(skb, true);
    }
    return 0;
}
