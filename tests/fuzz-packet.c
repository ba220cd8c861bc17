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

/* Fuzz target: the packet parser, the formatter, the parser of filters and
 * both ways of matching, on whatever bytes come.
 *
 * The first bytes choose a filter, the rest is the packet.  Built by clang
 * with -fsanitize=fuzzer,address,undefined this is a program of its own, which
 * finds its way without a corpus. */

#include <config.h>
#undef NDEBUG

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "openvswitch/dynamic-string.h"
#include "openvswitch/util.h"
#include "util.h"
#include "vmlat-filter.h"
#include "vmlat-packet.h"
#include "vmlat-record-file.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* What the first bytes are taken for. */
enum {
    WANT,                       /* Which keys to have, one bit each. */
    FROM_PACKET,                /* Which to take from the packet, so that they
                                 * match. */
    PREFIX,                     /* Bits of the addresses to ignore. */
    FROM_PLAIN,                 /* Odd: the packet is the difference to a plain
                                 * one. */
    VALUES,                     /* For keys that do not come from there. */
    N_CONTROL = VALUES + 4
};

/* Where the ports of plain IPv4 are. */
#define PORTS_OFS (14 + 20)

/* A UDP packet.  A random input is rarely so close to it that the fast path
 * has to decide. */
static const uint8_t plain[] = {
    0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 0x08, 0x00,
    0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    0x1f, 0x90, 0, 80, 0, 8, 0, 0,
};

/* Adds 'arg' to 'f' and frees it.  A filter that contradicts itself is refused
 * and left as it was: no error here. */
static void
add_arg(struct vmlat_filter *f, char *arg)
{
    bool recognised;

    free(vmlat_filter_parse_arg(f, arg, &recognised));
    ovs_assert(recognised);
    free(arg);
}

static void
add_address(struct vmlat_filter *f, const char *key, bool ipv6,
            const struct in6_addr *addr, uint8_t ignore)
{
    char s[INET6_ADDRSTRLEN];

    if (ipv6) {
        inet_ntop(AF_INET6, addr, s, sizeof s);
        ignore = MIN(ignore, 128);
    } else {
        inet_ntop(AF_INET, &addr->s6_addr[12], s, sizeof s);
        ignore = MIN(ignore, 32);
    }
    add_arg(f, xasprintf("%s=%s/%d", key, s, (ipv6 ? 128 : 32) - ignore));
}

/* Makes 'f' a filter that 'packet' has a chance to pass.  Where 'packet' is
 * known to have no ports, the bytes that a careless matcher would take for
 * them are worth a try. */
static void
make_filter(struct vmlat_filter *f, const uint8_t *control,
            const struct vmlat_packet *packet,
            const uint8_t *data, size_t size)
{
    static const char *protos[] = { "tcp", "udp", "icmp", "icmp6" };
    uint8_t want = control[WANT], from = control[FROM_PACKET];
    const uint8_t *values = &control[VALUES];
    bool ipv6 = packet->ip_version == 6;
    uint16_t src_port = packet->src_port, dst_port = packet->dst_port;
    struct in6_addr other;

    if (!(packet->fields & VMLAT_PACKET_PORTS) && size >= PORTS_OFS + 4) {
        src_port = data[PORTS_OFS] << 8 | data[PORTS_OFS + 1];
        dst_port = data[PORTS_OFS + 2] << 8 | data[PORTS_OFS + 3];
    }
    memset(&other, values[0], sizeof other);
    if (want & VMLAT_FILTER_SRC) {
        add_address(f, "src", ipv6,
                    from & VMLAT_FILTER_SRC ? &packet->src : &other,
                    control[PREFIX] & 0x8f);
    }
    if (want & VMLAT_FILTER_DST) {
        add_address(f, "dst", ipv6,
                    from & VMLAT_FILTER_DST ? &packet->dst : &other,
                    control[PREFIX] >> 1);
    }
    if (want & VMLAT_FILTER_SPORT) {
        add_arg(f, xasprintf("sport=%d", (from & VMLAT_FILTER_SPORT
                                          ? src_port : values[1])));
    }
    if (want & VMLAT_FILTER_DPORT) {
        add_arg(f, xasprintf("dport=%d", (from & VMLAT_FILTER_DPORT
                                          ? dst_port : values[2])));
    }
    if (want & VMLAT_FILTER_PROTO) {
        add_arg(f, xasprintf("proto=%s", protos[values[3] % 4]));
    }
}

/* The parser of records sees what the other one saw in 'data', if it takes
 * that at all. */
static void
check_record(const uint8_t *data, size_t size,
             const struct vmlat_packet *packet)
{
    struct vmlat_record r;

    memset(&r, 0, sizeof r);
    if (!vmlat_record_set_headers(&r, data, size)) {
        return;
    }
    ovs_assert(packet->fields & VMLAT_PACKET_IP
               && !memcmp(r.src, &packet->src, sizeof r.src)
               && !memcmp(r.dst, &packet->dst, sizeof r.dst)
               && r.proto == packet->proto);
    if (packet->fields & VMLAT_PACKET_PORTS) {
        ovs_assert(r.sport == packet->src_port && r.dport == packet->dst_port);
    }
    if (packet->fields & VMLAT_PACKET_TCP_SEQ) {
        ovs_assert(r.seq == packet->tcp_seq);
    }
    if (packet->fields & VMLAT_PACKET_ECHO) {
        ovs_assert(r.sport == packet->echo_id && r.seq == packet->echo_seq);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t input_size)
{
    const uint32_t bad = VMLAT_PACKET_TRUNCATED | VMLAT_PACKET_MALFORMED;
    struct ds ds = DS_EMPTY_INITIALIZER;
    struct vmlat_filter f, again;
    struct vmlat_packet packet;
    char *args, *save_ptr = NULL;
    uint8_t *data;
    size_t size;
    int error;

    if (input_size < N_CONTROL) {
        return 0;
    }
    size = input_size - N_CONTROL;
    data = xmemdup(input + N_CONTROL, size);
    if (input[FROM_PLAIN] & 1) {
        for (size_t i = 0; i < MIN(size, sizeof plain); i++) {
            data[i] ^= plain[i];
        }
    }

    error = vmlat_packet_parse(data, size, &packet);
    ovs_assert(!error == !(packet.fields & bad));
    vmlat_packet_format(&packet, &ds);
    ovs_assert(ds.length && !strpbrk(ds_cstr(&ds), "\n\r"));
    check_record(data, size, &packet);

    vmlat_filter_init(&f);
    make_filter(&f, input, &packet, data, size);
    ovs_assert(vmlat_filter_match_packet(&f, &packet)
               == vmlat_filter_match_bytes(&f, data, size));

    /* A filter is what it says that it is. */
    ds_clear(&ds);
    vmlat_filter_format(&f, &ds);
    args = ds_steal_cstr(&ds);
    vmlat_filter_init(&again);
    for (char *arg = strtok_r(args, " ", &save_ptr); arg;
         arg = strtok_r(NULL, " ", &save_ptr)) {
        add_arg(&again, xstrdup(arg));
    }
    ovs_assert(vmlat_filter_equal(&f, &again));

    free(args);
    free(data);
    vmlat_filter_destroy(&f);
    vmlat_filter_destroy(&again);
    return 0;
}
