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

/* Whose data is in other packets elsewhere.
 *
 * NICs and kernels cut and merge TCP segments (TSO, GSO, GRO).  What one place
 * sees as one packet is several at another one, so none of them has a record
 * there.  But each byte of its data is there, in packets that the first place
 * has not seen. */

#include <config.h>
#include "ovs-vmlat-slots.h"

#include <stdlib.h>
#include <string.h>

#include "util.h"

/* Sequence numbers are counted on where they wrap, from far enough above 0
 * that none gets below. */
#define WRAP (INT64_C(1) << 32)
#define FIRST_START (UINT64_C(1) << 62)

/* Sets of slots of one direction. */
#define N_MASKS (1u << WAY_SLOTS)

/* A record in a slot. */
struct piece {
    uint32_t ports;
    uint32_t way;
    uint32_t payload;
    uint64_t time;
    uint64_t start;             /* Sequence number, see above. */
};

/* Data that some packets have between them. */
struct stretch {
    uint32_t ports;
    uint64_t start, end;
};

struct data {
    struct matching *m;
    int direction;
    struct piece *pieces[WAY_SLOTS];    /* In order of ports and time, then of
                                         * ports and start. */
    size_t n_pieces[WAY_SLOTS];
    uint8_t *masks;             /* By way: the slots that it has. */
    uint8_t *covered;           /* By way: slots that have its data. */
    uint64_t *starts;           /* By way: 0 if not known. */
};

static const struct vmlat_record *
first_record(const struct data *d, size_t way)
{
    for (int i = 0; i < WAY_SLOTS; i++) {
        if (d->masks[way] & 1u << i) {
            return match_record(d->m, &d->m->ways[d->direction][way],
                                d->direction * WAY_SLOTS + i);
        }
    }
    OVS_NOT_REACHED();
}

static int
compare_by_time(const void *a_, const void *b_)
{
    const struct piece *a = a_, *b = b_;

    return (a->ports != b->ports ? (a->ports < b->ports ? -1 : 1)
            : a->time != b->time ? (a->time < b->time ? -1 : 1)
            : a->way < b->way ? -1 : a->way > b->way);
}

static int
compare_by_start(const void *a_, const void *b_)
{
    const struct piece *a = a_, *b = b_;

    return (a->ports != b->ports ? (a->ports < b->ports ? -1 : 1)
            : a->start != b->start ? (a->start < b->start ? -1 : 1)
            : a->way < b->way ? -1 : a->way > b->way);
}

/* Stores how much later, by the clocks of both, 'b' sees packets than 'a'
 * does: how the files' clocks differ, give or take the time on the way.
 * Returns false if nothing tells. */
static bool
find_shift(const struct matching *m, enum match_slot a, enum match_slot b,
           int64_t *shift)
{
    if (match_slots[a].part == match_slots[b].part) {
        *shift = 0;
        return true;
    }
    for (int i = 0; i < N_SLOTS; i++) {
        for (int k = 0; k < N_SLOTS; k++) {
            if (i / WAY_SLOTS == k / WAY_SLOTS
                && match_slots[i].part == match_slots[a].part
                && match_slots[k].part == match_slots[b].part
                && m->delta_known[i] && m->delta_known[k]) {
                *shift = m->delta[k] - m->delta[i];
                return true;
            }
        }
    }
    return false;
}

/* Returns the one of the pieces of 'slot' that have 'ports' which is closest
 * to 'time', or NULL. */
static const struct piece *
find_at(const struct data *d, int slot, uint32_t ports, uint64_t time)
{
    const struct piece *pieces = d->pieces[slot];
    size_t low = 0, high = d->n_pieces[slot];

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct piece *p = &pieces[middle];

        if (p->ports < ports || (p->ports == ports && p->time < time)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low < d->n_pieces[slot] && pieces[low].ports == ports) {
        return &pieces[low];
    }
    return low && pieces[low - 1].ports == ports ? &pieces[low - 1] : NULL;
}

