//! Lines of `/proc/PID/status`.

/// Values of a line; none if the process or the line is not there.
pub(crate) fn status(pid: u32, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default();
    line.split_whitespace().map(str::to_owned).collect()
}
