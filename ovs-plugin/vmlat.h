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

#ifndef VMLAT_H
#define VMLAT_H 1

/* The module as a whole: its life inside ovs-vswitchd.  Everything here is
 * called on the main thread. */

#include <stdbool.h>
#include <stdint.h>

struct ds;
struct vmlat_filter;

enum vmlat_state {
    VMLAT_STOPPED,
    VMLAT_STARTED,
    VMLAT_STOPPING              /* Waiting for the packets inside. */
};

/* From the wrappers of the main loop. */
void vmlat_run_main(void);
void vmlat_wait_main(void);
void vmlat_exit_main(void);

/* Starts measuring the packets that match 'filter', which is copied and may be
 * NULL for all.  When started already, only the filter changes.  Returns NULL
 * or a message for the operator, which the caller must free. */
char *vmlat_start(const struct vmlat_filter *filter);

/* Returns true while a start is in progress: the programs for the kernel
 * datapath are being loaded. */
bool vmlat_start_pending(void);

/* True while what vmlat_start() began is still being prepared, so that packets
 * would be missed.  It ends by itself, after some seconds at most. */
bool vmlat_start_pending(void);

/* Stops.  Packets that are inside are still measured, for up to a second. */
void vmlat_stop(void);

/* vmlat/record has begun or ended: makes the data path act accordingly. */
void vmlat_record_changed(void);

/* Forgets all counts, without a pause for the threads that measure. */
void vmlat_clear(void);

enum vmlat_state vmlat_state(void);
const char *vmlat_state_name(enum vmlat_state);

/* Present filter, NULL if none. */
const struct vmlat_filter *vmlat_filter(void);

/* Wall-clock time in ms of the last start, and of the last clear or first
 * start; 0 if never. */
long long int vmlat_started_at(void);
long long int vmlat_cleared_at(void);

/* Appends the estimate of the module's own cost to 'ds'. */
void vmlat_cost_format(struct ds *);

#endif /* vmlat.h */
