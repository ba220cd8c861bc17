/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause OR Apache-2.0 */
/* Copyright (c) 2026 The vmlat authors. */

#ifndef VMLAT_RTT_ABI_H
#define VMLAT_RTT_ABI_H 1

/* What bpf/vmlat-rtt.bpf.c and the daemon say to each other about ICMP echoes.
 *
 * The program reports each point that a followed echo request or reply passes;
 * the daemon puts the points of an echo together.  Who includes this has
 * __u8, __u16, __u32 and __u64. */

/* Where an echo is seen, in the order in which a packet that is sent and then
 * received passes them.
 *
 * VMLAT_RTT_POINT(ID, name, what is lost where it cannot be attached) */
#define VMLAT_RTT_POINTS                                                      \
    VMLAT_RTT_POINT(IP_OUT, "ip-out",                                         \
                    "netfilter, routing output and neighbour lookup of local "\
                    "packets are not timed")                                  \
    VMLAT_RTT_POINT(QUEUE, "queue",                                           \
                    "waiting in the queueing discipline is not told apart")   \
    VMLAT_RTT_POINT(TX, "device-tx",                                          \
                    "nothing can be measured")                                \
    VMLAT_RTT_POINT(RX, "device-rx",                                          \
                    "nothing can be measured")                                \
    VMLAT_RTT_POINT(OVS, "ovs",                                               \
                    "the way into OVS is not told apart")                     \
    VMLAT_RTT_POINT(UPCALL, "upcall",                                         \
                    "upcalls are not told apart")                             \
    VMLAT_RTT_POINT(VPORT_SEND, "vport-send",                                 \
                    "the way out of OVS is not told apart")                   \
    VMLAT_RTT_POINT(IP_IN, "ip-in",                                           \
                    "the way from the device to IP is not told apart")        \
    VMLAT_RTT_POINT(ICMP, "icmp-rcv",                                         \
                    "arrival at ICMP is taken from the end of the packet")    \
    VMLAT_RTT_POINT(CONSUMED, "consumed",                                     \
                    "ends of packets are not seen")                           \
    VMLAT_RTT_POINT(DROPPED, "dropped",                                       \
                    "drops are not seen")

enum vmlat_rtt_point {
#define VMLAT_RTT_POINT(ID, NAME, WITHOUT) VMLAT_RTT_##ID,
    VMLAT_RTT_POINTS
#undef VMLAT_RTT_POINT
    VMLAT_RTT_N_POINTS
};

/* Functions of the kernel that are points.  Each has two programs,
 * <id>_fentry and <id>_kprobe, and those that are TWICE there have
 * <id>_fentry_again, too.
 *
 * The kernel does not run a program that is running on that CPU.  What
 * processes do with interrupts on may be interrupted by a packet that does the
 * same: of two programs, one is not running and sees it.  What is done only
 * where no other packet can interrupt is ONCE.
 *
 * VMLAT_RTT_FUNCTION(id, POINT, argument that is the skb from 0,
 *                    ONCE or TWICE, module or "", candidates, the best first)
 */
#define VMLAT_RTT_FUNCTIONS                                                   \
    VMLAT_RTT_FUNCTION(ip_out4, IP_OUT, 2, TWICE, "", "__ip_local_out")       \
    VMLAT_RTT_FUNCTION(ip_out6, IP_OUT, 2, TWICE, "", "__ip6_local_out")      \
    VMLAT_RTT_FUNCTION(ip_in4, IP_IN, 0, ONCE, "",                            \
                       "ip_rcv_core ip_local_deliver")                        \
    VMLAT_RTT_FUNCTION(ip_in6, IP_IN, 0, ONCE, "", "ip6_rcv_core ip6_input")  \
    VMLAT_RTT_FUNCTION(icmp4, ICMP, 0, ONCE, "", "icmp_rcv")                  \
    VMLAT_RTT_FUNCTION(icmp6, ICMP, 0, ONCE, "", "icmpv6_rcv")                \
    VMLAT_RTT_FUNCTION(ovs, OVS, 0, ONCE, "openvswitch",                      \
                       "ovs_dp_process_packet")                               \
    VMLAT_RTT_FUNCTION(upcall, UPCALL, 1, ONCE, "openvswitch",                \
                       "ovs_dp_upcall")                                       \
    VMLAT_RTT_FUNCTION(vport_send, VPORT_SEND, 1, ONCE, "openvswitch",        \
                       "ovs_vport_send")

