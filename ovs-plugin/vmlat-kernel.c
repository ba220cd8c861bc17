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

/* The life of the kernel side.
 *
 * A thread of its own looks for ports, loads programs, attaches and detaches
 * them, follows changes of ports, and takes in events: all of these may take
 * long.  The main thread tells it what is wanted, gives ports their places,
 * and reads and writes the maps while programs run. */

#include <config.h>
#include "vmlat-kernel-private.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/openvswitch.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "latch.h"
#include "netlink-socket.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/vlog.h"
#include "ovs-rcu.h"
#include "ovs-thread.h"
#include "seq.h"
#include "timeval.h"
#include "util.h"
#include "vmlat-event.h"
#include "vmlat-filter.h"
#include "vmlat-record.h"
#include "vmlat-settings.h"
#include "vmlat-virt.h"

VLOG_DEFINE_THIS_MODULE(vmlat_kernel);

/* How long changes of ports are gathered before the thread looks, in ms: where
 * looking takes longer, since there are many devices, it waits longer, so that
 * it does not hold up those who make these changes. */
#define MIN_SCAN_DELAY 20
#define MAX_SCAN_DELAY 1000
#define SCAN_DELAY_FACTOR 10

/* How often the thread looks for upcalls that were dropped, in ms. */
#define SWEEP_INTERVAL 1000

/* What is going on.  The thread goes from LOADING to READY, OFF or FAILED,
 * from UNLOADING to OFF, and from OFF to LOADING when ports appear, but only
 * while 'unload' is clear; the main thread does the rest. */
enum phase {
    OFF,
    LOADING,
    READY,                      /* Loaded, the main thread has to go on. */
    ON,
    UNLOADING,
    FAILED,
};

static struct ovs_mutex mutex = OVS_MUTEX_INITIALIZER;
static enum phase phase OVS_GUARDED_BY(mutex);
static bool wanted OVS_GUARDED_BY(mutex);
static bool unload OVS_GUARDED_BY(mutex);       /* The thread has to, first. */
static char *why_not OVS_GUARDED_BY(mutex);     /* If FAILED. */
static struct vmlat_kernel_load_options options OVS_GUARDED_BY(mutex);

/* From the thread to the main thread. */
static struct vmlat_kernel_loaded *new_loaded OVS_GUARDED_BY(mutex);
static struct vmlat_kernel_scan *new_scan OVS_GUARDED_BY(mutex);

/* Makes a load in progress end early.  Set together with 'unload'. */
static atomic_bool cancelled = false;

/* Wake the thread and the main thread.  There once there is the thread. */
static struct latch latch;
static struct seq *seq;

/* Of the main thread. */
static bool has_thread;
static uint64_t seen_seq;
static struct vmlat_kernel_loaded *current;     /* Whose maps are read. */
static struct vmlat_bpf_filter filter;
static bool has_filter;
static bool rx_active;

/* The thread.
 *
 * It sleeps in poll(), not in OVS's poll_block(), which would complain about
 * how long it is busy. */

/* What the thread has. */
struct worker {
    struct vmlat_kernel_loaded *loaded; /* With programs attached. */
    struct ring_buffer *ring;
    int links;                      /* Socket: changes of devices, or -1. */
    int vports;                     /* Socket: changes of ports, or -1. */
    bool has_scanned;               /* Since this became wanted. */
    bool failed;                    /* The same. */
    long long int scan_at;          /* time_msec(), LLONG_MAX: never. */
    long long int scan_delay;       /* ms. */
    long long int sweep_at;         /* The same. */
};

static int
ring_event(void *aux OVS_UNUSED, void *data, size_t size)
{
    struct vmlat_bpf_event event;

    if (size >= sizeof event) {
        const struct vmlat_bpf_packet *packet = &event.packet;
        uint64_t min_ns;

        memcpy(&event, data, sizeof event);
        vmlat_record_add_kernel(&event);

        /* While recording, packets below the threshold come as well. */
        atomic_read_relaxed(&vmlat_min_ns, &min_ns);
        if (min_ns
            && packet->t[VMLAT_P_TX] - packet->t[VMLAT_P_RX] >= min_ns) {
            vmlat_kernel_event_add(&event);
        }
    }
    return 0;
}

/* Returns a socket that listens to a multicast group, -1 if there is no such
 * group. */
static int
listen_to(int protocol, unsigned int group)
{
    struct sockaddr_nl local = { .nl_family = AF_NETLINK };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
                    protocol);

    if (fd >= 0
        && (bind(fd, (struct sockaddr *) &local, sizeof local)
            || setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
                          sizeof group))) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* Opens the sockets that tell of changes.  The one of OVS's module has to wait
 * until that is there. */
