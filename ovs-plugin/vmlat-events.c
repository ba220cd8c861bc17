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

/* vmlat/events. */

#include <config.h>
#include "vmlat-view.h"

#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "openvswitch/json.h"
#include "timeval.h"
#include "util.h"
#include "vmlat-clock.h"
#include "vmlat-command.h"
#include "vmlat-event.h"
#include "vmlat-kernel.h"
#include "vmlat-packet.h"
#include "vmlat-record-file.h"
#include "vmlat-settings.h"
#include "vmlat-virt.h"
#include "vmlat-window.h"

#define DEFAULT_N_EVENTS 20

/* An event: of either datapath, of the way between a port and its VM, or, of
 * the kernel datapath, of these ways with it. */
struct event {
    uint64_t wall_us;               /* When it left. */
    uint64_t end_ns;                /* The same, if not of 'user'. */
    size_t order;                   /* Among those of the same time. */
    uint64_t residence_ns;
    uint16_t in, out;               /* Slots. */
    bool upcall, copy;
    uint32_t size, length;
    const uint8_t *bytes;

    /* The parts of the way: 'user' alone, 'kernel' with or without the other
     * two, or one of these.  NULL if there is no such part. */
    const struct vmlat_event *user;
    const struct vmlat_bpf_event *kernel;
    const struct vmlat_virt_event *from;
    const struct vmlat_virt_event *to;
};

/* All that there are, newest first. */
struct event_list {
    struct vmlat_event *user;
    struct vmlat_bpf_event *kernel;
    struct vmlat_virt_event *virt;
    struct event *events;
    size_t n;
    uint64_t n_lost;
};

/* A point or mark on the way of a packet. */
struct mark {
    const char *name;
    uint64_t ns;
    int point;                      /* Of 'kernel', -1: not of it. */
};

/* The parts of the way have so many at most, and the vCPU's wakeup. */
#define MAX_MARKS (VMLAT_N_POINTS + 2 * VMLAT_VIRT_EVENT_MARKS + 1)

/* Appends the marks of 'virt' from mark number 'first' on, but for those from
 * number 'end' on, to the 'n' of 'marks'.  Returns their number. */
static size_t
get_virt_marks(const struct vmlat_virt_event *virt, size_t first, size_t end,
               struct mark *marks, size_t n)
{
    for (size_t i = first; i < end; i++) {
        if (virt->kind == VMLAT_REC_VM_RX && i == VMLAT_MARK_VM_RX_VCPU
            && virt->t[i] && virt->woken_ns) {
            marks[n++] = (struct mark) { "vcpu-woken", virt->woken_ns, -1 };
        }
        if (virt->t[i]) {
            marks[n++] = (struct mark) {
                vmlat_record_mark_name(virt->kind, i), virt->t[i], -1
            };
        }
    }
    return n;
}

/* Stores all that 'event', which is none of the userspace datapath, passed, in
 * order.  Returns their number, which is not 0.  Where parts of the way meet,
 * the datapath's reading of the clock stands for both. */
static size_t
get_marks(const struct event *event, struct mark marks[MAX_MARKS])
{
    const struct vmlat_bpf_event *kernel = event->kernel;
    size_t n = 0;

    if (event->from) {
        n = get_virt_marks(event->from, 0,
                           VMLAT_MARK_VM_TX_RX + (kernel ? 0 : 1), marks, n);
    }
    for (unsigned int i = 0; kernel && i < VMLAT_N_POINTS; i++) {
        if (kernel->packet.t[i]) {
            marks[n++] = (struct mark) {
                vmlat_point_name(i), kernel->packet.t[i], i
            };
        }
    }
    if (event->to) {
        n = get_virt_marks(event->to, VMLAT_MARK_VM_RX_TX + (kernel ? 1 : 0),
                           VMLAT_MARK_VM_RX_VCPU + 1, marks, n);
    }
    return n;
}

/* Returns true if 'virt', which is of the way to a VM, is of the packet of
 * 'kernel': that was the same skb, going to the same port, which was given no
 * other packet in between.  The programs of the datapath come first there. */