/* Tracepoints that are points.  Each has a program <id>, and those that are
 * TWICE there have <id>_again, as above.
 *
 * VMLAT_RTT_TRACEPOINT(id, POINT, ONCE or TWICE, name) */
#define VMLAT_RTT_TRACEPOINTS                                                 \
    VMLAT_RTT_TRACEPOINT(queue, QUEUE, ONCE, "net_dev_queue")                 \
    VMLAT_RTT_TRACEPOINT(tx, TX, ONCE, "net_dev_start_xmit")                  \
    VMLAT_RTT_TRACEPOINT(rx, RX, ONCE, "netif_receive_skb")                   \
    VMLAT_RTT_TRACEPOINT(consume, CONSUMED, TWICE, "consume_skb")             \
    VMLAT_RTT_TRACEPOINT(drop, DROPPED, TWICE, "kfree_skb")

/* What the program counts, per CPU.
 *
 * VMLAT_RTT_COUNTER(ID, name, meaning) */
#define VMLAT_RTT_COUNTERS                                                    \
    VMLAT_RTT_COUNTER(FILTERED, "filtered",                                   \
                      "requests that the filter leaves out")                  \
    VMLAT_RTT_COUNTER(LIMITED, "limited",                                     \
                      "requests beyond 1000 a second and CPU")                \
    VMLAT_RTT_COUNTER(UNRECORDED, "unrecorded",                               \
                      "requests whose first point found the buffer full")     \
    VMLAT_RTT_COUNTER(STRAY, "stray",                                         \
                      "replies whose request is not followed")                \
    VMLAT_RTT_COUNTER(POINTS_LOST, "points-lost",                             \
                      "points that found the buffer full")                    \
    VMLAT_RTT_COUNTER(NOT_LINEAR, "not-linear",                               \
                      "times that an IP header was out of reach")

enum vmlat_rtt_counter {
#define VMLAT_RTT_COUNTER(ID, NAME, MEANING) VMLAT_RTT_CNT_##ID,
    VMLAT_RTT_COUNTERS
#undef VMLAT_RTT_COUNTER
    VMLAT_RTT_N_COUNTERS
};

/* An echo.  Source and destination are those of the request, also in events
 * of its reply.  IPv4 addresses are mapped, ::ffff:a.b.c.d.  With network
 * address translation, it is what the request carried when it was first seen
 * in the network namespace. */
struct vmlat_rtt_key {
    __u32 netns;                /* Inode number of the network namespace. */
    __u16 id;                   /* Network byte order. */
    __u16 seq;                  /* Network byte order. */
    __u32 src[4];               /* Network byte order. */
    __u32 dst[4];
    __u32 ip_version;           /* 4 or 6. */
};
_Static_assert(sizeof(struct vmlat_rtt_key) == 44, "ABI");

/* Bits of 'flags' of an event. */
#define VMLAT_RTT_REPLY (1u << 0)       /* Of the reply, not the request. */
#define VMLAT_RTT_FIRST (1u << 1)       /* This skb was not followed before. */
#define VMLAT_RTT_LOCAL (1u << 2)       /* Came from no device. */

/* An skb of an echo passed a point. */
struct vmlat_rtt_event {
    __u64 time_ns;              /* CLOCK_MONOTONIC. */
    __u64 skb;                  /* Opaque: tells skbs apart while they live. */
    __u64 location;             /* Code address that freed it, 0 if unknown. */
    struct vmlat_rtt_key key;
    __u32 ifindex;              /* 0 if there is no device yet. */
    __u32 pid;                  /* The process that ran. */
    __u32 cpu;
    __u32 reason;               /* Drop reason of the kernel, 0 if none. */
    __u16 point;                /* enum vmlat_rtt_point. */
    __u16 flags;                /* VMLAT_RTT_*. */
    char device[16];
    char command[16];           /* Of 'pid'. */
};
_Static_assert(sizeof(struct vmlat_rtt_event) == 120, "ABI");

/* Settings, which may change while the program runs. */
struct vmlat_rtt_config {
    __u32 src[4];               /* Of the request, already masked. */
    __u32 src_mask[4];
    __u32 dst[4];
    __u32 dst_mask[4];
    __u64 timeout_ns;
};
_Static_assert(sizeof(struct vmlat_rtt_config) == 72, "ABI");

#endif /* vmlat-rtt-abi.h */
