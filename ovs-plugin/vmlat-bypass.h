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

#ifndef VMLAT_BYPASS_H
#define VMLAT_BYPASS_H 1

/* Looks, for a window when asked (vmlat/bypass) or all the time
 * (other_config:vmlat-bypass-watch), whether the kernel's routing takes the
 * traffic of VMs away from the userspace datapath.
 *
 * A thread of its own, started on first use, gathers the facts and judges
 * them.  Nothing is in the kernel, and the thread does nothing, while nobody
 * asks. */

#include <stdbool.h>
#include <stdint.h>

#include "openvswitch/thread.h"
#include "ovs-thread.h"
#include "vmlat-bypass-rules.h"

/* A window, in ms: of vmlat/bypass without interval=, and of the watch. */
#define VMLAT_BYPASS_WINDOW_DEFAULT 2000
#define VMLAT_BYPASS_WATCH_WINDOW 5000

/* A verdict of the watch changes when so many windows in a row say so. */
#define VMLAT_BYPASS_HYSTERESIS 3

/* For the main thread. */

/* Begins a window of 'ms'.  Returns its number, never 0.  Several may be open
 * at once. */
uint32_t vmlat_bypass_ask(unsigned int ms);

/* Returns true if the window with 'number' is over and judged; then, the
 * caller may call vmlat_bypass_take(). */
bool vmlat_bypass_is_done(uint32_t number);

/* Stores the results of that window, which the caller destroys, and returns
 * true.  To be called once for each window asked for, done or not; of one that
 * is not, returns false, and its results are dropped when they come. */
bool vmlat_bypass_take(uint32_t number, struct vmlat_bypass_results *);

/* Returns the results of the watch's last window, NULL if there is none (yet).
 * They stay valid until the next vmlat_bypass_run(). */
const struct vmlat_bypass_results *vmlat_bypass_watch_last(void);

/* Of the watch. */
struct vmlat_bypass_watched {
    char *port;
    enum vmlat_bypass_verdict verdict;
    long long int since;        /* Wall clock, ms. */
    unsigned int changes;
};
struct vmlat_bypass_watch {
    bool on;
    char *why_not;              /* Why it cannot work, or NULL. */
    struct vmlat_bypass_watched *ports;
    size_t n;
    uint64_t windows;           /* Judged so far. */
    uint64_t cpu_ns;            /* CPU time that the thread took for these. */
    unsigned int window_ms;     /* Present length of a window: longer than
                                 * VMLAT_BYPASS_WATCH_WINDOW where gathering
                                 * would take more than 1 % of a core. */
};
void vmlat_bypass_watch_get(struct vmlat_bypass_watch *);
void vmlat_bypass_watch_destroy(struct vmlat_bypass_watch *);

/* For the main loop: hands what the database says to the thread, turns the
 * watch on and off as set.  'changed' says that the database may have changed.
 */
void vmlat_bypass_run(bool changed);
void vmlat_bypass_wait(void);

/* Stops and waits for the thread to end. */
void vmlat_bypass_exit(void);

#endif /* vmlat-bypass.h */
