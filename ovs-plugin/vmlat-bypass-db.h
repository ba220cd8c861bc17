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

#ifndef VMLAT_BYPASS_DB_H
#define VMLAT_BYPASS_DB_H 1

/* What the Open vSwitch database says of ports, for vmlat/bypass.  Main thread
 * only. */

#include "vmlat-bypass-facts.h"

/* Stores all that is known of ports, bridges and DPDK to '*ovs', which the
 * caller destroys.  Takes a system call for each port with a device of the
 * kernel's. */
void vmlat_bypass_db_read(struct vmlat_bypass_ovs *ovs);

#endif /* vmlat-bypass-db.h */
