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
#include "vmlat-bypass-flows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dpif.h"
#include "hash.h"
#include "netlink.h"
#include "odp-netlink.h"
#include "odp-util.h"
#include "openvswitch/hmap.h"
#include "ovs-rcu.h"
#include "packets.h"
#include "sset.h"
#include "timeval.h"
#include "util.h"

/* The only type of datapath whose packets userspace does not handle. */
#define KERNEL_DATAPATH "system"

#define DUMP_BATCH 50           /* dpif-netdev gives no more at once. */

/* A dump may miss a flow that other flows are inserted beside or removed from:
 * what it counted is forgotten only when a second dump has not met it. */
#define DUMPS_TO_FORGET 2

/* Last known counters of a flow of one PMD thread. */
struct counted {
    struct hmap_node node;      /* In vmlat_bypass_flows.counted. */
    ovs_u128 ufid;
    unsigned int pmd_id;
    uint32_t datapath;          /* Hash of its type and name. */
    uint32_t dump;              /* Last dump that met it. */
    uintptr_t instance;         /* Tells apart flows that are removed and come
                                 * back with the same 'ufid'. */
    uint64_t packets;
    uint64_t bytes;
};

struct vmlat_bypass_flows {
    struct hmap counted;        /* Contains "struct counted"s. */
    uint32_t dump;              /* Number of dumps so far. */
    long long int last_ms;      /* When the last one began, time_msec(). */
    bool full;                  /* The last one met flows that found no room
                                 * in 'counted'. */
    bool full_now;              /* So does the present one. */
};

struct port {
    struct hmap_node node;      /* In reading.ports. */
    odp_port_t number;
    bool internal;
    bool mirror;                /* Gets copies of what goes elsewhere. */
    char *name;
};

struct row_key {
    odp_port_t in;
    odp_port_t out;             /* ODPP_NONE if dropped or flooded. */
    bool flooded;
    bool has_src, has_dst;
    struct eth_addr src, dst;
};

struct row {
    struct hmap_node node;      /* In reading.rows. */
    struct row_key key;
    uint64_t packets;
    uint64_t bytes;
};

/* A dump of one datapath. */
struct reading {
    struct vmlat_bypass_flows *flows;
    struct vmlat_bypass_dp *dp;
    const struct sset *mirrors; /* Names of ports. */
    const struct dpif *dpif;
    uint32_t datapath;
    struct hmap ports;          /* Contains "struct port"s. */
    struct hmap rows;           /* Contains "struct row"s. */
};

/* Where the actions of a flow send a packet. */
struct ends {
    const struct reading *r;
    odp_port_t out;             /* The first port but for mirrors'. */
    odp_port_t mirror;          /* A mirror's. */
    struct eth_addr src;        /* Source address, as sent to 'out'. */
    bool has_src;
    bool several;               /* To other ports, too. */
    bool goes_on;               /* Another flow handles it further. */
    bool elsewhere;             /* To somewhere that actions do not name. */
};

/* Ethernet source address of a packet while actions change it. */
struct source {
    struct eth_addr mac;
    bool known;
};

/* Ports. */

static struct port *
find_port(const struct reading *r, odp_port_t number)
{
    struct port *port;

    HMAP_FOR_EACH_WITH_HASH (port, node, hash_odp_port(number), &r->ports) {
        if (port->number == number) {
            return port;
        }
    }
    return NULL;
}

/* Adds ports that are not known yet: one that a flow speaks of may have been
 * removed since the flow was dumped, or added since the ports were. */
static void
read_ports(struct reading *r)
{
    struct dpif_port_dump dump;
    struct dpif_port dpif_port;

    DPIF_PORT_FOR_EACH (&dpif_port, &dump, r->dpif) {
        struct port *port;

        if (find_port(r, dpif_port.port_no)) {
            continue;
        }
        port = xmalloc(sizeof *port);
        port->number = dpif_port.port_no;
        port->internal = (!strcmp(dpif_port.type, "tap")
                          || !strcmp(dpif_port.type, "internal")
                          || !strcmp(dpif_port.type, "dummy-internal"));
        port->mirror = sset_contains(r->mirrors, dpif_port.name);
        port->name = xstrdup(dpif_port.name);
        hmap_insert(&r->ports, &port->node, hash_odp_port(port->number));
    }
}

