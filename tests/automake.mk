# Copyright (c) 2026 The vmlat authors.
#
# Copying and distribution of this file, with or without modification,
# are permitted in any medium without royalty provided the copyright
# notice and this notice are preserved.  This file is offered as-is,
# without warranty of any kind.

TESTSUITE_AT = \
	tests/testsuite.at \
	tests/bypass-host.at \
	tests/build.at \
	tests/unit.at \
	tests/diff.at \
	tests/commands.at \
	tests/join.at \
	tests/accounting.at \
	tests/record.at \
	tests/settings.at
SYSTEM_DPDK_TESTSUITE_AT = \
	tests/system-dpdk-testsuite.at \
	tests/system-dpdk.at
SYSTEM_RTT_TESTSUITE_AT = \
	tests/system-rtt-testsuite.at \
	tests/rtt-macros.at \
	tests/system-rtt.at
SYSTEM_GUEST_TESTSUITE_AT = \
	tests/system-guest-testsuite.at \
	tests/system-guest.at
SYSTEM_VM_TESTSUITE_AT = \
	tests/system-vm-testsuite.at \
	tests/vm-macros.at \
	tests/system-vm.at \
	tests/system-vm-life.at \
	tests/system-vm-paths.at \
	tests/rtt-macros.at \
	tests/system-guest.at \
	tests/system-vm-rtt.at \
	tests/system-vm-record.at \
	tests/system-vm-virt.at
TEST_TOOLS = \
	tests/bed-bypass.sh \
	tests/bed-host.py \
	tests/bed-wire.py \
	tests/bench-dpdk \
	tests/bench-join \
	tests/fuzz-join \
	tests/bench-vm \
	tests/check-bypass \
	tests/check-culprit \
	tests/check-culprit-vhost \
	tests/check-vhost-user \
	tests/culprit-bed.sh \
	tests/culprit-delay.bpf.c \
	tests/culprit-delay.c \
	tests/culprit-guest \
	tests/culprit-judge \
	tests/culprit-responder.c \
	tests/culprit-judge-vhost \
	tests/culprit-vm \
	tests/culprit-wire.py \
	tests/guest-query \
	tests/testbed.sh \
	tests/vhost-user-vm \
	tests/vm/check-vm \
	tests/vm/get-kernel \
	tests/vm/init \
	tests/vm/run-vm
EXTRA_DIST += \
	$(TESTSUITE_AT) $(SYSTEM_DPDK_TESTSUITE_AT) \
	$(SYSTEM_GUEST_TESTSUITE_AT) \
	$(SYSTEM_RTT_TESTSUITE_AT) $(SYSTEM_VM_TESTSUITE_AT) \
	$(TEST_TOOLS) \
	tests/vmlat-macros.at \
	tests/atlocal.in

# The suites: 'tests/testsuite' needs neither root, DPDK nor a VM.  OVS's
# macros come from OVS's source; a file of ours goes before one of the same
# name.
TESTSUITE = tests/testsuite
SYSTEM_DPDK_TESTSUITE = tests/system-dpdk-testsuite
SYSTEM_GUEST_TESTSUITE = tests/system-guest-testsuite
SYSTEM_RTT_TESTSUITE = tests/system-rtt-testsuite
SYSTEM_VM_TESTSUITE = tests/system-vm-testsuite
AUTOTEST = \
	$(AUTOM4TE) --language=autotest \
	-I tests -I $(srcdir) -I $(srcdir)/tests \
	-I $(ovs_srcdir) -I $(ovs_srcdir)/tests
tests/package.m4: configure.ac Makefile
	$(AM_V_GEN)$(MKDIR_P) tests && { \
	  echo 'm4_define([AT_PACKAGE_NAME], [$(PACKAGE_NAME)])' && \
	  echo 'm4_define([AT_PACKAGE_TARNAME], [$(PACKAGE_TARNAME)])' && \
	  echo 'm4_define([AT_PACKAGE_VERSION], [$(PACKAGE_VERSION)])' && \
	  echo 'm4_define([AT_PACKAGE_STRING], [$(PACKAGE_STRING)])' && \
	  echo 'm4_define([AT_PACKAGE_BUGREPORT], [the vmlat project])'; \
	} > $@.tmp && mv $@.tmp $@
