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

/* Reading what the BPF programs have counted.
 *
 * The programs only ever add, and nobody but they write to what they count:
 * vmlat/clear keeps a copy of the counters, and from then on the difference is
 * shown. */

#include <config.h>
#include "vmlat-kernel-private.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "openvswitch/dynamic-string.h"
#include "openvswitch/util.h"
#include "openvswitch/vlog.h"
#include "ovs-thread.h"
#include "timeval.h"
#include "util.h"
#include "vmlat-histogram.h"
#include "vmlat-port.h"
#include "vmlat-shard.h"

VLOG_DEFINE_THIS_MODULE(vmlat_kernel_read);

BUILD_ASSERT_DECL(VMLAT_BPF_PORTS == VMLAT_MAX_PORTS);
BUILD_ASSERT_DECL(VMLAT_BPF_HIST_ROWS * 32 == VMLAT_HIST_OVERFLOW);
BUILD_ASSERT_DECL(sizeof(struct vmlat_bpf_account) <= VMLAT_BPF_BLOCK);
BUILD_ASSERT_DECL(sizeof(struct vmlat_bpf_hist) <= VMLAT_BPF_BLOCK);
BUILD_ASSERT_DECL(sizeof(struct vmlat_bpf_pair) <= VMLAT_BPF_BLOCK);
BUILD_ASSERT_DECL(sizeof(struct vmlat_bpf_cpu) <= VMLAT_BPF_CPU_BLOCKS);
BUILD_ASSERT_DECL(VMLAT_N_STAGES <= VMLAT_BPF_PAIR_HISTS);

/* How old an upcall is when its handler is taken to have dropped it. */
#define UPCALL_AGE_NS UINT64_C(5000000000)

/* Returns the time by the clock of the programs. */
static uint64_t
now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec;
}

/* What is read, NULL if nothing has been loaded yet. */
static struct vmlat_kernel_loaded *loaded;

/* Rows of a hash map, sorted by key. */
struct rows {
    char *data;                 /* Each a key and a value. */
    size_t n, key_size, value_size;
};

/* What had been counted at the last vmlat/clear. */
static struct {
    uint8_t **cpus;             /* Values of 'cpus', as far as in use. */
    struct vmlat_bpf_account *accounts; /* Of all CPUs, by slot. */
    struct rows drops, flows, handlers;
    struct vmlat_bpf_stats stats;
} zero;

/* Packets in upcalls that handlers dropped, by slot and kind: counted by the
 * thread. */
static atomic_uint64_t swept[VMLAT_MAX_PORTS][2];

/* The daemon's numbers of fates and segments. */
static const enum vmlat_fate fates[VMLAT_N_BPF_FATES] = {
#define VMLAT_BPF_FATE(ID) [VMLAT_F_##ID] = VMLAT_FATE_##ID,
    VMLAT_BPF_FATES
#undef VMLAT_BPF_FATE
};

static const enum vmlat_segment segments[VMLAT_N_STAGES] = {
    [VMLAT_S_TOTAL] = VMLAT_SEG_OVS,
    [VMLAT_S_TOTAL_UPCALL] = VMLAT_SEG_OVS_UPCALL,
#undef VMLAT_BPF_STAGE
#define VMLAT_BPF_STAGE(ID, NAME, MEANING) [VMLAT_S_##ID] = VMLAT_SEG_##ID,
    VMLAT_BPF_STAGES
#undef VMLAT_BPF_STAGE
};

/* The short cuts of stages. */
static const enum vmlat_bpf_stage shorts[VMLAT_N_SHORTS] = {
#undef VMLAT_BPF_SHORT
#define VMLAT_BPF_SHORT(ID) [VMLAT_SHORT_##ID] = VMLAT_S_##ID,
    VMLAT_BPF_SHORTS
#undef VMLAT_BPF_SHORT
};

/* Memory of a CPU, or a copy of it. */
struct cpu {
    const struct vmlat_bpf_cpu *cpu; /* NULL if there is none. */
    uint32_t n_blocks;
};

