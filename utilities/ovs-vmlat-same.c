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

/* Are the files of one run? */

#include <config.h>
#include "ovs-vmlat-join.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util.h"

/* Packets that have to agree on the offset of two machines' clocks if the time
 * of day says that their files have no time in common. */
#define MIN_EVIDENCE 8

/* Two clocks run at different speeds, but steadily: up to MAX_DRIFT, and but
 * for MAX_WANDER of the time between the packets.  If round trips are too few
 * to find out their drift, they may differ by FEW_WANDER: NTP slews by up to
 * 500 ppm. */
#define MIN_FOR_DRIFT 12
#define MAX_DRIFT 0.02
#define MAX_WANDER 2e-4
#define FEW_WANDER 1e-3

/* One clock may be read by two ways, one of them converted from the TSC. */
#define SAME_CLOCK_NS 1e6

/* Checks of the files. */

char *
join_check_files(struct vmlat_record_file *files[JOIN_N_PARTS])
{
    bool any = false;

    for (int part = 0; part < JOIN_N_PARTS; part++) {
        const struct vmlat_record_file *f = files[part];
        bool want_guest = (part == JOIN_SENDER_GUEST
                           || part == JOIN_RECEIVER_GUEST);

        if (f) {
            any = true;
            if ((f->source->role == VMLAT_RECORD_GUEST) != want_guest) {
                return xasprintf("%s: was recorded %s, but stands where the "
                                 "file of the %s has to be", f->name,
                                 want_guest ? "on a host" : "in a guest",
                                 join_part_names[part]);
            }
        }
    }
    if (files[JOIN_SENDER_GUEST] && files[JOIN_RECEIVER_GUEST]
        && !memcmp(files[JOIN_SENDER_GUEST]->source->run_id,
                   files[JOIN_RECEIVER_GUEST]->source->run_id,
                   sizeof files[0]->source->run_id)) {
        return xasprintf("%s and %s: the same recording for both guests",
                         files[JOIN_SENDER_GUEST]->name,
                         files[JOIN_RECEIVER_GUEST]->name);
    }
    return any ? NULL : xstrdup("no file: all parts are \"-\"");
}

bool
join_is_same_kernel(const struct vmlat_record_file *a,
               const struct vmlat_record_file *b)
{
    static const uint8_t none[sizeof a->source->boot_id];

    return (memcmp(a->source->boot_id, none, sizeof none)
            && !memcmp(a->source->boot_id, b->source->boot_id, sizeof none));
}

/* Beyond this, which is in 2116, times of day are not to be believed. */
#define MAX_WALL (UINT64_C(1) << 62)

/* Stores in '*from' and '*to' the time of day that 'f' covers, ns. */
void
join_wall_window(const struct vmlat_record_file *f, int64_t *from, int64_t *to)
{
    uint64_t last = f->end_ns;

    if (!last) {
        for (size_t i = 0; i < f->n_runs; i++) {
            for (size_t j = 0; j < f->runs[i].n; j++) {
                last = MAX(last, f->runs[i].records[j].time_ns);
            }
        }
    }
    *from = MIN(f->source->start_wall_ns, MAX_WALL);
    *to = *from + MIN(last > f->source->start_ns ? last - f->source->start_ns
                      : 0, MAX_WALL);
}

static char *
format_wall(const struct vmlat_record_file *f)
{
    int64_t window[2];
    char text[2][32];

    join_wall_window(f, &window[0], &window[1]);
    for (int i = 0; i < 2; i++) {
        time_t seconds = window[i] / 1000000000;
        struct tm tm;

        strftime(text[i], sizeof text[i], i ? "%H:%M:%S" : "%F %H:%M:%S",
                 gmtime_r(&seconds, &tm));
    }
    return xasprintf("%s covers %s to %s UTC", f->name, text[0], text[1]);
}

/* Two machines whose ways are one inside the other: the outer one sees the
 * request before, and the reply after, the inner one. */
struct nesting {
    enum join_part outer, inner;
    enum match_slot go, come;           /* Of the outer one. */
    enum match_slot arrive, leave;      /* Of the inner one. */
};