static bool
went_to(const struct vmlat_bpf_event *kernel,
        const struct vmlat_virt_event *virt, uint16_t slot)
{
    uint64_t left = kernel->packet.t[VMLAT_P_TX];
    uint64_t given = virt->t[VMLAT_MARK_VM_RX_TX];

    return (kernel->packet.out == slot
            && (uint32_t) ((kernel->skb - virt->base) >> 7) == virt->skb
            && given >= left && given - left < virt->before_ns);
}

/* Returns true if 'virt', which is of the way from a VM, is of the packet of
 * 'kernel': that came from the same port and was in OVS, in the same thread,
 * before that gave the port another packet.  If the programs of the datapath
 * come last there, this is never so. */
static bool
came_from(const struct vmlat_bpf_event *kernel,
          const struct vmlat_virt_event *virt, uint16_t slot)
{
    const struct vmlat_bpf_detail *points = kernel->details.points;
    uint64_t entered = kernel->packet.t[VMLAT_P_RX];
    uint64_t in_ovs = kernel->packet.t[VMLAT_P_OVS];
    uint64_t received = virt->t[VMLAT_MARK_VM_TX_RX];

    return (kernel->packet.in == slot && entered && in_ovs
            && points[VMLAT_P_RX].tid == virt->tid
            && points[VMLAT_P_OVS].tid == virt->tid
            && received >= entered && received <= in_ovs
            && received - entered < virt->before_ns);
}

/* Returns what to add to a time of CLOCK_MONOTONIC to get wall-clock time,
 * both in ns. */
static uint64_t
monotonic_to_wall(void)
{
    struct timespec mono, wall;

    clock_gettime(CLOCK_MONOTONIC, &mono);
    clock_gettime(CLOCK_REALTIME, &wall);
    return ((wall.tv_sec - mono.tv_sec) * UINT64_C(1000000000)
            + wall.tv_nsec - mono.tv_nsec);
}

static int
compare_events(const void *a_, const void *b_)
{
    const struct event *a = a_;
    const struct event *b = b_;

    return (a->wall_us > b->wall_us ? -1 : a->wall_us < b->wall_us ? 1
            : a->order < b->order ? -1 : a->order > b->order);
}

/* Sets what follows from the parts of 'event', which is none of the userspace
 * datapath. */
static void
event_set_times(struct event *event, uint64_t to_wall)
{
    struct mark marks[MAX_MARKS];
    size_t n = get_marks(event, marks);

    event->end_ns = marks[n - 1].ns;
    event->wall_us = (event->end_ns + to_wall) / 1000;
    event->residence_ns = event->end_ns - marks[0].ns;
}

/* Adds the 'n' events at list->virt: to those of the same packet among the
 * 'n_kernel' last ones of the list, all of the kernel datapath, or as events
 * of their own. */
static void
event_list_add_virt(struct event_list *list, size_t n_kernel, size_t n)
{
    struct event *kernels = &list->events[list->n - n_kernel];

    for (size_t i = 0; i < n; i++) {
        const struct vmlat_virt_event *virt = &list->virt[i];
        bool to = virt->kind == VMLAT_REC_VM_RX;
        uint16_t slot = vmlat_virt_row_slot(virt->row);
        bool joined = false;

        for (size_t j = 0; slot && j < n_kernel; j++) {
            if (to && went_to(kernels[j].kernel, virt, slot)) {
                kernels[j].to = virt;
                joined = true;
            } else if (!to && came_from(kernels[j].kernel, virt, slot)) {
                kernels[j].from = virt;
                joined = true;
            }
        }
        if (!joined) {
            list->events[list->n++] = (struct event) {
                .in = to ? 0 : slot,
                .out = to ? slot : 0,
                .size = MIN(virt->size, sizeof virt->bytes),
                .length = virt->length,
                .bytes = virt->bytes,
                .from = to ? NULL : virt,
                .to = to ? virt : NULL,
            };
        }
    }
}

