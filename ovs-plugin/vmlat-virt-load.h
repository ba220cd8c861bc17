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

#ifndef VMLAT_VIRT_LOAD_H
#define VMLAT_VIRT_LOAD_H 1

/* The BPF programs that follow packets between a tap and the VM behind it, in
 * the kernel while a struct vmlat_virt_program exists.
 *
 * Loading and unloading take system calls, some of them long (up to seconds):
 * they are for a thread that may block.  One thread at a time may use a
 * program, but for reading the maps. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/types.h>
#include "vmlat-record-abi.h"
#include "vmlat-virt-abi.h"

struct vmlat_virt_program;

/* Called for each record that vmlat_virt_program_read() finds: of kind
 * VMLAT_REC_VM_RX, 'out' being the 'port' of the device's entry of 'devs', or
 * VMLAT_REC_VM_TX, 'in' being that. */
typedef void vmlat_virt_record_cb(const struct vmlat_record *, void *aux);

/* The same for each event, which took 'min_ns' of the configuration or more.
 * Events and records come in the order in which their ways ended. */
typedef void vmlat_virt_event_cb(const struct vmlat_virt_event *, void *aux);

struct vmlat_virt_options {
    uint32_t n_rows;            /* Rows, that is ports, at most; made a power
                                 * of two, from 16 to 4096. */
    uint32_t ring_size;         /* Bytes for records, made a power of two. */
    vmlat_virt_event_cb *event_cb; /* Has the same 'aux' as the other one. */
};

/* Loads and attaches what can be.  Returns NULL and stores it to '*program',
 * or returns one line for the operator, which the caller frees, if nothing
 * could be measured: "to-vm" and "from-vm" are both impossible. */
char *vmlat_virt_program_load(const struct vmlat_virt_options *,
                              vmlat_virt_record_cb *, void *aux,
                              struct vmlat_virt_program **program);

/* Detaches the programs, which waits until none of them runs.  The memory of
 * the maps stays. */
void vmlat_virt_program_detach(struct vmlat_virt_program *);

/* Detaches and unloads 'program', which may be NULL. */
void vmlat_virt_program_unload(struct vmlat_virt_program *program);

/* Unloads 'program', which has been detached, after an RCU grace period: until
 * then threads may use its maps. */
void vmlat_virt_program_unload_later(struct vmlat_virt_program *program);

/* The memory of the maps, valid as long as the program.  The programs write to
 * it at any time, all but 'config' and what vmlat-virt-abi.h says of 'devs',
 * 'threads' and 'signals': those are the daemon's.  It adds to 'rows', too,
 * atomically, what is of vhost-user ports. */
struct vmlat_virt_maps {
    struct vmlat_virt_row *rows;        /* n_rows. */
    uint32_t n_rows;
    struct vmlat_virt_dev *devs;        /* VMLAT_VIRT_DEVS. */
    struct vmlat_virt_thread *threads;  /* VMLAT_VIRT_THREADS. */
    struct vmlat_virt_signal *signals;  /* VMLAT_VIRT_SIGNALS for each. */
    struct vmlat_virt_config *config;   /* All 0 at first. */
    const struct vmlat_virt_stats *stats;
    size_t memory;                      /* Bytes that all maps take. */
};
const struct vmlat_virt_maps *vmlat_virt_program_maps(
    const struct vmlat_virt_program *);

/* Returns a file descriptor that becomes readable when there are records. */
int vmlat_virt_program_fd(const struct vmlat_virt_program *);

/* Reads what records there are, at most 'max' of them.  Returns their
 * number. */
size_t vmlat_virt_program_read(struct vmlat_virt_program *, size_t max);

/* How one hook of vmlat-virt-points.def went.  Owned by the program. */
struct vmlat_virt_hook {
    const char *name;           /* "vhost-taken". */
    const char *lost;           /* What is lost without it. */
    const char *how;            /* "fentry tun_recvmsg"; NULL if it is not
                                 * attached. */
    const char *why_not;        /* Also of what was tried before; NULL if
                                 * nothing failed. */
    uint64_t missed;            /* Times that the kernel did not run it, as of
                                 * vmlat_virt_program_update_missed(). */
};
size_t vmlat_virt_program_hooks(const struct vmlat_virt_program *,
                                const struct vmlat_virt_hook **);
void vmlat_virt_program_update_missed(struct vmlat_virt_program *);

/* Returns vmlat_kernel_generation() of the programs of the datapath that it
 * shares hooks with, or that were not there: if that changes, it has to be
 * loaded again. */
unsigned int vmlat_virt_program_generation(const struct vmlat_virt_program *);

/* Returns whether packets to VMs, and from VMs, can be followed with the hooks
 * that are attached. */
bool vmlat_virt_program_can_rx(const struct vmlat_virt_program *);
bool vmlat_virt_program_can_tx(const struct vmlat_virt_program *);
bool vmlat_virt_program_can_user(const struct vmlat_virt_program *);

/* Returns true if the programs recognized a thread of this process, which they
 * do not when it is in a PID namespace of its own: then vhost-user ports
 * cannot be followed. */
bool vmlat_virt_program_sees_us(const struct vmlat_virt_program *);

/* Returns true if a module of the kernel that was missing when 'program' was
 * loaded (kvm, vhost_net: they come with the first VM) is there now: loading
 * again may attach more.  Some system calls. */
bool vmlat_virt_program_is_outdated(const struct vmlat_virt_program *program);

#endif /* vmlat-virt-load.h */
