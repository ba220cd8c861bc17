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

#include "vmlat-histogram.h"

#include <sched.h>
#include <string.h>

/* How often a reader tries again at once before it offers its CPU to the
 * writer, which it may have preempted half way through. */
#define SPINS_BEFORE_YIELD 100

/* Returns the smallest value, in ns, that 'bucket' counts. */
uint64_t
vmlat_histogram_bucket_floor(unsigned bucket)
{
    unsigned int shift;

    if (bucket < VMLAT_HIST_N_SUB) {
        return bucket;
    }
    shift = (bucket >> VMLAT_HIST_SUB_BITS) - 1;
    return (uint64_t) (bucket % VMLAT_HIST_N_SUB + VMLAT_HIST_N_SUB) << shift;
}

/* Returns the largest value, in ns, that 'bucket' counts. */
uint64_t
vmlat_histogram_bucket_ceil(unsigned bucket)
{
    return bucket >= VMLAT_HIST_OVERFLOW
           ? UINT64_MAX
           : vmlat_histogram_bucket_floor(bucket + 1) - 1;
}

/* Return the smallest and the largest value, in ns, that the coarse bucket for
 * which 'bucket' stands counts. */
uint64_t
vmlat_histogram_coarse_floor(unsigned bucket)
{
    return bucket >= VMLAT_HIST_OVERFLOW
           ? UINT64_C(15) << (VMLAT_HIST_COARSE_BITS - 4)
           : vmlat_histogram_bucket_floor(bucket - bucket % VMLAT_HIST_COARSE);
}

uint64_t
vmlat_histogram_coarse_ceil(unsigned bucket)
{
    return bucket >= VMLAT_HIST_OVERFLOW
           ? UINT64_MAX
           : vmlat_histogram_bucket_ceil(bucket | (VMLAT_HIST_COARSE - 1));
}

/* Makes 'h' an empty histogram of 'epoch'.  No other thread may know 'h'. */
void
vmlat_histogram_init(struct vmlat_histogram *h, uint32_t epoch)
{
    memset(h, 0, sizeof *h);
    atomic_init(&h->epoch, epoch);
}

/* Reads the range of buckets that may have samples.  An empty histogram gives
 * 'first' > 'last'. */
static void
vmlat_histogram_range(const struct vmlat_histogram *h,
                      unsigned int *first, unsigned int *last)
{
    uint64_t not_min, max;

    atomic_read_relaxed(&h->not_min, &not_min);
    atomic_read_relaxed(&h->max, &max);
    *first = vmlat_histogram_bucket(~not_min);
    *last = vmlat_histogram_bucket(max);
}

/* Removes all samples from 'h' and gives it to 'epoch'.
 *
 * Called only by the thread that owns 'h', usually through
 * vmlat_histogram_sync(). */
void
vmlat_histogram_empty__(struct vmlat_histogram *h, uint32_t epoch)
{
    unsigned int first, last;
    uint32_t seq;

    atomic_read_relaxed(&h->seq, &seq);
    atomic_store_relaxed(&h->seq, seq + 1);
    atomic_thread_fence(memory_order_release);

    vmlat_histogram_range(h, &first, &last);
    for (unsigned int i = first; i <= last; i++) {
        atomic_store_relaxed(&h->buckets[i], 0);
    }
    atomic_store_relaxed(&h->not_min, 0);
    atomic_store_relaxed(&h->max, 0);
    atomic_store_relaxed(&h->total, 0);
    atomic_store_relaxed(&h->epoch, epoch);

    atomic_store_explicit(&h->seq, seq + 2, memory_order_release);
}

/* Adds the samples of 'src' to 'dst' if they belong to 'epoch'.  Returns true
 * if they do, even if there are none; false, with 'dst' unchanged, if 'src'
 * holds another epoch.
 *
 * Any thread, at any time.  Samples that the writer adds meanwhile are counted
 * or not, each bucket on its own; those counted are within 'min' and 'max' and
 * part of 'total', which may already know a sample that is not counted yet.
 * Waits only while the writer empties 'src'. */
bool
vmlat_histogram_merge(struct vmlat_snapshot *dst,
                      const struct vmlat_histogram *src, uint32_t epoch)
{
    uint64_t buckets[VMLAT_HIST_N_BUCKETS];
    uint64_t not_min, max, total, count;
    unsigned int first, last;

    for (unsigned int n_tries = 1; ; n_tries++) {
        uint32_t own, before, after;

        if (n_tries % SPINS_BEFORE_YIELD == 0) {
            sched_yield();
        }

        atomic_read_explicit(&src->seq, &before, memory_order_acquire);
        if (before & 1) {
            continue;
        }
        atomic_read_relaxed(&src->epoch, &own);
        if (own != epoch) {
            return false;
        }

        vmlat_histogram_range(src, &first, &last);
        count = 0;
        for (unsigned int i = first; i <= last; i++) {
            atomic_read_relaxed(&src->buckets[i], &buckets[i]);
            count += buckets[i];
        }

        /* After the buckets: vmlat_histogram_add() writes these first. */
        atomic_thread_fence(memory_order_acquire);
        atomic_read_relaxed(&src->not_min, &not_min);
        atomic_read_relaxed(&src->max, &max);
        atomic_read_relaxed(&src->total, &total);

        atomic_thread_fence(memory_order_acquire);
        atomic_read_relaxed(&src->seq, &after);
        if (before == after) {
            break;
        }
    }

    if (count) {
        for (unsigned int i = first; i <= last; i++) {
            dst->buckets[i] += buckets[i];
        }
        dst->count += count;
        dst->total += total;
        dst->min = MIN(dst->min, ~not_min);
        dst->max = MAX(dst->max, max);
    }
    return true;
}

