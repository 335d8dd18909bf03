use super::{Context, Failure};
use clap::Args;
#[derive(Debug, Args)]
pub(super) struct Selftest {}
impl Selftest {
    pub(super) async fn run(self, _c: &Context) -> Result<(), Failure> {
        Ok(())
    }
}
