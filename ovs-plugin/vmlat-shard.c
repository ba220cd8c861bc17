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
#include "vmlat-shard.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hash.h"
#include "ovs-atomic.h"
#include "ovs-thread.h"
#include "util.h"
#include "vmlat-event.h"
#include "vmlat-histogram.h"
#include "vmlat-kernel.h"
#include "vmlat-port.h"
#include "vmlat-vring.h"

atomic_uint32_t vmlat_active;
atomic_uint32_t vmlat_epoch = 1;
atomic_uint32_t vmlat_run = 1;
bool vmlat_accounts_stopped;

DEFINE_EXTERN_PER_THREAD_DATA(vmlat_shard_ptr, NULL);

static struct ovs_mutex vmlat_shards_mutex = OVS_MUTEX_INITIALIZER;

/* All shards, also those whose threads have ended: what they measured stays,
 * and the next new thread takes them over.  Shards are never freed. */
static struct ovs_list all_shards OVS_GUARDED_BY(vmlat_shards_mutex)
    = OVS_LIST_INITIALIZER(&all_shards);

/* Slots that shards have counters for. */
static bool slot_used[VMLAT_MAX_PORTS] OVS_GUARDED_BY(vmlat_shards_mutex);
static unsigned int n_slots OVS_GUARDED_BY(vmlat_shards_mutex);

/* Histograms allocated, and how many may be. */
static unsigned int n_pairs OVS_GUARDED_BY(vmlat_shards_mutex);
static unsigned int max_n_pairs OVS_GUARDED_BY(vmlat_shards_mutex) = 8192;

/* Of the programs that follow signals to guests, or NULL. */
static const struct vmlat_virt_maps *vring_maps
    OVS_GUARDED_BY(vmlat_shards_mutex);
static uint16_t vring_gen OVS_GUARDED_BY(vmlat_shards_mutex);

/* Do shards have queues? */
static bool has_queues OVS_GUARDED_BY(vmlat_shards_mutex);

/* Packets written off, by slot and kind. */
static uint64_t written_off[VMLAT_MAX_PORTS][2]
    OVS_GUARDED_BY(vmlat_ports_mutex);

static pthread_key_t shard_key;

static void
shard_thread_ended(void *shard_)
{
    struct vmlat_shard *shard = shard_;
    struct vmlat_vring_link *link;

    *vmlat_shard_ptr_get() = NULL;
    ovs_mutex_lock(&vmlat_shards_mutex);
    shard->in_use = false;
    atomic_read_relaxed(&shard->vring, &link);
    atomic_store_relaxed(&shard->vring, NULL);
    vmlat_vring_link_destroy(link);
    ovs_mutex_unlock(&vmlat_shards_mutex);
}

static void
vmlat_shard_key_create(void)
{
    xpthread_key_create(&shard_key, shard_thread_ended);
}

static void
shard_add_port(struct vmlat_shard *shard, uint16_t slot)
    OVS_REQUIRES(vmlat_shards_mutex)
{
    struct vmlat_port_stats *ps;

    atomic_read_relaxed(&shard->ports[slot], &ps);
    if (!ps) {
        ps = xzalloc_cacheline(sizeof *ps);
        atomic_store_explicit(&shard->ports[slot], ps, memory_order_release);
    }
}

/* Puts unused pairs into 'shard' until it has as many as it may need before
 * somebody looks again. */
static void
shard_replenish(struct vmlat_shard *shard)
    OVS_REQUIRES(vmlat_shards_mutex)
{
    uint32_t target = MIN(64 + 2 * n_slots, VMLAT_N_SPARES - 1);
    uint32_t head, tail, in_table;

    atomic_read_relaxed(&shard->spare_head, &head);
    atomic_read_explicit(&shard->spare_tail, &tail, memory_order_acquire);
    atomic_read_relaxed(&shard->n_pairs, &in_table);
    target = MIN(target, VMLAT_MAX_PAIRS - MIN(in_table, VMLAT_MAX_PAIRS));
    while (head - tail < target && n_pairs < max_n_pairs) {
        struct vmlat_pair *pair = xzalloc_cacheline(sizeof *pair);

        shard->spares[head++ % VMLAT_N_SPARES] = pair;
        atomic_store_explicit(&shard->spare_head, head, memory_order_release);
        n_pairs++;
    }
}

