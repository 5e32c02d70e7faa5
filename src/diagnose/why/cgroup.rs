//! Steps of the cgroup of the client: BPF programs that permit or refuse its sockets and packets.

use super::{Outgoing, Step};
use crate::diagnose::cause::{CGROUP_BPF, Effect};
use crate::model::Proto;
use crate::model::cgroup_bpf::{CgroupDecision, CgroupHook, CgroupProgram, CgroupPrograms};

/// Most programs that are named.
const MAX_NAMED: usize = 4;

/// Effect of a refusal at a hook; `None` for a hook that the connection does not meet.
fn effect(hook: CgroupHook, q: &Outgoing) -> Option<Effect> {
    let (v4, udp) = (q.dest.addr.is_v4(), q.proto == Proto::Udp);
    match hook {
        CgroupHook::SockCreate => Some(Effect::NotPermitted),
        CgroupHook::Bind4 => (v4 && q.source.is_some()).then_some(Effect::NotPermitted),
        CgroupHook::Bind6 => (!v4 && q.source.is_some()).then_some(Effect::NotPermitted),
        CgroupHook::Connect4 => v4.then_some(Effect::NotPermitted),
        CgroupHook::Connect6 => (!v4).then_some(Effect::NotPermitted),
        CgroupHook::Sendmsg4 => (v4 && udp).then_some(Effect::NotPermitted),
        CgroupHook::Sendmsg6 => (!v4 && udp).then_some(Effect::NotPermitted),
        // A datagram that is not sent is an error of the call, a SYN is repeated.
        CgroupHook::Egress => Some(if udp { Effect::NotPermitted } else { Effect::TimesOut }),
        CgroupHook::Ingress => Some(Effect::TimesOut),
    }
}

/// Steps of the programs in effect for the process that listens: a SYN that is dropped at ingress, or its answer at egress.
pub(super) fn server_steps(programs: Option<&CgroupPrograms>) -> Vec<Step> {
    let Some(Ok(all)) = programs.map(|p| &p.programs) else { return Vec::new() };
    let met = all.iter().filter(|p| matches!(p.hook, CgroupHook::Ingress | CgroupHook::Egress));
    met.take(MAX_NAMED).map(|p| step(p, Effect::TimesOut)).collect()
}

fn step(p: &CgroupProgram, effect: Effect) -> Step {
    let name = name(p);
    match p.decision {
        CgroupDecision::Permits => Step::ok("cgroup", format!("{name} permits all")),
        CgroupDecision::Refuses => {
            let step = Step::fails("cgroup", &CGROUP_BPF, format!("{name} refuses all"));
            Step { effect: Some(effect), ..step }
        }
        CgroupDecision::Unknown => {
            let step = Step::not_visible("cgroup", format!("{name} may refuse it"));
            // The effect is kept for a real connect, which can show it.
            Step { effect: Some(effect), ..step }
        }
    }
}

fn name(p: &CgroupProgram) -> String {
    let name = if p.name.is_empty() { "a BPF program".to_owned() } else { format!("BPF program {}", p.name) };
    format!("{name} (id {}) at {} of cgroup {}", p.id, p.hook.name(), p.cgroup)
}

/// Steps of the programs in effect for the client.
pub(super) fn steps(programs: Option<&CgroupPrograms>, q: &Outgoing) -> Vec<Step> {
    let Some(found) = programs else { return Vec::new() };
    let all = match &found.programs {
        Ok(all) => all,
        Err(why) => {
            return vec![Step::not_visible("cgroup", format!("BPF programs of {}: {why}", found.cgroup))];
        }
    };
    let met: Vec<(&CgroupProgram, Effect)> =
        all.iter().filter_map(|p| Some((p, effect(p.hook, q)?))).collect();
    if met.is_empty() {
        return vec![Step::ok("cgroup", format!("{}: no BPF program decides", found.cgroup))];
    }
    let mut out: Vec<Step> = met.iter().take(MAX_NAMED).map(|(p, effect)| step(p, *effect)).collect();
    if let Some(more) = met.len().checked_sub(MAX_NAMED).filter(|n| *n > 0) {
        out.push(Step::not_visible("cgroup", format!("{more} more BPF programs of {}", found.cgroup)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::{Client, Status};
    use super::*;
    use crate::testing::ep;

    fn programs(hook: CgroupHook, decision: CgroupDecision) -> CgroupPrograms {
        let p = CgroupProgram { hook, id: 7, name: "deny".into(), cgroup: "/app".into(), decision };
        CgroupPrograms { cgroup: "/app/a".into(), programs: Ok(vec![p]) }
    }

    fn asked(dest: &str, proto: Proto) -> Outgoing {
        Outgoing { proto, source: None, dest: ep(dest), client: Client::default() }
    }

    #[test]
    fn program_is_a_step_at_the_hooks_that_the_connection_meets() {
        let (v4, v6) = (asked("10.0.0.4:80", Proto::Tcp), asked("[fd00::4]:80", Proto::Tcp));
        let refuses = programs(CgroupHook::Connect4, CgroupDecision::Refuses);
        let step = steps(Some(&refuses), &v4).remove(0);
        assert_eq!((step.status, step.effect), (Status::Fails, Some(Effect::NotPermitted)));
        assert_eq!(
            step.evidence,
            "BPF program deny (id 7) at cgroup_inet4_connect of cgroup /app refuses all"
        );
        assert_eq!(steps(Some(&refuses), &v6)[0].status, Status::Ok);
        let egress = programs(CgroupHook::Egress, CgroupDecision::Refuses);
        assert_eq!(steps(Some(&egress), &v6)[0].effect, Some(Effect::TimesOut));
        assert_eq!(
            steps(Some(&egress), &asked("10.0.0.4:53", Proto::Udp))[0].effect,
            Some(Effect::NotPermitted)
        );
        let unknown = programs(CgroupHook::Connect4, CgroupDecision::Unknown);
        assert_eq!(steps(Some(&unknown), &v4)[0].status, Status::NotVisible);
        let permits = programs(CgroupHook::Connect4, CgroupDecision::Permits);
        assert_eq!(steps(Some(&permits), &v4)[0].status, Status::Ok);
    }
}
