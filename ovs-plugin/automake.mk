# Copyright (c) 2026 The vmlat authors.
#
# Copying and distribution of this file, with or without modification,
# are permitted in any medium without royalty provided the copyright
# notice and this notice are preserved.  This file is offered as-is,
# without warranty of any kind.

# The daemon: OVS's own ovs-vswitchd with our objects in it.  The objects are
# named on the link line one by one: out of an archive the linker would take
# only what something else asks for, and nothing asks for a constructor.
VMLAT_PURE_SOURCES = \
	ovs-plugin/vmlat-bypass-facts.c \
	ovs-plugin/vmlat-bypass-facts.h \
	ovs-plugin/vmlat-bypass-judge.c \
	ovs-plugin/vmlat-bypass-judge.h \
	ovs-plugin/vmlat-bypass-rules.c \
	ovs-plugin/vmlat-bypass-rules.h \
	ovs-plugin/vmlat-filter.c \
	ovs-plugin/vmlat-filter.h \
	ovs-plugin/vmlat-histogram.c \
	ovs-plugin/vmlat-histogram.h \
	ovs-plugin/vmlat-packet.c \
	ovs-plugin/vmlat-packet.h \
	ovs-plugin/vmlat-record-file.c \
	ovs-plugin/vmlat-record-file.h

VMLAT_PLUGIN_SOURCES = \
	$(VMLAT_PURE_SOURCES) \
	ovs-plugin/vmlat-bypass-db.c \
	ovs-plugin/vmlat-bypass-db.h \
	ovs-plugin/vmlat-bypass-driver.c \
	ovs-plugin/vmlat-bypass-flows.c \
	ovs-plugin/vmlat-bypass-flows.h \
	ovs-plugin/vmlat-bypass-host.c \
	ovs-plugin/vmlat-bypass-host.h \
	ovs-plugin/vmlat-bypass-load.h \
	ovs-plugin/vmlat-bypass-nat.c \
	ovs-plugin/vmlat-bypass-netlink.c \
	ovs-plugin/vmlat-bypass-netlink.h \
	ovs-plugin/vmlat-bypass-route.c \
	ovs-plugin/vmlat-bypass-show.c \
	ovs-plugin/vmlat-bypass-window.c \
	ovs-plugin/vmlat-bypass-window.h \
	ovs-plugin/vmlat-bypass.c \
	ovs-plugin/vmlat-bypass.h \
	ovs-plugin/vmlat-clock.c \
	ovs-plugin/vmlat-clock.h \
	ovs-plugin/vmlat-command.c \
	ovs-plugin/vmlat-command.h \
	ovs-plugin/vmlat-datapath.h \
	ovs-plugin/vmlat-db.c \
	ovs-plugin/vmlat-db.h \
	ovs-plugin/vmlat-drops.c \
	ovs-plugin/vmlat-event.c \
	ovs-plugin/vmlat-event.h \
	ovs-plugin/vmlat-events.c \
	ovs-plugin/vmlat-flows.c \
	ovs-plugin/vmlat-interval.c \
	ovs-plugin/vmlat-interval.h \
	ovs-plugin/vmlat-kernel.h \
	ovs-plugin/vmlat-pmd-load.c \
	ovs-plugin/vmlat-pmd-load.h \
	ovs-plugin/vmlat-port.c \
	ovs-plugin/vmlat-port.h \
	ovs-plugin/vmlat-record-dump.c \
	ovs-plugin/vmlat-record-private.h \
	ovs-plugin/vmlat-record-show.c \
	ovs-plugin/vmlat-record.c \
	ovs-plugin/vmlat-record.h \
	ovs-plugin/vmlat-rtt-echo.c \
	ovs-plugin/vmlat-rtt-echo.h \
	ovs-plugin/vmlat-rtt-load.h \
	ovs-plugin/vmlat-rtt-show.c \
	ovs-plugin/vmlat-rtt.c \
	ovs-plugin/vmlat-rtt.h \
	ovs-plugin/vmlat-settings.c \
	ovs-plugin/vmlat-settings.h \
	ovs-plugin/vmlat-shard.c \
	ovs-plugin/vmlat-shard.h \
	ovs-plugin/vmlat-show.c \
	ovs-plugin/vmlat-status.c \
	ovs-plugin/vmlat-tables.h \
	ovs-plugin/vmlat-upcalls.c \
	ovs-plugin/vmlat-view.c \
	ovs-plugin/vmlat-view.h \
	ovs-plugin/vmlat-virt-event.c \
	ovs-plugin/vmlat-virt-load.h \
	ovs-plugin/vmlat-virt-read.c \
	ovs-plugin/vmlat-virt-show.c \
	ovs-plugin/vmlat-virt.c \
	ovs-plugin/vmlat-virt.h \
	ovs-plugin/vmlat-window.c \
	ovs-plugin/vmlat-window.h \
	ovs-plugin/vmlat-vring.c \
	ovs-plugin/vmlat-vring.h \
	ovs-plugin/vmlat-wrap.c \
	ovs-plugin/vmlat.c \
	ovs-plugin/vmlat.h
VMLAT_FILES += $(VMLAT_PLUGIN_SOURCES)
EXTRA_DIST += ovs-plugin/vmlat-wrap.def

