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

#ifndef VMLAT_GUEST_ECHO_H
#define VMLAT_GUEST_ECHO_H 1

/* Puts the request and the reply of ICMP echoes together, and says how long
 * what took, of echoes and of single packets.
 *
 * Pure: knows nothing of BPF.  One thread. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/types.h>
#include "vmlat-guest-abi.h"

/* What is measured, seen from this guest.
 *
 * VMLAT_GUEST_WAY(ID, name, meaning) */
#define VMLAT_GUEST_WAYS                                                      \
    VMLAT_GUEST_WAY(ASKS, "local>remote",                                     \
                    "ICMP echoes: this guest asks")                           \
    VMLAT_GUEST_WAY(ASKED, "remote>local",                                    \
                    "ICMP echoes: this guest is asked")                       \
    VMLAT_GUEST_WAY(TCP_OUT, "tcp out", "TCP packets that are sent")          \
    VMLAT_GUEST_WAY(TCP_IN, "tcp in", "TCP packets that are received")        \
    VMLAT_GUEST_WAY(UDP_OUT, "udp out", "UDP packets that are sent")          \
    VMLAT_GUEST_WAY(UDP_IN, "udp in", "UDP packets that are received")

enum vmlat_guest_way {
#define VMLAT_GUEST_WAY(ID, NAME, MEANING) VMLAT_GUEST_WAY_##ID,
    VMLAT_GUEST_WAYS
#undef VMLAT_GUEST_WAY
    VMLAT_GUEST_N_WAYS
};

/* Moments: the marks of a packet, for echoes the request's and then the
 * reply's, and three for where a mark is not attached: the first mark of the
 * packet that is sent, the end of a packet that is received, which stands for
 * the arrival of a reply, and the device's receiving a packet whose arrival is
 * not seen. */
enum vmlat_guest_moment {
    VMLAT_GUEST_MOMENT_FIRST = 2 * VMLAT_GUEST_MARKS,
    VMLAT_GUEST_MOMENT_LAST,
    VMLAT_GUEST_MOMENT_RX,
    VMLAT_GUEST_N_MOMENTS
};

/* Stages: from one moment to another.
 *
 * The letters are those of the path from VM to VM and back: A guest that asks
 * has A and M, one that is asked F, G and H.
 *
 * VMLAT_GUEST_STAGE(way, segment or "", name, from, to) */
#define VMLAT_GUEST_STAGES                                                    \
    VMLAT_GUEST_STAGE(ASKS, "", "ip-out>qdisc", 0, 1)                         \
    VMLAT_GUEST_STAGE(ASKS, "", "qdisc>device-tx", 1, 2)                      \
    VMLAT_GUEST_STAGE(ASKS, "A", "A", VMLAT_GUEST_MOMENT_FIRST, 2)            \
    VMLAT_GUEST_STAGE(ASKS, "", "outside", 2, 3)                              \
    VMLAT_GUEST_STAGE(ASKS, "", "device-rx>ip-in", 3, 4)                      \
    VMLAT_GUEST_STAGE(ASKS, "", "ip-in>icmp", 4, 5)                           \
    VMLAT_GUEST_STAGE(ASKS, "M", "M", 3, VMLAT_GUEST_MOMENT_LAST)             \
    VMLAT_GUEST_STAGE(ASKS, "", "rtt", VMLAT_GUEST_MOMENT_FIRST,              \
                      VMLAT_GUEST_MOMENT_LAST)                                \
    VMLAT_GUEST_STAGE(ASKED, "", "device-rx>ip-in", 0, 1)                     \
    VMLAT_GUEST_STAGE(ASKED, "", "ip-in>icmp", 1, 2)                          \
    VMLAT_GUEST_STAGE(ASKED, "F", "F", 0, 2)                                  \
    VMLAT_GUEST_STAGE(ASKED, "G", "G", 2, VMLAT_GUEST_MOMENT_FIRST)           \
    VMLAT_GUEST_STAGE(ASKED, "", "F+G", VMLAT_GUEST_MOMENT_RX,                \
                      VMLAT_GUEST_MOMENT_FIRST)                               \
    VMLAT_GUEST_STAGE(ASKED, "", "ip-out>qdisc", 3, 4)                        \
    VMLAT_GUEST_STAGE(ASKED, "", "qdisc>device-tx", 4, 5)                     \
    VMLAT_GUEST_STAGE(ASKED, "H", "H", VMLAT_GUEST_MOMENT_FIRST, 5)           \
    VMLAT_GUEST_STAGE(ASKED, "", "inside", 0, 5)                              \
    VMLAT_GUEST_STAGE(TCP_OUT, "", "ip-out>qdisc", 0, 1)                      \
    VMLAT_GUEST_STAGE(TCP_OUT, "", "qdisc>device-tx", 1, 2)                   \
    VMLAT_GUEST_STAGE(TCP_OUT, "A/H", "A/H", VMLAT_GUEST_MOMENT_FIRST, 2)     \
    VMLAT_GUEST_STAGE(TCP_IN, "", "device-rx>ip-in", 0, 1)                    \
    VMLAT_GUEST_STAGE(TCP_IN, "", "ip-in>tcp", 1, 2)                          \
    VMLAT_GUEST_STAGE(TCP_IN, "F/M", "F/M", 0, 2)                             \
    VMLAT_GUEST_STAGE(UDP_OUT, "", "ip-out>qdisc", 0, 1)                      \
    VMLAT_GUEST_STAGE(UDP_OUT, "", "qdisc>device-tx", 1, 2)                   \
    VMLAT_GUEST_STAGE(UDP_OUT, "A/H", "A/H", VMLAT_GUEST_MOMENT_FIRST, 2)     \
    VMLAT_GUEST_STAGE(UDP_IN, "", "device-rx>ip-in", 0, 1)                    \
    VMLAT_GUEST_STAGE(UDP_IN, "", "ip-in>udp", 1, 2)                          \
    VMLAT_GUEST_STAGE(UDP_IN, "F/M", "F/M", 0, 2)