$(TESTSUITE): $(TESTSUITE_AT) tests/vmlat-macros.at tests/package.m4
	$(AM_V_GEN)$(AUTOTEST) -o $@.tmp $(srcdir)/tests/testsuite.at && \
	mv $@.tmp $@
$(SYSTEM_DPDK_TESTSUITE): $(SYSTEM_DPDK_TESTSUITE_AT) tests/vmlat-macros.at \
		tests/package.m4
	$(AM_V_GEN)$(AUTOTEST) -o $@.tmp \
	    $(srcdir)/tests/system-dpdk-testsuite.at && mv $@.tmp $@
$(SYSTEM_GUEST_TESTSUITE): $(SYSTEM_GUEST_TESTSUITE_AT) tests/package.m4
	$(AM_V_GEN)$(AUTOTEST) -o $@.tmp \
	    $(srcdir)/tests/system-guest-testsuite.at && mv $@.tmp $@
$(SYSTEM_RTT_TESTSUITE): $(SYSTEM_RTT_TESTSUITE_AT) tests/vmlat-macros.at \
		tests/package.m4
	$(AM_V_GEN)$(AUTOTEST) -o $@.tmp \
	    $(srcdir)/tests/system-rtt-testsuite.at && mv $@.tmp $@
$(SYSTEM_VM_TESTSUITE): $(SYSTEM_VM_TESTSUITE_AT) tests/vmlat-macros.at \
		tests/package.m4
	$(AM_V_GEN)$(AUTOTEST) -o $@.tmp \
	    $(srcdir)/tests/system-vm-testsuite.at && mv $@.tmp $@
CLEANFILES += $(TESTSUITE) $(SYSTEM_DPDK_TESTSUITE) \
	$(SYSTEM_GUEST_TESTSUITE) $(SYSTEM_RTT_TESTSUITE) \
	$(SYSTEM_VM_TESTSUITE) tests/package.m4
DISTCLEANFILES += tests/atconfig tests/atlocal

# Our daemon before OVS's own.
AUTOTEST_PATH = $(abs_builddir)/vswitchd:$(abs_builddir)/utilities:$(abs_builddir)/tests:$(ovs_builddir)/utilities:$(ovs_builddir)/ovsdb:$(ovs_builddir)/tests:$(ovs_builddir)/vswitchd:$(ovs_srcdir)/utilities

check-local: all $(TESTSUITE) tests/atlocal tests/netlink-fault.so
	$(SHELL) ./$(TESTSUITE) -C tests AUTOTEST_PATH='$(AUTOTEST_PATH)' \
	    $(TESTSUITEFLAGS)

# For LD_PRELOAD.
tests/slow-upcall.so: tests/slow-upcall.c
	$(AM_V_CC)$(MKDIR_P) tests && $(CC) $(CFLAGS) -fPIC -shared -o $@ \
	    $(srcdir)/tests/slow-upcall.c -ldl
tests/netlink-fault.so: tests/netlink-fault.c
	$(AM_V_CC)$(MKDIR_P) tests && $(CC) $(CFLAGS) -fPIC -shared -o $@ \
	    $(srcdir)/tests/netlink-fault.c -ldl
EXTRA_DIST += tests/netlink-fault.c tests/slow-upcall.c
CLEANFILES += tests/netlink-fault.so tests/slow-upcall.so

# One after the other: each wants both cores.
check-dpdk: all $(SYSTEM_DPDK_TESTSUITE) tests/atlocal tests/slow-upcall.so
	$(SHELL) ./$(SYSTEM_DPDK_TESTSUITE) -C tests \
	    AUTOTEST_PATH='$(AUTOTEST_PATH)' $(TESTSUITEFLAGS) -j1

