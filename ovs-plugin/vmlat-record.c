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

/* Recording.
 *
 * The ring is one for all producers, who take a mutex to add a record.
 * Threads that handle packets must not: what a record needs of each packet
 * they put in queues of their own, which the thread here empties every few ms.
 *
 * When a recording ends, producers stop at once, and the ring stays open until
 * what is in ring buffers and queues must have come. */

#include <config.h>
#include "vmlat-record-private.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "latch.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/util.h"
#include "openvswitch/vlog.h"
#include "ovs-rcu.h"
#include "ovs-thread.h"
#include "timeval.h"
#include "util.h"
#include "vmlat.h"
#include "vmlat-clock.h"
#include "vmlat-db.h"
#include "vmlat-event.h"
#include "vmlat-filter.h"
#include "vmlat-kernel.h"
#include "vmlat-port.h"
#include "vmlat-shard.h"
#include "vmlat-virt.h"
#include "vmlat-vring.h"

#include <linux/types.h>
#include "vmlat-virt-abi.h"

VLOG_DEFINE_THIS_MODULE(vmlat_record);

/* How often the thread empties the queues, ms. */
#define DRAIN_INTERVAL 5

/* How long after the end of a recording what belongs to it may come, ms. */
#define DRAIN_TIME 200

/* Points of the kernel's datapath are the marks of records of its way. */
BUILD_ASSERT_DECL(VMLAT_N_POINTS == VMLAT_MARK_PATH_OUTER + 1);
BUILD_ASSERT_DECL((int) VMLAT_P_RX == (int) VMLAT_MARK_PATH_RX);
BUILD_ASSERT_DECL((int) VMLAT_P_UPCALL == (int) VMLAT_MARK_PATH_UPCALL);
BUILD_ASSERT_DECL((int) VMLAT_P_SEND == (int) VMLAT_MARK_PATH_SEND);
BUILD_ASSERT_DECL((int) VMLAT_P_TX == (int) VMLAT_MARK_PATH_TX);

atomic_uint8_t vmlat_record_state = VMLAT_RECORD_CLOSED;

static struct ovs_mutex mutex = OVS_MUTEX_INITIALIZER;

/* The ring, NULL if nothing was recorded. */
static struct vmlat_record *ring OVS_GUARDED_BY(mutex);
static size_t max_records OVS_GUARDED_BY(mutex);
static uint64_t n_added OVS_GUARDED_BY(mutex);  /* Next is ring[n % max]. */
static uint64_t counts[VMLAT_RECORD_N_COUNTS] OVS_GUARDED_BY(mutex);
static uint64_t clock_error_ns OVS_GUARDED_BY(mutex);

static struct vmlat_filter filter OVS_GUARDED_BY(mutex);
static uint16_t filter_slot OVS_GUARDED_BY(mutex); /* Of port=, 0: none now. */

/* Ports get an id when they first appear in a record.  It stays theirs even if
 * their slot goes to another port. */
struct port_id {
    uint16_t slot;
    struct vmlat_record_name name;  /* 'role' is 0 until it is known. */
};
static struct port_id *ids OVS_GUARDED_BY(mutex);   /* Id - 1. */
static size_t n_ids OVS_GUARDED_BY(mutex);
static size_t allocated_ids OVS_GUARDED_BY(mutex);
static uint16_t slot_ids[VMLAT_MAX_PORTS] OVS_GUARDED_BY(mutex); /* 0: none. */

/* The thread.  'latch' wakes it. */
static struct latch latch;
static bool has_thread;
static ATOMIC(long long int) drain_begin = 0;   /* time_msec(), of the last
                                                 * time that it took in all
                                                 * there was. */

/* Of the main thread. */
static struct vmlat_record_source source;
static uint64_t end_ns;
static long long int drain_until;               /* time_msec(); the thread
                                                 * reads it when draining. */
static uint64_t kernel_lost;                    /* As of the last look. */
static uint64_t kernel_missed, virt_missed;     /* The same. */
static uint64_t n_missed;
static uint32_t ports_seen;                     /* Of vmlat_ports_found. */