struct vmlat_guest_stage {
    enum vmlat_guest_way way;
    const char *segment;        /* "" if it is only a part of one, or more. */
    const char *name;
    unsigned int from, to;      /* enum vmlat_guest_moment. */
};

extern const struct vmlat_guest_stage vmlat_guest_stages[];
extern const size_t vmlat_guest_n_stages;
#define VMLAT_GUEST_MAX_STAGES 32

extern const char *const vmlat_guest_way_names[VMLAT_GUEST_N_WAYS];

/* The names of the marks, in their order. */
extern const char *const
    vmlat_guest_mark_names[VMLAT_GUEST_N_KINDS][VMLAT_GUEST_MARKS];

/* What became of an echo.
 *
 * VMLAT_GUEST_VERDICT(ID, name, meaning) */
#define VMLAT_GUEST_VERDICTS                                                  \
    VMLAT_GUEST_VERDICT(ANSWERED, "complete",                                 \
                        "request and reply went their way")                   \
    VMLAT_GUEST_VERDICT(LOST_REQUEST, "request-lost",                         \
                        "the request ended inside this guest")                \
    VMLAT_GUEST_VERDICT(LOST_OUTSIDE, "outside",                              \
                        "the request left this guest, no reply came")         \
    VMLAT_GUEST_VERDICT(LOST_ANSWER, "no-answer",                             \
                        "the request got to ICMP here, no reply was sent")    \
    VMLAT_GUEST_VERDICT(LOST_REPLY, "reply-lost",                             \
                        "the reply ended inside this guest")                  \
    VMLAT_GUEST_VERDICT(STRAY, "stray",                                       \
                        "a reply whose request was not seen, or too late")

enum vmlat_guest_verdict {
#define VMLAT_GUEST_VERDICT(ID, NAME, MEANING) VMLAT_GUEST_##ID,
    VMLAT_GUEST_VERDICTS
#undef VMLAT_GUEST_VERDICT
    VMLAT_GUEST_N_VERDICTS
};

extern const char *const vmlat_guest_verdict_names[VMLAT_GUEST_N_VERDICTS];
extern const char *const vmlat_guest_verdict_meanings[VMLAT_GUEST_N_VERDICTS];

/* Echoes that wait for their other packet, at most. */
#define VMLAT_GUEST_MAX_ECHOES 8192
#define VMLAT_GUEST_ECHO_BUCKETS 4096

struct vmlat_guest_echo {
    struct vmlat_guest_echo *next;      /* In the bucket. */
    struct vmlat_guest_echo *newer;     /* By time, older ones first. */
    struct vmlat_guest_echo *older;
    enum vmlat_guest_way way;           /* ASKS or ASKED. */
    uint64_t since_ns;
    bool has[2];
    struct vmlat_guest_packet packets[2]; /* Request, reply. */
};

typedef void vmlat_guest_echo_cb(const struct vmlat_guest_echo *,
                                 enum vmlat_guest_verdict, void *aux);

struct vmlat_guest_echoes {
    uint64_t timeout_ns;
    vmlat_guest_echo_cb *cb;    /* Called for each echo, complete or lost. */
    void *aux;

    size_t n;
    uint64_t n_copies;          /* Packets of an echo that had them before. */
    uint64_t n_table_full;      /* Echoes given up since there were too
                                 * many. */
    /* Private. */
    struct vmlat_guest_echo *buckets[VMLAT_GUEST_ECHO_BUCKETS];
    struct vmlat_guest_echo *oldest, *newest;
};

/* Adds 'packet', an echo request or reply.  Which of them comes first does not
 * matter. */
void vmlat_guest_echoes_add(struct vmlat_guest_echoes *,
                            const struct vmlat_guest_packet *);

/* Gives up echoes that have waited for longer than the timeout at 'now_ns'. */
void vmlat_guest_echoes_expire(struct vmlat_guest_echoes *, uint64_t now_ns);

/* Frees what is left. */
void vmlat_guest_echoes_destroy(struct vmlat_guest_echoes *);

/* Returns whether 'packet' is one of ICMP or ICMPv6. */
bool vmlat_guest_is_icmp(const struct vmlat_guest_packet *);

/* Returns whether 'packet', one of ICMP or ICMPv6, is a request. */
bool vmlat_guest_is_request(const struct vmlat_guest_packet *);

/* The times at moments, CLOCK_MONOTONIC ns, 0 where unknown. */
struct vmlat_guest_moments {
    uint64_t ns[VMLAT_GUEST_N_MOMENTS];
};

/* 'config' says which marks are attached. */
void vmlat_guest_echo_moments(const struct vmlat_guest_echo *,
                              const struct vmlat_guest_config *config,
                              struct vmlat_guest_moments *);
enum vmlat_guest_way vmlat_guest_packet_way(const struct vmlat_guest_packet *);
void vmlat_guest_packet_moments(const struct vmlat_guest_packet *,
                                const struct vmlat_guest_config *config,
                                struct vmlat_guest_moments *);

/* Stores the length of stage 'i' of vmlat_guest_stages[] in '*ns' and returns
 * true if it is one of 'way' and known.  A negative one says that the packets
 * do not belong together. */
bool vmlat_guest_stage_ns(size_t i, enum vmlat_guest_way way,
                          const struct vmlat_guest_moments *, int64_t *ns);

#endif /* vmlat-guest-echo.h */
