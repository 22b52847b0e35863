/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The registers of a task in user space, as the kernel's interface defines them for uprobes. */
#ifndef URVA_REGISTERS_H
#define URVA_REGISTERS_H

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
    unsigned long r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax, rip, cs,
        eflags, rsp, ss;
};
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
    __u64 regs[31], sp, pc, pstate;
};
#endif

#endif