uint64_t
vmlat_record_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec;
}

static uint8_t
get_state(void)
{
    uint8_t state;

    atomic_read_relaxed(&vmlat_record_state, &state);
    return state;
}

/* Filters. */

static bool
address_matches(const struct in6_addr *want, const struct in6_addr *mask,
                const uint8_t address[16])
{
    for (size_t i = 0; i < 16; i++) {
        if ((address[i] ^ want->s6_addr[i]) & mask->s6_addr[i]) {
            return false;
        }
    }
    return true;
}

/* Returns true if 'f' admits the addresses and ports of 'r', or, with 'back',
 * those of what answers 'r'. */
static bool
way_matches(const struct vmlat_filter *f, const struct vmlat_record *r,
            bool back)
{
    const uint8_t *src = back ? r->dst : r->src;
    const uint8_t *dst = back ? r->src : r->dst;
    uint16_t sport = back ? r->dport : r->sport;
    uint16_t dport = back ? r->sport : r->dport;
    bool has_ports = (vmlat_packet_proto_has_ports(r->proto)
                      && !(r->flags & VMLAT_REC_FRAGMENT && !sport && !dport));

    return ((!(f->keys & VMLAT_FILTER_SRC)
             || address_matches(&f->src, &f->src_mask, src))
            && (!(f->keys & VMLAT_FILTER_DST)
                || address_matches(&f->dst, &f->dst_mask, dst))
            && (!(f->keys & VMLAT_FILTER_SPORT)
                || (has_ports && sport == f->sport))
            && (!(f->keys & VMLAT_FILTER_DPORT)
                || (has_ports && dport == f->dport)));
}

static bool
filter_admits(const struct vmlat_record *r)
    OVS_REQUIRES(mutex)
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    const struct vmlat_filter *f = &filter;
    uint8_t version = memcmp(r->src, mapped, sizeof mapped) ? 6 : 4;

    if (!f->keys) {
        return true;
    }
    return (!(f->ip_version && f->ip_version != version)
            && !((r->proto ^ f->proto) & f->proto_mask)
            && (!(f->keys & VMLAT_FILTER_PORT)
                || (filter_slot
                    && (r->in == filter_slot || r->out == filter_slot)))
            && (way_matches(f, r, false) || way_matches(f, r, true)));
}

/* Ports. */

static uint16_t
slot_to_id(uint16_t slot)
    OVS_REQUIRES(mutex)
{
    if (!slot || slot >= VMLAT_MAX_PORTS) {
        return 0;
    }
    if (!slot_ids[slot] && n_ids < UINT16_MAX) {
        if (n_ids >= allocated_ids) {
            ids = x2nrealloc(ids, &allocated_ids, sizeof *ids);
        }
        memset(&ids[n_ids], 0, sizeof ids[n_ids]);
        ids[n_ids].slot = slot;
        ids[n_ids].name.id = n_ids + 1;
        slot_ids[slot] = ++n_ids;
    }
    return slot_ids[slot];
}

/* Brings names of ports up to date. */
static void
refresh_names(void)
    OVS_REQUIRES(vmlat_ports_mutex)
{
    static const enum vmlat_record_port_role roles[] = {
        [VMLAT_ROLE_VM] = VMLAT_RECORD_PORT_VM,
        [VMLAT_ROLE_WIRE] = VMLAT_RECORD_PORT_WIRE,
        [VMLAT_ROLE_HOST] = VMLAT_RECORD_PORT_HOST,
    };

    ovs_mutex_lock(&mutex);
    if (filter.keys & VMLAT_FILTER_PORT) {
        const struct vmlat_port *port = vmlat_port_from_name(filter.port);

        filter_slot = port ? port->slot : 0;
    }
    for (size_t i = 0; i < n_ids; i++) {
        struct vmlat_record_name *name = &ids[i].name;
        const struct vmlat_port *port;
        struct vmlat_db_port db;

        if (slot_ids[ids[i].slot] != name->id) {
            continue;
        }
        port = vmlat_port_from_slot(ids[i].slot);
        if (!port) {
            continue;
        }
        ovs_strzcpy(name->name, port->name, sizeof name->name);
        name->role = roles[port->role];
        name->ifindex = port->ifindex;
        vmlat_db_port_lookup(port->name, &db);
        if (db.vm) {
            ovs_strzcpy(name->vm, db.vm, sizeof name->vm);
        }
    }
    ovs_mutex_unlock(&mutex);
}

