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

/* In place of vmlat-dpdk.c and vmlat-datapath.c when OVS is built without
 * DPDK: its packets have no room for a stamp then. */

#include <config.h>
#include "vmlat-dpdk.h"

#include "openvswitch/compiler.h"
#include "ovs-plugin/vmlat-datapath.h"

uint16_t vmlat_stamp_ofs;
uint64_t vmlat_stamp_flag;

int
vmlat_dpdk_hook_ethdev(struct netdev *netdev OVS_UNUSED,
                       const char **why_not)
{
    *why_not = "OVS is built without DPDK";
    return -1;
}

bool
vmlat_dpdk_vring_depth(int vid OVS_UNUSED, uint16_t queue_id OVS_UNUSED,
                       uint16_t *depth OVS_UNUSED)
{
    return false;
}

bool
vmlat_dpdk_ethdev_is_hooked(int port_id OVS_UNUSED)
{
    return false;
}

bool
vmlat_dpdk_ethdev_is_virtual(int port_id OVS_UNUSED)
{
    return false;
}

const char *
vmlat_datapath_why_not(void)
{
    return "OVS is built without DPDK: packets of the userspace datapath have "
           "no room for a stamp";
}

void
vmlat_datapath_set_filter(const struct vmlat_filter *filter OVS_UNUSED)
{
    /* Nothing is measured. */
}
