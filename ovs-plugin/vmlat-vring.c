/*
 * Copyright (c) 2026 The vmlat authors.
 *
 * Licensed under the Apache License, Version 2.0 (the "License");
 * you may not use this file except in compliance with the License.
 * You may obtain a copy of the License at:
 *
 *     http://www.apache.org/licenses/LICENSE-2.0
 *
 * Unless required by applicable law or agreed to in writing, software
 * distributed under the License is distributed on an "AS IS" BASIS,
 * WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
 * See the License for the specific language governing permissions and
 * limitations under the License.
 */

#include <config.h>
#include "vmlat-vring.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dpdk-hooks/vmlat-dpdk.h"
#include "ovs-rcu.h"
#include "ovs-thread.h"
#include "util.h"
#include "vmlat-clock.h"
#include "vmlat-event.h"
#include "vmlat-virt-load.h"

/* What has come of the last signals of each thread that were recorded, by
 * their serial numbers.  Made with the first link of a thread, never freed. */
#define N_RESULTS 2048
static struct vmlat_virt_signal *results[VMLAT_VIRT_THREADS];
static uint32_t last_serial[VMLAT_VIRT_THREADS];    /* The thread's own. */

static struct ovs_mutex collect_mutex = OVS_MUTEX_INITIALIZER;
static const struct vmlat_virt_maps *collect_maps
    OVS_GUARDED_BY(collect_mutex) = NULL;

/* What a thread shares with the programs.  Only the thread uses it. */
struct vmlat_vring_link {
    struct vmlat_virt_thread *thread;   /* NULL: no room. */
    struct vmlat_virt_signal *signals;  /* VMLAT_VIRT_SIGNALS. */
    uint32_t first;                     /* Number of the first of these. */
    struct vmlat_virt_row *rows;
    uint16_t number;                    /* Of 'thread', in the maps. */
    uint16_t gen;
    uint16_t next;                      /* In 'signals': probably free. */
};

/* For memory that the programs, or other threads, use at the same time. */
#define LOAD(MEMBER) __atomic_load_n(&(MEMBER), __ATOMIC_RELAXED)
#define STORE(MEMBER, VALUE) \
    __atomic_store_n(&(MEMBER), VALUE, __ATOMIC_RELAXED)
#define ADD(MEMBER, VALUE) \
    __atomic_fetch_add(&(MEMBER), VALUE, __ATOMIC_RELAXED)

static void
raise_max(__u64 *max, uint64_t value)
{
    __u64 was = LOAD(*max);

    while (value > was
           && !__atomic_compare_exchange_n(max, &was, value, true,
                                           __ATOMIC_RELAXED,
                                           __ATOMIC_RELAXED)) {
        continue;
    }
}

static void
add_depth(struct vmlat_virt_depth *d, uint16_t depth)
{
    ADD(d->buckets[depth ? log_2_floor(depth) + 1 : 0], 1);
    ADD(d->samples, 1);
    ADD(d->total, depth);
    raise_max(&d->max, depth);
}

/* Adds 'n' samples of 'ns' to histogram 'stage' of 'row'. */
static void
add_time(struct vmlat_virt_row *row, enum vmlat_virt_stage stage, uint64_t ns,
         uint32_t n)
{
    struct vmlat_virt_hist *h = &row->hists[stage];
    unsigned int shift = 0;
    size_t bucket;

    if (ns >> (VMLAT_VIRT_SUB_BITS + 1)) {
        shift = log_2_floor(ns) - VMLAT_VIRT_SUB_BITS;
    }
    bucket = ((size_t) shift << VMLAT_VIRT_SUB_BITS) + (ns >> shift);
    ADD(h->buckets[MIN(bucket, VMLAT_VIRT_BUCKETS - 1)], n);
    ADD(h->total, ns * n);
    ADD(h->packets, n);
    raise_max(&h->max, ns);
    raise_max(&h->not_min, ~ns);
}

/* Links. */