/* Returns how many times the sequence numbers have wrapped, in slots before
 * 'slot', more than it seems from pieces 'first' to 'end' of 'slot', of one
 * connection: by a packet that both have, or else by the time. */
static int64_t
find_wraps(const struct data *d, int slot, size_t first, size_t end)
{
    const struct piece *pieces = d->pieces[slot];
    int direction = d->direction * WAY_SLOTS;

    for (size_t i = first; i < end; i++) {
        uint64_t start = d->starts[pieces[i].way];

        if (start) {
            return (int64_t) (start - pieces[i].start) / WRAP;
        }
    }
    for (int other = 0; other < slot; other++) {
        const struct piece *p;
        int64_t shift;

        /* Without a shift no packet has been matched either way, and what is
         * found here is but a hint. */
        if (!find_shift(d->m, direction + slot, direction + other, &shift)) {
            shift = INT64_MIN / 4;
        }
        p = find_at(d, other, pieces[first].ports,
                    shift < 0 && pieces[first].time < -shift
                    ? 0 : pieces[first].time + shift);
        if (p) {
            int64_t more = p->start - pieces[first].start;

            return (more + (more < 0 ? -WRAP / 2 : WRAP / 2)) / WRAP;
        }
    }
    return 0;
}

/* Gathers the records of 'slot'. */
static void
gather_pieces(struct data *d, int slot)
{
    const struct matching *m = d->m;
    size_t n_ways = m->n_ways[d->direction];
    struct piece *pieces;
    size_t n = 0, end;

    for (size_t i = 0; i < n_ways; i++) {
        n += d->masks[i] >> slot & 1;
    }
    pieces = d->pieces[slot] = xmalloc(MAX(n, 1) * sizeof *pieces);
    d->n_pieces[slot] = n;
    n = 0;
    for (size_t i = 0; i < n_ways; i++) {
        const struct vmlat_record *r
            = match_record(m, &m->ways[d->direction][i],
                           d->direction * WAY_SLOTS + slot);

        if (r) {
            pieces[n++] = (struct piece) {
                (uint32_t) r->sport << 16 | r->dport, i, r->payload,
                r->time_ns, r->seq
            };
        }
    }
    qsort(pieces, n, sizeof *pieces, compare_by_time);

    for (size_t first = 0; first < n; first = end) {
        uint64_t last = FIRST_START + pieces[first].start;
        int64_t wraps;

        for (end = first; end < n && pieces[end].ports == pieces[first].ports;
             end++) {
            uint32_t seq = pieces[end].start;

            pieces[end].start = last + (int32_t) (seq - (uint32_t) last);
            last = MAX(last, pieces[end].start);
        }
        wraps = find_wraps(d, slot, first, end);
        for (size_t i = first; i < end; i++) {
            pieces[i].start += wraps * WRAP;
            d->starts[pieces[i].way] = pieces[i].start;
        }
    }
}

/* Stores in 'stretches' the data that 'slot' has in packets without a record
 * in any slot of 'mask', and returns how many stretches that is. */
static size_t
find_stretches(const struct data *d, int slot, uint8_t mask,
               struct stretch *stretches)
{
    size_t n = 0;

    for (size_t i = 0; i < d->n_pieces[slot]; i++) {
        const struct piece *p = &d->pieces[slot][i];
        struct stretch *last = n ? &stretches[n - 1] : NULL;
        uint64_t end = p->start + p->payload;

        if (d->masks[p->way] & mask) {
            continue;
        } else if (last && last->ports == p->ports && p->start <= last->end) {
            last->end = MAX(last->end, end);
        } else if (end > p->start) {
            stretches[n++] = (struct stretch) { p->ports, p->start, end };
        }
    }
    return n;
}

