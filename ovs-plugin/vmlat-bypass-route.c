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

/* Routes, and the rules that choose among tables of them. */

#include <config.h>
#include "vmlat-bypass-host.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "netlink-socket.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/hmap.h"
#include "openvswitch/ofpbuf.h"
#include "packets.h"
#include "util.h"
#include "vmlat-bypass-netlink.h"

/* One way that packets of a route go. */
struct hop {
    uint32_t ifindex;
    struct in6_addr gateway;
};

/* A nexthop object ("ip nexthop"), or a group of such. */
struct nexthop {
    struct hmap_node node;      /* In reading.nexthops. */
    uint32_t id;
    struct hop hop;             /* ifindex 0 if none. */
    struct nexthop_grp *group;  /* NULL if it is none. */
    size_t n_group;
};

/* A route that names a nexthop object instead of devices. */
struct pending {
    struct vmlat_bypass_route route;
    uint32_t nexthop;
};

struct reading {
    struct vmlat_bypass_host *host;
    int family;
    size_t allocated;           /* Of host->routes or ->policies. */
    size_t n_before;            /* Entries of the families before. */
    uint64_t left_out_before;

    struct pending *pending;
    size_t n_pending, allocated_pending;
    struct hmap nexthops;       /* Contains "struct nexthop"s. */
};

static void
add_route(struct reading *r, const struct vmlat_bypass_route *route,
          const struct hop *hop)
{
    struct vmlat_bypass_host *host = r->host;

    if (host->n_routes >= VMLAT_BYPASS_MAX_ROUTES) {
        host->left_out++;
        return;
    }
    if (host->n_routes >= r->allocated) {
        host->routes = x2nrealloc(host->routes, &r->allocated,
                                  sizeof *host->routes);
    }
    host->routes[host->n_routes] = *route;
    host->routes[host->n_routes].ifindex = hop->ifindex;
    host->routes[host->n_routes].gateway = hop->gateway;
    host->n_routes++;
}

/* Stores the gateway that 'attrs' (of type RTA_*) tell to '*ip': of the
 * route's own family, or of the other. */
static void
parse_gateway(int family, const struct nlattr *const attrs[],
              struct in6_addr *ip)
{
    const struct nlattr *via = attrs[RTA_VIA];

    if (!vmlat_netlink_ip(family, attrs[RTA_GATEWAY], ip) && via
        && nl_attr_get_size(via) >= sizeof(struct rtvia) + sizeof(ovs_be32)) {
        const struct rtvia *v = nl_attr_get(via);
        ovs_be32 ip4;

        if (v->rtvia_family == AF_INET) {
            memcpy(&ip4, v->rtvia_addr, sizeof ip4);
            in6_addr_set_mapped_ipv4(ip, ip4);
        } else if (v->rtvia_family == AF_INET6
                   && nl_attr_get_size(via) >= sizeof *v + sizeof *ip) {
            memcpy(ip, v->rtvia_addr, sizeof *ip);
        }
    }
}

static void
add_multipath(struct reading *r, const struct vmlat_bypass_route *route,
              const struct nlattr *multipath)
{
    const struct rtnexthop *nh = nl_attr_get(multipath);
    size_t left = nl_attr_get_size(multipath);

    while (left >= sizeof *nh && nh->rtnh_len >= sizeof *nh
           && nh->rtnh_len <= left) {
        const struct nlattr *attrs[RTA_MAX + 1];
        struct hop hop = { .ifindex = nh->rtnh_ifindex };
        size_t len = MIN(RTNH_ALIGN(nh->rtnh_len), left);

        if (!(nh->rtnh_flags & RTNH_F_DEAD)) {
            vmlat_netlink_parse_attrs(nh + 1, nh->rtnh_len - sizeof *nh, attrs,
                                      ARRAY_SIZE(attrs));
            parse_gateway(r->family, attrs, &hop.gateway);
            add_route(r, route, &hop);
        }
        nh = ALIGNED_CAST(const struct rtnexthop *, (const char *) nh + len);
        left -= len;
    }
}

/* Only routes by which packets leave matter: neither this host's own
 * addresses, nor those that drop, nor multicast, nor cached exceptions, nor
 * link-local destinations, which nobody routes. */
