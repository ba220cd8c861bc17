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

/* The life of the programs between ports and VMs.
 *
 * A thread of its own loads and detaches them and takes in records, all of
 * which may take long.  The main thread tells it what is wanted, gives taps
 * their rows, and reads the maps while programs run. */

#include <config.h>
#include "vmlat-virt.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hash.h"
#include "latch.h"
#include "openvswitch/hmap.h"
#include "openvswitch/vlog.h"
#include "ovs-rcu.h"
#include "ovs-thread.h"
#include "seq.h"
#include "timeval.h"
#include "util.h"
#include "vmlat-record.h"
#include "vmlat-settings.h"
#include "vmlat-virt-load.h"

VLOG_DEFINE_THIS_MODULE(vmlat_virt);

/* Files. */
#define NETNS_FILE "/proc/self/ns/net"
#define VHOST_DIR "/sys/module/vhost"
#define KVM_DIR "/sys/module/kvm"

/* How often the thread looks whether a module has come, or other programs of
 * the datapath, in ms; and whether these are ready when it waits for them. */
#define MODULES_INTERVAL 1000
#define DATAPATH_INTERVAL 20

/* Rows at least, and for each tap that there is when programs are loaded:
 * others may come. */
#define MIN_ROWS 64
#define ROWS_PER_TAP 2

#define RECORDS_SIZE (4u << 20)

/* Records read at a time: between, the main thread may use the program. */
#define MAX_READ 4096

/* What is going on.  The thread changes it but for what vmlat_virt_start() and
 * vmlat_virt_stop() announce: LOADING and UNLOADING. */
static struct ovs_mutex mutex = OVS_MUTEX_INITIALIZER;
static enum vmlat_virt_state state OVS_GUARDED_BY(mutex) = VMLAT_VIRT_OFF;
static bool wanted OVS_GUARDED_BY(mutex);
static unsigned int run OVS_GUARDED_BY(mutex);  /* Of vmlat_virt_start(). */
static uint32_t n_rows OVS_GUARDED_BY(mutex);   /* To load with. */
static bool has_taps OVS_GUARDED_BY(mutex);     /* Since the start, or ... */
static bool has_users OVS_GUARDED_BY(mutex);    /* ... vhost-user ports. */
static char *why_not OVS_GUARDED_BY(mutex);     /* If FAILED. */
static struct vmlat_virt_program *new_program OVS_GUARDED_BY(mutex);

/* Who uses the program: the thread, or the main thread for its hooks. */
static struct ovs_mutex program_mutex = OVS_MUTEX_INITIALIZER;

/* Wake the thread and the main thread.  There once there is the thread. */
static struct latch latch;
static struct seq *seq;

/* Of the main thread. */
static bool has_thread;
static uint64_t seen_seq;
static struct vmlat_virt_program *current;      /* Whose maps are read. */
static uint16_t current_gen;                    /* Its number, not 0. */
static const struct vmlat_virt_maps *maps;      /* Its maps. */
static bool started;
static bool following;          /* Not yet told to stop. */
static bool held_back;          /* Until the kernel datapath is loaded. */
static bool ports_dirty;
static size_t n_taps, n_users, n_left_out, n_users_left_out;
static uint64_t records_lost;

/* Taps that lead to VMs, as they should be in 'devs'. */
struct tap {
    struct hmap_node node;      /* By 'ifindex'. */
    uint32_t ifindex;
    uint16_t slot;
    bool written;
};
static struct hmap taps = HMAP_INITIALIZER(&taps);

/* Rows of ports, by slot, 0 for none; row 0 is not used. */
static uint16_t row_of_slot[VMLAT_MAX_PORTS];
static uint32_t n_rows_used;

/* Modules that the kernel has. */
#define MODULE_VHOST (1u << 0)
#define MODULE_KVM   (1u << 1)

static unsigned int
find_modules(void)
{
    return ((access(VHOST_DIR, F_OK) ? 0 : MODULE_VHOST)
            | (access(KVM_DIR, F_OK) ? 0 : MODULE_KVM));
}

