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

/* Drivers of devices.
 *
 * A device keeps its driver as long as it lives, and some drivers take long to
 * answer, so they are asked once. */

#include <config.h>
#include "vmlat-bypass-host.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "hash.h"
#include "openvswitch/hmap.h"
#include "ovs-thread.h"
#include "packets.h"
#include "socket-util.h"
#include "util.h"
#include "vmlat-bypass-netlink.h"

struct driver {
    struct hmap_node node;      /* In 'drivers'. */
    uint32_t ifindex;
    char name[IFNAMSIZ];
    struct eth_addr mac;
    char driver[32];
    char bus[32];
    bool used;                  /* The device was met in the last dump. */
};

static struct ovs_mutex drivers_mutex = OVS_MUTEX_INITIALIZER;
static struct hmap drivers OVS_GUARDED_BY(drivers_mutex)
    = HMAP_INITIALIZER(&drivers);

static struct driver *
find_driver(const struct vmlat_bypass_link *link)
    OVS_REQUIRES(drivers_mutex)
{
    struct driver *d;

    HMAP_FOR_EACH_WITH_HASH (d, node, hash_int(link->ifindex, 0), &drivers) {
        if (d->ifindex == link->ifindex && !strcmp(d->name, link->name)
            && eth_addr_equals(d->mac, link->mac)) {
            return d;
        }
    }
    return NULL;
}

/* Asks the driver of 'link' for its name and its place on a bus.  Returns
 * false if there is no such device any more; a driver that does not say is one
 * whose name is "". */
static bool
ask_driver(const struct vmlat_bypass_link *link, struct driver *d)
{
    struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
    struct ifreq ifr;
    int error;

    memset(&ifr, 0, sizeof ifr);
    ovs_strlcpy(ifr.ifr_name, link->name, sizeof ifr.ifr_name);
    ifr.ifr_data = (char *) &info;
    error = af_inet_ioctl(SIOCETHTOOL, &ifr);
    if (error) {
        return error != ENODEV;
    }
    info.driver[sizeof info.driver - 1] = '\0';
    info.bus_info[sizeof info.bus_info - 1] = '\0';
    ovs_strlcpy(d->driver, info.driver, sizeof d->driver);
    ovs_strlcpy(d->bus, info.bus_info, sizeof d->bus);
    return true;
}

/* Fills in what drivers say. */
void
vmlat_bypass_host_read_drivers(struct vmlat_bypass_host *host)
{
    struct driver *d;

    ovs_mutex_lock(&drivers_mutex);
    for (size_t i = 0; i < host->n_links; i++) {
        struct vmlat_bypass_link *link = &host->links[i];

        if (link->flags & IFF_LOOPBACK) {
            continue;
        }
        d = find_driver(link);
        if (!d) {
            struct driver new = { .ifindex = link->ifindex };

            if (!ask_driver(link, &new)) {
                continue;
            }
            ovs_strlcpy(new.name, link->name, sizeof new.name);
            new.mac = link->mac;
            d = xmemdup(&new, sizeof new);
            hmap_insert(&drivers, &d->node, hash_int(d->ifindex, 0));
        }
        d->used = true;
        ovs_strlcpy(link->driver, d->driver, sizeof link->driver);

        /* Virtual devices put other things there, or nothing. */
        if (link->physical || !link->kind[0]) {
            ovs_strlcpy(link->bus, d->bus, sizeof link->bus);
            link->physical = link->physical || link->bus[0];
        }
    }
    HMAP_FOR_EACH_SAFE (d, node, &drivers) {
        if (!d->used) {
            hmap_remove(&drivers, &d->node);
            free(d);
        } else {
            d->used = false;
        }
    }
    ovs_mutex_unlock(&drivers_mutex);
}