static bool
is_relevant(const struct rtmsg *rtm, const struct in6_addr *dst)
{
    return (rtm->rtm_type == RTN_UNICAST
            && !(rtm->rtm_flags & (RTM_F_CLONED | RTNH_F_DEAD))
            && !IN6_IS_ADDR_MULTICAST(dst)
            && !(rtm->rtm_dst_len >= 10 && IN6_IS_ADDR_LINKLOCAL(dst)));
}

static void
handle_route(const struct nlmsghdr *message, void *r_)
{
    const struct nlattr *attrs[RTA_MAX + 1];
    struct vmlat_bypass_route route;
    struct reading *r = r_;
    const struct rtmsg *rtm;
    struct hop hop;

    rtm = vmlat_netlink_parse(message, sizeof *rtm, attrs, ARRAY_SIZE(attrs));
    if (!rtm || message->nlmsg_type != RTM_NEWROUTE
        || rtm->rtm_family != r->family) {
        return;
    }
    memset(&route, 0, sizeof route);
    route.ip6 = rtm->rtm_family == AF_INET6;
    route.table = (attrs[RTA_TABLE] ? vmlat_netlink_u32(attrs[RTA_TABLE])
                   : rtm->rtm_table);
    route.plen = rtm->rtm_dst_len;
    route.metric = vmlat_netlink_u32(attrs[RTA_PRIORITY]);
    if (!vmlat_netlink_ip(rtm->rtm_family, attrs[RTA_DST], &route.dst)
        && !route.ip6) {
        in6_addr_set_mapped_ipv4(&route.dst, 0);
    }
    if (!is_relevant(rtm, &route.dst)) {
        return;
    }

    hop.ifindex = vmlat_netlink_u32(attrs[RTA_OIF]);
    parse_gateway(rtm->rtm_family, attrs, &hop.gateway);
    if (attrs[RTA_MULTIPATH]) {
        add_multipath(r, &route, attrs[RTA_MULTIPATH]);
    } else if (hop.ifindex) {
        add_route(r, &route, &hop);
    } else if (attrs[RTA_NH_ID]) {
        /* net.ipv4.nexthop_compat_mode is off. */
        if (r->n_pending >= VMLAT_BYPASS_MAX_ROUTES) {
            r->host->left_out++;
            return;
        }
        if (r->n_pending >= r->allocated_pending) {
            r->pending = x2nrealloc(r->pending, &r->allocated_pending,
                                    sizeof *r->pending);
        }
        r->pending[r->n_pending].route = route;
        r->pending[r->n_pending].nexthop = vmlat_netlink_u32(attrs[RTA_NH_ID]);
        r->n_pending++;
    }
}

static void
restart_routes(void *r_)
{
    struct reading *r = r_;

    r->host->n_routes = r->n_before;
    r->host->left_out = r->left_out_before;
    r->n_pending = 0;
}

/* Nexthop objects. */

static struct nexthop *
find_nexthop(const struct reading *r, uint32_t id)
{
    struct nexthop *nh;

    HMAP_FOR_EACH_WITH_HASH (nh, node, hash_int(id, 0), &r->nexthops) {
        if (nh->id == id) {
            return nh;
        }
    }
    return NULL;
}

static void
clear_nexthops(void *r_)
{
    struct reading *r = r_;
    struct nexthop *nh;

    HMAP_FOR_EACH_POP (nh, node, &r->nexthops) {
        free(nh->group);
        free(nh);
    }
}

static void
handle_nexthop(const struct nlmsghdr *message, void *r_)
{
    const struct nlattr *attrs[NHA_MAX + 1];
    const struct nhmsg *nhm;
    struct reading *r = r_;
    struct nexthop *nh;

    nhm = vmlat_netlink_parse(message, sizeof *nhm, attrs, ARRAY_SIZE(attrs));
    if (!nhm || message->nlmsg_type != RTM_NEWNEXTHOP || !attrs[NHA_ID]
        || attrs[NHA_BLACKHOLE] || (nhm->nh_flags & RTNH_F_DEAD)
        || hmap_count(&r->nexthops) >= VMLAT_BYPASS_MAX_ROUTES
        || find_nexthop(r, vmlat_netlink_u32(attrs[NHA_ID]))) {
        return;
    }
    nh = xzalloc(sizeof *nh);
    nh->id = vmlat_netlink_u32(attrs[NHA_ID]);
    nh->hop.ifindex = vmlat_netlink_u32(attrs[NHA_OIF]);
    vmlat_netlink_ip(nhm->nh_family, attrs[NHA_GATEWAY], &nh->hop.gateway);
    if (attrs[NHA_GROUP]) {
        size_t size = nl_attr_get_size(attrs[NHA_GROUP]);

        nh->group = xmemdup(nl_attr_get(attrs[NHA_GROUP]), MAX(size, 1));
        nh->n_group = size / sizeof *nh->group;
    }
    hmap_insert(&r->nexthops, &nh->node, hash_int(nh->id, 0));
}

