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

/* bypass: what vmlat-bypass-judge.c and vmlat-bypass-rules.c make of facts,
 * which are made up here. */

#include <config.h>
#undef NDEBUG
#include "test-vmlat.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "openvswitch/dynamic-string.h"
#include "packets.h"
#include "util.h"
#include "vmlat-bypass-rules.h"

/* The host that most tests begin with. */
#define LO 1
#define BR0 10                  /* Internal port of ovsbr0. */
#define VLAN 11                 /* ovsbr0.100, above it. */
#define BR1 12                  /* Internal port of ovsbr1. */
#define NIC 20                  /* enp65s0f0np0, the kernel's. */
#define NIC2 21                 /* eno2, another one. */

#define MAC_BR0 "02:00:00:00:00:10"
#define MAC_A "02:00:00:00:00:0a"
#define MAC_B "02:00:00:00:00:0b"
#define MAC_PEER "02:00:00:00:00:99"
#define MAC_ALL "ff:ff:ff:ff:ff:ff"

#define FROM VMLAT_BYPASS_FROM_VM
#define TO VMLAT_BYPASS_TO_VM

static struct vmlat_bypass_facts facts;
static struct vmlat_bypass_results results;
static const char *test_name;
static unsigned int n_checks;

/* Making facts up. */

#define APPEND(ARRAY, N)                                                \
    ((ARRAY) = xrealloc(ARRAY, ((N) + 1) * sizeof *(ARRAY)),            \
     memset(&(ARRAY)[N], 0, sizeof *(ARRAY)), &(ARRAY)[(N)++])

#define SET(FIELD, STRING) ovs_strlcpy(FIELD, STRING, sizeof(FIELD))

static struct eth_addr
parse_mac(const char *s)
{
    struct eth_addr mac;

    ovs_assert(eth_addr_from_string(s, &mac));
    return mac;
}

static struct in6_addr
parse_ip(const char *s, unsigned int *plen)
{
    struct in6_addr ip = in6addr_any;
    char *error;

    *plen = 0;
    if (strchr(s, ':')) {
        error = ipv6_parse_cidr(s, &ip, plen);
    } else {
        ovs_be32 ip4;

        error = ip_parse_cidr(s, &ip4, plen);
        in6_addr_set_mapped_ipv4(&ip, ip4);
    }
    ovs_assert(!error);
    return ip;
}

static struct vmlat_bypass_link *
add_link(uint32_t ifindex, const char *name)
{
    struct vmlat_bypass_link *link = APPEND(facts.host.links,
                                            facts.host.n_links);

    link->ifindex = ifindex;
    ovs_strlcpy(link->name, name, sizeof link->name);
    link->flags = IFF_UP;
    link->carrier = true;
    return link;
}

static struct vmlat_bypass_link *
find_link(uint32_t ifindex)
{
    return CONST_CAST(struct vmlat_bypass_link *,
                      vmlat_bypass_link_find(&facts.host, ifindex));
}

static void
add_ip(uint32_t ifindex, const char *prefix)
{
    struct vmlat_bypass_ip *ip = APPEND(facts.host.ips, facts.host.n_ips);
    unsigned int plen;

    ip->ifindex = ifindex;
    ip->ip = parse_ip(prefix, &plen);
    ip->plen = plen;
}

static struct vmlat_bypass_route *
add_route(uint32_t ifindex, const char *prefix, const char *gateway)
{
    struct vmlat_bypass_route *route = APPEND(facts.host.routes,
                                              facts.host.n_routes);
    unsigned int plen;

    route->ifindex = ifindex;
    route->table = 254;
    route->ip6 = strchr(prefix, ':') != NULL;
    route->dst = parse_ip(prefix, &plen);
    route->plen = plen;
    if (gateway) {
        route->gateway = parse_ip(gateway, &plen);
    }
    return route;
}

static struct vmlat_bypass_port *
add_port(const char *bridge, const char *name, const char *type,
         enum vmlat_bypass_port_kind kind)
{
    struct vmlat_bypass_port *port = APPEND(facts.ovs.ports,
                                            facts.ovs.n_ports);

    port->name = xstrdup(name);
    port->bridge = xstrdup(bridge);
    port->type = xstrdup(type);
    port->kind = kind;
    port->userspace = true;
    port->vhost = !strcmp(type, "dpdkvhostuserclient");
    port->link_known = port->admin_known = true;
    port->link_up = port->admin_up = true;
    return port;
}

static struct vmlat_bypass_port *
find_port(const char *name)
{
    return CONST_CAST(struct vmlat_bypass_port *,
                      vmlat_bypass_port_find(&facts.ovs, name));
}

/* 'out' may be NULL: dropped, or "*": flooded.  'src' and 'dst' may be NULL:
 * the flow does not match on them. */
static void
add_row(const char *in, const char *out, const char *src, const char *dst,
        uint64_t packets)
{
    struct vmlat_bypass_dp_row *row = APPEND(facts.dp.rows, facts.dp.n);

    row->in = xstrdup(in);
    row->flooded = out && !strcmp(out, "*");
    row->out = out && !row->flooded ? xstrdup(out) : NULL;
    if (src) {
        row->has_src = true;
        row->src = parse_mac(src);
    }
    if (dst) {
        row->has_dst = true;
        row->dst = parse_mac(dst);
    }
    row->packets = packets;
    row->bytes = packets * 100;
}

/* 'mac' may be NULL: 0. */
static void
add_kernel(uint32_t internal, const char *mac,
           enum vmlat_bypass_direction direction, enum vmlat_bypass_end end,
           uint32_t other, uint64_t packets)
{
    struct vmlat_bypass_kernel_way *way = APPEND(facts.kernel.ways,
                                                 facts.kernel.n_ways);
    struct eth_addr addr = mac ? parse_mac(mac) : eth_addr_zero;

    way->key.internal = internal;
    way->key.other = other;
    memcpy(way->key.mac, &addr, sizeof way->key.mac);
    way->key.direction = direction;
    way->key.end = end;
    way->count.packets = packets;
    way->count.bytes = packets * 100;
}

static struct vmlat_bypass_kernel_flow *
add_flow(uint32_t internal, const char *mac,
         enum vmlat_bypass_direction direction, uint32_t other,
         const char *src, const char *dst, uint64_t packets)
{
    struct vmlat_bypass_kernel_flow *flow = APPEND(facts.kernel.flows,
                                                   facts.kernel.n_flows);
    struct eth_addr addr = parse_mac(mac);
    struct in6_addr ip;
    unsigned int plen;

    flow->key.way.internal = internal;
    flow->key.way.other = other;
    memcpy(flow->key.way.mac, &addr, sizeof flow->key.way.mac);
    flow->key.way.direction = direction;
    flow->key.way.end = VMLAT_BYPASS_END_ROUTED;
    ip = parse_ip(src, &plen);
    memcpy(flow->key.src, &ip, sizeof ip);
    memcpy(flow->count.out_src, &ip, sizeof ip);
    ip = parse_ip(dst, &plen);
    memcpy(flow->key.dst, &ip, sizeof ip);
    memcpy(flow->count.out_dst, &ip, sizeof ip);
    flow->key.ip_version = strchr(src, ':') ? 6 : 4;
    flow->key.protocol = IPPROTO_UDP;
    flow->count.packets = packets;
    flow->count.bytes = packets * 100;
    return flow;
}

/* Begins a test, with the host as it should be: VMs vm1 and vm2 by vhost-user
 * on ovsbr0, dpdk0 as uplink, a NIC of the kernel's beside. */
static void
begin(const char *name)
{
    struct vmlat_bypass_link *link;
    struct vmlat_bypass_port *port;

    test_name = name;
    memset(&facts, 0, sizeof facts);
    facts.window_ns = UINT64_C(2000000000);
    facts.host.nat = 0;
    facts.ovs.dpdk_init = facts.ovs.dpdk_initialized = true;

    link = add_link(LO, "lo");
    link->flags |= IFF_LOOPBACK;
    link = add_link(BR0, "ovsbr0");
    SET(link->kind, "tun");
    link->mac = parse_mac(MAC_BR0);
    link = add_link(NIC, "enp65s0f0np0");
    SET(link->driver, "ice");
    SET(link->bus, "0000:41:00.0");
    link->physical = true;
    add_ip(NIC, "203.0.113.2/24");
    add_route(NIC, "203.0.113.0/24", NULL);

    add_port("ovsbr0", "ovsbr0", "internal", VMLAT_BYPASS_PORT_INTERNAL);
    port = add_port("ovsbr0", "dpdk0", "dpdk", VMLAT_BYPASS_PORT_NIC);
    port->devargs = xstrdup("0000:41:00.1");
    add_port("ovsbr0", "vm1", "dpdkvhostuserclient", VMLAT_BYPASS_PORT_VM);
    add_port("ovsbr0", "vm2", "dpdkvhostuserclient", VMLAT_BYPASS_PORT_VM);
}

