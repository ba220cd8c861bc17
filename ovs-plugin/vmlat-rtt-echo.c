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
#include "vmlat-rtt-echo.h"

#include <stdlib.h>
#include <string.h>

#include "util.h"

const char *const vmlat_rtt_point_names[VMLAT_RTT_N_POINTS] = {
#define VMLAT_RTT_POINT(ID, NAME, WITHOUT) NAME,
    VMLAT_RTT_POINTS
#undef VMLAT_RTT_POINT
};

const char *const vmlat_rtt_way_names[VMLAT_RTT_N_WAYS] = {
#define VMLAT_RTT_WAY(ID, NAME, MEANING) NAME,
    VMLAT_RTT_WAYS
#undef VMLAT_RTT_WAY
};

const char *const vmlat_rtt_part_names[VMLAT_RTT_N_PARTS] = {
#define VMLAT_RTT_PART(ID, NAME, MEANING) NAME,
    VMLAT_RTT_PARTS
#undef VMLAT_RTT_PART
};

const char *const vmlat_rtt_verdict_names[VMLAT_RTT_N_VERDICTS] = {
#define VMLAT_RTT_VERDICT(ID, NAME, MEANING) NAME,
    VMLAT_RTT_VERDICTS
#undef VMLAT_RTT_VERDICT
};

/* Collecting. */

/* Makes 'echo' that of 'event', which is added separately. */
void
vmlat_rtt_echo_init(struct vmlat_rtt_echo *echo,
                    const struct vmlat_rtt_event *event)
{
    memset(echo, 0, sizeof *echo);
    echo->key = event->key;
    echo->first_ns = echo->last_ns = event->time_ns;
    echo->pid = event->pid;
    ovs_strlcpy(echo->command, event->command, sizeof echo->command);
}

void
vmlat_rtt_echo_destroy(struct vmlat_rtt_echo *echo)
{
    free(echo->steps);
}

/* Returns the first step of the request or the reply, NULL if none. */
static const struct vmlat_rtt_step *
first_step(const struct vmlat_rtt_echo *echo, uint16_t reply)
{
    for (size_t i = 0; i < echo->n_steps; i++) {
        if ((echo->steps[i].flags & VMLAT_RTT_REPLY) == reply) {
            return &echo->steps[i];
        }
    }
    return NULL;
}

static bool
is_copy(const struct vmlat_rtt_echo *echo, uint64_t skb)
{
    for (size_t i = 0; i < echo->n_copies; i++) {
        if (echo->copies[i] == skb) {
            return true;
        }
    }
    return false;
}

static bool
was_dropped(const struct vmlat_rtt_echo *echo, uint64_t skb)
{
    for (size_t i = 0; i < echo->n_steps; i++) {
        if (echo->steps[i].skb == skb
            && echo->steps[i].point == VMLAT_RTT_DROPPED) {
            return true;
        }
    }
    return false;
}

/* Adds the point of 'event', which has the key of 'echo'.  Points may come a
 * little out of order. */
