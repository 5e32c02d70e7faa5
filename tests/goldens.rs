//! Output of the listings at several widths and in every format, over a machine with Korean and hostile names.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use insta::assert_snapshot;
use sockscope::collect::Source;
use sockscope::collect::scenario::{Scenario, ScenarioSource};
use sockscope::derive::Engine;
use sockscope::filter::Filter;
use sockscope::format::Style;
use sockscope::model::{Snapshot, Wants};
use sockscope::output::{Format, Grid, JsonKeys, Listing, Rows, write};
use sockscope::table::{self, Table, columns};
use sockscope::view::View;
use sockscope::view::group::GroupBy;
use sockscope::view::summary::Summary;
use std::sync::Arc;
use unicode_width::UnicodeWidthStr;

const SCENARIO: &str = r#"
host golden
polls 10
user 33 www-data
user 1000 미나
process 812 nginx user=www-data fds=940/1024/4096 cmd="nginx: worker process"
process 900 "서버-데몬" user=미나 fds=12/1024/4096 cmd="/opt/서버 --이름 \"값\""
process 901 "e\x1b[31m\nvil" fds=3/64/64 cmd="a\tb \u{202e}c"
tcp LISTEN 0.0.0.0:443 q=3/511 own=812:6
tcp LISTEN [2001:db8:1234:5678:9abc:def0:1234:5678]:8443 q=0/128 own=900:3
tcp ESTABLISHED 10.0.0.4:443 203.0.113.5:50000 own=812:7
tcp ESTABLISHED [2001:db8:1234:5678:9abc:def0:1234:5678]:8443 [2606:4700:4700:1111:2222:3333:4444:5555]:51515 own=900:4
tcp CLOSE_WAIT 10.0.0.4:443 198.51.100.23:41000 q=1/0 own=812:8 x=3
tcp TIME_WAIT 10.0.0.4:40222 10.0.0.9:5432 detached
udp UNCONN 127.0.0.53:53 own=901:3
"#;

fn machine() -> Arc<Snapshot> {
    let mut source = ScenarioSource::new(Scenario::parse(SCENARIO).unwrap());
    let mut engine = Engine::new();
    engine.step(source.sample(&Wants::default()).unwrap());
    engine.step(source.sample(&Wants::default()).unwrap())
}

fn text(grid: &dyn Grid, format: Format, width: Option<u16>) -> String {
    let list = Listing {
        grid,
        header: true,
        style: &Style::default(),
        width,
        optional: 0,
        named: &[],
        keys: JsonKeys::Columns,
        color: false,
    };
    let mut out = Vec::new();
    write(&mut out, format, &list).unwrap();
    String::from_utf8(out).unwrap()
}

fn print(table: &'static Table, cols: &str, filter: &str, format: Format, width: Option<u16>) -> String {
    let snap = machine();
    let view = View { filter: Filter::parse(filter, table).unwrap(), ..View::new(table) };
    let rows = view.arrange(&snap).rows;
    let columns = columns(cols, table).unwrap();
    text(&Rows { snap: &snap, columns: &columns, rows: &rows }, format, width)
}

const SOCKETS: &str = "proto,state,local,remote,process,pid,user,recv_q,send_q";

#[test]
fn tables_fit_the_width() {
    let t = table::table("list").unwrap();
    for width in [200, 120, 80, 60, 40, 20] {
        let got = print(t, SOCKETS, "", Format::Table, Some(width));
        for line in got.lines() {
            assert!(line.width() <= usize::from(width), "{width}: {} in {line:?}", line.width());
        }
        assert_snapshot!(format!("sockets_{width}"), got);
    }
    assert_snapshot!("sockets_piped", print(t, SOCKETS, "", Format::Table, None));
}

#[test]
fn an_address_is_never_cut_without_a_mark() {
    let t = table::table("list").unwrap();
    let whole = ["2001:db8:1234:5678:9abc:def0:1234:5678", "2606:4700:4700:1111:2222:3333:4444:5555"];
    for width in 20..160 {
        for line in print(t, "local,remote,process", "", Format::Table, Some(width)).lines().skip(1) {
            let cut = line.contains("2001") && !line.contains(whole[0])
                || line.contains("2606") && !line.contains(whole[1]);
            assert!(!cut || line.contains('…'), "{width}: {line}");
        }
    }
}

#[test]
fn every_form() {
    let t = table::table("list").unwrap();
    for (name, format) in [("json", Format::Json), ("ndjson", Format::Ndjson), ("csv", Format::Csv)] {
        assert_snapshot!(name, print(t, SOCKETS, "not state:close-wait", format, None));
    }
    let json = print(t, "all", "", Format::Json, None);
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    let names: Vec<_> = rows.as_array().unwrap().iter().map(|r| r["process"].as_str()).collect();
    assert!(names.contains(&Some("서버-데몬")) && names.contains(&Some("e\u{1b}[31m\nvil")), "{names:?}");
    assert!(rows.as_array().unwrap().iter().all(|r| r["local_port"].is_number()));
    let waiting = rows.as_array().unwrap().iter().find(|r| r["state"] == "TIME_WAIT").unwrap();
    assert!(waiting["pid"].is_null() && waiting["rtt_us"].is_null(), "{waiting}");
}

#[test]
fn the_other_tables() {
    for (name, cols) in [
        ("ports", "proto,local,process,recv_q,backlog,clients,hosts"),
        ("processes", "pid,comm,user,fds_open,fds_soft,fds_hard,fds_pct,fds_sockets"),
        ("peers", "addr,scope,connections,ports"),
    ] {
        let t = table::table(name).unwrap();
        let cols: Vec<&str> = cols.split(',').filter(|c| t.column(c).is_some()).collect();
        assert_snapshot!(name, print(t, &cols.join(","), "", Format::Table, Some(100)));
    }
}

#[test]
fn groups_are_rows() {
    let t = table::table("list").unwrap();
    let snap = machine();
    for by in ["state", "process", "remote", "user"] {
        let group = GroupBy::parse(by, t).unwrap();
        let view = View { group: Some(group), ..View::new(t) };
        let arranged = view.arrange(&snap);
        let summary = Summary::new(&snap, t, &arranged, group, &columns("recv_q,send_q", t).unwrap(), &[]);
        assert_snapshot!(format!("by_{by}"), text(&summary, Format::Table, Some(80)));
    }
}
