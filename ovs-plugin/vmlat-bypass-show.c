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

/* vmlat/bypass: the command. */

#include <config.h>
#include "vmlat-bypass.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "openvswitch/dynamic-string.h"
#include "openvswitch/json.h"
#include "packets.h"
#include "timeval.h"
#include "util.h"
#include "vmlat-command.h"
#include "vmlat-db.h"

/* As many flows are shown to people. */
#define MAX_FLOWS 5

/* What is shown. */
struct view {
    const struct vmlat_bypass_results *results;
    const struct vmlat_bypass_watch *watch;     /* NULL unless 'results' are
                                                 * of the watch. */
    const char *only;           /* A bridge or port, or NULL. */
};

typedef void fill_func(struct vmlat_out *, const struct view *,
                       const struct vmlat_bypass_result *);

static fill_func fill_verdict, fill_ways, fill_flows, fill_causes, fill_cures;

static const struct part {
    const char *name;
    fill_func *fill;            /* Adds the rows of a result; with NULL in its
                                 * place, the columns. */
} parts[] = {
    { "verdicts", fill_verdict },
    { "ways", fill_ways },
    { "flows", fill_flows },
    { "causes", fill_causes },
    { "cures", fill_cures },
    { "rules", NULL },
};

static const char *const direction_names[VMLAT_BYPASS_N_DIRECTIONS] = {
    [VMLAT_BYPASS_FROM_VM] = "from-vm",
    [VMLAT_BYPASS_TO_VM] = "to-vm",
};

static bool
is_selected(const struct view *view, const struct vmlat_bypass_result *result)
{
    return (!view->only || !strcmp(view->only, result->port)
            || !strcmp(view->only, result->bridge));
}

/* Returns what the watch says of the port of 'result', NULL if nothing. */
static const struct vmlat_bypass_watched *
find_watched(const struct view *view, const struct vmlat_bypass_result *result)
{
    for (size_t i = 0; view->watch && i < view->watch->n; i++) {
        if (!strcmp(view->watch->ports[i].port, result->port)) {
            return &view->watch->ports[i];
        }
    }
    return NULL;
}

static double
window_seconds(const struct view *view)
{
    return view->results->window_ns / 1e9;
}

/* Returns 'n' of the window in a second. */
static uint64_t
per_second(const struct view *view, uint64_t n)
{
    return (view->results->window_ns
            ? (uint64_t) (n / window_seconds(view) + .5) : 0);
}

static const char *
device_name(const struct view *view, uint32_t ifindex)
{
    const char *name = vmlat_bypass_device_name(view->results, ifindex);

    return name ? name : "";
}

static char *
format_protocol(const struct vmlat_bypass_flow_key *key)
{
    switch (key->protocol) {
    case IPPROTO_TCP: return xstrdup("tcp");
    case IPPROTO_UDP: return xstrdup("udp");
    case IPPROTO_ICMP: return xstrdup("icmp");
    case IPPROTO_ICMPV6: return xstrdup("icmp6");
    case IPPROTO_SCTP: return xstrdup("sctp");
    default: return xasprintf("%d", key->protocol);
    }
}

static char *
format_ip(const uint32_t words[4])
{
    struct ds ds = DS_EMPTY_INITIALIZER;
    struct in6_addr ip;

    memcpy(&ip, words, sizeof ip);
    ipv6_format_mapped(&ip, &ds);
    return ds_steal_cstr(&ds);
}

/* The tables. */

static void
out_text(struct vmlat_out *out, const char *s)
{
    if (s && s[0]) {
        vmlat_out_string(out, s);
    } else {
        vmlat_out_none(out);
    }
}

/* A cell that takes 's'. */
static void
out_nocopy(struct vmlat_out *out, char *s)
{
    vmlat_out_string(out, s);
    free(s);
}

/* A share, from 0 to 1, with more decimals than vmlat_out_real() has. */
static void
out_share(struct vmlat_out *out, double share)
{
    if (share < 0) {
        vmlat_out_none(out);
    } else {
        vmlat_out_json(out, json_real_create((uint64_t) (share * 1e6 + .5)
                                             / 1e6));
    }
}

static void
out_row(struct vmlat_out *out, const struct vmlat_bypass_result *result)
{
    vmlat_out_row(out);
    vmlat_out_string(out, result->bridge);
    vmlat_out_string(out, result->port);
    out_text(out, result->vm);
}

