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

#include "vmlat-packet.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#include "openvswitch/dynamic-string.h"
#include "packets.h"
#include "util.h"

/* Lengths of headers, as far as they are fixed. */
enum {
    ETH_ADDRS_LEN = 12,
    ETH_TYPE_LEN = 2,
    VLAN_TCI_LEN = 2,
    ARP_FIXED_LEN = 8,
    ARP_IPV4_LEN = 28,
    IPV4_LEN = 20,
    IPV6_LEN = 40,
    IPV6_EXT_MIN_LEN = 8,
    TCP_LEN = 20,
    UDP_LEN = 8,
    SCTP_LEN = 12,
    ICMP_LEN = 8,
    ICMP6_MIN_LEN = 4,
};

/* What is left of the packet.  The only way to its bytes: pull() gives them
 * out only if they are there. */
struct cursor {
    const uint8_t *data;
    size_t size;
};

/* Returns the next 'n' bytes of 'c' and moves behind them, or returns NULL if
 * there are fewer. */
static inline const uint8_t *
pull(struct cursor *c, size_t n)
{
    const uint8_t *p = c->data;

    if (OVS_UNLIKELY(c->size < n)) {
        return NULL;
    }
    c->data += n;
    c->size -= n;
    return p;
}

static inline uint16_t
get16(const uint8_t *p)
{
    return (p[0] << 8) | p[1];
}

static inline uint32_t
get32(const uint8_t *p)
{
    return ((uint32_t) get16(p) << 16) | get16(p + 2);
}

/* Bytes behind the IP packet are padding: takes them away if its length, which
 * counts from the cursor on, says so.  A length of 0 says nothing:
 * segmentation offload leaves it to whoever cuts the packet. */
static inline void
trim(struct cursor *c, size_t length)
{
    if (length && length < c->size) {
        c->size = length;
    }
}

static inline void
set_mapped(struct in6_addr *addr, const uint8_t *ipv4)
{
    memset(addr->s6_addr, 0, 10);
    memset(&addr->s6_addr[10], 0xff, 2);
    memcpy(&addr->s6_addr[12], ipv4, 4);
}

static void
parse_icmp(struct cursor c, struct vmlat_packet *packet)
{
    bool ipv4 = packet->ip_version == 4;
    bool echo;

    if (c.size < 2) {
        packet->fields |= VMLAT_PACKET_TRUNCATED;
        return;
    }
    packet->icmp_type = c.data[0];
    packet->icmp_code = c.data[1];
    packet->fields |= VMLAT_PACKET_ICMP;

    echo = (ipv4
            ? packet->icmp_type == ICMP_ECHO
              || packet->icmp_type == ICMP_ECHOREPLY
            : packet->icmp_type == ICMP6_ECHO_REQUEST
              || packet->icmp_type == ICMP6_ECHO_REPLY);
    if (c.size < (ipv4 || echo ? ICMP_LEN : ICMP6_MIN_LEN)) {
        packet->fields |= VMLAT_PACKET_TRUNCATED;
    } else if (echo) {
        packet->echo_id = get16(&c.data[4]);
        packet->echo_seq = get16(&c.data[6]);
        packet->fields |= VMLAT_PACKET_ECHO;
    }
}

static void
parse_transport(struct cursor c, struct vmlat_packet *packet)
{
    if (vmlat_packet_proto_has_ports(packet->proto)) {
        size_t length = (packet->proto == IPPROTO_TCP ? TCP_LEN
                         : packet->proto == IPPROTO_UDP ? UDP_LEN
                         : SCTP_LEN);

        if (c.size < length) {
            packet->fields |= VMLAT_PACKET_TRUNCATED;
        }
        if (c.size >= 4) {
            packet->src_port = get16(&c.data[0]);
            packet->dst_port = get16(&c.data[2]);
            packet->fields |= VMLAT_PACKET_PORTS;
        }
        if (packet->proto == IPPROTO_TCP) {
            if (c.size >= 8) {
                packet->tcp_seq = get32(&c.data[4]);
                packet->fields |= VMLAT_PACKET_TCP_SEQ;
            }
            if (c.size >= 14) {
                packet->tcp_flags = get16(&c.data[12]) & 0x0fff;
                packet->fields |= VMLAT_PACKET_TCP_FLAGS;
            }
        }
    } else if (packet->proto == (packet->ip_version == 4 ? IPPROTO_ICMP
                                 : IPPROTO_ICMPV6)) {
        parse_icmp(c, packet);
    }
}