static void
shard_add_queue(struct vmlat_shard *shard)
    OVS_REQUIRES(vmlat_shards_mutex)
{
    atomic_store_explicit(&shard->queue, vmlat_event_queue_create(),
                          memory_order_release);
}

/* Makes or replaces what the thread of 'shard' shares with programs. */
static void
shard_set_vring(struct vmlat_shard *shard) OVS_REQUIRES(vmlat_shards_mutex)
{
    struct vmlat_vring_link *old, *new = NULL;

    if (vring_maps) {
        new = vmlat_vring_link_create(vring_maps, vring_gen, shard->tid);
    }
    atomic_read_relaxed(&shard->vring, &old);
    atomic_store_explicit(&shard->vring, new, memory_order_release);
    vmlat_vring_link_destroy_later(old);
}

void
vmlat_shards_set_vring(const struct vmlat_virt_maps *maps, uint16_t gen)
{
    struct vmlat_shard *shard;

    ovs_mutex_lock(&vmlat_shards_mutex);
    vring_maps = maps;
    vring_gen = gen;
    vmlat_vring_set_maps(maps);
    LIST_FOR_EACH (shard, node, &all_shards) {
        if (shard->in_use) {
            shard_set_vring(shard);
        }
    }
    ovs_mutex_unlock(&vmlat_shards_mutex);
}

struct vmlat_shard *
vmlat_shard_create(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct vmlat_shard *shard = NULL, *s;

    pthread_once(&once, vmlat_shard_key_create);

    ovs_mutex_lock(&vmlat_shards_mutex);
    LIST_FOR_EACH (s, node, &all_shards) {
        if (!s->in_use) {
            shard = s;
            break;
        }
    }
    if (!shard) {
        shard = xzalloc_cacheline(sizeof *shard);
        shard->events = vmlat_event_ring_create();
        if (has_queues) {
            shard_add_queue(shard);
        }
        ovs_list_push_back(&all_shards, &shard->node);
        for (size_t slot = 0; slot < VMLAT_MAX_PORTS; slot++) {
            if (!slot || slot_used[slot]) {
                shard_add_port(shard, slot);
            }
        }
    }
    shard->in_use = true;
    shard->tid = syscall(SYS_gettid);
    shard_set_vring(shard);
    ovs_strlcpy(shard->name, get_subprogram_name(), sizeof shard->name);
    if (!shard->name[0]) {
        ovs_strlcpy(shard->name, "main", sizeof shard->name);
    }
    memset(&shard->burst, 0, sizeof shard->burst);
    memset(&shard->tx, 0, sizeof shard->tx);
    shard->perf = NULL;
    shard->generating = 0;
    shard->last_pair = NULL;
    memset(shard->cache, 0, sizeof shard->cache);
    shard_replenish(shard);
    ovs_mutex_unlock(&vmlat_shards_mutex);

    *vmlat_shard_ptr_get() = shard;
    xpthread_setspecific(shard_key, shard);
    return shard;
}

void
vmlat_shards_add_port(uint16_t slot)
{
    struct vmlat_shard *shard;

    ovs_mutex_lock(&vmlat_shards_mutex);
    if (!slot_used[slot]) {
        slot_used[slot] = true;
        n_slots++;
        LIST_FOR_EACH (shard, node, &all_shards) {
            shard_add_port(shard, slot);
        }
    }
    ovs_mutex_unlock(&vmlat_shards_mutex);
}

