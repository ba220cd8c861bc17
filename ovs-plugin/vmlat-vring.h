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

#ifndef VMLAT_VRING_H
#define VMLAT_VRING_H 1

/* Packets that OVS puts into the ring of a VM with vhost-user, and what comes
 * of the signals for them.
 *
 * The thread that puts them there tells the BPF programs that follow signals
 * (see vmlat-virt-abi.h), and counts: in the rows of the programs' maps,
 * beside what these count for taps. */

#include <stdbool.h>
#include <stdint.h>

#include "openvswitch/compiler.h"
#include "ovs-atomic.h"
#include "vmlat-shard.h"

struct vmlat_event_signal;
struct vmlat_virt_maps;
struct vmlat_virt_signal;

/* A call of DPDK's that puts packets into a ring. */
struct vmlat_vring {
    struct vmlat_vring_link *link;      /* NULL: nobody follows it. */
    struct vmlat_virt_signal *signal;   /* NULL: no room. */
    uint64_t ticks;                     /* When it began. */
    uint16_t depth;                     /* As 'vring' of a record. */
};

/* Makes what a thread shares with the programs that have 'maps', for the
 * thread 'tid'.  'gen' is that of vmlat_port's 'virt_row'.  The caller
 * destroys it before the maps go: either the thread itself does, or somebody
 * else, after an RCU grace period. */
struct vmlat_vring_link *vmlat_vring_link_create(
    const struct vmlat_virt_maps *maps, uint16_t gen, uint32_t tid);
void vmlat_vring_link_destroy(struct vmlat_vring_link *);
void vmlat_vring_link_destroy_later(struct vmlat_vring_link *);

/* Counts what has come of signals since the threads looked for that last.  Any
 * thread. */
void vmlat_vring_collect(const struct vmlat_virt_maps *);

/* For vmlat/record, which has its own thread. */

/* What vmlat_vring_collect_all() is to look at from now on; NULL: nothing. */
void vmlat_vring_set_maps(const struct vmlat_virt_maps *);

/* As vmlat_vring_collect(), for the maps that were set last. */
void vmlat_vring_collect_all(void);

/* Stores in '*signal' what has come of the signal of an event so far.  Returns
 * false if that is not known: not yet, or, if '*gone', not any more.  What is
 * known is complete if its state has VMLAT_SIGNAL_DONE. */
bool vmlat_vring_result(const struct vmlat_event_signal *event,
                        struct vmlat_virt_signal *signal, bool *gone);

/* Returns true if the programs see what the calling thread does, as they do
 * not if the kernel knows it by another number than the thread itself does.
 * Takes system calls. */
bool vmlat_vring_is_seen(const struct vmlat_virt_maps *);

/* Called from the wrappers, on any thread that handles packets. */

void vmlat_vring_begin__(struct vmlat_vring *, struct vmlat_shard *, int vid,
                         uint16_t queue_id);
void vmlat_vring_end__(struct vmlat_vring *, struct vmlat_shard *,
                       uint16_t n);

/* Packets are about to be put into ring 'queue_id' of 'vid'. */
static inline void
vmlat_vring_begin(struct vmlat_vring *vring, struct vmlat_shard *shard,
                  int vid, uint16_t queue_id)
{
    vring->link = NULL;
    if (OVS_UNLIKELY(shard->tx.virt_row)) {
        vmlat_vring_begin__(vring, shard, vid, queue_id);
    }
}

/* The ring has taken 'n' packets, and the guest has been signalled if DPDK
 * wanted to. */
static inline void
vmlat_vring_end(struct vmlat_vring *vring, struct vmlat_shard *shard,
                uint16_t n)
{
    if (OVS_UNLIKELY(vring->link != NULL)) {
        vmlat_vring_end__(vring, shard, n);
    }
}

#endif /* vmlat-vring.h */
