/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The few kernel structures that the probes read, with the few fields that they read. The offsets written
 * here do not matter: preserve_access_index makes the loader put in those of the running kernel (CO-RE), so
 * neither a vmlinux.h nor BTF is needed on the machine that builds. A name with ___ and a suffix is the same
 * structure in another kernel version.
 */
#ifndef URVA_KERNEL_H
#define URVA_KERNEL_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;
enum { false = 0, true = 1 };

enum {
    BPF_MAP_TYPE_HASH = 1,
    BPF_MAP_TYPE_ARRAY = 2,
    BPF_MAP_TYPE_PERCPU_ARRAY = 6,
    BPF_MAP_TYPE_LRU_HASH = 9,
    BPF_MAP_TYPE_RINGBUF = 27
};
enum { BPF_ANY = 0 };
enum { BPF_RB_NO_WAKEUP = 1, BPF_RB_FORCE_WAKEUP = 2 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct qstr {
    __u32 len;
    const unsigned char *name;
};

struct super_block {
    __u32 s_dev;
};

struct inode {
    unsigned short i_mode;
    struct super_block *i_sb;
    unsigned long i_ino;
    __u32 i_rdev;
    long long i_size;
    long long i_ctime_sec; /* since 6.11 */
    __u32 i_ctime_nsec;
};

struct timespec64 {
    long long tv_sec;
    long tv_nsec;
};

struct inode___before_6_6 {
    struct timespec64 i_ctime;
};

struct inode___before_6_11 {
    struct timespec64 __i_ctime;
};

struct dentry {
    struct dentry *d_parent;
    struct qstr d_name;
};

struct vfsmount {
    struct dentry *mnt_root;
};

struct mount {
    struct mount *mnt_parent;
    struct dentry *mnt_mountpoint;
    struct vfsmount mnt;
};

struct path {
    struct vfsmount *mnt;
    struct dentry *dentry;
};

struct file {
    struct path f_path;
    struct inode *f_inode;
    void *private_data;
};
struct page {
    unsigned long flags;
};
struct pipe_buffer {
    struct page *page;
    unsigned int offset;
    unsigned int len;
};
struct pipe_inode_info {
    unsigned int head;
    unsigned int tail;
    unsigned int ring_size;
    unsigned int writers;
    struct pipe_buffer *bufs;
};

struct fdtable {
    unsigned int max_fds;
    struct file **fd;
};

struct files_struct {
    struct fdtable *fdt;
};

struct fs_struct {
    struct path root;
    struct path pwd;
};

struct ns_common {
    unsigned int inum;
};

struct mnt_namespace {
    struct ns_common ns;
};

struct pid_namespace {
    struct ns_common ns;
};

struct user_namespace {
    struct ns_common ns;
};

struct net {
    struct ns_common ns;
};

struct nsproxy {
    struct mnt_namespace *mnt_ns;
    struct net *net_ns;
};

struct upid {
    int nr;
    struct pid_namespace *ns;
};

struct pid {
    unsigned int level;
    struct upid numbers[1];
};

typedef struct {
    __u32 val;
} kuid_t;

typedef struct {
    __u32 val;
} kgid_t;

struct cred {
    kuid_t euid;
    kgid_t egid;
    struct user_namespace *user_ns;
};

struct mm_struct {
    unsigned long arg_start, arg_end, env_start, env_end;
    unsigned long mmap_base;
};

struct kernfs_node {
    __u64 id;
    struct kernfs_node *__parent; /* since 6.15 */
    const char *name;
};

struct kernfs_node___before_6_15 {
    struct kernfs_node *parent;
};

struct cgroup {
    struct kernfs_node *kn;
};

struct cgroup_subsys_state {
    struct cgroup *cgroup;
};

struct css_set {
    struct cgroup_subsys_state *subsys[1];
    struct cgroup *dfl_cgrp;
};

enum cgroup_subsys_id { pids_cgrp_id, memory_cgrp_id };

struct tty_struct;

struct signal_struct {
    struct tty_struct *tty;
};

struct task_struct {
    int pid;
    unsigned int flags;
    struct signal_struct *signal;
    int tgid;
    struct task_struct *real_parent;
    struct task_struct *group_leader;
    struct pid *thread_pid;
    __u64 start_boottime;
    const struct cred *cred;
    char comm[16];
    struct fs_struct *fs;
    struct files_struct *files;
    struct nsproxy *nsproxy;
    struct css_set *cgroups;
    struct mm_struct *mm;
};

struct linux_binprm {
    struct file *file;
};

#pragma clang attribute pop

#endif
