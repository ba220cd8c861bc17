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

#ifndef VMLAT_PMD_LOAD_H
#define VMLAT_PMD_LOAD_H 1

/* How busy PMD threads are, as they count it themselves. */

#include <stdbool.h>
#include <stdint.h>

#include "compiler.h"
#include "ovs-atomic.h"

struct pmd_perf_stats;

/* Cycles of all PMD threads, in iterations that found packets and in those
 * that found none.  Neither ever decreases. */
struct vmlat_pmd_load {
    uint64_t busy;
    uint64_t idle;
};

/* Any thread.  Makes PMD threads say how busy they are, or stops that; each
 * use counts. */
void vmlat_pmd_load_ref(void);
void vmlat_pmd_load_unref(void);

/* Any thread.  Stores what PMD threads have said since the first
 * vmlat_pmd_load_ref(), each from its first iteration after it. */
void vmlat_pmd_load_read(struct vmlat_pmd_load *);

/* From a PMD thread whose counters 's' are, once per iteration: one load and
 * one branch while nobody wants to know. */
extern atomic_bool vmlat_pmd_load_wanted;
void vmlat_pmd_load_note__(struct pmd_perf_stats *s);

static inline void
vmlat_pmd_load_note(struct pmd_perf_stats *s)
{
    bool wanted;

    atomic_read_relaxed(&vmlat_pmd_load_wanted, &wanted);
    if (OVS_UNLIKELY(wanted)) {
        vmlat_pmd_load_note__(s);
    }
}

#endif /* vmlat-pmd-load.h */
