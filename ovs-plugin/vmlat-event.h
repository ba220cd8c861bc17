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

#ifndef VMLAT_EVENT_H
#define VMLAT_EVENT_H 1

/* The last packets that took longer than a threshold.
 *
 * Each thread has a ring of its own: the owner overwrites the oldest, readers
 * copy records out and disregard the ones that were overwritten meanwhile.
 * Headers are kept as bytes and parsed when somebody looks. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ovs-atomic.h"
#include "vmlat-port.h"

struct vmlat_shard;

#define VMLAT_EVENT_BYTES 128       /* Of the packet, at most. */
#define VMLAT_EVENT_RING  256       /* Records per thread. */

/* Of a packet that vmlat/record wants: how the guest was signalled for it, if
 * it went into the ring of a vhost-user port that programs follow. */
struct vmlat_event_signal {
    bool is_vm;                     /* It did, and is that port's. */
    bool shared;                    /* The signal was for several packets. */
    uint16_t vring;                 /* As in struct vmlat_record. */
    uint16_t thread;                /* With 'serial': see
                                     * vmlat_vring_result(). */
    uint32_t serial;                /* 0: there was no signal. */
};

struct vmlat_event {
    uint64_t rx_ticks;              /* When it was polled. */
    uint64_t tx_ticks;              /* When it was taken by the far ring. */
    uint16_t in;                    /* Slot of the port it entered by. */
    uint16_t out;                   /* Slot of the port it left by. */
    uint16_t rxq;                   /* Receive queue of 'in'. */
    uint8_t place;                  /* Place in its receive burst, from 0. */
    bool upcall;                    /* Took an upcall. */
    bool copy;                      /* Is a copy (flood, mirror). */
    int16_t core;                   /* CPU, or -1. */
    uint16_t size;                  /* Bytes in 'bytes', 0 if not kept. */
    uint32_t length;                /* Of the packet. */
    struct vmlat_event_signal signal;
    uint8_t bytes[VMLAT_EVENT_BYTES];
};

/* Threshold in ns.  Only above it is a packet an event. */
extern atomic_uint64_t vmlat_min_ns;

struct vmlat_event_ring *vmlat_event_ring_create(void);

/* Adds 'event', which belongs to 'epoch'.  Called by the owner only. */
void vmlat_event_ring_add(struct vmlat_event_ring *,
                          const struct vmlat_event *event, uint32_t epoch);

/* Copies the events of 'epoch' in 'ring' into 'events', which has room for
 * VMLAT_EVENT_RING.  Returns their number and adds the number of those that
 * have been overwritten to '*n_lost'.  Any thread. */
size_t vmlat_event_ring_read(const struct vmlat_event_ring *, uint32_t epoch,
                             struct vmlat_event *events, uint64_t *n_lost);

/* Events on their way from the thread that adds them to another one, for
 * vmlat/record.  When it is full, further ones are lost. */
#define VMLAT_EVENT_QUEUE 16384     /* Events. */
struct vmlat_event_queue;

struct vmlat_event_queue *vmlat_event_queue_create(void);
size_t vmlat_event_queue_memory(void);

/* Frees it when no thread that handles packets can be using it any more. */
void vmlat_event_queue_destroy(struct vmlat_event_queue *);

/* Adds 'event'.  One thread at a time. */
void vmlat_event_queue_put(struct vmlat_event_queue *,
                           const struct vmlat_event *event);

/* Moves the oldest event to '*event'; false if there is none.  One thread at a
 * time. */
bool vmlat_event_queue_get(struct vmlat_event_queue *,
                           struct vmlat_event *event);

/* Number of events that did not find room so far.  Any thread. */
uint64_t vmlat_event_queue_n_lost(const struct vmlat_event_queue *);

/* Returns the events of all threads, newest first, in an array that the caller
 * must free, their number in '*n' and the number of those that have been
 * overwritten since the last clear in '*n_lost'. */
struct vmlat_event *vmlat_events_read(size_t *n, uint64_t *n_lost)
    OVS_REQUIRES(vmlat_ports_mutex);

#endif /* vmlat-event.h */