/* Returns the rows that 'fill' makes of 'result' as objects. */
static struct json *
rows_to_objects(fill_func *fill, const struct view *view,
                const struct vmlat_bypass_result *result)
{
    struct json *objects = json_array_create_empty();
    struct ds text = DS_EMPTY_INITIALIZER;
    const struct json_array *headings, *data;
    struct vmlat_args args = {
        .style = table_style_default,
    };
    struct vmlat_out out;
    struct json *table;

    args.style.format = TF_JSON;
    vmlat_out_init(&out, &args);
    fill(&out, view, NULL);
    fill(&out, view, result);
    vmlat_out_finish(&out, &text);
    table = json_from_string(ds_cstr(&text));
    ds_destroy(&text);

    headings = json_array(shash_find_data(json_object(table), "headings"));
    data = json_array(shash_find_data(json_object(table), "data"));
    for (size_t i = 0; i < data->n; i++) {
        const struct json_array *row = json_array(data->elems[i]);
        struct json *object = json_object_create();

        /* The first three say what it is all about. */
        for (size_t k = 3; k < row->n; k++) {
            json_object_put(object, json_string(headings->elems[k]),
                            json_clone(row->elems[k]));
        }
        json_array_add(objects, object);
    }
    json_destroy(table);
    return objects;
}

/* A cell with the rows that 'fill' makes, or, without JSON, how many there
 * are. */
static void
out_rows(struct vmlat_out *out, fill_func *fill, const struct view *view,
         const struct vmlat_bypass_result *result, size_t n)
{
    if (out->style.format == TF_JSON) {
        vmlat_out_json(out, rows_to_objects(fill, view, result));
    } else {
        vmlat_out_integer(out, n);
    }
}

static void
fill_verdict(struct vmlat_out *out, const struct view *view,
             const struct vmlat_bypass_result *result)
{
    const struct vmlat_bypass_watched *watched;

    if (!result) {
        vmlat_out_columns(out, "bridge port vm verdict share share_of since "
                               "changes ways flows causes cures", NULL);
        return;
    }
    watched = find_watched(view, result);
    out_row(out, result);
    vmlat_out_string(out, vmlat_bypass_verdict_name(result->verdict));
    out_share(out, result->share);
    vmlat_out_integer(out, result->share_of);
    if (watched) {
        out_nocopy(out, xastrftime_msec("%Y-%m-%dT%H:%M:%S.###Z",
                                        watched->since, true));
        vmlat_out_integer(out, watched->changes);
    } else {
        vmlat_out_none(out);
        vmlat_out_none(out);
    }
    out_rows(out, fill_ways, view, result, result->n_ways);
    out_rows(out, fill_flows, view, result, result->n_flows);
    out_rows(out, fill_causes, view, result, result->n_causes);
    out_rows(out, fill_cures, view, result, result->n_cures);
}

static void
fill_ways(struct vmlat_out *out, const struct view *view,
          const struct vmlat_bypass_result *result)
{
    if (!result) {
        vmlat_out_columns(out, "bridge port vm direction way through device "
                               "packets bytes pps bps share timed p50_ns "
                               "max_ns",
                               "bridge port vm direction way through device "
                               "packets bytes pps bps share timed p50 max");
        return;
    }
    for (size_t i = 0; i < result->n_ways; i++) {
        const struct vmlat_bypass_result_way *way = &result->ways[i];

        out_row(out, result);
        vmlat_out_string(out, direction_names[way->direction]);
        vmlat_out_string(out, vmlat_bypass_way_name(way->way));
        out_text(out, way->through);
        out_text(out, way->device);
        vmlat_out_integer(out, way->packets);
        vmlat_out_integer(out, way->bytes);
        vmlat_out_integer(out, per_second(view, way->packets));
        vmlat_out_integer(out, per_second(view, way->bytes * 8));
        out_share(out, way->share);
        vmlat_out_integer(out, way->timed);
        if (way->timed) {
            vmlat_out_ns(out, way->p50_ns);
            vmlat_out_ns(out, way->max_ns);
        } else {
            vmlat_out_none(out);
            vmlat_out_none(out);
        }
    }
}

