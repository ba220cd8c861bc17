/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Copyright (c) 2026 The vmlat authors. */

/* Times packets on their way through a guest's own stack: out, from IP to the
 * device's driver, and in, from the driver to ICMP, TCP or UDP.
 *
 * Each skb is followed by its address, from where it is first seen to where
 * its way is complete, or to its end before that.  What is in the packet says
 * whether it is wanted, and goes with it to user space, which finds the reply
 * to a request and the same packet in what others recorded.
 *
 * All of it concerns one network namespace.  A packet that goes over to
 * another one through a veth device has left, as by any device. */

#include "vmlat-kernel-types.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#include "vmlat-guest-abi.h"

char _license[] SEC("license") = "Dual BSD/GPL";

/* Extension headers of IPv6 that are looked through. */
#define MAX_EXTENSIONS 6

/* Finished packets wait in the buffer for the reader's next turn, unless there
 * are as many bytes of them. */
#define BUFFER_BYTES (1 << 21)
#define WAKE_BYTES (BUFFER_BYTES / 8)

/* Set before loading; the verifier then never sees branches not taken. */
const volatile struct vmlat_guest_config config = { .protocols = 0 };
const volatile bool kfree_skb_has_reason = false;
const volatile bool consume_skb_has_location = false;

/* Where a packet was last seen. */
enum state {
    AT_IP_OUT = 1,
    AT_QDISC,
    AT_TX,
    AT_RX,
    AT_IP_IN,
};

/* Packets under way, by the address of their skb. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 8192);
    __type(key, __u64);
    __type(value, struct vmlat_guest_packet);
} followed SEC(".maps");

/* TCP packets that the kernel has cut up since the device cannot (GSO without
 * TSO): what goes to the driver are other skbs, the segments.  It may cut up
 * some before it sends the first segment of any. */
#define N_PARENTS 8
struct parent {
    __u64 times[2];
    __u32 seq;
    __u32 payload;
    __u32 pid;
    __s32 stack;
    char command[16];
};
struct flow {
    __u32 src[4], dst[4];
    __u16 sport, dport;
};
struct parents {
    __u64 n;
    struct parent parents[N_PARENTS];   /* The last ones, by 'n'. */
};

/* A type that user space knows. */
const volatile __u64 no_parents[sizeof(struct parents) / sizeof(__u64)] = {
    0
};
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 512);
    __type(key, struct flow);
    __type(value, struct parents);
} segmented SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, BUFFER_BYTES);
} events SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, VMLAT_GUEST_N_COUNTERS);
    __type(key, __u32);
    __type(value, __u64);
} counters SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_STACK_TRACE);
    __uint(max_entries, 512);
    __uint(key_size, sizeof(__u32));
    __uint(value_size, VMLAT_GUEST_STACK_DEPTH * sizeof(__u64));
} stacks SEC(".maps");

/* Reads a member of a structure of the kernel: with a plain load where the
 * verifier knows the pointer ('direct', a constant), else with a helper. */
#define GET(POINTER, MEMBER) \
    (direct ? (POINTER)->MEMBER : BPF_CORE_READ(POINTER, MEMBER))

static __always_inline void
count(__u32 counter)
{
    __u64 *n = bpf_map_lookup_elem(&counters, &counter);

    if (n) {
        (*n)++;
    }
}

/* Parsing. */

/* Where the headers of a packet are. */
struct window {
    const unsigned char *head;
    __u32 end;                  /* Where what can be read ends. */
};

enum packet {
    PACKET_WANTED_PROTOCOL,
    PACKET_OTHER,
    PACKET_FRAGMENT,
    PACKET_NOT_LINEAR,
    PACKET_NOT_IP,
};

static __always_inline bool
read(const struct window *w, __u32 offset, void *to, __u32 size)
{
    return (offset + size <= w->end
            && !bpf_probe_read_kernel(to, size, w->head + offset));
}

static __always_inline bool
is_request(const struct vmlat_guest_id *id)
{
    return (id->ip_version == 4 ? id->l4_type == VMLAT_ICMP_ECHO
            : id->l4_type == VMLAT_ICMPV6_ECHO_REQUEST);
}

/* Parses what is behind IP at 'offset', 'rest' bytes by the IP header. */
static __always_inline enum packet
parse_l4(const struct window *w, __u32 offset, __u32 rest,
         struct vmlat_guest_id *id)
{
    __u32 header;