static const struct nesting nestings[] = {
    { JOIN_SENDER_GUEST, JOIN_SENDER_HOST, SLOT_A, SLOT_M, SLOT_B, SLOT_K },
    { JOIN_SENDER_HOST, JOIN_RECEIVER_HOST, SLOT_B, SLOT_K, SLOT_D, SLOT_I },
    { JOIN_RECEIVER_HOST, JOIN_RECEIVER_GUEST, SLOT_D, SLOT_I, SLOT_F,
      SLOT_H },
    { JOIN_SENDER_GUEST, JOIN_RECEIVER_GUEST, SLOT_A, SLOT_M, SLOT_F,
      SLOT_H },
};

/* What the packets that both machines have seen say about their clocks. */
struct agreement {
    uint64_t n_common;          /* Packets. */
    uint64_t n;                 /* Round trips that were looked at. */
    uint64_t n_agree;           /* Of those: with one offset. */
    double drift;               /* Inner clock's speed, compared with the
                                 * outer one's, minus 1. */
};

/* A round trip: the offset of the inner clock is from 'low' to 'high'. */
struct trip {
    uint64_t when;
    int64_t low, high;
};

static int
compare_trips(const void *a_, const void *b_)
{
    const struct trip *a = a_, *b = b_;

    return a->when < b->when ? -1 : a->when > b->when;
}

/* An end of what the offset may be, for one round trip. */
struct bound {
    double offset;
    int step;                   /* 1: from here, -1: up to here. */
};

static int
compare_bounds(const void *a_, const void *b_)
{
    const struct bound *a = a_, *b = b_;

    return (a->offset != b->offset ? (a->offset < b->offset ? -1 : 1)
            : b->step - a->step);
}

/* Returns how many of the 'n' round trips can have the same offset, give or
 * take 'tolerance' ns, if the inner clock drifts by 'drift'. */
static uint64_t
count_agreeing(const struct trip *trips, size_t n, double drift,
               double tolerance)
{
    struct bound *bounds = xmalloc(2 * n * sizeof *bounds);
    uint64_t best = 0, now = 0;
    size_t n_bounds = 0;

    for (size_t i = 0; i < n; i++) {
        double moved = drift * (trips[i].when - trips[0].when);
        double low = trips[i].low - moved - tolerance;
        double high = trips[i].high - moved + tolerance;

        if (low <= high) {
            bounds[n_bounds++] = (struct bound) { low, 1 };
            bounds[n_bounds++] = (struct bound) { high, -1 };
        }
    }
    qsort(bounds, n_bounds, sizeof *bounds, compare_bounds);
    for (size_t i = 0; i < n_bounds; i++) {
        now += bounds[i].step;
        best = MAX(best, now);
    }
    free(bounds);
    return best;
}

/* Returns the trip that says most about the offset: the shortest one. */
static const struct trip *
shortest_trip(const struct trip *trips, size_t n)
{
    const struct trip *best = &trips[0];

    for (size_t i = 1; i < n; i++) {
        if (trips[i].high - trips[i].low < best->high - best->low) {
            best = &trips[i];
        }
    }
    return best;
}

/* The offset of two clocks is at most what the request seems to take, and at
 * least what the reply seems to take, with the opposite sign: for every round
 * trip of one run, and for the same offset but for the drift. */
static void
judge_trips(struct agreement *a, struct trip *trips)
{
    const struct trip *before, *after;
    double duration, drift;
    uint64_t n_agree;

    qsort(trips, a->n, sizeof *trips, compare_trips);
    duration = trips[a->n - 1].when - trips[0].when;
    a->n_agree = count_agreeing(trips, a->n, 0,
                                duration * (a->n < MIN_FOR_DRIFT ? FEW_WANDER
                                            : MAX_WANDER));
    if (a->n < MIN_FOR_DRIFT || a->n_agree == a->n) {
        return;
    }

    before = shortest_trip(trips, a->n / 3);
    after = shortest_trip(&trips[a->n - a->n / 3], a->n / 3);
    if (after->when == before->when) {
        return;
    }
    drift = (((double) after->low + after->high) / 2
             - ((double) before->low + before->high) / 2)
            / (after->when - before->when);
    if (fabs(drift) > MAX_DRIFT) {
        return;
    }
    n_agree = count_agreeing(trips, a->n, drift, duration * MAX_WANDER);
    if (n_agree > a->n_agree) {
        a->n_agree = n_agree;
        a->drift = drift;
    }
}

