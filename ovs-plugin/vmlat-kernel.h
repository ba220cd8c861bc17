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

#ifndef VMLAT_KERNEL_H
#define VMLAT_KERNEL_H 1

/* The kernel datapath: BPF programs that follow packets, loaded while vmlat
 * measures and a datapath of the kernel has ports; and what they counted.
 *
 * Loading takes long, so a thread of its own does it.  Everything else is for
 * the main thread.  What was counted stays readable after a stop, until the
 * next start. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "openvswitch/thread.h"
#include "vmlat-port.h"
#include "vmlat-shard.h"

#include <linux/types.h>
#include "vmlat-abi.h"

struct ds;
struct vmlat_filter;

/* False if vmlat was built without it. */
bool vmlat_kernel_is_supported(void);

/* Lifecycle, called from vmlat.c. */

/* Starts measuring: loads and attaches what can be attached, in a thread.
 * 'filter' may be NULL. */
void vmlat_kernel_start(const struct vmlat_filter *);

/* Replaces the filter, the threshold and other settings while it runs. */
void vmlat_kernel_configure(const struct vmlat_filter *);

/* No more packets are followed from where they enter on; those inside still
 * end. */
void vmlat_kernel_stop_rx(void);

/* Detaches everything. */
void vmlat_kernel_stop(void);

/* From now on shows only what is counted from now on. */
void vmlat_kernel_clear(void);

void vmlat_kernel_run(void);
void vmlat_kernel_wait(void);
void vmlat_kernel_exit(void);

/* What the kernel side is at. */
enum vmlat_kernel_state {
    VMLAT_KERNEL_OFF,           /* Stopped, or no datapath of the kernel has
                                 * ports. */
    VMLAT_KERNEL_LOADING,
    VMLAT_KERNEL_ON,
    VMLAT_KERNEL_UNLOADING,
    VMLAT_KERNEL_FAILED,        /* See vmlat_kernel_why_not(). */
};
enum vmlat_kernel_state vmlat_kernel_state(void);

/* Why the kernel datapath is not measured, one line; NULL if it is, or if it
 * was not asked to be. */
const char *vmlat_kernel_why_not(void);

/* How each point is attached, for vmlat/status. */
struct vmlat_kernel_point {
    const char *name;           /* "port-rx" */
    const char *how;            /* "tp_btf netif_receive_skb", NULL if not. */
    const char *why_not;        /* Also if it is attached: why not by a way
                                 * that is better.  NULL if it is by the best
                                 * one. */
    const char *lost;           /* What that takes away. */
    uint64_t missed;            /* Runs that the kernel skipped, since one was
                                 * in progress on the same CPU. */
};
size_t vmlat_kernel_points(struct vmlat_kernel_point **); /* Free it. */

/* Bytes of kernel memory that the maps hold. */
size_t vmlat_kernel_memory(void);

/* Reading.  All of these add, or list, what was counted since the last
 * vmlat/clear. */

void vmlat_kernel_accounts_read(struct vmlat_account *accounts)
    OVS_REQUIRES(vmlat_ports_mutex);
void vmlat_kernel_pairs_read(vmlat_pair_cb *, void *aux)
    OVS_REQUIRES(vmlat_ports_mutex);

/* What a pair counts beside its histograms. */
struct vmlat_kernel_pair {
    uint16_t in, out;           /* Slots. */
    uint64_t packets, segments, passes, ct_passes, stage_missed;
};
size_t vmlat_kernel_pair_counts(struct vmlat_kernel_pair **)
    OVS_REQUIRES(vmlat_ports_mutex);

struct vmlat_kernel_drop {
    struct vmlat_bpf_drop_key key;
    uint64_t packets;
};
size_t vmlat_kernel_drops_read(struct vmlat_kernel_drop **,
                               uint64_t *left_out);

/* Name of a drop reason from the kernel's BTF ("NETFILTER_DROP"), or what
 * VMLAT_REASON_* says; and of the function at an address ("ip_rcv_core").
 * Valid until the next start. */
const char *vmlat_kernel_reason_name(uint32_t reason, struct ds *scratch);
const char *vmlat_kernel_function_name(uint64_t address, struct ds *scratch);

struct vmlat_kernel_flow {
    struct vmlat_bpf_flow_key key;
    struct vmlat_bpf_flow flow;
};
size_t vmlat_kernel_flows_read(struct vmlat_kernel_flow **,
                               uint64_t *left_out);

struct vmlat_kernel_handler {
    uint32_t tid;
    struct vmlat_bpf_handler handler;
};
size_t vmlat_kernel_handlers_read(struct vmlat_kernel_handler **);

/* Percentile of a small histogram, ns. */
uint64_t vmlat_kernel_small_percentile(const struct vmlat_bpf_small_hist *,
                                       double p);

/* The last packets above the threshold, newest first, and how many were not
 * kept.  Stacks are resolved to names, innermost first, " < " between them,
 * when asked for: false if there is no such stack. */
#define VMLAT_KERNEL_EVENTS 1024
size_t vmlat_kernel_events_read(struct vmlat_bpf_event **, uint64_t *n_lost);
bool vmlat_kernel_stack_format(int32_t stack, struct ds *);

/* Number of events that the programs had no room for since they were loaded.
 * 'n' of them were lost to vmlat/record: vmlat_kernel_events_read() does not
 * count them. */
uint64_t vmlat_kernel_events_lost(void);
void vmlat_kernel_events_were_records(uint64_t n);

/* Makes libbpf log through OVS's log; any thread, any number of times. */
void vmlat_kernel_libbpf_init(void);

/* What other programs that follow packets share with those of the datapath.
 * The file descriptors are the caller's, who closes them. */
struct vmlat_kernel_share {
    unsigned int generation;    /* See vmlat_kernel_generation(). */
    int vm, receive, xmit, kfree, consume; /* Maps, see vmlat-path-maps.h. */
};

/* Gets what is shared.  Returns false if no programs are attached, or if they
 * share nothing: then only 'generation' is set.  Any thread. */
bool vmlat_kernel_share(struct vmlat_kernel_share *);

/* Changes whenever programs are attached or detached.  Any thread. */
unsigned int vmlat_kernel_generation(void);

/* Wall clock time in ms of a time of the programs. */
long long int vmlat_kernel_time_to_wall(uint64_t ns);

#endif /* vmlat-kernel.h */
