/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Copyright (c) 2026 The vmlat authors.
 */

/* Follows packets between a tap and the VM behind it: vhost-net and KVM.
 *
 * To a VM.  A packet is known by the address of its skb from when the kernel
 * gives it to the tap until the vhost worker takes it in tun_recvmsg(), where
 * it begins to copy it.  All that the worker takes until
 * vhost_add_used_and_signal_n() is a batch; what happens in that call happens
 * for the batch: eventfd, irqfd, the interrupt.  It is one chain of calls in
 * the worker's thread, so that the thread says which signal and which
 * interrupt are whose.  KVM may leave the interrupt to its workqueue; then it
 * is the irqfd that says it.  From there it is the vCPU, known by its address,
 * that the batch waits for.  What is not signalled is in the used ring when
 * that call is over.
 *
 * To get to a program at a function of the kernel and back takes as long as
 * the program itself.  So each packet passes tracepoints only, where there is
 * less to it, and each batch one function.  A guest that polls asks for no
 * signals: its batches are counted right there, without what others take.
 *
 * From a VM.  A kick is noted with the index of the available ring at that
 * moment, in the vCPU's thread; the worker's run takes over the kicks before
 * it.  Vhost takes packets in the order of the ring, so that the index of each
 * tells which kick, if any, it was there for.
 *
 * Several threads and CPUs count for one port: all additions are atomic. */

#include "vmlat-kernel-types.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "vmlat-virt-event.h"
#include "vmlat-virt-maps.h"
#include "vmlat-virt-record.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The kernel's, which BTF does not have. */
#define IN_GUEST_MODE 1                 /* Of struct kvm_vcpu. */
#define TUN_MSG_PTR 2                   /* Of struct tun_msg_ctl: a batch. */
#define WOULD_BLOCK (-11)               /* -EWOULDBLOCK */
#define PF_IO_WORKER 0x00000010         /* Of struct task_struct. */
#define PF_USER_WORKER 0x00004000
#define PF_KTHREAD 0x00200000

/* Counting. */

static __always_inline void
count(__u64 *counter, __u64 n)
{
    __sync_fetch_and_add(counter, n);
}

#define X2(N) N, N
#define X4(N) X2(N), X2(N)
#define X8(N) X4(N), X4(N)
#define X16(N) X8(N), X8(N)
#define X32(N) X16(N), X16(N)
#define X64(N) X32(N), X32(N)
#define X128(N) X64(N), X64(N)
#define X256(N) X128(N), X128(N)
#define X512(N) X256(N), X256(N)
#define X1024(N) X512(N), X512(N)
#define X2048(N) X1024(N), X1024(N)
#define OCTAVE(X, N) X(N), X(N + 1), X(N + 2), X(N + 3), X(N + 4), X(N + 5), \
                     X(N + 6), X(N + 7)
#define X1(N) N
/* Entry i is the bucket of i ns in struct vmlat_virt_hist. */
static const __u8 buckets[4096] = {
    OCTAVE(X1, 0), OCTAVE(X1, 8), OCTAVE(X2, 16), OCTAVE(X4, 24),
    OCTAVE(X8, 32), OCTAVE(X16, 40), OCTAVE(X32, 48), OCTAVE(X64, 56),
    OCTAVE(X128, 64), OCTAVE(X256, 72)
};
/* Entry i is the bucket of struct vmlat_virt_depth. */
static const __u8 depths[4096] = {
    0, 1, X2(2), X4(3), X8(4), X16(5), X32(6), X64(7), X128(8), X256(9),
    X512(10), X1024(11), X2048(12)
};

/* Rows are not more than N_LEFTS. */
static __always_inline __u64 *
left_of(__u32 row)
{
    return at(lefts, N_LEFTS, row);
}

static __always_inline struct vmlat_virt_row *
row_of(__u32 row)
{
    return bpf_map_lookup_elem(&rows, &row);
}

/* 'min' and 'max' are of new samples. */
__noinline int
hist_extend(struct vmlat_virt_hist *h, __u64 min, __u64 max)
{
    if (h) {
        __u64 was = h->max;

        /* Another worker of the port may do the same. */
        for (int i = 0; i < 4 && max > was; i++) {
            was = __sync_val_compare_and_swap(&h->max, was, max);
        }
        was = h->not_min;
        for (int i = 0; i < 4 && ~min > was; i++) {
            was = __sync_val_compare_and_swap(&h->not_min, was, ~min);
        }
    }
    return 0;
}

static __always_inline bool
is_huge(__u64 ns)
{
    return ns >> VMLAT_VIRT_MAX_BITS;
}

/* X >>= N, by a constant: the compiler would make one of several, by a number
 * in a register, which takes some instructions more. */
#define SHIFT(X, N) asm volatile ("%0 >>= %1" : "+r" (X) : "i" (N))

/* Adds 'n' samples of 'ns' to the buckets alone; 'huge' is is_huge() of it.
 *
 * Without its lower bits, and with 8 or more left, a number has the same place
 * in its power of two. */
static __always_inline void
hist_add_bucket(struct vmlat_virt_hist *h, __u64 ns, __u64 n, bool huge)
{
    __u64 i = ns, first = 0, bucket;

    if (ns >= 1ull << 12) {
        if (likely(ns < 1ull << 21)) {
            SHIFT(i, 9);
            first = 9 << VMLAT_VIRT_SUB_BITS;
        } else if (ns < 1ull << 30) {
            SHIFT(i, 18);
            first = 18 << VMLAT_VIRT_SUB_BITS;
        } else {
            SHIFT(i, 24);
            first = 24 << VMLAT_VIRT_SUB_BITS;
        }
    }
    hide(i);
    bucket = first + buckets[i & 4095];
    hide(bucket);
    if (unlikely(huge)) {
        bucket = VMLAT_VIRT_BUCKETS - 1;
    }
    bucket *= sizeof h->buckets[0];
    element(bucket, h->buckets, VMLAT_VIRT_BUCKETS);
    count((__u64 *) (long) bucket, n);
}

/* Adds 'n' samples, which are in their buckets: their sum, least and
 * greatest. */
static __always_inline void
hist_add_sum(struct vmlat_virt_hist *h, __u64 n, __u64 sum, __u64 min,
             __u64 max)
{
    count(&h->total, sum);
    count(&h->packets, n);
    if (unlikely(max > h->max || ~min > h->not_min)) {
        hist_extend(h, min, max);
    }
}

/* Adds 'n' samples of 'ns'.  Global, since the verifier then checks it once,
 * not for each way to each call. */
__noinline int
hist_add(struct vmlat_virt_hist *h, __u64 ns, __u64 n)
{
    if (h) {
        hist_add_bucket(h, ns, n, is_huge(ns));
        hist_add_sum(h, n, ns * n, ns, ns);
    }
    return 0;
}
#define HIST_ADD(ROW, ID, NS, N) hist_add(&(ROW)->hists[VMLAT_VS_##ID], NS, N)

static __always_inline void
depth_add(struct vmlat_virt_depth *d, __u64 depth)
{
    __u64 i = depth, bucket;

    hide(i);
    bucket = depths[i & 4095];
    if (unlikely(depth >= 4096)) {
        bucket = depth < 8192 ? 13 : depth < 16384 ? 14
                 : depth < 32768 ? 15 : depth < 65536 ? 16 : 17;
    }
    hide(bucket);
    if (bucket < VMLAT_VIRT_DEPTH_BUCKETS) {
        count(&d->buckets[bucket], 1);
    }
    count(&d->samples, 1);
    count(&d->total, depth);
    if (unlikely(depth > d->max)) {
        __u64 was = d->max;

        for (int i = 0; i < 4 && depth > was; i++) {
            was = __sync_val_compare_and_swap(&d->max, was, depth);
        }
    }
}

/* Devices. */

static __noinline int
dev_find_slow(struct net_device *dev, __u32 ifindex)
{
    for (int i = 0; i < VMLAT_VIRT_DEV_PROBES; i++) {
        struct vmlat_virt_dev *e = &devs[VMLAT_VIRT_DEV_HASH(ifindex + i)];

        if (!e->ifindex) {
            break;
        }
        if (e->ifindex == ifindex) {
            if (e->dev == (__u64) (long) dev) {
                return VMLAT_VIRT_DEV_HASH(ifindex + i);
            }
            if (BPF_CORE_READ(dev, nd_net.net, ns.inum) == e->netns) {
                struct vmlat_virt_row *row = row_of(e->row);

                if (row) {
                    /* Packets before may not have been followed. */
                    row->tx_ns = row->rx_ns = 0;
                }
                e->dev = (__u64) (long) dev;
                return VMLAT_VIRT_DEV_HASH(ifindex + i);
            }
        }
    }
    return -1;
}

/* Returns what the daemon says about 'dev', NULL if nothing. */
static __always_inline struct vmlat_virt_dev *
dev_find(struct net_device *dev)
{
    __u32 ifindex = dev->ifindex;
    struct vmlat_virt_dev *e = &devs[VMLAT_VIRT_DEV_HASH(ifindex)];
    int slot;

    if (likely(!e->ifindex)) {
        return NULL;
    }
    if (likely(e->dev == (__u64) (long) dev && e->ifindex == ifindex)) {
        hide(e);
        return e;
    }
    slot = dev_find_slow(dev, ifindex);
    return slot < 0 ? NULL : &devs[slot & (VMLAT_VIRT_DEVS - 1)];
}

/* Workers. */

#define NONE 0xffffffffu