void
vmlat_shards_replenish(unsigned int max_pairs)
{
    struct vmlat_shard *shard;

    ovs_mutex_lock(&vmlat_shards_mutex);
    max_n_pairs = max_pairs;
    LIST_FOR_EACH (shard, node, &all_shards) {
        if (shard->in_use) {
            shard_replenish(shard);
        }
    }
    ovs_mutex_unlock(&vmlat_shards_mutex);
}

size_t
vmlat_shards_memory(void)
{
    size_t n_shards;
    size_t size;

    ovs_mutex_lock(&vmlat_shards_mutex);
    n_shards = ovs_list_size(&all_shards);
    size = (n_shards * (sizeof(struct vmlat_shard)
                        + VMLAT_EVENT_RING * sizeof(struct vmlat_event)
                        + (n_slots + 1) * sizeof(struct vmlat_port_stats))
            + n_pairs * sizeof(struct vmlat_pair));
    ovs_mutex_unlock(&vmlat_shards_mutex);
    return size;
}

unsigned int
vmlat_shards_n_pairs(void)
{
    struct vmlat_shard *shard;
    unsigned int n = 0;

    ovs_mutex_lock(&vmlat_shards_mutex);
    LIST_FOR_EACH (shard, node, &all_shards) {
        uint32_t in_table;

        atomic_read_relaxed(&shard->n_pairs, &in_table);
        n += in_table;
    }
    ovs_mutex_unlock(&vmlat_shards_mutex);
    return n;
}

void
vmlat_shards_queues_create(void)
{
    struct vmlat_shard *shard;

    ovs_mutex_lock(&vmlat_shards_mutex);
    if (!has_queues) {
        has_queues = true;
        LIST_FOR_EACH (shard, node, &all_shards) {
            shard_add_queue(shard);
        }
    }
    ovs_mutex_unlock(&vmlat_shards_mutex);
}

void
vmlat_shards_queues_destroy(void)
{
    struct vmlat_shard *shard;

    ovs_mutex_lock(&vmlat_shards_mutex);
    has_queues = false;
    LIST_FOR_EACH (shard, node, &all_shards) {
        struct vmlat_event_queue *queue;

        atomic_read_relaxed(&shard->queue, &queue);
        if (queue) {
            atomic_store_relaxed(&shard->queue, NULL);
            vmlat_event_queue_destroy(queue);
        }
    }
    ovs_mutex_unlock(&vmlat_shards_mutex);
}

struct vmlat_event_queue **
vmlat_shards_queues(size_t *n)
{
    struct vmlat_event_queue **queues;
    struct vmlat_shard *shard;

    *n = 0;
    ovs_mutex_lock(&vmlat_shards_mutex);
    queues = xmalloc((ovs_list_size(&all_shards) + 1) * sizeof *queues);
    LIST_FOR_EACH (shard, node, &all_shards) {
        struct vmlat_event_queue *queue;

        atomic_read_relaxed(&shard->queue, &queue);
        if (queue) {
            queues[(*n)++] = queue;
        }
    }
    ovs_mutex_unlock(&vmlat_shards_mutex);
    return queues;
}

void
vmlat_shards_cost(struct vmlat_cost *cost)
{
    struct vmlat_shard *shard;

    memset(cost, 0, sizeof *cost);
    ovs_mutex_lock(&vmlat_shards_mutex);
    LIST_FOR_EACH (shard, node, &all_shards) {
        cost->ticks += vmlat_counter_get(&shard->cost_ticks);
        cost->packets += vmlat_counter_get(&shard->cost_packets);
        cost->interrupted += vmlat_counter_get(&shard->cost_interrupted);
    }
    ovs_mutex_unlock(&vmlat_shards_mutex);
}

/* For the owner. */

/* Zeros the counters in 'p', of which there are 'n'. */
static void
counters_zero(atomic_uint64_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        atomic_store_relaxed(&p[i], UINT64_C(0));
    }
}