void
vmlat_record_ports_forgetting(void)
    OVS_REQUIRES(vmlat_ports_mutex)
{
    refresh_names();
}

void
vmlat_record_ports_forgotten(void)
    OVS_REQUIRES(vmlat_ports_mutex)
{
    ovs_mutex_lock(&mutex);
    for (size_t slot = 0; slot < VMLAT_MAX_PORTS; slot++) {
        if (slot_ids[slot] && !vmlat_port_from_slot(slot)) {
            slot_ids[slot] = 0;
        }
    }
    ovs_mutex_unlock(&mutex);
}

struct vmlat_record_name *
vmlat_record_names(size_t *n)
{
    struct vmlat_record_name *names;

    ovs_mutex_lock(&vmlat_ports_mutex);
    refresh_names();
    ovs_mutex_unlock(&vmlat_ports_mutex);

    *n = 0;
    ovs_mutex_lock(&mutex);
    names = xmalloc((n_ids + 1) * sizeof *names);
    for (size_t i = 0; i < n_ids; i++) {
        if (ids[i].name.role) {
            names[(*n)++] = ids[i].name;
        }
    }
    ovs_mutex_unlock(&mutex);
    return names;
}

/* Producers. */

void
vmlat_record_add(const struct vmlat_record *r)
{
    if (!vmlat_record_is_open()) {
        return;
    }
    ovs_mutex_lock(&mutex);
    if (!ring) {
        /* Cleared meanwhile. */
    } else if (!filter_admits(r)) {
        counts[VMLAT_RECORD_N_FILTERED]++;
    } else {
        struct vmlat_record *to = &ring[n_added++ % max_records];

        *to = *r;
        to->in = slot_to_id(r->in);
        to->out = slot_to_id(r->out);
    }
    ovs_mutex_unlock(&mutex);
}

void
vmlat_record_count(enum vmlat_record_count count, uint64_t n)
{
    if (vmlat_record_is_open()) {
        ovs_mutex_lock(&mutex);
        counts[count] += n;
        ovs_mutex_unlock(&mutex);
    }
}

/* Adds 'r', the times of which are 'times' and the first bytes of which,
 * 'size' of them, are at 'bytes'. */
static void
add_record(struct vmlat_record *r, const uint64_t times[VMLAT_RECORD_MARKS],
           const uint8_t *bytes, size_t size)
{
    if (!size) {
        vmlat_record_count(VMLAT_RECORD_N_NO_HEADERS, 1);
    } else if (!vmlat_record_set_headers(r, bytes, size)) {
        vmlat_record_count(VMLAT_RECORD_N_NOT_IP, 1);
    } else if (!vmlat_record_set_times(r, times, VMLAT_RECORD_MARKS)) {
        vmlat_record_count(VMLAT_RECORD_N_BAD_TIMES, 1);
    } else {
        vmlat_record_add(r);
    }
}

/* The same, for a datapath. */
static void
add_path(struct vmlat_record *r, const uint64_t times[VMLAT_RECORD_MARKS],
         const uint8_t *bytes, size_t size)
{
    r->kind = VMLAT_REC_PATH;
    r->vring = VMLAT_VRING_UNKNOWN;
    add_record(r, times, bytes, size);
}