/* Gives thread 'tid' a place in 'maps', NULL if there is no room. */
static struct vmlat_virt_thread *
add_thread(const struct vmlat_virt_maps *maps, uint32_t tid)
{
    for (size_t i = 0; i < VMLAT_VIRT_THREAD_PROBES; i++) {
        struct vmlat_virt_thread *t
            = &maps->threads[VMLAT_VIRT_THREAD_HASH(tid + i)];
        __u32 was = LOAD(t->tid);

        if (!was || was == VMLAT_VIRT_THREAD_GONE) {
            STORE(t->signal, 0);
            if (__atomic_compare_exchange_n(&t->tid, &was, tid, false,
                                            __ATOMIC_ACQ_REL,
                                            __ATOMIC_RELAXED)) {
                return t;
            }
        }
    }
    return NULL;
}

static void
remove_thread(struct vmlat_virt_thread *t)
{
    __atomic_store_n(&t->tid, VMLAT_VIRT_THREAD_GONE, __ATOMIC_RELEASE);
}

struct vmlat_vring_link *
vmlat_vring_link_create(const struct vmlat_virt_maps *maps, uint16_t gen,
                        uint32_t tid)
{
    struct vmlat_vring_link *link = xzalloc(sizeof *link);

    link->thread = add_thread(maps, tid);
    if (link->thread) {
        link->number = link->thread - maps->threads;
        link->first = link->number * VMLAT_VIRT_SIGNALS;
        if (!results[link->number]) {
            __atomic_store_n(&results[link->number],
                             xcalloc(N_RESULTS, sizeof **results),
                             __ATOMIC_RELEASE);
        }
        link->signals = &maps->signals[link->first];
    }
    link->rows = maps->rows;
    link->gen = gen;
    return link;
}

void
vmlat_vring_link_destroy(struct vmlat_vring_link *link)
{
    if (link) {
        if (link->thread) {
            remove_thread(link->thread);
        }
        free(link);
    }
}

void
vmlat_vring_link_destroy_later(struct vmlat_vring_link *link)
{
    if (link) {
        ovsrcu_postpone(vmlat_vring_link_destroy, link);
    }
}

bool
vmlat_vring_is_seen(const struct vmlat_virt_maps *maps)
{
    uint32_t tid = syscall(SYS_gettid);
    struct vmlat_virt_thread *t = add_thread(maps, tid);
    struct vmlat_virt_signal *s;
    uint64_t one = 1;
    bool seen = false;
    int fd;

    if (!t) {
        return false;
    }
    s = &maps->signals[(t - maps->threads) * VMLAT_VIRT_SIGNALS];
    fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd >= 0) {
        STORE(t->signal, s - maps->signals + 1);
        seen = (write(fd, &one, sizeof one) == sizeof one
                && LOAD(s->state) & VMLAT_SIGNAL_DONE);
        STORE(t->signal, 0);
        STORE(s->state, 0);
        close(fd);
    }
    remove_thread(t);
    return seen;
}

/* Counting. */

static bool
has_injected(const struct vmlat_virt_signal *s)
{
    return s->fate == VMLAT_VF_OWN;
}

/* Keeps what is known of 's', of thread 'number', for vmlat/record.  The
 * caller has made 's' busy. */
static void
publish(const struct vmlat_virt_signal *s, size_t number)
{
    uint32_t serial = s->serial;

    if (serial) {
        struct vmlat_virt_signal *r = &results[number][serial % N_RESULTS];

        /* 'state' goes last, 'serial' is 0 meanwhile. */
        STORE(r->serial, 0);
        __atomic_thread_fence(__ATOMIC_RELEASE);
        r->signal_ns = s->signal_ns;
        r->irqfd_ns = s->irqfd_ns;
        r->inject_ns = s->inject_ns;
        r->entry_ns = s->entry_ns;
        r->fate = s->fate;
        r->vcpu = s->vcpu;
        r->merged = s->merged;
        r->state = LOAD(s->state);
        __atomic_store_n(&r->serial, serial, __ATOMIC_RELEASE);
    }
}

bool
vmlat_vring_result(const struct vmlat_event_signal *event,
                   struct vmlat_virt_signal *signal, bool *gone)
{
    struct vmlat_virt_signal *r
        = (__atomic_load_n(&results[event->thread % VMLAT_VIRT_THREADS],
                           __ATOMIC_ACQUIRE)
           + event->serial % N_RESULTS);
    uint32_t serial = __atomic_load_n(&r->serial, __ATOMIC_ACQUIRE);

    *signal = *r;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    *gone = serial && (int32_t) (serial - event->serial) > 0;
    return serial == event->serial && LOAD(r->serial) == serial;
}