/* Begins to empty what 'seq' guards. */
static void
seq_begin(atomic_uint32_t *seq)
{
    uint32_t value;

    atomic_read_relaxed(seq, &value);
    atomic_store_relaxed(seq, value + 1);
    atomic_thread_fence(memory_order_release);
}

static void
seq_end(atomic_uint32_t *seq)
{
    uint32_t value;

    atomic_read_relaxed(seq, &value);
    atomic_store_explicit(seq, value + 1, memory_order_release);
}

void
vmlat_port_stats_empty(struct vmlat_port_stats *ps, uint32_t epoch)
{
    seq_begin(&ps->seq);
    counters_zero(&ps->fates[0][0], VMLAT_N_FATES);
    counters_zero(&ps->fates[1][0], VMLAT_N_FATES);
    counters_zero(&ps->late, 1);
    counters_zero(&ps->copies, 1);
    counters_zero(ps->tx_bursts, ARRAY_SIZE(ps->tx_bursts));
    counters_zero(&ps->tx_retries, 1);
    counters_zero(&ps->tx_failures, 1);
    counters_zero(&ps->tx_refused, 1);
    atomic_store_relaxed(&ps->epoch, epoch);
    seq_end(&ps->seq);
}

void
vmlat_rxq_empty(struct vmlat_rxq *rxq, uint32_t epoch)
{
    seq_begin(&rxq->seq);
    counters_zero(&rxq->rx_packets, 1);
    counters_zero(&rxq->filtered, 1);
    counters_zero(&rxq->policed, 1);
    counters_zero(rxq->bursts, ARRAY_SIZE(rxq->bursts));
    atomic_store_relaxed(&rxq->epoch, epoch);
    seq_end(&rxq->seq);
}

static size_t
pair_hash(uint64_t key)
{
    return hash_uint64(key) % VMLAT_PAIR_TABLE;
}

/* Returns 'shard's pair for 'key', NULL if there is none. */
static struct vmlat_pair *
pair_find(const struct vmlat_shard *shard, uint64_t key, size_t *slot)
{
    for (size_t i = pair_hash(key); ; i = (i + 1) % VMLAT_PAIR_TABLE) {
        struct vmlat_pair *pair;

        atomic_read_explicit(CONST_CAST(struct vmlat_shard *,
                                        shard)->table + i,
                             &pair, memory_order_acquire);
        if (!pair || pair->key == key) {
            if (slot) {
                *slot = i;
            }
            return pair;
        }
    }
}

/* Takes the pairs that have no samples of 'epoch' out of 'shard's table, to be
 * used again.  They have been cleared and not come back since.  Goes through
 * the whole table, but only when a thread is out of histograms, and at most
 * once after each clear. */
static void
pairs_recycle(struct vmlat_shard *shard, uint32_t epoch)
{
    struct vmlat_pair **kept;
    size_t n_kept = 0;

    /* There is room for all pairs behind those that are recycled already. */
    kept = &shard->recycled[shard->n_recycled];
    seq_begin(&shard->table_seq);
    for (size_t i = 0; i < VMLAT_PAIR_TABLE; i++) {
        struct vmlat_pair *pair;

        atomic_read_relaxed(&shard->table[i], &pair);
        if (pair) {
            kept[n_kept++] = pair;
            atomic_store_relaxed(&shard->table[i], NULL);
        }
    }
    for (size_t i = 0; i < n_kept; i++) {
        struct vmlat_pair *pair = kept[i];
        uint32_t own;

        atomic_read_relaxed(&pair->hist.epoch, &own);
        if (own == epoch) {
            size_t slot;

            pair_find(shard, pair->key, &slot);
            atomic_store_relaxed(&shard->table[slot], pair);
        } else {
            shard->recycled[shard->n_recycled++] = pair;
        }
    }
    shard->last_pair = NULL;
    seq_end(&shard->table_seq);
}

