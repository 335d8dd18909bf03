//! The start of a function: settings, read whole, and the log.

use std::path::PathBuf;
use std::sync::Arc;

use chaski_aws::SystemClock;
use chaski_core::logger::{self, Service};
use chaski_core::settings::{self, Settings, SettingsError};

/// Where Lambda unpacks the package.
const TASK_ROOT: &str = "LAMBDA_TASK_ROOT";

/// Reads `chaski.toml` from the package (no file is no settings) and the environment, and begins the log.
///
/// # Errors
/// Every wrong setting; the function must not start.
pub fn start(service: &'static str) -> Result<Arc<Settings>, SettingsError> {
    let env = |name: &str| std::env::var(name).ok();
    let folder = env(TASK_ROOT).map(PathBuf::from).unwrap_or_default();
    let file = std::fs::read_to_string(folder.join(settings::FILE)).unwrap_or_default();
    let settings = Settings::read(&file, &env)?;
    let service = Service { name: service, version: env!("CARGO_PKG_VERSION"), level: settings.log.level };
    let subscriber = logger::subscriber(service, SystemClock::start(), std::io::stdout());
    // A second start in one process, as in a test, keeps the first one's log.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(Arc::new(settings))
}
