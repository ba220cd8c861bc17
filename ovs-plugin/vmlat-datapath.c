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
#include "vmlat-datapath.h"

#include <sched.h>
#include <string.h>

#include "dp-packet.h"
#include "dpdk-hooks/vmlat-dpdk.h"
#include "dpif-netdev-perf.h"
#include "dpif.h"
#include "netdev.h"
#include "netdev-provider.h"
#include "openvswitch/list.h"
#include "ovs-rcu.h"
#include "util.h"
#include "vmlat.h"
#include "vmlat-clock.h"
#include "vmlat-event.h"
#include "vmlat-filter.h"
#include "vmlat-histogram.h"
#include "vmlat-port.h"
#include "vmlat-shard.h"

BUILD_ASSERT_DECL(VMLAT_MAX_BURST == NETDEV_MAX_BURST);

/* The stamp.
 *
 * 'tag' says who the packet is:
 *
 *      0-15  slot of the port it entered by; 0 if that is not measured
 *     16-27  number of the receive queue
 *     28-43  generation: run (8 bits) and epoch (8 bits)
 *     44-47  flags
 *     48-52  place in the receive burst
 *     53-63  check: a hash of the packet's address
 *
 * A packet of DPDK has a stamp if its 'ol_flags' says so: allocation clears
 * them.  OVS does not clear the flags that it does not know when it allocates
 * a packet of its own, so those have a stamp only if the check agrees too, and
 * the flag is cleared whenever such a packet ends. */
struct vmlat_stamp {
    uint64_t ticks;                 /* When the queue was polled. */
    uint64_t tag;
};

#define TAG_RXQ_SHIFT   16
#define TAG_GEN_SHIFT   28
#define TAG_UPCALL      (UINT64_C(1) << 44) /* Took an upcall. */
#define TAG_COPIED      (UINT64_C(1) << 45) /* A copy was made of it. */
#define TAG_COPY        (UINT64_C(1) << 46) /* Is a copy. */
#define TAG_FILTERED    (UINT64_C(1) << 47) /* Not to be measured. */
#define TAG_PLACE_SHIFT 48
#define TAG_CHECK_SHIFT 53

/* What packets of a run have in common. */
#define TAG_RUN_MASK    ((UINT64_C(1) << TAG_PLACE_SHIFT) - 1)

BUILD_ASSERT_DECL(VMLAT_MAX_PORTS <= 1 << 16);
BUILD_ASSERT_DECL(VMLAT_MAX_RXQS <= 1 << 12);
BUILD_ASSERT_DECL(VMLAT_MAX_BURST <= 1 << 5);

static inline uint32_t
make_gen(uint32_t run, uint32_t epoch)
{
    return ((run & 0xff) << 8) | (epoch & 0xff);
}

static inline uint16_t
tag_slot(uint64_t tag)
{
    return tag;
}

static inline uint16_t
tag_rxq(uint64_t tag)
{
    return (tag >> TAG_RXQ_SHIFT) & 0xfff;
}

static inline uint32_t
tag_gen(uint64_t tag)
{
    return (tag >> TAG_GEN_SHIFT) & 0xffff;
}

static inline uint8_t
tag_place(uint64_t tag)
{
    return (tag >> TAG_PLACE_SHIFT) & (VMLAT_MAX_BURST - 1);
}

static inline uint64_t
make_check(const struct dp_packet *packet)
{
    uint64_t a = (uintptr_t) packet >> 4;

    return ((a * UINT64_C(0x9e3779b97f4a7c15)) >> TAG_CHECK_SHIFT)
           << TAG_CHECK_SHIFT;
}

static inline struct vmlat_stamp *
stamp_of(const struct dp_packet *packet)
{
    return ALIGNED_CAST(struct vmlat_stamp *,
                        (char *) packet + vmlat_stamp_ofs);
}

/* Returns the stamp of 'packet', NULL if it has none. */
static inline struct vmlat_stamp *
stamp_get(const struct dp_packet *packet)
{
    struct vmlat_stamp *stamp = stamp_of(packet);

    if (!(packet->mbuf.ol_flags & vmlat_stamp_flag)) {
        return NULL;
    }
    if (packet->source != DPBUF_DPDK
        && (stamp->tag ^ make_check(packet)) >> TAG_CHECK_SHIFT) {
        return NULL;
    }
    return stamp;
}

/* Filter for packets that enter. */
static OVSRCU_TYPE(struct vmlat_filter *) rx_filter;

static void
filter_free(struct vmlat_filter *filter)
{
    vmlat_filter_destroy(filter);
    free(filter);
}