/* Returns the number of the first place of the worker that is thread 'tid'. */
static __always_inline __u64
tid_hash(__u32 tid)
{
    __u64 first = tid * 0x9e3779b1u >> 16;

    asm volatile ("%0 &= %1" : "+r" (first)
                  : "i" (N_WORKERS - WORKER_PROBES));
    return first;
}

/* Returns the number of the worker that the present thread is, NONE if it is
 * none. */
static __always_inline __u32
worker_find(void)
{
    __u32 tid = bpf_get_current_pid_tgid();
    __u64 first = tid_hash(tid);
    const __u32 *tids = &worker_tids[first];

    hide(tids);
    if (unlikely(!tid)) {
        return NONE;
    } else if (tids[0] == tid) {
        return first;
    } else if (unlikely(tids[1] == tid)) {
        return first + 1;
    } else if (unlikely(tids[2] == tid)) {
        return first + 2;
    } else if (unlikely(tids[3] == tid)) {
        return first + 3;
    }
    return NONE;
}

/* The same, but makes it one if there is room. */
static __noinline __u32
worker_make(void)
{
    __u32 tid = bpf_get_current_pid_tgid();
    __u64 hash = tid_hash(tid);
    __u32 number = worker_find();

    if (number != NONE || !tid) {
        return number;
    }
    for (__u32 i = 0; i < WORKER_PROBES; i++) {
        __u32 *slot = at(worker_tids, N_WORKERS, hash + i);

        if (!__sync_val_compare_and_swap(slot, 0, tid)) {
            struct worker *w = at(workers, N_WORKERS, hash + i);

            __builtin_memset(w, 0, sizeof *w);
            return (hash + i) & (N_WORKERS - 1);
        }
    }
    count(&stats.workers_left_out, 1);
    return NONE;
}

#define WORKER(NUMBER) at(workers, N_WORKERS, NUMBER)
#define BATCH(NUMBER) at(batches, N_WORKERS * N_BATCHES, NUMBER)
#define PKT(NUMBER) at(pkts, N_PKTS, NUMBER)
#define SIGNAL(NUMBER) \
    at(signals, VMLAT_VIRT_THREADS * VMLAT_VIRT_SIGNALS, NUMBER)

static __always_inline __u32
batch_number(__u32 worker, __u32 batch)
{
    return worker * N_BATCHES + (batch & (N_BATCHES - 1));
}

/* Returns a batch of the worker that is free and is not the one it fills, NONE
 * if all wait. */
static __noinline __u32
worker_free_batch(__u32 worker)
{
    __u32 batch = WORKER(worker)->batch;

    for (__u32 i = 1; i < N_BATCHES; i++) {
        if (!BATCH(batch_number(worker, batch + i))->state) {
            return (batch + i) & (N_BATCHES - 1);
        }
    }
    return NONE;
}

/* Packets to a VM. */

/* Returns the number of the first place of packet 'id'.  Skbs are 256 bytes or
 * more apart. */
static __always_inline __u64
set_of(__u64 id)
{
    __u64 set = ((__u32) (id >> 7) * 0x9e3779b1u >> 16) * N_WAYS;

    asm volatile ("%0 &= %1" : "+r" (set) : "i" (N_PKTS - N_WAYS));
    return set;
}

/* Returns the number of the packet, NONE if it is not known. */
static __always_inline __u32
pkt_find(__u64 id)
{
    __u64 set = set_of(id);
    const __u64 *way = &ids[set];

    hide(way);
    if (way[0] == id) {
        return set;
    } else if (unlikely(way[1] == id)) {
        return set + 1;
    } else if (unlikely(way[2] == id)) {
        return set + 2;
    } else if (unlikely(way[3] == id)) {
        return set + 3;
    }
    return NONE;
}

static __always_inline void
pkt_free(__u32 number)
{
    *(volatile __u64 *) at(ids, N_PKTS, number) = 0;
}

/* A packet is at its end without having been taken. */
static __noinline int
pkt_end(__u32 number, __u32 fate)
{
    struct vmlat_virt_row *row = row_of(PKT(number)->row);

    if (row && fate < VMLAT_VIRT_N_FATES) {
        count(&row->fates[fate], 1);
        count(left_of(PKT(number)->row), 1);
    }
    __sync_fetch_and_add(vm_ids_of(*at(ids, N_PKTS, number)), -1);
    pkt_free(number);
    return 0;
}

/* Does what pkt_take() does. */
__noinline __u32
pkt_take_slow(__u64 id)
{
    __u32 set = set_of(id), number = NONE;

    for (__u32 i = 0; i < N_WAYS; i++) {
        __u64 there = *at(ids, N_PKTS, set + i);

        if (unlikely(there == id)) {
            pkt_end(set + i, VMLAT_VF_LOST);
            there = 0;
        }
        if (!there && number == NONE
            && likely(!__sync_val_compare_and_swap(
                          at(ids, N_PKTS, set + i), 0, id))) {
            number = (set + i) & (N_PKTS - 1);
        }
    }
    return number;
}

/* Takes a place for packet 'id'.  Returns its number, or NONE if there is no
 * room. */
static __always_inline __u32
pkt_take(__u64 id)
{
    __u64 set = set_of(id), was;
    __u64 *way = &ids[set];

    hide(way);
    if (likely(!(way[0] | way[1] | way[2] | way[3]))) {
        was = __sync_val_compare_and_swap(way, 0, id);
        hide(was);                  /* Shorter: a branch, and no value. */
        if (likely(!was)) {
            return set;
        }
    }
    return pkt_take_slow(id);
}

/* Batches. */

/* Writes the record of packet 'number' of 'batch'. */
__noinline int
pkt_record(__u32 number, __u32 batch, __u32 flags)
{
    const struct batch *b = BATCH(batch);
    const struct pkt *p = PKT(number);
    struct vmlat_record *r = &at(recs, N_RECS, number)->record;
    __u64 times[VMLAT_RECORD_MARKS] = { 0 };

    times[VMLAT_MARK_VM_RX_TX] = p->tx_ns;
    times[VMLAT_MARK_VM_RX_TAKEN] = p->taken_ns;
    times[VMLAT_MARK_VM_RX_SIGNAL] = b->signal_ns;
    times[VMLAT_MARK_VM_RX_IRQFD] = b->irqfd_ns;
    times[VMLAT_MARK_VM_RX_INJECT] = b->inject_ns;
    times[VMLAT_MARK_VM_RX_VCPU] = b->entry_ns;
    r->flags |= flags;
    record_end(r, times);
    return 0;
}

/* Writes the record and the event of packet 'number' of 'batch', which is at
 * its end, and frees it.  The verifier checks this once, not for each packet
 * of a batch, as it does where the code is in the loop. */
__noinline int
pkt_report(__u32 number, __u32 batch, __u32 flags, __u32 slow)
{
    const struct pkt *p = PKT(number);

    if ((p->flags & (PKT_RECORD | PKT_FAILED)) == PKT_RECORD) {
        pkt_record(number, batch, flags);
    }
    if (slow && !(p->flags & PKT_FAILED)) {
        pkt_event(number, batch, flags);
    }
    pkt_free(number);
    return 0;
}

/* Writes the records and events of the packets of a batch, which is at its
 * end, and frees these. */
__noinline int
batch_report(__u32 number, __u32 flags)
{
    struct batch *b = BATCH(number);
    __u32 at_pkt = b->head, n = b->n;
    bool slow = batch_is_slow(b);

    for (__u32 i = 0; i < BATCH_MAX && i < n; i++) {
        __u32 next = PKT(at_pkt)->next;

        pkt_report(at_pkt, number, flags, slow);
        at_pkt = next;
    }
    return 0;
}

static __always_inline __u32
record_flags(const struct batch *b)
{
    return ((b->shared ? VMLAT_REC_SHARED : 0)
            | (b->merged ? VMLAT_REC_MERGED : 0));
}

/* Frees the packets of a batch. */
__noinline int
batch_free(__u32 number)
{
    struct batch *b = BATCH(number);
    __u32 at_pkt = b->head, n = b->n;

    for (__u32 i = 0; i < BATCH_MAX && i < n; i++) {
        __u32 next = PKT(at_pkt)->next;

        pkt_free(at_pkt);
        at_pkt = next;
    }
    b->n = 0;
    return 0;
}

/* Ends the packets of a batch that is at its end and has been counted; their
 * records would have 'flags'. */
static __always_inline void
batch_release(__u32 number, __u32 flags)
{
    struct batch *b = BATCH(number);

    if (unlikely(b->record || batch_is_slow(b))) {
        batch_report(number, flags);
        b->record = 0;
        b->n = 0;
    } else {
        batch_free(number);
    }
}

/* Batch 'number' is a signal of the daemon's: it has ended with 'fate', and
 * the programs are done with it if 'done'. */
__noinline int
signal_end(__u32 number, __u32 fate, __u32 done)
{
    struct batch *b = BATCH(number);
    struct vmlat_virt_signal *s = SIGNAL(b->signal - 1);

    s->irqfd_ns = b->irqfd_ns;
    s->inject_ns = b->inject_ns;
    s->fate = fate;
    s->vcpu = b->vcpu;
    s->merged = b->merged;
    __sync_fetch_and_or(&s->state, VMLAT_SIGNAL_ENDED
                                   | (done ? VMLAT_SIGNAL_DONE : 0));
    if (done) {
        b->signal = 0;
        b->state = 0;
    }
    return 0;
}

