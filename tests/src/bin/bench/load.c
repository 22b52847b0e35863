/*
 * The load of the bench: starts programs, or calls the kernel, as fast as it can or at a fixed rate.
 *
 * Owns: nothing but the loops. It is small and linked statically, so that a fork of it is cheap and it runs
 * in any container.
 *
 *     load loop MILLISECONDS PROCESSES PROGRAM [ARGUMENT…]   one program after the other, in each process
 *     load read MILLISECONDS                                 reads of one byte
 *     load getppid MILLISECONDS                              the cheapest system call
 *     load pace PER_SECOND COUNT FOLDER [JOB PROGRAM TEXT]…  the jobs in turn, each TEXT made different:
 *              JOB none: PROGRAM alone; inline: PROGRAM -c TEXT; file: PROGRAM FILE, with TEXT in it;
 *              same: as inline, and the text as it is;
 *              fresh: a new copy of PROGRAM, with one argument
 *     load flood MILLISECONDS PROCESSES FOLDER JOB PROGRAM TEXT   a job again and again, in each process
 *     load times COUNT FOLDER JOB PROGRAM TEXT               a job so many times, one after the other
 *
 * Prints how many were done, and the nanoseconds that they took; `times` prints the nanoseconds of each.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000ULL

static char *const environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", NULL};

static void die(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(2);
}

static unsigned long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * SECOND + time.tv_nsec;
}

/* Starts a program. The memory is the child's as well until it executes, so its failure shows here. */
static pid_t start(char *const *arguments) {
    static volatile int failure;
    failure = 0;
    pid_t pid = vfork();
    if (pid == 0) {
        execve(arguments[0], arguments, environment);
        failure = errno;
        _exit(127);
    }
    if (pid < 0 || failure) {
        errno = pid < 0 ? errno : failure;
        die(arguments[0]);
    }
    return pid;
}

/* One program after the other until the time is over. Fork and not vfork: it is what most programs call. */
static unsigned long long run_until(unsigned long long end, char **arguments) {
    unsigned long long count = 0;
    while (now() < end) {
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            execve(arguments[0], arguments, environment);
            _exit(127);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
            die(arguments[0]);
        count++;
    }
    return count;
}

/* Looks at the clock once in 1,000 calls, so that the clock is not what is measured. */
static unsigned long long call(unsigned long long length, int file) {
    unsigned long long count = 0, end = now() + length;
    char byte;
    while (now() < end) {
        for (int i = 0; i < 1000; i++) {
            if (file < 0)
                syscall(SYS_getppid);
            else if (read(file, &byte, 1) != 1)
                die("read");
        }
        count += 1000;
    }
    return count;
}

static void write_file(const char *path, const char *text) {
    size_t length = strlen(text);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    if (file < 0 || write(file, text, length) != (ssize_t)length || close(file))
        die(path);
}

/* A program that nobody has executed before: the number behind it makes it another file. */
static void copy_program(const char *from, const char *path, unsigned long long number) {
    static char program[65536];
    static ssize_t length;
    if (!length) {
        int file = open(from, O_RDONLY | O_CLOEXEC);
        length = file < 0 ? -1 : read(file, program, sizeof(program) - sizeof(number));
        if (length <= 0 || close(file))
            die(from);
    }
    memcpy(program + length, &number, sizeof(number));
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    if (file < 0 || write(file, program, length + sizeof(number)) < 0 || close(file))
        die(path);
}

static pid_t run_job(char **job, const char *folder, unsigned long long number) {
    static char text[65536], path[4096];
    snprintf(text, sizeof(text), "%s\n# %d %llu\n", job[2], getpid(), number);
    snprintf(path, sizeof(path), "%s/%d-%llu", folder, getpid(), number);
    if (!strcmp(job[0], "same"))
        return start((char *[]){job[1], "-c", job[2], NULL});
    if (!strcmp(job[0], "inline"))
        return start((char *[]){job[1], "-c", text, NULL});
    if (!strcmp(job[0], "none"))
        return start((char *[]){job[1], NULL});
    if (!strcmp(job[0], "file"))
        write_file(path, text);
    else
        copy_program(job[1], path, number);
    char *script[] = {job[1], path, NULL}, *program[] = {path, "x", NULL};
    return start(!strcmp(job[0], "file") ? script : program);
}