static void
fill_flows(struct vmlat_out *out, const struct view *view,
           const struct vmlat_bypass_result *result)
{
    if (!result) {
        vmlat_out_columns(out, "bridge port vm direction internal device "
                               "protocol src dst sport dport out_src out_dst "
                               "gateway translated packets bytes p_avg_ns "
                               "max_ns",
                               "bridge port vm direction internal device "
                               "protocol src dst sport dport out_src out_dst "
                               "gateway translated packets bytes avg max");
        return;
    }
    for (size_t i = 0; i < result->n_flows; i++) {
        const struct vmlat_bypass_flow_key *key = &result->flows[i].key;
        const struct vmlat_bypass_flow *count = &result->flows[i].count;

        out_row(out, result);
        vmlat_out_string(out, direction_names[key->way.direction]);
        out_text(out, device_name(view, key->way.internal));
        out_text(out, device_name(view, key->way.other));
        out_nocopy(out, format_protocol(key));
        out_nocopy(out, format_ip(key->src));
        out_nocopy(out, format_ip(key->dst));
        vmlat_out_integer(out, ntohs((OVS_FORCE ovs_be16) key->sport));
        vmlat_out_integer(out, ntohs((OVS_FORCE ovs_be16) key->dport));
        out_nocopy(out, format_ip(count->out_src));
        out_nocopy(out, format_ip(count->out_dst));
        vmlat_out_boolean(out, key->gateway);
        vmlat_out_boolean(out, key->translated);
        vmlat_out_integer(out, count->packets);
        vmlat_out_integer(out, count->bytes);
        if (count->timed) {
            vmlat_out_ns(out, count->total_ns / count->timed);
            vmlat_out_ns(out, count->max_ns);
        } else {
            vmlat_out_none(out);
            vmlat_out_none(out);
        }
    }
}

static void
fill_causes(struct vmlat_out *out, const struct view *view OVS_UNUSED,
            const struct vmlat_bypass_result *result)
{
    if (!result) {
        vmlat_out_columns(out, "bridge port vm code meaning evidence", NULL);
        return;
    }
    for (size_t i = 0; i < result->n_causes; i++) {
        out_row(out, result);
        vmlat_out_string(out, result->causes[i].code);
        vmlat_out_string(out, result->causes[i].meaning);
        vmlat_out_string(out, result->causes[i].evidence);
    }
}

static void
fill_cures(struct vmlat_out *out, const struct view *view OVS_UNUSED,
           const struct vmlat_bypass_result *result)
{
    if (!result) {
        vmlat_out_columns(out, "bridge port vm step code command interrupts",
                          NULL);
        return;
    }
    for (size_t i = 0; i < result->n_cures; i++) {
        out_row(out, result);
        vmlat_out_integer(out, i + 1);
        vmlat_out_string(out, result->cures[i].code);
        vmlat_out_string(out, result->cures[i].command);
        vmlat_out_string(out, result->cures[i].interrupts);
    }
}

static void
show_rules(const struct vmlat_args *args, struct ds *reply)
{
    const char *code, *meaning;
    struct vmlat_out out;

    vmlat_out_init(&out, args);
    vmlat_out_columns(&out, "code meaning", NULL);
    for (size_t i = 0; vmlat_bypass_rule(i, &code, &meaning); i++) {
        vmlat_out_row(&out);
        vmlat_out_string(&out, code);
        vmlat_out_string(&out, meaning);
    }
    vmlat_out_finish(&out, reply);
}

/* Text for people. */

/* Appends 'bps', bits per second, with three digits that count. */
static void
put_rate(struct ds *ds, double bps)
{
    static const char *const units[] = { "bit/s", "kbit/s", "Mbit/s",
                                         "Gbit/s" };
    size_t i = 0;

    while (bps >= 999.5 && i < ARRAY_SIZE(units) - 1) {
        bps /= 1000;
        i++;
    }
    ds_put_format(ds, "%.*f %s", !i || bps >= 99.95 ? 0 : bps >= 9.995 ? 1 : 2,
                  bps, units[i]);
}

