/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Copyright (c) 2026 The vmlat authors.
 */

#ifndef VMLAT_VIRT_MAPS_H
#define VMLAT_VIRT_MAPS_H 1

/* What the programs of vmlat-virt.bpf.c share with the daemon and with each
 * other.  All tables are bounded; what does not fit is counted. */

#include "vmlat-kernel-types.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "vmlat-ids.h"
#include "vmlat-record-abi.h"
#include "vmlat-virt-abi.h"

#define likely(X) __builtin_expect(!!(X), 1)
#define unlikely(X) __builtin_expect(!!(X), 0)

/* Element INDEX, cut to what there is, of ARRAY. */
#define at(ARRAY, N, INDEX)                                         \
    ({                                                              \
        __u64 x_ = (__u64) (INDEX) * sizeof (ARRAY)[0];             \
        element(x_, ARRAY, N);                                      \
        (__typeof__(&(ARRAY)[0])) (long) x_;                        \
    })

/* Set before loading: addresses in the kernel, 0 if they are not known. */
const volatile __u64 vmlat_handle_tx_kick = 0;
const volatile __u64 vmlat_poll_wakeup = 0;     /* vhost_poll_wakeup() */
const volatile __u64 vmlat_xmit_start = 0;      /* tun_net_xmit() */
const volatile __u64 vmlat_xmit_end = 0;
const volatile __u64 vmlat_read_start = 0;      /* tun_do_read() */
const volatile __u64 vmlat_read_end = 0;
const volatile __u64 vmlat_recv_start = 0;      /* tun_recvmsg() */
const volatile __u64 vmlat_recv_end = 0;

/* Set before loading: kvm_entry is attached. */
const volatile __u32 vmlat_has_entry = 0;

/* Set by the programs: the one at irqfd_wakeup() did not run where it should
 * have. */
__u32 vmlat_irqfd_unseen = 0;

/* Shared with the daemon. */
struct vmlat_virt_dev devs[VMLAT_VIRT_DEVS] SEC(".data.devs");
struct vmlat_virt_thread threads[VMLAT_VIRT_THREADS] SEC(".data.threads");
struct vmlat_virt_signal signals[VMLAT_VIRT_THREADS * VMLAT_VIRT_SIGNALS]
    SEC(".data.signals");
struct vmlat_virt_config config SEC(".data.config");
struct vmlat_virt_stats stats SEC(".data.stats");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 16);                    /* Set before loading. */
    __type(key, __u32);
    __type(value, struct vmlat_virt_row);
} rows SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 20);               /* Set before loading. */
} records SEC(".maps");

/* Packets to VMs, from the tap to their end.  A packet in the tap's
 * ring is found by the id of its skb, which has its place in one of the ways
 * of a set; from when the vhost worker takes it, it is known by its number in
 * 'pkts', and the place says PKT_TAKEN. */
#define N_PKTS 16384
#define N_WAYS 4                        /* pkt_find() has 4 in it. */
#define PKT_TAKEN 1ull                  /* No id is odd. */

#define PKT_RECORD (1u << 0)            /* 'recs' has it. */
#define PKT_FAILED (1u << 1)            /* Could not be copied. */
#define PKT_HEADERS (1u << 2)           /* 'heads' has its headers. */
struct pkt {
    __u64 tx_ns;
    __u64 taken_ns;
    __u32 next;                         /* Of the same batch. */
    union {
        struct {
            __u16 row;
            __u16 flags;                /* PKT_*. */
        };
        __u32 row_flags;                /* Both: 'row' without any flag. */
    };
    __u32 skb;                          /* Its id >> 7. */
    __u32 before_ns;                    /* As in struct vmlat_virt_event. */
};
static __u64 ids[N_PKTS];
static struct pkt pkts[N_PKTS];

/* Of those that have entered, by row: not in the tap's ring any more. */
#define N_LEFTS 4096
static __u64 lefts[N_LEFTS];

/* First bytes of packets to VMs that may become events, as in 'pkts'. */
struct head {
    __u32 length;                       /* Of the packet. */
    __u32 size;                         /* Bytes in 'bytes'. */
    __u8 bytes[VMLAT_VIRT_EVENT_BYTES]; /* From the Ethernet header on. */
};
_Static_assert(sizeof(struct head) == 128, "size");
static struct head heads[N_PKTS];

/* Batches: packets that a worker has taken, one after the other, until it puts
 * them in the used ring, KVM injects the interrupt for them and the vCPU has
 * entered the guest.  Each worker has N_BATCHES, of which it fills one; others
 * wait. */
#define N_BATCHES 8
#define BATCH_MAX 128                   /* vhost: 64 and one. */

#define BATCH_FINISHED (1u << 0)        /* The worker is done with it. */
#define BATCH_ENTERED (1u << 1)         /* The vCPU has entered the guest. */
#define BATCH_BUSY (1u << 2)            /* Waits for vCPU or workqueue. */
struct batch {
    __u64 signal_ns;
    __u64 irqfd_ns;
    __u64 inject_ns;
    __u64 entry_ns;
    __u64 woken_ns;                     /* 0: the vCPU did not sleep. */
    __u32 head, tail;                   /* In 'pkts'. */
    __u32 n;
    __u32 n_whole;                      /* Packets that wait for the vCPU. */
    __u32 state;                        /* BATCH_*. */
    __u32 slot;                         /* In 'vcpus', while it waits. */
    __u16 row;
    __u16 vcpu;                         /* enum vmlat_virt_vcpu. */
    __u8 shared;
    __u8 merged;
    __u8 record;                        /* One of them is recorded. */
    __u8 failed;                        /* Packets that are PKT_FAILED. */
    __u32 signal;                       /* Of a vhost-user port: in 'signals' +
                                         * 1, and no packets; 0: of a tap. */
    __u32 unused;
    __u64 first_ns;                     /* The earliest 'tx_ns' of them. */
    __u64 irqfd;                        /* Id of what was woken. */
    __u16 avail;                        /* Of the ring, for the first one, if
                                         * 'avail_known'. */
    __u8 avail_known;
    __u8 unused2[5];
    __u64 unused3[3];
};

