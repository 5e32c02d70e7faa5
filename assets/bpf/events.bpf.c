// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// One record per change in the life of a TCP socket (opened, accepted, closed, failed, retransmission) and per first use of
// a UDP socket, with the process; read by src/collect/events/bpf.rs.
// Only BTF tracepoints (tp_btf): fentry, fexit, lsm and kprobes are refused or missing on many kernels. Linux >= 5.12 for the
// helpers used; sock_send_length and sock_recv_length, which find the process that uses an accepted socket, >= 6.3.
//
// assets/bpf/build compiles it to the object file in this directory, which sockscope embeds.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
// Only the fields that are read; the loader relocates them by the BTF of the running kernel.
#define CORE __attribute__((preserve_access_index))

struct ns_common {
	unsigned int inum;
} CORE;

struct net {
	struct ns_common ns;
} CORE;

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	u8 bytes[16];
} CORE;

struct sock_common {
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	u16 skc_dport;
	u16 skc_family;
	u16 skc_num;
	int skc_bound_dev_if;
	unsigned long skc_flags;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
} CORE;

typedef struct {
	u32 val;
} kuid_t;

struct sock {
	struct sock_common __sk_common;
	int sk_err;
	u16 sk_protocol;
	kuid_t sk_uid;
} CORE;

struct inet_sock {
	struct sock sk;
	u16 inet_sport;
} CORE;

struct inet_connection_sock {
	struct inet_sock icsk_inet;
} CORE;

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	u64 bytes_sent;
	u64 bytes_retrans;
	u64 bytes_received;
	u64 bytes_acked;
	u32 copied_seq;
	u32 rcv_nxt;
	u32 snd_una;
	u32 write_seq;
	u32 segs_out;
	u32 total_retrans;
	u32 srtt_us;
} CORE;

struct pid_namespace {
	struct ns_common ns;
} CORE;

struct upid {
	int nr;
	struct pid_namespace *ns;
} CORE;

struct pid {
	unsigned int level;
	struct upid numbers[1];
} CORE;

struct task_struct {
	unsigned int flags;
	int tgid;
	u64 start_boottime;
	char comm[16];
	struct pid *thread_pid;
	struct task_struct *group_leader;
} CORE;

// Helpers by number (include/uapi/linux/bpf.h).
static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static u64 (*bpf_get_current_uid_gid)(void) = (void *)15;
static u64 (*bpf_get_socket_cookie)(void *sk) = (void *)46;
static u64 (*bpf_get_current_cgroup_id)(void) = (void *)80;
static void *(*bpf_sk_storage_get)(void *map, void *sk, void *value, u64 flags) = (void *)107;
static long (*bpf_sk_storage_delete)(void *map, void *sk) = (void *)108;
static long (*bpf_probe_read_kernel)(void *to, u32 size, const void *from) = (void *)113;
static u64 (*bpf_ktime_get_boot_ns)(void) = (void *)125;
static long (*bpf_ringbuf_output)(void *ring, void *data, u64 size, u64 flags) = (void *)130;
static u64 (*bpf_ringbuf_query)(void *ring, u64 flags) = (void *)134;
static struct tcp_sock *(*bpf_skc_to_tcp_sock)(void *sk) = (void *)137;
static struct task_struct *(*bpf_get_current_task_btf)(void) = (void *)158;

#define __uint(name, value) int(*name)[value]
#define __type(name, type) typeof(type) *name

// include/uapi/linux/bpf.h
#define BPF_MAP_TYPE_HASH 1
#define BPF_MAP_TYPE_ARRAY 2
#define BPF_MAP_TYPE_PERCPU_ARRAY 6
#define BPF_MAP_TYPE_SK_STORAGE 24
#define BPF_MAP_TYPE_RINGBUF 27
#define BPF_F_NO_PREALLOC 1
#define BPF_ANY 0
#define BPF_NOEXIST 1
#define BPF_SK_STORAGE_GET_F_CREATE 1
#define BPF_RB_NO_WAKEUP 1
#define BPF_RB_FORCE_WAKEUP 2
#define BPF_RB_AVAIL_DATA 0

