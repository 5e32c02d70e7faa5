//! Forwards as the kernel routes them: rulesets are loaded on a router, connections are opened from two client namespaces,
//! and the destinations that conntrack reports are compared with `sockscope forwards`, over IPv4 and IPv6.
//!
//! `SOCKSCOPE_PROBES=20000` sends more, `SOCKSCOPE_SEED=7` begins with another ruleset; a contradiction is reported with its
//! seed and the smallest ruleset that still has it.

#[path = "packets/expect.rs"]
mod expect;
#[path = "packets/kube.rs"]
mod kube;
#[path = "packets/random.rs"]
mod random;
#[path = "packets/six.rs"]
mod six;
#[path = "packets/world.rs"]
mod world;

use super::compare::check;
use super::netns::{rows, sh};
use random::{Families, Rng, Ruleset};
use serde_json::Value;
use std::env;
use std::path::Path;
use world::{Probe, World};

/// Probes of one ruleset.
const PROBES: usize = 40;

fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

fn clear() -> Result<(), String> {
    sh("nft flush ruleset
        for p in ip ip6; do
            for t in raw mangle nat filter; do
                if grep -q $t /proc/net/${p}_tables_names; then
                    if [ $t = filter ]; then
                        for c in INPUT FORWARD OUTPUT; do ${p}tables-legacy -w 5 -P $c ACCEPT; done
                    fi
                    ${p}tables-legacy -w 5 -t $t -F; ${p}tables-legacy -w 5 -t $t -X
                fi
            done
        done")?;
    sh(world::TRACKING)?;
    sh(world::FLUSH).map(drop)
}

fn load(text: &str, loader: &str) -> Result<(), String> {
    let file = Path::new("/run/ruleset");
    std::fs::write(file, text).map_err(|e| e.to_string())?;
    sh(&format!("{loader} {}", file.display())).map(drop)
}

fn forwards() -> Result<Vec<Value>, String> {
    rows(&["forwards", "-c", expect::COLUMNS])
}

/// Result of the probes of one ruleset.
enum Verdict {
    /// The tool does not load it: two conditions that exclude each other.
    NotLoaded(String),
    Agrees {
        /// Probes that were sent to another destination.
        translated: usize,
    },
    Contradicts(String),
}

/// Loads a ruleset, sends the probes and judges each.
fn verdict(world: &mut World, ruleset: &Ruleset, probes: &[Probe]) -> Result<Verdict, String> {
    clear()?;
    if let Err(why) = load(&ruleset.text(), ruleset.loader()) {
        return Ok(Verdict::NotLoaded(why));
    }
    let rows = forwards()?;
    let landed = world.send(probes)?;
    let translated = probes.iter().zip(&landed).filter(|(p, l)| l.is_some_and(|l| l != p.dest)).count();
    let wrong = probes.iter().zip(landed).find_map(|(p, l)| expect::judge(&rows, p, l).err());
    Ok(wrong.map_or(Verdict::Agrees { translated }, Verdict::Contradicts))
}

/// Leaves out rules while the contradiction stays.
fn shrink(world: &mut World, ruleset: &Ruleset, probes: &[Probe]) -> Result<(Ruleset, String), String> {
    let mut best = (ruleset.clone(), String::new());
    'again: loop {
        for smaller in best.0.smaller() {
            if let Verdict::Contradicts(why) = verdict(world, &smaller, probes)? {
                best = (smaller, why);
                continue 'again;
            }
        }
        return Ok(best);
    }
}

/// Random rulesets of nft, iptables-nft and iptables-legacy send each probe where `forwards` reports.
pub(crate) fn random_rulesets_send_packets_to_the_target_of_forwards() -> Result<(), String> {
    let (wanted, first) = (number("SOCKSCOPE_PROBES", 2_000), number("SOCKSCOPE_SEED", 1));
    let mut world = World::new()?;
    let (mut sent, mut translated, mut refused) = (0, 0, Vec::new());
    for seed in first.. {
        if sent >= wanted {
            break;
        }
        let mut rng = Rng(seed);
        let ruleset = random::ruleset(&mut rng);
        let probes = random::probes(&mut rng, ruleset.families, PROBES);
        match verdict(&mut world, &ruleset, &probes)? {
            Verdict::NotLoaded(why) => refused.push(why),
            Verdict::Agrees { translated: n } => {
                sent += probes.len() as u64;
                translated += n as u64;
            }
            Verdict::Contradicts(why) => {
                let (smallest, last) = shrink(&mut world, &ruleset, &probes)?;
                let why = if last.is_empty() { why } else { last };
                return Err(format!("seed {seed}: {why}\n{} {}", smallest.loader(), smallest.text()));
            }
        }
    }
    let rulesets = sent / PROBES as u64;
    println!("{sent} probes, {translated} translated; {rulesets} rulesets, {} not loaded", refused.len());
    check(refused.len() as u64 <= rulesets / 2 && translated > sent / 5, || {
        format!(
            "{rulesets} rulesets, {translated} of {sent} probes translated; not loaded: {:#?}",
            &refused[..refused.len().min(8)]
        )
    })
}

/// Probes of the ruleset of one program.
const PROGRAM_PROBES: usize = 300;