/* Returns an unused pair of 'shard', NULL if there is none. */
static struct vmlat_pair *
pair_take(struct vmlat_shard *shard, uint32_t epoch)
{
    struct vmlat_pair *pair = NULL;
    uint32_t head, tail, n;

    atomic_read_relaxed(&shard->spare_tail, &tail);
    atomic_read_explicit(&shard->spare_head, &head, memory_order_acquire);
    atomic_read_relaxed(&shard->n_pairs, &n);
    if (shard->n_recycled) {
        pair = shard->recycled[--shard->n_recycled];
    } else if (head != tail && n < VMLAT_MAX_PAIRS) {
        pair = shard->spares[tail % VMLAT_N_SPARES];
        atomic_store_explicit(&shard->spare_tail, tail + 1,
                              memory_order_release);
        atomic_store_relaxed(&shard->n_pairs, n + 1);
    } else if (shard->recycle_epoch != epoch) {
        shard->recycle_epoch = epoch;
        pairs_recycle(shard, epoch);
        if (shard->n_recycled) {
            pair = shard->recycled[--shard->n_recycled];
        }
    }
    return pair;
}

static struct vmlat_pair *
pair_create(struct vmlat_shard *shard, uint64_t key, uint32_t epoch)
{
    struct vmlat_pair *pair = pair_take(shard, epoch);
    size_t slot;

    if (!pair) {
        return NULL;
    }
    pair->key = key;
    vmlat_histogram_init(&pair->hist, epoch);
    pair_find(shard, key, &slot);
    atomic_store_explicit(&shard->table[slot], pair, memory_order_release);
    return pair;
}

struct vmlat_histogram *
vmlat_shard_pair(struct vmlat_shard *shard, uint64_t key, uint32_t epoch)
{
    struct vmlat_pair *pair = shard->last_pair;

    if (OVS_UNLIKELY(!pair || pair->key != key)) {
        pair = pair_find(shard, key, NULL);
        if (OVS_UNLIKELY(!pair)) {
            pair = pair_create(shard, key, epoch);
            if (!pair) {
                return NULL;
            }
        }
        shard->last_pair = pair;
    }
    vmlat_histogram_sync(&pair->hist, epoch);
    return &pair->hist;
}

/* For readers. */

/* Copies the 'n' bytes of counters at 'src', which 'seq' guards, to 'dst'.
 * Returns false, with 'dst' zeroed, if they do not belong to 'epoch'. */
static bool
counters_copy(void *dst, const void *src, size_t n,
              const atomic_uint32_t *seq_, const atomic_uint32_t *epoch_,
              uint32_t epoch)
{
    atomic_uint32_t *seq = CONST_CAST(atomic_uint32_t *, seq_);
    uint32_t before, after, own;

    do {
        atomic_read_explicit(seq, &before, memory_order_acquire);
        atomic_read_relaxed(CONST_CAST(atomic_uint32_t *, epoch_), &own);
        for (size_t i = 0; i < n / sizeof(uint64_t); i++) {
            ((uint64_t *) dst)[i]
                = vmlat_counter_get((const atomic_uint64_t *) src + i);
        }
        atomic_thread_fence(memory_order_acquire);
        atomic_read_relaxed(seq, &after);
    } while (before != after || before & 1);

    if (own != epoch) {
        memset(dst, 0, n);
        return false;
    }
    return true;
}

struct accounts_aux {
    struct vmlat_account *accounts;
    uint32_t epoch;
    bool entered;               /* Second pass: what entered. */
};

