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

#ifndef OVS_VMLAT_SERIES_H
#define OVS_VMLAT_SERIES_H 1

/* Figures of one value, while samples come.  Single thread. */

#include <stddef.h>
#include <stdint.h>

#include "ovs-vmlat-report.h"

struct vmlat_snapshot;

/* All 0: no samples. */
struct series {
    uint64_t n;
    double mean, squares;       /* Of differences from the mean. */
    int64_t min, max;
    int64_t *exact;             /* The first samples. */
    size_t allocated;
    struct vmlat_snapshot *snapshot;
};

/* Adds 'value', ns, not negative. */
void series_add(struct series *, int64_t value);

/* Returns the median, exact or within 1/64; there have to be samples. */
int64_t series_median(struct series *);

/* Moves what there is to '*stats', and frees it. */
void series_finish(struct series *, struct report_stats *);

#endif /* ovs-vmlat-series.h */
