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
#include "ovs-vmlat-slots.h"

#include <stdlib.h>
#include <string.h>

#include "random.h"
#include "util.h"

/* Packets that say how far the slots are apart in time. */
#define MAX_SAMPLES 20000

/* Records of one identity that can be told apart. */
#define MAX_SAME 65536

const char *record_fate_names[N_RECORD_FATES] = {
#define RECORD_FATE(ID, MEANING) MEANING,
    RECORD_FATES
#undef RECORD_FATE
};

static int
compare_identities(const struct identity *a, const struct identity *b)
{
    for (size_t i = 0; i < ARRAY_SIZE(a->words); i++) {
        if (a->words[i] != b->words[i]) {
            return a->words[i] < b->words[i] ? -1 : 1;
        }
    }
    return 0;
}

static uint64_t
entry_hash(const struct entry *e)
{
    return (uint64_t) e->hash[0] << 32 | e->hash[1];
}

/* Sorting. */

struct sort_context {
    const struct matcher *mr;
    enum match_slot slot;
};

static int
compare_entries(const void *a_, const void *b_, void *context_)
{
    const struct sort_context *context = context_;
    const struct entry *a = a_, *b = b_;
    const struct vmlat_record *ra, *rb;
    struct identity ia, ib;
    int cmp;

    for (int i = 0; i < 2; i++) {
        if (a->hash[i] != b->hash[i]) {
            return a->hash[i] < b->hash[i] ? -1 : 1;
        }
    }
    ra = entry_record(context->mr, context->slot, a);
    rb = entry_record(context->mr, context->slot, b);
    ia = identify(ra);
    ib = identify(rb);
    cmp = compare_identities(&ia, &ib);
    if (!cmp && ra->time_ns != rb->time_ns) {
        cmp = ra->time_ns < rb->time_ns ? -1 : 1;
    }
    return cmp ? cmp : a->record < b->record ? -1 : a->record > b->record;
}

static void
sort_slot(const struct matcher *mr, enum match_slot slot)
{
    struct sort_context context = { mr, slot };

    if (mr->slots[slot].n) {
        qsort_r(mr->slots[slot].entries, mr->slots[slot].n,
                sizeof *mr->slots[slot].entries, compare_entries, &context);
    }
}

/* Groups: records of one identity. */

struct group {
    size_t start[N_SLOTS];
    size_t n[N_SLOTS];
    size_t total;
};

struct cursor {
    struct matcher *mr;
    enum match_slot first, end; /* Slots that go together. */
    size_t at[N_SLOTS];
};

static void
cursor_init(struct cursor *c, struct matcher *mr, enum match_slot first,
            enum match_slot end)
{
    memset(c, 0, sizeof *c);
    c->mr = mr;
    c->first = first;
    c->end = end;
}

static struct identity
identity_at(const struct matcher *mr, enum match_slot slot, size_t i)
{
    return identify(entry_record(mr, slot, &mr->slots[slot].entries[i]));
}

/* Fills '*g' with the next group.  Returns false at the end. */
static bool
cursor_next(struct cursor *c, struct group *g)
{
    struct matcher *mr = c->mr;
    uint64_t hash = UINT64_MAX;
    struct identity least;
    bool any = false;

    memset(g, 0, sizeof *g);
    for (int s = c->first; s < c->end; s++) {
        if (c->at[s] < mr->slots[s].n) {
            hash = MIN(hash, entry_hash(&mr->slots[s].entries[c->at[s]]));
            any = true;
        }
    }
    if (!any) {
        return false;
    }

    any = false;
    for (int s = c->first; s < c->end; s++) {
        const struct slot *slot = &mr->slots[s];

        if (c->at[s] < slot->n
            && entry_hash(&slot->entries[c->at[s]]) == hash) {
            struct identity id = identity_at(mr, s, c->at[s]);

            if (!any || compare_identities(&id, &least) < 0) {
                least = id;
            }
            any = true;
        }
    }
    for (int s = c->first; s < c->end; s++) {
        const struct slot *slot = &mr->slots[s];

        g->start[s] = c->at[s];
        while (c->at[s] < slot->n
               && entry_hash(&slot->entries[c->at[s]]) == hash) {
            struct identity id = identity_at(mr, s, c->at[s]);

            if (compare_identities(&id, &least)) {
                break;
            }
            c->at[s]++;
        }
        g->n[s] = c->at[s] - g->start[s];
        g->total += g->n[s];
    }
    return true;
}

