/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause OR Apache-2.0 */
/* Copyright (c) 2026 The vmlat authors. */

#ifndef VMLAT_BYPASS_ABI_H
#define VMLAT_BYPASS_ABI_H 1

/* What bpf/vmlat-bypass.bpf.c and the daemon say to each other about packets
 * that a userspace datapath gives to the kernel, or takes from it, through an
 * internal port of a bridge.
 *
 * Who includes this has __u8, __u16, __u32 and __u64. */

/* What became of a packet.
 *
 * VMLAT_BYPASS_END(ID, name, meaning) */
#define VMLAT_BYPASS_ENDS                                                     \
    VMLAT_BYPASS_END(ROUTED, "routed",                                        \
                     "sent by the kernel, out of another device")             \
    VMLAT_BYPASS_END(LOCAL, "local",                                          \
                     "to an address of this host, or from it")                \
    VMLAT_BYPASS_END(NOT_OURS, "not-ours",                                    \
                     "broadcast, multicast, or flooded: to no MAC address "   \
                     "of the device")                                         \
    VMLAT_BYPASS_END(NOT_IP, "not-ip", "ARP and the like")                    \
    VMLAT_BYPASS_END(DROPPED, "dropped", "dropped by the kernel")             \
    VMLAT_BYPASS_END(CONSUMED, "consumed",                                    \
                     "ended in the kernel, neither sent nor dropped")         \
    VMLAT_BYPASS_END(UNSEEN, "unseen",                                        \
                     "not followed to its end: the table was full, or its "   \
                     "memory came back without an end")

enum vmlat_bypass_end {
#define VMLAT_BYPASS_END(ID, NAME, MEANING) VMLAT_BYPASS_END_##ID,
    VMLAT_BYPASS_ENDS
#undef VMLAT_BYPASS_END
    VMLAT_BYPASS_N_ENDS
};

enum vmlat_bypass_direction {
    VMLAT_BYPASS_FROM_VM,       /* Entered the kernel by an internal port. */
    VMLAT_BYPASS_TO_VM,         /* Left the kernel by an internal port. */
    VMLAT_BYPASS_N_DIRECTIONS
};

/* What the daemon tells the program, in its .bss section.
 *
 * 'filter' has the bit of each device in map "devices" that is an internal
 * port or above one, by its ifindex modulo VMLAT_BYPASS_FILTER_BITS: what
 * keeps other packets cheap.
 *
 * Ways, flows and counters are there twice.  The program counts in those of
 * 'epoch', the daemon reads and clears the others. */
#define VMLAT_BYPASS_FILTER_BITS 4096
#define VMLAT_BYPASS_EPOCHS 2
struct vmlat_bypass_control {
    __u32 epoch;
    __u32 netns;                /* Inode number of the network namespace. */
    __u64 filter[VMLAT_BYPASS_FILTER_BITS / 64];
};

/* Devices that the program looks at.  The daemon writes them. */
#define VMLAT_BYPASS_DEVICES 4096
enum vmlat_bypass_kind {
    VMLAT_BYPASS_INTERNAL = 1,  /* Internal port of a userspace bridge. */
    VMLAT_BYPASS_UPPER,         /* VLAN, bond, bridge etc.: what it sends
                                 * goes on to a device below. */
};
struct vmlat_bypass_device {
    __u32 kind;                 /* enum vmlat_bypass_kind. */
    __u32 internal;             /* Of an UPPER device above an internal port:
                                 * ifindex of that port, else 0. */
};

/* Addresses of this host: packets to these are LOCAL unless they are routed
 * nevertheless.  IPv4 addresses are mapped, ::ffff:a.b.c.d. */
#define VMLAT_BYPASS_ADDRESSES 8192
struct vmlat_bypass_address {
    __u32 ip[4];                /* Network byte order. */
};

/* MAC addresses of the devices above an internal port. */
struct vmlat_bypass_mac {
    __u32 internal;             /* ifindex of the internal port. */
    __u8 mac[6];
    __u8 pad[2];
};
_Static_assert(sizeof(struct vmlat_bypass_mac) == 12, "ABI");

/* Counters, by way.  'mac' is the VM's: the source on the way from the VM, the
 * destination on the way to it.  A way for which there is no more room counts
 * under 'mac' 0, which no packet has; for such ways room is kept.  If even
 * that is full, 'internal' and 'other' are 0, too. */
#define VMLAT_BYPASS_MAX_WAYS 4096
#define VMLAT_BYPASS_KEPT_WAYS 512
struct vmlat_bypass_way_key {
    __u32 internal;             /* ifindex of the internal port. */
    __u32 other;                /* ifindex of the device that it left by, or
                                 * came in by; 0 if none. */
    __u8 mac[6];
    __u8 direction;             /* enum vmlat_bypass_direction. */
    __u8 end;                   /* enum vmlat_bypass_end. */
};
_Static_assert(sizeof(struct vmlat_bypass_way_key) == 16, "ABI");