/* As it was met in the field, but for traffic. */
static void
begin_field(const char *name)
{
    begin(name);
    add_ip(BR0, "192.168.100.1/24");
    add_ip(BR0, "10.10.1.1/24");
    add_route(BR0, "192.168.100.0/24", NULL);
    add_route(BR0, "10.10.1.0/24", NULL);
    add_route(NIC, "10.20.0.0/16", "203.0.113.1");
    find_link(BR0)->forwarding4 = true;
    facts.host.forwarding4 = true;
}

/* 'packets' each way of VM 'name', with 'mac', routed by the kernel. */
static void
add_routed(const char *name, const char *mac, uint64_t packets)
{
    add_row(name, "ovsbr0", mac, MAC_BR0, packets);
    add_row("ovsbr0", name, MAC_BR0, mac, packets);
    add_kernel(BR0, mac, FROM, VMLAT_BYPASS_END_ROUTED, NIC, packets);
    add_kernel(BR0, mac, TO, VMLAT_BYPASS_END_ROUTED, NIC, packets);
    add_flow(BR0, mac, FROM, NIC, "192.168.100.10", "10.20.0.5", packets)
        ->key.gateway = 1;
    add_flow(BR0, mac, TO, NIC, "10.20.0.5", "192.168.100.10", packets);
}

/* 'packets' each way of VM 'name', with 'mac', by dpdk0. */
static void
add_direct(const char *name, const char *mac, uint64_t packets)
{
    add_row(name, "dpdk0", mac, MAC_PEER, packets);
    add_row("dpdk0", name, MAC_PEER, mac, packets);
}

/* Looking at results. */

static void
judge(void)
{
    vmlat_bypass_judge(&facts, &results);
}

/* Ends a test. */
static void
end(void)
{
    vmlat_bypass_results_destroy(&results);
    vmlat_bypass_facts_destroy(&facts);
    n_checks++;
}

static const struct vmlat_bypass_result *
find_result(const char *port)
{
    for (size_t i = 0; i < results.n; i++) {
        if (!strcmp(results.results[i].port, port)) {
            return &results.results[i];
        }
    }
    fail("%s: no result for %s", test_name, port);
    return NULL;
}

static void
check_string(const char *port, const char *what, const char *is,
             const char *should_be)
{
    if (strcmp(is, should_be)) {
        fail("%s: %s of %s:\n%s\nshould be:\n%s", test_name, what, port, is,
             should_be);
    }
}

static void
check_verdict(const char *port, enum vmlat_bypass_verdict verdict)
{
    const struct vmlat_bypass_result *result = find_result(port);

    if (result) {
        check_string(port, "verdict",
                     vmlat_bypass_verdict_name(result->verdict),
                     vmlat_bypass_verdict_name(verdict));
    }
}

/* Checks the share, in millionths, and of how many packets it is. */
static void
check_share(const char *port, int millionths, uint64_t of)
{
    const struct vmlat_bypass_result *result = find_result(port);
    int share = (!result || result->share < 0 ? -1
                 : (int) (result->share * 1e6 + .5));

    if (result && (share != millionths || result->share_of != of)) {
        fail("%s: share of %s is %d of %"PRIu64", should be %d of %"PRIu64,
             test_name, port, share, result->share_of, millionths, of);
    }
}

static void
check_ways(const char *port, const char *ways)
{
    const struct vmlat_bypass_result *result = find_result(port);
    struct ds ds = DS_EMPTY_INITIALIZER;

    for (size_t i = 0; result && i < result->n_ways; i++) {
        const struct vmlat_bypass_result_way *way = &result->ways[i];

        ds_put_format(&ds, "%s%s %s %s%s%s %"PRIu64, i ? "; " : "",
                      way->direction == FROM ? "from" : "to",
                      vmlat_bypass_way_name(way->way), way->through,
                      way->device[0] ? ">" : "", way->device, way->packets);
    }
    check_string(port, "ways", ds_cstr(&ds), ways);
    ds_destroy(&ds);
}

static void
check_causes(const char *port, const char *causes)
{
    const struct vmlat_bypass_result *result = find_result(port);
    struct ds ds = DS_EMPTY_INITIALIZER;

    for (size_t i = 0; result && i < result->n_causes; i++) {
        ds_put_format(&ds, "%s%s", i ? " " : "", result->causes[i].code);
    }
    check_string(port, "causes", ds_cstr(&ds), causes);
    ds_destroy(&ds);
}

static void
check_evidence(const char *port, const char *code, const char *evidence)
{
    const struct vmlat_bypass_result *result = find_result(port);

    for (size_t i = 0; result && i < result->n_causes; i++) {
        if (!strcmp(result->causes[i].code, code)) {
            check_string(port, code, result->causes[i].evidence, evidence);
            return;
        }
    }
    fail("%s: %s has no cause %s", test_name, port, code);
}

/* Checks the commands, one a line, without those that are advice unless
 * 'advice'. */
static void
check_cures(const char *port, bool advice, const char *cures)
{
    const struct vmlat_bypass_result *result = find_result(port);
    struct ds ds = DS_EMPTY_INITIALIZER;

    for (size_t i = 0; result && i < result->n_cures; i++) {
        const struct vmlat_bypass_cure *cure = &result->cures[i];

        if (advice || cure->command[0] != '#') {
            ds_put_format(&ds, "%s\n", cure->command);
        }
        if (!cure->interrupts[0]) {
            fail("%s: \"%s\" does not say what it interrupts", test_name,
                 cure->command);
        }
        for (size_t k = 0; k < i; k++) {
            if (!strcmp(result->cures[k].command, cure->command)) {
                fail("%s: \"%s\" is there twice", test_name, cure->command);
            }
        }
    }
    check_string(port, "cures", ds_cstr(&ds), cures);
    ds_destroy(&ds);
}

static void
check_cure(const char *port, const char *command)
{
    const struct vmlat_bypass_result *result = find_result(port);

    for (size_t i = 0; result && i < result->n_cures; i++) {
        if (!strcmp(result->cures[i].command, command)) {
            return;
        }
    }
    fail("%s: no cure \"%s\"", test_name, command);
}

static void
check_note(const char *part)
{
    for (size_t i = 0; i < results.n_notes; i++) {
        if (strstr(results.notes[i], part)) {
            return;
        }
    }
    fail("%s: no note with \"%s\"", test_name, part);
}

static void
check_no_notes(void)
{
    for (size_t i = 0; i < results.n_notes; i++) {
        fail("%s: note \"%s\"", test_name, results.notes[i]);
    }
}

/* Verdicts and ways. */

static void
test_field(void)
{
    begin_field("field case");
    facts.ovs.pmd_known = true;
    facts.ovs.pmd_idle = .97;
    add_routed("vm1", MAC_A, 1000000);
    add_direct("vm2", MAC_B, 69);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_BYPASSED);
    check_share("vm1", 1000000, 2000000);
    check_ways("vm1", "from kernel ovsbr0>enp65s0f0np0 1000000; "
               "to kernel ovsbr0>enp65s0f0np0 1000000");
    check_causes("vm1", "gateway-is-bridge address-on-internal-port "
                 "route-through-internal-port forwarding-on nic-in-kernel "
                 "uplink-idle pmd-idle");
    check_evidence("vm1", "address-on-internal-port",
                   "192.168.100.1/24 on ovsbr0, 10.10.1.1/24 on ovsbr0");
    check_evidence("vm1", "route-through-internal-port",
                   "192.168.100.0/24 dev ovsbr0, 10.10.1.0/24 dev ovsbr0; "
                   "out: 10.20.0.0/16 via 203.0.113.1 dev enp65s0f0np0");
    check_evidence("vm1", "forwarding-on", "net.ipv4.conf.ovsbr0.forwarding "
                   "= 1");
    check_evidence("vm1", "nic-in-kernel",
                   "enp65s0f0np0 (driver ice, 0000:41:00.0) is up in the "
                   "kernel: 1000000 packets of this VM left by it, 1000000 "
                   "came in by it, while the datapath has dpdk0 for that");
    check_evidence("vm1", "uplink-idle",
                   "dpdk0: 138 packets in and out, of all VMs, in the window "
                   "in which 2000000 of this VM alone went into the kernel "
                   "or came from it");
    check_evidence("vm1", "gateway-is-bridge",
                   "1000000 packets, such as those to 10.20.0.5, were sent "
                   "to the MAC address of ovsbr0, which has the VM's gateway "
                   "192.168.100.1");
    check_cures("vm1", true,
                "# in VM vm1: an address in the subnet of its peers "
                "(10.20.0.5), and no gateway on ovsbr0: ip route del default "
                "via 192.168.100.1\n"
                "# on the VM's peers or their router: no route to the VM by "
                "way of this host's enp65s0f0np0; what still came there "
                "would be sent back, by the default route\n"
                "sysctl -w net.ipv4.conf.ovsbr0.forwarding=0\n"
                "ip addr del 10.10.1.1/24 dev ovsbr0\n"
                "ip addr del 192.168.100.1/24 dev ovsbr0\n"
                "# if this host can do without enp65s0f0np0: ip link set dev "
                "enp65s0f0np0 down\n"
                "# and the same in the files that configure the network and "
                "sysctl, or it is back after the next boot\n");
    check_verdict("vm2", VMLAT_BYPASS_CLEAN);
    check_share("vm2", 0, 138);
    check_ways("vm2", "from nic dpdk0 69; to nic dpdk0 69");
    check_causes("vm2", "");
    check_cures("vm2", true, "");
    check_no_notes();
    if (find_result("vm1")->n_flows != 2 || find_result("vm2")->n_flows) {
        fail("flows of the wrong VM");
    }
    if (strcmp(vmlat_bypass_device_name(&results, NIC), "enp65s0f0np0")
        || vmlat_bypass_device_name(&results, NIC2)) {
        fail("names of devices");
    }
    end();
}

