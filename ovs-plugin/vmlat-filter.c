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

#include "vmlat-filter.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

#include "openvswitch/dynamic-string.h"
#include "openvswitch/util.h"
#include "packets.h"
#include "util.h"

/* min-us is at most this: 1,000 s. */
#define MAX_MIN_US 1000000000

/* Directions. */

static const char *direction_names[VMLAT_N_DIRECTIONS] = {
#define VMLAT_DIRECTION(ID, NAME) [VMLAT_DIR_##ID] = NAME,
    VMLAT_DIRECTIONS
#undef VMLAT_DIRECTION
};

/* Returns the name of 'direction', such as "vm>wire". */
const char *
vmlat_direction_to_string(enum vmlat_direction direction)
{
    return direction < VMLAT_N_DIRECTIONS ? direction_names[direction] : "?";
}

/* Stores in '*direction' what 's' names and returns true, or returns false.
 * To spare the operator quoting for the shell, "vm-wire", "vm:wire" and
 * "vm-to-wire" are as good as "vm>wire". */
bool
vmlat_direction_from_string(const char *s, enum vmlat_direction *direction)
{
    static const char *separators[] = { ">", ":", "-to-", "-" };

    for (int i = 0; i < VMLAT_N_DIRECTIONS; i++) {
        const char *name = direction_names[i];
        size_t from_len = strcspn(name, ">");

        if (strncasecmp(s, name, from_len)) {
            continue;
        }
        for (int j = 0; j < ARRAY_SIZE(separators); j++) {
            const char *rest = s + from_len;
            size_t len = strlen(separators[j]);

            if (!strncasecmp(rest, separators[j], len)
                && !strcasecmp(rest + len, name + from_len + 1)) {
                *direction = i;
                return true;
            }
        }
    }
    return false;
}

/* Life cycle. */

/* Makes 'f' a filter that everything passes. */
void
vmlat_filter_init(struct vmlat_filter *f)
{
    memset(f, 0, sizeof *f);
}

/* Frees what 'f' holds, not 'f' itself. */
void
vmlat_filter_destroy(struct vmlat_filter *f)
{
    if (f) {
        free(f->port);
        f->port = NULL;
    }
}

/* Makes 'dst', which need not be initialised, a copy of 'src'.  The caller
 * must destroy it. */
void
vmlat_filter_clone(struct vmlat_filter *dst, const struct vmlat_filter *src)
{
    *dst = *src;
    dst->port = nullable_xstrdup(src->port);
}

/* Returns true if 'a' and 'b' ask for the same. */
bool
vmlat_filter_equal(const struct vmlat_filter *a, const struct vmlat_filter *b)
{
    return (a->keys == b->keys
            && a->ip_version == b->ip_version
            && ipv6_addr_equals(&a->src, &b->src)
            && ipv6_addr_equals(&a->src_mask, &b->src_mask)
            && ipv6_addr_equals(&a->dst, &b->dst)
            && ipv6_addr_equals(&a->dst_mask, &b->dst_mask)
            && a->sport == b->sport
            && a->dport == b->dport
            && a->proto == b->proto
            && a->direction == b->direction
            && a->min_ns == b->min_ns
            && nullable_string_is_equal(a->port, b->port));
}

/* Parsing.
 *
 * A parser stores 'value' in 'f' and returns NULL, or returns what is wrong
 * with it, to be freed by the caller, who also throws 'f' away then. */

/* Makes 'f' match only IP version 'version', in addition to all else. */
static char *
require_ip_version(struct vmlat_filter *f, uint8_t version)
{
    if (f->ip_version && f->ip_version != version) {
        return xasprintf("is for IPv%"PRIu8", but an earlier argument is for "
                         "IPv%"PRIu8": nothing can match both",
                         version, f->ip_version);
    }
    f->ip_version = version;
    return NULL;
}

/* Parses the mask of an address of family 'af', with 'width' bits, which is
 * either the length of a prefix or written as an address. */
