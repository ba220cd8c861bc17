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

# VMLAT_CHECK_BPF
# ---------------
# Finds what the programs for the kernel datapath are built with: clang with
# the target "bpf", bpftool and libbpf.  They are needed unless the user gives
# --without-bpf.
AC_DEFUN([VMLAT_CHECK_BPF], [
  AC_ARG_WITH([bpf],
    [AS_HELP_STRING([--without-bpf],
       [build without the BPF programs, which measure the kernel datapath])],
    [], [with_bpf=yes])
  AS_IF([test "$with_bpf" = no],
    [vmlat_bpf=no],
    [vmlat_bpf=yes
     VMLAT_BPF_CLANG
     VMLAT_BPF_BPFTOOL
     VMLAT_BPF_LIBBPF])
  VMLAT_BPF_STATIC
  AC_SUBST([BPF_CLANG])
  AC_SUBST([BPFTOOL])
  AC_SUBST([VMLAT_BPF_ARCH])
  AC_SUBST([VMLAT_BPF_LIBS])
  AC_SUBST([vmlat_bpf])
  AM_CONDITIONAL([HAVE_BPF], [test "$vmlat_bpf" = yes])
])

# VMLAT_BPF_STOP(WHAT)
# --------------------
m4_define([VMLAT_BPF_STOP],
  [AC_MSG_ERROR([$1, or give --without-bpf to build without the kernel datapath])])

# VMLAT_BPF_CLANG
# ---------------
AC_DEFUN([VMLAT_BPF_CLANG], [
  vmlat_cpu=$($CC -dumpmachine | $SED 's/-.*//')
  AS_CASE([$vmlat_cpu],
    [x86_64], [VMLAT_BPF_ARCH=x86],
    [aarch64], [VMLAT_BPF_ARCH=arm64],
    [VMLAT_BPF_STOP([the BPF programs know x86_64 and aarch64, not $vmlat_cpu: build elsewhere])])
  AC_CHECK_PROGS([BPF_CLANG], [clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14])
  AS_IF([test -z "$BPF_CLANG"],
    [VMLAT_BPF_STOP([clang not found: install package clang])])
  AC_MSG_CHECKING([whether $BPF_CLANG has the target "bpf"])
  echo 'int x;' > conftest.c
  AS_IF([$BPF_CLANG -target bpf -mcpu=v3 -c conftest.c -o conftest.bpf 2>&AS_MESSAGE_LOG_FD],
    [AC_MSG_RESULT([yes])],
    [AC_MSG_RESULT([no])
     VMLAT_BPF_STOP([$BPF_CLANG has no target "bpf": install clang 11 or later])])
  rm -f conftest.c conftest.bpf
])

# VMLAT_BPF_BPFTOOL
# -----------------
AC_DEFUN([VMLAT_BPF_BPFTOOL], [
  AC_PATH_PROGS([BPFTOOL], [bpftool], [], [$PATH:/usr/local/sbin:/usr/sbin:/sbin])
  AS_IF([test -z "$BPFTOOL"],
    [VMLAT_BPF_STOP([bpftool not found: install package bpftool])])
])

# VMLAT_BPF_LIBBPF
# ----------------
AC_DEFUN([VMLAT_BPF_LIBBPF], [
  AC_MSG_CHECKING([for libbpf 1.0 or later])
  vmlat_saved_libs=$LIBS
  LIBS="-lbpf $LIBS"
  AC_LINK_IFELSE([AC_LANG_PROGRAM([[
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#if LIBBPF_MAJOR_VERSION < 1
#error
#endif
]], [[return libbpf_major_version() < 1;]])],
    [AC_MSG_RESULT([yes])],
    [AC_MSG_RESULT([no])
     VMLAT_BPF_STOP([libbpf 1.0 or later not found: install package libbpf-dev])])
  LIBS=$vmlat_saved_libs
  VMLAT_BPF_LIBS=-lbpf
])

# VMLAT_BPF_STATIC
# ----------------
# Finds what vmlat-guest, which is linked statically, needs beside libbpf.  A
# libelf with support for zstd needs that library, too.  Without it, all else
# is built.
AC_DEFUN([VMLAT_BPF_STATIC], [
  VMLAT_GUEST_LIBS=
  vmlat_guest=no
  AS_IF([test "$vmlat_bpf" = yes], [
    AC_MSG_CHECKING([for static libraries for vmlat-guest])
    vmlat_saved_libs=$LIBS
    vmlat_saved_cflags=$CFLAGS
    CFLAGS="$CFLAGS -static"
    for vmlat_zstd in '' ' -lzstd'; do
      AS_IF([test $vmlat_guest = yes], [break])
      VMLAT_GUEST_LIBS="-lbpf -lelf -lz$vmlat_zstd"
      LIBS=$VMLAT_GUEST_LIBS
      AC_LINK_IFELSE([AC_LANG_PROGRAM([[
#include <bpf/libbpf.h>
]], [[return !bpf_object__open("x");]])],
        [vmlat_guest=yes])
    done
    LIBS=$vmlat_saved_libs
    CFLAGS=$vmlat_saved_cflags
    AC_MSG_RESULT([$vmlat_guest])
    AS_IF([test $vmlat_guest = no],
      [AC_MSG_NOTICE([vmlat-guest is not built: it needs libbpf.a, libelf.a, libz.a and libc.a (packages libbpf-dev, libelf-dev, zlib1g-dev, libc6-dev)])])
  ])
  AC_SUBST([VMLAT_GUEST_LIBS])
  AC_SUBST([vmlat_guest])
  AM_CONDITIONAL([HAVE_GUEST], [test "$vmlat_guest" = yes])
])