static void
event_list_init(struct event_list *list, const struct vmlat_base *base)
    OVS_REQUIRES(vmlat_ports_mutex)
{
    uint64_t to_wall = monotonic_to_wall();
    uint64_t n_kernel_lost, n_virt_lost;
    size_t n_user, n_kernel, n_virt, n = 0;

    list->user = vmlat_events_read(&n_user, &list->n_lost);
    n_kernel = vmlat_kernel_events_read(&list->kernel, &n_kernel_lost);
    n_virt = vmlat_virt_events_read(&list->virt, &n_virt_lost);
    list->n_lost += n_kernel_lost + n_virt_lost;
    if (base) {
        list->n_lost -= MIN(vmlat_base_events_lost(base), list->n_lost);
    }
    list->events = xmalloc((n_user + n_kernel + n_virt + 1)
                           * sizeof *list->events);
    list->n = 0;

    for (size_t i = 0; i < n_user; i++) {
        const struct vmlat_event *user = &list->user[i];

        if (base && user->tx_ticks < vmlat_base_ticks(base)) {
            continue;
        }
        list->events[list->n++] = (struct event) {
            .wall_us = vmlat_clock_wall_us(user->tx_ticks),
            .residence_ns = vmlat_clock_ns(user->tx_ticks - user->rx_ticks),
            .in = user->in,
            .out = user->out,
            .upcall = user->upcall,
            .copy = user->copy,
            .size = user->size,
            .length = user->length,
            .bytes = user->bytes,
            .user = user,
        };
    }
    for (size_t i = 0; i < n_kernel; i++) {
        const struct vmlat_bpf_event *kernel = &list->kernel[i];
        const struct vmlat_bpf_packet *packet = &kernel->packet;

        list->events[list->n++] = (struct event) {
            .in = packet->in,
            .out = packet->out,
            .upcall = packet->flags & VMLAT_PKT_UPCALL,
            .copy = packet->flags & VMLAT_PKT_COPY,
            .size = MIN(kernel->size, sizeof kernel->bytes),
            .length = kernel->length,
            .bytes = kernel->bytes,
            .kernel = kernel,
        };
    }

    event_list_add_virt(list, n_kernel, n_virt);
    for (size_t i = 0; i < list->n; i++) {
        struct event *event = &list->events[i];

        if (!event->user) {
            event_set_times(event, to_wall);
            if (base && event->end_ns < vmlat_base_ns(base)) {
                continue;
            }
        }
        list->events[n++] = *event;
    }
    list->n = n;

    /* Those of each kind are in order already, and by more than
     * microseconds. */
    for (size_t i = 0; i < list->n; i++) {
        list->events[i].order = i;
    }
    qsort(list->events, list->n, sizeof *list->events, compare_events);
}

static void
event_list_destroy(struct event_list *list)
{
    free(list->user);
    free(list->kernel);
    free(list->virt);
    free(list->events);
}

/* Returns true if 'event' passes all of the filter that is not about the
 * packet's headers. */
static bool
event_matches(struct vmlat_view *view, const struct event *event)
{
    return (vmlat_view_has_pair(view, vmlat_port_from_slot(event->in),
                                vmlat_port_from_slot(event->out))
            && event->residence_ns >= view->filter->min_ns);
}

/* Appends the wall-clock time 'us': for people local and with the date only
 * when that is not today, else as in RFC 3339. */