/* The verdicts' limits. */
static void
test_limits(void)
{
    static const struct {
        uint64_t routed, direct;
        enum vmlat_bypass_verdict verdict;
    } cases[] = {
        { 0, 0, VMLAT_BYPASS_IDLE },
        { 0, 1, VMLAT_BYPASS_CLEAN },
        { 1, 0, VMLAT_BYPASS_BYPASSED },
        { 1, 100, VMLAT_BYPASS_CLEAN },
        { 1, 99, VMLAT_BYPASS_PARTLY },
        { 9999, 990001, VMLAT_BYPASS_CLEAN },
        { 10000, 990000, VMLAT_BYPASS_PARTLY },
        { 949999, 50001, VMLAT_BYPASS_PARTLY },
        { 950000, 50000, VMLAT_BYPASS_BYPASSED },
        { 1000000, 0, VMLAT_BYPASS_BYPASSED },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t routed = cases[i].routed, direct = cases[i].direct;
        uint64_t sum = routed + direct;
        char *name = xasprintf("limit %"PRIu64"/%"PRIu64, routed, sum);

        begin_field(name);
        if (routed) {
            add_routed("vm1", MAC_A, routed);
        }
        if (direct) {
            add_direct("vm1", MAC_A, direct);
        }
        judge();
        check_verdict("vm1", cases[i].verdict);
        check_share("vm1", sum ? (int) (1e6 * routed / sum + .5) : -1,
                    2 * sum);
        if (cases[i].verdict < VMLAT_BYPASS_SUSPECT) {
            check_causes("vm1", "");
            check_cures("vm1", true, "");
        }
        end();
        free(name);
    }
}

/* What is no bypass. */
static void
test_clean(void)
{
    begin_field("flooded only");
    add_row("vm1", "*", MAC_A, MAC_ALL, 5);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_NOT_OURS, 0, 5);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_IDLE);
    check_ways("vm1", "from flooded  5");
    check_share("vm1", -1, 0);
    end();

    begin_field("management");
    add_row("vm1", "ovsbr0", MAC_A, MAC_BR0, 500);
    add_row("ovsbr0", "vm1", MAC_BR0, MAC_A, 400);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_LOCAL, 0, 490);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_NOT_IP, 0, 4);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_DROPPED, 0, 3);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_UNSEEN, 0, 2);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_CONSUMED, 0, 1);
    add_kernel(BR0, MAC_A, TO, VMLAT_BYPASS_END_LOCAL, 0, 400);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_CLEAN);
    check_ways("vm1", "from host ovsbr0 494; from kernel-dropped ovsbr0 3; "
               "from unknown ovsbr0 3; to host ovsbr0 400");
    check_share("vm1", -1, 0);
    check_causes("vm1", "");
    end();

    begin_field("the host routes for others");
    add_direct("vm1", MAC_A, 1000);
    add_row("dpdk0", "ovsbr0", MAC_PEER, MAC_BR0, 90000);
    add_row("ovsbr0", "dpdk0", MAC_BR0, MAC_PEER, 80000);
    add_kernel(BR0, MAC_PEER, FROM, VMLAT_BYPASS_END_ROUTED, NIC, 90000);
    add_kernel(BR0, MAC_PEER, TO, VMLAT_BYPASS_END_ROUTED, NIC, 80000);
    add_flow(BR0, MAC_PEER, FROM, NIC, "10.10.1.9", "10.20.0.5", 90000);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_CLEAN);
    check_share("vm1", 0, 2000);
    check_verdict("vm2", VMLAT_BYPASS_IDLE);
    if (find_result("vm1")->n_flows) {
        fail("flows of others");
    }
    check_no_notes();
    end();

    begin_field("VM to VM");
    add_row("vm1", "vm2", MAC_A, MAC_B, 700);
    add_row("vm2", "vm1", MAC_B, MAC_A, 600);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_CLEAN);
    check_ways("vm1", "from vm vm2 700; to vm vm2 600");
    check_ways("vm2", "from vm vm1 600; to vm vm1 700");
    check_share("vm2", -1, 0);
    end();

    begin_field("dropped by the datapath");
    add_row("vm1", NULL, MAC_A, MAC_PEER, 8);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_CLEAN);
    check_ways("vm1", "from dropped  8");
    end();

    /* Between the two readings, a few packets more were counted. */
    begin_field("windows not quite the same");
    add_row("vm1", "ovsbr0", MAC_A, MAC_BR0, 1005);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_LOCAL, 0, 1000);
    add_row("ovsbr0", "vm1", MAC_BR0, MAC_A, 95);
    add_kernel(BR0, MAC_A, TO, VMLAT_BYPASS_END_LOCAL, 0, 100);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_CLEAN);
    check_ways("vm1", "from host ovsbr0 1000; from unknown ovsbr0 5; "
               "to host ovsbr0 100");
    end();
}

