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

#ifndef VMLAT_CLOCK_H
#define VMLAT_CLOCK_H 1

/* The clock of the data path.
 *
 * Ticks are TSC cycles on machines that have a TSC (the generic counter with
 * DPDK on other CPUs, nanoseconds elsewhere).  They are read once per burst
 * and turned into nanoseconds once per run of packets that share a stamp,
 * never per packet. */

#include <stdint.h>
#include <time.h>

#ifdef DPDK_NETDEV
#include <rte_cycles.h>
#else
#include "timeval.h"
#endif

/* Nanoseconds per tick, as a 32.32 fixed point number.  Written by
 * vmlat_clock_calibrate() only, before anything is measured with it. */
extern uint64_t vmlat_clock_mult;

/* Returns the present time in ticks.  Any thread. */
static inline uint64_t
vmlat_clock_now(void)
{
#ifdef DPDK_NETDEV
    return rte_rdtsc();
#elif defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec;
#endif
}

/* Returns 'ticks', a difference of two readings, in nanoseconds. */
static inline uint64_t
vmlat_clock_ns(uint64_t ticks)
{
    return ((unsigned __int128) ticks * vmlat_clock_mult) >> 32;
}

/* Measures the length of a tick against CLOCK_MONOTONIC, over the time since
 * the program was started.  Blocks up to 20 ms when that is very short.  Main
 * thread, while nothing is being measured. */
void vmlat_clock_calibrate(void);

/* Returns the frequency of the clock in ticks per second, 0 before the first
 * vmlat_clock_calibrate(). */
uint64_t vmlat_clock_hz(void);

/* Reads the clock and CLOCK_MONOTONIC, in ns, at the same moment, which is
 * known to '*error' ns.  Any thread. */
void vmlat_clock_both(uint64_t *ticks, uint64_t *ns, uint64_t *error);

/* Returns the wall-clock time, in microseconds since 1970, at which the clock
 * stood at 'ticks'.  Any thread. */
uint64_t vmlat_clock_wall_us(uint64_t ticks);

#endif /* vmlat-clock.h */
