//! Parser of the filter language.
//!
//! The grammar, loosest first:
//!
//! ```text
//! filter  = [ states ] [ or ]                leading states apply to everything that follows, as in ss
//! or      = and { ("or" | "|" | "||") and }
//! and     = not { ["and" | "&" | "&&"] not }
//! not     = { "not" | "!" } primary
//! primary = "(" or ")" | field OP values | ss | ":" ports | "@" NAME | word | "quoted word"
//! OP      = : = == != < <= > >= ~ !~         also eq ne gt lt ge le between blanks
//! values  = value { "," value }
//! ss      = states | (src|dst) [OP] HOST | (sport|dport) [OP] PORT | (dev|fwmark|cgroup) [OP] value | autobound
//!         | (inet|inet6|unix|link|netlink|vsock) ":" HOST
//! states  = { ("state" | "exclude") NAME }   each `state` adds, each `exclude` removes
//! ```
//!
//! `ss` gives `and`, `or` and juxtaposition the same precedence, left to right; here `not` binds tighter than `and`, and `and`
//! tighter than `or`, as everywhere else. This is the only difference, and it is deliberate.

mod lex;
mod ss;

use super::ast::{Cmp, Expr, Field, Op, Operand, Term, Test};
use super::error::{FilterError, Problem};
use super::name::Names;
use super::number::Number;
use super::operand;
use super::raw_value::{RawValue, error_at, shown};
use crate::format::did_you_mean::same_word;
use crate::format::{Kind, TextMatch, did_you_mean};
use crate::model::lang::tr;
use crate::model::text::escape;
use crate::model::{Addr, Family, Services};
use crate::msg;
use crate::table::{Table, error};
use std::ops::Range;

/// Maximum length of a filter in bytes.
const MAX_TEXT: usize = 64 * 1024;
/// Maximum nesting of parentheses and `not`.
const MAX_DEPTH: usize = 100;

/// Parses a filter; `None` for an empty one.
pub(crate) fn parse(
    text: &str,
    table: &'static Table,
    names: Names<'_>,
) -> Result<Option<Expr>, FilterError> {
    nested(text, table, names, 0)
}

/// Parses a filter at this nesting depth.
fn nested(
    text: &str,
    table: &'static Table,
    names: Names<'_>,
    depth: usize,
) -> Result<Option<Expr>, FilterError> {
    if text.len() > MAX_TEXT {
        return Err(FilterError {
            kind: Problem::TooLong,
            span: MAX_TEXT..text.len(),
            message: msg!("filter too long: at most {} KB", MAX_TEXT / 1024),
            hint: None,
        });
    }
    let mut p = Parser { text, at: 0, end: text.len(), depth, table, services: names.services, names };
    p.blanks();
    if p.at == p.end {
        return Ok(None);
    }
    let e = p.front()?;
    p.blanks();
    if p.at < p.end {
        let at = p.at;
        return Err(match p.peek() {
            Some(')') => error_at(Problem::Parenthesis, at..at + 1, "unmatched )", None),
            _ => error_at(Problem::Unexpected, at..p.end, tr("unexpected text"), None),
        });
    }
    Ok(Some(e))
}

pub(crate) struct Parser<'a> {
    text: &'a str,
    at: usize,
    end: usize,
    depth: usize,
    pub(crate) table: &'static Table,
    pub(crate) services: &'a Services,
    names: Names<'a>,
}

type Parsed<T> = Result<T, FilterError>;

/// Conjunction of parts, flattened.
fn all_of(parts: Vec<Expr>) -> Expr {
    flat(parts, Expr::And, |part| match part {
        Expr::And(inner) => Ok(inner),
        other => Err(other),
    })
}

/// Disjunction of parts, flattened.
fn any_of(parts: Vec<Expr>) -> Expr {
    flat(parts, Expr::Or, |part| match part {
        Expr::Or(inner) => Ok(inner),
        other => Err(other),
    })
}

