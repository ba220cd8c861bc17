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
#include "vmlat-window.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "openvswitch/dynamic-string.h"
#include "timeval.h"
#include "util.h"
#include "vmlat-clock.h"
#include "vmlat-event.h"
#include "vmlat-virt.h"

/* Histograms are kept as what their buckets hold that are not empty: of
 * thousands of histograms most have a few dozens. */
struct bucket {
    uint32_t index;
    uint64_t n;
};

struct sparse {
    size_t first;               /* Of 'buckets' of struct vmlat_base. */
    size_t n;
};

struct base_pair {
    uint64_t key;               /* vmlat_pair_key(). */
    uint64_t min, max, total;
    struct sparse buckets;
};

struct base_account {
    uint16_t slot;
    struct vmlat_account account;
};

struct base_bursts {
    uint16_t slot;
    struct vmlat_bursts bursts;
};

struct base_flow {
    struct vmlat_bpf_flow_key key;
    uint64_t bytes, packets, total, max;
    struct sparse buckets;
};

struct vmlat_base {
    uint32_t what;              /* Bits of enum vmlat_window_bit. */
    uint32_t epoch, run;
    bool anew;                  /* A counter that was found lower than it had
                                 * been: it was started anew. */
    long long int begin, end;   /* time_msec(), 'end' 0 if not yet. */
    long long int end_wall;     /* time_wall_msec(). */
    uint64_t ticks, ns;
    uint64_t events_lost;

    struct bucket *buckets;
    size_t n_buckets, allocated_buckets;

    struct base_pair *pairs;    /* By key. */
    size_t n_pairs, allocated_pairs;

    struct vmlat_kernel_pair *pair_counts; /* By 'in' and 'out'. */
    size_t n_pair_counts;

    struct base_account *accounts; /* By slot, those that are not 0. */
    size_t n_accounts, allocated_accounts;

    struct base_bursts *bursts; /* By slot. */
    size_t n_bursts, allocated_bursts;

    struct vmlat_kernel_drop *drops; /* By key. */
    size_t n_drops;
    uint64_t drops_left_out;

    struct base_flow *flows;    /* By key. */
    size_t n_flows;
    uint64_t flows_left_out;

    struct vmlat_kernel_handler *handlers; /* By thread. */
    size_t n_handlers;

    struct vmlat_virt_port *virt; /* By slot. */
    size_t n_virt;
};

/* Subtracts 'before' from '*counter'. */
static void
subtract(struct vmlat_base *base, uint64_t *counter, uint64_t before)
{
    if (*counter < before) {
        base->anew = true;
        *counter = 0;
    } else {
        *counter -= before;
    }
}

/* The same for a counter of the programs, which has another type. */
static void
subtract_bpf(struct vmlat_base *base, __u64 *counter, uint64_t before)
{
    uint64_t value = *counter;

    subtract(base, &value, before);
    *counter = value;
}

static void
sparse_add(struct vmlat_base *base, struct sparse *s, uint32_t index,
           uint64_t n)
{
    if (base->n_buckets >= base->allocated_buckets) {
        base->buckets = x2nrealloc(base->buckets, &base->allocated_buckets,
                                   sizeof *base->buckets);
    }
    base->buckets[base->n_buckets++] = (struct bucket) { index, n };
    s->n++;
}

/* Pairs of ports. */

struct pairs_aux {
    struct vmlat_base *base;
    vmlat_pair_cb *cb;
    void *aux;
    struct vmlat_snapshot *scratch;
};

static uint64_t
pair_key(const struct vmlat_port *in, const struct vmlat_port *out,
         enum vmlat_segment segment)
{
    return vmlat_pair_key(in ? in->slot : 0, out ? out->slot : 0, segment);
}

