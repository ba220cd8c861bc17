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

#ifndef VMLAT_RTT_ECHO_H
#define VMLAT_RTT_ECHO_H 1

/* One ICMP echo, request and reply: the points that it passed, put in order,
 * and what they say about it.
 *
 * Pure: knows nothing of BPF or threads. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/types.h>
#include "openvswitch/hmap.h"
#include "vmlat-rtt-abi.h"

/* Ways that echoes take, seen from one network namespace.
 *
 * VMLAT_RTT_WAY(ID, name, meaning) */
#define VMLAT_RTT_WAYS                                                        \
    VMLAT_RTT_WAY(OUT, "local>remote",                                        \
                  "a process here asks another host")                         \
    VMLAT_RTT_WAY(IN, "remote>local",                                         \
                  "another host asks, the kernel here answers")               \
    VMLAT_RTT_WAY(VM_OUT, "vm>remote",                                        \
                  "a VM here asks another host")                              \
    VMLAT_RTT_WAY(VM_IN, "remote>vm",                                         \
                  "another host asks a VM here")                              \
    VMLAT_RTT_WAY(VM_VM, "vm>vm",                                             \
                  "a VM here asks another VM here")                           \
    VMLAT_RTT_WAY(THROUGH, "through",                                         \
                  "forwarded between ports none of which is a VM's")          \
    VMLAT_RTT_WAY(SELF, "local>local",                                        \
                  "a process here asks this host itself")

enum vmlat_rtt_way {
#define VMLAT_RTT_WAY(ID, NAME, MEANING) VMLAT_RTT_WAY_##ID,
    VMLAT_RTT_WAYS
#undef VMLAT_RTT_WAY
    VMLAT_RTT_N_WAYS
};

/* Parts of an echo's time.  All but "total" follow each other and add up to
 * it.
 *
 * VMLAT_RTT_PART(ID, name, meaning) */
#define VMLAT_RTT_PARTS                                                       \
    VMLAT_RTT_PART(PATH_1, "path-1",                                          \
                   "the request, inside this host")                           \
    VMLAT_RTT_PART(OUTSIDE, "outside",                                        \
                   "from the request's leaving to the reply's arrival")       \
    VMLAT_RTT_PART(ANSWER, "answer",                                          \
                   "from the request's arrival at ICMP here to the reply's "  \
                   "start")                                                   \
    VMLAT_RTT_PART(PATH_2, "path-2",                                          \
                   "the reply, inside this host")                             \
    VMLAT_RTT_PART(TOTAL, "total",                                            \
                   "from the first point to the last")

enum vmlat_rtt_part {
#define VMLAT_RTT_PART(ID, NAME, MEANING) VMLAT_RTT_PART_##ID,
    VMLAT_RTT_PARTS
#undef VMLAT_RTT_PART
    VMLAT_RTT_N_PARTS
};

/* What became of an echo.
 *
 * VMLAT_RTT_VERDICT(ID, name, meaning) */
#define VMLAT_RTT_VERDICTS                                                    \
    VMLAT_RTT_VERDICT(COMPLETE, "complete",                                   \
                      "the reply got to where it belongs")                    \
    VMLAT_RTT_VERDICT(LOST_PATH_1, "path-1",                                  \
                      "lost inside this host, on the way out")                \
    VMLAT_RTT_VERDICT(LOST_OUTSIDE, "outside",                                \
                      "the request left this host, no reply came")            \
    VMLAT_RTT_VERDICT(LOST_ANSWER, "answer",                                  \
                      "the request got to ICMP here, which did not answer")   \
    VMLAT_RTT_VERDICT(LOST_PATH_2, "path-2",                                  \
                      "lost inside this host, on the way back")

enum vmlat_rtt_verdict {
#define VMLAT_RTT_VERDICT(ID, NAME, MEANING) VMLAT_RTT_##ID,
    VMLAT_RTT_VERDICTS
#undef VMLAT_RTT_VERDICT
    VMLAT_RTT_N_VERDICTS
};