void
vmlat_datapath_set_filter(const struct vmlat_filter *filter)
{
    struct vmlat_filter *old = ovsrcu_get_protected(struct vmlat_filter *,
                                                    &rx_filter);
    struct vmlat_filter *new = NULL;

    if (filter) {
        new = xmalloc(sizeof *new);
        vmlat_filter_clone(new, filter);
    }
    ovsrcu_set(&rx_filter, new);
    if (old) {
        ovsrcu_postpone(filter_free, old);
    }
}

const char *
vmlat_datapath_why_not(void)
{
    return (vmlat_stamp_ofs
            ? NULL
            : "DPDK has no room left for a stamp in its mbuf: other libraries "
              "have taken all dynamic fields or flags");
}

/* Looks up 'key' for the owner of 'shard', which calls 'lookup' when it has
 * not seen it lately. */
static inline void *
cached_lookup(struct vmlat_shard *shard, const void *key,
              void *(*lookup)(const void *))
{
    uintptr_t hash = ((uintptr_t) key >> 6) ^ ((uintptr_t) key >> 14);
    struct vmlat_cache_entry *e = &shard->cache[hash % VMLAT_CACHE_SIZE];
    uint32_t change;

    atomic_read_explicit(&vmlat_ports_change, &change, memory_order_acquire);
    if (OVS_UNLIKELY(shard->cache_change != change)) {
        memset(shard->cache, 0, sizeof shard->cache);
        shard->cache_change = change;
    }
    if (OVS_UNLIKELY(e->key != key)) {
        void *value = lookup(key);

        if (!value) {
            return NULL;
        }
        e->key = key;
        e->value = value;
    }
    return e->value;
}

static void *
lookup_rxq(const void *rx)
{
    return vmlat_rxq_lookup(rx);
}

static void *
lookup_port(const void *netdev)
{
    return vmlat_port_lookup(netdev);
}

/* Returns the time in ticks, at the start of a netdev_rxq_recv() or
 * netdev_send(): PMD threads have just read it. */
static inline uint64_t
time_at_entry(const struct vmlat_shard *shard)
{
    return (OVS_LIKELY(shard->perf)
            ? cycles_counter_get(shard->perf)
            : vmlat_clock_now());
}

/* Entering. */

/* Stamps the 'n' packets at 'packets', which DPDK has allocated. */
static inline void
stamp_dpdk(struct dp_packet **packets, size_t n, uint64_t now, uint64_t tag)
{
    uint64_t flag = vmlat_stamp_flag;
    uint16_t ofs = vmlat_stamp_ofs;

    struct vmlat_stamp stamp = { now, tag };

    for (size_t i = 0; i < n; i++) {
        struct dp_packet *packet = packets[i];

        packet->mbuf.ol_flags |= flag;
        memcpy((char *) packet + ofs, &stamp, sizeof stamp);
        stamp.tag += UINT64_C(1) << TAG_PLACE_SHIFT;
    }
}

/* Stamps any packet. */
static void
stamp_one(struct dp_packet *packet, uint64_t now, uint64_t tag)
{
    struct vmlat_stamp *stamp = stamp_of(packet);

    tag &= (UINT64_C(1) << TAG_CHECK_SHIFT) - 1;
    packet->mbuf.ol_flags |= vmlat_stamp_flag;
    stamp->ticks = now;
    stamp->tag = tag | make_check(packet);
}

/* The bytes of 'packet' that can be looked at. */
static inline size_t
packet_readable(const struct dp_packet *packet)
{
    return packet->mbuf.data_len;
}

/* Stamps the packets in 'batch' that match the filter, and marks the others.
 * Returns the number of the others. */
static size_t
stamp_filtered(struct dp_packet_batch *batch, uint64_t now, uint64_t tag)
{
    const struct vmlat_filter *filter = ovsrcu_get(struct vmlat_filter *,
                                                   &rx_filter);
    struct dp_packet *packet;
    size_t n_filtered = 0;

    DP_PACKET_BATCH_FOR_EACH (i, packet, batch) {
        uint64_t t = tag + ((uint64_t) i << TAG_PLACE_SHIFT);

        if (OVS_LIKELY(filter)
            && !vmlat_filter_match_bytes(filter, dp_packet_data(packet),
                                         packet_readable(packet))) {
            t |= TAG_FILTERED;
            n_filtered++;
        }
        stamp_one(packet, now, t);
    }
    return n_filtered;
}

/* Adds what the module took for a burst of 'n' packets that was timed. */
static void
cost_add(struct vmlat_shard *shard, uint64_t ticks, size_t n)
{
    if (ticks > VMLAT_COST_MAX) {
        vmlat_counter_add(&shard->cost_interrupted, 1);
    } else {
        vmlat_counter_add(&shard->cost_ticks, ticks);
        vmlat_counter_add(&shard->cost_packets, n);
    }
}