    if (id->proto == VMLAT_IPPROTO_TCP) {
        struct tcphdr tcp;

        if (!(config.protocols & VMLAT_GUEST_TCP)) {
            return PACKET_OTHER;
        }
        if (!read(w, offset, &tcp, sizeof tcp)) {
            return PACKET_NOT_LINEAR;
        }
        id->sport = bpf_ntohs(tcp.source);
        id->dport = bpf_ntohs(tcp.dest);
        id->seq = bpf_ntohl(tcp.seq);
        id->ack = bpf_ntohl(tcp.ack_seq);
        id->l4_type = tcp.flags;
        header = (tcp.doff >> 4) * 4;
    } else if (id->proto == VMLAT_IPPROTO_UDP) {
        struct udphdr udp;
        __be32 payload[2];

        if (!(config.protocols & VMLAT_GUEST_UDP)) {
            return PACKET_OTHER;
        }
        if (!read(w, offset, &udp, sizeof udp)) {
            return PACKET_NOT_LINEAR;
        }
        id->sport = bpf_ntohs(udp.source);
        id->dport = bpf_ntohs(udp.dest);
        id->l4_type = 0;
        id->seq = id->ack = 0;
        header = sizeof udp;
        if (rest >= header + sizeof payload[0]
            && read(w, offset + header, &payload[0], sizeof payload[0])) {
            id->seq = bpf_ntohl(payload[0]);
        }
        if (rest >= header + sizeof payload
            && read(w, offset + header + sizeof payload[0], &payload[1],
                    sizeof payload[1])) {
            id->ack = bpf_ntohl(payload[1]);
        }
    } else if (id->proto == (id->ip_version == 4 ? VMLAT_IPPROTO_ICMP
                             : VMLAT_IPPROTO_ICMPV6)) {
        struct icmphdr icmp;

        if (!(config.protocols & VMLAT_GUEST_ICMP)) {
            return PACKET_OTHER;
        }
        if (!read(w, offset, &icmp, sizeof icmp)) {
            return PACKET_NOT_LINEAR;
        }
        if (icmp.code
            || (id->ip_version == 4
                ? icmp.type != VMLAT_ICMP_ECHO
                  && icmp.type != VMLAT_ICMP_ECHOREPLY
                : icmp.type != VMLAT_ICMPV6_ECHO_REQUEST
                  && icmp.type != VMLAT_ICMPV6_ECHO_REPLY)) {
            return PACKET_OTHER;
        }
        id->sport = bpf_ntohs(icmp.id);
        id->dport = 0;
        id->seq = bpf_ntohs(icmp.sequence);
        id->ack = 0;
        id->l4_type = icmp.type;
        header = sizeof icmp;
    } else {
        return PACKET_OTHER;
    }
    id->payload = rest > header ? rest - header : 0;
    return PACKET_WANTED_PROTOCOL;
}

/* Parses the IP packet at 'offset'.  'length' is that of the packet from there
 * on, by its skb. */
static __always_inline enum packet
parse_ip(const struct window *w, __u32 offset, __u32 length,
         struct vmlat_guest_id *id)
{
    __u32 start = offset;
    __u8 version;