# Echoes through this machine's own kernel, in namespaces.
check-rtt: all $(SYSTEM_RTT_TESTSUITE) tests/atlocal
	$(SHELL) ./$(SYSTEM_RTT_TESTSUITE) -C tests \
	    AUTOTEST_PATH='$(AUTOTEST_PATH)' $(TESTSUITEFLAGS) -j1
.PHONY: check-rtt

# vmlat-guest in this machine's own kernel, in namespaces.
check-guest: all $(SYSTEM_GUEST_TESTSUITE) tests/atlocal
	$(SHELL) ./$(SYSTEM_GUEST_TESTSUITE) -C tests \
	    AUTOTEST_PATH='$(AUTOTEST_PATH)' $(TESTSUITEFLAGS) -j1
.PHONY: check-guest

# Each way in which the kernel can take a VM's traffic: one verdict each.
check-bypass: all
	@VMLAT_KERNELS='$(abs_builddir)/vm/kernels' PYTHON3='$(OVS_PYTHON3)' \
	    $(srcdir)/tests/check-bypass --build . $(BYPASSFLAGS)
.PHONY: check-bypass

# Two VMs on two hosts, in a VM: each segment of the way made late, which one
# is blamed?  Guests have no libraries: what runs there is static.
tests/culprit-responder: tests/culprit-responder.c
	$(AM_V_CC)$(MKDIR_P) tests && $(CC) $(CFLAGS) -static -o $@ \
	    $(srcdir)/tests/culprit-responder.c
CLEANFILES += tests/culprit-responder
if HAVE_BPF
tests/culprit-delay.elf: tests/culprit-delay.bpf.c Makefile
	$(AM_V_CC)$(MKDIR_P) tests && \
	$(BPF_CLANG) $(VMLAT_BPF_CFLAGS) -mcpu=v3 \
	    -MT $@ -MF tests/culprit-delay.d -c $< -o $@.full && \
	$(BPFTOOL) gen object $@ $@.full
tests/culprit-delay: tests/culprit-delay.c
	$(AM_V_CC)$(MKDIR_P) tests && $(CC) $(CFLAGS) -o $@ \
	    $(srcdir)/tests/culprit-delay.c $(VMLAT_BPF_LIBS)
-include $(wildcard tests/culprit-delay.d)
CLEANFILES += tests/culprit-delay tests/culprit-delay.d \
	tests/culprit-delay.elf tests/culprit-delay.elf.full
check-culprit: all tests/atlocal tests/culprit-delay tests/culprit-delay.elf \
		tests/culprit-responder
	@VMLAT_KERNELS='$(abs_builddir)/vm/kernels' PYTHON3='$(OVS_PYTHON3)' \
	    $(srcdir)/tests/check-culprit --build . $(CULPRITFLAGS)
else
check-culprit:
	@echo "vmlat-check: culprit: skipped (built --without-bpf)"
endif
.PHONY: check-culprit

# A guest with vhost-user and KVM, in a VM: what comes of each signal to it.
if HAVE_BPF
check-vhost-user: all tests/atlocal
	@VMLAT_KERNELS='$(abs_builddir)/vm/kernels' PYTHON3='$(OVS_PYTHON3)' \
	    $(srcdir)/tests/check-vhost-user --build .
else
check-vhost-user:
	@echo "vmlat-check: vhost-user: skipped (built --without-bpf)"
endif
.PHONY: check-vhost-user

# The same as check-culprit with vhost-user, on this machine: OVS-DPDK needs no kernel's help.
check-culprit-vhost: all tests/culprit-responder tests/slow-upcall.so
	@VMLAT_KERNELS='$(abs_builddir)/vm/kernels' PYTHON3='$(OVS_PYTHON3)' \
	    $(srcdir)/tests/check-culprit-vhost --build . $(CULPRITFLAGS)