/* Adds the routes that name nexthop objects. */
static void
resolve_pending(struct reading *r)
{
    struct vmlat_bypass_host *host = r->host;
    struct ofpbuf request;
    int error;

    if (!r->n_pending) {
        return;
    }
    ofpbuf_init(&request, 0);
    nl_msg_put_nlmsghdr(&request, sizeof(struct nhmsg), RTM_GETNEXTHOP, 0);
    ofpbuf_put_zeros(&request, sizeof(struct nhmsg));
    error = vmlat_netlink_dump(NETLINK_ROUTE, &request, clear_nexthops,
                               handle_nexthop, r, &host->overrun);
    ofpbuf_uninit(&request);
    if (error) {
        vmlat_bypass_host_failed(host, "nexthops", error);
    }

    for (size_t i = 0; i < r->n_pending; i++) {
        const struct vmlat_bypass_route *route = &r->pending[i].route;
        const struct nexthop *nh = find_nexthop(r, r->pending[i].nexthop);

        if (nh && nh->hop.ifindex) {
            add_route(r, route, &nh->hop);
        }
        for (size_t j = 0; nh && j < nh->n_group; j++) {
            /* A group contains no groups. */
            const struct nexthop *member = find_nexthop(r, nh->group[j].id);

            if (member && member->hop.ifindex) {
                add_route(r, route, &member->hop);
            }
        }
    }
}

void
vmlat_bypass_host_read_routes(struct vmlat_bypass_host *host)
{
    static const int families[] = { AF_INET, AF_INET6 };
    struct reading r = { .host = host };

    hmap_init(&r.nexthops);
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        struct ofpbuf request;
        struct rtmsg *rtm;
        int error;

        r.family = families[i];
        r.n_before = host->n_routes;
        r.left_out_before = host->left_out;
        r.n_pending = 0;
        ofpbuf_init(&request, 0);
        nl_msg_put_nlmsghdr(&request, sizeof *rtm, RTM_GETROUTE, 0);
        rtm = ofpbuf_put_zeros(&request, sizeof *rtm);
        rtm->rtm_family = r.family;
        error = vmlat_netlink_dump(NETLINK_ROUTE, &request, restart_routes,
                                   handle_route, &r, &host->overrun);
        ofpbuf_uninit(&request);
        if (error) {
            vmlat_bypass_host_failed(host, (r.family == AF_INET
                                            ? "IPv4 routes" : "IPv6 routes"),
                                     error);
        }
        resolve_pending(&r);
        clear_nexthops(&r);
    }
    hmap_destroy(&r.nexthops);
    free(r.pending);
}

/* Rules. */

static void
put_prefix(struct ds *ds, const char *what, int family,
           const struct nlattr *attr, unsigned int plen)
{
    struct in6_addr ip;

    if (vmlat_netlink_ip(family, attr, &ip)) {
        ds_put_format(ds, "%s ", what);
        ipv6_format_mapped(&ip, ds);
        if (plen != (family == AF_INET ? 32 : 128)) {
            ds_put_format(ds, "/%u", plen);
        }
    } else {
        ds_put_format(ds, "%s all", what);
    }
}

static void
put_name(struct ds *ds, const char *what, const struct nlattr *attr)
{
    char name[IFNAMSIZ];

    if (attr) {
        vmlat_netlink_string(attr, name, sizeof name);
        ds_put_format(ds, " %s %s", what, name);
    }
}

static void
put_ports(struct ds *ds, const char *what, const struct nlattr *attr)
{
    const struct fib_rule_port_range *ports;

    if (attr && nl_attr_get_size(attr) >= sizeof *ports) {
        ports = nl_attr_get(attr);
        ds_put_format(ds, " %s %u", what, ports->start);
        if (ports->end != ports->start) {
            ds_put_format(ds, "-%u", ports->end);
        }
    }
}

