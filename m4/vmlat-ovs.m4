# Copyright (c) 2026 The vmlat authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at:
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

# The OVS releases that vmlat goes with, first and last.  Releases outside
# this range may lack what the wraps and the tests stand on.
m4_define([VMLAT_OVS_FIRST], [3.1.0])
m4_define([VMLAT_OVS_LAST], [3.1.99])
m4_define([VMLAT_OVS_RANGE], [3.1.x])

# Where Debian's package openvswitch-source puts its source.
m4_define([VMLAT_OVS_PACKAGED], [/usr/src/openvswitch])

# VMLAT_CHECK_OVS
# ---------------
# Finds, or makes, the source and the build of Open vSwitch and takes from
# that build everything that our objects have to share with it.
AC_DEFUN([VMLAT_CHECK_OVS], [
  AC_ARG_WITH([ovs-source],
    [AS_HELP_STRING([--with-ovs-source=DIR],
       [OVS source tree (default: the source of package openvswitch-source,
        unpacked and built in ./ovs)])])
  AC_ARG_WITH([ovs-build],
    [AS_HELP_STRING([--with-ovs-build=DIR],
       [OVS build tree (default: the OVS source tree)])])
  AC_ARG_WITH([dpdk],
    [AS_HELP_STRING([--without-dpdk],
       [build for an OVS without DPDK (default: as the OVS is)])],
    [], [with_dpdk=auto])
  AS_CASE([$with_ovs_source], [yes|no],
    [AC_MSG_ERROR([--with-ovs-source needs a directory])])
  AS_CASE([$with_ovs_build], [yes|no],
    [AC_MSG_ERROR([--with-ovs-build needs a directory])])

  ovs_bundled=no
  AS_IF([test -n "$with_ovs_source"],
    [VMLAT_OVS_GIVEN],
    [test -n "$with_ovs_build"],
    [AC_MSG_ERROR([--with-ovs-build needs --with-ovs-source, too])],
    [VMLAT_OVS_BUNDLED])

  # DPDK: our objects have to be what OVS is.
  AS_IF([grep -q '^#define DPDK_NETDEV 1' "$ovs_builddir/config.h"],
    [vmlat_dpdk=yes], [vmlat_dpdk=no])
  AS_CASE([$with_dpdk,$vmlat_dpdk],
    [no,yes], [AC_MSG_ERROR([--without-dpdk, but the OVS in $ovs_builddir was configured with DPDK])],
    [auto,*|no,no|*,yes], [],
    [AC_MSG_ERROR([--with-dpdk, but the OVS in $ovs_builddir was configured without DPDK])])
  AM_CONDITIONAL([HAVE_DPDK], [test "$vmlat_dpdk" = yes])

  VMLAT_OVS_VARS

  AS_CASE([" $OVS_AM_CFLAGS "], [*" -flto"*],
    [AC_MSG_ERROR([the OVS in $ovs_builddir was configured with -flto: calls inlined across files cannot be wrapped; configure OVS without it])])

  # Installs where OVS does, unless the user says otherwise.
  AS_IF([test "$prefix" = NONE],
    [prefix=$OVS_PREFIX
     test "$sbindir" != '${exec_prefix}/sbin' || sbindir=$OVS_SBINDIR
     test "$mandir" != '${datarootdir}/man' || mandir=$OVS_MANDIR
     test "$sysconfdir" != '${prefix}/etc' || sysconfdir=$OVS_SYSCONFDIR])

  AC_SUBST([CONFIG_STATUS_DEPENDENCIES], ["$ovs_builddir/config.status"])
  AC_SUBST([vmlat_dpdk])
  AC_SUBST([ovs_srcdir])
  AC_SUBST([ovs_builddir])
  AC_SUBST([OVS_VERSION])
  AM_CONDITIONAL([OVS_BUNDLED], [test "$ovs_bundled" = yes])
])

# VMLAT_OVS_VERSION(VERSION, WHERE)
# ---------------------------------
# Stops unless VERSION, found in WHERE, is supported.
AC_DEFUN([VMLAT_OVS_VERSION], [
  vmlat_bad=no
  AS_VERSION_COMPARE([$1], VMLAT_OVS_FIRST, [vmlat_bad=yes])
  AS_VERSION_COMPARE([$1], VMLAT_OVS_LAST, [], [], [vmlat_bad=yes])
  AS_IF([test "$vmlat_bad" = yes],
    [AC_MSG_ERROR([found OVS $1 in $2, but vmlat supports OVS VMLAT_OVS_RANGE])])
])

# VMLAT_OVS_GIVEN
# ---------------
# The user named an OVS: sets ovs_srcdir, ovs_builddir, OVS_VERSION.
AC_DEFUN([VMLAT_OVS_GIVEN], [
  AS_IF([test ! -f "$with_ovs_source/vswitchd/bridge.c"],
    [AC_MSG_ERROR([$with_ovs_source is not an OVS source tree: it has no vswitchd/bridge.c])])
  ovs_srcdir=$(cd "$with_ovs_source" && pwd)
  AS_IF([test -z "$with_ovs_build"], [with_ovs_build=$ovs_srcdir])
  AS_IF([test ! -f "$with_ovs_build/config.h"],
    [AC_MSG_ERROR([$with_ovs_build is not an OVS build tree: it has no config.h (configure and build OVS first, or give --with-ovs-build)])])
  ovs_builddir=$(cd "$with_ovs_build" && pwd)

  OVS_VERSION=$($SED -n 's/^#define PACKAGE_VERSION "\(.*\)"/\1/p' "$ovs_builddir/config.h")
  AC_MSG_CHECKING([for the version of OVS])
  AC_MSG_RESULT([$OVS_VERSION])
  VMLAT_OVS_VERSION([$OVS_VERSION], [$ovs_builddir])
  vmlat_source=$($SED -n 's/^A[[C]]_INIT(openvswitch, *\([[^,]]*\),.*/\1/p' "$ovs_srcdir/configure.ac")
  AS_IF([test "$vmlat_source" != "$OVS_VERSION"],
    [AC_MSG_ERROR([the OVS source in $ovs_srcdir is $vmlat_source, but the build in $ovs_builddir is $OVS_VERSION])])
  AS_IF([test ! -f "$ovs_builddir/Makefile" || test ! -f "$ovs_builddir/libtool"],
    [AC_MSG_ERROR([$ovs_builddir is not an OVS build tree: it has no Makefile or no libtool])])
])