static void
put_wall_time(uint64_t us, bool people, struct ds *ds)
{
    time_t now = time_wall(), sec = us / 1000000;
    struct tm tm, today;

    if (!people) {
        gmtime_r(&sec, &tm);
        ds_put_strftime_msec(ds, "%Y-%m-%dT%H:%M:%S", sec * 1000LL, true);
        ds_put_format(ds, ".%06"PRIu64"Z", us % 1000000);
        return;
    }
    localtime_r(&sec, &tm);
    localtime_r(&now, &today);
    ds_put_strftime_msec(ds, (tm.tm_yday == today.tm_yday
                              && tm.tm_year == today.tm_year
                              ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S"),
                         sec * 1000LL, false);
    ds_put_format(ds, ".%06"PRIu64, us % 1000000);
}

/* Appends the ports, with 'rxq' behind the first one. */
static void
put_ports(struct vmlat_view *view, const struct event *event,
          const char *rxq, struct ds *ds)
{
    const struct vmlat_port *in = vmlat_port_from_slot(event->in);
    const struct vmlat_port *out = vmlat_port_from_slot(event->out);

    vmlat_put_port(ds, in ? in->name : "-",
                   in ? vmlat_view_vm(view, in) : NULL);
    ds_put_format(ds, "%s > ", rxq);
    vmlat_put_port(ds, out ? out->name : "-",
                   out ? vmlat_view_vm(view, out) : NULL);
}

static void
put_event_packet(const struct event *event, const struct vmlat_packet *packet,
                 struct ds *ds)
{
    if (event->size) {
        vmlat_packet_format(packet, ds);
    } else {
        ds_put_char(ds, '-');
    }
}

/* Appends an event of the userspace datapath as one line for people. */
static void
put_user_event(struct vmlat_view *view, const struct event *event,
               const struct vmlat_packet *packet, struct ds *ds)
{
    const struct vmlat_event *user = event->user;
    char *rxq = xasprintf(" q%"PRIu16, user->rxq);

    put_wall_time(event->wall_us, true, ds);
    ds_put_char(ds, ' ');
    vmlat_put_us(ds, event->residence_ns);
    ds_put_char(ds, ' ');
    put_ports(view, event, rxq, ds);
    ds_put_cstr(ds, ": ");
    if (event->size) {
        put_event_packet(event, packet, ds);
        ds_put_format(ds, ", %"PRIu32" bytes", event->length);
    } else {
        ds_put_cstr(ds, "headers not kept");
    }
    ds_put_format(ds, ", %s", event->upcall ? "upcall" : "no upcall");
    if (user->core >= 0) {
        ds_put_format(ds, ", core %"PRId16, user->core);
    }
    if (event->size) {
        ds_put_format(ds, ", place %"PRIu8, user->place);
    }
    ds_put_format(ds, "%s\n", event->copy ? ", a copy" : "");
    free(rxq);
}

/* Stores in 'comm' the name of the thread that was running at a point: the
 * handler's came with the event, that of another one is asked for now, "-" if
 * it has gone. */
static void
point_comm(const struct vmlat_bpf_event *kernel, unsigned int point,
           char comm[16])
{
    const struct vmlat_bpf_details *details = &kernel->details;
    uint32_t tid = details->points[point].tid;
    uint32_t handler = details->points[VMLAT_P_HANDLER].tid;
    char path[64];
    FILE *file;

    ovs_strlcpy(comm, "-", 16);
    if (!tid) {
        ovs_strlcpy(comm, "idle", 16);
        return;
    } else if (details->comm[0] && tid == handler) {
        snprintf(comm, 16, "%.*s", 15, details->comm);
        return;
    }
    snprintf(path, sizeof path, "/proc/%"PRIu32"/comm", tid);
    file = fopen(path, "r");
    if (file) {
        if (fgets(comm, 16, file)) {
            comm[strcspn(comm, "\n")] = '\0';
        }
        fclose(file);
    }
}

/* Stores in 'name' that of the device at a point, "-" if there was none. */
static void
point_device(const struct vmlat_bpf_detail *detail, char name[IF_NAMESIZE])
{
    if (!detail->ifindex) {
        ovs_strlcpy(name, "-", IF_NAMESIZE);
    } else if (!if_indextoname(detail->ifindex, name)) {
        snprintf(name, IF_NAMESIZE, "if%"PRIu32, detail->ifindex);
    }
}

/* Cuts the first function off '*stack', which is as
 * vmlat_kernel_stack_format() has it.  Returns NULL at the end. */
static char *
next_function(char **stack)
{
    static const char separator[] = " < ";
    char *function = *stack;
    char *end = function ? strstr(function, separator) : NULL;

    if (end) {
        *end = '\0';
        *stack = end + strlen(separator);
    } else {
        *stack = NULL;
    }
    return function;
}

/* Returns true if 'a' and 'b' were passed without a change of CPU or
 * thread. */
static bool
same_context(const struct vmlat_bpf_detail *a,
             const struct vmlat_bpf_detail *b)
{
    return a->cpu == b->cpu && a->tid == b->tid;
}

/* Appends where the packet was at each point: CPU and thread, and what it
 * passed there. */
static void
put_contexts(const struct vmlat_bpf_event *kernel, struct ds *ds)
{
    const struct vmlat_bpf_detail *before = NULL;

    for (unsigned int i = 0; i < VMLAT_N_POINTS; i++) {
        const struct vmlat_bpf_detail *d = &kernel->details.points[i];
        char device[IF_NAMESIZE];

        if (!kernel->packet.t[i]) {
            continue;
        }
        if (!before || !same_context(before, d)) {
            char comm[16];

            point_comm(kernel, i, comm);
            ds_put_format(ds, "%s    cpu %"PRIu16" pid %"PRIu32" (",
                          before ? "\n" : "", d->cpu, d->tid);
            vmlat_put_clean(ds, comm);
            ds_put_cstr(ds, "):");
        } else {
            ds_put_char(ds, ',');
        }
        ds_put_format(ds, " %s", vmlat_point_name(i));
        if (d->ifindex) {
            point_device(d, device);
            ds_put_char(ds, ' ');
            vmlat_put_clean(ds, device);
            ds_put_format(ds, " q%"PRIu16, d->queue);
        }
        before = d;
    }
    ds_put_char(ds, '\n');
}

static void
put_stacks(const struct vmlat_bpf_event *kernel, struct ds *ds)
{
    for (unsigned int i = 0; i < VMLAT_N_POINTS; i++) {
        int32_t stack = kernel->details.points[i].stack;
        struct ds text = DS_EMPTY_INITIALIZER;

        if (kernel->packet.t[i] && stack >= 0
            && vmlat_kernel_stack_format(stack, &text)) {
            char *rest = ds_cstr(&text);
            char *f;

            ds_put_format(ds, "    %s:\n", vmlat_point_name(i));
            while ((f = next_function(&rest))) {
                ds_put_format(ds, "      %s\n", f);
            }
        }
        ds_destroy(&text);
    }
}

/* Appends the times from each point to the next, and the total. */
static void
put_stages(const struct event *event, struct ds *ds)
{
    struct mark marks[MAX_MARKS];
    size_t n = get_marks(event, marks);

    for (size_t i = 0; i < n; i++) {
        ds_put_format(ds, "%s%s ", i ? "  " : "", marks[i].name);
        if (i) {
            ds_put_char(ds, '+');
            vmlat_put_us(ds, marks[i].ns - marks[i - 1].ns);
        } else {
            ds_put_cstr(ds, "0.0us");
        }
        if (marks[i].point == VMLAT_P_HANDLER) {
            char comm[16];

            point_comm(event->kernel, VMLAT_P_HANDLER, comm);
            ds_put_cstr(ds, " (");
            vmlat_put_clean(ds, comm);
            ds_put_char(ds, ')');
        }
    }
    ds_put_cstr(ds, "  = ");
    vmlat_put_us(ds, event->residence_ns);
}

/* Returns where the vCPU was, NULL if there was no interrupt for it. */
static const char *
vcpu_name(const struct vmlat_virt_event *virt)
{
    return (virt->t[VMLAT_MARK_VM_RX_INJECT]
            ? vmlat_virt_vcpu_name(virt->vcpu) : NULL);
}

/* Appends how the packet was found, and how the guest was told of it. */
static void
put_virt(const struct event *event, struct ds *ds)
{
    if (event->from) {
        ds_put_format(ds, "    from the VM: %s\n",
                      vmlat_virt_kick_name(event->from->which));
    }
    if (event->to) {
        const char *vcpu = vcpu_name(event->to);

        ds_put_format(ds, "    to the VM: %s",
                      vmlat_virt_fate_name(event->to->which));
        if (vcpu) {
            ds_put_format(ds, ", vCPU %s", vcpu);
        }
        ds_put_char(ds, '\n');
    }
}

/* Appends an event of the way between a port and its VM as some lines for
 * people. */
static void
put_virt_event(struct vmlat_view *view, const struct event *event,
               const struct vmlat_packet *packet, struct ds *ds)
{
    const struct vmlat_port *port
        = vmlat_port_from_slot(event->to ? event->out : event->in);

    put_wall_time(event->wall_us, true, ds);
    ds_put_cstr(ds, event->to ? " to the VM of " : " from the VM of ");
    vmlat_put_port(ds, port ? port->name : "-",
                   port ? vmlat_view_vm(view, port) : NULL);
    ds_put_cstr(ds, "  ");
    if (event->size) {
        put_event_packet(event, packet, ds);
        ds_put_format(ds, ", %"PRIu32" bytes\n  ", event->length);
    } else {
        ds_put_cstr(ds, "headers not kept\n  ");
    }
    put_stages(event, ds);
    ds_put_char(ds, '\n');
    put_virt(event, ds);
}

/* Appends an event of the kernel datapath as some lines for people. */
static void
put_kernel_event(struct vmlat_view *view, const struct event *event,
                 const struct vmlat_packet *packet, struct ds *ds)
{
    const struct vmlat_bpf_event *kernel = event->kernel;
    const struct vmlat_bpf_packet *p = &kernel->packet;

    put_wall_time(event->wall_us, true, ds);
    ds_put_char(ds, ' ');
    put_ports(view, event, "", ds);
    ds_put_cstr(ds, "  ");
    put_event_packet(event, packet, ds);
    ds_put_format(ds, ", %"PRIu32" bytes", event->length);
    if (p->segments > 1) {
        ds_put_format(ds, " in %"PRIu16" segments", p->segments);
    }
    ds_put_format(ds, "%s\n  ", event->copy ? ", a copy" : "");
    put_stages(event, ds);
    ds_put_char(ds, '\n');

    if (p->passes > 1) {
        ds_put_format(ds, "    passes through the flow table: %"PRIu8"\n",
                      p->passes);
    }
    if (p->ct_passes) {
        ds_put_format(ds, "    conntrack: %"PRIu8" passes, ", p->ct_passes);
        vmlat_put_us(ds, p->ct_ns);
        ds_put_char(ds, '\n');
    }
    if (p->install_ns) {
        ds_put_cstr(ds, "    installing flows: ");
        vmlat_put_us(ds, p->install_ns);
        ds_put_char(ds, '\n');
    }
    put_virt(event, ds);
    put_contexts(kernel, ds);
    if (view->args->stacks) {
        put_stacks(kernel, ds);
    }
}

/* Adds what is known about a point of 'kernel' to 'json'. */
static void
point_to_json(const struct vmlat_bpf_event *kernel, unsigned int point,
              bool stacks, struct json *json)
{
    const struct vmlat_bpf_detail *d = &kernel->details.points[point];
    char device[IF_NAMESIZE], comm[16];

    point_device(d, device);
    point_comm(kernel, point, comm);
    json_object_put_string(json, "device", device);
    json_object_put(json, "cpu", json_integer_create(d->cpu));
    json_object_put(json, "queue", json_integer_create(d->queue));
    json_object_put(json, "pid", json_integer_create(d->tid));
    json_object_put_string(json, "comm", comm);
    if (stacks) {
        struct json *array = json_array_create_empty();
        struct ds text = DS_EMPTY_INITIALIZER;

        if (d->stack >= 0 && vmlat_kernel_stack_format(d->stack, &text)) {
            char *rest = ds_cstr(&text);
            char *f;

            while ((f = next_function(&rest))) {
                json_array_add(array, json_string_create(f));
            }
        }
        ds_destroy(&text);
        json_object_put(json, "stack", array);
    }
}

static struct json *
marks_to_json(const struct event *event, bool stacks)
{
    struct json *array = json_array_create_empty();
    struct mark marks[MAX_MARKS];
    size_t n = get_marks(event, marks);

    for (size_t i = 0; i < n; i++) {
        struct json *json = json_object_create();

        json_object_put_string(json, "point", marks[i].name);
        json_object_put(json, "ns",
                        json_integer_create(marks[i].ns - marks[0].ns));
        if (marks[i].point >= 0) {
            point_to_json(event->kernel, marks[i].point, stacks, json);
        }
        json_array_add(array, json);
    }
    return array;
}

static void
out_nones(struct vmlat_out *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        vmlat_out_none(out);
    }
}