/* Counts what is known once 's' has ended. */
static void
count_fate(const struct vmlat_virt_signal *s, struct vmlat_virt_row *row)
{
    enum vmlat_virt_fate fate = s->fate;

    if (!s->n) {
        ADD(row->empty_signals, 1);
        return;
    }
    if (has_injected(s)) {
        fate = s->n > 1 ? VMLAT_VF_SHARED : VMLAT_VF_OWN;
        add_time(row, VMLAT_VS_TO_VM, s->inject_ns - s->signal_ns, s->n);
        add_time(row, VMLAT_VS_SIGNAL_IRQFD, s->irqfd_ns - s->signal_ns, s->n);
        add_time(row, VMLAT_VS_IRQFD_INJECT, s->inject_ns - s->irqfd_ns, s->n);
        ADD(row->signals, 1);
        ADD(row->merged, s->merged ? s->n : 0);
    }
    ADD(row->fates[MIN(fate, VMLAT_VIRT_N_FATES - 1)], s->n);
}

/* Counts the vCPU, once the programs are done with 's'. */
static void
count_vcpu(const struct vmlat_virt_signal *s, struct vmlat_virt_row *row)
{
    enum vmlat_virt_vcpu vcpu = s->vcpu;

    if (!s->n || !has_injected(s)) {
        return;
    }
    if (s->entry_ns) {
        uint64_t ns = s->entry_ns - s->inject_ns;

        add_time(row, VMLAT_VS_INJECT_VCPU, ns, s->n);
        if (s->woken_ns > s->inject_ns) {
            vcpu = VMLAT_VV_SLEPT;
            add_time(row, VMLAT_VS_INJECT_WOKEN, s->woken_ns - s->inject_ns,
                     s->n);
        } else if (vcpu == VMLAT_VV_PREEMPTED) {
            add_time(row, VMLAT_VS_PREEMPTED_VCPU, ns, s->n);
        }
    }
    ADD(row->vcpu[MIN(vcpu, VMLAT_VIRT_N_VCPUS - 1)], s->n);
}

/* Counts what is known of 's', which is one of thread 'number''s, and has not
 * been counted, and makes it free if that is all.  Does nothing if another
 * thread is just doing that. */
static void
collect(struct vmlat_virt_signal *s, size_t number,
        struct vmlat_virt_row *rows)
{
    uint32_t state = __atomic_load_n(&s->state, __ATOMIC_ACQUIRE);
    uint32_t ready = VMLAT_SIGNAL_SIZED | VMLAT_SIGNAL_ENDED;
    struct vmlat_virt_row *row;

    if ((state & ready) != ready
        || (state & (VMLAT_SIGNAL_COUNTED | VMLAT_SIGNAL_DONE))
            == VMLAT_SIGNAL_COUNTED) {
        return;
    }
    if (__atomic_fetch_or(&s->state, VMLAT_SIGNAL_BUSY, __ATOMIC_ACQUIRE)
        & VMLAT_SIGNAL_BUSY) {
        return;
    }
    /* It may be another one by now. */
    state = __atomic_load_n(&s->state, __ATOMIC_ACQUIRE);
    row = &rows[s->row];
    if ((state & ready) == ready) {
        if (!(state & VMLAT_SIGNAL_COUNTED)) {
            count_fate(s, row);
            publish(s, number);
            __atomic_fetch_or(&s->state, VMLAT_SIGNAL_COUNTED,
                              __ATOMIC_RELEASE);
        }
        if (state & VMLAT_SIGNAL_DONE) {
            count_vcpu(s, row);
            publish(s, number);
            __atomic_store_n(&s->state, 0, __ATOMIC_RELEASE);
            return;
        }
    }
    __atomic_fetch_and(&s->state, ~VMLAT_SIGNAL_BUSY, __ATOMIC_RELEASE);
}

void
vmlat_vring_collect(const struct vmlat_virt_maps *maps)
{
    for (size_t i = 0; i < VMLAT_VIRT_THREADS; i++) {
        if (LOAD(maps->threads[i].tid)) {
            for (size_t j = 0; j < VMLAT_VIRT_SIGNALS; j++) {
                collect(&maps->signals[i * VMLAT_VIRT_SIGNALS + j], i,
                        maps->rows);
            }
        }
    }
}

void
vmlat_vring_set_maps(const struct vmlat_virt_maps *maps)
{
    ovs_mutex_lock(&collect_mutex);
    collect_maps = maps;
    ovs_mutex_unlock(&collect_mutex);
}

