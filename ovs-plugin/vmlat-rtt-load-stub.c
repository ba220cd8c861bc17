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
#include "vmlat-rtt-load.h"

#include "util.h"

/* What stands for vmlat-rtt-load.c where vmlat is built without BPF. */

char *
vmlat_rtt_program_load(const struct vmlat_rtt_config *config OVS_UNUSED,
                       vmlat_rtt_event_cb *cb OVS_UNUSED, void *aux OVS_UNUSED,
                       struct vmlat_rtt_program **program)
{
    *program = NULL;
    return xstrdup("vmlat was built without BPF programs (--without-bpf)");
}

void
vmlat_rtt_program_unload(struct vmlat_rtt_program *program OVS_UNUSED)
{
}

void
vmlat_rtt_program_configure(struct vmlat_rtt_program *program OVS_UNUSED,
                            const struct vmlat_rtt_config *config OVS_UNUSED)
{
    OVS_NOT_REACHED();
}

int
vmlat_rtt_program_fd(const struct vmlat_rtt_program *program OVS_UNUSED)
{
    OVS_NOT_REACHED();
}

size_t
vmlat_rtt_program_read(struct vmlat_rtt_program *program OVS_UNUSED)
{
    OVS_NOT_REACHED();
}

void
vmlat_rtt_program_count(const struct vmlat_rtt_program *program OVS_UNUSED,
                        uint64_t counters[VMLAT_RTT_N_COUNTERS] OVS_UNUSED)
{
    OVS_NOT_REACHED();
}

void
vmlat_rtt_program_update_missed(
    const struct vmlat_rtt_program *program OVS_UNUSED,
    struct vmlat_rtt_attachment *attachment OVS_UNUSED)
{
    OVS_NOT_REACHED();
}

size_t
vmlat_rtt_program_attachments(
    const struct vmlat_rtt_program *program OVS_UNUSED,
    struct vmlat_rtt_attachment **attachments OVS_UNUSED)
{
    OVS_NOT_REACHED();
}

const char *
vmlat_rtt_program_reason(const struct vmlat_rtt_program *program OVS_UNUSED,
                         uint32_t reason OVS_UNUSED)
{
    OVS_NOT_REACHED();
}

const char *
vmlat_rtt_program_function(struct vmlat_rtt_program *program OVS_UNUSED,
                           uint64_t address OVS_UNUSED)
{
    OVS_NOT_REACHED();
}