static void
parse_ipv4(struct cursor c, struct vmlat_packet *packet)
{
    size_t header_len, total_len;
    struct cursor ip = c;
    const uint8_t *p;
    uint16_t frag;

    p = pull(&ip, IPV4_LEN);
    if (!p) {
        packet->fields |= VMLAT_PACKET_TRUNCATED;
        return;
    }
    header_len = (p[0] & 0x0f) * 4;
    total_len = get16(&p[2]);
    if (p[0] >> 4 != 4 || header_len < IPV4_LEN
        || (total_len && total_len < header_len)) {
        packet->fields |= VMLAT_PACKET_MALFORMED;
        return;
    }

    packet->ip_version = 4;
    packet->proto = p[9];
    set_mapped(&packet->src, &p[12]);
    set_mapped(&packet->dst, &p[16]);
    packet->fields |= VMLAT_PACKET_IP | VMLAT_PACKET_PROTO;

    frag = get16(&p[6]);
    if (frag & IP_FRAG_OFF_MASK) {
        packet->fields |= VMLAT_PACKET_LATER_FRAG;
    } else if (frag & IP_MORE_FRAGMENTS) {
        packet->fields |= VMLAT_PACKET_FIRST_FRAG;
    }

    trim(&c, total_len);
    if (!pull(&c, header_len)) {
        packet->fields |= VMLAT_PACKET_TRUNCATED;
    } else if (!(packet->fields & VMLAT_PACKET_LATER_FRAG)) {
        parse_transport(c, packet);
    }
}

/* Follows the IPv6 extension headers at 'c', the first of which is of type
 * 'next', to the transport header. */
static void
parse_ipv6_ext(struct cursor c, uint8_t next, struct vmlat_packet *packet)
{
    for (int n = 0; ; n++) {
        bool fragment = next == IPPROTO_FRAGMENT;
        const uint8_t *p;
        size_t rest;

        if (!fragment && next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING
            && next != IPPROTO_DSTOPTS && next != IPPROTO_AH) {
            break;
        }
        if (n >= VMLAT_PACKET_MAX_IPV6_EXT) {
            packet->fields |= VMLAT_PACKET_MALFORMED;
            return;
        }
        p = pull(&c, IPV6_EXT_MIN_LEN);
        if (!p) {
            packet->fields |= VMLAT_PACKET_TRUNCATED;
            return;
        }

        /* The length is in words of 8 bytes that follow the first 8; of 4
         * bytes for AH (RFC 4302); a fragment header has none. */
        rest = (fragment ? 0 : next == IPPROTO_AH ? p[1] * 4 : p[1] * 8);
        if (!pull(&c, rest)) {
            packet->fields |= VMLAT_PACKET_TRUNCATED;
            return;
        }
        next = p[0];

        if (fragment) {
            uint16_t offset = get16(&p[2]);

            if (offset & 0xfff8) {
                packet->fields |= VMLAT_PACKET_LATER_FRAG;
                break;
            } else if (offset & 1) {
                packet->fields |= VMLAT_PACKET_FIRST_FRAG;
            }
        }
    }

    packet->proto = next;
    packet->fields |= VMLAT_PACKET_PROTO;
    if (!(packet->fields & VMLAT_PACKET_LATER_FRAG)) {
        parse_transport(c, packet);
    }
}

