/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Copyright (c) 2026 The vmlat authors.
 */

#ifndef VMLAT_VIRT_RECORD_H
#define VMLAT_VIRT_RECORD_H 1

/* Records of packets: what their headers say.  Packets are hostile: every read
 * is bounded. */

#include "vmlat-virt-maps.h"

/* The linear part of a frame. */
struct frame {
    __u64 data;                     /* Address of the Ethernet header. */
    __u32 size;
};

static __always_inline bool
frame_read(const struct frame *f, __u32 offset, void *to, __u32 size)
{
    return (offset + size <= f->size
            && !bpf_probe_read_kernel(to, size,
                                      (void *) (long) (f->data + offset)));
}

/* Takes over what is at 'offset', the header behind IP's, of 'length' bytes
 * with what follows. */
static __always_inline void
record_l4(struct vmlat_record *r, const struct frame *f, __u32 offset,
          __u32 length)
{
    __u32 header = 0;

    if (r->proto == VMLAT_IPPROTO_TCP) {
        struct tcphdr tcp;

        if (!frame_read(f, offset, &tcp, sizeof tcp)) {
            return;
        }
        r->sport = __builtin_bswap16(tcp.source);
        r->dport = __builtin_bswap16(tcp.dest);
        r->seq = __builtin_bswap32(tcp.seq);
        r->ack = __builtin_bswap32(tcp.ack_seq);
        r->l4_type = tcp.flags;
        header = (tcp.doff >> 4) * 4;
    } else if (r->proto == VMLAT_IPPROTO_UDP) {
        struct udphdr udp;
        __u32 word;

        if (!frame_read(f, offset, &udp, sizeof udp)) {
            return;
        }
        r->sport = __builtin_bswap16(udp.source);
        r->dport = __builtin_bswap16(udp.dest);
        header = sizeof udp;
        if (length >= header + 4
            && frame_read(f, offset + header, &word, sizeof word)) {
            r->seq = __builtin_bswap32(word);
        }
        if (length >= header + 8
            && frame_read(f, offset + header + 4, &word, sizeof word)) {
            r->ack = __builtin_bswap32(word);
        }
    } else if (r->proto == VMLAT_IPPROTO_ICMP
               || r->proto == VMLAT_IPPROTO_ICMPV6) {
        struct icmphdr icmp;

        if (!frame_read(f, offset, &icmp, sizeof icmp)) {
            return;
        }
        r->l4_type = icmp.type;
        header = sizeof icmp;
        if (r->proto == VMLAT_IPPROTO_ICMP
            ? icmp.type == VMLAT_ICMP_ECHO
              || icmp.type == VMLAT_ICMP_ECHOREPLY
            : icmp.type == VMLAT_ICMPV6_ECHO_REQUEST
              || icmp.type == VMLAT_ICMPV6_ECHO_REPLY) {
            r->sport = __builtin_bswap16(icmp.id);
            r->seq = __builtin_bswap16(icmp.sequence);
        }
    } else if (r->proto == VMLAT_IPPROTO_SCTP) {
        __u16 ports[2];

        if (frame_read(f, offset, ports, sizeof ports)) {
            r->sport = __builtin_bswap16(ports[0]);
            r->dport = __builtin_bswap16(ports[1]);
        }
    }
    r->payload = length > header ? length - header : 0;
}

static __always_inline void
record_ip(struct vmlat_record *r, const struct frame *f, __u32 offset)
{
    struct iphdr ip;
    __u32 header, length;
    __u16 frag;

    if (!frame_read(f, offset, &ip, sizeof ip)
        || ip.ihl_version >> 4 != 4 || (ip.ihl_version & 15) < 5) {
        return;
    }
    r->src[10] = r->src[11] = r->dst[10] = r->dst[11] = 0xff;
    __builtin_memcpy(&r->src[12], &ip.saddr, 4);
    __builtin_memcpy(&r->dst[12], &ip.daddr, 4);
    r->proto = ip.protocol;
    r->ip_id = __builtin_bswap16(ip.id);
    frag = __builtin_bswap16(ip.frag_off);
    if (frag & (VMLAT_IP_OFFSET | VMLAT_IP_MF)) {
        r->flags |= VMLAT_REC_FRAGMENT;
    }
    header = (ip.ihl_version & 15) * 4;
    length = __builtin_bswap16(ip.tot_len);
    length = length > header ? length - header : 0;
    if (frag & VMLAT_IP_OFFSET) {
        r->payload = length;
    } else {
        record_l4(r, f, offset + header, length);
    }
}

