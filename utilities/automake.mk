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