extern const char *const vmlat_rtt_point_names[VMLAT_RTT_N_POINTS];
extern const char *const vmlat_rtt_way_names[VMLAT_RTT_N_WAYS];
extern const char *const vmlat_rtt_part_names[VMLAT_RTT_N_PARTS];
extern const char *const vmlat_rtt_verdict_names[VMLAT_RTT_N_VERDICTS];

/* A point that a packet of an echo passed. */
struct vmlat_rtt_step {
    uint64_t time_ns;           /* CLOCK_MONOTONIC. */
    uint64_t skb;               /* Opaque. */
    uint64_t location;          /* Code address, 0 if unknown. */
    uint32_t ifindex;
    uint32_t cpu;
    uint32_t reason;
    uint16_t point;             /* enum vmlat_rtt_point. */
    uint16_t flags;             /* VMLAT_RTT_REPLY etc. */
    char device[16];
};

/* As many steps are kept of an echo; of more, the last one. */
#define VMLAT_RTT_MAX_STEPS 48

/* As many packets that only repeat an echo's are told apart. */
#define VMLAT_RTT_MAX_COPIES 4

struct vmlat_rtt_echo {
    struct hmap_node node;      /* By 'key'. */
    struct vmlat_rtt_key key;
    uint64_t first_ns;          /* Of the first point that was reported. */
    uint64_t last_ns;           /* Of the last one. */
    uint32_t pid;               /* Who ran at the first point. */
    char command[16];
    bool uncertain;             /* Points may have been lost. */

    struct vmlat_rtt_step *steps; /* In order of time. */
    size_t n_steps, allocated_steps;
    size_t n_judged;            /* Steps when it was last judged. */

    /* Packets that are no part of it. */
    uint64_t copies[VMLAT_RTT_MAX_COPIES];
    size_t n_copies;
};

/* What vmlat_rtt_echo_add() made of an event. */
enum vmlat_rtt_added {
    VMLAT_RTT_ADDED,
    VMLAT_RTT_COPY_OF_REQUEST,  /* The first point of one. */
    VMLAT_RTT_COPY_OF_REPLY,
    VMLAT_RTT_IGNORED,          /* Another point of one. */
};

void vmlat_rtt_echo_init(struct vmlat_rtt_echo *,
                         const struct vmlat_rtt_event *);
void vmlat_rtt_echo_destroy(struct vmlat_rtt_echo *);
enum vmlat_rtt_added vmlat_rtt_echo_add(struct vmlat_rtt_echo *,
                                        const struct vmlat_rtt_event *);

/* What a judgement needs to know beside the echo. */
struct vmlat_rtt_context {
    bool has_icmp[2];           /* The point of ICMPv4, of ICMPv6 is there. */

    /* Returns the name of the function that 'address' is in, or NULL. */
    const char *(*function)(uint64_t address);

    /* Returns whether 'device' of the namespace 'netns' is the port of a
     * VM. */
    uint32_t netns;
    bool (*is_vm)(const char *device);
};

struct vmlat_rtt_judgement {
    enum vmlat_rtt_way way;
    enum vmlat_rtt_verdict verdict;

    /* Index of the last step before it was lost, SIZE_MAX if none; that of the
     * step with the drop, SIZE_MAX if none. */
    size_t last;
    size_t drop;

    uint64_t ns[VMLAT_RTT_N_PARTS];
    bool known[VMLAT_RTT_N_PARTS];

    /* Steps with a time that counts, by index: the request's, then the
     * reply's.  Those of a path follow each other.  One that is the end of the
     * packet stands for its arrival at ICMP. */
    size_t path[2][VMLAT_RTT_MAX_STEPS];
    size_t n_path[2];
};

enum vmlat_rtt_point vmlat_rtt_stage(const struct vmlat_rtt_step *);
void vmlat_rtt_judge(const struct vmlat_rtt_echo *,
                     const struct vmlat_rtt_context *,
                     struct vmlat_rtt_judgement *);

#endif /* vmlat-rtt-echo.h */
