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

#ifndef VMLAT_HISTOGRAM_H
#define VMLAT_HISTOGRAM_H 1

/* Log-linear histogram of latencies.
 *
 * Values are nanoseconds.  Each value below 64 ns has a bucket of its own;
 * from there on each power of two is cut into 32 buckets of the same width, up
 * to 2^36 - 1 ns (68.7 s).  One more bucket counts all that is above.  A
 * bucket is at most 1/32 as wide as its lowest value, so a percentile read
 * from its middle is off by at most 1/64 of the true value.
 *
 * Threads
 * =======
 *
 * A struct vmlat_histogram has one writer, the thread that owns it, and any
 * number of readers.  Neither waits for the other on the hot path: there is no
 * lock and no atomic read-modify-write, only relaxed loads and stores, which
 * are plain moves on 64-bit machines.
 *
 * Clearing needs no pause: whoever clears takes a new epoch number and
 * publishes it.  From then on readers ask for the new epoch and get nothing
 * from a histogram that still holds an older one; the writer empties its
 * histogram when it next comes along, in vmlat_histogram_sync(). */

#include <stdbool.h>
#include <stdint.h>

#include "openvswitch/compiler.h"
#include "ovs-atomic.h"
#include "util.h"

/* Each power of two is cut into 2^VMLAT_HIST_SUB_BITS buckets. */
#define VMLAT_HIST_SUB_BITS 5
#define VMLAT_HIST_N_SUB (1u << VMLAT_HIST_SUB_BITS)

/* Values of 2^VMLAT_HIST_MAX_BITS ns and above go to the overflow bucket. */
#define VMLAT_HIST_MAX_BITS 36

/* The last bucket: everything too large for the others. */
#define VMLAT_HIST_OVERFLOW \
    ((VMLAT_HIST_MAX_BITS - VMLAT_HIST_SUB_BITS + 1) * VMLAT_HIST_N_SUB)
#define VMLAT_HIST_N_BUCKETS (VMLAT_HIST_OVERFLOW + 1)

/* Other histograms are coarser: each of their buckets is VMLAT_HIST_COARSE of
 * these wide, and what is 2^VMLAT_HIST_COARSE_BITS - 2^(VMLAT_HIST_COARSE_BITS
 * - 4) or above goes to their last one.  In a snapshot, the one in the middle
 * stands for all of them, and the overflow bucket for their last one. */
#define VMLAT_HIST_COARSE 4u
#define VMLAT_HIST_COARSE_BITS 34

/* A histogram, written by one thread, read by any.
 *
 * Memory filled with zeros is an empty histogram of epoch 0, so an array of
 * them needs no pass over its pages before it is used.
 *
 * All that vmlat_histogram_add() touches, apart from the bucket, is in the
 * first cache line. */
OVS_ALIGNED_STRUCT(CACHE_LINE_SIZE, vmlat_histogram) {
    atomic_uint32_t seq;        /* Odd while the writer is emptying it. */
    atomic_uint32_t epoch;      /* Epoch that the samples belong to. */
    atomic_uint64_t not_min;    /* Bitwise complement of smallest sample; 0 if
                                 * there is none. */
    atomic_uint64_t max;        /* Largest sample, 0 if there is none. */
    atomic_uint64_t total;      /* Sum of all samples. */

    /* The buckets start a cache line. */
    OVS_ALIGNED_VAR(CACHE_LINE_SIZE)
    atomic_uint64_t buckets[VMLAT_HIST_N_BUCKETS];
};

/* What one or more histograms held at some time.  Plain data, for one
 * thread. */
struct vmlat_snapshot {
    uint64_t count;             /* Number of samples: sum of 'buckets'. */
    uint64_t min;               /* Smallest, ns; UINT64_MAX if 'count' is 0. */
    uint64_t max;               /* Largest, ns; 0 if 'count' is 0. */
    uint64_t total;             /* Sum of the samples, ns. */
    uint64_t buckets[VMLAT_HIST_N_BUCKETS];
};