static bool
parse_mask(const char *s, int af, unsigned int width, void *mask)
{
    unsigned int n_bits;

    if (inet_pton(af, s, mask) == 1) {
        return true;
    }
    if (s[strspn(s, "0123456789")] || !str_to_uint(s, 10, &n_bits)
        || n_bits > width) {
        return false;
    }
    if (af == AF_INET) {
        ovs_be32 mask4 = be32_prefix_mask(n_bits);

        memcpy(mask, &mask4, sizeof mask4);
    } else {
        struct in6_addr mask6 = ipv6_create_mask(n_bits);

        memcpy(mask, &mask6, sizeof mask6);
    }
    return true;
}

/* inet_pton() rather than OVS's ip_parse(), which takes 10.0.0.300 and
 * 10.0.0.010 for addresses that nobody meant. */
static char *
parse_address(struct vmlat_filter *f, const char *value,
              struct in6_addr *addr, struct in6_addr *mask)
{
    char *slash = strchr(value, '/');
    char *host = (slash ? xmemdup0(value, slash - value) : xstrdup(value));
    ovs_be32 addr4, mask4 = OVS_BE32_MAX;
    char *error = NULL;

    *mask = in6addr_exact;
    if (inet_pton(AF_INET, host, &addr4) == 1) {
        if (slash && !parse_mask(slash + 1, AF_INET, 32, &mask4)) {
            error = xasprintf("the prefix length of an IPv4 address is "
                              "0 to 32");
        } else {
            error = require_ip_version(f, 4);
            in6_addr_set_mapped_ipv4(addr, addr4 & mask4);
            memcpy(&mask->s6_addr[12], &mask4, sizeof mask4);
        }
    } else if (inet_pton(AF_INET6, host, addr) == 1) {
        if (slash && !parse_mask(slash + 1, AF_INET6, 128, mask)) {
            error = xasprintf("the prefix length of an IPv6 address is "
                              "0 to 128");
        } else {
            error = require_ip_version(f, 6);
            *addr = ipv6_addr_bitand(addr, mask);
        }
    } else {
        error = xstrdup("not an IPv4 or IPv6 address or prefix");
    }
    free(host);
    return error;
}

static char *
parse_src(struct vmlat_filter *f, const char *value)
{
    return parse_address(f, value, &f->src, &f->src_mask);
}

static char *
parse_dst(struct vmlat_filter *f, const char *value)
{
    return parse_address(f, value, &f->dst, &f->dst_mask);
}

static char *
parse_l4_port(struct vmlat_filter *f, const char *value, uint16_t *port)
{
    unsigned int number;

    if (value[strspn(value, "0123456789")]
        || !str_to_uint(value, 10, &number) || number > UINT16_MAX) {
        return xstrdup("not a port number, which is 0 to 65535");
    }
    if (f->keys & VMLAT_FILTER_PROTO
        && !vmlat_packet_proto_has_ports(f->proto)) {
        return xstrdup("the protocol given before has no ports; "
                       "tcp and udp have");
    }
    *port = number;
    return NULL;
}

static char *
parse_sport(struct vmlat_filter *f, const char *value)
{
    return parse_l4_port(f, value, &f->sport);
}

static char *
parse_dport(struct vmlat_filter *f, const char *value)
{
    return parse_l4_port(f, value, &f->dport);
}

/* ICMP of the other IP version is not ICMP. */
static const struct proto_name {
    const char *name;
    uint8_t proto;
    uint8_t ip_version;         /* 0 for either. */
} proto_names[] = {
    { "tcp", IPPROTO_TCP, 0 },
    { "udp", IPPROTO_UDP, 0 },
    { "icmp", IPPROTO_ICMP, 4 },
    { "icmp6", IPPROTO_ICMPV6, 6 },
};

static char *
parse_proto(struct vmlat_filter *f, const char *value)
{
    for (int i = 0; i < ARRAY_SIZE(proto_names); i++) {
        const struct proto_name *p = &proto_names[i];

        if (!strcasecmp(value, p->name)) {
            if (f->keys & (VMLAT_FILTER_SPORT | VMLAT_FILTER_DPORT)
                && !vmlat_packet_proto_has_ports(p->proto)) {
                return xasprintf("%s has no ports, but sport or dport was "
                                 "given before", p->name);
            }
            f->proto = p->proto;
            return p->ip_version ? require_ip_version(f, p->ip_version) : NULL;
        }
    }
    return xstrdup("not one of tcp, udp, icmp, icmp6");
}

