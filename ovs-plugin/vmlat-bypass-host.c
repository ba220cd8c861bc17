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

/* Devices, addresses, neighbors. */

#include <config.h>
#include "vmlat-bypass-host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "openvswitch/ofpbuf.h"
#include "packets.h"
#include "util.h"
#include "vmlat-bypass-netlink.h"

#define FORWARDING4 "/proc/sys/net/ipv4/conf/all/forwarding"
#define FORWARDING6 "/proc/sys/net/ipv6/conf/all/forwarding"

/* Kinds of devices whose packets go on to a device below. */
static const char *const stacked_kinds[] = {
    "bond", "bridge", "dsa", "hsr", "ipvlan", "ipvtap", "macsec", "macvlan",
    "macvtap", "rmnet", "team", "vlan", "vrf",
};

/* One table that is being dumped. */
struct table {
    struct vmlat_bypass_host *host;
    size_t allocated;           /* Entries. */
    uint64_t left_out_before;   /* Entries of tables dumped before. */
};

void
vmlat_bypass_host_failed(struct vmlat_bypass_host *host, const char *what,
                         int error)
{
    char *before = host->why_not;

    host->why_not = xasprintf("%s%s%s: %s", before ? before : "",
                              before ? ", " : "", what, ovs_strerror(error));
    free(before);
}

static bool
has_room(struct table *table, size_t n, size_t max)
{
    if (n >= max) {
        table->host->left_out++;
        return false;
    }
    return true;
}

/* Devices. */

/* Returns element 'i' of an array of 32-bit integers in an attribute, 0 if it
 * has none. */
static uint32_t
get_element(const struct nlattr *array, size_t i)
{
    uint32_t value = 0;

    if (array && nl_attr_get_size(array) >= (i + 1) * sizeof value) {
        memcpy(&value, (const char *) nl_attr_get(array) + i * sizeof value,
               sizeof value);
    }
    return value;
}

/* The kernel tells net.ipv4.conf.NAME.* and net.ipv6.conf.NAME.* along with
 * the device.  So there are no files to read, of which devices with dots in
 * their names have confusing ones. */
static void
parse_settings(const struct nlattr *af_spec, struct vmlat_bypass_link *link)
{
    const struct nlattr *af[AF_INET6 + 1];
    const struct nlattr *inet[IFLA_INET_MAX + 1];
    const struct nlattr *inet6[IFLA_INET6_MAX + 1];

    vmlat_netlink_parse_nested(af_spec, af, ARRAY_SIZE(af));
    vmlat_netlink_parse_nested(af[AF_INET], inet, ARRAY_SIZE(inet));
    vmlat_netlink_parse_nested(af[AF_INET6], inet6, ARRAY_SIZE(inet6));

    /* IPV4_DEVCONF_* begin with 1. */
    link->forwarding4 = get_element(inet[IFLA_INET_CONF],
                                    IPV4_DEVCONF_FORWARDING - 1);
    link->forwarding6 = get_element(inet6[IFLA_INET6_CONF],
                                    DEVCONF_FORWARDING);
}

static void
parse_stats(const struct nlattr *stats, struct vmlat_bypass_link *link)
{
    struct rtnl_link_stats64 s;

    if (stats) {
        /* Kernels differ in how much they tell. */
        memset(&s, 0, sizeof s);
        memcpy(&s, nl_attr_get(stats), MIN(nl_attr_get_size(stats), sizeof s));
        link->rx_packets = s.rx_packets;
        link->tx_packets = s.tx_packets;
        link->rx_bytes = s.rx_bytes;
        link->tx_bytes = s.tx_bytes;
    }
}

static bool
is_stacked(const char *kind)
{
    for (size_t i = 0; i < ARRAY_SIZE(stacked_kinds); i++) {
        if (!strcmp(kind, stacked_kinds[i])) {
            return true;
        }
    }
    return false;
}

