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

/* Whether this host translates addresses. */

#include <config.h>
#include "vmlat-bypass-host.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "openvswitch/ofpbuf.h"
#include "util.h"
#include "vmlat-bypass-netlink.h"

#define SYS_NET "/proc/sys/net"
#define CONNTRACK SYS_NET "/netfilter/nf_conntrack_max"
#define CONNTRACK_IS_MODULE "/sys/module/nf_conntrack/initstate"
#define NFT_NAT_MODULE "/sys/module/nft_chain_nat"
#define IPTABLES "/proc/thread-self/net/ip_tables_names"
#define IP6TABLES "/proc/thread-self/net/ip6_tables_names"

/* Returns 1, 0, or -1 if unknown, whether tables of iptables-legacy, whose
 * names are in 'file', translate. */
static int
legacy_nat(const char *file)
{
    FILE *stream = fopen(file, "r");
    char line[64];
    int nat = 0;

    if (!stream) {
        return errno == ENOENT ? 0 : -1;
    }
    while (fgets(line, sizeof line, stream)) {
        if (!strcmp(line, "nat\n")) {
            nat = 1;
        }
    }
    if (ferror(stream)) {
        nat = -1;
    }
    fclose(stream);
    return nat;
}

/* Sets '*nat' to true if the chain is one that translates, with a hook, and
 * rules in it. */
static void
handle_chain(const struct nlmsghdr *message, void *nat_)
{
    const struct nlattr *attrs[NFTA_CHAIN_MAX + 1];
    bool *nat = nat_;
    char type[16];

    if (!vmlat_netlink_parse(message, sizeof(struct nfgenmsg), attrs,
                             ARRAY_SIZE(attrs))) {
        return;
    }
    vmlat_netlink_string(attrs[NFTA_CHAIN_TYPE], type, sizeof type);
    if (attrs[NFTA_CHAIN_HOOK] && !strcmp(type, "nat")
        && ntohl(vmlat_netlink_u32(attrs[NFTA_CHAIN_USE]))) {
        *nat = true;
    }
}

static void
restart_chains(void *nat_)
{
    bool *nat = nat_;

    *nat = false;
}

/* Returns 1, 0, or -1 if unknown, whether chains of nf_tables translate. */
static int
nf_tables_nat(struct vmlat_bypass_host *host)
{
    struct nfgenmsg *nfgenmsg;
    struct ofpbuf request;
    bool nat = false;
    int error;

    /* Asking would load modules that are not there yet. */
    if (!access(CONNTRACK_IS_MODULE, F_OK) && access(NFT_NAT_MODULE, F_OK)) {
        return 0;
    }
    ofpbuf_init(&request, 0);
    nl_msg_put_nlmsghdr(&request, sizeof *nfgenmsg,
                        (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETCHAIN, 0);
    nfgenmsg = ofpbuf_put_zeros(&request, sizeof *nfgenmsg);
    nfgenmsg->version = NFNETLINK_V0;
    error = vmlat_netlink_dump(NETLINK_NETFILTER, &request, restart_chains,
                               handle_chain, &nat, &host->overrun);
    ofpbuf_uninit(&request);
    return error ? -1 : nat;
}

void
vmlat_bypass_host_read_nat(struct vmlat_bypass_host *host)
{
    if (access(CONNTRACK, F_OK)) {
        /* No NAT without connection tracking. */
        host->nat = access(SYS_NET, F_OK) ? -1 : 0;
    } else {
        int nft = nf_tables_nat(host);
        int ip4 = legacy_nat(IPTABLES);
        int ip6 = legacy_nat(IP6TABLES);

        host->nat = (nft > 0 || ip4 > 0 || ip6 > 0 ? 1
                     : nft < 0 || ip4 < 0 || ip6 < 0 ? -1
                     : 0);
    }
}