int
vmlat_datapath_recv(struct netdev_rxq *rx, struct dp_packet_batch *batch,
                    int *qfill, vmlat_recv_func *recv, uint32_t active)
{
    struct vmlat_shard *shard = vmlat_shard_get();
    struct vmlat_rxq *rxq = cached_lookup(shard, rx, lookup_rxq);
    uint32_t epoch = vmlat_epoch_get();
    uint32_t run = vmlat_run_get();
    uint64_t now = time_at_entry(shard);
    uint64_t before_stamps = 0;
    size_t n, taken, n_filtered = 0;
    uint32_t rxq_epoch;
    uint64_t tag;
    int error;

    tag = (uint64_t) make_gen(run, epoch) << TAG_GEN_SHIFT;
    if (OVS_UNLIKELY(!(active & VMLAT_RX))) {
        /* Stopping: an old stamp must not count. */
        error = recv(rx, batch, qfill);
        if (!error) {
            struct dp_packet *packet;

            DP_PACKET_BATCH_FOR_EACH (i, packet, batch) {
                stamp_one(packet, now, tag | TAG_FILTERED);
            }
        }
        shard->burst.n = shard->burst.pos = 0;
        return error;
    }
    if (OVS_LIKELY(rxq)) {
        tag |= rxq->port->slot | (uint32_t) rxq->id << TAG_RXQ_SHIFT;
        atomic_read_relaxed(&rxq->epoch, &rxq_epoch);
        if (OVS_UNLIKELY(rxq_epoch != epoch)) {
            vmlat_rxq_empty(rxq, epoch);
            rxq->poller = shard->name;
        }
        if (OVS_LIKELY(rxq->run == run)) {
            if (rxq->port->is_pmd && OVS_LIKELY(now > rxq->last_poll)) {
                vmlat_histogram_sync(&rxq->gap, epoch);
                vmlat_histogram_add(&rxq->gap,
                                    vmlat_clock_ns(now - rxq->last_poll), 1);
            }
        } else {
            rxq->run = run;
        }
        rxq->last_poll = now;
        if (OVS_UNLIKELY(rxq->poller != shard->name)) {
            rxq->poller = shard->name;
        }
    }

    shard->rx_taken = -1;
    error = recv(rx, batch, qfill);
    n = error ? 0 : dp_packet_batch_size(batch);
    taken = shard->rx_taken >= 0 ? shard->rx_taken : n;
    shard->rx_taken = 0;

    if (!taken) {
        if (OVS_LIKELY(rxq)) {
            vmlat_counter_add(&rxq->bursts[0], 1);
        }
        return error;
    }

    if (OVS_UNLIKELY(!(++shard->sample % VMLAT_COST_SAMPLE))) {
        before_stamps = vmlat_clock_now();
    }
    shard->burst.n = shard->burst.pos = 0;
    if (n) {
        if (OVS_UNLIKELY(active & VMLAT_FILTER)) {
            n_filtered = stamp_filtered(batch, now, tag);
        } else if (OVS_LIKELY(batch->packets[0]->source == DPBUF_DPDK)) {
            stamp_dpdk(batch->packets, n, now, tag);
            shard->burst.n = n;
            shard->burst.pos = 0;
            shard->burst.ticks = now;
            shard->burst.tag = tag;
            memcpy(shard->burst.packets, batch->packets,
                   n * sizeof batch->packets[0]);
        } else {
            struct dp_packet *packet;

            DP_PACKET_BATCH_FOR_EACH (i, packet, batch) {
                stamp_one(packet, now,
                          tag + ((uint64_t) i << TAG_PLACE_SHIFT));
            }
        }
    }
    if (OVS_LIKELY(rxq)) {
        /* What entered before what became of it. */
        vmlat_counter_add(&rxq->rx_packets, taken);
        vmlat_counter_add(&rxq->bursts[MIN(taken, VMLAT_MAX_BURST)], 1);
        if (OVS_UNLIKELY(n_filtered || taken != n)) {
            atomic_thread_fence(memory_order_release);
            vmlat_counter_add(&rxq->filtered, n_filtered);
            vmlat_counter_add(&rxq->policed, taken - n);
        }
    }
    if (OVS_UNLIKELY(before_stamps)) {
        cost_add(shard, vmlat_clock_now() - before_stamps, taken);
    }
    return error;
}

/* Ending. */

/* Counts 'n' packets with 'tag' under 'fate'.
 *
 * Packets of an earlier epoch or run are not in the counts of what entered, so
 * they are counted there now. */
