#!/bin/sh
# Copyright (c) 2026 The vmlat authors.
#
# Copying and distribution of this file, with or without modification,
# are permitted in any medium without royalty provided the copyright
# notice and this notice are preserved.  This file is offered as-is,
# without warranty of any kind.

# Makes 'configure' and 'Makefile.in' from the sources of the build system.

cd "$(dirname "$0")" && exec autoreconf --install --force
