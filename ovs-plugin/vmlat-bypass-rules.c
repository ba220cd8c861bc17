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

/* The causes of a bypass and their cures: a table, and a function for each
 * row. */

#include <config.h>
#include "vmlat-bypass-judge.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "openvswitch/dynamic-string.h"
#include "packets.h"
#include "svec.h"
#include "util.h"

/* Cures are in this order, whatever rule they are of: first what interrupts
 * nothing, last what other traffic may depend on. */
enum step {
    STEP_GUEST,                 /* Advice: these begin with "#". */
    STEP_PEER,
    STEP_DPDK,                  /* Commands. */
    STEP_UPLINK,
    STEP_FORWARDING,
    STEP_POLICY,
    STEP_ROUTE,
    STEP_ADDRESS,
    STEP_IPV6,
    STEP_NAT,                   /* Advice again. */
    STEP_NIC,
    STEP_DRIVER,
    STEP_BRIDGE,
    STEP_PORT,
    STEP_VM,
    STEP_LAST
};

/* As many of a kind are named at most, and as many commands are given. */
#define MAX_NAMED 8
#define MAX_COMMANDS 16
#define MAX_FLUSHES 256

/* Where Open vSwitch has its sockets unless told otherwise. */
#define VHOST_DIR "/var/run/openvswitch"

/* Routing tables. */
#define TABLE_DEFAULT 253
#define TABLE_MAIN 254
#define TABLE_LOCAL 255

struct rule;

struct step_cure {
    struct vmlat_bypass_cure cure;
    enum step step;
};

/* What a rule works on. */
struct finder {
    const struct vmlat_bypass_case *c;
    const struct vmlat_bypass_facts *f;
    const struct rule *rule;
    struct vmlat_bypass_result *result; /* NULL: see only whether there is a
                                         * cause. */
    size_t n_found;
    struct step_cure *cures;
    size_t n_cures, allocated_cures, allocated_causes;
    struct svec strings;        /* Of arg() and clean(). */
    bool refused;               /* An argument that cannot be typed. */
};

typedef void find_func(struct finder *);

static find_func find_vhost_on_system_bridge, find_dpdk_init_off;
static find_func find_vm_by_tap, find_nic_as_system_port;
static find_func find_gateway_is_bridge, find_address, find_route;
static find_func find_forwarding, find_nat, find_nic_in_kernel;
static find_func find_no_uplink, find_uplink_idle, find_uplink_down;
static find_func find_uplink_wrong_link, find_return_by_other_nic;
static find_func find_pmd_idle;

/* The rules.  One more is one more line and its function, which adds a cause
 * for each thing that it finds, with cause(), and cures, with cure().  'alone'
 * says whether a cause makes a port SUSPECT though no packet was seen to be
 * routed. */
static const struct rule {
    const char *code;
    bool alone;
    find_func *find;
    const char *meaning;
} rules[] = {
    { "vhost-on-system-bridge", true, find_vhost_on_system_bridge,
      "a vhost-user port on a bridge of the kernel datapath, which has none" },
    { "dpdk-init-off", true, find_dpdk_init_off,
      "a port needs DPDK, which Open vSwitch has not started" },
    { "vm-by-tap", true, find_vm_by_tap,
      "the VM is attached by a tap to a userspace bridge: not a PMD but the "
      "main thread serves it, by system calls" },
    { "nic-as-system-port", true, find_nic_as_system_port,
      "the VM's packets go by a NIC that the kernel drives: not a PMD but the "
      "main thread serves it, by system calls" },
    { "uplink-down", true, find_uplink_down,
      "the NIC port of the datapath is down or has no carrier" },
    { "uplink-wrong-link", true, find_uplink_wrong_link,
      "the NIC port of the datapath is on another link than the VM's peers" },
    { "gateway-is-bridge", false, find_gateway_is_bridge,
      "the VM sends to the internal port's own MAC address: the bridge is its "
      "gateway" },
    { "address-on-internal-port", false, find_address,
      "the internal port of the bridge has addresses, so the kernel takes and "
      "routes what comes to it" },
    { "route-through-internal-port", false, find_route,
      "the kernel's routes lead to VMs through the internal port" },
    { "forwarding-on", false, find_forwarding,
      "the kernel forwards what comes in by the internal port" },
    { "nat-on-the-way", false, find_nat,
      "the kernel translates addresses of what it routes" },
    { "nic-in-kernel", false, find_nic_in_kernel,
      "a NIC that the kernel drives carries what a NIC port of the datapath "
      "should" },
    { "no-uplink", false, find_no_uplink,
      "the bridge has no NIC port in the datapath, so that only the kernel "
      "can carry the traffic" },
    { "uplink-idle", false, find_uplink_idle,
      "the NIC port of the datapath has next to no traffic" },
    { "return-by-other-nic", false, find_return_by_other_nic,
      "traffic comes back by another NIC than it left by" },
    { "pmd-idle", false, find_pmd_idle,
      "PMD threads are idle most of the time meanwhile" },
};

bool
vmlat_bypass_rule(size_t i, const char **code, const char **meaning)
{
    if (i >= ARRAY_SIZE(rules)) {
        return false;
    }
    *code = rules[i].code;
    *meaning = rules[i].meaning;
    return true;
}

/* Text.  Names come from the database and the kernel, where they may be almost
 * anything. */

/* Returns how long a control character at 's' is, 0 if it is something
 * else. */
static size_t
control_length(const char *s)
{
    unsigned char c = s[0];

    return ((c && c < ' ') || c == 0x7f ? 1
            : c == 0xc2 && (unsigned char) s[1] >= 0x80
              && (unsigned char) s[1] < 0xa0 ? 2
            : 0);
}

/* Returns 's' with its control characters replaced. */
static const char *
clean(struct finder *x, const char *s)
{
    struct ds ds = DS_EMPTY_INITIALIZER;

    while (*s) {
        size_t n = control_length(s);

        ds_put_char(&ds, n ? '?' : *s);
        s += n ? n : 1;
    }
    svec_add_nocopy(&x->strings, ds_steal_cstr(&ds));
    return svec_back(&x->strings);
}

/* Returns 's' as an argument of a shell's command.  What nobody could type, or
 * a command would take for an option, makes the next cure() mere advice. */
static const char *
arg(struct finder *x, const char *s)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789_-+./:@%,";
    struct ds ds = DS_EMPTY_INITIALIZER;

    x->refused |= !*s || *s == '-';
    for (const char *p = s; *p; p++) {
        x->refused |= control_length(p) > 0;
    }
    if (x->refused) {
        return clean(x, s);
    } else if (!s[strspn(s, plain)]) {
        return s;
    }
    ds_put_char(&ds, '\'');
    for (; *s; s++) {
        if (*s == '\'') {
            ds_put_cstr(&ds, "'\\''");
        } else {
            ds_put_char(&ds, *s);
        }
    }
    ds_put_char(&ds, '\'');
    svec_add_nocopy(&x->strings, ds_steal_cstr(&ds));
    return svec_back(&x->strings);
}

/* Returns 'ds' as a string that lives as long as 'x' does. */
static const char *
keep(struct finder *x, struct ds *ds)
{
    svec_add_nocopy(&x->strings, ds_steal_cstr(ds));
    return svec_back(&x->strings);
}

/* Adds a cause, with what was seen as 'format' says. */
static void OVS_PRINTF_FORMAT(2, 3)
cause(struct finder *x, const char *format, ...)
{
    struct vmlat_bypass_result *result = x->result;
    struct vmlat_bypass_cause *new;
    va_list args;

    x->n_found++;
    if (!result) {
        return;
    }
    if (result->n_causes >= x->allocated_causes) {
        result->causes = x2nrealloc(result->causes, &x->allocated_causes,
                                    sizeof *result->causes);
    }
    new = &result->causes[result->n_causes++];
    new->code = x->rule->code;
    new->meaning = x->rule->meaning;
    va_start(args, format);
    new->evidence = xvasprintf(format, args);
    va_end(args);
}

/* Adds the command that 'format' says, to be typed at 'step', which interrupts
 * 'interrupts'.  A command that is there already is not added again. */