static void
count_fate(struct vmlat_shard *shard, uint64_t tag, uint32_t n,
           enum vmlat_fate fate, uint32_t epoch)
{
    uint32_t gen = tag_gen(tag);
    uint16_t slot = tag_slot(tag);
    int copy = (tag & TAG_COPY) != 0;
    struct vmlat_port_stats *ps;
    bool late = !slot;

    if (tag & TAG_FILTERED) {
        return;
    }
    if (OVS_UNLIKELY(gen != make_gen(vmlat_run_get(), epoch))) {
        struct vmlat_port *port;

        if ((gen & 0xff) == (epoch & 0xff)) {
            /* An earlier run, but the counts were not cleared since: written
             * off at the start of the present run. */
            return;
        }
        port = vmlat_port_from_slot(slot);
        if (!port || port->epoch == epoch) {
            slot = 0;
        }
        fate = VMLAT_FATE_BEFORE_START;
        late = true;
    }

    ps = vmlat_shard_port(shard, slot, epoch);
    if (OVS_UNLIKELY(late)) {
        vmlat_counter_add(copy ? &ps->copies : &ps->late, n);
    }
    atomic_thread_fence(memory_order_release);
    vmlat_counter_add(&ps->fates[copy][fate], n);
}

/* Returns true if packets with 'tag' have entered in this epoch and run, by a
 * known port, so that their time counts. */
static inline bool
tag_is_measured(uint64_t tag, uint32_t epoch)
{
    return (tag_slot(tag)
            && !(tag & TAG_FILTERED)
            && tag_gen(tag) == make_gen(vmlat_run_get(), epoch));
}

/* Completes event 'e' of a packet in 'run', which left by port 'out'. */
static void
fill_event(struct vmlat_shard *shard, struct vmlat_event *e,
           const struct vmlat_tx_run *run, uint16_t out)
{
    e->rx_ticks = run->ticks;
    e->tx_ticks = shard->tx.ticks;
    e->in = tag_slot(run->tag);
    e->out = out;
    e->rxq = tag_rxq(run->tag);
    e->upcall = (run->tag & TAG_UPCALL) != 0;
    e->copy = (run->tag & TAG_COPY) != 0;
    e->core = sched_getcpu();
}

/* Keeps the first 'n' packets of 'run', the first of which had 'place' in the
 * batch, as events, and queues them for vmlat/record, if asked to. */
static void
keep_events(struct vmlat_shard *shard, const struct vmlat_tx_run *run,
            uint32_t n, uint32_t place, uint16_t out, uint32_t epoch,
            bool is_event, bool record)
{
    struct vmlat_event_queue *queue = NULL;

    if (record) {
        atomic_read_explicit(&shard->queue, &queue, memory_order_acquire);
    }
    for (uint32_t i = 0; i < n; i++) {
        struct vmlat_event *e = &shard->tx.kept_events[place + i];

        if (!shard->tx.kept || shard->tx.rescanned) {
            e->size = e->length = 0;
            e->place = UINT8_MAX;
        }
        fill_event(shard, e, run, out);
        memset(&e->signal, 0, sizeof e->signal);
        if (place + i < shard->tx.n_signals) {
            e->signal = shard->tx.signals[place + i];
        }
        if (is_event) {
            vmlat_event_ring_add(shard->events, e, epoch);
        }
        if (queue) {
            vmlat_event_queue_put(queue, e);
        }
    }
}

/* Adds the first 'n' packets of 'run', the first of which had 'place' in the
 * batch, to what was measured: port 'out' has accepted them at tx.ticks. */
static inline void
measure_run(struct vmlat_shard *shard, const struct vmlat_tx_run *run,
            uint32_t n, uint32_t place, const struct vmlat_port *out,
            uint32_t epoch, uint32_t active)
{
    enum vmlat_fate fate = VMLAT_FATE_MEASURED;

    if (OVS_UNLIKELY(!tag_is_measured(run->tag, epoch) || !out->slot)) {
        fate = VMLAT_FATE_UNHOOKED;
    } else if (OVS_UNLIKELY(shard->tx.ticks < run->ticks)) {
        fate = VMLAT_FATE_BAD_CLOCK;
    } else {
        uint64_t ns = vmlat_clock_ns(shard->tx.ticks - run->ticks);
        enum vmlat_segment segment = (run->tag & TAG_UPCALL
                                      ? VMLAT_SEG_OVS_UPCALL
                                      : VMLAT_SEG_OVS);
        struct vmlat_histogram *hist;
        uint64_t min_ns;

        hist = vmlat_shard_pair(shard,
                                vmlat_pair_key(tag_slot(run->tag), out->slot,
                                               segment), epoch);
        if (OVS_LIKELY(hist)) {
            vmlat_histogram_add(hist, ns, n);
        } else {
            fate = VMLAT_FATE_NO_ROOM;
        }

        atomic_read_relaxed(&vmlat_min_ns, &min_ns);
        if (OVS_UNLIKELY((active & VMLAT_EVENTS && ns > min_ns)
                         || active & VMLAT_RECORD)) {
            keep_events(shard, run, n, place, out->slot, epoch,
                        active & VMLAT_EVENTS && ns > min_ns,
                        active & VMLAT_RECORD);
        }
    }
    count_fate(shard, run->tag, n, fate, epoch);
}

