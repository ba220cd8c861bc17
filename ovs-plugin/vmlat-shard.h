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

#ifndef VMLAT_SHARD_H
#define VMLAT_SHARD_H 1

/* What each thread has measured, and how it is read.
 *
 * Every thread that handles packets has a shard.  Only that thread writes to
 * it; any thread may read it at any time.  There is no lock and no atomic
 * read-modify-write between them.
 *
 * Clearing
 * ========
 *
 * Counts belong to an epoch.  Clearing is a new epoch: from then on readers
 * disregard what belongs to another one, and the owner of a count empties it
 * when it next comes to write there.
 *
 * Adding up
 * =========
 *
 * A reader takes the fates of all the shards first and what entered last.  A
 * packet's fate is never counted before it has entered, so fates never exceed
 * what entered, and the difference is what is inside. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "openvswitch/list.h"
#include "openvswitch/thread.h"
#include "ovs-atomic.h"
#include "ovs-thread.h"
#include "vmlat-event.h"
#include "vmlat-histogram.h"
#include "vmlat-port.h"
#include "vmlat-tables.h"

struct dp_packet;
struct vmlat_filter;

/* Adds 'n' to a counter that only the calling thread writes. */
static inline void
vmlat_counter_add(atomic_uint64_t *counter, uint64_t n)
{
    uint64_t value;

    atomic_read_relaxed(counter, &value);
    atomic_store_relaxed(counter, value + n);
}

static inline uint64_t
vmlat_counter_get(const atomic_uint64_t *counter)
{
    uint64_t value;

    atomic_read_relaxed(CONST_CAST(atomic_uint64_t *, counter), &value);
    return value;
}

/* Global state. */

/* Bits of 'vmlat_active'. */
#define VMLAT_RX     (1u << 0)  /* Stamp packets that enter. */
#define VMLAT_TX     (1u << 1)  /* Measure packets that leave. */
#define VMLAT_FILTER (1u << 2)  /* There is a packet filter. */
#define VMLAT_EVENTS (1u << 3)  /* Keep packets above 'vmlat_min_ns'. */
#define VMLAT_RECORD (1u << 4)  /* Queue all packets for vmlat/record. */

/* What the data path does.  Read once per burst. */
extern atomic_uint32_t vmlat_active;

/* The present epoch and run.  Each vmlat/clear makes a new epoch, each
 * vmlat/start a new run.  Neither is ever 0. */
extern atomic_uint32_t vmlat_epoch;
extern atomic_uint32_t vmlat_run;

static inline uint32_t
vmlat_active_get(void)
{
    uint32_t active;

    /* Acquire, since what a port needs for being measured is set up first. */
    atomic_read_explicit(&vmlat_active, &active, memory_order_acquire);
    return active;
}

static inline uint32_t
vmlat_epoch_get(void)
{
    uint32_t epoch;

    atomic_read_relaxed(&vmlat_epoch, &epoch);
    return epoch;
}

static inline uint32_t
vmlat_run_get(void)
{
    uint32_t run;

    atomic_read_relaxed(&vmlat_run, &run);
    return run;
}

/* What a thread has counted for one port. */
struct vmlat_port_stats {
    atomic_uint32_t seq;            /* Odd: being emptied. */
    atomic_uint32_t epoch;

    /* As the port that packets entered by: [0] for packets as they came in,
     * [1] for copies made of them. */
    atomic_uint64_t fates[2][VMLAT_N_FATES];
    atomic_uint64_t late;           /* Entered, counted when they left. */
    atomic_uint64_t copies;         /* Copies made. */

    /* As the port that packets leave by. */
    atomic_uint64_t tx_bursts[VMLAT_MAX_BURST + 1]; /* By packets offered. */
    atomic_uint64_t tx_retries;     /* Further calls for the same burst. */
    atomic_uint64_t tx_failures;    /* Bursts not taken whole. */
    atomic_uint64_t tx_refused;     /* Packets. */
};

