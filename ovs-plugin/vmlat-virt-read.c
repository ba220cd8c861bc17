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

/* Reading what the programs between ports and VMs have counted.
 *
 * The programs only ever add: vmlat/clear keeps a copy of the counters, and
 * from then on the difference is shown. */

#include <config.h>
#include "vmlat-virt.h"

#include <stdlib.h>
#include <string.h>

#include "util.h"
#include "vmlat-histogram.h"
#include "vmlat-tables.h"
#include "vmlat-virt-load.h"
#include "vmlat-vring.h"

/* Buckets of the programs' histograms are four of ours. */
BUILD_ASSERT_DECL(VMLAT_HIST_SUB_BITS == VMLAT_VIRT_SUB_BITS + 2);
BUILD_ASSERT_DECL(VMLAT_HIST_COARSE == 4);
BUILD_ASSERT_DECL(VMLAT_HIST_COARSE_BITS == VMLAT_VIRT_MAX_BITS);
BUILD_ASSERT_DECL(sizeof(struct vmlat_virt_row) % sizeof(uint64_t) == 0);

/* How often the counters of a port are read, at most, when they do not agree:
 * a program may just be counting. */
#define MAX_READS 10

/* What is read, NULL if nothing has been loaded yet. */
static const struct vmlat_virt_maps *maps;

/* 'events_lost' of its 'stats' at the last clear. */
static uint64_t zero_events_lost;

/* Ports, by slot. */
static struct {
    uint32_t row;                   /* 0: none. */
    struct vmlat_virt_port *zero;   /* At the last clear, or NULL. */
    struct vmlat_virt_hist *zero_hists; /* The same, VMLAT_VIRT_N_STAGES. */
} ports[VMLAT_MAX_PORTS];