static __always_inline void
record_ip6(struct vmlat_record *r, const struct frame *f, __u32 offset)
{
    struct ipv6hdr ip6;
    __u32 length;
    __u16 frag = 0;
    __u8 proto;

    if (!frame_read(f, offset, &ip6, sizeof ip6)
        || (*(__u8 *) &ip6) >> 4 != 6) {
        return;
    }
    __builtin_memcpy(r->src, ip6.saddr, 16);
    __builtin_memcpy(r->dst, ip6.daddr, 16);
    length = __builtin_bswap16(ip6.payload_len);
    proto = ip6.nexthdr;
    offset += sizeof ip6;
    for (int i = 0; i < 4; i++) {
        __u8 opt[8];
        __u32 size;

        if ((proto != VMLAT_IPPROTO_HOPOPTS && proto != VMLAT_IPPROTO_ROUTING
             && proto != VMLAT_IPPROTO_DSTOPTS
             && proto != VMLAT_IPPROTO_FRAGMENT)
            || !frame_read(f, offset, opt, sizeof opt)) {
            break;
        }
        size = 8;
        if (proto == VMLAT_IPPROTO_FRAGMENT) {
            frag = (opt[2] << 8 | opt[3]) & 0xfff8;
            r->flags |= VMLAT_REC_FRAGMENT;
        } else {
            size = (opt[1] + 1) * 8;
        }
        proto = opt[0];
        offset += size;
        length = length > size ? length - size : 0;
        if (frag) {
            break;
        }
    }
    r->proto = proto;
    if (frag) {
        r->payload = length;
    } else {
        record_l4(r, f, offset, length);
    }
}

/* Finds the linear part of 'skb', whose Ethernet header begins at its data or,
 * if 'pulled', at its MAC header. */
static __always_inline void
frame_find(struct frame *f, struct sk_buff *skb, bool pulled)
{
    unsigned char *head = BPF_CORE_READ(skb, head);
    __u64 tail = (__u64) (long) head + BPF_CORE_READ(skb, tail);

    f->data = (pulled ? (__u64) (long) head + BPF_CORE_READ(skb, mac_header)
               : (__u64) (long) BPF_CORE_READ(skb, data));
    f->size = tail > f->data && tail - f->data < 65536 ? tail - f->data : 0;
}

/* Makes record 'number' of 'recs' that of the skb 'id' in all but times and
 * ports; 'pulled' is as for frame_find(). */
__noinline int
record_begin(__u64 id, __u32 number, __u32 pulled)
{
    struct vmlat_record *r = &at(recs, N_RECS, number)->record;
    struct sk_buff *skb = (void *) (long) number_of(id);
    unsigned char *head = BPF_CORE_READ(skb, head);
    struct skb_shared_info *shinfo;
    __u32 offset = 12, gso_size;
    struct frame f;
    __u16 type = 0;

    __builtin_memset(r, 0, sizeof *r);
    r->segments = 1;
    r->vring = VMLAT_VRING_UNKNOWN;
    frame_find(&f, skb, pulled);
    for (int i = 0; i < 3; i++) {
        if (!frame_read(&f, offset, &type, sizeof type)) {
            return 0;
        }
        offset += 2;
        if (type != __builtin_bswap16(VMLAT_ETH_P_8021Q)
            && type != __builtin_bswap16(VMLAT_ETH_P_8021AD)) {
            break;
        }
        offset += 2;
    }
    if (type == __builtin_bswap16(VMLAT_ETH_P_IP)) {
        record_ip(r, &f, offset);
    } else if (type == __builtin_bswap16(VMLAT_ETH_P_IPV6)) {
        record_ip6(r, &f, offset);
    }

    shinfo = (void *) (head + BPF_CORE_READ(skb, end));
    gso_size = BPF_CORE_READ(shinfo, gso_size);
    if (gso_size) {
        __u32 n = BPF_CORE_READ(shinfo, gso_segs);

        /* A device that hands a guest's packet over does not fill it in. */
        r->segments = n ? n : (r->payload + gso_size - 1) / gso_size;
    }
    return 0;
}

/* Writes record 'r', whose marks were passed at 'times', in ns, 0 for those
 * that it did not pass. */
static __always_inline void
record_end(struct vmlat_record *r, const __u64 times[VMLAT_RECORD_MARKS])
{
    __u64 first = 0, last = 0;
    __u32 shift = 0;

    for (int i = 0; i < VMLAT_RECORD_MARKS; i++) {
        first = first ? first : times[i];
        last = times[i] ? times[i] : last;
    }
    last -= first;
    if (unlikely(last >= VMLAT_MARK_NONE)) {
        /* Up to 78 hours. */
        shift = last >> 40 ? 16 : 8;
    }
    r->time_ns = first;
    r->shift = shift;
    r->cpu = bpf_get_smp_processor_id();
    for (int i = 0; i < VMLAT_RECORD_MARKS; i++) {
        r->marks[i] = (times[i] ? (times[i] - first) >> shift
                       : VMLAT_MARK_NONE);
    }
    if (bpf_ringbuf_output(&records, r, sizeof *r, 0)) {
        __sync_fetch_and_add(&stats.records_lost, 1);
    } else {
        __sync_fetch_and_add(&stats.records, 1);
    }
}

#endif /* vmlat-virt-record.h */