/* The thread. */

/* What the thread has. */
struct worker {
    struct vmlat_virt_program *program; /* With programs attached. */
    unsigned int modules;               /* When it was loaded. */
    bool waits;                         /* For the datapath's programs. */
    bool failed;                        /* In 'run'. */
    unsigned int run;
};

static void
take_record(const struct vmlat_record *record, void *aux OVS_UNUSED)
{
    vmlat_record_add(record);
}

static void
take_event(const struct vmlat_virt_event *event, void *aux OVS_UNUSED)
{
    vmlat_virt_event_add(event);
}

/* Returns the number of records taken in. */
static size_t
read_records(struct worker *w)
{
    size_t n;

    ovs_mutex_lock(&program_mutex);
    n = vmlat_virt_program_read(w->program, MAX_READ);
    ovs_mutex_unlock(&program_mutex);
    return n;
}

/* Says what is going on, unless something else has been asked for since. */
static void
set_state(const struct worker *w, enum vmlat_virt_state new_state)
{
    ovs_mutex_lock(&mutex);
    if (wanted && run == w->run) {
        state = new_state;
    }
    ovs_mutex_unlock(&mutex);
    seq_change(seq);
}

static void
worker_load(struct worker *w)
{
    struct vmlat_virt_program *program = NULL;
    struct vmlat_virt_options options = {
        .ring_size = RECORDS_SIZE,
        .event_cb = take_event,
    };
    bool quiet;
    char *error;

    /* See vmlat_virt_has_taps(). */
    ovs_mutex_lock(&mutex);
    options.n_rows = n_rows;
    quiet = !has_taps;
    ovs_mutex_unlock(&mutex);
    error = vmlat_virt_program_load(&options, take_record, NULL, &program);
    if (error) {
        VLOG(quiet ? VLL_INFO : VLL_WARN,
             "the way between ports and VMs is not measured: %s", error);
        w->failed = true;
        program = NULL;
    }
    w->program = program;

    ovs_mutex_lock(&mutex);
    new_program = program;
    if (error) {
        free(why_not);
        why_not = error;
    }
    if (wanted && run == w->run) {
        state = error ? VMLAT_VIRT_FAILED : VMLAT_VIRT_ON;
    }
    ovs_mutex_unlock(&mutex);
    seq_change(seq);
}

static void
worker_unload(struct worker *w)
{
    struct vmlat_virt_program *unused;

    ovs_mutex_lock(&program_mutex);
    vmlat_virt_program_detach(w->program);
    ovs_mutex_unlock(&program_mutex);
    while (read_records(w)) {
        continue;
    }
    w->program = NULL;

    ovs_mutex_lock(&mutex);
    unused = new_program;       /* The main thread did not come to take it. */
    new_program = NULL;
    ovs_mutex_unlock(&mutex);
    vmlat_virt_program_unload(unused);
}

static void
worker_run(struct worker *w)
{
    unsigned int modules;
    bool want, again, can;

    ovs_mutex_lock(&mutex);
    want = wanted;
    again = run != w->run;
    w->run = run;
    ovs_mutex_unlock(&mutex);

    if (again) {
        w->failed = false;
    }
    if (w->program && (!want || again)) {
        worker_unload(w);
    }
    if (!want) {
        ovs_mutex_lock(&mutex);
        if (!wanted) {
            state = VMLAT_VIRT_OFF;
        }
        ovs_mutex_unlock(&mutex);
        seq_change(seq);
        return;
    }

    modules = find_modules();
    if (w->program && (vmlat_virt_program_generation(w->program)
                       != vmlat_kernel_generation())) {
        /* They share hooks.  Counting begins anew, unless all ends: the
         * datapath's may just have been faster. */
        ovs_mutex_lock(&mutex);
        want = wanted;
        ovs_mutex_unlock(&mutex);
        if (!want) {
            return;
        }
        VLOG_INFO("loading again, since the programs of the datapath are "
                  "other ones");
        worker_unload(w);
    }
    if (modules & ~w->modules && (w->program || w->failed)) {
        /* There is more to attach to.  Counting begins anew. */
        VLOG_INFO("loading again, since the kernel has got a module");
        if (w->program) {
            worker_unload(w);
        }
        w->failed = false;
    }
    w->waits = false;
    if (!w->program && !w->failed) {
        enum vmlat_kernel_state kernel = vmlat_kernel_state();

        w->modules = modules;
        ovs_mutex_lock(&mutex);
        can = ((has_taps && modules & MODULE_VHOST)
               || (has_users && modules & MODULE_KVM));
        ovs_mutex_unlock(&mutex);
        if (kernel == VMLAT_KERNEL_LOADING
            || kernel == VMLAT_KERNEL_UNLOADING) {
            set_state(w, VMLAT_VIRT_LOADING);
            w->waits = true;
        } else if (can) {
            set_state(w, VMLAT_VIRT_LOADING);
            worker_load(w);
        } else {
            set_state(w, VMLAT_VIRT_WAITING);
        }
    }
    if (w->program) {
        read_records(w);
    }
}