/* Whose packets are whose. */
static void
test_whose(void)
{
    begin_field("two VMs, one routed");
    add_routed("vm1", MAC_A, 1000);
    add_row("vm2", "ovsbr0", MAC_B, MAC_BR0, 300);
    add_kernel(BR0, MAC_B, FROM, VMLAT_BYPASS_END_LOCAL, 0, 300);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_BYPASSED);
    check_verdict("vm2", VMLAT_BYPASS_CLEAN);
    check_ways("vm2", "from host ovsbr0 300");
    check_no_notes();
    end();

    /* vm2 sends some as vm1: vm1's verdict stays. */
    begin_field("another VM's address");
    add_row("vm1", "ovsbr0", MAC_A, MAC_BR0, 1000);
    add_row("vm2", "ovsbr0", MAC_A, MAC_BR0, 100);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_ROUTED, NIC, 1000);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_LOCAL, 0, 100);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_BYPASSED);
    check_ways("vm1", "from kernel ovsbr0>enp65s0f0np0 900; "
               "from unknown ovsbr0 100");
    check_verdict("vm2", VMLAT_BYPASS_SUSPECT);
    check_ways("vm2", "from unknown ovsbr0 100");
    check_note("100 packets routed by way of ovsbr0 have the MAC address "
               MAC_A);
    end();

    /* If all of them are routed, it does not matter whose they are. */
    begin_field("another VM's address, all routed");
    add_row("vm1", "ovsbr0", MAC_A, MAC_BR0, 1000);
    add_row("vm2", "ovsbr0", MAC_A, MAC_BR0, 700);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_ROUTED, NIC, 1700);
    judge();
    check_ways("vm1", "from kernel ovsbr0>enp65s0f0np0 1000");
    check_ways("vm2", "from kernel ovsbr0>enp65s0f0np0 700");
    check_verdict("vm2", VMLAT_BYPASS_BYPASSED);
    check_no_notes();
    end();

    /* The datapath may count less than the kernel: flows end. */
    begin_field("another VM's address, counted by the kernel only");
    add_row("vm1", "ovsbr0", MAC_A, MAC_BR0, 10);
    add_row("vm2", "ovsbr0", MAC_A, MAC_BR0, 20);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_ROUTED, NIC, 1000);
    judge();
    check_ways("vm1", "from kernel ovsbr0>enp65s0f0np0 10");
    check_ways("vm2", "from kernel ovsbr0>enp65s0f0np0 20");
    check_note("970 packets routed by way of ovsbr0 have the MAC address "
               MAC_A);
    end();

    begin_field("an address that two VMs use elsewhere");
    add_direct("vm1", MAC_A, 10);
    add_direct("vm2", MAC_A, 10);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_ROUTED, NIC, 1000);
    judge();
    check_ways("vm1", "from nic dpdk0 10; to nic dpdk0 10");
    check_ways("vm2", "from nic dpdk0 10; to nic dpdk0 10");
    check_note("1000 packets routed by way of ovsbr0 have MAC addresses that "
               "no flow");
    end();

    begin_field("too many addresses for the kernel's table");
    add_row("vm1", "ovsbr0", MAC_A, MAC_BR0, 1000);
    add_kernel(BR0, NULL, FROM, VMLAT_BYPASS_END_ROUTED, NIC, 1000);
    facts.kernel.counters[VMLAT_BYPASS_CNT_WAYS_LEFT_OUT] = 1000;
    judge();
    check_verdict("vm1", VMLAT_BYPASS_BYPASSED);
    check_ways("vm1", "from kernel ovsbr0>enp65s0f0np0 1000");
    check_note("1000 packets in the kernel are counted without");
    end();

    begin_field("too many addresses, two VMs");
    add_row("vm1", "ovsbr0", MAC_A, MAC_BR0, 1000);
    add_row("vm2", "ovsbr0", MAC_B, MAC_BR0, 500);
    add_kernel(BR0, NULL, FROM, VMLAT_BYPASS_END_ROUTED, NIC, 800);
    add_kernel(BR0, NULL, FROM, VMLAT_BYPASS_END_LOCAL, 0, 700);
    judge();
    check_ways("vm1", "from host ovsbr0 200; "
               "from kernel ovsbr0>enp65s0f0np0 300; "
               "from unknown ovsbr0 500");
    check_verdict("vm1", VMLAT_BYPASS_BYPASSED);
    check_ways("vm2", "from unknown ovsbr0 500");
    check_verdict("vm2", VMLAT_BYPASS_SUSPECT);
    check_note("500 packets routed by way of ovsbr0 are of 2 ports");
    end();

    begin_field("flows without addresses, one VM");
    add_row("vm1", "ovsbr0", NULL, NULL, 1000);
    add_row("ovsbr0", "vm1", NULL, NULL, 900);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_ROUTED, NIC, 1000);
    add_kernel(BR0, MAC_A, TO, VMLAT_BYPASS_END_ROUTED, NIC, 900);
    add_flow(BR0, MAC_A, FROM, NIC, "192.168.100.10", "10.20.0.5", 1000);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_BYPASSED);
    check_share("vm1", 1000000, 1900);
    if (find_result("vm1")->n_flows != 1) {
        fail("%s: flows", test_name);
    }
    check_verdict("vm2", VMLAT_BYPASS_IDLE);
    check_no_notes();
    end();

    begin_field("flows without addresses, two VMs");
    add_row("vm1", "ovsbr0", NULL, NULL, 1000);
    add_row("vm2", "ovsbr0", NULL, NULL, 1000);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_ROUTED, NIC, 1000);
    add_kernel(BR0, MAC_B, FROM, VMLAT_BYPASS_END_LOCAL, 0, 1000);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_SUSPECT);
    check_verdict("vm2", VMLAT_BYPASS_SUSPECT);
    check_ways("vm1", "from unknown ovsbr0 1000");
    check_note("1000 packets routed by way of ovsbr0 are of 2 ports");
    end();

    /* The same, but the database knows the addresses. */
    begin_field("flows without addresses, attached-mac");
    find_port("vm1")->has_vm_mac = true;
    find_port("vm1")->vm_mac = parse_mac(MAC_A);
    add_row("vm1", "ovsbr0", NULL, NULL, 1000);
    add_row("vm2", "ovsbr0", NULL, NULL, 1000);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_ROUTED, NIC, 1000);
    add_kernel(BR0, MAC_B, FROM, VMLAT_BYPASS_END_LOCAL, 0, 1000);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_BYPASSED);
    check_ways("vm1", "from kernel ovsbr0>enp65s0f0np0 1000");
    check_verdict("vm2", VMLAT_BYPASS_CLEAN);
    check_ways("vm2", "from host ovsbr0 1000");
    check_no_notes();
    end();

    /* vm2's flows do not tell, and it uses vm1's address. */
    begin_field("another VM's address, hidden");
    add_row("vm1", "ovsbr0", MAC_A, MAC_BR0, 1000);
    add_row("vm2", "ovsbr0", NULL, NULL, 400);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_ROUTED, NIC, 400);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_LOCAL, 0, 1000);
    judge();
    check_ways("vm1", "from host ovsbr0 600; from unknown ovsbr0 400");
    check_verdict("vm1", VMLAT_BYPASS_CLEAN);
    end();

    /* The switch has forgotten the bridge's address: packets to it are
     * flooded, and routed nevertheless. */
    begin_field("flooded and routed");
    add_row("vm1", "*", MAC_A, MAC_BR0, 1000);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_ROUTED, NIC, 1000);
    add_row("ovsbr0", "*", MAC_BR0, MAC_A, 10);
    add_kernel(BR0, MAC_A, TO, VMLAT_BYPASS_END_ROUTED, NIC, 10);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_BYPASSED);
    check_ways("vm1", "from kernel ovsbr0>enp65s0f0np0 1000; "
               "to kernel ovsbr0>enp65s0f0np0 10");
    end();

    begin_field("flooded, and not the kernel's");
    add_row("vm1", "*", MAC_A, MAC_PEER, 1000);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_NOT_OURS, 0, 1000);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_CLEAN);
    check_ways("vm1", "from flooded  1000");
    end();

    begin_field("to the internal port, and not its own");
    add_row("vm1", "ovsbr0", MAC_A, MAC_PEER, 1000);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_NOT_OURS, 0, 1000);
    judge();
    check_ways("vm1", "from flooded  1000");
    end();

    begin_field("an address that nobody is known to have");
    add_direct("vm1", MAC_A, 10);
    add_kernel(BR0, MAC_PEER, FROM, VMLAT_BYPASS_END_ROUTED, NIC, 77);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_CLEAN);
    end();

    begin_field("too many addresses and ports");
    add_row("vm1", "ovsbr0", MAC_A, MAC_BR0, 10);
    add_kernel(0, NULL, FROM, VMLAT_BYPASS_END_ROUTED, 0, 77);
    judge();
    check_ways("vm1", "from unknown ovsbr0 10");
    check_note("77 packets routed by way of internal ports are not told");
    end();

    begin_field("an internal port that has gone");
    add_direct("vm1", MAC_A, 10);
    add_kernel(BR1, MAC_A, FROM, VMLAT_BYPASS_END_ROUTED, NIC, 77);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_CLEAN);
    check_note("77 packets routed by way of internal ports are not told");
    end();

    begin_field("an unknown address");
    add_direct("vm1", MAC_A, 10);
    add_kernel(BR0, "02:00:00:00:00:77", FROM, VMLAT_BYPASS_END_ROUTED, NIC,
               77);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_CLEAN);
    check_note("77 packets routed by way of ovsbr0 have MAC addresses that "
               "no flow");
    end();
}

/* What could not be seen. */
static void
test_unseen(void)
{
    begin_field("without BPF");
    facts.kernel.why_not = xstrdup("no permission");
    facts.host.nat = 1;
    add_row("vm1", "ovsbr0", MAC_A, MAC_BR0, 1000);
    add_row("ovsbr0", "vm1", MAC_BR0, MAC_A, 1000);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_SUSPECT);
    check_ways("vm1", "from unknown ovsbr0 1000; to unknown ovsbr0 1000");
    check_share("vm1", -1, 0);
    check_causes("vm1", "address-on-internal-port "
                 "route-through-internal-port forwarding-on nat-on-the-way "
                 "uplink-idle");
    check_note("no permission");
    check_cures("vm1", false, "sysctl -w net.ipv4.conf.ovsbr0.forwarding=0\n"
                "ip addr del 10.10.1.1/24 dev ovsbr0\n"
                "ip addr del 192.168.100.1/24 dev ovsbr0\n");
    end();

    begin_field("without BPF, no forwarding");
    facts.kernel.why_not = xstrdup("no permission");
    find_link(BR0)->forwarding4 = false;
    add_row("vm1", "ovsbr0", MAC_A, MAC_BR0, 1000);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_CLEAN);
    end();

    begin("without BPF, no address");
    facts.kernel.why_not = xstrdup("no permission");
    find_link(BR0)->forwarding4 = true;
    add_row("vm1", "ovsbr0", MAC_A, MAC_BR0, 1000);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_CLEAN);
    end();

    begin("without BPF, no way out");
    facts.kernel.why_not = xstrdup("no permission");
    find_link(BR0)->forwarding4 = true;
    find_link(NIC)->flags = 0;
    add_ip(BR0, "192.168.100.1/24");
    add_row("vm1", "ovsbr0", MAC_A, MAC_BR0, 1000);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_CLEAN);
    end();

    begin_field("no traffic into the kernel, without BPF");
    facts.kernel.why_not = xstrdup("no permission");
    add_direct("vm1", MAC_A, 1000);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_CLEAN);
    end();

    begin_field("most packets not followed to an end");
    add_row("vm1", "ovsbr0", MAC_A, MAC_BR0, 1000);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_UNSEEN, 0, 900);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_LOCAL, 0, 100);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_SUSPECT);
    end();

    begin_field("without flows, one VM");
    facts.dp.why_not = xstrdup("no datapath");
    free(find_port("vm2")->name);
    find_port("vm1");
    facts.ovs.ports[3].name = xstrdup("eth7");
    facts.ovs.ports[3].kind = VMLAT_BYPASS_PORT_OTHER;
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_ROUTED, NIC, 50);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_BYPASSED);
    check_note("no datapath");
    end();

    begin("left out");
    facts.dp.left_out = 11;
    facts.host.left_out = 12;
    facts.kernel.counters[VMLAT_BYPASS_CNT_FLOWS_LEFT_OUT] = 13;
    facts.host.overrun = true;
    facts.host.why_not = xstrdup("route table: error");
    facts.kernel.without = xstrdup("drops in the kernel are not seen");
    judge();
    check_note("11 packets in the datapath");
    check_note("12 devices, addresses");
    check_note("13 routed packets");
    check_note("changed faster");
    check_note("route table: error");
    check_note("drops in the kernel");
    if (results.n_notes != 6 || results.flows_left_out != 13) {
        fail("%s: %"PRIuSIZE" notes", test_name, results.n_notes);
    }
    end();

    /* The VM's packets may be among those left out. */
    begin_field("flows left out, addresses not told");
    facts.dp.left_out = 900;
    add_row("vm1", "ovsbr0", NULL, NULL, 1000);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_ROUTED, NIC, 1000);
    judge();
    check_ways("vm1", "from kernel ovsbr0>enp65s0f0np0 100; "
               "from unknown ovsbr0 900");
    end();

    begin_field("internal port in another namespace");
    find_link(BR0)->ifindex = 99;
    SET(find_link(99)->name, "else");
    add_row("vm1", "ovsbr0", MAC_A, MAC_BR0, 1000);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_CLEAN);
    check_ways("vm1", "from unknown ovsbr0 1000");
    check_note("internal port ovsbr0 of bridge ovsbr0 is in another network");
    end();

    memset(&facts, 0, sizeof facts);
    test_name = "nothing at all";
    judge();
    end();
}

