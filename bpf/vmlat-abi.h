/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause OR Apache-2.0 */
/*
 * Copyright (c) 2026 The vmlat authors.
 */

/* What the BPF programs that follow packets through the kernel datapath share
 * with the daemon: the layout of their maps.
 *
 * Both sides include this file; it needs __u8 ... __u64 and __s32 before it.
 * All times are CLOCK_MONOTONIC in ns.
 *
 * Memory
 * ======
 *
 * Each CPU has one value of the map 'cpus': a struct vmlat_bpf_cpu, followed
 * by blocks of VMLAT_BPF_BLOCK bytes that hold what is counted: accounts of
 * ports, pairs of ports, histograms and the rows of their buckets.  The
 * programs hand the blocks out as they are needed, and never take them back:
 * the maps are made anew by each vmlat/start.  Block 0 is never handed out, so
 * that 0 says "none".  Memory comes zeroed.
 *
 * Only its own CPU writes to a value, and only with bottom halves off or by
 * atomic instructions; the daemon maps all of them and reads them at any time.
 */

#ifndef VMLAT_ABI_H
#define VMLAT_ABI_H 1

/* Points that a packet passes, in the order of its way.
 *
 * VMLAT_BPF_POINT(ID, name) */
#define VMLAT_BPF_POINTS                        \
    VMLAT_BPF_POINT(RX,      "port-rx")         \
    VMLAT_BPF_POINT(OVS,     "ovs")             \
    VMLAT_BPF_POINT(UPCALL,  "upcall")          \
    VMLAT_BPF_POINT(HANDLER, "handler")         \
    VMLAT_BPF_POINT(EXECUTE, "execute")         \
    VMLAT_BPF_POINT(SEND,    "vport-send")      \
    VMLAT_BPF_POINT(QDISC,   "qdisc")           \
    VMLAT_BPF_POINT(TX,      "port-tx")         \
    VMLAT_BPF_POINT(OUTER,   "outer-tx")

enum vmlat_bpf_point {
#define VMLAT_BPF_POINT(ID, NAME) VMLAT_P_##ID,
    VMLAT_BPF_POINTS
#undef VMLAT_BPF_POINT
    VMLAT_N_POINTS
};

/* What has a histogram of its own for each pair of ports: the way from the
 * first point to the last, the stages from each point to the next, and times
 * that are a part of a stage.
 *
 * Of one packet the stages between RX and TX add up to the total.
 *
 * VMLAT_BPF_STAGE(ID, name, meaning) */
#define VMLAT_BPF_STAGES                                                      \
    VMLAT_BPF_STAGE(RX_OVS, "port-rx>ovs",                                    \
                    "from the port's receiving to OVS")                       \
    VMLAT_BPF_STAGE(OVS_SEND, "ovs>vport-send",                               \
                    "flow lookup and actions, without an upcall")             \
    VMLAT_BPF_STAGE(OVS_TO_UPCALL, "ovs>upcall",                              \
                    "flow lookup, until it gave up")                          \
    VMLAT_BPF_STAGE(UPCALL_HANDLER, "upcall>handler",                         \
                    "in the socket to the handler thread")                    \
    VMLAT_BPF_STAGE(HANDLER_EXECUTE, "handler>execute",                       \
                    "in the handler thread: translation, installing flows")   \
    VMLAT_BPF_STAGE(EXECUTE_SEND, "execute>vport-send",                       \
                    "back in the kernel: actions")                            \
    VMLAT_BPF_STAGE(SEND_QDISC, "vport-send>qdisc",                           \
                    "until the device's queueing discipline took it")         \
    VMLAT_BPF_STAGE(QDISC_TX, "qdisc>port-tx",                                \
                    "in the queueing discipline, until the driver gets it")   \
    VMLAT_BPF_STAGE(SEND_TX, "vport-send>port-tx",                            \
                    "to the driver or, through an internal port, to the "     \
                    "host, without being queued")                             \
    VMLAT_BPF_STAGE(TX_OUTER, "port-tx>outer-tx",                             \
                    "from a tunnel's device to the driver of the NIC, not "   \
                    "a part of the total")                                    \
    VMLAT_BPF_STAGE(CONNTRACK, "conntrack",                                   \
                    "in connection tracking, a part of other stages")         \
    VMLAT_BPF_STAGE(INSTALL, "install",                                       \
                    "installing flows, a part of handler>execute")

