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

#ifndef TEST_VMLAT_H
#define TEST_VMLAT_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "command-line.h"
#include "compiler.h"

/* Counts an error, and says what is wrong if there are not too many. */
void fail(const char *format, ...) OVS_PRINTF_FORMAT(1, 2);

/* A splitmix64 generator: fast and the same everywhere. */
uint64_t next_random(uint64_t *state);

/* Returns a random number from 0 to 'n' - 1. */
unsigned int random_below(uint64_t *state, unsigned int n);

/* bypass: verdicts, causes and cures, from facts made up here. */
void test_bypass(struct ovs_cmdl_context *);

/* record: files of records and what is in them. */
void test_record(struct ovs_cmdl_context *);
void test_record_print(struct ovs_cmdl_context *);
bool check_record_headers(const void *bytes, size_t size);

#endif /* test-vmlat.h */
