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

/* Prints what vmlat_bypass_host_read() finds in this network namespace, in the
 * order of the kernel, devices by name:
 *
 *     test-bypass-host TABLE...
 *
 * or where the kernel would send a packet that came in by a device:
 *
 *     test-bypass-host route SRC DST DEVICE */

#include <config.h>
#undef NDEBUG
#include "ovs-plugin/vmlat-bypass-host.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "openvswitch/dynamic-string.h"
#include "packets.h"
#include "util.h"

static const char *
device(const struct vmlat_bypass_host *host, uint32_t ifindex)
{
    const struct vmlat_bypass_link *link;

    link = vmlat_bypass_link_find(host, ifindex);
    return link ? link->name : ifindex ? "?" : "-";
}

/* Prints "WHAT IP", then "/PLEN" if 'plen' is not negative. */
static void
print_ip(const char *what, const struct in6_addr *ip, int plen)
{
    struct ds ds = DS_EMPTY_INITIALIZER;

    ipv6_format_mapped(ip, &ds);
    printf("%s %s", what, ds_cstr(&ds));
    if (plen >= 0) {
        printf("%c%d", '/', plen);
    }
    ds_destroy(&ds);
}

static void
print_links(const struct vmlat_bypass_host *host)
{
    for (size_t i = 0; i < host->n_links; i++) {
        const struct vmlat_bypass_link *link = &host->links[i];

        printf("link %s kind=%s lower=%s master=%s driver=%s%s%s%s%s\n",
               link->name, link->kind[0] ? link->kind : "-",
               device(host, link->lower), device(host, link->master),
               link->driver[0] ? link->driver : "-",
               link->stacked ? " stacked" : "",
               link->physical ? " physical" : "",
               link->forwarding4 ? " forwarding4" : "",
               link->forwarding6 ? " forwarding6" : "");
    }
}

static void
print_ips(const struct vmlat_bypass_host *host)
{
    for (size_t i = 0; i < host->n_ips; i++) {
        const struct vmlat_bypass_ip *ip = &host->ips[i];

        if (!IN6_IS_ADDR_LINKLOCAL(&ip->ip)) {
            print_ip("ip", &ip->ip, ip->plen);
            printf(" %s\n", device(host, ip->ifindex));
        }
    }
}

static void
print_routes(const struct vmlat_bypass_host *host)
{
    for (size_t i = 0; i < host->n_routes; i++) {
        const struct vmlat_bypass_route *route = &host->routes[i];

        print_ip(route->ip6 ? "route6" : "route4", &route->dst, route->plen);
        print_ip(" via", &route->gateway, -1);
        printf(" %s table %"PRIu32" metric %"PRIu32"\n",
               device(host, route->ifindex), route->table, route->metric);
    }
}

static void
print_policies(const struct vmlat_bypass_host *host)
{
    for (size_t i = 0; i < host->n_policies; i++) {
        const struct vmlat_bypass_policy *policy = &host->policies[i];

        printf("%s %"PRIu32" table %"PRIu32" \"%s\"\n",
               policy->ip6 ? "rule6" : "rule4", policy->priority,
               policy->table, policy->text);
    }
}

static void
print_neighbors(const struct vmlat_bypass_host *host)
{
    for (size_t i = 0; i < host->n_neighbors; i++) {
        const struct vmlat_bypass_neighbor *neighbor = &host->neighbors[i];

        print_ip("neighbor", &neighbor->ip, -1);
        printf(" "ETH_ADDR_FMT" %s%s\n", ETH_ADDR_ARGS(neighbor->mac),
               device(host, neighbor->ifindex),
               neighbor->valid ? " valid" : "");
    }
}

static void
print_rest(const struct vmlat_bypass_host *host)
{
    printf("forwarding4 %d forwarding6 %d nat %d overrun %d left out %"PRIu64
           "\n%s\n",
           host->forwarding4, host->forwarding6, host->nat, host->overrun,
           host->left_out, host->why_not ? host->why_not : "complete");
}

static void
print_numbers(const struct vmlat_bypass_host *host)
{
    printf("%"PRIuSIZE" addresses, %"PRIuSIZE" routes\n",
           host->n_ips, host->n_routes);
}

static const struct {
    const char *name;
    void (*print)(const struct vmlat_bypass_host *);
} tables[] = {
    { "links", print_links },
    { "ips", print_ips },
    { "routes", print_routes },
    { "policies", print_policies },
    { "neighbors", print_neighbors },
    { "rest", print_rest },
    { "numbers", print_numbers },
};

static struct in6_addr
parse_ip(const char *s)
{
    struct in6_addr ip;
    ovs_be32 ip4;

    if (inet_pton(AF_INET, s, &ip4) == 1) {
        in6_addr_set_mapped_ipv4(&ip, ip4);
    } else if (inet_pton(AF_INET6, s, &ip) != 1) {
        ovs_fatal(0, "%s: not an IP address", s);
    }
    return ip;
}

static void
print_way(const struct vmlat_bypass_host *host, char *argv[])
{
    struct in6_addr src = parse_ip(argv[0]);
    struct in6_addr dst = parse_ip(argv[1]);
    const struct vmlat_bypass_link *link;
    struct in6_addr gateway;
    uint32_t ifindex;
    int error;

    link = vmlat_bypass_link_find_name(host, argv[2]);
    if (!link) {
        ovs_fatal(0, "%s: no such device", argv[2]);
    }
    error = vmlat_bypass_host_route(&src, &dst, link->ifindex, &ifindex,
                                    &gateway);
    if (error) {
        printf("%s\n", ovs_strerror(error));
    } else {
        print_ip("via", &gateway, -1);
        printf(" %s\n", device(host, ifindex));
    }
}

int
main(int argc, char *argv[])
{
    struct vmlat_bypass_host host;

    set_program_name(argv[0]);
    vmlat_bypass_host_read(&host);
    if (argc == 5 && !strcmp(argv[1], "route")) {
        print_way(&host, &argv[2]);
    } else {
        for (int i = 1; i < argc; i++) {
            for (size_t j = 0; j < ARRAY_SIZE(tables); j++) {
                if (!strcmp(argv[i], tables[j].name)) {
                    tables[j].print(&host);
                }
            }
        }
    }
    vmlat_bypass_host_destroy(&host);
    return 0;
}