static uint64_t
load64(const __u64 *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void
forget_zero(void)
{
    for (size_t slot = 0; slot < VMLAT_MAX_PORTS; slot++) {
        free(ports[slot].zero);
        free(ports[slot].zero_hists);
        ports[slot].zero = NULL;
        ports[slot].zero_hists = NULL;
    }
}

void
vmlat_virt_read_set(const struct vmlat_virt_maps *new_maps)
{
    forget_zero();
    for (size_t slot = 0; slot < VMLAT_MAX_PORTS; slot++) {
        ports[slot].row = 0;
    }
    maps = new_maps;
    zero_events_lost = 0;
    vmlat_virt_events_clear();
}

void
vmlat_virt_read_add_port(uint16_t slot, uint32_t row)
{
    ports[slot].row = row;
}

uint16_t
vmlat_virt_row_slot(uint16_t row)
{
    for (size_t slot = 0; row && slot < VMLAT_MAX_PORTS; slot++) {
        if (ports[slot].row == row) {
            return slot;
        }
    }
    return 0;
}

uint64_t
vmlat_virt_events_lost(void)
{
    return maps ? load64(&maps->stats->events_lost) - zero_events_lost : 0;
}

/* Sums. */

static uint64_t
sum(const uint64_t *values, size_t n)
{
    uint64_t total = 0;

    for (size_t i = 0; i < n; i++) {
        total += values[i];
    }
    return total;
}

int64_t
vmlat_virt_inside(const struct vmlat_virt_port *port)
{
    const struct vmlat_virt_counts *c = &port->counts;

    return (c->entered[0] + port->inside_before
            - sum(c->fates, VMLAT_VIRT_N_FATES));
}

int64_t
vmlat_virt_waiting(const struct vmlat_virt_port *port)
{
    const struct vmlat_virt_counts *c = &port->counts;

    return (c->fates[VMLAT_VF_OWN] + c->fates[VMLAT_VF_SHARED]
            + port->waiting_before - sum(c->vcpu, VMLAT_VIRT_N_VCPUS));
}

int64_t
vmlat_virt_counting(const struct vmlat_virt_port *port)
{
    const struct vmlat_virt_counts *c = &port->counts;

    return (c->received[0] + c->kicks[VMLAT_VK_TAP_DROPPED]
            - sum(c->kicks, VMLAT_VIRT_N_KICKS));
}

/* Counters. */

static void
read_depth(struct vmlat_virt_depth *depth, const struct vmlat_virt_depth *now)
{
    depth->samples = load64(&now->samples);
    depth->total = load64(&now->total);
    depth->max = load64(&now->max);
    for (size_t i = 0; i < VMLAT_VIRT_DEPTH_BUCKETS; i++) {
        depth->buckets[i] = load64(&now->buckets[i]);
    }
}

/* Reads all that has ever been counted in 'row'. */
static void
read_row(struct vmlat_virt_port *port, const struct vmlat_virt_row *row)
{
    for (int i = 0; i < MAX_READS; i++) {
#define VMLAT_VIRT_COUNT(MEMBER, N)                                     \
        for (size_t j = 0; j < N; j++) {                                \
            port->counts.MEMBER[j]                                      \
                = load64((const __u64 *) &row->MEMBER + j);             \
        }                                                               \
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        VMLAT_VIRT_COUNTS
#undef VMLAT_VIRT_COUNT
        if (vmlat_virt_inside(port) >= 0 && vmlat_virt_waiting(port) >= 0
            && vmlat_virt_counting(port) >= 0) {
            break;
        }
    }
    read_depth(&port->tap_ring, &row->tap_ring);
    read_depth(&port->vring, &row->vring);
}

void
vmlat_virt_depth_set_max(struct vmlat_virt_depth *depth, uint64_t max_before)
{
    uint64_t bound = 0;

    if (depth->max > max_before) {
        return;                 /* It is new. */
    }
    for (size_t i = 1; i < VMLAT_VIRT_DEPTH_BUCKETS; i++) {
        if (depth->buckets[i]) {
            bound = (i < VMLAT_VIRT_DEPTH_BUCKETS - 1
                     ? (UINT64_C(1) << i) - 1 : UINT64_MAX);
        }
    }
    depth->max = MIN(depth->max, bound);
}

static void
subtract_depth(struct vmlat_virt_depth *depth,
               const struct vmlat_virt_depth *was)
{
    depth->samples -= was->samples;
    depth->total -= was->total;
    for (size_t i = 0; i < VMLAT_VIRT_DEPTH_BUCKETS; i++) {
        depth->buckets[i] -= was->buckets[i];
    }
    vmlat_virt_depth_set_max(depth, was->max);
}

static void
subtract_port(struct vmlat_virt_port *port, const struct vmlat_virt_port *was)
{
#define VMLAT_VIRT_COUNT(MEMBER, N)                             \
    for (size_t i = 0; i < N; i++) {                            \
        port->counts.MEMBER[i] -= was->counts.MEMBER[i];        \
    }
    VMLAT_VIRT_COUNTS
#undef VMLAT_VIRT_COUNT
    port->inside_before = MAX(vmlat_virt_inside(was), 0);
    port->waiting_before = MAX(vmlat_virt_waiting(was), 0);
    subtract_depth(&port->tap_ring, &was->tap_ring);
    subtract_depth(&port->vring, &was->vring);
}

size_t
vmlat_virt_ports_read(struct vmlat_virt_port **portsp)
{
    struct vmlat_virt_port *all;
    size_t n = 0;

    if (maps) {
        vmlat_vring_collect(maps);
    }
    for (size_t slot = 0; slot < VMLAT_MAX_PORTS; slot++) {
        n += ports[slot].row != 0;
    }
    *portsp = all = xcalloc(n + 1, sizeof *all);
    n = 0;
    for (size_t slot = 0; maps && slot < VMLAT_MAX_PORTS; slot++) {
        if (ports[slot].row) {
            struct vmlat_virt_port *port = &all[n++];

            port->slot = slot;
            read_row(port, &maps->rows[ports[slot].row]);
            if (ports[slot].zero) {
                subtract_port(port, ports[slot].zero);
            }
        }
    }
    return n;
}

uint64_t
vmlat_virt_n_inside(void)
{
    struct vmlat_virt_port *all;
    size_t n = vmlat_virt_ports_read(&all);
    uint64_t n_inside = 0;

    for (size_t i = 0; i < n; i++) {
        n_inside += MAX(vmlat_virt_inside(&all[i]), 0);
    }
    free(all);
    return n_inside;
}

/* Histograms. */

/* Returns the bucket of a snapshot that stands for bucket 'i' of the
 * programs': the one whose lowest value is in the middle of it. */
static size_t
to_bucket(size_t i)
{
    if (i == VMLAT_VIRT_BUCKETS - 1) {
        return VMLAT_HIST_OVERFLOW;
    } else if (i < 1u << VMLAT_VIRT_SUB_BITS) {
        return i;               /* ns, as there. */
    } else {
        unsigned int shift = (i >> VMLAT_VIRT_SUB_BITS) - 1;
        uint64_t n_sub = 1u << VMLAT_VIRT_SUB_BITS;
        uint64_t middle = (((i % n_sub + n_sub) << shift)
                           + ((UINT64_C(1) << shift) >> 1));

        return vmlat_histogram_bucket(middle);
    }
}

/* Stores in 's' what 'h' has and 'was', which may be NULL, had not. */
static void
read_hist(struct vmlat_snapshot *s, const struct vmlat_virt_hist *h,
          const struct vmlat_virt_hist *was)
{
    vmlat_snapshot_init(s);
    for (size_t i = 0; i < VMLAT_VIRT_BUCKETS; i++) {
        uint64_t n = load64(&h->buckets[i]) - (was ? was->buckets[i] : 0);

        s->buckets[to_bucket(i)] += n;
        s->count += n;
    }
    if (!s->count) {
        return;
    }

    s->total = load64(&h->total) - (was ? was->total : 0);
    s->min = ~load64(&h->not_min);
    s->max = load64(&h->max);
    vmlat_snapshot_bound(s, was && was->packets ? ~was->not_min : UINT64_MAX,
                         was ? was->max : 0, true);
}

void
vmlat_virt_pairs_read(vmlat_pair_cb *cb, void *aux)
{
    struct vmlat_snapshot *s = xmalloc(sizeof *s);

    if (maps) {
        vmlat_vring_collect(maps);
    }
    for (size_t slot = 0; maps && slot < VMLAT_MAX_PORTS; slot++) {
        const struct vmlat_port *port = vmlat_port_from_slot(slot);

        if (!port || !ports[slot].row) {
            continue;
        }
        for (size_t i = 0; i < VMLAT_VIRT_N_STAGES; i++) {
            const struct vmlat_virt_row *row = &maps->rows[ports[slot].row];

            read_hist(s, &row->hists[i],
                      (ports[slot].zero_hists
                       ? &ports[slot].zero_hists[i] : NULL));
            if (s->count) {
                cb(port, NULL, VMLAT_FIRST_VIRT + i, s, aux);
            }
        }
    }
    free(s);
}

/* Clearing. */

/* Keeps a copy of what has been counted. */
void
vmlat_virt_clear(void)
{
    forget_zero();
    if (maps) {
        vmlat_vring_collect(maps);
    }
    zero_events_lost = maps ? load64(&maps->stats->events_lost) : 0;
    vmlat_virt_events_clear();
    for (size_t slot = 0; maps && slot < VMLAT_MAX_PORTS; slot++) {
        const struct vmlat_virt_row *row = &maps->rows[ports[slot].row];
        struct vmlat_virt_port *zero;

        if (!ports[slot].row) {
            continue;
        }
        ports[slot].zero_hists = xmemdup(row->hists, sizeof row->hists);
        zero = ports[slot].zero = xzalloc(sizeof *zero);
        read_row(zero, row);

        /* What is on its way counts as if it entered now: it will have its
         * fate from now on. */
        zero->counts.entered[0] = sum(zero->counts.fates, VMLAT_VIRT_N_FATES);
    }
}