enum vmlat_bpf_stage {
    VMLAT_S_TOTAL,                  /* VMLAT_SEG_OVS */
    VMLAT_S_TOTAL_UPCALL,           /* VMLAT_SEG_OVS_UPCALL */
#define VMLAT_BPF_STAGE(ID, NAME, MEANING) VMLAT_S_##ID,
    VMLAT_BPF_STAGES
#undef VMLAT_BPF_STAGE
    VMLAT_N_STAGES                  /* At most VMLAT_BPF_PAIR_HISTS. */
};

/* What became of a packet, counted for the port that it entered by.  What is
 * still inside is the remainder.
 *
 * VMLAT_BPF_FATE(ID); the daemon has the same IDs in VMLAT_FATES. */
#define VMLAT_BPF_FATES                                                       \
    VMLAT_BPF_FATE(MEASURED)        /* 0: struct vmlat_bpf_pair has it. */    \
    VMLAT_BPF_FATE(MADE_BY_OVS)                                               \
    VMLAT_BPF_FATE(UNHOOKED)                                                  \
    VMLAT_BPF_FATE(FILTERED)                                                  \
    VMLAT_BPF_FATE(NO_ROOM)                                                   \
    VMLAT_BPF_FATE(COPIED)                                                    \
    VMLAT_BPF_FATE(POLICED)                                                   \
    VMLAT_BPF_FATE(DROPPED)                                                   \
    VMLAT_BPF_FATE(TX_DROPPED)                                                \
    VMLAT_BPF_FATE(UPCALL_FULL)     /* No room in the handler's socket. */    \
    VMLAT_BPF_FATE(UPCALL_DROPPED)  /* The handler did not send it on. */     \
    VMLAT_BPF_FATE(TABLE_FULL)      /* No room in 'packets'. */               \
    VMLAT_BPF_FATE(EVICTED)         /* Made room for another one. */          \
    VMLAT_BPF_FATE(LOST)            /* Ended unseen: its address came back. */

enum vmlat_bpf_fate {
#define VMLAT_BPF_FATE(ID) VMLAT_F_##ID,
    VMLAT_BPF_FATES
#undef VMLAT_BPF_FATE
    VMLAT_N_BPF_FATES
};

/* Blocks. */

#define VMLAT_BPF_BLOCK 256         /* Bytes. */

/* For one port as the one that packets entered by; port 0 stands for packets
 * that entered nowhere.  [0] is for packets as they came in, [1] for copies
 * made of them.  Adds up, with what is inside and what was measured, which
 * struct vmlat_bpf_pair has:
 *
 *     entered[i] == sum of fates[i] + measured + inside. */
struct vmlat_bpf_account {
    __u64 entered[2];
    __u64 fates[2][VMLAT_N_BPF_FATES];
};

/* Buckets are those of struct vmlat_histogram, in rows of 32, each a block of
 * its own: __u64[32].  Empty rows have none. */
#define VMLAT_BPF_HIST_ROWS 32
struct vmlat_bpf_hist {
    __u64 not_min;                  /* ~smallest, 0 if there is none. */
    __u64 max;
    __u64 total;                    /* Sum, ns. */
    __u64 overflow;                 /* Bucket VMLAT_HIST_OVERFLOW. */
    __u32 rows[VMLAT_BPF_HIST_ROWS]; /* Blocks, by bucket / 32. */
};

/* A short cut to the row of a histogram that was used last: for samples from
 * 'low' to 'low' + 'span', which all belong in that row and are neither the
 * least nor the largest of the histogram. */
struct vmlat_bpf_short {
    __u32 low, span;                /* ns. */
    __u32 factor;                   /* 2^32 / width of the row's buckets, 0:
                                     * none. */
    __u32 row;                      /* Block << 8. */
    __u64 total;                    /* Sum of what was added this way, ns; not
                                     * in 'total' of the histogram. */
};

/* The stages that have one.
 *
 * VMLAT_BPF_SHORT(ID of the stage) */
#define VMLAT_BPF_SHORTS                                                      \
    VMLAT_BPF_SHORT(TOTAL)                                                    \
    VMLAT_BPF_SHORT(RX_OVS)                                                   \
    VMLAT_BPF_SHORT(OVS_SEND)                                                 \
    VMLAT_BPF_SHORT(SEND_QDISC)                                               \
    VMLAT_BPF_SHORT(QDISC_TX)                                                 \
    VMLAT_BPF_SHORT(SEND_TX)

enum vmlat_bpf_short_id {
#define VMLAT_BPF_SHORT(ID) VMLAT_SHORT_##ID,
    VMLAT_BPF_SHORTS
#undef VMLAT_BPF_SHORT
    VMLAT_N_SHORTS
};