/* The same, some time after it has ended: 'vcpu' says how. */
__noinline int
signal_done(__u32 number, __u32 vcpu)
{
    struct batch *b = BATCH(number);
    struct vmlat_virt_signal *s = SIGNAL(b->signal - 1);

    s->woken_ns = b->woken_ns;
    s->entry_ns = b->entry_ns;
    s->vcpu = vcpu;
    __sync_fetch_and_or(&s->state, VMLAT_SIGNAL_DONE);
    b->signal = 0;
    return 0;
}

/* The vCPU has entered the guest, and the worker is done with the batch. */
__noinline int
batch_complete(__u32 number)
{
    struct batch *b = BATCH(number);
    struct worker *w = WORKER(number / N_BATCHES);
    struct vmlat_virt_row *row = row_of(b->row);
    bool is_signal = b->signal;

    if (unlikely(is_signal)) {
        signal_done(number, b->vcpu);
    } else if (row && b->n_whole) {
        __u64 ns = b->entry_ns - b->inject_ns;
        __u32 vcpu = b->vcpu, n = b->n_whole;

        HIST_ADD(row, INJECT_VCPU, ns, n);
        if (b->woken_ns > b->inject_ns) {
            vcpu = VMLAT_VV_SLEPT;
            HIST_ADD(row, INJECT_WOKEN, b->woken_ns - b->inject_ns, n);
        } else if (vcpu == VMLAT_VV_PREEMPTED) {
            HIST_ADD(row, PREEMPTED_VCPU, ns, n);
        }
        if (vcpu < VMLAT_VIRT_N_VCPUS) {
            count(&row->vcpu[vcpu], n);
        }
        b->vcpu = vcpu;
    }
    if (likely(!is_signal)) {
        batch_release(number, record_flags(b));
    }
    __sync_fetch_and_add(&w->waiting, -1);
    *(volatile __u32 *) &b->state = 0;
    return 0;
}

/* Nobody will see the vCPU enter. */
__noinline int
batch_gone(__u32 number)
{
    struct batch *b = BATCH(number);
    struct vmlat_virt_row *row = row_of(b->row);

    b->entry_ns = 0;
    b->vcpu = VMLAT_VV_GONE;
    if (b->signal) {
        signal_done(number, b->vcpu);
    } else {
        if (row) {
            count(&row->vcpu[VMLAT_VV_GONE], b->n_whole);
        }
        batch_release(number, record_flags(b));
    }
    b->state = 0;
    return 0;
}

/* Adds packet 'number' of 'batch' to the histograms: those of the whole way if
 * 'whole', that of the way to the used ring if 'used'.  Checked once, too. */
__noinline int
pkt_count(__u32 number, __u32 batch, __u32 whole, __u32 used)
{
    const struct batch *b = BATCH(batch);
    const struct pkt *p = PKT(number);
    struct vmlat_virt_row *row = row_of(b->row);

    if (!row || unlikely(p->flags & PKT_FAILED)) {
        return 0;
    }
    if (whole) {
        HIST_ADD(row, TO_VM, b->inject_ns - p->tx_ns, 1);
        HIST_ADD(row, TX_TAKEN, p->taken_ns - p->tx_ns, 1);
        HIST_ADD(row, TAKEN_SIGNAL, b->signal_ns - p->taken_ns, 1);
    } else if (used) {
        HIST_ADD(row, TX_USED, b->signal_ns - p->tx_ns, 1);
    }
    return 0;
}

_Static_assert(VMLAT_VIRT_N_FATES <= 16, "batch_count() has 16 in it");

/* Counts the packets of a batch, which have 'fate'.  Returns their number,
 * without those that could not be copied. */
__noinline int
batch_count(__u32 number, __u32 fate)
{
    struct batch *b = BATCH(number);
    struct vmlat_virt_row *row = row_of(b->row);
    bool whole = fate == VMLAT_VF_OWN || fate == VMLAT_VF_SHARED;
    bool used = fate == VMLAT_VF_NO_SIGNAL || fate == VMLAT_VF_USER;
    __u32 at_pkt = b->head, n = b->n;

    if (!row) {
        return 0;
    }
    for (__u32 i = 0; i < BATCH_MAX && i < n; i++) {
        pkt_count(at_pkt, number, whole, used);
        at_pkt = PKT(at_pkt)->next;
    }
    if (unlikely(b->failed)) {
        count(&row->fates[VMLAT_VF_COPY_FAILED], b->failed);
        n -= b->failed;
    }
    if (!n) {
        return 0;
    }
    if (whole) {
        HIST_ADD(row, SIGNAL_IRQFD, b->irqfd_ns - b->signal_ns, n);
        HIST_ADD(row, IRQFD_INJECT, b->inject_ns - b->irqfd_ns, n);
        count(&row->signals, 1);
        if (b->merged) {
            count(&row->merged, n);
        }
    }
    if (fate < VMLAT_VIRT_N_FATES) {
        __u64 i = fate;

        /* The verifier has forgotten it. */
        asm volatile ("%0 &= 15" : "+r" (i));
        count(&row->fates[i], n);
    }
    return n;
}

/* Does what batch_finish() does, in short, for batch 'b' of 'row' and of up to
 * 'limit' packets, if there was no signal for it, all packets were copied,
 * none is recorded and none took long: the earliest took 'max'. */
static __always_inline void
batch_finish_unsignalled(struct batch *b, struct vmlat_virt_row *row,
                         __u64 now, __u64 max, __u32 limit)
{
    __u64 sum = 0, min = max;
    __u32 at_pkt = b->head, n = b->n;

    for (__u32 i = 0; i < limit && i < n; i++) {
        struct pkt *p = PKT(at_pkt);
        __u64 ns = now - p->tx_ns;

        sum += ns;
        if (ns < min) {
            min = ns;
        }
        hist_add_bucket(&row->hists[VMLAT_VS_TX_USED], ns, 1, false);
        pkt_free(at_pkt);
        at_pkt = p->next;
    }
    hist_add_sum(&row->hists[VMLAT_VS_TX_USED], n, sum, min, max);
    count(&row->fates[VMLAT_VF_NO_SIGNAL], n);
    b->n = 0;
}

/* The same for any batch.  The verifier checks it by itself: in
 * vmlat_vm_done() it would do so for each way there. */
__noinline int
batch_finish_many(struct batch *b, struct vmlat_virt_row *row, __u64 now,
                  __u64 max)
{
    if (b && row) {
        batch_finish_unsignalled(b, row, now, max, BATCH_MAX);
    }
    return 0;
}

/* Ends batch 'number', which waited for the workqueue in vain. */
__noinline int
batch_drop(__u32 number, __u32 fate)
{
    struct batch *b = BATCH(number);

    if (b->signal) {
        signal_end(number, fate, true);
    } else {
        batch_count(number, fate);
        batch_free(number);
        b->state = 0;
    }
    return 0;
}

/* Ends batch 'number', whose packets have 'fate'; 'w->chain' says how far it
 * came. */
__noinline int
batch_finish(__u32 worker, __u32 number, __u32 fate)
{
    struct worker *w = WORKER(worker);
    struct batch *b = BATCH(number);
    bool whole = fate == VMLAT_VF_OWN || fate == VMLAT_VF_SHARED;
    bool waits = w->chain & CHAIN_WAITS;
    struct vmlat_virt_row *row;
    __u32 flags, n;

    b->vcpu = w->vcpu;
    if (unlikely(b->signal)) {
        signal_end(number, fate, !waits);
        if (waits && __sync_fetch_and_or(&b->state, BATCH_FINISHED)
                     & BATCH_ENTERED) {
            batch_complete(number);
        }
        return 0;
    }
    if (!whole) {
        b->irqfd_ns = b->inject_ns = 0;
    }
    b->shared = fate == VMLAT_VF_SHARED;
    b->merged = whole && WORKER(number / N_BATCHES)->waiting > waits;
    n = batch_count(number, fate);
    if (!(whole || fate == VMLAT_VF_NO_SIGNAL || fate == VMLAT_VF_USER)) {
        batch_free(number);
        b->record = 0;
    } else if (!whole || !waits) {
        flags = record_flags(b);
        if (!whole) {
            flags |= fate == VMLAT_VF_NO_SIGNAL ? VMLAT_REC_NO_SIGNAL : 0;
        } else if (w->vcpu == VMLAT_VV_POSTED) {
            flags |= VMLAT_REC_RUNNING;
        }
        b->entry_ns = 0;
        batch_release(number, flags);
    } else if (!b->record && config.min_ns == VMLAT_VIRT_NEVER) {
        /* Nobody asks how long each took until the vCPU enters. */
        batch_free(number);
    }
    b->n_whole = whole ? n : 0;
    if (waits) {
        if (__sync_fetch_and_or(&b->state, BATCH_FINISHED) & BATCH_ENTERED) {
            batch_complete(number);
        }
        return 0;
    }
    row = row_of(b->row);
    if (whole && row && w->vcpu < VMLAT_VIRT_N_VCPUS) {
        count(&row->vcpu[w->vcpu], n);
    }
    b->state = 0;
    return 0;
}

/* The worker did not put what it has taken in the used ring. */
static __noinline int
batch_abandon(__u32 worker)
{
    struct worker *w = WORKER(worker);
    __u32 number = batch_number(worker, w->batch);

    w->chain = 0;
    w->others = 0;
    if (BATCH(number)->state) {
        return 0;
    } else if (BATCH(number)->signal) {
        signal_end(number, VMLAT_VF_UNFINISHED, true);
    } else if (BATCH(number)->n) {
        batch_finish(worker, number, VMLAT_VF_UNFINISHED);
    }
    return 0;
}

/* To a VM: the tap. */

