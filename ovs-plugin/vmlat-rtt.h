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

#ifndef VMLAT_RTT_H
#define VMLAT_RTT_H 1

/* ICMP echoes through this host: how long, where the time goes, and where
 * those that are not answered were lost.
 *
 * A thread of its own, started on first use, loads the BPF program, puts the
 * echoes together and judges them.  The main thread asks for that and shows
 * the results.  Nothing is in the kernel while it is stopped. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "openvswitch/thread.h"
#include "ovs-thread.h"
#include "vmlat-histogram.h"
#include "vmlat-rtt-echo.h"
#include "vmlat-rtt-load.h"

struct vmlat_filter;

/* Milliseconds after which a request without a reply counts as lost. */
#define VMLAT_RTT_TIMEOUT_DEFAULT 1000
#define VMLAT_RTT_TIMEOUT_MAX 60000

/* For the main thread. */

/* Starts following echoes, or changes the filter, the threshold and the
 * timeout where they are followed already.  Of 'filter', takes src, dst
 * (addresses of the request) and min-us (total of echoes to keep).
 * 'timeout_ms' is from 1 to VMLAT_RTT_TIMEOUT_MAX.
 *
 * Returns at once.  What goes wrong later is in the results. */
void vmlat_rtt_start(const struct vmlat_filter *filter,
                     unsigned int timeout_ms);

/* Stops.  What was measured can still be shown.  Returns at once; the program
 * is out of the kernel as soon as the state is VMLAT_RTT_OFF. */
void vmlat_rtt_stop(void);

/* For the main loop: looks up in the database which devices are VMs'. */
void vmlat_rtt_run(void);
void vmlat_rtt_wait(void);

/* Stops and waits for the thread to end. */
void vmlat_rtt_exit(void);

/* Results. */

enum vmlat_rtt_state {
    VMLAT_RTT_OFF,
    VMLAT_RTT_LOADING,
    VMLAT_RTT_ON,
    VMLAT_RTT_STOPPING,
    VMLAT_RTT_FAILED,           /* See 'why_not'. */
};

/* Where echoes were lost: those with all of these in common. */
struct vmlat_rtt_loss {
    enum vmlat_rtt_way way;
    enum vmlat_rtt_verdict verdict;
    uint32_t point;             /* Last seen there; VMLAT_RTT_N_POINTS if at
                                 * none before the drop. */
    char device[16];            /* "" if none. */
    char *reason;               /* Drop reason, "" if not dropped. */
    char *function;             /* That dropped it, "" if unknown. */
    uint64_t n;
};
#define VMLAT_RTT_MAX_LOSSES 256

/* An echo that was lost or took as long as the threshold. */
struct vmlat_rtt_record {
    struct vmlat_rtt_echo echo;
    struct vmlat_rtt_judgement judgement;
    long long int wall_us;      /* Of the first point. */
    char *reason;               /* As in struct vmlat_rtt_loss. */
    char *function;
};
#define VMLAT_RTT_MAX_RECORDS 256

struct vmlat_rtt_results {
    enum vmlat_rtt_state state;
    char *why_not;              /* Why it failed, NULL if it did not. */
    struct vmlat_rtt_config config;
    char *filter;               /* As the operator gave it, "" if none. */
    uint64_t min_ns;            /* Threshold, 0 to keep all. */
    uint32_t netns;             /* Inode of the daemon's namespace, or 0. */

    uint64_t counters[VMLAT_RTT_N_COUNTERS];
    uint64_t verdicts[VMLAT_RTT_N_WAYS][VMLAT_RTT_N_VERDICTS];
    uint64_t waiting;           /* Neither complete nor lost yet. */
    uint64_t table_full;        /* Not followed: too many at once. */
    uint64_t uncertain;         /* No reply, but points of it may be lost. */
    uint64_t unfinished;        /* Without a reply when it was stopped. */
    uint64_t request_copies;    /* Requests that repeat one under way. */
    uint64_t reply_copies;      /* Replies to a request that has one. */
    uint64_t late;              /* Replies after the timeout. */
    uint64_t points_missed;     /* Sum of 'missed' of 'attachments'. */

    /* Each is NULL as long as it is empty.  That of a stage has the time from
     * the stage before it to it, by path and point. */
    struct vmlat_histogram *parts[VMLAT_RTT_N_WAYS][VMLAT_RTT_N_PARTS];
    struct vmlat_histogram *stages[VMLAT_RTT_N_WAYS][2][VMLAT_RTT_N_POINTS];

    struct vmlat_rtt_loss losses[VMLAT_RTT_MAX_LOSSES];
    size_t n_losses;
    uint64_t other_losses;      /* Found no room in 'losses'. */

    /* A ring: the newest is records[(n_records - 1) % MAX]. */
    struct vmlat_rtt_record *records[VMLAT_RTT_MAX_RECORDS];
    uint64_t n_records;

    struct vmlat_rtt_attachment *attachments;
    size_t n_attachments;
};

extern struct ovs_mutex vmlat_rtt_mutex;

const struct vmlat_rtt_results *vmlat_rtt_results(void)
    OVS_REQUIRES(vmlat_rtt_mutex);

#endif /* vmlat-rtt.h */
