//! From text to tree.
//!
//! The grammar, loosest first:
//!
//! ```text
//! filter  = [ states ] [ or ]                states at the front hold for all that follows, as with ss
//! or      = and { ("or" | "|" | "||") and }
//! and     = not { ["and" | "&" | "&&"] not }
//! not     = { "not" | "!" } primary
//! primary = "(" or ")" | field OP values | ss | ":" ports | word | "quoted word"
//! OP      = : = == != < <= > >= ~ !~         also eq ne gt lt ge le between blanks
//! values  = value { "," value }
//! ss      = states | (src|dst) [OP] HOST | (sport|dport) [OP] PORT | (dev|fwmark|cgroup) [OP] value | autobound
//!         | (inet|inet6|unix|link|netlink|vsock) ":" HOST
//! states  = { ("state" | "exclude") NAME }   several `state` add up, `exclude` takes away
//! ```
//!
//! `ss` itself gives `and`, `or` and juxtaposition the same rank and reads from the left; here `not` binds before `and`
//! and `and` before `or`, as everywhere else. That is the one difference, and it is on purpose.

use super::ast::{Cmp, Expr, Field, Op, Operand, Term, Test};
use super::number::Number;
use super::{FilterError, Problem, operand, states};
use crate::model::text::escape;
use crate::model::{Addr, Family, Services, StateSet};
use crate::query::column::same_word;
use crate::query::{Kind, Table, error, suggest};
use std::ops::Range;

/// A filter longer than this is no filter.
const MAX_TEXT: usize = 64 * 1024;
/// Parentheses and `not` within each other.
const MAX_DEPTH: usize = 100;

/// The tree of a text; `None` for a text that asks nothing.
pub(super) fn parse(
    text: &str,
    table: &'static Table,
    services: &Services,
) -> Result<Option<Expr>, FilterError> {
    if text.len() > MAX_TEXT {
        return Err(FilterError {
            kind: Problem::TooLong,
            span: MAX_TEXT..text.len(),
            message: format!("the filter is longer than {} KB", MAX_TEXT / 1024),
            hint: None,
        });
    }
    let mut p = Parser { text, at: 0, end: text.len(), depth: 0, table, services };
    p.blanks();
    if p.at == p.end {
        return Ok(None);
    }
    let e = p.front()?;
    p.blanks();
    if p.at < p.end {
        let at = p.at;
        return Err(match p.peek() {
            Some(')') => p.error(Problem::Parenthesis, at..at + 1, "this ) closes nothing", None),
            _ => p.error(Problem::Unexpected, at..p.end, "this is not understood here", None),
        });
    }
    Ok(Some(e))
}

pub(super) struct Parser<'a> {
    text: &'a str,
    at: usize,
    end: usize,
    depth: usize,
    pub(super) table: &'static Table,
    pub(super) services: &'a Services,
}

/// One value as written.
pub(super) struct Raw {
    /// With quotes and backslashes resolved.
    pub(super) text: String,
    /// Where it stands.
    pub(super) span: Range<usize>,
    /// In quotes: text and nothing else.
    pub(super) quoted: bool,
    /// Has `*` or `?` that no quote or backslash protects.
    pub(super) wild: bool,
}

type Parsed<T> = Result<T, FilterError>;

/// `and` of parts, flat.
fn all_of(mut parts: Vec<Expr>) -> Expr {
    if parts.len() == 1
        && let Some(one) = parts.pop()
    {
        return one;
    }
    let mut flat = Vec::with_capacity(parts.len());
    for p in parts {
        match p {
            Expr::And(inner) => flat.extend(inner),
            other => flat.push(other),
        }
    }
    Expr::And(flat)
}