/* The kernel gives a packet to the driver of a device.  Where the datapath is
 * followed, too, its program calls this one, and may have read the clock. */
SEC("tp_btf/net_dev_start_xmit")
int
vmlat_vm_xmit(__u64 *ctx)
{
    struct net_device *dev = (void *) (long) ctx[1];
    struct vmlat_virt_dev *e = dev_find(dev);
    __u64 depth, left, id, before, now;
    struct vmlat_bpf_vm_cpu *cpu;
    struct vmlat_virt_row *row;
    struct pkt *p;
    __u32 number;

    if (!e || unlikely(!(config.active & VMLAT_VIRT_FOLLOW))) {
        return 0;
    }
    row = row_of(e->row);
    if (!row) {
        return 0;
    }
    left = *(volatile __u64 *) left_of(e->row);
    depth = __sync_fetch_and_add(&row->entered, 1) - left;
    depth_add(&row->tap_ring, depth);
    id = id_of((void *) (long) ctx[0]);
    number = pkt_take(id);
    if (unlikely(number == NONE)) {
        count(&row->fates[VMLAT_VF_TABLE_FULL], 1);
        count(left_of(e->row), 1);
        *(volatile __u64 *) &row->tx_ns = bpf_ktime_get_ns();
        return 0;
    }
    __sync_fetch_and_add(vm_ids_of(id), 1);
    p = PKT(number);
    p->row_flags = e->row;
    p->skb = id >> 7;
    cpu = at(vm.cpus, VMLAT_BPF_CPUS, bpf_get_smp_processor_id());
    now = cpu->tx_ns;
    cpu->tx_ns = 0;
    if (unlikely(!now)) {
        now = bpf_ktime_get_ns();
    }
    p->tx_ns = now;
    before = *(volatile __u64 *) &row->tx_ns;
    *(volatile __u64 *) &row->tx_ns = now;
    p->before_ns = now - before;
    if (unlikely((now - before) >> 32)) {
        p->before_ns = before ? ~0u : 0;
    }
    if (unlikely(config.active & VMLAT_VIRT_RECORD)) {
        struct vmlat_record *r = &at(recs, N_RECS, number)->record;

        record_begin(id, number, false);
        r->kind = VMLAT_REC_VM_RX;
        r->out = e->port;
        r->tap_ring = depth < 65535 ? depth : 65535;
        p->flags = PKT_RECORD;
    }
    return 0;
}

/* Reads how many buffers the guest has made available in ring 'avail', an
 * address in the VM's process, which the present thread belongs to.  False if
 * it cannot be read. */
static __always_inline bool
read_avail(__u64 avail, __u16 *index)
{
    /* struct vring_avail, of the virtio standard: flags, then the index. */
    return avail && !bpf_probe_read_user(index, sizeof *index,
                                         (void *) (long) (avail + 2));
}

/* Returns true if the present thread is a vhost worker, which was a kernel
 * thread before Linux 6.4, or does not receive from a tap on its own behalf:
 * io_uring's are the others that look like that. */
static __always_inline bool
is_vhost(void)
{
    struct task_struct *task = (void *) bpf_get_current_task();
    __u32 flags = BPF_CORE_READ(task, flags);

    return (flags & (PF_KTHREAD | PF_USER_WORKER) && !(flags & PF_IO_WORKER));
}

/* A vhost worker has taken skb 'id', which is not followed. */
static __noinline int
take_other(__u32 worker, __u64 id)
{
    struct worker *w = WORKER(worker);
    struct batch *b = BATCH(batch_number(worker, w->batch));
    struct vmlat_virt_row *row;

    /* With a VLAN tag it is copied in two parts. */
    if ((w->last_known && b->n && PKT(b->tail)->skb == (__u32) (id >> 7))
        || (!w->last_known && w->others && w->last_other == id)) {
        return 0;
    }
    w->others++;
    w->last_known = 0;
    w->last_other = id;
    row = w->row_known ? row_of(w->row) : NULL;
    if (row) {
        count(&row->unknown, 1);
    }
    return 0;
}

/* An skb is about to be copied to a user: maybe to a guest, in tun_recvmsg().
 * Whatever is received from sockets passes here. */
SEC("tp_btf/skb_copy_datagram_iovec")
int
vmlat_vm_taken(__u64 *ctx)
{
    __u64 id = id_of((void *) (long) ctx[0]);
    __u32 worker = worker_find(), number, row, i;
    __u64 now, tx_ns;
    struct worker *w;
    struct batch *b;
    struct pkt *p;

    if (worker == NONE && !*vm_ids_of(id)) {
        return 0;
    }
    number = pkt_find(id);
    w = WORKER(worker);
    if (unlikely(worker == NONE) || unlikely(!w->is_vhost)) {
        if (number == NONE || !is_vhost()) {
            return 0;
        }
        worker = worker_make();
        if (worker == NONE) {
            pkt_end(number, VMLAT_VF_NO_WORKER);
            return 0;
        }
        w = WORKER(worker);
        w->is_vhost = 1;
    }
    if (unlikely(number == NONE)) {
        return take_other(worker, id);
    }
    p = PKT(number);
    b = BATCH(batch_number(worker, w->batch));
    if (unlikely(b->state)) {
        /* Waits since the time of a worker that had this place before. */
        i = worker_free_batch(worker);
        if (i == NONE) {
            pkt_end(number, VMLAT_VF_NO_WORKER);
            return 0;
        }
        w->batch = i;
        b = BATCH(batch_number(worker, i));
    }
    i = b->n;
    if (unlikely(i >= BATCH_MAX) || unlikely(i && b->row != p->row)) {
        /* Left by an earlier run, which put nothing in the used ring. */
        batch_abandon(worker);
        b->n = 0;
    }
    now = bpf_ktime_get_ns();
    *(volatile __u64 *) at(ids, N_PKTS, number) = PKT_TAKEN;
    __sync_fetch_and_add(vm_ids_of(id), -1);
    row = p->row;
    count(left_of(row), 1);
    p->taken_ns = now;
    tx_ns = p->tx_ns;
    w->last_known = 1;
    i = *(volatile __u32 *) &b->n;
    b->n = i + 1;
    if (!i) {
        b->first_ns = tx_ns;
        b->head = number;
        b->row = row;
        b->record = 0;
        b->failed = 0;
        w->row = row;
        w->row_known = 1;
        if (unlikely(w->avail)) {
            b->avail_known = read_avail(w->avail, &b->avail);
        }
    } else {
        PKT(b->tail)->next = number;
        if (unlikely(tx_ns < b->first_ns)) {
            b->first_ns = tx_ns;
        }
    }
    b->tail = number;
    if (unlikely(now - tx_ns >= config.headers_ns)) {
        pkt_keep_headers(number, id);
    }
    if (unlikely(p->flags & PKT_RECORD)) {
        __u16 avail;

        if (read_avail(w->avail, &avail)) {
            at(recs, N_RECS, number)->record.vring = avail - w->last_used;
        }
        b->record = 1;
    }
    return 0;
}

/* The chain of calls. */

/* The worker has taken packets: this is their signal, unless the worker says
 * something else meanwhile, say an error. */
SEC("fentry/eventfd_signal")
int
vmlat_vm_signal(__u64 *ctx)
{
    __u32 worker = worker_find();
    struct worker *w;
    struct batch *b;
    __u32 number;

    if (likely(worker == NONE)) {
        return 0;
    }
    w = WORKER(worker);
    number = batch_number(worker, w->batch);
    b = BATCH(number);
    if (!(b->n || w->others) || b->state || b->signal
        || w->chain & ~(CHAIN_USED | CHAIN_SIGNAL)) {
        return 0;
    }
    if (!b->n) {
        b->failed = b->record = 0;
    }
    b->signal_ns = bpf_ktime_get_ns();
    w->current = number;
    w->call_ctx = ctx[0];
    w->chain = CHAIN_USED | CHAIN_SIGNAL;
    return 0;
}

SEC("fentry/irqfd_wakeup")
int
vmlat_vm_irqfd(__u64 *ctx)
{
    struct kvm_kernel_irqfd *irqfd = NULL;
    __u32 worker = worker_find();
    struct worker *w;

    if (likely(worker == NONE)) {
        return 0;
    }
    w = WORKER(worker);
    if (w->chain == (CHAIN_USED | CHAIN_SIGNAL)) {
        BATCH(w->current)->irqfd_ns = bpf_ktime_get_ns();
        w->irqfd = id_of((void *) (long) ctx[0])
                   - bpf_core_field_offset(irqfd->wait);
        BATCH(w->current)->irqfd = w->irqfd;
        w->vcpu = VMLAT_VV_UNKNOWN;
        w->chain |= CHAIN_IRQFD;
    }
    return 0;
}

/* The irqfd has been woken, which the program above has not said: there are
 * kernels (Debian's 6.12) that accept that one and never run it.  Which irqfd
 * it is cannot be told here. */
SEC("fentry/kvm_arch_set_irq_inatomic")
int
vmlat_vm_irqfd_unseen(__u64 *ctx)
{
    __u32 worker = worker_find();
    struct worker *w;

    if (likely(worker == NONE)) {
        return 0;
    }
    w = WORKER(worker);
    if (unlikely(w->chain == (CHAIN_USED | CHAIN_SIGNAL))) {
        BATCH(w->current)->irqfd_ns = bpf_ktime_get_ns();
        w->irqfd = 0;
        BATCH(w->current)->irqfd = 0;
        vmlat_irqfd_unseen = 1;
        w->vcpu = VMLAT_VV_UNKNOWN;
        w->chain |= CHAIN_IRQFD;
    }
    return 0;
}

