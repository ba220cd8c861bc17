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
#include "vmlat.h"

#include <stdlib.h>

#include "openvswitch/dynamic-string.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "ovs-rcu.h"
#include "timeval.h"
#include "util.h"
#include "vmlat-bypass.h"
#include "vmlat-clock.h"
#include "vmlat-command.h"
#include "vmlat-datapath.h"
#include "vmlat-db.h"
#include "vmlat-event.h"
#include "vmlat-filter.h"
#include "vmlat-interval.h"
#include "vmlat-kernel.h"
#include "vmlat-port.h"
#include "vmlat-record.h"
#include "vmlat-rtt.h"
#include "vmlat-settings.h"
#include "vmlat-shard.h"
#include "vmlat-virt.h"

VLOG_DEFINE_THIS_MODULE(vmlat);

/* How long vmlat_stop() waits for the packets inside, in ms. */
#define STOP_TIMEOUT 1000

/* How often threads' spare histograms and new ports' roles are looked at, in
 * ms, when nothing else wakes the main thread. */
#define REFRESH_INTERVAL 250

static enum vmlat_state state = VMLAT_STOPPED;
static struct vmlat_filter *filter;
static long long int started_at, cleared_at;    /* Wall clock, ms. */
static bool enabled_by_db;
static long long int next_refresh;              /* time_msec(). */
static uint32_t ports_seen;                     /* Of vmlat_ports_found. */

/* While stopping:
 *
 *     1. No more stamps; wait until no thread can be in the middle of
 *        receiving with the old state of affairs.
 *     2. Wait until all packets have left, or STOP_TIMEOUT.
 *     3. No more measuring; wait again until no thread is in the middle of it.
 *     4. Detach from the kernel; wait until that is done.
 *
 * The waits are for a grace period of RCU, without blocking: 'stop_grace' is
 * set by a callback.  'stop_number' tells callbacks of an earlier stop apart,
 * which was given up by a start. */
static enum { STOP_RX, STOP_DRAIN, STOP_TX, STOP_DETACH } stop_step;
static atomic_uint32_t stop_grace;
static uint32_t stop_number;
static long long int stop_deadline;

static void
stop_grace_over(void *number_)
{
    uint32_t *number = number_;

    atomic_store(&stop_grace, *number);
    free(number);
}

static void
stop_wait_for_grace(void)
{
    uint32_t *number = xmalloc(sizeof *number);

    *number = ++stop_number;
    ovsrcu_postpone(stop_grace_over, number);
}

static bool
stop_grace_is_over(void)
{
    uint32_t number;

    atomic_read(&stop_grace, &number);
    return number == stop_number;
}

static void
set_active(uint32_t set, uint32_t clear)
{
    uint32_t active = vmlat_active_get();

    atomic_store_explicit(&vmlat_active, (active | set) & ~clear,
                          memory_order_release);
}

static void
next_number(atomic_uint32_t *number)
{
    uint32_t value;

    atomic_read_relaxed(number, &value);
    value++;
    atomic_store_relaxed(number, value ? value : 1);
}

/* Makes the data path act as the settings say. */
static void
apply_settings(void)
{
    uint64_t min_ns = vmlat_setting_get(VMLAT_SET_MIN_US);

    atomic_store_relaxed(&vmlat_min_ns, min_ns);
    set_active(min_ns ? VMLAT_EVENTS : 0, min_ns ? 0 : VMLAT_EVENTS);
    set_active(vmlat_record_is_on() ? VMLAT_RECORD : 0,
               vmlat_record_is_on() ? 0 : VMLAT_RECORD);
    vmlat_kernel_configure(filter);
    vmlat_virt_configure(filter);
}

void
vmlat_record_changed(void)
{
    apply_settings();
}

static void
set_filter(const struct vmlat_filter *new)
{
    bool has_new = new && vmlat_filter_is_packet_filter(new);
    bool same = (filter && has_new ? vmlat_filter_equal(filter, new)
                 : !filter && !has_new);

    if (filter) {
        vmlat_filter_destroy(filter);
        free(filter);
        filter = NULL;
    }
    if (has_new) {
        filter = xmalloc(sizeof *filter);
        vmlat_filter_clone(filter, new);
    }
    vmlat_datapath_set_filter(filter);
    vmlat_kernel_configure(filter);
    vmlat_virt_configure(filter);
    set_active(filter ? VMLAT_FILTER : 0, filter ? 0 : VMLAT_FILTER);
    if (!same) {
        vmlat_record_filter_changed();
    }
}