static void
worker_listen(struct worker *w)
{
    unsigned int group;

    if (w->links < 0) {
        w->links = listen_to(NETLINK_ROUTE, RTNLGRP_LINK);
    }
    if (w->vports < 0
        && !nl_lookup_genl_mcgroup(OVS_VPORT_FAMILY, OVS_VPORT_MCGROUP,
                                   &group)) {
        w->vports = listen_to(NETLINK_GENERIC, group);
    }
}

static void
worker_deafen(struct worker *w)
{
    if (w->links >= 0) {
        close(w->links);
    }
    if (w->vports >= 0) {
        close(w->vports);
    }
    w->links = w->vports = -1;
}

/* Returns true if socket 'fd', which may be -1, had something to tell. */
static bool
drain(int fd)
{
    bool changed = false;
    char buf[4096];

    /* Of a message all that counts is that it came; when some did not find
     * room in the socket, this says so once. */
    while (fd >= 0
           && (recv(fd, buf, sizeof buf, MSG_TRUNC) >= 0
               || errno == ENOBUFS || errno == EINTR)) {
        changed = true;
    }
    return changed;
}

/* Looks for ports and tells the main thread.  Returns their number. */
static size_t
worker_scan(struct worker *w)
{
    long long int begin = time_msec();
    struct vmlat_kernel_scan *scan, *old;
    size_t n;

    worker_listen(w);
    w->scan_at = LLONG_MAX;
    w->has_scanned = true;
    scan = vmlat_kernel_scan();
    n = scan->n_ports;
    w->scan_delay = MIN(MAX_SCAN_DELAY, (time_msec() - begin)
                                        * SCAN_DELAY_FACTOR);

    ovs_mutex_lock(&mutex);
    old = new_scan;
    new_scan = scan;
    ovs_mutex_unlock(&mutex);
    vmlat_kernel_scan_destroy(old);
    seq_change(seq);
    return n;
}

static void
worker_load(struct worker *w)
    OVS_EXCLUDED(mutex)
{
    struct vmlat_kernel_load_options o;
    struct vmlat_kernel_loaded *loaded;
    char *error;

    ovs_mutex_lock(&mutex);
    o = options;
    if (!unload) {
        phase = LOADING;
    }
    ovs_mutex_unlock(&mutex);

    loaded = vmlat_kernel_load(&o, &cancelled, &error);
    if (loaded) {
        w->loaded = loaded;
        w->ring = ring_buffer__new(loaded->events, ring_event, NULL, NULL);
        w->sweep_at = time_msec() + SWEEP_INTERVAL;
    } else {
        w->failed = true;
        if (error) {
            VLOG_WARN("the kernel datapath is not measured: %s", error);
        }
    }

    ovs_mutex_lock(&mutex);
    if (!unload) {
        phase = loaded ? READY : FAILED;
    }
    new_loaded = loaded;
    if (error) {
        free(why_not);
        why_not = error;
    }
    ovs_mutex_unlock(&mutex);
    seq_change(seq);
}

static void
worker_unload(struct worker *w)
    OVS_EXCLUDED(mutex)
{
    struct vmlat_kernel_loaded *unused;

    vmlat_kernel_unload(w->loaded);
    if (w->ring) {
        ring_buffer__consume(w->ring);
        ring_buffer__free(w->ring);
        w->ring = NULL;
    }
    w->loaded = NULL;

    ovs_mutex_lock(&mutex);
    unused = new_loaded;        /* The main thread did not come to take it. */
    new_loaded = NULL;
    ovs_mutex_unlock(&mutex);
    vmlat_kernel_loaded_destroy(unused);
}

/* Puts an end to everything. */
static void
worker_end(struct worker *w)
    OVS_EXCLUDED(mutex)
{
    if (w->loaded) {
        worker_unload(w);
    }
    worker_deafen(w);
    w->scan_at = LLONG_MAX;

    ovs_mutex_lock(&mutex);
    if (!unload && phase == UNLOADING) {
        phase = OFF;
    }
    ovs_mutex_unlock(&mutex);
    seq_change(seq);
}

