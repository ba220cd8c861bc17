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

#ifndef VMLAT_BYPASS_LOAD_H
#define VMLAT_BYPASS_LOAD_H 1

/* The BPF program behind vmlat/bypass, in the kernel while a struct
 * vmlat_bypass_program exists.  It sees the network namespace of the daemon
 * only.
 *
 * All of this takes system calls, some of them long: it is for a thread that
 * may block.  One thread at a time may use a program. */

#include <stddef.h>
#include <stdint.h>

#include "vmlat-bypass-facts.h"

struct vmlat_bypass_program;

/* Loads and attaches the program.  Returns NULL and stores it to '*program',
 * or returns one line for the operator, which the caller frees. */
char *vmlat_bypass_program_load(struct vmlat_bypass_program **program);

/* Detaches and unloads 'program', which may be NULL. */
void vmlat_bypass_program_unload(struct vmlat_bypass_program *program);

/* Makes the program look at the devices and addresses of 'host', and at the
 * 'n' devices 'internal' (ifindexes) as internal ports.  Changes only what has
 * changed; counters stay.  Returns how many devices and addresses found no
 * room. */
size_t vmlat_bypass_program_configure(struct vmlat_bypass_program *,
                                      const struct vmlat_bypass_host *host,
                                      const uint32_t internal[], size_t n);

/* Reads all counters, and stores what has been counted since the last call (or
 * the load) to '*kernel', which the caller destroys with
 * vmlat_bypass_kernel_destroy().  Nothing is counted twice or lost between two
 * calls, and the sums hold for each: ENTERED is the sum of all ways from VMs,
 * LEFT that of all ways to VMs.  Flows that had no packet since the last call
 * are removed to make room.
 *
 * A packet is counted when its end is known: in the same window but for what
 * waits in the kernel, UNDERWAY.  Packets to this host of which the kernel
 * says nothing more are LOCAL after 50 ms; others UNSEEN after 5 s.  What is
 * underway when the program is unloaded is not counted.
 *
 * Takes some ten ms, which it waits for programs that run, and up to about
 * 15 ms of CPU time if there are as many flows as there can be. */
void vmlat_bypass_program_read(struct vmlat_bypass_program *,
                               struct vmlat_bypass_kernel *kernel);

#endif /* vmlat-bypass-load.h */
