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


#ifndef VMLAT_BPF_H
#define VMLAT_BPF_H 1

#include <stdint.h>

/* What all that load BPF programs have to know of the kernel and of the
 * daemon's permissions.  Any thread. */

/* Returns one line that says what keeps all BPF programs of vmlat from being
 * loaded, NULL if nothing is known to.  The caller frees it. */
char *vmlat_bpf_why_not(void);

/* Returns the version of the kernel, 5.12 being 5012; 0 if it is unknown. */
unsigned int vmlat_bpf_kernel_version(void);

/* Stores in '*missed' how many runs of the program 'fd' the kernel has skipped
 * since it was loaded, because it was running on that CPU.  0 on kernels that
 * do not count them.  Leaves '*missed' alone if 'fd' is no program. */
void vmlat_bpf_update_missed(int fd, uint64_t *missed);

#endif /* vmlat-bpf.h */
