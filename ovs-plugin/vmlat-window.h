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

#ifndef VMLAT_WINDOW_H
#define VMLAT_WINDOW_H 1

/* What was counted, since the last vmlat/clear or within an interval.
 *
 * Nothing is reset to look at an interval: what had been counted when it began
 * is kept (struct vmlat_base), and subtracted from what has been counted when
 * it is over.  So any number of readers may have intervals at the same time,
 * and of two intervals, the second of which begins where the first one ends,
 * each sample is in exactly one.
 *
 * All of this is for the main thread. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "openvswitch/thread.h"
#include "vmlat-kernel.h"
#include "vmlat-port.h"
#include "vmlat-shard.h"

struct ds;
struct vmlat_base;
struct vmlat_virt_port;

/* What a struct vmlat_base is about, so what may be read with it. */
enum vmlat_window_bit {
    VMLAT_WINDOW_PAIRS = 1 << 16,
    VMLAT_WINDOW_PAIR_COUNTS = 1 << 17,
    VMLAT_WINDOW_ACCOUNTS = 1 << 18,
    VMLAT_WINDOW_BURSTS = 1 << 19,
    VMLAT_WINDOW_DROPS = 1 << 20,
    VMLAT_WINDOW_FLOWS = 1 << 21,
    VMLAT_WINDOW_HANDLERS = 1 << 22,
    VMLAT_WINDOW_EVENTS = 1 << 23,
    VMLAT_WINDOW_VIRT = 1 << 24,

    VMLAT_WINDOW_ANY = 0x1ff << 16,
};

/* Takes what has been counted by now of 'what', bits of enum vmlat_window_bit.
 * Free it by vmlat_base_destroy(). */
struct vmlat_base *vmlat_base_create(uint32_t what)
    OVS_REQUIRES(vmlat_ports_mutex);
void vmlat_base_destroy(struct vmlat_base *);

/* Ends the interval.  Returns NULL, or why the counts cannot be compared with
 * 'base': one line, which the caller must free.  Call it before reading, and
 * again afterward. */
char *vmlat_base_end(struct vmlat_base *);

/* Returns true if a counter was found that began anew in the interval: what
 * was read is of no use. */
bool vmlat_base_is_anew(const struct vmlat_base *);

/* Appends what the interval is: how long, and until when. */
void vmlat_base_format(const struct vmlat_base *, struct ds *);

/* When it began, in ticks and in ns of CLOCK_MONOTONIC. */
uint64_t vmlat_base_ticks(const struct vmlat_base *);
uint64_t vmlat_base_ns(const struct vmlat_base *);

/* Events that had been overwritten when it began. */
uint64_t vmlat_base_events_lost(const struct vmlat_base *);

/* Reading.  With 'base' NULL, since the last clear. */

/* Calls 'cb' as vmlat_pairs_read() does, poll gaps included.
 *
 * The smallest and the largest sample of an interval are exact if they are
 * those since the last clear, too, and those were others when it began;
 * otherwise they are the bounds of their buckets. */
void vmlat_window_pairs(struct vmlat_base *base, vmlat_pair_cb *, void *aux)
    OVS_REQUIRES(vmlat_ports_mutex);

/* Fills 'accounts', and 'inside_before', which may be NULL if 'base' is, with
 * what was inside when the interval began.  Both are arrays of
 * VMLAT_MAX_PORTS.  With 'base', it adds up:
 *
 *     entered + inside_before == sum of fates */
void vmlat_window_accounts(struct vmlat_base *base,
                           struct vmlat_account *accounts,
                           uint64_t (*inside_before)[2])
    OVS_REQUIRES(vmlat_ports_mutex);

void vmlat_window_bursts(struct vmlat_base *base, const struct vmlat_port *,
                         struct vmlat_bursts *)
    OVS_REQUIRES(vmlat_ports_mutex);

/* These store an array that the caller must free and return its number of
 * elements.  What did not change in the interval is not among them.  The
 * pairs are in order of 'in' and 'out'. */
size_t vmlat_window_pair_counts(struct vmlat_base *base,
                                struct vmlat_kernel_pair **)
    OVS_REQUIRES(vmlat_ports_mutex);
const struct vmlat_kernel_pair *vmlat_window_find_pair(
    const struct vmlat_kernel_pair *, size_t n, uint16_t in, uint16_t out);
size_t vmlat_window_drops(struct vmlat_base *base,
                          struct vmlat_kernel_drop **, uint64_t *left_out);
size_t vmlat_window_flows(struct vmlat_base *base,
                          struct vmlat_kernel_flow **, uint64_t *left_out);
size_t vmlat_window_handlers(struct vmlat_base *base,
                             struct vmlat_kernel_handler **);

size_t vmlat_window_virt(struct vmlat_base *base, struct vmlat_virt_port **);

/* Smallest value, in ns, that a bucket of a struct vmlat_bpf_small_hist
 * counts. */
uint64_t vmlat_small_bucket_floor(unsigned int bucket);

#endif /* vmlat-window.h */