/* One histogram of a shard. */
struct vmlat_pair {
    uint64_t key;                   /* vmlat_pair_key(). */
    struct vmlat_histogram hist;
};

static inline uint64_t
vmlat_pair_key(uint16_t in, uint16_t out, enum vmlat_segment segment)
{
    return ((uint64_t) segment << 32) | ((uint64_t) out << 16) | in;
}

#define VMLAT_PAIR_TABLE 16384      /* Slots of a shard's pair table. */
#define VMLAT_MAX_PAIRS  8192       /* So that it never gets full. */

struct pmd_perf_stats;
struct vmlat_event_ring;
struct vmlat_event_queue;
struct vmlat_virt_maps;
struct vmlat_vring_link;

/* One in so many bursts is timed to know the module's own cost. */
#define VMLAT_COST_SAMPLE 256

/* Ticks that a burst cannot take unless the thread is interrupted. */
#define VMLAT_COST_MAX 20000

/* Packets of one burst that have their stamp in common. */
struct vmlat_tx_run {
    uint64_t ticks;
    uint64_t tag;
    uint32_t n;
};

/* The last burst that a thread received, if its packets have all of their
 * stamp in common.  When the same packets leave in the same order, as they
 * mostly do, their stamps need not be looked at. */
struct vmlat_burst {
    uint32_t n;                     /* 0 if their stamps may differ. */
    uint32_t pos;                   /* Packets that have left. */
    uint64_t ticks;
    uint64_t tag;
    const void *packets[VMLAT_MAX_BURST];
};

/* A netdev_send() in progress. */
struct vmlat_tx {
    bool active;
    bool ring_seen;                 /* A ring or driver was called. */
    bool rescanned;                 /* 'runs' is of what it was offered. */
    bool is_copied;                 /* OVS copies the packets for the ring. */
    uint32_t n;                     /* Packets given to netdev_send(). */
    uint32_t offered;               /* Packets offered to the ring. */
    uint32_t accepted;              /* Packets the ring took. */
    uint32_t calls;                 /* Calls of the ring. */
    uint32_t n_runs;
    uint64_t ticks;                 /* When the ring took the last ones. */
    uint32_t virt_row;              /* That of the port. */
    uint64_t signal_ticks;          /* When the guest was about to be told of
                                     * what is in its ring, 0: was not. */
    bool keep_all;                  /* Headers, whatever the time. */
    struct dp_packet **packets;     /* Of a vhost-user port: still there when
                                     * the ring has taken them.  Else NULL. */
    struct vmlat_tx_run runs[VMLAT_MAX_BURST];

    /* If 'keep_all': how the guest was signalled, by place among the packets
     * that the ring took, for the first 'n_signals' of them. */
    uint32_t n_signals;
    struct vmlat_event_signal signals[VMLAT_MAX_BURST];

    /* Headers of packets that may become events, by place in the batch, if
     * 'kept'; size 0 for the others. */
    bool kept;
    struct vmlat_event kept_events[VMLAT_MAX_BURST];
};

struct vmlat_cache_entry {
    const void *key;
    void *value;
};
#define VMLAT_CACHE_SIZE 256

struct vmlat_shard {
    /* Used by the owner only. */
    struct vmlat_burst burst;
    struct vmlat_tx tx;
    struct pmd_perf_stats *perf;    /* If it is a PMD thread. */
    int rx_taken;                   /* What the ring gave.  In a receive, -1
                                     * if it has not been called. */
    int generating;                 /* Inside dpif_execute(), if > 0. */
    unsigned int sample;            /* Counts bursts: see 'cost_ticks'. */
    uint32_t cache_change;
    struct vmlat_cache_entry cache[VMLAT_CACHE_SIZE];
    struct vmlat_pair *last_pair;
    struct vmlat_pair *recycled[VMLAT_MAX_PAIRS]; /* Unused ones again. */
    uint32_t n_recycled;
    uint32_t recycle_epoch;         /* When they were last looked for. */

