/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Writes names that the kernel keeps as chains, paths and cgroups, into the event's data.
 *
 * bpf_d_path() is refused to tracepoints, so the chain of dentries is followed by hand: each name is
 * appended with its NUL, leaf first, and user space turns the order round. Guarantee: the path as seen from
 * the process's own root. Blind spot: a path of more than PATH_COMPONENTS_MAX components is cut, and flagged;
 * a rename while the chain is followed can mix the old and the new path, as it can in /proc.
 */
#ifndef URVA_PATH_H
#define URVA_PATH_H

#include "container.h"
#include "scratch.h"

/* Appends one NUL-terminated kernel string. Returns false where there was no room. */
static __always_inline bool append_name(struct scratch *scratch, const void *name) {
    __u32 at = scratch->used;
    if (at >= DATA_BYTES)
        return false;
    /* The mask tells the verifier what the line above already ensures; NAME_SLACK lies behind the mask. */
    long length = bpf_probe_read_kernel_str(&scratch->data[at & (DATA_BYTES - 1)], NAME_SLACK, name);
    if (length <= 0)
        return false;
    scratch->used = at + (__u32)length;
    return true;
}

/* Appends the components of `path` up to the process's root. Returns the bytes written. */
static __noinline __u32 append_path(struct scratch *scratch, struct path *path, struct path *root) {
    __u32 start = scratch->used;
    struct dentry *dentry = BPF_CORE_READ(path, dentry);
    struct vfsmount *vfsmount = BPF_CORE_READ(path, mnt);
    struct dentry *root_dentry = BPF_CORE_READ(root, dentry);
    struct vfsmount *root_vfsmount = BPF_CORE_READ(root, mnt);

    for (int i = 0; i < PATH_COMPONENTS_MAX; i++) {
        if (dentry == root_dentry && vfsmount == root_vfsmount)
            return scratch->used - start;
        struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
        if (dentry == BPF_CORE_READ(vfsmount, mnt_root) || dentry == parent) {
            struct mount *mount = (void *)vfsmount - bpf_core_field_offset(struct mount, mnt);
            struct mount *above = BPF_CORE_READ(mount, mnt_parent);
            if (above == mount) {
                /* The top of a mount tree that is not the process's own: a memfd, or a file from outside. Its
                 * only name, such as `memfd:x`, is the dentry's own. */
                if (scratch->used == start)
                    append_name(scratch, BPF_CORE_READ(dentry, d_name.name));
                return scratch->used - start;
            }
            dentry = BPF_CORE_READ(mount, mnt_mountpoint);
            vfsmount = (void *)above + bpf_core_field_offset(struct mount, mnt);
            continue;
        }
        if (scratch->used - start > PATH_BYTES_MAX ||
            !append_name(scratch, BPF_CORE_READ(dentry, d_name.name)))
            break;
        dentry = parent;
    }
    scratch->event.flags |= EXEC_PATH_CUT;
    return scratch->used - start;
}

/* Appends the names of a cgroup and those above it; the root's empty name is left out. */
static __noinline __u32 append_cgroup(struct scratch *scratch, struct cgroup *cgroup) {
    __u32 start = scratch->used;
    struct kernfs_node *node = BPF_CORE_READ(cgroup, kn);

    for (int i = 0; i < PATH_COMPONENTS_MAX; i++) {
        struct kernfs_node *parent = kernfs_parent(node);
        if (!parent)
            return scratch->used - start;
        if (scratch->used - start > PATH_BYTES_MAX || !append_name(scratch, BPF_CORE_READ(node, name)))
            break;
        node = parent;
    }
    scratch->event.flags |= EXEC_PATH_CUT;
    return scratch->used - start;
}

#endif
