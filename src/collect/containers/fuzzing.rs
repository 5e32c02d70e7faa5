//! Answers of container engines from any bytes.

use super::{http, response};
use crate::collect::fuzz_sample::sample;
use crate::model::{ContainerEngine, Sample};

/// The body of this answer, whole and cut: an answer that is complete in part is the same as a whole.
pub(crate) fn http_answer(bytes: &[u8]) {
    let whole = http::body(bytes, true);
    assert!(http::body(bytes, false).is_ok() || whole.is_err());
    let half = http::body(&bytes[..bytes.len() / 2], false);
    if let (Ok(Some(early)), Ok(Some(whole))) = (half, &whole) {
        assert!(early == *whole);
    }
    if let Ok(Some(body)) = whole {
        assert!(body.len() <= bytes.len());
        let _ = response::containers(&body, ContainerEngine::Docker);
    }
}

/// The containers of this list, which is that of pods too.
pub(crate) fn engine_json(bytes: &[u8]) -> Sample {
    let mut sample = sample();
    let mut all = Vec::new();
    for engine in [ContainerEngine::Docker, ContainerEngine::Podman] {
        all.extend(response::containers(bytes, engine).map(|(all, _)| all).unwrap_or_default());
    }
    response::add_pods(bytes, &mut all);
    sample.containers = all.into();
    sample
}
