/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause OR Apache-2.0 */
/* Copyright (c) 2026 The vmlat authors. */

#ifndef VMLAT_GUEST_ABI_H
#define VMLAT_GUEST_ABI_H 1

/* What bpf/vmlat-guest.bpf.c and vmlat-guest say to each other about packets
 * that a guest's stack sends and receives.
 *
 * The program follows each packet by its skb and reports it once, when it is
 * with the device's driver, at its protocol, or at its end before that.  Who
 * includes this has __u8, __u16, __u32 and __u64. */

/* Functions of the kernel that are marks of a packet.  Each has two programs,
 * <id>_fentry and <id>_kprobe, and those that are TWICE there have
 * <id>_fentry_again, too.
 *
 * VMLAT_GUEST_FUNCTION(id, HANDLER, argument that is the skb from 0,
 *                      ONCE or TWICE, protocols that need it, candidates, the
 *                      best first, what is lost without it)
 *
 * IPv6 has no function that all local packets pass as __ip_local_out() is: TCP
 * goes through ip6_xmit(), where there is no header yet, and is first seen in
 * ip6_output(), behind the netfilter hook of local output.
 *
 * The kernel does not run a program that is running on that CPU.  A process
 * that sends may be interrupted there by what sends as well, such as the reply
 * to a packet in: of two programs, one is not running and sees it.  What is
 * done only where no other packet can interrupt is ONCE. */
#define VMLAT_GUEST_FUNCTIONS                                                 \
    VMLAT_GUEST_FUNCTION(ip_out4, IP_OUT, 2, TWICE, VMLAT_GUEST_ANY,          \
                         "__ip_local_out",                                    \
                         "IPv4: sent packets are timed from the queueing "    \
                         "discipline on")                                     \
    VMLAT_GUEST_FUNCTION(ip_out6, IP_OUT, 2, TWICE, VMLAT_GUEST_ANY,          \
                         "__ip6_local_out",                                   \
                         "IPv6: sent packets but TCP's are timed from "       \
                         "ip6_output or the queueing discipline on")          \
    VMLAT_GUEST_FUNCTION(ip_output6, IP_OUTPUT, 2, TWICE, VMLAT_GUEST_TCP,    \
                         "ip6_output",                                        \
                         "IPv6: sent TCP packets are timed from the "         \
                         "queueing discipline on")                            \
    VMLAT_GUEST_FUNCTION(ip_in4, IP_IN, 0, ONCE, VMLAT_GUEST_ANY,             \
                         "ip_rcv_core ip_local_deliver",                      \
                         "IPv4: the way from the device to IP is not told "   \
                         "apart")                                             \
    VMLAT_GUEST_FUNCTION(ip_in6, IP_IN, 0, ONCE, VMLAT_GUEST_ANY,             \
                         "ip6_rcv_core ip6_input",                            \
                         "IPv6: the way from the device to IP is not told "   \
                         "apart")                                             \
    VMLAT_GUEST_FUNCTION(icmp4, DELIVER, 0, ONCE,                             \
                         VMLAT_GUEST_ICMP, "icmp_rcv",                        \
                         "ICMP: replies are timed to their end instead of "   \
                         "their arrival at ICMP, requests are not")           \
    VMLAT_GUEST_FUNCTION(icmp6, DELIVER, 0, ONCE,                             \
                         VMLAT_GUEST_ICMP, "icmpv6_rcv",                      \
                         "ICMPv6: replies are timed to their end instead of " \
                         "their arrival at ICMPv6, requests are not")         \
    VMLAT_GUEST_FUNCTION(tcp4, DELIVER, 0, ONCE,                              \
                         VMLAT_GUEST_TCP, "tcp_v4_rcv",                       \
                         "TCP over IPv4: packets in are seen at the device "  \
                         "only")                                              \
    VMLAT_GUEST_FUNCTION(tcp6, DELIVER, 0, ONCE,                              \
                         VMLAT_GUEST_TCP, "tcp_v6_rcv",                       \
                         "TCP over IPv6: packets in are seen at the device "  \
                         "only")                                              \
    VMLAT_GUEST_FUNCTION(udp4, DELIVER, 0, ONCE, VMLAT_GUEST_UDP, "udp_rcv",  \
                         "UDP over IPv4: packets in are seen at the device "  \
                         "only")                                              \
    VMLAT_GUEST_FUNCTION(udp6, DELIVER, 0, ONCE,                              \
                         VMLAT_GUEST_UDP, "udpv6_rcv",                        \
                         "UDP over IPv6: packets in are seen at the device "  \
                         "only")

/* Protocols, bits. */
#define VMLAT_GUEST_ICMP (1u << 0)      /* Echoes of ICMP and ICMPv6. */
#define VMLAT_GUEST_TCP  (1u << 1)
#define VMLAT_GUEST_UDP  (1u << 2)
#define VMLAT_GUEST_ANY  7u

/* What the program counts, per CPU.  Each packet that STARTED has exactly one
 * of the counts from COMPLETE to EXPIRED, or is under way.
 *
 * VMLAT_GUEST_COUNTER(ID, name, meaning) */