static void OVS_PRINTF_FORMAT(4, 5)
cure(struct finder *x, enum step step, const char *interrupts,
     const char *format, ...)
{
    struct step_cure *new;
    bool refused = x->refused;
    char *command;
    va_list args;

    x->refused = false;
    if (!x->result) {
        return;
    }
    va_start(args, format);
    command = xvasprintf(format, args);
    va_end(args);
    if (refused && command[0] != '#') {
        char *advice = xasprintf("# with the right name in place of what "
                                 "cannot be typed: %s", command);

        free(command);
        command = advice;
    }
    for (size_t i = 0; i < x->n_cures; i++) {
        if (!strcmp(x->cures[i].cure.command, command)) {
            free(command);
            return;
        }
    }
    if (x->n_cures >= x->allocated_cures) {
        x->cures = x2nrealloc(x->cures, &x->allocated_cures,
                              sizeof *x->cures);
    }
    new = &x->cures[x->n_cures++];
    new->step = step;
    new->cure.code = x->rule->code;
    new->cure.command = command;
    new->cure.interrupts = xstrdup(interrupts);
}

/* Appends a separator to a list that has 'n' elements so far.  Returns false
 * if it is long enough. */
static bool
put_separator(struct ds *ds, size_t n)
{
    if (n && n < MAX_NAMED) {
        ds_put_cstr(ds, ", ");
    }
    return n < MAX_NAMED;
}

static void
put_more(struct ds *ds, size_t n)
{
    if (n > MAX_NAMED) {
        ds_put_format(ds, " and %"PRIuSIZE" more", n - MAX_NAMED);
    }
}

/* Addresses. */

static bool
is_ip4(const struct in6_addr *ip)
{
    return IN6_IS_ADDR_V4MAPPED(ip);
}

static void
put_ip(struct ds *ds, const struct in6_addr *ip)
{
    ipv6_format_mapped(ip, ds);
}

/* Appends 'ip' and its length of prefix. */
static void
put_prefix(struct ds *ds, const struct in6_addr *ip, uint8_t plen)
{
    put_ip(ds, ip);
    ds_put_format(ds, "/%"PRIu8, plen);
}

/* Returns true if 'ip' is in the network of 'net', 'plen' of its family. */
static bool
in_network(const struct in6_addr *ip, const struct in6_addr *net,
           uint8_t plen)
{
    unsigned int bits = plen + (is_ip4(net) ? 96 : 0);

    if (is_ip4(ip) != is_ip4(net)) {
        return false;
    }
    for (size_t i = 0; i < sizeof ip->s6_addr && bits; i++) {
        unsigned int n = MIN(bits, 8);
        uint8_t mask = 0xff << (8 - n);

        if ((ip->s6_addr[i] ^ net->s6_addr[i]) & mask) {
            return false;
        }
        bits -= n;
    }
    return true;
}

static void
copy_ip(struct in6_addr *ip, const uint32_t words[4])
{
    memcpy(ip, words, sizeof *ip);
}

/* What devices, addresses and routes do for a detour. */

static const struct vmlat_bypass_link *
detour_link(const struct vmlat_bypass_detour *detour, uint32_t ifindex)
{
    for (size_t i = 0; i < detour->n_links; i++) {
        if (detour->links[i]->ifindex == ifindex) {
            return detour->links[i];
        }
    }
    return NULL;
}

/* Addresses of hosts that everybody can reach: not link-local ones, which all
 * IPv6 devices have. */
static bool
is_global(const struct in6_addr *ip)
{
    return !IN6_IS_ADDR_LINKLOCAL(ip) && !IN6_IS_ADDR_LOOPBACK(ip);
}

bool
vmlat_bypass_has_way_out(const struct vmlat_bypass_facts *f,
                         const struct vmlat_bypass_detour *detour)
{
    for (int ip6 = 0; ip6 < 2; ip6++) {
        bool forwards = false, address = false;

        for (size_t i = 0; i < detour->n_links; i++) {
            /* IPv6 forwards for a device only if it does for all. */
            forwards |= (ip6 ? f->host.forwarding6
                         : detour->links[i]->forwarding4);
        }
        for (size_t i = 0; forwards && i < f->host.n_ips; i++) {
            const struct vmlat_bypass_ip *ip = &f->host.ips[i];

            address |= (is_ip4(&ip->ip) == !ip6 && is_global(&ip->ip)
                        && detour_link(detour, ip->ifindex));
        }
        for (size_t i = 0; address && i < f->host.n_routes; i++) {
            const struct vmlat_bypass_route *route = &f->host.routes[i];
            const struct vmlat_bypass_link *link;

            if (route->ip6 != ip6 || route->table == TABLE_LOCAL
                || !route->ifindex || detour_link(detour, route->ifindex)
                || (ip6 && !is_global(&route->dst))
                || IN6_IS_ADDR_MULTICAST(&route->dst)) {
                continue;
            }
            link = vmlat_bypass_link_find(&f->host, route->ifindex);
            if (link && link->flags & IFF_UP
                && !(link->flags & IFF_LOOPBACK)) {
                return true;
            }
        }
    }
    return false;
}

/* Stores which IP versions are routed by way of 'detour'; both if nothing
 * tells. */
static void
find_versions(const struct finder *x, const struct vmlat_bypass_detour *detour,
              bool *ip4, bool *ip6)
{
    *ip4 = *ip6 = false;
    for (size_t i = 0; i < x->c->result->n_flows; i++) {
        const struct vmlat_bypass_flow_key *key
            = &x->c->result->flows[i].key;

        if (key->way.internal == detour->ifindex) {
            *ip4 |= key->ip_version == 4;
            *ip6 |= key->ip_version == 6;
        }
    }
    if (!*ip4 && !*ip6) {
        *ip4 = *ip6 = true;
    }
}

/* Returns how many packets ended in, or came from, this host itself by way of
 * 'detour', whosever they were. */
static uint64_t
count_host_packets(const struct finder *x,
                   const struct vmlat_bypass_detour *detour,
                   enum vmlat_bypass_end end)
{
    const struct vmlat_bypass_kernel *kernel = &x->f->kernel;
    uint64_t sum = 0;

    for (size_t i = 0; i < kernel->n_ways; i++) {
        const struct vmlat_bypass_way_key *key = &kernel->ways[i].key;

        if (key->internal == detour->ifindex && key->end == end) {
            sum += kernel->ways[i].count.packets;
        }
    }
    return sum;
}

/* Returns how many packets came to this host itself by 'detour'. */
static uint64_t
count_to_host(const struct finder *x, const struct vmlat_bypass_detour *detour)
{
    const struct vmlat_bypass_kernel *kernel = &x->f->kernel;
    uint64_t sum = 0;

    for (size_t i = 0; i < kernel->n_ways; i++) {
        const struct vmlat_bypass_way_key *key = &kernel->ways[i].key;

        if (key->internal == detour->ifindex
            && key->direction == VMLAT_BYPASS_FROM_VM
            && key->end == VMLAT_BYPASS_END_LOCAL) {
            sum += kernel->ways[i].count.packets;
        }
    }
    return sum;
}

/* Returns a text about this host's own traffic by 'detour', which 'what'
 * depends on. */
static const char *
own_traffic(struct finder *x, const struct vmlat_bypass_detour *detour,
            const char *what)
{
    uint64_t n = count_host_packets(x, detour, VMLAT_BYPASS_END_LOCAL);
    struct ds ds = DS_EMPTY_INITIALIZER;

    ds_put_format(&ds, "this host's own traffic %s, such as ssh to it: ",
                  what);
    if (x->f->kernel.why_not) {
        ds_put_cstr(&ds, "whether there is any was not seen");
    } else {
        ds_put_format(&ds, "%"PRIu64" packets by %s in the window", n,
                      clean(x, detour->name));
    }
    return keep(x, &ds);
}

static const char *
routed_traffic(struct finder *x, const struct vmlat_bypass_detour *detour)
{
    struct ds ds = DS_EMPTY_INITIALIZER;

    ds_put_format(&ds, "what the kernel routes from %s, of all VMs",
                  clean(x, detour->name));
    if (!x->f->kernel.why_not) {
        ds_put_format(&ds, ": %"PRIu64" packets in the window",
                      count_host_packets(x, detour,
                                         VMLAT_BYPASS_END_ROUTED));
    }
    return keep(x, &ds);
}

static const char *
vm_name(struct finder *x)
{
    return clean(x, x->c->port->vm ? x->c->port->vm : x->c->port->name);
}

/* Returns packets of the VM that the kernel routed, or may have. */
static uint64_t
count_detoured(const struct finder *x)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < x->c->n_detours; i++) {
        const struct vmlat_bypass_detour *detour = &x->c->detours[i];

        for (size_t d = 0; detour->suspected
                           && d < VMLAT_BYPASS_N_DIRECTIONS; d++) {
            sum += detour->routed[d] + detour->unknown[d];
        }
    }
    return sum;
}

