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
#include "vmlat-bpf.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "util.h"

#define MIN_KERNEL "5.10"
#define STATUS_FILE "/proc/self/status"
#define LOCKDOWN_FILE "/sys/kernel/security/lockdown"
#define BTF_FILE "/sys/kernel/btf/vmlinux"

static bool
has_capability(int capability)
{
    FILE *stream = fopen(STATUS_FILE, "r");
    uint64_t effective = UINT64_MAX;
    char line[256];

    while (stream && fgets(line, sizeof line, stream)) {
        if (!strncmp(line, "CapEff:", 7)) {
            effective = strtoull(line + 7, NULL, 16);
        }
    }
    if (stream) {
        fclose(stream);
    }
    return (effective >> capability) & 1;
}

/* Numbers in linux/capability.h. */
#define CAPABILITY_SYS_ADMIN 21
#define CAPABILITY_PERFMON 38
#define CAPABILITY_BPF 39

static bool
is_locked_down(void)
{
    FILE *stream = fopen(LOCKDOWN_FILE, "r");
    char line[256];
    bool locked;

    locked = (stream && fgets(line, sizeof line, stream)
              && strstr(line, "[confidentiality]"));
    if (stream) {
        fclose(stream);
    }
    return locked;
}

unsigned int
vmlat_bpf_kernel_version(void)
{
    unsigned int major, minor;
    struct utsname u;

    return (!uname(&u) && ovs_scan(u.release, "%u.%u", &major, &minor)
            ? major * 1000 + minor : 0);
}

char *
vmlat_bpf_why_not(void)
{
    if (vmlat_bpf_kernel_version() < 5010) {
        struct utsname u;

        uname(&u);
        return xasprintf("Linux %s is too old: " MIN_KERNEL " is the first "
                         "that can be measured", u.release);
    }
    if (access(BTF_FILE, R_OK)) {
        return xasprintf(BTF_FILE ": %s: the kernel has to be built "
                         "with CONFIG_DEBUG_INFO_BTF=y",
                         ovs_strerror(errno));
    }
    if (!has_capability(CAPABILITY_SYS_ADMIN)
        && (!has_capability(CAPABILITY_BPF)
            || !has_capability(CAPABILITY_PERFMON))) {
        return xstrdup("no permission to load BPF programs: the daemon has no "
                       "CAP_BPF and CAP_PERFMON (ovs-vswitchd --user drops "
                       "them: run it as root without that option)");
    }
    if (is_locked_down()) {
        return xstrdup("the kernel is locked down (lockdown=confidentiality, "
                       "see " LOCKDOWN_FILE "): BPF programs may not read "
                       "its memory");
    }
    return NULL;
}

void
vmlat_bpf_update_missed(int fd, uint64_t *missed)
{
    struct bpf_prog_info info;
    uint32_t length = sizeof info;

    memset(&info, 0, sizeof info);
    if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &length)) {
        *missed = info.recursion_misses;
    }
}
