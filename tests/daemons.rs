//! sockscope beside real daemons: nginx, haproxy, redis, `PostgreSQL`, unbound, OpenSSH, memcached, mosquitto, rsyslog, and Prometheus and
//! `VictoriaMetrics`, which read its metrics; each started here with its own configuration and data on the loopback interface of a network
//! namespace of its own, and ended by its pid.
//!
//! ```text
//! ./tests/run --daemons                         installs the daemons, and runs all cases
//! cargo test --test daemons -- --ignored NAME   one
//! SOCKSCOPE_DAEMONS_SECONDS=60                  shortens the healthy phase from five minutes
//! ```

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "isolation/cases.rs"]
#[allow(dead_code)]
mod cases;
#[allow(dead_code)]
#[path = "isolation/namespaces.rs"]
mod namespaces;
#[path = "isolation/wait.rs"]
mod wait;

#[path = "daemons/faults.rs"]
mod faults;
#[path = "daemons/healthy.rs"]
mod healthy;
#[path = "daemons/prometheus.rs"]
mod prometheus;
#[path = "daemons/servers.rs"]
mod servers;

use cases::Case;
use namespaces::Scope;
use std::process::ExitCode;

const TOOLS: &[&str] = &[
    "nginx",
    "haproxy",
    "redis-server",
    "unbound",
    "sshd",
    "ssh",
    "memcached",
    "mosquitto",
    "rsyslogd",
    "psql",
    "python3",
    "setpriv",
    "prlimit",
    "sysctl",
];

/// Tools of the cases about metrics.
const METRICS_TOOLS: &[&str] = &["promtool", "prometheus", "victoria-metrics", "python3", "socat"];

const CASES: &[Case] = &[
    Case {
        name: "daemons::prometheus::promtool_accepts_pages_and_rules",
        tools: METRICS_TOOLS,
        scope: Scope::Root,
        run: prometheus::promtool_accepts_pages_and_rules,
    },
    Case {
        name: "daemons::prometheus::prometheus_scrapes_alerts_and_draws",
        tools: METRICS_TOOLS,
        scope: Scope::Root,
        run: prometheus::prometheus_scrapes_alerts_and_draws,
    },
    Case {
        name: "daemons::healthy::daemons_under_load_raise_no_alarm",
        tools: TOOLS,
        scope: Scope::Root,
        run: healthy::daemons_under_load_raise_no_alarm,
    },
    Case {
        name: "daemons::healthy::clients_equal_the_daemons_statistics",
        tools: TOOLS,
        scope: Scope::Root,
        run: healthy::clients_equal_the_daemons_statistics,
    },
    Case {
        name: "daemons::faults::each_fault_is_named_with_advice_that_ends_it",
        tools: TOOLS,
        scope: Scope::Root,
        run: faults::each_fault_is_named_with_advice_that_ends_it,
    },
];

fn main() -> ExitCode {
    cases::on_demand(CASES)
}
