/*
 * Closes a descriptor of another process, as somebody with root on the host can: `close PID FD`. The process is held in a
 * system call of its own, whose instruction is used once for the close, and then goes on as if nothing had been.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

static void check(long result, const char *what) {
    if (result < 0) {
        perror(what);
        exit(1);
    }
}

int main(int count, char **arguments) {
    if (count != 3)
        return 2;
    int pid = atoi(arguments[1]);
    struct user_regs_struct before, during;
    check(ptrace(PTRACE_ATTACH, pid, 0, 0), "attach");
    check(waitpid(pid, NULL, __WALL), "wait");
    check(ptrace(PTRACE_GETREGS, pid, 0, &before), "get registers");
    during = before;
    during.rip -= 2; /* the syscall instruction that it is held behind */
    during.rax = SYS_close;
    during.rdi = atoi(arguments[2]);
    during.orig_rax = -1;
    check(ptrace(PTRACE_SETREGS, pid, 0, &during), "set registers");
    check(ptrace(PTRACE_SINGLESTEP, pid, 0, 0), "step");
    check(waitpid(pid, NULL, __WALL), "wait for the step");
    check(ptrace(PTRACE_GETREGS, pid, 0, &during), "get the result");
    long closed = during.rax;
    /* Its own call is made again. */
    before.rip -= 2;
    before.rax = before.orig_rax;
    before.orig_rax = -1;
    check(ptrace(PTRACE_SETREGS, pid, 0, &before), "restore registers");
    check(ptrace(PTRACE_DETACH, pid, 0, 0), "detach");
    return closed != 0;
}
