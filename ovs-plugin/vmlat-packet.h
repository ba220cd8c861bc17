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

#ifndef VMLAT_PACKET_H
#define VMLAT_PACKET_H 1

/* Parser for the first headers of an Ethernet frame.
 *
 * The bytes come from VMs and from the wire: they are hostile.  Nothing
 * outside of the bytes given is ever read, and the work is bounded whatever
 * they say. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "openvswitch/types.h"

struct ds;

/* Bounds on what is followed. */
#define VMLAT_PACKET_MAX_VLANS 2        /* Tags whose TCI is kept. */
#define VMLAT_PACKET_MAX_VLAN_WALK 8    /* Tags that are passed over. */
#define VMLAT_PACKET_MAX_IPV6_EXT 8     /* IPv6 extension headers. */

/* Bits in 'fields' of struct vmlat_packet: what is valid in it. */
enum vmlat_packet_field {
    VMLAT_PACKET_ETH = 1 << 0,          /* eth_dst, eth_src. */
    VMLAT_PACKET_ETH_TYPE = 1 << 1,     /* eth_type. */
    VMLAT_PACKET_IP = 1 << 2,           /* ip_version, src, dst. */
    VMLAT_PACKET_PROTO = 1 << 3,        /* proto. */
    VMLAT_PACKET_PORTS = 1 << 4,        /* src_port, dst_port. */
    VMLAT_PACKET_TCP_SEQ = 1 << 5,      /* tcp_seq. */
    VMLAT_PACKET_TCP_FLAGS = 1 << 6,    /* tcp_flags. */
    VMLAT_PACKET_ICMP = 1 << 7,         /* icmp_type, icmp_code. */
    VMLAT_PACKET_ECHO = 1 << 8,         /* echo_id, echo_seq. */
    VMLAT_PACKET_ARP = 1 << 9,          /* arp_op; src (sender) and dst
                                         * (target) as IPv4. */

    /* Facts about the packet rather than fields. */
    VMLAT_PACKET_FIRST_FRAG = 1 << 10,  /* First of several fragments. */
    VMLAT_PACKET_LATER_FRAG = 1 << 11,  /* Not the first: has no ports. */
    VMLAT_PACKET_TRUNCATED = 1 << 12,   /* A header ends beyond the bytes, or
                                         * beyond the IP packet's length. */
    VMLAT_PACKET_MALFORMED = 1 << 13,   /* A header contradicts itself, or
                                         * there are more of them than the
                                         * bounds above. */
};

/* What vmlat_packet_parse() found.  Numbers are in host byte order. */
struct vmlat_packet {
    uint32_t fields;            /* Bits of enum vmlat_packet_field. */

    /* Ethernet. */
    struct eth_addr eth_dst;
    struct eth_addr eth_src;
    uint16_t eth_type;          /* That behind all VLAN tags; below 0x600 it is
                                 * the length of an 802.3 frame. */
    uint16_t vlan_tci[VMLAT_PACKET_MAX_VLANS]; /* Outermost first. */
    uint8_t n_vlans;            /* All tags, also those not in vlan_tci[]. */

    /* Network. */
    uint8_t ip_version;         /* 4 or 6. */
    uint8_t proto;              /* IPPROTO_*, behind IPv6 extension headers. */
    struct in6_addr src;        /* IPv4: mapped, as ::ffff:a.b.c.d. */
    struct in6_addr dst;

    /* Transport. */
    uint16_t src_port;
    uint16_t dst_port;
    uint32_t tcp_seq;
    uint16_t tcp_flags;         /* TCP_* of OVS's packets.h. */
    uint8_t icmp_type;          /* ICMP and ICMPv6. */
    uint8_t icmp_code;
    uint16_t echo_id;
    uint16_t echo_seq;
    uint16_t arp_op;
};

int vmlat_packet_parse(const void *data, size_t size, struct vmlat_packet *);
void vmlat_packet_format(const struct vmlat_packet *, struct ds *);

/* Returns true if packets of IP protocol 'proto' start with two ports that are
 * looked at here. */
static inline bool
vmlat_packet_proto_has_ports(uint8_t proto)
{
    return proto == IPPROTO_TCP || proto == IPPROTO_UDP
           || proto == IPPROTO_SCTP;
}

#endif /* vmlat-packet.h */