enum vmlat_rtt_added
vmlat_rtt_echo_add(struct vmlat_rtt_echo *echo,
                   const struct vmlat_rtt_event *event)
{
    uint16_t reply = event->flags & VMLAT_RTT_REPLY;
    const struct vmlat_rtt_step *first;
    struct vmlat_rtt_step *step;
    size_t i;

    /* A packet that enters where another one of the same echo entered before
     * repeats it.  One that shows up elsewhere continues it, as does one after
     * a drop: ping tries again when a queue is full. */
    first = first_step(echo, reply);
    if (event->flags & VMLAT_RTT_FIRST && first
        && first->skb != event->skb && first->point == event->point
        && first->ifindex == event->ifindex
        && !was_dropped(echo, first->skb)) {
        if (!is_copy(echo, event->skb)
            && echo->n_copies < VMLAT_RTT_MAX_COPIES) {
            echo->copies[echo->n_copies++] = event->skb;
        }
        return reply ? VMLAT_RTT_COPY_OF_REPLY : VMLAT_RTT_COPY_OF_REQUEST;
    }
    if (is_copy(echo, event->skb)) {
        return VMLAT_RTT_IGNORED;
    }

    if (echo->n_steps >= VMLAT_RTT_MAX_STEPS) {
        echo->n_steps--;
    }
    if (echo->n_steps >= echo->allocated_steps) {
        echo->steps = x2nrealloc(echo->steps, &echo->allocated_steps,
                                 sizeof *echo->steps);
    }
    for (i = echo->n_steps; i > 0; i--) {
        if (echo->steps[i - 1].time_ns <= event->time_ns) {
            break;
        }
        echo->steps[i] = echo->steps[i - 1];
    }
    echo->n_steps++;
    step = &echo->steps[i];
    step->time_ns = event->time_ns;
    step->skb = event->skb;
    step->location = event->location;
    step->ifindex = event->ifindex;
    step->cpu = event->cpu;
    step->reason = event->reason;
    step->point = MIN(event->point, VMLAT_RTT_N_POINTS - 1);
    step->flags = event->flags;
    memcpy(step->device, event->device, sizeof step->device);
    step->device[sizeof step->device - 1] = '\0';
    echo->last_ns = MAX(echo->last_ns, event->time_ns);
    return VMLAT_RTT_ADDED;
}

/* Judging. */

static bool
is_end(const struct vmlat_rtt_step *step)
{
    return step->point == VMLAT_RTT_CONSUMED
           || step->point == VMLAT_RTT_DROPPED;
}

/* Returns what 'step', which is part of a path, is called there. */
enum vmlat_rtt_point
vmlat_rtt_stage(const struct vmlat_rtt_step *step)
{
    return is_end(step) ? VMLAT_RTT_ICMP : step->point;
}

/* The steps of the request or of the reply. */
struct half {
    const struct vmlat_rtt_step *steps;
    size_t index[VMLAT_RTT_MAX_STEPS];
    size_t n;
};

static const struct vmlat_rtt_step *
half_step(const struct half *half, size_t i)
{
    return &half->steps[half->index[i]];
}

static void
half_init(struct half *half, const struct vmlat_rtt_echo *echo,
          uint16_t reply)
{
    half->steps = echo->steps;
    half->n = 0;
    for (size_t i = 0; i < echo->n_steps; i++) {
        if ((echo->steps[i].flags & VMLAT_RTT_REPLY) == reply) {
            half->index[half->n++] = i;
        }
    }
}

/* Returns the number in 'half' of the last step at 'point', SIZE_MAX if
 * none. */
