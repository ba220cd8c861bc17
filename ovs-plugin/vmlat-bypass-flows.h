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

#ifndef VMLAT_BYPASS_FLOWS_H
#define VMLAT_BYPASS_FLOWS_H 1

/* What userspace datapaths did with packets, out of the counters of their
 * flows, which PMD threads keep anyway: this costs them nothing.
 *
 * For one thread, not the main one, that may block: a dump takes 0.6 to 1.2 us
 * per flow of each PMD thread.  It quiesces (RCU) all the time. */

#include "vmlat-bypass-facts.h"

struct sset;
struct vmlat_bypass_flows;

struct vmlat_bypass_flows *vmlat_bypass_flows_create(void);
void vmlat_bypass_flows_destroy(struct vmlat_bypass_flows *);

/* Dumps the flows of all userspace datapaths, and stores what they have
 * counted since the last call to '*dp', which the caller destroys: the rows
 * with the most packets first.  The first call stores no rows: it is where
 * counting begins.
 *
 * A packet that several flows handle one after the other counts where it is
 * sent.  A row's 'src' and 'dst' are the packet's as it entered, but 'src' of
 * what goes into an internal port is as the kernel gets it, after flows or
 * tunnels have changed it.
 *
 * Flows do not count the packet that they were made for, which was an upcall,
 * and what a flow counted between the last dump and its end is not seen.
 * All that a flow has counted goes where its actions say at the time of the
 * dump, though they may have changed since the last.
 * Packets that were to be sent count, whether or not a meter or a full queue
 * dropped them in the end.
 *
 * 'mirrors' has the names of ports that are the output of a mirror: what goes
 * there and elsewhere does not count as going to several ports.
 *
 * dp->left_out is an upper bound, of flows beyond VMLAT_BYPASS_MAX_DP_FLOWS
 * (more than the 200,000 flows that OVS has at most, unless it is told
 * otherwise).  Beyond VMLAT_BYPASS_MAX_DP_ROWS, rows do not tell MAC addresses
 * apart; there are never more than twice as many. */
#define VMLAT_BYPASS_MAX_DP_FLOWS 262144
#define VMLAT_BYPASS_MAX_DP_ROWS 16384
void vmlat_bypass_flows_read(struct vmlat_bypass_flows *,
                             const struct sset *mirrors,
                             struct vmlat_bypass_dp *dp);

#endif /* vmlat-bypass-flows.h */