    /* Written by the owner, read by any. */
    OVS_ALIGNED_VAR(CACHE_LINE_SIZE)
    ATOMIC(struct vmlat_port_stats *) ports[VMLAT_MAX_PORTS];
    ATOMIC(struct vmlat_pair *) table[VMLAT_PAIR_TABLE];
    atomic_uint32_t n_pairs;
    atomic_uint32_t table_seq;      /* Odd: 'table' is being made anew. */
    struct vmlat_event_ring *events;
    ATOMIC(struct vmlat_event_queue *) queue; /* NULL: not recording. */
    ATOMIC(struct vmlat_vring_link *) vring;  /* NULL: signals to guests are
                                               * not followed. */

    /* What the module itself takes, sampled: one in VMLAT_COST_SAMPLE bursts
     * is timed. */
    atomic_uint64_t cost_ticks;
    atomic_uint64_t cost_packets;
    atomic_uint64_t cost_interrupted;

    /* Unused pairs.  The main thread puts them at 'spare_head', the owner
     * takes them from 'spare_tail'. */
#define VMLAT_N_SPARES 1024
    OVS_ALIGNED_VAR(CACHE_LINE_SIZE) atomic_uint32_t spare_tail;
    OVS_ALIGNED_VAR(CACHE_LINE_SIZE) atomic_uint32_t spare_head;
    struct vmlat_pair *spares[VMLAT_N_SPARES];

    /* Protected by vmlat_shards_mutex. */
    struct ovs_list node;
    bool in_use;                    /* Has a thread. */
    uint32_t tid;                   /* Of the thread. */
    char name[32];                  /* Of the thread. */
};

/* The calling thread's shard, NULL until vmlat_shard_get() has been called. */
DECLARE_EXTERN_PER_THREAD_DATA(struct vmlat_shard *, vmlat_shard_ptr);

/* Returns the calling thread's shard.  Allocates it the first time that a
 * thread calls, wait-free afterward. */
struct vmlat_shard *vmlat_shard_create(void);

static inline struct vmlat_shard *
vmlat_shard_get(void)
{
    struct vmlat_shard *shard = *vmlat_shard_ptr_get();

    return OVS_LIKELY(shard) ? shard : vmlat_shard_create();
}

/* Makes 'shard's counts of 'slot' belong to 'epoch' and returns them.  Called
 * by the owner of 'shard' only; the slot must have, or have had, a port. */
void vmlat_port_stats_empty(struct vmlat_port_stats *, uint32_t epoch);

/* The same for the counts of a receive queue; called by its poller. */
void vmlat_rxq_empty(struct vmlat_rxq *, uint32_t epoch);

static inline struct vmlat_port_stats *
vmlat_shard_port(struct vmlat_shard *shard, uint16_t slot, uint32_t epoch)
{
    struct vmlat_port_stats *ps;
    uint32_t ps_epoch;

    atomic_read_relaxed(&shard->ports[slot], &ps);
    atomic_read_relaxed(&ps->epoch, &ps_epoch);
    if (OVS_UNLIKELY(ps_epoch != epoch)) {
        vmlat_port_stats_empty(ps, epoch);
    }
    return ps;
}

/* Returns 'shard's histogram for 'key', NULL if there is no room for one.
 * Called by the owner of 'shard' only. */
struct vmlat_histogram *vmlat_shard_pair(struct vmlat_shard *, uint64_t key,
                                         uint32_t epoch);

/* Gives every shard counters for 'slot'.  Called when a port takes the
 * slot, before any thread can use it. */
void vmlat_shards_add_port(uint16_t slot);

/* Replenishes the shards' spare pairs up to the limit of 'max_pairs'
 * histograms in all.  Main thread. */
void vmlat_shards_replenish(unsigned int max_pairs);

/* From now on threads share 'maps' with the programs that follow signals to
 * guests; NULL: with none.  'gen' is that of vmlat_port's 'virt_row'.  The
 * caller keeps maps that were given before until an RCU grace period later. */
