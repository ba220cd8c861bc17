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
#include "ovs-vmlat-series.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"
#include "vmlat-histogram.h"

/* Up to as many samples, percentiles are exact; beyond, within 1/64. */
#define MAX_EXACT 100000

void
series_add(struct series *s, int64_t value)
{
    double difference = value - s->mean;

    if (!s->n) {
        s->snapshot = xmalloc(sizeof *s->snapshot);
        vmlat_snapshot_init(s->snapshot);
        s->min = s->max = value;
    }
    s->n++;
    s->mean += difference / s->n;
    s->squares += difference * (value - s->mean);
    s->min = MIN(s->min, value);
    s->max = MAX(s->max, value);
    if (s->n <= MAX_EXACT) {
        if (s->n > s->allocated) {
            s->exact = x2nrealloc(s->exact, &s->allocated, sizeof *s->exact);
        }
        s->exact[s->n - 1] = value;
    }
    s->snapshot->buckets[vmlat_histogram_bucket(value)]++;
    s->snapshot->count++;
}

static int
compare_int64(const void *a_, const void *b_)
{
    const int64_t *a = a_, *b = b_;

    return *a < *b ? -1 : *a > *b;
}

/* Prepares for series_percentile(). */
static void
series_sort(struct series *s)
{
    s->snapshot->min = s->min;
    s->snapshot->max = s->max;
    if (s->n <= MAX_EXACT) {
        qsort(s->exact, s->n, sizeof *s->exact, compare_int64);
    }
}

/* Returns the nearest-rank percentile of 's'. */
static int64_t
series_percentile(const struct series *s, unsigned int p)
{
    if (s->n <= MAX_EXACT) {
        return s->exact[(s->n * p + 99) / 100 - 1];
    }
    return vmlat_snapshot_percentile(s->snapshot, p);
}

int64_t
series_median(struct series *s)
{
    series_sort(s);
    return series_percentile(s, 50);
}

void
series_finish(struct series *s, struct report_stats *stats)
{
    memset(stats, 0, sizeof *stats);
    if (s->n) {
        stats->n = s->n;
        stats->mean = s->mean;
        stats->deviation = s->n > 1 ? sqrt(s->squares / (s->n - 1)) : 0;
        stats->min = s->min;
        stats->max = s->max;
        series_sort(s);
        stats->p50 = series_percentile(s, 50);
        stats->p90 = series_percentile(s, 90);
        stats->p99 = series_percentile(s, 99);
        for (unsigned int i = 0; i < VMLAT_HIST_N_BUCKETS; i++) {
            if (s->snapshot->buckets[i]) {
                stats->n_buckets++;
            }
        }
        stats->buckets = xmalloc(stats->n_buckets * sizeof *stats->buckets);
        stats->n_buckets = 0;
        for (unsigned int i = 0; i < VMLAT_HIST_N_BUCKETS; i++) {
            if (s->snapshot->buckets[i]) {
                struct report_bucket *b = &stats->buckets[stats->n_buckets++];

                b->low = vmlat_histogram_bucket_floor(i);
                b->high = (i < VMLAT_HIST_OVERFLOW
                           ? vmlat_histogram_bucket_floor(i + 1)
                           : s->max + 1);
                b->n = s->snapshot->buckets[i];
            }
        }
    }
    free(s->exact);
    free(s->snapshot);
}
