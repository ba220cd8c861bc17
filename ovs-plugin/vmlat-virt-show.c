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

/* vmlat/virt. */

#include <config.h>
#include "vmlat-view.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "openvswitch/dynamic-string.h"
#include "openvswitch/vlog.h"
#include "util.h"
#include "vmlat-command.h"
#include "vmlat-virt.h"
#include "vmlat-window.h"

VLOG_DEFINE_THIS_MODULE(vmlat_virt_show);

static const char *fate_headings[] = {
#define VMLAT_VIRT_FATE(ID, HEADING, MEANING) HEADING,
    VMLAT_VIRT_FATES
#undef VMLAT_VIRT_FATE
};

static const char *kick_headings[] = {
#define VMLAT_VIRT_KICK(ID, HEADING, MEANING) HEADING,
    VMLAT_VIRT_KICKS
#undef VMLAT_VIRT_KICK
};

static const char *vcpu_headings[] = {
#define VMLAT_VIRT_VCPU(ID, HEADING, MEANING) HEADING,
    VMLAT_VIRT_VCPUS
#undef VMLAT_VIRT_VCPU
};

const char *
vmlat_virt_fate_name(unsigned int fate)
{
    return fate < ARRAY_SIZE(fate_headings) ? fate_headings[fate] : "-";
}

const char *
vmlat_virt_kick_name(unsigned int kick)
{
    return kick < ARRAY_SIZE(kick_headings) ? kick_headings[kick] : "-";
}

const char *
vmlat_virt_vcpu_name(unsigned int vcpu)
{
    return vcpu < ARRAY_SIZE(vcpu_headings) ? vcpu_headings[vcpu] : "-";
}

/* What is to be shown. */
struct virt {
    struct vmlat_view *view;
    struct vmlat_virt_port *ports;  /* Those selected. */
    size_t n;
};

/* A group of columns, one for each of 'n' names, with the counters at 'offset'
 * of struct vmlat_virt_counts. */
struct group {
    const char **names;
    size_t n;
    size_t offset;
};

static const uint64_t *
group_values(const struct group *g, const struct vmlat_virt_port *port)
{
    return ALIGNED_CAST(const uint64_t *,
                        (const char *) &port->counts + g->offset);
}

/* Returns true if column 'i' of 'g' is shown: people see the first 'n_always'
 * ones, and others that are not 0. */
static bool
group_shows(const struct virt *virt, const struct group *g, size_t i,
            size_t n_always, bool people)
{
    bool shows = !people || i < n_always;

    for (size_t j = 0; !shows && j < virt->n; j++) {
        shows = group_values(g, &virt->ports[j])[i];
    }
    return shows;
}

static void
group_columns(const struct virt *virt, const struct group *g, size_t n_always,
              struct vmlat_out *out)
{
    for (size_t i = 0; i < g->n; i++) {
        if (group_shows(virt, g, i, n_always, out->people)) {
            vmlat_out_columns(out, g->names[i], NULL);
        }
    }
}

static void
group_cells(const struct virt *virt, const struct group *g, size_t n_always,
            const struct vmlat_virt_port *port, struct vmlat_out *out)
{
    for (size_t i = 0; i < g->n; i++) {
        if (group_shows(virt, g, i, n_always, out->people)) {
            vmlat_out_integer(out, group_values(g, port)[i]);
        }
    }
}

static void
begin_row(const struct virt *virt, const struct vmlat_virt_port *vp,
          struct vmlat_out *out)
{
    vmlat_out_row(out);
    vmlat_out_slot(out, virt->view, vp->slot);
}

/* Returns 'n', which says how many there are that have no end yet: 0 if
 * counters do not add up, which another line says. */
static uint64_t
rest(int64_t n)
{
    return MAX(n, 0);
}

static void
show_to_vm(const struct virt *virt, struct vmlat_out *out)
{
    static const struct group fates = {
        fate_headings, VMLAT_VIRT_N_FATES,
        offsetof(struct vmlat_virt_counts, fates)
    };
    bool interval = virt->view->args->base != NULL;

    vmlat_out_columns(out, "port packets", NULL);
    if (interval) {
        vmlat_out_columns(out, "inside_before", NULL);
    }
    group_columns(virt, &fates, 3, out);
    vmlat_out_columns(out, "inside signals merged deferred empty_signals "
                           "not_followed", NULL);
    for (size_t i = 0; i < virt->n; i++) {
        const struct vmlat_virt_port *vp = &virt->ports[i];
        const struct vmlat_virt_counts *c = &vp->counts;

        begin_row(virt, vp, out);
        vmlat_out_integer(out, c->entered[0]);
        if (interval) {
            vmlat_out_integer(out, vp->inside_before);
        }
        group_cells(virt, &fates, 3, vp, out);
        vmlat_out_integer(out, rest(vmlat_virt_inside(vp)));
        vmlat_out_integer(out, c->signals[0]);
        vmlat_out_integer(out, c->merged[0]);
        vmlat_out_integer(out, c->deferred[0]);
        vmlat_out_integer(out, c->empty_signals[0]);
        vmlat_out_integer(out, c->unknown[0]);
    }
}