    if (!read(w, offset, &version, sizeof version)) {
        return PACKET_NOT_LINEAR;
    }
    if (version >> 4 == 4) {
        struct iphdr ip;
        __u32 header, total;

        if (!read(w, offset, &ip, sizeof ip)) {
            return PACKET_NOT_LINEAR;
        }
        header = (ip.ihl_version & 15) * 4;
        if (header < sizeof ip) {
            return PACKET_NOT_IP;
        }
        if (ip.frag_off & bpf_htons(VMLAT_IP_OFFSET | VMLAT_IP_MF)) {
            return PACKET_FRAGMENT;
        }
        id->ip_version = 4;
        id->proto = ip.protocol;
        id->ip_id = bpf_ntohs(ip.id);
        id->src[0] = id->src[1] = id->dst[0] = id->dst[1] = 0;
        id->src[2] = id->dst[2] = bpf_htonl(0xffff);
        id->src[3] = ip.saddr;
        id->dst[3] = ip.daddr;

        /* 0 in packets of more than 64 KiB and where IP begins to send. */
        total = ip.tot_len ? bpf_ntohs(ip.tot_len) : length;
        return parse_l4(w, offset + header,
                        total > header ? total - header : 0, id);
    } else if (version >> 4 == 6) {
        struct ipv6hdr ip6;
        __u32 total;

        if (!read(w, offset, &ip6, sizeof ip6)) {
            return PACKET_NOT_LINEAR;
        }
        total = ip6.payload_len ? bpf_ntohs(ip6.payload_len) + sizeof ip6
                                : length;
        offset += sizeof ip6;
        id->proto = ip6.nexthdr;
        for (int i = 0; i < MAX_EXTENSIONS; i++) {
            struct ipv6_frag_hdr ext;

            if (id->proto != VMLAT_IPPROTO_HOPOPTS
                && id->proto != VMLAT_IPPROTO_ROUTING
                && id->proto != VMLAT_IPPROTO_DSTOPTS
                && id->proto != VMLAT_IPPROTO_FRAGMENT) {
                break;
            }
            if (!read(w, offset, &ext, sizeof ext)) {
                return PACKET_NOT_LINEAR;
            }
            if (id->proto != VMLAT_IPPROTO_FRAGMENT) {
                offset += ext.reserved * 8;     /* There, the length. */
            } else if (ext.frag_off & bpf_htons(0xfff9)) {
                return PACKET_FRAGMENT;
            }
            offset += 8;
            id->proto = ext.nexthdr;
        }
        id->ip_version = 6;
        id->ip_id = 0;
        for (int i = 0; i < 4; i++) {
            id->src[i] = ip6.saddr[i];
            id->dst[i] = ip6.daddr[i];
        }
        return parse_l4(w, offset,
                        total > offset - start ? total - (offset - start) : 0,
                        id);
    }
    return PACKET_NOT_IP;
}

/* Parses 'skb', which has been received if 'rx', else is being sent. */
static __always_inline enum packet
parse(struct sk_buff *skb, bool direct, bool rx, struct vmlat_guest_id *id)
{
    struct window w;
    __u32 offset, length, gso_size, gso_segs;
    const unsigned char *data = GET(skb, data);
    const struct skb_shared_info *info;
    enum packet packet;

    w.head = GET(skb, head);
    offset = data - w.head;
    length = GET(skb, len);
    w.end = offset + length - GET(skb, data_len);
    if (rx) {
        __be16 type = GET(skb, protocol);

        /* The kernel sets the network header a little later. */
        for (int i = 0; i < 2; i++) {
            struct vlan_hdr vlan;

            if (type != bpf_htons(VMLAT_ETH_P_8021Q)
                && type != bpf_htons(VMLAT_ETH_P_8021AD)) {
                break;
            }
            if (!read(&w, offset, &vlan, sizeof vlan)) {
                return PACKET_NOT_IP;
            }
            type = vlan.h_vlan_encapsulated_proto;
            offset += sizeof vlan;
            length -= sizeof vlan;
        }
        if (type != bpf_htons(VMLAT_ETH_P_IP)
            && type != bpf_htons(VMLAT_ETH_P_IPV6)) {
            return PACKET_NOT_IP;
        }
    } else {
        __be16 type = GET(skb, protocol);
        __u32 network = GET(skb, network_header);

        /* The type is not set yet where IPv4 sends. */
        if (type && type != bpf_htons(VMLAT_ETH_P_IP)
            && type != bpf_htons(VMLAT_ETH_P_IPV6)
            && type != bpf_htons(VMLAT_ETH_P_8021Q)
            && type != bpf_htons(VMLAT_ETH_P_8021AD)) {
            return PACKET_NOT_IP;
        }
        length -= network - offset;
        offset = network;
    }

    packet = parse_ip(&w, offset, length, id);
    if (packet == PACKET_WANTED_PROTOCOL) {
        info = (const void *) (w.head + GET(skb, end));
        gso_size = BPF_CORE_READ(info, gso_size);
        gso_segs = gso_size ? BPF_CORE_READ(info, gso_segs) : 0;
        id->segments = gso_segs ? gso_segs : 1;
    }
    return packet;
}