/* A port that packets entered by and one that they left by. */
#define VMLAT_BPF_PAIR_HISTS 16
struct vmlat_bpf_pair {
    __u32 hists[VMLAT_BPF_PAIR_HISTS]; /* Blocks, by enum vmlat_bpf_stage. */
    __u64 packets;                  /* Measured, but for copies. */
    __u64 copies;                   /* Copies measured. */
    __u64 more_segments;            /* Of GSO packets, without the first. */
    __u64 more_passes;              /* Through the flow table, without the
                                     * first one of each packet. */
    __u64 ct_passes;                /* Through conntrack. */
    __u64 stage_missed;             /* A point between was not seen. */
    struct vmlat_bpf_short shorts[VMLAT_N_SHORTS];
};

/* What a CPU has counted. */

#define VMLAT_BPF_PORTS 4096        /* As VMLAT_MAX_PORTS. */
#define VMLAT_BPF_PAIRS 4096        /* Slots of a CPU's pair table. */
#define VMLAT_BPF_PAIR_PROBES 16
#define VMLAT_BPF_CPU_BLOCKS 65536  /* Offset of the blocks. */

struct vmlat_bpf_cpu {
    __u32 n_blocks;                 /* Handed out. */
    __u32 unused;
    __u64 no_block;                 /* Times that there was none. */
    __u32 accounts[VMLAT_BPF_PORTS]; /* Blocks, by port. */

    /* Block << 32 | out << 16 | in; 0 if free.  Found from
     * VMLAT_BPF_PAIR_HASH() by linear probing. */
    __u64 pairs[VMLAT_BPF_PAIRS];
};
#define VMLAT_BPF_PAIR_HASH(KEY) \
    ((((KEY) * 0x9e3779b1u) >> 20) & (VMLAT_BPF_PAIRS - 1))

/* Packets that are inside. */

/* CPUs that there may be. */
#define VMLAT_BPF_CPUS 1024

/* Reference to a packet: valid as long as it has 'gen'. */
struct vmlat_bpf_ref {
    __u32 index;                    /* Of the programs. */
    __u32 gen;                      /* 0 if it refers to none. */
};

/* Flags of a packet. */
#define VMLAT_PKT_COPY      (1u << 0)   /* Is a copy. */
#define VMLAT_PKT_COPIED    (1u << 1)   /* Copies of it were made. */
#define VMLAT_PKT_UPCALL    (1u << 2)   /* Took an upcall. */
#define VMLAT_PKT_MOVED     (1u << 3)   /* Its message to the handler goes on
                                         * in its place. */
#define VMLAT_PKT_ENDED     (1u << 4)   /* Has its fate already; followed for
                                         * what becomes of it later. */
#define VMLAT_PKT_TUNNEL    (1u << 5)   /* Left by a tunnel's device. */
#define VMLAT_PKT_MADE      (1u << 6)   /* Made by OVS. */
#define VMLAT_PKT_DETAILED  (1u << 7)   /* There may be more to do for it than
                                         * to count it: an event, a flow. */

struct vmlat_bpf_packet {
    /* When it was at each point, 0: never.  UPCALL, HANDLER and EXECUTE mean
     * something with VMLAT_PKT_UPCALL only, OUTER with VMLAT_PKT_TUNNEL. */
    __u64 t[VMLAT_N_POINTS];
    union {
        struct {
            __u16 in;               /* Port that it entered by. */
            __u16 out;              /* Port that it leaves by, 0: unknown. */
        };
        __u32 ports;                /* Both. */
    };
    union {
        struct {
            __u8 flags;             /* VMLAT_PKT_*. */
            __u8 last;              /* Last point, enum vmlat_bpf_point. */
        };
        __u16 state;                /* Both. */
    };
    union {
        struct {
            __u8 passes;            /* Through the flow table. */
            __u8 ct_passes;         /* Through conntrack. */
        };
        __u16 all_passes;           /* Both. */
    };
    __u32 segments;                 /* 1 or, for GSO, the number. */
    __u32 ct_ns;                    /* In conntrack. */
    __u32 gen;                      /* Grows when the entry is taken. */
    __u32 install_ns;               /* Installing flows for it. */
    __u64 ct_since;                 /* Used by the programs. */
};

/* Devices of ports.  Array 'devs', found from the ifindex by linear probing
 * of VMLAT_BPF_DEV_PROBES entries from VMLAT_BPF_DEV_HASH().  The daemon
 * writes all but 'dev': the programs keep the address of the device there when
 * they have checked its network namespace; the daemon clears it when it
 * changes the entry. */

