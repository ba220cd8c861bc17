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

#ifndef OVS_VMLAT_RUN_H
#define OVS_VMLAT_RUN_H 1

/* What "ovs-vmlat join --save" keeps of a run for "ovs-vmlat diff": the times
 * of up to RUN_MAX_PACKETS packets, chosen at random.
 *
 * Not thread-safe. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ovs-vmlat-report.h"

/* What is kept of each packet: its segments, numbered as enum
 * report_segment_id, then these.
 *
 * WIRE_OUT and WIRE_BACK are from one host's clock to the other's: the
 * receiver's minus the sender's, so they have the offset between both clocks
 * in them (with opposite signs). */
enum run_series {
    RUN_WIRE = REPORT_N_SEGMENTS,       /* C + J. */
    RUN_REST,                           /* What no segment covers. */
    RUN_RTT,
    RUN_WIRE_OUT,                       /* Host-B's NIC has the request, minus
                                         * Host-A's NIC has sent it. */
    RUN_WIRE_BACK,                      /* Host-A's NIC has the reply, minus
                                         * Host-B's NIC has sent it. */
    RUN_N_SERIES
};

#define RUN_UNKNOWN INT64_MIN           /* Not known of this packet. */
#define RUN_MAX_PACKETS 10000

struct run_packet {
    uint64_t when_ns;                   /* CLOCK_MONOTONIC of the sender's host
                                         * (of another machine if there is no
                                         * file of that one). */
    int64_t ns[RUN_N_SERIES];           /* RUN_UNKNOWN: not known. */
};

struct run {
    char *title;                        /* As struct report's. */
    char *boot_ids[2];                  /* Sender's host, receiver's host; NULL
                                         * if there is none. */
    char *run_ids[2];                   /* Likewise. */
    bool rtt_is_of_guest;               /* As struct report's. */

    struct {
        enum report_how how;
        char *why;                      /* NULL: nothing to say. */
        uint64_t n;                     /* Packets that have it, of all. */
    } series[RUN_N_SERIES];

    /* A sample of the packets, in the order of 'when_ns' once it has been
     * read or written. */
    struct run_packet *packets;
    size_t n_kept;
    size_t allocated;
    uint64_t n_packets;                 /* Of all. */
    uint64_t random;                    /* State of the choice. */
};

void run_init(struct run *);
void run_uninit(struct run *);

/* Adds a packet.  Each packet of a run ends up among those kept with the same
 * probability; the choice is the same for the same packets in the same
 * order. */
void run_add(struct run *, const struct run_packet *);

/* Writes '*run' (JSON) to 'name': to a temporary file first, which is then
 * renamed.  Returns NULL, or an error of one line that the caller must
 * free. */
char *run_write(struct run *, const char *name);

/* Reads 'name' into '*run', which the caller must run_uninit() if it succeeds.
 * Returns NULL, or an error of one line that the caller must free. */
char *run_read(struct run *, const char *name);

/* Names of series: letters of segments, "C + J", "RTT", ... */
const char *run_series_name(unsigned int series);

/* The difference of the medians of two series of samples, and an interval that
 * has the true one in it with a probability of 1 - 'alpha'. */
struct run_interval {
    double median[2];
    double difference, low, high;       /* Second minus first. */
    double n_effective[2];              /* What the samples are worth: fewer
                                         * than there are if each is like the
                                         * one before. */
};

/* Fills in '*interval' for 'a' and 'b', which are in the order of time.
 * Returns false if there are too few samples for 'low' and 'high'. */
bool run_interval(const double *a, size_t n_a, const double *b, size_t n_b,
                  double alpha, struct run_interval *interval);

/* The number of samples below which run_interval() cannot say anything. */
size_t run_interval_least(double alpha);

#endif /* ovs-vmlat-run.h */
