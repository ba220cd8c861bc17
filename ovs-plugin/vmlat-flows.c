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

/* vmlat/flows. */

#include <config.h>
#include "vmlat-view.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "packets.h"
#include "util.h"
#include "vmlat-command.h"
#include "vmlat-kernel.h"
#include "vmlat-packet.h"
#include "vmlat-settings.h"
#include "vmlat-window.h"

#define DEFAULT_N_FLOWS 10

/* A flow with what it is sorted by. */
struct ranked_flow {
    const struct vmlat_kernel_flow *flow;
    uint64_t rank;
};

/* Fills in 'packet' with the fields that filters look at. */
static void
flow_packet(const struct vmlat_bpf_flow_key *key, struct vmlat_packet *packet)
{
    memset(packet, 0, sizeof *packet);
    packet->fields = VMLAT_PACKET_ETH_TYPE;
    packet->eth_type = key->ethertype;
    if (key->ethertype != ETH_TYPE_IP && key->ethertype != ETH_TYPE_IPV6) {
        return;
    }
    packet->fields |= VMLAT_PACKET_IP | VMLAT_PACKET_PROTO;
    packet->ip_version = key->ethertype == ETH_TYPE_IP ? 4 : 6;
    packet->proto = key->proto;
    memcpy(&packet->src, key->src, sizeof packet->src);
    memcpy(&packet->dst, key->dst, sizeof packet->dst);
    if (vmlat_packet_proto_has_ports(key->proto)
        && (key->sport || key->dport)) {
        packet->fields |= VMLAT_PACKET_PORTS;
        packet->src_port = ntohs(key->sport);
        packet->dst_port = ntohs(key->dport);
    }
}

static bool
flow_is_icmp(const struct vmlat_bpf_flow_key *key)
{
    return ((key->ethertype == ETH_TYPE_IP && key->proto == IPPROTO_ICMP)
            || (key->ethertype == ETH_TYPE_IPV6
                && key->proto == IPPROTO_ICMPV6));
}

static bool
flow_matches(struct vmlat_view *view, const struct vmlat_kernel_flow *flow)
{
    const struct vmlat_port *in = vmlat_port_from_slot(flow->key.in);
    const struct vmlat_port *out = vmlat_port_from_slot(flow->key.out);
    struct vmlat_packet packet;

    flow_packet(&flow->key, &packet);
    return ((vmlat_view_is_all(view)
             && !(view->filter->keys & VMLAT_FILTER_DIRECTION))
            || vmlat_view_has_pair(view, in, out))
           && vmlat_filter_match_packet(view->filter, &packet);
}

static uint64_t
flow_rank(const struct vmlat_kernel_flow *flow, enum vmlat_sort sort)
{
    const struct vmlat_bpf_small_hist *h = &flow->flow.hist;

    return (sort == VMLAT_SORT_P99 ? vmlat_kernel_small_percentile(h, 99)
            : sort == VMLAT_SORT_MAX ? h->max
            : h->packets);
}

static int
compare_ranks(const void *a_, const void *b_)
{
    const struct ranked_flow *a = a_;
    const struct ranked_flow *b = b_;

    return (a->rank > b->rank ? -1 : a->rank < b->rank ? 1
            : memcmp(&a->flow->key, &b->flow->key, sizeof a->flow->key));
}

/* Appends a flow in the manner of vmlat_packet_format(). */
static void
put_flow(const struct vmlat_bpf_flow_key *key, struct ds *ds)
{
    struct vmlat_packet packet;

    flow_packet(key, &packet);
    vmlat_packet_format(&packet, ds);
    if (flow_is_icmp(key)) {
        ds_put_format(ds, " type %d code %d id %d", key->sport >> 8,
                      key->sport & 0xff, key->dport);
    }
}

static void
out_address(struct vmlat_out *out, const struct vmlat_packet *packet,
            const struct in6_addr *addr)
{
    struct ds ds = DS_EMPTY_INITIALIZER;

    if (packet->fields & VMLAT_PACKET_IP) {
        ipv6_format_mapped(addr, &ds);
    } else {
        ds_put_char(&ds, '-');
    }
    vmlat_out_string(out, ds_cstr(&ds));
    ds_destroy(&ds);
}

static void
out_integer_if(struct vmlat_out *out, bool cond, int64_t value)
{
    if (cond) {
        vmlat_out_integer(out, value);
    } else {
        vmlat_out_none(out);
    }
}

/* What the flow is, for programs. */
static void
out_key(const struct vmlat_bpf_flow_key *key, struct vmlat_out *out)
{
    bool icmp = flow_is_icmp(key);
    struct vmlat_packet packet;
    bool ports;

    flow_packet(key, &packet);
    ports = packet.fields & VMLAT_PACKET_PORTS;
    vmlat_out_integer(out, key->ethertype);
    out_integer_if(out, packet.fields & VMLAT_PACKET_PROTO, key->proto);
    out_address(out, &packet, &packet.src);
    out_address(out, &packet, &packet.dst);
    out_integer_if(out, ports, packet.src_port);
    out_integer_if(out, ports, packet.dst_port);
    out_integer_if(out, icmp, key->sport >> 8);
    out_integer_if(out, icmp, key->sport & 0xff);
    out_integer_if(out, icmp, key->dport);
}

