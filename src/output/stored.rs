//! Values as they are stored in columns with a type: Parquet and SQL.

use super::json;
use crate::format::{Kind, Storage, Value, exact};
use std::borrow::Cow;

/// A value of a column with a type.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored<'a> {
    /// Missing.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number; above the range of the type, its end.
    Integer(i64),
    /// A whole number.
    Unsigned(u64),
    /// A number, rounded as in JSON.
    Float(f64),
    /// Text, not escaped; of lists and records JSON.
    Text(Cow<'a, str>),
}

/// The value in the type of its column: the same as in JSON.
pub fn stored(value: Value<'_>, kind: Kind) -> Stored<'_> {
    let number = |n: f64| if n.is_finite() { Stored::Float(json::rounded(n)) } else { Stored::Null };
    match (kind.storage(), value) {
        (_, Value::Missing(_)) => Stored::Null,
        (Storage::Boolean, Value::Bool(b)) => Stored::Boolean(b),
        (Storage::Integer, Value::Uint(n)) => Stored::Integer(i64::try_from(n).unwrap_or(i64::MAX)),
        (Storage::Unsigned, Value::Uint(n)) => Stored::Unsigned(n),
        (Storage::Float, Value::Uint(n)) => Stored::Float(n as f64),
        (Storage::Float, Value::Float(n) | Value::AtLeast(n)) => number(n),
        (Storage::Text, Value::Text(s)) => Stored::Text(s),
        (Storage::Text, Value::State(s)) => Stored::Text(Cow::Borrowed(s.name())),
        (Storage::Text, Value::Addr(a)) => Stored::Text(a.to_string().into()),
        (Storage::Text, Value::Endpoint(e)) => Stored::Text(e.to_string().into()),
        (Storage::Text, v) => Stored::Text(exact(&v).into()),
        (Storage::Json, v) => {
            let mut text = String::new();
            json::value(&mut text, &v);
            Stored::Text(text.into())
        }
        // No column has a value of another type than its kind: a test checks them.
        (_, _) => Stored::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Wants;
    use crate::table::TABLES;

    /// Returns whether a stored value is the one that JSON has.
    fn is_same(stored: &Stored<'_>, json: &serde_json::Value, kind: Kind) -> bool {
        match stored {
            Stored::Null => json.is_null(),
            Stored::Boolean(b) => json.as_bool() == Some(*b),
            Stored::Integer(n) => json.as_i64() == Some(*n),
            Stored::Unsigned(n) => json.as_u64() == Some(*n),
            Stored::Float(n) => json.as_f64() == Some(*n),
            Stored::Text(s) if kind.storage() == Storage::Json => {
                serde_json::from_str::<serde_json::Value>(s).ok().as_ref() == Some(json)
            }
            Stored::Text(s) => json.as_str() == Some(s),
        }
    }

    #[test]
    fn stored_value_is_that_of_json() {
        use crate::collect::Source;
        use crate::collect::scenario::{SCENARIOS, Scenario, ScenarioSource};
        let mut snaps = vec![crate::testing::machine().into()];
        for (name, _) in SCENARIOS {
            let mut source = ScenarioSource::new(Scenario::named(name).unwrap());
            let mut engine = crate::derive::Engine::new();
            snaps.extend((0..3).map(|_| engine.step(source.sample(&Wants::recording()).unwrap())));
        }
        let mut values = 0;
        for snap in &snaps {
            for table in TABLES {
                for c in table.columns {
                    for row in 0..(table.len)(snap) {
                        let v = c.value(snap, row);
                        let mut text = String::new();
                        json::value(&mut text, &v);
                        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
                        let kept = stored(v, c.kind);
                        assert!(is_same(&kept, &json, c.kind), "{}.{}: {kept:?} {json}", table.noun, c.name);
                        values += usize::from(!json.is_null());
                    }
                }
            }
        }
        assert!(values > 10_000, "{values}");
    }
}
