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

#ifndef VMLAT_GUEST_SHOW_H
#define VMLAT_GUEST_SHOW_H 1

/* What vmlat-guest prints: text for people, JSON lines for programs.
 *
 * Names of devices and processes are hostile: both forms escape them.  One
 * thread. */

#include <stdbool.h>
#include <stdint.h>

#include "vmlat-guest-echo.h"
#include "vmlat-guest-load.h"
#include "vmlat-histogram.h"

struct vmlat_guest_stats {
    struct vmlat_snapshot stages[VMLAT_GUEST_MAX_STAGES];
    uint64_t verdicts[2][VMLAT_GUEST_N_VERDICTS]; /* ASKS, ASKED. */
    uint64_t n_packets;         /* Of TCP and UDP, complete. */
    uint64_t n_backwards;       /* Stages that took less than no time, which
                                 * are left out. */
    uint64_t since_ns;
};

struct vmlat_guest_show {
    struct vmlat_guest_program *program;
    const struct vmlat_guest_config *config;

    /* What is asked for. */
    bool json;
    bool histogram;
    bool skbs;
    bool packets;               /* Lines for TCP and UDP packets. */
    bool quiet;                 /* No lines for echoes and packets. */
    uint64_t min_ns;            /* No lines for what took less. */

    int64_t wall_ns;            /* CLOCK_REALTIME - CLOCK_MONOTONIC. */
    struct vmlat_guest_stats total, interval;
};

/* A count for the summary. */
struct vmlat_guest_count {
    const char *name;
    const char *meaning;
    uint64_t n;
};

void vmlat_guest_stats_init(struct vmlat_guest_stats *, uint64_t now_ns);

/* Prints what could not be attached, and what is lost by that. */
void vmlat_guest_show_start(const struct vmlat_guest_show *);

/* Takes an echo or a packet of TCP or UDP, whose way is complete or that ended
 * before, into the statistics, and prints a line if one is wanted. */
void vmlat_guest_show_echo(struct vmlat_guest_show *,
                           const struct vmlat_guest_echo *,
                           enum vmlat_guest_verdict);
void vmlat_guest_show_packet(struct vmlat_guest_show *,
                             const struct vmlat_guest_packet *);

/* Prints the last interval's statistics and begins another one. */
void vmlat_guest_show_interval(struct vmlat_guest_show *, uint64_t now_ns);

/* Prints those of all the time, and counts. */
void vmlat_guest_show_summary(const struct vmlat_guest_show *,
                              uint64_t now_ns,
                              const struct vmlat_guest_count *, size_t n);

#endif /* vmlat-guest-show.h */