// include/linux/socket.h, include/uapi/linux/in.h, include/net/tcp_states.h, include/linux/sched.h, include/net/sock.h
#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
enum { ESTABLISHED = 1, SYN_SENT, SYN_RECV, FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSE, CLOSE_WAIT, LAST_ACK, LISTEN, STATES = 13 };
#define PF_KTHREAD 0x00200000
#define SOCK_DONE 1

// In the order of `Kind::ALL` of the reader.
enum kind { OPENED, ACCEPTED, CLOSED, FAILED, RETRANSMIT, LISTENING };
// Which end closed first.
enum side { NEITHER, HERE, PEER };
// Flags of a record.
#define INBOUND 1
// The accepting process was not known before this record.
#define NOT_ACCEPTED 2
// A SYN was sent.
#define SENT 4

struct process {
	// Start time, nanoseconds after boot; together with the pid its identity.
	u64 start_ns;
	u64 cgroup;
	// In the pid namespace of the reader; 0 if it has none there.
	u32 pid;
	u32 uid;
	char comm[16];
};

// From the first change of a socket that is seen until its end.
struct life {
	// Of the connect or the SYN, and of ESTABLISHED; 0 if not seen.
	u64 start_ns;
	u64 opened_ns;
	// Of the present state.
	u64 since_ns;
	struct process process;
	u8 inbound;
	u8 used;
	u8 side;
	u8 pad[5];
	u32 state_us[STATES];
	u32 pad2;
};

struct record {
	u64 at_ns;
	u64 start_ns;
	u64 opened_ns;
	u64 cookie;
	// Bytes of data, without repetitions.
	u64 tx;
	u64 rx;
	struct process process;
	u8 local[16];
	u8 remote[16];
	u32 netns;
	u32 iface;
	u32 owner_uid;
	u32 retrans;
	u32 rtt_us;
	u32 error;
	u16 local_port;
	u16 remote_port;
	u8 family;
	u8 protocol;
	u8 kind;
	u8 old_state;
	u8 side;
	u8 flags;
	u8 pad[2];
	// Time in each state, at the end.
	u32 state_us[STATES];
};

struct count_key {
	u32 netns;
	u32 pid;
	u32 error;
	u16 remote_port;
	u8 kind;
	// INBOUND, NOT_ACCEPTED.
	u8 flags;
	u8 remote[16];
};

struct count {
	u64 events;
	u64 tx;
	u64 rx;
	char comm[16];
};

struct config {
	// Namespaces with a key in `namespaces` only.
	u32 filtered;
	// Number of the reader's pid namespace.
	u32 pid_ns;
	// Records per second and CPU; above that events are counted.
	u32 budget;
	// The map for counts, 0 or 1.
	u32 counts;
};

struct meter {
	u64 window;
	u64 used;
	// Events neither recorded nor counted.
	u64 lost;
	// Events counted.
	u64 counted;
};

#define RING_BYTES (4 << 20)

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_BYTES);
} ring SEC(".maps");

// By the address of the socket. Its memory is allocated with the map: storage that is allocated and freed with each
// connection makes the connection take 2 us longer.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, u64);
	__type(value, struct life);
} lives SEC(".maps");

// Of TCP sockets for which the other map has no room, and of UDP sockets: their end is not traced, but frees it.
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct life);
} stored SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, u8);
} namespaces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct config);
} config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct meter);
} meter SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct count_key);
	__type(value, struct count);
} counts0 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct count_key);
	__type(value, struct count);
} counts1 SEC(".maps");

// Kept out of line where it is called from several places: the object is embedded in the program.
#define NOINLINE static __attribute__((noinline))

INLINE u16 swapped(u16 port)
{
	return port >> 8 | port << 8;
}