static uint64_t
group_time(const struct matcher *mr, const struct group *g, int slot,
           size_t i)
{
    return entry_record(mr, slot,
                        &mr->slots[slot].entries[g->start[slot] + i])->time_ns;
}

/* Returns the number of records that each slot with any has, or 0 if they
 * differ. */
static size_t
group_same_n(const struct group *g)
{
    size_t n = 0;

    for (int s = 0; s < N_SLOTS; s++) {
        if (g->n[s]) {
            if (n && g->n[s] != n) {
                return 0;
            }
            n = g->n[s];
        }
    }
    return n;
}

/* How far the slots are apart in time. */

static int
compare_int64(const void *a_, const void *b_)
{
    const int64_t *a = a_, *b = b_;

    return *a < *b ? -1 : *a > *b;
}

/* Sets m->delta[] for the slots from 'first' to 'end', from packets of which
 * each slot has one record; or else, if there are none, from those of which
 * each has equally many. */
static void
find_deltas(struct matcher *mr, enum match_slot first, enum match_slot end)
{
    struct matching *m = mr->m;
    int64_t *samples[N_SLOTS];
    size_t n[N_SLOTS] = { 0 };
    int ref = first;

    for (int s = first; s < end; s++) {
        samples[s] = xmalloc(MAX_SAMPLES * sizeof *samples[s]);
        if (mr->slots[s].n > mr->slots[ref].n) {
            ref = s;
        }
    }
    for (int pass = 0; pass < 2; pass++) {
        size_t max = pass ? MAX_SAME : 1;
        size_t n_groups = 0;
        struct cursor c;
        struct group g;

        cursor_init(&c, mr, first, end);
        while (n_groups < MAX_SAMPLES && cursor_next(&c, &g)) {
            size_t same = group_same_n(&g);

            if (same && same <= max && g.n[ref] && g.total > same) {
                n_groups++;
                for (int s = first; s < end; s++) {
                    if (g.n[s]) {
                        samples[s][n[s]++] = (group_time(mr, &g, s, 0)
                                              - group_time(mr, &g, ref, 0));
                    }
                }
            }
        }
        if (n_groups) {
            break;
        }
    }
    for (int s = first; s < end; s++) {
        if (n[s]) {
            qsort(samples[s], n[s], sizeof *samples[s], compare_int64);
            m->delta[s] = samples[s][n[s] / 2];
            m->delta_known[s] = true;
        }
        free(samples[s]);
    }
    m->delta_known[ref] = true;
}

/* Ways. */

static struct way *
add_way(struct matching *m, int direction)
{
    struct way *way;

    if (m->n_ways[direction] >= m->allocated_ways[direction]) {
        m->ways[direction] = x2nrealloc(m->ways[direction],
                                        &m->allocated_ways[direction],
                                        sizeof *m->ways[direction]);
    }
    way = &m->ways[direction][m->n_ways[direction]++];
    memset(way, 0, sizeof *way);
    return way;
}

void
matching_add_pair(struct matching *m, size_t request, size_t reply)
{
    if (m->n_pairs >= m->allocated_pairs) {
        m->pairs = x2nrealloc(m->pairs, &m->allocated_pairs,
                              sizeof *m->pairs);
    }
    m->pairs[m->n_pairs++] = (struct way_pair) { request, reply };
}

/* Returns true if 'slot' cannot have a record of what the slot 'seen' saw at
 * 'ns', because that was before its file begins or after it ends. */
static bool
is_outside(const struct matching *m, enum match_slot slot,
           enum match_slot seen, uint64_t ns)
{
    const struct vmlat_record_file *f = m->files[match_slots[slot].part];
    uint64_t first = f->source->start_ns;
    uint64_t last = f->end_ns;
    int64_t expected;

