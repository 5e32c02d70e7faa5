//! Syntax specific to `ss`: keywords followed by a blank, and its notation of endpoints.

use super::{Operator, Parsed, Parser, all_of, family_prefix, operator, word_operator};
use crate::filter::ast::{Expr, Field, Op, Operand, Term, Test};
use crate::filter::error::Problem;
use crate::filter::raw_value::{RawValue, error_at, shown, unknown_state};
use crate::filter::{operand, state_sets};

use crate::model::lang::tr;
use crate::model::{Family, StateSet};
use crate::msg;

impl Parser<'_> {
    /// The state set of `state X state Y exclude Z`.
    pub(crate) fn state_run(&mut self) -> Parsed<Option<Expr>> {
        let mut set: Option<StateSet> = None;
        loop {
            let start = self.at;
            self.blanks();
            let rest = self.rest();
            let len = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            let (word, after) = rest.split_at(len);
            let exclude = match word.to_ascii_lowercase().as_str() {
                "state" => false,
                "exclude" | "excl" => true,
                _ => {
                    self.at = start;
                    break;
                }
            };
            let value = after.trim_start();
            let name_follows =
                value.len() < after.len() && value.starts_with(|c: char| c.is_ascii_alphabetic());
            if !name_follows || word_operator(value).is_some() || self.table.column("state").is_none() {
                self.at = start;
                break;
            }
            let at = self.at + len + (after.len() - value.len());
            let name_len = value
                .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_')))
                .unwrap_or(value.len());
            let name = &value[..name_len];
            if ["and", "or", "not"].contains(&name.to_ascii_lowercase().as_str()) {
                self.at = start;
                break;
            }
            let Some(states) = state_sets::parse_ss(name) else {
                return Err(unknown_state(name, at..at + name_len));
            };
            self.at = at + name_len;
            set = Some(match (set, exclude) {
                (None, false) => states,
                (Some(s), false) => s | states,
                (s, true) => s.unwrap_or(StateSet::ALL) & !states,
            });
        }
        let Some(set) = set else { return Ok(None) };
        let Some(column) = self.table.column("state") else { return Ok(None) };
        let term = |op, s| {
            let test = Test::List(op, vec![Operand::States(s)]);
            Expr::Term(Term { field: Field::Column(column), test })
        };
        let named = state_sets::GROUPS.iter().any(|(_, s)| s() == set);
        // `exclude time-wait` is clearer as a negation.
        let out = !set;
        Ok(Some(if set.is_empty() {
            Expr::Not(Box::new(term(Op::Has, StateSet::ALL)))
        } else if !named && out.states().count() < set.states().count() {
            term(Op::Differs, out)
        } else {
            term(Op::Has, set)
        }))
    }

    pub(crate) fn ss_term(&mut self, name: &str, field: Field) -> Parsed<Expr> {
        let at = self.at;
        let (op, len) = operator(self.rest())
            .filter(|_| !self.rest().starts_with(':'))
            .or_else(|| word_operator(self.rest()))
            .unwrap_or((Operator::Has, 0));
        if let Operator::Regex(_) = op {
            return self.field_test(field);
        }
        self.at += len;
        self.blanks();
        let raw = if matches!(self.peek(), Some('"' | '\'')) { self.quoted()? } else { self.host_token()? };
        if raw.text.is_empty() {
            let message = msg!("missing value after {}", name);
            return Err(error_at(
                Problem::Incomplete,
                at..at,
                message,
                operand::example(field).map(|e| msg!("example: {} {}", name, e)),
            ));
        }
        let list_op = match op {
            Operator::Differs => Op::Differs,
            _ => Op::Has,
        };
        match (name.to_ascii_lowercase().as_str(), op) {
            ("sport" | "dport", Operator::Compare(cmp)) => {
                let (_, port) = Self::ss_port(&raw);
                self.compare(field, cmp, &RawValue { text: port, ..raw })
            }
            ("sport" | "dport", _) => {
                let (host, port) = Self::ss_port(&raw);
                if host || port == "*" {
                    let end = if name.eq_ignore_ascii_case("sport") { "local" } else { "remote" };
                    let field = self.field(end, at..at)?;
                    // `*` is any port, and any address.
                    let raw = if host { raw } else { RawValue { text: "*".to_owned(), ..raw } };
                    return self.ss_host(field, None, &raw, list_op, 0);
                }
                self.list(field, list_op, vec![RawValue { text: port, ..raw }])
            }
            ("src" | "dst", Operator::Compare(_)) => {
                let hint = Some(msg!(
                    "compare ports with {}",
                    if name.starts_with('s') { "sport" } else { "dport" }
                ));
                Err(error_at(Problem::BadValue, raw.span, tr("addresses cannot be compared"), hint))
            }
            ("src" | "dst", _) => {
                let (family, skip) = match raw.text.split_once(':') {
                    Some((f, _)) if !raw.quoted => {
                        family_prefix(f).map_or((None, 0), |fam| (Some(fam), f.len() + 1))
                    }
                    _ => (None, 0),
                };
                self.ss_host(field, family, &raw, list_op, skip)
            }
            ("cgroup", Operator::Has | Operator::Is) => {
                let text = cgroup_path(&raw.text);
                self.list(field, Op::Is, vec![RawValue { text, quoted: true, ..raw }])
            }
            (_, Operator::Compare(cmp)) => self.compare(field, cmp, &raw),
            // Interface number 0: bound to no interface.
            ("dev", _) if raw.text == "0" => {
                self.list(field, list_op, vec![RawValue { text: "none".to_owned(), quoted: false, ..raw }])
            }
            _ => {
                let free = name.eq_ignore_ascii_case("cgroup") || name.eq_ignore_ascii_case("dev");
                let raw =
                    if free { RawValue { text: cgroup_path(&raw.text), quoted: true, ..raw } } else { raw };
                self.list(field, list_op, vec![raw])
            }
        }
    }

    /// A port as in `ss`: `:22`, `22`, `:ssh`, `*:22`. With an address before it, it is an endpoint.
    fn ss_port(raw: &RawValue) -> (bool, String) {
        let text = family_prefix(raw.text.split(':').next().unwrap_or(""))
            .map_or(raw.text.as_str(), |_| raw.text.split_once(':').map_or("", |(_, rest)| rest));
        match text.rsplit_once(':') {
            None => (false, text.to_owned()),
            Some(("" | "*", port)) => (false, port.to_owned()),
            Some((_, port)) => (true, port.to_owned()),
        }
    }

    pub(crate) fn host_token(&mut self) -> Parsed<RawValue> {
        self.raw(|c| matches!(c, '(' | ')' | '|' | '&'))
    }

    /// An endpoint as in `ss`; a family before it restricts it to that family.
    pub(crate) fn ss_host(
        &mut self,
        field: Field,
        family: Option<Family>,
        raw: &RawValue,
        op: Op,
        skip: usize,
    ) -> Parsed<Expr> {
        let text = raw.text.get(skip..).unwrap_or("").to_owned();
        let span = raw.span.start + skip.min(raw.span.len())..raw.span.end;
        let is_ip = matches!(family, None | Some(Family::Inet | Family::Inet6));
        let operand = if is_ip {
            operand::ss_host(&text, self.services).ok_or_else(|| {
                let message = msg!("invalid address {}", shown(&text));
                let hint = tr(
                    "expected an address, with a port as in 10.0.0.1:443 or [::1]:443; host names are not resolved",
                );
                error_at(Problem::BadValue, span.clone(), message, Some(hint.to_owned()))
            })?
        } else {
            Operand::Glob(if text.is_empty() { "*".to_owned() } else { text })
        };
        let mut parts = Vec::new();
        let column = |p: &Self, name: &str| p.table.column(name).map(Field::Column);
        if let Some(family) = family
            && let Some(field) = column(self, "family")
        {
            let test = Test::List(Op::Has, vec![Operand::Text(family.name().to_owned())]);
            parts.push(Expr::Term(Term { field, test }));
        }
        match operand {
            // Any endpoint.
            Operand::Glob(g) if g == "*" && family.is_some() => {}
            // A name without wildcards must match exactly.
            Operand::Glob(g) if !g.contains(['*', '?', '[']) => {
                let op = if op == Op::Has { Op::Is } else { op };
                parts.push(Expr::Term(Term { field, test: Test::List(op, vec![Operand::Text(g)]) }));
            }
            operand => parts.push(Expr::Term(Term { field, test: Test::List(op, vec![operand]) })),
        }
        Ok(all_of(parts))
    }
}

/// The cgroup path below the mount: `ss` takes the full directory.
fn cgroup_path(text: &str) -> String {
    let below = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
        .iter()
        .find_map(|mount| text.strip_prefix(mount).filter(|rest| rest.is_empty() || rest.starts_with('/')));
    match below {
        Some(rest) if rest.trim_end_matches('/').is_empty() => "/".to_owned(),
        Some(rest) => rest.trim_end_matches('/').to_owned(),
        None => text.to_owned(),
    }
}