static void
worker_run(struct worker *w)
    OVS_EXCLUDED(mutex)
{
    bool want, end, on, changed;

    ovs_mutex_lock(&mutex);
    end = unload;
    if (end) {
        unload = false;
        atomic_store(&cancelled, false);
    }
    want = wanted;
    on = phase == ON;
    if (phase == LOADING && (end || !w->loaded)) {
        /* Asked for anew. */
        w->has_scanned = w->failed = false;
    }
    ovs_mutex_unlock(&mutex);

    if (end) {
        worker_end(w);
    }
    if (!want) {
        return;
    }
    changed = drain(w->links);
    changed |= drain(w->vports);
    if (changed) {
        w->scan_at = MIN(w->scan_at, time_msec() + MAX(w->scan_delay,
                                                  MIN_SCAN_DELAY));
    }
    if (!w->has_scanned || time_msec() >= w->scan_at) {
        size_t n = worker_scan(w);

        if (!w->loaded && !w->failed) {
            if (n) {
                worker_load(w);
            } else {
                ovs_mutex_lock(&mutex);
                if (phase == LOADING && !unload) {
                    phase = OFF;
                }
                ovs_mutex_unlock(&mutex);
                seq_change(seq);
            }
        }
    }
    if (w->ring) {
        ring_buffer__consume(w->ring);
    }
    if (on && w->loaded && time_msec() >= w->sweep_at) {
        w->sweep_at = time_msec() + SWEEP_INTERVAL;
        vmlat_kernel_upcalls_sweep(w->loaded);
    }
}

static void
worker_wait(const struct worker *w)
{
    struct pollfd fds[] = {
        { latch.fds[0], POLLIN, 0 },
        { w->links, POLLIN, 0 },    /* Negative ones are ignored. */
        { w->vports, POLLIN, 0 },
        { w->ring ? ring_buffer__epoll_fd(w->ring) : -1, POLLIN, 0 },
    };
    long long int until = MIN(w->scan_at, w->loaded ? w->sweep_at : LLONG_MAX);

    poll(fds, ARRAY_SIZE(fds),
         until == LLONG_MAX ? -1 : MAX(until - time_msec(), 0));
}

static void *
worker_main(void *aux OVS_UNUSED)
{
    struct worker w = { .links = -1, .vports = -1, .scan_at = LLONG_MAX };

    /* It uses nothing that RCU protects, and may be long in a system call. */
    ovsrcu_quiesce_start();
    for (;;) {
        latch_poll(&latch);
        worker_run(&w);
        worker_wait(&w);
    }
    return NULL;
}

static void
start_thread(void)
{
    if (!has_thread) {
        has_thread = true;
        latch_init(&latch);
        seq = seq_create();
        ovs_thread_create("vmlat_kernel", worker_main, NULL);
    }
}

/* The main thread. */

static enum phase
get_phase(void)
{
    enum phase p;

    ovs_mutex_lock(&mutex);
    p = phase;
    ovs_mutex_unlock(&mutex);
    return p;
}

static void
take_filter(const struct vmlat_filter *f)
{
    memset(&filter, 0, sizeof filter);
    has_filter = f && vmlat_filter_is_packet_filter(f);
    if (!has_filter) {
        return;
    }
    memcpy(filter.src, &f->src, sizeof filter.src);
    memcpy(filter.src_mask, &f->src_mask, sizeof filter.src_mask);
    memcpy(filter.dst, &f->dst, sizeof filter.dst);
    memcpy(filter.dst_mask, &f->dst_mask, sizeof filter.dst_mask);
    if (f->keys & VMLAT_FILTER_SPORT) {
        filter.sport = (OVS_FORCE uint16_t) htons(f->sport);
        filter.sport_mask = UINT16_MAX;
    }
    if (f->keys & VMLAT_FILTER_DPORT) {
        filter.dport = (OVS_FORCE uint16_t) htons(f->dport);
        filter.dport_mask = UINT16_MAX;
    }
    filter.proto = f->proto;
    filter.proto_mask = f->proto_mask;
    filter.ip_version = f->ip_version;
    filter.need_ip = true;
}

#define STORE(MEMBER, VALUE) \
    __atomic_store_n(&(MEMBER), VALUE, __ATOMIC_RELEASE)

static void
write_filter(struct vmlat_bpf_config *c)
{
    uint32_t other = !c->filter;

    if (has_filter && memcmp(&c->filters[!other], &filter, sizeof filter)) {
        c->filters[other] = filter;
        STORE(c->filter, other);
    }
}

/* Makes the programs do what the settings say. */
static void
write_config(void)
{
    uint64_t min_ns = vmlat_setting_get(VMLAT_SET_MIN_US);
    bool stacks = vmlat_setting_get(VMLAT_SET_STACKS);
    struct vmlat_bpf_config *c = current->config;
    bool record = vmlat_record_is_on();

    write_filter(c);
    STORE(c->min_ns, record ? 0 : min_ns);
    STORE(c->active, ((rx_active ? VMLAT_BPF_RX : 0)
                      | (has_filter ? VMLAT_BPF_FILTER : 0)
                      | (min_ns || record ? VMLAT_BPF_EVENTS : 0)
                      | (min_ns && stacks ? VMLAT_BPF_STACKS : 0)
                      | (current->max_flows ? VMLAT_BPF_FLOWS : 0)));
}