/* One job after the other until the time is over; files go with their processes. */
static unsigned long long flood_until(unsigned long long end, const char *folder, char **job) {
    unsigned long long count = 0;
    static char path[4096];
    while (now() < end) {
        int status;
        pid_t pid = run_job(job, folder, count);
        if (waitpid(pid, &status, 0) != pid)
            die(job[1]);
        snprintf(path, sizeof(path), "%s/%d-%llu", folder, getpid(), count++);
        unlink(path);
    }
    return count;
}

/* Each job from before its start until it has ended. */
static void print_times(unsigned long long count, const char *folder, char **job, int output) {
    static char path[4096];
    for (unsigned long long number = 0; number < count; number++) {
        int status;
        unsigned long long begin = now();
        pid_t pid = run_job(job, folder, begin);
        if (waitpid(pid, &status, 0) != pid || status != 0)
            die(job[1]);
        dprintf(output, "%llu\n", now() - begin);
        snprintf(path, sizeof(path), "%s/%d-%llu", folder, getpid(), begin);
        unlink(path);
    }
}

/* In several processes: programs again and again, or where there is a folder, jobs. */
static unsigned long long loop(unsigned long long length, int processes, const char *folder,
                               char **arguments) {
    int counts[2];
    unsigned long long total = 0, count, end = now() + length;
    if (pipe(counts))
        die("pipe");
    for (int i = 0; i < processes; i++) {
        pid_t pid = fork();
        if (pid < 0)
            die("fork");
        if (pid == 0) {
            count = folder ? flood_until(end, folder, arguments) : run_until(end, arguments);
            _exit(write(counts[1], &count, sizeof(count)) != sizeof(count));
        }
    }
    close(counts[1]);
    for (int i = 0; i < processes; i++) {
        if (read(counts[0], &count, sizeof(count)) != sizeof(count))
            die("a process of the loop");
        total += count;
    }
    return total;
}

static void pace(unsigned long long rate, unsigned long long count, const char *folder, char **jobs,
                 int length) {
    /* The kernel reaps; unlike an ignored signal this does not reach the programs. */
    sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT}, NULL);
    unsigned long long begin = now();
    for (unsigned long long number = 0; number < count; number++) {
        unsigned long long at = begin + number * SECOND / rate;
        struct timespec until = {.tv_sec = at / SECOND, .tv_nsec = at % SECOND};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        run_job(jobs + number % length * 3, folder, number);
    }
    /* Returns when no child is left. */
    waitpid(-1, NULL, 0);
}

int main(int count, char **arguments) {
    if (count < 3)
        return 2;
    const char *kind = arguments[1];
    unsigned long long number = strtoull(arguments[2], NULL, 10), done, begin = now();
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    int output = fcntl(1, F_DUPFD_CLOEXEC, 3);
    if (null < 0 || zero < 0 || output < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0)
        die("/dev");

    if (!strcmp(kind, "loop") && count > 4) {
        done = loop(number * 1000000, atoi(arguments[3]), NULL, arguments + 4);
    } else if (!strcmp(kind, "flood") && count > 7) {
        done = loop(number * 1000000, atoi(arguments[3]), arguments[4], arguments + 5);
    } else if (!strcmp(kind, "times") && count > 6) {
        print_times(number, arguments[3], arguments + 4, output);
        return 0;
    } else if (!strcmp(kind, "read")) {
        done = call(number * 1000000, zero);
    } else if (!strcmp(kind, "getppid")) {
        done = call(number * 1000000, -1);
    } else if (!strcmp(kind, "pace") && count > 7) {
        done = strtoull(arguments[3], NULL, 10);
        pace(number, done, arguments[4], arguments + 5, (count - 5) / 3);
    } else {
        return 2;
    }
    dprintf(output, "%llu %llu\n", done, now() - begin);
    return 0;
}
