/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause OR Apache-2.0 */
/*
 * Copyright (c) 2026 The vmlat authors.
 */

/* What the BPF programs that follow packets between a tap and the VM behind it
 * (vhost-net, KVM) share with the daemon.
 *
 * Both sides include this file; it needs __u8 ... __u64 before it.  All times
 * are CLOCK_MONOTONIC in ns.
 *
 * The daemon gives each tap that it wants measured a row of the array 'rows'
 * and an entry of 'devs' that leads there.  A row belongs to one port as long
 * as the programs are loaded: it is never cleared by them, and a row that is
 * given to another port goes on counting from where it is.  All is counted by
 * atomic additions, on any CPU; the daemon maps the rows and reads them at any
 * time, and remembers a copy in order to "clear" them. */

#ifndef VMLAT_VIRT_ABI_H
#define VMLAT_VIRT_ABI_H 1

/* Times of which a row has a histogram.
 *
 * The stages of one group add up to its total, for each packet, and have as
 * many samples as it.
 *
 * VMLAT_VIRT_STAGE(ID, name, meaning) */
#define VMLAT_VIRT_STAGES                                                     \
    /* To the VM, complete: E and L of the path model. */                     \
    VMLAT_VIRT_STAGE(TO_VM, "to-vm",                                          \
                     "from the tap until KVM has injected the interrupt")     \
    VMLAT_VIRT_STAGE(TX_TAKEN, "port-tx>vhost-taken",                         \
                     "in the tap's ring until the vhost worker takes it")     \
    VMLAT_VIRT_STAGE(TAKEN_SIGNAL, "vhost-taken>used-signal",                 \
                     "copied to the guest, the batch is in its ring")         \
    VMLAT_VIRT_STAGE(SIGNAL_IRQFD, "used-signal>irqfd",                       \
                     "the eventfd wakes KVM's irqfd")                         \
    VMLAT_VIRT_STAGE(IRQFD_INJECT, "irqfd>kvm-inject",                        \
                     "KVM injects the interrupt")                             \
    /* To the VM, vhost-user: before the above, and a part of OVS's time. */  \
    VMLAT_VIRT_STAGE(ENQUEUE_SIGNAL, "enqueue>signal",                        \
                     "vhost-user: OVS puts it into the VM's ring and is "     \
                     "about to signal; not a part of to-vm")                  \
    /* To the VM, without a signal of its own: not a part of the above. */    \
    VMLAT_VIRT_STAGE(TX_USED, "port-tx>used",                                 \
                     "until it is in the used ring; the guest gets no "       \
                     "interrupt for it")                                      \
    /* Beyond: after the interrupt. */                                        \
    VMLAT_VIRT_STAGE(INJECT_VCPU, "kvm-inject>vcpu-entry",                    \
                     "until the vCPU enters the guest")                       \
    VMLAT_VIRT_STAGE(INJECT_WOKEN, "kvm-inject>vcpu-woken",                   \
                     "the vCPU slept: until its thread runs, a part of "      \
                     "kvm-inject>vcpu-entry")                                 \
    VMLAT_VIRT_STAGE(PREEMPTED_VCPU, "preempted",                             \
                     "kvm-inject>vcpu-entry of vCPUs that waited for a CPU "  \
                     "of the host already")                                   \
    /* From the VM, with a kick: B1 and I1. */                                \
    VMLAT_VIRT_STAGE(FROM_VM, "from-vm",                                      \
                     "from the guest's kick until the port receives it")      \
    VMLAT_VIRT_STAGE(KICK_WORKER, "kick>vhost-worker",                        \
                     "until the vhost worker runs for it")                    \
    VMLAT_VIRT_STAGE(WORKER_SENDMSG, "vhost-worker>tun-sendmsg",              \
                     "the worker fetches it from the guest")                  \
    VMLAT_VIRT_STAGE(SENDMSG_RX, "tun-sendmsg>port-rx",                       \
                     "in the tap")                                            \
    /* From the VM, without a kick: not a part of the above. */               \
    VMLAT_VIRT_STAGE(POLLED_RX, "polled>port-rx",                             \
                     "in the tap; the worker found it while it was at work")

enum vmlat_virt_stage {
#define VMLAT_VIRT_STAGE(ID, NAME, MEANING) VMLAT_VS_##ID,
    VMLAT_VIRT_STAGES
#undef VMLAT_VIRT_STAGE
    VMLAT_VIRT_N_STAGES
};

