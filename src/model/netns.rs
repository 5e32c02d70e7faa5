//! Selection of network namespaces (`--netns`).

use super::sample::Namespace;
use serde::{Deserialize, Serialize};

/// Network namespaces to read.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Netns {
    /// All that can be found and entered.
    #[default]
    All,
    /// Namespace of this process only.
    Here,
    /// Namespaces with this name.
    Named(Box<str>),
}

impl Netns {
    /// Parses `all`, `here` or a name.
    pub fn parse(word: &str) -> Self {
        match word {
            "all" => Self::All,
            "here" => Self::Here,
            name => Self::Named(name.into()),
        }
    }

    /// True if this namespace is selected; `own` marks the namespace of this process. A name matches the whole name,
    /// its first word (`nginx` for `nginx 812`) or the inode.
    pub fn includes(&self, n: &Namespace, own: bool) -> bool {
        match self {
            Self::All => true,
            Self::Here => own,
            Self::Named(want) => {
                *n.name == **want
                    || n.name.split_once(' ').is_some_and(|(first, _)| *first == **want)
                    || n.inode != 0 && n.inode.to_string() == **want
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_matches_whole_first_word_or_inode() {
        let n = |inode, name: &str| Namespace {
            inode,
            name: name.into(),
            interfaces: std::collections::BTreeMap::default(),
        };
        let selected = |word: &str, n: &Namespace, own| Netns::parse(word).includes(n, own);
        assert!(selected("all", &n(7, "red"), false) && selected("red", &n(7, "red"), false));
        assert!(selected("here", &n(7, "red"), true) && !selected("here", &n(7, "red"), false));
        assert!(
            selected("nginx", &n(7, "nginx 812"), false) && selected("nginx 812", &n(7, "nginx 812"), false)
        );
        assert!(selected("7", &n(7, "red"), false) && !selected("0", &n(0, "red"), false));
        assert!(!selected("re", &n(7, "red"), false) && !selected("812", &n(7, "nginx 812"), false));
    }
}