.PHONY: check-culprit-vhost

# The kernel datapath, in VMs with these kernels, which tests/vm/get-kernel
# downloads to vm/kernels if they are not installed: make check-vm
# KERNELS="5.10 6.1 6.12 7.2" TESTSUITEFLAGS='-k upcall'.
KERNELS = 6.1 6.12
check-vm: all $(SYSTEM_VM_TESTSUITE) tests/atlocal tests/slow-upcall.so
	@VMLAT_KERNELS='$(abs_builddir)/vm/kernels' PYTHON3='$(OVS_PYTHON3)' \
	    $(srcdir)/tests/vm/check-vm $(SYSTEM_VM_TESTSUITE) tests/vm.dir \
	    '$(AUTOTEST_PATH)' '$(KERNELS)' $(TESTSUITEFLAGS)
.PHONY: check-vm

# A part of it, for the time that all tests together may take: with one kernel,
# what is not about special ways and echoes or runs natively as well; with the
# next one, what the rest stands on.
VM_FIRST_KEYWORDS = \
	-k !paths,!rtt,!guest,!churn,!permission -k guest,delay
VM_SECOND_KEYWORDS = -k stages,!pktgen -k virt,delay
check-vm-short:
	@rc=0; \
	$(MAKE) check-vm KERNELS=6.1 \
	    TESTSUITEFLAGS='$(VM_FIRST_KEYWORDS)' || rc=1; \
	$(MAKE) check-vm KERNELS=6.12 \
	    TESTSUITEFLAGS='$(VM_SECOND_KEYWORDS)' || rc=1; \
	exit $$rc
.PHONY: check-vm-short

# OVS's own tests on our daemon: those that fail, and do not fail on OVS's.
# The subset is about what vmlat touches: where packets come, go, are copied,
# take upcalls, and the daemon's life.
OVS_SUBSET = \
	-k pmd -k dpif-netdev -k bridge -k ovs-vswitchd -k dpctl -k bonding \
	-k mirroring -k upcall -k conntrack -k fragment -k megaflow -k sFlow
CHECK_OVS = \
	AUTOM4TE='$(AUTOM4TE)' $(SHELL) $(srcdir)/build-aux/check-ovs \
	$(ovs_srcdir) $(ovs_builddir) $(abs_builddir)/vswitchd tests/ovs.dir
check-ovs-subset: all tests/atlocal
	$(CHECK_OVS) $(OVS_SUBSET) $(TESTSUITEFLAGS)
check-ovs: all tests/atlocal
	$(CHECK_OVS) $(TESTSUITEFLAGS)

# OVS's own system-dpdk suite, the same way: root, and 4 minutes at most.
check-ovs-dpdk: all tests/atlocal
	@AUTOM4TE='$(AUTOM4TE)' $(SHELL) $(srcdir)/build-aux/check-ovs-dpdk \
	    $(ovs_srcdir) $(ovs_builddir) $(abs_builddir)/vswitchd \
	    tests/ovs-dpdk.dir $(TESTSUITEFLAGS)
EXTRA_DIST += build-aux/check-ovs-dpdk tests/ovs-system-dpdk-testsuite.at
.PHONY: check-ovs-dpdk

# Units.
noinst_PROGRAMS += tests/test-vmlat
tests_test_vmlat_SOURCES = \
	tests/test-bypass.c \
	tests/test-record.c \
	tests/test-vmlat.c \
	tests/test-vmlat.h
VMLAT_PURE_OBJECTS = \
	ovs-plugin/vmlat-bypass-facts.$(OBJEXT) \
	ovs-plugin/vmlat-bypass-judge.$(OBJEXT) \
	ovs-plugin/vmlat-bypass-rules.$(OBJEXT) \
	ovs-plugin/vmlat-filter.$(OBJEXT) \
	ovs-plugin/vmlat-histogram.$(OBJEXT) \
	ovs-plugin/vmlat-packet.$(OBJEXT) \
	ovs-plugin/vmlat-record-file.$(OBJEXT)
