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

/* Which packet acknowledges which data segment. */

#include <config.h>
#include "ovs-vmlat-slots.h"

#include <stdlib.h>

#include "util.h"

/* Packets that are looked at, from where one should acknowledge a segment:
 * they may have been overtaken. */
#define MAX_ACKS 16

/* Flags of TCP. */
#define TCP_SYN_FLAG 0x02
#define TCP_ACK_FLAG 0x10

struct tcp_item {
    uint32_t ports;             /* As in requests. */
    uint32_t way;
    uint64_t time;
    uint64_t acked;             /* Of replies: what has been acknowledged so
                                 * far, as a number that does not wrap. */
};

static int
compare_tcp_items(const void *a_, const void *b_)
{
    const struct tcp_item *a = a_, *b = b_;

    return (a->ports != b->ports ? (a->ports < b->ports ? -1 : 1)
            : a->time != b->time ? (a->time < b->time ? -1 : 1)
            : a->way < b->way ? -1 : a->way > b->way);
}

/* Returns the matched ways that have a record in 'slot', in the order of
 * connection and time, and stores their number in '*np'. */
static struct tcp_item *
tcp_items(const struct matching *m, enum match_slot slot, size_t *np)
{
    int direction = slot / WAY_SLOTS;
    struct tcp_item *items = xmalloc(MAX(m->n_ways[direction], 1)
                                     * sizeof *items);
    size_t n = 0;

    for (size_t i = 0; i < m->n_ways[direction]; i++) {
        const struct way *way = &m->ways[direction][i];
        const struct vmlat_record *r = match_record(m, way, slot);

        if (r && way->fate == WAY_MATCHED
            && (direction == REQUESTS ? r->payload > 0
                : (r->l4_type & TCP_ACK_FLAG) != 0)) {
            struct tcp_item *item = &items[n++];

            item->ports = (direction == REQUESTS
                           ? (uint32_t) r->sport << 16 | r->dport
                           : (uint32_t) r->dport << 16 | r->sport);
            item->way = i;
            item->time = r->time_ns;
        }
    }
    qsort(items, n, sizeof *items, compare_tcp_items);
    *np = n;
    return items;
}

/* Sets 'acked' of 'replies'. */
static void
add_up_acks(const struct matching *m, enum match_slot slot,
            struct tcp_item *replies, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct tcp_item *item = &replies[i];
        const struct vmlat_record *r
            = match_record(m, &m->ways[REPLIES][item->way], slot);
        bool is_first = !i || replies[i - 1].ports != item->ports;
        uint64_t before = is_first ? 0 : replies[i - 1].acked;

        if (is_first || r->l4_type & TCP_SYN_FLAG) {
            /* Another connection may have the ports of one that is over. */
            item->acked = ((before >> 32) + 2) << 32 | r->ack;
        } else {
            int32_t more = r->ack - (uint32_t) before;

            item->acked = before + MAX(more, 0);
        }
    }
}

/* Returns the first of the replies from 'first' to 'end', of one connection,
 * that acknowledges all up to the sequence number 'seq', or 'end'. */
static size_t
find_ack(const struct matching *m, enum match_slot slot,
         const struct tcp_item *replies, size_t first, size_t end,
         uint32_t seq)
{
    uint64_t now = replies[first].acked;
    uint64_t wanted = now + (int32_t) (seq - (uint32_t) now);
    size_t low = first, high = end;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (replies[middle].acked >= wanted) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    for (size_t i = low; i < end && i - low < MAX_ACKS; i++) {
        const struct vmlat_record *r
            = match_record(m, &m->ways[REPLIES][replies[i].way], slot);

        if ((int32_t) (r->ack - seq) >= 0) {
            return i;
        }
    }
    return end;
}

/* Finds the first packet that acknowledges each data segment, by the order in
 * which 'to' saw the segments and 'from', of the same machine, what it sent
 * back. */
static void
pair_tcp(struct matching *m, enum match_slot to, enum match_slot from)
{
    size_t n_requests, n_replies, first = 0, end = 0;
    struct tcp_item *requests = tcp_items(m, to, &n_requests);
    struct tcp_item *replies = tcp_items(m, from, &n_replies);

    add_up_acks(m, from, replies, n_replies);
    for (size_t i = 0; i < n_requests; i++) {
        const struct tcp_item *item = &requests[i];
        const struct vmlat_record *r
            = match_record(m, &m->ways[REQUESTS][item->way], to);

        /* The replies of its connection after it: those before it are too
         * early for the next requests as well. */
        while (first < n_replies && (replies[first].ports < item->ports
                                     || (replies[first].ports == item->ports
                                         && (replies[first].time
                                             < item->time)))) {
            first++;
        }
        end = MAX(end, first);
        while (end < n_replies && replies[end].ports <= item->ports) {
            end++;
        }
        if (first < end) {
            size_t ack = find_ack(m, from, replies, first, end,
                                  r->seq + r->payload);

            if (ack < end) {
                matching_add_pair(m, item->way, replies[ack].way);
            }
        }
    }
    free(requests);
    free(replies);
}

void
match_pair_tcp(struct matching *m)
{
    static const enum match_slot points[][2] = {
        { SLOT_F, SLOT_H },
        { SLOT_D, SLOT_I },
        { SLOT_B, SLOT_K },
        { SLOT_A, SLOT_M },
    };

    for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
        if (m->n_slot[points[i][0]] && m->n_slot[points[i][1]]) {
            pair_tcp(m, points[i][0], points[i][1]);
            return;
        }
    }
}