static __always_inline bool
fits(const __u32 *src, const __u32 *dst, __u16 sport, __u16 dport)
{
    __u32 differ = 0;

    for (int i = 0; i < 4; i++) {
        differ |= ((src[i] & config.src_mask[i]) ^ config.src[i])
                  | ((dst[i] & config.dst_mask[i]) ^ config.dst[i]);
    }
    return !differ && (!config.sport || config.sport == sport)
           && (!config.dport || config.dport == dport);
}

/* Returns whether the filter takes 'id': of echoes, by the request, which the
 * reply turns around; of TCP and UDP, in one direction or the other. */
static __always_inline bool
is_wanted(const struct vmlat_guest_id *id, enum vmlat_guest_kind kind)
{
    if (id->proto != VMLAT_IPPROTO_TCP && id->proto != VMLAT_IPPROTO_UDP) {
        bool request = is_request(id);

        return (config.kinds & 1 << (request ? kind : !kind)
                && (request ? fits(id->src, id->dst, 0, 0)
                    : fits(id->dst, id->src, 0, 0)));
    }
    return (config.kinds & 1 << kind
            && (fits(id->src, id->dst, id->sport, id->dport)
                || fits(id->dst, id->src, id->dport, id->sport)));
}

/* Counts that a packet that 'packet' says is not followed passed a device. */
static __always_inline void
count_packet(enum packet packet)
{
    if (packet == PACKET_OTHER) {
        count(VMLAT_GUEST_CNT_OTHER);
    } else if (packet == PACKET_FRAGMENT) {
        count(VMLAT_GUEST_CNT_FRAGMENT);
    } else if (packet == PACKET_NOT_LINEAR) {
        count(VMLAT_GUEST_CNT_NOT_LINEAR);
    } else if (packet == PACKET_WANTED_PROTOCOL) {
        count(VMLAT_GUEST_CNT_FILTERED);
    }
}

/* Following. */

static __always_inline bool
is_here(struct net_device *dev)
{
    return dev && BPF_CORE_READ(dev, nd_net.net, ns.inum) == config.netns;
}

static __always_inline bool
is_loopback(struct net_device *dev)
{
    return BPF_CORE_READ(dev, flags) & VMLAT_IFF_LOOPBACK;
}

static __always_inline void
set_device(struct vmlat_guest_packet *p, struct net_device *dev)
{
    p->ifindex = BPF_CORE_READ(dev, ifindex);
    bpf_probe_read_kernel(p->device, sizeof p->device,
                          __builtin_preserve_access_index(&dev->name));
}

static __always_inline void
set_process(struct vmlat_guest_packet *p, void *ctx)
{
    p->pid = bpf_get_current_pid_tgid() >> 32;
    bpf_get_current_comm(p->command, sizeof p->command);
    p->stack = config.stacks ? bpf_get_stackid(ctx, &stacks, 0) : -1;
}

/* Returns how to submit: the reader wakes up by itself in short intervals. */
static __always_inline __u64
wakeup(void)
{
    return (bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) >= WAKE_BYTES
            ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}

static __always_inline void
follow(__u64 address, struct vmlat_guest_packet *p)
{
    p->skb = address;
    if (bpf_map_update_elem(&followed, &address, p, BPF_ANY)) {
        count(VMLAT_GUEST_CNT_TABLE_FULL);
    } else {
        count(VMLAT_GUEST_CNT_STARTED);
    }
}

/* Ends following 'f', which is counted as 'counter' and not reported. */
static __always_inline void
forget(__u64 address, enum vmlat_guest_counter counter)
{
    if (!bpf_map_delete_elem(&followed, &address)) {
        count(counter);
    }
}

/* Ends following 'f' and reports it.  Only one of those who do that at the
 * same time finds it in the map. */
static __always_inline void
finish(const struct vmlat_guest_packet *f, __u64 address,
       enum vmlat_guest_end end, __u64 end_ns, __u32 reason, __u64 location)
{
    struct vmlat_guest_packet *e;

