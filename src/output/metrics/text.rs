//! Text of a page: Prometheus text format 0.0.4 and `OpenMetrics` 1.0.

use super::families::{Family, Kind};
use super::series::{Number, Point};
use crate::model::text::escape;
use std::fmt::Write as _;

/// Format of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Prometheus text format 0.0.4, which the textfile collector of `node_exporter` reads.
    Text,
    /// `OpenMetrics` 1.0.
    OpenMetrics,
}

impl Form {
    /// Content type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Format for the `Accept` header of a request (RFC 9110, 12.5.1): `OpenMetrics` 1 if it is accepted as readily as plain text.
    pub fn accepted(header: &str) -> Self {
        let (mut open, mut plain) = (0.0_f32, 0.0_f32);
        for range in header.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut quality, mut has_version) = (1.0_f32, true);
            for (name, value) in parts.filter_map(|p| p.split_once('=')) {
                let value = value.trim().trim_matches('"');
                match name.trim().to_ascii_lowercase().as_str() {
                    "q" => quality = value.parse().unwrap_or(0.0),
                    // 0.0.1 was a draft.
                    "version" => has_version = value.starts_with("1."),
                    _ => {}
                }
            }
            match media.as_str() {
                "application/openmetrics-text" if has_version => open = open.max(quality),
                "text/plain" | "text/*" | "*/*" => plain = plain.max(quality),
                _ => {}
            }
        }
        if open > 0.0 && open >= plain { Self::OpenMetrics } else { Self::Text }
    }
}

/// Most characters of a label value.
const MAX_VALUE: usize = 200;

/// Label value: control and bidirectional characters as on screen; then backslash, quote and line feed as the formats require.
fn push_label_value(out: &mut String, value: &str) {
    for c in escape(value).chars().take(MAX_VALUE) {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}

fn push_sample(out: &mut String, name: &str, suffix: &str, labels: &[(&str, &str)], value: f64) {
    out.push_str(name);
    out.push_str(suffix);
    for (i, (label, value)) in labels.iter().enumerate() {
        out.push(if i == 0 { '{' } else { ',' });
        out.push_str(label);
        out.push_str("=\"");
        push_label_value(out, value);
        out.push('"');
    }
    if !labels.is_empty() {
        out.push('}');
    }
    // Writing to a String cannot fail.
    let _ = writeln!(out, " {value}");
}

/// Labels of a bucket.
fn with_bound<'a>(labels: &[(&'a str, &'a str)], bound: &'a str) -> Vec<(&'a str, &'a str)> {
    labels.iter().copied().chain([("le", bound)]).collect()
}

fn push_point(out: &mut String, family: &Family, point: &Point) {
    let labels: Vec<(&str, &str)> =
        family.labels.iter().copied().zip(point.labels.iter().map(String::as_str)).collect();
    match &point.value {
        Number::Plain(value) => push_sample(out, family.name, family.kind.suffix(), &labels, *value),
        Number::Histogram(buckets, count, sum) => {
            for (bound, n) in buckets {
                // OpenMetrics requires a fraction in a bound.
                push_sample(
                    out,
                    family.name,
                    "_bucket",
                    &with_bound(&labels, &format!("{bound:?}")),
                    *n as f64,
                );
            }
            push_sample(out, family.name, "_bucket", &with_bound(&labels, "+Inf"), *count as f64);
            push_sample(out, family.name, "_sum", &labels, *sum);
            push_sample(out, family.name, "_count", &labels, *count as f64);
        }
    }
}

/// A page with these families; those without a series are left out.
pub(super) fn page(families: &[(&Family, Vec<Point>)], form: Form) -> String {
    let mut out = String::new();
    for (family, points) in families.iter().filter(|(_, points)| !points.is_empty()) {
        let (name, kind) = match (form, family.kind) {
            (Form::Text, Kind::Info) => (family.sample_name(), Kind::Gauge.name()),
            (Form::Text, kind) => (family.sample_name(), kind.name()),
            (Form::OpenMetrics, kind) => (family.name.to_owned(), kind.name()),
        };
        // Help texts have no character that a format escapes: a test.
        let _ = writeln!(out, "# HELP {name} {}", family.help);
        let _ = writeln!(out, "# TYPE {name} {kind}");
        if form == Form::OpenMetrics && !family.unit.is_empty() {
            let _ = writeln!(out, "# UNIT {name} {}", family.unit);
        }
        for point in points {
            push_point(&mut out, family, point);
        }
    }
    if form == Form::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::Form::{self, OpenMetrics, Text};

    #[test]
    fn accept_header_selects_the_format() {
        for (header, want) in [
            // Prometheus since 2.5, VictoriaMetrics, curl.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OpenMetrics,
            ),
            ("text/plain;version=0.0.4;q=1,*/*;q=0.1", Text),
            ("*/*", Text),
            ("", Text),
            ("application/openmetrics-text; version=0.0.1", Text),
            ("application/openmetrics-text", OpenMetrics),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\"; Q=0.3, text/plain;q=0.9", Text),
            ("application/openmetrics-text;q=0", Text),
            (";;;=,q=,", Text),
        ] {
            assert_eq!(Form::accepted(header), want, "{header}");
        }
    }
}
