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

#ifndef VMLAT_RTT_LOAD_H
#define VMLAT_RTT_LOAD_H 1

/* The BPF program behind vmlat/rtt, in the kernel while a struct
 * vmlat_rtt_program exists.
 *
 * All of this takes system calls, some of them long: it is for a thread that
 * may block.  One thread at a time may use a program. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/types.h>
#include "vmlat-rtt-abi.h"

struct vmlat_rtt_program;

/* Called for each event that vmlat_rtt_program_read() finds. */
typedef void vmlat_rtt_event_cb(const struct vmlat_rtt_event *, void *aux);

/* Loads and attaches the program.  Returns NULL and stores it to '*program',
 * or returns one line for the operator, which the caller frees. */
char *vmlat_rtt_program_load(const struct vmlat_rtt_config *,
                             vmlat_rtt_event_cb *, void *aux,
                             struct vmlat_rtt_program **program);

/* Detaches and unloads 'program', which may be NULL. */
void vmlat_rtt_program_unload(struct vmlat_rtt_program *program);

void vmlat_rtt_program_configure(struct vmlat_rtt_program *,
                                 const struct vmlat_rtt_config *);

/* Returns a file descriptor that becomes readable when there are events. */
int vmlat_rtt_program_fd(const struct vmlat_rtt_program *);

/* Reads what events there are.  Returns their number. */
size_t vmlat_rtt_program_read(struct vmlat_rtt_program *);

/* Stores the sums over all CPUs. */
void vmlat_rtt_program_count(const struct vmlat_rtt_program *,
                             uint64_t counters[VMLAT_RTT_N_COUNTERS]);

/* How one function or tracepoint is attached.  The strings are the caller's
 * to free. */
struct vmlat_rtt_attachment {
    enum vmlat_rtt_point point;
    char *target;               /* "ip_rcv_core". */
    char *how;                  /* "fentry"; NULL if it is not attached. */
    char *why_not;              /* NULL if it is attached. */
    char *why_once;             /* If there should be two programs, since one
                                 * misses packets, but there is only one: why.
                                 * Else NULL. */
    uint64_t missed;            /* Times that the kernel skipped the program,
                                 * as of vmlat_rtt_program_update_missed(). */
    size_t place;               /* For that. */
};

/* Brings 'missed' of an attachment of the program up to date.  0 on kernels
 * that do not say, and where there are two programs: the kernel skips one, but
 * not the other. */
void vmlat_rtt_program_update_missed(const struct vmlat_rtt_program *,
                                     struct vmlat_rtt_attachment *);

/* Stores what is attached and what is not, in order of points. */
size_t vmlat_rtt_program_attachments(const struct vmlat_rtt_program *,
                                     struct vmlat_rtt_attachment **);

/* Return the kernel's name of a drop reason, or of the function that 'address'
 * is in; NULL if unknown.  Valid as long as the program. */
const char *vmlat_rtt_program_reason(const struct vmlat_rtt_program *,
                                     uint32_t reason);
const char *vmlat_rtt_program_function(struct vmlat_rtt_program *,
                                       uint64_t address);

#endif /* vmlat-rtt-load.h */