/* Returns the number of the vCPU 'id', NONE if it is not known. */
static __always_inline __u32
vcpu_find(__u64 id)
{
    __u32 hash = (__u32) (id >> 6) * 0x9e3779b1u >> 16;

    for (__u32 i = 0; i < VCPU_PROBES; i++) {
        if (at(vcpus, N_VCPUS, hash + i)->id == id) {
            return (hash + i) & (N_VCPUS - 1);
        }
    }
    return NONE;
}

/* The same, but makes it known if there is room. */
static __noinline __u32
vcpu_make(__u64 id)
{
    __u32 hash = (__u32) (id >> 6) * 0x9e3779b1u >> 16;
    __u32 slot = vcpu_find(id);

    for (__u32 i = 0; slot == NONE && i < VCPU_PROBES; i++) {
        struct vcpu *v = at(vcpus, N_VCPUS, hash + i);
        __u64 was = *(volatile __u64 *) &v->id;

        /* One that nothing waits for may be of a VM that is gone. */
        if (!v->waiting
            && __sync_val_compare_and_swap(&v->id, was, id) == was) {
            v->woken_ns = 0;
            slot = (hash + i) & (N_VCPUS - 1);
        }
    }
    return slot;
}

/* Returns true if an earlier signal of the irqfd of batch 'number' waits for
 * vCPU 'slot'. */
static __noinline bool
irqfd_waits(__u32 number, __u32 slot)
{
    struct batch *b = BATCH(number);
    struct vcpu *v = at(vcpus, N_VCPUS, slot);

    for (__u32 i = 0; i < VCPU_BATCHES; i++) {
        __u64 other = v->batches[i];

        if (other && other != (__u64) number + 1
            && BATCH(other - 1)->signal && b->irqfd
            && BATCH(other - 1)->irqfd == b->irqfd) {
            return true;
        }
    }
    return false;
}

/* Makes batch 'number' wait for vCPU 'id'.  Returns false if there is no
 * room. */
static __noinline bool
wait_for_vcpu(__u32 number, __u64 id)
{
    __u32 slot = vcpu_make(id);
    struct batch *b = BATCH(number);
    struct vcpu *v;

    if (slot == NONE) {
        return false;
    }
    v = at(vcpus, N_VCPUS, slot);
    __sync_fetch_and_add(&v->waiting, 1);
    __sync_fetch_and_add(&WORKER(number / N_BATCHES)->waiting, 1);
    b->slot = slot;
    b->state = BATCH_BUSY;
    if (unlikely(b->signal)) {
        b->merged = irqfd_waits(number, slot);
    }
    for (__u32 i = 0; i < VCPU_BATCHES; i++) {
        if (!__sync_val_compare_and_swap(&v->batches[i], 0,
                                         (__u64) number + 1)) {
            return true;
        }
    }
    b->state = 0;
    __sync_fetch_and_add(&v->waiting, -1);
    __sync_fetch_and_add(&WORKER(number / N_BATCHES)->waiting, -1);
    return false;
}

SEC("fentry/__apic_accept_irq")
int
vmlat_vm_accept(__u64 *ctx)
{
    struct kvm_lapic *apic = (void *) (long) ctx[0];
    __u32 worker = worker_find();
    struct kvm_vcpu *vcpu;
    struct worker *w;
    struct batch *b;

    if (likely(worker == NONE)) {
        return 0;
    }
    w = WORKER(worker);
    if ((w->chain & (CHAIN_IRQFD | CHAIN_INJECTED)) != CHAIN_IRQFD) {
        return 0;
    }
    w->chain |= CHAIN_INJECTED;
    b = BATCH(w->current);
    b->inject_ns = bpf_ktime_get_ns();
    b->entry_ns = b->woken_ns = 0;
    if (!vmlat_has_entry) {
        return 0;
    }
    vcpu = apic->vcpu;
    w->vcpu = VMLAT_VV_HOST;
    if (vcpu->mode == IN_GUEST_MODE) {
        w->vcpu = VMLAT_VV_KICKED;
        if (apic->apicv_active) {
            w->vcpu = VMLAT_VV_POSTED;
            return 0;
        }
    } else if (vcpu->preempted) {
        w->vcpu = VMLAT_VV_PREEMPTED;
    }

    /* Before KVM wakes the vCPU: its entry could come first. */
    if (!(w->chain & CHAIN_DEFERRED)) {
        w->next_batch = worker_free_batch(worker);
        if (w->next_batch == NONE) {
            w->vcpu = VMLAT_VV_LEFT_OUT;
            return 0;
        }
    }
    if (wait_for_vcpu(w->current, id_of(vcpu))) {
        w->chain |= CHAIN_WAITS;
    } else {
        w->vcpu = VMLAT_VV_LEFT_OUT;
    }
    return 0;
}

SEC("fexit/kvm_arch_set_irq_inatomic")
int
vmlat_vm_inject(__u64 *ctx)
{
    __u32 worker = worker_find();
    int result = ctx[5];
    struct worker *w;

    if (likely(worker == NONE)) {
        return 0;
    }
    w = WORKER(worker);
    if ((w->chain & (CHAIN_IRQFD | CHAIN_INJECTED)) == CHAIN_IRQFD) {
        if (result == WOULD_BLOCK) {
            w->chain |= CHAIN_DEFERRED;
        } else if (result > 0) {
            BATCH(w->current)->inject_ns = bpf_ktime_get_ns();
            w->chain |= CHAIN_INJECTED;
        }
    }
    return 0;
}

static __always_inline __u32
deferred_hash(__u64 irqfd)
{
    return (__u32) (irqfd >> 5) * 0x9e3779b1u >> 16;
}

/* Returns true if a signal for 'b' is for more than one packet. */
static __always_inline bool
is_shared(const struct worker *w, const struct batch *b)
{
    return w->others + b->n - b->failed > 1;
}

/* Leaves batch 'number' to KVM's workqueue. */
static __noinline bool
defer(__u32 worker, __u32 number)
{
    struct worker *w = WORKER(worker);
    __u32 next = worker_free_batch(worker);
    __u32 hash = deferred_hash(w->irqfd);

    if (next == NONE || !w->irqfd) {
        return false;
    }
    for (__u32 i = 0; i < DEFERRED_PROBES; i++) {
        struct deferred *d = at(deferreds, N_DEFERRED, hash + i);

        if (!__sync_val_compare_and_swap(&d->batch, 0, number + 1)) {
            BATCH(number)->state = BATCH_BUSY;
            BATCH(number)->shared = is_shared(w, BATCH(number));
            w->batch = next;
            *(volatile __u64 *) &d->irqfd = w->irqfd;
            return true;
        }
    }
    return false;
}

/* Ends the batch of the chain. */
static __noinline int
chain_end(__u32 worker)
{
    struct worker *w = WORKER(worker);
    __u32 number = w->current, fate;
    struct batch *b = BATCH(number);

    if (!b->n) {
        if (w->chain & CHAIN_SIGNAL && w->row_known) {
            struct vmlat_virt_row *row = row_of(w->row);

            if (row) {
                count(&row->empty_signals, 1);
            }
        }
        if (w->chain & CHAIN_WAITS) {
            batch_finish(worker, number, VMLAT_VF_REFUSED);
            w->batch = w->next_batch & (N_BATCHES - 1);
        }
    } else if (!(w->chain & CHAIN_INJECTED) && w->chain & CHAIN_DEFERRED) {
        if (!defer(worker, number)) {
            batch_finish(worker, number, VMLAT_VF_DEFERRED_FULL);
        }
    } else {
        fate = (w->chain & CHAIN_INJECTED
                ? (is_shared(w, b) ? VMLAT_VF_SHARED : VMLAT_VF_OWN)
                : w->chain & CHAIN_IRQFD ? VMLAT_VF_REFUSED
                : w->chain & CHAIN_SIGNAL ? VMLAT_VF_USER
                : VMLAT_VF_NO_SIGNAL);
        if (w->chain & CHAIN_WAITS) {
            w->batch = w->next_batch & (N_BATCHES - 1);
        }
        batch_finish(worker, number, fate);
    }
    w->chain = 0;
    return 0;
}

/* The same if what has been put in a used ring is nothing that came from the
 * tap: that did not get so far. */
static __noinline int
chain_break(__u32 worker)
{
    struct worker *w = WORKER(worker);

    if (w->chain & CHAIN_WAITS) {
        w->batch = w->next_batch & (N_BATCHES - 1);
    }
    batch_finish(worker, w->current, VMLAT_VF_UNFINISHED);
    w->chain = 0;
    return 0;
}

/* Makes known which of the queues of the device of 'vq' packets to the VM go
 * into. */
static __always_inline void
find_rx_queue(struct worker *w, struct vhost_virtqueue *vq)
{
    struct vhost_virtqueue *first;

    if (!bpf_probe_read_kernel(&first, sizeof first, vq->dev->vqs)) {
        w->rx_vq = id_of_number((__u64) (long) first);
    }
}

/* Adds to 'row' how many free buffers there were for 'b'.  Whether the ring is
 * still the one that was looked at is known only now, since a VM may have
 * started again meanwhile. */
static __always_inline void
vring_count(struct vmlat_virt_row *row, const struct worker *w,
            struct batch *b, struct vhost_virtqueue *vq)
{
    __u16 depth = b->avail - w->last_used;
    __u16 used = vq->last_used_idx - w->last_used;

    b->avail_known = 0;
    if (likely(w->avail == (__u64) (long) vq->avail)
        && likely(used - 1u < depth) && likely(depth <= vq->num)) {
        depth_add(&row->vring, depth);
    }
}