/* The columns that only events of the kernel datapath have. */
static void
out_kernel_event(const struct event *event, struct vmlat_out *out)
{
    const struct vmlat_bpf_packet *p = &event->kernel->packet;

    vmlat_out_integer(out, p->segments);
    vmlat_out_integer(out, p->passes);
    vmlat_out_integer(out, p->ct_passes);
    vmlat_out_ns(out, p->ct_ns);
    vmlat_out_ns(out, p->install_ns);
}

static void
out_stages(struct vmlat_view *view, const struct event *event,
           struct vmlat_out *out)
{
    if (out->people) {
        struct ds ds = DS_EMPTY_INITIALIZER;

        put_stages(event, &ds);
        vmlat_out_string(out, ds_cstr(&ds));
        ds_destroy(&ds);
    } else {
        vmlat_out_json(out, marks_to_json(event, view->args->stacks));
    }
}

static void
out_name(const char *name, struct vmlat_out *out)
{
    if (name) {
        vmlat_out_string(out, name);
    } else {
        vmlat_out_none(out);
    }
}

/* Returns what of the way between VMs and wires 'event' has. */
static const char *
part_name(const struct event *event)
{
    return (!event->user && !event->kernel
            ? (event->to ? "to-vm" : "from-vm")
            : event->from ? (event->to ? "from-vm+ovs+to-vm" : "from-vm+ovs")
            : event->to ? "ovs+to-vm" : "ovs");
}

