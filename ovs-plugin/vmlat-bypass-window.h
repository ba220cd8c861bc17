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

#ifndef VMLAT_BYPASS_WINDOW_H
#define VMLAT_BYPASS_WINDOW_H 1

/* Adds up what was counted in parts of a window. */

#include "vmlat-bypass-facts.h"

/* Adds 'part' to 'sum', whose rows, ways and flows there are once each then.
 */
void vmlat_bypass_dp_add(struct vmlat_bypass_dp *sum,
                         const struct vmlat_bypass_dp *part);
void vmlat_bypass_kernel_add(struct vmlat_bypass_kernel *sum,
                             const struct vmlat_bypass_kernel *part);

#endif /* vmlat-bypass-window.h */