static uint64_t
load64(const __u64 *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static uint32_t
load32(const __u32 *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

/* Returns the memory of CPU number 'i'. */
static struct cpu
get_cpu(size_t i)
{
    return (struct cpu) {
        ALIGNED_CAST(const struct vmlat_bpf_cpu *,
                     loaded->cpus + i * loaded->cpu_size),
        loaded->n_blocks,
    };
}

/* Returns its copy of when all was cleared. */
static struct cpu
get_zero(size_t i)
{
    const struct vmlat_bpf_cpu *cpu
        = (zero.cpus ? ALIGNED_CAST(const struct vmlat_bpf_cpu *, zero.cpus[i])
           : NULL);

    return (struct cpu) { cpu, cpu ? cpu->n_blocks + 1 : 0 };
}

/* Returns block 'number' of 'cpu', NULL if there is none. */
static const void *
get_block(struct cpu cpu, uint32_t number)
{
    return (number && number < cpu.n_blocks
            ? (const char *) cpu.cpu + VMLAT_BPF_CPU_BLOCKS
              + (size_t) number * VMLAT_BPF_BLOCK
            : NULL);
}

/* Accounts. */

static void
add_counters(uint64_t *dst, const __u64 *src, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        dst[i] += load64(&src[i]);
    }
}

/* Adds what was measured on 'cpu' to 'a', by slot. */
static void
add_measured(struct vmlat_bpf_account *a, struct cpu cpu)
{
    for (size_t i = 0; i < VMLAT_BPF_PAIRS; i++) {
        uint64_t pair = load64(&cpu.cpu->pairs[i]);
        const struct vmlat_bpf_pair *p = get_block(cpu, pair >> 32);

        if (p) {
            uint64_t (*fates_)[VMLAT_N_BPF_FATES]
                = (uint64_t (*)[VMLAT_N_BPF_FATES])
                  a[pair % VMLAT_BPF_PORTS].fates;

            fates_[0][VMLAT_F_MEASURED] += load64(&p->packets);
            fates_[1][VMLAT_F_MEASURED] += load64(&p->copies);
        }
    }
}

/* Adds what all CPUs have counted since the maps were made to 'a', by slot:
 * fates first, what entered last, so that no packet has a fate without having
 * entered. */
static void
read_accounts(struct vmlat_bpf_account *a)
{
    for (int entered = 0; entered < 2; entered++) {
        for (size_t i = 0; i < loaded->n_cpus; i++) {
            struct cpu cpu = get_cpu(i);

            for (size_t slot = 0; slot < VMLAT_BPF_PORTS; slot++) {
                const struct vmlat_bpf_account *block
                    = get_block(cpu, load32(&cpu.cpu->accounts[slot]));

                if (block && entered) {
                    add_counters((uint64_t *) a[slot].entered,
                                 block->entered, 2);
                } else if (block) {
                    add_counters((uint64_t *) a[slot].fates[0],
                                 block->fates[0], 2 * VMLAT_N_BPF_FATES);
                }
            }
            if (!entered) {
                add_measured(a, cpu);
            }
        }
        for (size_t slot = 0; !entered && slot < VMLAT_BPF_PORTS; slot++) {
            for (size_t i = 0; i < 2; i++) {
                uint64_t n;

                atomic_read_relaxed(&swept[slot][i], &n);
                a[slot].fates[i][VMLAT_F_UPCALL_DROPPED] += n;
            }
        }
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    }
}

void
vmlat_kernel_accounts_read(struct vmlat_account *accounts)
{
    struct vmlat_bpf_account *now;

    if (!loaded) {
        return;
    }
    now = xcalloc(VMLAT_BPF_PORTS, sizeof *now);
    read_accounts(now);
    for (size_t slot = 0; slot < VMLAT_BPF_PORTS; slot++) {
        const struct vmlat_bpf_account *was
            = zero.accounts ? &zero.accounts[slot] : NULL;
        struct vmlat_account *a = &accounts[slot];

        for (size_t i = 0; i < 2; i++) {
            uint64_t entered = now[slot].entered[i];
            uint64_t rest;

            entered -= was ? was->entered[i] : 0;
            rest = entered;
            for (size_t j = 0; j < VMLAT_N_BPF_FATES; j++) {
                uint64_t n = now[slot].fates[i][j];

                n -= was ? was->fates[i][j] : 0;
                a->fates[i][fates[j]] += n;
                rest -= n;
            }
            a->fates[i][vmlat_accounts_stopped
                        ? VMLAT_FATE_AFTER_STOP : VMLAT_FATE_INSIDE] += rest;
            if (i) {
                a->copies += entered;
            } else {
                a->rx_packets += entered;
            }
        }
    }
    free(now);
}

/* Pairs. */

static int
compare_u32(const void *a_, const void *b_)
{
    const uint32_t *a = a_;
    const uint32_t *b = b_;

    return *a < *b ? -1 : *a > *b;
}

/* Returns the pairs of all CPUs, 'out' << 16 | 'in', sorted, each once, in an
 * array that the caller frees. */
static uint32_t *
get_pairs(size_t *n)
{
    size_t allocated = 0, n_keys = 0, n_unique = 0;
    uint32_t *keys = NULL;

    for (size_t i = 0; i < loaded->n_cpus; i++) {
        struct cpu cpu = get_cpu(i);

        for (size_t j = 0; j < VMLAT_BPF_PAIRS; j++) {
            uint64_t pair = load64(&cpu.cpu->pairs[j]);

            if (pair) {
                if (n_keys >= allocated) {
                    keys = x2nrealloc(keys, &allocated, sizeof *keys);
                }
                keys[n_keys++] = pair;
            }
        }
    }
    if (n_keys) {
        qsort(keys, n_keys, sizeof *keys, compare_u32);
        for (size_t i = 0; i < n_keys; i++) {
            if (!i || keys[i] != keys[i - 1]) {
                keys[n_unique++] = keys[i];
            }
        }
    }
    *n = n_unique;
    return keys;
}

/* Returns the block of pair 'key' of 'cpu', 0 if it has none. */
static uint32_t
find_pair(struct cpu cpu, uint32_t key)
{
    for (size_t i = 0; i < VMLAT_BPF_PAIR_PROBES; i++) {
        uint64_t pair = load64(&cpu.cpu->pairs[
            (VMLAT_BPF_PAIR_HASH(key) + i) & (VMLAT_BPF_PAIRS - 1)]);

        if (!pair) {
            break;
        } else if ((uint32_t) pair == key) {
            return pair >> 32;
        }
    }
    return 0;
}

/* Returns the sum of the samples that 'p' got for 'stage' by a short cut. */
static uint64_t
short_total(const struct vmlat_bpf_pair *p, size_t stage)
{
    for (size_t i = 0; p && i < VMLAT_N_SHORTS; i++) {
        if (shorts[i] == stage) {
            return load64(&p->shorts[i].total);
        }
    }
    return 0;
}

/* Adds the histogram of 'stage' of the pair in block 'pair_number' of 'cpu',
 * less what it had in 'was', to 's'.
 *
 * The least and the largest sample are exact if the one of all times is newer
 * than 'was'.  If not, the bounds of the lowest and the highest bucket stand
 * for them. */
static void
add_histogram(struct vmlat_snapshot *s, struct cpu cpu, struct cpu was,
              uint32_t pair_number, size_t stage)
{
    const struct vmlat_bpf_pair *pair = get_block(cpu, pair_number);
    const struct vmlat_bpf_pair *pair_was = get_block(was, pair_number);
    uint32_t number = pair ? load32(&pair->hists[stage]) : 0;
    const struct vmlat_bpf_hist *h = get_block(cpu, number);
    const struct vmlat_bpf_hist *w = get_block(was, number);
    unsigned int lowest = VMLAT_HIST_OVERFLOW, highest = 0;
    uint64_t count = 0, n, min, max;

    if (!h) {
        return;
    }
    for (size_t i = 0; i < VMLAT_BPF_HIST_ROWS; i++) {
        uint32_t row_number = load32(&h->rows[i]);
        const __u64 *row = get_block(cpu, row_number);
        const __u64 *row_was = get_block(was, row_number);

        for (size_t j = 0; row && j < 32; j++) {
            n = load64(&row[j]) - (row_was ? row_was[j] : 0);
            if (n) {
                s->buckets[i * 32 + j] += n;
                count += n;
                lowest = MIN(lowest, i * 32 + j);
                highest = i * 32 + j;
            }
        }
    }
    n = load64(&h->overflow) - (w ? w->overflow : 0);
    if (n) {
        s->buckets[VMLAT_HIST_OVERFLOW] += n;
        count += n;
        highest = VMLAT_HIST_OVERFLOW;
    }
    if (!count) {
        return;
    }

    /* After the buckets: the programs write these first. */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    s->count += count;
    s->total += (load64(&h->total) - (w ? w->total : 0)
                 + short_total(pair, stage) - short_total(pair_was, stage));
    min = ~load64(&h->not_min);
    if (w && w->not_min == ~min) {
        min = MAX(min, vmlat_histogram_bucket_floor(lowest));
    }
    max = load64(&h->max);
    if (w && w->max == max) {
        max = MIN(max, vmlat_histogram_bucket_ceil(highest));
    }
    s->min = MIN(s->min, min);
    s->max = MAX(s->max, max);
}

void
vmlat_kernel_pairs_read(vmlat_pair_cb *cb, void *aux)
{
    struct vmlat_snapshot *s;
    uint32_t *keys;
    size_t n;

    if (!loaded) {
        return;
    }
    s = xmalloc(sizeof *s);
    keys = get_pairs(&n);
    for (size_t stage = 0; stage < VMLAT_N_STAGES; stage++) {
        for (size_t i = 0; i < n; i++) {
            const struct vmlat_port *in = vmlat_port_from_slot(keys[i]);
            const struct vmlat_port *out = vmlat_port_from_slot(keys[i] >> 16);

            if (!in || !out) {
                continue;
            }
            vmlat_snapshot_init(s);
            for (size_t j = 0; j < loaded->n_cpus; j++) {
                struct cpu cpu = get_cpu(j);

                add_histogram(s, cpu, get_zero(j), find_pair(cpu, keys[i]),
                              stage);
            }
            if (s->count) {
                cb(in, out, segments[stage], s, aux);
            }
        }
    }
    free(keys);
    free(s);
}

size_t
vmlat_kernel_pair_counts(struct vmlat_kernel_pair **pairs)
{
    uint32_t *keys;
    size_t n;

    *pairs = NULL;
    if (!loaded) {
        return 0;
    }
    keys = get_pairs(&n);
    *pairs = xcalloc(n + 1, sizeof **pairs);
    for (size_t i = 0; i < n; i++) {
        struct vmlat_kernel_pair *kp = &(*pairs)[i];

        kp->in = keys[i];
        kp->out = keys[i] >> 16;
        for (size_t j = 0; j < loaded->n_cpus; j++) {
            struct cpu cpu = get_cpu(j);
            uint32_t number = find_pair(cpu, keys[i]);
            const struct vmlat_bpf_pair *p = get_block(cpu, number);
            const struct vmlat_bpf_pair *was = get_block(get_zero(j), number);

            if (!p) {
                continue;
            }
#define ADD(SUM, MEMBER) \
    kp->SUM += load64(&p->MEMBER) - (was ? was->MEMBER : 0)
            ADD(packets, packets);
            ADD(packets, copies);
            ADD(segments, more_segments);
            ADD(passes, more_passes);
            ADD(ct_passes, ct_passes);
            ADD(stage_missed, stage_missed);
#undef ADD
        }
        kp->segments += kp->packets;
        kp->passes += kp->packets;
    }
    free(keys);
    return n;
}

/* Hash maps. */

/* As many rows as one system call asks for. */
#define BATCH 256

static size_t
row_size(const struct rows *rows)
{
    return rows->key_size + rows->value_size;
}

static void *
row_at(const struct rows *rows, size_t i)
{
    return rows->data + i * row_size(rows);
}

static void
rows_destroy(struct rows *rows)
{
    free(rows->data);
    memset(rows, 0, sizeof *rows);
}

/* For compare_rows(): qsort() has no argument for it.  Main thread. */
static size_t compare_size;

static int
compare_rows(const void *a, const void *b)
{
    return memcmp(a, b, compare_size);
}

/* Reads all of hash map 'fd', unsorted.  Any thread. */
static struct rows
read_rows(int fd, size_t key_size, size_t value_size)
{
    struct rows rows = { NULL, 0, key_size, value_size };
    size_t batch_size = BATCH, allocated = 0;
    char *keys = NULL, *values = NULL;
    uint32_t position[2] = { 0, 0 };
    bool first = true;
    int error = 0;

    while (fd >= 0 && !error) {
        uint32_t count = batch_size;

        keys = xrealloc(keys, batch_size * key_size);
        values = xrealloc(values, batch_size * value_size);
        error = -bpf_map_lookup_batch(fd, first ? NULL : &position[0],
                                      &position[1], keys, values, &count,
                                      NULL);
        if (error == ENOSPC && batch_size < BATCH << 8) {
            /* A bucket of the map has more. */
            batch_size *= 2;
            error = 0;
            continue;
        } else if (error && error != ENOENT) {
            VLOG_DBG("cannot read a map: %s", ovs_strerror(error));
            break;
        }
        if (rows.n + count > allocated) {
            allocated = MAX(2 * allocated, rows.n + count);
            rows.data = xrealloc(rows.data, allocated * row_size(&rows));
        }
        for (size_t i = 0; i < count; i++) {
            char *row = row_at(&rows, rows.n++);

            memcpy(row, keys + i * key_size, key_size);
            memcpy(row + key_size, values + i * value_size, value_size);
        }
        position[0] = position[1];
        first = false;
    }
    free(keys);
    free(values);
    return rows;
}

/* Returns the value that 'rows', sorted, have for 'key', NULL if none. */
static const void *
find_row(const struct rows *rows, const void *key)
{
    const char *row;

    if (!rows->n) {
        return NULL;
    }
    compare_size = rows->key_size;
    row = bsearch(key, rows->data, rows->n, row_size(rows), compare_rows);
    return row ? row + rows->key_size : NULL;
}

static struct rows
read_sorted_rows(int fd, size_t key_size, size_t value_size)
{
    struct rows rows = read_rows(fd, key_size, value_size);

    if (rows.n) {
        compare_size = key_size;
        qsort(rows.data, rows.n, row_size(&rows), compare_rows);
    }
    return rows;
}

static struct rows
read_drops(void)
{
    return read_sorted_rows(loaded->drops, sizeof(struct vmlat_bpf_drop_key),
                            sizeof(uint64_t));
}

static struct rows
read_flows(void)
{
    return read_sorted_rows(loaded->max_flows ? loaded->flows : -1,
                            sizeof(struct vmlat_bpf_flow_key),
                            sizeof(struct vmlat_bpf_flow));
}

static struct rows
read_handlers(void)
{
    return read_sorted_rows(loaded->handlers, sizeof(uint32_t),
                            sizeof(struct vmlat_bpf_handler));
}

size_t
vmlat_kernel_drops_read(struct vmlat_kernel_drop **drops, uint64_t *left_out)
{
    struct rows rows;
    size_t n = 0;

    *drops = NULL;
    *left_out = 0;
    if (!loaded) {
        return 0;
    }
    rows = read_drops();
    *drops = xcalloc(rows.n + 1, sizeof **drops);
    for (size_t i = 0; i < rows.n; i++) {
        struct vmlat_kernel_drop *drop = &(*drops)[n];
        const char *row = row_at(&rows, i);
        const void *was = find_row(&zero.drops, row);
        uint64_t packets_was = 0;

        memcpy(&drop->key, row, sizeof drop->key);
        memcpy(&drop->packets, row + rows.key_size, sizeof drop->packets);
        if (was) {
            memcpy(&packets_was, was, sizeof packets_was);
        }
        drop->packets -= packets_was;
        n += drop->packets != 0;
    }
    rows_destroy(&rows);
    *left_out = (load64(&loaded->stats->drops_left_out)
                 - zero.stats.drops_left_out);
    return n;
}

/* Small histograms. */

static uint64_t
small_floor(size_t bucket)
{
    size_t n_sub = 1 << VMLAT_BPF_SMALL_SUB_BITS;
    unsigned int shift;

    if (bucket < n_sub) {
        return bucket;
    }
    shift = (bucket >> VMLAT_BPF_SMALL_SUB_BITS) - 1;
    return (uint64_t) (bucket % n_sub + n_sub) << shift;
}

/* Takes 'was' from 'h'.  As for the largest sample, see add_histogram(). */
static void
small_subtract(struct vmlat_bpf_small_hist *h,
               const struct vmlat_bpf_small_hist *was)
{
    size_t highest = 0;

    h->packets -= was->packets;
    h->total -= was->total;
    for (size_t i = 0; i < VMLAT_BPF_SMALL_BUCKETS; i++) {
        h->buckets[i] -= was->buckets[i];
        highest = h->buckets[i] ? i : highest;
    }
    if (h->max == was->max && highest < VMLAT_BPF_SMALL_BUCKETS - 1) {
        h->max = MIN(h->max, small_floor(highest + 1) - 1);
    }
    if (!h->packets) {
        h->max = 0;
    }
}

uint64_t
vmlat_kernel_small_percentile(const struct vmlat_bpf_small_hist *h, double p)
{
    uint64_t n = 0, seen = 0, rank;
    double exact;

    for (size_t i = 0; i < VMLAT_BPF_SMALL_BUCKETS; i++) {
        n += h->buckets[i];
    }
    if (!n || p >= 100) {
        return n ? h->max : 0;
    }
    /* As in vmlat_snapshot_percentile(). */
    exact = p * n / 100;
    exact -= exact / 1e14;
    rank = exact;
    rank += rank < exact;
    rank = MIN(MAX(rank, 1), n);
    for (size_t i = 0; i < VMLAT_BPF_SMALL_BUCKETS - 1; i++) {
        seen += h->buckets[i];
        if (seen >= rank) {
            uint64_t floor = small_floor(i);

            return MIN(floor + (small_floor(i + 1) - 1 - floor) / 2, h->max);
        }
    }
    return h->max;
}

/* Flows and handlers. */

size_t
vmlat_kernel_flows_read(struct vmlat_kernel_flow **flows, uint64_t *left_out)
{
    struct rows rows;
    size_t n = 0;

    *flows = NULL;
    *left_out = 0;
    if (!loaded) {
        return 0;
    }
    rows = read_flows();
    *flows = xcalloc(rows.n + 1, sizeof **flows);
    for (size_t i = 0; i < rows.n; i++) {
        struct vmlat_kernel_flow *flow = &(*flows)[n];
        const char *row = row_at(&rows, i);
        const void *was = find_row(&zero.flows, row);

        memcpy(&flow->key, row, sizeof flow->key);
        memcpy(&flow->flow, row + rows.key_size, sizeof flow->flow);
        if (was) {
            struct vmlat_bpf_flow w;

            memcpy(&w, was, sizeof w);
            flow->flow.bytes -= w.bytes;
            small_subtract(&flow->flow.hist, &w.hist);
        }
        n += flow->flow.hist.packets != 0;
    }
    rows_destroy(&rows);
    *left_out = (load64(&loaded->stats->flows_left_out)
                 - zero.stats.flows_left_out);
    return n;
}

size_t
vmlat_kernel_handlers_read(struct vmlat_kernel_handler **handlers)
{
    struct rows rows;
    size_t n;

    *handlers = NULL;
    if (!loaded) {
        return 0;
    }
    rows = read_handlers();
    *handlers = xcalloc(rows.n + 1, sizeof **handlers);
    for (size_t i = 0; i < rows.n; i++) {
        struct vmlat_kernel_handler *handler = &(*handlers)[i];
        const char *row = row_at(&rows, i);
        const void *was = find_row(&zero.handlers, row);
        struct vmlat_bpf_handler *h = &handler->handler;

        memcpy(&handler->tid, row, sizeof handler->tid);
        memcpy(h, row + rows.key_size, sizeof *h);
        if (was) {
            struct vmlat_bpf_handler w;

            memcpy(&w, was, sizeof w);
            h->received -= w.received;
            h->executed -= w.executed;
            h->installed -= w.installed;
            small_subtract(&h->queue, &w.queue);
            small_subtract(&h->handling, &w.handling);
            small_subtract(&h->install, &w.install);
            small_subtract(&h->execute, &w.execute);
        }
    }
    n = rows.n;
    rows_destroy(&rows);
    return n;
}

/* Upcalls. */

void
vmlat_kernel_upcalls_sweep(struct vmlat_kernel_loaded *l)
{
    struct rows rows = read_rows(l->upcalls,
                                 sizeof(struct vmlat_bpf_upcall_key),
                                 sizeof(struct vmlat_bpf_upcall));
    uint64_t now = now_ns();

    for (size_t i = 0; i < rows.n; i++) {
        const char *row = row_at(&rows, i);
        struct vmlat_bpf_upcall_key key;
        struct vmlat_bpf_upcall upcall;
        uint64_t since;

        memcpy(&key, row, sizeof key);
        memcpy(&upcall, row + rows.key_size, sizeof upcall);
        since = upcall.packet.t[key.tid ? VMLAT_P_HANDLER : VMLAT_P_UPCALL];

        /* If it cannot be deleted a program has just taken it. */
        if (now > since && now - since > UPCALL_AGE_NS
            && !bpf_map_delete_elem(l->upcalls, &key)) {
            int copy = (upcall.packet.flags & VMLAT_PKT_COPY) != 0;
            uint64_t n;

            atomic_add(&swept[upcall.packet.in % VMLAT_MAX_PORTS][copy],
                       UINT64_C(1), &n);
        }
    }
    rows_destroy(&rows);
}

/* Events. */

static struct ovs_mutex events_mutex = OVS_MUTEX_INITIALIZER;
static struct vmlat_bpf_event events[VMLAT_KERNEL_EVENTS]
    OVS_GUARDED_BY(events_mutex);
static uint64_t n_events OVS_GUARDED_BY(events_mutex);

/* Of the events that the programs had no room for, how many vmlat/record had
 * asked for, since the last vmlat/clear.  Main thread. */
static uint64_t lost_records;

void
vmlat_kernel_event_add(const struct vmlat_bpf_event *event)
{
    ovs_mutex_lock(&events_mutex);
    events[n_events++ % VMLAT_KERNEL_EVENTS] = *event;
    ovs_mutex_unlock(&events_mutex);
}

static void
events_clear(void)
{
    ovs_mutex_lock(&events_mutex);
    n_events = 0;
    ovs_mutex_unlock(&events_mutex);
}

size_t
vmlat_kernel_events_read(struct vmlat_bpf_event **eventsp, uint64_t *n_lost)
{
    size_t n;

    ovs_mutex_lock(&events_mutex);
    n = MIN(n_events, VMLAT_KERNEL_EVENTS);
    *eventsp = xmalloc((n + 1) * sizeof **eventsp);
    for (size_t i = 0; i < n; i++) {
        (*eventsp)[i] = events[(n_events - 1 - i) % VMLAT_KERNEL_EVENTS];
    }
    *n_lost = n_events - n;
    ovs_mutex_unlock(&events_mutex);
    if (loaded) {
        uint64_t lost = (load64(&loaded->stats->events_lost)
                         - zero.stats.events_lost);

        *n_lost += lost - MIN(lost, lost_records);
    }
    return n;
}

uint64_t
vmlat_kernel_events_lost(void)
{
    return loaded ? load64(&loaded->stats->events_lost) : 0;
}

void
vmlat_kernel_events_were_records(uint64_t n)
{
    lost_records += n;
}

/* Returns true if function 'name' is there only since a program is attached:
 * it is no part of the way of a packet. */
static bool
is_of_bpf(const char *name)
{
    static const char *prefixes[] = {
        "bpf_prog_", "bpf_trampoline_", "bpf_trace_run", "__bpf_",
        "__traceiter_", "trace_call_bpf", "kprobe_", "kretprobe_",
        "aggr_pre_handler", "optimized_callback", "opt_pre_handler",
        "ftrace_", "bpf_get_stack",
    };

    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
        if (!strncmp(name, prefixes[i], strlen(prefixes[i]))) {
            return true;
        }
    }
    return false;
}