/// Joins parts; a single part is kept as it is, and nested parts of the same kind are merged.
fn flat(
    mut parts: Vec<Expr>,
    together: fn(Vec<Expr>) -> Expr,
    apart: fn(Expr) -> Result<Vec<Expr>, Expr>,
) -> Expr {
    if parts.len() == 1
        && let Some(one) = parts.pop()
    {
        return one;
    }
    let mut all = Vec::with_capacity(parts.len());
    for p in parts {
        match apart(p) {
            Ok(inner) => all.extend(inner),
            Err(one) => all.push(one),
        }
    }
    together(all)
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..self.end]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// The text at a span, safe and short enough for a message.
    pub(crate) fn shown(&self, span: Range<usize>) -> String {
        shown(&self.text[span])
    }

    fn deeper(&mut self, at: usize) -> Parsed<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let message = msg!("nested too deeply: at most {} levels", MAX_DEPTH);
            return Err(error_at(Problem::TooDeep, at..at + 1, message, None));
        }
        Ok(())
    }

    /// A whole filter; leading states apply to all of it.
    fn front(&mut self) -> Parsed<Expr> {
        let start = self.at;
        if let Some(states) = self.state_run()? {
            self.blanks();
            if self.at == self.end {
                return Ok(states);
            }
            if self.connective().is_none() && self.peek() != Some(')') {
                let rest = self.or()?;
                return Ok(all_of(vec![states, rest]));
            }
            self.at = start;
        }
        self.or()
    }

    fn or(&mut self) -> Parsed<Expr> {
        let mut parts = vec![self.and()?];
        while self.take_connective(Connective::Or) {
            parts.push(self.and()?);
        }
        Ok(any_of(parts))
    }

    fn and(&mut self) -> Parsed<Expr> {
        let mut parts = vec![self.not()?];
        loop {
            if self.take_connective(Connective::And) {
                parts.push(self.not()?);
                continue;
            }
            self.blanks();
            if self.at == self.end
                || self.rest().starts_with(')')
                || self.rest().starts_with("\\)")
                || self.connective().is_some()
            {
                break;
            }
            parts.push(self.not()?);
        }
        Ok(all_of(parts))
    }

    fn not(&mut self) -> Parsed<Expr> {
        self.blanks();
        let at = self.at;
        let rest = self.rest();
        let skip = if rest.starts_with("\\!") {
            2
        } else if rest.starts_with('!') && !rest[1..].starts_with(['=', '~']) {
            1
        } else if self.word_here("not") {
            3
        } else {
            return self.primary();
        };
        self.at += skip;
        self.deeper(at)?;
        let inner = self.not()?;
        self.depth -= 1;
        Ok(Expr::Not(Box::new(inner)))
    }

    /// True if this keyword is next, as a whole word.
    fn word_here(&self, word: &str) -> bool {
        let rest = self.rest();
        rest.get(..word.len()).is_some_and(|w| w.eq_ignore_ascii_case(word))
            && rest[word.len()..]
                .chars()
                .next()
                .is_none_or(|c| c.is_whitespace() || matches!(c, '(' | ')' | '\\' | '"' | '\'' | '!'))
    }

    /// The next connective and its length.
    fn connective(&self) -> Option<(Connective, usize)> {
        let rest = self.rest();
        for (text, c) in
            [("||", Connective::Or), ("|", Connective::Or), ("&&", Connective::And), ("&", Connective::And)]
        {
            if rest.starts_with(text) {
                return Some((c, text.len()));
            }
        }
        for (text, c) in [("\\|", Connective::Or), ("\\&", Connective::And)] {
            if rest.starts_with(text) {
                return Some((c, 2));
            }
        }
        for (word, c) in [("or", Connective::Or), ("and", Connective::And)] {
            if self.word_here(word) {
                return Some((c, word.len()));
            }
        }
        None
    }

    fn take_connective(&mut self, wanted: Connective) -> bool {
        self.blanks();
        match self.connective() {
            Some((c, len)) if c == wanted => {
                self.at += len;
                true
            }
            _ => false,
        }
    }

    fn primary(&mut self) -> Parsed<Expr> {
        self.blanks();
        let at = self.at;
        let Some(c) = self.peek() else {
            return Err(error_at(
                Problem::Incomplete,
                at..at,
                tr("incomplete: missing condition at the end"),
                None,
            ));
        };
        if let Some((_, len)) = self.connective() {
            let message = msg!("missing condition before {}", self.shown(at..at + len));
            return Err(error_at(Problem::Incomplete, at..at + len, message, None));
        }
        match c {
            '(' => self.parenthesis(1),
            '\\' if self.rest().starts_with("\\(") => self.parenthesis(2),
            ')' => Err(error_at(Problem::Incomplete, at..at + 1, tr("missing condition before )"), None)),
            '\'' | '"' => self.quoted_primary(c),
            ':' => self.colon(),
            '@' => self.saved(),
            '=' | '<' | '>' | '~' | '!' | ',' => {
                let message = msg!("missing field before {}", c);
                Err(error_at(
                    Problem::Incomplete,
                    at..at + 1,
                    message,
                    Some(tr("example: state:listen or rx>1M").to_owned()),
                ))
            }
            c if c.is_ascii_alphabetic() || c == '_' => self.name(),
            _ => self.word(),
        }
    }

    fn parenthesis(&mut self, len: usize) -> Parsed<Expr> {
        let open = self.at;
        self.deeper(open)?;
        self.at += len;
        let inner = self.or()?;
        self.blanks();
        let close = if self.rest().starts_with("\\)") { 2 } else { 1 };
        if self.rest().starts_with([')', '\\']) {
            self.at += close;
            self.depth -= 1;
            return Ok(inner);
        }
        Err(error_at(Problem::Parenthesis, open..open + len, "unclosed (", Some("add )".to_owned())))
    }

    /// Quoted text is a word; parentheses in single quotes, as left over from a shell, are an expression.
    fn quoted_primary(&mut self, quote: char) -> Parsed<Expr> {
        let open = self.at;
        if quote == '\''
            && self.rest()[1..].trim_start().starts_with('(')
            && let Some(len) = self.rest()[1..].find('\'')
        {
            let outer = self.end;
            self.deeper(open)?;
            self.at += 1;
            self.end = open + 1 + len;
            let inner = self.or()?;
            self.blanks();
            if self.at < self.end {
                return Err(error_at(Problem::Parenthesis, self.at..self.at + 1, "unmatched )", None));
            }
            self.at = self.end + 1;
            self.end = outer;
            self.depth -= 1;
            return Ok(inner);
        }
        let raw = self.quoted()?;
        Ok(Expr::Word(raw.text))
    }

    /// `:443`, `:ssh`, `:8000-8999`: a local or remote port. `::1` is an address.
    fn colon(&mut self) -> Parsed<Expr> {
        if self.rest().starts_with("::") {
            return self.word();
        }
        let field = if self.table.is_sockets() {
            Field::EitherPort
        } else {
            match self.table.columns.iter().find(|c| c.kind == Kind::Port) {
                Some(c) => Field::Column(c),
                None => return self.word(),
            }
        };
        self.at += 1;
        let values = self.values(field, ":")?;
        self.list(field, Op::Has, values)
    }

    /// The saved filter of a name.
    fn saved(&mut self) -> Parsed<Expr> {
        let start = self.at;
        let raw = self.raw(|c| matches!(c, '(' | ')' | '|' | '&'))?;
        let name = raw.text.trim_start_matches('@');
        let wrong = |kind, message: String, hint| Err(error_at(kind, start..raw.span.end, message, hint));
        let Some(text) = self.names.saved.get(name) else {
            let near = did_you_mean::nearest(name, self.names.saved.keys().map(String::as_str));
            let hint = near.map_or_else(
                || tr("quote text that contains @").to_owned(),
                |n| msg!("did you mean @{}?", escape(n)),
            );
            return wrong(Problem::UnknownField, msg!("unknown saved filter {}", shown(name)), Some(hint));
        };
        // Each level counts as several parentheses, so that filters that refer to each other fail early.
        let inner = if self.depth + 20 > MAX_DEPTH {
            return wrong(Problem::TooDeep, tr("saved filters are nested too deeply").to_owned(), None);
        } else {
            nested(text, self.table, self.names, self.depth + 20)
        };
        match inner {
            Ok(Some(e)) => Ok(e),
            Ok(None) => wrong(Problem::Incomplete, msg!("saved filter {} is empty", shown(name)), None),
            Err(e) => wrong(e.kind, msg!("in saved filter {}: {}", shown(name), e.message), e.hint),
        }
    }

    /// A word that cannot be a field: an address, a path, anything.
    fn word(&mut self) -> Parsed<Expr> {
        let start = self.at;
        // A field name in another script, as `상태:listen`, is an unknown field, not a word.
        let rest = self.rest();
        let len = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-'))).unwrap_or(rest.len());
        if rest.starts_with(|c: char| c.is_alphabetic() && !c.is_ascii()) && operator(&rest[len..]).is_some()
        {
            self.field(&rest[..len], start..start + len)?;
        }
        let raw = self.raw(|c| matches!(c, '(' | ')' | '|' | '&'))?;
        if raw.text.is_empty() {
            let end = start + self.peek().map_or(0, char::len_utf8);
            return Err(error_at(Problem::Unexpected, start..end, tr("unexpected text"), None));
        }
        let host = operand::host(&raw.text, self.services);
        // `*:443`, as it is displayed, is a port of any address.
        if let Some(Operand::Host(None, Some(_), None)) = host
            && raw.text.starts_with("*:")
        {
            self.at = start + 1;
            return self.colon();
        }
        if let (Some(Operand::Host(Some(net), port, zone)), Some(field)) = (host, self.end_field())
            && (raw.text.contains('/') || zone.is_some())
        {
            let test = Test::List(Op::Has, vec![Operand::Host(Some(net), port, zone)]);
            return Ok(Expr::Term(Term { field, test }));
        }
        Ok(Expr::Word(raw.text))
    }

    /// The field that a bare network tests.
    fn end_field(&self) -> Option<Field> {
        if self.table.is_sockets() {
            return Some(Field::EitherEnd);
        }
        self.table.columns.iter().find(|c| matches!(c.kind, Kind::Endpoint | Kind::Addr)).map(Field::Column)
    }

    /// Text that begins with a letter: a field, a keyword or a word.
    fn name(&mut self) -> Parsed<Expr> {
        let start = self.at;
        let rest = self.rest();
        let len =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))).unwrap_or(rest.len());
        let name = &rest[..len];
        let after = &rest[len..];
        if operator(after).is_some() {
            if let Some(family) = family_prefix(name)
                && after.starts_with(':')
                && self.table.is_sockets()
            {
                let raw = self.host_token()?;
                return self.ss_host(Field::EitherEnd, Some(family), &raw, Op::Has, len + 1);
            }
            if looks_like_ipv6(rest) {
                return self.word();
            }
            let field = self.field(name, start..start + len)?;
            self.at += len;
            return self.named_test(name, field);
        }
        if !after.is_empty()
            && !after.starts_with(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '|' | '&' | '\\'))
        {
            return self.word();
        }
        if let Some(states) = self.state_run()? {
            return Ok(states);
        }
        if name.eq_ignore_ascii_case("autobound") && self.table.is_sockets() {
            self.at += len;
            return Ok(Expr::AutoBound);
        }
        if let Some(text) = super::ast::family_word(name)
            && self.table.is_sockets()
            && let Ok(Some(e)) = nested(text, self.table, self.names, self.depth + 1)
        {
            self.at += len;
            return Ok(e);
        }
        let ss = ["src", "dst", "sport", "dport", "dev", "fwmark", "cgroup"]
            .iter()
            .any(|w| name.eq_ignore_ascii_case(w));
        let Some(field) = self.known(name) else { return self.word() };
        // A field, then an operator or, for the words of ss, its value after a blank.
        self.at += len;
        self.blanks();
        let spaced = self.rest();
        if let Some((_, op_len)) = operator(spaced).filter(|_| !spaced.starts_with(':'))
            && !spaced[op_len..].trim_start().is_empty()
        {
            return if ss { self.ss_term(name, field) } else { self.named_test(name, field) };
        }
        if word_operator(spaced).is_some() {
            return if ss { self.ss_term(name, field) } else { self.named_test(name, field) };
        }
        let value_follows = !spaced.is_empty()
            && self.connective().is_none()
            && !self.word_here("not")
            && !spaced.starts_with(['(', ')', '!']);
        if ss && value_follows {
            return self.ss_term(name, field);
        }
        self.at = start;
        self.at += len;
        Ok(Expr::Word(name.to_owned()))
    }

    /// The field with this name.
    fn known(&self, name: &str) -> Option<Field> {
        if self.table.is_sockets() {
            if same_word(name, "port") {
                return Some(Field::EitherPort);
            }
            if same_word(name, "addr") || same_word(name, "address") {
                return Some(Field::EitherEnd);
            }
        }
        self.table.column(name).map(Field::Column)
    }

    fn field(&self, name: &str, span: Range<usize>) -> Parsed<Field> {
        self.known(name).ok_or_else(|| {
            let near = did_you_mean::nearest(name, error::names(self.table).chain(["port", "addr"]));
            let hint = match near {
                Some(n) => msg!("did you mean {}?", n),
                None => tr("quote text that contains an operator").to_owned(),
            };
            let message = msg!("unknown field {} for {}", self.shown(span.clone()), self.table.noun);
            error_at(Problem::UnknownField, span, message, Some(hint))
        })
    }

    /// The test of a field written under this name. `rtt_us>50` has its unit in the name, `rtt>50` has none.
    fn named_test(&mut self, name: &str, field: Field) -> Parsed<Expr> {
        let start = self.at;
        let test = self.field_test(field)?;
        let value =
            self.text.get(start..self.at).unwrap_or("").trim_start_matches(|c: char| !c.is_alphanumeric());
        let unit = match field {
            Field::Column(c) if c.name.eq_ignore_ascii_case(&name.replace('-', "_")) => None,
            Field::Column(c) => ["us", "ms"].into_iter().find(|u| c.name.ends_with(&format!("_{u}"))),
            _ => None,
        };
        let is_bare =
            value.starts_with(|c: char| ('1'..='9').contains(&c)) && !value.contains(char::is_alphabetic);
        match unit.filter(|_| is_bare) {
            Some(unit) => {
                let message = msg!("missing unit after {}", shown(value));
                let hint = msg!("example: {}ms or {}{}", value, value, unit);
                Err(error_at(Problem::BadValue, start..self.at, message, Some(hint)))
            }
            None => Ok(test),
        }
    }

    /// The operator and the values after a field name.
    fn field_test(&mut self, field: Field) -> Parsed<Expr> {
        let op_at = self.at;
        let Some((op, len)) = operator(self.rest()).or_else(|| word_operator(self.rest())) else {
            return Err(error_at(Problem::Unexpected, op_at..op_at, tr("missing operator"), None));
        };
        self.at += len;
        let op_text = self.text[op_at..op_at + len].to_owned();
        // After a colon the value follows at once, so that `rx: nginx` while typing is not `rx:nginx`.
        if op != Operator::Has {
            self.blanks();
        }
        match op {
            Operator::Has => {
                let values = self.values(field, &op_text)?;
                self.list(field, Op::Has, values)
            }
            Operator::Is => {
                let values = self.values(field, &op_text)?;
                self.list(field, Op::Is, values)
            }
            Operator::Differs => {
                let values = self.values(field, &op_text)?;
                self.list(field, Op::Differs, values)
            }
            Operator::Compare(cmp) => {
                let raw = self.one_value(field, &op_text)?;
                self.compare(field, cmp, &raw)
            }
            Operator::Regex(not) => {
                let raw = self.pattern(field, &op_text)?;
                operand::regex(&raw.text)
                    .map_err(|why| error_at(Problem::BadPattern, raw.span.clone(), why, None))?;
                Ok(Expr::Term(Term { field, test: Test::Regex(not, raw.text) }))
            }
        }
    }

    fn list(&mut self, field: Field, op: Op, values: Vec<RawValue>) -> Parsed<Expr> {
        let (field, operands) = self.operands(field, values)?;
        let free = operands.iter().any(|o| matches!(o, Operand::Text(_) | Operand::Glob(_)));
        let whole = matches!(field, Field::Column(c) if c.text_match != TextMatch::Part);
        // Only for free text do `:` and `=` differ.
        let op = if op == Op::Is && (!free || whole) { Op::Has } else { op };
        Ok(Expr::Term(Term { field, test: Test::List(op, operands) }))
    }

    fn compare(&self, field: Field, cmp: Cmp, raw: &RawValue) -> Parsed<Expr> {
        let field = operand::percent_field(self.table, field, &raw.text);
        let n = self.number(field, raw)?;
        Ok(Expr::Term(Term { field, test: Test::Compare(cmp, n) }))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Connective {
    And,
    Or,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    Has,
    Is,
    Differs,
    Compare(Cmp),
    Regex(bool),
}

/// The operator a text begins with, and its length.
fn operator(text: &str) -> Option<(Operator, usize)> {
    const ALL: [(&str, Operator); 10] = [
        ("!=", Operator::Differs),
        ("!~", Operator::Regex(true)),
        ("==", Operator::Is),
        ("<=", Operator::Compare(Cmp::AtMost)),
        (">=", Operator::Compare(Cmp::AtLeast)),
        (":", Operator::Has),
        ("=", Operator::Is),
        ("<", Operator::Compare(Cmp::Less)),
        (">", Operator::Compare(Cmp::More)),
        ("~", Operator::Regex(false)),
    ];
    // A shell's `\<` and `\>`.
    if let Some(rest) = text.strip_prefix('\\')
        && rest.starts_with(['<', '>', '!'])
    {
        return operator(rest).map(|(op, len)| (op, len + 1));
    }
    ALL.iter().find(|(t, _)| text.starts_with(t)).map(|(t, op)| (*op, t.len()))
}

/// The operator of `ss` spelled as a word (`eq`, `gt`); a value must follow.
fn word_operator(text: &str) -> Option<(Operator, usize)> {
    const ALL: [(&str, Operator); 9] = [
        ("eq", Operator::Is),
        ("ne", Operator::Differs),
        ("neq", Operator::Differs),
        ("gt", Operator::Compare(Cmp::More)),
        ("lt", Operator::Compare(Cmp::Less)),
        ("ge", Operator::Compare(Cmp::AtLeast)),
        ("geq", Operator::Compare(Cmp::AtLeast)),
        ("le", Operator::Compare(Cmp::AtMost)),
        ("leq", Operator::Compare(Cmp::AtMost)),
    ];
    let len = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (word, rest) = text.split_at(len);
    let follows = rest.starts_with(char::is_whitespace) && !rest.trim_start().is_empty();
    ALL.iter().find(|(t, _)| follows && t.eq_ignore_ascii_case(word)).map(|(_, op)| (*op, len))
}

fn family_prefix(name: &str) -> Option<Family> {
    if name.eq_ignore_ascii_case("link") {
        return Some(Family::Packet);
    }
    Family::parse(name).filter(|f| {
        matches!(
            f,
            Family::Inet | Family::Inet6 | Family::Unix | Family::Netlink | Family::Vsock | Family::Packet
        )
    })
}

/// True if the text up to a blank is an IPv6 address, also a partly typed one.
fn looks_like_ipv6(text: &str) -> bool {
    let token =
        text.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '|' | '&')).next().unwrap_or("");
    let addr = token.split(['/', '%']).next().unwrap_or("");
    addr.matches(':').count() >= 2
        && addr.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
        && (addr.parse::<Addr>().is_ok() || addr.contains("::") || addr.matches(':').count() >= 3)
}

impl Parser<'_> {
    /// A value as a number in the field's unit.
    pub(crate) fn number(&self, field: Field, raw: &RawValue) -> Parsed<Number> {
        operand::number(self.services, field, raw)
    }

    fn operands(&self, field: Field, values: Vec<RawValue>) -> Parsed<(Field, Vec<Operand>)> {
        operand::all(self.table, self.services, field, values)
    }
}
