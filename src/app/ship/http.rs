//! A receiver by HTTP.

use super::delivery::{Receiver, Reply};
use crate::cli::args::Encoding;
use crate::cli::ship::ShipPlan;
use crate::model::text::escape;
use std::time::Duration;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

/// Time to connect.
const CONNECT: Duration = Duration::from_secs(10);
/// Time for a request as a whole: a receiver that stalls is asked again.
const WHOLE: Duration = Duration::from_secs(60);
/// Bytes of an answer that are read.
const ANSWER: u64 = 64 << 10;
/// Characters of an answer that are shown.
const SHOWN: usize = 200;

/// Sends batches by POST.
pub(super) struct Http {
    agent: Agent,
    url: String,
    headers: Vec<(String, String)>,
}

impl Http {
    /// A receiver at the URL of the plan.
    pub(super) fn new(plan: &ShipPlan) -> Self {
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A POST that is redirected would lose its body.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(WHOLE))
            .user_agent(concat!("sockscope/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build();
        Self { agent: config.into(), url: plan.url.clone(), headers: plan.headers.clone() }
    }
}

impl Receiver for Http {
    fn send(&mut self, id: &str, body: &[u8], encoding: Encoding) -> Reply {
        let mut request = self
            .agent
            .post(self.url.replace("{batch}", id))
            .header("Content-Type", "application/x-ndjson")
            .header("Idempotency-Key", id);
        if let Some(name) = encoding.header() {
            request = request.header("Content-Encoding", name);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut response = match request.send(body) {
            Ok(response) => response,
            // The URL is in none of these errors.
            Err(e) => return Reply::Later(escape(&e.to_string()).into_owned(), None),
        };
        let status = response.status();
        let after = response.headers().get("Retry-After").and_then(|v| v.to_str().ok()?.trim().parse().ok());
        let location = response.headers().get("Location").and_then(|v| v.to_str().ok()).map(str::to_owned);
        // Read whatever it is, so that the connection can be used again.
        let text = response.body_mut().with_config().limit(ANSWER).read_to_vec().unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let first: String = text.trim().lines().next().unwrap_or("").chars().take(SHOWN).collect();
        let mut why = format!("{status}");
        if let Some(to) = location {
            why.push_str(&format!(" to {to}"));
        }
        if !first.is_empty() {
            why.push_str(&format!(": {first}"));
        }
        let why = escape(&why).into_owned();
        match status.as_u16() {
            200..300 => Reply::Taken,
            413 => Reply::TooLarge,
            400 | 415 | 422 => Reply::Refused(why),
            _ => Reply::Later(why, after.map(Duration::from_secs)),
        }
    }
}
