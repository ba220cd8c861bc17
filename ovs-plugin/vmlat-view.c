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
#include "vmlat-view.h"

#include <stdlib.h>
#include <string.h>

#include "openvswitch/dynamic-string.h"
#include "util.h"
#include "vmlat.h"
#include "vmlat-command.h"
#include "vmlat-kernel.h"
#include "vmlat-window.h"

const char *const vmlat_segment_names[VMLAT_N_SEGMENTS] = {
#define VMLAT_SEGMENT(ID, NAME, MEANING) NAME,
    VMLAT_SEGMENTS
#undef VMLAT_SEGMENT
};

/* Returns what the database says about 'port'. */
const struct vmlat_db_port *
vmlat_view_db(struct vmlat_view *view, const struct vmlat_port *port)
{
    struct vmlat_view_port *vp = &view->ports[port->slot];

    if (!vp->known) {
        vmlat_db_port_lookup(port->name, &vp->db);
        vp->known = true;
    }
    return &vp->db;
}

/* Returns the name of the bridge that 'port' is in, "-" if the database does
 * not know. */
const char *
vmlat_view_bridge(struct vmlat_view *view, const struct vmlat_port *port)
{
    const char *bridge = vmlat_view_db(view, port)->bridge;

    return bridge ? bridge : "-";
}

/* Returns the name of the VM that 'port' belongs to, NULL if none is known. */
const char *
vmlat_view_vm(struct vmlat_view *view, const struct vmlat_port *port)
{
    return vmlat_view_db(view, port)->vm;
}

/* Frees what 'view' holds. */
void
vmlat_view_destroy(struct vmlat_view *view)
{
    for (size_t i = 0; i < view->n_rows; i++) {
        free(view->rows[i].snapshot);
    }
    free(view->rows);
    free(view->counts);
    free(view->ports);
}

/* Makes 'view' select the port called 'name'. */
static char *
select_port(struct vmlat_view *view, const char *name)
    OVS_REQUIRES(vmlat_ports_mutex)
{
    const struct vmlat_port *port = vmlat_port_from_name(name);
    struct vmlat_db_port db;

    if (view->port && view->port != port) {
        return xasprintf("\"%s\" and \"%s\" cannot both be the port",
                         view->port->name, name);
    }
    view->port = port;
    if (port) {
        return NULL;
    }

    vmlat_db_port_lookup(name, &db);
    return (db.bridge
            ? xasprintf("port \"%s\" of bridge \"%s\" is not measured: it has "
                        "no receive queue in the userspace datapath",
                        name, db.bridge)
            : xasprintf("there is no port \"%s\"", name));
}

/* Initialises 'view' with what 'args' select.  'word_is_port' tells that a
 * bare word cannot be a bridge.  The caller must destroy 'view' in any
 * case. */
char *
vmlat_view_init(struct vmlat_view *view, const struct vmlat_args *args,
                bool word_is_port)
    OVS_REQUIRES(vmlat_ports_mutex)
{
    const char *word = args->n_words ? args->words[0] : NULL;
    char *error = NULL;

    memset(view, 0, sizeof *view);
    view->args = args;
    view->filter = &args->filter;
    view->ports = xcalloc(VMLAT_MAX_PORTS, sizeof *view->ports);

    if (word) {
        if (!word_is_port && vmlat_db_is_bridge(word)) {
            view->bridge = word;
        } else if (!word_is_port && !vmlat_port_from_name(word)) {
            struct vmlat_db_port db;

            vmlat_db_port_lookup(word, &db);
            error = (db.bridge
                     ? select_port(view, word)
                     : xasprintf("there is no bridge or port \"%s\"", word));
        } else {
            error = select_port(view, word);
        }
    }
    if (!error && view->filter->port) {
        error = select_port(view, view->filter->port);
    }
    return error;
}

/* Returns true if neither a bridge nor a port is selected. */
bool
vmlat_view_is_all(const struct vmlat_view *view)
{
    return !view->bridge && !view->port;
}