/// Loads the ruleset of a program and judges its probes, twice: the sets that packets fill have elements the second time.
fn agrees(
    world: &mut World,
    text: &str,
    (loader, v6): (&str, bool),
    seed: u64,
    name: &str,
) -> Result<(), String> {
    clear()?;
    load(text, loader).map_err(|e| format!("{name}: {e}"))?;
    let families = if v6 { Families::Inet6 } else { Families::Inet };
    for round in 0..2 {
        let rows = forwards()?;
        let probes = random::probes(&mut Rng(seed + 1_000 * round), families, PROGRAM_PROBES);
        let landed = world.send(&probes)?;
        let translated = probes.iter().zip(&landed).filter(|(p, l)| l.is_some_and(|l| l != p.dest)).count();
        check(translated > 0, || format!("{name}: nothing was translated"))?;
        for (probe, landed) in probes.iter().zip(landed) {
            expect::judge(&rows, probe, landed).map_err(|e| format!("{name}, round {round}: {e}"))?;
        }
    }
    Ok(())
}

/// Runs the rulesets of a folder with each loader and family; at least so many files.
fn rulesets_agree(folder: &str, least: usize) -> Result<(), String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut world = World::new()?;
    let files = std::fs::read_dir(&dir).map_err(|e| e.to_string())?.flatten().map(|e| e.path());
    let mut names: Vec<_> = files.filter(|f| f.is_file()).collect();
    names.sort();
    check(names.len() >= least, || format!("{names:?}"))?;
    let mut wrong = Vec::new();
    for (seed, file) in (1..).zip(&names) {
        let text = std::fs::read_to_string(file).map_err(|e| e.to_string())?;
        let nft = file.extension().is_some_and(|e| e == "nft");
        let runs: &[(&str, bool)] = match nft {
            // One of IPv6 only.
            true if !["table ip ", "table inet "].iter().any(|t| text.contains(t)) => &[("nft -f", true)],
            true => &[("nft -f", false), ("nft -f", true)],
            false => &[
                ("iptables-nft-restore", false),
                ("iptables-legacy-restore", false),
                ("ip6tables-nft-restore", true),
                ("ip6tables-legacy-restore", true),
            ],
        };
        for (loader, v6) in runs {
            let text = if *v6 { six::translate(&text) } else { text.clone() };
            let name = format!("{loader} {}", file.display());
            wrong.extend(agrees(&mut world, &text, (loader, *v6), seed, &name).err());
        }
    }
    check(wrong.is_empty(), || wrong.join("\n"))
}

/// Rulesets as real programs write them (`tests/rulesets`): each probe lands where `forwards` reports.
pub(crate) fn rulesets_of_programs_send_packets_to_the_target_of_forwards() -> Result<(), String> {
    rulesets_agree("tests/rulesets", 12)
}

/// Rulesets with what few programs write (`tests/rulesets/odd`): each probe lands where `forwards` reports.
pub(crate) fn odd_rulesets_send_packets_to_the_target_of_forwards() -> Result<(), String> {
    rulesets_agree("tests/rulesets/odd", 10)
}

/// Services of kube-proxy with 2 and 50 endpoints, policies `Cluster` and `Local`, with and without affinity, in each mode.
pub(crate) fn kube_proxy_with_2_to_50_endpoints_sends_packets_to_the_target_of_forwards() -> Result<(), String>
{
    let mut world = World::new()?;
    for endpoints in [2, 50] {
        let services = kube::services(endpoints);
        let texts = [
            ("nft -f", kube::nft(&services)),
            ("iptables-nft-restore", kube::iptables(&services)),
            ("iptables-legacy-restore", kube::iptables(&services)),
        ];
        for (loader, text) in texts {
            for v6 in [false, true] {
                let six = loader.replace("iptables", "ip6tables");
                let (loader, text) = if v6 { (&*six, six::translate(&text)) } else { (loader, text.clone()) };
                let name = format!("{loader}, {endpoints} endpoints");
                agrees(&mut world, &text, (loader, v6), endpoints.into(), &name)?;
            }
        }
    }
    Ok(())
}

/// Time of `forwards` with 5,000 services of kube-proxy: `SOCKSCOPE_SERVICES` sets their number.
pub(crate) fn many_services_of_kube_proxy_are_all_listed() -> Result<(), String> {
    let count = number("SOCKSCOPE_SERVICES", 300);
    let services = kube::many(u32::try_from(count).map_err(|e| e.to_string())?);
    let texts = [
        ("nft -f", kube::nft(&services)),
        ("iptables-nft-restore", kube::iptables(&services)),
        ("iptables-legacy-restore", kube::iptables(&services)),
    ];
    for (loader, text) in texts {
        clear()?;
        load(&text, loader)?;
        let begin = std::time::Instant::now();
        let rows = forwards()?;
        println!("{loader}: {count} services, {} rows, {:?}", rows.len(), begin.elapsed());
        check(rows.len() as u64 == 2 * count, || format!("{loader}: {} rows", rows.len()))?;
        let named =
            rows.iter().filter(|r| r["host"].as_str().is_some_and(|h| h.starts_with("10.96."))).count();
        check(named == rows.len(), || format!("{loader}: {named} of {} rows", rows.len()))?;
    }
    Ok(())
}