bool
vmlat_kernel_stack_format(int32_t stack, struct ds *ds)
{
    uint64_t addresses[VMLAT_BPF_STACK_DEPTH];
    struct ds scratch = DS_EMPTY_INITIALIZER;
    const char *separator = "";

    memset(addresses, 0, sizeof addresses);
    if (stack < 0 || !loaded || loaded->stacks < 0
        || bpf_map_lookup_elem(loaded->stacks, &stack, addresses)) {
        return false;
    }
    for (size_t i = 0; i < VMLAT_BPF_STACK_DEPTH && addresses[i]; i++) {
        const char *name = vmlat_kernel_function_name(addresses[i], &scratch);

        if (!separator[0] && is_of_bpf(name)) {
            continue;
        }
        ds_put_format(ds, "%s%s", separator, name);
        separator = " < ";
    }
    ds_destroy(&scratch);
    return true;
}

/* Names. */

const char *
vmlat_kernel_reason_name(uint32_t reason, struct ds *scratch)
{
    const char *name = NULL;

    if (reason == VMLAT_REASON_CONSUMED) {
        return "consumed";
    } else if (reason == VMLAT_REASON_UNKNOWN) {
        return "unknown";
    }
    if (loaded) {
        name = vmlat_kernel_symbols_reason(loaded->symbols, reason);
    }
    if (!name) {
        ds_clear(scratch);
        ds_put_format(scratch, "%#"PRIx32, reason);
        name = ds_cstr(scratch);
    }
    return name;
}