/* The columns that only events of a way between a port and its VM have. */
static void
out_virt_event(const struct event *event, struct vmlat_out *out)
{
    vmlat_out_string(out, part_name(event));
    out_name(event->from ? vmlat_virt_kick_name(event->from->which) : NULL,
             out);
    out_name(event->to ? vmlat_virt_fate_name(event->to->which) : NULL, out);
    out_name(event->to ? vcpu_name(event->to) : NULL, out);
}

static void
out_event(struct vmlat_view *view, const struct event *event,
          const struct vmlat_packet *packet, struct vmlat_out *out)
{
    const struct vmlat_port *in_port = vmlat_port_from_slot(event->in);
    const struct vmlat_port *out_port = vmlat_port_from_slot(event->out);
    const struct vmlat_event *user = event->user;
    const struct vmlat_bpf_detail *points
        = event->kernel ? event->kernel->details.points : NULL;
    const struct vmlat_virt_event *virt = event->to ? event->to : event->from;
    struct ds time = DS_EMPTY_INITIALIZER;
    struct ds text = DS_EMPTY_INITIALIZER;

    put_wall_time(event->wall_us, out->people, &time);
    put_event_packet(event, packet, &text);

    vmlat_out_row(out);
    vmlat_out_string(out, ds_cstr(&time));
    vmlat_out_slot(out, view, event->in);
    if (user || points) {
        vmlat_out_integer(out, user ? user->rxq : points[VMLAT_P_RX].queue);
    } else {
        vmlat_out_none(out);
    }
    vmlat_out_slot(out, view, event->out);
    vmlat_out_string(out, (in_port && out_port
                           ? vmlat_direction_to_string(
                               vmlat_direction_of(in_port, out_port))
                           : "-"));
    vmlat_out_string(out, ds_cstr(&text));
    if (event->size) {
        vmlat_out_integer(out, event->length);
    } else {
        vmlat_out_none(out);
    }
    vmlat_out_ns(out, event->residence_ns);
    if (user || points) {
        vmlat_out_boolean(out, event->upcall);
        vmlat_out_boolean(out, event->copy);
    } else {
        out_nones(out, 2);
    }
    vmlat_out_integer(out, (user ? user->core
                            : points && !event->to ? points[VMLAT_P_TX].cpu
                            : virt->cpu));
    if (user && event->size) {
        vmlat_out_integer(out, user->place);
    } else {
        vmlat_out_none(out);
    }
    if (event->kernel) {
        out_kernel_event(event, out);
    } else {
        out_nones(out, 5);
    }
    if (user) {
        vmlat_out_none(out);
    } else {
        out_stages(view, event, out);
    }
    out_virt_event(event, out);

    ds_destroy(&time);
    ds_destroy(&text);
}