static void
put_action(struct ds *ds, int action, uint32_t table,
           const struct nlattr *const attrs[])
{
    switch (action) {
    case FR_ACT_TO_TBL:
        if (attrs[FRA_L3MDEV]) {
            ds_put_cstr(ds, " lookup [l3mdev-table]");
        } else if (table == RT_TABLE_LOCAL) {
            ds_put_cstr(ds, " lookup local");
        } else if (table == RT_TABLE_MAIN) {
            ds_put_cstr(ds, " lookup main");
        } else if (table == RT_TABLE_DEFAULT) {
            ds_put_cstr(ds, " lookup default");
        } else {
            ds_put_format(ds, " lookup %"PRIu32, table);
        }
        break;
    case FR_ACT_GOTO:
        ds_put_format(ds, " goto %"PRIu32, vmlat_netlink_u32(attrs[FRA_GOTO]));
        break;
    case FR_ACT_NOP:
        ds_put_cstr(ds, " nop");
        break;
    case FR_ACT_BLACKHOLE:
        ds_put_cstr(ds, " blackhole");
        break;
    case FR_ACT_UNREACHABLE:
        ds_put_cstr(ds, " unreachable");
        break;
    case FR_ACT_PROHIBIT:
        ds_put_cstr(ds, " prohibit");
        break;
    default:
        ds_put_format(ds, " action %d", action);
        break;
    }
}

/* Appends what "ip rule" shows. */
static void
format_policy(struct ds *ds, const struct fib_rule_hdr *rule,
              const struct vmlat_bypass_policy *policy,
              const struct nlattr *const attrs[])
{
    ds_put_format(ds, "%"PRIu32": ", policy->priority);
    if (rule->flags & FIB_RULE_INVERT) {
        ds_put_cstr(ds, "not ");
    }
    put_prefix(ds, "from", rule->family, attrs[FRA_SRC], rule->src_len);
    if (attrs[FRA_DST]) {
        ds_put_char(ds, ' ');
        put_prefix(ds, "to", rule->family, attrs[FRA_DST], rule->dst_len);
    }
    if (rule->tos) {
        ds_put_format(ds, " tos %#x", rule->tos);
    }
    if (attrs[FRA_FWMARK] || attrs[FRA_FWMASK]) {
        uint32_t mask = vmlat_netlink_u32(attrs[FRA_FWMASK]);

        ds_put_format(ds, " fwmark %#"PRIx32,
                      vmlat_netlink_u32(attrs[FRA_FWMARK]));
        if (attrs[FRA_FWMASK] && mask != UINT32_MAX) {
            ds_put_format(ds, "/%#"PRIx32, mask);
        }
    }
    put_name(ds, "iif", attrs[FRA_IIFNAME]);
    put_name(ds, "oif", attrs[FRA_OIFNAME]);
    if (attrs[FRA_IP_PROTO]) {
        uint8_t proto = vmlat_netlink_u8(attrs[FRA_IP_PROTO]);

        ds_put_cstr(ds, " ipproto ");
        if (proto == IPPROTO_TCP) {
            ds_put_cstr(ds, "tcp");
        } else if (proto == IPPROTO_UDP) {
            ds_put_cstr(ds, "udp");
        } else {
            ds_put_format(ds, "%"PRIu8, proto);
        }
    }
    put_ports(ds, "sport", attrs[FRA_SPORT_RANGE]);
    put_ports(ds, "dport", attrs[FRA_DPORT_RANGE]);
    put_action(ds, rule->action, policy->table, attrs);
}

static void
handle_policy(const struct nlmsghdr *message, void *r_)
{
    const struct nlattr *attrs[FRA_MAX + 1];
    struct vmlat_bypass_policy *policy;
    const struct fib_rule_hdr *rule;
    struct reading *r = r_;
    struct vmlat_bypass_host *host = r->host;
    struct ds ds = DS_EMPTY_INITIALIZER;

    rule = vmlat_netlink_parse(message, sizeof *rule, attrs,
                               ARRAY_SIZE(attrs));
    if (!rule || message->nlmsg_type != RTM_NEWRULE
        || rule->family != r->family) {
        return;
    }
    if (host->n_policies >= VMLAT_BYPASS_MAX_POLICIES) {
        host->left_out++;
        return;
    }
    if (host->n_policies >= r->allocated) {
        host->policies = x2nrealloc(host->policies, &r->allocated,
                                    sizeof *host->policies);
    }
    policy = &host->policies[host->n_policies++];
    memset(policy, 0, sizeof *policy);
    policy->ip6 = rule->family == AF_INET6;
    policy->priority = vmlat_netlink_u32(attrs[FRA_PRIORITY]);
    if (rule->action == FR_ACT_TO_TBL) {
        policy->table = (attrs[FRA_TABLE]
                         ? vmlat_netlink_u32(attrs[FRA_TABLE])
                         : rule->table);
    }
    format_policy(&ds, rule, policy, attrs);
    ovs_strlcpy(policy->text, ds_cstr(&ds), sizeof policy->text);
    ds_destroy(&ds);
}