# VMLAT_OVS_BUNDLED
# -----------------
# The user named no OVS: unpacks and configures the packaged source in ./ovs.
# 'make' builds it.  A later run finds it done by the stamp.
AC_DEFUN([VMLAT_OVS_BUNDLED], [
  ovs_bundled=yes
  ovs_tarball=VMLAT_OVS_PACKAGED/openvswitch.tar.gz
  ovs_builddir=$(pwd)/ovs/build
  AS_IF([test -f "$ovs_tarball"],
    [ovs_srcdir=$(pwd)/ovs/openvswitch
     vmlat_what=$(cksum < "$ovs_tarball")],
    [test -f "VMLAT_OVS_PACKAGED/vswitchd/bridge.c"],
    [ovs_srcdir=VMLAT_OVS_PACKAGED
     vmlat_what=$(cksum < "$ovs_srcdir/configure")],
    [AC_MSG_ERROR([no $ovs_tarball: install package openvswitch-source, or name your own OVS with --with-ovs-source])])

  AS_CASE([$with_dpdk],
    [no], [set -- --without-dpdk],
    [AS_IF([pkg-config --exists libdpdk 2>/dev/null], [],
       [AC_MSG_ERROR([DPDK not found: install packages libdpdk-dev and pkg-config, or give --without-dpdk])])
     set -- --with-dpdk=shared])
  # The daemon has to look for its database and sockets where the user's OVS
  # has them.
  test "$prefix" = NONE || set -- "$[]@" --prefix="$prefix"
  test "$sysconfdir" = '${prefix}/etc' || set -- "$[]@" --sysconfdir="$sysconfdir"
  test "$localstatedir" = '${prefix}/var' || set -- "$[]@" --localstatedir="$localstatedir"
  test -z "$CC" || set -- "$[]@" CC="$CC"
  vmlat_what="$vmlat_what $[]*"

  AS_IF([test "$(cat ovs/configured 2>/dev/null)" != "$vmlat_what"],
    [AS_IF([test -f "$ovs_tarball"],
       [AC_MSG_NOTICE([unpacking $ovs_tarball])
        rm -rf ovs
        $MKDIR_P ovs
        tar -C ovs -xzf "$ovs_tarball" ||
          AC_MSG_ERROR([cannot unpack $ovs_tarball])])
     OVS_VERSION=$($SED -n "s/^PACKAGE_VERSION='\(.*\)'/\1/p" "$ovs_srcdir/configure")
     VMLAT_OVS_VERSION([$OVS_VERSION], [VMLAT_OVS_PACKAGED])
     rm -rf ovs/build ovs/built
     $MKDIR_P ovs/build
     AC_MSG_NOTICE([configuring OVS $OVS_VERSION with $[]*])
     (cd ovs/build && "$ovs_srcdir/configure" --enable-silent-rules "$[]@") \
        > ovs/configure.log 2>&1 < /dev/null ||
       AC_MSG_ERROR([cannot configure OVS: $(grep '^configure: error' ovs/configure.log || echo see ovs/configure.log)])
     echo "$vmlat_what" > ovs/configured])
  OVS_VERSION=$($SED -n 's/^#define PACKAGE_VERSION "\(.*\)"/\1/p' "$ovs_builddir/config.h")
])

# VMLAT_OVS_VARS
# --------------
# Has OVS's own Makefile tell the tools and flags it builds with.  Relative
# folders come out absolute.
AC_DEFUN([VMLAT_OVS_VARS], [
  vmlat_mk=$(cd "$srcdir/build-aux" && pwd)/ovs-vars.mk
  ${MAKE-make} -s --no-print-directory -C "$ovs_builddir" -o Makefile \
      -f "$vmlat_mk" top_srcdir="$ovs_srcdir" top_builddir="$ovs_builddir" \
      V=1 vmlat-ovs-vars > conftest.ovs 2> conftest.err ||
    AC_MSG_ERROR([cannot read the flags from $ovs_builddir/Makefile: $(head -n 1 conftest.err)])
  m4_foreach_w([vmlat_var],
    [OVS_CC OVS_AM_CPPFLAGS OVS_AM_CFLAGS OVS_LINK_FLAGS OVS_TEST_LINK_FLAGS
     OVS_LIBS OVS_PREFIX OVS_SBINDIR OVS_MANDIR OVS_SYSCONFDIR OVS_PYTHON3
     OVS_VSWITCHD_OBJECTS OVS_VSWITCHD_LDADD],
    [AC_SUBST(vmlat_var)
     vmlat_var=$($SED -n 's/^vmlat_var=//p' conftest.ovs)
])
  rm -f conftest.ovs conftest.err
  AS_IF([test -z "$OVS_CC" || test -z "$OVS_VSWITCHD_OBJECTS"],
    [AC_MSG_ERROR([$ovs_builddir/Makefile does not say how it builds ovs-vswitchd])])
])