tests_test_vmlat_LDADD = $(VMLAT_PURE_OBJECTS) $(LIBOPENVSWITCH)
tests_test_vmlat_DEPENDENCIES = $(VMLAT_PURE_OBJECTS) $(OVS_BUILT)
TEST_LINK = $(OVS_LIBTOOL_LINK) $(OVS_TEST_LINK_FLAGS) $(LDFLAGS)
tests_test_vmlat_LINK = $(TEST_LINK) -o $@
$(tests_test_vmlat_OBJECTS): | $(OVS_BUILT)

# What the kernel says about a network namespace.
noinst_PROGRAMS += tests/test-bypass-host
tests_test_bypass_host_SOURCES = tests/test-bypass-host.c
VMLAT_HOST_OBJECTS = \
	ovs-plugin/vmlat-bypass-driver.$(OBJEXT) \
	ovs-plugin/vmlat-bypass-facts.$(OBJEXT) \
	ovs-plugin/vmlat-bypass-host.$(OBJEXT) \
	ovs-plugin/vmlat-bypass-nat.$(OBJEXT) \
	ovs-plugin/vmlat-bypass-netlink.$(OBJEXT) \
	ovs-plugin/vmlat-bypass-route.$(OBJEXT)
tests_test_bypass_host_LDADD = $(VMLAT_HOST_OBJECTS) $(LIBOPENVSWITCH)
tests_test_bypass_host_DEPENDENCIES = $(VMLAT_HOST_OBJECTS) $(OVS_BUILT)
tests_test_bypass_host_LINK = $(TEST_LINK) -o $@
$(tests_test_bypass_host_OBJECTS): | $(OVS_BUILT)

# What ovs-vmlat shows.
noinst_PROGRAMS += tests/test-report
tests_test_report_SOURCES = tests/test-report.c
VMLAT_REPORT_SOURCES = \
	ovs-plugin/vmlat-histogram.c \
	utilities/ovs-vmlat-html-draw.c \
	utilities/ovs-vmlat-html.c \
	utilities/ovs-vmlat-interval.c \
	utilities/ovs-vmlat-page.c \
	utilities/ovs-vmlat-report.c \
	utilities/ovs-vmlat-run.c
VMLAT_REPORT_OBJECTS = $(VMLAT_REPORT_SOURCES:.c=.$(OBJEXT))
tests_test_report_LDADD = $(VMLAT_REPORT_OBJECTS) $(LIBOPENVSWITCH)
tests_test_report_DEPENDENCIES = $(VMLAT_REPORT_OBJECTS) $(OVS_BUILT)
tests_test_report_LINK = $(TEST_LINK) -o $@
$(tests_test_report_OBJECTS): | $(OVS_BUILT)
VMLAT_FILES += $(tests_test_report_SOURCES)

# Files of records with known times, for ovs-vmlat.
noinst_PROGRAMS += tests/make-records
tests_make_records_SOURCES = tests/make-records.c
VMLAT_RECORD_OBJECTS = ovs-plugin/vmlat-record-file.$(OBJEXT)
tests_make_records_LDADD = $(VMLAT_RECORD_OBJECTS) $(LIBOPENVSWITCH)
tests_make_records_DEPENDENCIES = $(VMLAT_RECORD_OBJECTS) $(OVS_BUILT)
tests_make_records_LINK = $(TEST_LINK) -o $@
$(tests_make_records_OBJECTS): | $(OVS_BUILT)

VMLAT_FILES += tests/make-records.c
VMLAT_FILES += $(tests_test_vmlat_SOURCES) \
	$(tests_test_bypass_host_SOURCES) tests/fuzz-packet.c \
	tests/netlink-fault.c tests/slow-upcall.c \
	tests/culprit-delay.c tests/culprit-responder.c

