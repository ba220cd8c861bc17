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

/* vmlat/status. */

#include <config.h>
#include "vmlat-view.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "smap.h"
#include "util.h"
#include "vmlat.h"
#include "vmlat-clock.h"
#include "vmlat-command.h"
#include "vmlat-datapath.h"
#include "vmlat-db.h"
#include "vmlat-kernel.h"
#include "vmlat-port.h"
#include "vmlat-settings.h"
#include "vmlat-shard.h"
#include "vmlat-virt.h"

/* vmlat/status. */

static void
status_port_name(struct vmlat_view *view, const struct vmlat_port *port,
                 struct vmlat_out *out)
{
    vmlat_out_row(out);
    vmlat_out_string(out, vmlat_view_bridge(view, port));
    vmlat_out_port(out, port->name, vmlat_view_vm(view, port));
    vmlat_out_string(out, port->type);
    vmlat_out_string(out, vmlat_role_name(port->role));
}

static void
status_put_or_dash(struct vmlat_out *out, const char *s)
{
    vmlat_out_string(out, s ? s : "-");
}

/* The rest of a row, the same for all queues of a port. */
static void
status_port_ids(struct vmlat_view *view, const struct vmlat_port *port,
                struct vmlat_out *out)
{
    const struct vmlat_db_port *db = vmlat_view_db(view, port);

    if (!out->people) {
        status_put_or_dash(out, db->vm);
        status_put_or_dash(out, db->iface_id);
        status_put_or_dash(out, db->attached_mac);
        status_put_or_dash(out, db->vm_uuid);
    }
}

static void
status_port(struct vmlat_view *view, const struct vmlat_port *port,
            struct vmlat_out *out)
    OVS_REQUIRES(vmlat_ports_mutex)
{
    const char *why_not = vmlat_port_why_not(port);
    const char *sent = (port->is_ring
                        ? "; what the ring took"
                        : port->is_linux
                        ? "; Linux may drop it later"
                        : "");
    char *how;
    uint32_t n_rxqs;

    atomic_read_explicit(&CONST_CAST(struct vmlat_port *, port)->n_rxqs,
                         &n_rxqs, memory_order_acquire);
    for (size_t i = 0; i < n_rxqs; i++) {
        const struct vmlat_rxq *rxq = port->rxqs[i];
        struct vmlat_snapshot *gap = xmalloc(sizeof *gap);
        char *queue = xasprintf("rx%"PRIu16, rxq->id);

        vmlat_snapshot_init(gap);
        vmlat_rxq_gap_read(rxq, gap);

        status_port_name(view, port, out);
        vmlat_out_string(out, queue);
        status_put_or_dash(out, port->how);
        status_put_or_dash(out, why_not);
        status_put_or_dash(out, rxq->poller);
        if (gap->count) {
            vmlat_out_ns(out, vmlat_snapshot_percentile(gap, 99));
            vmlat_out_ns(out, gap->max);
        } else {
            vmlat_out_none(out);
            vmlat_out_none(out);
        }
        status_port_ids(view, port, out);
        free(queue);
        free(gap);
    }

    how = xasprintf("%s%s", port->how ? port->how : "-", sent);
    status_port_name(view, port, out);
    vmlat_out_string(out, port->is_kernel ? "-" : "tx");
    vmlat_out_string(out, how);
    status_put_or_dash(out, why_not);
    vmlat_out_string(out, "-");
    vmlat_out_none(out);
    vmlat_out_none(out);
    status_port_ids(view, port, out);
    free(how);
}

static void
status_settings(struct ds *ds)
{
    const struct smap *other_config = vmlat_db_other_config();

    ds_put_cstr(ds, "settings:\n");
    for (int i = 0; i < VMLAT_N_SETTINGS; i++) {
        struct ds value = DS_EMPTY_INITIALIZER;
        struct vmlat_setting_info info;
        const char *source;

        vmlat_setting_describe(i, &info);
        if (!info.scale) {
            ds_put_cstr(&value, info.value ? "true" : "false");
        } else {
            ds_put_format(&value, "%.10g", (double) info.value / info.scale);
        }
        source = (info.overridden ? "a command"
                  : other_config && smap_get(other_config, info.key)
                  ? "the database"
                  : "default");
        ds_put_format(ds, "  %-21s %-6s from %-13s %s\n", info.key,
                      ds_cstr(&value), source, info.meaning);
        ds_destroy(&value);
    }
}

