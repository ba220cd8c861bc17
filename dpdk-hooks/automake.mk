# Copyright (c) 2026 The vmlat authors.
#
# Copying and distribution of this file, with or without modification,
# are permitted in any medium without royalty provided the copyright
# notice and this notice are preserved.  This file is offered as-is,
# without warranty of any kind.

# The side of the module that talks to DPDK, or a stub of the same interface
# for an OVS without DPDK.
if HAVE_DPDK
VMLAT_DPDK = dpdk
VMLAT_DPDK_SOURCES = dpdk-hooks/vmlat-dpdk.c \
	ovs-plugin/vmlat-datapath.c dpdk-hooks/vmlat-dpdk.h
EXTRA_DIST += dpdk-hooks/vmlat-dpdk-stub.c
VMLAT_FILES += dpdk-hooks/vmlat-dpdk-stub.c
else
VMLAT_DPDK = no-dpdk
VMLAT_DPDK_SOURCES = dpdk-hooks/vmlat-dpdk-stub.c dpdk-hooks/vmlat-dpdk.h
EXTRA_DIST += dpdk-hooks/vmlat-dpdk.c
endif
VMLAT_FILES += $(VMLAT_DPDK_SOURCES)