const char *
vmlat_kernel_function_name(uint64_t address, struct ds *scratch)
{
    const char *name = NULL;
    uint64_t offset;

    if (!address) {
        return "unknown";
    }
    if (loaded) {
        name = vmlat_kernel_symbols_at(loaded->symbols, address, &offset);
    }
    if (!name) {
        ds_clear(scratch);
        ds_put_format(scratch, "%#"PRIx64, address);
        name = ds_cstr(scratch);
    }
    return name;
}

long long int
vmlat_kernel_time_to_wall(uint64_t ns)
{
    uint64_t now = now_ns();

    return time_wall_msec() - ((long long int) (now - ns)) / 1000000;
}

/* Clearing. */

static void
forget_zero(void)
{
    if (zero.cpus) {
        for (size_t i = 0; i < loaded->n_cpus; i++) {
            free(zero.cpus[i]);
        }
        free(zero.cpus);
    }
    free(zero.accounts);
    rows_destroy(&zero.drops);
    rows_destroy(&zero.flows);
    rows_destroy(&zero.handlers);
    memset(&zero, 0, sizeof zero);
    lost_records = 0;
}

void
vmlat_kernel_read_set(struct vmlat_kernel_loaded *l)
{
    forget_zero();
    loaded = l;
    events_clear();
    for (size_t slot = 0; slot < VMLAT_MAX_PORTS; slot++) {
        atomic_store_relaxed(&swept[slot][0], UINT64_C(0));
        atomic_store_relaxed(&swept[slot][1], UINT64_C(0));
    }
}

