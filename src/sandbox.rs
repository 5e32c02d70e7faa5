//! Landlock (`landlock(7)`): threads of this process that may open only the paths they still need, and connect nowhere by TCP.
//!
//! The kernel gives a thread under Landlock no access to descriptors, links and namespaces of processes outside of its domain
//! (`hook_ptrace_access_check` in security/landlock/task.c), not even as root. So a thread that reads the live `/proc` stays
//! outside. A restriction counts for the calling thread and for the threads and processes that it starts from then on.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, path_beneath_rules,
};
use std::path::PathBuf;

/// Rights to ask for. An older kernel restricts those it knows (best effort).
const RIGHTS: ABI = ABI::V5;

/// Libraries, name services, locales and time zones, which the C library opens when it needs them; and what a terminal needs.
const SYSTEM: &[&str] = &[
    "/etc",
    "/usr",
    "/lib",
    "/lib64",
    "/run",
    "/nix/store",
    "/var/lib/sss",
    "/var/cache/nscd",
    "/proc",
    "/sys",
    "/dev/null",
    "/dev/urandom",
];
/// Devices that are written, too.
const TERMINAL: &[&str] = &["/dev/tty", "/dev/pts", "/dev/console", "/dev/null"];

/// Paths and the network that stay open to a restricted thread.
#[derive(Debug, Default)]
pub struct Allowed {
    /// Files and directories to read, besides those of the system.
    pub read: Vec<PathBuf>,
    /// Directories in which files are made, replaced and removed.
    pub write: Vec<PathBuf>,
    /// Directories in which new files are made and nothing is read.
    pub make: Vec<PathBuf>,
    /// TCP connections.
    pub tcp: bool,
}

/// Restricts the calling thread and those that it starts from now on. Returns the result in a few words: what is in force.
pub fn restrict(allowed: &Allowed) -> String {
    match apply(allowed) {
        Ok(status) => in_words(&status),
        Err(e) => format!("none ({e})"),
    }
}

fn apply(allowed: &Allowed) -> Result<RestrictionStatus, RulesetError> {
    let all = AccessFs::from_all(RIGHTS);
    let read: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
    // Neither devices nor programs are made or run.
    let write = read
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::Refer;
    let make = AccessFs::WriteFile | AccessFs::MakeReg | AccessFs::RemoveFile;
    let terminal = read | AccessFs::WriteFile | AccessFs::IoctlDev;
    let mut ruleset = Ruleset::default().handle_access(all)?;
    if !allowed.tcp {
        ruleset = ruleset.handle_access(AccessNet::from_all(RIGHTS))?;
    }
    ruleset
        .create()?
        .add_rules(path_beneath_rules(SYSTEM, read))?
        .add_rules(path_beneath_rules(TERMINAL, terminal))?
        .add_rules(path_beneath_rules(&allowed.read, read))?
        .add_rules(path_beneath_rules(&allowed.write, write))?
        .add_rules(path_beneath_rules(&allowed.make, make))?
        .restrict_self()
}

fn in_words(status: &RestrictionStatus) -> String {
    let abi = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi,
        LandlockStatus::NotEnabled => return "none (Landlock is not enabled in this kernel)".to_owned(),
        LandlockStatus::NotImplemented => return "none (kernel without Landlock)".to_owned(),
    };
    match status.ruleset {
        RulesetStatus::FullyEnforced => format!("Landlock ABI {abi}"),
        RulesetStatus::PartiallyEnforced => {
            format!("Landlock ABI {abi} (older than {RIGHTS}: not all is restricted)")
        }
        RulesetStatus::NotEnforced => "none (kernel without Landlock)".to_owned(),
    }
}

/// State of the running kernel, tried on a thread of its own that ends at once.
pub fn available() -> String {
    std::thread::spawn(|| restrict(&Allowed::default())).join().unwrap_or_else(|_| "none".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn restricted_thread_opens_only_allowed_paths_and_no_connection() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        for name in ["read", "write", "make", "other"] {
            fs::create_dir(file(name)).unwrap();
            fs::write(file(name).join("file"), "x").unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let allowed = Allowed {
            read: vec![file("read")],
            write: vec![file("write")],
            make: vec![file("make")],
            tcp: false,
        };
        let (tx, rx) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let state = restrict(&allowed);
                if !state.starts_with("Landlock") {
                    eprintln!("skipped: {state}");
                    return;
                }
                assert!(fs::read(file("read").join("file")).is_ok());
                assert!(fs::write(file("read").join("file"), "").is_err());
                assert!(fs::write(file("write").join("new"), "").is_ok());
                assert!(fs::rename(file("write").join("new"), file("write").join("file")).is_ok());
                assert!(fs::write(file("make").join("new"), "").is_ok());
                assert!(fs::read(file("make").join("file")).is_err());
                assert!(fs::read(file("other").join("file")).is_err());
                assert!(fs::read_dir("/").is_err());
                assert!(std::process::Command::new("/bin/true").status().is_err(), "no program is run");
                if !state.contains("older") {
                    assert!(TcpStream::connect(address).is_err());
                }
                // A thread that it starts is restricted, too.
                let path = file("other").join("file");
                assert!(std::thread::spawn(move || fs::read(path)).join().unwrap().is_err());
                tx.send(()).unwrap();
            });
        });
        let ran = rx.try_recv().is_ok();
        // This thread is not.
        assert!(fs::read(file("other").join("file")).is_ok());
        assert_eq!(ran, available().starts_with("Landlock"));
    }
}