/* Returns the name of port 'number', or something in its place if it has gone,
 * which the caller frees. */
static char *
port_name(struct reading *r, odp_port_t number, bool *read_again)
{
    const struct port *port = find_port(r, number);

    if (!port && !*read_again) {
        *read_again = true;
        read_ports(r);
        port = find_port(r, number);
    }
    return (port ? xstrdup(port->name)
            : xasprintf("port#%"PRIu32, odp_to_u32(number)));
}

/* Actions. */

static void
add_output(struct ends *ends, odp_port_t out, const struct source *source)
{
    const struct port *port = find_port(ends->r, out);

    if (port && port->mirror) {
        ends->mirror = out;
    } else if (ends->out == ODPP_NONE) {
        ends->out = out;
        ends->src = source->mac;
        ends->has_src = source->known;
    } else if (ends->out != out) {
        ends->several = true;
    }
}

/* 'set' is a nested attribute of OVS_ACTION_ATTR_SET or _SET_MASKED. */
static void
set_source(const struct nlattr *set, bool masked, struct source *source)
{
    const struct nlattr *a = nl_attr_get(set);
    const struct ovs_key_ethernet *eth;

    if (nl_attr_type(a) != OVS_KEY_ATTR_ETHERNET) {
        return;
    }
    eth = nl_attr_get(a);
    if (!masked) {
        *source = (struct source) { eth->eth_src, true };
    } else if (eth_addr_is_broadcast(eth[1].eth_src)) {
        *source = (struct source) { eth->eth_src, true };
    } else if (!eth_addr_is_zero(eth[1].eth_src)) {
        source->known = false;
    }
}

/* Adds to 'ends' where 'actions' send a packet with 'source', which they may
 * change. */
static void
walk_actions(const struct nlattr *actions, size_t actions_len,
             struct source *source, struct ends *ends)
{
    const struct ovs_action_push_tnl *tnl;
    const struct nlattr *a, *b;
    struct source copy;
    size_t left, left2;

    NL_ATTR_FOR_EACH_UNSAFE (a, left, actions, actions_len) {
        switch (nl_attr_type(a)) {
        case OVS_ACTION_ATTR_OUTPUT:
            add_output(ends, nl_attr_get_odp_port(a), source);
            break;

        case OVS_ACTION_ATTR_CLONE:
            copy = *source;
            walk_actions(nl_attr_get(a), nl_attr_get_size(a), &copy, ends);
            break;

        case OVS_ACTION_ATTR_SAMPLE:
            b = nl_attr_find_nested(a, OVS_SAMPLE_ATTR_ACTIONS);
            if (b) {
                bool elsewhere = ends->elsewhere;

                copy = *source;
                walk_actions(nl_attr_get(b), nl_attr_get_size(b), &copy,
                             ends);

                /* What a collector of samples gets is a copy. */
                ends->elsewhere = elsewhere;
            }
            break;

        case OVS_ACTION_ATTR_CHECK_PKT_LEN:
            NL_NESTED_FOR_EACH_UNSAFE (b, left2, a) {
                int type = nl_attr_type(b);

                if (type == OVS_CHECK_PKT_LEN_ATTR_ACTIONS_IF_GREATER
                    || type == OVS_CHECK_PKT_LEN_ATTR_ACTIONS_IF_LESS_EQUAL) {
                    copy = *source;
                    walk_actions(nl_attr_get(b), nl_attr_get_size(b), &copy,
                                 ends);
                }
            }
            break;

        case OVS_ACTION_ATTR_SET:
        case OVS_ACTION_ATTR_SET_MASKED:
            set_source(a, nl_attr_type(a) == OVS_ACTION_ATTR_SET_MASKED,
                       source);
            break;

        case OVS_ACTION_ATTR_TUNNEL_PUSH:
            /* The output to the port below the tunnel is an action, too. */
            tnl = nl_attr_get(a);
            memcpy(&source->mac,
                   (const uint8_t *) tnl->header + ETH_ADDR_LEN,
                   sizeof source->mac);
            source->known = true;
            break;

        case OVS_ACTION_ATTR_PUSH_ETH:
            source->mac
                = ((const struct ovs_action_push_eth *) nl_attr_get(a))
                  ->addresses.eth_src;
            source->known = true;
            break;

        case OVS_ACTION_ATTR_POP_ETH:
            source->known = false;
            break;

        case OVS_ACTION_ATTR_RECIRC:
        case OVS_ACTION_ATTR_TUNNEL_POP:
            ends->goes_on = true;
            break;

        case OVS_ACTION_ATTR_USERSPACE:
        case OVS_ACTION_ATTR_LB_OUTPUT:
            ends->elsewhere = true;
            break;

        default:
            break;
        }
    }
}