static void
accounts_read_shards(struct accounts_aux *aux)
{
    struct vmlat_shard *shard;

    ovs_mutex_lock(&vmlat_shards_mutex);
    LIST_FOR_EACH (shard, node, &all_shards) {
        for (size_t slot = 0; slot < VMLAT_MAX_PORTS; slot++) {
            struct vmlat_account *a = &aux->accounts[slot];
            struct vmlat_port_stats *ps;

            if (slot && !slot_used[slot]) {
                continue;
            }
            atomic_read_explicit(&shard->ports[slot], &ps,
                                 memory_order_acquire);
            if (!aux->entered) {
                uint64_t fates[2][VMLAT_N_FATES];

                counters_copy(fates, ps->fates, sizeof fates, &ps->seq,
                              &ps->epoch, aux->epoch);
                for (size_t i = 0; i < 2; i++) {
                    for (size_t j = 0; j < VMLAT_N_FATES; j++) {
                        a->fates[i][j] += fates[i][j];
                    }
                }
            } else {
                uint64_t n;

                counters_copy(&n, &ps->late, sizeof n, &ps->seq, &ps->epoch,
                              aux->epoch);
                a->rx_packets += n;
                counters_copy(&n, &ps->copies, sizeof n, &ps->seq, &ps->epoch,
                              aux->epoch);
                a->copies += n;
            }
        }
    }
    ovs_mutex_unlock(&vmlat_shards_mutex);
}

static void
accounts_read_rxqs(struct vmlat_port *port, void *aux_)
{
    struct accounts_aux *aux = aux_;
    struct vmlat_account *a = &aux->accounts[port->slot];
    uint32_t n_rxqs;

    atomic_read_relaxed(&port->n_rxqs, &n_rxqs);
    for (size_t i = 0; i < n_rxqs; i++) {
        const struct vmlat_rxq *rxq = port->rxqs[i];
        uint64_t n;

        if (!aux->entered) {
            counters_copy(&n, &rxq->filtered, sizeof n, &rxq->seq,
                          &rxq->epoch, aux->epoch);
            a->fates[0][VMLAT_FATE_FILTERED] += n;
            counters_copy(&n, &rxq->policed, sizeof n, &rxq->seq,
                          &rxq->epoch, aux->epoch);
            a->fates[0][VMLAT_FATE_POLICED] += n;
        } else {
            counters_copy(&n, &rxq->rx_packets, sizeof n, &rxq->seq,
                          &rxq->epoch, aux->epoch);
            a->rx_packets += n;
        }
    }
}

/* Fills 'accounts' with what the shards have. */
static void
accounts_read_userspace(struct vmlat_account *accounts)
    OVS_REQUIRES(vmlat_ports_mutex)
{
    struct accounts_aux aux = { accounts, vmlat_epoch_get(), false };

    memset(accounts, 0, VMLAT_MAX_PORTS * sizeof *accounts);

    /* Fates first, what entered last: see vmlat-shard.h. */
    accounts_read_shards(&aux);
    vmlat_port_for_each(accounts_read_rxqs, &aux);
    atomic_thread_fence(memory_order_acquire);
    aux.entered = true;
    accounts_read_shards(&aux);
    vmlat_port_for_each(accounts_read_rxqs, &aux);

    for (size_t slot = 0; slot < VMLAT_MAX_PORTS; slot++) {
        struct vmlat_account *a = &accounts[slot];

        for (size_t i = 0; i < 2; i++) {
            uint64_t rest = i ? a->copies : a->rx_packets;

            a->fates[i][VMLAT_FATE_AFTER_STOP] = written_off[slot][i];
            for (size_t j = 0; j < VMLAT_N_FATES; j++) {
                rest -= a->fates[i][j];
            }
            a->fates[i][vmlat_accounts_stopped
                        ? VMLAT_FATE_AFTER_STOP
                        : VMLAT_FATE_INSIDE] += rest;
        }
    }
}

void
vmlat_accounts_read(struct vmlat_account *accounts)
{
    accounts_read_userspace(accounts);
    vmlat_kernel_accounts_read(accounts);
}

/* The counts of the kernel side are not part of this: they begin anew with
 * each start. */