INLINE struct config *configuration(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&config, &zero);
}

// The current process, unless it is the kernel.
NOINLINE int current_process(struct life *life)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_struct *leader = task->group_leader;
	struct pid *pid = leader->thread_pid;
	u64 each = __builtin_preserve_type_info(*(struct upid *)0, 1);
	struct config *c = configuration();
	struct process *p;
	u32 level, i;

	if (!life || !c || task->flags & PF_KTHREAD)
		return 0;
	p = &life->process;
	p->start_ns = leader->start_boottime;
	p->uid = bpf_get_current_uid_gid();
	p->cgroup = bpf_get_current_cgroup_id();
	bpf_probe_read_kernel(p->comm, sizeof(p->comm), leader->comm);
	level = pid->level;
	for (i = 0; i < 8 && i <= level; i++) {
		struct upid *number = (struct upid *)((u64)&pid->numbers[0] + (u64)i * each);
		struct pid_namespace *ns = 0;
		u32 inum = 0;

		bpf_probe_read_kernel(&ns, sizeof(ns), &number->ns);
		bpf_probe_read_kernel(&inum, sizeof(inum), &ns->ns.inum);
		if (inum == c->pid_ns) {
			bpf_probe_read_kernel(&p->pid, sizeof(p->pid), &number->nr);
			break;
		}
	}
	return 0;
}

// True if events of this socket's namespace are wanted.
INLINE int wanted(struct sock *sk)
{
	struct config *c = configuration();
	u32 netns;

	if (!c)
		return 0;
	netns = sk->__sk_common.skc_net.net->ns.inum;
	return !c->filtered || bpf_map_lookup_elem(&namespaces, &netns);
}

NOINLINE int count_in(void *counts, struct record *r)
{
	struct count_key key = {
		.netns = r->netns,
		.pid = r->process.pid,
		.error = r->error,
		.remote_port = r->flags & INBOUND ? r->local_port : r->remote_port,
		.kind = r->kind,
		// The end of a connection that no process used stands for its accept, too.
		.flags = r->flags & (r->kind == CLOSED && r->opened_ns ? INBOUND | NOT_ACCEPTED : INBOUND),
	};
	struct count *known;

	__builtin_memcpy(key.remote, r->remote, 16);
	known = bpf_map_lookup_elem(counts, &key);
	if (!known) {
		struct count none = {};

		__builtin_memcpy(none.comm, r->process.comm, 16);
		bpf_map_update_elem(counts, &key, &none, BPF_NOEXIST);
		known = bpf_map_lookup_elem(counts, &key);
	}
	if (!known)
		return 0;
	__sync_fetch_and_add(&known->events, 1);
	if (r->kind == CLOSED) {
		__sync_fetch_and_add(&known->tx, r->tx);
		__sync_fetch_and_add(&known->rx, r->rx);
	}
	return 1;
}