/* Rules. */

/* Where the internal port is, and what is stacked upon it. */
static void
test_places(void)
{
    struct vmlat_bypass_link *link;

    begin("address on a VLAN device above the internal port");
    link = add_link(VLAN, "ovsbr0.100");
    link->stacked = true;
    link->lower = BR0;
    link->forwarding4 = true;
    SET(link->kind, "vlan");
    add_ip(VLAN, "192.168.100.1/24");
    add_route(VLAN, "192.168.100.0/24", NULL);
    add_routed("vm1", MAC_A, 1000);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_BYPASSED);
    check_causes("vm1", "gateway-is-bridge address-on-internal-port "
                 "route-through-internal-port forwarding-on nic-in-kernel "
                 "uplink-idle");
    check_evidence("vm1", "address-on-internal-port",
                   "192.168.100.1/24 on ovsbr0.100");
    check_evidence("vm1", "route-through-internal-port",
                   "192.168.100.0/24 dev ovsbr0.100");
    check_evidence("vm1", "forwarding-on",
                   "net/ipv4/conf/ovsbr0.100/forwarding = 1");
    check_cures("vm1", false,
                "sysctl -w net/ipv4/conf/ovsbr0.100/forwarding=0\n"
                "ip addr del 192.168.100.1/24 dev ovsbr0.100\n");
    end();

    begin("address on a bridge that the internal port is in");
    link = add_link(VLAN, "br-lan");
    link->stacked = link->forwarding4 = true;
    find_link(BR0)->master = VLAN;
    add_ip(VLAN, "192.168.100.1/24");
    add_routed("vm1", MAC_A, 1000);
    judge();
    check_evidence("vm1", "address-on-internal-port",
                   "192.168.100.1/24 on br-lan");
    check_cures("vm1", false,
                "sysctl -w net.ipv4.conf.br-lan.forwarding=0\n"
                "ip addr del 192.168.100.1/24 dev br-lan\n");
    end();

    /* A veth's other end is no device below. */
    begin("not above");
    link = add_link(VLAN, "veth0");
    link->lower = BR0;
    add_ip(VLAN, "192.168.100.1/24");
    add_routed("vm1", MAC_A, 1000);
    judge();
    check_causes("vm1", "gateway-is-bridge nic-in-kernel uplink-idle");
    end();

    begin("internal port of a second bridge, by patch ports");
    add_port("ovsbr1", "ovsbr1", "internal", VMLAT_BYPASS_PORT_INTERNAL);
    add_port("ovsbr0", "patch0", "patch", VMLAT_BYPASS_PORT_PATCH)->peer
        = xstrdup("patch1");
    add_port("ovsbr1", "patch1", "patch", VMLAT_BYPASS_PORT_PATCH)->peer
        = xstrdup("patch0");
    add_port("ovsbr1", "dpdk1", "dpdk", VMLAT_BYPASS_PORT_NIC);
    add_link(BR1, "ovsbr1")->forwarding4 = true;
    add_ip(BR1, "192.168.100.1/24");
    add_row("vm1", "ovsbr1", MAC_A, MAC_BR0, 1000);
    add_kernel(BR1, MAC_A, FROM, VMLAT_BYPASS_END_ROUTED, NIC, 1000);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_BYPASSED);
    check_ways("vm1", "from kernel ovsbr1>enp65s0f0np0 1000");
    check_causes("vm1", "address-on-internal-port forwarding-on "
                 "nic-in-kernel uplink-idle uplink-idle");
    check_cures("vm1", false,
                "sysctl -w net.ipv4.conf.ovsbr1.forwarding=0\n"
                "ip addr del 192.168.100.1/24 dev ovsbr1\n");
    end();

    begin("internal port of VLANs, two detours");
    add_port("ovsbr0", "vlan7", "internal", VMLAT_BYPASS_PORT_INTERNAL);
    add_link(BR1, "vlan7")->forwarding4 = true;
    find_link(BR0)->forwarding4 = true;
    add_ip(BR1, "10.7.0.1/24");
    add_ip(BR0, "10.6.0.1/24");
    add_row("vm1", "ovsbr0", MAC_A, MAC_BR0, 600);
    add_row("vm1", "vlan7", MAC_A, MAC_BR0, 400);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_LOCAL, 0, 600);
    add_kernel(BR1, MAC_A, FROM, VMLAT_BYPASS_END_ROUTED, BR0, 400);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_BYPASSED);
    check_ways("vm1", "from host ovsbr0 600; from kernel vlan7>ovsbr0 400");
    check_evidence("vm1", "address-on-internal-port", "10.7.0.1/24 on vlan7");
    check_cures("vm1", false,
                "sysctl -w net.ipv4.conf.vlan7.forwarding=0\n"
                "ip addr del 10.7.0.1/24 dev vlan7\n");
    end();
}