/* The kernel datapath. */

static const char *
status_kernel_state(void)
{
    switch (vmlat_kernel_state()) {
    case VMLAT_KERNEL_LOADING:
        return "loading";
    case VMLAT_KERNEL_ON:
        return "measured";
    case VMLAT_KERNEL_UNLOADING:
        return "unloading";
    case VMLAT_KERNEL_FAILED:
        return "failed";
    case VMLAT_KERNEL_OFF:
    default:
        return "off";
    }
}

/* Appends what the kernel datapath is at, in words. */
static void
status_kernel_put(struct ds *ds)
{
    switch (vmlat_kernel_state()) {
    case VMLAT_KERNEL_LOADING:
        ds_put_cstr(ds, "the BPF programs for the kernel datapath are being "
                        "loaded");
        break;

    case VMLAT_KERNEL_ON:
        ds_put_format(ds, "the kernel datapath is measured, %.1f MiB of "
                          "kernel memory",
                      vmlat_kernel_memory() / 1048576.0);
        break;

    case VMLAT_KERNEL_UNLOADING:
        ds_put_cstr(ds, "the BPF programs for the kernel datapath are being "
                        "detached");
        break;

    case VMLAT_KERNEL_FAILED:
        ds_put_format(ds, "the kernel datapath is not measured: %s",
                      vmlat_kernel_why_not());
        break;

    case VMLAT_KERNEL_OFF:
    default:
        ds_put_cstr(ds, vmlat_state() == VMLAT_STARTED
                        ? "no datapath of the kernel has ports"
                        : "nothing is attached to the kernel");
        if (vmlat_kernel_memory()) {
            ds_put_format(ds, "; %.1f MiB of kernel memory until the next "
                              "start",
                          vmlat_kernel_memory() / 1048576.0);
        }
        break;
    }
    ds_put_char(ds, '\n');
}

/* Between ports and VMs. */

static const char *
status_virt_state(void)
{
    switch (vmlat_virt_state()) {
    case VMLAT_VIRT_WAITING:
        return "waiting";
    case VMLAT_VIRT_LOADING:
        return "loading";
    case VMLAT_VIRT_ON:
        return "measured";
    case VMLAT_VIRT_UNLOADING:
        return "unloading";
    case VMLAT_VIRT_FAILED:
        return "failed";
    case VMLAT_VIRT_OFF:
    default:
        return "off";
    }
}

static void
status_virt_put(struct ds *ds)
{
    const char *why_not = vmlat_virt_why_not();

    ds_put_cstr(ds, "between ports and VMs: ");
    if (why_not) {
        ds_put_format(ds, "%s: %s",
                      (vmlat_virt_state() == VMLAT_VIRT_ON
                       ? "measured in part" : "not measured"), why_not);
    } else if (vmlat_virt_state() == VMLAT_VIRT_OFF) {
        ds_put_cstr(ds, (!vmlat_setting_get(VMLAT_SET_VIRT)
                         ? "not measured, vmlat-virt is false"
                         : vmlat_state() == VMLAT_STARTED
                         ? "no port is a tap of a VM or vhost-user"
                         : "nothing is attached to the kernel"));
    } else {
        ds_put_cstr(ds, status_virt_state());
    }
    if (vmlat_virt_memory()) {
        ds_put_format(ds, ", %.1f MiB of kernel memory",
                      vmlat_virt_memory() / 1048576.0);
    }
    if (vmlat_virt_n_left_out()) {
        ds_put_format(ds, "; no room for %"PRIuSIZE" ports until the next "
                      "start", vmlat_virt_n_left_out());
    }
    ds_put_char(ds, '\n');
}

static void
status_point_rows(const struct vmlat_kernel_point *points, size_t n,
                  struct vmlat_out *out)
{
    for (size_t i = 0; i < n; i++) {
        vmlat_out_row(out);
        vmlat_out_string(out, points[i].name);
        status_put_or_dash(out, points[i].how);
        status_put_or_dash(out, points[i].why_not);
        vmlat_out_string(out, points[i].how ? "-" : points[i].lost);
        vmlat_out_integer(out, points[i].missed);
    }
}

/* Appends a table of the points in the kernel.  Before those for the datapath
 * and those between ports and VMs there is a row with the state of these. */