/* Returns the detour after 'prev', or the first one if that is NULL, that the
 * kernel routes or may route by; NULL if there is none. */
static const struct vmlat_bypass_detour *
next_detour(const struct finder *x, const struct vmlat_bypass_detour *prev)
{
    size_t i = prev ? prev - x->c->detours + 1 : 0;

    while (i < x->c->n_detours && !x->c->detours[i].suspected) {
        i++;
    }
    return i < x->c->n_detours ? &x->c->detours[i] : NULL;
}

#define FOR_EACH_DETOUR(DETOUR, X)                      \
    for ((DETOUR) = next_detour(X, NULL); (DETOUR);     \
         (DETOUR) = next_detour(X, DETOUR))

/* Ports. */

static bool
is_dpdk(const struct vmlat_bypass_port *port)
{
    return !strcmp(port->type, "dpdk");
}

static bool
is_system(const struct vmlat_bypass_port *port)
{
    return !port->type[0] || !strcmp(port->type, "system");
}

static bool
is_down(const struct vmlat_bypass_port *port)
{
    return ((port->admin_known && !port->admin_up)
            || (port->link_known && !port->link_up));
}

/* Returns true if the NIC 'link' and the port 'port' of the datapath are the
 * same.  Stores to '*shared' whether both can have it at the same time. */
static bool
is_same_nic(const struct vmlat_bypass_port *port,
            const struct vmlat_bypass_link *link, bool *shared)
{
    static const char *const bifurcated[] = { "mlx4_core", "mlx4_en",
                                              "mlx5_core", "mana" };
    const char *devargs = port->devargs ? port->devargs : "";
    size_t n = strcspn(devargs, ",");
    char *iface;
    bool found;

    *shared = true;
    if (!strncmp(port->type, "afxdp", strlen("afxdp"))) {
        return !strcmp(port->name, link->name);
    }
    if (link->bus[0] && strlen(link->bus) == n
        && !strncmp(devargs, link->bus, n)) {
        *shared = false;
        for (size_t i = 0; i < ARRAY_SIZE(bifurcated); i++) {
            *shared |= !strcmp(link->driver, bifurcated[i]);
        }
        return true;
    }

    /* af_packet, af_xdp and the like. */
    iface = xasprintf(",iface=%s", link->name);
    devargs = strstr(devargs, iface);
    found = devargs && (!devargs[strlen(iface)]
                        || devargs[strlen(iface)] == ',');
    free(iface);
    return found;
}

/* Returns "dpdk0", or with the first number that no port has. */
static const char *
new_port_name(struct finder *x)
{
    struct ds ds = DS_EMPTY_INITIALIZER;
    int i = 0;

    do {
        ds_clear(&ds);
        ds_put_format(&ds, "dpdk%d", i++);
    } while (vmlat_bypass_port_find(&x->f->ovs, ds_cstr(&ds)));
    return keep(x, &ds);
}

/* Appends the driver and the place of 'link' in brackets, if known. */
static void
put_hardware(struct finder *x, struct ds *ds,
             const struct vmlat_bypass_link *link)
{
    if (link->driver[0]) {
        ds_put_format(ds, " (driver %s%s%s)", clean(x, link->driver),
                      link->bus[0] ? ", " : "", clean(x, link->bus));
    }
}

/* Appends what else 'link' is good for. */
static void
put_uses(struct finder *x, struct ds *ds,
         const struct vmlat_bypass_link *link)
{
    size_t n = 0, n_routes = 0;

    ds_put_format(ds, "all other traffic by %s", clean(x, link->name));
    for (size_t i = 0; i < x->f->host.n_ips; i++) {
        const struct vmlat_bypass_ip *ip = &x->f->host.ips[i];

        if (ip->ifindex == link->ifindex && is_global(&ip->ip)) {
            ds_put_cstr(ds, n ? "" : ": this host's by ");
            if (put_separator(ds, n++)) {
                put_prefix(ds, &ip->ip, ip->plen);
            }
        }
    }
    put_more(ds, n);
    for (size_t i = 0; i < x->f->host.n_routes; i++) {
        const struct vmlat_bypass_route *route = &x->f->host.routes[i];

        n_routes += (route->ifindex == link->ifindex
                     && route->table != TABLE_LOCAL);
    }
    ds_put_format(ds, "%s%"PRIuSIZE" routes", n ? ", " : ": ", n_routes);
}

static bool
has_default_route(const struct vmlat_bypass_facts *f, uint32_t ifindex)
{
    for (size_t i = 0; i < f->host.n_routes; i++) {
        const struct vmlat_bypass_route *route = &f->host.routes[i];

        if (route->ifindex == ifindex && !route->plen
            && route->table != TABLE_LOCAL) {
            return true;
        }
    }
    return false;
}

/* The rules' functions: how Open vSwitch is configured. */

static void
find_vhost_on_system_bridge(struct finder *x)
{
    const struct vmlat_bypass_port *port = x->c->port;
    const char *interrupts;
    struct ds ds = DS_EMPTY_INITIALIZER;

    if (!port->vhost || port->userspace) {
        return;
    }
    cause(x, "%s is of type %s, bridge %s has datapath_type=system%s%s",
          clean(x, port->name), clean(x, port->type), clean(x, port->bridge),
          port->error ? "; Open vSwitch says: " : "",
          port->error ? clean(x, port->error) : "");
    ds_put_format(&ds, "all traffic of bridge %s, until its NICs are ports of "
                  "type dpdk", clean(x, port->bridge));
    interrupts = keep(x, &ds);
    cure(x, STEP_BRIDGE, interrupts,
         "ovs-vsctl set Bridge %s datapath_type=netdev",
         arg(x, port->bridge));
}

static void
find_dpdk_init_off(struct finder *x)
{
    const struct vmlat_bypass_ovs *ovs = &x->f->ovs;
    const char *needs = x->c->port->vhost ? x->c->port->name : NULL;

    for (size_t i = 0; !needs && i < x->c->n_uplinks; i++) {
        if (is_dpdk(x->c->uplinks[i].port)) {
            needs = x->c->uplinks[i].port->name;
        }
    }
    if (!needs || (ovs->dpdk_init && ovs->dpdk_initialized)
        || (!ovs->dpdk_init && ovs->dpdk_initialized)) {
        return;
    }
    if (!ovs->dpdk_init) {
        cause(x, "other_config:dpdk-init is not true, and %s needs DPDK",
              clean(x, needs));
        cure(x, STEP_DPDK, "nothing",
             "ovs-vsctl set Open_vSwitch . other_config:dpdk-init=true");
    } else {
        cause(x, "other_config:dpdk-init is set, but dpdk_initialized is "
              "false, and %s needs DPDK", clean(x, needs));
        cure(x, STEP_DPDK, "nothing",
             "# see in the log of ovs-vswitchd why DPDK did not start: huge "
             "pages, dpdk-socket-mem, dpdk-extra");
    }
}

static void
find_vm_by_tap(struct finder *x)
{
    const struct vmlat_bypass_port *port = x->c->port;
    const char *new, *interrupts;
    struct ds ds = DS_EMPTY_INITIALIZER;
    char *tag;

    if (!port->tap) {
        return;
    }
    cause(x, "%s is a tap (type \"%s\") on bridge %s, which has "
          "datapath_type=netdev", clean(x, port->name), clean(x, port->type),
          clean(x, port->bridge));

    /* The bridge has room for both until the VM has moved. */
    ds_put_format(&ds, "vhu-%s", port->name);
    new = keep(x, &ds);
    tag = port->tag ? xasprintf(" tag=%d", port->tag) : xstrdup("");
    cure(x, STEP_PORT, "nothing",
         "ovs-vsctl add-port %s %s%s -- set Interface %s "
         "type=dpdkvhostuserclient options:vhost-server-path="
         "%s/%s", arg(x, port->bridge), arg(x, new), tag, arg(x, new),
         VHOST_DIR, arg(x, new));
    free(tag);
    ds_init(&ds);
    ds_put_format(&ds, "VM %s, which has to be started again", vm_name(x));
    interrupts = keep(x, &ds);
    cure(x, STEP_VM, interrupts,
         "# give VM %s a vhost-user interface in server mode with that socket "
         "and shared memory (huge pages), and start it again", vm_name(x));
    cure(x, STEP_VM, "nothing more, once the VM has moved",
         "ovs-vsctl del-port %s %s", arg(x, port->bridge),
         arg(x, port->name));
}