/* Decides whether free buffers are to be counted for the next batch. */
static __always_inline void
vring_look(struct vmlat_virt_row *row, struct worker *w, struct batch *b,
           struct vhost_virtqueue *vq, __u64 now)
{
    if (b->n && b->avail_known) {
        vring_count(row, w, b, vq);
    }
    w->avail = 0;
    w->last_used = vq->last_used_idx;
    if (now - w->look_ns >= LOOK_NS || config.active & VMLAT_VIRT_RECORD) {
        w->look_ns = now;
        w->avail = vq->iotlb ? 0 : (__u64) (long) vq->avail;
    }
}

SEC("fexit/vhost_add_used_and_signal_n")
int
vmlat_vm_done(__u64 *ctx)
{
    struct vhost_virtqueue *vq = (void *) (long) ctx[1];
    __u32 worker = worker_find(), number;
    struct vmlat_virt_row *row;
    __u64 now, max;
    struct worker *w;
    struct batch *b;

    if (worker == NONE) {
        return 0;
    }
    w = WORKER(worker);
    if (unlikely(w->rx_vq != id_of(vq))) {
        if (!w->rx_vq) {
            find_rx_queue(w, vq);
        }
        if (w->rx_vq != id_of(vq)) {
            if (unlikely(w->chain)) {
                chain_break(worker);
            }
            return 0;
        }
    }
    number = batch_number(worker, w->batch);
    b = BATCH(number);
    row = row_of(b->row);
    if (unlikely(!row) || (unlikely(b->state) && !w->chain)) {
        return 0;
    }
    now = bpf_ktime_get_ns();
    if (unlikely(w->avail) || now - w->look_ns >= LOOK_NS
        || unlikely(config.active & VMLAT_VIRT_RECORD)) {
        vring_look(row, w, b, vq, now);
    }
    if (unlikely(w->chain == (CHAIN_USED | CHAIN_SIGNAL))
        && w->call_ctx != (__u64) (long) vq->call_ctx.ctx) {
        w->chain = 0;
    }
    max = now - b->first_ns;
    if (likely(!w->chain) && likely(b->n) && likely(!b->record)
        && likely(!b->failed) && likely(max < config.min_ns)
        && likely(!is_huge(max))) {
        if (likely(b->n <= 2)) {
            batch_finish_unsignalled(b, row, now, max, 2);
        } else {
            batch_finish_many(b, row, now, max);
        }
    } else {
        if (!w->chain) {
            b->signal_ns = now;
            w->current = number;
        }
        chain_end(worker);
    }
    w->others = 0;
    return 0;
}

/* To a VM: vhost-user.  A thread of the daemon that has put packets into a
 * ring signals the guest by a system call. */

/* Returns what the daemon says about the present thread, NULL if nothing. */
static __always_inline struct vmlat_virt_thread *
thread_find(void)
{
    __u32 tid = bpf_get_current_pid_tgid();

    for (__u32 i = 0; tid && i < VMLAT_VIRT_THREAD_PROBES; i++) {
        struct vmlat_virt_thread *t = at(threads, VMLAT_VIRT_THREADS, tid + i);

        if (t->tid == tid) {
            return t;
        }
        if (!t->tid) {
            break;
        }
    }
    return NULL;
}

SEC("fentry/eventfd_write")
int
vmlat_vm_user_signal(__u64 *ctx)
{
    struct vmlat_virt_thread *t = thread_find();
    struct vmlat_virt_signal *s;
    __u32 worker, next, number;
    struct worker *w;
    struct batch *b;

    if (likely(!t) || !t->signal) {
        return 0;
    }
    number = t->signal;
    s = SIGNAL(number - 1);
    if (s->state & VMLAT_SIGNAL_MADE) {
        return 0;
    }
    s->signal_ns = bpf_ktime_get_ns();
    s->woken_ns = s->entry_ns = 0;
    worker = worker_make();
    next = worker != NONE ? WORKER(worker)->batch : NONE;
    if (worker != NONE && unlikely(BATCH(batch_number(worker, next))->state)) {
        next = worker_free_batch(worker);
    }
    if (next == NONE) {
        s->fate = VMLAT_VF_NO_WORKER;
        __sync_fetch_and_or(&s->state, VMLAT_SIGNAL_MADE | VMLAT_SIGNAL_ENDED
                                       | VMLAT_SIGNAL_DONE);
        return 0;
    }
    __sync_fetch_and_or(&s->state, VMLAT_SIGNAL_MADE);
    w = WORKER(worker);
    w->batch = next;
    batch_abandon(worker);
    w->current = batch_number(worker, next);
    w->rx_vq = 0;
    b = BATCH(w->current);
    b->signal = number;
    b->row = s->row;
    b->n = 0;
    b->record = 0;
    b->merged = 0;
    b->irqfd_ns = b->inject_ns = 0;
    w->vcpu = VMLAT_VV_UNKNOWN;
    w->chain = CHAIN_USED | CHAIN_SIGNAL;
    return 0;
}

SEC("fexit/eventfd_write")
int
vmlat_vm_user_done(__u64 *ctx)
{
    __u32 worker = worker_find(), number;
    struct worker *w;

    if (likely(worker == NONE)) {
        return 0;
    }
    w = WORKER(worker);
    number = w->current;
    if (!(w->chain & CHAIN_SIGNAL) || !BATCH(number)->signal) {
        return 0;
    }
    if (!(w->chain & CHAIN_INJECTED) && w->chain & CHAIN_DEFERRED) {
        if (!defer(worker, number)) {
            batch_finish(worker, number, VMLAT_VF_DEFERRED_FULL);
        }
    } else {
        if (w->chain & CHAIN_WAITS) {
            w->batch = w->next_batch & (N_BATCHES - 1);
        }
        batch_finish(worker, number,
                     (w->chain & CHAIN_INJECTED ? VMLAT_VF_OWN
                      : w->chain & CHAIN_IRQFD ? VMLAT_VF_REFUSED
                      : VMLAT_VF_USER));
    }
    w->chain = 0;
    return 0;
}

/* KVM's workqueue. */

/* Takes a batch that waits for 'irqfd'.  Returns its number, NONE if there is
 * none. */
static __noinline __u32
deferred_take(__u64 irqfd)
{
    __u32 hash = deferred_hash(irqfd);

    for (__u32 i = 0; irqfd && i < DEFERRED_PROBES; i++) {
        struct deferred *d = at(deferreds, N_DEFERRED, hash + i);

        if (d->irqfd == irqfd && d->batch
            && __sync_val_compare_and_swap(&d->irqfd, irqfd, 0) == irqfd) {
            __u32 batch = d->batch;

            *(volatile __u32 *) &d->batch = 0;
            return batch - 1;
        }
    }
    return NONE;
}

SEC("fentry/irqfd_inject")
int
vmlat_vm_work(__u64 *ctx)
{
    struct kvm_kernel_irqfd *irqfd = NULL;
    __u64 id = id_of((void *) (long) ctx[0])
               - bpf_core_field_offset(irqfd->inject);
    __u32 number = deferred_take(id), worker;
    struct worker *w;

    if (number == NONE) {
        return 0;
    }
    worker = worker_make();
    if (worker == NONE) {
        batch_drop(number, VMLAT_VF_NO_WORKER);
        return 0;
    }
    w = WORKER(worker);
    w->irqfd = id;
    w->current = number;
    w->vcpu = VMLAT_VV_UNKNOWN;
    w->chain = CHAIN_IRQFD | CHAIN_DEFERRED;
    return 0;
}

SEC("fexit/irqfd_inject")
int
vmlat_vm_worked(__u64 *ctx)
{
    __u32 worker = worker_find(), number;
    struct vmlat_virt_row *row;
    __u64 inject_ns;
    struct worker *w;

    if (worker == NONE) {
        return 0;
    }
    w = WORKER(worker);
    if (!(w->chain & CHAIN_DEFERRED)) {
        return 0;
    }
    number = w->current;
    inject_ns = BATCH(number)->inject_ns;
    for (int i = 0; i < N_BATCHES && number != NONE; i++) {
        struct batch *b = BATCH(number);

        row = row_of(b->row);
        if (row && w->chain & CHAIN_INJECTED) {
            count(&row->deferred, 1);
        }
        b->inject_ns = inject_ns;
        batch_finish(worker, number,
                     !(w->chain & CHAIN_INJECTED) ? VMLAT_VF_REFUSED
                     : b->shared ? VMLAT_VF_SHARED : VMLAT_VF_OWN);

        /* More that this interrupt is for. */
        w->chain &= ~CHAIN_WAITS;
        w->vcpu = VMLAT_VV_LEFT_OUT;
        number = deferred_take(w->irqfd);
    }
    w->irqfd = 0;
    w->chain = 0;
    return 0;
}

/* Beyond: the vCPU. */

SEC("tp_btf/kvm_entry")
int
vmlat_vm_entry(__u64 *ctx)
{
    __u32 slot = vcpu_find(id_of((void *) (long) ctx[0]));
    struct vcpu *v;
    __u64 now;

    if (slot == NONE) {
        return 0;
    }
    v = at(vcpus, N_VCPUS, slot);
    if (likely(!v->waiting)) {
        return 0;
    }
    now = bpf_ktime_get_ns();
    for (__u32 i = 0; i < VCPU_BATCHES; i++) {
        __u64 number = v->batches[i];

        if (number && __sync_val_compare_and_swap(&v->batches[i], number, 0)
                      == number) {
            struct batch *b = BATCH(number - 1);

            b->woken_ns = v->woken_ns;
            b->entry_ns = now;
            __sync_fetch_and_add(&v->waiting, -1);
            if (__sync_fetch_and_or(&b->state, BATCH_ENTERED)
                & BATCH_FINISHED) {
                batch_complete(number - 1);
            }
        }
    }
    v->woken_ns = 0;
    return 0;
}

