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

#ifndef VMLAT_VIRT_H
#define VMLAT_VIRT_H 1

/* The way between ports and VMs: BPF programs that follow packets through the
 * tap and the vhost worker to the VM's interrupt, and from the VM's kick to
 * the port; and signals to VMs with vhost-user; and what they counted.
 *
 * A thread of its own loads them, beside those for the datapath, while vmlat
 * measures and there are taps or vhost-user ports that lead to VMs.  Neither
 * needs the other.  Everything here is for the main thread.  What was counted
 * stays readable after a stop, until the next start. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "openvswitch/thread.h"
#include "vmlat-kernel.h"
#include "vmlat-port.h"
#include "vmlat-shard.h"

#include <linux/types.h>
#include "vmlat-virt-abi.h"

struct ds;
struct json;
struct vmlat_filter;

/* Lifecycle, called from vmlat.c. */

/* Starts measuring, as soon as there is something to measure.  'filter', which
 * may be NULL, selects events only. */
void vmlat_virt_start(const struct vmlat_filter *filter);

/* Settings, or the filter, may have changed. */
void vmlat_virt_configure(const struct vmlat_filter *);

/* No more packets are followed from where they enter on; those on their way
 * still end. */
void vmlat_virt_stop_rx(void);

/* Detaches everything. */
void vmlat_virt_stop(void);

/* From now on shows only what is counted from now on. */
void vmlat_virt_clear(void);

/* Ports or their roles may have changed. */
void vmlat_virt_ports_changed(void);

void vmlat_virt_run(void);
void vmlat_virt_wait(void);
void vmlat_virt_exit(void);

/* What it is at. */
enum vmlat_virt_state {
    VMLAT_VIRT_OFF,             /* Stopped, or switched off, or no port is a
                                 * tap of a VM, or vhost-user. */
    VMLAT_VIRT_WAITING,         /* Until the kernel has vhost, or KVM. */
    VMLAT_VIRT_LOADING,
    VMLAT_VIRT_ON,
    VMLAT_VIRT_UNLOADING,
    VMLAT_VIRT_FAILED,
};
enum vmlat_virt_state vmlat_virt_state(void);

/* Why nothing is measured, or, in VMLAT_VIRT_ON, what is not, one line; NULL
 * if all is, or if it was not asked to be. */
const char *vmlat_virt_why_not(void);

/* Returns true if there has been a tap of a VM since the start.  If not, and
 * there are vhost-user ports only, then what is not measured here is no more
 * than what takes BPF, beside a datapath that does not. */
bool vmlat_virt_has_taps(void);

/* How each point is attached, for vmlat/status.  Free the array. */
size_t vmlat_virt_points(struct vmlat_kernel_point **);

/* Bytes of kernel memory that the maps hold. */
size_t vmlat_virt_memory(void);

/* Ports that have no row, since all are in use until the next start. */
size_t vmlat_virt_n_left_out(void);

/* Reading, vmlat-virt-read.c. */

/* Gives the readers what to read, NULL for nothing.  Forgets what
 * vmlat_virt_clear() remembers. */
struct vmlat_virt_maps;
void vmlat_virt_read_set(const struct vmlat_virt_maps *);

/* Gives the port in 'slot' the row 'row' of the maps. */
void vmlat_virt_read_add_port(uint16_t slot, uint32_t row);

/* Packets on their way to VMs. */
uint64_t vmlat_virt_n_inside(void);

/* Calls 'cb' as vmlat_pairs_read() does, with the port and no second one. */
void vmlat_virt_pairs_read(vmlat_pair_cb *, void *aux)
    OVS_REQUIRES(vmlat_ports_mutex);

/* What is counted for a port beside histograms, as in struct
 * vmlat_virt_row, in the order in which it has to be read: what is counted
 * later of a packet first.  One line here is one more counter.
 *
 * VMLAT_VIRT_COUNT(member, n) */
