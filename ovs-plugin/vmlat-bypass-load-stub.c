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
#include "vmlat-bypass-load.h"

#include "util.h"

/* What stands for vmlat-bypass-load.c where vmlat is built without BPF. */

char *
vmlat_bypass_program_load(struct vmlat_bypass_program **program)
{
    *program = NULL;
    return xstrdup("vmlat was built without BPF programs (--without-bpf)");
}

void
vmlat_bypass_program_unload(struct vmlat_bypass_program *program OVS_UNUSED)
{
}

size_t
vmlat_bypass_program_configure(
    struct vmlat_bypass_program *program OVS_UNUSED,
    const struct vmlat_bypass_host *host OVS_UNUSED,
    const uint32_t internal[] OVS_UNUSED, size_t n OVS_UNUSED)
{
    OVS_NOT_REACHED();
}

void
vmlat_bypass_program_read(struct vmlat_bypass_program *program OVS_UNUSED,
                          struct vmlat_bypass_kernel *kernel OVS_UNUSED)
{
    OVS_NOT_REACHED();
}
