# Copyright (c) 2026 The vmlat authors.
#
# Copying and distribution of this file, with or without modification,
# are permitted in any medium without royalty provided the copyright
# notice and this notice are preserved.  This file is offered as-is,
# without warranty of any kind.

# Run by configure inside the OVS build tree: prints what OVS builds with.

include Makefile

vmlat-ovs-vars:
	$(info OVS_CC=$(CC))
	$(info OVS_AM_CPPFLAGS=$(AM_CPPFLAGS) $(CPPFLAGS))
	$(info OVS_AM_CFLAGS=$(AM_CFLAGS) $(CFLAGS))
	$(info OVS_LINK_FLAGS=$(vswitchd_ovs_vswitchd_LDFLAGS) $(LDFLAGS))
	$(info OVS_TEST_LINK_FLAGS=$(AM_LDFLAGS) $(LDFLAGS))
	$(info OVS_LIBS=$(LIBS))
	$(info OVS_PREFIX=$(prefix))
	$(info OVS_SBINDIR=$(sbindir))
	$(info OVS_MANDIR=$(mandir))
	$(info OVS_SYSCONFDIR=$(sysconfdir))
	$(info OVS_PYTHON3=$(PYTHON3))
	$(info OVS_VSWITCHD_OBJECTS=$(addprefix $(top_builddir)/,$(vswitchd_ovs_vswitchd_OBJECTS)))
	$(info OVS_VSWITCHD_LDADD=$(addprefix $(top_builddir)/,$(vswitchd_ovs_vswitchd_LDADD)))
	@:
.PHONY: vmlat-ovs-vars
