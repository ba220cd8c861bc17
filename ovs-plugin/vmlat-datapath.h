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

#ifndef VMLAT_DATAPATH_H
#define VMLAT_DATAPATH_H 1

/* The way of a packet through a userspace datapath.
 *
 * Where it enters, a packet gets a stamp in its mbuf: the time, and who it is.
 * Where it leaves, the stamp is looked at before the packet is given away, and
 * the time is taken after it has been accepted.  In between the stamp travels
 * with the packet, and with its copies.
 *
 * These functions are called from the wrappers, on any thread that handles
 * packets. */

#include <stdbool.h>
#include <stdint.h>

#include "dpif.h"
#include "vmlat-clock.h"
#include "vmlat-shard.h"

struct dp_packet;
struct dp_packet_batch;
struct netdev;
struct netdev_rxq;

/* NULL if packets have room for a stamp, otherwise why not. */
const char *vmlat_datapath_why_not(void);

/* The calling thread is a PMD that keeps its clock in 's', as long as it
 * lives: it reads the time before each netdev_rxq_recv() and netdev_send()
 * anyway. */
static inline void
vmlat_datapath_set_perf(struct pmd_perf_stats *s)
{
    struct vmlat_shard *shard = *vmlat_shard_ptr_get();

    if (shard) {
        shard->perf = s;
    }
}

typedef int vmlat_recv_func(struct netdev_rxq *, struct dp_packet_batch *,
                            int *qfill);
typedef int vmlat_send_func(struct netdev *, int qid,
                            struct dp_packet_batch *, bool concurrent_txq);

/* Do what 'recv' or 'send' does, and measure.  'active' is a reading of
 * 'vmlat_active'. */
int vmlat_datapath_recv(struct netdev_rxq *, struct dp_packet_batch *,
                        int *qfill, vmlat_recv_func *recv, uint32_t active);
int vmlat_datapath_send(struct netdev *, int qid, struct dp_packet_batch *,
                        bool concurrent_txq, vmlat_send_func *send,
                        uint32_t active);

/* 'packet' is about to be freed. */
void vmlat_datapath_freeing(struct dp_packet *packet);

/* 'clone' is a new copy of 'packet'. */
void vmlat_datapath_cloned(const struct dp_packet *packet,
                           struct dp_packet *clone);

/* Returns the calling thread's shard if it is in a measured netdev_rxq_recv()
 * and no ring has answered yet, otherwise NULL. */
static inline struct vmlat_shard *
vmlat_datapath_receiving(void)
{
    struct vmlat_shard *shard = *vmlat_shard_ptr_get();

    return shard && shard->rx_taken < 0 ? shard : NULL;
}

/* Returns the calling thread's shard if it is in a measured netdev_send(),
 * otherwise NULL. */
static inline struct vmlat_shard *
vmlat_datapath_sending(void)
{
    struct vmlat_shard *shard = *vmlat_shard_ptr_get();

    return shard && shard->tx.active ? shard : NULL;
}

/* The port has dropped some packets, 'n' are left at 'packets'. */
void vmlat_datapath_rescan(struct vmlat_shard *, struct dp_packet **packets,
                           unsigned int n);

/* The ring that the netdev_send() in progress goes to is about to be offered
 * 'packets'. */
static inline void
vmlat_datapath_offer(struct vmlat_shard *shard, struct dp_packet **packets,
                     unsigned int n)
{
    struct vmlat_tx *tx = &shard->tx;

    if (!tx->ring_seen) {
        tx->ring_seen = true;
        tx->offered = n;
        if (OVS_UNLIKELY(n != tx->n && n <= VMLAT_MAX_BURST)) {
            vmlat_datapath_rescan(shard, packets, n);
        }
    }
    tx->calls++;
    tx->signal_ticks = 0;
}

/* A guest is about to be signalled, if 'shard' is not NULL by the ring that
 * has been offered packets: they are in it now. */
static inline void
vmlat_datapath_signalling(struct vmlat_shard *shard)
{
    if (shard) {
        shard->tx.signal_ticks = vmlat_clock_now();
    }
}

/* Keeps the headers of packets that have become events. */
void vmlat_datapath_keep(struct vmlat_shard *);

/* The ring has taken the first 'n' packets of those offered last. */
static inline void
vmlat_datapath_taken(struct vmlat_shard *shard, unsigned int n)
{
    struct vmlat_tx *tx = &shard->tx;

    tx->accepted += n;
    /* A guest that has been signalled goes on with the packets before this
     * thread comes back from the system call. */
    tx->ticks = (OVS_UNLIKELY(tx->signal_ticks)
                 ? tx->signal_ticks : vmlat_clock_now());
    if (tx->packets) {
        vmlat_datapath_keep(shard);
    }
}

/* Packets sent between these were made by OVS.  They nest. */
void vmlat_datapath_execute_begin(void);
void vmlat_datapath_execute_end(void);

/* Upcalls: returns what to register instead of 'cb' and '*auxp' with a
 * datapath, and changes '*auxp'. */
upcall_callback *vmlat_datapath_wrap_upcall(upcall_callback *cb, void **auxp);

/* Replaces the filter of packets that enter.  'filter' may be NULL. */
struct vmlat_filter;
void vmlat_datapath_set_filter(const struct vmlat_filter *filter);

#endif /* vmlat-datapath.h */
