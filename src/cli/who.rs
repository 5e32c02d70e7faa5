//! The plan of `sockscope who`.

use super::args::{FormatArg, List, Who};
use super::error::UsageError;
use super::list_plan::{GRAPH_OF_THE_MAP, Inputs, ListPlan};
use crate::table::{FORWARDS, SOCKETS};
use std::net::IpAddr;

/// A question for the holder of a port, checked.
#[derive(Clone, Debug)]
pub struct WhoPlan {
    /// The port as typed.
    pub subject: String,
    /// Listening, unconnected and merely bound sockets on the port.
    pub bound: ListPlan,
    /// All sockets on the port.
    pub connected: ListPlan,
    /// Forwards of the port.
    pub forwards: ListPlan,
}

impl WhoPlan {
    pub(super) fn new(who: &Who, inputs: Inputs<'_>) -> Result<Self, UsageError> {
        let (host, port, proto) = parts(&who.port);
        let invalid = || {
            UsageError(format!(
                "who: invalid port {:?}: expected 8080, ssh, 8080/tcp or 127.0.0.1:8080",
                who.port
            ))
        };
        if !host.is_empty() && host.parse::<IpAddr>().is_err() {
            return Err(invalid());
        }
        if port.is_empty() || !port.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            return Err(invalid());
        }
        let format = who.output.format();
        if matches!(format, FormatArg::Dot | FormatArg::Mermaid) {
            return Err(UsageError(GRAPH_OF_THE_MAP.to_owned()));
        }
        let list = |filter: String, columns: &str| List {
            filter: vec![filter],
            columns: (format == FormatArg::Table || format == FormatArg::Csv).then(|| columns.to_owned()),
            output: who.output,
            ..List::default()
        };
        let terms = |host_column: &str, port_column: &str| {
            let mut out = format!("{port_column}:{port}");
            if !host.is_empty() {
                out.push_str(&format!(" {host_column}:{host}"));
            }
            if !proto.is_empty() {
                out.push_str(&format!(" proto:{proto}"));
            }
            out
        };
        let named = |columns: &str| format!("{}{columns}", if inputs.hosts { "hostname," } else { "" });
        let columns = &named("proto,state,local,owner,fd,user,unit,container");
        let sockets = terms("local_addr", "lport");
        let plan = |table, list: List| ListPlan::new(table, &list, inputs).map_err(|_| invalid());
        Ok(Self {
            subject: who.port.clone(),
            bound: plan(&SOCKETS, list(format!("{sockets} state:listen,unconn,closed"), columns))?,
            connected: plan(&SOCKETS, list(sockets, columns))?,
            forwards: plan(
                &FORWARDS,
                list(terms("host", "host_port"), &named("proto,host,by,target,process,container")),
            )?,
        })
    }
}

/// Address, port and protocol: `8080`, `:8080`, `ssh`, `8080/tcp` as in fuser(1), `127.0.0.1:8080`, `[::1]:8080`.
fn parts(text: &str) -> (&str, &str, &str) {
    let (end, proto) = text.split_once('/').unwrap_or((text, ""));
    let (host, port) = end.rsplit_once(':').unwrap_or(("", end));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (if host == "*" { "" } else { host }, port, proto)
}
