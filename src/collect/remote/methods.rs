//! Methods by which an agent reads: the settings of its reader that decide them.

use crate::collect::EventMethod;
use crate::model::{Backend, Netns, OwnersBy};
use serde::{Deserialize, Serialize};

/// Settings of the reader. What is not set is as on the host of the agent; what needs a privilege that the agent lacks falls back
/// or fails there as it does in a command on that host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Methods {
    /// Method of finding owners.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owners: Option<OwnersBy>,
    /// Source of events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<EventMethod>,
    /// Container engines are not queried. It does not make an agent query them that is configured not to.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_engine: bool,
    /// Source of the sockets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<Backend>,
    /// Network namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<Netns>,
}