void
vmlat_record_add_kernel(const struct vmlat_bpf_event *event)
{
    const struct vmlat_bpf_packet *packet = &event->packet;
    struct vmlat_record r;
    uint64_t times[VMLAT_RECORD_MARKS];

    if (!vmlat_record_is_open()) {
        return;
    }
    memset(&r, 0, sizeof r);
    r.in = packet->in;
    r.out = packet->out;
    r.flags = ((packet->flags & VMLAT_PKT_COPY ? VMLAT_REC_COPY : 0)
               | (packet->flags & VMLAT_PKT_UPCALL ? VMLAT_REC_UPCALL : 0));
    r.cpu = event->details.points[VMLAT_P_TX].cpu;
    r.segments = MIN(packet->segments, UINT16_MAX);
    for (size_t i = 0; i < VMLAT_RECORD_MARKS; i++) {
        times[i] = packet->t[i];
    }
    add_path(&r, times, event->bytes, MIN(event->size, sizeof event->bytes));
}

/* Both clocks at a moment. */
struct clocks {
    uint64_t ticks, ns;
};

static uint64_t
ticks_to_ns(const struct clocks *at, uint64_t ticks)
{
    return (ticks <= at->ticks
            ? at->ns - vmlat_clock_ns(at->ticks - ticks)
            : at->ns + vmlat_clock_ns(ticks - at->ticks));
}

/* Adds a packet of a userspace datapath. */
static void
add_user(const struct vmlat_event *event, const struct clocks *at)
{
    uint64_t times[VMLAT_RECORD_MARKS] = { 0 };
    struct vmlat_record r;

    memset(&r, 0, sizeof r);
    r.in = event->in;
    r.out = event->out;
    r.flags = (VMLAT_REC_USERSPACE
               | (event->copy ? VMLAT_REC_COPY : 0)
               | (event->upcall ? VMLAT_REC_UPCALL : 0));
    r.cpu = MAX(event->core, 0);
    r.segments = 1;
    times[VMLAT_MARK_PATH_RX] = ticks_to_ns(at, event->rx_ticks);
    times[VMLAT_MARK_PATH_TX]
        = (times[VMLAT_MARK_PATH_RX]
           + vmlat_clock_ns(event->tx_ticks - event->rx_ticks));
    add_path(&r, times, event->bytes, event->size);
}

/* Adds the way of a packet to a VM with vhost-user: up to what 'signal' says,
 * or, if that is NULL, into the ring and no further, as the guest has asked
 * for no interrupt. */
static void
add_signal(const struct vmlat_event *event,
           const struct vmlat_virt_signal *signal, const struct clocks *at)
{
    uint64_t times[VMLAT_RECORD_MARKS] = { 0 };
    struct vmlat_record r;

    memset(&r, 0, sizeof r);
    r.kind = VMLAT_REC_VM_RX;
    r.out = event->out;
    r.flags = event->copy ? VMLAT_REC_COPY : 0;
    r.cpu = MAX(event->core, 0);
    r.segments = 1;
    r.vring = event->signal.vring;
    times[VMLAT_MARK_VM_RX_TX]
        = signal ? signal->signal_ns : ticks_to_ns(at, event->tx_ticks);
    times[VMLAT_MARK_VM_RX_SIGNAL] = times[VMLAT_MARK_VM_RX_TX];
    if (!signal) {
        r.flags |= VMLAT_REC_NO_SIGNAL;
    } else if (signal->fate == VMLAT_VF_OWN) {
        r.flags |= ((event->signal.shared ? VMLAT_REC_SHARED : 0)
                    | (signal->merged ? VMLAT_REC_MERGED : 0)
                    | (signal->vcpu == VMLAT_VV_POSTED
                       ? VMLAT_REC_RUNNING : 0));
        times[VMLAT_MARK_VM_RX_IRQFD] = signal->irqfd_ns;
        times[VMLAT_MARK_VM_RX_INJECT] = signal->inject_ns;
        times[VMLAT_MARK_VM_RX_VCPU] = signal->entry_ns;
    } else if (signal->fate != VMLAT_VF_USER) {
        return;                 /* No more is known of it. */
    }
    add_record(&r, times, event->bytes, event->size);
}

/* The thread. */

/* Packets to VMs with vhost-user whose vCPU is waited for. */
#define MAX_WAITING 65536
static struct vmlat_event *waiting;
static size_t n_waiting, allocated_waiting;