void
vmlat_accounts_write_off(void)
{
    struct vmlat_account *accounts = xmalloc(VMLAT_MAX_PORTS
                                             * sizeof *accounts);

    accounts_read_userspace(accounts);
    for (size_t slot = 0; slot < VMLAT_MAX_PORTS; slot++) {
        for (size_t i = 0; i < 2; i++) {
            const uint64_t *fates = accounts[slot].fates[i];

            written_off[slot][i] = (fates[VMLAT_FATE_AFTER_STOP]
                                    + fates[VMLAT_FATE_INSIDE]);
        }
    }
    free(accounts);
}

void
vmlat_accounts_forget_written_off(void)
{
    memset(written_off, 0, sizeof written_off);
}

void
vmlat_bursts_read(const struct vmlat_port *port, struct vmlat_bursts *b)
{
    uint32_t epoch = vmlat_epoch_get();
    struct vmlat_shard *shard;
    uint64_t counts[VMLAT_MAX_BURST + 1];
    uint32_t n_rxqs;

    memset(b, 0, sizeof *b);
    atomic_read_relaxed(&CONST_CAST(struct vmlat_port *, port)->n_rxqs,
                        &n_rxqs);
    for (size_t i = 0; i < n_rxqs; i++) {
        const struct vmlat_rxq *rxq = port->rxqs[i];

        counters_copy(counts, rxq->bursts, sizeof counts, &rxq->seq,
                      &rxq->epoch, epoch);
        for (size_t j = 0; j <= VMLAT_MAX_BURST; j++) {
            b->rx[j] += counts[j];
        }
    }

    ovs_mutex_lock(&vmlat_shards_mutex);
    LIST_FOR_EACH (shard, node, &all_shards) {
        struct vmlat_port_stats *ps;
        uint64_t n;

        atomic_read_explicit(&shard->ports[port->slot], &ps,
                             memory_order_acquire);
        counters_copy(counts, ps->tx_bursts, sizeof counts, &ps->seq,
                      &ps->epoch, epoch);
        for (size_t j = 0; j <= VMLAT_MAX_BURST; j++) {
            b->tx[j] += counts[j];
        }
        counters_copy(&n, &ps->tx_retries, sizeof n, &ps->seq, &ps->epoch,
                      epoch);
        b->tx_retries += n;
        counters_copy(&n, &ps->tx_failures, sizeof n, &ps->seq, &ps->epoch,
                      epoch);
        b->tx_failures += n;
        counters_copy(&n, &ps->tx_refused, sizeof n, &ps->seq, &ps->epoch,
                      epoch);
        b->tx_refused += n;
    }
    ovs_mutex_unlock(&vmlat_shards_mutex);
}

static int
compare_keys(const void *a_, const void *b_)
{
    const uint64_t *a = a_;
    const uint64_t *b = b_;

    return *a < *b ? -1 : *a > *b;
}

/* Returns a number that changes whenever a shard's table is made anew, and
 * waits while that is being done. */
static uint64_t
tables_seq(void)
    OVS_REQUIRES(vmlat_shards_mutex)
{
    struct vmlat_shard *shard;
    uint64_t sum = 0;

    LIST_FOR_EACH (shard, node, &all_shards) {
        uint32_t seq;

        for (;;) {
            atomic_read_explicit(&shard->table_seq, &seq,
                                 memory_order_acquire);
            if (!(seq & 1)) {
                break;
            }
            sched_yield();
        }
        sum += seq;
    }
    return sum;
}

/* Returns the keys of all pairs of 'epoch', sorted, each once, in an array
 * that the caller must free, and their number in '*n'. */