    if (f->kind == VMLAT_GUEST_OUT && f->state == AT_TX && config.ifindex
        && f->ifindex != config.ifindex) {
        forget(address, VMLAT_GUEST_CNT_ELSEWHERE);
        return;
    }
    e = bpf_ringbuf_reserve(&events, sizeof *e, 0);
    if (!e) {
        forget(address, VMLAT_GUEST_CNT_BUFFER_FULL);
        return;
    }
    *e = *f;
    e->end = end;
    e->end_ns = end_ns;
    e->reason = reason;
    e->location = location;
    if (bpf_map_delete_elem(&followed, &address)) {
        bpf_ringbuf_discard(e, BPF_RB_NO_WAKEUP);
        return;
    }
    count(end == VMLAT_GUEST_COMPLETE ? VMLAT_GUEST_CNT_COMPLETE
          : end == VMLAT_GUEST_DROPPED ? VMLAT_GUEST_CNT_DROPPED
          : VMLAT_GUEST_CNT_ENDED);
    bpf_ringbuf_submit(e, wakeup());
}

static __always_inline void
set_flow(struct flow *flow, const struct vmlat_guest_id *id)
{
    for (int i = 0; i < 4; i++) {
        flow->src[i] = id->src[i];
        flow->dst[i] = id->dst[i];
    }
    flow->sport = id->sport;
    flow->dport = id->dport;
}

/* Keeps what the segments of 'f' have from it. */
static __always_inline void
keep_parent(const struct vmlat_guest_packet *f)
{
    struct parents *parents;
    struct parent *parent;
    struct flow flow;

    set_flow(&flow, &f->id);
    parents = bpf_map_lookup_elem(&segmented, &flow);
    if (!parents) {
        bpf_map_update_elem(&segmented, &flow, (const void *) no_parents,
                            BPF_NOEXIST);
        parents = bpf_map_lookup_elem(&segmented, &flow);
        if (!parents) {
            return;
        }
    }
    parent = &parents->parents[parents->n++ % N_PARENTS];
    parent->times[0] = f->times[0];
    parent->times[1] = f->times[1];
    parent->seq = f->id.seq;
    parent->payload = f->id.payload;
    parent->pid = f->pid;
    parent->stack = f->stack;
    __builtin_memcpy(parent->command, f->command, sizeof parent->command);
}

/* Gives 'p' what it has from the packet that it is a segment of.  Returns
 * false if there is none. */
static __always_inline bool
adopt(struct vmlat_guest_packet *p)
{
    const struct parents *parents;
    struct flow flow;

    if (p->id.proto != VMLAT_IPPROTO_TCP) {
        return false;
    }
    set_flow(&flow, &p->id);
    parents = bpf_map_lookup_elem(&segmented, &flow);
    for (int i = 0; parents && i < N_PARENTS; i++) {
        const struct parent *parent = &parents->parents[i];

        if (p->id.seq - parent->seq < parent->payload) {
            p->times[0] = parent->times[0];
            p->times[1] = parent->times[1];
            p->pid = parent->pid;
            p->stack = parent->stack;
            __builtin_memcpy(p->command, parent->command, sizeof p->command);
            return true;
        }
    }
    return false;
}

static __always_inline bool
same_id(const struct vmlat_guest_id *a, const struct vmlat_guest_id *b)
{
    return a->seq == b->seq && a->ack == b->ack && a->ip_id == b->ip_id
           && a->payload == b->payload && a->proto == b->proto;
}

/* A packet of this host is in IP, 'first' if nothing of the kind was seen of
 * it before. */
static __always_inline void
see_ip_out(void *ctx, struct sk_buff *skb, bool direct, struct net *net,
           bool first)
{
    struct vmlat_guest_packet p = { .kind = VMLAT_GUEST_OUT };
    __u64 address = (__u64) skb;
    struct vmlat_guest_packet *f;
    bool wanted;

    if (GET(net, ns.inum) != config.netns) {
        return;
    }
    f = bpf_map_lookup_elem(&followed, &address);
    if (f) {
        if (f->kind == VMLAT_GUEST_OUT && f->state == AT_IP_OUT) {
            if (!first) {
                return;
            }
        } else if (f->kind == VMLAT_GUEST_OUT && f->state == AT_TX) {
            /* With the driver of a tunnel, and once more in IP. */
            finish(f, address, VMLAT_GUEST_COMPLETE, 0, 0, 0);
            f = NULL;
        } else if (f->kind == VMLAT_GUEST_OUT || !f->through) {
            /* What comes in and was not sent on by a device gets here only
             * where its end was missed: this is another packet. */
            forget(address, VMLAT_GUEST_CNT_UNTRACKED);
            f = NULL;
        } else {
            return;
        }
    }
    wanted = (!GET(skb, skb_iif)
              && parse(skb, direct, false, &p.id) == PACKET_WANTED_PROTOCOL
              && is_wanted(&p.id, VMLAT_GUEST_OUT));
    if (f) {
        /* The function's other program has seen it, unless it is another
         * packet. */
        if (wanted && same_id(&f->id, &p.id)) {
            return;
        }
        forget(address, VMLAT_GUEST_CNT_UNTRACKED);
    }
    if (!wanted) {
        return;
    }
    p.times[0] = bpf_ktime_get_ns();
    p.state = AT_IP_OUT;
    set_process(&p, ctx);
    follow(address, &p);
}