static void
handle_link(const struct nlmsghdr *message, void *table_)
{
    const struct nlattr *attrs[IFLA_MAX + 1];
    const struct nlattr *info[IFLA_INFO_MAX + 1];
    struct table *table = table_;
    struct vmlat_bypass_host *host = table->host;
    struct vmlat_bypass_link *link;
    const struct ifinfomsg *ifi;

    ifi = vmlat_netlink_parse(message, sizeof *ifi, attrs, ARRAY_SIZE(attrs));
    if (!ifi || message->nlmsg_type != RTM_NEWLINK || !attrs[IFLA_IFNAME]
        || !has_room(table, host->n_links, VMLAT_BYPASS_MAX_LINKS)) {
        return;
    }
    if (host->n_links >= table->allocated) {
        host->links = x2nrealloc(host->links, &table->allocated,
                                 sizeof *host->links);
    }
    link = &host->links[host->n_links++];
    memset(link, 0, sizeof *link);
    link->ifindex = ifi->ifi_index;
    link->flags = ifi->ifi_flags;
    link->carrier = vmlat_netlink_u8(attrs[IFLA_CARRIER]);
    vmlat_netlink_string(attrs[IFLA_IFNAME], link->name, sizeof link->name);
    if (attrs[IFLA_ADDRESS]
        && nl_attr_get_size(attrs[IFLA_ADDRESS]) == ETH_ADDR_LEN) {
        link->mac = nl_attr_get_eth_addr(attrs[IFLA_ADDRESS]);
    }
    vmlat_netlink_parse_nested(attrs[IFLA_LINKINFO], info, ARRAY_SIZE(info));
    vmlat_netlink_string(info[IFLA_INFO_KIND], link->kind, sizeof link->kind);
    link->stacked = is_stacked(link->kind);
    link->physical = attrs[IFLA_PARENT_DEV_NAME] != NULL;
    link->master = vmlat_netlink_u32(attrs[IFLA_MASTER]);

    /* The number of a device in another namespace is some other device's
     * here.  The other end of a veth pair is not below this one. */
    if (!attrs[IFLA_LINK_NETNSID] && strcmp(link->kind, "veth")) {
        link->lower = vmlat_netlink_u32(attrs[IFLA_LINK]);
    }
    parse_settings(attrs[IFLA_AF_SPEC], link);
    parse_stats(attrs[IFLA_STATS64], link);
}

static void
restart_links(void *table_)
{
    struct table *table = table_;

    table->host->n_links = 0;
    table->host->left_out = table->left_out_before;
}

/* Addresses. */

static void
handle_ip(const struct nlmsghdr *message, void *table_)
{
    const struct nlattr *attrs[IFA_MAX + 1];
    struct table *table = table_;
    struct vmlat_bypass_host *host = table->host;
    const struct ifaddrmsg *ifa;
    struct in6_addr ip;

    ifa = vmlat_netlink_parse(message, sizeof *ifa, attrs, ARRAY_SIZE(attrs));
    if (!ifa || message->nlmsg_type != RTM_NEWADDR) {
        return;
    }

    /* With a peer, IFA_ADDRESS is the peer's. */
    if (!vmlat_netlink_ip(ifa->ifa_family, attrs[IFA_LOCAL], &ip)
        && !vmlat_netlink_ip(ifa->ifa_family, attrs[IFA_ADDRESS], &ip)) {
        return;
    }
    if (!has_room(table, host->n_ips, VMLAT_BYPASS_MAX_IPS)) {
        return;
    }
    if (host->n_ips >= table->allocated) {
        host->ips = x2nrealloc(host->ips, &table->allocated,
                               sizeof *host->ips);
    }
    host->ips[host->n_ips++] = (struct vmlat_bypass_ip) {
        .ifindex = ifa->ifa_index,
        .ip = ip,
        .plen = ifa->ifa_prefixlen,
    };
}

static void
restart_ips(void *table_)
{
    struct table *table = table_;

    table->host->n_ips = 0;
    table->host->left_out = table->left_out_before;
}

/* Neighbors. */

