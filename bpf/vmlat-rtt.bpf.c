/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Copyright (c) 2026 The vmlat authors. */

/* Follows ICMP echo requests and replies through the host.
 *
 * Each skb is followed by its address from where it is first seen until it is
 * freed, and every point that it passes is reported through a ring buffer.
 * What is in the packet serves to find echoes, to find the reply to a request
 * and to go on where the kernel copies a packet into another skb, as upcalls
 * do; an address that is used again is told by the packet's sequence number,
 * and by the end of the skb before.
 *
 * A packet belongs to the network namespace of the device that it is at.  When
 * it goes over to another one, through a veth device, it is a new echo there:
 * each namespace is a host of its own. */

#include "vmlat-kernel-types.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#include "vmlat-rtt-abi.h"

char _license[] SEC("license") = "Dual BSD/GPL";

/* How many echoes may start, per second and CPU, and at once. */
#define ECHOES_PER_SECOND 1000
#define ECHO_COST_NS (1000000000 / ECHOES_PER_SECOND)
#define MAX_CREDIT_NS 1000000000ULL

/* Extension headers of IPv6 that are looked through. */
#define MAX_EXTENSIONS 6

#define VXLAN_PORT 4789
#define GENEVE_PORT 6081

/* Arguments that some kernels' tracepoints have and others do not.  Set before
 * loading; the verifier then never sees the branch that is not taken. */
const volatile bool kfree_skb_has_reason = false;
const volatile bool consume_skb_has_location = false;

struct follow {
    struct vmlat_rtt_key key;   /* The echo's. */
    struct vmlat_rtt_key wire;  /* As the packet carries it now. */
    __u32 ifindex;              /* At 'point'. */
    __u16 point;                /* Where it was last seen. */
    __u8 reply;
    __u8 ignored;               /* Counted before, not reported. */
    __u16 handed_over;          /* The driver has taken it. */
    __u16 ended;                /* The skb was dropped: what has its address
                                 * now is another one. */
};

struct echo {
    struct vmlat_rtt_key key;
    __u32 pad;
    __u64 time_ns;
};

struct limit {
    __u64 time_ns;
    __u64 credit_ns;
};

/* Skbs that are followed, by address. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 8192);
    __type(key, __u64);
    __type(value, struct follow);
} followed SEC(".maps");

/* Echoes, by what request and reply carry at any point. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 16384);
    __type(key, struct vmlat_rtt_key);
    __type(value, struct echo);
} echoes SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 20);
} events SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, VMLAT_RTT_N_COUNTERS);
    __type(key, __u32);
    __type(value, __u64);
} counters SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct limit);
} limits SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct vmlat_rtt_config);
} config SEC(".maps");

/* Reads a member of a structure of the kernel: with a plain load where the
 * verifier knows the pointer ('direct', a constant), else with a helper. */
#define GET(POINTER, MEMBER) \
    (direct ? (POINTER)->MEMBER : BPF_CORE_READ(POINTER, MEMBER))

static __always_inline void
count(__u32 counter)
{
    __u64 *n = bpf_map_lookup_elem(&counters, &counter);

    if (n) {
        /* What interrupts this program may count, too. */
        __sync_fetch_and_add(n, 1);
    }
}

static __always_inline bool
may_start(__u64 now)
{
    __u32 zero = 0;
    struct limit *limit = bpf_map_lookup_elem(&limits, &zero);
    __u64 credit;

    if (!limit) {
        return false;
    }
    credit = limit->credit_ns;
    if (now > limit->time_ns) {
        /* Unless another packet interrupted this one meanwhile. */
        credit += now - limit->time_ns;
        limit->time_ns = now;
    }
    if (credit > MAX_CREDIT_NS) {
        credit = MAX_CREDIT_NS;
    }
    if (credit < ECHO_COST_NS) {
        limit->credit_ns = credit;
        return false;
    }
    limit->credit_ns = credit - ECHO_COST_NS;
    return true;
}

static __always_inline bool
is_wanted(const struct vmlat_rtt_key *key, const struct vmlat_rtt_config *c)
{
    __u32 differ = 0;

    for (int i = 0; i < 4; i++) {
        differ |= ((key->src[i] & c->src_mask[i]) ^ c->src[i])
                  | ((key->dst[i] & c->dst_mask[i]) ^ c->dst[i]);
    }
    return !differ;
}