/* 'skb' is given to a device's queueing discipline. */
SEC("tp_btf/net_dev_queue")
int
BPF_PROG(queue, struct sk_buff *skb)
{
    __u64 address = (__u64) skb;
    struct vmlat_guest_packet *f = bpf_map_lookup_elem(&followed, &address);

    if (f) {
        if (f->kind == VMLAT_GUEST_IN) {
            f->through = 1;
        } else if (f->state == AT_TX && !is_here(skb->dev)) {
            /* From a macvlan device to that of another namespace. */
            finish(f, address, VMLAT_GUEST_COMPLETE, 0, 0, 0);
        } else {
            if (!f->times[1]) {
                f->times[1] = bpf_ktime_get_ns();
            }
            f->state = AT_QDISC;
        }
        return 0;
    }
    if (!skb->skb_iif && is_here(skb->dev) && !is_loopback(skb->dev)) {
        struct vmlat_guest_packet p = { .kind = VMLAT_GUEST_OUT };

        if (parse(skb, true, false, &p.id) == PACKET_WANTED_PROTOCOL
            && is_wanted(&p.id, VMLAT_GUEST_OUT)) {
            p.times[1] = bpf_ktime_get_ns();
            p.state = AT_QDISC;
            set_process(&p, ctx);
            follow(address, &p);
        }
    }
    return 0;
}

/* 'skb' is given to the driver of 'dev'. */
SEC("tp_btf/net_dev_start_xmit")
int
BPF_PROG(tx, struct sk_buff *skb, struct net_device *dev)
{
    __u64 address = (__u64) skb;
    struct vmlat_guest_packet *f = bpf_map_lookup_elem(&followed, &address);
    struct vmlat_guest_id id = { .segments = 1 };
    enum packet packet;

    if (f && f->kind == VMLAT_GUEST_IN) {
        f->through = 1;
        return 0;
    }
    if (!is_here(dev)) {
        return 0;
    }
    if (is_loopback(dev)) {
        if (f) {
            forget(address, VMLAT_GUEST_CNT_ELSEWHERE);
        }
        return 0;
    }

    /* Once more: netfilter may have translated addresses. */
    packet = parse(skb, true, false, &id);
    if (f) {
        if (packet == PACKET_WANTED_PROTOCOL) {
            f->id = id;
        }
        f->times[2] = bpf_ktime_get_ns();
        f->state = AT_TX;
        f->cpu = bpf_get_smp_processor_id();
        set_device(f, dev);
    } else if (packet != PACKET_WANTED_PROTOCOL
               || !is_wanted(&id, VMLAT_GUEST_OUT)
               || (config.ifindex
                   && config.ifindex != (__u32) BPF_CORE_READ(dev, ifindex))) {
        count_packet(packet);
    } else if (!skb->skb_iif) {
        struct vmlat_guest_packet p = { .kind = VMLAT_GUEST_OUT };

        p.id = id;
        p.times[2] = bpf_ktime_get_ns();
        p.state = AT_TX;
        p.cpu = bpf_get_smp_processor_id();
        set_device(&p, dev);
        if (!adopt(&p)) {
            set_process(&p, ctx);
        }
        follow(address, &p);
    }
    return 0;
}

/* The driver has taken 'skb', which may be gone: its address alone is used. */
SEC("tp_btf/net_dev_xmit")
int
BPF_PROG(tx_done, struct sk_buff *skb, int rc, struct net_device *dev)
{
    __u64 address = (__u64) skb;
    struct vmlat_guest_packet *f = bpf_map_lookup_elem(&followed, &address);

    if (f && f->kind == VMLAT_GUEST_OUT && f->state == AT_TX
        && f->ifindex == (__u32) dev->ifindex) {
        if (rc) {
            f->state = AT_QDISC;        /* Comes again, or is dropped. */
        } else {
            if (!f->times[0]
                && config.has_ip_out & (f->id.ip_version == 4 ? 1 : 2)) {
                count(VMLAT_GUEST_CNT_NO_START);
            }
            finish(f, address, VMLAT_GUEST_COMPLETE, 0, 0, 0);
        }
    }
    return 0;
}