NOINLINE int emit(struct sock *sk, struct life *life, u32 kind, u32 old_state, u64 now)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	u16 family = sk->__sk_common.skc_family;
	struct config *c = configuration();
	u32 zero = 0;
	struct meter *m = bpf_map_lookup_elem(&meter, &zero);
	struct record r = {};

	if (!c || !m)
		return 0;
	r.at_ns = now;
	r.kind = kind;
	r.old_state = old_state;
	r.cookie = bpf_get_socket_cookie(sk);
	r.netns = sk->__sk_common.skc_net.net->ns.inum;
	r.iface = sk->__sk_common.skc_bound_dev_if;
	r.owner_uid = sk->sk_uid.val;
	r.family = family;
	r.protocol = sk->sk_protocol;
	r.error = sk->sk_err;
	r.remote_port = swapped(sk->__sk_common.skc_dport);
	if (family == AF_INET) {
		*(u32 *)r.local = sk->__sk_common.skc_rcv_saddr;
		*(u32 *)r.remote = sk->__sk_common.skc_daddr;
	} else {
		bpf_probe_read_kernel(r.local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_probe_read_kernel(r.remote, 16, &sk->__sk_common.skc_v6_daddr);
	}
	if (life) {
		r.start_ns = life->start_ns;
		r.opened_ns = life->opened_ns;
		r.process = life->process;
		r.side = life->side;
		r.flags = (life->inbound ? INBOUND : 0) | (life->inbound && !life->used ? NOT_ACCEPTED : 0);
		if (kind == CLOSED)
			__builtin_memcpy(r.state_us, life->state_us, sizeof(r.state_us));
	}
	if (tcp) {
		// skc_num is 0 when a socket closes.
		r.local_port = swapped(tcp->inet_conn.icsk_inet.inet_sport);
		r.tx = tcp->bytes_sent - tcp->bytes_retrans;
		r.rx = tcp->bytes_received;
		// A FIN received counts as a byte.
		if (r.rx && sk->__sk_common.skc_flags & 1 << SOCK_DONE)
			r.rx--;
		r.retrans = tcp->total_retrans;
		r.rtt_us = tcp->srtt_us >> 3;
		if (tcp->segs_out)
			r.flags |= SENT;
	} else {
		r.local_port = sk->__sk_common.skc_num;
	}
	if (m->window != now >> 30) {
		m->window = now >> 30;
		m->used = 0;
	}
	if (++m->used <= c->budget) {
		// The reader drains the ring ten times a second; it is woken before that only when the ring is half full.
		u64 flags = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) > RING_BYTES / 2 ? BPF_RB_FORCE_WAKEUP :
											 BPF_RB_NO_WAKEUP;

		if (!bpf_ringbuf_output(&ring, &r, sizeof(r), flags))
			return 0;
	}
	if (c->counts ? count_in(&counts1, &r) : count_in(&counts0, &r))
		__sync_fetch_and_add(&m->counted, 1);
	else
		__sync_fetch_and_add(&m->lost, 1);
	return 0;
}

INLINE struct life *known_life(struct sock *sk)
{
	u64 key = (u64)sk;
	struct life *life = bpf_map_lookup_elem(&lives, &key);

	return life ? life : bpf_sk_storage_get(&stored, sk, 0, 0);
}

// An empty one, also where the map still has that of an earlier socket at this address.
INLINE struct life *new_life(struct sock *sk)
{
	u64 key = (u64)sk;
	struct life none = {};

	if (!bpf_map_update_elem(&lives, &key, &none, BPF_ANY))
		return bpf_map_lookup_elem(&lives, &key);
	return bpf_sk_storage_get(&stored, sk, &none, BPF_SK_STORAGE_GET_F_CREATE);
}

