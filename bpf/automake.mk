# Copyright (c) 2026 The vmlat authors.
#
# Copying and distribution of this file, with or without modification,
# are permitted in any medium without royalty provided the copyright
# notice and this notice are preserved.  This file is offered as-is,
# without warranty of any kind.

# The BPF programs.  clang compiles them, bpftool takes the debug information
# out of the objects (BTF stays) and makes C headers of them, which the daemon
# includes: nothing of this is needed where the daemon runs.

BPF_HEADER_FILES = \
	bpf/vmlat-abi.h \
	bpf/vmlat-bypass-abi.h \
	bpf/vmlat-guest-abi.h \
	bpf/vmlat-ids.h \
	bpf/vmlat-kernel-types.h \
	bpf/vmlat-path-count.h \
	bpf/vmlat-path-headers.h \
	bpf/vmlat-path-maps.h \
	bpf/vmlat-path-packets.h \
	bpf/vmlat-path-report.h \
	bpf/vmlat-record-abi.h \
	bpf/vmlat-rtt-abi.h \
	bpf/vmlat-virt-abi.h \
	bpf/vmlat-virt-event.h \
	bpf/vmlat-virt-maps.h \
	bpf/vmlat-virt-record.h
BPF_SOURCE_FILES = \
	bpf/vmlat-bypass.bpf.c \
	bpf/vmlat-guest.bpf.c \
	bpf/vmlat-path.bpf.c \
	bpf/vmlat-rtt.bpf.c \
	bpf/vmlat-virt.bpf.c
EXTRA_DIST += $(BPF_HEADER_FILES) $(BPF_SOURCE_FILES)
VMLAT_FILES += $(BPF_HEADER_FILES)

if HAVE_BPF
# Kernels before 5.12 lack the atomic instructions of -mcpu=v3.
VMLAT_SKELETONS = \
	bpf/vmlat-bypass.skel.h \
	bpf/vmlat-bypass-old.skel.h \
	bpf/vmlat-guest.skel.h \
	bpf/vmlat-path.skel.h \
	bpf/vmlat-path-old.skel.h \
	bpf/vmlat-rtt.skel.h \
	bpf/vmlat-virt.skel.h
VMLAT_BPF_CFLAGS = \
	-g -O2 -target bpf -D__TARGET_ARCH_$(VMLAT_BPF_ARCH) -Wall -Wextra \
	-Wno-unused-parameter -I$(srcdir)/bpf -MMD -MP
VMLAT_BPF_COMPILE = $(MKDIR_P) bpf && $(BPF_CLANG) $(VMLAT_BPF_CFLAGS)

# Not ".o", which automake has rules of its own for.
bpf/%-old.full.elf: bpf/%.bpf.c Makefile
	$(AM_V_CC)$(VMLAT_BPF_COMPILE) -mcpu=v2 -DVMLAT_OLD \
	    -MT $@ -MF $(@:elf=d) -c $< -o $@
bpf/%.full.elf: bpf/%.bpf.c Makefile
	$(AM_V_CC)$(VMLAT_BPF_COMPILE) -mcpu=v3 \
	    -MT $@ -MF $(@:elf=d) -c $< -o $@
bpf/%.elf: bpf/%.full.elf
	$(AM_V_GEN)$(BPFTOOL) gen object $@ $<
# vmlat-path-old.skel.h has vmlat_path_old_bpf__open().
bpf/%.skel.h: bpf/%.elf
	$(AM_V_GEN)$(BPFTOOL) gen skeleton $< \
	    name $$(echo '$*' | tr - _)_bpf > $@.tmp && mv $@.tmp $@
.PRECIOUS: bpf/%-old.full.elf bpf/%.full.elf bpf/%.elf

-include $(wildcard bpf/*.full.d)

ovs-plugin/vmlat-kernel-load.$(OBJEXT): \
	bpf/vmlat-path.skel.h bpf/vmlat-path-old.skel.h
ovs-plugin/vmlat-bypass-load.$(OBJEXT): \
	bpf/vmlat-bypass.skel.h bpf/vmlat-bypass-old.skel.h
ovs-plugin/vmlat-rtt-load.$(OBJEXT): bpf/vmlat-rtt.skel.h
ovs-plugin/vmlat-virt-load.$(OBJEXT): bpf/vmlat-virt.skel.h
CLEANFILES += $(VMLAT_SKELETONS) bpf/*.full.d bpf/*.elf bpf/*.tmp
endif
