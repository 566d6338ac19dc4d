# SPDX-License-Identifier: Apache-2.0
"""Write the cffi binding of libseccomp (ABI mode, no compiler): `python3 build_binding.py OUT`."""

import os
import sys

from cffi import FFI

DECLARATIONS = """
typedef void *scmp_filter_ctx;
struct scmp_version { unsigned int major; unsigned int minor; unsigned int micro; };
struct scmp_arg_cmp { unsigned int arg; int op; uint64_t datum_a; uint64_t datum_b; };

const struct scmp_version *seccomp_version(void);
unsigned int seccomp_api_get(void);
scmp_filter_ctx seccomp_init(uint32_t default_action);
void seccomp_release(scmp_filter_ctx filter);
uint32_t seccomp_arch_resolve_name(const char *name);
uint32_t seccomp_arch_native(void);
int seccomp_arch_add(scmp_filter_ctx filter, uint32_t architecture);
int seccomp_attr_set(scmp_filter_ctx filter, int attribute, uint32_t value);
int seccomp_syscall_resolve_name(const char *name);
int seccomp_syscall_resolve_name_arch(uint32_t architecture, const char *name);
int seccomp_rule_add_array(scmp_filter_ctx filter, uint32_t action, int number,
                           unsigned int count, const struct scmp_arg_cmp *conditions);
int seccomp_export_bpf(const scmp_filter_ctx filter, int fd);

long syscall(long number, long operation, long flags, void *program);
"""


def main(out: str) -> None:
    """Write the module to `out`, all at once."""
    ffi = FFI()
    ffi.cdef(DECLARATIONS)
    ffi.set_source("pyoci.seccomp._libseccomp", None)
    ffi.emit_python_code(f"{out}.new")
    os.replace(f"{out}.new", out)


if __name__ == "__main__":
    main(sys.argv[1])