/* Adds the way of 'event' to a VM, if that is known in full, or, if 'last', as
 * far as it is.  Returns false if it may become known later. */
static bool
finish_signal(const struct vmlat_event *event, const struct clocks *at,
              bool last)
{
    struct vmlat_virt_signal signal;
    bool gone;

    if (!event->signal.serial) {
        add_signal(event, NULL, at);
    } else if (!vmlat_vring_result(&event->signal, &signal, &gone)) {
        if (!gone && !last) {
            return false;
        }
        vmlat_record_count(VMLAT_RECORD_N_VIRT, 1);
    } else if (signal.state & VMLAT_SIGNAL_DONE || last) {
        add_signal(event, &signal, at);
    } else {
        return false;
    }
    return true;
}

/* Looks again at what waits. */
static void
finish_waiting(const struct clocks *at, bool last)
{
    size_t n = 0;

    for (size_t i = 0; i < n_waiting; i++) {
        if (!finish_signal(&waiting[i], at, last)) {
            waiting[n++] = waiting[i];
        }
    }
    n_waiting = n;
    if (last) {
        free(waiting);
        waiting = NULL;
        allocated_waiting = 0;
    }
}

/* Adds the way of 'event' to a VM when it is known. */
static void
wait_for_signal(const struct vmlat_event *event, const struct clocks *at)
{
    if (!finish_signal(event, at, n_waiting >= MAX_WAITING)) {
        if (n_waiting >= allocated_waiting) {
            waiting = x2nrealloc(waiting, &allocated_waiting,
                                 sizeof *waiting);
        }
        waiting[n_waiting++] = *event;
    }
}

/* Reads the clocks.  What the ticks since the last reading '*at' came to tells
 * how well times fit CLOCK_MONOTONIC. */
static void
read_clocks(struct clocks *at)
{
    struct clocks was = *at;
    uint64_t error;

    vmlat_clock_both(&at->ticks, &at->ns, &error);
    if (was.ticks && at->ticks >= was.ticks) {
        uint64_t expected = ticks_to_ns(&was, at->ticks);

        error += expected > at->ns ? expected - at->ns : at->ns - expected;
    }
    ovs_mutex_lock(&mutex);
    clock_error_ns = MAX(clock_error_ns, error);
    ovs_mutex_unlock(&mutex);
}

/* Takes in all that is in the queues.  As much as could be in a queue at once,
 * since it may be filled while it is emptied. */
static void
drain_queues(struct clocks *at, bool last)
{
    struct vmlat_event_queue **queues;
    struct vmlat_event event;
    uint64_t n_lost = 0;
    size_t n;

    queues = vmlat_shards_queues(&n);
    if (n) {
        read_clocks(at);
        vmlat_vring_collect_all();
        finish_waiting(at, false);
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < VMLAT_EVENT_QUEUE; j++) {
            if (!vmlat_event_queue_get(queues[i], &event)) {
                break;
            }
            add_user(&event, at);
            if (event.signal.is_vm) {
                wait_for_signal(&event, at);
            }
        }
        n_lost += vmlat_event_queue_n_lost(queues[i]);
    }
    free(queues);
    if (last) {
        finish_waiting(at, true);
    }

    ovs_mutex_lock(&mutex);
    counts[VMLAT_RECORD_N_THREAD] = n_lost;
    ovs_mutex_unlock(&mutex);
}

static void *
thread_main(void *aux OVS_UNUSED)
{
    struct clocks at = { 0, 0 };

    ovsrcu_quiesce_start();
    for (;;) {
        struct pollfd fd = { latch.fds[0], POLLIN, 0 };
        bool is_open = vmlat_record_is_open();

        latch_poll(&latch);
        if (is_open) {
            long long int begin = time_msec();

            drain_queues(&at, (get_state() == VMLAT_RECORD_DRAINING
                               && begin >= drain_until));
            atomic_store_explicit(&drain_begin, begin, memory_order_release);
        } else {
            at.ticks = 0;
            n_waiting = 0;
        }
        poll(&fd, 1, is_open ? DRAIN_INTERVAL : -1);
    }
    return NULL;
}