char *
vmlat_start(const struct vmlat_filter *new_filter)
{
    const char *why_not = vmlat_datapath_why_not();

    if (why_not && !vmlat_kernel_is_supported()) {
        return xasprintf("cannot measure: %s; %s", why_not,
                         vmlat_kernel_why_not());
    }

    apply_settings();
    vmlat_shards_replenish(vmlat_setting_get(VMLAT_SET_MAX_HISTOGRAMS));
    set_filter(new_filter);
    if (state == VMLAT_STOPPED) {
        vmlat_clock_calibrate();
        ovs_mutex_lock(&vmlat_ports_mutex);
        vmlat_accounts_write_off();
        vmlat_accounts_stopped = false;
        ovs_mutex_unlock(&vmlat_ports_mutex);
        next_number(&vmlat_run);
    }
    if (state != VMLAT_STARTED) {
        state = VMLAT_STARTED;
        stop_number++;
        started_at = time_wall_msec();
        if (!cleared_at) {
            cleared_at = started_at;
        }
        if (!why_not) {
            set_active(VMLAT_RX | VMLAT_TX, 0);
        }
        VLOG_INFO("started");
    }
    /* Again, too: it tries again if it failed. */
    vmlat_kernel_start(filter);
    vmlat_virt_start(filter);
    return NULL;
}

bool
vmlat_start_pending(void)
{
    return (state == VMLAT_STARTED
            && (vmlat_kernel_state() == VMLAT_KERNEL_LOADING
                || vmlat_virt_state() == VMLAT_VIRT_LOADING));
}

void
vmlat_stop(void)
{
    if (state == VMLAT_STARTED) {
        state = VMLAT_STOPPING;
        stop_step = STOP_RX;
        stop_deadline = time_msec() + STOP_TIMEOUT;
        set_active(0, VMLAT_RX);
        vmlat_kernel_stop_rx();
        vmlat_virt_stop_rx();
        stop_wait_for_grace();
    }
}

/* Returns the number of packets inside. */
static uint64_t
n_inside(void)
{
    struct vmlat_account *accounts = xmalloc(VMLAT_MAX_PORTS
                                             * sizeof *accounts);
    uint64_t n = 0;

    ovs_mutex_lock(&vmlat_ports_mutex);
    vmlat_accounts_read(accounts);
    ovs_mutex_unlock(&vmlat_ports_mutex);
    for (size_t i = 0; i < VMLAT_MAX_PORTS; i++) {
        n += (accounts[i].fates[0][VMLAT_FATE_INSIDE]
              + accounts[i].fates[1][VMLAT_FATE_INSIDE]);
    }
    free(accounts);
    return n + vmlat_virt_n_inside();
}

static void
stop_run(void)
{
    switch (stop_step) {
    case STOP_RX:
        if (!stop_grace_is_over()) {
            break;
        }
        stop_step = STOP_DRAIN;
        /* Fall through. */

    case STOP_DRAIN:
        if (n_inside() && time_msec() < stop_deadline) {
            break;
        }
        set_active(0, VMLAT_TX);
        stop_wait_for_grace();
        stop_step = STOP_TX;
        break;

    case STOP_TX:
        if (!stop_grace_is_over()) {
            break;
        }
        /* In this order: virt looks whether the datapath's go without it. */
        vmlat_virt_stop();
        vmlat_kernel_stop();
        stop_step = STOP_DETACH;
        /* Fall through. */

    case STOP_DETACH:
        if ((vmlat_kernel_state() == VMLAT_KERNEL_OFF
             || !vmlat_kernel_is_supported())
            && vmlat_virt_state() == VMLAT_VIRT_OFF) {
            state = VMLAT_STOPPED;
            vmlat_accounts_stopped = true;
            VLOG_INFO("stopped");
        }
        break;
    }
}

void
vmlat_clear(void)
{
    ovs_mutex_lock(&vmlat_ports_mutex);
    next_number(&vmlat_epoch);
    vmlat_record_ports_forgetting();
    vmlat_port_forget_gone();
    vmlat_record_ports_forgotten();
    vmlat_accounts_forget_written_off();
    vmlat_kernel_clear();
    vmlat_virt_clear();
    ovs_mutex_unlock(&vmlat_ports_mutex);
    cleared_at = time_wall_msec();
}