SEC("fexit/kvm_vcpu_block")
int
vmlat_vm_woken(__u64 *ctx)
{
    __u32 slot = vcpu_find(id_of((void *) (long) ctx[0]));

    if (slot != NONE) {
        struct vcpu *v = at(vcpus, N_VCPUS, slot);

        if (v->waiting) {
            v->woken_ns = bpf_ktime_get_ns();
        }
    }
    return 0;
}

/* A vCPU ends.  What waits for it may be of a thread that goes on: a vhost
 * worker ends with the VM, but not one of the daemon's threads. */
SEC("fentry/kvm_arch_vcpu_destroy")
int
vmlat_vm_vcpu_gone(__u64 *ctx)
{
    __u32 slot = vcpu_find(id_of((void *) (long) ctx[0]));
    struct vcpu *v;

    if (slot == NONE) {
        return 0;
    }
    v = at(vcpus, N_VCPUS, slot);
    for (__u32 i = 0; i < VCPU_BATCHES; i++) {
        __u64 number = v->batches[i];

        if (number && BATCH(number - 1)->state & BATCH_FINISHED
            && __sync_val_compare_and_swap(&v->batches[i], number, 0)
               == number) {
            __sync_fetch_and_add(&v->waiting, -1);
            __sync_fetch_and_add(&WORKER((number - 1) / N_BATCHES)->waiting,
                                 -1);
            batch_gone(number - 1);
        }
    }
    return 0;
}

/* From a VM. */

static __always_inline __u32
queue_hash(__u64 id)
{
    return (__u32) (id >> 6) * 0x9e3779b1u >> 16;
}

/* Returns the number of the transmit queue whose vhost_poll is 'id', NONE if
 * there is no room for one more. */
static __noinline __u32
queue_make(__u64 id)
{
    __u32 hash = queue_hash(id);

    for (__u32 i = 0; i < QUEUE_PROBES; i++) {
        if (at(queues, N_QUEUES, hash + i)->id == id) {
            return (hash + i) & (N_QUEUES - 1);
        }
    }
    for (__u32 i = 0; i < QUEUE_PROBES; i++) {
        struct queue *q = at(queues, N_QUEUES, hash + i);

        if (!__sync_val_compare_and_swap(&q->id, 0, id)) {
            return (hash + i) & (N_QUEUES - 1);
        }
    }
    count(&stats.queues_left_out, 1);
    return NONE;
}

/* A kick is an eventfd that vhost waits for.  Vhost waits for the tap in the
 * same way, so that its own function would run for each packet to a VM. */
#define EVENTFD_WAITERS 4

/* Returns the struct vhost_poll that waits for 'eventfd', both are addresses;
 * 0 if none does. */
static __always_inline __u64
poll_of(__u64 eventfd)
{
    __u64 head = eventfd + bpf_core_field_offset(struct eventfd_ctx,
                                                 wqh.head);
    struct list_head *entry = (void *) (long) head;

    for (int i = 0; i < EVENTFD_WAITERS; i++) {
        struct wait_queue_entry *wait;

        entry = BPF_CORE_READ(entry, next);
        if (!entry || (__u64) (long) entry == head) {
            break;
        }
        wait = (void *) ((char *) entry
                         - bpf_core_field_offset(struct wait_queue_entry,
                                                 entry));
        if ((__u64) (long) BPF_CORE_READ(wait, func) == vmlat_poll_wakeup) {
            return ((__u64) (long) wait
                    - bpf_core_field_offset(struct vhost_poll, wait));
        }
    }
    return 0;
}

/* 'eventfd', an address, is signalled: maybe the guest kicks a queue. */
static __noinline int
kick(__u64 eventfd)
{
    struct vhost_virtqueue *vq;
    struct vmlat_virt_row *row;
    struct vhost_poll *poll;
    __u32 number, coalesced;
    struct queue *q;
    __u64 fn, now;

    if (!eventfd || !vmlat_poll_wakeup
        || !(config.active & VMLAT_VIRT_FOLLOW)) {
        return 0;
    }
    poll = (void *) (long) poll_of(eventfd);
    if (!poll) {
        return 0;
    }
    fn = (__u64) (long) BPF_CORE_READ(poll, work.fn);
    if (!fn || fn != vmlat_handle_tx_kick) {
        return 0;
    }
    number = queue_make(id_of_number((__u64) (long) poll));
    if (number == NONE) {
        return 0;
    }
    q = at(queues, N_QUEUES, number);
    now = bpf_ktime_get_ns();
    vq = (void *) ((char *) poll
                   - bpf_core_field_offset(struct vhost_virtqueue, poll));
    coalesced = q->head != q->runs;

    /* If another vCPU kicks at the same moment, that one will do for both. */
    if (likely(!__sync_val_compare_and_swap(&q->kicking, 0, 1))) {
        struct kick *k = &q->kicks[q->head & (N_KICKS - 1)];

        k->ns = now;
        k->n = 0;
        k->seen = 0;
        k->unknown = (BPF_CORE_READ(vq, iotlb)
                      || !read_avail((__u64) (long) BPF_CORE_READ(vq, avail),
                                     &k->avail));
        __sync_fetch_and_add(&q->head, 1);
        __sync_lock_test_and_set(&q->kicking, 0);
    }

    row = q->row_known ? row_of(q->row) : NULL;
    if (row) {
        count(&row->guest_kicks, 1);
        if (coalesced) {
            count(&row->coalesced_kicks, 1);
        }
    } else {
        __sync_fetch_and_add(&q->early_kicks, 1);
        __sync_fetch_and_add(&q->early_coalesced, coalesced);
    }
    return 0;
}

SEC("fentry/eventfd_signal")
int
vmlat_vm_kick(__u64 *ctx)
{
    return kick(ctx[0]);
}

SEC("fentry/eventfd_write")
int
vmlat_vm_kick_write(__u64 *ctx)
{
    struct file *file = (void *) (long) ctx[0];

    return kick((__u64) (long) file->private_data);
}

/* The worker begins to look for packets from the VM. */
SEC("fentry/handle_tx")
int
vmlat_vm_tx(__u64 *ctx)
{
    struct vhost_net *net = (void *) (long) ctx[0];
    __u32 worker = worker_make(), number, head;
    struct worker *w;
    struct queue *q;
    __u64 vq;

    if (worker == NONE) {
        return 0;
    }
    w = WORKER(worker);
    w->queue = 0;
    vq = id_of(&net->vqs[1].vq);
    number = queue_make(vq + bpf_core_field_offset(struct vhost_virtqueue,
                                                   poll));
    if (number == NONE) {
        return 0;
    }
    q = at(queues, N_QUEUES, number);

    /* A kick whose packets are not known is over with the run that saw it. */
    for (int i = 0; i < N_KICKS && q->next != q->runs; i++) {
        if (!q->kicks[q->next & (N_KICKS - 1)].unknown) {
            break;
        }
        q->next++;
    }
    head = *(volatile __u32 *) &q->head;
    if (head - q->next > N_KICKS) {
        q->next = head - N_KICKS;
        q->lost_until = q->kicks[q->next & (N_KICKS - 1)].avail;
        q->lost = 1;
    }
    q->runs = head;
    w->tx_vq = number_of(vq);
    w->queue = number + 1;
    w->run_head = head;
    w->send_ns = 0;
    w->run_ns = bpf_ktime_get_ns();
    return 0;
}

SEC("fentry/tun_sendmsg")
int
vmlat_vm_send(__u64 *ctx)
{
    struct msghdr *m = (void *) (long) ctx[1];
    __u32 worker = worker_find();
    struct vhost_net_virtqueue *nvq;
    struct tun_msg_ctl *ctl;
    struct worker *w;

    if (worker == NONE) {
        return 0;
    }
    w = WORKER(worker);
    if (!w->queue) {
        return 0;
    }
    w->send_ns = bpf_ktime_get_ns();
    w->got = 0;
    w->sent = 1;
    ctl = m->msg_control;
    nvq = (void *) (long) w->tx_vq;
    if (ctl && BPF_CORE_READ(ctl, type) == TUN_MSG_PTR) {
        /* Of a batch all have been taken from the ring, and maybe the next
         * one, too; none of these is in the used ring. */
        w->sent = BPF_CORE_READ(ctl, num);
        w->index = BPF_CORE_READ(nvq, vq.last_used_idx)
                   + BPF_CORE_READ(nvq, done_idx) - w->sent;
    } else {
        w->index = BPF_CORE_READ(nvq, vq.last_avail_idx) - 1;
    }
    return 0;
}

/* Adds what was counted before the row of 'q' was known. */
static __noinline int
queue_set_row(struct queue *q, __u32 number)
{
    struct vmlat_virt_row *row = row_of(number);

    if (q && row) {
        q->row = number;
        q->row_known = 1;
        count(&row->guest_kicks,
              __sync_lock_test_and_set(&q->early_kicks, 0));
        count(&row->coalesced_kicks,
              __sync_lock_test_and_set(&q->early_coalesced, 0));
        count(&row->batches, q->early_batches);
        count(&row->kicks[VMLAT_VK_TAP_DROPPED], q->early_dropped);
        q->early_batches = q->early_dropped = 0;
    }
    return 0;
}