void vmlat_shards_set_vring(const struct vmlat_virt_maps *maps, uint16_t gen);

/* Gives every shard a queue for vmlat/record, those that are made later as
 * well, or takes them away again.  Main thread. */
void vmlat_shards_queues_create(void);
void vmlat_shards_queues_destroy(void);

/* Returns the queues in an array that the caller must free, their number in
 * '*n'.  They stay until vmlat_shards_queues_destroy().  Any thread. */
struct vmlat_event_queue **vmlat_shards_queues(size_t *n);

/* What the module's own code took in the bursts that were timed, since the
 * start of the daemon. */
struct vmlat_cost {
    uint64_t ticks;
    uint64_t packets;           /* Counted where they enter and again where
                                 * they leave. */
    uint64_t interrupted;       /* Bursts that are not in these: a thread that
                                 * takes this long was not running. */
};
void vmlat_shards_cost(struct vmlat_cost *);

/* Bytes of memory that the shards hold. */
size_t vmlat_shards_memory(void);

/* Histograms in use, in all shards. */
unsigned int vmlat_shards_n_pairs(void);

/* Reading.  All of these may be called by any thread that holds
 * vmlat_ports_mutex; they never hold up the threads that measure.  (The mutex
 * keeps ports from going away, the data path never takes it.) */

/* What entered at a port, and its fates.  Adds up:
 *
 *     rx_packets == sum of fates[0]
 *     copies     == sum of fates[1]
 *
 * with slot 0 standing for the packets that entered at no known port. */
struct vmlat_account {
    uint64_t rx_packets;
    uint64_t copies;
    uint64_t fates[2][VMLAT_N_FATES];
};

/* Fills 'accounts', an array of VMLAT_MAX_PORTS indexed by slot. */
void vmlat_accounts_read(struct vmlat_account *accounts)
    OVS_REQUIRES(vmlat_ports_mutex);

/* What a port did in bursts. */
struct vmlat_bursts {
    uint64_t rx[VMLAT_MAX_BURST + 1];   /* Polls, by packets they gave. */
    uint64_t tx[VMLAT_MAX_BURST + 1];   /* Sends, by packets offered. */
    uint64_t tx_retries;
    uint64_t tx_failures;
    uint64_t tx_refused;
};

void vmlat_bursts_read(const struct vmlat_port *, struct vmlat_bursts *)
    OVS_REQUIRES(vmlat_ports_mutex);

/* Writes the packets inside off as VMLAT_FATE_AFTER_STOP.  Only while nothing
 * is measured. */
void vmlat_accounts_write_off(void) OVS_REQUIRES(vmlat_ports_mutex);
void vmlat_accounts_forget_written_off(void) OVS_REQUIRES(vmlat_ports_mutex);

/* True between the end of a vmlat/stop and the next vmlat/start: what is
 * inside then is VMLAT_FATE_AFTER_STOP. */
extern bool vmlat_accounts_stopped;

/* Calls 'cb' once for each in-port, out-port and segment that has samples,
 * sorted by the key, with what all threads measured, and then the same of the
 * kernel's datapaths, whose ports are others.  'out' is NULL for
 * VMLAT_SEG_UPCALL.  VMLAT_SEG_POLL_GAP is not included: see
 * vmlat_rxq_gap_read(). */
typedef void vmlat_pair_cb(const struct vmlat_port *in,
                           const struct vmlat_port *out,
                           enum vmlat_segment, const struct vmlat_snapshot *,
                           void *aux);
void vmlat_pairs_read(vmlat_pair_cb *, void *aux)
    OVS_REQUIRES(vmlat_ports_mutex);

/* Adds the poll gaps of 'rxq' to 'snapshot'. */
void vmlat_rxq_gap_read(const struct vmlat_rxq *, struct vmlat_snapshot *)
    OVS_REQUIRES(vmlat_ports_mutex);

#endif /* vmlat-shard.h */