#define VMLAT_BPF_DEVS 8192
#define VMLAT_BPF_DEV_PROBES 8
#define VMLAT_BPF_DEV_GONE 0xffffffff   /* 'ifindex' of an entry that was in
                                         * use: probing goes on behind it. */
#define VMLAT_BPF_DEV_HASH(IFINDEX) ((IFINDEX) & (VMLAT_BPF_DEVS - 1))

#define VMLAT_DEV_PORT      (1u << 0)   /* Is the device of a port: 'slot'. */
#define VMLAT_DEV_INTERNAL  (1u << 1)   /* Internal port: what the host sends
                                         * by it enters OVS. */
#define VMLAT_DEV_LOWER     (1u << 2)   /* A port's device is upon it: bond
                                         * member, parent of a VLAN. */
#define VMLAT_DEV_THROUGH   (1u << 3)   /* What it sends leaves by another
                                         * device: bond, VLAN, team. */
#define VMLAT_DEV_TUNNEL    (1u << 4)   /* The same, in a tunnel. */
#define VMLAT_DEV_TAP       (1u << 5)   /* Of a port: a VM may be behind it. */

struct vmlat_bpf_dev {
    __u64 dev;                      /* Address, 0 until seen. */
    __u32 ifindex;                  /* 0: never used; VMLAT_BPF_DEV_GONE. */
    __u32 netns;                    /* Inode number of its namespace. */
    __u16 slot;                     /* Of vmlat_port. */
    __u16 flags;                    /* VMLAT_DEV_*. */
    __u32 unused;
};

/* What the daemon may change at any time, in 'config'. */

/* Bits of 'active'. */
#define VMLAT_BPF_RX     (1u << 0)  /* Follow packets that enter. */
#define VMLAT_BPF_FILTER (1u << 1)  /* Those that 'filter' admits only. */
#define VMLAT_BPF_EVENTS (1u << 2)  /* Report those above 'min_ns'. */
#define VMLAT_BPF_STACKS (1u << 3)  /* With kernel stacks. */
#define VMLAT_BPF_FLOWS  (1u << 4)  /* Measure each flow, too. */

struct vmlat_bpf_filter {
    __u8 src[16], src_mask[16];     /* IPv4 is ::ffff:a.b.c.d; masked. */
    __u8 dst[16], dst_mask[16];
    __u16 sport, sport_mask;        /* Network byte order; mask 0: any. */
    __u16 dport, dport_mask;
    __u8 proto, proto_mask;
    __u8 ip_version;                /* 4, 6, 0: any. */
    __u8 need_ip;                   /* Only IP can match. */
};

struct vmlat_bpf_config {
    __u32 active;
    __u32 unused;
    __u64 min_ns;
    /* Two filters, of which 'filter' is in use: the daemon writes the other
     * one and then turns to it. */
    __u32 filter;
    __u32 unused2;
    struct vmlat_bpf_filter filters[2];
};

/* What programs that follow packets into taps want to see the end of. */
#define VMLAT_BPF_VM_IDS 8192
struct vmlat_bpf_vm {
    __u64 start, size;              /* Code of the kernel: whatever it drops.
                                     * 'size' 0: nothing. */
    __u32 n_ids[VMLAT_BPF_VM_IDS];  /* Packets, by a hash of their ids. */
    struct vmlat_bpf_vm_cpu {
        __u64 tx_ns;                /* When the driver got the packet that the
                                     * other program is called for, 0 if the
                                     * clock was not read. */
        __u64 unused[7];            /* A cache line in all. */
    } cpus[VMLAT_BPF_CPUS];
};

/* What the programs count for the daemon, all CPUs, in 'stats'. */
struct vmlat_bpf_stats {
    __u64 drops_left_out;           /* No room in 'drops'. */
    __u64 flows_left_out;           /* Packets, no room in 'flows'. */
    __u64 events_lost;              /* No room in 'events'. */
    __u64 upcalls_left_out;         /* No room in 'upcalls'. */
    __u64 outer_lost;               /* Left by a tunnel, not seen after. */
};

/* Addresses of a packet. */
struct vmlat_bpf_flow_key {
    __u8 src[16], dst[16];          /* IPv4 is ::ffff:a.b.c.d; 0 if not IP. */
    __u16 sport, dport;             /* Network byte order; ICMP: type << 8 |
                                     * code in host order, and id; 0 if
                                     * none. */
    __u16 in, out;                  /* Ports. */
    __u16 ethertype;                /* Host byte order, VLANs skipped. */
    __u8 proto;                     /* IPPROTO_*, 0 if not IP. */
    __u8 unused;
};