static void
out_nones(struct vmlat_out *out, int n)
{
    while (n-- > 0) {
        vmlat_out_none(out);
    }
}

static void
out_flow(struct vmlat_view *view, const struct vmlat_kernel_flow *flow,
         struct vmlat_out *out)
{
    const struct vmlat_bpf_small_hist *h = &flow->flow.hist;

    vmlat_out_row(out);
    vmlat_out_slot(out, view, flow->key.in);
    vmlat_out_slot(out, view, flow->key.out);
    if (out->people) {
        struct ds ds = DS_EMPTY_INITIALIZER;

        put_flow(&flow->key, &ds);
        vmlat_out_string(out, ds_cstr(&ds));
        ds_destroy(&ds);
    } else {
        out_key(&flow->key, out);
        vmlat_out_integer(out, 1);
    }
    vmlat_out_integer(out, h->packets);
    vmlat_out_integer(out, flow->flow.bytes);
    vmlat_out_ns(out, vmlat_kernel_small_percentile(h, 50));
    vmlat_out_ns(out, vmlat_kernel_small_percentile(h, 90));
    vmlat_out_ns(out, vmlat_kernel_small_percentile(h, 99));
    vmlat_out_ns(out, h->max);
    vmlat_out_ns(out, h->packets ? h->total / h->packets : 0);
}

/* A row for what is not shown by itself: 'n' flows, or packets of flows that
 * nobody knows if 'n' is 0. */
static void
out_rest(const char *what, size_t n, uint64_t packets, uint64_t bytes,
         struct vmlat_out *out)
{
    char *name = (n ? xasprintf("%"PRIuSIZE" %s", n, what) : xstrdup(what));

    vmlat_out_row(out);
    vmlat_out_string(out, "-");
    vmlat_out_string(out, "-");
    if (out->people) {
        vmlat_out_string(out, name);
    } else {
        out_nones(out, 2);
        vmlat_out_string(out, what);
        vmlat_out_string(out, "-");
        out_nones(out, 5);
        out_integer_if(out, n, n);
    }
    vmlat_out_integer(out, packets);
    out_integer_if(out, n, bytes);
    out_nones(out, 5);
    free(name);
}

/* Shows the flows that have most of something. */
char *
vmlat_command_flows(const struct vmlat_args *args_, struct ds *reply)
{
    struct vmlat_args args = *args_;
    uint64_t left_out, rest_packets = 0, rest_bytes = 0;
    size_t n_max = DEFAULT_N_FLOWS, n_ranked = 0, n;
    struct vmlat_kernel_flow *flows;
    struct ranked_flow *ranked;
    struct vmlat_view view;
    struct vmlat_out out;
    char *error;

    error = vmlat_args_number(&args, "flows", &n_max);
    if (error) {
        return error;
    }
    args.n_words = 0;           /* The number is not a port. */

    ovs_mutex_lock(&vmlat_ports_mutex);
    error = vmlat_view_init(&view, &args, true);
    if (error || args.check_only) {
        goto exit;
    }

    n = vmlat_window_flows(args.base, &flows, &left_out);
    ranked = xmalloc((n + 1) * sizeof *ranked);
    for (size_t i = 0; i < n; i++) {
        if (flow_matches(&view, &flows[i])) {
            ranked[n_ranked++] = (struct ranked_flow) {
                &flows[i], flow_rank(&flows[i], args.sort)
            };
        }
    }
    qsort(ranked, n_ranked, sizeof *ranked, compare_ranks);

    vmlat_out_init(&out, &args);
    vmlat_out_state(&out, &args);
    vmlat_out_columns(&out, "port peer ethertype proto src dst sport dport "
                            "icmp_type icmp_code icmp_id flows packets bytes "
                            "p50_ns p90_ns p99_ns max_ns mean_ns",
                            "port peer flow packets bytes p50 p90 p99 max "
                            "mean");
    for (size_t i = 0; i < n_ranked; i++) {
        const struct vmlat_kernel_flow *flow = ranked[i].flow;

        if (i < n_max) {
            out_flow(&view, flow, &out);
        } else {
            rest_packets += flow->flow.hist.packets;
            rest_bytes += flow->flow.bytes;
        }
    }
    if (n_ranked > n_max) {
        out_rest("others", n_ranked - n_max, rest_packets, rest_bytes, &out);
    }
    if (left_out) {
        out_rest("left out", 0, left_out, 0, &out);
    }
    vmlat_out_finish(&out, reply);
    if (args.style.format == TF_TABLE) {
        vmlat_put_kernel_state(reply);
    }
    if (args.style.format == TF_TABLE
        && !vmlat_setting_get(VMLAT_SET_MAX_FLOWS)) {
        ds_put_cstr(reply, "flows are not measured: say how many at most by "
                    "'ovs-vsctl set Open_vSwitch . "
                    "other_config:vmlat-max-flows=N', then stop and start\n");
    }
    free(ranked);
    free(flows);

exit:
    ovs_mutex_unlock(&vmlat_ports_mutex);
    vmlat_view_destroy(&view);
    return error;
}