/* The main thread. */

static void
set_state(uint8_t state)
{
    atomic_store_explicit(&vmlat_record_state, state, memory_order_release);
    vmlat_record_changed();
    latch_set(&latch);
}

/* Looks how many records the programs in the kernel had no room for. */
static void
poll_kernel_lost(void)
{
    uint64_t lost = vmlat_kernel_events_lost();
    uint64_t n = lost - MIN(lost, kernel_lost);

    kernel_lost = lost;
    if (vmlat_record_is_open() && n) {
        vmlat_record_count(VMLAT_RECORD_N_KERNEL, n);
        vmlat_kernel_events_were_records(n);
    }
}

/* Adds to 'n_missed' what the programs at 'points' missed since the last look,
 * of which '*seen' says how many there were.  Frees 'points'. */
static void
add_missed(struct vmlat_kernel_point *points, size_t n, uint64_t *seen)
{
    uint64_t missed = 0;

    for (size_t i = 0; i < n; i++) {
        missed += points[i].missed;
    }
    free(points);
    n_missed += missed - MIN(missed, *seen);
    *seen = missed;
}

/* Looks how often the kernel did not run a program, so that a record may lack
 * a time. */
static void
poll_missed(void)
{
    struct vmlat_kernel_point *points;
    size_t n;

    n = vmlat_kernel_points(&points);
    add_missed(points, n, &kernel_missed);
    n = vmlat_virt_points(&points);
    add_missed(points, n, &virt_missed);
}

/* What was recorded is complete. */
static void
close_ring(void)
{
    poll_kernel_lost();
    poll_missed();
    set_state(VMLAT_RECORD_CLOSED);
    vmlat_shards_queues_destroy();
}

void
vmlat_record_clear(void)
{
    if (get_state() != VMLAT_RECORD_CLOSED) {
        close_ring();
    }
    ovs_mutex_lock(&mutex);
    if (ring) {
        /* By another thread: giving back a gigabyte takes a while. */
        ovsrcu_postpone(free, ring);
        ring = NULL;
    }
    free(ids);
    ids = NULL;
    n_ids = allocated_ids = 0;
    memset(slot_ids, 0, sizeof slot_ids);
    vmlat_filter_destroy(&filter);
    vmlat_filter_init(&filter);
    ovs_mutex_unlock(&mutex);
}

/* Says in 'source' what is recorded. */
static void
describe_filter(const struct vmlat_filter *f)
{
    struct ds ds = DS_EMPTY_INITIALIZER;

    vmlat_filter_format(f, &ds);
    if (vmlat_filter()) {
        ds_put_format(&ds, "%sof what is measured: ", ds.length ? ", " : "");
        vmlat_filter_format(vmlat_filter(), &ds);
    }
    ovs_strzcpy(source.filter, ds_cstr(&ds), sizeof source.filter);
    ds_destroy(&ds);
}

/* What is measured has another filter than before, while it is recorded. */
void
vmlat_record_filter_changed(void)
{
    struct ds ds = DS_EMPTY_INITIALIZER;

    if (vmlat_record_is_on()) {
        ds_put_format(&ds, "%s%slater of ", source.filter,
                      source.filter[0] ? ", " : "");
        if (vmlat_filter()) {
            ds_put_cstr(&ds, "what is measured: ");
            vmlat_filter_format(vmlat_filter(), &ds);
        } else {
            ds_put_cstr(&ds, "all");
        }
        ovs_strzcpy(source.filter, ds_cstr(&ds), sizeof source.filter);
    }
    ds_destroy(&ds);
}