/* 'skb' has come from the driver of its device. */
SEC("tp_btf/netif_receive_skb")
int
BPF_PROG(rx, struct sk_buff *skb)
{
    struct vmlat_guest_packet p = { .kind = VMLAT_GUEST_IN };
    __u64 address = (__u64) skb;
    struct vmlat_guest_packet *f = bpf_map_lookup_elem(&followed, &address);
    struct net_device *dev = skb->dev;
    enum packet packet;
    __u8 deliver;

    if (f && f->kind == VMLAT_GUEST_OUT) {
        /* Through a veth device, to whom it belongs to from now on. */
        if (f->state == AT_TX) {
            finish(f, address, VMLAT_GUEST_COMPLETE, 0, 0, 0);
        } else {
            forget(address, VMLAT_GUEST_CNT_UNTRACKED);
        }
        f = NULL;
    }
    if (!is_here(dev) || is_loopback(dev)) {
        if (f) {
            forget(address, VMLAT_GUEST_CNT_FORWARDED);
        }
        return 0;
    }
    packet = parse(skb, true, true, &p.id);
    if (f) {
        if (packet == PACKET_WANTED_PROTOCOL && same_id(&f->id, &p.id)) {
            /* Back from an ifb, or up to a device above. */
            f->through = 0;
            return 0;
        }
        forget(address, VMLAT_GUEST_CNT_UNTRACKED);
    }
    if (packet != PACKET_WANTED_PROTOCOL || !is_wanted(&p.id, VMLAT_GUEST_IN)
        || (config.ifindex && config.ifindex != (__u32) dev->ifindex)) {
        count_packet(packet);
        return 0;
    }

    p.times[0] = bpf_ktime_get_ns();
    p.state = AT_RX;
    p.cpu = bpf_get_smp_processor_id();
    p.stack = -1;
    set_device(&p, dev);
    deliver = p.id.ip_version == 4 ? config.deliver4 : config.deliver6;
    if ((p.id.proto == VMLAT_IPPROTO_TCP && !(deliver & VMLAT_GUEST_TCP))
        || (p.id.proto == VMLAT_IPPROTO_UDP && !(deliver & VMLAT_GUEST_UDP))) {
        /* That is all there is to see: sockets free packets silently. */
        struct vmlat_guest_packet *e;

        count(VMLAT_GUEST_CNT_STARTED);
        e = bpf_ringbuf_reserve(&events, sizeof *e, 0);
        if (!e) {
            count(VMLAT_GUEST_CNT_BUFFER_FULL);
            return 0;
        }
        p.skb = address;
        *e = p;
        count(VMLAT_GUEST_CNT_COMPLETE);
        bpf_ringbuf_submit(e, wakeup());
    } else {
        follow(address, &p);
    }
    return 0;
}

/* 'skb' is freed. */
static __always_inline void
end(struct sk_buff *skb, bool dropped, __u32 reason, __u64 location)
{
    __u64 address = (__u64) skb;
    struct vmlat_guest_packet *f = bpf_map_lookup_elem(&followed, &address);
    enum vmlat_guest_end how;

    if (!f) {
        return;
    }
    how = dropped ? VMLAT_GUEST_DROPPED : VMLAT_GUEST_CONSUMED;
    if (f->kind == VMLAT_GUEST_OUT) {
        if (f->state == AT_TX && !dropped) {
            finish(f, address, VMLAT_GUEST_COMPLETE, 0, 0, 0);
            return;
        } else if (!dropped && f->id.segments > 1) {
            if (f->id.proto == VMLAT_IPPROTO_TCP) {
                keep_parent(f);
            }
            forget(address, VMLAT_GUEST_CNT_SEGMENTED);
            return;
        }
    } else if (f->through && !dropped) {
        forget(address, VMLAT_GUEST_CNT_FORWARDED);
        return;
    }
    finish(f, address, how, bpf_ktime_get_ns(), reason, location);
}