#define VMLAT_VIRT_COUNTS                                                     \
    VMLAT_VIRT_COUNT(vcpu, VMLAT_VIRT_N_VCPUS)                                \
    VMLAT_VIRT_COUNT(fates, VMLAT_VIRT_N_FATES)                               \
    VMLAT_VIRT_COUNT(kicks, VMLAT_VIRT_N_KICKS)                               \
    VMLAT_VIRT_COUNT(merged, 1)                                               \
    VMLAT_VIRT_COUNT(signals, 1)                                              \
    VMLAT_VIRT_COUNT(empty_signals, 1)                                        \
    VMLAT_VIRT_COUNT(deferred, 1)                                             \
    VMLAT_VIRT_COUNT(unknown, 1)                                              \
    VMLAT_VIRT_COUNT(guest_kicks, 1)                                          \
    VMLAT_VIRT_COUNT(coalesced_kicks, 1)                                      \
    VMLAT_VIRT_COUNT(batches, 1)                                              \
    VMLAT_VIRT_COUNT(received, 1)                                             \
    VMLAT_VIRT_COUNT(entered, 1)

struct vmlat_virt_counts {
#define VMLAT_VIRT_COUNT(MEMBER, N) uint64_t MEMBER[N];
    VMLAT_VIRT_COUNTS
#undef VMLAT_VIRT_COUNT
};

struct vmlat_virt_port {
    uint16_t slot;
    struct vmlat_virt_counts counts;
    struct vmlat_virt_depth tap_ring, vring;

    /* Packets that were on their way, or waited for the vCPU, when counting
     * began. */
    uint64_t inside_before, waiting_before;
};

/* What is on its way to the VM, and what waits for the vCPU.  Less than 0 if
 * counters do not add up. */
int64_t vmlat_virt_inside(const struct vmlat_virt_port *);
int64_t vmlat_virt_waiting(const struct vmlat_virt_port *);

/* Of packets from the VM, those that are being counted at this moment. */
int64_t vmlat_virt_counting(const struct vmlat_virt_port *);

/* Stores an array of the ports that have been measured since the last clear,
 * in order of slots, which the caller must free, and returns their number. */
size_t vmlat_virt_ports_read(struct vmlat_virt_port **);

/* Lowers the maximum of 'depth', from which all else has been subtracted, to
 * what its buckets allow if it is no larger than 'max_before'. */
void vmlat_virt_depth_set_max(struct vmlat_virt_depth *depth,
                              uint64_t max_before);

/* Return the names of what comes of a packet to a VM (VMLAT_VIRT_FATES), of
 * the kick that a packet from one came by (VMLAT_VIRT_KICKS), of where the
 * vCPU of an interrupt was (VMLAT_VIRT_VCPUS): static, "-" for others;
 * vmlat-virt-show.c. */
const char *vmlat_virt_fate_name(unsigned int fate);
const char *vmlat_virt_kick_name(unsigned int kick);
const char *vmlat_virt_vcpu_name(unsigned int vcpu);

/* Events, vmlat-virt-event.c: packets that took long between a port and its
 * VM. */

/* From now on keeps the events that pass 'filter', NULL for all.  Main
 * thread. */
void vmlat_virt_event_set_filter(const struct vmlat_filter *filter);
bool vmlat_virt_event_has_filter(void);

/* Adds an event, unless the filter does not admit it.  Any thread. */
void vmlat_virt_event_add(const struct vmlat_virt_event *);

/* Forgets all events. */
void vmlat_virt_events_clear(void);

/* Stores the last events, newest first, in an array that the caller must free
 * and returns their number; stores to 'n_lost' how many there were that are
 * not in it any more, or never found room. */
#define VMLAT_VIRT_EVENTS 1024
size_t vmlat_virt_events_read(struct vmlat_virt_event **, uint64_t *n_lost);

/* Returns the number of events, since the last clear, that the filter left out
 * since their headers are not known. */
uint64_t vmlat_virt_events_n_unknown(void);

/* Of the present counters: events that the programs found no room for since
 * the last clear; vmlat-virt-read.c. */
uint64_t vmlat_virt_events_lost(void);

/* Returns the slot of the port that has 'row', 0 if none has. */
uint16_t vmlat_virt_row_slot(uint16_t row);

#endif /* vmlat-virt.h */