static void
status_points(const struct vmlat_args *args, struct ds *reply)
{
    struct vmlat_kernel_point *points;
    size_t n = vmlat_kernel_points(&points);
    struct vmlat_out out;

    vmlat_out_init(&out, args);
    vmlat_out_columns(&out, "point how why_not lost missed",
                            "point how why_not lost missed");
    vmlat_out_row(&out);
    vmlat_out_string(&out, "kernel");
    vmlat_out_string(&out, status_kernel_state());
    status_put_or_dash(&out, vmlat_kernel_why_not());
    vmlat_out_string(&out, "-");
    vmlat_out_none(&out);
    status_point_rows(points, n, &out);
    free(points);

    n = vmlat_virt_points(&points);
    vmlat_out_row(&out);
    vmlat_out_string(&out, "virt");
    vmlat_out_string(&out, status_virt_state());
    status_put_or_dash(&out, vmlat_virt_why_not());
    vmlat_out_string(&out, "-");
    vmlat_out_none(&out);
    status_point_rows(points, n, &out);
    free(points);
    vmlat_out_finish(&out, reply);
}

static void
status_summary(struct ds *ds)
    OVS_REQUIRES(vmlat_ports_mutex)
{
    const char *why_not = vmlat_datapath_why_not();
    struct vmlat_setting_info max;

    vmlat_setting_describe(VMLAT_SET_MAX_HISTOGRAMS, &max);

    ds_put_cstr(ds, "state:       ");
    vmlat_put_state(ds);
    ds_put_format(ds, "\ndatapath:    the userspace datapath %s%s\n",
                  why_not ? "cannot be measured: " : "can be measured",
                  why_not ? why_not : "");
    ds_put_cstr(ds, "             ");
    status_kernel_put(ds);
    ds_put_cstr(ds, "             ");
    status_virt_put(ds);
    ds_put_cstr(ds, "clock:       ");
    if (vmlat_clock_hz()) {
        ds_put_format(ds, "%.3f MHz\n", vmlat_clock_hz() / 1e6);
    } else {
        ds_put_cstr(ds, "not calibrated before the first start\n");
    }
    ds_put_format(ds, "histograms:  %u of at most %"PRIu64", %.1f MiB of "
                      "memory\n",
                  vmlat_shards_n_pairs(), max.value / MAX(max.scale, 1),
                  vmlat_shards_memory() / 1048576.0);
    ds_put_cstr(ds, "own cost:    ");
    vmlat_cost_format(ds);
    if (ds_last(ds) != '\n') {
        ds_put_char(ds, '\n');
    }
    if (vmlat_port_n_unslotted()) {
        ds_put_format(ds, "not measured: %u ports beyond the first %d\n",
                      vmlat_port_n_unslotted(), VMLAT_MAX_PORTS - 1);
    }
    status_settings(ds);
    ds_put_char(ds, '\n');
}

/* Shows what is measured and how; with "points", the points in the kernel
 * alone. */
char *
vmlat_command_status(const struct vmlat_args *args, struct ds *reply)
{
    struct vmlat_port_list list;
    struct vmlat_out out;
    struct vmlat_view view;
    char *error;

    if (args->n_words) {
        if (strcmp(args->words[0], "points")) {
            return xasprintf("\"%s\": only \"points\" is known here",
                             args->words[0]);
        }
        status_points(args, reply);
        return NULL;
    }

    ovs_mutex_lock(&vmlat_ports_mutex);
    error = vmlat_view_init(&view, args, false);
    if (!error) {
        if (!args->format_given) {
            status_summary(reply);
            if (vmlat_kernel_is_supported()) {
                status_points(args, reply);
                ds_put_char(reply, '\n');
            }
        }
        vmlat_port_list_init(&list, &view);
        vmlat_out_init(&out, args);
        vmlat_out_columns(&out, "bridge port type role queue how why_not "
                                "polled_by poll_gap_p99_ns poll_gap_max_ns "
                                "vm iface_id attached_mac vm_uuid",
                                "bridge port type role queue how why_not "
                                "polled_by poll_gap_p99 poll_gap_max");
        for (size_t i = 0; i < list.n; i++) {
            status_port(&view, list.ports[i], &out);
        }
        vmlat_out_finish(&out, reply);
        free(list.ports);
    }
    ovs_mutex_unlock(&vmlat_ports_mutex);
    vmlat_view_destroy(&view);
    return error;
}