/* Adds what makes the NIC 'link', whose address on its bus is known, a port of
 * 'bridge' instead of 'old', which may be NULL. */
static void
cure_with_dpdk(struct finder *x, const struct vmlat_bypass_link *link,
               const char *bridge, const struct vmlat_bypass_port *old)
{
    const char *interrupts, *new = new_port_name(x);
    struct ds ds = DS_EMPTY_INITIALIZER;
    char *tag, *del;

    put_uses(x, &ds, link);
    interrupts = keep(x, &ds);
    if (!link->bus[0]) {
        cure(x, STEP_PORT, interrupts,
             "# give the datapath %s by DPDK: ovs-vsctl %s%s%sadd-port %s %s "
             "-- set Interface %s type=dpdk options:dpdk-devargs=...",
             clean(x, link->name), old ? "del-port " : "",
             old ? clean(x, old->name) : "", old ? " -- " : "",
             clean(x, bridge), new, new);
        return;
    }
    if (has_default_route(x->f, link->ifindex)) {
        cure(x, STEP_NIC, "nothing",
             "# before the next commands, give this host another way out: "
             "its default route is by %s", clean(x, link->name));
    }
    if (strcmp(link->driver, "mlx5_core") && strcmp(link->driver, "mana")) {
        cure(x, STEP_NIC, interrupts, "ip link set dev %s down",
             arg(x, link->name));
        cure(x, STEP_DRIVER, interrupts,
             "dpdk-devbind.py --bind=vfio-pci %s", arg(x, link->bus));
    }
    tag = (old && old->tag ? xasprintf(" tag=%d", old->tag) : xstrdup(""));
    del = (old ? xasprintf("del-port %s %s -- ", arg(x, old->bridge),
                           arg(x, old->name))
           : xstrdup(""));
    cure(x, STEP_PORT, interrupts,
         "ovs-vsctl %sadd-port %s %s%s -- set Interface %s type=dpdk "
         "options:dpdk-devargs=%s", del, arg(x, bridge), new, tag, new,
         arg(x, link->bus));
    free(tag);
    free(del);
}

static void
find_nic_as_system_port(struct finder *x)
{
    for (size_t i = 0; i < x->c->n_uplinks; i++) {
        const struct vmlat_bypass_uplink *uplink = &x->c->uplinks[i];
        const struct vmlat_bypass_port *port = uplink->port;
        const struct vmlat_bypass_link *link;
        struct ds ds = DS_EMPTY_INITIALIZER;

        if (!is_system(port) || !port->userspace
            || !(uplink->vm[VMLAT_BYPASS_FROM_VM]
                 + uplink->vm[VMLAT_BYPASS_TO_VM])) {
            continue;
        }
        link = vmlat_bypass_link_find_name(&x->f->host, port->name);
        ds_put_cstr(&ds, clean(x, port->name));
        if (link) {
            put_hardware(x, &ds, link);
        }
        cause(x, "%s is a system port of bridge %s, which has "
              "datapath_type=netdev: %"PRIu64" packets from this VM, %"PRIu64
              " to it", ds_cstr(&ds), clean(x, port->bridge),
              uplink->vm[VMLAT_BYPASS_FROM_VM],
              uplink->vm[VMLAT_BYPASS_TO_VM]);
        ds_destroy(&ds);
        if (link) {
            cure_with_dpdk(x, link, port->bridge, port);
        }
    }
}

/* Uplinks. */

static void
find_uplink_down(struct finder *x)
{
    uint64_t flooded
        = x->c->packets[VMLAT_BYPASS_FROM_VM][VMLAT_BYPASS_WAY_FLOODED];

    for (size_t i = 0; i < x->c->n_uplinks; i++) {
        const struct vmlat_bypass_uplink *uplink = &x->c->uplinks[i];
        const struct vmlat_bypass_port *port = uplink->port;
        bool admin = !port->admin_known || port->admin_up;

        if (!is_down(port)
            || !(uplink->vm[VMLAT_BYPASS_FROM_VM] || count_detoured(x)
                 || (flooded && x->c->n_uplinks == 1))) {
            continue;
        }
        cause(x, "%s of bridge %s has %s: %"PRIu64" packets of this VM went "
              "to it in the window, %"PRIu64" were flooded",
              clean(x, port->name), clean(x, port->bridge),
              admin ? "link_state=down" : "admin_state=down",
              uplink->vm[VMLAT_BYPASS_FROM_VM], flooded);
        if (!admin && is_system(port)) {
            cure(x, STEP_UPLINK, "nothing", "ip link set dev %s up",
                 arg(x, port->name));
        } else if (!admin) {
            cure(x, STEP_UPLINK, "nothing", "ovs-ofctl mod-port %s %s up",
                 arg(x, port->bridge), arg(x, port->name));
        } else {
            cure(x, STEP_UPLINK, "nothing",
                 "# see to the carrier of %s%s%s%s: cable, transceiver, port "
                 "of the switch", clean(x, port->name),
                 port->devargs ? " (" : "",
                 port->devargs ? clean(x, port->devargs) : "",
                 port->devargs ? ")" : "");
        }
    }
}

/* Returns true if anything came from 'mac' by the port 'name', be it for
 * others, or may have. */
static bool
has_come(const struct finder *x, const char *name, const struct eth_addr *mac)
{
    for (size_t i = 0; i < x->f->dp.n; i++) {
        const struct vmlat_bypass_dp_row *row = &x->f->dp.rows[i];

        if (row->packets && !strcmp(row->in, name)
            && (!row->has_src || eth_addr_equals(row->src, *mac))) {
            return true;
        }
    }
    return false;
}

/* Returns the neighbor with 'mac' that the kernel has on a NIC other than
 * 'port', NULL if there is none. */
static const struct vmlat_bypass_neighbor *
find_neighbor(const struct finder *x, const struct eth_addr *mac,
              const struct vmlat_bypass_port *port,
              const struct vmlat_bypass_link **link)
{
    const struct vmlat_bypass_host *host = &x->f->host;
    bool shared;

    for (size_t i = 0; i < host->n_neighbors; i++) {
        const struct vmlat_bypass_neighbor *neighbor = &host->neighbors[i];

        if (!neighbor->valid || !eth_addr_equals(neighbor->mac, *mac)) {
            continue;
        }
        *link = vmlat_bypass_link_find(host, neighbor->ifindex);
        if (*link && (*link)->flags & IFF_UP
            && !vmlat_bypass_port_find(&x->f->ovs, (*link)->name)
            && strcmp((*link)->kind, "tun") && !(*link)->stacked
            && !is_same_nic(port, *link, &shared)) {
            return neighbor;
        }
    }
    return NULL;
}

/* Fewer packets without an answer say nothing. */
#define MIN_UNANSWERED 3

static void
find_uplink_wrong_link(struct finder *x)
{
    for (size_t i = 0; i < x->c->n_uplinks; i++) {
        const struct vmlat_bypass_uplink *uplink = &x->c->uplinks[i];
        const char *name = uplink->port->name;

        for (size_t r = 0; r < x->c->n_rows; r++) {
            const struct vmlat_bypass_dp_row *row = x->c->rows[r];
            const struct vmlat_bypass_neighbor *neighbor;
            const struct vmlat_bypass_link *link;
            struct ds ds = DS_EMPTY_INITIALIZER;

            /* The switch floods what it has never had an answer from. */
            if (row->out ? strcmp(row->out, name) : !row->flooded) {
                continue;
            }
            if (!row->has_dst || eth_addr_is_multicast(row->dst)
                || row->packets < MIN_UNANSWERED
                || strcmp(row->in, x->c->port->name)) {
                continue;
            }
            neighbor = find_neighbor(x, &row->dst, uplink->port, &link);
            if (!neighbor || has_come(x, name, &row->dst)) {
                continue;
            }
            put_ip(&ds, &neighbor->ip);
            cause(x, "%"PRIu64" packets of this VM went by %s to "ETH_ADDR_FMT
                  " and none came from there, while the kernel knows that "
                  "address, %s, on %s", row->packets, clean(x, name),
                  ETH_ADDR_ARGS(row->dst), ds_cstr(&ds),
                  clean(x, link->name));
            ds_destroy(&ds);
            if (link->bus[0] && is_dpdk(uplink->port)) {
                const char *interrupts;

                ds_init(&ds);
                ds_put_format(&ds, "all traffic by %s, and ",
                              clean(x, name));
                put_uses(x, &ds, link);
                interrupts = keep(x, &ds);
                if (has_default_route(x->f, link->ifindex)) {
                    cure(x, STEP_NIC, "nothing",
                         "# before the next commands, give this host another "
                         "way out: its default route is by %s",
                         clean(x, link->name));
                }
                if (strcmp(link->driver, "mlx5_core")
                    && strcmp(link->driver, "mana")) {
                    cure(x, STEP_NIC, interrupts, "ip link set dev %s down",
                         arg(x, link->name));
                    cure(x, STEP_DRIVER, interrupts,
                         "dpdk-devbind.py --bind=vfio-pci %s",
                         arg(x, link->bus));
                }
                cure(x, STEP_PORT, interrupts,
                     "ovs-vsctl set Interface %s options:dpdk-devargs=%s",
                     arg(x, name), arg(x, link->bus));
            } else {
                cure(x, STEP_PORT, "all traffic by that port",
                     "# connect %s to the link of %s, or give the datapath "
                     "%s in its place", clean(x, name), clean(x, link->name),
                     clean(x, link->name));
            }
            break;
        }
    }
}

