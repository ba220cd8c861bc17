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

/* vmlat/status and vmlat/events. */

#include <config.h>
#include "vmlat-view.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "smap.h"
#include "timeval.h"
#include "util.h"
#include "vmlat.h"
#include "vmlat-clock.h"
#include "vmlat-command.h"
#include "vmlat-datapath.h"
#include "vmlat-db.h"
#include "vmlat-event.h"
#include "vmlat-packet.h"
#include "vmlat-port.h"
#include "vmlat-settings.h"
#include "vmlat-shard.h"

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
    vmlat_out_string(out, "tx");
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

/* Shows what is measured and how. */
char *
vmlat_command_status(const struct vmlat_args *args, struct ds *reply)
{
    struct vmlat_port_list list;
    struct vmlat_out out;
    struct vmlat_view view;
    char *error;

    ovs_mutex_lock(&vmlat_ports_mutex);
    error = vmlat_view_init(&view, args, false);
    if (!error) {
        if (!args->format_given) {
            status_summary(reply);
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

/* vmlat/events. */

#define DEFAULT_N_EVENTS 20

/* Returns true if 'event' passes all of the filter. */
static bool
event_matches(struct vmlat_view *view, const struct vmlat_event *event,
              const struct vmlat_packet *packet)
{
    const struct vmlat_filter *filter = view->filter;

    return (vmlat_view_has_pair(view, vmlat_port_from_slot(event->in),
                          vmlat_port_from_slot(event->out))
            && vmlat_clock_ns(event->tx_ticks - event->rx_ticks)
               >= filter->min_ns
            && vmlat_filter_match_packet(filter, packet));
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

static const char *
event_port(struct vmlat_view *view, uint16_t slot, const char **vm)
{
    const struct vmlat_port *port = vmlat_port_from_slot(slot);

    *vm = port ? vmlat_view_vm(view, port) : NULL;
    return port ? port->name : "-";
}

static void
put_event_packet(const struct vmlat_event *event,
                 const struct vmlat_packet *packet, struct ds *ds)
{
    if (event->size) {
        vmlat_packet_format(packet, ds);
    } else {
        ds_put_char(ds, '-');
    }
}

/* Appends 'event' as one line for people. */
static void
put_event(struct vmlat_view *view, const struct vmlat_event *event,
          const struct vmlat_packet *packet, struct ds *ds)
{
    const char *in_vm, *out_vm;
    const char *in = event_port(view, event->in, &in_vm);
    const char *out = event_port(view, event->out, &out_vm);

    put_wall_time(vmlat_clock_wall_us(event->tx_ticks), true, ds);
    ds_put_char(ds, ' ');
    vmlat_put_us(ds, vmlat_clock_ns(event->tx_ticks - event->rx_ticks));
    ds_put_char(ds, ' ');
    vmlat_put_port(ds, in, in_vm);
    ds_put_format(ds, " q%"PRIu16" > ", event->rxq);
    vmlat_put_port(ds, out, out_vm);
    ds_put_cstr(ds, ": ");
    if (event->size) {
        put_event_packet(event, packet, ds);
        ds_put_format(ds, ", %"PRIu32" bytes", event->length);
    } else {
        ds_put_cstr(ds, "headers not kept");
    }
    ds_put_format(ds, ", %s", event->upcall ? "upcall" : "no upcall");
    if (event->core >= 0) {
        ds_put_format(ds, ", core %"PRId16, event->core);
    }
    if (event->size) {
        ds_put_format(ds, ", place %"PRIu8, event->place);
    }
    ds_put_format(ds, "%s\n", event->copy ? ", a copy" : "");
}

static void
out_event(struct vmlat_view *view, const struct vmlat_event *event,
          const struct vmlat_packet *packet, struct vmlat_out *out)
{
    const struct vmlat_port *in_port = vmlat_port_from_slot(event->in);
    const struct vmlat_port *out_port = vmlat_port_from_slot(event->out);
    struct ds time = DS_EMPTY_INITIALIZER;
    struct ds text = DS_EMPTY_INITIALIZER;
    const char *in_vm, *out_vm;
    const char *in = event_port(view, event->in, &in_vm);
    const char *peer = event_port(view, event->out, &out_vm);

    put_wall_time(vmlat_clock_wall_us(event->tx_ticks), out->people, &time);
    put_event_packet(event, packet, &text);

    vmlat_out_row(out);
    vmlat_out_string(out, ds_cstr(&time));
    vmlat_out_port(out, in, in_vm);
    vmlat_out_integer(out, event->rxq);
    vmlat_out_port(out, peer, out_vm);
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
    vmlat_out_ns(out, vmlat_clock_ns(event->tx_ticks - event->rx_ticks));
    vmlat_out_boolean(out, event->upcall);
    vmlat_out_boolean(out, event->copy);
    vmlat_out_integer(out, event->core);
    if (event->size) {
        vmlat_out_integer(out, event->place);
    } else {
        vmlat_out_none(out);
    }

    ds_destroy(&time);
    ds_destroy(&text);
}

/* Appends what the list of 'n_shown' events is of. */
static void
put_events_header(size_t n_shown, size_t n_matching, size_t n_kept,
                  uint64_t n_lost, struct ds *ds)
{
    uint64_t min_ns = vmlat_setting_get(VMLAT_SET_MIN_US);

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
    ds_put_format(ds, "; %"PRIu64" older ones have been overwritten", n_lost);
}

static char *
parse_n_events(const struct vmlat_args *args, size_t *n)
{
    const char *word = args->n_words ? args->words[0] : NULL;
    unsigned int value = DEFAULT_N_EVENTS;

    if (word && (word[strspn(word, "0123456789")]
                 || !str_to_uint(word, 10, &value) || !value)) {
        return xasprintf("\"%s\" is not a number of packets, which is 1 or "
                         "more", word);
    }
    *n = value;
    return NULL;
}

/* Shows the last packets that took long. */
char *
vmlat_command_events(const struct vmlat_args *args_, struct ds *reply)
{
    struct vmlat_args args = *args_;
    size_t n_max = 0, n_shown = 0, n_matching = 0, n_kept;
    struct ds header = DS_EMPTY_INITIALIZER;
    struct ds lines = DS_EMPTY_INITIALIZER;
    struct vmlat_event *events;
    struct vmlat_out out;
    struct vmlat_view view;
    uint64_t n_lost;
    char *error;

    error = parse_n_events(&args, &n_max);
    if (error) {
        return error;
    }
    args.n_words = 0;           /* The number is not a port. */

    ovs_mutex_lock(&vmlat_ports_mutex);
    error = vmlat_view_init(&view, &args, true);
    if (error) {
        goto exit;
    }

    vmlat_out_init(&out, &args);
    vmlat_out_columns(&out, "time port rxq peer direction packet length "
                            "residence_ns upcall copy core place",
                            "time port rxq peer direction packet length "
                            "residence upcall copy core place");
    events = vmlat_events_read(&n_kept, &n_lost);
    for (size_t i = 0; i < n_kept; i++) {
        const struct vmlat_event *event = &events[i];
        struct vmlat_packet packet;

        memset(&packet, 0, sizeof packet);
        if (event->size) {
            vmlat_packet_parse(event->bytes, event->size, &packet);
        }
        if (!event_matches(&view, event, &packet)) {
            continue;
        }
        if (n_matching++ < n_max) {
            n_shown++;
            if (args.format_given) {
                out_event(&view, event, &packet, &out);
            } else {
                put_event(&view, event, &packet, &lines);
            }
        }
    }
    free(events);

    put_events_header(n_shown, n_matching, n_kept, n_lost, &header);
    vmlat_out_caption(&out, ds_cstr(&header));
    if (args.format_given) {
        vmlat_out_finish(&out, reply);
    } else {
        table_destroy(&out.table);
        ds_put_format(reply, "%s\n%s", ds_cstr(&header), ds_cstr(&lines));
    }

exit:
    ovs_mutex_unlock(&vmlat_ports_mutex);
    vmlat_view_destroy(&view);
    ds_destroy(&header);
    ds_destroy(&lines);
    return error;
}
