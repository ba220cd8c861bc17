/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Copyright (c) 2026 The vmlat authors.
 */

#ifndef VMLAT_PATH_HEADERS_H
#define VMLAT_PATH_HEADERS_H 1

/* What the headers of packets say.  Packets are hostile: every read is
 * bounded. */

#include "vmlat-path-maps.h"

/* Packet headers. */

/* Returns the address of the Ethernet header. */
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

/* Returns the offset of the network header in the 'size' bytes of an Ethernet
 * frame at 'data', and the EtherType, behind VLAN tags, in '*type'; 0 if it
 * cannot be read. */
static __always_inline __u32
network_offset(const void *data, __u32 size, __u16 *type)
{
    __u32 offset = 12;

    for (int i = 0; i < 3; i++) {
        if (offset + 2 > size
            || bpf_probe_read_kernel(type, sizeof *type, data + offset)) {
            return 0;
        }
        *type = __builtin_bswap16(*type);
        if (*type != VMLAT_ETH_P_8021Q && *type != VMLAT_ETH_P_8021AD) {
            break;
        }
        offset += 4;
    }
    return offset + 2;
}

/* Parses 'size' bytes of an Ethernet frame at 'address' into '*r', which is
 * all 0.  What cannot be parsed is left 0.
 *
 * Global, as hist_add() is, where kernels take pointers so. */
#ifdef VMLAT_OLD
static
#endif
__noinline int
parse(struct parsed *r, __u64 address, __u64 size)
{
    const void *data = (const void *) (long) address;
    struct vmlat_bpf_flow_key *key;
    __u32 offset;
    __u16 type;
    __u16 frag = 0;
    __u8 proto;

    if (!r) {
        return 0;
    }
    key = &r->key;
    offset = network_offset(data, size, &type);
    if (!offset) {
        return 0;
    }
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

    __builtin_memset(r, 0, sizeof *r);
    parse(r, (__u64) (long) l2, (__u32) (tail - (__u64) l2));
}

static __noinline bool
filter_admits(struct sk_buff *skb, __u32 l2_in_data)
{
    const struct vmlat_bpf_filter *f = &config.filters[config.filter & 1];
    struct parsed r;
    const __u64 *a, *b, *mask;

    if (l2_in_data) {
        __builtin_memset(&r, 0, sizeof r);
        parse(&r, (__u64) (long) BPF_CORE_READ(skb, data),
              BPF_CORE_READ(skb, len) - BPF_CORE_READ(skb, data_len));
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
    __builtin_memset(&r, 0, sizeof r);
    parse(&r, (__u64) (long) l2, 256);
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

/* Returns a hash of what an Ethernet frame at 'data' holds: enough of it to
 * tell packets apart, from the network header on, since OVS may move a VLAN
 * tag between the skb and the frame.  0 if there are not enough bytes in
 * 'linear'. */
static __noinline __u64
content(const void *data, __u32 linear, __u32 size)
{
    __u64 hash = 0xcbf29ce484222325ull;
    __u64 words[16], n;
    __u32 offset;
    __u16 type;

    offset = network_offset(data, linear, &type);
    if (!offset) {
        return 0;
    }
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

#endif /* vmlat-path-headers.h */
