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

#include <config.h>
#include "vmlat-clock.h"

#include <time.h>

#include "openvswitch/compiler.h"
#include "util.h"

uint64_t vmlat_clock_mult;

/* A reading of both clocks at once. */
struct vmlat_clock_pair {
    uint64_t ticks;
    uint64_t ns;
    uint64_t error;             /* Ticks. */
};

/* Taken when the program was started. */
static struct vmlat_clock_pair origin;

static uint64_t
clock_ns(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec;
}

/* Reads the ticks and clock 'id' at the same moment: of several tries, takes
 * the one with the shortest time in between. */
static struct vmlat_clock_pair
clock_pair(clockid_t id)
{
    struct vmlat_clock_pair best = { 0, 0, 0 };
    uint64_t best_width = UINT64_MAX;

    for (int i = 0; i < 8; i++) {
        uint64_t before = vmlat_clock_now();
        uint64_t ns = clock_ns(id);
        uint64_t after = vmlat_clock_now();

        if (after - before < best_width) {
            best_width = after - before;
            best.ticks = before + best_width / 2;
            best.ns = ns;
            best.error = best_width - best_width / 2;
        }
    }
    return best;
}

OVS_CONSTRUCTOR(vmlat_clock_init) {
    origin = clock_pair(CLOCK_MONOTONIC);
}

void
vmlat_clock_calibrate(void)
{
    struct vmlat_clock_pair now = clock_pair(CLOCK_MONOTONIC);

    while (now.ns - origin.ns < 20 * UINT64_C(1000000)) {
        struct timespec ts = { 0, 5 * 1000000 };

        nanosleep(&ts, NULL);
        now = clock_pair(CLOCK_MONOTONIC);
    }
    vmlat_clock_mult = (((unsigned __int128) (now.ns - origin.ns) << 32)
                        / (now.ticks - origin.ticks));
}

uint64_t
vmlat_clock_hz(void)
{
    return (vmlat_clock_mult
            ? (((unsigned __int128) 1000000000 << 32) / vmlat_clock_mult)
            : 0);
}

void
vmlat_clock_both(uint64_t *ticks, uint64_t *ns, uint64_t *error)
{
    struct vmlat_clock_pair now = clock_pair(CLOCK_MONOTONIC);

    *ticks = now.ticks;
    *ns = now.ns;
    *error = vmlat_clock_ns(now.error) + 1;
}

uint64_t
vmlat_clock_wall_us(uint64_t ticks)
{
    struct vmlat_clock_pair now = clock_pair(CLOCK_REALTIME);

    return (now.ticks >= ticks
            ? now.ns - vmlat_clock_ns(now.ticks - ticks)
            : now.ns + vmlat_clock_ns(ticks - now.ticks)) / 1000;
}