/* The same, if there is but one clock. */
static void
judge_trips_of_one_clock(struct agreement *a, const struct trip *trips)
{
    for (size_t i = 0; i < a->n; i++) {
        a->n_agree += (trips[i].low <= SAME_CLOCK_NS
                       && trips[i].high >= -SAME_CLOCK_NS);
    }
}

static void
find_agreement(const struct matching *m, const struct nesting *nest,
               struct agreement *a)
{
    enum { MAX_TRIPS = 20000 };
    size_t step = MAX(m->n_pairs / MAX_TRIPS, 1);
    struct trip *trips;

    memset(a, 0, sizeof *a);
    for (int direction = 0; direction < 2; direction++) {
        enum match_slot outer = direction ? nest->come : nest->go;
        enum match_slot inner = direction ? nest->leave : nest->arrive;

        for (size_t i = 0; i < m->n_ways[direction]; i++) {
            const struct way *way = &m->ways[direction][i];

            a->n_common += (way->fate == WAY_MATCHED
                            && way->records[outer % WAY_SLOTS]
                            && way->records[inner % WAY_SLOTS]);
        }
    }

    trips = xmalloc((m->n_pairs / step + 1) * sizeof *trips);
    for (size_t i = 0; i < m->n_pairs; i += step) {
        const struct way *request = &m->ways[REQUESTS][m->pairs[i].request];
        const struct way *reply = &m->ways[REPLIES][m->pairs[i].reply];
        const struct vmlat_record *go = match_record(m, request, nest->go);
        const struct vmlat_record *arrive = match_record(m, request,
                                                         nest->arrive);
        const struct vmlat_record *leave = match_record(m, reply,
                                                        nest->leave);
        const struct vmlat_record *come = match_record(m, reply, nest->come);

        if (go && arrive && leave && come) {
            trips[a->n++] = (struct trip) {
                go->time_ns, leave->time_ns - come->time_ns,
                arrive->time_ns - go->time_ns
            };
        }
    }
    if (a->n && join_is_same_kernel(m->files[nest->outer],
                               m->files[nest->inner])) {
        judge_trips_of_one_clock(a, trips);
    } else if (a->n) {
        judge_trips(a, trips);
    }
    free(trips);
}

