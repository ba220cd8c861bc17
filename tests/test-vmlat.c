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

/* Tests of the parts of vmlat that know nothing of the rest of Open vSwitch.
 *
 * Each subcommand prints what it did and exits with 0, or prints what is wrong
 * and exits with 1.  Random numbers have a fixed seed. */

#include <config.h>
#undef NDEBUG

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <netinet/icmp6.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command-line.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/util.h"
#include "ovs-thread.h"
#include "packets.h"
#include "test-vmlat.h"
#include "timeval.h"
#include "util.h"
#include "vmlat-filter.h"
#include "vmlat-histogram.h"
#include "vmlat-packet.h"

/* Errors are counted; only the first ones are shown. */
#define MAX_SHOWN 20
static int n_errors;

void
fail(const char *format, ...)
{
    va_list args;

    if (n_errors++ < MAX_SHOWN) {
        va_start(args, format);
        vprintf(format, args);
        va_end(args);
        putchar('\n');
    }
}

uint64_t
next_random(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

unsigned int
random_below(uint64_t *state, unsigned int n)
{
    return (next_random(state) >> 32) % n;
}

/* Returns a random number from 0 (exclusive) to 1. */
static double
random_unit(uint64_t *state)
{
    return ((next_random(state) >> 11) + 1) / 9007199254740992.0;
}

static void
parse_count(struct ovs_cmdl_context *ctx, unsigned int *n)
{
    if (ctx->argc > 1 && (!str_to_uint(ctx->argv[1], 10, n) || !*n)) {
        ovs_fatal(0, "%s: not a positive number", ctx->argv[1]);
    }
}

/* histogram: against exact quantiles. */

static uint64_t
draw_uniform(uint64_t *state)
{
    return next_random(state) >> 34;
}

static uint64_t
draw_exponential(uint64_t *state)
{
    return -log(random_unit(state)) * 10000;
}

static uint64_t
draw_bimodal(uint64_t *state)
{
    return (random_below(state, 10)
            ? 700 + random_below(state, 200)
            : 45000 + random_below(state, 10000));
}

/* Pareto: a tail over seven powers of ten. */
static uint64_t
draw_heavy_tailed(uint64_t *state)
{
    return 500 / random_unit(state);
}

static uint64_t
draw_constant(uint64_t *state OVS_UNUSED)
{
    return 12345;
}

static uint64_t
draw_small(uint64_t *state)
{
    return random_below(state, 64);
}

/* At and next to the limits between powers of two, all of 64 bits. */
static uint64_t
draw_edges(uint64_t *state)
{
    uint64_t x = UINT64_C(1) << random_below(state, 64);

    return x - 1 + random_below(state, 3);
}

/* One in 50 is more than a histogram can tell. */
static uint64_t
draw_overflow(uint64_t *state)
{
    return (random_below(state, 50)
            ? random_below(state, 1000000)
            : (UINT64_C(1) << 36) + random_below(state, 1000000));
}

static const struct distribution {
    const char *name;
    uint64_t (*draw)(uint64_t *state);
} distributions[] = {
    { "uniform", draw_uniform },
    { "exponential", draw_exponential },
    { "bimodal", draw_bimodal },
    { "heavy-tailed", draw_heavy_tailed },
    { "constant", draw_constant },
    { "small", draw_small },
    { "edges", draw_edges },
    { "overflow", draw_overflow },
};

/* Sorts the 'n' values at 'values', with 'scratch' of the same size. */
static void
radix_sort(uint64_t *values, uint64_t *scratch, size_t n)
{
    static size_t starts[65536];
    uint64_t *from = values;
    uint64_t *to = scratch;

    for (int shift = 0; shift < 64; shift += 16) {
        uint64_t *tmp = from;
        size_t start = 0;

        memset(starts, 0, sizeof starts);
        for (size_t i = 0; i < n; i++) {
            starts[(from[i] >> shift) & 0xffff]++;
        }
        for (int i = 0; i < 65536; i++) {
            size_t count = starts[i];

            starts[i] = start;
            start += count;
        }
        for (size_t i = 0; i < n; i++) {
            to[starts[(from[i] >> shift) & 0xffff]++] = from[i];
        }
        from = to;
        to = tmp;
    }
}

/* Every bucket starts where the one before ends, and its limits fall into
 * it. */
static void
check_buckets(void)
{
    uint64_t next = 0;

    for (unsigned int i = 0; i < VMLAT_HIST_N_BUCKETS; i++) {
        uint64_t low = vmlat_histogram_bucket_floor(i);
        uint64_t high = vmlat_histogram_bucket_ceil(i);

        if (low != next) {
            fail("bucket %u: starts at %"PRIu64", not at %"PRIu64,
                 i, low, next);
        }
        if (vmlat_histogram_bucket(low) != i
            || vmlat_histogram_bucket(high) != i) {
            fail("bucket %u: its limits are in buckets %u and %u",
                 i, vmlat_histogram_bucket(low), vmlat_histogram_bucket(high));
        }
        if (i != VMLAT_HIST_OVERFLOW && (high - low + 1) * 32 > MAX(low, 32)) {
            fail("bucket %u: wider than 1/32 of its lowest value", i);
        }
        next = high + 1;
    }
    if (next) {
        fail("the last bucket does not end at the largest number");
    }
}

static void
check_percentiles(const char *name, const struct vmlat_snapshot *snapshot,
                  const uint64_t *sorted, uint64_t n)
{
    /* In 1/1000 of a percent, so that ranks are exact integers. */
    static const int points[] = {
        0, 1, 10, 100, 1000, 5000, 10000, 25000, 33333, 50000, 75000, 90000,
        95000, 99000, 99900, 99990, 99999, 100000
    };
    double worst = 0;

    for (int i = 0; i < ARRAY_SIZE(points); i++) {
        uint64_t rank = MAX((n * points[i] + 99999) / 100000, 1);
        uint64_t exact = sorted[rank - 1];
        uint64_t value = vmlat_snapshot_percentile(snapshot,
                                                   points[i] / 1000.0);
        uint64_t error = value > exact ? value - exact : exact - value;

        if (value < sorted[0] || value > sorted[n - 1]) {
            fail("%s: percentile %g: %"PRIu64" is outside of all samples",
                 name, points[i] / 1000.0, value);
        }
        if (exact >= UINT64_C(1) << VMLAT_HIST_MAX_BITS && points[i]) {
            if (value != snapshot->max) {
                fail("%s: percentile %g: %"PRIu64", not the maximum",
                     name, points[i] / 1000.0, value);
            }
        } else if (error > exact / 64 || (exact < 64 && error)
                   || (error && (!points[i] || points[i] == 100000))) {
            fail("%s: percentile %g: %"PRIu64", exactly %"PRIu64,
                 name, points[i] / 1000.0, value, exact);
        } else if (exact) {
            worst = MAX(worst, (double) error / exact);
        }
    }
    printf("%s: %"PRIu64" samples, error %s 1/64\n",
           name, n, worst * 64 <= 1 ? "within" : "above");
}

static void
check_bucket_counts(const char *name, const struct vmlat_snapshot *snapshot,
                    const uint64_t *sorted, uint64_t n)
{
    uint64_t done = 0;

    for (unsigned int i = 0; i < VMLAT_HIST_N_BUCKETS; i++) {
        uint64_t high = vmlat_histogram_bucket_ceil(i);
        uint64_t start = done;

        while (done < n && sorted[done] <= high) {
            done++;
        }
        if (snapshot->buckets[i] != done - start) {
            fail("%s: bucket %u: %"PRIu64" samples, not %"PRIu64,
                 name, i, snapshot->buckets[i], done - start);
        }
    }
}

/* Two histograms get the samples, as two threads would have; the sum of their
 * snapshots is looked at.  Some samples come with an older epoch first. */
static void
check_distribution(const struct distribution *d, uint64_t *values,
                   uint64_t *scratch, unsigned int n)
{
    struct vmlat_histogram *h = xmalloc_cacheline(2 * sizeof *h);
    struct vmlat_snapshot snapshot, part;
    uint64_t state = 1;
    uint64_t total = 0;

    for (int i = 0; i < 2; i++) {
        vmlat_histogram_init(&h[i], 6);
        for (int j = 0; j < 1000; j++) {
            vmlat_histogram_add(&h[i], d->draw(&state), 1);
        }
        vmlat_histogram_sync(&h[i], 7);
    }

    for (unsigned int i = 0, weight; i < n; i += weight) {
        uint64_t value = d->draw(&state);

        weight = MIN(1 + (i % 32 ? 0 : random_below(&state, 3)), n - i);
        vmlat_histogram_add(&h[i & 1], value, weight);
        total += value * weight;
        for (unsigned int j = 0; j < weight; j++) {
            values[i + j] = value;
        }
    }

    vmlat_snapshot_init(&snapshot);
    vmlat_snapshot_init(&part);
    if (!vmlat_histogram_merge(&snapshot, &h[0], 7)
        || !vmlat_histogram_merge(&part, &h[1], 7)
        || vmlat_histogram_merge(&part, &h[1], 6)) {
        fail("%s: wrong epoch", d->name);
    }
    vmlat_snapshot_merge(&snapshot, &part);

    radix_sort(values, scratch, n);
    if (snapshot.count != n || snapshot.min != values[0]
        || snapshot.max != values[n - 1] || snapshot.total != total) {
        fail("%s: count %"PRIu64" min %"PRIu64" max %"PRIu64" total %"PRIu64
             ", not %u %"PRIu64" %"PRIu64" %"PRIu64, d->name,
             snapshot.count, snapshot.min, snapshot.max, snapshot.total,
             n, values[0], values[n - 1], total);
    }
    if (strcmp(d->name, "edges") /* For which 'total' wraps. */
        && vmlat_snapshot_mean(&snapshot) != (double) total / n) {
        fail("%s: mean", d->name);
    }
    check_bucket_counts(d->name, &snapshot, values, n);
    check_percentiles(d->name, &snapshot, values, n);
    free_cacheline(h);
}

/* An empty histogram, and ranks by hand. */
static void
check_small_snapshots(void)
{
    struct vmlat_histogram *h = xzalloc_cacheline(sizeof *h);
    struct vmlat_snapshot s, low;

    vmlat_snapshot_init(&s);
    if (!vmlat_histogram_merge(&s, h, 0) || s.count || s.max
        || s.min != UINT64_MAX || vmlat_snapshot_percentile(&s, 50)
        || vmlat_snapshot_mean(&s)) {
        fail("an empty histogram has samples");
    }

    /* The 999th of 1000 is the 99.9th percentile, not the 1000th. */
    vmlat_histogram_add(h, 10, 998);
    vmlat_histogram_add(h, 20, 1);
    vmlat_histogram_add(h, 30, 1);
    vmlat_histogram_merge(&s, h, 0);
    if (vmlat_snapshot_percentile(&s, 99.8) != 10
        || vmlat_snapshot_percentile(&s, 99.9) != 20
        || vmlat_snapshot_percentile(&s, 99.91) != 30) {
        fail("percentiles of 1000 samples");
    }

    /* 0.07 * 10000 / 100 is a little more than 7 for a computer. */
    vmlat_histogram_sync(h, 1);
    vmlat_histogram_add(h, 10, 7);
    vmlat_histogram_add(h, 20, 9993);
    vmlat_snapshot_init(&s);
    vmlat_histogram_merge(&s, h, 1);
    if (vmlat_snapshot_percentile(&s, 0.07) != 10) {
        fail("percentile 0.07 of 10000 samples");
    }

    /* A snapshot with lower ones and one with higher ones are added. */
    vmlat_histogram_sync(h, 2);
    vmlat_histogram_add(h, 5, 1);
    vmlat_snapshot_init(&low);
    vmlat_histogram_merge(&low, h, 2);
    vmlat_snapshot_merge(&s, &low);
    if (s.count != 10001 || s.min != 5 || s.max != 20
        || s.total != 70 + 199860 + 5) {
        fail("snapshot with a smaller minimum added");
    }
    vmlat_snapshot_init(&s);
    vmlat_snapshot_merge(&low, &s);
    if (low.count != 1 || low.min != 5 || low.max != 5) {
        fail("empty snapshot added");
    }

    vmlat_histogram_sync(h, 3);
    vmlat_histogram_add(h, 0, 1);
    vmlat_histogram_add(h, UINT64_MAX, 1);
    vmlat_snapshot_init(&s);
    vmlat_histogram_merge(&s, h, 3);
    if (s.count != 2 || s.min || s.max != UINT64_MAX
        || vmlat_snapshot_percentile(&s, 75) != UINT64_MAX) {
        fail("the smallest and the largest number");
    }
    free_cacheline(h);
}

/* Buckets that stand for coarser ones, as those between ports and VMs do. */
static void
check_coarse(void)
{
    struct vmlat_snapshot s;
    uint64_t last = 0;

    for (unsigned int i = 0; i < VMLAT_HIST_OVERFLOW; i += VMLAT_HIST_COARSE) {
        uint64_t low = vmlat_histogram_coarse_floor(i + 2);
        uint64_t high = vmlat_histogram_coarse_ceil(i + 2);

        if (low != vmlat_histogram_bucket_floor(i)
            || high != vmlat_histogram_bucket_ceil(i + 3)
            || low != (i ? last + 1 : 0)
            || high - low + 1 > MAX(low / 8, 8)) {
            fail("coarse bucket %u is from %"PRIu64" to %"PRIu64, i, low,
                 high);
        }
        last = high;
    }

    /* The smallest and the largest are in other fine buckets than those that
     * stand for them; the bounds when they may be old. */
    vmlat_snapshot_init(&s);
    s.buckets[vmlat_histogram_bucket(1024) + 2] = 3;
    s.buckets[vmlat_histogram_bucket(4096) + 2] = 1;
    s.count = 4;
    s.min = 1030;
    s.max = 4600;
    if (vmlat_snapshot_percentile(&s, 50) < 1024
        || vmlat_snapshot_percentile(&s, 50) >= 1024 + 128
        || vmlat_snapshot_percentile(&s, 99) < 4096
        || vmlat_snapshot_percentile(&s, 99) > 4600) {
        fail("percentiles of a coarse snapshot");
    }
    vmlat_snapshot_bound(&s, UINT64_MAX, 0, true);
    if (s.min != 1030 || s.max != 4600) {
        fail("the smallest and the largest are new");
    }
    s.min = 7;
    s.max = 99999;
    vmlat_snapshot_bound(&s, 7, 99999, true);
    if (s.min != 1024 || s.max != 4096 + 512 - 1) {
        fail("bounds for the smallest and the largest: %"PRIu64", %"PRIu64,
             s.min, s.max);
    }
    s.buckets[VMLAT_HIST_OVERFLOW] = 96;
    s.count = 100;
    s.max = UINT64_C(30000000000);
    if (vmlat_snapshot_percentile(&s, 50) != s.max) {
        fail("percentile beyond the last coarse bucket");
    }
}

static void
test_histogram(struct ovs_cmdl_context *ctx)
{
    unsigned int n = 10 * 1000 * 1000;
    uint64_t *values, *scratch;

    parse_count(ctx, &n);
    check_buckets();
    check_small_snapshots();
    check_coarse();
    values = xmalloc(n * sizeof *values);
    scratch = xmalloc(n * sizeof *scratch);
    for (int i = 0; i < ARRAY_SIZE(distributions); i++) {
        check_distribution(&distributions[i], values, scratch, n);
    }
    free(values);
    free(scratch);
}

/* histogram-threads: one writer, many readers, and clears, in three ways:
 *
 * - from a thread of its own, now and then;
 *
 * - all the time, by the writer, on one CPU for all threads, so that the
 *   writer is preempted in the middle of emptying;
 *
 * - never, to a histogram that seems to be emptied.
 *
 * A sample of epoch E falls into a bucket the number of which leaves the same
 * remainder as E when divided by 16, so that no sample of an older epoch can
 * be taken for one of the current.  The buckets are spread so that emptying
 * and reading take long enough to meet. */

#define THREADS_FIRST 64
#define THREADS_LAST 640
#define THREADS_MOD 16
#define N_READERS 2

/* The writer tells in 'adding' what it is about to have added, in 'added' what
 * it certainly has: the epoch in the upper 32 bits, the count of samples in
 * the lower ones. */
struct threads {
    struct vmlat_histogram *h;
    atomic_uint32_t epoch;
    atomic_bool stop;
    atomic_uint64_t adding;
    atomic_uint64_t added;
    uint64_t total;             /* Of the last epoch, in the end. */
    bool writer_clears;         /* A new epoch with each batch. */
    bool one_cpu;
};

struct reader {
    struct threads *t;
    pthread_t thread;
    uint64_t n_reads;           /* Merged snapshots. */
    uint64_t n_other;           /* Histogram held another epoch. */
    uint64_t n_bad;
};

static void
stay_on_one_cpu(const struct threads *t)
{
    if (t->one_cpu) {
        cpu_set_t cpus;

        if (!sched_getaffinity(0, sizeof cpus, &cpus)) {
            for (int i = 0, n = 0; i < CPU_SETSIZE; i++) {
                if (CPU_ISSET(i, &cpus) && n++) {
                    CPU_CLR(i, &cpus);
                }
            }
            sched_setaffinity(0, sizeof cpus, &cpus);
        }
    }
}

static void *
writer_main(void *t_)
{
    struct threads *t = t_;
    uint64_t state = 1;
    uint32_t epoch = 0;
    uint64_t n = 0;
    uint64_t total = 0;
    bool stop;

    stay_on_one_cpu(t);
    do {
        uint32_t current;

        atomic_read_relaxed(&t->stop, &stop);
        atomic_read_relaxed(&t->epoch, &current);
        if (t->writer_clears) {
            current++;
        }
        if (current != epoch) {
            epoch = current;
            n = 0;
            total = 0;
            atomic_store(&t->adding, (uint64_t) epoch << 32);
            vmlat_histogram_sync(t->h, epoch);
            atomic_store(&t->added, (uint64_t) epoch << 32);
            if (t->writer_clears) {
                /* Late, so that readers ask for the one before meanwhile. */
                atomic_store(&t->epoch, epoch);
            }
        }
        vmlat_histogram_sync(t->h, epoch);

        for (int i = 0; i < 32; i++) {
            unsigned int bucket = THREADS_FIRST + epoch % THREADS_MOD
                + random_below(&state, (THREADS_LAST - THREADS_FIRST)
                                       / THREADS_MOD) * THREADS_MOD;
            uint64_t value = vmlat_histogram_bucket_floor(bucket);
            unsigned int weight = 1 + (i & 1);

            n += weight;
            total += value * weight;
            atomic_store_explicit(&t->adding, ((uint64_t) epoch << 32) + n,
                                  memory_order_release);
            atomic_thread_fence(memory_order_seq_cst);
            vmlat_histogram_add(t->h, value, weight);
            atomic_store_explicit(&t->added, ((uint64_t) epoch << 32) + n,
                                  memory_order_release);
        }
    } while (!stop);
    t->total = total;
    return NULL;
}

/* Returns true if 's', read in epoch 'epoch' between 'added' and 'adding', can
 * have been true. */
static bool
is_plausible(const struct vmlat_snapshot *s, uint32_t epoch,
             uint64_t added, uint64_t adding)
{
    uint64_t count = 0;

    for (unsigned int i = 0; i < VMLAT_HIST_N_BUCKETS; i++) {
        if (s->buckets[i]
            && (i % THREADS_MOD != epoch % THREADS_MOD
                || vmlat_histogram_bucket_ceil(i) < s->min
                || vmlat_histogram_bucket_floor(i) > s->max)) {
            return false;
        }
        count += s->buckets[i];
    }
    if (count != s->count
        || (added >> 32 == epoch && count < (uint32_t) added)
        || (adding >> 32 == epoch && count > (uint32_t) adding)) {
        return false;
    }
    return (!count
            || (vmlat_histogram_bucket(s->min) % THREADS_MOD
                == epoch % THREADS_MOD
                && vmlat_histogram_bucket(s->max) % THREADS_MOD
                   == epoch % THREADS_MOD
                && s->total >= count * s->min));
}

static void *
reader_main(void *r_)
{
    struct vmlat_snapshot *s = xmalloc(sizeof *s);
    struct reader *r = r_;
    struct threads *t = r->t;
    bool stop;

    stay_on_one_cpu(t);
    do {
        uint64_t added, adding;
        uint32_t epoch;

        atomic_read_relaxed(&t->stop, &stop);
        atomic_read(&t->added, &added);
        atomic_read(&t->epoch, &epoch);
        vmlat_snapshot_init(s);
        if (vmlat_histogram_merge(s, t->h, epoch)) {
            atomic_thread_fence(memory_order_seq_cst);
            atomic_read(&t->adding, &adding);
            r->n_reads++;
            r->n_bad += !is_plausible(s, epoch, added, adding);
        } else {
            r->n_other++;
            r->n_bad += s->count != 0;
        }
    } while (!stop);
    free(s);
    return NULL;
}

static void
check_threads(const char *name, unsigned int ms, bool writer_clears)
{
    struct reader readers[N_READERS];
    uint64_t n_reads = 0, n_other = 0, n_bad = 0;
    uint64_t added, state = 2;
    struct vmlat_snapshot s;
    struct threads t;
    pthread_t writer;
    long long int end;
    uint32_t epoch;

    memset(&t, 0, sizeof t);
    t.h = xzalloc_cacheline(sizeof *t.h);
    t.writer_clears = t.one_cpu = writer_clears;
    atomic_init(&t.epoch, 0);
    atomic_init(&t.stop, false);
    writer = ovs_thread_create("writer", writer_main, &t);
    for (int i = 0; i < N_READERS; i++) {
        readers[i] = (struct reader) { .t = &t };
        readers[i].thread = ovs_thread_create("reader", reader_main,
                                              &readers[i]);
    }

    end = time_msec() + ms;
    for (epoch = 1; time_msec() < end; epoch++) {
        xnanosleep(random_below(&state, 100000));
        if (!writer_clears) {
            atomic_store(&t.epoch, epoch);
        }
    }
    xnanosleep(10000000);
    atomic_store(&t.stop, true);

    xpthread_join(writer, NULL);
    for (int i = 0; i < N_READERS; i++) {
        xpthread_join(readers[i].thread, NULL);
        n_reads += readers[i].n_reads;
        n_other += readers[i].n_other;
        n_bad += readers[i].n_bad;
    }
    if (n_bad) {
        fail("%s: %"PRIu64" of %"PRIu64" snapshots cannot have been true",
             name, n_bad, n_reads + n_other);
    }
    atomic_read(&t.epoch, &epoch);
    if (n_reads < 100 || epoch < 10) {
        fail("%s: only %"PRIu64" snapshots, %"PRIu32" epochs",
             name, n_reads, epoch);
    }

    vmlat_snapshot_init(&s);
    atomic_read(&t.added, &added);
    if (!vmlat_histogram_merge(&s, t.h, epoch)
        || added >> 32 != epoch || s.count != (uint32_t) added
        || s.total != t.total) {
        fail("%s: in the end: epoch %"PRIu64" count %"PRIu64" total %"PRIu64
             ", not %"PRIu32" %"PRIu32" %"PRIu64, name, added >> 32, s.count,
             s.total, epoch, (uint32_t) added, t.total);
    }
    free_cacheline(t.h);
    fprintf(stderr, "%s: %"PRIu64" snapshots, %"PRIu64" of another epoch, "
            "%"PRIu32" epochs\n", name, n_reads, n_other, epoch);
}

static void *
waiter_main(void *t_)
{
    struct threads *t = t_;
    struct vmlat_snapshot s;

    vmlat_snapshot_init(&s);
    if (!vmlat_histogram_merge(&s, t->h, 0) || s.count != 1) {
        ovs_abort(0, "the sample is lost");
    }
    atomic_store(&t->stop, true);
    return NULL;
}

/* A reader waits for a writer that is in the middle of emptying. */
static void
check_waiting(void)
{
    struct threads t;
    pthread_t reader;
    bool stopped;

    memset(&t, 0, sizeof t);
    atomic_init(&t.stop, false);
    t.h = xzalloc_cacheline(sizeof *t.h);
    vmlat_histogram_add(t.h, 100, 1);
    atomic_store(&t.h->seq, 1);
    reader = ovs_thread_create("reader", waiter_main, &t);
    xnanosleep(20000000);
    atomic_read(&t.stop, &stopped);
    if (stopped) {
        fail("did not wait for the writer");
    }
    atomic_store(&t.h->seq, 2);
    xpthread_join(reader, NULL);
    free_cacheline(t.h);
}

static void
test_histogram_threads(struct ovs_cmdl_context *ctx)
{
    unsigned int ms = 2000;

    parse_count(ctx, &ms);
    check_waiting();
    check_threads("cleared now and then", ms, false);
    check_threads("cleared all the time", ms, true);
}

/* filter: arguments, separated by spaces, and the filter that they make or
 * what is wrong with the last of them. */

static const struct filter_case {
    const char *args;
    const char *filter;         /* As vmlat_filter_format() puts it. */
    const char *error;
} filter_cases[] = {
    { "", "", NULL },

    /* Addresses. */
    { "src=10.0.0.1", "src=10.0.0.1", NULL },
    { "src=10.1.2.3/8", "src=10.0.0.0/8", NULL },
    { "src=10.1.2.3/255.255.0.0", "src=10.1.0.0/16", NULL },
    { "src=10.1.2.3/32", "src=10.1.2.3", NULL },
    { "dst=1.2.3.4/0", "dst=0.0.0.0/0", NULL },
    { "dst=fe80::1", "dst=fe80::1", NULL },
    { "dst=2001:db8:1:2::3/32", "dst=2001:db8::/32", NULL },
    { "dst=2001:db8::/ffff:ffff::", "dst=2001:db8::/32", NULL },
    { "src=::/0", "src=::/0", NULL },
    { "dst=10.0.0.2 src=10.0.0.1", "src=10.0.0.1 dst=10.0.0.2", NULL },
    { "src=10.0.0.300", NULL,
      "src=10.0.0.300: not an IPv4 or IPv6 address or prefix" },
    { "src=10.0.0", NULL,
      "src=10.0.0: not an IPv4 or IPv6 address or prefix" },
    { "src=10.0.0.010", NULL,
      "src=10.0.0.010: not an IPv4 or IPv6 address or prefix" },
    { "dst=10.0.0.1x", NULL,
      "dst=10.0.0.1x: not an IPv4 or IPv6 address or prefix" },
    { "src=", NULL, "src=: not an IPv4 or IPv6 address or prefix" },
    { "src=/8", NULL, "src=/8: not an IPv4 or IPv6 address or prefix" },
    { "src=fe80::1::2", NULL,
      "src=fe80::1::2: not an IPv4 or IPv6 address or prefix" },
    { "src=vm1", NULL, "src=vm1: not an IPv4 or IPv6 address or prefix" },
    { "src=10.0.0.0/33", NULL,
      "src=10.0.0.0/33: the prefix length of an IPv4 address is 0 to 32" },
    { "src=10.0.0.0/", NULL,
      "src=10.0.0.0/: the prefix length of an IPv4 address is 0 to 32" },
    { "src=10.0.0.0/-1", NULL,
      "src=10.0.0.0/-1: the prefix length of an IPv4 address is 0 to 32" },
    { "src=10.0.0.0/8/8", NULL,
      "src=10.0.0.0/8/8: the prefix length of an IPv4 address is 0 to 32" },
    { "src=10.0.0.0/4294967304", NULL,
      "src=10.0.0.0/4294967304: the prefix length of an IPv4 address is "
      "0 to 32" },
    { "src=fe80::/129", NULL,
      "src=fe80::/129: the prefix length of an IPv6 address is 0 to 128" },
    { "src=10.0.0.1 src=10.0.0.2", NULL,
      "src=10.0.0.2: src was given before" },
    { "src=10.0.0.1 dst=fe80::1", NULL,
      "dst=fe80::1: is for IPv6, but an earlier argument is for IPv4: "
      "nothing can match both" },
    { "proto=icmp6 src=10.0.0.1", NULL,
      "src=10.0.0.1: is for IPv4, but an earlier argument is for IPv6: "
      "nothing can match both" },
    { "dst=::1 proto=icmp", NULL,
      "proto=icmp: is for IPv4, but an earlier argument is for IPv6: "
      "nothing can match both" },

    /* Ports and protocols. */
    { "sport=0", "sport=0", NULL },
    { "dport=65535", "dport=65535", NULL },
    { "proto=tcp sport=80 dport=0443", "sport=80 dport=443 proto=tcp", NULL },
    { "proto=UDP", "proto=udp", NULL },
    { "proto=icmp src=10.0.0.1", "src=10.0.0.1 proto=icmp", NULL },
    { "proto=icmp6", "proto=icmp6", NULL },
    { "sport=65536", NULL,
      "sport=65536: not a port number, which is 0 to 65535" },
    { "sport=4294967376", NULL,
      "sport=4294967376: not a port number, which is 0 to 65535" },
    { "dport=-1", NULL, "dport=-1: not a port number, which is 0 to 65535" },
    { "dport=0x50", NULL,
      "dport=0x50: not a port number, which is 0 to 65535" },
    { "dport=http", NULL,
      "dport=http: not a port number, which is 0 to 65535" },
    { "dport=", NULL, "dport=: not a port number, which is 0 to 65535" },
    { "sport=1 sport=1", NULL, "sport=1: sport was given before" },
    { "proto=icmp sport=80", NULL,
      "sport=80: the protocol given before has no ports; tcp and udp have" },
    { "dport=80 proto=icmp6", NULL,
      "proto=icmp6: icmp6 has no ports, but sport or dport was given "
      "before" },
    { "proto=sctp", NULL, "proto=sctp: not one of tcp, udp, icmp, icmp6" },
    { "proto=6", NULL, "proto=6: not one of tcp, udp, icmp, icmp6" },
    { "proto=", NULL, "proto=: not one of tcp, udp, icmp, icmp6" },
    { "proto=tcp proto=udp", NULL, "proto=udp: proto was given before" },

    /* Port, direction, latency. */
    { "port=vhost-user-1", "port=vhost-user-1", NULL },
    { "port=a=b", "port=a=b", NULL },
    { "port=", NULL, "port=: the name of a port is missing" },
    { "port=a port=b", NULL, "port=b: port was given before" },
    { "direction=vm>wire", "direction=vm>wire", NULL },
    { "direction=vm-vm", "direction=vm>vm", NULL },
    { "direction=host:vm", "direction=host>vm", NULL },
    { "direction=wire-to-host", "direction=wire>host", NULL },
    { "direction=VM-TO-HOST", "direction=vm>host", NULL },
    { "direction=vm", NULL,
      "direction=vm: not one of vm>wire, wire>vm, vm>vm, vm>host, host>vm, "
      "wire>wire, host>wire, wire>host, host>host (or vm-wire, and so on)" },
    { "direction=vm>wires", NULL,
      "direction=vm>wires: not one of vm>wire, wire>vm, vm>vm, vm>host, "
      "host>vm, wire>wire, host>wire, wire>host, host>host "
      "(or vm-wire, and so on)" },
    { "min-us=100", "min-us=100", NULL },
    { "min-us=0", "min-us=0", NULL },
    { "min-us=1.5", "min-us=1.5", NULL },
    { "min-us=.025", "min-us=0.025", NULL },
    { "min-us=3.", "min-us=3", NULL },
    { "min-us=7.040", "min-us=7.04", NULL },
    { "min-us=1000000000", "min-us=1000000000", NULL },
    { "min-us=", NULL,
      "min-us=: not a number of microseconds, such as 100 or 0.25" },
    { "min-us=.", NULL,
      "min-us=.: not a number of microseconds, such as 100 or 0.25" },
    { "min-us=-1", NULL,
      "min-us=-1: not a number of microseconds, such as 100 or 0.25" },
    { "min-us=1e3", NULL,
      "min-us=1e3: not a number of microseconds, such as 100 or 0.25" },
    { "min-us=100us", NULL,
      "min-us=100us: not a number of microseconds, such as 100 or 0.25" },
    { "min-us=0.0001", NULL,
      "min-us=0.0001: more than 3 decimals: the unit is the microsecond, "
      "nanoseconds are all there is" },
    { "min-us=1000000000.001", NULL,
      "min-us=1000000000.001: more than 1000000000 microseconds" },
    { "min-us=99999999999999999999", NULL,
      "min-us=99999999999999999999: more than 1000000000 microseconds" },

    /* All together, and what is no filter. */
    { "min-us=2 direction=vm>vm port=p proto=udp dport=2 sport=1 dst=::2 "
      "src=::1",
      "src=::1 dst=::2 sport=1 dport=2 proto=udp port=p direction=vm>vm "
      "min-us=2", NULL },
    { "color=blue", NULL,
      "color=blue: unknown filter, known are src=, dst=, sport=, dport=, "
      "proto=, port=, direction=, min-us=" },
    { "=1", NULL,
      "=1: unknown filter, known are src=, dst=, sport=, dport=, proto=, "
      "port=, direction=, min-us=" },
    { "sr=10.0.0.1", NULL,
      "sr=10.0.0.1: unknown filter, known are src=, dst=, sport=, dport=, "
      "proto=, port=, direction=, min-us=" },
};

/* Parses the arguments in 'args', separated by spaces, into 'f', up to the
 * first that is wrong.  Returns what is wrong with it, NULL if nothing is. */
static char *
parse_args(struct vmlat_filter *f, const char *args)
{
    char *copy = xstrdup(args);
    char *save_ptr = NULL;
    char *error = NULL;

    for (char *arg = strtok_r(copy, " ", &save_ptr); arg && !error;
         arg = strtok_r(NULL, " ", &save_ptr)) {
        struct vmlat_filter before;
        bool recognised, known;

        vmlat_filter_clone(&before, f);
        error = vmlat_filter_parse_arg(f, arg, &recognised);
        if (error && !vmlat_filter_equal(f, &before)) {
            fail("%s: changed the filter", arg);
        }
        known = !error || !strstr(error, "unknown");
        if (recognised != known) {
            fail("%s: %srecognised", arg, recognised ? "" : "not ");
        }
        vmlat_filter_destroy(&before);
    }
    free(copy);
    return error;
}

static void
check_filter_case(const struct filter_case *c)
{
    struct vmlat_filter f, again;
    struct ds ds = DS_EMPTY_INITIALIZER;
    char *error;

    vmlat_filter_init(&f);
    error = parse_args(&f, c->args);
    if (!nullable_string_is_equal(error, c->error)) {
        fail("'%s': got \"%s\", expected \"%s\"", c->args,
             error ? error : "success", c->error ? c->error : "success");
    } else if (!error) {
        vmlat_filter_format(&f, &ds);
        if (strcmp(ds_cstr(&ds), c->filter)) {
            fail("'%s': makes '%s', not '%s'",
                 c->args, ds_cstr(&ds), c->filter);
        }

        vmlat_filter_init(&again);
        error = parse_args(&again, ds_cstr(&ds));
        if (error || !vmlat_filter_equal(&f, &again)) {
            fail("'%s': '%s' makes another filter", c->args, ds_cstr(&ds));
        }
        if (c->args[0]) {
            vmlat_filter_destroy(&again);
            vmlat_filter_init(&again);
            if (vmlat_filter_equal(&f, &again)) {
                fail("'%s': equal to the empty filter", c->args);
            }
        }
        vmlat_filter_destroy(&again);
        ds_destroy(&ds);
    }
    free(error);
    vmlat_filter_destroy(&f);
}

static void
print_key(const char *name, const char *value, const char *help,
          void *aux OVS_UNUSED)
{
    printf("%s=%s: %s\n", name, value, help);
}

static void
test_filter(struct ovs_cmdl_context *ctx OVS_UNUSED)
{
    struct vmlat_filter f;
    bool recognised;
    char *error;

    for (int i = 0; i < ARRAY_SIZE(filter_cases); i++) {
        check_filter_case(&filter_cases[i]);
    }
    for (int i = 0; i < VMLAT_N_DIRECTIONS; i++) {
        enum vmlat_direction d;

        if (!vmlat_direction_from_string(vmlat_direction_to_string(i), &d)
            || d != i) {
            fail("direction %d", i);
        }
    }

    /* An argument without "=" is left to the caller. */
    vmlat_filter_init(&f);
    error = vmlat_filter_parse_arg(&f, "br0", &recognised);
    if (error || recognised || f.keys) {
        fail("br0: taken for a filter");
    }
    free(error);

    printf("%"PRIuSIZE" filters\n", ARRAY_SIZE(filter_cases));
    vmlat_filter_for_each_key(print_key, NULL);
}

/* packet: bytes in hexadecimal and the line that describes them. */

#define MACS "020000000002 020000000001 "
#define V4_ADDRS "0a000001 0a000002 "
#define V6_ADDRS "fe800000000000000000000000000001 " \
                 "20010db8000000000000000000000002 "
#define UDP_8080_80 "1f90 0050 0008 0000 "
#define TCP_8080_80 "1f90 0050 000004d2 00000000 5002 ffff 0000 0000 "

static const struct packet_case {
    const char *hex;
    const char *line;
} packet_cases[] = {
    /* Plain ones. */
    { MACS "0800 4500001c 00004000 40110000 " V4_ADDRS UDP_8080_80,
      "udp 10.0.0.1:8080 > 10.0.0.2:80" },
    { MACS "0800 45000028 00004000 40060000 " V4_ADDRS TCP_8080_80,
      "tcp 10.0.0.1:8080 > 10.0.0.2:80 seq 1234 flags S" },
    { MACS "0800 45000020 00004000 40840000 " V4_ADDRS
      "1f90 0050 00000001 00000000",
      "sctp 10.0.0.1:8080 > 10.0.0.2:80" },
    { MACS "0800 4500001c 00004000 40010000 " V4_ADDRS "0800 0000 0007 0003",
      "icmp 10.0.0.1 > 10.0.0.2 echo-request id 7 seq 3" },
    { MACS "0800 4500001c 00004000 40010000 " V4_ADDRS "0000 0000 0007 0003",
      "icmp 10.0.0.1 > 10.0.0.2 echo-reply id 7 seq 3" },
    { MACS "0800 4500001c 00004000 40010000 " V4_ADDRS "0301 0000 0000 0000",
      "icmp 10.0.0.1 > 10.0.0.2 unreachable code 1" },
    { MACS "0800 4500001c 00004000 40010000 " V4_ADDRS "0d00 0000 0000 0000",
      "icmp 10.0.0.1 > 10.0.0.2 type 13 code 0" },
    { MACS "0800 45000018 00004000 402f0000 " V4_ADDRS "0000 0800",
      "ip proto 47 10.0.0.1 > 10.0.0.2" },
    { MACS "86dd 60000000 0008 1140 " V6_ADDRS UDP_8080_80,
      "udp [fe80::1]:8080 > [2001:db8::2]:80" },
    { MACS "86dd 60000000 0014 0640 " V6_ADDRS TCP_8080_80,
      "tcp [fe80::1]:8080 > [2001:db8::2]:80 seq 1234 flags S" },
    { MACS "86dd 60000000 0008 3a40 " V6_ADDRS "8000 0000 0007 0003",
      "icmp6 fe80::1 > 2001:db8::2 echo-request id 7 seq 3" },
    { MACS "86dd 60000000 0008 3aff " V6_ADDRS "8700 0000 0000 0000",
      "icmp6 fe80::1 > 2001:db8::2 neighbor-solicitation" },
    { MACS "86dd 60000000 0000 3b40 " V6_ADDRS,
      "ip6 proto 59 fe80::1 > 2001:db8::2" },
    { MACS "0806 0001 0800 06 04 0001 020000000001 0a000001 000000000000 "
      "0a000002", "arp request 10.0.0.1 > 10.0.0.2" },
    { MACS "0806 0001 0800 06 04 0002 020000000001 0a000001 020000000002 "
      "0a000002", "arp reply 10.0.0.1 > 10.0.0.2" },
    { MACS "0806 0006 0800 06 04 0001", "arp" },
    { MACS "88cc 0207", "eth type 0x88cc" },
    { MACS "0026 4242 03", "eth length 38" },

    /* ICMP of the other IP version. */
    { MACS "0800 4500001c 00004000 403a0000 " V4_ADDRS "8000 0000 0007 0003",
      "ip proto 58 10.0.0.1 > 10.0.0.2" },
    { MACS "86dd 60000000 0008 0140 " V6_ADDRS "0800 0000 0007 0003",
      "ip6 proto 1 fe80::1 > 2001:db8::2" },

    /* VLANs. */
    { MACS "8100 200a 0800 4500001c 00004000 40110000 " V4_ADDRS UDP_8080_80,
      "vlan 10 udp 10.0.0.1:8080 > 10.0.0.2:80" },
    { MACS "88a8 000a 8100 6014 0800 45000028 00004000 40060000 " V4_ADDRS
      TCP_8080_80,
      "vlan 10/20 tcp 10.0.0.1:8080 > 10.0.0.2:80 seq 1234 flags S" },
    { MACS "8100 000a 8100 0014 8100 001e 8100 0028 86dd 60000000 0008 1140 "
      V6_ADDRS UDP_8080_80,
      "vlan 10/20/+2 udp [fe80::1]:8080 > [2001:db8::2]:80" },
    { MACS "8100 0001 8100 0002 8100 0003 8100 0004 8100 0005 8100 0006 "
      "8100 0007 8100 0008 88cc", "vlan 1/2/+6 eth type 0x88cc" },
    { MACS "8100 0001 8100 0002 8100 0003 8100 0004 8100 0005 8100 0006 "
      "8100 0007 8100 0008 8100 0009 88cc", "vlan 1/2/+6 eth malformed" },

    /* IPv4: options, fragments. */
    { MACS "0800 46000020 00004000 40110000 " V4_ADDRS "94040000 "
      UDP_8080_80, "udp 10.0.0.1:8080 > 10.0.0.2:80" },
    { MACS "0800 4f000044 00004000 40110000 " V4_ADDRS
      "01010101010101010101010101010101010101010101010101010101010101010101"
      "010101010100" UDP_8080_80, "udp 10.0.0.1:8080 > 10.0.0.2:80" },
    { MACS "0800 4500001c 00002000 40110000 " V4_ADDRS UDP_8080_80,
      "udp 10.0.0.1:8080 > 10.0.0.2:80 first fragment" },
    { MACS "0800 4500001c 000020b9 40110000 " V4_ADDRS UDP_8080_80,
      "udp 10.0.0.1 > 10.0.0.2 later fragment" },
    { MACS "0800 4500001c 00000001 40060000 " V4_ADDRS UDP_8080_80,
      "tcp 10.0.0.1 > 10.0.0.2 later fragment" },

    /* IPv6: hop-by-hop, routing, destination, fragment, AH. */
    { MACS "86dd 60000000 003c 0040 " V6_ADDRS
      "2b00050200000000 3c000000ff000000 2c01000000000000 0000000000000000 "
      "3300000000000001 1101000000000000 00000000 " UDP_8080_80,
      "udp [fe80::1]:8080 > [2001:db8::2]:80" },
    { MACS "86dd 60000000 0010 2c40 " V6_ADDRS "1100000100000001 "
      UDP_8080_80,
      "udp [fe80::1]:8080 > [2001:db8::2]:80 first fragment" },
    { MACS "86dd 60000000 0010 2c40 " V6_ADDRS "1100000900000001 "
      UDP_8080_80, "udp fe80::1 > 2001:db8::2 later fragment" },
    { MACS "86dd 60000000 0010 2c40 " V6_ADDRS "3c00000800000001 "
      UDP_8080_80, "ip6 proto 60 fe80::1 > 2001:db8::2 later fragment" },
    { MACS "86dd 60000000 0048 0040 " V6_ADDRS
      "3c00010400000000 3c00010400000000 3c00010400000000 3c00010400000000 "
      "3c00010400000000 3c00010400000000 3c00010400000000 1100010400000000 "
      UDP_8080_80, "udp [fe80::1]:8080 > [2001:db8::2]:80" },
    { MACS "86dd 60000000 0050 0040 " V6_ADDRS
      "3c00010400000000 3c00010400000000 3c00010400000000 3c00010400000000 "
      "3c00010400000000 3c00010400000000 3c00010400000000 3c00010400000000 "
      "1100010400000000 " UDP_8080_80,
      "ip6 fe80::1 > 2001:db8::2 malformed" },
    { MACS "86dd 60000000 0010 0040 " V6_ADDRS "11ff010400000000 "
      UDP_8080_80, "ip6 fe80::1 > 2001:db8::2 truncated" },

    /* Headers that lie. */
    { MACS "0800 5500001c 00004000 40110000 " V4_ADDRS UDP_8080_80,
      "ip malformed" },
    { MACS "0800 4400001c 00004000 40110000 " V4_ADDRS UDP_8080_80,
      "ip malformed" },
    { MACS "0800 45000013 00004000 40110000 " V4_ADDRS UDP_8080_80,
      "ip malformed" },
    { MACS "86dd 40000000 0008 1140 " V6_ADDRS UDP_8080_80,
      "ip6 malformed" },

    /* What looks like ports is padding; no length, for offload. */
    { MACS "0800 45000014 00004000 40110000 " V4_ADDRS UDP_8080_80,
      "udp 10.0.0.1 > 10.0.0.2 truncated" },
    { MACS "0800 45000018 00004000 40110000 " V4_ADDRS UDP_8080_80,
      "udp 10.0.0.1:8080 > 10.0.0.2:80 truncated" },
    { MACS "0800 45000000 00004000 40110000 " V4_ADDRS UDP_8080_80,
      "udp 10.0.0.1:8080 > 10.0.0.2:80" },
    { MACS "86dd 60000000 0002 1140 " V6_ADDRS UDP_8080_80,
      "udp fe80::1 > 2001:db8::2 truncated" },
    { MACS "86dd 60000000 0000 1140 " V6_ADDRS UDP_8080_80,
      "udp [fe80::1]:8080 > [2001:db8::2]:80" },

    /* Cut short. */
    { "", "eth truncated" },
    { "020000000002 0200000000", "eth truncated" },
    { MACS, "eth truncated" },
    { MACS "8100 000a", "vlan 10 eth truncated" },
    { MACS "8100 00", "eth truncated" },
    { MACS "0800", "ip truncated" },
    { MACS "86dd 6000", "ip6 truncated" },
    { MACS "0806 0001 0800 06", "arp truncated" },
    { MACS "0806 0001 0800 06 04 0001 020000000001", "arp truncated" },
    { MACS "0800 45000028 00004000 40060000 " V4_ADDRS "1f90 00",
      "tcp 10.0.0.1 > 10.0.0.2 truncated" },
    { MACS "0800 45000028 00004000 40060000 " V4_ADDRS "1f90 0050",
      "tcp 10.0.0.1:8080 > 10.0.0.2:80 truncated" },
    { MACS "0800 45000028 00004000 40060000 " V4_ADDRS "1f90 0050 000004d2",
      "tcp 10.0.0.1:8080 > 10.0.0.2:80 seq 1234 truncated" },
    { MACS "0800 4500001c 00004000 40010000 " V4_ADDRS "0301 0000",
      "icmp 10.0.0.1 > 10.0.0.2 unreachable code 1 truncated" },
    { MACS "86dd 60000000 0004 3a40 " V6_ADDRS "0300 0000",
      "icmp6 fe80::1 > 2001:db8::2 time-exceeded" },
    { MACS "86dd 60000000 0003 3a40 " V6_ADDRS "0300 0000",
      "icmp6 fe80::1 > 2001:db8::2 time-exceeded truncated" },
    { MACS "0800 4500001c 00004000 40010000 " V4_ADDRS "0800 0000 0007",
      "icmp 10.0.0.1 > 10.0.0.2 echo-request truncated" },
};

/* Parses hexadecimal digits, with spaces anywhere, into 'bytes', which has
 * room for 'size'.  Returns the number of bytes. */
static size_t
parse_hex(const char *s, uint8_t *bytes, size_t size)
{
    size_t n = 0;

    for (;;) {
        bool ok;

        s += strspn(s, " ");
        if (!*s) {
            return n;
        }
        if (n >= size) {
            ovs_fatal(0, "more than %"PRIuSIZE" bytes", size);
        }
        bytes[n++] = hexits_value(s, 2, &ok);
        if (!ok) {
            ovs_fatal(0, "%s: not hexadecimal", s);
        }
        s += 2;
    }
}

/* Parses the 'size' bytes at 'bytes' in memory that ends right behind them, so
 * that a sanitizer notices whoever reads on. */
static int
parse_exactly(const uint8_t *bytes, size_t size, struct vmlat_packet *packet)
{
    uint8_t *copy = xmemdup(bytes, size);
    int error;

    error = vmlat_packet_parse(copy, size, packet);
    free(copy);
    return error;
}

static void
check_packet_case(const struct packet_case *c)
{
    const uint32_t facts = VMLAT_PACKET_TRUNCATED | VMLAT_PACKET_MALFORMED;
    uint8_t bytes[256];
    size_t size = parse_hex(c->hex, bytes, sizeof bytes);
    struct ds ds = DS_EMPTY_INITIALIZER;
    struct vmlat_packet packet;
    uint32_t full;
    int error;

    error = parse_exactly(bytes, size, &packet);
    vmlat_packet_format(&packet, &ds);
    if (strcmp(ds_cstr(&ds), c->line)) {
        fail("%s: \"%s\", not \"%s\"", c->hex, ds_cstr(&ds), c->line);
    }
    if (error != (strstr(c->line, "malformed") ? EBADMSG
                  : strstr(c->line, "truncated") ? EMSGSIZE : 0)) {
        fail("%s: error %d", c->hex, error);
    }
    full = packet.fields;

    /* The fewer bytes, the fewer fields; and the loss is told. */
    for (ssize_t n = size - 1; n >= 0; n--) {
        uint32_t previous = packet.fields;

        error = parse_exactly(bytes, n, &packet);
        if (packet.fields & ~facts & ~previous) {
            fail("%s: %d bytes have more than %d",
                 c->hex, (int) n, (int) n + 1);
        }
        ds_clear(&ds);
        vmlat_packet_format(&packet, &ds);
        if (!error ? strcmp(ds_cstr(&ds), c->line)
            : !strstr(ds_cstr(&ds), "truncated")
              && !(full & packet.fields & VMLAT_PACKET_MALFORMED)) {
            fail("%s: first %d bytes: %s", c->hex, (int) n, ds_cstr(&ds));
        }
    }
    ds_destroy(&ds);
}

static void
test_packet(struct ovs_cmdl_context *ctx)
{
    if (ctx->argc > 1) {
        uint8_t bytes[65536];
        size_t size = parse_hex(ctx->argv[1], bytes, sizeof bytes);
        struct ds ds = DS_EMPTY_INITIALIZER;
        struct vmlat_packet packet;

        parse_exactly(bytes, size, &packet);
        vmlat_packet_format(&packet, &ds);
        puts(ds_cstr(&ds));
        ds_destroy(&ds);
        return;
    }

    for (int i = 0; i < ARRAY_SIZE(packet_cases); i++) {
        check_packet_case(&packet_cases[i]);
    }
    printf("%"PRIuSIZE" packets\n", ARRAY_SIZE(packet_cases));
}

/* match: filters against packets that were made to be known, and against the
 * same packets damaged, for which both ways to match must agree. */

/* What one way or the other a packet has. */
struct known {
    int ip_version;             /* 0 if it is not IP. */
    int src, dst;               /* Last bits of the addresses. */
    int proto;
    bool has_ports;
    int sport, dport;
};

/* A filter, and what it was made of: 0 to 3 as last bits of addresses, of
 * which the prefix lets 0, 1 or 2 be different. */
struct known_filter {
    struct vmlat_filter f;
    int ip_version;
    int src, src_any, dst, dst_any; /* Negative if not given. */
    int proto;
    int sport, dport;
    char *args;
};

static const uint8_t match_protos[] = {
    IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ICMP, IPPROTO_ICMPV6,
    47, IPPROTO_NONE,
};

static void
make_address(struct known_filter *kf, uint64_t *state, const char *key,
             int *value, int *any, struct ds *ds)
{
    bool ipv4 = kf->ip_version == 4;

    *value = -1;
    *any = 0;
    if (kf->ip_version && random_below(state, 2)) {
        *value = random_below(state, 4);
        *any = random_below(state, 3);
        ds_put_format(ds, " %s=%s%d/%d", key,
                      ipv4 ? "10.0.0." : "fe80::",
                      *value, (ipv4 ? 32 : 128) - *any);
    }
}

static void
make_filter(struct known_filter *kf, uint64_t *state)
{
    static const char *names[] = { "tcp", "udp", "", "icmp", "icmp6" };
    static const int versions[] = { 0, 4, 6 };
    struct ds ds = DS_EMPTY_INITIALIZER;
    char *error;

    kf->ip_version = versions[random_below(state, 3)];
    make_address(kf, state, "src", &kf->src, &kf->src_any, &ds);
    make_address(kf, state, "dst", &kf->dst, &kf->dst_any, &ds);
    if (kf->src < 0 && kf->dst < 0) {
        kf->ip_version = 0;
    }

    kf->sport = kf->dport = kf->proto = -1;
    if (random_below(state, 3) == 0) {
        kf->sport = 80 * random_below(state, 2);
        ds_put_format(&ds, " sport=%d", kf->sport);
    }
    if (random_below(state, 3) == 0) {
        kf->dport = 80 * random_below(state, 2);
        ds_put_format(&ds, " dport=%d", kf->dport);
    }
    if (random_below(state, 2)) {
        int i = random_below(state, 5);
        int version = i == 3 ? 4 : i == 4 ? 6 : 0;

        if (names[i][0]
            && !(version && kf->ip_version && version != kf->ip_version)
            && !(version && (kf->sport >= 0 || kf->dport >= 0))) {
            kf->proto = match_protos[i];
            kf->ip_version = version ? version : kf->ip_version;
            ds_put_format(&ds, " proto=%s", names[i]);
        }
    }

    vmlat_filter_init(&kf->f);
    kf->args = xstrdup(ds_cstr(&ds));
    error = parse_args(&kf->f, kf->args);
    if (error) {
        ovs_fatal(0, "%s", error);
    }
    ds_destroy(&ds);
}

static bool
known_match(const struct known_filter *kf, const struct known *k)
{
    if (!kf->args[0]) {
        return true;
    }
    if (!k->ip_version
        || (kf->ip_version && kf->ip_version != k->ip_version)
        || (kf->src >= 0 && kf->src >> kf->src_any != k->src >> kf->src_any)
        || (kf->dst >= 0 && kf->dst >> kf->dst_any != k->dst >> kf->dst_any)
        || (kf->proto >= 0 && kf->proto != k->proto)) {
        return false;
    }
    return (kf->sport < 0 && kf->dport < 0)
           || (k->has_ports
               && (kf->sport < 0 || kf->sport == k->sport)
               && (kf->dport < 0 || kf->dport == k->dport));
}

static uint8_t *
put16(uint8_t *p, uint16_t value)
{
    *p++ = value >> 8;
    *p++ = value;
    return p;
}

static uint8_t *
put_zeros(uint8_t *p, size_t n)
{
    memset(p, 0, n);
    return p + n;
}

/* Returns what the IP header has for its length, if the right one is 'length'
 * with 'l4_len' bytes behind the headers.  Sometimes it is 0, as offload makes
 * it, and sometimes it makes padding of the ports. */
static uint16_t
make_length(uint64_t *state, struct known *k, int length, int l4_len)
{
    int what = random_below(state, 20);

    if (what == 0) {
        return 0;
    } else if (what == 1) {
        length += random_below(state, 4) - l4_len;
        if (length) {
            k->has_ports = false;
        }
    }
    return length;
}

static uint8_t *
put_ipv4(uint8_t *p, uint64_t *state, struct known *k, int l4_len)
{
    int options = random_below(state, 4) ? 0 : random_below(state, 11);
    int frag = random_below(state, 6);

    *p++ = 0x45 + options;
    *p++ = next_random(state);
    p = put16(p, make_length(state, k, 20 + options * 4 + l4_len, l4_len));
    p = put16(p, next_random(state));
    p = put16(p, (frag == 0 ? 0x2000 : frag == 1 ? 0x2001
                  : frag == 2 ? 0x0100 : 0x4000));
    if (frag == 1 || frag == 2) {
        k->has_ports = false;
    }
    *p++ = 64;
    *p++ = k->proto;
    p = put16(p, next_random(state));
    p = put16(p, 0x0a00);
    p = put16(p, k->src);
    p = put16(p, 0x0a00);
    p = put16(p, k->dst);
    return put_zeros(p, options * 4);
}

static uint8_t *
put_ipv6(uint8_t *p, uint64_t *state, struct known *k, int l4_len)
{
    static const uint8_t ext_types[] = {
        IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS, IPPROTO_AH,
        IPPROTO_FRAGMENT
    };
    int n_ext = random_below(state, 3) ? 0 : random_below(state, 5);
    uint8_t *length, *next, *start;

    p = put16(p, 0x6000);
    p = put16(p, next_random(state));
    length = p;
    p = put16(p, 0);
    next = p++;
    *p++ = 64;
    p = put16(p, 0xfe80);
    p = put_zeros(p, 12);
    p = put16(p, k->src);
    p = put16(p, 0xfe80);
    p = put_zeros(p, 12);
    p = put16(p, k->dst);

    start = p;
    *next = k->proto;
    while (n_ext--) {
        uint8_t type = ext_types[random_below(state, 5)];
        int words = type == IPPROTO_FRAGMENT ? 0 : random_below(state, 3);

        *next = type;
        next = p;
        *p++ = k->proto;
        *p++ = type == IPPROTO_AH ? words * 2 : words;
        p = put_zeros(p, 6 + words * 8);
        if (type == IPPROTO_FRAGMENT) {
            int frag = random_below(state, 3);

            put16(next + 2, frag == 0 ? 0x0001 : frag == 1 ? 0x0000 : 0x0011);
            if (frag == 2) {
                k->has_ports = false;
                break;
            }
        }
    }
    put16(length, make_length(state, k, p - start + l4_len, l4_len));
    return p;
}

/* Makes a packet in 'bytes' and tells in 'k' what it is.  Returns its size. */
static size_t
make_packet(uint8_t *bytes, uint64_t *state, struct known *k)
{
    int n_vlans = random_below(state, 3) ? 0 : random_below(state, 5);
    int type = random_below(state, 16);
    uint8_t *p = bytes;

    k->ip_version = type < 8 ? 4 : type < 15 ? 6 : 0;
    k->src = random_below(state, 4);
    k->dst = random_below(state, 4);
    k->proto = match_protos[random_below(state, ARRAY_SIZE(match_protos))];
    k->has_ports = (k->proto == IPPROTO_TCP || k->proto == IPPROTO_UDP
                    || k->proto == IPPROTO_SCTP);
    k->sport = 80 * random_below(state, 2);
    k->dport = 80 * random_below(state, 2);

    p = put_zeros(p, 12);
    while (n_vlans--) {
        p = put16(p, random_below(state, 2) ? 0x8100 : 0x88a8);
        p = put16(p, next_random(state));
    }
    if (k->ip_version == 4) {
        p = put16(p, 0x0800);
        p = put_ipv4(p, state, k, 20);
    } else if (k->ip_version == 6) {
        p = put16(p, 0x86dd);
        p = put_ipv6(p, state, k, 20);
    } else {
        p = put16(p, random_below(state, 2) ? 0x0806 : 0x88cc);
    }
    p = put16(p, k->sport);
    p = put16(p, k->dport);
    return put_zeros(p, 16) - bytes;
}

/* Changes some of the 'size' bytes at 'bytes', most often where the headers
 * are.  Returns a new size. */
static size_t
damage(uint8_t *bytes, size_t size, uint64_t *state)
{
    for (int n = random_below(state, 4); n > 0; n--) {
        unsigned int i = random_below(state, random_below(state, 3) ? 40
                                             : size);

        if (i < size) {
            bytes[i] = (random_below(state, 2) ? next_random(state)
                        : bytes[i] ^ (1 << random_below(state, 8)));
        }
    }
    return random_below(state, 2) ? size : random_below(state, size + 1);
}

static void
fail_match(const char *what, const struct known_filter *kf,
           const uint8_t *bytes, size_t size)
{
    struct ds ds = DS_EMPTY_INITIALIZER;

    for (size_t i = 0; i < size; i++) {
        ds_put_format(&ds, "%02x", bytes[i]);
    }
    fail("%s:%s: %s", what, kf->args, ds_cstr(&ds));
    ds_destroy(&ds);
}

static void
test_match(struct ovs_cmdl_context *ctx)
{
    struct known_filter filters[1000];
    unsigned int n = 200000;
    uint64_t state = 1;
    uint64_t n_known = 0, n_damaged = 0;

    parse_count(ctx, &n);
    for (int i = 0; i < ARRAY_SIZE(filters); i++) {
        make_filter(&filters[i], &state);
    }

    for (unsigned int i = 0; i < n; i++) {
        struct vmlat_packet packet;
        uint8_t original[512];
        struct known k;
        size_t size;

        size = make_packet(original, &state, &k);
        vmlat_packet_parse(original, size, &packet);
        for (int j = 0; j < 8; j++) {
            const struct known_filter *kf
                = &filters[random_below(&state, ARRAY_SIZE(filters))];
            bool expected = known_match(kf, &k);

            if (vmlat_filter_match_packet(&kf->f, &packet) != expected) {
                fail_match("match_packet", kf, original, size);
            }
            if (vmlat_filter_match_bytes(&kf->f, original, size)
                != expected) {
                fail_match("match_bytes", kf, original, size);
            }
            n_known += expected && kf->args[0];
        }

        for (int j = 0; j < 8; j++) {
            const struct known_filter *kf
                = &filters[random_below(&state, ARRAY_SIZE(filters))];
            uint8_t bytes[512];
            uint8_t *exact;
            size_t cut;
            bool match;

            memcpy(bytes, original, size);
            cut = damage(bytes, size, &state);
            exact = xmemdup(bytes, cut);
            vmlat_packet_parse(exact, cut, &packet);
            match = vmlat_filter_match_packet(&kf->f, &packet);
            if (vmlat_filter_match_bytes(&kf->f, exact, cut) != match) {
                fail_match("damaged", kf, exact, cut);
            }
            n_damaged += match && kf->args[0];
            free(exact);
        }
    }

    /* A test in which nothing ever matches tests nothing. */
    if (n_known < n / 10 || n_damaged < n / 10) {
        fail("only %"PRIu64" and %"PRIu64" matches", n_known, n_damaged);
    }
    for (int i = 0; i < ARRAY_SIZE(filters); i++) {
        vmlat_filter_destroy(&filters[i].f);
        free(filters[i].args);
    }
    printf("%u packets\n", n);
}

/* bench: what the data path pays. */

#define BENCH_N 256             /* Values and packets: they stay in cache. */

static uint64_t
clock_cycles(void)
{
#ifdef __x86_64__
    return __builtin_ia32_rdtsc();
#else
    return 0;
#endif
}

/* Runs STATEMENT for 'i' from 0 to BENCH_N - 1, often enough, and prints the
 * cost of one run: the best of several measurements, since whatever disturbs
 * makes it longer. */
#define BENCH(NAME, STATEMENT)                                          \
    do {                                                                \
        double best_ns = 1e9, best_cycles = 1e9;                        \
                                                                        \
        for (int round = 0; round < 30; round++) {                      \
            long long int start_ns = time_nsec__();                     \
            uint64_t start_cycles = clock_cycles();                     \
                                                                        \
            for (int loop = 0; loop < 100; loop++) {                    \
                for (int i = 0; i < BENCH_N; i++) {                     \
                    STATEMENT;                                          \
                }                                                       \
            }                                                           \
            best_cycles = MIN(best_cycles, (double) (clock_cycles()     \
                                                     - start_cycles)    \
                                           / (100 * BENCH_N));          \
            best_ns = MIN(best_ns, (double) (time_nsec__() - start_ns)  \
                                   / (100 * BENCH_N));                  \
        }                                                               \
        printf("%-36s %6.1f cycles %6.1f ns\n", NAME, best_cycles,      \
               best_ns);                                                \
    } while (0)

static long long int
time_nsec__(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void
bench_match(const char *name, const char *hex, const char *args)
{
    static uint8_t bytes[BENCH_N][128];
    unsigned int n_matches = 0;
    struct vmlat_filter f;
    char *error;

    vmlat_filter_init(&f);
    error = parse_args(&f, args);
    if (error) {
        ovs_fatal(0, "%s", error);
    }
    for (int i = 0; i < BENCH_N; i++) {
        parse_hex(hex, bytes[i], sizeof bytes[i]);
    }
    BENCH(name,
          n_matches += vmlat_filter_match_bytes(&f, bytes[i], 64));
    ignore(n_matches);
    vmlat_filter_destroy(&f);
}

static void
test_bench(struct ovs_cmdl_context *ctx OVS_UNUSED)
{
    struct vmlat_histogram *h = xzalloc_cacheline(sizeof *h);
    struct vmlat_snapshot *s = xmalloc(sizeof *s);
    static uint64_t values[BENCH_N];
    uint64_t state = 1;

    for (int i = 0; i < BENCH_N; i++) {
        values[i] = draw_exponential(&state);
    }
    BENCH("histogram, add", vmlat_histogram_add(h, values[i], 1));
    BENCH("histogram, sync and add",
          (vmlat_histogram_sync(h, 1),
           vmlat_histogram_add(h, values[i], 1)));
    vmlat_snapshot_init(s);
    BENCH("histogram, merge", vmlat_histogram_merge(s, h, 1));
    bench_match("filter, IPv4, all keys", packet_cases[0].hex,
                "src=10.0.0.1 dst=10.0.0.0/24 sport=8080 dport=80 proto=udp");
    bench_match("filter, IPv4, no match", packet_cases[0].hex,
                "src=10.0.0.9");
    bench_match("filter, IPv4 in a VLAN",
                MACS "8100 200a 0800 4500001c 00004000 40110000 "
                V4_ADDRS UDP_8080_80, "src=10.0.0.1 dport=80");
    bench_match("filter, IPv6",
                MACS "86dd 60000000 0008 1140 " V6_ADDRS UDP_8080_80,
                "src=fe80::1 dport=80");
    free(s);
    free_cacheline(h);
}

static void
test_all(struct ovs_cmdl_context *ctx)
{
    test_histogram(ctx);
    test_histogram_threads(ctx);
    test_filter(ctx);
    test_packet(ctx);
    test_match(ctx);
    test_bypass(ctx);
    test_record(ctx);
}

static const struct ovs_cmdl_command commands[] = {
    { "all", NULL, 0, 0, test_all, OVS_RO },
    { "histogram", "[samples]", 0, 1, test_histogram, OVS_RO },
    { "histogram-threads", "[milliseconds]", 0, 1, test_histogram_threads,
      OVS_RO },
    { "filter", NULL, 0, 0, test_filter, OVS_RO },
    { "packet", "[hex]", 0, 1, test_packet, OVS_RO },
    { "match", "[packets]", 0, 1, test_match, OVS_RO },
    { "bypass", NULL, 0, 0, test_bypass, OVS_RO },
    { "record", NULL, 0, 0, test_record, OVS_RO },
    { "record-print", "file", 1, 1, test_record_print, OVS_RO },
    { "bench", NULL, 0, 0, test_bench, OVS_RO },
    { NULL, NULL, 0, 0, NULL, OVS_RO },
};

int
main(int argc, char *argv[])
{
    struct ovs_cmdl_context ctx = { .argc = argc - 1, .argv = argv + 1 };

    set_program_name(argv[0]);
    if (argc < 2) {
        ovs_fatal(0, "missing command, one of: all histogram "
                  "histogram-threads filter packet match bypass record "
                  "record-print bench");
    }
    ovs_cmdl_run_command(&ctx, commands);
    if (n_errors) {
        printf("%d errors\n", n_errors);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