static __always_inline bool
same_key(const struct vmlat_rtt_key *a, const struct vmlat_rtt_key *b)
{
    __u32 differ = (a->netns ^ b->netns) | (a->ip_version ^ b->ip_version);

    for (int i = 0; i < 4; i++) {
        differ |= (a->src[i] ^ b->src[i]) | (a->dst[i] ^ b->dst[i]);
    }
    return !differ && a->id == b->id && a->seq == b->seq;
}

/* Where the headers of a packet are. */
struct window {
    const unsigned char *head;
    __u32 end;                  /* Where what can be read ends. */
};

enum packet {
    PACKET_OTHER,
    PACKET_REQUEST,
    PACKET_REPLY,
    PACKET_TUNNEL,              /* Of a kind that may carry an echo. */
};

static __always_inline bool
read(const struct window *w, __u32 offset, void *to, __u32 size)
{
    return (offset + size <= w->end
            && !bpf_probe_read_kernel(to, size, w->head + offset));
}

static __always_inline enum packet
parse_echo(const struct window *w, __u32 offset, bool v6,
           struct vmlat_rtt_key *key)
{
    struct icmphdr icmp;
    bool reply;

    if (!read(w, offset, &icmp, sizeof icmp)) {
        return PACKET_OTHER;
    }
    if (icmp.type == (v6 ? VMLAT_ICMPV6_ECHO_REQUEST : VMLAT_ICMP_ECHO)) {
        reply = false;
    } else if (icmp.type == (v6 ? VMLAT_ICMPV6_ECHO_REPLY
                             : VMLAT_ICMP_ECHOREPLY)) {
        reply = true;
    } else {
        return PACKET_OTHER;
    }
    if (icmp.code) {
        return PACKET_OTHER;
    }
    key->id = icmp.id;
    key->seq = icmp.sequence;
    if (reply) {
        for (int i = 0; i < 4; i++) {
            __u32 src = key->src[i];

            key->src[i] = key->dst[i];
            key->dst[i] = src;
        }
    }
    return reply ? PACKET_REPLY : PACKET_REQUEST;
}

/* Returns whether packets of 'protocol' may carry another IP packet. */
static __always_inline bool
is_tunnel(__u8 protocol)
{
    return protocol == VMLAT_IPPROTO_UDP || protocol == 4 || protocol == 41
           || protocol == 47;
}

/* Parses the IP packet at '*offset'.  Of what may be a tunnel, stores where
 * its payload begins to '*offset' and its protocol to '*protocol'. */
static __always_inline enum packet
parse_ip(const struct window *w, __u32 *offset, struct vmlat_rtt_key *key,
         __u8 *protocol)
{
    __u8 version;

    if (!read(w, *offset, &version, sizeof version)) {
        count(VMLAT_RTT_CNT_NOT_LINEAR);
        return PACKET_OTHER;
    }
    if (version >> 4 == 4) {
        struct iphdr ip;
        __u32 length;

        if (!read(w, *offset, &ip, sizeof ip)) {
            count(VMLAT_RTT_CNT_NOT_LINEAR);
            return PACKET_OTHER;
        }
        length = (ip.ihl_version & 15) * 4;
        if (length < sizeof ip
            || ip.frag_off & bpf_htons(VMLAT_IP_OFFSET)) {
            return PACKET_OTHER;
        }
        *offset += length;
        *protocol = ip.protocol;
        if (ip.protocol != VMLAT_IPPROTO_ICMP) {
            return is_tunnel(ip.protocol) ? PACKET_TUNNEL : PACKET_OTHER;
        }
        key->ip_version = 4;
        key->src[0] = key->src[1] = key->dst[0] = key->dst[1] = 0;
        key->src[2] = key->dst[2] = bpf_htonl(0xffff);
        key->src[3] = ip.saddr;
        key->dst[3] = ip.daddr;
        return parse_echo(w, *offset, false, key);
    } else if (version >> 4 == 6) {
        struct ipv6hdr ip6;
        __u8 next;

        if (!read(w, *offset, &ip6, sizeof ip6)) {
            count(VMLAT_RTT_CNT_NOT_LINEAR);
            return PACKET_OTHER;
        }
        *offset += sizeof ip6;
        next = ip6.nexthdr;
        for (int i = 0; i < MAX_EXTENSIONS; i++) {
            struct ipv6_frag_hdr ext;
            __u32 length;

            if (next != VMLAT_IPPROTO_HOPOPTS && next != VMLAT_IPPROTO_ROUTING
                && next != VMLAT_IPPROTO_DSTOPTS
                && next != VMLAT_IPPROTO_FRAGMENT) {
                break;
            }
            if (!read(w, *offset, &ext, sizeof ext)) {
                return PACKET_OTHER;
            }
            length = 8;
            if (next != VMLAT_IPPROTO_FRAGMENT) {
                length += ext.reserved * 8;     /* There, the length. */
            } else if (ext.frag_off & bpf_htons(0xfff8)) {
                return PACKET_OTHER;
            }
            *offset += length;
            next = ext.nexthdr;
        }
        *protocol = next;
        if (next != VMLAT_IPPROTO_ICMPV6) {
            return is_tunnel(next) ? PACKET_TUNNEL : PACKET_OTHER;
        }
        key->ip_version = 6;
        for (int i = 0; i < 4; i++) {
            key->src[i] = ip6.saddr[i];
            key->dst[i] = ip6.daddr[i];
        }
        return parse_echo(w, *offset, true, key);
    }
    return PACKET_OTHER;
}

