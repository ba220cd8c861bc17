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

#ifndef VMLAT_GUEST_UTIL_H
#define VMLAT_GUEST_UTIL_H 1

/* What vmlat-guest would otherwise take from OVS's lib, which is several times
 * the size of all the rest.  Out of memory ends the program. */

#include <stddef.h>

#define N_ELEMENTS(ARRAY) (sizeof(ARRAY) / sizeof(ARRAY)[0])

void *vmlat_guest_calloc(size_t n, size_t size);
char *vmlat_guest_asprintf(const char *format, ...)
    __attribute__((__format__(__printf__, 1, 2)));

/* The message of error number 'error'.  The next call may overwrite it. */
const char *vmlat_guest_strerror(int error);

/* Prints "vmlat-guest: " and one line to stderr, and exits with status 1. */
void vmlat_guest_fatal(const char *format, ...)
    __attribute__((__format__(__printf__, 1, 2), __noreturn__));

#endif /* vmlat-guest-util.h */