/* What became of packets to a VM:
 *
 *     row->entered == sum of row->fates + those that are on their way
 *
 * OWN and SHARED have all stages of TO_VM; NO_SIGNAL and USER have TX_USED;
 * the others have none.
 *
 * VMLAT_VIRT_FATE(ID, name, meaning) */
#define VMLAT_VIRT_FATES                                                      \
    VMLAT_VIRT_FATE(OWN, "own_signal",                                        \
                    "whole way, the interrupt was for it alone")              \
    VMLAT_VIRT_FATE(SHARED, "shared_signal",                                  \
                    "whole way, several packets on one interrupt")            \
    VMLAT_VIRT_FATE(NO_SIGNAL, "no_signal",                                   \
                    "the guest asked for no interrupt: it is at work or "     \
                    "polls")                                                  \
    VMLAT_VIRT_FATE(USER, "signal_to_process",                                \
                    "the eventfd is not KVM's: a process polls it, or the "   \
                    "VMM injects")                                            \
    VMLAT_VIRT_FATE(REFUSED, "not_injected",                                  \
                    "KVM had no vCPU to inject it into (the vector is "       \
                    "masked, the guest restarts)")                            \
    VMLAT_VIRT_FATE(TAP_DROPPED, "tap_dropped",                               \
                    "the tap dropped it: its ring is full, nobody has it "    \
                    "open, or a filter")                                      \
    VMLAT_VIRT_FATE(COPY_FAILED, "copy_failed",                               \
                    "vhost could not copy it to the guest's memory")          \
    VMLAT_VIRT_FATE(PURGED, "purged",                                         \
                    "was in the tap's ring when that was closed")             \
    VMLAT_VIRT_FATE(PROCESS, "read_by_process",                               \
                    "a process read it from the tap: no vhost")               \
    VMLAT_VIRT_FATE(UNFINISHED, "vhost_gone",                                 \
                    "taken by a vhost worker that did not put it in the "     \
                    "used ring")                                              \
    VMLAT_VIRT_FATE(TABLE_FULL, "table_full",                                 \
                    "too many packets on their way (vmlat's limit)")          \
    VMLAT_VIRT_FATE(NO_WORKER, "too_many_workers",                            \
                    "too many vhost workers (vmlat's limit)")                 \
    VMLAT_VIRT_FATE(DEFERRED_FULL, "too_many_deferred",                       \
                    "too many interrupts in KVM's workqueue (vmlat's "        \
                    "limit), or its irqfd is not seen")                       \
    VMLAT_VIRT_FATE(UNSEEN, "signal_unseen",                                  \
                    "vhost-user: OVS signalled the guest, which the "         \
                    "programs in the kernel did not see")                     \
    VMLAT_VIRT_FATE(LOST, "lost",                                             \
                    "ended unseen: its address came back")

enum vmlat_virt_fate {
#define VMLAT_VIRT_FATE(ID, NAME, MEANING) VMLAT_VF_##ID,
    VMLAT_VIRT_FATES
#undef VMLAT_VIRT_FATE
    VMLAT_VIRT_N_FATES
};

/* Where the vCPU was when the interrupt was injected, packets:
 *
 *     fates OWN + SHARED == sum of row->vcpu + those that wait for the entry
 *
 * SLEPT, PREEMPTED, KICKED and HOST have INJECT_VCPU; SLEPT has INJECT_WOKEN,
 * PREEMPTED has PREEMPTED_VCPU, too.
 *
 * VMLAT_VIRT_VCPU(ID, name, meaning) */
#define VMLAT_VIRT_VCPUS                                                      \
    VMLAT_VIRT_VCPU(SLEPT, "slept",                                           \
                    "the vCPU was halted: it had to be woken")                \
    VMLAT_VIRT_VCPU(PREEMPTED, "preempted",                                   \
                    "the vCPU waited for a CPU of the host: overcommitted")   \
    VMLAT_VIRT_VCPU(KICKED, "kicked",                                         \
                    "the vCPU ran in the guest and had to exit")              \
    VMLAT_VIRT_VCPU(HOST, "in_host",                                          \
                    "the vCPU was in KVM or in the VMM, or polled for work")  \
    VMLAT_VIRT_VCPU(POSTED, "posted",                                         \
                    "the hardware told the vCPU, which ran in the guest: "    \
                    "no entry")                                               \
    VMLAT_VIRT_VCPU(UNKNOWN, "unknown",                                       \
                    "which vCPU it was for was not seen")                     \
    VMLAT_VIRT_VCPU(LEFT_OUT, "left_out",                                     \
                    "too many signals wait for the same vCPU (vmlat's "       \
                    "limit)")                                                 \
    VMLAT_VIRT_VCPU(GONE, "gone",                                             \
                    "the vhost worker ended before the vCPU had entered the " \
                    "guest")

