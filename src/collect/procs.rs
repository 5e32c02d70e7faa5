//! Processes (stub).
use crate::model::Sample;
use std::path::Path;
/// Reader.
#[derive(Debug)]
pub struct Procs;
impl Procs {
    /// New.
    pub fn new(_root: &Path) -> Self {
        Self
    }
    /// Read.
    pub fn read(&mut self, _sample: &mut Sample) {}
}
