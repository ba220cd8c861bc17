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

/* The tables of what vmlat measures.  One more segment, fate, kind of port or
 * other point is one more line here: names, headings, JSON keys and the check
 * of the manual come from these lines. */

#ifndef VMLAT_TABLES_H
#define VMLAT_TABLES_H 1

#include <linux/types.h>
#include "vmlat-abi.h"
#include "vmlat-virt-abi.h"

/* Segments.  "ovs" and "ovs-upcall" are of both datapaths, the stages of
 * VMLAT_BPF_STAGES of the kernel's, those of VMLAT_VIRT_STAGES between a port
 * and its VM.
 *
 * VMLAT_SEGMENT(ID, name, meaning) */
#define VMLAT_SEGMENTS                                                        \
    VMLAT_SEGMENT(OVS, "ovs",                                                 \
                  "in OVS, from the poll that took the packet to the far "    \
                  "ring's taking it, without an upcall")                      \
    VMLAT_SEGMENT(OVS_UPCALL, "ovs-upcall",                                   \
                  "the same, for packets that took an upcall")                \
    VMLAT_SEGMENT(UPCALL, "upcall",                                           \
                  "in the upcall itself")                                     \
    VMLAT_SEGMENT(POLL_GAP, "poll-gap",                                       \
                  "between two polls of a receive queue: the bound of the "   \
                  "unseen wait in the ring")                                  \
    VMLAT_BPF_STAGES                                                          \
    VMLAT_VIRT_STAGES
#define VMLAT_BPF_STAGE(ID, NAME, MEANING) VMLAT_SEGMENT(ID, NAME, MEANING)
#define VMLAT_VIRT_STAGE(ID, NAME, MEANING) \
    VMLAT_SEGMENT(VIRT_##ID, NAME, MEANING)
#define VMLAT_FIRST_STAGE (VMLAT_SEG_POLL_GAP + 1)
#define VMLAT_FIRST_VIRT (VMLAT_FIRST_STAGE + VMLAT_N_STAGES - 2)

/* What became of a packet that entered at a port.  Every packet that entered
 * has exactly one fate, so that the fates add up to the packets.
 *
 * VMLAT_FATE(ID, heading, meaning) */
#define VMLAT_FATES                                                           \
    VMLAT_FATE(MEASURED, "measured",                                          \
               "sent, and its time is in the histograms")                     \
    VMLAT_FATE(BEFORE_START, "before_start",                                  \
               "left, but entered before vmlat/start or vmlat/clear")         \
    VMLAT_FATE(MADE_BY_OVS, "made_by_ovs",                                    \
               "sent, entered nowhere: OVS made it (packet-out, BFD, ...)")   \
    VMLAT_FATE(UNHOOKED, "unhooked",                                          \
               "sent, entered or left by a port that is not measured")        \
    VMLAT_FATE(FILTERED, "filtered",                                          \
               "does not match the filter given to vmlat/start")              \
    VMLAT_FATE(NO_ROOM, "no_room",                                            \
               "sent, but vmlat-max-histograms histograms are in use")        \
    VMLAT_FATE(BAD_CLOCK, "bad_clock",                                        \
               "sent, but the clock went backward between cores")             \
    VMLAT_FATE(COPIED, "copied",                                              \
               "not sent itself, only copies of it were (see 'PORT copies')") \
    VMLAT_FATE(POLICED, "policed",                                            \
               "dropped by the port's ingress policer")                       \
    VMLAT_FATE(DROPPED, "dropped",                                            \
               "dropped in the datapath: by a flow, a meter, conntrack, ...") \
    VMLAT_FATE(TX_DROPPED, "tx_dropped",                                      \
               "dropped by the port it should leave by: down, MTU, QoS")      \
    VMLAT_FATE(REFUSED, "refused",                                            \
               "refused by the far ring, which was full")                     \
    VMLAT_FATE(TX_ERROR, "tx_error",                                          \
               "in a batch that met an error; whether it left is unknown")    \
    VMLAT_FATE(UPCALL_FULL, "upcall_full",                                    \
               "dropped since the upcall found no room in its socket")        \
    VMLAT_FATE(UPCALL_DROPPED, "upcall_dropped",                              \
               "went to a handler thread, which did not send it on")          \
    VMLAT_FATE(TABLE_FULL, "table_full",                                      \
               "not followed: the kernel's table of packets was full")        \
    VMLAT_FATE(EVICTED, "evicted",                                            \
               "followed no more: too old when another one needed the room")  \
    VMLAT_FATE(LOST, "lost",                                                  \
               "its end was not seen: its address belongs to another packet") \
    VMLAT_FATE(AFTER_STOP, "after_stop",                                      \
               "still inside when vmlat/stop gave up waiting for it")         \
    VMLAT_FATE(INSIDE, "inside",                                              \
               "in OVS now")

/* Kinds of port, by the type of the network device that the datapath opened.
 * In the kernel's datapath all of them are measured by BPF.
 *
 * VMLAT_PORT_TYPE(type, role, how it is measured) */
#define VMLAT_PORT_TYPES                                                      \
    VMLAT_PORT_TYPE("dpdkvhostuserclient", VM,   "vhost burst")               \
    VMLAT_PORT_TYPE("dpdkvhostuser",       VM,   "vhost burst")               \
    VMLAT_PORT_TYPE("dpdk",                WIRE, "ethdev burst")              \
    VMLAT_PORT_TYPE("system",              WIRE, "netdev batch")              \
    VMLAT_PORT_TYPE("afxdp",               WIRE, "netdev batch")              \
    VMLAT_PORT_TYPE("afxdp-nonpmd",        WIRE, "netdev batch")              \
    VMLAT_PORT_TYPE("tap",                 HOST, "netdev batch")              \
    VMLAT_PORT_TYPE("internal",            HOST, "netdev batch")              \
    VMLAT_PORT_TYPE("vxlan",               WIRE, "BPF")                       \
    VMLAT_PORT_TYPE("geneve",              WIRE, "BPF")                       \
    VMLAT_PORT_TYPE("gre",                 WIRE, "BPF")                       \
    VMLAT_PORT_TYPE("ip6gre",              WIRE, "BPF")                       \
    VMLAT_PORT_TYPE("erspan",              WIRE, "BPF")                       \
    VMLAT_PORT_TYPE("ip6erspan",           WIRE, "BPF")                       \
    VMLAT_PORT_TYPE("gtpu",                WIRE, "BPF")                       \
    VMLAT_PORT_TYPE("bareudp",             WIRE, "BPF")                       \
    VMLAT_PORT_TYPE("dummy",               VM,   "netdev batch")              \
    VMLAT_PORT_TYPE("dummy-pmd",           VM,   "netdev batch")              \
    VMLAT_PORT_TYPE("dummy-internal",      HOST, "netdev batch")

enum vmlat_segment {
#define VMLAT_SEGMENT(ID, NAME, MEANING) VMLAT_SEG_##ID,
    VMLAT_SEGMENTS
#undef VMLAT_SEGMENT
    VMLAT_N_SEGMENTS
};

enum vmlat_fate {
#define VMLAT_FATE(ID, HEADING, MEANING) VMLAT_FATE_##ID,
    VMLAT_FATES
#undef VMLAT_FATE
    VMLAT_N_FATES
};

/* Which side of a bridge a port is on. */
enum vmlat_role {
    VMLAT_ROLE_VM,
    VMLAT_ROLE_WIRE,
    VMLAT_ROLE_HOST,
};

#endif /* vmlat-tables.h */