/* Addresses, routes, policies, IPv6. */
static void
test_routes(void)
{
    struct vmlat_bypass_kernel_flow *flow;
    struct vmlat_bypass_policy *policy;
    struct vmlat_bypass_route *route;

    begin("IPv6 only");
    facts.host.forwarding6 = find_link(BR0)->forwarding6 = true;
    find_link(BR0)->forwarding4 = true;
    add_ip(BR0, "fe80::10/64");
    add_ip(BR0, "2001:db8:1::1/64");
    add_ip(BR0, "192.168.100.1/24");
    add_route(BR0, "fe80::/64", NULL);
    add_route(BR0, "ff00::/8", NULL)->table = 255;
    add_route(BR0, "2001:db8:1::/64", NULL);
    add_route(BR0, "2001:db8:7::/48", "2001:db8:1::7")->metric = 1024;
    add_route(NIC, "::/0", "fe80::1");
    add_row("vm1", "ovsbr0", MAC_A, MAC_BR0, 1000);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_ROUTED, NIC, 1000);
    add_flow(BR0, MAC_A, FROM, NIC, "2001:db8:1::a", "2001:db8:2::5", 1000)
        ->key.gateway = 1;
    judge();
    check_verdict("vm1", VMLAT_BYPASS_BYPASSED);
    check_causes("vm1", "gateway-is-bridge address-on-internal-port "
                 "route-through-internal-port forwarding-on nic-in-kernel "
                 "uplink-idle");
    check_evidence("vm1", "address-on-internal-port",
                   "2001:db8:1::1/64 on ovsbr0");
    check_evidence("vm1", "route-through-internal-port",
                   "2001:db8:1::/64 dev ovsbr0, 2001:db8:7::/48 via "
                   "2001:db8:1::7 dev ovsbr0; out: default via fe80::1 dev "
                   "enp65s0f0np0");
    check_evidence("vm1", "forwarding-on",
                   "net.ipv6.conf.all.forwarding = 1");
    check_cures("vm1", false,
                "ip -6 route del 2001:db8:7::/48 via 2001:db8:1::7 dev "
                "ovsbr0 metric 1024\n"
                "ip -6 addr del 2001:db8:1::1/64 dev ovsbr0\n"
                "sysctl -w net.ipv6.conf.ovsbr0.disable_ipv6=1\n");
    end();

    begin_field("route in another table, by a rule");
    facts.host.n_routes = 0;
    add_route(BR0, "192.168.100.0/24", NULL);
    add_route(NIC, "0.0.0.0/0", "203.0.113.1")->table = 100;
    policy = APPEND(facts.host.policies, facts.host.n_policies);
    policy->priority = 32766;
    policy->table = 254;
    SET(policy->text, "32766: from all lookup main");
    policy = APPEND(facts.host.policies, facts.host.n_policies);
    policy->priority = 1000;
    policy->table = 100;
    SET(policy->text, "1000: from 192.168.100.0/24 lookup 100");
    policy = APPEND(facts.host.policies, facts.host.n_policies);
    policy->priority = 1000;
    policy->table = 100;
    SET(policy->text, "1000: from all to 192.168.100.0/24 lookup 100");
    policy = APPEND(facts.host.policies, facts.host.n_policies);
    policy->priority = 1001;
    policy->table = 100;
    SET(policy->text, "1001: from all iif ovsbr0 lookup 100");
    policy = APPEND(facts.host.policies, facts.host.n_policies);
    policy->priority = 1002;
    policy->table = 100;
    SET(policy->text, "1002: from 172.16.0.0/12 lookup 100");
    add_routed("vm1", MAC_A, 1000);
    judge();
    check_evidence("vm1", "route-through-internal-port",
                   "192.168.100.0/24 dev ovsbr0; out: default via "
                   "203.0.113.1 dev enp65s0f0np0 table 100; ip rule: "
                   "\"1000: from 192.168.100.0/24 lookup 100\", "
                   "\"1000: from all to 192.168.100.0/24 lookup 100\", "
                   "\"1001: from all iif ovsbr0 lookup 100\"");
    check_cures("vm1", false,
                "sysctl -w net.ipv4.conf.ovsbr0.forwarding=0\n"
                "ip rule del priority 1000 from 192.168.100.0/24 lookup "
                "100\n"
                "ip rule del priority 1000 from all to 192.168.100.0/24 "
                "lookup 100\n"
                "ip rule del priority 1001 from all iif ovsbr0 lookup 100\n"
                "ip addr del 10.10.1.1/24 dev ovsbr0\n"
                "ip addr del 192.168.100.1/24 dev ovsbr0\n");
    end();

    begin_field("static routes");
    route = add_route(BR0, "10.30.0.0/16", "192.168.100.7");
    route->metric = 5;
    route = add_route(BR0, "0.0.0.0/0", NULL);
    route->table = 7;
    add_routed("vm1", MAC_A, 1000);
    judge();
    check_cures("vm1", false,
                "sysctl -w net.ipv4.conf.ovsbr0.forwarding=0\n"
                "ip route del 10.30.0.0/16 via 192.168.100.7 dev ovsbr0 "
                "metric 5\n"
                "ip route del default dev ovsbr0 table 7\n"
                "ip addr del 10.10.1.1/24 dev ovsbr0\n"
                "ip addr del 192.168.100.1/24 dev ovsbr0\n");
    end();

    begin_field("routes that others need");
    add_route(BR0, "0.0.0.0/0", "192.168.100.9");
    add_route(BR0, "10.31.0.0/16", "192.168.100.7");
    add_route(NIC, "10.31.0.0/16", "203.0.113.7");
    add_routed("vm1", MAC_A, 1000);
    judge();
    check_cures("vm1", false,
                "sysctl -w net.ipv4.conf.ovsbr0.forwarding=0\n"
                "ip addr del 10.10.1.1/24 dev ovsbr0\n"
                "ip addr del 192.168.100.1/24 dev ovsbr0\n");
    check_cure("vm1", "# if this host has another way out: ip route del "
               "default via 192.168.100.9 dev ovsbr0");
    check_cure("vm1", "# in the route to 10.31.0.0/16 via 192.168.100.7: the "
               "next hop by ovsbr0");
    end();

    begin_field("an address that this host is reached by");
    add_routed("vm1", MAC_A, 1000);
    add_row("vm2", "ovsbr0", MAC_B, MAC_BR0, 30);
    add_kernel(BR0, MAC_B, FROM, VMLAT_BYPASS_END_LOCAL, 0, 30);
    judge();
    check_cures("vm1", false,
                "sysctl -w net.ipv4.conf.ovsbr0.forwarding=0\n"
                "ip addr del 192.168.100.1/24 dev ovsbr0\n");
    check_cure("vm1", "# if this host can do without it: ip addr del "
               "10.10.1.1/24 dev ovsbr0");
    end();

    begin_field("a thousand addresses and routes");
    for (int i = 0; i < 1000; i++) {
        char *s = xasprintf("10.%d.%d.1/24", 100 + i / 250, i % 250);

        add_ip(BR0, s);
        free(s);
        s = xasprintf("10.%d.%d.0/24", 110 + i / 250, i % 250);
        add_route(BR0, s, "192.168.100.9");
        free(s);
    }
    add_routed("vm1", MAC_A, 1000);
    judge();
    check_evidence("vm1", "address-on-internal-port",
                   "192.168.100.1/24 on ovsbr0, 10.10.1.1/24 on ovsbr0, "
                   "10.100.0.1/24 on ovsbr0, 10.100.1.1/24 on ovsbr0, "
                   "10.100.2.1/24 on ovsbr0, 10.100.3.1/24 on ovsbr0, "
                   "10.100.4.1/24 on ovsbr0, 10.100.5.1/24 on ovsbr0 and 994 "
                   "more");
    check_cures("vm1", false,
                "sysctl -w net.ipv4.conf.ovsbr0.forwarding=0\n"
                "ip -4 route flush dev ovsbr0 table 254\n"
                "ip -4 addr flush dev ovsbr0 scope global\n");
    end();

    begin_field("NAT");
    add_row("vm1", "ovsbr0", MAC_A, MAC_BR0, 1000);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_ROUTED, NIC, 1000);
    flow = add_flow(BR0, MAC_A, FROM, NIC, "192.168.100.10", "10.20.0.5",
                    1000);
    flow->key.translated = 1;
    flow->key.sport = (OVS_FORCE uint16_t) htons(1000);
    flow->key.dport = (OVS_FORCE uint16_t) htons(53);
    flow->count.out_src[3] = (OVS_FORCE uint32_t) htonl(0xcb007102);
    flow->count.out_sport = (OVS_FORCE uint16_t) htons(4000);
    flow->count.out_dport = (OVS_FORCE uint16_t) htons(53);
    judge();
    check_causes("vm1", "address-on-internal-port "
                 "route-through-internal-port forwarding-on nat-on-the-way "
                 "nic-in-kernel uplink-idle");
    check_evidence("vm1", "nat-on-the-way",
                   "1000 packets left with other addresses or ports than "
                   "they came with, such as 192.168.100.10:1000 > "
                   "10.20.0.5:53 left as 203.0.113.2:4000 > 10.20.0.5:53");
    end();

    begin_field("hooks for NAT, but no packet translated");
    facts.host.nat = 1;
    add_routed("vm1", MAC_A, 1000);
    judge();
    check_causes("vm1", "gateway-is-bridge address-on-internal-port "
                 "route-through-internal-port forwarding-on nic-in-kernel "
                 "uplink-idle");
    end();
}

