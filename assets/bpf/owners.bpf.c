// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// One record per open descriptor of each process, as listed in /proc/PID/fd and, for threads with a descriptor table
// of their own, in /proc/PID/task/TID/fd; read by src/collect/procs/bpf.rs.
// An iterator over task files (kernel/bpf/task_iter.c, Linux >= 5.11 for the helpers used) calls it once per
// descriptor. The iterator skips threads that share the descriptors of their leader, and tasks not visible in the
// reader's pid namespace. If the leader has exited, it calls it for every thread.
//
// assets/bpf/build compiles it to the object file in this directory, which sockscope embeds.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
// Only the fields that are read; the loader relocates them by the BTF of the running kernel.
#define CORE __attribute__((preserve_access_index))

struct super_block {
	unsigned long s_magic;
} CORE;

struct inode {
	unsigned long i_ino;
	struct super_block *i_sb;
} CORE;

struct qstr {
	const unsigned char *name;
} CORE;

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
} CORE;

struct path {
	struct dentry *dentry;
} CORE;

struct file {
	struct path f_path;
	struct inode *f_inode;
} CORE;

struct upid {
	int nr;
} CORE;

struct pid {
	unsigned int level;
	struct upid numbers[1];
} CORE;

struct files_struct;

struct task_struct {
	int pid;
	int tgid;
	u64 start_boottime;
	struct pid *thread_pid;
	struct task_struct *group_leader;
	struct files_struct *files;
} CORE;

// Iterator context, with the same layout in every kernel that has it (include/linux/bpf.h).
struct seq_file;
struct bpf_iter_meta {
	struct seq_file *seq;
};
struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd __attribute__((aligned(8)));
	struct file *file;
};

// Helpers by number (include/uapi/linux/bpf.h).
static long (*bpf_probe_read_kernel)(void *to, u32 size, const void *from) = (void *)113;
static long (*bpf_probe_read_kernel_str)(void *to, u32 size, const void *from) = (void *)115;
static long (*bpf_seq_write)(struct seq_file *m, const void *data, u32 len) = (void *)127;
static struct task_struct *(*bpf_get_current_task_btf)(void) = (void *)158;

// include/uapi/linux/magic.h
#define SOCKFS 0x534f434b
#define PIPEFS 0x50495045
#define ANON_INODE_FS 0x09041934
#define TMPFS 0x01021994
#define HUGETLBFS 0x958458f6
#define NSFS 0x6e736673
#define PID_FS 0x50494446

// In the order of `FdKind::ALL`.
enum kind { SOCKET, FILE_, PIPE, EVENTFD, EPOLL, TIMERFD, SIGNALFD, INOTIFY, MEMFD, PIDFD, OTHER };

struct record {
	// Start time of the process, nanoseconds after boot; together with the pid its identity.
	u64 start_ns;
	u64 inode;
	// In the pid namespace of the reader.
	u32 pid;
	u32 fd;
	// With IO_URING or NAMESPACE, if it is one.
	u32 kind;
	// 0: that of the main thread; else the same for threads that share it.
	u32 table;
};

#define IO_URING (1 << 16)
#define NAMESPACE (1 << 17)

// The first 16 bytes of a name, padded with zeros.
union name {
	char text[16];
	u64 words[2];
};

#define EIGHT(a, b, c, d, e, f, g, h)                                                                  \
	((u64)(a) | (u64)(b) << 8 | (u64)(c) << 16 | (u64)(d) << 24 | (u64)(e) << 32 | (u64)(f) << 40 | \
	 (u64)(g) << 48 | (u64)(h) << 56)

// Kind of descriptor, as the link in /proc/PID/fd shows it.
static inline __attribute__((always_inline)) u32 kind_of(struct file *file, unsigned long magic)
{
	union name name = {};
	struct dentry *dentry;

	switch (magic) {
	case SOCKFS:
		return SOCKET;
	case PIPEFS:
		return PIPE;
	case NSFS:
		return OTHER | NAMESPACE;
	case PID_FS:
		return PIDFD;
	case ANON_INODE_FS:
		bpf_probe_read_kernel_str(name.text, sizeof(name.text), file->f_path.dentry->d_name.name);
		switch (name.words[0]) {
		case EIGHT('[', 'e', 'v', 'e', 'n', 't', 'f', 'd'):
			return name.words[1] == ']' ? EVENTFD : OTHER;
		case EIGHT('[', 'e', 'v', 'e', 'n', 't', 'p', 'o'):
			return name.words[1] == EIGHT('l', 'l', ']', 0, 0, 0, 0, 0) ? EPOLL : OTHER;
		case EIGHT('[', 't', 'i', 'm', 'e', 'r', 'f', 'd'):
			return name.words[1] == ']' ? TIMERFD : OTHER;
		case EIGHT('[', 's', 'i', 'g', 'n', 'a', 'l', 'f'):
			return name.words[1] == EIGHT('d', ']', 0, 0, 0, 0, 0, 0) ? SIGNALFD : OTHER;
		case EIGHT('i', 'n', 'o', 't', 'i', 'f', 'y', 0):
			return INOTIFY;
		case EIGHT('[', 'p', 'i', 'd', 'f', 'd', ']', 0):
			return PIDFD;
		case EIGHT('[', 'i', 'o', '_', 'u', 'r', 'i', 'n'):
			return name.words[1] == EIGHT('g', ']', 0, 0, 0, 0, 0, 0) ? OTHER | IO_URING : OTHER;
		}
		return OTHER;
	case TMPFS:
	case HUGETLBFS:
		// Without a parent directory: from memfd_create, not opened by path.
		dentry = file->f_path.dentry;
		if (dentry->d_parent != dentry)
			return FILE_;
		bpf_probe_read_kernel_str(name.text, sizeof(name.text), dentry->d_name.name);
		return name.words[0] << 16 == EIGHT(0, 0, 'm', 'e', 'm', 'f', 'd', ':') ? MEMFD : FILE_;
	default:
		return FILE_;
	}
}

// Pid of a task in the pid namespace of the reader; 0 if it has none.
static inline __attribute__((always_inline)) u32 pid_here(struct task_struct *task)
{
	u32 level = bpf_get_current_task_btf()->thread_pid->level;
	struct pid *pid = task->thread_pid;
	int nr = 0;

	if (level == 0)
		return task->pid;
	if (level > pid->level)
		return 0;
	u64 each = __builtin_preserve_type_info(*(struct upid *)0, 1);
	u64 at = (u64)&pid->numbers[0].nr + level * each;
	bpf_probe_read_kernel(&nr, sizeof(nr), (void *)at);
	return nr;
}

SEC("iter/task_file")
int owners(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;

	if (!task || !file)
		return 0;
	// The process has the pid and start time of its main thread.
	struct task_struct *leader = task->group_leader;
	struct inode *inode = file->f_inode;
	u64 table = 0;

	if (task->pid != task->tgid) {
		bpf_probe_read_kernel(&table, sizeof(table), &task->files);
		// Objects are aligned to more than two bytes.
		table = table >> 1 | 1;
	}
	struct record r = {
		.start_ns = leader->start_boottime,
		.inode = inode->i_ino,
		.pid = pid_here(leader),
		.fd = ctx->fd,
		.kind = kind_of(file, inode->i_sb->s_magic),
		.table = table,
	};
	bpf_seq_write(ctx->meta->seq, &r, sizeof(r));
	return 0;
}

// Required by the helpers.
char LICENSE[] SEC("license") = "Dual MIT/GPL";