static void
find_uplink_idle(struct finder *x)
{
    uint64_t detoured = count_detoured(x);

    for (size_t i = 0; detoured && i < x->c->n_uplinks; i++) {
        const struct vmlat_bypass_uplink *uplink = &x->c->uplinks[i];

        if (uplink->packets <= detoured / 20) {
            cause(x, "%s: %"PRIu64" packets in and out, of all VMs, in the "
                  "window in which %"PRIu64" of this VM alone went into the "
                  "kernel or came from it", clean(x, uplink->port->name),
                  uplink->packets, detoured);
        }
    }
}

static void
find_no_uplink(struct finder *x)
{
    const struct vmlat_bypass_outside *out = NULL;

    if (x->c->n_uplinks || !count_detoured(x)) {
        return;
    }
    cause(x, "bridge %s, and those that patch ports connect to it, have no "
          "NIC port", clean(x, x->c->port->bridge));
    for (size_t i = 0; i < x->c->n_outsides; i++) {
        if (!x->c->outsides[i].internal && x->c->outsides[i].link
            && (!out || x->c->outsides[i].packets[VMLAT_BYPASS_FROM_VM]
                        > out->packets[VMLAT_BYPASS_FROM_VM])) {
            out = &x->c->outsides[i];
        }
    }
    if (out) {
        cure_with_dpdk(x, out->link, x->c->port->bridge, NULL);
    }
}

/* The kernel. */

static void
find_gateway_is_bridge(struct finder *x)
{
    const struct vmlat_bypass_result *result = x->c->result;
    const struct vmlat_bypass_detour *detour;

    FOR_EACH_DETOUR (detour, x) {
        const struct vmlat_bypass_flow_key *first = NULL;
        const struct vmlat_bypass_ip *gateway = NULL;
        struct in6_addr src, dst;
        struct ds peers = DS_EMPTY_INITIALIZER;
        struct ds gw = DS_EMPTY_INITIALIZER;
        uint64_t packets = 0;

        /* Flows that are not listed may do so, too. */
        for (size_t i = 0; i < result->n_flows; i++) {
            const struct vmlat_bypass_flow_key *key = &result->flows[i].key;

            if (key->way.internal == detour->ifindex && key->gateway
                && key->way.direction == VMLAT_BYPASS_FROM_VM) {
                first = first ? first : key;
                packets += result->flows[i].count.packets;
            }
        }
        if (!first) {
            continue;
        }
        copy_ip(&src, first->src);
        copy_ip(&dst, first->dst);
        for (size_t i = 0; i < x->f->host.n_ips && !gateway; i++) {
            const struct vmlat_bypass_ip *ip = &x->f->host.ips[i];

            if (detour_link(detour, ip->ifindex)
                && in_network(&src, &ip->ip, ip->plen)) {
                gateway = ip;
            }
        }
        put_ip(&peers, &dst);
        if (gateway) {
            put_ip(&gw, &gateway->ip);
        }
        cause(x, "%s%"PRIu64" packets, such as those to %s, were sent to the "
              "MAC address of %s%s%s",
              result->n_flows >= VMLAT_BYPASS_MAX_RESULT_FLOWS
              || x->f->kernel.counters[VMLAT_BYPASS_CNT_FLOWS_LEFT_OUT]
              ? "at least " : "", packets, ds_cstr(&peers),
              clean(x, detour->name),
              gateway ? ", which has the VM's gateway " : "",
              ds_cstr(&gw));
        cure(x, STEP_GUEST,
             "the VM's own connections while its address changes",
             "# in VM %s: an address in the subnet of its peers (%s), and no "
             "gateway on %s%s%s", vm_name(x), ds_cstr(&peers),
             clean(x, detour->name),
             gateway ? ": ip route del default via " : "", ds_cstr(&gw));
        ds_destroy(&peers);
        ds_destroy(&gw);
    }
}

/* Returns true if 'ip' is of a network that flows by way of 'detour' are to or
 * from, or if none is known. */
static bool
is_involved(const struct finder *x, const struct vmlat_bypass_detour *detour,
            const struct vmlat_bypass_ip *ip)
{
    const struct vmlat_bypass_result *result = x->c->result;
    bool any = false;

    for (size_t i = 0; i < result->n_flows; i++) {
        const struct vmlat_bypass_flow_key *key = &result->flows[i].key;
        struct in6_addr src, dst;

        if (key->way.internal == detour->ifindex) {
            any = true;
            copy_ip(&src, key->src);
            copy_ip(&dst, key->dst);
            if (in_network(&src, &ip->ip, ip->plen)
                || in_network(&dst, &ip->ip, ip->plen)) {
                return true;
            }
        }
    }
    return !any;
}

static void
find_address(struct finder *x)
{
    const struct vmlat_bypass_host *host = &x->f->host;
    const struct vmlat_bypass_detour *detour;

    FOR_EACH_DETOUR (detour, x) {
        bool is_in_use = count_to_host(x, detour) > 0;
        struct ds list = DS_EMPTY_INITIALIZER;
        bool ip4, ip6;
        size_t n = 0;

        find_versions(x, detour, &ip4, &ip6);
        for (size_t i = 0; i < host->n_ips; i++) {
            const struct vmlat_bypass_ip *ip = &host->ips[i];
            const struct vmlat_bypass_link *link
                = detour_link(detour, ip->ifindex);

            if (link && is_global(&ip->ip)
                && (is_ip4(&ip->ip) ? ip4 : ip6)) {
                if (put_separator(&list, n++)) {
                    put_prefix(&list, &ip->ip, ip->plen);
                    ds_put_format(&list, " on %s", clean(x, link->name));
                }
            }
        }
        if (!n) {
            ds_destroy(&list);
            continue;
        }
        put_more(&list, n);
        cause(x, "%s", ds_cstr(&list));
        ds_destroy(&list);

        /* The last one first: with the first address of a network, the kernel
         * may remove the others. */
        for (size_t i = 0; n <= MAX_COMMANDS && i < host->n_ips; i++) {
            const struct vmlat_bypass_ip *ip = &host->ips[host->n_ips - 1 - i];
            const struct vmlat_bypass_link *link
                = detour_link(detour, ip->ifindex);
            struct ds ds = DS_EMPTY_INITIALIZER;
            const char *what;

            if (!link || !is_global(&ip->ip)
                || !(is_ip4(&ip->ip) ? ip4 : ip6)) {
                continue;
            }
            ds_put_cstr(&ds, "by ");
            put_ip(&ds, &ip->ip);
            what = own_traffic(x, detour, ds_cstr(&ds));
            ds_clear(&ds);
            put_prefix(&ds, &ip->ip, ip->plen);
            cure(x, STEP_ADDRESS, what, "%sip %saddr del %s dev %s",
                 is_in_use && !is_involved(x, detour, ip)
                 ? "# if this host can do without it: " : "",
                 is_ip4(&ip->ip) ? "" : "-6 ", ds_cstr(&ds),
                 arg(x, link->name));
            ds_destroy(&ds);
        }
        for (size_t i = 0; n > MAX_COMMANDS && i < detour->n_links; i++) {
            const struct vmlat_bypass_link *link = detour->links[i];

            cure(x, STEP_ADDRESS,
                 own_traffic(x, detour, "by all of its addresses there"),
                 "ip %saddr flush dev %s scope global",
                 ip4 && ip6 ? "" : ip4 ? "-4 " : "-6 ", arg(x, link->name));
        }
        cure(x, STEP_LAST, "nothing",
             "# and the same in the files that configure the network and "
             "sysctl, or it is back after the next boot");
    }
}

