//! Keeps a task for each source.

use std::rc::Rc;

use super::status::SourceStatus;
use crate::context::Context;

/// Polls all sources, each at its own interval.
pub struct Poller {
    #[allow(dead_code)]
    context: Rc<Context>,
}

impl Poller {
    /// Contacts nobody yet.
    pub fn new(context: Rc<Context>) -> Rc<Poller> {
        Rc::new(Poller { context })
    }
    /// Polls until dropped; new settings take effect at once.
    pub async fn run(&self) {
        todo!()
    }
    /// Polls the sources of `account`, or all of them, without waiting for their time. Returns how many
    /// will be.
    pub fn collect_now(&self, _account: Option<&str>) -> usize {
        todo!()
    }
    /// Every source, in the order of the configuration.
    pub fn status(&self) -> Vec<SourceStatus> {
        todo!()
    }
}