static void
refresh_port(struct vmlat_port *port, void *aux OVS_UNUSED)
{
    enum vmlat_role role = vmlat_port_default_role(port);
    struct vmlat_db_port db;

    vmlat_db_port_lookup(port->name, &db);
    if (db.vm) {
        role = VMLAT_ROLE_VM;
    }
    if (db.role && !vmlat_role_from_name(db.role, &role)) {
        static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(1, 5);

        VLOG_WARN_RL(&rl, "Interface %s: external_ids:vmlat-role=%s: must be "
                     "vm, wire or host", port->name, db.role);
    }
    vmlat_port_set_role(port, role);
}

void
vmlat_run_main(void)
{
    bool changed = vmlat_db_changed();
    const struct smap *other_config = vmlat_db_other_config();
    uint32_t found;

    vmlat_kernel_run();
    if (changed && other_config) {
        bool enable;

        if (vmlat_settings_update(other_config)) {
            apply_settings();
        }
        enable = vmlat_setting_get(VMLAT_SET_ENABLE);
        if (enable != enabled_by_db) {
            enabled_by_db = enable;
            if (enable) {
                char *error = vmlat_start(NULL);

                if (error) {
                    VLOG_WARN("other_config:vmlat-enable=true: %s", error);
                    free(error);
                }
            } else {
                vmlat_stop();
            }
        }
    }

    atomic_read(&vmlat_ports_found, &found);
    if (changed || found != ports_seen) {
        ports_seen = found;
        ovs_mutex_lock(&vmlat_ports_mutex);
        vmlat_port_for_each(refresh_port, NULL);
        ovs_mutex_unlock(&vmlat_ports_mutex);
        vmlat_virt_ports_changed();
    }
    vmlat_virt_run();
    if (changed || time_msec() >= next_refresh) {
        next_refresh = time_msec() + REFRESH_INTERVAL;
        if (state == VMLAT_STARTED) {
            vmlat_shards_replenish(
                vmlat_setting_get(VMLAT_SET_MAX_HISTOGRAMS));
        }
    }
    if (state == VMLAT_STOPPING) {
        stop_run();
    }
    vmlat_interval_run();
    vmlat_rtt_run();
    vmlat_record_run(changed);
    vmlat_bypass_run(changed);
}

void
vmlat_wait_main(void)
{
    vmlat_kernel_wait();
    vmlat_virt_wait();
    if (state == VMLAT_STARTED) {
        poll_timer_wait_until(next_refresh);
    } else if (state == VMLAT_STOPPING) {
        poll_timer_wait(5);
    }
    vmlat_interval_wait();
    vmlat_rtt_wait();
    vmlat_record_wait();
    vmlat_bypass_wait();
}

void
vmlat_exit_main(void)
{
    vmlat_interval_exit();
    vmlat_rtt_exit();
    vmlat_record_exit();
    vmlat_bypass_exit();
    atomic_store_explicit(&vmlat_active, 0u, memory_order_release);
    vmlat_kernel_exit();
    vmlat_virt_exit();
    state = VMLAT_STOPPED;
}

enum vmlat_state
vmlat_state(void)
{
    return state;
}

const char *
vmlat_state_name(enum vmlat_state s)
{
    return (s == VMLAT_STARTED ? "started"
            : s == VMLAT_STOPPING ? "stopping"
            : "stopped");
}

const struct vmlat_filter *
vmlat_filter(void)
{
    return filter;
}

long long int
vmlat_started_at(void)
{
    return started_at;
}

long long int
vmlat_cleared_at(void)
{
    return cleared_at;
}

void
vmlat_cost_format(struct ds *ds)
{
    struct vmlat_cost cost;

    vmlat_shards_cost(&cost);
    if (!cost.packets) {
        ds_put_cstr(ds, "not known before some packets were measured");
    } else {
        double cycles = 1.0 * cost.ticks / cost.packets;

        ds_put_format(ds, "%.1f ns (%.1f cycles) per packet each time that it "
                      "enters or leaves, from %"PRIu64" sampled; %"PRIu64
                      " interrupted bursts left out",
                      cycles * 1e9 / vmlat_clock_hz(), cycles, cost.packets,
                      cost.interrupted);
    }
}

OVS_CONSTRUCTOR(vmlat_init) {
    vmlat_commands_init();
}