/* Keeps a copy of what has been counted. */
void
vmlat_kernel_read_clear(void)
{
    if (!loaded) {
        return;
    }
    forget_zero();
    zero.accounts = xcalloc(VMLAT_BPF_PORTS, sizeof *zero.accounts);
    read_accounts(zero.accounts);
    for (size_t slot = 0; slot < VMLAT_BPF_PORTS; slot++) {
        struct vmlat_bpf_account *a = &zero.accounts[slot];

        /* What is inside counts as if it entered now: it will have its fate
         * from now on. */
        for (size_t i = 0; i < 2; i++) {
            a->entered[i] = 0;
            for (size_t j = 0; j < VMLAT_N_BPF_FATES; j++) {
                a->entered[i] += a->fates[i][j];
            }
        }
    }

    zero.cpus = xcalloc(loaded->n_cpus, sizeof *zero.cpus);
    for (size_t i = 0; i < loaded->n_cpus; i++) {
        struct cpu cpu = get_cpu(i);
        uint32_t n = MIN(load32(&cpu.cpu->n_blocks), loaded->n_blocks - 1);
        struct vmlat_bpf_cpu *copy;

        copy = xmemdup(cpu.cpu, (VMLAT_BPF_CPU_BLOCKS
                                 + (size_t) (n + 1) * VMLAT_BPF_BLOCK));
        copy->n_blocks = n;
        zero.cpus[i] = (uint8_t *) copy;
    }

    zero.drops = read_drops();
    zero.flows = read_flows();
    zero.handlers = read_handlers();
    zero.stats = *loaded->stats;
    events_clear();
}
