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

#ifndef VMLAT_RECORD_H
#define VMLAT_RECORD_H 1

/* vmlat/record: records of packets in a ring in memory, which can be written
 * to a file.
 *
 * Producers give records from any thread; threads that handle packets leave
 * what a record needs in a ring of their own, which a thread of this module
 * empties.  The rest is for the main thread. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/types.h>
#include "ovs-atomic.h"
#include "vmlat-port.h"
#include "vmlat-record-abi.h"

struct ds;
struct unixctl_conn;
struct vmlat_args;
struct vmlat_bpf_event;
struct vmlat_event;

/* What is not recorded, and why.  Packets, or ways of them.
 *
 * VMLAT_RECORD_COUNT(ID, name, meaning); names that begin with "lost-" are
 * those of packets that the filter may have admitted. */
#define VMLAT_RECORD_COUNTS                                                   \
    VMLAT_RECORD_COUNT(FILTERED, "filtered",                                  \
                       "not admitted by the filter")                          \
    VMLAT_RECORD_COUNT(NOT_IP, "not-ip",                                      \
                       "not IP, or shorter than their headers")               \
    VMLAT_RECORD_COUNT(NO_HEADERS, "lost-no-headers",                         \
                       "headers not kept: the port changed the burst that "   \
                       "it was to send")                                      \
    VMLAT_RECORD_COUNT(BAD_TIMES, "lost-bad-times",                           \
                       "times that go backward")                              \
    VMLAT_RECORD_COUNT(KERNEL, "lost-kernel",                                 \
                       "no room in the ring buffer of the programs in the "   \
                       "kernel's datapath")                                   \
    VMLAT_RECORD_COUNT(VIRT, "lost-virt",                                     \
                       "no room in the ring buffer of the programs in the "   \
                       "way to and from VMs")                                 \
    VMLAT_RECORD_COUNT(THREAD, "lost-thread",                                 \
                       "no room in the ring of a thread of the userspace "    \
                       "datapath")

enum vmlat_record_count {
#define VMLAT_RECORD_COUNT(ID, NAME, MEANING) VMLAT_RECORD_N_##ID,
    VMLAT_RECORD_COUNTS
#undef VMLAT_RECORD_COUNT
    VMLAT_RECORD_N_COUNTS
};

/* For producers, any thread. */

/* How far a recording is: see vmlat_record_is_on() and
 * vmlat_record_is_open(). */
extern atomic_uint8_t vmlat_record_state;
#define VMLAT_RECORD_CLOSED   0
#define VMLAT_RECORD_DRAINING 1
#define VMLAT_RECORD_ON       2

/* Returns true while packets are being recorded: programs in the kernel should
 * hand over records. */
static inline bool
vmlat_record_is_on(void)
{
    uint8_t state;

    atomic_read_relaxed(&vmlat_record_state, &state);
    return state == VMLAT_RECORD_ON;
}

/* Returns true while that is so, and for a moment afterward, until what is in
 * ring buffers has been taken in: records should be added. */
static inline bool
vmlat_record_is_open(void)
{
    uint8_t state;

    atomic_read_relaxed(&vmlat_record_state, &state);
    return state != VMLAT_RECORD_CLOSED;
}

/* Adds a record, if the filter admits it.  Its 'in' and 'out' are slots of
 * struct vmlat_port, 0 for none.  Takes a mutex for a moment: not for threads
 * that handle packets.  Does nothing unless vmlat_record_is_open(). */
void vmlat_record_add(const struct vmlat_record *);

/* Counts 'n' packets that are not recorded, under the same condition. */
void vmlat_record_count(enum vmlat_record_count, uint64_t n);

/* Adds a packet of the kernel's datapath. */
void vmlat_record_add_kernel(const struct vmlat_bpf_event *);

/* Lifecycle, called from vmlat.c and vmlat-command.c. */

/* 'changed': the database may have. */
void vmlat_record_run(bool changed);
void vmlat_record_wait(void);
void vmlat_record_exit(void);

/* vmlat/start has given another filter to what is measured. */
void vmlat_record_filter_changed(void);

/* vmlat/clear is about to forget ports, or has. */
void vmlat_record_ports_forgetting(void) OVS_REQUIRES(vmlat_ports_mutex);
void vmlat_record_ports_forgotten(void) OVS_REQUIRES(vmlat_ports_mutex);

/* Takes 'conn' over if the command that has just been run, which was
 * vmlat/record, answers later: then returns true. */
bool vmlat_record_await(struct unixctl_conn *, const struct vmlat_args *);

#endif /* vmlat-record.h */