static void
put_way(struct ds *ds, const struct view *view,
        const struct vmlat_bypass_result_way *way)
{
    struct ds name = DS_EMPTY_INITIALIZER;
    bool from = way->direction == VMLAT_BYPASS_FROM_VM;

    ds_put_cstr(&name, vmlat_bypass_way_name(way->way));
    if (way->through[0]) {
        ds_put_cstr(&name, " by ");
        vmlat_put_clean(&name, way->through);
    }
    if (way->device[0]) {
        ds_put_cstr(&name, from ? " and out of " : " and in by ");
        vmlat_put_clean(&name, way->device);
    }
    ds_put_format(ds, "  %s %-46s %5.1f %%  %"PRIu64" packets, %"PRIu64"/s, ",
                  from ? "from VM" : "to VM  ", ds_cstr(&name),
                  way->share * 100, way->packets,
                  per_second(view, way->packets));
    put_rate(ds, view->results->window_ns
                 ? way->bytes * 8 / window_seconds(view) : 0);
    if (way->timed) {
        ds_put_cstr(ds, ", in the kernel for ");
        vmlat_put_us(ds, way->p50_ns);
        ds_put_cstr(ds, " (median), ");
        vmlat_put_us(ds, way->max_ns);
        ds_put_cstr(ds, " at most");
    }
    ds_put_char(ds, '\n');
    ds_destroy(&name);
}

static void
put_end(struct ds *ds, const uint32_t words[4], uint16_t port)
{
    char *ip = format_ip(words);

    if (!port) {
        ds_put_cstr(ds, ip);
    } else {
        ds_put_format(ds, strchr(ip, ':') ? "[%s]:%d" : "%s:%d", ip,
                      ntohs((OVS_FORCE ovs_be16) port));
    }
    free(ip);
}

static void
put_flow(struct ds *ds, const struct view *view,
         const struct vmlat_bypass_kernel_flow *flow)
{
    const struct vmlat_bypass_flow_key *key = &flow->key;
    bool from = key->way.direction == VMLAT_BYPASS_FROM_VM;
    char *protocol = format_protocol(key);

    ds_put_format(ds, "    %s ", protocol);
    put_end(ds, key->src, key->sport);
    ds_put_cstr(ds, " > ");
    put_end(ds, key->dst, key->dport);
    ds_put_cstr(ds, ", in by ");
    vmlat_put_clean(ds, device_name(view, from ? key->way.internal
                                               : key->way.other));
    ds_put_cstr(ds, ", out of ");
    vmlat_put_clean(ds, device_name(view, from ? key->way.other
                                               : key->way.internal));
    ds_put_format(ds, ": %"PRIu64" packets", (uint64_t) flow->count.packets);
    if (flow->count.timed) {
        ds_put_cstr(ds, ", ");
        vmlat_put_us(ds, flow->count.total_ns / flow->count.timed);
        ds_put_cstr(ds, " on average");
    }
    if (key->gateway) {
        ds_put_cstr(ds, ", to the bridge as gateway");
    }
    if (key->translated) {
        ds_put_cstr(ds, ", left as ");
        put_end(ds, flow->count.out_src, flow->count.out_sport);
        ds_put_cstr(ds, " > ");
        put_end(ds, flow->count.out_dst, flow->count.out_dport);
    }
    ds_put_char(ds, '\n');
    free(protocol);
}

/* Appends what the detour costs, next to the direct way. */
static void
put_latency(struct ds *ds, const struct view *view,
            const struct vmlat_bypass_result *result)
{
    const struct vmlat_bypass_result_way *most = NULL;

    for (size_t i = 0; i < result->n_ways; i++) {
        if (result->ways[i].timed
            && (!most || result->ways[i].timed > most->timed)) {
            most = &result->ways[i];
        }
    }
    if (!most) {
        return;
    }
    ds_put_cstr(ds, "  added latency: ");
    vmlat_put_us(ds, most->p50_ns);
    ds_put_cstr(ds, " (median) in the kernel, beside the way into it and out "
                    "of it; ");
    if (view->results->direct_known) {
        ds_put_cstr(ds, "the direct way in the datapath, from a VM to a NIC, "
                        "takes ");
        vmlat_put_us(ds, view->results->direct_p50_ns);
        ds_put_format(ds, " (median of %"PRIu64" packets)\n",
                      view->results->direct_packets);
    } else {
        ds_put_cstr(ds, "of the direct way nothing is known: vmlat/start "
                        "measures it if packets take it\n");
    }
}

static bool
same_cures(const struct vmlat_bypass_result *a,
           const struct vmlat_bypass_result *b)
{
    if (a->n_cures != b->n_cures) {
        return false;
    }
    for (size_t i = 0; i < a->n_cures; i++) {
        if (strcmp(a->cures[i].command, b->cures[i].command)) {
            return false;
        }
    }
    return true;
}