/* Returns true if the kernel made 'route' for an address, with which it will
 * go. */
static bool
is_connected(const struct vmlat_bypass_host *host,
             const struct vmlat_bypass_route *route)
{
    if (!ipv6_is_zero(&route->gateway)
        && !(is_ip4(&route->gateway)
             && !in6_addr_get_mapped_ipv4(&route->gateway))) {
        return false;
    }
    for (size_t i = 0; i < host->n_ips; i++) {
        const struct vmlat_bypass_ip *ip = &host->ips[i];

        if (ip->ifindex == route->ifindex && ip->plen == route->plen
            && in_network(&ip->ip, &route->dst, route->plen)) {
            return true;
        }
    }
    return false;
}

/* Appends 'route' as "ip route" has it, without the device. */
static void
put_route(struct ds *ds, const struct vmlat_bypass_route *route)
{
    if (!route->plen) {
        ds_put_cstr(ds, "default");
    } else {
        put_prefix(ds, &route->dst, route->plen);
    }
    if (!ipv6_is_zero(&route->gateway)
        && !(is_ip4(&route->gateway)
             && !in6_addr_get_mapped_ipv4(&route->gateway))) {
        ds_put_cstr(ds, " via ");
        put_ip(ds, &route->gateway);
    }
}

static void
put_table(struct ds *ds, uint32_t table)
{
    if (table == TABLE_DEFAULT) {
        ds_put_cstr(ds, " table default");
    } else if (table != TABLE_MAIN) {
        ds_put_format(ds, " table %"PRIu32, table);
    }
}

static bool
is_plain_route(const struct vmlat_bypass_route *route, bool ip4, bool ip6)
{
    return ((route->ip6 ? ip6 : ip4) && route->table != TABLE_LOCAL
            && !IN6_IS_ADDR_MULTICAST(&route->dst)
            && !(route->ip6 && IN6_IS_ADDR_LINKLOCAL(&route->dst)));
}

/* Returns true if what follows 'key' in 'policy' is part of a network of
 * 'detour'. */
static bool
is_prefix_of(const struct finder *x, const struct vmlat_bypass_detour *detour,
             const struct vmlat_bypass_policy *policy, const char *key)
{
    const char *at = strstr(policy->text, key);
    char text[INET6_ADDRSTRLEN + 8];
    struct in6_addr net;
    unsigned int plen;
    char *error;

    if (!at) {
        return false;
    }
    ovs_strlcpy(text, at + strlen(key), sizeof text);
    text[strcspn(text, " ")] = '\0';
    if (policy->ip6) {
        error = ipv6_parse_cidr(text, &net, &plen);
    } else {
        ovs_be32 ip;

        error = ip_parse_cidr(text, &ip, &plen);
        in6_addr_set_mapped_ipv4(&net, ip);
    }
    if (error) {
        free(error);            /* "all". */
        return false;
    }
    for (size_t i = 0; i < x->f->host.n_ips; i++) {
        const struct vmlat_bypass_ip *ip = &x->f->host.ips[i];

        if (detour_link(detour, ip->ifindex) && is_global(&ip->ip)
            && plen >= ip->plen && in_network(&net, &ip->ip, ip->plen)) {
            return true;
        }
    }

    /* With a host's address, the network is in a route. */
    for (size_t i = 0; i < x->f->host.n_routes; i++) {
        const struct vmlat_bypass_route *route = &x->f->host.routes[i];

        if (detour_link(detour, route->ifindex) && route->plen
            && route->table != TABLE_LOCAL && plen >= route->plen
            && in_network(&net, &route->dst, route->plen)) {
            return true;
        }
    }
    return false;
}

/* Returns true if 'policy' is about what comes in by a device of 'detour', or
 * from or to a network there, so that it is of no use without the detour. */
static bool
is_policy_of(const struct finder *x, const struct vmlat_bypass_detour *detour,
             const struct vmlat_bypass_policy *policy)
{
    for (size_t i = 0; i < detour->n_links; i++) {
        const char *name = detour->links[i]->name;
        char *iif = xasprintf(" iif %s ", name);
        bool found = strstr(policy->text, iif) != NULL;

        free(iif);
        if (found) {
            return true;
        }
    }
    return (is_prefix_of(x, detour, policy, "from ")
            || is_prefix_of(x, detour, policy, "to "));
}

/* Adds what removes 'policy'.  Several may have its priority. */
static void
cure_policy(struct finder *x, const struct vmlat_bypass_detour *detour,
            const struct vmlat_bypass_policy *policy)
{
    struct ds selector = DS_EMPTY_INITIALIZER;
    const char *p = strchr(policy->text, ':');

    /* What was cut off would be missing. */
    if (p && strlen(policy->text) < sizeof policy->text - 1) {
        p++;
        while (*p) {
            size_t n = strcspn(p, " ");

            if (n) {
                char *word = xmemdup0(p, n);

                ds_put_format(&selector, " %s", arg(x, word));
                free(word);
            }
            p += n + (p[n] == ' ');
        }
    }
    cure(x, STEP_POLICY, routed_traffic(x, detour),
         "ip %srule del priority %"PRIu32"%s", policy->ip6 ? "-6 " : "",
         policy->priority, ds_cstr(&selector));
    ds_destroy(&selector);
}

/* Appends the routes that take flows of the VM out, one for each device and
 * table. */
static void
put_routes_out(struct finder *x, const struct vmlat_bypass_detour *detour,
               struct ds *ds)
{
    const struct vmlat_bypass_result *result = x->c->result;
    const struct vmlat_bypass_route *seen[MAX_NAMED];
    size_t n = 0;

    for (size_t i = 0; i < MIN(result->n_flows, 64) && n < MAX_NAMED; i++) {
        const struct vmlat_bypass_flow_key *key = &result->flows[i].key;
        const struct vmlat_bypass_route *best = NULL;
        struct in6_addr dst;
        bool again = false;

        if (key->way.internal != detour->ifindex || !key->way.other
            || key->way.direction != VMLAT_BYPASS_FROM_VM
            || detour_link(detour, key->way.other)) {
            continue;
        }
        copy_ip(&dst, result->flows[i].count.out_dst);
        for (size_t k = 0; k < x->f->host.n_routes; k++) {
            const struct vmlat_bypass_route *route = &x->f->host.routes[k];

            if (route->ifindex == key->way.other
                && route->table != TABLE_LOCAL
                && route->ip6 == (key->ip_version == 6)
                && (!route->plen
                    || in_network(&dst, &route->dst, route->plen))
                && (!best || route->plen > best->plen)) {
                best = route;
            }
        }
        for (size_t k = 0; k < n; k++) {
            again |= seen[k] == best;
        }
        if (best && !again) {
            const struct vmlat_bypass_link *link
                = vmlat_bypass_link_find(&x->f->host, best->ifindex);

            ds_put_cstr(ds, n ? ", " : "; out: ");
            put_route(ds, best);
            ds_put_format(ds, " dev %s", link ? clean(x, link->name) : "?");
            put_table(ds, best->table);
            seen[n++] = best;
        }
    }
}

/* Returns true if 'route' has other next hops, with which it would go. */
static bool
has_other_hops(const struct vmlat_bypass_host *host,
               const struct vmlat_bypass_route *route)
{
    for (size_t i = 0; !route->ip6 && i < host->n_routes; i++) {
        const struct vmlat_bypass_route *other = &host->routes[i];

        if (other != route && !other->ip6 && other->table == route->table
            && other->metric == route->metric && other->plen == route->plen
            && ipv6_addr_equals(&other->dst, &route->dst)) {
            return true;
        }
    }
    return false;
}

/* Adds what removes 'route', which is by 'link'. */
static void
cure_route(struct finder *x, const struct vmlat_bypass_route *route,
           const struct vmlat_bypass_link *link)
{
    const char *dst, *rest, *interrupts;
    struct ds ds = DS_EMPTY_INITIALIZER;

    put_route(&ds, route);
    dst = keep(x, &ds);
    ds_init(&ds);
    put_table(&ds, route->table);
    if (route->metric) {
        ds_put_format(&ds, " metric %"PRIu32, route->metric);
    }
    rest = keep(x, &ds);
    ds_init(&ds);
    ds_put_format(&ds, "traffic of this host, and what it routes, to %s",
                  dst);
    interrupts = keep(x, &ds);
    if (has_other_hops(&x->f->host, route)) {
        cure(x, STEP_ROUTE, interrupts,
             "# in the route to %s%s: the next hop by %s", dst, rest,
             clean(x, link->name));
        return;
    }
    cure(x, STEP_ROUTE, interrupts, "%sip %sroute del %s dev %s%s",
         !route->plen && route->table == TABLE_MAIN
         ? "# if this host has another way out: " : "",
         route->ip6 ? "-6 " : "", dst, arg(x, link->name), rest);
}

