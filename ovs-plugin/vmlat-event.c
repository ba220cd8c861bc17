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
#include "vmlat-event.h"

#include <string.h>

#include "ovs-rcu.h"
#include "util.h"
#include "vmlat-shard.h"

atomic_uint64_t vmlat_min_ns;

struct vmlat_event_slot {
    atomic_uint32_t seq;            /* Odd: being written. */
    uint32_t epoch;
    struct vmlat_event event;
};

struct vmlat_event_ring {
    atomic_uint64_t n;              /* Events of 'epoch' so far. */
    atomic_uint32_t epoch;
    struct vmlat_event_slot slots[VMLAT_EVENT_RING];
};

struct vmlat_event_ring *
vmlat_event_ring_create(void)
{
    return xzalloc_cacheline(sizeof(struct vmlat_event_ring));
}

void
vmlat_event_ring_add(struct vmlat_event_ring *ring,
                     const struct vmlat_event *event, uint32_t epoch)
{
    struct vmlat_event_slot *slot;
    uint32_t own, seq;
    uint64_t n;

    atomic_read_relaxed(&ring->epoch, &own);
    atomic_read_relaxed(&ring->n, &n);
    if (own != epoch) {
        n = 0;
        atomic_store_relaxed(&ring->n, n);
        atomic_store_explicit(&ring->epoch, epoch, memory_order_release);
    }

    slot = &ring->slots[n % VMLAT_EVENT_RING];
    atomic_read_relaxed(&slot->seq, &seq);
    atomic_store_relaxed(&slot->seq, seq + 1);
    atomic_thread_fence(memory_order_release);
    slot->epoch = epoch;
    slot->event = *event;
    atomic_store_explicit(&slot->seq, seq + 2, memory_order_release);
    atomic_store_explicit(&ring->n, n + 1, memory_order_release);
}

size_t
vmlat_event_ring_read(const struct vmlat_event_ring *ring_, uint32_t epoch,
                      struct vmlat_event *events, uint64_t *n_lost)
{
    struct vmlat_event_ring *ring = CONST_CAST(struct vmlat_event_ring *,
                                               ring_);
    size_t n_events = 0;
    uint32_t own;
    uint64_t n;

    atomic_read_explicit(&ring->epoch, &own, memory_order_acquire);
    if (own != epoch) {
        return 0;
    }
    atomic_read_explicit(&ring->n, &n, memory_order_acquire);
    for (size_t i = 0; i < MIN(n, VMLAT_EVENT_RING); i++) {
        const struct vmlat_event_slot *slot = &ring->slots[i];
        uint32_t before, after, slot_epoch;

        atomic_read_explicit(CONST_CAST(atomic_uint32_t *, &slot->seq),
                             &before, memory_order_acquire);
        events[n_events] = slot->event;
        slot_epoch = slot->epoch;
        atomic_thread_fence(memory_order_acquire);
        atomic_read_relaxed(CONST_CAST(atomic_uint32_t *, &slot->seq),
                            &after);
        if (before == after && !(before & 1) && slot_epoch == epoch) {
            n_events++;
        }
    }
    *n_lost += n > n_events ? n - n_events : 0;
    return n_events;
}

/* Queues. */

struct vmlat_event_queue {
    /* Written by the thread that puts. */
    OVS_ALIGNED_VAR(CACHE_LINE_SIZE) atomic_uint64_t n_put;
    atomic_uint64_t n_lost;
    uint64_t n_got_seen;            /* A reading of 'n_got'. */

    /* Written by the thread that gets. */
    OVS_ALIGNED_VAR(CACHE_LINE_SIZE) atomic_uint64_t n_got;

    OVS_ALIGNED_VAR(CACHE_LINE_SIZE)
    struct vmlat_event events[VMLAT_EVENT_QUEUE];
};

struct vmlat_event_queue *
vmlat_event_queue_create(void)
{
    return xzalloc_cacheline(sizeof(struct vmlat_event_queue));
}

static void
queue_free(struct vmlat_event_queue *queue)
{
    free_cacheline(queue);
}

void
vmlat_event_queue_destroy(struct vmlat_event_queue *queue)
{
    ovsrcu_postpone(queue_free, queue);
}

size_t
vmlat_event_queue_memory(void)
{
    return sizeof(struct vmlat_event_queue);
}

void
vmlat_event_queue_put(struct vmlat_event_queue *queue,
                      const struct vmlat_event *event)
{
    struct vmlat_event *e;
    uint64_t n_put;

    atomic_read_relaxed(&queue->n_put, &n_put);
    if (n_put - queue->n_got_seen >= VMLAT_EVENT_QUEUE) {
        atomic_read_explicit(&queue->n_got, &queue->n_got_seen,
                             memory_order_acquire);
        if (n_put - queue->n_got_seen >= VMLAT_EVENT_QUEUE) {
            vmlat_counter_add(&queue->n_lost, 1);
            return;
        }
    }

    /* What is not in use of 'bytes' need not be copied. */
    e = &queue->events[n_put % VMLAT_EVENT_QUEUE];
    memcpy(e, event, offsetof(struct vmlat_event, bytes) + event->size);
    atomic_store_explicit(&queue->n_put, n_put + 1, memory_order_release);
}

bool
vmlat_event_queue_get(struct vmlat_event_queue *queue,
                      struct vmlat_event *event)
{
    const struct vmlat_event *e;
    uint64_t n_put, n_got;

    atomic_read_explicit(&queue->n_put, &n_put, memory_order_acquire);
    atomic_read_relaxed(&queue->n_got, &n_got);
    if (n_put == n_got) {
        return false;
    }
    e = &queue->events[n_got % VMLAT_EVENT_QUEUE];
    memcpy(event, e, offsetof(struct vmlat_event, bytes) + e->size);
    atomic_store_explicit(&queue->n_got, n_got + 1, memory_order_release);
    return true;
}

uint64_t
vmlat_event_queue_n_lost(const struct vmlat_event_queue *queue)
{
    return vmlat_counter_get(&queue->n_lost);
}
