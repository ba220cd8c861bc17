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

#ifndef VMLAT_BYPASS_JUDGE_H
#define VMLAT_BYPASS_JUDGE_H 1

/* Between vmlat-bypass-judge.c, which finds out what way the packets of each
 * VM went, and vmlat-bypass-rules.c, which knows causes and cures. */

#include "vmlat-bypass-rules.h"

/* An internal port that packets of a VM go into or come out of. */
struct vmlat_bypass_detour {
    const char *name;
    uint32_t ifindex;           /* 0 if it is not in this namespace. */
    bool suspected;             /* The kernel routes, or may route, there. */
    const struct vmlat_bypass_link **links;     /* Its device, and those */
    size_t n_links;             /* that are stacked upon it: VLANs etc. */
    uint64_t routed[VMLAT_BYPASS_N_DIRECTIONS];     /* Packets, this VM's. */
    uint64_t host[VMLAT_BYPASS_N_DIRECTIONS];
    uint64_t unknown[VMLAT_BYPASS_N_DIRECTIONS];
};

/* A device that packets of a VM, routed by the kernel, left or came in by. */
struct vmlat_bypass_outside {
    uint32_t ifindex;
    const char *name;
    const struct vmlat_bypass_link *link;       /* NULL if unknown. */
    bool internal;              /* An internal port, or above one. */
    uint64_t packets[VMLAT_BYPASS_N_DIRECTIONS];
};

/* A NIC port in the datapath that the VM could use: of its bridge, or of one
 * that patch ports lead to. */
struct vmlat_bypass_uplink {
    const struct vmlat_bypass_port *port;
    uint64_t packets;           /* In and out, of whomever. */
    uint64_t vm[VMLAT_BYPASS_N_DIRECTIONS];     /* Of this VM. */
};

/* All that rules are told about a VM port. */
struct vmlat_bypass_case {
    const struct vmlat_bypass_facts *facts;
    const struct vmlat_bypass_port *port;
    const struct vmlat_bypass_result *result;

    /* Packets by way. */
    uint64_t packets[VMLAT_BYPASS_N_DIRECTIONS][VMLAT_BYPASS_N_WAYS];

    struct vmlat_bypass_detour *detours;
    size_t n_detours;
    struct vmlat_bypass_outside *outsides;
    size_t n_outsides;
    struct vmlat_bypass_uplink *uplinks;
    size_t n_uplinks;

    /* What the datapath counted to or from it. */
    const struct vmlat_bypass_dp_row **rows;
    size_t n_rows;
};

/* Returns true if a rule that makes a port SUSPECT alone finds something. */
bool vmlat_bypass_rules_suspect(const struct vmlat_bypass_case *);

/* Adds causes and cures to 'result', which is that of the case. */
void vmlat_bypass_rules_run(const struct vmlat_bypass_case *,
                            struct vmlat_bypass_result *result);

/* Returns true if the kernel would route what comes in by 'detour': one of its
 * devices forwards and has an address, and there is a route out of another
 * device that is up. */
bool vmlat_bypass_has_way_out(const struct vmlat_bypass_facts *,
                              const struct vmlat_bypass_detour *detour);

#endif /* vmlat-bypass-judge.h */