/* Histogram of flows and handlers, coarser than those of pairs: each power of
 * two is cut into 8, so that a percentile is off by at most 1/16. */
#define VMLAT_BPF_SMALL_SUB_BITS 3
#define VMLAT_BPF_SMALL_MAX_BITS 34
#define VMLAT_BPF_SMALL_BUCKETS \
    ((VMLAT_BPF_SMALL_MAX_BITS - VMLAT_BPF_SMALL_SUB_BITS + 1) \
     << VMLAT_BPF_SMALL_SUB_BITS)
struct vmlat_bpf_small_hist {
    __u64 packets;
    __u64 total;                    /* Sum, ns. */
    __u64 max;                      /* ns. */
    __u32 buckets[VMLAT_BPF_SMALL_BUCKETS]; /* Last one: and above. */
};

/* Map 'flows': by struct vmlat_bpf_flow_key. */
struct vmlat_bpf_flow {
    __u64 bytes;
    struct vmlat_bpf_small_hist hist;
};

/* Map 'handlers': by thread id.  Only that thread writes. */
struct vmlat_bpf_handler {
    char comm[16];
    __u64 received;                 /* Upcalls. */
    __u64 executed;                 /* Of these, sent back to the kernel. */
    __u64 installed;                /* Flows. */
    __u64 install_since;            /* Used by the programs. */
    __u32 install_ns;               /* Since the last packet. */
    __u32 unused;
    struct vmlat_bpf_ref exec_ref;  /* Last packet sent back. */
    struct vmlat_bpf_small_hist queue;      /* upcall>handler */
    struct vmlat_bpf_small_hist handling;   /* handler>execute */
    struct vmlat_bpf_small_hist install;    /* Each flow. */
    struct vmlat_bpf_small_hist execute;    /* execute>vport-send */
};

/* Map 'drops': by this key, a __u64 of packets. */
#define VMLAT_REASON_CONSUMED 0xffffffff /* Freed as if all were well. */
#define VMLAT_REASON_UNKNOWN  0xfffffffe /* The kernel does not tell. */
struct vmlat_bpf_drop_key {
    __u64 location;                 /* Address in the kernel, 0: unknown. */
    __u32 reason;                   /* The kernel's, or VMLAT_REASON_*. */
    __u16 in;                       /* Port, 0: none. */
    __u16 out;                      /* Port, 0: not known yet. */
    __u8 last;                      /* Last point that it passed. */
    __u8 ended;                     /* It had been measured already. */
    __u8 unused[6];
};

/* Ring buffer 'events': packets that took longer than 'min_ns'. */
#define VMLAT_BPF_EVENT_BYTES 128
struct vmlat_bpf_detail {           /* At a point. */
    __u32 ifindex;                  /* Of the device, 0: none. */
    __u32 tid;                      /* Thread that was running. */
    __u16 cpu;
    __u16 queue;
    __s32 stack;                    /* Id in 'stacks', negative: none. */
};
struct vmlat_bpf_details {
    struct vmlat_bpf_detail points[VMLAT_N_POINTS];
    char comm[16];                  /* Of the handler. */
};
struct vmlat_bpf_event {
    struct vmlat_bpf_packet packet;
    struct vmlat_bpf_details details;
    __u64 skb;                      /* Its address at TX. */
    __u32 length;                   /* Of the packet. */
    __u32 size;                     /* Bytes in 'bytes'. */
    __u8 bytes[VMLAT_BPF_EVENT_BYTES]; /* From the Ethernet header on. */
};

#define VMLAT_BPF_STACK_DEPTH 32
#define VMLAT_BPF_STACKS_MAX 4096

/* Map 'upcalls': packets that are on their way through a handler, by the
 * address of the message and, once the handler has it, by the content. */
struct vmlat_bpf_upcall_key {
    __u64 id;                       /* Address or hash of the content. */
    __u32 tid;                      /* 0: by address. */
    __u32 n;                        /* Tells those of the same content
                                     * apart. */
};
struct vmlat_bpf_upcall {
    struct vmlat_bpf_packet packet;
    struct vmlat_bpf_details details;
    __u64 content;
};
#define VMLAT_BPF_UPCALLS 16384
#define VMLAT_BPF_SAME_CONTENT 8

#endif /* vmlat-abi.h */