/* Checks that two files are of one run. */
static char *
check_nesting(struct join *j, const struct nesting *nest)
{
    const struct vmlat_record_file *outer = j->m.files[nest->outer];
    const struct vmlat_record_file *inner = j->m.files[nest->inner];
    int64_t outer_from, outer_to, inner_from, inner_to;
    char *outer_wall, *inner_wall;
    uint64_t n_evidence;
    char *error = NULL;
    struct agreement a;
    bool is_apart;

    find_agreement(&j->m, nest, &a);
    n_evidence = a.n ? a.n_agree : a.n_common;
    join_wall_window(outer, &outer_from, &outer_to);
    join_wall_window(inner, &inner_from, &inner_to);
    is_apart = outer_from > inner_to || inner_from > outer_to;
    outer_wall = format_wall(outer);
    inner_wall = format_wall(inner);

    if (!a.n_common) {
        error = xasprintf("not one packet in common%s: %s; %s",
                          (j->m.way_fates[REQUESTS][WAY_DIFFERENT]
                           || j->m.way_fates[REPLIES][WAY_DIFFERENT]
                           ? ", but some that look alike, with other IP ids: "
                             "different runs"
                           : (j->m.way_fates[REQUESTS][WAY_RESIZED]
                              || j->m.way_fates[REPLIES][WAY_RESIZED])
                           ? ", but the same data in packets of another size: "
                             "TCP segments are cut or merged on the way (TSO, "
                             "GRO)"
                           : j->m.n_ambiguous
                           ? " that can be told apart from others"
                           : is_apart ? " and no time: different runs?"
                           : ": different runs, or packets that are changed "
                             "on the way?"),
                          outer_wall, inner_wall);
    } else if (is_apart && a.n && a.n_agree * 4 < a.n * 3) {
        error = xasprintf("different runs: packets look alike, but only "
                          "%"PRIu64" of %"PRIu64" fit one offset of the "
                          "clocks: %s; %s", a.n_agree, a.n, outer_wall,
                          inner_wall);
    } else if (is_apart && join_is_same_kernel(outer, inner)) {
        error = xasprintf("different runs: same kernel, no time in common: "
                          "%s; %s", outer_wall, inner_wall);
    } else if (is_apart && n_evidence < MIN_EVIDENCE) {
        error = xasprintf("different runs, or clocks apart: no time in "
                          "common by the time of day, and only %"PRIu64" "
                          "packets to tell from (%d are needed): %s; %s",
                          n_evidence, MIN_EVIDENCE, outer_wall, inner_wall);
    } else if (is_apart) {
        join_add_finding(
            j->report, REPORT_NOTE, "CLOCKS-APART",
            xasprintf("%s; %s: no time in common by the time of day, which "
                      "is only a hint: %"PRIu64" packets are the same%s",
                      outer_wall, inner_wall, a.n_common,
                      a.n ? " and fit one offset of the clocks" : ""),
            xasprintf("set the clocks: they are %.1f hours apart; no figure "
                      "here depends on it",
                      fabs((double) outer_from - inner_from) / 3600e9));
    }
    if (!error && a.n_agree < a.n) {
        join_add_finding(
            j->report, REPORT_WARNING, "CLOCK-JUMPS",
            xasprintf("the clocks of the %s and the %s: only %"PRIu64" of "
                      "%"PRIu64" round trips fit one offset",
                      join_part_names[nest->outer],
                      join_part_names[nest->inner], a.n_agree, a.n),
            xstrdup("a clock jumps, as that of a VM does that is stopped for "
                    "a while, or these are different runs"));
    }
    if (!error && fabs(a.drift) > FEW_WANDER) {
        join_add_finding(
            j->report, REPORT_WARNING, "CLOCK-DRIFT",
            xasprintf("the clock of the %s runs %.2f %% %s than that of the "
                      "%s", join_part_names[nest->inner], fabs(a.drift) * 100,
                      a.drift > 0 ? "faster" : "slower",
                      join_part_names[nest->outer]),
            xstrdup("so much is wrong with all times of one of them: look at "
                    "its clock source"));
    }
    free(outer_wall);
    free(inner_wall);
    return error;
}

/* Checks that 'part' has something of the conversation. */
static char *
check_part(const struct join *j, enum join_part part)
{
    uint64_t n = 0;

    for (int i = 0; i < N_SLOTS; i++) {
        n += match_slots[i].part == part ? j->m.n_slot[i] : 0;
    }
    if (n) {
        return NULL;
    } else if (j->m.fates[part][RECORD_OTHER_WAY]) {
        return xasprintf("%s: its packets are on the other VM's way: are the "
                         "sender's and the receiver's files in the right "
                         "order?", j->m.files[part]->name);
    } else {
        return xasprintf("%s: nothing of %s: another run or filter?",
                         j->m.files[part]->name, j->report->title);
    }
}

/* Checks that the files are of one run: each one against the next one that
 * there is. */
char *
join_check_runs(struct join *j)
{
    bool checked[JOIN_N_PARTS] = { false };

    for (int part = 0; part < JOIN_N_PARTS; part++) {
        char *error = j->m.files[part] ? check_part(j, part) : NULL;

        if (error) {
            return error;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(nestings); i++) {
        const struct nesting *nest = &nestings[i];

        if (j->m.files[nest->outer] && j->m.files[nest->inner]
            && !(checked[nest->outer] && checked[nest->inner])) {
            char *error = check_nesting(j, nest);

            if (error) {
                return error;
            }
            checked[nest->outer] = checked[nest->inner] = true;
        }
    }
    return NULL;
}