/* Keys. */

static const struct ovs_key_ethernet *
find_ethernet(const struct nlattr *key, size_t key_len)
{
    const struct nlattr *a = nl_attr_find__(key, key_len,
                                            OVS_KEY_ATTR_ETHERNET);

    return (a && nl_attr_get_size(a) == sizeof(struct ovs_key_ethernet)
            ? nl_attr_get(a) : NULL);
}

/* Stores to '*key' which row counts the packets of 'flow'.  Returns false if
 * none does since a later flow counts them.  Sets '*elsewhere' if they go
 * where no row can say. */
static bool
classify(const struct reading *r, const struct dpif_flow *flow,
         struct row_key *key, bool *elsewhere)
{
    const struct ovs_key_ethernet *eth = find_ethernet(flow->key,
                                                       flow->key_len);
    const struct ovs_key_ethernet *mask = find_ethernet(flow->mask,
                                                        flow->mask_len);
    const struct nlattr *in = nl_attr_find__(flow->key, flow->key_len,
                                             OVS_KEY_ATTR_IN_PORT);
    struct ends ends = { .r = r, .out = ODPP_NONE, .mirror = ODPP_NONE };
    struct source source = { .known = false };

    memset(key, 0, sizeof *key);
    key->in = in ? nl_attr_get_odp_port(in) : ODPP_NONE;
    if (eth && mask) {
        if (eth_addr_is_broadcast(mask->eth_src)) {
            key->src = eth->eth_src;
            key->has_src = true;
        }
        if (eth_addr_is_broadcast(mask->eth_dst)) {
            key->dst = eth->eth_dst;
            key->has_dst = true;
        }
    }
    source.mac = key->src;
    source.known = key->has_src;
    walk_actions(flow->actions, flow->actions_len, &source, &ends);

    /* A copy for a mirror says nothing about the way of a packet, unless there
     * is nothing else. */
    if (ends.out == ODPP_NONE && !ends.goes_on) {
        ends.out = ends.mirror;
    }
    key->out = ODPP_NONE;
    *elsewhere = false;
    if (ends.several || (ends.out != ODPP_NONE && ends.goes_on)) {
        key->flooded = true;
    } else if (ends.out != ODPP_NONE) {
        const struct port *port = find_port(r, ends.out);

        key->out = ends.out;
        if (port && port->internal) {
            /* The kernel knows the packet by the address it gets it with. */
            key->src = ends.has_src ? ends.src : eth_addr_zero;
            key->has_src = ends.has_src;
        }
    } else if (ends.goes_on) {
        return false;
    } else {
        *elsewhere = ends.elsewhere;
    }
    return true;
}

/* Rows. */

static struct row *
find_row(const struct reading *r, const struct row_key *key, uint32_t hash)
{
    struct row *row;

    HMAP_FOR_EACH_WITH_HASH (row, node, hash, &r->rows) {
        if (!memcmp(&row->key, key, sizeof *key)) {
            return row;
        }
    }
    return NULL;
}

static void
add_to_row(struct reading *r, struct row_key *key, uint64_t packets,
           uint64_t bytes)
{
    size_t n = r->dp->n + hmap_count(&r->rows);
    uint32_t hash = hash_bytes(key, sizeof *key, 0);
    struct row *row = find_row(r, key, hash);

    if (!row && n >= VMLAT_BYPASS_MAX_DP_ROWS) {
        /* Still say which ports, of which there are less than addresses. */
        key->has_src = key->has_dst = false;
        key->src = key->dst = eth_addr_zero;
        hash = hash_bytes(key, sizeof *key, 0);
        row = find_row(r, key, hash);
        if (!row && n >= 2 * VMLAT_BYPASS_MAX_DP_ROWS) {
            r->dp->left_out += packets;
            return;
        }
    }
    if (!row) {
        row = xzalloc(sizeof *row);
        row->key = *key;
        hmap_insert(&r->rows, &row->node, hash);
    }
    row->packets += packets;
    row->bytes += bytes;
}