/* If the 'n' packets at 'packets' are the next ones of 'burst', fills tx->runs
 * and returns true.
 *
 * The pointers tell: a packet of the burst that has ended cannot come back
 * before this thread receives again. */
static inline bool
scan_burst(struct vmlat_tx *tx, struct vmlat_burst *burst,
           struct dp_packet **packets, size_t n)
{
    if (n > burst->n - burst->pos
        || memcmp(&burst->packets[burst->pos], packets, n * sizeof *packets)) {
        return false;
    }
    burst->pos += n;
    if (burst->pos == burst->n) {
        burst->n = burst->pos = 0;
    }
    tx->n_runs = 1;
    tx->runs[0].ticks = burst->ticks;
    tx->runs[0].tag = burst->tag;
    tx->runs[0].n = n;
    return true;
}

/* Fills tx->runs from the stamps of the 'n' packets at 'packets'. */
static void
scan_dpdk(struct vmlat_tx *tx, struct dp_packet **packets, size_t n)
{
    struct vmlat_tx_run *run = tx->runs;
    uint64_t flag = vmlat_stamp_flag;
    uint16_t ofs = vmlat_stamp_ofs;
    uint64_t last_ticks = 0;
    uint64_t last_tag = 0;
    uint32_t first = 0;

    for (size_t i = 0; i < n; i++) {
        const struct vmlat_stamp *stamp
            = ALIGNED_CAST(const struct vmlat_stamp *,
                           (char *) packets[i] + ofs);
        uint64_t ticks = stamp->ticks;
        uint64_t tag = stamp->tag & TAG_RUN_MASK;

        if (OVS_UNLIKELY(!(packets[i]->mbuf.ol_flags & flag))) {
            ticks = tag = 0;
        }
        if (OVS_UNLIKELY(tag != last_tag || ticks != last_ticks)) {
            if (i) {
                run->ticks = last_ticks;
                run->tag = last_tag;
                run->n = i - first;
                run++;
                first = i;
            }
            last_ticks = ticks;
            last_tag = tag;
        }
    }
    run->ticks = last_ticks;
    run->tag = last_tag;
    run->n = n - first;
    tx->n_runs = run - tx->runs + 1;
}

/* The same for packets that OVS has allocated.  Their stamps end here: OVS
 * frees the packets when it has sent them, and may copy them before. */
static void
scan_other(struct vmlat_tx *tx, struct dp_packet **packets, size_t n)
{
    struct vmlat_tx_run *run = NULL;

    tx->n_runs = 0;
    for (size_t i = 0; i < n; i++) {
        const struct vmlat_stamp *stamp = stamp_get(packets[i]);
        uint64_t ticks = stamp ? stamp->ticks : 0;
        uint64_t tag = stamp ? stamp->tag & TAG_RUN_MASK : 0;

        if (!run || run->tag != tag || run->ticks != ticks) {
            run = &tx->runs[tx->n_runs++];
            run->ticks = ticks;
            run->tag = tag;
            run->n = 0;
        }
        run->n++;
        packets[i]->mbuf.ol_flags &= ~vmlat_stamp_flag;

        /* Nobody looks at the metadata of a packet that is being sent, and
         * OVS copies it along. */
        packets[i]->md.dp_hash = tx->n_runs - 1;
    }
}

/* Keeps the headers of those of the packets at 'packets', which are those in
 * tx->runs, that have been here for longer than 'min_ns' at the time 'now'. */
static void
keep_headers(struct vmlat_tx *tx, struct dp_packet **packets, uint64_t now,
             uint64_t min_ns)
{
    size_t i = 0;

    for (size_t r = 0; r < tx->n_runs; r++) {
        const struct vmlat_tx_run *run = &tx->runs[r];
        bool keep = (tag_slot(run->tag) && now > run->ticks
                     && vmlat_clock_ns(now - run->ticks) > min_ns);

        for (size_t j = 0; j < run->n; j++, i++) {
            const struct dp_packet *packet = packets[i];
            struct vmlat_event *e = &tx->kept_events[i];

            e->size = e->length = 0;
            e->place = UINT8_MAX;
            if (keep) {
                e->length = dp_packet_size(packet);
                e->size = MIN(packet_readable(packet), VMLAT_EVENT_BYTES);
                memcpy(e->bytes, dp_packet_data(packet), e->size);
                e->place = tag_place(stamp_of(packet)->tag);
            }
        }
    }
    tx->kept = true;
}