/* Forgets what was measured. */
static void
drop_current(void)
{
    vmlat_kernel_read_set(NULL);
    vmlat_kernel_loaded_destroy(current);
    current = NULL;
}

bool
vmlat_kernel_is_supported(void)
{
    return true;
}

void
vmlat_kernel_start(const struct vmlat_filter *f)
{
    take_filter(f);
    rx_active = true;
    start_thread();

    ovs_mutex_lock(&mutex);
    options.max_histograms = vmlat_setting_get(VMLAT_SET_MAX_HISTOGRAMS);
    options.max_flows = vmlat_setting_get(VMLAT_SET_MAX_FLOWS);
    wanted = true;
    if (phase == OFF || phase == FAILED) {
        drop_current();
    }
    if (phase != ON && phase != READY) {
        phase = LOADING;
        free(why_not);
        why_not = NULL;
    }
    ovs_mutex_unlock(&mutex);
    latch_set(&latch);
    if (get_phase() == ON) {
        write_config();
    }
}

void
vmlat_kernel_configure(const struct vmlat_filter *f)
{
    take_filter(f);
    if (get_phase() == ON) {
        write_config();
    }
}

void
vmlat_kernel_stop_rx(void)
{
    rx_active = false;
    if (get_phase() == ON) {
        write_config();
    } else {
        vmlat_kernel_stop();
    }
}

void
vmlat_kernel_stop(void)
{
    if (!has_thread) {
        return;
    }
    ovs_mutex_lock(&mutex);
    wanted = false;
    unload = true;
    atomic_store(&cancelled, true);
    if (phase != OFF) {
        phase = UNLOADING;
    }
    ovs_mutex_unlock(&mutex);
    latch_set(&latch);
}

void
vmlat_kernel_clear(void)
{
    vmlat_kernel_read_clear();
}

void
vmlat_kernel_run(void)
{
    struct vmlat_kernel_loaded *loaded = NULL;
    struct vmlat_kernel_scan *scan;

    if (!has_thread) {
        return;
    }
    seen_seq = seq_read(seq);
    ovs_mutex_lock(&mutex);
    scan = new_scan;
    new_scan = NULL;
    if (phase == READY) {
        loaded = new_loaded;
        new_loaded = NULL;
        phase = ON;
    }
    ovs_mutex_unlock(&mutex);

    if (loaded) {
        drop_current();
        current = loaded;
        vmlat_kernel_read_set(current);
    }
    if (scan) {
        vmlat_kernel_ports_apply(scan);
        vmlat_virt_ports_changed();
        vmlat_kernel_scan_destroy(scan);
    }
    if (current && (loaded || scan)) {
        vmlat_kernel_devs_write(current->devs);
    }
    if (loaded) {
        write_config();
        VLOG_INFO("the kernel datapath is being measured");
    }
}

void
vmlat_kernel_wait(void)
{
    if (has_thread) {
        seq_wait(seq, seen_seq);
    }
}

void
vmlat_kernel_exit(void)
{
    rx_active = false;
    vmlat_kernel_stop();
}

enum vmlat_kernel_state
vmlat_kernel_state(void)
{
    switch (get_phase()) {
    case LOADING:
    case READY:
        return VMLAT_KERNEL_LOADING;
    case ON:
        return VMLAT_KERNEL_ON;
    case UNLOADING:
        return VMLAT_KERNEL_UNLOADING;
    case FAILED:
        return VMLAT_KERNEL_FAILED;
    case OFF:
    default:
        return VMLAT_KERNEL_OFF;
    }
}

const char *
vmlat_kernel_why_not(void)
{
    const char *s;

    ovs_mutex_lock(&mutex);
    s = phase == FAILED ? why_not : NULL;
    ovs_mutex_unlock(&mutex);
    return s;
}

size_t
vmlat_kernel_points(struct vmlat_kernel_point **points)
{
    *points = NULL;
    if (!current) {
        return 0;
    }
    if (get_phase() == ON) {
        vmlat_kernel_update_missed(current);
    }
    *points = xcalloc(VMLAT_N_HOOKS, sizeof **points);
    for (size_t i = 0; i < VMLAT_N_HOOKS; i++) {
        const struct vmlat_kernel_hook_state *state = &current->hooks[i];

        (*points)[i] = (struct vmlat_kernel_point) {
            .name = vmlat_kernel_hook_name(i),
            .how = state->how,
            .why_not = state->why_not,
            .lost = vmlat_kernel_hook_lost(i),
            .missed = state->missed,
        };
    }
    return VMLAT_N_HOOKS;
}

size_t
vmlat_kernel_memory(void)
{
    return current ? current->memory : 0;
}
