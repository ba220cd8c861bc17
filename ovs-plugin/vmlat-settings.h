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

#ifndef VMLAT_SETTINGS_H
#define VMLAT_SETTINGS_H 1

/* Settings: Open_vSwitch other_config:vmlat-*, overridden by commands until
 * the daemon restarts.  Main thread only.
 *
 * One line here is all that a further setting needs, beside its use.
 *
 * VMLAT_SETTING_BOOL(ID, key, default, meaning)
 * VMLAT_SETTING_NUM(ID, key, default, min, max, scale, meaning)
 *
 * Numbers are decimal in the database; they are kept multiplied by 'scale'. */

#include <stdbool.h>
#include <stdint.h>

struct smap;

#define VMLAT_SETTINGS                                                        \
    VMLAT_SETTING_BOOL(ENABLE, "vmlat-enable", false,                         \
                       "measure, as if by vmlat/start")                       \
    VMLAT_SETTING_NUM(MIN_US, "vmlat-min-us", 1000, 0, 60000000, 1000,        \
                      "keep packets that took longer, in us, for "            \
                      "vmlat/events; 0 keeps none")                           \
    VMLAT_SETTING_NUM(MAX_HISTOGRAMS, "vmlat-max-histograms", 8192, 1,        \
                      65536, 1,                                               \
                      "histograms at most, 8.4 kB each, one per thread, "     \
                      "pair of ports and segment")                            \
    VMLAT_SETTING_NUM(MAX_FLOWS, "vmlat-max-flows", 0, 0, 65536, 1,           \
                      "flows of the kernel datapath at most, 1.1 kB each, "   \
                      "for vmlat/flows, from the next start on; 0 measures "  \
                      "none")                                                 \
    VMLAT_SETTING_BOOL(STACKS, "vmlat-stacks", false,                         \
                       "keep the kernel's stacks of packets for "             \
                       "vmlat/events")                                        \
    VMLAT_SETTING_NUM(RECORD_MAX, "vmlat-record-max", 100000, 1, 10000000, 1, \
                      "records that vmlat/record keeps at most, 112 bytes "   \
                      "each, unless records= is given to it")                 \
    VMLAT_SETTING_BOOL(VIRT, "vmlat-virt", true,                              \
                       "measure also between ports and VMs: taps, "           \
                       "vhost-net, KVM")                                      \
    VMLAT_SETTING_BOOL(BYPASS_WATCH, "vmlat-bypass-watch", false,             \
                       "watch all the time whether the kernel's routing "     \
                       "takes VMs' traffic away from the datapath, and log "  \
                       "when that changes")

enum vmlat_setting {
#define VMLAT_SETTING_BOOL(ID, KEY, DEFAULT, MEANING) VMLAT_SET_##ID,
#define VMLAT_SETTING_NUM(ID, KEY, DEFAULT, MIN, MAX, SCALE, MEANING) \
    VMLAT_SET_##ID,
    VMLAT_SETTINGS
#undef VMLAT_SETTING_BOOL
#undef VMLAT_SETTING_NUM
    VMLAT_N_SETTINGS
};

/* Takes the settings in 'other_config'.  A value that is not allowed gets one
 * warning in the log, and the old setting stays.  Returns true if a setting
 * changed. */
bool vmlat_settings_update(const struct smap *other_config);

/* Returns the value of a setting, scaled. */
uint64_t vmlat_setting_get(enum vmlat_setting);

/* Overrides a setting, from a command, until the daemon restarts. */
void vmlat_setting_override(enum vmlat_setting, uint64_t value);

/* For listing them. */
struct vmlat_setting_info {
    const char *key;
    uint64_t value;             /* Scaled. */
    uint64_t scale;             /* 0 for a Boolean. */
    bool overridden;            /* By a command. */
    const char *meaning;
};
void vmlat_setting_describe(enum vmlat_setting, struct vmlat_setting_info *);

#endif /* vmlat-settings.h */
