//! Rulesets made of expressions, for packets with known fields.