static void
worker_wait(const struct worker *w)
{
    struct pollfd fds[] = {
        { latch.fds[0], POLLIN, 0 },
        { w->program ? vmlat_virt_program_fd(w->program) : -1, POLLIN, 0 },
    };
    bool want;

    ovs_mutex_lock(&mutex);
    want = wanted;
    ovs_mutex_unlock(&mutex);
    poll(fds, ARRAY_SIZE(fds), (!want ? -1
                                : w->waits ? DATAPATH_INTERVAL
                                : MODULES_INTERVAL));
}

static void *
worker_main(void *aux OVS_UNUSED)
{
    struct worker w = { .program = NULL };

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
        ovs_thread_create("vmlat_virt", worker_main, NULL);
    }
}

/* Devices, main thread. */

static struct tap *
find_tap(uint32_t ifindex)
{
    struct tap *tap;

    HMAP_FOR_EACH_WITH_HASH (tap, node, hash_int(ifindex, 0), &taps) {
        if (tap->ifindex == ifindex) {
            return tap;
        }
    }
    return NULL;
}

/* Adds 'port' to 'taps' if it is a tap that leads to a VM. */
static void
add_tap(struct vmlat_port *port, void *aux OVS_UNUSED)
{
    if (port->is_kernel && port->is_present && port->is_tap && port->ifindex
        && port->role == VMLAT_ROLE_VM && !find_tap(port->ifindex)) {
        struct tap *tap = xzalloc(sizeof *tap);

        tap->ifindex = port->ifindex;
        tap->slot = port->slot;
        hmap_insert(&taps, &tap->node, hash_int(tap->ifindex, 0));
    }
}

/* Counts the vhost-user ports of VMs. */
static void
count_user(struct vmlat_port *port, void *aux OVS_UNUSED)
{
    n_users += (port->is_vhost && port->netdev
                && port->role == VMLAT_ROLE_VM);
}

static void
find_taps(void)
{
    struct tap *tap;

    HMAP_FOR_EACH_POP (tap, node, &taps) {
        free(tap);
    }
    ovs_mutex_lock(&vmlat_ports_mutex);
    vmlat_port_for_each(add_tap, NULL);
    n_users = 0;
    vmlat_port_for_each(count_user, NULL);
    ovs_mutex_unlock(&vmlat_ports_mutex);
    n_taps = hmap_count(&taps);
}

/* Returns the row of the port in 'slot', 0 if there is none for it. */
static uint16_t
get_row(uint16_t slot)
{
    if (!row_of_slot[slot] && n_rows_used + 1 < maps->n_rows) {
        row_of_slot[slot] = ++n_rows_used;
        vmlat_virt_read_add_port(slot, row_of_slot[slot]);
    }
    return row_of_slot[slot];
}

/* Stores to memory that BPF programs read at the same time. */
#define STORE(MEMBER, VALUE) \
    __atomic_store_n(&(MEMBER), VALUE, __ATOMIC_RELEASE)