/* Returns true if 'port' is selected. */
bool
vmlat_view_has_port(struct vmlat_view *view, const struct vmlat_port *port)
{
    return (port
            && (!view->port || view->port == port)
            && (!view->bridge
                || !strcmp(view->bridge, vmlat_view_bridge(view, port))));
}

/* Returns the direction of what goes from 'in' to 'out'. */
enum vmlat_direction
vmlat_direction_of(const struct vmlat_port *in, const struct vmlat_port *out)
{
    static const enum vmlat_direction directions[3][3] = {
        [VMLAT_ROLE_VM] = {
            [VMLAT_ROLE_VM] = VMLAT_DIR_VM_VM,
            [VMLAT_ROLE_WIRE] = VMLAT_DIR_VM_WIRE,
            [VMLAT_ROLE_HOST] = VMLAT_DIR_VM_HOST,
        },
        [VMLAT_ROLE_WIRE] = {
            [VMLAT_ROLE_VM] = VMLAT_DIR_WIRE_VM,
            [VMLAT_ROLE_WIRE] = VMLAT_DIR_WIRE_WIRE,
            [VMLAT_ROLE_HOST] = VMLAT_DIR_WIRE_HOST,
        },
        [VMLAT_ROLE_HOST] = {
            [VMLAT_ROLE_VM] = VMLAT_DIR_HOST_VM,
            [VMLAT_ROLE_WIRE] = VMLAT_DIR_HOST_WIRE,
            [VMLAT_ROLE_HOST] = VMLAT_DIR_HOST_HOST,
        },
    };

    return directions[in->role][out->role];
}

/* Returns true if what went from 'in' to 'out', which may be NULL, is
 * selected. */
bool
vmlat_view_has_pair(struct vmlat_view *view, const struct vmlat_port *in,
              const struct vmlat_port *out)
{
    return ((vmlat_view_has_port(view, in) || vmlat_view_has_port(view, out))
            && (!(view->filter->keys & VMLAT_FILTER_DIRECTION)
                || (in && out && (vmlat_direction_of(in, out)
                                  == view->filter->direction))));
}

const char *
vmlat_row_peer(const struct vmlat_row *row)
{
    return row->out ? row->out->name : "-";
}

const char *
vmlat_row_direction(const struct vmlat_row *row)
{
    return (row->out
            ? vmlat_direction_to_string(vmlat_direction_of(row->in, row->out))
            : "-");
}

static int
compare_rows(const void *a_, const void *b_)
{
    const struct vmlat_row *a = a_;
    const struct vmlat_row *b = b_;
    int cmp;

    cmp = strcmp(a->bridge, b->bridge);
    cmp = cmp ? cmp : strcmp(a->in->name, b->in->name);
    cmp = cmp ? cmp : strcmp(vmlat_row_peer(a), vmlat_row_peer(b));
    return cmp ? cmp : a->segment < b->segment ? -1 : a->segment > b->segment;
}

static void
add_row(const struct vmlat_port *in, const struct vmlat_port *out,
             enum vmlat_segment segment, const struct vmlat_snapshot *s,
             void *view_)
{
    struct vmlat_view *view = view_;
    struct vmlat_row *row;

    if (!s->count || !vmlat_view_has_pair(view, in, out)
        || (segment >= VMLAT_FIRST_STAGE && !view->args->stages)) {
        return;
    }
    if (view->n_rows >= view->allocated_rows) {
        view->rows = x2nrealloc(view->rows, &view->allocated_rows,
                                sizeof *view->rows);
    }
    row = &view->rows[view->n_rows++];
    *row = (struct vmlat_row) {
        .bridge = vmlat_view_bridge(view, in),
        .in = in,
        .out = out,
        .segment = segment,
        .packets = s->count,
    };
    if (view->keep_snapshots) {
        row->snapshot = xmemdup(s, sizeof *s);
    } else {
        row->min = s->min;
        row->p50 = vmlat_snapshot_percentile(s, 50);
        row->p90 = vmlat_snapshot_percentile(s, 90);
        row->p99 = vmlat_snapshot_percentile(s, 99);
        row->p999 = vmlat_snapshot_percentile(s, 99.9);
        row->max = s->max;
    }
}