// include/trace/events/sock.h: inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate)
SEC("tp_btf/inet_sock_set_state")
int state(u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];
	int old = ctx[1];
	int new = ctx[2];
	struct life *life;
	u64 key = (u64)sk;
	int connecting;
	u64 now;

	if (sk->sk_protocol != IPPROTO_TCP || old == new)
		return 0;
	life = known_life(sk);
	// A namespace that is watched no longer stays so for the sockets that are known.
	if (!life && !wanted(sk))
		return 0;
	// Two ends that connect to each other at once, or one to itself, go from SYN_SENT to SYN_RECV.
	if (!life || new == SYN_SENT || new == LISTEN || (new == SYN_RECV && old != SYN_SENT))
		life = new_life(sk);
	now = bpf_ktime_get_boot_ns();
	if (life) {
		if (life->since_ns && old > 0 && old < STATES)
			life->state_us[old] += (now - life->since_ns) / 1000;
		life->since_ns = now;
		switch (new) {
		case SYN_SENT:
			life->start_ns = now;
			current_process(life);
			break;
		case SYN_RECV:
			if (old != SYN_SENT) {
				life->start_ns = now;
				life->inbound = 1;
			}
			break;
		case ESTABLISHED:
			life->opened_ns = now;
			break;
		case FIN_WAIT1:
			if (!life->side)
				life->side = HERE;
			if (!life->process.start_ns)
				current_process(life);
			break;
		case LAST_ACK:
			if (!life->process.start_ns)
				current_process(life);
			break;
		case CLOSE_WAIT:
			if (!life->side)
				life->side = PEER;
			break;
		case LISTEN:
			life->start_ns = now;
			current_process(life);
			break;
		case CLOSE:
			// Aborted by its process; a reset or a timeout sets an error and runs in any context.
			if (!sk->sk_err && !life->side && (old == ESTABLISHED || old == CLOSE_WAIT)) {
				life->side = HERE;
				if (!life->process.start_ns)
					current_process(life);
			}
			break;
		}
	}
	connecting = old == SYN_SENT || (old == SYN_RECV && life && life->process.start_ns && !life->inbound);
	if (new == LISTEN)
		emit(sk, life, LISTENING, old, now);
	else if (new == ESTABLISHED && connecting)
		emit(sk, life, OPENED, old, now);
	else if (new == CLOSE && connecting)
		emit(sk, life, FAILED, old, now);
	else if (new == CLOSE)
		emit(sk, life, CLOSED, old, now);
	// connect(2) may use the socket once more.
	if (new == CLOSE && bpf_map_delete_elem(&lives, &key))
		bpf_sk_storage_delete(&stored, sk);
	return 0;
}

// True unless the process has read or written more than the `length` bytes of this call: most calls end here.
INLINE int may_be_first(struct sock *sk, int length)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	s64 most = length > 0 ? length : 0;
	s64 read, written;

	if (!tcp)
		return 0;
	read = tcp->bytes_received - (u32)(tcp->rcv_nxt - tcp->copied_seq);
	// The SYN counts as a byte.
	written = tcp->bytes_acked + (u32)(tcp->write_seq - tcp->snd_una) - 1;
	return read <= most && written <= most;
}

// include/trace/events/sock.h: sock_send_length and sock_recv_length(struct sock *sk, int ret, int flags), in the process.
NOINLINE int used(struct sock *sk, int length)
{
	u16 family = sk->__sk_common.skc_family;
	u16 protocol = sk->sk_protocol;
	int udp = protocol == IPPROTO_UDP;
	struct life *life;
	u64 now;

	if (family != AF_INET && family != AF_INET6)
		return 0;
	if (!udp && protocol != IPPROTO_TCP)
		return 0;
	if (udp) {
		if (bpf_sk_storage_get(&stored, sk, 0, 0) || !wanted(sk))
			return 0;
		life = bpf_sk_storage_get(&stored, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	} else {
		if (!may_be_first(sk, length))
			return 0;
		life = known_life(sk);
		if (life && (!life->inbound || life->used))
			return 0;
	}
	if (!life)
		return 0;
	life->used = 1;
	current_process(life);
	now = bpf_ktime_get_boot_ns();
	if (udp)
		life->start_ns = now;
	return emit(sk, life, udp ? OPENED : ACCEPTED, 0, now);
}

SEC("tp_btf/sock_send_length")
int send(u64 *ctx)
{
	return used((void *)ctx[0], ctx[1]);
}

SEC("tp_btf/sock_recv_length")
int receive(u64 *ctx)
{
	return used((void *)ctx[0], ctx[1]);
}

// include/trace/events/tcp.h: tcp_retransmit_skb(const struct sock *sk, const struct sk_buff *skb, ...)
SEC("tp_btf/tcp_retransmit_skb")
int retransmit(u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];

	struct life *life = known_life(sk);

	if (!life && !wanted(sk))
		return 0;
	return emit(sk, life, RETRANSMIT, 0, bpf_ktime_get_boot_ns());
}

// Required by the helpers.
char LICENSE[] SEC("license") = "Dual MIT/GPL";