enum vmlat_virt_vcpu {
#define VMLAT_VIRT_VCPU(ID, NAME, MEANING) VMLAT_VV_##ID,
    VMLAT_VIRT_VCPUS
#undef VMLAT_VIRT_VCPU
    VMLAT_VIRT_N_VCPUS
};

/* What became of packets from a VM, counted when the port receives them:
 *
 *     row->received == sum of row->kicks, but for KICK_TAP_DROPPED
 *
 * OWN and SHARED have all stages of FROM_VM, POLLED and UNSEEN have POLLED_RX,
 * PROCESS has none.
 *
 * VMLAT_VIRT_KICK(ID, name, meaning) */
#define VMLAT_VIRT_KICKS                                                      \
    VMLAT_VIRT_KICK(OWN, "own_kick",                                          \
                    "the guest kicked for it alone")                          \
    VMLAT_VIRT_KICK(SHARED, "shared_kick",                                    \
                    "several packets were in the ring when the guest kicked") \
    VMLAT_VIRT_KICK(POLLED, "no_kick",                                        \
                    "the vhost worker found it while it was at work")         \
    VMLAT_VIRT_KICK(UNSEEN, "unknown_kick",                                   \
                    "whether there was a kick for it is not known: the "      \
                    "guest's ring could not be read then, the queue was "     \
                    "not known yet, or too many kicks at once")               \
    VMLAT_VIRT_KICK(PROCESS, "not_by_vhost",                                  \
                    "did not come from a vhost worker in tun_sendmsg: a "     \
                    "process wrote it to the tap, RPS or NAPI")               \
    VMLAT_VIRT_KICK(TAP_DROPPED, "tap_dropped",                               \
                    "given to the tap by vhost and not received by the port " \
                    "in that call: dropped by the tap or, with RPS or NAPI, " \
                    "received later")

enum vmlat_virt_kick {
#define VMLAT_VIRT_KICK(ID, NAME, MEANING) VMLAT_VK_##ID,
    VMLAT_VIRT_KICKS
#undef VMLAT_VIRT_KICK
    VMLAT_VIRT_N_KICKS
};

/* Histograms: the same buckets as those of struct vmlat_bpf_small_hist in
 * vmlat-abi.h: each power of two is cut into 8, so that a percentile is off by
 * at most 1/16.  Below 8 ns a bucket is 1 ns. */
#define VMLAT_VIRT_SUB_BITS 3
#define VMLAT_VIRT_MAX_BITS 34
#define VMLAT_VIRT_BUCKETS \
    ((VMLAT_VIRT_MAX_BITS - VMLAT_VIRT_SUB_BITS + 1) << VMLAT_VIRT_SUB_BITS)
struct vmlat_virt_hist {
    __u64 packets;
    __u64 total;                    /* Sum, ns. */
    __u64 max;                      /* ns. */
    __u64 not_min;                  /* ~smallest, 0 if there is none. */
    __u64 buckets[VMLAT_VIRT_BUCKETS]; /* Last one: and above. */
};

/* Numbers of things, in powers of two: bucket 0 is for 0, bucket i for
 * 2^(i - 1) to 2^i - 1, the last one: and above. */
#define VMLAT_VIRT_DEPTH_BUCKETS 18
struct vmlat_virt_depth {
    __u64 samples;
    __u64 total;                    /* Sum. */
    __u64 max;
    __u64 buckets[VMLAT_VIRT_DEPTH_BUCKETS];
};