/* Adds what removes all routes by 'detour' that are not connected ones, too
 * many to name. */
static void
cure_routes(struct finder *x, const struct vmlat_bypass_detour *detour,
            bool ip4, bool ip6)
{
    const char *interrupts = own_traffic(x, detour, "by all routes there");
    const struct vmlat_bypass_host *host = &x->f->host;

    for (size_t i = 0; i < host->n_routes && x->n_cures < MAX_FLUSHES; i++) {
        const struct vmlat_bypass_route *route = &host->routes[i];
        const struct vmlat_bypass_link *link
            = detour_link(detour, route->ifindex);

        if (link && is_plain_route(route, ip4, ip6)
            && !is_connected(host, route)) {
            cure(x, STEP_ROUTE, interrupts,
                 "ip -%d route flush dev %s table %"PRIu32,
                 route->ip6 ? 6 : 4, arg(x, link->name), route->table);
        }
    }
}

static void
find_route(struct finder *x)
{
    const struct vmlat_bypass_host *host = &x->f->host;
    const struct vmlat_bypass_detour *detour;

    FOR_EACH_DETOUR (detour, x) {
        struct ds list = DS_EMPTY_INITIALIZER;
        size_t n = 0, n_static = 0, n_policies = 0;
        bool ip4, ip6;

        find_versions(x, detour, &ip4, &ip6);
        for (size_t i = 0; i < host->n_routes; i++) {
            const struct vmlat_bypass_route *route = &host->routes[i];
            const struct vmlat_bypass_link *link
                = detour_link(detour, route->ifindex);

            if (link && is_plain_route(route, ip4, ip6)) {
                n_static += !is_connected(host, route);
                if (put_separator(&list, n++)) {
                    put_route(&list, route);
                    ds_put_format(&list, " dev %s", clean(x, link->name));
                    put_table(&list, route->table);
                }
            }
        }
        put_more(&list, n);
        put_routes_out(x, detour, &list);
        for (size_t i = 0; i < host->n_policies; i++) {
            const struct vmlat_bypass_policy *policy = &host->policies[i];
            bool used = is_policy_of(x, detour, policy);

            if (!policy->table
                || policy->table == TABLE_MAIN || policy->table == TABLE_LOCAL
                || policy->table == TABLE_DEFAULT
                || !(policy->ip6 ? ip6 : ip4)) {
                continue;
            }
            for (size_t k = 0; !used && k < host->n_routes; k++) {
                used = (host->routes[k].table == policy->table
                        && detour_link(detour, host->routes[k].ifindex));
            }
            if (used && n_policies < MAX_NAMED) {
                ds_put_format(&list, "%s\"%s\"",
                              n_policies ? ", " : "; ip rule: ",
                              clean(x, policy->text));
                n_policies++;
                if (is_policy_of(x, detour, policy)) {
                    cure_policy(x, detour, policy);
                }
            }
        }
        if (n || n_policies) {
            cause(x, "%s", ds_cstr(&list));
        }
        ds_destroy(&list);

        if (n_static <= MAX_COMMANDS) {
            for (size_t i = 0; i < host->n_routes; i++) {
                const struct vmlat_bypass_route *route = &host->routes[i];
                const struct vmlat_bypass_link *link
                    = detour_link(detour, route->ifindex);

                if (link && is_plain_route(route, ip4, ip6)
                    && !is_connected(host, route)) {
                    cure_route(x, route, link);
                }
            }
        } else {
            cure_routes(x, detour, ip4, ip6);
        }
    }
}

/* Returns "net.ipv4.conf.NAME.KEY", in the form that allows dots in NAME. */
static const char *
sysctl_key(struct finder *x, int version, const char *name, const char *key)
{
    struct ds ds = DS_EMPTY_INITIALIZER;
    char separator = strchr(name, '.') ? '/' : '.';

    ds_put_format(&ds, "net%cipv%d%cconf%c%s%c%s", separator, version,
                  separator, separator, name, separator, key);
    return keep(x, &ds);
}

static void
find_forwarding(struct finder *x)
{
    const struct vmlat_bypass_host *host = &x->f->host;
    const struct vmlat_bypass_detour *detour;

    FOR_EACH_DETOUR (detour, x) {
        struct ds list = DS_EMPTY_INITIALIZER;
        bool ip4, ip6;
        size_t n = 0;

        find_versions(x, detour, &ip4, &ip6);
        for (size_t i = 0; i < detour->n_links; i++) {
            const struct vmlat_bypass_link *link = detour->links[i];

            if (ip4 && link->forwarding4) {
                const char *key = sysctl_key(x, 4, link->name, "forwarding");

                if (put_separator(&list, n++)) {
                    ds_put_format(&list, "%s = 1", clean(x, key));
                }
                cure(x, STEP_FORWARDING, routed_traffic(x, detour),
                     "sysctl -w %s=0", arg(x, key));
            }
            if (ip6 && (host->forwarding6 || link->forwarding6)) {
                bool has_ip = false;

                if (put_separator(&list, n++)) {
                    ds_put_format(&list, "%s = 1",
                                  host->forwarding6
                                  ? "net.ipv6.conf.all.forwarding"
                                  : clean(x, sysctl_key(x, 6, link->name,
                                                        "forwarding")));
                }
                for (size_t k = 0; k < host->n_ips; k++) {
                    has_ip |= (host->ips[k].ifindex == link->ifindex
                               && !is_ip4(&host->ips[k].ip));
                }

                /* Linux forwards IPv6 from all devices or from none; what
                 * there is for one device is to have no IPv6 at all. */
                if (has_ip) {
                    cure(x, STEP_IPV6,
                         own_traffic(x, detour, "by IPv6 there"),
                         "sysctl -w %s=1",
                         arg(x, sysctl_key(x, 6, link->name,
                                           "disable_ipv6")));
                }
            }
        }
        put_more(&list, n);
        if (n) {
            cause(x, "%s", ds_cstr(&list));
        }
        ds_destroy(&list);
    }
}

static void
put_end(struct ds *ds, const uint32_t words[4], ovs_be16 port)
{
    struct in6_addr ip;

    copy_ip(&ip, words);
    put_ip(ds, &ip);
    if (port) {
        ds_put_format(ds, is_ip4(&ip) ? ":%"PRIu16 : ".%"PRIu16,
                      ntohs(port));
    }
}

static void
find_nat(struct finder *x)
{
    const struct vmlat_bypass_result *result = x->c->result;
    const struct vmlat_bypass_kernel_flow *first = NULL;
    struct ds ds = DS_EMPTY_INITIALIZER;
    uint64_t packets = 0;

    for (size_t i = 0; i < result->n_flows; i++) {
        if (result->flows[i].key.translated) {
            first = first ? first : &result->flows[i];
            packets += result->flows[i].count.packets;
        }
    }
    if (first) {
        put_end(&ds, first->key.src, (OVS_FORCE ovs_be16) first->key.sport);
        ds_put_cstr(&ds, " > ");
        put_end(&ds, first->key.dst, (OVS_FORCE ovs_be16) first->key.dport);
        ds_put_cstr(&ds, " left as ");
        put_end(&ds, first->count.out_src,
                (OVS_FORCE ovs_be16) first->count.out_sport);
        ds_put_cstr(&ds, " > ");
        put_end(&ds, first->count.out_dst,
                (OVS_FORCE ovs_be16) first->count.out_dport);
        cause(x, "%"PRIu64" packets left with other addresses or ports than "
              "they came with, such as %s", packets, ds_cstr(&ds));
    } else if (x->f->kernel.why_not && x->f->host.nat == 1
               && count_detoured(x)) {
        cause(x, "the kernel has hooks for NAT; whether it translates these "
              "packets was not seen");
    } else {
        return;
    }
    ds_destroy(&ds);
    cure(x, STEP_GUEST, "nothing",
         "# peers have to reach the VM's own address once nothing translates "
         "it: check their routes and firewalls");
    cure(x, STEP_NAT, "nothing",
         "# rules for NAT of the VMs' networks are of no use then: see 'nft "
         "list ruleset' and 'iptables -t nat -S'");
}