/* Steps from the beginning of the payload of UDP at '*offset' to the IP packet
 * inside, if the port is that of VXLAN or Geneve and Ethernet is inside. */
static __always_inline bool
skip_tunnel(const struct window *w, __u32 *offset)
{
    struct udphdr udp;
    __u8 options;
    __be16 type;

    if (!read(w, *offset, &udp, sizeof udp)) {
        return false;
    }
    *offset += sizeof udp;
    if (udp.dest == bpf_htons(GENEVE_PORT)) {
        if (!read(w, *offset, &options, sizeof options)) {
            return false;
        }
        *offset += (options & 63) * 4;
    } else if (udp.dest != bpf_htons(VXLAN_PORT)) {
        return false;
    }
    *offset += 8 + sizeof(struct ethhdr);
    if (!read(w, *offset - 2, &type, sizeof type)) {
        return false;
    }
    if (type == bpf_htons(VMLAT_ETH_P_8021Q)) {
        *offset += sizeof(struct vlan_hdr);
    }
    return true;
}

/* Parses 'skb', which is at 'point', as far as to fill in 'key' but for its
 * namespace.  In a tunnel, looks at the packet inside. */
static __always_inline enum packet
parse(struct sk_buff *skb, bool direct, enum vmlat_rtt_point point,
      struct vmlat_rtt_key *key)
{
    struct window w;
    enum packet packet;
    __u32 offset, inner;
    __u8 protocol = 0;
    __be16 type = GET(skb, protocol);
    const unsigned char *data = GET(skb, data);

    w.head = GET(skb, head);
    w.end = (__u32) (data - w.head) + GET(skb, len) - GET(skb, data_len);
    if (point == VMLAT_RTT_RX) {
        /* The kernel sets the network header a little later. */
        offset = data - w.head;
        for (int i = 0; i < 2; i++) {
            struct vlan_hdr vlan;

            if (type != bpf_htons(VMLAT_ETH_P_8021Q)
                && type != bpf_htons(VMLAT_ETH_P_8021AD)) {
                break;
            }
            if (!read(&w, offset, &vlan, sizeof vlan)) {
                return PACKET_OTHER;
            }
            type = vlan.h_vlan_encapsulated_proto;
            offset += sizeof vlan;
        }
        if (type != bpf_htons(VMLAT_ETH_P_IP)
            && type != bpf_htons(VMLAT_ETH_P_IPV6)) {
            return PACKET_OTHER;
        }
    } else {
        /* The type is not set yet where IP sends. */
        offset = GET(skb, network_header);
        if (point != VMLAT_RTT_IP_OUT
            && type != bpf_htons(VMLAT_ETH_P_IP)
            && type != bpf_htons(VMLAT_ETH_P_IPV6)
            && type != bpf_htons(VMLAT_ETH_P_8021Q)
            && type != bpf_htons(VMLAT_ETH_P_8021AD)) {
            return PACKET_OTHER;
        }
    }