/* A port. */
struct vmlat_virt_row {
    __u64 entered;                  /* Packets given to the tap. */
    __u64 fates[VMLAT_VIRT_N_FATES];
    __u64 vcpu[VMLAT_VIRT_N_VCPUS];
    __u64 merged;                   /* Of OWN and SHARED: the interrupt of an
                                     * earlier signal was still waiting for the
                                     * vCPU. */
    __u64 signals;                  /* Interrupts for OWN and SHARED. */
    __u64 empty_signals;            /* Signals of the receive queue without
                                     * any packet that was followed. */
    __u64 deferred;                 /* Of 'signals': injected by KVM's
                                     * workqueue. */
    __u64 unknown;                  /* Packets that vhost took and that were
                                     * not followed, say from before. */
    __u64 tx_ns;                    /* When the last one was given to the
                                     * tap. */

    __u64 received;                 /* Packets received from the tap. */
    __u64 rx_ns;                    /* When the last one was. */
    __u64 kicks[VMLAT_VIRT_N_KICKS];
    __u64 guest_kicks;              /* Kicks of the transmit queues. */
    __u64 coalesced_kicks;          /* Of these: while the worker was queued
                                     * for an earlier one already. */
    __u64 batches;                  /* tun_sendmsg() calls of vhost. */

    /* Packets that were given to the tap, all of its queues, and not taken yet
     * when one arrives there, before it.  Of the first packet of a batch, one
     * per ms for each worker, and of each that is recorded: buffers in the
     * vring that the guest has made available and the host has not used, when
     * the vhost worker takes it: earlier the guest's memory cannot be read. */
    struct vmlat_virt_depth tap_ring;
    struct vmlat_virt_depth vring;

    struct vmlat_virt_hist hists[VMLAT_VIRT_N_STAGES];
};

/* Devices of ports.  Array 'devs', found from the ifindex by linear probing of
 * VMLAT_VIRT_DEV_PROBES entries from VMLAT_VIRT_DEV_HASH().  The daemon writes
 * all but 'dev': the programs keep the address of the device there when they
 * have checked its network namespace; the daemon clears it when it changes the
 * entry.  Write 'ifindex' last when an entry is made, first when it goes. */
#define VMLAT_VIRT_DEVS 8192
#define VMLAT_VIRT_DEV_PROBES 8
#define VMLAT_VIRT_DEV_GONE 0xffffffff  /* 'ifindex' of an entry that was in
                                         * use: probing goes on behind it. */
#define VMLAT_VIRT_DEV_HASH(IFINDEX) ((IFINDEX) & (VMLAT_VIRT_DEVS - 1))
struct vmlat_virt_dev {
    __u64 dev;                      /* Address, 0 until seen. */
    __u32 ifindex;                  /* 0: never used; VMLAT_VIRT_DEV_GONE. */
    __u32 netns;                    /* Inode number of its namespace. */
    __u16 row;                      /* Of 'rows'. */
    __u16 port;                     /* Slot of vmlat_port, for records. */
    __u32 unused;
};

/* Threads of the daemon that put packets into the rings of vhost-user ports,
 * array 'threads', found from the thread's id by linear probing of
 * VMLAT_VIRT_THREAD_PROBES entries.  The daemon makes and removes entries. */
#define VMLAT_VIRT_THREADS 256
#define VMLAT_VIRT_THREAD_PROBES 8
#define VMLAT_VIRT_THREAD_GONE 0xffffffff   /* 'tid' of one that has ended. */
#define VMLAT_VIRT_THREAD_HASH(TID) ((TID) & (VMLAT_VIRT_THREADS - 1))
struct vmlat_virt_thread {
    __u32 tid;                      /* 0: never used. */
    __u32 signal;                   /* Where a signal by the thread is to be
                                     * told, in 'signals' + 1; 0: nobody wants
                                     * to know. */
    __u32 unused[14];               /* A cache line in all. */
};

/* Signals to guests of vhost-user ports, array 'signals': VMLAT_VIRT_SIGNALS
 * for each of 'threads'.  Before DPDK puts packets into a ring, the thread
 * takes one that is free; if DPDK signals the guest, the programs write into
 * it what comes of that, some of which may take until later; the thread writes
 * how many packets the ring took.  Then the daemon counts, as only it knows of
 * all. */
#define VMLAT_VIRT_SIGNALS 16

