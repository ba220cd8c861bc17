# Copyright (c) 2026 The vmlat authors.
#
# Copying and distribution of this file, with or without modification,
# are permitted in any medium without royalty provided the copyright
# notice and this notice are preserved.  This file is offered as-is,
# without warranty of any kind.

EXTRA_DIST += \
	utilities/vmlat-check \
	utilities/vmlat-completion.bash \
	utilities/vmlat-sandbox

# Where OVS installs its own completion.
completiondir = $(sysconfdir)/bash_completion.d
completion_DATA = $(wildcard $(srcdir)/utilities/vmlat-completion.bash)

# The program for guests: one static file, to be copied there, and so for any
# processor.  It has nothing of OVS in it but a few definitions.
VMLAT_GUEST_SOURCES = \
	utilities/vmlat-guest-echo.c \
	utilities/vmlat-guest-echo.h \
	utilities/vmlat-guest-load.c \
	utilities/vmlat-guest-load.h \
	utilities/vmlat-guest-show.c \
	utilities/vmlat-guest-show.h \
	utilities/vmlat-guest-util.c \
	utilities/vmlat-guest-util.h \
	utilities/vmlat-guest.c
VMLAT_FILES += $(VMLAT_GUEST_SOURCES)
EXTRA_DIST += $(VMLAT_GUEST_SOURCES)
if HAVE_GUEST
bin_PROGRAMS += utilities/vmlat-guest
utilities_vmlat_guest_SOURCES = \
	$(VMLAT_GUEST_SOURCES) \
	ovs-plugin/vmlat-histogram.c \
	ovs-plugin/vmlat-record-file.c
utilities_vmlat_guest_CFLAGS = \
	-Wall -Wextra -Wno-sign-compare -D_FILE_OFFSET_BITS=64 -g -O2 \
	$(VMLAT_WARNINGS)
utilities_vmlat_guest_LDADD = $(VMLAT_GUEST_LIBS)
utilities_vmlat_guest_LINK = $(CC) -static -s $(CFLAGS) $(LDFLAGS) -o $@
# By another name, since automake would take it for the program's rule: LIBS
# are what the daemon needs.
VMLAT_GUEST_PROGRAM = utilities/vmlat-guest$(EXEEXT)
$(VMLAT_GUEST_PROGRAM): LIBS =
$(utilities_vmlat_guest_OBJECTS): | $(OVS_BUILT)
utilities/vmlat_guest-vmlat-guest-load.$(OBJEXT): bpf/vmlat-guest.skel.h
endif

# The program that joins records.
bin_PROGRAMS += utilities/ovs-vmlat
OVS_VMLAT_SOURCES = \
	utilities/ovs-vmlat-data.c \
	utilities/ovs-vmlat-diff.c \
	utilities/ovs-vmlat-html-draw.c \
	utilities/ovs-vmlat-html.c \
	utilities/ovs-vmlat-interval.c \
	utilities/ovs-vmlat-findings.c \
	utilities/ovs-vmlat-join.c \
	utilities/ovs-vmlat-join.h \
	utilities/ovs-vmlat-match.c \
	utilities/ovs-vmlat-match.h \
	utilities/ovs-vmlat-page.c \
	utilities/ovs-vmlat-page.h \
	utilities/ovs-vmlat-report.c \
	utilities/ovs-vmlat-report.h \
	utilities/ovs-vmlat-run.c \
	utilities/ovs-vmlat-run.h \
	utilities/ovs-vmlat-same.c \
	utilities/ovs-vmlat-series.c \
	utilities/ovs-vmlat-series.h \
	utilities/ovs-vmlat-slots.c \
	utilities/ovs-vmlat-slots.h \
	utilities/ovs-vmlat-tcp.c \
	utilities/ovs-vmlat-text.c \
	utilities/ovs-vmlat-way.c \
	utilities/ovs-vmlat.c \
	utilities/ovs-vmlat.h
VMLAT_FILES += $(OVS_VMLAT_SOURCES)
utilities_ovs_vmlat_SOURCES = \
	$(OVS_VMLAT_SOURCES) \
	ovs-plugin/vmlat-histogram.c \
	ovs-plugin/vmlat-record-file.c
utilities_ovs_vmlat_LDADD = $(LIBOPENVSWITCH)
utilities_ovs_vmlat_DEPENDENCIES = $(OVS_BUILT)
utilities_ovs_vmlat_LINK = \
	$(OVS_LIBTOOL_LINK) $(OVS_TEST_LINK_FLAGS) $(LDFLAGS) -o $@
$(utilities_ovs_vmlat_OBJECTS): | $(OVS_BUILT)

# The style of its page, without comments and indentation, as a string of C.
EXTRA_DIST += utilities/ovs-vmlat-html.css
CLEANFILES += utilities/ovs-vmlat-html-css.h
utilities/ovs-vmlat-html-css.h: utilities/ovs-vmlat-html.css
	$(AM_V_GEN)$(MKDIR_P) utilities && \
	sed -e '/^\/\*.*\*\/$$/d; /^\/\*/,/\*\/$$/d; /^$$/d; s/^ *//' \
	    -e 's/["\\]/\\&/g; s/.*/"&\\n"/' \
	    $(srcdir)/utilities/ovs-vmlat-html.css > $@.tmp && mv $@.tmp $@
utilities/ovs-vmlat-html.$(OBJEXT): utilities/ovs-vmlat-html-css.h
check-style: utilities/ovs-vmlat-html-css.h