/* Keeps headers, if any of the packets have been here for longer than
 * 'min_ns' at the time 'now'. */
static inline void
maybe_keep_headers(struct vmlat_tx *tx, struct dp_packet **packets,
                   uint64_t now, uint64_t min_ns)
{
    for (size_t r = 0; r < tx->n_runs; r++) {
        const struct vmlat_tx_run *run = &tx->runs[r];

        if (OVS_UNLIKELY(run->tag && now > run->ticks
                         && vmlat_clock_ns(now - run->ticks) > min_ns)) {
            keep_headers(tx, packets, now, min_ns);
            break;
        }
    }
}

void
vmlat_datapath_rescan(struct vmlat_shard *shard, struct dp_packet **packets,
                      unsigned int n)
{
    struct vmlat_tx *tx = &shard->tx;
    struct vmlat_tx_run all[VMLAT_MAX_BURST];
    size_t n_all = tx->n_runs;
    uint32_t epoch = vmlat_epoch_get();

    memcpy(all, tx->runs, n_all * sizeof *all);
    if (tx->is_copied) {
        for (size_t i = 0; i < n_all; i++) {
            tx->runs[i].n = 0;
        }
        for (size_t i = 0; i < n; i++) {
            tx->runs[packets[i]->md.dp_hash % n_all].n++;
        }
    } else {
        scan_dpdk(tx, packets, n);
    }
    for (size_t i = 0; i < n_all; i++) {
        uint32_t left = 0;

        for (size_t j = 0; j < tx->n_runs; j++) {
            const struct vmlat_tx_run *run = &tx->runs[j];

            if (run->tag == all[i].tag
                && run->ticks == all[i].ticks) {
                left += run->n;
            }
        }
        for (size_t j = 0; j < i; j++) {
            /* Runs with the same stamp need not be adjacent. */
            if (all[j].tag == all[i].tag
                && all[j].ticks == all[i].ticks) {
                left -= MIN(left, all[j].n);
            }
        }
        if (all[i].tag && all[i].n > left) {
            count_fate(shard, all[i].tag, all[i].n - left,
                       VMLAT_FATE_TX_DROPPED, epoch);
        }
    }
    tx->rescanned = true;
}

void
vmlat_datapath_keep(struct vmlat_shard *shard)
{
    struct vmlat_tx *tx = &shard->tx;

    if (!tx->kept) {
        uint64_t min_ns;

        /* The packets are still there: now it is known which of them are
         * events. */
        if (OVS_UNLIKELY(tx->keep_all)) {
            keep_headers(tx, tx->packets, UINT64_MAX, 0);
        } else {
            atomic_read_relaxed(&vmlat_min_ns, &min_ns);
            maybe_keep_headers(tx, tx->packets, tx->ticks, min_ns);
        }
    }
}

/* Counts a run of 'n' packets without a stamp that have left. */
static void
count_unstamped(struct vmlat_shard *shard, uint32_t n, uint32_t epoch,
                uint32_t active)
{
    if (active & VMLAT_RX) {
        struct vmlat_port_stats *ps = vmlat_shard_port(shard, 0, epoch);

        vmlat_counter_add(&ps->late, n);
        atomic_thread_fence(memory_order_release);
        vmlat_counter_add(&ps->fates[0][shard->generating
                                        ? VMLAT_FATE_MADE_BY_OVS
                                        : VMLAT_FATE_BEFORE_START], n);
    }
}

/* Returns true if 'netdev', a device of Linux, is down, so that OVS drops what
 * it sends there without an error. */
static bool
netdev_is_down(const struct netdev *netdev)
{
    enum netdev_flags flags;

    return (!netdev_get_flags(netdev, &flags) && !(flags & NETDEV_UP));
}

/* Stands for ports that are not measured. */
static struct vmlat_port unmeasured_port;

