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

/* The last packets that took long between a port and its VM.
 *
 * The programs follow all packets, whatever the filter of vmlat/start: it is
 * applied here, to the headers that came with the event. */

#include <config.h>
#include "vmlat-virt.h"

#include <stdlib.h>

#include "ovs-thread.h"
#include "util.h"
#include "vmlat-filter.h"

static struct ovs_mutex mutex = OVS_MUTEX_INITIALIZER;
static struct vmlat_virt_event events[VMLAT_VIRT_EVENTS]
    OVS_GUARDED_BY(mutex);
static uint64_t n_events OVS_GUARDED_BY(mutex);
static uint64_t n_unknown OVS_GUARDED_BY(mutex);
static struct vmlat_filter filter OVS_GUARDED_BY(mutex);
static bool has_filter OVS_GUARDED_BY(mutex);

void
vmlat_virt_event_set_filter(const struct vmlat_filter *new)
{
    bool has_new = new && vmlat_filter_is_packet_filter(new);

    ovs_mutex_lock(&mutex);
    if (has_filter) {
        vmlat_filter_destroy(&filter);
    }
    has_filter = has_new;
    if (has_new) {
        vmlat_filter_clone(&filter, new);
    }
    ovs_mutex_unlock(&mutex);
}

bool
vmlat_virt_event_has_filter(void)
{
    bool has;

    ovs_mutex_lock(&mutex);
    has = has_filter;
    ovs_mutex_unlock(&mutex);
    return has;
}

void
vmlat_virt_event_add(const struct vmlat_virt_event *event)
{
    size_t size = MIN(event->size, sizeof event->bytes);

    ovs_mutex_lock(&mutex);
    if (!has_filter
        || (size && vmlat_filter_match_bytes(&filter, event->bytes, size))) {
        events[n_events++ % VMLAT_VIRT_EVENTS] = *event;
    } else if (!size) {
        n_unknown++;            /* It went by when there was no filter. */
    }
    ovs_mutex_unlock(&mutex);
}

void
vmlat_virt_events_clear(void)
{
    ovs_mutex_lock(&mutex);
    n_events = n_unknown = 0;
    ovs_mutex_unlock(&mutex);
}

uint64_t
vmlat_virt_events_n_unknown(void)
{
    uint64_t n;

    ovs_mutex_lock(&mutex);
    n = n_unknown;
    ovs_mutex_unlock(&mutex);
    return n;
}

size_t
vmlat_virt_events_read(struct vmlat_virt_event **eventsp, uint64_t *n_lost)
{
    size_t n;

    ovs_mutex_lock(&mutex);
    n = MIN(n_events, VMLAT_VIRT_EVENTS);
    *eventsp = xmalloc((n + 1) * sizeof **eventsp);
    for (size_t i = 0; i < n; i++) {
        (*eventsp)[i] = events[(n_events - 1 - i) % VMLAT_VIRT_EVENTS];
    }
    *n_lost = n_events - n;
    ovs_mutex_unlock(&mutex);
    *n_lost += vmlat_virt_events_lost();
    return n;
}
