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

#ifndef VMLAT_GUEST_LOAD_H
#define VMLAT_GUEST_LOAD_H 1

/* The BPF program of vmlat-guest, in the kernel.
 *
 * Needs libbpf and the C library only.  One thread. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/types.h>
#include "vmlat-guest-abi.h"

struct vmlat_guest_program;

/* Called for each packet whose way is complete or that ended before. */
typedef void vmlat_guest_packet_cb(const struct vmlat_guest_packet *,
                                   void *aux);

/* Loads and attaches what the members up to 'stacks' of '*config' ask for, and
 * fills in the others.  Returns NULL and stores the program in '*programp', or
 * returns one line that says why not, which the caller must free. */
char *vmlat_guest_program_load(struct vmlat_guest_config *config,
                               vmlat_guest_packet_cb *, void *aux,
                               struct vmlat_guest_program **programp);

/* Ends what vmlat_guest_program_load() began.  Null does nothing. */
void vmlat_guest_program_unload(struct vmlat_guest_program *);

/* Stops following further packets. */
void vmlat_guest_program_detach(struct vmlat_guest_program *);

/* Calls the callback for packets that have ended, after at most 'timeout_ms'.
 * Returns true if there may be more of them already. */
bool vmlat_guest_program_poll(struct vmlat_guest_program *, int timeout_ms);

/* Sums up what the program counted so far. */
void vmlat_guest_program_count(const struct vmlat_guest_program *,
                               uint64_t counters[VMLAT_GUEST_N_COUNTERS]);

/* Returns how often the kernel did not run one of the program's parts, since
 * it was running on that CPU, but for those that there are two of.  0 before
 * Linux 5.12, which does not say. */
uint64_t vmlat_guest_program_missed(const struct vmlat_guest_program *);

/* Forgets packets that were last seen before 'ns', CLOCK_MONOTONIC. */
void vmlat_guest_program_expire(struct vmlat_guest_program *, uint64_t ns);

/* A tracepoint or function that is, or should be, a mark. */
struct vmlat_guest_attachment {
    const char *target;
    const char *how;            /* "tp_btf" etc., NULL if not attached. */
    const char *why_not;        /* NULL if attached, unless by one program
                                 * where there should be two. */
    const char *without;        /* What is lost if there is a 'why_not'. */
};

/* Fills in '*a' and returns true if there is an 'i'th one, from 0. */
bool vmlat_guest_program_attachment(const struct vmlat_guest_program *,
                                    size_t i,
                                    struct vmlat_guest_attachment *a);

/* Returns the name of the function that 'address' is in, or NULL. */
const char *vmlat_guest_program_function(struct vmlat_guest_program *,
                                         uint64_t address);

/* Returns the kernel's name of a drop reason, or NULL. */
const char *vmlat_guest_program_reason(const struct vmlat_guest_program *,
                                       uint32_t reason);

/* Stores the names of the functions of stack 'id', the innermost first, in
 * 'names' and returns how many they are, 0 if the stack is not known. */
size_t vmlat_guest_program_stack(struct vmlat_guest_program *, int32_t id,
                                 const char *names[VMLAT_GUEST_STACK_DEPTH]);

#endif /* vmlat-guest-load.h */