static void
parse_ipv6(struct cursor c, struct vmlat_packet *packet)
{
    const uint8_t *p;

    p = pull(&c, IPV6_LEN);
    if (!p) {
        packet->fields |= VMLAT_PACKET_TRUNCATED;
        return;
    }
    if (p[0] >> 4 != 6) {
        packet->fields |= VMLAT_PACKET_MALFORMED;
        return;
    }

    packet->ip_version = 6;
    memcpy(&packet->src, &p[8], sizeof packet->src);
    memcpy(&packet->dst, &p[24], sizeof packet->dst);
    packet->fields |= VMLAT_PACKET_IP;

    trim(&c, get16(&p[4]));
    parse_ipv6_ext(c, p[6], packet);
}

static void
parse_arp(struct cursor c, struct vmlat_packet *packet)
{
    const uint8_t *p = c.data;

    if (c.size < ARP_FIXED_LEN) {
        packet->fields |= VMLAT_PACKET_TRUNCATED;
    } else if (get16(&p[0]) != ARP_HRD_ETHERNET || get16(&p[2]) != ETH_TYPE_IP
               || p[4] != ETH_ADDR_LEN || p[5] != 4) {
        /* For other kinds of addresses, nothing that we know. */
    } else if (c.size < ARP_IPV4_LEN) {
        packet->fields |= VMLAT_PACKET_TRUNCATED;
    } else {
        packet->arp_op = get16(&p[6]);
        set_mapped(&packet->src, &p[14]);
        set_mapped(&packet->dst, &p[24]);
        packet->fields |= VMLAT_PACKET_ARP;
    }
}

static void
parse_ethernet(struct cursor c, struct vmlat_packet *packet)
{
    const uint8_t *p;
    uint16_t type;

    p = pull(&c, ETH_ADDRS_LEN);
    if (!p) {
        packet->fields |= VMLAT_PACKET_TRUNCATED;
        return;
    }
    memcpy(&packet->eth_dst, p, ETH_ADDR_LEN);
    memcpy(&packet->eth_src, p + ETH_ADDR_LEN, ETH_ADDR_LEN);
    packet->fields |= VMLAT_PACKET_ETH;

    for (;;) {
        p = pull(&c, ETH_TYPE_LEN);
        if (!p) {
            packet->fields |= VMLAT_PACKET_TRUNCATED;
            return;
        }
        type = get16(p);
        if (OVS_LIKELY(type != ETH_TYPE_VLAN_8021Q
                       && type != ETH_TYPE_VLAN_8021AD)) {
            break;
        }

        if (packet->n_vlans >= VMLAT_PACKET_MAX_VLAN_WALK) {
            packet->fields |= VMLAT_PACKET_MALFORMED;
            return;
        }
        p = pull(&c, VLAN_TCI_LEN);
        if (!p) {
            packet->fields |= VMLAT_PACKET_TRUNCATED;
            return;
        }
        if (packet->n_vlans < VMLAT_PACKET_MAX_VLANS) {
            packet->vlan_tci[packet->n_vlans] = get16(p);
        }
        packet->n_vlans++;
    }

    packet->eth_type = type;
    packet->fields |= VMLAT_PACKET_ETH_TYPE;
    if (type == ETH_TYPE_IP) {
        parse_ipv4(c, packet);
    } else if (type == ETH_TYPE_IPV6) {
        parse_ipv6(c, packet);
    } else if (type == ETH_TYPE_ARP) {
        parse_arp(c, packet);
    }
}

/* Parses an Ethernet frame, the first 'size' bytes of which are at 'data',
 * into 'packet'.  Any bytes will do; nothing else is read.
 *
 * Returns 0 if all headers that are known here were found whole, EMSGSIZE if
 * one was cut short, EBADMSG if one contradicts itself or if there are too
 * many.  'packet' is filled in each case, as far as its 'fields' say; what is
 * not valid is zero. */
int
vmlat_packet_parse(const void *data, size_t size, struct vmlat_packet *packet)
{
    struct cursor c = { data, size };

    memset(packet, 0, sizeof *packet);
    parse_ethernet(c, packet);
    return (packet->fields & VMLAT_PACKET_MALFORMED ? EBADMSG
            : packet->fields & VMLAT_PACKET_TRUNCATED ? EMSGSIZE
            : 0);
}

