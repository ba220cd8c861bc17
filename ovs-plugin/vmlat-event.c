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

#include "util.h"

atomic_uint64_t vmlat_min_ns;

struct vmlat_record {
    atomic_uint32_t seq;            /* Odd: being written. */
    uint32_t epoch;
    struct vmlat_event event;
};

struct vmlat_event_ring {
    atomic_uint64_t n;              /* Events of 'epoch' so far. */
    atomic_uint32_t epoch;
    struct vmlat_record records[VMLAT_EVENT_RING];
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
    struct vmlat_record *record;
    uint32_t own, seq;
    uint64_t n;

    atomic_read_relaxed(&ring->epoch, &own);
    atomic_read_relaxed(&ring->n, &n);
    if (own != epoch) {
        n = 0;
        atomic_store_relaxed(&ring->n, n);
        atomic_store_explicit(&ring->epoch, epoch, memory_order_release);
    }

    record = &ring->records[n % VMLAT_EVENT_RING];
    atomic_read_relaxed(&record->seq, &seq);
    atomic_store_relaxed(&record->seq, seq + 1);
    atomic_thread_fence(memory_order_release);
    record->epoch = epoch;
    record->event = *event;
    atomic_store_explicit(&record->seq, seq + 2, memory_order_release);
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
        const struct vmlat_record *record = &ring->records[i];
        uint32_t before, after, record_epoch;

        atomic_read_explicit(CONST_CAST(atomic_uint32_t *, &record->seq),
                             &before, memory_order_acquire);
        events[n_events] = record->event;
        record_epoch = record->epoch;
        atomic_thread_fence(memory_order_acquire);
        atomic_read_relaxed(CONST_CAST(atomic_uint32_t *, &record->seq),
                            &after);
        if (before == after && !(before & 1) && record_epoch == epoch) {
            n_events++;
        }
    }
    *n_lost += n > n_events ? n - n_events : 0;
    return n_events;
}