# The same once more, compiled with the sanitizers.
SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=all
EXTRA_PROGRAMS += tests/test-vmlat-sanitize
tests_test_vmlat_sanitize_SOURCES = \
	$(tests_test_vmlat_SOURCES) $(VMLAT_PURE_SOURCES)
tests_test_vmlat_sanitize_CFLAGS = $(AM_CFLAGS) $(SANITIZE)
tests_test_vmlat_sanitize_LDADD = $(LIBOPENVSWITCH)
tests_test_vmlat_sanitize_DEPENDENCIES = $(OVS_BUILT)
tests_test_vmlat_sanitize_LINK = $(TEST_LINK) $(SANITIZE) -o $@
$(tests_test_vmlat_sanitize_OBJECTS): | $(OVS_BUILT)
CLEANFILES += tests/test-vmlat-sanitize

EXTRA_PROGRAMS += tests/test-report-sanitize
tests_test_report_sanitize_SOURCES = \
	$(tests_test_report_SOURCES) $(VMLAT_REPORT_SOURCES)
tests_test_report_sanitize_CFLAGS = $(AM_CFLAGS) $(SANITIZE)
tests_test_report_sanitize_LDADD = $(LIBOPENVSWITCH)
tests_test_report_sanitize_DEPENDENCIES = $(OVS_BUILT)
tests_test_report_sanitize_LINK = $(TEST_LINK) $(SANITIZE) -o $@
$(tests_test_report_sanitize_OBJECTS): | $(OVS_BUILT) \
	utilities/ovs-vmlat-html-css.h
CLEANFILES += tests/test-report-sanitize

EXTRA_PROGRAMS += tests/ovs-vmlat-sanitize
tests_ovs_vmlat_sanitize_SOURCES = $(utilities_ovs_vmlat_SOURCES)
tests_ovs_vmlat_sanitize_CFLAGS = $(AM_CFLAGS) $(SANITIZE)
tests_ovs_vmlat_sanitize_LDADD = $(LIBOPENVSWITCH)
tests_ovs_vmlat_sanitize_DEPENDENCIES = $(OVS_BUILT)
tests_ovs_vmlat_sanitize_LINK = $(TEST_LINK) $(SANITIZE) -o $@
$(tests_ovs_vmlat_sanitize_OBJECTS): utilities/ovs-vmlat-html-css.h \
	| $(OVS_BUILT)
CLEANFILES += tests/ovs-vmlat-sanitize

