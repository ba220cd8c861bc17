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

#ifndef VMLAT_BYPASS_RULES_H
#define VMLAT_BYPASS_RULES_H 1

/* Judges, from facts, whether the traffic of VMs bypasses the userspace
 * datapath, and why, and what to do about it.  Pure: no I/O, no clock, no
 * state. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmlat-bypass-facts.h"

/* Verdicts, the worst last.
 *
 * VMLAT_BYPASS_VERDICT(ID, meaning) */
#define VMLAT_BYPASS_VERDICTS                                                 \
    VMLAT_BYPASS_VERDICT(IDLE, "no traffic in the window")                    \
    VMLAT_BYPASS_VERDICT(CLEAN,                                               \
                         "what left this host left by the datapath, but for " \
                         "less than 1 %")                                     \
    VMLAT_BYPASS_VERDICT(SUSPECT,                                             \
                         "no packet was proven to bypass the datapath, but "  \
                         "see the causes")                                    \
    VMLAT_BYPASS_VERDICT(PARTLY,                                              \
                         "a part of the traffic is routed by the kernel")     \
    VMLAT_BYPASS_VERDICT(BYPASSED,                                            \
                         "the traffic is routed by the kernel")

enum vmlat_bypass_verdict {
#define VMLAT_BYPASS_VERDICT(ID, MEANING) VMLAT_BYPASS_##ID,
    VMLAT_BYPASS_VERDICTS
#undef VMLAT_BYPASS_VERDICT
    VMLAT_BYPASS_N_VERDICTS
};

/* Ways that the traffic of a VM takes, in either direction.
 *
 * VMLAT_BYPASS_WAY(ID, name, meaning) */
#define VMLAT_BYPASS_WAYS                                                     \
    VMLAT_BYPASS_WAY(NIC, "nic", "by a NIC or tunnel in the datapath")        \
    VMLAT_BYPASS_WAY(VM, "vm", "to or from another VM")                       \
    VMLAT_BYPASS_WAY(HOST, "host", "to or from this host itself")             \
    VMLAT_BYPASS_WAY(KERNEL, "kernel", "routed by the kernel")                \
    VMLAT_BYPASS_WAY(FLOODED, "flooded", "to several ports at once")          \
    VMLAT_BYPASS_WAY(DROPPED, "dropped", "dropped by the datapath")           \
    VMLAT_BYPASS_WAY(KERNEL_DROPPED, "kernel-dropped",                        \
                     "dropped by the kernel")                                 \
    VMLAT_BYPASS_WAY(UNKNOWN, "unknown",                                      \
                     "into the kernel or out of it, and not seen there")

enum vmlat_bypass_way_id {
#define VMLAT_BYPASS_WAY(ID, NAME, MEANING) VMLAT_BYPASS_WAY_##ID,
    VMLAT_BYPASS_WAYS
#undef VMLAT_BYPASS_WAY
    VMLAT_BYPASS_N_WAYS
};

/* One way of one VM port. */
struct vmlat_bypass_result_way {
    enum vmlat_bypass_direction direction;
    enum vmlat_bypass_way_id way;
    char *through;              /* Port of the datapath, or "". */
    char *device;               /* Of KERNEL: device that it left or came by,
                                 * else "". */
    uint64_t packets;
    uint64_t bytes;
    double share;               /* Of all packets in 'direction', 0 to 1. */
    uint64_t timed;             /* Of KERNEL: packets whose time is known, */
    uint64_t p50_ns, max_ns;    /* their median (within a factor of 2) and
                                 * the longest. */
};

/* A cause that was found. */
struct vmlat_bypass_cause {
    const char *code;           /* "address-on-internal-port" */
    const char *meaning;
    char *evidence;             /* What was seen, one line. */
};

/* A command to type, in order. */
struct vmlat_bypass_cure {
    const char *code;           /* Of the cause that it cures. */
    char *command;              /* Exact. */
    char *interrupts;           /* What it interrupts, "nothing" if nothing. */
};

/* As many flows of a VM are in its result, the largest; the packets of others
 * are counted in 'flows_left_out'. */
#define VMLAT_BYPASS_MAX_RESULT_FLOWS 1024

struct vmlat_bypass_result {    /* One for each VM port. */
    char *bridge, *port, *vm;   /* 'vm' may be NULL. */
    enum vmlat_bypass_verdict verdict;
    double share;               /* Of the traffic with the world beyond this
                                 * host, in packets, that is routed by the
                                 * kernel: 0 to 1; -1 if there was none. */
    uint64_t share_of;          /* How many packets that is a share of. */
    char *why;                  /* What limits the verdict ("without BPF ..."),
                                 * or NULL. */
    struct vmlat_bypass_result_way *ways;
    size_t n_ways;
    struct vmlat_bypass_kernel_flow *flows;     /* Of this VM; the proof. */
    size_t n_flows;             /* VMLAT_BYPASS_MAX_RESULT_FLOWS at most. */
    struct vmlat_bypass_cause *causes;
    size_t n_causes;
    struct vmlat_bypass_cure *cures;
    size_t n_cures;
};

struct vmlat_bypass_name {      /* As it was at the end of the window. */
    uint32_t ifindex;
    char name[IFNAMSIZ];
};

struct vmlat_bypass_results {
    uint64_t window_ns;
    struct vmlat_bypass_result *results;        /* By bridge and port. */
    size_t n;
    struct vmlat_bypass_name *names;    /* Of the devices in flows. */
    size_t n_names;
    char **notes;               /* What could not be seen, and why. */
    size_t n_notes;
    uint64_t flows_left_out;    /* Routed packets of flows not listed. */
    bool direct_known;          /* As in struct vmlat_bypass_ovs. */
    uint64_t direct_p50_ns, direct_packets;
};

void vmlat_bypass_judge(const struct vmlat_bypass_facts *,
                        struct vmlat_bypass_results *);
void vmlat_bypass_results_destroy(struct vmlat_bypass_results *);

/* The rules, for documentation and help: code and meaning of rule 'i', from 0;
 * false if there is none. */
bool vmlat_bypass_rule(size_t i, const char **code, const char **meaning);

/* Returns the name of device 'ifindex' in a flow, NULL if it is not known. */
const char *vmlat_bypass_device_name(const struct vmlat_bypass_results *,
                                     uint32_t ifindex);

const char *vmlat_bypass_verdict_name(enum vmlat_bypass_verdict);
const char *vmlat_bypass_verdict_meaning(enum vmlat_bypass_verdict);
const char *vmlat_bypass_way_name(enum vmlat_bypass_way_id);

#endif /* vmlat-bypass-rules.h */