static char *
parse_port(struct vmlat_filter *f, const char *value)
{
    if (!value[0]) {
        return xstrdup("the name of a port is missing");
    }
    f->port = xstrdup(value);
    return NULL;
}

static char *
parse_direction(struct vmlat_filter *f, const char *value)
{
    if (!vmlat_direction_from_string(value, &f->direction)) {
        struct ds ds = DS_EMPTY_INITIALIZER;

        ds_put_cstr(&ds, "not one of ");
        for (int i = 0; i < VMLAT_N_DIRECTIONS; i++) {
            ds_put_format(&ds, "%s%s", i ? ", " : "", direction_names[i]);
        }
        ds_put_cstr(&ds, " (or vm-wire, and so on)");
        return ds_steal_cstr(&ds);
    }
    return NULL;
}

static char *
parse_min_us(struct vmlat_filter *f, const char *value)
{
    static const char digits[] = "0123456789";
    size_t n_int = strspn(value, digits);
    const char *fraction = value + n_int;
    size_t n_fraction = 0;
    uint64_t us, ns = 0;

    if (*fraction == '.') {
        fraction++;
        n_fraction = strspn(fraction, digits);
    }
    if (fraction[n_fraction] || !(n_int + n_fraction)) {
        return xstrdup("not a number of microseconds, such as 100 or 0.25");
    }
    if (n_fraction > 3) {
        return xstrdup("more than 3 decimals: the unit is the microsecond, "
                       "nanoseconds are all there is");
    }
    for (int i = 0; i < 3; i++) {
        ns = ns * 10 + (i < n_fraction ? fraction[i] - '0' : 0);
    }
    errno = 0;
    us = strtoull(value, NULL, 10);
    if (errno || us > MAX_MIN_US || (us == MAX_MIN_US && ns)) {
        return xasprintf("more than %d microseconds", MAX_MIN_US);
    }
    f->min_ns = us * 1000 + ns;
    return NULL;
}

/* Formatting. */

static void
format_address(const struct vmlat_filter *f, const struct in6_addr *addr,
               const struct in6_addr *mask, struct ds *ds)
{
    if (f->ip_version == 4) {
        ovs_be32 addr4, mask4;

        memcpy(&addr4, &addr->s6_addr[12], sizeof addr4);
        memcpy(&mask4, &mask->s6_addr[12], sizeof mask4);
        ip_format_masked(addr4, mask4, ds);
    } else {
        ipv6_format_masked(addr, mask, ds);
    }
}

static void
format_src(const struct vmlat_filter *f, struct ds *ds)
{
    format_address(f, &f->src, &f->src_mask, ds);
}

static void
format_dst(const struct vmlat_filter *f, struct ds *ds)
{
    format_address(f, &f->dst, &f->dst_mask, ds);
}

static void
format_sport(const struct vmlat_filter *f, struct ds *ds)
{
    ds_put_format(ds, "%"PRIu16, f->sport);
}

static void
format_dport(const struct vmlat_filter *f, struct ds *ds)
{
    ds_put_format(ds, "%"PRIu16, f->dport);
}

static void
format_proto(const struct vmlat_filter *f, struct ds *ds)
{
    for (int i = 0; i < ARRAY_SIZE(proto_names); i++) {
        if (proto_names[i].proto == f->proto) {
            ds_put_cstr(ds, proto_names[i].name);
        }
    }
}

static void
format_port(const struct vmlat_filter *f, struct ds *ds)
{
    ds_put_cstr(ds, f->port);
}

static void
format_direction(const struct vmlat_filter *f, struct ds *ds)
{
    ds_put_cstr(ds, vmlat_direction_to_string(f->direction));
}

static void
format_min_us(const struct vmlat_filter *f, struct ds *ds)
{
    ds_put_format(ds, "%"PRIu64, f->min_ns / 1000);
    if (f->min_ns % 1000) {
        ds_put_format(ds, ".%03"PRIu64, f->min_ns % 1000);
        ds_chomp(ds, '0');
        ds_chomp(ds, '0');
    }
}