char *
vmlat_record_start(const struct vmlat_filter *f, size_t max)
{
    /* Not xcalloc(): there need not be so much. */
    struct vmlat_record *new_ring = (calloc)(max, sizeof *new_ring);

    if (!new_ring) {
        return xasprintf("no memory for %"PRIuSIZE" records", max);
    }
    if (!has_thread) {
        has_thread = true;
        latch_init(&latch);
        ovs_thread_create("vmlat_record", thread_main, NULL);
    }
    vmlat_record_clear();

    vmlat_record_source_init(&source, VMLAT_RECORD_HOST);
    snprintf(source.software, sizeof source.software,
             "ovs-vswitchd %s, vmlat %s", VERSION, VMLAT_VERSION);
    describe_filter(f);
    end_ns = 0;
    kernel_lost = vmlat_kernel_events_lost();
    poll_missed();
    n_missed = 0;

    ovs_mutex_lock(&mutex);
    ring = new_ring;
    max_records = max;
    n_added = clock_error_ns = 0;
    memset(counts, 0, sizeof counts);
    vmlat_filter_destroy(&filter);
    vmlat_filter_clone(&filter, f);
    ovs_mutex_unlock(&mutex);

    ovs_mutex_lock(&vmlat_ports_mutex);
    refresh_names();
    ovs_mutex_unlock(&vmlat_ports_mutex);

    vmlat_shards_queues_create();
    set_state(VMLAT_RECORD_ON);
    return NULL;
}

void
vmlat_record_stop(void)
{
    if (get_state() == VMLAT_RECORD_ON) {
        drain_until = time_msec() + DRAIN_TIME;
        end_ns = vmlat_record_now();
        set_state(VMLAT_RECORD_DRAINING);
    }
}

void
vmlat_record_get_info(struct vmlat_record_info *info)
{
    size_t n_queues;

    if (vmlat_record_is_open()) {
        poll_kernel_lost();
        poll_missed();
    }
    free(vmlat_shards_queues(&n_queues));

    memset(info, 0, sizeof *info);
    info->state = get_state();
    info->source = source;
    info->end_ns = end_ns;
    info->n_missed = n_missed;
    ovs_mutex_lock(&mutex);
    info->has_ring = ring != NULL;
    info->max_records = max_records;
    info->n_added = n_added;
    info->n_overwritten = n_added - MIN(n_added, max_records);
    memcpy(info->counts, counts, sizeof counts);
    info->clock_error_ns = clock_error_ns;
    info->memory = (max_records * sizeof *ring + allocated_ids * sizeof *ids
                    + n_queues * vmlat_event_queue_memory());
    ovs_mutex_unlock(&mutex);
}

size_t
vmlat_record_copy(uint64_t *pos, uint64_t end, struct vmlat_record *records,
                  size_t n)
{
    size_t i = 0;

    ovs_mutex_lock(&mutex);
    if (n_added > max_records) {
        *pos = MAX(*pos, n_added - max_records);
    }
    while (i < n && *pos < end) {
        records[i++] = ring[(*pos)++ % max_records];
    }
    ovs_mutex_unlock(&mutex);
    return i;
}

void
vmlat_record_run(bool changed)
{
    uint8_t state = get_state();
    uint32_t found;

    if (state != VMLAT_RECORD_CLOSED) {
        poll_kernel_lost();
        atomic_read(&vmlat_ports_found, &found);
        if (changed || found != ports_seen) {
            ports_seen = found;
            ovs_mutex_lock(&vmlat_ports_mutex);
            refresh_names();
            ovs_mutex_unlock(&vmlat_ports_mutex);
        }
    }
    if (state == VMLAT_RECORD_ON && vmlat_state() == VMLAT_STOPPED) {
        VLOG_INFO("recording ends, since vmlat was stopped");
        vmlat_record_stop();
    } else if (state == VMLAT_RECORD_DRAINING) {
        long long int begin;

        atomic_read_explicit(&drain_begin, &begin, memory_order_acquire);
        if (begin >= drain_until) {
            close_ring();
        }
    }
    vmlat_record_dump_run();
}

void
vmlat_record_wait(void)
{
    if (get_state() == VMLAT_RECORD_DRAINING) {
        poll_timer_wait(DRAIN_INTERVAL);
    }
    vmlat_record_dump_wait();
}

void
vmlat_record_exit(void)
{
    atomic_store_explicit(&vmlat_record_state, VMLAT_RECORD_CLOSED,
                          memory_order_release);
    vmlat_record_dump_exit();
}
