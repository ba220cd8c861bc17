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
#include "vmlat-bypass-window.h"

#include <stdlib.h>
#include <string.h>

#include "packets.h"
#include "util.h"
#include "vmlat-bypass-flows.h"

/* As many flows are kept in a window, the largest. */
#define MAX_FLOWS 16384

static int
compare_strings(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) : !!a - !!b;
}

static int
compare_dp_rows(const void *a_, const void *b_)
{
    const struct vmlat_bypass_dp_row *a = a_, *b = b_;
    int cmp;

    if ((cmp = strcmp(a->in, b->in))
        || (cmp = compare_strings(a->out, b->out))
        || (cmp = a->flooded - b->flooded)
        || (cmp = a->has_src - b->has_src)
        || (cmp = a->has_dst - b->has_dst)
        || (cmp = memcmp(&a->src, &b->src, sizeof a->src))) {
        return cmp;
    }
    return memcmp(&a->dst, &b->dst, sizeof a->dst);
}

void
vmlat_bypass_dp_add(struct vmlat_bypass_dp *sum,
                    const struct vmlat_bypass_dp *part)
{
    size_t n = 0;

    if (part->why_not && !sum->why_not) {
        sum->why_not = xstrdup(part->why_not);
    }
    sum->left_out += part->left_out;
    sum->elsewhere += part->elsewhere;
    if (!part->n) {
        return;
    }
    sum->rows = xrealloc(sum->rows, (sum->n + part->n) * sizeof *sum->rows);
    for (size_t i = 0; i < part->n; i++) {
        struct vmlat_bypass_dp_row *row = &sum->rows[sum->n++];

        *row = part->rows[i];
        row->in = xstrdup(row->in);
        row->out = nullable_xstrdup(row->out);
    }
    qsort(sum->rows, sum->n, sizeof *sum->rows, compare_dp_rows);
    for (size_t i = 0; i < sum->n; i++) {
        struct vmlat_bypass_dp_row *row = &sum->rows[i];

        if (n && !compare_dp_rows(&sum->rows[n - 1], row)) {
            sum->rows[n - 1].packets += row->packets;
            sum->rows[n - 1].bytes += row->bytes;
            free(row->in);
            free(row->out);
        } else {
            sum->rows[n++] = *row;
        }
    }
    while (n > 2 * VMLAT_BYPASS_MAX_DP_ROWS) {
        struct vmlat_bypass_dp_row *row = &sum->rows[--n];

        sum->left_out += row->packets;
        free(row->in);
        free(row->out);
    }
    sum->n = n;
}

static int
compare_kernel_ways(const void *a_, const void *b_)
{
    const struct vmlat_bypass_kernel_way *a = a_, *b = b_;

    return memcmp(&a->key, &b->key, sizeof a->key);
}

static void
add_ways(struct vmlat_bypass_kernel *sum,
         const struct vmlat_bypass_kernel *part)
{
    size_t n = 0;

    if (!part->n_ways) {
        return;
    }
    sum->ways = xrealloc(sum->ways, (sum->n_ways + part->n_ways)
                                    * sizeof *sum->ways);
    memcpy(sum->ways + sum->n_ways, part->ways,
           part->n_ways * sizeof *sum->ways);
    sum->n_ways += part->n_ways;
    qsort(sum->ways, sum->n_ways, sizeof *sum->ways, compare_kernel_ways);
    for (size_t i = 0; i < sum->n_ways; i++) {
        const struct vmlat_bypass_kernel_way *way = &sum->ways[i];

        if (n && !compare_kernel_ways(&sum->ways[n - 1], way)) {
            struct vmlat_bypass_way *to = &sum->ways[n - 1].count;

            to->packets += way->count.packets;
            to->bytes += way->count.bytes;
            to->timed += way->count.timed;
            to->total_ns += way->count.total_ns;
            to->max_ns = MAX(to->max_ns, way->count.max_ns);
            for (size_t j = 0; j < VMLAT_BYPASS_BUCKETS; j++) {
                to->buckets[j] += way->count.buckets[j];
            }
        } else {
            sum->ways[n++] = *way;
        }
    }
    sum->n_ways = n;
}

static int
compare_kernel_flows(const void *a_, const void *b_)
{
    const struct vmlat_bypass_kernel_flow *a = a_, *b = b_;

    return memcmp(&a->key, &b->key, sizeof a->key);
}

static int
compare_kernel_flows_by_packets(const void *a_, const void *b_)
{
    const struct vmlat_bypass_kernel_flow *a = a_, *b = b_;

    return (a->count.packets != b->count.packets
            ? (a->count.packets < b->count.packets ? 1 : -1)
            : compare_kernel_flows(a, b));
}

static void
add_flows(struct vmlat_bypass_kernel *sum,
          const struct vmlat_bypass_kernel *part)
{
    size_t n = 0;

    if (!part->n_flows) {
        return;
    }
    sum->flows = xrealloc(sum->flows, (sum->n_flows + part->n_flows)
                                      * sizeof *sum->flows);
    memcpy(sum->flows + sum->n_flows, part->flows,
           part->n_flows * sizeof *sum->flows);
    sum->n_flows += part->n_flows;
    qsort(sum->flows, sum->n_flows, sizeof *sum->flows, compare_kernel_flows);
    for (size_t i = 0; i < sum->n_flows; i++) {
        const struct vmlat_bypass_kernel_flow *flow = &sum->flows[i];

        if (n && !compare_kernel_flows(&sum->flows[n - 1], flow)) {
            struct vmlat_bypass_flow *to = &sum->flows[n - 1].count;
            struct vmlat_bypass_flow both = flow->count;

            /* Of the later one, how the last packet left. */
            if (to->last_ns > both.last_ns) {
                both = *to;
            }
            both.packets = to->packets + flow->count.packets;
            both.bytes = to->bytes + flow->count.bytes;
            both.total_ns = to->total_ns + flow->count.total_ns;
            both.timed = to->timed + flow->count.timed;
            both.max_ns = MAX(to->max_ns, flow->count.max_ns);
            *to = both;
        } else {
            sum->flows[n++] = *flow;
        }
    }
    sum->n_flows = n;
    qsort(sum->flows, sum->n_flows, sizeof *sum->flows,
          compare_kernel_flows_by_packets);
    while (sum->n_flows > MAX_FLOWS) {
        const struct vmlat_bypass_kernel_flow *flow
            = &sum->flows[--sum->n_flows];

        sum->counters[VMLAT_BYPASS_CNT_FLOWS_LEFT_OUT] += flow->count.packets;
    }
}

void
vmlat_bypass_kernel_add(struct vmlat_bypass_kernel *sum,
                        const struct vmlat_bypass_kernel *part)
{
    if (part->why_not && !sum->why_not) {
        sum->why_not = xstrdup(part->why_not);
    }
    if (part->without && !sum->without) {
        sum->without = xstrdup(part->without);
    }
    for (size_t i = 0; i < VMLAT_BYPASS_N_COUNTERS; i++) {
        sum->counters[i] += part->counters[i];
    }
    add_ways(sum, part);
    add_flows(sum, part);
}