#define VMLAT_BYPASS_BUCKETS 40
struct vmlat_bypass_way {       /* Added to atomically. */
    __u64 packets;
    __u64 bytes;                /* With the Ethernet header. */

    /* Time from entering by the internal port (or the other device) to the
     * driver of the device that it left by: of ROUTED packets that were
     * followed.  Bucket i counts those from 2^i to 2^(i+1) - 1 ns. */
    __u64 timed;
    __u64 total_ns;
    __u64 max_ns;
    __u64 buckets[VMLAT_BYPASS_BUCKETS];
};

/* Flows among them that are routed, the proof.  Bounded: what finds no room is
 * counted under FLOWS_LEFT_OUT. */
#define VMLAT_BYPASS_MAX_FLOWS 16384
struct vmlat_bypass_flow_key {
    struct vmlat_bypass_way_key way;
    __u32 src[4];               /* As it entered by an internal port, or as
                                 * it left by one; network byte order. */
    __u32 dst[4];
    __u16 sport;                /* Network byte order; 0 if none. */
    __u16 dport;
    __u8 ip_version;            /* 4 or 6. */
    __u8 protocol;
    __u8 gateway;               /* 1 if it was sent to the internal port's own
                                 * MAC address: the VM uses it as gateway. */
    __u8 translated;            /* 1 if addresses or ports had changed when it
                                 * was sent: NAT.  Not known, and 0, of
                                 * packets to a VM. */
};
_Static_assert(sizeof(struct vmlat_bypass_flow_key) == 56, "ABI");

struct vmlat_bypass_flow {
    __u64 packets;              /* Added to atomically. */
    __u64 bytes;
    __u64 total_ns;
    __u64 timed;
    __u64 max_ns;
    __u64 last_ns;              /* CLOCK_MONOTONIC, of the last packet. */
    __u32 out_src[4];           /* Addresses and ports as the last packet */
    __u32 out_dst[4];           /* left. */
    __u16 out_sport;
    __u16 out_dport;
    __u32 pad;
};

/* Packets underway, by the address of the skb. */
#define VMLAT_BYPASS_MAX_FOLLOWED 32768
struct vmlat_bypass_followed {
    struct vmlat_bypass_flow_key flow;  /* But for 'other' and 'end'. */
    __u64 time_ns;              /* CLOCK_MONOTONIC, when it entered. */
    __u32 bytes;
    __u32 upper;                /* ifindex of the device of kind UPPER that
                                 * took it last, or 0. */
    __u32 end;                  /* enum vmlat_bypass_end: what became of it
                                 * unless something else is seen. */
    __u32 pad;
};

/* What the program counts beside, per CPU.
 *
 * VMLAT_BYPASS_COUNTER(ID, name, meaning) */
#define VMLAT_BYPASS_COUNTERS                                                 \
    VMLAT_BYPASS_COUNTER(ENTERED, "entered",                                  \
                         "packets that came in by an internal port, once it " \
                         "is known what became of them")                      \
    VMLAT_BYPASS_COUNTER(LEFT, "left",                                        \
                         "packets that were sent by an internal port")        \
    VMLAT_BYPASS_COUNTER(FLOWS_LEFT_OUT, "flows-left-out",                    \
                         "routed packets whose flow found no room, or has "   \
                         "no IP header that can be read")                     \
    VMLAT_BYPASS_COUNTER(WAYS_LEFT_OUT, "ways-left-out",                      \
                         "packets whose MAC address found no room")           \
    VMLAT_BYPASS_COUNTER(COPIES, "copies",                                    \
                         "packets sent that were not followed as such: "      \
                         "fragments, segments, copies, and those for which "  \
                         "the table was full")                                \
    VMLAT_BYPASS_COUNTER(UNDERWAY, "underway",                                \
                         "packets that are in the kernel yet, counted when "  \
                         "they end; as of now, and by the daemon")

enum vmlat_bypass_counter {
#define VMLAT_BYPASS_COUNTER(ID, NAME, MEANING) VMLAT_BYPASS_CNT_##ID,
    VMLAT_BYPASS_COUNTERS
#undef VMLAT_BYPASS_COUNTER
    VMLAT_BYPASS_N_COUNTERS
};

/* Tracepoints that the program needs, and programs.
 *
 * VMLAT_BYPASS_POINT(ID, name, what is lost without it) */
#define VMLAT_BYPASS_POINTS                                                   \
    VMLAT_BYPASS_POINT(RX, "netif_receive_skb", "nothing can be followed")    \
    VMLAT_BYPASS_POINT(TX, "net_dev_start_xmit", "nothing can be followed")   \
    VMLAT_BYPASS_POINT(DROPPED, "kfree_skb",                                  \
                       "drops in the kernel are not seen")                    \
    VMLAT_BYPASS_POINT(CONSUMED, "consume_skb",                               \
                       "packets that end in the kernel are not seen")

#endif /* vmlat-bypass-abi.h */