/* The table of keys. */

static const struct vmlat_filter_key {
    const char *name;
    uint32_t bit;               /* In 'keys' of struct vmlat_filter. */
    const char *value;          /* What a value looks like. */
    const char *help;
    char *(*parse)(struct vmlat_filter *, const char *value);
    void (*format)(const struct vmlat_filter *, struct ds *);
} keys[] = {
    { "src", VMLAT_FILTER_SRC, "IP[/PREFIX]",
      "source IPv4 or IPv6 address or prefix",
      parse_src, format_src },
    { "dst", VMLAT_FILTER_DST, "IP[/PREFIX]",
      "destination IPv4 or IPv6 address or prefix",
      parse_dst, format_dst },
    { "sport", VMLAT_FILTER_SPORT, "NUMBER",
      "source port of TCP, UDP or SCTP",
      parse_sport, format_sport },
    { "dport", VMLAT_FILTER_DPORT, "NUMBER",
      "destination port of TCP, UDP or SCTP",
      parse_dport, format_dport },
    { "proto", VMLAT_FILTER_PROTO, "tcp|udp|icmp|icmp6",
      "IP protocol",
      parse_proto, format_proto },
    { "port", VMLAT_FILTER_PORT, "NAME",
      "port of OVS",
      parse_port, format_port },
    { "direction", VMLAT_FILTER_DIRECTION, "FROM-TO",
      "way through OVS: each of FROM and TO is vm, wire or host",
      parse_direction, format_direction },
    { "min-us", VMLAT_FILTER_MIN_US, "MICROSECONDS",
      "smallest latency, up to 3 decimals",
      parse_min_us, format_min_us },
};

/* Returns the key that the 'len' bytes at 'name' are, NULL if none. */
static const struct vmlat_filter_key *
find_key(const char *name, size_t len)
{
    for (int i = 0; i < ARRAY_SIZE(keys); i++) {
        if (strlen(keys[i].name) == len && !memcmp(keys[i].name, name, len)) {
            return &keys[i];
        }
    }
    return NULL;
}

/* Calls 'cb' for each key, in the order in which help shows them. */
void
vmlat_filter_for_each_key(vmlat_filter_key_cb *cb, void *aux)
{
    for (int i = 0; i < ARRAY_SIZE(keys); i++) {
        cb(keys[i].name, keys[i].value, keys[i].help, aux);
    }
}

/* Brings the fields that vmlat_filter_match_bytes() compares up to date. */
static void
compile(struct vmlat_filter *f)
{
    ovs_be16 ports[2] = { htons(f->sport), htons(f->dport) };
    ovs_be16 ports_mask[2] = {
        f->keys & VMLAT_FILTER_SPORT ? OVS_BE16_MAX : 0,
        f->keys & VMLAT_FILTER_DPORT ? OVS_BE16_MAX : 0,
    };

    memcpy(&f->ports, ports, sizeof f->ports);
    memcpy(&f->ports_mask, ports_mask, sizeof f->ports_mask);
    f->proto_mask = f->keys & VMLAT_FILTER_PROTO ? UINT8_MAX : 0;
    if (f->ip_version == 4) {
        uint8_t addrs[8], mask[8];

        memcpy(&addrs[0], &f->src.s6_addr[12], 4);
        memcpy(&addrs[4], &f->dst.s6_addr[12], 4);
        memcpy(&mask[0], &f->src_mask.s6_addr[12], 4);
        memcpy(&mask[4], &f->dst_mask.s6_addr[12], 4);
        memcpy(&f->addrs4, addrs, sizeof f->addrs4);
        memcpy(&f->addrs4_mask, mask, sizeof f->addrs4_mask);
    }
}

/* Adds 'arg', such as "src=10.0.0.0/8", to 'f'.  Each key may be given once.
 *
 * Returns NULL if successful.  Otherwise returns one line that says what is
 * wrong with 'arg' and what would be right, to be freed by the caller, and
 * leaves 'f' as it was.
 *
 * Sets '*recognised' to tell whether 'arg' is a filter at all, right or wrong.
 * If it is false, the result is NULL for an argument without "=", which the
 * caller may understand, and an error for an unknown key, which the caller may
 * have wanted for itself. */