/* NICs. */
static void
test_nics(void)
{
    struct vmlat_bypass_neighbor *neighbor;
    struct vmlat_bypass_link *link;
    struct vmlat_bypass_port *port;

    begin("the datapath's own NIC in the kernel");
    free(find_port("dpdk0")->devargs);
    find_port("dpdk0")->devargs = xstrdup("0000:41:00.0,dv_flow_en=1");
    add_routed("vm1", MAC_A, 1000);
    judge();
    check_evidence("vm1", "nic-in-kernel",
                   "enp65s0f0np0 (driver ice, 0000:41:00.0) is up in the "
                   "kernel: 1000 packets of this VM left by it, 1000 came in "
                   "by it, though the datapath has it as dpdk0");
    check_cures("vm1", false, "ip link set dev enp65s0f0np0 down\n"
                "dpdk-devbind.py --bind=vfio-pci 0000:41:00.0\n");
    end();

    begin("a NIC that DPDK and the kernel share");
    free(find_port("dpdk0")->devargs);
    find_port("dpdk0")->devargs = xstrdup("0000:41:00.0");
    SET(find_link(NIC)->driver, "mlx5_core");
    add_routed("vm1", MAC_A, 1000);
    judge();
    check_cures("vm1", false, "ip addr flush dev enp65s0f0np0 scope global\n");
    end();

    begin("af_packet");
    free(find_port("dpdk0")->devargs);
    find_port("dpdk0")->devargs
        = xstrdup("net_af_packet0,iface=enp65s0f0np0,qpairs=1");
    add_routed("vm1", MAC_A, 1000);
    judge();
    check_cures("vm1", false, "ip addr flush dev enp65s0f0np0 scope global\n");
    end();

    begin("the datapath's NIC has the default route");
    free(find_port("dpdk0")->devargs);
    find_port("dpdk0")->devargs = xstrdup("0000:41:00.0");
    add_route(NIC, "0.0.0.0/0", "203.0.113.1");
    add_routed("vm1", MAC_A, 1000);
    judge();
    check_cures("vm1", false, "");
    end();

    begin("not quite the NIC of the datapath");
    free(find_port("dpdk0")->devargs);
    find_port("dpdk0")->devargs
        = xstrdup("net_af_packet0,iface=enp65s0f0np01");
    add_routed("vm1", MAC_A, 1000);
    judge();
    check_cures("vm1", false, "");
    end();

    begin("no uplink");
    find_port("dpdk0")->kind = VMLAT_BYPASS_PORT_OTHER;
    add_routed("vm1", MAC_A, 1000);
    judge();
    check_causes("vm1", "gateway-is-bridge nic-in-kernel no-uplink");
    check_cures("vm1", false, "ip link set dev enp65s0f0np0 down\n"
                "dpdk-devbind.py --bind=vfio-pci 0000:41:00.0\n"
                "ovs-vsctl add-port ovsbr0 dpdk1 -- set Interface dpdk1 "
                "type=dpdk options:dpdk-devargs=0000:41:00.0\n");
    end();

    begin_field("busy kernel NIC with other traffic");
    find_link(NIC)->tx_packets = 123456789;
    add_direct("vm1", MAC_A, 1000);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_CLEAN);
    end();

    begin_field("uplink not idle");
    add_routed("vm1", MAC_A, 1000);
    add_direct("vm2", MAC_B, 51);
    judge();
    check_causes("vm1", "gateway-is-bridge address-on-internal-port "
                 "route-through-internal-port forwarding-on nic-in-kernel");
    end();

    begin_field("uplink as good as idle");
    add_routed("vm1", MAC_A, 1000);
    add_direct("vm2", MAC_B, 50);
    judge();
    check_causes("vm1", "gateway-is-bridge address-on-internal-port "
                 "route-through-internal-port forwarding-on nic-in-kernel "
                 "uplink-idle");
    end();

    begin_field("uplink down");
    find_port("dpdk0")->link_up = false;
    judge();
    check_verdict("vm1", VMLAT_BYPASS_IDLE);
    end();
    begin_field("uplink down, packets to it");
    find_port("dpdk0")->link_up = false;
    add_row("vm1", "dpdk0", MAC_A, MAC_PEER, 5);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_SUSPECT);
    check_causes("vm1", "uplink-down");
    check_cures("vm1", true, "# see to the carrier of dpdk0 (0000:41:00.1): "
                "cable, transceiver, port of the switch\n");
    check_verdict("vm2", VMLAT_BYPASS_IDLE);
    end();
    begin_field("uplink set down, packets flooded");
    find_port("dpdk0")->admin_up = false;
    add_row("vm1", "*", MAC_A, MAC_ALL, 5);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_SUSPECT);
    check_causes("vm1", "uplink-down");
    check_cures("vm1", true, "ovs-ofctl mod-port ovsbr0 dpdk0 up\n");
    end();

    begin("uplink on the wrong link");
    link = add_link(NIC2, "eno2");
    SET(link->bus, "0000:42:00.0");
    SET(link->driver, "ixgbe");
    add_row("vm1", "dpdk0", MAC_A, MAC_PEER, 100);
    neighbor = APPEND(facts.host.neighbors, facts.host.n_neighbors);
    neighbor->ifindex = NIC2;
    neighbor->mac = parse_mac(MAC_PEER);
    neighbor->valid = true;
    neighbor->ip = parse_ip("10.20.0.5", &(unsigned int) { 0 });
    judge();
    check_verdict("vm1", VMLAT_BYPASS_SUSPECT);
    check_causes("vm1", "uplink-wrong-link");
    check_evidence("vm1", "uplink-wrong-link",
                   "100 packets of this VM went by dpdk0 to " MAC_PEER
                   " and none came from there, while the kernel knows that "
                   "address, 10.20.0.5, on eno2");
    check_cures("vm1", false, "ip link set dev eno2 down\n"
                "dpdk-devbind.py --bind=vfio-pci 0000:42:00.0\n"
                "ovs-vsctl set Interface dpdk0 "
                "options:dpdk-devargs=0000:42:00.0\n");
    vmlat_bypass_results_destroy(&results);
    test_name = "flooded to the wrong link";
    free(facts.dp.rows[0].out);
    facts.dp.rows[0].out = NULL;
    facts.dp.rows[0].flooded = true;
    judge();
    check_verdict("vm1", VMLAT_BYPASS_SUSPECT);
    check_causes("vm1", "uplink-wrong-link");
    vmlat_bypass_results_destroy(&results);
    test_name = "answers, or none that are missed";
    add_row("dpdk0", "*", MAC_PEER, MAC_ALL, 1);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_CLEAN);
    vmlat_bypass_results_destroy(&results);
    facts.dp.rows[1].packets = 0;
    facts.dp.rows[0].packets = 2;
    judge();
    check_verdict("vm1", VMLAT_BYPASS_CLEAN);
    vmlat_bypass_results_destroy(&results);
    facts.dp.rows[0].packets = 100;
    facts.host.neighbors[0].valid = false;
    judge();
    check_verdict("vm1", VMLAT_BYPASS_CLEAN);
    end();

    begin("NIC as a system port");
    port = add_port("ovsbr0", "enp65s0f0np0", "", VMLAT_BYPASS_PORT_NIC);
    port->tag = 5;
    judge();
    check_verdict("vm1", VMLAT_BYPASS_IDLE);
    vmlat_bypass_results_destroy(&results);
    add_row("vm1", "enp65s0f0np0", MAC_A, MAC_PEER, 100);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_SUSPECT);
    check_verdict("vm2", VMLAT_BYPASS_IDLE);
    check_causes("vm1", "nic-as-system-port");
    check_cures("vm1", false, "ip link set dev enp65s0f0np0 down\n"
                "dpdk-devbind.py --bind=vfio-pci 0000:41:00.0\n"
                "ovs-vsctl del-port ovsbr0 enp65s0f0np0 -- add-port ovsbr0 "
                "dpdk1 tag=5 -- set Interface dpdk1 type=dpdk "
                "options:dpdk-devargs=0000:41:00.0\n");
    end();

    begin_field("return by a kernel NIC");
    add_row("vm1", "dpdk0", MAC_A, MAC_PEER, 1000);
    add_row("ovsbr0", "vm1", MAC_BR0, MAC_A, 1000);
    add_kernel(BR0, MAC_A, TO, VMLAT_BYPASS_END_ROUTED, NIC, 1000);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_PARTLY);
    check_share("vm1", 500000, 2000);
    check_causes("vm1", "address-on-internal-port "
                 "route-through-internal-port forwarding-on nic-in-kernel "
                 "return-by-other-nic");
    check_evidence("vm1", "return-by-other-nic",
                   "left by dpdk0 (datapath, 1000 packets); came back by "
                   "enp65s0f0np0 (kernel, 1000 packets)");
    end();

    begin_field("return by another kernel NIC");
    add_link(NIC2, "eno2");
    add_row("vm1", "ovsbr0", MAC_A, MAC_BR0, 1000);
    add_row("ovsbr0", "vm1", MAC_BR0, MAC_A, 1000);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_ROUTED, NIC, 1000);
    add_kernel(BR0, MAC_A, TO, VMLAT_BYPASS_END_ROUTED, NIC2, 1000);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_BYPASSED);
    check_evidence("vm1", "return-by-other-nic",
                   "left by enp65s0f0np0 (kernel, 1000 packets); came back "
                   "by eno2 (kernel, 1000 packets)");
    end();

    begin_field("return by the datapath");
    add_row("vm1", "ovsbr0", MAC_A, MAC_BR0, 1000);
    add_row("dpdk0", "vm1", MAC_PEER, MAC_A, 1000);
    add_kernel(BR0, MAC_A, FROM, VMLAT_BYPASS_END_ROUTED, NIC, 1000);
    judge();
    check_evidence("vm1", "return-by-other-nic",
                   "left by enp65s0f0np0 (kernel, 1000 packets); came back "
                   "by dpdk0 (datapath, 1000 packets)");
    end();
}