int
vmlat_datapath_send(struct netdev *netdev, int qid,
                    struct dp_packet_batch *batch, bool concurrent_txq,
                    vmlat_send_func *send, uint32_t active)
{
    struct vmlat_shard *shard = vmlat_shard_get();
    struct vmlat_port *port = cached_lookup(shard, netdev, lookup_port);
    uint32_t n = dp_packet_batch_size(batch);
    struct vmlat_tx *tx = &shard->tx;
    enum vmlat_fate rest = VMLAT_FATE_TX_DROPPED;
    struct vmlat_port_stats *ps;
    uint64_t cost_from = 0;
    uint64_t cost = 0;
    uint32_t accepted;
    uint32_t epoch;
    uint32_t place;
    int error;

    if (OVS_UNLIKELY(tx->active || !n)) {
        return send(netdev, qid, batch, concurrent_txq);
    }
    if (OVS_UNLIKELY(!port)) {
        port = &unmeasured_port;
    }

    if (OVS_UNLIKELY(!(++shard->sample % VMLAT_COST_SAMPLE))) {
        cost_from = vmlat_clock_now();
    }
    tx->is_copied = batch->packets[0]->source != DPBUF_DPDK;
    if (OVS_UNLIKELY(tx->is_copied)) {
        scan_other(tx, batch->packets, n);
    } else if (OVS_UNLIKELY(!scan_burst(tx, &shard->burst, batch->packets,
                                        n))) {
        scan_dpdk(tx, batch->packets, n);
    }
    tx->kept = false;
    tx->keep_all = active & VMLAT_RECORD;
    tx->packets = NULL;
    if (OVS_LIKELY(active & (VMLAT_EVENTS | VMLAT_RECORD))) {
        if (OVS_LIKELY(port->is_vhost && !tx->is_copied)) {
            tx->packets = batch->packets;
        } else if (port->is_slow || tx->keep_all) {
            keep_headers(tx, batch->packets, UINT64_MAX, 0);
        } else {
            uint64_t min_ns;

            /* The packets will be gone when the time is known.  Those that
             * take more than half of the threshold in the send itself are
             * events without headers. */
            atomic_read_relaxed(&vmlat_min_ns, &min_ns);
            maybe_keep_headers(tx, batch->packets, time_at_entry(shard),
                               min_ns / 2);
        }
    }
    atomic_read_relaxed(&port->virt_row, &tx->virt_row);
    tx->n = n;
    tx->ring_seen = tx->rescanned = false;
    tx->offered = tx->accepted = tx->calls = 0;
    tx->n_signals = 0;
    tx->active = true;
    if (OVS_UNLIKELY(cost_from)) {
        cost = vmlat_clock_now() - cost_from;
    }

    error = send(netdev, qid, batch, concurrent_txq);

    if (OVS_UNLIKELY(cost_from)) {
        cost_from = vmlat_clock_now();
    }
    tx->active = false;
    epoch = vmlat_epoch_get();
    ps = vmlat_shard_port(shard, port->slot, epoch);
    vmlat_counter_add(&ps->tx_bursts[n], 1);
    if (OVS_LIKELY(tx->ring_seen)) {
        accepted = tx->accepted;
        if (OVS_UNLIKELY(accepted != tx->offered)) {
            rest = VMLAT_FATE_REFUSED;
            vmlat_counter_add(&ps->tx_failures, 1);
            vmlat_counter_add(&ps->tx_refused, tx->offered - accepted);
        }
        if (OVS_UNLIKELY(tx->calls > 1)) {
            vmlat_counter_add(&ps->tx_retries, tx->calls - 1);
        }
    } else if (port->is_ring
               && (port->ethdev < 0
                   || vmlat_dpdk_ethdev_is_hooked(port->ethdev))) {
        /* The port did not get as far as its ring. */
        accepted = 0;
    } else {
        tx->ticks = vmlat_clock_now();
        accepted = n;
        if (OVS_UNLIKELY(error)) {
            rest = VMLAT_FATE_TX_ERROR;
            accepted = 0;
            vmlat_counter_add(&ps->tx_failures, 1);
        } else if (port->is_linux && OVS_UNLIKELY(netdev_is_down(netdev))) {
            accepted = 0;
        }
    }

    place = 0;
    for (size_t i = 0; i < tx->n_runs; i++) {
        const struct vmlat_tx_run *run = &tx->runs[i];
        uint32_t n_ok = MIN(run->n, accepted);

        accepted -= n_ok;
        if (OVS_UNLIKELY(!run->tag)) {
            count_unstamped(shard, run->n, epoch, active);
        } else {
            if (OVS_LIKELY(n_ok)) {
                measure_run(shard, run, n_ok, place, port, epoch, active);
            }
            if (OVS_UNLIKELY(n_ok != run->n)) {
                count_fate(shard, run->tag, run->n - n_ok, rest, epoch);
            }
        }
        place += run->n;
    }
    if (OVS_UNLIKELY(cost_from)) {
        cost_add(shard, cost + vmlat_clock_now() - cost_from, n);
    }
    return error;
}