    if (!m->delta_known[slot] || !m->delta_known[seen]) {
        return false;
    }
    for (size_t i = 0; i < f->n_counters; i++) {
        if (!strcmp(f->counters[i]->name, "overwritten")
            && f->counters[i]->value) {
            first = m->first_ns[slot];
        }
    }
    if (!last) {
        last = m->last_ns[slot];
    }
    expected = ns - m->delta[seen] + m->delta[slot];
    return expected < (int64_t) first || expected > (int64_t) last;
}

/* Returns the fate of 'way' by the records that it has. */
static enum way_fate
judge_way(const struct matching *m, int direction, const struct way *way)
{
    const struct vmlat_record *seen = NULL;
    enum match_slot seen_slot = 0;

    for (int i = 0; i < WAY_SLOTS && !seen; i++) {
        seen_slot = direction * WAY_SLOTS + i;
        seen = match_record(m, way, seen_slot);
    }
    for (int i = 0; i < WAY_SLOTS; i++) {
        enum match_slot slot = direction * WAY_SLOTS + i;

        if (m->required[slot] && !way->records[i]) {
            return (is_outside(m, slot, seen_slot, seen->time_ns)
                    ? WAY_OUTSIDE : WAY_MISSING + i);
        }
    }
    if (is_icmp(m->c.proto)) {
        uint16_t ip_id = 0;

        /* Echoes have small numbers: those of another run may well have the
         * same.  0 is what some senders put there if it does not matter. */
        for (int i = 0; i < WAY_SLOTS; i++) {
            const struct vmlat_record *r
                = match_record(m, way, direction * WAY_SLOTS + i);

            if (r && r->ip_id) {
                if (ip_id && ip_id != r->ip_id) {
                    return WAY_DIFFERENT;
                }
                ip_id = r->ip_id;
            }
        }
    }
    return WAY_MATCHED;
}

/* Adds the ways of one packet, or of an echo and the reply to it, from the
 * records of 'g' whose numbers are in 'which', SIZE_MAX for none. */
static void
add_ways(struct matcher *mr, const struct group *g, const size_t *which)
{
    struct matching *m = mr->m;
    size_t numbers[2] = { SIZE_MAX, SIZE_MAX };

    for (int direction = 0; direction < 2; direction++) {
        struct way *way = NULL;

        for (int i = 0; i < WAY_SLOTS; i++) {
            int slot = direction * WAY_SLOTS + i;

            if (which[slot] != SIZE_MAX) {
                size_t at = g->start[slot] + which[slot];

                if (!way) {
                    way = add_way(m, direction);
                    numbers[direction] = m->n_ways[direction] - 1;
                }
                way->records[i] = mr->slots[slot].entries[at].record;
            }
        }
        if (way) {
            way->fate = judge_way(m, direction, way);
        }
    }
    if (mr->is_icmp) {
        struct way *request = (numbers[REQUESTS] == SIZE_MAX ? NULL
                               : &m->ways[REQUESTS][numbers[REQUESTS]]);
        struct way *reply = (numbers[REPLIES] == SIZE_MAX ? NULL
                             : &m->ways[REPLIES][numbers[REPLIES]]);
        bool request_ok = request && request->fate == WAY_MATCHED;
        bool reply_ok = reply && reply->fate == WAY_MATCHED;

        if (request_ok && reply_ok) {
            matching_add_pair(m, numbers[REQUESTS], numbers[REPLIES]);
        } else if (request_ok) {
            request->fate = WAY_ALONE;
        } else if (reply_ok) {
            reply->fate = WAY_ALONE;
        }
    }
}

/* A record of a group, at its time as the first slot would have seen it. */
struct item {
    int64_t time;
    int slot;
    size_t i;
};

static int
compare_items(const void *a_, const void *b_)
{
    const struct item *a = a_, *b = b_;

    return (a->time != b->time ? (a->time < b->time ? -1 : 1)
            : a->slot < b->slot ? -1 : a->slot > b->slot);
}

/* Tells packets of one identity apart by time: they can be if each is closer
 * to itself, on its way, than to the next one by far.  Returns false if not,
 * and adds no way then. */