    packet = parse_ip(&w, &offset, key, &protocol);
    if (packet != PACKET_TUNNEL) {
        return packet;
    }
    inner = GET(skb, inner_network_header);
    if (point != VMLAT_RTT_RX && inner > GET(skb, network_header)) {
        offset = inner;
    } else if (protocol != VMLAT_IPPROTO_UDP || !skip_tunnel(&w, &offset)) {
        return PACKET_OTHER;
    }
    packet = parse_ip(&w, &offset, key, &protocol);
    return packet == PACKET_TUNNEL ? PACKET_OTHER : packet;
}

/* Reports that 'skb' with the echo 'f->key' passed 'point'.  'dev' may be
 * null. */
static __always_inline void
report(struct sk_buff *skb, enum vmlat_rtt_point point,
       struct net_device *dev, const struct follow *f, __u16 flags, __u64 now,
       __u32 reason, __u64 location)
{
    struct vmlat_rtt_event *e = bpf_ringbuf_reserve(&events, sizeof *e, 0);

    if (!e) {
        count(VMLAT_RTT_CNT_POINTS_LOST);
        if ((flags & (VMLAT_RTT_FIRST | VMLAT_RTT_REPLY)) == VMLAT_RTT_FIRST) {
            count(VMLAT_RTT_CNT_UNRECORDED);
        }
        return;
    }
    e->time_ns = now;
    e->skb = (__u64) skb;
    e->location = location;
    e->key = f->key;
    e->ifindex = f->ifindex;
    e->pid = bpf_get_current_pid_tgid() >> 32;
    e->cpu = bpf_get_smp_processor_id();
    e->reason = reason;
    e->point = point;
    e->flags = flags;
    __builtin_memset(e->device, 0, sizeof e->device);
    if (dev) {
        bpf_probe_read_kernel(e->device, sizeof e->device,
                              __builtin_preserve_access_index(&dev->name));
    }
    bpf_get_current_comm(e->command, sizeof e->command);
    bpf_ringbuf_submit(e, 0);
}

/* Returns the namespace that 'skb' is in, or 0.  'dev' may be null. */
static __always_inline __u32
netns_of(struct sk_buff *skb, bool direct, struct net_device *dev)
{
    struct net *net = NULL;

    if (dev) {
        net = BPF_CORE_READ(dev, nd_net.net);
    } else {
        struct sock *sk = GET(skb, sk);

        if (sk) {
            net = BPF_CORE_READ(sk, __sk_common.skc_net.net);
        } else {
            struct dst_entry *dst = (void *) (GET(skb, _skb_refdst) & ~7UL);

            if (dst) {
                net = BPF_CORE_READ(dst, dev, nd_net.net);
            }
        }
    }
    return net ? BPF_CORE_READ(net, ns.inum) : 0;
}

/* Takes note that 'skb' is at 'point' of 'dev', which may be null; 'twice' if
 * two programs do so, of which either may be the first. */
static __always_inline void
see(struct sk_buff *skb, bool direct, enum vmlat_rtt_point point,
    struct net_device *dev, __u32 reason, __u64 location, bool twice)
{
    struct follow new = { .handed_over = 0 };
    __u64 address = (__u64) skb;
    struct vmlat_rtt_config *c;
    struct follow *f;
    struct echo *echo;
    enum packet packet;
    __u16 flags = 0;
    __u32 zero = 0;
    __u64 now;

    packet = parse(skb, direct, point, &new.wire);
    if (packet != PACKET_REQUEST && packet != PACKET_REPLY) {
        return;
    }
    now = bpf_ktime_get_ns();
    new.wire.netns = netns_of(skb, direct, dev);
    new.reply = packet == PACKET_REPLY;
    new.point = point;
    new.ifindex = dev ? BPF_CORE_READ(dev, ifindex) : 0;
    if (new.reply) {
        flags |= VMLAT_RTT_REPLY;
    }
    if (point != VMLAT_RTT_RX && !GET(skb, skb_iif)) {
        flags |= VMLAT_RTT_LOCAL;
    }