/* Finds the kick that packet 'index' was in the ring for, NULL if there was
 * none: the worker found it.  '*unseen' becomes true if that is not known. */
static __noinline __u32
kick_find(__u32 worker, __u32 index_, bool *unseen)
{
    struct worker *w = WORKER(worker);
    struct queue *q = at(queues, N_QUEUES, w->queue - 1);
    __u16 index = index_;

    if (!unseen) {
        return NONE;
    }
    *unseen = !q->runs || w->got > w->sent;
    if (q->lost) {
        if ((__s16) (index - q->lost_until) < 0) {
            *unseen = true;
        } else {
            q->lost = 0;
        }
    }
    for (int i = 0; i < N_KICKS && q->next != w->run_head; i++) {
        struct kick *k = &q->kicks[q->next & (N_KICKS - 1)];

        if (k->unknown) {
            *unseen = true;
            return NONE;
        }
        if ((__s16) (index - k->avail) < 0) {
            if (!k->seen) {
                k->seen = 1;
                k->n = (__u16) (k->avail - index);
            }
            return q->next & (N_KICKS - 1);
        }
        q->next++;
    }
    return NONE;
}

/* A port receives a packet in a tun_sendmsg() of vhost. */
static __noinline int
receive(struct sk_buff *skb, __u32 worker, __u32 row_number, __u32 port)
{
    struct worker *w = WORKER(worker);
    struct queue *q = at(queues, N_QUEUES, w->queue - 1);
    struct vmlat_virt_row *row = row_of(row_number);
    __u64 now = bpf_ktime_get_ns(), kick_ns = 0, before_ns;
    __u32 kick, which, flags = 0;
    bool unseen = false;

    if (!row) {
        return 0;
    }
    if (unlikely(!q->row_known || q->row != row_number)) {
        queue_set_row(q, row_number);
    }
    kick = w->index + w->got++;
    kick = kick_find(worker, kick, &unseen);
    if (unseen) {
        which = VMLAT_VK_UNSEEN;
    } else if (kick == NONE) {
        which = VMLAT_VK_POLLED;
    } else {
        struct kick *k = &q->kicks[kick & (N_KICKS - 1)];

        kick_ns = k->ns;
        which = VMLAT_VK_OWN;
        if (k->n > 1) {
            which = VMLAT_VK_SHARED;
            flags = VMLAT_REC_SHARED;
        }
    }
    count(&row->kicks[which], 1);
    if (kick_ns) {
        HIST_ADD(row, FROM_VM, now - kick_ns, 1);
        HIST_ADD(row, KICK_WORKER, w->run_ns - kick_ns, 1);
        HIST_ADD(row, WORKER_SENDMSG, w->send_ns - w->run_ns, 1);
        HIST_ADD(row, SENDMSG_RX, now - w->send_ns, 1);
    } else {
        HIST_ADD(row, POLLED_RX, now - w->send_ns, 1);
    }
    before_ns = *(volatile __u64 *) &row->rx_ns;
    *(volatile __u64 *) &row->rx_ns = now;
    before_ns = before_ns ? now - before_ns : 0;
    if (unlikely(now - (kick_ns ? kick_ns : w->send_ns) >= config.min_ns)) {
        receive_event(id_of(skb), w, row_number, which, kick_ns, now,
                      before_ns);
    }
    if (config.active & VMLAT_VIRT_RECORD) {
        __u32 number = N_PKTS + worker;
        struct vmlat_record *r = &at(recs, N_RECS, number)->record;
        __u64 times[VMLAT_RECORD_MARKS] = { 0 };

        record_begin(id_of(skb), number, true);
        r->kind = VMLAT_REC_VM_TX;
        r->in = port;
        r->flags |= flags;
        times[VMLAT_MARK_VM_TX_KICK] = kick_ns;
        times[VMLAT_MARK_VM_TX_WORKER] = kick_ns ? w->run_ns : 0;
        times[VMLAT_MARK_VM_TX_SENDMSG] = w->send_ns;
        times[VMLAT_MARK_VM_TX_RX] = now;
        if (which == VMLAT_VK_POLLED) {
            r->flags |= VMLAT_REC_NO_KICK;
        }
        record_end(r, times);
    }
    return 0;
}

/* Where the datapath is followed, too, its program calls this one, and has
 * read the clock before. */
SEC("tp_btf/netif_receive_skb")
int
vmlat_vm_receive(__u64 *ctx)
{
    struct sk_buff *skb = (void *) (long) ctx[0];
    struct vmlat_virt_dev *e = dev_find(skb->dev);
    struct vmlat_virt_row *row;
    __u32 worker;

    if (likely(!e) || !(config.active & VMLAT_VIRT_FOLLOW)) {
        return 0;
    }
    row = row_of(e->row);
    if (!row) {
        return 0;
    }
    count(&row->received, 1);
    worker = worker_find();
    if (worker == NONE || !WORKER(worker)->queue
        || !WORKER(worker)->send_ns) {
        count(&row->kicks[VMLAT_VK_PROCESS], 1);
        return 0;
    }
    receive(skb, worker, e->row, e->port);
    return 0;
}

SEC("fexit/tun_sendmsg")
int
vmlat_vm_sent(__u64 *ctx)
{
    __u32 worker = worker_find(), dropped;
    struct vmlat_virt_row *row;
    struct worker *w;
    struct queue *q;

    if (worker == NONE) {
        return 0;
    }
    w = WORKER(worker);
    if (!w->queue || !w->send_ns) {
        return 0;
    }
    q = at(queues, N_QUEUES, w->queue - 1);
    dropped = w->got < w->sent ? w->sent - w->got : 0;
    row = q->row_known ? row_of(q->row) : NULL;
    if (row && config.active & VMLAT_VIRT_FOLLOW) {
        count(&row->batches, 1);
        if (dropped) {
            count(&row->kicks[VMLAT_VK_TAP_DROPPED], dropped);
        }
    } else if (!q->row_known) {
        q->early_batches++;
        q->early_dropped += dropped;
    }
    w->send_ns = 0;
    return 0;
}

/* A thread ends: maybe a worker. */
SEC("tp_btf/sched_process_exit")
int
vmlat_vm_exit(__u64 *ctx)
{
    __u32 worker = worker_find();
    struct worker *w;

    if (likely(worker == NONE)) {
        return 0;
    }
    w = WORKER(worker);
    batch_abandon(worker);
    for (__u32 i = 0; i < N_BATCHES; i++) {
        __u32 number = batch_number(worker, i);
        struct batch *b = BATCH(number);
        struct vcpu *v = at(vcpus, N_VCPUS, b->slot);

        if (!(b->state & BATCH_FINISHED)) {
            continue;
        }
        for (__u32 j = 0; j < VCPU_BATCHES; j++) {
            if (v->batches[j] == (__u64) number + 1
                && __sync_val_compare_and_swap(&v->batches[j],
                                               (__u64) number + 1, 0)
                   == (__u64) number + 1) {
                __sync_fetch_and_add(&v->waiting, -1);
                batch_gone(number);
                break;
            }
        }
    }
    /* Interrupts that the workqueue was to inject: the irqfd is gone. */
    for (__u32 i = 0; i < DEFERRED_PROBES; i++) {
        __u32 number = deferred_take(w->irqfd);

        if (number == NONE) {
            break;
        }
        batch_drop(number, VMLAT_VF_UNFINISHED);
    }
    if (w->queue) {
        struct queue *q = at(queues, N_QUEUES, w->queue - 1);
        __builtin_memset(q, 0, sizeof *q);
    }
    *(volatile __u32 *) at(worker_tids, N_WORKERS, worker) = 0;
    return 0;
}

/* Ends that nobody measures.  Where the datapath is followed, too, its
 * programs call these. */

static __always_inline bool
is_within(__u64 address, __u64 start, __u64 end)
{
    return address >= start && address < end;
}

SEC("tp_btf/kfree_skb")
int
vmlat_vm_kfree(__u64 *ctx)
{
    __u64 location = ctx[1];
    __u32 number = pkt_find(id_of((void *) (long) ctx[0]));

    bool is_read = (is_within(location, vmlat_read_start, vmlat_read_end)
                    || is_within(location, vmlat_recv_start, vmlat_recv_end));

    if (unlikely(number != NONE)) {
        /* If it was read, the copy has failed before its first byte. */
        pkt_end(number, is_within(location, vmlat_xmit_start, vmlat_xmit_end)
                        ? VMLAT_VF_TAP_DROPPED
                        : !is_read ? VMLAT_VF_PURGED
                        : is_vhost() ? VMLAT_VF_COPY_FAILED
                        : VMLAT_VF_PROCESS);
    } else if (unlikely(is_read)) {
        __u32 worker = worker_find();

        if (worker != NONE) {
            struct worker *w = WORKER(worker);
            struct batch *b = BATCH(batch_number(worker, w->batch));

            if (b->n && w->last_known) {
                w->last_known = 0;
                PKT(b->tail)->flags |= PKT_FAILED;
                b->failed++;
            }
        }
    }
    return 0;
}

SEC("tp_btf/consume_skb")
int
vmlat_vm_consume(__u64 *ctx)
{
    __u32 number = pkt_find(id_of((void *) (long) ctx[0]));

    if (unlikely(number != NONE)) {
        /* That of a vhost worker says that the kernel did not run our program
         * when it was taken. */
        pkt_end(number, worker_find() == NONE ? VMLAT_VF_PROCESS
                        : VMLAT_VF_UNFINISHED);
    }
    return 0;
}