/* Appends the rows of a datapath to r->dp. */
static void
store_rows(struct reading *r)
{
    struct vmlat_bypass_dp *dp = r->dp;
    bool read_again = false;
    struct row *row;

    if (hmap_is_empty(&r->rows)) {
        return;
    }
    dp->rows = xrealloc(dp->rows, (dp->n + hmap_count(&r->rows))
                                  * sizeof *dp->rows);
    HMAP_FOR_EACH (row, node, &r->rows) {
        const struct row_key *key = &row->key;

        dp->rows[dp->n++] = (struct vmlat_bypass_dp_row) {
            .in = port_name(r, key->in, &read_again),
            .out = (key->out != ODPP_NONE
                    ? port_name(r, key->out, &read_again) : NULL),
            .flooded = key->flooded,
            .has_src = key->has_src,
            .has_dst = key->has_dst,
            .src = key->src,
            .dst = key->dst,
            .packets = row->packets,
            .bytes = row->bytes,
        };
    }
}

static int
compare_rows(const void *a_, const void *b_)
{
    const struct vmlat_bypass_dp_row *a = a_;
    const struct vmlat_bypass_dp_row *b = b_;

    return a->packets > b->packets ? -1 : a->packets < b->packets;
}

/* Counters. */

static uint32_t
hash_flow(const struct dpif_flow *flow, uint32_t datapath)
{
    return hash_words(flow->ufid.u32, ARRAY_SIZE(flow->ufid.u32),
                      datapath ^ flow->pmd_id);
}

static struct counted *
find_counted(const struct vmlat_bypass_flows *flows,
             const struct dpif_flow *flow, uint32_t datapath, uint32_t hash)
{
    struct counted *c;

    HMAP_FOR_EACH_WITH_HASH (c, node, hash, &flows->counted) {
        if (ovs_u128_equals(c->ufid, flow->ufid) && c->pmd_id == flow->pmd_id
            && c->datapath == datapath) {
            return c;
        }
    }
    return NULL;
}

/* Stores to '*packets' and '*bytes' what 'flow' has counted since the last
 * dump, as far as that is known. */
static void
count_flow(struct reading *r, const struct dpif_flow *flow, uint64_t *packets,
           uint64_t *bytes)
{
    struct vmlat_bypass_flows *flows = r->flows;
    const struct dpif_flow_stats *stats = &flow->stats;
    uint32_t hash = hash_flow(flow, r->datapath);
    struct counted *c = find_counted(flows, flow, r->datapath, hash);
    uintptr_t instance = (uintptr_t) flow->attrs.dp_extra_info;
    bool known = true;

    *packets = *bytes = 0;
    if (!c) {
        /* A new flow has counted all its packets since the last dump, unless
         * it is an old one that found no room then. */
        known = flows->dump > 1 && !flows->full;
        if (hmap_count(&flows->counted) < VMLAT_BYPASS_MAX_DP_FLOWS) {
            c = xzalloc(sizeof *c);
            c->ufid = flow->ufid;
            c->pmd_id = flow->pmd_id;
            c->datapath = r->datapath;
            hmap_insert(&flows->counted, &c->node, hash);
        } else {
            flows->full_now = true;
            known = false;
        }
    }
    if (known) {
        /* Of a flow that was removed and came back, all is new.  'instance'
         * is the place of a string that dpif-netdev allocates for each flow,
         * and is never followed. */
        bool same = (c->instance == instance
                     && stats->n_packets >= c->packets
                     && stats->n_bytes >= c->bytes);

        *packets = stats->n_packets - (same ? c->packets : 0);
        *bytes = stats->n_bytes - (same ? c->bytes : 0);
    } else if (flows->dump > 1 && stats->used >= flows->last_ms) {
        r->dp->left_out += stats->n_packets;
    }
    if (c) {
        c->instance = instance;
        c->packets = stats->n_packets;
        c->bytes = stats->n_bytes;
        c->dump = flows->dump;
    }
}

static void
forget_ended(struct vmlat_bypass_flows *flows)
{
    struct counted *c;

    HMAP_FOR_EACH_SAFE (c, node, &flows->counted) {
        if (flows->dump - c->dump >= DUMPS_TO_FORGET) {
            hmap_remove(&flows->counted, &c->node);
            free(c);
        }
    }
}