/* Buckets. */
static inline unsigned vmlat_histogram_bucket(uint64_t ns);
uint64_t vmlat_histogram_bucket_floor(unsigned bucket);
uint64_t vmlat_histogram_bucket_ceil(unsigned bucket);
uint64_t vmlat_histogram_coarse_floor(unsigned bucket);
uint64_t vmlat_histogram_coarse_ceil(unsigned bucket);

/* For the writer. */
void vmlat_histogram_init(struct vmlat_histogram *, uint32_t epoch);
static inline void vmlat_histogram_sync(struct vmlat_histogram *,
                                        uint32_t epoch);
static inline void vmlat_histogram_add(struct vmlat_histogram *,
                                       uint64_t ns, uint64_t n);
void vmlat_histogram_empty__(struct vmlat_histogram *, uint32_t epoch);

/* For readers. */
bool vmlat_histogram_merge(struct vmlat_snapshot *,
                           const struct vmlat_histogram *, uint32_t epoch);

/* Snapshots. */
void vmlat_snapshot_init(struct vmlat_snapshot *);
void vmlat_snapshot_merge(struct vmlat_snapshot *dst,
                          const struct vmlat_snapshot *src);
uint64_t vmlat_snapshot_percentile(const struct vmlat_snapshot *, double p);
double vmlat_snapshot_mean(const struct vmlat_snapshot *);
unsigned vmlat_snapshot_first(const struct vmlat_snapshot *);
unsigned vmlat_snapshot_last(const struct vmlat_snapshot *);
void vmlat_snapshot_bound(struct vmlat_snapshot *, uint64_t min_before,
                          uint64_t max_before, bool coarse);

/* Returns the number of the bucket that counts samples of 'ns' nanoseconds. */
static inline unsigned
vmlat_histogram_bucket(uint64_t ns)
{
    /* The highest VMLAT_HIST_SUB_BITS + 1 bits of a value make a number from
     * 32 to 63, since the topmost is set.  A value below 64 is its own
     * bucket. */
    unsigned int shift = 63 - VMLAT_HIST_SUB_BITS
                         - raw_clz64(ns | VMLAT_HIST_N_SUB);
    uint64_t bucket = ((uint64_t) shift << VMLAT_HIST_SUB_BITS)
                      + (ns >> shift);

    return OVS_LIKELY(bucket < VMLAT_HIST_OVERFLOW)
           ? bucket : VMLAT_HIST_OVERFLOW;
}

/* Makes sure that 'h' takes samples of 'epoch': if it holds those of another
 * epoch it is emptied first.
 *
 * Called only by the thread that owns 'h', before it adds samples that it took
 * in 'epoch'.  Wait-free; the rare emptying takes well under a microsecond per
 * used power of two. */
static inline void
vmlat_histogram_sync(struct vmlat_histogram *h, uint32_t epoch)
{
    uint32_t own;

    atomic_read_relaxed(&h->epoch, &own);
    if (OVS_UNLIKELY(own != epoch)) {
        vmlat_histogram_empty__(h, epoch);
    }
}

/* Adds 'n' samples, each of 'ns' nanoseconds, to 'h'.
 *
 * Called only by the thread that owns 'h'.  Wait-free: no lock, no atomic
 * read-modify-write, no allocation.  The sum of all samples wraps at 2^64 ns,
 * that is 584 years of latency. */
static inline void
vmlat_histogram_add(struct vmlat_histogram *h, uint64_t ns, uint64_t n)
{
    atomic_uint64_t *bucket = &h->buckets[vmlat_histogram_bucket(ns)];
    uint64_t value;

    atomic_read_relaxed(&h->not_min, &value);
    if (OVS_UNLIKELY(~ns > value)) {
        atomic_store_relaxed(&h->not_min, ~ns);
    }
    atomic_read_relaxed(&h->max, &value);
    if (OVS_UNLIKELY(ns > value)) {
        atomic_store_relaxed(&h->max, ns);
    }
    atomic_read_relaxed(&h->total, &value);
    atomic_store_relaxed(&h->total, value + ns * n);

    /* Last, and a release: a reader that counts these samples and then looks
     * at the minimum and the maximum finds them within. */
    atomic_read_relaxed(bucket, &value);
    atomic_store_explicit(bucket, value + n, memory_order_release);
}

#endif /* vmlat-histogram.h */
