# Copyright (c) 2026 The vmlat authors.
#
# Copying and distribution of this file, with or without modification,
# are permitted in any medium without royalty provided the copyright
# notice and this notice are preserved.  This file is offered as-is,
# without warranty of any kind.

EXTRA_DIST += docs/bypass.rst docs/internals.rst docs/ovs-vmlat.8.rst \
	docs/records.rst \
	docs/ovs-vmlat.1.rst docs/vmlat-guest.8.rst

if HAVE_RST2MAN
man_MANS += docs/ovs-vmlat.8
CLEANFILES += docs/ovs-vmlat.8
docs/ovs-vmlat.8: docs/ovs-vmlat.8.rst
	$(AM_V_GEN)$(MKDIR_P) docs && \
	$(RST2MAN) --halt=warning $(srcdir)/docs/ovs-vmlat.8.rst $@.tmp && \
	mv $@.tmp $@

man_MANS += docs/vmlat-guest.8
CLEANFILES += docs/vmlat-guest.8
docs/vmlat-guest.8: docs/vmlat-guest.8.rst
	$(AM_V_GEN)$(MKDIR_P) docs && \
	$(RST2MAN) --halt=warning $(srcdir)/docs/vmlat-guest.8.rst $@.tmp && \
	mv $@.tmp $@

man_MANS += docs/ovs-vmlat.1
CLEANFILES += docs/ovs-vmlat.1
docs/ovs-vmlat.1: docs/ovs-vmlat.1.rst
	$(AM_V_GEN)$(MKDIR_P) docs && \
	$(RST2MAN) --halt=warning $(srcdir)/docs/ovs-vmlat.1.rst $@.tmp && \
	mv $@.tmp $@
endif

# The man page has every command, point, segment and setting.
check-docs:
	@if test -f $(srcdir)/build-aux/check-docs; then \
	    if $(srcdir)/build-aux/check-docs; then \
	        echo "vmlat-check: docs: ok"; \
	    else \
	        echo "vmlat-check: docs: FAILED"; exit 1; \
	    fi; \
	else \
	    echo "vmlat-check: docs: skipped (no build-aux/check-docs)"; \
	fi