static bool
split_by_time(struct matcher *mr, const struct group *g,
              const struct item *items)
{
    int64_t last_spread = 0;

    for (int pass = 0; pass < 2; pass++) {
        size_t start = 0;

        while (start < g->total) {
            size_t which[N_SLOTS];
            int64_t spread;
            size_t i;

            memset(which, 0xff, sizeof which);
            for (i = start; i < g->total && which[items[i].slot] == SIZE_MAX;
                 i++) {
                which[items[i].slot] = items[i].i;
            }
            if (pass) {
                add_ways(mr, g, which);
            } else {
                spread = items[i - 1].time - items[start].time;
                if (start
                    && (items[start].time - items[start - 1].time) / 4
                       <= MAX(spread, last_spread)) {
                    return false;
                }
                last_spread = spread;
            }
            start = i;
        }
    }
    return true;
}

/* Tells packets of one identity apart by their order: if each place has
 * equally many, and none of them is closer to another one's time than to its
 * own.  Returns false if not, and adds no way then. */
static bool
split_by_order(struct matcher *mr, const struct group *g)
{
    size_t n = group_same_n(g);
    int64_t spacing = INT64_MAX;
    int64_t distance = 0;

    if (!n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        int64_t min = INT64_MAX, max = INT64_MIN;

        for (int s = 0; s < N_SLOTS; s++) {
            if (g->n[s]) {
                int64_t t = group_time(mr, g, s, i) - mr->m->delta[s];

                min = MIN(min, t);
                max = MAX(max, t);
                if (i) {
                    int64_t before = (group_time(mr, g, s, i - 1)
                                      - mr->m->delta[s]);

                    spacing = MIN(spacing, t - before);
                }
            }
        }
        distance = MAX(distance, max - min);
    }
    if (distance >= spacing) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        size_t which[N_SLOTS];

        for (int s = 0; s < N_SLOTS; s++) {
            which[s] = g->n[s] ? i : SIZE_MAX;
        }
        add_ways(mr, g, which);
    }
    return true;
}

static void
match_group(struct matcher *mr, const struct group *g)
{
    struct matching *m = mr->m;
    bool can_split = g->total <= MAX_SAME;
    size_t which[N_SLOTS];
    bool is_unique = true;
    bool done = false;

    for (int s = 0; s < N_SLOTS; s++) {
        which[s] = g->n[s] ? 0 : SIZE_MAX;
        is_unique = is_unique && g->n[s] <= 1;
        can_split = can_split && (!g->n[s] || m->delta_known[s]);
    }
    if (is_unique) {
        add_ways(mr, g, which);
        return;
    }
    if (can_split) {
        struct item *items = xmalloc(g->total * sizeof *items);
        size_t n = 0;

        for (int s = 0; s < N_SLOTS; s++) {
            for (size_t i = 0; i < g->n[s]; i++) {
                items[n++] = (struct item) {
                    group_time(mr, g, s, i) - m->delta[s], s, i
                };
            }
        }
        qsort(items, n, sizeof *items, compare_items);
        done = split_by_time(mr, g, items) || split_by_order(mr, g);
        free(items);
    }
    if (!done) {
        m->n_ambiguous++;
        for (int s = 0; s < N_SLOTS; s++) {
            m->fates[match_slots[s].part][RECORD_AMBIGUOUS] += g->n[s];
        }
    }
}

static void
match_slots_of(struct matcher *mr, enum match_slot first, enum match_slot end)
{
    struct cursor c;
    struct group g;

    find_deltas(mr, first, end);
    cursor_init(&c, mr, first, end);
    while (cursor_next(&c, &g)) {
        match_group(mr, &g);
    }
}

/* All of it. */

/* Decides which slots a packet must have been seen at: where hosts and the
 * network meet, or where there are no hosts, in the guests. */
static void
set_required(struct matching *m)
{
    static const enum match_slot hosts[] = { SLOT_B, SLOT_D, SLOT_I, SLOT_K };
    static const enum match_slot virt[] = { SLOT_B1, SLOT_E, SLOT_I1,
                                            SLOT_L };
    static const enum match_slot guests[] = { SLOT_A, SLOT_F, SLOT_H,
                                              SLOT_M };
    bool have_host = m->files[JOIN_SENDER_HOST]
                     || m->files[JOIN_RECEIVER_HOST];

    for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
        if (m->n_slot[hosts[i]]) {
            m->required[hosts[i]] = true;
        } else if (m->n_slot[virt[i]]) {
            m->required[virt[i]] = true;
        } else if (!have_host && m->n_slot[guests[i]]) {
            m->required[guests[i]] = true;
        }
    }
}