void
vmlat_vring_collect_all(void)
{
    ovs_mutex_lock(&collect_mutex);
    if (collect_maps) {
        vmlat_vring_collect(collect_maps);
    }
    ovs_mutex_unlock(&collect_mutex);
}

/* Threads that handle packets. */

/* Returns a signal of 'link' that is free, NULL if there is none. */
static struct vmlat_virt_signal *
find_free(struct vmlat_vring_link *link)
{
    for (size_t i = 0; link->thread && i < VMLAT_VIRT_SIGNALS; i++) {
        struct vmlat_virt_signal *s
            = &link->signals[(link->next + i) % VMLAT_VIRT_SIGNALS];

        collect(s, link->number, link->rows);
        if (!LOAD(s->state)) {
            link->next = (s - link->signals + 1) % VMLAT_VIRT_SIGNALS;
            return s;
        }
    }
    return NULL;
}

void
vmlat_vring_begin__(struct vmlat_vring *vring, struct vmlat_shard *shard,
                    int vid, uint16_t queue_id)
{
    uint16_t row = shard->tx.virt_row;
    struct vmlat_vring_link *link;

    atomic_read_explicit(&shard->vring, &link, memory_order_acquire);
    if (!link || link->gen != shard->tx.virt_row >> 16) {
        return;
    }
    vring->link = link;
    vring->signal = find_free(link);
    if (vmlat_dpdk_vring_depth(vid, queue_id, &vring->depth)) {
        add_depth(&link->rows[row].vring, vring->depth);
    } else {
        vring->depth = VMLAT_VRING_UNKNOWN;
    }
    if (vring->signal) {
        vring->signal->row = row;
        vring->signal->serial = 0;
        if (shard->tx.keep_all) {
            uint32_t *serial = &last_serial[link->number];

            *serial += *serial == UINT32_MAX ? 2 : 1;
            vring->signal->serial = *serial;
        }
        STORE(link->thread->signal,
              link->first + (vring->signal - link->signals) + 1);
    }
    vring->ticks = vmlat_clock_now();
}

/* Notes for vmlat/record that the ring has taken 'n' more packets. */
static void
note_signal(const struct vmlat_vring *vring, struct vmlat_tx *tx, uint16_t n)
{
    const struct vmlat_virt_signal *s = vring->signal;
    bool made = s && LOAD(s->state) & VMLAT_SIGNAL_MADE;

    for (size_t i = tx->accepted; n && i < VMLAT_MAX_BURST; i++, n--) {
        tx->signals[i] = (struct vmlat_event_signal) {
            .is_vm = s && (made || !tx->signal_ticks),
            .shared = n > 1 || i > tx->accepted,
            .vring = vring->depth,
            .thread = vring->link->number,
            .serial = made ? s->serial : 0,
        };
        tx->n_signals = i + 1;
    }
}

void
vmlat_vring_end__(struct vmlat_vring *vring, struct vmlat_shard *shard,
                  uint16_t n)
{
    struct vmlat_vring_link *link = vring->link;
    struct vmlat_virt_row *row = &link->rows[shard->tx.virt_row & 0xffff];
    uint64_t signal_ticks = shard->tx.signal_ticks;
    struct vmlat_virt_signal *s = vring->signal;

    if (OVS_UNLIKELY(shard->tx.keep_all)) {
        note_signal(vring, &shard->tx, n);
    }
    ADD(row->entered, n);
    if (signal_ticks && n && signal_ticks >= vring->ticks) {
        add_time(row, VMLAT_VS_ENQUEUE_SIGNAL,
                 vmlat_clock_ns(signal_ticks - vring->ticks), n);
    }
    if (!s) {
        ADD(row->fates[VMLAT_VF_NO_WORKER], n);
        return;
    }
    STORE(link->thread->signal, 0);
    if (LOAD(s->state) & VMLAT_SIGNAL_MADE) {
        s->n = n;
        __atomic_fetch_or(&s->state, VMLAT_SIGNAL_SIZED, __ATOMIC_RELEASE);
        collect(s, link->number, link->rows);
    } else {
        ADD(row->fates[signal_ticks ? VMLAT_VF_UNSEEN : VMLAT_VF_NO_SIGNAL],
            n);
    }
}