static void
show_from_vm(const struct virt *virt, struct vmlat_out *out)
{
    static const struct group kicks = {
        kick_headings, VMLAT_VIRT_N_KICKS,
        offsetof(struct vmlat_virt_counts, kicks)
    };

    vmlat_out_columns(out, "port packets", NULL);
    group_columns(virt, &kicks, 3, out);
    vmlat_out_columns(out, "counting kicks coalesced_kicks batches", NULL);
    for (size_t i = 0; i < virt->n; i++) {
        const struct vmlat_virt_port *vp = &virt->ports[i];
        const struct vmlat_virt_counts *c = &vp->counts;

        if (vmlat_port_from_slot(vp->slot)->is_vhost) {
            continue;           /* OVS polls its ring. */
        }
        begin_row(virt, vp, out);
        vmlat_out_integer(out, (c->received[0]
                                + c->kicks[VMLAT_VK_TAP_DROPPED]));
        group_cells(virt, &kicks, 3, vp, out);
        vmlat_out_integer(out, rest(vmlat_virt_counting(vp)));
        vmlat_out_integer(out, c->guest_kicks[0]);
        vmlat_out_integer(out, c->coalesced_kicks[0]);
        vmlat_out_integer(out, c->batches[0]);
    }
}

static void
show_vcpus(const struct virt *virt, struct vmlat_out *out)
{
    static const struct group vcpus = {
        vcpu_headings, VMLAT_VIRT_N_VCPUS,
        offsetof(struct vmlat_virt_counts, vcpu)
    };
    bool interval = virt->view->args->base != NULL;

    vmlat_out_columns(out, "port packets", NULL);
    if (interval) {
        vmlat_out_columns(out, "waiting_before", NULL);
    }
    group_columns(virt, &vcpus, VMLAT_VV_POSTED + 1, out);
    vmlat_out_columns(out, "waiting", NULL);
    for (size_t i = 0; i < virt->n; i++) {
        const struct vmlat_virt_port *vp = &virt->ports[i];
        const struct vmlat_virt_counts *c = &vp->counts;

        begin_row(virt, vp, out);
        vmlat_out_integer(out, (c->fates[VMLAT_VF_OWN]
                                + c->fates[VMLAT_VF_SHARED]));
        if (interval) {
            vmlat_out_integer(out, vp->waiting_before);
        }
        group_cells(virt, &vcpus, VMLAT_VV_POSTED + 1, vp, out);
        vmlat_out_integer(out, rest(vmlat_virt_waiting(vp)));
    }
}

static void
depth_cells(const struct vmlat_virt_depth *depth, struct vmlat_out *out)
{
    vmlat_out_integer(out, depth->samples);
    if (depth->samples) {
        vmlat_out_real(out, (double) depth->total / depth->samples);
        vmlat_out_integer(out, depth->max);
    } else {
        vmlat_out_none(out);
        vmlat_out_none(out);
    }
}

static void
show_queues(const struct virt *virt, struct vmlat_out *out)
{
    vmlat_out_columns(out, "port tap_ring_samples tap_ring_avg tap_ring_max "
                           "vring_samples vring_avg vring_max", NULL);
    for (size_t i = 0; i < virt->n; i++) {
        const struct vmlat_virt_port *vp = &virt->ports[i];

        begin_row(virt, vp, out);
        depth_cells(&vp->tap_ring, out);
        depth_cells(&vp->vring, out);
    }
}

/* The tables. */
static const struct virt_table {
    const char *name;
    const char *title;          /* For people who see all of them. */
    void (*show)(const struct virt *, struct vmlat_out *);
} tables[] = {
    { "to-vm", "to the VM: what became of each packet, and interrupts",
      show_to_vm },
    { "from-vm", "from the VM: how each packet was found, and kicks",
      show_from_vm },
    { "vcpus", "the vCPU, when the interrupt was injected, by packets",
      show_vcpus },
    { "queues", "packets in the tap's ring, free buffers in the VM's vring",
      show_queues },
};