char *
vmlat_filter_parse_arg(struct vmlat_filter *f, const char *arg,
                       bool *recognised)
{
    const char *equals = strchr(arg, '=');
    const struct vmlat_filter_key *key;
    struct vmlat_filter new;
    char *error;

    *recognised = false;
    if (!equals) {
        return NULL;
    }

    key = find_key(arg, equals - arg);
    if (!key) {
        struct ds ds = DS_EMPTY_INITIALIZER;

        ds_put_format(&ds, "%s: unknown filter, known are", arg);
        for (int i = 0; i < ARRAY_SIZE(keys); i++) {
            ds_put_format(&ds, "%s %s=", i ? "," : "", keys[i].name);
        }
        return ds_steal_cstr(&ds);
    }

    *recognised = true;
    if (f->keys & key->bit) {
        return xasprintf("%s: %s was given before", arg, key->name);
    }

    new = *f;
    error = key->parse(&new, equals + 1);
    if (error) {
        char *line = xasprintf("%s: %s", arg, error);

        free(error);
        return line;
    }
    new.keys |= key->bit;
    compile(&new);
    *f = new;
    return NULL;
}

/* Appends 'f' to 'ds' as arguments that make the same filter, with a space
 * between them; nothing for a filter that everything passes. */
void
vmlat_filter_format(const struct vmlat_filter *f, struct ds *ds)
{
    const char *separator = "";

    for (int i = 0; i < ARRAY_SIZE(keys); i++) {
        if (f->keys & keys[i].bit) {
            ds_put_format(ds, "%s%s=", separator, keys[i].name);
            keys[i].format(f, ds);
            separator = " ";
        }
    }
}

/* Matching. */

static inline bool
match_address(const struct in6_addr *addr, const struct in6_addr *value,
              const struct in6_addr *mask)
{
    uint64_t a[2], v[2], m[2];

    memcpy(a, addr, sizeof a);
    memcpy(v, value, sizeof v);
    memcpy(m, mask, sizeof m);
    return !(((a[0] ^ v[0]) & m[0]) | ((a[1] ^ v[1]) & m[1]));
}

/* Returns true if 'packet' passes src, dst, sport, dport and proto of 'f'.
 *
 * What is not valid in the packet matches nothing but the lack of a condition:
 * a fragment other than the first is found by addresses and protocol, never by
 * its ports.  Addresses are those of IP, not those that ARP asks for. */
bool
vmlat_filter_match_packet(const struct vmlat_filter *f,
                          const struct vmlat_packet *packet)
{
    uint32_t need;

    if (!vmlat_filter_is_packet_filter(f)) {
        return true;
    }

    need = VMLAT_PACKET_IP;
    if (f->proto_mask) {
        need |= VMLAT_PACKET_PROTO;
    }
    if (f->ports_mask) {
        need |= VMLAT_PACKET_PORTS;
    }
    if ((packet->fields & need) != need
        || (f->ip_version && f->ip_version != packet->ip_version)
        || (f->proto_mask && f->proto != packet->proto)) {
        return false;
    }
    return (match_address(&packet->src, &f->src, &f->src_mask)
            && match_address(&packet->dst, &f->dst, &f->dst_mask)
            && (!(f->keys & VMLAT_FILTER_SPORT)
                || f->sport == packet->src_port)
            && (!(f->keys & VMLAT_FILTER_DPORT)
                || f->dport == packet->dst_port));
}

/* The part of vmlat_filter_match_bytes() for packets that are not plain
 * IPv4. */
bool
vmlat_filter_match_bytes__(const struct vmlat_filter *f,
                           const void *data, size_t size)
{
    struct vmlat_packet packet;

    if (!vmlat_filter_is_packet_filter(f)) {
        return true;
    }
    vmlat_packet_parse(data, size, &packet);
    return vmlat_filter_match_packet(f, &packet);
}