static int
compare_ways(const void *a_, const void *b_)
{
    const struct way *a = a_, *b = b_;

    for (int i = 0; i < WAY_SLOTS; i++) {
        if (a->records[i] != b->records[i]) {
            return a->records[i] < b->records[i] ? -1 : 1;
        }
    }
    return 0;
}

static void
sort_ways(struct matching *m)
{
    for (int i = 0; i < 2; i++) {
        if (m->n_ways[i]) {
            qsort(m->ways[i], m->n_ways[i], sizeof *m->ways[i],
                  compare_ways);
        }
    }
}

static int
compare_pairs(const void *a_, const void *b_, void *m_)
{
    const struct way_pair *a = a_, *b = b_;
    const struct matching *m = m_;
    int cmp = compare_ways(&m->ways[REQUESTS][a->request],
                           &m->ways[REQUESTS][b->request]);

    return cmp ? cmp : compare_ways(&m->ways[REPLIES][a->reply],
                                    &m->ways[REPLIES][b->reply]);
}

static void
count_ways(struct matching *m)
{
    for (int direction = 0; direction < 2; direction++) {
        for (size_t i = 0; i < m->n_ways[direction]; i++) {
            const struct way *way = &m->ways[direction][i];

            m->way_fates[direction][way->fate]++;
            for (int j = 0; j < WAY_SLOTS; j++) {
                if (way->records[j]) {
                    enum match_slot slot = direction * WAY_SLOTS + j;

                    m->used[match_slots[slot].part][way->fate]++;
                }
            }
        }
    }
}

char *
matching_init(struct matching *m,
              struct vmlat_record_file *files[JOIN_N_PARTS],
              const struct ovs_vmlat_options *options)
{
    struct matcher mr = { .m = m };
    char *error;

    memset(m, 0, sizeof *m);
    for (int part = 0; part < JOIN_N_PARTS; part++) {
        struct vmlat_record_file *f = files[part];

        m->files[part] = f;
        if (f && f->n_runs) {
            const struct vmlat_record_run *last = &f->runs[f->n_runs - 1];

            m->base[part] = (const char *) f->runs[0].records;
            if (((const char *) &last->records[last->n] - m->base[part]) / 8
                >= UINT32_MAX) {
                return xasprintf("%s: files of more than 32 GiB cannot be "
                                 "joined", f->name);
            }
        }
    }
    random_init();
    error = choose_conversation(m, options);
    if (error) {
        return error;
    }

    mr.is_icmp = is_icmp(m->c.proto);
    mr.seed = random_uint64();
    read_records(&mr);
    for (int s = 0; s < N_SLOTS; s++) {
        m->n_slot[s] = mr.slots[s].n;
        sort_slot(&mr, s);
    }
    set_required(m);

    if (mr.is_icmp) {
        match_slots_of(&mr, 0, N_SLOTS);
    } else {
        match_slots_of(&mr, 0, WAY_SLOTS);
        match_slots_of(&mr, WAY_SLOTS, N_SLOTS);
    }
    for (int s = 0; s < N_SLOTS; s++) {
        free(mr.slots[s].entries);
    }
    if (m->c.proto == IPPROTO_TCP) {
        match_data(m);
    }
    count_ways(m);

    /* As they are in the files, which then are read from front to back. */
    if (!mr.is_icmp) {
        sort_ways(m);
    }
    if (m->c.proto == IPPROTO_TCP) {
        match_pair_tcp(m);
    }
    if (m->n_pairs) {
        qsort_r(m->pairs, m->n_pairs, sizeof *m->pairs, compare_pairs, m);
    }
    return NULL;
}

void
matching_uninit(struct matching *m)
{
    free(m->ways[REQUESTS]);
    free(m->ways[REPLIES]);
    free(m->pairs);
}