# The side of the module that loads BPF programs into the kernel, or a stub of
# the same interface.
VMLAT_KERNEL_SOURCES = \
	ovs-plugin/vmlat-bpf.c \
	ovs-plugin/vmlat-bpf.h \
	ovs-plugin/vmlat-bypass-load.c \
	ovs-plugin/vmlat-kernel-load.c \
	ovs-plugin/vmlat-kernel-ports.c \
	ovs-plugin/vmlat-kernel-private.h \
	ovs-plugin/vmlat-kernel-read.c \
	ovs-plugin/vmlat-kernel-symbols.c \
	ovs-plugin/vmlat-kernel.c \
	ovs-plugin/vmlat-rtt-load.c \
	ovs-plugin/vmlat-virt-load.c
VMLAT_KERNEL_STUB_SOURCES = \
	ovs-plugin/vmlat-bypass-load-stub.c \
	ovs-plugin/vmlat-kernel-stub.c \
	ovs-plugin/vmlat-rtt-load-stub.c \
	ovs-plugin/vmlat-virt-load-stub.c
VMLAT_FILES += $(VMLAT_KERNEL_SOURCES) $(VMLAT_KERNEL_STUB_SOURCES)
EXTRA_DIST += \
	$(VMLAT_KERNEL_SOURCES) $(VMLAT_KERNEL_STUB_SOURCES) \
	ovs-plugin/vmlat-kernel-points.def \
	ovs-plugin/vmlat-virt-points.def

# Not in sbin_PROGRAMS: installing has to keep the daemon it replaces.
noinst_PROGRAMS += vswitchd/ovs-vswitchd
vswitchd_ovs_vswitchd_SOURCES = $(VMLAT_PLUGIN_SOURCES) $(VMLAT_DPDK_SOURCES)
if HAVE_BPF
vswitchd_ovs_vswitchd_SOURCES += $(VMLAT_KERNEL_SOURCES)
else
vswitchd_ovs_vswitchd_SOURCES += $(VMLAT_KERNEL_STUB_SOURCES)
endif
vswitchd_ovs_vswitchd_LDADD = \
	$(OVS_VSWITCHD_OBJECTS) $(OVS_VSWITCHD_LDADD) $(VMLAT_BPF_LIBS)
vswitchd_ovs_vswitchd_LINK = \
	$(OVS_LIBTOOL_LINK) $(OVS_LINK_FLAGS) $(LDFLAGS) \
	$$(sed 's/^/-Wl,--wrap=/' vswitchd/wraps) -o $@
vswitchd_ovs_vswitchd_DEPENDENCIES = $(OVS_BUILT) vswitchd/wraps-checked
$(vswitchd_ovs_vswitchd_OBJECTS): | $(OVS_BUILT)

# The wrapped symbols, one a line.
VMLAT_WRAP_DEF = $(srcdir)/ovs-plugin/vmlat-wrap.def
WRAP_SYMBOLS = $(srcdir)/build-aux/wrap-symbols
vswitchd/wraps: $(VMLAT_WRAP_DEF) $(WRAP_SYMBOLS) Makefile
	$(AM_V_GEN)$(MKDIR_P) vswitchd && \
	$(SHELL) $(WRAP_SYMBOLS) $(VMLAT_DPDK) $(VMLAT_WRAP_DEF) \
	    $(ovs_builddir)/config.h > $@.tmp && \
	mv $@.tmp $@

# A wrap of something that OVS no longer calls would say nothing at run time.
CHECK_WRAPS = $(SHELL) $(srcdir)/build-aux/check-wraps
check-wraps: $(OVS_BUILT) vswitchd/wraps
	$(AM_V_at)NM='$(NM)' AWK='$(AWK)' $(CHECK_WRAPS) \
	    $(ovs_builddir) $(OVS_VERSION) vswitchd/wraps
vswitchd/wraps-checked: $(OVS_BUILT) vswitchd/wraps $(srcdir)/build-aux/check-wraps
	$(AM_V_GEN)NM='$(NM)' AWK='$(AWK)' $(CHECK_WRAPS) \
	    $(ovs_builddir) $(OVS_VERSION) vswitchd/wraps > $@.tmp && \
	mv $@.tmp $@
CLEANFILES += vswitchd/wraps vswitchd/wraps-checked vswitchd/*.tmp

# The daemon that 'make install' replaces is kept beside it, so that 'make
# uninstall' can put it back.  A daemon that is itself ours is not kept.
VMLAT_KEPT = ovs-vswitchd.without-vmlat
HAS_VMLAT = grep -q vmlat/status
install-exec-local: vswitchd/ovs-vswitchd
	$(MKDIR_P) '$(DESTDIR)$(sbindir)'
	@new='$(DESTDIR)$(sbindir)/ovs-vswitchd'; \
	if test -e "$$new" && ! $(HAS_VMLAT) "$$new"; then \
	    echo "keeping the old daemon as $(sbindir)/$(VMLAT_KEPT)"; \
	    mv -f "$$new" '$(DESTDIR)$(sbindir)/$(VMLAT_KEPT)'; \
	fi
	$(INSTALL_PROGRAM) vswitchd/ovs-vswitchd '$(DESTDIR)$(sbindir)'

uninstall-local:
	@new='$(DESTDIR)$(sbindir)/ovs-vswitchd'; \
	old='$(DESTDIR)$(sbindir)/$(VMLAT_KEPT)'; \
	if test -e "$$new" && ! $(HAS_VMLAT) "$$new"; then \
	    echo "$$new has no vmlat in it: left as it is"; \
	elif test -e "$$old" || test -h "$$old"; then \
	    echo "putting the old daemon back as $$new"; \
	    mv -f "$$old" "$$new"; \
	else \
	    rm -f "$$new"; \
	fi