/* Adds what keeps packets to the VM from coming in by 'out', a NIC of the
 * kernel's. */
static void
cure_peers(struct finder *x, const struct vmlat_bypass_outside *out)
{
    cure(x, STEP_PEER, "nothing on this host",
         "# on the VM's peers or their router: no route to the VM by way of "
         "this host's %s; what still came there would be sent back, by the "
         "default route", clean(x, out->name));
}

static void
find_nic_in_kernel(struct finder *x)
{
    for (size_t i = 0; i < x->c->n_outsides; i++) {
        const struct vmlat_bypass_outside *out = &x->c->outsides[i];
        const struct vmlat_bypass_link *link = out->link;
        const struct vmlat_bypass_port *owner = NULL, *any = NULL;
        const char *interrupts, *should;
        struct ds ds = DS_EMPTY_INITIALIZER;
        bool shared = true;

        if (out->internal || !link || !(link->flags & IFF_UP)) {
            continue;
        }
        for (size_t k = 0; k < x->c->n_uplinks; k++) {
            const struct vmlat_bypass_port *port = x->c->uplinks[k].port;

            if (is_same_nic(port, link, &shared)) {
                owner = port;
                break;
            }
            any = any ? any : port;
        }
        ds_put_cstr(&ds, clean(x, link->name));
        put_hardware(x, &ds, link);
        should = owner ? owner->name : any ? any->name : NULL;
        cause(x, "%s is up in the kernel: %"PRIu64" packets of this VM left "
              "by it, %"PRIu64" came in by it%s%s%s", ds_cstr(&ds),
              out->packets[VMLAT_BYPASS_FROM_VM],
              out->packets[VMLAT_BYPASS_TO_VM],
              owner ? ", though the datapath has it as "
              : any ? ", while the datapath has " : "",
              should ? clean(x, should) : "",
              should && !owner ? " for that" : "");
        if (out->packets[VMLAT_BYPASS_TO_VM]) {
            cure_peers(x, out);
        }
        ds_clear(&ds);
        put_uses(x, &ds, link);
        interrupts = keep(x, &ds);
        if (owner && !has_default_route(x->f, link->ifindex)) {
            if (shared) {
                /* The datapath's port needs the device to be up. */
                cure(x, STEP_NIC, interrupts,
                     "ip addr flush dev %s scope global",
                     arg(x, link->name));
            } else {
                cure(x, STEP_NIC, interrupts, "ip link set dev %s down",
                     arg(x, link->name));
                cure(x, STEP_DRIVER, interrupts,
                     "dpdk-devbind.py --bind=vfio-pci %s",
                     arg(x, link->bus));
            }
        } else if (should) {
            cure(x, STEP_NIC, interrupts,
                 "# if this host can do without %s: ip %s dev %s%s",
                 clean(x, link->name),
                 owner && shared ? "addr flush" : "link set",
                 arg(x, link->name),
                 owner && shared ? " scope global" : " down");
        }
    }
}

/* Appends the devices that packets routed by the kernel passed in
 * 'direction'. */
static void
put_outsides(struct finder *x, struct ds *ds,
             enum vmlat_bypass_direction direction)
{
    size_t n = 0;

    for (size_t i = 0; i < x->c->n_outsides; i++) {
        const struct vmlat_bypass_outside *out = &x->c->outsides[i];

        if (out->packets[direction]) {
            if (put_separator(ds, n++)) {
                ds_put_format(ds, "%s (kernel, %"PRIu64" packets)",
                              clean(x, out->name), out->packets[direction]);
            }
        }
    }
    put_more(ds, n);
}

static void
put_uplinks(struct finder *x, struct ds *ds,
            enum vmlat_bypass_direction direction)
{
    size_t n = 0;

    for (size_t i = 0; i < x->c->n_uplinks; i++) {
        const struct vmlat_bypass_uplink *uplink = &x->c->uplinks[i];

        if (uplink->vm[direction]) {
            if (put_separator(ds, n++)) {
                ds_put_format(ds, "%s (datapath, %"PRIu64" packets)",
                              clean(x, uplink->port->name),
                              uplink->vm[direction]);
            }
        }
    }
    put_more(ds, n);
}

/* Returns the device that most routed packets passed in 'direction'. */
static const struct vmlat_bypass_outside *
main_outside(const struct finder *x, enum vmlat_bypass_direction direction)
{
    const struct vmlat_bypass_outside *best = NULL;

    for (size_t i = 0; i < x->c->n_outsides; i++) {
        const struct vmlat_bypass_outside *out = &x->c->outsides[i];

        if (out->packets[direction] && !out->internal
            && (!best || out->packets[direction] > best->packets[direction])) {
            best = out;
        }
    }
    return best;
}

static void
find_return_by_other_nic(struct finder *x)
{
    const uint64_t *from = x->c->packets[VMLAT_BYPASS_FROM_VM];
    const uint64_t *to = x->c->packets[VMLAT_BYPASS_TO_VM];
    const struct vmlat_bypass_outside *out, *back;
    struct ds left = DS_EMPTY_INITIALIZER;
    struct ds came = DS_EMPTY_INITIALIZER;
    bool crossed;

    out = main_outside(x, VMLAT_BYPASS_FROM_VM);
    back = main_outside(x, VMLAT_BYPASS_TO_VM);
    if (from[VMLAT_BYPASS_WAY_NIC] > from[VMLAT_BYPASS_WAY_KERNEL]
        && to[VMLAT_BYPASS_WAY_KERNEL] > to[VMLAT_BYPASS_WAY_NIC]) {
        put_uplinks(x, &left, VMLAT_BYPASS_FROM_VM);
        put_outsides(x, &came, VMLAT_BYPASS_TO_VM);
        crossed = true;
    } else if (from[VMLAT_BYPASS_WAY_KERNEL] > from[VMLAT_BYPASS_WAY_NIC]
               && to[VMLAT_BYPASS_WAY_NIC] > to[VMLAT_BYPASS_WAY_KERNEL]) {
        put_outsides(x, &left, VMLAT_BYPASS_FROM_VM);
        put_uplinks(x, &came, VMLAT_BYPASS_TO_VM);
        crossed = true;
    } else {
        put_outsides(x, &left, VMLAT_BYPASS_FROM_VM);
        put_outsides(x, &came, VMLAT_BYPASS_TO_VM);
        crossed = out && back && out != back;
    }
    if (crossed) {
        cause(x, "left by %s; came back by %s", ds_cstr(&left),
              ds_cstr(&came));
        if (back) {
            cure_peers(x, back);
        }
    }
    ds_destroy(&left);
    ds_destroy(&came);
}

/* From this share of idle cycles on, PMD threads are said to be idle. */
#define IDLE_PMD 0.5

static void
find_pmd_idle(struct finder *x)
{
    uint64_t detoured = count_detoured(x);

    if (x->f->ovs.pmd_known && x->f->ovs.pmd_idle >= IDLE_PMD && detoured) {
        cause(x, "PMD threads found nothing to do in %.1f %% of their cycles, "
              "while %"PRIu64" packets of this VM went into the kernel or "
              "came from it", x->f->ovs.pmd_idle * 100, detoured);
    }
}

/* Running them. */

static void
finder_init(struct finder *x, const struct vmlat_bypass_case *c,
            struct vmlat_bypass_result *result)
{
    memset(x, 0, sizeof *x);
    x->c = c;
    x->f = c->facts;
    x->result = result;
    svec_init(&x->strings);
}

bool
vmlat_bypass_rules_suspect(const struct vmlat_bypass_case *c)
{
    struct finder x;

    finder_init(&x, c, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(rules) && !x.n_found; i++) {
        if (rules[i].alone) {
            x.rule = &rules[i];
            rules[i].find(&x);
        }
    }
    svec_destroy(&x.strings);
    return x.n_found > 0;
}

void
vmlat_bypass_rules_run(const struct vmlat_bypass_case *c,
                       struct vmlat_bypass_result *result)
{
    struct finder x;

    finder_init(&x, c, result);
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        x.rule = &rules[i];
        x.refused = false;
        rules[i].find(&x);
    }
    result->cures = xcalloc(x.n_cures, sizeof *result->cures);
    for (int step = 0; step <= STEP_LAST; step++) {
        for (size_t i = 0; i < x.n_cures; i++) {
            if (x.cures[i].step == step) {
                result->cures[result->n_cures++] = x.cures[i].cure;
            }
        }
    }
    free(x.cures);
    svec_destroy(&x.strings);
}