static void
restart_policies(void *r_)
{
    struct reading *r = r_;

    r->host->n_policies = r->n_before;
    r->host->left_out = r->left_out_before;
}

void
vmlat_bypass_host_read_policies(struct vmlat_bypass_host *host)
{
    static const int families[] = { AF_INET, AF_INET6 };
    struct reading r = { .host = host };

    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        struct fib_rule_hdr *rule;
        struct ofpbuf request;
        int error;

        r.family = families[i];
        r.n_before = host->n_policies;
        r.left_out_before = host->left_out;
        ofpbuf_init(&request, 0);
        nl_msg_put_nlmsghdr(&request, sizeof *rule, RTM_GETRULE, 0);
        rule = ofpbuf_put_zeros(&request, sizeof *rule);
        rule->family = r.family;
        error = vmlat_netlink_dump(NETLINK_ROUTE, &request, restart_policies,
                                   handle_policy, &r, &host->overrun);
        ofpbuf_uninit(&request);

        /* A kernel without rules has one table only. */
        if (error && error != EOPNOTSUPP) {
            vmlat_bypass_host_failed(host, (r.family == AF_INET
                                            ? "IPv4 rules" : "IPv6 rules"),
                                     error);
        }
    }
}

/* What the kernel would do with a packet. */

int
vmlat_bypass_host_route(const struct in6_addr *src, const struct in6_addr *dst,
                        uint32_t iif, uint32_t *ifindex,
                        struct in6_addr *gateway)
{
    const struct nlattr *attrs[RTA_MAX + 1];
    bool ip4 = IN6_IS_ADDR_V4MAPPED(dst);
    struct ofpbuf request, *reply;
    const struct rtmsg *answer;
    struct rtmsg *rtm;
    int error;

    *ifindex = 0;
    *gateway = in6addr_any;
    ofpbuf_init(&request, 0);
    nl_msg_put_nlmsghdr(&request, sizeof *rtm, RTM_GETROUTE, NLM_F_REQUEST);
    rtm = ofpbuf_put_zeros(&request, sizeof *rtm);
    rtm->rtm_family = ip4 ? AF_INET : AF_INET6;
    rtm->rtm_dst_len = ip4 ? 32 : 128;
    rtm->rtm_src_len = rtm->rtm_dst_len;
    if (ip4) {
        nl_msg_put_be32(&request, RTA_DST, in6_addr_get_mapped_ipv4(dst));
        nl_msg_put_be32(&request, RTA_SRC, in6_addr_get_mapped_ipv4(src));
    } else {
        nl_msg_put_in6_addr(&request, RTA_DST, dst);
        nl_msg_put_in6_addr(&request, RTA_SRC, src);
    }
    if (iif) {
        nl_msg_put_u32(&request, RTA_IIF, iif);
    }
    error = nl_transact(NETLINK_ROUTE, &request, &reply);
    ofpbuf_uninit(&request);
    if (error) {
        return error;
    }
    answer = vmlat_netlink_parse(nl_msg_nlmsghdr(reply), sizeof *answer, attrs,
                                 ARRAY_SIZE(attrs));
    if (!answer) {
        error = EPROTO;
    } else if (answer->rtm_type == RTN_UNICAST) {
        *ifindex = vmlat_netlink_u32(attrs[RTA_OIF]);
        parse_gateway(answer->rtm_family, attrs, gateway);
    } else if (answer->rtm_type == RTN_BLACKHOLE
               || answer->rtm_type == RTN_UNREACHABLE
               || answer->rtm_type == RTN_PROHIBIT
               || answer->rtm_type == RTN_THROW) {
        error = ENETUNREACH;
    }
    ofpbuf_delete(reply);
    return error;
}