/* Makes 'e' that of 'tap', or that of none. */
static void
write_dev(struct vmlat_virt_dev *e, const struct tap *tap, uint32_t netns)
{
    STORE(e->ifindex, VMLAT_VIRT_DEV_GONE);
    STORE(e->dev, 0);
    if (tap) {
        STORE(e->netns, netns);
        STORE(e->row, row_of_slot[tap->slot]);
        STORE(e->port, tap->slot);
        STORE(e->ifindex, tap->ifindex);
    }
}

/* Gives vhost-user ports of VMs rows: threads that put packets into their
 * rings say so. */
static void
set_user_row(struct vmlat_port *port, void *follow)
{
    uint32_t row = 0;

    if (port->is_vhost) {
        if (follow && port->netdev && port->role == VMLAT_ROLE_VM) {
            row = get_row(port->slot);
            n_users_left_out += !row;
        }
        atomic_store_relaxed(&port->virt_row,
                             row ? (uint32_t) current_gen << 16 | row : 0);
    }
}

static void
set_user_rows(bool follow)
{
    ovs_mutex_lock(&vmlat_ports_mutex);
    n_users_left_out = 0;
    vmlat_port_for_each(set_user_row, follow ? &n_users_left_out : NULL);
    ovs_mutex_unlock(&vmlat_ports_mutex);
}

/* Can the programs follow signals that this process makes? */
static bool
can_user(void)
{
    return (vmlat_virt_program_can_user(current)
            && vmlat_virt_program_sees_us(current));
}

static void
write_devs(void)
{
    struct stat netns;
    struct tap *tap;

    /* Devices of other namespaces are not known to be taps. */
    if (stat(NETNS_FILE, &netns)) {
        return;
    }
    n_left_out = 0;
    HMAP_FOR_EACH (tap, node, &taps) {
        tap->written = !get_row(tap->slot);
        n_left_out += tap->written;
    }
    for (size_t i = 0; i < VMLAT_VIRT_DEVS; i++) {
        struct vmlat_virt_dev *e = &maps->devs[i];

        if (!e->ifindex || e->ifindex == VMLAT_VIRT_DEV_GONE) {
            continue;
        }
        tap = find_tap(e->ifindex);
        if (!tap || !row_of_slot[tap->slot]) {
            write_dev(e, NULL, 0);
        } else {
            if (e->port != tap->slot || e->netns != (uint32_t) netns.st_ino) {
                write_dev(e, tap, netns.st_ino);
            }
            tap->written = true;
        }
    }
    HMAP_FOR_EACH (tap, node, &taps) {
        for (size_t i = 0; !tap->written && i < VMLAT_VIRT_DEV_PROBES; i++) {
            struct vmlat_virt_dev *e
                = &maps->devs[VMLAT_VIRT_DEV_HASH(tap->ifindex + i)];

            if (!e->ifindex || e->ifindex == VMLAT_VIRT_DEV_GONE) {
                write_dev(e, tap, netns.st_ino);
                tap->written = true;
            }
        }
        n_left_out += !tap->written;
    }

    /* Those removed that nothing comes after. */
    for (size_t i = 2 * VMLAT_VIRT_DEVS; i > 0; i--) {
        struct vmlat_virt_dev *e = &maps->devs[VMLAT_VIRT_DEV_HASH(i - 1)];

        if (e->ifindex == VMLAT_VIRT_DEV_GONE
            && !maps->devs[VMLAT_VIRT_DEV_HASH(i)].ifindex) {
            STORE(e->ifindex, 0);
        }
    }
}

/* The main thread. */

/* Forgets what was measured. */
static void
drop_current(void)
{
    vmlat_virt_read_set(NULL);
    if (current) {
        set_user_rows(false);
        vmlat_shards_set_vring(NULL, 0);
        vmlat_virt_program_unload_later(current);
    }
    current = NULL;
    maps = NULL;
    memset(row_of_slot, 0, sizeof row_of_slot);
    n_rows_used = 0;
    n_left_out = 0;
    records_lost = 0;
}