/* Appends what the list of 'n_shown' events is of, 'n_unknown' of which might
 * match if their headers were known. */
static void
put_events_header(size_t n_shown, size_t n_matching, size_t n_unknown,
                  const struct event_list *list, bool stacks, struct ds *ds)
{
    uint64_t min_ns = vmlat_setting_get(VMLAT_SET_MIN_US);
    size_t n_kept = list->n;

    if (!min_ns) {
        ds_put_cstr(ds, "no packets are being kept: say from how many "
                        "microseconds on by 'ovs-appctl vmlat/start "
                        "min-us=N' or 'ovs-vsctl set Open_vSwitch . "
                        "other_config:vmlat-min-us=N'; ");
    } else {
        ds_put_cstr(ds, "packets above ");
        vmlat_put_us(ds, min_ns);
        ds_put_cstr(ds, " are kept; ");
    }
    ds_put_format(ds, "showing %"PRIuSIZE" of %"PRIuSIZE, n_shown, n_matching);
    if (n_matching != n_kept) {
        ds_put_format(ds, " that match, of %"PRIuSIZE, n_kept);
    }
    ds_put_format(ds, "; %"PRIu64" older ones have been overwritten",
                  list->n_lost);
    n_unknown += vmlat_virt_events_n_unknown();
    if (n_unknown) {
        ds_put_format(ds, "; %"PRIuSIZE" without headers have been left out: "
                          "they may match or not", n_unknown);
    }
    if (stacks && !vmlat_setting_get(VMLAT_SET_STACKS)) {
        ds_put_cstr(ds, "; no stacks are being kept: 'ovs-vsctl set "
                        "Open_vSwitch . other_config:vmlat-stacks=true'");
    }
}