/* Returns a VM before 'result' that has the same cures, NULL if none. */
static const struct vmlat_bypass_result *
find_cured(const struct view *view, const struct vmlat_bypass_result *result)
{
    const struct vmlat_bypass_result *r;

    for (r = view->results->results; r < result; r++) {
        if (is_selected(view, r) && same_cures(r, result)) {
            return r;
        }
    }
    return NULL;
}

/* Returns true if 'command' is among the cures that were shown before those of
 * 'result'. */
static bool
was_shown(const struct view *view, const struct vmlat_bypass_result *result,
          const char *command)
{
    const struct vmlat_bypass_result *r;

    for (r = view->results->results; r < result; r++) {
        for (size_t i = 0; is_selected(view, r) && i < r->n_cures; i++) {
            if (!strcmp(r->cures[i].command, command)) {
                return true;
            }
        }
    }
    return false;
}

static void
put_cures(struct ds *ds, const struct view *view,
          const struct vmlat_bypass_result *result)
{
    const struct vmlat_bypass_result *same = find_cured(view, result);
    size_t n = 0, n_shown = 0;

    if (!result->n_cures) {
        return;
    } else if (same) {
        ds_put_cstr(ds, "  cure: the same as of ");
        vmlat_put_clean(ds, same->port);
        ds_put_char(ds, '\n');
        return;
    }
    ds_put_cstr(ds, "  cure, in this order; vmlat changes nothing itself:\n");
    for (size_t i = 0; i < result->n_cures; i++) {
        const struct vmlat_bypass_cure *cure = &result->cures[i];

        if (was_shown(view, result, cure->command)) {
            n_shown++;
            continue;
        }
        ds_put_format(ds, "    %"PRIuSIZE". ", ++n);
        vmlat_put_clean(ds, cure->command);
        ds_put_cstr(ds, "\n       interrupts: ");
        vmlat_put_clean(ds, cure->interrupts);
        ds_put_char(ds, '\n');
    }
    if (n_shown) {
        ds_put_format(ds, "    (and %"PRIuSIZE" shown above already)\n",
                      n_shown);
    }
}

static void
put_since(struct ds *ds, const struct vmlat_bypass_watched *watched)
{
    char *since = xastrftime_msec("%Y-%m-%d %H:%M:%S", watched->since, false);

    ds_put_format(ds, "  watch: %s since %s, which is change number %u\n",
                  vmlat_bypass_verdict_name(watched->verdict), since,
                  watched->changes);
    free(since);
}

static void
put_result(struct ds *ds, const struct view *view,
           const struct vmlat_bypass_result *result)
{
    const struct vmlat_bypass_watched *watched = find_watched(view, result);

    vmlat_put_port(ds, result->port, result->vm);
    ds_put_cstr(ds, " of ");
    vmlat_put_clean(ds, result->bridge);
    ds_put_format(ds, ": %s", vmlat_bypass_verdict_name(result->verdict));
    if (result->share >= 0) {
        ds_put_format(ds, ", %.1f %% of %"PRIu64" packets to and from beyond "
                      "this host routed by the kernel", result->share * 100,
                      result->share_of);
    }
    ds_put_format(ds, ", in %.3g s\n  %s", window_seconds(view),
                  vmlat_bypass_verdict_meaning(result->verdict));
    if (result->why) {
        ds_put_cstr(ds, "; ");
        vmlat_put_clean(ds, result->why);
    }
    ds_put_char(ds, '\n');
    if (watched) {
        put_since(ds, watched);
    }
    for (size_t i = 0; i < result->n_ways; i++) {
        put_way(ds, view, &result->ways[i]);
    }
    put_latency(ds, view, result);
    if (result->n_flows) {
        ds_put_cstr(ds, "  proof, flows that were routed");
        if (result->n_flows > MAX_FLOWS) {
            ds_put_format(ds, " (%d of %"PRIuSIZE"; 'vmlat/bypass flows' has "
                          "the others)", MAX_FLOWS, result->n_flows);
        }
        ds_put_cstr(ds, ":\n");
        for (size_t i = 0; i < MIN(result->n_flows, MAX_FLOWS); i++) {
            put_flow(ds, view, &result->flows[i]);
        }
    }
    if (result->n_causes) {
        ds_put_cstr(ds, "  causes:\n");
    }
    for (size_t i = 0; i < result->n_causes; i++) {
        const struct vmlat_bypass_cause *cause = &result->causes[i];

        ds_put_format(ds, "    %s: %s\n      ", cause->code, cause->meaning);
        vmlat_put_clean(ds, cause->evidence);
        ds_put_char(ds, '\n');
    }
    put_cures(ds, view, result);
}