static const struct virt_table *
find_table(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        if (!strcmp(tables[i].name, name)) {
            return &tables[i];
        }
    }
    return NULL;
}

/* Appends, for people, what does not add up, which is a bug. */
static void
check_ports(const struct virt *virt, struct ds *reply)
{
    const struct vmlat_args *args = virt->view->args;

    for (size_t i = 0; i < virt->n; i++) {
        const struct vmlat_virt_port *vp = &virt->ports[i];
        const struct vmlat_port *port = vmlat_port_from_slot(vp->slot);
        const char *what = (vmlat_virt_inside(vp) < 0 ? "packets to the VM"
                            : vmlat_virt_waiting(vp) < 0 ? "vCPUs"
                            : vmlat_virt_counting(vp) < 0
                            ? "packets from the VM" : NULL);

        if (!what || (args->base && vmlat_base_is_anew(args->base))) {
            continue;
        }
        VLOG_ERR("the account of %s, %s, does not add up: this is a bug",
                 port->name, what);
        if (args->style.format == TF_TABLE) {
            ds_put_cstr(reply, "BUG: the account of ");
            vmlat_put_port(reply, port->name,
                           vmlat_view_vm(virt->view, port));
            ds_put_format(reply, ", %s, does not add up\n", what);
        }
    }
}

/* Reads the ports that 'view' selects. */
static void
virt_init(struct virt *virt, struct vmlat_view *view)
    OVS_REQUIRES(vmlat_ports_mutex)
{
    size_t n;

    virt->view = view;
    virt->n = 0;
    n = vmlat_window_virt(view->args->base, &virt->ports);
    for (size_t i = 0; i < n; i++) {
        const struct vmlat_port *port
            = vmlat_port_from_slot(virt->ports[i].slot);

        if (vmlat_view_has_port(view, port)) {
            virt->ports[virt->n++] = virt->ports[i];
        }
    }
}

/* Appends why there may be nothing, or more than was asked for. */
static void
put_why_not(struct ds *ds)
{
    const char *why_not = vmlat_virt_why_not();

    if (vmlat_virt_event_has_filter()) {
        ds_put_cstr(ds, "the filter of vmlat/start does not apply here: all "
                        "packets are counted\n");
    }
    if (why_not) {
        ds_put_format(ds, "%s: %s\n",
                      (vmlat_virt_state() == VMLAT_VIRT_ON
                       ? "measured in part" : "not measured"), why_not);
    } else if (vmlat_virt_state() == VMLAT_VIRT_OFF) {
        ds_put_cstr(ds, "no port is a tap of a VM or vhost-user, or nothing "
                    "is measured\n");
    }
}

/* Shows what became of packets between ports and VMs, and what they met. */
char *
vmlat_command_virt(const struct vmlat_args *args_, struct ds *reply)
{
    const struct virt_table *table = NULL;
    struct vmlat_args args = *args_;
    struct vmlat_view view;
    char *error;

    if (args.n_words) {
        table = find_table(args.words[0]);
        if (table) {
            args.words[0] = args.words[1];
            args.n_words--;
        } else if (args.n_words > 1) {
            return xasprintf("\"%s\": must be to-vm, from-vm, vcpus or queues",
                             args.words[0]);
        }
    }

    ovs_mutex_lock(&vmlat_ports_mutex);
    error = vmlat_view_init(&view, &args, false);
    if (!error && !args.check_only) {
        bool all = !table && !args.format_given;
        struct virt virt;

        virt_init(&virt, &view);
        if (all) {
            vmlat_put_scope(reply, &args);
            ds_put_char(reply, '\n');
            put_why_not(reply);
        }
        for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
            struct vmlat_out out;

            if (!all && &tables[i] != (table ? table : &tables[0])) {
                continue;
            }
            vmlat_out_init(&out, &args);
            if (all) {
                ds_put_char(reply, '\n');
                vmlat_out_caption(&out, tables[i].title);
            } else {
                vmlat_out_state(&out, &args);
            }
            tables[i].show(&virt, &out);
            vmlat_out_finish(&out, reply);
        }
        check_ports(&virt, reply);
        free(virt.ports);
    }
    ovs_mutex_unlock(&vmlat_ports_mutex);
    vmlat_view_destroy(&view);
    return error;
}