fn any_of(mut parts: Vec<Expr>) -> Expr {
    if parts.len() == 1
        && let Some(one) = parts.pop()
    {
        return one;
    }
    let mut flat = Vec::with_capacity(parts.len());
    for p in parts {
        match p {
            Expr::Or(inner) => flat.extend(inner),
            other => flat.push(other),
        }
    }
    Expr::Or(flat)
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

    pub(super) fn error(
        &self,
        kind: Problem,
        span: Range<usize>,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> FilterError {
        FilterError { kind, span, message: message.into(), hint }
    }

    /// The text at a span, safe and short enough for a message.
    pub(super) fn shown(&self, span: Range<usize>) -> String {
        shown(&self.text[span])
    }

    fn deeper(&mut self, at: usize) -> Parsed<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} parentheses and nots within each other");
            return Err(self.error(Problem::TooDeep, at..at + 1, message, None));
        }
        Ok(())
    }

    /// A whole filter: states at its front hold for all of it.
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

    /// Whether this keyword stands here as a whole word.
    fn word_here(&self, word: &str) -> bool {
        let rest = self.rest();
        rest.get(..word.len()).is_some_and(|w| w.eq_ignore_ascii_case(word))
            && rest[word.len()..]
                .chars()
                .next()
                .is_none_or(|c| c.is_whitespace() || matches!(c, '(' | ')' | '\\' | '"' | '\'' | '!'))
    }

    /// The connective that stands here, and its length.
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
            return Err(self.error(Problem::Incomplete, at..at, "something is missing at the end", None));
        };
        if let Some((_, len)) = self.connective() {
            let message = format!("something is missing before {}", self.shown(at..at + len));
            return Err(self.error(Problem::Incomplete, at..at + len, message, None));
        }
        match c {
            '(' => self.parenthesis(1),
            '\\' if self.rest().starts_with("\\(") => self.parenthesis(2),
            ')' => {
                Err(self.error(Problem::Incomplete, at..at + 1, "something is missing before this )", None))
            }
            '\'' | '"' => self.quoted_primary(c),
            ':' => self.colon(),
            '=' | '<' | '>' | '~' | '!' | ',' => {
                let message = format!("a field's name is missing before {c}");
                Err(self.error(
                    Problem::Incomplete,
                    at..at + 1,
                    message,
                    Some("as in state:listen or rx>1M".to_owned()),
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
        Err(self.error(
            Problem::Parenthesis,
            open..open + len,
            "this ( is never closed",
            Some("add )".to_owned()),
        ))
    }

    /// Text in quotes is a word; in single quotes around parentheses, as left over from a shell, an expression.
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
                return Err(self.error(
                    Problem::Parenthesis,
                    self.at..self.at + 1,
                    "this closes nothing",
                    None,
                ));
            }
            self.at = self.end + 1;
            self.end = outer;
            self.depth -= 1;
            return Ok(inner);
        }
        let raw = self.quoted()?;
        Ok(Expr::Word(raw.text))
    }

    /// `:443`, `:ssh`, `:8000-8999`: a port of either end. `::1` is an address.
    fn colon(&mut self) -> Parsed<Expr> {
        if self.rest().starts_with("::") {
            return self.word();
        }
        let field = if self.table.name == "list" {
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

    /// A word that cannot be a field: an address, a path, anything.
    fn word(&mut self) -> Parsed<Expr> {
        let start = self.at;
        let raw = self.raw(|c| matches!(c, '(' | ')' | '|' | '&'))?;
        if raw.text.is_empty() {
            let end = start + self.peek().map_or(0, char::len_utf8);
            return Err(self.error(Problem::Unexpected, start..end, "this is not understood here", None));
        }
        let host = operand::host(&raw.text, self.services);
        if let (Some(Operand::Host(Some((addr, len)), port)), Some(field)) = (host, self.end_field())
            && raw.text.contains('/')
        {
            let test = Test::List(Op::Has, vec![Operand::Host(Some((addr, len)), port)]);
            return Ok(Expr::Term(Term { field, test }));
        }
        Ok(Expr::Word(raw.text))
    }

    /// The field that a bare network is about.
    fn end_field(&self) -> Option<Field> {
        if self.table.name == "list" {
            return Some(Field::EitherEnd);
        }
        self.table.columns.iter().find(|c| matches!(c.kind, Kind::Endpoint | Kind::Addr)).map(Field::Column)
    }

    /// What begins with a letter: a field, a keyword or a word.
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
                && self.table.name == "list"
            {
                let raw = self.host_token()?;
                return self.ss_host(Field::EitherEnd, Some(family), raw, Op::Has, len + 1);
            }
            if looks_like_ipv6(rest) {
                return self.word();
            }
            let field = self.field(name, start..start + len)?;
            self.at += len;
            return self.field_test(field);
        }
        if !after.is_empty()
            && !after.starts_with(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '|' | '&' | '\\'))
        {
            return self.word();
        }
        if let Some(states) = self.state_run()? {
            return Ok(states);
        }
        if name.eq_ignore_ascii_case("autobound") && self.table.name == "list" {
            self.at += len;
            return Ok(Expr::AutoBound);
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
            return if ss { self.ss_term(name, field) } else { self.field_test(field) };
        }
        if word_operator(spaced).is_some() {
            return if ss { self.ss_term(name, field) } else { self.field_test(field) };
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

    /// The field of that name.
    fn known(&self, name: &str) -> Option<Field> {
        if self.table.name == "list" {
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
            let near = suggest::nearest(name, error::names(self.table).chain(["port", "addr"]));
            let hint = match near {
                Some(n) => format!("did you mean {n}?"),
                None => "to search for text with such a character, put it in quotes".to_owned(),
            };
            let message = format!("{} have no field {}", self.table.noun, self.shown(span.clone()));
            self.error(Problem::UnknownField, span, message, Some(hint))
        })
    }

    /// `state X state Y exclude Z`: the set they make.
    fn state_run(&mut self) -> Parsed<Option<Expr>> {
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
            let Some(states) = states::parse_ss(name) else {
                return Err(self.unknown_state(name, at..at + name_len));
            };
            self.at = at + name_len;
            set = Some(match (set, exclude) {
                (None, false) => states,
                (Some(s), false) => s.or(states),
                (s, true) => s.unwrap_or(StateSet::ALL).and(states.not()),
            });
        }
        let Some(set) = set else { return Ok(None) };
        let Some(column) = self.table.column("state") else { return Ok(None) };
        let term = |op, s| {
            let test = Test::List(op, vec![Operand::States(s)]);
            Expr::Term(Term { field: Field::Column(column), test })
        };
        let named = states::GROUPS.iter().any(|(_, s)| s() == set);
        // `exclude time-wait` reads better as what it leaves out.
        let out = set.not();
        Ok(Some(if set.is_empty() {
            Expr::Not(Box::new(term(Op::Has, StateSet::ALL)))
        } else if !named && out.iter().count() < set.iter().count() {
            term(Op::Differs, out)
        } else {
            term(Op::Has, set)
        }))
    }

    pub(super) fn unknown_state(&self, name: &str, span: Range<usize>) -> FilterError {
        let near = suggest::nearest(name, states::words());
        let hint = near.map_or_else(
            || "states are listen, established, close-wait, time-wait and so on".to_owned(),
            |n| format!("did you mean {}?", n.to_ascii_lowercase().replace('_', "-")),
        );
        self.error(Problem::BadValue, span, format!("there is no state {}", shown(name)), Some(hint))
    }

    /// What follows a field's name: an operator and its values.
    fn field_test(&mut self, field: Field) -> Parsed<Expr> {
        let op_at = self.at;
        let Some((op, len)) = operator(self.rest()).or_else(|| word_operator(self.rest())) else {
            return Err(self.error(Problem::Unexpected, op_at..op_at, "an operator is missing here", None));
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
                self.compare(field, cmp, raw)
            }
            Operator::Regex(not) => {
                let raw = self.pattern(field, &op_text)?;
                operand::regex(&raw.text)
                    .map_err(|why| self.error(Problem::BadPattern, raw.span.clone(), why, None))?;
                Ok(Expr::Term(Term { field, test: Test::Regex(not, raw.text) }))
            }
        }
    }

    fn list(&mut self, field: Field, op: Op, values: Vec<Raw>) -> Parsed<Expr> {
        let (field, operands) = self.operands(field, values)?;
        let free = operands.iter().any(|o| matches!(o, Operand::Text(_) | Operand::Glob(_)));
        let whole = matches!(field, Field::Column(c) if operand::is_whole(c));
        // Only for free text does it matter whether the whole is meant.
        let op = if op == Op::Is && (!free || whole) { Op::Has } else { op };
        Ok(Expr::Term(Term { field, test: Test::List(op, operands) }))
    }

    fn compare(&mut self, field: Field, cmp: Cmp, raw: Raw) -> Parsed<Expr> {
        let field = self.twin(field, &raw.text);
        let n = self.number(field, &raw)?;
        Ok(Expr::Term(Term { field, test: Test::Compare(cmp, n) }))
    }

    /// `fds>80%` asks about `fds_pct`.
    pub(super) fn twin(&self, field: Field, text: &str) -> Field {
        if let Field::Column(c) = field
            && text.ends_with('%')
            && c.kind != Kind::Percent
            && let Some((_, pct)) = operand::TWINS.iter().find(|(name, _)| *name == c.name)
            && let Some(column) = self.table.column(pct)
        {
            return Field::Column(column);
        }
        field
    }

    // Tokens.

    /// The values after an operator.
    fn values(&mut self, field: Field, op: &str) -> Parsed<Vec<Raw>> {
        let mut out = Vec::new();
        loop {
            out.push(self.one_value(field, op)?);
            let rest = self.rest();
            if !rest.starts_with(',') {
                return Ok(out);
            }
            self.at += 1;
        }
    }

    fn one_value(&mut self, field: Field, op: &str) -> Parsed<Raw> {
        let start = self.at;
        let raw = match self.peek() {
            Some('"' | '\'') => self.quoted()?,
            _ => self.raw(|c| matches!(c, '(' | ')' | '|' | '&' | ','))?,
        };
        if raw.text.is_empty() && !raw.quoted {
            let message = format!("a value is missing after {}{op}", field.name());
            let hint = operand::example(field).map(|e| format!("as in {}{op}{e}", field.name()));
            return Err(self.error(Problem::Incomplete, start..start, message, hint));
        }
        Ok(raw)
    }

    /// Text up to a blank or one of these; `\x` is x.
    fn raw(&mut self, stop: fn(char) -> bool) -> Parsed<Raw> {
        let start = self.at;
        let mut text = String::new();
        let mut wild = false;
        while let Some(c) = self.peek() {
            if c.is_whitespace() || stop(c) {
                break;
            }
            if c == '\\' {
                // A shell's `\)` ends the value.
                if self.rest().starts_with("\\)") && !text.contains('(') && stop(')') && self.balanced_close()
                {
                    break;
                }
                self.escape(&mut text)?;
                continue;
            }
            wild |= matches!(c, '*' | '?');
            text.push(c);
            self.at += c.len_utf8();
        }
        Ok(Raw { text, span: start..self.at, quoted: false, wild })
    }

    /// Whether a `\)` here closes a parenthesis that is open.
    fn balanced_close(&self) -> bool {
        let before = &self.text[..self.at];
        before.matches("\\(").count() > before.matches("\\)").count()
    }

    /// A backslash and what it stands for.
    fn escape(&mut self, out: &mut String) -> Parsed<()> {
        let at = self.at;
        self.at += 1;
        let Some(c) = self.peek() else {
            return Err(self.error(
                Problem::Incomplete,
                at..at + 1,
                "a character is missing after this backslash",
                None,
            ));
        };
        self.at += c.len_utf8();
        if c == 'u'
            && self.rest().starts_with('{')
            && let Some(close) = self.rest().find('}')
        {
            let hex = &self.rest()[1..close];
            let code = if hex.len() <= 6 {
                u32::from_str_radix(hex, 16).ok().and_then(char::from_u32)
            } else {
                None
            };
            let Some(code) = code else {
                let span = at..self.at + close + 1;
                return Err(self.error(Problem::BadValue, span, "this is no character's number", None));
            };
            self.at += close + 1;
            out.push(code);
            return Ok(());
        }
        out.push(c);
        Ok(())
    }

    /// Text in quotes.
    fn quoted(&mut self) -> Parsed<Raw> {
        let start = self.at;
        let Some(quote) = self.peek() else {
            return Err(self.error(Problem::Incomplete, start..start, "text is missing here", None));
        };
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.peek() {
                None => {
                    let message = format!("this {quote} is never closed");
                    return Err(self.error(
                        Problem::Quote,
                        start..start + 1,
                        message,
                        Some(format!("add {quote}")),
                    ));
                }
                Some(c) if c == quote => {
                    self.at += 1;
                    return Ok(Raw { text, span: start..self.at, quoted: true, wild: false });
                }
                Some('\\') => self.escape(&mut text)?,
                Some(c) => {
                    text.push(c);
                    self.at += c.len_utf8();
                }
            }
        }
    }

    /// A regular expression: in quotes, or up to a blank or a `)` that closes nothing in it. Backslashes are its own.
    fn pattern(&mut self, field: Field, op: &str) -> Parsed<Raw> {
        let start = self.at;
        if matches!(self.peek(), Some('"' | '\'')) {
            return self.quoted();
        }
        let mut open = 0usize;
        let mut class = false;
        let mut chars = self.rest().char_indices();
        let mut len = self.rest().len();
        while let Some((i, c)) = chars.next() {
            match c {
                '\\' => {
                    chars.next();
                }
                '[' => class = true,
                ']' => class = false,
                '(' if !class => open += 1,
                ')' if !class && open == 0 => {
                    len = i;
                    break;
                }
                ')' if !class => open -= 1,
                c if c.is_whitespace() => {
                    len = i;
                    break;
                }
                _ => {}
            }
        }
        let text = self.rest()[..len].to_owned();
        self.at += len;
        if text.is_empty() {
            let message = format!("a pattern is missing after {}{op}", field.name());
            return Err(self.error(
                Problem::Incomplete,
                start..start,
                message,
                Some("as in process~^ng".to_owned()),
            ));
        }
        Ok(Raw { text, span: start..self.at, quoted: false, wild: false })
    }

    // The words of ss.

    fn ss_term(&mut self, name: &str, field: Field) -> Parsed<Expr> {
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
            let message = format!("a value is missing after {name}");
            return Err(self.error(
                Problem::Incomplete,
                at..at,
                message,
                operand::example(field).map(|e| format!("as in {name} {e}")),
            ));
        }
        let list_op = match op {
            Operator::Differs => Op::Differs,
            _ => Op::Has,
        };
        match (name.to_ascii_lowercase().as_str(), op) {
            ("sport" | "dport", Operator::Compare(cmp)) => {
                let (_, port) = self.ss_port(&raw)?;
                self.compare(field, cmp, Raw { text: port, ..raw })
            }
            ("sport" | "dport", _) => {
                let (host, port) = self.ss_port(&raw)?;
                if host {
                    let end = if name.eq_ignore_ascii_case("sport") { "local" } else { "remote" };
                    let field = self.field(end, at..at)?;
                    return self.ss_host(field, None, raw, list_op, 0);
                }
                self.list(field, list_op, vec![Raw { text: port, ..raw }])
            }
            ("src" | "dst", Operator::Compare(_)) => {
                let hint = Some(format!(
                    "to compare ports write {}",
                    if name.starts_with('s') { "sport" } else { "dport" }
                ));
                Err(self.error(Problem::BadValue, raw.span, "addresses have no order", hint))
            }
            ("src" | "dst", _) => {
                let (family, skip) = match raw.text.split_once(':') {
                    Some((f, _)) if !raw.quoted => {
                        family_prefix(f).map_or((None, 0), |fam| (Some(fam), f.len() + 1))
                    }
                    _ => (None, 0),
                };
                self.ss_host(field, family, raw, list_op, skip)
            }
            ("cgroup", Operator::Has | Operator::Is) => {
                self.list(field, Op::Is, vec![Raw { quoted: true, ..raw }])
            }
            (_, Operator::Compare(cmp)) => self.compare(field, cmp, raw),
            _ => {
                let free = name.eq_ignore_ascii_case("cgroup") || name.eq_ignore_ascii_case("dev");
                let raw = if free { Raw { quoted: true, ..raw } } else { raw };
                self.list(field, list_op, vec![raw])
            }
        }
    }

    /// A port of `ss`: `:22`, `22`, `:ssh`, `*:22`. With an address before it, it is an endpoint.
    fn ss_port(&self, raw: &Raw) -> Parsed<(bool, String)> {
        let text = family_prefix(raw.text.split(':').next().unwrap_or(""))
            .map_or(raw.text.as_str(), |_| raw.text.split_once(':').map_or("", |(_, rest)| rest));
        match text.rsplit_once(':') {
            None => Ok((false, text.to_owned())),
            Some(("" | "*", port)) => Ok((false, port.to_owned())),
            Some((_, port)) => Ok((true, port.to_owned())),
        }
    }

    fn host_token(&mut self) -> Parsed<Raw> {
        self.raw(|c| matches!(c, '(' | ')' | '|' | '&'))
    }

    /// An end of a socket as `ss` writes it; a family before it narrows to that family.
    fn ss_host(
        &mut self,
        field: Field,
        family: Option<Family>,
        raw: Raw,
        op: Op,
        skip: usize,
    ) -> Parsed<Expr> {
        let text = raw.text.get(skip..).unwrap_or("").to_owned();
        let span = raw.span.start + skip.min(raw.span.len())..raw.span.end;
        let is_ip = matches!(family, None | Some(Family::Inet | Family::Inet6));
        let operand = if is_ip {
            operand::ss_host(&text, self.services).ok_or_else(|| {
                let message = format!("{} is no address", shown(&text));
                let hint =
                    "write an address, with a port as in 10.0.0.1:443 or [::1]:443; names are not looked up";
                self.error(Problem::BadValue, span.clone(), message, Some(hint.to_owned()))
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
            // Any end at all.
            Operand::Glob(g) if g == "*" && family.is_some() => {}
            // A plain name is the whole name.
            Operand::Glob(g) if !g.contains(['*', '?', '[']) => {
                let op = if op == Op::Has { Op::Is } else { op };
                parts.push(Expr::Term(Term { field, test: Test::List(op, vec![Operand::Text(g)]) }));
            }
            operand => parts.push(Expr::Term(Term { field, test: Test::List(op, vec![operand]) })),
        }
        Ok(all_of(parts))
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

/// The same for the operators of `ss` that are words; a value must follow.
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

/// Whether the text up to a blank is an IPv6 address, whole or on its way to be one.
fn looks_like_ipv6(text: &str) -> bool {
    let token =
        text.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '|' | '&')).next().unwrap_or("");
    let addr = token.split('/').next().unwrap_or("");
    addr.matches(':').count() >= 2
        && addr.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
        && (addr.parse::<Addr>().is_ok() || addr.contains("::") || addr.matches(':').count() >= 3)
}

/// Text for a message: escaped, at most 40 characters of it.
pub(super) fn shown(s: &str) -> String {
    let cut: String = s.chars().take(40).collect();
    let dots = if cut.len() < s.len() { "…" } else { "" };
    format!("\"{}{dots}\"", escape(&cut))
}

impl Parser<'_> {
    /// A value as a number in the field's unit.
    pub(super) fn number(&self, field: Field, raw: &Raw) -> Parsed<Number> {
        operand::number(self, field, raw)
    }

    fn operands(&self, field: Field, values: Vec<Raw>) -> Parsed<(Field, Vec<Operand>)> {
        operand::all(self, field, values)
    }
}