void
vmlat_datapath_freeing(struct dp_packet *packet)
{
    struct vmlat_stamp *stamp;

    if (!vmlat_stamp_ofs || !(packet->mbuf.ol_flags & vmlat_stamp_flag)) {
        return;
    }
    stamp = stamp_get(packet);
    packet->mbuf.ol_flags &= ~vmlat_stamp_flag;
    if (stamp) {
        struct vmlat_shard *shard = vmlat_shard_get();

        /* In a send, netdev_send()'s wrapper counts. */
        if (!shard->tx.active && tag_slot(stamp->tag)) {
            count_fate(shard, stamp->tag, 1,
                       (stamp->tag & TAG_COPIED
                        ? VMLAT_FATE_COPIED
                        : VMLAT_FATE_DROPPED),
                       vmlat_epoch_get());
        }
    }
}

void
vmlat_datapath_cloned(const struct dp_packet *packet, struct dp_packet *clone)
{
    struct vmlat_stamp *stamp = (vmlat_stamp_ofs ? stamp_get(packet) : NULL);

    if (!stamp) {
        return;
    }
    stamp_one(clone, stamp->ticks,
              (stamp->tag & ~TAG_COPIED) | TAG_COPY);
    stamp->tag |= TAG_COPIED;
    vmlat_shard_get()->burst.n = vmlat_shard_get()->burst.pos = 0;
    if (!(stamp->tag & TAG_FILTERED) && tag_slot(stamp->tag)) {
        uint32_t epoch = vmlat_epoch_get();

        if (tag_gen(stamp->tag) == make_gen(vmlat_run_get(), epoch)) {
            struct vmlat_shard *shard = vmlat_shard_get();

            vmlat_counter_add(&vmlat_shard_port(shard, tag_slot(stamp->tag),
                                                epoch)->copies, 1);
        }
    }
}

void
vmlat_datapath_execute_begin(void)
{
    vmlat_shard_get()->generating++;
}

void
vmlat_datapath_execute_end(void)
{
    vmlat_shard_get()->generating--;
}

/* Upcalls. */

/* What a datapath was to call. */
struct upcall_hook {
    struct ovs_list node;
    upcall_callback *cb;
    void *aux;
};

static struct ovs_mutex upcall_mutex = OVS_MUTEX_INITIALIZER;
static struct ovs_list upcall_hooks OVS_GUARDED_BY(upcall_mutex)
    = OVS_LIST_INITIALIZER(&upcall_hooks);

static int
measured_upcall(const struct dp_packet *packet, const struct flow *flow,
                ovs_u128 *ufid, unsigned int pmd_id,
                enum dpif_upcall_type type, const struct nlattr *userdata,
                struct ofpbuf *actions, struct flow_wildcards *wc,
                struct ofpbuf *put_actions, void *hook_)
{
    const struct upcall_hook *hook = hook_;
    struct vmlat_histogram *hist;
    struct vmlat_stamp *stamp;
    struct vmlat_shard *shard;
    uint64_t before, after;
    uint32_t epoch;
    int error;

    stamp = ((vmlat_active_get() & VMLAT_TX)
             && vmlat_stamp_ofs ? stamp_get(packet) : NULL);
    if (!stamp) {
        return hook->cb(packet, flow, ufid, pmd_id, type, userdata, actions,
                        wc, put_actions, hook->aux);
    }

    before = vmlat_clock_now();
    error = hook->cb(packet, flow, ufid, pmd_id, type, userdata, actions, wc,
                     put_actions, hook->aux);
    after = vmlat_clock_now();

    shard = vmlat_shard_get();
    epoch = vmlat_epoch_get();
    stamp->tag |= TAG_UPCALL;
    shard->burst.n = shard->burst.pos = 0;
    if (tag_is_measured(stamp->tag, epoch) && after >= before) {
        hist = vmlat_shard_pair(shard, vmlat_pair_key(tag_slot(stamp->tag), 0,
                                                      VMLAT_SEG_UPCALL),
                                epoch);
        if (hist) {
            vmlat_histogram_add(hist, vmlat_clock_ns(after - before), 1);
        }
    }
    return error;
}

upcall_callback *
vmlat_datapath_wrap_upcall(upcall_callback *cb, void **auxp)
{
    struct upcall_hook *hook;

    ovs_mutex_lock(&upcall_mutex);
    LIST_FOR_EACH (hook, node, &upcall_hooks) {
        if (hook->aux == *auxp) {
            goto found;
        }
    }
    hook = NULL;
found:
    if (!cb) {
        /* The datapath is going away. */
        if (hook) {
            ovs_list_remove(&hook->node);
            ovsrcu_postpone(free, hook);
        }
    } else {
        if (!hook) {
            hook = xmalloc(sizeof *hook);
            hook->aux = *auxp;
            ovs_list_push_back(&upcall_hooks, &hook->node);
        }
        hook->cb = cb;
        *auxp = hook;
    }
    ovs_mutex_unlock(&upcall_mutex);
    return cb ? measured_upcall : NULL;
}