/* Returns true if one of 'stretches' has all of the data of 'way'. */
static bool
is_covered(const struct data *d, size_t way, const struct stretch *stretches,
           size_t n)
{
    const struct vmlat_record *r = first_record(d, way);
    uint32_t ports = (uint32_t) r->sport << 16 | r->dport;
    uint64_t start = d->starts[way];
    size_t low = 0, high = n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct stretch *s = &stretches[middle];

        if (s->ports < ports || (s->ports == ports && s->start <= start)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return (r->payload && low && stretches[low - 1].ports == ports
            && start + r->payload <= stretches[low - 1].end);
}

/* Sets 'covered' of all ways. */
static void
find_covered(struct data *d)
{
    const struct matching *m = d->m;
    size_t n_ways = m->n_ways[d->direction];
    size_t count[N_MASKS] = { 0 };
    struct stretch *stretches;
    size_t max = 1;

    for (size_t i = 0; i < n_ways; i++) {
        count[d->masks[i]]++;
    }
    for (int slot = 0; slot < WAY_SLOTS; slot++) {
        max = MAX(max, d->n_pieces[slot]);
    }
    stretches = xmalloc(max * sizeof *stretches);
    for (unsigned int mask = 1; mask < N_MASKS; mask++) {
        for (int slot = 0; count[mask] && slot < WAY_SLOTS; slot++) {
            size_t n = (mask & 1u << slot ? 0
                        : find_stretches(d, slot, mask, stretches));

            for (size_t i = 0; n && i < n_ways; i++) {
                if (d->masks[i] == mask && is_covered(d, i, stretches, n)) {
                    d->covered[i] |= 1u << slot;
                }
            }
        }
    }
    free(stretches);
}

/* Puts what was found into the ways. */
static void
judge_covered(struct data *d)
{
    struct matching *m = d->m;

    for (size_t i = 0; i < m->n_ways[d->direction]; i++) {
        struct way *way = &m->ways[d->direction][i];

        if (way->fate == WAY_MATCHED) {
            for (int slot = 0; slot < WAY_SLOTS; slot++) {
                m->n_resized[d->direction][slot] += d->covered[i] >> slot & 1;
            }
        } else if (way->fate >= WAY_MISSING
                   && way->fate < WAY_MISSING + WAY_SLOTS) {
            way->fate = WAY_RESIZED;
            for (int slot = 0; slot < WAY_SLOTS; slot++) {
                if (m->required[d->direction * WAY_SLOTS + slot]
                    && !way->records[slot]
                    && !(d->covered[i] >> slot & 1)) {
                    way->fate = WAY_MISSING + slot;
                    break;
                }
            }
        }
    }
}

/* Finds out about ways in 'direction' that lack a record. */
static void
match_data_of(struct matching *m, int direction)
{
    size_t n_ways = m->n_ways[direction];
    struct data d = { .m = m, .direction = direction };
    bool is_any_missing = false;
    uint8_t all = 0;

    d.masks = xzalloc(MAX(n_ways, 1));
    for (int i = 0; i < WAY_SLOTS; i++) {
        all |= m->n_slot[direction * WAY_SLOTS + i] ? 1u << i : 0;
    }
    for (size_t i = 0; i < n_ways; i++) {
        for (int k = 0; k < WAY_SLOTS; k++) {
            d.masks[i] |= m->ways[direction][i].records[k] ? 1u << k : 0;
        }
        is_any_missing = is_any_missing || d.masks[i] != all;
    }
    if (is_any_missing) {
        d.covered = xzalloc(n_ways);
        d.starts = xcalloc(n_ways, sizeof *d.starts);
        for (int i = 0; i < WAY_SLOTS; i++) {
            gather_pieces(&d, i);
        }
        for (int i = 0; i < WAY_SLOTS; i++) {
            qsort(d.pieces[i], d.n_pieces[i], sizeof *d.pieces[i],
                  compare_by_start);
        }
        find_covered(&d);
        judge_covered(&d);
        for (int i = 0; i < WAY_SLOTS; i++) {
            free(d.pieces[i]);
        }
        free(d.covered);
        free(d.starts);
    }
    free(d.masks);
}

void
match_data(struct matching *m)
{
    match_data_of(m, REQUESTS);
    match_data_of(m, REPLIES);
}