/* Shows the last packets that took long. */
char *
vmlat_command_events(const struct vmlat_args *args_, struct ds *reply)
{
    struct vmlat_args args = *args_;
    size_t n_max = DEFAULT_N_EVENTS;
    size_t n_shown = 0, n_matching = 0, n_unknown = 0;
    struct ds header = DS_EMPTY_INITIALIZER;
    struct ds lines = DS_EMPTY_INITIALIZER;
    struct event_list list;
    struct vmlat_out out;
    struct vmlat_view view;
    char *error;

    error = vmlat_args_number(&args, "packets", &n_max);
    if (error) {
        return error;
    }
    args.n_words = 0;           /* The number is not a port. */

    ovs_mutex_lock(&vmlat_ports_mutex);
    error = vmlat_view_init(&view, &args, true);
    if (error || args.check_only) {
        goto exit;
    }

    vmlat_out_init(&out, &args);
    vmlat_out_columns(&out, "time port rxq peer direction packet length "
                            "residence_ns upcall copy core place segments "
                            "passes ct_passes conntrack_ns install_ns stages "
                            "part kick signal vcpu",
                            "time port rxq peer direction packet length "
                            "residence upcall copy core place segments "
                            "passes ct_passes conntrack install stages "
                            "part kick signal vcpu");
    event_list_init(&list, args.base);
    for (size_t i = 0; i < list.n; i++) {
        const struct event *event = &list.events[i];
        struct vmlat_packet packet;

        memset(&packet, 0, sizeof packet);
        if (event->size) {
            vmlat_packet_parse(event->bytes, event->size, &packet);
        }
        if (!event_matches(&view, event)) {
            continue;
        } else if (!vmlat_filter_match_packet(view.filter, &packet)) {
            n_unknown += !event->size;
            continue;
        }
        if (n_matching++ < n_max) {
            n_shown++;
            if (args.format_given) {
                out_event(&view, event, &packet, &out);
            } else if (event->user) {
                put_user_event(&view, event, &packet, &lines);
            } else if (event->kernel) {
                put_kernel_event(&view, event, &packet, &lines);
            } else {
                put_virt_event(&view, event, &packet, &lines);
            }
        }
    }

    put_events_header(n_shown, n_matching, n_unknown, &list, args.stacks,
                      &header);
    vmlat_out_caption(&out, ds_cstr(&header));
    if (args.format_given) {
        vmlat_out_finish(&out, reply);
    } else {
        table_destroy(&out.table);
        ds_put_format(reply, "%s\n%s", ds_cstr(&header), ds_cstr(&lines));
    }
    event_list_destroy(&list);

exit:
    ovs_mutex_unlock(&vmlat_ports_mutex);
    vmlat_view_destroy(&view);
    ds_destroy(&header);
    ds_destroy(&lines);
    return error;
}