    f = bpf_map_lookup_elem(&followed, &address);
    if (f && !f->ended
        && f->wire.netns == new.wire.netns && f->wire.seq == new.wire.seq
        && f->wire.ip_version == new.wire.ip_version
        && f->reply == new.reply) {
        if (f->ignored
            || (twice && f->point == point
                && same_key(&f->wire, &new.wire))) {
            return;
        }
        if (!same_key(&f->wire, &new.wire)) {
            /* Addresses were translated: the reply will carry these. */
            struct echo alias = { .time_ns = now };

            alias.key = f->key;
            bpf_map_update_elem(&echoes, &new.wire, &alias, BPF_ANY);
            f->wire = new.wire;
        }
        f->point = point;
        f->ifindex = new.ifindex;
        f->handed_over = 0;
        report(skb, point, dev, f, flags, now, reason, location);
        return;
    }

    c = bpf_map_lookup_elem(&config, &zero);
    if (!c) {
        return;
    }
    echo = bpf_map_lookup_elem(&echoes, &new.wire);
    if (echo && (new.reply || now - echo->time_ns < c->timeout_ns)) {
        new.key = echo->key;
    } else if (new.reply) {
        count(VMLAT_RTT_CNT_STRAY);
        new.ignored = 1;
    } else if (!is_wanted(&new.wire, c)) {
        count(VMLAT_RTT_CNT_FILTERED);
        new.ignored = 1;
    } else if (!may_start(now)) {
        count(VMLAT_RTT_CNT_LIMITED);
        new.ignored = 1;
    } else {
        struct echo start = { .time_ns = now };

        new.key = start.key = new.wire;
        bpf_map_update_elem(&echoes, &new.wire, &start, BPF_ANY);
    }
    bpf_map_update_elem(&followed, &address, &new, BPF_ANY);
    if (!new.ignored) {
        report(skb, point, dev, &new, flags | VMLAT_RTT_FIRST, now,
               reason, location);
    }
}

/* Reports 'point', the end of 'skb', if that says something. */
static __always_inline void
report_end(const struct follow *f, struct sk_buff *skb,
           enum vmlat_rtt_point point, __u32 reason, __u64 location)
{
    /* What a driver has taken it frees when it is sent, and not all drivers
     * say that as they should. */
    if (!f->ignored
        && !(f->point == VMLAT_RTT_TX
             && (f->handed_over || point == VMLAT_RTT_CONSUMED))) {
        struct net_device *dev = skb->dev;

        report(skb, point, dev, f,
               (f->reply ? VMLAT_RTT_REPLY : 0)
               | (skb->skb_iif ? 0 : VMLAT_RTT_LOCAL),
               bpf_ktime_get_ns(), reason, location);
    }
}

/* Ends following 'skb', reporting 'point'. */
static __always_inline void
end(struct sk_buff *skb, enum vmlat_rtt_point point, __u32 reason,
    __u64 location)
{
    __u64 address = (__u64) skb;
    struct follow *f = bpf_map_lookup_elem(&followed, &address);

    if (f) {
        if (!f->ended) {
            report_end(f, skb, point, reason, location);
        }
        bpf_map_delete_elem(&followed, &address);
    }
}

/* Tracepoints. */

SEC("tp_btf/net_dev_queue")
int
BPF_PROG(queue, struct sk_buff *skb)
{
    see(skb, true, VMLAT_RTT_QUEUE, skb->dev, 0, 0, false);
    return 0;
}

SEC("tp_btf/net_dev_start_xmit")
int
BPF_PROG(tx, struct sk_buff *skb, struct net_device *dev)
{
    see(skb, true, VMLAT_RTT_TX, dev, 0, 0, false);
    return 0;
}

/* The skb may be gone: its address alone is used. */
SEC("tp_btf/net_dev_xmit")
int
BPF_PROG(tx_done, struct sk_buff *skb, int rc, struct net_device *dev)
{
    __u64 address = (__u64) skb;
    struct follow *f = bpf_map_lookup_elem(&followed, &address);

    if (f && !rc && f->point == VMLAT_RTT_TX
        && f->ifindex == (__u32) dev->ifindex) {
        f->handed_over = 1;
    }
    return 0;
}

SEC("tp_btf/netif_receive_skb")
int
BPF_PROG(rx, struct sk_buff *skb)
{
    see(skb, true, VMLAT_RTT_RX, skb->dev, 0, 0, false);
    return 0;
}