/* Asks the thread for what is wanted now. */
static void
update_wanted(void)
{
    bool want, changed;

    ovs_mutex_lock(&mutex);
    /* When the last VM goes, all stays for the next one. */
    changed = (n_taps && !has_taps) || (n_users && !has_users);
    has_taps |= n_taps != 0;
    has_users |= n_users != 0;
    want = (started && (has_taps || has_users)
            && vmlat_setting_get(VMLAT_SET_VIRT));

    /* Where both have a program at the same point, the datapath's is to come
     * first: a packet is known to be the same on both ways by that. */
    held_back = (want && !wanted
                 && vmlat_kernel_state() == VMLAT_KERNEL_LOADING);
    want = want && !held_back;
    changed = want != wanted || (changed && state == VMLAT_VIRT_WAITING);
    if (changed) {
        wanted = want;
        run += want;
        n_rows = MAX(MIN_ROWS, ROWS_PER_TAP * (n_taps + n_users));
        state = (want ? VMLAT_VIRT_LOADING
                 : state == VMLAT_VIRT_OFF ? VMLAT_VIRT_OFF
                 : VMLAT_VIRT_UNLOADING);
        free(why_not);
        why_not = NULL;
    }
    ovs_mutex_unlock(&mutex);
    if (changed) {
        start_thread();
        latch_set(&latch);
    }
}

/* Makes the programs do what is wanted. */
static void
write_config(void)
{
    uint64_t min_ns = vmlat_setting_get(VMLAT_SET_MIN_US);
    bool record = following && vmlat_record_is_on();

    /* Most of what is slow in the end was slow in the tap already.  Where a
     * look at headers has to decide, or they are looked at anyway, all are
     * kept. */
    STORE(maps->config->headers_ns, (!min_ns ? VMLAT_VIRT_NEVER
                                     : record || vmlat_virt_event_has_filter()
                                     ? 0 : min_ns / 2));
    STORE(maps->config->min_ns, min_ns ? min_ns : VMLAT_VIRT_NEVER);
    STORE(maps->config->active, ((following ? VMLAT_VIRT_FOLLOW : 0)
                                 | (record ? VMLAT_VIRT_RECORD : 0)));
}

void
vmlat_virt_start(const struct vmlat_filter *filter)
{
    bool is_off, again;

    vmlat_virt_event_set_filter(filter);
    ovs_mutex_lock(&mutex);
    is_off = state == VMLAT_VIRT_OFF;
    again = state == VMLAT_VIRT_FAILED;
    if (again) {
        state = VMLAT_VIRT_LOADING;
        run++;
    }
    ovs_mutex_unlock(&mutex);

    if (is_off && !started) {
        drop_current();
    } else if (again) {
        latch_set(&latch);
    }
    if (!started) {
        ovs_mutex_lock(&mutex);
        has_taps = has_users = false;
        ovs_mutex_unlock(&mutex);
    }
    started = following = true;
    ports_dirty = true;
}

void
vmlat_virt_configure(const struct vmlat_filter *filter)
{
    vmlat_virt_event_set_filter(filter);
    ports_dirty = true;         /* For vmlat_virt_run() to look. */
    if (maps) {
        write_config();
    }
}

void
vmlat_virt_stop_rx(void)
{
    following = false;
    if (maps) {
        write_config();
        set_user_rows(false);
    }
}

void
vmlat_virt_stop(void)
{
    started = following = false;
    update_wanted();
}

void
vmlat_virt_ports_changed(void)
{
    ports_dirty = true;
}

