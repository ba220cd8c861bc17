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
#include "vmlat-guest-util.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The C library's functions are in parentheses here, since checkpatch.py would
 * have OVS's in their places. */

void *
vmlat_guest_calloc(size_t n, size_t size)
{
    void *p = (calloc)(n ? n : 1, size ? size : 1);

    if (!p) {
        vmlat_guest_fatal("out of memory");
    }
    return p;
}

char *
vmlat_guest_asprintf(const char *format, ...)
{
    va_list args;
    char *s;
    int n;

    va_start(args, format);
    n = (vasprintf)(&s, format, args);
    va_end(args);
    if (n < 0) {
        vmlat_guest_fatal("out of memory");
    }
    return s;
}

const char *
vmlat_guest_strerror(int error)
{
    return (strerror)(error);
}

void
vmlat_guest_fatal(const char *format, ...)
{
    va_list args;

    fflush(stdout);
    fprintf(stderr, "vmlat-guest: ");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    putc('\n', stderr);
    exit(1);
}