/* Dumps. */

static void
read_flow(struct reading *r, const struct dpif_flow *flow)
{
    uint64_t packets, bytes;
    struct row_key key;
    bool elsewhere;

    count_flow(r, flow, &packets, &bytes);
    if (packets && classify(r, flow, &key, &elsewhere)) {
        if (elsewhere) {
            r->dp->elsewhere += packets;
        } else {
            add_to_row(r, &key, packets, bytes);
        }
    }
}

/* Returns 0 or a positive errno. */
static int
read_flows(struct reading *r)
{
    struct dpif_flow_dump_thread *thread;
    struct dpif_flow batch[DUMP_BATCH];
    struct dpif_flow_dump *dump;
    int n;

    dump = dpif_flow_dump_create(r->dpif, false, NULL);
    thread = dpif_flow_dump_thread_create(dump);
    do {
        n = dpif_flow_dump_next(thread, batch, ARRAY_SIZE(batch));
        for (int i = 0; i < n; i++) {
            read_flow(r, &batch[i]);
        }

        /* Others may wait for us, the main thread among them. */
        ovsrcu_quiesce();
    } while (n);
    dpif_flow_dump_thread_destroy(thread);
    return dpif_flow_dump_destroy(dump);
}

static void
add_why_not(struct vmlat_bypass_dp *dp, const char *name, int error)
{
    if (!dp->why_not) {
        dp->why_not = xasprintf("datapath %s: %s", name, ovs_strerror(error));
    }
}

static void
read_datapath(struct vmlat_bypass_flows *flows, const char *type,
              const char *name, const struct sset *mirrors,
              struct vmlat_bypass_dp *dp)
{
    struct reading r = {
        .flows = flows,
        .dp = dp,
        .mirrors = mirrors,
        .datapath = hash_string(type, hash_string(name, 0)),
    };
    struct dpif *dpif;
    struct port *port;
    struct row *row;
    int error;

    error = dpif_open(name, type, &dpif);
    if (error) {
        /* It may have been removed since it was listed. */
        if (error != ENODEV) {
            add_why_not(dp, name, error);
        }
        return;
    }
    r.dpif = dpif;
    hmap_init(&r.ports);
    hmap_init(&r.rows);
    read_ports(&r);
    error = read_flows(&r);
    if (error) {
        add_why_not(dp, name, error);
    }
    store_rows(&r);
    HMAP_FOR_EACH_POP (port, node, &r.ports) {
        free(port->name);
        free(port);
    }
    hmap_destroy(&r.ports);
    HMAP_FOR_EACH_POP (row, node, &r.rows) {
        free(row);
    }
    hmap_destroy(&r.rows);
    dpif_close(dpif);
}

struct vmlat_bypass_flows *
vmlat_bypass_flows_create(void)
{
    struct vmlat_bypass_flows *flows = xzalloc(sizeof *flows);

    hmap_init(&flows->counted);
    return flows;
}

void
vmlat_bypass_flows_destroy(struct vmlat_bypass_flows *flows)
{
    if (flows) {
        struct counted *c;

        HMAP_FOR_EACH_POP (c, node, &flows->counted) {
            free(c);
        }
        hmap_destroy(&flows->counted);
        free(flows);
    }
}

void
vmlat_bypass_flows_read(struct vmlat_bypass_flows *flows,
                        const struct sset *mirrors,
                        struct vmlat_bypass_dp *dp)
{
    struct sset types = SSET_INITIALIZER(&types);
    long long int now = time_msec();
    const char *type;

    memset(dp, 0, sizeof *dp);
    flows->dump++;
    flows->full_now = false;
    dp_enumerate_types(&types);
    SSET_FOR_EACH (type, &types) {
        struct sset names = SSET_INITIALIZER(&names);
        const char *name;

        if (strcmp(type, KERNEL_DATAPATH)
            && !dp_enumerate_names(type, &names)) {
            SSET_FOR_EACH (name, &names) {
                read_datapath(flows, type, name, mirrors, dp);
            }
        }
        sset_destroy(&names);
    }
    sset_destroy(&types);
    forget_ended(flows);
    flows->full = flows->full_now;
    flows->last_ms = now;
    if (dp->n) {
        qsort(dp->rows, dp->n, sizeof *dp->rows, compare_rows);
    }
}
