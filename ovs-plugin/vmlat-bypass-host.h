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

#ifndef VMLAT_BYPASS_HOST_H
#define VMLAT_BYPASS_HOST_H 1

/* How the kernel is configured, in the network namespace of the daemon: out of
 * rtnetlink and /proc/sys, never out of what commands print.
 *
 * For a thread that may block. */

#include "vmlat-bypass-facts.h"

/* As many entries of each kind are kept at most; routes of BGP tables may be
 * more, what is left out is counted. */
#define VMLAT_BYPASS_MAX_LINKS 4096
#define VMLAT_BYPASS_MAX_IPS 8192
#define VMLAT_BYPASS_MAX_ROUTES 65536
#define VMLAT_BYPASS_MAX_POLICIES 4096
#define VMLAT_BYPASS_MAX_NEIGHBORS 16384

/* Stores what is configured now to '*host', which the caller destroys. */
void vmlat_bypass_host_read(struct vmlat_bypass_host *host);

/* Stores to '*ifindex' the device that the kernel would send an IPv4 (mapped)
 * or IPv6 packet to 'dst' out of, if it came in by device 'iif' from 'src'
 * (RTM_GETROUTE), and to '*gateway' the next hop, all 0 if 'dst' is on the
 * link.  Returns 0, or an errno (ENETUNREACH if there is no route).  Stores
 * *ifindex 0 if 'dst' is this host's own. */
int vmlat_bypass_host_route(const struct in6_addr *src,
                            const struct in6_addr *dst, uint32_t iif,
                            uint32_t *ifindex, struct in6_addr *gateway);

#endif /* vmlat-bypass-host.h */