static size_t
half_find_last(const struct half *half, enum vmlat_rtt_point point)
{
    for (size_t i = half->n; i-- > 0;) {
        if (half_step(half, i)->point == point) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* Returns the number in 'half' of the last step at which a packet left the
 * host: it went to a device, and that was the end of it.  SIZE_MAX if none. */
static size_t
half_find_exit(const struct half *half)
{
    for (size_t i = half->n; i-- > 0;) {
        const struct vmlat_rtt_step *step = half_step(half, i);

        if (step->point == VMLAT_RTT_TX) {
            bool went_on = false;

            for (size_t j = i + 1; j < half->n; j++) {
                went_on |= half_step(half, j)->skb == step->skb;
            }
            if (!went_on) {
                return i;
            }
        }
    }
    return SIZE_MAX;
}

static bool
starts_with(const char *s, const char *prefix)
{
    return !strncmp(s, prefix, strlen(prefix));
}

/* Returns the number in 'half' of the step at which the packet got to ICMP,
 * SIZE_MAX if none.
 *
 * Where that point is not attached, the function that freed the packet tells.
 * A reply that no ping socket waits for counts as dropped for want of a
 * socket even if a raw socket got its copy, so that says nothing. */
static size_t
half_find_icmp(const struct half *half, const struct vmlat_rtt_echo *echo,
               const struct vmlat_rtt_context *ctx)
{
    bool v6 = echo->key.ip_version == 6;
    size_t i = half_find_last(half, VMLAT_RTT_ICMP);

    if (i != SIZE_MAX || ctx->has_icmp[v6]) {
        return i;
    }
    for (i = half->n; i-- > 0;) {
        const struct vmlat_rtt_step *step = half_step(half, i);
        const char *function;

        if (!is_end(step)) {
            continue;
        }
        function = step->location ? ctx->function(step->location) : NULL;
        if (function) {
            if (starts_with(function, "icmp")
                || starts_with(function, "ping_")
                || starts_with(function, "ip6_protocol_deliver")
                || starts_with(function, "ip_protocol_deliver")) {
                return i;
            }
        } else if (step->point == VMLAT_RTT_CONSUMED && i > 0) {
            const struct vmlat_rtt_step *prev = half_step(half, i - 1);

            if (prev->skb == step->skb
                && (prev->point == VMLAT_RTT_RX
                    || prev->point == VMLAT_RTT_IP_IN)) {
                return i;
            }
        }
    }
    return SIZE_MAX;
}

/* Makes the path of 'half' the steps up to and with number 'last', before
 * 'before_ns'.  Ends of packets are no steps of it, but for 'icmp'. */
static void
set_path(struct vmlat_rtt_judgement *j, int n, const struct half *half,
         size_t last, uint64_t before_ns, size_t icmp)
{
    j->n_path[n] = 0;
    for (size_t i = 0; i < half->n && i <= last; i++) {
        if (half_step(half, i)->time_ns < before_ns
            && (i == icmp || !is_end(half_step(half, i)))) {
            j->path[n][j->n_path[n]++] = half->index[i];
        }
    }
}

static void
set_part(struct vmlat_rtt_judgement *j, enum vmlat_rtt_part part,
         uint64_t from_ns, uint64_t to_ns)
{
    j->ns[part] = to_ns - from_ns;
    j->known[part] = true;
}

static enum vmlat_rtt_way
way_through(const struct vmlat_rtt_context *ctx, uint32_t netns,
            const char *in, const char *out)
{
    bool in_vm = netns == ctx->netns && ctx->is_vm(in);
    bool out_vm = netns == ctx->netns && out && ctx->is_vm(out);

    return (in_vm ? (out_vm ? VMLAT_RTT_WAY_VM_VM : VMLAT_RTT_WAY_VM_OUT)
            : out_vm ? VMLAT_RTT_WAY_VM_IN : VMLAT_RTT_WAY_THROUGH);
}

/* Says where in 'half' a packet that got no further was seen last, and where
 * it was freed if it was. */
static void
locate(struct vmlat_rtt_judgement *j, const struct half *half)
{
    size_t end = half_find_last(half, VMLAT_RTT_DROPPED);

    if (end == SIZE_MAX) {
        end = half_find_last(half, VMLAT_RTT_CONSUMED);
    }
    if (end != SIZE_MAX) {
        j->drop = half->index[end];
    }
    for (size_t i = end == SIZE_MAX ? half->n : end; i-- > 0;) {
        const struct vmlat_rtt_step *step = half_step(half, i);

        if (!is_end(step)
            && (end == SIZE_MAX || step->skb == half_step(half, end)->skb)) {
            j->last = half->index[i];
            break;
        }
    }
}

/* Says in '*j' which way 'echo' took and whether it is complete by now; if it
 * is, how long what took, else where it is, which is where it was lost if it
 * stays so. */
void
vmlat_rtt_judge(const struct vmlat_rtt_echo *echo,
                const struct vmlat_rtt_context *ctx,
                struct vmlat_rtt_judgement *j)
{
    struct half request, reply;
    const struct vmlat_rtt_step *q0, *p0;
    size_t q_exit, q_icmp, q_last, p_last;
    bool from_here, to_here, answered_here;
    const char *out;

    memset(j, 0, sizeof *j);
    j->last = j->drop = SIZE_MAX;
    half_init(&request, echo, 0);
    half_init(&reply, echo, VMLAT_RTT_REPLY);
    if (!request.n) {
        j->verdict = VMLAT_RTT_LOST_PATH_1;
        return;
    }

    q0 = half_step(&request, 0);
    p0 = reply.n ? half_step(&reply, 0) : NULL;
    q_exit = half_find_exit(&request);
    q_icmp = half_find_icmp(&request, echo, ctx);
    from_here = q0->point != VMLAT_RTT_RX && q0->flags & VMLAT_RTT_LOCAL;
    answered_here = p0 && p0->point != VMLAT_RTT_RX;
    to_here = answered_here
              || (!p0 && q_icmp != SIZE_MAX && q_exit == SIZE_MAX);

    out = q_exit != SIZE_MAX ? half_step(&request, q_exit)->device : NULL;
    if (from_here) {
        j->way = to_here ? VMLAT_RTT_WAY_SELF : VMLAT_RTT_WAY_OUT;
    } else if (to_here) {
        j->way = VMLAT_RTT_WAY_IN;
    } else if (p0 || q_exit != SIZE_MAX
               || half_find_last(&request, VMLAT_RTT_OVS) != SIZE_MAX) {
        j->way = way_through(ctx, echo->key.netns, q0->device, out);
    } else {
        j->way = VMLAT_RTT_WAY_IN;
    }

    /* Where the reply ends. */
    p_last = (from_here ? half_find_icmp(&reply, echo, ctx)
              : half_find_exit(&reply));
    if (!p0) {
        if (to_here) {
            j->verdict = VMLAT_RTT_LOST_ANSWER;
            locate(j, &request);
        } else if (q_exit != SIZE_MAX) {
            j->verdict = VMLAT_RTT_LOST_OUTSIDE;
            j->last = request.index[q_exit];
        } else {
            j->verdict = VMLAT_RTT_LOST_PATH_1;
            locate(j, &request);
        }
    } else if (p_last == SIZE_MAX) {
        j->verdict = VMLAT_RTT_LOST_PATH_2;
        locate(j, &reply);
    } else {
        j->verdict = VMLAT_RTT_COMPLETE;
    }

    /* Where the request ends.  Of more than one device that it left by, as
     * with flooding, take the last one before the reply.  A packet that the
     * kernel here answers is freed after the answer. */
    if (to_here) {
        q_last = q_icmp == SIZE_MAX ? request.n - 1 : q_icmp;
        if (q_last > 0 && is_end(half_step(&request, q_last))
            && !ctx->has_icmp[echo->key.ip_version == 6]) {
            q_last--;
        }
    } else {
        q_last = SIZE_MAX;
        for (size_t i = 0; i < request.n; i++) {
            const struct vmlat_rtt_step *step = half_step(&request, i);

            if (step->point == VMLAT_RTT_TX
                && (!p0 || step->time_ns <= p0->time_ns)) {
                q_last = i;
            }
        }
        if (q_last == SIZE_MAX) {
            q_last = request.n - 1;
        }
    }
    set_path(j, 0, &request, q_last, p0 ? p0->time_ns : UINT64_MAX, SIZE_MAX);
    if (p0) {
        set_path(j, 1, &reply, p_last == SIZE_MAX ? reply.n - 1 : p_last,
                 UINT64_MAX, p_last);
    }

    if (j->n_path[0]) {
        const struct vmlat_rtt_step *q1
            = &echo->steps[j->path[0][j->n_path[0] - 1]];

        set_part(j, VMLAT_RTT_PART_PATH_1, q0->time_ns, q1->time_ns);
        if (p0) {
            set_part(j, to_here ? VMLAT_RTT_PART_ANSWER
                     : VMLAT_RTT_PART_OUTSIDE, q1->time_ns, p0->time_ns);
        }
    }
    if (j->verdict == VMLAT_RTT_COMPLETE) {
        const struct vmlat_rtt_step *p1 = half_step(&reply, p_last);

        set_part(j, VMLAT_RTT_PART_PATH_2, p0->time_ns, p1->time_ns);
        set_part(j, VMLAT_RTT_PART_TOTAL, q0->time_ns, p1->time_ns);
    }
}