#define VMLAT_GUEST_COUNTERS                                                  \
    VMLAT_GUEST_COUNTER(STARTED, "followed",                                  \
                        "packets that were followed")                         \
    VMLAT_GUEST_COUNTER(COMPLETE, "complete",                                 \
                        "got to the driver or to their protocol")             \
    VMLAT_GUEST_COUNTER(DROPPED, "dropped",                                   \
                        "dropped on the way")                                 \
    VMLAT_GUEST_COUNTER(ENDED, "ended",                                       \
                        "freed on the way, not as a drop (fragmented, "       \
                        "reassembled, copied)")                               \
    VMLAT_GUEST_COUNTER(SEGMENTED, "segmented",                               \
                        "GSO packets that the kernel itself cut up; of "      \
                        "TCP's, the segments go on")                          \
    VMLAT_GUEST_COUNTER(FORWARDED, "forwarded",                               \
                        "received and sent on by a device")                   \
    VMLAT_GUEST_COUNTER(ELSEWHERE, "elsewhere",                               \
                        "left by the loopback or by a device not asked for")  \
    VMLAT_GUEST_COUNTER(UNTRACKED, "untracked",                               \
                        "their skb came back as another packet's")            \
    VMLAT_GUEST_COUNTER(BUFFER_FULL, "buffer-full",                           \
                        "lost: the buffer of finished packets was full")      \
    VMLAT_GUEST_COUNTER(EXPIRED, "expired",                                   \
                        "not seen again for a minute")                        \
    VMLAT_GUEST_COUNTER(TABLE_FULL, "table-full",                             \
                        "not followed: too many packets under way")           \
    VMLAT_GUEST_COUNTER(FILTERED, "filtered",                                 \
                        "at a device: left out by the filter")                \
    VMLAT_GUEST_COUNTER(OTHER, "other",                                       \
                        "at a device: of a protocol not asked for")           \
    VMLAT_GUEST_COUNTER(FRAGMENT, "fragments",                                \
                        "at a device: IP fragments, which are not followed")  \
    VMLAT_GUEST_COUNTER(NOT_LINEAR, "not-linear",                             \
                        "at a device: headers out of reach")                  \
    VMLAT_GUEST_COUNTER(NO_START, "no-start",                                 \
                        "at a device: sent, but not seen in IP (raw and "     \
                        "packet sockets, segments of UDP)")

enum vmlat_guest_counter {
#define VMLAT_GUEST_COUNTER(ID, NAME, MEANING) VMLAT_GUEST_CNT_##ID,
    VMLAT_GUEST_COUNTERS
#undef VMLAT_GUEST_COUNTER
    VMLAT_GUEST_N_COUNTERS
};

/* The direction of a packet, and its marks, which are those of the records of
 * kinds GUEST_OUT and GUEST_IN in vmlat-record-abi.h. */
enum vmlat_guest_kind {
    VMLAT_GUEST_OUT,            /* IP_OUT, QDISC, TX. */
    VMLAT_GUEST_IN,             /* RX, IP_IN, DELIVER. */
    VMLAT_GUEST_N_KINDS
};
#define VMLAT_GUEST_MARKS 3

/* How a packet ended: with the driver or at its protocol, or before. */
enum vmlat_guest_end {
    VMLAT_GUEST_COMPLETE,
    VMLAT_GUEST_DROPPED,
    VMLAT_GUEST_CONSUMED,       /* Freed, but not as a drop. */
};

/* What tells packets apart, as in struct vmlat_record. */
struct vmlat_guest_id {
    __u32 src[4];               /* Network byte order, IPv4 mapped. */
    __u32 dst[4];
    __u16 sport, dport;         /* Host byte order, as all that follow. */
    __u32 seq, ack;
    __u32 payload;
    __u16 ip_id;
    __u8 proto, l4_type;
    __u16 segments;
    __u16 ip_version;           /* 4 or 6. */
};
_Static_assert(sizeof(struct vmlat_guest_id) == 56, "ABI");

/* A packet. */
struct vmlat_guest_packet {
    __u64 times[VMLAT_GUEST_MARKS]; /* CLOCK_MONOTONIC ns, 0: not passed. */
    __u64 end_ns;               /* Freed; 0 if complete before that. */
    __u64 skb;                  /* Opaque: tells skbs apart while they live. */
    __u64 location;             /* Code address that freed it, 0 if unknown. */
    struct vmlat_guest_id id;
    __u32 ifindex;              /* Of TX or RX. */
    __u32 pid;                  /* Who ran at the first mark (out), the last
                                 * one (in). */
    __u32 cpu;                  /* At the last mark. */
    __s32 stack;                /* Of 'stacks', negative: none. */
    __u32 reason;               /* Drop reason of the kernel, 0 if none. */
    __u8 kind;                  /* enum vmlat_guest_kind. */
    __u8 end;                   /* enum vmlat_guest_end. */
    __u8 state;                 /* Of the program's. */
    __u8 through;               /* IN: a device has sent it on. */
    char device[16];
    char command[16];           /* Of 'pid'. */
};
_Static_assert(sizeof(struct vmlat_guest_packet) == 160, "ABI");

/* Settings, fixed when the program is loaded. */
struct vmlat_guest_config {
    __u32 netns;                /* Inode number of the network namespace. */
    __u32 ifindex;              /* 0: all devices but the loopback. */
    __u32 src[4], src_mask[4];  /* Of echo requests; of TCP and UDP, of one */
    __u32 dst[4], dst_mask[4];  /* of the directions.  Already masked. */
    __u16 sport, dport;         /* Host byte order, 0: any. */
    __u8 protocols;             /* VMLAT_GUEST_ICMP etc. */
    __u8 kinds;                 /* Bits by enum vmlat_guest_kind: of echo
                                 * requests, of TCP and UDP packets. */
    __u8 stacks;                /* Take stacks. */

    /* What is attached. */
    __u8 has_ip_out;            /* Bits: 1 IPv4, 2 IPv6. */
    __u8 deliver4, deliver6;    /* VMLAT_GUEST_ICMP etc. */
    __u8 pad[2];
};
_Static_assert(sizeof(struct vmlat_guest_config) == 84, "ABI");

#define VMLAT_GUEST_STACK_DEPTH 32

#endif /* vmlat-guest-abi.h */
