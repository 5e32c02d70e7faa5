//! Lexer of values: bare, quoted, or a regular expression.

use super::{Parsed, Parser};
use crate::filter::ast::Field;
use crate::filter::error::Problem;
use crate::filter::operand;
use crate::filter::raw_value::{RawValue, error_at};
use crate::model::lang::tr;
use crate::msg;

impl Parser<'_> {
    /// The values after an operator.
    pub(crate) fn values(&mut self, field: Field, op: &str) -> Parsed<Vec<RawValue>> {
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

    pub(crate) fn one_value(&mut self, field: Field, op: &str) -> Parsed<RawValue> {
        let start = self.at;
        let raw = match self.peek() {
            Some('"' | '\'') => self.quoted()?,
            _ => self.raw(|c| matches!(c, '(' | ')' | '|' | '&' | ','))?,
        };
        if raw.text.is_empty() && !raw.quoted {
            let message = msg!("missing value after {}{}", field.name(), op);
            let hint = operand::example(field).map(|e| msg!("example: {}{}{}", field.name(), op, e));
            return Err(error_at(Problem::Incomplete, start..start, message, hint));
        }
        Ok(raw)
    }

    /// Text up to a blank or one of these; `\x` is x.
    pub(crate) fn raw(&mut self, stop: fn(char) -> bool) -> Parsed<RawValue> {
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
        Ok(RawValue { text, span: start..self.at, quoted: false, wild })
    }

    /// True if a `\)` here closes an open parenthesis.
    pub(crate) fn balanced_close(&self) -> bool {
        let before = &self.text[..self.at];
        before.matches("\\(").count() > before.matches("\\)").count()
    }

    /// A backslash escape.
    pub(crate) fn escape(&mut self, out: &mut String) -> Parsed<()> {
        let at = self.at;
        self.at += 1;
        let Some(c) = self.peek() else {
            return Err(error_at(Problem::Incomplete, at..at + 1, tr("incomplete escape"), None));
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
                return Err(error_at(
                    Problem::BadValue,
                    span,
                    tr("invalid code point: expected \\u{HEX}"),
                    None,
                ));
            };
            self.at += close + 1;
            out.push(code);
            return Ok(());
        }
        out.push(c);
        Ok(())
    }

    /// Text in quotes.
    pub(crate) fn quoted(&mut self) -> Parsed<RawValue> {
        let start = self.at;
        let Some(quote) = self.peek() else {
            return Err(error_at(Problem::Incomplete, start..start, tr("missing text"), None));
        };
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.peek() {
                None => {
                    let message = msg!("unclosed {}", quote);
                    return Err(error_at(
                        Problem::Quote,
                        start..start + 1,
                        message,
                        Some(msg!("add {}", quote)),
                    ));
                }
                Some(c) if c == quote => {
                    self.at += 1;
                    return Ok(RawValue { text, span: start..self.at, quoted: true, wild: false });
                }
                Some('\\') => self.escape(&mut text)?,
                Some(c) => {
                    text.push(c);
                    self.at += c.len_utf8();
                }
            }
        }
    }

    /// A regular expression: in quotes, or up to a blank or an unbalanced `)`. Backslashes belong to the expression.
    pub(crate) fn pattern(&mut self, field: Field, op: &str) -> Parsed<RawValue> {
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
            let message = msg!("missing pattern after {}{}", field.name(), op);
            return Err(error_at(
                Problem::Incomplete,
                start..start,
                message,
                Some(tr("example: process~^ng").to_owned()),
            ));
        }
        Ok(RawValue { text, span: start..self.at, quoted: false, wild: false })
    }
}