SEC("tp_btf/consume_skb")
int
BPF_PROG(consume, struct sk_buff *skb)
{
    end(skb, false, 0, consume_skb_has_location ? ctx[1] : 0);
    return 0;
}

SEC("tp_btf/kfree_skb")
int
BPF_PROG(drop, struct sk_buff *skb, void *location)
{
    end(skb, true, kfree_skb_has_reason ? ctx[2] : 0, (__u64) location);
    return 0;
}

/* The same, for what interrupts the above: see VMLAT_GUEST_FUNCTIONS.  At the
 * other tracepoints there are no interruptions by packets. */
SEC("tp_btf/consume_skb")
int
BPF_PROG(consume_again, struct sk_buff *skb)
{
    end(skb, false, 0, consume_skb_has_location ? ctx[1] : 0);
    return 0;
}

SEC("tp_btf/kfree_skb")
int
BPF_PROG(drop_again, struct sk_buff *skb, void *location)
{
    end(skb, true, kfree_skb_has_reason ? ctx[2] : 0, (__u64) location);
    return 0;
}

/* Functions. */

static __always_inline void
see_in(void *ctx, struct sk_buff *skb, bool deliver)
{
    __u64 address = (__u64) skb;
    struct vmlat_guest_packet *f = bpf_map_lookup_elem(&followed, &address);

    if (!f || f->kind != VMLAT_GUEST_IN) {
        return;
    }
    if (!deliver) {
        if (!f->times[1]) {
            f->times[1] = bpf_ktime_get_ns();
            f->state = AT_IP_IN;
        }
        return;
    }
    f->times[2] = bpf_ktime_get_ns();
    f->cpu = bpf_get_smp_processor_id();
    set_process(f, ctx);
    finish(f, address, VMLAT_GUEST_COMPLETE, 0, 0, 0);
}

/* What each HANDLER does with the arguments of the function. */
#define SEE_IP_OUT(CTX, DIRECT, NET, SKB) \
    see_ip_out(CTX, SKB, DIRECT, NET, true)
#define SEE_IP_OUTPUT(CTX, DIRECT, NET, SKB) \
    see_ip_out(CTX, SKB, DIRECT, NET, false)
#define SEE_IP_IN(CTX, DIRECT, NET, SKB) see_in(CTX, SKB, false)
#define SEE_DELIVER(CTX, DIRECT, NET, SKB) see_in(CTX, SKB, true)

#define FENTRY(NAME, HANDLER, ARGUMENT)                                       \
    SEC("fentry")                                                             \
    int                                                                       \
    NAME(__u64 *ctx)                                                          \
    {                                                                         \
        SEE_##HANDLER(ctx, true, (struct net *) ctx[0],                       \
                      (struct sk_buff *) ctx[ARGUMENT]);                      \
        return 0;                                                             \
    }

#define FENTRY_ONCE(ID, HANDLER, ARGUMENT) \
    FENTRY(ID##_fentry, HANDLER, ARGUMENT)
#define FENTRY_TWICE(ID, HANDLER, ARGUMENT) \
    FENTRY(ID##_fentry, HANDLER, ARGUMENT)  \
    FENTRY(ID##_fentry_again, HANDLER, ARGUMENT)

/* Of kprobes, the kernel runs one program at a time, whichever: a second one
 * would be skipped, too. */
#define VMLAT_GUEST_FUNCTION(ID, HANDLER, ARGUMENT, TIMES, PROTOCOLS,      \
                             CANDIDATES, WITHOUT)                          \
    FENTRY_##TIMES(ID, HANDLER, ARGUMENT)                                  \
                                                                           \
    SEC("kprobe")                                                          \
    int                                                                    \
    ID##_kprobe(struct pt_regs *ctx)                                       \
    {                                                                      \
        SEE_##HANDLER(ctx, false,                                          \
                      (struct net *) PT_REGS_PARM1_CORE(ctx),              \
                      (struct sk_buff *) KPROBE_ARG_##ARGUMENT(ctx));      \
        return 0;                                                          \
    }

#define KPROBE_ARG_0(CTX) PT_REGS_PARM1_CORE(CTX)
#define KPROBE_ARG_2(CTX) PT_REGS_PARM3_CORE(CTX)

VMLAT_GUEST_FUNCTIONS