/* vhost workers, and threads of KVM's workqueue while they inject. */
#define N_WORKERS 512
#define WORKER_PROBES 4                 /* worker_find() has 4 in it. */

/* How many free buffers there are in the vring is looked at as often as that,
 * and for each packet that is recorded: reading the guest's memory takes as
 * long as all else for a packet. */
#define LOOK_NS 1000000

/* Where a worker is in the chain. */
#define CHAIN_USED (1u << 0)            /* Put in the used ring. */
#define CHAIN_SIGNAL (1u << 1)          /* eventfd_signal() */
#define CHAIN_IRQFD (1u << 2)           /* irqfd_wakeup() */
#define CHAIN_INJECTED (1u << 3)        /* The local APIC has got it. */
#define CHAIN_DEFERRED (1u << 4)        /* Left to the workqueue. */
#define CHAIN_WAITS (1u << 5)           /* The vCPU's entry is waited for. */
struct worker {
    /* To the VM. */
    __u64 rx_vq;                        /* Id of struct vhost_virtqueue, 0:
                                         * not known. */
    __u64 call_ctx;                     /* Eventfd signalled last, address. */
    __u64 avail;                        /* Address in the VM's process, 0: not
                                         * to be read now. */
    __u64 irqfd;                        /* Id of what was woken. */
    __u32 batch;                        /* Being filled, 0 to 7. */
    __u32 chain;                        /* CHAIN_*. */
    __u32 others;                       /* Taken, but not followed. */
    __u32 waiting;                      /* Batches that wait for a vCPU. */
    __u16 last_used;                    /* After the batch before. */
    __u16 row;
    __u16 vcpu;                         /* enum vmlat_virt_vcpu. */
    __u16 row_known;
    __u32 current;                      /* What the chain is for, in
                                         * 'batches'. */
    __u32 next_batch;                   /* To be filled after it. */

    /* From the VM. */
    __u32 queue;                        /* In 'queues' + 1, 0: none. */
    __u32 run_head;                     /* Kicks before the present run. */
    __u64 tx_vq;                        /* Address. */
    __u64 run_ns;
    __u64 send_ns;                      /* 0: not in tun_sendmsg(). */
    __u32 sent, got;                    /* In this tun_sendmsg(). */
    __u16 index;                        /* In the ring, of the first. */
    __u8 last_known;                    /* The last one taken is followed. */
    __u8 is_vhost;                      /* A vhost worker; 0: not known. */
    __u32 unused;
    __u64 look_ns;                      /* When 'avail' was set. */
    __u64 last_other;                   /* Id of the last of 'others'. */
};
_Static_assert(sizeof(struct worker) == 128, "size");
static __u32 worker_tids[N_WORKERS];
static struct worker workers[N_WORKERS];
static struct batch batches[N_WORKERS * N_BATCHES];
_Static_assert(sizeof(struct batch) == 128, "size");

/* Batches that wait for KVM's workqueue, by the irqfd's id. */
#define N_DEFERRED 256
#define DEFERRED_PROBES 8
struct deferred {
    __u64 irqfd;                        /* Id, 0 if free. */
    __u32 batch;                        /* In 'batches' + 1, 0: not yet. */
    __u32 unused;
};
static struct deferred deferreds[N_DEFERRED];

/* vCPUs whose entry is waited for. */
#define N_VCPUS 1024
#define VCPU_PROBES 4
#define VCPU_BATCHES 12
struct vcpu {
    __u64 id;                           /* 0 if free. */
    __u32 waiting;                      /* Batches, about. */
    __u32 unused;
    __u64 woken_ns;                     /* Since the last entry. */
    __u64 unused2;
    __u64 batches[VCPU_BATCHES];        /* In 'batches' + 1, 0: free. */
};
_Static_assert(sizeof(struct vcpu) == 128, "size");
static struct vcpu vcpus[N_VCPUS];

/* Transmit queues. */
#define N_QUEUES 512
#define QUEUE_PROBES 4
#define N_KICKS 8
struct kick {
    __u64 ns;
    __u16 avail;                        /* Of the ring then. */
    __u8 unknown;                       /* It could not be read. */
    __u8 seen;                          /* 'n' is set. */
    __u32 n;                            /* Packets that it was for. */
};
struct queue {
    __u64 id;                           /* Of its vhost_poll, 0: free. */
    __u32 head;                         /* Kicks so far. */
    __u32 next;                         /* First that packets may belong to. */
    __u32 runs;                         /* Kicks that a run has seen. */
    __u16 row;
    __u16 row_known;
    __u32 early_kicks, early_coalesced; /* Before the row was known. */
    __u32 early_batches, early_dropped;
    __u16 lost_until;                   /* Packets before may belong to a kick
                                         * that was lost, if 'lost'. */
    __u16 lost;
    __u32 kicking;                      /* A vCPU is adding a kick. */
    __u32 unused[2];
    struct kick kicks[N_KICKS];
    __u64 unused2[9];
};
_Static_assert(sizeof(struct queue) == 256, "size");
static struct queue queues[N_QUEUES];

/* Records of packets to VMs, as in 'pkts'; from a VM, one for each worker. */
#define N_RECS (2 * N_PKTS)
struct rec {
    struct vmlat_record record;
    __u64 unused[2];
};
static struct rec recs[N_RECS];

#endif /* vmlat-virt-maps.h */