/* Gives the first row of each pair that is in 'counts' what is there. */
static void
add_counts(struct vmlat_view *view)
    OVS_REQUIRES(vmlat_ports_mutex)
{
    size_t n = vmlat_window_pair_counts(view->args->base, &view->counts);
    const struct vmlat_row *before = NULL;

    for (size_t i = 0; i < view->n_rows; i++) {
        struct vmlat_row *row = &view->rows[i];

        if (row->out && (!before || before->in != row->in
                         || before->out != row->out)) {
            row->counts = vmlat_window_find_pair(view->counts, n,
                                                 row->in->slot,
                                                 row->out->slot);
        }
        before = row;
    }
}

/* Fills in 'view's rows. */
void
vmlat_view_read(struct vmlat_view *view)
    OVS_REQUIRES(vmlat_ports_mutex)
{
    vmlat_window_pairs(view->args->base, add_row, view);
    if (view->n_rows) {
        qsort(view->rows, view->n_rows, sizeof *view->rows, compare_rows);
    }
    if (view->args->stages) {
        add_counts(view);
    }
}

static void
list_port(struct vmlat_port *port, void *list_)
{
    struct vmlat_port_list *list = list_;

    if (vmlat_view_has_port(list->view, port)) {
        if (list->n >= list->allocated) {
            list->ports = x2nrealloc(list->ports, &list->allocated,
                                     sizeof *list->ports);
        }
        list->ports[list->n++] = port;
    }
}

static int
compare_ports(const void *a_, const void *b_)
{
    const struct vmlat_port *const *a = a_;
    const struct vmlat_port *const *b = b_;

    return strcmp((*a)->name, (*b)->name);
}

/* Fills in 'list', whose 'ports' the caller must free, with the ports that
 * 'view' selects, by name. */
void
vmlat_port_list_init(struct vmlat_port_list *list, struct vmlat_view *view)
    OVS_REQUIRES(vmlat_ports_mutex)
{
    memset(list, 0, sizeof *list);
    list->view = view;
    vmlat_port_for_each(list_port, list);
    if (list->n) {
        qsort(list->ports, list->n, sizeof *list->ports, compare_ports);
    }
}

const char *
vmlat_point_name(unsigned int point)
{
    static const char *const names[VMLAT_N_POINTS] = {
#define VMLAT_BPF_POINT(ID, NAME) NAME,
        VMLAT_BPF_POINTS
#undef VMLAT_BPF_POINT
    };

    return point < VMLAT_N_POINTS ? names[point] : "-";
}

void
vmlat_out_slot(struct vmlat_out *out, struct vmlat_view *view, uint16_t slot)
{
    const struct vmlat_port *port = vmlat_port_from_slot(slot);

    vmlat_out_port(out, port ? port->name : "-",
                   port ? vmlat_view_vm(view, port) : NULL);
}

void
vmlat_put_kernel_state(struct ds *ds)
{
    const char *why_not = vmlat_kernel_why_not();

    if (why_not) {
        ds_put_format(ds, "the kernel datapath is not measured: %s\n",
                      why_not);
    } else if (vmlat_state() == VMLAT_STARTED
               && vmlat_kernel_state() == VMLAT_KERNEL_OFF) {
        ds_put_cstr(ds, "no datapath of the kernel has ports\n");
    }
}

/* Makes the state the caption of 'out'. */
void
vmlat_out_state(struct vmlat_out *out, const struct vmlat_args *args)
{
    if (out->people) {
        struct ds ds = DS_EMPTY_INITIALIZER;

        vmlat_put_scope(&ds, args);
        vmlat_out_caption(out, ds_cstr(&ds));
        ds_destroy(&ds);
    }
}