/* 'state', 0 if free.  The programs set these: */
#define VMLAT_SIGNAL_MADE (1u << 0)     /* There was a signal. */
#define VMLAT_SIGNAL_ENDED (1u << 1)    /* 'fate' is known. */
#define VMLAT_SIGNAL_DONE (1u << 2)     /* They do not write to it any more. */
/* And the daemon these: */
#define VMLAT_SIGNAL_SIZED (1u << 3)    /* 'n' is known. */
#define VMLAT_SIGNAL_COUNTED (1u << 4)  /* All but the vCPU is counted. */
#define VMLAT_SIGNAL_BUSY (1u << 5)     /* A thread is counting it. */
struct vmlat_virt_signal {
    __u32 state;                    /* VMLAT_SIGNAL_*. */
    __u16 row;                      /* The daemon's, like 'n'. */
    __u16 n;                        /* Packets. */
    __u8 fate;                      /* enum vmlat_virt_fate; OWN also if it
                                     * was for several packets. */
    __u8 vcpu;                      /* enum vmlat_virt_vcpu. */
    __u8 merged;
    __u8 unused[5];
    __u64 signal_ns;
    __u64 irqfd_ns;
    __u64 inject_ns;
    __u64 woken_ns;                 /* 0: the vCPU did not sleep. */
    __u64 entry_ns;                 /* 0: not seen. */
    __u32 serial;                   /* The daemon's. */
    __u32 unused2;                  /* A cache line in all. */
};

/* What the daemon may change at any time, in 'config'. */
#define VMLAT_VIRT_FOLLOW (1u << 0) /* Follow packets that enter from now on;
                                     * without, those that are on their way go
                                     * on to their end. */
#define VMLAT_VIRT_RECORD (1u << 1) /* Records of these into 'records'. */
struct vmlat_virt_config {
    __u32 active;                   /* VMLAT_VIRT_FOLLOW, ... */
    __u32 unused;
    __u64 min_ns;                   /* Packets that take as long are events. */
    __u64 headers_ns;               /* The headers of those that were in the
                                     * tap for as long are kept for that. */
#define VMLAT_VIRT_NEVER (~(__u64) 0)   /* None. */
};

/* Ring buffer 'records' has a struct vmlat_record for each packet that is
 * recorded, and one of these, which is larger, for each that took long: for
 * 'min_ns' or more, until the last mark that is known of it. */
#define VMLAT_VIRT_EVENT_MARKS 6
#define VMLAT_VIRT_EVENT_BYTES 120
struct vmlat_virt_event {
    __u64 t[VMLAT_VIRT_EVENT_MARKS]; /* When it was at each mark of 'kind', 0:
                                      * not there. */
    __u64 woken_ns;                 /* VM_RX: when the vCPU's thread ran after
                                     * it had slept, 0: it did not sleep. */
    __u64 before_ns;                /* For so long before it was at port-tx
                                     * (VM_RX) or port-rx (VM_TX), no other
                                     * packet was there. */
    __u64 base;                     /* The address that 'skb' counts from. */
    __u32 skb;                      /* VM_RX: (its address - base) >> 7. */
    __u32 tid;                      /* VM_TX: the vhost worker. */
    __u32 length;                   /* Of the packet, from the Ethernet header
                                     * on, if 'size'. */
    __u16 size;                     /* Bytes in 'bytes', 0: not kept. */
    __u16 row;                      /* Of the port. */
    __u16 cpu;                      /* At the last mark. */
    __u8 kind;                      /* VMLAT_REC_VM_RX or VMLAT_REC_VM_TX. */
    __u8 which;                     /* VM_RX: enum vmlat_virt_fate; VM_TX: enum
                                     * vmlat_virt_kick. */
    __u8 vcpu;                      /* VM_RX: enum vmlat_virt_vcpu, if it was
                                     * injected. */
    __u8 unused[3];
    __u8 bytes[VMLAT_VIRT_EVENT_BYTES]; /* From the Ethernet header on. */
};
_Static_assert(sizeof(struct vmlat_virt_event) == 216, "ABI");

/* What the programs count for the daemon, all rows, in 'stats'. */
struct vmlat_virt_stats {
    __u64 records;                  /* Written to 'records'. */
    __u64 records_lost;             /* No room there. */
    __u64 events_lost;              /* No room there. */
    __u64 workers_left_out;         /* Times that there was no room for a
                                     * vhost worker. */
    __u64 queues_left_out;          /* The same for a transmit queue. */
};

#endif /* vmlat-virt-abi.h */