SEC("tp_btf/consume_skb")
int
BPF_PROG(consume, struct sk_buff *skb)
{
    end(skb, VMLAT_RTT_CONSUMED, 0, consume_skb_has_location ? ctx[1] : 0);
    return 0;
}

/* The first program has ended following what it has seen. */
SEC("tp_btf/consume_skb")
int
BPF_PROG(consume_again, struct sk_buff *skb)
{
    end(skb, VMLAT_RTT_CONSUMED, 0, consume_skb_has_location ? ctx[1] : 0);
    return 0;
}

/* The first program only marks what it has seen, so that the second one,
 * 'again', does not take it for something that is new. */
static __always_inline void
see_drop(struct sk_buff *skb, __u32 reason, __u64 location, bool again)
{
    __u64 address = (__u64) skb;
    struct follow *f = bpf_map_lookup_elem(&followed, &address);

    if (f && !f->ended) {
        report_end(f, skb, VMLAT_RTT_DROPPED, reason, location);
    } else if (!f || !again) {
        /* Before the first point.  A device pointer of a socket's queue may be
         * something else. */
        see(skb, true, VMLAT_RTT_DROPPED, skb->dev, reason, location, false);
        f = bpf_map_lookup_elem(&followed, &address);
    }
    if (!f) {
        return;
    } else if (again) {
        bpf_map_delete_elem(&followed, &address);
    } else {
        f->ended = 1;
    }
}

SEC("tp_btf/kfree_skb")
int
BPF_PROG(drop, struct sk_buff *skb, void *location)
{
    see_drop(skb, kfree_skb_has_reason ? ctx[2] : 0, (__u64) location, false);
    return 0;
}

SEC("tp_btf/kfree_skb")
int
BPF_PROG(drop_again, struct sk_buff *skb, void *location)
{
    see_drop(skb, kfree_skb_has_reason ? ctx[2] : 0, (__u64) location, true);
    return 0;
}

/* Functions. */

static __always_inline void
see_at_entry(struct sk_buff *skb, enum vmlat_rtt_point point, bool twice)
{
    see(skb, true, point, point == VMLAT_RTT_IP_OUT ? NULL : skb->dev, 0, 0,
        twice);
}

#define FENTRY(NAME, POINT, ARGUMENT, TWICE)                                  \
    SEC("fentry")                                                             \
    int                                                                       \
    NAME(__u64 *ctx)                                                          \
    {                                                                         \
        see_at_entry((void *) ctx[ARGUMENT], VMLAT_RTT_##POINT, TWICE);       \
        return 0;                                                             \
    }

#define FENTRY_ONCE(ID, POINT, ARGUMENT)                                      \
    FENTRY(ID##_fentry, POINT, ARGUMENT, false)

#define FENTRY_TWICE(ID, POINT, ARGUMENT)                                     \
    FENTRY(ID##_fentry, POINT, ARGUMENT, true)                                \
    FENTRY(ID##_fentry_again, POINT, ARGUMENT, true)

/* Of kprobes, the kernel runs one program at a time, whichever: a second one
 * would be skipped, too. */
#define VMLAT_RTT_FUNCTION(ID, POINT, ARGUMENT, TIMES, MODULE, CANDIDATES)    \
    FENTRY_##TIMES(ID, POINT, ARGUMENT)                                       \
                                                                              \
    SEC("kprobe")                                                             \
    int                                                                       \
    ID##_kprobe(struct pt_regs *ctx)                                          \
    {                                                                         \
        struct sk_buff *skb = (void *) KPROBE_ARG_##ARGUMENT(ctx);            \
                                                                              \
        see(skb, false, VMLAT_RTT_##POINT,                                    \
            VMLAT_RTT_##POINT == VMLAT_RTT_IP_OUT                             \
            ? NULL : BPF_CORE_READ(skb, dev), 0, 0, false);                   \
        return 0;                                                             \
    }

#define KPROBE_ARG_0(CTX) PT_REGS_PARM1_CORE(CTX)
#define KPROBE_ARG_1(CTX) PT_REGS_PARM2_CORE(CTX)
#define KPROBE_ARG_2(CTX) PT_REGS_PARM3_CORE(CTX)

VMLAT_RTT_FUNCTIONS