static uint64_t *
pair_keys(uint32_t epoch, size_t *n)
    OVS_REQUIRES(vmlat_shards_mutex)
{
    struct vmlat_shard *shard;
    size_t allocated = 0, n_keys = 0, n_unique = 0;
    uint64_t *keys = NULL;

    LIST_FOR_EACH (shard, node, &all_shards) {
        uint32_t shard_n;

        atomic_read_relaxed(&shard->n_pairs, &shard_n);
        for (size_t i = 0; shard_n && i < VMLAT_PAIR_TABLE; i++) {
            struct vmlat_pair *pair;
            uint32_t own;

            atomic_read_explicit(&shard->table[i], &pair,
                                 memory_order_acquire);
            if (!pair) {
                continue;
            }
            atomic_read_relaxed(&pair->hist.epoch, &own);
            if (own == epoch) {
                if (n_keys >= allocated) {
                    keys = x2nrealloc(keys, &allocated, sizeof *keys);
                }
                keys[n_keys++] = pair->key;
            }
        }
    }
    if (n_keys) {
        qsort(keys, n_keys, sizeof *keys, compare_keys);
        for (size_t i = 0; i < n_keys; i++) {
            if (!i || keys[i] != keys[i - 1]) {
                keys[n_unique++] = keys[i];
            }
        }
    }
    *n = n_unique;
    return keys;
}

void
vmlat_pairs_read(vmlat_pair_cb *cb, void *aux)
{
    struct vmlat_snapshot *snapshot = xmalloc(sizeof *snapshot);
    uint32_t epoch = vmlat_epoch_get();
    struct vmlat_shard *shard;
    uint64_t *keys = NULL;
    uint64_t seq;
    size_t n;

    ovs_mutex_lock(&vmlat_shards_mutex);
    do {
        free(keys);
        seq = tables_seq();
        keys = pair_keys(epoch, &n);
        atomic_thread_fence(memory_order_acquire);
    } while (tables_seq() != seq);

    for (size_t i = 0; i < n; i++) {
        uint16_t in = keys[i];
        uint16_t out = keys[i] >> 16;

        do {
            seq = tables_seq();
            vmlat_snapshot_init(snapshot);
            LIST_FOR_EACH (shard, node, &all_shards) {
                const struct vmlat_pair *pair
                    = pair_find(shard, keys[i], NULL);

                if (pair) {
                    vmlat_histogram_merge(snapshot, &pair->hist, epoch);
                }
            }
            atomic_thread_fence(memory_order_acquire);
        } while (tables_seq() != seq);
        if (snapshot->count && vmlat_port_from_slot(in)) {
            cb(vmlat_port_from_slot(in), vmlat_port_from_slot(out),
               keys[i] >> 32, snapshot, aux);
        }
    }
    ovs_mutex_unlock(&vmlat_shards_mutex);
    free(keys);
    free(snapshot);
    vmlat_kernel_pairs_read(cb, aux);
}

void
vmlat_rxq_gap_read(const struct vmlat_rxq *rxq,
                   struct vmlat_snapshot *snapshot)
{
    vmlat_histogram_merge(snapshot, &rxq->gap, vmlat_epoch_get());
}

static int
compare_events(const void *a_, const void *b_)
{
    const struct vmlat_event *a = a_;
    const struct vmlat_event *b = b_;

    return a->tx_ticks > b->tx_ticks ? -1 : a->tx_ticks < b->tx_ticks;
}

struct vmlat_event *
vmlat_events_read(size_t *n, uint64_t *n_lost)
{
    uint32_t epoch = vmlat_epoch_get();
    struct vmlat_event *events;
    struct vmlat_shard *shard;

    *n = *n_lost = 0;
    ovs_mutex_lock(&vmlat_shards_mutex);
    events = xmalloc(ovs_list_size(&all_shards) * VMLAT_EVENT_RING
                     * sizeof *events + 1);
    LIST_FOR_EACH (shard, node, &all_shards) {
        *n += vmlat_event_ring_read(shard->events, epoch, &events[*n],
                                    n_lost);
    }
    ovs_mutex_unlock(&vmlat_shards_mutex);
    qsort(events, *n, sizeof *events, compare_events);
    return events;
}