/* Names of ICMP types, for people. */
struct icmp_name {
    uint8_t type;
    const char *name;
};

static const struct icmp_name icmp4_names[] = {
    { ICMP_ECHOREPLY, "echo-reply" },
    { ICMP_DEST_UNREACH, "unreachable" },
    { ICMP_REDIRECT, "redirect" },
    { ICMP_ECHO, "echo-request" },
    { ICMP_TIME_EXCEEDED, "time-exceeded" },
    { 0, NULL },
};

static const struct icmp_name icmp6_names[] = {
    { ICMP6_DST_UNREACH, "unreachable" },
    { ICMP6_PACKET_TOO_BIG, "packet-too-big" },
    { ICMP6_TIME_EXCEEDED, "time-exceeded" },
    { ICMP6_ECHO_REQUEST, "echo-request" },
    { ICMP6_ECHO_REPLY, "echo-reply" },
    { ND_ROUTER_SOLICIT, "router-solicitation" },
    { ND_ROUTER_ADVERT, "router-advertisement" },
    { ND_NEIGHBOR_SOLICIT, "neighbor-solicitation" },
    { ND_NEIGHBOR_ADVERT, "neighbor-advertisement" },
    { 0, NULL },
};

static void
format_icmp(const struct vmlat_packet *packet, struct ds *ds)
{
    const struct icmp_name *n = (packet->ip_version == 4 ? icmp4_names
                                 : icmp6_names);

    while (n->name && n->type != packet->icmp_type) {
        n++;
    }
    if (n->name) {
        ds_put_format(ds, " %s", n->name);
    } else {
        ds_put_format(ds, " type %"PRIu8, packet->icmp_type);
    }
    if (packet->icmp_code || !n->name) {
        ds_put_format(ds, " code %"PRIu8, packet->icmp_code);
    }
    if (packet->fields & VMLAT_PACKET_ECHO) {
        ds_put_format(ds, " id %"PRIu16" seq %"PRIu16,
                      packet->echo_id, packet->echo_seq);
    }
}

static void
format_proto(const struct vmlat_packet *packet, struct ds *ds)
{
    if (!(packet->fields & VMLAT_PACKET_PROTO)) {
        ds_put_cstr(ds, packet->ip_version == 4 ? "ip" : "ip6");
    } else if (packet->proto == IPPROTO_TCP) {
        ds_put_cstr(ds, "tcp");
    } else if (packet->proto == IPPROTO_UDP) {
        ds_put_cstr(ds, "udp");
    } else if (packet->proto == IPPROTO_SCTP) {
        ds_put_cstr(ds, "sctp");
    } else if (packet->ip_version == 4 && packet->proto == IPPROTO_ICMP) {
        ds_put_cstr(ds, "icmp");
    } else if (packet->ip_version == 6 && packet->proto == IPPROTO_ICMPV6) {
        ds_put_cstr(ds, "icmp6");
    } else {
        ds_put_format(ds, "%s proto %"PRIu8,
                      packet->ip_version == 4 ? "ip" : "ip6", packet->proto);
    }
}

static void
format_address(const struct vmlat_packet *packet, const struct in6_addr *addr,
               uint16_t port, struct ds *ds)
{
    bool has_ports = packet->fields & VMLAT_PACKET_PORTS;

    if (packet->ip_version == 6) {
        ipv6_format_addr_bracket(addr, ds, has_ports);
    } else {
        const uint8_t *a = &addr->s6_addr[12];

        ds_put_format(ds, "%"PRIu8".%"PRIu8".%"PRIu8".%"PRIu8,
                      a[0], a[1], a[2], a[3]);
    }
    if (has_ports) {
        ds_put_format(ds, ":%"PRIu16, port);
    }
}