void
vmlat_virt_run(void)
{
    struct vmlat_virt_program *program;
    bool on;

    if ((ports_dirty || held_back) && started) {
        find_taps();
        update_wanted();
    }
    if (!has_thread) {
        return;
    }
    seen_seq = seq_read(seq);
    ovs_mutex_lock(&mutex);
    program = new_program;
    new_program = NULL;
    on = state == VMLAT_VIRT_ON;
    ovs_mutex_unlock(&mutex);

    if (program) {
        drop_current();
        current = program;
        maps = vmlat_virt_program_maps(program);
        vmlat_virt_read_set(maps);
        current_gen = current_gen == UINT16_MAX ? 1 : current_gen + 1;
        if (can_user()) {
            vmlat_shards_set_vring(maps, current_gen);
        }
        VLOG_INFO("the way between ports and VMs is being measured");
    }
    if (maps && on) {
        uint64_t lost = __atomic_load_n(&maps->stats->records_lost,
                                        __ATOMIC_RELAXED);

        if (program || ports_dirty) {
            write_devs();
            set_user_rows(following && can_user());
        }
        write_config();
        if (lost != records_lost) {
            vmlat_record_count(VMLAT_RECORD_N_VIRT, lost - records_lost);
            records_lost = lost;
        }
    }
    if (started) {
        ports_dirty = false;
    }
}

void
vmlat_virt_wait(void)
{
    if (has_thread) {
        seq_wait(seq, seen_seq);
    }
}

void
vmlat_virt_exit(void)
{
    vmlat_virt_stop();
}

enum vmlat_virt_state
vmlat_virt_state(void)
{
    enum vmlat_virt_state s;

    ovs_mutex_lock(&mutex);
    s = ((state == VMLAT_VIRT_ON && new_program) || held_back
         ? VMLAT_VIRT_LOADING   /* The main thread has to go on. */
         : state);
    ovs_mutex_unlock(&mutex);
    return s;
}

/* Returns what the programs cannot measure, NULL if nothing. */
static const char *
what_is_not(void)
{
    if (n_taps && !vmlat_virt_program_can_rx(current)) {
        return "packets to VMs cannot be followed, see vmlat/status";
    } else if (n_taps && !vmlat_virt_program_can_tx(current)) {
        return "packets from VMs cannot be followed, see vmlat/status";
    } else if (n_users && !vmlat_virt_program_can_user(current)) {
        return ("packets to VMs with vhost-user cannot be followed, see "
                "vmlat/status");
    } else if (n_users && !vmlat_virt_program_sees_us(current)) {
        return ("packets to VMs with vhost-user cannot be followed: the "
                "daemon is in a PID namespace of its own, so that BPF "
                "programs do not know its threads");
    }
    return NULL;
}

const char *
vmlat_virt_why_not(void)
{
    const char *s;

    ovs_mutex_lock(&mutex);
    s = (state == VMLAT_VIRT_FAILED ? why_not
         : state == VMLAT_VIRT_WAITING
         ? (has_taps ? "the kernel has no vhost: no VM uses vhost-net"
            : "the kernel has no KVM")
         : state == VMLAT_VIRT_ON && current ? what_is_not() : NULL);
    ovs_mutex_unlock(&mutex);
    return s;
}

bool
vmlat_virt_has_taps(void)
{
    bool has;

    ovs_mutex_lock(&mutex);
    has = has_taps;
    ovs_mutex_unlock(&mutex);
    return has;
}

size_t
vmlat_virt_points(struct vmlat_kernel_point **pointsp)
{
    const struct vmlat_virt_hook *hooks;
    struct vmlat_kernel_point *points;
    size_t n;

    *pointsp = NULL;
    if (!current) {
        return 0;
    }
    ovs_mutex_lock(&program_mutex);
    if (vmlat_virt_state() == VMLAT_VIRT_ON) {
        vmlat_virt_program_update_missed(current);
    }
    n = vmlat_virt_program_hooks(current, &hooks);
    points = xcalloc(n, sizeof *points);
    for (size_t i = 0; i < n; i++) {
        points[i] = (struct vmlat_kernel_point) {
            .name = hooks[i].name,
            .how = hooks[i].how,
            .why_not = hooks[i].why_not,
            .lost = hooks[i].lost,
            .missed = hooks[i].missed,
        };
    }
    ovs_mutex_unlock(&program_mutex);
    *pointsp = points;
    return n;
}

size_t
vmlat_virt_memory(void)
{
    return maps ? maps->memory : 0;
}

size_t
vmlat_virt_n_left_out(void)
{
    return n_left_out + n_users_left_out;
}
