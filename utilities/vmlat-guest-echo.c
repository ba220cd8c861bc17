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

#include <config.h>
#include "vmlat-guest-echo.h"

#include <stdlib.h>
#include <string.h>

#include "vmlat-guest-util.h"

/* Of echo requests and replies. */
#define ICMP_PROTO 1
#define ICMP_REQUEST 8
#define ICMPV6_PROTO 58
#define ICMPV6_REQUEST 128
#define TCP_PROTO 6

const struct vmlat_guest_stage vmlat_guest_stages[] = {
#define VMLAT_GUEST_STAGE(WAY, SEGMENT, NAME, FROM, TO) \
    { VMLAT_GUEST_WAY_##WAY, SEGMENT, NAME, FROM, TO },
    VMLAT_GUEST_STAGES
#undef VMLAT_GUEST_STAGE
};
const size_t vmlat_guest_n_stages = N_ELEMENTS(vmlat_guest_stages);
_Static_assert(N_ELEMENTS(vmlat_guest_stages) <= VMLAT_GUEST_MAX_STAGES,
               "room for all stages");

const char *const vmlat_guest_way_names[VMLAT_GUEST_N_WAYS] = {
#define VMLAT_GUEST_WAY(ID, NAME, MEANING) NAME,
    VMLAT_GUEST_WAYS
#undef VMLAT_GUEST_WAY
};

const char *const
vmlat_guest_mark_names[VMLAT_GUEST_N_KINDS][VMLAT_GUEST_MARKS] = {
    [VMLAT_GUEST_OUT] = { "ip-out", "qdisc", "device-tx" },
    [VMLAT_GUEST_IN] = { "device-rx", "ip-in", "deliver" },
};

const char *const vmlat_guest_verdict_names[VMLAT_GUEST_N_VERDICTS] = {
#define VMLAT_GUEST_VERDICT(ID, NAME, MEANING) NAME,
    VMLAT_GUEST_VERDICTS
#undef VMLAT_GUEST_VERDICT
};

const char *const vmlat_guest_verdict_meanings[VMLAT_GUEST_N_VERDICTS] = {
#define VMLAT_GUEST_VERDICT(ID, NAME, MEANING) MEANING,
    VMLAT_GUEST_VERDICTS
#undef VMLAT_GUEST_VERDICT
};

bool
vmlat_guest_is_icmp(const struct vmlat_guest_packet *p)
{
    return p->id.proto == ICMP_PROTO || p->id.proto == ICMPV6_PROTO;
}

bool
vmlat_guest_is_request(const struct vmlat_guest_packet *p)
{
    return p->id.l4_type == (p->id.proto == ICMP_PROTO ? ICMP_REQUEST
                             : ICMPV6_REQUEST);
}

/* Echoes. */

static enum vmlat_guest_verdict
judge(const struct vmlat_guest_echo *echo)
{
    bool request_done = (echo->has[0]
                         && echo->packets[0].end == VMLAT_GUEST_COMPLETE);
    bool reply_done = (echo->has[1]
                       && echo->packets[1].end == VMLAT_GUEST_COMPLETE);

    if (!echo->has[0]) {
        return VMLAT_GUEST_STRAY;
    } else if (!echo->has[1]) {
        return (!request_done ? VMLAT_GUEST_LOST_REQUEST
                : echo->way == VMLAT_GUEST_WAY_ASKS ? VMLAT_GUEST_LOST_OUTSIDE
                : VMLAT_GUEST_LOST_ANSWER);
    }
    return reply_done ? VMLAT_GUEST_ANSWERED : VMLAT_GUEST_LOST_REPLY;
}

/* The addresses of the request of the echo that 'p' is a part of. */
static const __u32 *
request_src(const struct vmlat_guest_packet *p)
{
    return vmlat_guest_is_request(p) ? p->id.src : p->id.dst;
}

static const __u32 *
request_dst(const struct vmlat_guest_packet *p)
{
    return vmlat_guest_is_request(p) ? p->id.dst : p->id.src;
}

static enum vmlat_guest_way
echo_way(const struct vmlat_guest_packet *p)
{
    return (vmlat_guest_is_request(p) == (p->kind == VMLAT_GUEST_OUT)
            ? VMLAT_GUEST_WAY_ASKS : VMLAT_GUEST_WAY_ASKED);
}

static bool
is_of_echo(const struct vmlat_guest_packet *p,
           const struct vmlat_guest_echo *echo)
{
    const struct vmlat_guest_packet *q = &echo->packets[!echo->has[0]];

    return (p->id.seq == q->id.seq && p->id.sport == q->id.sport
            && p->id.proto == q->id.proto && echo_way(p) == echo->way
            && !memcmp(request_src(p), request_src(q), sizeof p->id.src)
            && !memcmp(request_dst(p), request_dst(q), sizeof p->id.dst));
}

static size_t
bucket_of(const struct vmlat_guest_packet *p)
{
    const __u32 *src = request_src(p);
    const __u32 *dst = request_dst(p);
    uint32_t hash = p->id.seq * 0x9e3779b1u ^ (uint32_t) p->id.sport << 16;

    for (int i = 0; i < 4; i++) {
        hash = (hash ^ src[i] ^ (dst[i] << 7 | dst[i] >> 25)) * 0x85ebca6bu;
    }
    return (hash ^ hash >> 15) % VMLAT_GUEST_ECHO_BUCKETS;
}

static void
echo_remove(struct vmlat_guest_echoes *echoes, struct vmlat_guest_echo *echo)
{
    struct vmlat_guest_echo **p
        = &echoes->buckets[bucket_of(&echo->packets[!echo->has[0]])];

    while (*p != echo) {
        p = &(*p)->next;
    }
    *p = echo->next;
    if (echo->older) {
        echo->older->newer = echo->newer;
    } else {
        echoes->oldest = echo->newer;
    }
    if (echo->newer) {
        echo->newer->older = echo->older;
    } else {
        echoes->newest = echo->older;
    }
    echoes->n--;
}

static void
echo_finish(struct vmlat_guest_echoes *echoes, struct vmlat_guest_echo *echo)
{
    echo_remove(echoes, echo);
    echoes->cb(echo, judge(echo), echoes->aux);
    free(echo);
}

/* Returns when 'p' was last seen. */
static uint64_t
last_seen(const struct vmlat_guest_packet *p)
{
    uint64_t ns = p->end_ns;

    for (size_t i = 0; i < VMLAT_GUEST_MARKS; i++) {
        ns = p->times[i] > ns ? p->times[i] : ns;
    }
    return ns;
}

void
vmlat_guest_echoes_add(struct vmlat_guest_echoes *echoes,
                       const struct vmlat_guest_packet *packet)
{
    size_t i = bucket_of(packet);
    bool reply = !vmlat_guest_is_request(packet);
    struct vmlat_guest_echo *echo;

    for (echo = echoes->buckets[i]; echo; echo = echo->next) {
        if (is_of_echo(packet, echo)) {
            break;
        }
    }
    if (echo && echo->has[reply]) {
        echoes->n_copies++;
        return;
    }
    if (!echo) {
        if (echoes->n >= VMLAT_GUEST_MAX_ECHOES) {
            struct vmlat_guest_echo *oldest = echoes->oldest;

            echoes->n_table_full++;
            echo_remove(echoes, oldest);
            free(oldest);
        }
        echo = vmlat_guest_calloc(1, sizeof *echo);
        echo->way = echo_way(packet);
        echo->since_ns = last_seen(packet);
        echo->next = echoes->buckets[i];
        echoes->buckets[i] = echo;
        echo->older = echoes->newest;
        if (echoes->newest) {
            echoes->newest->newer = echo;
        } else {
            echoes->oldest = echo;
        }
        echoes->newest = echo;
        echoes->n++;
    }
    echo->has[reply] = true;
    echo->packets[reply] = *packet;
    if (echo->has[0] && echo->has[1]) {
        echo_finish(echoes, echo);
    }
}

void
vmlat_guest_echoes_expire(struct vmlat_guest_echoes *echoes, uint64_t now_ns)
{
    while (echoes->oldest
           && now_ns > echoes->oldest->since_ns + echoes->timeout_ns) {
        echo_finish(echoes, echoes->oldest);
    }
}

void
vmlat_guest_echoes_destroy(struct vmlat_guest_echoes *echoes)
{
    while (echoes->oldest) {
        struct vmlat_guest_echo *oldest = echoes->oldest;

        echo_remove(echoes, oldest);
        free(oldest);
    }
}

/* Stages. */

/* Adds the marks of 'p' from moment 'first' on. */
static void
add_moments(const struct vmlat_guest_packet *p,
            const struct vmlat_guest_config *config, unsigned int first,
            struct vmlat_guest_moments *m)
{
    memcpy(&m->ns[first], p->times, sizeof p->times);
    if (p->kind == VMLAT_GUEST_OUT) {
        /* Where no packet is seen in IP, the next mark has to do. */
        m->ns[VMLAT_GUEST_MOMENT_FIRST]
            = (p->times[0] || config->has_ip_out
                              & (p->id.ip_version == 4 ? 1 : 2)
               ? p->times[0] : p->times[1]);
    } else {
        m->ns[VMLAT_GUEST_MOMENT_LAST] = (p->times[2] ? p->times[2]
                                          : p->end_ns);
        m->ns[VMLAT_GUEST_MOMENT_RX] = p->times[2] ? 0 : p->times[0];
    }
}

void
vmlat_guest_echo_moments(const struct vmlat_guest_echo *echo,
                         const struct vmlat_guest_config *config,
                         struct vmlat_guest_moments *m)
{
    memset(m, 0, sizeof *m);
    for (int i = 0; i < 2; i++) {
        if (echo->has[i]) {
            add_moments(&echo->packets[i], config, i * VMLAT_GUEST_MARKS, m);
        }
    }
}

enum vmlat_guest_way
vmlat_guest_packet_way(const struct vmlat_guest_packet *p)
{
    bool out = p->kind == VMLAT_GUEST_OUT;

    return (p->id.proto == TCP_PROTO
            ? out ? VMLAT_GUEST_WAY_TCP_OUT : VMLAT_GUEST_WAY_TCP_IN
            : out ? VMLAT_GUEST_WAY_UDP_OUT : VMLAT_GUEST_WAY_UDP_IN);
}

void
vmlat_guest_packet_moments(const struct vmlat_guest_packet *p,
                           const struct vmlat_guest_config *config,
                           struct vmlat_guest_moments *m)
{
    memset(m, 0, sizeof *m);
    add_moments(p, config, 0, m);
}

bool
vmlat_guest_stage_ns(size_t i, enum vmlat_guest_way way,
                     const struct vmlat_guest_moments *m, int64_t *ns)
{
    const struct vmlat_guest_stage *stage = &vmlat_guest_stages[i];
    uint64_t from = m->ns[stage->from];
    uint64_t to = m->ns[stage->to];

    if (stage->way != way || !from || !to) {
        return false;
    }
    *ns = to - from;
    return true;
}
