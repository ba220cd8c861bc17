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

#ifndef VMLAT_FILTER_H
#define VMLAT_FILTER_H 1

/* Filters that the operator gives to commands: src=10.0.0.0/8 proto=tcp ...
 *
 * Every command that takes filters has its arguments parsed here.  The keys
 * are in one table in vmlat-filter.c. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "openvswitch/compiler.h"
#include "vmlat-packet.h"

struct ds;

/* Directions: where a packet entered OVS and where it left.
 *
 *               ID         name */
#define VMLAT_DIRECTIONS                    \
    VMLAT_DIRECTION(VM_WIRE,   "vm>wire")   \
    VMLAT_DIRECTION(WIRE_VM,   "wire>vm")   \
    VMLAT_DIRECTION(VM_VM,     "vm>vm")     \
    VMLAT_DIRECTION(VM_HOST,   "vm>host")   \
    VMLAT_DIRECTION(HOST_VM,   "host>vm")   \
    VMLAT_DIRECTION(WIRE_WIRE, "wire>wire") \
    VMLAT_DIRECTION(HOST_WIRE, "host>wire") \
    VMLAT_DIRECTION(WIRE_HOST, "wire>host") \
    VMLAT_DIRECTION(HOST_HOST, "host>host")

enum vmlat_direction {
#define VMLAT_DIRECTION(ID, NAME) VMLAT_DIR_##ID,
    VMLAT_DIRECTIONS
#undef VMLAT_DIRECTION
    VMLAT_N_DIRECTIONS
};

const char *vmlat_direction_to_string(enum vmlat_direction);
bool vmlat_direction_from_string(const char *, enum vmlat_direction *);

/* Bits in 'keys' of struct vmlat_filter: the keys that were given. */
enum vmlat_filter_key_bit {
    VMLAT_FILTER_SRC = 1 << 0,
    VMLAT_FILTER_DST = 1 << 1,
    VMLAT_FILTER_SPORT = 1 << 2,
    VMLAT_FILTER_DPORT = 1 << 3,
    VMLAT_FILTER_PROTO = 1 << 4,
    VMLAT_FILTER_PORT = 1 << 5,
    VMLAT_FILTER_DIRECTION = 1 << 6,
    VMLAT_FILTER_MIN_US = 1 << 7,

    /* Those that need the bytes of the packet. */
    VMLAT_FILTER_PACKET = (VMLAT_FILTER_SRC | VMLAT_FILTER_DST
                           | VMLAT_FILTER_SPORT | VMLAT_FILTER_DPORT
                           | VMLAT_FILTER_PROTO),
};

/* A filter.  Plain data apart from 'port': any number of threads may match
 * against one that none changes.  Change it through vmlat_filter_parse_arg()
 * only, the fields depend on each other. */
struct vmlat_filter {
    uint32_t keys;              /* Bits of enum vmlat_filter_key_bit. */

    /* For matching against bytes of IPv4 without a look at 'keys'.  In network
     * byte order, as they follow each other in the packet; a clear mask means
     * that anything will do. */
    uint8_t ip_version;         /* 4 or 6 if only that can match, else 0. */
    uint8_t proto;              /* IPPROTO_*. */
    uint8_t proto_mask;         /* UINT8_MAX if 'proto' was given, else 0. */
    uint32_t ports;             /* Source and destination port. */
    uint32_t ports_mask;
    uint64_t addrs4;            /* Source and destination IPv4 address. */
    uint64_t addrs4_mask;

    /* Addresses, already masked; IPv4 ones are mapped, ::ffff:a.b.c.d. */
    struct in6_addr src, src_mask;
    struct in6_addr dst, dst_mask;

    uint16_t sport;             /* Host byte order. */
    uint16_t dport;
    enum vmlat_direction direction;
    uint64_t min_ns;            /* 0 if min-us was not given. */
    char *port;                 /* Name of an OVS port, NULL if not given. */
};

void vmlat_filter_init(struct vmlat_filter *);
void vmlat_filter_destroy(struct vmlat_filter *);
void vmlat_filter_clone(struct vmlat_filter *dst, const struct vmlat_filter *);
bool vmlat_filter_equal(const struct vmlat_filter *,
                        const struct vmlat_filter *);

char *vmlat_filter_parse_arg(struct vmlat_filter *, const char *arg,
                             bool *recognised) OVS_WARN_UNUSED_RESULT;
void vmlat_filter_format(const struct vmlat_filter *, struct ds *);

/* The table of keys, for help and completion: calls 'cb' once for each of
 * them, with its name ("src"), what its value looks like ("IP[/N]") and one
 * line of help. */
typedef void vmlat_filter_key_cb(const char *name, const char *value,
                                 const char *help, void *aux);
void vmlat_filter_for_each_key(vmlat_filter_key_cb *, void *aux);

bool vmlat_filter_match_packet(const struct vmlat_filter *,
                               const struct vmlat_packet *);
static inline bool vmlat_filter_match_bytes(const struct vmlat_filter *,
                                            const void *data, size_t size);
bool vmlat_filter_match_bytes__(const struct vmlat_filter *,
                                const void *data, size_t size);

/* Returns true if 'f' asks for something that only the bytes of a packet can
 * tell. */
static inline bool
vmlat_filter_is_packet_filter(const struct vmlat_filter *f)
{
    return (f->keys & VMLAT_FILTER_PACKET) != 0;
}

/* Returns true if an Ethernet frame, the first 'size' bytes of which are at
 * 'data', passes src, dst, sport, dport and proto of 'f'.  The result is that
 * of vmlat_packet_parse() and vmlat_filter_match_packet(), for any bytes.
 *
 * Any thread; for the data path.  What most packets are, IPv4 without VLAN
 * tag and options, is decided here by comparing words. */
static inline bool
vmlat_filter_match_bytes(const struct vmlat_filter *f,
                         const void *data, size_t size)
{
    const uint8_t *p = data;
    uint32_t type_tos, len_id, ports;
    uint16_t frag;
    uint64_t addrs;

    /* Ethernet, an IPv4 header of 20 bytes, and ports or what is there. */
    if (OVS_UNLIKELY(size < 14 + 20 + 4)) {
        return vmlat_filter_match_bytes__(f, data, size);
    }
    memcpy(&type_tos, p + 12, sizeof type_tos);
    memcpy(&len_id, p + 16, sizeof len_id);
    memcpy(&frag, p + 20, sizeof frag);
    if (OVS_UNLIKELY((type_tos & htonl(0xffffff00)) != htonl(0x08004500)
                     || ntohl(len_id) < (20 + 4) << 16
                     || frag & htons(0x1fff))) {
        return vmlat_filter_match_bytes__(f, data, size);
    }
    memcpy(&addrs, p + 26, sizeof addrs);
    memcpy(&ports, p + 34, sizeof ports);

    return !(((addrs ^ f->addrs4) & f->addrs4_mask)
             | ((ports ^ f->ports) & f->ports_mask)
             | ((p[23] ^ f->proto) & f->proto_mask)
             | (f->ip_version == 6)
             | (f->ports_mask && !vmlat_packet_proto_has_ports(p[23])));
}

#endif /* vmlat-filter.h */
