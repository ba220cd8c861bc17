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

#ifndef VMLAT_VIEW_H
#define VMLAT_VIEW_H 1

/* What a command that shows something looks at: the ports and pairs of ports
 * that its arguments select, with what was measured.
 *
 * All of this runs on the main thread, which holds vmlat_ports_mutex.  Threads
 * that measure do not take that mutex. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "openvswitch/thread.h"
#include "vmlat-db.h"
#include "vmlat-filter.h"
#include "vmlat-port.h"
#include "vmlat-shard.h"
#include "vmlat-tables.h"

struct ds;
struct vmlat_args;
struct vmlat_out;

extern const char *const vmlat_segment_names[VMLAT_N_SEGMENTS];

/* One line of vmlat/show, or one histogram. */
struct vmlat_row {
    const char *bridge;
    const struct vmlat_port *in;
    const struct vmlat_port *out;   /* NULL if it is of no pair. */
    enum vmlat_segment segment;
    uint64_t packets, min, p50, p90, p99, p999, max;
    struct vmlat_snapshot *snapshot; /* If view's keep_snapshots. */

    /* What a pair counts beside, in its first row; NULL in others. */
    const struct vmlat_kernel_pair *counts;
};

/* What a command looks at, and what it needs to know about ports. */
struct vmlat_view {
    const struct vmlat_args *args;
    const struct vmlat_filter *filter;

    /* What was selected; NULL is everything. */
    const char *bridge;
    const struct vmlat_port *port;

    /* The database's part, looked up once for each port. */
    struct vmlat_view_port {
        bool known;
        struct vmlat_db_port db;
    } *ports;

    /* Results. */
    bool keep_snapshots;
    struct vmlat_row *rows;
    size_t n_rows, allocated_rows;
    struct vmlat_kernel_pair *counts; /* Of rows. */
};

char *vmlat_view_init(struct vmlat_view *, const struct vmlat_args *,
                      bool word_is_port)
    OVS_REQUIRES(vmlat_ports_mutex);
void vmlat_view_destroy(struct vmlat_view *);

void vmlat_view_read(struct vmlat_view *) OVS_REQUIRES(vmlat_ports_mutex);

bool vmlat_view_is_all(const struct vmlat_view *);
bool vmlat_view_has_port(struct vmlat_view *, const struct vmlat_port *);
bool vmlat_view_has_pair(struct vmlat_view *, const struct vmlat_port *in,
                         const struct vmlat_port *out);

const struct vmlat_db_port *vmlat_view_db(struct vmlat_view *,
                                          const struct vmlat_port *);
const char *vmlat_view_bridge(struct vmlat_view *, const struct vmlat_port *);
const char *vmlat_view_vm(struct vmlat_view *, const struct vmlat_port *);

enum vmlat_direction vmlat_direction_of(const struct vmlat_port *in,
                                        const struct vmlat_port *out);
const char *vmlat_row_peer(const struct vmlat_row *);
const char *vmlat_row_direction(const struct vmlat_row *);

/* The ports that a view selects, by name. */
struct vmlat_port_list {
    struct vmlat_view *view;
    const struct vmlat_port **ports;
    size_t n, allocated;
};

void vmlat_port_list_init(struct vmlat_port_list *, struct vmlat_view *)
    OVS_REQUIRES(vmlat_ports_mutex);

/* Names of enum vmlat_bpf_point. */
const char *vmlat_point_name(unsigned int point);

/* A cell for the port in a slot, "-" if there is none. */
void vmlat_out_slot(struct vmlat_out *, struct vmlat_view *, uint16_t slot);

/* Appends, for people who look at what is of the kernel datapath only, a line
 * that says why there may be nothing, if so. */
void vmlat_put_kernel_state(struct ds *);

void vmlat_out_state(struct vmlat_out *, const struct vmlat_args *);

#endif /* vmlat-view.h */
