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
#include "vmlat-virt-load.h"

#include "util.h"

/* What stands for vmlat-virt-load.c where vmlat is built without BPF. */

char *
vmlat_virt_program_load(const struct vmlat_virt_options *options OVS_UNUSED,
                        vmlat_virt_record_cb *cb OVS_UNUSED,
                        void *aux OVS_UNUSED,
                        struct vmlat_virt_program **program)
{
    *program = NULL;
    return xstrdup("vmlat was built without BPF programs (--without-bpf)");
}

void
vmlat_virt_program_detach(struct vmlat_virt_program *program OVS_UNUSED)
{
}

void
vmlat_virt_program_unload(struct vmlat_virt_program *program OVS_UNUSED)
{
}

void
vmlat_virt_program_unload_later(
    struct vmlat_virt_program *program OVS_UNUSED)
{
    OVS_NOT_REACHED();
}

const struct vmlat_virt_maps *
vmlat_virt_program_maps(const struct vmlat_virt_program *program OVS_UNUSED)
{
    OVS_NOT_REACHED();
}

int
vmlat_virt_program_fd(const struct vmlat_virt_program *program OVS_UNUSED)
{
    OVS_NOT_REACHED();
}

size_t
vmlat_virt_program_read(struct vmlat_virt_program *program OVS_UNUSED,
                        size_t max OVS_UNUSED)
{
    OVS_NOT_REACHED();
}

size_t
vmlat_virt_program_hooks(const struct vmlat_virt_program *program OVS_UNUSED,
                         const struct vmlat_virt_hook **hooks OVS_UNUSED)
{
    OVS_NOT_REACHED();
}

void
vmlat_virt_program_update_missed(
    struct vmlat_virt_program *program OVS_UNUSED)
{
    OVS_NOT_REACHED();
}

unsigned int
vmlat_virt_program_generation(
    const struct vmlat_virt_program *program OVS_UNUSED)
{
    OVS_NOT_REACHED();
}

bool
vmlat_virt_program_can_rx(const struct vmlat_virt_program *program OVS_UNUSED)
{
    OVS_NOT_REACHED();
}

bool
vmlat_virt_program_can_tx(const struct vmlat_virt_program *program OVS_UNUSED)
{
    OVS_NOT_REACHED();
}

bool
vmlat_virt_program_sees_us(
    const struct vmlat_virt_program *program OVS_UNUSED)
{
    OVS_NOT_REACHED();
}

bool
vmlat_virt_program_can_user(
    const struct vmlat_virt_program *program OVS_UNUSED)
{
    OVS_NOT_REACHED();
}

bool
vmlat_virt_program_is_outdated(
    const struct vmlat_virt_program *program OVS_UNUSED)
{
    OVS_NOT_REACHED();
}