static void
format_ip(const struct vmlat_packet *packet, struct ds *ds)
{
    format_proto(packet, ds);
    ds_put_char(ds, ' ');
    format_address(packet, &packet->src, packet->src_port, ds);
    ds_put_cstr(ds, " > ");
    format_address(packet, &packet->dst, packet->dst_port, ds);
    if (packet->fields & VMLAT_PACKET_TCP_SEQ) {
        ds_put_format(ds, " seq %"PRIu32, packet->tcp_seq);
    }
    if (packet->fields & VMLAT_PACKET_TCP_FLAGS) {
        ds_put_cstr(ds, " flags ");
        packet_format_tcp_flags(ds, packet->tcp_flags);
    }
    if (packet->fields & VMLAT_PACKET_ICMP) {
        format_icmp(packet, ds);
    }
    if (packet->fields & VMLAT_PACKET_FIRST_FRAG) {
        ds_put_cstr(ds, " first fragment");
    } else if (packet->fields & VMLAT_PACKET_LATER_FRAG) {
        ds_put_cstr(ds, " later fragment");
    }
}

static void
format_arp(const struct vmlat_packet *packet, struct ds *ds)
{
    ds_put_cstr(ds, "arp");
    if (packet->fields & VMLAT_PACKET_ARP) {
        if (packet->arp_op == ARP_OP_REQUEST) {
            ds_put_cstr(ds, " request ");
        } else if (packet->arp_op == ARP_OP_REPLY) {
            ds_put_cstr(ds, " reply ");
        } else {
            ds_put_format(ds, " op %"PRIu16" ", packet->arp_op);
        }
        format_address(packet, &packet->src, 0, ds);
        ds_put_cstr(ds, " > ");
        format_address(packet, &packet->dst, 0, ds);
    }
}

static void
format_vlans(const struct vmlat_packet *packet, struct ds *ds)
{
    ds_put_cstr(ds, "vlan ");
    for (int i = 0; i < packet->n_vlans && i < VMLAT_PACKET_MAX_VLANS; i++) {
        ds_put_format(ds, "%s%d", i ? "/" : "",
                      packet->vlan_tci[i] & VLAN_VID_MASK);
    }
    if (packet->n_vlans > VMLAT_PACKET_MAX_VLANS) {
        ds_put_format(ds, "/+%d", packet->n_vlans - VMLAT_PACKET_MAX_VLANS);
    }
    ds_put_char(ds, ' ');
}

/* Appends one line for people to 'ds', without a new-line, such as
 * "vlan 10/20 tcp 10.0.0.1:8080 > 10.0.0.2:80 seq 1234 flags S".  VLAN IDs are
 * outermost first, "/+3" stands for 3 more.  "truncated" and "malformed" tell
 * why what one would expect is missing. */
void
vmlat_packet_format(const struct vmlat_packet *packet, struct ds *ds)
{
    if (packet->n_vlans) {
        format_vlans(packet, ds);
    }

    if (packet->fields & VMLAT_PACKET_IP) {
        format_ip(packet, ds);
    } else if (!(packet->fields & VMLAT_PACKET_ETH_TYPE)) {
        ds_put_cstr(ds, "eth");
    } else if (packet->eth_type == ETH_TYPE_ARP) {
        format_arp(packet, ds);
    } else if (packet->eth_type == ETH_TYPE_IP) {
        ds_put_cstr(ds, "ip");
    } else if (packet->eth_type == ETH_TYPE_IPV6) {
        ds_put_cstr(ds, "ip6");
    } else if (packet->eth_type < ETH_TYPE_MIN) {
        ds_put_format(ds, "eth length %"PRIu16, packet->eth_type);
    } else {
        ds_put_format(ds, "eth type 0x%04"PRIx16, packet->eth_type);
    }

    if (packet->fields & VMLAT_PACKET_MALFORMED) {
        ds_put_cstr(ds, " malformed");
    }
    if (packet->fields & VMLAT_PACKET_TRUNCATED) {
        ds_put_cstr(ds, " truncated");
    }
}