# Packet bytes are hostile: libFuzzer feeds them to the parser and the filter.
FUZZ_FILES = tests/fuzz-packet.c $(VMLAT_PURE_SOURCES)
FUZZ_SECONDS = 20
FUZZ_FLAGS = -seed=1 -max_len=512 -print_final_stats=1
EXTRA_DIST += tests/fuzz-packet.c
tests/fuzz-packet: $(FUZZ_FILES) Makefile | $(OVS_BUILT)
	$(AM_V_GEN)$(MKDIR_P) tests/fuzz.dir/obj && \
	for f in $(FUZZ_FILES); do \
	    case $$f in \
	    *.c) test -f $$f || f=$(srcdir)/$$f; \
	         $(CLANG) $(DEFS) $(AM_CPPFLAGS) $(CPPFLAGS) $(CLANG_CFLAGS) \
	             -fsanitize=fuzzer,address,undefined \
	             -fno-sanitize-recover=all -c $$f \
	             -o tests/fuzz.dir/obj/$$(basename $$f .c).o || exit 1 ;; \
	    esac; \
	done && \
	$(OVS_LIBTOOL) $(OVS_LIBTOOL_V) --tag=CC --mode=link $(CLANG) -static \
	    -fsanitize=fuzzer,address,undefined $(OVS_TEST_LINK_FLAGS) \
	    $(LDFLAGS) -o $@ tests/fuzz.dir/obj/*.o $(LIBOPENVSWITCH) $(LIBS)
CLEANFILES += tests/fuzz-packet

check-sanitize: tests/test-vmlat-sanitize tests/test-report-sanitize \
		tests/ovs-vmlat-sanitize tests/make-records tests/fuzz-packet
	@rc=0; mkdir -p tests/fuzz.dir/corpus; \
	if tests/test-vmlat-sanitize all && \
	   tests/test-report-sanitize all; then \
	    echo "vmlat-check: units with ASan and UBSan: ok"; \
	else \
	    echo "vmlat-check: units with ASan and UBSan: FAILED"; rc=1; \
	fi; \
	if tests/fuzz-packet $(FUZZ_FLAGS) -max_total_time=$(FUZZ_SECONDS) \
	       -artifact_prefix=tests/fuzz.dir/ tests/fuzz.dir/corpus; then \
	    echo "vmlat-check: fuzzing the packet parser: ok"; \
	else \
	    echo "vmlat-check: fuzzing the packet parser: FAILED"; rc=1; \
	fi; \
	if $(OVS_PYTHON3) $(srcdir)/tests/fuzz-join tests/ovs-vmlat-sanitize \
	       tests/make-records tests/fuzz.dir/join 200; then \
	    echo "vmlat-check: joining damaged files: ok"; \
	else \
	    echo "vmlat-check: joining damaged files: FAILED"; rc=1; \
	fi; \
	exit $$rc

# OVS's coding style, and clang's proof that locks are held.
CLANG_CFLAGS = \
	$(OVS_AM_CFLAGS) -Wno-unknown-warning-option \
	-Wno-unused-command-line-argument
check-style: $(OVS_BUILT)
	@CLANG='$(CLANG)' PYTHON3='$(OVS_PYTHON3)' \
	CFLAGS='$(DEFS) $(AM_CPPFLAGS) $(CPPFLAGS) $(CLANG_CFLAGS)' \
	$(SHELL) $(srcdir)/build-aux/check-style $(ovs_srcdir) $(srcdir) \
	    $(VMLAT_FILES)

# Joining records: in CI a tenth, with room for a machine that is busy.
bench-join: utilities/ovs-vmlat tests/make-records
	@$(srcdir)/tests/bench-join --build . --max-seconds 20 \
	    --max-mib 2048 $(BENCHFLAGS)
check-join: utilities/ovs-vmlat tests/make-records
	@$(srcdir)/tests/bench-join --build . --records 1000000 \
	    --max-seconds 20 --max-mib 512
.PHONY: bench-join check-join

bench: all
	AUTOTEST_PATH='$(AUTOTEST_PATH)' $(srcdir)/tests/bench-dpdk $(BENCHFLAGS)

# Instructions per packet: they repeat, so that a test can hold them to a
# limit.
BENCH_VM = $(srcdir)/tests/bench-vm --build .
bench-vm: all tests/atlocal
	@VMLAT_KERNELS='$(abs_builddir)/vm/kernels' $(BENCH_VM) $(BENCHFLAGS)
check-bench-vm: all tests/atlocal
	@if VMLAT_KERNELS='$(abs_builddir)/vm/kernels' \
	    $(BENCH_VM) --quick --pairs 1 --max 1600 --virt --max-virt 920; then \
	    echo "vmlat-check: instructions per packet: ok"; \
	else \
	    echo "vmlat-check: instructions per packet: FAILED"; exit 1; \
	fi
.PHONY: bench-vm check-bench-vm

clean-tests:
	for suite in $(TESTSUITE) $(SYSTEM_DPDK_TESTSUITE) \
	    $(SYSTEM_GUEST_TESTSUITE) $(SYSTEM_RTT_TESTSUITE); do \
	    test ! -f $$suite || $(SHELL) ./$$suite -C tests --clean; \
	done
	rm -rf tests/ovs.dir tests/ovs-dpdk.dir tests/fuzz.dir tests/vm.dir \
	    tests/culprit.dir tests/join.dir
.PHONY: clean-tests