static void
show_text(const struct view *view, struct ds *reply)
{
    const struct vmlat_bypass_results *results = view->results;
    size_t n = 0;

    for (size_t i = 0; i < results->n; i++) {
        if (is_selected(view, &results->results[i])) {
            ds_put_cstr(reply, n++ ? "\n" : "");
            put_result(reply, view, &results->results[i]);
        }
    }
    if (!n) {
        ds_put_cstr(reply, "there is no VM port of a userspace bridge");
        if (view->only) {
            ds_put_cstr(reply, " there: ");
            vmlat_put_clean(reply, view->only);
        }
        ds_put_char(reply, '\n');
    }
    ds_put_cstr(reply, "\nnot seen:\n");
    for (size_t i = 0; i < results->n_notes; i++) {
        ds_put_cstr(reply, "  ");
        vmlat_put_clean(reply, results->notes[i]);
        ds_put_char(reply, '\n');
    }
    ds_put_cstr(reply, "  what other network namespaces, guests and NICs do "
                       "with packets\n");
    if (view->watch) {
        ds_put_format(reply, "watch: %"PRIu64" windows of %.1f s or more, "
                      "%.3f s of CPU time\n", view->watch->windows,
                      VMLAT_BYPASS_WATCH_WINDOW / 1000.0,
                      view->watch->cpu_ns / 1e9);
    }
}

/* The command. */

static const struct part *
find_part(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        if (!strcmp(parts[i].name, name)) {
            return &parts[i];
        }
    }
    return NULL;
}

/* Stores what the words of 'args' ask for: '*part' NULL for all of it. */
static char *
parse_words(const struct vmlat_args *args, const struct part **part,
            const char **only)
{
    struct vmlat_db_port db;

    *part = args->n_words ? find_part(args->words[0]) : NULL;
    *only = (args->n_words > 1 ? args->words[1]
             : args->n_words && !*part ? args->words[0]
             : NULL);
    if (args->n_words > 1 && !*part) {
        return xasprintf("\"%s\" is not one of verdicts, ways, flows, causes, "
                         "cures, rules", args->words[0]);
    }
    if (*part && !(*part)->fill && (*only || args->interval_ms)) {
        return xstrdup("rules are the same for all: give nothing else");
    }
    if (*only) {
        vmlat_db_port_lookup(*only, &db);
        if (!db.bridge && !vmlat_db_is_bridge(*only)) {
            return xasprintf("there is no bridge or port \"%s\"", *only);
        }
    }
    return NULL;
}

bool
vmlat_bypass_needs_window(const struct vmlat_args *args)
{
    const struct part *part = (args->n_words ? find_part(args->words[0])
                               : NULL);

    return ((!part || part->fill)
            && (args->interval_ms || !vmlat_bypass_watch_last()));
}

/* Runs the command "vmlat/bypass". */
char *
vmlat_command_bypass(const struct vmlat_args *args, struct ds *reply)
{
    struct vmlat_bypass_watch watch;
    const struct part *part;
    struct view view = { .results = args->bypass };
    char *error;

    error = parse_words(args, &part, &view.only);
    if (error && args->bypass) {
        /* The port has gone meanwhile; there may be something about it. */
        free(error);
    } else if (error || args->check_only) {
        return error;
    }
    if (part && !part->fill) {
        show_rules(args, reply);
        return NULL;
    }
    if (!view.results) {
        view.results = vmlat_bypass_watch_last();
        if (!view.results) {
            return xstrdup("the watch has just been turned off: try again");
        }
        vmlat_bypass_watch_get(&watch);
        view.watch = &watch;
    }

    if (!part && args->style.format == TF_TABLE) {
        show_text(&view, reply);
    } else {
        struct vmlat_out out;

        part = part ? part : &parts[0];
        vmlat_out_init(&out, args);
        part->fill(&out, &view, NULL);
        for (size_t i = 0; i < view.results->n; i++) {
            if (is_selected(&view, &view.results->results[i])) {
                part->fill(&out, &view, &view.results->results[i]);
            }
        }
        vmlat_out_finish(&out, reply);
    }
    if (view.watch) {
        vmlat_bypass_watch_destroy(&watch);
    }
    return NULL;
}