static int
compare_u64(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int
compare_pairs(const void *a_, const void *b_)
{
    const struct base_pair *a = a_;
    const struct base_pair *b = b_;

    return compare_u64(a->key, b->key);
}

static void
keep_pair(const struct vmlat_port *in, const struct vmlat_port *out,
          enum vmlat_segment segment, const struct vmlat_snapshot *s,
          void *base_)
{
    struct vmlat_base *base = base_;
    struct base_pair *pair;

    if (base->n_pairs >= base->allocated_pairs) {
        base->pairs = x2nrealloc(base->pairs, &base->allocated_pairs,
                                 sizeof *base->pairs);
    }
    pair = &base->pairs[base->n_pairs++];
    *pair = (struct base_pair) {
        .key = pair_key(in, out, segment),
        .min = s->min,
        .max = s->max,
        .total = s->total,
        .buckets.first = base->n_buckets,
    };
    for (unsigned int i = vmlat_snapshot_first(s);
         i <= vmlat_snapshot_last(s); i++) {
        if (s->buckets[i]) {
            sparse_add(base, &pair->buckets, i, s->buckets[i]);
        }
    }
}

/* Leaves what is in 's' and was not in 'pair'. */
static void
subtract_pair(struct vmlat_base *base, const struct base_pair *pair,
              bool coarse, struct vmlat_snapshot *s)
{
    unsigned int last = vmlat_snapshot_last(s);

    for (size_t i = 0; i < pair->buckets.n; i++) {
        const struct bucket *b = &base->buckets[pair->buckets.first + i];

        subtract(base, &s->buckets[b->index], b->n);
    }
    subtract(base, &s->total, pair->total);
    s->count = 0;
    for (unsigned int i = vmlat_snapshot_first(s); i <= last; i++) {
        s->count += s->buckets[i];
    }
    vmlat_snapshot_bound(s, pair->min, pair->max, coarse);
}

static void
window_pair(const struct vmlat_port *in, const struct vmlat_port *out,
            enum vmlat_segment segment, const struct vmlat_snapshot *s,
            void *aux_)
{
    struct pairs_aux *aux = aux_;
    struct base_pair key = { .key = pair_key(in, out, segment) };
    const struct base_pair *pair
        = (aux->base->n_pairs
           ? bsearch(&key, aux->base->pairs, aux->base->n_pairs, sizeof key,
                     compare_pairs)
           : NULL);

    if (pair) {
        *aux->scratch = *s;
        subtract_pair(aux->base, pair, segment >= VMLAT_FIRST_VIRT,
                      aux->scratch);
        s = aux->scratch;
    }
    if (s->count) {
        aux->cb(in, out, segment, s, aux->aux);
    }
}

struct gaps_aux {
    vmlat_pair_cb *cb;
    void *aux;
};

static void
read_gaps(struct vmlat_port *port, void *aux_)
    OVS_REQUIRES(vmlat_ports_mutex)
{
    struct gaps_aux *aux = aux_;
    struct vmlat_snapshot snapshot;
    uint32_t n_rxqs;

    if (!port->is_pmd) {
        return;
    }
    vmlat_snapshot_init(&snapshot);
    atomic_read_explicit(&port->n_rxqs, &n_rxqs, memory_order_acquire);
    for (size_t i = 0; i < n_rxqs; i++) {
        vmlat_rxq_gap_read(port->rxqs[i], &snapshot);
    }
    if (snapshot.count) {
        aux->cb(port, NULL, VMLAT_SEG_POLL_GAP, &snapshot, aux->aux);
    }
}

static void
read_pairs(vmlat_pair_cb *cb, void *aux)
    OVS_REQUIRES(vmlat_ports_mutex)
{
    struct gaps_aux gaps = { cb, aux };

    vmlat_pairs_read(cb, aux);
    vmlat_virt_pairs_read(cb, aux);
    vmlat_port_for_each(read_gaps, &gaps);
}

void
vmlat_window_pairs(struct vmlat_base *base, vmlat_pair_cb *cb, void *aux_)
{
    if (base) {
        struct pairs_aux aux = { base, cb, aux_,
                                 xmalloc(sizeof *aux.scratch) };

        read_pairs(window_pair, &aux);
        free(aux.scratch);
    } else {
        read_pairs(cb, aux_);
    }
}

/* What pairs of ports count beside. */

static int
compare_pair_counts(const void *a_, const void *b_)
{
    const struct vmlat_kernel_pair *a = a_;
    const struct vmlat_kernel_pair *b = b_;

    return a->in != b->in ? a->in - b->in : a->out - b->out;
}

/* 'base' is NULL when a base is made. */
size_t
vmlat_window_pair_counts(struct vmlat_base *base,
                         struct vmlat_kernel_pair **countsp)
{
    struct vmlat_kernel_pair *counts;
    size_t n_left = 0, n;

    n = vmlat_kernel_pair_counts(&counts);
    *countsp = counts;
    if (n) {
        qsort(counts, n, sizeof *counts, compare_pair_counts);
    }
    if (!base || !base->n_pair_counts) {
        return n;
    }
    for (size_t i = 0; i < n; i++) {
        struct vmlat_kernel_pair *c = &counts[i];
        const struct vmlat_kernel_pair *before
            = bsearch(c, base->pair_counts, base->n_pair_counts, sizeof *c,
                      compare_pair_counts);

        if (before) {
            subtract(base, &c->packets, before->packets);
            subtract(base, &c->segments, before->segments);
            subtract(base, &c->passes, before->passes);
            subtract(base, &c->ct_passes, before->ct_passes);
            subtract(base, &c->stage_missed, before->stage_missed);
        }
        if (c->packets) {
            counts[n_left++] = *c;
        }
    }
    return n_left;
}

/* Returns the element for 'in' and 'out' of 'counts', the 'n' elements of
 * which are in order; NULL if there is none. */
const struct vmlat_kernel_pair *
vmlat_window_find_pair(const struct vmlat_kernel_pair *counts, size_t n,
                       uint16_t in, uint16_t out)
{
    struct vmlat_kernel_pair key = { .in = in, .out = out };

    return n ? bsearch(&key, counts, n, sizeof key, compare_pair_counts)
             : NULL;
}

/* Accounts. */

static uint64_t
account_inside(const struct vmlat_account *a, size_t i)
{
    return a->fates[i][VMLAT_FATE_INSIDE];
}

static void
keep_accounts(struct vmlat_base *base)
    OVS_REQUIRES(vmlat_ports_mutex)
{
    static const struct vmlat_account empty;
    struct vmlat_account *accounts = xmalloc(VMLAT_MAX_PORTS
                                             * sizeof *accounts);

    vmlat_accounts_read(accounts);
    for (size_t slot = 0; slot < VMLAT_MAX_PORTS; slot++) {
        if (!memcmp(&accounts[slot], &empty, sizeof empty)) {
            continue;
        }
        if (base->n_accounts >= base->allocated_accounts) {
            base->accounts = x2nrealloc(base->accounts,
                                        &base->allocated_accounts,
                                        sizeof *base->accounts);
        }
        base->accounts[base->n_accounts++]
            = (struct base_account) { slot, accounts[slot] };
    }
    free(accounts);
}

void
vmlat_window_accounts(struct vmlat_base *base, struct vmlat_account *accounts,
                      uint64_t (*inside_before)[2])
{
    vmlat_accounts_read(accounts);
    if (!base) {
        return;
    }
    memset(inside_before, 0, VMLAT_MAX_PORTS * sizeof *inside_before);
    for (size_t n = 0; n < base->n_accounts; n++) {
        const struct vmlat_account *before = &base->accounts[n].account;
        uint16_t slot = base->accounts[n].slot;
        struct vmlat_account *a = &accounts[slot];

        subtract(base, &a->rx_packets, before->rx_packets);
        subtract(base, &a->copies, before->copies);
        for (size_t i = 0; i < 2; i++) {
            inside_before[slot][i] = account_inside(before, i);
            for (size_t j = 0; j < VMLAT_N_FATES; j++) {
                if (j != VMLAT_FATE_INSIDE) {
                    subtract(base, &a->fates[i][j], before->fates[i][j]);
                }
            }
        }
    }
}

/* Bursts. */

static int
compare_bursts(const void *a_, const void *b_)
{
    const struct base_bursts *a = a_;
    const struct base_bursts *b = b_;

    return a->slot - b->slot;
}

static void
keep_bursts(struct vmlat_port *port, void *base_)
    OVS_REQUIRES(vmlat_ports_mutex)
{
    struct vmlat_base *base = base_;
    struct base_bursts *b;

    if (base->n_bursts >= base->allocated_bursts) {
        base->bursts = x2nrealloc(base->bursts, &base->allocated_bursts,
                                  sizeof *base->bursts);
    }
    b = &base->bursts[base->n_bursts++];
    b->slot = port->slot;
    vmlat_bursts_read(port, &b->bursts);
}

void
vmlat_window_bursts(struct vmlat_base *base, const struct vmlat_port *port,
                    struct vmlat_bursts *bursts)
{
    struct base_bursts key = { .slot = port->slot };
    const struct base_bursts *b;

    vmlat_bursts_read(port, bursts);
    if (!base || !base->n_bursts) {
        return;
    }
    b = bsearch(&key, base->bursts, base->n_bursts, sizeof key,
                compare_bursts);
    if (b) {
        for (size_t i = 0; i <= VMLAT_MAX_BURST; i++) {
            subtract(base, &bursts->rx[i], b->bursts.rx[i]);
            subtract(base, &bursts->tx[i], b->bursts.tx[i]);
        }
        subtract(base, &bursts->tx_retries, b->bursts.tx_retries);
        subtract(base, &bursts->tx_failures, b->bursts.tx_failures);
        subtract(base, &bursts->tx_refused, b->bursts.tx_refused);
    }
}

/* Drops. */

static int
compare_drops(const void *a_, const void *b_)
{
    const struct vmlat_kernel_drop *a = a_;
    const struct vmlat_kernel_drop *b = b_;

    return memcmp(&a->key, &b->key, sizeof a->key);
}

size_t
vmlat_window_drops(struct vmlat_base *base, struct vmlat_kernel_drop **dropsp,
                   uint64_t *left_out)
{
    struct vmlat_kernel_drop *drops;
    size_t n_left = 0, n;

    n = vmlat_kernel_drops_read(&drops, left_out);
    *dropsp = drops;
    if (!base) {
        return n;
    }
    subtract(base, left_out, base->drops_left_out);
    for (size_t i = 0; i < n; i++) {
        const struct vmlat_kernel_drop *before
            = (base->n_drops
               ? bsearch(&drops[i], base->drops, base->n_drops,
                         sizeof *drops, compare_drops)
               : NULL);

        if (before) {
            subtract(base, &drops[i].packets, before->packets);
        }
        if (drops[i].packets) {
            drops[n_left++] = drops[i];
        }
    }
    return n_left;
}

/* Small histograms. */

uint64_t
vmlat_small_bucket_floor(unsigned int bucket)
{
    unsigned int n_sub = 1u << VMLAT_BPF_SMALL_SUB_BITS;
    unsigned int shift;

    if (bucket < n_sub) {
        return bucket;
    }
    shift = (bucket >> VMLAT_BPF_SMALL_SUB_BITS) - 1;
    return (uint64_t) (bucket % n_sub + n_sub) << shift;
}

/* Finishes 'h', from which everything but the maximum has been subtracted
 * already: 'max_before' is that when the interval began. */
static void
small_hist_set_max(struct vmlat_bpf_small_hist *h, uint64_t max_before)
{
    if (h->max > max_before) {
        return;
    }
    for (int i = VMLAT_BPF_SMALL_BUCKETS - 1; i >= 0; i--) {
        if (h->buckets[i]) {
            if (i < VMLAT_BPF_SMALL_BUCKETS - 1) {
                h->max = MIN(h->max, vmlat_small_bucket_floor(i + 1) - 1);
            }
            return;
        }
    }
    h->max = 0;
}

static void
subtract_small_hist(struct vmlat_base *base, struct vmlat_bpf_small_hist *h,
                    const struct vmlat_bpf_small_hist *before)
{
    subtract_bpf(base, &h->packets, before->packets);
    subtract_bpf(base, &h->total, before->total);
    for (size_t i = 0; i < VMLAT_BPF_SMALL_BUCKETS; i++) {
        /* These wrap. */
        h->buckets[i] -= before->buckets[i];
    }
    small_hist_set_max(h, before->max);
}

/* Flows. */

static int
compare_flows(const void *a_, const void *b_)
{
    const struct base_flow *a = a_;
    const struct base_flow *b = b_;

    return memcmp(&a->key, &b->key, sizeof a->key);
}

static void
keep_flows(struct vmlat_base *base)
{
    struct vmlat_kernel_flow *flows;

    base->n_flows = vmlat_kernel_flows_read(&flows, &base->flows_left_out);
    base->flows = xmalloc(base->n_flows * sizeof *base->flows);
    for (size_t i = 0; i < base->n_flows; i++) {
        const struct vmlat_bpf_flow *f = &flows[i].flow;
        struct base_flow *kept = &base->flows[i];

        *kept = (struct base_flow) {
            .key = flows[i].key,
            .bytes = f->bytes,
            .packets = f->hist.packets,
            .total = f->hist.total,
            .max = f->hist.max,
            .buckets.first = base->n_buckets,
        };
        for (size_t j = 0; j < VMLAT_BPF_SMALL_BUCKETS; j++) {
            if (f->hist.buckets[j]) {
                sparse_add(base, &kept->buckets, j, f->hist.buckets[j]);
            }
        }
    }
    free(flows);
    if (base->n_flows) {
        qsort(base->flows, base->n_flows, sizeof *base->flows,
              compare_flows);
    }
}

size_t
vmlat_window_flows(struct vmlat_base *base, struct vmlat_kernel_flow **flowsp,
                   uint64_t *left_out)
{
    struct vmlat_kernel_flow *flows;
    size_t n_left = 0, n;

    n = vmlat_kernel_flows_read(&flows, left_out);
    *flowsp = flows;
    if (!base) {
        return n;
    }
    subtract(base, left_out, base->flows_left_out);
    for (size_t i = 0; i < n; i++) {
        struct base_flow key = { .key = flows[i].key };
        struct vmlat_bpf_flow *f = &flows[i].flow;
        const struct base_flow *before
            = (base->n_flows
               ? bsearch(&key, base->flows, base->n_flows, sizeof key,
                         compare_flows)
               : NULL);

        if (before) {
            subtract_bpf(base, &f->bytes, before->bytes);
            subtract_bpf(base, &f->hist.packets, before->packets);
            subtract_bpf(base, &f->hist.total, before->total);
            for (size_t j = 0; j < before->buckets.n; j++) {
                const struct bucket *b
                    = &base->buckets[before->buckets.first + j];

                f->hist.buckets[b->index] -= b->n;
            }
            small_hist_set_max(&f->hist, before->max);
        }
        if (f->hist.packets) {
            flows[n_left++] = flows[i];
        }
    }
    return n_left;
}

/* Handlers. */

static int
compare_handlers(const void *a_, const void *b_)
{
    const struct vmlat_kernel_handler *a = a_;
    const struct vmlat_kernel_handler *b = b_;

    return a->tid < b->tid ? -1 : a->tid > b->tid;
}

size_t
vmlat_window_handlers(struct vmlat_base *base,
                      struct vmlat_kernel_handler **handlersp)
{
    struct vmlat_kernel_handler *handlers;
    size_t n;

    n = vmlat_kernel_handlers_read(&handlers);
    *handlersp = handlers;
    for (size_t i = 0; base && base->n_handlers && i < n; i++) {
        struct vmlat_bpf_handler *h = &handlers[i].handler;
        const struct vmlat_kernel_handler *before
            = bsearch(&handlers[i], base->handlers, base->n_handlers,
                      sizeof *handlers, compare_handlers);

        if (before) {
            const struct vmlat_bpf_handler *b = &before->handler;

            subtract_bpf(base, &h->received, b->received);
            subtract_bpf(base, &h->executed, b->executed);
            subtract_bpf(base, &h->installed, b->installed);
            subtract_small_hist(base, &h->queue, &b->queue);
            subtract_small_hist(base, &h->handling, &b->handling);
            subtract_small_hist(base, &h->install, &b->install);
            subtract_small_hist(base, &h->execute, &b->execute);
        }
    }
    return n;
}

/* Between ports and VMs. */

static int
compare_virt(const void *a_, const void *b_)
{
    const struct vmlat_virt_port *a = a_;
    const struct vmlat_virt_port *b = b_;

    return a->slot - b->slot;
}

static void
subtract_depth(struct vmlat_base *base, struct vmlat_virt_depth *depth,
               const struct vmlat_virt_depth *before)
{
    subtract_bpf(base, &depth->samples, before->samples);
    subtract_bpf(base, &depth->total, before->total);
    for (size_t i = 0; i < VMLAT_VIRT_DEPTH_BUCKETS; i++) {
        subtract_bpf(base, &depth->buckets[i], before->buckets[i]);
    }
    vmlat_virt_depth_set_max(depth, before->max);
}

size_t
vmlat_window_virt(struct vmlat_base *base, struct vmlat_virt_port **portsp)
{
    struct vmlat_virt_port *ports;
    size_t n;

    n = vmlat_virt_ports_read(&ports);
    *portsp = ports;
    for (size_t i = 0; base && base->n_virt && i < n; i++) {
        struct vmlat_virt_port *port = &ports[i];
        const struct vmlat_virt_port *before
            = bsearch(port, base->virt, base->n_virt, sizeof *port,
                      compare_virt);

        if (!before) {
            continue;
        }
#define VMLAT_VIRT_COUNT(MEMBER, N)                                     \
        for (size_t j = 0; j < N; j++) {                                \
            subtract(base, &port->counts.MEMBER[j],                     \
                     before->counts.MEMBER[j]);                         \
        }
        VMLAT_VIRT_COUNTS
#undef VMLAT_VIRT_COUNT
        port->inside_before = MAX(vmlat_virt_inside(before), 0);
        port->waiting_before = MAX(vmlat_virt_waiting(before), 0);
        subtract_depth(base, &port->tap_ring, &before->tap_ring);
        subtract_depth(base, &port->vring, &before->vring);
    }
    return n;
}

/* The base. */

static uint64_t
count_events_lost(void)
    OVS_REQUIRES(vmlat_ports_mutex)
{
    struct vmlat_virt_event *virt_events;
    struct vmlat_bpf_event *kernel_events;
    uint64_t n_lost, n_kernel_lost, n_virt_lost;
    size_t n;

    free(vmlat_events_read(&n, &n_lost));
    vmlat_kernel_events_read(&kernel_events, &n_kernel_lost);
    free(kernel_events);
    vmlat_virt_events_read(&virt_events, &n_virt_lost);
    free(virt_events);
    return n_lost + n_kernel_lost + n_virt_lost;
}

struct vmlat_base *
vmlat_base_create(uint32_t what)
{
    struct vmlat_base *base = xzalloc(sizeof *base);
    struct timespec ts;

    base->what = what & VMLAT_WINDOW_ANY;
    base->epoch = vmlat_epoch_get();
    base->run = vmlat_run_get();
    base->begin = time_msec();
    base->ticks = vmlat_clock_now();
    clock_gettime(CLOCK_MONOTONIC, &ts);
    base->ns = ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec;

    if (what & VMLAT_WINDOW_PAIRS) {
        read_pairs(keep_pair, base);
        if (base->n_pairs) {
            qsort(base->pairs, base->n_pairs, sizeof *base->pairs,
                  compare_pairs);
        }
    }
    if (what & VMLAT_WINDOW_PAIR_COUNTS) {
        base->n_pair_counts = vmlat_window_pair_counts(NULL,
                                                       &base->pair_counts);
    }
    if (what & VMLAT_WINDOW_ACCOUNTS) {
        keep_accounts(base);
    }
    if (what & VMLAT_WINDOW_BURSTS) {
        vmlat_port_for_each(keep_bursts, base);
    }
    if (what & VMLAT_WINDOW_DROPS) {
        base->n_drops = vmlat_kernel_drops_read(&base->drops,
                                                &base->drops_left_out);
        if (base->n_drops) {
            qsort(base->drops, base->n_drops, sizeof *base->drops,
                  compare_drops);
        }
    }
    if (what & VMLAT_WINDOW_FLOWS) {
        keep_flows(base);
    }
    if (what & VMLAT_WINDOW_HANDLERS) {
        base->n_handlers = vmlat_kernel_handlers_read(&base->handlers);
        if (base->n_handlers) {
            qsort(base->handlers, base->n_handlers, sizeof *base->handlers,
                  compare_handlers);
        }
    }
    if (what & VMLAT_WINDOW_VIRT) {
        base->n_virt = vmlat_virt_ports_read(&base->virt);
    }
    if (what & VMLAT_WINDOW_EVENTS) {
        base->events_lost = count_events_lost();
    }
    return base;
}

void
vmlat_base_destroy(struct vmlat_base *base)
{
    if (base) {
        free(base->buckets);
        free(base->pairs);
        free(base->pair_counts);
        free(base->accounts);
        free(base->bursts);
        free(base->drops);
        free(base->flows);
        free(base->handlers);
        free(base->virt);
        free(base);
    }
}

char *
vmlat_base_end(struct vmlat_base *base)
{
    if (!base->end) {
        base->end = time_msec();
        base->end_wall = time_wall_msec();
    }
    if (base->epoch != vmlat_epoch_get()) {
        return xstrdup("vmlat/clear came during the interval: try again");
    } else if (base->run != vmlat_run_get()) {
        return xstrdup("vmlat/start came during the interval: try again");
    } else if (base->anew) {
        return xstrdup("counting began anew during the interval: try again");
    }
    return NULL;
}

bool
vmlat_base_is_anew(const struct vmlat_base *base)
{
    return base->anew;
}

void
vmlat_base_format(const struct vmlat_base *base, struct ds *ds)
{
    long long int ms = base->end - base->begin;

    ds_put_format(ds, "the %lld.%03lld s until ", ms / 1000, ms % 1000);
    ds_put_strftime_msec(ds, "%H:%M:%S.###", base->end_wall, false);
}

uint64_t
vmlat_base_ticks(const struct vmlat_base *base)
{
    return base->ticks;
}

uint64_t
vmlat_base_ns(const struct vmlat_base *base)
{
    return base->ns;
}

uint64_t
vmlat_base_events_lost(const struct vmlat_base *base)
{
    return base->events_lost;
}