/* How Open vSwitch is configured. */
static void
test_configuration(void)
{
    struct vmlat_bypass_port *port;

    begin("vhost-user on a system bridge");
    for (size_t i = 0; i < facts.ovs.n_ports; i++) {
        facts.ovs.ports[i].userspace = false;
    }
    find_port("vm1")->error = xstrdup("could not open network device");
    judge();
    check_verdict("vm1", VMLAT_BYPASS_SUSPECT);
    check_causes("vm1", "vhost-on-system-bridge");
    check_evidence("vm1", "vhost-on-system-bridge",
                   "vm1 is of type dpdkvhostuserclient, bridge ovsbr0 has "
                   "datapath_type=system; Open vSwitch says: could not open "
                   "network device");
    check_cures("vm1", false,
                "ovs-vsctl set Bridge ovsbr0 datapath_type=netdev\n");
    end();

    begin("a tap on a system bridge is none of this");
    port = find_port("vm1");
    port->userspace = port->vhost = false;
    port->tap = true;
    judge();
    if (results.n != 1) {
        fail("%s: %"PRIuSIZE" results", test_name, results.n);
    }
    end();

    begin("dpdk-init off");
    facts.ovs.dpdk_init = facts.ovs.dpdk_initialized = false;
    judge();
    check_verdict("vm1", VMLAT_BYPASS_SUSPECT);
    check_causes("vm1", "dpdk-init-off");
    check_cures("vm1", true,
                "ovs-vsctl set Open_vSwitch . other_config:dpdk-init=true\n");
    end();
    begin("DPDK not initialized");
    facts.ovs.dpdk_initialized = false;
    judge();
    check_causes("vm1", "dpdk-init-off");
    check_cures("vm1", false, "");
    end();
    begin("DPDK not needed");
    facts.ovs.dpdk_init = facts.ovs.dpdk_initialized = false;
    find_port("dpdk0")->kind = VMLAT_BYPASS_PORT_OTHER;
    find_port("vm1")->vhost = false;
    judge();
    check_verdict("vm1", VMLAT_BYPASS_IDLE);
    end();

    begin("VM by tap");
    port = find_port("vm1");
    port->vhost = false;
    port->tap = true;
    port->tag = 3;
    free(port->type);
    port->type = xstrdup("");
    add_direct("vm1", MAC_A, 1000);
    judge();
    check_verdict("vm1", VMLAT_BYPASS_SUSPECT);
    check_share("vm1", 0, 2000);
    check_causes("vm1", "vm-by-tap");
    check_cures("vm1", false,
                "ovs-vsctl add-port ovsbr0 vhu-vm1 tag=3 -- set Interface "
                "vhu-vm1 type=dpdkvhostuserclient options:vhost-server-path="
                "/var/run/openvswitch/vhu-vm1\n"
                "ovs-vsctl del-port ovsbr0 vm1\n");
    end();

    begin_field("PMDs not idle");
    facts.ovs.pmd_known = true;
    facts.ovs.pmd_idle = .49;
    add_routed("vm1", MAC_A, 1000);
    judge();
    check_causes("vm1", "gateway-is-bridge address-on-internal-port "
                 "route-through-internal-port forwarding-on nic-in-kernel "
                 "uplink-idle");
    end();
}

/* Names that are not plain. */
static void
test_names(void)
{
    static const struct {
        const char *name;
        const char *cure;
    } cases[] = {
        { "br 0", "sysctl -w 'net.ipv4.conf.br 0.forwarding'=0\n"
                  "ip addr del 10.0.0.1/8 dev 'br 0'\n" },
        { "$(reboot)", "sysctl -w 'net.ipv4.conf.$(reboot).forwarding'=0\n"
                       "ip addr del 10.0.0.1/8 dev '$(reboot)'\n" },
        { "a'b;c", "sysctl -w 'net.ipv4.conf.a'\\''b;c.forwarding'=0\n"
                   "ip addr del 10.0.0.1/8 dev 'a'\\''b;c'\n" },
        { "-x", "sysctl -w net.ipv4.conf.-x.forwarding=0\n" },
        { "a\nreboot", "" },
        { "a\033[31m", "" },
        { "a\xc2\x9b", "" },
        { "*", "sysctl -w 'net.ipv4.conf.*.forwarding'=0\n"
               "ip addr del 10.0.0.1/8 dev '*'\n" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct vmlat_bypass_result *result;
        const char *name = cases[i].name;
        struct vmlat_bypass_link *link;
        struct vmlat_bypass_port *port;

        begin("hostile names");
        find_port("vm1")->vm = xstrdup("x\nreboot\n\033[0m");
        port = add_port("ovsbr0", name, "internal",
                        VMLAT_BYPASS_PORT_INTERNAL);
        link = add_link(BR1, name);
        link->forwarding4 = true;
        add_ip(BR1, "10.0.0.1/8");
        add_row("vm1", port->name, MAC_A, MAC_BR0, 1000);
        add_kernel(BR1, MAC_A, FROM, VMLAT_BYPASS_END_ROUTED, NIC, 1000);
        add_flow(BR1, MAC_A, FROM, NIC, "10.0.0.2", "10.20.0.5", 1000)
            ->key.gateway = 1;
        judge();
        check_verdict("vm1", VMLAT_BYPASS_BYPASSED);
        check_cures("vm1", false, cases[i].cure);
        result = find_result("vm1");
        for (size_t k = 0; k < result->n_cures; k++) {
            const struct vmlat_bypass_cure *cure = &result->cures[k];

            if (strpbrk(cure->command, "\n\033")
                || strpbrk(cure->interrupts, "\n\033")) {
                fail("control character in cure %s", cure->command);
            }
        }
        for (size_t k = 0; k < result->n_causes; k++) {
            if (strpbrk(result->causes[k].evidence, "\n\033")) {
                fail("control character in %s", result->causes[k].evidence);
            }
        }
        end();
    }
}

/* Numbers that nobody made up: nothing is lost, and nothing is said to be
 * routed that was not. */
static void
test_random(void)
{
    static const char *const ports[] = { "vm1", "vm2", "dpdk0", "ovsbr0",
                                         "else" };
    static const char *const macs[] = { MAC_A, MAC_B, MAC_PEER, MAC_BR0,
                                        NULL, MAC_ALL };
    uint64_t state = 1;

    for (int i = 0; i < 2000; i++) {
        uint64_t routed[VMLAT_BYPASS_N_DIRECTIONS] = { 0 };
        uint64_t sum[VMLAT_BYPASS_N_DIRECTIONS] = { 0 };
        char *name = xasprintf("random %d", i);
        unsigned int n;

        begin_field(name);
        n = random_below(&state, 12);
        for (unsigned int k = 0; k < n; k++) {
            const char *in = ports[random_below(&state, ARRAY_SIZE(ports))];
            const char *out = ports[random_below(&state, ARRAY_SIZE(ports))];

            add_row(in, random_below(&state, 6) ? out
                        : random_below(&state, 2) ? "*" : NULL,
                    macs[random_below(&state, ARRAY_SIZE(macs) - 1)],
                    macs[random_below(&state, ARRAY_SIZE(macs))],
                    1 + random_below(&state, 1000));
        }
        n = random_below(&state, 12);
        for (unsigned int k = 0; k < n; k++) {
            unsigned int direction = random_below(&state, 2);
            unsigned int kind = random_below(&state, VMLAT_BYPASS_N_ENDS);
            uint64_t packets = 1 + random_below(&state, 1000);

            add_kernel(random_below(&state, 8) ? BR0 : VLAN,
                       macs[random_below(&state, ARRAY_SIZE(macs))],
                       direction, kind, random_below(&state, 3) ? NIC : NIC2,
                       packets);
            routed[direction] += (kind == VMLAT_BYPASS_END_ROUTED ? packets
                                  : 0);
        }
        judge();
        for (size_t p = 0; p < 2; p++) {
            const struct vmlat_bypass_result *result = find_result(ports[p]);
            uint64_t all[VMLAT_BYPASS_N_DIRECTIONS] = { 0 };
            uint64_t dp[VMLAT_BYPASS_N_DIRECTIONS] = { 0 };
            double shares[VMLAT_BYPASS_N_DIRECTIONS] = { 0 };

            for (size_t k = 0; k < facts.dp.n; k++) {
                const struct vmlat_bypass_dp_row *row = &facts.dp.rows[k];

                dp[FROM] += !strcmp(row->in, ports[p]) ? row->packets : 0;
                dp[TO] += (row->out && !strcmp(row->out, ports[p])
                           ? row->packets : 0);
            }
            for (size_t k = 0; k < result->n_ways; k++) {
                const struct vmlat_bypass_result_way *way = &result->ways[k];

                all[way->direction] += way->packets;
                shares[way->direction] += way->share;
                if (way->way == VMLAT_BYPASS_WAY_KERNEL) {
                    sum[way->direction] += way->packets;
                }
            }
            for (size_t d = 0; d < VMLAT_BYPASS_N_DIRECTIONS; d++) {
                if (all[d] < dp[d]
                    || (all[d]
                        && (shares[d] < .999999 || shares[d] > 1.000001))) {
                    fail("%s: %s: %"PRIu64" packets of %"PRIu64", shares %f",
                         name, ports[p], all[d], dp[d], shares[d]);
                }
            }
        }
        for (size_t d = 0; d < VMLAT_BYPASS_N_DIRECTIONS; d++) {
            if (sum[d] > routed[d]) {
                fail("%s: %"PRIu64" packets routed of %"PRIu64, name, sum[d],
                     routed[d]);
            }
        }
        end();
        n_checks--;
        free(name);
    }
}

/* The table of rules, which documentation is checked against. */
static void
test_table(void)
{
    const char *code, *meaning;
    size_t n;

    for (n = 0; vmlat_bypass_rule(n, &code, &meaning); n++) {
        if (code[strspn(code, "abcdefghijklmnopqrstuvwxyz-")]
            || !meaning[0]) {
            fail("rule %"PRIuSIZE": \"%s\"", n, code);
        }
    }
    printf("%"PRIuSIZE" rules, %u cases\n", n, n_checks);
}

void
test_bypass(struct ovs_cmdl_context *ctx OVS_UNUSED)
{
    test_field();
    test_limits();
    test_clean();
    test_whose();
    test_unseen();
    test_places();
    test_routes();
    test_nics();
    test_configuration();
    test_names();
    test_random();
    test_table();
}
