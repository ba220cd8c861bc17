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

#ifndef VMLAT_DPDK_H
#define VMLAT_DPDK_H 1

/* What vmlat needs of DPDK: room for a stamp in the mbuf, and what the drivers
 * of ethdevs answer.  (vhost rings are wrapped, see vmlat-wrap.c.) */

#include <stdbool.h>
#include <stdint.h>

struct netdev;

/* Where the stamp is in a packet's mbuf, and the bit in 'ol_flags' that says
 * that it is there.  They are fixed before DPDK is initialized, so that
 * datapaths without DPDK ports have them too; initialization makes DPDK keep
 * them for us.
 *
 * 'vmlat_stamp_ofs' is 0 if DPDK has no room left. */
extern uint16_t vmlat_stamp_ofs;
extern uint64_t vmlat_stamp_flag;

/* Called once DPDK is up, on the main thread, before it has any port. */
void vmlat_dpdk_up(void);

/* Puts vmlat's burst functions in front of those of the driver of 'netdev', if
 * it is an ethdev, and returns its DPDK port id; -1 if it is none.  If that is
 * not possible, sets '*why_not'.  Called while no thread uses 'netdev'. */
int vmlat_dpdk_hook_ethdev(struct netdev *netdev, const char **why_not);

/* Returns true if the burst functions of ethdev 'port_id' are still those that
 * vmlat put there. */
bool vmlat_dpdk_ethdev_is_hooked(int port_id);

/* Returns true if ethdev 'port_id' is a device of software, like
 * net_af_packet, rather than hardware. */
bool vmlat_dpdk_ethdev_is_virtual(int port_id);

/* Stores in '*depth' how many buffers the guest has made available in a ring
 * of a vhost-user port and the host has not used.  Returns false if that is
 * not known. */
bool vmlat_dpdk_vring_depth(int vid, uint16_t queue_id, uint16_t *depth);

#endif /* vmlat-dpdk.h */