static void
handle_neighbor(const struct nlmsghdr *message, void *table_)
{
    const struct nlattr *attrs[NDA_MAX + 1];
    struct table *table = table_;
    struct vmlat_bypass_host *host = table->host;
    struct vmlat_bypass_neighbor *neighbor;
    const struct ndmsg *ndm;
    struct in6_addr ip;

    /* Entries without ARP are multicast groups and the like. */
    ndm = vmlat_netlink_parse(message, sizeof *ndm, attrs, ARRAY_SIZE(attrs));
    if (!ndm || message->nlmsg_type != RTM_NEWNEIGH
        || (ndm->ndm_state & NUD_NOARP) || (ndm->ndm_flags & NTF_PROXY)
        || !vmlat_netlink_ip(ndm->ndm_family, attrs[NDA_DST], &ip)
        || !has_room(table, host->n_neighbors, VMLAT_BYPASS_MAX_NEIGHBORS)) {
        return;
    }
    if (host->n_neighbors >= table->allocated) {
        host->neighbors = x2nrealloc(host->neighbors, &table->allocated,
                                     sizeof *host->neighbors);
    }
    neighbor = &host->neighbors[host->n_neighbors++];
    memset(neighbor, 0, sizeof *neighbor);
    neighbor->ifindex = ndm->ndm_ifindex;
    neighbor->ip = ip;
    if (attrs[NDA_LLADDR]
        && nl_attr_get_size(attrs[NDA_LLADDR]) == ETH_ADDR_LEN) {
        neighbor->mac = nl_attr_get_eth_addr(attrs[NDA_LLADDR]);
        neighbor->valid = (ndm->ndm_state
                           & (NUD_REACHABLE | NUD_STALE | NUD_DELAY
                              | NUD_PROBE | NUD_PERMANENT)) != 0;
    }
}

static void
restart_neighbors(void *table_)
{
    struct table *table = table_;

    table->host->n_neighbors = 0;
    table->host->left_out = table->left_out_before;
}

/* All of it. */

/* Dumps what 'type' gets into 'host', by 'handle'.  The header of the request
 * has 'size' bytes, all 0. */
static void
read_table(struct vmlat_bypass_host *host, const char *what, uint16_t type,
           size_t size, void (*restart)(void *), vmlat_netlink_func *handle)
{
    struct table table = { .host = host, .left_out_before = host->left_out };
    struct ofpbuf request;
    int error;

    ofpbuf_init(&request, 0);
    nl_msg_put_nlmsghdr(&request, size, type, 0);
    ofpbuf_put_zeros(&request, size);
    error = vmlat_netlink_dump(NETLINK_ROUTE, &request, restart, handle,
                               &table, &host->overrun);
    ofpbuf_uninit(&request);
    if (error) {
        vmlat_bypass_host_failed(host, what, error);
    }
}

/* Returns whether a file in /proc/sys begins with something other than 0. */
static bool
is_set(struct vmlat_bypass_host *host, const char *file)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    char c = '0';

    /* A kernel without IPv6 forwards none. */
    if (fd < 0 ? errno != ENOENT : read(fd, &c, 1) != 1) {
        vmlat_bypass_host_failed(host, file, errno);
    }
    if (fd >= 0) {
        close(fd);
    }
    return c != '0';
}

void
vmlat_bypass_host_read(struct vmlat_bypass_host *host)
{
    memset(host, 0, sizeof *host);
    read_table(host, "devices", RTM_GETLINK, sizeof(struct ifinfomsg),
               restart_links, handle_link);
    vmlat_bypass_host_read_drivers(host);
    read_table(host, "addresses", RTM_GETADDR, sizeof(struct ifaddrmsg),
               restart_ips, handle_ip);
    read_table(host, "neighbors", RTM_GETNEIGH, sizeof(struct ndmsg),
               restart_neighbors, handle_neighbor);
    vmlat_bypass_host_read_routes(host);
    vmlat_bypass_host_read_policies(host);
    host->forwarding4 = is_set(host, FORWARDING4);
    host->forwarding6 = is_set(host, FORWARDING6);
    vmlat_bypass_host_read_nat(host);
}