/* Makes 'snapshot' empty. */
void
vmlat_snapshot_init(struct vmlat_snapshot *snapshot)
{
    memset(snapshot, 0, sizeof *snapshot);
    snapshot->min = UINT64_MAX;
}

/* Return the first and the last bucket of 'snapshot' that may have samples.
 * If it is coarse, those of the smallest and the largest sample need not have
 * any. */
unsigned
vmlat_snapshot_first(const struct vmlat_snapshot *snapshot)
{
    unsigned int first = vmlat_histogram_bucket(snapshot->min);

    return first - first % VMLAT_HIST_COARSE;
}

unsigned
vmlat_snapshot_last(const struct vmlat_snapshot *snapshot)
{
    return snapshot->buckets[VMLAT_HIST_OVERFLOW]
           ? VMLAT_HIST_OVERFLOW
           : MIN(vmlat_histogram_bucket(snapshot->max)
                 | (VMLAT_HIST_COARSE - 1), VMLAT_HIST_OVERFLOW);
}

/* Corrects the smallest and the largest sample of 'snapshot', from which
 * older samples have been subtracted, the smallest and the largest of which
 * were 'min_before' and 'max_before' (UINT64_MAX and 0 if there were none).
 * Those that may be older ones are replaced by bounds of the buckets that have
 * samples. */
void
vmlat_snapshot_bound(struct vmlat_snapshot *snapshot, uint64_t min_before,
                     uint64_t max_before, bool coarse)
{
    unsigned int lowest = VMLAT_HIST_N_BUCKETS, highest = 0;
    uint64_t floor, ceil;

    for (unsigned int i = 0; i < VMLAT_HIST_N_BUCKETS; i++) {
        if (snapshot->buckets[i]) {
            lowest = MIN(lowest, i);
            highest = i;
        }
    }
    if (lowest == VMLAT_HIST_N_BUCKETS) {
        snapshot->min = UINT64_MAX;
        snapshot->max = snapshot->total = 0;
        return;
    }

    floor = (coarse ? vmlat_histogram_coarse_floor(lowest)
             : vmlat_histogram_bucket_floor(lowest));
    if (snapshot->min >= min_before) {
        snapshot->min = MAX(snapshot->min, floor);
    }
    ceil = (coarse ? vmlat_histogram_coarse_ceil(highest)
            : vmlat_histogram_bucket_ceil(highest));
    if (snapshot->max <= max_before) {
        snapshot->max = MIN(snapshot->max, ceil);
    }

    /* A sample may have been counted a moment before it was compared. */
    snapshot->min = MIN(snapshot->min,
                        coarse ? vmlat_histogram_coarse_ceil(lowest)
                        : vmlat_histogram_bucket_ceil(lowest));
    snapshot->max = MAX(snapshot->max,
                        coarse ? vmlat_histogram_coarse_floor(highest)
                        : vmlat_histogram_bucket_floor(highest));
}

/* Adds the samples of 'src' to 'dst'. */
void
vmlat_snapshot_merge(struct vmlat_snapshot *dst,
                     const struct vmlat_snapshot *src)
{
    if (src->count) {
        unsigned int last = vmlat_snapshot_last(src);

        for (unsigned int i = vmlat_snapshot_first(src); i <= last; i++) {
            dst->buckets[i] += src->buckets[i];
        }
        dst->count += src->count;
        dst->total += src->total;
        dst->min = MIN(dst->min, src->min);
        dst->max = MAX(dst->max, src->max);
    }
}

/* Returns the 'p'th percentile of 'snapshot', 'p' from 0 to 100, in ns; 0 if
 * there are no samples.
 *
 * This is the nearest-rank percentile: of N samples in ascending order, the
 * one with number ceil(p / 100 * N), counted from 1.  The middle of its
 * bucket, rounded down and not below the smallest nor above the largest
 * sample, stands for it.  Thus values below 64 ns are exact, and so are p = 0
 * (the smallest sample) and p = 100 (the largest); anything else is off by at
 * most 1/64 of the true value.  For a sample of 2^36 ns or more, the largest
 * of all is returned. */
uint64_t
vmlat_snapshot_percentile(const struct vmlat_snapshot *snapshot, double p)
{
    uint64_t n = snapshot->count;
    uint64_t rank, seen;
    unsigned int last;
    double exact;

    if (!n) {
        return 0;
    } else if (!(p > 0)) {
        return snapshot->min;
    } else if (p >= 100) {
        return snapshot->max;
    }

    /* 99.9 is not a binary fraction: p * n / 100 may come out a little above
     * the integer that it means, which then must not be rounded up. */
    exact = p * n / 100;
    exact -= exact / 1e14;
    rank = exact;
    rank += rank < exact;
    rank = MIN(MAX(rank, 1), n);

    last = vmlat_snapshot_last(snapshot);
    seen = 0;
    for (unsigned int i = vmlat_snapshot_first(snapshot); i <= last; i++) {
        seen += snapshot->buckets[i];
        if (seen >= rank) {
            uint64_t floor = vmlat_histogram_bucket_floor(i);
            uint64_t ceil = vmlat_histogram_bucket_ceil(i);
            uint64_t middle = floor + (ceil - floor) / 2;

            if (i == VMLAT_HIST_OVERFLOW) {
                break;
            }
            return MIN(MAX(middle, snapshot->min), snapshot->max);
        }
    }
    return snapshot->max;
}

/* Returns the mean of the samples of 'snapshot' in ns, 0 if there are none. */
double
vmlat_snapshot_mean(const struct vmlat_snapshot *snapshot)
{
    double mean;

    if (!snapshot->count) {
        return 0;
    }

    /* 'total' may have been read a few samples after 'count'. */
    mean = (double) snapshot->total / snapshot->count;
    return MIN(MAX(mean, snapshot->min), snapshot->max);
}
